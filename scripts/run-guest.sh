#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# run-guest.sh SERIES: "make run". The lab's own kernel, as Debian packages
# it, once more as a guest of Vitrine in the lab. On a terminal the guest's
# shell is the user's; without one the guest runs its commands and ends. With
# LAB=native the same on this machine, whose module must be loaded.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

series=${1:-6.1}
vmlinuz=$CACHE/kernel/$series-cloud/vmlinuz
lab=(--kernel "$series" --cpus 2 --memory 1024 --timeout 900
	--file "$vmlinuz:/root/vmlinuz" --file build/guest/initramfs.cpio:/root/initramfs.cpio)
# What an emulated machine need not wait for: a third of the ticks to userspace.
append="quiet mitigations=off nokaslr no_timer_check cryptomgr.notests"
guest=(vitrine run --kernel /root/vmlinuz --initrd /root/initramfs.cpio --memory 256M --stats)

if [ "${LAB:-}" = native ]; then
	device=${VITRINE_DEV:-/dev/vitrine}
	[ -c "$device" ] ||
		die "LAB=native: there is no $device: read 'On real hardware' in the README, then 'sudo make install' and 'sudo modprobe vitrine'"
	if [ ! -r "$device" ] || [ ! -w "$device" ]; then
		die "LAB=native: $device is not yours to open: 'sudo adduser $(id -un) vitrine', and log in anew"
	fi
	guest=(build/tools/vitrine run --kernel "$vmlinuz" --initrd build/guest/initramfs.cpio --memory 256M --stats)
	say "boots $(<"$CACHE/kernel/$series-cloud/release") as a guest of Vitrine on this machine (5 s)"
	if [ -t 0 ] && [ -t 1 ]; then
		exec "${guest[@]}" --append "quiet interactive"
	fi
	exec "${guest[@]}" --append quiet </dev/null
fi

say "boots the emulated machine (20 s), in it $(<"$CACHE/kernel/$series-cloud/release") as a guest of Vitrine (30 s)"
if [ -t 0 ] && [ -t 1 ]; then
	exec scripts/lab/run "${lab[@]}" --interactive -- "${guest[@]}" --append "$append interactive"
fi
exec scripts/lab/run "${lab[@]}" -- "${guest[@]}" --append "$append" </dev/null
