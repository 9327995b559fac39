# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For the tests here that start emulated machines: one start, and one TAP line
# for each thing found out. To be sourced; sets $dir (goes at the end), $out
# (what the last machine's command said) and $count (of TAP lines).

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
# What a kernel that is hurt writes to its log or its console.
hurt='WARNING:|BUG:|Oops|general protection|Call Trace|unable to handle|stack segment|rcu.*stall'

# machine OPTIONS -- COMMAND: the status is the machine's
machine()
{
	scripts/lab/run --kernel "${LAB_KERNEL:-6.1}" --timeout 400 "$@" >"$out" 2>&1 </dev/null
}

# expect NAME STATUS TEXT: what the command said of NAME; "!0" is any but 0
expect()
{
	local got

	got=$(sed -n "s/^@ $1 \([0-9]*\)\$/\1/p" "$out")
	case $2 in
	!0) [ -n "$got" ] && [ "$got" != 0 ] ;;
	*) [ "$got" = "$2" ] ;;
	esac
	result $? "$3"
}

# quiet NAME [ALLOWED]: the last machine's kernel was not hurt; ALLOWED is what
# may be in its logs all the same
quiet()
{
	local logs found

	logs=$(sed -n 's/.*logs in \(.*\)$/\1/p' "$out")
	if [ ! -s "$logs/kernel.log" ]; then
		echo "# no kernel log in '$logs'"
		result 1 "$1"
		return
	fi
	found=$(cat "$logs/kernel.log" "$logs/console.log" | grep -E "$hurt" | grep -v -E "${2:-^$}")
	[ -z "$found" ] || printf '%s\n' "$found" | head -n 20 | sed 's/^/# /'
	[ -z "$found" ]
	result $? "$1"
}
