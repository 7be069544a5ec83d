package Spoolck::Watch;

# What the processes of a scan take, seen from /proc: workers have no parent that could add them up.

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(start watch roles proc_file);

# Run it with its output thrown away; the pid.
sub start {
    my @command = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    exec @command or POSIX::_exit(127);
}

# What each process is, from { pid => parent }: the coordinator starts the zygote and the readers,
# the zygote the workers.
sub roles {
    my ($main, $parent) = @_;
    my %role = map { $_ => $parent->{$_} == $main ? 'reader' : 'worker' } grep { $_ != $main } keys %$parent;
    $role{ $parent->{$_} } = 'zygote' for grep { $role{$_} eq 'worker' } keys %role;
    $role{$main} = 'coordinator';
    return \%role;
}

sub proc_file {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar(<$f>) // '';
}

# Watch a scan: by role, the largest process (KiB, peak and shared) and processor seconds.
sub watch {
    my @command = @_;
    my $main = start(@command);
    my (%seen, %parent);
    until (waitpid $main, 1) { # WNOHANG
        opendir my $proc, '/proc' or die "/proc: $!\n";
        for my $pid (grep { /\A\d+\z/ } readdir $proc) {
            my $status = proc_file("/proc/$pid/status");
            my ($parent) = $status =~ /^PPid:\s+(\d+)/m or next;
            next unless $pid == $main || $seen{$parent};
            my ($peak) = $status =~ /^VmHWM:\s+(\d+)/m or next;
            my ($shared) = $status =~ /^RssShmem:\s+(\d+)/m;
            my ($ns) = proc_file("/proc/$pid/schedstat") =~ /\A(\d+)/;
            $parent{$pid} = $parent;
            my $p = $seen{$pid} //= { peak => 0, shared => 0, cpu => 0 };
            $p->{peak} = $peak if $peak > $p->{peak};
            $p->{shared} = $shared if ($shared // 0) > $p->{shared};
            $p->{cpu} = ($ns // 0) / 1e9;
        }
        sleep 0.002;
    }
    my $role = roles($main, \%parent);
    my %by;
    for my $pid (keys %seen) {
        my $p = $seen{$pid};
        my $r = $by{ $role->{$pid} } //= { number => 0, peak => 0, shared => 0, cpu => 0, sum => 0 };
        $r->{number}++;
        $r->{cpu} += $p->{cpu};
        $r->{sum} += $p->{peak};
        ($r->{peak}, $r->{shared}) = ($p->{peak}, $p->{shared}) if $p->{peak} > $r->{peak};
    }
    return \%by;
}

1;
