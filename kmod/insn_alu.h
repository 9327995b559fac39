/* SPDX-License-Identifier: GPL-2.0 */
/* Integer arithmetic as the processor does it, flags included. */
#ifndef VITRINE_INSN_ALU_H
#define VITRINE_INSN_ALU_H

#include <linux/types.h>

#include "insn.h"

/* The low @size bytes of a register or operand; size 1, 2, 4 or 8. */
u64 vitrine_alu_mask(u8 size);
s64 vitrine_alu_sign_extend(u64 value, u8 size);

/*
 * INSN_OP_ADD .. INSN_OP_TEST of @size bytes, with the carry flag in *@rflags as it stands. Flags
 * that the SDM calls undefined come out as processors leave them.
 */
u64 vitrine_alu_binary(enum vitrine_insn_op op, u64 left, u64 right, u8 size, u64 *rflags);

/* INSN_OP_NOT, NEG, INC, DEC. */
u64 vitrine_alu_unary(enum vitrine_insn_op op, u64 value, u8 size, u64 *rflags);

/* INSN_OP_BT .. INSN_OP_BTC on bit @bit modulo the operand's width. */
u64 vitrine_alu_bit(enum vitrine_insn_op op, u64 value, u64 bit, u8 size, u64 *rflags);

/* A condition code as in the low nibble of Jcc. */
bool vitrine_alu_condition(u8 cond, u64 rflags);

#endif
