package Lab::Sendmail;

# A Sendmail of a lab: a chroot that is kept between runs, and a working directory that is mounted
# in it as /lab.  Everything but build_chroot() and inside() runs in namespaces of its own, chrooted.

use strict;
use warnings;
use Cwd ();
use Digest::MD5 qw(md5_hex);
use File::Basename qw(dirname);
use IO::Handle;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Open2 qw(open2);
use Socket ();
use POSIX ();
use Time::HiRes qw(sleep time);
use Lab::Util qw(slurp spew run_ok loopback_up wait_for base_dir rng);

my $here = dirname(Cwd::abs_path(__FILE__));

sub chroot_dir { return base_dir() . '/sendmail-chroot' }

sub build_chroot {
    run_ok('sh', '-c', '"$@" >&2', 'sh', "$here/../../chroot.sh", 'bookworm', chroot_dir(),
        qw(sendmail-bin sendmail-base sendmail-cf m4 perl));
}

# Runs the code in namespaces of its own, chrooted, with `work` as /lab; its limits are the lab's.
# Answers true when it came to its end.
sub inside {
    my ($work, $seconds, $code) = @_;
    my $root = chroot_dir();
    run_ok('mkdir', '-p', "$root/lab", $work);
    chmod 0755, $work;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        alarm $Lab::Util::slow * $seconds + 30;
        my $limit = 'ulimit -v 700000 && exec "$@"';
        exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', $limit, 'sh', $^X, "-I$here/..",
            '-MLab::Sendmail', '-e', 'Lab::Sendmail::enter(@ARGV)', $root, $work, $seconds, $code;
    }
    waitpid $pid, 0;
    return $? == 0;
}

# The other side of inside(): `code` is the name of a function of this package and its words.
sub enter {
    my ($root, $work, $seconds, $code) = @_;
    $$ == 1 or die "not in namespaces of its own\n";
    $SIG{ALRM} = $SIG{TERM} = sub { print STDERR "# timed out: $code\n"; POSIX::_exit(1) };
    alarm $Lab::Util::slow * $seconds;
    run_ok('mount', '--make-rprivate', '/');
    loopback_up();
    run_ok('hostname', 'lab.test');
    run_ok('mount', '--bind', $work, "$root/lab");
    run_ok('mount', '-t', 'proc', 'proc', "$root/proc");
    run_ok('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', "$root/run");
    for my $name (qw(sendmail.mc capture)) {
        my $text = slurp("$here/../../sendmail/$name");
        spew("$work/$name.$$.tmp", $text), rename "$work/$name.$$.tmp", "$work/$name"
            unless -e "$work/$name" && slurp("$work/$name") eq $text;
        chmod 0755, "$work/$name";
    }
    run_ok('ln', '-sfn', '/run/log', "$root/dev/log");
    spew("$root/etc/hosts", "127.0.0.1 lab.test localhost\n");
    chdir $root or die;
    chroot $root or die "chroot: $!";
    chdir '/' or die;
    %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C');
    my ($name, @words) = split ' ', $code;
    my $function = Lab::Sendmail->can($name) or die "$name?\n";
    my $ok = eval { $function->(@words); 1 };
    print STDERR $@ unless $ok;
    POSIX::_exit(!$ok);
}

# --- Inside the chroot ---------------------------------------------------------------------

# What is sent to syslog, by a process of its own: `path` gets it line by line.
sub log_to {
    my ($path) = @_;
    unlink '/run/log';
    my $socket = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(), Local => '/run/log') or die "/run/log: $!";
    open my $out, '>>', $path or die "$path: $!";
    $out->autoflush(1);
    my $pid = fork // die;
    if (!$pid) {
        while (defined recv $socket, my $line, 8192, 0) { print {$out} $line =~ s/^<\d+>//r =~ tr/\n\0/ /r, "\n" }
        POSIX::_exit(0);
    }
    return $pid;
}


# Configurations: the plain one, and one with queue groups in directories below /lab/groups.
my %groups = (
    'lab.cf' => '',
    'groups.cf' => "define(`QUEUE_DIR', `/lab/groups/main*')\nQUEUE_GROUP(`slow', `P=/lab/groups/slow, F=f, r=3')\n"
        . "QUEUE_GROUP(`list', `P=/lab/groups/list*, F=f')\nLOCAL_RULESETS\nSqueuegroup\nR\$* @ ok.test\t\$# list\nR\$* @ lab.test\t\$# slow\nR\$*\t\$# mqueue\n",
);

