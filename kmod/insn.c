// SPDX-License-Identifier: GPL-2.0
/*
 * Instruction decoder: bytes in, struct vitrine_insn out.
 *
 * Owns which instructions are recognised. It claims those that compilers and kernels point at
 * device memory and refuses all others, so that what it accepts is exactly understood. It must not
 * read beyond the buffer, know register contents, or judge an access.
 *
 * Encodings: SDM, "Instruction Format" and "Opcode Map".
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "insn.h"

struct cursor {
	const u8 *bytes;
	unsigned int len;
	unsigned int pos;
	int err;
};

struct prefixes {
	bool operand_size;
	bool address_size;
	bool lock;
	u8 rep;			/* F2, F3 or 0: the last one counts */
	u8 seg;			/* enum vitrine_insn_seg or INSN_NR_SEGS */
	u8 rex;
};

#define REX_B	0x1
#define REX_X	0x2
#define REX_R	0x4
#define REX_W	0x8

enum form {
	FORM_REFUSED,
	FORM_RM_REG,		/* memory first */
	FORM_REG_RM,
	FORM_RM,
	FORM_RM_IMM,		/* immediate of the operand size, at most four bytes */
	FORM_RM_IMM8,
	FORM_LOAD_OFFSET,
	FORM_STORE_OFFSET,
	FORM_STRING,
};

/* Operations that ModRM.reg, the mode or a mandatory prefix decides; past enum vitrine_insn_op. */
enum {
	GROUP_ALU = 0x80,
	GROUP_ALU_ALIAS,
	GROUP_MOV,
	GROUP_UNARY,
	GROUP_INC,
	GROUP_BT,
	GROUP_WIDE,
	GROUP_MOVSXD,
	GROUP_MOVNTI,
	GROUP_XMM,
};

struct opcode {
	u8 op;
	u8 form;
	u8 size;		/* bytes in memory; 0 stands for the operand size */
};

#define ROW(first, o, f)	[first] = { o, f, 1 }, [(first) + 1] = { o, f, 0 }
#define ALU_ROWS(first, o)	ROW(first, o, FORM_RM_REG), ROW((first) + 2, o, FORM_REG_RM)

static const struct opcode one_byte[256] = {
	ALU_ROWS(0x00, INSN_OP_ADD),
	ALU_ROWS(0x08, INSN_OP_OR),
	ALU_ROWS(0x10, INSN_OP_ADC),
	ALU_ROWS(0x18, INSN_OP_SBB),
	ALU_ROWS(0x20, INSN_OP_AND),
	ALU_ROWS(0x28, INSN_OP_SUB),
	ALU_ROWS(0x30, INSN_OP_XOR),
	ALU_ROWS(0x38, INSN_OP_CMP),
	[0x63] = { GROUP_MOVSXD, FORM_REG_RM, 4 },
	ROW(0x80, GROUP_ALU, FORM_RM_IMM),
	[0x82] = { GROUP_ALU_ALIAS, FORM_RM_IMM, 1 },
	[0x83] = { GROUP_ALU, FORM_RM_IMM8, 0 },
	ROW(0x84, INSN_OP_TEST, FORM_RM_REG),
	ROW(0x86, INSN_OP_XCHG, FORM_RM_REG),
	ROW(0x88, INSN_OP_MOV, FORM_RM_REG),
	ROW(0x8a, INSN_OP_MOV, FORM_REG_RM),
	ROW(0xa0, INSN_OP_MOV, FORM_LOAD_OFFSET),
	ROW(0xa2, INSN_OP_MOV, FORM_STORE_OFFSET),
	ROW(0xa4, INSN_OP_MOVS, FORM_STRING),
	ROW(0xa6, INSN_OP_CMPS, FORM_STRING),
	ROW(0xaa, INSN_OP_STOS, FORM_STRING),
	ROW(0xac, INSN_OP_LODS, FORM_STRING),
	ROW(0xae, INSN_OP_SCAS, FORM_STRING),
	ROW(0xc6, GROUP_MOV, FORM_RM_IMM),
	ROW(0xf6, GROUP_UNARY, FORM_RM),
	ROW(0xfe, GROUP_INC, FORM_RM),
};

