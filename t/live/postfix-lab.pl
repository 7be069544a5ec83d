#!/usr/bin/perl
# postfix-lab.pl [OPTIONS] STEP... : the live lab for Postfix.
#
#   chroot    build the Debian chroot with Postfix (once)
#   corpus    queue some hundred real messages           -> postfix-corpus/, postfix-corpus.tsv
#   damage    thousands of damaged copies of them        -> postfix-damaged/, postfix-damaged.tsv
#   judge     what postcat and the daemons make of those -> postfix-verdicts.tsv
#   busy      scans beside a Postfix under load
#   roundtrip a killer: quarantine, work, restore
#   mixed     a file beside the hash directories
#   discover  the queues of two instances are found
#   report    counts by kind and verdict, on standard output
#   all       everything, in this order
#
# Options: --number N damaged files (6000), --daemons N of them for the daemons (4000),
# --seed N (LAB_SEED, 1), --lanes N Postfix instances side by side (3).
# SPOOLCK_LIVE_SUITE: the release of Debian whose Postfix it is (bookworm).
# Everything lies under ${SPOOLCK_LIVE:-/var/tmp/spoolck-live}.  Run as root.

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use lib dirname(Cwd::abs_path(__FILE__)) . '/lib';
use Getopt::Long;
use POSIX ();
use Lab::Util qw(say_step in_namespace wait_namespaces tsv_read);
use Lab::Postfix;
use Lab::Postfix::Corpus qw(make_corpus);
use Lab::Postfix::Damage qw(make_damage);
use Lab::Postfix::Beside qw(busy round_trip hash_mixed discover);
use Lab::Postfix::Judge qw(judge_postcat judge_lane judge_named select_files select_for_local merge opinion);

my $self = Cwd::abs_path(__FILE__);
my $base = Lab::Postfix::prefix();
my ($corpus, $damaged) = ("$base-corpus", "$base-damaged");
my ($inside, $number, $daemons, $seed, $lanes) = (0, 6000, 4000, $ENV{LAB_SEED} // 1, 3);
GetOptions('inside' => \$inside, 'number=i' => \$number, 'daemons=i' => \$daemons, 'seed=i' => \$seed, 'lanes=i' => \$lanes) or exit 16;

sub start_inside { return in_namespace($self, "--daemons", $daemons, "--lanes", $lanes, "--inside", @_) }
sub inside { wait_namespaces(start_inside(@_), "@_") }

# All judges at the same time: they mostly wait.
sub judge {
    my @jobs = (['postcat'], ['named'], ['local'], map { [ 'lane', $_ ] } 0 .. $lanes - 1);
    wait_namespaces(map { (start_inside(@$_), "@$_") } @jobs);
    merge($damaged, "$base-verdicts.tsv", "$base-lane-postcat.tsv", "$base-lane-local.tsv", map { "$base-lane-$_.tsv" } 'named', 0 .. $lanes - 1);
}

sub report {
    my (%n, %postcat, %kinds);
    for my $r (@{ tsv_read("$base-verdicts.tsv") }) {
        $kinds{ $r->{kind} }{ $r->{daemon} }++;
        $n{"opinion " . opinion($r)}++;
        $n{"daemons $r->{daemon}"}++;
        $n{"local $r->{local}"}++;
        $postcat{"$r->{daemon} / postcat $r->{postcat}"}++;
    }
    print "$_: $n{$_}\n" for sort keys %n;
    print "\n";
    print "$_: $postcat{$_}\n" for sort keys %postcat;
    print "\n";
    for my $k (sort keys %kinds) { print "$k: ", join(', ', map { "$_ $kinds{$k}{$_}" } sort keys %{ $kinds{$k} }), "\n" }
}

my %step = (
    chroot => \&Lab::Postfix::build_chroot,
    corpus => sub { Lab::Postfix::build_chroot(); inside('corpus') },
    damage => sub { make_damage($corpus, $damaged, number => $number, seed => $seed) },
    judge  => \&judge,
    busy   => sub { inside('busy') },
    roundtrip => sub { inside('roundtrip') },
    mixed  => sub { inside('mixed') },
    discover => sub { inside('discover') },
    report => \&report,
);

sub lab { my ($name) = @_; my $l = Lab::Postfix->new("$base-lane-$name"); $l->{name} = $name; return $l }

my %inside = (
    corpus  => sub { make_corpus(lab('corpus'), $corpus) },
    postcat => sub { judge_postcat(lab("postcat"), $damaged, "$base-lane-postcat.tsv", 16) },
    named   => sub { judge_named(lab('named'), $damaged, "$base-lane-named.tsv") },
    busy    => sub { busy(lab('busy')) },
    roundtrip => sub { round_trip(lab('roundtrip')) },
    mixed   => sub { hash_mixed(lab('mixed')) },
    discover => sub { discover(lab('discover')) },
    local   => sub { judge_lane(lab("local"), $damaged, [ select_for_local($damaged, 300) ], "$base-lane-local.tsv", "local") },
    lane    => sub {
        my ($n) = @_;
        my @lane = select_files($damaged, $daemons, $lanes);
        judge_lane(lab($n), $damaged, $lane[$n], "$base-lane-$n.tsv", 'smtp');
    },
);

$| = 1;
if ($inside) {
    # A step that hangs ends by itself, and with it everything in its namespaces.
    # (A handler is needed: process 1 of a namespace ignores signals that it does not handle.)
    $SIG{ALRM} = $SIG{TERM} = sub { print STDERR "# timed out or stopped: @ARGV\n"; POSIX::_exit(1) };
    alarm 1800;
    my $what = shift @ARGV;
    $inside{$what}->(@ARGV);
    exit 0;
}
@ARGV = qw(chroot corpus damage judge report) if "@ARGV" eq 'all';
die "usage: postfix-lab.pl [OPTIONS] all|STEP...; steps: @{[sort keys %step]}\n" unless @ARGV && !grep { !$step{$_} } @ARGV;
for my $name (@ARGV) {
    say_step("step $name");
    $step{$name}->();
}
say_step('done');
