// SPDX-License-Identifier: GPL-2.0
/*
 * From segment and offset to guest-physical addresses, with the faults on the way. It must not
 * access what is there: that is its callers' part, and some of it is no memory.
 */
#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "guest.h"
#include "linear.h"
#include "vcpu.h"

/* SDM, "Code- and Data-Segment Descriptor Types" */
#define TYPE_CODE		0x8
#define TYPE_EXPAND_DOWN	0x4	/* data */
#define TYPE_WRITABLE		0x2	/* data; of code it means readable */

/* SDM, "Limit Checking" and "Type Checking" */
static bool segment_allows(const struct kvm_segment *seg, u64 offset, unsigned int len_bytes,
			   bool write)
{
	u64 last = offset + len_bytes - 1;

	if (!seg->present)
		return false;
	if (seg->type & TYPE_CODE)
		return !write && seg->type & TYPE_WRITABLE && last <= seg->limit;
	if (write && !(seg->type & TYPE_WRITABLE))
		return false;
	if (!(seg->type & TYPE_EXPAND_DOWN))
		return last <= seg->limit;
	return offset > seg->limit && last <= (seg->db ? U32_MAX : U16_MAX);
}

static bool is_canonical(struct vitrine_vcpu *vcpu, u64 address)
{
	unsigned int shift = vcpu->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(address << shift) >> shift) == address;
}

bool vitrine_linear_address(struct vitrine_vcpu *vcpu, enum vitrine_insn_mode mode,
			    unsigned int seg, u64 offset, unsigned int len_bytes, bool write,
			    gva_t *gva)
{
	struct kvm_segment var;
	u64 address = offset;

	if (mode == VITRINE_INSN_64) {
		if (seg == VITRINE_SEG_FS || seg == VITRINE_SEG_GS) {
			vitrine_backend->get_segment(vcpu, seg, &var);
			address += var.base;
		}
		if (!is_canonical(vcpu, address) || !is_canonical(vcpu, address + len_bytes - 1))
			return false;
	} else {
		vitrine_backend->get_segment(vcpu, seg, &var);
		if (!segment_allows(&var, offset, len_bytes, write))
			return false;
		address = (u32)(address + var.base);
	}
	*gva = address;
	return true;
}

void vitrine_linear_fault(struct vitrine_vcpu *vcpu, unsigned int seg)
{
	vitrine_vcpu_queue_exception(vcpu, seg == VITRINE_SEG_SS ? X86_TRAP_SS : X86_TRAP_GP, true,
				     0);
}

int vitrine_linear_page(struct vitrine_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa)
{
	struct vitrine_walk walk;
	int ret = vitrine_guest_walk(vcpu, gva, access, &walk);

	if (ret)
		return ret;
	if (walk.fault) {
		vitrine_vcpu_queue_page_fault(vcpu, gva, walk.error_code);
		return EXIT_RESUME;
	}
	*gpa = walk.gpa;
	return 0;
}

int vitrine_linear_translate(struct vitrine_vcpu *vcpu, enum vitrine_insn_mode mode, gva_t gva,
			     unsigned int len_bytes, bool write, struct vitrine_span *span)
{
	u32 access = write ? VITRINE_ACCESS_WRITE : 0;
	u64 mask = mode == VITRINE_INSN_64 ? U64_MAX : U32_MAX;
	int ret;

	if (vitrine_backend->get_cpl(vcpu) == 3)
		access |= VITRINE_ACCESS_USER;
	span->first_bytes = min_t(unsigned int, len_bytes, PAGE_SIZE - offset_in_page(gva));
	ret = vitrine_linear_page(vcpu, gva, access, &span->gpa);
	if (ret || span->first_bytes == len_bytes)
		return ret;
	return vitrine_linear_page(vcpu, (gva + span->first_bytes) & mask, access, &span->gpa_next);
}
