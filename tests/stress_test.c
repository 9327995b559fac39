// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, by a seed: guests that write what they like to their APICs, interrupt
 * themselves and each other and reset each other; lines and messages from outside, slots that come
 * and go under them, signals, threads moved between CPUs, a CPU off and on, and VMMs that are
 * killed in the middle. What a guest makes of it is its own affair: the host must stand, every vCPU
 * must get on, and who is asked to end must end.
 *
 * STRESS_SECONDS says for how long; tests/long has a longer one.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/host.h"
#include "lib/irq.h"

#ifndef STRESS_DEFAULT_SECONDS
#define STRESS_DEFAULT_SECONDS	2
#endif
#define VCPUS		3
#define SLOT_GPA	0x10000000u
#define SLOT_BYTES	(64u * 4096)
#define END_MS		20000	/* a VMM that was asked to end has ended by then */

struct stress {
	struct test_vm *vm;
	struct test_vcpu *vcpu[VCPUS];
	struct kvm_sregs sregs[VCPUS];
	struct kvm_regs regs[VCPUS];
	pthread_t thread[VCPUS];
	atomic_uint runs[VCPUS];
	uint64_t seed;
};

static struct stress s;
static atomic_bool stop;

static void on_signal(int signal)
{
	(void)signal;
}

static void on_end(int signal)
{
	(void)signal;
	stop = true;
}

static uint64_t seed_for(unsigned int who)
{
	uint64_t seed = s.seed ^ (who + 1) * 0x9e3779b97f4a7c15ull;

	return seed ? seed : 1;
}

/* Mostly what makes sense, now and then anything. */
static uint64_t value_for(uint64_t *seed, uint32_t offset)
{
	uint64_t r = host_random(seed);

	if (r % 8 == 0)
		return host_random(seed);
	switch (offset) {
	case APIC_ICR:
		return (r >> 8) % (VCPUS + 1) << 32 | (r >> 16 & 0xccfff);
	case APIC_SELF_IPI:
		return r >> 8 & 0xff;
	case APIC_SPIV:
		return SPIV_ON;
	case APIC_EOI:
		return 0;
	case APIC_LVTT:
		return (r >> 8 & 0x60000) | (r >> 32 & 0xff);
	case APIC_TMICT:
		return r >> 8 & 0xffff;
	default:
		return r >> 8 & 0xff;
	}
}

static uint32_t offset_for(uint64_t *seed)
{
	static const uint32_t offsets[] = {
		APIC_SELF_IPI, APIC_SELF_IPI, APIC_ICR, APIC_ICR, APIC_EOI, APIC_EOI, APIC_TPR,
		APIC_SPIV, APIC_LVTT, APIC_TMICT, APIC_TDCR, APIC_LVT0, APIC_LVTERR, APIC_ESR,
		APIC_LDR, APIC_DFR, APIC_ID, APIC_ICR2,
	};
	uint64_t r = host_random(seed);

	return r % 16 ? offsets[(r >> 8) % ARRAY_SIZE(offsets)] : r >> 8 & 0xff0;
}

static uint64_t base_for(uint64_t *seed)
{
	static const uint64_t bases[] = {
		TEST_APIC_GPA | BASE_ENABLE, TEST_APIC_GPA | BASE_ENABLE | BASE_X2APIC,
		TEST_APIC_GPA | BASE_ENABLE | BASE_X2APIC, TEST_APIC_GPA,
		SLOT_GPA | BASE_ENABLE, TEST_APIC_GPA | BASE_X2APIC, ~0ull,
	};

	return bases[host_random(seed) % ARRAY_SIZE(bases)];
}

