package Lab::Postfix::Damage;

# Damaged copies of healthy queue files, in named kinds.  Deterministic: same corpus, seed and
# number give the same bytes (file names contain inodes and differ).
#
# A kind is a function (file, rand) -> (new bytes, offset of the damage, note), or nothing when
# it does not apply to that file.  file: { data, recs (see Records), maildrop, path, case }.
# rand->(n) is an integer below n.  Kinds that start with "legal-" are odd but sound: no server
# minds them, so no checker may.

use strict;
use warnings;
use Exporter 'import';
use Lab::Postfix::Records qw(records record encode_length);
use Lab::Util qw(slurp spew run_ok tsv_write tsv_read rng say_step);

our @EXPORT_OK = qw(make_damage kinds);

my %kind;        # name => code
my %kind_mode;   # name => mode of the file, where the mode is the damage
my %few;         # name => at most this many files (slow or deadly for the judges)

# ---- tools

sub pick { my ($rand, @list) = @_; return @list ? $list[ $rand->(scalar @list) ] : undef }

sub replace { my ($data, $at, $len, $new) = @_; substr($data, $at, $len) = $new; return $data }

# A random record that satisfies the condition ($_ is the record).
sub some_record {
    my ($f, $rand, $cond) = @_;
    return pick($rand, grep { $cond->() } @{ $f->{recs} });
}

sub in_seg { my ($seg) = @_; return sub { $_->{seg} eq $seg } }
sub of_type { my ($types) = @_; return sub { index($types, $_->{type}) >= 0 } }

sub size_record { my ($f) = @_; my $c = $f->{recs}[0]; return $c->{type} eq 'C' ? $c : undef }

sub whole { my ($r) = @_; return ($r->{at}, $r->{data_at} + $r->{len} - $r->{at}) }

sub has_jumps { my ($f) = @_; return scalar grep { $_->{target} } @{ $f->{recs} } }

# The same file written anew from a list of [type, data], with a size record that is right.
sub rewrite {
    my ($f, $edit, $fields) = @_;
    return if has_jumps($f);
    my @list = $edit->(map { [ $_->{type}, substr $f->{data}, $_->{data_at}, $_->{len} ] } @{ $f->{recs} });
    return unless @list;
    my $c = $list[0][0] eq 'C' ? shift @list : undef;
    my @old = $c ? split ' ', $c->[1] : ();
    $fields ||= scalar @old;
    my $head = $c ? 2 + 16 * $fields - 1 : 0;
    my ($body, $m_end, $x_at) = ('');
    for (@list) {
        $x_at = $head + length $body if $_->[0] eq 'X' && !defined $x_at && defined $m_end;
        $body .= record(@$_);
        $m_end = $head + length $body if $_->[0] eq 'M' && !defined $m_end;
    }
    return $body unless $c;
    my $rcpt = grep { $_->[0] =~ m{[RD/]} } @list;
    my @new = ((defined $x_at && defined $m_end ? $x_at - $m_end : $old[0]), (defined $m_end ? $m_end : $old[1]), $rcpt, @old[ 3 .. 5 ], (0) x 4);
    $new[4] = $new[0] if $fields > 4 && $old[4] == $old[0];
    return record('C', join ' ', map { sprintf '%15d', $_ } @new[ 0 .. $fields - 1 ]) . $body;
}

# ---- record lengths

