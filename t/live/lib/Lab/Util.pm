package Lab::Util;

# Small things every live lab needs: files, tables, namespaces, child processes.

use strict;
use warnings;
use Exporter 'import';
use Socket;
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(wait_children base_dir say_step slurp spew tsv_write tsv_read run_ok in_namespace wait_namespaces
    loopback_up wait_for stop_children spawn rng carry_program stalled);

# Where chroots and results live unless the caller says otherwise.
sub base_dir { return $ENV{SPOOLCK_LIVE} || '/var/tmp/spoolck-live' }

my $t0 = time;

sub say_step {
    printf STDERR "# [%6.1f s] %s\n", time - $t0, join '', @_;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "open $path: $!";
    local $/;
    my $data = <$fh>;
    return defined $data ? $data : '';
}

# Through a temporary name, so that a reader never sees half a file.
sub spew {
    my ($path, $data) = @_;
    open my $fh, '>:raw', "$path.tmp" or die "create $path.tmp: $!";
    print {$fh} $data or die "write $path.tmp: $!";
    close $fh or die "write $path.tmp: $!";
    rename "$path.tmp", $path or die "rename $path: $!";
}

# Tables: first line names the columns; tab, newline, backslash and other control bytes or
# non-ASCII bytes in a field become \xNN.
sub tsv_field {
    my ($s) = @_;
    $s = '' unless defined $s;
    $s =~ s/([^ -\[\]-~])/sprintf '\\x%02x', ord $1/ge;
    return $s;
}

sub tsv_write {
    my ($path, $columns, $rows) = @_;
    my $out = join("\t", @$columns) . "\n";
    $out .= join("\t", map { tsv_field($_) } @{$_}{@$columns}) . "\n" for @$rows;
    spew($path, $out);
}

sub tsv_read {
    my ($path) = @_;
    my ($head, @lines) = split /\n/, slurp($path);
    my @columns = split /\t/, $head;
    my @rows;
    for my $line (@lines) {
        my %row;
        @row{@columns} = map { my $s = $_; $s =~ s/\\x([0-9a-f]{2})/chr hex $1/ge; $s } split /\t/, $line, -1;
        push @rows, \%row;
    }
    return \@rows;
}

sub run_ok {
    my @cmd = @_;
    system(@cmd) == 0 or die "failed ($?): @cmd\n";
}

# Starts this program again with other arguments in namespaces of its own: mounts, pids, network
# (loopback only), host name.  Everything
# started there ends with it.  Answers the process id.
sub in_namespace {
    my @argv = @_;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    # Some damaged files make Postfix ask for 2 GiB of memory and fill them, in every process that
    # reads them: without a limit that is enough to take the whole machine down.
    my $limit = 'ulimit -v 700000 && exec "$@"';
    if (!$pid) { exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', $limit, 'sh', $^X, @argv or die "unshare: $!" }
    return $pid;
}

# Waits for programs started by in_namespace; dies when one failed.  unshare itself ignores TERM
# and INT, so these are passed on as KILL, which takes the whole namespace along.
sub wait_namespaces {
    my %name = @_;
    local @SIG{qw(INT TERM)} = (sub { kill 'KILL', keys %name; exit 32 }) x 2;
    my @failed;
    while (keys %name) {
        my $pid = wait;
        last if $pid < 0;
        my $what = delete $name{$pid};
        push @failed, $what if defined $what && $?;
    }
    die "failed: @failed\n" if @failed;
}

# Calls a function of a lab, inside() for example, in a process in which, and below which, every unlink takes two
# seconds after the name is gone: a server on a host that is loaded enough, made to measure. The pid.
sub stalled {
    my ($function, @words) = @_;
    my ($package) = $function =~ /(.*)::/;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        require POSIX;
        exec 'strace', '-f', '--seccomp-bpf', '-qqq', '-o', '/dev/null', '-e', 'trace=unlink,unlinkat', '-e', 'inject=unlink,unlinkat:delay_exit=2000000',
            $^X, (map { "-I$_" } @INC), "-M$package", '-e', "exit !$function(\@ARGV)", @words or POSIX::_exit(127);
    }
    return $pid;
}

# Copies a program and its libraries, but for those of the C library, to a directory, where another system
# can run it with LD_LIBRARY_PATH.
sub carry_program {
    my ($program, $dir) = @_;
    run_ok('mkdir', '-p', $dir);
    my @libraries = grep { !m{/(?:libc|libm|ld-linux[^/]*)\.so} } `ldd '$program'` =~ m{(/\S+)}g;
    run_ok('cp', '-L', $program, @libraries, $dir);
}

sub loopback_up {
    socket my $s, PF_INET, SOCK_DGRAM, 0 or die "socket: $!";
    my $ifreq = pack 'a16 s x22', 'lo', 0;
    ioctl $s, 0x8913, $ifreq or die "SIOCGIFFLAGS: $!";
    my (undef, $flags) = unpack 'a16 s', $ifreq;
    $ifreq = pack 'a16 s x22', 'lo', $flags | 1;
    ioctl $s, 0x8914, $ifreq or die "SIOCSIFFLAGS: $!";
}

# Deadlines end what hangs. They are given for an idle machine, and a busy one must not reach them.
our $slow = 4;

# Polls until the code answers true; dies after $seconds, times $slow.
sub wait_for {
    my ($what, $seconds, $code) = @_;
    my $end = time + $slow * $seconds;
    while (time < $end) {
        my $r = $code->();
        return $r if $r;
        sleep 0.02;
    }
    die "timed out after ${\($slow * $seconds)} s: $what\n";
}

my @children;

# Until all children have ended by themselves.
sub wait_children {
    waitpid $_, 0 for @children;
    @children = ();
}

sub spawn {
    my ($code) = @_;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        @children = ();
        @SIG{qw(TERM ALRM INT)} = ("DEFAULT") x 3;
        eval { $code->(); 1 } or print STDERR $@;
        # No END blocks or destructors of the parent.
        require POSIX;
        POSIX::_exit(0);
    }
    push @children, $pid;
    return $pid;
}

sub stop_children {
    kill 'TERM', $_ for @children;
    waitpid $_, 0 for @children;
    @children = ();
}

# A generator of its own, so that no other use of rand() can shift the sequence.
sub rng {
    my ($seed) = @_;
    my $state = ($seed * 2654435761 + 12345) & 0xffffffff || 1;
    return sub {
        my ($n) = @_;
        $state ^= ($state << 13) & 0xffffffff;
        $state ^= $state >> 17;
        $state ^= ($state << 5) & 0xffffffff;
        return $state % $n;
    };
}

1;
