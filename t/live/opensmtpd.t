#!/usr/bin/perl
# The OpenSMTPD format against the real server: OpenSMTPD 6.8 and 7.6 from Debian 12 and 13, each in
# a chroot and namespaces of its own.
#
# Hundreds of real messages raise nothing; of thousands of damaged envelopes, plain and compressed,
# exactly those that smtpd does not load are corrupt; damaged compressed texts are delivered or not as
# foretold; what kills smtpd is found before it starts. SPOOLCK names the program. Takes root, openssl,
# and a Debian mirror the first time. SPOOLCK_KEEP=DIR: keep the spools there. SPOOLCK_SUITE: only this one. LAB_SEED: other copies.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Lab::OpenSMTPD;
use Lab::OpenSMTPD::Corpus qw(configuration feed feed_few keep_all);
use Lab::OpenSMTPD::Damage qw(damage damage_packed one_packed pack_gzip put_envelope);
use Lab::Util qw(base_dir rng slurp spew spawn stop_children wait_for run_ok);
use Spoolck;

my @suites = $ENV{SPOOLCK_SUITE} || qw(bookworm trixie);
my @store;

# The tests of one suite, in namespaces of its own: a subtest.
sub inside {
    my ($suite) = @_;
    Lab::OpenSMTPD::build_chroot($suite);
    note "Subtest: $suite";
    open my $out, '-|', 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', 'sh', '-c', 'ulimit -v 4000000; exec "$@"', 'sh',
        $^X, Cwd::abs_path($0), '--inside', $suite
        or die "unshare: $!";
    while (my $line = readline $out) { print "    $line" }
    ok(close $out, $suite);
}

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    inside($_) for @suites;
    done_testing();
    exit;
}
my $suite = shift;
my $damaged = $ENV{SPOOLCK_DAMAGED} || ($suite eq 'bookworm' ? 3600 : 1800);
my $version = $suite eq 'bookworm' ? '6.8.0' : '7.6.0';
$SIG{ALRM} = $SIG{TERM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 1200;
my $base = ($ENV{SPOOLCK_KEEP} || base_dir()) . "/opensmtpd-lab-$suite";
my $lab = Lab::OpenSMTPD->new($suite, "$base/lane");
# TLS is asked of 7.6 only: the 6.8 of Debian 12 cannot use a key with OpenSSL 3 ("missing private key").
my $password = $lab->credentials;
$password = undef if $suite eq 'bookworm';
my $crypt = 'queue encryption "0123456789abcdef0123456789abcdef"' . "\n";
my @envelopes;
# Those that stay as they are while deliveries are paused; bounces do not.
my @waiting;
run_ok('rm', '-rf', "$base/$_") for qw(real store damaged packed bodies kept host gzip crypt both killer few);
@store = ('--store', "$base/store");

# Messages above notice, as { id => "verdict finding impact" }.
sub above {
    my ($scan) = @_;
    my %worst;
    for my $f (@{ $scan->{findings} }) {
        next if $f->{severity} eq 'notice' || !defined $f->{id};
        $worst{ $f->{id} } //= "$f->{severity} $f->{name} $f->{impact}";
    }
    for my $m (@{ $scan->{messages} }) {
        $worst{ $m->{id} } //= $m->{verdict} unless $m->{verdict} =~ /^(?:ok|noted|busy|changed)$/;
    }
    return \%worst;
}

sub nothing_above {
    my ($scan, $what) = @_;
    my $above = above($scan);
    is(join("\n", map { "$_ $above->{$_}" } sort keys %$above), '', $what);
}

# Envelopes that the server has loaded: those in its list, and those that it has done with.
sub loaded {
    my (undef, $queue) = $lab->chroot_run('', 'smtpctl', 'show', 'queue');
    my %got = map { $_ => 1 } $queue =~ /^([0-9a-f]{16})\|/mg, $lab->log =~ /scheduler: evp:([0-9a-f]{16}) /g;
    return \%got;
}

# Start with nothing being delivered, only to see what is loaded.
sub start_paused { return $lab->start('-P', 'mta', '-P', 'mda', @_) }

subtest 'real messages, a busy server' => sub {
    $lab->use_spool("$base/real");
    $lab->configure(configuration('', $password));
    $lab->start;
    my ($in, $out);
    pipe $in, $out;
    my $scanner = spawn(sub {
        my ($runs, %bad) = (0);
        my $stop = 0;
        local $SIG{TERM} = sub { $stop = 1 };
        until ($stop) {
            my $above = above(scan('-n', @store, $lab->spool));
            $bad{"$_ $above->{$_}"} = 1 for keys %$above;
            $runs++;
        }
        syswrite $out, join "\n", "runs $runs", keys %bad;
        close $out;
    });
    close $out;
    cmp_ok(feed($lab, 230, $password), '>=', 300, 'accepted');
    # Until most have been tried; the relay takes only so many at a time.
    for (1 .. 40) {
        sleep 0.5;
        my (undef, $queue) = $lab->chroot_run('', 'smtpctl', 'show', 'queue');
        my $waiting = () = $queue =~ /\|inflight\|/g;
        last if $waiting < 10 && $queue =~ /pending/;
    }
    kill 'TERM', $scanner;
    my ($runs, @bad) = split /\n/, do { local $/; readline $in };
    is("@bad", '', "no false alarm beside the working server ($runs)");
    my $running = spoolck('scan', '-n', @store, $lab->spool);
    like($running->{out}, qr/OpenSMTPD, running/, 'it is seen to run');
    $lab->stop;
    my $scan = scan('-n', @store, '--all', $lab->spool);
    my $files = Lab::OpenSMTPD::files($lab->spool);
    cmp_ok(scalar(grep { length == 16 } keys %$files), '>=', 200, 'envelopes: ' . grep { length == 16 } keys %$files);
    is(scalar @{ $scan->{messages} }, scalar keys %$files, 'each is a message, and each body');
    nothing_above($scan, 'nothing above notice');
    is(exit_bits($scan), '0', 'and the exit status is 0');
    like(spoolck('scan', '-n', @store, $lab->spool)->{out}, qr/OpenSMTPD, stopped/, 'it is seen to be stopped');
    @envelopes = map { slurp($files->{$_}) } grep { length == 16 } sort keys %$files;
    @waiting = grep { !/^type: bounce$/m } @envelopes;
    my %keys = map { $_ => 1 } map { /^([a-z-]+):/mg } @envelopes;
    note 'keys: ', join ' ', sort keys %keys;
    cmp_ok(scalar(grep { /^username: alice\n/m && /^flags: .*authenticated/m } @envelopes), '>=', 10, 'some came over TLS from a user')
        if $password;
    stop_children();
};

subtest 'other kinds of queues' => sub {
    for my $kind (['gzip', "queue compression\n"], ['crypt', $crypt], ['both', "queue compression\n$crypt"]) {
        my ($name, $option) = @$kind;
        $lab->use_spool("$base/$name");
        $lab->configure(configuration($option));
        $lab->start;
        feed_few($lab);
        sleep 1;
        $lab->stop;
        stop_children();
        my $scan = scan('-n', @store, '--all', $lab->spool);
        cmp_ok(scalar @{ $scan->{messages} }, '>=', 40, "$name: messages");
        nothing_above($scan, "$name: nothing above notice");
    }
};

# What smtpd refuses and we only suspect, and the reason. Its version is known.
my %milder = (
    'opensmtpd.too-long' => 'the limit depends on the C library',
    'opensmtpd.too-large' => 'the limit depends on the C library',
    'opensmtpd.dispatcher' => 'smtpd.conf may get that action back',
    'opensmtpd.storage'  => 'smtpd.conf may have had another option',
);

# Start smtpd with the damaged envelopes { id => kind } of a spool, and compare what it loads with what is said
# of them where they are the host's own: with smtpd.conf and the version at hand.
sub compare_loaded {
    my ($spool, $kind) = @_;
    run_ok('mount', '--bind', $spool, '/var/spool/smtpd');
    my $above = above(scan('-n', @store, '/var/spool/smtpd'));
    run_ok('umount', '/var/spool/smtpd');
    my (@wrong, %agree, %excused);
    # What stops the whole server has a test of its own.
    my @deadly = grep { $above->{$_} =~ / server-stops$/ } sort keys %$above;
    my $files = Lab::OpenSMTPD::files($spool);
    unlink $files->{$_} for @deadly;
    delete @$kind{@deadly};
    note 'without ', scalar @deadly, ' that stop the server';
    start_paused();
    ok($lab->alive, 'smtpd runs with all of them') or diag join '', (split /^/, $lab->log)[-15 .. -1];
    wait_for('the queue to be loaded', 300, sub { $lab->log =~ /done loading queue/ });
    sleep 1;
    my $loaded = loaded();
    $lab->stop;
    for my $id (sort keys %$kind) {
        my $said = $above->{$id} // 'ok';
        my ($severity, $name) = split ' ', $said;
        if ($loaded->{$id}) {
            # Loaded: not corrupt.
            if ($severity ne 'corrupt') { $agree{loaded}++ }
            else                        { push @wrong, "$id $kind->{$id}: loaded, but $said" }
        }
        elsif ($severity eq 'corrupt') { $agree{refused}++ }
        elsif ($severity eq 'suspect' && $milder{$name}) { $excused{$name}++ }
        else { push @wrong, "$id $kind->{$id}: refused, but $said" }
    }
    is(join("\n", splice @wrong, 0, 20), '', 'smtpd and spoolck agree');
    note scalar keys %$kind, " damaged: $agree{refused} refused by both, $agree{loaded} loaded by both";
    note "only suspect: $excused{$_} $_ ($milder{$_})" for sort keys %excused;
}

$lab->on_host("$base/host");

subtest 'damaged envelopes' => sub {
    my $spool = "$base/damaged";
    $lab->use_spool($spool);
    $lab->configure(configuration(''));
    compare_loaded($spool, damage($spool, $damaged, $lab->queue_uid, @envelopes));
};

subtest 'damaged envelopes, compressed' => sub {
    my $spool = "$base/packed";
    $lab->use_spool($spool);
    $lab->configure(configuration("queue compression\n"));
    compare_loaded($spool, damage_packed($spool, $damaged / 2, $lab->queue_uid, @envelopes));
};

# An envelope to a recipient of its own, as smtpd writes it.
sub envelope_to {
    my ($local) = @_;
    my $now = int time;
    return "version: 3\ndispatcher: relay\ntype: mta\nsmtpname: lab.test\nhelo: client.test\nhostname: client.test\n"
        . "sockaddr: 127.0.0.1\nsender: alice\@example.org\nrcpt: $local\@example.net\ndest: $local\@example.net\n"
        . "ctime: $now\nlast-try: 0\nlast-bounce: 0\nttl: 345600\nretry: 0\ndsn-notify: 0\n";
}

# Until each of the envelopes has been tried once.
sub wait_for_tries {
    my (@ids) = @_;
    wait_for('all to be tried', 300, sub {
        my %tried = map { $_ => 1 } $lab->log =~ /evpid=([0-9a-f]{16}) .*result=/g;
        return !grep { !$tried{$_} } @ids;
    });
}

subtest 'damaged texts, compressed' => sub {
    my ($spool, $kept, $rnd) = ("$base/bodies", "$base/kept", rng(3));
    my (%kind, %text, %to, %sum_only, @wrong, %agree);
    $lab->use_spool($spool);
    $lab->configure(configuration("queue compression\n"));
    for my $n (0 .. 239) {
        my $text = "Received: from a\nSubject: $n\n\n" . join '', map { "line $_ " . ('x' x $rnd->(40)) . "\n" } 1 .. ($n % 5 == 0 ? 3000 : 20);
        my ($kind, $bytes) = one_packed($rnd, $n, $text);
        my $id = put_envelope($spool, $n, pack_gzip(envelope_to("body$n")), $lab->queue_uid, $bytes);
        @kind{$id} = $kind;
        @text{$id} = $text;
        @to{$id} = "body$n";
        $sum_only{$id} = 1 if $kind eq 'cut' && length(pack_gzip($text)) - length $bytes <= 8;
    }
    my $above = above(scan('-n', @store, $spool));
    my $relay = spawn(sub { keep_all($kept) });
    $lab->start;
    wait_for_tries(keys %kind);
    sleep 1;
    $lab->stop;
    stop_children();
    for my $id (sort keys %kind) {
        my $said = $above->{ substr $id, 0, 8 } // 'ok';
        my $got = -e "$kept/$to{$id}" ? slurp("$kept/$to{$id}") : undef;
        my $became = !defined $got ? 'not delivered' : $got eq $text{$id} ? 'whole' : index($text{$id}, $got =~ s/\n\z//r) == 0 ? 'cut' : 'damaged';
        my $foretold = $said =~ /corrupt opensmtpd\.gzip stranded/ ? 'not delivered'
            : $said =~ /corrupt opensmtpd\.gzip damaged-delivery/ ? 'cut'
            : $said eq 'ok' ? 'whole' : undef;
        # Cut within the check sum behind the text: that is damage, but the text is all there.
        $foretold = 'whole' if $sum_only{$id} && $foretold eq 'cut';
        if (!defined $foretold || $foretold eq $became) { $agree{"$said: $became"}++ }
        else { push @wrong, "$id $kind{$id}: $became, but $said" }
    }
    is(join("\n", splice @wrong, 0, 20), '', 'what is said of a text comes true');
    note "$agree{$_} $_" for sort keys %agree;
};

# An otherwise healthy spool of few messages.
sub small_spool {
    my ($name, @more) = @_;
    my $spool = "$base/$name";
    run_ok('rm', '-rf', $spool);
    $lab->use_spool($spool);
    put_envelope($spool, $_, $waiting[$_], $lab->queue_uid) for 1 .. 4;
    my $n = 100;
    put_envelope($spool, $n++, $_, $lab->queue_uid) for @more;
    return Lab::OpenSMTPD::files($spool);
}

sub with { my ($e, $key, $value) = @_; $e =~ s/^$key:.*/$key: $value/m or $e .= "$key: $value\n"; return $e }

# smtpd dies of it; scan -p moves it while the server is stopped; then smtpd runs; restored, it
# dies again.
sub deadly {
    my ($what, $finding, $make, $death) = @_;
    subtest $what => sub {
        my $spool = "$base/killer";
        $make->();
        $lab->configure(configuration(''));
        start_paused();
        sleep 2;
        ok(!$lab->alive, 'smtpd dies of it');
        like($lab->log, $death, 'as known');
        $lab->stop;
        my $before = snapshot($spool);
        my $scan = scan('-p', @store, $spool);
        is($scan->{summary}{moved}, 1, 'scan -p moves it');
        is((grep { $_->{severity} eq 'corrupt' } @{ $scan->{findings} })[0]{name}, $finding, "as $finding");
        start_paused();
        sleep 1;
        ok($lab->alive, 'smtpd runs without it');
        $lab->stop;
        # A purge at start is smtpd's own business.
        my @entries = map { $_->{entry} // () } @{ $scan->{messages} };
        my $back = spoolck('quarantine', @store, 'restore', '--force', @entries);
        is(exit_bits($back), '2', 'it can be restored') or diag $back->{err};
        my ($a, $b) = map { my $s = $_; +{ map { $_ => $s->{$_} } grep { /^queue/ } keys %$s } } $before, snapshot($spool);
        same_tree($a, $b, 'all as before');
    };
}

deadly('arrival in the far future', 'opensmtpd.ctime-far', sub {
    run_ok('rm', '-rf', "$base/killer");
    $lab->use_spool("$base/killer");
    put_envelope("$base/killer", 1, with($waiting[0], 'ctime', 99999999999999), $lab->queue_uid);
}, qr/invalid delay -/);

deadly('two names for one envelope: upper case', 'opensmtpd.twin', sub {
    my $files = small_spool('killer', with($waiting[0], 'tag', 'twin'));
    my ($path) = map { $files->{$_} } grep { length == 16 && /[a-f]/ } sort keys %$files;
    my ($dir, $name) = $path =~ m{(.*)/(.*)};
    run_ok('cp', '-a', $path, "$dir/" . uc $name);
}, qr/tree_xset|exiting|lost child/);

deadly('two names for one envelope: a copy of its directory', 'opensmtpd.twin', sub {
    my $files = small_spool('killer');
    my ($path) = map { $files->{$_} } grep { length == 16 } sort keys %$files;
    my ($dir) = $path =~ m{(.*)/};
    run_ok('cp', '-a', $dir, "$dir/../backup00");
}, qr/tree_xset|exiting|lost child/);

subtest 'quarantine, a clean start, and back' => sub {
    my $spool = "$base/few";
    my $files = small_spool('few');
    my @ids = grep { length == 16 } sort keys %$files;
    my $n = 200;
    for my $bad ('', substr($waiting[0], 0, 100), "\0" x 400, with($waiting[1], 'sockaddr', 'x'), $waiting[2] . "x: y z") {
        put_envelope($spool, $n++, $bad, $lab->queue_uid);
    }
    put_envelope($spool, $n++, $waiting[3], $lab->queue_uid, "\0" x 5000);
    my $before = snapshot($spool);
    my $scan = scan('-y', @store, '--max-move', 'none', $spool);
    is($scan->{summary}{moved}, 6, 'scan -y moves the damaged');
    nothing_above(scan('-n', @store, $spool), 'the second run is clean');
    my @entries = map { $_->{entry} // () } @{ $scan->{messages} };
    start_paused();
    sleep 1;
    is(join("\n", $lab->log =~ /^(?:warn|fatal|.*cannot parse|.*invalid).*/mg), '', 'smtpd starts with a clean log');
    is(scalar keys %{ loaded() }, scalar @ids, 'and loads the others');
    my $refused = spoolck('quarantine', @store, 'add', "$spool:$ids[0]");
    isnt(exit_bits($refused), '0', 'nothing can be moved while it runs');
    $lab->stop;
    my $back = spoolck('quarantine', @store, 'restore', @entries);
    is(exit_bits($back), '2', 'all can be restored') or diag $back->{err};
    my ($a, $b) = map { my $s = $_; +{ map { $_ => $s->{$_} } grep { /^queue/ } keys %$s } } $before, snapshot($spool);
    same_tree($a, $b, 'every file is back');
};

subtest 'moved aside, brought back, delivered' => sub {
    my ($spool, $kept) = ("$base/few", "$base/kept-few");
    run_ok('rm', '-rf', $spool, $kept);
    for my $option ('', "queue compression\n") {
        my $what = $option ? 'compressed' : 'plain';
        my $pack = sub { $option ? pack_gzip($_[0]) : $_[0] };
        my $text = "Received: from a\nSubject: $what\n\nA text.\n";
        $lab->use_spool($spool);
        $lab->configure(configuration($option));
        my @ids = map { put_envelope($spool, $_, $pack->(envelope_to("$what$_")), $lab->queue_uid, $pack->($text)) } 1 .. 3;
        my $add = spoolck('quarantine', @store, 'add', "$spool:$ids[0]");
        like(exit_bits($add), qr/1/, "$what: one is moved aside") or diag $add->{err};
        spawn(sub { keep_all($kept) });
        $lab->start;
        wait_for_tries(@ids[1, 2]);
        is(join("\n", $lab->log =~ /^(?:warn|fatal|.*cannot parse|.*invalid).*/mg), '', 'smtpd runs with a clean log');
        ok(!-e "$kept/${what}1", 'what was moved is not delivered');
        is(slurp("$kept/${what}2"), $text, 'the others are');
        $lab->stop;
        my ($entry) = map { (json_lines($_->{out}))[0]{entry} } spoolck('quarantine', @store, '--format', 'json', 'list');
        my $back = spoolck('quarantine', @store, 'restore', $entry);
        is(exit_bits($back), '2', 'it is restored') or diag $back->{err};
        $lab->start;
        wait_for_tries($ids[0]);
        is(slurp("$kept/${what}1"), $text, 'and delivered, byte by byte');
        $lab->stop;
        stop_children();
    }
};

# --- The host's own spool: what its configuration and its directories say

subtest 'the spool of this host' => sub {
    my $host = "$base/host";
    my $spool = "$host/smtpd";
    $lab->use_spool($spool);
    $lab->configure(configuration(''));
    my $about = sub {
        my $scan = scan('-n', @store, '--all', '/var/spool/smtpd');
        return join "\n", sort map { "$_->{name} $_->{severity} $_->{impact} " . ($_->{id} // $_->{part}) } @{ $scan->{findings} };
    };
    my $good = put_envelope($spool, 1, envelope_to('one'), $lab->queue_uid);
    my $gone = put_envelope($spool, 2, with(envelope_to('two'), 'dispatcher', 'gone'), $lab->queue_uid);
    like(spoolck('scan', '-n', @store, '/var/spool/smtpd')->{out}, qr/OpenSMTPD \Q$version\E\S*, stopped/, 'the version is known');
    is($about->(), "opensmtpd.dispatcher suspect stranded $gone", 'an action that smtpd.conf does not have is seen');
    start_paused();
    sleep 1;
    like($lab->log, qr/invalid envelope $gone: unknown dispatcher/, 'smtpd refuses that envelope');
    ok(loaded()->{$good}, 'and loads the other');
    $lab->stop;

    # Another option: nothing of the old queue is loaded.
    $lab->configure(configuration("queue compression\n"));
    my $packed = put_envelope($spool, 3, pack_gzip(envelope_to('three')), $lab->queue_uid, pack_gzip("Received: x\n\nx\n"));
    is($about->(), join("\n", "opensmtpd.dispatcher suspect stranded $gone", map { "opensmtpd.storage suspect stranded $_" } $good, $gone),
        'what is kept in another way is seen');
    start_paused();
    sleep 1;
    is(join(' ', sort keys %{ loaded() }), $packed, 'smtpd loads what is compressed');
    $lab->stop;
    $lab->configure(configuration(''));
    my $packed_body = substr $packed, 0, 8;
    is($about->(), join("\n", "opensmtpd.dispatcher suspect stranded $gone", "opensmtpd.storage suspect damaged-delivery $packed_body",
        "opensmtpd.storage suspect stranded $packed"), 'the other way round, too');
    start_paused();
    sleep 1;
    is(join(' ', sort keys %{ loaded() }), $good, 'smtpd loads what is not');
    $lab->stop;
    run_ok('rm', '-rf', glob "$spool/queue/*");

    # What was being received when smtpd died.
    mkdir "$spool/incoming/12345678", 0700;
    spew("$spool/temporary/23456789", "half a te");
    is($about->(), '', 'young: smtpd may be receiving it');
    utime time - 2 * 86400, time - 2 * 86400, "$spool/incoming/12345678", "$spool/temporary/23456789";
    is($about->(), join("\n", map { "opensmtpd.unfinished notice none $_" } 'incoming/12345678', 'temporary/23456789'), 'old: it is noted');
    start_paused();
    sleep 1;
    $lab->stop;
    is(join(' ', glob "$spool/incoming/* $spool/temporary/*"), '', 'smtpd removes it');

    # Submissions made while smtpd was down.
    my ($uid, $gid) = (0, (stat "$spool/offline")[5]);
    my %submission = (mine => [$gid, "tmp-off\@example.net\nSubject: x\n\nx\n"], other => [$gid + 1, "tmp-off\@example.net\nSubject: x\n\nx\n"],
        cut => [$gid, 'tmp-off@example.net'], linked => [$gid, "tmp-off\@example.net\n\nx\n"]);
    for my $name (keys %submission) {
        my $path = "$spool/offline/1795161600.$name";
        spew($path, $submission{$name}[1]);
        chmod 0600, $path;
        chown $uid, $submission{$name}[0], $path;
        utime time - 600, time - 600, $path;
        link $path, "$host/link" if $name eq 'linked';
    }
    is($about->(), join("\n", map { "opensmtpd.offline-$_->[0] suspect stranded 1795161600.$_->[1]" } ['group', 'other'], ['line', 'cut'], ['links', 'linked']),
        'submissions that smtpd passes over are seen');
    start_paused();
    sleep 3;
    is(join(' ', map { /\.(\w+)$/ } sort glob "$spool/offline/*"), 'cut linked other', 'they stay, the sound one is taken');
    $lab->stop;
    run_ok('rm', '-rf', glob("$spool/queue/*"), glob("$spool/offline/*"), "$host/link");

    # Directories: each mode and owner that is not as it should be.
    for my $dir ('.', qw(queue incoming temporary purge offline)) {
        my @st = stat "$spool/$dir";
        for my $change (['mode', sub { chmod $st[2] & 07777 ^ 05, "$spool/$dir" }], ['owner', sub { chown $st[4] + 1, -1, "$spool/$dir" }],
            ['group', sub { chown -1, $st[5] + 1, "$spool/$dir" }]) {
            my ($name, $make) = @$change;
            # Who the owner is, is taken from queue/, so it is purge/ that seems wrong; the queue's group is not known.
            next if "$dir $name" eq 'queue owner' || "$dir $name" eq 'offline group';
            $make->();
            my $said = $about->() =~ s/ \S+$//r;
            start_paused();
            sleep 1;
            my $runs = $lab->alive && $lab->log =~ /done loading queue/;
            my $now = (stat "$spool/$dir")[2] & 07777;
            note "$dir $name: ", $runs ? 'runs' : 'refuses', " said '$said' now ", sprintf '%o', $now;
            $lab->stop;
            chown @st[4, 5], "$spool/$dir";
            chmod $st[2] & 07777, "$spool/$dir";
            is($said, $runs ? '' : 'opensmtpd.directory suspect server-stops', "$dir with another $name: smtpd " . ($runs ? 'runs' : 'refuses to start'));
        }
    }
    is($about->(), '', 'and at the end all is well');
};

done_testing();
