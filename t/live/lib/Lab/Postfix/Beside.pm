package Lab::Postfix::Beside;

# The real Postfix and spoolck at work on the same spool.
#
#   busy        mail streams in and out while scans loop: no finding above a notice, nothing moved,
#               no word of it in the log, every message delivered
#   round trip  a killer among sound mail: the queue manager dies at every start; `scan -p` puts it
#               aside and the server works again; restored, it is the same file to the last byte
#   hash mixed  a file beside the hash directories of deferred/: the queue manager passes over it until
#               `postsuper -s`, and a scan notes that
#   discover    spoolck finds the queues of two instances, by their configuration alone

use strict;
use warnings;
use Exporter 'import';
use Digest::SHA qw(sha1_hex);
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);
use Lab::Smtp;
use Lab::Util qw(carry_program slurp spew run_ok spawn stop_children wait_for say_step);

our @EXPORT_OK = qw(busy round_trip hash_mixed discover);

my ($sink_port, $smtp_port) = (2610, 2611);

# "tmp" recipients are deferred by the sink and tried again at once, so that mail wanders
# between incoming, active and deferred all the time.
my $main = <<"EOM";
relayhost = [127.0.0.1]:$sink_port
mydestination =
smtp_send_xforward_command = no
notify_classes =
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
EOM
my $master = "qmgr unix n - n 1 1 qmgr\n127.0.0.1:$smtp_port inet n - n - - smtpd\n";

sub start_lab {
    my ($lab) = @_;
    spawn(sub { Lab::Smtp::sink($sink_port, 'mixed', 20) });
    $lab->configure($main, $master);
    $lab->start;
}

sub send_some {
    my ($count, $local) = @_;
    my $smtp = Lab::Smtp->new($smtp_port);
    for my $n (1 .. $count) {
        my @to = map { "$local$_\@far.test" } 1 .. 1 + $n % 3;
        $smtp->send(from => "s$n\@near.test", to => \@to, data => "Subject: $n\n\n" . ("line of text $n\n" x ($n % 200)));
    }
    $smtp->quit;
}

# One scan; answers (exit status, events).
sub scan {
    my ($lab, @options) = @_;
    my $program = $ENV{SPOOLCK} || die "SPOOLCK names the program\n";
    open my $out, '-|', $program, 'scan', '--format', 'json', '--store', "$lab->{dir}/store", @options, 'postfix:' . $lab->spool or die $!;
    my @events = map { decode_json($_) } readline $out;
    close $out;
    return ($? >> 8, @events);
}

sub quarantine {
    my ($lab, @words) = @_;
    my $program = $ENV{SPOOLCK};
    my $text = `$program quarantine --store '$lab->{dir}/store' @words 2>&1`;
    return ($? >> 8, $text);
}

# What the log holds that a quiet server does not say.
sub complaints {
    my ($lab) = @_;
    my $log = slurp("$lab->{dir}/log/postfix.log");
    return grep { /: (?:fatal|panic|error):|corrupt/ } split /\n/, $log;
}

# A process that sends mail, delivered and deferred in turn, until the time is over.
sub sender {
    my ($end) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    my $n = 0;
    # A connection that is lost on a busy machine is not the end.
    while (time < $end) { eval { send_some(20, $n++ % 2 ? 'user' : 'tmp'); 1 } or print STDERR "# sender: $@" and sleep 0.2 }
    POSIX::_exit(0);
}

sub busy {
    my ($lab) = @_;
    start_lab($lab);
    my $end = time + 25;
    my @senders = map { sender($end) } 1 .. 2;
    my ($scans, $seen, $sent) = (0, 0, 0);
    while (time < $end) {
        my ($status, @events) = scan($lab, $scans % 2 ? '-y' : '-n');
        my ($summary) = grep { $_->{event} eq 'summary' } @events;
        my @bad = grep { $_->{event} eq 'finding' && $_->{severity} ne 'notice' } @events;
        die "a healthy message is reported: " . encode_json(\@bad) . "\n" if @bad;
        die "exit $status: " . encode_json($summary) . "\n" if $status || $summary->{moved} || $summary->{unchecked};
        $scans++;
        $seen += $summary->{messages};
    }
    waitpid $_, 0 for @senders;
    my @lines = complaints($lab);
    die "the server complains: $lines[0]\n" if @lines;
    my $log = slurp("$lab->{dir}/log/postfix.log");
    $sent = () = $log =~ /status=sent/g;
    die "no load: $sent deliveries, $seen messages seen\n" if $sent < 200 || $seen < 200;
    print STDERR "# busy: $scans scans saw $seen messages, beside $sent deliveries: no finding, no complaint\n";
    $lab->stop;
    stop_children();
}

# The inode proves that a file is the same; bytes, mode, owner and time that nothing else changed.
sub portrait {
    my ($path) = @_;
    my @s = stat $path or return 'missing';
    return join ' ', @s[1, 2, 4, 5, 7, 9], sha1_hex(slurp($path));
}

sub qmgr_deaths {
    my ($lab) = @_;
    my $log = slurp("$lab->{dir}/log/postfix.log");
    return scalar(() = $log =~ m{process \S+/qmgr pid \d+ exit status 1}g);
}

