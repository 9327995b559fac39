// SPDX-License-Identifier: GPL-2.0
/* build: -Wl,-z,now */
/*
 * What an exit must put back: over more than 10,000 exits of a guest that has its own values in
 * everything that it shares with the host, the thread that runs it, and another on the same CPU,
 * find theirs unchanged; and so does the guest.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define ROUNDS		100
#define EXITS_A_ROUND	100	/* CPUID, beside the few others that the guest makes */
#define UNUSED_PORT	0x80

#define WRMSR(msr, high, low) \
	"mov $" #msr ", %ecx\nmov $" #low ", %eax\nmov $" #high ", %edx\nwrmsr\n"
/* R13 counts what the guest finds changed. */
#define MUST_BE(reg, value) \
	"cmp $" #value ", %" #reg "\nje 3f\ninc %r13\n3:\n"
#define RDMSR_MUST_BE(msr, low) \
	"mov $" #msr ", %ecx\nrdmsr\n" MUST_BE(eax, low)

GUEST_CODE(guest_soil,
	   /* XCR0 with x87 and SSE only, unlike the host's. */
	   "mov %cr4, %rax\nor $0x40600, %eax\nmov %rax, %cr4\n"
	   "xor %ecx, %ecx\nxor %edx, %edx\nmov $3, %eax\nxsetbv\n"
	   "mov $0xc0000080, %ecx\nrdmsr\nor $1, %eax\nwrmsr\n"		/* EFER.SCE */
	   WRMSR(0xc0000081, 0x00230010, 0)				/* STAR */
	   WRMSR(0xc0000082, 0, 0x444000)				/* LSTAR */
	   WRMSR(0xc0000084, 0, 0x40700)				/* FMASK */
	   WRMSR(0xc0000100, 0, 0x111000)				/* FS_BASE */
	   WRMSR(0xc0000101, 0, 0x222000)				/* GS_BASE */
	   WRMSR(0xc0000102, 0, 0x333000)				/* KERNEL_GS_BASE */
	   WRMSR(0xc0000103, 0, 0x5555)					/* TSC_AUX */
	   WRMSR(0x174, 0, 8)						/* SYSENTER_CS */
	   WRMSR(0x175, 0, 0x666000)
	   WRMSR(0x176, 0, 0x777000)
	   "lidt 9f(%rip)\n"
	   "mov $0x123000, %eax\nmov %rax, %dr0\nmov %rax, %dr1\nmov %rax, %dr2\nmov %rax, %dr3\n"
	   "mov $0xdddd04ff, %eax\nmov %rax, %dr7\n"		/* four writes, four bytes */
	   "mov $0xabc000, %eax\nmov %rax, %cr2\n"
	   "fninit\npushq $0x7f\nfldcw (%rsp)\nmovl $0x9fc0, (%rsp)\nldmxcsr (%rsp)\n"
	   "pcmpeqd %xmm0, %xmm0\nmovdqa %xmm0, %xmm7\nmovdqa %xmm0, %xmm15\n"
	   "xor %r13d, %r13d\n"
	   "1:\nmov $100, %r12d\n"
	   "2:\nxor %eax, %eax\ncpuid\ndec %r12d\njnz 2b\n"
	   "pmovmskb %xmm0, %eax\n" MUST_BE(eax, 0xffff)
	   "pmovmskb %xmm15, %eax\n" MUST_BE(eax, 0xffff)
	   "fnstcw (%rsp)\nmovzwl (%rsp), %eax\n" MUST_BE(eax, 0x7f)
	   "stmxcsr (%rsp)\nmov (%rsp), %eax\n" MUST_BE(eax, 0x9fc0)
	   RDMSR_MUST_BE(0xc0000082, 0x444000)
	   RDMSR_MUST_BE(0xc0000100, 0x111000)
	   RDMSR_MUST_BE(0xc0000101, 0x222000)
	   "swapgs\n" RDMSR_MUST_BE(0xc0000101, 0x333000) "swapgs\n"
	   "rdtscp\n" MUST_BE(ecx, 0x5555)
	   RDMSR_MUST_BE(0x175, 0x666000)
	   "mov %dr0, %rax\n" MUST_BE(eax, 0x123000)
	   "mov %cr2, %rax\n" MUST_BE(eax, 0xabc000)
	   "xor %ecx, %ecx\nxgetbv\n" MUST_BE(eax, 3)
	   GUEST_SYNC "jmp 1b\n"
	   "9:\n.word 0\n.quad 0\n");

typedef uint8_t vectors[16][32];

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* What userspace can see of a CPU's and a thread's own. */
struct host_state {
	uint16_t fs, gs, ds, es, ldtr, tr;
	uint16_t x87_control;
	uint32_t mxcsr;
	uint64_t fs_base, gs_base, xcr0;
	uint32_t tsc_aux;
	struct table_register gdtr, idtr;
	uint16_t machine_status;
};

