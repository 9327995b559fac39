// SPDX-License-Identifier: GPL-2.0
/*
 * Which opcodes the instruction decoder claims, and what each of them means.
 *
 * Owns the opcode maps and the groups that ModRM.reg or a mandatory prefix opens. It must not look
 * at instruction bytes: finding the end of an instruction is insn.c's part.
 *
 * Encodings: SDM, "Opcode Map".
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "insn_opcode.h"

/* Not yet an operation; past enum vitrine_insn_op. */
enum {
	GROUP_ALU = 0x80,
	GROUP_ALU_ALIAS,
	GROUP_MOV,
	GROUP_UNARY,
	GROUP_INC,
	GROUP_BT,
	GROUP_WIDE,
	GROUP_MOVSXD,
	GROUP_MOVBE,
	GROUP_MOVNTI,
	GROUP_XMM,
};

/* Stands for a byte if the opcode is even, else the operand size: the opcode's "w" bit. */
#define SIZE_W	0xff

static const struct vitrine_insn_opcode one_byte[256] = {
	[0x00 ... 0x01] = { INSN_OP_ADD, FORM_RM_REG, SIZE_W },
	[0x02 ... 0x03] = { INSN_OP_ADD, FORM_REG_RM, SIZE_W },
	[0x08 ... 0x09] = { INSN_OP_OR, FORM_RM_REG, SIZE_W },
	[0x0a ... 0x0b] = { INSN_OP_OR, FORM_REG_RM, SIZE_W },
	[0x10 ... 0x11] = { INSN_OP_ADC, FORM_RM_REG, SIZE_W },
	[0x12 ... 0x13] = { INSN_OP_ADC, FORM_REG_RM, SIZE_W },
	[0x18 ... 0x19] = { INSN_OP_SBB, FORM_RM_REG, SIZE_W },
	[0x1a ... 0x1b] = { INSN_OP_SBB, FORM_REG_RM, SIZE_W },
	[0x20 ... 0x21] = { INSN_OP_AND, FORM_RM_REG, SIZE_W },
	[0x22 ... 0x23] = { INSN_OP_AND, FORM_REG_RM, SIZE_W },
	[0x28 ... 0x29] = { INSN_OP_SUB, FORM_RM_REG, SIZE_W },
	[0x2a ... 0x2b] = { INSN_OP_SUB, FORM_REG_RM, SIZE_W },
	[0x30 ... 0x31] = { INSN_OP_XOR, FORM_RM_REG, SIZE_W },
	[0x32 ... 0x33] = { INSN_OP_XOR, FORM_REG_RM, SIZE_W },
	[0x38 ... 0x39] = { INSN_OP_CMP, FORM_RM_REG, SIZE_W },
	[0x3a ... 0x3b] = { INSN_OP_CMP, FORM_REG_RM, SIZE_W },
	[0x63] = { GROUP_MOVSXD, FORM_REG_RM, 4 },
	[0x80 ... 0x81] = { GROUP_ALU, FORM_RM_IMM, SIZE_W },
	[0x82] = { GROUP_ALU_ALIAS, FORM_RM_IMM, 1 },
	[0x83] = { GROUP_ALU, FORM_RM_IMM8, 0 },
	[0x84 ... 0x85] = { INSN_OP_TEST, FORM_RM_REG, SIZE_W },
	[0x86 ... 0x87] = { INSN_OP_XCHG, FORM_RM_REG, SIZE_W },
	[0x88 ... 0x89] = { INSN_OP_MOV, FORM_RM_REG, SIZE_W },
	[0x8a ... 0x8b] = { INSN_OP_MOV, FORM_REG_RM, SIZE_W },
	[0xa0 ... 0xa1] = { INSN_OP_MOV, FORM_LOAD_OFFSET, SIZE_W },
	[0xa2 ... 0xa3] = { INSN_OP_MOV, FORM_STORE_OFFSET, SIZE_W },
	[0xa4 ... 0xa5] = { INSN_OP_MOVS, FORM_STRING, SIZE_W },
	[0xa6 ... 0xa7] = { INSN_OP_CMPS, FORM_STRING, SIZE_W },
	[0xaa ... 0xab] = { INSN_OP_STOS, FORM_STRING, SIZE_W },
	[0xac ... 0xad] = { INSN_OP_LODS, FORM_STRING, SIZE_W },
	[0xae ... 0xaf] = { INSN_OP_SCAS, FORM_STRING, SIZE_W },
	[0xc6 ... 0xc7] = { GROUP_MOV, FORM_RM_IMM, SIZE_W },
	[0xf6 ... 0xf7] = { GROUP_UNARY, FORM_RM, SIZE_W },
	[0xfe ... 0xff] = { GROUP_INC, FORM_RM, SIZE_W },
};

