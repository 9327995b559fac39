// SPDX-License-Identifier: GPL-2.0
/*
 * Arguments that cannot be read or written, for every command that has one: EFAULT, before
 * anything is done by them. Runs the same on KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/vm.h"
#include <vitrine.h>

#define PAGE		4096ul
#define ROOM_BYTES	(2 * PAGE)
#define KERNEL_HALF	((void *)-4096ul)
#define SLOT		1
#define SLOT_GPA	0x40000000ul

/* The argument's size, and whether the command answers into it. */
struct command {
	const char *name;
	unsigned int nr;
	unsigned int bytes;
	bool answers;
};

#define COMMAND(cmd)		{ #cmd, cmd, _IOC_SIZE(cmd), _IOC_DIR(cmd) & _IOC_READ }
/* Those whose numbers say something else, or that answer behind what their numbers tell of. */
#define COMMAND_IN(cmd, type)	{ #cmd, cmd, sizeof(type), false }

static const struct command dev_commands[] = {
	COMMAND_IN(KVM_GET_SUPPORTED_CPUID, struct kvm_cpuid2),
	COMMAND_IN(KVM_GET_EMULATED_CPUID, struct kvm_cpuid2),
	COMMAND_IN(KVM_GET_MSRS, struct kvm_msrs),
	COMMAND(KVM_GET_MSR_INDEX_LIST), COMMAND(KVM_GET_MSR_FEATURE_INDEX_LIST),
	COMMAND(KVM_X86_GET_MCE_CAP_SUPPORTED),
}, vm_commands[] = {
	COMMAND(KVM_SET_USER_MEMORY_REGION), COMMAND(KVM_GET_DIRTY_LOG),
	COMMAND_IN(KVM_CLEAR_DIRTY_LOG, struct kvm_clear_dirty_log),
	COMMAND(KVM_ENABLE_CAP), COMMAND(KVM_IRQ_LINE), COMMAND(KVM_IRQ_LINE_STATUS),
	COMMAND(KVM_SET_GSI_ROUTING), COMMAND(KVM_SIGNAL_MSI), COMMAND(KVM_IRQFD),
	COMMAND(KVM_IOEVENTFD),
	COMMAND(KVM_GET_IRQCHIP), COMMAND_IN(KVM_SET_IRQCHIP, struct kvm_irqchip),
	COMMAND(KVM_GET_PIT2), COMMAND(KVM_SET_PIT2), COMMAND(KVM_GET_PIT),
	COMMAND_IN(KVM_SET_PIT, struct kvm_pit_state),
	COMMAND_IN(KVM_REINJECT_CONTROL, struct kvm_reinject_control),
	COMMAND(KVM_REGISTER_COALESCED_MMIO), COMMAND(KVM_UNREGISTER_COALESCED_MMIO),
	COMMAND(KVM_GET_CLOCK), COMMAND(KVM_SET_CLOCK), COMMAND(KVM_X86_SET_MSR_FILTER),
}, vcpu_commands[] = {
	COMMAND(KVM_GET_REGS), COMMAND(KVM_SET_REGS), COMMAND(KVM_GET_SREGS),
	COMMAND(KVM_SET_SREGS), COMMAND(KVM_GET_SREGS2), COMMAND(KVM_SET_SREGS2),
	COMMAND(KVM_GET_FPU), COMMAND(KVM_SET_FPU), COMMAND(KVM_GET_XSAVE),
	COMMAND(KVM_GET_XSAVE2), COMMAND(KVM_SET_XSAVE), COMMAND(KVM_GET_XCRS),
	COMMAND(KVM_SET_XCRS), COMMAND(KVM_GET_DEBUGREGS), COMMAND(KVM_SET_DEBUGREGS),
	COMMAND_IN(KVM_GET_MSRS, struct kvm_msrs), COMMAND(KVM_SET_MSRS), COMMAND(KVM_SET_CPUID),
	COMMAND(KVM_SET_CPUID2), COMMAND_IN(KVM_GET_CPUID2, struct kvm_cpuid2),
	COMMAND(KVM_GET_VCPU_EVENTS), COMMAND(KVM_SET_VCPU_EVENTS), COMMAND(KVM_GET_MP_STATE),
	COMMAND(KVM_SET_MP_STATE), COMMAND(KVM_GET_LAPIC), COMMAND(KVM_SET_LAPIC),
	COMMAND(KVM_INTERRUPT), COMMAND(KVM_SET_VAPIC_ADDR), COMMAND(KVM_TPR_ACCESS_REPORTING),
	COMMAND(KVM_X86_SETUP_MCE), COMMAND(KVM_X86_SET_MCE), COMMAND(KVM_SET_GUEST_DEBUG),
	COMMAND(KVM_TRANSLATE), COMMAND(KVM_SET_SIGNAL_MASK), COMMAND(KVM_ENABLE_CAP),
	COMMAND(KVM_HAS_DEVICE_ATTR), COMMAND(KVM_GET_DEVICE_ATTR), COMMAND(KVM_SET_DEVICE_ATTR),
}, early_vm_commands[] = {
	COMMAND(KVM_SET_IDENTITY_MAP_ADDR), COMMAND(KVM_CREATE_PIT2),
}, own_dev_commands[] = {
	COMMAND(VITRINE_GET_CAPS), COMMAND(VITRINE_GET_MITIGATIONS), COMMAND(VITRINE_ATTACH),
}, own_vm_commands[] = {
	COMMAND(VITRINE_GET_VM_ID),
}, own_vcpu_commands[] = {
	COMMAND(VITRINE_GET_STATS),
};

