#!/usr/bin/perl
# exim.t - against real Exim: 4.96 (Debian 12) and 4.98 (Debian 13, ids of 23 characters)
#
# Real mail of every kind raises nothing above a notice. Of damaged copies the server's own
# verdict (exim -bp, and a delivery attempt with every recipient held) is compared with ours.
# The known crashes are reproduced. What is quarantined comes back and is delivered.
#
# LAB_NUMBER: damaged copies (2000; half as many for the second); LAB_SEED. Root, and a Debian mirror for the first run.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";

use Fcntl ();
use Lab::Exim;
use POSIX ();
use Time::Local ();
use Lab::Exim::Damage qw(make_damage);
use Lab::Util qw(base_dir carry_program slurp spew run_ok stalled);
use Spoolck;
use Test::More;

plan skip_all => 'root is needed for chroots and namespaces' unless need_root('chroots and namespaces');

my $number = $ENV{LAB_NUMBER} // 2000;
my $seed = $ENV{LAB_SEED} // 1;
my $base = base_dir() . '/exim-lab';

# --- Real mail -----------------------------------------------------------------------------------

sub spools { my ($work) = @_; return map { "$work/spool-$_" } qw(plain split wire) }

sub queue_mail {
    my ($suite, $work, $scale) = @_;
    run_ok('rm', '-rf', '--one-file-system', $work);
    run_ok('mkdir', '-p', $work);
    ok(Lab::Exim::inside($suite, $work, 240, $_), "$suite: mail is queued ($_)") for
        "corpus /lab/spool-plain $scale",
        'corpus /lab/spool-split ' . int($scale / 2) . ' -DSPLIT=true',
        'corpus /lab/spool-wire ' . int($scale / 2) . ' -DWIRE=true';
}

