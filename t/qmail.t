#!/usr/bin/perl
# qmail as a whole: what the real server did with damaged messages (qmail-verdicts.tsv) beside what
# spoolck says of the same bytes; one message of many files; directories by number; the lock.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(:flock);
use File::Path qw(make_path);
use POSIX ();
use Spoolck;
use Test::More;

my $fixtures = "$FindBin::Bin/../fixtures/qmail";
my %split = map { $_ => 1 } qw(info local remote mess);
my @files = qw(info todo local remote bounce intd mess);

# The messages that were damaged: { label => { file => bytes } }.
my %case = (A => 'preprocessed', B => 'queued', C => 'bounce', D => 'local', E => 'senders', F => 'senders');
my %message = map { my $label = $_; $label => message("$fixtures/healthy-$case{$label}/spool", $label) } sort keys %case;

sub message {
    my ($dir, $label) = @_;
    my %m;
    for my $file (@files) {
        my $path = "$dir/$file/" . ($split{$file} ? 'split/' : '') . "\@$label\@";
        $m{$file} = read_file($path) if -e $path;
    }
    return \%m;
}

sub new_queue {
    my ($n) = @_;
    my $root = scratch() . '/queue';
    make_path((map { my $p = $_; map { "$root/$p/$_" } 0 .. $n - 1 } sort keys %split),
        map { "$root/$_" } qw(todo intd bounce pid lock));
    write_file("$root/lock/sendmutex", '');
    POSIX::mkfifo("$root/lock/trigger", 0622) or die;
    return $root;
}

# Where a file of this number belongs.
sub home {
    my ($root, $n, $file, $id) = @_;
    return "$root/$file/" . ($split{$file} ? $id % $n . '/' : '') . $id;
}

