# findings.awk - spoolck-findings(7) from the output of `spoolck findings`
BEGIN {
	print ".\\\" made from parsers/findings.def by man/findings.awk"
	print ".TH SPOOLCK-FINDINGS 7 2026-11-20 \"spoolck\" \"Mail administration\""
	print ".SH NAME\nspoolck-findings \\- what spoolck can find in a mail spool"
	print ".SH DESCRIPTION\nEach finding with its usual severity and impact; a check may give another impact"
	print "where the queue, or the installed version of the server, decides."
}
/^[^ ]/ { print ".SS " $0; next }
{
	line = $0
	sub(/^ +/, "", line)
	gsub(/\\/, "\\e", line)
	gsub(/-/, "\\-", line)
	colon = index(line, ":")
	print ".TP\n.B " substr(line, 1, colon - 1) "\n" substr(line, colon + 2)
}
