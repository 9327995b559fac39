// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CHECK_EXTENSION: what is offered, with which value, and what is not. Runs the same on KVM.
 */
#include <cpuid.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define NR_CAPS		512	/* more than any kernel knows */

struct extension {
	const char *name;
	long cap;
	int value;
};

#define EXTENSION(name, value)	{ #name, KVM_CAP_##name, value }

/* The same on every host. */
static const struct extension offered[] = {
	EXTENSION(IRQCHIP, 1), EXTENSION(HLT, 1), EXTENSION(MMU_SHADOW_CACHE_CONTROL, 1),
	EXTENSION(USER_MEMORY, 1), EXTENSION(SET_TSS_ADDR, 1), EXTENSION(EXT_CPUID, 1),
	EXTENSION(CLOCKSOURCE, 1), EXTENSION(NOP_IO_DELAY, 1), EXTENSION(INTERNAL_ERROR_DATA, 1),
	EXTENSION(PIT, 1), EXTENSION(MP_STATE, 1), EXTENSION(COALESCED_MMIO, 2),
	EXTENSION(SYNC_MMU, 1), EXTENSION(DESTROY_MEMORY_REGION_WORKS, 1),
	EXTENSION(USER_NMI, 1), EXTENSION(MCE, 32), EXTENSION(SET_GUEST_DEBUG, 1),
	EXTENSION(REINJECT_CONTROL, 1), EXTENSION(IRQ_ROUTING, 4096),
	EXTENSION(IRQ_INJECT_STATUS, 1), EXTENSION(JOIN_MEMORY_REGIONS_WORKS, 1),
	EXTENSION(IRQFD, 1), EXTENSION(PIT2, 1), EXTENSION(SET_BOOT_CPU_ID, 1),
	EXTENSION(PIT_STATE2, 1), EXTENSION(IOEVENTFD, 1), EXTENSION(SET_IDENTITY_MAP_ADDR, 1),
	EXTENSION(VCPU_EVENTS, 1), EXTENSION(DEBUGREGS, 1), EXTENSION(X86_ROBUST_SINGLESTEP, 1),
	EXTENSION(ENABLE_CAP, 1), EXTENSION(XSAVE, 1), EXTENSION(GET_TSC_KHZ, 1),
	EXTENSION(DIRTY_LOG_RING, 65536 * sizeof(struct kvm_dirty_gfn)),
	EXTENSION(DIRTY_LOG_RING_ACQ_REL, 65536 * sizeof(struct kvm_dirty_gfn)),
	EXTENSION(TSC_DEADLINE_TIMER, 1), EXTENSION(KVMCLOCK_CTRL, 1), EXTENSION(SIGNAL_MSI, 1),
	EXTENSION(READONLY_MEM, 1), EXTENSION(IRQFD_RESAMPLE, 1), EXTENSION(EXT_EMUL_CPUID, 1),
	EXTENSION(IOEVENTFD_NO_LENGTH, 1), EXTENSION(ENABLE_CAP_VM, 1),
	EXTENSION(CHECK_EXTENSION_VM, 1), EXTENSION(SPLIT_IRQCHIP, 1),
	EXTENSION(IOEVENTFD_ANY_LENGTH, 1), EXTENSION(IMMEDIATE_EXIT, 1),
	EXTENSION(X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK),
	EXTENSION(SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS),
	EXTENSION(GET_MSR_FEATURES, 1), EXTENSION(COALESCED_PIO, 1),
	EXTENSION(MSR_PLATFORM_INFO, 1), EXTENSION(EXCEPTION_PAYLOAD, 1),
	EXTENSION(DISABLE_QUIRKS, 1), EXTENSION(EXIT_HYPERCALL, 1 << 12),
	EXTENSION(EXIT_ON_EMULATION_FAILURE, 1), EXTENSION(X86_USER_SPACE_MSR, 1),
	EXTENSION(X86_MSR_FILTER, 1), EXTENSION(HALT_POLL, 1),
	EXTENSION(MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					     KVM_DIRTY_LOG_INITIALLY_SET),
	EXTENSION(ENFORCE_PV_FEATURE_CPUID, 1), EXTENSION(X86_TRIPLE_FAULT_EVENT, 1),
	EXTENSION(BINARY_STATS_FD, 1), EXTENSION(SREGS2, 1), EXTENSION(VCPU_ATTRIBUTES, 1),
	EXTENSION(VM_DISABLE_NX_HUGE_PAGES, 1),
}, not_offered[] = {
	EXTENSION(HYPERV, 0), EXTENSION(HYPERV_SYNIC2, 0), EXTENSION(HYPERV_CPUID, 0),
	EXTENSION(XEN_HVM, 0), EXTENSION(X86_SMM, 0), EXTENSION(ASYNC_PF, 0),
	EXTENSION(PMU_CAPABILITY, 0), EXTENSION(MULTI_ADDRESS_SPACE, 0),
	EXTENSION(DEVICE_CTRL, 0),
};

