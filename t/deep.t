#!/usr/bin/perl
# scan --deep: what each rule finds, and the legal oddity beside it about which it is silent; inputs that were made to
# exhaust readers; a deep pass that dies, hangs, eats memory and lies while the structural verdict stands; character
# sets behind a closed door. Texts lie in a queue of qmail, which keeps them as they are.
# SPOOLCK_DEATHS: how many deaths one run has to survive (300).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Spoolck;
use Spoolck::Fixture qw(lay_out);
use Spoolck::Queue qw(fill formats);
use Test::More;

my $hostile = hostile_program();
BAIL_OUT("$hostile is not there: make check builds it") unless -x $hostile;

# --- A queue of texts ------------------------------------------------------------------

my $aside = 0;

sub new_queue {
    my $root = scratch() . '/queue';
    make_path((map { "$root/$_/0" } qw(info local remote mess)), map { "$root/$_" } qw(todo intd bounce pid lock));
    write_file("$root/lock/sendmutex", '');
    POSIX::mkfifo("$root/lock/trigger", 0622) or die;
    return $root;
}

# Put a text there, behind the line that qmail-queue writes; the id of its message.
sub queue {
    my ($root, $text) = @_;
    my $tmp = "$root/../text-" . $aside++;
    write_file($tmp, "Received: (qmail 1 invoked by uid 0); 20 Nov 2026 16:00:00 -0000\n$text");
    my $id = (stat $tmp)[1];
    rename $tmp, "$root/mess/0/$id" or die;
    write_file("$root/todo/$id", "u0\0p1\0Fbob\@example.org\0Talice\@example.com\0");
    link "$root/todo/$id", "$root/intd/$id" or die;
    chmod 0644, "$root/todo/$id", "$root/mess/0/$id";
    return $id;
}

my $head = "From: Bob <bob\@example.org>\nTo: alice\@example.com\nDate: Fri, 20 Nov 2026 16:00:00 +0000\n"
    . "Message-ID: <1\@example.org>\nSubject: hello\n";
my $mime = $head . "MIME-Version: 1.0\n";