sub configure {
    return if -e '/lab/groups.cf';
    for my $cf (sort keys %groups) {
        my $mc = slurp('/lab/sendmail.mc') =~ s/LAB_GROUPS/$groups{$cf}/r;
        spew("/lab/$cf.mc", $mc);
        run_ok('sh', '-c', "m4 /lab/$cf.mc > /lab/$cf.new 2>/lab/m4.err && mv /lab/$cf.new /lab/$cf");
    }
    spew('/lab/service.switch', "hosts files\naliases files\npasswd files\n");
    spew('/lab/aliases', join '', map { "$_\n" }
        'root: keep@defer.test', 'all: one@ok.test, two@defer.test, three@defer.test, owner',
        'owner-all: owner@lab.test', 'owner: boss@defer.test', 'mixed: "|/bin/cat >/dev/null", /lab/mixed.mbox, four@defer.test',
        'postmaster: pm@ok.test', 'mailer-daemon: pm@ok.test');
    run_ok('sh', '-c', 'sendmail -C/lab/lab.cf -OQueueDirectory=/run -bi 2>&1');
}

# A queue directory.
sub new_spool {
    my ($spool, @below) = @_;
    for my $dir ($spool, map { "$spool/$_" } @below) {
        mkdir $dir;
        chmod 0700, $dir;
    }
    return $spool;
}

our $patience = 60;    # seconds for one run

sub command {
    my ($spool, @words) = @_;
    return ('sendmail', '-Am', '-C/lab/groups.cf', @words) if $spool =~ m{^/lab/groups};
    return ('sendmail', '-Am', '-C/lab/lab.cf', "-OQueueDirectory=$spool", @words);
}

# Run Sendmail on a queue directory; (status, output).
sub sendmail {
    my ($spool, $input, @words) = @_;
    my $in = "/run/stdin.$$";
    spew($in, $input);
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', $in;
        alarm $patience;
        exec { 'sendmail' } command($spool, @words) or POSIX::_exit(127);
    }
    local $/;
    # When it hangs, those that it started do, too, and hold the pipe open.
    local $SIG{ALRM} = sub { kill 'KILL', working() };
    my $left = alarm $patience + 2;
    my $text = <$out> // '';
    alarm $left;
    close $out;
    my $status = $?;
    unlink $in;
    settle() unless -e '/lab/sendmail.pid';    # a daemon goes on
    return ($status, $text);
}

# The processes of Sendmail (of this pid namespace).
sub working {
    return map { /^(\d+) \(sendmail[^)]*\) [^Z]/ ? $1 : () } map { eval { slurp($_) } // '' } glob '/proc/[0-9]*/stat';
}

# Until no Sendmail works any more: a delivery that is killed between removing the text and the
# control file leaves a control file without its text.
sub settle {
    my ($seconds) = @_;
    wait_for('the last delivery', $seconds // 240, sub {
        1 while waitpid(-1, POSIX::WNOHANG()) > 0;    # we are process 1
        return !working();
    });
}

# Control files of a queue directory, or of all below it.
sub controls {
    my ($spool, $letters) = @_;
    $letters //= 'qhQ';
    return glob "$spool/[$letters]f?* $spool/qf/[$letters]f?*";
}

sub id_of { my ($path) = @_; return $path =~ s{.*/.f}{}r }

# --- Mail of every kind -----------------------------------------------------------------------

my @words = qw(alpha beta gamma delta epsilon zeta eta theta iota kappa);

sub body {
    my ($r, $n) = @_;
    return '' if $n % 9 == 0;
    my $text = join '', map { join(' ', map { $words[ $r->(10) ] } 1 .. 1 + $r->(12)) . "\n" } 1 .. 1 + $r->(30);
    $text .= 'x' x 900 . "\n" if $n % 11 == 0;
    $text .= ".\n..\nFrom here\n\n\n" if $n % 7 == 0;
    $text .= "\xc3\xa4\xff\x80 8 bit\n" if $n % 5 == 0;
    $text .= "zero \0\0\0 bytes\n" if $n % 21 == 0;
    $text .= "line\n" x 40000 if $n % 47 == 0;
    return $text;
}

