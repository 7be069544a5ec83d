#!/usr/bin/perl
# More entries than one thread reads at once: list has them all, in the order of their names, with a damaged
# manifest told apart; filters and purge see the same.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
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

# What the table says comes from the lines that are needed; a manifest that was written by another hand is read whole.
my ($spool2, $store2) = (new_spool(), new_store());
healthy($spool2, 'hold') for 1 .. 50;
damaged($spool2, 'hold', lines => [ "Subject: $_", '', '"findings": [', ' "reason": "no",', '{}' ]) for 1 .. 3;
killer($spool2, 'incoming', lines => [ 'Subject: 4' ], sender => "\"{\\ \"parts\": [\"\@example.org");
scan('-y', '--max-move', 'none', '--store', $store2, $spool2);
my @manifests = sort glob "$store2/entries/*/manifest.json";
is(scalar @manifests, 4, 'four damaged messages');
my $list = sub { return spoolck('quarantine', '--store', $store2, 'list', @_)->{out} };
my $table = join '', map { my $j = JSON::PP::decode_json(read_file($_)); "$j->{entry}  $j->{spool}  $j->{findings}[0]{name}\n" } @manifests;
is($list->(), $table, 'the table has what the manifests say');
my $size = JSON::PP::decode_json(read_file($manifests[-1]))->{findings}[0]{name};
is(scalar(() = $list->('--finding', $size) =~ /\n/g), scalar(() = $table =~ /\Q$size\E\n/g), 'filter by finding');
is(scalar(() = $list->('--sender', "\"{\\ \"parts\": [\"\@example.org") =~ /\n/g), 1, 'filter by sender');
for my $write (JSON::PP->new->canonical->utf8, JSON::PP->new->canonical->utf8->pretty->indent_length(4), JSON::PP->new->utf8->pretty->indent_length(1)) {
    write_file($_, $write->encode(JSON::PP::decode_json(read_file($_)))) for @manifests;
    is($list->(), $table, 'and so it has when they are written otherwise');
}

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
