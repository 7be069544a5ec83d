package Lab::Postfix::Records;

# Reads and writes the record framing of Postfix queue files (type, base-128 length, data), for
# making damage in chosen places.  Only ever used on files that real Postfix wrote.

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(records encode_length record);

sub encode_length {
    my ($n) = @_;
    my $out = '';
    do {
        my $byte = $n & 0x7f;
        $n >>= 7;
        $out .= chr($n ? $byte | 0x80 : $byte);
    } while $n;
    return $out;
}

sub record { my ($type, $data) = @_; return $type . encode_length(length $data) . $data }

# All records in the order in which Postfix reads them, pointers followed:
# { type, at, data_at, len, seg } with seg one of env, text, ext; an empty list when the file is
# not sound.
sub records {
    my ($data) = @_;
    my ($pos, $seg, $size, @list, %seen) = (0, 'env', length $data);
    while ($pos < $size) {
        return if $seen{$pos}++;
        my $r = one($data, $pos, $size) or return;
        $r->{seg} = $seg;
        push @list, $r;
        return @list if $r->{type} eq 'E' && $seg eq 'ext';
        $pos = $r->{data_at} + $r->{len};
        if    ($r->{type} eq 'M' && $seg eq 'env')  { $seg = 'text' }
        elsif ($r->{type} eq 'X' && $seg eq 'text') { $seg = 'ext' }
        elsif ($r->{type} eq 'p') {
            $r->{target} = 0 + substr $data, $r->{data_at}, $r->{len};
            $pos = $r->{target} if $r->{target};
        }
    }
    return;
}

sub one {
    my ($data, $pos, $size) = @_;
    my $at = $pos;
    my $type = substr $data, $pos++, 1;
    my ($len, $shift) = (0, 0);
    while (1) {
        return if $pos >= $size || $shift > 28;
        my $byte = ord substr $data, $pos++, 1;
        $len |= ($byte & 0x7f) << $shift;
        last unless $byte & 0x80;
        $shift += 7;
    }
    return if $len > $size - $pos;
    return { type => $type, at => $at, data_at => $pos, len => $len };
}

1;
