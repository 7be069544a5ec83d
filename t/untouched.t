#!/usr/bin/perl
# untouched.t - `scan -n` takes no lock and writes nothing, by the kernel's own account
#
# A server beside a scan must not notice it. Every system call of every process of a scan is
# recorded; among them may be no lock, no call that changes a file system, and no file opened
# for writing.

use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;
use lib "$FindBin::Bin/lib";
use Spoolck::Fixture qw(lay_out);

my $spoolck = $ENV{SPOOLCK} or BAIL_OUT('SPOOLCK names the program to be tested');
my $dir = tempdir(CLEANUP => 1);
my $trace = "$dir/trace";
my @calls = qw(open openat openat2 creat flock fcntl rename renameat renameat2 link linkat symlink
    symlinkat unlink unlinkat rmdir mkdir mkdirat mknod mknodat chmod fchmod fchmodat chown fchown
    lchown fchownat utime utimes utimensat futimesat truncate ftruncate fallocate setxattr
    fsetxattr lsetxattr removexattr);

lay_out("$FindBin::Bin/../fixtures/demo", "$dir/spool");
my $strace = system("strace -V >/dev/null 2>&1") == 0;
if (!$strace) {
    plan skip_all => 'strace is needed' if !$ENV{CI};
    BAIL_OUT('strace is needed');
}
system('strace', '-f', '-qq', '-o', $trace, '-e', 'trace=?' . join(',?', @calls), $spoolck, 'scan', '--format', 'json', "postfix:$dir/spool");
is($? >> 8, 4, 'the demonstration spool is examined');
open my $fh, '<', $trace or BAIL_OUT("$trace: $!");
my @lines = readline $fh;
cmp_ok(scalar(grep { /openat/ } @lines), '>', 20, 'its system calls are recorded');
is(join('', grep { /flock\(|F_(?:OFD_)?SETLKW?\b|F_SETLEASE/ } @lines), '', 'no lock is taken');
is(join('', grep { /open/ && /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/ && !m{"/dev/null"|"/proc/} } @lines), '', 'nothing is opened for writing');
# The lane memory is made, and sized, before it is sealed.
is(join('', grep { !/open|flock|fcntl|ftruncate/ && / = 0$/ } @lines), '', 'nothing is changed');
done_testing();
