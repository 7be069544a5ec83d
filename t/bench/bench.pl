#!/usr/bin/perl
# bench.pl [--messages N] [--rounds R] [--spoolck PATH] [--dir DIR] [--templates DIR]... [--large]
#
# Measures spoolck scan against a bare program that walks and reads the same files (bare.c), both
# on a warm cache, alternating, medians of R rounds (7): wall time, processor time of all processes,
# memory by process, system calls, the price of check() alone, postcat for comparison, and the time per
# message from 1,000 messages up (--large: to 200,000).  Then the quarantine with as many entries (store.pl), and deep scans (deep.pl).  Prints a table and the targets beside what
# was measured; judges nothing: a time depends on the machine, so this is no test.
#
# Spools are made by generate.pl below DIR (default ${SPOOLCK_BENCH:-/var/tmp/spoolck-bench}) and
# kept for the next run.  Run as root on an idle machine.  Optional: strace, perf, postcat
# (--postcat PATH, from the PATH, or from the live lab's chroot).

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname basename);
use File::Copy ();
use File::Path qw(remove_tree make_path);
use File::Temp qw(tempdir);
use Getopt::Long;
use Time::HiRes qw(time);
use lib Cwd::abs_path(dirname(__FILE__) . '/../lib');
use Spoolck::Watch qw(start watch roles proc_file);

my $here = dirname(Cwd::abs_path(__FILE__));
my $source = Cwd::abs_path("$here/../..");
my ($number, $rounds, $spoolck, $large, @templates, $postcat) = (100_000, 7, "$source/spoolck", 0);
my $base = $ENV{SPOOLCK_BENCH} || '/var/tmp/spoolck-bench';
GetOptions('messages=i' => \$number, 'rounds=i' => \$rounds, 'spoolck=s' => \$spoolck, 'dir=s' => \$base, 'large' => \$large,
           'templates=s' => \@templates, 'postcat=s' => \$postcat) && !@ARGV && $number > 0 && $rounds > 0
    or die "usage: bench.pl [--messages N] [--rounds R] [--spoolck PATH] [--dir DIR] [--templates DIR]... [--postcat PATH] [--large]\n";
-x $spoolck or die "bench.pl: no program at $spoolck\n";
$spoolck = Cwd::abs_path($spoolck);
$| = 1;
my $tmp = tempdir(CLEANUP => 1);

# --- Tools --------------------------------------------------------------------

