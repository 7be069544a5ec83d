#!/usr/bin/perl
# volume-images.pl [SECONDS [SEED]] - damaged file systems against the confined volume server
#
# A small NTFS image, some bytes of its metadata altered at random, read from end to end by t/volume-dump.
# libfsntfs may die or hang over it, which is why it lives where it does: what must not happen is that the asking side dies, hangs
# or takes longer than its deadlines allow. Prints what happened to the servers. Root (it mounts the image once).

use strict;
use warnings;
use File::Temp qw(tempdir);
use Time::HiRes qw(time);

my ($seconds, $seed) = (shift // 60, shift // time ^ $$);
srand $seed;
my $dump = ($ENV{BUILDDIR} // '.') . '/t/volume-dump';
my $work = tempdir(CLEANUP => 1);
my ($image, $dir, $copy) = ("$work/image", "$work/dir", "$work/copy");
mkdir $dir;
system("truncate -s 4M $image && mkntfs -F -Q -c 4096 $image >$work/log 2>&1 && ntfs-3g -o streams_interface=windows,compression $image $dir") == 0
    or die `cat $work/log`;
mkdir "$dir/$_" for 'Mailroot', 'Mailroot/Queue', 'packed';
system 'setfattr', '-h', '-n', 'system.ntfs_attrib_be', '-v', '0x00000810', "$dir/packed";
for my $i (1 .. 60) {
    put("$dir/Mailroot/Queue/NTFS_$i.EML", 'x' x ($i * 97));
    put("$dir/Mailroot/Queue/NTFS_$i.EML:PROPERTIES", 'p' x ($i * 331 % 5000));
}
put("$dir/packed/text", 'all the same ' x 20_000);
system('umount', $dir) == 0 or die;

sub put { my ($path, $bytes) = @_; open my $f, '>', $path or die "$path: $!"; print $f $bytes; close $f or die; return }
sub get { my ($path) = @_; open my $f, '<:raw', $path or die; local $/; return scalar <$f> }

# Sectors that hold metadata: the boot sector, MFT records, index blocks.
my $good = get($image);
my @sectors = grep { $_ == 0 || substr($good, 512 * ($_ - $_ % 2), 4) eq 'FILE' || substr($good, 512 * ($_ - $_ % 8), 4) eq 'INDX' } 0 .. length($good) / 512 - 1;

my (%sum, $runs);
my $end = time + $seconds;
while (time < $end) {
    my $bytes = $good;
    for (1 .. 1 + int rand 12) {
        my $at = 512 * $sectors[rand @sectors] + int rand 510; # not the last two, or it is merely torn
        my $how = rand;
        if ($how < 0.5) { substr $bytes, $at, 1, chr int rand 256 }
        elsif ($how < 0.8) { substr $bytes, $at - $at % 4, 4, pack 'V', (0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8, 0x10000)[rand 7] }
        else { substr $bytes, $at, 8, substr $bytes, 512 * $sectors[rand @sectors] + int rand 500, 8 }
    }
    open my $f, '>:raw', $copy or die;
    print $f $bytes;
    close $f or die;
    my $from = time;
    my $out = `timeout 130 $dump $copy`;
    my ($status, $took) = ($?, time - $from);
    $runs++;
    my %kinds;
    $kinds{$1}++ while $out =~ /(died over it|did not answer in time|answered nonsense|is damaged there|^lost)/gm;
    $sum{"images with: $_"}++ for keys %kinds;
    $sum{files} += () = $out =~ /^file\t/gm;
    next if $status == 0;
    system 'cp', $copy, "volume-image-$seed-$runs";
    die "status $status after $took s, seed $seed, run $runs: kept as volume-image-$seed-$runs\n";
}
printf "%d images, seed %s; %s\n", $runs, $seed, join '; ', map { "$_ $sum{$_}" } sort keys %sum;
