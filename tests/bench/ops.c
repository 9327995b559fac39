// SPDX-License-Identifier: GPL-2.0
/*
 * What operations cost on the device that VITRINE_DEV names, in TSC ticks: medians of several runs,
 * with the spread. In the lab a tick is an instruction of the emulated CPU, so the figures count
 * the software path and nothing of what an exit costs in hardware. The same program runs on KVM's
 * device.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "host.h"
#include "vm.h"

#define RUNS	7
#define ROUNDS	200
#define IDLE_VMS	64

/* The loop's count is in RCX's place, R15: the operations use the others. Ticks are left in RSI. */
#define GUEST_LOOP(name, prepare, op)					\
	GUEST_CODE(name,						\
		"1:\n" prepare						\
		"rdtsc\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r14\n"	\
		"mov $" BENCH_ROUNDS ", %r15d\n"			\
		"2:\n" op						\
		"dec %r15d\njnz 2b\n"					\
		"rdtsc\nshl $32, %rdx\nor %rdx, %rax\nsub %r14, %rax\nmov %rax, %rsi\n" \
		GUEST_SYNC "jmp 1b\n")
#define BENCH_ROUNDS "200"

GUEST_LOOP(guest_nothing, "", "");
GUEST_LOOP(guest_cpuid, "", "xor %eax, %eax\nxor %ecx, %ecx\ncpuid\n");
GUEST_LOOP(guest_vmcall, "", "mov $99, %eax\nvmcall\n");
GUEST_LOOP(guest_rdmsr, "", "mov $0x1a0, %ecx\nrdmsr\n");
GUEST_LOOP(guest_wrmsr, "mov $0x1a0, %ecx\nrdmsr\nmov %eax, %r12d\nmov %edx, %r13d\n",
	   "mov $0x1a0, %ecx\nmov %r12d, %eax\nmov %r13d, %edx\nwrmsr\n");
GUEST_LOOP(guest_deadline, "", "mov $0x6e0, %ecx\nmov $0x7fffffff, %edx\nxor %eax, %eax\nwrmsr\n");
GUEST_LOOP(guest_cr4, "mov %cr4, %r12\n", "xor $0x40, %r12\nmov %r12, %cr4\n");
GUEST_CODE(guest_out, "1:\nout %al, $0x42\njmp 1b\n");
GUEST_CODE(guest_in, "1:\nin $0x42, %al\njmp 1b\n");
GUEST_CODE(guest_mmio_write, "mov $0x40000000, %ebx\n1:\nmov %eax, (%rbx)\njmp 1b\n");
GUEST_CODE(guest_mmio_read, "mov $0x40000000, %ebx\n1:\nmov (%rbx), %eax\njmp 1b\n");
GUEST_CODE(guest_nops, ".rept 1000\nnop\n.endr\n1: jmp 1b\n");
GUEST_CODE(guest_touch,
	   "rdtsc\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r14\n"
	   "2:\nmovb $1, (%rdi)\nadd %rbp, %rdi\ndec %r15d\njnz 2b\n"
	   "rdtsc\nshl $32, %rdx\nor %rdx, %rax\nsub %r14, %rax\nmov %rax, %rsi\n" GUEST_SYNC);

struct row {
	const char *name;
	uint64_t (*measure)(const void *arg);
	const void *arg;
};

struct code {
	const char *start;
	size_t bytes;
};

static uint64_t ticks_of_loop(const struct code *code)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_regs regs;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_set_msr(vcpu, 0x1b, 0xfee00900);
	test_vcpu_long_mode(vcpu, code->start, code->bytes);
	if (code->start == guest_deadline) {
		/* LVT timer in TSC-deadline mode */
		struct kvm_lapic_state lapic;

		ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic);
		*(uint32_t *)&lapic.regs[0x320] = 0x40030;
		*(uint32_t *)&lapic.regs[0xf0] = 0x1ff;
		ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic);
	}
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	return regs.rsi;
}

static uint64_t in_guest(const void *arg)
{
	const struct code nothing = { GUEST_BLOB(guest_nothing) };

	return (ticks_of_loop(arg) - ticks_of_loop(&nothing)) / ROUNDS;
}