/* The next thing that the guest does; the numbers are those of the guest of lib/irq.c. */
static void choose(uint64_t *seed, struct kvm_regs *regs)
{
	uint32_t offset = offset_for(seed);
	uint64_t r = host_random(seed);

	switch (r % 16) {
	case 0 ... 4:
		regs->rdi = 5;		/* WRMSR */
		regs->rsi = TEST_X2APIC(offset);
		regs->rdx = value_for(seed, offset);
		break;
	case 5 ... 7:
		regs->rdi = 1;		/* write */
		regs->rsi = TEST_APIC_GPA + offset;
		regs->rdx = value_for(seed, offset);
		break;
	case 8:
		regs->rdi = r >> 8 & 1;
		regs->rsi = SLOT_GPA + (r >> 16) % SLOT_BYTES;
		break;
	case 9:
		regs->rdi = 0;
		regs->rsi = TEST_APIC_GPA + offset;
		break;
	case 10:
		regs->rdi = 5;
		regs->rsi = r >> 8 & 1 ? TEST_MSR_TSC_DEADLINE : TEST_MSR_APIC_BASE;
		regs->rdx = regs->rsi == TEST_MSR_APIC_BASE ? base_for(seed) : r >> 16 & 0xffffffff;
		break;
	case 11:
		regs->rdi = 7;		/* HLT */
		break;
	case 12:
		regs->rdi = 8;		/* busy for some ticks */
		regs->rsi = r >> 8 & 0x3fff;
		break;
	default:
		regs->rdi = 6;		/* interrupts on for a moment */
		break;
	}
}

static void restart(unsigned int i)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events = {};

	ioctl(s.vcpu[i]->fd, KVM_SET_MP_STATE, &runnable);
	ioctl(s.vcpu[i]->fd, KVM_SET_VCPU_EVENTS, &events);
	s.sregs[i].apic_base = TEST_APIC_GPA | BASE_ENABLE;
	ioctl(s.vcpu[i]->fd, KVM_SET_SREGS, &s.sregs[i]);
}

static void *vcpu_thread(void *arg)
{
	unsigned int i = (uintptr_t)arg;
	struct test_vcpu *vcpu = s.vcpu[i];
	uint64_t seed = seed_for(i);

	while (!stop) {
		struct kvm_regs regs = s.regs[i];
		struct kvm_lapic_state state;

		choose(&seed, &regs);
		test_vcpu_set_regs(vcpu, &regs);
		if (host_random(&seed) % 64 == 0 && !ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
			ioctl(vcpu->fd, KVM_SET_LAPIC, &state);
		if (ioctl(vcpu->fd, KVM_RUN, 0L)) {
			if (errno != EINTR && errno != EAGAIN)
				test_die("KVM_RUN");
			restart(i);
		} else if (vcpu->run->exit_reason != KVM_EXIT_IO ||
			   vcpu->run->io.port != TEST_PORT_SYNC) {
			restart(i);
		}
		s.runs[i]++;
	}
	return NULL;
}

static void *lines_thread(void *arg)
{
	uint64_t seed = seed_for(VCPUS);

	while (!stop) {
		uint64_t r = host_random(&seed);
		struct kvm_irq_level line = { .irq = r >> 8 & 31, .level = r >> 16 & 1 };
		struct kvm_msi msi = {
			.address_lo = TEST_APIC_GPA | (r >> 8 & 0xff) % (VCPUS + 1) << 12 |
				      (r >> 16 & 0xc),
			.data = r >> 20 & 0xcfff,
		};

		if (r % 4)
			ioctl(s.vm->fd, KVM_SIGNAL_MSI, &msi);
		else
			ioctl(s.vm->fd, KVM_IRQ_LINE, &line);
		if (r % 64 == 0)
			usleep(100);
	}
	return arg;
}

static void *slots_thread(void *arg)
{
	uint64_t seed = seed_for(VCPUS + 1);
	char *memory = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t dirty[SLOT_BYTES / 4096 / 64 + 1];

	if (memory == MAP_FAILED)
		test_die("mmap");
	while (!stop) {
		uint64_t r = host_random(&seed);
		struct kvm_userspace_memory_region region = {
			.slot = 1, .flags = r >> 8 & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY),
			.guest_phys_addr = r >> 16 & 3 ? SLOT_GPA : TEST_APIC_GPA,
			.memory_size = r >> 20 & 3 ? SLOT_BYTES : 0,
			.userspace_addr = (uintptr_t)memory,
		};
		struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = dirty };

		if (r & 1)
			ioctl(s.vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
		else if (r & 2)
			ioctl(s.vm->fd, KVM_GET_DIRTY_LOG, &log);
		else
			madvise(memory, SLOT_BYTES, MADV_DONTNEED);
		usleep(200);
	}
	return arg;
}

static void move(uint64_t *seed, pthread_t thread)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(host_random(seed) % 2, &cpus);
	/* Without effect where that CPU is off. */
	pthread_setaffinity_np(thread, sizeof(cpus), &cpus);
}

