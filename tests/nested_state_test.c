// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE of vCPUs without VMX: VMMs that save and load a
 * machine (cloud-hypervisor does) call them whether or not nesting is on.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/device.h"
#include "lib/vm.h"

#define NOWHERE (~0ull)

FIXTURE(nested_state) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct kvm_nested_state state;
};

FIXTURE_SETUP(nested_state)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	memset(&self->state, 0xff, sizeof(self->state));
	self->state.size = sizeof(self->state);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_NESTED_STATE, &self->state));
}

FIXTURE_TEARDOWN(nested_state)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(nested_state, is_empty)
{
	EXPECT_LE((int)sizeof(self->state),
		  test_check_extension(self->vm->fd, KVM_CAP_NESTED_STATE));
	EXPECT_EQ(sizeof(self->state), self->state.size);
	EXPECT_EQ(0, self->state.flags);
	EXPECT_EQ(KVM_STATE_NESTED_FORMAT_VMX, self->state.format);
	EXPECT_EQ(NOWHERE, self->state.hdr.vmx.vmxon_pa);
	EXPECT_EQ(NOWHERE, self->state.hdr.vmx.vmcs12_pa);
	/* Nothing of the host's memory comes along. */
	for (size_t i = sizeof(self->state.hdr.vmx); i < sizeof(self->state.hdr.pad); i++)
		EXPECT_EQ(0, self->state.hdr.pad[i]);
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_NESTED_STATE, &self->state));
}

TEST_F(nested_state, room_and_address)
{
	struct kvm_nested_state *state = &self->state;
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	state->size = sizeof(*state) - 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_NESTED_STATE, state));
	EXPECT_EQ(E2BIG, errno);
	EXPECT_EQ(sizeof(*state), state->size);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_NESTED_STATE, 4096ul));
	EXPECT_EQ(EFAULT, errno);
	/* Of no size, and cannot be told so. */
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_NESTED_STATE, page));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_NESTED_STATE, 4096ul));
	EXPECT_EQ(EFAULT, errno);
	munmap(page, 4096);
}

#define REFUSED(field, value) \
	do { \
		struct kvm_nested_state state = self->state; \
		state.field = value; \
		EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_NESTED_STATE, &state)); \
		EXPECT_EQ(EINVAL, errno); \
	} while (0)

TEST_F(nested_state, of_nested_guests_is_refused)
{
	REFUSED(flags, KVM_STATE_NESTED_GUEST_MODE);
	REFUSED(flags, KVM_STATE_NESTED_RUN_PENDING);
	REFUSED(flags, 0x8000);
	REFUSED(format, KVM_STATE_NESTED_FORMAT_SVM);
	REFUSED(size, sizeof(self->state) - 1);
	REFUSED(hdr.vmx.vmxon_pa, 0x1000);
	REFUSED(hdr.vmx.vmcs12_pa, 0x2000);
	REFUSED(hdr.vmx.smm.flags, KVM_STATE_NESTED_SMM_GUEST_MODE);
	REFUSED(hdr.vmx.flags, 2);
}

TEST_HARNESS_MAIN
