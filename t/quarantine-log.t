#!/usr/bin/perl
# Every action on mail is one line in the mail log, with nothing unescaped in it; a log that hangs or is
# not there stops nothing. And restore --wake runs the server's own command.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Socket;
use Spoolck;
use Test::More;

# A /dev and a /usr/local/bin of our own, in a mount namespace.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to have a /dev/log of our own') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}
my ($spool, $store) = (new_spool(), new_store());
system('mount', '-t', 'tmpfs', 'none', $_) == 0 or die "mount $_" for '/usr/local/bin', '/dev';
my %node = (null => '1 3', zero => '1 5', full => '1 7', random => '1 8', urandom => '1 9');
system("mknod -m 666 /dev/$_ c $node{$_}") == 0 or die 'mknod' for keys %node;
# The journal is asked first: here it is none, until the end.
system('mount', '-t', 'tmpfs', 'none', '/run') == 0 or die 'mount /run';
socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die;
bind $log, sockaddr_un('/dev/log') or die "bind: $!";

sub q_ { return spoolck('quarantine', '--store', $store, @_) }

sub logged {
    my ($buf, @lines);
    push @lines, $buf while defined recv $log, $buf, 4096, Socket::MSG_DONTWAIT();
    return @lines;
}

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

healthy($spool, 'hold') for 1 .. 5;
my $id = damaged($spool, 'hold', text());
scan('-n', '--store', $store, $spool);
is(scalar(my @none = logged()), 0, 'looking is no action');
scan('-y', '--store', $store, $spool);
my @lines = logged();
is(scalar @lines, 1, 'one line for a move');
like($lines[0], qr/^<21>\w+ +\d+ [\d:]{8} spoolck\[\d+\]: moved to quarantine /, 'facility mail, notice');
like($lines[0], qr/ $_="[^"]+"/, "with $_") for qw(id spool finding from to digest who reason);
like($lines[0], qr/ id="\Q$id\E" spool="\Q$spool\E"/, 'which ones');

my $mark = scratch() . '/woken';
write_file('/usr/local/bin/postqueue', "#!/bin/sh\necho \"\$@\" >$mark\n");
chmod 0755, '/usr/local/bin/postqueue';
SKIP: {
    skip 'a real postqueue is here', 2 if grep { -e "$_/postqueue" } '/usr/sbin', '/usr/bin', '/sbin', '/bin';
    is(exit_bits(q_('restore', '--wake', '--reason', "\e[31mred\nspoolck[1]: forged", $id)), '0', 'restore --wake');
    is(read_file($mark), "-f\n", 'runs postqueue -f');
}
@lines = logged();
is(scalar @lines, 1, 'one line for a restore');
like($lines[0], qr/: restored id="\Q$id\E" .* reason="\\x1B\[31mred\\x0Aspoolck\[1\]: forged"$/, 'with its reason, escaped');
ok(is_printable($lines[0]), 'nothing unprintable');

for ([ 'accepted', 'accept', "$spool:$id" ], [ 'acceptance withdrawn', 'accept', '--undo', "$spool:$id" ],
    [ 'moved to quarantine', 'add', "$spool:$id" ], [ 'kept', 'keep', $id ], [ 'no longer kept', 'keep', '--undo', $id ],
    [ 'purged', 'purge', '--yes', $id ])
{
    my ($what, @words) = @$_;
    q_(@words);
    @lines = logged();
    is(scalar @lines, 1, "$words[0]: one line");
    like($lines[0] // '', qr/: $what id="\Q$id\E"/, $what);
}

# A hook says in the log what it could not do, and what it did.
for ([ qr/<19>.*: prestart: \Q$spool\E: not everything could be examined/, '--store', "$spool/x/y", $spool ],
    [ qr/<19>.*: spoolck: \/nonexistent: cannot open: /, '/nonexistent' ],
    [ qr/<19>.*: spoolck: Unknown option --nonsense/, '--nonsense' ],
    [ qr/<20>.*: prestart: \Q$spool\E: damaged messages were moved/, '--store', $store, $spool ])
{
    my ($what, @words) = @$_;
    my $killer = killer($spool, 'incoming', text());
    spoolck('prestart', @words);
    @lines = logged();
    like("@lines", $what, "prestart @words");
    unlink "$spool/incoming/$killer";
}
# A move that was interrupted, as its papers lie: the next acting run undoes it, and says so.
my $papers = "$store/inflight/20261120-073100-postfix-4jW9FH0000z0000";
mkdir $papers or die;
write_file("$papers/manifest.json", '{}');
is(exit_bits(q_('recover')), '0', 'recover');
@lines = logged();
is(scalar @lines, 1, 'one line');
like($lines[0] // '', qr/: interrupted transaction .*who="[^"]+" reason="\S+4jW9FH0000z0000: a leftover is removed; nothing had moved"/,
    'what it did');

# Into a store on another file system: one line for the rename, one for the copy.
my $far = scratch();
system('mount', '-t', 'tmpfs', 'none', $far) == 0 or die 'mount';
$id = damaged($spool, 'hold', text());
scan('-y', '--store', "$far/store", $spool);
@lines = logged();
is(scalar @lines, 2, 'a move across file systems: two lines');
like($lines[1] // '', qr/: copied into the store id="\Q$id\E" .*from="spoolck\/\S+" to="\S+\Q$id\E" digest="\w{64}"/, 'the copy, too');
system('umount', $far);

# Nobody reads it, and it is full.
my $two = damaged($spool, 'hold', text());
socket my $filler, PF_UNIX, SOCK_DGRAM, 0 or die;
1 while defined send $filler, 'x' x 100, Socket::MSG_DONTWAIT(), sockaddr_un('/dev/log');
my $r = scan('-y', '--store', $store, $spool);
is(exit_bits($r), '1', 'a log that is full');
ok($r->{seconds} < 10, 'does not make anybody wait');
unlink '/dev/log';
is(exit_bits(q_('restore', $two)), '2', 'nor does one that is not there');

# Where journald runs it gets fields, and syslog nothing.
logged();
mkdir $_ or die "mkdir: $!" for '/run/systemd', '/run/systemd/journal';
socket my $journal, PF_UNIX, SOCK_DGRAM, 0 or die;
bind $journal, sockaddr_un('/run/systemd/journal/socket') or die "bind: $!";
$id = damaged($spool, 'hold', text());
scan('-y', '--store', $store, $spool);
is(scalar(my @syslog = logged()), 0, 'journald: nothing for syslog');
recv $journal, my $datagram, 65536, Socket::MSG_DONTWAIT();
my %field = map { split /=/, $_, 2 } split /\n/, $datagram // '';
is($field{SPOOLCK_ID}, $id, 'its id is a field');
is($field{SPOOLCK_SPOOL}, $spool, 'and the spool');
is("$field{PRIORITY} $field{SYSLOG_FACILITY} $field{SYSLOG_IDENTIFIER}", '5 2 spoolck', 'notice, mail');
like($field{MESSAGE}, qr/^moved to quarantine id="\Q$id\E" .* who="/, 'the message is the line of syslog');
my %catalog = map { $_ => 1 } read_file("$FindBin::Bin/../contrib/systemd/spoolck.catalog") =~ /^-- ([0-9a-f]{32})$/mg;
ok($catalog{ $field{MESSAGE_ID} // '' }, 'and the catalog explains it');
is(scalar keys %catalog, 4, 'as it does each kind');

done_testing();
