package Lab::OpenSMTPD::Corpus;

# Real messages of all kinds, queued by a real smtpd: deferred with error texts, bounces, local
# deliveries that fail, DSN options, tags, many recipients, any text.

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Socket;
use POSIX ();
use Lab::OpenSMTPD;
use Lab::Smtp;
use Lab::Util qw(spew slurp rng spawn);

our @EXPORT_OK = qw(configuration feed feed_few keep_all);

my $relay = 2526;

# smtpd.conf; $queue is put first: "queue compression" and so on.
sub configuration {
    my ($queue, $password) = @_;
    return <<"CONF" . ($password ? <<"TLS" : '');
${queue}queue ttl 4d
bounce warn-interval 2s
smtp max-message-size 30M
listen on 127.0.0.1 port 25
listen on 127.0.0.1 port 2525 tag SUBMITTED
listen on 127.0.0.1 port 2527 mask-src hostname other.lab.test
listen on socket
table aliases file:/etc/aliases
action "local" mda "exit 75" alias <aliases>
action "mbox" mda "/bin/false" alias <aliases>
action "relay" relay host smtp://127.0.0.1:$relay
action "masked" relay host smtp://127.0.0.1:$relay mail-from "\@masked.test"
match from any for domain "false.test" action "mbox"
match from any for domain "masked.test" action "masked"
match from any for local action "local"
match from any for any action "relay"
CONF
pki lab.test cert "/etc/lab.crt"
pki lab.test key "/etc/lab.key"
table credentials { alice = "$password" }
listen on 127.0.0.1 port 2528 tls pki lab.test auth <credentials> tag AUTH
TLS
}

# Users and aliases of the chroot.
sub users {
    my ($lab) = @_;
    my $passwd = slurp("$lab->{root}/etc/passwd");
    $passwd =~ s/^(?:carol|dave):.*\n//mg;
    my $uid = 1001;
    for my $user (qw(carol dave)) {
        # The homes lie in the lab's own /etc; a home with the sticky bit defers all mail.
        mkdir "$lab->{root}/etc/home-$user", 0755;
        chown $uid, $uid, "$lab->{root}/etc/home-$user";
        $passwd .= "$user:x:$uid:$uid:$user:/etc/home-$user:/bin/sh\n";
        $uid++;
    }
    spew("$lab->{root}/etc/passwd", $passwd);
    spew("$lab->{root}/etc/aliases", "team: carol, dave, tmp-team\@example.net, perm-team\@example.net\nbox: carol\npipe: \"|exit 75\"\n");
}

my @senders = ('alice@example.org', '', 'list-owner+bounce=1@example.org', 'o-connor@example.org',
    'a' x 60 . '@example.org', 'x@' . join('.', ('sub' x 8) x 6) . '.example.org');
my @bodies = (
    "Subject: hello\nFrom: alice\@example.org\nTo: bob\@example.net\n\nHello.\n",
    '', "\n", "no header at all", "Subject: only a header\n", "Subject: 8-bit \xe4\xf6\xfc\n\n\xff\xfe\x80\n",
    "Subject: dots\n\n.\n..\n.a\n", "From: a\nTo: b, c,\n d\nCc: e\n\ntext without end",
    "Subject: long lines\n\n" . join("\n", map { 'y' x $_ } 1, 78, 998, 2000) . "\n",
    "Subject: folded\n\tonce\n twice\nBcc: secret\@example.net\n\n" . "line\n" x 500,
    "Subject: big\n\n" . ('0123456789abcdef' x 4 . "\n") x 3000,
    "Content-Type: multipart/mixed; boundary=x\n\n--x\n\npart\n--x--\n",
);

# Where everything is sent: tmp* is deferred, perm* refused, the rest accepted. A process for each
# connection, because smtpd keeps many open.
sub relay {
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => $relay, ReuseAddr => 1)
        or die "relay: $!";
    local $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $s = $listen->accept or next;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $listen;
            alarm 60;
            Lab::Smtp::sink_session($s, 'mixed');
            POSIX::_exit(0);
        }
        close $s;
    }
}

sub connection { my ($port) = @_; return Lab::Smtp->new($port) }

# Many messages; answers how many envelopes were accepted.
sub feed {
    my ($lab, $messages, $tls) = @_;
    my $rnd = rng(1);
    my ($count, $s, $left) = (0, undef, 0);
    users($lab);
    spawn(\&relay);
    for my $n (1 .. $messages) {
        if ($left-- <= 0) {
            $s->quit if $s;
            $s = connection((25, 2525, 2527)[$rnd->(3)]);
            $left = 3 + $rnd->(10);
        }
        my @to = map { recipient($rnd, "$n.$_") } 1 .. ($n % 40 == 7 ? 60 : 1 + $rnd->(3));
        my $from = $senders[$rnd->(scalar @senders)];
        my $opt = ('', '', 'RET=HDRS', 'RET=FULL ENVID=env' . 'z' x $rnd->(60), 'ENVID=QQ314159')[$rnd->(5)];
        $count += Lab::OpenSMTPD::submit($s, from => $from, to => \@to, mailopt => $opt,
            data => $bodies[$rnd->(scalar @bodies)]);
    }
    $s->quit;
    local_mail($lab);
    $count += feed_tls() if $tls;
    return $count;
}

