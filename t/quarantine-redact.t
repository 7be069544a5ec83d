#!/usr/bin/perl
# export --redact: of every damaged fixture a copy that can be shown to a stranger. No word of the
# text and no address is left, names, sizes, line ends and findings are; a scan of the copy says the same.
# What cannot be proved is refused, and nothing is left behind.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use File::Find ();
use JSON::PP ();
use Spoolck;
use Spoolck::Fixture qw(lay_out);
use Test::More;

my $fixtures = dirname($FindBin::Bin) . '/fixtures';

sub files_of {
    my ($dir) = @_;
    my %bytes;
    File::Find::find({ no_chdir => 1, wanted => sub {
        $bytes{ substr $_, 1 + length $dir } = read_file($_) if -f && !-l;
    } }, $dir);
    return \%bytes;
}

# What may be read in a masked file: the servers' own words, and names of header fields. Anything else that
# is not masked is somebody's.
my %own = map { $_ => 1 } split ' ', <<'END';
    auto auto-submitted case class code content content-type date dest from ident lab long message message-id mime
    mime-version milter received references subject submitted to type utf8 version bit utf x-utf x-case x-lab x-long x-milter x-utf8 x-lab-case x-lab-long x-lab-utf8
    aclc aclm allow_unqualified_recipient allow_unqualified_sender auth_id body_linecount debuglog_name deliver_firsttime
    dsn_envid dsn_ret helo_name host_address host_auth host_auth_pubname host_lookup_deferred interface_address localerror
    max_received_linelength received_protocol received_time_complete received_time_usec tls_cipher tls_ocsp tls_ourcert
    tls_resumption tls_sni tls_ver frozen
    client_address client_address_type client_name client_port create_time dsn_orig_rcpt encoding log_client_address
    log_client_name log_client_port log_helo_name log_ident log_message_origin log_protocol_name notify_flags protocol_name
    reverse_client_name rewrite_context server_address server_port local remote rfc822
    bounce ctime dispatcher dsn dsn-notify dsn-orcpt dsn-ret errorline esc esc-class esc-code hdrs helo hostname last-try mda mta
    mda-subaddress mda-user rcpt retry sender smtpname sockaddr tag ttl mda-exec last last-bounce orcpt notify ret try
    bounce-type bounce-delay bounce-ttl user
    esmtp content-transfer-encoding transfer
END

# Words of four bytes and more that were not masked. A record's type and length may stick to a word, and an address may
# begin with its rank. Courier's M is three hexadecimal numbers, one of them a time, which now and then looks like a word.
sub words_left {
    my ($path, $bytes) = @_;
    my %left;
    $bytes =~ s/^M[0-9A-F]{16}\.[0-9A-F]{16}\.[0-9A-F]{8}$//mg;
    while ($bytes =~ /([A-Za-z_-]{4,})/g) {
        my $word = $1;
        next if $word =~ /^[sR]?[a-z]{1,2}[aA_-]+[A-Za-z]?$/ || $word =~ /^[A-Z]?[A_a-]+[A-Zp]?$/ || index($path, $word) >= 0;
        (my $bare = lc $word) =~ s/^-+//;
        next if $own{$bare} || $own{ substr $bare, 0, -1 } || $own{ substr $bare, 1 } || $bare =~ /^_/;
        $left{$word} = 1;
    }
    my @left = sort keys %left;
    return @left;
}

sub shape { my ($s) = @_; $s =~ s/[A-Za-z0-9\x80-\xff]/x/g; return $s }

