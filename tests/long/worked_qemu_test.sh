#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The control tools beside Debian's QEMU, which knows nothing of them: the Debian guest that it runs
# sees another CPU's name for as long as a tool says so, QEMU can be stopped and left while an event
# waits, and an input that is none ends the guest. The guest runs tests/guest/subject.c.
#
# lab: --cpus 2 --memory 1536
# qemu: yes

# shellcheck source=tests/peers/qemu-common.sh
. /root/peers/bin/qemu-common.sh
set_irqchip on
ln -sf /dev/vitrine /dev/kvm

# rounds N: so many more of the subject's
rounds()
{
	wait_for "^subject: round $(($(grep -c '^subject: round' "$work/serial") + $1))[^0-9]" \
		"$work/serial"
}

# latest PATTERN: what the subject said last
latest()
{
	grep "^subject: .*$1" "$work/serial" | tail -n 1 | tr -d '\r'
}

begin_qemu()
{
	rm -f "$work/serial"
	start_qemu -machine pc -monitor stdio -serial "file:$work/serial" \
		-kernel $guest/vmlinuz -initrd $guest/initramfs.cpio -append "$append subject"
	wait_for '^subject: round 1' "$work/serial"
	result $? "a guest of QEMU's"
	vm=$(vitrine list | awk 'END { print $1 }')
}

begin_tool()
{
	vitrine ask "$vm" "$@" >"$work/tool" 2>&1 </dev/null &
	tool=$!
}

end_tool()
{
	kill -TERM $tool
	wait $tool
}

begin_qemu
[ "$(latest vendor)" = 'subject: vendor GenuineIntel' ]
result $? "the vendor as it is"
begin_tool cpuid:0 --answer rbx=0x72746956,rdx=0x47656e69,rcx=0x7373616c
rounds 2
[ "$(latest vendor)" = 'subject: vendor VitrineGlass' ]
result $? "the vendor as the tool says"
end_tool
result $? "the tool ends"
rounds 2
[ "$(latest vendor)" = 'subject: vendor GenuineIntel' ]
result $? "the vendor as it was"

# A script that never answers: the vCPU waits in its KVM_RUN, QEMU's main loop does not.
begin_tool cpuid:0 --script 'sleep 1000'
sleep 2
before=$(grep -c '^subject' "$work/serial")
echo stop >&3
: >"$out"
echo 'info status' >&3
wait_for 'VM status: paused'
result $? "QEMU stops the guest while an event waits"
echo cont >&3
sleep 1
[ "$(grep -c '^subject' "$work/serial")" = "$before" ]
result $? "which goes on waiting"
kill -KILL $tool
wait $tool 2>/dev/null
rounds 1
result $? "until the tool is killed"

begin_tool cpuid:0 --script 'sleep 1000'
sleep 2
echo quit >&3
end_qemu 10
result $? "QEMU quits while an event waits"
wait $tool
grep -q 'is gone' "$work/tool"
result $? "and the tool is told"

begin_qemu
vitrine ask "$vm" in:0x510 --answer rax=0x42 --count 1 >"$work/tool" 2>&1 </dev/null
end_qemu
result $? "an input from the tool ends the guest and QEMU"
grep -q '^subject: port 0x42' "$work/serial"
result $? "it is what the guest read"
echo "1..$count"
exit $failed
