package Spoolck::Layouts;

# Property blocks of several unlike layouts, all invented: what the learner and the checker are tried on. None
# is the layout of a real server, which is not published.
#
#   my $spool = messages($family, 50, $seed);   # [ { name, text, stream, fields => [...] }, ... ]
#   write_spool($dir, $spool);                  # NAME.EML and NAME.EML:PROPERTIES
#
# fields lists where sizes and offsets lie, for tests that make them wrong: { at, width, kind, value }.

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT = qw(families kept_families messages write_spool block);

# --- Families ----------------------------------------------------------------------
# header: fields in order, [name, width, constant]; entry: the same; names that the builder fills in are
# sig, hsize, total, count, table, nrcpt, list, junk (anything), const.
# fragment: fields of a fragment's header (next, used, slots), slots: entries in each.
# rcpt: owner | list | none. row: fields of a row. end: nul | none. first: tables | values | mixed.

my %family = (
    plain16 => { header => [ [ sig => 4 ], [ hsize => 4 ], [ total => 4 ], [ count => 4 ], [ table => 4 ] ],
        entry => [ [ id => 4 ], [ offset => 4 ], [ length => 4 ], [ allocated => 4 ] ], rcpt => 'none',
        align => 4, first => 'tables' },
    tight8 => { header => [ [ count => 2 ], [ total => 2 ] ],
        entry => [ [ length => 2 ], [ offset => 4 ], [ id => 2 ] ], rcpt => 'none', align => 1, first => 'tables' },
    owner20 => { header => [ [ sig => 4 ], [ junk => 4 ], [ table => 4 ], [ nrcpt => 4 ], [ count => 4 ], [ total => 4 ] ],
        entry => [ [ offset => 4 ], [ owner => 4 ], [ id => 4 ], [ type => 4 ], [ length => 4 ] ],
        rcpt => 'owner', align => 8, first => 'values' },
    chain12 => { header => [ [ total => 4 ], [ table => 4 ], [ count => 2 ], [ const => 2, 7 ] ],
        fragment => [ [ next => 4 ], [ used => 4 ] ], slots => 8,
        entry => [ [ id => 2 ], [ junk => 2 ], [ length => 4 ], [ offset => 4 ] ], rcpt => 'none',
        align => 4, first => 'mixed' },
    list12 => { header => [ [ sig => 8 ], [ total => 4 ], [ count => 4 ], [ table => 4 ], [ nrcpt => 4 ], [ list => 4 ] ],
        entry => [ [ id => 4 ], [ offset => 4 ], [ length => 4 ] ], rcpt => 'list',
        row => [ [ table => 4 ], [ count => 4 ] ], align => 4, first => 'tables' },
    slack24 => { header => [ [ sig => 4 ], [ total => 4 ], [ table => 4 ], [ count => 4 ] ],
        entry => [ [ type => 2 ], [ id => 2 ], [ allocated => 4 ], [ length => 4 ], [ junk => 8 ], [ offset => 4 ] ],
        rcpt => 'none', align => 16, first => 'tables', slack => 1, round => 512 },
);

