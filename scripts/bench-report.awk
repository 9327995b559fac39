# SPDX-License-Identifier: GPL-2.0
#
# From what tests/bench/in-lab.sh says, between tabs, to a table for people on
# standard output, and the files that the variables json and svg name. The
# others: mitigations, kernel, date.

# sorted(LIST, N): the numbers list[1..n] in their order
function sorted(list, n, i, j, value)
{
	for (i = 2; i <= n; i++) {
		value = list[i]
		for (j = i - 1; j > 0 && list[j] > value; j--)
			list[j + 1] = list[j]
		list[j + 1] = value
	}
}

# summary(KEY): median, least and most of all runs that runs[key] lists
function summary(key, list, n, i)
{
	n = split(runs[key], list, " ")
	for (i = 1; i <= n; i++)
		list[i] += 0
	sorted(list, n)
	median[key] = n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
	least[key] = list[1]
	most[key] = list[n]
}

# ratio(NAME, SUFFIX): of medians, or -1 where one side has none
function ratio(name, suffix, kvm, ours)
{
	kvm = median[name SUBSEP "kvm" suffix]
	ours = median[name SUBSEP "vitrine" suffix]
	return kvm > 0 ? ours / kvm : -1
}

function has(name, device)
{
	return (name SUBSEP device) in runs
}

# shown(NAME, DEVICE): the median, or why there is none
function shown(name, device)
{
	if (has(name, device))
		return sprintf("%.0f", median[name SUBSEP device])
	return (name SUBSEP device) in refused ? "not offered" : "no figure"
}

function thousands(n, text)
{
	n = sprintf("%d", n)
	while (length(n) > 3) {
		text = "," substr(n, length(n) - 2) text
		n = substr(n, 1, length(n) - 3)
	}
	return n text
}

function range(key)
{
	return sprintf("%.0f to %.0f", least[key], most[key])
}

function in_words(value)
{
	return value < 0 ? "" : sprintf("%.2f", value)
}

function print_row(name)
{
	if (!has(name, "kvm") || !has(name, "vitrine")) {
		missing++
		printf "  %-34s %11s  %-23s %11s  %s\n", name,
		       shown(name, "kvm"), "", shown(name, "vitrine"), ""
		return
	}
	printf "  %-34s %11.0f  %-23s %11.0f  %-23s %5.2f   %5s %5s\n", name,
	       median[name SUBSEP "kvm"], range(name SUBSEP "kvm"),
	       median[name SUBSEP "vitrine"], range(name SUBSEP "vitrine"),
	       ratio(name, ""), in_words(ratio(name, "first")), in_words(ratio(name, "second"))
}

# verdict(WHAT, LIMIT, FIGURE, WHO)
function verdict(what, limit, figure, who)
{
	if (figure < 0)
		return
	printf "%-4s  %s at most %.2f: %.2f%s\n", figure <= limit ? "yes" : "NO", what, limit, figure, who
	verdicts = verdicts sprintf("%s\n    {\"limit\": \"%s\", \"most\": %.2f, \"is\": %.4f, \"kept\": %s}",
				    verdicts == "" ? "" : ",", what, limit, figure, figure <= limit ? "true" : "false")
}

# largest(GROUP, LIMIT): the highest ratio of the group's rows ("" is all); above[] lists those over it
function largest(group_name, limit, i, r, worst)
{
	worst = -1
	above = ""
	for (i = 1; i <= n; i++) {
		r = ratio(order[i], "")
		if (!has(order[i], "vitrine") || group[order[i]] ~ /^(floor|control tool)$/ ||
		    (group_name != "" && group[order[i]] != group_name))
			continue
		if (r > worst)
			worst = r
		if (r > limit)
			above = above sprintf("%s %s (%.2f)", above == "" ? "; above it:" : ",", order[i], r)
	}
	return worst
}

# Over the rows that stand for the cost of an exit and of a call.
function mean(i, name, sum, count)
{
	for (i = 1; i <= n; i++) {
		name = order[i]
		if (group[name] !~ /^(in-kernel exits|userspace exits|ioeventfd|GET\/SET|RUN)$/ ||
		    !has(name, "kvm") || !has(name, "vitrine"))
			continue
		sum += log(ratio(name, ""))
		count++
	}
	mean_rows = count
	return count ? exp(sum / count) : -1
}

