#!/usr/bin/perl
# Export: the text of a damaged message as far as it can be reached, its envelope, and the command
# that sends it again; show: envelope, headers, the damaged place in hex. All of it is hostile.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path ();
use IO::Compress::Gzip qw(gzip $GzipError);
use JSON::PP ();
use Spoolck;
use Test::More;

my ($spool, $store, $out) = (new_spool(), new_store(), scratch());
sub q_ { return spoolck('quarantine', '--store', $store, @_) }
healthy($spool, 'deferred') for 1 .. 9;

sub moved {
    my ($id) = @_;
    my $r = scan('-y', '--store', $store, $spool);
    my ($m) = grep { $_->{id} eq $id } @{ $r->{messages} };
    return $m->{entry} // BAIL_OUT("not moved: $r->{out}");
}

sub exported {
    my ($entry) = @_;
    my $r = q_('export', '--output', $out, $entry);
    return ($r, -e "$out/$entry.eml" ? read_file("$out/$entry.eml") : undef,
        -e "$out/$entry.json" ? JSON::PP::decode_json(read_file("$out/$entry.json")) : undef);
}

my @lines = ('From: bob@example.org', "Subject: caf\xe9 \e[31mred", '', 'Hello.', '.', 'Bye.');

# The size record is damaged, the text is whole.
my $whole = killer($spool, 'incoming', sender => q{o'hara@example.org},
    recipients => [ 'alice@example.com', '-froot@example.com' ], lines => \@lines);
my $entry = moved($whole);
my ($r, $eml, $json) = exported($entry);
is(exit_bits($r), '0', 'export') or diag($r->{err});
is($eml, join('', map { "$_\n" } @lines), 'the text is whole');
ok($json->{complete}, 'and called so');
is_deeply($json->{recipients}, [ 'alice@example.com', '-froot@example.com' ], 'all recipients');
is($json->{sender}, q{o'hara@example.org}, 'the sender');
like($json->{reinject}, qr/^sendmail -i -f 'o'\\''hara\@example\.org' -- 'alice\@example\.com' '-froot\@example\.com' <'/,
    'the command that sends it again');
like($r->{out}, qr/\Q$json->{reinject}\E/, 'is printed');
ok(is_printable($r->{out}), 'nothing unprintable on the terminal');
is((stat "$out/$entry.eml")[2] & 0777, 0600, 'for nobody else');
is(exit_bits((exported($entry))[0]), '8', 'what exists is not overwritten');

my $show = q_('show', $entry);
like($show->{out}, qr/o'hara\@example\.org/, 'show: the sender');
like($show->{out}, qr/Subject: caf\\xE9 \\x1B\[31mred/, 'headers, escaped');
unlike($show->{out}, qr/Hello/, 'not the text');
like($show->{out}, qr/^\s+16   36 20\*78/m, 'the damaged place in hex');
ok(is_printable($show->{out}), 'nothing unprintable');

# Cut off in the text.
my $cut = damaged($spool, 'hold', lines => [ 'Subject: cut', '', map { "line $_" } 1 .. 50 ]);
$entry = moved($cut);
($r, $eml, $json) = exported($entry);
is(exit_bits($r), '0', 'export of a message that is cut off');
like($eml, qr/^Subject: cut\n\nline 1\n.*line 49\n/s, 'the text up to the damage');
like($eml, qr/\n\[spoolck: the text cannot be reached beyond this point: postfix\.\S+\]\n\z/, 'and a mark');
ok(!$json->{complete}, 'which the envelope says, too');

# Nothing of it can be read.
my $zero = put($spool, 'hold', long_id(), "\0" x 3000);
$entry = moved($zero);
($r, $eml, $json) = exported($entry);
is(exit_bits($r), '0', 'export of zeros');
like($eml, qr/\A\n\[spoolck: /, 'only the mark');
is($json->{reinject}, undef, 'no command');
is(exit_bits(q_('show', $entry)), '0', 'show');

# A compressed text: what it unpacks to, however large; and what is left of it when the end is lost.
my $text = join '', map { "line $_ " . ('x' x ($_ % 70)) . "\n" } 1 .. 40000;
for my $lost (0, 20) {
    my ($queue, $id) = (scratch() . "/packed$lost", $lost ? 'a1b2c3d4' : 'a1b2c3d5');
    gzip(\$text, \my $packed) or die "gzip: $GzipError";
    $packed = substr $packed, 0, length($packed) - $lost;
    File::Path::make_path(map { "$queue/$_" } "queue/a1/$id", qw(incoming purge temporary offline));
    write_file("$queue/queue/a1/$id/message", $packed);
    $r = $lost ? spoolck('scan', '-y', '--store', $store, "opensmtpd:$queue") : q_('add', "opensmtpd:$queue:$id");
    ($entry) = $r->{out} =~ /(\S+-opensmtpd-$id)/ or BAIL_OUT("not moved: $r->{out} $r->{err}");
    ($r, $eml, $json) = exported($entry);
    if ($lost) {
        my ($part, $mark) = $eml =~ /\A(.*)\n(\[spoolck: .*\])\n\z/s;
        cmp_ok(length $part, '>', length($text) / 2, 'a compressed text without its end: most of it');
        is(index($text, $part), 0, 'as it was');
        is($mark, '[spoolck: the text cannot be reached beyond this point: opensmtpd.gzip]', 'and a mark');
    }
    else {
        ok($eml eq $text, 'a compressed text is unpacked');
        ok($json->{complete}, 'and complete');
    }
}

my ($before, $left) = (0, 0);
$left += () = glob '/tmp/spoolck-??????/*/*/' . $_ for $whole, $cut, $zero;
is($left, 0, 'no copy is left in the temporary directory');

done_testing();