my %length_edit = (
    plus1   => sub { encode_length($_[0]{len} + 1) },
    minus1  => sub { $_[0]{len} ? encode_length($_[0]{len} - 1) : () },
    zero    => sub { $_[0]{len} ? "\0" : () },
    random  => sub { my $b = chr $_[1]->(128); encode_length($_[0]{len}) ne $b ? $b : () },
    far     => sub { encode_length($_[0]{len} + 128 * (1 + $_[1]->(40))) },
    highbit => sub { my $e = encode_length($_[0]{len}); substr($e, -1) |= "\x80"; $e },
    wild4   => sub { "\xff\xff\xff\x7f" },
    wild5   => sub { "\xff\xff\xff\xff\x07" },
    over5   => sub { "\xff\xff\xff\xff\x0f" },
    six     => sub { "\x80\x80\x80\x80\x80\x00" },
);
for my $seg (qw(env text ext)) {
    for my $name (keys %length_edit) {
        # The new bytes lie over the old ones and over the data, as damage on a disk does.
        $kind{"length-$name.$seg"} = sub {
            my ($f, $rand) = @_;
            my $r = some_record($f, $rand, in_seg($seg)) or return;
            my $new = $length_edit{$name}->($r, $rand);
            return unless defined $new && $r->{at} + 1 + length $new <= length $f->{data};
            my $was = $r->{data_at} - $r->{at} - 1;
            my $over = length $new > $was ? length $new : $was;
            return (replace($f->{data}, $r->{at} + 1, $over, $new . substr($f->{data}, $r->{at} + 1 + length $new, $over - length $new)), $r->{at} + 1, "$r->{type} $r->{len}");
        };
        $few{"length-$name.$seg"} = 3 if $name =~ /wild|over/;    # hundreds of megabytes in each reader
    }
}
$kind{'legal-length-padded'} = sub {
    my ($f, $rand) = @_;
    my $n = 1 + $rand->(scalar(@{ $f->{recs} }) - 1);
    return if has_jumps($f);
    my $r = $f->{recs}[$n];
    # Two places are moved by the longer header: data offset and size.
    my $enc = encode_length($r->{len});
    substr($enc, -1) |= "\x80";
    my $data = replace($f->{data}, $r->{at} + 1, $r->{data_at} - $r->{at} - 1, "$enc\0");
    my $c = size_record($f) or return ($data, $r->{at} + 1, $r->{type});
    my @v = split ' ', substr $f->{data}, $c->{data_at}, $c->{len};
    if    ($r->{seg} eq 'env')                      { $v[1]++ }
    elsif ($r->{seg} eq 'text') { $v[0]++; $v[4]++ }
    return (replace($data, $c->{data_at}, $c->{len}, join ' ', map { sprintf '%15d', $_ } @v), $r->{at} + 1, $r->{type});
};

# ---- the size record

