#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/compat-probe.sh on trees made up here: what a kernel does not export
# to us must not be taken for had, whatever else its Module.symvers holds.

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
probe=$(dirname "$0")/../../scripts/compat-probe.sh
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

has()
{
	grep -q "^#define HAVE_$1 1\$" "$dir/out"
}

echo 1..8
mkdir -p "$dir/src/include/linux" "$dir/obj"
: >"$dir/src/include/linux/module.h"
cat >"$dir/src/include/linux/mmu_notifier.h" <<'HEADER'
struct other_ops {
	void (*change_pte)(void);
};
struct mmu_notifier_ops {
	void (*invalidate_range)(void);
};
HEADER
{
	printf '0x1\tcr4_read_shadow\tvmlinux\tEXPORT_SYMBOL_GPL\t\n'
	printf '0x2\tcr4_update_irqsoff\tvmlinux\tEXPORT_SYMBOL_GPL\tmodule:kvm,kvm-intel\n'
	printf '0x3\tdo_machine_check\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\t\n'
	printf '0x4\tfollow_pte_other\tvmlinux\tEXPORT_SYMBOL\t\n'
} >"$dir/obj/Module.symvers"

sh "$probe" "$dir/obj" "$dir/src" >"$dir/out" 2>&1
result $? "a tree is probed"
has CR4_READ_SHADOW
result $? "an exported symbol is had"
! has CR4_UPDATE_IRQSOFF
result $? "a symbol for KVM alone is not"
! has DO_MACHINE_CHECK
result $? "nor one of another module"
! has FOLLOW_PTE
result $? "nor one whose name only begins like it"
has MMU_NOTIFIER_INVALIDATE_RANGE
result $? "a struct's member is had"
! has MMU_NOTIFIER_CHANGE_PTE
result $? "another struct's is not"
rm "$dir/obj/Module.symvers"
! sh "$probe" "$dir/obj" "$dir/src" >"$dir/out" 2>&1
result $? "headers without Module.symvers are refused"
