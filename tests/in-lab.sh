#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# in-lab.sh LIMIT TEST...: runs the tests one after another in the emulated
# machine and marks where each begins and ends, for scripts/tap.awk. LIMIT is
# in seconds of the emulated machine.

limit=$1
shift
cd "$(dirname "$0")" || exit 125
for name; do
	echo "@begin $name"
	timeout -s KILL "$limit" "./$name" 2>&1 </dev/null
	ret=$?
	# What the test wrote last may lack its newline.
	printf '\n@end %s %s\n' "$name" "$ret"
done
