#!/usr/bin/perl
# NTFS volumes that are not mounted, as the confined server shows them: every stream of every kind byte for byte what
# was written through a mount, partition tables, damaged records, containers. t/volume-dump asks as the program does.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use Spoolck;
use Test::More;

if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to mount NTFS') && $> != 0;
    my $tools = !grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(mkntfs ntfs-3g ntfsfix sfdisk setfattr);
    if (!$tools && !$ENV{CI}) { plan skip_all => 'no ntfs-3g, sfdisk or setfattr here' }
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

local $SIG{PIPE} = 'IGNORE';
my ($work, $dir) = (scratch(), scratch());
my $volume = "$work/volume";

sub run_ok { my @command = @_; return system("@command >>$work/log 2>&1") == 0 }
sub bytes { my ($n, $len) = @_; my $b = sha256_hex($n) x (1 + $len / 64); return substr $b, 0, $len }

sub mounted {
    return run_ok("ntfs-3g -o streams_interface=windows,compression $volume $dir");
}
sub unmounted { return run_ok("umount $dir") }

# What volume-dump says: kind => list of rows.
sub dumped {
    my ($image) = @_;
    my %said;
    open my $out, '-|', 'timeout', '60', "$ENV{BUILDDIR}/t/volume-dump", $image or die;
    while (<$out>) {
        chomp;
        my ($kind, @row) = split /\t/, $_, -1;
        push @{ $said{$kind} }, \@row;
    }
    close $out;
    is($?, 0, 'the asking side ends well');
    return \%said;
}