static uint64_t to_user(const void *arg)
{
	const struct code *code = arg;
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t start;
	int i;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, code->start, code->bytes);
	for (i = 0; i < 10; i++)
		ioctl(vcpu->fd, KVM_RUN, 0);
	start = __rdtsc();
	for (i = 0; i < ROUNDS; i++)
		if (ioctl(vcpu->fd, KVM_RUN, 0))
			test_die("KVM_RUN");
	start = (__rdtsc() - start) / ROUNDS;
	if (vcpu->run->exit_reason != KVM_EXIT_IO && vcpu->run->exit_reason != KVM_EXIT_MMIO)
		test_die("exit reason %u", vcpu->run->exit_reason);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	return start;
}

enum host_op { GETPPID, CHECK_EXTENSION, GET_REGS, SET_REGS, GET_SREGS, SET_SREGS, IMMEDIATE };

static uint64_t on_host(const void *arg)
{
	enum host_op op = *(const enum host_op *)arg;
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t start = 0;
	int i;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_out));
	test_vcpu_run(vcpu);
	test_vcpu_regs(vcpu, &regs);
	test_vcpu_sregs(vcpu, &sregs);
	vcpu->run->immediate_exit = 1;
	for (i = 0; i < ROUNDS + 10; i++) {
		if (i == 10)
			start = __rdtsc();
		switch (op) {
		case GETPPID:
			getppid();
			break;
		case CHECK_EXTENSION:
			ioctl(vm->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_HLT);
			break;
		case GET_REGS:
			ioctl(vcpu->fd, KVM_GET_REGS, &regs);
			break;
		case SET_REGS:
			ioctl(vcpu->fd, KVM_SET_REGS, &regs);
			break;
		case GET_SREGS:
			ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
			break;
		case SET_SREGS:
			ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
			break;
		case IMMEDIATE:
			ioctl(vcpu->fd, KVM_RUN, 0);
			break;
		}
	}
	start = (__rdtsc() - start) / ROUNDS;
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	return start;
}

static uint64_t step(const void *arg)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t start;
	int i;

	(void)arg;
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_nops));
	ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
	test_vcpu_run(vcpu);
	start = __rdtsc();
	for (i = 0; i < ROUNDS; i++)
		if (test_vcpu_run(vcpu) != KVM_EXIT_DEBUG)
			test_die("exit reason %u", vcpu->run->exit_reason);
	start = (__rdtsc() - start) / ROUNDS;
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	return start;
}

static uint64_t touch(const void *arg)
{
	size_t page = *(const size_t *)arg, pages = page > 4096 ? 16 : 512, bytes = page * pages;
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_regs regs;
	char *area = mmap(NULL, bytes + (2 << 20), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)area + (2 << 20) - 1) & ~((2ul << 20) - 1));

	madvise(aligned, bytes, page > 4096 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(aligned, 1, bytes);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vm_add_memory(vm, 1, 0x40000000, aligned, bytes, 0);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_touch));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = 0x40000000;
	regs.rbp = page;
	regs.r15 = pages;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	munmap(area, bytes + (2 << 20));
	return regs.rsi / pages;
}

static uint64_t create(const void *arg)
{
	int what = *(const int *)arg, dev = test_dev_open(), vm, vcpu;
	uint64_t start = __rdtsc(), created;

	vm = ioctl(dev, KVM_CREATE_VM, 0);
	created = __rdtsc() - start;
	if (what == 1) {
		start = __rdtsc();
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
		created = __rdtsc() - start;
		close(vcpu);
	}
	close(vm);
	if (what == 2)
		created = __rdtsc() - start;
	close(dev);
	return created;
}

/*
 * KiB of kernel memory: what MemAvailable lost to VMs without memory and with a vCPU that never
 * ran.
 */
