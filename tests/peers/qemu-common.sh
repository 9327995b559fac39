# shellcheck shell=sh disable=SC2034 # used where it is sourced
# SPDX-License-Identifier: GPL-2.0
#
# What qemu.sh and gdb.sh share: TAP, QEMU's command line, and waiting for what a guest or QEMU
# says. Sourced in the emulated machine, where /root/guest holds the guest's kernel and initramfs
# and /dev/kvm is KVM's device or a link to ours.

guest=/root/guest
work=$(mktemp -d)
out=$work/out
count=0
failed=0
qemu_pid=
# What an emulated machine need not wait for: a third of the ticks to userspace. It is too slow for a
# guest, moreover, to measure its clock by the PIT, which is all that microvm has.
append="console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check cryptomgr.notests \
tsc_early_khz=100000"
patience=${PEERS_PATIENCE:-40}

cleanup()
{
	[ -z "$qemu_pid" ] || kill -KILL "$qemu_pid" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

# result STATUS NAME: with what was said, if it failed.
result()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		failed=1
		tail -n 40 "$out" | tr -d '\r\033' | sed 's/^/# /'
		echo "not ok $count - $2"
	fi
}

# Hundredths of a second since the machine was started: a million ticks each.
now()
{
	awk '{ print int($1 * 100 + 0.5) }' /proc/uptime
}

# wait_for PATTERN [FILE]: until it was said, but not for ever and not from the dead.
wait_for()
{
	end=$(($(now) + patience * 100))
	until grep -q -- "$1" "${2:-$out}" 2>/dev/null; do
		[ "$(now)" -lt $end ] || return 1
		if ! kill -0 "$qemu_pid" 2>/dev/null; then
			grep -q -- "$1" "${2:-$out}"
			return
		fi
		sleep 0.05
	done
}

# start_qemu ARGS: in the background; what it says goes to $out, what it is told comes from fd 3.
start_qemu()
{
	rm -f "$work/in"
	mkfifo "$work/in"
	: >"$out"
	started=$(now)
	qemu-system-x86_64 -accel "kvm,kernel-irqchip=$irqchip" -cpu "$cpu" -m 192 \
		-nodefaults -display none -no-reboot "$@" <"$work/in" >>"$out" 2>&1 &
	qemu_pid=$!
	exec 3>"$work/in"
}

# Its exit status, after at most so many seconds of the emulated machine.
end_qemu()
{
	end=$(($(now) + ${1:-$patience} * 100))
	while kill -0 "$qemu_pid" 2>/dev/null && [ "$(now)" -lt $end ]; do
		sleep 0.05
	done
	kill -KILL "$qemu_pid" 2>/dev/null
	wait "$qemu_pid" 2>/dev/null
	status=$?
	qemu_pid=
	exec 3>&-
	return $status
}

# Without an APIC in the kernel it cannot set up page faults that come as interrupts, and on KVM
# QEMU does not find out by itself.
set_irqchip()
{
	irqchip=$1
	case $irqchip in
	off) cpu=host,kvm-asyncpf-int=off ;;
	split | on) cpu=host ;;
	*)
		echo "usage: $0 off|split|on" >&2
		exit 2
		;;
	esac
}
