package Lab::Courier;

# One Courier of a lab: a Debian chroot whose /etc, /run and spool are mounted over, in a mount
# namespace of its own. Everything here runs inside the namespaces (courier.t makes them).

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use IO::Socket::UNIX;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep);
use Lab::Util qw(slurp spew run_ok loopback_up wait_for base_dir spawn);

my $here = dirname(Cwd::abs_path(__FILE__));
my @dirs = ([msgs => 0750], [msgq => 0750], [tmp => 0770], [track => 0750], [filters => 0750], [allfilters => 0750], [sts => 0755]);

sub chroot_dir { return base_dir() . '/courier-chroot' }

sub build_chroot { run_ok('sh', '-c', '"$@" >&2', 'sh', "$here/../../chroot.sh", 'bookworm', chroot_dir(), 'courier-mta') }

sub new {
    my ($class, $dir) = @_;
    # Mounts, host name, process 1: never on the machine itself.
    $$ == 1 or die "a lab must run in namespaces of its own (courier.t does that)\n";
    my $root = chroot_dir();
    my $self = bless { dir => $dir, root => $root, starts => 0 }, $class;
    run_ok('mount', '--make-rprivate', '/');
    loopback_up();
    run_ok('hostname', 'lab.test');
    run_ok('rm', '-rf', '--one-file-system', $dir);
    run_ok('mkdir', '-p', "$dir/run");
    run_ok('cp', '-a', "$root/etc", "$dir/etc");
    run_ok('mount', '--bind', "$dir/$_", "$root/$_") for qw(etc run);
    run_ok('mount', '-t', 'proc', 'proc', '/proc');
    run_ok('mount', '-t', 'proc', 'proc', "$root/proc");
    my ($uid, $gid) = slurp("$root/etc/passwd") =~ /^courier:[^:]*:(\d+):(\d+):/m;
    @$self{qw(uid gid)} = ($uid, $gid);
    spew("$dir/etc/hosts", "127.0.0.1 localhost lab.test\n");
    unlink "$dir/etc/courier/enablefiltering";
    $self->configure(me => 'lab.test', locals => 'lab.test', esmtproutes => ':[127.0.0.1],2526', retryalpha => 3600, queuehi => 20000,
        queuelo => 10000, batchsize => 20, warntime => '4h', esmtpdelay => 0);
    $self->syslog;
    return $self;
}

sub configure {
    my ($self, %file) = @_;
    spew("$self->{dir}/etc/courier/$_", "$file{$_}\n") for keys %file;
}

# Everything that Courier says goes to /dev/log: a datagram a line, with its priority in front.
sub syslog {
    my ($self) = @_;
    system('ln', '-sfn', '/run/devlog', "$self->{root}/dev/log");
    my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$self->{dir}/run/devlog") or die "/dev/log: $!";
    chmod 0666, "$self->{dir}/run/devlog";
    $self->{log} = "$self->{dir}/log";
    spew($self->{log}, '');
    spawn(sub {
        open my $log, '>>', $self->{log} or die;
        $log->autoflush(1);
        print {$log} s/\n?\z/\n/r while defined $s->recv($_, 65536);
    });
}

sub log { return slurp($_[0]{log}) }
# Forget what was said up to now.
sub log_cut { truncate $_[0]{log}, 0 }

sub spool { return "$_[0]{root}/var/lib/courier" }

# A spool as Courier wants to find it, mounted where it looks; the directory behind it is kept.
sub use_spool {
    my ($self, $dir) = @_;
    system "umount '" . $self->spool . "' 2>/dev/null" if $self->{mounted};
    make_spool($self, $dir);
    run_ok('mount', '--bind', $dir, $self->spool);
    $self->{mounted} = 1;
}

sub make_spool {
    my ($self, $dir) = @_;
    run_ok('mkdir', '-p', $dir, map { "$dir/$_->[0]" } @dirs);
    chmod 0750, $dir;
    chmod $_->[1], "$dir/$_->[0]" for @dirs;
    chown @$self{qw(uid gid)}, $dir, map { "$dir/$_->[0]" } @dirs;
}