my %field_edit = (
    'letter-first' => sub { my ($v) = @_; $v =~ s/\d/x/; $v },
    'letter-last'  => sub { my ($v) = @_; $v =~ s/\d\z/x/; $v },
    'letter-pad'   => sub { my ($v) = @_; $v =~ s/^ /x/ ? $v : () },
    'letter-gap'   => sub { my ($v) = @_; $v =~ s/ (\d+)\z/x$1/ ? $v : () },
    'all-blank'    => sub { ' ' x 15 },
    'all-nul'      => sub { "\0" x 15 },
    'nul-first'    => sub { my ($v) = @_; $v =~ s/\d/\0/; $v },
    'plus1'        => sub { sprintf '%15d', $_[0] + 1 },
    'minus1'       => sub { sprintf '%15d', $_[0] - 1 },
    'plus-many'    => sub { sprintf '%15d', $_[0] + 2 + $_[1]->(5000) },
    'minus-many'   => sub { sprintf '%15d', $_[0] - 2 - $_[1]->(5000) },
    'zero'         => sub { sprintf '%15d', 0 },
    'negative'     => sub { sprintf '%15d', -$_[0] - 1 },
    'nines'        => sub { '9' x 15 },
    'big'          => sub { sprintf '%15d', 2**31 + $_[1]->(1000) },
    'bit'          => sub { my ($v) = @_; my $i = $_[1]->(15); substr($v, $i, 1) = chr(ord(substr $v, $i, 1) ^ 1 << $_[1]->(7)); $v },
    'left'         => sub { my ($v) = @_; $v =~ s/^ +//; sprintf '%-15s', $v },
    'leading-zero' => sub { sprintf '%015d', $_[0] },
);
for my $n (1 .. 6) {
    for my $name (keys %field_edit) {
        my $kind = "size$n-$name";
        $kind = "legal-$kind" if $name =~ /^(?:leading-zero|left)\z/;
        $kind{$kind} = sub {
            my ($f, $rand) = @_;
            my $c = size_record($f) or return;
            my $at = $c->{data_at} + 16 * ($n - 1);
            my $old = substr $f->{data}, $at, 15;
            my $new = $field_edit{$name}->($old, $rand);
            return if !defined $new || $new eq $old;
            return (replace($f->{data}, $at, 15, $new), $at, "$old -> $new");
        };
        $few{$kind} = 12;
    }
}
# How many fields a reader can parse.
for my $count (0 .. 2) {
    $kind{"size-count$count"} = sub {
        my ($f, $rand) = @_;
        my $c = size_record($f) or return;
        my $at = $c->{data_at} + 16 * $count;
        my $len = $c->{len} - 16 * $count;
        return (replace($f->{data}, $at, $len, ($rand->(2) ? 'x' : ' ') x $len), $at, "$count fields left");
    };
    $few{"size-count$count"} = 20;
}
$few{'size-count1'} = 8;
# Shorter or longer size records with everything behind in the right place: older and newer series.
for my $fields (3, 4, 5, 7, 8) {
    $kind{"legal-size-fields$fields"} = sub {
        my ($f) = @_;
        size_record($f) or return;
        my $data = rewrite($f, sub { @_ }, $fields) or return;
        return ($data, 2, "$fields fields");
    };
}

# ---- pointers

my %pointer_edit = (
    'letter'   => sub { my ($v) = @_; $v =~ s/\d/q/; $v },
    'blank'    => sub { ' ' x length $_[0] },
    'nul'      => sub { "\0" x length $_[0] },
    'beyond'   => sub { my ($v, $r, $f, $rand) = @_; wide($v, length($f->{data}) + 1 + $rand->(100000)) },
    'at-eof'   => sub { my ($v, $r, $f) = @_; wide($v, length $f->{data}) },
    'self'     => sub { my ($v, $r) = @_; wide($v, $r->{at}) },
    'negative' => sub { my ($v) = @_; wide($v, -5) },
    'nines'    => sub { '9' x length $_[0] },
    'mid'      => sub { my ($v, $r, $f, $rand) = @_; my $t = pick($rand, grep { $_->{len} > 3 } @{ $f->{recs} }); wide($v, $t->{data_at} + 1 + $rand->($t->{len} - 1)) },
    'forward'  => sub { my ($v, $r, $f, $rand) = @_; my $t = pick($rand, grep { $_->{at} > $r->{at} } @{ $f->{recs} }) or return; wide($v, $t->{at}) },
    'start'    => sub { my ($v) = @_; wide($v, 1) },
    'digit'    => sub { my ($v, $r, $f, $rand) = @_; substr($v, -1 - $rand->(length $v < 3 ? 1 : 3), 1) = $rand->(10); $v },
);
sub wide { my ($old, $n) = @_; my $s = sprintf '%' . length($old) . 'd', $n; return length $s == length $old ? $s : () }
for my $name (keys %pointer_edit) {
    for my $what (qw(dummy real)) {
        my $kind = "pointer-$name.$what";
        $kind{$kind} = sub {
            my ($f, $rand) = @_;
            my $r = some_record($f, $rand, sub { $_->{type} eq 'p' && ($what eq 'real') == !!$_->{target} }) or return;
            my $old = substr $f->{data}, $r->{data_at}, $r->{len};
            my $new = $pointer_edit{$name}->($old, $r, $f, $rand);
            return if !defined $new || $new eq $old;
            return (replace($f->{data}, $r->{data_at}, $r->{len}, $new), $r->{data_at}, "$r->{seg} $old -> $new");
        };
    }
}
$kind{'pointer-to-zero.real'} = sub {
    my ($f, $rand) = @_;
    my $r = some_record($f, $rand, sub { $_->{target} }) or return;
    return (replace($f->{data}, $r->{data_at}, $r->{len}, sprintf '%' . $r->{len} . 'd', 0), $r->{data_at}, "$r->{seg} $r->{target}");
};
# Backward jumps within a segment: the real readers go round until their counters stop them.
for my $seg (qw(env text ext)) {
    $kind{"pointer-loop.$seg"} = sub {
        my ($f, $rand) = @_;
        return if length $f->{data} > 6000;
        my $r = some_record($f, $rand, sub { $_->{type} eq 'p' && $_->{seg} eq $seg }) or return;
        my $t = pick($rand, grep { $_->{seg} eq $seg && $_->{at} < $r->{at} && $_->{at} > 0 } @{ $f->{recs} }) or return;
        my $new = wide(substr($f->{data}, $r->{data_at}, $r->{len}), $t->{at}) or return;
        return (replace($f->{data}, $r->{data_at}, $r->{len}, $new), $r->{data_at}, "back to $t->{type} at $t->{at}");
    };
    $few{"pointer-loop.$seg"} = 4;
    $kind{"pointer-forged.$seg"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, sub { $_->{seg} eq $seg && $_->{at} && (whole($_))[1] >= 17 }) or return;
        my $t = pick($rand, grep { $_->{seg} eq $seg && $_->{at} > $r->{at} } @{ $f->{recs} }) or return;
        return (replace($f->{data}, $r->{at}, 17, record('p', sprintf '%15d', $t->{at})), $r->{at}, "over $r->{type}, to $t->{type} at $t->{at}");
    };
}

