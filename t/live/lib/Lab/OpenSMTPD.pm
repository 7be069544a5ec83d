package Lab::OpenSMTPD;

# One OpenSMTPD of a lab: a Debian chroot whose /etc, /run and spool are mounted over, in a
# mount namespace of its own. Everything here runs inside the namespaces (see
# Lab::Util::in_namespace).

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep);
use Lab::Util qw(slurp spew run_ok loopback_up wait_for base_dir);

my $here = dirname(Cwd::abs_path(__FILE__));
my @dirs = ([queue => 0700, 1, 0], [incoming => 0700, 1, 0], [purge => 0700, 1, 0], [temporary => 0700, 1, 0],
    [corrupt => 0700, 1, 0], [offline => 0770, 0, 1]);

sub chroot_dir { my ($suite) = @_; return base_dir() . '/opensmtpd-chroot' . ($suite eq 'bookworm' ? '' : "-$suite") }

sub build_chroot { my ($suite) = @_; run_ok('sh', '-c', '"$@" >&2', 'sh', "$here/../../chroot.sh", $suite, chroot_dir($suite), 'opensmtpd') }

sub new {
    my ($class, $suite, $dir) = @_;
    # Mounts, host name, process 1: never on the machine itself.
    $$ == 1 or die "a lab must run in namespaces of its own (opensmtpd.t does that)\n";
    my $root = chroot_dir($suite);
    my $self = bless { dir => $dir, root => $root, log_at => 0, users => {} }, $class;
    run_ok('mount', '--make-rprivate', '/');
    loopback_up();
    run_ok('hostname', 'lab.test');
    run_ok('rm', '-rf', '--one-file-system', $dir);
    run_ok('mkdir', '-p', $dir, "$dir/run", "$dir/var", "$root/var/spool/smtpd");
    run_ok('cp', '-a', "$root/etc", "$dir/etc");
    run_ok('mount', '--bind', "$dir/etc", "$root/etc");
    run_ok('mount', '--bind', "$dir/run", "$root/run");
    run_ok('mount', '-t', 'proc', 'proc', '/proc');
    run_ok('mount', '-t', 'proc', 'proc', "$root/proc");
    for my $user (qw(opensmtpd opensmtpq)) {
        my ($uid, $gid) = slurp("$root/etc/passwd") =~ /^$user:[^:]*:(\d+):(\d+):/m;
        $self->{users}{$user} = [$uid, $gid];
    }
    spew("$dir/etc/mailname", "lab.test\n");
    spew("$dir/etc/hosts", "127.0.0.1 localhost lab.test\n");
    return $self;
}

sub queue_uid { return $_[0]{users}{opensmtpq}[0] }
sub spool { return "$_[0]{root}/var/spool/smtpd" }

# A spool as smtpd wants to find it, empty, mounted where it looks. The directory behind it is
# kept (and stays readable from outside of the namespace).
sub use_spool {
    my ($self, $dir) = @_;
    system "umount '$self->{mounted}' 2>/dev/null" if $self->{mounted};
    run_ok('mkdir', '-p', $dir);
    chmod 0711, $dir;
    for my $d (@dirs) {
        my ($name, $mode, $user, $group) = @$d;
        mkdir "$dir/$name";
        chmod $mode, "$dir/$name";
        chown $user ? $self->queue_uid : 0, $group ? $self->{users}{opensmtpq}[1] : 0, "$dir/$name";
    }
    run_ok('mount', '--bind', $dir, $self->spool);
    $self->{mounted} = $self->spool;
}

sub configure {
    my ($self, $text) = @_;
    spew("$self->{dir}/etc/smtpd.conf", $text);
    spew('/etc/smtpd.conf', $text) if $self->{on_host};
}

# A command inside the chroot; answers (status, output).
sub chroot_run {
    my ($self, $input, @cmd) = @_;
    my $in = "$self->{dir}/stdin";
    spew($in, $input);
    my $quoted = join ' ', map { my $s = $_; $s =~ s/'/'\\''/g; "'$s'" } @cmd;
    my $out = `exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot '$self->{root}' $quoted <'$in' 2>&1`;
    return ($?, $out);
}

