package Lab::Postfix::Corpus;

# A real Postfix queue with several hundred messages in as many shapes as Postfix writes: made by
# the real programs, never by hand.  The result is the queue tree itself (moved, not copied, so
# that names still contain the inodes), with Postfix stopped.

use strict;
use warnings;
use Exporter 'import';
use Lab::Milter;
use Lab::Postfix::Records qw(records);
use Lab::Smtp;
use Lab::Util qw(spew slurp run_ok spawn stop_children wait_for say_step tsv_write rng);

our @EXPORT_OK = qw(make_corpus tag_of);

my @queues = qw(maildrop incoming active deferred hold corrupt defer bounce trace);

# ---- configuration: one smtpd port per way into the queue

my %port = (
    plain => 2501, milter => 2502, checks => 2503, access => 2504, warn => 2505,
    xclient => 2506, long => 2507, both => 2508, bcc => 2509, narrow => 2510, milterchecks => 2511,
);
my ($milter_port, $hang_port, $mixed_port) = (2550, 2551, 2552);

# service => options of its cleanup; milter services get smtpd_milters as well.
my %cleanup = (
    plain   => '',
    milter  => '',
    checks  => '-o header_checks=regexp:/etc/postfix/header_checks -o body_checks=regexp:/etc/postfix/body_checks',
    access  => '',
    warn    => '-o delay_warning_time=1s',
    xclient => '-o delay_warning_time=4h',
    long    => '-o enable_long_queue_ids=yes',
    both    => '-o delay_warning_time=1s -o enable_long_queue_ids=yes -o header_checks=regexp:/etc/postfix/header_checks',
    bcc     => '-o always_bcc=archive@later.test -o recipient_canonical_maps=regexp:/etc/postfix/canonical',
    narrow  => '-o line_length_limit=512 -o enable_original_recipient=no',
    milterchecks => '-o milter_header_checks=regexp:/etc/postfix/header_checks',
);
my %smtpd_extra = (
    access  => '-o smtpd_recipient_restrictions=check_recipient_access,regexp:/etc/postfix/access',
    xclient => '-o smtpd_authorized_xclient_hosts=127.0.0.1 -o smtpd_authorized_verp_clients=127.0.0.1',
);

sub services {
    my ($with_qmgr) = @_;
    my $milters = "inet:127.0.0.1:$milter_port";
    # Deferred without a try (defer_transports).  Not "error" or "retry": smtpd refuses such recipients.
    my $text = "kept unix - - n - - smtp\n";
    $text .= "qmgr unix n - n 300 1 qmgr\n" if $with_qmgr;
    for my $name (sort keys %port) {
        my $m = $name =~ /milter|both/ ? "-o smtpd_milters=$milters -o milter_default_action=accept" : '';
        my $long = $cleanup{$name} =~ /long_queue/ ? '' : '-o enable_long_queue_ids=no';
        $text .= "127.0.0.1:$port{$name} inet n - n - - smtpd $m " . ($smtpd_extra{$name} || '') . " -o cleanup_service_name=cleanup-$name\n";
        $text .= "cleanup-$name unix n - n - 0 cleanup $long $cleanup{$name}\n";
    }
    return $text;
}

my $main = <<'EOM';
mydestination = lab.test
# Kept on here so that start-up does not rename the long ids; services that want short ones say so.
enable_long_queue_ids = yes
transport_maps = regexp:/etc/postfix/transport
default_transport = kept:[127.0.0.1]:9
defer_transports = kept
default_destination_recipient_limit = 5000
bounce_template_file =
recipient_delimiter = +
milter_end_of_data_timeout = 60s
header_size_limit = 200000
EOM

