package Lab::Systemd;

# A container whose process 1 is the real systemd of Debian, with one mail server in it: a chroot with an overlay for the server and one
# for the run, namespaces of its own (mounts, processes, loopback network, control groups), the journal, no other tool than util-linux.
#
# The caller has a mount namespace of its own already (Spoolck::private_mounts). A container ends with the object.

use strict;
use warnings;

use FindBin;
use Cwd ();
use POSIX ();
use Time::HiRes qw(time sleep);
use Lab::Util qw(base_dir slurp spew run_ok wait_for carry_program say_step);

# Another release by hand: SPOOLCK_SYSTEMD_SUITE=trixie ./dev live systemd
our $suite = $ENV{SPOOLCK_SYSTEMD_SUITE} || 'bookworm';
my @base = qw(systemd systemd-sysv);

sub run_quiet {
    my ($log, @words) = @_;
    system('sh', '-c', '"$@" >>"$0" 2>&1 </dev/null', $log, @words) == 0 or die "failed: @words\n" . slurp($log);
}

# The chroot, and above it the layer with the server's packages; both are kept between runs.
sub build {
    my ($server, @packages) = @_;
    my $dir = base_dir() . "/systemd-$suite";
    my ($layer, $log) = ("$dir-$server", "$dir-$server.log");
    run_ok('sh', '-c', '"$@" >/dev/null', 'sh', "$FindBin::Bin/chroot.sh", $suite, $dir, @base);
    my $want = join ' ', (stat "$dir/.spoolck-chroot")[9], @packages;
    return ($dir, $layer) if -e "$layer/stamp" && slurp("$layer/stamp") eq $want;
    say_step("packages: @packages");
    run_ok('rm', '-rf', '--one-file-system', $layer);
    run_ok('mkdir', '-p', map { "$layer/$_" } qw(upper work root));
    spew($log, '');
    run_quiet($log, 'unshare', '-m', '-p', '-f', '--kill-child', 'sh', '-euc', <<'SH', $dir, $layer, @packages);
dir=$0 layer=$1; shift
mount -t overlay -o "lowerdir=$dir,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root"
mount -t proc proc "$layer/root/proc"
exec chroot "$layer/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    apt-get -q -y --no-install-recommends install "$@"
SH
    spew("$layer/stamp", $want);
    return ($dir, $layer);
}

# Its first process: mounts what a container has, and becomes systemd.
my $boot = <<'SH';
dir=$1 layer=$2 run=$3 group=$4
echo $$ >"$group/cgroup.procs"
exec unshare -m -p -f -n -u -i -C --kill-child sh -euc '
dir=$1 layer=$2 run=$3
mount -t overlay -o "lowerdir=$layer/upper:$dir,upperdir=$run/upper,workdir=$run/work" overlay "$run/root"
cd "$run/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for d in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do mknod -m 666 "dev/${d% *}" c 1 "${d#* }"; done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
ip link set lo up
hostname mx17
pivot_root . mnt
umount -l /mnt
ulimit -v 4000000
exec env -i container=spoolck-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd </dev/null
' sh "$dir" "$layer" "$run"
SH

sub boot {
    my ($class, $server, @packages) = @_;
    my ($dir, $layer) = build($server, @packages);
    my $self = bless { owner => $$, run => "$layer/run", groups => "$layer/groups" }, $class;
    my $group = $self->{group} = "$self->{groups}/spoolck-$server-$$";
    run_ok('rm', '-rf', '--one-file-system', $self->{run});
    run_ok('mkdir', '-p', $self->{groups}, map { "$self->{run}/$_" } qw(upper work root));
    $self->install;
    run_ok('mount', '-t', 'cgroup2', 'cgroup2', $self->{groups});
    mkdir $group or die "$group: $!";
    $self->{child} = fork // die "fork: $!";
    if (!$self->{child}) {
        POSIX::setsid();
        open STDOUT, '>', "$self->{run}/console";
        open STDERR, '>&', \*STDOUT;
        { no warnings 'exec'; exec 'sh', '-euc', $boot, 'sh', $dir, $layer, $self->{run}, $group }
        POSIX::_exit(127);
    }
    wait_for('systemd', 60, sub { $self->find_init });
    wait_for('the services', 60, sub { ($self->run('systemctl is-system-running'))[1] =~ /^(?:running|degraded)$/ });
    return $self;
}

# unshare's child, once it has become systemd.
sub find_init {
    my ($self) = @_;
    die "the container ends: " . slurp("$self->{run}/console") if waitpid($self->{child}, POSIX::WNOHANG()) == $self->{child};
    my ($pid) = split ' ', eval { slurp("/proc/$self->{child}/task/$self->{child}/children") } // '';
    return unless $pid && eval { slurp("/proc/$pid/cmdline") =~ /systemd\0/ } && -S "/proc/$pid/root/run/systemd/private";
    return $self->{init} = $pid;
}

# spoolck, as a package would install it, with its libraries beside it.
sub install {
    my ($self) = @_;
    my ($upper, $contrib) = ("$self->{run}/upper", "$FindBin::Bin/../../contrib/systemd");
    carry_program($ENV{SPOOLCK}, "$upper/opt/spoolck");
    run_ok('mkdir', '-p', "$upper/usr/sbin", "$upper/etc/systemd/system", "$upper/root");
    spew("$upper/usr/sbin/spoolck", "#!/bin/sh\nLD_LIBRARY_PATH=/opt/spoolck exec /opt/spoolck/spoolck \"\$@\"\n");
    chmod 0755, "$upper/usr/sbin/spoolck";
    run_ok('cp', "$contrib/$_", "$upper/etc/systemd/system/$_") for qw(spoolck.service spoolck.timer);
    spew("$upper/etc/hostname", "mx17\n");
    run_ok('mknod', "$upper/usr/sbin/policy-rc.d", 'c', 0, 0); # away: services may start here
}

# A file of contrib/systemd as the drop-in of a unit.
sub drop_in {
    my ($self, $unit, $name, $text) = @_;
    my $dir = $self->root . "/etc/systemd/system/$unit.d";
    run_ok('mkdir', '-p', $dir);
    spew("$dir/$name.conf", $text);
    $self->run('systemctl daemon-reload');
}

sub root { my ($self) = @_; return "/proc/$self->{init}/root" }

# Run shell text in it: exit status, and what it printed.
sub run {
    my ($self, $text) = @_;
    my @enter = ('timeout', 100, 'nsenter', '-t', $self->{init}, qw(-m -p -n -u -i -C -r -w));
    open my $out, '-|', @enter, qw(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root sh -c), "exec 2>&1 </dev/null; $text"
        or die "nsenter: $!";
    my $printed = do { local $/; <$out> } // '';
    close $out;
    return ($? >> 8, $printed);
}

sub journal {
    my ($self, $words) = @_;
    return ($self->run('journalctl --no-pager -o cat ' . ($words // '')))[1];
}

sub stop {
    my ($self) = @_;
    my $child = delete $self->{child} or return;
    kill 'KILL', $self->{init} if $self->{init};
    kill 'KILL', $child;
    waitpid $child, 0;
    my $end = time + 10;
    while (time < $end && system('sh', '-c', 'find "$0" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null; rmdir "$0" 2>/dev/null', $self->{group}) != 0) {
        sleep 0.1;
    }
    system 'umount', $self->{groups};
    system 'rm', '-rf', '--one-file-system', $self->{run};
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    $self->stop if $self->{owner} == $$;
}

1;
