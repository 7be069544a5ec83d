#!/usr/bin/perl
# Timer and hook with real Exim: one -H file ends whoever reads it with a signal, and the daemon, which only
# starts such readers, lives on. The timer names it, the hook moves it, and the queue is listed and delivered.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Lab::Exim;
use Lab::Util qw(base_dir slurp spew run_ok);
use Spoolck;
use Test::More;

plan skip_all => 'live tests need root' unless need_root('live tests');

# What Exim makes of the queue: its list, its deliveries, the signals that ended it.
sub run_queue {
    my ($suite, $work) = @_;
    ok(Lab::Exim::inside($suite, $work, 120, 'run_queue /lab/spool /lab/result'), 'the queue is run');
    return slurp("$work/result");
}

for my $suite (qw(bookworm trixie)) {
    subtest $suite => sub {
        Lab::Exim::build_chroot($suite);
        my ($work, $store) = (base_dir() . "/hook-exim-$suite", new_store());
        my $spool = "$work/spool";
        run_ok('rm', '-rf', '--one-file-system', $work);
        ok(Lab::Exim::inside($suite, $work, 60, 'queue_few /lab/spool 4'), 'mail is queued') or return;
        my ($head) = sort glob "$spool/input/*-H";
        my ($id) = $head =~ m{([^/]+)-H$};
        my ($uid, $gid, $mode) = (stat $head)[4, 5, 2];
        spew($head, slurp($head) =~ s/^XX\n/("YN a\@b\n" x 200_000) . "NN a\@b\n"/mer);
        chown $uid, $gid, $head;
        chmod $mode & 07777, $head;
        my @timer = ('scan', '-n', '--unattended', '--state', "$work/state", '--store', $store, "exim:$spool");
        like(spoolck(@timer)->{out}, qr/^spoolck \S+: NEW stops-service exim:$id input byte \d+ exim\.tree-depth, not moved; run: [^\n]*\n\z/,
            'the timer names it');
        is(spoolck(@timer)->{out}, '', 'once');
        like(run_queue($suite, $work), qr/signal/, 'Exim is ended by a signal') or return;
        ok(-e $head, 'and the file is still there');

        ok(Lab::Exim::inside($suite, $work, 60, 'queue_few /lab/spool 3'), 'more mail');
        my $r = spoolck('prestart', '--budget', '20s', '--store', $store, "exim:$spool");
        is(exit_bits($r), '0', 'hook: exit 0');
        like($r->{out}, qr/^$id .*Moved to quarantine entry/ms, 'it is moved');
        my $result = run_queue($suite, $work);
        unlike($result, qr/signal/, 'Exim lives');
        is(scalar(my @left = glob "$spool/input/*-H"), 0, 'all mail is delivered') or diag $result;
        is(spoolck(@timer)->{out}, '', 'the timer has nothing to say');
    };
}

done_testing();