static const struct vitrine_insn_opcode two_byte[256] = {
	[0x10 ... 0x11] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0x28 ... 0x29] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0x2b] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0x40 ... 0x4f] = { INSN_OP_CMOV, FORM_REG_RM, 0 },
	[0x6e ... 0x6f] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0x7e ... 0x7f] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0x90 ... 0x9f] = { INSN_OP_SET, FORM_RM, 1 },
	[0xa3] = { INSN_OP_BT, FORM_RM_REG, 0 },
	[0xab] = { INSN_OP_BTS, FORM_RM_REG, 0 },
	[0xb3] = { INSN_OP_BTR, FORM_RM_REG, 0 },
	[0xbb] = { INSN_OP_BTC, FORM_RM_REG, 0 },
	[0xba] = { GROUP_BT, FORM_RM_IMM8, 0 },
	[0xb0 ... 0xb1] = { INSN_OP_CMPXCHG, FORM_RM_REG, SIZE_W },
	[0xb6] = { INSN_OP_MOVZX, FORM_REG_RM, 1 },
	[0xb7] = { INSN_OP_MOVZX, FORM_REG_RM, 2 },
	[0xbe] = { INSN_OP_MOVSX, FORM_REG_RM, 1 },
	[0xbf] = { INSN_OP_MOVSX, FORM_REG_RM, 2 },
	[0xc0 ... 0xc1] = { INSN_OP_XADD, FORM_RM_REG, SIZE_W },
	[0xc3] = { GROUP_MOVNTI, FORM_RM_REG, 0 },
	[0xc7] = { GROUP_WIDE, FORM_RM, 8 },
	[0xd6] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0xe7] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0xf0] = { GROUP_XMM, FORM_REG_RM, 16 },
};

static const struct vitrine_insn_opcode three_byte[256] = {
	[0x2a] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0xf0] = { GROUP_MOVBE, FORM_REG_RM, 0 },
	[0xf1] = { GROUP_MOVBE, FORM_RM_REG, 0 },
};

/* SSE moves by mandatory prefix. A size of 0 is four bytes, or eight with REX.W. */
static const struct xmm_move {
	u8 opcode;
	u8 prefix;
	u8 size;
	bool store;
	bool aligned;
} xmm_moves[] = {
	{ 0x10, 0x00, 16, false, false },	/* MOVUPS */
	{ 0x10, 0x66, 16, false, false },	/* MOVUPD */
	{ 0x10, 0xf3, 4, false, false },	/* MOVSS */
	{ 0x10, 0xf2, 8, false, false },	/* MOVSD */
	{ 0x11, 0x00, 16, true, false },
	{ 0x11, 0x66, 16, true, false },
	{ 0x11, 0xf3, 4, true, false },
	{ 0x11, 0xf2, 8, true, false },
	{ 0x28, 0x00, 16, false, true },	/* MOVAPS */
	{ 0x28, 0x66, 16, false, true },	/* MOVAPD */
	{ 0x29, 0x00, 16, true, true },
	{ 0x29, 0x66, 16, true, true },
	{ 0x2a, 0x66, 16, false, true },	/* MOVNTDQA; no clash, 0F 2A is not claimed */
	{ 0x2b, 0x00, 16, true, true },		/* MOVNTPS */
	{ 0x2b, 0x66, 16, true, true },		/* MOVNTPD */
	{ 0x6e, 0x66, 0, false, false },	/* MOVD, MOVQ */
	{ 0x6f, 0x66, 16, false, true },	/* MOVDQA */
	{ 0x6f, 0xf3, 16, false, false },	/* MOVDQU */
	{ 0x7e, 0x66, 0, true, false },		/* MOVD, MOVQ */
	{ 0x7e, 0xf3, 8, false, false },	/* MOVQ */
	{ 0x7f, 0x66, 16, true, true },
	{ 0x7f, 0xf3, 16, true, false },
	{ 0xd6, 0x66, 8, true, false },		/* MOVQ */
	{ 0xe7, 0x66, 16, true, true },		/* MOVNTDQ */
	{ 0xf0, 0xf2, 16, false, false },	/* LDDQU */
};

