# SPDX-License-Identifier: GPL-2.0
#
# Reads tests/peers.txt and prints, with tabs between: NAME, LIMIT, TIER, KVM,
# VITRINE, COMMAND, REASON. NAME is the command with its blanks as underscores.

function bad(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what >"/dev/stderr"
	failed = 1
	exit 1
}

/^ *(#|$)/ { next }

{
	reason = ""
	if (match($0, / *# */)) {
		reason = substr($0, RSTART + RLENGTH)
		$0 = substr($0, 1, RSTART - 1)
	}
	if (NF < 5)
		bad("tier, KVM, Vitrine, limit and program are needed")
	if ($1 !~ /^[ABCDE]$/)
		bad("tier " $1)
	if ($2 !~ /^(pass|skip|fail|hang|down|any)$/ || $3 !~ /^(pass|skip|fail|hang|down)$/)
		bad("no such result: " $2 " " $3)
	if ($2 != $3 && reason == "")
		bad("they differ, and there is no reason")
	if ($4 !~ /^[0-9]+$/)
		bad("limit " $4)
	command = $5
	for (i = 6; i <= NF; i++)
		command = command " " $i
	name = command
	gsub(/[ \/]/, "_", name)
	if (name in seen)
		bad("a second " command)
	seen[name] = 1
	printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, $4, $1, $2, $3, command, reason
}

END { exit failed }
