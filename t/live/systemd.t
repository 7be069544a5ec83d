#!/usr/bin/perl
# Under the real systemd: servers that really die of a message. The timer's service notices, by the queue and by the log; the message is moved,
# with --restart or OnFailure= where the server has to stand still for that; the service works, and what waited is delivered.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Lab::Systemd;
use Lab::Util qw(slurp spew wait_for);
use Spoolck;

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    exec private_mounts(), $^X, Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
my $c; # the container
$SIG{__DIE__} = sub { diag @_, $c && $c->{init} ? $c->journal('-n 60') : () if defined $^S && !$^S };
$SIG{ALRM} = $SIG{TERM} = $SIG{INT} = sub { die "timed out, or told to stop\n" };
alarm 420;

my $contrib = "$FindBin::Bin/../../contrib/systemd";
sub active { return ($c->run("systemctl is-active $_[0]"))[1] =~ s/\n//r }
sub user_id { my ($name) = @_; return slurp($c->root . '/etc/passwd') =~ /^\Q$name\E:[^:]*:(\d+):/m ? $1 : die "no user $name" }

# One run of the timer's service; what it told.
my $told = '';
sub timer_run {
    my ($status, $out) = $c->run('systemctl start spoolck.service');
    is($status, 0, 'the timer: its service does not fail') or diag $out, $c->journal('-u spoolck -n 20');
    my $all = $c->journal('-u spoolck -t spoolck');
    my $new = substr $all, length $told;
    $told = $all;
    return $new;
}

sub contrib_file { return slurp("$contrib/$_[0]") }

subtest 'Postfix' => sub {
    $c = Lab::Systemd->boot('postfix', 'postfix');
    $told = '';
    my ($unit, $guard, $template) = ('postfix.service', 'spoolck-start-postfix', 'postfix.service');
    if ($Lab::Systemd::suite eq 'bookworm') {
        ($unit, $guard, $template) = ('postfix@-.service', 'spoolck-start-postfix--', 'postfix@.service');
        like(($c->run('systemctl show -p ExecStart postfix.service'))[1], qr{path=/bin/true }, 'Debian 12: a shell for the units of instances');
    }
    is(active($unit), 'active', "its unit: $unit");
    $c->run('postconf -e service_throttle_time=1s default_transport=discard local_transport=discard; systemctl restart postfix');
    my $spool = $c->root . '/var/spool/postfix';
    my $uid = user_id('postfix');
    my $bytes = queue_file();
    substr $bytes, 2 + 16, 1, 'x';
    my $killer = sub { return put($spool, 'active', '12345@', $bytes, uid => $uid) };
    my $deaths = sub { return scalar(() = $c->journal('-t postfix/master') =~ /^warning: process \S+qmgr pid \d+ exit status/mg) };

    my $id = $killer->();
    $c->run('systemctl restart postfix; for i in 1 2 3; do printf "Subject: $i\n\nText.\n" | sendmail -f a@localhost "b$i@localhost"; done');
    wait_for('qmgr to die again and again', 60, sub { $deaths->() >= 3 });
    is(active($unit), 'active', 'systemd sees nothing: master starts qmgr for ever');
    sleep 2; # the second that has not ended belongs to the next run
    my $news = timer_run();
    like($news, qr/^spoolck mx17: NEW stops-service postfix:$id active byte 18 postfix\.size-field, not moved; /m, 'it names the message');
    like($news, qr/^spoolck mx17: NEW daemon-dies postfix:$id qmgr died \d+ times at it, postfix\.size-field; run: /m, 'and who dies of it');
    is(timer_run(), '', 'once');

    # The timer's own restrictions leave it what a restart needs.
    $c->drop_in('spoolck.service', 'restart', contrib_file('spoolck.service.d/restart.conf'));
    like(timer_run(), qr/^spoolck mx17: NEW stops-service postfix:$id active byte 18 postfix\.size-field, moved; /m, '--restart: moved');
    is(active($unit), 'active', 'Postfix runs');
    wait_for('delivery', 60, sub { 3 <= (() = $c->journal =~ /status=sent/g) });
    like($c->journal('-t spoolck'), qr/^restart: stopping \Q$unit\E.*^restart: started \Q$unit\E$/ms, 'the log has both');
    like(($c->run('spoolck scan postfix'))[1], qr/^  It was at $id, which is not in the queue now$/m, 'it is over');
    is(($c->run('systemctl list-units --all --plain --no-legend "spoolck-start-*"'))[1], '', 'the order to start it was taken back');

    subtest 'killed in between' => sub {
        $id = $killer->();
        $c->drop_in($template, 'slow', "[Service]\nExecStopPost=/bin/sleep 4\n");
        my ($status, $out) = $c->run("unit=$unit; " . 'spoolck scan -p --restart postfix & while [ "$(systemctl is-active $unit)" != deactivating ]; do sleep 0.1; done; '
                . 'for p in /proc/[0-9]*; do case $(readlink $p/exe) in /opt/spoolck/spoolck) kill -9 ${p#/proc/};; esac; done; wait; '
                . 'while [ "$(systemctl is-active $unit)" = deactivating ]; do sleep 0.1; done; systemctl is-active $unit');
        like($out, qr/^inactive$/m, 'Postfix is stopped');
        like(($c->run('systemctl show -p ActiveState,NextElapseUSecMonotonic ' . "$guard.timer"))[1], qr/^ActiveState=active$/m, 'systemd has the order');
        $c->run("systemctl start $guard.service"); # what the timer does when its time comes
        wait_for('the start', 30, sub { active($unit) eq 'active' });
        pass('and starts it');
        ok(-e "$spool/active/$id" || -e "$spool/incoming/$id", 'the message stays') or diag $out;
        run_rm($c, "/etc/systemd/system/$template.d");
    };

    subtest 'at most twice an hour' => sub {
        is(scalar(() = slurp($c->root . '/var/spool/spoolck/restarts') =~ /^\d+ \Q$unit\E$/mg), 2, 'the store remembers');
        my ($status, $out) = $c->run('spoolck scan -p --restart postfix');
        like($out, qr/^--restart: not done: \Q$unit\E was restarted twice within the last hour\.$/m, 'refused');
        is($status & 4, 4, 'left in place');
        is(active($unit), 'active', 'Postfix was not touched');
        like($out, qr/^DO THIS .*\n  systemctl stop \Q$unit\E\n  spoolck scan -p '\S+'\n  systemctl start \Q$unit\E$/m, 'what to type');
        my ($stop, $scan, $start) = $out =~ /^DO THIS .*\n  (.*)\n  (.*)\n  (.*)$/m;
        ($status, $out) = $c->run("$stop && { $scan; $start; }");
        like($out, qr/Moved to quarantine entry/, 'which is right');
        is(active($unit), 'active', 'to the end');
    };

    # On Debian 13 `postfix start` asks systemd.
    subtest 'a server of no known unit' => sub {
        $c->run("systemctl stop $unit; postfix start");
        $id = $killer->();
        $c->run('rm /var/spool/spoolck/restarts');
        my (undef, $out) = $c->run('spoolck scan -p --restart postfix');
        like($out, qr/^--restart: not done: the Postfix that uses this spool belongs to no unit of systemd\.$/m, 'started by hand: not stopped');
        is(($c->run('postfix status'))[0], 0, 'and it runs');
    } if $Lab::Systemd::suite eq 'bookworm';
    $c->stop;
};

sub run_rm { my ($c, $dir) = @_; $c->run("rm -r '$dir'; systemctl daemon-reload") }

subtest 'Exim' => sub {
    $c = Lab::Systemd->boot('exim', 'exim4-daemon-light');
    $told = '';
    like(($c->run('systemctl show -p SourcePath exim4.service'))[1], qr{^SourcePath=/etc/init\.d/exim4$}m, 'Debian 12: a unit made from the init script')
        if $Lab::Systemd::suite eq 'bookworm';
    $c->run('useradd -m carol; for i in 1 2 3; do printf "Subject: $i\n\nText.\n" | exim4 -odq -f a@example.org carol; done');
    my $input = $c->root . '/var/spool/exim4/input';
    my $head = (glob "$input/*-H")[1];
    my ($id) = $head =~ m{([^/]+)-H$};
    my ($uid, $gid, $mode) = (stat $head)[4, 5, 2];
    spew($head, slurp($head) =~ s/^XX\n/("YN a\@b\n" x 200_000) . "NN a\@b\n"/mer);
    chown $uid, $gid, $head;
    chmod $mode & 07777, $head;
    my $mainlog = sub { return slurp($c->root . '/var/log/exim4/mainlog') };
    wait_for('the daemon', 60, sub { $mainlog->() =~ /daemon started/ && $mainlog->() =~ /End queue run/ });
    $c->run('kill -ALRM $(cat /run/exim4/exim.pid)'); # the queue run that comes every half hour
    wait_for('the crash', 60, sub { $mainlog->() =~ /crashed with signal 11 while delivering \Q$id\E/ });
    is(active('exim4.service'), 'active', 'systemd sees nothing: the daemon survives its child');
    # The timer itself, a little faster.
    $c->drop_in('spoolck.timer', 'fast', "[Timer]\nOnBootSec=\nOnActiveSec=1s\nAccuracySec=100ms\nRandomizedDelaySec=0\n");
    $c->run('systemctl start spoolck.timer');
    wait_for('the timer', 60, sub { $c->journal('-t spoolck') =~ /daemon-dies/ });
    wait_for('its end', 60, sub { active('spoolck.service') eq 'inactive' });
    $told = $c->journal('-u spoolck -t spoolck');
    like($told, qr/^spoolck mx17: NEW stops-service exim:\Q$id\E input byte \d+ exim\.tree-depth, not moved; /m, 'the timer names it');
    like($told, qr/^spoolck mx17: NEW daemon-dies exim:\Q$id\E queue run died \d+ times? at it, exim\.tree-depth; /m, 'and who dies of it');
    isnt(($c->run('exim4 -bp'))[0], 0, 'the queue cannot even be listed');
    $c->drop_in('spoolck.service', 'move', contrib_file('spoolck.service.d/move.conf'));
    like(timer_run(), qr/^spoolck mx17: NEW stops-service exim:\Q$id\E .*, moved; /m, 'moved while Exim runs');
    $c->run('exim4 -q');
    is(scalar(my @left = glob "$input/*-H"), 0, 'what waited is delivered');
    is(scalar(() = slurp($c->root . '/var/mail/carol') =~ /^Subject: /mg), 2, 'to the end');
    is(($c->run('exim4 -bp'))[0], 0, 'the queue can be listed');
    $c->stop;
};

subtest 'OpenSMTPD' => sub {
    $c = Lab::Systemd->boot('opensmtpd', 'opensmtpd', 'ca-certificates');
    $told = '';
    my $queue = $c->root . '/var/spool/smtpd/queue';
    # `pause` comes after the start, and smtpd forgets it when it ends.
    my $n = 0;
    my $load = sub {
        my $subjects = join ' ', map { 'n' . $n++ } 1 .. 3;
        $c->run('id carol || useradd -m carol; systemctl start opensmtpd; for n in $(seq 50); do smtpctl pause mda && break; sleep 0.1; done; '
                . "for i in $subjects; " . 'do printf "Subject: $i\n\nText.\n" | sendmail -f a@localhost carol; done; systemctl stop opensmtpd');
        my ($path) = grep { m{/[0-9a-f]*[a-f][0-9a-f]*$} } sort glob "$queue/*/*/????????????????";
        my ($dir, $name) = $path =~ m{(.*)/(.*)};
        system('cp', '-a', $path, "$dir/" . uc $name) == 0 or die;
        return uc $name;
    };
    # An smtpd that dies may have delivered one already, which comes again then.
    my $delivered = sub {
        my %seen = map { $_ => 1 } map { (eval { slurp($_) } // '') =~ /^Subject: (n\d+)$/m } glob $c->root . '/home/carol/Maildir/new/*';
        return scalar keys %seen;
    };

    my $id = $load->();
    is(($c->run('systemctl start opensmtpd'))[0], 0, 'systemctl says that it started');
    wait_for('the end', 60, sub { active('opensmtpd') eq 'failed' });
    pass('and the unit fails a moment later');
    sleep 2;
    my $news = timer_run();
    like($news, qr/^spoolck mx17: NEW stops-service opensmtpd:$id queue opensmtpd\.twin, not moved; /m, 'the timer names it');
    like($news, qr/^spoolck mx17: NEW daemon-dies opensmtpd:$id smtpd died \d+ times?, perhaps of it, opensmtpd\.twin; /m, 'and who dies of it');

    spew($c->root . '/etc/systemd/system/spoolck-failed@.service', contrib_file('onfailure/spoolck-failed@.service'));
    $c->drop_in('opensmtpd.service', 'spoolck-failed', contrib_file('onfailure/opensmtpd.conf'));
    $c->run('systemctl reset-failed opensmtpd; systemctl start opensmtpd');
    wait_for('delivery', 60, sub { $delivered->() == 3 });
    is(active('opensmtpd'), 'active', 'OnFailure=: moved, started, delivered');
    like(($c->run('spoolck quarantine list'))[1], qr/-opensmtpd-$id /, 'it is kept');

    # What no message explains is not started again and again.
    $c->run('systemctl stop opensmtpd; mv /etc/smtpd.conf /etc/smtpd.conf.away; systemctl reset-failed; systemctl start opensmtpd');
    wait_for('the look at it', 60, sub { $c->journal('-u spoolck-failed@opensmtpd') =~ /Finished .*Finished /s });
    isnt(active('opensmtpd'), 'active', 'another failure: left as it is');
    $c->run('mv /etc/smtpd.conf.away /etc/smtpd.conf; systemctl reset-failed');

    # The hook, before each start.
    run_rm($c, '/etc/systemd/system/opensmtpd.service.d');
    $load->();
    $c->drop_in('opensmtpd.service', 'spoolck', contrib_file('hooks/opensmtpd.conf'));
    $c->run('systemctl start opensmtpd');
    wait_for('delivery', 60, sub { $delivered->() == 6 });
    is(active('opensmtpd'), 'active', 'ExecStartPre=: moved before smtpd reads it');
    $c->stop;
};

subtest 'Courier' => sub {
    $c = Lab::Systemd->boot('courier', 'courier-mta');
    $told = '';
    is(active($_), 'active', $_) for 'courier.service', 'courier-msa.service';
    $c->run('useradd -m carol; printf "Subject: x\n\nText.\n" | sendmail -f carol@mx17 nobody@nowhere.example');
    my $msgs = $c->root . '/var/lib/courier/msgs';
    my $control;
    wait_for('the first try', 60, sub { ($control) = glob "$msgs/*/C*"; $control && (eval { slurp($control) } // '') =~ /^D0 .*^A\d+$/ms });
    sleep 1; # the queue is in order again
    open my $out, '+<:raw', $control or die "$control: $!";
    truncate $out, 0;
    print {$out} "sx\0\0\n";
    close $out or die;
    my (undef, $report) = $c->run('spoolck scan courier');
    like($report, qr/^  systemctl stop courier\.service\n  spoolck scan -p .*\n  systemctl start courier\.service .*courier-msa\.service/m,
        'what to type: units that stop with it start with it') or diag $report;
    $c->drop_in('spoolck.service', 'restart', contrib_file('spoolck.service.d/restart.conf'));
    like(timer_run(), qr/^spoolck mx17: NEW \S+ courier:\S+ .*, moved; /m, 'the timer, with --restart: moved from a spool that is not below /var/spool');
    is(active($_), 'active', "$_ runs again") for 'courier.service', 'courier-msa.service';
    $c->stop;
};

done_testing();
