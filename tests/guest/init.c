// SPDX-License-Identifier: GPL-2.0
/*
 * The first program of the Debian guest. It says that userspace is reached,
 * with the guest's time-stamp counter, before anything else may cost time,
 * and leaves the rest to init.sh.
 */
#include <stdio.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void)
{
	printf("guest: userspace, tsc %llu\n", __rdtsc());
	fflush(stdout);
	execl("/bin/busybox", "sh", "/init.sh", (char *)NULL);
	perror("guest: /bin/busybox");
	return 1;
}