# A command inside the chroot; answers (status, output).
sub chroot_run {
    my ($self, $input, @cmd) = @_;
    my $in = "$self->{dir}/stdin.$$";
    spew($in, $input);
    my $quoted = join ' ', map { my $s = $_; $s =~ s/'/'\\''/g; "'$s'" } @cmd;
    my $out = `exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C RELAYCLIENT= chroot '$self->{root}' $quoted <'$in' 2>&1`;
    return ($?, $out);
}

# A mail through submit, the one way into the queue. Answers the message's id, undef if refused.
sub submit {
    my ($self, %m) = @_;
    my $input = "$m{from}\t" . ($m{ret} // '') . "\t" . ($m{envid} // '') . "\n";
    $input .= (ref $_ ? join("\t", @$_) : $_) . "\n" for @{ $m{to} };
    my ($status, $out) = $self->chroot_run("$input\n$m{data}", 'env', @{ $m{env} // [] },
        '/usr/lib/courier/courier/submit', @{ $m{options} // [] }, $m{module} // 'esmtp', 'dns; client.test (client.test [127.0.0.1])');
    return $status == 0 && $out =~ /^250 Ok\. (\S+)\n\z/m ? $1 : undef;
}

# Start courierd in the foreground; true when it waits for something to do.
sub start {
    my ($self) = @_;
    my $seen = length $self->log;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/stdout";
        open STDERR, '>&', \*STDOUT;
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin');
        exec 'chroot', $self->{root}, 'sh', '-c', 'set -a; . /etc/courier/courierd; cd /usr; exec /usr/lib/courier/courier/courierd'
            or POSIX::_exit(1);
    }
    return wait_for('courierd', 60, sub { index($self->log, 'Purging /var/lib/courier/sts', $seen) >= 0 || !$self->alive });
}

sub alive {
    my ($self) = @_;
    return 0 unless $self->{pid};
    $self->{pid} = 0 if waitpid($self->{pid}, WNOHANG) == $self->{pid};
    return $self->{pid} != 0;
}

# Stop it, as `courier stop` does, or when it does not listen; all its processes are gone then.
sub stop {
    my ($self) = @_;
    kill 'TERM', processes();
    my $tries = 0;
    wait_for('courierd to end', 30, sub {
        kill 'KILL', processes() if ++$tries > 100;
        waitpid $self->{pid}, WNOHANG if $self->{pid};
        !processes();
    });
    $self->{pid} = 0;
}

# The processes of Courier in this pid namespace.
sub processes {
    my @found;
    for my $f (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $f or next;
        my ($pid, $comm, $state) = (readline($fh) || '') =~ /^(\d+) \((.*)\) (\w)/ or next;
        push @found, $pid if $comm =~ /^(?:courier|submit)/ && $state ne 'Z';
    }
    return @found;
}

# The messages of a spool: { inode in the name => parts() }.
sub messages {
    my ($spool) = @_;
    my %m;
    for my $path (glob "$spool/msgq/*/C*.*") {
        my ($n, $t) = $path =~ m{/C(\d+)\.(\d+)$} or next;
        $m{$n} = parts($spool, $n, $t);
    }
    return \%m;
}

# The paths of one message.
sub parts {
    my ($spool, $n, $time) = @_;
    my $h = "$spool/msgs/" . $n % 100;
    return { control => "$h/C$n", data => "$h/D$n", entry => "$spool/msgq/" . int($time / 10000) . "/C$n.$time", time => $time };
}

# Put a message into the queue, due at $time. %m: control, data (bytes; undef = none). Answers its number.
sub put {
    my ($self, $spool, $time, %m) = @_;
    spew("$spool/tmp/new", $m{control});
    my $n = (stat "$spool/tmp/new")[1];
    my ($h, $q) = ("$spool/msgs/" . $n % 100, "$spool/msgq/" . int($time / 10000));
    for my $dir ($h, $q) {
        next if -d $dir;
        mkdir $dir, 0755 or die "$dir: $!";
        chown @$self{qw(uid gid)}, $dir;
    }
    rename "$spool/tmp/new", "$h/C$n" or die "C$n: $!";
    spew("$h/D$n", $m{data}) if defined $m{data};
    for my $path ("$h/C$n", "$h/D$n") {
        next unless -e $path;
        chmod 0660, $path;
        chown @$self{qw(uid gid)}, $path;
        utime time - 600, time - 600, $path;
    }
    link "$h/C$n", "$q/C$n.$time" or die "C$n.$time: $!";
    return $n;
}

1;
