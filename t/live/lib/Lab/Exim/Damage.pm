package Lab::Exim::Damage;

# Damaged copies of Exim messages: what disks, crashes, editors and enemies do to them.

use strict;
use warnings;
use Exporter 'import';
use Lab::Util qw(slurp spew rng run_ok);

our @EXPORT_OK = qw(make_damage);

# Parts of a -H file: the offsets of its lines up to the blank one, and where the headers begin.
# ACL values count as part of their line.
sub lines_of {
    my ($h) = @_;
    my ($pos, @lines) = (0);
    my ($left, $phase) = (0, 'options');
    while ($pos < length $h) {
        my $end = index $h, "\n", $pos;
        last if $end < 0;
        my $text = substr $h, $pos, $end - $pos;
        my $next = $end + 1;
        $next += $1 + 1 if @lines >= 4 && $phase eq 'options' && $text =~ /^-{1,2}acl[cm] \S+ (\d+)$/;
        my $kind = @lines < 4 ? (qw(id user sender time))[ scalar @lines ] : $phase eq 'options' && $text =~ /^-/ ? 'option'
            : $phase eq 'options' ? 'tree' : $phase eq 'tree' && $text =~ /^\d+$/ ? 'count' : $phase eq 'tree' ? 'tree'
            : $text eq '' ? 'blank' : 'recipient';
        $phase = 'tree' if $kind eq 'tree';
        $phase = 'recipients' if $kind eq 'count';
        push @lines, [ $kind, $pos, $next ];
        $pos = $next;
        last if $kind eq 'blank';
    }
    return ($pos, @lines);
}

# Replace bytes [from, to) of a copy.
sub with { my ($h, $from, $to, $new) = @_; substr $h, $from, $to - $from, $new; return $h }

sub number_for { my ($r) = @_; return (0, 1, 2, 7, 99, 1000, 16385, 99999999, 2147483647, 4294967295, -1, -2, -5, '', 'x', '1x', ' ')[ $r->(17) ] }

