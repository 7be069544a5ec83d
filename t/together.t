#!/usr/bin/perl
# together.t - acting runs that meet on one spool
#
# The lock is the kernel's (flock on the spool's root): it is held for acting only, waited for, and
# gone with its holder, however that ends.

use strict;
use warnings;
use Fcntl qw(:flock O_RDONLY O_DIRECTORY);
use FindBin;
use Test::More;
use Time::HiRes qw(sleep time);
use lib "$FindBin::Bin/lib";
use Spoolck;

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

subtest 'three at once' => sub {
    my ($spool, $store) = (new_spool(), new_store());
    healthy($spool, 'deferred', text()) for 1 .. 40;
    my @bad = map { damaged($spool, 'deferred', text()) } 1 .. 9;
    my $before = snapshot($spool);
    my @runs = map { start('scan', '-y', '--format', 'json', '--store', $store, $spool) } 1 .. 3;
    my @done = map { finish($_) } @runs;
    my %moved;
    for my $r (@done) {
        my @events = json_lines($r->{out});
        $moved{ $_->{id} }++ for grep { $_->{event} eq 'message' && $_->{action} eq 'moved' } @events;
    }
    is(join(' ', sort keys %moved), join(' ', sort @bad), 'all damaged messages were moved');
    is(join(' ', grep { $moved{$_} != 1 } sort keys %moved), '', 'each by one run');
    is(exit_bits(scan('--store', $store, $spool)), '0', 'what is left is clean');
    is(exit_bits(spoolck('quarantine', 'verify', '--store', $store)), '0', 'the entries are sound');
    spoolck('quarantine', 'restore', '--force', '--no-accept', '--store', $store, @bad);
    same_tree($before, snapshot($spool), 'and they come back');
};

subtest 'the holder of the lock is killed' => sub {
    my ($spool, $store) = (new_spool(), new_store());
    healthy($spool, 'deferred', text()) for 1 .. 20;
    damaged($spool, 'deferred', text());
    pipe my $ready, my $said;
    my $holder = fork // die "fork: $!";
    if (!$holder) {
        sysopen my $root, $spool, O_RDONLY | O_DIRECTORY or POSIX::_exit(1);
        flock $root, LOCK_EX or POSIX::_exit(1);
        syswrite $said, 'x';
        sleep 60;
        POSIX::_exit(0);
    }
    sysread $ready, my $word, 1;
    my $run = start('scan', '-y', '--store', $store, $spool);
    sleep 1.5;
    is(scalar(() = glob "$store/entries/*"), 0, 'nothing is moved while another run acts');
    kill 'KILL', $holder;
    waitpid $holder, 0;
    is(exit_bits(finish($run)), '1', 'then it is moved');
    is(scalar(() = glob "$store/entries/*"), 1, 'once');
};

subtest 'a lock that is never given up' => sub {
    my ($spool, $store) = (new_spool(), new_store());
    healthy($spool, 'deferred', text()) for 1 .. 20;
    my $id = damaged($spool, 'deferred', text());
    sysopen my $root, $spool, O_RDONLY | O_DIRECTORY or die;
    flock $root, LOCK_EX or die;
    my $r = scan('-y', '--store', $store, $spool);
    is(exit_bits($r), '8+4', 'the run ends: looked, not moved, and says so');
    is(exit_bits(scan('--store', $store, $spool)), '4', 'looking needs no lock');
};
done_testing();
