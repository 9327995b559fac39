/* SPDX-License-Identifier: GPL-2.0 */
/* Which local APIC registers exist and which of their bits software may set: pure tables. */
#ifndef VITRINE_IRQ_LAPIC_REGS_H
#define VITRINE_IRQ_LAPIC_REGS_H

#include <linux/types.h>

/* Access rights, for the MMIO page (xAPIC) and for the MSRs (x2APIC). */
#define VITRINE_LAPIC_READ	0x1
#define VITRINE_LAPIC_WRITE	0x2
#define VITRINE_LAPIC_READ_X2	0x4
#define VITRINE_LAPIC_WRITE_X2	0x8

/**
 * struct vitrine_lapic_reg - one register
 * @access: VITRINE_LAPIC_*; 0 for an address that is reserved
 * @writable: bits that a write can set; the others read as they did (MMIO) or fault (MSR)
 */
struct vitrine_lapic_reg {
	u8 access;
	u32 writable;
};

/* @offset: in the page, a multiple of 16 below 0x400; anything else is reserved. */
struct vitrine_lapic_reg vitrine_lapic_reg_find(u32 offset);
/* The divide configuration register's divisor: 1 to 128. */
u32 vitrine_lapic_divisor(u32 tdcr);
/* The logical id that x2APIC mode derives from the APIC id. */
u32 vitrine_lapic_x2apic_ldr(u32 id);

#endif
