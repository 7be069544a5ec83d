#!/usr/bin/perl
# progress.t - the moving line: on a terminal, and nowhere else

use strict;
use warnings;
use FindBin;
use Test::More;
use lib "$FindBin::Bin/lib";
use Spoolck;

if (system("script -qec true /dev/null >/dev/null 2>&1") != 0) { # as in a chroot without /dev/pts
    BAIL_OUT('no terminal can be had here') if $ENV{CI};
    plan skip_all => 'no terminal can be had here';
}

my $spool = new_spool();
my @ids = map { healthy($spool, 'deferred', lines => [ "Subject: $_", '', 'Text.' ]) } 1 .. 20;
my $program = hostile_program();
my $line = qr{\d+ of 20 messages, \d+/s, \d+ s left};

# One message that hangs its worker makes the scan last long enough for the line to be due.
local $ENV{SPOOLCK_HOSTILE} = "hang:$ids[7]";
my $log = scratch() . '/typescript';
system('script', '-qec', "$program scan --jobs 1 postfix:$spool", $log);
is($? >> 8, FAILED, 'scanned on a terminal');
like(read_file($log), $line, 'count, rate and time left are shown');
like(read_file($log), qr/\r\033\[K/, 'and wiped');

system("$program scan --jobs 1 postfix:$spool >$log.out 2>$log.err </dev/null");
unlike(read_file("$log.out") . read_file("$log.err"), qr/ s left|\033/, 'nothing of that in a pipe');
system('script', '-qec', "$program scan --jobs 1 --format json postfix:$spool", "$log.json");
unlike(read_file("$log.json"), $line, 'nor with JSON');
done_testing();