static const struct opcode two_byte[256] = {
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
	ROW(0xb0, INSN_OP_CMPXCHG, FORM_RM_REG),
	[0xb6] = { INSN_OP_MOVZX, FORM_REG_RM, 1 },
	[0xb7] = { INSN_OP_MOVZX, FORM_REG_RM, 2 },
	[0xbe] = { INSN_OP_MOVSX, FORM_REG_RM, 1 },
	[0xbf] = { INSN_OP_MOVSX, FORM_REG_RM, 2 },
	ROW(0xc0, INSN_OP_XADD, FORM_RM_REG),
	[0xc3] = { GROUP_MOVNTI, FORM_RM_REG, 0 },
	[0xc7] = { GROUP_WIDE, FORM_RM, 8 },
	[0xd6] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0xe7] = { GROUP_XMM, FORM_REG_RM, 16 },
	[0xf0] = { GROUP_XMM, FORM_REG_RM, 16 },
};

static const struct opcode movbe_load = { INSN_OP_MOVBE, FORM_REG_RM, 0 };
static const struct opcode movbe_store = { INSN_OP_MOVBE, FORM_RM_REG, 0 };
static const struct opcode movntdqa = { GROUP_XMM, FORM_REG_RM, 16 };
static const struct opcode refused;

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
	{ 0x2a, 0x66, 16, false, true },	/* MOVNTDQA, in the 0F 38 map */
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

static u8 next_byte(struct cursor *c)
{
	if (c->err)
		return 0;
	if (c->pos == VITRINE_INSN_MAX_LEN)
		c->err = -E2BIG;
	else if (c->pos == c->len)
		c->err = -ENODATA;
	else
		return c->bytes[c->pos++];
	return 0;
}

static u64 next_unsigned(struct cursor *c, unsigned int size)
{
	unsigned int i;
	u64 value = 0;

	for (i = 0; i < size; i++)
		value |= (u64)next_byte(c) << (8 * i);
	return value;
}

static s64 next_signed(struct cursor *c, unsigned int size)
{
	switch (size) {
	case 1:
		return (s8)next_unsigned(c, 1);
	case 2:
		return (s16)next_unsigned(c, 2);
	default:
		return (s32)next_unsigned(c, 4);
	}
}

static void override_segment(struct prefixes *p, enum vitrine_insn_mode mode, u8 seg)
{
	/* 64-bit mode ignores the other four, even where they follow FS or GS. */
	if (mode != VITRINE_INSN_64 || seg >= INSN_FS)
		p->seg = seg;
}

/* Returns the first byte that is no prefix. */
static u8 decode_prefixes(struct cursor *c, enum vitrine_insn_mode mode, struct prefixes *p)
{
	for (;;) {
		u8 byte = next_byte(c);

		if (mode == VITRINE_INSN_64 && (byte & 0xf0) == 0x40) {
			p->rex = byte;
			continue;
		}

		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			override_segment(p, mode, INSN_ES + ((byte >> 3) & 3));
			break;
		case 0x64:
		case 0x65:
			override_segment(p, mode, INSN_FS + (byte & 1));
			break;
		case 0x66:
			p->operand_size = true;
			break;
		case 0x67:
			p->address_size = true;
			break;
		case 0xf0:
			p->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			p->rep = byte;
			break;
		default:
			return byte;
		}
		/* REX counts only right in front of the opcode. */
		p->rex = 0;
	}
}

static const struct opcode *decode_opcode(struct cursor *c, const struct prefixes *p, u8 *byte)
{
	if (*byte != 0x0f)
		return &one_byte[*byte];

	*byte = next_byte(c);
	if (*byte != 0x38)
		return &two_byte[*byte];

	*byte = next_byte(c);
	switch (*byte) {
	case 0x2a:
		return &movntdqa;
	case 0xf0:
		return p->rep ? &refused : &movbe_load;
	case 0xf1:
		return p->rep ? &refused : &movbe_store;
	default:
		return &refused;
	}
}

