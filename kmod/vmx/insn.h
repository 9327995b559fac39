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
#include <linux/errno.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

/* What failed, for the one line in the log. Out of line: never on a path that works. */
void vmx_insn_failed(const char *insn, u64 operand, bool faulted);

/* INVEPT and INVVPID descriptors. */
struct vmx_invept_desc {
	u64 eptp;
	u64 reserved;
};

struct vmx_invvpid_desc {
	u64 vpid;
	u64 gva;
};

#define VMX_INSN1(name, insn, operand, ...)						\
do {											\
	asm goto("1: " insn "\n\t"							\
		 "jbe %l[failed]\n\t"							\
		 _ASM_EXTABLE(1b, %l[faulted])						\
		 : : __VA_ARGS__ : "cc", "memory" : failed, faulted);			\
	return 0;									\
failed:											\
	vmx_insn_failed(name, operand, false);						\
	return -EIO;									\
faulted:										\
	vmx_insn_failed(name, operand, true);						\
	return -EIO;									\
} while (0)

static __always_inline u64 vmcs_read(unsigned long field)
{
	u64 value;

	asm_goto_output("1: vmread %[field], %[value]\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[faulted])
		 : [value] "=r" (value)
		 : [field] "r" (field)
		 : "cc"
		 : failed, faulted);
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
	VMX_INSN1("VMWRITE", "vmwrite %[value], %[field]", field,
		  [field] "r" (field), [value] "r" (value));
}

static __always_inline int vmx_vmxon(u64 region_hpa)
{
	VMX_INSN1("VMXON", "vmxon %[hpa]", region_hpa, [hpa] "m" (region_hpa));
}

static __always_inline int vmx_vmclear(u64 vmcs_hpa)
{
	VMX_INSN1("VMCLEAR", "vmclear %[hpa]", vmcs_hpa, [hpa] "m" (vmcs_hpa));
}

static __always_inline int vmx_vmptrld(u64 vmcs_hpa)
{
	VMX_INSN1("VMPTRLD", "vmptrld %[hpa]", vmcs_hpa, [hpa] "m" (vmcs_hpa));
}

static __always_inline int vmx_invept(unsigned long extent, u64 eptp)
{
	struct vmx_invept_desc desc = { .eptp = eptp };

	VMX_INSN1("INVEPT", "invept %[desc], %[extent]",
		  eptp, [extent] "r"(extent), [desc] "m"(desc));
}

static __always_inline int vmx_invvpid(unsigned long extent, u16 vpid, u64 gva)
{
	struct vmx_invvpid_desc desc = { .vpid = vpid, .gva = gva };

	VMX_INSN1("INVVPID", "invvpid %[desc], %[extent]",
		  vpid, [extent] "r"(extent), [desc] "m"(desc));
}

/* Silent: leaving where VMX was never entered, or was left by somebody else, is no failure. */
static __always_inline int vmx_vmxoff(void)
{
	asm goto("1: vmxoff\n\t"
		 _ASM_EXTABLE(1b, %l[faulted])
		 : : : "cc", "memory" : faulted);
	return 0;
faulted:
	return -EIO;
}

#endif
