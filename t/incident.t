#!/usr/bin/perl
# Daemons that died, as the mail log tells: told with the message that does it, once to a timer, across rotation; lines of
# strangers are escaped, bounded, and move nothing.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(dirname);
use File::Path qw(make_path);
use POSIX qw(strftime mkfifo);
use Spoolck;
use Test::More;

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }
my ($spool, $store) = (new_spool(), new_store());
healthy($spool, 'deferred', text()) for 1 .. 30;
my $killer = killer($spool, 'incoming', text());
my $pid = 200;

sub stamp { return strftime('%b %e %H:%M:%S', localtime(time - ($_[0] // 60))) }
sub line { my ($ident, $words, $ago) = @_; return stamp($ago) . " mx17 $ident: $words\n" }

# What Postfix writes when its qmgr gives up: the daemon first, then master.
sub fatal {
    my ($words, $ago) = @_;
    $pid++;
    return line("postfix/qmgr[$pid]", "fatal: $words", $ago)
        . line('postfix/master[99]', "warning: process /usr/lib/postfix/sbin/qmgr pid $pid exit status 1", $ago);
}

sub append { my ($file, @text) = @_; open my $out, '>>:raw', $file or die "$file: $!"; print {$out} @text; close $out or die }
sub new_log { my $file = scratch() . '/mail.log'; write_file($file, join '', @_); return $file }
sub by_hand { return spoolck('scan', '--store', $store, '--mail-log', @_) }

my $noise = line('postfix/smtpd[7]', 'connect from fatal: [127.0.0.1]') . line('postfix/qmgr[8]', '4F2A: removed');

subtest 'by hand' => sub {
    my $log = new_log($noise, map { fatal("bad extra offset  file active/$killer") } 1 .. 3);
    my $r = by_hand($log, $spool);
    is(exit_bits($r), '4', 'exit status as without');
    like($r->{out}, qr/^DAEMONS THAT DIED, .*\nqmgr of Postfix: 3 times, last \d+ s ago  \[\Q$log\E\]\n  It said: bad extra offset  file active\/$killer\n  It was at $killer, damaged, see above  \[postfix\.size-field\]$/m,
        'who, how often, why, whose fault') or diag $r->{out};
    unlike(by_hand('none', $spool)->{out}, qr/DIED/, 'none: not looked at');
    unlike(by_hand($log, '--format', 'json', $spool)->{out}, qr/DAEMONS/, 'JSON has its own form');
    my ($event) = grep { $_->{event} eq 'incident' } json_lines(by_hand($log, '--format', 'json', $spool)->{out});
    is($event->{$_->[0]}, $_->[1], "JSON: $_->[0]")
        for [ format => 'postfix' ], [ daemon => 'qmgr' ], [ deaths => 3 ], [ id => $killer ], [ named_by => 'log' ], [ name => 'postfix.size-field' ], [ source => $log ];
    unlike(by_hand(new_log(map { fatal('x', 4000) } 1 .. 3), $spool)->{out}, qr/DIED/, 'over an hour ago: not by hand');
    my $iso = strftime('%Y-%m-%dT%H:%M:%S.123456Z', gmtime(time - 60));
    like(by_hand(new_log("$iso mx17 postfix/master[9]: warning: process /x/cleanup pid 5 killed by signal 11\n"), $spool)->{out},
        qr/^cleanup of Postfix: 1 time, by signal 11, last 6\d s ago/m, 'a time of RFC 3339, a signal');
};

subtest 'who does it' => sub {
    my $r = by_hand(new_log(map { fatal('myrealloc: insufficient memory') } 1 .. 2), $spool);
    like($r->{out}, qr/^  This would do it: $killer, damaged, see above  \[postfix\.size-field\]$/m, 'the log names none: what the scan has found');
    my $good = healthy($spool, 'hold', text());
    my $log = new_log(map { fatal("read file hold/$good: Input/output error") } 1 .. 2);
    like(by_hand($log, $spool)->{out}, qr/^  It was at $good, in which no damage was found$/m, 'the log names one that is sound');
    $r = by_hand($log, '-y', '--max-move', 'none', '--format', 'json', $spool);
    ok(-e "$spool/hold/$good", 'a line of a log moves nothing');
    ok(!-e "$spool/incoming/$killer", 'damage does');
    my $other = new_spool();
    healthy($other, 'deferred', text());
    like(by_hand(new_log(map { fatal('x') } 1 .. 2), $other)->{out}, qr/^  The log names no message, and none lies in the queue that would do this\.$/m, 'nobody knows');
    my $exim = "2026-11-20 15:41:18 queue run: process 237 crashed with signal 11 while delivering 1wIbVf-0000Ci-1A\n";
    unlike(by_hand(new_log($exim), $other)->{out}, qr/DIED/, 'a server that is not examined');
};

# A timer: its lines.
my $state = scratch() . '/state';
sub timer { my ($log, @more) = @_; return spoolck('scan', '--store', $store, '--state', $state, '--mail-log', $log, @more, $spool)->{out} }

subtest 'a timer' => sub {
    my $log = new_log($noise);
    is(timer($log), '', 'nothing');
    append($log, fatal("bad extra offset  file active/AAAA"));
    is(timer($log), '', 'a daemon that gave up once may have had a bad day');
    append($log, $noise, fatal("bad extra offset  file active/AAAA"));
    like(timer($log), qr/^spoolck \S+: NEW daemon-dies postfix:AAAA qmgr died 1 time at it: bad extra offset  file active\/AAAA; run: spoolck scan postfix\n\z/,
        'again: told');
    append($log, fatal("bad extra offset  file active/AAAA")) for 1 .. 5;
    is(timer($log), '', 'and known then');
    append($log, map { fatal("bad extra offset  file active/BBBB") } 1 .. 2);
    like(timer($log), qr/^spoolck \S+: NEW daemon-dies postfix:BBBB qmgr died 2 times at it/, 'another message is new');
    append($log, line('postfix/master[99]', 'warning: process /x/showq pid 77 killed by signal 11'));
    like(timer($log), qr/NEW daemon-dies postfix: showq died 1 time; run/, 'a signal is told at once');
    is(timer($log), '', 'once');
    my $before = read_file($state);
    (my $aged = $before) =~ s/^(\d+)\t(\d+)(\t\d+\t!)/($1 - 90000) . "\t" . ($2 - 90000) . $3/gem;
    write_file($state, $aged);
    append($log, line('postfix/master[99]', 'warning: process /x/showq pid 78 killed by signal 11'));
    like(timer($log, '--remind-after', '24h'), qr/ STILL daemon-dies postfix: showq /, 'and when it is asked to remind');
};

subtest 'rotation' => sub {
    my $log = new_log($noise);
    timer($log);
    append($log, map { fatal("x file active/CCCC") } 1 .. 2);
    rename $log, "$log.1";
    write_file($log, $noise);
    like(timer($log), qr/postfix:CCCC qmgr died 2 times/, 'what was left of the old one');
    append($log, map { fatal("x file active/DDDD") } 1 .. 2);
    like(timer($log), qr/postfix:DDDD/, 'and the new one');
    truncate $log, 0;
    append($log, map { fatal("x file active/EEEE") } 1 .. 2);
    like(timer($log), qr/postfix:EEEE/, 'copied and truncated');
    my ($first, $second) = map { fatal("x file active/FFFF") } 1 .. 2;
    append($log, $first, substr $second, 0, 60);
    is(timer($log), '', 'a line that is half written');
    append($log, substr $second, 60);
    like(timer($log), qr/postfix:FFFF/, 'a line that was half written is read when it is whole');
    my ($words, $death) = split /(?<=\n)/, fatal("x file active/HHHH");
    append($log, fatal("x file active/HHHH"), $words);
    timer($log);
    append($log, $death);
    like(timer($log), qr/postfix:HHHH qmgr died 1 time at it/, 'last words that were read the last time');
    write_file("$log.new", join '', $noise, map { fatal("x file active/GGGG") } 1 .. 2);
    rename "$log.new", $log;
    like(timer($log), qr/postfix:GGGG/, 'another file, the old one is gone');
    my $names = 0;
    for my $name ("$log-20261120", "$log.0", scratch() . '/other/kept', dirname($log) . '/@400000006b00b0f9075bcd15.s', dirname($log) . '/kept') {
        my $id = 'A' x 4 . $names++;
        mkdir dirname($name);
        append($log, map { fatal("x file active/$id") } 1 .. 2);
        rename $log, $name;
        write_file($log, $noise);
        my $told = timer($log);
        if ($name =~ /kept/) { unlike($told, qr/$id/, "$name: nobody's rotated log") }
        else { like($told, qr/postfix:$id qmgr died 2 times/, "rotated to $name") }
    }
};

# The same process number again: in a container the first process has it after each start.
subtest 'numbers that come again' => sub {
    my $death = sub { line('postfix/master[9]', 'warning: process /x/showq pid 7 killed by signal 11', $_[0]) };
    like(by_hand(new_log(map { $death->($_) } 900, 600, 600, 300), $spool)->{out}, qr/^showq of Postfix: 3 times, by signal 11, last 5 min ago/m,
        'three deaths, one of them told twice');
};

# Other servers' logs: empty queues of theirs are enough to be asked about.
subtest 'Exim, qmail, Courier' => sub {
    my %made = (
        exim => [ 'input', 'msglog', 'db' ], qmail => [ (map { ("$_/0") } qw(info local remote mess)), qw(todo intd bounce pid lock) ],
        courier => [ 'msgs', 'msgq', 'tmp' ] );
    my %at;
    for my $format (sort keys %made) {
        $at{$format} = "$format:" . scratch() . "/$format";
        make_path(map { substr($at{$format}, 1 + length $format) . "/$_" } @{ $made{$format} });
    }
    my $told = sub { my ($format, @lines) = @_; return spoolck('scan', '--store', $store, '--mail-log', new_log(@lines), $at{$format})->{out} };
    my $now = strftime('%Y-%m-%d %H:%M:%S', localtime(time - 60));
    # both logs have it, and then the parent says it
    my $panic = "$now [18] 1xUUCx-000006-10 SIGSEGV (fault address: 0x1)\n$now [18] 1xUUCx-000006-10 SIGSEGV (   18 delivering 1xUUCx-000006-10\n)\n";
    like($told->('exim', $panic x 2, "$now [8] queue run: process 18 crashed with signal 11 while delivering 1xUUCx-000006-10\n"),
        qr/^exim of Exim: 1 time, by signal 11, .*\n  It said: SIGSEGV \(   18 delivering 1xUUCx-000006-10\n  It was at 1xUUCx-000006-10, which is not in the queue now$/m,
        'a delivery of Exim that crashed, from either of its logs');
    my $tai = sub { return sprintf '@%016x%08x %s', (1 << 62) + 10 + time - $_[0], 5, "alert: oh no! lost $_[1] connection! dying...\n" };
    like($told->('qmail', map { $tai->($_, 'spawn'), $tai->($_, 'spawn'), $tai->($_, 'qmail-clean') } 90, 60, 30),
        qr/^qmail-send of qmail: 3 times, last \d+ s ago /m, 'qmail-send by multilog: three lines are one death');
    like($told->('qmail', map { stamp($_) . " mx17 qmail: " . (time - $_) . ".123456 alert: cannot start: hath the daemon spawn no fire?\n" } 60),
        qr/^qmail-send of qmail: 1 time, .*\n  It said: cannot start: hath/m, '... by splogger');
    like($told->('courier', map { line('courierd', 'ABNORMAL TERMINATION BY A SIGNAL', $_), line('courierd', 'Will restart in 60 seconds.', $_) } 180, 120, 60),
        qr/^courierd of Courier: 3 times, last /m, 'courierd');
};

subtest 'lines of strangers' => sub {
    my $evil = "\e[31m\x{9b}\0\xff\t\"\\";
    my $long = 'x' x 300_000;
    my $log = new_log($noise, $long, "\n", line("postfix/master[99]", 'warning: process /x/bounce pid 77 killed by signal 11'),
        (map { fatal("$evil file active/$evil") } 1 .. 2), "\0" x 100_000, "\n", map { chr int rand 256 } 1 .. 50_000);
    my $r = by_hand($log, $spool);
    like($r->{out}, qr/^bounce of Postfix: 1 time/m, 'what stands among them is found');
    ok(is_printable($r->{out}), 'nothing unprintable') or diag $r->{out};
    my $told = timer($log);
    ok(is_printable($told), 'to the timer neither') or diag $told;
    cmp_ok(length, '<', 300, 'fit for a subject') for split /\n/, $told;
    is(timer($log), '', 'and known');
    my @json = eval { json_lines(by_hand($log, '--format', 'json', $spool)->{out}) };
    is(scalar(grep { $_->{event} eq 'incident' } @json), 2, 'JSON is JSON') or diag $@;
    append($log, map { fatal("x file active/N$_") } 1 .. 20_000);
    like(timer($log), qr/ qmgr died \d+ times /, 'a flood ends');
};

subtest 'what cannot be read' => sub {
    my $dir = scratch();
    mkfifo("$dir/fifo", 0600);
    symlink new_log($noise), "$dir/link";
    for my $log ("$dir/none", "$dir/fifo", $dir, "$dir/link") {
        my $r = by_hand($log, $spool);
        like($r->{err}, qr/^spoolck: \Q$log\E: /m, "$log: told");
        ok($r->{status} & FAILED, 'exit bit 8');
    }
    is(exit_bits(spoolck('scan', '--mail-log', 'mail.log', $spool)), '16', 'a path that is not absolute');
};

subtest '--restart' => sub {
    is(exit_bits(spoolck('scan', '--restart', $spool)), '16', 'moves nothing by itself');
    my $id = killer(my $own = new_spool(), 'active', text());
    healthy($own, 'deferred', text()) for 1 .. 9;
    write_file("$own/pid/master.pid", "$$\n");
    open my $lock, '+<', "$own/pid/master.pid" or die;
    require Fcntl;
    flock $lock, Fcntl::LOCK_EX() or die;
    # This test runs in no unit that is Postfix'.
    my $r = spoolck('scan', '-p', '--restart', '--store', new_store(), $own);
    like($r->{out}, qr/^--restart: not done: (?:no systemd manages|the Postfix that uses this spool belongs to no unit|\S+, in which it runs, is no unit that is known for Postfix)/m,
        'a server that is not run by a unit of its own is not stopped') or diag $r->{out};
    is(exit_bits($r), '4', 'left in place');
    ok(-e "$own/active/$id", 'really');
    close $lock;
    $r = spoolck('scan', '-p', '--restart', '--store', new_store(), $own);
    is(exit_bits($r), '1', 'one that does not run need not be');
    unlike($r->{out}, qr/--restart/, 'and nothing is said of it');
};

subtest 'monitoring' => sub {
    my $log = new_log(map { fatal('x file active/1234') } 1 .. 3);
    my $file = scratch() . '/spoolck.prom';
    my $clean = new_spool();
    healthy($clean, 'deferred', text());
    spoolck('scan', '--store', $store, '--mail-log', $log, '--metrics', $file, $clean);
    like(read_file($file), qr/^spoolck_daemon_deaths\{format="postfix"\} 3$/m, 'deaths');
    like(read_file($file), qr/^spoolck_daemon_deaths\{format="exim"\} 0$/m, 'every series is there');
    my $r = spoolck('scan', '--store', $store, '--mail-log', $log, '--nagios', $clean);
    like($r->{out}, qr/^SPOOLCK OK: .*; qmgr of Postfix died 3 times at 1234 \| /, 'the line of a plugin');
};

done_testing();