# Start in the foreground, with all the log on standard error. True when it answers.
sub start {
    my ($self, @options) = @_;
    $self->{log} = "$self->{dir}/log." . ++$self->{starts};
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        open STDERR, '>', $self->{log} or POSIX::_exit(1);
        open STDOUT, '>&', \*STDERR;
        open STDIN, '<', '/dev/null';
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C');
        exec 'chroot', $self->{root}, 'smtpd', '-d', '-v', @options or POSIX::_exit(1);
    }
    return wait_for('smtpd', 120, sub { $self->log =~ /done loading queue|exiting|fatal/ || !$self->alive });
}

sub log { my ($self) = @_; return -e $self->{log} ? slurp($self->{log}) : '' }

sub alive {
    my ($self) = @_;
    my $got = waitpid($self->{pid}, WNOHANG);
    $self->{pid} = 0 if $got == $self->{pid};
    return $self->{pid} != 0;
}

# Stop it; all its processes are gone then.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid} if $self->{pid};
    wait_for('smtpd to end', 30, sub { 1 while waitpid(-1, WNOHANG) > 0; !processes('smtpd') });
    $self->{pid} = 0;
}

# A certificate of the lab's own, and the password of its one user.
sub credentials {
    my ($self) = @_;
    my $etc = "$self->{dir}/etc";
    run_ok("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab.test -keyout $etc/lab.key -out $etc/lab.crt 2>/dev/null");
    chmod 0600, "$etc/lab.key";
    # 7.6 does not start without a list of authorities.
    run_ok('mkdir', '-p', "$etc/ssl/certs");
    run_ok('cp', "$etc/lab.crt", "$etc/ssl/certs/ca-certificates.crt");
    return crypt('secret', '$6$saltsalt$');
}

# The host's own server: its spool, configuration and program where the host would have them, in this
# mount namespace only. use_spool() of the same directory makes it the server's as well.
sub on_host {
    my ($self, $dir) = @_;
    run_ok('mkdir', '-p', "$dir/smtpd", "$self->{dir}/host-etc", "$self->{dir}/bin");
    run_ok('mount', '--bind', $dir, '/var/spool');
    run_ok("cp -a /etc/. '$self->{dir}/host-etc'");
    run_ok('mount', '--bind', "$self->{dir}/host-etc", '/etc');
    spew("$self->{dir}/bin/smtpd", "#!/bin/sh\nexec chroot '$self->{root}' /usr/sbin/smtpd \"\$@\"\n");
    chmod 0755, "$self->{dir}/bin/smtpd";
    run_ok('mount', '--bind', "$self->{dir}/bin", '/usr/local/sbin');
    $self->{on_host} = 1;
}

# One message over a Lab::Smtp connection, a command at a time: OpenSMTPD refuses pipelining.
# Answers how many recipients were accepted, 0 when the message was refused.
sub submit {
    my ($smtp, %m) = @_;
    my $count = 0;
    $smtp->command("MAIL FROM:<$m{from}>" . ($m{mailopt} ? " $m{mailopt}" : ''));
    for (@{ $m{to} }) {
        my ($address, $opt) = ref $_ ? @$_ : ($_);
        print { $smtp->{s} } "RCPT TO:<$address>" . ($opt ? " $opt" : '') . "\r\n";
        $smtp->{s}->flush;
        $count++ if $smtp->expect('2', '4', '5') =~ /^2/;
    }
    if (!$count) { $smtp->command('RSET'); return 0 }
    $smtp->command('DATA');
    my $text = $m{data};
    $text =~ s/\n/\r\n/g;
    $text =~ s/^\./../gm;
    $text .= "\r\n" if length $text and $text !~ /\r\n\z/;
    print { $smtp->{s} } "$text.\r\n";
    $smtp->{s}->flush;
    return $smtp->expect('2', '4', '5') =~ /^250/ ? $count : 0;
}

# Names of running processes in this pid namespace.
sub processes {
    my ($name) = @_;
    my @found;
    for my $f (glob "/proc/[0-9]*/stat") {
        open my $fh, "<", $f or next;
        my ($pid, $comm, $state) = (readline($fh) || "") =~ /^(\d+) \((.*)\) (\w)/ or next;
        push @found, $pid if $comm eq $name && $state ne "Z";
    }
    return @found;
}

# Envelopes in the spool: { id => path }; bodies under the ids of their messages.
sub files {
    my ($spool) = @_;
    my %found;
    for my $path (glob "$spool/queue/??/????????/*") {
        $found{$1} = $path if $path =~ m{/([0-9a-f]{16})$};
        $found{$1} = $path if $path =~ m{/([0-9a-f]{8})/message$};
    }
    return \%found;
}

1;