my %table = (
    transport => <<"EOT",
/\@discard\\./  discard:
/\@later\\./    kept:[127.0.0.1]:9
/\@refused\\./  smtp:[127.0.0.1]:9
/\@hang\\./     smtp:[127.0.0.1]:$hang_port
/\@mixed\\./    smtp:[127.0.0.1]:$mixed_port
/\@lab\\./      kept:[127.0.0.1]:9
/./           kept:[127.0.0.1]:9
EOT
    header_checks => <<'EOT',
/^Subject:.*prepend-long/  PREPEND X-Prepended-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
/^Subject:.*prepend/       PREPEND X-Prepended: yes
/^Subject:.*replace/       REPLACE Subject: replaced by header_checks
/^Subject:.*filter/        FILTER smtp:[127.0.0.1]:9
/^Subject:.*redirect/      REDIRECT elsewhere@later.test
/^Subject:.*bcc/           BCC bcc.of.checks@later.test
/^Subject:.*hold/          HOLD by header_checks
/^Subject:.*ignore/        IGNORE
EOT
    body_checks => <<'EOT',
/^body-replace/  REPLACE a replaced body line
/^body-prepend/  PREPEND a prepended body line
/^body-ignore/   IGNORE
EOT
    access => <<'EOT',
/^redirect/  REDIRECT elsewhere@later.test
/^filter/    FILTER smtp:[127.0.0.1]:9
/^prepend/   PREPEND X-Access: prepended by smtpd
/^hold/      HOLD by smtpd
/^bcc/       BCC bcc.of.smtpd@later.test
/./          permit
EOT
    canonical => "/^alias(.*)\@/  real\${1}\@later.test\n",
);

# ---- message texts

sub text {
    my ($case, $body, @headers) = @_;
    return join("\n", "From: Sender <s\@sender.test>", "To: rcpt\@later.test", "Subject: $case", "X-Case: $case", @headers) . "\n\n" . $body;
}

# Printable filler of an exact size, lines of 70 and an odd one at the end.
sub filler {
    my ($size, $seed) = @_;
    my $rand = rng($seed || $size + 1);
    my $unit = '';
    while (length $unit < 8192) {
        $unit .= join('', map { chr 33 + $rand->(94) } 1 .. 69) . "\n";
    }
    return '' if $size < 1;
    my $text = substr $unit x (1 + int $size / length $unit), 0, $size;
    substr($text, -1) = "\n";
    return $text;
}

sub mime {
    my ($depth) = @_;
    return "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\xc3\xbc\xc3\x9fe\n" if !$depth;
    my $inner = mime($depth - 1);
    return "Content-Type: multipart/mixed; boundary=\"b$depth\"\n\npreamble\n--b$depth\n$inner\n--b$depth\n"
        . "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" . ("QUJD" x 19 . "\n") x 20 . "--b$depth--\nepilogue\n";
}

sub mail_of_mime {
    my ($case, $depth) = @_;
    my ($head, $rest) = split /\n\n/, mime($depth), 2;
    return "From: s\@sender.test\nSubject: $case\nX-Case: $case\nMIME-Version: 1.0\n$head\n\n$rest";
}

sub to { my ($n, $domain, $tag) = @_; return [ map { ($tag || 'user') . "$_\@$domain" } 1 .. $n ] }

# ---- the cases: each a hash for Lab::Smtp::send plus port and case name

sub size_cases {
    my @c;
    my @sizes = (0, 1, 2, 13, 100, 512, 1000, 2047, 2048, 2049, 3500, 3600, 3700, 3800, 3900, 4000, 4095, 4096, 4097, 5000,
        8191, 8192, 8193, 12000, 16384, 20000, 32768, 50000, 65536, 100_000, 200_000, 500_000, 1_000_000, 5_000_000);
    for my $i (0 .. $#sizes) {
        my $size = $sizes[$i];
        my $port = (qw(plain milter plain warn long))[ $i % 5 ];
        $port = 'plain' if $size == 0;
        push @c, { port => $port, case => "size-$size", from => 's@sender.test', to => to(1 + $i % 3, 'later.test'),
            data => $size == 0 ? '' : $size < 100 ? filler($size) : text("size-$size", filler($size - 90)) };
    }
    push @c, { port => 'milter', case => 'size-0-milter', from => 's@sender.test', to => to(1, 'later.test'), data => '' };
    push @c, { port => 'plain', case => 'headers-only', from => 's@sender.test', to => to(1, 'later.test'), data => "Subject: headers only\nX-Case: headers-only\n" };
    push @c, { port => 'plain', case => 'body-only', from => 's@sender.test', to => to(1, 'later.test'), data => "\nbody only, X-Case: body-only\n" };
    return @c;
}

