package Lab::Postfix::Judge;

# What the real programs make of damaged queue files.
#
#   postcat   every file, one process each: how it ended, what it warned about
#   showq     (mailq) the file in hold/: listed, absent, or showq died
#   daemons   the file in incoming/ or maildrop/ of a running Postfix whose mail all goes to a
#             sink on loopback: verdict from the log and from where the file ends up
#
# Daemon verdicts: accepted, removed (no recipient left to do), deferred, bounced, corrupt (moved
# to corrupt/ by qmgr), bounced-unreadable (an agent met damage in the text; ends in corrupt/),
# deleted (by pickup), rejected (by cleanup, then deleted), ignored (stays where it is),
# server-fatal (qmgr dies), server-memory (it dies for want of memory), loop (text or deliveries multiply), stuck (none of these in time).

use strict;
use warnings;
use Exporter 'import';
use Digest::SHA qw(sha1_hex);
use POSIX ();
use Time::HiRes qw(time sleep);
use Lab::Smtp;
use Lab::Util qw(slurp spew run_ok spawn stop_children wait_for say_step tsv_write tsv_read rng);

our @EXPORT_OK = qw(judge_postcat judge_lane judge_named select_files select_for_local merge opinion);

my $sink_port = 2600;
my $batch     = 250;

# The lab of the judges: everything is delivered at once, to the sink.
my $main = <<"EOM";
relayhost = [127.0.0.1]:$sink_port
mydestination =
default_destination_recipient_limit = 100
default_destination_concurrency_limit = 30
initial_destination_concurrency = 30
smtp_connection_cache_on_demand = no
smtp_send_xforward_command = no
recipient_delimiter =
notify_classes =
disable_mime_output_conversion = yes
local_header_rewrite_clients =
EOM
# All mail to the local agent, which writes it to one mailbox.
my $main_local = <<'EOM';
mydestination = lab.test
default_transport = local
transport_maps = static:local
luser_relay = nobody
recipient_delimiter =
notify_classes =
EOM
my $master = "qmgr unix n - n 1 1 qmgr\n";

# ---- postcat

sub postcat_verdict {
    my ($status, $out, $err) = @_;
    my ($complaint) = $err =~ /postcat: ((?:warning|fatal|panic|error): .*)/;
    my $end = $out =~ /^\*\*\* MESSAGE FILE END .*\*\*\*\n\z/m;
    my $verdict = $status & 127 ? 'signal' : $status ? 'fatal' : $err =~ /not a valid queue file/ ? 'not-a-queue-file'
        : !$end ? 'no-end' : defined $complaint ? 'warning' : 'clean';
    return ($verdict, $complaint);
}

# (status, standard output, standard error), without a shell between.
sub one_postcat {
    my ($file, $errors) = @_;
    my $pid = open(my $p, "-|");
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, ">", $errors;
        exec "/usr/sbin/postcat", $file or POSIX::_exit(126);
    }
    local $/;
    my $text = <$p>;
    close $p;
    return ($?, defined $text ? $text : "", slurp($errors));
}

# Many at once: each refusal sleeps a second before it ends.
sub judge_postcat {
    my ($lab, $damaged, $result, $workers) = @_;
    $lab->configure($main, $master);
    run_ok('mount', '--bind', $damaged, "$lab->{root}/mnt");
    my @files = map { $_->{file} } @{ tsv_read("$damaged.tsv") };
    for my $w (0 .. $workers - 1) {
        spawn(sub {
            open my $out, ">", "$lab->{dir}/stage/postcat.$w" or die;
            chroot $lab->{root} or die "chroot: $!";
            chdir '/mnt';
            for (my $n = $w; $n < @files; $n += $workers) {
                my ($verdict, $line) = postcat_verdict(one_postcat($files[$n], "/tmp/postcat.$w"));
                $line = '' unless defined $line;
                $line =~ tr/\t\n/  /;
                print {$out} "$files[$n]\t$verdict\t$line\n";
            }
            close $out;
            unlink "/tmp/postcat.$w";
        });
    }
    Lab::Util::wait_children();
    my @rows;
    for my $w (0 .. $workers - 1) {
        push @rows, map { my %r; @r{qw(file postcat postcat_line)} = split /\t/, $_, 3; \%r } split /\n/, slurp("$lab->{dir}/stage/postcat.$w");
    }
    tsv_write($result, [qw(file postcat postcat_line)], \@rows);
}

