#!/usr/bin/perl
# The configuration file: what it may say, what is wrong with it and where, whom it has to belong to; that
# each key does what it says and that the command line beats it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(dirname);
use Socket;
use Spoolck;
use Spoolck::Fixture qw(lay_out);
use Test::More;

# An /etc, a /dev and a /var/spool of our own, in a mount namespace.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to have an /etc of our own') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}
my $source = dirname($FindBin::Bin);
my %kept = map { $_ => read_file("/etc/$_") } grep { -e "/etc/$_" } qw(passwd group ld.so.cache nsswitch.conf);
system('mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', $_) == 0 or die "mount $_" for '/etc', '/dev', '/var/spool';
write_file("/etc/$_", $kept{$_}) for keys %kept;
my %node = (null => '1 3', zero => '1 5', full => '1 7', random => '1 8', urandom => '1 9');
system("mknod -m 666 /dev/$_ c $node{$_}") == 0 or die 'mknod' for keys %node;
mkdir '/etc/spoolck';
my $default = '/etc/spoolck/spoolck.conf';

# A file with this text; its path.
sub conf {
    my ($text, $path) = @_;
    $path //= scratch() . '/spoolck.conf';
    write_file($path, $text);
    chmod 0644, $path;
    return $path;
}

sub is_status { my ($r, $bits, $what) = @_; return is(exit_bits($r), $bits, $what) || diag($r->{err}, $r->{out}) }
sub check { return spoolck('scan', '--check-config', '--config', @_) }
sub printed { return spoolck('scan', '--print-config', @_)->{out} }
sub message_of { my ($r, $id) = @_; return (grep { ($_->{id} // '') eq $id } @{ $r->{messages} })[0] // {} }

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

# Text cut short by a mark: damage, but the service runs on.
sub text_end {
    my $bytes = queue_file(lines => [ 'Subject: x' . $serial++, '', '', 'the rest' ]);
    my $empty = record('N', '');
    substr $bytes, index($bytes, $empty . $empty) + 2, 2, record('X', '');
    return $bytes;
}

subtest 'the usual file' => sub {
    my @host = { host_config => 1 };
    my $spool = new_spool();
    damaged($spool, 'hold', text());
    like(spoolck(@host, 'scan', '--check-config')->{out}, qr/\Q$default\E: does not exist; defaults hold/, 'may be missing');
    is_status(scan(@host, $spool), '4', 'defaults hold');
    my $store = new_store();
    conf("[scan]\nquarantine = corrupt\n[quarantine]\nstore = $store\n", $default);
    is_status(scan(@host, $spool), '1', 'is read when it is there');
    ok(-d "$store/entries", 'all of it');
    like(spoolck(@host, 'quarantine', 'list')->{out}, qr/\Q$spool\E/, 'by the other verbs, too');
    conf("[scan]\nnonsense\n", $default);
    for my $words (['scan', $spool], ['quarantine', 'list'], ['spools'], ['explain', "$spool:x"], ['scan', '--check-config']) {
        my $r = spoolck(@host, @$words);
        is_status($r, '16', "@$words: not with a file that is wrong");
        like($r->{err}, qr/^spoolck: \Q$default\E:2: /, 'file and line');
        is($r->{out}, '', 'nothing else');
    }
    is_status(spoolck(@host, 'findings'), '0', 'findings needs no configuration');
    is_status(spoolck(@host, 'scan', '--config', '/dev/null', $spool), '0', '--config /dev/null: defaults');
    is_status(spoolck(@host, '--check-config'), '16', '--check-config without a verb');
    unlink $default;
    is_status(spoolck('--check-config'), '0', 'and without a file');
    is_status(spoolck('--print-config'), '0', '--print-config without a verb');
    is_status(spoolck('--config', '/dev/null'), '16', 'a file, but no verb');
};

subtest 'what is wrong, and where' => sub {
    my @wrong = (
        [ "budget = 5m\n", 1, qr/before the first section/ ],
        [ "[scan]\nbudgte = 5m\n", 2, qr/budgte: no such key in \[scan\]; did you mean budget\?/ ],
        [ "[scan]\nmax_move = 5\n", 2, qr/did you mean max-move\?/ ],
        [ "[scan]\nzzzzzzzz = 5\n", 2, qr/zzzzzzzz: no such key in \[scan\]$/m ],
        [ "[scan]\nretain = 5d\n", 2, qr/this key belongs to \[quarantine\]/ ],
        [ "\n# x\n[scna]\nbudget = 1\n", 3, qr/\[scna\]: no such section; did you mean scan\?/ ],
        [ "[scan]\n\nbudget = 5m\nbudget = 6m\n", 4, qr/budget: stands in line 3 already/ ],
        [ "[scan]\n[log]\n[scan]\n", 3, qr/\[scan\]: this section stands in line 1 already/ ],
        [ "[scan]\nbudget 5m\n", 2, qr/neither a \[section\], a key = value nor a comment/ ],
        [ "[scan\n", 1, qr/neither/ ],
        [ "[scan]\nbudget = 5m # five\n", 2, qr/budget = 5m # five: a time/ ],
        [ "[scan]\nexclude = a\\qb\n", 2, qr/\\ that means nothing/ ],
        [ "[scan]\nexclude = \xff\xfe\n", 2, qr/not UTF-8/ ],
        (map { [ "[scan]\n$_\n", 2, qr/^spoolck: \S+:2: \Q$_\E: \S/ ] } 'quarantine = all', 'budget = 0', 'budget = soon',
            'max-move = 0', 'max-move = -1', 'max-move = 1.5', 'unattended = maybe', 'fail-on = ok', 'discover = ', 'jobs = 0',
            'jobs = 17', 'exclude = /var', 'exclude = a;../b', 'exclude = a//b', 'exclude = ./a'),
        (map { [ "[quarantine]\n$_\n", 2, qr/^spoolck: \S+:2: \Q$_\E: \S/ ] } 'store = relative', 'store = ', 'retain = 90',
            'retain = 1h', 'retain = 0d', 'retain = -3d', 'max-size = 10', 'max-size = 10X', 'max-size = 1K', 'accept = 30',
            'max-size = 10GB'),
        [ "[log]\nfacility = kern\n", 2, qr/mail, daemon/ ],
        [ "[severity]\npostfix.size-feild = suspect\n", 2, qr/no such finding; did you mean postfix\.size-field\?/ ],
        [ "[severity]\nsize-field = suspect\n", 2, qr/did you mean postfix\.size-field\?/ ],
        [ "[severity]\npostfix.size-field = harmless\n", 2, qr/notice, suspect or corrupt/ ],
        [ "[severity]\npostfix.size-field = suspect\n", 2, qr/write: suspect force/ ],
        [ "[severity]\npostfix.record-overrun = notice\n", 2, qr/server-deletes.*write: notice force/ ],
        [ "[severity]\npostfix.length-padded = corrupt\n", 2, qr/corrupt moves mail.*at most suspect/ ],
        [ "[spool]\npath = /x\n", 1, qr/needs a name/ ],
        [ "[spool a/b]\npath = /x\n", 1, qr/needs a name/ ],
        [ "[spool a]\n", 1, qr/\[spool a\]: its path is missing/ ],
        [ "[spool a]\npath = x\n", 2, qr/absolute/ ],
        [ "[spool a]\npath = /x\n[spool b]\npath = /x\n", 3, qr/\[spool a\] has the same path/ ],
        [ "[spool a]\npath = /x\n[spool a]\npath = /y\n", 3, qr/stands in line 1 already/ ],
        [ "[spool a]\npath = /x\nformat = psotfix\n", 3, qr/a server that is known/ ],
        [ "[spool a]\npath = /x\nmounted = sometimes\n", 3, qr/yes, no, or/ ],
        [ "[spool a]\npath = /x\nexclusiv = yes\n", 3, qr/no such key in \[spool a\]; did you mean exclusive\?/ ],
        [ "[spool a]\npath = /x\nserver-version = new\n", 3, qr/3\.7\.11/ ],
    );
    for (@wrong) {
        my ($text, $line, $says) = @$_;
        my $r = check(conf($text));
        my ($at) = $text =~ /^(?:.*\n){${\($line - 1)}}(.*)/;
        is_status($r, '16', $at =~ s/[^ -~]/?/gr);
        like($r->{err}, qr/^spoolck: \S+spoolck\.conf:$line: /m, "line $line");
        like($r->{err}, $says, 'what to do');
        is($r->{err} =~ tr/\n//, 1, 'and nothing else');
    }
    my $r = check(conf(join '', map { "[x$_]\n" } 1 .. 5));
    is($r->{err} =~ tr/\n//, 5, 'all problems are told, not the first only');
    $r = check(conf("[scan]\nbudget = \e[31m\xc2\x9b\n"));
    ok(is_printable($r->{err}), 'nothing unprintable');
};

subtest 'whom it has to belong to' => sub {
    my $spool = new_spool();
    my $conf = conf("[scan]\njobs = 1\n");
    is_status(scan('--config', $conf, $spool), '0', 'ours, 0644');
    for (0664, 0646, 0666, 0602) {
        chmod $_, $conf;
        my $r = scan('--config', $conf, $spool);
        is_status($r, '8', sprintf 'mode %04o', $_);
        like($r->{err}, qr/may be written by others \(mode 0\d+\).*chmod go-w \Q$conf\E/, 'says what helps');
        is($r->{out}, '', 'nothing is scanned');
    }
    chmod 0600, $conf;
    chown 65534, -1, $conf;
    like(check($conf)->{err}, qr/belongs to uid 65534.*chown root \Q$conf\E/, 'somebody else\'s');
    chown 0, -1, $conf;
    is_status(check($conf), '0', 'ours again');
    my $dir = dirname($conf);
    chmod 0777, $dir;
    like(check($conf)->{err}, qr/\Q$dir\E may be written by others/, 'in a directory that others may write to');
    chmod 01777, $dir;
    is_status(check($conf), '0', '... unless it is sticky, like /tmp');
    chmod 0755, $dir;
    my $link = scratch() . '/link';
    symlink $conf, $link;
    is_status(check($link), '0', 'a link');
    chmod 0777, $dir;
    is_status(check($link), '8', '... into a directory that others may write to');
    chmod 0755, $dir;
    system('mkfifo', "$dir/fifo");
    write_file("$dir/large", "#\n" x (1 << 20));
    write_file("$dir/zero", "[scan]\n\0\n");
    for ([ $dir, qr/no regular file/ ], [ "$dir/fifo", qr/no regular file/ ], [ "$dir/large", qr/larger than 1 MiB/ ],
        [ "$dir/zero", qr/zero byte/ ], [ "$dir/missing", qr/No such file/ ])
    {
        my $r = check($_->[0]);
        is_status($r, '8', $_->[0]);
        like($r->{err}, $_->[1], 'says why');
    }
    my $copy = copy_for_all();
    my @user = { uid => 65534, program => $copy };
    my $r = spoolck(@user, 'scan', '--config', $conf, $spool);
    is_status($r, '8', 'for a user who may not read it');
    like($r->{err}, qr/Permission denied; make it readable/, 'says what helps');
    chmod 0644, $conf;
    is_status(spoolck(@user, 'scan', '--check-config', '--config', $conf), '0', 'root\'s file, read by a user');
};

subtest 'the command line beats the file' => sub {
    my $conf = conf("[scan]\nquarantine = corrupt\nbudget = 1h\nmax-move = 7\nunattended = yes\nfail-on = suspect\n"
        . "exclude = hold\njobs = 2\n[quarantine]\nstore = /srv/store\n");
    my @conf = ('--config', $conf);
    my @both = (quarantine => 'corrupt', 'fatal', budget => '1h', '5m', 'max-move' => '7', 'none', 'fail-on' => 'suspect',
        'corrupt', exclude => 'hold', 'x;y', jobs => '2', '1', store => '/srv/store', '/other');
    while (my ($key, $file, $line) = splice @both, 0, 3) {
        like(printed(@conf), qr/^\Q$key=$file\E$/m, "$key: from the file");
        like(printed(@conf, "--$key", $line), qr/^\Q$key=$line\E$/m, '... from the command line');
        like(printed("--$key", $line), qr/^\Q$key=$line\E$/m, '... which needs no file');
    }
    like(printed(@conf), qr/^unattended=yes$/m, 'unattended');
    like(printed(@conf, '--no-unattended'), qr/^unattended=no$/m, '--no-unattended');
    like(printed(@conf, $_), qr/^quarantine=none$/m, $_) for '-n', '--no-action';
    like(printed(@conf, $_), qr/^quarantine=fatal$/m, $_) for '-p', '--preen';
    like(printed(@conf, '-j', 5), qr/^jobs=5$/m, '-j');
    unlike(printed(@conf, '--exclude', ''), qr/^exclude=./m, 'an empty --exclude: everything is looked at');
    my $again = conf(printed(@conf));
    is(printed('--config', $again) =~ s/.*\n//r, printed(@conf) =~ s/.*\n//r, 'what is printed can be read again');
    is_status(spoolck('scan', '--exclude', '/etc', new_spool()), '16', 'the same check for both: --exclude /etc');

    my $spool = new_spool();
    my $id = damaged($spool, 'incoming', text());
    damaged($spool, 'hold', text());
    healthy($spool, 'incoming') for 1 .. 12;
    my $store = new_store();
    is(scan(@conf, '-n', '--store', $store, $spool)->{summary}{moved}, 0, '-n moves nothing');
    ok(-e "$spool/incoming/$id", 'really');
    my $r = scan(@conf, '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'the file says corrupt, and not to look at hold');
    is(message_of($r, $id)->{action}, 'moved', 'the other one');
};

subtest 'budget, brake, fail-on' => sub {
    my $spool = new_spool();
    healthy($spool, 'incoming') for 1 .. 20;
    my $store = new_store();
    damaged($spool, 'incoming', text()) for 1 .. 4;
    my @run = ('-y', '--store', $store, $spool);
    my $r = scan('--config', conf("[scan]\nbudget = 0.000001s\n"), @run);
    is(($r->{status} // 0) & 32, 32, 'budget');
    is($r->{summary}{moved}, 0, 'moves nothing');
    is(scan('--config', conf("[scan]\n$_\n"), @run)->{summary}{moved}, 0, $_) for 'max-move = 3', 'unattended = yes';
    my $suspect = put($spool, 'maildrop', long_id(), maildrop_file(recipients => []));
    is(scan('--config', conf("[scan]\nmax-move = none\n"), @run)->{summary}{moved}, 4, 'max-move = none');
    is_status(scan($spool), '0', 'a suspect message');
    is_status(scan('--config', conf("[scan]\nfail-on = suspect\n"), $spool), '4', 'fail-on = suspect');
};

subtest 'severity' => sub {
    my $spool = new_spool();
    healthy($spool, 'incoming') for 1 .. 5;
    my %id = (
        killer => killer($spool, 'incoming', text()),
        harm   => put($spool, 'deferred', long_id(), text_end()),
        padded => put($spool, 'maildrop', long_id(), maildrop_file(text()) =~ s/N\x05Text\./N\x85\0Text./r),
    );
    my $plain = scan($spool);
    is_deeply([ @{ verdicts($plain) }{@id{qw(killer harm padded)}} ], [ 'corrupt', 'corrupt', 'noted' ], 'without a rule');
    my %name = map { my $k = $_; $k => (map { $_->{name} } grep { ($_->{id} // '') eq $id{$k} } @{ $plain->{findings} })[0] } keys %id;
    my ($impact) = map { $_->{impact} } grep { $_->{name} eq $name{harm} } @{ $plain->{findings} };
    unlike($impact, qr/server/, "$name{harm} is no matter of the server here: $impact");

    my $conf = conf("[severity]\n$name{killer} = suspect force\n$name{harm} = suspect\n$name{padded} = suspect\n");
    my $before = snapshot($spool);
    my $store = new_store();
    my $r = scan('--config', $conf, '-y', '--store', $store, $spool);
    is(verdicts($r)->{ $id{$_} }, 'suspect', "$_: suspect") for keys %id;
    is((grep { ($_->{id} // '') eq $id{killer} } @{ $r->{findings} })[0]{severity}, 'suspect', 'so says the finding');
    is($r->{summary}{suspect}, 3, 'counted as such');
    is($r->{summary}{moved}, 0, 'nothing is moved');
    same_tree($before, snapshot($spool), 'really');
    is_status($r, '0', 'no alarm');
    is_status(scan('--config', $conf, '--fail-on', 'suspect', $spool), '4', 'but for --fail-on suspect');
    my $text = spoolck('scan', '--config', $conf, $spool)->{out};
    like($text, qr/SUSPECT \(3\)/, 'people see them');
    unlike($text, qr/STOPS THE SERVICE|DO THIS/, 'and no alarm');
    like(spoolck('explain', '--config', $conf, "$spool:$id{killer}")->{out}, qr/suspect at byte 18/, 'explain, too');
    is_status(spoolck('explain', '--config', $conf, "$spool:$id{killer}"), '0', 'without an alarm');
    my $accept = spoolck('quarantine', 'accept', '--config', $conf, '--store', $store, "$spool:$id{harm}");
    is_status($accept, '0', 'a suspect message can be accepted');

    my $quiet = conf("[severity]\n$name{killer} = notice force\n$name{harm} = notice\n");
    $r = scan('--config', $quiet, '-y', '--store', $store, $spool);
    is($r->{summary}{noted}, 3, 'notices');
    is(spoolck('scan', '--quiet', '--config', $quiet, $spool)->{out}, '', 'are nothing for cron');
    $r = scan('--config', conf("[severity]\n$name{killer} = suspect\n"), '-y', '--store', $store, $spool);
    is_status($r, '16', 'what stops the server is not lowered by accident');
    same_tree($before, snapshot($spool), 'and nothing is done at all');
    $r = scan('--config', conf("[severity]\n$name{killer} = corrupt\n"), $spool);
    is(verdicts($r)->{ $id{killer} }, 'corrupt', 'what is corrupt may be called so');

    write_file("$spool/incoming/.hidden", 'x');
    is(scan($spool)->{summary}{foreign}, 1, 'a foreign file');
    $r = scan('--config', conf("[severity]\nspool.foreign = notice\n"), '--fail-on', 'suspect', $spool);
    is($r->{summary}{foreign}, 0, 'that is nothing');
    rmdir "$spool/defer";
    rmdir "$spool/flush";
    my @gone = grep { $_->{name} eq 'spool.place-missing' } @{ scan($spool)->{findings} };
    SKIP: {
        skip 'no place of these is required', 2 unless @gone;
        is($gone[0]{severity}, 'suspect', 'a missing place');
        $r = scan('--config', conf("[severity]\nspool.place-missing = notice\n"), $spool);
        is((grep { $_->{name} eq 'spool.place-missing' } @{ $r->{findings} })[0]{severity}, 'notice', 'that may be missing');
    }
};

subtest 'exclude' => sub {
    my $spool = new_spool();
    my $deferred = damaged($spool, 'deferred', text());
    my $held = damaged($spool, 'hold', text());
    my $sound = healthy($spool, 'incoming');
    write_file("$spool/incoming/lost+found", 'x');
    my $hash = path_of($spool, 'deferred', $deferred) =~ s{/[^/]*\z}{}r;
    my @runs = (hold => [ $deferred, 'lost+found' ], $hash => [ $held, 'lost+found' ], 'deferred' => [ $held, 'lost+found' ],
        "$hash/$deferred" => [ $held, 'lost+found' ], 'hold;incoming/lost*' => [$deferred],
        'hold ; */*/*;incoming/lost+found' => [], 'ho' => [ $deferred, $held, 'lost+found' ], '' => [ $deferred, $held, 'lost+found' ]);
    while (my ($list, $left) = splice @runs, 0, 2) {
        my @seen = (scan('--exclude', $list, $spool), scan('--config', conf("[scan]\nexclude = $list\n"), $spool),
            scan('--config', conf("[spool x]\npath = $spool\nexclude = $list\n"), $spool));
        is_deeply([ sort keys %{ verdicts($_) } ], [ sort @$left ], "'$list'") for @seen;
        is($seen[0]{summary}{messages}, 1 + @$left, 'what is not looked at is not counted') if $list !~ m{\*/};
    }
    my $conf = conf("[scan]\nexclude = hold\n[spool x]\npath = $spool\nexclude = deferred;incoming/lost+found\n");
    my $r = scan('--config', $conf, $spool);
    is_deeply($r->{messages}, [], 'both lists hold');
    is_deeply($r->{start}{spools}[0]{excluded}, [ 'hold', 'deferred', 'incoming/lost+found' ], 'and are in the report');
    like(spoolck('scan', '--config', $conf, $spool)->{out}, qr{; not looked at: hold, deferred, incoming/lost\+found$}m, 'in text, too');
    is(scan('--config', $conf, '--exclude', 'hold', $spool)->{summary}{corrupt}, 1, '--exclude takes the place of both');
    like(spoolck('explain', '--config', $conf, "$spool:$held")->{out}, qr/corrupt at byte/, 'what is named is looked at');
    rename "$spool/hold", "$spool/elsewhere";
    is_deeply([ grep { $_->{name} eq 'spool.place-missing' } @{ scan('--exclude', 'hold', $spool)->{findings} } ], [],
        'a place that is excluded may be missing');
};

# Parts whose message is excluded are no orphans, and a message whose other parts are excluded is not alone.
subtest 'excluded parts are no findings' => sub {
    for my $case (glob "$source/fixtures/{exim,opensmtpd,postfix}/healthy-*") {
        my ($format) = $case =~ m{/([^/]+)/[^/]+\z};
        my $root = scratch() . '/spool';
        my $back = lay_out($case, $root);
        my @plain = sort map { "$_->{name} $_->{part}" } @{ scan('--all', "$format:$root")->{findings} };
        for my $path (sort keys %$back) {
            my @now = sort map { "$_->{name} $_->{part}" } @{ scan('--all', '--exclude', $path, "$format:$root")->{findings} };
            my %before = map { $_ => 1 } @plain;
            is_deeply([ grep { !$before{$_} } @now ], [], "$case without $path");
        }
    }
    for my $case (map { "$source/fixtures/$_" } qw(exim/data-orphan exim/data-missing opensmtpd/no-envelope opensmtpd/misplaced postfix/foreign)) {
        my ($format) = $case =~ m{/([^/]+)/[^/]+\z};
        my $root = scratch() . '/spool';
        my $back = lay_out($case, $root);
        cmp_ok(scalar @{ scan("$format:$root")->{findings} }, '>', 0, "$case has findings");
        is_deeply(scan('--exclude', join(';', keys %$back), "$format:$root")->{findings}, [], '... and none when its files are excluded');
    }
};

subtest 'spools' => sub {
    my ($one, $two) = (new_spool(), new_spool());
    my $id = damaged($two, 'hold', text());
    my $both = "[spool one]\npath = $one\n[spool two]\npath = $two\nformat = postfix\n";
    my $conf = conf($both);
    my $paths = sub { [ map { $_->{path} } @{ $_[0]{start}{spools} } ] };
    is_deeply($paths->(scan('--config', $conf)), [ $one, $two ], 'those of the configuration');
    is_status(scan('--config', $conf), '4', 'are examined');
    is_deeply($paths->(scan('--config', $conf, 'two')), [$two], 'one, by its name');
    is_deeply($paths->(scan('--config', $conf, "$one/.")), [$one], 'one, by its path');
    like(spoolck('spools', '--config', $conf)->{out}, qr/^\Q$one\E: Postfix.*\n\Q$two\E: Postfix/, 'spools');
    like(spoolck('explain', '--config', $conf, "two:$id")->{out}, qr/corrupt at/, 'explain NAME:ID');

    system('cp', '-a', $one, '/var/spool/postfix');
    is_deeply($paths->(scan('--config', $conf)), [ $one, $two, '/var/spool/postfix' ], 'and those of the host');
    is_deeply($paths->(scan('--config', conf("[scan]\ndiscover = no\n$both"))), [ $one, $two ], 'unless discover = no');
    is_deeply($paths->(scan('--config', conf("[spool x]\npath = /var/spool/postfix/\n"))), ['/var/spool/postfix'], 'each once');
    my $none = scan('--config', conf("[scan]\ndiscover = no\n"));
    is_status($none, '8', 'no spool at all is an error');
    my $r = scan('--config', conf("[spool x]\npath = /nonexistent\n[spool two]\npath = $two\n"));
    is_status($r, '8+4', 'a spool that is missing');
    is($r->{errors}[0]{spool}, 'x', 'is named, and the others are examined');
    is_status(scan('--config', conf("[spool x]\npath = $one\nformat = exim\nserver-version = 4.96\n"), 'x'), '0', 'format and version');
    like(spoolck('spools', '--config', conf("[spool x]\npath = $one\nserver-version = 3.5.1\n"), $one)->{out}, qr/3\.5\.1/, 'the version is used');
};

subtest 'mounted' => sub {
    my $away = scratch() . '/mnt';
    mkdir $away;
    my $conf = conf("[scan]\ndiscover = no\n[spool x]\npath = $away\nmounted = yes\n");
    my $below = conf("[scan]\ndiscover = no\n[spool x]\npath = $away/queue\nmounted = $away\n");
    for ($conf, $below) {
        my $r = scan('--config', $_);
        is_status($r, '0', 'not mounted: skipped');
        is_deeply([ @$r{qw(errors notes messages)} ], [ [], [], [] ], 'silently');
        is_deeply($r->{start}{spools}, [], 'and not examined');
        is(spoolck('scan', '--config', $_)->{out}, '', 'in text, too');
        $r = scan('--config', $_, 'x');
        is_status($r, '8', 'named by hand');
        like($r->{errors}[0]{text}, qr/not mounted|cannot open/, 'it is said');
    }
    system('cp', '-a', new_spool() . '/.', $away);
    is_deeply(scan('--config', $conf)->{start}{spools}, [], 'what lies beneath the mount point is not its spool');
    like(scan('--config', $conf, $away)->{errors}[0]{text}, qr/\Q$away\E is not mounted/, 'named by hand: said');
    system('mount', '-t', 'tmpfs', 'none', $away) == 0 or die 'mount';
    system('cp', '-a', new_spool() . '/.', $away);
    system('cp', '-a', new_spool(), "$away/queue");
    my $id = damaged($away, 'hold', text());
    is_status(scan('--config', $conf), '4', 'mounted: examined');
    is(scan('--config', $below)->{summary}{messages}, 0, 'and below a mount point');
    is_status(scan('--config', conf("[spool x]\npath = $away\nmounted = no\n"), 'x'), '4', 'mounted = no asks nothing');
    system('mount', '--bind', $away, $away) == 0 or die 'mount';
    is_status(scan('--config', $conf), '4', 'a bind mount is a mount');
    system('umount', $away) for 1, 2;
};

# A file system of which nothing is known counts as one that other hosts use.
subtest 'exclusive' => sub {
    my $spool = new_spool();
    my $id = damaged($spool, 'hold', text());
    healthy($spool, 'hold');
    my $store = new_store();
    my $strace = { program => (grep { -x } '/usr/bin/strace', '/bin/strace')[0] // 'strace' };
    my @words = ('-qq', '-o', '/dev/null', '-e', 'trace=fstatfs', '-e', 'inject=fstatfs:error=EIO', program(), 'scan',
        '--format', 'json', '-y', '--store', $store);
    my $r = parsed(spoolck($strace, @words, '--config', '/dev/null', $spool));
    is($r->{summary}{moved}, 0, 'on a network file system nothing is moved');
    like(message_of($r, $id)->{reason}, qr/network file system.*exclusive/, 'and what would help is said');
    $r = parsed(spoolck($strace, @words, '--config', conf("[spool x]\npath = $spool\n"), $spool));
    is($r->{summary}{moved}, 0, 'nor with a section that does not say so');
    $r = parsed(spoolck($strace, @words, '--config', conf("[spool x]\npath = $spool\nexclusive = yes\n"), $spool));
    is($r->{summary}{moved}, 1, 'exclusive = yes');
};

subtest 'accept, log' => sub {
    socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die;
    bind $log, sockaddr_un('/dev/log') or die "bind: $!";
    my $logged = sub { my $buf; return defined recv($log, $buf, 4096, Socket::MSG_DONTWAIT()) ? $buf : undef };
    my $spool = new_spool();
    my $store = new_store();
    my $id = damaged($spool, 'hold', text());
    my $accept = sub {
        spoolck('quarantine', 'accept', '--store', $store, '--config', conf($_[0]), "$spool:$id");
        my ($json) = json_lines(read_file((glob "$store/accepted/*.json")[0]) =~ s/\n//gr);
        return $json->{until} && ($json->{until} - $json->{time}) / 86400;
    };
    is($accept->("[scan]\n"), 180, 'an acceptance lasts 180 days');
    like($logged->(), qr/^<21>/, 'facility mail');
    is($accept->("[quarantine]\naccept = 30d\n[log]\nfacility = local3\n"), 30, 'accept = 30d');
    like($logged->(), qr/^<157>/, 'facility = local3');
    is($accept->("[quarantine]\naccept = never\n[log]\nfacility = none\n"), 0, 'accept = never');
    is($logged->(), undef, 'facility = none');
    unlink '/dev/log';
};

subtest 'documents' => sub {
    my $man = read_file("$source/man/spoolck.conf.5");
    my ($example) = $man =~ /^\.Bd -literal[^\n]*\n(\[scan\].*?)^\.Ed/ms;
    $example =~ s/\\e/\\/g;
    is_status(check(conf($example)), '0', 'the example of spoolck.conf(5) is sound') or diag($example);
    like(printed('--config', conf($example)), qr/^exclusive=yes$/m, 'and says something');
    my $shipped = read_file("$source/doc/spoolck.conf");
    is_status(check(conf($shipped)), '0', 'the example that is shipped is sound');
    is(printed('--config', conf($shipped)) =~ s/.*\n//r, printed() =~ s/.*\n//r, 'and changes nothing');
    (my $all = $shipped) =~ s/^#(?=[\[\w])//mg;
    is_status(check(conf($all)), '0', 'so is everything that it offers') or diag($all);
    my @keys = read_file("$source/scanner/settings.c") =~ /^\t\{ "\w+", "([\w-]+)", KIND_/mg;
    cmp_ok(scalar @keys, '>', 15, 'keys');
    for my $key (@keys) {
        like($man, qr/^\.It Cm \Q$key\E( |$)/m, "spoolck.conf(5) has $key");
        like($all, qr/^\Q$key\E = /m, 'and the example');
    }
    SKIP: {
        skip 'mandoc is not here', 1 if system('mandoc -V >/dev/null 2>&1') == 127 << 8 || !grep { -x "$_/mandoc" } split /:/, $ENV{PATH};
        is(`mandoc -Tlint -W warning $source/man/spoolck.conf.5 2>&1`, '', 'mandoc has nothing to say');
    }
};

done_testing();
