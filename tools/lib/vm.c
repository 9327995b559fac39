// SPDX-License-Identifier: GPL-2.0
/*
 * A VM: its file descriptor, its memory and its interrupt controllers. It owns the vCPUs only
 * to free them; what they run is vcpu.c's business.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define PAGE_BYTES 4096ULL
#define HUGE_BYTES (2 * MIB)

/* KVM wants three pages below 4 GiB to run real mode on CPUs without unrestricted guest. */
static int set_tss_addr(struct vitrine_vm *vm, struct vitrine_error *err)
{
	uint64_t identity = IDENTITY_MAP_GPA;

	if (vitrine_check(vm->dev, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
	    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity))
		return vitrine_fail(err, errno, "SET_IDENTITY_MAP_ADDR: %s", strerror(errno));
	if (vitrine_check(vm->dev, KVM_CAP_SET_TSS_ADDR) &&
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA))
		return vitrine_fail(err, errno, "SET_TSS_ADDR: %s", strerror(errno));
	return 0;
}

struct vitrine_vm *vitrine_vm_create(struct vitrine *dev, struct vitrine_error *err)
{
	struct vitrine_vm *vm = calloc(1, sizeof(*vm));
	const char *advice = "";

	if (!vm) {
		vitrine_fail(err, ENOMEM, "out of memory");
		return NULL;
	}
	vm->dev = dev;
	do {
		vm->fd = ioctl(dev->fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0) {
		if (errno == EBUSY)
			advice = " (another hypervisor holds VMX; 'vitrine info' names it)";
		else if (errno == ENODEV || errno == EOPNOTSUPP || errno == EIO)
			advice = " ('vitrine info' and the kernel log say why)";
		vitrine_fail(err, errno, "%s: CREATE_VM: %s%s", dev->path, strerror(errno),
			     advice);
		goto err_free;
	}
	if (set_tss_addr(vm, err))
		goto err_close;
	return vm;

err_close:
	close(vm->fd);
err_free:
	free(vm);
	return NULL;
}

void vitrine_vm_destroy(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned int i;

	if (!vm)
		return;
	while ((vcpu = vm->vcpus)) {
		vm->vcpus = vcpu->next;
		munmap(vcpu->run, vcpu->run_size);
		close(vcpu->fd);
		free(vcpu);
	}
	close(vm->fd);
	for (i = 0; i < vm->nr_mappings; i++)
		munmap(vm->mappings[i].hva, vm->mappings[i].size);
	free(vm);
}

int vitrine_vm_fd(const struct vitrine_vm *vm)
{
	return vm->fd;
}

/*
 * Guest-physical and host addresses must agree modulo 2 MiB, or the hypervisor cannot use a
 * large page for both; so reserve more and give back what sticks out.
 */
static uint8_t *map_aligned(uint64_t gpa, uint64_t size)
{
	uint64_t slack = size >= HUGE_BYTES ? HUGE_BYTES : 0;
	uint64_t lead;
	uint8_t *area;

	area = mmap(NULL, size + slack, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED || !slack)
		return area;
	lead = (gpa - (uint64_t)(uintptr_t)area) & (HUGE_BYTES - 1);
	if (lead)
		munmap(area, lead);
	if (slack - lead)
		munmap(area + lead + size, slack - lead);
	/* Fails only where the kernel has no huge pages; then small ones have to do. */
	madvise(area + lead, size, MADV_HUGEPAGE);
	return area + lead;
}

static int add_mapping(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
		       struct vitrine_error *err)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = gpa };
	struct vm_mapping *mapping;
	unsigned int i;
	int ret;

	if ((gpa | size) & (PAGE_BYTES - 1) || !size || gpa + size < gpa ||
	    size > SIZE_MAX - HUGE_BYTES)
		return vitrine_fail(err, EINVAL, "memory at 0x%llx, 0x%llx bytes: not whole pages",
				    (unsigned long long)gpa, (unsigned long long)size);
	for (i = 0; i < vm->nr_mappings; i++) {
		mapping = &vm->mappings[i];
		if (gpa < mapping->gpa + mapping->size && mapping->gpa < gpa + size)
			return vitrine_fail(err, EEXIST, "memory at 0x%llx overlaps that at 0x%llx",
					    (unsigned long long)gpa,
					    (unsigned long long)mapping->gpa);
	}
	if (vm->nr_mappings == VM_MAPPINGS_MAX)
		return vitrine_fail(err, ENOSPC, "more than %d memory mappings", VM_MAPPINGS_MAX);

	mapping = &vm->mappings[vm->nr_mappings];
	mapping->gpa = gpa;
	mapping->size = size;
	mapping->hva = map_aligned(gpa, size);
	if (mapping->hva == MAP_FAILED)
		return vitrine_fail(err, errno, "cannot reserve %llu MiB of address space: %s",
				    (unsigned long long)(size / MIB), strerror(errno));
	region.slot = vm->nr_mappings;
	region.memory_size = size;
	region.userspace_addr = (uintptr_t)mapping->hva;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region)) {
		ret = vitrine_fail(err, errno,
				   "memory at 0x%llx, %llu MiB: SET_USER_MEMORY_REGION: %s",
				   (unsigned long long)gpa, (unsigned long long)(size / MIB),
				   strerror(errno));
		munmap(mapping->hva, size);
		return ret;
	}
	vm->nr_mappings++;
	return 0;
}

