#!/usr/bin/perl
# The command line: what each verb and option does, what it prints, and the exit status.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(LOCK_EX);
use File::Basename qw(basename dirname);
use File::Copy ();
use Spoolck;
use Test::More;

my $source = dirname($FindBin::Bin);

sub is_status { my ($r, $bits, $what) = @_; return is(exit_bits($r), $bits, $what) || diag($r->{err}, $r->{out}) }

# Twenty sound messages, and room for damaged ones.
sub sound_spool {
    my $spool = new_spool();
    healthy($spool, (qw(incoming deferred maildrop active hold))[$_ % 5]) for 1 .. 20;
    return $spool;
}

subtest 'words that make no sense' => sub {
    my @usage = ([], ['nosuchverb'], ['scan', '--nosuchoption'], ['scan', '--format', 'xml'],
        ['scan', '--jobs', '-1'], ['scan', '--jobs', '1000'], ['scan', '--jobs', 'x'],
        ['scan', '--store', 'relative'], ['scan', '-n', '-y'], ['scan', '-p', '--quarantine', 'corrupt'],
        ['scan', '--quarantine', 'everything'], ['scan', '--budget', 'soon'], ['scan', '--budget', '0'],
        ['scan', '--max-move', '0'], ['scan', '--max-move', '-3'], ['scan', '--max-move', 'many'],
        ['scan', '--fail-on', 'noise'], ['scan', '--store'], ['explain'], ['explain', 'a', 'b'],
        ['quarantine'], ['quarantine', 'nosuchverb'], ['quarantine', 'show'], ['quarantine', 'restore'],
        ['quarantine', 'add'], ['findings', 'no.such-finding'], ['findings', 'a', 'b']);
    for my $words (@usage) {
        my $r = spoolck(@$words);
        is_status($r, '16', "@$words");
        like($r->{err}, qr/^spoolck.*\S.*\n/, 'says what is wrong');
        is($r->{out}, '', 'on standard error only');
    }
};

subtest '--help and --version' => sub {
    my $r = spoolck('--help');
    is_status($r, '0', '--help');
    like($r->{out}, qr/\b\Q$_\E\b/, "names $_") for qw(scan explain quarantine spools findings);
    for my $verb (qw(scan explain quarantine spools findings)) {
        $r = spoolck($verb, '--help');
        is_status($r, '0', "$verb --help");
        like($r->{out}, qr/--format/, 'lists options');
    }
    my $version = spoolck('--version');
    is_status($version, '0', '--version');
    like($version->{out}, qr/^spoolck \d+\.\d+\.\d+\S*\n\z/, 'one line');
};

# A spool with one message of each kind; returns the ids by kind.
sub mixed_spool {
    my $spool = sound_spool();
    my %id = (
        killer   => killer($spool, 'incoming'),
        deletes  => damaged($spool, 'maildrop'),
        delivery => put($spool, 'deferred', long_id(), text_end()),
        held     => damaged($spool, 'hold'),
        suspect  => put($spool, 'maildrop', long_id(), maildrop_file(recipients => [])),
    );
    return ($spool, \%id);
}

# A message whose text is cut short by an end-of-text mark: damage, but the service runs on.
sub text_end {
    my $bytes = queue_file(lines => [ 'Subject: x', '', '', 'the rest' ]);
    my $empty = record('N', '');
    my $at = index $bytes, $empty . $empty;
    substr $bytes, $at + 2, 2, record('X', '');
    return $bytes;
}

