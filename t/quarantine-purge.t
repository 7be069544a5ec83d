#!/usr/bin/perl
# Purge, keep, and the filters of list: what goes is what was meant, nothing is removed without a yes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Test::More;

my ($spool, $store) = (new_spool(), new_store());
sub q_ { return spoolck('quarantine', '--store', $store, @_) }
sub entries { return map { s{.*/}{}r } glob "$store/entries/*" }

healthy($spool, 'deferred') for 1 .. 3;
my %id = (
    cut    => damaged($spool, 'hold', sender => 'ann@example.org', lines => [ 'Subject: a', '', 'a' ]),
    killer => killer($spool, 'incoming', sender => 'bob@example.org'),
    null   => damaged($spool, 'maildrop', sender => 'eve@example.org', lines => [ 'Subject: b', '', 'b' ]),
);
is(exit_bits(scan('-y', '--store', $store, $spool)), '1', 'moved');
my ($old) = grep { /\Q$id{cut}\E/ } entries();
my $aged = read_file("$store/entries/$old/manifest.json");
$aged =~ s/("time": ")\d{4}/${1}2001/ or die;
write_file("$store/entries/$old/manifest.json", $aged);

is(scan('--store', $store, $spool)->{summary}{quarantined}, 3, 'a scan tells how many there are');
like(spoolck('scan', '--store', $store, $spool)->{out}, qr/; 3 in quarantine\. Exit 0\.\n\z/, 'in its last line');

sub listed { return [ sort map { $_->{id} } json_lines(q_('list', '--format', 'json', @_)->{out}) ] }
is_deeply(listed(), [ sort values %id ], 'list: all');
is_deeply(listed('--finding', 'postfix.size-field'), [ $id{killer} ], '--finding');
is_deeply(listed('--sender', 'ANN@example.org'), [ $id{cut} ], '--sender');
is_deeply(listed('--older-than', '30d'), [ $id{cut} ], '--older-than');
is_deeply(listed('--spool', $spool), [ sort values %id ], '--spool');
is_deeply(listed('--spool', "postfix:$spool/."), [ sort values %id ], '--spool, another name of it');
is_deeply(listed('--spool', '/nonexistent'), [], '--spool: another one');
is(exit_bits(q_('list', '--older-than', 'soon')), '16', 'a time is a time');

my $r = q_('purge', '--older-than', '30d');
is(exit_bits($r), '8', 'nobody to ask and no --yes');
like($r->{err}, qr/--yes/, 'says so');
like($r->{out}, qr/\Q$old\E/, 'says what would go');
is(scalar entries(), 3, 'nothing is gone');
is(exit_bits(q_('purge', '--yes')), '16', 'purge needs to be told what');
is(exit_bits(q_('purge', '--yes', '--older-than', '1d', $old)), '16', 'in one way');
is(exit_bits(q_('purge', '--yes', '--keep-free', 'much')), '16', 'a size is a size');

is(exit_bits(q_('keep', $id{cut})), '0', 'keep');
is(scan('--store', $store, $spool)->{summary}{quarantined}, 2, 'what is kept is not counted');
$r = q_('purge', '--yes', '--older-than', '30d');
is(exit_bits($r), '0', 'what is kept is passed over');
like($r->{out}, qr/Nothing to purge/, 'says so');
is(exit_bits(q_('purge', '--yes', $old)), '8', 'and refused by name');
is(exit_bits(q_('keep', '--undo', $id{cut})), '0', 'no longer');
$r = q_('purge', '--yes', '--older-than', '30d');
is(exit_bits($r), '0', 'purged');
like($r->{out}, qr/purged: \Q$old\E/, 'says so');
is(scalar entries(), 2, 'one is gone');
is(exit_bits(q_('purge', '--yes', '--keep-free', '0')), '0', 'there is enough room');
is(scalar entries(), 2, 'nothing goes');
is(exit_bits(q_('purge', '--yes', '--keep-free', '100%')), '0', 'never enough room');
is(scalar entries(), 0, 'everything goes');
is(scalar(my @left = glob "$store/inflight/*"), 0, 'nothing is left over');
is(exit_bits(scan('--store', $store, $spool)), '0', 'the spool is untouched');

# What stands in a manifest may be hostile.
my $bad = damaged($spool, 'hold', lines => [ 'Subject: c', '', 'c' ]);
scan('-y', '--store', $store, $spool);
my ($entry) = entries();
write_file("$store/entries/$entry/manifest.json", "{ not json \e[31m");
for my $words (['list'], ['show', $entry], ['restore', $entry], ['verify', $entry],
    ['purge', '--yes', '--older-than', '0s'], ['export', $entry], ['keep', $entry])
{
    my $r = q_(@$words);
    ok(defined $r->{status} && $r->{status} & (8 | 4), "a damaged manifest: $words->[0]") or diag($r->{out}, $r->{err});
    ok(is_printable($r->{out} . $r->{err}), 'nothing unprintable');
}
ok(-d "$store/entries/$entry", 'it is still there');

done_testing();
