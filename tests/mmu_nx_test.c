// SPDX-License-Identifier: GPL-2.0
/*
 * Large pages that are not executable, against ITLB multihit: code runs, large pages are split for
 * it once and not over and over, and where no code is they stay large. Vitrine only: KVM does not
 * tell its exits.
 *
 * lab: --cpus 2 --memory 1024 --with-module brd --module-args nx_huge_pages=on
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/access.h"
#include "lib/host.h"
#include "lib/stay.h"
#include "lib/vm.h"

#define PAGE			4096ul
#define LARGE			(2ul << 20)
#define SLOT_GPA		0x40000000ul
#define EXIT_EPT_VIOLATION	48

/* Calls %rdi, if it is not zero, and counts up at %rsi; %rcx times. */
GUEST_CODE(calling_guest,
	   "1: outb %al, $0xe0\n"
	   "2: test %rdi, %rdi\n"
	   "jz 3f\n"
	   "call *%rdi\n"
	   "3: test %rsi, %rsi\n"
	   "jz 4f\n"
	   "incq (%rsi)\n"
	   "4: add %rdx, %rsi\n"
	   "dec %rcx\n"
	   "jnz 2b\n"
	   "jmp 1b\n");

#define RECOVERY	"/sys/module/vitrine/parameters/nx_huge_pages_recovery_"

FIXTURE(nx) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint8_t *memory;
};

static unsigned long violations(struct test_vcpu *vcpu)
{
	struct vitrine_vcpu_stats stats;

	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	return stats.exit_count[EXIT_EPT_VIOLATION];
}

/*
 * Faults taken by @times calls at @code and counts at @data, @data + @step, and so on; 0 means
 * none.
 */
static unsigned long faults(struct test_vcpu *vcpu, uint64_t code, uint64_t data, uint64_t step,
			    uint64_t times)
{
	unsigned long before = violations(vcpu);
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdi = code;
	regs.rsi = data;
	regs.rdx = step;
	regs.rcx = times;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
	return violations(vcpu) - before;
}

FIXTURE_SETUP(nx)
{
	char mode[8] = "";
	FILE *file = fopen("/sys/module/vitrine/parameters/nx_huge_pages", "re");
	uint8_t *area;

	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(mode, sizeof(mode), file));
	fclose(file);
	ASSERT_STREQ("on\n", mode);
	area = mmap(NULL, 5 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)area);
	self->memory = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(self->memory, 4 * LARGE, MADV_HUGEPAGE));
	/* RET, everywhere. */
	memset(self->memory, 0xc3, 4 * LARGE);
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(calling_guest));
	test_vcpu_run_to_sync(self->vcpu);
	test_vm_add_memory(self->vm, 1, SLOT_GPA, self->memory, 4 * LARGE, 0);
	/* So that stack and page tables fault no more: what is counted is the slot's alone. */
	faults(self->vcpu, SLOT_GPA + 3 * LARGE, SLOT_GPA + 3 * LARGE + PAGE, 0, 1);
}

FIXTURE_TEARDOWN(nx)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(nx, data_stays_large)
{
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA, PAGE, 512));
	EXPECT_EQ(0, faults(self->vcpu, 0, SLOT_GPA + 8, PAGE, 512));
}

TEST_F(nx, code_splits_a_large_page_once)
{
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA, 0, 1));
	/* It is there, and it is not executable. */
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1));
	/* What lies beside it came along. */
	EXPECT_EQ(0, faults(self->vcpu, SLOT_GPA + 2 * PAGE, 0, 0, 1));
	EXPECT_EQ(0, faults(self->vcpu, SLOT_GPA + PAGE, SLOT_GPA, 0, 1000));
	EXPECT_EQ(1001 + 0xc3c3c3c3c3c3c3c3ull, *(uint64_t *)self->memory);
}

TEST_F(nx, data_beside_code_does_not_make_it_large_again)
{
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA + LARGE, 0, 0, 1));
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + LARGE + PAGE, 0, 1));
	EXPECT_EQ(0, faults(self->vcpu, SLOT_GPA + LARGE, SLOT_GPA + LARGE + PAGE, 0, 1000));
	/* The neighbour has no code. */
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + 2 * LARGE, PAGE, 512));
}

/* Large ones; and those that are split for code, as KVM calls both. */
static uint64_t large(const struct test_vm *vm)
{
	return test_counter_of(vm->fd, "pages_2m", 0);
}

