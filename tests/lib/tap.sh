# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# For tests that are scripts: one TAP line for each thing found out. To be
# sourced, with $out naming the file that holds what was said.

count=0

# result STATUS NAME: with what was said, if that is not as it should be.
result()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		# shellcheck disable=SC2154 # who sources this says which
		sed 's/^/# /' "$out"
		echo "not ok $count - $2"
	fi
}

# said WORDS NAME
said()
{
	grep -q -- "$1" "$out"
	result $? "$2"
}

# ends CODE PATTERN NAME COMMAND ARGS: must end with the code and print the pattern
ends()
{
	want=$1 pattern=$2 name=$3
	shift 3
	"$@" >"$out" 2>&1 </dev/null
	got=$?
	[ $got = "$want" ] && grep -qE -- "$pattern" "$out"
	result $? "$name (exit code $got)"
}
