# SPDX-License-Identifier: GPL-2.0
#
# peers-table.awk ROWS RESULTS-OF-KVM... RESULTS-OF-VITRINE...: the table of
# make test-peers, or JSON (-v json=1), and the sums as the last line. A result
# is SIDE, NAME, WORD, SECONDS. More than one of KVM's for a row are a vote.

BEGIN { FS = "\t" }

FNR == NR {
	name[++rows] = $1
	tier[rows] = $3
	want["kvm", $1] = $4
	want["vitrine", $1] = $5
	command[rows] = $6
	reason[rows] = $7
	next
}

{
	asked[$1] = 1
	runs[$1, $2]++
	good[$1, $2] += $3 == want[$1, $2]
	if (!(($1, $2) in word) || $3 == want[$1, $2] || good[$1, $2] == 0) {
		seconds[$1, $2] = $4
		if ($3 != want[$1, $2])
			other[$1, $2] = $3
	} else {
		other[$1, $2] = $3
	}
	word[$1, $2] = $3
}

# What counts as the result of a side for a row.
function verdict(side, n,	key)
{
	key = side SUBSEP n
	if (!(key in runs))
		return "none"
	if (want[key] == "any")
		return word[key]
	return 2 * good[key] > runs[key] ? want[key] : other[key]
}

function judge(side, i,	result)
{
	result = verdict(side, name[i])
	sum[side, result]++
	if (want[side, name[i]] != result && want[side, name[i]] != "any") {
		failed++
		differs[side, i] = 1
		wrong = wrong side "\t" name[i] "\t" want[side, name[i]] "\t" result "\n"
	} else if (result == "skip") {
		skipped++
	} else {
		passed++
	}
	return result
}

function member(side, i,	result)
{
	if (!(side in asked))
		return ""
	result = judge(side, i)
	return sprintf(", \"%s\": {\"result\": \"%s\", \"expected\": \"%s\", \"seconds\": %s}", side, result,
		       want[side, name[i]], seconds[side, name[i]] ~ /^[0-9.]+$/ ? seconds[side, name[i]] : "null")
}

function cell(side, i,	result)
{
	if (!(side in asked))
		return sprintf("  %-6s %6s", "", "")
	result = judge(side, i)
	return sprintf("  %-6s %6s", result ((side, i) in differs ? "!" : ""), seconds[side, name[i]])
}

function sums(side, title,	i, n, words, line)
{
	if (!(side in asked))
		return
	n = split("pass skip fail hang down none", words, " ")
	line = title ":"
	for (i = 1; i <= n; i++)
		if (sum[side, words[i]])
			line = line " " sum[side, words[i]] " " words[i]
	print line
}

END {
	if (json) {
		for (i = 1; i <= rows; i++)
			printf "%s{\"tier\": \"%s\", \"command\": \"%s\"%s%s, \"reason\": \"%s\"}", i == 1 ? "[" : ",\n ",
			       tier[i], command[i], member("kvm", i), member("vitrine", i), reason[i]
		print "]"
	} else {
		printf "\n%-5s %-52s  %-6s %6s  %-6s %6s\n", "tier", "program", "KVM", "s", "Vitrine", "s"
		for (i = 1; i <= rows; i++) {
			line = sprintf("%-5s %-52s%s%s  %s", tier[i], command[i], cell("kvm", i), cell("vitrine", i),
				       reason[i])
			sub(/ +$/, "", line)
			print line
		}
		print ""
		sums("kvm", "KVM")
		sums("vitrine", "Vitrine")
	}
	printf "%s", wrong >WRONG
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped >LAST
	exit failed > 0 || passed + skipped == 0
}