static uint64_t splits(const struct test_vm *vm)
{
	return test_counter_of(vm->fd, "nx_lpage_splits", 0);
}

TEST_F(nx, statistics_tell_sizes_and_splits)
{
	/* The fixture's code, whose page was never there large, stack and page tables. */
	uint64_t small = test_counter_of(self->vm->fd, "pages_4k", 0), split = splits(self->vm);

	EXPECT_LT(0, small);
	EXPECT_EQ(0, large(self->vm));
	faults(self->vcpu, 0, SLOT_GPA + 8, LARGE, 2);
	EXPECT_EQ(2, large(self->vm));
	EXPECT_EQ(small, test_counter_of(self->vm->fd, "pages_4k", 0));
	EXPECT_EQ(split, splits(self->vm));
	faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1);
	EXPECT_EQ(1, large(self->vm));
	EXPECT_EQ(small + 512, test_counter_of(self->vm->fd, "pages_4k", 0));
	EXPECT_EQ(split + 1, splits(self->vm));
	/* The host takes all back. */
	ASSERT_EQ(0, madvise(self->memory, 4 * LARGE, MADV_DONTNEED));
	EXPECT_EQ(0, large(self->vm));
	EXPECT_EQ(0, test_counter_of(self->vm->fd, "pages_1g", 0));
}

TEST_F(nx, split_pages_follow_the_host)
{
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA, 0, 1));
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1));
	/* Another RET in a fresh page, in the middle of what was large. */
	ASSERT_EQ(0, madvise(self->memory + PAGE, PAGE, MADV_DONTNEED));
	self->memory[PAGE] = 0xc3;
	EXPECT_LE(1, faults(self->vcpu, SLOT_GPA + PAGE, SLOT_GPA + PAGE + 8, 0, 3));
	EXPECT_EQ(3, *(uint64_t *)(self->memory + PAGE + 8));
}

/* All of what is split, in each 20 ms, or none. */
static void set_recovery(bool on)
{
	host_write(RECOVERY "period_ms", on ? "20" : "0");
	host_write(RECOVERY "ratio", on ? "1" : "60");
}

TEST_F(nx, what_has_no_code_any_more_grows_together)
{
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + 8, 0, 1));
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1));
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + LARGE + 8, 0, 1));
	EXPECT_EQ(0, faults(self->vcpu, 0, SLOT_GPA + 8, PAGE, 512));
	set_recovery(true);
	usleep(300000);
	set_recovery(false);
	/* Gone, and large again; the other one is what it was. */
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + 8, PAGE, 512));
	EXPECT_EQ(0, faults(self->vcpu, 0, SLOT_GPA + LARGE + 8, PAGE, 512));
	/* Where there is code after all it is split again. */
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1));
	EXPECT_EQ(0, faults(self->vcpu, SLOT_GPA + PAGE, SLOT_GPA + 8, PAGE, 512));
}

TEST_F(nx, recovery_can_be_off)
{
	EXPECT_EQ(1, faults(self->vcpu, 0, SLOT_GPA + 8, 0, 1));
	EXPECT_EQ(1, faults(self->vcpu, SLOT_GPA, 0, 0, 1));
	host_write(RECOVERY "ratio", "0");
	host_write(RECOVERY "period_ms", "20");
	usleep(200000);
	set_recovery(false);
	EXPECT_EQ(0, faults(self->vcpu, SLOT_GPA + PAGE, 0, 0, 1));
}

TEST(nx_not_for_this_vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, .args[0] = 1 };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;
	uint8_t *area, *memory;

	area = mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)area);
	memory = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
	host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	ASSERT_EQ(0, madvise(memory, LARGE, MADV_HUGEPAGE));
	memset(memory, 0xc3, LARGE);
	EXPECT_EQ(1, test_check_extension(vm->fd, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES));
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL, errno);
	cap.args[0] = 0;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vcpu = test_vcpu_create(vm, 0);
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL, errno);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(calling_guest));
	test_vcpu_run_to_sync(vcpu);
	test_vm_add_memory(vm, 1, SLOT_GPA, memory, LARGE, 0);
	faults(vcpu, 0, SLOT_GPA + 8, 0, 1);
	/* Code and data in one large translation; the first call may touch the stack. */
	EXPECT_GE(1, faults(vcpu, SLOT_GPA + PAGE, 0, 0, 1));
	EXPECT_EQ(0, faults(vcpu, SLOT_GPA + 2 * PAGE, SLOT_GPA + 8, PAGE, 512));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
