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
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/crowd.h"
#include "lib/host.h"

#define MAX_CPUS	4
#define KINDS		3	/* of guests, one of each a CPU */
#define ROUNDS		20
#define LIMIT_MS	10000
#define CONSOLE_OFF	6	/* of klogctl() */
#define CONSOLE_ON	7

GUEST_CODE(guest_spin, TEST_COUNT_SPIN);
GUEST_CODE(guest_spin_cli, TEST_COUNT_SPIN_CLI);
GUEST_CODE(guest_cpuid, TEST_COUNT_CPUID);

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
	struct test_guest guest[MAX_CPUS * KINDS];
	int guests, cpus;
	struct words words;
};

static void add(FIXTURE_DATA(nmi) *self, int cpu, const char *code, size_t bytes)
{
	test_guest_start(&self->guest[self->guests++], cpu, KVM_EXIT_UNKNOWN, code, bytes);
}

FIXTURE_SETUP(nmi)
{
	int cpu;

	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM's guests with interrupts off would hold this lab");
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (self->cpus > MAX_CPUS)
		self->cpus = MAX_CPUS;
	self->words.fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->words.fd);
	ASSERT_LE(0, lseek(self->words.fd, 0, SEEK_END));
	/* A serial line would be all that the machine is busy with. */
	klogctl(CONSOLE_OFF, NULL, 0);
	for (cpu = 0; cpu < self->cpus; cpu++) {
		add(self, cpu, GUEST_BLOB(guest_spin));
		add(self, cpu, GUEST_BLOB(guest_spin_cli));
		add(self, cpu, GUEST_BLOB(guest_cpuid));
	}
}

FIXTURE_TEARDOWN(nmi)
{
	int i;

	for (i = 0; i < self->guests; i++)
		EXPECT_EQ(0, test_guest_stop(&self->guest[i]));
	klogctl(CONSOLE_ON, NULL, 0);
	close(self->words.fd);
}

/* The CPU that asks looks at itself without an NMI, so that each asks in turn. */
TEST_F_TIMEOUT(nmi, each_cpu_takes_its_own_and_guests_go_on, 300)
{
	unsigned int before[MAX_CPUS];
	int round, cpu, asking, waited;

	ASSERT_EQ(-1, test_guests_standing(self->guest, self->guests, LIMIT_MS));
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
		ASSERT_EQ(-1, test_guests_standing(self->guest, self->guests, LIMIT_MS));
	}
	listen_up(&self->words);
	printf("# of %d rounds on %d CPUs, %u NMIs came while a guest ran\n", ROUNDS, self->cpus,
	       self->words.from_guests);
	EXPECT_LT(0, self->words.from_guests);
	EXPECT_EQ(0, self->words.complaints);
}

TEST_HARNESS_MAIN