sub headers {
    my ($r, $n) = @_;
    my $h = "From: \"Lab, $n\" <lab$n\@lab.test>\nTo: somebody\@defer.test\nSubject: message $n\n";
    $h .= "Cc: a\@b.test,\n\tc\@d.test,\n  e\@f.test\n" if $n % 3 == 0;
    $h .= "Bcc: hidden\@ok.test\n" if $n % 4 == 0;
    $h .= "Message-ID: <$n\@lab.test>\n" if $n % 2;
    $h .= "Errors-To: x\@lab.test\nReturn-Receipt-To: x\@lab.test\nPrecedence: bulk\n" if $n % 6 == 0;
    $h .= 'X-Long: ' . 'y' x (20 + 70 * ($n % 13)) . "\n";
    $h .= "X-8bit: \xe4\xf6 \x01\x02 \xff\n" if $n % 10 == 0;
    $h .= "X-Empty:\nX-Blank: \n" if $n % 8 == 0;
    $h .= join '', map { "X-Many-$_: value $_\n" } 1 .. 80 if $n % 17 == 0;
    $h .= "X-Folded: " . join("\n\t", map { "part $_ of many" } 1 .. 200) . "\n" if $n % 25 == 0;
    $h .= "Resent-From: z\@lab.test\nResent-To: y\@lab.test\nResent-Date: Fri, 20 Nov 2026 09:00:00 +0000\n" if $n % 19 == 0;
    $h .= "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b$n\"\n" if $n % 14 == 1;
    return $h;
}

sub recipients {
    my ($r, $n) = @_;
    my @to = map { $words[ $r->(10) ] . $_ . '@' . ('defer.test', 'ok.test')[ $r->(2) ] } 1 .. 1 + $r->(4);
    push @to, 'keep@defer.test';    # so that something stays
    push @to, map { "many$_\@defer.test" } 1 .. 40 + $r->(160) if $n % 23 == 0;
    push @to, '"quoted local: part"@defer.test', 'a+b=c@defer.test' if $n % 13 == 0;
    push @to, 'all@lab.test', 'mixed' . '@lab.test' if $n % 5 == 1;
    return @to;
}

# DSN parameters.
sub with_dsn {
    my ($n, @to) = @_;
    my @notify = ('NOTIFY=NEVER', 'NOTIFY=SUCCESS,FAILURE', 'NOTIFY=DELAY ORCPT=rfc822;someone+20else@old.test', 'ORCPT=rfc822;x@y.test');
    return map { [ $_, $notify[ $n++ % 4 ] ] } @to;
}

