// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, by a seed: guests that write what they like to their APICs, control registers
 * and MSRs, interrupt themselves and each other and reset each other (lib/chance.h); lines and
 * messages from outside, eventfds that are armed, signalled and closed, slots that come and go
 * under them, dirty rings that nobody empties, signals, threads moved between CPUs, a CPU off and
 * on, and VMMs that are killed in the middle of it. What a guest makes of it is its own affair: the
 * host must stand, every vCPU must get on, and who is asked to end must end.
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
#include "lib/chance.h"
#include "lib/eventfd.h"
#include "lib/host.h"
#include "lib/irq.h"

#ifndef STRESS_DEFAULT_SECONDS
#define STRESS_DEFAULT_SECONDS	2
#endif
#define VCPUS		CHANCE_VCPUS
#define SLOT_GPA	CHANCE_SLOT_GPA
#define SLOT_BYTES	CHANCE_SLOT_BYTES
#define RING_BYTES	16384u	/* the smallest where hardware logs 512 pages */
#define RING_ENTRIES	(RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define NR_EVENTFDS	6u
#define NR_SIGNALLED	4u	/* the others nobody signals but the guests */
#define MAX_SIGNALS	4u	/* that do not end a guest's command */
#define MAX_ROUNDS	48u	/* by then everything has happened, on a kernel with KASAN too */
#define END_MS		20000	/* a VMM that was asked to end has ended by then */

/* What happened at all, of every VMM: the killed ones leave it, too. */
struct tally {
	atomic_uint runs, restarts, exceptions, mmio, ring_full, bells, lines;
};

struct stress {
	struct test_vm *vm;
	struct test_vcpu *vcpu[VCPUS];
	struct kvm_sregs sregs[VCPUS];
	struct kvm_regs regs[VCPUS];
	pthread_t thread[VCPUS];
	atomic_uint runs[VCPUS];
	int eventfd[NR_EVENTFDS];
	struct kvm_dirty_gfn *ring[VCPUS];
	uint64_t seed;
};

static struct stress s;
static struct tally *tally;
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

static void restart(unsigned int i)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events = {};

	ioctl(s.vcpu[i]->fd, KVM_SET_MP_STATE, &runnable);
	ioctl(s.vcpu[i]->fd, KVM_SET_VCPU_EVENTS, &events);
	s.sregs[i].apic_base = TEST_APIC_GPA | BASE_ENABLE;
	ioctl(s.vcpu[i]->fd, KVM_SET_SREGS, &s.sregs[i]);
	tally->restarts++;
}

/* After a RUN: may the guest have its next command? */
static bool is_waiting(struct test_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_MMIO)
		tally->mmio++;
	if (run->exit_reason != KVM_EXIT_IO)
		return false;
	if (run->io.port == TEST_PORT_EXCEPTION)
		tally->exceptions++;
	return run->io.port == TEST_PORT_SYNC;
}

/*
 * A command goes on after some signals, and waits while nobody empties the ring; but one may also
 * have no end.
 */
static int run_vcpu(struct test_vcpu *vcpu)
{
	unsigned int signals = 0;
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0L);
		tally->runs++;
		if (ret) {
			if (errno != EINTR || signals++ == MAX_SIGNALS)
				return ret;
		} else if (vcpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
			tally->ring_full++;
			usleep(200);
		} else {
			return 0;
		}
	} while (!stop);
	return 0;
}

static void *vcpu_thread(void *arg)
{
	unsigned int i = (uintptr_t)arg;
	struct test_vcpu *vcpu = s.vcpu[i];
	uint64_t seed = seed_for(i);

	while (!stop) {
		struct kvm_regs regs = s.regs[i];
		struct kvm_lapic_state state;

		chance_choose(&seed, &regs);
		test_vcpu_set_regs(vcpu, &regs);
		if (host_random(&seed) % 64 == 0 && !ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
			ioctl(vcpu->fd, KVM_SET_LAPIC, &state);
		if (run_vcpu(vcpu)) {
			if (errno != EINTR && errno != EAGAIN)
				test_die("KVM_RUN");
			restart(i);
		} else if (!is_waiting(vcpu)) {
			restart(i);
		}
		s.runs[i]++;
	}
	return NULL;
}

/* Who closes it may be a step ahead. */
static void signal_eventfd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EBADF && errno != EAGAIN)
		test_die("writing an eventfd");
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

		if (r % 4 == 0)
			ioctl(s.vm->fd, KVM_IRQ_LINE, &line);
		else if (r % 4 == 1)
			signal_eventfd(s.eventfd[(r >> 32) % NR_SIGNALLED]);
		else
			ioctl(s.vm->fd, KVM_SIGNAL_MSI, &msi);
		tally->lines++;
		if (r % 64 == 0)
			usleep(100);
	}
	return arg;
}

