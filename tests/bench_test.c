// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of "make bench" work, on any device: each does what it is measured for, which it checks
 * itself (and else ends the test). The figures are the benchmark's business.
 *
 * build: build/tests/bench/rows.o build/tests/bench/exit.o build/tests/bench/user.o
 * build: build/tests/bench/state.o build/tests/bench/irq.o build/tests/bench/pair.o
 * build: build/tests/bench/memory.o build/tests/bench/life.o build/tests/bench/boot.o
 * build: build/tests/bench/steer.o
 */
#include <unistd.h>

#include "bench/bench.h"
#include "kselftest_harness.h"

#define ROUNDS	3

static void measure_all(struct __test_metadata *_metadata, const struct bench_row *rows)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int measured = 0;
	uint64_t ticks;

	bench_rounds = ROUNDS;
	bench_pin(0);
	for (; rows->name; rows++) {
		ticks = cpus < (long)rows->cpus ? BENCH_NOT_OFFERED : rows->measure(rows);
		if (ticks == BENCH_NOT_OFFERED) {
			TH_LOG("%s: not offered", rows->name);
			continue;
		}
		measured++;
		/* A second of the lab for one operation is an error in the arithmetic. */
		EXPECT_LT(ticks, 100000000) {
			TH_LOG("%s", rows->name);
		}
	}
	EXPECT_GT(measured, 0);
}

TEST(exits)
{
	measure_all(_metadata, bench_exit_rows);
}

TEST(exits_to_userspace)
{
	measure_all(_metadata, bench_user_rows);
}

TEST(state)
{
	measure_all(_metadata, bench_state_rows);
}

TEST(interrupts)
{
	measure_all(_metadata, bench_irq_rows);
}

TEST(interrupts_from_elsewhere)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "it takes two CPUs");
	measure_all(_metadata, bench_pair_rows);
}

TEST(memory)
{
	measure_all(_metadata, bench_memory_rows);
}

TEST(life)
{
	measure_all(_metadata, bench_life_rows);
}

TEST_HARNESS_MAIN