sub median { my @v = sort { $a <=> $b } @_; return @v ? $v[$#v / 2] : undef }
sub commas { my $n = reverse sprintf '%.0f', shift; $n =~ s/(\d{3})(?=\d)/$1,/g; return scalar reverse $n }
sub in_path { my ($name) = @_; return grep { -x } map { "$_/$name" } split /:/, $ENV{PATH} }

sub title { print "\n$_[0]\n" }
sub row   { printf "  %-34s %s\n", @_ }

sub build {
    my ($out, @args) = @_;
    my @cc = (split(' ', $ENV{CC} || 'cc'), qw(-std=gnu11 -D_GNU_SOURCE -O2 -fstack-protector-strong -fPIE -pie));
    system(@cc, '-o', "$tmp/$out", @args) == 0 or die "bench.pl: cannot compile $out\n";
    return "$tmp/$out";
}

sub spool {
    my ($n) = @_;
    my $dir = "$base/$n";
    return $dir if -e "$dir/.complete";
    remove_tree($dir);
    make_path($base);
    system($^X, "$here/generate.pl", '--messages', $n, (map { ('--templates', $_) } @templates), $dir) == 0
        or die "bench.pl: no spool\n";
    system 'sync';
    open my $f, '>', "$dir/.complete" or die "$dir: $!\n";
    return $dir;
}

sub wall {
    my @command = @_;
    my $from = time;
    waitpid start(@command), 0;
    my $spent = time - $from;
    my $exit = $? >> 8;
    die "bench.pl: @command: exit status $?\n" if $? & 127 || $exit == 127 || $exit & 8;
    return $spent;
}

# [median, least] wall seconds of each of several commands, taken in turns.
sub compare {
    my ($n, @commands) = @_;
    my @times;
    wall(@$_) for @commands; # warms the cache
    for (1 .. $n) { push @{ $times[$_] }, wall(@{ $commands[$_] }) for 0 .. $#commands }
    return map { [ median(@$_), (sort { $a <=> $b } @$_)[0] ] } @times;
}

# --- System calls of a scan ------------------------------------------------------

# System calls by role: { role => { call => count } }.
sub trace {
    my @command = @_;
    my $log = "$tmp/trace";
    wall('strace', '-f', '-qq', '-o', $log, @command);
    open my $f, '<', $log or die "$log: $!\n";
    my ($main, %parent, %calls);
    while (<$f>) {
        my ($pid, $rest) = /\A(\d+)\s+(.*)/ or next;
        $main //= $pid;
        $calls{$pid}{$1}++ if $rest =~ /\A(\w+)\(/;
        if ($rest =~ /\b(?:clone3?|v?fork)(?:\(| resumed).*= (\d+)\z/) {
            $parent{$1} = $pid;
        }
    }
    my $role = roles($main, { $main => 0, %parent });
    my %by;
    for my $pid (keys %calls) {
        my $to = $by{ $role->{$pid} // 'other' } //= {};
        $to->{$_} += $calls{$pid}{$_} for keys %{ $calls{$pid} };
    }
    return \%by;
}

sub total { my ($calls) = @_; my $n = 0; $n += $_ for values %{ $calls || {} }; return $n }

# --- postcat ---------------------------------------------------------------------

# Seconds per file, on a sample of the spool; undef when there is no postcat.
sub postcat_cost {
    my ($dir, $count) = @_;
    my $chroot = ($ENV{SPOOLCK_LIVE} || '/var/tmp/spoolck-live') . '/postfix-chroot';
    my ($program) = $postcat // in_path('postcat');
    my $root = '';
    if (!$program && $> == 0 && -x "$chroot/usr/sbin/postcat") { ($root, $program) = ($chroot, '/usr/sbin/postcat') }
    return unless $program;
    my @files = (glob "$dir/deferred/*/*")[0 .. $count - 1];
    my $sample = tempdir('spoolck-bench-XXXXXX', DIR => "$root/tmp", CLEANUP => 1);
    my @copies = map { my $to = "$sample/" . basename($_); File::Copy::copy($_, $to) or die "$to: $!\n"; chmod 0700, $to; substr $to, length $root } grep { defined } @files;
    open my $config, '>', "$sample/main.cf" or die "$sample/main.cf: $!\n";
    close $config;
    my $run = sub {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            open STDERR, '>', '/dev/null';
            if ($root) { chroot $root or POSIX::_exit(126); chdir '/' }
            exec $program, '-c', substr($sample, length $root), $_[0] or POSIX::_exit(127);
        }
        waitpid $pid, 0;
        return $? == 0;
    };
    $run->($copies[0]) or return;
    my $from = time;
    $run->($_) for @copies;
    return (time - $from) / @copies;
}

# --- The run -----------------------------------------------------------------------

require POSIX;
my $bare = build('bare', "$here/bare.c");
my ($library) = grep { -e } dirname($spoolck) . '/libparsers.a'; # as built beside the program
my @parsers = $library // glob "$source/parsers/*.c";
my $check = build('check_cost', "-I$source/parsers", "$here/check_cost.c", @parsers);
my $dir = spool($number);
my @scan = ($spoolck, 'scan', '-q');
my ($cores) = scalar(() = proc_file('/proc/cpuinfo') =~ /^processor\s*:/mg) || 1;

my @load = split ' ', proc_file('/proc/loadavg');
printf "%s messages, %d cores, load %s, medians of %d rounds, warm cache\n", commas($number), $cores, $load[0], $rounds;
print "NOTE: the machine is busy. Wall times and their ratios mean little; processor times still do.\n" if $load[0] > $cores / 2;

my @wall = compare($rounds, [ $bare, $dir ], [ @scan, '--jobs', 1, $dir ], [ @scan, $dir ]);
my ($t_bare, $t_all) = @wall[0, 2];
my $by = watch(@scan, $dir);
my $bare_cpu = median(map { my @before = times; wall($bare, $dir); my @after = times; $after[2] + $after[3] - $before[2] - $before[3] } 1 .. $rounds);
my $scan_cpu = 0;
$scan_cpu += $_->{cpu} for values %$by;

title('Wall time' . ' ' x 23 . 'median s   least s   us/message   of bare   least of least');
my @what = ('bare reader, one process', 'spoolck scan --jobs 1', 'spoolck scan');
printf "  %-29s %9.3f %9.3f %12.2f %9.2f %12.2f\n", $what[$_], @{ $wall[$_] }, $wall[$_][0] / $number * 1e6,
    $wall[$_][0] / $t_bare->[0], $wall[$_][1] / $t_bare->[1] for 0 .. 2;
if (defined(my $each = postcat_cost($dir, 200))) {
    printf "  %-29s %9.1f %22.2f %9.0f\n", 'postcat, a process per file', $each * $number, $each * 1e6, $each * $number / $t_bare->[0];
} else {
    row('postcat', 'not installed');
}

title('Processor time (user + system)' . ' ' x 5 . 'all s   us/message   of bare');
printf "  %-29s %9.3f   %10.2f   %7.2f\n", @$_, $_->[1] / $number * 1e6, $_->[1] / $bare_cpu for
    [ 'bare reader', $bare_cpu ], [ 'spoolck scan', $scan_cpu ],
    map { [ "  $_ ($by->{$_}{number})", $by->{$_}{cpu} ] } grep { $by->{$_} } qw(coordinator reader zygote worker);
my @roles = grep { $by->{$_} } qw(coordinator reader zygote worker);

my %cost = map { split /=/ } split ' ', qx{'$check' '$dir' 9 20000};
die "bench.pl: check_cost failed\n" unless $cost{messages};
title('check() alone' . ' ' x 23 . 'ns/message  ns/record   of the bare reader');
printf "  %-34s %10.0f   %8.1f   %7.2f\n", @$_ for
    [ 'as a worker meets it', $cost{warm}, $cost{warm_record}, $cost{warm} / 1e9 * $number / $bare_cpu ],
    [ 'messages out of the caches', $cost{cold}, $cost{cold_record}, $cost{cold} / 1e9 * $number / $bare_cpu ];
row('per message on average', sprintf '%d bytes, %.0f records', $cost{bytes}, $cost{records});

title('Memory' . ' ' x 23 . 'processes  peak KiB   of it shared lane memory');
printf "  %-27s %9d  %8d   %d\n", $_, @{ $by->{$_} }{qw(number peak shared)} for @roles;
my $resident = ($by->{coordinator}{sum} // 0) + ($by->{reader}{sum} // 0);

my $small = spool(5000);
my %per;
if (in_path('strace')) {
    my ($by_role, $bare_calls) = (trace(@scan, $small), trace($bare, $small));
    title('System calls per message (5,000 messages)');
    my $all = 0;
    for my $role ('coordinator', 'reader', 'zygote', 'worker') {
        my $calls = $by_role->{$role} or next;
        my @most = (sort { $calls->{$b} <=> $calls->{$a} || $a cmp $b } keys %$calls)[0 .. 4];
        $all += total($calls);
        row($role, sprintf '%6.2f   %s', total($calls) / 5000, join ', ', map { sprintf '%s %.2f', $_, $calls->{$_} / 5000 } grep { defined } @most);
    }
    row('spoolck scan', sprintf '%6.2f', $all / 5000);
    row('bare reader', sprintf '%6.2f', total($bare_calls->{coordinator}) / 5000);
} else {
    title('System calls: no strace here');
}

title('Messages' . ' ' x 16 . 'scan median s   least s   us/message   bare us/message   of bare');
for my $n (1000, 10_000, 100_000, $large ? 200_000 : ()) {
    my $at = spool($n);
    my ($b, $s) = $n == $number ? ($t_bare, $t_all) : compare($rounds * ($n < 50_000 ? 3 : 1), [ $bare, $at ], [ @scan, $at ]);
    $per{$n} = $s->[1];
    printf "  %-21s %15.3f %9.3f %12.2f %17.2f %9.2f\n", commas($n), @$s, $s->[0] / $n * 1e6, $b->[0] / $n * 1e6, $s->[0] / $b->[0];
}
my ($last) = sort { $b <=> $a } keys %per;
my $each = ($per{$last} - $per{1000}) / ($last - 1000);
row('start-up, then each message', sprintf '%.1f ms, %.2f us (from the least times)', ($per{1000} - 1000 * $each) * 1e3, $each * 1e6);

title('Targets' . ' ' x 28 . 'target   measured');
row("scan, all $cores cores, of bare", sprintf '%7s   %.2f (median), %.2f (least), %.2f (processor time / cores)', '<= 0.75',
    $t_all->[0] / $t_bare->[0], $t_all->[1] / $t_bare->[1], $scan_cpu / $bare_cpu / $cores);
row('check(), of bare', sprintf '%7s   %.2f', '<= 0.15', $cost{warm} / 1e9 * $number / $bare_cpu);
row('coordinator and readers, MiB', sprintf '%7s   %.1f', '<= 64', $resident / 1024);
$| = 1;
system($^X, "$here/store.pl", '--entries', $number, '--spoolck', $spoolck, '--dir', $base) == 0
    or die "bench.pl: no figures of the quarantine\n";
system($^X, "$here/deep.pl", '--spoolck', $spoolck, '--dir', $base) == 0
    or die "bench.pl: no figures of deep scans\n";
