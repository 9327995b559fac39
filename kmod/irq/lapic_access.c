// SPDX-License-Identifier: GPL-2.0
/*
 * Owns a guest's view of its local APIC's registers: the MMIO page of xAPIC mode, the MSRs of
 * x2APIC mode, and what a write to each register does. Which registers and bits exist is
 * lapic_regs.c's.
 */
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "cpuid.h"
#include "irq_glue.h"
#include "lapic.h"
#include "lapic_regs.h"
#include "vm.h"

#define X2APIC_MSRS_END		0x8ff
/* All but delivery status, which software copies back. */
#define ICR_RESERVED_X2		0xfff32000ull
#define LVT_READ_ONLY		(APIC_SEND_PENDING | APIC_LVT_REMOTE_IRR)
#define CPUID_1_ECX_TSC_DEADLINE	BIT(24)

static bool is_lvt(u32 offset)
{
	return (offset >= APIC_LVTT && offset <= APIC_LVTERR) || offset == APIC_LVTCMCI;
}

static struct vitrine_lapic_reg reg_of(struct vitrine_lapic *lapic, u32 offset)
{
	/* The one that not every APIC has. */
	if (unlikely(offset == APIC_LVTCMCI) && !vitrine_lapic_has_cmci(lapic))
		return (struct vitrine_lapic_reg){ 0, 0 };
	return vitrine_lapic_reg_find(offset);
}

static u32 writable_bits(struct vitrine_lapic *lapic, u32 offset)
{
	u32 writable = reg_of(lapic, offset).writable;
	const struct kvm_cpuid_entry2 *entry;

	if (offset == APIC_SPIV && vitrine_lapic_get(lapic, APIC_LVR) & APIC_LVR_DIRECTED_EOI)
		writable |= APIC_SPIV_DIRECTED_EOI;
	if (offset == APIC_LVTT) {
		entry = vitrine_cpuid_find(lapic->vcpu, 1, 0);
		if (!entry || !(entry->ecx & CPUID_1_ECX_TSC_DEADLINE))
			writable &= ~APIC_LVT_TIMER_TSCDEADLINE;
	}
	return writable;
}

static u32 lapic_read(struct vitrine_lapic *lapic, u32 offset)
{
	/* What is in service may have ended. */
	if (unlikely(lapic->vcpu->apic_words & VITRINE_WORD_EOI_OFFERED))
		vitrine_pv_eoi_take_back(lapic->vcpu);
	if (offset == APIC_TMCCT)
		return vitrine_lapic_timer_count(lapic);
	if (offset == APIC_PROCPRI)
		return vitrine_lapic_ppr(lapic);
	if (unlikely(lapic->reports_tpr) && offset == APIC_TASKPRI)
		vitrine_vapic_report_tpr(lapic, false);
	return vitrine_lapic_get(lapic, offset);
}

static void write_spiv(struct vitrine_lapic *lapic, u32 value)
{
	u32 offset;

	vitrine_lapic_put(lapic, APIC_SPIV, value);
	if (!(value & APIC_SPIV_APIC_ENABLED))
		for (offset = APIC_LVTT; offset <= APIC_LVTERR; offset += 16)
			vitrine_lapic_put(lapic, offset,
					  vitrine_lapic_get(lapic, offset) | APIC_LVT_MASKED);
	if (!(value & APIC_SPIV_APIC_ENABLED) && vitrine_lapic_has_cmci(lapic))
		vitrine_lapic_put(lapic, APIC_LVTCMCI,
				  vitrine_lapic_get(lapic, APIC_LVTCMCI) | APIC_LVT_MASKED);
	vitrine_lapic_refresh(lapic);
}

