// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IRQFD: eventfds that interrupt a guest, and those that tell of the interrupt's end. Runs the
 * same on KVM.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/eventfd.h"

#define VECTOR		0x50u
#define DEASSIGN	KVM_IRQFD_FLAG_DEASSIGN
#define RESAMPLE	KVM_IRQFD_FLAG_RESAMPLE

FIXTURE(irqfd) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int fd, other, resample;
};

FIXTURE_SETUP(irqfd)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
	test_irqfd_enable_apic(self->vcpu);
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR);
	self->fd = test_eventfd();
	self->other = test_eventfd();
	self->resample = test_eventfd();
}

FIXTURE_TEARDOWN(irqfd)
{
	test_vcpu_free(self->vcpu);
	if (self->vm)
		test_vm_free(self->vm);
	close(self->fd);
	close(self->other);
	close(self->resample);
}

TEST_F(irqfd, capabilities)
{
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_IRQFD), 1);
	EXPECT_EQ(test_check_extension(self->vm->fd, KVM_CAP_IRQFD_RESAMPLE), 1);
}

TEST_F(irqfd, an_edge)
{
	struct pollfd poller = { .fd = self->fd, .events = POLLIN };
	unsigned int i;

	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, 0, 0), 0);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 0);
	for (i = 1; i <= 3; i++) {
		test_eventfd_signal(self->fd);
		EXPECT_EQ(test_irqfd_taken(self->vcpu, i), i);
		EXPECT_EQ(test_irq_vector(self->vcpu, i - 1), VECTOR);
	}
	/* The count was used up. */
	EXPECT_EQ(poll(&poller, 1, 0), 0);
	EXPECT_FALSE(test_irqfd_pin(self->vm, TEST_GSI));

	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, DEASSIGN, 0), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 3);
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
}

/* What was signalled before counts, once. */
TEST_F(irqfd, signalled_before)
{
	test_eventfd_signal(self->fd);
	test_eventfd_signal(self->fd);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, 0, 0), 0);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 1);
}

TEST_F(irqfd, a_message)
{
	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_MSI_GSI, 0, 0), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), TEST_MSI_VECTOR);
}

TEST_F(irqfd, routes_change_while_armed)
{
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, 0, 0), 0);
	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0x71), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0x72), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 2), 2);
	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 3), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x71);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x72);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), VECTOR);
}

/* A TEST_GSI that leads nowhere (yet), or never can. */
TEST_F(irqfd, no_such_gsi)
{
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, 100, 0, 0), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->other, 0xffffffff, 0, 0), 0);
	test_eventfd_signal(self->fd);
	test_eventfd_signal(self->other);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 0);
	EXPECT_EQ(test_irqfd(self->vm->fd, self->other, 0xffffffff, DEASSIGN, 0), 0);
}

static void *signal_soon(void *arg)
{
	usleep(20000);
	test_eventfd_signal(*(int *)arg);
	return NULL;
}

TEST_F(irqfd, wakes_a_halted_vcpu)
{
	pthread_t thread;

	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_MSI_GSI, 0, 0), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->other, TEST_GSI, 0, 0), 0);
	pthread_create(&thread, NULL, signal_soon, &self->fd);
	test_irq_halt(self->vcpu);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, signal_soon, &self->other);
	test_irq_halt(self->vcpu);
	pthread_join(thread, NULL);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), TEST_MSI_VECTOR);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), VECTOR);
}

/* From a port to an interrupt without a word to userspace. */
TEST_F(irqfd, signalled_by_the_guest)
{
	struct kvm_ioeventfd args = { .fd = self->fd, .addr = 0x600, .len = 1,
				      .flags = KVM_IOEVENTFD_FLAG_PIO };

	ASSERT_EQ(test_irqfd_route(self->vm->fd, 0), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_MSI_GSI, 0, 0), 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_IOEVENTFD, &args), 0);
	test_irq_out(self->vcpu, 0x600, 0);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), TEST_MSI_VECTOR);
}

TEST_F(irqfd, resample)
{
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->resample), 0);
	test_eventfd_signal(self->fd);
	EXPECT_TRUE(test_irqfd_pin_becomes(self->vm, TEST_GSI, true));
	EXPECT_EQ(test_eventfd_count(self->resample), 0);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	/* The end of the interrupt lets the line go, and is told. */
	EXPECT_EQ(test_eventfd_count(self->resample), 1);
	EXPECT_FALSE(test_irqfd_pin(self->vm, TEST_GSI));
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 1);

	/* Another driver of the same line keeps it up. */
	test_irq_line(self->vm, TEST_GSI, 1);
	test_eventfd_signal(self->fd);
	EXPECT_TRUE(test_irqfd_pin_becomes(self->vm, TEST_GSI, true));
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 2), 2);
	test_irq_set_msr(self->vcpu, TEST_X2APIC(0xb0), 0);
	EXPECT_EQ(test_eventfd_count(self->resample), 1);
	EXPECT_TRUE(test_irqfd_pin(self->vm, TEST_GSI));
	test_irq_line(self->vm, TEST_GSI, 0);
	EXPECT_FALSE(test_irqfd_pin(self->vm, TEST_GSI));

	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, DEASSIGN | RESAMPLE, 0), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
	EXPECT_FALSE(test_irqfd_pin(self->vm, TEST_GSI));
}