# "path" or "path:stream" => row as a hash
sub files {
    my ($said) = @_;
    my %files;
    for my $row (@{ $said->{file} // [] }) {
        my %f;
        @f{qw(path stream size valid flags mtime record sha)} = @$row;
        $files{ $f{path} . ($f{stream} ne '' ? ":$f{stream}" : '') } = \%f;
    }
    return \%files;
}

sub patch {
    my ($image, $at, $new) = @_;
    open my $f, '+<:raw', $image or die;
    seek $f, $at, 0;
    print $f $new;
    close $f or die;
}

sub peek {
    my ($image, $at, $len) = @_;
    open my $f, '<:raw', $image or die;
    seek $f, $at, 0;
    my $bytes;
    read $f, $bytes, $len;
    return $bytes;
}

# Where record n of the MFT lies; its first part is one run here.
sub record_at {
    my ($image, $n) = @_;
    return unpack('Q<', peek($image, 0x30, 8)) * 4096 + $n * 1024;
}

my $q = 'Inetpub/Mailroot/Queue';
my %wrote;

sub wrote {
    my ($path, $bytes) = @_;
    write_file("$dir/$path", $bytes);
    $wrote{"/$path"} = sha256_hex($bytes);
    return;
}

# --- One volume with everything ---

open my $f, '>', $volume or die;
truncate $f, 48 << 20;
close $f;
if (!run_ok("mkntfs -F -Q -c 4096 -L MAILROOT $volume") || !mounted()) {
    ok(($ENV{CI} // '') ne 'true', 'an NTFS image, and a mount of it') or diag(read_file("$work/log"));
    done_testing();
    exit;
}
system 'mkdir', '-p', "$dir/$q", "$dir/packed", "$dir/many";
wrote("$q/NTFS_1.EML", bytes(1, 3000));
wrote("$q/NTFS_1.EML:PROPERTIES", bytes(2, 600));
wrote("$q/NTFS_2.EML", '');
wrote("$q/NTFS_2.EML:PROPERTIES", bytes(3, 65_536));
wrote("$q/NTFS_2.EML:PROPERTIES-LIVE", bytes(4, 65_537));
wrote("$q/NTFS_3.EML", bytes(5, 100));
wrote("$q/NTFS_3.EML:PROPERTIES", bytes(6, 1 << 20));
wrote("$q/NTFS_3.EML:empty", '');
wrote("$q/NTFS_\x{c3}\x{bc}\x{e2}\x{82}\x{ac}.EML", bytes(7, 77));
wrote("$q/stale.EML", bytes(8, 20_000));
wrote("$q/lost.EML", bytes(9, 50));
wrote("$q/torn.EML", bytes(10, 50));
wrote("many/$_", bytes($_, $_ % 90)) for 1 .. 1500;

# Sparse: a hole in the middle.
{
    my $path = "$q/NTFS_1.EML:sparse";
    open my $s, '>:raw', "$dir/$path" or die;
    print $s bytes(11, 5000);
    seek $s, 700_000, 0;
    print $s bytes(12, 5000);
    close $s or die;
    $wrote{"/$path"} = sha256_hex(bytes(11, 5000) . ("\0" x 695_000) . bytes(12, 5000));
}

# In pieces: two files that grow in turn.
{
    my @bytes = map { bytes("piece$_", 40 * 4096) } 0, 1;
    open my $a, '>:raw', "$dir/$q/NTFS_4.EML" or die;
    open my $b, '>:raw', "$dir/$q/NTFS_4.EML:PROPERTIES" or die;
    for my $i (0 .. 39) {
        syswrite $a, substr $bytes[0], $i * 4096, 4096;
        syswrite $b, substr $bytes[1], $i * 4096, 4096;
    }
    close $a;
    close $b;
    $wrote{"/$q/NTFS_4.EML"} = sha256_hex($bytes[0]);
    $wrote{"/$q/NTFS_4.EML:PROPERTIES"} = sha256_hex($bytes[1]);
}

# Compressed, by the attribute of the directory.
system 'setfattr', '-h', '-n', 'system.ntfs_attrib_be', '-v', '0x00000810', "$dir/packed";
wrote('packed/text', 'all the same ' x 20_000);
wrote('packed/noise', join '', map { chr((($_ * 2654435761) >> 7) & 255) } 1 .. 100_000);

# So many streams that one record does not hold them: an attribute list.
wrote('packed/../many/streams', 'x');
wrote("many/streams:stream-number-$_", bytes("s$_", 700)) for 1 .. 20;
delete $wrote{'/packed/../many/streams'};
$wrote{'/many/streams'} = sha256_hex('x');
utime 1_700_000_000, 1_700_000_000, "$dir/$q/NTFS_1.EML";
ok(unmounted(), 'written and unmounted') or diag(read_file("$work/log"));

my $said = dumped($volume);
my $files = files($said);
is_deeply([ map { "@$_" } @{ $said->{volume} } ], [ '0 0 ' . (48 << 20) . ' ntfs' ], 'one volume, without a table');
is_deeply($said->{state}, [ [ 0, 0, 0 ] ], 'clean');
is_deeply({ map { $_ => $files->{$_}{sha} } keys %$files }, \%wrote, 'every stream, byte for byte') or diag(read_file("$work/log"));
is_deeply([ $said->{error}, $said->{lost} ], [ undef, undef ], 'nothing else');
is($files->{"/$q/NTFS_1.EML"}{mtime}, 1_700_000_000, 'the time');
is($files->{"/$q/NTFS_1.EML:sparse"}{flags} & 2, 2, 'a sparse stream is known as one');
is($files->{'/packed/text'}{flags} & 1, 1, 'a compressed one, too') or diag(explain($files->{'/packed/text'}));
is_deeply([ grep { $files->{$_}{valid} != $files->{$_}{size} } sort keys %$files ], [], 'all of each was written');

# --- Damage, each in a copy ---

sub copy {
    my $to = "$work/copy";
    system('cp', '--sparse=always', $volume, $to) == 0 or die;
    return $to;
}

subtest 'a valid length below the size' => sub {
    my $image = copy();
    my $at = record_at($image, $files->{"/$q/NTFS_2.EML"}{record});
    my $record = peek($image, $at, 1024);
    my $size = pack 'Q<', 65_536;
    my $where = index $record, $size x 3; # allocated, data, valid
    ok($where > 0, 'the place in the record') or return;
    patch($image, $at + $where + 16, pack 'Q<', 4096);
    my $now = files(dumped($image));
    my $p = $now->{"/$q/NTFS_2.EML:PROPERTIES"};
    is_deeply([ @{$p}{qw(size valid)} ], [ 65_536, 4096 ], 'is told');
    is($p->{sha}, sha256_hex(bytes(3, 4096) . "\0" x 61_440), 'and the rest reads as zero');
    is($now->{"/$q/NTFS_2.EML:PROPERTIES-LIVE"}{valid}, 65_537, 'of this stream only');
};

subtest 'damaged records' => sub {
    my $image = copy();
    patch($image, record_at($image, $files->{"/$q/lost.EML"}{record}), 'BAAD');
    my $torn = record_at($image, $files->{"/$q/torn.EML"}{record});
    patch($image, $torn + 510, "\xde\xad");
    # A value that is longer than its record.
    my $cut = record_at($image, $files->{"/$q/NTFS_3.EML"}{record});
    my $said = dumped($image);
    my $now = files($said);
    my %other = %wrote;
    delete $other{"/$q/$_.EML"} for qw(lost torn);
    delete $now->{"/$q/$_.EML"} for qw(lost torn);
    is_deeply({ map { $_ => $now->{$_}{sha} } keys %$now }, \%other, 'cost their files, and no others');
    my @told = map { "@$_" } @{ $said->{lost} // [] }, @{ $said->{error} // [] };
    ok(@told > 0, 'and it is told') or diag(explain($said->{file}));
    note(@told);
};

subtest 'a directory that is damaged' => sub {
    my $image = copy();
    my $raw = read_file($image);
    my $hit = 0;
    while ($raw =~ /INDX/g) {
        my $at = pos($raw) - 4;
        next if $at % 4096 != 0 || index(substr($raw, $at, 4096), join "\0", split //, 'NTFS_4.EML') < 0;
        patch($image, $at, 'XXXX');
        $hit++;
    }
    ok($hit > 0, 'an index block') or return;
    my $said = dumped($image);
    ok((grep { "/$q" =~ /^\Q$_->[0]\E/ } @{ $said->{error} // [] }, @{ $said->{lost} // [] }), 'is told') or diag(explain([ $said->{error}, $said->{lost} ]));
    ok(files($said)->{'/many/7'}, 'others are read');
};

subtest 'a boot sector that lies' => sub {
    my $image = copy();
    patch($image, 0x30, pack 'Q<', 1 << 50);
    my $said = dumped($image);
    isnt($said->{volume}[0][3], 'ntfs', "not opened: $said->{volume}[0][3]");
};

subtest 'not clean' => sub {
    my $image = copy();
    ok(run_ok("ntfsfix $image"), 'marked for chkdsk');
    is(dumped($image)->{state}[0][0] & 1, 1, 'is told');
};

# --- Partition tables ---

sub disk {
    my ($size, $script, @at) = @_;
    my $disk = "$work/disk";
    unlink $disk;
    open my $f, '>', $disk or die;
    truncate $f, $size;
    close $f;
    open my $sfdisk, '|-', "sfdisk -q $disk >>$work/log 2>&1" or die;
    print $sfdisk $script;
    close $sfdisk or return;
    for my $at (@at) {
        system("dd if=$volume of=$disk bs=1M seek=$at conv=notrunc,sparse status=none") == 0 or die;
    }
    return $disk;
}

my $mib = 1 << 20;
my $len = 48 * $mib;
subtest 'MBR, with logical drives' => sub {
    my $disk = disk(160 * $mib, "label: dos\nstart=1MiB size=48MiB type=7\nstart=50MiB size=4MiB type=83\n"
        . "start=55MiB size=104MiB type=f\nstart=56MiB size=50MiB type=83\nstart=108MiB size=48MiB type=7\n", 1, 108) or return fail('sfdisk');
    my $said = dumped($disk);
    is_deeply([ map { "@$_" } @{ $said->{volume} } ], [ "1 $mib $len ntfs", '6 ' . 108 * $mib . " $len ntfs" ], 'both are found');
    is(scalar @{ $said->{file} }, 2 * keys %wrote, 'and read');
    is_deeply([ grep { $_->[7] ne $wrote{ $_->[0] . ($_->[1] ne '' ? ":$_->[1]" : '') } } @{ $said->{file} } ], [], 'right');
};

subtest 'GPT' => sub {
    my $script = "label: gpt\nstart=1MiB size=48MiB type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\nstart=50MiB size=2MiB type=L\n"
        . "start=53MiB size=48MiB type=L\n";
    my $disk = disk(110 * $mib, $script, 1, 53) or return fail('sfdisk');
    my @want = ("1 $mib $len ntfs", '3 ' . 53 * $mib . " $len ntfs");
    is_deeply([ map { "@$_" } @{ dumped($disk)->{volume} } ], \@want, 'both, whatever their type says');
    patch($disk, 512, "\0" x 512);
    is_deeply([ map { "@$_" } @{ dumped($disk)->{volume} } ], \@want, 'from the copy at the end, too');
    patch($disk, 53 * $mib + 3, '-FVE-FS-');
    is_deeply([ map { "@$_" } @{ dumped($disk)->{volume} } ], [ $want[0], '3 ' . 53 * $mib . " $len bitlocker" ], 'BitLocker is named');
};

subtest 'the last of many partitions' => sub {
    my $disk = disk(110 * $mib, "label: gpt\ntable-length: 256\n256 : start=53MiB size=48MiB type=L\n", 53) or return fail('sfdisk');
    is_deeply([ map { "@$_" } @{ dumped($disk)->{volume} } ], [ '256 ' . 53 * $mib . " $len ntfs" ], 'has its number');
};

subtest 'what is no disk' => sub {
    my %kinds = (VHDX => 'vhdxfile', VMDK => 'KDMV', QCOW2 => "QFI\xfb", gzip => "\x1f\x8b\x08", zip => "PK\3\4", '7-Zip' => "7z\xbc\xaf\x27\x1c",
        BitLocker => "\xeb\x58\x90-FVE-FS-", VDI => "\0" x 64 . "\x7f\x10\xda\xbe");
    for my $kind (sort keys %kinds) {
        my $file = "$work/container";
        write_file($file, $kinds{$kind} . "\0" x 4096);
        my $said = dumped($file);
        like($said->{container}[0][0] // '', qr/\Q$kind\E/, "$kind: $said->{container}[0][1]");
    }
    write_file("$work/nothing", 'x' x 100);
    is_deeply(dumped("$work/nothing"), {}, 'a short file is nothing');
    write_file("$work/nothing", '');
    is_deeply(dumped("$work/nothing"), {}, 'nor is an empty one');
};

done_testing();
END { local $?; system("umount -l $dir 2>/dev/null") if $ENV{SPOOLCK_NS} && $dir }
