package Spoolck::Queue;

# Queues of every server with texts of the caller's in them. The structure is right: sizes, counts and
# records agree with the text, whatever the text is.
#
#   my $where = Spoolck::Queue::fill('exim', $root, \@texts);
#
# makes the spool below the new directory $root and returns { id => number of its text }. Texts have
# lines that end in \n. Files are an hour old.

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);
use POSIX ();
use Spoolck ();

our @EXPORT_OK = qw(fill formats);

my %writer = (postfix => \&postfix, exim => \&exim, sendmail => \&sendmail, qmail => \&qmail, opensmtpd => \&opensmtpd, courier => \&courier);
my $old = time - 3600;

sub formats { return sort keys %writer }

sub fill {
    my ($format, $root, $texts) = @_;
    my %where;
    # All but Postfix and qmail end the last line, and put a line of their own before the first.
    $texts = [ map { ($format eq 'sendmail' ? "Received: from localhost\n\tby mx.example.org with SMTP; Fri, 20 Nov 2026 10:00:00 GMT\n" : '') . s/(?<!\n)\z/\n/r } @$texts ] if $format !~ /^(?:postfix|qmail)$/;
    $writer{$format}->($root, $texts, \%where);
    return \%where;
}

sub put {
    my ($path, $bytes, $mode) = @_;
    Spoolck::write_file($path, $bytes);
    utime $old, $old, $path;
    chmod $mode, $path;
}

# A text as (header lines with their folds, body): what a server does that keeps both apart. A line that
# is no header field ends the header, too.
sub split_text {
    my ($text) = @_;
    my @fields;
    while ($text =~ /\G([^\s:]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)/gc) { push @fields, $1 }
    my $at = pos($text) // 0;
    $at++ if substr($text, $at, 1) eq "\n";
    return (\@fields, substr $text, $at);
}

# Lines up to 2,048 bytes in one record, longer ones in several: as cleanup writes them.
sub postfix {
    my ($root, $texts, $where) = @_;
    make_path(map { "$root/$_" } Spoolck::PLACES);
    for my $n (0 .. $#$texts) {
        my $records = '';
        for my $line (split /\n/, $texts->[$n] =~ s/\n\z//r, -1) {
            $records .= Spoolck::record('L', substr $line, 0, 2048, '') while length $line > 2048;
            $records .= Spoolck::record('N', $line);
        }
        my $env = Spoolck::record('T', "$old 123456") . Spoolck::record('A', "create_time=$old") . Spoolck::record('S', 'bob@example.org')
            . Spoolck::record('O', 'alice@example.com') . Spoolck::record('R', 'alice@example.com') . Spoolck::record('M', '');
        my $size = Spoolck::record('C', sprintf '%15d %15d %15d %15d %15d %15d', length $records, 97 + length $env, 1, 0, length $records, 0);
        my $id = Spoolck::put($root, 'deferred', Spoolck::long_id(), $size . $env . $records . Spoolck::record('X', '') . Spoolck::record('E', ''), mtime => $old);
        $where->{$id} = $n;
    }
}