# ---- record types

my %type_edit = (
    nul    => sub { "\0" },
    high   => sub { chr(128 + $_[1]->(128)) },
    random => sub { chr $_[1]->(256) },
    letter => sub { pick($_[1], 'A' .. 'Z', 'a' .. 'z') },
    known  => sub { pick($_[1], split //, 'MCTcFILSDRO/WVA>Kionp<XNwPreEfdm') },
    case   => sub { my $t = $_[0]{type}; $t =~ tr/A-Za-z/a-zA-Z/; $t },
    bit    => sub { chr(ord($_[0]{type}) ^ 1 << $_[1]->(8)) },
);
for my $seg (qw(env text ext)) {
    for my $name (keys %type_edit) {
        $kind{"type-$name.$seg"} = sub {
            my ($f, $rand) = @_;
            my $r = some_record($f, $rand, in_seg($seg)) or return;
            my $new = $type_edit{$name}->($r, $rand);
            return if $new eq $r->{type};
            return (replace($f->{data}, $r->{at}, 1, $new), $r->{at}, "$r->{type} -> $new");
        };
    }
}
for my $pair (qw(ME XE NX NM NE XN EN ER MN MX XM CN TS ST RS RO RD RK RA AR SR OR SK TK AK NL LN EX NA Np Nw Aw)) {
    my ($from, $to) = split //, $pair;
    $kind{"type-$from-to-$to"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, of_type($from)) or return;
        return (replace($f->{data}, $r->{at}, 1, $to), $r->{at}, "$r->{seg} $from -> $to");
    };
}

# ---- truncation

my %cut = (
    'anywhere' => sub { my ($f, $rand) = @_; $rand->(length $f->{data}) },
    'boundary' => sub { my ($f, $rand) = @_; some_record($f, $rand, sub { $_->{at} })->{at} },
    'header'   => sub { my ($f, $rand) = @_; some_record($f, $rand, sub { 1 })->{at} + 1 },
    'last'     => sub { my ($f) = @_; length($f->{data}) - 1 },
    'end'      => sub { my ($f) = @_; $f->{recs}[-1]{at} },
    'page'     => sub { my ($f, $rand) = @_; my $n = int(length($f->{data}) / 4096) or return; 4096 * (1 + $rand->($n)) },
    'early'    => sub { my ($f, $rand) = @_; 1 + $rand->(120) },
    'empty'    => sub { 0 },
    'text'     => sub { my ($f, $rand) = @_; my $r = some_record($f, $rand, in_seg('text')) or return; $r->{at} + $rand->(2 + $r->{len}) },
);
for my $name (keys %cut) {
    $kind{"cut-$name"} = sub {
        my ($f, $rand) = @_;
        my $at = $cut{$name}->($f, $rand);
        return if !defined $at || $at >= length $f->{data};
        return (substr($f->{data}, 0, $at), $at, length($f->{data}) . ' bytes before');
    };
}
$few{'cut-empty'} = 6;

# ---- blocks

sub block_at {
    my ($f, $rand, $size, $where) = @_;
    my $blocks = int((length($f->{data}) + $size - 1) / $size);
    my $n = $where eq 'first' ? 0 : $where eq 'last' ? $blocks - 1 : $rand->($blocks);
    my $at = $n * $size;
    my $len = length($f->{data}) - $at;
    return ($at, $len > $size ? $size : $len);
}
my %fill = (
    zero => sub { "\0" x $_[0] },
    ones => sub { "\xff" x $_[0] },
    text => sub { substr "Some other file's text, line by line.\nAnd more.\n" x (1 + $_[0] / 40), 0, $_[0] },
    noise => sub { my ($n, $rand) = @_; join '', map { chr $rand->(256) } 1 .. $n },
    mail => sub { my ($n, $rand, $other, $at) = @_; my $d = $other->{data} x (1 + ($at + $n) / length $other->{data}); substr $d, $at, $n },
    shifted => sub { my ($n, $rand, $other, $at) = @_; my $d = $other->{data} x (2 + $n / length $other->{data}); substr $d, $rand->(length $other->{data}), $n },
);
for my $what (keys %fill) {
    for my $plan ([ 4096, 'first' ], [ 4096, 'any' ], [ 4096, 'last' ], [ 512, 'any' ]) {
        my ($size, $where) = @$plan;
        $kind{"block$size-$what.$where"} = sub {
            my ($f, $rand, $other) = @_;
            my ($at, $len) = block_at($f, $rand, $size, $where);
            my $new = $fill{$what}->($len, $rand, $other, $at);
            return if $new eq substr $f->{data}, $at, $len;
            return (replace($f->{data}, $at, $len, $new), $at, "$len bytes");
        };
    }
}
$kind{'zero-tail'} = sub { my ($f, $rand) = @_; my $at = $rand->(length $f->{data}); (replace($f->{data}, $at, length($f->{data}) - $at, "\0" x (length($f->{data}) - $at)), $at, '') };
$kind{'zero-all'} = sub { my ($f) = @_; ("\0" x length $f->{data}, 0, '') };
$kind{'foreign-file'} = sub { my ($f, $rand) = @_; (pick($rand, "From x\nSubject: an mbox\n\nhello\n" x 40, "\x7fELF\2\1\1\0" . "\0" x 500, "\x1f\x8b\x08\0" . "abc" x 300, "{\"json\": true}\n", 'M', "\n"), 0, '') };
$kind{'other-half'} = sub { my ($f, $rand, $other) = @_; my $at = int(length($f->{data}) / 2); return if length $other->{data} <= $at; (substr($f->{data}, 0, $at) . substr($other->{data}, $at), $at, "from $other->{path}") };
$few{$_} = 8 for qw(zero-all foreign-file);

# ---- single bits and bytes

my %spot = (
    size   => sub { my ($f, $rand) = @_; my $c = size_record($f) or return; $rand->(2 + $c->{len}) },
    header => sub { my ($f, $rand) = @_; my $r = some_record($f, $rand, sub { 1 }); $r->{at} + $rand->($r->{data_at} - $r->{at}) },
    any    => sub { my ($f, $rand) = @_; $rand->(length $f->{data}) },
    map { my $seg = $_; ($seg => sub { my ($f, $rand) = @_; my $r = some_record($f, $rand, sub { $_->{seg} eq $seg && $_->{len} }) or return; $r->{data_at} + $rand->($r->{len}) }) } qw(env text ext),
);
my %spot_edit = (
    bit    => sub { my ($data, $at, $rand) = @_; replace($data, $at, 1, chr(ord(substr $data, $at, 1) ^ 1 << $rand->(8))) },
    byte   => sub { my ($data, $at, $rand) = @_; replace($data, $at, 1, chr $rand->(256)) },
    insert => sub { my ($data, $at, $rand) = @_; replace($data, $at, 0, chr $rand->(256)) },
    delete => sub { my ($data, $at) = @_; replace($data, $at, 1, '') },
);
for my $what (keys %spot_edit) {
    for my $where (keys %spot) {
        $kind{"$what.$where"} = sub {
            my ($f, $rand) = @_;
            my $at = $spot{$where}->($f, $rand);
            return unless defined $at;
            my $new = $spot_edit{$what}->($f->{data}, $at, $rand);
            return if $new eq $f->{data};
            return ($new, $at, '');
        };
    }
}

# ---- whole records

for my $t (qw(C T S M X E R O A W F N p)) {
    $kind{"remove-$t"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, of_type($t)) or return;
        return (replace($f->{data}, whole($r), ''), $r->{at}, $r->{seg});
    };
    $kind{"repeat-$t"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, of_type($t)) or return;
        my ($at, $len) = whole($r);
        return (replace($f->{data}, $at, 0, substr $f->{data}, $at, $len), $at, $r->{seg});
    };
    # The same with a size record and offsets that fit: only the grammar is wrong.
    $kind{ $t =~ /[OAWFN]/ ? "legal-without-$t" : "without-$t" } = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, of_type($t)) or return;
        my $n = 0;
        $n++ while $f->{recs}[$n] != $r;
        return if $t eq 'O' && $f->{maildrop} or $t eq 'N' && 2 > grep { $_->{type} eq 'N' } @{ $f->{recs} };
        return if $t eq 'A' && substr($f->{data}, $r->{data_at}, $r->{len}) !~ /^(?:log_|create|client_|helo)/;
        my $data = rewrite($f, sub { my @l = @_; splice @l, $n, 1; @l }) or return;
        return ($data, $r->{at}, "$r->{seg} $n");
    };
}
sub inserted {
    my ($seg, $type, $data) = @_;
    return sub {
        my ($f, $rand) = @_;
        my @n = grep { $f->{recs}[$_]{seg} eq $seg && $f->{recs}[$_]{type} ne 'C' } 0 .. $#{ $f->{recs} };
        my $n = pick($rand, @n);
        return unless defined $n;
        my $new = rewrite($f, sub { my @l = @_; splice @l, $n, 0, [ $type, ref $data ? $data->($rand) : $data ]; @l }) or return;
        return ($new, $f->{recs}[$n]{at}, "$type before $f->{recs}[$n]{type}");
    };
}
$kind{'legal-attribute'} = inserted('env', 'A', 'unheard_of=value');
$kind{'legal-attribute-ext'} = inserted('ext', 'A', 'unheard_of=value');
$kind{'killed-record'} = inserted('env', 'K', 'something that was');
$kind{'legal-killed'} = sub { $_[0]{maildrop} ? () : $kind{'killed-record'}->(@_) };
$kind{'legal-padding-text'} = inserted('text', 'w', sub { 'w' x $_[0]->(500) });
$kind{'legal-nul-line'} = inserted('text', 'N', "\0\0a\0");
$kind{'attribute-no-equal'} = inserted('env', 'A', 'noequalsign');
$kind{'attribute-no-name'} = inserted('env', 'A', '=value');
$kind{'attribute-empty'} = inserted('env', 'A', '');
$kind{'attribute-ext-no-equal'} = inserted('ext', 'A', 'noequalsign');
$kind{"insert-$_.env"} = inserted('env', $_, "x") for qw(N X E f d m P r e w B);
$kind{"insert-$_.ext"} = inserted('ext', $_, "x") for qw(N X M S T C W F f w);
$kind{"insert-$_.text"} = inserted('text', $_, "x") for qw(A R S M E C K);
$kind{'second-S.env'} = inserted('env', 'S', 'other@sender.test');
$kind{'legal-second-T'} = inserted('env', 'T', '1700000000 1');
$kind{'rcpt-empty'} = inserted('env', 'R', '');
$kind{'swap'} = sub {
    my ($f, $rand) = @_;
    my $n = 1 + $rand->(@{ $f->{recs} } - 2);
    return if $f->{recs}[$n]{type} eq 'N' && $f->{recs}[ $n + 1 ]{type} eq 'N';
    my $data = rewrite($f, sub { my @l = @_; @l[ $n, $n + 1 ] = @l[ $n + 1, $n ]; @l }) or return;
    return ($data, $f->{recs}[$n]{at}, "$f->{recs}[$n]{type} and $f->{recs}[$n + 1]{type}");
};

