#!/usr/bin/perl
# postfix.t - spoolck against the real Postfix of Debian 12 (3.7); postfix-trixie.t: of Debian 13 (3.10)
#
# A Postfix in a chroot of its own queues some hundred real messages: nothing above a notice on
# any of them. Thousands of damaged copies are judged by postcat, mailq and the live daemons, and
# by spoolck: whatever a judge refuses, deletes, bounces or dies of has to be corrupt, with the
# right impact. Then the real server and spoolck work side by side.
#
# SPOOLCK_LIVE_DAMAGED (4000) and SPOOLCK_LIVE_DAEMONS (2400): how many copies, how many of
# them the daemons get. SPOOLCK_LIVE_KEEP=1 takes the results of an earlier run.
# SPOOLCK_LIVE_SUITE=trixie: Debian 13. LAB_SEED: other copies.

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);
use JSON::PP;
use Test::More;
use lib dirname(Cwd::abs_path(__FILE__)) . '/lib';
use Lab::Postfix;
use Lab::Util qw(tsv_read);
use Lab::Postfix::Judge qw(opinion);

my $here = dirname(Cwd::abs_path(__FILE__));
my $base = Lab::Postfix::prefix();
my $spoolck = $ENV{SPOOLCK} || "$here/../../spoolck";
my ($number, $daemons) = ($ENV{SPOOLCK_LIVE_DAMAGED} || 4000, $ENV{SPOOLCK_LIVE_DAEMONS} || 2400);
my @size = ('--number', $number, '--daemons', $daemons);

# What the judges accept or refuse otherwise than spoolck, each with its reason: kind or finding,
# then why.
my %milder = (
    'recipient-missing' => 'a maildrop file without recipients: pickup deletes it, but `sendmail -t` of every release can write one',
    'record-limit'      => 'a maildrop record above the default line_length_limit: the limit of a copied spool is not known, so suspect',
    'recipients-done'   => 'a maildrop file whose recipients are all done: `postsuper -r` writes it, cleanup drops it',
    'maildrop-size'     => 'the size record of a maildrop file: the judge fed it to qmgr, which never sees it there',
);

plan skip_all => 'live tests need root' if $> && !$ENV{CI};
Lab::Postfix::build_chroot();

# Where releases differ it decides what is damage.
my ($version) = `chroot '$base-chroot' postconf -d -h mail_version 2>/dev/null` =~ /^([\d.]+)/ or die "no Postfix in $base-chroot";

sub lab {
    my @cmd = ('perl', "$here/postfix-lab.pl", @size, @_);
    is(system(@cmd), 0, "lab: @_") or BAIL_OUT("the lab does not work: @cmd");
}

# Events of a scan by path: the message, with its findings.
sub scan {
    my ($spool, @options) = @_;
    open my $out, '-|', $spoolck, 'scan', '--format', 'json', '--all', '--server-version', $version, @options, "postfix:$spool" or die "$spoolck: $!";
    my (%by_path, %findings, $summary);
    while (my $line = readline $out) {
        my $e = decode_json($line);
        push @{ $findings{ $e->{part} } }, $e if $e->{event} eq 'finding' && defined $e->{id};
        $by_path{ $e->{parts}[0] } = $e if $e->{event} eq 'message';
        $summary = $e if $e->{event} eq 'summary';
    }
    close $out;
    $by_path{$_}{findings} = $findings{$_} for grep { $by_path{$_} } keys %findings;
    return (\%by_path, $summary);
}

sub names { return join ' ', map { $_->{name} } @{ $_[0]{findings} || [] } }

# A difference that is known and has a reason.
sub excused {
    my ($row, $m) = @_;
    return 'recipient-missing' if $row->{queue} eq 'maildrop' && names($m) =~ /postfix\.recipient-(?:missing|empty)/;
    return 'record-limit' if names($m) =~ /postfix\.record-limit/ && $m->{verdict} eq 'suspect';
    return 'recipients-done' if $row->{queue} eq 'maildrop' && $row->{kind} eq 'type-R-to-D';
    return 'maildrop-size' if $row->{queue} eq 'maildrop' && $row->{kind} =~ /size|named-/;
    return;
}

