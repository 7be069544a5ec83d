#!/usr/bin/perl
# What the quarantine may hold and for how long: retain= and max-size= remove what is old or too much, with
# a line in the log; what is kept or younger than a day stays; a full store takes nothing more and says so.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use Fcntl qw(LOCK_EX);
use Socket;
use Spoolck;
use Test::More;

# A /dev of our own and a second file system, in a mount namespace.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to have a /dev/log of our own') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}
system('mount', '-t', 'tmpfs', 'none', '/dev') == 0 or die 'mount';
my %node = (null => '1 3', zero => '1 5', full => '1 7', random => '1 8', urandom => '1 9');
system("mknod -m 666 /dev/$_ c $node{$_}") == 0 or die 'mknod' for keys %node;
socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die;
bind $log, sockaddr_un('/dev/log') or die "bind: $!";

sub logged {
    my ($buf, @lines);
    push @lines, $buf while defined recv $log, $buf, 4096, Socket::MSG_DONTWAIT();
    return @lines;
}

my ($spool, $store, $conf);
my $serial = 0;

# A damaged message with so many KiB of text.
sub bad {
    my ($kib) = @_;
    my $line = 'x' x 1000;
    return damaged($spool, 'hold', sender => 'ann@example.org', recipients => ['eve@example.com'],
        lines => [ 'Subject: number ' . $serial++, '', (map { "$line$_" } 1 .. $kib // 1), 'end' ]);
}

# A new spool and store; the configuration has these lines in [quarantine].
sub begin {
    ($spool, $store) = (new_spool(), new_store());
    configure(@_);
    healthy($spool, 'incoming') for 1 .. 30;
}

sub configure {
    $conf = scratch() . '/conf';
    write_file($conf, join "\n", "[scan]\nmax-move = none", '[quarantine]', "store = $store", @_, '');
}

sub q_ { return spoolck('quarantine', '--config', $conf, @_) }
sub act { return scan('--config', $conf, '-y', $spool) }
sub entries { my @names = sort map { s{.*/}{}r } glob "$store/entries/*"; return @names }
sub entry_of { my ($id) = @_; return (grep { /\Q$id\E$/ } entries())[0] }

# As if the entry of this message had been moved in that year.
sub age {
    my ($id, $year) = @_;
    my $old = entry_of($id) // die "no entry of $id";
    my $new = $old =~ s/^\d{4}/$year/r;
    my $plan = read_file("$store/entries/$old/plan") =~ s/\Q$old\E/$new/gr =~ s/^end .*\n\z//mr;
    write_file("$store/entries/$old/plan", $plan . 'end ' . sha256_hex($plan) . "\n");
    my $manifest = read_file("$store/entries/$old/manifest.json");
    write_file("$store/entries/$old/manifest.json", $manifest =~ s/\Q$old\E/$new/gr);
    rename "$store/entries/$old", "$store/entries/$new" or die $!;
    rename "$spool/spoolck/$old", "$spool/spoolck/$new" if -d "$spool/spoolck/$old";
    return $new;
}

# Move these messages; then they are as old as that.
sub moved {
    my @ids = @_;
    my $r = act();
    is($r->{summary}{moved}, scalar @ids, 'moved') or diag($r->{out}, $r->{err});
    logged();
    return @ids;
}

sub is_gone {
    my ($entry, $reason, $lines) = @_;
    ok(!-e "$store/entries/$entry", "$entry is gone");
    my ($line) = grep { /: purged / && /from="\Q$entry\E"/ } @$lines;
    like($line, qr/ id="\w+" spool="\Q$spool\E" finding="postfix\.[\w-]+".* digest="[0-9a-f]{64}" .*reason="retention: $reason"/,
        'the log keeps what it was');
    unlike($line, qr/\@|example|Subject/, 'and no address');
}

subtest 'off by default' => sub {
    begin();
    my ($id) = moved(bad());
    age($id, 2001);
    my $r = q_('purge', '--retention');
    is(exit_bits($r), '0', 'purge --retention');
    like($r->{out}, qr/neither retain= nor max-size=/, 'says why there is nothing to do');
    is(act()->{summary}{purged}, 0, 'nor does an acting run purge');
    is(scalar entries(), 1, 'it is still there');
    is(exit_bits(q_('purge', '--retention', $_)), '16', "not together with $_") for $id, '--older-than=1d';
    configure('retain = 90d');
    $store = new_store();
    configure('retain = 90d');
    is(exit_bits(q_('purge', '--retention')), '0', 'no store, nothing to do');
    ok(!-e $store, 'and none is made');
};

subtest 'retain' => sub {
    begin('retain = 90d');
    my ($old, $kept, $young) = moved(bad(), bad(), bad());
    my ($gone, $stays) = (age($old, 2001), age($kept, 2002));
    q_('keep', $stays);
    logged();
    my $r = q_('purge', '--retention');
    is(exit_bits($r), '0', 'purge --retention asks nobody');
    is($r->{out}, "purged: $gone\n", 'says what went');
    is_gone($gone, 'older than retain', [ logged() ]);
    is_deeply([ entries() ], [ $stays, entry_of($young) ], 'what is kept stays, and what is young');
    like(q_('purge', '--retention')->{out}, qr/^Nothing to purge\.$/, 'again: nothing to do');
    is(q_('purge', '--retention', '--quiet')->{out}, '', '--quiet');
    is(scalar(my @left = glob "$store/inflight/*"), 0, 'nothing is left over');
    is(exit_bits(q_('verify')), '0', 'the others are sound');
};

subtest 'acting runs' => sub {
    begin('retain = 90d');
    my @old = moved(bad(), bad());
    my ($one, $two) = (age($old[0], 2001), age($old[1], 2002));
    my $r = scan('--config', $conf, '-n', $spool);
    is($r->{summary}{purged}, 0, 'a run that only looks removes nothing');
    is(scalar entries(), 2, 'really');
    my $new = bad();
    $r = act();
    is($r->{summary}{moved}, 1, 'one is moved');
    is($r->{summary}{purged}, 2, 'two are purged');
    is(exit_bits($r), '1', 'which changes no exit status');
    is_deeply([ entries() ], [ entry_of($new) ], 'the new one is there');
    is_gone($_, 'older than retain', [ logged() ]) for $two;
    my @again = (moved(bad()));
    age($again[0], 2003);
    my $text = spoolck('scan', '--config', $conf, '-p', $spool)->{out};
    like($text, qr/; 1 purged from quarantine; 1 in quarantine\. Exit 0\.$/m, 'nothing to move: it is purged all the same, and said');
    is(spoolck('scan', '--config', $conf, '-p', '--quiet', $spool)->{out}, '', 'cron hears nothing');
};

subtest 'max-size' => sub {
    begin('max-size = 1M');
    my @id = moved(map { bad(300) } 1 .. 3);
    is(scalar entries(), 3, 'three that fit');
    my @name = map { age($id[$_], 2001 + $_) } 0 .. 2;
    like(q_('purge', '--retention')->{out}, qr/^Nothing to purge/, 'nothing is too much');
    q_('keep', $name[0]);
    logged();
    my $new = bad(300);
    my $r = act();
    is($r->{summary}{moved}, 1, 'the fourth is moved, because another one may go');
    is($r->{summary}{purged}, 1, 'which it does');
    is_gone($name[1], 'max-size', [ logged() ]);
    is_deeply([ entries() ], [ $name[0], $name[2], entry_of($new) ], 'the oldest that is not kept went');
    configure('max-size = 1M', 'retain = 90d');
    $r = q_('purge', '--retention');
    is($r->{out}, "purged: $name[2]\n", 'with retain the other old one goes, too');
};

subtest 'a full store' => sub {
    begin('max-size = 1M');
    my @id = map { bad(300) } 1 .. 5;
    my $r = act();
    my %action = map { $_->{id} => $_ } @{ $r->{messages} };
    my @stay = grep { $action{$_}{action} eq 'refused' } @id;
    is($r->{summary}{moved}, 3, 'three fit');
    is(scalar @stay, 2, 'two are refused');
    like($action{$_}{reason}, qr/^store-full: .*\d+ KiB.*max-size.*purge entries, or raise max-size/, 'it is said why, and what helps') for @stay;
    is(exit_bits($r), '4+1', 'corrupt messages are left');
    ok(-e "$spool/hold/$_", 'in the spool') for @stay;
    is($r->{summary}{purged}, 0, 'what was moved just now is not purged to make room');
    is(scalar entries(), 3, 'all three are there');
    is(scalar(my @flying = glob "$store/inflight/*"), 0, 'nothing is halfway');
    my $before = snapshot($spool);
    $r = act();
    is(exit_bits($r), '4', 'the next run: the same');
    same_tree($before, snapshot($spool), 'and nothing is touched');
    like(spoolck('scan', '--config', $conf, '-y', $spool)->{out}, qr/Not moved: store-full: /, 'people read it, too');
    like(q_('purge', '--retention')->{out}, qr/^Nothing to purge/, 'what is younger than a day does not go');

    $r = q_('add', "$spool:$stay[0]");
    is(exit_bits($r), '8', 'add');
    like($r->{err}, qr/store-full/, 'is refused');
    is(exit_bits(q_('add', '--force', "$spool:$stay[0]")), '1', '... but with --force');
    my $small = bad(1);
    age($_, 2001) for grep { entry_of($_) } @id;
    q_('keep', $_) for entries();
    is((act()->{summary}{moved}), 0, 'when all are kept, the store is full however old they are');
    q_('keep', '--undo', (entries())[0]);
    $r = act();
    is($r->{summary}{moved}, 1, 'one that may go makes room for what is as large') or diag($r->{out});
    ok(!-e "$spool/hold/$small" || $r->{summary}{moved} == 1, 'one of them');
    is(scalar(grep { !/^2001/ } entries()), 1, 'it is there');
};

# Messages whose names contain their inode stay in a lodge of the spool when the store is on another file system.
subtest 'parts in a lodge' => sub {
    begin('retain = 90d', 'max-size = 1M');
    my $dir = scratch();
    system('mount', '-t', 'tmpfs', 'none', $dir) == 0 or die 'mount';
    $store = "$dir/store";
    configure('retain = 90d', 'max-size = 1M');
    my $bytes = queue_file(lines => [ 'Subject: a', '', map { 'x' x 1000 } 1 .. 700 ]);
    my @id = map { put($spool, 'hold', '4F2A1@', substr $bytes, 0, -9 - $_) } 1 .. 2;
    my $r = act();
    is($r->{summary}{moved}, 1, 'what lies in the spool counts for max-size') or diag($r->{out});
    my ($in) = grep { entry_of($_) } @id;
    ok(-d "$spool/spoolck/" . entry_of($in), 'its parts lodge in the spool');
    my $old = age($in, 2001);
    logged();
    $r = act();
    is($r->{summary}{moved}, 1, 'when the old one may go, the other one is moved');
    is($r->{summary}{purged}, 1, 'and the old one purged');
    is_gone($old, 'older than retain', [ logged() ]);
    ok(!-e "$spool/spoolck/$old", 'its parts, too');
    my ($left) = entries();
    $left = age($in eq $id[0] ? $id[1] : $id[0], 2002);
    rename $spool, "$spool.gone";
    $r = q_('purge', '--retention');
    is(exit_bits($r), '8', 'a spool that is gone');
    like($r->{err}, qr/\Q$left\E: its parts lie in \Q$spool\E/, 'is said');
    rename "$spool.gone", $spool;
    open my $busy, '<', $spool or die;
    flock $busy, LOCK_EX or die;
    is(exit_bits(q_('purge', '--retention')), '0', 'while another run holds the spool');
    is(scalar entries(), 1, 'it waits for the next time');
    close $busy;
    is(exit_bits(q_('purge', '--retention')), '0', 'and purged when it is back');
    is(scalar entries(), 0, 'nothing is left');
    system('umount', '-l', $dir);
};

subtest 'what cannot go' => sub {
    begin('retain = 90d');
    my @id = moved(bad(), bad());
    my ($broken, $fine) = (age($id[0], 2001), age($id[1], 2002));
    write_file("$store/entries/$broken/manifest.json", '{ no json');
    my $r = q_('purge', '--retention');
    is(exit_bits($r), '8', 'an entry without a manifest');
    like($r->{err}, qr/\Q$broken\E: /, 'is named');
    is_deeply([ entries() ], [$broken], 'it stays, the others go');
    bad();
    $r = act();
    is(exit_bits($r), '8+1', 'an acting run tells it, too');
    is($r->{errors}[0]{spool}, $broken, 'as an error');
    is($r->{summary}{moved}, 1, 'after its moves');

    # Moved, as its name says, in the year 0 or when the clock was wrong: not old, but unknown.
    my $odd = (entries())[-1];
    my $zero = $odd =~ s/^\d{8}/99991231/r;
    rename "$store/entries/$odd", "$store/entries/$zero";
    q_('purge', '--retention');
    ok(-d "$store/entries/$zero", 'an entry from the future is not old');
};

subtest 'acceptances' => sub {
    begin();
    my $id = bad();
    is(exit_bits(q_('accept', "$spool:$id")), '0', 'accept');
    my $other = bad();
    is(exit_bits(q_('accept', "$spool:$other")), '0', 'another one');
    my ($record) = glob "$store/accepted/*$id*";
    write_file($record, read_file($record) =~ s/"until": \d+/"until": 1000000000/r);
    is(exit_bits(scan('--config', $conf, '-n', $spool)), '4', 'expired, it covers nothing');
    ok(-e $record, 'looking removes nothing');
    act();
    ok(!-e $record, 'an acting run removes the record');
    is(scalar(my @left = glob "$store/accepted/*.json"), 1, 'and leaves the other one');
    my ($last) = glob "$store/accepted/*.json";
    write_file($last, read_file($last) =~ s/"until": \d+/"until": 1000000000/r);
    q_('purge', '--retention');
    ok(!-e $last, 'so does purge --retention');
};

# Several runs at once purge the same entries: each goes once, and nobody complains.
subtest 'together' => sub {
    begin('retain = 90d');
    my @id = moved(map { bad() } 1 .. 12);
    age($id[$_], 2001 + $_) for 0 .. $#id;
    my @runs = map { start('quarantine', '--config', $conf, 'purge', '--retention') } 1 .. 3;
    my @done = map { finish($_) } @runs;
    is(exit_bits($_), '0', 'no error') || diag($_->{err}) for @done;
    is(scalar entries(), 0, 'all are gone');
    my @lines = map { $_->{out} =~ /^purged: (\S+)$/mg } @done;
    is(scalar @lines, 12, 'each once');
    is(scalar(my @flying = glob "$store/inflight/*"), 0, 'nothing is left halfway');
};

done_testing();
