package Lab::Sendmail::Damage;

# Damaged copies of real messages: one thing is wrong in each. They lie in one queue directory
# under ids of their own, an hour old, so that nobody takes them for half written.

use strict;
use warnings;
use Exporter 'import';
use Lab::Util qw(slurp spew run_ok rng);

our @EXPORT_OK = qw(make_damage);

sub lines_of { return $_[0] =~ /(.*?\n(?:[ \t].*?\n)*)/gs }

# kind => what it does to the control file; the generator is the second argument
my %control = (
    'flip byte'   => sub { my ($q, $r) = @_; substr($q, $r->(length $q), 1) = chr $r->(256); $q },
    'flip bit'    => sub { my ($q, $r) = @_; my $at = $r->(length $q); substr($q, $at, 1) = chr(ord(substr $q, $at, 1) ^ 1 << $r->(8)); $q },
    'insert byte' => sub { my ($q, $r) = @_; substr($q, $r->(length($q) + 1), 0) = chr $r->(256); $q },
    'delete byte' => sub { my ($q, $r) = @_; substr($q, $r->(length $q), 1) = ''; $q },
    'cut'         => sub { my ($q, $r) = @_; substr $q, 0, $r->(length $q) },
    'cut at line' => sub { my ($q, $r) = @_; my @l = lines_of($q); join '', @l[ 0 .. $r->(scalar @l) - 1 ] },
    'beginning lost' => sub { my ($q, $r) = @_; substr $q, 1 + $r->(length($q) - 1) },
    'zeros'       => sub { my ($q, $r) = @_; my $n = 1 + $r->(60); my $at = $r->(length $q); substr($q, $at, $n) = "\0" x length substr $q, $at, $n; $q },
    'zeros to the end' => sub { my ($q, $r) = @_; my $at = $r->(length $q); substr($q, $at) = "\0" x (length($q) - $at); $q },
    'line dropped' => sub { my ($q, $r) = @_; my @l = lines_of($q); splice @l, $r->(scalar @l), 1; join '', @l },
    'line doubled' => sub { my ($q, $r) = @_; my @l = lines_of($q); my $n = $r->(scalar @l); splice @l, $n, 0, $l[$n]; join '', @l },
    'lines swapped' => sub { my ($q, $r) = @_; my @l = lines_of($q); my ($a, $b) = map { $r->(scalar @l) } 1, 2; @l[ $a, $b ] = @l[ $b, $a ]; join '', @l },
    'line emptied' => sub { my ($q, $r) = @_; my @l = lines_of($q); my $n = $r->(scalar @l); $l[$n] = substr($l[$n], 0, 1) . "\n"; join '', @l },
    'line without its letter' => sub { my ($q, $r) = @_; my @l = lines_of($q); my $n = $r->(scalar @l); $l[$n] = substr $l[$n], 1; join '', @l },
    'line unknown' => sub { my ($q, $r) = @_; my @l = lines_of($q); splice @l, $r->(scalar @l), 0, chr(33 + $r->(94)) . "value\n"; join '', @l },
    'line indented' => sub { my ($q, $r) = @_; my @l = lines_of($q); $l[ $r->(scalar @l) ] =~ s/^/ /; join '', @l },
    'line feed in it' => sub { my ($q, $r) = @_; substr($q, $r->(length $q), 0) = "\n"; $q },
    'something behind' => sub { my ($q, $r) = @_; $q . ("\n", "Rx\n", "\0", " ", "\0" x 512, ".\n")[ $r->(6) ] },
    'all zeros'   => sub { my ($q) = @_; "\0" x length $q },
    'CR LF'       => sub { my ($q) = @_; $q =~ s/\n/\r\n/gr },
    'other number' => sub { my ($q, $r) = @_; my $l = (qw(V T K N P))[ $r->(5) ]; my @n = ('', '0', '-1', '9', '99999999999', '99999999999999999999', '-99999999999999999999', ' 8', '8x', 'x', '+8');
        $q =~ s/^$l.*$/$l . $n[ $r->(scalar @n) ]/mer },
    'other recipient' => sub { my ($q, $r) = @_; my @n = ('R', 'RPFD:', 'RPFD', 'R:', 'RPFD: ', 'RPFD:(comment)', 'RPFD:<', 'RPFD:"', 'RPFD:' . 'a' x 300 . '@ok.test', "RPFD:a\x01\@ok.test", 'RXyz:a@ok.test', 'RPFD:<>', 'RPFD:,', 'RPFD:@', 'RPFD:a b@ok.test', 'RPFD:a@ok.test,b@ok.test', 'Ra@ok.test', 'RPFD:;', "RPFD:\xff\@ok.test", 'RPFD:a@', 'RPFD:\\');
        $q =~ s/^R.*$/$n[ $r->(scalar @n) ]/mer },
    'other sender' => sub { my ($q, $r) = @_; my @n = ('S', 'S<>', 'S<', 'S"', 'S ', 'S(comment)', 'S' . 'a' x 300 . '@lab.test', "Sa\x01\@lab.test", 'Sa b', 'S|/bin/sh', 'S/tmp/x', "S\xff", 'S@', 'S,');
        $q =~ s/^S.*$/$n[ $r->(scalar @n) ]/mer },
    'other header' => sub { my ($q, $r) = @_; my @n = ('H', 'H?', 'H??', 'H?P', 'H?P?', 'H??X', 'H??: y', 'H??X : y', 'HX: y', 'H?$?X: y', 'H?${x}?X: y', 'H?${nosuch}?X: y', "H?\xe4?X: y", 'H??' . 'X' x 100 . ': y', 'H??' . 'X' x 101 . ': y', "H??X\xe4: y", 'H??X y: z', 'H?ab c?X: y', 'H?${a-b}?X: y', 'H?$ab?X: y', "H?\x81x?X: y", "H?\x81?X: y", 'H?${?X: y', 'H?$a?X: y');
        $q =~ s/^H\?\?Subject.*$/$n[ $r->(scalar @n) ]/mer },
    'other option' => sub { my ($q, $r) = @_; my @n = ('A<>', 'A', 'A+2', 'A+zz', "A\xe4", 'Aa b', 'B7bit', 'B8bitmime', 'B', 'BBINARYMIME', 'B7BIT ', 'FFrom x', 'From x', 'F', 'Fwr8bdnse', 'FZ', 'd', 'd.', 'd/nosuch', 'I', 'I1/2', 'I1/2/3', 'Ix/y/z', 'qreason', '!', '!x', "!\x12 300", "!\x12 x", "!\x02 -7", '$', '${', '${}', '${a b}x', '${' . 'a' x 30 . '}x', '$x', '${ok_name}x', 'C', 'C:x', 'Cuser', 'Cuser:1', 'Cuser:1:2', 'Cuser:1:2:x', 'Cuser:a:b:x', 'Qrfc822;x@y', 'rRFC822; x@y', 'M', 'Mtext', 'Z', 'Zid', 'Dold', 'Eold', 'L100', 'Gx', 'Xx', 'ax', '%x', '#x', '-x', '/x');
        my @l = lines_of($q); splice @l, 5, 0, $n[ $r->(scalar @n) ] . "\n"; join '', @l },
);

