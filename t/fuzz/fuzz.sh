#!/bin/sh
# fuzz.sh [SECONDS [TARGET...]] - every fuzz target for SECONDS (60) each
#
# Targets are t/fuzz/fuzz_*.c, built with clang's libFuzzer, AddressSanitizer and
# UndefinedBehaviorSanitizer. Seeds are the fixtures, and any queue tree named in
# SPOOLCK_FUZZ_CORPUS. Corpora and crashers stay in build-fuzz/ (FUZZ_DIR); a
# crasher from there is tried again with: build-fuzz/fuzz_TARGET FILE
set -eu

seconds=${1:-60}
[ $# -gt 0 ] && shift
src=$(cd "$(dirname "$0")/../.." && pwd)
out=${FUZZ_DIR:-$src/build-fuzz}
live=${SPOOLCK_FUZZ_CORPUS:-/var/tmp/spoolck-live/postfix-corpus}
targets=${*:-cursor wire decode content mime daemonlog volume postfix exim sendmail opensmtpd qmail courier iis layout}

for CC in ${CLANG:-} clang clang-19 clang-16 clang-14; do
	command -v "$CC" >/dev/null && break
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

# What is fuzzed, compiled once; each target takes what it needs of it.
flags="-std=gnu11 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
	-I$src/parsers -I$src/scanner -I$src/quarantine -I$src/t/fuzz -I$out/include $(pkg-config --cflags glib-2.0)"

build_library() {
	rm -rf "$out/objects" "$out/libfuzzed.a"
	mkdir -p "$out/objects" "$out/include"
	: >"$out/include/config.h" # nothing in it matters here
	# shellcheck disable=SC2086 # a list of options
	(
		cd "$out/objects"
		{
			ls "$src"/parsers/*.c
			for name in blocks content decode layout_file ntfs_record volume_wire wire; do
				echo "$src/scanner/$name.c"
			done
		} | xargs -n 4 -P "$(nproc)" "$CC" $flags -fsanitize=fuzzer-no-link,address,undefined -c
		ar rcs ../libfuzzed.a ./*.o
	)
}

build() {
	# shellcheck disable=SC2046,SC2086 # lists of options
	"$CC" $flags -fsanitize=fuzzer,address,undefined -o "$out/fuzz_$1" "$src/t/fuzz/fuzz_$1.c" \
		"$out/libfuzzed.a" $(pkg-config --libs glib-2.0) -lz -ldl
}

# Queue files as seeds: the bytes that choose place, version and so on, the name,
# then the file. Only files of a size that the fuzzer keeps.
seed_postfix() {
	for tree in "$src"/fixtures/postfix/*/spool "$live"; do
		[ -d "$tree" ] && find "$tree" -type f -size -8k
	done | perl -ne '
		my %place = (maildrop => 0, incoming => 1, active => 2, deferred => 3, hold => 4);
		chomp;
		my ($place, $rest) = m{/(maildrop|incoming|active|deferred|hold)/(.*)} or next;
		length $rest <= 48 or next;
		open my $in, "<:raw", $_ or next;
		my $bytes = do { local $/; <$in> };
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
		print $out pack("C6", $place{$place}, 2, 0, $n % 6, 0, length $rest), $rest, $bytes;'
}

seed_opensmtpd() {
	find "$src"/fixtures/opensmtpd/*/spool -type f -size -8k | perl -ne '
		chomp;
		my ($place, $rest) = m{/(queue|offline)/(.*)} or next;
		open my $in, "<:raw", $_ or next;
		my $bytes = do { local $/; <$in> };
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
		print $out pack("C5", $place eq "queue" ? 0 : 1, $. % 4, $. % 6, 0x75, length $rest), $rest, $bytes;'
}

# The texts of t/deep.t as Perl has them would be more; these have the words that matter.
seed_mime() {
	perl -e '
		my $m = "From: a\@b\nDate: x\nMessage-ID: <a\@b>\nMIME-Version: 1.0\n";
		my @text = ("$m\ntext\n", $m . "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\n"
			. "Subject: y\nContent-Type: multipart/digest;\n boundary=c\n\n--c\n\nSubject: z\n\nz\n--c--\n--b\nContent-Transfer-Encoding: base64\n\nQUJD\nQQ==\n--b--\n",
			$m . "Content-Type: text/plain; (a) charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\na=\n=C3=A4\n=", "To: a:b,c;, d:e\n\n" . "\0" x 700);
		for (@text) { open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die; print $out "\0$_" }'
}

seed_decode() {
	find "$src"/fixtures/opensmtpd/*gzip*/spool -type f | perl -ne '
		chomp;
		open my $in, "<:raw", $_ or next;
		my $bytes = do { local $/; <$in> };
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
		print $out pack("C", $n % 6), $bytes;'
}

# Files of every server's fixtures, and messages that lost blocks.
seed_content() {
	find "$src"/fixtures/*/*/spool -type f -size -6k | perl -ne '
		chomp;
		open my $in, "<:raw", $_ or next;
		my $bytes = do { local $/; <$in> };
		length $bytes or next;
		substr $bytes, 512, 512, "\0" x 512 if $. % 3 == 0 && length $bytes > 1024;
		substr $bytes, 4096 - 512, 0, "\x7fELF" . "\1" x 508 if $. % 3 == 1 && length $bytes > 3584;
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
		print $out pack("C3", $n, $n % 2, $n % 9), $bytes;'
}

# -H, -J and -D of a message in one input; ids are what the target calls its message.
seed_exim() {
	find "$src"/fixtures/exim/*/spool /var/tmp/spoolck-live/exim-lab-*/spool-* -name '*-H' -size -6k 2>/dev/null | perl -ne '
		chomp;
		sub bytes { open my $in, "<:raw", $_[0] or return ""; local $/; return <$in> // "" }
		my ($base, $id) = m{^(.*/([^/]+))-H$} or next;
		my $new = length $id > 16;
		my @part = map { bytes("$base-$_") =~ s/\A\Q$id\E/$new ? "1xUM1R-0000000000T-0gDX" : "1xUM0n-00000r-15"/er } qw(H J D);
		next if length "@part" > 8000 || ++$n > 400;
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, $n or die;
		print $out pack("C4", $new ? 2 : 0, $n % 7, $n % 6, 0), join "\xff\0", @part;'
}

# Records of an MFT: that of a small volume of mkntfs, where it is.
seed_volume() {
	command -v mkntfs >/dev/null || return 0
	truncate -s 2M "$SEEDS.img"
	mkntfs -F -Q -c 4096 "$SEEDS.img" >/dev/null 2>&1 || return 0
	perl -e '
		open my $in, "<:raw", $ARGV[0] or die;
		local $/;
		my $image = <$in>;
		while ($image =~ /FILE0\0/g) {
			open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
			print $out "\0", substr $image, pos($image) - 6, 1024;
		}' "$SEEDS.img"
}

# Control file and text of a message in one input.
seed_sendmail() {
	find "$src"/fixtures/sendmail/*/spool /var/tmp/spoolck-live/sendmail-lab/spool-* -name '[qhQ]f?*' -size -6k 2>/dev/null | perl -ne '
		chomp;
		sub bytes { open my $in, "<:raw", $_[0] or return ""; local $/; return <$in> // "" }
		my ($dir, $letter, $id) = m{^(.*)/([qhQ])f([^/]+)$} or next;
		my $control = bytes($_);
		my $text = bytes("$dir/df$id") . bytes("$dir/../df/df$id");
		next if length "$control$text" > 8000 || ++$n > 400;
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, $n or die;
		print $out pack("C5", index("qhQ", $letter), $n % 4, $n % 6, $n % 3, 0), $control, "\xff\0", $text;'
}

# Control file and text of a message in one input, under a name of each place.
seed_courier() {
	find "$src"/fixtures/courier/*/spool/control /var/tmp/spoolck-live/courier-lab/*/msgs -name '[Ca-z]*' -type f -size -6k 2>/dev/null | perl -ne '
		chomp;
		sub bytes { open my $in, "<:raw", $_[0] or return ""; local $/; return <$in> // "" }
		my @name = ("179517/C10994115.1795177698", "15/C10994115", "179517/C10994115.2");
		my ($control, $text) = map { bytes($_) } $_, s{/control/|/C(?=\d+$)}{$& eq "/control/" ? "/text/" : "/D"}er;
		next if length "$control$text" > 8000 || ++$n > 400;
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, $n or die;
		my $name = $name[$n % 3];
		print $out pack("C4", $n % 3, 0x76, $n % 6, length $name), $name, $control, "\xff\0", $text;'
}

# All files of a message in one input, in the order of the places.
seed_qmail() {
	find "$src"/fixtures/qmail/*/spool -type f \( -path '*/info/*' -o -path '*/todo/*' \) | perl -ne '
		chomp;
		sub bytes { open my $in, "<:raw", $_[0] or return undef; local $/; return <$in> // "" }
		my ($root, $place, $split, $id) = m{^(.*)/(info|todo)/(?:([^/]+)/)?([^/]+)$} or next;
		($split) = map { m{/mess/([^/]+)/} } glob "$root/mess/*/$id" unless defined $split;
		my @part = map { bytes("$root/$_/" . (/todo|bounce|intd/ ? "" : ($split // 0) . "/") . $id) }
			qw(info todo local remote bounce intd mess);
		my $gone = 0;
		defined $part[$_] or $gone |= 1 << $_ for 0 .. 6;
		open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
		print $out pack("C5", $place eq "info" ? 0 : 1, $n % 6, $gone, 0, 9), "1/1400885",
			join "\xff\0", map { $_ // "" } @part;'
}

# A message with its side files in one input, in the order of the target's roles; and the base64 of a block alone.
seed_iis() {
	find "$src"/fixtures/iis/*/spool -type f -size -12k ! -name '*:*' | perl -ne '
		chomp;
		sub bytes { open my $in, "<:raw", $_[0] or return ""; local $/; return <$in> // "" }
		my ($place, $name) = m{/(Queue|Pickup|Replay|Drop|Badmail)/([^/]+)$}i or next;
		my %place = (queue => 0, pickup => 1, replay => 2, drop => 3, badmail => 4);
		my $stem = s/\.[^.]*$//r;
		my @part = map { bytes($_) } $_, "$_:PROPERTIES", "$_:PROPERTIES-LIVE", "$_:SPARE", "$stem.BDP", "$stem.BDR";
		my @inputs = join "\xff\0", @part;
		push @inputs, $1 =~ s/\s+//gr if $part[0] =~ /X-ExtendedProps: (\S+(?:\r\n\t\S+)*)/;
		for my $input (@inputs) {
			open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
			print $out pack("C4", 64 | $place{lc $place}, 9, $n % 6, length $name), $name, $input;
		}'
}

# The lines of the unit test; those that stand in two pieces are joined.
seed_daemonlog() {
	perl -0ne '
		s/"\n\s*"//g;
		while (/"((?:Nov|2026|1795)[^"]{20,})"/g) {
			open my $out, ">:raw", sprintf "%s/seed-%05d", $ENV{SEEDS}, ++$n or die;
			print $out $1;
		}' "$src/t/unit/test-daemonlog.c"
}

# One target; what came of it is a line in $out/verdict-TARGET.
fuzz() {
	corpus=$out/corpus-$1 log=$out/log-$1
	mkdir -p "$corpus" "$out/seeds-$1"
	case $1 in
	postfix) SEEDS="$out/seeds-$1" seed_postfix ;;
	decode) SEEDS="$out/seeds-$1" seed_decode ;;
	daemonlog) SEEDS="$out/seeds-$1" seed_daemonlog ;;
	content) SEEDS="$out/seeds-$1" seed_content ;;
	mime) SEEDS="$out/seeds-$1" seed_mime ;;
	opensmtpd) SEEDS="$out/seeds-$1" seed_opensmtpd ;;
	exim) SEEDS="$out/seeds-$1" seed_exim ;;
	sendmail) SEEDS="$out/seeds-$1" seed_sendmail ;;
	courier) SEEDS="$out/seeds-$1" seed_courier ;;
	qmail) SEEDS="$out/seeds-$1" seed_qmail ;;
	iis) SEEDS="$out/seeds-$1" seed_iis ;;
	volume) SEEDS="$out/seeds-$1" seed_volume ;;
	esac
	if build "$1" >"$log" 2>&1 && "$out/fuzz_$1" -max_total_time="$seconds" -max_len=8192 -timeout=20 \
		-rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$out/$1-" \
		"$corpus" "$out/seeds-$1" >"$log" 2>&1; then
		verdict=ok
	else
		verdict='NOT OK'
		grep -a -E 'broken:|ERROR:|error:|runtime error|SUMMARY|Test unit written' "$log" || tail -n 20 "$log"
	fi
	n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	echo "fuzz_$1: $verdict, ${n:-0} executions, $(find "$out/seeds-$1" -type f | wc -l) seeds, $(find "$corpus" -type f | wc -l) inputs kept" |
		tee "$out/verdict-$1"
}

build_library

# As many at once as there are cores, each lane every so-manieth target.
for t in $targets; do rm -f "$out/verdict-$t"; done
lanes=$(nproc) lane=0
while [ "$lane" -lt "$lanes" ]; do
	(
		i=0
		for t in $targets; do
			[ $((i % lanes)) -ne "$lane" ] || fuzz "$t"
			i=$((i + 1))
		done
	) &
	lane=$((lane + 1))
done
wait

passed=0 failed=0 total=0
for t in $targets; do
	n=$(sed -n 's/.*: ok, \([0-9]*\) executions.*/\1/p' "$out/verdict-$t" 2>/dev/null) || n=
	[ -n "$n" ] && passed=$((passed + 1)) || failed=$((failed + 1))
	total=$((total + ${n:-0}))
done
echo "fuzz: $total executions"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
