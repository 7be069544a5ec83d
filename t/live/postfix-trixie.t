#!/usr/bin/perl
# postfix-trixie.t - postfix.t against the Postfix of Debian 13 (3.10), with fewer damaged copies

use strict;
use warnings;
use Cwd ();
use File::Basename qw(dirname);

$ENV{SPOOLCK_LIVE_SUITE} = 'trixie';
$ENV{SPOOLCK_LIVE_DAMAGED} ||= 1200;
$ENV{SPOOLCK_LIVE_DAEMONS} ||= 600;
my $test = dirname(Cwd::abs_path(__FILE__)) . '/postfix.t';
defined do $test or die "$test: ", $@ || $!;
