#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# in-lab.sh LIMIT TEST...: runs the tests one after another in the emulated
# machine and marks where each begins and ends, for scripts/tap.awk. LIMIT is
# in seconds of the emulated machine. The last result is that the module goes
# and that the kernel has not complained, of that or of anything before; where
# it can tell (kmemleak), another is that no memory is left behind.

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

grep -q '^vitrine ' /proc/modules || exit 0
echo "@begin module_unload"
ret=0
# Whoever was killed last may hold it for a moment.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	rmmod vitrine 2>/dev/null && break
	usleep 500000
done
grep '^vitrine ' /proc/modules && ret=1
# The first is of every WARN; the next is of a slab cache that goes with objects in it.
dmesg | grep -E -e 'cut here' -e 'remaining on' -e 'still has objects' -e 'BUG:' -e 'Oops' -e 'general protection' \
	-e 'INFO: task' -e 'rcu: INFO' -e 'unchecked MSR' -e 'possible .* detected' >/tmp/complaints && ret=1
if [ -s /tmp/complaints ]; then
	sed 's/^/# /' /tmp/complaints
	dmesg | grep -A 30 -m 1 'cut here' | sed 's/^/# /'
fi
printf '\n@end module_unload %s\n' $ret

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || exit 0
echo "@begin kmemleak"
ret=0
# What was freed a moment ago may still be on a list that waits for a grace period; and an object
# must be found lost twice.
for _ in 1 2 3; do
	sleep 6
	echo scan >$leaks
done
sed 's/^/# /' $leaks
! grep -q vitrine $leaks || ret=1
printf '\n@end kmemleak %s\n' $ret
