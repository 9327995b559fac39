// SPDX-License-Identifier: GPL-2.0
/*
 * Executes one decoded instruction as a machine that stops at each access to memory.
 *
 * Owns the order of an instruction's accesses and what it does to registers, flags and RIP. It must
 * not touch guest memory or a vCPU: whoever drives it does, which is why an access may take a trip
 * to userspace, or fault, without anything having to be undone.
 *
 * Semantics: SDM, "Instruction Set Reference"; REP: "Repeat String Operation Prefix".
 */
#include <linux/string.h>
#include <linux/swab.h>
#include <linux/types.h>

#include <asm/kvm.h>
#include <asm/processor-flags.h>

#include "insn.h"
#include "insn_alu.h"

enum phase {
	PHASE_START,
	PHASE_FIRST_READ,
	PHASE_SECOND_READ,	/* CMPS */
	PHASE_WRITE,
};

/* What an instruction does, worked out before any of it is done. */
struct outcome {
	u64 mem[2];		/* for memory, when it is written */
	u64 rflags;
	u64 reg;		/* for insn.reg, when has_reg */
	u64 acc[2];		/* for rAX, and rDX after a wide CMPXCHG, when acc_size */
	u8 acc_size;
	bool has_reg;
};

/* SDM, "General-Purpose Registers in 64-Bit Mode": a 32-bit result clears the upper half. */
static void write_gpr(u64 *gpr, u64 value, u8 size)
{
	u64 mask = vitrine_alu_mask(size);

	if (size >= 4)
		*gpr = value & mask;
	else
		*gpr = (*gpr & ~mask) | (value & mask);
}

static u64 read_reg(const struct vitrine_insn_state *s)
{
	u64 value = s->gpr[s->insn.reg];

	return (s->insn.reg_high ? value >> 8 : value) & vitrine_alu_mask(s->insn.reg_size);
}

static void write_reg(struct vitrine_insn_state *s, u64 value)
{
	u64 *gpr = &s->gpr[s->insn.reg];

	if (s->insn.reg_high)
		*gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
	else
		write_gpr(gpr, value, s->insn.reg_size);
}

static u64 read_other(const struct vitrine_insn_state *s)
{
	return s->insn.src == INSN_SRC_REG ? read_reg(s) : s->insn.imm;
}

static u64 byte_swap(u64 value, u8 size)
{
	return __swab64(value) >> (64 - 8 * size);
}

static bool is_string(const struct vitrine_insn *insn)
{
	return insn->op >= INSN_OP_MOVS && insn->op <= INSN_OP_SCAS;
}

/* CMPXCHG8B and CMPXCHG16B: rDX:rAX against memory, rCX:rBX in its place. */
static void exchange_wide(const struct vitrine_insn_state *s, const u64 *old, struct outcome *out)
{
	u8 half = s->insn.mem_size / 2;
	u64 mask = vitrine_alu_mask(half);
	u64 low = old[0] & mask;
	u64 high = half == 8 ? old[1] : old[0] >> 32;
	u64 new_low = low, new_high = high;

	if (low == (s->gpr[INSN_RAX] & mask) && high == (s->gpr[INSN_RDX] & mask)) {
		out->rflags |= X86_EFLAGS_ZF;
		new_low = s->gpr[INSN_RBX] & mask;
		new_high = s->gpr[INSN_RCX] & mask;
	} else {
		out->rflags &= ~(u64)X86_EFLAGS_ZF;
		out->acc[0] = low;
		out->acc[1] = high;
		out->acc_size = half;
	}
	out->mem[0] = half == 8 ? new_low : new_low | new_high << 32;
	out->mem[1] = new_high;
}

static void exchange_if_equal(const struct vitrine_insn_state *s, u64 old, struct outcome *out)
{
	u8 size = s->insn.mem_size;
	u64 acc = s->gpr[INSN_RAX] & vitrine_alu_mask(size);

	vitrine_alu_binary(INSN_OP_CMP, acc, old, size, &out->rflags);
	/* Written either way: SDM, "CMPXCHG", a locked read is always followed by a write. */
	out->mem[0] = acc == old ? read_reg(s) : old;
	if (acc != old) {
		out->acc[0] = old;
		out->acc_size = size;
	}
}

static void set_reg(struct outcome *out, u64 value)
{
	out->reg = value;
	out->has_reg = true;
}