# Over TLS, and as a user who has said his password. Answers how many envelopes were accepted.
sub feed_tls {
    my $count = 0;
    for my $n (1 .. 12) {
        socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            POSIX::dup2(fileno $there, $_) for 0, 1;
            open STDERR, '>', '/dev/null';
            exec 'openssl', qw(s_client -quiet -starttls smtp -connect 127.0.0.1:2528) or POSIX::_exit(1);
        }
        close $there;
        my $s = bless { s => $here, port => 2528 }, 'Lab::Smtp';
        $here->autoflush;
        setsockopt $here, SOL_SOCKET, SO_RCVTIMEO, pack 'q2', 20, 0;
        $s->command('EHLO client.test');
        $s->command('AUTH PLAIN ' . encode_base64("\0alice\0secret", ''));
        $count += Lab::OpenSMTPD::submit($s, from => $senders[$n % 3], to => ["tmp-tls$n\@example.net", 'carol@lab.test'],
            data => $bodies[$n % @bodies]);
        $s->quit;
        waitpid $pid, 0;
    }
    return $count;
}

# --- Where everything is delivered

# A relay that accepts all and keeps each text under its recipient's local part in $dir.
sub keep_all {
    my ($dir) = @_;
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => $relay, ReuseAddr => 1)
        or die "relay: $!";
    mkdir $dir;
    local $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $s = $listen->accept or next;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $listen;
            alarm 60;
            keep_session($s, $dir);
            POSIX::_exit(0);
        }
        close $s;
    }
}

sub keep_session {
    my ($s, $dir) = @_;
    my $say = sub { print {$s} "$_[0]\r\n"; $s->flush };
    my @to;
    binmode $s;
    $say->('220 relay.test ESMTP');
    while (defined(my $line = readline $s)) {
        if    ($line =~ /^EHLO/i)              { $say->("250-relay.test\r\n250 SIZE 0") }
        elsif ($line =~ /^RCPT TO:<([^@>]*)/i) { push @to, $1; $say->('250 ok') }
        elsif ($line =~ /^DATA/i) {
            $say->('354 go on');
            my ($text, $ended) = ('', 0);
            while (defined(my $t = readline $s)) {
                if ($t eq ".\r\n") { $ended = 1; last }
                $t =~ s/^\.//;
                $text .= $t;
            }
            return unless $ended;
            $text =~ s/\r\n/\n/g;
            spew("$dir/$_", $text) for @to;
            @to = ();
            $say->('250 ok');
        }
        elsif ($line =~ /^QUIT/i) { $say->('221 bye'); return }
        else                     { $say->('250 ok') }
    }
}

sub recipient {
    my ($rnd, $n) = @_;
    my @kind = ("tmp$n\@example.net", "tmp$n\@example.net", "tmp-" . 'u' x 50 . "$n\@example.net", "perm$n\@example.net",
        'carol@lab.test', 'dave+tag@lab.test', 'team@lab.test', 'box@false.test', 'pipe@lab.test', "tmp$n\@masked.test",
        "tmp$n\@" . 'd' x 60 . '.example.net');
    my $to = $kind[$rnd->(scalar @kind)];
    my @opt = ('', '', '', 'NOTIFY=NEVER', 'NOTIFY=SUCCESS,FAILURE,DELAY', 'NOTIFY=DELAY', "ORCPT=rfc822;orig$n\@example.net");
    my $opt = $opt[$rnd->(scalar @opt)];
    return $opt ne '' ? [$to, $opt] : $to;
}

# Through the local socket, as a user of the machine: authenticated, address "local".
sub local_mail {
    my ($lab) = @_;
    for my $n (1 .. 10) {
        $lab->chroot_run($bodies[$n % @bodies], 'sendmail', '-f', "tmp-root$n\@example.org", "tmp-local$n\@example.net", 'carol');
    }
}

# A handful, for the queues of other kinds.
sub feed_few {
    my ($lab) = @_;
    users($lab);
    spawn(\&relay);
    my $s = connection(25);
    for my $n (0 .. 19) {
        Lab::OpenSMTPD::submit($s, from => $senders[$n % @senders], to => ["tmp$n\@example.net", 'carol@lab.test'],
            data => $bodies[$n % @bodies]);
    }
    $s->quit;
}

1;
