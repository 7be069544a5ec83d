#!/usr/bin/perl
# More entries than one thread reads at once: list has them all, in the order of their names, with a damaged
# manifest told apart; filters and purge see the same.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Test::More;

my ($spool, $store) = (new_spool(), new_store());
sub q_ { return spoolck('quarantine', '--store', $store, @_) }

my @ids = map { healthy($spool, 'hold', sender => "user$_\@example.org") } 1 .. 300;
is(exit_bits(q_('add', map { "$spool:$_" } @ids)), '1', 'three hundred are moved');
my @entries = map { s{.*/}{}r } sort glob "$store/entries/*";
is(scalar @entries, 300, 'there they are');

my $r = q_('list');
is(exit_bits($r), '0', 'list');
is_deeply([ map { (split)[0] } split /\n/, $r->{out} ], \@entries, 'all, in order');
is_deeply([ map { $_->{entry} } json_lines(q_('list', '--format', 'json')->{out}) ], \@entries, 'as JSON, too');

my @bad = @entries[ 0, 150, 299 ];
write_file("$store/entries/$_/manifest.json", "{\n \"schema\": 1,\n") for @bad;
my %bad = map { $_ => 1 } @bad;
$r = q_('list');
is(exit_bits($r), '8', 'with three damaged manifests');
is_deeply([ map { (split)[0] } split /\n/, $r->{out} ], [ grep { !$bad{$_} } @entries ], 'the others');
like($r->{err}, qr/\Q$_\E: manifest\.json is damaged, line \d/, 'which one it is') for @bad;

$r = q_('list', '--older-than', '1d');
is($r->{out}, '', 'none is older than a day');
is(exit_bits($r = q_('purge', '--yes', '--older-than', '0s')), '8', 'purge');
is(scalar(() = $r->{out} =~ /^purged: /mg), 297, 'all that can be read') or diag(substr $r->{err}, 0, 2000);
is_deeply([ map { s{.*/}{}r } sort glob "$store/entries/*" ], \@bad, 'the damaged ones stay');

done_testing();
