// SPDX-License-Identifier: GPL-2.0
/*
 * Local APICs that talk to each other: INIT and SIPI, interrupts between vCPUs, and their end. More
 * vCPUs than CPUs, on CPUs that come and go.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/host.h"
#include "lib/irq.h"

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

/* In whatever order they were made and whatever their ids: physical, by cluster, broadcast. */
TEST(ids_in_any_order)
{
	static const unsigned int ids[] = { 5, 1000, 0, 33, 32 };
	const unsigned int nr = ARRAY_SIZE(ids), sender = 2;
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct test_vcpu *vcpu[ARRAY_SIZE(ids)];
	struct test_vm *vm = test_vm_create_irqchip();

	if (test_check_extension(vm->fd, KVM_CAP_MAX_VCPU_ID) <= 1000) {
		test_vm_free(vm);
		SKIP(return, "ids are smaller");
	}
	for (unsigned int i = 0; i < nr; i++) {
		vcpu[i] = test_vcpu_create(vm, ids[i]);
		test_vcpu_set_supported_cpuid(vcpu[i]);
		ASSERT_EQ(ioctl(vcpu[i]->fd, KVM_SET_MP_STATE, &runnable), 0);
		test_irq_start(vcpu[i], i, TEST_EOI_X2APIC);
		apic_enable_x2(vcpu[i]);
		EXPECT_EQ(apic_x2(vcpu[i], APIC_ID), ids[i]);
	}
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_VCPU, 1000L), -1);
	EXPECT_EQ(errno, EEXIST);

	for (unsigned int to = 0; to < nr; to++) {
		uint64_t logical = (uint64_t)(ids[to] >> 4 << 16 | 1 << (ids[to] & 15)) << 32;

		apic_set_x2(vcpu[sender], APIC_ICR, (uint64_t)ids[to] << 32 | ICR_ASSERT | 0x50);
		apic_set_x2(vcpu[sender], APIC_ICR, logical | ICR_LOGICAL | ICR_ASSERT | 0x61);
		for (unsigned int i = 0; i < nr; i++) {
			test_irq_window(vcpu[i]);
			test_irq_window(vcpu[i]);
			EXPECT_EQ(test_irq_count(vcpu[i]), i == to ? 2 : 0)
				TH_LOG("id %u, sent to %u", ids[i], ids[to]);
			test_irq_clear(vcpu[i]);
		}
	}
	/* Both of cluster 2, one that is not there, and lowest priority picks one of the two. */
	apic_set_x2(vcpu[sender], APIC_ICR,
		    (uint64_t)(2 << 16 | 7) << 32 | ICR_LOGICAL | ICR_ASSERT | 0x50);
	apic_set_x2(vcpu[sender], APIC_ICR,
		    (uint64_t)(2 << 16 | 3) << 32 | ICR_LOGICAL | ICR_ASSERT | 0x160);
	for (unsigned int i = 0; i < nr; i++) {
		test_irq_window(vcpu[i]);
		test_irq_window(vcpu[i]);
	}
	EXPECT_EQ(test_irq_count(vcpu[3]) + test_irq_count(vcpu[4]), 3);
	EXPECT_EQ(test_irq_count(vcpu[0]) + test_irq_count(vcpu[1]) + test_irq_count(vcpu[2]), 0);
	for (unsigned int i = 0; i < nr; i++)
		test_vcpu_free(vcpu[i]);
	test_vm_free(vm);
}

/* NMI and INIT to others, by shorthand and by id. */
TEST_F(smp, nmi_and_init)
{
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct test_exception exception;
	struct kvm_regs regs;

	ASSERT_EQ(ioctl(self->vcpu[1]->fd, KVM_SET_MP_STATE, &mp_state), 0);
	test_irq_start(self->vcpu[1], 1, TEST_EOI_X2APIC);
	apic_enable_x2(self->vcpu[1]);
	apic_set_x2(self->vcpu[0], APIC_ICR, ICR_ALL_BUT | ICR_NMI | ICR_ASSERT);
	test_irq_begin_halt(self->vcpu[1]);
	test_vcpu_run_to_exception(self->vcpu[1], &exception);
	EXPECT_EQ(exception.vector, 2);
	/* Blocked until IRET: of two that come now one is kept. */
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_NMI | ICR_ASSERT);
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_NMI | ICR_ASSERT);
	test_vcpu_run_to_exception(self->vcpu[1], &exception);
	EXPECT_EQ(exception.vector, 2);
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_ASSERT | 0x50);
	test_vcpu_run_to_sync(self->vcpu[1]);

	apic_set_x2(self->vcpu[1], APIC_TPR, 0x20);
	apic_set_x2(self->vcpu[0], APIC_ICR, 1ull << 32 | ICR_INIT | ICR_ASSERT);
	ASSERT_EQ(ioctl(self->vcpu[1]->fd, KVM_GET_MP_STATE, &mp_state), 0);
	EXPECT_EQ(mp_state.mp_state, KVM_MP_STATE_INIT_RECEIVED);
	test_vcpu_regs(self->vcpu[1], &regs);
	EXPECT_EQ(regs.rip, 0xfff0);
}

/*
 * More vCPUs than CPUs hand a token round, each by an interrupt to the next that sleeps in HLT,
 * while their threads are moved about and a CPU goes and comes.
 */
#define RING_VCPUS	6
#define RING_TURNS	40
#define RING_GPA	(TEST_FREE_GPA + 0x40000u)

