package Spoolck::Mail;

# Mail in the shapes of many programs, oddities that they really write included; nothing of it is damaged.
#
#   my $m = Spoolck::Mail::make($seed, $number);   # { shape => 'outlook', text => "..." }
#
# The same seed and number give the same message. Line ends are \n, as they lie in a queue. shapes()
# names all shapes; the first ones of a run of numbers visit each of them in turn. Where a rule of the RFCs
# is bent, it is because a program in wide use bends it: the comment says which.

use strict;
use warnings;

use Exporter 'import';
use MIME::Base64 ();
use MIME::QuotedPrint ();

our @EXPORT_OK = qw(make shapes broken_shapes);

# --- Material --------------------------------------------------------------------

sub n    { my ($from, $to) = @_; return $from + int rand($to - $from + 1) }
sub pick { return $_[ int rand @_ ] }

my @words = qw(the quarterly report offer meeting on Tuesday please find attached our invoice for your order
    regards server backup finished with errors new version released thanks a lot see below contract draft
    customer train delayed lunch garden photo holiday minutes of project plan review and then we will);

sub words { return join ' ', map { pick(@words) } 1 .. $_[0] }
sub line  { return ucfirst(words(n(3, 11))) . pick('.', '!', ',', '') }
sub text  { return join "\n", (map { rand() < .15 ? '' : line() } 1 .. ($_[0] // n(2, 30))), '' }
sub hex_of { return join '', map { sprintf '%x', rand 16 } 1 .. $_[0] }
sub letters { return join '', map { pick('A' .. 'Z', 'a' .. 'z', 0 .. 9) } 1 .. $_[0] }

sub person  { return pick('Bob Miller', 'Alice', '"Weber, Jan"', 'Zo=C3=AB', 'IT Helpdesk', '"O\'Neill (Sales)"') }
sub address { return pick(qw(bob alice jan.weber info no-reply root sales+tag)) . '@' . pick(qw(example.org example.com mail.example.net example.co.uk)) }
sub mailbox { my $p = person(); $p = '=?UTF-8?Q?Zo=C3=AB?=' if $p =~ /=/; return "$p <" . address() . '>' }
sub date {
    return sprintf '%s, %d %s %d %02d:%02d:%02d %s', pick(qw(Mon Tue Wed Thu Fri Sat Sun)), n(1, 28), pick(qw(Jan Feb Mar Apr Jun Nov Dec)),
        n(2019, 2026), n(0, 23), n(0, 59), n(0, 59), pick('+0000', '+0100', '-0700', '+0000 (UTC)', 'GMT', '+0200 (CEST)');
}
sub subject { return pick(line(), 'Re: ' . line(), 'Fwd: ' . line(), '', '=?utf-8?B?w5xiZXJwcsO8ZnVuZw==?=', '=?iso-8859-1?Q?R=FCckfrage_zu?= =?iso-8859-1?Q?_Angebot?=',
        '=?UTF-8?Q?=F0=9F=8E=89_Party?=', '=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=', "long\n " . line()) }
sub id { return '<' . letters(n(10, 30)) . '@' . pick(qw(mail.example.org example.com localhost PC-12)) . '>' }
sub received {
    return join '', map { "Received: from " . pick('mx1.example.org (mx1.example.org [192.0.2.1])', 'localhost (localhost [127.0.0.1])', '[10.0.0.4] (unknown)')
            . "\n\tby " . pick('mail.example.com (Postfix) with ESMTPS id ', 'mx.example.net with SMTP id ') . letters(10) . "\n\tfor <" . address() . '>; ' . date() . "\n" } 1 .. n(0, 4);
}

# A block of header fields, in order: (name => value, ...). undef leaves one out.
sub head {
    my @f = @_;
    my $out = '';
    while (my ($name, $value) = splice @f, 0, 2) {
        next unless defined $value;
        $out .= length $value ? "$name: $value\n" : "$name:" . pick('', ' ') . "\n";
    }
    return $out;
}
sub usual { return (From => mailbox(), To => mailbox(), Subject => subject(), Date => date(), 'Message-ID' => id()) }

sub b64 {
    my ($bytes, $width) = (@_, 76);
    my $all = MIME::Base64::encode_base64($bytes, '');
    return join '', map { "$_\n" } $all =~ /.{1,$width}/g;
}
sub qp { return MIME::QuotedPrint::encode_qp($_[0]) }

# Random bytes, out of a pool: drawing each would take most of the time.
my $pool = do { srand 7; join '', map { pack 'N', rand 2**32 } 1 .. 1 << 15 };
sub noise { my $len = $_[0] // n(50, 3000); return substr $pool, int rand(length($pool) - $len), $len }

# [declared type, name, bytes]: files as they are attached; some are declared by their name only, or wrongly,
# as happens every day.
sub file {
    my $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0" . noise();
    my $jpg = "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" . noise() . "\xff\xd9";
    my $pdf = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n" . noise() . "\n%%EOF\n";
    my $zip = "PK\3\4\x14\0\0\0\x08\0" . noise();
    my $ole = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" . "\0" x 600 . noise();
    return @{ pick(
        [ 'image/png', 'logo.png', $png ], [ 'image/jpeg', 'IMG_0042.JPG', $jpg ], [ 'image/jpeg', 'photo.jpg', $png ], [ 'image/png', 'scan.png', $jpg ],
        [ 'application/pdf', 'invoice.pdf', $pdf ], [ 'application/octet-stream', 'invoice.pdf', $pdf ], [ 'application/zip', 'data.zip', $zip ],
        [ 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'offer.docx', $zip ], [ 'application/msword', 'offer.doc', $zip ],
        [ 'application/msword', 'old.doc', $ole ], [ 'application/octet-stream', 'data.bin', noise() ], [ 'application/x-zip-compressed', 'x.zip', $zip ],
        [ 'application/pdf', 'broken.pdf', "\n\n" . $pdf ], [ 'image/gif', 'pixel.gif', "GIF89a\1\0\1\0\x80\0\0" . noise(30) ],
        [ 'application/octet-stream', 'tool.exe', "MZ\x90\0\3\0\0\0" . "\0" x 52 . "\x80\0\0\0" . noise() ], [ 'text/csv', 'list.csv', "a;b;c\n" x n(1, 50) ],
        [ 'text/plain', 'empty.txt', '' ], [ 'image/svg+xml', 'plan.svg', "<svg xmlns='http://www.w3.org/2000/svg'/>\n" ],
        [ 'application/octet-stream', 'core', "\x7fELF\2\1\1" . "\0" x 9 . "\4\0\x3e\0" . noise() ],
    ) };
}

# One entity: fields, empty line, body.
sub entity { my ($fields, $body) = @_; return head(@$fields) . "\n" . $body }
sub attached {
    my ($type, $name, $bytes) = @_ ? @_ : file();
    return entity([ 'Content-Type' => "$type;" . pick(' ', "\n ", "\n\t") . "name=\"$name\"", 'Content-Transfer-Encoding' => 'base64',
        'Content-Disposition' => pick('attachment', 'inline') . "; filename=\"$name\"" ], b64($bytes, pick(76, 76, 72, 60, 64)));
}
sub plain { return entity([ 'Content-Type' => pick('text/plain; charset=utf-8', 'text/plain; charset="us-ascii"', 'text/plain; charset=ISO-8859-1; format=flowed'),
    'Content-Transfer-Encoding' => pick('7bit', '7bit', undef) ], $_[0] // text()) }
sub qp_plain { return entity([ 'Content-Type' => 'text/plain; charset="iso-8859-1"', 'Content-Transfer-Encoding' => 'quoted-printable' ],
    qp(text() . "Gr\xfc\xdfe aus M\xfcnchen = sch\xf6n   \n")) }
sub html { my $t = text(); return entity([ 'Content-Type' => 'text/html; charset=utf-8', 'Content-Transfer-Encoding' => 'quoted-printable' ],
    qp("<html><body style=3D'margin:0'>" . $t =~ s/\n/<br>/gr . "</body></html>\n")) }

# Parts between their delimiters; `after` and `before` are epilogue and preamble.
sub multi {
    my ($boundary, $parts, %o) = @_;
    return ($o{before} // '') . join('', map { "--$boundary\n$_" . ($_ =~ /\n\z/ ? '' : "\n") . pick('', '', "\n") } @$parts) . "--$boundary--\n" . ($o{after} // '');
}
# A whole message of a multipart type.
sub message_of {
    my ($type, $boundary, $parts, %o) = @_;
    return entity([ usual(), @{ $o{head} // [] }, 'MIME-Version' => '1.0', 'Content-Type' => "$type;" . pick(' ', "\n ", "\n\t") . "boundary=\"$boundary\"" . ($o{more} // '') ], multi($boundary, $parts, %o));
}
sub nested { my ($type, $boundary, @parts) = @_; return entity([ 'Content-Type' => "$type; boundary=\"$boundary\"" ], multi($boundary, \@parts)) }

# --- Shapes ----------------------------------------------------------------------

use Spoolck::Mail::Shapes;

my (@names, @broken);

sub shapes        { return @names = @names ? @names : sort keys %{ Spoolck::Mail::Shapes::table() } }
sub broken_shapes { return @broken = @broken ? @broken : sort keys %{ Spoolck::Mail::Shapes::broken() } }

sub make {
    my ($seed, $number, %o) = @_;
    my @all = $o{broken} ? broken_shapes() : shapes();
    my $shape = $o{shape} // $all[ $number % @all ];
    srand $seed * 1_000_003 + $number;
    my $code = Spoolck::Mail::Shapes::table()->{$shape} // Spoolck::Mail::Shapes::broken()->{$shape};
    my $text = $code->();
    # On the way it gets lines of those who relayed it.
    $text = received() . $text unless $shape =~ /^(?:empty|body-only|mbox-from|bare)/;
    return { shape => $shape, text => $text };
}

1;