static void change_irqfd(uint64_t r, int fd)
{
	bool resample = r >> 16 & 1;

	test_irqfd(s.vm->fd, fd, r >> 18 & 1 ? TEST_MSI_GSI : r >> 19 & 31,
		   (r >> 17 & 1 ? KVM_IRQFD_FLAG_DEASSIGN : 0) |
		   (resample ? KVM_IRQFD_FLAG_RESAMPLE : 0),
		   s.eventfd[(r >> 24) % NR_SIGNALLED]);
}

static void change_bell(uint64_t r, int fd)
{
	bool port = r >> 16 & 1;
	unsigned int bell = (r >> 24) % CHANCE_BELLS;
	struct kvm_ioeventfd args = {
		.fd = fd,
		.addr = (port ? CHANCE_BELL_PORT : CHANCE_BELL_GPA) + 16 * bell,
		.len = r >> 20 & 1 ? 0 : port ? 1 : 4,
		.datamatch = r >> 32 & 3,
		.flags = (port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (r >> 17 & 1 ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0) |
			 (r >> 20 & 3 ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH),
	};
	struct kvm_coalesced_mmio_zone zone = { .addr = args.addr, .size = 4, .pio = port };

	if (r >> 40 & 3)
		ioctl(s.vm->fd, KVM_IOEVENTFD, &args);
	else
		ioctl(s.vm->fd, r >> 17 & 1 ? KVM_UNREGISTER_COALESCED_MMIO :
					      KVM_REGISTER_COALESCED_MMIO, &zone);
}

/*
 * Eventfds that raise interrupts, that the guest's writes signal, that do both, and that are closed
 * with it all armed, while lines_thread() and the guests signal them.
 */
static void *eventfds_thread(void *arg)
{
	uint64_t seed = seed_for(VCPUS + 2);

	while (!stop) {
		uint64_t r = host_random(&seed);
		int *fd = &s.eventfd[(r >> 8) % NR_EVENTFDS];

		switch (r % 8) {
		case 0 ... 2:
			change_irqfd(r, *fd);
			break;
		case 3 ... 5:
			change_bell(r, *fd);
			break;
		case 6:
			test_irqfd_route(s.vm->fd, r >> 16 & 1 ? r >> 24 & 0xff : 0);
			break;
		default:
			if (fd >= s.eventfd + NR_SIGNALLED)
				tally->bells += test_eventfd_count(*fd);
			close(*fd);
			*fd = test_eventfd();
			break;
		}
		if (r >> 48 & 1)
			usleep(300);
	}
	return arg;
}

/* Now and then leaves nonsense there, too. Returns how often a ring has been full until now. */
static unsigned int empty_rings(uint64_t *seed)
{
	uint64_t r = host_random(seed);

	for (unsigned int i = 0; i < VCPUS; i++) {
		for (unsigned int at = 0; at < RING_ENTRIES; at++) {
			struct kvm_dirty_gfn *entry = &s.ring[i][at];

			if (entry->flags == KVM_DIRTY_GFN_F_DIRTY)
				entry->flags = KVM_DIRTY_GFN_F_RESET;
		}
		if ((r >> 8 & 7) == i) {
			s.ring[i][(r >> 16) % RING_ENTRIES].flags = r >> 32 & 7;
			s.ring[i][(r >> 24) % RING_ENTRIES].offset = r;
			s.ring[i][(r >> 28) % RING_ENTRIES].slot = r >> 32;
		}
	}
	ioctl(s.vm->fd, KVM_RESET_DIRTY_RINGS, 0L);
	return tally->ring_full;
}

/* Memory that stays, so that rings get full of it also where each page takes its time. */
static void *calm_slots_thread(void *arg)
{
	uint64_t seed = seed_for(VCPUS + 1);
	unsigned int full = tally->ring_full;
	struct kvm_userspace_memory_region region = {
		.slot = 1, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = SLOT_GPA,
		.memory_size = SLOT_BYTES,
	};
	char *memory = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	region.userspace_addr = (uintptr_t)memory;
	if (memory == MAP_FAILED || ioctl(s.vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		test_die("the slot");
	while (!stop) {
		if (tally->ring_full != full)
			full = empty_rings(&seed);
		usleep(3000);
	}
	return arg;
}

static void *slots_thread(void *arg)
{
	uint64_t seed = seed_for(VCPUS + 1);
	char *memory = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t dirty[SLOT_BYTES / 4096 / 64 + 1];
	unsigned int full = tally->ring_full;

	if (memory == MAP_FAILED)
		test_die("mmap");
	while (!stop) {
		uint64_t r = host_random(&seed);
		struct kvm_userspace_memory_region region = {
			.slot = 1, .flags = r >> 8 & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY),
			.guest_phys_addr = r >> 16 & 3 ? SLOT_GPA : TEST_APIC_GPA,
			.memory_size = r >> 20 & 7 ? SLOT_BYTES : 0,
			.userspace_addr = (uintptr_t)memory,
		};
		struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = dirty };

		if (s.ring[0] && r >> 36 & 7)
			region.flags = KVM_MEM_LOG_DIRTY_PAGES;
		if (r & 1)
			ioctl(s.vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
		else if (!(r & 2))
			madvise(memory, SLOT_BYTES, MADV_DONTNEED);
		else if (!s.ring[0])
			ioctl(s.vm->fd, KVM_GET_DIRTY_LOG, &log);
		else if (tally->ring_full != full || !(r >> 32 & 127))
			full = empty_rings(&seed);
		/* A ring takes its time to fill. */
		usleep(s.ring[0] ? 3000 : 200);
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

static void map_ring(unsigned int i)
{
	s.ring[i] = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s.vcpu[i]->fd,
			 KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
	if (s.ring[i] == MAP_FAILED)
		test_die("mmap of the dirty ring");
}

static void build(bool chips, bool ring)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_BYTES } };
	struct kvm_pit_config pit = {};

	s.vm = test_vm_create_irqchip();
	if (chips && ioctl(s.vm->fd, KVM_CREATE_PIT2, &pit))
		test_die("KVM_CREATE_PIT2");
	if (ring && ioctl(s.vm->fd, KVM_ENABLE_CAP, &cap))
		test_die("KVM_CAP_DIRTY_LOG_RING");
	for (unsigned int i = 0; i < NR_EVENTFDS; i++)
		s.eventfd[i] = test_eventfd();
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

		s.vcpu[i] = test_vcpu_create(s.vm, i);
		apic_set_cpuid(s.vcpu[i]);
		if (ioctl(s.vcpu[i]->fd, KVM_SET_MP_STATE, &runnable))
			test_die("KVM_SET_MP_STATE");
		if (ring)
			map_ring(i);
		test_irq_start(s.vcpu[i], i, TEST_EOI_X2APIC);
		test_vcpu_sregs(s.vcpu[i], &s.sregs[i]);
		test_vcpu_regs(s.vcpu[i], &s.regs[i]);
	}
	chance_prepare(s.vm);
}

