#!/usr/bin/perl
# The hook with the real OpenSMTPD: a small script plays the service manager (Restart=always, ExecStartPre=). An envelope
# that has two names ends smtpd at each start; with the hook it is moved, smtpd stays up, and the mail that
# waited is delivered. Then the same without a service manager: prestart becomes smtpd.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Lab::OpenSMTPD;
use Lab::OpenSMTPD::Corpus ();
use Lab::Smtp;
use Lab::Util qw(base_dir slurp spew wait_for run_ok);
use Spoolck;

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    Lab::OpenSMTPD::build_chroot('bookworm');
    exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', 'ulimit -v 4000000 && exec "$@"', 'sh',
        $^X, Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
$SIG{ALRM} = $SIG{TERM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 1200;
my $base = base_dir() . '/hook-opensmtpd';
my $lab = Lab::OpenSMTPD->new('bookworm', "$base/lane");
my ($spool, $store, $root) = ("$base/spool", "$base/store", $lab->{root});
run_ok('rm', '-rf', $spool, $store);
$lab->use_spool($spool);
Lab::OpenSMTPD::Corpus::users($lab);
$lab->configure(<<'CONF');
listen on 127.0.0.1 port 25
action "in" maildir "/etc/home-carol/Maildir"
match from any for any action "in"
CONF
run_ok('chmod', '755', "$root/etc/home-carol");

sub delivered { return scalar(() = glob "$root/etc/home-carol/Maildir/new/*") }

# Mail that waits.
sub queue {
    my ($count) = @_;
    $lab->start('-P', 'mda', '-P', 'mta');
    my $smtp = Lab::Smtp->new(25);
    Lab::OpenSMTPD::submit($smtp, from => 'a@example.org', to => ['carol@lab.test'], data => "Subject: $_\n\nText.\n") for 1 .. $count;
    $smtp->quit;
    $lab->stop;
}

# A second name for one of the envelopes, in upper case: smtpd ends while it loads the queue.
sub kill_it {
    my $files = Lab::OpenSMTPD::files($spool);
    my ($path) = map { $files->{$_} } grep { length == 16 && /[a-f]/ } sort keys %$files;
    my ($dir, $name) = $path =~ m{(.*)/(.*)};
    run_ok('cp', '-a', $path, "$dir/" . uc $name);
    return uc $name;
}

# The service manager: HOOK, then the service, again and again; what happened goes to LOG.
my ($manager, $log, $smtpd_log) = map { "$base/$_" } 'manager.sh', 'manager.log', 'smtpd.log';
spew($manager, <<'SH');
n=0
while [ $n -lt 3 ]; do
    n=$((n + 1))
    if [ -n "$HOOK" ]; then $HOOK; echo "hook: $?"; fi
    echo "start $n"
    chroot "$ROOT" smtpd -d -v $OPTIONS >>"$SMTPD_LOG" 2>&1
    echo "exit $?"
    sleep 0.5
done
echo failed
SH

sub manage {
    my ($hook, $options) = @_;
    spew($_, '') for $log, $smtpd_log;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $log or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C', HOOK => $hook, OPTIONS => $options, ROOT => $root, SMTPD_LOG => $smtpd_log);
        { no warnings 'exec'; exec 'sh', $manager }
        POSIX::_exit(1);
    }
    return $pid;
}

sub end_all {
    my ($pid) = @_;
    kill 'KILL', $pid;
    kill 'TERM', Lab::OpenSMTPD::processes('smtpd');
    wait_for('smtpd to end', 30, sub { 1 while waitpid(-1, POSIX::WNOHANG()) > 0; !Lab::OpenSMTPD::processes('smtpd') });
}

queue(3);
my $killer = kill_it();
my $hook = program() . " prestart --budget 20s --store $store opensmtpd:" . $lab->spool;

subtest 'without the hook' => sub {
    # Deliveries are paused: some starts would get to a message before they come to the envelope.
    my $pid = manage('', '-P mda');
    wait_for('the manager to give up', 120, sub { -e $log && slurp($log) =~ /^failed/m });
    end_all($pid);
    is(scalar(() = slurp($log) =~ /^exit [^0]/mg), 3, 'smtpd ends at each start');
    like(slurp($smtpd_log), qr/tree_xset|lost child/, 'as known');
};

subtest 'with the hook' => sub {
    my $pid = manage($hook, '');
    wait_for('delivery', 120, sub { delivered() == 3 || slurp($log) =~ /^failed/m });
    my $text = slurp($log);
    is(delivered(), 3, 'what waited is delivered') or diag $text, slurp($smtpd_log);
    is(scalar(() = $text =~ /^start /mg), 1, 'by the first start');
    like($text, qr/^$killer .*Moved to quarantine entry .*^hook: 0$/ms, 'after one of the names was moved');
    my $timer = spoolck('scan', '--state', "$base/state", '--store', $store, 'opensmtpd:' . $lab->spool);
    is($timer->{out}, '', 'the timer has nothing to say');
    end_all($pid);
    my $list = spoolck('quarantine', 'list', '--store', $store);
    like($list->{out}, qr/\bopensmtpd\.twin\b/, 'it is kept');
};

subtest 'without a service manager' => sub {
    queue(2);
    kill_it();
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $smtpd_log;
        open STDERR, '>&', \*STDOUT;
        { no warnings 'exec'; exec split(' ', $hook), '--', 'chroot', $root, 'smtpd', '-d', '-v' }
        POSIX::_exit(1);
    }
    wait_for('delivery', 120, sub { delivered() == 5 || waitpid($pid, POSIX::WNOHANG()) == $pid });
    is(delivered(), 5, 'what waited is delivered') or diag slurp($smtpd_log);
    like(slurp("/proc/$pid/cmdline"), qr/^smtpd\b/, 'prestart has become smtpd, under its process id');
    kill 'TERM', $pid;
    wait_for('smtpd to end', 30, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    is($?, 0, 'which ends when it is told to');
};

done_testing();