# ---- values

for my $t (qw(S R A T F O W)) {
    $kind{"nul-$t"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, sub { $_->{type} eq $t && $_->{len} }) or return;
        my $at = $r->{data_at} + $rand->($r->{len});
        return (replace($f->{data}, $at, 1, "\0"), $at, '');
    };
}
for my $t (qw(S R A F O)) {
    $kind{"line-end-$t"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, sub { $_->{type} eq $t && $_->{len} }) or return;
        my $at = $r->{data_at} + $rand->($r->{len});
        return (replace($f->{data}, $at, 1, $rand->(2) ? "\n" : "\r"), $at, '');
    };
}
my %time = (zero => sub { '0' x $_[0] }, letters => sub { 'x' x $_[0] }, blank => sub { ' ' x $_[0] }, future => sub { '9' x $_[0] }, nul => sub { "\0" x $_[0] });
for my $name (keys %time) {
    $kind{"time-$name"} = sub {
        my ($f, $rand) = @_;
        my $r = some_record($f, $rand, of_type('T')) or return;
        my $len = (index substr($f->{data}, $r->{data_at}, $r->{len}) . ' ', ' ');
        return (replace($f->{data}, $r->{data_at}, $len, $time{$name}->($len)), $r->{data_at}, '');
    };
}
$kind{'address-spaces'} = sub {
    my ($f, $rand) = @_;
    my $r = some_record($f, $rand, sub { $_->{type} eq 'R' && $_->{len} }) or return;
    return (replace($f->{data}, $r->{data_at}, $r->{len}, ' ' x $r->{len}), $r->{data_at}, '');
};
$kind{'filter-syntax'} = inserted('env', 'L', 'nonsense');

