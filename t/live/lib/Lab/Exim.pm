package Lab::Exim;

# An Exim of a lab: a chroot that is kept between runs, and a working directory that is mounted
# in it as /lab.  Everything but build_chroot() runs inside namespaces of its own, chrooted.

use strict;
use warnings;
use Cwd ();
use File::Path qw(remove_tree);
use File::Basename qw(dirname);
use IO::Socket::INET;
use POSIX ();
use Lab::Util qw(slurp spew run_ok loopback_up wait_for base_dir rng);

my $here = dirname(Cwd::abs_path(__FILE__));

sub chroot_dir { return base_dir() . '/exim-chroot' . ($_[0] eq 'bookworm' ? '' : "-$_[0]") }

sub build_chroot {
    my ($suite) = @_;
    run_ok('sh', "$here/../../chroot.sh", $suite, chroot_dir($suite), 'exim4-daemon-heavy', 'perl');
}

# Runs the code in namespaces of its own, chrooted, with `work` as /lab; its limits are the lab's.
# Answers true when it came to its end.
sub inside {
    my ($suite, $work, $seconds, $code) = @_;
    my $root = chroot_dir($suite);
    run_ok('mkdir', '-p', "$root/lab", $work);
    chmod 0755, $work;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        alarm $Lab::Util::slow * $seconds + 30;
        exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', $^X, "-I$here/..",
            '-MLab::Exim', '-e', 'Lab::Exim::enter(@ARGV)', $root, $work, $seconds, $code;
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
    spew("$work/exim.conf", slurp("$here/../../exim/exim.conf")) unless -e "$work/exim.conf";
    chdir $root or die;
    chroot $root or die "chroot: $!";
    chdir '/' or die;
    %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C');
    my ($name, @words) = split ' ', $code;
    my $function = Lab::Exim->can($name) or die "$name?\n";
    $function->(@words);
    POSIX::_exit(0);
}

# --- Inside the chroot ---------------------------------------------------------------------

sub user { return (getpwnam 'Debian-exim')[2, 3] }

# A spool directory for the macros; a named queue's is made by Exim.
sub new_spool {
    my ($spool) = @_;
    my ($uid, $gid) = user();
    for my $dir ($spool, map { "$spool/$_" } qw(input msglog db log)) {
        mkdir $dir;
        chown $uid, $gid, $dir;
        chmod 0750, $dir;
    }
    return $spool;
}

sub command { my ($spool, @words) = @_; return ('exim4', '-C', '/lab/exim.conf', "-DSPOOL=$spool", @words) }

# Run Exim; (status, output).  Memory is limited: damaged files make it ask for much.
sub exim {
    my ($spool, $input, @words) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        spew("/lab/stdin.$$", $input);
        open STDIN, '<', "/lab/stdin.$$";
        unlink "/lab/stdin.$$";
        alarm 60;
        exec { 'exim4' } command($spool, @words) or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($?, $text);
}

sub ids {
    my ($spool) = @_;
    return map { m{([^/]+)-H\z} ? $1 : () } glob("$spool/input/*-H $spool/input/?/*-H");
}

# SMTP to a daemon or on standard input, all at once.
sub smtp_text {
    my (%m) = @_;
    my $text = $m{data};
    $text .= "\n" if length $text && $text !~ /\n\z/;
    $text =~ s/^\./../mg;
    $text =~ s/\n/\r\n/g;
    return "MAIL FROM:<$m{from}>" . ($m{mailopt} ? " $m{mailopt}" : '') . "\r\n"
        . join('', map { 'RCPT TO:<' . (ref $_ ? "$_->[0]> $_->[1]" : "$_>") . "\r\n" } @{ $m{to} })
        . "DATA\r\n$text.\r\n";
}

# --- Mail of every kind -----------------------------------------------------------------------

my @words = qw(alpha beta gamma delta epsilon zeta eta theta iota kappa);

sub body {
    my ($r, $n) = @_;
    return '' if $n % 9 == 0;
    my $text = join '', map { join(' ', map { $words[ $r->(10) ] } 1 .. 1 + $r->(12)) . "\n" } 1 .. 1 + $r->(30);
    $text .= "x" x 1500 . "\n" if $n % 11 == 0;
    $text .= ".\n..\nFrom here\n\n\n" if $n % 7 == 0;
    $text .= "\xc3\xa4\xff\x80 8 bit\n" if $n % 5 == 0;
    $text .= "line\n" x 40000 if $n % 97 == 0;
    return $text;
}

