// SPDX-License-Identifier: GPL-2.0
/*
 * What guest and host share is the host's again whenever the host can look, on every CPU that the
 * guest was on: MSRs as the kernel's msr driver reads them, and the debug registers. Seen by the
 * VMM's own thread, by tasks that take the CPU away from it, and where the guest moves between
 * CPUs; the guest's own values are its own all along. What a thread sees without privilege is
 * host_state_test's.
 */
/* lab: --cpus 2 --memory 1024 --with-module msr */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define ROUNDS		100	/* by 100 CPUID exits and two that go to userspace */
#define MAX_CPUS	4
#define PAGES		16

#define WRMSR(msr, high, low) \
	"mov $" #msr ", %ecx\nmov $" #low ", %eax\nmov $" #high ", %edx\nwrmsr\n"
/* R13 counts what the guest finds changed. */
#define MUST_BE(reg, value)	"cmp $" #value ", %" #reg "\nje 3f\ninc %r13\n3:\n"
#define RDMSR_MUST_BE(msr, high, low) \
	"mov $" #msr ", %ecx\nrdmsr\n" MUST_BE(eax, low) MUST_BE(edx, high)

/*
 * RDI: where its four breakpoints are; RSI: how long it spins between two exits to userspace, and
 * writes to memory while it does.
 */
GUEST_CODE(guest_mark,
	   "mov %cr4, %rax\nor $0x40000, %eax\nmov %rax, %cr4\n"
	   "xor %ecx, %ecx\nxor %edx, %edx\nmov $7, %eax\nxsetbv\n"
	   WRMSR(0xc0000081, 0x00230010, 0x1234)	/* STAR */
	   WRMSR(0xc0000082, 0x1, 0x444000)		/* LSTAR */
	   WRMSR(0xc0000083, 0x2, 0x555000)		/* CSTAR */
	   WRMSR(0xc0000084, 0, 0x47700)		/* FMASK */
	   WRMSR(0xc0000102, 0x3, 0x333000)		/* KERNEL_GS_BASE */
	   WRMSR(0xc0000103, 0, 0x5555)			/* TSC_AUX */
	   WRMSR(0x174, 0, 0x8)				/* SYSENTER_CS, _ESP, _EIP */
	   WRMSR(0x175, 0, 0x666000)
	   WRMSR(0x176, 0, 0x777000)
	   WRMSR(0x277, 0x06060606, 0x01060606)		/* PAT */
	   "mov %rdi, %dr0\nmov %rdi, %dr1\nmov %rdi, %dr2\nmov %rdi, %dr3\n"
	   "mov $0xdddd04ff, %eax\nmov %rax, %dr7\n"	/* writes of four bytes */
	   "mov $0xabc000, %eax\nmov %rax, %cr2\n"
	   "vpcmpeqd %ymm0, %ymm0, %ymm0\nvmovdqa %ymm0, %ymm15\n"
	   "xor %r13d, %r13d\nmov $0x10000, %ebp\n"
	   "1:\nmov $100, %r12d\n"
	   "2:\nxor %eax, %eax\ncpuid\ndec %r12d\njnz 2b\n"
	   "mov %rsi, %r12\n"
	   "4:\nincl 8(%rbp)\ndec %r12\njnz 4b\n"
	   "vpmovmskb %ymm0, %eax\n" MUST_BE(eax, -1)
	   "vpmovmskb %ymm15, %eax\n" MUST_BE(eax, -1)
	   RDMSR_MUST_BE(0xc0000081, 0x00230010, 0x1234)
	   RDMSR_MUST_BE(0xc0000082, 0x1, 0x444000)
	   RDMSR_MUST_BE(0xc0000083, 0x2, 0x555000)
	   RDMSR_MUST_BE(0xc0000084, 0, 0x47700)
	   RDMSR_MUST_BE(0xc0000102, 0x3, 0x333000)
	   RDMSR_MUST_BE(0xc0000103, 0, 0x5555)
	   "rdtscp\n" MUST_BE(ecx, 0x5555)
	   RDMSR_MUST_BE(0x175, 0, 0x666000)
	   RDMSR_MUST_BE(0x176, 0, 0x777000)
	   RDMSR_MUST_BE(0x277, 0x06060606, 0x01060606)
	   "mov %dr0, %rax\ncmp %rdi, %rax\nje 3f\ninc %r13\n3:\n"
	   "mov %dr3, %rax\ncmp %rdi, %rax\nje 3f\ninc %r13\n3:\n"
	   "mov %dr7, %rax\n" MUST_BE(eax, 0xdddd04ff)
	   "mov %cr2, %rax\n" MUST_BE(eax, 0xabc000)
	   "xor %ecx, %ecx\nxgetbv\n" MUST_BE(eax, 7)
	   "outb %al, $0x42\n"
	   GUEST_SYNC "jmp 1b\n");

