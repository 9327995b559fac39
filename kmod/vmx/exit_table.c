// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and stores of GDTR, IDTR, LDTR and TR, which exit for an exit policy's sake only: done here
 * as the processor does them.
 *
 * What the instruction is comes from its bytes: the operand size of SLDT and STR is nowhere else.
 * Where its memory operand is comes from the exit.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../exit.h"
#include "../fetch.h"
#include "../guest.h"
#include "../linear.h"
#include "../regs.h"
#include "../vm.h"
#include "vmx.h"

/* ModRM.reg: a load if bit 1 is set, of the second of its table's two if bit 0 is. */
#define REG_SECOND	1
#define REG_LOAD	2

enum { GDTR, IDTR, LDTR, TR };

/* SDM, "System-Segment and Gate-Descriptor Types" */
#define TYPE_TSS16	0x1
#define TYPE_LDT	0x2
#define TYPE_TSS	0x9
#define TYPE_BUSY	0x2

#define BUSY_BYTE	5	/* of a descriptor, and the bit in it */
#define BUSY_BIT	1

/**
 * struct table_insn - one such instruction
 * @mode: of the code
 * @table: GDTR and so on, the numbers of an exit policy's keys
 * @load: or store
 * @is_reg: the operand is a register
 * @reg: which
 * @op_bytes: operand size
 */
struct table_insn {
	enum vitrine_insn_mode mode;
	u8 table;
	bool load;
	bool is_reg;
	u8 reg;
	u8 op_bytes;
};

/* 0; -EAGAIN if its bytes cannot be had any more; -EINVAL if they are something else. */
static int decode(struct vitrine_vcpu *vcpu, struct table_insn *insn)
{
	u8 bytes[VITRINE_INSN_MAX_LEN + 1] = {}, rex = 0, modrm;
	bool small = false;
	u64 base;
	int idx, len, i;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	len = vitrine_fetch_bytes(vcpu, bytes);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (len < 0)
		return -EAGAIN;
	insn->mode = vmx_get_code_mode(vcpu, &base);
	for (i = 0; i < len - 2; i++) {
		if (bytes[i] == 0x0f)
			break;
		/* It counts right before the opcode only. */
		rex = insn->mode == VITRINE_INSN_64 && (bytes[i] & 0xf0) == 0x40 ? bytes[i] : 0;
		if (bytes[i] == 0x66)
			small = true;
	}
	if (i >= len - 2 || bytes[i + 1] > 1)
		return -EINVAL;
	modrm = bytes[i + 2];
	insn->load = (modrm >> 3) & REG_LOAD;
	insn->table = (bytes[i + 1] ? GDTR : LDTR) + ((modrm >> 3) & REG_SECOND);
	insn->is_reg = modrm >> 6 == 3;
	insn->reg = (modrm & 7) | (rex & 1) << 3;
	if (rex & 8)
		insn->op_bytes = 8;
	else
		insn->op_bytes = (insn->mode == VITRINE_INSN_16) != small ? 2 : 4;
	return 0;
}

bool vmx_describe_table(struct vitrine_vcpu *vcpu, bool *load, u64 *table)
{
	struct table_insn insn;

	if (decode(vcpu, &insn))
		return false;
	*load = insn.load;
	*table = insn.table;
	return true;
}

static int inject(struct vitrine_vcpu *vcpu, u8 vector, u16 selector)
{
	vitrine_vcpu_queue_exception(vcpu, vector, true, selector & ~3);
	return EXIT_RESUME;
}

static int done(struct vitrine_vcpu *vcpu)
{
	vmx_skip_insn(vcpu);
	return EXIT_RESUME;
}

static bool is_canonical(struct vitrine_vcpu *vcpu, u64 address)
{
	unsigned int bits = vcpu->cr4 & X86_CR4_LA57 ? 57 : 48;

	return (u64)sign_extend64(address, bits - 1) == address;
}