/* Devices that share a line are all asked. The last of them that goes lets go of the line. */
TEST_F(irqfd, resample_shared)
{
	int second = test_eventfd();

	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->resample), 0);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->other, TEST_GSI, RESAMPLE, second), 0);
	test_eventfd_signal(self->other);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_eventfd_count(self->resample), 1);
	EXPECT_EQ(test_eventfd_count(second), 1);

	test_eventfd_signal(self->other);
	EXPECT_TRUE(test_irqfd_pin_becomes(self->vm, TEST_GSI, true));
	ASSERT_EQ(test_irqfd(self->vm->fd, self->other, TEST_GSI, DEASSIGN, 0), 0);
	EXPECT_TRUE(test_irqfd_pin(self->vm, TEST_GSI));
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, DEASSIGN, 0), 0);
	EXPECT_FALSE(test_irqfd_pin(self->vm, TEST_GSI));
	close(second);
}

/* The answer to "is it still up?" comes at once, and is yes: an interrupt for each end. */
TEST_F(irqfd, resample_raises_again)
{
	unsigned int i;

	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->fd), 0);
	/* An end in the handler would be the guest's last act. */
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	test_eventfd_signal(self->fd);
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(test_irqfd_taken(self->vcpu, i), i);
		EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), i);
		if (i == 3)
			ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, DEASSIGN, 0), 0);
		test_irq_set_msr(self->vcpu, TEST_X2APIC(0xb0), 0);
	}
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 3);
}

TEST_F(irqfd, resample_by_the_pic)
{
	const uint32_t gsi = 10;	/* the slave's second pin */

	test_irq_set_msr(self->vcpu, TEST_X2APIC(0x350), 0x700);	/* LINT0: ExtINT */
	test_irq_set_eoi(self->vcpu, TEST_EOI_PIC);
	test_irq_out(self->vcpu, 0x20, 0x11);
	test_irq_out(self->vcpu, 0x21, 0x20);
	test_irq_out(self->vcpu, 0x21, 0x04);
	test_irq_out(self->vcpu, 0x21, 0x01);
	test_irq_out(self->vcpu, 0xa0, 0x11);
	test_irq_out(self->vcpu, 0xa1, 0x28);
	test_irq_out(self->vcpu, 0xa1, 0x02);
	test_irq_out(self->vcpu, 0xa1, 0x01);
	test_irq_out(self->vcpu, 0x21, 0xfb);
	test_irq_out(self->vcpu, 0xa1, 0xfb);
	test_irq_out(self->vcpu, 0x4d1, 0x04);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, gsi, RESAMPLE, self->resample), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x2a);
	EXPECT_EQ(test_eventfd_count(self->resample), 1);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 1);
}

/* Raised while masked and dealt with since: the guest is not bothered, the device is asked. */
TEST_F(irqfd, resample_at_unmasking)
{
	if (test_on_kvm())
		SKIP(return, "KVM asks from Linux 6.4 on");
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL | TEST_ENTRY_MASKED);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->resample), 0);
	test_eventfd_signal(self->fd);
	EXPECT_TRUE(test_irqfd_pin(self->vm, TEST_GSI));
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 0);
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	EXPECT_EQ(test_eventfd_count(self->resample), 1);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 0);
	/* A line that is really up is not asked about. */
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL | TEST_ENTRY_MASKED);
	test_irq_line(self->vm, TEST_GSI, 1);
	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	test_irq_line(self->vm, TEST_GSI, 0);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
}

