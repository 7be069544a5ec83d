#!/usr/bin/perl
# The Debian package, in a chroot of Debian 12 and in one of Debian 13: it builds, lintian has
# nothing to say, it installs, upgrades and goes; quarantined mail stays unless somebody says
# otherwise. Takes root, and a Debian mirror the first time.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use File::Basename qw(dirname);
use POSIX ();
use Test::More;
use Lab::Util qw(base_dir run_ok);
use Spoolck;

my @tools = qw(build-essential debhelper po-debconf autoconf automake pkg-config libglib2.0-dev
    libjansson-dev libseccomp-dev zlib1g-dev libfsntfs-dev libbfio-dev libgmime-3.0-dev libmagic-dev lintian adduser);
my @suites = $ENV{SPOOLCK_LIVE_SUITE} // qw(bookworm trixie);
my $source = dirname(dirname($FindBin::Bin));

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    for my $suite (@suites) {
        system("$source/t/live/chroot.sh", $suite, "package-$suite", @tools) == 0 or die "no chroot of $suite\n";
    }
    exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', $^X, Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
$SIG{ALRM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 1500;

# A command in the chroot: (status, output).
sub in_chroot {
    my ($root, $command) = @_;
    my $out = qx{chroot '$root' env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
        DEBIAN_FRONTEND=noninteractive DEB_BUILD_OPTIONS=nocheck sh -c '$command' 2>&1 </dev/null};
    return ($?, $out);
}

# Test: the command succeeds. Returns what it printed.
sub works {
    my ($root, $command, $what) = @_;
    my ($status, $out) = in_chroot($root, $command);
    ok($status == 0, $what) or diag($out);
    return $out;
}

# The same package with a higher version, as an upgrade would bring it.
sub raise_version {
    my ($root) = @_;
    works($root, 'cd /build && rm -rf raised && dpkg-deb -R spoolck_*.deb raised &&
        sed -i "s/^Version: .*/&+1/" raised/DEBIAN/control && dpkg-deb --root-owner-group -b raised raised.deb',
        'a later version');
}

sub build {
    my ($root) = @_;
    run_ok('rm', '-rf', "$root/build");
    run_ok('mkdir', '-p', "$root/build");
    run_ok('make', '-s', '-C', $ENV{BUILDDIR} // $source, 'distdir', "distdir=$root/build/spoolck");
    works($root, 'cd /build/spoolck && dpkg-buildpackage -us -uc -b -j2', 'dpkg-buildpackage') or return 0;
    is(works($root, 'cd /build && lintian --fail-on error,warning --allow-root *.changes', 'lintian'), '',
        'lintian has nothing to say');
    return -e (glob "$root/build/spoolck_*.deb")[0];
}

sub entries { my ($root) = @_; return scalar(() = glob "$root/var/spool/spoolck/entries/*") }

sub life {
    my ($root) = @_;
    in_chroot($root, 'dpkg --purge spoolck; rm -rf /var/spool/spoolck'); # of an earlier run
    works($root, 'dpkg -i /build/spoolck_*.deb', 'installs');
    like(works($root, 'getent passwd spoolck', 'the user of the workers'), qr{^spoolck:.*:/nonexistent:}, 'has no home');
    like(works($root, 'find /etc/systemd/system -name "*spoolck*" 2>/dev/null; true', 'look for units'), qr/\A\z/,
        'nothing is enabled');
    works($root, 'man -w spoolck 2>/dev/null || test -e /usr/share/man/man1/spoolck.1.gz', 'the manual page');

    my $spool = new_spool();
    healthy($spool, 'deferred') for 1 .. 20;
    my $id = killer($spool, 'incoming');
    run_ok('rm', '-rf', "$root/var/tmp/spool");
    run_ok('cp', '-a', $spool, "$root/var/tmp/spool");
    my ($status, $out) = in_chroot($root, 'spoolck scan -p postfix:/var/tmp/spool');
    is($status >> 8, 1, 'finds and moves a damaged message') or diag($out);
    is(entries($root), 1, 'it is in the quarantine');

    works($root, 'dpkg -i /build/raised.deb', 'upgrades');
    is(entries($root), 1, 'the quarantine is still there');
    works($root, 'spoolck quarantine verify', 'and sound');
    works($root, 'dpkg --remove spoolck', 'is removed');
    is(entries($root), 1, 'the quarantine stays');
    like(works($root, 'dpkg --purge spoolck', 'is purged'), qr/holds quarantined mail and stays/, 'says so');
    is(entries($root), 1, 'the quarantine stays');

    works($root, 'dpkg -i /build/raised.deb && echo "spoolck spoolck/remove-quarantine boolean true" |
        debconf-set-selections', 'installs again');
    works($root, 'dpkg --purge spoolck', 'is purged by somebody who wants the mail to go');
    is(entries($root), 0, 'the quarantine is empty') or diag(`ls $root/var/spool/spoolck`);

    works($root, 'dpkg -i /build/raised.deb && spoolck scan /var/tmp/spool && dpkg --purge spoolck', 'unused');
    ok(!-e "$root/var/spool/spoolck", 'an empty quarantine goes with the package');
}

for my $suite (@suites) {
    subtest $suite => sub {
        my $root = base_dir() . "/package-$suite";
        run_ok('mount', '-t', 'proc', 'proc', "$root/proc");
        build($root) or return;
        raise_version($root);
        life($root);
    };
}
done_testing();