/* @old: what was read from memory, zero-extended; for SCAS and LODS too. */
static void work_out(const struct vitrine_insn_state *s, const u64 *old, struct outcome *out)
{
	const struct vitrine_insn *insn = &s->insn;
	u8 size = insn->mem_size;
	u64 result;

	memset(out, 0, sizeof(*out));
	out->rflags = s->rflags;

	switch (insn->op) {
	case INSN_OP_ADD ... INSN_OP_TEST:
		if (insn->mem_first)
			result = vitrine_alu_binary(insn->op, old[0], read_other(s), size,
						    &out->rflags);
		else
			result = vitrine_alu_binary(insn->op, read_other(s), old[0], size,
						    &out->rflags);
		out->mem[0] = result;
		if (!insn->mem_first && insn->op != INSN_OP_CMP)
			set_reg(out, result);
		break;
	case INSN_OP_NOT ... INSN_OP_DEC:
		out->mem[0] = vitrine_alu_unary(insn->op, old[0], size, &out->rflags);
		break;
	case INSN_OP_BT ... INSN_OP_BTC:
		out->mem[0] = vitrine_alu_bit(insn->op, old[0], read_other(s), size, &out->rflags);
		break;
	case INSN_OP_MOV:
	case INSN_OP_LODS:
	case INSN_OP_STOS:
		if (insn->mem_first)
			out->mem[0] = read_other(s);
		else
			set_reg(out, old[0]);
		break;
	case INSN_OP_MOVZX:
		set_reg(out, old[0]);
		break;
	case INSN_OP_MOVSX:
		set_reg(out, vitrine_alu_sign_extend(old[0], size));
		break;
	case INSN_OP_MOVBE:
		if (insn->mem_first)
			out->mem[0] = byte_swap(read_reg(s), size);
		else
			set_reg(out, byte_swap(old[0], size));
		break;
	case INSN_OP_CMOV:
		/* Written even where the condition fails: that clears a 64-bit upper half. */
		set_reg(out, vitrine_alu_condition(insn->cond, s->rflags) ? old[0] : read_reg(s));
		break;
	case INSN_OP_SET:
		out->mem[0] = vitrine_alu_condition(insn->cond, s->rflags);
		break;
	case INSN_OP_XCHG:
		out->mem[0] = read_reg(s);
		set_reg(out, old[0]);
		break;
	case INSN_OP_XADD:
		out->mem[0] = vitrine_alu_binary(INSN_OP_ADD, old[0], read_reg(s), size,
						 &out->rflags);
		set_reg(out, old[0]);
		break;
	case INSN_OP_CMPXCHG:
		exchange_if_equal(s, old[0], out);
		break;
	case INSN_OP_CMPXCHG_WIDE:
		exchange_wide(s, old, out);
		break;
	case INSN_OP_MOVS:
		out->mem[0] = old[0];
		break;
	case INSN_OP_SCAS:
		vitrine_alu_binary(INSN_OP_CMP, read_reg(s), old[0], size, &out->rflags);
		break;
	case INSN_OP_CMPS:
		vitrine_alu_binary(INSN_OP_CMP, s->first[0], old[0], size, &out->rflags);
		break;
	case INSN_OP_MOV_XMM:
		out->mem[0] = s->xmm[0];
		out->mem[1] = s->xmm[1];
		break;
	}
}

static u64 effective_address(const struct vitrine_insn_state *s)
{
	const struct vitrine_insn *insn = &s->insn;
	const struct vitrine_insn_mem *mem = &insn->mem;
	u64 address = mem->disp;

	if (mem->rip_relative)
		address += s->rip + insn->len;
	if (mem->base != INSN_NO_REG)
		address += s->gpr[mem->base];
	if (mem->index != INSN_NO_REG)
		address += s->gpr[mem->index] * mem->scale;

	/* SDM, "BT": a bit offset in a register reaches beyond the operand, both ways. */
	if (insn->op >= INSN_OP_BT && insn->op <= INSN_OP_BTC && insn->src == INSN_SRC_REG) {
		s64 bit = vitrine_alu_sign_extend(read_reg(s), insn->reg_size);

		address += (bit >> 3) & -(s64)insn->mem_size;
	}
	return address & vitrine_alu_mask(mem->addr_size);
}

static bool canonical(const struct vitrine_insn_state *s, u64 address)
{
	unsigned int shift = 64 - s->la_bits;

	return (u64)((s64)(address << shift) >> shift) == address;
}

/* Sets up the access, or the fault that stands in its way. */
static enum vitrine_insn_step request(struct vitrine_insn_state *s, enum phase phase,
				      u8 seg, u64 offset)
{
	const struct vitrine_insn *insn = &s->insn;
	bool fault = false;

	s->seg = seg;
	s->offset = offset;
	s->size = insn->mem_size;
	if (s->mode == VITRINE_INSN_64) {
		s->gva = offset + (seg >= INSN_FS ? s->seg_base[seg] : 0);
		fault = !canonical(s, s->gva) || !canonical(s, s->gva + s->size - 1);
		s->vector = seg == INSN_SS ? SS_VECTOR : GP_VECTOR;
	} else {
		s->gva = (u32)(offset + s->seg_base[seg]);
	}
	if (insn->aligned && s->gva & (s->size - 1)) {
		fault = true;
		s->vector = GP_VECTOR;
	}
	if (fault)
		return INSN_FAULT;

	s->phase = phase;
	return phase == PHASE_WRITE ? INSN_WRITE : INSN_READ;
}

static enum vitrine_insn_step request_operand(struct vitrine_insn_state *s, enum phase phase)
{
	return request(s, phase, s->insn.mem.seg, effective_address(s));
}