sub base62 {
    my ($n, $width) = @_;
    my ($text, @digit) = ('', 0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    for (1 .. $width) { $text = $digit[$n % 62] . $text; $n = int $n / 62 }
    return $text;
}

sub exim {
    my ($root, $texts, $where) = @_;
    make_path(map { "$root/$_" } qw(input msglog db));
    for my $n (0 .. $#$texts) {
        my ($fields, $body) = split_text($texts->[$n]);
        my $id = base62($old, 6) . '-' . base62($n, 6) . '-00';
        my $longest = 0;
        for (split /\n/, $texts->[$n]) { $longest = length if length > $longest }
        my $lines = $body =~ tr/\n//;
        my $zeros = $body =~ tr/\0//;
        my %letter = (from => 'F', to => 'T', cc => 'C', bcc => 'B', 'reply-to' => 'R', received => 'P', 'message-id' => 'I', sender => 'S');
        my $header = join '', map { sprintf "%03d%s %s", length, $letter{ lc s/\s*:.*//sr } // ' ', $_ } @$fields;
        put("$root/input/$id-H", "$id-H\nDebian-exim 100 102\n<bob\@example.org>\n$old 0\n-received_time_usec .000000\n-received_protocol esmtp\n"
            . "-body_linecount $lines\n-max_received_linelength $longest\n" . ($zeros ? "-body_zerocount $zeros\n" : '') . "XX\n1\nalice\@example.com\n\n$header", 0640);
        put("$root/input/$id-D", "$id-D\n$body", 0640);
        $where->{$id} = $n;
    }
}

sub sendmail {
    my ($root, $texts, $where) = @_;
    make_path($root);
    for my $n (0 .. $#$texts) {
        my ($fields, $body) = split_text($texts->[$n]);
        my $id = sprintf '6AKCZi%02s%06d', base62($n % 60, 2), $n;
        my $header = join '', map { "H??$_" } @$fields;
        put("$root/df$id", $body, 0600);
        put("$root/qf$id", "V8\nT$old\nK0\nN0\nP30000\nFs8\n\$_root\@localhost\nS<bob\@example.org>\nrRFC822; alice\@example.com\nRPFD:<alice\@example.com>\n$header.\n", 0600);
        $where->{$id} = $n;
    }
}

sub qmail {
    my ($root, $texts, $where) = @_;
    make_path(map { my $place = $_; map { "$root/$place/$_" } 0 .. 22 } qw(info local remote mess));
    make_path(map { "$root/$_" } qw(todo intd bounce pid lock));
    for my $n (0 .. $#$texts) {
        my $first = 'Received: (qmail 8 invoked by uid 0); ' . POSIX::strftime('%d %b %Y %H:%M:%S -0000', gmtime $old) . "\n";
        put("$root/new", $first . $texts->[$n], 0644);
        my $inode = (stat "$root/new")[1];
        my $split = $inode % 23;
        rename "$root/new", "$root/mess/$split/$inode" or die "$root/mess/$split/$inode: $!";
        put("$root/info/$split/$inode", "Fbob\@example.org\0", 0600);
        put("$root/local/$split/$inode", "Talice\@example.com\0", 0600);
        $where->{$inode} = $n;
    }
}

sub opensmtpd {
    my ($root, $texts, $where) = @_;
    make_path(map { "$root/$_" } qw(queue incoming purge temporary offline));
    for my $n (0 .. $#$texts) {
        my $id = sprintf '%08x', 0x17a50000 + $n;
        my $dir = "$root/queue/" . substr($id, 0, 2) . "/$id";
        make_path($dir);
        put("$dir/message", "Received: \n\tby mx.example.org (OpenSMTPD) with ESMTP id $id;\n\t" . POSIX::strftime('%a, %d %b %Y %H:%M:%S +0000 (UTC)', gmtime $old) . "\n" . $texts->[$n], 0600);
        put("$dir/${id}5f7de9f9", "version: 3\ndispatcher: relay\ntag: SUBMITTED\ntype: mta\nsmtpname: mx.example.org\nhelo: client.test\nhostname: localhost\nsockaddr: 127.0.0.1\n"
            . "sender: bob\@example.org\nrcpt: alice\@example.com\ndest: alice\@example.com\nctime: $old\nlast-try: 0\nlast-bounce: 0\nttl: 345600\nretry: 0\ndsn-notify: 0\n", 0600);
        make_path("$root/queue/" . substr($id, 0, 2));
        $where->{$id} = $n;
    }
}

# A control file with two names, and the text as submit writes it; the next attempt is an hour away.
sub courier {
    my ($root, $texts, $where) = @_;
    my $next = time + 3600;
    my $entries = "$root/msgq/" . int $next / 10_000;
    make_path($entries, "$root/tmp");
    for my $n (0 .. $#$texts) {
        put("$root/new", '', 0660);
        my $inode = (stat "$root/new")[1];
        my $dir = "$root/msgs/" . $inode % 100;
        my $id = sprintf '%016X.%016X.%08X', $inode, $old, 4000 + $n;
        put("$root/new", join('', map { "$_\n" } 'sbob@example.org', 'fdns; client.test (client.test [127.0.0.1])', 'e', 't', "M$id", 'ralice@example.com',
            'R', 'N', 'ulocal', 'E' . ($old + 7 * 86400), 'p' . ($old + 3 * 86400), 'W' . ($old + 4 * 3600), "A$old", "D0 $old l", "C$old", "A$next"), 0660);
        make_path($dir);
        rename "$root/new", "$dir/C$inode" or die "$dir/C$inode: $!";
        link "$dir/C$inode", "$entries/C$inode.$next" or die;
        put("$dir/D$inode", "Received: from client.test (client.test [127.0.0.1])\n  by lab.test with local\n  id $id; "
            . POSIX::strftime('%a, %d %b %Y %H:%M:%S +0000', gmtime $old) . "\n" . $texts->[$n], 0660);
        $where->{"$inode.$next"} = $n;
    }
}

1;