# One session, command by command. Answers the number of refusals.
sub session {
    my ($in, $out, @messages) = @_;
    my $bad = 0;
    my $say = sub {
        print {$out} $_[0] . "\r\n" if defined $_[0];
        my $line;
        do { $line = <$in> // return 0 } while $line =~ /^\d\d\d-/;
        return 1 if $line =~ /^[23]/;
        print STDERR "# $_[0]: $line" if !$bad++;
        return 0;
    };
    $out->autoflush(1);
    $say->();
    $say->('EHLO client_1.lab.test');
    for my $m (@messages) {
        my $text = $m->{data};
        $text .= "\n" if length $text && $text !~ /\n\z/;
        $text =~ s/^\./../mg;
        $text =~ s/\n/\r\n/g;
        $say->("MAIL FROM:<$m->{from}>" . ($m->{mailopt} ? " $m->{mailopt}" : ''));
        $say->('RCPT TO:<' . (ref $_ ? "$_->[0]> $_->[1]" : "$_>")) for @{ $m->{to} };
        $say->('DATA') && $say->("$text.");
    }
    $say->('QUIT');
    return $bad;
}

my @mailopt = ('', 'RET=HDRS ENVID=env+2B7', 'BODY=8BITMIME', 'AUTH=<>', 'BODY=7BIT RET=FULL', 'AUTH=me+2B1@lab.test', 'BY=9000;RT', 'BY=7200;N SIZE=1000', 'BY=8000;R');

# By SMTP on standard input (-bs).
sub queue_bs {
    my ($spool, $count, @options) = @_;
    my $r = rng($count);
    my @messages;
    for my $n (1 .. $count) {
        my @to = recipients($r, $n);
        @to = with_dsn($n, @to) if $n % 3 == 1;
        push @messages, { from => $n % 6 ? "lab$n\@lab.test" : '', to => \@to, mailopt => $mailopt[ $n % @mailopt ],
            data => headers($r, $n) . "\n" . body($r, $n) };
    }
    my $pid = open2(my $in, my $out, command($spool, '-bs', @options));
    session($in, $out, @messages);
    close $out;
    waitpid $pid, 0;
}

# On the command line, one process each.
sub queue_bm {
    my ($spool, $count) = @_;
    my $r = rng($count + 7);
    my @kinds = (['-f', 'x@lab.test'], ['-f', '<>'], ['-t'], ['-N', 'never'], ['-i', '-F', 'Full Name'], ['-B', '8BITMIME'], ['-R', 'hdrs', '-V', 'env-7'],
        ['-ti', '-f', 'user+tag@lab.test'], ['-U', '-h', '3'], ['-p', 'ESMTP:client.test']);
    for my $n (1 .. $count) {
        my @options = @{ $kinds[ $n % @kinds ] };
        my @to = grep { !/"/ } recipients($r, $n);
        sendmail($spool, headers($r, $n) . "\n" . body($r, $n), @options, $options[0] =~ /^-t/ ? () : ('--', @to));
    }
}

# A daemon; the code runs while it listens.
sub with_daemon {
    my ($spool, $code, @options) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', '/lab/daemon.err';
        exec { 'sendmail' } command($spool, '-bD', @options);
    }
    wait_for('the daemon', 20, sub {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 2525) or return 0;
        return (readline $s) =~ /^220/;
    });
    $code->();
    kill 'TERM', $pid;
    waitpid $pid, 0;
    unlink '/lab/sendmail.pid';
    # A runner that was stopped while it rewrote a control file leaves a tf file, for which others wait.
    eval { settle(@options ? 20 : 240) };
}

sub by_smtp {
    my (@messages) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 2525) or return;
    return session($s, $s, @messages);
}

# A whole queue: corpus SPOOL SCALE
sub corpus {
    my ($spool, $scale) = @_;
    configure();
    my $log = log_to("$spool.log");
    new_spool($spool, $spool =~ /split/ ? qw(qf df xf) : $spool =~ /half/ ? 'df' : ());
    queue_bs($spool, 8 * $scale);
    queue_bm($spool, 4 * $scale);
    sendmail($spool, '', '-q');    # partial deliveries: M lines, K, N, C
    queue_bs($spool, 2 * $scale, '-OQueueFileMode=0640');
    with_daemon($spool, sub {
        my $r = rng($scale);
        by_smtp(map { +{ from => "net$_\@far.test", to => [ recipients($r, $_) ], data => headers($r, $_) . "\n" . body($r, $_) } } 1 .. 2 * $scale);
    });
    my @ids = map { id_of($_) } controls($spool, 'q');
    sendmail($spool, '', '-Qlooks like spam', "-qI$_") for @ids[ 3, 8, 11 ];
    kill 'KILL', $log;
}

# The same with queue groups and several directories.
sub corpus_groups {
    my ($scale) = @_;
    configure();
    my $log = log_to('/lab/groups.log');
    new_spool('/lab/groups', qw(main1 main2 main2/qf main2/df main2/xf slow list1 list1/df list2));
    queue_bs('/lab/groups', 8 * $scale);
    sendmail('/lab/groups', '', '-q');
    kill 'KILL', $log;
}