/* Before any vCPU can have seen it. */
static void drop_last_mapping(struct vitrine_vm *vm)
{
	struct kvm_userspace_memory_region region = { .slot = vm->nr_mappings - 1 };
	struct vm_mapping *mapping = &vm->mappings[region.slot];

	ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
	munmap(mapping->hva, mapping->size);
	vm->nr_mappings--;
}

void *vitrine_vm_map(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
		     struct vitrine_error *err)
{
	if (add_mapping(vm, gpa, size, err))
		return NULL;
	return vm->mappings[vm->nr_mappings - 1].hva;
}

int vitrine_vm_map_ram(struct vitrine_vm *vm, uint64_t size, struct vitrine_error *err)
{
	uint64_t low = size < PCI_HOLE_START ? size : PCI_HOLE_START;
	uint64_t high = size - low;
	unsigned int bits;
	int ret;

	if (size < MIB)
		return vitrine_fail(err, EINVAL, "less than 1 MiB of memory");
	if (high) {
		bits = vitrine_cpuid_gpa_bits(vm->dev);
		if (bits < 64 && high > (1ULL << bits) - PCI_HOLE_END)
			return vitrine_fail(err, EINVAL,
					    "memory: guests here have %u address bits, %llu GiB at most",
					    bits, ((1ULL << bits) - GIB) / GIB);
	}
	ret = add_mapping(vm, 0, low, err);
	if (!ret && high) {
		ret = add_mapping(vm, PCI_HOLE_END, high, err);
		if (ret)
			drop_last_mapping(vm);
	}
	if (!ret)
		vm->ram_size = size;
	return ret;
}

uint64_t vitrine_vm_ram_size(const struct vitrine_vm *vm)
{
	return vm->ram_size;
}

void *vitrine_vm_ptr(const struct vitrine_vm *vm, uint64_t gpa, uint64_t size)
{
	const struct vm_mapping *mapping;
	unsigned int i;

	for (i = 0; i < vm->nr_mappings; i++) {
		mapping = &vm->mappings[i];
		if (gpa >= mapping->gpa && gpa - mapping->gpa <= mapping->size &&
		    size <= mapping->size - (gpa - mapping->gpa))
			return mapping->hva + (gpa - mapping->gpa);
	}
	return NULL;
}

int vitrine_vm_add_irqchip(struct vitrine_vm *vm, struct vitrine_error *err)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		return vitrine_fail(err, errno, "CREATE_IRQCHIP: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		return vitrine_fail(err, errno, "CREATE_PIT2: %s", strerror(errno));
	vm->irqchip = true;
	return 0;
}

int vitrine_vm_irq(struct vitrine_vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	return ioctl(vm->fd, KVM_IRQ_LINE, &line) ? -errno : 0;
}