FIXTURE(extension) {
	struct test_vm *vm;
};

FIXTURE_SETUP(extension)
{
	self->vm = test_vm_create();
}

FIXTURE_TEARDOWN(extension)
{
	test_vm_free(self->vm);
}

static void expect_all(struct __test_metadata *_metadata, struct test_vm *vm,
		       const struct extension *extension, size_t nr)
{
	for (; nr--; extension++) {
		EXPECT_EQ(extension->value, test_check_extension(vm->dev_fd, extension->cap))
			TH_LOG("KVM_CAP_%s on the device", extension->name);
		EXPECT_EQ(extension->value, test_check_extension(vm->fd, extension->cap))
			TH_LOG("KVM_CAP_%s on a VM", extension->name);
	}
}

TEST_F(extension, offered)
{
	expect_all(_metadata, self->vm, offered, ARRAY_SIZE(offered));
}

TEST_F(extension, not_offered)
{
	if (test_on_kvm())
		SKIP(return, "KVM has more");
	expect_all(_metadata, self->vm, not_offered, ARRAY_SIZE(not_offered));
}

static bool host_has_xsave(void)
{
	unsigned int eax, ebx, ecx = 0, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_XSAVE;
}

TEST_F(extension, what_depends_on_the_host)
{
	int fd = self->vm->dev_fd, max = test_check_extension(fd, KVM_CAP_MAX_VCPUS);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	/* As many as KVM 6.1 has, and ids up to four times that. */
	EXPECT_EQ(1024, max);
	EXPECT_EQ(4 * max, test_check_extension(fd, KVM_CAP_MAX_VCPU_ID));
	EXPECT_EQ(cpus < max ? cpus : max, test_check_extension(fd, KVM_CAP_NR_VCPUS));
	EXPECT_EQ(host_has_xsave(), test_check_extension(fd, KVM_CAP_XCRS));
	/* The image of KVM_GET_XSAVE is the least. */
	EXPECT_LE(sizeof(struct kvm_xsave), test_check_extension(fd, KVM_CAP_XSAVE2));
	/* Slot numbers are 16 bits with a sign; KVM keeps three for itself. */
	EXPECT_EQ(INT16_MAX - 3, test_check_extension(fd, KVM_CAP_NR_MEMSLOTS));
	EXPECT_EQ(test_check_extension(fd, KVM_CAP_TSC_CONTROL),
		  test_check_extension(fd, KVM_CAP_VM_TSC_CONTROL));
}

/* KVM_CAP_CHECK_EXTENSION_VM: a VM can be asked, too, and one that is new says what all say. */
TEST_F(extension, a_new_vm_says_the_same)
{
	for (long cap = 0; cap < NR_CAPS; cap++) {
		EXPECT_EQ(test_check_extension(self->vm->dev_fd, cap),
			  test_check_extension(self->vm->fd, cap))
			TH_LOG("capability %ld", cap);
	}
	for (int on_vm = 0; on_vm < 2; on_vm++) {
		int fd = on_vm ? self->vm->fd : self->vm->dev_fd;

		EXPECT_EQ(0, test_check_extension(fd, 0xffff));
		EXPECT_EQ(0, test_check_extension(fd, -1l));
	}
}

TEST_HARNESS_MAIN
