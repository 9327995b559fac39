/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lab's host as a test sees it: CPUs that come and go, the module, free memory, seeded chance.
 */
#ifndef TESTS_LIB_HOST_H
#define TESTS_LIB_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_MODULE	"vitrine"

/* 0 or -errno of the write. */
int host_write(const char *path, const char *text);
/* CPU @cpu on (1) or off (0) by sysfs; 0 or -errno. */
int host_cpu_set_online(int cpu, int online);
/* Users of the module as /proc/modules counts them; -1 where it is not loaded. */
int host_module_users(void);
/* delete_module() without waiting: 0 or -errno. */
int host_module_unload(void);
/* MemAvailable, or another line of /proc/meminfo, in KiB. */
long host_meminfo_kib(const char *name);
/* KASAN puts what is freed aside: free memory says nothing of leaks then, kmemleak does. */
bool host_keeps_freed_memory(void);
/* TEST_SEED of the environment or a fixed one, printed so that a failure can be had again. */
uint64_t host_seed(void);
uint64_t host_random(uint64_t *state);

#endif
