#!/usr/bin/perl
# A server that takes messages away, and is met half-way: Sendmail unlinks the text and then the control file,
# Exim -D and then -H, and both hold their lock on the message until all is gone. On a loaded host seconds can lie
# between. Such a message is busy, not corrupt, and is not moved; and what is damaged in another way is told whoever
# holds it. Processes do here what the servers do. (t/live does the same with the real ones.)

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(:flock O_WRONLY O_RDWR O_CREAT O_EXCL SEEK_SET F_SETLK F_WRLCK F_RDLCK);
use File::Copy qw(copy);
use POSIX ();
use Spoolck;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = 5; # of each loop beside a server

my @pids;
END { local $?; for (@pids) { kill 'KILL', $_; waitpid $_, 0 } }

# --- A process that does something, tells so, and stays as it is ------------------------------------

sub holding {
    my ($do) = @_;
    pipe my $ready, my $tell or die;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my @kept = eval { $do->() } or print STDERR "# $@\n";
        syswrite $tell, 'x' if @kept;
        sleep 600;
        POSIX::_exit(0);
    }
    close $tell;
    push @pids, $pid;
    is(sysread($ready, my $x, 1), 1, 'the lock is held');
    return $pid;
}

sub let_go {
    my ($pid) = @_;
    @pids = grep { $_ != $pid } @pids;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# fcntl(): `len` bytes from the start, 0 = all.
sub lock_fcntl {
    my ($fh, $len, $type) = @_;
    fcntl $fh, F_SETLK, pack 's s x![l!] l! l! i', $type // F_WRLCK, SEEK_SET, 0, $len, 0 or die "fcntl: $!";
}

sub opened {
    my ($path, $mode) = @_;
    sysopen my $fh, $path, $mode // O_RDWR or die "$path: $!";
    return $fh;
}

# --- Queues ------------------------------------------------------------------------------------------

my $control = "V8\nT1790000000\nK0\nN0\nP30000\nFs\n\$_root\@localhost\nS<alice\@example.org>\n"
    . "RPFD:<bob\@example.org>\nH??Subject: hello\n.\n";

sub sendmail_message {
    my ($dir, $id, $text) = @_;
    write_file("$dir/df$id", "Hello.\n") if $text // 1;
    write_file("$dir/qf$id", $control);
    chmod 0600, glob "$dir/?f$id";
}

sub sendmail_queue {
    my $dir = scratch() . '/mqueue';
    mkdir $dir or die;
    return $dir;
}

my ($from) = glob "$FindBin::Bin/../fixtures/exim/healthy-plain/spool/input/*-H";
my ($old_id) = $from =~ m{([^/]+)-H$};
my %exim = map { $_ => read_file($from =~ s/-H$/-$_/r) } qw(H D);

sub exim_message {
    my ($dir, $id, $text) = @_;
    write_file("$dir/$id-D", $exim{D} =~ s/^\Q$old_id\E/$id/r) if $text // 1;
    write_file("$dir/hdr.$id", $exim{H} =~ s/^\Q$old_id\E/$id/r);
    chmod 0640, "$dir/$id-D", "$dir/hdr.$id";
    rename "$dir/hdr.$id", "$dir/$id-H" or die;
}

sub exim_queue {
    my $dir = scratch() . '/exim';
    mkdir $_ or die for $dir, "$dir/input", "$dir/msglog", "$dir/db";
    return $dir;
}

my $exim_lock = length($old_id) + 3; # the first line of -D

# What a scan says of a message: "corrupt moved", or "busy none".
sub said {
    my ($id, @args) = @_;
    my $scan = scan(@args);
    my ($m) = grep { $_->{id} eq $id } @{ $scan->{messages} };
    return join ' ', $m ? ($m->{verdict}, $m->{action}) : 'not listed', 'exit', exit_bits($scan);
}

# --- One message -----------------------------------------------------------------------------------------

my $id = '6AKCZi2h000071';

for my $how (qw(flock fcntl)) {
    subtest "Sendmail, $how(): a text that is gone already" => sub {
        my ($dir, $store) = (sendmail_queue(), new_store());
        sendmail_message($dir, $id, 0);
        my @all = ('-y', '--all', '--store', $store, "sendmail:$dir");
        my $pid = holding(sub {
            my $fh = opened("$dir/qf$id");
            $how eq 'flock' ? flock $fh, LOCK_EX | LOCK_NB || die "$!" : lock_fcntl($fh, 0);
            return $fh;
        });
        is(said($id, @all), 'busy none exit 0', 'is the work of who holds the message');
        is(scan(@all)->{summary}{busy}, 1, '... and is counted');
        my $explained = spoolck('explain', "sendmail:$dir:$id");
        like($explained->{out}, qr/sendmail\.text-missing.*holds its lock on this message.*look again/s, '... explain says so, too');
        is(exit_bits($explained), '0', '... and does not call it damage');
        my @lines = json_lines(spoolck('explain', '--format', 'json', "sendmail:$dir:$id")->{out});
        is_deeply([ map { $_->{spool} } grep { $_->{event} eq 'note' } @lines ], [$dir], '... also in JSON');
        let_go($pid);
        is(exit_bits(spoolck('explain', "sendmail:$dir:$id")), '4', 'when nobody holds it, it is damage');
        is(said($id, @all), 'corrupt moved exit 1', '... and moved');
    };
}

subtest 'Sendmail: what no server at work looks like is told all the same' => sub {
    my ($dir, $store) = (sendmail_queue(), new_store());
    my ($both, $cut) = ('6AKCZi2h000072', '6AKCZi2h000073');
    sendmail_message($dir, $id, 0);
    sendmail_message($dir, $both, 0);
    sendmail_message($dir, $cut);
    write_file("$dir/qf$_", $control =~ s/^S.*\n//mr) for $both, $cut;
    my @held = map { my $path = "$dir/qf$_"; holding(sub { my $fh = opened($path); flock $fh, LOCK_EX | LOCK_NB or die "$!"; $fh }) } $both, $cut;
    # mailq(1) takes a shared lock.
    push @held, holding(sub { my $fh = opened("$dir/qf$id"); flock $fh, LOCK_SH | LOCK_NB or die "$!"; $fh });
    my @args = ('--store', $store, "sendmail:$dir");
    is(said($id, '-n', @args), 'corrupt none exit 4', 'a lost text, while mailq looks at the message');
    is(said($_, '-n', @args), 'corrupt none exit 4', 'a lost sender, in the hands of the server') for $both, $cut;
    is((grep { $_->{action} eq 'refused' && $_->{reason} =~ /working on this message/ } @{ scan('-y', @args)->{messages} }), 3, 'none is moved');
    let_go($_) for @held;
};

subtest 'Sendmail: one id twice' => sub {
    my $dir = sendmail_queue();
    sendmail_message($dir, $id);
    copy("$dir/qf$id", "$dir/hf$id") or die;
    my $twins = sub { return join ' ', map { $_->{name} } grep { $_->{severity} ne 'notice' } @{ scan("sendmail:$dir")->{findings} } };
    for my $name ("qf$id", "hf$id") {
        my $pid = holding(sub { my $fh = opened("$dir/$name"); flock $fh, LOCK_EX | LOCK_NB or die "$!"; $fh });
        is($twins->(), '', "is the work of who holds $name, and gives the message its other name");
        let_go($pid);
    }
    is($twins->(), 'sendmail.twin', 'when nobody does, it is told');
};

subtest 'Exim: a text that is gone already' => sub {
    my ($dir, $store) = (exim_queue(), new_store());
    my ($other, $lost) = map { $old_id =~ s/^.{6}/$_/r } qw(1xUMEA 1xUMEB);
    exim_message("$dir/input", $_) for $old_id, $other;
    exim_message("$dir/input", $lost, 0);
    my @all = ('--all', '--store', $store, "exim:$dir");
    my @held = map {
        my ($path, $gone) = ("$dir/input/$_-D", $_ eq $old_id);
        holding(sub { my $fh = opened($path); lock_fcntl($fh, $exim_lock); $gone and unlink $path || die "$!"; $fh });
    } $old_id, $other;
    is(said($old_id, '-n', @all), 'busy none exit 4', 'is the work of who holds it still');
    is(said($lost, '-n', @all), 'corrupt none exit 4', '... that of another message is lost');
    like(spoolck('explain', "exim:$dir:$old_id")->{out}, qr/exim\.data-missing.*holds its lock on this message/s, 'explain says so, too');
    my $add = spoolck('quarantine', 'add', '--store', $store, "exim:$dir:$old_id");
    like($add->{err} . $add->{out}, qr/the server is working on this message/, 'nor is it moved by hand') or diag(exit_bits($add));
    is(said($old_id, '-y', @all), 'busy none exit 1', '... or by scan -y');
    ok(-e "$dir/input/$old_id-H", '... and is there');
    let_go($_) for @held;
    is(said($old_id, '-y', @all), 'corrupt moved exit 1', 'when nobody holds it, it is lost, too');
};

subtest 'Exim: an envelope that is cut off' => sub {
    my $dir = exim_queue();
    exim_message("$dir/input", $old_id);
    truncate "$dir/input/$old_id-H", 150 or die;
    my $pid = holding(sub { my $fh = opened("$dir/input/$old_id-D"); lock_fcntl($fh, $exim_lock); $fh });
    my $scan = scan('-y', '--store', new_store(), "exim:$dir");
    is("$scan->{messages}[0]{verdict} $scan->{messages}[0]{action}", 'corrupt refused', 'is told, and stays, while the server holds the message')
        or diag(explain($scan));
    let_go($pid);
};

# --- Servers that are stalled at the wrong moment ------------------------------------------------------

# Each lets one message in, rests, takes it away, and is kept from its work for a while between the two
# unlinks.
sub sendmail_worker {
    my ($dir, $n) = @_;
    for (my $i = 0; ; $i = ($i + 1) % 1000) {
        my $name = sprintf '6AKCZi2h%03d%03d', $n, $i;
        write_file("$dir/df$name", "Hello.\n");
        my $qf = opened("$dir/qf$name", O_RDWR | O_CREAT | O_EXCL);
        flock $qf, LOCK_EX | LOCK_NB or die "$!";
        sleep rand 0.05;
        syswrite $qf, $control;
        flock $qf, LOCK_UN;
        sleep rand 0.3;
        flock $qf, LOCK_EX or die "$!";
        unlink "$dir/df$name" or die;
        sleep rand() < 0.5 ? rand 0.01 : rand 2.5;
        unlink "$dir/qf$name" or die;
        sleep rand 0.05;
        close $qf;
    }
}

sub exim_worker {
    my ($dir, $n) = @_;
    for (my $i = 0; ; $i = ($i + 1) % 60) {
        my $name = sprintf '1xU%s%02d-00000i-0Z', chr(65 + $n), $i;
        exim_message("$dir/input", $name);
        sleep rand 0.3;
        my $data = opened("$dir/input/$name-D");
        lock_fcntl($data, $exim_lock);
        unlink "$dir/input/$name-D" or die;
        sleep rand() < 0.5 ? rand 0.01 : rand 2.5;
        unlink "$dir/input/$name-H" or die;
        sleep rand 0.05;
        close $data;
    }
}

sub beside {
    my ($format, $dir, $worker) = @_;
    my $parent = $$;
    my @workers = map {
        my $n = $_;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            srand $n;
            eval { $worker->($dir, $n) };
            print STDERR "# a worker died: $@\n";
            POSIX::_exit(1);
        }
        $pid;
    } 0 .. 11;
    push @pids, @workers;
    my ($store, $scans, %verdict, @wrong) = (new_store(), 0);
    for (my $end = time + $seconds; time < $end || !$verdict{busy} && time < $end + 60;) {
        my $scan = scan('-y', '--all', '--store', $store, "$format:$dir");
        $scans++;
        $verdict{ $_->{verdict} }++ for @{ $scan->{messages} };
        push @wrong, map { "$_->{id} $_->{verdict} $_->{action}" } grep { $_->{verdict} !~ /^(?:ok|noted|busy|changed)$/ } @{ $scan->{messages} };
        push @wrong, map { "$_->{name} $_->{severity}" } grep { $_->{severity} ne 'notice' } @{ $scan->{findings} };
        push @wrong, 'exit ' . exit_bits($scan) if ($scan->{status} // -1) != 0;
    }
    is(join("\n", @wrong), '', "$scans scans: nothing damaged, nothing moved");
    ok($verdict{busy}, 'some were met half-way');
    ok(!-e $store, 'there is no store');
    is(scalar(grep { waitpid($_, POSIX::WNOHANG()) == 0 } @workers), 12, 'the server was not disturbed');
    diag(join ', ', "$scans scans", map { "$verdict{$_} $_" } sort keys %verdict);
    let_go($_) for @workers;
}

subtest 'beside a stalled Sendmail' => sub { my $dir = sendmail_queue(); beside('sendmail', $dir, \&sendmail_worker) };
subtest 'beside a stalled Exim'     => sub { my $dir = exim_queue(); beside('exim', $dir, \&exim_worker) };

done_testing();
