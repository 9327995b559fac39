// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the rows on one device: "ops [-n RUNS] [-r ROUNDS] [GLOB]". A line a row, for
 * scripts/bench-report.awk: group, name and the ticks of each run, or "not offered", between tabs.
 *
 * In the lab a tick is an instruction of the emulated CPU, so the figures count the software path
 * and nothing of what an exit costs in hardware. The same program runs on KVM's device.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

static void measure(const struct bench_row *row, unsigned int runs)
{
	unsigned int run;

	printf("%s\t%s", row->group, row->name);
	for (run = 0; run < (row->once ? 1 : runs); run++) {
		uint64_t ticks = sysconf(_SC_NPROCESSORS_ONLN) < (long)row->cpus ?
				 BENCH_NOT_OFFERED : row->measure(row);

		if (ticks == BENCH_NOT_OFFERED) {
			printf("\tnot offered");
			break;
		}
		if (ticks || !row->once)
			printf("\t%llu", (unsigned long long)ticks);
	}
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const struct bench_row *const *table, *row;
	const char *glob = "*";
	unsigned int runs = 3;
	int option;

	while ((option = getopt(argc, argv, "n:r:")) != -1) {
		if (option == 'n')
			runs = atoi(optarg);
		else if (option == 'r')
			bench_rounds = atoi(optarg) | 1;
		else
			return 2;
	}
	if (optind < argc)
		glob = argv[optind];
	bench_pin(0);
	for (table = bench_tables; *table; table++)
		for (row = *table; row->name; row++)
			if (!fnmatch(glob, row->name, 0))
				measure(row, runs);
	return 0;
}