sub recipient_cases {
    my @c;
    for my $n (1, 2, 3, 5, 10, 49, 50, 51, 100, 333, 500, 1000, 2000) {
        for my $port (qw(plain milter)) {
            push @c, { port => $port, case => "rcpts-$n-$port", from => "list-owner\@sender.test", to => to($n, 'later.test', "r$n-"),
                data => text("rcpts-$n-$port", "to $n recipients\n") };
        }
    }
    my $long = ('l' x 60) . '@' . join('.', ('d' x 60) x 3) . '.later.test';
    my @odd = (['rcpt-long', $long], ['rcpt-quoted', '"quoted local part"@later.test'], ['rcpt-plus', 'user+tag@later.test'],
        ['rcpt-bang', 'host!user@later.test'], ['rcpt-percent', 'user%inner@later.test'], ['rcpt-literal', 'user@[127.0.0.1]'],
        ['rcpt-local', 'root@lab.test'], ['rcpt-case', 'MixedCase@LATER.test'], ['rcpt-apostrophe', "o'neil\@later.test"],
        ['rcpt-equal', 'a=b@later.test']);
    push @c, { port => 'plain', case => $_->[0], from => 's@sender.test', to => [ $_->[1] ], data => text($_->[0], "odd recipient\n") } for @odd;
    push @c, { port => 'bcc', case => "bcc-$_", from => 's@sender.test', to => [ map { "alias$_\@old.test" } 1 .. $_ ], data => text("bcc-$_", "canonical and bcc\n") } for 1, 2, 20;
    push @c, { port => 'narrow', case => "narrow-$_", from => 's@sender.test', to => to($_, 'later.test'), data => text("narrow-$_", ("n" x 1450) . "\n" . "short\n") } for 1, 2, 30;
    return @c;
}

sub sender_cases {
    my @c;
    my @from = (['null', ''], ['short', 'a@b.c'], ['of-14', 'abcdef@abc.tst'], ['of-15', 'abcdefg@abc.tst'], ['of-16', 'abcdefgh@abc.tst'],
        ['of-17', 'abcdefghi@abc.tst'], ['long', ('f' x 64) . '@' . join('.', ('e' x 60) x 3) . '.test'], ['quoted', '"x y"@sender.test'],
        ['srs', 'SRS0=HHH=TT=orig.test=user@fwd.test'], ['bounces', 'list-bounces+user=later.test@sender.test']);
    for my $f (@from) {
        for my $port (qw(plain milter)) {
            push @c, { port => $port, case => "sender-$f->[0]-$port", from => $f->[1], to => to(2, 'later.test'), data => text("sender-$f->[0]-$port", "who sent it?\n") };
        }
    }
    return @c;
}

