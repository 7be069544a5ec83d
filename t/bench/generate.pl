#!/usr/bin/perl
# generate.pl [--templates DIR]... [--messages N] [--mean BYTES] [--recipients N] [--seed N] DIR
#
# Makes a Postfix spool of N messages (100,000) below DIR, which must not exist yet, from real
# queue files: those below the template directories that are complete, sound, no larger than
# 64 KiB and have at most --recipients (50) recipients, drawn so that their mean is near --mean
# (7,500 bytes).  Nine tenths go to deferred/ (one level of
# hash directories, each with its defer log), the others to incoming, active and hold.  Names are
# short queue ids whose inode part is the file's own, modes and owners as Postfix sets them.
#
# Default templates: the live lab's corpus when there is one, else fixtures/postfix/*/spool.

use strict;
use warnings;
use Cwd ();
use Fcntl;
use File::Basename qw(dirname);
use File::Find;
use Getopt::Long;
my $here;
BEGIN { $here = dirname(Cwd::abs_path(__FILE__)) }
use lib "$here/../live/lib";
use Lab::Postfix::Records qw(records);

use constant LARGEST => 64 << 10;

my ($number, $mean, $recipients_max, $seed, @templates) = (100_000, 7500, 50, 1);
GetOptions('messages=i' => \$number, 'mean=i' => \$mean, 'recipients=i' => \$recipients_max, 'seed=i' => \$seed,
           'templates=s' => \@templates) && @ARGV == 1
    or die "usage: generate.pl [--templates DIR]... [--messages N] [--mean BYTES] [--recipients N] [--seed N] DIR\n";
my ($root) = @ARGV;
my $corpus = ($ENV{SPOOLCK_LIVE} || '/var/tmp/spoolck-live') . '/postfix-corpus';
@templates = -d $corpus ? $corpus : glob "$here/../../fixtures/postfix/*/spool" unless @templates;

# A complete file of a queue other than maildrop: its records end well, and the size record is
# true.
sub sound {
    my ($bytes) = @_;
    my @records = records($bytes) or return;
    my ($size) = @records;
    return unless $size->{type} eq 'C';
    my ($data_size, $data_offset, $recipients) = split ' ', substr $bytes, $size->{data_at}, $size->{len};
    my ($m) = grep { $_->{type} eq 'M' } @records;
    my ($x) = grep { $_->{type} eq 'X' } @records;
    return unless $m && $x && grep { $_->{type} eq 'R' } @records;
    return $recipients <= $recipients_max && $data_offset == $m->{at} + 2 && $x->{at} == $data_offset + $data_size
        && $recipients == grep { $_->{type} =~ m{[RD/]} } @records;
}

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$f>;
}

my (@small, @large);
find({ no_chdir => 1, wanted => sub {
    return unless m{/(?:incoming|active|deferred|hold)/(?:./)*\w+\z} && -f $_ && -s _ <= LARGEST && ((stat _)[2] & 0700) == 0700;
    my $bytes = slurp($_);
    push @{ length $bytes < $mean ? \@small : \@large }, $bytes if sound($bytes);
} }, sort @templates) if @templates;
die "no usable queue file below @templates\n" unless @small || @large;

# How often a small one has to be drawn for the mean to come out.
sub average { my $sum = 0; $sum += length for @_; return $sum / @_ }
my $share = !@large ? 1 : !@small ? 0 : (average(@large) - $mean) / (average(@large) - average(@small));

srand $seed;
umask 0;
my @owner = $> == 0 ? map { $_ || 65534 } (getpwnam 'postfix')[2, 3] : ();
@owner = (65534, 65534) if $> == 0 && !@owner;

sub make_dir {
    my ($dir, $mode) = @_;
    mkdir $dir, $mode or die "$dir: $!\n";
    @owner and chown @owner, $dir;
}

# Create, write, own; the inode.
sub make_file {
    my ($path, $mode, $bytes) = @_;
    sysopen my $f, $path, O_WRONLY | O_CREAT | O_EXCL, $mode or die "$path: $!\n";
    syswrite($f, $bytes) == length $bytes or die "$path: $!\n";
    @owner and chown @owner, $f;
    return (stat $f)[1];
}

mkdir $root, 0755 or die "$root: $!\n";
make_dir("$root/$_", 0700) for qw(maildrop incoming active deferred hold corrupt saved defer bounce trace flush private);
mkdir "$root/$_", 0755 for qw(pid public);
for my $hash (0 .. 9, 'A' .. 'F') { make_dir("$root/$_/$hash", 0700) for qw(deferred defer) }

my ($total, $now) = (0, time);
for my $n (1 .. $number) {
    my $from = @small && rand() < $share ? \@small : \@large;
    my $bytes = $from->[rand @$from];
    my $usec = sprintf '%05X', rand 1_000_000;
    my $hash = substr $usec, 0, 1;
    my $place = $n % 10 ? "deferred/$hash" : (qw(incoming incoming active hold))[$n / 10 % 4];
    my $inode = make_file("$root/$place/$n.0", 0700, $bytes);
    my $id = sprintf '%s%X', $usec, $inode;
    rename "$root/$place/$n.0", "$root/$place/$id" or die "$root/$place/$id: $!\n";
    $total += length $bytes;
    next if $n % 10 == 0;
    make_file("$root/defer/$hash/$id", 0600, "<someone\@example.org>: host mail.example.org[192.0.2.1] said: 450 4.2.0 try later\n"
        . "recipient=someone\@example.org\noffset=680\ndsn_orig_rcpt=rfc822;someone\@example.org\nstatus=4.2.0\naction=delayed\n"
        . "diag_type=smtp\ndiag_text=450 4.2.0 try later\nmta_type=dns\nmta_mname=mail.example.org\nreason=try later\n\n");
}
printf "%s: %d messages of %.0f bytes on average, from %d queue files, %d s\n",
    $root, $number, $total / ($number || 1), @small + @large, time - $now;
