// SPDX-License-Identifier: GPL-2.0
/*
 * The boot of the Debian kernel under "vitrine run": its TSC, which starts with the VM, when the
 * first program of its userspace speaks. The files are in the directory that BENCH_GUEST names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

/* Those of the kernel are what an emulated machine need not wait for. */
#define APPEND	"quiet mitigations=off nokaslr no_timer_check cryptomgr.notests"
#define OPTIONS	"--memory 256M --no-stats --until 'Linux (none)' " \
		"--append '" APPEND "' 2>&1 </dev/null"

static uint64_t boot(const struct bench_row *row)
{
	const char *dir = getenv("BENCH_GUEST");
	unsigned long long ticks = 0;
	char command[1024], line[512];
	FILE *tool;

	if (!dir)
		return BENCH_NOT_OFFERED;
	snprintf(command, sizeof(command),
		 "vitrine run --device %s --kernel %s/vmlinuz --initrd %s/initramfs.cpio " OPTIONS,
		 test_dev_path(), dir, dir);
	tool = popen(command, "r");
	while (tool && fgets(line, sizeof(line), tool))
		sscanf(line, "guest: userspace, tsc %llu", &ticks);
	if (!tool || pclose(tool) || !ticks)
		test_die("%s: %s", row->name, line);
	return ticks;
}

const struct bench_row bench_boot_rows[] = {
	{ "boot of Debian to userspace", BENCH_BOOT, boot },
	{}
};
