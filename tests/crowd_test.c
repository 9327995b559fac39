// SPDX-License-Identifier: GPL-2.0
/*
 * More guests than CPUs, of every way to leave a guest and of none, bound so that each CPU has its
 * share: all go on side by side. The tests of tests/host that take the machine down under running
 * guests use it as their load (CROWD_SECONDS); it says "running" when every guest runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/crowd.h"

#define MAX_CPUS	4
#define MAX_GUESTS	(MAX_CPUS * 4)
#define LIMIT_MS	20000	/* for one round of all guests, on a machine that is slow */

GUEST_CODE(guest_spin, TEST_COUNT_SPIN);
GUEST_CODE(guest_spin_cli, TEST_COUNT_SPIN_CLI);
GUEST_CODE(guest_cpuid, TEST_COUNT_CPUID);
GUEST_CODE(guest_out, TEST_COUNT "outb %al, $0x42\njmp 1b\n");

FIXTURE(crowd) {
	struct test_guest guest[MAX_GUESTS];
	int guests;
};

static void add(FIXTURE_DATA(crowd) *self, int cpu, uint32_t exit_reason, const char *code,
		size_t bytes)
{
	test_guest_start(&self->guest[self->guests++], cpu, exit_reason, code, bytes);
}

FIXTURE_SETUP(crowd)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;

	self->guests = 0;
	for (cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++) {
		add(self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_spin));
		add(self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_cpuid));
		add(self, cpu, KVM_EXIT_IO, GUEST_BLOB(guest_out));
		/* It would hold KVM's lab for ever. */
		if (!test_on_kvm())
			add(self, cpu, KVM_EXIT_UNKNOWN, GUEST_BLOB(guest_spin_cli));
	}
}

FIXTURE_TEARDOWN(crowd)
{
	int i;

	for (i = 0; i < self->guests; i++)
		EXPECT_EQ(0, test_guest_stop(&self->guest[i]));
}

/* Every guest counts on from here. */
static void all_go_on(struct __test_metadata *_metadata, FIXTURE_DATA(crowd) *self)
{
	int i = test_guests_standing(self->guest, self->guests, LIMIT_MS);

	EXPECT_EQ(-1, i)
		TH_LOG("guest %d on CPU %d stands still, error %d", i, self->guest[i].cpu,
		       self->guest[i].error);
}

TEST_F_TIMEOUT(crowd, all_go_on_side_by_side, 3600)
{
	const char *text = getenv("CROWD_SECONDS");
	time_t end = time(NULL) + (text ? atoi(text) : 2);

	all_go_on(_metadata, self);
	printf("# running\n");
	fflush(stdout);
	while (time(NULL) < end && _metadata->passed) {
		all_go_on(_metadata, self);
		usleep(50000);
	}
}

TEST_HARNESS_MAIN
