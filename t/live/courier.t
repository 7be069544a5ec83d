#!/usr/bin/perl
# The Courier format against the real server: Courier 1.0 from Debian, in a chroot and namespaces of
# its own.
#
# Hundreds of real messages raise nothing, waiting, at work and afterwards; of thousands of damaged
# control files exactly those that courierd deletes or returns are said to be deleted; what it loops
# on, dies of, forgets or sends again and again is found before. SPOOLCK names the program. Takes
# root, and a Debian mirror the first time. SPOOLCK_KEEP=DIR: keep the spools there.
# SPOOLCK_DAMAGED: copies (2700); LAB_SEED.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use Lab::Courier;
use Lab::Courier::Corpus qw(feed relay control_file);
use Lab::Courier::Damage qw(damage fate envelope %parts);
use Lab::Util qw(base_dir slurp spew spawn stop_children wait_for run_ok);
use Spoolck;

my $damaged = $ENV{SPOOLCK_DAMAGED} || 2700;

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    Lab::Courier::build_chroot();
    # Courier reads a file of any size into memory.
    exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', 'ulimit -v 4000000; exec "$@"', 'sh', $^X,
        Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
$SIG{ALRM} = $SIG{TERM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 1200;
my $base = ($ENV{SPOOLCK_KEEP} || base_dir()) . '/courier-lab';
my $lab = Lab::Courier->new("$base/lane");
my $text = "Received: from a\n  by b\nSubject: x\n\nx\n";
run_ok('rm', '-rf', "$base/$_") for qw(real store damaged parts delay again few);
my @store = ('--store', "$base/store");
relay();

# --- What we say -------------------------------------------------------------------------------

# Findings above a notice, and verdicts that are none of ok, noted, busy, changed.
sub above {
    my ($scan) = @_;
    return (map({ "$_->{severity} $_->{name} $_->{part}" } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} }),
        map({ "$_->{verdict} $_->{parts}[0]" } grep { $_->{verdict} !~ /^(?:ok|noted|busy|changed)$/ } @{ $scan->{messages} }));
}

sub nothing_above {
    my ($scan, $what) = @_;
    is(join("\n", above($scan)), '', $what) or diag $scan->{err};
}

# { number => { verdict, impact, names } }
sub ours {
    my ($spool) = @_;
    my $scan = scan('--all', "courier:$spool");
    my %ours;
    for my $m (@{ $scan->{messages} }) {
        my ($n) = $m->{id} =~ /^(\d+)/;
        $ours{$n} = { %$m, names => '' };
    }
    for my $f (grep { defined $_->{id} } @{ $scan->{findings} }) {
        my ($n) = $f->{id} =~ /^(\d+)/;
        $ours{$n}{names} .= "$f->{name} ";
    }
    return \%ours;
}

sub lines { my ($pattern) = @_; return scalar(() = $lab->log =~ /$pattern/g) }

# Until courierd waits with nothing in progress, and has said nothing for a while.
sub quiet {
    my $last = -1;
    wait_for('courierd to have done everything', 150, sub {
        sleep 2;
        my $log = $lab->log;
        my ($idle) = $log =~ /.*\bWaiting\.[^\n]*inprogress=(\d+)/s;
        my $same = length $log == $last;
        $last = length $log;
        $same && defined $idle && $idle == 0;
    });
}

# --- Real mail ---------------------------------------------------------------------------------

