package Lab::Courier::Damage;

# Damaged copies of real control files, each a message of its own in one big queue, and what the
# real courierd makes of them.

use strict;
use warnings;
use Exporter 'import';
use Lab::Courier;
use Lab::Util qw(slurp spew rng run_ok);

our @EXPORT_OK = qw(damage fate envelope %parts);

# Values that stand on a limit, or beyond.
my %values = (
    s => ['', ' ', '@', 'a@b@c', 'x' x 3000 . '@b.test'], r => ['', ' ', '@', 'a', 'a@', '@b', "a\tb\@c.test", 'x' x 3000 . '@b.test', 'a@b.test,c@d.test', '!a!b'],
    R => ['', 'x' x 3000, ' '], N => ['', 'SFDN', 'X', 'sfd', 'NN', ' '], e => ['', 'e' x 500], t => ['', 'F', 'H', 'FH', 'x', 'f'],
    M => ['', '1.2.3', 'x', '1.2', '1.2.3.4', '0' x 40 . '.1.1', 'G.1.1'], E => ['', '0', '-1', 'x', ' 1', '1', '0x7fffffff', '99999999999', '99999999999999999999999', '+1'],
    p => ['', 'x', '0'], W => ['', 'x', '0', '99999999999'], A => ['', 'x', '0', '1', '99999999999'], C => ['', 'x'], L => ['', 'x', '99', '-1'],
    S => ['', 'x', '0', '0 ', '0 x', '0 1', '99999 1', '-1 1', '4294967296 1', ' 0 1', "0\t1", '0 1 r', '1 1 l'], F => ['', 'x 1', '0 1', '99999 1', '0 1 r'],
    D => ['', 'x', '0 1', '99999 1'], I => ['', 'x', '0', '0 ', '0 R', '0 R ', '0 X text', '99999 R text', '0 C text', '0 P [1.2.3.4]'],
    u => ['', 'nosuch'], w => ['', 'x'], V => ['', 'x'], T => ['', 'x'], 8 => ['', 'x'], m => ['', 'x'], x => [''], U => ['', 'STARTTLS', 'x'], v => ['', 'other'],
    i => ['', 'user'], O => ['', 'A=B', 'A', '=', 'RELAYCLIENT'], f => ['', 'dns', ';', 'x' x 3000], q => ['', 'x'], "\xff" => ['x'], ' ' => ['x'], p2 => ['1'],
);

# One damaged copy: (kind, bytes).
sub one {
    my ($rnd, $n, $e) = @_;
    my $at = $rnd->(length $e);
    my @lines = split /(?<=\n)/, $e;
    my $line = $rnd->(scalar @lines);
    my $kind = (qw(bit byte delete insert cut zeros line-twice line-gone line-moved value value value append letter crlf blank zero tail))[$n % 18];
    if    ($kind eq 'bit')    { substr($e, $at, 1) = chr(ord(substr $e, $at, 1) ^ 1 << $rnd->(8)) }
    elsif ($kind eq 'byte')   { substr($e, $at, 1) = chr $rnd->(256) }
    elsif ($kind eq 'delete') { substr($e, $at, 1 + $rnd->(4)) = '' }
    elsif ($kind eq 'insert') { substr($e, $at, 0) = chr $rnd->(256) }
    elsif ($kind eq 'cut')    { $e = substr $e, 0, $at }
    elsif ($kind eq 'zeros')  { my $k = 1 + $rnd->(length($e) - $at); substr($e, $at, $k) = "\0" x $k }
    elsif ($kind eq 'zero')   { substr($e, $at, 0) = "\0" }
    elsif ($kind eq 'tail')   { $e .= "\0" x (1 + $rnd->(500)) }
    elsif ($kind eq 'value')  {
        my @keys = sort keys %values;
        my $key = $keys[$rnd->(scalar @keys)];
        my $value = $values{$key}[$rnd->(scalar @{ $values{$key} })];
        $e =~ s/^\Q$key\E.*\n/$key$value\n/m or $e .= "$key$value\n";
    }
    else {
        if    ($kind eq 'line-twice') { splice @lines, $rnd->(scalar @lines), 0, $lines[$line] }
        elsif ($kind eq 'line-gone')  { splice @lines, $line, 1 }
        elsif ($kind eq 'line-moved') { my ($l) = splice @lines, $line, 1; splice @lines, $rnd->(1 + @lines), 0, $l }
        elsif ($kind eq 'append')     { push @lines, ("\n", 'x', 'S', "S0", "F\n", ' ', "\t\n", "D1", "Acancel\n", "S1 1\n")[$rnd->(10)] }
        elsif ($kind eq 'letter')     { substr($lines[$line], 0, 1) = ('q', 'r', 'R', 'N', 's', 'E', 'S', 'F', ' ', "\r")[$rnd->(10)] }
        elsif ($kind eq 'crlf')       { s/\n/\r\n/ for $rnd->(2) ? @lines : $lines[$line] }
        elsif ($kind eq 'blank')      { $lines[$line] = ("\n" x 3 . $lines[$line], " $lines[$line]", $lines[$line] =~ s/^(.)/$1 /sr)[$rnd->(3)] }
        $e = join '', @lines;
    }
    return ($kind, $e);
}