# Each spool by itself, and once more after the server has seen it.
sub nothing_above_notice {
    my ($suite, $work) = @_;
    my ($messages, %option) = (0);
    for my $spool (spools($work)) {
        my $scan = scan('--all', "exim:$spool");
        my @worse = grep { $_->{verdict} !~ /^(?:ok|noted)$/ } @{ $scan->{messages} };
        is(exit_bits($scan), 0, "$suite: exit status for $spool") or diag($scan->{err});
        is_deeply([ map { "$_->{id} $_->{verdict}" } @worse ], [], 'nothing above a notice');
        is_deeply([ map { "$_->{name} $_->{part}" } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} } ], [], '... nor about the spool');
        my @ids = map { m{([^/]+)-H$} } glob "$spool/input/*-H $spool/input/?/*-H";
        is(scalar @{ $scan->{messages} }, scalar @ids, 'every message was looked at');
        $messages += @ids;
        for my $head (glob "$spool/input/*-H $spool/input/?/*-H") {
            my $h = slurp($head);
            $option{$1}++ while $h =~ /^(-\S+)/mg;
            $option{tree}++ if $h =~ /^[YN][YN] /m;
            $option{parent}++ if $h =~ /,[0-9]+#\d$/m;
            $option{replaced}++ if $h =~ /^\d+\* /m;
            $option{journal}++ if -s $head =~ s/-H$/-J/r;
        }
    }
    cmp_ok($messages, '>=', $suite eq 'bookworm' ? 200 : 100, "$suite: $messages messages");
    ok($option{$_}, "$suite: among them some with $_ (" . ($option{$_} // 0) . ')') for
        qw(tree journal -frozen --tls_sni -spool_file_wireformat -dsn_envid --aclm --auth_id -localerror);
}

# --- Damaged copies -----------------------------------------------------------------------------

# Verdicts of the server: name => { word, tried }
sub judged {
    my ($suite, $work, $what, @names) = @_;
    spew("$work/list", join '', map { "$_\n" } @names);
    my @pids = map {
        my $lane = $_;
        my $pid = fork // die;
        if (!$pid) { POSIX::_exit(!Lab::Exim::inside($suite, $work, 400, "judge /lab/list /lab/result $lane 3")) }
        $pid;
    } 0 .. 2;
    my $bad = 0;
    for (@pids) { waitpid $_, 0; $bad += $? != 0 }
    is($bad, 0, "$suite: the server has judged $what");
    my %verdict;
    for my $line (split /\n/, join '', map { slurp("$work/result.$_") } 0 .. 2) {
        my ($name, $word, $tried, $signal) = split /\t/, $line, -1;
        $verdict{$name} = { word => $word, tried => $tried };
    }
    return \%verdict;
}

# Ours: name => { verdict, impact, names, version }
sub ours {
    my ($to) = @_;
    my %ours;
    for my $batch (glob "$to/b*") {
        my $scan = scan('--all', "exim:$batch");
        my $b = $batch =~ s{.*/}{}r;
        my %names;
        push @{ $names{ $_->{id} // '' } }, $_->{name} for @{ $scan->{findings} };
        $ours{"$b/input/$_->{id}"} = { %$_, names => join ' ', @{ $names{ $_->{id} } // [] } } for @{ $scan->{messages} };
    }
    return \%ours;
}

# Does the server still try the same, and besides only people who have the message already?
sub lost_nodes {
    my ($tried, $before) = @_;
    my %before = map { $_ => 1 } split /,/, $before;
    my @more = grep { !delete $before{$_} } split /,/, $tried;
    return !%before && @more && !grep { !/\@ok\.test/ } @more;
}

# In which way we agree; undef = we do not. Two things no checker can see: text that was changed
# into other text, and a tree that lost a node and is a well-formed tree still. Of CVE-2019-15846
# the installed server has been cured, which a scan of a copy cannot know.
sub agrees {
    my ($case, $server, $mine, $before) = @_;
    my ($word, $tried) = @$server{qw(word tried)};
    my $moves = $mine->{impact} =~ /^server-/ && $mine->{verdict} eq 'corrupt';
    return $mine->{verdict} eq 'corrupt' && $mine->{impact} eq 'server-stops' ? 'crash' : undef if $word eq 'crash';
    return 'a lookup type that this Exim has not got' if $word eq 'format' && $case->{kind} eq 'option-new' && $case->{head} =~ /^--\((?:ldap|nosuch)\)/m;
    # It took the value from the memory behind the line and wrote an envelope with that.
    return 'a value from nowhere' if $word eq 'format' && $tried && $mine->{names} =~ /exim\.option-value/;
    return $moves ? 'refused' : undef if $word eq 'format';
    return $mine->{names} =~ /exim\.data-missing/ && $mine->{verdict} eq 'corrupt' ? 'skipped' : undef if $word eq 'gone';
    return $mine->{verdict} =~ /corrupt|suspect/ ? 'deleted' : undef if $word eq 'completed';
    if ($word eq 'held') {
        my $same = $tried eq $before->{tried};
        return 'a cured hole' if $same && $mine->{names} =~ /^exim\.tls-backslash(?: exim\.option-twice)?(?: exim\.frozen)?$/;
        # Too long a field begins before the line: what is read there may be readable, by chance.
        return 'read beyond its memory, and lived' if $moves && $mine->{names} =~ /exim\.recipient-(?:length|parent)/;
        return 'lost nodes of the tree' if $mine->{verdict} =~ /ok|noted/ && lost_nodes($tried, $before->{tried});
        return $mine->{verdict} =~ /corrupt|suspect/ ? 'seen in the text' : undef if $case->{kind} =~ /^data/;
        return $mine->{verdict} =~ /corrupt|suspect/ ? 'other recipients, seen' : undef
            if !$same && split(/,/, $tried) != split(/,/, $before->{tried}) && $case->{kind} !~ /^(?:flip|delete|insert|journal)/;
        return $moves ? undef : $same ? 'read as before' : 'other recipients';
    }
    return undef;
}

sub damage {
    my ($suite, $work) = @_;
    my $to = "$work/damaged";
    my $cases = make_damage("$work/spool-plain", $to, number => $suite eq 'bookworm' ? $number : $number / 2, seed => $seed);
    my %original = map { my ($id) = $_->{name} =~ m{([^/]+)$}; $id => "orig/input/$id" } @$cases;
    run_ok('mkdir', '-p', "$to/orig/input");
    run_ok('sh', '-c', "cp -a '$work'/spool-plain/input/*-[HDJ] '$to/orig/input/'");
    my $server = judged($suite, $work, scalar(@$cases) . ' damaged copies and the originals', (map { $_->{name} } @$cases), values %original);
    my $ours = ours($to);
    # A loaded machine makes the server's tools run out of time: who disagrees is heard again.
    my @again = grep {
        my ($id) = $_->{name} =~ m{([^/]+)$};
        $_->{head} = slurp("$to/$_->{name}-H");
        my $s = $server->{ $_->{name} };
        !$s || !$ours->{ $_->{name} } || !defined agrees($_, $s, $ours->{ $_->{name} }, $server->{"orig/input/$id"});
    } @$cases;
    if (@again) {
        my $second = judged($suite, $work, @again . ' of them once more', map { $_->{name} } @again);
        $server->{$_} = $second->{$_} for keys %$second;
    }
    my (%tally, @disagree);
    for my $case (@$cases) {
        my ($id) = $case->{name} =~ m{([^/]+)$};
        my ($s, $o, $b) = ($server->{ $case->{name} }, $ours->{ $case->{name} }, $server->{"orig/input/$id"});
        $o //= { verdict => 'not listed', impact => '', names => '' };
        my $as = $s && agrees($case, $s, $o, $b);
        $tally{$as}++ if defined $as;
        push @disagree, "$case->{name} $case->{kind}: server $s->{word} ($s->{tried}), we $o->{verdict} $o->{impact} $o->{names}" unless defined $as;
    }
    diag("$suite: " . join ', ', map { "$tally{$_} $_" } sort keys %tally);
    is(scalar @disagree, 0, "$suite: we agree on " . @$cases . ' damaged copies') or diag(join "\n", @disagree);
}

# --- What kills the server -----------------------------------------------------------------------

# name => [ what to do to a healthy -H with one recipient line, the server's word, our finding ]
my $rcpt = qr/(?<=\n)1\n([^\n]*)\n\n/;
my %killer = (
    'healthy'            => [ sub { $_[0] }, 'held', '' ],
    'deep tree'          => [ sub { $_[0] =~ s/^XX\n/("YN a\@b\n" x 200_000) . "NN a\@b\n"/mer }, 'crash', 'exim.tree-depth' ],
    'option without its value' => [ sub { $_[0] =~ s/^XX\n/-debuglog_name \nXX\n/mr }, 'crash', 'exim.option-short' ],
    'resumption without its letter' => [ sub { $_[0] =~ s/^-tls_resumption.*\n//mr =~ s/^XX\n/-tls_resumption \nXX\n/mr }, 'held', 'exim.option-value' ],
    'negative ACL length' => [ sub { $_[0] =~ s/^XX\n/-aclm x -5\nabc\nXX\n/mr }, 'crash', 'exim.acl-length' ],
    'ACL length of 2 GiB' => [ sub { $_[0] =~ s/^XX\n/-aclm x 2147483647\nabc\nXX\n/mr }, 'crash', 'exim.acl-length' ],
    'ACL length beyond the end' => [ sub { $_[0] =~ s/^XX\n/-aclm x 99999\nabc\nXX\n/mr }, 'format', 'exim.acl-length' ],
    'negative number of recipients' => [ sub { $_[0] =~ s/$rcpt/-5\n$1\n\n/r }, 'crash', 'exim.recipient-count' ],
    'length of errors-to before the line' => [ sub { $_[0] =~ s/$rcpt/1\na\@defer.test  0,0 x\@y.test 99999999,-1#3\n\n/r }, 'crash', 'exim.recipient-length' ],
    'length of the original recipient'  => [ sub { $_[0] =~ s/$rcpt/1\na\@defer.test x\@y.test 99999999,0  0,-1#3\n\n/r }, 'crash', 'exim.recipient-length' ],
    'parent that does not exist' => [ sub { $_[0] =~ s/$rcpt/1\na\@defer.test  0,0  0,99999999#3\n\n/r }, 'crash', 'exim.recipient-parent' ],
    'open quoter'        => [ sub { $_[0] =~ s/^XX\n/--(ldap\nXX\n/mr }, 'format', 'exim.option-quoter' ],
    'header of 2 GiB'    => [ sub { $_[0] =~ s/\n\n\d\d\d/\n\n2147483647/r }, 'crash', 'exim.header-length' ],
    '16384 recipients'   => [ sub { $_[0] =~ s/$rcpt/"16384\n" . join('', map { "r$_\@defer.test\n" } 1 .. 16384) . "\n"/er }, 'held', '' ],
    '16385 recipients'   => [ sub { $_[0] =~ s/$rcpt/"16385\n" . join('', map { "r$_\@defer.test\n" } 1 .. 16385) . "\n"/er }, 'format', 'exim.recipient-limit' ],
    'no recipient'       => [ sub { $_[0] =~ s/$rcpt/0\n\n/r }, 'completed', 'exim.recipient-none' ],
);

# What Exim ignores, and we note: name => [ what to do to a healthy -H, our finding ]
my %odd = (
    'a bare option with a value' => [ sub { $_[0] =~ s/^XX\n/-localerror yes\nXX\n/mr }, 'exim.option-ignored' ],
    'an address without a port'  => [ sub { $_[0] =~ s/^XX\n/-interface_address [192.0.2.9]\nXX\n/mr }, 'exim.option-address' ],
    'an address of another form' => [ sub { $_[0] =~ s/^XX\n/-interface_address nonsense\nXX\n/mr }, 'exim.option-address' ],
    'an unknown DSN flag'        => [ sub { $_[0] =~ s/$rcpt/1\na\@defer.test  0,64  0,-1#3\n\n/r }, 'exim.recipient-dsn' ],
    'a recipient without a domain' => [ sub { $_[0] =~ s/$rcpt/1\nalice\n\n/r }, 'exim.recipient-address' ],
);
$killer{$_} = [ $odd{$_}[0], 'held', $odd{$_}[1], 'notice' ] for keys %odd;

sub killers {
    my ($suite, $work) = @_;
    my ($from) = grep { my $h = slurp($_); $h !~ /^-localerror/m && $h =~ /^XX\n$rcpt/m && $h =~ /^[0-9]+[^\n]* [-0-9]+#3\n\n|\n1\n/ } glob "$work/spool-plain/input/*-H";
    my ($id) = $from =~ m{([^/]+)-H$};
    my ($n, %dir) = (0);
    for my $name (sort keys %killer) {
        my $spool = "$work/damaged/k" . $n++;
        $dir{$name} = $spool =~ s{.*/}{}r;
        run_ok('mkdir', '-p', "$spool/input", "$spool/msglog");
        spew("$spool/input/$id-H", $killer{$name}[0]->(slurp($from)));
        spew("$spool/input/$id-D", slurp($from =~ s/-H$/-D/r));
        chmod 0640, glob "$spool/input/*";
    }
    my $server = judged($suite, $work, 'the known killers', map { "$_/input/$id" } sort values %dir);
    for my $name (sort keys %killer) {
        my (undef, $word, $finding, $notice) = @{ $killer{$name} };
        my $scan = scan('--all', "exim:$work/damaged/$dir{$name}");
        my $s = $server->{"$dir{$name}/input/$id"}{word} // 'none';
        my @worse = grep { $notice || $_->{severity} ne 'notice' } @{ $scan->{findings} };
        is($s, $word, "$suite: $name: the server's word");
        is($worse[0] ? $worse[0]{name} : '', $finding, '... and ours');
        is($worse[0]{impact}, 'server-stops', '... which says that it kills') if $word eq 'crash' && @worse;
    }
}

# --- Until when it keeps them -----------------------------------------------------------------------

# The deadline of a finding, against deliveries with a keep_malformed that is a little too short and
# one that is a little too long.
sub deadlines {
    my ($suite, $work) = @_;
    my ($from) = grep { slurp($_) =~ /^XX\n$rcpt/m } glob "$work/spool-plain/input/*-H";
    my ($id) = $from =~ m{([^/]+)-H$};
    my %damage = (
        'an envelope that is cut off' => sub { substr $_[0], 0, 150 },
        'an envelope, the time of which was changed' => sub { $_[0] =~ s/\n(\d{10}) 0\n/"\n" . ($1 - 10000) . " 0\n"/er =~ s/^XX\n/YY\n/mr },
        'header lines' => sub { $_[0] . 'x' },
        'header lines, and the time was changed' => sub { $_[0] =~ s/\n(\d{10}) 0\n/"\n" . ($1 - 10000) . " 0\n"/er . 'x' },
        'a journal' => sub { $_[0] },
    );
    my (@list, %wanted);
    for my $name (sort keys %damage) {
        my $n = 0;
        for my $keep (-15, 60) {
            my $spool = "keep-" . @list;
            run_ok('rm', '-rf', "$work/$spool");
            run_ok('mkdir', '-p', "$work/$spool/input", "$work/$spool/msglog");
            spew("$work/$spool/input/$id-H", $damage{$name}->(slurp($from)));
            spew("$work/$spool/input/$id-D", slurp($from =~ s/-H$/-D/r));
            spew("$work/$spool/input/$id-J", "done\@ok.test\n\n") if $name eq 'a journal';
            run_ok('chown', '-R', '--reference', $from, "$work/$spool");
            chmod 0640, glob "$work/$spool/input/*";
            my ($f) = grep { $_->{severity} eq 'corrupt' } @{ scan("exim:$work/$spool")->{findings} };
            my @t = ($f->{deadline} // '') =~ /\d+/g;
            my $base = @t == 6 ? Time::Local::timegm(reverse(@t[3 .. 5]), $t[2], $t[1] - 1, $t[0]) - 4 * 86400 : 0;
            push @list, "/lab/$spool $id " . (time - $base + $keep);
            $wanted{ $list[-1] } = $keep > 0 ? 1 : 0;
            # The journal is only merged into -H by the first attempt.
            splice @list, -1, 0, "/lab/$spool $id 999999999" if $name eq 'a journal';
        }
    }
    spew("$work/list", join '', map { "$_\n" } @list);
    ok(Lab::Exim::inside($suite, $work, 120, 'keep /lab/list /lab/left'), "$suite: the server tries them");
    my %left = map { $_ => 1 } split /\n/, slurp("$work/left");
    is($left{$_} // 0, $wanted{$_}, "$suite: $_: " . ($wanted{$_} ? 'kept' : 'deleted')) for grep { defined $wanted{$_} } @list;
}

# --- Named queues ------------------------------------------------------------------------------------

sub named_queue {
    my ($suite, $work) = @_;
    my ($spool, $store) = ("$work/spool-named", "$work/store-named");
    run_ok('rm', '-rf', $spool, $store);
    ok(Lab::Exim::inside($suite, $work, 60, 'named /lab/spool-named'), "$suite: mail for a named queue");
    my @heads = sort glob "$spool/slow/input/*-H";
    is(scalar @heads, 3, 'lies in it');
    my $scan = scan('--all', "exim:$spool");
    is_deeply([ map { $_->{verdict} } @{ $scan->{messages} } ], [ ('ok') x 6 ], 'a scan of the spool finds nothing wrong in either');
    is_deeply([ sort map { $_->{path} } json_lines(spoolck('spools', '--format', 'json', "exim:$spool")->{out}) ], [ $spool, "$spool/slow" ], 'spools lists both');
    my ($cut, $good) = map { m{([^/]+)-H$} } @heads;
    truncate $heads[0], 150 or die;
    ok(Lab::Exim::inside($suite, $work, 60, 'run_named /lab/spool-named /lab/log-named'), 'the server runs the named queue');
    like(slurp("$work/log-named"), qr/Format error in spool file \Q$cut\E-H/, '... and complains of a damaged message');
    $scan = scan('-y', '--store', $store, "exim:$spool");
    is_deeply([ map { "$_->{id} $_->{action}" } grep { $_->{verdict} eq 'corrupt' } @{ $scan->{messages} } ], ["$cut moved"], 'scan -y moves it');
    is(exit_bits(spoolck('quarantine', 'add', '--store', $store, "exim:$spool:$good")), '1', 'quarantine add finds a message in the named queue');
    ok(Lab::Exim::inside($suite, $work, 60, 'run_named /lab/spool-named /lab/log-named'), 'the server runs the named queue');
    unlike(slurp("$work/log-named"), qr/[Ff]ormat error|signal|not found|panic|\*\*\* spool|\Q$good\E/, '... and has nothing to complain of');
    is(exit_bits(spoolck('quarantine', 'restore', '--store', $store, $good)), '2', 'it comes back');
    ok(Lab::Exim::inside($suite, $work, 60, 'run_named /lab/spool-named /lab/log-named'), 'the server runs the named queue');
    like(slurp("$work/log-named"), qr/ \Q$good\E == keep\@defer.test /, '... and takes it');
}

# --- What an installation says of itself ---------------------------------------------------------------

sub discovery {
    my ($suite, $work) = @_;
    carry_program(program(), "$work/bin");
    run_ok('sh', '-c', "head -c 150 '$_' > '$_.cut' && cat '$_.cut' > '$_' && rm '$_.cut'") for (glob "$work/spool-named/slow/input/*-H")[0];
    ok(Lab::Exim::inside($suite, $work, 60, 'discover /lab/spool-named /lab/found'), "$suite: spoolck beside an Exim with a spool directory of its own");
    my ($found, $scan, $running) = split /\0/, slurp("$work/found");
    my %spool = map { $_->{path} => $_ } json_lines($found);
    is_deeply([ sort keys %spool ], [ '/lab/spool-named', '/lab/spool-named/slow', '/var/spool/exim4' ], '... finds it, its named queue, and the usual place');
    like($spool{'/lab/spool-named'}{version}, $suite eq 'bookworm' ? qr/^4\.96/ : qr/^4\.98/, '... the version');
    my ($f) = grep { $_->{event} eq 'finding' && $_->{severity} eq 'corrupt' } json_lines($scan);
    my ($m) = grep { $_->{event} eq 'message' && $_->{verdict} eq 'corrupt' } json_lines($scan);
    my @t = map { [ /\d+/g ] } $f->{deadline}, $m->{arrival};
    is(Time::Local::timegm(reverse(@{ $t[0] }[3 .. 5]), $t[0][2], $t[0][1] - 1, $t[0][0]) - Time::Local::timegm(reverse(@{ $t[1] }[3 .. 5]), $t[1][2], $t[1][1] - 1, $t[1][0]),
        36 * 3600, '... and its keep_malformed');
    is($running, 0, '... and starts no daemon');
}

# --- Beside a server at work ------------------------------------------------------------------

# The lock that Exim takes, held by another process while the code runs.
sub with_lock {
    my ($path, $len, $code) = @_;
    pipe my $ready, my $tell or die;
    my $pid = fork // die;
    if (!$pid) {
        open my $d, '+<', $path or POSIX::_exit(1);
        fcntl $d, Fcntl::F_SETLK(), pack 's s x![l!] l! l! i', Fcntl::F_WRLCK(), 0, 0, $len, 0 or POSIX::_exit(2);
        syswrite $tell, 'x';
        sleep 60;
        POSIX::_exit(0);
    }
    close $tell;
    is(sysread($ready, my $x, 1), 1, 'the lock is held');
    $code->();
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# Scans until the process ends: how many of which verdict.
sub scan_beside {
    my ($suite, $work, $pid) = @_;
    my ($scans, $seen, %verdict, @worse) = (0, 0);
    run_ok('rm', '-rf', "$work/store-busy");
    until (waitpid $pid, POSIX::WNOHANG()) {
        select undef, undef, undef, 0.05;
        next unless -d "$work/spool-busy/input";
        my $scan = scan('-y', '--all', '--store', "$work/store-busy", "exim:$work/spool-busy");
        $scans++;
        $seen += @{ $scan->{messages} };
        $verdict{ $_->{verdict} }++ for @{ $scan->{messages} };
        push @worse, map { "$_->{id} $_->{verdict}" } grep { $_->{verdict} =~ /suspect|corrupt|unchecked|foreign/ } @{ $scan->{messages} };
        push @worse, map { "$_->{name} " . ($_->{part} // '') } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} };
        push @worse, "exit $scan->{status}" if $scan->{status};
    }
    is($?, 0, "$suite: the server was at work");
    cmp_ok($seen, '>', 5, "... beside $scans scans, which met $seen messages");
    is_deeply(\@worse, [], 'and raised nothing above a notice');
    is_deeply([ glob "$work/store-busy/entries/*" ], [], '... and moved nothing');
    return \%verdict;
}

sub beside_the_server {
    my ($suite, $work) = @_;
    my $pid = fork // die;
    if (!$pid) { POSIX::_exit(!Lab::Exim::inside($suite, $work, 60, 'busy /lab/spool-busy 12')) }
    scan_beside($suite, $work, $pid);
    # Some are met between the unlink of -D and that of -H, longer than two looks are apart.
    my $half_way = 0;
    for (1 .. 3) {
        run_ok('rm', '-rf', "$work/spool-busy");
        my $verdict = scan_beside("$suite, stalled", $work, stalled('Lab::Exim::inside', $suite, $work, 60, 'busy /lab/spool-busy 20'));
        last if $half_way = $verdict->{busy};
    }
    ok($half_way, 'some were met half-way (' . ($half_way // 0) . ')');
}

# --- There and back ------------------------------------------------------------------------------

sub there_and_back {
    my ($suite, $work) = @_;
    my $spool = "$work/spool-back";
    my $store = "$work/store";
    run_ok('cp', '-a', "$work/spool-split", $spool);
    my @heads = sort glob "$spool/input/?/*-H";
    my %damage = (cut => sub { truncate $_[0], 200 or die },
        killer => sub { my $h = slurp($_[0]); $h =~ s/^XX\n/-aclm x -5\nabc\nXX\n/m or $h =~ s/^([YN][YN] )/-aclm x -5\nabc\n$1/m; open my $out, '>', $_[0]; print $out $h; close $out },
        gone => sub { unlink $_[0] =~ s/-H$/-D/r });
    my %id;
    for my $what (sort keys %damage) {
        my $head = splice @heads, 5, 1;
        ($id{$what}) = $head =~ m{([^/]+)-H$};
        $damage{$what}->($head);
    }
    # Exim removes empty directories of a split spool: one with more than one message stays.
    my %in;
    $in{$_}++ for map { s{/[^/]+$}{}r } @heads;
    my ($healthy) = grep { !-s s/-H$/-J/r and $in{s{/[^/]+$}{}r} > 1 } @heads;
    my ($good) = $healthy =~ m{([^/]+)-H$};
    my @args = ('--store', $store, "exim:$spool");
    my ($cut) = glob "$spool/input/?/$id{cut}-D";
    with_lock($cut, 3 + length $id{cut}, sub {
        my $scan = scan('-p', @args);
        my %action = map { $_->{id} => $_ } @{ $scan->{messages} };
        is($action{ $id{cut} }{action}, 'refused', "$suite: a message with a locked -D stays");
        like($action{ $id{cut} }{reason}, qr/working on this message/, '... because the server works on it');
        is($action{ $id{killer} }{action}, 'moved', 'what kills the server leaves with scan -p');
    });
    my $before = snapshot($spool);
    my $scan = scan('-y', @args);
    my %action = map { $_->{id} => $_->{action} } @{ $scan->{messages} };
    is_deeply([ @action{ @id{qw(cut gone)} } ], [ 'moved', 'moved' ], 'the others leave with scan -y');
    is(scalar(my @left = glob "$spool/input/?/{$id{cut},$id{gone},$id{killer}}-*"), 0, 'with all their files');
    my $added = spoolck('quarantine', 'add', '--store', $store, "exim:$spool:$good");
    is(exit_bits($added), '1', 'a healthy one is put aside by hand') or diag($added->{err}, $added->{out});
    ok(Lab::Exim::inside($suite, $work, 60, 'run_queue /lab/spool-back /lab/log-back'), 'the server runs its queue');
    my @complaints = grep { /[Ff]ormat error|signal|not found|panic|\*\*\* spool|\Q$good\E/ } split /\n/, slurp("$work/log-back");
    is_deeply(\@complaints, [], 'and has nothing to complain of');
    my $list = parsed(spoolck('quarantine', 'list', '--store', $store, '--format', 'json'));
    my ($entry) = $spool && map { $_->{entry} } grep { ($_->{id} // '') eq $good } json_lines($list->{out});
    my $restored = spoolck('quarantine', 'restore', '--store', $store, $entry // '?');
    is(exit_bits($restored), '2', 'it comes back') or diag($restored->{err}, $list->{out});
    ok(Lab::Exim::inside($suite, $work, 60, "run_queue /lab/spool-back /lab/log-again"), 'the server runs its queue once more');
    ok((grep { / $good (?:==|=>|-|[A-Z]) ?/ } split /\n/, slurp("$work/log-again")), 'and takes it');
}

for my $suite (qw(bookworm trixie)) {
    my $work = "$base-$suite";
    Lab::Exim::build_chroot($suite);
    queue_mail($suite, $work, $suite eq 'bookworm' ? 6 : 3);
    nothing_above_notice($suite, $work);
    damage($suite, $work);
    killers($suite, $work);
    deadlines($suite, $work);
    named_queue($suite, $work);
    discovery($suite, $work);
    beside_the_server($suite, $work);
    there_and_back($suite, $work);
}

done_testing();
