package Lab::Courier::Corpus;

# Real messages of all kinds, queued by a real Courier: deferred with error texts, delivered in
# part, refused, DSN options, many recipients in several control files, any text.

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use POSIX ();
use Lab::Smtp;
use Lab::Util qw(rng spawn);

our @EXPORT_OK = qw(feed relay control_file);

# Where everything is sent: tmp* is deferred, perm* refused, the rest accepted.
sub relay {
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => 2526, ReuseAddr => 1) or die "relay: $!";
    spawn(sub {
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
    });
    close $listen;
}

my @senders = ('alice@example.org', '', 'list-owner+bounce=1@example.org', "o'connor\@example.org", 'a' x 60 . '@example.org',
    'x@' . join('.', ('sub' x 8) x 6) . '.example.org', '"quoted name"@example.org');
my @bodies = (
    "Subject: hello\nFrom: alice\@example.org\nTo: bob\@example.net\n\nHello.\n",
    '', "\n", "no header at all", "Subject: only a header\n", "Subject: 8-bit \xe4\xf6\xfc\n\n\xff\xfe\x80\n",
    "Subject: dots\n\n.\n..\n.a\n", "From: a\@b.test\nTo: b\@c.test, c\@d.test,\n d\@e.test\n\ntext without end",
    "Subject: long lines\n\n" . join("\n", map { 'y' x $_ } 1, 78, 998, 2000) . "\n",
    "Subject: folded\n\tonce\n twice\nBcc: secret\@example.net\n\n" . "line\n" x 500,
    "Subject: big\n\n" . ('0123456789abcdef' x 4 . "\n") x 3000, "Subject: a zero byte\n\n\0\0a\0\n\0",
    "Content-Type: multipart/mixed; boundary=x\n\n--x\n\npart\n--x--\n",
    "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa4\n",
);

# A control file with one recipient, due at $time.
sub control_file {
    my ($time) = @_;
    my $expires = time + 7 * 86400;
    return "salice\@example.org\nfdns; client.test (client.test [127.0.0.1])\ne\nt\n" . sprintf('M%016x.%016x.%016x', $$, $time, $$)
        . "\nrok0\@example.net\nR\nN\nuesmtp\nE$expires\np$expires\nW$expires\nA$time\n";
}

sub recipient {
    my ($rnd, $n) = @_;
    my @kind = ("tmp$n\@example.net", "tmp$n\@example.net", 'tmp-' . 'u' x 50 . "$n\@example.net", "perm$n\@example.net", "ok$n\@example.net",
        "tmp$n\@" . 'd' x 60 . '.example.net', 'nobody@lab.test', "tmp$n\@\xc3\xa4.example.net", "no+route\@[127.0.0.9]");
    my $to = $kind[$rnd->(scalar @kind)];
    my $flags = ('', '', '', 'N', 'SFD', 'D', 'F')[$rnd->(7)];
    my $orig = ('', '', "rfc822;orig$n\@example.net", "rfc822;o\xc3\xa4\@x")[$rnd->(4)];
    return [$to, $flags, $orig];
}

# $number mails, through submit and sendmail; answers how many were accepted.
sub feed {
    my ($lab, $number, $seed) = @_;
    my $rnd = rng($seed);
    my $count = 0;
    for my $n (1 .. $number) {
        my @to = map { recipient($rnd, "$n-$_") } 1 .. ($n % 25 == 7 ? 50 : 1 + $rnd->(4));
        my $data = $bodies[$rnd->(scalar @bodies)];
        if ($n % 10 == 3) {
            my ($status) = $lab->chroot_run($data, 'sendmail', '-f', 'root@lab.test', map { $_->[0] } @to[0 .. ($#to > 2 ? 2 : $#to)]);
            $count++ if $status == 0;
            next;
        }
        my @options = ([], ['-rfc3848=ESMTP'], ['-delay=1'], ['-bcc'])[$rnd->(4)];
        my @env = ([], ['TCPREMOTEIP=2001:db8::1'], ['MIME=none'], ['DSNRET=H'])[$rnd->(4)];
        my $id = $lab->submit(from => $senders[$rnd->(scalar @senders)], to => \@to, data => $data, options => @options, env => @env,
            ret => ('', 'F', 'H', 'V', '8', 'FV')[$rnd->(6)], envid => ('', 'QQ314159', 'e' x 60, 'a+2Bb')[$rnd->(4)],
            module => ('esmtp', 'esmtp', 'local')[$rnd->(3)]);
        $count++ if defined $id;
    }
    return $count;
}

1;
