#!/usr/bin/perl
# `spoolck spools` finds the spools of a host by what its installations say: here commands that stand for
# those of Postfix and Exim, in a mount namespace. What a command says is believed as far as
# it names a directory; one that hangs, floods or fails costs seconds and nothing else.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Test::More;

# A /usr/local/sbin of our own, which is the last place but one where commands are looked for.
if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to have commands of our own') && $> != 0;
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}
for my $name (qw(postmulti postconf exim)) {
    plan skip_all => "a real $name is here" if grep { -e "$_/$name" } qw(/usr/sbin /usr/bin /sbin /bin);
}
my $bin = '/usr/local/sbin';
system('mount', '-t', 'tmpfs', 'none', $bin) == 0 or die "mount $bin";

sub command {
    my ($name, $script) = @_;
    write_file("$bin/$name", "#!/bin/sh\n$script\n");
    chmod 0755, "$bin/$name";
}

# An empty spool of Exim, or a copy of a fixture.
my $fixtures = "$FindBin::Bin/../fixtures/exim";

sub exim_spool {
    my ($root, $case) = @_;
    system('mkdir', '-p', "$root/input", "$root/msglog") == 0 or die;
    system('cp', '-a', glob("$fixtures/$case/spool/input/*"), "$root/input/") == 0 or die if $case;
    chmod 0640, glob "$root/input/*";
    return $root;
}

# A run on a machine that may be so busy that a quick command is late: then once more.
sub patient {
    my $run;
    for (1 .. 5) {
        $run = spoolck(@_);
        last if $run->{err} !~ /does not answer/;
    }
    return $run;
}

# What is found: path => event.
sub spools {
    return { map { $_->{path} => $_ } json_lines(patient('spools', '--format', 'json', @_)->{out}) };
}

is_deeply([ keys %{ spools() } ], [], 'nothing is installed, nothing is found');

my $dir = scratch();
my ($one, $two) = map { my $s = new_spool(); $s } 1, 2;
my $said = "echo $one; echo $two; echo relative; echo $dir/nowhere; echo; echo $one";
command('postmulti', qq([ "\$*" = "-x postconf -h queue_directory" ] || exit 1\n$said));
command('postconf', 'case "$*" in "-h queue_directory") echo ' . $one . ';; "-h mail_version") echo 3.10.13;; *) exit 1;; esac');
my $found = spools();
is_deeply([ sort keys %$found ], [ sort $one, $two ], 'every instance of Postfix, once');
is($found->{$two}{version}, '3.10.13', 'with its version');
command('postmulti', 'exit 1');
is_deeply([ keys %{ spools() } ], [$one], 'postconf alone tells of one instance');
unlink "$bin/postmulti", "$bin/postconf";

my $exim = exim_spool("$dir/exim", 'truncated');
command('exim', 'case "$*" in "-bP spool_directory") echo "spool_directory = ' . $exim . '";;
    "-bP keep_malformed") echo "keep_malformed = 2d";; "-be \$version_number") echo 4.98;; *) exit 1;; esac');
exim_spool("$exim/slow", 'healthy-plain');
exim_spool("$exim/spoolck");    # not a queue, but our own
mkdir "$exim/other";
$found = spools();
is_deeply([ sort keys %$found ], [ $exim, "$exim/slow" ], 'the spool of Exim and its named queue');
is($found->{"$exim/slow"}{version}, '4.98', 'the queue belongs to the same server');
is($found->{$exim}{format}, 'exim', 'as Exim\'s');
my $scan = scan('-n', '--all');
my ($truncated) = grep { $_->{name} eq 'exim.truncated' } @{ $scan->{findings} };
is(scalar @{ $scan->{messages} }, 2, 'a scan without a name examines both');
is($truncated->{deadline}, '2026-11-22T10:52:40Z', 'the deadline follows the keep_malformed of this Exim');
is(scalar @{ scan('-n', '--all', 'exim')->{messages} }, 2, 'as does one by the name of the server');
$scan = scan('-n', 'exim:' . exim_spool("$dir/copy", 'truncated'));
($truncated) = grep { $_->{name} eq 'exim.truncated' } @{ $scan->{findings} };
is($truncated->{deadline}, '2026-11-24T10:52:40Z', 'that of a copy the default of four days');

