// SPDX-License-Identifier: GPL-2.0
/*
 * Local APICs that talk to each other: INIT and SIPI, interrupts between vCPUs, and their end.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/irq.h"
#include "lib/apic.h"

/* KVM comes back once with EAGAIN when it has started the vCPU. */
static void *run_thread(void *arg)
{
	struct test_vcpu *vcpu = arg;
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0L);
	} while (ret && errno == EAGAIN);
	if (ret)
		test_die("KVM_RUN");
	return NULL;
}

FIXTURE(smp) {
	struct test_vm *vm;
	struct test_vcpu *vcpu[2];
};

FIXTURE_SETUP(smp)
{
	self->vm = test_vm_create_irqchip();
	for (unsigned int i = 0; i < 2; i++) {
		self->vcpu[i] = test_vcpu_create(self->vm, i);
		test_vcpu_set_supported_cpuid(self->vcpu[i]);
	}
	test_irq_start(self->vcpu[0], 0, TEST_EOI_X2APIC);
	apic_enable_x2(self->vcpu[0]);
}

FIXTURE_TEARDOWN(smp)
{
	test_vcpu_free(self->vcpu[1]);
	test_vcpu_free(self->vcpu[0]);
	test_vm_free(self->vm);
}

GUEST_CODE16(ap_start,
	     "mov %cs, %ax\n"
	     "outb %al, $0xe1\n");

#define SIPI_VECTOR	0x9

TEST_F(smp, init_and_sipi)
{
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	pthread_t thread;

	ASSERT_EQ(ioctl(self->vcpu[1]->fd, KVM_GET_MP_STATE, &mp_state), 0);
	EXPECT_EQ(mp_state.mp_state, KVM_MP_STATE_UNINITIALIZED);
	memcpy(test_vm_hva(self->vm, SIPI_VECTOR << 12), ap_start, ap_start_end - ap_start);
	ASSERT_EQ(pthread_create(&thread, NULL, run_thread, self->vcpu[1]), 0);

	/* A SIPI without an INIT before it is not heard. */
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_SIPI | ICR_ASSERT | 0x20);
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_INIT | ICR_ASSERT);
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_SIPI | ICR_ASSERT | SIPI_VECTOR);
	/* The second one, which the protocol asks for, finds it running. */
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_SIPI | ICR_ASSERT | SIPI_VECTOR);
	pthread_join(thread, NULL);

	ASSERT_EQ(self->vcpu[1]->run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(self->vcpu[1]->run->io.port, TEST_PORT_DONE);
	test_vcpu_sregs(self->vcpu[1], &sregs);
	EXPECT_EQ(sregs.cs.selector, SIPI_VECTOR << 8);
	EXPECT_EQ(sregs.cs.base, SIPI_VECTOR << 12);
	ASSERT_EQ(ioctl(self->vcpu[1]->fd, KVM_GET_MP_STATE, &mp_state), 0);
	EXPECT_EQ(mp_state.mp_state, KVM_MP_STATE_RUNNABLE);
}

/* A second vCPU that is in long mode and waits in HLT for each of these. */
TEST_F(smp, ipi_destinations)
{
	static const struct {
		const char *name;
		uint64_t icr;
		bool both;
	} rows[] = {
		{ "physical", 1ull << 32 | ICR_ASSERT, false },
		{ "logical", 2ull << 32 | ICR_LOGICAL | ICR_ASSERT, false },
		{ "logical, both", 3ull << 32 | ICR_LOGICAL | ICR_ASSERT, true },
		{ "broadcast", 0xffffffffull << 32 | ICR_ASSERT, true },
		{ "all but self", ICR_ALL_BUT | ICR_ASSERT, false },
		{ "all", 0x80000 | ICR_ASSERT, true },
		{ "lowest priority", 2ull << 32 | ICR_LOGICAL | 0x100 | ICR_ASSERT, false },
	};
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	ASSERT_EQ(ioctl(self->vcpu[1]->fd, KVM_SET_MP_STATE, &runnable), 0);
	test_irq_start(self->vcpu[1], 1, TEST_EOI_X2APIC);
	apic_enable_x2(self->vcpu[1]);
	EXPECT_EQ(apic_x2(self->vcpu[1], APIC_LDR), 2);

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		pthread_t thread;

		test_irq_begin_halt(self->vcpu[1]);
		ASSERT_EQ(pthread_create(&thread, NULL, run_thread, self->vcpu[1]), 0);
		apic_set_x2(self->vcpu[0], APIC_ICR, rows[i].icr | (0x60 + i));
		pthread_join(thread, NULL);
		ASSERT_EQ(test_irq_count(self->vcpu[1]), 1) TH_LOG("%s", rows[i].name);
		EXPECT_EQ(test_irq_vector(self->vcpu[1], 0), 0x60 + i);
		test_irq_window(self->vcpu[0]);
		EXPECT_EQ(test_irq_count(self->vcpu[0]), rows[i].both) TH_LOG("%s", rows[i].name);
		test_irq_clear(self->vcpu[0]);
		test_irq_clear(self->vcpu[1]);
	}
	/* Nobody has this id. */
	apic_set_x2(self->vcpu[0], APIC_ICR, 77ull << 32 | ICR_ASSERT | 0x70);
	test_irq_window(self->vcpu[0]);
	test_irq_window(self->vcpu[1]);
	EXPECT_EQ(test_irq_count(self->vcpu[0]) + test_irq_count(self->vcpu[1]), 0);
}

/* A timer that fires while its vCPU goes away. */
TEST(free_with_armed_timers)
{
	if (test_irq_on_kvm())
		SKIP(return, "it starves the emulated machine there");
	for (unsigned int i = 0; i < 20; i++) {
		struct test_vm *vm = test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		struct kvm_pit_config config = {};

		ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &config), 0);
		test_vcpu_set_supported_cpuid(vcpu);
		test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
		apic_enable_x2(vcpu);
		apic_set_x2(vcpu, APIC_TDCR, DIVIDE_BY_1);
		apic_set_x2(vcpu, APIC_LVTT, LVT_PERIODIC | 0x60);
		apic_set_x2(vcpu, APIC_TMICT, 1);
		test_irq_out(vcpu, 0x43, 0x34);
		test_irq_out(vcpu, 0x40, 1);
		test_irq_out(vcpu, 0x40, 0);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
}

TEST_HARNESS_MAIN
