// SPDX-License-Identifier: GPL-2.0
/* Rows of guest memory: the first touch of a page that the host already has, and dirty logging. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define AREA_GPA	0x40000000u
#define LARGE		(2ul << 20)
#define LOG_PAGES	128u
#define DIRTY_PAGES	100u
#define MARK		0xa5

GUEST_CODE(guest_touch,
	   "1:\n" BENCH_RDTSC("r14")
	   "2:\nmovb $1, (%rdi)\nadd %rbp, %rdi\ndec %r15d\njnz 2b\n"
	   BENCH_RDTSC("rsi") "sub %r14, %rsi\n" GUEST_SYNC "jmp 1b\n");

struct area {
	char *mapping;
	char *start;		/* aligned to a large page */
	size_t bytes;
};

static struct area area_map(size_t bytes, int advice)
{
	struct area area = { .bytes = bytes };

	area.mapping = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area.mapping == MAP_FAILED)
		test_die("mmap of %zu bytes", bytes);
	area.start = (char *)(((uintptr_t)area.mapping + LARGE - 1) & ~(LARGE - 1));
	madvise(area.start, bytes, advice);
	memset(area.start, MARK, bytes);
	return area;
}

static void area_unmap(struct area *area)
{
	munmap(area->mapping, area->bytes + LARGE);
}

/* Bytes of this process in large pages. */
static size_t large_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	size_t kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

/* The guest writes a byte of each page. */
static void touch(struct test_vcpu *vcpu, size_t page, unsigned int pages, struct kvm_regs *regs)
{
	test_vcpu_regs(vcpu, regs);
	regs->rdi = AREA_GPA;
	regs->rbp = page;
	regs->r15 = pages;
	test_vcpu_set_regs(vcpu, regs);
	test_vcpu_run_to_sync(vcpu);
}

static uint64_t first_touch(const struct bench_row *row)
{
	size_t page = row->op;
	unsigned int pages = bench_rounds_at_most(page == LARGE ? 16 : 512), i;
	struct area area = area_map(page * pages, page == LARGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	struct kvm_regs regs;

	if (page == LARGE && large_bytes() < area.bytes)
		test_die("%s: only %zu bytes in large pages", row->name, large_bytes());
	test_vm_add_memory(vcpu->vm, 1, AREA_GPA, area.start, area.bytes, 0);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_touch));
	touch(vcpu, page, pages, &regs);
	test_vcpu_regs(vcpu, &regs);
	for (i = 0; i < pages; i++)
		if (area.start[i * page] != 1)
			test_die("%s: page %u was not written", row->name, i);
	bench_vcpu_free(vcpu);
	area_unmap(&area);
	return regs.rsi / pages;
}

/* The guest writes 100 logged pages, and the VMM learns which: RUN and GET_DIRTY_LOG. */
static uint64_t dirty_round(const struct bench_row *row)
{
	uint64_t bitmap[LOG_PAGES / 64], start = 0, ticks;
	struct area area = area_map(LOG_PAGES * 4096, MADV_NOHUGEPAGE);
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	unsigned int rounds = bench_rounds_at_most(8), i;
	struct kvm_regs regs;

	test_vm_add_memory(vcpu->vm, 1, AREA_GPA, area.start, area.bytes, KVM_MEM_LOG_DIRTY_PAGES);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_touch));
	for (i = 0; i <= rounds; i++) {
		if (i == 1)
			start = __rdtsc();
		touch(vcpu, 4096, DIRTY_PAGES, &regs);
		if (ioctl(vcpu->vm->fd, KVM_GET_DIRTY_LOG, &log))
			test_die("KVM_GET_DIRTY_LOG");
		if (__builtin_popcountll(bitmap[0]) + __builtin_popcountll(bitmap[1]) !=
		    DIRTY_PAGES)
			test_die("%s: %llx %llx", row->name, (unsigned long long)bitmap[0],
				 (unsigned long long)bitmap[1]);
	}
	ticks = (__rdtsc() - start) / rounds;
	bench_vcpu_free(vcpu);
	area_unmap(&area);
	return ticks;
}

const struct bench_row bench_memory_rows[] = {
	{ "first touch of 4K", BENCH_MEMORY, first_touch, .op = 4096 },
	{ "first touch of 2M", BENCH_MEMORY, first_touch, .op = LARGE },
	{ "dirty-log round for 100 pages", BENCH_MEMORY, dirty_round },
	{}
};
