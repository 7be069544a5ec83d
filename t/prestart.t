#!/usr/bin/perl
# prestart: a hook that is never the reason that mail stays down. It moves what would stop the server, says
# loudly what it could not do, returns although the storage never does, and hands over everything as it
# was given.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd qw(abs_path);
use POSIX ();
use Socket;
use Spoolck;
use Spoolck::Deaf;
use Test::More;
use Time::HiRes qw(sleep);

# What is mounted here vanishes with the namespace.
if ($> == 0 && !$ENV{SPOOLCK_NS} && system('unshare -m true 2>/dev/null') == 0) {
    $ENV{SPOOLCK_NS} = 1;
    exec 'unshare', '-m', '--propagation', 'private', $^X, $0 or die "unshare: $!";
}
my $perl = $^X;

# Long enough for any machine, and short enough that what hangs fails.
$Spoolck::deadline = 60;

sub is_status { my ($r, $bits, $what) = @_; return is(exit_bits($r), $bits, $what) || diag($r->{err}, $r->{out}) }
sub prestart { my @opt = ref $_[0] ? shift : (); return spoolck(@opt, 'prestart', @_) }

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

sub sound_spool {
    my $spool = new_spool();
    healthy($spool, (qw(incoming deferred maildrop active hold))[$_ % 5], text()) for 1 .. ($_[0] // 40);
    return $spool;
}

subtest 'moves what stops the server or what it would delete, and nothing else' => sub {
    my ($spool, $store) = (sound_spool(), new_store());
    my $killer = killer($spool, 'active', text());
    my $deletes = damaged($spool, 'maildrop', text());
    my $held = damaged($spool, 'hold', text());
    my $r = prestart('--strict', '--format', 'json', '--store', $store, $spool);
    parsed($r);
    my %action = map { $_->{id} => $_->{action} } @{ $r->{messages} };
    is_deeply(\%action, { $killer => 'moved', $deletes => 'moved', $held => 'none' }, 'actions');
    is_status($r, '4+1', '--strict: the exit status of scan');
    is_status(spoolck('quarantine', 'verify', '--store', $store), '0', 'whole entries');
    $r = prestart('--store', $store, $spool);
    is_status($r, '0', 'else 0, whatever is left');
    like($r->{out}, qr/\Q$held\E/, 'which is told');
    my $clean = sound_spool();
    $r = prestart('--strict', '--store', $store, $clean);
    is_status($r, '0', 'nothing wrong');
    is($r->{out} . $r->{err}, '', 'nothing said');
};

subtest 'the brake, with what is known' => sub {
    my ($spool, $store) = (sound_spool(15), new_store());
    my @killers = map { killer($spool, 'active', text()) } 1 .. 3;
    my $r = prestart('--strict', '--store', $store, $spool);
    is_status($r, '4', 'three of eighteen are more than a tenth: none is moved');
    like($r->{out}, qr/brake/, 'and why');
    healthy($spool, 'deferred', text()) for 1 .. 20;
    $r = prestart('--strict', '--store', $store, $spool);
    is_status($r, '1', 'of 38 they are not: what was held back at the first place is moved in the end');
    $spool = sound_spool(5);
    killer($spool, 'incoming', text()) for 1 .. 2;
    is_status(prestart('--strict', '--max-move', 2, '--store', $store, $spool), '1', '--max-move');
};

subtest 'the configuration says which spools' => sub {
    my ($spool, $store, $away) = (sound_spool(), new_store(), scratch());
    my $killer = killer($spool, 'active', text());
    my $dir = scratch();
    chmod 0700, $dir;
    write_file("$dir/spoolck.conf", <<"CONF");
[scan]
discover = no
quarantine = none
[quarantine]
store = $store
[spool one]
path = $spool
[spool two]
path = $away
mounted = yes
CONF
    my $r = prestart('--strict', '--config', "$dir/spoolck.conf");
    is_status($r, '1', 'moves from the one that is there; the other one is not mounted');
    is($r->{err}, '', 'which is no error');
    ok(!-e "$spool/active/$killer", 'the message is gone');
    write_file("$dir/spoolck.conf", "[scan]\nnonsense = 1\n");
    $r = prestart('--config', "$dir/spoolck.conf", $spool);
    is_status($r, '0', 'a wrong file is no failure either');
    like($r->{err}, qr/nonsense/, 'but told');
    is_status(prestart('--strict', '--config', "$dir/spoolck.conf", $spool), '16', 'and one with --strict');
};

subtest 'never a status but 0 without --strict' => sub {
    my ($spool, $store) = (sound_spool(5), new_store());
    write_file(my $file = scratch() . '/file', 'x');
    chmod 0777, my $open = scratch();
    my @wrong = (
        [ '16', '--nonsense', $spool ], [ '16', '--budget', 'soon', $spool ], [ '16', '--max-move', 'x', $spool ],
        [ '16', '--store', 'relative', $spool ], [ '16', '--jobs', 1000, $spool ],
        [ '8', '--store', $store, '/nonexistent' ], [ '8', '--store', $store, $file ], [ '8', '--store', $store, scratch() ],
        [ '8', '--store', $store, "exim:$file" ]);
    for (@wrong) {
        my ($bits, @words) = @$_;
        my $r = prestart(@words);
        is_status($r, '0', "@words");
        like($r->{err}, qr/^spoolck: .*\S/m, 'but it says so');
        is_status(prestart('--strict', @words), $bits, '--strict');
    }
    for my $bad ($open, "$file/store", '/proc/store') {
        my $id = killer($spool, 'active', text());
        my $r = prestart('--store', $bad, $spool);
        is_status($r, '0', "a store that cannot be: $bad");
        like($r->{out}, qr/\Q$id\E.*Not moved: .*\S/s, 'says so');
        my $strict = prestart('--strict', '--store', $bad, $spool);
        ok($strict->{status} & FAILED && $strict->{status} & LEFT, '--strict');
        unlink "$spool/active/$id";
    }
    is_status(prestart({ env => { PATH => '' } }, '--store', $store, $spool), '0', 'no PATH');
    is_status(prestart({ stdout => '/dev/full' }, '--all', '--store', $store, $spool), '0', 'output that nobody takes');
    is_status(prestart({ stdout => '-' }, '--store', $store, $spool), '0', 'output closed');
    is_status(prestart('--store', $store), '0', 'the spools of this host, if any');
    my ($second, $id) = (sound_spool());
    $id = killer($second, 'incoming', text());
    my $r = prestart('--strict', '--store', $store, '/nonexistent', $second);
    is_status($r, '8+1', 'one bad spool does not keep the other from being looked at');
    ok(!-e "$second/incoming/$id", 'moved');
};

subtest 'an interrupted move is finished first' => sub {
    my ($spool, $store, $id);
    for my $when (1 .. 12) {
        ($spool, $store) = (sound_spool(), new_store());
        $id = killer($spool, 'incoming', text());
        my $out = scratch() . '/out';
        system("strace -f -qq -o $out -e trace=renameat2 -e inject=renameat2:signal=KILL:when=$when "
            . program() . " scan -p --store $store $spool >$out.1 2>&1");
        last if !-e "$spool/incoming/$id" && !glob "$store/entries/*";
        $id = undef;
    }
    ok(defined $id, 'killed between spool and store') or return;
    my $second = killer($spool, 'active', text());
    my $r = prestart('--strict', '--store', $store, $spool);
    is(scalar(() = glob "$store/entries/*"), 2, 'both are in the store');
    is_status(spoolck('quarantine', 'verify', '--store', $store), '0', 'whole');
    ok(!-e "$spool/active/$second" && !-e "$spool/incoming/$id", 'and out of the spool');
};

# --- COMMAND ----------------------------------------------------------------------

# What a process got: descriptors, signals, directory, umask, group, environment.
my $inherited = <<'P';
for (grep { m{/(\d+)$} && $1 != $dirfd } glob '/proc/self/fd/*') { my $l = readlink; print "$_ $l\n" if defined $l && $l !~ m{/proc/\d+/fd$} }
open my $in, '<', '/proc/self/status'; /^(?:SigBlk|SigIgn|SigPnd|ShdPnd|Umask|NoNewPrivs|Seccomp|CapEff)/ and print while <$in>;
print getpgrp == $$ ? "leader\n" : "member\n"; use Cwd; print cwd(), "\n"; print "$_=$ENV{$_}\n" for sort keys %ENV; print "@ARGV\n";
P

sub inherit {
    my (@before) = @_;
    my $out = scratch() . '/out';
    my $pid = fork // die;
    if (!$pid) {
        POSIX::setpgid(0, 0);
        POSIX::dup2(fileno(STDERR), 9);
        open STDOUT, '>', $out;
        close STDIN;
        $SIG{CHLD} = $SIG{USR2} = $SIG{HUP} = 'IGNORE';
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGUSR1(), POSIX::SIGTERM()));
        umask 0027;
        chdir '/';
        { no warnings 'exec'; exec @before, $perl, '-e', $inherited, '--', 'a', "b c", '--', ''; }
        POSIX::_exit(9);
    }
    waitpid $pid, 0;
    my $text = read_file($out);
    $text =~ s/\Q$out\E/OUT/g;
    return ($?, $text);
}

