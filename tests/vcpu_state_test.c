// SPDX-License-Identifier: GPL-2.0
/*
 * State beside the registers: pending events, multiprocessing state, the time-stamp counter. Events
 * that are refused are vcpu_events_test.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define SIPI_PAGE	0x80		/* 4 KiB pages below 1 MiB: free here */
#define NMI		2
#define BP		3
#define GP		13
#define PF		14

FIXTURE(state) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(state)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(state)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static int set_events(struct test_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, events) ? -errno : 0;
}

GUEST_CODE(guest_loop,
	   "1: " GUEST_SYNC
	   "jmp 1b\n");

TEST_F(state, events_at_rest)
{
	struct kvm_vcpu_events events;

	memset(&events, 0xff, sizeof(events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.exception.injected | events.exception.pending);
	EXPECT_EQ(0, events.interrupt.injected | events.interrupt.shadow);
	EXPECT_EQ(0, events.nmi.injected | events.nmi.pending | events.nmi.masked);
	EXPECT_EQ(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
		  events.flags & (KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW));
	EXPECT_EQ(0, set_events(self->vcpu, &events));
}

TEST_F(state, injects_exception)
{
	struct kvm_vcpu_events events = { .exception = { .injected = 1, .nr = GP,
							 .has_error_code = 1,
							 .error_code = 0x58 } };
	struct test_exception exception;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(GP, events.exception.nr);
	EXPECT_EQ(0x58, events.exception.error_code);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(GP, exception.vector);
	EXPECT_EQ(0x58, exception.error_code);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.exception.injected);
}

/*
 * An error code where the exception has none, none where it has one, or one that is too wide: an
 * entry with it would be refused, and must not be tried.
 */
TEST_F(state, exceptions_that_no_cpu_delivers)
{
	unsigned int nr, has_error, mode;

	for (nr = 0; nr < 32; nr++) {
		for (has_error = 0; has_error < 2 && nr != NMI; has_error++) {
			for (mode = 0; mode < 2; mode++) {
				struct kvm_vcpu_events events = { .exception = {
					.injected = 1, .nr = nr, .has_error_code = has_error,
					.error_code = ~0u } };

				if (mode)
					test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
				else
					test_vcpu_real_mode(self->vcpu, GUEST_BLOB(guest_loop));
				ASSERT_EQ(0, set_events(self->vcpu, &events));
				self->vcpu->run->exit_reason = 0;
				EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_RUN, 0));
				EXPECT_NE(KVM_EXIT_FAIL_ENTRY, self->vcpu->run->exit_reason) {
					TH_LOG("vector %u, error code %u, mode %u", nr, has_error,
					       mode);
				}
			}
		}
	}
}

/* With the capability a pending exception is told apart, and brings CR2 or DR6 with it. */
TEST_F(state, exception_payload)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
		.exception = { .pending = 1, .nr = PF, .has_error_code = 1, .error_code = 2 },
		.exception_has_payload = 1,
		.exception_payload = 0xdead000,
	};
	struct test_exception exception;
	struct kvm_sregs sregs;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_EXCEPTION_PAYLOAD))
		SKIP(return, "no KVM_CAP_EXCEPTION_PAYLOAD");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
	EXPECT_EQ(-EINVAL, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.exception.pending);
	EXPECT_EQ(0, events.exception.injected);
	EXPECT_EQ(0xdead000, events.exception_payload);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0, sregs.cr2);
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(PF, exception.vector);
	EXPECT_EQ(2, exception.error_code);
	test_vcpu_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0xdead000, sregs.cr2);
}

/* Setting registers is leaving the instruction that a pending exception belonged to. */
TEST_F(state, set_regs_drops_pending_exception)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_PAYLOAD,
					  .exception = { .pending = 1, .nr = GP,
							 .has_error_code = 1 } };
	struct kvm_regs regs;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_EXCEPTION_PAYLOAD))
		SKIP(return, "no KVM_CAP_EXCEPTION_PAYLOAD");
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	test_vcpu_regs(self->vcpu, &regs);
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_sync(self->vcpu);
}

