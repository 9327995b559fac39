// SPDX-License-Identifier: GPL-2.0
/*
 * Memory operands of instructions that exited with a VM-exit instruction-information field: where
 * they are, and reading and writing them as the instruction would.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/srcu.h>

#include "../exit.h"
#include "../guest.h"
#include "../linear.h"
#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

/*
 * "Format of the VM-Exit Instruction-Information Field": the same bits wherever there is a memory
 * operand. The displacement is the exit qualification, RIP already in it where it counts from that.
 */
#define INFO_SCALING(info)	((info) & 3)
#define INFO_ADDR_SIZE(info)	(((info) >> 7) & 7)
#define INFO_SEG(info)		(((info) >> 15) & 7)
#define INFO_INDEX(info)	(((info) >> 18) & 15)
#define INFO_NO_INDEX		BIT(22)
#define INFO_BASE(info)		(((info) >> 23) & 15)
#define INFO_NO_BASE		BIT(27)

void vmx_operand_decode(struct vitrine_vcpu *vcpu, struct vmx_operand *operand)
{
	u32 info = vmcs_read(VMX_INSTRUCTION_INFO);
	u64 offset = vcpu->exit.qualification, base;

	operand->info = info;
	operand->mode = vmx_get_code_mode(vcpu, &base);
	operand->seg = INFO_SEG(info);
	if (!(info & INFO_NO_BASE))
		offset += vitrine_reg_read(vcpu, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		offset += vitrine_reg_read(vcpu, INFO_INDEX(info)) << INFO_SCALING(info);
	switch (INFO_ADDR_SIZE(info)) {
	case 0:
		offset = (u16)offset;
		break;
	case 1:
		offset = (u32)offset;
		break;
	}
	operand->offset = offset;
}

u64 vmx_operand_linear(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand)
{
	struct kvm_segment var;

	if (operand->mode == VITRINE_INSN_64 && operand->seg < VITRINE_SEG_FS)
		return operand->offset;
	vmx_get_segment(vcpu, operand->seg, &var);
	return operand->mode == VITRINE_INSN_64 ? operand->offset + var.base :
						  (u32)(operand->offset + var.base);
}

void vmx_reg_store(struct vitrine_vcpu *vcpu, unsigned int reg, unsigned int len_bytes, u64 value)
{
	if (len_bytes == 1)
		value = (vitrine_reg_read(vcpu, reg) & ~0xffULL) | (u8)value;
	else if (len_bytes == 2)
		value = (vitrine_reg_read(vcpu, reg) & ~0xffffULL) | (u16)value;
	else if (len_bytes == 4)
		value = (u32)value;
	vitrine_reg_write(vcpu, reg, value);
}

/* Needs vm->srcu. */
static int move(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand, void *data,
		unsigned int len_bytes, bool write)
{
	struct vitrine_span span;
	unsigned int done, len;
	gva_t gva;
	gpa_t gpa;
	int ret;

	if (!vitrine_linear_address(vcpu, operand->mode, operand->seg, operand->offset, len_bytes,
				    write, &gva)) {
		vitrine_linear_fault(vcpu, operand->seg);
		return EXIT_RESUME;
	}
	ret = vitrine_linear_translate(vcpu, operand->mode, gva, len_bytes, write, &span);
	for (done = 0; done < len_bytes && !ret; done += len) {
		len = len_bytes - done;
		gpa = vitrine_span_at(&span, done, &len);
		ret = write ? vitrine_guest_write(vcpu->vm, gpa, data + done, len) :
			      vitrine_guest_read(vcpu->vm, gpa, data + done, len);
		/* A device, which no such instruction is meant for. */
		if (ret)
			return -EOPNOTSUPP;
	}
	return ret;
}

int vmx_operand_read(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand, void *data,
		     unsigned int len_bytes)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	int ret = move(vcpu, operand, data, len_bytes, false);

	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

int vmx_operand_write(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand,
		      const void *data, unsigned int len_bytes)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	int ret = move(vcpu, operand, (void *)data, len_bytes, true);

	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

int vmx_operand_result(struct vitrine_vcpu *vcpu, int ret)
{
	return ret == -EOPNOTSUPP ? vitrine_exit_emulation_failure(vcpu) : ret;
}
