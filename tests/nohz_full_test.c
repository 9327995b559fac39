// SPDX-License-Identifier: GPL-2.0
/*
 * A guest on a CPU of which the kernel tracks context instead of ticking (nohz_full): its time is
 * the guest's, and grace periods of RCU do not wait for it.
 *
 * lab: --cpus 2 --memory 512 --append nohz_full=1 --append clearcpuid=xsaves,xsavec,tsc_adjust
 * build: -lpthread
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/crowd.h"

#define QUIET_CPU	1	/* as above */
#define STAY_MS		300
#define GRACE_MS	1000	/* of one that does not wait for a guest */

GUEST_CODE(guest_spin, TEST_COUNT_SPIN);
GUEST_CODE(guest_cpuid, TEST_COUNT_CPUID);

FIXTURE(quiet) {
	struct test_guest guest;
};

FIXTURE_VARIANT(quiet) {
	const char *code, *end;
};

FIXTURE_VARIANT_ADD(quiet, stays_inside) {
	.code = guest_spin, .end = guest_spin_end,
};

FIXTURE_VARIANT_ADD(quiet, goes_in_and_out) {
	.code = guest_cpuid, .end = guest_cpuid_end,
};

/* Field @number of the thread's line in /proc, from 1, in clock ticks. */
static unsigned long thread_stat(int tid, unsigned int number)
{
	char path[64], line[1024], *at;
	unsigned int field = 2;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		test_die("%s", path);
	fclose(file);
	/* The name in field 2 may have spaces. */
	for (at = strrchr(line, ')'); at && field < number; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoul(at, NULL, 10) : 0;
}

static bool is_quiet(void)
{
	FILE *file = fopen("/sys/devices/system/cpu/nohz_full", "re");
	int cpu = -1;

	if (!file)
		return false;
	if (fscanf(file, "%d", &cpu) != 1)
		cpu = -1;
	fclose(file);
	return cpu == QUIET_CPU;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

FIXTURE_SETUP(quiet)
{
	if (!is_quiet())
		SKIP(TEST_NOT_AT_ALL, "this kernel has not been told nohz_full=%d", QUIET_CPU);
	test_guest_start(&self->guest, QUIET_CPU, KVM_EXIT_UNKNOWN, variant->code,
			 variant->end - variant->code);
	while (!test_guest_count(&self->guest))
		usleep(1000);
}

FIXTURE_TEARDOWN(quiet)
{
	EXPECT_EQ(0, test_guest_stop(&self->guest));
}

TEST_F(quiet, its_time_is_the_guests)
{
	long hz = sysconf(_SC_CLK_TCK);
	unsigned long before_ms, guest_ms, kernel_ms;
	uint64_t count = test_guest_count(&self->guest);

	before_ms = thread_stat(self->guest.tid, 43) * 1000 / hz;
	kernel_ms = thread_stat(self->guest.tid, 15) * 1000 / hz;
	usleep(STAY_MS * 1000);
	guest_ms = thread_stat(self->guest.tid, 43) * 1000 / hz - before_ms;
	kernel_ms = thread_stat(self->guest.tid, 15) * 1000 / hz - kernel_ms;
	printf("# of %d ms, %lu in the guest and %lu in the kernel\n", STAY_MS, guest_ms,
	       kernel_ms);
	EXPECT_LT(count, test_guest_count(&self->guest));
	EXPECT_LT(0, guest_ms);
	if (variant->code == guest_spin)
		EXPECT_LT(STAY_MS / 2, guest_ms);
	EXPECT_GT(STAY_MS * 3 / 2, guest_ms + kernel_ms);
}

/* A packet socket that goes waits for one. */
TEST_F(quiet, grace_periods_come_to_their_end)
{
	uint64_t start, most = 0;
	int i, fd;

	for (i = 0; i < 5; i++) {
		fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		if (fd < 0)
			SKIP(return, "no packet sockets");
		start = now_ms();
		close(fd);
		if (now_ms() - start > most)
			most = now_ms() - start;
	}
	printf("# the longest of 5 took %llu ms\n", (unsigned long long)most);
	EXPECT_GT(GRACE_MS, most);
}

TEST_HARNESS_MAIN