subtest 'COMMAND' => sub {
    my ($spool, $store) = (sound_spool(), new_store());
    my $id = killer($spool, 'active', text());
    my ($status, $plain) = inherit();
    my ($with_status, $with) = inherit(program(), 'prestart', '--store', $store, $spool, '--');
    is($with_status, 0, 'runs');
    ok(!-e "$spool/active/$id", 'after the move');
    $with =~ s/^.*?(?=^\/proc)//ms; # the report comes first
    is($with, $plain, 'with descriptors, signals and everything else as inherited');
    like($plain, qr/^SigIgn:\s+0*[1-9a-f]/m, '(which are not trivial)');
    for (['--nonsense'], ['--budget', 'soon'], ['/nonexistent'], ['--store', 'relative', $spool], ['--strict', '/nonexistent']) {
        my $r = prestart(@$_, '--', $perl, '-e', 'print "started\n"; exit 7');
        is($r->{status}, 7, "runs whatever happens: @$_");
        is($r->{out}, "started\n", 'once');
    }
    is(prestart('--store', $store, $spool, '--', '/nonexistent/command')->{status}, 127, 'one that is not there');
    is(prestart('--store', $store, $spool, '--', '/etc/passwd')->{status}, 126, 'one that cannot be run');
};

# --- Storage that does not answer -----------------------------------------------------