TEST_F(irqfd, refused)
{
	int vm_fd = self->vm->fd;

	EXPECT_EQ(test_irqfd(vm_fd, -1, TEST_GSI, 0, 0), -EBADF);
	EXPECT_EQ(test_irqfd(vm_fd, vm_fd, TEST_GSI, 0, 0), -EINVAL);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, 4, 0), -EINVAL);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, DEASSIGN | 1u << 31, 0), -EINVAL);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, RESAMPLE, -1), -EBADF);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, RESAMPLE, vm_fd), -EINVAL);
	EXPECT_EQ(test_irqfd(vm_fd, -1, TEST_GSI, DEASSIGN, 0), -EBADF);
	EXPECT_EQ(test_irqfd(vm_fd, vm_fd, TEST_GSI, DEASSIGN, 0), -EINVAL);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, DEASSIGN, 0), 0);
	EXPECT_EQ(ioctl(vm_fd, KVM_IRQFD, NULL), -1);
	EXPECT_EQ(errno, EFAULT);

	/* An eventfd has one TEST_GSI. */
	ASSERT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, 0, 0), 0);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, 0, 0), -EBUSY);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI + 1, 0, 0), -EBUSY);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI + 1, RESAMPLE, self->resample), -EBUSY);
	/* Another TEST_GSI's is not taken away. */
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI + 1, DEASSIGN, 0), 0);
	EXPECT_EQ(test_irqfd(vm_fd, self->fd, TEST_GSI, 0, 0), -EBUSY);
	EXPECT_EQ(test_irqfd(vm_fd, self->other, TEST_GSI, 0, 0), 0);
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
}

TEST(without_an_irqchip)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };
	struct test_vm *vm = test_vm_create();
	int fd = test_eventfd(), resample = test_eventfd();

	EXPECT_EQ(test_irqfd(vm->fd, fd, TEST_GSI, 0, 0), -EINVAL);
	EXPECT_EQ(test_irqfd(vm->fd, fd, TEST_GSI, DEASSIGN, 0), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), 0);
	EXPECT_EQ(test_irqfd(vm->fd, fd, TEST_GSI, RESAMPLE, resample), -EINVAL);
	EXPECT_EQ(test_irqfd(vm->fd, fd, TEST_GSI, 0, 0), 0);
	/* There is no vCPU yet, and no route. */
	test_eventfd_signal(fd);
	test_vm_free(vm);
	close(fd);
	close(resample);
}

/* A pin of userspace's I/O APIC: the message, and the exit at its end. */
TEST(split_irqchip)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;
	int fd = test_eventfd();

	ASSERT_EQ(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), 0);
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_NONE);
	test_irqfd_enable_apic(vcpu);
	ASSERT_EQ(test_irqfd_route(vm->fd, TEST_MSI_LEVEL | 0x73), 0);
	ASSERT_EQ(test_irqfd(vm->fd, fd, TEST_GSI, 0, 0), 0);
	test_eventfd_signal(fd);
	EXPECT_EQ(test_irqfd_taken(vcpu, 1), 1);
	EXPECT_EQ(test_irq_vector(vcpu, 0), 0x73);
	test_irq_begin_wrmsr(vcpu, TEST_X2APIC(0xb0), 0);
	EXPECT_EQ(test_vcpu_run(vcpu), KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x73);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	close(fd);
}

TEST_F(irqfd, closed_while_armed)
{
	struct pollfd poller = { .events = POLLIN };
	int copy = dup(self->fd);

	test_irqfd_set_entry(self->vcpu, TEST_GSI, VECTOR | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->resample), 0);
	/* One of two descriptors is not the end. */
	close(self->fd);
	test_eventfd_signal(copy);
	EXPECT_TRUE(test_irqfd_pin_becomes(self->vm, TEST_GSI, true));
	close(copy);
	EXPECT_TRUE(test_irqfd_pin_becomes(self->vm, TEST_GSI, false));
	/* Its message had left before. */
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 1), 1);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 0), 1);
	EXPECT_EQ(test_eventfd_count(self->resample), 0);

	/* The other one may be closed without harm. */
	self->fd = test_eventfd();
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, RESAMPLE, self->resample), 0);
	close(self->resample);
	self->resample = test_eventfd();
	test_eventfd_signal(self->fd);
	EXPECT_EQ(test_irqfd_taken(self->vcpu, 2), 2);
	poller.fd = self->resample;
	EXPECT_EQ(poll(&poller, 1, 0), 0);
}

TEST_F(irqfd, vm_closed_while_armed)
{
	ASSERT_EQ(test_irqfd(self->vm->fd, self->fd, TEST_GSI, 0, 0), 0);
	test_irqfd_set_entry(self->vcpu, TEST_GSI + 1, VECTOR | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd(self->vm->fd, self->other, TEST_GSI + 1, RESAMPLE, self->resample), 0);
	test_eventfd_signal(self->other);
	test_vm_free(self->vm);
	self->vm = NULL;
	/* The vCPU's descriptor keeps the VM, but nobody interrupts it any more. */
	test_eventfd_signal(self->fd);
	test_eventfd_signal(self->other);
	EXPECT_EQ(test_eventfd_count(self->fd), 1);
	EXPECT_EQ(test_eventfd_count(self->other), 1);
}

TEST_HARNESS_MAIN
