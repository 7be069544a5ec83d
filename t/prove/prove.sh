#!/bin/sh
# prove.sh - what is proved about parsers/, with Frama-C 25 (Debian: frama-c-base z3 cvc4 why3)
#
# 1. WP proves every contract of cursor.h and of the text functions of findings.c:
#    no run-time error, the position never past the end, sticky errors, results as
#    documented, loops that end.
# 2. EVA runs check(), decode() and body() on any bytes of any length, through any
#    windows of up to 4096 bytes, with any names and facts of file and site, and the other
#    functions of a format on any names of up to 511 bytes, facts and configuration, and looks for
#    run-time errors, for each format: bad accesses, overflow, uninitialized memory, bad calls.
#    What lies inside a function that WP proved is WP's; that a cursor handed to
#    it is sound (cur_ready, cur_valid) is so because cur_make() gives a sound one
#    (and all zero is one, of no bytes), every function keeps it sound (WP), and nothing
#    else writes a cursor's fields (t/purity.t).
#    The same for the passes of `scan --deep` over any text of up to 4096 bytes (parsers/mime_*.c).
#
# An alarm that is not in alarms.expected fails; so does one there that is gone.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
parsers=$here/../../parsers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WHY3CONFIG="$work/why3.conf"
why3 config detect >"$work/why3" 2>&1 || { cat "$work/why3"; exit 1; }

goals=0 passed=0 failed=0

verdict() { # NAME 0|1
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "NOT OK $1"
	fi
}

# --- WP -----------------------------------------------------------------------

wp() { # NAME FILE [OPTION...]
	name=$1 file=$2
	shift 2
	frama-c -c11 -machdep gcc_x86_64 -wp -wp-rte -wp-prover cvc4,z3 -wp-timeout 30 -wp-par 2 \
		-cpp-extra-args="-I$parsers -include $here/libc/string.h" "$@" "$file" >"$work/wp" 2>&1 || true
	proved=$(sed -n 's/^\[wp\] Proved goals: *\([0-9]*\) .*/\1/p' "$work/wp")
	all=$(sed -n 's,^\[wp\] Proved goals: *[0-9]* / *\([0-9]*\).*,\1,p' "$work/wp")
	goals=$((goals + ${proved:-0}))
	if [ -n "$proved" ] && [ "$proved" = "$all" ] && [ "$all" -gt 0 ]; then
		verdict "WP $name: $proved goals" 0
	else
		grep -A3 -E 'Failed|Timeout|Error|Warning: [^R]' "$work/wp" || tail -n 20 "$work/wp"
		verdict "WP $name: ${proved:-0} of ${all:-?} goals" 1
	fi
}

# --- EVA ----------------------------------------------------------------------

# Alarms of a report in CSV: file, function, kind, property; not what WP proved.
alarms() {
	awk -F '\t' '
		NR == 1 || NF < 7 { next }
		$6 ~ /Considered valid/ || $6 == "Valid" || $6 ~ /Dead/ || $6 ~ /^Valid/ { next }
		$2 == "cursor.h" || $2 == "string.h" || $2 == "finding.h" { next }
		$5 ~ /^precondition of (cur_|text_left)/ && $7 ~ /^cur_(ready|valid)\([abc]\)$/ { next }
		{ print $2 ": " $4 ": " $5 ": " $7 }' "$1" | sort -u
}

eva() { # NAME DRIVER MACROS FILE...
	name=$1 driver=$here/$2 macros=$3
	shift 3
	rm -f "$work/csv"
	frama-c -c11 -machdep gcc_x86_64 \
		-cpp-extra-args="-I$parsers -I$here -include string.h $macros" \
		-eva -eva-no-show-progress -eva-msg-key=-initial-state,-final-states \
		-eva-ilevel 128 -eva-domains symbolic-locations -eva-split-return auto \
		-eva-auto-loop-unroll 32 -eva-use-spec text_str,text_bytes,text_left,text_u64 \
		"$driver" "$parsers/findings.c" "$@" -report-csv "$work/csv" >"$work/eva" 2>&1 || true
	if [ ! -s "$work/csv" ] || ! grep -q 'functions analyzed' "$work/eva"; then
		tail -n 20 "$work/eva"
		verdict "EVA $name: it did not run" 1
		return
	fi
	alarms "$work/csv" | sed "s/^/$name: /" >>"$work/alarms"
	sed -n 's/^ *\(In these functions.*\)/   \1/p' "$work/eva"
	verdict "EVA $name: analysed" 0
}

eva_format() { # FORMAT PARTS NAME DRIVER
	eva "$1: $3" "$4" "-DFORMAT=$1 -DPARTS=$2" \
		"$parsers/mailmsg.c" "$parsers"/layout_*.c "$parsers/fmt_$1.c" "$parsers/$1"_*.c
}

compare() {
	sort -u "$work/alarms" >"$work/found"
	# An entry is an alarm; the lines before it that begin with # are its reason.
	grep -v -e '^#' -e '^$' "$here/alarms.expected" | sort -u >"$work/listed" || true
	comm -23 "$work/found" "$work/listed" >"$work/new"
	comm -13 "$work/found" "$work/listed" >"$work/gone"
	[ -s "$work/new" ] && echo 'New alarms:' && cat "$work/new"
	[ -s "$work/gone" ] && echo 'In alarms.expected, but gone:' && cat "$work/gone"
	[ ! -s "$work/new" ] && [ ! -s "$work/gone" ]
	verdict 'EVA: the alarms are those of alarms.expected' $?
}

# A proof that nothing can fail proves nothing: this driver has one error.
self_test() {
	frama-c -c11 -machdep gcc_x86_64 \
		-cpp-extra-args="-I$parsers -include string.h -DFORMAT=postfix -DPARTS=1" \
		-eva -eva-no-show-progress "$here/eva_wrong.c" -report-csv "$work/csv" >"$work/eva" 2>&1 || true
	alarms "$work/csv" | grep -q 'eva_wrong.c: main: mem_access\|eva_wrong.c: main: index_bound'
	verdict 'self-test: EVA sees a read beyond the window' $?
}

: >"$work/alarms"
wp cursor.h "$parsers/cursor.h"
wp findings.c "$parsers/findings.c" -wp-fct text_str,text_bytes,text_left,text_u64
set +e
self_test
# PARTS: as many as messages of the format can have.
while read -r format parts; do
	eva_format "$format" "$parts" 'check()' eva_check.c
	eva_format "$format" "$parts" 'decode() and body()' eva_decode.c
	eva_format "$format" "$parts" 'names, facts, configuration' eva_names.c
done <<FORMATS
postfix 1
opensmtpd 4
exim 3
sendmail 6
qmail 8
courier 3
iis 8
FORMATS
eva 'mime: any text' eva_mime.c '' "$parsers"/mime_*.c
compare
echo "prove: $goals goals proved, $(wc -l <"$work/found") alarms ($(wc -l <"$work/listed") listed)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
