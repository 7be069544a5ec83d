#!/usr/bin/perl
# The OpenSMTPD format against the real server: OpenSMTPD 6.8 from Debian, in a chroot and
# namespaces of its own.
#
# Hundreds of real messages raise nothing; of thousands of damaged envelopes exactly those that
# smtpd does not load are corrupt; what kills smtpd is found before it starts. SPOOLCK names the
# program. Takes root, and a Debian mirror the first time. SPOOLCK_KEEP=DIR: keep the spools there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Cwd ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Lab::OpenSMTPD;
use Lab::OpenSMTPD::Corpus qw(configuration feed feed_few);
use Lab::OpenSMTPD::Damage qw(damage put_envelope);
use Lab::Util qw(base_dir slurp spew spawn stop_children wait_for run_ok);
use Spoolck;

my $damaged = $ENV{SPOOLCK_DAMAGED} || 3600;
my @store;

if ((shift // '') ne '--inside') {
    plan skip_all => 'live tests need root' unless need_root('live tests');
    Lab::OpenSMTPD::build_chroot();
    exec 'unshare', '-m', '-p', '-f', '-n', '-u', '--kill-child', $^X, Cwd::abs_path($0), '--inside' or die "unshare: $!";
}
$SIG{ALRM} = $SIG{TERM} = sub { print "Bail out! timed out\n"; POSIX::_exit(1) };
alarm 280;
my $base = ($ENV{SPOOLCK_KEEP} || base_dir()) . '/opensmtpd-lab';
my $lab = Lab::OpenSMTPD->new("$base/lane");
my $crypt = 'queue encryption "0123456789abcdef0123456789abcdef"' . "\n";
my @envelopes;
run_ok('rm', '-rf', "$base/$_") for qw(real store damaged gzip crypt both killer few);
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
    $lab->configure(configuration(''));
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
    cmp_ok(feed($lab, 230), '>=', 300, 'accepted');
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
    my %keys = map { $_ => 1 } map { /^([a-z-]+):/mg } @envelopes;
    note 'keys: ', join ' ', sort keys %keys;
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

# What smtpd refuses and we only suspect, and the reason.
my %milder = (
    'opensmtpd.key'      => 'a newer version may know the key, and the version is not known here',
    'opensmtpd.too-long' => 'the limit depends on the C library',
    'opensmtpd.too-large' => 'the limit depends on the C library',
    'opensmtpd.sockaddr' => 'old forms depend on the version, which is not known here',
    'dispatcher'         => 'the name is none of smtpd.conf, which is not read',
    'opensmtpd.version'  => 'a newer version may count on',
);

subtest 'damaged envelopes' => sub {
    my $spool = "$base/damaged";
    $lab->use_spool($spool);
    $lab->configure(configuration(''));
    my $kind = damage($spool, $damaged, $lab->queue_uid, @envelopes);
    my $above = above(scan('-n', @store, $spool));
    my (@wrong, %agree, %excused);
    # What stops the whole server has a test of its own.
    my @deadly = grep { $above->{$_} =~ / server-stops$/ } sort keys %$above;
    my $files = Lab::OpenSMTPD::files($spool);
    unlink $files->{$_} for @deadly;
    delete @$kind{@deadly};
    note 'without ', scalar @deadly, ' that stop the server';
    start_paused();
    ok($lab->alive, 'smtpd runs with all of them') or diag join '', (split /^/, $lab->log)[-15 .. -1];
    wait_for('the queue to be loaded', 60, sub { $lab->log =~ /done loading queue/ });
    sleep 1;
    my ($loaded, $log) = (loaded(), $lab->log);
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
        elsif ($log =~ /invalid envelope $id: unknown dispatcher/) { $excused{dispatcher}++ }
        elsif ($severity eq 'suspect' && $milder{$name}) { $excused{$name}++ }
        else { push @wrong, "$id $kind->{$id}: refused, but $said" }
    }
    is(join("\n", splice @wrong, 0, 20), '', 'smtpd and spoolck agree');
    note "$damaged damaged: $agree{refused} refused by both, $agree{loaded} loaded by both";
    note "only suspect: $excused{$_} $_ ($milder{$_})" for sort keys %excused;
};

# An otherwise healthy spool of few messages; answers the path of the first.
sub small_spool {
    my ($name, @more) = @_;
    my $spool = "$base/$name";
    run_ok('rm', '-rf', $spool);
    $lab->use_spool($spool);
    my $id = put_envelope($spool, $_, $envelopes[$_ % @envelopes], $lab->queue_uid) for 1 .. 4;
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
    put_envelope("$base/killer", 1, with($envelopes[0], 'ctime', 99999999999999), $lab->queue_uid);
}, qr/invalid delay -/);

deadly('two names for one envelope: upper case', 'opensmtpd.twin', sub {
    my $files = small_spool('killer', with($envelopes[0], 'tag', 'twin'));
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
    for my $bad ('', substr($envelopes[0], 0, 100), "\0" x 400, with($envelopes[1], 'sockaddr', 'x'), $envelopes[2] . "x: y z") {
        put_envelope($spool, $n++, $bad, $lab->queue_uid);
    }
    put_envelope($spool, $n++, $envelopes[3], $lab->queue_uid, "\0" x 5000);
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

done_testing();