# Kept for the final test: the learner was written before it had seen any of these.
my %kept = (
    based18 => { header => [ [ const => 2, 3 ], [ count => 2 ], [ total => 4 ], [ nrcpt => 2 ], [ junk => 6 ], [ table => 4 ] ],
        entry => [ [ junk => 4 ], [ owner => 2 ], [ id => 2 ], [ offset => 4 ], [ length => 2 ], [ allocated => 4 ] ],
        rcpt => 'owner', align => 2, first => 'values', base => 20 },
    chain16 => { header => [ [ sig => 4 ], [ hsize => 2 ], [ count => 2 ], [ table => 4 ], [ total => 4 ] ],
        fragment => [ [ used => 2 ], [ slots => 2 ], [ next => 4 ] ], slots => 5,
        entry => [ [ offset => 4 ], [ length => 4 ], [ allocated => 4 ], [ id => 2 ], [ type => 2 ] ], rcpt => 'none',
        align => 8, first => 'mixed' },
    fixed10 => { header => [ [ total => 4 ], [ count => 4 ] ],
        entry => [ [ id => 2 ], [ offset => 4 ], [ length => 4 ] ], rcpt => 'none', align => 1, first => 'tables' },
    list8 => { header => [ [ table => 4 ], [ list => 4 ], [ count => 2 ], [ nrcpt => 2 ], [ total => 4 ] ],
        entry => [ [ offset => 4 ], [ id => 2 ], [ length => 2 ] ], rcpt => 'list',
        row => [ [ junk => 4 ], [ count => 4 ], [ table => 4 ] ], align => 2, first => 'values' },
    open14 => { header => [ [ sig => 4 ], [ table => 4 ], [ junk => 8 ], [ count => 2 ], [ const => 2, 1 ] ],
        entry => [ [ length => 4 ], [ type => 2 ], [ offset => 4 ], [ id => 4 ] ], rcpt => 'none', end => 'none',
        align => 4, first => 'tables' },
    slack22 => { header => [ [ total => 4 ], [ sig => 4 ], [ hsize => 4 ], [ table => 4 ], [ nrcpt => 4 ], [ count => 4 ] ],
        entry => [ [ id => 4 ], [ allocated => 4 ], [ junk => 2 ], [ offset => 4 ], [ owner => 4 ], [ length => 4 ] ],
        rcpt => 'owner', align => 4, first => 'values', slack => 1, round => 256 },
    listchain => { header => [ [ total => 4 ], [ nrcpt => 4 ], [ list => 4 ], [ table => 4 ], [ hsize => 2 ], [ const => 2, 9 ] ],
        fragment => [ [ next => 4 ], [ used => 2 ], [ junk => 2 ] ], slots => 6,
        entry => [ [ id => 2 ], [ length => 2 ], [ offset => 4 ] ], rcpt => 'list', row => [ [ table => 4 ] ],
        align => 4, first => 'mixed' },
    wide20 => { header => [ [ sig => 4 ], [ count => 4 ], [ table => 4 ], [ total => 4 ] ],
        entry => [ [ id => 4 ], [ junk => 4 ], [ length => 4 ], [ allocated => 4 ], [ offset => 4 ] ], rcpt => 'none',
        align => 2, first => 'values', wide => 1 },
);

sub families { return sort keys %family }
sub kept_families { return sort keys %kept }

# --- Messages ---------------------------------------------------------------------------

# Numbers that look random and are the same in each run.
my $state;
sub any {
    my ($n) = @_;
    $state = ($state * 1103515245 + 12345) % 2**31;
    return int($state / 2**31 * $n);
}
sub word { return join '', map { chr(97 + any(26)) } 1 .. 3 + any(9) }
sub address { return word() . '.' . word() . '@' . word() . '.example.' . (qw(org com net))[any(3)] }

