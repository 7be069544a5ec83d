# fold.awk - break text lines of a manual page that are longer than 80 bytes, between words; a line
# that is short enough stays as it is. awk -f man/fold.awk PAGE >NEW
/^\.(nf|EX|Bd -literal)/ { literal = 1 }
/^\.(fi|EE|Ed)/ { literal = 0 }
literal || /^[.']/ || length($0) <= 80 { print; next }
{
	line = ""
	n = split($0, word, " ")
	for (i = 1; i <= n; i++) {
		if (line == "")
			line = word[i]
		else if (length(line) + 1 + length(word[i]) <= 80)
			line = line " " word[i]
		else {
			print line
			# no word may be taken for a request at the start of a line
			line = (word[i] ~ /^[.']/ ? "\\&" : "") word[i]
		}
	}
	print line
}