sub headers {
    my ($r, $n) = @_;
    my $h = "From: \"Lab, $n\" <lab$n\@lab.test>\nTo: somebody\@defer.test\nSubject: message $n\n";
    $h .= "Cc: a\@b.test,\n\tc\@d.test,\n  e\@f.test\n" if $n % 3 == 0;
    $h .= "Bcc: hidden\@ok.test\n" if $n % 4 == 0;
    $h .= "Message-ID: <$n\@lab.test>\n" if $n % 2;
    $h .= "Reply-To: r\@lab.test\nSender: s\@lab.test\nReturn-Receipt-To: x\@lab.test\n" if $n % 6 == 0;
    $h .= "X-Long: " . 'y' x (20 + 300 * ($n % 13)) . "\n";
    $h .= "X-8bit: \xe4\xf6 \x01\x02\n" if $n % 10 == 0;
    $h .= join '', map { "X-Many-$_: value $_\n" } 1 .. 80 if $n % 17 == 0;
    $h .= "Resent-From: z\@lab.test\nResent-To: y\@lab.test\nResent-Date: Fri, 20 Nov 2026 09:00:00 +0000\n" if $n % 19 == 0;
    $h .= 'X-Lab: ' . join(' ', $n % 12 == 0 ? 'freeze' : (), $n % 8 == 0 ? 'add' : (), $n % 14 == 0 ? 'remove' : ()) . "\n";
    $h .= "X-Remove: me\n" if $n % 14 == 0;
    return $h;
}

sub recipients {
    my ($r, $n) = @_;
    my @to = map { $words[ $r->(10) ] . $_ . '@' . ('defer.test', 'ok.test')[ $r->(2) ] } 1 .. 1 + $r->(4);
    push @to, 'keep@defer.test';    # so that something stays
    push @to, map { "many$_\@ok.test" } 1 .. 40 + $r->(120) if $n % 23 == 0;
    push @to, '"quoted local # 3,1"@defer.test', 'a,b#c@defer.test' if $n % 13 == 0;
    push @to, 'all@list.test', 'once@list.test' if $n % 5 == 1;
    return @to;
}

# DSN parameters.
sub with_dsn {
    my ($n, @to) = @_;
    my @notify = ('NOTIFY=NEVER', 'NOTIFY=SUCCESS,FAILURE', 'NOTIFY=DELAY ORCPT=rfc822;someone+20else@old.test', 'ORCPT=rfc822;x@y.test');
    return map { [ $_, $notify[ $n++ % 4 ] ] } @to;
}

# By SMTP on standard input (-bs), with facts of a made-up client.
sub queue_bs {
    my ($spool, $count, @options) = @_;
    my $r = rng($count);
    my $text = "EHLO client_1.lab.test\r\n";
    for my $n (1 .. $count) {
        my @to = recipients($r, $n);
        @to = with_dsn($n, @to) if $n % 3 == 1;
        $text .= smtp_text(from => $n % 6 ? "lab$n\@lab.test" : '', to => \@to,
            mailopt => $n % 3 == 1 ? 'RET=HDRS ENVID=env+2B' . $n . ' SIZE=1000' : $n % 4 == 2 ? 'AUTH=<> BODY=8BITMIME' : '',
            data => headers($r, $n) . "\n" . body($r, $n));
    }
    my ($status, $out) = exim($spool, $text . "QUIT\r\n", '-bs', @options);
    my $bad = () = $out =~ /^(?:4|5)\d\d /mg;
    print STDERR "# -bs: $bad refused: ", $out =~ /^((?:4|5)\d\d .*)/m, "\n" if $bad;
}