# ---- after the end, modes

$kind{'legal-tail-zero'} = sub { my ($f, $rand) = @_; ($f->{data} . "\0" x (1 + $rand->(5000)), length $f->{data}, '') };
$kind{'legal-tail-noise'} = sub { my ($f, $rand) = @_; ($f->{data} . join('', map { chr $rand->(256) } 0 .. $rand->(500)), length $f->{data}, '') };
$kind{'legal-tail-mail'} = sub { my ($f, $rand, $other) = @_; ($f->{data} . $other->{data}, length $f->{data}, '') };
for my $mode (qw(0400 0600 0000 0500 0777 0750)) {
    my $name = $mode =~ /7.[057]/ ? "legal-mode-$mode" : "mode-$mode";
    # (maildrop has rules of its own: see maildrop-unreadable.)
    $kind{$name} = sub { $_[0]{maildrop} ? () : ($_[0]{data}, 0, $mode) };
    $kind_mode{$name} = oct $mode;
    $few{$name} = 5;
}

# ---- maildrop only

$kind{'maildrop-long-record'} = sub {
    my ($f, $rand) = @_;
    return unless $f->{maildrop};
    my $seg = pick($rand, qw(env text));
    return inserted($seg, $seg eq 'env' ? 'A' : 'N', 'x=' . 'y' x (2047 + $rand->(3000)))->($f, $rand);
};
# pickup opens files as mail_owner: without o+r it never gets at them.
$kind{'maildrop-unreadable'} = sub { my ($f) = @_; return $f->{maildrop} && !$f->{requeued} ? ($f->{data}, 0, '0700') : () };
$kind_mode{'maildrop-unreadable'} = 0700;
$few{'maildrop-unreadable'} = 3;
$kind{'legal-maildrop-no-T'} = sub {
    my ($f) = @_;
    return if !$f->{maildrop} || $f->{requeued};
    return (rewrite($f, sub { grep { $_->[0] ne 'T' } @_ }), 0, '');
};

