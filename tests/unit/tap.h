/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP output and a seeded random source for the host's unit tests. A test is a function that
 * returns whether it passed, after telling why not with tap_diag().
 */
#ifndef VITRINE_TEST_TAP_H
#define VITRINE_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct tap_test {
	const char *name;
	bool (*run)(void);
};

static uint64_t tap_random_state;

static inline void __attribute__((format(printf, 1, 2))) tap_diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* splitmix64: one word of state, so that a seed printed is a run repeated. */
static inline uint64_t tap_random(void)
{
	uint64_t z = tap_random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/*
 * Combinations are numbered, and each digit of the number is one thing that may be the case. Takes
 * the last digit off.
 */
static inline unsigned int tap_digit(unsigned int *number, unsigned int base)
{
	unsigned int digit = *number % base;

	*number /= base;
	return digit;
}

/* Each test starts from the same seed, VITRINE_SEED or 1, so that it can be repeated alone. */
static inline int tap_main(const struct tap_test *tests, unsigned int count)
{
	const char *seed = getenv("VITRINE_SEED");
	unsigned int i, failed = 0;

	printf("TAP version 13\n1..%u\n", count);
	if (seed)
		tap_diag("seed %s", seed);
	for (i = 0; i < count; i++) {
		bool ok;

		tap_random_state = seed ? strtoull(seed, NULL, 0) : 1;
		ok = tests[i].run();
		failed += !ok;
		printf("%sok %u - %s\n", ok ? "" : "not ", i + 1, tests[i].name);
		fflush(stdout);
	}
	return failed != 0;
}

#endif
