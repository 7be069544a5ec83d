package Spoolck::Fixture;

# Lays a fixture out as a queue, and writes what a scan says of it in lines that can be
# reviewed. fixtures/README.md describes the files of a fixture.

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Find ();
use File::Path ();
use Spoolck qw(read_file write_file PLACES);
use Spoolck::Fixture::Courier qw(lay_out_courier);

our @EXPORT_OK = qw(lay_out lines_of);

# Places whose files belong to messages of the same name.
my %log = map { $_ => 1 } qw(defer bounce trace);

# What every queue of a format has, and the mode of its files, where they are not Postfix'.
my @split = map { my $place = $_; map { "$place/$_" } 0 .. 22 } qw(info local remote mess);
my %dirs = (exim => [qw(input msglog db)], qmail => [@split, qw(todo intd bounce pid lock)],
    opensmtpd => [qw(queue incoming purge temporary offline)], sendmail => ['.'],
    iis => [qw(Queue Pickup)]);
my %mode = (exim => '0640', opensmtpd => '0600', sendmail => '0600', qmail => '0600', iis => '0644');

# The format of a case: the folder that it lies in.
sub format_of { my ($case) = @_; return $case =~ m{/([^/]+)/[^/]+$} ? $1 : '' }

# Copy the fixture `case`/spool to the new directory `root`. Returns { real path => path
# in the fixture }; dies when it cannot be done, with "owner" when that takes root.
sub lay_out {
    my ($case, $root) = @_;
    my $special = layout("$case/layout");
    my (@files, %inode, %back);
    return lay_out_courier($case, $root, $special) if format_of($case) eq 'courier';

    my %here = map { lc basename($_) => 1 } glob "$case/spool/*"; # IIS: a folder in another case is that folder
    File::Path::make_path($root, map { "$root/$_" } grep { format_of($case) ne 'iis' || !$here{lc $_} }
        @{ $dirs{ format_of($case) } // [PLACES] });
    File::Find::find({ no_chdir => 1, wanted => sub {
        push @files, substr $_, 1 + length "$case/spool" if -f;
    } }, "$case/spool");
    my $is_link = sub { return defined $special->{ $_[0] }{link} };
    for my $path (sort { is_log($a) <=> is_log($b) || $is_link->($a) <=> $is_link->($b) || is_text($b) <=> is_text($a) || $a cmp $b } @files) {
        my $real = one($case, $root, $path, \%inode, $special->{$path} // {});
        $back{$real} = $path;
    }
    return \%back;
}

sub is_log { my ($path) = @_; return $log{ (split m{/}, $path)[0] } ? 1 : 0 }

# The file whose inode is the number of a qmail message.
sub is_text { my ($path) = @_; return $path =~ m{^mess/.*\@\w+\@$} ? 1 : 0 }

# { path => { mode =>, age =>, owner =>, arrival => } }
sub layout {
    my ($file) = @_;
    return {} unless -e $file;
    my %special;
    for (split /\n/, read_file($file)) {
        next if /^\s*(?:#|$)/;
        my ($path, @words) = split ' ';
        $special{$path} = { map { split /=/, $_, 2 } @words };
    }
    return \%special;
}

# One file: bytes, owner, times, mode, and a name with the inode that it really has. A log
# takes the name of its message.
sub one {
    my ($case, $root, $path, $inode, $special) = @_;
    my ($dir, $name) = (dirname($path), basename($path));
    my $tmp = "$root/$dir/.new";
    my $mtime = time - ($special->{age} // $special->{arrival} // 3600);
    my $bytes = read_file("$case/spool/$path");

    # The first arrival time: type T, a length, seconds in ten digits.
    $bytes =~ s/(T.)\d{10}(?= \d)/$1 . (time - $special->{arrival})/se if defined $special->{arrival};
    File::Path::make_path("$root/$dir");
    write_file($tmp, $bytes);
    if ($name =~ /^(.*)\@INODE\@$/) {
        my $own = (stat $tmp)[1];
        $inode->{$name} //= $own;
        $name = $1 . sprintf '%X', is_log($path) ? $inode->{$name} : $own;
    }
    if ($name =~ /^\@(\w+)\@$/) { # qmail: the inode of the text, and the directory that goes with it
        $name = $inode->{$1} //= (stat $tmp)[1];
        my $split = $name % 23;
        my $home = $dir =~ s{/split$}{/$split}r;
        ($tmp, $dir) = ("$root/$home/.new", $home) if $home ne $dir && rename $tmp, "$root/$home/.new";
    }
    if (defined $special->{link}) {
        unlink $tmp;
        link "$root/" . $special->{link} =~ s/\@(\w+)\@/$inode->{$1}/r, "$root/$dir/$name" or die "link: $!\n";
        return "$dir/$name";
    }
    if (defined $special->{owner}) {
        chown $special->{owner}, -1, $tmp or die "owner: $!\n";
    }
    utime $mtime, $mtime, $tmp;
    chmod oct($special->{mode} // $mode{ format_of($case) } // (is_log($path) ? '0600' : $path =~ /^maildrop/ ? '0744' : '0700')),
        $tmp;
    rename $tmp, "$root/$dir/$name" or die "$name: $!\n";
    return "$dir/$name";
}

# What a scan (Spoolck::scan with --all) says, in lines; `back` is lay_out()'s.
sub lines_of {
    my ($scan, $root, $back) = @_;
    my (%findings, @lines);
    my $name = sub { $back->{ $_[0] } // $_[0] };

    for my $f (@{ $scan->{findings} }) {
        push @{ $findings{ $name->($f->{part}) } }, finding_lines($f, $root, $back);
    }
    my %head = map {
        my $m = $_;
        $name->($m->{parts}[0]) => "$m->{verdict}, $m->{impact}"
            . (defined $m->{sender} ? "; from <$m->{sender}> to $m->{recipients}" : '')
            . (defined $m->{reason} ? "; $m->{reason}" : '')
    } @{ $scan->{messages} };
    for my $path (sort keys %{ { %head, %findings } }) {
        push @lines, "$path: " . ($head{$path} // 'no message'), @{ $findings{$path} // [] };
    }
    push @lines, map { s/\Q$root\E/SPOOL/r } map { "note: $_->{text}" } @{ $scan->{notes} };
    utf8::encode(my $text = join '', map { "$_\n" } @lines, "exit $scan->{status}");
    return $text;
}

sub finding_lines {
    my ($f, $root, $back) = @_;
    my ($inode, $owner) = (stat "$root/$f->{part}")[1, 4];
    my $root_owner = (stat "$root/maildrop")[4];
    my @lines = "  $f->{name} $f->{severity} $f->{impact} at $f->{offset}+$f->{length}";

    for my $key (qw(field expected found)) {
        my $value = $f->{$key} // next;
        $value = '@INODE@' if $f->{name} eq 'postfix.inode' && $value eq $inode;
        $value = '@OWNER@' if $f->{name} eq 'postfix.owner' && $value eq $root_owner;
        $value = '@INODE@' if $f->{name} eq 'qmail.inode' && $key eq 'found';
        $value = $back->{$value} // $value;
        $value =~ s/\b\d{10}\b/\@TIME@/g, $value =~ s{^(a folder msgq/)\d+}{$1\@TIME@} if $f->{name} =~ /^courier\./;
        $value = qq("$value") if $key eq 'found'; # may begin or end with blanks
        push @lines, sprintf '    %-9s %s', $key, $value;
    }
    return @lines;
}

1;