function json_side(name, device, key, list)
{
	key = name SUBSEP device
	if (!(key in runs))
		return "null"
	list = runs[key]
	gsub(" ", ", ", list)
	return sprintf("{\"median\": %.0f, \"least\": %.0f, \"most\": %.0f, \"runs\": [%s]}",
		       median[key], least[key], most[key], list)
}

function json_number(value)
{
	return value < 0 ? "null" : sprintf("%.4f", value)
}

function write_json(mean_ratio, i, name, both)
{
	printf("{\n  \"date\": \"%s\", \"kernel\": \"%s\", \"mitigations\": \"%s\", \"cpus\": 2,\n",
	       date, kernel, mitigations) >json
	printf("  \"unit\": \"ticks of the emulated TSC, one for each instruction slot\",\n") >json
	printf("  \"order\": [\"kvm\", \"vitrine\", \"vitrine\", \"kvm\"],\n  \"rows\": [") >json
	for (i = 1; i <= n; i++) {
		name = order[i]
		both = has(name, "kvm") && has(name, "vitrine")
		printf("%s\n    {\"operation\": \"%s\", \"group\": \"%s\",\n", (i > 1 ? "," : ""), name,
		       group[name]) >json
		printf("     \"kvm\": %s,\n     \"vitrine\": %s,\n", json_side(name, "kvm"),
		       json_side(name, "vitrine")) >json
		printf("     \"ratio\": %s, \"ratio_kvm_first\": %s, \"ratio_vitrine_first\": %s}",
		       json_number(both ? ratio(name, "") : -1),
		       json_number(both ? ratio(name, "first") : -1),
		       json_number(both ? ratio(name, "second") : -1)) >json
	}
	printf("\n  ],\n  \"geometric_mean\": %s, \"geometric_mean_rows\": %d,\n", json_number(mean_ratio),
	       mean_rows) >json
	printf("  \"verdicts\": [%s\n  ]\n}\n", verdicts) >json
	close(json)
}

function text(x, y, size, anchor, style, words)
{
	gsub("&", "\\&amp;", words)
	gsub("<", "\\&lt;", words)
	printf("<text x=\"%d\" y=\"%d\" font-size=\"%d\" text-anchor=\"%s\" %s>%s</text>\n", x, y, size, anchor, style, words) >svg
}

function bar(x, y, width, height, colour)
{
	printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y, width, height, colour >svg
}