TEST_F(state, nmi)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING,
					  .nmi = { .pending = 1, .masked = 1 } };
	struct test_exception exception;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	/* Masked: it stays pending. */
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.nmi.pending);
	EXPECT_EQ(1, events.nmi.masked);
	events.nmi.masked = 0;
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	test_vcpu_run_to_exception(self->vcpu, &exception);
	EXPECT_EQ(NMI, exception.vector);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.nmi.pending);
	EXPECT_EQ(1, events.nmi.masked);
	/* IRET lifts it. */
	test_vcpu_run_to_sync(self->vcpu);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(0, events.nmi.masked);
}

TEST_F(state, triple_fault)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 } };
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
					  .triple_fault = { .pending = 1 } };

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT))
		SKIP(return, "no KVM_CAP_X86_TRIPLE_FAULT_EVENT");
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_loop));
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.triple_fault.pending);
	events.triple_fault.pending = 0;
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	test_vcpu_run_to_sync(self->vcpu);
	events.triple_fault.pending = 1;
	ASSERT_EQ(0, set_events(self->vcpu, &events));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, test_vcpu_run(self->vcpu));
}

TEST_F(state, mp_state)
{
	struct kvm_mp_state state = { .mp_state = 77 };

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_MP_STATE, &state));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_MP_STATE, &state));
	state.mp_state = 77;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_MP_STATE, &state));
	EXPECT_EQ(EINVAL, errno);
	/* Who would wake it without a local APIC in the kernel? */
	state.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_MP_STATE, &state));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(state, mp_state_with_irqchip)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *boot = test_vcpu_create(vm, 0), *other = test_vcpu_create(vm, 1);
	struct kvm_mp_state state;

	ASSERT_EQ(0, ioctl(boot->fd, KVM_GET_MP_STATE, &state));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	ASSERT_EQ(0, ioctl(other->fd, KVM_GET_MP_STATE, &state));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, state.mp_state);
	state.mp_state = KVM_MP_STATE_HALTED;
	EXPECT_EQ(0, ioctl(other->fd, KVM_SET_MP_STATE, &state));
	ASSERT_EQ(0, ioctl(other->fd, KVM_GET_MP_STATE, &state));
	EXPECT_EQ(KVM_MP_STATE_HALTED, state.mp_state);
	test_vcpu_free(other);
	test_vcpu_free(boot);
	test_vm_free(vm);
}

GUEST_CODE16(guest_ap,
	     "mov %cs, %ax\n"
	     GUEST_SYNC);

/* A vCPU whose SIPI had arrived when it was saved starts at that SIPI's page. */
TEST_F(state, mp_state_sipi)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SIPI_VECTOR,
					  .sipi_vector = SIPI_PAGE };
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_SIPI_RECEIVED };
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *boot = test_vcpu_create(vm, 0), *other = test_vcpu_create(vm, 1);
	struct kvm_regs regs;

	memcpy(test_vm_hva(vm, events.sipi_vector << 12), GUEST_BLOB(guest_ap));
	ASSERT_EQ(0, ioctl(other->fd, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_EQ(0, ioctl(other->fd, KVM_SET_MP_STATE, &state));
	test_vcpu_run_to_sync(other);
	test_vcpu_regs(other, &regs);
	EXPECT_EQ(events.sipi_vector << 8, regs.rax & 0xffff);
	ASSERT_EQ(0, ioctl(other->fd, KVM_GET_MP_STATE, &state));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	state.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_MP_STATE, &state));
	EXPECT_EQ(EINVAL, errno);
	test_vcpu_free(other);
	test_vcpu_free(boot);
	test_vm_free(vm);
}

GUEST_CODE(guest_tsc,
	   "1: rdtsc\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "mov %rax, %r8\n"
	   "mov $0x10, %ecx\n"
	   "rdmsr\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "mov %rax, %r9\n"
	   "mov $0x3b, %ecx\n"
	   "rdmsr\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "mov %rax, %r10\n"
	   GUEST_SYNC
	   /* A write by the guest, of RBX to the MSR in EDI. */
	   "mov %edi, %ecx\n"
	   "mov %rbx, %rax\n"
	   "mov %rbx, %rdx\n"
	   "shr $32, %rdx\n"
	   "wrmsr\n"
	   "jmp 1b\n");