static void build(bool chips)
{
	struct kvm_pit_config pit = {};

	s.vm = test_vm_create_irqchip();
	if (chips && ioctl(s.vm->fd, KVM_CREATE_PIT2, &pit))
		test_die("KVM_CREATE_PIT2");
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

		s.vcpu[i] = test_vcpu_create(s.vm, i);
		apic_set_cpuid(s.vcpu[i]);
		if (ioctl(s.vcpu[i]->fd, KVM_SET_MP_STATE, &runnable))
			test_die("KVM_SET_MP_STATE");
		test_irq_start(s.vcpu[i], i, TEST_EOI_X2APIC);
		test_vcpu_sregs(s.vcpu[i], &s.sregs[i]);
		test_vcpu_regs(s.vcpu[i], &s.regs[i]);
	}
}

/* One VMM, in a process of its own; it ends when it is asked to by SIGTERM. */
static int vmm(uint64_t seed)
{
	pthread_t lines, slots;
	unsigned int ms = 0;

	stop = false;
	s.seed = seed;
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_end }, NULL);
	build(seed & 1);
	for (unsigned int i = 0; i < VCPUS; i++)
		if (pthread_create(&s.thread[i], NULL, vcpu_thread, (void *)(uintptr_t)i))
			test_die("pthread_create");
	if (pthread_create(&lines, NULL, lines_thread, NULL) ||
	    pthread_create(&slots, NULL, slots_thread, NULL))
		test_die("pthread_create");
	while (!stop) {
		unsigned int i = host_random(&seed) % VCPUS;

		pthread_kill(s.thread[i], SIGUSR1);
		move(&seed, s.thread[host_random(&seed) % VCPUS]);
		usleep(1000);
	}
	pthread_join(lines, NULL);
	pthread_join(slots, NULL);
	/* One that halts needs more than the word to stop. */
	for (unsigned int i = 0; i < VCPUS; i++) {
		while (pthread_tryjoin_np(s.thread[i], NULL) && ms++ < END_MS) {
			pthread_kill(s.thread[i], SIGUSR1);
			usleep(1000);
		}
		if (ms >= END_MS || !s.runs[i]) {
			printf("# vCPU %u: %u RUNs, %u ms to its end\n", i, s.runs[i], ms);
			fflush(stdout);
			return 1;
		}
	}
	if (getenv("STRESS_SECONDS"))
		printf("# RUNs: %u %u %u\n", s.runs[0], s.runs[1], s.runs[2]);
	fflush(stdout);
	for (unsigned int i = 0; i < VCPUS; i++)
		test_vcpu_free(s.vcpu[i]);
	test_vm_free(s.vm);
	return 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/*
 * The emulated machine is a slow one: with several guests' timers at their shortest it does little
 * but serve them.
 */
#define MIN_PERIOD	"/sys/module/" HOST_MODULE "/parameters/min_timer_period_us"

FIXTURE(stress) {};

FIXTURE_SETUP(stress)
{
	(void)self;
	host_write(MIN_PERIOD, "2000");
}

FIXTURE_TEARDOWN(stress)
{
	(void)self;
	host_write(MIN_PERIOD, "200");
}

TEST_F_TIMEOUT(stress, all_at_once, 7200)
{
	const char *text = getenv("STRESS_SECONDS");
	double end = now() + (text ? atoi(text) : STRESS_DEFAULT_SECONDS);
	uint64_t seed = host_seed();
	bool hotplug = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	unsigned int round = 0;

	if (test_irq_on_kvm())
		SKIP(return, "the emulated machine does not survive it on KVM");
	fflush(stdout);
	do {
		uint64_t r = host_random(&seed), child_seed = host_random(&seed);
		bool kill_it = round++ % 2;
		int status;
		pid_t pid = fork();

		ASSERT_NE(pid, -1);
		if (!pid)
			_exit(vmm(child_seed));
		usleep(300000 + r % 300000);
		if (hotplug) {
			EXPECT_EQ(host_cpu_set_online(1, 0), 0);
			usleep(r >> 32 & 0xffff);
			EXPECT_EQ(host_cpu_set_online(1, 1), 0);
		}
		kill(pid, kill_it ? SIGKILL : SIGTERM);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_TRUE(kill_it ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL :
				      WIFEXITED(status) && !WEXITSTATUS(status));
		if (!_metadata->passed)
			TH_LOG("round %u, seed %llu", round, (unsigned long long)child_seed);
	} while (now() < end && _metadata->passed);
}

TEST_HARNESS_MAIN
