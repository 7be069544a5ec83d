package Lab::Milter;

# A small milter (Sendmail mail filter protocol, version 6).  It does to each message what the
# message asks for in a header "X-Milter: OPERATION OPERATION ...".

use strict;
use warnings;
use Socket;
use IO::Socket::INET;
use POSIX ();

my %operation = (
    addheader    => sub { "hX-Added\0by the milter\0" },
    addlong      => sub { "hX-Added-Long\0" . join("\n\t", ('folded milter text') x 20) . "\0" },
    addshort     => sub { "hA\0b\0" },
    insheader    => sub { 'i' . pack('N', 0) . "X-Inserted\0first of all\0" },
    inslater     => sub { 'i' . pack('N', 3) . "X-Inserted-3\0somewhere later\0" },
    chgheader    => sub { 'm' . pack('N', 1) . "Subject\0changed by the milter, and longer than before\0" },
    chgshort     => sub { 'm' . pack('N', 1) . "Subject\0s\0" },
    chgagain     => sub { 'm' . pack('N', 1) . "Subject\0changed once more, " . ('x' x 300) . "\0" },
    delheader    => sub { 'm' . pack('N', 1) . "Subject\0\0" },
    delfirst     => sub { 'm' . pack('N', 1) . "X-Case\0\0" },
    delto        => sub { 'm' . pack('N', 1) . "To\0\0" },
    bodyshort    => sub { "bshort\r\n" },
    bodyempty    => sub { 'b' },
    bodylong     => sub { map { 'b' . ("a line of the new body, chunk $_\r\n" x 1500) } 1 .. 4 },
    bodywide     => sub { 'b' . ('w' x 60000) . "\r\n" },
    addrcpt      => sub { "+<added\@later.test>\0" },
    addrcpt3     => sub { map { "+<added$_\@later.test>\0" } 1 .. 3 },
    addrcpt100   => sub { map { "+<many$_\@later.test>\0" } 1 .. 100 },
    addrcptpar   => sub { "2<addedpar\@later.test>\0NOTIFY=NEVER\0" },
    delrcpt      => sub { "-<victim\@later.test>\0" },
    chgfrom      => sub { "e<another.sender\@milter.test>\0" },
    chgfromnull  => sub { "e<>\0" },
    chgfrompar   => sub { "e<another.sender\@milter.test>\0RET=HDRS ENVID=changed\0" },
    quarantine   => sub { "qheld by the milter\0" },
);

sub operations { return sort keys %operation }

sub read_exactly {
    my ($s, $n) = @_;
    my $buf = '';
    while (length $buf < $n) {
        my $r = sysread $s, $buf, $n - length $buf, length $buf;
        return undef unless $r;
    }
    return $buf;
}

sub reply { my ($s, $p) = @_; syswrite $s, pack('N', length $p) . $p }

sub session {
    my ($s) = @_;
    my @ops;
    while (defined(my $head = read_exactly($s, 4))) {
        my $packet = read_exactly($s, unpack 'N', $head);
        return unless defined $packet;
        my ($command, $data) = (substr($packet, 0, 1), substr $packet, 1);
        if ($command eq 'O') { reply($s, 'O' . pack 'NNN', 6, 0x1ff, 0) }
        elsif ($command eq 'D' or $command eq 'A') { }    # macros, abort: no answer
        elsif ($command eq 'Q') { return }
        elsif ($command eq 'K') { @ops = () }
        elsif ($command eq 'L') {
            my ($name, $value) = split /\0/, $data;
            @ops = split ' ', $value if lc $name eq 'x-milter';
            reply($s, 'c');
        }
        elsif ($command eq 'E') {
            for my $op (@ops) { reply($s, $_) for $operation{$op} ? $operation{$op}->() : () }
            @ops = ();
            reply($s, 'c');
        }
        else { reply($s, 'c') }
    }
}

# Serves for ever, one process per connection.
sub serve {
    my ($port) = @_;
    $SIG{CHLD} = 'IGNORE';
    my $l = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
        or die "milter: $!";
    while (1) {
        my $s = $l->accept or next;
        my $pid = fork;
        if (defined $pid && !$pid) { close $l; session($s); POSIX::_exit(0) }
        close $s;
    }
}

1;