# ---- which files the daemons see

# At most $per_kind of each kind, every undamaged original, $total in all; dealt out to lanes.
sub select_files {
    my ($damaged, $total, $lanes) = @_;
    my (%by_kind, @chosen);
    push @{ $by_kind{ $_->{kind} } }, $_ for @{ tsv_read("$damaged.tsv") };
    my $none = delete $by_kind{none};
    delete $by_kind{$_} for grep { /^named-/ } keys %by_kind;    # judged by themselves
    my $per_kind = int(($total - @$none) / keys %by_kind);
    $per_kind = 1 if $per_kind < 1;
    for my $kind (sort keys %by_kind) {
        my @f = @{ $by_kind{$kind} };
        push @chosen, splice @f, 0, $per_kind;
    }
    my $rand = rng(7);
    @chosen = map { $_->[1] } sort { $a->[0] <=> $b->[0] || $a->[1]{file} cmp $b->[1]{file} } map { [ $rand->(1 << 30), $_ ] } @chosen;
    unshift @chosen, @$none;
    my @lane;
    push @{ $lane[ $_ % $lanes ] }, $chosen[$_] for 0 .. $#chosen;
    return @lane;
}

# A few hundred with damage in the text, for the local agent, which reads it in other code.
sub select_for_local {
    my ($damaged, $total) = @_;
    my @text = grep { $_->{queue} eq 'incoming' && $_->{kind} =~ /\.text$|^(?:cut|block|remove|repeat|type-[NLX])/ } @{ tsv_read("$damaged.tsv") };
    my $step = @text > $total ? @text / $total : 1;
    return map { $text[ int $_ * $step ] } 0 .. (@text < $total ? @text : $total) - 1;
}

# ---- one lane

sub start_lab {
    my ($lab, $agent) = @_;
    spawn(sub { Lab::Smtp::sink($sink_port, 'judge', 40) });
    $lab->configure($agent eq 'local' ? $main_local : $main, $master);
    run_ok('mkdir', '-p', "$lab->{root}/var/mail");
    $lab->start;
}

# Puts the file into a queue under a name of its own inode; answers the item.
sub inject {
    my ($lab, $damaged, $row, $queue, $seq) = @_;
    my $source = "$damaged/$row->{file}";
    my ($mode, $owner) = (stat $source)[2, 4];
    my $tmp = "$lab->{dir}/stage/inject";
    spew($tmp, slurp($source));
    # Each local submitter has a uid of his own: pickup's complaints name nothing else.
    my $drop = $row->{queue} eq 'maildrop' && !$row->{requeued};
    my $uid = $drop ? 100_000 + $seq : $lab->{uid};
    chown $uid, $drop ? $lab->{postdrop} : 0, $tmp;
    chmod $mode & 07777, $tmp;
    my $id = sprintf '%05X%X', $seq, (stat $tmp)[1];
    rename $tmp, $lab->spool . "/$queue/$id" or die "rename: $!";
    return { row => $row, id => $id, ids => { $id => 1 }, uid => $uid, drop => $row->{queue} eq 'maildrop', deaths => 0, lines => [], sent => [], to => {}, from => {}, status => {} };
}

# The log, line by line, told to the items it speaks of.
sub read_log {
    my ($s) = @_;
    my $n = 0;
    for my $line ($s->{lab}->new_log_lines) {
        my ($daemon, $pid, $text) = $line =~ m{ postfix/([\w/-]+)\[(\d+)\]: (.*)} or next;
        $n++ unless $daemon eq 'pickup' && $text =~ /cannot open file|you may have to chmod/;
        if ($daemon eq 'pickup' && $text =~ /^([0-9A-F]+): uid=(\d+) from=<.*?>(?: orig_id=(\w+))?/) {
            my $item = $3 ? $s->{by_id}{$3} : $s->{by_uid}{$2};
            if ($item) { $item->{ids}{$1} = 1; $item->{new_id} = $1; $s->{by_id}{$1} = $item }
        }
        elsif ($daemon eq 'pickup' && $text =~ /uid=(\d+): /) {
            my $item = $s->{by_uid}{$1};
            push @{ $item->{lines} }, "$daemon: $text" if $item;
        }
        if ($daemon eq 'qmgr' && $text =~ /^(?:fatal|panic)/) { $s->{last_words}{$pid} = $text }
        if ($daemon eq 'showq' && $text =~ /^(?:fatal|panic)/) { $s->{showq_fatal} = $text }
        if ($daemon eq 'master' && $text =~ m{process \S+/(\w+) pid (\d+) (exit status \d+|killed by signal \d+)}) {
            push @{ $s->{died} }, { pid => $2, how => $3 } if $1 eq 'qmgr';
            $s->{showq_exit} = "showq $3" if $1 eq 'showq';
            $s->{crashes}{"$1 $3"}++;
        }
        my %seen;
        for my $id ($text =~ /\b([0-9A-F]{8,})\b/g) {
            my $item = $s->{by_id}{$id} or next;
            next if $seen{$item}++;
            note_line($item, $daemon, $text);
        }
    }
    return $n;
}

