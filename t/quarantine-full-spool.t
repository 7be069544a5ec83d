#!/usr/bin/perl
# A spool without a free block and without a free inode, and a store on another file system: spare
# directories in the spool make 32 moves possible. On a real ext4 image.

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

my ($dir, $far, $image) = (scratch(), scratch(), scratch() . '/image');
open my $f, '>', $image or die;
truncate $f, 48 << 20;
close $f;
my $made = system("mkfs.ext4 -q -F -b 4096 -N 1200 $image >$image.log 2>&1") == 0
    && system("mount -o loop $image $dir >>$image.log 2>&1") == 0
    && system('mount', '-t', 'tmpfs', 'none', $far) == 0;
if (!$made) {
    ok(($ENV{CI} // '') ne 'true', 'an ext4 image on a loop device') or diag(read_file("$image.log"));
    done_testing();
    exit;
}

my ($spool, $store) = ("$dir/spool", "$far/store");
mkdir $_ or die for $spool, map { "$spool/$_" } PLACES;
my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }
sub q_ { return spoolck('quarantine', '--store', $store, @_) }
sub facts { my $s = snapshot(@_); delete $s->{$_} for grep { /^spoolck\b/ } keys %$s; s/ inode \d+/ / for values %$s; return $s }
sub spares { return scalar(() = glob "$spool/spoolck/spare-*") }

healthy($spool, 'hold') for 1 .. 150;
damaged($spool, 'hold', text());
is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'a first move, which makes the spare directories');
is(spares(), 32, 'there they are');
is((stat "$spool/spoolck")[2] & 07777, 0700, 'for nobody else');
is(exit_bits(scan('-n', '--store', $store, $spool)), '0', 'and a scan does not mind them');
my @bad = map { damaged($spool, 'incoming', text()) } 1 .. 34;
my $before = facts($spool);

# To the last inode and the last block.
mkdir "$dir/fill";
my $n = 0;
$n++ while $n < 100000 && open my $e, '>', "$dir/fill/$n";
like("$!", qr/No space/, 'no inode is free');
open my $big, '>', "$dir/fill/0" or die;
for my $size (1 << 16, 4096, 512, 1) {
    1 while defined syswrite $big, 'x' x $size;
}
close $big;
ok(!mkdir("$spool/more"), 'a directory cannot be made');

# All of them, then none: copying them into the store sets directories free again.
my $r = scan('-y', '--max-move', 'none', '--store', $store, $spool);
is($r->{summary}{moved}, 32, '32 messages are moved') or diag(join "\n", map { $_->{reason} // () } @{ $r->{messages} });
my @failed = grep { $_->{action} eq 'failed' } @{ $r->{messages} };
is(scalar @failed, 2, 'two are not');
like($_->{reason}, qr/No space left/, 'because the disk is full') for @failed;
ok(-e "$spool/incoming/$_->{id}", 'they are still there') for @failed;
is_deeply([ glob "$store/inflight/*" ], [], 'nothing is left halfway');
is_deeply([ grep { !/spare-\d\d_*$/ } glob "$spool/spoolck/*" ], [], 'nothing is left in the lodge');
is(exit_bits(q_('verify')), '0', 'all entries are sound');
is(spares(), 32, 'directories that were emptied are put by again');

$r = scan('-y', '--max-move', 'none', '--store', $store, $spool);
is($r->{summary}{moved}, 2, 'the next run moves the other two') or diag($r->{out}, $r->{err});
unlink glob "$dir/fill/*";
is(exit_bits(q_('restore', '--no-accept', @bad)), '2', 'all come back');
same_tree($before, facts($spool), 'the spool is as it was');

# With a store on the spool's own file system they are of no use, and go.
is(exit_bits(scan('-y', '--max-move', 'none', '--store', "$dir/store", $spool)), '1', 'a store beside the spool');
ok(!-e "$spool/spoolck", 'no spare directory is left in the spool');

done_testing();
END { local $?; system("umount -l $dir 2>/dev/null; umount -l $far 2>/dev/null") if $far && $ENV{SPOOLCK_NS} }
