#!/usr/bin/perl
# A worker that was taken over by the message it reads, and processes that die: neither moves a
# sound message, nor hides another one, nor keeps the run from ending. The acts are those of
# t/hostile.h; the program is the test build t/spoolck-hostile.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_WRONLY O_CREAT O_EXCL);
use Spoolck;
use Test::More;
use Time::HiRes ();

my $program = hostile_program();
BAIL_OUT("$program is not there: make check builds it") unless -x $program;

sub hostile { my ($act) = @_; return { program => $program, env => { SPOOLCK_HOSTILE => $act } } }

# A spool of sound messages in several places.
sub sound_spool {
    my ($n) = @_;
    my $spool = new_spool();
    my @ids = map { healthy($spool, (qw(incoming deferred maildrop hold))[$_ % 4]) } 1 .. $n;
    return ($spool, @ids);
}

# Acts that cost a deadline run beside all the others.
my ($hang_spool, @hang_ids) = sound_spool(6);
my $hang_one = start(hostile("hang:$hang_ids[2]"), 'scan', '--format', 'json', '--all', $hang_spool);
my ($hung_spool, @hung_ids) = sound_spool(2);
my $hang_all = start(hostile('hang'), 'scan', '--format', 'json', '--all', '-y', '--store', new_store(), $hung_spool);

subtest 'the test build behaves when it is not told otherwise' => sub {
    my ($spool, @ids) = sound_spool(12);
    my $r = scan({ program => $program }, '--all', $spool);
    is(exit_bits($r), '0', 'nothing is wrong') or diag($r->{err});
    is_deeply(verdicts($r), { map { $_ => 'ok' } @ids }, 'all are ok');
};

subtest 'one message takes its worker over' => sub {
    my ($spool, @ids) = sound_spool(12);
    my $before = snapshot($spool, dirs => 1);
    for my $act (qw(abort exit garbage cut index want syscall)) {
        for my $evil ($ids[0], $ids[5], $ids[-1]) {
            my $store = new_store();
            my $r = scan(hostile("$act:$evil"), '--all', '-y', '--store', $store, $spool);
            is_deeply(verdicts($r), { map { $_ => $_ eq $evil ? 'unchecked' : 'ok' } @ids },
                "$act: that one is unchecked, the others are ok");
            is(exit_bits($r), '8', 'and the exit status says so');
            ok(!left_over($r), 'no process is left');
        }
    }
    same_tree($before, snapshot($spool, dirs => 1), 'nothing was moved or touched');
};

subtest 'a message that floods its reader' => sub {
    my ($spool, @ids) = sound_spool(12);
    my $evil = $ids[4];
    my $r = scan(hostile("flood:$evil"), '--all', $spool);
    my $v = verdicts($r);
    # What it says of itself may be believed; nothing that it says of others is.
    like(delete $v->{$evil}, qr/^(?:unchecked|corrupt)$/, 'is not ok');
    is_deeply($v, { map { $_ => 'ok' } grep { $_ ne $evil } @ids }, 'the others are');
    like(exit_bits($r), qr/^(?:8|4)$/, 'and the exit status says so');
    ok(!left_over($r), 'no process is left');
};

subtest 'every worker is taken over' => sub {
    my ($spool, @ids) = sound_spool(12);
    my $before = snapshot($spool, dirs => 1);
    for my $act (qw(abort exit garbage cut index want syscall)) {
        my $r = scan(hostile($act), '--all', '-y', '--store', new_store(), $spool);
        my $v = verdicts($r);
        is(scalar keys %$v, @ids, "$act: every message is reported");
        is(join(' ', grep { $_ ne 'unchecked' } values %$v), '', 'as unchecked');
        is($r->{summary}{unchecked}, scalar @ids, 'and counted');
        is(exit_bits($r), '8', 'the exit status says so');
        ok(!left_over($r), 'no process is left');
    }
    same_tree($before, snapshot($spool, dirs => 1), 'nothing was moved or touched');
};

subtest 'a worker that lies about the messages after the one that took it over' => sub {
    my ($spool, @ids) = sound_spool(12);
    my $before = snapshot($spool, dirs => 1);
    my $store = new_store();
    for my $act ('lie', "lie:$ids[7]") {
        my $r = scan(hostile($act), '--all', '-y', '--store', $store, $spool);
        is_deeply(verdicts($r), { map { $_ => 'ok' } @ids }, "$act: a fresh worker is asked, and believed");
        is(scalar @{ $r->{findings} }, 0, 'no finding is left of it');
        is(exit_bits($r), '0', 'nothing is wrong');
    }
    ok(!-e $store, 'nothing was moved');
    same_tree($before, snapshot($spool, dirs => 1), 'or touched');
};

subtest 'a checker that calls every message corrupt' => sub {
    for my $n (4, 12, 40) {
        my ($spool, @ids) = sound_spool($n);
        my $before = snapshot($spool, dirs => 1);
        my $store = new_store();
        for my $options (['-y'], ['-p'], ['-y', '--unattended']) {
            my $r = scan(hostile('lie-always'), @$options, '--store', $store, $spool);
            is($r->{summary}{corrupt}, $n, "@$options: all $n are called corrupt");
            is($r->{summary}{moved}, 0, 'none is moved');
            is(exit_bits($r), '4', 'and the exit status says so');
            is(scalar(grep { $_->{action} eq 'refused' && $_->{reason} =~ /brake/ } @{ $r->{messages} }),
                $n, 'because of the brake');
        }
        same_tree($before, snapshot($spool, dirs => 1), 'nothing was touched');
    }
};