FIXTURE(pointer) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *room;		/* zeroes */
	uint8_t *end;		/* of the room: nothing is from here on */
};

FIXTURE_SETUP(pointer)
{
	struct kvm_pit_config config = {};

	self->vm = test_vm_create_irqchip();
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_CREATE_PIT2, &config));
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->room = mmap(NULL, ROOM_BYTES + PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->room);
	self->end = self->room + ROOM_BYTES;
	ASSERT_EQ(0, mprotect(self->end, PAGE, PROT_NONE));
}

FIXTURE_TEARDOWN(pointer)
{
	munmap(self->room, ROOM_BYTES + PAGE);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int error_of(int fd, unsigned int cmd, const void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

typedef void (*check_fn)(struct __test_metadata *_metadata, int fd, const struct command *command,
			 uint8_t *end);

static void each(struct __test_metadata *_metadata, int fd, const struct command *commands,
		 size_t nr, uint8_t *end, check_fn check)
{
	for (size_t i = 0; i < nr; i++)
		check(_metadata, fd, &commands[i], end);
}

#define EACH(fd, commands, check)	\
	each(_metadata, fd, commands, ARRAY_SIZE(commands), self->end, check)

static void each_of_all(struct __test_metadata *_metadata, FIXTURE_DATA(pointer) *self,
			check_fn check)
{
	EACH(self->vm->dev_fd, dev_commands, check);
	EACH(self->vm->fd, vm_commands, check);
	EACH(self->vcpu->fd, vcpu_commands, check);
	if (test_on_kvm())
		return;
	EACH(self->vm->dev_fd, own_dev_commands, check);
	EACH(self->vm->fd, own_vm_commands, check);
	EACH(self->vcpu->fd, own_vcpu_commands, check);
}

static void check_nowhere(struct __test_metadata *_metadata, int fd, const struct command *command,
			  uint8_t *end)
{
	EXPECT_EQ(EFAULT, error_of(fd, command->nr, end))
		TH_LOG("%s where nothing is", command->name);
	EXPECT_EQ(EFAULT, error_of(fd, command->nr, KERNEL_HALF))
		TH_LOG("%s in the kernel's half", command->name);
	/* All but the last byte. */
	EXPECT_EQ(EFAULT, error_of(fd, command->nr, end - command->bytes + 1))
		TH_LOG("%s that ends where nothing is", command->name);
}

TEST_F(pointer, arguments_that_are_not_there)
{
	struct test_vm *vm = test_vm_create();

	each_of_all(_metadata, self, check_nowhere);
	/* Once there are vCPUs these have another reason to fail. */
	EACH(vm->fd, early_vm_commands, check_nowhere);
	test_vm_free(vm);
}

static void check_answer(struct __test_metadata *_metadata, int fd, const struct command *command,
			 uint8_t *end)
{
	if (!command->answers)
		return;
	EXPECT_EQ(EFAULT, error_of(fd, command->nr, end - ROOM_BYTES))
		TH_LOG("%s", command->name);
}

TEST_F(pointer, answers_that_cannot_be_written)
{
	memset(self->room, 0, ROOM_BYTES);
	ASSERT_EQ(0, mprotect(self->room, ROOM_BYTES, PROT_READ));
	each_of_all(_metadata, self, check_answer);
}

/* A header that is there says how much follows, which is not. */
static int error_of_list(int fd, unsigned int cmd, uint32_t nr, size_t header_bytes, uint8_t *end)
{
	uint32_t *header = (uint32_t *)(end - header_bytes);

	memset(header, 0, header_bytes);
	*header = nr;
	return error_of(fd, cmd, header);
}

#define EXPECT_LIST_FAULT(fd, cmd, nr, type)	\
	EXPECT_EQ(EFAULT, error_of_list(fd, cmd, nr, sizeof(type), self->end))

TEST_F(pointer, lists_that_are_not_there)
{
	EXPECT_LIST_FAULT(self->vm->dev_fd, KVM_GET_SUPPORTED_CPUID, 256, struct kvm_cpuid2);
	EXPECT_LIST_FAULT(self->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, 4096, struct kvm_msr_list);
	EXPECT_LIST_FAULT(self->vm->dev_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, 4096,
			  struct kvm_msr_list);
	EXPECT_LIST_FAULT(self->vm->dev_fd, KVM_GET_MSRS, 1, struct kvm_msrs);
	EXPECT_LIST_FAULT(self->vm->fd, KVM_SET_GSI_ROUTING, 1, struct kvm_irq_routing);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_GET_MSRS, 1, struct kvm_msrs);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_SET_MSRS, 1, struct kvm_msrs);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_SET_CPUID, 1, struct kvm_cpuid);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_SET_CPUID2, 1, struct kvm_cpuid2);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_SET_SIGNAL_MASK, 8, struct kvm_signal_mask);
	test_vcpu_set_supported_cpuid(self->vcpu);
	EXPECT_LIST_FAULT(self->vcpu->fd, KVM_GET_CPUID2, 256, struct kvm_cpuid2);
}

