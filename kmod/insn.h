/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decoding and executing one instruction that touches memory which is not RAM.
 *
 * Both halves are pure: they allocate nothing, touch no guest memory and know no vCPU, so they
 * compile for the kernel and for the host's unit tests alike. A caller does
 *
 *	ret = vitrine_insn_decode(bytes, len, mode, &s->insn);
 *	fill s->mode, s->gpr, s->rflags, s->rip, s->seg_base, s->la_bits (and s->xmm, see below)
 *	vitrine_insn_begin(s);
 *	for (;;)
 *		switch (vitrine_insn_step(s)) { ... }
 *
 * and performs each access that the step machine asks for, at once or after a trip to userspace.
 * An access that faults is abandoned by dropping the state: registers, flags and RIP change only in
 * the call that returns INSN_AGAIN or INSN_DONE.
 */
#ifndef VITRINE_INSN_H
#define VITRINE_INSN_H

#include <linux/types.h>

#define VITRINE_INSN_MAX_LEN	15

/* Default operand and address size of the code segment: CS.L (in long mode), else CS.D. */
enum vitrine_insn_mode {
	VITRINE_INSN_16,
	VITRINE_INSN_32,
	VITRINE_INSN_64,
};

/* The numbers of the ModRM encoding, which are also the indices of s->gpr. */
enum vitrine_insn_gpr {
	INSN_RAX, INSN_RCX, INSN_RDX, INSN_RBX, INSN_RSP, INSN_RBP, INSN_RSI, INSN_RDI,
	INSN_NO_REG = 0xff,
};

/* The numbers of the Sreg encoding, which are also the indices of s->seg_base. */
enum vitrine_insn_seg {
	INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS, INSN_NR_SEGS,
};

enum vitrine_insn_op {
	/* In the order of the opcode map and of ModRM.reg in its immediate group. */
	INSN_OP_ADD, INSN_OP_OR, INSN_OP_ADC, INSN_OP_SBB,
	INSN_OP_AND, INSN_OP_SUB, INSN_OP_XOR, INSN_OP_CMP,
	INSN_OP_TEST, INSN_OP_NOT, INSN_OP_NEG, INSN_OP_INC, INSN_OP_DEC,
	INSN_OP_MOV, INSN_OP_MOVZX, INSN_OP_MOVSX, INSN_OP_MOVBE,
	INSN_OP_CMOV, INSN_OP_SET,
	INSN_OP_XCHG, INSN_OP_XADD, INSN_OP_CMPXCHG,
	INSN_OP_CMPXCHG_WIDE,	/* CMPXCHG8B, CMPXCHG16B: mem_size tells which */
	/* In the order of ModRM.reg in their immediate group. */
	INSN_OP_BT, INSN_OP_BTS, INSN_OP_BTR, INSN_OP_BTC,
	/* Strings. MOVS and CMPS have a second memory operand, always ES:rDI. */
	INSN_OP_MOVS, INSN_OP_CMPS, INSN_OP_STOS, INSN_OP_LODS, INSN_OP_SCAS,
	INSN_OP_MOV_XMM,	/* any SSE move of 4, 8 or 16 bytes as they are */
};

enum vitrine_insn_src {
	INSN_SRC_NONE,		/* unary, or implied by the operation */
	INSN_SRC_REG,		/* the other operand is reg (a GPR; an XMM for INSN_OP_MOV_XMM) */
	INSN_SRC_IMM,		/* the other operand is imm */
};

enum vitrine_insn_rep {
	INSN_REP_NONE,
	INSN_REP,		/* F3, or F2 where it means the same */
	INSN_REPNE,		/* F2 on CMPS and SCAS */
};

#define INSN_ACCESS_READ	0x1
#define INSN_ACCESS_WRITE	0x2

struct vitrine_insn_mem {
	u8 seg;			/* enum vitrine_insn_seg, after override and default */
	u8 base;		/* 0..15 or INSN_NO_REG */
	u8 index;		/* 0..15 or INSN_NO_REG */
	u8 scale;		/* 1, 2, 4, 8; 0 without index */
	u8 addr_size;		/* 2, 4, 8 bytes */
	bool rip_relative;	/* disp counts from the next instruction; no base, no index */
	s64 disp;		/* sign-extended; a whole offset (A0..A3) is zero-extended */
};