struct vitrine_insn_opcode vitrine_insn_opcode_find(enum vitrine_insn_map map, u8 byte)
{
	static const struct vitrine_insn_opcode *const maps[] = {
		[INSN_MAP_ONE_BYTE] = one_byte,
		[INSN_MAP_0F] = two_byte,
		[INSN_MAP_0F38] = three_byte,
	};

	struct vitrine_insn_opcode opcode = maps[map][byte];

	if (opcode.size == SIZE_W)
		opcode.size = byte & 1 ? 0 : 1;
	return opcode;
}

u8 vitrine_insn_operand_size(enum vitrine_insn_mode mode, const struct vitrine_insn_prefixes *p)
{
	if (p->rex & REX_W)
		return 8;
	return p->operand_size == (mode == VITRINE_INSN_16) ? 4 : 2;
}

static int resolve_xmm(struct vitrine_insn_opcode *opcode, u8 byte,
		       const struct vitrine_insn_prefixes *p)
{
	u8 prefix = p->rep ?: (p->operand_size ? 0x66 : 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(xmm_moves); i++) {
		const struct xmm_move *move = &xmm_moves[i];

		if (move->opcode != byte || move->prefix != prefix)
			continue;
		opcode->op = INSN_OP_MOV_XMM;
		opcode->form = move->store ? FORM_RM_REG : FORM_REG_RM;
		opcode->size = move->size ?: (p->rex & REX_W ? 8 : 4);
		opcode->aligned = move->aligned;
		return 0;
	}
	return -EOPNOTSUPP;
}

static int resolve_unary(struct vitrine_insn_opcode *opcode, u8 reg)
{
	if (reg > 3)
		return -EOPNOTSUPP;
	if (reg < 2) {
		opcode->op = INSN_OP_TEST;
		opcode->form = FORM_RM_IMM;
	} else {
		opcode->op = reg == 2 ? INSN_OP_NOT : INSN_OP_NEG;
	}
	return 0;
}

int vitrine_insn_opcode_resolve(struct vitrine_insn_opcode *opcode, u8 byte, u8 reg,
				enum vitrine_insn_mode mode,
				const struct vitrine_insn_prefixes *p)
{
	bool is_64bit = mode == VITRINE_INSN_64;

	switch (opcode->op) {
	case GROUP_ALU_ALIAS:
	case GROUP_ALU:
		if (opcode->op == GROUP_ALU_ALIAS && is_64bit)
			return -EINVAL;
		opcode->op = INSN_OP_ADD + reg;
		return 0;
	case GROUP_MOV:
		opcode->op = INSN_OP_MOV;
		return reg ? -EINVAL : 0;
	case GROUP_UNARY:
		return resolve_unary(opcode, reg);
	case GROUP_INC:
		opcode->op = INSN_OP_INC + reg;
		return reg > 1 ? -EOPNOTSUPP : 0;
	case GROUP_BT:
		opcode->op = INSN_OP_BT + reg - 4;
		return reg < 4 ? -EINVAL : 0;
	case GROUP_WIDE:
		opcode->op = INSN_OP_CMPXCHG_WIDE;
		opcode->aligned = p->rex & REX_W;
		opcode->size = opcode->aligned ? 16 : 8;
		return reg != 1 ? -EOPNOTSUPP : 0;
	case GROUP_MOVSXD:
		opcode->op = INSN_OP_MOVSX;
		if (vitrine_insn_operand_size(mode, p) == 2)
			opcode->size = 2;
		/* Outside of 64-bit mode it is ARPL. */
		return is_64bit ? 0 : -EOPNOTSUPP;
	case GROUP_MOVBE:
		opcode->op = INSN_OP_MOVBE;
		return p->rep ? -EOPNOTSUPP : 0;
	case GROUP_MOVNTI:
		opcode->op = INSN_OP_MOV;
		/* Four bytes in 16-bit mode too. */
		opcode->size = p->rex & REX_W ? 8 : 4;
		return p->operand_size || p->rep ? -EINVAL : 0;
	case GROUP_XMM:
		return resolve_xmm(opcode, byte, p);
	default:
		return 0;
	}
}