# kind => sub (random, head) -> new head, or undef when it does not apply
my %head = (
    'flip'      => sub { my ($r, $h) = @_; my $at = $r->(length $h); return with($h, $at, $at + 1, chr(ord(substr $h, $at, 1) ^ 1 << $r->(8))) },
    'flip-envelope' => sub { my ($r, $h) = @_; my ($n) = lines_of($h); my $at = $r->($n); return with($h, $at, $at + 1, chr(ord(substr $h, $at, 1) ^ 1 << $r->(8))) },
    'delete'    => sub { my ($r, $h) = @_; my $at = $r->(length $h); return with($h, $at, $at + 1, '') },
    'insert'    => sub { my ($r, $h) = @_; my $at = $r->(length $h); return with($h, $at, $at, (' ', "\n", '9', 'Y', "\0", 'x', '-', '#')[ $r->(8) ]) },
    'cut'       => sub { my ($r, $h) = @_; return substr $h, 0, $r->(length $h) },
    'cut-line'  => sub { my ($r, $h) = @_; my @all = map { $-[0] + 1 } matches($h, qr/\n/); return substr $h, 0, $all[ $r->(scalar @all) ] },
    'zero-tail' => sub { my ($r, $h) = @_; my $at = $r->(length $h); return substr($h, 0, $at) . "\0" x (length($h) - $at) },
    'zero-block' => sub { my ($r, $h) = @_; my $at = $r->(length $h); my $n = 1 + $r->(64); $n = length($h) - $at if $at + $n > length $h; return with($h, $at, $at + $n, "\0" x $n) },
    'pad'       => sub { my ($r, $h) = @_; return $h . ("\0" x (1 + $r->(100)), "\n", "junk\n", '0', "999 x")[ $r->(5) ] },
    'line-gone' => sub { my ($r, $h) = @_; my $l = a_line($r, $h); return with($h, $l->[1], $l->[2], '') },
    'line-twice' => sub { my ($r, $h) = @_; my $l = a_line($r, $h); return with($h, $l->[1], $l->[1], substr $h, $l->[1], $l->[2] - $l->[1]) },
    'line-joined' => sub { my ($r, $h) = @_; my $l = a_line($r, $h); return with($h, $l->[2] - 1, $l->[2], '') },
    'line-empty' => sub { my ($r, $h) = @_; my $l = a_line($r, $h); return with($h, $l->[1], $l->[2] - 1, '') },
    'line-nul'  => sub { my ($r, $h) = @_; my $l = a_line($r, $h); my $at = $l->[1] + $r->($l->[2] - $l->[1]); return with($h, $at, $at + 1, "\0") },
    'count'     => sub { my ($r, $h) = @_; my ($l) = of($h, 'count') or return; return with($h, $l->[1], $l->[2] - 1, number_for($r)) },
    'count-near' => sub { my ($r, $h) = @_; my ($l) = of($h, 'count') or return; my $n = substr $h, $l->[1], $l->[2] - $l->[1] - 1; return with($h, $l->[1], $l->[2] - 1, $n + ($r->(2) ? 1 : -1)) },
    'acl'       => sub { my ($r, $h) = @_; my @m = matches($h, qr/^(-{1,2}acl[cm] \w+ )(\d+)$/m) or return; my $m = $m[ $r->(scalar @m) ]; return with($h, $m->[2][0], $m->[2][1], number_for($r)) },
    'acl-near'  => sub { my ($r, $h) = @_; my @m = matches($h, qr/^(-{1,2}acl[cm] \w+ )(\d+)$/m) or return; my $m = $m[ $r->(scalar @m) ]; return with($h, $m->[2][0], $m->[2][1], substr($h, $m->[2][0], $m->[2][1] - $m->[2][0]) + ($r->(2) ? 1 : -1)) },
    'header-length' => sub { my ($r, $h) = @_; my ($n) = lines_of($h); my $m = a_header($r, $h, $n) or return; return with($h, $m->[0], $m->[1], number_for($r)) },
    'header-near' => sub { my ($r, $h) = @_; my ($n) = lines_of($h); my $m = a_header($r, $h, $n) or return; return with($h, $m->[0], $m->[1], sprintf '%03d', substr($h, $m->[0], $m->[1] - $m->[0]) + ($r->(2) ? 1 : -1)) },
    'recipient-number' => sub { my ($r, $h) = @_; my @l = grep { substr($h, $_->[1], $_->[2] - $_->[1]) =~ /#\d\n/ } of($h, 'recipient'); return unless @l;
        my $l = $l[ $r->(scalar @l) ]; my $t = substr $h, $l->[1], $l->[2] - $l->[1]; my @m = grep { $_->[0][0] > 8 } matches($t, qr/\d+/); my $m = $m[ -1 - $r->(@m > 4 ? 4 : scalar @m) ];
        substr $t, $m->[0][0], $m->[0][1] - $m->[0][0], number_for($r); return with($h, $l->[1], $l->[2], $t) },
    'tree-flag' => sub { my ($r, $h) = @_; my @l = grep { substr($h, $_->[1], 2) =~ /^[YN][YN]/ } of($h, 'tree'); return unless @l; my $l = $l[ $r->(scalar @l) ]; my $at = $l->[1] + $r->(2); return with($h, $at, $at + 1, substr($h, $at, 1) eq 'Y' ? 'N' : 'Y') },
    'tree-swap' => sub { my ($r, $h) = @_; my @l = grep { substr($h, $_->[1], 2) =~ /^[YN][YN]/ } of($h, 'tree'); return if @l < 2; my $i = $r->(@l - 1); my ($x, $y) = @l[ $i, $i + 1 ];
        return with($h, $x->[1], $y->[2], substr($h, $x->[1], 3) . substr($h, $y->[1] + 3, $y->[2] - $y->[1] - 3) . substr($h, $y->[1], 3) . substr($h, $x->[1] + 3, $x->[2] - $x->[1] - 3)) },
    'option-bare' => sub { my ($r, $h) = @_; my @l = grep { substr($h, $_->[1], $_->[2] - $_->[1]) =~ /^-{1,2}(?!acl)\S+ / } of($h, 'option'); return unless @l; my $l = $l[ $r->(scalar @l) ];
        my $t = substr $h, $l->[1], $l->[2] - $l->[1]; $t =~ s/( ?)\S.*// if 0; $t =~ s/^(\S+) .*/$1/s; return with($h, $l->[1], $l->[2], "$t\n") },
    'option-value' => sub { my ($r, $h) = @_; my @l = grep { substr($h, $_->[1], $_->[2] - $_->[1]) =~ /^-{1,2}(?!acl)\S+ / } of($h, 'option'); return unless @l; my $l = $l[ $r->(scalar @l) ];
        my $t = substr $h, $l->[1], $l->[2] - $l->[1]; my $new = number_for($r); $t =~ s/^(\S+) .*/$1 $new/s; return with($h, $l->[1], $l->[2], "$t\n") },
    'option-new' => sub { my ($r, $h) = @_; my @l = of($h, 'option') or return; my $l = $l[ $r->(scalar @l) ];
        return with($h, $l->[1], $l->[1], ("-unknown_option of the future\n", "--another\n", "-debuglog_name \n", "-frozen x\n", "-frozen\n", "--(ldap\n", "--(ldap)aclm q 3\nabc\n", "--(nosuch)helo_name x\n", "-\n", "-tls_sni x\\\n", "-N\n", "-aclm x\n", "-aclm  y 3\nabc\n",
            "-N x\n", "-local_scan\n", "-host_address x\n", "-interface_address [192.0.2.3]\n")[ $r->(17) ]) },
);

sub matches {
    my ($text, $re) = @_;
    my @found;
    while ($text =~ /$re/g) {
        my @m = map { [ $-[$_], $+[$_] ] } 0 .. $#+;
        push @found, \@m;
        local @-;
    }
    return @found;
}

sub of { my ($h, $kind) = @_; my ($n, @l) = lines_of($h); return grep { $_->[0] eq $kind } @l }
sub a_line { my ($r, $h) = @_; my ($n, @l) = lines_of($h); return $l[ $r->(scalar @l) ] }

# The digits of some header line.
sub a_header {
    my ($r, $h, $pos) = @_;
    my @at;
    while ($pos < length $h && substr($h, $pos) =~ /^(\d+). /) {
        push @at, [ $pos, $pos + length $1 ];
        $pos += length($1) + 2 + $1;
    }
    return @at ? $at[ $r->(scalar @at) ] : undef;
}

# kind => sub (random, data, id) -> new data; undef = no file
my %data = (
    'data-empty' => sub { return '' },
    'data-short' => sub { my ($r, $d) = @_; return substr $d, 0, $r->(19) },
    'data-gone'  => sub { return undef },
    'data-cut'   => sub { my ($r, $d, $id) = @_; my $n = 3 + length $id; return length $d > $n + 2 ? substr($d, 0, $n + $r->(length($d) - $n - 1)) : '' },
    'data-zero'  => sub { my ($r, $d) = @_; return "\0" x length $d },
    'data-zero-tail' => sub { my ($r, $d, $id) = @_; my $n = 3 + length $id; return '' if length $d < $n + 2; my $at = $n + $r->(length($d) - $n - 1); return substr($d, 0, $at) . "\0" x (length($d) - $at) },
    'data-id'    => sub { my ($r, $d) = @_; my $at = $r->(6); return with($d, $at, $at + 1, chr(ord(substr $d, $at, 1) ^ 1)) },
    'data-line'  => sub { my ($r, $d, $id) = @_; my $n = 3 + length $id; return length $d > $n ? with($d, $n, 1 + index($d, "\n", $n), '') : '' },
);

my %journal = (
    'journal-empty-line' => sub { return $_[1] . "\n" },
    'journal-nul-line'   => sub { return "\0\n" . $_[1] },
    'journal-nul'        => sub { return "do\0ne\@ok.test\n" },
    'journal-cut'        => sub { return substr $_[1], 0, -1 },
);

# Copies of the messages in `spool` (an unsplit or split one) into batches BATCH/input below `to`;
# answers [ { name, kind, from } ].  `random` of the copies get a random kind of damage each.
sub make_damage {
    my ($spool, $to, %opt) = @_;
    my $r = rng($opt{seed} // 1);
    my (@all, %batches);
    my @heads = sort map { substr $_, 0, -2 } glob("$spool/input/*-H $spool/input/?/*-H");
    my @kinds = sort keys %head;
    my @rare = ((sort keys %data), sort keys %journal);
    run_ok('rm', '-rf', $to);
    for my $i (0 .. $opt{number} - 1) {
        my $from = $heads[ $i % @heads ];
        my $batch = 'b' . int($i / @heads);
        my ($id) = $from =~ m{([^/]+)\z};
        my ($h, $d) = (slurp("$from-H"), slurp("$from-D"));
        my $j = -e "$from-J" ? slurp("$from-J") : undef;
        my $kind = $i % 8 == 7 ? $rare[ $r->(scalar @rare) ] : $kinds[ $i % @kinds ];
        my ($h0, $d0) = ($h, $d);
        if ($head{$kind}) {
            $h = $head{$kind}->($r, $h);
            next if !defined $h || $h eq $h0;
        }
        elsif ($data{$kind}) {
            $d = $data{$kind}->($r, $d, $id);
            next if defined $d && $d eq $d0;
        }
        else {
            $j = $journal{$kind}->($r, $j // "one\@ok.test\n");
        }
        run_ok('mkdir', '-p', "$to/$batch/input", "$to/$batch/msglog", "$to/$batch/db") unless $batches{$batch}++;
        my $name = "$batch/input/$id";
        put("$to/$name-H", $h);
        put("$to/$name-D", $d) if defined $d;
        put("$to/$name-J", $j) if defined $j;
        push @all, { name => $name, kind => $kind, from => $from };
    }
    return \@all;
}

sub put {
    my ($path, $bytes) = @_;
    spew($path, $bytes);
    chmod 0640, $path;
}

1;