# Put a message there; its number is the inode of its text, which is set aside when it has none.
my $aside = 0;
sub queue {
    my ($root, $n, $m) = @_;
    my $tmp = "$root/../text-" . $aside++;
    write_file($tmp, $m->{mess} // '');
    my $id = (stat $tmp)[1];
    rename $tmp, home($root, $n, 'mess', $id) or die if defined $m->{mess};
    for my $file (grep { $_ ne 'mess' && $_ ne 'intd' && defined $m->{$_} } @files) {
        write_file(home($root, $n, $file, $id), $m->{$file});
    }
    link home($root, $n, 'todo', $id), "$root/intd/$id" if defined $m->{todo};
    return $id;
}

# --- What the real server did -------------------------------------------------------------

sub damage {
    my ($bytes, $op) = @_;
    my ($name, $arg) = split /:/, $op;
    return undef if $name eq 'remove';
    return substr $bytes, 0, $arg if $name eq 'cut';
    return $bytes . pack 'H*', $arg if $name eq 'append';
    my ($x, $y) = split /[.=-]/, $arg // '';
    substr($bytes, $x, 1) = chr $y if $name eq 'byte';
    substr($bytes, $x, 1) ^= chr(1 << $y) if $name eq 'flip';
    substr($bytes, $x, $y - $x) = "\0" x ($y - $x) if $name eq 'zero';
    return $bytes if $name =~ /^(?:byte|flip|zero)$/;
    my @records = map { "$_\0" } split /\0/, $bytes, -1;
    pop @records;
    splice @records, $arg, 1 if $name eq 'drop';
    splice @records, $arg, 0, $records[$arg] if $name eq 'double';
    return join '', @records if $name =~ /^(?:drop|double)$/;
    die "$op: no such damage";
}

# Why spoolck may say less (or more) than the server's behaviour asks for; undef = it may not.
sub excuse {
    my ($file, $before, $after, $server, $names) = @_;
    my $list = $file eq 'local' || $file eq 'remote' || $file eq 'todo';

    if ($server eq 'same' || $server eq 'altered') {
        return 'the text: damaged-delivery' if $file eq 'mess';
        return 'something behind the sender' if $names =~ /info-behind/;
        return 'bytes behind the last record look like a record that was cut'
            if $names =~ /qmail\.cut/ && length $after > length $before;
        return undef;
    }
    return 'todo gone: looks like a text that is being received' if $file eq 'todo' && !defined $after;
    return 'a list gone: looks like one that is done' if !defined $after && $file ne 'mess' && $file ne 'info';
    return 'letters of patched versions' if $names =~ /record-letter/;
    return undef unless $list && $names !~ /corrupt/;
    return 'whole records gone' if length $after < length $before && $after =~ /\0\z/
        && $after =~ /\A(?:[upFTD][^\0]*\0)*\z/;
    return 'T became D: done' if ($before ^ $after) =~ /\A\0*\x10\0*\z/;
    return 'the end of a record overwritten: two addresses look like one'
        if length $after == length $before && ($after =~ tr/\0//) < ($before =~ tr/\0//) && $after =~ /\0\z/;
    return undef;
}

subtest 'damaged copies, judged by the real server' => sub {
    my $root = new_queue(23);
    my (%row, %sound, %count, %excused);
    $sound{ queue($root, 23, $message{$_}) } = $_ for sort keys %message;
    for (grep { !/^#/ } split /\n/, read_file("$FindBin::Bin/qmail-verdicts.tsv")) {
        my ($label, $file, $op, $server) = split /\t/;
        my $bytes = $message{$label}{$file};
        die "$_: no such file" unless defined $bytes;
        my $after = damage($bytes, $op);
        $row{ queue($root, 23, { %{ $message{$label} }, $file => $after }) } =
            { text => $_, file => $file, before => $bytes, after => $after, server => $server };
    }
    cmp_ok(scalar keys %row, '>', 700, 'there are many');
    my $r = scan('-n', '--all', "qmail:$root");
    my $verdict = verdicts($r);
    my %names;
    $names{ $_->{id} } .= "$_->{name} $_->{severity} " for grep { defined $_->{id} } @{ $r->{findings} };
    is($verdict->{$_}, 'ok', "message $sound{$_} itself is sound") for sort keys %sound;
    my @wrong;
    for my $id (sort { $a <=> $b } keys %row) {
        my $c = $row{$id};
        my $says = $verdict->{$id} // 'nothing';
        my $bad = $c->{server} =~ /^(?:lost|stuck|silent)$/;
        $count{"$c->{server}: $says"}++;
        next if $bad ? $says eq 'corrupt' : $says ne 'corrupt';
        my $why = excuse(@$c{qw(file before after server)}, $names{$id} // '');
        $excused{$why}++ if defined $why;
        push @wrong, "$c->{text}: $says " . ($names{$id} // '') unless defined $why;
    }
    is_deeply(\@wrong, [], 'what the server loses or never ends is corrupt, and nothing else');
    note("$_ $count{$_}") for sort keys %count;
    note("excused: $_: $excused{$_}") for sort keys %excused;
};

# --- One message of many files --------------------------------------------------------------

sub summary { my ($r) = @_; my $s = $r->{summary}; return join ' ', map { "$_=$s->{$_}" } qw(messages ok noted corrupt) }

sub about {
    my ($r) = @_;
    return [map { "$_->{name} $_->{severity} $_->{impact} $_->{part}" } @{ $r->{findings} }];
}

subtest 'a message is counted once, whichever files it has' => sub {
    my $root = new_queue(5);
    my $taken = queue($root, 5, $message{A});
    my $queued = queue($root, 5, $message{B});
    my $both = queue($root, 5, { %{ $message{B} }, info => "Fx", local => '' });
    my $r = scan('-n', '--all', "qmail:$root");
    is(summary($r), 'messages=3 ok=3 noted=0 corrupt=0', 'three, with five directories each');
    is(exit_bits($r), '0', 'and clean');
    is((spoolck('explain', "qmail:$root:$both"))->{status}, 0, 'explain finds it');

    # The same numbers with todo and intd divided as well, as some patches do.
    for my $place (qw(todo intd)) {
        make_path(map { "$root/$place/$_" } 0 .. 4);
        rename "$root/$place/$_", "$root/$place/" . $_ % 5 . "/$_" for $queued, $both;
    }
    $r = scan('-n', '--all', "qmail:$root");
    is(summary($r), 'messages=3 ok=3 noted=0 corrupt=0', 'with todo/ and intd/ divided, too') or diag(explain(about($r)));
};

subtest 'a file in the directory of another number' => sub {
    for my $file (qw(info local remote mess)) {
        my $root = new_queue(23);
        my $id = queue($root, 23, $message{A});
        queue($root, 23, $message{C}) for 1 .. 3;
        my ($home, $other) = ($id % 23, ($id + 1) % 23);
        rename "$root/$file/$home/$id", "$root/$file/$other/$id" or die;
        # A text that is met before any envelope may be one that is being received.
        utime time - 400000, time - 400000, "$root/$file/$other/$id" if $file eq 'mess';
        my $r = scan('-n', '--all', "qmail:$root");
        ok((grep { $_ =~ m{^qmail\.misplaced corrupt \S+ $file/$other/$id$} } @{ about($r) }), "$file: found")
            or diag(explain(about($r)));
        is($r->{summary}{ok}, 3 + ($file =~ /local|remote/ ? 1 : 0), "$file: the others are sound");
        my $store = new_store();
        my $before = snapshot($root);
        $r = scan('-y', '--store', $store, '--max-move', 'none', "qmail:$root");
        is(exit_bits($r), '1', "$file: moved");
        is(join(' ', glob "$root/*/{$id,*/$id}"), '', "$file: nothing of it is left");
        my %entries = map { defined $_->{entry} ? ($_->{entry} => 1) : () } @{ $r->{messages} };
        is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', '--force', sort keys %entries)), '2', "$file: restored");
        same_tree($before, snapshot($root), "$file: all is back");
    }
};

subtest 'a missing directory' => sub {
    for my $gone (['info/7'], ['mess/0'], ['local/22'], ['info/3', 'remote/9']) {
        my $root = new_queue(23);
        my $id = queue($root, 23, $message{A});
        redo if grep { m{/(\d+)} && $1 == $id % 23 } @$gone; # another inode, another directory
        rmdir "$root/$_" or die for @$gone;
        my $r = scan('-n', '--all', "qmail:$root");
        is_deeply(about($r), [map { "spool.place-missing corrupt server-stops $_" } @$gone], "@$gone");
        is(exit_bits($r), '4', 'that is not clean');
        is(summary($r), 'messages=1 ok=1 noted=0 corrupt=0', 'the number of directories is known all the same');
    }
};

subtest 'a queue without its lock files, names that are no numbers' => sub {
    my $root = new_queue(23);
    write_file("$root/mess/3/03", 'x');
    write_file("$root/todo/$_", 'x') for 'new', '18446744073709551616';
    unlink "$root/lock/trigger";
    write_file("$root/lock/trigger", '');
    my $r = scan('-n', '--all', "qmail:$root");
    is_deeply([sort @{ about($r) }], [sort 'qmail.lock-file suspect none lock/trigger',
        map { "spool.foreign suspect none $_" } 'mess/3/03', 'todo/new', 'todo/18446744073709551616'], 'each is named')
        or diag(explain(about($r)));
};

subtest 'directories that are left from a server with more of them' => sub {
    my $root = new_queue(7);
    my @ids = map { queue($root, 7, $message{A}) } 1 .. 9;
    make_path(map { my $p = $_; map { "$root/$p/$_" } 7 .. 22 } sort keys %split);
    my $r = scan('-n', '--all', "qmail:$root");
    is(summary($r), 'messages=9 ok=9 noted=0 corrupt=0', 'the files tell how many count') or diag(explain(about($r)));
};

# --- The lock ---------------------------------------------------------------------------------

subtest 'qmail-send runs as long as it holds lock/sendmutex' => sub {
    my $root = new_queue(23);
    my $store = new_store();
    my $id = queue($root, 23, { %{ $message{A} }, info => '' });
    open my $lock, '+<', "$root/lock/sendmutex" or die;
    flock $lock, LOCK_EX or die;
    my $before = snapshot($root, dirs => 1);
    my $r = scan('-y', '--store', $store, "qmail:$root");
    is(exit_bits($r), '4', 'nothing is moved');
    like($r->{messages}[0]{reason} // '', qr/server-running/, 'and the reason is told');
    isnt(exit_bits(spoolck('quarantine', '--store', $store, 'add', "qmail:$root:$id")), '1', 'not by hand either');
    same_tree($before, snapshot($root, dirs => 1), 'the queue is as it was');
    close $lock;
    is(exit_bits(scan('-y', '--store', $store, "qmail:$root")), '1', 'afterwards it is');
};

# --- Out and back on another file system ----------------------------------------------------------

subtest 'on another file system the text keeps its inode: the message stays in the spool' => sub {
    plan skip_all => '/dev/shm is no other file system here'
        if !-d '/dev/shm' || !-w _ || (stat '/dev/shm')[0] == (stat scratch())[0];
    my $dir = File::Temp->newdir('spoolck-XXXXXX', DIR => '/dev/shm');
    my $store = "$dir/store";
    my $root = new_queue(23);
    my $id = queue($root, 23, { %{ $message{A} }, local => "Ta" });
    my $before = snapshot($root);
    my $r = scan('-y', '--store', $store, "qmail:$root");
    is(exit_bits($r), '1', 'it is moved');
    is(scalar(my @left = glob "$root/*/{$id,*/$id}"), 0, 'out of qmail\'s sight');
    is(exit_bits(scan('-y', '--store', $store, "qmail:$root")), '0', 'a later run leaves it where it is');
    my ($entry) = map { $_->{entry} // () } @{ $r->{messages} };
    mkdir "$dir/out" or die;
    my $export = spoolck('quarantine', '--store', $store, 'export', '--output', "$dir/out", $entry);
    is(exit_bits($export), '0', 'export') or diag($export->{err});
    like($export->{out}, qr/bytes of text, complete/, 'with all of the text');
    like($export->{out}, qr/'x\@dst\.example'/, 'and the recipients that are left');
    unlike($export->{out}, qr/'a'/, 'but not half an address');
    like(join('', map { read_file($_) } glob "$dir/out/*.eml"), qr/Subject: A/, 'the text is the message');
    is(exit_bits(spoolck('quarantine', '--store', $store, 'restore', '--force', $entry)), '2', 'restored');
    my $after = snapshot($root);
    delete @$after{ grep { m{^spoolck(?:/|$)} } keys %$after }; # room for the next move
    same_tree($before, $after, 'everything is back: bytes, names, modes, times, inodes');
};

done_testing();