static void print_memory(void)
{
	int dev = test_dev_open(), vm[IDLE_VMS], vcpu[IDLE_VMS], i;
	long before, after;

	before = host_meminfo_kib("MemAvailable");
	for (i = 0; i < IDLE_VMS; i++) {
		vm[i] = ioctl(dev, KVM_CREATE_VM, 0);
		if (vm[i] < 0 || ioctl(vm[i], KVM_CREATE_IRQCHIP, 0))
			test_die("VM %d", i);
		vcpu[i] = ioctl(vm[i], KVM_CREATE_VCPU, 0);
		if (vcpu[i] < 0)
			test_die("vCPU %d", i);
	}
	after = host_meminfo_kib("MemAvailable");
	printf("%-36s %10ld   (KiB, MemAvailable over %d VMs with an in-kernel irqchip)\n",
	       "memory of an idle VM with one vCPU", (before - after) / IDLE_VMS, IDLE_VMS);
	for (i = 0; i < IDLE_VMS; i++) {
		close(vcpu[i]);
		close(vm[i]);
	}
	close(dev);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	const struct code cpuid = { GUEST_BLOB(guest_cpuid) };
	const struct code vmcall = { GUEST_BLOB(guest_vmcall) },
			  rdmsr = { GUEST_BLOB(guest_rdmsr) };
	const struct code wrmsr = { GUEST_BLOB(guest_wrmsr) },
			  deadline = { GUEST_BLOB(guest_deadline) };
	const struct code cr4 = { GUEST_BLOB(guest_cr4) };
	const struct code out = { GUEST_BLOB(guest_out) }, in = { GUEST_BLOB(guest_in) };
	const struct code mmio_write = { GUEST_BLOB(guest_mmio_write) };
	const struct code mmio_read = { GUEST_BLOB(guest_mmio_read) };
	static const enum host_op ops[] = { GETPPID,   CHECK_EXTENSION, GET_REGS, SET_REGS,
					    GET_SREGS, SET_SREGS,	IMMEDIATE };
	static const size_t pages[] = { 4096, 2 << 20 };
	static const int whats[] = { 0, 1, 2 };
	const struct row rows[] = {
		{ "getppid, the floor", on_host, &ops[0] },
		{ "ioctl that does nothing", on_host, &ops[1] },
		{ "CPUID exit", in_guest, &cpuid },
		{ "VMCALL exit", in_guest, &vmcall },
		{ "RDMSR exit", in_guest, &rdmsr },
		{ "WRMSR exit", in_guest, &wrmsr },
		{ "WRMSR TSC_DEADLINE", in_guest, &deadline },
		{ "MOV to CR4 exit", in_guest, &cr4 },
		{ "OUT to userspace and back", to_user, &out },
		{ "IN to userspace and back", to_user, &in },
		{ "MMIO write to userspace and back", to_user, &mmio_write },
		{ "MMIO read to userspace and back", to_user, &mmio_read },
		{ "first touch of 4K", touch, &pages[0] },
		{ "first touch of 2M", touch, &pages[1] },
		{ "GET_REGS", on_host, &ops[2] },
		{ "SET_REGS", on_host, &ops[3] },
		{ "GET_SREGS", on_host, &ops[4] },
		{ "SET_SREGS", on_host, &ops[5] },
		{ "RUN with immediate_exit", on_host, &ops[6] },
		{ "single-step, per instruction", step, NULL },
		{ "create VM", create, &whats[0] },
		{ "create vCPU", create, &whats[1] },
		{ "create and close VM", create, &whats[2] },
	};
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# %s, TSC ticks, median of %d runs (least to most)\n", test_dev_path(), RUNS);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ticks[RUNS];
		int run;

		if (argc > 1 && !strstr(rows[i].name, argv[1]))
			continue;
		for (run = 0; run < RUNS; run++)
			ticks[run] = rows[i].measure(rows[i].arg);
		qsort(ticks, RUNS, sizeof(ticks[0]), compare);
		printf("%-36s %10llu   (%llu to %llu)\n", rows[i].name,
		       (unsigned long long)ticks[RUNS / 2], (unsigned long long)ticks[0],
		       (unsigned long long)ticks[RUNS - 1]);
	}
	if (argc == 1 || strstr("memory of an idle VM", argv[1]))
		print_memory();
	return 0;
}