sub text_cases {
    my %body = (
        '8bit'       => "Gr\xfc\xdfe in Latin-1 \x80\x9f\xff\n" x 20,
        'utf8'       => "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\n" x 50,
        'nul'        => "a\0b\0\0c\n\0\n\0\0\0\0\n",
        'nulblock'   => ("\0" x 1500) . "\n" . ("\0" x 8000) . "\n",
        'control'    => join('', map { chr } 1 .. 8, 11, 12, 14 .. 31, 127) . "\n",
        'allbytes'   => join('', map { $_ == 10 || $_ == 13 ? '' : chr } 0 .. 255) . "\n",
        'dots'       => ".\n..\n...\n.x\n",
        'records'    => "N\x05hello\nX\0\nE\0\np\x0f              0\nM\0R\x03a\@b\nC\x5f             1\n",
        'rawrecords' => "X\0E\0p\x0f              0M\0" x 30 . "\n",
        'empty-lines'=> "\n" x 300,
        'tabs'       => "\t\t \t\n \n",
        'nonewline'  => 'no newline at the end, though SMTP adds one',
        'from-lines' => "From me\n>From you\nFrom: x\n",
        'uuencoded'  => "begin 644 x\n" . "M" . ('!' x 60) . "\n`\nend\n",
    );
    my @c;
    for my $b (sort keys %body) {
        for my $port (qw(plain milter)) {
            push @c, { port => $port, case => "text-$b-$port", from => 's@sender.test', mailopt => 'BODY=8BITMIME', to => to(1, 'later.test'), data => text("text-$b-$port", $body{$b}) };
        }
    }
    for my $len (998, 2046, 2047, 2048, 2049, 4095, 4096, 4097, 6144, 10_000, 100_000, 1_000_000) {
        push @c, { port => $len % 2 ? 'milter' : 'plain', case => "line-$len", from => 's@sender.test', to => to(1, 'later.test'), data => text("line-$len", ('x' x $len) . "\nend\n") };
    }
    push @c, { port => 'plain', case => 'bare-cr', raw => 1, from => 's@sender.test', to => to(1, 'later.test'), data => "Subject: bare cr\r\nX-Case: bare-cr\r\n\r\na\rb\r\r\nc\r\n" };
    push @c, { port => 'plain', case => 'bare-lf', raw => 1, from => 's@sender.test', to => to(1, 'later.test'), data => "Subject: bare lf\r\nX-Case: bare-lf\r\n\r\na\nb\n\nc\r\n" };
    my %head = (
        'many'     => [ map { "X-Header-$_: value $_" } 1 .. 1000 ],
        'huge'     => [ 'X-Huge: ' . join("\n\t", ('folded ' x 9) x 400) ],
        'oneline'  => [ 'X-Oneline: ' . ('h' x 20_000) ],
        'empty'    => [ 'X-Empty:', 'X-Blank:   ' ],
        '8bit'     => [ "X-Raw: \xe9\xff" ],
        'nul'      => [ "X-Nul: a\0b" ],
        'resent'   => [ 'Resent-From: x@y.test', 'Resent-To: z@later.test' ],
        'received' => [ map { "Received: from a$_ by b$_; Thu, 1 Jan 2026 00:00:$_ +0000" } 10 .. 40 ],
        'verp'     => [ 'Return-Receipt-To: <s@sender.test>', 'Errors-To: <e@sender.test>' ],
    );
    for my $h (sort keys %head) {
        push @c, { port => $_, case => "head-$h-$_", from => 's@sender.test', to => to(1, 'later.test'), data => text("head-$h-$_", "body\n", @{ $head{$h} }) } for qw(plain milter);
    }
    push @c, { port => 'plain', case => "mime-$_", from => 's@sender.test', mailopt => 'BODY=8BITMIME', to => to(1, 'later.test'), data => mail_of_mime("mime-$_", $_) } for 0 .. 6;
    push @c, { port => 'milter', case => 'mime-40', from => 's@sender.test', to => to(1, 'later.test'), data => mail_of_mime('mime-40', 40) };
    push @c, { port => 'plain', case => 'mime-unterminated', from => 's@sender.test', to => to(1, 'later.test'), data => text('mime-unterminated', "--b\n\nx\n", 'MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b') };
    push @c, { port => 'plain', case => 'mime-7bit-lie', from => 's@sender.test', mailopt => 'BODY=7BIT', to => to(1, 'later.test'), data => text('mime-7bit-lie', "\xe9\n") };
    my @utf8 = (["utf8-rcpt", 's@sender.test', "gr\xc3\xbc\xc3\x9fe\@later.test"], ["utf8-sender", "\xe6\x97\xa5\@sender.test", 'u@later.test'],
        ["utf8-domain", 's@sender.test', "u\@b\xc3\xbccher.later.test"], ["utf8-only", 's@sender.test', 'u@later.test']);
    push @c, { port => $_->[0] eq 'utf8-domain' ? 'milter' : 'plain', case => $_->[0], from => $_->[1], mailopt => 'SMTPUTF8', to => [ $_->[2] ], data => text($_->[0], "smtputf8\n", "X-Utf8: \xc3\xbc") } for @utf8;
    return @c;
}

