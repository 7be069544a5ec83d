#!/usr/bin/perl
# sendmail.t - against real Sendmail 8.17.1 (Debian 12)
#
# Real mail of every kind raises nothing above a notice. What a queue run makes of damaged copies
# (who is given which text, what is set aside, deleted, or kills the runner) is compared with our
# verdict. The known killers are reproduced. What is quarantined comes back and is delivered.
#
# LAB_NUMBER: damaged copies (1500); LAB_SEED. Root, and a Debian mirror for the first run.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Lab::Sendmail;
use Lab::Sendmail::Damage qw(make_damage);
use Lab::Util qw(base_dir slurp spew run_ok stalled);
use POSIX ();
use Spoolck;
use Test::More;

plan skip_all => 'root is needed for chroots and namespaces' unless need_root('chroots and namespaces');

my $number = $ENV{LAB_NUMBER} // 1500;
my $seed = $ENV{LAB_SEED} // 1;
my $work = base_dir() . '/sendmail-lab';

sub inside { return Lab::Sendmail::inside($work, @_) }

# --- Real mail -----------------------------------------------------------------------------------

sub queue_mail {
    run_ok('rm', '-rf', '--one-file-system', $work);
    run_ok('mkdir', '-p', $work);
    ok(inside(200, $_), "mail is queued ($_)") for 'corpus /lab/spool-plain 12', 'corpus /lab/spool-split 6', 'corpus /lab/spool-half 4', 'corpus_groups 4';
}

