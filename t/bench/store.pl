#!/usr/bin/perl
# store.pl [--entries N] [--rounds R] [--spoolck PATH] [--dir DIR]
#
# Measures the quarantine with N entries in the store (100,000): list, list with a filter and as JSON, show
# and restore of one id, beside a bare program that reads the same manifests (manifests.c); wall
# and processor time.  Warm cache, medians of R rounds (5).  Judges nothing.
#
# The store is made below DIR (default ${SPOOLCK_BENCH:-/var/tmp/spoolck-bench}) and kept: one message is moved
# by spoolck, and its entry copied under N - 1 other queue ids, with plans that agree.

use strict;
use warnings;
use Cwd ();
use Digest::SHA qw(sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(remove_tree make_path);
use File::Temp qw(tempdir);
use Getopt::Long;
use POSIX ();
use Time::HiRes qw(time);

my $here = dirname(Cwd::abs_path(__FILE__));
my ($number, $rounds, $spoolck) = (100_000, 5, "$here/../../spoolck");
my $base = $ENV{SPOOLCK_BENCH} || '/var/tmp/spoolck-bench';
GetOptions('entries=i' => \$number, 'rounds=i' => \$rounds, 'spoolck=s' => \$spoolck, 'dir=s' => \$base)
    && !@ARGV && $number > 0 && $rounds > 0
    or die "usage: store.pl [--entries N] [--rounds R] [--spoolck PATH] [--dir DIR]\n";
$ENV{SPOOLCK} = $spoolck = Cwd::abs_path($spoolck);
unshift @INC, "$here/../lib";
require Spoolck;
my $tmp = tempdir(CLEANUP => 1);

sub run { # [wall seconds, processor seconds] of one command, its output thrown away
    my @command = @_;
    my ($from, @before) = (time, times);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', "$tmp/out";
        open STDERR, '>', "$tmp/err";
        exec @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "store.pl: @command: status $?\n" . Spoolck::read_file("$tmp/err") if $? & 127 || ($? >> 8) & ~3;
    my @after = times;
    return [ time - $from, $after[2] + $after[3] - $before[2] - $before[3] ];
}

sub median { my @v = sort { $a <=> $b } @_; return $v[ $#v / 2 ] }

my $dir = "$base/store-$number";
my ($spool, $store) = ("$dir/spool", "$dir/store");

sub make {
    remove_tree($dir);
    make_path($spool, map { "$spool/$_" } Spoolck::PLACES());
    Spoolck::healthy($spool, 'hold') for 1 .. 9;
    my $id = Spoolck::damaged($spool, 'deferred');
    run($spoolck, 'scan', '-q', '-y', '--store', $store, $spool);
    my ($entry) = glob "$store/entries/*-$id" or die "store.pl: nothing was moved\n";
    my %file = map { $_ => Spoolck::read_file("$entry/$_") } qw(manifest.json summary.txt plan);
    my ($part) = glob "$entry/parts/*";
    my $bytes = Spoolck::read_file($part);
    for my $n (1 .. $number - 1) {
        my $new = sprintf '%sz%07d', substr($id, 0, 10), $n;
        my $to = $entry =~ s/\Q$id\E\z/$new/r;
        mkdir $to, 0700 or die "$to: $!\n";
        mkdir "$to/parts", 0700;
        Spoolck::write_file("$to/parts/01-$new", $bytes);
        for my $name (keys %file) {
            my $text = $file{$name} =~ s/\Q$id\E/$new/gr;
            $text =~ s/^end [0-9a-f]{64}\n\z//m and $text .= 'end ' . sha256_hex($text) . "\n" if $name eq 'plan';
            Spoolck::write_file("$to/$name", $text);
        }
    }
    Spoolck::write_file("$dir/id", $id);
    system 'sync';
}

make() unless -e "$dir/id";
my $id = Spoolck::read_file("$dir/id");
system(split(' ', $ENV{CC} || 'cc'), '-O2', '-o', "$tmp/bare", "$here/manifests.c") == 0 or die "store.pl: no compiler\n";
my @q = ($spoolck, 'quarantine', '--store', $store);

# [name, command, what brings it back to where it was]
my @rows = (
    [ 'bare reader of the manifests', [ "$tmp/bare", "$store/entries" ] ],
    [ 'list', [ @q, 'list' ] ],
    [ 'list --sender ADDRESS', [ @q, 'list', '--sender', 'nobody@example.org' ] ],
    [ 'list --format json', [ @q, 'list', '--format', 'json' ] ],
    [ 'show ID', [ @q, 'show', $id ] ],
    [ 'restore ID', [ @q, 'restore', '--no-accept', $id ], [ $spoolck, 'scan', '-q', '-y', '--store', $store, $spool ] ],
);
my @spent;
for my $round (0 .. $rounds) { # the first warms the cache
    for my $i (0 .. $#rows) {
        my $r = run(@{ $rows[$i][1] });
        push @{ $spent[$i] }, $r if $round;
        run(@{ $rows[$i][2] }) if $rows[$i][2];
    }
}
my $n = reverse $number;
printf "\n%-35s median s   least s   processor s   of bare (wall, processor)\n",
    scalar(reverse $n =~ s/(\d{3})(?=\d)/$1,/gr) . ' entries in the store';
my @bare = map { my $k = $_; median(map { $_->[$k] } @{ $spent[0] }) } 0, 1;
for my $i (0 .. $#rows) {
    my ($wall, $cpu) = map { my $k = $_; median(map { $_->[$k] } @{ $spent[$i] }) } 0, 1;
    my ($least) = sort { $a <=> $b } map { $_->[0] } @{ $spent[$i] };
    printf "  %-32s %9.3f %9.3f %13.3f   %9.2f %9.2f\n", $rows[$i][0], $wall, $least, $cpu,
        $wall / $bare[0], $cpu / ($bare[1] || 1);
}
