#!/usr/bin/perl
# purity.t - parsers/ can do nothing but compute, and its stack has a bound
#
# From the objects of the build: what they call. From the compiler's call graph
# of the same sources (gcc -fcallgraph-info): no cycle, no call through a
# pointer, and how deep the stack gets. From the sources: what they include.
# Each checker is first shown something bad, which it has to find.
use strict;
use warnings;

use File::Basename qw(basename);
use File::Temp qw(tempdir);
use Test::More;

my $src   = $ENV{SRCDIR}   // '.';
my $build = $ENV{BUILDDIR} // $src;
my $cc    = $ENV{GCC}      // 'gcc';
my $temp  = tempdir(CLEANUP => 1);

# The worker's stack is 1 MiB (WORKER_STACK).
my $stack_max = 32 * 1024;

# All that parsers/ may want of libc, and what the compiler adds by itself.
my @libc     = qw(memchr memcmp memcpy memset memmove strlen);
my @compiler = map { "__${_}_chk" } qw(memcpy memset memmove);
push @compiler, qw(bcmp __stack_chk_fail __stack_chk_guard _GLOBAL_OFFSET_TABLE_);
my @headers = qw(stdbool.h stddef.h stdint.h string.h limits.h);

# --- What objects call ------------------------------------------------------------

# Undefined symbols of an archive or object that it does not define itself.
sub imports {
    my ($file) = @_;
    my (%wanted, %defined);
    open my $nm, '-|', 'nm', '-P', $file or die "nm: $!";
    while (my $line = <$nm>) {
        my ($name, $type) = split " ", $line;
        next unless defined $type && $type =~ /^[A-Za-z]$/;
        ($type =~ /^[Uvw]$/ ? \%wanted : \%defined)->{$name} = 1;
    }
    close $nm or die "nm $file failed";
    return sort grep { !$defined{$_} } keys %wanted;
}

# Those that are not allowed. A sanitizer build calls its runtime as well.
sub impure {
    my %fine = map { $_ => 1 } @libc, @compiler;
    return grep { !$fine{$_} && !/^__(?:asan|ubsan)_/ } @_;
}

# --- Call graph ---------------------------------------------------------------------

# Compile `files` and merge what gcc writes of their calls: { name => bytes of
# stack }, { name => { callee => 1 } }. Functions without external linkage are
# "FILE:NAME" in gcc's listing, so the same name in two files is two nodes.
sub call_graph {
    my ($dir, @files) = @_;
    my (%frame, %calls, @unbounded);
    for my $file (@files) {
        my $object = "$dir/" . basename($file, '.c') . '.o';
        system($cc, '-std=gnu11', '-O2', '-fcallgraph-info=su', "-I$src/parsers", '-c', '-o', $object, $file) == 0
            or die "$cc $file failed";
    }
    for my $ci (glob "$dir/*.ci") {
        open my $in, '<', $ci or die "$ci: $!";
        while (my $line = <$in>) {
            if ($line =~ /^node: \{ title: "([^"]+)" label: "([^"]*)"/) {
                my ($name, $label) = ($1, $2);
                $calls{$name} //= {};
                next unless $label =~ /\\n(\d+) bytes \(([^)]*)\)/;
                $frame{$name} = $1;
                push @unbounded, $name if $2 eq 'dynamic';
            } elsif ($line =~ /^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"/) {
                $calls{$1}{$2} = 1;
            }
        }
    }
    return (\%frame, \%calls, \@unbounded);
}

# Functions on a cycle: peel off, again and again, what calls nothing that is
# left (Kahn); only cycles and their callers resist. Callers are peeled from
# the other side.
sub cyclic {
    my ($calls) = @_;
    my %left = map { $_ => { %{ $calls->{$_} } } } keys %$calls;
    my $changed = 1;
    while ($changed) {
        $changed = 0;
        my %called = map { %$_ } values %left;
        for my $name (keys %left) {
            my @to = grep { $left{$_} } keys %{ $left{$name} };
            next if @to && $called{$name};
            delete $left{$name};
            $changed = 1;
        }
    }
    return sort keys %left;
}

