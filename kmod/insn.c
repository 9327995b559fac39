// SPDX-License-Identifier: GPL-2.0
/*
 * Instruction decoder: bytes in, struct vitrine_insn out.
 *
 * Owns the walk over the bytes: prefixes, opcode, ModRM, SIB, displacement, immediate. What the
 * opcodes mean stands in insn_opcode.c. It claims the instructions that compilers and kernels point
 * at device memory and refuses all others, so that what it accepts is exactly understood. It must
 * not read beyond the buffer, know register contents, or judge an access.
 *
 * Encodings: SDM, "Instruction Format".
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "insn_opcode.h"

struct cursor {
	const u8 *bytes;
	unsigned int len;
	unsigned int pos;
	int err;
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

static void override_segment(struct vitrine_insn_prefixes *p, enum vitrine_insn_mode mode, u8 seg)
{
	/* 64-bit mode ignores the other four, even where they follow FS or GS. */
	if (mode != VITRINE_INSN_64 || seg >= INSN_FS)
		p->seg = seg;
}

/* Returns the first byte that is no prefix. */
static u8 decode_prefixes(struct cursor *c, enum vitrine_insn_mode mode,
			  struct vitrine_insn_prefixes *p)
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

static u8 address_size(enum vitrine_insn_mode mode, const struct vitrine_insn_prefixes *p)
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
			 const struct vitrine_insn_prefixes *p, struct vitrine_insn_mem *mem)
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

static void set_reg(struct vitrine_insn *insn, u8 reg, u8 size,
		    const struct vitrine_insn_prefixes *p)
{
	insn->src = INSN_SRC_REG;
	insn->reg = reg;
	insn->reg_size = size;
	if (size == 1 && !p->rex && reg >= 4) {
		insn->reg -= 4;
		insn->reg_high = true;
	}
}

/* A whole offset in place of ModRM: always with the accumulator. */
static void decode_offset(struct cursor *c, u8 form, const struct vitrine_insn_prefixes *p,
			  struct vitrine_insn *insn)
{
	set_reg(insn, INSN_RAX, insn->mem_size, p);
	insn->mem_first = form == FORM_STORE_OFFSET;
	insn->mem.disp = next_unsigned(c, insn->mem.addr_size);
}

static void decode_string(const struct vitrine_insn_prefixes *p, struct vitrine_insn *insn)
{
	struct vitrine_insn_mem *mem = &insn->mem;

	if (insn->op != INSN_OP_MOVS && insn->op != INSN_OP_CMPS)
		set_reg(insn, INSN_RAX, insn->mem_size, p);
	insn->mem_first = insn->op == INSN_OP_STOS;
	mem->base = INSN_RSI;
	if (insn->op == INSN_OP_STOS || insn->op == INSN_OP_SCAS) {
		mem->base = INSN_RDI;
		/* Not to be overridden. */
		mem->seg = INSN_ES;
	}
	if (p->rep == 0xf2 && (insn->op == INSN_OP_CMPS || insn->op == INSN_OP_SCAS))
		insn->rep = INSN_REPNE;
	else if (p->rep)
		insn->rep = INSN_REP;
}

/* Everything after ModRM, when the opcode is settled. */
static void decode_operands(struct cursor *c, u8 modrm, u8 form, enum vitrine_insn_mode mode,
			    const struct vitrine_insn_prefixes *p, struct vitrine_insn *insn)
{
	u8 reg = ((modrm >> 3) & 7) | (p->rex & REX_R ? 8 : 0);
	u8 size = insn->mem_size;

	if (insn->mem.addr_size == 2)
		decode_mem16(c, modrm >> 6, modrm & 7, &insn->mem);
	else
		decode_mem32(c, modrm >> 6, modrm & 7, mode, p, &insn->mem);
	if (p->seg != INSN_NR_SEGS)
		insn->mem.seg = p->seg;

	insn->mem_first = form != FORM_REG_RM;
	switch (form) {
	case FORM_RM_REG:
	case FORM_REG_RM:
		if (insn->op == INSN_OP_MOVZX || insn->op == INSN_OP_MOVSX)
			size = vitrine_insn_operand_size(mode, p);
		else if (insn->op == INSN_OP_MOV_XMM)
			size = 16;
		set_reg(insn, reg, size, p);
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
}

static struct vitrine_insn_opcode decode_opcode(struct cursor *c, u8 *byte)
{
	if (*byte != 0x0f)
		return vitrine_insn_opcode_find(INSN_MAP_ONE_BYTE, *byte);
	*byte = next_byte(c);
	if (*byte != 0x38)
		return vitrine_insn_opcode_find(INSN_MAP_0F, *byte);
	*byte = next_byte(c);
	return vitrine_insn_opcode_find(INSN_MAP_0F38, *byte);
}

int vitrine_insn_decode(const u8 *bytes, unsigned int len, enum vitrine_insn_mode mode,
			struct vitrine_insn *insn)
{
	struct vitrine_insn_prefixes p = { .seg = INSN_NR_SEGS };
	struct cursor c = { .bytes = bytes, .len = len };
	struct vitrine_insn_opcode opcode;
	bool has_modrm;
	u8 byte, modrm = 0;
	int ret;

	memset(insn, 0, sizeof(*insn));
	byte = decode_prefixes(&c, mode, &p);
	opcode = decode_opcode(&c, &byte);
	if (!c.err && opcode.form == FORM_REFUSED)
		return -EOPNOTSUPP;
	has_modrm = opcode.form < FORM_LOAD_OFFSET;
	if (has_modrm)
		modrm = next_byte(&c);
	if (c.err)
		return c.err;
	if (has_modrm && modrm >> 6 == 3)
		return -EOPNOTSUPP;
	ret = vitrine_insn_opcode_resolve(&opcode, byte, (modrm >> 3) & 7, mode, &p);
	if (ret)
		return ret;

	insn->op = opcode.op;
	insn->mem_size = opcode.size ?: vitrine_insn_operand_size(mode, &p);
	insn->aligned = opcode.aligned;
	insn->lock = p.lock;
	if (insn->op == INSN_OP_CMOV || insn->op == INSN_OP_SET)
		insn->cond = byte & 0xf;
	insn->mem.addr_size = address_size(mode, &p);
	insn->mem.base = INSN_NO_REG;
	insn->mem.index = INSN_NO_REG;
	insn->mem.seg = p.seg != INSN_NR_SEGS ? p.seg : INSN_DS;

	if (opcode.form == FORM_STRING)
		decode_string(&p, insn);
	else if (!has_modrm)
		decode_offset(&c, opcode.form, &p, insn);
	else
		decode_operands(&c, modrm, opcode.form, mode, &p, insn);
	if (c.err)
		return c.err;

	insn->len = c.pos;
	insn->access = memory_access(insn);
	/* SDM, "LOCK": only these may carry it, and they are just the ones that read and write. */
	if (p.lock && insn->access != (INSN_ACCESS_READ | INSN_ACCESS_WRITE))
		return -EINVAL;
	return 0;
}
