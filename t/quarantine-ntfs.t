#!/usr/bin/perl
# A spool on NTFS, mounted by ntfs-3g, and a store on another file system: named streams are copied and compared
# with everything else, or the message stays in the lodge and the reason is said. In each of the three ways in which
# ntfs-3g shows streams. RENAME_NOREPLACE, which it has not, is done without.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Spoolck;
use Test::More;

if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to mount NTFS') && $> != 0;
    my $tools = system('command -v mkntfs ntfs-3g >/dev/null 2>&1') == 0;
    if (!$tools && !$ENV{CI}) { plan skip_all => 'no ntfs-3g here' }
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my ($image, $dir, $far) = (scratch() . '/image', scratch(), scratch());
open my $f, '>', $image or die;
truncate $f, 64 << 20;
close $f;
if (system("mkntfs -F -Q -c 4096 $image >$image.log 2>&1") != 0 || !mounted('windows')) {
    ok(($ENV{CI} // '') ne 'true', 'an NTFS image, and a mount of it') or diag(read_file("$image.log"));
    done_testing();
    exit;
}
system('mount', '-t', 'tmpfs', 'none', $far) == 0 or die 'mount';

my ($spool, $store) = ("$dir/spool", "$far/store");

# Mount the image; permissions: modes and owners are kept.
sub mounted {
    my ($interface) = @_;
    unmount();
    return system("ntfs-3g -o streams_interface=$interface,permissions $image $dir >>$image.log 2>&1") == 0;
}
sub unmount { system("umount $dir 2>/dev/null"); return }

sub lodged { return grep { !m{/spare-\d\d_+$} } glob "$spool/spoolck/*" }
sub q_ { return spoolck('quarantine', '--store', $store, @_) }
sub stream { my ($n) = @_; return join '', map { chr(($_ * 7919 + $n) >> 3 & 255) } 1 .. $n }

my %streams = (PROPERTIES => stream(600), large => stream(70_000), huge => stream(1 << 20), empty => '');

# Everything of a file that may not be lost.
sub facts {
    my ($path) = @_;
    my @st = stat $path;
    my $attributes = join ',', map { qx{getfattr --absolute-names --only-values -n $_ -e hex '$path' 2>/dev/null} }
        qw(system.ntfs_acl system.ntfs_attrib);
    return { digest => sha256_hex(read_file($path)), owner => "@st[4, 5]", mode => sprintf('%o', $st[2]), mtime => $st[9],
        attributes => $attributes,
        map { $_ => -e "$path:$_" ? sha256_hex(read_file("$path:$_")) : 'absent' } keys %streams };
}

mkdir $_ or die "$_: $!" for $spool, map { "$spool/$_" } PLACES;
healthy($spool, 'hold') for 1 .. 9;
chmod 0755, $spool;

subtest 'streams that are opened by name' => sub {
    my $id = damaged($spool, 'incoming');
    my $path = "$spool/incoming/$id";
    write_file("$path:$_", $streams{$_}) for keys %streams;
    utime 1700000000, 1700000000, $path;
    my $before = facts($path);
    my $r = scan('-y', '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'moved, by a rename without NOREPLACE') or diag($r->{out}, $r->{err});
    is_deeply($r->{notes}, [], 'nothing stays in the lodge') or diag($r->{out});
    is_deeply([ lodged() ], [], 'the lodge is gone');
    my ($entry) = glob "$store/entries/*";
    my $manifest = JSON::PP::decode_json(read_file("$entry/manifest.json"));
    is_deeply({ map { $_->{name} => $_->{sha256} } @{ $manifest->{parts}[0]{streams} } },
        { map { $_ => sha256_hex($streams{$_}) } keys %streams }, 'the manifest has each with its digest');
    is_deeply([ map { s{.*:}{}r } sort glob "$entry/parts/*:*" ], [ sort keys %streams ], 'and the store a copy');
    is(exit_bits(q_('verify')), '0', 'sound');
    my ($copy) = glob "$entry/parts/*:PROPERTIES";
    my $bytes = read_file($copy);
    write_file($copy, 'x' . substr $bytes, 1);
    is(exit_bits($r = q_('verify')), '4', 'a stream that was altered is seen');
    like($r->{out}, qr/streams was/, 'and said');
    is(exit_bits(q_('restore', $id)), '8', 'and not restored');
    unlink $copy;
    is(exit_bits(q_('verify')), '4', 'one that is missing, too');
    write_file($copy, $bytes);
    is(exit_bits(q_('verify')), '0', 'whole again');
    is(exit_bits($r = q_('restore', $id)), '2', 'restored') or diag($r->{err});
    is_deeply(facts($path), $before, 'with every stream, owner, mode, time and attribute');
    is_deeply([ glob("$store/entries/* $store/inflight/*"), lodged() ], [], 'nothing is left over');

    is(scan('-y', '--store', $store, $spool)->{summary}{moved}, 0, 'accepted');
    is(exit_bits(q_('accept', '--undo', "postfix:$spool:$id")), '0', 'no longer');
    is(scan('-y', '--store', $store, $spool)->{summary}{moved}, 1, 'moved again');
    is(exit_bits(q_('purge', '--yes', $id)), '0', 'purged');
    is_deeply([ glob "$store/entries/* $store/inflight/*" ], [], 'and its streams');
};

subtest 'streams as attributes' => sub {
    ok(mounted('xattr'), 'mounted so') or return;
    my $id = damaged($spool, 'incoming');
    my $path = "$spool/incoming/$id";
    is(system('setfattr', '-n', 'user.PROPERTIES', '-v', '0x' . unpack('H*', $streams{PROPERTIES}), $path), 0, 'a stream');
    my $value = sub { return qx{getfattr --absolute-names --only-values -n user.PROPERTIES '$path'} };
    my $r = scan('-y', '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'moved') or diag($r->{out}, $r->{err});
    is_deeply($r->{notes}, [], 'and copied') or diag($r->{out});
    is(exit_bits(q_('verify')), '0', 'sound');
    is(exit_bits(q_('restore', $id)), '2', 'restored');
    ok($value->() eq $streams{PROPERTIES}, 'with its stream');
    unlink $path;

    # One that is too large to be read so.
    mounted('windows') or die;
    $id = damaged($spool, 'incoming');
    $path = "$spool/incoming/$id";
    write_file("$path:large", $streams{large});
    mounted('xattr') or die;
    $r = scan('-y', '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'one with a larger stream is moved');
    like($r->{notes}[0]{text} // '', qr/stays in .*user\.large cannot be kept/, 'and stays in the lodge, with the reason')
        or diag($r->{out});
    is(exit_bits(q_('restore', $id)), '2', 'restored');
    mounted('windows') or die;
    ok(read_file("$path:large") eq $streams{large}, 'the stream is whole');
    unlink $path;
};

subtest 'streams that cannot be seen' => sub {
    my $id = damaged($spool, 'incoming');
    my $path = "$spool/incoming/$id";
    write_file("$path:PROPERTIES", $streams{PROPERTIES});
    mounted('none') or die;
    my $r = scan('-y', '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'moved: a rename keeps them');
    like($r->{notes}[0]{text} // '', qr/stays in .*named streams may be hidden here/, 'and stays in the lodge, with the reason')
        or diag($r->{out});
    is(scalar(my @copies = glob "$store/entries/*/parts/*"), 0, 'nothing of it in the store');
    is(exit_bits(q_('restore', $id)), '2', 'restored');
    mounted('windows') or die;
    ok(read_file("$path:PROPERTIES") eq $streams{PROPERTIES}, 'the stream is whole');
};

done_testing();
END { local $?; system("umount -l $dir 2>/dev/null; umount -l $far 2>/dev/null") if $ENV{SPOOLCK_NS} && $far }
