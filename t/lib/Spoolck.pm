package Spoolck;

# What the whole-program tests share: running spoolck with a deadline, reading its JSON
# Lines, building queues of Postfix files, and comparing trees before and after.
#
# Core modules only. Nothing here writes outside of temporary directories.

use strict;
use warnings;

use Digest::SHA ();
use Errno qw(EINTR);
use Exporter 'import';
use Fcntl qw(O_WRONLY O_CREAT O_EXCL);
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes ();

our @EXPORT = qw(
    spoolck start finish scan parsed json_lines verdicts exit_bits program hostile_program
    copy_for_all sanitized children left_over need_root scratch new_spool new_store put place_of
    path_of long_id queue_file maildrop_file record healthy damaged killer snapshot same_tree
    read_file write_file is_printable private_mounts PLACES MOVED TELL LEFT FAILED USAGE CANCELLED
);

# Exit bits.
use constant { MOVED => 1, TELL => 2, LEFT => 4, FAILED => 8, USAGE => 16, CANCELLED => 32 };

# The directories of a Postfix queue.
use constant PLACES => qw(active bounce corrupt defer deferred flush hold incoming maildrop pid
    private public saved trace);

# Seconds after which a run counts as hanging; generous, for slow machines and sanitizers.
our $deadline = 120;

# --- Running -----------------------------------------------------------------

sub program {
    return $ENV{SPOOLCK} // Test::More::BAIL_OUT('SPOOLCK names the program to be tested');
}

# The build whose workers misbehave on command (t/hostile.h).
sub hostile_program {
    return $ENV{SPOOLCK_HOSTILE_PROGRAM} // ($ENV{BUILDDIR} // '.') . '/t/spoolck-hostile';
}

# Built with AddressSanitizer? Then memory cannot be measured.
sub sanitized {
    return index(read_file(program()), '__asan_init') >= 0;
}

# The command words that start a test again in a mount namespace of its own, so that what it mounts
# vanishes with it. In a plain chroot, whose root is no mount point, there is none to be had.
sub private_mounts {
    my @words = qw(unshare -m --propagation private);
    return @words if system('unshare -m true 2>/dev/null') == 0;
    Test::More::BAIL_OUT('no mount namespace can be had here') if $ENV{CI};
    Test::More::plan(skip_all => 'no mount namespace can be had here');
    exit 0;
}

# Run the program: spoolck([{ options }], @words). Options: program, env (hash), uid, host_config (use this
# host's configuration, which is otherwise left out), stdout (a path to write to, or '-' = closed), timeout, tick (called with the pid, again and
# again while it runs).
# Returns { status, signal, out, err, hung, seconds, pid }; status is undef when it died.
sub spoolck { return finish(start(@_)) }

# The same in two steps, for what happens at the same time.
sub start {
    my $opt = ref $_[0] ? { %{ +shift } } : {};
    my @words = @_;
    my $dir = scratch();
    $opt->{program} //= program();
    my $pid = fork // die "fork: $!";
    child($opt, $dir, @words) if $pid == 0;
    return { opt => $opt, words => "@words", dir => $dir, pid => $pid,
        start => Time::HiRes::time() };
}

