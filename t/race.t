#!/usr/bin/perl
# Scans beside a busy server. A process renames sound messages between incoming/, active/ and
# deferred/ as qmgr does, lets new ones in as cleanup does and removes delivered ones. Whatever is
# scanned meanwhile: every message that was there all the time is reported once, none is called
# damaged, none is moved. (t/live does the same with a real Postfix.)

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(LOCK_EX O_WRONLY O_CREAT O_EXCL O_APPEND);
use POSIX ();
use Spoolck;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = 4; # of each of the two loops
my $lasting = 400; # messages that stay in the queue all the time

my $spool = new_spool();
my $log = scratch() . '/log';
my @lasting = map { healthy($spool, 'incoming') } 1 .. $lasting;

# --- The server ----------------------------------------------------------------

# Moves to the next queue in which it belongs; the ways are those of qmgr.
my %ways = (incoming => ['active'], active => [qw(deferred deferred incoming)], deferred => ['active']);

sub move_on {
    my ($where, $id) = @_;
    my $from = $where->{$id};
    my $to = $ways{$from}[ rand @{ $ways{$from} } ];
    rename "$spool/" . path_of($spool, $from, $id), "$spool/" . path_of($spool, $to, $id) or die "rename: $!";
    $where->{$id} = $to;
}

# As cleanup does it: a name without meaning, the id, the bytes in pieces, complete by its mode.
sub arrive {
    my ($where) = @_;
    my $id = long_id();
    my $bytes = queue_file(lines => [ map { 'x' x rand 900 } 1 .. 1 + rand 40 ]);
    my $tmp = "$spool/incoming/" . int(rand 1e6) . ".$$";
    sysopen my $out, $tmp, O_WRONLY | O_CREAT | O_EXCL, 0600 or die "$tmp: $!";
    rename $tmp, "$spool/incoming/$id" or die;
    for (my $at = 0; $at < length $bytes; $at += 4096) {
        syswrite $out, substr $bytes, $at, 4096;
    }
    chmod 0700, $out;
    $where->{$id} = 'incoming';
}

# As qmgr does with what is delivered.
sub leave {
    my ($where) = @_;
    my ($id) = grep { $where->{$_} eq 'active' } keys %$where or return;
    unlink "$spool/active/$id" or die "unlink: $!";
    delete $where->{$id};
}

sub serve {
    open my $pid, '>', "$spool/pid/master.pid" or die;
    flock $pid, LOCK_EX or die;
    open my $out, '>', $log or die;
    my %where = map { $_ => 'incoming' } @lasting;
    my (%passing, %next);
    my $parent = getppid;
    # Each message rests a while where it is, as in life: 20 to 400 ms.
    while (getppid == $parent) {
        my $now = time;
        for my $id (keys %where) {
            next if ($next{$id} // 0) > $now;
            move_on(\%where, $id);
            $next{$id} = $now + 0.02 + rand 0.38;
            syswrite $out, 'm';
        }
        arrive(\%passing) if keys %passing < 20;
        leave(\%passing) if rand() < 0.5;
        move_on(\%passing, $_) for grep { rand() < 0.02 } keys %passing;
        sleep 0.002;
    }
}

my $server = fork // die "fork: $!";
if ($server == 0) {
    eval { serve() };
    print STDERR "# the server died: $@\n" if $@;
    POSIX::_exit(1);
}
sleep 0.3;

# --- The scans --------------------------------------------------------------------

for my $option ('-n', '-y') {
    subtest "scan $option beside a busy server" => sub {
        my $store = new_store();
        my ($rounds, %verdict, @wrong) = (0);
        my $end = time + $seconds;
        while (time < $end || $rounds < 10) {
            my $r = scan($option, '--all', '--store', $store, $spool);
            my %seen;
            $seen{ $_->{id} }++ for @{ $r->{messages} };
            $verdict{ $_->{verdict} }++ for @{ $r->{messages} };
            my @lost = grep { !$seen{$_} } @lasting;
            my @twice = grep { $seen{$_} > 1 } keys %seen;
            my $n = @{ $r->{messages} };
            push @wrong, 'exit ' . exit_bits($r) if ($r->{status} // -1) != 0;
            push @wrong, "lost: @lost" if @lost;
            push @wrong, "twice: @twice" if @twice;
            push @wrong, "$n messages" if $n < $lasting || $n > $lasting + 60;
            push @wrong, "counted $r->{summary}{messages}, reported $n" if $r->{summary}{messages} != $n;
            push @wrong, "moved $r->{summary}{moved}" if $r->{summary}{moved};
            push @wrong, "$_->{name} ($_->{severity}): $_->{part}"
                for grep { $_->{severity} ne 'notice' } @{ $r->{findings} };
            $rounds++;
        }
        is(join("\n", @wrong), '', "$rounds scans: nothing lost, doubled, damaged or moved");
        is(join(' ', grep { !/^(?:ok|noted|busy|changed)$/ } keys %verdict), '', 'no other verdict');
        ok(!-e $store, 'there is no store');
        diag(join ', ', "$rounds scans", map { "$verdict{$_} $_" } sort keys %verdict);
    };
}

ok(kill(0, $server), 'the server was not disturbed');
cmp_ok(-s $log, '>', 50 * $seconds, 'and was busy');
kill 'KILL', $server;
waitpid $server, 0;
is(exit_bits(scan($spool)), '0', 'its queue is sound at the end');

done_testing();