static void look(struct host_state *state)
{
	uint32_t low, high;

	memset(state, 0, sizeof(*state));
	asm volatile("mov %%fs, %0" : "=r" (state->fs));
	asm volatile("mov %%gs, %0" : "=r" (state->gs));
	asm volatile("mov %%ds, %0" : "=r" (state->ds));
	asm volatile("mov %%es, %0" : "=r" (state->es));
	asm volatile("sldt %0" : "=r" (state->ldtr));
	asm volatile("str %0" : "=r" (state->tr));
	asm volatile("sgdt %0" : "=m" (state->gdtr));
	asm volatile("sidt %0" : "=m" (state->idtr));
	if (test_on_kvm())
		state->idtr.limit = 0xfff;	/* it leaves what an exit sets */
	asm volatile("smsw %0" : "=r" (state->machine_status));
	asm volatile("fnstcw %0" : "=m" (state->x87_control));
	asm volatile("stmxcsr %0" : "=m" (state->mxcsr));
	asm volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	state->xcr0 = low | (uint64_t)high << 32;
	asm volatile("rdtscp" : "=c" (state->tsc_aux) : : "eax", "edx");
	syscall(SYS_arch_prctl, ARCH_GET_FS, &state->fs_base);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &state->gs_base);
}

/* The assembler counts: all sixteen, from or to memory. */
#define LOAD_VECTORS \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" \
	"vmovdqu \\n*32(%[in]), %%ymm\\n\n.endr\n"
#define STORE_VECTORS \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" \
	"vmovdqu %%ymm\\n, \\n*32(%[out])\n.endr\n"
#define VECTORS_CLOBBERED \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
	"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* A system call with all vector registers full. */
static long call_with_vectors(long nr, long a, long b, const uint8_t (*in)[32], uint8_t (*out)[32])
{
	long ret;

	asm volatile(LOAD_VECTORS "syscall\n" STORE_VECTORS
		     : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (0), [in] "r" (in), [out] "r" (out)
		     : "rcx", "r11", "memory", VECTORS_CLOBBERED);
	return ret;
}

/* Long enough in user mode for the scheduler to take the CPU away. */
static void spin_with_vectors(unsigned long turns, const uint8_t (*in)[32], uint8_t (*out)[32])
{
	asm volatile(LOAD_VECTORS "1:\ndec %[turns]\njnz 1b\n" STORE_VECTORS
		     : [turns] "+r" (turns)
		     : [in] "r" (in), [out] "r" (out)
		     : "memory", VECTORS_CLOBBERED);
}

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		test_die("sched_setaffinity: %s", strerror(errno));
}

/* One write, which no compiler drops or joins. */
static void touch(uint32_t *where)
{
	asm volatile("incl %0" : "+m" (*where));
}

/* A hardware breakpoint of this thread's, which counts its writes; -1 without. */
static int count_writes(uint32_t *where)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (unsigned long)where,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1,
	};
	uint64_t writes = 0;
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	if (fd < 0)
		return -1;
	touch(where);
	if (read(fd, &writes, sizeof(writes)) == sizeof(writes) && writes == 1)
		return fd;
	close(fd);	/* this machine's breakpoints do not count */
	return -1;
}

/* Samples this thread, with an interrupt for each. */
static int sample_self(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* Another task on the CPU, which counts what it finds changed. */
struct neighbour {
	pthread_t thread;
	atomic_bool ready, stop;
	atomic_ulong rounds, changes;
};

static void *live_next_door(void *arg)
{
	static uint32_t watched;
	struct neighbour *neighbour = arg;
	struct host_state first, now;
	uint64_t written = 1, counted;
	vectors mine, seen;
	int breakpoint;

	pin();
	memset(mine, 0x3c, sizeof(mine));
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7654321000ul);
	breakpoint = count_writes(&watched);
	look(&first);
	neighbour->ready = true;
	while (!neighbour->stop) {
		spin_with_vectors(100000, mine, seen);
		neighbour->changes += !!memcmp(mine, seen, sizeof(mine));
		neighbour->changes += syscall(SYS_getpid) != getpid();
		look(&now);
		now.ldtr = first.ldtr;	/* the process's, and no secret between its threads */
		neighbour->changes += !!memcmp(&first, &now, sizeof(now));
		touch(&watched);
		written++;
		neighbour->rounds++;
	}
	if (breakpoint >= 0) {
		if (read(breakpoint, &counted, sizeof(counted)) != sizeof(counted) ||
		    counted != written)
			neighbour->changes++;
		close(breakpoint);
	}
	return NULL;
}