/* All that the entry path touches, and some that it must not. */
static const struct {
	uint32_t index;
	const char *name;
} msrs[] = {
	{ 0x01b, "APIC_BASE" },		  { 0x03a, "FEATURE_CONTROL" },
	{ 0x048, "SPEC_CTRL" },		  { 0x174, "SYSENTER_CS" },
	{ 0x175, "SYSENTER_ESP" },	  { 0x176, "SYSENTER_EIP" },
	{ 0x1a0, "MISC_ENABLE" },	  { 0x1d9, "DEBUGCTL" },
	{ 0x277, "PAT" },		  { 0x2ff, "MTRR_DEF_TYPE" },
	{ 0xda0, "XSS" },		  { 0xc0000080, "EFER" },
	{ 0xc0000081, "STAR" },		  { 0xc0000082, "LSTAR" },
	{ 0xc0000083, "CSTAR" },	  { 0xc0000084, "FMASK" },
	{ 0xc0000101, "GS_BASE" },	  { 0xc0000102, "KERNEL_GS_BASE" },
	{ 0xc0000103, "TSC_AUX" },
};

#define NR_MSRS	(sizeof(msrs) / sizeof(msrs[0]))

struct msr_file {
	int fd;
	bool readable[NR_MSRS];
	uint64_t value[NR_MSRS];
};

static void pin(pid_t tid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(tid, sizeof(one), &one))
		test_die("CPU %d", cpu);
}

/* The caller runs on @cpu; what it finds there is what is right. */
static bool msr_file_open(struct msr_file *file, int cpu)
{
	char path[32];
	unsigned int i;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0)
		return false;
	for (i = 0; i < NR_MSRS; i++)
		file->readable[i] = pread(file->fd, &file->value[i], 8, msrs[i].index) == 8;
	return true;
}

/* How many MSRs are not what they were. */
static unsigned int msr_file_compare(const struct msr_file *file, const char *who)
{
	unsigned int i, changes = 0;
	uint64_t value;

	for (i = 0; i < NR_MSRS; i++) {
		if (!file->readable[i])
			continue;
		if (pread(file->fd, &value, 8, msrs[i].index) == 8 && value == file->value[i])
			continue;
		changes++;
		printf("# %s: %s is %#llx, was %#llx\n", who, msrs[i].name,
		       (unsigned long long)value, (unsigned long long)file->value[i]);
	}
	return changes;
}

static bool tsc_aux_is_right(void)
{
	unsigned int cpu, node, aux;

	asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
	return !syscall(SYS_getcpu, &cpu, &node, NULL) && aux == (node << 12 | cpu);
}

/* A counting breakpoint of this thread's at @where, for user mode; -1 without. */
static int count_writes(volatile uint32_t *where)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (unsigned long)where,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* What the processes here share. */
struct shared {
	atomic_bool stop;
	atomic_uint looks[MAX_CPUS], changes[MAX_CPUS];
	/* Where the guest's breakpoints are; nobody has one there in the host. */
	uint32_t watched_by_guest;
};

FIXTURE(host_msr) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct shared *shared;
	struct msr_file msr;
	int cpus;
	int neighbours;
	pid_t neighbour[MAX_CPUS];
};

FIXTURE_SETUP(host_msr)
{
	if (!__builtin_cpu_supports("avx2"))
		SKIP(TEST_NOT_AT_ALL, "this machine's CPU has no AVX2");
	pin(0, 0);
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7654321000ul));
	if (system("modprobe msr") || !msr_file_open(&self->msr, 0))
		SKIP(TEST_NOT_AT_ALL, "no msr driver here");
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (self->cpus > MAX_CPUS)
		self->cpus = MAX_CPUS;
	self->neighbours = 0;
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->shared);
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_mark));
}

/* Each neighbour has looked often, and found nothing. */
static void end_neighbours(struct __test_metadata *_metadata, FIXTURE_DATA(host_msr) *self)
{
	int i, status;

	self->shared->stop = true;
	for (i = 0; i < self->neighbours; i++) {
		ASSERT_EQ(self->neighbour[i], waitpid(self->neighbour[i], &status, 0));
		/* A breakpoint of the guest's would be a SIGTRAP here. */
		EXPECT_EQ(0, status);
		EXPECT_LT(10, self->shared->looks[i]);
		EXPECT_EQ(0, self->shared->changes[i]);
	}
	self->neighbours = 0;
}