/* GDTR and IDTR: a limit of 16 bits, and a base of 64 in 64-bit mode, else of 32. */
static int load_table(struct vitrine_vcpu *vcpu, const struct table_insn *insn)
{
	unsigned int base_bytes = insn->mode == VITRINE_INSN_64 ? 8 : 4;
	struct kvm_dtable dt = {};
	struct vmx_operand operand;
	u8 image[10] = {};
	int ret;

	vmx_operand_decode(vcpu, &operand);
	ret = vmx_operand_read(vcpu, &operand, image, 2 + base_bytes);
	if (ret)
		return ret;
	memcpy(&dt.limit, image, sizeof(dt.limit));
	memcpy(&dt.base, image + sizeof(dt.limit), sizeof(dt.base));
	if (insn->mode != VITRINE_INSN_64 && insn->op_bytes == 2)
		dt.base &= 0xffffff;
	if (!is_canonical(vcpu, dt.base))
		return inject(vcpu, X86_TRAP_GP, 0);
	if (insn->table == GDTR)
		vmx_set_gdt(vcpu, &dt);
	else
		vmx_set_idt(vcpu, &dt);
	return done(vcpu);
}

static int store_table(struct vitrine_vcpu *vcpu, const struct table_insn *insn)
{
	unsigned int base_bytes = insn->mode == VITRINE_INSN_64 ? 8 : 4;
	struct vmx_operand operand;
	struct kvm_dtable dt;
	u8 image[10];
	int ret;

	if (insn->table == GDTR)
		vmx_get_gdt(vcpu, &dt);
	else
		vmx_get_idt(vcpu, &dt);
	memcpy(image, &dt.limit, sizeof(dt.limit));
	memcpy(image + sizeof(dt.limit), &dt.base, sizeof(dt.base));
	vmx_operand_decode(vcpu, &operand);
	ret = vmx_operand_write(vcpu, &operand, image, 2 + base_bytes);
	return ret ?: done(vcpu);
}

static int store_selector(struct vitrine_vcpu *vcpu, const struct table_insn *insn)
{
	struct vmx_operand operand;
	struct kvm_segment var;
	u16 selector;
	int ret;

	vmx_get_segment(vcpu, insn->table == TR ? VITRINE_SEG_TR : VITRINE_SEG_LDTR, &var);
	selector = var.selector;
	if (insn->is_reg) {
		vmx_reg_store(vcpu, insn->reg, insn->op_bytes, selector);
		return done(vcpu);
	}
	vmx_operand_decode(vcpu, &operand);
	ret = vmx_operand_write(vcpu, &operand, &selector, sizeof(selector));
	return ret ?: done(vcpu);
}

/* Accesses of the CPU's own, whatever the privilege level; these need vm->srcu. */
static int read_descriptor(struct vitrine_vcpu *vcpu, u64 gva, u8 *desc, unsigned int len_bytes)
{
	unsigned int i;
	gpa_t gpa;
	int ret;

	/* Tables need not be aligned. */
	for (i = 0; i < len_bytes; i++) {
		ret = vitrine_linear_page(vcpu, gva + i, VITRINE_ACCESS_IMPLICIT, &gpa);
		if (ret)
			return ret;
		if (vitrine_guest_read(vcpu->vm, gpa, desc + i, 1))
			return -EOPNOTSUPP;
	}
	return 0;
}

/* LTR marks the TSS busy by a locked access, unless it is already. */
static int mark_busy(struct vitrine_vcpu *vcpu, u64 gva, bool *is_busy)
{
	u64 word_gva = (gva + BUSY_BYTE) & ~3ULL, old = 0;
	u64 bit = BIT_ULL(((gva + BUSY_BYTE) & 3) * 8 + BUSY_BIT);
	gpa_t gpa;
	int ret = vitrine_linear_page(vcpu, word_gva,
				      VITRINE_ACCESS_IMPLICIT | VITRINE_ACCESS_WRITE, &gpa);

	if (ret)
		return ret;
	if (vitrine_guest_read(vcpu->vm, gpa, &old, sizeof(u32)))
		return -EOPNOTSUPP;
	do {
		*is_busy = old & bit;
		if (*is_busy)
			return 0;
		/* Another CPU of the guest's can change it for as long as it likes. */
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = vitrine_guest_cmpxchg(vcpu->vm, gpa, &old, old | bit, sizeof(u32));
	} while (ret > 0);
	return ret ? -EOPNOTSUPP : 0;
}

static bool type_fits(const struct table_insn *insn, const struct kvm_segment *var, bool long_mode)
{
	if (var->s)
		return false;
	if (insn->table == LDTR)
		return var->type == TYPE_LDT;
	return var->type == TYPE_TSS || (var->type == TYPE_TSS16 && !long_mode);
}