static u8 operand_size(enum vitrine_insn_mode mode, const struct prefixes *p)
{
	if (p->rex & REX_W)
		return 8;
	return p->operand_size == (mode == VITRINE_INSN_16) ? 4 : 2;
}

static u8 address_size(enum vitrine_insn_mode mode, const struct prefixes *p)
{
	if (mode == VITRINE_INSN_64)
		return p->address_size ? 4 : 8;
	return p->address_size == (mode == VITRINE_INSN_16) ? 4 : 2;
}

/* SDM, "16-Bit Addressing Forms with the ModR/M Byte" */
static void decode_mem16(struct cursor *c, u8 mod, u8 rm, struct vitrine_insn_mem *mem)
{
	static const struct {
		u8 base;
		u8 index;
		u8 seg;
	} forms[8] = {
		{ INSN_RBX, INSN_RSI, INSN_DS },
		{ INSN_RBX, INSN_RDI, INSN_DS },
		{ INSN_RBP, INSN_RSI, INSN_SS },
		{ INSN_RBP, INSN_RDI, INSN_SS },
		{ INSN_RSI, INSN_NO_REG, INSN_DS },
		{ INSN_RDI, INSN_NO_REG, INSN_DS },
		{ INSN_RBP, INSN_NO_REG, INSN_SS },
		{ INSN_RBX, INSN_NO_REG, INSN_DS },
	};

	if (mod == 0 && rm == 6) {
		mem->disp = next_signed(c, 2);
		return;
	}
	mem->base = forms[rm].base;
	mem->index = forms[rm].index;
	mem->scale = mem->index != INSN_NO_REG;
	mem->seg = forms[rm].seg;
	if (mod)
		mem->disp = next_signed(c, mod);
}

/* SDM, "32-Bit Addressing Forms with the ModR/M Byte" and "REX Prefixes" */
static void decode_mem32(struct cursor *c, u8 mod, u8 rm, enum vitrine_insn_mode mode,
			 const struct prefixes *p, struct vitrine_insn_mem *mem)
{
	bool has_sib = rm == 4;
	u8 base = rm;

	if (has_sib) {
		u8 sib = next_byte(c);
		u8 index = ((sib >> 3) & 7) | (p->rex & REX_X ? 8 : 0);

		base = sib & 7;
		if (index != INSN_RSP) {
			mem->index = index;
			mem->scale = 1 << (sib >> 6);
		}
	}

	if (mod == 0 && base == 5) {
		mem->disp = next_signed(c, 4);
		mem->rip_relative = !has_sib && mode == VITRINE_INSN_64;
		return;
	}
	mem->base = base | (p->rex & REX_B ? 8 : 0);
	if (mem->base == INSN_RSP || mem->base == INSN_RBP)
		mem->seg = INSN_SS;
	if (mod)
		mem->disp = next_signed(c, mod == 1 ? 1 : 4);
}

