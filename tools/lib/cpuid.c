// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUID tells the guest: what the device supports, with the fields that depend on the
 * machine (APIC id, topology, TSC frequency) put in. Nothing is invented: a leaf that the
 * device does not report stays away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

#define CPUID_ENTRIES_MAX	256
#define LEAF_TSC		0x15
#define LEAF_FREQUENCY		0x16
#define LEAF1_ECX_TSC_DEADLINE	(1U << 24)
#define LEAF1_ECX_HYPERVISOR	(1U << 31)
#define LEAF1_EDX_HTT		(1U << 28)
#define TOPOLOGY_SMT		1
#define TOPOLOGY_CORE		2
/* The local APIC timer counts at 1 GHz under the KVM ABI; Linux takes that for the crystal. */
#define CRYSTAL_KHZ		1000000U
#define CRYSTAL_SLACK_KHZ	1000U

static int supported(struct vitrine *dev, struct kvm_cpuid2 **result, struct vitrine_error *err)
{
	struct kvm_cpuid2 *cpuid;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return vitrine_fail(err, ENOMEM, "out of memory");
	cpuid->nent = CPUID_ENTRIES_MAX;
	if (ioctl(dev->fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		ret = vitrine_fail(err, errno, "GET_SUPPORTED_CPUID: %s", strerror(errno));
		free(cpuid);
		return ret;
	}
	*result = cpuid;
	return 0;
}

/* The architectural minimum with PAE where leaf 0x80000008 is missing. */
#define GPA_BITS_DEFAULT 36

unsigned int vitrine_cpuid_gpa_bits(struct vitrine *dev)
{
	unsigned int bits = GPA_BITS_DEFAULT;
	struct kvm_cpuid2 *cpuid;
	unsigned int i;

	if (supported(dev, &cpuid, NULL))
		return bits;
	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0x80000008)
			bits = cpuid->entries[i].eax & 0xff;
	free(cpuid);
	return bits;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *entry;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		entry = &cpuid->entries[i];
		if (entry->function == function && entry->index == index)
			return entry;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *find_or_add(struct kvm_cpuid2 *cpuid, unsigned int max_entries,
					    uint32_t function)
{
	struct kvm_cpuid_entry2 *entry = find(cpuid, function, 0);

	if (entry || cpuid->nent == max_entries)
		return entry;
	entry = &cpuid->entries[cpuid->nent++];
	memset(entry, 0, sizeof(*entry));
	entry->function = function;
	return entry;
}

/*
 * A good numerator / denominator for TSC over crystal by continued fractions. Linux computes
 * crystal_khz * numerator in 32 bits, which bounds the numerator; what the ratio misses, the
 * crystal's frequency takes up, so that the TSC's comes out right.
 */
static void tsc_ratio(uint32_t tsc_khz, uint32_t *numerator, uint32_t *denominator)
{
	uint64_t limit = UINT32_MAX / (CRYSTAL_KHZ + CRYSTAL_SLACK_KHZ);
	uint64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0, a = tsc_khz, b = CRYSTAL_KHZ;

	while (b) {
		uint64_t quotient = a / b, rest = a % b;
		uint64_t p2 = quotient * p1 + p0, q2 = quotient * q1 + q0;

		if (p2 > limit || q2 > UINT32_MAX)
			break;
		p0 = p1;
		q0 = q1;
		p1 = p2;
		q1 = q2;
		a = b;
		b = rest;
	}
	*numerator = (uint32_t)p1;
	*denominator = (uint32_t)q1;
}

static void patch_tsc(struct kvm_cpuid2 *cpuid, unsigned int max_entries, uint32_t tsc_khz)
{
	struct kvm_cpuid_entry2 *base = find(cpuid, 0, 0);
	struct kvm_cpuid_entry2 *tsc, *frequency;
	uint64_t crystal_khz;

	if (!base || !tsc_khz)
		return;
	tsc = find_or_add(cpuid, max_entries, LEAF_TSC);
	frequency = find_or_add(cpuid, max_entries, LEAF_FREQUENCY);
	if (!tsc || !frequency)
		return;
	tsc_ratio(tsc_khz, &tsc->ebx, &tsc->eax);
	if (!tsc->ebx || !tsc->eax) {
		tsc->eax = 0;
		tsc->ebx = 0;
		return;
	}
	crystal_khz = ((uint64_t)tsc_khz * tsc->eax + tsc->ebx / 2) / tsc->ebx;
	tsc->ecx = (uint32_t)crystal_khz * 1000;
	tsc->edx = 0;
	frequency->eax = (tsc_khz + 500) / 1000;
	frequency->ebx = frequency->eax;
	frequency->ecx = 100;
	frequency->edx = 0;
	if (base->eax < LEAF_FREQUENCY)
		base->eax = LEAF_FREQUENCY;
}

static unsigned int bits_for(unsigned int count)
{
	unsigned int bits = 0;

	while ((1U << bits) < count)
		bits++;
	return bits;
}

/* One package, one thread a core: level 0 has one member, level 1 all of them. */
static void patch_topology(struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int nr_cpus)
{
	entry->edx = id;
	entry->ecx = entry->index;
	if (entry->index == 0) {
		entry->eax = 0;
		entry->ebx = 1;
		entry->ecx |= TOPOLOGY_SMT << 8;
	} else if (entry->index == 1) {
		entry->eax = bits_for(nr_cpus);
		entry->ebx = nr_cpus;
		entry->ecx |= TOPOLOGY_CORE << 8;
	} else {
		entry->eax = 0;
		entry->ebx = 0;
	}
}

void vitrine_cpuid_patch(struct kvm_cpuid2 *cpuid, unsigned int max_entries, unsigned int id,
			 unsigned int nr_cpus, uint32_t tsc_khz, bool tsc_deadline)
{
	struct kvm_cpuid_entry2 *entry;
	uint32_t topology[] = { 0xb, 0x1f };
	unsigned int i;

	/* Level 1 of a topology leaf is ours to add: a device may report only level 0. */
	for (i = 0; i < ARRAY_SIZE(topology); i++) {
		entry = find(cpuid, topology[i], 0);
		if (!entry || find(cpuid, topology[i], 1) || cpuid->nent == max_entries)
			continue;
		entry->flags |= KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid->entries[cpuid->nent] = *entry;
		cpuid->entries[cpuid->nent++].index = 1;
	}
	for (i = 0; i < cpuid->nent; i++) {
		entry = &cpuid->entries[i];
		switch (entry->function) {
		case 0x1:
			entry->ebx &= 0x0000ffff;
			entry->ebx |= id << 24 | (nr_cpus & 0xff) << 16;
			entry->ecx |= LEAF1_ECX_HYPERVISOR;
			entry->edx &= ~LEAF1_EDX_HTT;
			if (nr_cpus > 1)
				entry->edx |= LEAF1_EDX_HTT;
			if (tsc_deadline)
				entry->ecx |= LEAF1_ECX_TSC_DEADLINE;
			break;
		case 0x4:
			/* Cores in the package, in bits 31:26; each cache belongs to one core. */
			if (entry->eax & 0x1f) {
				entry->eax &= 0x3fff;
				entry->eax |= ((1U << bits_for(nr_cpus)) - 1) << 26;
			}
			break;
		case 0xb:
		case 0x1f:
			patch_topology(entry, id, nr_cpus);
			break;
		case 0x80000008:
			/* Cores by AMD's reckoning; Intel leaves ECX zero. */
			entry->ecx = 0;
			break;
		}
	}
	patch_tsc(cpuid, max_entries, tsc_khz);
}

int vitrine_cpuid_set(struct vitrine_vcpu *vcpu, unsigned int nr_cpus, struct vitrine_error *err)
{
	struct vitrine *dev = vcpu->vm->dev;
	struct kvm_cpuid2 *cpuid;
	int tsc_khz, ret;

	ret = supported(dev, &cpuid, err);
	if (ret)
		return ret;
	tsc_khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	vitrine_cpuid_patch(cpuid, CPUID_ENTRIES_MAX, vcpu->id, nr_cpus,
			    tsc_khz > 0 ? (uint32_t)tsc_khz : 0,
			    vcpu->vm->irqchip && vitrine_check(dev, KVM_CAP_TSC_DEADLINE_TIMER));
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		ret = vitrine_fail(err, errno, "vCPU %u: SET_CPUID2: %s", vcpu->id,
				   strerror(errno));
	free(cpuid);
	return ret;
}