/* One VMM, in a process of its own; it ends when it is asked to by SIGTERM. */
static int vmm(uint64_t seed, bool ring)
{
	bool calm = ring && seed & 2;
	pthread_t lines, slots, eventfds;
	unsigned int ms = 0;

	stop = false;
	s.seed = seed;
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_end }, NULL);
	build(seed & 1, ring);
	for (unsigned int i = 0; i < VCPUS; i++)
		if (pthread_create(&s.thread[i], NULL, vcpu_thread, (void *)(uintptr_t)i))
			test_die("pthread_create");
	if (pthread_create(&lines, NULL, lines_thread, NULL) ||
	    pthread_create(&slots, NULL, calm ? calm_slots_thread : slots_thread, NULL) ||
	    pthread_create(&eventfds, NULL, eventfds_thread, NULL))
		test_die("pthread_create");
	while (!stop) {
		unsigned int i = host_random(&seed) % VCPUS;

		pthread_kill(s.thread[i], SIGUSR1);
		move(&seed, s.thread[host_random(&seed) % VCPUS]);
		/* Too many signals end what takes its time. */
		usleep(calm ? 20000 : 1000);
	}
	pthread_join(lines, NULL);
	pthread_join(slots, NULL);
	pthread_join(eventfds, NULL);
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
	for (unsigned int i = 0; i < VCPUS; i++)
		test_vcpu_free(s.vcpu[i]);
	test_vm_free(s.vm);
	return 0;
}

/* Was it what it says it is? */
static bool saw_everything(void)
{
	return tally->exceptions && tally->mmio && tally->ring_full && tally->bells;
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

	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ASSERT_NE(MAP_FAILED, (void *)tally);
	if (test_on_kvm())
		SKIP(return, "the emulated machine does not survive it on KVM");
	fflush(stdout);
	do {
		uint64_t r = host_random(&seed), child_seed = host_random(&seed);
		bool kill_it = round % 2, ring = round / 2 % 2;
		int status;
		pid_t pid = fork();

		ASSERT_NE(pid, -1);
		if (!pid)
			_exit(vmm(child_seed, ring));
		/* What is slow takes longer to get anywhere. */
		usleep((300000 + r % 300000) * (1 + round / 8));
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
		round++;
	} while ((now() < end || (!saw_everything() && round < MAX_ROUNDS)) && _metadata->passed);
	printf("# %u VMMs, %u RUNs, %u restarts, %u exceptions, %u MMIO exits, %u full rings, ",
	       round, tally->runs, tally->restarts, tally->exceptions, tally->mmio,
	       tally->ring_full);
	printf("%u bells, %u lines\n", tally->bells, tally->lines);
	fflush(stdout);
	EXPECT_TRUE(saw_everything());
}

TEST_HARNESS_MAIN