# Two bars a row, KVM always as long; what is longer than 1.5 times that is cut.
function write_svg(mean_ratio, i, name, y, r, high, width, last, unit, left, height)
{
	left = 300
	unit = 280
	height = 150
	for (i = 1; i <= n; i++)
		height += 34 + (group[order[i]] != group[order[i - 1]] ? 30 : 0)
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"%d\" viewBox=\"0 0 960 %d\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n", height, height >svg
	bar(0, 0, 960, height, "#ffffff")
	text(20, 34, 20, "start", "font-weight=\"bold\"", "What operations cost on KVM and on Vitrine, in ticks")
	text(20, 56, 12, "start", "", "A tick is one instruction slot of an emulated CPU, not a time: what hardware takes for an exit is not in it.")
	text(20, 74, 12, "start", "", "Medians of five runs. Host " kernel ", 2 CPUs, mitigations=" mitigations ", " date ". Bars are relative to KVM: shorter is less.")
	bar(20, 88, 14, 12, "#9aa5b1")
	text(40, 99, 12, "start", "", "KVM = 1")
	bar(120, 88, 14, 12, "#2f7d4f")
	text(140, 99, 12, "start", "", "Vitrine")
	bar(210, 88, 14, 12, "#c0392b")
	text(230, 99, 12, "start", "", "Vitrine, above 1.03")
	text(left + 1.5 * unit + 130, 99, 12, "end", "font-weight=\"bold\"", "ticks")
	text(940, 99, 12, "end", "font-weight=\"bold\"", "ratio")
	y = 112
	last = ""
	for (i = 1; i <= n; i++) {
		name = order[i]
		if (group[name] != last) {
			last = group[name]
			text(20, y + 20, 13, "start", "font-weight=\"bold\"", last)
			y += 30
		}
		text(left - 10, y + 18, 12, "end", "", name)
		r = has(name, "kvm") && has(name, "vitrine") ? ratio(name, "") : -1
		high = r > 1.03 && group[name] != "control tool"
		if (has(name, "kvm")) {
			bar(left, y, unit, 12, "#9aa5b1")
			text(left + 1.5 * unit + 130, y + 11, 11, "end", "fill=\"#52606d\"", thousands(median[name SUBSEP "kvm"]))
		} else {
			text(left + 4, y + 11, 11, "start", "fill=\"#52606d\"", shown(name, "kvm"))
		}
		if (has(name, "vitrine")) {
			width = r < 0 ? 0 : r > 1.5 ? 1.5 : r
			bar(left, y + 14, width * unit, 12, high ? "#c0392b" : "#2f7d4f")
			if (r > 1.5)
				text(left + 1.5 * unit + 6, y + 24, 12, "start", "fill=\"#c0392b\"", ">>")
			text(left + 1.5 * unit + 130, y + 25, 11, "end", "", thousands(median[name SUBSEP "vitrine"]))
		} else {
			text(left + 4, y + 25, 11, "start", "fill=\"#52606d\"", shown(name, "vitrine"))
		}
		if (r >= 0)
			text(940, y + 18, 13, "end", high ? "fill=\"#c0392b\" font-weight=\"bold\"" : "font-weight=\"bold\"", sprintf("%.2f", r))
		y += 34
	}
	printf "<line x1=\"%d\" y1=\"112\" x2=\"%d\" y2=\"%d\" stroke=\"#52606d\" stroke-dasharray=\"3 3\"/>\n", left + unit, left + unit, y >svg
	if (mean_ratio > 0)
		text(20, y + 22, 12, "start", "font-weight=\"bold\"", sprintf("Geometric mean over in-kernel exits, userspace exits, ioeventfd, GET/SET and RUN (%d rows): %.2f", mean_rows, mean_ratio))
	print "</svg>" >svg
	close(svg)
}

/^@pass / {
	split($0, f, " ")
	device = f[2]
	# Passes 1 and 2 are KVM first, 3 and 4 Vitrine first.
	turn = f[3] <= 2 ? "first" : "second"
	next
}

NF > 2 {
	if (!($2 in group)) {
		order[++n] = $2
		group[$2] = $1
	}
	if ($3 == "not offered") {
		refused[$2, device]
		next
	}
	for (i = 3; i <= NF; i++) {
		runs[$2, device] = runs[$2, device] (runs[$2, device] == "" ? "" : " ") $i
		runs[$2, device turn] = runs[$2, device turn] (runs[$2, device turn] == "" ? "" : " ") $i
	}
}

END {
	if (!n) {
		print "no row has such a name"
		exit 1
	}
	for (key in runs)
		summary(key)
	printf "\nTicks of the emulated machine's TSC, one for each instruction slot: they count the software path.\n"
	printf "What hardware takes for an exit, caches and time are not in them. Host %s, 2 CPUs,\n", kernel
	printf "mitigations=%s, %s. Medians of five runs (least to most); the ratio of all, with KVM first,\n", mitigations, date
	printf "with Vitrine first.\n\n"
	printf "  %-34s %11s  %-23s %11s  %-23s %5s   %5s %5s\n", "operation", "KVM", "", "Vitrine", "", "ratio", "K,V", "V,K"
	for (i = 1; i <= n; i++) {
		if (group[order[i]] != last)
			print group[order[i]] (group[order[i]] == "control tool" ? \
				" (asked and answered by another process; KVM's side is its exit to the VMM and back)" : "")
		last = group[order[i]]
		print_row(order[i])
	}
	print ""
	m = mean()
	worst = largest("", 1.03)
	verdict("every row", 1.03, worst, above)
	worst = largest("userspace exits", 0.6)
	verdict("exits to userspace and back", 0.6, worst, above)
	verdict("boot", 0.95, largest("boot", 0.95), "")
	verdict("geometric mean of " mean_rows + 0 " rows (in-kernel and userspace exits, ioeventfd, GET/SET, RUN)", 0.7, m, "")
	if (missing)
		printf "%d rows have no ratio, for want of a figure on one side\n", missing
	write_json(m)
	write_svg(m)
}
