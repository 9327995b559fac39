#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# compat-probe.sh OBJTREE [SRCTREE] >compat_probe.h
#
# Asks a kernel's headers and its Module.symvers what they have, for
# kmod/compat.h. Kbuild runs it with its two trees; by hand the first is a
# KDIR. Symbols and structs change within a stable series and between
# flavours, so a version number is never asked.
#
# To add a question, add a line at the end of this file:
#   symbol NAME FUNCTION            vmlinux exports FUNCTION to every module
#   header NAME FILE REGEX          a line of FILE matches (extended regex)
#   member NAME FILE STRUCT REGEX   a line within "struct STRUCT {" matches
# FILE is below the source tree, or else below the object tree. An answer of
# yes becomes "#define HAVE_NAME 1", and a no a comment that says so.
set -eu

obj=${1:?usage: compat-probe.sh OBJTREE [SRCTREE]}
src=${2:-}
if [ -z "$src" ]; then
	# As distributions lay it out: a Makefile that includes the real one.
	src=$(sed -n 's/^include \(.*\)\/Makefile$/\1/p' "$obj/Makefile")
	[ -n "$src" ] || src=$obj
fi
for file in "$obj/Module.symvers" "$src/include/linux/module.h"; do
	[ -r "$file" ] || {
		echo "compat-probe: $file is missing: no complete kernel headers" >&2
		exit 1
	}
done

answer()
{
	if [ "$2" = yes ]; then
		echo "#define HAVE_$1 1"
	else
		echo "/* no $1 */"
	fi
}

# A symbol in a namespace that begins with "module:" is for the modules it
# names; in any other namespace it would need an import.
symbol()
{
	answer "$1" "$(awk -F '\t' -v name="$2" \
		'$2 == name && $3 == "vmlinux" && $5 == "" { found = 1 }
		END { print found ? "yes" : "no" }' "$obj/Module.symvers")"
}

path()
{
	if [ -r "$src/$1" ]; then
		echo "$src/$1"
	else
		echo "$obj/$1"
	fi
}

header()
{
	if grep -qE -- "$3" "$(path "$2")" 2>/dev/null; then
		answer "$1" yes
	else
		answer "$1" no
	fi
}

member()
{
	if sed -n "/^struct $3 {/,/^}/p" "$(path "$2")" 2>/dev/null | grep -qE -- "$4"; then
		answer "$1" yes
	else
		answer "$1" no
	fi
}

echo '/* SPDX-License-Identifier: GPL-2.0 */'
echo '/* Made by scripts/compat-probe.sh. */'

symbol CR4_UPDATE_IRQSOFF cr4_update_irqsoff
symbol CR4_READ_SHADOW cr4_read_shadow
symbol ASM_EXC_NMI_NOIST asm_exc_nmi_noist
symbol ASM_EXC_NMI_KVM_VMX asm_exc_nmi_kvm_vmx
symbol DO_MACHINE_CHECK do_machine_check
symbol CPU_EMERGENCY_REGISTER_VIRT_CALLBACK cpu_emergency_register_virt_callback
symbol CRASH_VMCLEAR crash_vmclear_loaded_vmcss
symbol FOLLOW_PFNMAP_START follow_pfnmap_start
symbol FOLLOW_PTE follow_pte
symbol REGISTER_SYSCORE register_syscore
symbol CPU_BUF_VM_CLEAR cpu_buf_vm_clear
symbol X86_IBPB_EXIT_TO_USER x86_ibpb_exit_to_user
symbol HRTIMER_SETUP hrtimer_setup
member MMU_NOTIFIER_INVALIDATE_RANGE include/linux/mmu_notifier.h mmu_notifier_ops '\(\*invalidate_range\)'
member MMU_NOTIFIER_CHANGE_PTE include/linux/mmu_notifier.h mmu_notifier_ops '\(\*change_pte\)'
header CLEAR_BRANCH_HISTORY_VMEXIT arch/x86/include/asm/nospec-branch.h 'macro CLEAR_BRANCH_HISTORY_VMEXIT'
header BUG_VMSCAPE arch/x86/include/asm/cpufeatures.h 'X86_FEATURE_IBPB_EXIT_TO_USER'
symbol SHRINKER_ALLOC shrinker_alloc
header FOLL_INTERRUPTIBLE include/linux/mm_types.h '^\s*FOLL_INTERRUPTIBLE\b'
header GUP_REMOTE_VMAS include/linux/mm.h 'struct vm_area_struct \*\*vmas, int \*locked\);'
header FOLL_HONOR_NUMA_FAULT include/linux/mm_types.h '^\s*FOLL_HONOR_NUMA_FAULT\b'
header RCU_VIRT_NOTE_CPU include/linux/rcutree.h 'rcu_virt_note_context_switch\(int cpu\)'
header HYPERCALL_LONG_MODE_FLAG arch/x86/include/uapi/asm/kvm.h 'KVM_EXIT_HYPERCALL_LONG_MODE\b'
header IMMEDIATE_EXIT_UNSAFE include/uapi/linux/kvm.h 'HINT_UNSAFE_IN_KVM\(immediate_exit\)'
header EVENTFD_SIGNAL_COUNT include/linux/eventfd.h 'eventfd_signal\(struct eventfd_ctx \*ctx, __u64 n\)'
header SECURITY_CURRENT_GETSECID include/linux/security.h 'void security_current_getsecid_subj\(u32 '
header SECURITY_CURRENT_GETLSMPROP include/linux/security.h 'void security_current_getlsmprop_subj\(struct lsm_prop '
header GENL_INFO_DUMP include/net/genetlink.h '^genl_info_dump\(struct netlink_callback'