# $number damaged copies of the given control files in the spool, all due and with the same text: { number => { kind, bytes, from } }.
sub damage {
    my ($lab, $spool, $number, $text, @files) = @_;
    my $rnd = rng($ENV{LAB_SEED} // 11);
    my $due = time - 1000;
    my %case;
    for my $n (0 .. $number - 1) {
        # Due, and so that the last A record is the time in the name.
        my $from = $files[$rnd->(scalar @files)] =~ s/^A\d+\n(?!.*^A)/A$due\n/msr;
        my ($kind, $bytes) = one($rnd, $n, $from);
        my $i = $lab->put($spool, $due, control => $bytes, data => $text);
        $case{$i} = { kind => $kind, bytes => $bytes, from => $from };
    }
    return \%case;
}

# What Courier reads in a control file: sender and those still to do, as text.
sub envelope {
    my ($bytes) = @_;
    my ($text) = $bytes =~ /^([^\0]*)/;
    my ($sender, @to, %done);
    for (split /\n/, $text =~ tr/\r/ /r) {
        $sender //= $1 if /^s(.*)/;
        push @to, $1 if /^r(.*)/;
        $done{ $1 eq '' ? 0 : $1 } = 1 if /^[SF]\s*(-?\d*)/;
    }
    my @left = grep { !$done{$_} } 0 .. $#to;
    return { sender => $sender // '', left => join("\n", map { $to[$_] } @left), count => scalar @left };
}

# What became of a message: gone, untried, or tried, and for how many recipients.
sub fate {
    my ($spool, $n, $case) = @_;
    my $control = "$spool/msgs/" . $n % 100 . "/C$n";
    return { word => 'gone', count => 0 } unless -e $control;
    my $now = slurp($control);
    my $more = substr $now, length $case->{bytes};
    # The first record may have been appended to a line without an end.
    my %tried = map { $_ => 1 } $more =~ /^[^\n]*?[DSF](\d+) \d{9,}/mg;
    return { word => length $more ? 'tried' : 'untried', count => scalar keys %tried };
}

# A folder as Courier makes it.
sub folder {
    my ($lab, $path) = @_;
    mkdir $path, 0755;
    chown @$lab{qw(uid gid)}, $path;
    return $path;
}

# The parts of $p go to tmp/, as before courierd has taken them.
sub to_tmp {
    my ($lab, $spool, $n, $p, @which) = @_;
    my $dir = folder($lab, "$spool/tmp/179516");
    my %letter = (control => 'C', data => 'D');
    rename $p->{$_}, "$dir/$letter{$_}$n" or die "$p->{$_}: $!" for @which;
    return $dir;
}

sub exists_all { return !grep { !-e } @_ }
sub exists_none { return !grep { -e } @_ }

# Damage to names, links and parts: [ what is done, what we say, what courierd does ]. The hashes are
# those of Lab::Courier::parts().
our %parts = (
    'the control file is gone' => [ sub { unlink $_[3]{control} }, 'courier.control-missing corrupt server-deletes',
        sub { exists_none($_[3]{entry}) && exists_all($_[3]{data}) } ],
    'a finished message' => [ sub { unlink @{ $_[3] }{qw(control data)} }, 'courier.leftover notice none', sub { exists_none($_[3]{entry}) } ],
    'a copy in place of a link' => [ sub { run_ok('cp', '-p', $_[3]{control}, "$_[3]{control}.new"); rename "$_[3]{control}.new", $_[3]{control} },
        'courier.copy corrupt stranded', sub { exists_none($_[3]{entry}) && exists_all(@{ $_[3] }{qw(control data)}) } ],
    'the control file in another folder' => [ sub {
            my $dir = folder($_[0], "$_[1]/msgs/" . ($_[2] + 1) % 100);
            rename $_[3]{control}, "$dir/C$_[2]";
        }, 'courier.control-elsewhere corrupt server-deletes', sub { exists_none(@{ $_[3] }{qw(entry data)}) } ],
    'the control file of another number' => [ sub { unlink $_[3]{control}; spew($_[3]{control}, 'x'); link $_[3]{entry}, "$_[1]/second"; utime 1, 1, $_[3]{control} },
        'courier.control-other corrupt server-deletes', sub { slurp($_[3]{control}) eq 'x' || !-e $_[3]{control} } ],
    'the text is gone' => [ sub { unlink $_[3]{data} }, 'courier.data-missing corrupt stranded', sub { slurp($_[3]{control}) =~ /^D0/m } ],
    'the text is empty' => [ sub { truncate $_[3]{data}, 0 }, 'courier.data-empty corrupt damaged-delivery', sub { slurp($_[3]{control}) =~ /^D0/m } ],
    'the text is zeros' => [ sub { spew($_[3]{data}, "\0" x 4096) }, 'spool.zero-filled corrupt damaged-delivery', sub { slurp($_[3]{control}) =~ /^D0/m } ],
    'the text is cut' => [ sub { truncate $_[3]{data}, 20 }, 'courier.data-cut suspect damaged-delivery', sub { slurp($_[3]{control}) =~ /^D0/m } ],
    'no schedule entry' => [ sub { unlink $_[3]{entry} }, 'courier.unscheduled corrupt stranded',
        sub { exists_all(@{ $_[3] }{qw(control data)}) && slurp($_[3]{control}) !~ /^D0/m } ],
    'the entry in another folder' => [ sub { rename $_[3]{entry}, folder($_[0], "$_[1]/msgq/179000") . "/C$_[2].$_[3]{time}" },
        'courier.folder corrupt server-stops', sub { my $n = () = slurp($_[0]{log}) =~ /No such file or directory/g; $n > 50 } ],
    'the entry in no folder' => [ sub { rename $_[3]{entry}, "$_[1]/msgq/C$_[2].$_[3]{time}" }, 'courier.folder corrupt stranded',
        sub { slurp($_[3]{control}) !~ /^D0/m } ],
    'a backup by links' => [ sub { link $_[3]{control}, "$_[1]/backup" }, 'courier.links corrupt stranded',
        sub { slurp($_[0]{log}) =~ /Invalid number of links/ && slurp($_[3]{control}) !~ /^D0/m } ],
    'a second entry' => [ sub { link $_[3]{control}, $_[3]{entry} =~ s/(\d)$/($1 + 1) % 10/er }, 'courier.links corrupt stranded',
        sub { slurp($_[0]{log}) =~ /Invalid number of links/ && slurp($_[3]{control}) !~ /^D0/m } ],
    'courierd died while it took the message' => [ sub {
            spew("$_[3]{control}.new", slurp($_[3]{control}) =~ s/^C.*\n//mr);
            unlink @{ $_[3] }{qw(control entry)};
            rename "$_[3]{control}.new", $_[3]{control};
            link $_[3]{control}, $_[3]{entry};
            chown @{ $_[0] }{qw(uid gid)}, $_[3]{control};
            utime time - 600, time - 600, $_[3]{control};
            to_tmp(@_[0 .. 3], 'control');
        }, 'courier.control-elsewhere suspect server-deletes', sub { exists_none($_[3]{data}) } ],
    'a submission without its text' => [ sub { unlink @{ $_[3] }{qw(entry data)}; to_tmp(@_[0 .. 3], 'control') }, 'courier.data-missing corrupt stranded',
        sub { exists_all($_[3]{control}) && exists_none($_[3]{data}) } ],
    'a submission that has waited for three days' => [ sub {
            unlink $_[3]{entry};
            my $dir = to_tmp(@_[0 .. 3], qw(control data));
            utime time - 3 * 86400, time - 3 * 86400, "$dir/C$_[2]", "$dir/D$_[2]";
        }, 'courier.submission-old suspect server-deletes', sub { exists_none("$_[1]/tmp/179516/C$_[2]", $_[3]{control}) } ],
    'a file that courierd may not read' => [ sub { chown 0, 0, $_[3]{control}; chmod 0600, $_[3]{control} }, 'courier.access suspect stranded',
        sub { slurp($_[0]{log}) =~ /Cannot read/ } ],
);

1;
