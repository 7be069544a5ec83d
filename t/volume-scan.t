#!/usr/bin/perl
# Spools on NTFS volumes that are not mounted: the same findings as through a mount, never a byte written, doubts
# and refusals said, and whatever becomes of the process that reads the file system, the run goes on.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA;
use Spoolck;
use Test::More;

if ($> != 0 || !$ENV{SPOOLCK_NS}) {
    plan skip_all => 'mounting needs root' if !need_root('to mount NTFS') && $> != 0;
    my $tools = !grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(mkntfs ntfs-3g ntfsfix sfdisk);
    if (!$tools && !$ENV{CI}) { plan skip_all => 'no ntfs-3g or sfdisk here' }
    $ENV{SPOOLCK_NS} = 1;
    exec private_mounts(), $^X, $0 or die "unshare: $!";
}

my ($work, $dir) = (scratch(), scratch());
my $volume = "$work/volume";
$ENV{PATH} .= ':/usr/sbin:/sbin';

sub run_ok { my @command = @_; return system("@command >>$work/log 2>&1") == 0 }
sub mounted { my ($more) = @_; return run_ok("ntfs-3g -o streams_interface=windows$more $volume $dir") }
sub digest { my ($path) = @_; return Digest::SHA->new(256)->addfile($path)->hexdigest }

