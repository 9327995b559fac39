// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O: IN and OUT of every size in every mode. The device is this program, behind one port.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/port.h"
#include "lib/vm.h"

GUEST_CODE(out_sizes64,
	   "mov $0x510, %edx\n"
	   "mov $0x1122334455667788, %rax\n"
	   "outb %al, %dx\n outw %ax, %dx\n outl %eax, %dx\n" GUEST_DONE);
GUEST_CODE32(out_sizes32,
	     "mov $0x510, %edx\n"
	     "mov $0x55667788, %eax\n"
	     "outb %al, %dx\n outw %ax, %dx\n outl %eax, %dx\n" GUEST_DONE);
GUEST_CODE16(out_sizes16,
	     "mov $0x510, %dx\n"
	     "mov $0x55667788, %eax\n"
	     "outb %al, %dx\n outw %ax, %dx\n outl %eax, %dx\n" GUEST_DONE);
GUEST_CODE(in_sizes64,
	   "mov $0x510, %edx\n"
	   "mov $-1, %rax\n inb %dx, %al\n mov %rax, %rbx\n"
	   "mov $-1, %rax\n inw %dx, %ax\n mov %rax, %rcx\n"
	   "mov $-1, %rax\n inl %dx, %eax\n" GUEST_DONE);
GUEST_CODE32(in_sizes32,
	     "mov $0x510, %edx\n"
	     "mov $-1, %eax\n inb %dx, %al\n mov %eax, %ebx\n"
	     "mov $-1, %eax\n inw %dx, %ax\n mov %eax, %ecx\n"
	     "mov $-1, %eax\n inl %dx, %eax\n" GUEST_DONE);
GUEST_CODE16(in_sizes16,
	     "mov $0x510, %dx\n"
	     "mov $-1, %eax\n inb %dx, %al\n mov %eax, %ebx\n"
	     "mov $-1, %eax\n inw %dx, %ax\n mov %eax, %ecx\n"
	     "mov $-1, %eax\n inl %dx, %eax\n" GUEST_DONE);
GUEST_CODE(immediate_ports, "inb $0x51, %al\n outl %eax, $0x52\n" GUEST_DONE);

FIXTURE(io) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_port *device;
	uint8_t *data;
};

FIXTURE_SETUP(io)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
	self->data = test_vm_hva(self->vm, TEST_DATA_GPA);
}

FIXTURE_TEARDOWN(io)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

enum mode { REAL, PROTECTED, LONG };

typedef void (*enter_mode)(struct test_vcpu *vcpu, const void *code, size_t bytes);

static const enter_mode enter[] = {
	[REAL] = test_vcpu_real_mode,
	[PROTECTED] = test_vcpu_protected_mode,
	[LONG] = test_vcpu_long_mode,
};

FIXTURE(modes) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_port *device;
};

FIXTURE_VARIANT(modes) {
	enum mode mode;
	const char *out, *out_end, *in, *in_end;
};

FIXTURE_VARIANT_ADD(modes, real) {
	REAL, out_sizes16, out_sizes16_end, in_sizes16, in_sizes16_end
};

FIXTURE_VARIANT_ADD(modes, protected) {
	PROTECTED, out_sizes32, out_sizes32_end, in_sizes32, in_sizes32_end
};

FIXTURE_VARIANT_ADD(modes, long) {
	LONG, out_sizes64, out_sizes64_end, in_sizes64, in_sizes64_end
};

FIXTURE_SETUP(modes)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
}

FIXTURE_TEARDOWN(modes)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(modes, out_of_every_size)
{
	static const uint8_t expected[] = { 0x88, 0x88, 0x77, 0x88, 0x77, 0x66, 0x55 };

	enter[variant->mode](self->vcpu, variant->out, variant->out_end - variant->out);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(3, self->device->exits);
	ASSERT_EQ(sizeof(expected), self->device->written_bytes);
	EXPECT_EQ(0, memcmp(expected, self->device->written, sizeof(expected)));
}

TEST_F(modes, in_of_every_size)
{
	uint64_t upper = variant->mode == LONG ? ~0ull << 32 : 0;
	uint8_t bytes[7];
	struct kvm_regs regs;
	uint32_t dword;

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = test_port_byte(i);
	memcpy(&dword, bytes + 3, sizeof(dword));

	enter[variant->mode](self->vcpu, variant->in, variant->in_end - variant->in);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(3, self->device->exits);
	/* A byte and a word leave the rest of RAX, a doubleword clears the upper half. */
	EXPECT_EQ(upper | 0xffffff00 | bytes[0], regs.rbx);
	EXPECT_EQ(upper | 0xffff0000 | bytes[2] << 8 | bytes[1], regs.rcx);
	EXPECT_EQ(dword, regs.rax);
}

TEST_F(io, ports_in_the_instruction)
{
	struct kvm_run *run = self->vcpu->run;
	uint8_t *data;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(immediate_ports));
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(0x51, run->io.port);
	EXPECT_EQ(KVM_EXIT_IO_IN, run->io.direction);
	data = (uint8_t *)run + run->io.data_offset;
	*data = 0x5a;
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(0x52, run->io.port);
	EXPECT_EQ(4, run->io.size);
	EXPECT_EQ(1, run->io.count);
	EXPECT_EQ(0x5a, *data);
	test_vcpu_run_to_done(self->vcpu);
}

/* The instruction is finished by the next RUN even if that does not enter the guest. */
TEST_F(io, immediate_exit_completes)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(immediate_ports));
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	*((uint8_t *)run + run->io.data_offset) = 0x5a;
	run->immediate_exit = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINTR, errno);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(TEST_CODE_GPA + 2, regs.rip);
	EXPECT_EQ(0x5a, regs.rax);
	run->immediate_exit = 0;
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(0x52, run->io.port);
}

/* A VMM that moves RIP while the access is out (to reset the machine, say) gets just that. */
TEST_F(io, moved_rip_gives_the_access_up)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(immediate_ports));
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->vcpu));
	*((uint8_t *)run + run->io.data_offset) = 0x5a;
	test_vcpu_regs(self->vcpu, &regs);
	regs.rip = TEST_CODE_GPA + 4;
	regs.rax = 0x77;
	test_vcpu_set_regs(self->vcpu, &regs);
	EXPECT_EQ(0x77, test_vcpu_run_to_done(self->vcpu));
}

TEST_HARNESS_MAIN
