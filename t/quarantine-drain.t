#!/usr/bin/perl
# A store on another file system: moved by rename into the lodge, then by a proved copy into the
# store; back the same way, with every byte, attribute and hole. Messages whose names contain their
# inode stay in the lodge.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Test::More;

# A mount namespace of our own, so that what is mounted here vanishes with it.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root'
        if !need_root('to mount a second file system') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

sub mounted_store {
    my $dir = scratch();
    system('mount', '-t', 'tmpfs', 'none', $dir) == 0 or die 'mount';
    return "$dir/store";
}

# A snapshot, without the spare directories that are put by for a full disk.
sub picture {
    my $s = snapshot(@_);
    delete $s->{$_} for grep { m{^spoolck(?:/spare-\d\d_+)?$} } keys %$s;
    return $s;
}

sub copied { # without inodes
    my $s = picture(@_);
    s/ inode \d+/ / for values %$s;
    return $s;
}

sub lodged { my ($spool) = @_; return grep { !m{/spare-\d\d_+$} } glob "$spool/spoolck/*" }

sub long { my ($spool, $where) = @_; return damaged($spool, $where, text()) }

subtest 'there and back' => sub {
    my ($spool, $store) = (new_spool(), mounted_store());
    healthy($spool, 'deferred') for 1 .. 3;
    my @ids = map { long($spool, $_) } qw(deferred incoming hold);
    my $before = copied($spool);
    my $r = scan('-y', '--store', $store, $spool);
    is(exit_bits($r), '1', 'moved') or diag($r->{out}, $r->{err});
    is_deeply($r->{notes}, [], 'nothing to be noted') or diag($r->{out});
    is_deeply([ lodged($spool) ], [], 'the lodge is gone from the spool');
    my @entries = glob "$store/entries/*";
    is(scalar @entries, 3, 'three entries');
    is(scalar(my @parts = glob "$_/parts/*"), 1, 'with its part') for @entries;
    like(read_file("$_/manifest.json"), qr/"state": "stored"/, 'which the manifest says') for @entries;
    is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'sound');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', @ids)), '2', 'restored');
    my $after = copied($spool);
    same_tree($before, $after, 'bytes, names, owners, modes and times are back');
    is_deeply([ lodged($spool) ], [], 'no lodge');
    is(exit_bits(scan('--store', $store, $spool)), '0', 'and they are accepted: new inode, same digest');
    is(scalar(my @none = glob "$store/entries/* $store/inflight/*"), 0, 'the store is empty');
};

subtest 'a name that contains the inode' => sub {
    my ($spool, $store) = (new_spool(), mounted_store());
    healthy($spool, 'hold') for 1 .. 3;
    my $bytes = substr queue_file(text()), 0, -9;
    write_file("$spool/incoming/tmp", $bytes);
    chmod 0700, "$spool/incoming/tmp";
    my $id = sprintf '%05X%X', 0x4f2a1, (stat "$spool/incoming/tmp")[1];
    rename "$spool/incoming/tmp", "$spool/incoming/$id";
    my $before = picture($spool);
    my $r = scan('-y', '--store', $store, $spool);
    is(exit_bits($r), '1', 'moved') or diag($r->{out}, $r->{err});
    is_deeply($r->{notes}, [], 'nothing to be noted');
    is(scalar(my @lodged = glob "$spool/spoolck/*/*"), 1, 'it stays in the lodge');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'sound');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', $id)), '2', 'restored');
    same_tree($before, picture($spool), 'with its inode');
};

subtest 'a store that has no room' => sub {
    my $spool = new_spool();
    my $dir = scratch();
    system('mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', $dir) == 0 or die 'mount';
    my $store = "$dir/store";
    healthy($spool, 'deferred') for 1 .. 3;
    my $id = damaged($spool, 'hold', lines => [ 'Subject: large', '', map { 'x' x 900 } 1 .. 600 ]);
    my $before = picture($spool);
    my $r = scan('-y', '--store', $store, $spool);
    is(exit_bits($r), '1', 'it is moved all the same');
    like($r->{notes}[0]{text} // '', qr/stays in .*spoolck: .*No space left/, 'and stays in the lodge, with the reason');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'sound');
    system('mount', '-o', 'remount,size=8m', $dir) == 0 or die 'remount';
    is(exit_bits(scan('-y', '--store', $store, $spool)), '0', 'the next run has nothing to move');
    is_deeply([ lodged($spool) ], [], 'but copies what was left in the lodge');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'sound');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', $id)), '2', 'restored');
    is_deeply([ map { s/ inode \d+//r } $before->{"hold/$id"} ],
        [ map { s/ inode \d+//r } snapshot($spool)->{"hold/$id"} ], 'as it was');
};

done_testing();
END { local $?; system('umount -l ' . join ' ', map { /^none (\S+spoolck-test\S+)/ ? $1 : () } split /\n/, `cat /proc/mounts`)
    if $ENV{SPOOLCK_NS} }