sub dsn_cases {
    my @c;
    my @options = (['RET=FULL', ''], ['RET=HDRS', ''], ['ENVID=abc+2Bdef', ''], ['RET=HDRS ENVID=id-1234567890', 'NOTIFY=NEVER'],
        ['', 'NOTIFY=SUCCESS'], ['', 'NOTIFY=FAILURE'], ['', 'NOTIFY=DELAY'], ['', 'NOTIFY=SUCCESS,FAILURE,DELAY'],
        ['', 'ORCPT=rfc822;orig@first.test'], ['RET=FULL ENVID=x', 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig+2Bplus@first.test'],
        ['SIZE=1000', ''], ['BODY=8BITMIME RET=HDRS', 'NOTIFY=FAILURE,DELAY ORCPT=x400;odd']);
    for my $i (0 .. $#options) {
        my ($mail, $rcpt) = @{ $options[$i] };
        for my $port (qw(plain milter)) {
            push @c, { port => $port, case => "dsn-$i-$port", from => 's@sender.test', mailopt => $mail,
                to => [ map { [ "dsn$_\@later.test", $rcpt ] } 1 .. 1 + $i % 4 ], data => text("dsn-$i-$port", "with options\n") };
        }
    }
    push @c, { port => 'plain', case => 'dsn-success', from => 's@sender.test', to => [ [ 'ok@discard.test', 'NOTIFY=SUCCESS' ], [ 'x@later.test', 'NOTIFY=NEVER' ] ], data => text('dsn-success', "x\n") };
    return @c;
}

sub check_cases {
    my @c;
    for my $what (qw(prepend prepend-long replace filter redirect bcc hold ignore)) {
        push @c, { port => $_, case => "checks-$what-$_", from => 's@sender.test', to => to(2, 'later.test'), data => text("checks-$what-$_", "header checks\n") } for qw(checks milterchecks);
    }
    push @c, { port => 'checks', case => "body-$_", from => 's@sender.test', to => to(1, 'later.test'), data => text("body-$_", "first\nbody-$_ this line\nlast\n") } for qw(replace prepend ignore);
    for my $what (qw(redirect filter prepend hold bcc)) {
        push @c, { port => 'access', case => "access-$what-$_", from => 's@sender.test', to => [ to($_, 'later.test', 'a')->[0], "$what\@later.test", @{ to($_, 'later.test', 'z') } ], data => text("access-$what-$_", "access\n") } for 1, 4;
    }
    return @c;
}

sub milter_cases {
    my @c;
    my @combos = (map({ [$_] } Lab::Milter::operations()),
        [qw(addheader insheader chgheader)], [qw(chgheader chgagain)], [qw(chgheader chgshort)], [qw(chgagain chgshort delheader)],
        [qw(bodyshort addheader)], [qw(bodylong addrcpt3 chgfrom)], [qw(bodyempty delheader delrcpt)], [qw(addrcpt100 delrcpt)],
        [qw(chgfrom chgfrompar chgfromnull)], [qw(addheader addlong addshort insheader inslater chgheader delto bodylong addrcpt delrcpt chgfrom)],
        [qw(bodylong bodyshort)], [qw(bodyshort bodylong)], [qw(delfirst delto delheader)], [qw(addrcpt addrcpt3 addrcptpar addrcpt100)]);
    for my $ops (@combos) {
        my $name = join '+', @$ops;
        $name = substr $name, 0, 60;
        my @plan = (['', 's@sender.test', 200], ['-tiny', 'a@b.c', 0], ['-big', 'a.long.sender.address@sender.test', 30_000]);
        for my $p (@plan) {
            my ($suffix, $from, $size) = @$p;
            push @c, { port => $suffix eq '-big' ? 'both' : 'milter', case => "milter-$name$suffix", from => $from, to => [ 'keep@later.test', 'victim@later.test', 'third@later.test' ],
                data => "X-Milter: @$ops\n" . text("milter-$name$suffix", $size ? filler($size) : '') };
        }
    }
    # The last header is the one that is edited: no room behind it but the padding.
    push @c, { port => 'milter', case => 'milter-last-short', from => 's@sender.test', to => ['victim@later.test'], data => "X-Milter: chgheader delrcpt addheader\nX-Case: milter-last-short\nSubject: s\n" };
    return @c;
}

sub delivery_cases {
    my @c;
    for my $n (1, 2, 5, 50, 500) {
        push @c, { port => $n % 2 ? 'plain' : 'milter', case => "partial-$n", from => 's@sender.test', to => [ map { ("done$_\@discard.test", "todo$_\@later.test") } 1 .. $n ], data => text("partial-$n", "half of it\n") };
        push @c, { port => 'plain', case => "mixed-$n", from => 's@sender.test', to => [ map { ("ok$_\@mixed.test", "tmp$_\@mixed.test") } 1 .. $n ], data => text("mixed-$n", "one by one\n") };
    }
    push @c, { port => 'plain', case => "refused-$_", from => 's@sender.test', to => to($_, 'refused.test'), data => text("refused-$_", "connection refused\n") } for 1, 30;
    push @c, { port => 'plain', case => "gone-$_", from => 's@later.test', to => [ "perm0\@mixed.test", "y\@later.test", "perm\@mixed.test" ], data => text("gone-$_", "bounces\n" x $_) } for 1, 2, 3, 200;
    push @c, { port => 'milter', case => 'partial-milter', from => 's@sender.test', to => [ 'a@discard.test', 'victim@later.test', 'b@later.test' ], data => "X-Milter: addrcpt3 delrcpt chgfrom\n" . text('partial-milter', "edited and half done\n") };
    push @c, { port => 'warn', case => "warned-$_", from => 's@later.test', to => to($_, 'later.test'), data => text("warned-$_", "delay warning\n") } for 1, 3;
    push @c, { port => 'access', case => "held-$_", from => 's@sender.test', to => [ "hold\@later.test", @{ to($_, 'later.test') } ], data => text("held-$_", "held\n") } for 1 .. 8;
    return @c;
}

sub hang_cases {
    return map { { port => (qw(plain milter long warn))[ $_ % 4 ], case => "active-$_", from => 's@sender.test',
        to => [ "stuck$_\@hang.test", $_ % 3 ? () : ("also$_\@discard.test") ], data => text("active-$_", filler(100 * $_ * $_)) } } 1 .. 14;
}

sub incoming_cases {
    return map { { port => (qw(plain long milter both checks bcc xclient))[ $_ % 7 ], case => "incoming-$_", from => 's@sender.test',
        to => to($_, 'later.test'), data => "X-Milter: chgheader addrcpt\n" . text("incoming-$_", filler(300 * $_)) } } 1 .. 35;
}

# Sessions with something said before the mail: XCLIENT with a login name, XVERP.
sub xclient_mail {
    my $c = Lab::Smtp->new($port{xclient}, 'XCLIENT LOGIN=alice NAME=mail.client.test ADDR=192.0.2.7 HELO=helo.client.test PROTO=ESMTP');
    $c->command('EHLO again.test');
    for my $n (1 .. 4) {
        $c->send(from => 'alice@sender.test', to => to($n, 'later.test'), data => text("sasl-$n", "authenticated\n"), $n == 2 ? (mailopt => 'AUTH=alice') : ());
    }
    $c->quit;
    $c = Lab::Smtp->new($port{xclient});
    $c->send(from => 'list@sender.test', mailopt => $_->[1], to => to(3, 'later.test'), data => text("verp-$_->[0]", "verp\n")) for ['default', 'XVERP'], ['given', 'XVERP=-='];
    $c->quit;
}

sub send_all {
    my ($ids, @cases) = @_;
    my %session;
    for my $m (@cases) {
        my $c = $session{ $m->{port} } ||= Lab::Smtp->new($port{ $m->{port} });
        my $id = $c->send(%$m);
        die "case $m->{case} was refused: $c->{last}" unless defined $id;
        $ids->{$id} = $m->{case};
    }
    $_->quit for values %session;
}

# ---- local submission

sub sendmail_cases {
    my $t = "To: a\@later.test\nCc: b\@later.test, c\@later.test\nBcc: d\@later.test\nSubject: local\n";
    return (
        ['plain', "Subject: local\n\nbody\n", 'a@later.test'],
        ['two', "Subject: local\n\nbody\n", 'a@later.test', 'b@later.test'],
        ['nonewline', "Subject: local\n\nbody without newline", 'a@later.test'],
        ['t', "$t\nbody\n", '-t'],
        ['t-nonewline', "$t\nbody without newline", '-t'],
        ['t-plus', "$t\nbody\n", '-t', 'extra@later.test'],
        ['fullname', "Subject: local\n\nbody\n", '-F', 'Full Name of Somebody', 'a@later.test'],
        ['fullname-line-end', "Subject: local\n\nbody\n", '-F', "Full\nName", 'a@later.test'],
        ['sender-line-end', "Subject: local\n\nbody\n", '-f', "oth\ner\@sender.test", 'a@later.test'],
        ['recipient-line-end', "Subject: local\n\nbody\n", "a\r\nb\@later.test"],
        ['sender', "Subject: local\n\nbody\n", '-f', 'other@sender.test', 'a@later.test'],
        ['nullsender', "Subject: local\n\nbody\n", '-f', '<>', 'a@later.test'],
        ['verp', "Subject: local\n\nbody\n", '-f', 'list@sender.test', '-XV+=', 'a@later.test', 'b@later.test'],
        ['notify', "Subject: local\n\nbody\n", '-N', 'success,failure', '-R', 'hdrs', 'a@later.test'],
        ['notify-never', "Subject: local\n\nbody\n", '-N', 'never', '-V', 'envid-of-local', 'a@later.test'],
        ['empty', '', 'a@later.test'],
        ['nul', "Subject: nul\n\na\0b\n", 'a@later.test'],
        ['8bit', "Subject: 8bit\n\n\xe4\xf6\xfc\n", '-B', '8BITMIME', 'a@later.test'],
        ['longline', "Subject: long\n\n" . ('y' x 9000) . "\n", 'a@later.test'],
        ['many', "Subject: many\n\nx\n", map { "m$_\@later.test" } 1 .. 300],
        ['big', "Subject: big\n\n" . filler(300_000), 'a@later.test'],
        ['crlf', "Subject: crlf\r\n\r\nbody\r\n", 'a@later.test'],
        ['dot', "Subject: dot\n\nbefore\n.\nafter\n", 'a@later.test'],
        ['dot-i', "Subject: dot\n\nbefore\n.\nafter\n", '-i', 'a@later.test'],
        ['smtputf8', "Subject: \xc3\xbc\n\nx\n", '-O', 'SMTPUTF8', "gr\xc3\xbc\xc3\x9f\@later.test"],
        ['emptyrcpt', "Subject: x\n\nx\n", ''],
        ['bv', "Subject: verify\n\nx\n", '-bv', 'a@later.test'],
        ['local', "Subject: local user\n\nx\n", 'root'],
        ['folded', "Subject: a\n folded\n\tsubject\nX-Long: " . ('z' x 3000) . "\n\nx\n", 'a@later.test'],
    );
}

sub submit_local {
    my ($lab, $prefix, $strict) = @_;
    for my $s (sendmail_cases()) {
        my ($name, $input, @args) = @$s;
        @args = grep { $_ ne '-O' && $_ ne 'SMTPUTF8' } @args;    # not in this series; UTF-8 is autodetected
        my ($status, $out) = $lab->chroot_run("X-Case: $prefix-$name\n$input", 'sendmail', @args);
        say_step("sendmail $name: status $status: $out") if $status != 0;
    }
}

# ---- putting it together

sub settle {
    my ($lab, $seconds) = @_;
    wait_for('the queue to settle', $seconds, sub {
        $lab->kick('qmgr', 'I');
        my @busy = grep { slurp_head($lab->spool . "/$_") !~ /\@hang\.test/ } $lab->files('active');
        return !@busy && !$lab->files('incoming') && !grep { !/\./ } $lab->files('maildrop');
    });
}

sub slurp_head {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    read $fh, my $head, 2000;
    return defined $head ? $head : '';
}

sub write_tables {
    my ($lab) = @_;
    spew("$lab->{dir}/etc/$_", $table{$_}) for sort keys %table;
}

# What a message is: the name of its case where that can be read from the file.
sub tag_of {
    my ($data, $ids, $id) = @_;
    return $ids->{$id} if $ids && $ids->{$id};
    for (records($data)) { return $1 if substr($data, $_->{data_at}, $_->{len}) =~ /^(?:Subject: .*)?X-Case: ([\w+.-]+)/ }
    return 'warning' if $data =~ /Delayed Mail/;
    return 'bounce'  if $data =~ /Undelivered Mail|Mail Delivery Status/;
    return 'other';
}

sub make_corpus {
    my ($lab, $target) = @_;
    my %ids;
    spawn(sub { Lab::Milter::serve($milter_port) });
    spawn(sub { Lab::Smtp::sink($hang_port, 'hang', 30) });
    spawn(sub { Lab::Smtp::sink($mixed_port, 'mixed', 10) });
    write_tables($lab);

    # With a queue manager: deferred, hold, active, requeued.
    $lab->configure($main, services(1));
    $lab->start;
    say_step('sending by SMTP');
    send_all(\%ids, size_cases(), recipient_cases(), sender_cases(), text_cases(), dsn_cases(), check_cases(), milter_cases(), delivery_cases());
    xclient_mail();
    say_step(scalar(keys %ids), ' messages sent; sending by sendmail');
    submit_local($lab, 'picked');
    settle($lab, 60);
    my %by_case = reverse %ids;
    my @requeue = grep { defined } @by_case{qw(rcpts-3-plain rcpts-3-milter milter-chgheader milter-bodylong size-5000 dsn-9-plain partial-2 milter-addrcpt3)};
    my @hold = grep { defined } @by_case{qw(rcpts-5-plain rcpts-5-milter milter-chgfrom milter-bodyshort size-8192 dsn-3-milter partial-1 milter-delrcpt warned-1)};
    say_step('requeueing and holding some');
    $lab->command('postsuper', map { ('-r', $_) } @requeue);
    $lab->command('postsuper', map { ('-h', $_) } @hold);
    $lab->kick('pickup', 'W');
    settle($lab, 60);
    # Once more from deferred, so that delay warnings are sent and their W records become -1.
    $lab->command('postqueue', '-i', $_) for map { $by_case{$_} } qw(warned-3 partial-5);
    settle($lab, 60);
    send_all(\%ids, hang_cases());
    wait_for('stuck mail in active', 30, sub { $lab->files('active') >= 14 && !$lab->files('incoming') });
    $lab->stop;

    # Without: what arrives stays in incoming, what was active stays there.
    say_step('incoming');
    $lab->configure($main, services(0));
    $lab->start;
    send_all(\%ids, incoming_cases());
    $lab->stop;

    say_step('maildrop');
    submit_local($lab, 'dropped');
    my @late = grep { defined } @by_case{qw(rcpts-10-plain rcpts-10-milter milter-chgheader-tiny milter-bodylong-tiny milter-bodyshort-big size-4096 size-20000 dsn-11-milter partial-50
        milter-addrcpt100 milter-chgfrom-big line-2048 head-many-plain head-huge-milter mime-3)};
    $lab->command('postsuper', map { ('-r', $_) } @late);
    stop_children();
    publish($lab, \%ids, $target);
}

# Moves the tree to its place and writes the list of what is in it.
sub publish {
    my ($lab, $ids, $target) = @_;
    my @rows;
    for my $queue (@queues) {
        for my $path ($lab->files($queue)) {
            my $full = $lab->spool . "/$path";
            my ($id) = $path =~ m{([^/]+)\z};
            my @st = lstat $full;
            my $tag = $queue =~ /^(?:defer|bounce|trace)\z/ ? 'log' : tag_of(slurp($full), $ids, $id);
            push @rows, { path => $path, queue => $queue, case => $tag, size => $st[7], mode => sprintf('%04o', $st[2] & 07777), uid => $st[4] };
        }
    }
    run_ok('rm', '-rf', '--one-file-system', $target);
    rename $lab->spool, $target or die "rename to $target: $!";
    tsv_write("$target.tsv", [qw(path queue case size mode uid)], \@rows);
    my %count;
    $count{ $_->{queue} }++ for @rows;
    my $version = $lab->command('postconf', '-dh', 'mail_version');
    chomp $version;
    spew("$target/.done", join '', "version=$version\n", "mail_owner=$lab->{uid}\n", "postdrop=$lab->{postdrop}\n", map { "$_=$count{$_}\n" } sort keys %count);
    say_step("corpus: ", join ', ', map { "$_ $count{$_}" } sort keys %count);
}

1;