# With -bm, one process each: local senders, -t, other options.
sub queue_bm {
    my ($spool, $count) = @_;
    my $r = rng($count + 7);
    my @kinds = (['-f', 'x@lab.test'], ['-f', '<>'], ['-oMa', '192.0.2.7.25', '-oMs', 'client.test', '-oMr', 'spam-scanned', '-oMt', 'ident me'],
        ['-t'], ['-N'], ['-i', '-F', 'Full Name'], ['-oMa', '[2001:db8::1]:99', '-oMaa', 'plain', '-oMai', 'me', '-oMas', 'me@lab.test', '-oMi', '127.0.0.1.25'],
        ['-ti']);
    for my $n (1 .. $count) {
        my @options = @{ $kinds[ $n % @kinds ] };
        my @to = grep { !/["#]/ } recipients($r, $n);
        exim($spool, headers($r, $n) . "\n" . body($r, $n), '-odq', @options, $options[0] =~ /^-t/ ? () : ('--', @to));
    }
}

# A daemon; the code runs while it listens.
sub with_daemon {
    my ($spool, $options, $code) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', "$spool/daemon.err";
        exec { 'exim4' } command($spool, @$options, '-bdf', '-oP', "$spool/pid");
    }
    wait_for('the daemon', 20, sub {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 2525) or return 0;
        return (readline $s) =~ /^220/;
    });
    $code->();
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

# What a second Exim hands over by SMTP, with TLS, authentication, DSN and BDAT.
sub queue_tls {
    my ($spool, $count, @options) = @_;
    my $from = new_spool("$spool.sender");
    my $r = rng($count + 3);
    with_daemon($spool, \@options, sub {
        my $text = "EHLO client.lab.test\r\n";
        for my $n (1 .. $count) {
            my @to = grep { !/quoted/ } recipients($r, $n);
            $text .= smtp_text(from => "tls$n\@lab.test", to => [ with_dsn($n, @to) ], mailopt => "RET=FULL ENVID=tls$n",
                data => headers($r, $n) . "\n" . body($r, $n));
        }
        exim($from, $text . "QUIT\r\n", '-DSENDER=1', '-bs');
        exim($from, '', '-DSENDER=1', '-qf') for 1 .. 2;
    });
    system 'rm', '-rf', $from;
}

# A message whose delivery is killed between two recipients: a journal is left.
sub queue_journal {
    my ($spool, $count) = @_;
    for my $n (1 .. $count) {
        my %before = map { $_ => 1 } ids($spool);
        exim($spool, "Subject: journal $n\n\ntext\n", '-odq', '-f', "j$n\@lab.test", map({ "done$_\@ok.test" } 1 .. $n), 'slow@slow.test', 'keep@defer.test');
        my ($id) = grep { !$before{$_} } ids($spool) or next;
        my $pid = fork // die;
        if (!$pid) {
            setpgrp 0, 0;
            open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null';
            exec { 'exim4' } command($spool, '-DSLOW=1', '-M', $id);
        }
        eval { wait_for('a journal', 10, sub { grep { -s } glob("$spool/input/$id-J $spool/input/?/$id-J") }) };
        kill 'KILL', -$pid;
        for my $stat (glob '/proc/[0-9]*/cmdline') {
            my ($other) = $stat =~ /(\d+)/;
            my $line = eval { slurp($stat) } // '';
            kill 'KILL', $other if $other > 1 && $line =~ /^(?:exim4\0.*-M\0|\/bin\/sleep)/;
        }
        1 while waitpid(-1, POSIX::WNOHANG()) > 0;
        waitpid $pid, 0;
    }
}

# A whole queue: corpus SPOOL SCALE [OPTION...]
sub corpus {
    my ($spool, $scale, @options) = @_;
    new_spool($spool);
    queue_bs($spool, 12 * $scale, @options);
    queue_bs($spool, 4 * $scale, @options, '-oMa', '198.51.100.4.2525');
    queue_bm($spool, 3 * $scale);
    queue_tls($spool, 8 * $scale, @options);
    exim($spool, '', '-qf', @options);    # partial deliveries: trees in -H
    queue_journal($spool, 2 + $scale / 4);
    system 'rm', '-rf', "$spool/db";
    mkdir "$spool/db";
}

# Mail comes and goes for so many seconds: daemon, deliveries, some of it partial.
sub busy {
    my ($spool, $seconds) = @_;
    new_spool($spool);
    my $end = time + $seconds;
    my ($r, $n) = (rng(5), 0);
    with_daemon($spool, [], sub {
        while (time < $end) {
            my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 2525) or die;
            my $text = "EHLO client.test\r\n";
            for (1 .. 4) {
                my @to = grep { !/quoted/ } recipients($r, ++$n);
                @to = grep { !/defer|list/ } @to if $n % 4;
                @to = ('only@ok.test') unless @to;
                $text .= smtp_text(from => "busy$n\@lab.test", to => \@to, data => headers($r, $n) . "\n" . body($r, $n));
            }
            print {$s} $text . "QUIT\r\n";
            my @answer = <$s>;
            exim($spool, '', '-q');
            if ($n % 40 == 0) { exim($spool, '', '-Mrm', $_) for ids($spool) }
        }
    });
}

# A few messages that can be delivered.
sub queue_few {
    my ($spool, $count) = @_;
    new_spool($spool);
    exim($spool, "Subject: $_\n\nText.\n", '-odq', '-f', "a$_\@lab.test", "b$_\@ok.test") for 1 .. $count;
}

# Thaws and runs the queue; what was listed and logged goes to a file.
sub run_queue {
    my ($spool, $to) = @_;
    system 'rm', '-rf', "$spool/log", "$spool/db";
    new_spool($spool);
    my ($list, $out) = exim($spool, '', '-bpr');
    my ($status) = exim($spool, '', '-qff', '-DSPLIT=true');
    my ($again, $then) = exim($spool, '', '-bpr');
    spew($to, "-bp: " . ($out =~ /\*\*\*.*/ ? $& : 'fine') . ', ' . ($then =~ /\*\*\*.*/ ? $& : 'fine') . "\n"
        . join '', map { 'signal ' x !!($_ & 127) } $list, $status, $again);
    open my $log, '>>', $to or die;
    print {$log} map { -e ? slurp($_) : () } "$spool/log/mainlog";
}

