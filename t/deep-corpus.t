#!/usr/bin/perl
# What scan --deep says of mail in the shapes of many programs: nothing above a notice where nothing is damaged;
# and how much it finds of what is cut off, zeroed or overwritten while the queue's own structure stays right.
#
# The mail is Spoolck::Mail's, the queues are Spoolck::Queue's. SPOOLCK_CORPUS=N takes N sound messages (one for
# each shape and server, five for qmail); SPOOLCK_CUTS=N takes N messages of each kind of damage.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 ();
use Spoolck;
use Spoolck::Mail qw(make shapes broken_shapes);
use Spoolck::Queue qw(fill formats);
use Test::More;

my @shapes = shapes();
cmp_ok(scalar @shapes, '>=', 100, scalar(@shapes) . ' shapes of mail');

# scan --deep of a new queue with these texts: { text number => [findings] }, and what else there is.
sub deep_scan {
    my ($format, @texts) = @_;
    my $root = scratch() . '/queue';
    my $number_of = fill($format, $root, \@texts);
    my $scan = scan('-n', '--deep', '--all', "$format:$root");
    my %by;
    for my $f (@{ $scan->{findings} }) {
        next if !defined $f->{id};
        my $n = $number_of->{ $f->{id} };
        push @{ $by{ $n // 'elsewhere' } }, $f;
    }
    return (\%by, $scan);
}

sub worse { return grep { $_->{severity} ne 'notice' } @_ }

# --- Nothing is damaged -----------------------------------------------------------------

for my $format (formats()) {
    subtest "$format: sound mail" => sub {
        my $count = $ENV{SPOOLCK_CORPUS} // @shapes * ($format eq 'qmail' ? 5 : 1);
        my @mail = map { make(1, $_) } 0 .. $count - 1;
        my ($by, $scan) = deep_scan($format, map { $_->{text} } @mail);
        my %alarms;
        for my $n (keys %$by) {
            my $shape = $n eq 'elsewhere' ? $n : $mail[$n]{shape};
            push @{ $alarms{"$_->{name} $_->{severity}: $shape"} }, $n for worse(@{ $by->{$n} });
        }
        is(scalar(keys %alarms), 0, "$count messages: no alarm")
            or diag(map { "  $_ (message @{ $alarms{$_} }[0]" . (@{ $alarms{$_} } > 1 ? ' and ' . $#{ $alarms{$_} } . ' others' : '') . ")\n" } sort keys %alarms);
        cmp_ok($scan->{summary}{messages}, '>=', $count, 'all of them were scanned');
        is($scan->{summary}{unchecked}, 0, 'none is unchecked') or diag($scan->{err});
        is($scan->{summary}{corrupt}, 0, 'and none corrupt');
    };
}

# What cannot be told from damage may be a suspect, but nothing that moves.
subtest 'mail that its senders break' => sub {
    my @mail = map { make(2, $_, broken => 1) } 0 .. 5 * broken_shapes() - 1;
    my ($by, $scan) = deep_scan('qmail', map { $_->{text} } @mail);
    my %said;
    for my $n (0 .. $#mail) { $said{ $mail[$n]{shape} }{"$_->{name} $_->{severity}"}++ for @{ $by->{$n} // [] } }
    is($scan->{summary}{corrupt}, 0, 'nothing of it is called corrupt');
    is($scan->{summary}{unchecked}, 0, 'and all of it is checked');
    note(map { "  $_: " . (join(', ', sort keys %{ $said{$_} // {} }) || 'nothing') . "\n" } broken_shapes());
};

# --- Damage -------------------------------------------------------------------------------

my @divided = qw(mutt-signed outlook thunderbird-mixed gmail-files exchange invite forward digest);
my @whole = qw(mutt flowed latin1-bare long-html cron base64-line smime-opaque gb18030);
my $each = $ENV{SPOOLCK_CUTS} // 2;

# How many of the damaged texts got a finding above notice, by kind of shape; prints and returns it.
sub found {
    my ($format, $what, @cases) = @_; # [kind, text]
    my ($by) = deep_scan($format, map { $_->[1] } @cases);
    my (%all, %found, %names);
    for my $n (0 .. $#cases) {
        my $kind = $cases[$n][0];
        my @worse = worse(@{ $by->{$n} // [] });
        $all{$kind}++;
        $found{$kind} += @worse ? 1 : 0;
        $names{$kind}{ $_->{name} }++ for @worse;
    }
    for my $kind (sort keys %all) {
        my %of = %{ $names{$kind} // {} };
        diag(sprintf '%s, %s: %d of %d found (%s)', $what, $kind, $found{$kind}, $all{$kind}, join ', ', map { "$_ $of{$_}" } sort { $of{$b} <=> $of{$a} } keys %of);
    }
    return map { $_ => $found{$_} / $all{$_} } keys %all;
}

subtest 'cut off at every 1/64' => sub {
    my @cases;
    for my $kind (qw(divided whole)) {
        for my $shape ($kind eq 'divided' ? @divided : @whole) {
            for my $k (1 .. $each) {
                my $text = make(3, $k, shape => $shape)->{text};
                push @cases, map { [ $kind, substr $text, 0, int length($text) * $_ / 64 ] } 1 .. 63;
            }
        }
    }
    my %rate = found('qmail', 'cut', @cases);
    cmp_ok($rate{divided}, '>=', .8, 'most are found where a text has parts');
};

# A block of 4,096 bytes of the file is something else; the file is a text with a line before it.
sub overwrite {
    my ($text, $at, $bytes) = @_;
    substr $text, $at, length $bytes, $bytes;
    return $text;
}

sub long_text { my ($k) = @_; my $t = make(4, $k, shape => 'thunderbird-mixed')->{text}; $t = make(4, $k += 1000, shape => 'large')->{text} while length $t < 20_000; return $t }

my $foreign = {
    'gzip compressed data' => "\x1f\x8b\x08\0\0\0\0\0\0\3" . join('', map { chr(($_ * 7919 + $_ * $_ % 251) % 256) } 1 .. 4086),
    'part of an ext4 directory' => pack('VvCCa4VvCCa4', 2, 12, 1, 2, '.', 2, 12, 2, 2, '..') . pack('VvCCa12', 11, 4072, 10, 2, 'lost+found') . "\0" x 4052,
    'ELF 64-bit LSB core file' => "\x7fELF\2\1\1" . "\0" x 9 . pack('vvV', 4, 62, 1) . "\0" x 3000 . "\1\2\3" x 357 . "\0",
    'the beginning of another message' => "Return-Path: <x\@example.org>\nReceived: from a\n\tby b; Fri, 20 Nov 2026 10:00:00 +0000\nFrom: x\@example.org\nSubject: other\n\n" . "other text\n" x 360,
};
$_ = substr $_ . "\2" x 4096, 0, 4096 for values %$foreign;

subtest 'blocks that are something else' => sub {
    my (@cases, @expected);
    for my $name (sort keys %$foreign) {
        push(@cases, [ $name, long_text($_) ]), push @expected, $name for 1 .. $each;
    }
    my $root = scratch() . '/queue';
    my $where = fill('opensmtpd', $root, [ map { $_->[1] } @cases ]);
    for my $id (sort keys %$where) {
        my $path = "$root/queue/" . substr($id, 0, 2) . "/$id/message";
        my $mtime = (stat $path)[9];
        write_file($path, overwrite(read_file($path), 8192, $foreign->{ $expected[ $where->{$id} ] }));
        utime $mtime, $mtime, $path;
    }
    my $scan = scan('-n', '--deep', '--all', "opensmtpd:$root");
    for my $id (sort keys %$where) {
        my @mine = grep { ($_->{id} // '') eq $id && ($_->{found} // '') eq $expected[ $where->{$id} ] } @{ $scan->{findings} };
        is_deeply([ map { "$_->{part} $_->{offset}" } @mine ], [ 'queue/' . substr($id, 0, 2) . "/$id/message 8192" ], "$expected[ $where->{$id} ]: named, at its offset")
            or diag(explain([ grep { ($_->{id} // '') eq $id } @{ $scan->{findings} } ]));
    }
};

# Here the structure is damaged, too: no text is looked into, but the place of the damage is.
subtest 'what stands where a file is corrupt' => sub {
    my @names = grep { !/message/ } sort keys %$foreign;
    my $root = scratch() . '/queue';
    my $where = fill('postfix', $root, [ map { long_text($_) } 1 .. @names ]);
    for my $id (keys %$where) {
        my $path = "$root/" . path_of($root, 'deferred', $id);
        my $bytes = overwrite(read_file($path), 8192, $foreign->{ $names[ $where->{$id} ] });
        write_file($path, $bytes);
        utime time - 3600, time - 3600, $path;
    }
    my $scan = scan('-n', '--deep', '--all', "postfix:$root");
    for my $id (sort keys %$where) {
        my @mine = grep { ($_->{id} // '') eq $id } @{ $scan->{findings} };
        is(scalar(grep { $_->{severity} eq 'corrupt' } @mine) > 0, 1, "$names[ $where->{$id} ]: the file is corrupt");
        is_deeply([ map { "$_->{severity} $_->{offset} $_->{found}" } grep { $_->{name} eq 'deep.contents' } @mine ], [ "notice 8192 $names[ $where->{$id} ]" ], 'and it is said what is there')
            or diag(explain(\@mine));
    }
    my ($corrupt) = grep { $_->{verdict} eq 'corrupt' } @{ $scan->{messages} };
    ok(!$corrupt->{deep}, 'nothing is said of its text');
    my $strict = scan({ program => hostile_program() }, '-n', '--deep', '--all', "postfix:$root");
    my $said = sub { return [ sort map { "$_->{id} $_->{name} " . ($_->{found} // '') } @{ $_[0]{findings} } ] };
    is_deeply($said->($strict), $said->($scan), 'the same where any other call of the system kills: libmagic needs none');
    my $explain = spoolck('explain', '--deep', "postfix:$root:$corrupt->{id}");
    like($explain->{out}, qr/\[deep\.contents\]/, 'explain says it, too') or diag(@$explain{qw(out err)});
};

subtest 'types that cannot be true' => sub {
    my $elf = "\x7fELF\2\1\1" . "\0" x 9 . pack('vvV', 3, 62, 1) . "\1\2\3" x 700;
    my $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0" . "\1\2\3" x 100;
    my $message = sub { my ($type, $bytes) = @_; return "From: a\@example.org\nDate: Fri, 20 Nov 2026 10:00:00 +0000\nMessage-ID: <1\@x>\nMIME-Version: 1.0\n"
        . "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: $type; name=x\nContent-Transfer-Encoding: base64\n\n" . MIME::Base64::encode_base64($bytes) . "--b--\n" };
    my @rows = (
        [ 'image/png', $elf, 'image/png ELF 64-bit LSB shared object' ], [ 'Application/PDF', $png, 'Application/PDF PNG image data' ],
        [ 'image/jpeg', $png ], [ 'image/png', $png ], [ 'application/octet-stream', $elf ], [ 'image/png', "text instead\n" x 99 ], [ 'image/png', '' ],
    );
    my ($by, $scan) = deep_scan('exim', map { $message->(@$_[0, 1]) } @rows);
    for my $n (0 .. $#rows) {
        my @said = map { "$_->{severity} $_->{expected} $_->{found}" } grep { $_->{name} eq 'mime.type-mismatch' } @{ $by->{$n} // [] };
        is_deeply(\@said, [ map { "notice $_" } grep { defined } $rows[$n][2] ], "$rows[$n][0]: " . ($rows[$n][2] // 'nothing'));
    }
};

# Sectors of 512 bytes and blocks of 4,096 that were lost: in the file, where a disk has them.
subtest 'blocks of zeros' => sub {
    for my $size (512, 4096) {
        my $root = scratch() . '/queue';
        my $where = fill('opensmtpd', $root, [ map { long_text($_) } 1 .. 8 * $each ]);
        my (%all, %found, %names);
        for my $id (sort keys %$where) {
            my $path = "$root/queue/" . substr($id, 0, 2) . "/$id/message";
            my $bytes = read_file($path);
            my $at = $where->{$id} % 2 ? 0 : $size * (1 + $where->{$id} % (int(length($bytes) / $size) - 2));
            write_file($path, overwrite($bytes, $at, "\0" x $size));
            utime time - 3600, time - 3600, $path;
        }
        my $scan = scan('-n', '--deep', '--all', "opensmtpd:$root");
        for my $id (sort keys %$where) {
            my $kind = $where->{$id} % 2 ? 'header' : 'body';
            my @worse = worse(grep { ($_->{id} // '') eq $id } @{ $scan->{findings} });
            $all{$kind}++;
            $found{$kind} += @worse ? 1 : 0;
            $names{$kind}{ $_->{name} }++ for @worse;
        }
        for my $kind (sort keys %all) {
            diag("$size zero bytes, $kind: $found{$kind} of $all{$kind} found (", join(', ', map { "$_ $names{$kind}{$_}" } sort keys %{ $names{$kind} // {} }), ')');
            is($found{$kind}, $all{$kind}, "$size bytes in the $kind are found");
        }
    }
};

done_testing();