static void write_lvt(struct vitrine_lapic *lapic, u32 offset, u32 value)
{
	if (!(vitrine_lapic_get(lapic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED))
		value |= APIC_LVT_MASKED;
	vitrine_lapic_put(lapic, offset, value);
	if (offset == APIC_LVTT)
		vitrine_lapic_timer_update_lvt(lapic);
	else if (offset == APIC_LVT0)
		/* The PIC may have waited for the pin to open. */
		vitrine_vcpu_request(lapic->vcpu, VITRINE_REQ_EVENT);
}

/* @value holds writable bits only. */
static void lapic_write(struct vitrine_lapic *lapic, u32 offset, u32 value)
{
	switch (offset) {
	case APIC_EOI:
		vitrine_lapic_end_service(lapic);
		break;
	case APIC_TASKPRI:
		if (unlikely(lapic->reports_tpr))
			vitrine_vapic_report_tpr(lapic, true);
		vitrine_lapic_put(lapic, offset, value);
		if (READ_ONCE(lapic->irr_pending))
			vitrine_vcpu_request(lapic->vcpu, VITRINE_REQ_EVENT);
		break;
	case APIC_ICR:
		vitrine_lapic_write_icr(lapic, value, vitrine_lapic_get(lapic, APIC_ICR2));
		break;
	case APIC_SELF_IPI:
		vitrine_lapic_send_ipi(lapic, APIC_DEST_SELF | value, 0);
		break;
	case APIC_TMICT:
		if (lapic->timer.mode == APIC_LVT_TIMER_TSCDEADLINE) {
			vitrine_lapic_put(lapic, offset, 0);
			break;
		}
		vitrine_lapic_put(lapic, offset, value);
		vitrine_lapic_timer_start(lapic, value);
		break;
	case APIC_TDCR:
		vitrine_lapic_put(lapic, offset, value);
		vitrine_lapic_timer_update_divisor(lapic);
		break;
	case APIC_SPIV:
		write_spiv(lapic, value);
		break;
	case APIC_ESR:
		vitrine_lapic_put(lapic, offset, atomic_xchg(&lapic->errors, 0));
		break;
	case APIC_DFR:
		vitrine_lapic_put(lapic, offset, value | ~reg_of(lapic, offset).writable);
		break;
	default:
		if (is_lvt(offset))
			write_lvt(lapic, offset, value);
		else
			vitrine_lapic_put(lapic, offset, value);
		break;
	}
}

/* Without an APIC at its page KVM's guests find ones there, and their VMMs hear of nothing. */
static int in_hole(struct vitrine_vcpu *vcpu)
{
	return vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE) ? 0 : -EOPNOTSUPP;
}

/*
 * Aligned 32-bit accesses are architectural; a narrower read inside a register is what old code
 * does.
 */
int vitrine_lapic_mmio_read(struct vitrine_vcpu *vcpu, gpa_t gpa, void *data,
			    unsigned int len_bytes)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	u32 offset = gpa & ~PAGE_MASK;
	u32 within = offset & 0xf;
	u32 value;

	if (unlikely(lapic->mode != VITRINE_LAPIC_XAPIC)) {
		memset(data, 0xff, len_bytes);
		return in_hole(vcpu);
	}
	memset(data, 0, len_bytes);
	offset &= ~0xfu;
	if (!(reg_of(lapic, offset).access & (VITRINE_LAPIC_READ | VITRINE_LAPIC_WRITE))) {
		vitrine_lapic_log_error(lapic, APIC_ESR_ILLREGA);
		return 0;
	}
	if (within + len_bytes > sizeof(value))
		return 0;
	value = lapic_read(lapic, offset);
	memcpy(data, (u8 *)&value + within, len_bytes);
	return 0;
}

static void xapic_write(struct vitrine_lapic *lapic, u32 offset, u32 value)
{
	value &= writable_bits(lapic, offset);
	/* Both mode bits together are reserved. */
	if (offset == APIC_LVTT && value & APIC_LVT_TIMER_PERIODIC)
		value &= ~APIC_LVT_TIMER_TSCDEADLINE;
	lapic_write(lapic, offset, value);
}

/* "APIC-Write Emulation": of the registers that the processor lets through, one is no guest's. */
void vitrine_lapic_written(struct vitrine_lapic *lapic, u32 offset)
{
	u32 value = vitrine_lapic_get(lapic, offset);

	if (offset == APIC_ID) {
		vitrine_lapic_put(lapic, APIC_ID, lapic->vcpu->id << 24);
	} else if (offset == APIC_SELF_IPI) {
		vitrine_lapic_put(lapic, offset, 0);
		lapic_write(lapic, offset, value & APIC_VECTOR_MASK);
	} else {
		xapic_write(lapic, offset, value);
	}
}

