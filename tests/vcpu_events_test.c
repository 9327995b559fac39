// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_SET_VCPU_EVENTS: what it refuses, and that it then does nothing; what it does with what it
 * takes is vcpu_state_test.c's.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define NMI		2
#define GP		13
#define KNOWN_FLAGS	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
			 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | \
			 KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

FIXTURE(events) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(events)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(events)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int set_events(struct test_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, events) ? -errno : 0;
}

static void enable(struct test_vm *vm, unsigned int cap)
{
	struct kvm_enable_cap arg = { .cap = cap, .args = { 1 } };

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &arg))
		test_die("KVM_ENABLE_CAP %u", cap);
}

/* @wrong is refused, and nothing else that it asks for is done. */
static void expect_refused(struct __test_metadata *_metadata, struct test_vcpu *vcpu,
			   const struct kvm_vcpu_events *wrong, const char *what)
{
	struct kvm_vcpu_events asked = *wrong, before, after;

	asked.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	asked.nmi.pending = 1;
	asked.nmi.masked = 1;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &before));
	EXPECT_EQ(-EINVAL, set_events(vcpu, &asked)) TH_LOG("%s", what);
	/* There one check comes after all is done. */
	if (test_on_kvm())
		return;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before))) TH_LOG("%s", what);
}

#define EXPECT_REFUSED(...)	\
	expect_refused(_metadata, self->vcpu, &(struct kvm_vcpu_events) { __VA_ARGS__ },	\
		       #__VA_ARGS__)

TEST_F(events, unknown_flags)
{
	for (unsigned int bit = 0; bit < 32; bit++)
		if (!(KNOWN_FLAGS & 1u << bit))
			EXPECT_REFUSED(.flags = 1u << bit);
}

TEST_F(events, flags_of_capabilities)
{
	struct kvm_vcpu_events events = {};

	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_PAYLOAD);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	enable(self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	enable(self->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
	events.flags = KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	EXPECT_EQ(0, set_events(self->vcpu, &events));
}

TEST_F(events, exceptions_that_are_none)
{
	struct kvm_vcpu_events pending = { .exception = { .pending = 1, .nr = 32 } };

	EXPECT_REFUSED(.exception = { .injected = 1, .nr = 32 });
	EXPECT_REFUSED(.exception = { .injected = 1, .nr = 255 });
	EXPECT_REFUSED(.exception = { .injected = 1, .nr = NMI });
	/* Without the capability nobody looks at it. */
	EXPECT_EQ(0, set_events(self->vcpu, &pending));
	enable(self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
		       .exception = { .pending = 1, .nr = 32 });
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
		       .exception = { .pending = 1, .nr = NMI });
}

/*
 * Where KVM 6.1 takes such a value it drops the bits, delivers a SIPI beyond 1 MiB, or has
 * system-management mode.
 */
TEST_F(events, values_that_kvm_takes)
{
	if (test_on_kvm())
		SKIP(return, "KVM takes them");
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SHADOW, .interrupt.shadow = 4);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SHADOW,
		       .interrupt.shadow = 0x80 | KVM_X86_SHADOW_INT_STI);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SIPI_VECTOR, .sipi_vector = 0x100);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SIPI_VECTOR, .sipi_vector = ~0u);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SMM, .smi.smm = 1);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SMM, .smi.pending = 1);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SMM, .smi.smm_inside_nmi = 1);
	EXPECT_REFUSED(.flags = KVM_VCPUEVENT_VALID_SMM, .smi.latched_init = 1);
}

/* Fields whose flag is not set may hold anything, and change nothing. */
TEST_F(events, fields_without_their_flags)
{
	struct kvm_vcpu_events before, after, events = {
		.exception = { .nr = GP },
		.interrupt.shadow = 0xff,
		.sipi_vector = ~0u,
		.smi = { .smm = 1, .pending = 1, .smm_inside_nmi = 1, .latched_init = 1 },
		.triple_fault.pending = 1,
		.exception_has_payload = 1,
		.exception_payload = ~0ull,
		.nmi.pending = 1,
	};

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &before));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &after));
	EXPECT_EQ(0, after.exception.injected | after.exception.pending);
	EXPECT_EQ(0, after.interrupt.shadow);
	EXPECT_EQ(before.sipi_vector, after.sipi_vector);
	EXPECT_EQ(0, memcmp(&before.smi, &after.smi, sizeof(before.smi)));
	EXPECT_EQ(0, after.nmi.pending | after.triple_fault.pending);
	EXPECT_EQ(0, after.exception_has_payload);
}

/* The largest of each is taken. */
TEST_F(events, limits)
{
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SMM,
		.exception = { .injected = 1, .nr = 31 },
		.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS,
		.sipi_vector = 0xff,
	};

	ASSERT_EQ(0, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(31, events.exception.nr);
	EXPECT_EQ(KVM_X86_SHADOW_INT_MOV_SS, events.interrupt.shadow);
}

TEST_HARNESS_MAIN
