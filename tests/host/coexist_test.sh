#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One CPU, one user of VMX: beside kvm_intel, whichever was first, the later is
# refused and told why, and nobody's guests notice. With LONG=1 also a CPU
# without VMX, one whose VMX is too old, and one whose firmware locks it off.

cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR source=machine.sh
. tests/host/machine.sh

# What runs in the lab: a line "@ NAME STATUS" for each result.
cat >"$dir/in-lab.sh" <<'END_IN_LAB'
# is NAME COMMAND
is()
{
	name=$1
	shift
	"$@" >/tmp/this 2>&1 </dev/null
	echo "@ $name $?"
	mv /tmp/this /tmp/out
	sed 's/^/# /' /tmp/out
}

# log TEXT: the kernel said that since the last time that it was asked to forget
log()
{
	dmesg | grep -q -- "$1"
}

# mov dx, 0x3f8; out 'A'; out '\n'; hlt
printf '\272\370\003\260\101\356\260\012\356\364' >/tmp/guest
vm='vitrine run --flat /tmp/guest'

is kvm.loads modprobe kvm_intel
dmesg -c >/tmp/boot
is ours.beside_kvm $vm
is ours.says_busy grep -q 'Device or resource busy' /tmp/out
is ours.says_who log 'vitrine: .*kvm_intel'
is ours.says_how log 'modprobe -r kvm_intel'
is kvm.leaves modprobe -r kvm_intel
is ours.after_kvm $vm

# The other way round: it is found though it was there first.
rmmod vitrine
is kvm.loads_first modprobe kvm_intel
is ours.loads_second insmod /lab/module.ko preemption_timer_us=1000
is ours.second $vm
is kvm.leaves_first modprobe -r kvm_intel
is ours.alone $vm

CROWD_SECONDS=1000 /root/crowd_test >/tmp/crowd 2>&1 &
crowd=$!
for wait in 1 2 3 4 5 6 7 8 9 10; do
	grep -q '^# running' /tmp/crowd && break
	sleep 1
done
is ours.running grep '^# running' /tmp/crowd
dmesg -c >/tmp/boot
is kvm.beside_ours modprobe kvm_intel
is kvm.reason log 'vitrine: kvm_intel is kept out'
is kvm.not_there sh -c '! grep -q ^kvm_intel /proc/modules'
sleep 1
is ours.goes_on kill -0 $crowd
is ours.no_error sh -c '! grep -q "^not ok" /tmp/crowd'
# The case is a child of the test: it goes when its guests are told to.
killall -KILL crowd_test
sleep 1
is kvm.after_ours modprobe kvm_intel
is kvm.runs_guests env VITRINE_DEV=/dev/kvm CROWD_SECONDS=1 /root/crowd_test
is kvm.leaves_last modprobe -r kvm_intel
is ours.last env CROWD_SECONDS=1 /root/crowd_test
END_IN_LAB

machine --with-kvm --file build/tests/crowd_test --file "$dir/in-lab.sh" -- sh /root/in-lab.sh
result $? "a machine with both modules"
expect kvm.loads 0 "kvm_intel loads beside our module while no VM lives"
expect ours.beside_kvm '!0' "then a VM of ours is refused"
expect ours.says_busy 0 "with EBUSY"
expect ours.says_who 0 "the log names kvm_intel"
expect ours.says_how 0 "and what to run"
expect kvm.leaves 0 "kvm_intel leaves"
expect ours.after_kvm 0 "then our guest runs"
expect ours.loads_second 0 "our module loads while kvm_intel is there"
expect ours.second '!0' "and finds it: a VM is refused"
expect ours.alone 0 "until it has gone"
expect ours.running 0 "our guests run on every CPU"
expect kvm.beside_ours '!0' "kvm_intel does not load while our guests run"
expect kvm.reason 0 "and the log says why"
expect kvm.not_there 0 "nothing of it stays"
expect ours.goes_on 0 "our guests go on"
expect ours.no_error 0 "without an error"
expect kvm.after_ours 0 "kvm_intel loads when they have ended"
expect kvm.runs_guests 0 "and runs guests"
expect kvm.leaves_last 0 "and leaves again"
expect ours.last 0 "and ours run again"
quiet "neither makes the kernel complain"

# refused OPTION,VALUE WORDS NAME: the module does not load there, and says so
refused()
{
	local options

	IFS=, read -r -a options <<<"$1"
	machine --no-module "${options[@]}" --cpus 1 --memory 512 --file "$dir/vitrine.ko" -- \
		sh -c 'insmod /root/vitrine.ko; echo "@ insmod $?"; dmesg | grep vitrine: '
	expect insmod '!0' "$3: the module does not load"
	grep -q "$2" "$out"
	result $? "$3: the log says why"
	quiet "$3: and nothing else happens"
}

if [ -n "${LONG:-}" ]; then
	release=$(cat "${VITRINE_CACHE:-$HOME/.cache/vitrine}/kernel/${LAB_KERNEL:-6.1}-cloud/release")
	objcopy --strip-debug "build/module/$release/vitrine.ko" "$dir/vitrine.ko"
	refused --model,p4_prescott_celeron_336 'no VMX: CPUID' "a CPU without VMX"
	grep -q 'No such device' "$out"
	result $? "a CPU without VMX: ENODEV"
	refused --model,core2_penryn_t9600 'this CPU lacks the VMX control "Enable EPT"' "a CPU without EPT"
	refused --lock-vmx 'disabled and locked by the firmware' "VMX locked off by the firmware"
	grep -q 'Operation not permitted' "$out"
	result $? "VMX locked off by the firmware: EPERM"
fi
echo "1..$count"
