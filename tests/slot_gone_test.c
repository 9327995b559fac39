// SPDX-License-Identifier: GPL-2.0
/*
 * A slot that goes while an instruction that is carried out for the guest has to do with it: the
 * address is a device's from then on, and KVM_RUN fails by no error.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/port.h"
#include "lib/vm.h"

#define PAGE		4096u
#define SLOT_GPA	0x40000000u
#define DEVICE_GPA	0x50000000u
#define COUNT		4u
#define ROUNDS		400

/* From the slot to the device, for ever; the slot's part can be a device's as well. */
GUEST_CODE(guest_movs, "1: mov %r8, %rsi\nmov %r9, %rdi\nmovsb\njmp 1b\n");
GUEST_CODE(guest_insb, "rep insb\n" GUEST_DONE);
GUEST_CODE(guest_outsb, "outsb\n" GUEST_DONE);

FIXTURE(gone) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
};

static int set_slot(FIXTURE_DATA(gone) *self, bool there)
{
	struct kvm_userspace_memory_region region = {
		.slot = 1, .guest_phys_addr = SLOT_GPA, .memory_size = there ? PAGE : 0,
		.userspace_addr = (uintptr_t)self->memory,
	};

	return ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

FIXTURE_SETUP(gone)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
	ASSERT_EQ(0, set_slot(self, true));
}

FIXTURE_TEARDOWN(gone)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	munmap(self->memory, PAGE);
}

static void start(FIXTURE_DATA(gone) *self, const char *code, size_t bytes)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, code, bytes);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rcx = COUNT;
	regs.rdx = TEST_PORT_NUMBER;
	regs.rsi = SLOT_GPA;
	regs.rdi = SLOT_GPA;
	regs.r8 = SLOT_GPA;
	regs.r9 = DEVICE_GPA;
	test_vcpu_set_regs(self->vcpu, &regs);
}

static struct {
	FIXTURE_DATA(gone) *self;
	atomic_bool done;
	int error;
} changes;

static void *come_and_go(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS && !changes.error; i++)
		changes.error = set_slot(changes.self, i % 2);
	changes.done = true;
	return arg;
}

TEST_F(gone, between_two_looks)
{
	unsigned int from_slot = 0, from_device = 0;
	struct kvm_run *run = self->vcpu->run;
	pthread_t thread;

	start(self, GUEST_BLOB(guest_movs));
	changes.self = self;
	changes.done = false;
	changes.error = 0;
	memset(self->memory, 0x11, PAGE);
	ASSERT_EQ(0, pthread_create(&thread, NULL, come_and_go, NULL));
	while (!changes.done) {
		if (ioctl(self->vcpu->fd, KVM_RUN, 0)) {
			EXPECT_EQ(0, errno);
			break;
		}
		ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
		if (!run->mmio.is_write) {
			ASSERT_EQ(SLOT_GPA, run->mmio.phys_addr);
			run->mmio.data[0] = 0x22;
			continue;
		}
		ASSERT_EQ(DEVICE_GPA, run->mmio.phys_addr);
		from_slot += run->mmio.data[0] == 0x11;
		from_device += run->mmio.data[0] == 0x22;
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, changes.error);
	/* Both were seen, and nothing else. */
	EXPECT_LT(0, from_slot);
	EXPECT_LT(0, from_device);
}

/* What the VMM has read for the guest has no place to go to any more. */
TEST_F(gone, while_items_are_out)
{
	struct kvm_run *run = self->vcpu->run;
	unsigned int i;

	if (test_on_kvm())
		SKIP(return, "KVM makes one write to a device of what is left");
	start(self, GUEST_BLOB(guest_insb));
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	ASSERT_EQ(COUNT, run->io.count);
	for (i = 0; i < COUNT; i++)
		*((uint8_t *)run + run->io.data_offset + i) = test_port_byte(i);
	ASSERT_EQ(0, set_slot(self, false));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, test_vcpu_run(self->vcpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
}

TEST_F(gone, before_items_are_read)
{
	if (test_on_kvm())
		SKIP(return, "KVM reads from a device what it writes to another");
	ASSERT_EQ(0, set_slot(self, false));
	start(self, GUEST_BLOB(guest_outsb));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, test_vcpu_run(self->vcpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->vcpu->run->internal.suberror);
	start(self, GUEST_BLOB(guest_insb));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, test_vcpu_run(self->vcpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->vcpu->run->internal.suberror);
}

TEST_HARNESS_MAIN
