#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the control tools are for, on one Debian guest that knows nothing of it, nor does its VMM:
# every MSR write of its boot, another CPU's name, a slow clock, system calls counted by process,
# an input that is none. The guest runs tests/guest/subject.c.

tmp=$(mktemp -d)
out=$tmp/out
here=$(dirname "$0")
guest=/root/guest
# System calls change CR3 only where the kernel keeps its tables from its programs (pti, which newer
# kernels leave out with mitigations=off). A timer by the deadline of a clock that goes slow would
# fire without end.
append="quiet pti=on nospectre_v1 nospectre_v2 retbleed=off mds=off mmio_stale_data=off"
append="$append lapic=notscdeadline nokaslr no_timer_check cryptomgr.notests"
# shellcheck source=tests/lib/tap.sh
. "$here/lib/tap.sh"

# wait_for PATTERN [COUNT]: until the guest has said it so often
wait_for()
{
	tries=0
	until [ "$(grep -c "$1" "$tmp/guest")" -ge "${2:-1}" ]; do
		tries=$((tries + 1))
		[ $tries -le 300 ] && kill -0 "$vmm" || return 1
		sleep 0.1
	done
}

# rounds N: so many more of the subject's
rounds()
{
	wait_for '^subject: round' $(($(grep -c '^subject: round' "$tmp/guest") + $1))
}

# comes TEST ARGS: holds within ten rounds, as a tool takes its time to be there
comes()
{
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rounds 1 || return 1
		! "$@" || return 0
	done
	return 1
}

# latest PATTERN: what the subject said last
latest()
{
	grep "^subject: .*$1" "$tmp/guest" | tail -n 1 | tr -d '\r'
}

vendor_is()
{
	[ "$(latest vendor)" = "subject: vendor $1" ]
}

# ticks_between LEAST MOST
ticks_between()
{
	ticks=$(latest ticks | cut -d ' ' -f 2)
	[ "$ticks" -ge "$1" ] && [ "$ticks" -le "$2" ]
}

# How often each process has made getppid and getuid, 0x6e and 0x66. RAX of the trace's records is
# the number, and bit 12 of CR3 is set for the kernel's programs. A process ends by exit_group,
# 0xe7: the next one may be given the same tables.
count_calls()
{
	# shellcheck disable=SC2020 # characters are meant
	grep -E '"rax":"0x(6[6e]|e7)"' "$out" | tr '{,' '\n\n' | grep '^"cr3"\|^"rax"' |
		tr -d '"' | awk -F : '
			$1 == "cr3" { cr3 = $2 }
			$1 == "rax" && cr3 ~ /[13579bdf]...$/ {
				if ($2 != "0xe7")
					made["CR3 " cr3 ", process " lives[cr3] + 1 ": call " $2]++
				else
					lives[cr3]++
			}
			END { for (what in made) print what ", " made[what] " times" }' >"$tmp/calls"
	sed 's/^/# /' "$tmp/calls"
}

begin_tool()
{
	"$@" >"$out" 2>&1 </dev/null &
	tool=$!
}

end_tool()
{
	kill -TERM $tool
	wait $tool
}

echo "1..15"

vitrine run --paused --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio --memory 192M \
	--append "$append subject" --no-stats >"$tmp/guest" 2>&1 </dev/null &
vmm=$!
until vm=$(vitrine list | awk 'END { print $1 }') && [ "$vm" -gt 0 ] 2>/dev/null; do
	sleep 0.1
done

# From the first instruction on.
begin_tool vitrine trace "$vm" --rule wrmsr --no-insn --records 16384
sleep 0.3
vitrine resume "$vm"
wait_for '^subject: round 1'
result $? "a guest that was made paused boots to its programs"
vitrine pause "$vm"
exits=$(vitrine stat "$vm" --total --json | sed -n 's/.*"MSR_WRITE":{"count":\([0-9]*\).*/\1/p')
end_tool
result $? "a trace of its MSR writes"
vitrine resume "$vm"
lines=$(grep -c ' MSR_WRITE .* msr 0x' "$out")
echo "# $lines MSR writes of a booting kernel, $exits exits"
[ "$lines" -gt 100 ] && [ "$lines" = "$exits" ]
result $? "lists each one: $lines"
# Where system calls enter, as the kernel has set it.
entry=$(sed -n 's/.* msr 0xc0000082 value 0x\(f[0-9a-f]*\)$/\1/p' "$out" | tail -n 1)
[ ${#entry} = 16 ] && said ' msr 0xc0000080 value 0x[0-9a-f]*01$' "EFER and LSTAR ($entry) among them"

comes vendor_is GenuineIntel
result $? "the vendor as it is"
begin_tool vitrine ask "$vm" cpuid:0 --answer \
	rax=0xd,rbx=0x72746956,rdx=0x47656e69,rcx=0x7373616c
comes vendor_is VitrineGlass
result $? "the vendor as the tool says"
end_tool
comes vendor_is GenuineIntel
result $? "and as it was, without the tool"

usual=$(latest ticks | cut -d ' ' -f 2)
begin_tool vitrine ask "$vm" rdtsc --answer slow=4 --quiet
comes ticks_between $((usual / 6)) $((usual / 2))
result $? "a clock that the tool answers for goes slow"
echo "# a loop of $usual ticks took $ticks by the slow clock"
end_tool
result $? "until the tool ends"
comes ticks_between $((usual * 3 / 4)) $((usual * 2))
result $? "and then as it did"

# The first thing that a system call does is to change to the kernel's tables. The guest is quicker
# than the tool's printing, so that the ring keeps its first records.
vitrine trace "$vm" --rule cr-write:3 --rip "0x${entry%??}00-0x${entry%??}ff" --json \
	--no-insn --records 16384 --stop --count 1600 >"$out" 2>&1 </dev/null
result $? "a trace of system calls"
count_calls
grep -q ': call 0x6e, 300 times$' "$tmp/calls"
result $? "has a process that makes 300 calls of getppid"
grep -q ': call 0x66, 200 times$' "$tmp/calls"
result $? "and another that makes 200 of getuid"

[ "$(latest port)" = 'subject: port 0xff' ]
result $? "a port with nothing behind it"
vitrine ask "$vm" in:0x510 --answer rax=0x42 --count 1 >"$out" 2>&1 </dev/null
wait $vmm
vmm=$?
[ $vmm = 0 ] && grep -q '^subject: port 0x42' "$tmp/guest"
result $? "reads as the tool says, which ends the guest (exit code $vmm)"
rm -rf "$tmp"
