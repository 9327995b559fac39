#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# in-lab.sh GLOB: runs in the emulated machine, beside ops. Each device is
# measured twice, in both orders: KVM, Vitrine, Vitrine, KVM, five runs in all.
# Neither module is there while the other is measured. Lines "@pass DEVICE
# NUMBER" stand before what ops says, for bench-report.awk.

cd "$(dirname "$0")" || exit 125

# pass NUMBER DEVICE RUNS GLOB
pass()
{
	echo "@pass $2 $1"
	# What went before must not decide who gets large pages.
	sync
	echo 3 >/proc/sys/vm/drop_caches
	echo 1 >/proc/sys/vm/compact_memory
	VITRINE_DEV=/dev/$2 BENCH_GUEST=/root/guest ./ops -n "$3" "$4" || exit 1
}

rmmod vitrine || exit 125
modprobe kvm_intel || exit 125
pass 1 kvm 3 "$1"
modprobe -r kvm_intel || exit 125
# The bound on a stay in the guest is for the emulator's sake, and KVM has none.
insmod /lab/module.ko || exit 125
pass 2 vitrine 3 "$1"
rmmod vitrine || exit 125
insmod /lab/module.ko || exit 125
pass 3 vitrine 2 "$1"
rmmod vitrine || exit 125
modprobe kvm_intel || exit 125
pass 4 kvm 2 "$1"
