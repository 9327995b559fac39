// SPDX-License-Identifier: GPL-2.0
/*
 * Integer arithmetic for the instruction step machine: results and status flags.
 *
 * Owns nothing and keeps nothing; it must know no registers and no memory.
 *
 * Flags: SDM, "EFLAGS Cross-Reference" and the instructions' own pages.
 */
#include <linux/types.h>

#include <asm/processor-flags.h>

#include "insn_alu.h"

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

u64 vitrine_alu_mask(u8 size)
{
	return ~0ull >> (64 - 8 * size);
}

s64 vitrine_alu_sign_extend(u64 value, u8 size)
{
	unsigned int shift = 64 - 8 * size;

	return (s64)(value << shift) >> shift;
}

static bool top_bit(u64 value, u8 size)
{
	return value >> (8 * size - 1) & 1;
}

static bool even_parity(u8 byte)
{
	byte ^= byte >> 4;
	return !(0x6996 >> (byte & 0xf) & 1);
}

static u64 result_flags(u64 result, u8 size)
{
	u64 flags = 0;

	if (even_parity(result))
		flags |= X86_EFLAGS_PF;
	if (!result)
		flags |= X86_EFLAGS_ZF;
	if (top_bit(result, size))
		flags |= X86_EFLAGS_SF;
	return flags;
}

/* @carries has a bit for each position that carried, or borrowed, into the next one. */
static u64 carry_flags(u64 carries, bool overflow, u8 size)
{
	u64 flags = 0;

	if (top_bit(carries, size))
		flags |= X86_EFLAGS_CF;
	if (carries & 0x8)
		flags |= X86_EFLAGS_AF;
	if (overflow)
		flags |= X86_EFLAGS_OF;
	return flags;
}

static u64 add(u64 left, u64 right, bool carry, u8 size, u64 *flags)
{
	u64 sum = (left + right + carry) & vitrine_alu_mask(size);
	u64 carries = (left & right) | ((left | right) & ~sum);
	bool overflow = top_bit((left ^ sum) & (right ^ sum), size);

	*flags = result_flags(sum, size) | carry_flags(carries, overflow, size);
	return sum;
}

static u64 subtract(u64 left, u64 right, bool borrow, u8 size, u64 *flags)
{
	u64 difference = (left - right - borrow) & vitrine_alu_mask(size);
	u64 borrows = (~left & right) | ((~left | right) & difference);
	bool overflow = top_bit((left ^ right) & (left ^ difference), size);

	*flags = result_flags(difference, size) | carry_flags(borrows, overflow, size);
	return difference;
}

u64 vitrine_alu_binary(enum vitrine_insn_op op, u64 left, u64 right, u8 size, u64 *rflags)
{
	bool carry = *rflags & X86_EFLAGS_CF;
	u64 flags, result;

	left &= vitrine_alu_mask(size);
	right &= vitrine_alu_mask(size);
	switch (op) {
	case INSN_OP_ADD:
		result = add(left, right, false, size, &flags);
		break;
	case INSN_OP_ADC:
		result = add(left, right, carry, size, &flags);
		break;
	case INSN_OP_SUB:
	case INSN_OP_CMP:
		result = subtract(left, right, false, size, &flags);
		break;
	case INSN_OP_SBB:
		result = subtract(left, right, carry, size, &flags);
		break;
	case INSN_OP_OR:
		result = left | right;
		flags = result_flags(result, size);
		break;
	case INSN_OP_XOR:
		result = left ^ right;
		flags = result_flags(result, size);
		break;
	default:
		result = left & right;
		flags = result_flags(result, size);
		break;
	}
	*rflags = (*rflags & ~STATUS_FLAGS) | flags;
	return result;
}

u64 vitrine_alu_unary(enum vitrine_insn_op op, u64 value, u8 size, u64 *rflags)
{
	u64 keep = ~STATUS_FLAGS;
	u64 flags, result;

	value &= vitrine_alu_mask(size);
	switch (op) {
	case INSN_OP_NOT:
		return ~value & vitrine_alu_mask(size);
	case INSN_OP_NEG:
		result = subtract(0, value, false, size, &flags);
		break;
	case INSN_OP_INC:
		result = add(value, 1, false, size, &flags);
		keep |= X86_EFLAGS_CF;
		break;
	default:
		result = subtract(value, 1, false, size, &flags);
		keep |= X86_EFLAGS_CF;
		break;
	}
	*rflags = (*rflags & keep) | (flags & ~keep);
	return result;
}

u64 vitrine_alu_bit(enum vitrine_insn_op op, u64 value, u64 bit, u8 size, u64 *rflags)
{
	u64 selected = 1ull << (bit & (8 * size - 1));

	*rflags &= ~(u64)X86_EFLAGS_CF;
	if (value & selected)
		*rflags |= X86_EFLAGS_CF;
	switch (op) {
	case INSN_OP_BTS:
		return value | selected;
	case INSN_OP_BTR:
		return value & ~selected;
	case INSN_OP_BTC:
		return value ^ selected;
	default:
		return value;
	}
}

bool vitrine_alu_condition(u8 cond, u64 rflags)
{
	bool less = !(rflags & X86_EFLAGS_SF) != !(rflags & X86_EFLAGS_OF);
	bool holds;

	switch (cond >> 1) {
	case 0:
		holds = rflags & X86_EFLAGS_OF;
		break;
	case 1:
		holds = rflags & X86_EFLAGS_CF;
		break;
	case 2:
		holds = rflags & X86_EFLAGS_ZF;
		break;
	case 3:
		holds = rflags & (X86_EFLAGS_CF | X86_EFLAGS_ZF);
		break;
	case 4:
		holds = rflags & X86_EFLAGS_SF;
		break;
	case 5:
		holds = rflags & X86_EFLAGS_PF;
		break;
	case 6:
		holds = less;
		break;
	default:
		holds = less || (rflags & X86_EFLAGS_ZF);
		break;
	}
	return holds != (cond & 1);
}