/* Settles what ModRM.reg or the mode leaves open in the opcode. */
static int resolve_group(struct opcode *oc, enum vitrine_insn_mode mode,
			 const struct prefixes *p, u8 reg)
{
	switch (oc->op) {
	case GROUP_ALU_ALIAS:
		if (mode == VITRINE_INSN_64)
			return -EINVAL;
		fallthrough;
	case GROUP_ALU:
		oc->op = INSN_OP_ADD + reg;
		return 0;
	case GROUP_MOV:
		oc->op = INSN_OP_MOV;
		return reg ? -EINVAL : 0;
	case GROUP_UNARY:
		if (reg > 3)
			return -EOPNOTSUPP;
		if (reg < 2) {
			oc->op = INSN_OP_TEST;
			oc->form = FORM_RM_IMM;
		} else {
			oc->op = reg == 2 ? INSN_OP_NOT : INSN_OP_NEG;
		}
		return 0;
	case GROUP_INC:
		if (reg > 1)
			return -EOPNOTSUPP;
		oc->op = INSN_OP_INC + reg;
		return 0;
	case GROUP_BT:
		if (reg < 4)
			return -EINVAL;
		oc->op = INSN_OP_BT + reg - 4;
		return 0;
	case GROUP_WIDE:
		if (reg != 1)
			return -EOPNOTSUPP;
		oc->op = INSN_OP_CMPXCHG_WIDE;
		if (p->rex & REX_W)
			oc->size = 16;
		return 0;
	case GROUP_MOVSXD:
		if (mode != VITRINE_INSN_64)
			return -EOPNOTSUPP;
		oc->op = INSN_OP_MOVSX;
		if (operand_size(mode, p) == 2)
			oc->size = 2;
		return 0;
	case GROUP_MOVNTI:
		oc->op = INSN_OP_MOV;
		return p->operand_size || p->rep ? -EINVAL : 0;
	default:
		return 0;
	}
}

static int resolve_xmm(struct opcode *oc, const struct prefixes *p, u8 byte, bool *aligned)
{
	u8 prefix = p->rep ?: (p->operand_size ? 0x66 : 0);
	unsigned int i;

	for (i = 0; i < sizeof(xmm_moves) / sizeof(xmm_moves[0]); i++) {
		const struct xmm_move *move = &xmm_moves[i];

		if (move->opcode != byte || move->prefix != prefix)
			continue;
		oc->op = INSN_OP_MOV_XMM;
		oc->form = move->store ? FORM_RM_REG : FORM_REG_RM;
		oc->size = move->size ?: (p->rex & REX_W ? 8 : 4);
		*aligned = move->aligned;
		return 0;
	}
	return -EOPNOTSUPP;
}

static u8 memory_access(const struct vitrine_insn *insn)
{
	switch (insn->op) {
	case INSN_OP_CMP:
	case INSN_OP_TEST:
	case INSN_OP_BT:
		return INSN_ACCESS_READ;
	case INSN_OP_MOV:
	case INSN_OP_MOVBE:
	case INSN_OP_MOV_XMM:
	case INSN_OP_SET:
	case INSN_OP_STOS:
		return insn->mem_first ? INSN_ACCESS_WRITE : INSN_ACCESS_READ;
	default:
		return insn->mem_first ? INSN_ACCESS_READ | INSN_ACCESS_WRITE : INSN_ACCESS_READ;
	}
}

static void set_reg(struct vitrine_insn *insn, u8 reg, u8 size, const struct prefixes *p)
{
	insn->src = INSN_SRC_REG;
	insn->reg = reg;
	insn->reg_size = size;
	if (size == 1 && !p->rex && reg >= 4) {
		insn->reg -= 4;
		insn->reg_high = true;
	}
}

/* Operands that follow from the opcode alone: whole offsets and strings. */
static void decode_implied(struct cursor *c, const struct opcode *oc, const struct prefixes *p,
			   struct vitrine_insn *insn)
{
	struct vitrine_insn_mem *mem = &insn->mem;

	if (oc->form != FORM_STRING) {
		set_reg(insn, INSN_RAX, insn->mem_size, p);
		insn->mem_first = oc->form == FORM_STORE_OFFSET;
		mem->disp = next_unsigned(c, mem->addr_size);
		return;
	}

	if (oc->op != INSN_OP_MOVS && oc->op != INSN_OP_CMPS)
		set_reg(insn, INSN_RAX, insn->mem_size, p);
	insn->mem_first = oc->op == INSN_OP_STOS;
	mem->base = INSN_RSI;
	if (oc->op == INSN_OP_STOS || oc->op == INSN_OP_SCAS) {
		mem->base = INSN_RDI;
		mem->seg = INSN_ES;
	}
	if (p->rep == 0xf2 && (oc->op == INSN_OP_CMPS || oc->op == INSN_OP_SCAS))
		insn->rep = INSN_REPNE;
	else if (p->rep)
		insn->rep = INSN_REP;
}

