package Lab::OpenSMTPD::Damage;

# Damaged copies of real envelopes, each a message of its own in one big spool, and what the
# real smtpd makes of them.

use strict;
use warnings;
use Exporter 'import';
use File::Path ();
use IO::Compress::Gzip qw(gzip $GzipError);
use Lab::Util qw(spew slurp rng);

our @EXPORT_OK = qw(damage damage_packed pack_gzip one_packed put_envelope);

# Values that stand on a limit, or beyond; in the order of keys that real envelopes have.
my %values = (
    version => [1, 2, 4, 64, 65, '', '3 ', '+3', '03', '-3', '3x', '0x3'],
    dispatcher => ['', 'r' x 64, 'r' x 65, 'r' x 255, 'r' x 256, 'no-such'],
    tag => ['', 't' x 32, 't' x 33], type => ['', 'MTA', 'mda', 'bounce', 'mt', 'mta ', 'smtp'],
    smtpname => ['', 's' x 64, 's' x 65], helo => ['', 'h' x 64, 'h' x 65, 'h' x 255, 'h' x 256],
    hostname => ['', '<unknown>', 'h' x 64, 'h' x 65, 'h' x 300], username => ['', 'u' x 255, 'u' x 256],
    errorline => ['', '!', 'e' x 2047, 'e' x 2048, 'e' x 4095, 'e' x 4096, "\xff\x01\x7f"],
    sockaddr => ['', 'local', 'Local', '127.0.0.1', '127.0.0.256', '127.0.0', '127.0.0.1 ', '01.2.3.4', '[::1]', '::1', '[]', '[',
        '[1:2:3:4:5:6:7:8]', '[1:2:3:4:5:6:7]', '[1::2::3]', '[::ffff:1.2.3.4]', '[1:2:3:4:5:6:1.2.3.4]', '[12345::]', '[:1]', '[1:]',
        '[::]', '[1:2:3:4:5:6:7::]', '[1::2:3:4:5:6:7:8]', 'IPv6:::1', 'IPv6:x', '[fe80::1%lo]', '1.2.3.4.5', '[::1.2.3]', '[0::00001]'],
    sender => ['', '@', 'a', '@b', 'a@', 'a@b@c', 'u' x 255 . '@d', 'u' x 256 . '@d', 'u@' . 'd' x 255, 'u@' . 'd' x 256, 'u@' . 'd@' x 120 . 'e'],
    rcpt => ['', '@', 'a', '@b', 'a@', 'u' x 255 . '@d', 'u' x 256 . '@d', 'u@' . 'd' x 256, 'x' x 2047, 'x' x 2048],
    dest => ['', '@', 'a', '@b', 'u' x 256 . '@d', 'a b@c d'],
    ctime => [0, 1, -1, '', 'x', '1e9', '9223372036854775808', '12 '],
    'last-try' => [-1, '9223372036854775807', '9223372036854775808', 'never', ''],
    'last-bounce' => [-1, 0, 'x'], ttl => [-1, 0, '345600', '4d', '9223372036854775807'],
    retry => [-1, 0, 65535, 65536, 'x', ''],
    flags => ['', 'bounce', 'authenticated bounce', 'authenticated,bounce|internal', 'AUTHENTICATED', 'authenticated  bounce', 'enqueued', 'held', 'bounce ', 'internal'],
    'dsn-notify' => [-1, 0, 255, 256, 'x'], 'dsn-ret' => ['', 'FULL', 'hdrs', 'NONE'], 'dsn-envid' => ['', 'e' x 100, 'e' x 101],
    'dsn-orcpt' => ['', 'a@b', 'rfc822;a@b', 'o' x 255 . '@d', 'o' x 256, 'o' x 600], 'esc-class' => [0, 255, 256, 'x'], 'esc-code' => [0, 255, 256],
    'mda-exec' => ['', '/bin/true', 'c' x 2047, 'c' x 2048], 'mda-subaddress' => ['', 's' x 255, 's' x 256], 'mda-user' => ['', 'u' x 255, 'u' x 256],
    'bounce-ttl' => [0, -1], 'bounce-delay' => [0, 'x'], 'bounce-type' => ['failed', 'ERROR', 'warn', 'delayed', 'dsn', 'delivered', 'other', ''],
    'X-New' => ['1'], '' => ['1', ''], 'no_such' => [1], 'sender-' => [1],
);

# A directory of its own for an envelope: answers the envelope's id.
sub put_envelope {
    my ($spool, $n, $envelope, $uid, $body) = @_;
    my $msgid = sprintf '%08x', (0x10000001 + $n * 0x2f001) & 0xffffffff;
    my $evpid = $msgid . sprintf '%08x', 0x80000000 + $n;
    my $bucket = "$spool/queue/" . substr $msgid, 0, 2;
    my $dir = "$bucket/$msgid";
    File::Path::make_path($dir, { mode => 0700 });
    spew("$dir/message", defined $body ? $body : "Received: from a\nSubject: x\n\nx\n");
    spew("$dir/$evpid", $envelope);
    my @paths = ("$dir/message", "$dir/$evpid");
    chmod 0600, @paths;
    utime time - 600, time - 600, @paths;
    chown $uid, 0, $bucket, $dir, @paths;
    return $evpid;
}

