/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMX instructions. Each has an exception-table fixup: another CPU's reboot or crash path may turn
 * VMX off under a running vCPU, and then the instruction raises #UD. The fixup leads to
 * vmx_insn_failed(), which tells that case (end quietly) from a bug (warn). Callers see to it that
 * the VM is dead then; of VMREAD and VMWRITE, which are everywhere, vmx_vmcs_access_failed() does.
 */
#ifndef VMX_INSN_H
#define VMX_INSN_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/linkage.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

/* One line in the log, for -EIO. Out of line: never on a path that works. */
int vmx_insn_failed(const char *insn, u64 operand, bool faulted);
/* Likewise, and the VM whose VMCS is current here is dead. */
int vmx_vmcs_access_failed(const char *insn, u64 field, bool faulted);
asmlinkage void vmx_vmread_tell(unsigned long field);	/* of vmx_vmread_failed() */

/* For asm goto with the labels "failed" (VMfail) and "faulted". */
#define VMX_INSN(insn) \
	"1: " insn "\n\t" \
	"jbe %l[failed]\n\t" \
	_ASM_EXTABLE(1b, (%l[faulted]))

/* INVEPT and INVVPID descriptors. */
struct vmx_invept_desc {
	u64 eptp;
	u64 reserved;
};

struct vmx_invvpid_desc {
	u64 vpid;
	u64 gva;
};

/*
 * Not by asm goto: with outputs that is miscompiled by the GCC that these kernels are built with
 * (its bug 113921). What has failed is told by a call that preserves all registers (enter_asm.S),
 * with the field on the stack; the value is then 0.
 */
static __always_inline u64 vmcs_read(unsigned long field)
{
	u64 value;

	asm volatile("1: vmread %[field], %[value]\n\t"
		     "ja 3f\n"
		     "2:\tpush %[field]\n\t"
		     "call vmx_vmread_failed\n\t"
		     "pop %[field]\n\t"
		     "xor %k[value], %k[value]\n"
		     "3:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : [value] "=r" (value), ASM_CALL_CONSTRAINT
		     : [field] "r" (field)
		     : "cc");
	return value;
}

static __always_inline int vmcs_write(unsigned long field, u64 value)
{
	asm goto(VMX_INSN("vmwrite %[value], %[field]")
		 : : [field] "r" (field), [value] "r" (value)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_vmcs_access_failed("VMWRITE", field, false);
faulted:
	return vmx_vmcs_access_failed("VMWRITE", field, true);
}

static __always_inline int vmx_vmclear(u64 vmcs_hpa)
{
	asm goto(VMX_INSN("vmclear %[hpa]")
		 : : [hpa] "m" (vmcs_hpa)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_insn_failed("VMCLEAR", vmcs_hpa, false);
faulted:
	return vmx_insn_failed("VMCLEAR", vmcs_hpa, true);
}

static __always_inline int vmx_vmptrld(u64 vmcs_hpa)
{
	asm goto(VMX_INSN("vmptrld %[hpa]")
		 : : [hpa] "m" (vmcs_hpa)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_insn_failed("VMPTRLD", vmcs_hpa, false);
faulted:
	return vmx_insn_failed("VMPTRLD", vmcs_hpa, true);
}

static __always_inline int vmx_invept(unsigned long extent, u64 eptp)
{
	struct vmx_invept_desc desc = { .eptp = eptp };

	asm goto(VMX_INSN("invept %[desc], %[extent]")
		 : : [extent] "r" (extent), [desc] "m" (desc)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_insn_failed("INVEPT", eptp, false);
faulted:
	return vmx_insn_failed("INVEPT", eptp, true);
}

static __always_inline int vmx_invvpid(unsigned long extent, u16 vpid, u64 gva)
{
	struct vmx_invvpid_desc desc = { .vpid = vpid, .gva = gva };

	asm goto(VMX_INSN("invvpid %[desc], %[extent]")
		 : : [extent] "r" (extent), [desc] "m" (desc)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_insn_failed("INVVPID", vpid, false);
faulted:
	return vmx_insn_failed("INVVPID", vpid, true);
}

/* Silent: leaving where VMX was never entered, or was left by somebody else, is no failure. */
static __always_inline int vmx_vmxoff(void)
{
	asm goto("1: vmxoff\n\t"
		 _ASM_EXTABLE(1b, (%l[faulted]))
		 : : : "cc", "memory" : faulted);
	return 0;
faulted:
	return -EIO;
}

#endif
