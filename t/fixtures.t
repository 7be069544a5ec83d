#!/usr/bin/perl
# Every fixture in fixtures/*/ and the demonstration spool: what a scan says of it, that looking changes nothing, that
# the second run after `scan -y` is clean, and that `quarantine restore` brings everything back.
# fixtures/README.md describes the files. SPOOLCK_UPDATE=1 rewrites expect and expect.2 (then
# read the difference).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use Spoolck;
use Spoolck::Fixture qw(lay_out lines_of);
use Test::More;

my $fixtures = dirname($FindBin::Bin) . '/fixtures';
my @cases = map { dirname($_) } sort glob "$fixtures/demo/name $fixtures/*/*/name";
cmp_ok(scalar @cases, '>=', 30, 'there are fixtures');

sub expected {
    my ($file, $got, $what) = @_;
    if ($ENV{SPOOLCK_UPDATE}) {
        write_file($file, $got);
        return pass("$what (rewritten)");
    }
    is($got, read_file($file), $what);
}

for my $case (@cases) {
    my ($format) = $case =~ m{/([^/]+)/[^/]+$};
    $format = 'postfix' if $case =~ m{/demo$};
    my ($sentence) = split /\n/, read_file("$case/name");

    subtest basename($case) . ": $sentence" => sub {
        my $root = scratch() . '/spool';
        my $store = new_store();
        my $back = eval { lay_out($case, $root) };
        need_root('to give files away') or return if $@ =~ /^owner/;
        die $@ if $@;
        my @offline = $format eq 'iis' ? '--offline' : (); # no lock tells whether that server runs
        my @spool = ('--store', $store, '--all', @offline, "$format:$root");
        my $before = snapshot($root);
        my $with_dirs = snapshot($root, dirs => 1);

        my $look = scan('-n', @spool);
        expected("$case/expect", lines_of($look, $root, $back), 'the scan says what is expected');
        same_tree($with_dirs, snapshot($root, dirs => 1), 'looking changes nothing');
        ok(!-e $store, 'nor does it make a store');

        my $corrupt = grep { $_->{verdict} eq 'corrupt' } @{ $look->{messages} };
        my $act = scan('-y', @spool);
        is($act->{summary}{moved}, $corrupt, "scan -y moves $corrupt");
        is(exit_bits($act) =~ /\b1\b/ ? 1 : 0, $corrupt ? 1 : 0, 'and says so in its exit status');

        expected("$case/expect.2", lines_of(scan('-n', @spool), $root, $back),
            'the second run says what is expected');

        my @entries = map { $_->{entry} // () } @{ $act->{messages} };
        is(scalar @entries, $corrupt, 'an entry for each');
        if (@entries) {
            my $verify = spoolck('quarantine', '--store', $store, 'verify', @entries);
            is(exit_bits($verify), '0', 'the entries are sound') or diag($verify->{out}, $verify->{err});
            my $restore = spoolck('quarantine', '--store', $store, @offline, 'restore', '--force', @entries);
            is(exit_bits($restore), '2', 'they can be restored') or diag($restore->{err});
        }
        same_tree($before, snapshot($root), 'everything is back: bytes, names, modes, times, inodes');
    };
}

done_testing();