#define UNIT		(1ull << 36)
#define ROUND(x)	(((x) + UNIT / 2) & -UNIT)

static void tsc_guest_write(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdi = msr;
	regs.rbx = value;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
}

TEST_F(state, tsc_write_and_adjust)
{
	struct kvm_regs regs;
	uint64_t value;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_tsc));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	/* A new one starts at 0, and the instruction and the MSR tell the same. */
	EXPECT_EQ(0, ROUND(regs.r8));
	EXPECT_LT(regs.r8, regs.r9);
	EXPECT_GT(UNIT, regs.r9 - regs.r8);
	EXPECT_EQ(0, regs.r10);

	/* The guest's write of one shows in the other. */
	tsc_guest_write(self->vcpu, MSR_TSC, 4 * UNIT);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(4 * UNIT, ROUND(regs.r8));
	EXPECT_EQ(4 * UNIT, ROUND(regs.r10));
	tsc_guest_write(self->vcpu, MSR_TSC_ADJUST, 8 * UNIT);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(8 * UNIT, ROUND(regs.r8));
	EXPECT_EQ(8 * UNIT, regs.r10);

	/* The VMM's does not: it restores both. */
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_TSC, 100 * UNIT));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC_ADJUST, &value));
	EXPECT_EQ(8 * UNIT, value);
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_TSC_ADJUST, 3 * UNIT));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &value));
	EXPECT_EQ(100 * UNIT, ROUND(value));
}

/* What VMMs do to start several vCPUs: each counter is written, the guest must see one. */
TEST_F(state, tsc_of_two_vcpus)
{
	struct test_vcpu *other = test_vcpu_create(self->vm, 1);
	uint64_t first, second, third;

	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &first));
	ASSERT_EQ(1, test_vcpu_get_msr(other, MSR_TSC, &second));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &third));
	EXPECT_LT(first, second);
	EXPECT_LT(second, third);

	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_TSC, 50 * UNIT));
	ASSERT_EQ(1, test_vcpu_set_msr(other, MSR_TSC, 50 * UNIT));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &first));
	ASSERT_EQ(1, test_vcpu_get_msr(other, MSR_TSC, &second));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &third));
	EXPECT_EQ(50 * UNIT, ROUND(first));
	EXPECT_LT(first, second);
	EXPECT_LT(second, third);

	/* One that means another moment stays apart. */
	ASSERT_EQ(1, test_vcpu_set_msr(other, MSR_TSC, 70 * UNIT));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &first));
	ASSERT_EQ(1, test_vcpu_get_msr(other, MSR_TSC, &second));
	EXPECT_EQ(50 * UNIT, ROUND(first));
	EXPECT_EQ(70 * UNIT, ROUND(second));
	test_vcpu_free(other);
}

/* The offset itself, for VMMs that move a VM: host's counter and it make the guest's. */
TEST_F(state, tsc_offset)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET };
	uint64_t offset, value;

	attr.addr = (uintptr_t)&offset;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	offset += 20 * UNIT;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &value));
	EXPECT_EQ(20 * UNIT, ROUND(value));
	value = offset;
	offset = 0;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(value, offset);

	attr.addr = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	EXPECT_EQ(EFAULT, errno);
	attr.attr = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_EQ(ENXIO, errno);
	attr.attr = KVM_VCPU_TSC_OFFSET;
	attr.group = 7;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(state, tsc_khz)
{
	int khz = ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0);
	bool scales = test_check_extension(self->vm->dev_fd, KVM_CAP_TSC_CONTROL);
	uint64_t first;

	ASSERT_GT(khz, 1000);
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, (long)khz));
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, 0L));
	EXPECT_EQ(khz, ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0));
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, 0x7fffffffffffL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(khz, ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0));
	if (!scales) {
		if (!test_on_kvm()) {
			EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, 2L * khz));
			EXPECT_EQ(EINVAL, errno);
		}
		SKIP(return, "no TSC scaling here");
	}
	/* The frequency changes, the counter goes on. */
	ASSERT_EQ(1, test_vcpu_set_msr(self->vcpu, MSR_TSC, 10 * UNIT));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, 2L * khz));
	EXPECT_EQ(2 * khz, ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0));
	if (test_on_kvm())
		return;
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_TSC, &first));
	EXPECT_EQ(10 * UNIT, ROUND(first));
}

