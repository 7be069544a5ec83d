package Spoolck::Fixture::Courier;

# Lays a fixture out as a queue of Courier, where names hold inodes and a control file has two.
# fixtures/README.md describes the files.

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename);
use File::Path ();
use Spoolck qw(read_file write_file);

our @EXPORT_OK = qw(lay_out_courier);

# The same control file, arrived an hour ago: every time in it moves along, and keeps its length.
sub of_now {
    my ($bytes, $age) = @_;
    my ($arrival) = $bytes =~ /^M[0-9A-F]+\.0*([0-9A-F]{8})\./m or return $bytes;
    my $shift = time - $age - hex $arrival;
    $bytes =~ s/^([EpWAC]|[SFD]\d+ )(\d{10})\b/$1 . ($2 + $shift)/gme;
    $bytes =~ s/^(M[0-9A-F]+\.0*)$arrival/$1 . sprintf '%08X', $shift + hex $arrival/me;
    return $bytes;
}

# One message NAME: control/NAME, text/NAME, and the keys of control/NAME in the layout. Adds real path =>
# path in the fixture to `back`.
sub message {
    my ($case, $root, $name, $special, $back) = @_;
    my $age = $special->{age} // 3600;
    my $bytes = of_now(read_file("$case/spool/control/$name"), 3600);
    my ($due) = reverse $bytes =~ /^A(\d{10})$/mg;
    $due = $special->{due} if defined $special->{due};
    write_file("$root/tmp/new", $bytes);
    my $n = (stat "$root/tmp/new")[1];
    my $tmp = $special->{tmp};
    my $home = defined $tmp ? "tmp/$tmp" : 'msgs/' . $n % 100;
    my $folder = defined $special->{shift} ? 'msgs/' . ($n + $special->{shift}) % 100 : $home;
    File::Path::make_path(map { "$root/$_" } $home, $folder);
    rename "$root/tmp/new", "$root/$folder/C$n" or die "C$n: $!";
    $back->{"$folder/C$n"} = $back->{"$home/C$n"} = "control/$name";
    if (-e "$case/spool/text/$name") {
        write_file("$root/$home/D$n", read_file("$case/spool/text/$name"));
        $back->{"$home/D$n"} = "text/$name";
    }
    my @files = glob "$root/{$home,$folder}/[CD]$n";
    chmod oct($special->{mode} // '0660'), @files;
    entry($root, $name, $n, $due, "$folder/C$n", $special, $back) if !defined $tmp && ($special->{entry} // '') ne 'none';
    utime time - $age, time - $age, @files, glob "$root/msgq/*/C$n.*";
}

sub entry {
    my ($root, $name, $n, $due, $control, $special, $back) = @_;
    my $dir = 'msgq/' . int($due / 10000);
    $back->{"$dir/C$n.$due"} = "entry/$name";
    $dir = "msgq/$special->{folder}" if defined $special->{folder};
    my $path = "$dir/C$n.$due";
    $back->{$path} = "entry/$name";
    File::Path::make_path("$root/$dir");
    if (($special->{entry} // '') eq 'copy') {
        write_file("$root/$path", read_file("$root/$control"));
        chmod 0660, "$root/$path";
    } else {
        link "$root/$control", "$root/$path" or die "$path: $!";
    }
    unlink "$root/$control" if ($special->{entry} // '') eq 'alone';
    link "$root/$path", "$root/$special->{link}" or die "$special->{link}: $!" if defined $special->{link};
}

# As lay_out() of Spoolck::Fixture; `special` is the parsed layout.
sub lay_out_courier {
    my ($case, $root, $special) = @_;
    my %back;
    File::Path::make_path(map { "$root/$_" } qw(msgs msgq tmp track filters allfilters));
    message($case, $root, $_, $special->{"control/$_"} // {}, \%back) for sort map { basename($_) } glob "$case/spool/control/*";
    return \%back;
}

1;