/* Of 16 bytes in 64-bit mode; the upper half's own type field must be 0. */
static bool unpack(const u8 *desc, bool wide, struct kvm_segment *var)
{
	u64 low, high = 0;

	memcpy(&low, desc, sizeof(low));
	if (wide)
		memcpy(&high, desc + sizeof(low), sizeof(high));
	var->base = (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
	var->limit = (low & 0xffff) | (low >> 32 & 0xf0000);
	var->type = low >> 40 & 15;
	var->s = low >> 44 & 1;
	var->dpl = low >> 45 & 3;
	var->present = low >> 47 & 1;
	var->avl = low >> 52 & 1;
	var->g = low >> 55 & 1;
	if (var->g)
		var->limit = var->limit << 12 | 0xfff;
	return !(high >> 40 & 0x1f);
}

/* "LLDT", "LTR"; needs vm->srcu. */
static int load_descriptor(struct vitrine_vcpu *vcpu, const struct table_insn *insn, u16 selector,
			   struct kvm_segment *var)
{
	bool wide = insn->mode == VITRINE_INSN_64, is_busy = false;
	unsigned int bytes = wide ? 16 : 8;
	u16 offset = selector & ~7;
	struct kvm_dtable gdt;
	u8 desc[16] = {};
	u64 gva;
	int ret;

	vmx_get_gdt(vcpu, &gdt);
	/* Bit 2: of the LDT. */
	if (selector & 4 || offset + bytes - 1 > gdt.limit)
		return inject(vcpu, X86_TRAP_GP, selector);
	gva = wide ? gdt.base + offset : (u32)(gdt.base + offset);
	ret = read_descriptor(vcpu, gva, desc, bytes);
	if (ret)
		return ret;
	if (!unpack(desc, wide, var) || !type_fits(insn, var, vcpu->efer & EFER_LMA))
		return inject(vcpu, X86_TRAP_GP, selector);
	if (!var->present)
		return inject(vcpu, X86_TRAP_NP, selector);
	if (!is_canonical(vcpu, var->base))
		return inject(vcpu, X86_TRAP_GP, selector);
	if (insn->table == LDTR)
		return 0;
	ret = mark_busy(vcpu, gva, &is_busy);
	if (!ret && is_busy)
		return inject(vcpu, X86_TRAP_GP, selector);
	var->type |= TYPE_BUSY;
	return ret;
}

static int load_selector(struct vitrine_vcpu *vcpu, const struct table_insn *insn)
{
	struct kvm_segment var = {};
	struct vmx_operand operand;
	u16 selector = 0;
	int idx, ret;

	if (insn->is_reg) {
		selector = vitrine_reg_read(vcpu, insn->reg);
	} else {
		vmx_operand_decode(vcpu, &operand);
		ret = vmx_operand_read(vcpu, &operand, &selector, sizeof(selector));
		if (ret)
			return ret;
	}
	var.selector = selector;
	var.unusable = !(selector & ~3);
	if (var.unusable && insn->table == TR)
		return inject(vcpu, X86_TRAP_GP, 0);
	if (!var.unusable) {
		idx = srcu_read_lock(&vcpu->vm->srcu);
		ret = load_descriptor(vcpu, insn, selector, &var);
		srcu_read_unlock(&vcpu->vm->srcu, idx);
		if (ret)
			return ret;
	}
	vmx_set_segment(vcpu, insn->table == TR ? VITRINE_SEG_TR : VITRINE_SEG_LDTR, &var);
	return done(vcpu);
}

/* Of the instruction as such; most of it comes before the exit. */
static bool is_privileged(struct vitrine_vcpu *vcpu, const struct table_insn *insn)
{
	return insn->load || vmx_get_cr4(vcpu) & X86_CR4_UMIP;
}

int vmx_exit_table(struct vitrine_vcpu *vcpu)
{
	struct table_insn insn;
	int ret = decode(vcpu, &insn);

	/* Another CPU has changed what was there: the guest finds out. */
	if (ret == -EAGAIN)
		return EXIT_RESUME;
	if (ret)
		return vitrine_exit_emulation_failure(vcpu);
	if (vmx_get_cpl(vcpu) && is_privileged(vcpu, &insn))
		return inject(vcpu, X86_TRAP_GP, 0);
	if (insn.table == GDTR || insn.table == IDTR)
		ret = insn.load ? load_table(vcpu, &insn) : store_table(vcpu, &insn);
	else
		ret = insn.load ? load_selector(vcpu, &insn) : store_selector(vcpu, &insn);
	return vmx_operand_result(vcpu, ret);
}