FIXTURE_TEARDOWN(host_msr)
{
	end_neighbours(_metadata, self);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	close(self->msr.fd);
}

/* Another process on @cpu, which looks at all there is, and takes page faults for CR2. */
static void live_next_door(struct shared *shared, int cpu)
{
	volatile char *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint32_t *watched = &shared->watched_by_guest;
	struct msr_file msr;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0, cpu);
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234567000ul + cpu);
	if (!msr_file_open(&msr, cpu))
		_exit(2);
	do {
		shared->changes[cpu] += msr_file_compare(&msr, "another task");
		shared->changes[cpu] += !tsc_aux_is_right();
		*watched += 1;
		madvise((void *)pages, PAGES * 4096, MADV_DONTNEED);
		for (i = 0; i < PAGES; i++)
			pages[i * 4096] = 1;
		shared->looks[cpu]++;
	} while (!shared->stop);
	fflush(stdout);
	_exit(0);
}

static void add_neighbour(struct __test_metadata *_metadata, FIXTURE_DATA(host_msr) *self)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		live_next_door(self->shared, self->neighbours);
	self->neighbour[self->neighbours++] = pid;
	while (!self->shared->looks[self->neighbours - 1])
		usleep(1000);
}

static void start_guest(FIXTURE_DATA(host_msr) *self, volatile uint32_t *breakpoint, uint64_t spin)
{
	struct kvm_regs regs;

	test_vcpu_regs(self->vcpu, &regs);
	regs.rdi = (uintptr_t)breakpoint;
	regs.rsi = spin;
	test_vcpu_set_regs(self->vcpu, &regs);
}

/* From one end of the guest's loop to the next; how much it found changed so far. */
static uint64_t run_round(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	test_vcpu_run_to(vcpu, 0x42);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.r13;
}

TEST_F(host_msr, back_when_run_returns)
{
	unsigned int i, seen = 0;

	for (i = 0; i < NR_MSRS; i++)
		seen += self->msr.readable[i];
	ASSERT_LE(14, seen);
	start_guest(self, &self->shared->watched_by_guest, 100);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_round(self->vcpu));
		ASSERT_TRUE(tsc_aux_is_right());
		ASSERT_EQ(0, msr_file_compare(&self->msr, "the VMM"));
		self->shared->watched_by_guest++;
	}
}

TEST_F(host_msr, back_when_another_task_takes_the_cpu)
{
	unsigned int i;

	add_neighbour(_metadata, self);
	start_guest(self, &self->shared->watched_by_guest, 200000);
	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(0, run_round(self->vcpu));
	end_neighbours(_metadata, self);
}

static void *move_about(void *arg)
{
	struct shared *shared = arg;
	pid_t vcpu_tid = getpid();	/* the harness runs a case in the process' first thread */
	unsigned int turn;

	for (turn = 0; !shared->stop; turn++) {
		pin(vcpu_tid, turn % 2);
		usleep(2000);
	}
	return NULL;
}

TEST_F(host_msr, back_on_each_cpu_that_the_guest_was_on)
{
	pthread_t mover;
	unsigned int i;

	if (self->cpus < 2)
		SKIP(return, "one CPU only");
	add_neighbour(_metadata, self);
	add_neighbour(_metadata, self);
	start_guest(self, &self->shared->watched_by_guest, 200000);
	ASSERT_EQ(0, pthread_create(&mover, NULL, move_about, self->shared));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_round(self->vcpu));
		ASSERT_TRUE(tsc_aux_is_right());
	}
	self->shared->stop = true;
	pthread_join(mover, NULL);
	end_neighbours(_metadata, self);
}

/* The thread has a breakpoint where the guest has a word that it writes all the time. */
TEST_F(host_msr, breakpoints_of_the_host_do_not_hit_in_the_guest)
{
	volatile uint32_t *low = mmap((void *)TEST_DATA_GPA, 4096, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint32_t *guests = test_vm_hva(self->vm, TEST_DATA_GPA);
	uint64_t counted = 0;
	unsigned int i;
	int fd;

	ASSERT_EQ((void *)TEST_DATA_GPA, (void *)low);
	fd = count_writes(&low[2]);
	if (fd < 0)
		SKIP(return, "no hardware breakpoints here");
	start_guest(self, &self->shared->watched_by_guest, 100);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, run_round(self->vcpu));
		low[2]++;
	}
	EXPECT_EQ(ROUNDS * 100, guests[2]);
	ASSERT_EQ(sizeof(counted), read(fd, &counted, sizeof(counted)));
	EXPECT_EQ(ROUNDS, counted);
	close(fd);
	munmap((void *)low, 4096);
}

TEST_HARNESS_MAIN