FIXTURE(host_state) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct neighbour neighbour;
};

FIXTURE_SETUP(host_state)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP(TEST_NOT_AT_ALL, "no AVX");
	pin();
	self->neighbour = (struct neighbour){};
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_soil));
	ASSERT_EQ(0, pthread_create(&self->neighbour.thread, NULL, live_next_door,
				    &self->neighbour));
	while (!self->neighbour.ready)
		sched_yield();
}

FIXTURE_TEARDOWN(host_state)
{
	self->neighbour.stop = true;
	pthread_join(self->neighbour.thread, NULL);
	EXPECT_LT(0, self->neighbour.rounds);
	EXPECT_EQ(0, self->neighbour.changes);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* One stay in KVM_RUN, with EXITS_A_ROUND exits and more; how much of ours came back changed. */
static unsigned int run_once(struct test_vcpu *vcpu, const struct host_state *before)
{
	struct host_state after;
	struct kvm_regs regs;
	vectors mine, seen;
	unsigned int changes = 0;

	memset(mine, 0xa5, sizeof(mine));
	memset(seen, 0, sizeof(seen));
	if (call_with_vectors(SYS_ioctl, vcpu->fd, KVM_RUN, mine, seen))
		test_die("KVM_RUN failed");
	if (vcpu->run->exit_reason != KVM_EXIT_IO || vcpu->run->io.port != TEST_PORT_SYNC)
		test_die("exit reason %u", vcpu->run->exit_reason);
	changes += !!memcmp(mine, seen, sizeof(mine));
	look(&after);
	changes += !!memcmp(before, &after, sizeof(after));
	test_vcpu_regs(vcpu, &regs);
	changes += regs.r13;
	return changes;
}

TEST_F(host_state, bases_and_vectors)
{
	uint32_t mxcsr = 0x5f80;
	uint16_t control = 0xb7f;
	struct host_state before;
	unsigned int i;

	/* A GS base above 4 GiB, and other roundings than the guest's. */
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000ul));
	asm volatile("ldmxcsr %0" : : "m" (mxcsr));
	asm volatile("fldcw %0" : : "m" (control));
	look(&before);
	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(0, run_once(self->vcpu, &before));
}

TEST_F(host_state, selectors_and_ldt)
{
	struct user_desc desc = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1 };
	const uint32_t magic = 0x5eed5eed;
	struct host_state before;
	uint32_t *low, value;
	unsigned int i;

	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		   -1, 0);
	ASSERT_NE(MAP_FAILED, low);
	*low = magic;
	desc.base_addr = (uintptr_t)low;
	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)))
		SKIP(return, "this kernel has no LDTs");
	asm volatile("mov %0, %%gs" : : "r" (7));		/* first of the LDT, ring 3 */
	asm volatile("mov %0, %%es\nmov %0, %%ds" : : "r" (0x2b));	/* the kernel's user data */
	look(&before);
	ASSERT_EQ(7, before.gs);
	ASSERT_NE(0, before.ldtr);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_once(self->vcpu, &before));
		asm volatile("mov %%gs:0, %0" : "=r" (value));
		ASSERT_EQ(magic, value);
	}
	asm volatile("mov %0, %%gs" : : "r" (0));
}

TEST_F(host_state, io_bitmap)
{
	struct host_state before;
	unsigned int i;

	/* It lies at the end of the TSS, whose limit an exit cuts off. */
	ASSERT_EQ(0, ioperm(UNUSED_PORT, 1, 1));
	look(&before);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_once(self->vcpu, &before));
		outb(0, UNUSED_PORT);
	}
}

TEST_F(host_state, breakpoints_and_perf)
{
	static uint32_t watched;
	int breakpoint = count_writes(&watched);
	int samples = sample_self();
	uint64_t counted = 0;
	struct host_state before;
	unsigned int i;

	if (breakpoint < 0 || samples < 0)
		SKIP(return, "no hardware breakpoints, or no perf");
	look(&before);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_once(self->vcpu, &before));
		touch(&watched);
	}
	ASSERT_EQ(sizeof(counted), read(breakpoint, &counted, sizeof(counted)));
	EXPECT_EQ(1 + ROUNDS, counted);
	ASSERT_EQ(sizeof(counted), read(samples, &counted, sizeof(counted)));
	EXPECT_LT(0, counted);
	close(breakpoint);
	close(samples);
}

/* The test itself: a changed base is a change. */
TEST_F(host_state, notices_a_change)
{
	struct host_state before;

	look(&before);
	ASSERT_EQ(0, run_once(self->vcpu, &before));
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1000ul));
	EXPECT_EQ(1, run_once(self->vcpu, &before));
}

TEST_HARNESS_MAIN