# Some mail for a named queue, some for the usual one.
sub named {
    my ($spool) = @_;
    new_spool($spool);
    for my $n (1 .. 6) {
        exim($spool, "Subject: $n\n\ntext $n\n", '-odq', $n % 2 ? '-DNAMED=slow' : (), '-f', "n$n\@lab.test", 'keep@defer.test', "a$n\@ok.test");
    }
}

# Runs the named queue; its listing and the log go to a file.
sub run_named {
    my ($spool, $to) = @_;
    system 'rm', '-rf', "$spool/log", "$spool/db";
    new_spool($spool);
    my ($status) = exim($spool, '', '-qffGslow');
    my ($again, $out) = exim($spool, '', '-bpr', '-qGslow');
    spew($to, ($status || $again ? 'failed ' : '') . $out . join '', map { -e ? slurp($_) : () } "$spool/log/mainlog", "$spool/log/paniclog");
}

# One delivery attempt each for lines "SPOOL ID KEEP" of a list: those that are still there afterwards.
sub keep {
    my ($list, $to) = @_;
    my $left = '';
    for my $line (split /\n/, slurp($list)) {
        my ($spool, $id, $keep) = split ' ', $line;
        new_spool($spool);
        exim($spool, "", "-DHELD=1", "-DKEEP=${keep}s", "-M", $id);
        $left .= "$line\n" if -e "$spool/input/$id-H";
    }
    spew($to, $left);
}

# What spoolck finds on a host where Exim has another spool directory and keep_malformed.
sub discover {
    my ($spool, $to) = @_;
    run_ok('mount', '-t', 'tmpfs', 'none', '/etc/exim4');
    spew('/etc/exim4/exim4.conf', "spool_directory = $spool\nkeep_malformed = 36h\n");
    local $ENV{LD_LIBRARY_PATH} = '/lab/bin';
    my $found = `/lab/bin/spoolck spools --format json 2>&1`;
    my $scan = `/lab/bin/spoolck scan --format json 2>&1`;
    my $running = grep { (readlink || '') =~ /exim/ } glob '/proc/[0-9]*/exe';
    spew($to, "$found\0$scan\0$running");
}

# --- Judging ------------------------------------------------------------------------------------

# What Exim makes of the one message in a spool: a word, and the recipients that it would try.
#   crash format unread locked gone completed held
sub judge_one {
    my ($spool, $id) = @_;
    my $journal = -e "$spool/input/$id-J";
    my ($list, $out) = exim($spool, '', '-bp');
    my ($status, $said) = exim($spool, '', '-DHELD=1', '-M', $id);
    ($list, $out) = exim($spool, '', '-bp') if $journal;    # it is in -H now
    my $log = join '', map { -e ? slurp($_) : () } "$spool/log/mainlog", "$spool/log/paniclog";
    my @tried = sort map { s/\s.*//r } $log =~ /^\S+ \S+ (?:\S+ )*?\Q$id\E == (.*?) (?:R=|defer|<)/mg;
    my $word = $list & 127 || $out =~ /bad memory allocation/ ? 'crash'
        : $status & 127 || $log =~ /crashed with signal|bad memory allocation|SIGSEGV/ ? 'crash'
        : $log =~ /Format error in spool file|Error reading spool file/ ? 'format'
        : $out =~ /spool (?:format|read) error/ ? 'format'
        : $log =~ /not found/ ? 'gone'
        : $log =~ /Completed|Message removed/ ? 'completed'
        : @tried || $log =~ /is frozen/ ? 'held' : 'unread';
    return ($word, join(',', @tried), $list & 127, $status & 127, $log);
}

# judge LIST RESULT LANE LANES: every message named in LIST (directory below /lab/damaged)
sub judge {
    my ($list, $result, $lane, $lanes) = @_;
    my $n = 0;
    my $spool = "/lab/judge-$lane";
    my $lines = '';
    my ($uid, $gid) = user();
    for my $name (split /\n/, slurp($list)) {
        next if $n++ % $lanes != $lane;
        remove_tree($spool);
        new_spool($spool);
        my ($id) = $name =~ m{([^/]+)\z};
        for my $tail (qw(H D J)) {
            next unless -e "/lab/damaged/$name-$tail";
            spew("$spool/input/$id-$tail", slurp("/lab/damaged/$name-$tail"));
            chown $uid, $gid, "$spool/input/$id-$tail";
            chmod 0640, "$spool/input/$id-$tail";
        }
        my ($word, $tried, $s1, $s2) = judge_one($spool, $id);
        $lines .= "$name\t$word\t$tried\t$s1\t$s2\n";
        1 while waitpid(-1, POSIX::WNOHANG()) > 0;
    }
    spew("$result.$lane", $lines);
}

1;
