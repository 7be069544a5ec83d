#!/usr/bin/perl
# What bash, zsh and fish offer when the Tab key is pressed.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(dirname);
use Spoolck;
use Test::More;

my $source = dirname($FindBin::Bin) . '/completion';
my $bin = scratch();
symlink program(), "$bin/spoolck" or die "symlink: $!";
$ENV{PATH} = "$bin:$ENV{PATH}";

my $bash = q{. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spoolck 2>/dev/null; printf '%s\n' "${COMPREPLY[@]}"};
# What the helpers of zsh's own completion would be given.
my $zsh = <<'EOS';
compadd() { shift; print -l -- "$@" }
_describe() { print -l -- ${(P)2} }
_arguments() { local a; for a; do case $a in *:_spoolck_*) ${a##*:} ;; *) print -r -- "$a" ;; esac; done }
file=$1; shift; words=("$@"); CURRENT=$#; . $file
EOS
my $fish = q{source $argv[1]; complete -C "$argv[2..-1]"};

# [words, what has to be among the offers, what must not]
my @cases = (
    [ [ 'sc' ], qr/^scan\b/m, undef ],
    [ [ 'quarantine', 're' ], qr/^restore\b/m, undef ],
    [ [ 'scan', '--me' ], qr/^--metrics=/m, qr/^--reason/m ],
    [ [ 'quarantine', 'purge', '--old' ], qr/^--older-than=/m, qr/^--nagios/m ],
    [ [ 'findings', 'postfix.size-f' ], qr/^postfix\.size-field\b/m, undef ],
);

sub offers {
    my (@command) = @_;
    open my $in, '-|', @command or die "$command[0]: $!";
    local $/;
    my $out = <$in> // '';
    close $in;
    return $out;
}

sub shell {
    my ($name, $ask) = @_;
    subtest $name => sub {
        if (system("$name -c true 2>/dev/null") != 0) {
            plan skip_all => "no $name here" if ($ENV{CI} // '') ne 'true';
            return ok(0, "$name is installed");
        }
        for my $case (@cases) {
            my ($words, $like, $unlike) = @$case;
            my $out = $ask->('spoolck', @$words);
            like($out, $like, "spoolck @$words");
            unlike($out, $unlike, '... and only what fits') if $unlike;
        }
    };
}

shell('bash', sub { offers('bash', '--norc', '-c', $bash, "$source/bash/spoolck", @_) });
shell('zsh', sub { offers('zsh', '-f', '-c', $zsh, 'zsh', "$source/zsh/_spoolck", @_) });
shell('fish', sub { offers('fish', '-N', '-c', $fish, "$source/fish/spoolck.fish", @_) });
like(offers('bash', '--norc', '-c', $bash, "$source/bash/spoolck", qw(spoolck scan --format = j)), qr/^json$/m,
    'bash: --format=j');
done_testing();
