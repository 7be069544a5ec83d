#!/usr/bin/perl
#
# power.t - the quarantine when the power goes
#
# kill.t kills the process, and the kernel still writes what was asked for. Here the machine dies: what
# was not synced may be on the disk or not, in any order. The driver runs once under strace, which
# gives the sequence of file operations. From it every state is built that a disk may legally show:
#
#   for each moment, all that an fsync has made durable, and of the operations after it any
#   subset (all of them up to 2^8, else each prefix, each single one missing or alone, and 200 at random);
#   a file whose data was not synced also cut in half.
#
# The model: fsync of a directory makes its entries durable, fsync of a file its data and attributes,
# and nothing else does; rename is atomic, and durable when either directory is. Then `driver
# check` recovers and demands that the message is whole in exactly one place. A recovery may meet the next power
# cut: in the scenarios "again" the states of a recovery are built on what several earlier ones left.

use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Path qw(remove_tree make_path);
use File::Temp qw(tempdir);
use POSIX ();

my $driver = $ENV{SPOOLCK_CRASH_DRIVER} || 't/crash/driver';

sub skip_all {
    if (($ENV{CI} // '') eq 'true') { print "1..1\nnot ok 1 - $_[0]\n"; exit 1 }
    print "1..0 # SKIP $_[0]\n";
    exit 0;
}

skip_all("no $driver") unless -x $driver;
skip_all('no strace') if system('strace -e trace=none true >/dev/null 2>&1') != 0;
if ($> == 0 && !$ENV{SPOOLCK_CRASH_NS} && system('unshare -m true 2>/dev/null') == 0) {
    $ENV{SPOOLCK_CRASH_NS} = 1;
    exec 'unshare', '-m', '--propagation', 'private', $^X, $0, @ARGV;
}
$driver = abs_path($driver);
my $top = tempdir('spoolck-power-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $owner = $$;
mkdir "$top/$_" or die for qw(near far);
my $two_fs = $ENV{SPOOLCK_CRASH_NS} && $> == 0
    && system('mount', '-t', 'tmpfs', 'none', "$top/near") == 0
    && system('mount', '-t', 'tmpfs', 'none', "$top/far") == 0;
END {
    if ($top && $owner == $$ && $ENV{SPOOLCK_CRASH_NS}) {
        my $status = $?;
        system("umount $top/near $top/far 2>/dev/null");
        $? = $status;
    }
}
srand 1;
$ENV{SPOOLCK_CRASH_ONLY} //= ''; # a pattern of names

sub slurp { open my $f, '<:raw', $_[0] or return ''; local $/; return scalar(<$f>) // '' }

sub run {
    my ($log, @command) = @_;
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>>', $log or POSIX::_exit(99);
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(99);
    }
    waitpid $pid, 0;
    return $?;
}

# --- What was done ---------------------------------------------------------------

sub unhex { my ($s) = @_; $s =~ s/\\x([0-9a-f]{2})/chr hex $1/ge; return $s }

# A trace as a list of operations { do, dir or file (objects), ... }. Objects are named by the path at which
# they were first seen; %$at (path => object) follows renames.
sub parse {
    my ($trace, $at) = @_;
    my (@ops, $marks);
    my $object = sub { my ($path) = @_; return $at->{$path} //= $path };
    my $forget = sub { my ($path) = @_; delete $at->{$path} };
    my $yields = 0;
    for (split /\n/, slurp($trace)) {
        $yields++ if /^sched_yield/;
        next if $yields != 1 || / = -1 /;
        my ($call, $rest) = /^(\w+)\((.*)\)\s+= / or next;
        my @fd = map { unhex($_) } $rest =~ /\d+<([^>]*)>/g;
        my @string = map { unhex($_) } $rest =~ /"((?:[^"])*)"/g;
        if ($call eq 'mkdirat') {
            push @ops, { do => 'mkdir', dirs => [ $object->($fd[0]) ], name => $string[0],
                made => $at->{"$fd[0]/$string[0]"} = "$fd[0]/$string[0]#" . @ops };
        } elsif ($call eq 'openat' && $rest =~ /O_CREAT/) {
            push @ops, { do => 'create', dirs => [ $object->($fd[0]) ], name => $string[0],
                made => $at->{"$fd[0]/$string[0]"} = "$fd[0]/$string[0]#" . @ops };
        } elsif ($call =~ /^p?write/) {
            my ($offset) = $call eq 'pwrite64' ? $rest =~ /, (\d+)$/ : (undef);
            push @ops, { do => 'write', file => $object->($fd[0]), data => $string[0], offset => $offset };
        } elsif ($call eq 'ftruncate') {
            push @ops, { do => 'truncate', file => $object->($fd[0]), size => $rest =~ /, (\d+)$/ };
        } elsif ($call =~ /^renameat/) {
            my ($from, $to) = ("$fd[0]/$string[0]", "$fd[1]/$string[1]");
            push @ops, { do => 'rename', dirs => [ map { $object->($_) } @fd[0, 1] ],
                name => $string[0], to => $string[1], moved => $object->($from) };
            for my $path (grep { $_ eq $from || index($_, "$from/") == 0 } keys %$at) {
                $at->{ $to . substr $path, length $from } = delete $at->{$path};
            }
        } elsif ($call eq 'unlinkat') {
            push @ops, { do => $rest =~ /AT_REMOVEDIR/ ? 'rmdir' : 'unlink',
                dirs => [ $object->($fd[0]) ], name => $string[0] };
            $forget->("$fd[0]/$string[0]");
        } elsif ($call eq 'fsync') {
            push @ops, { do => 'fsync', object => $object->($fd[0]) };
        } elsif ($call =~ /^(fchown|fchmod|fsetxattr|utimensat)$/) {
            push @ops, { do => 'attribute', call => $call, file => $object->($fd[0]), rest => $rest,
                string => \@string };
        }
    }
    die "no marks in $trace" if $yields != 2;
    # The inodes of files that were made: plans name them, and in another run they are others.
    my %path = map { $at->{$_} => $_ } keys %$at;
    $_->{ino} = (stat $path{ $_->{made} })[1] for grep { $_->{do} eq 'create' && defined $path{ $_->{made} } } @ops;
    return \@ops;
}

# --- What the disk may show ---------------------------------------------------------

# The sets of operations that may be there, as strings of 0, 1 and h (half), each once.
sub states {
    my ($ops) = @_;
    my (%seen, @states);
    my @durable = (0) x @$ops;
    my $add = sub {
        my ($mask) = @_;
        push @states, $mask if !$seen{$mask}++;
    };
    for my $k (0 .. $#$ops) {
        my $op = $ops->[$k];
        if ($op->{do} eq 'fsync') {
            for my $i (0 .. $k - 1) {
                my $o = $ops->[$i];
                $durable[$i] = 1 if ($o->{file} // '') eq $op->{object}
                    || grep { $_ eq $op->{object} } @{ $o->{dirs} // [] };
            }
        }
        my @open = grep { !$durable[$_] && $ops->[$_]{do} ne 'fsync' } 0 .. $k;
        my $mask = sub {
            my %there = map { $_ => 1 } @_;
            return join '', map { $_ > $k ? 0 : $durable[$_] || $there{$_} ? 1 : 0 } 0 .. $#$ops;
        };
        if (@open <= 8) {
            for my $bits (0 .. 2**@open - 1) {
                $add->($mask->(map { $bits >> $_ & 1 ? $open[$_] : () } 0 .. $#open));
            }
        } else {
            $add->($mask->(@open[ 0 .. $_ - 1 ])) for 0 .. @open;
            for my $i (@open) {
                $add->($mask->($i));
                $add->($mask->(grep { $_ != $i } @open));
            }
            $add->($mask->(grep { rand() < 0.5 } @open)) for 1 .. 200;
        }
        for my $i (grep { $ops->[$_]{do} eq 'write' } @open) {
            my $torn = $mask->(@open);
            substr $torn, $i, 1, 'h';
            $add->($torn);
        }
    }
    return @states;
}

my %number = (setxattr => 188, utimensat => 280); # x86-64

sub attribute {
    my ($op, $path) = @_;
    my ($rest) = ($op->{rest});
    if ($op->{call} eq 'fchown' && $rest =~ /, (\d+), (\d+)$/) { chown $1, $2, $path }
    elsif ($op->{call} eq 'fchmod' && $rest =~ /, (0\d+)$/) { chmod oct $1, $path }
    elsif ($op->{call} eq 'fsetxattr') {
        my ($name, $value) = @{ $op->{string} };
        syscall $number{setxattr}, $path, $name, $value, length $value, 0;
    } elsif ($op->{call} eq 'utimensat') {
        my @t = map { [ (/tv_sec=(\d+)/)[0], (/tv_nsec=(\d+)/)[0] ] }
            $rest =~ /(\{[^}]*\})/g;
        my $packed = pack 'q4', map { @$_ } @t;
        syscall $number{utimensat}, -100, $path, $packed, 0;
    }
}

# Apply the operations that a mask names; those whose directory is not there have no effect.
sub apply {
    my ($ops, $mask, $rename, $path) = @_;
    my %inode;
    my $where = sub { my ($o) = @_; my $p = $path->{$o} // $o; $p =~ s/#\d+//g; return $rename->($p) };
    for my $i (0 .. $#$ops) {
        my $op = $ops->[$i];
        my $how = substr $mask, $i, 1;
        next if $how eq '0' || $op->{do} eq 'fsync';
        my $dir = $op->{dirs} ? $where->($op->{dirs}[0]) : undef;
        my $name = $rename->($op->{name} // '');
        if ($op->{do} eq 'mkdir') { mkdir "$dir/$name", 0700 }
        elsif ($op->{do} eq 'create') {
            open my $f, '>>', "$dir/$name";
            chmod 0600, "$dir/$name";
            $inode{ $op->{ino} } = (stat "$dir/$name")[1] if defined $op->{ino};
        }
        elsif ($op->{do} eq 'unlink') { unlink "$dir/$name" }
        elsif ($op->{do} eq 'rmdir') { rmdir "$dir/$name" }
        elsif ($op->{do} eq 'rename') {
            my ($from, $to) = ("$dir/$name", $where->($op->{dirs}[1]) . '/' . $rename->($op->{to}));
            next unless rename $from, $to;
            $path->{ $op->{moved} } = $to;
            for my $o (keys %$path, map { $_->{made} // () } @$ops) {
                my $p = $where->($o);
                $path->{$o} = $to . substr $p, length $from if index($p, "$from/") == 0;
            }
        } else {
            my $file = $where->($op->{file});
            next unless -e $file;
            if ($op->{do} eq 'write') {
                my $data = contents($rename->($op->{data}), \%inode);
                $data = substr $data, 0, length($data) / 2 if $how eq 'h';
                open my $f, '+<:raw', $file or next;
                seek $f, $op->{offset} // -s $file, 0;
                print $f $data;
            } elsif ($op->{do} eq 'truncate') { truncate $file, $op->{size} }
            else                              { attribute($op, $file) }
        }
    }
}

# A plan in which a name was replaced has another digest at its end.
sub contents {
    my ($data, $inode) = @_;
    return $data unless $data =~ /\Aspoolck-plan 1 /;
    $data =~ s/^(part \w+ \d+ )(\d+)/$1 . ($inode->{$2} || $2)/gme;
    $data =~ s/^end [0-9a-f]{64}\n\z//m or return $data;
    return $data . 'end ' . sha256_hex($data) . "\n";
}

# --- Scenarios ---------------------------------------------------------------------

my ($test, $total, $wrong) = (0, 0, 0);

sub traced {
    my ($verb, $at, @dirs) = @_;
    my $trace = "$top/trace";
    my $status = run("$top/log", 'strace', '-o', $trace, '-y', '-xx', '-s', '1000000', '-e',
        'trace=mkdirat,openat,write,pwrite64,ftruncate,renameat2,renameat,linkat,unlinkat,fsync,'
            . 'fchown,fchmod,fsetxattr,utimensat,sched_yield', $driver, $verb, @dirs);
    die 'the driver fails: ' . slurp("$top/log") if $status >> 8 != 32;
    return parse($trace, $at);
}

# The entry's name, wherever it is.
sub entry_of {
    my ($store) = @_;
    my ($e) = map { s{.*/}{}r =~ s/~.*//r } glob "$store/entries/* $store/inflight/*";
    return $e;
}

# scenario(name, store on another file system?, verb, options): what the disk may show when the power goes during
# `verb`. state: what `driver setup` makes first, for each state anew, because the message does not come back as the same
# inode, or not at all; else a spool is used again and again, and `before` is what is done and durable in it.
# again: the verb (recover) was interrupted before, in so many ways.
sub scenario {
    my ($name, $far, $verb, %opt) = @_;
    return if $name !~ /$ENV{SPOOLCK_CRASH_ONLY}/;
    my @dirs = ($far ? "$top/far/spool" : "$top/near/spool", "$top/near/store", "$top/near/picture");
    my $fresh = $opt{state};
    my $judged = $verb eq 'purge' ? 'recover-purge' : $verb;
    local $ENV{SPOOLCK_CRASH_COPIED} = 1;
    delete $ENV{SPOOLCK_CRASH_COPIED} unless "$verb @{[ $fresh // '' ]}" =~ /drain/;
    my $begin = sub {
        remove_tree("$top/near/store", "$top/near/spool", "$top/far/spool");
        unlink "$top/near/picture";
        run("$top/log", $driver, 'setup', $fresh // 'plain', @dirs) == 0 or die slurp("$top/log");
    };
    my ($states, $bad, %at, @prefix) = (0, '');
    my $same = sub { $_[0] };

    # Names and numbers of a trace in which the entry was `entry`, for the one that there is now.
    my $renamer = sub {
        my ($entry) = @_;
        my $now = entry_of($dirs[1]);
        my ($plan) = glob "$dirs[1]/{entries,inflight}/$now*/plan";
        my ($root) = slurp($plan // '') =~ /^(root .*)$/m;
        return sub { return $_[0] =~ s/\Q$entry\E/$now/gr =~ s/^root \d+ \d+$/$root/mr };
    };
    my $verdict = sub {
        my ($ops, $mask) = @_;
        $states++;
        unlink "$top/log";
        return 1 if run("$top/log", $driver, 'check', @dirs, $judged, 0) == 0;
        $wrong++;
        $bad .= join('', "# $mask\n", map { substr($mask, $_, 1) ? '' : "#   not: $_ $ops->[$_]{do} " . join(' ', $ops->[$_]{name} // $ops->[$_]{file} // (), $ops->[$_]{call} // ()) . "\n" }
            grep { $ops->[$_]{do} ne 'fsync' } 0 .. rindex $mask, '1') . slurp("$top/log") =~ s/^/#   /gmr if length $bad < 3000;
        return 0;
    };

    $begin->();
    push @prefix, traced($_, \%at, @dirs) for @{ $opt{before} // [] };
    my $entry = entry_of($dirs[1]);
    my $ops = traced($verb, \%at, @dirs);
    my $operations = grep { $_->{do} ne 'fsync' } @$ops;
    # back to the beginning, with the same inodes
    run("$top/log", $driver, 'check', @dirs, $judged, 0) == 0 or die slurp("$top/log") unless $fresh;

    my @first = states($ops);
    if ($opt{again}) {
        my @ways = map { $first[ int($_ * $#first / ($opt{again} - 1)) ] } 0 .. $opt{again} - 1;
        for my $way (@ways) {
            my $left = sub { # what the first interruption left
                $begin->();
                my $now = entry_of($dirs[1]);
                apply($ops, $way, $renamer->($entry), {});
                return $now;
            };
            my $then = $left->();
            my %at2;
            my $ops2 = traced($verb, \%at2, @dirs);
            for my $mask (states($ops2)) {
                $left->();
                apply($ops2, $mask, $renamer->($then), {});
                $verdict->($ops2, $mask);
                last if $wrong > 20;
            }
        }
    }
    for my $mask ($opt{again} ? () : @first) {
        my $rename = $same;
        if ($fresh) {
            $begin->();
            $rename = $renamer->($entry);
        }
        my %path;
        apply($_, '1' x @$_, $same, \%path) for @prefix;
        apply($ops, $mask, $rename, \%path);
        next if $verdict->($ops, $mask);
        last if $wrong > 20;
        if (!$fresh) { # the base is spoilt: begin anew
            %at = ();
            @prefix = ();
            $begin->();
            push @prefix, traced($_, \%at, @dirs) for @{ $opt{before} // [] };
            $ops = traced($verb, \%at, @dirs);
            run("$top/log", $driver, 'check', @dirs, $verb, 0);
        }
    }
    $total += $states;
    printf "%s %d - %s: %d states of %d operations\n%s", $bad || !$states ? 'not ok' : 'ok', ++$test, $name, $states,
        $operations, $bad;
}

$| = 1;
my $copies = $two_fs && (POSIX::uname())[4] eq 'x86_64'; # numbers of calls in attribute()
scenario('move', 0, 'move');
scenario('restore', 0, 'restore', before => ['move']);
scenario('purge', 0, 'purge', state => 'moved');
scenario('recover of a half move, again', 0, 'recover', state => 'half-move', again => 8);
scenario('recover of a half restore, again', 0, 'recover', state => 'half-restore', again => 8);
scenario('recover by putting back, again', 0, 'recover', state => 'changed', again => 8);
if ($two_fs) {
    scenario('move, lodge in the spool', 1, 'move');
    scenario('restore, lodge in the spool', 1, 'restore', before => ['move']);
    scenario('purge, lodge in the spool', 1, 'purge', state => 'moved');
    scenario('recover of a half move, lodge in the spool, again', 1, 'recover', state => 'half-move', again => 8);
}
if ($copies) {
    scenario('drain', 1, 'drain', state => 'moved');
    scenario('restore of what was drained', 1, 'restore', state => 'drained');
}
print "1..$test\n# $total states, $wrong violations\n";
exit($wrong ? 1 : 0);