# Properties of one message: [id, owner, bytes, string?]
sub properties {
    my ($end, $wide) = @_;
    my $nul = $end eq 'nul' ? "\0" : '';
    my ($sender, $subject) = (address(), join ' ', map { word() } 1 .. 2 + any(5));
    my $id = '<' . word() . any(1e6) . '@' . word() . '.example.org>';
    my @to = map { address() } 1 .. 1 + any(4);
    my $time = 133_000_000_000_000_000 + any(2e9) * 1_000_000 + any(1e6);
    my @p = ([ 0x1002, undef, $sender . $nul ], [ 0x1013, undef, pack 'Q<', $time ], [ 0x1014, undef, pack 'V', any(7) ]);
    push @p, [ 0x100a, undef, word() . '.example.net' . $nul ] if any(10) < 8;
    push @p, [ 0x1009, undef, join('.', map { any(256) } 1 .. 4) . $nul ] if any(10) < 7;
    push @p, [ 0x1021, undef, $subject . $nul ], [ 0x1020, undef, $id . $nul ];
    push @p, [ 0x100b, undef, pack 'V', any(2) ] if any(2);
    push @p, [ 0x1029, undef, pack 'V', scalar @to ];
    push @p, [ 0x1016, undef, pack 'Q<', $time + 1_728_000_000_000 ] if any(10) < 9;
    push @p, [ 0x1031, undef, 'text/plain' . $nul ] if any(3);
    push @p, [ 0x1036, undef, pack 'V', any(2**31) ] if any(4) == 0;
    push @p, [ 0x1033, undef, pack 'V', 25 ] if any(2);
    push @p, [ 0x8000 + any(40), undef, join '', map { chr any(256) } 1 .. 1 + any(30) ] if any(6) == 0;
    for my $i (0 .. $#to) {
        push @p, [ 0x2009, $i, $to[$i] . $nul ], [ 0x200d, $i, pack 'V', any(16) << 8 ];
        push @p, [ 0x200e, $i, '250 ok ' . word() . $nul ] if any(4) == 0;
    }
    if ($wide) { # strings in UTF-16
        for my $p (@p) { $p->[2] = join '', map { "$_\0" } split //, $p->[2] if $p->[2] =~ /\A[\x20-\x7e]{5,}\0?\z/ }
    }
    my $text = "Received: from x by y; Fri, 20 Nov 2026 07:31:00 +0000\r\nFrom: $sender\r\nTo: " . join(",\r\n ", @to)
        . "\r\nSubject: $subject\r\nMessage-ID: $id\r\n\r\n" . join(' ', map { word() } 1 .. 20) . "\r\n";
    return ($text, \@p, scalar @to);
}

# --- Blocks --------------------------------------------------------------------------------

sub width_of { my ($fields) = @_; my $n = 0; $n += $_->[1] for @{ $fields // [] }; return $n }

# One block: { stream, fields }. Pieces are placed first, then written.
sub block {
    my ($f, $props, $nrcpt) = @_;
    my $align = $f->{align};
    my $pos = my $hsize = width_of($f->{header});
    my ($esize, $fsize, $rsize) = map { width_of($f->{$_}) } qw(entry fragment row);
    my @own = grep { $f->{rcpt} ne 'list' || !defined $_->[1] } @$props;
    my @tables = ({ props => \@own });
    if ($f->{rcpt} eq 'list') {
        for my $r (0 .. $nrcpt - 1) {
            push @tables, { rcpt => $r, props => [ grep { defined $_->[1] && $_->[1] == $r } @$props ] };
        }
    }
    my $up = sub { my ($n, $to) = @_; return int(($n + $to - 1) / $to) * $to };
    my $place = sub {
        my ($p) = @_;
        $pos = $up->($pos, $align);
        $p->[3] = $pos;
        $p->[4] = $up->(length $p->[2], $align > 1 ? $align : 8) + ($align > 1 ? 0 : 8 * any(2));
        $pos += (grep { $_->[0] eq 'allocated' } @{ $f->{entry} }) ? $p->[4] : length $p->[2];
    };
    if ($f->{first} eq 'values') { $place->($_) for @$props }
    my ($list);
    for my $t (@tables) {
        if ($t == $tables[0] && $f->{rcpt} eq 'list') {
            $pos = $up->($pos, $align > 4 ? $align : 4) if $f->{first} eq 'values';
        }
        $pos = $up->($pos, 4) if $f->{first} eq 'values' && $align > 1;
        my @rest = @{ $t->{props} };
        my $slots = $fsize ? $f->{slots} : scalar @rest;
        do {
            my @now = splice @rest, 0, $slots;
            push @{ $t->{fragments} }, { at => $pos, props => \@now };
            $pos += $fsize + $esize * ($fsize ? $slots : @now);
            if ($f->{first} eq 'mixed') { $place->($_) for @now; $pos = $up->($pos, 4) if @rest }
        } while @rest;
        if ($t == $tables[0] && $f->{rcpt} eq 'list') { $list = $pos; $pos += $rsize * $nrcpt }
    }
    if ($f->{first} eq 'tables') { $place->($_) for @$props }
    my $total = $pos;
    my $size = $f->{slack} ? $up->($total + any(100), $f->{round}) : $total;
    my $s = "\0" x $size;
    my @fields;
    my $put = sub {
        my ($at, $fields, $values, $what) = @_;
        for my $field (@$fields) {
            my ($name, $width, $constant) = @$field;
            my $v = $name eq 'junk' ? undef : $name eq 'const' ? $constant : $values->{$name};
            if ($name eq 'sig') { substr $s, $at, $width, substr 'QMSGBLK7', 0, $width }
            elsif ($name eq 'junk') { substr $s, $at, $width, join '', map { chr any(256) } 1 .. $width }
            else {
                substr $s, $at, $width, substr pack('V', $v), 0, $width;
                push @fields, { at => $at, width => $width, kind => "$what.$name", value => $v };
            }
            $at += $width;
        }
    };
    my %type = (4 => 3, 8 => 64);
    for my $t (@tables) {
        my @fragments = @{ $t->{fragments} };
        for my $i (0 .. $#fragments) {
            my $at = $fragments[$i]{at};
            $put->($at, $f->{fragment}, { next => $i < $#fragments ? $fragments[ $i + 1 ]{at} : 0,
                used => scalar @{ $fragments[$i]{props} }, slots => $f->{slots} // 0 }, 'fragment') if $fsize;
            $at += $fsize;
            for my $p (@{ $fragments[$i]{props} }) {
                my ($id, $owner, $bytes, $start, $room) = @$p;
                my $string = $id != 0x1013 && $id != 0x1016 && length $bytes != 4 && $id < 0x8000;
                my $code = $id >= 0x8000 ? 65 : $string ? 30 : $id =~ /^(?:4115|4118)$/ ? 64 : 3;
                $put->($at, $f->{entry}, { id => $id, offset => $start - ($f->{base} // 0), length => length $bytes,
                    allocated => $room, owner => $owner // 0xffffffff, type => $code }, 'entry');
                $at += $esize;
            }
        }
        $put->($list + $rsize * $t->{rcpt}, $f->{row}, { table => $fragments[0]{at},
            count => scalar @{ $t->{props} } }, 'row') if defined $t->{rcpt};
    }
    substr $s, $_->[3], length $_->[2], $_->[2] for @$props;
    substr $s, $total, $size - $total, join '', map { chr any(256) } 1 .. $size - $total if $size > $total;
    $put->(0, $f->{header}, { hsize => $hsize, total => $total, count => scalar @own, table => $tables[0]{fragments}[0]{at},
        nrcpt => $nrcpt, list => $list // 0 }, 'header');
    return { stream => $s, fields => \@fields };
}

sub messages {
    my ($name, $count, $seed) = @_;
    my $f = $family{$name} // $kept{$name} // die "no family $name";
    $state = $seed;
    return [ map {
        my ($text, $props, $nrcpt) = properties($f->{end} // 'nul', $f->{wide});
        my $block = block($f, $props, $nrcpt);
        { name => sprintf('NTFS_%08x01D%05d.EML', 0x3fc00000 + $_ * 977, $_), text => $text, %$block }
    } 1 .. $count ];
}

sub write_spool {
    my ($dir, $messages) = @_;
    for my $m (@$messages) {
        for my $file ([ $m->{name}, $m->{text} ], [ "$m->{name}:PROPERTIES", $m->{stream} ]) {
            open my $out, '>:raw', "$dir/$file->[0]" or die "$file->[0]: $!";
            print $out $file->[1];
            close $out or die "$file->[0]: $!";
        }
    }
}

1;
