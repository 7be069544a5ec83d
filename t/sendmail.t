#!/usr/bin/perl
# sendmail.t - queues of Sendmail as the whole program meets them, without a server: layouts,
# several queue directories, what lies about, locks of both kinds, and where spools are found
#
# What the server itself makes of its files is t/live/sendmail.t's business.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(:flock);
use POSIX ();
use Spoolck;
use Test::More;

my $control = "V8\nT1790000000\nK0\nN0\nP30000\nFs\n\$_root\@localhost\nS<alice\@example.org>\n"
    . "RPFD:<bob\@example.org>\nH??Subject: hello\n.\n";
my $old = time - 3 * 86400;

sub message {
    my ($dir, $id, %o) = @_;
    my $q = $o{sub} ? "$dir/qf" : $dir;
    my $d = $o{sub} ? "$dir/df" : $dir;
    write_file("$q/" . ($o{letter} // 'q') . "f$id", $o{control} // $control);
    write_file("$d/df$id", $o{text} // "Hello.\n") unless $o{no_text};
    chmod 0600, glob "$q/?f$id $d/df$id";
    utime $old, $old, glob "$q/?f$id $d/df$id";
}

sub queue {
    my (@below) = @_;
    my $dir = scratch() . '/queue';
    mkdir $_ or die "$_: $!" for $dir, map { "$dir/$_" } @below;
    return $dir;
}

sub found { my ($scan) = @_; return [ sort map { "$_->{name} $_->{severity} " . ($_->{part} // '') } @{ $scan->{findings} } ] }

subtest 'a part that is there and cannot be seen' => sub {
    my ($dir, $store) = (queue(), new_store());
    message($dir, 'xAK0001');
    my $before = snapshot($dir);
    my $strace = { program => (grep { -x } '/usr/bin/strace', '/bin/strace')[0] // 'strace' };
    my $r = spoolck($strace, qw(-f -qq -o /dev/null -P dfxAK0001 -e trace=openat2 -e inject=openat2:error=EIO:when=1),
        program(), 'quarantine', 'add', '--store', $store, "sendmail:$dir:xAK0001");
    is(exit_bits($r), '8', 'the message is not torn apart') or diag $r->{out};
    like($r->{err}, qr/dfxAK0001: Input.output error/, 'the file is named');
    same_tree($before, snapshot($dir), 'and stays as it is');
};

subtest 'flat, with what may lie about' => sub {
    my $dir = queue();
    message($dir, '6AKCZi2h000071');
    message($dir, '6AKCZi2h000072', letter => 'h');
    message($dir, '6AKCZi2h000073', letter => 'Q');
    message($dir, 'AAA12345');
    write_file("$dir/$_", 'x') for qw(df6AKCZi2h000074 xf6AKCZi2h000075 tf6AKCZi2h000076 Tf6AKCZi2h000077 README .hoststat qf6AKCZi2h000078too-long df6AKCZi2h000079);
    mkdir "$dir/$_" for qw(lost+found .spoolck other);
    utime $old, $old, glob "$dir/[dxtT]f*";
    utime time, time, "$dir/df6AKCZi2h000079";
    my $scan = scan('--all', $dir);
    is_deeply(verdicts($scan), { '6AKCZi2h000071' => 'ok', '6AKCZi2h000072' => 'noted', '6AKCZi2h000073' => 'noted', AAA12345 => 'ok',
        'qf6AKCZi2h000078too-long' => 'foreign' }, 'every message once, in its state');
    is_deeply(found($scan), [ 'sendmail.litter notice tf6AKCZi2h000076', 'sendmail.litter notice xf6AKCZi2h000075', 'sendmail.lost notice Qf6AKCZi2h000073',
        'sendmail.orphan notice df6AKCZi2h000074', 'sendmail.quarantined notice hf6AKCZi2h000072', 'spool.foreign suspect qf6AKCZi2h000078too-long' ],
        'what is left over is noted') or diag(explain(found($scan)));
    is(exit_bits($scan), '0', 'nothing is damaged') or diag($scan->{err});
};

subtest 'with qf, df and xf below' => sub {
    my $dir = queue(qw(qf df xf));
    message($dir, '6AKCZi2h000071', sub => 1);
    message($dir, '6AKCZi2h000072', sub => 1, letter => 'h');
    message($dir, '6AKCZi2h000073', sub => 1, no_text => 1);
    message($dir, '6AKCZi2h000074', sub => 1, control => $control =~ s/^S.*\n//mr);
    write_file("$dir/df/df6AKCZi2h000079", 'x');
    utime $old, $old, "$dir/df/df6AKCZi2h000079";
    my $scan = scan('--all', $dir);
    is_deeply(found($scan), [ 'sendmail.orphan notice df/df6AKCZi2h000079', 'sendmail.quarantined notice qf/hf6AKCZi2h000072',
        'sendmail.sender-missing corrupt qf/qf6AKCZi2h000074', 'sendmail.text-missing corrupt qf/qf6AKCZi2h000073' ], 'texts are found in df') or diag(explain(found($scan)));
    my %of = map { $_->{id} => $_ } @{ $scan->{messages} };
    is($of{'6AKCZi2h000074'}{impact}, 'server-stops', 'without a sender the server dies');
    is_deeply($of{'6AKCZi2h000071'}{sender}, 'alice@example.org', 'the envelope is told');
    my $listed = spoolck('explain', "$dir/df/df6AKCZi2h000071");
    like($listed->{out}, qr/recipient\s+bob\@example.org.*text.*Hello/s, 'a text leads to its control file');
    my $held = spoolck('explain', "$dir:6AKCZi2h000072");
    like($held->{out}, qr/sendmail.quarantined/, 'a quarantined one is found by its id') or diag($held->{err});
};

subtest 'one id twice' => sub {
    my $dir = queue();
    message($dir, '6AKCZi2h000071');
    message($dir, '6AKCZi2h000071', letter => 'h');
    my $scan = scan('--all', $dir);
    ok((grep { $_ eq 'sendmail.twin suspect hf6AKCZi2h000071' } @{ found($scan) }), 'is told') or diag(explain(found($scan)));
};

subtest 'several queue directories' => sub {
    my $dir = queue('q1', 'q2', 'q2/qf', 'q2/df', 'other');
    message("$dir/q1", '6AKCZi2h000071');
    message("$dir/q2", '6AKCZi2h000072', sub => 1);
    for my $arg ($dir, "sendmail:$dir") {
        my $scan = scan('--all', $arg);
        is_deeply(verdicts($scan), { '6AKCZi2h000071' => 'ok', '6AKCZi2h000072' => 'ok' }, 'all below the directory are scanned');
        is_deeply([ map { $_->{path} } @{ $scan->{start}{spools} } ], [ "$dir/q1", "$dir/q2" ], 'each as a spool of its own');
    }
    is(scan($dir . '/other')->{status} & 8, 8, 'an empty directory is no spool');
};

subtest 'a section that stands for several' => sub {
    my $dir = queue('q1', 'q2', 'other');
    message($dir . '/q1', '6AKCZi2h000071');
    message($dir . '/q2', '6AKCZi2h000072');
    message($dir . '/q2', '6AKCZi2h000073');
    my $conf = scratch() . '/conf';
    my $section = "[scan]\ndiscover=no\n[spool queues]\npath=$dir\nformat=sendmail\nexclude=*000073\n";
    write_file($conf, $section);
    my @both = ("$dir/q1", "$dir/q2");
    for my $words ([], ['queues'], [$dir], ["sendmail:$dir"], \@both) {
        my $scan = scan('--config', $conf, @$words);
        is_deeply([ map { $_->{path} } @{ $scan->{start}{spools} } ], \@both, "each of them: @$words") or diag($scan->{err});
        is($scan->{summary}{messages}, 2, 'as the section says');
    }
    my $pre = spoolck('prestart', '--all', '--config', $conf, '--store', new_store());
    like($pre->{out}, qr{^\Q$_\E: Sendmail}m, "prestart, too: $_") for @both;
    write_file($conf, $section . "[spool first]\npath=$dir/q1\nexclude=*\n");
    is(scan('--config', $conf)->{summary}{messages}, 1, 'one that has its own section has nothing of the other');
    is(scan('--config', $conf, 'queues')->{summary}{messages}, 1, '... also when the other is named');
    write_file($conf, $section =~ s/path=.*\nformat=.*/path=$dir\/other/r);
    my $none = spoolck('scan', '--config', $conf);
    is(exit_bits($none), '8', 'a directory without any');
    like($none->{err}, qr/^spoolck: queues: /m, 'is told by the name of its section');
    write_file($conf, $section . "mounted=yes\n");
    is(exit_bits(scan('--config', $conf)), '0', 'one that is not mounted is left out');
};

subtest 'there and back, and locks' => sub {
    for my $sub (0, 1) {
        my $dir = queue($sub ? qw(qf df xf) : ());
        my ($q, $d, $x) = $sub ? ("$dir/qf", "$dir/df", "$dir/xf") : ($dir) x 3;
        my $store = new_store();
        my ($bad, $held) = ('6AKCZi2h000071', '6AKCZi2h000072');
        message($dir, $_, sub => $sub, control => $control =~ s/^S.*\n//mr) for $bad, $held;
        message($dir, "6AKCZi2h00008$_", sub => $sub) for 0 .. 7;
        write_file("$x/xf$bad", 'transcript');
        write_file("$q/tf$bad", 'half');
        my $before = snapshot($dir);
        open my $flock, '<', "$q/qf$held" or die;
        flock $flock, LOCK_EX | LOCK_NB or die;
        my $scan = scan('-y', '--store', $store, $dir);
        my %of = map { $_->{id} => $_ } @{ $scan->{messages} };
        is($of{$bad}{action}, 'moved', 'what kills the server leaves') or diag(explain($scan->{messages}), $scan->{err});
        is_deeply([ glob "$q/?f$bad $d/?f$bad $x/?f$bad" ], [], '... with all its files');
        is($of{$held}{action}, 'refused', 'a message under flock() stays');
        close $flock;
        open my $fcntl, '+<', "$q/qf$held" or die;
        my $pid = fork // die;
        if (!$pid) {
            my $lock = pack 's s x![l!] l! l! i', Fcntl::F_WRLCK(), 0, 0, 0, 0;
            fcntl $fcntl, Fcntl::F_SETLK(), $lock or POSIX::_exit(1);
            sleep 60;
            POSIX::_exit(0);
        }
        for (1 .. 500) { last if lock_of($fcntl); select undef, undef, undef, 0.02 }
        $scan = scan('-y', '--store', $store, $dir);
        kill 'KILL', $pid;
        waitpid $pid, 0;
        is($scan->{messages}[0]{action}, 'refused', 'and one under fcntl()') or diag(explain($scan->{messages}));
        my ($entry) = map { $_->{entry} // () } json_lines(spoolck('quarantine', 'list', '--store', $store, '--format', 'json')->{out});
        my $to = scratch();
        spoolck('quarantine', 'export', '--store', $store, '--output', $to, $entry);
        is(join('', map { read_file($_) } glob "$to/*.eml"), "Subject: hello\n\nHello.\n", 'its text can be had');
        my $back = spoolck('quarantine', 'restore', '--force', '--store', $store, $entry);
        is(exit_bits($back), '2', 'it comes back') or diag($back->{err}, $back->{out});
        is(read_file("$q/qf$bad"), $control =~ s/^S.*\n//mr, 'the control file as it was');
        is(read_file("$d/df$bad"), "Hello.\n", '... the text');
        is(read_file("$x/xf$bad") . read_file("$q/tf$bad"), 'transcripthalf', '... and the rest');
    }
};

# Does anybody hold a lock on it?
sub lock_of {
    my ($fh) = @_;
    my $l = pack 's s x![l!] l! l! i', Fcntl::F_WRLCK(), 0, 0, 0, 0;
    fcntl $fh, Fcntl::F_GETLK(), $l or die "$!";
    return (unpack 's', $l)[0] != Fcntl::F_UNLCK();
}

# The places that the configuration names, in an /etc of one's own.
subtest 'configuration' => sub {
    need_root('a configuration can be put in place') or return;
    my $dir = queue(qw(etc overlay q q/main1 q/main2 q/slow client old));
    message("$dir/q/main2", '6AKCZi2h000071');
    mkdir "$dir/etc/mail";
    write_file("$dir/etc/mail/sendmail.cf", "# O QueueDirectory=/nonsense\nV10/Berkeley\nO QueueDirectory=$dir/q/main*\nOQ$dir/old\n"
        . "Qslow, F=f, P=$dir/q/slow, R=3\nQnone, P=$dir/q/none\nQmqueue, Path = $dir/q/main*\n");
    write_file("$dir/etc/mail/submit.cf", "O QueueDirectory = $dir/client\n");
    my $script = 'mount -t tmpfs t "$0/overlay" && mkdir "$0/overlay/u" "$0/overlay/w" && cp -r "$0/etc/mail" "$0/overlay/u/" &&'
        . ' mount -t overlay -o "lowerdir=/etc,upperdir=$0/overlay/u,workdir=$0/overlay/w" o /etc && exec "$@"';
    my @unshare = private_mounts();
    plan skip_all => 'no overlay of /etc can be had here' if system(@unshare, 'sh', '-c', $script, $dir, 'true') != 0;
    my $out = join '', qx{@{[join ' ', @unshare]} sh -c '$script' '$dir' '@{[program()]}' spools --format json};
    my @paths = map { $_->{path} } grep { $_->{format} eq 'sendmail' } json_lines($out);
    is_deeply([ grep { /^\Q$dir\E/ } @paths ], [ map { "$dir/$_" } qw(q/main1 q/main2 old q/slow client) ], 'tells where spools are, empty ones too') or diag($out);
};

done_testing();
