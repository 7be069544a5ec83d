#!/usr/bin/perl
# Whatever lies in a spool, or happens to it while it is read: spoolck ends, says nothing wrong,
# moves nothing that is sound, and prints nothing that a terminal would act on.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_WRONLY O_CREAT O_EXCL);
use POSIX ();
use Socket ();
use Spoolck;
use Test::More;
use Time::HiRes ();

# A spool with a few sound messages.
sub some_spool {
    my $spool = new_spool();
    my @ids = (healthy($spool, 'deferred'), healthy($spool, 'incoming'), healthy($spool, 'maildrop'));
    return ($spool, @ids);
}

# Run `code` again and again in a process of its own until the returned one is called.
sub meanwhile {
    my ($code) = @_;
    my $parent = $$;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        eval { $code->() while getppid == $parent };
        POSIX::_exit(0);
    }
    return sub { kill 'KILL', $pid; waitpid $pid, 0 };
}

subtest 'things that are no files' => sub {
    my ($spool, @sound) = some_spool();
    my $elsewhere = scratch() . '/secret';
    write_file($elsewhere, queue_file());
    my %thing = map { $_ => long_id() } qw(link dangling self fifo socket directory device);
    my $at = sub { "$spool/" . path_of($spool, 'deferred', $thing{ $_[0] }) };

    symlink $elsewhere, $at->('link') or die;
    symlink '/nonexistent', $at->('dangling') or die;
    symlink $thing{self}, $at->('self') or die;
    POSIX::mkfifo($at->('fifo'), 0700) or die;
    socket my $sock, Socket::AF_UNIX(), Socket::SOCK_STREAM(), 0 or die;
    bind $sock, Socket::pack_sockaddr_un($at->('socket')) or die "bind: $!";
    mkdir $at->('directory') or die;
    write_file($at->('directory') . '/' . long_id(), 'not a message');
    if ($> != 0 || system('mknod', $at->('device'), 'c', 1, 5) != 0) {
        ok(($ENV{CI} // '') ne 'true', 'no device node can be made here');
        delete $thing{device};
    }
    my $before = snapshot($spool, dirs => 1);

    my $r = scan('--all', $spool);
    my $verdict = verdicts($r);
    is($verdict->{ $thing{$_} }, 'foreign', $_) for sort keys %thing;
    is($verdict->{$_}, 'ok', 'the messages beside them are fine') for @sound;
    is($r->{summary}{messages}, keys(%thing) + @sound, 'nothing else was looked at');
    is(exit_bits($r), '0', 'nothing is wrong');
    is(exit_bits(scan('--fail-on', 'suspect', $spool)), '4', 'unless asked to be strict');
    is(exit_bits(scan('-y', '--store', new_store(), $spool)), '0', '-y finds nothing to do');
    same_tree($before, snapshot($spool, dirs => 1), 'and nothing was touched');
    is(exit_bits(spoolck('explain', $at->('fifo'))), '8', 'explain does not wait for a FIFO');
    is(exit_bits(spoolck('explain', $at->('link'))), '8', 'explain follows no link');
};

subtest 'a place that is no directory' => sub {
    my ($spool, @sound) = some_spool();
    my $other = new_spool();
    my $outside = damaged($other, 'incoming');
    rmdir "$spool/active" or die;
    symlink "$other/incoming", "$spool/active" or die;
    rmdir "$spool/hold" or die;
    write_file("$spool/hold", 'a file');

    my $r = scan('-y', '--store', new_store(), '--all', $spool);
    is(exit_bits($r), '8', 'said in the exit status');
    is(scalar @{ $r->{notes} }, 2, 'and in two sentences') or diag($r->{out});
    is_deeply(verdicts($r), { map { $_ => 'ok' } @sound }, 'the rest was examined');
    ok(-e "$other/incoming/$outside", 'nothing was reached through the link');
};

subtest 'names that a terminal would act on' => sub {
    my ($spool, @sound) = some_spool();
    my @names = ("new\nline", "esc\e[31mred\e]0;title\a", "bad\xff\xfe\xc3(utf8", "bidi\xe2\x80\xaertl",
        "zero\xe2\x80\x8bwidth", "c1\xc2\x9bcsi", "tab\tcr\rbs\b", 'back\\slash\\x41', '-rf', ' ',
        "\xed\xa0\x80surrogate", 'x' x 254 . '.');
    write_file("$spool/deferred/$_", 'odd') for @names;
    mkdir "$spool/incoming/\e[2Jdir" or die;

    for my $options ([], ['--all'], ['--quiet', '--fail-on', 'suspect']) {
        my $r = spoolck('scan', @$options, $spool);
        ok(is_printable($r->{out}), "text is printable (@$options)");
        is($r->{err}, '', 'nothing on standard error');
    }
    my $r = scan($spool);
    ok($r->{out} =~ /\A[\n\x20-\x7e]*\z/, 'JSON is ASCII');
    my %id;
    for (@{ $r->{messages} }) {
        my $id = $_->{id};
        utf8::encode($id);
        $id =~ s/\\(?:x([0-9A-F]{2})|(\\))/$2 \/\/ chr hex $1/ge;
        $id{$id} = $_->{verdict};
    }
    is_deeply([ sort keys %id ], [ sort @names, "\e[2Jdir" ], 'and the names can be had back from it');
    is(join(' ', grep { $_ ne 'foreign' } values %id), '', 'all are foreign');

    for my $name ("/tmp/no\nsuch\e[31m\xff", "postfix:/\xe2\x80\xae") {
        my $missing = spoolck('scan', $name);
        ok(is_printable($missing->{err}), 'an error about a name is printable');
        is(exit_bits($missing), '8', 'and is an error');
        ok(is_printable(spoolck('scan', '--format', 'json', $name)->{out}), 'in JSON, too');
    }
    ok(is_printable(spoolck("no\e[31mverb")->{err}), 'and so is one about a verb');
    ok(is_printable(spoolck('scan', "--no\e[31moption\xff")->{err}), 'or an option');
};

subtest 'contents that a terminal would act on' => sub {
    my ($spool) = some_spool();
    my $evil = "a\e[31m\n\xff\xe2\x80\xae\xc2\x9b\xe2\x80\x8b\@example.org";
    my $id = damaged($spool, 'deferred', sender => $evil, recipients => [$evil], lines => [$evil]);
    my $killer = killer($spool, 'deferred', sender => $evil, attributes => ["$evil=$evil"]);
    my $bad = put($spool, 'maildrop', long_id(), maildrop_file() . $evil);
    my $store = new_store();
    my @runs = (['scan', '--all', $spool], ['explain', "$spool:$id"], ['explain', "$spool:$killer"],
        ['scan', '-y', '--store', $store, $spool], ['quarantine', '--store', $store, 'list'],
        ['quarantine', '--store', $store, 'show', $id]);

    for my $words (@runs) {
        my $r = spoolck(@$words);
        ok($r->{out} ne '' && is_printable($r->{out}), "printable: @$words[0, 1]") or diag($r->{out});
        is($r->{err}, '', 'nothing on standard error');
    }
    for my $words (['explain', "$spool:$bad"], ['quarantine', '--store', $store, 'show', $id]) {
        my $r = spoolck(@$words, '--format', 'json');
        ok($r->{out} =~ /\A[\n\x20-\x7e]+\z/, "JSON is ASCII: @$words[0, 1]");
        ok(eval { json_lines($r->{out}); 1 }, 'and is JSON');
    }
    my ($summary) = glob "$store/entries/*/summary.txt";
    ok(is_printable(read_file($summary)), 'summary.txt is printable') if defined $summary;
};

subtest 'an empty file' => sub {
    my ($spool) = some_spool();
    put($spool, 'incoming', long_id(), '');
    my $r = scan($spool);
    is($r->{findings}[0]{name}, 'postfix.empty', 'found');
    is(exit_bits($r), '4', 'and said');
};

subtest 'sparse files of 1 TiB' => sub {
    my ($spool, @sound) = some_spool();
    my %id = (tail => put($spool, 'deferred', long_id(), queue_file()),
        zeros => put($spool, 'deferred', long_id(), ''));
    for my $id (values %id) {
        my $path = "$spool/" . path_of($spool, 'deferred', $id);
        truncate $path, 1 << 40 or plan skip_all => "no file of 1 TiB here: $!";
    }
    my $r = scan('--all', $spool);
    ok($r->{seconds} < 60, sprintf 'done in %.1f s', $r->{seconds});
    is(verdicts($r)->{ $id{tail} }, 'noted', 'a message with a long hole behind it is one');
    like(verdicts($r)->{ $id{zeros} }, qr/^(?:corrupt|unchecked)$/, 'a file of holes is none');
    my $store = new_store();
    $r = scan({ timeout => 60 }, '-y', '--store', $store, $spool);
    ok(!$r->{hung}, sprintf '-y ends as well, after %.1f s', $r->{seconds});
    if (my ($moved) = grep { $_->{action} eq 'moved' } @{ $r->{messages} }) {
        my $restore = spoolck({ timeout => 60 }, 'quarantine', '--store', $store, 'restore', $moved->{entry});
        is(exit_bits($restore), '2', 'and it can come back') or diag($restore->{err});
    }
};

# The name that Postfix gives to a file of which it does not know the inode yet.
sub temporary { my ($path) = @_; return $path =~ s{[^/]+$}{12345.6789}r }

# A file that is sound at every moment between the changes.
sub changing {
    my ($what, $code, %opt) = @_;
    subtest "a file that $what" => sub {
        my ($spool, @sound) = some_spool();
        my $big = queue_file(lines => [ ('x' x 4000) x 800 ]); # over 3 MiB: read in windows
        my @files = map { my $id = put($spool, 'incoming', long_id(), $_); "$spool/incoming/$id" }
            queue_file(), $big;
        my $stop = meanwhile(sub { $code->($_, $_ eq $files[1] ? $big : queue_file()) for @files });
        my (%seen, $moved);
        my $store = new_store();
        for my $round (1 .. 12) {
            my $r = scan($round % 2 ? '-n' : '-y', '--store', $store, '--all', $spool);
            is(exit_bits($r) =~ /^(?:0|8)$/ ? 'good' : exit_bits($r), 'good', "round $round ends well");
            $seen{ $_->{verdict} }++ for @{ $r->{messages} };
            $moved += $r->{summary}{moved};
            my $v = verdicts($r);
            is(join(' ', grep { $_ ne 'ok' } @$v{@sound}), '', 'those beside it are ok');
        }
        $stop->();
        ok(!$seen{corrupt}, 'never called corrupt') or diag(explain(\%seen));
        ok(!$seen{unchecked}, 'nor unchecked') or diag(explain(\%seen));
        is($moved, 0, 'never moved');
        note(join ', ', map { "$_ $seen{$_}" } sort keys %seen);
    };
}

changing('grows', sub {
    my ($path, $bytes) = @_;
    open my $out, '>>:raw', $path or return;
    syswrite $out, 'tail' x 100 for 1 .. 50;
    truncate $out, length $bytes;
});
changing('shrinks', sub {
    my ($path, $bytes) = @_;
    open my $out, '>>:raw', $path or return;
    syswrite $out, 'tail' x 200000;
    truncate $out, length($bytes) + $_ * 1000 for reverse 0 .. 50;
});
changing('disappears', sub {
    my ($path, $bytes) = @_;
    unlink $path;
    sysopen my $out, temporary($path), O_WRONLY | O_CREAT | O_EXCL, 0700 or return;
    syswrite $out, $bytes;
    close $out;
    rename temporary($path), $path;
    unlink $path;
    rename temporary($path), $path;
});
changing('is replaced', sub {
    my ($path, $bytes) = @_;
    sysopen my $out, temporary($path), O_WRONLY | O_CREAT | O_EXCL, 0700 or return;
    syswrite $out, queue_file(lines => [ ('y' x 1000) x (1 + int rand 4000) ]);
    close $out;
    rename temporary($path), $path;
});
changing('is written again in place', sub {
    my ($path, $bytes) = @_;
    open my $out, '+<:raw', $path or return;
    chmod 0600, $path; # as cleanup does: not complete until the mode says so
    truncate $out, 0;
    for (my $at = 0; $at < length $bytes; $at += 100000) {
        syswrite $out, substr $bytes, $at, 100000;
    }
    chmod 0700, $path;
    Time::HiRes::sleep(0.002);
});

subtest 'what may not be read' => sub {
    need_root('to run as somebody else') or return;
    my $program = copy_for_all();
    my $spool = new_spool();
    my $as = { uid => 65534, program => $program };
    my ($open, $shut) = map { put($spool, 'incoming', long_id(), queue_file()) } 1, 2;
    chmod 0755, "$spool/incoming/$open";
    chmod 0700, "$spool/incoming/$shut";

    my $r = scan($as, '--all', $spool);
    is(exit_bits($r), '8', 'is an error of ours');
    is_deeply(verdicts($r), { $open => 'ok', $shut => 'unchecked' }, 'of that message only');
    my ($m) = grep { $_->{id} eq $shut } @{ $r->{messages} };
    like($m->{reason}, qr/Permission denied/, 'with the reason');
    like(spoolck($as, 'scan', $spool)->{out}, qr/NOT CHECKED \(1\)\n\Q$shut\E/, 'listed first');

    chmod 0700, "$spool/incoming";
    $r = scan($as, $spool);
    is(exit_bits($r), '8', 'a directory that may not be listed');
    like($r->{notes}[0]{text} // '', qr/incoming: Permission denied/, 'is named');
    chmod 0700, $spool;
    $r = spoolck($as, 'scan', $spool);
    is(exit_bits($r), '8', 'a spool that may not be opened');
    like($r->{err} . $r->{out}, qr/\Q$spool\E.*(?:denied|not the spool)/, 'is named');
};

subtest 'a message with 100,000 recipients' => sub {
    my ($spool) = some_spool();
    my $bytes = queue_file(recipients => [ map { "user$_\@example.com" } 1 .. 100_000 ]);
    my $id = put($spool, 'deferred', long_id(), $bytes);
    my $cut = put($spool, 'deferred', long_id(), substr $bytes, 0, length($bytes) / 2);
    my $r = scan('--all', $spool);
    my ($m) = grep { $_->{id} eq $id } @{ $r->{messages} };
    is($m->{verdict}, 'ok', 'is sound');
    is($m->{recipients}, 100_000, 'and counted');
    is(verdicts($r)->{$cut}, 'corrupt', 'cut in half it is not');
};

subtest 'a message of 64 MiB' => sub {
    my ($spool) = some_spool();
    my $bytes = queue_file(lines => [ ('0123456789abcdef' x 64) x 65536 ]);
    cmp_ok(length $bytes, '>=', 64 << 20, 'it is that large');
    my $id = put($spool, 'deferred', long_id(), $bytes);
    my $cut = put($spool, 'deferred', long_id(), substr $bytes, 0, 60_000_000);
    undef $bytes;
    my $before = snapshot($spool);
    my $r = scan('--all', $spool);
    is(verdicts($r)->{$id}, 'ok', 'is sound');
    is(verdicts($r)->{$cut}, 'corrupt', 'cut at 60,000,000 bytes it is not');
    my ($f) = grep { $_->{id} eq $cut } @{ $r->{findings} };
    is($f->{name}, 'postfix.record-overrun', 'and it is said how');
    cmp_ok($f->{offset} + $f->{length}, '==', 60_000_000, 'and where');
    my $store = new_store();
    is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'it can be moved');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', $cut)), '2', 'and come back');
    same_tree($before, snapshot($spool), 'whole');
};

subtest 'a directory with 100,000 files' => sub {
    my $spool = new_spool();
    my $bytes = queue_file();
    my $damaged = substr $bytes, 0, -9;
    umask 077;
    for my $i (1 .. 100_000) {
        sysopen my $out, "$spool/incoming/" . long_id(), O_WRONLY | O_CREAT | O_EXCL, 0700 or die "$!";
        syswrite $out, $i % 25_000 ? $bytes : $damaged;
    }
    umask 022;
    my $peak = 0;
    my $tick = sub {
        open my $in, '<', "/proc/$_[0]/status" or return;
        while (<$in>) { $peak = $1 if /^VmHWM:\s+(\d+)/ }
    };
    my $r = scan({ tick => $tick }, $spool);
    is($r->{summary}{messages}, 100_000, 'each is counted once');
    is($r->{summary}{ok}, 99_996, 'those that are sound');
    is($r->{summary}{corrupt}, 4, 'and those that are not');
    is(exit_bits($r), '4', 'nothing else was wrong');
    SKIP: {
        skip 'sanitizers need memory', 1 if sanitized();
        cmp_ok($peak, '<', 64 << 10, "the coordinator stays small ($peak KiB)");
    }
    diag(sprintf '100,000 files: %.2f s, coordinator at most %d KiB', $r->{seconds}, $peak);
};

subtest 'directories in directories' => sub {
    my ($spool, @sound) = some_spool();
    my $id = long_id();
    my ($dir, $depth) = ("$spool/deferred", 0);
    for (1 .. 60) {
        $dir .= '/A';
        mkdir $dir or die;
        put($spool, substr($dir, 1 + length $spool), long_id(), queue_file()) if $_ == 3;
    }
    mkdir "$spool/deferred/not-a-hash" or die;
    write_file("$spool/deferred/not-a-hash/$id", 'never looked at');
    mkdir "$spool/maildrop/B" or die;
    write_file("$spool/maildrop/B/$id", 'never looked at: pickup knows no hash directories');
    my $r = scan('--all', $spool);
    is(exit_bits($r), '0', 'nothing is wrong');
    is($r->{summary}{ok}, 3, 'the sound ones are ok');
    is($r->{summary}{noted}, 1, 'one is in the wrong directory');
    ok(!exists verdicts($r)->{$id}, 'what no server reads is not read');
};

subtest 'what is no spool' => sub {
    my $dir = scratch();
    write_file("$dir/file", 'x');
    mkdir "$dir/empty" or die;
    mkdir "$dir/other" or die;
    write_file("$dir/other/$_", 'x') for qw(active deferred readme);
    symlink "$dir/nowhere", "$dir/dangling" or die;
    my %case = (
        "$dir/missing"          => qr/No such file/,
        "$dir/file"             => qr/no directory, and no disk or image with an NTFS volume/,
        "$dir/file/below"       => qr/no directory, and no disk or image with an NTFS volume/,
        "$dir/empty"            => qr/not the spool of any server/,
        "$dir/other"            => qr/not the spool of any server/,
        "$dir/dangling"         => qr/No such file/,
        "postfix:$dir/missing"  => qr/No such file/,
        "postfix:$dir/file"     => qr/no directory, and no disk or image with an NTFS volume/,
        "nosuchserver:$dir/empty" => qr/nosuchserver/,
        ''                      => qr/./,
    );
    for my $arg (sort keys %case) {
        my $r = spoolck('scan', $arg);
        is(exit_bits($r), '8', "scan '" . ($arg =~ s/\Q$dir\E/DIR/r) . "'");
        like($r->{err}, $case{$arg}, 'says why');
        my $json = scan($arg);
        is(exit_bits($json), '8', 'JSON: the same');
        is($json->{summary}{exit}, 8, 'in the summary, too');
        like($json->{errors}[0]{text} . $json->{errors}[0]{spool}, $case{$arg}, 'and why');
    }
    my $link = "$dir/link";
    my ($spool) = some_spool();
    symlink $spool, $link or die;
    is(exit_bits(scan($link)), '0', 'the operator may name a spool by a link');
    my $both = scan("$dir/missing", $spool);
    is(exit_bits($both), '8', 'one that is missing');
    is($both->{summary}{ok}, 3, 'does not keep the other from being examined');
};

subtest 'standard output that takes nothing' => sub {
    my ($spool, @sound) = some_spool();
    my $bad = damaged($spool, 'incoming');
    my $store = new_store();
    my $before = snapshot($spool);
    my @runs = (['scan', $spool], ['scan', '--all', '--format', 'json', $spool], ['explain', "$spool:$bad"],
        ['explain', '--format', 'json', "$spool:$bad"], ['spools', $spool], ['findings'],
        ['findings', '--format', 'json'], ['--help'], ['--version']);
    for my $out ('/dev/full', '-') {
        for my $words (@runs) {
            my $r = spoolck({ stdout => $out }, @$words);
            my $name = join ' ', map { s/\Q$spool\E/SPOOL/r } @$words;
            ok(defined $r->{status} && $r->{status} & 8, ($out eq '-' ? 'closed' : 'full') . ": $name")
                or diag('exit ' . exit_bits($r));
        }
    }
    my $moved = spoolck({ stdout => '/dev/full' }, 'scan', '-y', '--store', $store, $spool);
    is(exit_bits($moved), '8+1', 'what was moved is in the exit status all the same');
    for my $verb (['list'], ['show', $bad], ['verify'], ['restore', '--no-accept', $bad]) {
        my $r = spoolck({ stdout => '/dev/full' }, 'quarantine', '--store', $store, @$verb);
        ok(defined $r->{status} && $r->{status} & 8, "full: quarantine $verb->[0]")
            or diag('exit ' . exit_bits($r));
    }
    ok(-e "$spool/incoming/$bad", 'and the message is back');
    my $closed = spoolck({ stdout => '-' }, 'scan', '-y', '--store', $store, $spool);
    is(exit_bits($closed), '8+1', 'closed: the same');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', $bad)), '2', 'and it comes back');
    same_tree($before, snapshot($spool), 'nothing was written where standard output was');
};

done_testing();
