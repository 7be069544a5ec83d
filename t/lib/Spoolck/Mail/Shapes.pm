package Spoolck::Mail::Shapes;

# The shapes: one sub for each program or habit. See Spoolck::Mail.

use strict;
use warnings;

# Everything of Spoolck::Mail, which loads this file after it has defined it.
BEGIN {
    no strict 'refs';
    *{$_} = \&{"Spoolck::Mail::$_"} for qw(n pick words line text hex_of letters mailbox address date subject id received head usual b64 qp noise
        file entity attached plain qp_plain html multi message_of nested);
}

sub simple { my ($fields, $body, %o) = @_; return entity([ usual(), @$fields ], $body // text()) }
sub mime   { return ('MIME-Version' => '1.0', @_) }
sub b16    { return '_' . hex_of(8) . '-' . hex_of(12) }

my $latin = "Sch\xf6ne Gr\xfc\xdfe, 5 \xa4\n";
my $gb = "\xc4\xfa\xba\xc3\xa3\xac\xd5\xe2\xca\xc7\xd2\xbb\xb7\xe2\xd3\xca\xbc\xfe \x81\x30\x81\x31\n";
my $jis = "\e\$B\$3\$s\$K\$A\$O\e(B plain\n";
my $utf8 = "Gr\xc3\xbc\xc3\x9fe \xe2\x80\x93 \xf0\x9f\x8e\x89\n";
my $koi8 = "\xf0\xd2\xc9\xd7\xc5\xd4\n";

sub outlook { my ($type, @parts) = @_; my $b = '----=_NextPart_000_' . uc(hex_of(4)) . '_01D' . uc(hex_of(5)) . '.' . uc hex_of(8);
    return message_of($type, $b, \@parts, before => "This is a multipart message in MIME format.\n\n", head => [ 'X-Mailer' => 'Microsoft Outlook 16.0', 'Thread-Index' => letters(30), 'Content-Language' => 'de' ]) }
sub outlook_inner { my $b = '----=_NextPart_001_' . uc(hex_of(4)) . '_01D' . uc hex_of(5); return "Content-Type: multipart/alternative;\n\tboundary=\"$b\"\n\n\n" . multi($b, [ qp_plain(), html() ]) }
sub tnef { return attached('application/ms-tnef', 'winmail.dat', "\x78\x9f\x3e\x22" . noise()) }

sub apple { my ($type, @parts) = @_; return message_of($type, 'Apple-Mail=_' . uc(join '-', map { hex_of($_) } 8, 4, 4, 4, 12), \@parts, head => [ 'X-Mailer' => 'Apple Mail (2.3774)' ]) }
sub gmail { my ($type, @parts) = @_; return message_of($type, '000000000000' . hex_of(16), \@parts, head => [ 'X-Gm-Message-State' => letters(70), 'References' => join("\n ", map { id() } 1 .. n(1, 30)) ]) }

sub dsn_status { return entity([ 'Content-Description' => pick('Delivery report', undef), 'Content-Type' => 'message/delivery-status' ],
    "Reporting-MTA: dns; mail.example.org\nArrival-Date: " . date() . "\n\n" . join "\n", map { 'Final-Recipient: rfc822; ' . address() . "\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\n" } 1 .. n(1, 3)) }
sub dsn { my ($original) = @_; my $b = letters(9) . '.1795161600/mail.example.org';
    return message_of('multipart/report; report-type=delivery-status', $b, [ entity([ 'Content-Description' => 'Notification', 'Content-Type' => 'text/plain; charset=us-ascii' ], text()), dsn_status(), $original ],
        before => "This is a MIME-encapsulated message.\n\n", head => [ 'Auto-Submitted' => 'auto-replied' ]) }

sub any { my %t = %{ table() }; delete @t{qw(forward-deep forward digest bounce-cut bounce-postfix rewrapped attached-eml bare-empty empty-body pec)}; my @k = sort keys %t; return $t{ pick(@k) }->() }
sub embedded { return entity([ 'Content-Type' => 'message/rfc822', 'Content-Disposition' => pick('inline', 'attachment; filename="mail.eml"', undef) ], any()) }
sub deep { my ($left) = @_; return any() if $left == 0; my $b = b16(); return message_of('multipart/mixed', $b, [ plain("> forwarded\n"), entity([ 'Content-Type' => 'message/rfc822' ], deep($left - 1)) ]) }

sub uu { my $out = "begin 644 file.bin\n"; my $bytes = noise(); while (length(my $l = substr $bytes, 0, 45, '')) { $out .= pack 'u', $l } return "$out`\nend\n" }
sub yenc { my $bytes = noise(n(200, 4000)); my $all = join '', map { my $c = (ord() + 42) % 256; $c =~ /^(?:0|9|10|13|61)$/ ? '=' . chr(($c + 64) % 256) : chr $c } split //, $bytes;
    return '=ybegin line=128 size=' . length($bytes) . " name=x.bin\n" . join('', map { "$_\n" } $all =~ /(?:=?[^=]|=.){1,128}/gs) . '=yend size=' . length($bytes) . "\n" }

sub pgp { my ($what) = @_; return "-----BEGIN PGP $what-----\nVersion: GnuPG v2\n\n" . b64(noise(300), 64) . '=' . letters(4) . "\n-----END PGP $what-----\n" }
sub ics { my ($m) = @_; return "BEGIN:VCALENDAR\nMETHOD:$m\nPRODID:-//Microsoft Corporation//Outlook 16.0//EN\nBEGIN:VEVENT\nUID:" . hex_of(60) . "\nSUMMARY:" . line() . "\nEND:VEVENT\nEND:VCALENDAR\n" }
sub invite { return entity([ 'Content-Type' => 'text/calendar; charset="utf-8"; method=REQUEST', 'Content-Transfer-Encoding' => 'base64' ], b64(ics('REQUEST'))) }

my %table = (
    'mutt' => sub { simple([ mime('Content-Type' => 'text/plain; charset=' . pick('us-ascii', 'utf-8'), 'Content-Disposition' => 'inline', 'User-Agent' => 'Mutt/2.2.9 (2022-11-12)') ]) },
    'mutt-latin1' => sub { simple([ mime('Content-Type' => 'text/plain; charset=iso-8859-1', 'Content-Disposition' => 'inline', 'Content-Transfer-Encoding' => '8bit') ], text() . $latin) },
    'mutt-signed' => sub { message_of('multipart/signed', letters(16), [ plain(), entity([ 'Content-Type' => 'application/pgp-signature; name="signature.asc"' ], pgp('SIGNATURE')) ], more => "; micalg=pgp-sha512;\n\tprotocol=\"application/pgp-signature\"") },
    'pgp-encrypted' => sub { message_of('multipart/encrypted', letters(16), [ entity([ 'Content-Type' => 'application/pgp-encrypted' ], "Version: 1\n"), entity([ 'Content-Type' => 'application/octet-stream' ], pgp('MESSAGE')) ], more => '; protocol="application/pgp-encrypted"') },
    'pgp-inline' => sub { simple([], "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" . text() . pgp('SIGNATURE')) },
    'smime-signed' => sub { message_of('multipart/signed', '----' . uc hex_of(32), [ plain(), attached('application/pkcs7-signature', 'smime.p7s', "0\x82\x0a\x00" . noise()) ], before => "This is an S/MIME signed message\n\n", more => '; protocol="application/pkcs7-signature"; micalg=sha-256') },
    'smime-opaque' => sub { simple([ mime('Content-Type' => 'application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"', 'Content-Transfer-Encoding' => 'base64', 'Content-Disposition' => 'attachment; filename="smime.p7m"') ], b64("0\x80" . noise(2000), 64)) },
    'thunderbird' => sub { message_of('multipart/alternative', '------------' . letters(24), [ plain(), html() ], before => "This is a multi-part message in MIME format.\n") },
    'thunderbird-mixed' => sub { message_of('multipart/mixed', '------------' . letters(24), [ nested('multipart/related', '------------' . letters(24), html(), attached()), map { attached() } 1 .. n(1, 4) ], before => "This is a multi-part message in MIME format.\n") },
    'flowed' => sub { simple([ mime('Content-Type' => 'text/plain; charset=UTF-8; format=flowed; delsp=yes', 'Content-Transfer-Encoding' => '8bit') ], join('', map { words(10) . " \n" } 1 .. 20) . $utf8 . "-- \nBob\n") },
    'outlook' => sub { outlook('multipart/alternative', qp_plain(), html()) },
    'outlook-related' => sub { outlook('multipart/related', outlook_inner(), attached('image/png', 'image001.png', "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . noise())) },
    'outlook-tnef' => sub { outlook('multipart/mixed', plain(), tnef()) },
    # Exchange writes text as base64 without a line end behind it, and no text before the first part.
    'exchange' => sub { my $b = '_000_' . uc(hex_of(32)) . 'MBX01exampl_'; message_of('multipart/alternative', $b, [ map { entity([ 'Content-Type' => "text/$_; charset=\"utf-8\"", 'Content-Transfer-Encoding' => 'base64' ], b64(text() . $utf8)) } qw(plain html) ],
        head => [ 'ARC-Seal' => 'i=1; a=rsa-sha256; s=arcselector; d=microsoft.com; cv=none; b=' . letters(340), 'x-ms-exchange-antispam-messagedata-0' => letters(900), 'X-OriginatorOrg' => 'example.org', 'Accept-Language' => 'en-US', 'msip_labels' => '' ]) },
    'apple' => sub { apple('multipart/alternative', qp_plain(), nested('multipart/mixed', 'Apple-Mail=_' . uc hex_of(32), html(), attached(), html())) },
    'apple-comment' => sub { simple([ 'Mime-Version' => '1.0 (Mac OS X Mail 16.0 \(3774.600.62\))', 'Content-Type' => "text/plain;\n\tcharset=us-ascii", 'Content-Transfer-Encoding' => '7bit' ]) },
    'appledouble' => sub { apple('multipart/mixed', plain(), nested('multipart/appledouble', 'Apple-Mail-' . hex_of(8), attached('application/applefile', 'x.jpg', "\0\5\x16\7\0\2\0\0" . "\0" x 64 . noise(90)), attached('image/jpeg', 'x.jpg', "\xff\xd8\xff\xe0\0\x10JFIF" . noise()))) },
    'gmail' => sub { gmail('multipart/alternative', plain(), html()) },
    'gmail-files' => sub { gmail('multipart/mixed', nested('multipart/alternative', '000000000000' . hex_of(16), plain(), html()), map { attached() } 1 .. n(1, 6)) },
    'iphone' => sub { simple([ 'Content-Type' => "text/plain; charset=utf-8", 'Content-Transfer-Encoding' => 'quoted-printable', 'Mime-Version' => '1.0 (1.0)', 'X-Mailer' => 'iPhone Mail (21F90)' ], qp("\n\nVon meinem iPhone gesendet $utf8")) },
    'notes' => sub { message_of('multipart/mixed', '=_mixed 004A' . uc(hex_of(4)) . 'C125' . uc(hex_of(4)) . '_=', [ nested('multipart/alternative', '=_alternative 004A' . uc(hex_of(4)) . '_=', plain(), html()), attached() ], before => "This is a multipart message in MIME format.\n", head => [ 'X-MIMETrack' => "Serialize by Router on N1/X(Release 9) at\n 11/20/2026 10:00:00" ]) },
    'digest' => sub { my $b = '===============' . n(1e9, 2e9) . n(1e8, 9e8) . '=='; my $d = '===============' . n(1e9, 2e9) . '==';
        message_of('multipart/mixed', $b, [ plain("Today's Topics:\n\n   1. x\n"), nested('multipart/digest', $d, map { "\n" . any() } 1 .. n(1, 6)), entity([ 'Content-Type' => 'text/plain; charset="us-ascii"', 'Content-Disposition' => 'inline' ], "_____\nlist mailing list\n") ], head => [ 'Precedence' => 'list', 'List-Id' => '<list.example.org>' ]) },
    # Mailman appends its footer behind whatever the text was encoded as, or as a part of its own.
    'list-footer' => sub { simple([ mime('Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => 'quoted-printable', 'List-Post' => '<mailto:l@example.org>') ], qp(text() . $utf8) . "_______________________________________________\nlist\nhttps://lists.example.org/listinfo?id=42&x=y\n") },
    'list-base64' => sub { simple([ mime('Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => 'base64') ], b64(text() . $utf8) . "\n") },
    'bounce-postfix' => sub { dsn(entity([ 'Content-Description' => 'Undelivered Message', 'Content-Type' => 'message/rfc822' ], any())) },
    'bounce-headers' => sub { dsn(entity([ 'Content-Type' => 'text/rfc822-headers' ], head(usual()) . "Content-Type: multipart/mixed; boundary=\"gone\"\n")) },
    # Exim (bounce_return_size_limit) and others return the head of a large message: its multiparts do not end.
    'bounce-cut' => sub { my $m = any(); dsn(entity([ 'Content-Type' => 'message/rfc822' ], substr($m, 0, int length($m) * (.2 + rand .7)) . "\n")) },
    'bounce-exim' => sub { simple([ 'X-Failed-Recipients' => address(), 'Auto-Submitted' => 'auto-replied' ], "This message was created automatically by mail delivery software.\n\n------ This is a copy of the message, including all the headers. ------\n\n" . head(usual()) . "Content-Type: multipart/mixed; boundary=\"q\"\n\n--q\n\nhello\n") },
    'bounce-qmail' => sub { simple([], "Hi. This is the qmail-send program at example.org.\n\n<" . address() . ">:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <a\@example.org>\n" . head(usual()) . "\n" . text()) },
    'mdn' => sub { message_of('multipart/report; report-type=disposition-notification', b16(), [ plain(), entity([ 'Content-Type' => 'message/disposition-notification' ], "Final-Recipient: rfc822;a\@example.org\nDisposition: manual-action/MDN-sent-manually; displayed\n") ]) },
    'arf' => sub { message_of('multipart/report; report-type=feedback-report', b16(), [ plain(), entity([ 'Content-Type' => 'message/feedback-report' ], "Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n"), embedded() ]) },
    'invite' => sub { message_of('multipart/mixed', '000000000000' . hex_of(16), [ nested('multipart/alternative', '000000000001' . hex_of(16), plain(), html(), invite()), attached('application/ics', 'invite.ics', ics('REQUEST')) ]) },
    'invite-only' => sub { simple([ mime('Content-Type' => 'text/calendar; method=REPLY; charset=UTF-8', 'Content-Transfer-Encoding' => '8bit') ], ics('REPLY') . $utf8) },
    'pec' => sub { my ($a, $b) = (b16(), b16()); message_of('multipart/signed', "----$a", [ nested('multipart/mixed', $b, nested('multipart/alternative', "$b-1", plain(), html()), entity([ 'Content-Type' => 'message/rfc822; name="postacert.eml"', 'Content-Disposition' => 'inline; filename="postacert.eml"', 'Content-Transfer-Encoding' => '7bit' ], any()), attached('application/xml', 'daticert.xml', '<postacert/>')), attached('application/pkcs7-signature', 'smime.p7s', noise()) ], more => '; protocol="application/pkcs7-signature"; micalg="sha-256"') },
    'uuencode' => sub { simple([], text() . uu() . text()) },
    'yenc' => sub { simple([], text() . yenc()) },
    'binhex' => sub { simple([], "(This file must be converted with BinHex 4.0)\n\n:" . join("\n", map { letters(64) } 1 .. 20) . ":\n") },
    'latin1-bare' => sub { simple([], text() . $latin x 5) }, # 8-bit text without a word of MIME
    'latin1-head' => sub { simple([ 'X-Grund' => "Gr\xfc\xdfe", 'Organization' => "M\xfcller \x26 S\xf6hne" ], $latin) },
    'utf8-head' => sub { entity([ From => "J\xc3\xb6rg <j\xc3\xb6rg\@example.org>", To => mailbox(), Subject => "\xf0\x9f\x8e\x89 \xe2\x80\x93 now", Date => date(), 'Message-ID' => id(), mime('Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => '8bit') ], $utf8) },
    'gb18030' => sub { simple([ mime('Content-Type' => 'text/plain; charset="' . pick('gb18030', 'gb2312', 'GBK') . '"', 'Content-Transfer-Encoding' => '8bit', 'X-Priority' => '3') ], $gb x n(3, 40)) },
    'gb-bare' => sub { entity([ From => "\xc4\xfa\xba\xc3 <a\@example.org>", To => address(), Subject => "\xd5\xe2\xca\xc7", Date => date() ], $gb x 9) },
    'iso-2022-jp' => sub { simple([ mime('Content-Type' => 'text/plain; charset=ISO-2022-JP', 'Content-Transfer-Encoding' => '7bit') ], $jis x n(3, 60)) },
    'shift-jis' => sub { simple([ mime('Content-Type' => 'text/plain; charset="Shift_JIS"') ], "\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd \x83\x5c\x83\x7c\n" x 20) },
    'koi8-r' => sub { simple([ mime('Content-Type' => 'text/plain; charset=koi8-r', 'Content-Transfer-Encoding' => '8bit') ], $koi8 x 30) },
    'odd-charset' => sub { simple([ mime('Content-Type' => 'text/plain; charset=' . pick('unknown-8bit', 'x-user-defined', '"windows-1252http-equivcontent-type"', 'ansi_x3.110-1983', 'DEFAULT', '""', "'utf-8'"), 'Content-Transfer-Encoding' => '8bit') ], $latin x 4) },
    'forward' => sub { message_of('multipart/mixed', b16(), [ plain(), embedded() ]) },
    'forward-deep' => sub { deep(n(3, 12)) },
    'attached-eml' => sub { message_of('multipart/mixed', b16(), [ plain(), map { embedded() } 1 .. n(1, 5) ]) },
    'whole-rfc822' => sub { simple([ mime('Content-Type' => 'message/rfc822') ], simple([])) },
    'cron' => sub { entity([ From => 'root (Cron Daemon)', To => 'root', Subject => 'Cron <root@host> test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily', 'MIME-Version' => '1.0', 'Content-Type' => 'text/plain; charset=UTF-8', 'Content-Transfer-Encoding' => '8bit', 'X-Cron-Env' => '<SHELL=/bin/sh>', 'X-Cron-Env' => '<HOME=/root>', 'X-Cron-Env' => '<PATH=/usr/bin:/bin>' ], text() . $utf8) },
    'cron-binary' => sub { entity([ From => 'root (Cron Daemon)', To => 'root', Subject => 'Cron <root@host> cat' ], "cat: here it comes\n" . noise() =~ s/\n//gr . "\n" . noise() . "\n") },
    'git' => sub { simple([ 'X-Mailer' => 'git-send-email 2.39.2' ], text() . "---\n file.c | 2 +-\n\ndiff --git a/file.c b/file.c\n--- a/file.c\n+++ b/file.c\n@@ -1 +1 @@\n-\tx\n+\ty\n-- \n2.39.2\n\n") },
    'github' => sub { message_of('multipart/alternative', '--==_mimepart_' . hex_of(12) . '_' . hex_of(20), [ plain(), html() ], before => "\n", head => [ 'List-Unsubscribe' => '<mailto:u@example.org>, <https://example.org/' . letters(300) . '>', 'X-GitHub-Reason' => 'mention' ]) },
    'newsletter' => sub { message_of('multipart/alternative', '_----------=_MCPart_' . n(1e8, 9e8), [ plain(), html() ], before => "This is a multi-part message in MIME format\n\n", head => [ 'List-Unsubscribe-Post' => 'List-Unsubscribe=One-Click', 'Feedback-ID' => '1:2:3', 'X-Campaign' => letters(1200) ]) },
    'long-html' => sub { simple([ mime('Content-Type' => 'text/html; charset=utf-8') ], '<html>' . 'x<b>y</b> ' x n(200, 3000) . "</html>\n") }, # PHP's mail() with one line
    'edi' => sub { simple([ mime('Content-Type' => 'application/EDIFACT', 'Content-Transfer-Encoding' => '8bit') ], "UNA:+.? 'UNB+UNOA:1+X+Y'" . "LIN+1++4711:EN'" x n(50, 2000) . "\n") },
    'old-mac' => sub { simple([], join "\r", map { line() } 1 .. 20) }, # line ends of another age, in a message of one line
    'nul' => sub { simple([], "value:\0 none\n" . text()) },            # a C program that prints one byte too many
    'controls' => sub { simple([], "\f" . text() . "\a\b\x01 bell\n\e[1mbold\e[0m\n") },
    'mbox-from' => sub { '>From root@example.org Fri Nov 20 10:00:00 2026' . "\n" . simple([ 'X-UIDL' => letters(20) ], ">From here on\nFrom there\n") }, # procmail, UUCP
    'empty-body' => sub { head(usual()) . "\n" },
    'bare-empty' => sub { head(usual()) },                              # sendmail -t with nothing behind the header
    'no-date' => sub { entity([ From => address(), To => address(), Subject => 'x' ], text()) },
    'no-from' => sub { entity([ To => address(), Subject => 'x' ], text()) },
    'body-only' => sub { "just text, as `echo | sendmail` sends it\n" . text() },
    'undisclosed' => sub { entity([ From => mailbox(), To => 'undisclosed-recipients:;', Cc => '', Bcc => '', Subject => subject(), Date => date(), 'Message-Id' => id() ], text()) },
    'many-to' => sub { entity([ From => mailbox(), To => join(",\n\t", map { mailbox() } 1 .. n(50, 400)), Subject => 'all', Date => date(), 'Message-ID' => id() ], text()) },
    'long-references' => sub { simple([ References => join("\n\t", map { id() } 1 .. 200), 'In-Reply-To' => id() ]) },
    'long-field' => sub { simple([ 'X-Report' => letters(n(999, 4000)), 'DKIM-Signature' => 'v=1; b=' . letters(1500) ]) },
    'folds' => sub { simple([ 'X-Spam-Report' => "\n\t*  0.0 X\n\t*\n\t* 1.0 Y\n \n\tz", 'X-Empty' => '', 'x-lower' => '1', 'X_under.score!' => '2' ]) }, # a folded line of white space only, as SpamAssassin and Outlook write
    'space-colon' => sub { 'Subject : test' . "\n" . simple([]) },
    'odd-dates' => sub { entity([ From => address(), To => address(), Date => pick('Fri, 20 Nov 26 10:00:00', '20 Nov 2026 10:00 GMT+01:00', 'Fri Nov 20 10:00:00 2026', '', '11/20/2026 10:00', 'Fri, 20 Nov 2026 24:61:61 +9999', 'Thu, 1 Jan 1970 00:00:00 +0000'), Subject => 'x' ], text()) },
    'twice' => sub { my @f = usual(); entity([ @f, 'Message-ID' => id(), To => address(), Subject => 'again', mime(mime('Content-Type' => 'text/plain')) ], text()) },
    'spam' => sub { simple([ 'X-Mailer' => 'PHPMailer', mime('Content-Type' => "text/html; charset=\"iso-8859-1\"\n\tboundary=\"unused\"", 'Content-Transfer-Encoding' => '8bit') ], "<html>\xa0" . words(100) . "</html>") },
    'spam-encoding' => sub { simple([ mime('Content-Type' => pick('text', 'text/plain charset=us-ascii', 'TEXT/PLAIN;', 'text/plain;;', 'plain', 'text/html; charset', ''), 'Content-Transfer-Encoding' => pick('8bits', '7-bit', 'none', 'text', 'quoted-printable ', '8BIT (bits)', '')) ]) },
    'base64-line' => sub { simple([ mime('Content-Type' => 'application/octet-stream', 'Content-Transfer-Encoding' => 'base64') ], b64(noise(n(200, 3000)), 60_000)) }, # unfolded
    'base64-joined' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'base64') ], b64(text() . 'x') . b64(text() . 'yy')) }, # two encoders, one behind the other: padding in the middle
    'base64-bare' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'base64') ], b64(text()) =~ s/=+\n\z/\n/r) }, # encoders that leave out the padding
    'base64-blank' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'BASE64') ], "\n" . b64(text()) =~ s/\n/ \n/gr . "\n\n") },
    'qp-lazy' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'quoted-printable') ], text() . "a=b and 100 = 100, =zz, =e4 lower\nsoft at end =\n") }, # declares it, and does not encode
    'boundary-odd' => sub { message_of('multipart/mixed', pick("a'()+_,-./:=?b", 'simple', 'with space', '=' x 20, '0', 'x' x 70, '--', '--==--'), [ plain(), attached() ]) },
    'boundary-prefix' => sub { message_of('multipart/mixed', 'abc', [ nested('multipart/alternative', 'abcdef', plain(), html()), nested('multipart/alternative', 'abc2', plain(), html()) ]) }, # one boundary begins like another
    'boundary-bare' => sub { my $b = letters(12); entity([ usual(), mime('Content-Type' => "Multipart/Mixed; BOUNDARY=$b; charset=us-ascii") ], multi($b, [ plain(), html() ])) },
    'boundary-spaces' => sub { my $b = letters(12); entity([ usual(), mime('Content-Type' => "multipart/mixed; boundary=\"$b\"") ], multi($b, [ plain(), plain() ]) =~ s/^(--$b(?:--)?)$/$1 \t/mgr) }, # white space behind delimiters is allowed
    'epilogue' => sub { message_of('multipart/mixed', b16(), [ plain(), attached() ], after => "\nThis e-mail was checked for viruses by X.\n" . text()) }, # scanners add their words behind the end
    'preamble' => sub { message_of('multipart/mixed', b16(), [ plain() ], before => text() . "-- not a delimiter\n") },
    'one-part' => sub { message_of('multipart/' . pick('mixed', 'alternative', 'related'), b16(), [ pick(plain(), html(), attached()) ]) },
    'empty-parts' => sub { my $b = b16(); message_of('multipart/mixed', $b, [ "\n", "Content-Type: text/plain\n\n", attached('text/plain', 'e.txt', '') ]) },
    'no-blank' => sub { my $b = b16(); message_of('multipart/mixed', $b, [ "Content-Type: text/plain\n", plain() ]) }, # a part of header fields only
    'dashes' => sub { simple([], text() . "--\nBob\n-----\n------------------------------------\n--not-a-boundary--\n") },
    'quoted-mime' => sub { simple([], "> --abc\n> Content-Type: text/plain\n>\n> x\n\n--abc\nContent-Type: text/plain\n\nas seen in a bug report\n") },
    'partial' => sub { simple([ mime('Content-Type' => 'message/partial; id="a@b"; number=2; total=3') ], b64(noise(900))) },
    'external' => sub { simple([ mime('Content-Type' => 'message/external-body; access-type=URL; URL="http://example.org/x"') ], "Content-Type: text/plain\nContent-ID: <1\@x>\n\n") },
    'vcard' => sub { message_of('multipart/mixed', b16(), [ plain(), entity([ 'Content-Type' => "text/x-vcard; charset=utf-8;\n name=\"bob.vcf\"" ], "begin:vcard\nfn:Bob\nend:vcard\n"),
        entity([ 'Content-Type' => "application/pdf;\n name*0*=UTF-8''%C3%9Cber;\n name*1=sicht.pdf", 'Content-Transfer-Encoding' => 'base64' ], b64("%PDF-1.4\n%\xe2\n" . noise())) ]) },
    'voice' => sub { message_of('multipart/voice-message; version=2.0', b16(), [ attached('audio/wav', 'msg.wav', 'RIFF' . pack('V', 4000) . 'WAVEfmt ' . noise()) ]) },
    'related-start' => sub { message_of('multipart/related', b16(), [ html(), attached() ], more => '; type="text/html"; start="<root>"') },
    'binary' => sub { message_of('multipart/mixed', b16(), [ plain(), entity([ 'Content-Type' => 'application/octet-stream', 'Content-Transfer-Encoding' => 'binary' ], noise() =~ s/[\r]//gr) ]) },
    'sieve' => sub { simple([ 'Auto-Submitted' => 'auto-replied (vacation)', 'Precedence' => 'bulk', mime('Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => '8bit') ], $utf8) },
    'scanned' => sub { simple([ 'X-Spam-Status' => "No, score=-1.9 required=5.0 tests=BAYES_00,DKIM_SIGNED,\n\tDKIM_VALID autolearn=ham\n\tautolearn_force=no version=3.4.6", 'X-Virus-Scanned' => 'Debian amavisd-new', 'Content-Length' => n(1, 9e4), Lines => n(1, 900), Status => 'RO' ]) },
    'large' => sub { message_of('multipart/mixed', b16(), [ plain(), map { attached('application/octet-stream', "$_.bin", noise(n(20_000, 60_000))) } 1 .. n(1, 3) ]) },
);

# What some senders really send, and what cannot be told from damage.
my %broken = (
    # RFC 2231 allows it; half of the readers do not know it, and see another message.
    'boundary-2231' => sub { my $b = letters(20); entity([ usual(), mime('Content-Type' => "multipart/mixed; boundary*0=\"" . substr($b, 0, 9) . "\";\n boundary*1=\"" . substr($b, 9) . '"') ], multi($b, [ plain(), attached() ])) },
    'unclosed' => sub { my $b = b16(); message_of('multipart/mixed', $b, [ plain(), attached() ]) =~ s/--\Q$b\E--\n\z//r },
    'no-such-boundary' => sub { simple([ mime('Content-Type' => 'multipart/alternative; boundary="never used"') ]) },
    'no-boundary' => sub { simple([ mime('Content-Type' => 'multipart/mixed') ], "--x\n\nx\n--x--\n") },
    'closed-twice' => sub { my $b = b16(); message_of('multipart/mixed', $b, [ plain(), plain() ], after => "--$b--\n") },
    'base64-junk' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'base64') ], b64(text()) . "<p>a word from our sponsor</p>\n") },
    'base64-odd' => sub { simple([ mime('Content-Type' => 'text/plain', 'Content-Transfer-Encoding' => 'base64') ], substr(b64(text()), 0, -3) . "\n") },
);

sub table  { return \%table }
sub broken { return \%broken }

1;
