// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's first registers: the three modes a guest can start in, with the descriptor table
 * and page tables that the mode needs, and the state a PC's firmware leaves behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

#define CR0_PE		(1ULL << 0)
#define CR0_MP		(1ULL << 1)
#define CR0_ET		(1ULL << 4)
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define EFER_LME	(1ULL << 8)
#define EFER_LMA	(1ULL << 10)
#define PTE_PRESENT	(1ULL << 0)
#define PTE_WRITABLE	(1ULL << 1)
#define PTE_LARGE	(1ULL << 7)
#define PTES_PER_PAGE	512
#define IDENTITY_PDS	4

/* Linux' boot protocol wants these two selectors. */
#define SELECTOR_CODE	0x10
#define SELECTOR_DATA	0x18
#define SELECTOR_TSS	0x20

#define SEGMENT_CODE_RX_ACCESSED 0xb
#define SEGMENT_DATA_RW_ACCESSED 0x3
#define SEGMENT_TSS_BUSY 0xb

#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLED_WB		0x806
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_FAST_STRING	1

#define LAPIC_LVT_LINT0		0x350
#define LAPIC_LVT_LINT1		0x360
#define LVT_MODE_NMI		0x400
#define LVT_MODE_EXTINT		0x700

static const struct kvm_segment flat_segment = {
	.limit = 0xffffffff,
	.present = 1,
	.s = 1,
	.g = 1,
};

static uint64_t descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;

	return (limit & 0xffff) | (limit >> 16 & 0xf) << 48 | (uint64_t)segment->type << 40 |
	       (uint64_t)segment->s << 44 | (uint64_t)segment->dpl << 45 |
	       (uint64_t)segment->present << 47 | (uint64_t)segment->l << 53 |
	       (uint64_t)segment->db << 54 | (uint64_t)segment->g << 55;
}

static void set_flat_segments(struct kvm_sregs *sregs, bool wide)
{
	struct kvm_segment code = flat_segment, data = flat_segment;

	code.selector = SELECTOR_CODE;
	code.type = SEGMENT_CODE_RX_ACCESSED;
	code.l = wide;
	code.db = !wide;
	data.selector = SELECTOR_DATA;
	data.type = SEGMENT_DATA_RW_ACCESSED;
	data.db = 1;
	sregs->cs = code;
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->tr = (struct kvm_segment) {
		.limit = 0x67,
		.selector = SELECTOR_TSS,
		.type = SEGMENT_TSS_BUSY,
		.present = 1,
	};
}

static int write_gdt(struct vitrine_vm *vm, struct kvm_sregs *sregs)
{
	uint64_t *gdt = vitrine_vm_ptr(vm, BOOT_GDT_GPA, 6 * sizeof(*gdt));

	if (!gdt)
		return -EFAULT;
	gdt[0] = 0;
	gdt[1] = 0;
	gdt[SELECTOR_CODE / 8] = descriptor(&sregs->cs);
	gdt[SELECTOR_DATA / 8] = descriptor(&sregs->ds);
	gdt[SELECTOR_TSS / 8] = descriptor(&sregs->tr);
	gdt[SELECTOR_TSS / 8 + 1] = 0;
	sregs->gdt.base = BOOT_GDT_GPA;
	sregs->gdt.limit = 6 * sizeof(*gdt) - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	return 0;
}

static int write_page_tables(struct vitrine_vm *vm)
{
	uint64_t *pml4 = vitrine_vm_ptr(vm, BOOT_PML4_GPA, 4096);
	uint64_t *pdpt = vitrine_vm_ptr(vm, BOOT_PDPT_GPA, 4096);
	uint64_t *pd = vitrine_vm_ptr(vm, BOOT_PD_GPA, IDENTITY_PDS * 4096);
	unsigned int i;

	if (!pml4 || !pdpt || !pd)
		return -EFAULT;
	memset(pml4, 0, 4096);
	memset(pdpt, 0, 4096);
	pml4[0] = BOOT_PDPT_GPA | PTE_PRESENT | PTE_WRITABLE;
	for (i = 0; i < IDENTITY_PDS; i++)
		pdpt[i] = (BOOT_PD_GPA + i * 4096) | PTE_PRESENT | PTE_WRITABLE;
	for (i = 0; i < IDENTITY_PDS * PTES_PER_PAGE; i++)
		pd[i] = i * 2 * MIB | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	return 0;
}

/* Addresses above 64 KiB are reached through CS, as after a far jump to the entry. */
static void set_real_mode(struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	struct kvm_segment *all[] = { &sregs->ds, &sregs->es, &sregs->fs, &sregs->gs, &sregs->ss };
	uint64_t base = regs->rip < 0x10000 ? 0 : regs->rip & ~0xfULL;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		all[i]->base = 0;
		all[i]->selector = 0;
	}
	sregs->cs.base = base;
	sregs->cs.selector = (uint16_t)(base >> 4);
	regs->rip -= base;
}

