#!/usr/bin/perl
#
# kill.t - the quarantine under a hail of crashes and errors
#
# For each scenario (move, restore, recover; store beside the spool or on
# another file system; old kernels without openat2 and RENAME_NOREPLACE) the
# driver runs once under strace, which tells its system calls. Then it runs again
# for each of them, and at that call
#
#   KILL    the process is killed on entry, so that the call does not happen. The
#           state after call n is the state before the next call that changes
#           anything, or before exit_group: each is among the states.
#   ERROR   the call fails once with ENOSPC, EIO, EINTR, EMFILE ...
#   ERROR+  the call and every later one of its kind fail
#
# After each, `driver check` recovers in a fresh process and demands that the message is
# exactly in the spool or exactly in the quarantine, bytes and metadata equal,
# no leftovers; and that a failure which did not name recover had left no trace.
#
# SPOOLCK_CRASH_ONLY=RE: only scenarios of such names. SPOOLCK_CRASH_FULL=1: at every call on files also the
# errors that no file system gives there (three times as many states).

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(remove_tree make_path);
use File::Temp qw(tempdir);
use POSIX ();

my $driver = $ENV{SPOOLCK_CRASH_DRIVER} || 't/crash/driver';

sub skip_all {
    if (($ENV{CI} // '') eq 'true') { print "1..1\nnot ok 1 - $_[0]\n"; exit 1 }
    print "1..0 # SKIP $_[0]\n";
    exit 0;
}

skip_all("no $driver") unless -x $driver;
skip_all('no strace') if system('strace -e trace=none true >/dev/null 2>&1') != 0;

# Stops at the calls that matter only, where strace and the kernel can. (Not for
# KILL: with it strace 6.1 loses the signal.)
my @fast = system('strace -f --seccomp-bpf -e trace=fsync true >/dev/null 2>&1') == 0
    ? ('-f', '--seccomp-bpf') : ();

# As root: file systems of our own, which vanish with the namespace.
if ($> == 0 && !$ENV{SPOOLCK_CRASH_NS} && system('unshare -m true 2>/dev/null') == 0) {
    $ENV{SPOOLCK_CRASH_NS} = 1;
    exec 'unshare', '-m', '--propagation', 'private', $^X, $0, @ARGV;
}
$driver = abs_path($driver);
my $top = tempdir('spoolck-crash-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $owner = $$;
my $two_fs = 0;
mkdir "$top/$_" or die "$top/$_: $!" for qw(near far);
if ($ENV{SPOOLCK_CRASH_NS} && $> == 0) {
    $two_fs = system('mount', '-t', 'tmpfs', 'none', "$top/near") == 0
        && system('mount', '-t', 'tmpfs', 'none', "$top/far") == 0;
}
END {
    if ($top && $owner == $$ && $ENV{SPOOLCK_CRASH_NS}) {
        my $status = $?;
        system("umount $top/near $top/far 2>/dev/null");
        $? = $status;
    }
}

# Calls that change something, or whose failure must be survived.
my @kill_at = qw(renameat2 renameat linkat unlinkat mkdirat write fsync flock openat openat2
    pwrite64 ftruncate fchown fchmod fsetxattr utimensat exit_group);
my %errors = (
    renameat2 => [qw(EIO ENOSPC EACCES EINTR)],
    renameat  => [qw(EIO ENOSPC)],
    linkat    => [qw(EIO ENOSPC EMLINK)],
    unlinkat  => [qw(EIO EACCES)],
    mkdirat   => [qw(EIO ENOSPC EROFS)],
    write     => [qw(EIO ENOSPC EINTR)],
    fsync     => [qw(EIO ENOSPC EINTR)],
    openat    => [qw(EMFILE EIO ENOSPC ENOMEM)],
    openat2   => [qw(EMFILE EIO)],
    flock     => [qw(ENOLCK EINTR)],
    newfstatat => [qw(EIO)],
    fstat     => [qw(EIO)],
    pread64   => [qw(EIO EINTR)],
    getdents64 => [qw(EIO)],
    pwrite64  => [qw(EIO ENOSPC EINTR)],
    ftruncate => [qw(EIO EFBIG)],
    fchown    => [qw(EPERM)],
    fchmod    => [qw(EPERM)],
    fsetxattr => [qw(EPERM ENOSPC EOPNOTSUPP)],
    fgetxattr => [qw(E2BIG)],
    flistxattr => [qw(EIO)],
    fstatfs   => [qw(EIO)],
    utimensat => [qw(EPERM)],
);
if ($ENV{SPOOLCK_CRASH_FULL}) {
    for my $call (keys %errors, qw(close read lseek fcntl readlinkat)) {
        my %kind = map { $_ => 1 } @{ $errors{$call} // [] }, qw(EIO ENOSPC EACCES EINTR EMFILE ENOMEM);
        $errors{$call} = [ sort keys %kind ];
    }
}

# name, state, verb, lodge in the spool?, injections that always apply, and what else prepares it:
# another verb, killed
my @scenarios;
for my $far (0, 1) {
    next if $far && !$two_fs;
    my $where = $far ? 'lodge in the spool' : 'same file system';
    push @scenarios,
        ["move, $where", 'plain', 'move', $far, []],
        ["restore, $where", 'moved', 'restore', $far, []],
        ["recover a half move, $where", 'half-move', 'recover', $far, []],
        ["recover a half restore, $where", 'half-restore', 'recover', $far, []],
        ["recover by putting back, $where", 'changed', 'recover', $far, []],
        ["recover interrupted twice, $where", 'half-move', 'recover', $far, [], ['recover', 'renameat2', 2]],
        ["putting back interrupted twice, $where", 'changed', 'recover', $far, [], ['recover', 'unlinkat', 1]];
}
push @scenarios,
    ['purge, same file system', 'moved', 'purge', 0, []],
    ['recover a half purge, same file system', 'moved', 'recover', 0, [], ['purge', 'unlinkat', 2]];
push @scenarios,
    ['purge, lodge in the spool', 'moved', 'purge', 1, []],
    ['drain', 'moved', 'drain', 1, []],
    ['restore what was drained', 'drained', 'restore', 1, []],
    ['recover a half drain', 'moved', 'recover', 1, [], ['drain', 'pwrite64', 2]],
    ['recover a drain, lodge half empty', 'moved', 'recover', 1, [], ['drain', 'unlinkat', 2]],
    ['recover a half way back', 'drained', 'recover', 1, [], ['restore', 'pwrite64', 2]],
    ['recover a way back, store half empty', 'drained', 'recover', 1, [], ['restore', 'unlinkat', 2]]
    if $two_fs;
my @old = ('--inject=renameat2:error=EINVAL', '--inject=openat2:error=ENOSYS');
push @scenarios,
    ['move, no NOREPLACE and no openat2', 'plain', 'move', 0, \@old],
    ['restore, no NOREPLACE and no openat2', 'moved', 'restore', 0, \@old],
    ['putting back, no NOREPLACE and no openat2', 'changed', 'recover', 0, \@old];

sub dirs {
    my ($n, $far) = @_;
    return ($far ? "$top/far/$n/spool" : "$top/near/$n/spool", "$top/near/$n/store",
        "$top/near/$n/picture");
}

sub quiet {    # run, output to a file; wait status
    my ($log, @command) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>>', $log or POSIX::_exit(99);
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(99);
    }
    waitpid $pid, 0;
    return $?;
}

sub slurp { open my $f, '<', $_[0] or return ''; local $/; return scalar <$f> }

sub fresh {
    my ($n, $s) = @_;
    # where copies are made the inode is another
    delete $ENV{SPOOLCK_CRASH_COPIED};
    $ENV{SPOOLCK_CRASH_COPIED} = 1 if "@$s[0, 1]" =~ /drain/;
    my ($spool, $store, $picture) = dirs($n, $s->[3]);
    make_path("$top/near/$n", "$top/far/$n");
    my $status = quiet("$top/near/$n/log", $driver, 'setup', $s->[1], $spool, $store, $picture);
    return 'VIOLATION setup: ' . slurp("$top/near/$n/log") if $status;
    return '' unless $s->[5];
    my ($verb, $call, $when) = @{ $s->[5] };
    $status = quiet("$top/near/$n/log", 'strace', '-o', '/dev/null', '-e', "trace=$call",
        "--inject=$call:signal=KILL:when=$when", $driver, $verb, $spool, $store, $picture);
    return ($status & 127) == 9 ? '' : "VIOLATION setup: $verb was not killed";
}

# How often is each call made before the action, and until its end?
sub count_calls {
    my ($n, $s) = @_;
    my $bad = fresh($n, $s);
    die $bad if $bad;
    my $trace = "$top/near/$n/trace";
    quiet("$top/near/$n/log", 'strace', '-o', $trace, @{ $s->[4] }, '-e', 'trace=all', $driver,
        $s->[2], dirs($n, $s->[3]));
    my (%before, %until, $yields);
    $yields = 0;
    open my $f, '<', $trace or die "$trace: $!";
    while (<$f>) {
        my ($call) = /^(\w+)\(/ or next;
        $yields++ if $call eq 'sched_yield';
        $before{$call}++ if $yields == 0;
        $until{$call}++ if $yields < 2 || $call eq 'exit_group';
    }
    die 'no marks in the trace: ' . slurp("$top/near/$n/log") if $yields != 2;
    remove_tree("$top/near/$n", "$top/far/$n");
    return (\%before, \%until);
}

sub one_state {    # '' or what is wrong
    my ($n, $s, $inject) = @_;
    my $bad = fresh($n, $s);
    my $log = "$top/near/$n/log";
    my ($call) = $inject =~ /=(\w+)/;
    if (!$bad) {
        my @inject = ($inject, grep { !/=$call:/ } @{ $s->[4] });
        my $calls = join ',', map { /=(\w+):/ } @inject;
        my $status = quiet($log, 'strace', ($inject =~ /KILL/ ? () : @fast), '-o', '/dev/null', '-e', "trace=$calls", @inject,
            $driver, $s->[2], dirs($n, $s->[3]));
        $bad = "status $status, not killed" if $inject =~ /KILL/ && ($status & 127) != 9;
        $bad = "status $status" if $inject !~ /KILL/ && $status < 32 << 8;
        $bad = 'not as it must be'
            if !$bad && quiet($log, $driver, 'check', dirs($n, $s->[3]), ($s->[5] && $s->[5][0] eq 'purge' ? 'recover-purge' : $s->[2]), $status >> 8) != 0;
        $bad .= ': ' . slurp($log) if $bad;
    }
    remove_tree("$top/near/$n", "$top/far/$n");
    return $bad;
}

@scenarios = grep { $_->[0] =~ /$ENV{SPOOLCK_CRASH_ONLY}/ } @scenarios if $ENV{SPOOLCK_CRASH_ONLY};

# [scenario, kind, injection]
my @todo;
my $serial = 0;
for my $i (0 .. $#scenarios) {
    my $s = $scenarios[$i];
    my ($before, $until) = count_calls($serial++, $s);
    my %always = map { /=(\w+):/ ? ($1 => 1) : () } @{ $s->[4] };
    for my $call (sort keys %$until) {
        next if $always{$call};
        for my $n (($before->{$call} // 0) + 1 .. $until->{$call}) {
            push @todo, [$i, 'KILL', "--inject=$call:signal=KILL:when=$n"]
                if grep { $_ eq $call } @kill_at;
            # copies make many calls: there one kind of error for each, unless all are asked for
            my @kinds = @{ $errors{$call} // [] };
            $#kinds = 0 if @kinds && !$ENV{SPOOLCK_CRASH_FULL} && "@$s[0, 1]" =~ /drain/
                && $call !~ /^(pwrite64|fsetxattr|renameat2)$/;
            push @todo, map { [$i, 'ERROR', "--inject=$call:error=$_:when=$n"] } @kinds;
            push @todo, [$i, 'ERROR+', "--inject=$call:error=$errors{$call}[0]:when=$n+"]
                if $errors{$call};
        }
    }
}

# Two states at a time per processor; each child takes every k-th.
my $workers = 2 * (`nproc 2>/dev/null` || 1);
my @pids;
for my $w (0 .. $workers - 1) {
    my $pid = fork // die "fork: $!";
    if ($pid) { push @pids, $pid; next }
    open my $out, '>', "$top/result.$w" or POSIX::_exit(1);
    for (my $i = $w; $i < @todo; $i += $workers) {
        my ($s, $kind, $inject) = @{ $todo[$i] };
        my $bad = one_state("s$i", $scenarios[$s], $inject);
        $bad =~ s/\n/\n#   /g;
        print $out "$s\t$kind\t", ($bad ? "BAD $inject\n#   $bad" : 'good'), "\n";
    }
    close $out;
    POSIX::_exit(0);
}
waitpid $_, 0 for @pids;

my (%states, %bad, %text);
for my $w (0 .. $workers - 1) {
    for (split /\n/, slurp("$top/result.$w")) {
        if (/^(\d+)\t(\S+)\t(good|BAD.*)$/) {
            $states{$1}{$2}++;
            next if $3 eq 'good';
            $bad{$1}{$2}++;
            $text{$1}{$2} .= "# $3\n";
            $w = "$1\t$2";
        }
        elsif (/^#/ && $w =~ /(\d+)\t(\S+)/) { $text{$1}{$2} .= "$_\n" }
    }
}
my ($test, $total, $wrong) = (0, 0, 0);
for my $i (0 .. $#scenarios) {
    for my $kind (sort keys %{ $states{$i} }) {
        my $n = $states{$i}{$kind};
        my $b = $bad{$i}{$kind} // 0;
        $total += $n;
        $wrong += $b;
        printf "%s %d - %s: %s, %d states\n", $b ? 'not ok' : 'ok', ++$test, $scenarios[$i][0],
            $kind, $n;
        print substr($text{$i}{$kind}, 0, 4000), "\n" if $b;
    }
}
printf "%s %d - every state was examined\n", $total == @todo ? 'ok' : 'not ok', ++$test;
print "1..$test\n# $total states, $wrong violations\n";
exit($wrong || $total != @todo ? 1 : 0);
