#!/usr/bin/perl
# Messages one of whose files has two names (Courier): found by the part of the id that stays, moved with
# both names, never copied to another file system, where they would become two files.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Spoolck::Fixture qw(lay_out);
use Test::More;

# A mount namespace of our own, so that what is mounted here vanishes with it.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root'
        if !need_root('to mount a second file system') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my $fixtures = "$FindBin::Bin/../fixtures/courier";

sub mounted_store {
    my $dir = scratch();
    system('mount', '-t', 'tmpfs', 'none', $dir) == 0 or die 'mount';
    return "$dir/store";
}

# The fixture, copied with its links: the numbers in the names are not those of the inodes any more.
sub restored_backup {
    my ($case) = @_;
    my ($first, $spool) = (scratch() . '/spool', scratch() . '/spool');
    lay_out("$fixtures/$case", $first);
    system('cp', '-a', $first, $spool) == 0 or die 'cp';
    return $spool;
}

subtest 'a number that is not the inode, and a store elsewhere' => sub {
    my ($spool, $store) = (restored_backup('healthy-deferred'), mounted_store());
    my ($entry) = glob "$spool/msgq/*/C*";
    my ($id, $number) = $entry =~ m{/C((\d+)\.\d+)$};
    my $scan = scan('--all', $spool);
    is(scalar @{ $scan->{messages} }, 1, 'two names are one message');
    is($scan->{messages}[0]{id}, $id, 'under the name of its entry');
    is_deeply([ map { $_->{name} } @{ $scan->{findings} } ], ['courier.inode'], 'whose number is noticed');
    like(spoolck('explain', "$spool:$number")->{out}, qr/^ +\d+ +\d+ +recipient +tmp/m, 'the number alone names it');
    like(spoolck('explain', "$spool:$number.1700000000")->{out}, qr/recipient/, 'and so does an earlier time');
    is(exit_bits(spoolck('explain', "$spool:1$number")), '8', 'another number does not');
    my $before = snapshot($spool);
    my $add = spoolck('quarantine', 'add', '--store', $store, "$spool:$number");
    is(exit_bits($add), '1', 'put aside') or diag $add->{err};
    is(scalar(my @left = glob "$spool/msg?/*/*"), 0, 'with all its names');
    scan('-y', '--store', $store, $spool);
    my @lodged = glob "$spool/spoolck/*/*-C*";
    is(scalar @lodged, 2, 'it stays in the lodge');
    is((stat $lodged[0])[3], 2, 'one file');
    my $back = spoolck('quarantine', 'restore', '--store', $store, $id);
    is(exit_bits($back), '2', 'restored') or diag $back->{err};
    same_tree($before, snapshot($spool), 'every file is back, the same inodes');
};

subtest 'a control file that was copied is no second message' => sub {
    my $spool = scratch() . '/spool';
    lay_out("$fixtures/copy", $spool);
    my $scan = scan('--all', $spool);
    is_deeply([ map { "$_->{verdict}" } @{ $scan->{messages} } ], ['corrupt'], 'one message');
    is_deeply([ map { $_->{name} } @{ $scan->{findings} } ], ['courier.copy'], 'one finding');
};

subtest 'a text without its control file' => sub {
    my $spool = scratch() . '/spool';
    lay_out("$fixtures/healthy-deferred", $spool);
    my ($text) = glob "$spool/msgs/*/D*";
    unlink glob("$spool/msgs/*/C*"), glob("$spool/msgq/*/C*");
    utime time - 7200, time - 7200, $text;
    my $scan = scan('--all', $spool);
    is_deeply([ map { "$_->{name} $_->{severity} $_->{part}" } @{ $scan->{findings} } ],
        [ 'courier.data-orphan notice ' . substr $text, 1 + length $spool ], 'is noticed');
    unlink $text;
    is_deeply(scan('--all', $spool)->{findings}, [], 'an empty spool');
};

done_testing();
END { local $?; system('umount -l ' . join ' ', map { /^none (\S+spoolck-test\S+)/ ? $1 : () } split /\n/, `cat /proc/mounts`)
    if $ENV{SPOOLCK_NS} }
