#!/usr/bin/perl
# What programs are told: every JSON line of every verb by the schema that is shipped, the figures
# for Prometheus by promtool, the line and the exit status for Nagios.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(dirname);
use JSON::PP ();
use POSIX ();
use Spoolck;
use Spoolck::Queue qw(fill);
use Test::More;

my $source = dirname($FindBin::Bin);
my $strange = "r\xc3\xa4t\xff\"\\|\n\e[1m"; # a directory's name that a stranger chose

# A program or module that CI has to have.
sub missing {
    my ($what) = @_;
    plan(skip_all => "$what is not installed") if ($ENV{CI} // '') ne 'true';
    return ok(0, "$what is installed");
}

sub mixed_spool {
    my $spool = scratch() . "/$strange";
    rename new_spool(), $spool or die "rename: $!";
    healthy($spool, (qw(incoming deferred maildrop hold))[$_ % 4]) for 1 .. 20;
    my %id = (damaged => damaged($spool, 'deferred'), killer => killer($spool, 'incoming'));
    write_file("$spool/deferred/" . 'x' x 40, 'no queue file');
    $id{unread} = put($spool, 'hold', long_id(), queue_file(), mode => 0);
    return ($spool, \%id);
}

subtest 'JSON by the schema' => sub {
    eval { require JSON::Validator; 1 } or return missing('JSON::Validator');
    my $text = read_file("$source/doc/spoolck.schema.json");
    my $schema = JSON::PP::decode_json($text);
    my $validator = JSON::Validator->new->schema($schema);
    my ($spool) = mixed_spool();
    my $store = new_store();
    my %seen;
    my $by_schema = sub {
        my ($what, @words) = @_;
        my $r = spoolck(@words, '--store', $store, '--format', 'json');
        my @lines = json_lines($r->{out});
        ok(@lines > 0, "$what: " . @lines . ' lines') or diag($r->{err});
        for my $line (@lines) {
            my $event = $line->{event};
            my $known = $schema->{definitions}{$event}{properties} // {};
            my @wrong = $validator->validate($line);
            ok(!@wrong, "$what: $event") or diag("@wrong\n", JSON::PP::encode_json($line));
            my @new = grep { !$known->{$_} } sort keys %$line;
            is("@new", '', "$what: no undocumented field") if @new;
            $seen{$event}++;
        }
        return @lines;
    };
    $by_schema->('scan', 'scan', '--all', $spool);
    write_file(my $log = scratch() . '/mail.log', POSIX::strftime('%b %e %H:%M:%S', localtime)
            . " h postfix/master[9]: warning: process /x/qmgr pid 5 killed by signal 11\n");
    $by_schema->('incident', 'scan', '--mail-log', $log, $spool);
    $by_schema->('error', 'scan', '/nonexistent');
    $by_schema->('note', 'scan', '--unattended', '-p', '--server-version', '3.99.0', $spool);
    my ($moved) = grep { $_->{entry} } $by_schema->('move', 'scan', '-y', '--max-move', 'none', $spool);
    $by_schema->('spools', 'spools', $spool);
    $by_schema->('findings', 'findings');
    $by_schema->('list', 'quarantine', 'list');
    $by_schema->('show', 'quarantine', 'show', $moved->{entry});
    $by_schema->('export', 'quarantine', 'export', '--output', scratch(), $moved->{entry});
    my ($left) = grep { $_->{event} eq 'message' } $by_schema->('ok', 'scan', '--all', '-n', $spool);
    $by_schema->('export of a message', 'quarantine', 'export', '--output', scratch(), "postfix:$spool:$left->{id}");
    $by_schema->('export --redact', 'quarantine', 'export', '--redact', '--output', scratch(), $moved->{entry});
    my $run = sub {
        my ($verb, $result, @words) = @_;
        my $what = "quarantine $verb @words" =~ s/\s+\z//r;
        my @events = $by_schema->($what, 'quarantine', $verb, @words);
        is($_->{verb}, $verb, "$what: the verb") for @events;
        is($_->{result}, $result, "$what: how it ended") for @events;
        return @events;
    };
    my @verified = $run->('verify', 'sound');
    is(scalar @verified, 2, 'each entry was verified');
    my ($gone) = $run->('restore', 'failed', 'nosuchentry');
    is_deeply([ $gone->{entry}, scalar @{ $gone->{texts} } ], [ undef, 1 ], 'an entry that does not exist: why');
    my ($back) = $run->('restore', 'done', '--force', $moved->{entry});
    ok(-e "$spool/" . JSON::PP::decode_json(qq(["$back->{path}"]))->[0], 'a restored message is where it says');
    is($back->{id}, $moved->{id}, 'and which');
    is($back->{spool}, $moved->{spool}, 'and whose');
    like($back->{wake}, qr/^\S+/, 'and how the server can be told');
    $run->('accept', 'done', '--force', "postfix:$spool:$moved->{id}");
    my ($added) = $run->('add', 'done', "postfix:$spool:$moved->{id}");
    my ($other) = grep { $_->{entry} ne $added->{entry} } json_lines(spoolck('quarantine', 'list', '--store', $store, '--format', 'json')->{out});
    my ($part) = glob "$store/entries/$other->{entry}/parts/*";
    write_file($part, 'x' x -s $part);
    my ($damaged) = $run->('verify', 'damaged', $other->{entry});
    ok(@{ $damaged->{texts} } > 0, 'and what is damaged');
    $run->('keep', 'done', $other->{entry});
    $run->('purge', 'failed', '--yes', $other->{entry});
    $run->('keep', 'done', '--undo', $other->{entry});
    $run->('purge', 'failed', $other->{entry});
    ok(-e "$store/entries/$other->{entry}", 'nothing is purged without --yes');
    $run->('purge', 'done', '--yes', $_->{entry}) for $other, $added;
    $run->('recover', 'done');
    is_deeply([ sort keys %seen ], [ grep { $_ ne 'time' } sort keys %{ $schema->{definitions} } ],
        'every event of the schema was seen');
    ok($validator->validate({ event => 'summary', messages => -1 }), 'the schema refuses nonsense');
};

# A damaged number of seconds is a time, too, and has the form that the schema says.
subtest 'a time long ago' => sub {
    my $root = scratch() . '/queue';
    fill('exim', $root, ["From: a\@b\n\ntext\n"]);
    my ($head) = glob "$root/input/*-H";
    write_file($head, read_file($head) =~ s/^\d{10} 0$/-40000000000 0/mr);
    utime time - 3600, time - 3600, $head;
    my $r = scan('--all', "exim:$root");
    is($r->{messages}[0]{arrival}, '0702-06-15T00:53:20Z', 'four digits of a year');
};

# { 'name{labels}' => value }
sub samples { return { map { /^(.*) (\S+)$/ ? ($1 => $2) : () } grep { !/^#/ } split /\n/, $_[0] } }

subtest 'metrics' => sub {
    my ($spool) = mixed_spool();
    my $file = scratch() . '/spoolck.prom';
    my $r = spoolck('scan', '--metrics', $file, '--store', new_store(), $spool);
    my $of = samples(read_file($file));
    my ($labels) = map { /^spoolck_scan_complete\{(.*)\}/ } keys %$of;
    my $messages = sub { $of->{"spoolck_messages{$labels,verdict=\"$_[0]\"}"} };
    is($messages->('corrupt'), 2, 'two corrupt');
    is($messages->($_), 0, "$_ is there though there is none") for qw(suspect changed);
    is($of->{"spoolck_corrupt_messages{$labels,impact=\"server-stops\"}"}, 1, 'one stops the server');
    is($of->{"spoolck_left_messages{$labels}"}, 2, 'both are left');
    is($of->{spoolck_exit_status}, $r->{status}, 'exit status');
    ok(abs($of->{spoolck_last_scan_timestamp_seconds} - time) < 3600, 'a time of now');
    is((stat $file)[2] & 07777, 0644, 'the collector may read it');

    spoolck('scan', '-y', '--max-move', 'none', '--metrics', $file, '--store', new_store(), $spool);
    $of = samples(read_file($file));
    is($of->{"spoolck_moved_messages{$labels}"}, 2, 'two moved');
    is($of->{"spoolck_left_messages{$labels}"}, 0, 'none is left');
    is($of->{spoolck_quarantine_entries}, 2, 'both are in the quarantine');
    is_deeply([ glob dirname($file) . '/*' ], [$file], 'nothing else is left there');

    is($of->{"spoolck_deep_unchecked_messages{$labels}"}, 0, 'nobody wanted to look inside: 0');

    my $deep = new_spool();
    healthy($deep, 'deferred') for 1 .. 3;
    spoolck({ program => hostile_program(), env => { SPOOLCK_HOSTILE => 'deep-abort' } }, 'scan', '--deep', '--metrics', $file, '--store', new_store(), $deep);
    $of = samples(read_file($file));
    my ($inside) = map { /^spoolck_deep_unchecked_messages\{(.*)\}/ } keys %$of;
    is($of->{"spoolck_deep_unchecked_messages{$inside}"}, 3, 'three could not be looked into');
    is($of->{"spoolck_messages{$inside,verdict=\"ok\"}"}, 3, '... but their structure is known');

    system('promtool --version >/dev/null 2>&1') == 0 or return missing('promtool');
    is(qx(promtool check metrics <$file 2>&1), '', 'promtool has nothing to say');
};

subtest 'metrics that cannot be written' => sub {
    my $spool = new_spool();
    healthy($spool, 'deferred');
    my $r = spoolck('scan', '--metrics', '/nonexistent/spoolck.prom', $spool);
    is(exit_bits($r), '0', 'change no exit status');
    like($r->{err}, qr{^spoolck: --metrics /nonexistent/spoolck.prom: .*No such file}m, 'but are told');
    like($r->{out}, qr/^1 message/m, 'the report is whole');
};

subtest 'Nagios' => sub {
    my $store = new_store();
    my $nagios = sub { return spoolck('scan', '--nagios', '--store', $store, @_) };
    my $spool = new_spool();
    healthy($spool, 'deferred') for 1 .. 30;
    my $r = $nagios->($spool);
    is($r->{status}, 0, 'OK');
    like($r->{out}, qr/\ASPOOLCK OK: 30 messages, 0 corrupt.* \| messages=30;;;0 corrupt=0;;0;0 .*\n\z/, 'one line');

    my $id = killer($spool, 'incoming');
    $r = $nagios->($spool);
    is($r->{status}, 2, 'CRITICAL');
    like($r->{out}, qr/\ASPOOLCK CRITICAL: .*; 1 stopping the server; worst: $id postfix\.size-field \| /, 'names it');
    $r = $nagios->('-p', $spool);
    is($r->{status}, 1, 'WARNING when it was moved');
    like($r->{out}, qr/\ASPOOLCK WARNING: .* 1 moved \|/, 'says so');

    $r = $nagios->('/nonexistent');
    is($r->{status}, 3, 'UNKNOWN');
    like($r->{out}, qr{\ASPOOLCK UNKNOWN: .*/nonexistent: cannot open.*\n\z}, 'says why');
    my ($strange_spool) = mixed_spool();
    unlike($nagios->($strange_spool)->{out}, qr/\|.*\|/, 'one bar only, whatever a name holds');
    is(exit_bits(spoolck('scan', '--nagios', '--format', 'json', $spool)), '16', 'not with JSON');
};

done_testing();