TEST_F(pointer, bitmaps_that_are_not_there)
{
	struct kvm_msr_filter filter = { .ranges[0] = {
		.flags = KVM_MSR_FILTER_READ, .nmsrs = 64, .bitmap = self->end } };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .num_pages = 1,
					     .dirty_bitmap = self->end };
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = self->end };

	test_vm_add_memory(self->vm, SLOT, SLOT_GPA, self->room, PAGE, KVM_MEM_LOG_DIRTY_PAGES);
	EXPECT_EQ(EFAULT, error_of(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(EFAULT, error_of(self->vm->fd, KVM_X86_SET_MSR_FILTER, &filter));
	EXPECT_EQ(EFAULT, error_of(self->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
}

TEST_F(pointer, attributes_that_are_not_there)
{
	static const unsigned int commands[] = { KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR };
	uint64_t before, after;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&before };

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
		attr.addr = (uintptr_t)self->end;
		EXPECT_EQ(EFAULT, error_of(self->vcpu->fd, commands[i], &attr));
		attr.addr = (uintptr_t)self->end - 7;
		EXPECT_EQ(EFAULT, error_of(self->vcpu->fd, commands[i], &attr));
		attr.addr = (uintptr_t)KERNEL_HALF;
		EXPECT_EQ(EFAULT, error_of(self->vcpu->fd, commands[i], &attr));
	}
	attr.addr = (uintptr_t)&after;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(before, after);
}

TEST_HARNESS_MAIN
