#!/usr/bin/perl
# report.t - what an administrator sees in an incident: worst first and at once, alike together, on 80 columns;
# and a run that is told to end does, with what it has

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Spoolck::Queue qw(fill);
use Test::More;

# The screen of a terminal with 80 columns: what a run prints, without its colours and its moving line.
sub on_terminal {
    my ($env, @words) = @_;
    my $log = scratch() . '/typescript';
    my $command = join ' ', 'stty cols 80;', $env, program(), @words;
    system("script -qec \Q$command\E \Q$log\E >/dev/null") == -1 and die "script: $!";
    my $raw = read_file($log);
    $raw =~ s/\AScript started.*?\n|\nScript done.*\z//gs;
    my $text = $raw =~ s/\r\n/\n/gr;
    1 while $text =~ s/[^\r\n]*\r\e\[K//;    # wiped
    return ($raw, $text =~ s/\e\[[\d;]*m//gr);
}

my $has_terminal = system('script -qec true /dev/null >/dev/null 2>&1') == 0;
BAIL_OUT('no terminal can be had here') if !$has_terminal && $ENV{CI};

# What a section says, by its title.
sub section { my ($text, $title) = @_; return $text =~ /^(\Q$title\E.*?)(?=\n\n|\z)/ms ? $1 : '' }

my $damage = 'ends behind the end of the file';

sub with_age {
    my ($spool, $place, $seconds) = @_;
    my $then = sprintf '%010d', time - $seconds;
    return put($spool, $place, long_id(), queue_file() =~ s/1795161600/$then/gr);
}

subtest 'what is alike is told once' => sub {
    my $spool = new_spool();
    healthy($spool, 'hold') for 1 .. 20;
    my @ids = map { damaged($spool, 'deferred') } 1 .. 40;
    damaged($spool, 'maildrop', lines => ['x']);
    my $text = spoolck('scan', '--store', new_store(), $spool)->{out};
    my $said = section($text, 'THE SERVER DELETES IT OR PUTS IT ASIDE, UNSENT (41)');
    is(() = $said =~ /$damage/g, 1, 'what is wrong stands there once');
    like($said, qr/^  39 more like this:$/m, 'the others are counted');
    my @named = grep { $said =~ /^ +\Q$_\E  deferred/m || $said =~ /^\Q$_\E  deferred/m } @ids;
    ok(@named >= 5 && @named <= 7, 'some of them have a line: ' . @named);
    like($said, qr/and \d+ more; --format json names each/, 'and how to see all');
    is(() = $said =~ /^/mg, 1 + 5 + 7 + 5, 'a section that one can read') or diag($said);
    is(() = $text =~ /^DO THIS/mg, 1, 'what to type stands there once');
    like($text, qr/# many have the same finding.*\n  spoolck explain .*\n  spoolck scan -p --max-move none /,
        'with a look at one first, since the brake would hold');

    my $r = scan('-p', '--store', new_store(), $spool);
    is($r->{summary}{moved}, 1, 'as it does');
    $text = spoolck('scan', '-p', '--store', new_store(), $spool)->{out};
    is(() = $text =~ /Not moved: brake/g, 1, 'and why is told once');
};

subtest 'up to three are told each' => sub {
    my $spool = new_spool();
    healthy($spool, 'hold') for 1 .. 20;
    my @ids = map { damaged($spool, 'deferred') } 1 .. 3;
    my $store = new_store();
    my $text = spoolck('scan', '-y', '--store', $store, $spool)->{out};
    is(() = $text =~ /$damage/g, 1, 'one sentence for all of them');
    like($text, qr/^\Q$_\E  deferred .*(?:\n .*)*\n  \S*\Q$_\E, byte \d+.*(?:\n .*)*\n  Moved to quarantine entry \S*\Q$_\E$/m,
        'where it is, and where it went') for @ids;
};

subtest 'the age of the queue, and what is held back' => sub {
    my $spool = new_spool();
    with_age($spool, 'deferred', 60) for 1 .. 4;
    with_age($spool, 'deferred', 7200) for 1 .. 8;
    with_age($spool, 'hold', 90000);
    my $text = spoolck('scan', $spool)->{out};
    my $chart = section($text, 'AGE OF THE MAIL');
    is($chart, join("\n", 'AGE OF THE MAIL', '  below 10 min           4  ' . '#' x 20, '  10 min to 1 h          0',
        '  1 h to 4 h             8  ' . '#' x 40, '  4 h to 1 d             0',
        '  1 d to 2 d             1  ' . '#' x 5), 'from the first to the last that is there');
    like($text, qr/^Not being delivered: 1 held \(hold\/\)\.$/m, 'what nobody delivers');
    my %ages = map { $_->{below} // 'more' => $_->{messages} } @{ scan($spool)->{summary}{ages} };
    is_deeply(\%ages, { -600 => 0, 600 => 4, 3600 => 0, 14400 => 8, 86400 => 0, 172800 => 1, 432000 => 0, more => 0 },
        'JSON has the figures');

    my $few = new_spool();
    with_age($few, 'deferred', 60) for 1 .. 5;
    unlike(spoolck('scan', $few)->{out}, qr/AGE OF|Not being/, 'five are seen without a chart');
    like(spoolck('scan', '--quiet', $spool)->{out}, qr/\A\z/, '--quiet does without');
};

subtest 'what stops the server is told at once' => sub {
    my $spool = new_spool();
    healthy($spool, 'hold') for 1 .. 5200; # more than are handed out at once
    my $bad = killer($spool, 'incoming');
    damaged($spool, 'incoming');
    my $r = spoolck('scan', '--all', '--jobs', 1, '--format', 'json', $spool);
    my @lines = json_lines($r->{out});
    my @finding = grep { $lines[$_]{event} eq 'finding' && $lines[$_]{id} eq $bad } 0 .. $#lines;
    my ($message) = grep { $lines[$_]{event} eq 'message' && $lines[$_]{id} eq $bad } 0 .. $#lines;
    my ($last_ok) = grep { $lines[$_]{event} eq 'message' && $lines[$_]{verdict} eq 'ok' } reverse 0 .. $#lines;
    is(scalar @finding, 1, 'its finding comes once');
    cmp_ok($finding[0], '<', $last_ok, '... while sound messages are still being looked at');
    cmp_ok($message, '>', $last_ok, 'its message comes in the end, with what became of it');
    my ($other) = grep { $lines[$_]{event} eq 'finding' && $lines[$_]{impact} eq 'server-deletes' } 0 .. $#lines;
    cmp_ok($other, '>', $last_ok, 'what can wait waits');
};

subtest 'on a terminal' => sub {
    plan(skip_all => 'no terminal can be had here') unless $has_terminal;
    my $spool = new_spool();
    healthy($spool, 'hold') for 1 .. 20;
    my @ids = map { killer($spool, 'incoming') } 1 .. 30;
    my $long = damaged($spool, 'deferred', sender => ('a-very-long-name.' x 9) . '@example.org');
    my ($raw, $text) = on_terminal('', 'scan', '--store', new_store(), "postfix:$spool");
    like($raw, qr/\e\[1;31mSTOPS THE SERVICE\e\[0m/, 'in colour');
    my @wide = grep { length > 80 && !/\Q$spool\E/ } split /\n/, $text;
    is("@wide", '', 'no line is wider than it');
    like($text, qr/^\Q$long\E  deferred  a-very-long.*\.\.\. -> 1 recipient/m, 'a long sender is cut');
    is(() = $text =~ /not a number/g, 1, 'the sentence stands there once');
    like($text, qr/^STOPS THE SERVICE \(30\)\n  27 more with the same finding as above:$/m,
        'those that were told at once are not told again');
    is(() = $text =~ /^\Q$_\E  incoming/mg, 1, "$_ has one line") for $text =~ /^(\w+)  incoming/mg;

    # what was told of one spool says nothing of the next
    my @two = map { my $s = new_spool(); healthy($s, 'hold') for 1 .. 20; killer($s, 'incoming') for 1 .. 4; $s } 1 .. 3;
    my (undef, $both) = on_terminal('', 'scan', '--store', new_store(), map { "postfix:$_" } @two);
    is(() = $both =~ /^STOPS THE SERVICE$/mg, 3, 'each spool has the title');
    is(() = $both =~ /not a number/g, 3, '... and the sentence');

    my ($plain) = on_terminal('NO_COLOR=1', 'scan', '--store', new_store(), "postfix:$spool");
    unlike($plain, qr/\e\[[\d;]*m/, 'NO_COLOR');
    my ($empty) = on_terminal('NO_COLOR=', 'scan', '--store', new_store(), "postfix:$spool");
    like($empty, qr/\e\[1;31m/, 'an empty one does not count');

    my $store = new_store();
    my (undef, $moved) = on_terminal('', 'scan', '-y', '--max-move', 'none', '--store', $store, "postfix:$spool");
    is(() = $moved =~ /^  Moved to quarantine entry/mg, 3 + 1, 'what became of them is told of each that was told');
    like($moved, qr/^  27 more with the same finding as above, moved as well:$/m, 'and of the others together');
};

# A message whose check hangs, and readers that are stopped: without the signal the run would go on for half a
# minute and call messages unchecked.
subtest 'told to end' => sub {
    for my $case ([ TERM => 'one process' ], [ INT => 'one process' ], [ TERM => 'all of them' ]) {
        my ($signal, $whom) = @$case;
        my $spool = new_spool();
        my @ids = map { healthy($spool, 'deferred', lines => [ "Subject: $_", '', 'x' ]) } 1 .. 40;
        my $bad = killer($spool, 'maildrop');
        my $sent;
        my $r = parsed(spoolck({ timeout => 30, program => hostile_program(), env => { SPOOLCK_HOSTILE => "hang:$ids[20]" },
            tick => sub {
                my ($pid) = @_;
                my @all = children($pid);
                return if $sent || @all < 3;
                kill 'STOP', grep { $_ != $pid } @all;
                $sent = kill $signal, $whom eq 'one process' ? $pid : ($pid, @all);
            } }, 'scan', '--format', 'json', '--jobs', 2, '--store', new_store(), $spool));
        is(exit_bits($r), '32', "$signal to $whom: cancelled, and nothing else") or diag($r->{err}, $r->{out});
        is($r->{summary}{unchecked}, 0, 'what was not looked at is not called unchecked');
        is($r->{summary}{exit}, 32, 'the report has its end');
        like($r->{notes}[0]{text}, qr/^Stopped before the end: \d+ messages? were looked at/, 'and says that it is a part');
        ok(!left_over($r), 'nobody is left');
    }
};

subtest 'told to end while it moves' => sub {
    my $spool = new_spool();
    healthy($spool, 'hold') for 1 .. 10;
    damaged($spool, 'deferred', lines => [ "Subject: $_", '', 'x' ]) for 1 .. 60; # not twice the same bytes
    my $store = new_store();
    my $before = snapshot($spool);
    my $sent;
    my $r = parsed(spoolck({ tick => sub {
        $sent ||= -e "$store/entries" && @{ [ glob "$store/entries/*" ] } > 0 && kill 'TERM', $_[0];
    } }, 'scan', '-y', '--max-move', 'none', '--format', 'json', '--store', $store, $spool));
    my @left = grep { $_->{action} eq 'refused' } @{ $r->{messages} };
    ok(@left > 0, 'some are left: ' . @left);
    like($left[0]{reason}, qr/the run was ended/, 'and why');
    is($r->{status} & ~(LEFT | MOVED), CANCELLED, 'cancelled') or diag($r->{err});
    is($r->{summary}{moved}, @{ [ glob "$store/entries/*" ] } + 0, 'what was moved is whole');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'and sound');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', map { $_->{entry} // () } @{ $r->{messages} })), '2',
        'and comes back');
    same_tree($before, snapshot($spool), 'as it was');
};

# Typed as they stand there, in a shell.
subtest 'what to type next' => sub {
    my ($spool, $bin, $store) = (new_spool(), scratch(), scratch() . '/a store');
    symlink program(), "$bin/spoolck" or die "symlink: $!";
    my $type = sub { my ($command) = @_; local $ENV{PATH} = "$bin:$ENV{PATH}"; return (scalar(qx($command 2>&1)), $? >> 8) };
    healthy($spool, "deferred") for 1 .. 20;
    my ($id, $held) = (killer($spool, "incoming"), damaged($spool, "hold"));
    my ($do) = spoolck('scan', '--store', $store, '--exclude', 'hold;defer', $spool)->{out} =~ /^DO THIS\n  (spoolck scan .*)$/m;
    my ($out, $status) = $type->($do);
    is($status, 1, "$do: moves it") or diag $out;
    ok(!-e "$spool/incoming/$id", 'really');
    ok(-e "$spool/hold/$held", 'and nothing that was left out');
    is(scalar(() = glob "'$store'/entries/*"), 1, 'to the store that was named');
    my ($undo) = $out =~ /^Undo: (spoolck .*)$/m;
    ($out, $status) = $type->($undo);
    is($status, 2, "$undo: puts it back, and the server should be told") or diag $out;
    ok(-e "$spool/incoming/$id", 'really');
};

# With --deep it is damaged, without it is not: the command has to say so.
subtest 'what to type next, of a text' => sub {
    my $root = scratch() . '/queue';
    fill('qmail', $root, [ "From: a\@b\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\nQUJDQUJDQU" ]);
    like(spoolck('scan', '--deep', '--store', new_store(), "qmail:$root")->{out}, qr/^  spoolck scan -y .*--deep /m, '--deep');
};

done_testing();
