#!/usr/bin/perl
# Restore and accept: a message that an operator wants as it is comes back, is shown, and is left alone
# by the runs that follow; for what stops the server he has to say so twice.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(LOCK_EX);
use Spoolck;
use Test::More;

my ($spool, $store);
sub q_ { return spoolck('quarantine', '--store', $store, @_) }
sub message_of { my ($r, $id) = @_; return (grep { ($_->{id} // '') eq $id } @{ $r->{messages} })[0] }
sub begin { ($spool, $store) = (new_spool(), new_store()); healthy($spool, 'deferred') for 1 .. 3 }

# Its own text, so that no other message has the same bytes.
my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

sub left_alone {
    my ($id, $what) = @_;
    my $r = scan('-y', '--store', $store, $spool);
    my $m = message_of($r, $id);
    is(exit_bits($r), '0', "$what: no alarm");
    is($m->{verdict}, 'corrupt', 'the verdict is shown');
    is($m->{action}, 'none', 'action none');
    is($m->{reason}, 'accepted', 'reason accepted');
}

subtest 'restore accepts' => sub {
    begin();
    my $id = damaged($spool, 'incoming', text());
    is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'moved');
    my $r = q_('restore', '--reason', 'the sender wants it', $id);
    is(exit_bits($r), '2', 'restored');
    like($r->{out}, qr/postqueue -f/, 'says what makes Postfix look');
    left_alone($id, 'afterwards');
    is(spoolck('scan', '--quiet', '--store', $store, $spool)->{out}, '', 'cron hears nothing');
    my $text = spoolck('scan', '--store', $store, $spool)->{out};
    like($text, qr/\Q$id\E.*Accepted by an operator/s, 'people do');
    unlike($text, qr/DO THIS/, 'and there is nothing to do');

    my $path = path_of($spool, 'incoming', $id);
    open my $f, '+<', "$spool/$path" or die;
    seek $f, 120, 0;
    print $f 'Z';    # in place: the same inode and birth
    close $f;
    left_alone($id, 'changed in place, as servers do') if -e "$spool/$path";
    my $bytes = read_file("$spool/$path");
    unlink "$spool/$path";
    write_file("$spool/other", $bytes . 'x');
    chmod 0700, "$spool/other";
    rename "$spool/other", "$spool/$path";
    is(exit_bits(scan('--store', $store, $spool)), '4', 'another file with the id is not covered');
};

subtest 'restore --no-accept' => sub {
    begin();
    my $id = damaged($spool, 'incoming', text());
    scan('-y', '--store', $store, $spool);
    is(exit_bits(q_('restore', '--no-accept', $id)), '2', 'restored');
    is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'and moved by the next run');
};

subtest 'what stops the server' => sub {
    begin();
    my $id = killer($spool, 'incoming', text());
    scan('-p', '--store', $store, $spool);
    my $r = q_('restore', $id);
    is(exit_bits($r), '8', 'is not restored');
    like($r->{err}, qr/stops the server \(postfix\.size-field\); --force/, 'says why, and how');
    ok(!-e "$spool/incoming/$id", 'really');
    is(exit_bits(q_('restore', '--force', $id)), '2', 'but with --force');
    left_alone($id, 'forced');
    is(exit_bits(q_('accept', '--undo', "$spool:$id")), '0', 'taken back');
    is(exit_bits(scan('--store', $store, $spool)), '4', 'the alarm is back');
    $r = q_('accept', "$spool:$id");
    is(exit_bits($r), '8', 'accept refuses it, too');
    like($r->{err}, qr/--force/, 'says how');
    is(exit_bits(scan('--store', $store, $spool)), '4', 'still an alarm');
    is(exit_bits(q_('accept', '--force', "$spool:$id")), '0', 'accept --force');
    left_alone($id, 'accepted with force');
};

subtest 'accept' => sub {
    begin();
    my $id = damaged($spool, 'deferred', text());
    my $before = snapshot($spool);
    is(exit_bits(q_('accept', "$spool:$id")), '0', 'accept');
    same_tree($before, snapshot($spool), 'nothing is touched');
    left_alone($id, 'accepted');
    my $sound = healthy($spool, 'deferred');
    is(exit_bits(q_('accept', "$spool:$sound")), '8', 'a sound message needs no accept');
    is(exit_bits(q_('accept', "$spool:nosuchid")), '8', 'nor one that is not there');
    is(exit_bits(q_('accept')), '16', 'accept what?');
    my ($record) = glob "$store/accepted/*.json";
    my $json = read_file($record);
    like($json, qr/"$_"/, "the record has $_") for qw(spool id findings sha256 who until);
    $json =~ s/"until": \d+/"until": 1000000000/ or die;
    write_file($record, $json);
    is(exit_bits(scan('--store', $store, $spool)), '4', 'an expired record covers nothing');
    write_file($record, 'no json');
    is(exit_bits(scan('--store', $store, $spool)), '4', 'nor does a damaged one');
    is(exit_bits(q_('accept', '--expire', 'never', "$spool:$id")), '0', 'it is replaced');
    like(read_file($record), qr/"until": 0\b/, 'and stays for ever');
    is(exit_bits(q_('accept', '--expire', 'soon', "$spool:$id")), '16', 'a time is a time');
};

subtest 'accept covers what was accepted, not more' => sub {
    begin();
    my $id = damaged($spool, 'deferred', text());
    is(exit_bits(q_('accept', "$spool:$id")), '0', 'accept');
    my $path = path_of($spool, 'deferred', $id);
    open my $f, '+<', "$spool/$path" or die;
    seek $f, 18, 0;
    print $f 'x';
    close $f;
    is(exit_bits(scan('--store', $store, $spool)), '4', 'another finding in the same file is an alarm');
};

subtest 'a hash directory that the server removed' => sub {
    begin();
    my $id = damaged($spool, 'deferred', text());
    my $dir = "$spool/" . path_of($spool, 'deferred', $id) =~ s{/[^/]*$}{}r;
    my $before = snapshot($spool);
    scan('-y', '--store', $store, $spool);
    rmdir $dir or die "$dir: $!";
    is(exit_bits(q_('restore', $id)), '2', 'restored');
    my $after = snapshot($spool);
    s/^(d .*) inode \d+/$1/ for values %$before, values %$after; # a new directory, but as it was
    same_tree($before, $after, 'where it was, in a directory as before');
};

subtest 'restore --to, and what is queued again' => sub {
    begin();
    my $id = damaged($spool, 'deferred', text());
    my $path = path_of($spool, 'deferred', $id);
    my $dir = $path =~ s{/.*}{}r; # the place: a hash directory alone would be made again
    scan('-y', '--store', $store, $spool);
    rename "$spool/$dir", "$spool/aside" or die;
    my $r = q_('restore', $id);
    is(exit_bits($r), '8', 'its directory is gone');
    like($r->{err}, qr/--to/, 'says what helps');
    like(q_('restore', '--to', $_, $id)->{err}, qr/not restored|no path|is in no directory/, "--to $_")
        for '../outside', '/etc', 'nosuchdir/x', '.';
    is(exit_bits(q_('restore', '--to', "$spool/hold", $id)), '2', '--to another');
    ok(-e "$spool/hold/$id", 'there it is');
    rename "$spool/aside", "$spool/$dir" or die;
    left_alone($id, 'accepted where it is now');

    my $two = damaged($spool, 'incoming', text());
    my $bytes = read_file("$spool/incoming/$two");
    scan('-y', '--store', $store, $spool);
    write_file("$spool/hold/$two", $bytes);
    $r = q_('restore', $two);
    is(exit_bits($r), '8', 'the id is in use again');
    like($r->{err}, qr{hold/\Q$two\E}, 'says where');
    my $other = long_id();
    rename "$spool/hold/$two", "$spool/hold/$other";
    $r = q_('restore', $two);
    is(exit_bits($r), '8', 'the same bytes under another id');
    like($r->{err}, qr{hold/\Q$other\E has the same bytes}, 'says where');
    is(exit_bits(q_('restore', '--force', $two)), '2', '--force');
};

subtest 'restore into a place that needs a stopped server' => sub {
    begin();
    my $id = damaged($spool, 'active', text());
    scan('-y', '--store', $store, $spool);
    write_file("$spool/pid/master.pid", "$$\n");
    open my $pid, '+<', "$spool/pid/master.pid" or die;
    flock $pid, LOCK_EX or die;
    my $r = q_('restore', $id);
    is(exit_bits($r), '8', 'refused while it runs');
    like($r->{err}, qr/only while the server is stopped.*--to/, 'says what helps');
    close $pid;
    is(exit_bits(q_('restore', $id)), '2', 'restored when it is stopped');
};

done_testing();
