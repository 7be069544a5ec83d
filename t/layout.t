#!/usr/bin/perl
# Layouts of property blocks: learned from healthy messages, then tried on others, healthy ones and damaged ones.
#
# The blocks are invented, of many unlike families (t/lib/Spoolck/Layouts.pm); half of them were not there when the
# learner was written. A healthy message never contradicts what was learned; damage is counted.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Spoolck::Layouts;
use Test::More;

my ($learn_from, $healthy, $damaged) = (50, 100, 60);

sub queue_of {
    my ($messages) = @_;
    my $dir = scratch();
    mkdir "$dir/$_" or die "$dir/$_: $!" for qw(Queue Pickup);
    write_spool("$dir/Queue", $messages);
    return $dir;
}

# The description learned from these messages, in a file.
sub learned {
    my ($messages) = @_;
    my $r = spoolck('learn-layout', queue_of($messages));
    my $layout = scratch() . '/layout';
    write_file($layout, $r->{out});
    return ($r, $layout);
}

# Names of the messages that contradict it.
sub contradicting {
    my ($layout, $messages) = @_;
    my $r = spoolck('learn-layout', '--verify', $layout, queue_of($messages));
    like($r->{out}, qr/^@{[ scalar @$messages ]} messages, /m, 'all of them were tried') or diag($r->{err});
    return map { /^(NTFS_\S+): (?:suspect|corrupt)/ ? $1 : () } split /\n/, $r->{out};
}

# --- Damage ------------------------------------------------------------------------

# What KB 819019 is about: a size that is far too large, negative, or that wraps a sum around.
my %gross = (
    large    => sub { my ($v, $top, $size) = @_; return ($v + $size + 100) % (2 * $top) },
    negative => sub { my ($v, $top) = @_; return $v | $top },
    wrapping => sub { my ($v, $top) = @_; return 2 * $top - 16 },
);
my %small = (
    small    => sub { my ($v) = @_; return $v > 0 ? $v - 1 : 1 },
    halved   => sub { my ($v) = @_; return int($v / 2) },
    onemore  => sub { my ($v) = @_; return $v + 1 },
);

# One size of each message is made wrong.
sub damage {
    my ($messages, $kinds, $fields) = @_;
    my @how = sort keys %$kinds;
    my $n = 0;
    for my $m (@$messages) {
        my @sizes = grep { $_->{kind} =~ $fields && $_->{width} > 1 } @{ $m->{fields} };
        my $field = $sizes[ ($n * 7) % @sizes ];
        my $how = $how[ $n++ % @how ];
        my $value = $kinds->{$how}->($field->{value}, $field->{width} == 4 ? 0x80000000 : 0x8000, length $m->{stream});
        $value = $field->{value} + 1 if $value == $field->{value};
        substr $m->{stream}, $field->{at}, $field->{width}, substr pack('V', $value), 0, $field->{width};
        $m->{damage} = "$field->{kind} $how: $field->{value} -> $value";
    }
    return $messages;
}

