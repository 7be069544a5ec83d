#!/usr/bin/perl
# Timer and hook with the real Postfix: one file kills qmgr at every start, and master starts it for ever, so no unit
# fails. The timer names the file; the hook moves it when Postfix is started again; what waited behind it is delivered.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Lab::Postfix;
use Lab::Util qw(base_dir slurp wait_for run_ok);
use Spoolck;

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    run_ok('sh', '-c', '"$@" >&2', 'sh', $^X, '-e', 'use lib shift; require Lab::Postfix; Lab::Postfix::build_chroot()',
        "$FindBin::Bin/lib");
    exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', 'ulimit -v 4000000 && exec "$@"', 'sh',
        $^X, Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
$SIG{ALRM} = $SIG{TERM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 1200;
my $base = base_dir() . '/hook-postfix';
run_ok('rm', '-rf', $base);
my $lab = Lab::Postfix->new($base);
my ($spool, $store) = ($lab->spool, "$base/store");
$lab->configure("mydestination = lab.test\ndefault_transport = discard\nlocal_transport = discard\n",
    "qmgr      unix  n  -  n  300  1  qmgr\n");

my $log = '';
sub log_now { $log .= join '', map { "$_\n" } $lab->new_log_lines; return $log }

# With Postfix stopped, mail waits in maildrop/.
for my $n (1 .. 3) {
    my ($status, $out) = $lab->chroot_run("Subject: $n\n\nText.\n", 'sendmail', '-f', 'a@lab.test', "b$n\@lab.test");
    is($status, 0, 'queued') or diag $out;
}
my $bytes = queue_file();
substr $bytes, 2 + 16, 1, 'x';
my $id = put($spool, 'active', '12345@', $bytes, uid => $lab->{uid});

subtest 'without the hook' => sub {
    $lab->start;
    wait_for('qmgr to die again and again', 60, sub { 2 <= (() = log_now() =~ /qmgr\[\d+\]: fatal: /g) });
    ok(scalar Lab::Postfix::processes('master'), 'master runs on');
    like($log, qr/fatal: .*\b$id\b/, 'at this file');
    unlike($log, qr/status=sent/, 'nothing is delivered');
    my @timer = ('scan', '-n', '--unattended', '--state', "$base/state", '--store', $store, "postfix:$spool");
    my $r = spoolck(@timer);
    like($r->{out}, qr/^spoolck \S+: NEW stops-service postfix:$id active byte 18 postfix\.size-field, not moved; run: [^\n]*\n\z/, 'the timer names it');
    is(spoolck(@timer)->{out}, '', 'once');
    my $hook = spoolck('prestart', '--strict', '--store', $store, "postfix:$spool");
    is(exit_bits($hook), '4', 'a hook beside a running server does not touch active/');
    $lab->stop;
};

subtest 'with the hook' => sub {
    log_now();
    $log = '';
    my $r = spoolck('prestart', '--budget', '20s', '--store', $store, "postfix:$spool");
    is(exit_bits($r), '0', 'exit 0');
    like($r->{out}, qr/^$id .*Moved to quarantine entry/ms, 'it is moved');
    $lab->start;
    wait_for('delivery', 60, sub { log_now(); 3 <= (() = $log =~ /status=sent/g) || $log =~ /qmgr\[\d+\]: fatal/ });
    is(scalar(() = $log =~ /status=sent/g), 3, 'what waited is delivered') or diag $log;
    unlike($log, qr/fatal: /, 'and qmgr lives');
    is(spoolck('scan', '--state', "$base/state", '--store', $store, "postfix:$spool")->{out}, '', 'the timer has nothing to say');
    $lab->stop;
};

done_testing();
