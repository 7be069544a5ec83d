#!/usr/bin/perl
# What contrib/ has for the host: units that systemd accepts, whose restrictions leave spoolck what it needs; the
# lines for cron, sysv and OpenRC do what they say.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use Spoolck;
use Test::More;

my $contrib = dirname($FindBin::Bin) . '/contrib';
my ($spool, $store) = (new_spool(), new_store());
my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }
healthy($spool, 'deferred', text()) for 1 .. 30;

# The file as it would be installed, with our program, a state and a spool of the test's own.
my $var = scratch();
sub installed {
    my ($path) = @_;
    my $text = read_file($path);
    my $program = program();
    $text =~ s{/usr/sbin/spoolck}{$program}g;
    $text =~ s{/var/lib/spoolck}{$var/lib}g;
    $text =~ s{^Documentation=.*\n}{}mg; # no manual page is installed here
    return $text;
}

sub tool {
    my ($name) = @_;
    return 1 if grep { -x "$_/$name" } split /:/, "$ENV{PATH}:/usr/sbin:/sbin";
    plan skip_all => "no $name here" if ($ENV{CI} // '') ne 'true';
    return ok(0, "$name is installed");
}

sub sh { my ($text) = @_; my $out = `{ $text\n} 2>&1`; return ($? >> 8, $out) }

my $units = scratch();
mkdir "$units/spoolck.service.d";
write_file("$units/$_", installed("$contrib/systemd/$_")) for qw(spoolck.service spoolck.timer);
my %server = (postfix => 'postfix.service', 'postfix@' => 'postfix@.service', exim4 => 'exim4.service',
    sendmail => 'sendmail.service', opensmtpd => 'opensmtpd.service', courier => 'courier.service');

subtest 'systemd-analyze verify' => sub {
    tool('systemd-analyze') or return;
    for my $hook (glob "$contrib/systemd/hooks/*.conf") {
        my $name = basename($hook, '.conf');
        my $unit = $server{$name} or ok(0, "$name: which unit?"), next;
        write_file("$units/$unit", "[Unit]\nDescription=x\n[Service]\nType=forking\nExecStart=/bin/true\n");
        mkdir "$units/$unit.d";
        write_file("$units/$unit.d/spoolck.conf", installed($hook));
        like(read_file($hook), qr{^# As /etc/systemd/system/\Q$unit\E\.d/spoolck\.conf}, "$name: says where it belongs");
        like(read_file($hook), qr/^ExecStartPre=-\+/m, 'never a reason not to start');
        my ($budget, $start) = map { read_file($hook) =~ $_ } qr/--budget (\d+)s/, qr/^TimeoutStartSec=(\d+)$/m;
        cmp_ok($start, '>', $budget + 1, 'and has the time');
    }
    # The service of a unit that failed, and the drop-in that asks for it.
    write_file("$units/spoolck-failed\@.service", installed("$contrib/systemd/onfailure/spoolck-failed\@.service"));
    write_file("$units/opensmtpd.service.d/spoolck-failed.conf", installed("$contrib/systemd/onfailure/opensmtpd.conf"));
    is((sh("SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no --recursive-errors=no $units/opensmtpd.service $units/spoolck-failed\@opensmtpd.service"))[1],
        '', 'OnFailure=');
    for my $move ('', 'move.conf', 'restart.conf') {
        unlink glob "$units/spoolck.service.d/*";
        write_file("$units/spoolck.service.d/$move", installed("$contrib/systemd/spoolck.service.d/$move")) if $move;
        for my $unit ('spoolck.service', 'spoolck.timer', sort map { s/@/\@x/r } values %server) {
            my ($status, $out) = sh("SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no --recursive-errors=no $units/$unit");
            is($out, '', "$unit $move") or diag $status;
        }
    }
    for my $service ('spoolck.service', 'spoolck-failed@.service') {
        my ($status, $out) = sh("systemd-analyze security --offline=true --threshold=30 $units/$service");
        is($status, 0, "exposure of $service") or diag $out;
        note $out =~ /(Overall.*)/;
    }
    # What the README promises of the unattended runs.
    my %is = map { /^(\w+)=(.*)/ ? ($1 => $2) : () } map { split /\n/, read_file("$contrib/systemd/$_") } qw(spoolck.service spoolck.timer);
    is($is{SuccessExitStatus}, '1 2 3 4 5 6 7', 'what is only news is no failure of the unit');
    is($is{IOSchedulingClass}, 'idle', 'idle I/O');
    like($is{RandomizedDelaySec}, qr/^[1-9]\d*min$/, 'not all hosts of a site at the same second');
    is($is{OnUnitActiveSec}, '15min', 'every 15 minutes');
};

sub setting { my ($file, $key) = @_; my @found = read_file($file) =~ /^$key=(.*)/mg; return map { split ' ' } @found }

# Run the words with the capabilities of a unit only.
sub with_caps {
    my ($caps, @words) = @_;
    my $set = join ',', '-all', map { '+' . lc s/^CAP_//r } @$caps;
    my ($status, $out) = sh("setpriv --bounding-set $set --inh-caps=-all " . program() . " @words");
    return ($status, $out);
}

# With ProtectSystem=strict a spool that is not named can be looked at, and no message leaves it.
subtest 'the usual spools may be written' => sub {
    my @roots = map { my ($list) = read_file($_) =~ /default_roots\[\] = \{(.*?)\}/s; ($list // '') =~ /"([^"]+)"/g } glob dirname($contrib) . '/parsers/fmt_*.c';
    cmp_ok(scalar @roots, '>', 8, 'usual places of all servers');
    for my $file (map { "$contrib/systemd/spoolck.service.d/$_.conf" } qw(move restart)) {
        my @may = map { s/^-//r } split ' ', (read_file($file) =~ /^ReadWritePaths=(.*)/m)[0];
        is_deeply([ grep { my $root = $_; !grep { "$root/" =~ m{^\Q$_\E/} } @may } @roots ], [], basename($file));
    }
};

subtest 'capabilities' => sub {
    tool('setpriv') or return;
    need_root('to have capabilities') or return;
    my @look = setting("$contrib/systemd/spoolck.service", 'CapabilityBoundingSet');
    my @move = (@look, setting("$contrib/systemd/spoolck.service.d/move.conf", 'CapabilityBoundingSet'));
    my $id = killer($spool, 'incoming', text());
    chown 65500, 65500, glob("$spool/*"), glob("$spool/*/*"), glob("$spool/*/*/*"), $spool;
    my ($status, $out) = with_caps(\@look, 'scan', '-n', '--store', $store, $spool);
    is($status, 4, 'the timer finds it') or diag $out;
    ($status, $out) = with_caps(\@move, 'scan', '-p', '--store', $store, $spool);
    is($status, 1, 'and moves it with move.conf') or diag $out;
    $id = killer($spool, 'active', text());
    my @all = map { "CAP_$_" } qw(DAC_OVERRIDE DAC_READ_SEARCH CHOWN FSETID SETUID SETGID SYS_PTRACE);
    ($status, $out) = with_caps(\@all, 'prestart', '--strict', '--store', $store, $spool);
    is($status, 1, 'a hook needs neither CAP_FOWNER nor CAP_KILL') or diag $out;
    # Without CAP_KILL it cannot end its workers, who end by themselves when nobody is left to ask them: in a moment.
    my $left = sub { grep { my $line = eval { read_file($_) } // ''; index($line, "prestart\0") >= 0 && index($line, $store) >= 0 } glob '/proc/[0-9]*/cmdline' };
    my @left;
    for (1 .. 100) { last if !(@left = $left->()); select undef, undef, undef, 0.1 }
    is("@left", '', 'and leaves no process behind');
};

subtest 'system calls' => sub {
    tool('systemd-analyze') or return;
    my %group;
    my $name = '';
    for (split /\n/, `systemd-analyze syscall-filter --no-pager`) {
        s/\e\[[0-9;]*m//g;
        if    (/^(\@\S+)/)   { $name = $1 }
        elsif (/^ +([\@\w-]+)/) { push @{ $group{$name} }, $1 }
    }
    my @todo = setting("$contrib/systemd/spoolck.service", 'SystemCallFilter');
    my %allowed = map { $_ => 1 } qw(execve exit exit_group); # always
    while (defined(my $next = shift @todo)) { /^\@/ ? push @todo, @{ $group{$next} // [] } : $allowed{$next}++ for $next }
    cmp_ok(scalar keys %allowed, '>', 200, 'allowed: ' . keys %allowed);
    my $trace = scratch() . '/trace';
    sh("strace -f -qq -o $trace " . program() . " scan -n --unattended --budget 10m --state $var/state --store $store $spool");
    my %used = map { $_ => 1 } read_file($trace) =~ /^\d+ +(\w+)\(/mg;
    plan skip_all => 'strace cannot trace here' if !%used && !$ENV{CI};
    cmp_ok(scalar keys %used, '>', 30, 'used: ' . keys %used);
    is(join(' ', grep { !$allowed{$_} } sort keys %used), '', 'all that is used is allowed');
};

subtest 'cron' => sub {
    my ($line) = installed("$contrib/cron/spoolck") =~ /^\*\S* \* \* \* \* root (.*)$/m;
    ok(defined $line, 'a line of crontab(5)') or return;
    my $id = killer($spool, 'incoming', text());
    $line =~ s{-d /run/systemd/system}{-d /nonexistent};
    $line =~ s{(scan -n)}{$1 --store $store $spool};
    my ($status, $out) = sh($line);
    like($out, qr/^spoolck \S+: NEW stops-service postfix:$id .*\n\z/, 'prints what is new');
    ($status, $out) = sh($line);
    is($out, '', 'once');
    unlink "$spool/incoming/$id";
};

subtest 'sysv and OpenRC' => sub {
    for my $file ("$contrib/sysv/spoolck", "$contrib/sysv/default-exim4", "$contrib/openrc/conf.d-postfix", "$contrib/container/once.sh") {
        is((sh("sh -n $file"))[0], 0, basename($file) . ' is shell');
    }
    my $id = killer($spool, 'incoming', text());
    my $text = installed("$contrib/sysv/spoolck");
    $text =~ s/(--budget 30s)/$1 --store $store $spool/;
    write_file(my $script = scratch() . '/spoolck', $text);
    is((sh("sh $script status"))[0], 0, 'status');
    ok(-e "$spool/incoming/$id", 'does nothing');
    is((sh("sh $script start"))[0], 0, 'start');
    ok(!-e "$spool/incoming/$id", 'moves what would stop the server');
    $text = installed("$contrib/openrc/conf.d-postfix");
    $text =~ s/postfix \|\|/--nonsense ||/;
    is((sh("set -e; $text\nstart_pre"))[0], 0, 'never a failure');
};

# The formats' own tables: what is run, and where spools usually are.
my $formats = join '', map { read_file($_) } glob dirname($contrib) . '/parsers/*.c';

subtest 'AppArmor' => sub {
    tool('apparmor_parser') or return;
    my $profile = "$contrib/apparmor/usr.sbin.spoolck";
    my ($status, $out) = sh("PATH=\$PATH:/usr/sbin:/sbin apparmor_parser -Q -K \Q$profile\E");
    is($status, 0, 'parses') or diag($out);
    write_file(my $wrong = scratch() . '/wrong', read_file($profile) =~ s/capability chown,/capability nosuchthing,/r);
    isnt((sh("PATH=\$PATH:/usr/sbin:/sbin apparmor_parser -Q -K \Q$wrong\E"))[0], 0, 'and what is wrong does not');
    my $text = read_file($profile);
    like($text, qr/^profile .*flags=\([^)]*\bcomplain\b/m, 'refuses nothing unless somebody wants it');
    my @commands = ($formats =~ /_command\[\] = \{\s*"([^"]+)"/g, $formats =~ /\.wake_command = "([^" ]+)/g);
    ok(@commands > 8, 'commands of the servers');
    my $ux = join ' ', $text =~ /^\s*(\S+) Ux,$/mg;
    is(join(' ', grep { $ux !~ /[{,\/]\Q$_\E[,}]/ } @commands), '', 'each of them may be run');
    my @roots = map { /"([^"]+)"/g } $formats =~ /default_roots\[\] = \{(.*?)\}/sg;
    ok(@roots > 8, 'usual places of spools');
    my @rules = map { my $r = $_; $r =~ s/\{,\*\*\}\z//; $r =~ /^(.*)\{(.*)\}(.*)$/ ? map { "$1$_$3" } split /,/, $2 : $r }
        $text =~ /^\s*(\S+) rwlk,$/mg;
    s/\*/[^\/]*/g, s/\/\z// for @rules;
    for my $root (@roots) { ok((grep { $root =~ /^$_\z/ } @rules), "$root may be written") }
};

subtest 'SELinux' => sub {
    tool($_) or return for qw(checkmodule semodule_package);
    my $dir = scratch();
    my $te = read_file("$contrib/selinux/spoolck.te");
    my $build = sub {
        write_file("$dir/spoolck.te", $_[0]);
        return sh("cd \Q$dir\E && PATH=\$PATH:/usr/sbin:/sbin && checkmodule -M -m -o spoolck.mod spoolck.te &&"
            . " semodule_package -o spoolck.pp -m spoolck.mod -f \Q$contrib\E/selinux/spoolck.fc");
    };
    my ($status, $out) = $build->($te);
    is($status, 0, 'a module') or diag($out);
    ok(-s "$dir/spoolck.pp", 'that is packed');
    isnt(($build->($te =~ s/^type spoolck_store_t;//mr))[0], 0, 'what is wrong is none');
    my %known = map { $_ => 1 } $te =~ /^type (\w+);/mg;
    for my $line (grep { /\S/ && !/^#/ } split /\n/, read_file("$contrib/selinux/spoolck.fc")) {
        my ($path, $type) = $line =~ /^(\S+)\s+system_u:object_r:(\w+):s0$/ or ok(0, $line), next;
        ok($known{$type} && eval { qr/\A$path\z/ }, "$path has a type of the module");
    }
    my ($store) = read_file("$contrib/selinux/spoolck.fc") =~ /^(\S+)/;
    like('/var/spool/spoolck/entries/x', qr/\A$store\z/, 'the store');
    unlike('/var/spool/spoolck2', qr/\A$store\z/, 'and no neighbour of it');
};

done_testing();