sub multipart { my ($text, $type) = @_; return $mime . 'Content-Type: ' . ($type // 'multipart/mixed') . "; boundary=b\n\n$text" }
sub part { my ($encoding, $text) = @_; return "--b\nContent-Type: application/x\nContent-Transfer-Encoding: $encoding\n\n$text" }

# An attachment, as Outlook writes its header.
sub file {
    my ($type, $size, $bytes) = @_;
    return "--b\nContent-Type: $type; name=x\nContent-Disposition: attachment; filename=x; size=$size;\n\tcreation-date=\"Fri, 20 Nov 2026 15:00:00 GMT\"\n"
        . "Content-Transfer-Encoding: base64\n\n" . encode_base64($bytes);
}

# What a deep scan says of texts: { name => [ "finding severity", ... ] } of those above `least`.
sub look {
    my ($least, %text) = @_;
    my $root = new_queue();
    my %name = map { queue($root, $text{$_}) => $_ } sort keys %text;
    my $r = scan('--deep', '--all', "qmail:$root");
    my %said = map { $_ => [] } keys %text;
    for my $f (@{ $r->{findings} }) {
        next if $f->{name} !~ /^(?:mime|deep)\./ || $f->{severity} eq 'notice' && $least ne 'notice';
        push @{ $said{ $name{ $f->{id} } } }, "$f->{name} $f->{severity}";
    }
    $_ = [ sort @$_ ] for values %said;
    my %deep = map { $name{ $_->{id} } => $_->{deep} } @{ $r->{messages} };
    return (\%said, \%deep, $r, { map { $name{$_} => $_ } keys %name });
}

# --- Rules -----------------------------------------------------------------------------------

my $base64 = encode_base64(join('', map { chr($_ * 37 % 256) } 1 .. 570));
my $zeros = "\0" x 600;
my $file = join('', map { chr($_ * 37 % 251) } 1 .. 19_000); # of no kind with a name

# name => [ what is found, the text that has it, legal and odd texts about which nothing is said ]
my %rule = (
    'NUL in the header' => [ 'mime.header-nul suspect', "${head}X-A: a\0b\n\ntext\n",
        "${head}X-A: \x{1}\x{7f}\n\ntext\n" ],
    'a carriage return in the header' => [ 'mime.header-cr suspect', "${head}X-A: a\rB: b\n\ntext\n",
        ($head =~ s/\n/\r\n/gr) . "X-A: a\r\n\r\ntext\rmore\r\n" ],
    'a long line' => [ 'mime.header-long notice', "${head}References: " . ('<a@b> ' x 200) . "\n\ntext\n",
        "${head}References: " . ("<a\@b>\n " x 200) . "<a\@b>\n\ntext\n", "$head\n" . ('x' x 5000) . "\n" ],
    'a line in the header that is no field' => [ 'mime.header-broken suspect', "${head}this is nothing\nX-A: b\n\ntext\n",
        "${head}From what I see\nthis is text already\n", "Received: a\nno header at all\nMessage-ID: <by\@server>\nTo: undisclosed-recipients:;\n\n",
        "${head}X-Empty:\nX-B : blank before the colon\n\ntext\n", "${head}\nno field: but text\nor that\n" ],
    'bytes in a name' => [ 'mime.header-name suspect', "${head}X-\xc3\xa4: a\n\ntext\n",
        "${head}X-A: \xc3\xa4 and \xe4\n\ntext\n" ],
    'two dates' => [ 'mime.header-twice notice', "${head}Date: Fri, 20 Nov 2026 16:00:01 +0000\n\ntext\n",
        "${head}Received: a\nReceived: b\nX-A: 1\nX-A: 2\nComments: a\nComments: b\n\ntext\n" ],
    'two senders' => [ 'mime.from-twice suspect', "${head}From: eve\@example.net\n\ntext\n",
        "${head}Resent-From: eve\@example.net\nSender: eve\@example.net\n\ntext\n" ],
    'nobody wrote it' => [ 'mime.header-missing notice', "Subject: a\nDate: Fri, 20 Nov 2026 16:00:00 +0000\n\ntext\n",
        "from: bob\@example.org\nDATE: Fri, 20 Nov 2026 16:00:00 +0000\nMessage-Id: <a\@b>\n\ntext\n" ],
    'two types' => [ 'mime.content-twice suspect', "${mime}Content-Type: text/plain\nContent-Type: text/html\n\ntext\n",
        "${mime}Content-Type: text/plain\nContent-Language: de\nContent-ID: <a>\n\ntext\n",
        # scripts that put a header together: the same part, read in either way
        "${mime}Content-Type: text/html; charset=utf-8\nContent-type: Text/HTML; charset=\"ISO-8859-1\"\n\ntext\n",
        "${mime}Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 8bit\n\ntext\n",
        "${mime}Content-Transfer-Encoding: quoted-printable\nContent-Transfer-Encoding: Quoted-Printable\n\ntext\n" ],
    'two types of a multipart' => [ 'mime.content-twice suspect+mime.readers notice',
        "${mime}Content-Type: multipart/mixed; boundary=a\nContent-Type: multipart/mixed; boundary=A\n\n--a\n\nx\n--a--\n" ],
    'two encodings' => [ 'mime.content-twice suspect', "${mime}Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: quoted-printable\n\ntext\n" ],
    'an encoding of its own' => [ 'mime.encoding notice', "${mime}Content-Transfer-Encoding: rot13\n\ntext\n",
        "${mime}Content-Transfer-Encoding: (a comment) 8BIT\n\ntext\n", "${mime}Content-Transfer-Encoding: x-uuencode\n\ntext\n" ],
    'a multipart without a boundary' => [ 'mime.boundary-missing suspect', "${mime}Content-Type: multipart/mixed\n\ntext\n",
        "${mime}Content-Type: text/plain; format=flowed\n\n--\nBob\n" ],
    'two boundaries' => [ 'mime.boundary-unclear suspect',
        "${mime}Content-Type: multipart/mixed; boundary=a; boundary=\"b\"\n\n--a\n\nx\n--a--\n",
        "${mime}Content-Type: multipart/mixed;\n charset=utf-8; (a (nested) comment) BOUNDARY = \"a \\b=_?c\" ; x=y\n\n--a b=_?c  \n\nx\n--a b=_?c-- \n" ],
    'an open quote' => [ 'mime.boundary-unclear suspect+mime.readers notice', "${mime}Content-Type: multipart/mixed; boundary=\"a\n\n--a\n\nx\n--a--\n",
        "${mime}Content-Type: multipart/mixed; boundary=----=_Part_1.2\n\n------=_Part_1.2\n\nx\n------=_Part_1.2--\n" ],
    'a boundary that does not occur' => [ 'mime.boundary-unused notice', multipart("only text\n-- \nBob\n"),
        multipart("a preamble\n--b\n\n-- \nBob\n--bb\n--b--\nan epilogue, as lists write it\n") ],
    'no end' => [ 'mime.open suspect', multipart("--b\n\ntext\n"),
        multipart("--b\n\ntext\n--b--"),
        # a bounce may carry a message that was cut
        multipart("--b\n\nfailed\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ncut\n--b--\n",
            'multipart/report') ],
    'no end of an inner one' => [ 'mime.inner-open notice',
        multipart("--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ntext\n--b--\n"),
        multipart("--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ntext\n--c--\n--b--\n"),
        # both have the same boundary
        multipart("--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b--\n--b--\n") ],
    'something after the end' => [ 'mime.after-end suspect', multipart("--b\n\ntext\n--b--\n--b\nContent-Type: text/plain\n\nmore\n"),
        multipart("--b\n\ntext\n--b--\n--b\nContent-Type: text/plain\n\nmore\n--b--\n"), # a bounce of OpenSMTPD, too
       
        multipart("--b\n\ntext\n--b--\n\n--b--\n"),                 # a bounce of OpenSMTPD
        multipart("--b\n\ntext\n--b--\n\n_______\nlist footer\nhttp://lists.example.org/\n") ],
    'base64 with a letter too many' => [ 'mime.base64-cut suspect', multipart(part('base64', "QUJDRA\nQUJD\nQUJ\n") . "--b--\n"),
        multipart(part('base64', "QUJDRA\n") . "--b--\n"),              # no padding
        multipart(part('base64', "QUI=\nQUJD\nQQ==\n") . "--b--\n"),    # two encoders, one after the other
        multipart(part('base64', " QUJD QUJD\t\n\n") . "--b--\n"),
        "${mime}Content-Transfer-Encoding: base64\n\n$base64\n_____\nlist footer, not encoded\n" ],
    'control characters in base64' => [ 'mime.base64-control suspect', multipart(part('base64', "QUJD\x{1}\x{2}QUJD\n") . "--b--\n"),
        multipart(part('base64', "QUJD\r\nQUJD\r\n") . "--b--\n") ],
    'zero bytes' => [ 'mime.nul notice', "$head\ntext\0more\n",
        "${mime}Content-Transfer-Encoding: binary\n\ntext\0more$zeros\n" ],
    'a block of zeros' => [ 'mime.zeros notice', "$head\ntext\n${zeros}more\n",
        "${mime}Content-Transfer-Encoding: binary\n\ntext\n${zeros}more\n" ],
    'a block of zeros in base64' => [ 'mime.base64-control suspect+mime.zeros-encoded suspect', multipart(part('base64', "QUJD\n${zeros}QUJD\n") . "--b--\n"),
        multipart(part('binary', "QUJD\n${zeros}QUJD\n") . "--b--\n") ],
    'a character set of its own' => [ 'mime.charset notice', "${mime}Content-Type: text/plain; charset=x-klingon\n\ntext\n",
        "${mime}Content-Type: text/plain; charset=\"Windows-1252\"\n\ntext\n",
        "${mime}Content-Type: application/x; charset=x-klingon\n\ntext\n" ],
    'an encoded multipart' => [ 'mime.encoded-parts notice',
        "${mime}Content-Transfer-Encoding: base64\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b--\n",
        "${mime}Content-Transfer-Encoding: 8bit\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b--\n" ],
    'quoted-printable that stops' => [ 'mime.open suspect+mime.quoted-cut suspect', multipart(part('quoted-printable', "caf=C3=A9 =")),
        multipart(part('quoted-printable', "caf=C3=A9 a = b, 1 =2 =\nx=\n") . "--b--\n") ],
    'a size that is not there' => [ 'mime.size notice', multipart(file('application/x', 60_000, $file) . "--b--\n"),
        multipart(file('application/x', 30_000, $file) . "--b--\n"),           # about: Exchange counts its properties
        multipart(file('application/x', length encode_base64($file x 4), $file x 4) . "--b--\n"), # of the base64 text
        multipart(file('application/x', 0, $file) . "--b--\n"),                # not known
        multipart(file('application/x', '4 Go', $file) . "--b--\n"),
        multipart(file('text/csv', 60_000, $file) . "--b--\n"),                # line ends and character sets
        multipart(file('message/rfc822', 60_000, $file) . "--b--\n"),
        multipart(file('application/x', 60_000, '') =~ s/base64/x-uuencode/r . "--b--\n"),
        multipart(file('application/x', 60_000, $file) . "____\nlist footer, not encoded\n--b--\n"),
        # a bounce may carry a message that was cut
        multipart("--b\n\nfailed\n--b\nContent-Type: message/rfc822\n\n" . file('application/x', 60_000, $file) =~ s/^--b\n//r . "--b--\n",
            'multipart/report') ],
    'a size too small' => [ 'mime.size notice', multipart(file('image/png', 15_000, $file) =~ s/size=/Size="/r =~ s/;\n/";\n/r . "--b--\n"),
        multipart(file('image/png', 17_800, $file) . "--b--\n"),
        multipart(file('image/png', 9, substr $file, 0, 1000) . "--b--\n") ],
    'text that is cut' => [ 'mime.base64-cut suspect+mime.cut corrupt+mime.open suspect',
        substr(multipart(part('base64', $base64)), 0, -47), multipart(part('base64', $base64) . "--b--\n") ],
);

subtest 'rules and oddities' => sub {
    my %text;
    for my $name (sort keys %rule) {
        my ($found, $bad, @odd) = @{ $rule{$name} };
        $text{"$name: bad"} = $bad;
        $text{"$name: odd $_"} = $odd[$_] for 0 .. $#odd;
    }
    my ($said, $deep, $r) = look('notice', %text);
    for my $name (sort keys %rule) {
        my ($found, $bad, @odd) = @{ $rule{$name} };
        is(join('+', @{ $said->{"$name: bad"} }), $found, "$name: found");
        # other notices may be right: an odd header ends oddly
        for my $odd (map { $said->{"$name: odd $_"} } 0 .. $#odd) {
            is_deeply([ grep { !/ notice$/ || $found =~ /\Q$_\E/ } @$odd ], [], "$name: legal and odd");
        }
    }
    ok(!(grep { !$_->{checked} } values %$deep), 'all were looked into');
    is($r->{summary}{corrupt}, 1, 'one is corrupt');
};

# --- A sector that is lost ----------------------------------------------------------------------

subtest 'lost sectors' => sub {
    my $root = new_queue();
    my $line = "Received: (qmail 1 invoked by uid 0); 20 Nov 2026 16:00:00 -0000\n";
    my $text = multipart(part('base64', $base64 x 20) . "--b--\n");
    my %id;
    for my $shift (0, 7) {
        my $cut = $text;
        substr($cut, 4096 + $shift - length $line, 4096) = "\0" x 4096;
        $id{$shift} = queue($root, $cut);
    }
    my $r = scan('--deep', '--all', "qmail:$root");
    my %severity = map { $_->{id} => $_->{severity} } grep { $_->{name} eq 'mime.zeros-encoded' } @{ $r->{findings} };
    is($severity{ $id{0} }, 'corrupt', 'whole sectors of an encoded part: corrupt');
    is($severity{ $id{7} }, 'suspect', 'zeros that are no sectors: suspect');
    my ($f) = grep { $_->{name} eq 'mime.zeros-encoded' && $_->{id} eq $id{0} } @{ $r->{findings} };
    is("$f->{part} $f->{offset} $f->{length}", "mess/0/$id{0} 4096 4096", 'the place is that in the file');
    is($f->{impact}, 'damaged-delivery', 'the server delivers it');
};

# --- Exhausting -------------------------------------------------------------------------------------

sub nested { my ($n) = @_; return $mime . join('', map { "Content-Type: multipart/mixed; boundary=x$_\n\n--x$_\n" } 1 .. $n)
    . "\ntext\n" . join('', map { "--x$_--\n" } reverse 1 .. $n) }
my $prefixes = $mime . join('', map { my $b = 'a' x (100 + $_); "Content-Type: multipart/mixed; boundary=$b\n\n--$b\n" } 1 .. 98)
    . "\n" . ('--' . 'a' x 199 . "\n") x 30000;

# name => [ what is said, text ]
my %attack = (
    '100,000 nested parts' => [ 'deep.budget-depth', nested(100_000) ],
    '100,000 nested messages' => [ 'deep.budget-depth', $head . "Content-Type: message/rfc822\n\n" x 100_000 ],
    '1 MiB of ; in a Content-Type' => [ 'deep.budget-parameters', "${head}Content-Type: text/plain" . ';' x (1 << 20) . "\n\nx\n" ],
    '80,000 addresses' => [ 'deep.budget-addresses', 'Cc: ' . join(",\n ", map { "a$_\@example.org" } 1 .. 80_000) . "\n$head\nx\n" ],
    'boundaries that begin alike' => [ 'mime.open', $prefixes ],
    'an endless name of a parameter' => [ 'deep.budget-parameters', "${head}Content-Type: text/plain; " . 'a' x (1 << 20) . "=x\n\nx\n" ],
    'a header line of 10 MiB' => [ 'deep.budget-field', "${head}X-A: " . 'x' x (10 << 20) . "\n\nx\n" ],
    '200,000 headers' => [ 'deep.budget-headers', $head . "X-A: b\n" x 200_000 . "\nx\n" ],
    '20,000 parts' => [ 'deep.budget-parts', multipart("--b\n\nx\n" x 20_000 . "--b--\n") ],
    'groups in groups' => [ 'deep.budget-groups', 'Cc: ' . 'a:' x 200_000 . "\n$head\nx\n" ],
    'a header without end' => [ 'deep.budget-header-bytes', $head . join('', map { "X-$_: " . 'x' x 900 . "\n" } 1 .. 1500) . "\nx\n" ],
    'a boundary of 2,000 letters' => [ 'deep.budget-boundary', "${mime}Content-Type: multipart/mixed; boundary=" . 'b' x 2000 . "\n\nx\n" ],
    # and what is allowed just so
    'nested as deep as may be' => [ '', nested(98) ],
    'messages as deep as may be' => [ '', $head . "Content-Type: message/rfc822\n\n" x 98 . "\nx\n" ],
    'as many parts as may be' => [ '', multipart("--b\n\nx\n" x 9_990 . "--b--\n") ],
    'as many addresses as may be' => [ '', 'Cc: ' . join(",\n ", map { "a$_\@example.org" } 1 .. 9_900) . "\n$head\nx\n" ],
    'groups as deep as may be' => [ '', 'Cc: ' . 'a:' x 490 . "\n$head\nx\n" ],
    'comments in comments' => [ '', "${head}Cc: " . '(' x 200_000 . "\nContent-Type: text/plain" . '(' x 30_000 . "\n\nx\n" ],
    'a sound one' => [ '', "$head\nsound\n" ],
);

subtest 'what was made to exhaust readers' => sub {
    my ($said, $deep, $r) = look('suspect', map { $_ => $attack{$_}[1] } keys %attack);
    for my $name (sort keys %attack) {
        is(join('+', map { s/ suspect$//r } @{ $said->{$name} }), $attack{$name}[0], $name);
        ok($deep->{$name}{checked}, '... and its worker lives');
    }
    ok(!$r->{hung}, 'the run ends');
    is(exit_bits($r), '0', 'nothing was left unchecked');
    ok(!left_over($r), 'no process is left');
};

# --- A library that goes wrong ------------------------------------------------------------------------

sub spoiled { my ($act) = @_; return { program => $hostile, env => { SPOOLCK_HOSTILE => "deep-$act" } } }

my $sound = new_queue();
my @sound = map { queue($sound, "$head\nmessage $_\n") } 1 .. 12;
my $hang = start(spoiled("hang:$sound[5]"), 'scan', '--format', 'json', '--deep', '--all', "qmail:$sound");

subtest 'one message takes its deep pass over' => sub {
    my $before = snapshot($sound, dirs => 1);
    for my $act (qw(abort exit garbage cut index want flood eat syscall)) {
        my $r = scan(spoiled("$act:$sound[5]"), '--deep', '--all', '-y', '--store', new_store(), "qmail:$sound");
        is_deeply(verdicts($r), { map { $_ => 'ok' } @sound }, "$act: all verdicts stand");
        is_deeply([ map { $_->{id} } grep { !$_->{deep}{checked} } @{ $r->{messages} } ], [ $sound[5] ], 'that one was not looked into');
        is($r->{summary}{deep_unchecked}, 1, 'and is counted');
        is(exit_bits($r), '8', 'the exit status says so');
        ok(!left_over($r), 'no process is left');
    }
    same_tree($before, snapshot($sound, dirs => 1), 'nothing was touched');
};

subtest 'a deep pass that lies' => sub {
    my $r = scan(spoiled('lie-always'), '--deep', '--all', "qmail:$sound");
    is_deeply(verdicts($r), { map { $_ => 'ok' } @sound }, 'it cannot speak for the structural check');
    is($r->{summary}{deep_unchecked}, scalar @sound, 'its answers are refused');
};

subtest 'people read it' => sub {
    my $r = spoolck(spoiled("abort:$sound[5]"), 'scan', '--deep', "qmail:$sound");
    like($r->{out}, qr/^NOT LOOKED INTO \(1\)\n$sound[5] .*\n  Its structure was checked, its text was not: the checking process died on it\.$/m, 'a section');
    like($r->{out}, qr/12 ok, 0 corrupt, 0 unchecked, 1 not looked into/, 'the sum');
    my $state = scratch() . '/state';
    my @told = map { spoolck(spoiled("abort:$sound[5]"), 'scan', '--deep', '--state', $state, "qmail:$sound")->{out} } 1 .. 3;
    is($told[0], '', 'for timers: silent at first');
    like($told[1], qr/^spoolck \S+: NEW unchecked \(deep\) qmail:$sound[5] .*: the checking process died on it; run:/, '... told when it repeats');
    is($told[2], '', '... once');
    my $nagios = spoolck(spoiled("abort:$sound[5]"), 'scan', '--deep', '--nagios', "qmail:$sound");
    is($nagios->{status}, 3, 'for monitoring: UNKNOWN');
    like($nagios->{out}, qr/; 1 not looked into/, '... and why');
};

subtest 'damage of the structure is found beside it' => sub {
    my $root = new_queue();
    my $good = queue($root, "$head\ntext\n");
    my $bad = queue($root, "$head\ntext\n");
    write_file("$root/todo/$bad", '');
    my $plain = scan('--all', "qmail:$root");
    my $r = scan(spoiled('abort'), '--deep', '--all', "qmail:$root");
    is_deeply(verdicts($r), verdicts($plain), 'the same verdicts as without --deep');
    is($plain->{summary}{corrupt}, 1, 'one is corrupt');
    my $of = sub { return (grep { $_->{id} eq $bad } @{ $_[0]{messages} })[0] };
    ok($of->($r)->{deep} && !$of->($r)->{deep}{checked}, 'what stands where it is damaged is not known');
    ok(!exists $of->(scan('--deep', '--all', "qmail:$root"))->{deep}, 'and nothing is said of its text');
};

my $deaths = $ENV{SPOOLCK_DEATHS} // 300;
subtest "$deaths deaths in one run" => sub {
    my $root = new_queue();
    queue($root, "$head\nmessage $_\n") for 1 .. $deaths;
    my $r = scan(spoiled('abort'), '--deep', '--all', "qmail:$root");
    is($r->{summary}{ok}, $deaths, 'the structure of each is known');
    is($r->{summary}{deep_unchecked}, $deaths, 'none was looked into');
    ok(!left_over($r), 'no process is left');
    note(sprintf '%d deaths, %.1f s', $deaths, $r->{seconds});
};

# Sanitizers make it so slow that the short deadline of this build comes first; so may a busy machine, once.
subtest 'the processor time of one message' => sub {
    my $root = new_queue();
    my $small = queue($root, "$head\ntext\n");
    my $large = queue($root, multipart(part('base64', "$base64\n" x 33_000) . "--b--\n"));
    my $r;
    for (1 .. 5) {
        $r = scan({ program => $hostile }, '--deep', '--all', "qmail:$root"); # this build allows 20 ms
        last unless $r->{summary}{deep_unchecked};
    }
    is(join(' ', map { $_->{name} } grep { $_->{id} eq $large } @{ $r->{findings} }), 'deep.budget-cpu', 'too much is suspect');
    is_deeply(verdicts($r), { $small => 'ok', $large => 'suspect' }, 'of that message only');
    my ($m) = grep { $_->{id} eq $large } @{ $r->{messages} };
    is($m->{deep}{to_count}, undef, 'GMime was not asked any more');
    is(exit_bits($r), '0', 'nothing is unchecked');
} unless sanitized();

subtest 'a deep pass that hangs' => sub {
    my $r = parsed(finish($hang));
    is_deeply(verdicts($r), { map { $_ => 'ok' } @sound }, 'all verdicts stand');
    is($r->{summary}{deep_unchecked}, 1, 'one was not looked into');
};

# --- Words and character sets ----------------------------------------------------------------------------

subtest 'what the header says' => sub {
    my %from = ('utf-8' => "\xc3\xa4", 'ISO-8859-1' => "\xe4", 'windows-1252' => "\xe4", 'koi8-r' => "\xd1", 'GB18030' => "\xc4\xe3",
        'iso-2022-jp' => "\e\$B\$\"\e(B", 'Shift_JIS' => "\x82\xa0", 'euc-kr' => "\xb0\xa1", 'Big5' => "\xa4\x40", 'ks_c_5601-1987' => "\xb0\xa1");
    my %is = ('utf-8' => "\x{e4}", 'ISO-8859-1' => "\x{e4}", 'windows-1252' => "\x{e4}", 'koi8-r' => "\x{44f}", 'GB18030' => "\x{4f60}",
        'iso-2022-jp' => "\x{3042}", 'Shift_JIS' => "\x{3042}", 'euc-kr' => "\x{ac00}", 'Big5' => "\x{4e00}", 'ks_c_5601-1987' => "\x{ac00}");
    my %text = map { my $s = $_; $s => $head =~ s/Subject: hello/"Subject: =?$s?B?" . encode_base64($from{$s}, '') . '?='/er . "\ntext\n" } keys %from;
    $text{unknown} = $head =~ s/Subject: hello/Subject: =?IBM1047?Q?=C8=85=93=93=96?=/r . "\ntext\n";
    $text{controls} = $head =~ s/Subject: hello/Subject: =?utf-8?Q?a=1B[31m=E2=80=AEb?=\n  c/r . "\ntext\n";
    $text{raw} = $head =~ s/hello/\xe4\xf6/r . "\ntext\n";
    my ($said, $deep) = look('notice', %text);
    is($deep->{$_}{subject}, $is{$_}, $_) for sort keys %from;
    is($deep->{unknown}{subject}, '=?IBM1047?Q?=C8=85=93=93=96?=', 'a character set that no converter is open for: as it stands there');
    is_deeply($said->{unknown}, ['mime.charset notice'], '... which is said');
    is($deep->{controls}{subject}, 'a[31mb c', 'controls and turning of the direction are left out, a fold is a blank');
    is($deep->{raw}{subject}, "\x{e4}\x{f6}", 'bytes that are not encoded');
    is_deeply([ @{ $deep->{'utf-8'} }{qw(from message_id to_count date)} ],
        [ 'Bob <bob@example.org>', '1@example.org', 1, '2026-11-20T16:00:00Z' ], 'sender, id, recipients, date');
};

subtest 'parts' => sub {
    my $text = multipart("--b\nContent-Type: text/plain\n\nhello\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\ninner\n"
        . part('base64', "QUJDR\n") . "--b--\n");
    my ($said, $deep, $r, $id) = look('suspect', cut => $text);
    is_deeply([ map { "$_->{depth} " . ($_->{type} // '-') . " $_->{size}" . ($_->{damaged} ? ' damaged' : '') } @{ $deep->{cut}{parts} } ],
        [ '0 multipart/mixed ' . (length($text) - index($text, "\n\n") - 2), '1 text/plain 5', '1 message/rfc822 17', '2 - 5', '1 application/x 5 damaged' ], 'the tree');
    my ($root) = $r->{out} =~ /"path":"([^"]+)"/;
    my $x = spoolck('explain', '--deep', "qmail:$root:$id->{cut}");
    $x = spoolck('explain', '--deep', "$root/mess/0/$id->{cut}") if $x->{status} != 0;
    like($x->{out}, qr/^  Subject: hello$/m, 'explain: subject');
    like($x->{out}, qr/^    application\/x, 5 bytes  <-- damaged$/m, 'explain: the damaged part');
    like($x->{out}, qr/\^\^\^ suspect .*mime\.base64-cut/, 'explain: the finding under its line');
};

# Every server lays the text out in its own way: in a file, behind a header elsewhere, in records with line ends that are not there.
subtest 'the end of a text, and a line in it' => sub {
    my $long = 'References: ' . '<a@b> ' x 200;
    for my $format (formats()) {
        my $root = scratch() . '/queue';
        fill($format, $root, [ multipart("--b\n\nthe last line\n"), "${mime}$long\n\ntext\n" ]);
        my $r = scan('--deep', '--all', "$format:$root");
        my %place = map { $_->{name} => $_ } @{ $r->{findings} };
        my ($open, $line) = @place{qw(mime.open mime.header-long)};
        my $bytes = read_file("$root/$open->{part}");
        is($open->{offset}, $format eq 'postfix' ? index($bytes, 'the last line') + 13 : length $bytes, "$format: behind the last line");
        is(substr(read_file("$root/$line->{part}"), $line->{offset}, $line->{length}), $long, "$format: all of a line, no more");
    }
};

subtest 'what the manifest keeps' => sub {
    my $root = new_queue();
    my $id = queue($root, substr multipart(part('base64', $base64)), 0, -47);
    my $store = new_store();
    my $r = scan('--deep', '-y', '--max-move', 'none', '--store', $store, "qmail:$root");
    my ($m) = @{ $r->{messages} };
    is($m->{action}, 'moved', 'a text that is provably cut is moved') or return diag($r->{out});
    my $show = spoolck('quarantine', '--store', $store, 'show', $m->{entry});
    like($show->{out}, qr/^  subject  hello$/m, 'show: subject');
    like($show->{out}, qr/^  to       1 address$/m, 'show: how many it is addressed to');
    like($show->{out}, qr/<-- damaged/, 'show: the damaged part');
};

# --- Sound mail of every server ----------------------------------------------------------------------------

subtest 'sound fixtures' => sub {
    my $n = 0;
    for my $case (map { dirname($_) } sort glob "$FindBin::Bin/../fixtures/*/healthy-*/name") {
        my ($format) = $case =~ m{/([^/]+)/[^/]+$};
        my $root = scratch() . '/spool';
        eval { lay_out($case, $root); 1 } or next;
        my $r = scan('--deep', '--all', "$format:$root");
        my @loud = map { "$_->{name}" } grep { $_->{name} =~ /^(?:mime|deep)\./ && $_->{severity} ne 'notice' } @{ $r->{findings} };
        is("@loud", '', "$format " . basename($case));
        $n += grep { $_->{deep} && $_->{deep}{checked} } @{ $r->{messages} };
    }
    cmp_ok($n, '>', 80, "$n messages were looked into");
};

subtest 'without GMime' => sub {
    my $dir = scratch();
    write_file("$dir/libgmime-3.0.so.0", "no library\n");
    my $r = spoolck({ env => { LD_LIBRARY_PATH => $dir } }, 'scan', '--deep', "qmail:$sound");
    is(exit_bits($r), '8', 'is refused');
    like($r->{err}, qr/--deep: loading libgmime-3\.0\.so\.0: .*install it/, 'with a sentence');
    is(exit_bits(spoolck({ env => { LD_LIBRARY_PATH => $dir } }, 'scan', "qmail:$sound")), '0', 'without --deep nobody misses it');
};

done_testing();
