#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The usual tests on a machine booted with mitigations=auto, whose CPU needs
# most of them, and what the module's parameters against side channels do: a
# defence that is turned off costs the VM, unless that is asked for as well.

cd "$(dirname "$0")/../.." || exit 1

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh

usual='io_test mmio_test mmu_test fpu_test msr_test lapic_test'
[ -z "$LONG" ] || usual="$usual memslot_test regs_test vcpu_state_test debugregs_test pit_test"

# What runs in the lab: a line "@ NAME STATUS" for each result.
cat >"$dir/in-lab.sh" <<'END'
cd /root/tests || exit 125
for test in *_test; do
	timeout -s KILL 60 "./$test" >"/tmp/$test" 2>&1 </dev/null
	status=$?
	grep -a '^not ok' "/tmp/$test"
	echo "@ $test $status"
done
vitrine info | grep module:

# mov dx, 0x3f8; out 'A'; out '\n'; hlt
printf '\272\370\003\260\101\356\260\012\356\364' >/tmp/guest
# with NAME PARAMETERS: reloads the module and runs that guest
with()
{
	name=$1
	shift
	rmmod vitrine
	insmod /lab/module.ko preemption_timer_us=1000 "$@"
	echo "@ $name.load $?"
	vitrine run --flat /tmp/guest >/tmp/run 2>&1 </dev/null
	echo "@ $name.run $?"
	grep -q '^A' /tmp/run
	echo "@ $name.output $?"
}
with always vmentry_l1d_flush=always
with never vmentry_l1d_flush=never
vitrine info | grep -q 'module: L1TF.*MISSING'
echo "@ never.info $?"
with allowed vmentry_l1d_flush=never allow_unmitigated=1
with pages nx_huge_pages=off
with unknown vmentry_l1d_flush=sometimes
END

# expect NAME STATUS TEXT: what the lab said of NAME; "!0" is any but 0
expect()
{
	got=$(sed -n "s/^@ $1 \([0-9]*\)\$/\1/p" "$out")
	case $2 in
	!0) [ -n "$got" ] && [ "$got" != 0 ] ;;
	*) [ "$got" = "$2" ] ;;
	esac
	result $? "$3"
}

# active NAME: the module says that it defends here
active()
{
	grep -q "module: $1.* active" "$out"
	result $? "$1 is active"
}

set --
for test in $usual; do
	set -- "$@" --file "build/tests/$test:/root/tests/$test"
done
scripts/lab/run --kernel "${LAB_KERNEL:-6.1}" --mitigations auto --cpus 2 --memory 1024 --timeout 600 \
	"$@" --file "$dir/in-lab.sh:/root/in-lab.sh" -- sh /root/in-lab.sh >"$out" 2>&1 </dev/null
result $? "a machine with mitigations=auto"
for test in $usual; do
	expect "$test" 0 "$test with mitigations=auto"
done
active "ITLB multihit"
active "L1TF"
active "MDS"
active "RSB"
expect always.output 0 "vmentry_l1d_flush=always: a guest runs"
expect never.load 0 "vmentry_l1d_flush=never: the module loads"
expect never.run '!0' "and creates no VM"
expect never.info 0 "and says what is missing"
expect allowed.output 0 "but does with allow_unmitigated=1"
expect pages.run '!0' "nx_huge_pages=off: no VM is created"
expect unknown.load '!0' "vmentry_l1d_flush=sometimes: the module does not load"
echo "1..$count"