# ---- the known killers, as small and as exact as they can be made

# One byte in the data offset field.
$kind{'named-bad-extra-offset'} = sub {
    my ($f) = @_;
    my $c = size_record($f) or return;
    return (replace($f->{data}, $c->{data_at} + 16, 1, 'x'), $c->{data_at} + 16, 'first column of field 2');
};
$kind{'named-seek-beyond'} = sub {
    my ($f) = @_;
    my $c = size_record($f) or return;
    return (replace($f->{data}, $c->{data_at}, 15, '9' x 15), $c->{data_at}, 'field 1');
};
# A one-field size record whose M names an offset, as before Postfix 1.0, but no end record.
$kind{'named-old-style-order'} = sub {
    my ($f) = @_;
    my $c = size_record($f) or return;
    return if has_jumps($f);
    my ($m) = grep { $_->{type} eq 'M' } @{ $f->{recs} };
    my ($x) = grep { $_->{type} eq 'X' } @{ $f->{recs} };
    my $data = replace($f->{data}, $c->{data_at} + 16, $c->{len} - 16, ' ' x ($c->{len} - 16));
    my $m_data = sprintf '%15d', $x->{at} + 15;
    $data = replace($data, $m->{at}, 2, record('M', $m_data));
    my $end = $x->{at} + 15 + 2;    # cut behind X: no E is left
    return (substr($data, 0, $end), $c->{data_at} + 16, 'old style, cut before E');
};
$few{$_} = 2 for grep { /^named-/ } keys %kind;

sub kinds { return sort keys %kind }

# ---- choosing and writing

