/* SPDX-License-Identifier: GPL-2.0 */
/* What the decoder's two halves share: prefixes found, and what an opcode makes of them. */
#ifndef VITRINE_INSN_OPCODE_H
#define VITRINE_INSN_OPCODE_H

#include <linux/types.h>

#include "insn.h"

struct vitrine_insn_prefixes {
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

enum vitrine_insn_form {
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

struct vitrine_insn_opcode {
	u8 op;			/* enum vitrine_insn_op, or a group until it is resolved */
	u8 form;		/* enum vitrine_insn_form */
	u8 size;		/* bytes in memory; 0 stands for the operand size */
	bool aligned;
};

enum vitrine_insn_map {
	INSN_MAP_ONE_BYTE,
	INSN_MAP_0F,
	INSN_MAP_0F38,
};

/* Looks @byte up; the form is FORM_REFUSED if the decoder does not claim it. */
struct vitrine_insn_opcode vitrine_insn_opcode_find(enum vitrine_insn_map map, u8 byte);

/* Settles what ModRM.reg, the mode and the prefixes decide. Return: as vitrine_insn_decode(). */
int vitrine_insn_opcode_resolve(struct vitrine_insn_opcode *opcode, u8 byte, u8 modrm_reg,
				enum vitrine_insn_mode mode,
				const struct vitrine_insn_prefixes *p);

u8 vitrine_insn_operand_size(enum vitrine_insn_mode mode, const struct vitrine_insn_prefixes *p);

#endif
