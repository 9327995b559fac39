#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# in-lab.sh LIMIT TEST...: runs the tests one after another in the emulated
# machine and marks where each begins and ends, for scripts/tap.awk. LIMIT is
# in seconds of the emulated machine. Where the kernel can tell (kmemleak), the
# last result is that the module leaves no memory behind.

limit=$1
shift
cd "$(dirname "$0")" || exit 125
# Seconds of the machine's time, with two digits.
uptime_s()
{
	cut -d ' ' -f 1 /proc/uptime
}

for name; do
	echo "@begin $name"
	start=$(uptime_s)
	timeout -s KILL "$limit" "./$name" 2>&1 </dev/null
	ret=$?
	# What the test wrote last may lack its newline.
	printf '\n@end %s %s %s\n' "$name" "$ret" "$(echo "$(uptime_s) $start" | awk '{ print $1 - $2 }')"
done

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || exit 0
echo "@begin kmemleak"
ret=0
rmmod vitrine || ret=1
# What was freed a moment ago may still be on a list that waits for a grace period; and an object
# must be found lost twice.
for _ in 1 2 3; do
	sleep 6
	echo scan >$leaks
done
sed 's/^/# /' $leaks
! grep -q vitrine $leaks || ret=1
printf '\n@end kmemleak %s\n' $ret
