#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every way out of a running kernel, with guests inside VMX on every CPU: the
# next kernel must find no CPU in VMX operation (lab-kexec's faults on one), and
# this one must go without a complaint. LONG=1 adds the ways of which a reset
# is all that can be seen.

cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR source=machine.sh
. tests/host/machine.sh

cat >"$dir/in-lab.sh" <<'END_IN_LAB'
CROWD_SECONDS=1000 /root/crowd_test >/tmp/crowd 2>&1 &
for wait in 1 2 3 4 5 6 7 8 9 10; do
	grep -q '^# running' /tmp/crowd && break
	sleep 1
done
cat /tmp/crowd
grep -q '^# running' /tmp/crowd || exit 1
cpu1=/sys/devices/system/cpu/cpu1/online
for step in "$@"; do
	# A guest that stood still would have ended this already.
	grep -q '^not ok' /tmp/crowd && cat /tmp/crowd && exit 1
	case $step in
	offline) echo 0 >$cpu1 ;;
	online) echo 1 >$cpu1 && sleep 0.5 ;;
	sleep) echo mem >/sys/power/state ;;
	kexec) lab-kexec ;;
	crash) lab-kexec --crash ;;
	reboot) reboot -f ;;
	panic) echo c >/proc/sysrq-trigger ;;
	reset) echo b >/proc/sysrq-trigger ;;
	esac || exit 1
	echo "@ $step 0"
done
# The deed was the last step, and some of them come in their own time.
sleep 60
exit 1
END_IN_LAB

# down NAME OPTION[,OPTION...] COMPLAINT STEP...: the last step ends the machine;
# COMPLAINT is the one text that may be in its log
down()
{
	local name=$1 complaint=$3 options

	IFS=, read -r -a options <<<"$2"
	shift 3
	machine "${options[@]}" --file build/tests/crowd_test --file "$dir/in-lab.sh" -- sh /root/in-lab.sh "$@"
	result $? "$name with guests on every CPU"
	quiet "$name: without a complaint" "$complaint"
}

down 'kexec, after a CPU went and came and the machine slept' --expect-kexec '' offline online sleep kexec
down 'a panic into the crash kernel' --expect-kexec,--append,crashkernel=32M 'Call Trace' crash
if [ -n "${LONG:-}" ]; then
	down 'kexec while a CPU is off' --expect-kexec '' offline kexec
	down 'a crash while a CPU is off' --expect-kexec,--append,crashkernel=32M 'Call Trace' offline crash
	down 'reboot' --expect-reset '' reboot
	down 'reboot while a CPU is off' --expect-reset '' offline reboot
	down 'a panic' --expect-reset 'Call Trace' panic
	down 'an emergency restart' --expect-reset '' reset
fi
echo "1..$count"