# Named queues are found by a message's id, and by a file's name.
my ($id) = map { m{([^/]+)-H$} } glob "$exim/slow/input/*-H";
like(spoolck('explain', "exim:$exim:$id")->{out}, qr/No finding/, 'explain finds a message in a named queue');
like(spoolck('explain', "$exim/slow/input/$id-D")->{out}, qr/^ +0 +0  envelope$/m, 'and the message of a -D file');
system('rm', '-rf', "$exim/slow/msglog");
like(spoolck('explain', "$exim/slow/input/$id-D")->{out}, qr/^ +0 +0  envelope$/m, '... without message logs, too');
unlink "$exim/slow/input/$id-H";
my $lone = spoolck('explain', "$exim/slow/input/$id-D")->{out};
unlike($lone, qr/envelope/, 'a -D file without its -H is taken as what it is');
like($lone, qr/^No finding, as far as this part can tell/m, '... and found to be sound');
my $store = new_store();
my $wrong = spoolck('quarantine', 'add', '--store', $store, "exim:$exim:$id");
is(exit_bits($wrong), FAILED, 'what lies in no queue is not found');

# Commands that misbehave.
my $long = "3471.$$";    # seconds, which nobody else on this machine sleeps
$ENV{SPOOLCK_TEST_SECRET} = 'x';
command('exim', 'if [ -z "$SPOOLCK_TEST_SECRET" ] && [ ! -t 0 ] && [ "$HOME" = "" ]; then echo "spool_directory = ' . $exim . '"; fi');
ok(spools()->{$exim}, 'commands get no environment');
for my $bad (['hangs', "sleep $long"], ['hangs in a child', "sleep $long & wait"], ['leaves a child that holds the pipe', "sleep $long & exit 0"],
    ['floods', 'yes "spool_directory = ' . $exim . '"'], ['fails', "echo spool_directory = $exim; exit 1"], ['says nothing', 'exit 0'],
    ['dies', 'kill -SEGV $$'], ['closes its output and stays', "echo spool_directory = $exim; exec >&-; sleep $long"]) {
    command('exim', $bad->[1]);
    my $late = $bad->[1] =~ /sleep/;
    my $run = $late ? spoolck('spools', '--format', 'json') : patient('spools', '--format', 'json');
    is($run->{out}, '', "a command that $bad->[0] is not believed");
    is(exit_bits($run), $late ? FAILED : 0, $late ? '... and said to be late' : '... which is no failure');
    like($run->{err}, qr/exim: does not answer/, '... by name') if $late;
}
# What was killed may take a moment to be gone.
my $left;
for (1 .. 100) {
    $left = grep { (eval { read_file($_) } // '') eq "sleep\0$long\0" } glob '/proc/[0-9]*/cmdline';
    last unless $left;
    select undef, undef, undef, 0.1;
}
is($left, 0, 'and nothing of it is left');
command('exim', "echo spool_directory = $exim");
chmod 0775, "$bin/exim";
is_deeply([ keys %{ spools() } ], [], 'nor one that others may write');

# Before a start there is less time.
$dir = scratch();
my $third = new_spool();
my $bad = killer($third, 'incoming');
healthy($third, 'incoming') for 1 .. 12;
command('postmulti', "echo $one; echo $third");
command('postconf', 'exit 1');
my $log = { env => { SPOOLCK_LOG => '/dev/null' } };
my $run = spoolck($log, 'prestart', '--store', new_store());
is(exit_bits($run), '0', 'prestart without a spool');
like($run->{out}, qr/^\Q$third\E: Postfix.*^\Q$bad\E  incoming/ms, 'looks at what the installations name') or diag($run->{err});
ok(!-e "$third/incoming/$bad", 'and moves what would stop the server');
$bad = killer($third, 'incoming');
command('postmulti', 'sleep 600');
write_file("$dir/conf", "[spool mine]\npath=$third\n");
$run = spoolck($log, 'prestart', '--strict', '--budget', 12, '--config', "$dir/conf", '--store', new_store());
like($run->{err}, qr/only its usual places are looked at/, 'one that hangs is said');
ok(!-e "$third/incoming/$bad", 'what the configuration names is examined nevertheless') or diag($run->{err});
is(exit_bits($run), '8+1', '--strict: a host that does not answer is a failure') or diag($run->{err});
write_file("$dir/conf", "[scan]\ndiscover=no\n[spool mine]\npath=$third\n");
$run = spoolck($log, 'prestart', '--strict', '--config', "$dir/conf", '--store', new_store());
is(exit_bits($run), '0', 'discover=no: nobody is asked') or diag($run->{err});

done_testing();