# ... to the text; undef = it is gone
my %text = (
    'text gone'   => sub { undef },
    'text empty'  => sub { '' },
    'text zeros'  => sub { my ($d) = @_; "\0" x (length($d) > 600 ? length $d : 8192) },
    'text cut'    => sub { my ($d, $r) = @_; substr $d, 0, $r->(length($d) + 1) },
);

# number: how many; to: the directory. Answers a list of { id, kind, from }.
sub make_damage {
    my ($spool, $to, %o) = @_;
    my $r = rng($o{seed});
    # Few recipients, so that the server's judgement takes no time; none that runs a program.
    my @from = grep { my $q = slurp($_); my $n = () = $q =~ /^R/mg; $n <= 6 && length $q < 6000 && $q !~ /^R.*mixed|^R.*\|/m } sort glob "$spool/qf*";
    my %rest = (%control, %text);
    my @kinds = ((sort keys %control) x 3, sort keys %text);
    my (@cases, $n);
    run_ok('rm', '-rf', $to);
    run_ok('mkdir', '-p', $to);
    my $put = sub {
        my ($kind, $from, $control, $text) = @_;
        my $id = sprintf 'aAKCaa%s%06d', 'aa', ++$n;
        spew("$to/qf$id", $control);
        chmod 0600, "$to/qf$id";
        utime time - 3600, time - 3600, "$to/qf$id";
        if (defined $text) { spew("$to/df$id", $text); chmod 0600, "$to/df$id" }
        push @cases, { id => $id, kind => $kind, from => $from };
    };
    $put->('original', $_, slurp($_), slurp(s/qf(?=[^\/]*$)/df/r)) for @from;
    my %original = map { $_->{from} => $_->{id} } @cases;
    while (@cases < @from + $o{number}) {
        my $kind = $kinds[ $r->(scalar @kinds) ];
        my $from = $from[ $r->(scalar @from) ];
        my ($control, $text) = (slurp($from), slurp($from =~ s/qf(?=[^\/]*$)/df/r));
        if ($text{$kind}) { $put->($kind, $original{$from}, $control, $text{$kind}->($text, $r)) }
        else {
            my $now = $control{$kind}->($control, $r);
            $put->($kind, $original{$from}, $now, $text) if $now ne $control;
        }
    }
    return \@cases;
}

1;