/**
 * struct vitrine_insn - one decoded instruction
 * @op:		enum vitrine_insn_op
 * @len:	length in bytes, prefixes included
 * @mem_size:	bytes of each access to memory: 1, 2, 4, 8 or 16
 * @access:	INSN_ACCESS_*: what happens to @mem (not to the second operand of a string)
 * @mem_first:	the memory operand is written first in the Intel syntax, that is, memory is the
 *		destination, or the left side of a comparison
 * @src:	enum vitrine_insn_src: what stands beside the memory operand
 * @reg:	register number, when @src is INSN_SRC_REG
 * @reg_size:	bytes of @reg that take part; larger than @mem_size for MOVZX and MOVSX
 * @reg_high:	@reg is 0..3 and means AH, CH, DH, BH
 * @cond:	condition code of CMOV and SET (low nibble of the opcode)
 * @rep:	enum vitrine_insn_rep
 * @lock:	LOCK prefix present (XCHG locks without it)
 * @aligned:	#GP(0) unless the address is a multiple of @mem_size
 * @imm:	immediate, sign-extended to 64 bits
 * @mem:	the memory operand; of a string with two, the one at rSI
 */
struct vitrine_insn {
	u8 op;
	u8 len;
	u8 mem_size;
	u8 access;
	bool mem_first;
	u8 src;
	u8 reg;
	u8 reg_size;
	bool reg_high;
	u8 cond;
	u8 rep;
	bool lock;
	bool aligned;
	u64 imm;
	struct vitrine_insn_mem mem;
};

enum vitrine_insn_step {
	INSN_READ,		/* put s->size bytes from s->gva into s->data, then step again */
	INSN_WRITE,		/* put s->size bytes of s->data to s->gva, then step again */
	INSN_AGAIN,		/* one REP iteration is done, RIP stands still: step or stop */
	INSN_DONE,		/* the instruction is done, RIP is past it */
	INSN_FAULT,		/* deliver exception s->vector with error code 0; nothing changed */
};

/**
 * struct vitrine_insn_state - an instruction on its way; plain, to live in a vCPU across exits
 * @insn:	filled by vitrine_insn_decode()
 * @mode:	enum vitrine_insn_mode, the one given to the decoder
 * @la_bits:	width of canonical addresses in 64-bit mode, 48 or 57
 * @gpr:	the 16 general registers by their encoding, where the caller has them
 * @rflags:	only status flags change
 * @rip:	of this instruction
 * @seg_base:	bases by enum vitrine_insn_seg; those that 64-bit mode ignores may hold anything
 * @xmm:	when vitrine_insn_loads_xmm(): the new value of XMM register insn.reg at INSN_DONE;
 *		when vitrine_insn_stores_xmm(): its present value, filled in before the first step
 * @gva:	linear address of the access asked for; may cross a page, never checked for limits
 *		(the processor did that for the access that exited; @seg and @offset are for a
 *		caller that has reason to repeat it)
 * @offset:	the same before the segment base
 * @data:	the bytes of the access
 * @size:	of the access
 * @seg:	of the access
 * @vector:	exception number after INSN_FAULT
 * @phase:	private
 * @first:	private: the operand read before the one under way
 */
struct vitrine_insn_state {
	struct vitrine_insn insn;
	u8 mode;
	u8 la_bits;
	u64 *gpr;
	u64 rflags;
	u64 rip;
	u64 seg_base[INSN_NR_SEGS];
	u64 xmm[2];

	u64 gva;
	u64 offset;
	u8 data[16];
	u8 size;
	u8 seg;
	u8 vector;

	u8 phase;
	u64 first[2];
};

/**
 * vitrine_insn_decode() - decode the instruction at the start of a buffer
 * @bytes:	instruction bytes; nothing beyond @len is read
 * @len:	how many there are; more than 15 are never looked at
 * @mode:	default operand and address size
 * @insn:	result; unspecified unless 0 is returned
 *
 * Return: 0; -ENODATA if the buffer ends before the instruction does; -E2BIG if the instruction
 * is longer than 15 bytes (#GP); -EINVAL if it is undefined (#UD); -EOPNOTSUPP if it is one that
 * this decoder does not do, such as any that has no memory operand.
 */
int vitrine_insn_decode(const u8 *bytes, unsigned int len, enum vitrine_insn_mode mode,
			struct vitrine_insn *insn);

static inline bool vitrine_insn_loads_xmm(const struct vitrine_insn *insn)
{
	return insn->op == INSN_OP_MOV_XMM && !insn->mem_first;
}

static inline bool vitrine_insn_stores_xmm(const struct vitrine_insn *insn)
{
	return insn->op == INSN_OP_MOV_XMM && insn->mem_first;
}

/* Starts, or starts over, the instruction in @s. */
void vitrine_insn_begin(struct vitrine_insn_state *s);

/* Runs on to the next access, the end of an iteration, the end, or a fault. */
enum vitrine_insn_step vitrine_insn_step(struct vitrine_insn_state *s);

#endif
