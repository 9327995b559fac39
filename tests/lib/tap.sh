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