TEST_F(state, tsc_khz_of_the_vm)
{
	int khz = ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0);
	struct test_vcpu *other;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_VM_TSC_CONTROL))
		SKIP(return, "no KVM_CAP_VM_TSC_CONTROL");
	EXPECT_EQ(khz, ioctl(self->vm->fd, KVM_GET_TSC_KHZ, 0));
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_SET_TSC_KHZ, khz / 2L));
	other = test_vcpu_create(self->vm, 1);
	EXPECT_EQ(khz / 2, ioctl(other->fd, KVM_GET_TSC_KHZ, 0));
	EXPECT_EQ(khz, ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0));
	test_vcpu_free(other);
}

static int set_vm_khz(struct test_vm *vm, long khz)
{
	return ioctl(vm->fd, KVM_SET_TSC_KHZ, khz) ? -errno : 0;
}

/* A VM takes what a vCPU takes, so that none is made which cannot run at its frequency. */
TEST_F(state, tsc_khz_that_no_vm_takes)
{
	int khz = ioctl(self->vm->fd, KVM_GET_TSC_KHZ, 0);
	/* A thousandth is more than clocks differ by. */
	const long by_scaling[] = { khz / 2L, khz - khz / 1000L, khz + khz / 1000L, 2L * khz },
		   never[] = { 100000001L, 1L << 32, (1L << 32) + khz, 0x7fffffffffffL, -1L };
	bool scales = test_check_extension(self->vm->dev_fd, KVM_CAP_VM_TSC_CONTROL);
	struct test_vcpu *other;

	if (test_on_kvm())
		SKIP(return, "KVM takes the low half, whatever it is");
	ASSERT_GT(khz, 1000);
	for (unsigned int i = 0; i < ARRAY_SIZE(never); i++) {
		EXPECT_EQ(-EINVAL, set_vm_khz(self->vm, never[i]))
			TH_LOG("%ld kHz", never[i]);
	}
	EXPECT_EQ(khz, ioctl(self->vm->fd, KVM_GET_TSC_KHZ, 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(by_scaling); i++) {
		EXPECT_EQ(scales ? 0 : -EINVAL, set_vm_khz(self->vm, by_scaling[i]))
			TH_LOG("%ld kHz", by_scaling[i]);
	}
	/* Zero means the host's. */
	EXPECT_EQ(0, set_vm_khz(self->vm, 0));
	EXPECT_EQ(khz, ioctl(self->vm->fd, KVM_GET_TSC_KHZ, 0));
	other = test_vcpu_create(self->vm, 1);
	EXPECT_EQ(khz, ioctl(other->fd, KVM_GET_TSC_KHZ, 0));
	test_vcpu_free(other);
}

GUEST_CODE(guest_two_rdtsc,
	   "rdtsc\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "mov %rax, %r8\n"
	   "mov $100000, %ecx\n"
	   "1: dec %ecx\n"
	   "jnz 1b\n"
	   "rdtsc\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "sub %r8, %rax\n"
	   "mov %rax, %r9\n"
	   GUEST_SYNC);

static uint64_t guest_ticks(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_two_rdtsc));
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.r9;
}

/* Scaled, the same loop takes the other number of ticks. */
TEST_F(state, tsc_scaling_in_the_guest)
{
	long khz = ioctl(self->vcpu->fd, KVM_GET_TSC_KHZ, 0);
	uint64_t base, scaled;

	if (!test_check_extension(self->vm->dev_fd, KVM_CAP_TSC_CONTROL))
		SKIP(return, "no TSC scaling here");
	guest_ticks(self->vcpu);
	base = guest_ticks(self->vcpu);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_TSC_KHZ, 4 * khz));
	scaled = guest_ticks(self->vcpu);
	EXPECT_LT(2 * base, scaled);
	EXPECT_GT(8 * base, scaled);
}

TEST_HARNESS_MAIN