# How often the log has said that delivery of this message was put off.
sub tries {
    my ($lab, $id) = @_;
    my $log = slurp("$lab->{dir}/log/postfix.log");
    return scalar(() = $log =~ /: \Q$id\E: to=<.*status=deferred/g);
}

sub hash_mixed {
    my ($lab) = @_;
    start_lab($lab);
    send_some(10, 'tmp');
    my ($flat, $other);
    wait_for('a deferred message', 30, sub {
        my @files = $lab->files('deferred');
        return @files >= 5 && rename($lab->spool . "/$files[0]", $lab->spool . '/' . $files[0] =~ s{/./}{/}r) && (($flat, $other) = map { s{.*/}{}r } @files);
    });
    my ($before, $beside) = map { tries($lab, $_) } $flat, $other;
    wait_for('others to be tried again', 30, sub { tries($lab, $other) >= $beside + 3 });
    tries($lab, $flat) == $before or die "the queue manager has found deferred/$flat\n";
    my ($status, @events) = scan($lab);
    grep { ($_->{name} // '') eq 'postfix.hash-mixed' && $_->{part} eq 'deferred' } @events or die "the scan says nothing of deferred/$flat\n";
    $lab->command('postsuper', '-s');
    wait_for('it to be tried again', 30, sub { tries($lab, $flat) > $before });
    print STDERR "# hash mixed: deferred/$flat was passed over until postsuper -s\n";
    $lab->stop;
    stop_children();
}

sub discover {
    my ($lab) = @_;
    my ($etc, $data) = map { "$lab->{dir}/$_" } qw(etc data);
    $lab->configure("multi_instance_directories = /etc/postfix/two\n", $master);
    run_ok('mkdir', '-p', "$etc/two", map { "$data/queue-two/$_" } qw(active bounce corrupt defer deferred hold incoming maildrop pid private public));
    spew("$etc/two/main.cf", slurp("$etc/main.cf") =~ s{^(multi_instance_directories|queue_directory|data_directory).*\n}{}mgr
        . "multi_instance_name = postfix-two\nqueue_directory = /var/lib/postfix/queue-two\ndata_directory = /var/lib/postfix/two\n");
    run_ok('cp', "$etc/master.cf", "$etc/two/");
    carry_program($ENV{SPOOLCK}, "$data/bin");
    my @in = ('env', 'LD_LIBRARY_PATH=/var/lib/postfix/bin', '/var/lib/postfix/bin/spoolck');
    my ($status, $out) = $lab->chroot_run('', @in, 'spools', '--format', 'json');
    my %spool = map { $_->{path} => $_ } map { decode_json($_) } grep { /^\{/ } split /\n/, $out;
    "@{[sort keys %spool]}" eq '/var/lib/postfix/queue-two /var/spool/postfix' or die "found: $out\n";
    $_->{version} =~ /^3\.\d+\.\d+$/ && $_->{server} eq 'stopped' or die "found: $out\n" for values %spool;
    grep { (readlink || '') =~ /postfix/ } glob '/proc/[0-9]*/exe' and die "something was started\n";
    print STDERR "# discover: @{[sort keys %spool]}\n";
}

sub round_trip {
    my ($lab) = @_;
    start_lab($lab);
    send_some(30, 'tmp');
    wait_for('deferred mail', 30, sub { $lab->files('deferred') >= 20 });
    $lab->stop;
    my ($victim) = $lab->files('deferred');
    my $path = $lab->spool . "/$victim";
    my $mtime = time - 100;
    open my $fh, '+<', $path or die $!;
    seek $fh, 18, 0;
    print {$fh} 'x';
    close $fh;
    utime $mtime, $mtime, $path;
    my $before = portrait($path);

    my $sleep = qmgr_deaths($lab);
    $lab->start;
    wait_for('the queue manager to die twice', 60, sub { qmgr_deaths($lab) >= $sleep + 2 });
    my ($status) = scan($lab, '-p');
    $status & 4 or die "a message in active/ was moved beside a running server (exit $status)\n";
    $lab->stop;

    ($status) = scan($lab, '-p');
    $status == 1 or die "the killer was not moved: exit $status\n";
    ($status) = scan($lab);
    $status == 0 or die "the spool is not clean: exit $status\n";
    my $deaths = qmgr_deaths($lab);
    $lab->start;
    send_some(5, 'user');
    wait_for('mail to flow again', 60, sub { slurp("$lab->{dir}/log/postfix.log") =~ /to=<user1\@far\.test>.*status=sent/ });
    qmgr_deaths($lab) == $deaths or die "the queue manager still dies\n";
    $lab->stop;

    my ($id) = $victim =~ m{([^/]+)\z};
    my $text;
    ($status, $text) = quarantine($lab, 'restore', '--force', $id);
    $status == 2 or die "restore: exit $status: $text\n";
    my ($back) = grep { /\Q$id\E\z/ } map { $lab->files($_) } qw(active incoming deferred);
    my $after = portrait($lab->spool . "/$back");
    # The server itself moved it from deferred to active, and sets the time when it does.
    s/^(\S+ \S+ \S+ \S+ \S+) \S+/$1/ for $before, $after;
    $after eq $before or die "it came back changed:\n  $before\n  $after\n";
    print STDERR "# round trip: the killer left $back, the server worked, it came back to the last byte\n";
    stop_children();
}

1;