subtest '-n, -p, -y and --quarantine' => sub {
    my ($spool, $id) = mixed_spool();
    my $before = snapshot($spool);
    my $with_dirs = snapshot($spool, dirs => 1);
    my @all = qw(killer deletes delivery held);
    my @fatal = qw(killer deletes);
    my @runs = (['-n'] => [], [] => [], ['--quarantine', 'none'] => [], ['--quarantine=none'] => [],
        ['-p'] => \@fatal, ['--quarantine=fatal'] => \@fatal, ['--preen'] => \@fatal,
        ['-y'] => \@all, ['--quarantine=corrupt'] => \@all, ['--yes'] => \@all);

    while (my ($options, $expected) = splice @runs, 0, 2) {
        my $store = new_store();
        my $r = scan(@$options, '--store', $store, $spool);
        my %moved = map { $_->{id} => $_ } grep { $_->{action} eq 'moved' } @{ $r->{messages} };
        is_deeply([ sort keys %moved ], [ sort @$id{@$expected} ], "@$options moves: @$expected");
        is($r->{summary}{moved}, scalar @$expected, 'counted');
        is(verdicts($r)->{ $id->{$_} }, 'corrupt', "$_ is corrupt") for @all;
        is(verdicts($r)->{ $id->{suspect} }, 'suspect', 'the suspect one is, and stays');
        is_status($r, !@$expected ? '4' : @$expected < @all ? '4+1' : '1', 'exit status');
        if (@$expected) {
            ok(!-e "$spool/" . path($spool, $_), 'it is gone from the spool') for keys %moved;
            is_status(spoolck('quarantine', '--store', $store, 'restore', '--force', keys %moved), '2', 'undone');
        } else {
            same_tree($with_dirs, snapshot($spool, dirs => 1), 'nothing is touched');
            ok(!-e $store, 'no store is made');
        }
        same_tree($before, snapshot($spool), 'as before');
    }
};

# Where a message lies, in a spool of tests; a path that does not exist when it is nowhere.
sub path {
    my ($spool, $id) = @_;
    my ($found) = map { substr $_, 1 + length $spool } glob "$spool/{*,*/?}/$id";
    return $found // 'nowhere';
}

subtest 'a running server' => sub {
    my ($spool, $id) = mixed_spool();
    my $active = killer($spool, 'active');
    my $store = new_store();
    write_file("$spool/pid/master.pid", "$$\n");
    open my $pid, '+<', "$spool/pid/master.pid" or die;
    flock $pid, LOCK_EX or die;

    like(spoolck('spools', $spool)->{out}, qr/\brunning\b/, 'is seen');
    my $text = spoolck('scan', $spool)->{out};
    like($text, qr/\Q$spool\E: Postfix.*, running/, 'is said');
    like($text, qr/DO THIS.*systemctl stop postfix\n\s*spoolck scan -y \S+\n\s*systemctl start postfix/s,
        'what to type: stop, move, start');
    my $r = scan('-y', '--store', $store, $spool);
    my ($m) = grep { $_->{id} eq $active } @{ $r->{messages} };
    is($m->{action}, 'refused', 'active/ is not touched');
    like($m->{reason}, qr/^server-running/, 'because it runs');
    is($r->{summary}{moved}, 4, 'other places are');
    is_status($r, '4+1', 'both are in the exit status');
    is_status(spoolck('quarantine', '--store', $store, 'add', "$spool:$active"), '8', 'not by hand, either');
    ok(-e "$spool/active/$active", 'it is still there');

    close $pid;
    like(spoolck('spools', $spool)->{out}, qr/\bstopped\b/, 'stopped');
    is_status(scan('-y', '--store', $store, $spool), '1', 'now it moves');
    ok(!-e "$spool/active/$active", 'out of active/');
};

