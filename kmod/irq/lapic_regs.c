// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the register map of the local APIC as the SDM draws it ("Local APIC Register Address Map",
 * "x2APIC Register Address Space"). Pure, it also builds on the host; it must not hold state.
 */
#include <linux/types.h>
#include <asm/apicdef.h>

#include "lapic_regs.h"

#define R	VITRINE_LAPIC_READ
#define W	VITRINE_LAPIC_WRITE
#define R2	VITRINE_LAPIC_READ_X2
#define W2	VITRINE_LAPIC_WRITE_X2
#define ALL	(R | W | R2 | W2)

#define LVT_COMMON	(APIC_LVT_MASKED | APIC_VECTOR_MASK)
#define LVT_MODE	APIC_MODE_MASK
#define LVT_TIMER	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)
#define LVT_LINT	(LVT_COMMON | LVT_MODE | APIC_INPUT_POLARITY | APIC_LVT_LEVEL_TRIGGER)

#define SPIV_BITS	(APIC_VECTOR_MASK | APIC_SPIV_APIC_ENABLED | APIC_SPIV_FOCUS_DISABLED)

#define INDEX(offset)	((offset) >> 4)
#define LAST(offset)	(INDEX(offset) + APIC_ISR_NR - 1)

static const struct vitrine_lapic_reg regs[INDEX(0x400)] = {
	[INDEX(APIC_ID)]	= { R | R2, 0 },
	[INDEX(APIC_LVR)]	= { R | R2, 0 },
	[INDEX(APIC_TASKPRI)]	= { ALL, APIC_TPRI_MASK },
	[INDEX(APIC_ARBPRI)]	= { R, 0 },
	[INDEX(APIC_PROCPRI)]	= { R | R2, 0 },
	[INDEX(APIC_EOI)]	= { R | W | W2, 0 },
	[INDEX(APIC_RRR)]	= { R, 0 },
	[INDEX(APIC_LDR)]	= { R | W | R2, APIC_LDR_MASK },
	[INDEX(APIC_DFR)]	= { R | W, 0xf0000000 },
	[INDEX(APIC_SPIV)]	= { ALL, SPIV_BITS },
	[INDEX(APIC_ISR) ... LAST(APIC_ISR)] = { R | R2, 0 },
	[INDEX(APIC_TMR) ... LAST(APIC_TMR)] = { R | R2, 0 },
	[INDEX(APIC_IRR) ... LAST(APIC_IRR)] = { R | R2, 0 },
	[INDEX(APIC_ESR)]	= { ALL, 0 },
	[INDEX(APIC_LVTCMCI)]	= { ALL, LVT_COMMON | LVT_MODE },
	[INDEX(APIC_ICR)]	= { ALL, (u32)~APIC_ICR_BUSY },
	[INDEX(APIC_ICR2)]	= { R | W, 0xff000000 },
	[INDEX(APIC_LVTT)]	= { ALL, LVT_COMMON | LVT_TIMER },
	[INDEX(APIC_LVTTHMR)]	= { ALL, LVT_COMMON | LVT_MODE },
	[INDEX(APIC_LVTPC)]	= { ALL, LVT_COMMON | LVT_MODE },
	[INDEX(APIC_LVT0)]	= { ALL, LVT_LINT },
	[INDEX(APIC_LVT1)]	= { ALL, LVT_LINT },
	[INDEX(APIC_LVTERR)]	= { ALL, LVT_COMMON },
	[INDEX(APIC_TMICT)]	= { ALL, 0xffffffff },
	[INDEX(APIC_TMCCT)]	= { R | R2, 0 },
	[INDEX(APIC_TDCR)]	= { ALL, APIC_TDR_DIV_1 },
	[INDEX(APIC_SELF_IPI)]	= { W2, APIC_VECTOR_MASK },
};

struct vitrine_lapic_reg vitrine_lapic_reg_find(u32 offset)
{
	if (offset >= 0x400 || offset & 0xf)
		return (struct vitrine_lapic_reg){ 0, 0 };
	return regs[INDEX(offset)];
}

u32 vitrine_lapic_divisor(u32 tdcr)
{
	/* Bits 3, 1 and 0 count powers of two from 2 on; 7 wraps to 1. */
	u32 code = (tdcr & 3) | (tdcr & 8) >> 1;

	return 1u << ((code + 1) & 7);
}

u32 vitrine_lapic_x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 0xf);
}