sub note_line {
    my ($item, $daemon, $text) = @_;
    if ($text =~ / (?:to|orig_to)=<(.*?)>, .*status=(\w+) \((.*)/) {
        my ($to, $status, $detail) = ($1, $2, $3);
        $item->{to}{$to}++;
        $item->{status}{$status}++;
        push @{ $item->{sent} }, [ $1, $2, $3 ] if $status eq 'sent' && $detail =~ /got (\w+) (\w+) (\d+)/;
        return if $status eq 'sent' && $item->{status}{sent} > 1;
    }
    $item->{queued} = 1 if $daemon eq 'qmgr';
    $item->{from}{$1} = 1 if $text =~ /: from=<(.*?)>, size=/;
    $item->{unreadable} = 1 if $text =~ /unreadable mail queue entry|corrupted queue file/;
    $item->{corrupt} = 1 if $text =~ /saving corrupt file/;
    $item->{rejected} = 1 if $daemon eq 'cleanup' && $text =~ /message rejected|bad message|no recipients/i;
    push @{ $item->{lines} }, "$daemon: $text" if @{ $item->{lines} } < 40;
}

# qmgr died: whose fault was it?  The file it names; else the last one it moved into active.
sub blame {
    my ($s, $died) = @_;
    my $words = delete $s->{last_words}{ $died->{pid} };
    my $text = defined $words ? $words : $died->{how};
    my $culprit;
    for my $id ($text =~ /\b([0-9A-F]{8,})\b/g) { $culprit ||= $s->{by_id}{$id} }
    my $named = $culprit;
    if (!$culprit) {
        my $newest = 0;
        for my $id ($s->{lab}->list('active')) {
            my $ctime = (Time::HiRes::stat($s->{lab}->spool . "/active/$id"))[10];
            ($newest, $culprit) = ($ctime, $s->{by_id}{$id}) if $ctime && $ctime > $newest;
        }
    }
    return unless $culprit;
    if (!$named && !$culprit->{row}{tries}) {
        # Only circumstantial evidence (agents touch files in active, too): later it gets a hearing
        # all alone.
        $culprit->{retry} = 1;
        unlink map { $s->{lab}->spool . "/$_/$culprit->{id}" } qw(active incoming);
        return;
    }
    $culprit->{deaths}++;
    push @{ $culprit->{lines} }, "qmgr: $text";
    $culprit->{fatal} = "qmgr: $text";
    # The first of each kind may do it again, to show that a restart does not help.
    return if $culprit->{deaths} < 2 && !$s->{kind_died}{ $culprit->{row}{kind} };
    $s->{kind_died}{ $culprit->{row}{kind} } = 1;
    unlink map { $s->{lab}->spool . "/$_/$culprit->{id}" } qw(active incoming);
    unlink map { $s->{lab}->spool . "/$_/$culprit->{new_id}" } qw(active incoming) if $culprit->{new_id};
}

# Until nothing moves any more.
sub run_batch {
    my ($s, $deadline) = @_;
    my ($quiet_since, $end, $kicked, $state) = (time, time + $deadline, 0, '');
    while (time < $end) {
        my $news = read_log($s);
        blame($s, shift @{ $s->{died} }) while @{ $s->{died} || [] };
        my @left = map { $s->{lab}->list($_) } qw(incoming active maildrop);
        my $now = join ' ', sort @left;
        # (pickup complains about a file it cannot open for ever: not news.)
        if ($news || $now ne $state) { ($quiet_since, $state) = (time, $now) }
        my @waiting = grep { my $i = $s->{by_id}{$_}; !($i && ($i->{inert} || $i->{unreadable})) } @left;
        # Files that nobody will ever touch are not waited for, nor those whose verdict is known: the
        # bounce agent cannot open them, and qmgr leaves them in active for a long time.
        last if !@waiting && time - $quiet_since > 1.5;    # a dying qmgr sleeps for one second
        # A queue manager that died comes back within seconds; on a loaded machine that may take long.
        if (time - $quiet_since > 25) { say_step("$s->{lab}{name}: nothing moves any more: @waiting"); last }
        if (time - $kicked > 0.5) {
            $s->{lab}->kick('qmgr', 'I');
            $s->{lab}->kick('pickup', 'W') if grep { $s->{by_id}{$_} && $s->{by_id}{$_}{drop} } @left;
            $kicked = time;
        }
        sleep 0.05;
    }
    read_log($s);
}

sub where_is {
    my ($s, $item) = @_;
    my %at;
    for my $q (qw(maildrop incoming active deferred corrupt hold)) {
        for my $path ($s->{lab}->files($q)) {
            my ($id) = $path =~ m{([^/]+)\z};
            $at{$id} = $q;
        }
    }
    return \%at;
}

sub verdict {
    my ($item, $place) = @_;
    my ($st, $at) = ($item->{status}, $place->{ $item->{id} } || ($item->{new_id} && $place->{ $item->{new_id} }) || '');
    return 'stuck' if $item->{retry};
    return 'server-memory' if $item->{deaths} && $item->{fatal} =~ /insufficient memory/;
    return 'server-fatal' if $item->{deaths};
    return 'bounced-unreadable' if $item->{unreadable};
    return 'corrupt' if $item->{corrupt} || $at eq 'corrupt';
    return 'rejected' if $item->{rejected};
    # No new id, or one that qmgr never saw: pickup gave up on the file.
    return 'deleted' if $item->{drop} && !$at && (!$item->{new_id} || !$item->{queued});
    return $item->{inert} ? 'ignored' : 'stuck' if $at =~ /^(?:maildrop|incoming|active)\z/;
    return 'deferred' if $at eq 'deferred' || $st->{deferred};
    return 'held' if $at eq 'hold';
    return 'bounced' if $st->{bounced};
    return 'accepted' if $st->{sent};
    return 'removed';
}

# The line that decided: the last one that names damage, else the last one.
sub decisive {
    my ($item) = @_;
    return $item->{fatal} if $item->{fatal};
    return "showq: $item->{showq_line}" if $item->{showq_line};
    my @l = @{ $item->{lines} };
    my @strong = grep { /fatal|panic|warning|rejected|unreadable|corrupt|error/ && !/saving corrupt|bounce.*fatal/ } @l;
    return @strong ? $strong[0] : @l ? $l[-1] : '';
}

sub outcome {
    my ($item, $place) = @_;
    my @sent = @{ $item->{sent} };
    my %text = map { ($_->[ $item->{drop} ? 1 : 0 ] => 1) } @sent;
    my $longest = 0;
    for (@sent) { $longest = $_->[2] if $_->[2] > $longest }
    my $line = decisive($item);
    $line =~ s/\b\Q$_\E\b/ID/g for keys %{ $item->{ids} };
    return {
        file => $item->{row}{file}, kind => $item->{row}{kind}, daemon => verdict($item, $place), deaths => $item->{deaths},
        showq => $item->{showq} || '', text => join(',', sort keys %text), length => $longest,
        deliveries => ($item->{status}{sent} || 0), envelope => substr(sha1_hex(join "\n", (sort keys %{ $item->{from} }), '', sort keys %{ $item->{to} }), 0, 16),
        line => substr($line, 0, 300),
    };
}

# mailq on a batch in hold/.  A file that makes showq die is named in its last words; when there
# are none (a crash), halves are tried alone until one file is left.
sub judge_showq {
    my ($s, @items) = @_;
    my %in = map { $_->{id} => $_ } @items;
    while (%in) {
        my ($died, $out) = mailq($s);
        my %listed = map { $_ => 1 } $out =~ /"queue_id": "(\w+)"/g;
        if (!$died) { $_->{showq} = $listed{ $_->{id} } ? 'listed' : 'absent' for values %in; return }
        my ($culprit) = grep { $_ } map { $in{$_} } $died =~ /\b([0-9A-F]{8,})\b/g;
        ($culprit) = values %in if !$culprit && keys %in == 1;
        if (!$culprit) {
            my @all = sort { $a->{id} cmp $b->{id} } values %in;
            my @half = splice @all, 0, int(@all / 2);
            put_aside($s, @all);
            judge_showq($s, @half);
            put_aside($s, @half);
            take_back($s, @all);
            judge_showq($s, @all);
            put_aside($s, @all);
            return;
        }
        $culprit->{showq} = $died =~ /signal/ ? 'crash' : 'fatal';
        $culprit->{showq_line} = $died;
        put_aside($s, $culprit);
        delete $in{ $culprit->{id} };
    }
}

# One listing: (how showq died if it did, the output).  Its death is known to be over when master
# has said so; otherwise a late line would be taken for the next death.
sub mailq {
    my ($s) = @_;
    delete @$s{qw(showq_fatal showq_exit)};
    my (undef, $out) = $s->{lab}->chroot_run('', 'postqueue', '-j');
    read_log($s);
    if ($s->{showq_fatal} || $out =~ /malformed showq server response/) {
        eval { wait_for('showq to end', 5, sub { read_log($s); $s->{showq_exit} }) };
        return ($s->{showq_fatal} || $s->{showq_exit} || 'showq died', $out);
    }
    return ('', $out);
}

sub put_aside { my ($s, @i) = @_; rename $s->{lab}->spool . "/hold/$_->{id}", "$s->{lab}{dir}/stage/$_->{id}" for @i }
sub take_back { my ($s, @i) = @_; rename "$s->{lab}{dir}/stage/$_->{id}", $s->{lab}->spool . "/hold/$_->{id}" for @i }

sub purge {
    my ($s) = @_;
    for my $q (qw(maildrop incoming active deferred corrupt hold defer bounce trace)) {
        unlink map { $s->{lab}->spool . "/$_" } $s->{lab}->files($q);
    }
}

sub judge_lane {
    my ($lab, $damaged, $rows, $result, $agent) = @_;
    start_lab($lab, $agent);
    my $s = { lab => $lab, by_id => {}, by_uid => {}, kind_died => {}, crashes => {} };
    my ($seq, @rows, @alone, @out) = (0, @$rows);
    while (my @some = @rows ? splice(@rows, 0, $batch) : @alone ? shift @alone : ()) {
        my $t = time;
        my @items;
        for my $row (@some) {
            my $item = inject($lab, $damaged, $row, 'hold', ++$seq);
            my $mode = (stat $lab->spool . "/hold/$item->{id}")[2];
            $item->{inert} = 1 if ($mode & 0700) != 0700 || $item->{drop} && !$row->{requeued} && !($mode & 04);
            $s->{by_id}{ $item->{id} } = $item;
            $s->{by_uid}{ $item->{uid} } = $item if $item->{drop} && !$row->{requeued};
            push @items, $item;
        }
        say_step("$lab->{name}: ", scalar @items, " files placed");
        judge_showq($s, @items);
        say_step("$lab->{name}: mailq done");
        take_back($s, @items);
        for my $i (@items) {
            my $from = $lab->spool . "/hold/$i->{id}";
            rename $from, $lab->spool . ($i->{drop} ? '/maildrop/' : '/incoming/') . $i->{id} or die "rename $from: $!";
        }
        run_batch($s, 180);
        my $place = where_is($s);
        my @got = map { outcome($_, $place) } @items;
        # What only waited behind others gets a second chance, behind a fresh start.
        if (grep { $_->{daemon} eq 'stuck' } @got) {
            for my $n (reverse 0 .. $#got) {
                next if $got[$n]{daemon} ne 'stuck' || $items[$n]{row}{tries}++;
                push @{ $items[$n]{retry} ? \@alone : \@rows }, $items[$n]{row};
                splice @got, $n, 1;
            }
            $lab->stop;
            purge($s);
            $lab->start;
        }
        purge($s);
        push @out, @got;
        my %n;
        $n{ $_->{daemon} }++ for @got;
        say_step(sprintf '%s: %d of %d, %.1f s: %s', $lab->{name}, scalar @out, scalar @$rows, time - $t, join ', ', map { "$_ $n{$_}" } sort keys %n);
        ($s->{by_id}, $s->{by_uid}) = ({}, {});
    }
    tsv_write($result, [qw(file kind daemon deaths showq text length deliveries envelope line)], \@out);
    say_step("$lab->{name}: daemons that ended badly: ", join(', ', map { "$_ x $s->{crashes}{$_}" } sort keys %{ $s->{crashes} }) || 'none');
    $lab->stop;
    stop_children();
}

# ---- the named killers: the real qmgr, stopped and started like after an alarm

sub judge_named {
    my ($lab, $damaged, $result) = @_;
    start_lab($lab, 'smtp');
    my (@out, $seq);
    for my $row (grep { $_->{kind} =~ /^named-/ } @{ tsv_read("$damaged.tsv") }) {
        my $s = { lab => $lab, by_id => {}, by_uid => {}, kind_died => {}, crashes => {} };
        my $item = inject($lab, $damaged, $row, 'incoming', ++$seq);
        $s->{by_id}{ $item->{id} } = $item;
        for my $start (1 .. 2) {
            my $before = $item->{deaths};
            my $end = time + 8;
            while (time < $end && $item->{deaths} == $before) {
                $lab->kick('qmgr', 'I');
                read_log($s);
                blame($s, shift @{ $s->{died} }) while @{ $s->{died} || [] };
                sleep 0.05;
            }
            $lab->stop;
            read_log($s);
            delete $s->{died};
            $lab->start;
        }
        push @out, outcome($item, where_is($s));
        purge($s);
        say_step("$row->{kind}: $out[-1]{daemon}, $item->{deaths} deaths: $out[-1]{line}");
    }
    tsv_write($result, [qw(file kind daemon deaths showq text length deliveries envelope line)], \@out);
    $lab->stop;
    stop_children();
}

# ---- one table of everything

sub merge {
    my ($damaged, $result, $postcat, $local, @parts) = @_;
    my %index = map { $_->{file} => $_ } @{ tsv_read("$damaged.tsv") };
    my %postcat = map { $_->{file} => $_ } @{ tsv_read($postcat) };
    my %local = map { $_->{file} => $_->{daemon} } @{ tsv_read($local) };
    my (%daemon, %sound);
    for my $r (map { @{ tsv_read($_) } } @parts) {
        $daemon{ $r->{file} } = $r;
        $sound{ $index{ $r->{file} }{origin} } = $r if $r->{kind} eq 'none';
    }
    my @rows;
    for my $file (sort keys %index) {
        my ($i, $p, $d) = ($index{$file}, $postcat{$file} || {}, $daemon{$file} || {});
        my $good = $sound{ $i->{origin} };
        my %row = (%$i, %$p, %$d, daemon => $d->{daemon} || 'not-tried', local => $local{$file} || 'not-tried', text_equal => '', envelope_equal => '');
        if ($good && $d->{daemon}) {
            my $many = $d->{deliveries} > 3 * $good->{deliveries} + 5 || $d->{length} > 3 * $good->{length} + 100_000;
            $row{daemon} = 'loop' if $many && $row{daemon} !~ /fatal/;
            $row{text_equal} = $d->{text} eq $good->{text} ? 'yes' : 'no' if $d->{text} ne '';
            $row{envelope_equal} = $d->{envelope} eq $good->{envelope} ? 'yes' : 'no' if $d->{text} ne '';
        }
        push @rows, \%row;
    }
    tsv_write($result, [qw(file queue kind offset note origin case postcat showq daemon local deaths text_equal envelope_equal deliveries length postcat_line line)], \@rows);
    return \@rows;
}

# What all judges together say of a row of that table:
#   kills     a daemon dies of the file          refused   it is put aside, bounced, deleted
#   stays     nobody ever delivers it            altered   delivered, but not as it was sent
#   sound     delivered as the undamaged one     unknown   the daemons have not seen it
sub opinion {
    my ($r) = @_;
    my @verdicts = grep { $_ ne 'not-tried' } @$r{qw(daemon local)};
    return 'kills' if $r->{showq} =~ /fatal|crash/ || grep { /^server-|^loop/ } @verdicts;
    return 'refused' if grep { /^(?:corrupt|bounced-unreadable|deleted|rejected)\z/ } @verdicts;
    return 'unknown' if $r->{daemon} eq 'not-tried';
    return 'stays' if $r->{daemon} =~ /^(?:stuck|ignored)\z/;
    return 'altered' if $r->{daemon} eq 'bounced' || $r->{daemon} eq 'deferred' || $r->{text_equal} eq 'no' || $r->{envelope_equal} eq 'no';
    return 'sound';
}

1;
