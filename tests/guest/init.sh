#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the Debian guest does once it is up: shows what it runs on, uses the
# CPU and the memory with results that are known, and powers off. A wrong result
# ends in a reboot, which the tool reports, never in a power-off. Words on the
# command line change that: "interactive" is a shell, "short" powers off at
# once, "ticking" counts for ever,
# "subject" is for control tools, which end it.

export PATH=/bin HOME=/ TERM=linux
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp

failed()
{
	echo "guest: FAILED: $*"
	reboot -f
}

if grep -qw interactive /proc/cmdline; then
	echo "guest: a shell of busybox; 'poweroff -f' or exit ends the guest"
	setsid cttyhack sh
	poweroff -f
fi

# For who only wants to see a kernel come up: how many CPUs it has.
if grep -qw short /proc/cmdline; then
	echo "guest: $(grep -c ^processor /proc/cpuinfo) CPUs"
	echo "guest: powering off"
	poweroff -f
fi

# For who stops the guest, moves it elsewhere, and wants to see it go on.
if grep -qw ticking /proc/cmdline; then
	count=0
	while :; do
		count=$((count + 1))
		echo "guest: tick $count"
		sleep 0.1
	done
fi

# For control tools: what they change is seen here.
if grep -qw subject /proc/cmdline; then
	subject || failed "the subject of the control tools"
	echo "guest: powering off"
	poweroff -f
fi

uname -a
cat /proc/cpuinfo

# 303 primes below 2000, by division in floating point.
primes=$(awk 'BEGIN { for (i = 2; i < 2000; i++) { p = 1; for (j = 2; j * j <= i; j++)
	if (i / j == int(i / j)) { p = 0; break }; n += p }; print n }')
[ "$primes" = 303 ] || failed "$primes primes below 2000, not 303"
echo "guest: CPU: $primes primes below 2000"

# 4 MiB of a known pattern, written, copied and read back.
tr '\0' V </dev/zero | head -c 4194304 >/tmp/a
cp /tmp/a /tmp/b
sum=$(md5sum </tmp/b)
[ "${sum%% *}" = "f88ffb573801cf71cf0c0e1cf3f8e4a7" ] || failed "the copy of 4 MiB has the sum $sum"
echo "guest: memory: 4 MiB written, copied and read back"
free

smp || failed "a CPU that reads through an old translation"

# By what the kernel keeps the time, and what time it is by that.
cat /sys/devices/system/clocksource/clocksource0/available_clocksource
echo "guest: clock: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "guest: seconds: $(date +%s)"

echo "guest: powering off"
poweroff -f
failed "no power-off"
