// SPDX-License-Identifier: GPL-2.0
/*
 * lab-kexec, a program in the lab for tests of the ways out of a kernel: has a few instructions
 * started as the next kernel, by kexec or (with --crash, where crashkernel= reserved memory) by a
 * panic. They tell the supervisor that they were reached (run --expect-kexec). The kernel clears
 * CR4.VMXE before it jumps to them, which faults on a CPU still in VMX operation: then the
 * machine is reset instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frame.h"

#define PAGE_BYTES	4096
#define NEXT_ADDR	0x2000000	/* any memory will do: the old kernel is gone by then */

extern const char next_start[], next_end[];

#define NEXT_CODE \
	".pushsection .rodata\n" \
	"next_start:\n" \
	"	cli\n" \
	"	cld\n" \
	"	movl	$" FRAME_STRING(FRAME_PORT) ", %edx\n" \
	"	leaq	1f(%rip), %rsi\n" \
	"	movl	$" FRAME_STRING(FRAME_HEADER) ", %ecx\n" \
	"	rep outsb\n" \
	"0:	hlt\n" \
	"	jmp	0b\n" \
	"1:	.byte	" FRAME_STRING(FRAME_START) ", 'N', 0, 0\n" \
	"next_end:\n" \
	".popsection\n"

asm(NEXT_CODE);

_Static_assert(FRAME_NEXT == 'N', "as the assembly says");

/* Where crashkernel= reserved memory; 0 if it did not. */
static unsigned long crash_address(void)
{
	FILE *file = fopen("/proc/iomem", "re");
	unsigned long start = 0;
	char line[256];

	while (file && !start && fgets(line, sizeof(line), file))
		if (strstr(line, ": Crash kernel"))
			start = strtoul(line, NULL, 16);
	if (file)
		fclose(file);
	return start;
}

int main(int argc, char **argv)
{
	bool crash = argc == 2 && !strcmp(argv[1], "--crash");
	unsigned long address = crash ? crash_address() : NEXT_ADDR;
	struct kexec_segment segment = {
		.buf = next_start,
		.bufsz = next_end - next_start,
		.mem = (void *)address,
		.memsz = PAGE_BYTES,
	};
	unsigned long flags = KEXEC_ARCH_X86_64 | (crash ? KEXEC_ON_CRASH : 0);
	int fd;

	if (argc > 1 && !crash) {
		fputs("usage: lab-kexec [--crash]\n", stderr);
		return 2;
	}
	if (!address) {
		fputs("lab-kexec: no memory for --crash: run --append crashkernel=32M\n", stderr);
		return 2;
	}
	if (syscall(SYS_kexec_load, address, 1, &segment, flags)) {
		fprintf(stderr, "lab-kexec: kexec_load: %s\n", strerror(errno));
		return 1;
	}
	if (crash) {
		fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "c", 1) != 1)
			fprintf(stderr, "lab-kexec: sysrq: %s\n", strerror(errno));
		return 1;
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, 0);
	fprintf(stderr, "lab-kexec: reboot: %s\n", strerror(errno));
	return 1;
}