# Mail comes and goes for so many seconds: a daemon that runs the queue every second.
sub busy {
    my ($spool, $seconds) = @_;
    configure();
    new_spool($spool);
    my $end = time + $seconds;
    with_daemon($spool, sub {
        my $r = rng(5);
        for (my $n = 1; time < $end; $n++) {
            by_smtp(map {
                my @to = grep { !/mixed|all|"/ } recipients($r, $n + $_);
                @to = map { s/defer/ok/r } @to if $n % 4;
                +{ from => "busy$n\@far.test", to => \@to, data => headers($r, $n) . "\n" . body($r, $n) }
            } 1 .. 8);
            sendmail($spool, '', '-q') if $n % 3 == 0;
        }
        # A server that is stopped between the text and the control file of a message that is done leaves
        # real damage: it gets the time to finish.
        eval { wait_for('the deliveries', 60, sub { !grep { (eval { slurp($_) } // '') =~ /^R.*\@ok\.test/m } glob "$spool/qf*" }) };
    }, '-q1s');
}

# Runs the queue; what was said and logged goes to a file, what was delivered to FILE.taken.
sub run_queue {
    my ($spool, $to) = @_;
    configure();
    run_ok('mkdir', '-p', '/lab/taken');
    unlink glob '/lab/taken/*';
    my $pid = log_to('/run/queue.log');
    my ($status, $out) = sendmail($spool, '', '-q', '-v');
    spew($to, "status $status\n$out" . logged('/run/queue.log'));
    kill 'KILL', $pid;
    spew("$to.taken", taken() =~ s/; /\n/gr . "\n");
}

# --- Judging ------------------------------------------------------------------------------------

# What was handed to the mailer: sender, recipients, a digest of the text; a notice only as such.
sub taken {
    my @taken;
    for my $file (sort glob '/lab/taken/*') {
        my ($envelope, $text) = split /\n\n/, slurp($file), 2;
        my (undef, $host, $sender, @to) = split /\n/, $envelope;
        unlink $file;
        if ($sender =~ /^<(?:MAILER-DAEMON)?>$/i && $text =~ /^Subject: .*(?:Returned mail|notification|Warning|Return receipt)/mi) {
            push @taken, "notice to @to";
            next;
        }
        push @taken, join ' ', $sender, md5_hex($text), "$host:" . join(',', sort @to);
    }
    return join '; ', sort @taken;
}

# What was logged so far: a mark is logged, and waited for.
my $marks = 0;

sub logged {
    my ($log) = @_;
    my $mark = 'mark ' . ++$marks . " of $$";
    my $socket = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(), Peer => '/run/log') or die "/run/log: $!";
    send $socket, "<6>$mark", 0 or die "log: $!";
    wait_for('the log', 20, sub { slurp($log) =~ /\Q$mark\E$/m });
    return slurp($log) =~ s/^mark \d+ of.*\n//mgr;
}

# What Sendmail makes of the one message in a queue directory: a word, and what it delivers.
#   crash hangs lost stuck deleted sent
sub judge_one {
    my ($spool, $id, $log) = @_;
    truncate $log, 0;
    # Where another seems to write the control file, the runner waits for minutes.
    local $patience = glob("$spool/tf*") ? 15 : 60;
    my ($status, $out) = sendmail($spool, '', '-q', '-v');
    my $said = logged($log) . $out;
    my @left = controls($spool);
    my $taken = taken();
    my $word = ($status & 127) =~ /^(?:9|14)$/ ? 'hangs' : $status & 127 || $said =~ /assert|SIGSEGV|SIGABRT|died on signal/i ? 'crash'
        : (grep { m{/Qf[^/]*$} } @left) ? 'lost'
        : @left ? 'stuck' : $taken eq '' ? 'deleted' : 'sent';
    my ($why) = $said =~ /(SECURITY ALERT: \w+|bad line|incomplete queue file|unsupported queue|bogus queue|cannot open|syntax error|assert\w*|Unbalanced|too long|too young|Invalid macro)/;
    return ($word, $taken, $why // '');
}

# judge LIST RESULT LANE LANES: every message whose id is in LIST, of /lab/damaged
sub judge {
    my ($list, $result, $lane, $lanes) = @_;
    my ($n, $lines) = (0, '');
    my $spool = '/run/judge';
    # One's own, so that several lanes do not meet.
    mkdir '/run/taken';
    run_ok('mkdir', '-p', '/lab/taken');
    run_ok('mount', '--bind', '/run/taken', '/lab/taken');
    my $pid = log_to('/run/judge.log');
    for my $id (split /\n/, slurp($list)) {
        next if $n++ % $lanes != $lane;
        unlink glob "$spool/* /lab/taken/*";
        new_spool($spool);
        for my $file (grep { -e } map { "/lab/damaged/$_$id" } qw(qf df tf)) {
            my $name = $file =~ s{.*/}{}r;
            spew("$spool/$name", slurp($file));
            chmod +(stat $file)[2] & 0777, "$spool/$name";
        }
        my @verdict = judge_one($spool, $id, '/run/judge.log');
        $lines .= join("\t", $id, map { s/[\t\n]/ /gr } @verdict) . "\n";
    }
    kill 'KILL', $pid;
    spew("$result.$lane", $lines);
}

1;
