// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IRQFD under those who signal all the time: armed, disarmed, closed, routed elsewhere, and the
 * end of the VM. Any outcome will do but harm to the host.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/eventfd.h"

#define VECTOR		0x50u
#define DEASSIGN	KVM_IRQFD_FLAG_DEASSIGN
#define RESAMPLE	KVM_IRQFD_FLAG_RESAMPLE

#define NR_SIGNALLERS	2
#define NR_SHARED	4

static int shared[NR_SHARED];	/* eventfds that come and go under those who signal them */
static volatile int stop;

/* What was a descriptor may be another by now, or none: any outcome will do. */
static void *signal_on(void *arg)
{
	unsigned int i = 0;

	(void)arg;
	while (!stop) {
		uint64_t one = 1;
		int fd = __atomic_load_n(&shared[i++ % NR_SHARED], __ATOMIC_RELAXED);

		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EBADF &&
		    errno != EAGAIN)
			test_die("writing an eventfd");
	}
	return NULL;
}

static void start_signalling(pthread_t *threads)
{
	stop = 0;
	memset(shared, 0xff, sizeof(shared));
	for (int i = 0; i < NR_SIGNALLERS; i++)
		pthread_create(&threads[i], NULL, signal_on, NULL);
}

static void stop_signalling(pthread_t *threads)
{
	stop = 1;
	for (int i = 0; i < NR_SIGNALLERS; i++)
		pthread_join(threads[i], NULL);
}

/* Armed, disarmed, closed and routed elsewhere while others signal and the guest takes it all. */
TEST(changed_while_signalled)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	int resample = test_eventfd();
	pthread_t threads[NR_SIGNALLERS];
	unsigned int i, seen = 0;

	if (test_on_kvm())
		SKIP(return, "starves on KVM in the emulated machine");
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
	test_irqfd_enable_apic(vcpu);
	test_irqfd_set_entry(vcpu, TEST_GSI, VECTOR);
	test_irqfd_set_entry(vcpu, TEST_GSI + 1, (VECTOR + 1) | TEST_ENTRY_LEVEL);
	ASSERT_EQ(test_irqfd_route(vm->fd, 0), 0);
	start_signalling(threads);
	for (i = 0; i < 120; i++) {
		unsigned int at = i % NR_SHARED;
		bool level = i & 1;
		int fd = test_eventfd();
		uint32_t gsi = level ? TEST_GSI + 1 : i & 2 ? TEST_MSI_GSI : TEST_GSI;

		ASSERT_EQ(test_irqfd(vm->fd, fd, gsi, level ? RESAMPLE : 0, resample), 0);
		__atomic_store_n(&shared[at], fd, __ATOMIC_RELAXED);
		ASSERT_EQ(test_irqfd_route(vm->fd, i % 3 ? 0x80 + i : 0), 0);
		test_irq_window(vcpu);
		seen += test_irq_count(vcpu);
		test_irq_clear(vcpu);
		__atomic_store_n(&shared[at], -1, __ATOMIC_RELAXED);
		if (i % 5)
			ASSERT_EQ(test_irqfd(vm->fd, fd, gsi, DEASSIGN, 0), 0);
		close(fd);
	}
	stop_signalling(threads);
	EXPECT_GT(seen, 0);
	/* All are gone: what is still pending is taken, and then nothing comes. */
	test_irq_window(vcpu);
	test_irq_window(vcpu);
	test_irq_clear(vcpu);
	EXPECT_EQ(test_irqfd_taken(vcpu, 0), 0);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	close(resample);
}

/* The VM and its vCPU are closed while others signal. */
TEST(closed_while_signalled)
{
	pthread_t threads[NR_SIGNALLERS];
	unsigned int i, at;

	start_signalling(threads);
	for (i = 0; i < 8; i++) {
		struct test_vm *vm = test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		int resample = test_eventfd();

		ASSERT_EQ(test_irqfd_route(vm->fd, 0), 0);
		for (at = 0; at < NR_SHARED; at++) {
			int fd = test_eventfd();

			ASSERT_EQ(test_irqfd(vm->fd, fd, at & 1 ? TEST_GSI : TEST_MSI_GSI,
					     at & 2 ? RESAMPLE : 0, resample), 0);
			__atomic_store_n(&shared[at], fd, __ATOMIC_RELAXED);
		}
		usleep(2000);
		/* Before or after the VM, whose last descriptor may be the vCPU's. */
		if (i & 1)
			close(shared[0]);
		if (i & 2)
			test_vcpu_free(vcpu);
		test_vm_free(vm);
		if (!(i & 2))
			test_vcpu_free(vcpu);
		for (at = i & 1; at < NR_SHARED; at++)
			close(shared[at]);
		close(resample);
	}
	stop_signalling(threads);
}

TEST_HARNESS_MAIN
