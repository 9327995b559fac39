// SPDX-License-Identifier: GPL-2.0
/*
 * NMIs of the host's that come while guests run: each CPU hands its own to the kernel, wherever it
 * was, and the guests go on. The kernel's request for a backtrace of every CPU (sysrq l) is what
 * sends them.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"

#define MAX_CPUS	4
#define KINDS		3	/* of guests, one of each a CPU */
#define ROUNDS		20
#define LIMIT_MS	10000
#define CONSOLE_OFF	6	/* of klogctl() */
#define CONSOLE_ON	7

#define COUNT		"mov $0x10000, %ebx\n1:\nincq (%rbx)\n"
GUEST_CODE(guest_spin, "sti\n" COUNT "jmp 1b\n");
GUEST_CODE(guest_spin_cli, "cli\n" COUNT "jmp 1b\n");
GUEST_CODE(guest_cpuid, "mov $0x10000, %esi\n1:\nincq (%rsi)\nxor %eax, %eax\ncpuid\njmp 1b\n");

struct guest {
	pthread_t thread;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int cpu;
	atomic_bool stop;
	int error;
};

/* What the kernel said since the start, of what matters. */
struct words {
	int fd;
	unsigned int backtraces[MAX_CPUS];
	unsigned int from_guests;	/* whose RIP is where an exit by NMI hands it on */
	unsigned int complaints;
};

static int bind_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void *run(void *arg)
{
	struct guest *guest = arg;

	if (bind_to(guest->cpu))
		test_die("CPU %d", guest->cpu);
	setpriority(PRIO_PROCESS, 0, 19);
	while (!guest->stop) {
		if (ioctl(guest->vcpu->fd, KVM_RUN, 0) && errno == EINTR)
			continue;
		guest->error = 1000 + guest->vcpu->run->exit_reason;
		break;
	}
	return NULL;
}

static uint64_t counted(const struct guest *guest)
{
	return *(volatile uint64_t *)test_vm_hva(guest->vm, TEST_DATA_GPA);
}

static void listen_to(struct words *words, const char *line)
{
	const char *backtrace = strstr(line, "NMI backtrace for cpu ");
	int cpu;

	if (backtrace && sscanf(backtrace, "NMI backtrace for cpu %d", &cpu) == 1 &&
	    cpu >= 0 && cpu < MAX_CPUS && !strstr(line, "skipped"))
		words->backtraces[cpu]++;
	/* Once for each backtrace: what follows it names the stack, too. */
	if (strstr(line, "RIP: 0010:vmx_call_nmi_entry"))
		words->from_guests++;
	if (strstr(line, "WARNING: ") || strstr(line, "BUG: ") || strstr(line, "Oops")) {
		words->complaints++;
		printf("# %s\n", line);
	}
}

/* All that there is by now. */
static void listen_up(struct words *words)
{
	char line[4096];
	ssize_t got;

	for (;;) {
		got = read(words->fd, line, sizeof(line) - 1);
		/* What was overwritten before it was read is as good as not said. */
		if (got < 0 && errno == EPIPE)
			continue;
		if (got <= 0)
			return;
		line[got] = '\0';
		listen_to(words, line);
	}
}

FIXTURE(nmi) {
	struct guest guest[MAX_CPUS * KINDS];
	int guests, cpus;
	struct words words;
};

static void add(struct __test_metadata *_metadata, FIXTURE_DATA(nmi) *self, int cpu,
		const char *code, size_t bytes)
{
	struct guest *guest = &self->guest[self->guests++];

	*guest = (struct guest){ .cpu = cpu };
	guest->vm = test_vm_create();
	guest->vcpu = test_vcpu_create(guest->vm, 0);
	test_vcpu_set_supported_cpuid(guest->vcpu);
	test_vcpu_long_mode(guest->vcpu, code, bytes);
	ASSERT_EQ(0, pthread_create(&guest->thread, NULL, run, guest));
}

FIXTURE_SETUP(nmi)
{
	int cpu;

	if (test_on_kvm())
		SKIP(return, "KVM's guests with interrupts off would hold this lab");
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (self->cpus > MAX_CPUS)
		self->cpus = MAX_CPUS;
	self->words.fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->words.fd);
	ASSERT_LE(0, lseek(self->words.fd, 0, SEEK_END));
	/* A serial line would be all that the machine is busy with. */
	klogctl(CONSOLE_OFF, NULL, 0);
	for (cpu = 0; cpu < self->cpus; cpu++) {
		add(_metadata, self, cpu, GUEST_BLOB(guest_spin));
		add(_metadata, self, cpu, GUEST_BLOB(guest_spin_cli));
		add(_metadata, self, cpu, GUEST_BLOB(guest_cpuid));
	}
}

FIXTURE_TEARDOWN(nmi)
{
	int i;

	for (i = 0; i < self->guests; i++) {
		struct guest *guest = &self->guest[i];

		guest->stop = true;
		guest->vcpu->run->immediate_exit = 1;
		pthread_kill(guest->thread, SIGUSR1);
		pthread_join(guest->thread, NULL);
		EXPECT_EQ(0, guest->error);
		test_vcpu_free(guest->vcpu);
		test_vm_free(guest->vm);
	}
	klogctl(CONSOLE_ON, NULL, 0);
	close(self->words.fd);
}

static bool all_go_on(FIXTURE_DATA(nmi) *self)
{
	uint64_t before[MAX_CPUS * KINDS];
	int i, waited = 0;

	for (i = 0; i < self->guests; i++)
		before[i] = counted(&self->guest[i]);
	for (i = 0; i < self->guests; i++)
		for (; counted(&self->guest[i]) < before[i] + 10; waited++) {
			if (waited == LIMIT_MS)
				return false;
			usleep(1000);
		}
	return true;
}

/* The CPU that asks looks at itself without an NMI, so that each asks in turn. */
TEST_F_TIMEOUT(nmi, each_cpu_takes_its_own_and_guests_go_on, 300)
{
	unsigned int before[MAX_CPUS];
	int round, cpu, asking, waited;

	ASSERT_TRUE(all_go_on(self));
	for (round = 0; round < ROUNDS; round++) {
		asking = round % self->cpus;
		ASSERT_EQ(0, bind_to(asking));
		listen_up(&self->words);
		memcpy(before, self->words.backtraces, sizeof(before));
		ASSERT_EQ(0, host_write("/proc/sysrq-trigger", "l"));
		for (cpu = 0; cpu < self->cpus; cpu++) {
			for (waited = 0; waited < LIMIT_MS; waited++) {
				listen_up(&self->words);
				if (self->words.backtraces[cpu] > before[cpu])
					break;
				usleep(1000);
			}
			EXPECT_LT(before[cpu], self->words.backtraces[cpu])
				TH_LOG("round %d: CPU %d did not tell CPU %d", round, cpu, asking);
		}
		ASSERT_TRUE(all_go_on(self));
	}
	listen_up(&self->words);
	printf("# of %d rounds on %d CPUs, %u NMIs came while a guest ran\n", ROUNDS, self->cpus,
	       self->words.from_guests);
	EXPECT_LT(0, self->words.from_guests);
	EXPECT_EQ(0, self->words.complaints);
}

TEST_HARNESS_MAIN