subtest 'explain with a worker that is taken over' => sub {
    my ($spool, @ids) = sound_spool(1);
    for my $act (qw(abort exit garbage cut index want syscall flood)) {
        my $r = spoolck(hostile($act), 'explain', "$spool:$ids[0]");
        ok(defined $r->{status} && !$r->{hung}, "$act: ends, exit " . exit_bits($r));
        ok($r->{status} & 12, 'and claims not that all is well');
        ok(!left_over($r), 'no process is left');
    }
};

# --- Processes that die --------------------------------------------------------------

my $many = 30000;
my $big_spool = new_spool();
{
    my $bytes = queue_file();
    for (1 .. $many) {
        sysopen my $out, "$big_spool/incoming/" . long_id(), O_WRONLY | O_CREAT | O_EXCL, 0700 or die "$!";
        syswrite $out, $bytes;
    }
}

# Scan while `hit` is called with (pid of the program, pids of its children) some times.
sub scan_under_fire {
    my ($what, $times, $hit) = @_;
    subtest $what => sub {
        my $fired = 0;
        my $r = scan({ tick => sub {
            my ($pid) = @_;
            return if $fired >= $times;
            my @children = children($pid);
            $fired += $hit->($pid, @children) if @children >= 3;
        } }, '-y', '--store', new_store(), $big_spool);
        ok(!$r->{hung}, 'the run ends') or return;
        is($r->{signal}, 0, 'in good order');
        is($r->{summary}{messages}, $many, 'every message is accounted for');
        is($r->{summary}{ok} + $r->{summary}{unchecked}, $many, 'as ok or unchecked');
        is(exit_bits($r), $r->{summary}{unchecked} ? '8' : '0', 'the exit status says which');
        ok(!left_over($r), 'no process is left');
        note("$fired processes killed, $r->{summary}{unchecked} messages unchecked");
    };
}

# The zygote is the first child, workers are its children, readers are the rest.
sub kinds {
    my ($pid, $zygote, @others) = @_;
    my %worker = map { $_ => 1 } children($zygote);
    return ($zygote, [ grep { !$worker{$_} } @others ], [ keys %worker ]);
}

scan_under_fire('a reader is killed', 1, sub {
    my ($zygote, $readers) = kinds(@_);
    return @$readers ? kill('KILL', $readers->[0]) : 0;
});
scan_under_fire('readers are killed again and again', 20, sub {
    my ($zygote, $readers) = kinds(@_);
    return kill 'KILL', @$readers;
});
scan_under_fire('workers are killed again and again', 30, sub {
    my ($zygote, $readers, $workers) = kinds(@_);
    return kill 'KILL', @$workers;
});
scan_under_fire('the zygote is killed', 1, sub {
    my ($zygote) = kinds(@_);
    return kill 'KILL', $zygote;
});
scan_under_fire('all of them are killed', 1, sub {
    my ($pid, @children) = @_;
    return kill 'KILL', @children;
});

for my $signal (qw(INT TERM)) {
    subtest "SIG$signal" => sub {
        my $sent = 0;
        my $r = scan({ tick => sub {
            my ($pid) = @_;
            $sent = kill $signal, $pid if !$sent && children($pid) >= 3;
        } }, '-y', '--store', new_store(), $big_spool);
        is($r->{signal}, 0, 'ends in good order');
        is(exit_bits($r), '32', 'says that it was cancelled') if $sent;
        ok(defined $r->{summary}, 'and sums up');
        cmp_ok($r->{summary}{messages}, '<=', $many, 'what it has seen');
        ok(!left_over($r), 'no process is left');
    };
}

subtest 'the program itself is killed' => sub {
    my $sent = 0;
    my $r = spoolck({ tick => sub {
        my ($pid) = @_;
        $sent = kill 'KILL', $pid if !$sent && children($pid) >= 3;
    } }, 'scan', $big_spool);
    is($r->{signal}, 9, 'it was') if $sent;
    ok(!left_over($r), 'none of its processes outlives it');
};

# --- What was started at the beginning -------------------------------------------------

subtest 'a message on which its worker hangs' => sub {
    my $r = parsed(finish($hang_one));
    is_deeply(verdicts($r), { map { $_ => $_ eq $hang_ids[2] ? 'unchecked' : 'ok' } @hang_ids },
        'is unchecked, the others are ok');
    is(exit_bits($r), '8', 'and the exit status says so');
    ok(!left_over($r), 'no process is left');
};

subtest 'every worker hangs' => sub {
    my $r = parsed(finish($hang_all));
    is_deeply(verdicts($r), { map { $_ => 'unchecked' } @hung_ids }, 'all are unchecked');
    is(exit_bits($r), '8', 'and the exit status says so');
    ok(!left_over($r), 'no process is left');
};

done_testing();
