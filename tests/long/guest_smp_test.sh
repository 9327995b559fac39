#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The Debian kernel as a guest with four CPUs, twice as many as the machine has: in x2APIC mode, and
# with its logical interrupts of xAPIC mode.

guest=/root/guest
out=/tmp/guest_smp.out
append="quiet mitigations=off nokaslr no_timer_check cryptomgr.notests"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

echo "1..4"
for mode in "" nox2apic; do
	vitrine run --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio --memory 256M \
		--cpus 4 --append "$append $mode" >$out 2>&1 </dev/null
	result $? "a power-off ends it with 0${mode:+, $mode}"
	grep -q '^guest: SMP: 4 CPUs, 300 remappings, 0 not seen' "$out"
	result $? "runs on all four, and they drop translations${mode:+, $mode}"
done
