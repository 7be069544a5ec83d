package Lab::Postfix;

# One Postfix of a lab: a chroot shared by all, and per lab ("lane") its own spool, data, log and
# configuration directories, mounted over those of the chroot in a mount namespace.  Everything
# here runs inside the namespaces (see Lab::Util::in_namespace).

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use IO::Socket::UNIX;
use POSIX qw(WNOHANG);
use Lab::Util qw(slurp spew run_ok loopback_up wait_for base_dir);

my $here = dirname(Cwd::abs_path(__FILE__));

# Debian's release: bookworm has Postfix 3.7, trixie 3.10. What belongs to another one than the
# first has its name in it.
sub suite { return $ENV{SPOOLCK_LIVE_SUITE} || 'bookworm' }
sub prefix { return base_dir() . '/postfix' . (suite() eq 'bookworm' ? '' : '-' . suite()) }

sub chroot_dir { return prefix() . '-chroot' }

# The chroot, built when it is not there yet.
sub build_chroot {
    local $ENV{SPOOLCK_DEBCONF} = 'postfix postfix/main_mailer_type select No configuration';
    run_ok("$here/../../chroot.sh", suite(), chroot_dir(), 'postfix');
}

sub new {
    my ($class, $dir) = @_;
    # Mounts, host name, process 1: never on the machine itself.
    $$ == 1 or die "a lab must run in namespaces of its own (postfix-lab.pl does that)\n";
    my $root = chroot_dir();
    my $self = bless { dir => $dir, root => $root, log_at => 0 }, $class;
    run_ok('mount', '--make-rprivate', '/');
    loopback_up();
    run_ok('hostname', 'lab.test');
    my %over = (spool => '/var/spool/postfix', data => '/var/lib/postfix', log => '/var/log', etc => '/etc/postfix');
    run_ok('rm', '-rf', '--one-file-system', $dir);
    run_ok('mkdir', '-p', $dir);
    run_ok('cp', '-a', "$root$over{$_}", "$dir/$_") for sort keys %over;
    run_ok('mkdir', '-p', "$dir/stage");
    run_ok('mount', '--bind', "$dir/$_", "$root$over{$_}") for sort keys %over;
    # Mailboxes, and the locks of those that an earlier lab left.
    run_ok('mkdir', '-p', "$root/var/mail");
    run_ok('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'mail', "$root/var/mail");
    run_ok('mount', '-t', 'proc', 'proc', '/proc');
    run_ok('mount', '-t', 'proc', 'proc', "$root/proc");
    # postlogd logs through its own socket: with the usual ten datagrams in its queue it can wait for itself for ever.
    run_ok('sh', '-c', 'echo 4096 >/proc/sys/net/unix/max_dgram_qlen');
    my ($passwd, $group) = (slurp("$root/etc/passwd"), slurp("$root/etc/group"));
    ($self->{uid}) = $passwd =~ /^postfix:[^:]*:(\d+):/m;
    ($self->{postdrop}) = $group =~ /^postdrop:[^:]*:(\d+):/m;
    run_ok('chown', '-R', $self->{uid}, "$dir/data");
    spew("$dir/log/postfix.log", '');
    chmod 0666, "$dir/log/postfix.log";    # postsuper writes to it as postfix when postlogd is down
    return $self;
}

sub spool { return "$_[0]{dir}/spool" }

sub configure {
    my ($self, $main, $master) = @_;
    my $from = "$here/../../postfix";
    spew("$self->{dir}/etc/main.cf",   slurp("$from/main.cf") . $main);
    spew("$self->{dir}/etc/master.cf", slurp("$from/master.cf") . $master);
}

# A command inside the chroot; answers (status, output).
sub chroot_run {
    my ($self, $input, @cmd) = @_;
    my $in = "$self->{dir}/stage/stdin";
    spew($in, $input);
    my $quoted = join ' ', map { my $s = $_; $s =~ s/'/'\\''/g; "'$s'" } @cmd;
    my $out = `exec timeout -k 2 90 env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot '$self->{root}' $quoted <'$in' 2>&1`;
    return ($?, $out);
}

sub command {
    my ($self, @cmd) = @_;
    my ($status, $out) = $self->chroot_run('', @cmd);
    $status == 0 or die "failed ($status): @cmd: $out";
    return $out;
}

sub start {
    my ($self) = @_;
    $self->command('postfix', 'start');
    # The background postsuper of the start script must not rename files under our hands.
    wait_for('postsuper', 60, sub { !processes('postsuper') });
}

# What "postfix stop" does, without its log messages: postlog waits for ever when postlogd has
# died.  Whoever does not listen (a queue manager in a pointer loop) is killed.
sub stop {
    my ($self) = @_;
    kill 'TERM', processes('master');
    eval { wait_for('master to end', 10, sub { !processes('master') }) };
    for (1 .. 100) {
        my @left = grep { (readlink("/proc/$_/exe") || '') =~ m{/lib/postfix/sbin/} } map { m{(\d+)} } glob '/proc/[0-9]*';
        1 while waitpid(-1, WNOHANG) > 0;
        return unless @left;
        kill 'KILL', @left if $_ > 20;
        select undef, undef, undef, 0.05;
    }
    die "Postfix does not stop\n";
}

# Names of running processes in this pid namespace.
sub processes {
    my ($name) = @_;
    my @found;
    1 while waitpid(-1, WNOHANG) > 0;    # we are process 1 here: orphans are ours to reap
    for my $f (glob "/proc/[0-9]*/stat") {
        open my $fh, "<", $f or next;
        my ($pid, $comm, $state) = (readline($fh) || "") =~ /^(\d+) \((.*)\) (\w)/ or next;
        push @found, $pid if $comm eq $name && $state ne "Z";
    }
    return @found;
}

# Wakes a service up as postkick does, without starting a program.
sub kick {
    my ($self, $service, $request) = @_;
    my $cwd = Cwd::getcwd();
    chdir $self->spool or return;    # socket paths are limited to 107 bytes
    my $s = IO::Socket::UNIX->new(Peer => "public/$service");
    chdir $cwd;
    return unless $s;
    syswrite $s, $request;
    close $s;
}

# New whole lines of the log since the last call.
sub new_log_lines {
    my ($self) = @_;
    open my $fh, '<:raw', "$self->{dir}/log/postfix.log" or return ();
    seek $fh, $self->{log_at}, 0;
    local $/;
    my $data = <$fh>;
    return () unless defined $data;
    my $end = rindex $data, "\n";
    return () if $end < 0;
    $self->{log_at} += $end + 1;
    return split /\n/, substr $data, 0, $end;
}

sub list {
    my ($self, $queue) = @_;
    opendir my $d, $self->spool . "/$queue" or return ();
    return grep { !/^\.\.?\z/ } readdir $d;
}

# All message files of a queue, hashed or not: paths below the spool.
sub files {
    my ($self, $queue) = @_;
    my @found;
    for my $name ($self->list($queue)) {
        if (length $name == 1) { push @found, map { "$queue/$name/$_" } $self->list("$queue/$name") }
        else                   { push @found, "$queue/$name" }
    }
    @found = sort @found;
    return @found;
}

1;