subtest 'the brake' => sub {
    my $spool = sound_spool();
    damaged($spool, 'incoming') for 1 .. 4;
    my @options = ('-y', '--store', new_store(), $spool);
    for my $brake (['--max-move', 3], ['--unattended'], ['--unattended', '--max-move', 2]) {
        my $r = scan(@$brake, @options);
        is($r->{summary}{moved}, 0, "@$brake: 4 of 24 are too many, none is moved");
        is_status($r, '4', 'they are left');
        is(scalar(grep { ($_->{reason} // '') =~ /brake/ } @{ $r->{messages} }), 4, 'and it is said why');
    }
    like(spoolck('scan', '--max-move', 1, @options)->{out}, qr/brake/, 'in text, too');
    is(scan('--max-move', 4, @options)->{summary}{moved}, 4, '--max-move 4 moves them');

    damaged($spool, 'incoming') for 1 .. 2;
    is(scan('--unattended', @options)->{summary}{moved}, 2, '2 of 22 are few enough');

    my $small = new_spool();
    healthy($small, 'incoming');
    damaged($small, 'incoming') for 1 .. 4;
    @options = ('-y', '--store', new_store(), $small);
    my $r = scan(@options);
    is($r->{summary}{moved}, 0, '4 of 5 with the same finding: none is moved');
    is_status($r, '4', 'they are left');
    is(scan('--max-move', 'none', @options)->{summary}{moved}, 4, '--max-move none overrides');
};

subtest '--fail-on, --budget, exit bits' => sub {
    my $spool = sound_spool();
    is_status(scan($spool), '0', 'all is well');
    put($spool, 'maildrop', long_id(), maildrop_file(recipients => []));
    is_status(scan($spool), '0', 'a suspect message');
    is_status(scan('--fail-on', 'suspect', $spool), '4', '... with --fail-on suspect');
    is_status(scan('--fail-on', 'corrupt', $spool), '0', '... with --fail-on corrupt');
    is_status(scan($spool, '/nonexistent'), '8', 'a spool that is missing');
    damaged($spool, 'incoming');
    is_status(scan($spool), '4', 'a corrupt message');
    is_status(scan($spool, '/nonexistent'), '8+4', 'both');
    is_status(scan('-y', '--store', new_store(), $spool, '/nonexistent'), '8+1', 'both, moved');

    my $bad = damaged($spool, 'incoming');
    my $tiny = scan('--budget', '0.000001s', '-y', '--store', new_store(), $spool);
    is(($tiny->{status} // 0) & 32, 32, 'a budget that is spent at once') or diag($tiny->{out});
    is($tiny->{summary}{moved}, 0, 'moves nothing');
    ok(-e "$spool/incoming/$bad", 'really');
    is(spoolck('scan', '--budget', '0.000001s', $spool)->{status} & 32, 32, 'in text, too');
    is_status(scan('--budget', $_, $spool), '4', "--budget $_ is enough") for qw(60s 5m 2h 60);
    my $cannot = scan('-y', '--store', '/proc/nonexistent/store', $spool);
    is_status($cannot, '8+4', 'a store that cannot be made');
    my ($m) = grep { $_->{id} eq $bad } @{ $cannot->{messages} };
    is($m->{action}, 'failed', 'the move failed');
    ok(length $m->{reason}, 'for a reason');
    my $inside = scan('-y', '--store', "$spool/store", $spool);
    is($inside->{summary}{moved}, 0, 'a store inside of the spool is refused');
    ok(!-e "$spool/store/entries" || !glob("$spool/store/entries/*"), 'and nothing lies in it');
    is_status(spoolck('scan', '--jobs', $_, $spool), '4', "--jobs $_") for 1, 3, 16;
};

# --- JSON -----------------------------------------------------------------------------

my $uint = qr/\A\d+\z/;
my $bytes = qr/\A[^\x00-\x1f]*\z/;
my %schema = (
    start   => { schema => qr/\A1\z/, version => qr/\A\d+\.\d+/, spools => 'ARRAY' },
    finding => { spool => $bytes, format => qr/\Apostfix\z/, id => [$bytes], name => qr/\A[a-z]+\.[a-z-]+\z/,
        severity => qr/\A(?:notice|suspect|corrupt)\z/,
        impact => qr/\A(?:none|damaged-delivery|stranded|server-deletes|server-stops)\z/,
        part => $bytes, stream => [$bytes], offset => $uint, length => $uint, field => [$bytes],
        expected => [$bytes], found => [$bytes], text => $bytes },
    message => { spool => $bytes, format => qr/\Apostfix\z/, id => $bytes,
        verdict => qr/\A(?:ok|noted|suspect|corrupt|busy|changed|foreign|unchecked)\z/,
        impact => qr/\A(?:none|damaged-delivery|stranded|server-deletes|server-stops)\z/,
        parts => 'ARRAY', sender => [$bytes], recipients => [$uint],
        arrival => [qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/], size => $uint,
        action => qr/\A(?:none|moved|restored|refused|failed)\z/, reason => [$bytes], entry => [$bytes] },
    summary => { (map { $_ => $uint } qw(messages ok noted suspect corrupt busy changed foreign unchecked
        moved bytes exit)), seconds => qr/\A\d+(?:\.\d+)?(?:e-?\d+)?\z/ },
);

# What is wrong with an object, '' when nothing.
sub misfit {
    my ($object) = @_;
    my $fields = $schema{ $object->{event} } or return "unknown event $object->{event}";
    for my $key (sort keys %$fields) {
        my ($type, $value) = ($fields->{$key}, $object->{$key});
        return "$object->{event}.$key is missing" unless exists $object->{$key};
        if (ref $type eq 'ARRAY') {
            next unless defined $value;
            $type = $type->[0];
        }
        return "$object->{event}.$key is null" unless defined $value;
        return "$object->{event}.$key: $value" if ref $type ? ref $value || $value !~ $type : ref $value ne $type;
    }
    return '';
}

subtest 'JSON Lines' => sub {
    my ($spool, $id) = mixed_spool();
    write_file("$spool/deferred/no queue file", 'x');
    put($spool, 'incoming', long_id(), 'half', mode => 0600);
    my $store = new_store();
    for my $options (['--all'], [], ['-y', '--store', $store, '--all']) {
        my $r = spoolck('scan', '--format', 'json', @$options, $spool);
        my @lines = json_lines($r->{out});
        is(join('; ', grep { $_ ne '' } map { misfit($_) } @lines), '', "every field is there: @$options");
        is($lines[0]{event}, 'start', 'the first line');
        is_deeply($lines[0]{spools}, [ { path => $spool, format => 'postfix' } ], 'names the spool');
        is($lines[-1]{event}, 'summary', 'the last line');
        is($lines[-1]{exit}, $r->{status}, 'has the exit status');
        my %count;
        $count{ $_->{verdict} }++ for grep { $_->{event} eq 'message' } @lines;
        delete $count{ok} unless "@$options" =~ /--all/;
        is($lines[-1]{$_}, $count{$_}, "$_ is counted") for sort keys %count;
        my $sum = 0;
        $sum += $lines[-1]{$_} for qw(ok noted suspect corrupt busy changed foreign unchecked);
        is($sum, $lines[-1]{messages}, 'verdicts add up to the messages');
    }
    my ($m) = grep { $_->{id} eq healthy_id($spool) } @{ scan('--all', $spool)->{messages} };
    is($m->{sender}, 'bob@example.org', 'sender');
    is($m->{recipients}, 1, 'recipients');
    is($m->{arrival}, '2026-11-20T08:00:00Z', 'arrival');
    is($m->{parts}[0], path($spool, $m->{id}), 'part');
    is($m->{size}, -s "$spool/$m->{parts}[0]", 'size');
};

sub healthy_id { my ($spool) = @_; my ($path) = sort glob "$spool/incoming/4*"; return basename($path) }

subtest 'text for people' => sub {
    my ($spool, $id) = mixed_spool();
    my $r = spoolck('scan', $spool);
    like($r->{out}, qr/^\Q$spool\E: Postfix/, 'the spool first');
    like($r->{out}, qr/STOPS THE SERVICE \(1\)\n\Q$id->{killer}\E  incoming  bob\@example\.org -> 1 recipient/,
        'the worst message first');
    like($r->{out}, qr/STOPS THE SERVICE.*DAMAGED, SERVICE RUNS.*SUSPECT/s, 'then the others');
    like($r->{out}, qr/\[postfix\.size-field\]/, 'the name of the finding');
    like($r->{out}, qr/DO THIS\n\s+spoolck scan -y /, 'what to type next');
    like($r->{out}, qr/\n25 messages, [\d.]+ s: 20 ok, 4 corrupt, 0 unchecked, 1 suspect; none moved\. Exit 4\.\n\z/,
        'the sum at the end');
    unlike($r->{out}, qr/\e/, 'no colour in a pipe');
    is($r->{err}, '', 'no progress line, either');
    my $clean = sound_spool();
    $r = spoolck('scan', '--quiet', $clean);
    is_status($r, '0', '--quiet');
    is($r->{out} . $r->{err}, '', 'says nothing of a clean spool');
    like(spoolck('scan', '--quiet', $spool)->{out}, qr/STOPS THE SERVICE/, 'and speaks when there is something');
    my @shown = spoolck('scan', '--all', $clean)->{out} =~ /^ok  \w+/mg;
    is(scalar @shown, 20, '--all shows every message');
};

# --- The other verbs --------------------------------------------------------------------

subtest 'spools' => sub {
    my $spool = sound_spool();
    my $r = spoolck('spools', $spool);
    is_status($r, '0', 'one that is named');
    like($r->{out}, qr/^\Q$spool\E: Postfix .*stopped\n\z/, 'one line');
    my ($line) = json_lines(spoolck('spools', '--format', 'json', $spool)->{out});
    is($line->{path}, $spool, 'JSON: path');
    is($line->{format}, 'postfix', 'format');
    is($line->{server}, 'stopped', 'server');
    ok($line->{readable}, 'readable');
    is_status(spoolck('spools', '/nonexistent'), '8', 'one that is missing');
    $r = spoolck('spools');
    like(exit_bits($r), qr/^[08]$/, 'those of this host');
    ok($r->{out} ne '', 'are named, or that there is none');
};

subtest 'findings' => sub {
    my @def = read_file("$source/parsers/findings.def") =~ /^FINDING\(\w+, "([^"]+)", (\w+), (\w+),$/mg;
    my (@expected, @got);
    while (my ($name, $severity, $impact) = splice @def, 0, 3) {
        push @expected, join ' ', $name, lc $severity, lc($impact =~ tr/_/-/r);
    }
    cmp_ok(scalar @expected, '>', 30, 'findings.def can be read');
    my @lines = json_lines(spoolck('findings', '--format', 'json')->{out});
    is_deeply([ map { "$_->{name} $_->{severity} $_->{impact}" } @lines ], \@expected,
        'the list is that of findings.def');
    is(scalar(grep { !length $_->{text} || !length $_->{server} || !length $_->{todo} } @lines), 0,
        'each has its texts');
    my $text = spoolck('findings')->{out};
    is_deeply([ $text =~ /^(\S+)$/mg ], [ map { $_->{name} } @lines ], 'the same in text');
    my $one = spoolck('findings', 'postfix.size-field');
    is_status($one, '0', 'one of them');
    is_deeply([ $one->{out} =~ /^(\S+)$/mg ], ['postfix.size-field'], 'alone');
};

subtest 'explain what is no file' => sub {
    my $dir = scratch();
    write_file("$dir/file", 'x');
    symlink "$dir/file", "$dir/link";
    require POSIX;
    POSIX::mkfifo("$dir/fifo", 0600);
    for my $path ("$dir/link", "$dir/fifo", $dir) {
        my $r = spoolck('explain', $path);
        is(exit_bits($r), '8', "$path: refused");
        like($r->{err}, qr/^spoolck: \Q$path\E: no regular file/, 'and why');
        is($r->{out}, '', 'nothing else');
    }
};

subtest 'explain' => sub {
    my ($spool, $id) = mixed_spool();
    my ($sound, $bad) = (healthy_id($spool), $id->{killer});
    for my $form ("$spool/incoming/$sound", "postfix:$spool/incoming/$sound", "$spool:$sound",
        "postfix:$spool:$sound") {
        my $r = spoolck('explain', $form);
        is_status($r, '0', 'a sound message: ' . ($form =~ s/\Q$spool\E/SPOOL/r));
        like($r->{out}, qr/^ *$_->[0] +\d+ +\Q$_->[1]\E\b/m, "$_->[1] at $_->[0]")
            for [ 0, 'size record' ], [ 97, 'arrival time' ];
        like($r->{out}, qr/\b\Q$_\E\b/, $_) for 'sender', 'recipient', 'message start', 'line', 'end';
        like($r->{out}, qr/bob\@example\.org/, 'addresses');
        like($r->{out}, qr/No finding/, 'and that nothing is wrong');
    }
    for my $form ("$spool/incoming/$bad", "$spool:$bad") {
        my $r = spoolck('explain', $form);
        is_status($r, '4', 'a damaged message: ' . ($form =~ s/\Q$spool\E/SPOOL/r));
        like($r->{out}, qr/^ +18 .*data offset.*\n +\^\^\^ corrupt at byte 18.*\[postfix\.size-field\]/m,
            'the damage is marked under its field');
        like($r->{out}, qr/qmgr dies/, 'and what the server does is said');
    }
    my $loose = scratch() . '/saved.bin';
    File::Copy::copy("$spool/incoming/$bad", $loose);
    chmod 0644, $loose;
    for my $form ($loose, "postfix:$loose") {
        my $r = spoolck('explain', $form);
        is_status($r, '4', 'a copy that lies anywhere: ' . ($form eq $loose ? 'FILE' : 'TYPE:FILE'));
        like($r->{out}, qr/\[postfix\.size-field\]/, 'the same finding');
    }
    my @rows = json_lines(spoolck('explain', '--format', 'json', "$spool:$bad")->{out});
    is(scalar(grep { $_->{event} eq 'finding' && $_->{name} eq 'postfix.size-field' } @rows), 1, 'JSON: finding');
    my @row = grep { $_->{event} eq 'row' } @rows;
    cmp_ok(scalar @row, '>=', 8, 'rows');
    is(join(' ', grep { my $k = $_; grep { !defined $_->{$k} } @row } qw(offset length kind detail depth part)), '',
        'each with its fields');
    for my $form ("$spool:nosuchid", "$spool/incoming/nosuchid", '/nonexistent:ABC', '/nonexistent/file') {
        my $r = spoolck('explain', $form);
        is_status($r, '8', 'nothing there: ' . ($form =~ s/\Q$spool\E/SPOOL/r));
        like($r->{err}, qr/nosuchid|nonexistent/, 'says what');
    }
};

subtest 'quarantine' => sub {
    my ($spool, $id) = mixed_spool();
    my $store = new_store();
    my $before = snapshot($spool);
    my $q = sub { spoolck('quarantine', '--store', $store, @_) };
    my $sound = healthy_id($spool);

    is_status($q->($_), '8', "no store yet: $_") for 'list';
    my $added = $q->('add', '--reason', 'looks odd', "$spool:$sound");
    is_status($added, '1', 'add');
    chomp(my $entry = $added->{out});
    ok(!-e "$spool/incoming/$sound", 'it is out of the spool');
    ok(-d "$store/entries/$entry", 'and in the store');
    is_status(scan('-p', '--store', $store, $spool), '4+1', 'scan -p adds more');

    my $list = $q->('list');
    is_status($list, '0', 'list');
    is(scalar(my @lines = split /\n/, $list->{out}), 3, 'a line for each');
    like($list->{out}, qr/^\Q$entry\E\s+\Q$spool\E\s+looks odd$/m, 'with spool and reason');
    like($list->{out}, qr/\Q$id->{killer}\E\s+\Q$spool\E\s+postfix\.size-field$/m, 'or finding');
    my %entry = map { $_->{id} => $_ } json_lines($q->('list', '--format', 'json')->{out});
    is_deeply([ sort keys %entry ], [ sort $sound, @$id{qw(killer deletes)} ], 'JSON: the ids');

    my $show = $q->('show', $entry);
    is_status($show, '0', 'show');
    like($show->{out}, qr/\Q$_\E/, "has $_") for $spool, $sound, 'looks odd', "incoming/$sound", 'sha256';
    is_status($q->('show', $id->{killer}), '0', 'show by queue id');
    like($q->('show', $id->{killer})->{out}, qr/postfix\.size-field/, 'has the finding');
    my ($m) = json_lines($q->('show', '--format', 'json', $entry)->{out});
    is($m->{parts}[0]{path}, "incoming/$sound", 'JSON: path');
    is($m->{parts}[0]{size}, length queue_file(), 'size');
    is_status($q->($_, 'nosuchentry'), '8', "$_ of what is not there") for qw(show verify restore);

    my $verify = $q->('verify');
    is_status($verify, '0', 'verify');
    is(scalar(my @sound = $verify->{out} =~ /: sound$/mg), 3, 'says so of each');
    my $killer = $entry{ $id->{killer} }{entry};
    my @parts = grep { -f } glob "$store/entries/$killer/parts/* $store/entries/$killer/parts/*/*";
    ok(@parts, 'the message lies in parts/');
    my ($size, $atime, $mtime) = (stat $parts[0])[7, 8, 9];
    open my $f, '+<:raw', $parts[0] or die;
    seek $f, 40, 0;
    print $f 'Z';
    close $f;
    $verify = $q->('verify', $killer);
    is_status($verify, '4', 'verify sees a changed byte');
    my $refused = $q->('restore', $killer);
    is_status($refused, '8', 'and restore refuses it');
    ok(!-e "$spool/incoming/$id->{killer}", 'nothing came back');
    open $f, '+<:raw', $parts[0] or die;
    seek $f, 40, 0;
    print $f substr queue_file(), 40, 1;
    close $f;

    write_file("$spool/incoming/$sound", 'somebody else');
    is_status($q->('restore', $entry), '8', 'a name that is taken is not overwritten');
    is(read_file("$spool/incoming/$sound"), 'somebody else', 'really');
    unlink "$spool/incoming/$sound";
    my $restored = $q->('restore', '--force', $entry, $id->{deletes}); # others have the same bytes
    is_status($restored, '2', 'restore, by entry and by id');
    like($restored->{out}, qr/restored: \Q$sound\E/, 'says so');
    is_status($q->('restore', $entry), '8', 'not twice');
    is_status($q->('recover'), '0', 'recover finds nothing to do');
    my $after = snapshot($spool);
    delete @$_{ grep { /\Q$id->{killer}\E/ } keys %$_ } for $before, $after;
    same_tree($before, $after, 'they are as they were');
    is(scalar(my @left = split /\n/, $q->('list')->{out}), 1, 'one entry is left');
    is_status($q->('add', "$spool:nosuchid"), '8', 'add of what is not there');
    is_status($q->('add', 'nocolon'), '16', 'add without a spool');
};

subtest 'a message takes its logs with it' => sub {
    my $spool = sound_spool();
    my $bad = damaged($spool, 'deferred');
    my $hash = substr place_of($spool, 'deferred', $bad), -1;
    mkdir "$spool/defer/$hash";
    write_file("$spool/defer/$hash/$bad", "log\n");
    write_file("$spool/bounce/$bad", "log\n");
    write_file("$spool/trace/other", "log\n");
    my $before = snapshot($spool);
    my $store = new_store();
    is_status(scan('-y', '--store', $store, $spool), '1', 'moved');
    ok(!-e "$spool/defer/$hash/$bad" && !-e "$spool/bounce/$bad", 'with its logs');
    ok(-e "$spool/trace/other", 'not with those of others');
    is_status(spoolck('quarantine', '--store', $store, 'restore', $bad), '2', 'restored');
    same_tree($before, snapshot($spool), 'with its logs');
};

subtest 'two runs at once' => sub {
    for my $round (1 .. 5) {
        my $spool = sound_spool();
        my @bad = map { damaged($spool, (qw(incoming deferred maildrop hold))[$_ % 4]) } 1 .. 6;
        my $store = new_store();
        my @words = ('scan', '--format', 'json', '-y', '--store', $store, $spool);
        my @runs = map { start(@words) } 1 .. 2;
        my @r = map { parsed(finish($_)) } @runs;
        my %moved;
        $moved{ $_->{id} }++ for grep { $_->{action} eq 'moved' } map { @{ $_->{messages} } } @r;
        is_deeply(\%moved, { map { $_ => 1 } @bad }, 'each is moved once, by one of them')
            or diag(map { $_->{out} } @r);
        is(scalar(grep { $_->{status} & 8 } @r), 0, 'without an error')
            or diag(map { exit_bits($_), "\n", $_->{out}, $_->{err} } @r);
        is_status(scan($spool), '0', 'the spool is clean');
        is(scalar(my @entries = glob "$store/entries/*"), 6, 'there are as many entries');
        is_status(spoolck('quarantine', '--store', $store, 'verify'), '0', 'all of them sound');
    }
};

done_testing();