/* EBX: the next one's id. The interrupt's handler counts. */
GUEST_CODE(ring_code,
	   "1: cli\n"
	   "2: mov %gs:0, %eax\n cmp %eax, %ebp\n jb 3f\n"
	   "sti\n hlt\n jmp 1b\n"
	   "3: inc %ebp\n"
	   "mov $0x830, %ecx\n mov %ebx, %edx\n mov $0x4050, %eax\n wrmsr\n"
	   "cmp %esi, %ebp\n jb 1b\n"
	   "outb %al, $0xe1\n");

static void *ring_thread(void *arg)
{
	test_vcpu_run_to_done(arg);
	return NULL;
}

TEST(ring_of_more_vcpus_than_cpus)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_msi token = { .address_lo = TEST_APIC_GPA, .data = 0x50 };
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu[RING_VCPUS];
	pthread_t thread[RING_VCPUS];
	uint64_t seed = host_seed();
	struct kvm_regs regs;
	bool hotplug = sysconf(_SC_NPROCESSORS_ONLN) > 1;

	if (test_on_kvm())
		SKIP(return, "the emulated machine stands still on KVM when a CPU goes");
	memcpy(test_vm_hva(vm, RING_GPA), ring_code, ring_code_end - ring_code);
	for (unsigned int i = 0; i < RING_VCPUS; i++) {
		vcpu[i] = test_vcpu_create(vm, i);
		test_vcpu_set_supported_cpuid(vcpu[i]);
		ASSERT_EQ(ioctl(vcpu[i]->fd, KVM_SET_MP_STATE, &runnable), 0);
		test_irq_start(vcpu[i], i, TEST_EOI_X2APIC);
		apic_enable_x2(vcpu[i]);
		test_vcpu_regs(vcpu[i], &regs);
		regs.rip = RING_GPA;
		regs.rbx = (i + 1) % RING_VCPUS;
		regs.rbp = 0;
		regs.rsi = RING_TURNS;
		test_vcpu_set_regs(vcpu[i], &regs);
	}
	for (unsigned int i = 0; i < RING_VCPUS; i++)
		ASSERT_EQ(pthread_create(&thread[i], NULL, ring_thread, vcpu[i]), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &token), 1);
	for (unsigned int i = 0; i < 30; i++) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(host_random(&seed) % 2, &cpus);
		/* Without effect where that CPU is off. */
		pthread_setaffinity_np(thread[host_random(&seed) % RING_VCPUS], sizeof(cpus),
				       &cpus);
		if (hotplug && i % 10 == 5) {
			EXPECT_EQ(host_cpu_set_online(1, 0), 0);
			EXPECT_EQ(host_cpu_set_online(1, 1), 0);
		}
		usleep(500);
	}
	for (unsigned int i = 0; i < RING_VCPUS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_GE(test_irq_count(vcpu[i]), RING_TURNS);
		test_vcpu_free(vcpu[i]);
	}
	test_vm_free(vm);
}

/* A timer that fires while its vCPU goes away. */
TEST(free_with_armed_timers)
{
	if (test_on_kvm())
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

#define MODE_ROUNDS	200u
#define MSI_LOGICAL	(TEST_APIC_GPA | 1 << 12 | 1 << 2)	/* to one, in both modes */

struct sender {
	struct test_vm *vm;
	atomic_uint era;	/* odd: the vCPU is addressed, whatever its mode is now */
	atomic_uint sent;
	unsigned int missed;
};

static void *send_msis(void *arg)
{
	struct kvm_msi msi = { .address_lo = MSI_LOGICAL, .data = 0x51 };
	struct sender *sender = arg;
	unsigned int era;

	while ((era = atomic_load(&sender->era)) < 2 * MODE_ROUNDS) {
		int ret = ioctl(sender->vm->fd, KVM_SIGNAL_MSI, &msi);

		atomic_fetch_add(&sender->sent, 1);
		if (ret < 0 && era % 2 && atomic_load(&sender->era) == era)
			sender->missed++;
	}
	return NULL;
}

static void set_base_mode(struct test_vcpu *vcpu, bool x2apic)
{
	struct kvm_sregs sregs;

	test_vcpu_sregs(vcpu, &sregs);
	sregs.apic_base &= ~(uint64_t)BASE_X2APIC;
	if (x2apic)
		sregs.apic_base |= BASE_X2APIC;
	test_vcpu_set_sregs(vcpu, &sregs);
}

/* Eight bits that name the vCPU in the old mode and in the new one name it in between. */
TEST_F(smp, addressed_while_it_changes_its_mode)
{
	struct sender sender = { .vm = self->vm };
	struct kvm_lapic_state state;
	pthread_t thread;

	set_base_mode(self->vcpu[1], true);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_msis, &sender));
	for (unsigned int i = 0; i < MODE_ROUNDS; i++) {
		unsigned int sent;

		set_base_mode(self->vcpu[0], false);
		ASSERT_EQ(0, ioctl(self->vcpu[0]->fd, KVM_GET_LAPIC, &state));
		*apic_state_reg(&state, APIC_LDR) = 1 << 24;
		ASSERT_EQ(0, ioctl(self->vcpu[0]->fd, KVM_SET_LAPIC, &state));
		atomic_fetch_add(&sender.era, 1);
		sent = atomic_load(&sender.sent);
		while (atomic_load(&sender.sent) == sent)
			sched_yield();
		set_base_mode(self->vcpu[0], true);
		atomic_fetch_add(&sender.era, 1);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sender.missed);
}

TEST_HARNESS_MAIN
