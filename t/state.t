#!/usr/bin/perl
# scan --state: a timer hears of each thing once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Spoolck;
use Sys::Hostname;
use Test::More;

my $serial = 0;
sub text { return lines => [ 'Subject: number ' . $serial++, '', 'Text.' ] }

my ($spool, $other, $store, $state) = (new_spool(), new_spool(), new_store(), scratch() . '/state');
healthy($_, 'deferred', text()) for ($spool) x 40, ($other) x 5;

# One run: [exit bits, lines].
sub run {
    my $r = spoolck('scan', '--store', $store, '--state', $state, @_);
    return [ exit_bits($r), split /\n/, $r->{out} . $r->{err} ];
}
sub quiet { my ($bits, $what, @words) = @_; return is_deeply(run(@words), [$bits], $what) }

sub one {
    my ($bits, $like, $what, @words) = @_;
    my ($got, @lines) = @{ run(@words) };
    is($got, $bits, "$what: exit status");
    is(scalar @lines, 1, "$what: one line") or diag join "\n", @lines;
    like($lines[0] // '', $like, $what);
    cmp_ok(length $lines[0], '<', 250, 'fit for a subject');
    ok(is_printable($lines[0] // ''), 'nothing unprintable');
}

quiet('0', 'nothing wrong', $spool);
my $killer = killer($spool, 'incoming', text());
my $host = quotemeta((split /\./, hostname())[0]);
one('4', qr/^spoolck $host\S*: NEW stops-service postfix:$killer incoming byte 18 postfix\.size-field, not moved; run: spoolck scan \Q$spool\E$/,
    'a new one', $spool);
quiet('4', 'not again', $spool) for 1 .. 2;
my $cut = damaged($spool, 'hold', text());
one('4', qr/ NEW \S+ postfix:$cut hold /, 'a second one', $spool);
quiet('0', 'another spool', $other);
quiet('4', 'what that one did not look at is not new', $spool);
rename "$spool/incoming/$killer", "$spool/active/$killer";
quiet('4', 'nor that it moved on', $spool);

subtest 'reminders' => sub {
    my ($before) = map { read_file($_) } $state;
    (my $aged = $before) =~ s/^(\d+)\t(\d+)\t/$1 . "\t" . ($2 - 7200) . "\t"/gem;
    write_file($state, $aged);
    quiet('4', 'none without the option', $spool);
    quiet('4', 'none too early', '--remind-after', '3h', $spool);
    my ($bits, @lines) = @{ run('--remind-after', '1h', $spool) };
    is(scalar @lines, 2, 'both');
    like($_, qr/^spoolck \S+: STILL /, 'told as known') for @lines;
    quiet('4', 'and then not for an hour', '--remind-after', '1h', $spool);
};

subtest 'moved' => sub {
    my ($bits, @lines) = @{ run('-y', $spool) };
    is($bits, '1', 'moved');
    is(scalar @lines, 2, 'each is told');
    like($_, qr/, moved; run: spoolck quarantine show \S+$/, 'with its entry') for @lines;
    quiet('0', 'and it is over', $spool);
    my $again = killer($spool, 'incoming', text());
    one('4', qr/ NEW /, 'the next one is new', $spool);
    unlink "$spool/incoming/$again";
    quiet('0', 'gone by itself: nothing', $spool);
    is(scalar(() = read_file($state) =~ /$again/g), 0, 'and forgotten');
};

subtest 'unchecked is told when it repeats' => sub {
    my $id = healthy($spool, 'incoming', text());
    local $ENV{SPOOLCK_HOSTILE} = "abort:$id";
    my @run = ({ program => hostile_program() }, 'scan', '--store', $store, '--state', $state, $spool);
    is(spoolck(@run)->{out}, '', 'not at once');
    my $r = spoolck(@run);
    like($r->{out}, qr/^spoolck \S+: NEW unchecked postfix:$id incoming: .* died .*\n\z/, 'the second time');
    is(exit_bits($r), '8', 'exit status');
    is(spoolck(@run)->{out}, '', 'and not a third time');
};

subtest 'errors' => sub {
    one('8', qr/ NEW error \/nonexistent: cannot open/, 'a spool that is not there', '/nonexistent');
    quiet('8', 'once', '/nonexistent');
    for my $text ('', 'root:x:0:0', "spoolck-state 1\nx", "spoolck-state 1\n1\t2\n") {
        write_file(my $file = scratch() . '/file', $text);
        my $r = spoolck('scan', '--state', $file, '--store', $store, $spool);
        is(exit_bits($r), '8', 'a file that is no state file');
        like($r->{err}, qr/^spoolck: --state \Q$file\E: .*remove it/, 'is told');
        is(read_file($file), $text, 'and left alone');
    }
    symlink '/etc/hostname', my $link = scratch() . '/link';
    is(exit_bits(spoolck('scan', '--state', $link, $spool)), '8', 'nor is a link followed');
    is(exit_bits(spoolck('scan', '--state', '/nonexistent/state', $spool)), '8', 'one that cannot be written');
    is(exit_bits(spoolck('scan', @$_, $spool)), '16', "@$_")
        for [ '--remind-after', '1h' ], [ '--state', $state, '--remind-after', 'x' ], [ '--state', $state, '--format', 'json' ];
};

subtest 'very many' => sub {
    my $big = new_spool();
    healthy($big, 'hold', text()) for 1 .. 10;
    damaged($big, 'hold', text()) for 1 .. 30;
    my ($bits, @lines) = @{ run($big) };
    is(scalar @lines, 21, 'twenty, and one line for the others');
    like($lines[-1], qr/and 10 more; run: spoolck scan$/, 'which counts them');
    quiet('4', 'all of them are known then', $big);
};

subtest 'names of strangers' => sub {
    my $bad = new_spool();
    my $name = "x\t1\nspoolck-state\e[31m";
    write_file("$bad/incoming/$name", 'x');
    my $r = spoolck('scan', '--fail-on', 'suspect', '--state', $state, $bad);
    like($r->{out}, qr/NEW foreign /, 'told');
    ok(is_printable($r->{out}), 'escaped') or diag $r->{out};
    is(scalar(() = $r->{out} =~ /\n/g), 1, 'in one line');
    is(spoolck('scan', '--fail-on', 'suspect', '--state', $state, $bad)->{out}, '', 'and known by it');
};

done_testing();
