# SPDX-License-Identifier: GPL-2.0
#
# Are the steps of the first file in the lines of the second, in this order? A
# step is a line "what it is | regex | regex of what may not come before it"
# (or "-"), fields parted by tabs. TAP, but for the plan; the numbers go on from FIRST.

BEGIN { FS = "\t" }

NR == FNR {
	if ($0 !~ /^#/ && NF >= 2) {
		what[++steps] = $1
		wanted[steps] = $2
		banned[steps] = $3
	}
	next
}

{ line[++lines] = $0 }

END {
	at = 0
	for (s = 1; s <= steps; s++) {
		why = ""
		for (i = at + 1; i <= lines; i++) {
			if (line[i] ~ wanted[s])
				break
			if (banned[s] != "-" && line[i] ~ banned[s]) {
				why = "before it comes: " line[i]
				break
			}
		}
		if (i > lines)
			why = "not found after: " (at ? line[at] : "the start")
		if (why == "") {
			at = i
			print "ok " FIRST + s - 1 " - " what[s]
		} else {
			print "not ok " FIRST + s - 1 " - " what[s] ": " why
			bad = 1
		}
	}
	exit bad
}
