#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# gdb.sh off|split|on: Debian's gdb on the gdbstub of Debian's QEMU. Breakpoints of both kinds, a
# watchpoint, single steps and an interrupt, in the Debian kernel.

. "$(dirname "$0")/qemu-common.sh"
set_irqchip "${1:-}"

# The machine runs the same kernel, and neither of them is moved about.
symbol()
{
	awk -v name="$1" '$3 == name { print "0x" $1; exit }' /proc/kallsyms
}

first=$(symbol rest_init)
second=$(symbol kernel_init)
jiffies=$(symbol jiffies_64)
log=$work/gdb

start_qemu -machine pc -S -gdb "unix:$work/socket,server=on,wait=off" -serial stdio \
	-kernel $guest/vmlinuz -initrd $guest/initramfs.cpio -append "$append ticking"
tries=0
until [ -S "$work/socket" ] || [ $tries -gt 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done

# What each step has to show is printed in words of its own, to be looked for below.
cat >"$work/script" <<SCRIPT
set pagination off
set confirm off
set architecture i386:x86-64
set tcp connect-timeout 30
set remotetimeout 30
target remote $work/socket
printf "at: reset vector %lx\n", \$rip
hbreak *$first
continue
printf "at: first %lx\n", \$rip
delete
break *$second
continue
printf "at: second %lx\n", \$rip
delete
stepi
printf "at: step one %lx\n", \$rip
stepi
stepi
printf "at: step three %lx\n", \$rip
info registers
watch *(unsigned long *)$jiffies
continue
printf "at: watchpoint\n"
delete
shell (sleep 8; kill -INT \$(cat $work/gdb.pid)) &
continue
printf "at: interrupted\n"
detach
quit
SCRIPT
gdb -nx -batch -x "$work/script" >"$log" 2>&1 3>&- &
gdb_pid=$!
echo $gdb_pid >"$work/gdb.pid"
wait_for 'at: interrupted' "$log"
wait_for '^guest: tick'
ticking=$?
kill $gdb_pid 2>/dev/null

said()
{
	grep -q "$1" "$log"
	result $? "$2"
}

hex()
{
	echo "$1" | sed 's/^0x0*//'
}

# What gdb said is what one wants to see.
cat "$log" >>"$out"
said 'at: reset vector fff0' "gdb: the CPU stands at its reset vector"
said "at: first $(hex "$first")" "gdb: a hardware breakpoint"
said "at: second $(hex "$second")" "gdb: a software breakpoint"
grep -q 'at: step one' "$log" && ! grep -q "at: step one $(hex "$second")" "$log"
result $? "gdb: a step"
step=$(sed -n 's/^at: step one //p' "$log")
grep -q 'at: step three' "$log" && ! grep -q "at: step three $step" "$log"
result $? "gdb: two more steps"
said '^rflags\|^eflags' "gdb: registers"
said 'Hardware watchpoint .*\|^Old value = ' "gdb: a watchpoint"
said '^New value = ' "gdb: and what changed"
said 'SIGINT' "gdb: an interrupt"
said 'at: interrupted' "gdb: stops the guest"
result $ticking "gdb: after detach the guest goes on"
kill "$qemu_pid"
end_qemu 10
result $? "gdb: SIGTERM ends QEMU with 0"
echo "1..$count"
exit $failed
