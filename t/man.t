#!/usr/bin/perl
# man.t - every manual page is without a fault, and names what the program has

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename dirname);
use Spoolck;
use Test::More;

my $source = dirname($FindBin::Bin);
my $build = $ENV{BUILDDIR} // $source;
my %page = map { basename($_) => $_ } glob("$source/man/*.[1-9]"), glob("$build/man/*.[1-9]");

if (system('mandoc -Tlint /dev/null >/dev/null 2>&1') == -1 || $? >> 8 == 127) {
    plan skip_all => 'mandoc is not installed' if ($ENV{CI} // '') ne 'true';
    BAIL_OUT('mandoc is not installed');
}

# What the page says, by mandoc: nothing. Pages of ours that are not installed cannot be found yet.
for my $name (sort keys %page) {
    my @said = grep { !(/referenced manual not found: Xr (\S+) (\d)/ && $page{"$1.$2"}) } qx(mandoc -Tlint \Q$page{$name}\E 2>&1);
    is(join('', @said), '', "$name (a long line: awk -f man/fold.awk breaks it)");
}

# Folding changes where lines end, and nothing else: not what is literal, not what looks like a request.
my $long = join ' ', ('word') x 20, '.dot', "'quote", 'end';
my $dir = scratch();
write_file("$dir/in", ".nf\n$long\n.fi\n$long\nshort\n.BR $long\n");
my $folded = qx(awk -f \Q$source\E/man/fold.awk \Q$dir\E/in);
my @lines = split /\n/, $folded;
is_deeply([ @lines[0 .. 2] ], [ '.nf', $long, '.fi' ], 'literal lines stay');
is($lines[-1], ".BR $long", 'and requests');
my @text = @lines[3 .. $#lines - 2];
ok(!(grep { length > 80 || /^[.']/ } @text), 'text is broken') or diag($folded);
is(join(' ', @text) =~ s/\\&//gr, $long, 'and whole');
is(qx(awk -f \Q$source\E/man/fold.awk \Q$dir\E/in | awk -f \Q$source\E/man/fold.awk), $folded, 'a second time changes nothing');

# spoolck-findings(7) is made from the catalogue.
my $findings = read_file($page{'spoolck-findings.7'});
my @names = spoolck('findings', '--format', 'json')->{out} =~ /"name":"([^"]+)"/g;
ok(@names > 100, 'a catalogue');
is(join(' ', grep { $findings !~ /^\.SS \Q$_\E\b/m } @names), '', 'each finding has its section');

# Each verb and each common option of the program has its place in spoolck(1).
my $main = read_file("$source/man/spoolck.1") =~ s/\\-/-/gr;
for my $verb (qw(scan prestart explain quarantine spools findings)) {
    like($main, qr/^\.SS $verb$/m, "spoolck(1) has $verb");
    my @options = spoolck($verb, '--help')->{out} =~ /(--[a-z][a-z-]+)/g;
    next if $verb eq 'quarantine'; # has its own page
    is(join(' ', grep { index($main, $_) < 0 && $_ ne '--help' } @options), '', "... and all of its options");
}
my $quarantine = read_file("$source/man/spoolck-quarantine.1") =~ s/\\-/-/gr;
my @options = spoolck('quarantine', '--help')->{out} =~ /(--[a-z][a-z-]+)/g;
is(join(' ', grep { index($main . $quarantine, $_) < 0 && $_ ne '--help' } @options), '', 'spoolck-quarantine(1) has all of its options');

done_testing();
