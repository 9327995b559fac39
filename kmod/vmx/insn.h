/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMX instructions. Each has an exception-table fixup: another CPU's reboot or crash path may turn
 * VMX off under a running vCPU, and then the instruction raises #UD. The fixup leads to
 * vmx_insn_failed(), which tells that case (end quietly) from a bug (warn, mark the VM dead).
 */
#ifndef VMX_INSN_H
#define VMX_INSN_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

/* One line in the log, for -EIO. Out of line: never on a path that works. */
int vmx_insn_failed(const char *insn, u64 operand, bool faulted);

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

static __always_inline u64 vmcs_read(unsigned long field)
{
	u64 value;

	asm_goto_output(VMX_INSN("vmread %[field], %[value]")
			: [value] "=r" (value)
			: [field] "r" (field)
			: "cc" : failed, faulted);
	return value;
failed:
	vmx_insn_failed("VMREAD", field, false);
	return 0;
faulted:
	vmx_insn_failed("VMREAD", field, true);
	return 0;
}

static __always_inline int vmcs_write(unsigned long field, u64 value)
{
	asm goto(VMX_INSN("vmwrite %[value], %[field]")
		 : : [field] "r" (field), [value] "r" (value)
		 : "cc", "memory" : failed, faulted);
	return 0;
failed:
	return vmx_insn_failed("VMWRITE", field, false);
faulted:
	return vmx_insn_failed("VMWRITE", field, true);
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