sub healthy {
    my ($m, $summary) = scan("$base-corpus");
    my @loud = grep { $m->{$_}{verdict} !~ /^(?:ok|noted|busy)\z/ } sort keys %$m;
    cmp_ok($summary->{messages}, '>=', 300, "$summary->{messages} real messages");
    is("@loud[0 .. ($#loud < 4 ? $#loud : 4)]", '', 'nothing above a notice on any of them');
    is($summary->{corrupt} + $summary->{suspect} + $summary->{unchecked}, 0, 'none corrupt, suspect or unchecked');
}

sub damaged {
    my ($m, $summary) = scan("$base-damaged");
    my (%count, @missed, @mild, %excused, %stricter);
    my $judged = 0;
    for my $row (@{ tsv_read("$base-verdicts.tsv") }) {
        my $mine = $m->{ $row->{file} } or next;
        $judged++ if opinion($row) ne 'unknown';
        my $opinion = opinion($row);
        $count{"$opinion, we say $mine->{verdict}"}++;
        if ($opinion eq 'kills' || $opinion eq 'refused') {
            my $why = $mine->{verdict} eq 'corrupt' ? undef : excused($row, $mine);
            if ($why) { $excused{$why}++ }
            elsif ($mine->{verdict} ne 'corrupt') { push @missed, "$row->{file} $row->{kind} $opinion: $row->{line}; we: $mine->{verdict} " . names($mine) }
            elsif ($opinion eq 'kills' && $row->{daemon} =~ /^server-/ && $mine->{impact} ne 'server-stops' && !excused($row, $mine)) {
                push @mild, "$row->{file} $row->{kind}: $row->{line}; we: $mine->{impact} " . names($mine);
            }
        }
        $stricter{ names($mine) }++ if $opinion eq 'sound' && $mine->{verdict} eq 'corrupt';
    }
    diag("$_: $count{$_}") for sort keys %count;
    diag("excused, $_ ($milder{$_}): $excused{$_}") for sort keys %excused;
    diag("corrupt though every judge took it, $_: $stricter{$_}") for sort keys %stricter;
    cmp_ok($summary->{messages}, '>=', $number / 2, "$summary->{messages} damaged copies examined");
    cmp_ok($judged, '>=', $daemons * 5 / 8, "$judged of them were judged by the daemons");
    diag("missed: $_") for @missed[0 .. ($#missed < 20 ? $#missed : 20)];
    diag("too mild: $_") for @mild[0 .. ($#mild < 20 ? $#mild : 20)];
    cmp_ok(scalar @missed, '<=', $summary->{messages} / 1000, 'at most 1 in 1,000 of what a judge refuses is missed');
    is(scalar grep({ / kills:/ } @missed), 0, 'none that kills a daemon');
    is(scalar @mild, 0, 'what kills qmgr or pickup is said to stop the server');
}

sub killers {
    my %deaths;
    $deaths{ $_->{kind} } += $_->{deaths} >= 2 for @{ tsv_read("$base-lane-named.tsv") };
    cmp_ok($deaths{$_} || 0, '>=', 1, "$_: the real qmgr dies at every start") for qw(named-bad-extra-offset named-old-style-order named-seek-beyond);
}

lab(qw(chroot corpus damage judge)) unless $ENV{SPOOLCK_LIVE_KEEP};
subtest 'healthy mail' => \&healthy;
subtest 'damaged mail' => \&damaged;
subtest 'known killers' => \&killers;
unless ($ENV{SPOOLCK_LIVE_ONLY_COMPARE}) {
    lab('busy');
    lab('roundtrip');
    lab('mixed');
    lab('discover');
}
done_testing();
