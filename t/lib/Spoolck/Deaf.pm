package Spoolck::Deaf;

# A file system that never answers: FUSE, spoken by hand, without a library. It takes every request and
# answers only the first one, which says hello; whoever asks for more hangs in the kernel, where no signal
# reaches it, until the file system is gone. In a mount namespace of the test's own.

use strict;
use warnings;

use Exporter 'import';
use Fcntl qw(O_RDWR F_SETFD FD_CLOEXEC);
use POSIX ();

our @EXPORT = qw(deaf hear_again);

use constant { FUSE_INIT => 26, VERSION => 7, MINOR => 31 };

my %serving;

# A test that dies must not hang when it cleans up.
END { local $?; kill 'KILL', $_ for keys %serving; }

# Mount one at the directory; answers what hear_again() takes, undef where there is no FUSE.
sub deaf {
    my ($dir) = @_;
    sysopen my $fuse, '/dev/fuse', O_RDWR or return undef;
    my $fd = fileno $fuse;
    fcntl $fuse, F_SETFD, 0;
    my $mounted = system('mount', '-i', '-t', 'fuse', '-o',
        "fd=$fd,rootmode=40000,user_id=0,group_id=0,allow_other", 'deaf', $dir) == 0;
    fcntl $fuse, F_SETFD, FD_CLOEXEC;
    return undef unless $mounted;
    pipe my $ready, my $greeted or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    serve($fuse, $greeted) if $pid == 0;
    close $greeted;
    sysread $ready, my $word, 1;
    $serving{$pid} = 1;
    return { pid => $pid, dir => $dir };
}

# All who hang get an error.
sub hear_again {
    my ($deaf) = @_;
    delete $serving{ $deaf->{pid} };
    kill 'KILL', $deaf->{pid};
    waitpid $deaf->{pid}, 0;
    return system('umount', '-l', $deaf->{dir}) == 0;
}

sub serve {
    my ($fuse, $greeted) = @_;
    %serving = ();
    while (sysread $fuse, my $request, 1 << 18) {
        my (undef, $op, $unique) = unpack 'LLQ', $request;
        next if $op != FUSE_INIT;
        my $answer = pack 'L4S2L2S2L7', VERSION, MINOR, 0, 0, 0, 0, 1 << 17, 1, 0, 0, (0) x 7;
        syswrite $fuse, pack('LlQ', 16 + length $answer, 0, $unique) . $answer;
        syswrite $greeted, 'x';
    }
    POSIX::_exit(0);
}

1;