# Findings and verdicts without what differs between two ways to one spool.
sub told {
    my ($r) = @_;
    return [ sort map { my %f = %$_; join ' ', map { "$_=" . ($f{$_} // '-') } qw(id name severity impact part offset length expected found) }
            @{ $r->{findings} } ];
}

open my $f, '>', $volume or die;
truncate $f, 32 << 20;
close $f;
if (!run_ok("mkntfs -F -Q -c 4096 $volume") || !mounted(',permissions')) {
    ok(($ENV{CI} // '') ne 'true', 'an NTFS image, and a mount of it') or diag(read_file("$work/log"));
    done_testing();
    exit;
}
my $there = "$dir/Mail/spool";
my $spool = "$volume/Mail/spool";
mkdir "$dir/Mail";
mkdir $_ or die "$_: $!" for $there, map { "$there/$_" } PLACES;
healthy($there, 'hold') for 1 .. 200;
my @bad = map { damaged($there, 'incoming') } 1 .. 3;
my $bad_size = -s in_place($bad[0]);
write_file(in_place($bad[1]), "\0" x 5000);
write_file(in_place($bad[2]), 'x' x (3 << 20)); # more than one window
chmod 0700, map { in_place($_) } @bad;
sub in_place { return "$there/incoming/$_[0]" }
my $mounted = scan("postfix:$there");

# What an export of SPOOL:ID writes: ending => bytes.
sub exported {
    my ($where, $id, %how) = @_;
    my $to = scratch();
    my $r = spoolck(\%how, 'quarantine', 'export', '--store', new_store(), '--output', $to, "postfix:$where:$id");
    my %files = map { (s{.*/\Q$id\E}{}r => read_file($_)) } glob "$to/*";
    $files{'.json'} =~ s{\Q$_\E}{}g for $files{'.json'} ? ($to, $where) : (); # paths differ
    return ($r, \%files);
}
my %exported = map { $_ => [ exported($there, $_) ] } @bad;

subtest 'a volume that is mounted' => sub {
    my $r = scan("postfix:$spool");
    is(exit_bits($r), '8', 'is refused');
    like($r->{out} . $r->{err}, qr/is mounted at \Q$dir\E for writing/, 'with the reason') or diag($r->{out});
    run_ok("umount $dir");
    mounted(',ro') or die;
    is(exit_bits(scan("postfix:$spool")), '4', 'when it is mounted read-only, it is read');
};
run_ok("umount $dir") or die;
my $digest = digest($volume);

subtest 'the same findings' => sub {
    my $raw = scan('--all', "postfix:$spool");
    is($mounted->{summary}{messages}, 203, 'all messages');
    is_deeply(told($raw), told($mounted), 'on the mount and on the volume');
    is_deeply({ %{ $raw->{summary} }{qw(messages ok corrupt unchecked bytes exit)} },
        { %{ $mounted->{summary} }{qw(messages ok corrupt unchecked bytes exit)} }, 'and the same figures');
    is_deeply(told(scan($spool)), told($mounted), 'the format is recognised');
    is_deeply(told(scan("$volume\@0/MAIL/Spool")), told($mounted), 'with an offset, and in another case');
};

subtest 'nothing is written' => sub {
    my $store = new_store();
    for my $how (qw(-p -y)) {
        my $r = scan($how, '--store', $store, $spool);
        is(exit_bits($r), '4', "$how: the damage stays");
        is($r->{summary}{moved}, 0, 'nothing is moved');
        is_deeply([ sort map { $_->{reason} // '' } grep { $_->{verdict} eq 'corrupt' && $_->{action} ne 'none' } @{ $r->{messages} } ],
            [ ('the volume is not mounted, and nothing is ever written to one') x 3 ], 'and why') or diag($r->{out});
    }
    my $r = spoolck('quarantine', '--store', $store, 'add', "postfix:$spool:$bad[0]");
    isnt(exit_bits($r), '0', 'quarantine add is refused, too');
    like($r->{err}, qr/volumes that are not mounted are only looked at/, 'with the reason') or diag($r->{out});
    for my $id (@bad) {
        ($r, my $files) = exported($spool, $id);
        is(exit_bits($r), '0', 'a message is exported') or diag($r->{err});
        is_deeply([ sort keys %$files ], [ '.eml', '.json' ], 'text and envelope');
        is_deeply($files, $exported{$id}[1], 'which are those of the mount');
    }
    like($exported{ $bad[0] }[1]{'.eml'}, qr/\A.*\n.*\[spoolck: the text cannot be reached beyond this point: postfix\.\S+\]\n\z/s, 'the end of a text is missing');
    is(digest($volume), $digest, 'no byte of the volume is altered');
};

subtest 'what is to be done' => sub {
    my $r = spoolck('scan', $spool);
    like($r->{out}, qr/net stop SMTPSVC/, 'stop the service');
    like($r->{out}, qr{move /-Y "X:\\Mail\\spool\\incoming\\$bad[0]" "X:\\spoolck\\"}, 'and move the file') or diag($r->{out});
    unlike($r->{out}, qr/spoolck scan -[py]/, 'not with us');
    like($r->{out}, qr/spoolck quarantine export SPOOL:ID/, 'what can be saved here');
    $r = spoolck('explain', "postfix:$spool:$bad[0]");
    like($r->{out}, qr/message text/, 'explain reads it') or diag($r->{out}, $r->{err});
    $r = spoolck('explain', "postfix:$spool/incoming/$bad[0]");
    like($r->{out}, qr/message text/, 'by its path, too') or diag($r->{out}, $r->{err});
    like(spoolck('spools', $spool)->{out}, qr/^\Q$spool\E: Postfix/, 'spools names it');
};

subtest 'a volume that is not clean' => sub {
    my $copy = "$work/copy";
    system('cp', '--sparse=always', $volume, $copy);
    ok(run_ok("ntfsfix $copy"), 'marked for chkdsk');
    my $r = scan("postfix:$copy/Mail/spool");
    is($r->{summary}{corrupt}, 0, 'nothing is corrupt');
    is($r->{summary}{suspect}, 3, 'but suspect');
    like($r->{notes}[0]{text} // '', qr/more than suspect: the volume is marked as not clean/, 'and why') or diag($r->{out});
    ($r, my $files) = exported("$copy/Mail/spool", $bad[0]);
    is($files->{'.eml'}, $exported{ $bad[0] }[1]{'.eml'}, 'the text is exported, with its mark');
    unlike($files->{'.json'}, qr/"corrupt"/, 'nothing of it is corrupt');
    like($r->{out}, qr/damage is not proven: the volume is marked as not clean/, 'and why') or diag($r->{out}, $r->{err});
};

subtest 'the end of a file that was never written' => sub {
    my $copy = "$work/copy";
    system('cp', '--sparse=always', $volume, $copy);
    my $raw = read_file($copy);
    my $size = pack 'Q<', 3 << 20;
    my $at = index $raw, $size x 3; # allocated, data, valid
    ok($at > 0, 'the place') or return;
    substr $raw, $at + 16, 8, pack 'Q<', 1 << 20;
    write_file($copy, $raw);
    my $r = scan("postfix:$copy/Mail/spool");
    my ($f) = grep { $_->{name} eq 'spool.never-written' } @{ $r->{findings} };
    is_deeply([ @{$f}{qw(id severity offset length)} ], [ $bad[2], 'suspect', 1 << 20, 2 << 20 ], 'is told');
};

# Every fixture of IIS as a mailroot of its own, on a volume of the size of a small disk.
subtest 'mailroots of IIS and Exchange' => sub {
    my $disk = "$work/windows";
    my @roots = ('Inetpub/Mailroot', map { 'Program Files/Exchsrvr/Mailroot/vsi ' . $_ } 1 .. 40);
    open my $d, '>', $disk or die;
    truncate $d, 32 << 20;
    close $d;
    ok(run_ok("mkntfs -F -Q -c 4096 $disk") && run_ok("ntfs-3g -o streams_interface=windows,umask=077 $disk $dir"), 'a volume') or return;
    my (%at, @files);
    for my $case (sort glob "$ENV{SRCDIR}/fixtures/iis/*/spool") {
        my $root = $case =~ m{iis/(replay|extended[^/]*)/} ? "Exchange $1/TransportRoles" : shift @roots;
        $at{$root} = $case;
        system('mkdir', '-p', "$dir/$root");
        for my $file (sort map { chomp; $_ } qx{cd '$case' && find . -type f}) {
            my ($of) = $file =~ m{(.*):[^/]*$};
            next if defined $of && !-e "$case/$of";
            my ($folder) = $file =~ m{(.*)/};
            system('mkdir', '-p', "$dir/$root/$folder");
            write_file("$dir/$root/$file", read_file("$case/$file"));
            push @files, "$dir/$root/$file" if !defined $of;
        }
    }
    system('mkdir', '-p', "$dir/Windows/Mailroot/Queue", "$dir/Mail/Queue", "$dir/Data/Mailroot/Other");
    utime time - 86_400, time - 86_400, @files;
    my %mounted = map { $_ => scan('--all', "iis:$dir/$_") } keys %at;
    run_ok("umount $dir") or die;
    my $raw = scan('--all', "iis:$disk");
    is_deeply([ sort map { $_->{path} } @{ $raw->{start}{spools} } ], [ sort map { "$disk/$_" } keys %at ], 'are found, and nothing else') or diag($raw->{out});
    is(scalar keys %at, scalar(my @cases = glob "$ENV{SRCDIR}/fixtures/iis/*"), 'one for each fixture');
    for my $root (sort keys %at) {
        my %own = (findings => [ grep { $_->{spool} eq "$disk/$root" } @{ $raw->{findings} } ]);
        is_deeply(told(\%own), told($mounted{$root}), "$root: the same findings") or diag($at{$root});
        is_deeply([ sort map { "$_->{id} $_->{verdict}" } grep { $_->{spool} eq "$disk/$root" } @{ $raw->{messages} } ],
            [ sort map { "$_->{id} $_->{verdict}" } @{ $mounted{$root}{messages} } ], 'and verdicts');
    }
    is_deeply([ map { $_->{path} } @{ scan($disk)->{start}{spools} } ], [ map { $_->{path} } @{ $raw->{start}{spools} } ], 'without a TYPE, too');
    like(spoolck('explain', "iis:$disk:NTFS_1.EML")->{err}, qr/has several mailroots; say which, such as/, 'one message needs one mailroot');
    my $none = spoolck('scan', "iis:$volume");
    is(exit_bits($none), '8', 'a volume without a mailroot is no clean spool');
    like($none->{err}, qr/no mailroot was found on the volume/, 'and that is said');
    my ($bad) = grep { $_->{verdict} eq 'corrupt' && $_->{parts}[0] =~ /^Queue/ } @{ $raw->{messages} };
    ok($bad, 'there is damage') or return;
    my $r = spoolck('scan', "iis:$bad->{spool}");
    (my $windows = $bad->{spool} =~ s{^\Q$disk\E/}{}r . "/$bad->{parts}[0]") =~ tr{/}{\\};
    like($r->{out}, qr{^  move /-Y "X:\\\Q$windows\E" "X:\\spoolck\\"$}m, 'the command for Windows') or diag($r->{out});
    like($r->{out}, qr/named streams: the volume, which is not mounted/, 'how streams are read');
};

subtest 'disks' => sub {
    my $disk = "$work/disk";
    open my $d, '>', $disk or die;
    truncate $d, 80 << 20;
    close $d;
    local $SIG{PIPE} = 'IGNORE';
    open my $sfdisk, '|-', "sfdisk -q $disk >>$work/log 2>&1" or die;
    print $sfdisk "label: gpt\nstart=1MiB size=32MiB\nstart=34MiB size=32MiB\n";
    close $sfdisk or return fail('sfdisk');
    system("dd if=$volume of=$disk bs=1M seek=34 conv=notrunc,sparse status=none") == 0 or die;
    is_deeply(told(scan("postfix:$disk/Mail/spool")), told($mounted), 'the only NTFS volume is the one that is meant');
    system("dd if=$volume of=$disk bs=1M seek=1 conv=notrunc,sparse status=none") == 0 or die;
    my $r = spoolck('scan', "postfix:$disk/Mail/spool");
    is(exit_bits($r), '8', 'of several one has to be named');
    like($r->{err}, qr/say which: \Q$disk\E\@1048576, \Q$disk\E\@35651584/, 'as they are called');
    is_deeply(told(scan("postfix:$disk\@35651584/Mail/spool")), told($mounted), 'and is');
};

subtest 'what cannot be read' => sub {
    for ([ 'vhdxfile', qr/Hyper-V disk.*qemu-img convert -O raw other disk.img/ ], [ "\xeb\x58\x90-FVE-FS-", qr/BitLocker.*dislocker/ ],
        [ "\x1f\x8b\x08", qr/gzip -d other/ ], [ 'x', qr/no directory, and no disk or image with an NTFS volume/ ]) {
        write_file("$work/other", $_->[0] . "\0" x 4096);
        my $r = spoolck('scan', "postfix:$work/other");
        is(exit_bits($r), '8', 'refused');
        like($r->{err}, $_->[1], 'and named');
    }
    like(spoolck('scan', "postfix:$volume/Mail/none")->{err}, qr/cannot open: No such file/, 'a folder that is not there');
    like(spoolck('scan', "postfix:$volume\@4096")->{err}, qr/cannot open the NTFS volume at byte 4096/, 'a wrong offset');
    like(spoolck('scan', "postfix:$volume\@99999999999")->{err}, qr/offset lies behind the end/, 'one beyond the end');
};

# Where the MFT record is that begins a copy of this name: of its file, not of the directory that lists it.
sub record_of {
    my ($raw, $name) = @_;
    my $wide = pack 'v*', unpack 'C*', $name;
    for (my $at = index $raw, $wide; $at >= 0; $at = index $raw, $wide, $at + 1) {
        my $record = $at - $at % 1024;
        return $record if substr($raw, $record, 4) eq 'FILE' && $at - $record < 400 && !(unpack('v', substr $raw, $record + 22, 2) & 2) == ($name !~ /^(?:hold|incoming)$/);
    }
    return;
}

subtest 'a damaged file system' => sub {
    my $copy = "$work/copy";
    my $raw = read_file($volume);
    my ($healthy) = sort map { $_->{id} } grep { $_->{parts}[0] =~ /^hold/ } @{ scan('--all', "postfix:$spool")->{messages} };
    my %lost = (incoming => [ 'incoming', 200, '8' ], $healthy => [ 'hold', 202, '8+4' ]);
    for my $name (sort keys %lost) {
        my ($where, $left, $exit) = @{ $lost{$name} };
        my $at = record_of($raw, $name) // return fail("the record of $name");
        my $damaged = $raw;
        substr $damaged, $at, 4, 'BAAD';
        write_file($copy, $damaged);
        my $r = scan("postfix:$copy/Mail/spool");
        is(exit_bits($r), $exit, "$name: something could not be read");
        is($r->{summary}{messages}, $left, 'the others are');
        like(join('', map { $_->{text} } @{ $r->{notes} }), qr{Cannot read $where: the file system is damaged}, 'and it is said where') or diag($r->{out});
        is((grep { $_->{name} eq 'spool.place-missing' } @{ $r->{findings} }), 0, 'what cannot be read is not missing');
    }
};

subtest 'a reader of file systems that was taken over' => sub {
    my $run = sub {
        my ($act, @words) = @_;
        return parsed(spoolck({ program => hostile_program(), env => { SPOOLCK_HOSTILE_VOLUME => $act } }, 'scan', '--format', 'json', @words, "postfix:$spool"));
    };
    for my $act (qw(abort exit hang garbage syscall other more)) {
        my $r = $run->("$act:read:$bad_size");
        is($r->{summary}{unchecked}, 1, "$act: the message is unchecked");
        is($r->{summary}{messages}, 203, 'the others are checked');
        is_deeply([ grep { /id=$bad[1]/ } @{ told($r) } ], [ grep { /id=$bad[1]/ } @{ told($mounted) } ], 'and found out');
    }
    for my $act (qw(abort garbage)) {
        my ($r, $files) = exported($spool, $bad[0], program => hostile_program(), env => { SPOOLCK_HOSTILE_VOLUME => "$act:read:$bad_size" });
        is(exit_bits($r), '8', "export, $act: it could not be checked");
        like($files->{'.eml'}, qr/\A\n\[spoolck: the text cannot be reached beyond this point: /, 'and has no text');
    }
    # Freed memory is filled, so that what is found in it is nonsense.
    my $r = spoolck({ program => hostile_program(), env => { SPOOLCK_HOSTILE_VOLUME => 'twice:list', MALLOC_PERTURB_ => 165 } },
        'scan', "postfix:$spool");
    is(exit_bits($r), '8', 'a name that stands twice in a directory');
    like($r->{err}, qr/cannot open: No such file/, 'leads where the first one does') or diag($r->{err});
    for my $act (qw(abort:table hang:open garbage:open abort:list garbage:list slash:list again:list other:list)) {
        my $r = $run->($act);
        is(exit_bits($r), '8', "$act: an error");
        is($r->{summary}{messages}, 0, 'and no message');
    }
    for my $act (qw(abort:stat garbage:stat hang:stat)) {
        my $r = $run->($act);
        is_deeply([ @{ $r->{summary} }{qw(messages unchecked exit)} ], [ 203, 203, 8 ], "$act: nothing can be checked");
        is_deeply(told($r), [], 'and nothing is found');
    }
};

done_testing();
END { local $?; system("umount -l $dir 2>/dev/null") if $ENV{SPOOLCK_NS} && $dir }