my @control;
subtest 'real mail' => sub {
    my $spool = "$base/real";
    $lab->use_spool($spool);
    cmp_ok(feed($lab, 400, 1), '>', 250, 'many mails are queued');
    my $scan = scan('--all', "courier:$spool");
    nothing_above($scan, 'waiting to be taken: nothing above a notice');
    my $waiting = grep { $_->{parts}[0] =~ /^tmp/ } @{ $scan->{messages} };
    cmp_ok($waiting, '>', 250, "$waiting submissions");
    is(exit_bits($scan), '0', 'exit status 0');

    # While courierd takes them all, more come, and all are tried again and again.
    $lab->configure(retryalpha => 1, retrybeta => 3);
    my ($seen, $scans, @worse) = (0, 0);
    my $feeder = spawn(sub { feed($lab, 150, 2); feed($lab, 150, 3) });
    $lab->start;
    until ($scans >= 30 && lines(qr/courierd: completed,/) >= 600) {
        my $busy = scan('-n', '--all', "courier:$spool");
        $scans++;
        $seen += @{ $busy->{messages} };
        push @worse, above($busy), $busy->{status} ? "exit $busy->{status}" : ();
    }
    waitpid $feeder, 0;
    my $plain = scan('-y', @store, '--all', $spool);
    is($plain->{start}{spools}[0]{format}, 'courier', 'the spool is recognised');
    is($plain->{summary}{moved}, 0, 'and nothing is moved');
    is(join("\n", @worse), '', "busy: nothing above a notice in $scans scans");
    cmp_ok($seen, '>', 500, "which met $seen messages, during " . lines(qr/courierd: completed,/) . ' tries');
    is(join('', $lab->log =~ /^.*(?:No such file|Invalid|CORRUPTION|ABNORMAL).*\n/mg), '', 'courierd has nothing to complain of');
    $lab->configure(retryalpha => 3600, retrybeta => 3);
    $lab->stop;

    $scan = scan('--all', "courier:$spool");
    nothing_above($scan, 'afterwards: nothing above a notice');
    my $m = Lab::Courier::messages($spool);
    # A report that was on its way when courierd was stopped waits in tmp/.
    my %inode = map { (stat $_)[1] => 1 } map({ $_->{entry} } values %$m), glob "$spool/tmp/*/C*";
    is(scalar @{ $scan->{messages} }, scalar keys %inode, 'every message was looked at');
    cmp_ok(scalar keys %$m, '>=', 200, keys(%$m) . ' messages');
    @control = map { slurp($m->{$_}{control}) } sort { $a <=> $b } keys %$m;
    my %letter;
    $letter{$_}++ for map { /^(.)/mg } @control;
    ok($letter{$_}, "among them records of type $_") for qw(s f e t M L r R N V m O u E p W A I S F D C);
};

# --- Damaged control files -----------------------------------------------------------------------

# In which way we agree with what became of a message; undef = we do not.
sub agrees {
    my ($f, $o, $before, $now, $names) = @_;
    my $deletes = $o->{verdict} eq 'corrupt' && $o->{impact} eq 'server-deletes';
    my $seen = $o->{verdict} =~ /corrupt|suspect/;
    if ($f->{word} eq 'gone') {
        return 'deleted' if $deletes;
        # Submit refuses such a sender, but another release might not.
        return 'a sender that cannot be told' if $names =~ /courier\.sender/ && $seen;
        # Letters make another address, which may be one that is refused.
        return 'an address that is refused' if $now->{count} == $before->{count} && $now->{left} . $now->{sender} ne $before->{left} . $before->{sender};
        return 'all done by the records' if $names =~ /courier\.done/;
        return undef;
    }
    return undef if $f->{word} eq 'untried';
    if ($deletes) {
        # Not all of these end before the expiry is looked at; each is proved by others that do.
        return 'deleted, if it cannot be delivered' if $names =~ /courier\.(?:sender|recipient)\b/;
        return undef;
    }
    my $same = $f->{count} == $before->{count};
    return $same ? 'read as before' : 'read otherwise, and seen' if $seen;
    return 'read as before' if $same && $now->{sender} eq $before->{sender} && $now->{left} eq $before->{left};
    return 'other letters in an address' if $same;
    # Records are appended, so the file may end behind any of them; and one that is gone leaves no gap.
    return 'a record of a delivery is gone' if $now->{count} > $before->{count};
    return 'a try became a delivery' if $now->{count} < $before->{count} && $f->{count} == $now->{count};
    return undef;
}