static int decode_modrm(struct cursor *c, struct opcode *oc, u8 byte, enum vitrine_insn_mode mode,
			const struct prefixes *p, struct vitrine_insn *insn)
{
	u8 modrm = next_byte(c);
	u8 reg = (modrm >> 3) & 7;
	u8 size;
	int ret;

	if (c->err)
		return c->err;
	if (modrm >> 6 == 3)
		return -EOPNOTSUPP;

	if (oc->op == GROUP_XMM)
		ret = resolve_xmm(oc, p, byte, &insn->aligned);
	else
		ret = resolve_group(oc, mode, p, reg);
	if (ret)
		return ret;

	if (insn->mem.addr_size == 2)
		decode_mem16(c, modrm >> 6, modrm & 7, &insn->mem);
	else
		decode_mem32(c, modrm >> 6, modrm & 7, mode, p, &insn->mem);

	size = oc->size ?: operand_size(mode, p);
	insn->mem_size = size;
	insn->mem_first = oc->form != FORM_REG_RM;
	reg |= p->rex & REX_R ? 8 : 0;

	switch (oc->form) {
	case FORM_RM_REG:
	case FORM_REG_RM:
		if (oc->op == INSN_OP_MOVZX || oc->op == INSN_OP_MOVSX)
			set_reg(insn, reg, operand_size(mode, p), p);
		else
			set_reg(insn, reg, oc->op == INSN_OP_MOV_XMM ? 16 : size, p);
		break;
	case FORM_RM_IMM:
		insn->src = INSN_SRC_IMM;
		insn->imm = next_signed(c, size);
		break;
	case FORM_RM_IMM8:
		insn->src = INSN_SRC_IMM;
		insn->imm = next_signed(c, 1);
		break;
	}
	return 0;
}

int vitrine_insn_decode(const u8 *bytes, unsigned int len, enum vitrine_insn_mode mode,
			struct vitrine_insn *insn)
{
	struct cursor c = { .bytes = bytes, .len = len };
	struct prefixes p = { .seg = INSN_NR_SEGS };
	struct opcode oc;
	u8 byte;
	int ret;

	memset(insn, 0, sizeof(*insn));
	byte = decode_prefixes(&c, mode, &p);
	oc = *decode_opcode(&c, &p, &byte);
	if (c.err)
		return c.err;
	if (oc.form == FORM_REFUSED)
		return -EOPNOTSUPP;

	insn->mem.addr_size = address_size(mode, &p);
	insn->mem.base = INSN_NO_REG;
	insn->mem.index = INSN_NO_REG;
	insn->mem.seg = INSN_DS;
	insn->cond = oc.op == INSN_OP_CMOV || oc.op == INSN_OP_SET ? byte & 0xf : 0;

	if (oc.form >= FORM_LOAD_OFFSET) {
		insn->mem_size = oc.size ?: operand_size(mode, &p);
		decode_implied(&c, &oc, &p, insn);
	} else {
		ret = decode_modrm(&c, &oc, byte, mode, &p, insn);
		if (ret)
			return ret;
	}
	if (c.err)
		return c.err;

	insn->op = oc.op;
	insn->len = c.pos;
	insn->lock = p.lock;
	insn->access = memory_access(insn);
	insn->aligned |= insn->mem_size == 16 && insn->op == INSN_OP_CMPXCHG_WIDE;
	/* ES:rDI of a string cannot be overridden. */
	if (p.seg != INSN_NR_SEGS && !(oc.form == FORM_STRING && insn->mem.base == INSN_RDI))
		insn->mem.seg = p.seg;

	/* SDM, "LOCK": only these may carry it, and they are just the ones that read and write. */
	if (p.lock && insn->access != (INSN_ACCESS_READ | INSN_ACCESS_WRITE))
		return -EINVAL;
	return 0;
}
