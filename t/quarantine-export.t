#!/usr/bin/perl
# Export: the text of a damaged message as far as it can be reached, its envelope, and the command
# that sends it again; show: envelope, headers, the damaged place in hex. All of it is hostile. A message that still lies
# in its spool gives the same as its entry does, and stays as it is.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use File::Path ();
use IO::Compress::Gzip qw(gzip $GzipError);
use JSON::PP ();
use POSIX ();
use Spoolck;
use Spoolck::Fixture qw(lay_out);
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

# --- A message where it lies ---------------------------------------------------------

# What came of an export: { name of the file without what differs => bytes }, and what the envelope says.
sub saved {
    my ($r, $to) = @_;
    my %bytes = map { my $name = basename($_); ($name =~ s/^.*\.eml(:.*|)$/text$1/r => read_file($_)) } glob "$to/*.eml $to/*.eml:*";
    my ($json) = map { JSON::PP::decode_json(read_file($_)) } glob "$to/*.json";
    $json->{streams} = [ map { s/.*\.eml://r } @{ $json->{streams} // ['hidden'] } ];
    return (\%bytes, $json);
}

# Two damaged messages of each server, of whatever kind; the order mixes them. What is about a place or a neighbour is not
# seen in the message alone.
my %told;
my $alone = qr/twin|misplaced|orphan/;
for my $case (sort { reverse($a) cmp reverse($b) } map { dirname($_) } grep { !/$alone/ } glob "$ENV{SRCDIR}/fixtures/{postfix,exim,sendmail,opensmtpd,qmail,courier,iis}/*/name") {
    my ($format) = $case =~ m{/([^/]+)/[^/]+$};
    next if ($told{$format} // 0) >= 2;
    my ($root, $own) = (scratch() . '/spool', new_store());
    eval { lay_out($case, $root) } or next; # it takes root
    my $look = scan('--all', "$format:$root");
    my %count;
    $count{ $_->{id} }++ for @{ $look->{messages} };
    # One id, one message.
    my @here = grep { $_->{verdict} eq 'corrupt' && $count{ $_->{id} } == 1 } @{ $look->{messages} };
    next unless @here;

    subtest "$format/" . basename($case) => sub {
        my $before = snapshot($root);
        my %to;
        for my $m (@here) {
            $to{ $m->{id} } = scratch();
            my $e = q_('export', '--output', $to{ $m->{id} }, "$format:$m->{spool}:$m->{id}");
            is(exit_bits($e), '0', "$m->{id}: export from the spool") or diag($e->{err});
        }
        same_tree($before, snapshot($root), 'which is as it was');
        $look = scan('-y', '--offline', '--max-move', 'none', '--store', $own, "$format:$root");
        for my $m (grep { $_->{entry} && $to{ $_->{id} } } @{ $look->{messages} }) {
            my $to = scratch();
            my $e = spoolck('quarantine', 'export', '--store', $own, '--output', $to, $m->{entry});
            is(exit_bits($e), '0', 'export of the entry') or diag($e->{err});
            my ($there, $here) = map { [ saved($e, $_) ] } $to, $to{ $m->{id} };
            is_deeply($here->[0], $there->[0], 'the same bytes');
            is($here->[1]{entry}, undef, 'which is no entry');
            delete @{ $_->[1] }{qw(entry time reason text reinject)} for $here, $there;
            is_deeply($here->[1], $there->[1], 'and the same envelope');
            $told{$format}++;
        }
    };
}
diag(join ', ', map { "$_ $told{$_}" } sort keys %told);
is_deeply([ grep { !$told{$_} } $> ? 'postfix' : qw(postfix exim sendmail opensmtpd qmail courier iis) ], [], 'of each server some message was compared');

subtest 'what is refused' => sub {
    my ($queue, $to, $none) = (new_spool(), scratch(), new_store());
    my $id = damaged($queue, 'hold');
    my @export = ('quarantine', 'export', '--store', $none, '--output', $to);
    my $r = spoolck(@export, '--redact', "postfix:$queue:$id");
    is(exit_bits($r), '16', '--redact');
    like($r->{err}, qr/entries of the quarantine only/, 'with the reason');
    $r = spoolck(@export, "postfix:$queue:");
    is(exit_bits($r), '16', 'no id');
    $r = spoolck(@export, "postfix:$queue:0123456789");
    is(exit_bits($r), '8', 'an id that nobody has');
    like($r->{err}, qr/no message with this queue id/, 'which is said');
    is_deeply([ glob "$to/*" ], [], q(no file was made));
    ok(!-e $none, 'nor a store');
    is(exit_bits(spoolck(@export, "postfix:$queue:$id")), '0', 'none is needed');
    is(exit_bits($r = spoolck(@export, "postfix:$queue:$id")), '8', 'what exists is not overwritten');
    like($r->{err}, qr/cannot create \Q$to\E\/$id\.eml: File exists/, 'which is said');
    unlink "$to/$id.eml" or die;
    is(exit_bits(spoolck(@export, "postfix:$queue:$id")), '8', 'nor the second file');
    ok(!-e "$to/$id.eml", 'the first one is taken back then');
    ok(-e "$to/$id.json", 'but nothing that was there before');
};

# A server goes on with its work: what changes under our eyes is not half of this and half of that.
subtest 'a message that is being altered' => sub {
    my ($queue, $to) = (new_spool(), scratch());
    my $id = healthy($queue, 'hold');
    my $path = "$queue/" . path_of($queue, 'hold', $id);
    my $writer = fork // die "fork: $!";
    if ($writer == 0) {
        my $end = time + 120; # should nobody end it
        for (my $n = 0; time < $end; $n++) { utime 1_700_000_000 + $n, 1_700_000_000 + $n, $path }
        POSIX::_exit(0);
    }
    my $r;
    for (1 .. 20) {
        $r = q_('export', '--output', $to, "postfix:$queue:$id");
        last if $r->{err} =~ /changed while it was read/;
        unlink glob "$to/*";
    }
    kill KILL => $writer;
    waitpid $writer, 0;
    like($r->{err}, qr/it was changed while it was read; nothing is exported, try again/, 'is refused');
    is(exit_bits($r), '8', 'as an error');
    is_deeply([ glob "$to/*" ], [], 'and no file is left');
    is(exit_bits($r = q_('export', '--output', $to, "postfix:$queue:$id")), '0', 'when it lies still, it is exported') or diag($r->{err});
};

done_testing();