sub finish {
    my ($run) = @_;
    my ($dir, $opt) = @$run{qw(dir opt)};
    my $hung = !await($run->{pid}, $opt->{timeout} // $deadline, $opt->{tick});
    my $result = {
        status  => ($? & 127) ? undef : $? >> 8,
        signal  => $? & 127,
        hung    => $hung,
        seconds => Time::HiRes::time() - $run->{start},
        pid     => $run->{pid},
        err     => -e "$dir/err" ? read_file("$dir/err") : '',
        out     => -e "$dir/out" ? read_file("$dir/out") : '',
    };
    Test::More::diag("hangs: spoolck $run->{words}") if $hung;
    return $result;
}

sub child {
    my ($opt, $dir, @words) = @_;
    splice @words, 1, 0, '--config', '/dev/null' if -e '/etc/spoolck/spoolck.conf' && !$opt->{host_config}
        && @words && $words[0] =~ /^[a-z]/ && !grep { /^--config/ } @words;
    POSIX::setpgid(0, 0);
    open STDIN, '<', '/dev/null';
    open STDERR, '>', "$dir/err";
    my $out = $opt->{stdout} // "$dir/out";
    if ($out eq '-') { close STDOUT }
    else             { open STDOUT, '>', $out }
    # What a job in the background inherits: signals that are ignored.
    $SIG{$_} = 'DEFAULT' for qw(INT QUIT TERM HUP PIPE);
    # A program that ends need not free; and leaks cannot be looked for behind the sandbox.
    %ENV = (ASAN_OPTIONS => 'detect_leaks=0', %ENV, LC_ALL => 'C.UTF-8', %{ $opt->{env} // {} });
    if ($opt->{uid}) {
        chmod 0755, $dir;
        $) = "65534 65534";
        POSIX::setgid(65534);
        POSIX::setuid($opt->{uid});
    }
    { no warnings 'exec'; exec { $opt->{program} } 'spoolck', @words }
    print STDERR "exec: $!\n";
    POSIX::_exit(127);
}

# Wait for a child, status in $?; false when it had to be killed, with its group.
sub await {
    my ($pid, $seconds, $tick) = @_;
    my $end = Time::HiRes::time() + $seconds;
    my $pause = 0.001;
    while (Time::HiRes::time() < $end) {
        return 1 if waitpid($pid, POSIX::WNOHANG()) == $pid;
        $tick->($pid) if $tick;
        Time::HiRes::sleep($pause);
        $pause = 0.02 if ($pause *= 1.5) > 0.02;
    }
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    return 0;
}

# Is a process of the run still alive? Waits a moment for the last one; a zombie that process 1
# has not collected yet is none.
sub left_over {
    my ($result) = @_;
    for (1 .. 100) {
        return 0 unless kill 0, -$result->{pid};
        return 0 unless grep { in_group($_, $result->{pid}) } glob '/proc/[0-9]*/stat';
        Time::HiRes::sleep(0.02);
    }
    return 1;
}

sub in_group {
    my ($stat, $group) = @_;
    open my $in, '<', $stat or return 0;
    my $line = <$in> // '';
    return $line =~ /^.*\) ([A-Za-z]) \d+ (\d+) /s && $2 == $group && $1 !~ /[ZX]/;
}

# The JSON Lines in a text: a list of objects. Dies on a line that is none.
sub json_lines {
    my ($text) = @_;
    my $json = JSON::PP->new->utf8;
    return map { $json->decode($_) } split /\n/, $text;
}

# scan([{ options }], @words) with --format json: the result of spoolck() plus
# { start, findings, messages, notes, errors, summary }.
sub scan {
    my @opt = ref $_[0] ? shift : ();
    return parsed(spoolck(@opt, 'scan', '--format', 'json', @_));
}

sub parsed {
    my ($r) = @_;
    $r->{$_} = [] for qw(findings messages notes errors);
    my @lines = eval { json_lines($r->{out}) };
    Test::More::diag("no JSON: $@$r->{out}") if $@;
    for my $line (@lines) {
        my $event = $line->{event};
        if    ($event eq 'start')   { $r->{start} = $line }
        elsif ($event eq 'summary') { $r->{summary} = $line }
        else                        { push @{ $r->{ $event . 's' } }, $line }
    }
    return $r;
}

# { id => verdict } of a scan.
sub verdicts {
    my ($r) = @_;
    return { map { $_->{id} => $_->{verdict} } @{ $r->{messages} } };
}

# "0", "8+4": for failure messages that people read.
sub exit_bits {
    my ($r) = @_;
    return $r->{hung} ? 'hung' : "killed by signal $r->{signal}" unless defined $r->{status};
    return join('+', grep { $r->{status} & $_ } 32, 16, 8, 4, 2, 1) || '0';
}

# The children of a process and theirs; the zygote's come after it.
sub children {
    my ($pid) = @_;
    my @found = $pid;
    for (my $i = 0; $i < @found; $i++) {
        open my $in, '<', "/proc/$found[$i]/task/$found[$i]/children" or next;
        push @found, split ' ', <$in> // '';
    }
    shift @found;
    return @found;
}

# For a subtest that takes root: skips it for others, and fails it where everything has to be
# tested (CI).
sub need_root {
    my ($what) = @_;
    return 1 if $> == 0;
    Test::More::plan(skip_all => "takes root: $what") if ($ENV{CI} // '') ne 'true';
    return Test::More::ok(0, "root is needed $what");
}

# A copy of the program that any user can run.
sub copy_for_all {
    my $copy = scratch() . '/spoolck';
    write_file($copy, read_file(program()));
    chmod 0755, $copy;
    return $copy;
}

# --- Files ---------------------------------------------------------------------

# A new temporary directory, removed at the end.
sub scratch {
    my $dir = File::Temp::tempdir('spoolck-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    return $dir;
}

sub read_file {
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar(<$in>) // '';
}

sub write_file {
    my ($path, $bytes) = @_;
    open my $out, '>:raw', $path or die "$path: $!";
    print $out $bytes;
    close $out or die "$path: $!";
}

# An empty queue.
sub new_spool {
    my $spool = scratch() . '/spool';
    mkdir $_ or die "$_: $!" for $spool, map { "$spool/$_" } PLACES;
    return $spool;
}

# A path where a store may come to be.
sub new_store { return scratch() . '/store' }

# Put a file into the queue: put($spool, $place, $name, $bytes, mode =>, mtime =>, uid =>).
# A name that ends in "@" gets the inode appended, as a short queue id has it. Returns the id.
sub put {
    my ($spool, $dir, $name, $bytes, %opt) = @_;
    $dir = place_of($spool, $dir, $name);
    my $tmp = "$spool/$dir/1.$$";
    sysopen my $out, $tmp, O_WRONLY | O_CREAT | O_EXCL, 0600 or die "$tmp: $!";
    binmode $out;
    print $out $bytes;
    close $out or die "$tmp: $!";
    $name =~ s/\@\z/sprintf '%X', (stat $tmp)[1]/e;
    chown $opt{uid}, -1, $tmp or die "chown: $!" if defined $opt{uid};
    utime $opt{mtime}, $opt{mtime}, $tmp if defined $opt{mtime};
    chmod $opt{mode} // ($dir eq 'maildrop' ? 0744 : 0700), $tmp;
    rename $tmp, "$spool/$dir/$name" or die "$name: $!";
    return $name;
}

# Base 52 as Postfix writes it: digits and consonants.
my @digit = split //, '0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz';
my %value = map { $digit[$_] => $_ } 0 .. $#digit;

sub base52 {
    my ($n, $width) = @_;
    my $text = '';
    for (1 .. $width) {
        $text = $digit[$n % 52] . $text;
        $n = int $n / 52;
    }
    return $text;
}

# A long queue id, never the same one twice: seconds, microseconds, "z", and what stands for
# the inode (base 51, without the z).
my $serial = 0;
sub long_id {
    my ($n, $tail) = ($serial++, '');
    for (1 .. 4) {
        $tail = $digit[$n % 51] . $tail;
        $n = int $n / 51;
    }
    return '4jW9FH' . base52($serial * 37813 % 1000000, 4) . 'z' . $tail;
}

# Where Postfix keeps the id: deferred/ has one-letter directories, the other places have none.
sub place_of {
    my ($spool, $dir, $id) = @_;
    return $dir if $dir ne 'deferred' || $id !~ /^\w{10}z\w+$/;
    $dir .= '/' . hash_directory($id);
    mkdir "$spool/$dir";
    return $dir;
}

sub path_of { my ($spool, $dir, $id) = @_; return place_of($spool, $dir, $id) . "/$id" }

# The one-letter directory in which Postfix keeps a long id: the first digit of its microseconds.
sub hash_directory {
    my ($id) = @_;
    my $usec = 0;
    $usec = $usec * 52 + $value{$_} for split //, substr $id, 6, 4;
    return substr sprintf('%05X', $usec), 0, 1;
}

# --- Postfix files ----------------------------------------------------------------

# One record: type, length in base 128, data.
sub record {
    my ($type, $data) = @_;
    my ($n, $len) = (length $data, '');
    do {
        my $byte = $n & 127;
        $n >>= 7;
        $len .= chr($n ? $byte | 128 : $byte);
    } while $n;
    return $type . $len . $data;
}

# A file as cleanup writes it: queue_file(sender =>, recipients => [...], lines => [...],
# attributes => [...]). Sound in every part.
sub queue_file {
    my %f = (sender => 'bob@example.org', recipients => ['alice@example.com'],
        lines => ['From: bob@example.org', 'Subject: hello', '', 'Hello.'], attributes => [], @_);
    my $env = record('T', '1795161600 123456') . record('A', 'create_time=1795161600')
        . join('', map { record('A', $_) } @{ $f{attributes} }) . record('S', $f{sender})
        . join('', map { record('O', $_) . record('R', $_) } @{ $f{recipients} }) . record('M', '');
    my $text = join '', map { record('N', $_) } @{ $f{lines} };
    my $offset = length(record('C', ' ' x 95)) + length $env;
    my $size = record('C', sprintf '%15d %15d %15d %15d %15d %15d', length $text, $offset,
        scalar @{ $f{recipients} }, 0, length $text, 0);
    return $size . $env . $text . record('X', '') . record('E', '');
}

# A file as postdrop writes it.
sub maildrop_file {
    my %f = (sender => 'bob@example.org', recipients => ['alice@example.com'],
        lines => ['Subject: hello', '', 'Hello.'], @_);
    return record('T', '1795161600 123456') . record('A', 'rewrite_context=local')
        . record('S', $f{sender}) . join('', map { record('R', $_) } @{ $f{recipients} })
        . record('M', '') . join('', map { record('N', $_) } @{ $f{lines} })
        . record('X', '') . record('E', '');
}

# Put a sound message into a place; returns its id.
sub healthy {
    my ($spool, $dir, %f) = @_;
    my $bytes = $dir eq 'maildrop' ? maildrop_file(%f) : queue_file(%f);
    return put($spool, $dir, long_id(), $bytes);
}

# ... one that is cut off in the text: qmgr puts it aside, pickup deletes it.
sub damaged {
    my ($spool, $dir, %f) = @_;
    my $bytes = $dir eq 'maildrop' ? maildrop_file(%f) : queue_file(%f);
    return put($spool, $dir, long_id(), substr $bytes, 0, -9);
}

# ... one that kills qmgr: the data offset begins with a letter.
sub killer {
    my ($spool, $dir, %f) = @_;
    my $bytes = queue_file(%f);
    substr $bytes, 2 + 16, 1, 'x';
    return put($spool, $dir, long_id(), $bytes);
}

# --- Comparing ---------------------------------------------------------------------

# Everything that a scan must not change and a restore has to bring back: { path => facts }.
# Access times are left out; times of directories, too, unless `dirs` is true.
sub snapshot {
    my ($dir, %opt) = @_;
    my %tree;
    open my $find, '-|', 'find', $dir, '-printf', '%P\0%y\0%m\0%U\0%G\0%i\0%T@\0%l\0'
        or die "find: $!";
    my @fields = do { local $/; split /\0/, scalar(<$find>), -1 };
    close $find or die 'find failed';
    while (@fields >= 8) {
        my ($path, $type, $mode, $uid, $gid, $ino, $mtime, $link) = splice @fields, 0, 8;
        $mtime = '-' if $type eq 'd' && !$opt{dirs};
        my $digest = $type eq 'f' && -s "$dir/$path" < 1 << 27
            ? Digest::SHA->new(256)->addfile("$dir/$path", 'b')->hexdigest : $link;
        $tree{$path} = "$type $mode $uid:$gid inode $ino mtime $mtime $digest";
    }
    return \%tree;
}

# Test: nothing differs between two snapshots.
sub same_tree {
    my ($before, $after, $what) = @_;
    my @diff;
    for my $path (sort keys %{ { %$before, %$after } }) {
        my ($a, $b) = ($before->{$path} // 'absent', $after->{$path} // 'absent');
        push @diff, "$path: $a -> $b" if $a ne $b;
    }
    Test::More::ok(!@diff, $what) or Test::More::diag(join "\n", @diff);
}

# Nothing but printable characters and newlines: no escape sequence, no bidirectional or
# invisible character, valid UTF-8.
sub is_printable {
    my ($text) = @_;
    utf8::decode(my $chars = $text) or return 0;
    return $chars !~ /[^\n\P{C}]|[\x{2028}\x{2029}]/;
}

1;