/* The operand at ES:rDI of MOVS and CMPS. */
static enum vitrine_insn_step request_destination(struct vitrine_insn_state *s, enum phase phase)
{
	return request(s, phase, INSN_ES,
		       s->gpr[INSN_RDI] & vitrine_alu_mask(s->insn.mem.addr_size));
}

static enum vitrine_insn_step finish(struct vitrine_insn_state *s)
{
	s->rip += s->insn.len;
	if (s->mode != VITRINE_INSN_64)
		s->rip = (u32)s->rip;
	s->phase = PHASE_START;
	return INSN_DONE;
}

static void advance(struct vitrine_insn_state *s, enum vitrine_insn_gpr reg)
{
	u64 delta = s->rflags & X86_EFLAGS_DF ? -(u64)s->insn.mem_size : s->insn.mem_size;

	write_gpr(&s->gpr[reg], s->gpr[reg] + delta, s->insn.mem.addr_size);
}

static u64 repeat_count(const struct vitrine_insn_state *s)
{
	return s->gpr[INSN_RCX] & vitrine_alu_mask(s->insn.mem.addr_size);
}

static enum vitrine_insn_step finish_iteration(struct vitrine_insn_state *s)
{
	const struct vitrine_insn *insn = &s->insn;
	bool until_equal = insn->rep == INSN_REPNE;
	bool equal = s->rflags & X86_EFLAGS_ZF;

	if (insn->op != INSN_OP_STOS && insn->op != INSN_OP_SCAS)
		advance(s, INSN_RSI);
	if (insn->op != INSN_OP_LODS)
		advance(s, INSN_RDI);
	if (insn->rep == INSN_REP_NONE)
		return finish(s);

	write_gpr(&s->gpr[INSN_RCX], s->gpr[INSN_RCX] - 1, insn->mem.addr_size);
	if (!repeat_count(s))
		return finish(s);
	if ((insn->op == INSN_OP_CMPS || insn->op == INSN_OP_SCAS) &&
	    equal == until_equal)
		return finish(s);
	s->phase = PHASE_START;
	return INSN_AGAIN;
}

static enum vitrine_insn_step commit(struct vitrine_insn_state *s, const u64 *old)
{
	struct outcome out;

	/* Most of what reaches a device is a plain move, and has no more to it. */
	if (s->insn.op == INSN_OP_MOV) {
		if (!s->insn.mem_first)
			write_reg(s, old[0]);
		return finish(s);
	}
	work_out(s, old, &out);
	s->rflags = out.rflags;
	if (out.has_reg)
		write_reg(s, out.reg);
	if (out.acc_size) {
		write_gpr(&s->gpr[INSN_RAX], out.acc[0], out.acc_size);
		if (s->insn.op == INSN_OP_CMPXCHG_WIDE)
			write_gpr(&s->gpr[INSN_RDX], out.acc[1], out.acc_size);
	}
	if (vitrine_insn_loads_xmm(&s->insn))
		memcpy(s->xmm, old, sizeof(s->xmm));
	return is_string(&s->insn) ? finish_iteration(s) : finish(s);
}

/* @old: what the same operand held before, in s->first to survive until the commit. */
static enum vitrine_insn_step write_operand(struct vitrine_insn_state *s)
{
	struct outcome out;

	if (s->insn.op == INSN_OP_MOV) {
		out.mem[0] = read_other(s);
		out.mem[1] = 0;
	} else {
		work_out(s, s->first, &out);
	}
	memcpy(s->data, out.mem, sizeof(s->data));
	if (s->insn.op == INSN_OP_MOVS)
		return request_destination(s, PHASE_WRITE);
	return request_operand(s, PHASE_WRITE);
}

static enum vitrine_insn_step start(struct vitrine_insn_state *s)
{
	if (s->insn.rep != INSN_REP_NONE && !repeat_count(s))
		return finish(s);
	if (s->insn.access & INSN_ACCESS_READ)
		return request_operand(s, PHASE_FIRST_READ);
	return write_operand(s);
}

void vitrine_insn_begin(struct vitrine_insn_state *s)
{
	s->phase = PHASE_START;
	memset(s->first, 0, sizeof(s->first));
	memset(s->data, 0, sizeof(s->data));
}

enum vitrine_insn_step vitrine_insn_step(struct vitrine_insn_state *s)
{
	u64 read[2] = { 0 };

	switch (s->phase) {
	case PHASE_FIRST_READ:
		memset(s->first, 0, sizeof(s->first));
		memcpy(s->first, s->data, s->size);
		if (s->insn.op == INSN_OP_CMPS)
			return request_destination(s, PHASE_SECOND_READ);
		if (s->insn.op == INSN_OP_MOVS || s->insn.access & INSN_ACCESS_WRITE)
			return write_operand(s);
		return commit(s, s->first);
	case PHASE_SECOND_READ:
		memcpy(read, s->data, s->size);
		return commit(s, read);
	case PHASE_WRITE:
		return commit(s, s->first);
	default:
		return start(s);
	}
}