sub nothing_above_notice {
    my ($messages, %record) = (0);
    for my $spool (map({ "$work/spool-$_" } qw(plain split half)), "$work/groups") {
        my $scan = scan('--all', $spool);
        is(exit_bits($scan), 0, "exit status for $spool") or diag($scan->{err});
        is_deeply([ map { "$_->{id} $_->{verdict}" } grep { $_->{verdict} !~ /^(?:ok|noted)$/ } @{ $scan->{messages} } ], [], 'nothing above a notice');
        is_deeply([ map { "$_->{name} $_->{part}" } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} } ], [], '... nor about the spool');
        my @files = map { Lab::Sendmail::controls($_) } $spool =~ /groups/ ? glob "$spool/*" : $spool;
        is(scalar @{ $scan->{messages} }, scalar @files, 'every message was looked at (' . @files . ')');
        $messages += @files;
        for my $file (@files) {
            $record{ $file =~ m{/hf[^/]*$} ? 'hf' : 'qf' }++;
            my $text = slurp($file);
            $record{$1}++ while $text =~ /^([^\s])/mg;
            $record{folded}++ if $text =~ /^[ \t]/m;
        }
    }
    cmp_ok($messages, '>=', 200, "$messages messages");
    ok($record{$_}, "among them some with $_ (" . ($record{$_} // 0) . ')') for qw(hf folded A B C F H I K M N P Q R S T V Z q r ! $);
}

# --- Damaged copies -----------------------------------------------------------------------------

# Verdicts of the server: id => { word, taken, why }
sub judged {
    my ($what, @ids) = @_;
    spew("$work/list", join '', map { "$_\n" } @ids);
    my @pids = map {
        my $lane = $_;
        my $pid = fork // die;
        if (!$pid) { POSIX::_exit(!inside(500, "judge /lab/list /lab/result $lane 2")) }
        $pid;
    } 0, 1;
    my $bad = 0;
    for (@pids) { waitpid $_, 0; $bad += $? != 0 }
    is($bad, 0, "the server has judged $what");
    my %verdict;
    for my $line (split /\n/, join '', map { slurp("$work/result.$_") } 0, 1) {
        my ($id, $word, $taken, $why) = split /\t/, $line, -1;
        $verdict{$id} = { word => $word, taken => $taken, why => $why };
    }
    return \%verdict;
}

# Ours: id => { verdict, impact, names, recipients }
sub ours {
    my $scan = scan('--all', '--server-version', '8.17.1', "sendmail:$work/damaged");
    my %names;
    push @{ $names{ $_->{id} // '' } }, $_->{name} for @{ $scan->{findings} };
    return { map { $_->{id} => { %$_, names => join ' ', sort @{ $names{ $_->{id} } // [] } } } @{ $scan->{messages} } };
}

# Those who were given the message.
sub given { my ($taken) = @_; return map { / \S+ [^:]*:(.*)/ ? split /,/, $1 : () } grep { !/^notice/ } split /; /, $taken }

# In which way we agree; undef = we do not. What no checker can see is text that was changed into other
# text of the same form; each kind of it has its name here.
sub agrees {
    my ($case, $server, $mine, $before) = @_;
    my $corrupt = $mine->{verdict} eq 'corrupt';
    if ($server->{word} eq 'crash') { return $corrupt && $mine->{impact} eq 'server-stops' ? 'dies' : undef }
    if ($server->{word} eq 'lost') {
        # Which directories there are only the configuration knows.
        return 'set aside for a directory, seen' if $mine->{names} =~ /sendmail\.directory/ && !($corrupt && $mine->{impact} eq 'server-deletes');
        return $corrupt && $mine->{impact} =~ /^server-deletes/ ? 'set aside' : undef;
    }
    # It waits ten minutes before it deletes an empty one; a copy is younger than that.
    if ($server->{word} eq 'stuck') {
        return 'empty, kept for ten minutes' if $mine->{names} eq 'sendmail.empty';
        return $corrupt && $mine->{impact} =~ /stranded|server-deletes/ ? 'stays for ever' : undef;
    }
    if ($server->{word} eq 'deleted') { return $corrupt && $mine->{impact} eq 'server-deletes' ? 'deleted' : undef }
    if ($server->{taken} eq $before->{taken}) {
        # Everything could be delivered at once; what cannot is returned (see the killers).
        return 'too old, but delivered at once' if $mine->{names} =~ /sendmail\.time/;
        return 'a recipient with a tail, read all the same' if $mine->{names} =~ /sendmail\.folded sendmail\.recipient\b/;
        return $corrupt && $mine->{impact} =~ /^server-|stranded/ ? undef : $mine->{verdict} =~ /ok|noted/ ? 'read as before' : 'seen, and read as before';
    }
    return 'seen' if $mine->{verdict} =~ /corrupt|suspect/;
    # Nothing tells how long a text was.
    return 'a shorter text' if $case->{kind} =~ /^text (?:cut|empty)$/;
    my ($had, $has) = (scalar given($before->{taken}), scalar given($server->{taken}));
    return 'two recipients became one' if $has == $had - 1 && $case->{twins};
    # Lost silently, and we count as many as ever?
    return undef if $has < $had && $server->{taken} !~ /notice|MAILER-DAEMON/ && $mine->{recipients} >= $case->{recipients};
    return 'another text of the same form' if $case->{kind} =~ /^(?:flip|insert|delete|line|lines|other|zeros)\b/;
    return undef;
}

sub damage {
    my $to = "$work/damaged";
    my $cases = make_damage("$work/spool-plain", $to, number => $number, seed => $seed);
    spew("$work/take-all", '');
    my $server = judged(scalar(@$cases) . ' copies', map { $_->{id} } @$cases);
    my $ours = ours();
    my (%tally, @disagree);
    for my $case (@$cases) {
        my $from = $case->{kind} eq 'original' ? $case->{id} : $case->{from};
        my $s = $server->{ $case->{id} } // { word => 'none', taken => '' };
        my $o = $ours->{ $case->{id} } // { verdict => 'not listed', impact => '', names => '', recipients => 0 };
        my @to = (eval { slurp("$to/qf$case->{id}") } // '') =~ /^R[^:\n]*:(.*)/mg;
        my %to = map { tr/<>//dr => 1 } @to;
        my $as = agrees({ %$case, recipients => $ours->{$from}{recipients}, twins => keys %to < @to }, $s, $o, $server->{$from});
        $tally{$as}++ if defined $as;
        push @disagree, "$case->{id} $case->{kind}: server $s->{word} ($s->{taken}) $s->{why}, we $o->{verdict} $o->{impact} $o->{names}; to @to" unless defined $as;
    }
    is_deeply([ map { $_->{word} } grep { $_ } @{$server}{ map { $_->{id} } grep { $_->{kind} eq 'original' } @$cases } ],
        [ map { 'sent' } grep { $_->{kind} eq 'original' } @$cases ], 'the originals are delivered');
    diag(join ', ', map { "$tally{$_} $_" } sort keys %tally);
    is(scalar @disagree, 0, 'we agree on ' . @$cases . ' copies') or diag(join "\n", @disagree);
    cmp_ok($tally{dies} // 0, '>', 0, 'some killed the server');
}

# --- What kills the server, and what else is known -------------------------------------------------

my $good = "V8\nT" . (time - 3600) . "\nK0\nN0\nP30000\nFs\n\$_root\@localhost\n\$rESMTP\n\${daemon_flags}\nS<alice\@lab.test>\nrRFC822; a\@defer.test\n"
    . "RPFD:<a\@defer.test>\nrRFC822; b\@defer.test\nRPFD:<b\@defer.test>\nH??From: alice\@lab.test\nH??Subject: hello\n.\n";

# name => [ the control file, the server's word (recipients are deferred: 'stuck' is as it should be), our worst finding ]
my %known = (
    'healthy'                => [ $good, 'stuck', '' ],
    'no sender'              => [ $good =~ s/^S.*\n//mr, 'crash', 'sendmail.sender-missing' ],
    'blank before the sender' => [ $good =~ s/^S/ S/mr, 'crash', 'sendmail.sender-missing' ],
    'sender became a header' => [ $good =~ s/^S/HS:/mr, 'crash', 'sendmail.sender-missing' ],
    'no time'                => [ $good =~ s/^T.*\n//mr, 'stuck', 'sendmail.time' ],    # it takes the present
    'empty time'             => [ $good =~ s/^T.*/T/mr, 'sent', 'sendmail.time' ],
    'time zero'              => [ $good =~ s/^T.*/T0/mr, 'sent', 'sendmail.time' ],
    'time beyond its range'  => [ $good =~ s/^T.*/T99999999999999999999/mr, 'sent', 'sendmail.time' ],
    'no recipient'           => [ $good =~ s/^[Rr].*\n//mgr, 'deleted', 'sendmail.recipient-none' ],
    'a backslash as recipient' => [ $good =~ s/^[Rr].*\n//mgr =~ s/^H/RPFD: \\\nH/mr, 'deleted', 'sendmail.recipient-none' ],
    'no line end at all'     => [ 'V8', 'deleted', 'sendmail.cut' ],
    'no dot'                 => [ $good =~ s/\n\.\n/\n/r, 'stuck', 'sendmail.cut' ],
    'something behind the dot' => [ "$good\n", 'lost', 'sendmail.trailing' ],
    'zero block'             => [ substr($good, 0, 60) . "\0" x 512, 'stuck', 'sendmail.cut' ],
    'zeros alone'            => [ "\0" x 512, 'lost', 'spool.zero-filled' ],
    'unknown record'         => [ $good =~ s/^Fs/Gs/mr, 'lost', 'sendmail.record' ],
    'newer version'          => [ $good =~ s/^V8/V9/r, 'lost', 'sendmail.version' ],
    'bad body type'          => [ $good =~ s/^Fs/BX/mr, 'lost', 'sendmail.body-type' ],
    'bad AUTH'               => [ $good =~ s/^Fs/A=/mr, 'lost', 'sendmail.auth' ],
    'From '                  => [ $good =~ s/^Fs/From me/mr, 'lost', 'sendmail.from' ],
    'absolute directory'     => [ $good =~ s/^Fs/d\/x/mr, 'lost', 'sendmail.directory' ],
    'unknown directory'      => [ $good =~ s/^Fs/dx/mr, 'lost', 'sendmail.directory' ],
    'quarantine reason'      => [ $good =~ s/^Fs/qspam/mr, 'stuck', 'sendmail.reason' ],
    'everybody may write'    => [ $good, 'lost', 'sendmail.mode', 0602 ],
    'group may write'        => [ $good, 'lost', 'sendmail.mode-group', 0620 ],
    'half made tf'           => [ $good, 'hangs', '', 0600, "V8\nT17" ],    # for eight minutes; we note it
    '5000 recipients'        => [ $good =~ s/^(RPFD:<a.*\n)/join '', $1, map { "RPFD:<many$_\@defer.test>\n" } 1 .. 5000/emr, 'stuck', '' ],
);

sub known {
    my $to = "$work/damaged";
    run_ok('rm', '-rf', $to, "$work/take-all");
    run_ok('mkdir', '-p', $to);
    my ($n, %id) = (0);
    for my $name (sort keys %known) {
        my $id = $id{$name} = sprintf 'aAKCaaaa%06d', ++$n;
        spew("$to/qf$id", $known{$name}[0]);
        spew("$to/df$id", "Hello.\n");
        chmod 0600, glob "$to/?f$id";
        chmod $known{$name}[3], "$to/qf$id" if $known{$name}[3];
        spew("$to/tf$id", $known{$name}[4]) if $known{$name}[4];
        utime time - 3600, time - 3600, grep { -e } map { "$to/$_$id" } qw(qf tf);
    }
    my $server = judged('what is known', values %id);
    my $scan = scan('--all', '--server-version', '8.17.1', "sendmail:$to");
    for my $name (sort keys %known) {
        my (undef, $word, $finding) = @{ $known{$name} };
        my ($worst) = grep { $_->{id} eq $id{$name} && $_->{severity} ne 'notice' } @{ $scan->{findings} };
        is($server->{ $id{$name} }{word}, $word, "$name: the server's word ($server->{ $id{$name} }{taken})");
        is($worst ? $worst->{name} : '', $finding, '... and ours');
        is($worst->{impact}, 'server-stops', '... which says that it stops the server') if $word =~ /crash|hangs/ && $worst;
    }
}

# --- Beside a server at work ------------------------------------------------------------------

# Scans until the process ends: how many of which verdict.
sub scan_beside {
    my ($pid) = @_;
    my $spool = "$work/spool-busy";
    my ($scans, $seen, %verdict, @worse) = (0, 0);
    run_ok('rm', '-rf', "$work/store-busy");
    until (waitpid $pid, POSIX::WNOHANG()) {
        select undef, undef, undef, 0.05;
        next unless -d $spool;
        my $scan = scan('-y', '--all', '--store', "$work/store-busy", "sendmail:$spool");
        $scans++;
        $seen += @{ $scan->{messages} };
        $verdict{ $_->{verdict} }++ for @{ $scan->{messages} };
        push @worse, map { "$_->{id} $_->{verdict}" } grep { $_->{verdict} =~ /suspect|corrupt|unchecked|foreign/ } @{ $scan->{messages} };
        push @worse, map { "$_->{name} " . ($_->{part} // '') } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} };
        push @worse, "exit $scan->{status} $scan->{err}" if $scan->{status};
    }
    is($?, 0, 'the server was at work');
    cmp_ok($seen, '>', 20, "... beside $scans scans, which met $seen messages");
    is_deeply(\@worse, [], 'and raised nothing above a notice');
    is_deeply([ glob "$work/store-busy/entries/*" ], [], '... and moved nothing');
    return \%verdict;
}

sub beside_the_server {
    my $pid = fork // die;
    if (!$pid) { POSIX::_exit(!inside(300, 'busy /lab/spool-busy 15')) }
    scan_beside($pid);
    # Some are met between the unlink of the text and that of the control file, longer than two looks are apart.
    my $half_way = 0;
    for (1 .. 3) {
        run_ok('rm', '-rf', "$work/spool-busy");
        my $verdict = scan_beside(stalled('Lab::Sendmail::inside', $work, 300, 'busy /lab/spool-busy 15'));
        last if $half_way = $verdict->{busy};
    }
    ok($half_way, 'some were met half-way (' . ($half_way // 0) . ')');
}

# --- There and back ------------------------------------------------------------------------------

sub there_and_back {
    my ($layout) = @_;
    my ($spool, $store) = ("$work/spool-back", "$work/store");
    run_ok('rm', '-rf', $spool, $store);
    run_ok('cp', '-a', "$work/spool-$layout", $spool);
    my @heads = sort map { Lab::Sendmail::controls($_, 'q') } $spool;
    my %damage = (cut => sub { truncate $_[0], 200 or die; utime time - 3600, time - 3600, $_[0] },
        killer => sub { my $q = slurp($_[0]); $q =~ s/^S.*\n//m; $q =~ s/^P.*/P-99999/m; spew($_[0], $q); chmod 0600, $_[0] },
        gone => sub { unlink $layout eq 'split' ? $_[0] =~ s{qf/qf(?=[^/]*$)}{df/df}r : $_[0] =~ s{qf(?=[^/]*$)}{df}r });
    my %id;
    for my $what (sort keys %damage) {
        my $head = splice @heads, 5, 1;
        $id{$what} = Lab::Sendmail::id_of($head);
        $damage{$what}->($head);
    }
    my $rest = Lab::Sendmail::id_of($heads[7]);
    # Nothing is tried but what stands before the killer, run after run.
    for my $run (1, 2) {
        ok(inside(60, 'run_queue /lab/spool-back /lab/log-killed'), "$layout: the server runs its queue");
        is(slurp("$work/log-killed.taken"), "\n", '... delivers nothing');
        like(slurp("$work/log-killed"), qr/SM_ASSERT/, '... and dies');
    }
    my @args = ('--store', $store, "sendmail:$spool");
    my $scan = scan('-p', @args);
    is_deeply({ map { $_->{id} => 1 } grep { $_->{action} eq 'moved' } @{ $scan->{messages} } }, { $id{killer} => 1 }, 'what kills the server leaves with scan -p')
        or diag($scan->{err});
    $scan = scan('-y', @args);
    is_deeply({ map { $_->{id} => 1 } grep { $_->{action} eq 'moved' } @{ $scan->{messages} } }, { map { $_ => 1 } @id{qw(cut gone)} }, 'the others with scan -y');
    my $added = spoolck('quarantine', 'add', '--store', $store, "sendmail:$spool:$rest");
    is(exit_bits($added), '1', 'a healthy one is put aside by hand') or diag($added->{err}, $added->{out});
    # The lodge, with something in it that would be read anywhere else.
    run_ok('mkdir', '-p', "$spool/.spoolck/x/parts");
    spew("$spool/.spoolck/$_", $good =~ s/^S.*\n//mr) for 'qf6AKCZi2h000071', 'x/qf6AKCZi2h000072', 'x/parts/qf6AKCZi2h000073';
    spew("$work/take-all", '');
    ok(inside(60, 'run_queue /lab/spool-back /lab/log-back'), 'the server runs its queue');
    my $log = slurp("$work/log-back");
    is((split ' ', $log)[1] & 127, 0, 'to its end');
    my @complaints = grep { /SM_ASSERT|SECURITY|incomplete|bogus|readqf|gatherq|bad line|not a regular|spoolck|(?-i:\Q$rest\E)/i } split /\n/, $log;
    is_deeply(\@complaints, [], 'and has nothing to complain of');
    is_deeply([ map { slurp($_) eq $good =~ s/^S.*\n//mr } glob "$spool/.spoolck/qf* $spool/.spoolck/x/qf* $spool/.spoolck/x/parts/qf*" ], [ (1) x 3 ],
        'what lodges in .spoolck is as it was');
    is_deeply([ Lab::Sendmail::controls($spool, 'q') ], [], 'everything else was delivered') or diag($log);
    run_ok('rm', '-rf', "$spool/.spoolck");
    my $list = spoolck('quarantine', 'list', '--store', $store, '--format', 'json');
    my ($entry) = map { $_->{entry} } grep { ($_->{id} // '') eq $rest } json_lines($list->{out});
    my $restored = spoolck('quarantine', 'restore', '--store', $store, $entry // '?');
    is(exit_bits($restored), '2', 'what was put aside comes back') or diag($restored->{err}, $list->{out});
    ok(inside(60, 'run_queue /lab/spool-back /lab/log-again'), 'the server runs its queue once more');
    like(slurp("$work/log-again"), qr/\Q$rest\E.*stat=Sent/, 'and delivers it');
    unlink "$work/take-all";
}

Lab::Sendmail::build_chroot();
queue_mail();
nothing_above_notice();
damage();
known();
beside_the_server();
there_and_back($_) for qw(plain split);

done_testing();