int vitrine_lapic_mmio_write(struct vitrine_vcpu *vcpu, gpa_t gpa, const void *data,
			     unsigned int len_bytes)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	u32 offset = gpa & ~PAGE_MASK;
	u32 value;

	if (unlikely(lapic->mode != VITRINE_LAPIC_XAPIC))
		return in_hole(vcpu);
	if (len_bytes != sizeof(value) || offset & 0xf)
		return 0;
	memcpy(&value, data, sizeof(value));
	if (!(reg_of(lapic, offset).access & VITRINE_LAPIC_WRITE)) {
		if (!(reg_of(lapic, offset).access & VITRINE_LAPIC_READ))
			vitrine_lapic_log_error(lapic, APIC_ESR_ILLREGA);
		return 0;
	}
	xapic_write(lapic, offset, value);
	return 0;
}

static int x2apic_write(struct vitrine_lapic *lapic, u32 offset, u64 data)
{
	const u32 both_modes = APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE;
	u32 writable;

	if (offset == APIC_ICR) {
		if (data & ICR_RESERVED_X2)
			return -EINVAL;
		vitrine_lapic_write_icr(lapic, data & ~APIC_ICR_BUSY, data >> 32);
		return 0;
	}
	if (!(reg_of(lapic, offset).access & VITRINE_LAPIC_WRITE_X2))
		return -EINVAL;
	writable = writable_bits(lapic, offset);
	if (is_lvt(offset))
		data &= ~(u64)LVT_READ_ONLY;
	if (data & ~(u64)writable)
		return -EINVAL;
	if (offset == APIC_LVTT && (data & both_modes) == both_modes)
		return -EINVAL;
	lapic_write(lapic, offset, data);
	return 0;
}

int vitrine_lapic_msr_write(struct vitrine_vcpu *vcpu, u32 msr, u64 data)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (!lapic)
		return -EINVAL;
	if (msr == MSR_IA32_TSC_DEADLINE) {
		vitrine_lapic_set_tsc_deadline(vcpu, data);
		return 0;
	}
	if (lapic->mode != VITRINE_LAPIC_X2APIC || msr < APIC_BASE_MSR || msr > X2APIC_MSRS_END)
		return -EINVAL;
	return x2apic_write(lapic, (msr - APIC_BASE_MSR) << 4, data);
}

bool vitrine_lapic_msr_write_fast(struct vitrine_vcpu *vcpu, u32 msr, u64 data)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	switch (msr) {
	case MSR_IA32_TSC_DEADLINE:
		/* Only a guest that has the feature can be in this mode. */
		if (lapic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE)
			return false;
		vitrine_lapic_set_tsc_deadline(vcpu, data);
		return true;
	case APIC_BASE_MSR + (APIC_EOI >> 4):
		if (lapic->mode != VITRINE_LAPIC_X2APIC || data)
			return false;
		vitrine_lapic_end_service(lapic);
		return true;
	case APIC_BASE_MSR + (APIC_ICR >> 4):
		return lapic->mode == VITRINE_LAPIC_X2APIC && !x2apic_write(lapic, APIC_ICR, data);
	default:
		return false;
	}
}

int vitrine_lapic_msr_read(struct vitrine_vcpu *vcpu, u32 msr, u64 *data)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	u32 offset;

	if (!lapic)
		return -EINVAL;
	if (msr == MSR_IA32_TSC_DEADLINE) {
		*data = vitrine_lapic_get_tsc_deadline(vcpu);
		return 0;
	}
	if (lapic->mode != VITRINE_LAPIC_X2APIC || msr < APIC_BASE_MSR || msr > X2APIC_MSRS_END)
		return -EINVAL;
	offset = (msr - APIC_BASE_MSR) << 4;
	if (!(reg_of(lapic, offset).access & VITRINE_LAPIC_READ_X2))
		return -EINVAL;
	*data = lapic_read(lapic, offset);
	if (offset == APIC_ICR)
		*data |= (u64)vitrine_lapic_get(lapic, APIC_ICR2) << 32;
	return 0;
}