sub indirect {
    my ($calls) = @_;
    return sort grep { $calls->{$_}{__indirect_call} } keys %$calls;
}

# Deepest stack from each function, in a graph without cycles: (bytes, path).
# Each call pushes a return address.
sub deepest {
    my ($frame, $calls, $name, $memo) = @_;
    return @{ $memo->{$name} } if $memo->{$name};
    my ($most, @path) = (0);
    for my $callee (sort keys %{ $calls->{$name} // {} }) {
        my ($bytes, @below) = deepest($frame, $calls, $callee, $memo);
        ($most, @path) = ($bytes, @below) if $bytes > $most;
    }
    $memo->{$name} = [ 8 + ($frame->{$name} // 0) + $most, $name, @path ];
    return @{ $memo->{$name} };
}

sub deepest_of_all {
    my ($frame, $calls) = @_;
    my (%memo, @best);
    for my $name (keys %$frame) {
        my @this = deepest($frame, $calls, $name, \%memo);
        @best = @this if !@best || $this[0] > $best[0];
    }
    return @best;
}

# --- Includes -----------------------------------------------------------------------

# Includes of a file that parsers/ may not have.
sub foreign_includes {
    my ($file) = @_;
    my %fine = map { $_ => 1 } @headers;
    my @bad;
    open my $in, '<', $file or die "$file: $!";
    while (my $line = <$in>) {
        next unless $line =~ /^\s*#\s*include\s*(\S+)/;
        my $what = $1;
        if ($what =~ /^<(.+)>$/) {
            push @bad, $what unless $fine{$1};
        } elsif ($what =~ m{^"([^"/]+)"$}) {
            push @bad, $what unless -e "$src/parsers/$1";
        } else {
            push @bad, $what;
        }
    }
    return @bad;
}

# Members of type struct cur that the headers declare.
sub cursor_members {
    my @members;
    for my $file (@_) {
        open my $in, '<', $file or die "$file: $!";
        push @members, map { /^\tstruct cur (\w+(?:, \w+)*);/ ? split /, /, $1 : () } <$in>;
    }
    return @members;
}

# Lines that change a field of a cursor, which only cursor.h may: that every
# cursor is sound is proved (t/prove) of the functions there. Cursors are what a
# function declares as "struct cur", and members of that type.
sub cursor_writes {
    my ($file, @members) = @_;
    my @bad;
    open my $in, '<', $file or die "$file: $!";
    my $text = do { local $/; <$in> };
    for my $function (split /^}/m, $text) {
        my @names;
        for my $list ($function =~ /\bstruct cur\s+([^;(){]*)/g) {
            $list =~ s/=[^,]*//g;
            for my $item (split /,/, $list) {
                last unless $item =~ /^[\s*]*(\w+)\s*(?:\[.*)?$/; # "struct x y": the next parameter
                push @names, $1;
            }
        }
        my $cursor = join '|', (map { "\\b$_" } @names), map { "(?:->|\\.)$_" } @members;
        next if $cursor eq '';
        my $field = qr/(?<![\w>.])(?:\w+(?:->|\.))*?(?:$cursor)\s*(?:\.|->)\s*(?:buf|len|pos|base|err)\b/;
        for my $line (split /\n/, $function) {
            push @bad, $line =~ s/^\s+|\s+$//gr
                if $line =~ /$field\s*(?:[-+*\/%&|^]|<<|>>)?=(?!=)/ || $line =~ /$field\s*(?:\+\+|--)/
                || $line =~ /(?:\+\+|--)\s*$field/;
        }
    }
    return @bad;
}

# --- Self-test ----------------------------------------------------------------------

sub self_test {
    my $dir  = "$temp/bad";
    my $file = "$dir/bad.c";
    mkdir $dir or die $!;
    open my $out, '>', $file or die $!;
    print $out <<'BAD';
#include <stdio.h>
#include <stdint.h>
#include "../scanner/scan.h"
BAD
    close $out;
    is_deeply([ foreign_includes($file) ], [ '<stdio.h>', '"../scanner/scan.h"' ],
        'self-test: foreign includes are found');

    open $out, '>', $file or die $!;
    print $out <<'BAD';
struct rec { struct cur data; unsigned len; };
static void f(struct cur *c, struct rec *rec)
{
	struct cur a = *c, b;
	size_t n = a.len;
	rec->len = 3;
	if (a.pos == n) return;
	b.len = 0;
	c->pos += n;
	rec->data.err++;
}
BAD
    close $out;
    is_deeply([ cursor_writes($file, 'data') ], [ 'b.len = 0;', 'c->pos += n;', 'rec->data.err++;' ],
        'self-test: changes of a cursor are found');

    open $out, '>', $file or die $!;
    print $out <<'BAD';
#include <stdio.h>
#include <string.h>
unsigned odd(unsigned n);
__attribute__((noinline)) unsigned even(unsigned n) { return n == 0 ? 1 : odd(n - 1) + 2; }
__attribute__((noinline)) unsigned odd(unsigned n) { return n == 0 ? 0 : even(n - 1) * 3; }
unsigned caller(unsigned n) { return even(n) + 1; }
int through(int (*f)(int)) { return f(3) + 1; }
int say(const char *s) { return printf("%s%zu\n", s, strlen(s)) + 1; }
__attribute__((noinline)) void leaf(char *p) { volatile char big[50000]; big[p[0]] = 1; }
void top(char *p) { leaf(p); p[0] = 0; }
BAD
    close $out;
    my ($frame, $calls) = call_graph($dir, $file);
    is_deeply([ cyclic($calls) ], [qw(even odd)], 'self-test: a cycle is found, its caller is not blamed');
    is_deeply([ indirect($calls) ], ['through'], 'self-test: a call through a pointer is found');
    is_deeply([ impure(imports("$dir/bad.o")) ], ['printf'], 'self-test: printf is found, strlen is allowed');
    delete @{$calls}{qw(even odd caller)};
    my ($bytes, @path) = deepest_of_all($frame, $calls);
    ok($bytes > 50000 - 128 && $bytes > $stack_max && $path[-1] eq 'leaf', 'self-test: a deep stack is found');
}

# --- The parsers ----------------------------------------------------------------------

my ($version) = `$cc -dumpfullversion 2>/dev/null` =~ /^(\d+)/;
my @sources = sort glob "$src/parsers/*.c";
ok(@sources > 2, 'sources of parsers/');

my @bad = map { my $f = $_; map { basename($f) . " includes $_" } foreign_includes($f) }
    @sources, sort glob "$src/parsers/*.h";
is_deeply(\@bad, [], 'parsers/ includes nothing but itself and five headers of libc');

my @members = cursor_members(glob "$src/parsers/*.h");
@bad = map { my $f = $_; map { basename($f) . ": $_" } cursor_writes($f, @members) }
    @sources, grep { !/cursor\.h$/ } glob "$src/parsers/*.h";
is_deeply(\@bad, [], 'only cursor.h changes a cursor');

my @imports = imports("$build/libparsers.a");
is_deeply([ impure(@imports) ], [], 'parsers/ calls no input, output, allocation or clock')
    or diag("calls: @imports");
note("calls: @imports");

SKIP: {
    skip 'gcc 10 or later is needed for -fcallgraph-info', 10 unless ($version // 0) >= 10;
    self_test();

    my $dir = "$temp/parsers";
    mkdir $dir or die $!;
    my ($frame, $calls, $unbounded) = call_graph($dir, @sources);
    ok(keys %$frame > 20, 'call graph of ' . keys(%$frame) . ' functions');
    my @cycle = cyclic($calls);
    is_deeply(\@cycle, [], 'no recursion');
    is_deeply([ indirect($calls) ], [], 'no call through a pointer');
    skip 'no depth in a graph with a cycle', 1 if @cycle;
    my ($bytes, @path) = deepest_of_all($frame, $calls);
    ok($bytes < $stack_max && !@$unbounded, "the stack stays below $stack_max bytes")
        or diag("without a bound: @$unbounded");
    s/^.*?\.c:// for @path;
    diag("deepest stack of parsers/: $bytes bytes, " . join(' > ', @path));
}

done_testing();