# Runs prestart until its standard output reaches its end, as a service manager reads it.
sub to_the_end {
    my (@words) = @_;
    my $err = scratch() . '/err';
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        POSIX::setpgid(0, 0);
        close $in;
        open STDOUT, '>&', $out;
        open STDERR, '>', $err;
        { no warnings 'exec'; exec program(), 'prestart', @words; }
        POSIX::_exit(127);
    }
    close $out;
    local $SIG{ALRM} = sub { kill 'KILL', -$pid };
    alarm 60;
    my $text = do { local $/; readline $in };
    alarm 0;
    waitpid $pid, 0;
    return { status => $? & 127 ? undef : $? >> 8, signal => $? & 127, out => $text, err => read_file($err), pid => $pid };
}

# Does the kernel hold a process of a run about `$path` that cannot be killed?
sub stuck {
    my ($path) = @_;
    my @found;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        next if (readline($in) // '') !~ /^(\d+) \(spoolck\) D /;
        open my $words, '<', "/proc/$1/cmdline" or next;
        push @found, $stat if (readline($words) // '') =~ /\Q$path\E/;
    }
    return @found;
}

my $probe = scratch();
my $fuse = $> == 0 && $ENV{SPOOLCK_NS} ? deaf($probe) : undef;
hear_again($fuse) if $fuse;

SKIP: {
    skip 'no FUSE file system can be mounted here', 1 unless $fuse;

    subtest 'a spool on a file system that never answers' => sub {
        my $dead = scratch();
        my ($spool, $store) = (sound_spool(), new_store());
        my $id = killer($spool, 'active', text());
        my $deaf = deaf($dead);
        for (['0'], ['32', '--strict']) {
            my ($bits, @strict) = @$_;
            my $r = to_the_end('--budget', '6', '--store', $store, @strict, $dead);
            is_status($r, $bits, "returns, and its output ends (@strict)");
            like($r->{err}, qr/\Q$dead\E: does not answer: nothing of it was looked at/, 'says so');
        }
        ok(scalar stuck($dead), 'while its child hangs in the kernel');
        my $r = to_the_end('--budget', '10', '--store', $store, '--strict', $dead, $spool);
        is_status($r, '32+1', 'another spool');
        ok(!-e "$spool/active/$id", 'is served meanwhile');
        $r = to_the_end('--budget', '1', '--store', $store, $dead, '--', $perl, '-e', 'print "started\n"');
        is($r->{out}, "started\n", 'COMMAND runs');
        hear_again($deaf);
        for (1 .. 200) { last unless stuck($dead); sleep 0.05 }
        is(scalar(my @left = stuck($dead)), 0, 'nothing is left when the file system is gone');
    };

    subtest 'one place that never answers' => sub {
        my ($spool, $store) = (sound_spool(), new_store());
        my @ids = (killer($spool, 'active', text()), killer($spool, 'maildrop', text()));
        my $deaf = deaf("$spool/incoming");
        my $r = to_the_end('--budget', '10', '--store', $store, '--strict', $spool);
        hear_again($deaf);
        is_status($r, '32+1', 'returns');
        ok(!-e "$spool/active/$ids[0]", 'what stops the server in active/, which is read first, was moved');
        ok(-e "$spool/maildrop/$ids[1]", 'what comes behind the place was not');
        like($r->{err}, qr/ 9 messages were looked at, 1 moved; not, or not wholly: incoming, maildrop, deferred, hold/,
            'says how far it came');
        is_status(spoolck('quarantine', 'verify', '--store', $store), '0', 'whole entries');
        is_status(spoolck('quarantine', 'list', '--store', $store), '0', 'that can be listed');
    };

    subtest 'a store that never answers' => sub {
        my ($spool, $dead) = (sound_spool(), scratch());
        my $id = killer($spool, 'active', text());
        my $before = snapshot($spool);
        my $deaf = deaf($dead);
        my $r = to_the_end('--budget', '2', '--store', "$dead/store", '--strict', $spool);
        hear_again($deaf);
        is_status($r, '32', 'returns');
        same_tree($before, snapshot($spool), 'nothing was touched');
    };
}

subtest 'the supervisor touches neither spool nor store' => sub {
    my ($spool, $store, $trace) = (sound_spool(), new_store(), scratch() . '/trace');
    killer($spool, 'active', text());
    my $status = system "strace -qq -o $trace -e trace=%file,%desc " . program() . " prestart --store $store $spool >/dev/null 2>&1";
    plan skip_all => 'strace cannot trace here' if !-s $trace;
    is($status, 0, 'it runs');
    # (with its own start, and what the C library reads)
    my @touched = grep { /\Q$spool\E|\Q$store\E/ && !/^execve\(|^(?:write|send\w*|read)\(/ } split /\n/, read_file($trace);
    is("@touched", '', 'no system call names one');
    unlike(read_file($trace), qr/^(?:getdents|statfs|fstatfs|flock)/m, 'no directory is read');
};

subtest 'a reader of the output that does not read' => sub {
    my ($spool, $store) = (sound_spool(600), new_store());
    pipe my $in, my $out or die;
    fcntl $out, 1031, 4096 or die "F_SETPIPE_SZ: $!";
    my $pid = fork // die;
    if (!$pid) {
        POSIX::setpgid(0, 0);
        open STDOUT, '>&', $out;
        open STDERR, '>', '/dev/null';
        { no warnings 'exec'; exec program(), 'prestart', '--all', '--budget', '2', '--store', $store, $spool }
        POSIX::_exit(127);
    }
    my $ended;
    for (1 .. 1200) { last if $ended = waitpid($pid, POSIX::WNOHANG()) == $pid; sleep 0.05 }
    ok($ended, 'stops nobody') or kill 'KILL', -$pid;
    is($? >> 8, 0, 'exit 0');
};

subtest 'told to stop' => sub {
    my $spool = sound_spool();
    my %run = (
        'without COMMAND' => [ 0, $spool ], '--strict' => [ 32, '--strict', $spool ],
        'with COMMAND' => [ 128 + 15, $spool, '--', $perl, '-e', 'print "started\n"' ]);
    for my $what (sort keys %run) {
        my ($status, @words) = @{ $run{$what} };
        # Its workers hang, one after the other.
        my $run = start({ program => hostile_program(), env => { SPOOLCK_HOSTILE => 'hang' } }, 'prestart',
            '--budget', '50', '--store', new_store(), @words);
        sleep 1;
        kill 'TERM', $run->{pid};
        my $r = finish($run);
        is($r->{status}, $status, $what);
        unlike($r->{out}, qr/started/, 'COMMAND is not run') if @words > 2;
        ok(!left_over($r), 'no process is left');
    }
};

done_testing();