my %total;
sub count_found {
    my ($family, $what, $layout, $messages) = @_;
    my %found = map { $_ => 1 } contradicting($layout, $messages);
    my @missed = grep { !$found{ $_->{name} } } @$messages;
    my %kinds;
    $kinds{ $_->{damage} =~ s/:.*//r }++ for @missed;
    $total{$what}[0] += @$messages - @missed;
    $total{$what}[1] += @$messages;
    diag(sprintf '%-9s %-26s found %3d of %3d%s', $family, $what, @$messages - @missed, scalar @$messages,
        %kinds ? '; missed: ' . join ', ', map { "$_ $kinds{$_}" } sort keys %kinds : '');
    return @$messages - @missed;
}

# --- Families ----------------------------------------------------------------------------

my ($alarms, $tried, $recovered) = (0, 0, 0);
for my $family (families(), kept_families()) {
    subtest $family => sub {
        my ($r, $layout) = learned(messages($family, $learn_from, 7));
        is(exit_bits($r), '0', 'learned') or diag($r->{err});
        like($r->{out}, qr/^confirmed = no$/m, 'and not confirmed');
        like($r->{out}, qr/^# explained:    $learn_from /m, 'says how many messages it explains');
        like($r->{out}, qr/^# contradicting: 0$/m, '... and contradict it');
        $recovered++ if exit_bits($r) eq '0';

        my @wrong = contradicting($layout, messages($family, $healthy, 1001));
        is_deeply(\@wrong, [], 'no false alarm');
        $alarms += @wrong;
        $tried += $healthy;

        my $sizes = qr/\.(?:length|allocated|total|hsize|used)$/;
        my $found = count_found($family, 'sizes, grossly wrong', $layout, damage(messages($family, $damaged, 2002), \%gross, $sizes));
        cmp_ok($found, '>=', $damaged * 0.95, 'sizes that are grossly wrong are found');
        $found = count_found($family, 'offsets, grossly wrong', $layout,
            damage(messages($family, $damaged, 3003), \%gross, qr/\.(?:offset|table|next|list)$/));
        cmp_ok($found, '>=', $damaged * 0.85, 'offsets that are grossly wrong are found');
        count_found($family, 'sizes, a little wrong', $layout, damage(messages($family, $damaged, 4004), \%small, $sizes));
    };
}
diag("$recovered families learned; $alarms false alarms in $tried healthy messages");
diag("$_: found $total{$_}[0] of $total{$_}[1]") for sort keys %total;

# --- What is not learned --------------------------------------------------------------------

subtest 'where nothing can be learned' => sub {
    my $r = spoolck('learn-layout', queue_of(messages('plain16', 21, 7)));
    is(exit_bits($r), '8', 'too few messages');
    like($r->{err}, qr/21 messages with a property stream: at least 22 are needed/, 'says how many are needed');
    is($r->{out}, '', 'no description');

    my $state = 1;
    my $any = sub { return join '', map { $state = ($state * 1103515245 + 12345) % 2**31; chr($state >> 20 & 255) } 1 .. $_[0] };
    my $noise = messages('plain16', 50, 7);
    $_->{stream} = $any->(600) for @$noise;
    $r = spoolck('learn-layout', queue_of($noise));
    is(exit_bits($r), '8', 'streams of any bytes');
    is($r->{out}, '', 'no description');

    # The values are there, and nothing refers to them.
    my $loose = messages('plain16', 50, 7);
    for my $m (@$loose) {
        my ($at) = sort { $a <=> $b } map { $_->{value} } grep { $_->{kind} eq 'entry.offset' } @{ $m->{fields} };
        substr $m->{stream}, 0, $at, $any->($at);
    }
    $r = spoolck('learn-layout', queue_of($loose));
    is(exit_bits($r), '8', 'values without a table');
    is($r->{out}, '', 'no description');

    my ($two) = map { [ @{ messages('plain16', 25, 7) }, @{ messages('tight8', 25, 8) } ] } 1;
    $two->[$_]{name} = sprintf 'NTFS_%04d.EML', $_ * 7 % 50 for 0 .. 49;
    $r = spoolck('learn-layout', queue_of($two));
    is(exit_bits($r), '8', 'two layouts in one spool');
    is($r->{out}, '', 'no description');

    $r = spoolck('learn-layout', queue_of([]));
    is(exit_bits($r), '8', 'an empty queue');
    $r = spoolck('learn-layout', scratch() . '/nosuch');
    is(exit_bits($r), '8', 'a directory that is not there');
    $r = spoolck('learn-layout');
    is(exit_bits($r), '16', 'no spool given');
};

subtest 'a spool with two damaged messages' => sub {
    my $messages = messages('chain16', 60, 7);
    damage([ @$messages[ 11, 42 ] ], \%gross, qr/entry\.length$/);
    my ($r, $layout) = learned($messages);
    is(exit_bits($r), '0', 'learned') or diag($r->{err});
    like($r->{out}, qr/^# contradicting: 2$/m, 'says that two messages contradict');
    is_deeply([ sort(contradicting($layout, $messages)) ], [ sort map { $_->{name} } @$messages[ 11, 42 ] ], 'and --verify names them');
};

subtest 'a description that is none' => sub {
    my $dir = scratch();
    my $spool = queue_of(messages('plain16', 3, 7));
    my $file = "$dir/l";
    write_file($file, "[header]\nsize = 20\n\n[entry]\nsise = 16\n");
    my $r = spoolck('learn-layout', '--verify', $file, $spool);
    is(exit_bits($r), '8', 'refused');
    like($r->{err}, qr{\Q$file\E:5: sise: no such key in \[entry\]; did you mean size\?}, 'with its line, and the key that was meant');
    chmod 0666, $file;
    $r = spoolck('learn-layout', '--verify', $file, $spool);
    like($r->{err}, qr/may be written by others/, 'a file that anybody may write is refused');
    $r = spoolck('learn-layout', '--verify', "$dir/nosuch", $spool);
    is(exit_bits($r), '8', 'so is one that is not there');
};

# From the spool to its quarantine.
subtest 'scan and explain by a layout' => sub {
    my $messages = messages('based18', 40, 7);
    my ($r, $layout) = learned($messages);
    is(exit_bits($r), '0', 'learned') or diag($r->{err});
    my $spool = queue_of($messages);
    my $old = time - 86400;
    utime $old, $old, glob "$spool/Queue/*" or die "utime: $!";

    $r = scan('--layout', $layout, $spool);
    is(exit_bits($r), '0', 'all is well');
    is_deeply([ grep { $_->{severity} ne 'notice' } @{ $r->{findings} } ], [], 'nothing is found');

    my $bad = $messages->[17];
    damage([$bad], { negative => $gross{negative} }, qr/^entry\.length$/);
    write_file("$spool/Queue/$bad->{name}:PROPERTIES", $bad->{stream});
    utime $old, $old, "$spool/Queue/$bad->{name}:PROPERTIES" or die "utime: $!";
    $r = scan('-p', '--offline', '--store', new_store(), '--layout', $layout, $spool);
    is(exit_bits($r), '0', 'what was learned proves nothing');
    my ($f) = grep { $_->{name} eq 'iis.property-size' } @{ $r->{findings} };
    is($f->{severity}, 'suspect', 'it is suspect');
    is($f->{impact}, 'server-stops', 'and told what the server would do');
    is($f->{stream}, 'PROPERTIES', 'in which stream');
    ok(-e "$spool/Queue/$bad->{name}", 'nothing was moved');

    write_file($layout, read_file($layout) =~ s/^confirmed = no$/confirmed = yes/mr);
    $r = spoolck('explain', '--layout', $layout, "$spool:$bad->{name}");
    is(exit_bits($r), '4', 'explain');
    like($r->{out}, qr/entry 0 +MP_SENDER_ADDRESS_SMTP, offset \d+, length \d+/, 'names properties');
    like($r->{out}, qr/\^\^\^ corrupt at byte $f->{offset}, stream PROPERTIES, entry \d+ .*\[iis\.property-size\]/, 'marks the damage');

    # What is printed to be typed next does it, as it stands.
    my $typed = sub { my ($line) = @_; return system("\Q$ENV{SPOOLCK}\E" . $line =~ s/^spoolck//r . ' >/dev/null 2>&1') >> 8 };
    my $store = new_store();
    $r = spoolck('scan', '--store', $store, '--layout', $layout, $spool);
    my ($command) = $r->{out} =~ /^  (spoolck scan .*)$/m;
    is($typed->($command // ''), 1, 'the command moves it') or diag($r->{out});
    ok(!-e "$spool/Queue/$bad->{name}", 'it is away');
    $r = spoolck('quarantine', 'list', '--store', $store, '--format', 'json');
    my ($entry) = $r->{out} =~ /"entry":"([^"]+)"/;
    is(exit_bits(spoolck('quarantine', 'restore', '--force', '--offline', '--store', $store, $entry)), '2', 'back again');

    $store = new_store();
    $r = spoolck('scan', '-p', '--offline', '--store', $store, '--layout', $layout, $spool);
    my ($undo) = $r->{out} =~ /^Undo: (.*)$/m;
    is($typed->($undo // ''), 2, 'and what undoes it is printed, too') or diag($r->{out});
    is(read_file("$spool/Queue/$bad->{name}:PROPERTIES"), $bad->{stream}, 'to the last byte');
    spoolck('quarantine', 'accept', '--undo', '--store', $store, "iis:$spool:$bad->{name}");

    $r = spoolck('scan', '-p', '--offline', '--store', $store, '--layout', $layout, $spool);
    is(exit_bits($r), '1', 'a layout that the operator vouches for moves it') or diag($r->{out}, $r->{err});
    ok(!-e "$spool/Queue/$bad->{name}" && !-e "$spool/Queue/$bad->{name}:PROPERTIES", 'with its stream');
    is(scalar(() = glob "$spool/Queue/*.EML"), 39, 'and no other message');
    $r = spoolck('quarantine', 'restore', '--store', $store, $bad->{name});
    is(exit_bits($r), '8', 'not restored by mistake');
    $r = spoolck('quarantine', 'restore', '--force', '--offline', '--store', $store, $bad->{name});
    is(exit_bits($r), '2', 'restored; the service has to be told') or diag($r->{out}, $r->{err});
    is(read_file("$spool/Queue/$bad->{name}:PROPERTIES"), $bad->{stream}, 'to the last byte');

    $r = spoolck('scan', '--layout', "$layout.none", $spool);
    is(exit_bits($r), '8', 'no scan by a layout that is not there');
    like($r->{err}, qr/cannot read \Q$layout\E\.none/, 'says so');
};

# A child that made any other system call than a worker may would be killed in this build.
subtest 'what looks at messages is confined' => sub {
    my $spool = queue_of(messages('list12', 40, 7));
    my $plain = spoolck('learn-layout', $spool);
    local $ENV{SPOOLCK} = "$ENV{BUILDDIR}/t/spoolck-hostile";
    my $strict = spoolck('learn-layout', $spool);
    is(exit_bits($strict), '0', 'it learns behind a door that kills');
    is($strict->{out}, $plain->{out}, 'the same');
};

done_testing();