my @facts = qw(name severity impact part offset length);
sub facts { return [ map { my $f = $_; join ' ', map { $_ . '=' . ($f->{$_} // '') } @facts } @_ ] }

# Findings that are about a file's name, its place or its neighbours: no copy of the message shows them.
my $elsewhere = qr/^(?:exim\.(?:data-orphan|directory-\w+|data-missing)|opensmtpd\.(?:misplaced|twin|body-missing|body-kind)|courier\.(?:links|folder|copy|control-\w+|unscheduled|submission-old|delay|data-missing))$/;

my ($shown, $refused) = (0, 0);

for my $case (map { dirname($_) } sort glob "$fixtures/{postfix,exim,opensmtpd,courier}/*/name") {
    my ($format) = $case =~ m{/([^/]+)/[^/]+$};
    my ($root, $store, $out) = (scratch() . '/spool', new_store(), scratch());
    eval { lay_out($case, $root) } or next; # it takes root
    my $before = files_of($root);
    for my $path (keys %$before) { # a named queue of Exim is a spool of its own, below the other
        $before->{$1} //= $before->{$path} if $format eq 'exim' && $path =~ m{^[^/]+/(input/.*)};
    }
    my $r = scan('-y', '--max-move', 'none', '--store', $store, "$format:$root");
    my @moved = grep { $_->{action} eq 'moved' } @{ $r->{messages} };
    next unless @moved;

    subtest "$format/" . basename($case) => sub {
        for my $m (@moved) {
            my $e = spoolck('quarantine', '--store', $store, 'export', '--redact', '--format', 'json', '--output', $out,
                $m->{entry});
            my $to = "$out/$m->{entry}.redacted";
            my @said = grep { $_->{id} eq $m->{id} } @{ $r->{findings} };
            if ($e->{status}) {
                # What is compressed cannot be masked byte by byte.
                my $packed = grep { $_->{name} eq 'opensmtpd.gzip' || defined $_->{stream} } @said;
                $refused++;
                is(exit_bits($e), '8', 'refused');
                like($e->{err}, $packed ? qr/not redacted: masking changes the findings / : qr/not redacted: the message alone does not show /,
                    'with the reason');
                is(scalar(grep { $_->{severity} eq 'corrupt' && $_->{name} !~ $elsewhere } @said), $packed,
                    'the damage is not in the message alone') or diag($e->{err}, explain facts(@said));
                is_deeply([ glob "$out/* $out/.s*" ], [], 'nothing is left behind');
                next;
            }
            $shown++;
            my $masked = files_of("$to/spool");
            cmp_ok(scalar keys %$masked, '>', 0, 'there are parts');
            my $all = '';
            for my $path (sort keys %$masked) {
                ok(exists $before->{$path}, "$path has its name") or next;
                is(length $masked->{$path}, length $before->{$path}, '... and its size');
                is(shape($masked->{$path}), shape($before->{$path}), '... blanks, punctuation, controls, line ends')
                    if $before->{$path} !~ /\e|^\x1f\x8b/;
                $all .= $masked->{$path};
                is_deeply([ words_left($path, $masked->{$path}) ], [], '... and no word, no address is left');
                cmp_ok(scalar(() = words_left($path, $before->{$path})), '>', 0, '... where there had been some')
                    if $before->{$path} =~ /\@/;
            }
            my $json = JSON::PP::decode_json(my $text = read_file("$to/findings.json"));
            my %other = map { $_ => 1 } @{ $json->{not_shown} };
            is_deeply([ sort @{ facts(@{ $json->{findings} }) } ],
                [ sort @{ facts(grep { !$other{ $_->{name} } } @said) } ], 'the findings are the same') or diag(explain $json);
            unlike($text, qr/\Q$root\E|\@example|bob\b|alice/, 'and name nobody');
            is_deeply([ grep { $_ !~ $elsewhere } keys %other ], [], 'but for what is about names and places');
        }
    };
}
# What depends on the text itself cannot be shown: a check that finds a word.
subtest 'a finding that masking takes away' => sub {
    my ($spool, $store, $out) = (new_spool(), new_store(), scratch());
    my %as = (program => hostile_program(), env => { SPOOLCK_HOSTILE => 'word' });
    healthy($spool, 'hold') for 1 .. 9;
    my $id = healthy($spool, 'hold', lines => [ 'Subject: findme', '', 'Text.' ]);
    my $r = scan(\%as, '-y', '--store', $store, $spool);
    is($r->{summary}{moved}, 1, 'moved') or diag($r->{out}, $r->{err});
    my $e = spoolck(\%as, 'quarantine', '--store', $store, 'export', '--redact', '--output', $out, $id);
    is(exit_bits($e), '8', 'refused');
    like($e->{err}, qr/not redacted: masking changes the findings \(spool\.zero-filled/, 'with the reason');
    is_deeply([ glob "$out/* $out/.s*" ], [], 'nothing is left behind');

    for my $act (qw(hang flood garbage abort)) {
        $e = spoolck({ %as, env => { SPOOLCK_HOSTILE => $act } }, 'quarantine', '--store', $store, 'export', '--redact',
            '--output', $out, $id);
        is(exit_bits($e), '8', "a worker that does \"$act\": refused");
        is_deeply([ glob "$out/* $out/.s*" ], [], 'nothing is left behind');
    }
};

# Ctrl-C while the text is not masked yet.
subtest 'interrupted' => sub {
    my ($spool, $store, $out, $hit) = (new_spool(), new_store(), scratch(), 0);
    healthy($spool, 'hold') for 1 .. 9;
    my $id = damaged($spool, 'hold');
    is(scan('-y', '--store', $store, $spool)->{summary}{moved}, 1, 'moved');
    my $e;
    for (1 .. 5) { # a busy machine may let us look too late
        $e = spoolck({ program => hostile_program(), env => { SPOOLCK_HOSTILE => 'hang' },
            tick => sub { $hit ||= kill 'INT', $_[0] if glob "$out/.s*/spool/hold/*" } },
            'quarantine', '--store', $store, 'export', '--redact', '--output', $out, $id);
        last if $hit && !defined $e->{status};
        $hit = 0;
    }
    is($hit, 1, 'interrupted');
    is($e->{signal}, 2, 'it ends so');
    is_deeply([ glob "$out/* $out/.s*" ], [], 'and leaves nothing behind');
};

# A log that moved along is text from the first byte to the last; a copy exists once.
subtest 'a log, and what exists' => sub {
    my ($spool, $store, $out) = (new_spool(), new_store(), scratch());
    healthy($spool, 'hold') for 1 .. 9;
    my $id = damaged($spool, 'deferred');
    my $log = path_of($spool, 'deferred', $id) =~ s/^deferred/defer/r;
    mkdir "$spool/" . dirname($log);
    write_file("$spool/$log", "<alice\@example.com>: host mx.example.com said: 451 no\n");
    is(scan('-y', '--store', $store, $spool)->{summary}{moved}, 1, 'moved');
    my @export = ('quarantine', '--store', $store, 'export', '--redact', '--output', $out, $id);
    is(exit_bits(spoolck(@export)), '0', 'redacted');
    is(read_file((glob "$out/*.redacted/spool/$log")[0] // '/dev/null'), "<aaaaa\@aaaaaaa.aaa>: aaaa aa.aaaaaaa.aaa aaaa: 111 aa\n",
        'the log is masked');
    is(exit_bits(spoolck(@export)), '8', 'what exists is not overwritten');
};

cmp_ok($shown, '>=', 30, "$shown fixtures can be shown");
diag("$shown shown, $refused refused");

done_testing();
