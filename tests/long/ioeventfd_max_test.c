// SPDX-License-Identifier: GPL-2.0
/*
 * As many ioeventfds as a VM may have: KVM counts them by descriptors only, but one eventfd can
 * stand for any number of them.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../lib/vm.h"

#define MAX_IOEVENTFDS	4096

TEST(bounded)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xd0001000, .size = 8 };
	struct kvm_ioeventfd args = { .addr = 0xd0000000, .len = 4,
				      .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };
	struct test_vm *vm = test_vm_create();

	if (test_on_kvm())
		SKIP(return, "KVM has no bound");
	args.fd = eventfd(0, EFD_CLOEXEC);
	for (args.datamatch = 0; args.datamatch < 2 * MAX_IOEVENTFDS; args.datamatch++)
		if (ioctl(vm->fd, KVM_IOEVENTFD, &args))
			break;
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(args.datamatch, MAX_IOEVENTFDS);
	/* The other bus and devices have their own measure. */
	args.flags |= KVM_IOEVENTFD_FLAG_PIO;
	EXPECT_EQ(ioctl(vm->fd, KVM_IOEVENTFD, &args), 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone), 0);
	args.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN;
	args.datamatch = 17;
	EXPECT_EQ(ioctl(vm->fd, KVM_IOEVENTFD, &args), 0);
	args.flags &= ~KVM_IOEVENTFD_FLAG_DEASSIGN;
	EXPECT_EQ(ioctl(vm->fd, KVM_IOEVENTFD, &args), 0);
	test_vm_free(vm);
	close(args.fd);
}

TEST_HARNESS_MAIN