subtest 'damaged control files' => sub {
    my $spool = "$base/damaged";
    $lab->configure(esmtproutes => ':[127.0.0.9],2599'); # nobody is there: every try is deferred
    $lab->use_spool($spool);
    my $cases = damage($lab, $spool, $damaged, $text, @control);
    my $ours = ours($spool);
    $lab->log_cut;
    $lab->start;
    quiet();
    $lab->stop;
    my (%tally, @disagree);
    for my $n (sort { $a <=> $b } keys %$cases) {
        my $c = $cases->{$n};
        my $o = $ours->{$n} // { verdict => 'not listed', impact => '', names => '' };
        my $f = fate($spool, $n, $c);
        my $as = agrees($f, $o, envelope($c->{from}), envelope($c->{bytes}), $o->{names});
        $tally{$as}++ if defined $as;
        spew("$base/lane/disagree.$n", $c->{bytes}), spew("$base/lane/disagree.$n.from", $c->{from}) unless defined $as;
        push @disagree, "$n $c->{kind}: server $f->{word} ($f->{count}), we $o->{verdict} $o->{impact} $o->{names}" unless defined $as;
    }
    diag join ', ', map { "$tally{$_} $_" } sort keys %tally;
    is(scalar @disagree, 0, 'we agree on ' . keys(%$cases)) or diag join "\n", @disagree[0 .. ($#disagree < 30 ? $#disagree : 30)];
    cmp_ok($tally{deleted}, '>', 100, 'many were deleted');
    cmp_ok($tally{'read as before'}, '>', 500, 'many were not');
};

# --- Parts that are missing, misplaced, linked ---------------------------------------------------

# Each in a spool of its own, beside a healthy message.
for my $what (sort keys %parts) {
    my ($make, $say, $server) = @{ $parts{$what} };
    subtest $what => sub {
        my $spool = "$base/parts";
        run_ok('rm', '-rf', $spool);
        $lab->use_spool($spool);
        my $due = time - 1000;
        my $good = $lab->put($spool, $due, control => control_file($due), data => $text);
        my $n = $lab->put($spool, $due, control => control_file($due) . "C$due\nA$due\n", data => $text);
        my $p = Lab::Courier::parts($spool, $n, $due);
        $make->($lab, $spool, $n, $p);
        my $scan = scan('--all', "courier:$spool");
        my @said = map { "$_->{name} $_->{severity} $_->{impact}" } @{ $scan->{findings} };
        is(join(', ', sort @said), $say, 'we say so');
        is(join(', ', map { $_->{id} } grep { $_->{verdict} eq 'ok' } @{ $scan->{messages} }), "$good.$due", 'and nothing of its neighbour');
        $lab->log_cut;
        $lab->start;
        wait_for('the healthy message to be tried', 20, sub { slurp(Lab::Courier::parts($spool, $good, $due)->{control}) =~ /^D0/m });
        sleep 1;
        my $did = $server->($lab, $spool, $n, $p);
        ok($did, 'and so does courierd') or diag $lab->log, `find $spool -type f -ls`;
        $lab->stop;
    };
}

# --- Known calamities -----------------------------------------------------------------------------

subtest 'a submission that courierd dies of' => sub {
    my $spool = "$base/delay";
    $lab->use_spool($spool);
    ok($lab->submit(from => 'alice@example.org', to => ['bob@example.net'], data => $text, options => ['-delay=86400']), 'a delay of a day');
    my ($c) = glob "$spool/tmp/*/C*";
    utime time - 600, time - 600, $c;
    is(join(', ', map { "$_->{name} $_->{severity} $_->{impact}" } @{ scan('--all', "courier:$spool")->{findings} }),
        'courier.delay suspect server-stops', 'is suspect');
    $lab->log_cut;
    $lab->start;
    wait_for('courierd to die', 20, sub { $lab->log =~ /ABNORMAL TERMINATION/ });
    $lab->stop;
    my $folder = "$spool/msgq/" . int((time + 86400) / 10000);
    mkdir $folder;
    chown @$lab{qw(uid gid)}, $folder;
    spew("$folder/keep", ''); # courierd removes empty folders when it starts
    $lab->log_cut;
    $lab->start;
    sleep 2;
    unlike($lab->log, qr/ABNORMAL/, 'with the folder made it lives');
    like($lab->log, qr/newmsg/, 'and takes the message');
    $lab->stop;
};

subtest 'a zero byte, and mail without end' => sub {
    my $spool = "$base/again";
    $lab->use_spool($spool);
    $lab->configure(esmtproutes => ':[127.0.0.1],2526', retryalpha => 1, retrybeta => 100);
    my $due = time - 1000;
    my $n = $lab->put($spool, $due, control => control_file($due) . "\0\0\0", data => $text);
    is(ours($spool)->{$n}{names}, 'courier.nul ', 'is corrupt');
    $lab->log_cut;
    $lab->start;
    wait_for('the third delivery', 30, sub { lines(qr/,addr=<ok0\@example\.net>,success: delivered/) >= 3 });
    ok(-e Lab::Courier::parts($spool, $n, $due)->{control}, 'the message is delivered again and again');
    $lab->stop;
    $lab->configure(esmtproutes => ':[127.0.0.9],2599', retryalpha => 3600, retrybeta => 3);
};

# --- Into quarantine, and back ------------------------------------------------------------------------

# With the store on another file system: what leaves lodges in spoolck/ of the spool, because a copy
# would not be the same inode.
subtest 'quarantine, a clean start, and back' => sub {
    my $spool = "$base/few";
    run_ok('mkdir', '-p', "$base/far");
    run_ok('mount', '-t', 'tmpfs', 'none', "$base/far");
    my @store = ('--store', "$base/far/store");
    my $due = time - 1000;
    $lab->use_spool($spool);
    my @good = map { $lab->put($spool, $due, control => control_file($due), data => $text) } 1 .. 10;
    my %bad = map { $_->[0] => $lab->put($spool, $due, control => $_->[1], data => $_->[2]) } ['empty', '', $text],
        ['cut', substr(control_file($due), 0, 120), $text], ['no text', control_file($due), ''],
        ['no expiry', control_file($due) =~ s/^E.*\n//mr, $text];
    my $linked = $lab->put($spool, $due, control => control_file($due), data => $text);
    my $p = Lab::Courier::parts($spool, $linked, $due);
    mkdir "$spool/msgq/1";
    rename $p->{entry}, "$spool/msgq/1/" . $p->{entry} =~ s{.*/}{}r;
    my $before = snapshot($spool);
    my $scan = scan('-p', @store, '--max-move', 'none', "courier:$spool");
    is($scan->{summary}{moved}, 4, 'scan -p takes what would be lost, and what courierd loops on');
    $scan = scan('-y', @store, '--max-move', 'none', "courier:$spool");
    is($scan->{summary}{moved}, 1, 'scan -y takes the empty text');
    nothing_above(scan('-n', @store, "courier:$spool"), 'the second run is clean');
    my $add = spoolck('quarantine', @store, 'add', "courier:$spool:$good[0]");
    is(exit_bits($add), '1', 'a healthy one is put aside by its number') or diag $add->{err};
    my $lodge = snapshot("$spool/spoolck");
    is(scalar(grep { /^f/ } values %$lodge), 18, 'all of it lodges in the spool');
    $lab->log_cut;
    $lab->start;
    wait_for('the others to be tried', 30, sub { lines(qr/courierd: completed,/) >= 9 });
    is(join('', $lab->log =~ /^.*(?:No such file|Invalid|Cannot|CORRUPTION|ABNORMAL|spoolck).*\n/mg), '', 'courierd starts with a clean log');
    my $refused = spoolck('quarantine', @store, 'add', "courier:$spool:$good[1]");
    isnt(exit_bits($refused), '1', 'nothing can be moved while it runs');
    like($refused->{err}, qr/server is stopped/, 'and it is said why');
    same_tree($lodge, snapshot("$spool/spoolck"), 'the lodge was left alone');
    my @entries = map { $_->{entry} } json_lines(spoolck('quarantine', 'list', @store, '--format', 'json')->{out});
    is(scalar @entries, 6, 'six entries');
    my $early = spoolck('quarantine', @store, 'restore', '--force', @entries);
    isnt(exit_bits($early), '2', 'nor restored');
    $lab->stop;
    # What courierd has tried meanwhile is another file now; the six are as they were.
    my $back = spoolck('quarantine', @store, 'restore', '--force', @entries);
    is(exit_bits($back), '2', 'all can be restored') or diag $back->{err};
    my $after = snapshot($spool);
    my $moved = join '|', $good[0], $linked, values %bad;
    my ($x, $y) = map { my $s = $_; +{ map { $_ => $s->{$_} } grep { m{/[CD](?:$moved)(?:\.|\z)} } keys %$s } } $before, $after;
    is(scalar keys %$x, 18, 'three names each');
    same_tree($x, $y, 'every file is back: bytes, names, modes, times, inodes');
    my ($entry) = glob "$spool/msgq/*/C$good[0].*";
    is((stat $entry)[3], 2, 'with its second name');
    $lab->log_cut;
    $lab->configure(esmtproutes => ':[127.0.0.1],2526');
    my $control = Lab::Courier::parts($spool, $good[0], $due)->{control};
    $lab->start;
    wait_for('the restored message to be done', 30, sub { !-e $control });
    like($lab->log, qr/addr=<ok0\@example\.net>,success: delivered/, 'the restored message is delivered');
    $lab->stop;
    run_ok('umount', "$base/far");
};

stop_children();
done_testing();
