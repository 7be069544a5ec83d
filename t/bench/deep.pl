#!/usr/bin/perl
# deep.pl [--messages N] [--rounds R] [--spoolck PATH] [--dir DIR]
#
# Measures scan --deep on a qmail spool of N messages (4,000) in the shapes of many mail programs, beside a bare
# program in which GMime reads the same messages (gmime.c), and beside the scan without --deep: wall and
# processor time, messages and megabytes in a second.  Warm cache, taken in turns, medians of R rounds (5).
# Judges nothing.
#
# The spool is made below DIR (default ${SPOOLCK_BENCH:-/var/tmp/spoolck-bench}) and kept.

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use File::Path qw(remove_tree make_path);
use File::Temp qw(tempdir);
use Getopt::Long;
use POSIX ();
use Time::HiRes qw(time);

my $here = dirname(Cwd::abs_path(__FILE__));
my ($number, $rounds, $spoolck) = (4000, 5, "$here/../../spoolck");
my $base = $ENV{SPOOLCK_BENCH} || '/var/tmp/spoolck-bench';
GetOptions('messages=i' => \$number, 'rounds=i' => \$rounds, 'spoolck=s' => \$spoolck, 'dir=s' => \$base)
    && !@ARGV && $number > 0 && $rounds > 0
    or die "usage: deep.pl [--messages N] [--rounds R] [--spoolck PATH] [--dir DIR]\n";
$ENV{SPOOLCK} = $spoolck = Cwd::abs_path($spoolck);
unshift @INC, "$here/../lib";
require Spoolck;
require Spoolck::Mail;
require Spoolck::Queue;
require Spoolck::Watch;
my $tmp = tempdir(CLEANUP => 1);

sub run { # wall seconds of one command, its output thrown away
    my @command = @_;
    my $from = time;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', "$tmp/out";
        open STDERR, '>', "$tmp/err";
        exec @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "deep.pl: @command: status $?\n" . Spoolck::read_file("$tmp/err") if $? & 127 || ($? >> 8) & ~7;
    return time - $from;
}

sub median { my @v = sort { $a <=> $b } @_; return $v[ $#v / 2 ] }

my $dir = "$base/deep-$number";
my $made_by = Spoolck::read_file($INC{'Spoolck/Mail.pm'}); # a spool of other mail than today's is made anew
if (!-e "$dir/.complete" || Spoolck::read_file("$dir/.complete") ne $made_by) {
    remove_tree($dir);
    make_path($dir);
    Spoolck::Queue::fill('qmail', "$dir/spool", [ map { Spoolck::Mail::make(1, $_)->{text} } 0 .. $number - 1 ]);
    Spoolck::write_file("$dir/.complete", $made_by);
    system 'sync';
}
my $spool = "$dir/spool";
my @flags = split ' ', qx{pkg-config --cflags --libs gmime-3.0};
system(split(' ', $ENV{CC} || 'cc'), '-D_GNU_SOURCE', '-O2', '-o', "$tmp/bare", "$here/gmime.c", @flags) == 0 or die "deep.pl: cannot compile gmime.c\n";

my @rows = (
    [ 'GMime alone, one process', [ "$tmp/bare", $spool ] ],
    [ 'scan --deep --jobs 1', [ $spoolck, 'scan', '-q', '--deep', '--jobs', 1, "qmail:$spool" ] ],
    [ 'scan --deep --jobs 2', [ $spoolck, 'scan', '-q', '--deep', '--jobs', 2, "qmail:$spool" ] ],
    [ 'scan --jobs 1', [ $spoolck, 'scan', '-q', '--jobs', 1, "qmail:$spool" ] ],
);
my (@spent, @used, $bytes, %role);
for my $round (0 .. $rounds) { # the first warms the cache
    for my $i (0 .. $#rows) {
        my $r = run(@{ $rows[$i][1] });
        ($bytes) = Spoolck::read_file("$tmp/out") =~ /, (\d+) bytes/ if $i == 0;
        next unless $round;
        push @{ $spent[$i] }, $r;
        my $by = Spoolck::Watch::watch(@{ $rows[$i][1] });
        my $sum = 0;
        $sum += $_->{cpu} for values %$by;
        push @{ $used[$i] }, $sum;
        push @{ $role{$_} }, $by->{$_}{cpu} for $i == 1 ? keys %$by : ();
    }
}
printf "\n%-27s median s   least s   processor s   messages/s   MB/s   of GMime alone (wall, least, processor)\n", "$number messages, looked into";
my @least = map { (sort { $a <=> $b } @$_)[0] } @spent;
for my $i (0 .. $#rows) {
    my ($wall, $cpu) = (median(@{ $spent[$i] }), median(@{ $used[$i] }));
    printf "  %-24s %9.3f %9.3f %13.3f %12.0f %6.1f   %9.2f %9.2f %9.2f\n", $rows[$i][0], $wall, $least[$i], $cpu, $number / $wall,
        $bytes / 1e6 / $wall, $wall / median(@{ $spent[0] }), $least[$i] / $least[0], $cpu / (median(@{ $used[0] }) || 1);
}
printf "  %-24s %s\n", '  of one job, processor s', join ', ', map { sprintf '%s %.3f', $_, median(@{ $role{$_} }) } grep { $role{$_} } qw(coordinator reader zygote worker);
printf "  %-34s %7s   %.2f (least)\n", 'scan --deep --jobs 1, of GMime', '<= 1.5', $least[1] / $least[0];
printf "  %-34s %7s   %.2f (least)\n", '... with two jobs, of one', '< 1', $least[2] / $least[1];