# Origins: sound files, small enough that thousands of copies stay cheap, and whose healthy
# original is delivered at once by the judges.
sub origins {
    my ($corpus) = @_;
    my @all;
    for my $row (@{ tsv_read("$corpus.tsv") }) {
        next if $row->{case} eq 'log' || $row->{case} =~ /filter/ || $row->{size} > 60_000;
        my $data = slurp("$corpus/$row->{path}");
        my @recs = records($data) or next;
        next if 40 < grep { $_->{type} =~ m{[RD]} } @recs;
        push @all, { %$row, data => $data, recs => \@recs, maildrop => $row->{queue} eq 'maildrop', requeued => $recs[0]{type} eq 'C' && $row->{queue} eq 'maildrop' };
    }
    return sort { $a->{case} cmp $b->{case} || $a->{size} <=> $b->{size} || $a->{path} cmp $b->{path} } @all;
}

# Writes one file under a name that Postfix itself could have given it.
sub write_file {
    my ($dir, $queue, $seq, $data, $mode, $uid, $gid) = @_;
    my $tmp = "$dir/tmp.$$";
    open my $fh, '>:raw', $tmp or die "$tmp: $!";
    print {$fh} $data;
    close $fh or die "$tmp: $!";
    chown $uid, $gid, $tmp;
    chmod $mode, $tmp;
    my $name = sprintf '%05X%X', $seq, (stat $tmp)[1];
    rename $tmp, "$dir/$queue/$name" or die "rename: $!";
    return "$queue/$name";
}

sub make_damage {
    my ($corpus, $target, %opt) = @_;
    my %meta = map { split /=/, $_, 2 } split /\n/, slurp("$corpus/.done");
    my @origin = origins($corpus);
    my $rand = rng($opt{seed});
    run_ok('rm', '-rf', '--one-file-system', $target);
    for my $q ('', qw(/incoming /maildrop /active /deferred /hold /corrupt /defer /bounce /trace)) {
        mkdir "$target$q", $q eq '/maildrop' ? 01730 : 0700 or die "$target$q: $!";
        chmod 01730, "$target$q" if $q eq '/maildrop';
        chown $meta{mail_owner}, $q eq '/maildrop' ? $meta{postdrop} : 0, "$target$q" if $q;
    }
    chmod 0755, $target;
    my (@rows, %seen);
    my $add = sub {
        my ($f, $kind, $data, $at, $note) = @_;
        my $queue = $f->{maildrop} ? 'maildrop' : 'incoming';
        my $uid = $f->{maildrop} && !$f->{requeued} ? 1000 : $meta{mail_owner};
        my $mode = defined $kind_mode{$kind} ? $kind_mode{$kind} : $f->{maildrop} && !$f->{requeued} ? 0744 : 0700;
        my $file = write_file($target, $queue, scalar(@rows) + 1, $data, $mode, $uid, $f->{maildrop} && !$f->{requeued} ? $meta{postdrop} : 0);
        push @rows, { file => $file, queue => $queue, kind => $kind, offset => $at, note => $note, origin => $f->{path}, case => $f->{case}, requeued => $f->{requeued} ? 1 : 0 };
    };
    # The undamaged originals themselves: what they bring is what damaged ones are held against.
    $add->($_, 'none', $_->{data}, 0, '') for @origin;
    my $quota = int($opt{number} / keys %kind) || 1;
    for my $kind (kinds()) {
        my $want = $few{$kind} && $few{$kind} < $quota ? $few{$kind} : $quota;
        for (my $tries = 0; $want > 0 && $tries < 30 * $quota; $tries++) {
            my ($f, $other) = map { $origin[ $rand->(scalar @origin) ] } 1, 2;
            # A third of the files shall be maildrop files, though there are few originals.
            my @drop = grep { $_->{maildrop} } @origin;
            $f = $drop[ $rand->(scalar @drop) ] if $rand->(4) == 0;
            my ($data, $at, $note) = $kind{$kind}->($f, $rand, $other);
            next unless defined $data;
            next if $data eq $f->{data} && !defined $kind_mode{$kind};
            $add->($f, $kind, $data, $at, $note);
            $want--;
        }
    }
    tsv_write("$target.tsv", [qw(file queue kind offset note origin case requeued)], \@rows);
    run_ok('cp', "$target.tsv", "$target/index.tsv");
    my $kinds = keys %{ { map { $_->{kind} => 1 } @rows } };
    spew("$target/.done", "files=" . @rows . "\nkinds=$kinds\nmail_owner=$meta{mail_owner}\npostdrop=$meta{postdrop}\nversion=$meta{version}\n");
    say_step(scalar @rows, " files of $kinds kinds, from ", scalar @origin, ' originals');
}

1;