# One damaged copy: (kind, bytes).
sub one {
    my ($rnd, $n, $e) = @_;
    my $len = length $e;
    my $at = $rnd->($len);
    my @lines = split /(?<=\n)/, $e;
    my $line = $rnd->(scalar @lines);
    my $kind = (qw(bit byte delete insert cut zeros line-twice line-gone line-moved value value value value key crlf append case blank))[$n % 18];
    if    ($kind eq 'bit')    { substr($e, $at, 1) = chr(ord(substr $e, $at, 1) ^ 1 << $rnd->(8)) }
    elsif ($kind eq 'byte')   { substr($e, $at, 1) = chr $rnd->(256) }
    elsif ($kind eq 'delete') { substr($e, $at, 1 + $rnd->(4)) = '' }
    elsif ($kind eq 'insert') { substr($e, $at, 0) = chr $rnd->(256) }
    elsif ($kind eq 'cut')    { $e = substr $e, 0, $at }
    elsif ($kind eq 'zeros')  { my $k = 1 + $rnd->($len - $at); substr($e, $at, $k) = "\0" x $k }
    elsif ($kind eq 'value')  {
        my @keys = sort keys %values;
        my $key = $keys[$rnd->(scalar @keys)];
        my $value = $values{$key}[$rnd->(scalar @{ $values{$key} })];
        $e =~ s/^\Q$key\E:.*\n/$key: $value\n/m or $e .= "$key: $value\n";
    }
    else {
        if    ($kind eq 'line-twice') { splice @lines, $rnd->(scalar @lines), 0, $lines[$line] }
        elsif ($kind eq 'line-gone')  { splice @lines, $line, 1 }
        elsif ($kind eq 'line-moved') { my ($l) = splice @lines, $line, 1; push @lines, $l }
        elsif ($kind eq 'key')        { $lines[$line] =~ s/^[^:]*/('', 'X', 'nonsense', 'type', ' sender', 'rcpt ')[$rnd->(6)]/e }
        elsif ($kind eq 'crlf')       { $lines[$line] =~ s/\n/\r\n/ }
        elsif ($kind eq 'append')     { push @lines, ("\n", "x", "\0", "x: y\n", ' ', "\t\n", ':', "::\n")[$rnd->(8)] }
        elsif ($kind eq 'case')       { $lines[$line] =~ s/^([^:]*)/uc $1/e }
        elsif ($kind eq 'blank')      { $lines[$line] =~ s/: ?/(' : ', ":\t\x0b", ':', '  :')[$rnd->(4)]/e }
        $e = join '', @lines;
    }
    return ($kind, $e);
}

# As smtpd packs a file.
sub pack_gzip {
    my ($text) = @_;
    gzip(\$text, \my $packed, -Minimal => 1) or die "gzip: $GzipError";
    return $packed;
}

# One damaged copy of a packed text: (kind, bytes).
sub one_packed {
    my ($rnd, $n, $text) = @_;
    my $packed = pack_gzip($text);
    my ($len, $head) = (length $packed, 10);
    my $kind = (qw(whole bit byte head trailer delete insert cut zeros append twice plain))[$n % 12];
    my $at = $kind eq 'head' ? $rnd->($head) : $kind eq 'trailer' ? $len - 1 - $rnd->(8) : $rnd->($len);
    if    ($kind eq 'bit')    { substr($packed, $at, 1) = chr(ord(substr $packed, $at, 1) ^ 1 << $rnd->(8)) }
    elsif ($kind eq 'byte')   { substr($packed, $at, 1) = chr $rnd->(256) }
    elsif ($kind =~ /head|trailer/) { substr($packed, $at, 1) = chr(ord(substr $packed, $at, 1) ^ 1 << $rnd->(8)) }
    elsif ($kind eq 'delete') { substr($packed, $at, 1 + $rnd->(4)) = '' }
    elsif ($kind eq 'insert') { substr($packed, $at, 0) = chr $rnd->(256) }
    elsif ($kind eq 'cut')    { $packed = substr $packed, 0, $at }
    elsif ($kind eq 'zeros')  { my $k = 1 + $rnd->($len - $at); substr($packed, $at, $k) = "\0" x $k }
    elsif ($kind eq 'append') { $packed .= ("\0", "\0" x 512, 'x', "\x1f\x8b", "\x1f\x8b\x08\0")[$rnd->(5)] }
    elsif ($kind eq 'twice')  { $packed .= $packed }
    elsif ($kind eq 'plain')  { $packed = $text }
    return ($kind, $packed);
}

# Damaged copies for a compressed queue: every other one is a damaged text, packed soundly.
sub damage_packed {
    my ($spool, $number, $uid, @envelopes) = @_;
    my $rnd = rng($ENV{LAB_SEED} // 11);
    my %kind;
    for my $n (0 .. $number - 1) {
        my $envelope = $envelopes[$rnd->(scalar @envelopes)];
        my ($kind, $bytes) = $n % 2 ? one_packed($rnd, ($n - 1) / 2, $envelope) : one($rnd, $n / 2, $envelope);
        $bytes = pack_gzip($bytes) unless $n % 2;
        $kind{ put_envelope($spool, $n, $bytes, $uid) } = $n % 2 ? "packed, $kind" : "$kind, packed";
    }
    return \%kind;
}

# $number damaged copies of the given envelopes in the spool: { id => kind }.
sub damage {
    my ($spool, $number, $uid, @envelopes) = @_;
    my $rnd = rng($ENV{LAB_SEED} // 7);
    my %kind;
    for my $n (0 .. $number - 1) {
        my ($kind, $bytes) = one($rnd, $n, $envelopes[$rnd->(scalar @envelopes)]);
        $kind{ put_envelope($spool, $n, $bytes, $uid) } = $kind;
    }
    return \%kind;
}

1;
