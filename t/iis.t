#!/usr/bin/perl
# Queues of IIS SMTP on a volume of NTFS that this test makes: whatever way named streams are reached in, a spool has the
# same findings; a stream that cannot be read whole is unchecked and nothing else; a message leaves and comes back with all its
# streams; and nothing moves before the operator says that the service is stopped. Messages are exported, and layouts learned,
# from the mount and from the volume that is not mounted alike.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Spoolck;
use Spoolck::Layouts;
use Test::More;

if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to mount NTFS') && $> != 0;
    my $tools = system('command -v mkntfs ntfs-3g setfattr >/dev/null 2>&1') == 0;
    if (!$tools && !$ENV{CI}) { plan skip_all => 'no ntfs-3g here' }
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my ($image, $mount, $plain, $store) = (scratch() . '/image', scratch(), scratch(), scratch() . '/store');
open my $f, '>', $image or die;
truncate $f, 64 << 20;
close $f;
if (system("mkntfs -F -Q -c 4096 $image >$image.log 2>&1") != 0 || !mounted('windows')) {
    ok(($ENV{CI} // '') ne 'true', 'an NTFS image, and a mount of it') or diag(read_file("$image.log"));
    done_testing();
    exit;
}

sub unmount { system("umount $mount 2>/dev/null"); return }

sub mounted {
    my ($interface) = @_;
    unmount();
    return system("ntfs-3g -o streams_interface=$interface,umask=077 $image $mount >>$image.log 2>&1") == 0;
}

# Bytes that differ from place to place, with the two addresses of eml() in them.
sub stream {
    my ($n) = @_;
    my $text = "\1\2SMTP:alice\@example.org\0\3bob\@example.net\0";
    return $text . join '', map { chr(1 + ($_ * 7919 + $n >> 3) % 255) } 1 .. $n - length $text;
}

sub eml {
    my ($subject) = @_;
    return "Received: from a by b; Fri, 20 Nov 2026 07:31:00 +0000\r\nFrom: alice\@example.org\r\n"
        . "To: bob\@example.net\r\nSubject: $subject\r\n\r\nHello.\r\n";
}

# Messages, each with its streams: name => [text, { stream => bytes }].
our %queue = (
    'NTFS_01.EML' => [ eml(1), { PROPERTIES => stream(600) } ],
    'NTFS_02.EML' => [ eml(2), { PROPERTIES => stream(60_000), 'PROPERTIES-LIVE' => stream(700) } ],
    'NTFS_03.EML' => [ eml(3), { PROPERTIES => "\0" x 900 } ],
    'NTFS_04.EML' => [ eml(4), { PROPERTIES => stream(1024) . "\0" x 2048 } ],
    'NTFS_05.EML' => [ eml(5), {} ],
    'NTFS_06.EML' => [ eml(6), { properties => '' } ],
    'NTFS_07.EML' => [ eml(7), { PROPERTIES => "regf" . stream(600), Zone => "\0" x 600 } ],
    'ntfs_08.eml' => [ eml(8) . "x\r\n" x 3000 . "\0" x 4096, { PROPERTIES => stream(600) } ],
    'NTFS_09.EML' => [ eml(9), { PROPERTIES => eml('another') } ],
);
my %expected = (
    'NTFS_01.EML' => 'ok', 'NTFS_02.EML' => 'ok',
    'NTFS_03.EML' => 'corrupt iis.property-zeros/PROPERTIES',
    'NTFS_04.EML' => 'suspect iis.property-zero-tail/PROPERTIES',
    'NTFS_05.EML' => 'suspect iis.property-missing',
    'NTFS_06.EML' => 'suspect iis.property-empty/PROPERTIES',
    'NTFS_07.EML' => 'suspect iis.property-foreign/PROPERTIES iis.stream-zeros/another',
    'ntfs_08.eml' => 'corrupt iis.text-zeros',
    'NTFS_09.EML' => 'suspect iis.property-foreign/PROPERTIES',
);

# Write the messages in one of the ways in which streams are kept; false when this file system does not take it.
sub lay_out {
    my ($root, $way) = @_;
    mkdir $_ for $root, map { "$root/$_" } qw(Queue Pickup Badmail Drop);
    for my $name (sort keys %queue) {
        my ($text, $streams) = @{ $queue{$name} };
        my $path = "$root/Queue/$name";
        write_file($path, $text);
        for my $s (sort keys %$streams) {
            put_stream($path, $s, $streams->{$s}, $way) or return 0;
        }
        utime time - 3600, time - 3600, glob "$path*";
    }
    return 1;
}

sub put_stream {
    my ($path, $name, $bytes, $way) = @_;
    if ($way eq 'file') { write_file("$path:$name", $bytes); return 1 }
    my $attribute = $way eq 'samba' ? "user.DosStream.$name:\$DATA" : "user.$name";
    my $value = '0x' . unpack 'H*', $bytes;
    return system('setfattr', '-n', $attribute, '-v', $value, $path) == 0 if length $bytes < 60_000;
    return 0;
}

# { name => "verdict finding/stream..." }
sub findings {
    my ($r) = @_;
    my %got = map { $_->{id} => $_->{verdict} } @{ $r->{messages} };
    for my $f (sort { $a->{name} cmp $b->{name} } grep { defined $_->{id} } @{ $r->{findings} }) {
        $got{ $f->{id} } .= " $f->{name}" . (defined $f->{stream} ? "/$f->{stream}" : '');
    }
    return \%got;
}

sub note_of { my ($r) = @_; return join ' ', map { $_->{text} } @{ $r->{notes} } }
sub way_of { my ($r) = @_; return $r->{start}{spools}[0]{streams} // '' }

my @look = ('-n', '--all', '--store', $store);

lay_out("$mount/Mailroot", 'file') or die;
subtest 'ntfs-3g, streams_interface=windows' => sub {
    my $r = scan(@look, "$mount/Mailroot");
    is_deeply(findings($r), \%expected, 'the findings') or diag($r->{out}, $r->{err});
    is(exit_bits($r), '4', 'the exit status');
    like(way_of($r), qr/FILE:NAME.*streams_interface=windows/, 'the way is named');
    is_deeply($r->{notes}, [], 'there is nothing to note');
};

subtest 'ntfs-3g, streams_interface=xattr' => sub {
    mounted('xattr') or die;
    my $r = scan(@look, "$mount/Mailroot");
    is_deeply(findings($r), \%expected, 'the same findings') or diag($r->{out}, $r->{err});
    like(way_of($r), qr/user\.NAME/, 'the way is named');
};

subtest 'streams that are hidden' => sub {
    mounted('none') or die;
    my $r = scan(@look, "$mount/Mailroot");
    is_deeply(findings($r), { (map { $_ => 'ok' } keys %queue), 'ntfs_08.eml' => 'corrupt iis.text-zeros' },
        'the text alone, and nothing is missed that cannot be seen') or diag($r->{out});
    like(note_of($r), qr/hidden by this mount.*streams_interface=windows/, 'which is said, with the remedy');
};

subtest 'side files, and attributes of Samba' => sub {
    lay_out("$plain/side", 'file') or die;
    my $r = scan(@look, "$plain/side");
    is_deeply(findings($r), \%expected, 'side files: the same findings') or diag($r->{out}, $r->{err});
    like(way_of($r), qr/side files/, 'the way is named');

    local $queue{'NTFS_02.EML'} = [ eml(2), { PROPERTIES => stream(700) } ];
    SKIP: {
        skip 'this file system takes no such attributes', 2 if !lay_out("$plain/samba", 'samba');
        $r = scan(@look, "$plain/samba");
        is_deeply(findings($r), \%expected, "Samba's: the same findings") or diag($r->{out}, $r->{err});
        like(way_of($r), qr/DosStream/, 'the way is named');
    }
};

subtest 'a copy without streams' => sub {
    local %queue = map { $_ => [ $queue{$_}[0], {} ] } keys %queue;
    lay_out("$plain/bare", 'file') or die;
    my $r = scan(@look, "$plain/bare");
    is_deeply([ grep { $_->{name} =~ /property/ } @{ $r->{findings} } ], [], 'no message is blamed for it');
    like(note_of($r), qr/No named stream.*not looked at/, 'but it is said');
};

# Sizes around that which attributes can carry.
subtest 'large streams' => sub {
    mounted('windows') or die;
    my $root = "$mount/large";
    mkdir $_ for $root, map { "$root/$_" } qw(Queue Pickup);
    my %size = (600 => 0, 65_535 => 0, 65_536 => 0, 65_537 => 1, 1 << 20 => 1);
    for my $n (keys %size) {
        write_file("$root/Queue/NTFS_$n.EML", eml($n));
        write_file("$root/Queue/NTFS_$n.EML:PROPERTIES", substr(stream($n), 0, $n - 3) . "\0\0\0");
        utime time - 3600, time - 3600, "$root/Queue/NTFS_$n.EML";
    }
    is_deeply(findings(scan(@look, $root)), { map { ("NTFS_$_.EML" => 'ok') } keys %size }, 'by name: all are sound');
    mounted('xattr') or die;
    my $r = scan(@look, $root);
    is_deeply(findings($r), { map { ("NTFS_$_.EML" => $size{$_} ? 'unchecked' : 'ok') } keys %size },
        'as attributes: those of more than 64 KiB are unchecked') or diag($r->{out});
    is(exit_bits($r), '8', 'which the exit status says');
    my ($why) = map { $_->{reason} } grep { $_->{verdict} eq 'unchecked' } @{ $r->{messages} };
    like($why, qr/64 KiB.*streams_interface=windows/, 'with the remedy');
    mounted('windows') or die;
};

subtest 'streams longer than what is read, and than any can be' => sub {
    my $root = scratch() . '/Mailroot';
    mkdir $_ or die "$_: $!" for $root, map { "$root/$_" } qw(Queue Pickup Drop Badmail);
    for (['NTFS_0a.EML', 20 << 20], ['NTFS_0b.EML', (1 << 32) - 1], ['NTFS_0c.EML', 1 << 32]) {
        my ($name, $size) = @$_;
        write_file("$root/Queue/$name", "From: a\@example.org\r\nTo: b\@example.org\r\n\r\nx\r\n");
        write_file("$root/Queue/$name:PROPERTIES", '');
        truncate "$root/Queue/$name:PROPERTIES", $size or die "truncate: $!"; # a hole
        utime time - 7200, time - 7200, "$root/Queue/$name", "$root/Queue/$name:PROPERTIES";
    }
    my $long = scan(@look, "iis:$root");
    is_deeply({ map { $_->{id} => $_->{verdict} } @{ $long->{messages} } },
        { 'NTFS_0a.EML' => 'unchecked', 'NTFS_0b.EML' => 'unchecked', 'NTFS_0c.EML' => 'corrupt' }, 'streams too long to be read, and too long to be');
    is(join(' ', map { "$_->{name} $_->{stream} $_->{length}" } @{ $long->{findings} }), 'iis.property-long PROPERTIES 4294967296', 'which is said');
    like(spoolck('explain', "iis:$root:NTFS_0c.EML")->{out}, qr/iis\.property-long|longer than 4 GiB/, 'and explained');
};

subtest 'sparse and compressed streams' => sub {
    my $root = "$mount/odd";
    mkdir $_ for $root, map { "$root/$_" } qw(Queue Pickup);
    mkdir "$root/packed";
    my $compressed = "\x00\x08\x00\x00"; # FILE_ATTRIBUTE_COMPRESSED, of a directory: new files are
    system('setfattr', '-h', '-n', 'system.ntfs_attrib', '-v', '0x' . unpack('H*', $compressed), "$root/Queue");
    write_file("$root/Queue/NTFS_packed.EML", eml('packed'));
    write_file("$root/Queue/NTFS_packed.EML:PROPERTIES", stream(700) . 'packed ' x 20_000);
    write_file("$root/Queue/NTFS_sparse.EML", eml('sparse'));
    write_file("$root/Queue/NTFS_sparse.EML:PROPERTIES", '');
    open my $out, '+<', "$root/Queue/NTFS_sparse.EML:PROPERTIES" or die "sparse: $!";
    truncate $out, 300_000;
    close $out;
    utime time - 3600, time - 3600, $_ for glob "$root/Queue/*.EML";
    my $r = scan(@look, $root);
    is_deeply(findings($r), { 'NTFS_packed.EML' => 'ok',
        'NTFS_sparse.EML' => 'corrupt iis.property-zeros/PROPERTIES' }, 'read as any other') or diag($r->{out});
};

subtest 'nothing moves before the service is said to be stopped' => sub {
    my $r = scan('-y', '--store', $store, "$mount/Mailroot");
    is($r->{summary}{moved}, 0, 'scan -y moves nothing');
    like($r->{messages}[0]{reason}, qr/--offline/, 'and says what is needed');
    ok(-e "$mount/Mailroot/Queue/NTFS_03.EML", 'it is there');
    like(spoolck('quarantine', '--store', $store, 'add', "$mount/Mailroot:NTFS_01.EML")->{err}, qr/server-running/,
        'nor does quarantine add');
};

subtest 'a volume on which everybody may write' => sub {
    unmount();
    system("ntfs-3g -o streams_interface=windows $image $mount >>$image.log 2>&1") == 0 or die;
    my $r = scan('-y', '--offline', '--max-move', 'none', '--store', $store, "$mount/Mailroot");
    is($r->{summary}{moved}, 0, 'is no place for a quarantine');
    like(join(' ', map { $_->{reason} // '' } @{ $r->{messages} }), qr/umask=077/, 'and what helps is said');
    mounted('windows') or die;
};

subtest 'explained' => sub {
    my $root = "$plain/explain";
    mkdir $_ for $root, map { "$root/$_" } qw(Queue Pickup);
    my $wide = join '', map { "$_\0" } split //, 'carol';
    write_file("$root/Queue/NTFS_1.EML", eml('explained'));
    write_file("$root/Queue/NTFS_1.EML:PROPERTIES", "\xff\xfe" . pack('V2', 0x1002, 7) . "SMTP:alice\@example.org\0\xff$wide\0");
    for my $file ("$root/Queue/NTFS_1.EML", "$root:NTFS_1.EML", "$root/Queue/NTFS_1.EML:PROPERTIES") {
        my $r = spoolck('explain', $file);
        is(exit_bits($r), '0', $file =~ s{.*/}{}r) or diag($r->{err});
        like($r->{out}, qr/^ +0 +\d+  stream +PROPERTIES, \d+ bytes; the layout is not published$/m, 'the stream');
        like($r->{out}, qr/^ +2 +4 +id +MP_SENDER_ADDRESS_SMTP \(ansi\)$/m, 'a published id');
        like($r->{out}, qr/^ +10 +22 +text +SMTP:alice\@example\.org$/m, 'text');
        like($r->{out}, qr/^ +34 +10 +text \(UTF-16\) +carol$/m, 'text in UTF-16');
    }
};

# What an export of SPOOL:ID wrote: text and streams, { '' => text, ':PROPERTIES' => bytes }.
sub exported {
    my ($spool, $id) = @_;
    my $to = scratch();
    my $r = spoolck('quarantine', '--store', "$store.none", 'export', '--output', $to, "iis:$spool:$id");
    return ($r, { map { (s{.*\.eml}{}r => read_file($_)) } glob "$to/*.eml $to/*.eml:*" }, glob "$to/*.json");
}

sub digests { my ($bytes) = @_; return { map { $_ => length($bytes->{$_}) . ' ' . sha256_hex($bytes->{$_}) } keys %$bytes } }
sub digest_of { my ($path) = @_; return Digest::SHA->new(256)->addfile($path)->hexdigest }

subtest 'exported' => sub {
    my %volume = ('the mount' => "$mount/Mailroot", 'attributes' => "$mount/Mailroot", 'side files' => "$plain/side",
        'the volume' => "$image/Mailroot");
    my $want = sub {
        my ($id) = @_;
        my ($text, $streams) = @{ $queue{$id} };
        return { '' => $text, map { (":$_" => $streams->{$_}) } keys %$streams };
    };
    for my $way ('the mount', 'side files', 'attributes', 'the volume') {
        mounted('xattr') or die if $way eq 'attributes';
        unmount() if $way eq 'the volume';
        my $digest = $way eq 'the volume' ? digest_of($image) : '';
        my $before = snapshot($way eq 'the volume' ? $plain : $volume{$way});
        for my $id (sort keys %queue) {
            my ($r, $got, $envelope) = exported($volume{$way}, $id);
            is(exit_bits($r), '0', "$way: $id") or diag($r->{err});
            is_deeply(digests($got), digests($want->($id)), '... text and streams, byte by byte');
            my $json = JSON::PP::decode_json(read_file($envelope));
            is(join(' ', sort map { $_->{name} } @{ $json->{findings} }),
                join(' ', $expected{$id} =~ m{([a-z]+\.[a-z-]+)}g), '... and what is wrong with it');
        }
        same_tree($before, snapshot($way eq 'the volume' ? $plain : $volume{$way}), "$way: all is as it was");
        is(digest_of($image), $digest, 'to the last byte') if $digest;
    }
    my ($r, $got) = exported("$image/large", 'NTFS_1048576.EML');
    ok($got->{':PROPERTIES'} eq substr(stream(1 << 20), 0, (1 << 20) - 3) . "\0\0\0", 'a stream of 1 MiB of the volume');
    mounted('xattr') or die;
    ($r, $got) = exported("$mount/large", 'NTFS_1048576.EML');
    is(exit_bits($r), '8', 'as an attribute it cannot be read');
    like($r->{err}, qr/cannot read its stream PROPERTIES: .*64 KiB/, 'and why');
    is_deeply([ keys %$got ], [''], 'no half of it is left');
    like($got->{''}, qr/\A\n\[spoolck: .*64 KiB.*streams_interface=windows\]\n\z/, 'the file tells the remedy, too');
    mounted('none') or die;
    ($r, $got) = exported("$mount/Mailroot", 'NTFS_01.EML');
    like($r->{out}, qr/^  streams   .*hidden by this mount.*streams_interface=windows/m, 'streams that are hidden: it is said') or diag($r->{out}, $r->{err});
    mounted('windows') or die;
};

# Invented blocks as in layout.t; here they lie in real streams.
subtest 'a layout that is learned' => sub {
    my ($family, @roots) = ('chain12', "$mount/Layouts", "$image/Layouts", "$plain/Layouts");
    my $messages = messages($family, 40, 7);
    for my $root (@roots[ 0, 2 ]) {
        mkdir $_ or die "$_: $!" for $root, map { "$root/$_" } qw(Queue Pickup);
        write_spool("$root/Queue", $messages);
        utime time - 3600, time - 3600, glob "$root/Queue/*";
    }
    my %learned = map { $_ => spoolck('learn-layout', "iis:$_") } @roots[ 0, 2 ];
    unmount();
    $learned{ $roots[1] } = spoolck('learn-layout', "iis:$roots[1]");
    is(exit_bits($learned{$_}), '0', "$_: learned") or diag($learned{$_}{err}) for @roots;
    like($learned{ $roots[0] }{out}, qr/^# explained:    40 /m, 'from all messages');
    is($learned{$_}{out}, $learned{ $roots[0] }{out}, "$_: the same") for @roots[ 1, 2 ];
    like(spoolck('learn-layout', "iis:$image/Mailroot")->{err}, qr/^spoolck: 6 messages with a property stream: at least/, 'six are too few');

    write_file(my $layout = "$plain/layout", $learned{ $roots[0] }{out});
    my @by = ('--layout', $layout);
    my $bad = $messages->[17];
    my ($length) = grep { $_->{kind} eq 'entry.length' } @{ $bad->{fields} };
    my $look = sub {
        my ($root) = @_;
        my $r = scan(@look, @by, $root);
        is($r->{summary}{messages}, 40, "$root: all messages") or diag($r->{out}, $r->{err});
        return { map { ($_->{id} => "$_->{name} $_->{severity} $_->{stream} $_->{offset}") } grep { $_->{severity} ne 'notice' } @{ $r->{findings} } };
    };
    is_deeply($look->($roots[1]), {}, 'the volume: no false alarm');
    mounted('windows') or die;
    is_deeply($look->($roots[0]), {}, 'nor on the mount');
    substr $bad->{stream}, $length->{at}, 4, pack 'V', 0x80000000 | $length->{value};
    write_file("$mount/Layouts/Queue/$bad->{name}:PROPERTIES", $bad->{stream});
    utime time - 3600, time - 3600, "$mount/Layouts/Queue/$bad->{name}";
    my $found = $look->($roots[0]);
    is_deeply([ keys %$found ], [ $bad->{name} ], 'a size that is made wrong is found');
    like($found->{ $bad->{name} }, qr/^iis\.property-size suspect PROPERTIES \d+$/, 'as suspect');
    unmount();
    is_deeply($look->($roots[1]), $found, 'the same on the volume');
    my $verify = spoolck('learn-layout', '--verify', $layout, "iis:$roots[1]");
    is(exit_bits($verify), '4', 'learn-layout --verify of the volume');
    like($verify->{out}, qr/^\Q$bad->{name}\E: suspect.*\n40 messages, 39 explained, 1 contradict/m, 'names the one') or diag($verify->{out}, $verify->{err});
    mounted('windows') or die;
};

# All that a message has, by stream.
sub facts {
    my ($path) = @_;
    return { map { $_ => -e "$path$_" ? sha256_hex(read_file("$path$_")) : 'absent' } '', ':PROPERTIES', ':Zone',
        ':PROPERTIES-LIVE' };
}

subtest 'there and back' => sub {
    my $path = "$mount/Mailroot/Queue/NTFS_03.EML";
    write_file("$path:huge", stream(1 << 20));
    utime time - 3600, time - 3600, $path;
    my $before = facts($path);
    {
        my $args = [ '--store', $store, '--offline' ];
        my $r = scan('-y', '--max-move', 'none', @$args, "$mount/Mailroot");
        is($r->{summary}{moved}, 2, 'two are moved') or diag($r->{out}, $r->{err});
        ok(!-e $path && !-e "$path:PROPERTIES", 'with their streams');
        my ($entry) = glob "$store/entries/*NTFS_03*";
        my $manifest = JSON::PP::decode_json(read_file("$entry/manifest.json"));
        is_deeply({ map { $_->{name} => $_->{sha256} } @{ $manifest->{parts}[0]{streams} } },
            { PROPERTIES => $before->{':PROPERTIES'}, huge => sha256_hex(stream(1 << 20)) },
            'the manifest has the digest of each');
        is(exit_bits(spoolck('quarantine', '--store', $store, 'verify')), '0', 'and they are so');
        $r = scan('-n', @$args, "$mount/Mailroot");
        is($r->{summary}{corrupt}, 0, 'a second look finds nothing corrupt');
        my $out = scratch();
        is(exit_bits($r = spoolck('quarantine', '--store', $store, 'export', '-o', $out, 'NTFS_03.EML')), '0', 'exported') or diag($r->{err});
        is_deeply({ map { (s{.*\.eml}{}r => sha256_hex(read_file($_))) } glob "$out/*.eml $out/*.eml:*" },
            { '' => $before->{''}, ':PROPERTIES' => $before->{':PROPERTIES'}, ':huge' => sha256_hex(stream(1 << 20)) }, 'with its streams');
        is(exit_bits($r = spoolck('quarantine', '--store', $store, 'export', '--redact', '-o', $out, 'ntfs_08.eml')), '0',
            'a copy for others can be had') or diag($r->{err});
        my $files = join '', map { read_file($_) } glob "$out/*/spool/*/*";
        cmp_ok(length $files, '>', 13_700, 'of the text and its streams');
        unlike($files, qr/alice|example|SMTP:/, 'in which nobody is named');
        like(spoolck('quarantine', '--store', $store, 'restore', '--force', 'NTFS_03.EML')->{err}, qr/--offline/,
            'it does not come back either, before the service is stopped');
        $r = spoolck('quarantine', @$args, 'restore', '--force', 'NTFS_03.EML', 'ntfs_08.eml');
        is(exit_bits($r), '2', 'restored') or diag($r->{err});
        is_deeply(facts($path), $before, 'byte by byte');
        ok(read_file("$path:huge") eq stream(1 << 20), 'and the large stream');
    }
    {   # The store on the volume itself: by renames alone.
        my @near = ('--store', "$mount/store", '--offline');
        my $r = scan('-y', '--max-move', 'none', @near, "$mount/Mailroot");
        is($r->{summary}{moved}, 2, 'a store on the volume: two are moved') or diag($r->{out}, $r->{err});
        is(exit_bits(spoolck('quarantine', @near, 'verify')), '0', 'sound');
        is(exit_bits($r = spoolck('quarantine', @near, 'restore', '--force', 'NTFS_03.EML', 'ntfs_08.eml')), '2', 'restored') or diag($r->{err});
        is_deeply(facts($path), $before, 'byte by byte');
    }
    my ($before_side, $side) = (snapshot("$plain/side"), "$plain/side");
    my $r = scan('-y', '--max-move', 'none', '--store', $store, '--offline', $side);
    is($r->{summary}{moved}, 2, 'side files: moved') or diag($r->{out}, $r->{err});
    is_deeply([ glob "$side/Queue/*0[38].*" ], [], 'with the side files');
    is(exit_bits(spoolck('quarantine', '--store', $store, '--offline', 'restore', '--force', 'NTFS_03.EML', 'ntfs_08.eml')), '2',
        'restored');
    same_tree($before_side, snapshot($side), 'everything is back');
};

# A stream whose name is damaged may be the one that seems to be missing.
subtest 'streams that a damaged volume does not show' => sub {
    unmount();
    my $raw = read_file($image);
    my ($name, $bad) = map { join '', map { "$_\0" } split // } 'PROPERTIES', 'PR/PERTIES';
    $raw =~ s/\Q$name\E/$bad/g;
    write_file("$image.bad", $raw);
    my $got = findings(scan(@look, "iis:$image.bad/Mailroot"));
    my %want = map { $_ => 'unchecked' } keys %queue;
    $want{$_} = $expected{$_} for 'NTFS_05.EML', 'NTFS_06.EML';
    is_deeply($got, \%want, 'are not taken for missing');
    write_file(my $layout = "$plain/any-layout", "[header]\nsize = 0\n[entry]\nsize = 12\nid = 0:4\noffset = 4:4\nlength = 8:4\n");
    my $verify = spoolck('learn-layout', '--verify', $layout, "iis:$image.bad/Mailroot");
    is(exit_bits($verify), '8', 'nor passed over in silence when a layout is tried');
    like($verify->{err}, qr/7 messages cannot be read: the file system is damaged there/, 'how many, and why') or diag($verify->{out});
    like($verify->{out}, qr/^Not tried: 2 without a stream of at most 32 KiB\.$/m, 'and which have nothing to try');
    unlink "$image.bad";
    mounted('windows') or die;
};

# More names than are handed on at once, on a volume that is asked other things in between.
subtest 'a folder of many files' => sub {
    my ($root, $n) = ('Many', 22_000);
    mkdir $_ for "$mount/$root", map { "$mount/$root/$_" } qw(Queue Pickup Badmail);
    write_file("$mount/$root/Badmail/$_.BDP", 'x') for 1 .. $n;
    unmount();
    my $r = scan(@look, "iis:$image/$root");
    is(exit_bits($r), '0', 'all of it can be read') or diag(note_of($r));
    my %orphans = map { $_->{part} => 1 } grep { $_->{name} eq 'iis.badmail-orphan' } @{ $r->{findings} };
    is(scalar keys %orphans, $n, 'and each file is met');
    mounted('windows') or die;
};

subtest 'names of streams that the operator chooses' => sub {
    my $r = scan(@look, '--streams', 'Zone', "$plain/side");
    is(findings($r)->{'NTFS_07.EML'}, 'corrupt iis.property-zeros/Zone', 'another stream is the one that counts');
    is(findings($r)->{'NTFS_03.EML'}, 'suspect iis.property-missing iis.stream-zeros/another', 'and the usual ones are noted');
    is(exit_bits(spoolck('scan', '--streams', 'a:b', "$plain/side")), '16', 'a name that none can have');
};

subtest 'where the folders are' => sub {
    my $exchange = "$plain/Exchsrvr/Mailroot";
    mkdir $_ for "$plain/Exchsrvr", $exchange;
    for my $n (1, 2) {
        mkdir $_ for "$exchange/vsi $n", map { "$exchange/vsi $n/$_" } qw(Queue PICKUP BadMail);
        write_file("$exchange/vsi $n/Queue/NTFS_$n.EML", "\0" x 900);
        utime time - 3600, time - 3600, "$exchange/vsi $n/Queue/NTFS_$n.EML";
    }
    my $r = scan(@look, $exchange);
    is_deeply([ map { $_->{path} =~ s{.*/}{}r } @{ $r->{start}{spools} } ], [ 'vsi 1', 'vsi 2' ], 'each virtual server is a spool');
    is_deeply(findings($r), { map { ("NTFS_$_.EML" => 'corrupt iis.text-zeros') } 1, 2 }, 'that is looked at');
    mkdir $_ for "$plain/TransportRoles", map { "$plain/TransportRoles/$_" } qw(Pickup Replay data);
    write_file("$plain/TransportRoles/Replay/x.eml", eml('x'));
    utime time - 3600, time - 3600, "$plain/TransportRoles/Replay/x.eml";
    $r = scan(@look, "$plain/TransportRoles");
    is(findings($r)->{'x.eml'}, 'suspect iis.replay-syntax iis.replay-syntax', 'Exchange 2007 and later');

    mkdir $_ for "$mount/TransportRoles", map { "$mount/TransportRoles/$_" } qw(Pickup Replay);
    write_file("$mount/TransportRoles/Replay/y.eml", "\0" x 900);
    utime time - 3600, time - 3600, "$mount/TransportRoles/Replay/y.eml";
    unmount();
    like(spoolck('scan', "iis:$image/TransportRoles")->{out},
        qr{net stop MSExchangeTransport\n.*move /-Y "X:\\TransportRoles\\Replay\\y\.eml".*net start MSExchangeTransport\n}s, 'whose service is another one');
};

done_testing();
END { local $?; system("umount -l $mount 2>/dev/null") if $ENV{SPOOLCK_NS} && $mount }
