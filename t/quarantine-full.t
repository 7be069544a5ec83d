#!/usr/bin/perl
# A disk without a free block and without a free inode: the reserve makes 32 moves possible, what it
# cannot move stays whole in the spool. A disk that becomes read-only under a run. Both on a real
# ext4 image.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Test::More;

if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to mount an ext4 image') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my $dir = scratch();
my $image = scratch() . '/image';
open my $f, '>', $image or die;
truncate $f, 48 << 20;
close $f;
my $made = system("mkfs.ext4 -q -F -b 4096 -N 1200 $image >$image.log 2>&1") == 0
    && system("mount -o loop $image $dir >>$image.log 2>&1") == 0;
if (!$made) {
    ok(($ENV{CI} // '') ne 'true', 'an ext4 image on a loop device') or diag(read_file("$image.log"));
    done_testing();
    exit;
}

my ($spool, $store) = ("$dir/spool", "$dir/store");
mkdir $_ or die for $spool, map { "$spool/$_" } PLACES;
my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }
sub q_ { return spoolck('quarantine', '--store', $store, @_) }

healthy($spool, 'hold') for 1 .. 150;
damaged($spool, 'hold', text());
is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'a first move, which makes the reserve');
is(scalar(my @units = glob "$store/reserve/??"), 32, 'there it is');
my @bad = map { damaged($spool, 'incoming', text()) } 1 .. 34;
my $before = snapshot($spool);

# To the last block and the last inode.
mkdir "$dir/fill";
my $n = 0;
$n++ while $n < 100000 && open my $e, '>', "$dir/fill/$n";
like("$!", qr/No space/, 'no inode is free');
open my $big, '>', "$dir/fill/0" or die;
for my $size (1 << 16, 4096, 512, 1) {
    1 while defined syswrite $big, 'x' x $size;
}
close $big;
system('sync');
open $big, '>>', "$dir/fill/1" or die;
1 while defined syswrite $big, 'x' x 1024;
close $big;
ok(!mkdir("$store/more"), 'a directory cannot be made');

my $r = scan('-y', '--max-move', 'none', '--store', $store, $spool);
is($r->{summary}{moved}, 32, '32 messages are moved') or diag($r->{out}, $r->{err});
my @failed = grep { $_->{action} eq 'failed' } @{ $r->{messages} };
is(scalar @failed, 2, 'two are not');
like($_->{reason}, qr/No space left/, 'because the disk is full') for @failed;
ok(-e "$spool/incoming/$_->{id}", 'they are still there') for @failed;
is(scalar(my @flying = glob "$store/inflight/*"), 0, 'nothing is left halfway');
is(exit_bits(q_('verify')), '0', 'all entries are sound');
my ($some) = map { $_->{id} } grep { $_->{action} eq 'moved' } @{ $r->{messages} };
is(exit_bits(q_('restore', '--no-accept', $some)), '2', 'one comes back while the disk is full')
    or diag($r->{err});
unlink glob "$dir/fill/*";
is(exit_bits(q_('restore', '--no-accept', grep { $_ ne $some } map { $_->{id} }
    grep { $_->{action} eq 'moved' } @{ $r->{messages} })), '2', 'the others afterwards');
same_tree($before, snapshot($spool), 'the spool is as it was');

# Read-only under a run: whatever was begun is finished or undone when it can be written again.
my $run = start('scan', '--format', 'json', '-y', '--max-move', 'none',
    '--store', $store, $spool);
my ($read_only, $end) = (0, time + 60);
my $entries = sub { opendir my $d, "$store/entries" or return 0; return -2 + (() = readdir $d) };
while (!$read_only && time < $end && kill 0, $run->{pid}) {
    select undef, undef, undef, 0.002;
    last if $entries->() >= @bad;
    $read_only = system("mount -o remount,ro $dir 2>/dev/null") == 0 if $entries->() > 1;
}
$r = parsed(finish($run));
ok($read_only, 'read-only in the middle of a run');
ok(defined $r->{status}, 'which ends by itself');
system("mount -o remount,rw $dir") == 0 or die 'remount';
is(exit_bits(q_('recover')), '0', 'recover');
is(scalar(@flying = glob "$store/inflight/*"), 0, 'nothing is left halfway');
is(exit_bits(q_('verify')), '0', 'all entries are sound');
my %here = map { $_ => -e "$spool/incoming/$_" ? 1 : 0 } @bad;
for (glob "$store/entries/*") {
    my ($id) = /-([^-]+)$/;
    $here{$id}++ if exists $here{$id};
}
is_deeply([ grep { $here{$_} != 1 } @bad ], [], 'each message is in exactly one place');
diag(sprintf 'read-only after %d of %d moves', $r->{summary}{moved} // 0, scalar @bad);

done_testing();
END { local $?; system("umount -l $dir 2>/dev/null") if $dir && $ENV{SPOOLCK_NS} }
