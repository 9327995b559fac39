#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh off|split|on CASE: Debian's QEMU, unmodified, with the interrupt controllers in userspace,
# half in the kernel, or in the kernel. CASE is a machine that boots the Debian kernel to its
# userspace (pc, smp with two CPUs, q35, microvm); firmware, which is real mode up to a boot sector;
# or monitor, where a guest is stopped, looked at, and moved from one QEMU to another.

. "$(dirname "$0")/qemu-common.sh"
set_irqchip "${1:-}"

# boots NAME CPUS ARGS: the Debian kernel to its userspace and back
boots()
{
	name=$1 cpus=$2
	shift 2
	start_qemu -serial stdio -kernel $guest/vmlinuz -initrd $guest/initramfs.cpio "$@"
	wait_for '^guest: userspace'
	result $? "$name: to userspace"
	echo "# $name: $(($(now) - started)) M ticks from QEMU's start to the guest's userspace"
	wait_for '^guest: powering off'
	end_qemu
	result $? "$name: the guest's power-off ends QEMU with 0"
	grep -q "^guest: $cpus CPUs" "$out"
	result $? "$name: $cpus CPUs"
}

# A boot sector that says so by the BIOS and ends QEMU: "out" of 16 to isa-debug-exit is status 33.
make_disk()
{
	printf '\276\027\174\254\204\300\164\006\264\016\315\020\353\365' >"$1"
	printf '\272\001\005\260\020\356\364\353\375' >>"$1"
	printf 'guest: boot sector, and on\0' >>"$1"
	truncate -s 1M "$1"
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc 2>/dev/null
}

# SeaBIOS all the way: the menu, a key, a disk by programmed I/O and interrupts, real mode.
boot_menu()
{
	make_disk "$work/disk"
	start_qemu -machine pc,graphics=off -vga std -serial stdio -boot menu=on \
		-drive "if=ide,format=raw,file=$work/disk" \
		-device isa-debug-exit,iobase=0x501,iosize=2
	wait_for 'Press ESC for boot menu'
	result $? "firmware: asks for a key"
	printf '\033' >&3
	wait_for '1. ata0-0: QEMU HARDDISK'
	result $? "firmware: shows its boot menu"
	printf 1 >&3
	wait_for 'guest: boot sector'
	result $? "firmware: boots what was chosen"
	end_qemu 10
	[ $? -eq 33 ]
	result $? "firmware: the boot sector ends QEMU"
}

# tell COMMAND: to QEMU's monitor
tell()
{
	echo "$1" >&3
}

# asked COMMAND PATTERN: is that in the answer? What was said before does not count.
asked()
{
	: >"$out"
	tell "$1"
	wait_for "$2"
}

guest_ticks()
{
	grep -c '^guest: tick' "$work/serial"
}

# stands_still: what the guest counts in a second of the machine
stands_still()
{
	before=$(guest_ticks)
	sleep 1
	[ "$(guest_ticks)" = "$before" ]
}

monitor()
{
	start_qemu -machine pc -monitor stdio -serial "file:$work/serial" \
		-kernel $guest/vmlinuz -initrd $guest/initramfs.cpio -append "$append ticking"
	wait_for '^guest: tick 3' "$work/serial"
	result $? "monitor: a guest that counts"
	tell stop
	asked 'info status' 'VM status: paused'
	result $? "monitor: stop"
	stands_still
	result $? "monitor: and the guest stands still"
	asked 'info registers' '^EFER=0000000000000d01'
	result $? "monitor: the registers are those of a kernel in 64-bit mode"
	grep -q '^CR0=8005003[3b]' "$out"
	result $? "monitor: CR0 too"
	tell cont
	asked 'info status' 'VM status: running'
	result $? "monitor: cont"
	! stands_still
	result $? "monitor: and the guest goes on"

	: >"$out"
	tell "migrate \"exec:cat >$work/state\""
	tries=0
	until grep -q 'Migration status: completed' "$out" || [ $tries -gt 100 ]; do
		tries=$((tries + 1))
		tell 'info migrate'
		sleep 0.3
	done
	asked 'info status' 'VM status: paused (postmigrate)'
	result $? "migration: out of a running guest"
	tell quit
	end_qemu 10
	result $? "monitor: quit ends QEMU with 0"
	before=$(sed -n 's/^guest: tick \([0-9]*\).*/\1/p' "$work/serial" | tail -n 1)

	start_qemu -machine pc -monitor stdio -serial "file:$work/serial" \
		-kernel $guest/vmlinuz -initrd $guest/initramfs.cpio -append "$append ticking" \
		-incoming "exec:cat $work/state"
	wait_for "^guest: tick $((before + 5))[^0-9]" "$work/serial"
	result $? "migration: the guest goes on where it was"
	! grep -q '^guest: userspace\|^guest: tick 1[^0-9]' "$work/serial"
	result $? "migration: and has not begun anew"
	tell quit
	end_qemu 10
	result $? "migration: quit ends QEMU with 0"
}

case ${2:-} in
pc) boots pc 1 -machine pc -append "$append short" ;;
smp) boots "pc, 2 CPUs" 2 -machine pc -smp 2 -append "$append short" ;;
q35) boots q35 1 -machine q35 -append "$append short" ;;
microvm) boots microvm 1 -machine microvm -append "$append short" ;;
firmware) boot_menu ;;
monitor) monitor ;;
*)
	echo "usage: $0 off|split|on pc|smp|q35|microvm|firmware|monitor" >&2
	exit 2
	;;
esac
echo "1..$count"
exit $failed