static int set_mode(struct vitrine_vcpu *vcpu, enum vitrine_mode mode, struct kvm_sregs *sregs,
		    struct kvm_regs *regs)
{
	int ret = 0;

	if (mode == VITRINE_MODE_REAL) {
		set_real_mode(sregs, regs);
		return 0;
	}
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP;
	sregs->cr4 = 0;
	sregs->efer = 0;
	set_flat_segments(sregs, mode == VITRINE_MODE_LONG);
	if (mode == VITRINE_MODE_LONG) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = BOOT_PML4_GPA;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
		ret = write_page_tables(vcpu->vm);
	}
	return ret ? ret : write_gdt(vcpu->vm, sregs);
}

/* Firmware leaves memory write-back and fast strings on; a device may lack either MSR. */
static void set_msrs(struct vitrine_vcpu *vcpu)
{
	struct kvm_msr_entry entries[] = {
		{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WB },
	};
	struct kvm_msrs *msrs;
	unsigned int i;

	msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
	if (!msrs)
		return;
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		msrs->nmsrs = 1;
		msrs->entries[0] = entries[i];
		ioctl(vcpu->fd, KVM_SET_MSRS, msrs);
	}
	free(msrs);
}

static void set_lvt(struct kvm_lapic_state *lapic, unsigned int offset, uint32_t mode)
{
	uint32_t value;

	memcpy(&value, lapic->regs + offset, sizeof(value));
	value = (value & ~0x700U) | mode;
	/* SDM "Local Vector Table": bit 16 masks. The boot CPU takes the PIC's interrupts. */
	value &= ~(1U << 16);
	memcpy(lapic->regs + offset, &value, sizeof(value));
}

/* "Virtual wire" mode: the PIC's interrupts come in by LINT0 until the guest takes over. */
static int set_virtual_wire(struct vitrine_vcpu *vcpu, struct vitrine_error *err)
{
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic))
		return vitrine_fail(err, errno, "vCPU %u: GET_LAPIC: %s", vcpu->id,
				    strerror(errno));
	set_lvt(&lapic, LAPIC_LVT_LINT0, LVT_MODE_EXTINT);
	set_lvt(&lapic, LAPIC_LVT_LINT1, LVT_MODE_NMI);
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic))
		return vitrine_fail(err, errno, "vCPU %u: SET_LAPIC: %s", vcpu->id,
				    strerror(errno));
	return 0;
}

int vitrine_vcpu_prepare(struct vitrine_vcpu *vcpu, unsigned int nr_cpus,
			 struct vitrine_error *err)
{
	int ret;

	if (!nr_cpus || nr_cpus > VM_CPUS_MAX)
		return vitrine_fail(err, EINVAL, "%u CPUs: 1 to %d are possible", nr_cpus,
				    VM_CPUS_MAX);
	ret = vitrine_cpuid_set(vcpu, nr_cpus, err);
	if (ret)
		return ret;
	set_msrs(vcpu);
	vcpu->prepared = true;
	return 0;
}

int vitrine_vcpu_start(struct vitrine_vcpu *vcpu, const struct vitrine_start *start,
		       struct vitrine_error *err)
{
	struct kvm_regs regs = {
		.rip = start->rip,
		.rsp = start->rsp,
		.rax = start->rax,
		.rbx = start->rbx,
		.rsi = start->rsi,
		.rflags = 2,
	};
	struct kvm_sregs sregs;
	int ret;

	if (start->mode == VITRINE_MODE_REAL && start->rip >= MIB)
		return vitrine_fail(err, EINVAL, "entry 0x%llx is out of reach in real mode",
				    (unsigned long long)start->rip);
	if (start->rip >= ENTRY_END)
		return vitrine_fail(err, EINVAL, "entry 0x%llx is out of reach, beyond 4 GiB",
				    (unsigned long long)start->rip);
	if (!vcpu->prepared) {
		ret = vitrine_vcpu_prepare(vcpu, 1, err);
		if (ret)
			return ret;
	}
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return vitrine_fail(err, errno, "vCPU %u: GET_SREGS: %s", vcpu->id,
				    strerror(errno));
	ret = set_mode(vcpu, start->mode, &sregs, &regs);
	if (ret)
		return vitrine_fail(err, -ret, "vCPU %u: no memory at 0x%llx for page tables",
				    vcpu->id, BOOT_AREA_START);
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return vitrine_fail(err, errno, "vCPU %u: SET_SREGS: %s", vcpu->id,
				    strerror(errno));
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return vitrine_fail(err, errno, "vCPU %u: SET_REGS: %s", vcpu->id,
				    strerror(errno));
	return vcpu->vm->irqchip ? set_virtual_wire(vcpu, err) : 0;
}
