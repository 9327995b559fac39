# SPDX-License-Identifier: GPL-2.0
#
# Reads the output of tests between "@begin NAME" and "@end NAME STATUS [SECONDS]",
# prints one line for each case (and what it said, if it failed) and writes
# the sums and the names of the finished tests, with their seconds, to the file RESULT. A test that
# speaks no TAP is one case, judged by its exit status, 4 being a skip.

function result(word, what)
{
	count[word]++
	cases++
	printf "%-4s  %s%s\n", word, test, what
	if (word == "FAIL" && said != "")
		printf "%s", said
	fflush()
	said = ""
	title = ""
}

function finish(status, seconds)
{
	if (status == 4 && !cases)
		result("SKIP", last == "" ? "" : ": " last)
	else if (status == 0 && !cases)
		result("PASS", "")
	else if (status == 137)
		result("FAIL", " did not end in time (killed)")
	else if (status != 0 && !bad)
		result("FAIL", " ended with status " status)
	else if (plan != "" && plan != cases)
		result("FAIL", " promised " plan " results, gave " cases)
	print test "\t" seconds + 0 >>RESULT
	test = ""
}

{ sub(/\r$/, "") }

$1 == "@begin" {
	test = $2
	said = title = plan = last = ""
	cases = bad = 0
	next
}

$1 == "@end" && test != "" {
	finish($3, $4)
	next
}

test == "" { next }

/^1\.\.[0-9]+/ {
	plan = substr($0, 4) + 0
	next
}

/^TAP version/ || /^# (Starting|PASSED|FAILED|Totals)/ || NF == 0 { next }

# The harness names a case before it runs, and not again if it is skipped.
$1 == "#" && $2 == "RUN" {
	title = $3
	next
}

/^(not )?ok / {
	what = $0
	sub(/^(not )?ok *[0-9]* *(- )?/, "", what)
	reason = what
	if (match(what, /# *SKIP */)) {
		reason = substr(what, RSTART + RLENGTH)
		what = substr(what, 1, RSTART - 1)
		sub(/ *$/, "", what)
		result("SKIP", " " (what == "" ? title : what) ": " (reason == "" ? "no reason given" : reason))
	} else if (/^not /) {
		bad++
		result("FAIL", " " (what == "" ? title : what))
	} else {
		result("PASS", " " (what == "" ? title : what))
	}
	next
}

$1 == "#" && $2 == "OK" { next }

{
	last = $0
	if (length(said) < 8192)
		said = said "      | " $0 "\n"
}

END {
	if (test != "") {
		said = said == "" ? "" : said
		result("FAIL", " " title " did not end: the machine it ran in did")
		print test >>RESULT
	}
	printf "@counts %d %d %d\n", count["PASS"], count["FAIL"], count["SKIP"] >>RESULT
}
