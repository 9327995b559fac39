#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The Debian kernel as a guest of two CPUs, to its userspace and back: its own programs
# check the CPUs and the memory (tests/guest/init.sh), "vitrine run" must end
# as the guest did, and refuse what is no kernel in words.

guest=/root/guest
out=/tmp/guest.out
# What an emulated machine need not wait for: a third of the ticks to userspace.
append="quiet mitigations=off nokaslr no_timer_check cryptomgr.notests"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

echo "1..14"

before=$(date +%s)
vitrine run --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio --memory 256M --cpus 2 --stats \
	--append "$append" >$out 2>&1 </dev/null
result $? "a power-off ends vitrine run with 0"
said '^guest: userspace' "reaches userspace"
said '^guest: CPU: 303 primes' "computes in floating point"
said '^guest: memory: 4 MiB' "writes and reads back its memory"
said '^guest: SMP: 2 CPUs, 300 remappings, 0 not seen' "runs on both CPUs, and they drop translations"
said "^Linux .*$(uname -r)" "is the kernel it was given"

said '^[^#]*kvm-clock' "finds kvm-clock"
said '^guest: clock: \(kvm-clock\|tsc\)' "keeps the time by kvm-clock or the TSC"
# Without a clock chip: the time of day is kvmclock's.
seconds=$(sed -n 's/^guest: seconds: \([0-9]*\).*/\1/p' $out)
[ "${seconds:-0}" -ge "$before" ] && [ "$seconds" -le "$(date +%s)" ]
result $? "has the host's time of day"

# What comes out of a guest that fails must not look like success.
! vitrine run --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio --memory 256M \
	--append "panic=-1 rdinit=/no/such/program" >$out 2>&1 </dev/null
result $? "a guest that panics is no success"
said 'Kernel panic' "and panicked it has"

head -c 4000000 $guest/vmlinuz >/tmp/short
! vitrine run --kernel /tmp/short >$out 2>&1 </dev/null
result $? "a truncated kernel is refused"
said 'truncated\|short\|beyond' "and the message says that it is truncated"

! vitrine run --kernel $guest/initramfs.cpio >$out 2>&1 </dev/null
result $? "an initramfs is no kernel"
