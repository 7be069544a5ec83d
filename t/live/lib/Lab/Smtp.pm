package Lab::Smtp;

# Both ends of SMTP for the labs: a client that says exactly what it is told, and sinks.

use strict;
use warnings;
use Socket;
use IO::Socket::INET;
use Digest::SHA qw(sha1_hex);
use POSIX ();

# ---- client

sub new {
    my ($class, $port, @hello) = @_;
    my $s;
    for (1 .. 100) {
        $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) and last;
        select undef, undef, undef, 0.1;
    }
    $s or die "no SMTP server on port $port: $!\n";
    binmode $s;
    $s->sockopt(SO_RCVTIMEO, pack "q2", 60, 0);    # a silent server must not hang the lab
    my $self = bless { s => $s, port => $port }, $class;
    $self->expect('220');
    $self->command('EHLO client.test');
    for (@hello) { $self->command($_) }
    return $self;
}

sub expect {
    my ($self, @ok) = @_;
    my ($line, $all) = ('', '');
    do {
        $line = readline $self->{s};
        die "SMTP: connection lost (port $self->{port}); last: $all\n" unless defined $line;
        $all .= $line;
    } while $line =~ /^\d{3}-/;
    $self->{last} = $line;
    return $line if !@ok or grep { index($line, $_) == 0 } @ok;
    die "SMTP: got $all";
}

sub command {
    my ($self, $text) = @_;
    print { $self->{s} } "$text\r\n";
    $self->{s}->flush;
    return $self->expect('2', '3');
}

# One message; text is given with LF line ends, as stored, dots not yet doubled.  Answers the
# queue id, or undef when the server refused it.
sub send {
    my ($self, %m) = @_;
    $self->command("MAIL FROM:<$m{from}>" . ($m{mailopt} ? " $m{mailopt}" : ''));
    my @to = @{ $m{to} };
    while (my @some = splice @to, 0, 50) {
        my $block = '';
        for (@some) {
            my ($address, $opt) = ref $_ ? @$_ : ($_);
            $block .= "RCPT TO:<$address>" . ($opt ? " $opt" : '') . "\r\n";
        }
        print { $self->{s} } $block;
        $self->{s}->flush;
        $self->expect('2') for @some;
    }
    $self->command('DATA');
    my $text = $m{data};
    $text =~ s/\n/\r\n/g unless $m{raw};
    $text =~ s/^\./../gm;
    $text .= "\r\n" if length $text and $text !~ /\r\n\z/;
    print { $self->{s} } "$text.\r\n";
    $self->{s}->flush;
    my $answer = $self->expect();
    return $answer =~ /^250 .*queued as (\S+)/ ? $1 : undef;
}

sub quit { my ($self) = @_; eval { $self->command('QUIT') }; close $self->{s} }

# ---- sinks

# Text as the recipient got it, and once more without what differs between two submissions of
# the same local mail: the first Received header, Message-Id, Date.
sub digests {
    my ($text) = @_;
    my ($head, $body) = split /^\r\n/m, $text, 2;
    $_ = defined $_ ? $_ : '' for $head, $body;
    $head =~ s/^Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*//i;
    $head =~ s/^(?:Message-Id|Date):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*//gim;
    return (substr(sha1_hex($text), 0, 16), substr(sha1_hex("$head\r\n$body"), 0, 16));
}

sub sink_session {
    my ($s, $mode) = @_;
    binmode $s;
    if ($mode eq 'hang') { sleep 3600; return }
    my $say = sub { print {$s} "$_[0]\r\n"; $s->flush };
    $say->('220 sink.test ESMTP');
    while (defined(my $line = readline $s)) {
        if ($line =~ /^EHLO/i) {
            $say->("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0");
        }
        elsif ($line =~ /^RCPT TO:<tmp/i && $mode eq 'mixed') { $say->('450 4.2.0 try again') }
        elsif ($line =~ /^RCPT TO:<perm/i && $mode eq 'mixed') { $say->('550 5.1.1 no such user') }
        elsif ($line =~ /^DATA/i) {
            $say->('354 go on');
            my ($text, $ended) = ('', 0);
            while (defined(my $t = readline $s)) {
                if ($t eq ".\r\n") { $ended = 1; last }
                $t =~ s/^\.//;
                $text .= $t;
            }
            return unless $ended;
            my ($full, $plain) = digests($text);
            $say->("250 2.0.0 Ok: got $full $plain " . length $text);
        }
        elsif ($line =~ /^QUIT/i) { $say->('221 2.0.0 bye'); return }
        else { $say->('250 2.0.0 Ok') }
    }
}

# Serves for ever with a fixed number of processes (mode hang: one each).
sub sink {
    my ($port, $mode, $workers) = @_;
    my $l = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
        or die "sink: $!";
    for (2 .. $workers || 1) { my $pid = fork; last if defined $pid && !$pid }
    while (1) {
        my $s = $l->accept or next;
        sink_session($s, $mode);
        close $s;
    }
}

1;
