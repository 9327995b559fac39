// SPDX-License-Identifier: GPL-2.0
/*
 * What a control tool plays with: a program that says again and again what it sees of its machine,
 * and makes system calls that can be counted. Ends when a port that has nothing behind it reads as
 * 'B': somebody makes it.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define PORT		0x510
#define WORK		200000	/* instructions, about */
#define NR_GETPPID	300
#define NR_GETUID	200

static void say_vendor(void)
{
	unsigned int eax, ebx, ecx, edx;
	char text[13] = {};

	__cpuid(0, eax, ebx, ecx, edx);
	memcpy(text, &ebx, 4);
	memcpy(text + 4, &edx, 4);
	memcpy(text + 8, &ecx, 4);
	printf("subject: vendor %s\n", text);
}

static void say_ticks(void)
{
	unsigned long long before = __rdtsc();
	unsigned long left = WORK / 2;

	asm volatile("1: dec %0\njnz 1b" : "+r"(left));
	printf("subject: %llu ticks\n", __rdtsc() - before);
}

static void call_often(long number, int times)
{
	pid_t pid = fork();

	if (!pid) {
		while (times--)
			syscall(number);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(void)
{
	unsigned int seen = 0, round = 0;

	if (ioperm(PORT, 1, 1)) {
		perror("subject: ioperm");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (seen != 'B') {
		say_vendor();
		say_ticks();
		seen = inb(PORT);
		printf("subject: port 0x%02x\n", seen);
		call_often(SYS_getppid, NR_GETPPID);
		call_often(SYS_getuid, NR_GETUID);
		printf("subject: round %u\n", ++round);
		usleep(20000);
	}
	return 0;
}
