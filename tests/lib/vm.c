// SPDX-License-Identifier: GPL-2.0
/*
 * The tests' virtual machine: what vm.h promises. It checks its own set-up and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define CR0_PE		(1ull << 0)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR0_ET		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define EFER_SCE	(1ull << 0)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define PTE_PRESENT	(1ull << 0)
#define PTE_WRITE	(1ull << 1)
#define PTE_USER	(1ull << 2)
#define PTE_LARGE	(1ull << 7)

#define CPUID_MAX_ENTRIES	256
#define STUB_BYTES		16
#define NR_EXCEPTIONS		32

void test_die(const char *format, ...)
{
	int saved = errno;
	va_list args;

	fflush(stdout);
	fprintf(stderr, "# ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d: %s)\n", saved, strerror(saved));
	fflush(stderr);
	_exit(1);
}

static int checked(int ret, const char *what)
{
	if (ret < 0)
		test_die("%s", what);
	return ret;
}

#define must(fd, cmd, arg)	checked(ioctl(fd, cmd, arg), #cmd)

const char *test_dev_path(void)
{
	const char *path = getenv("VITRINE_DEV");

	return path && *path ? path : "/dev/vitrine";
}

bool test_on_kvm(void)
{
	return !strcmp(test_dev_path(), "/dev/kvm");
}

int test_dev_open(void)
{
	int fd = open(test_dev_path(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_die("cannot open %s", test_dev_path());
	return fd;
}

int test_check_extension(int fd, long cap)
{
	return must(fd, KVM_CHECK_EXTENSION, cap);
}

void test_vm_add_memory(struct test_vm *vm, uint32_t slot, uint64_t gpa, void *hva, uint64_t bytes,
			uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	must(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static uint64_t gate_low(uint64_t handler)
{
	/* Present 64-bit interrupt gate, DPL 0. */
	return (handler & 0xffff) | (uint64_t)TEST_CS << 16 | 0x8eull << 40 |
	       (handler >> 16 & 0xffff) << 48;
}

/*
 * Each stub leaves a uniform frame: it pushes a zero where the CPU pushed no error code, then the
 * vector, and all meet in one OUT that the test sees; behind it the way back.
 */
static void write_stubs(struct test_vm *vm)
{
	static const uint8_t common[] = {
		0xe6, TEST_PORT_EXCEPTION,	/* out %al, $port */
		0x48, 0x83, 0xc4, 0x10,		/* add $16, %rsp */
		0x48, 0xcf,			/* iretq */
	};
	const uint32_t has_error = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21 | 3u << 29;
	uint32_t meet = NR_EXCEPTIONS * STUB_BYTES;
	uint8_t *stubs = test_vm_hva(vm, TEST_STUBS_GPA);
	uint64_t *idt = test_vm_hva(vm, TEST_IDT_GPA);

	memcpy(stubs + meet, common, sizeof(common));
	for (uint32_t i = 0; i < NR_EXCEPTIONS; i++) {
		uint8_t *at = stubs + i * STUB_BYTES;
		uint32_t offset;

		if (!(has_error & 1u << i)) {
			*at++ = 0x6a;		/* push $0 */
			*at++ = 0;
		}
		*at++ = 0x6a;			/* push $vector */
		*at++ = i;
		*at++ = 0xe9;			/* jmp meet */
		offset = meet - (uint32_t)(at + 4 - stubs);
		memcpy(at, &offset, sizeof(offset));
		idt[2 * i] = gate_low(TEST_STUBS_GPA + i * STUB_BYTES);
		idt[2 * i + 1] = 0;
	}
}

static void write_tables(struct test_vm *vm)
{
	uint64_t *pml4 = test_vm_hva(vm, TEST_PML4_GPA);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;
	uint64_t *gdt = test_vm_hva(vm, TEST_GDT_GPA);
	const uint64_t rights = PTE_PRESENT | PTE_WRITE | PTE_USER;

	pml4[0] = (TEST_PML4_GPA + 0x1000) | rights;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (TEST_PML4_GPA + 0x2000 + i * 0x1000) | rights;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | rights | PTE_LARGE;

	gdt[TEST_CS / 8] = 0x00af9b000000ffff;		/* 64-bit code */
	gdt[TEST_DS / 8] = 0x00cf93000000ffff;
	gdt[TEST_CS32 / 8] = 0x00cf9b000000ffff;
	gdt[TEST_TR / 8] = 0x00008b0000000067 | (uint64_t)(TEST_TSS_GPA & 0xffff) << 16 |
			   (uint64_t)(TEST_TSS_GPA >> 16 & 0xff) << 32;
	gdt[TEST_TR / 8 + 1] = 0;
	write_stubs(vm);
}

static struct test_vm *vm_create(bool irqchip)
{
	struct test_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		test_die("out of memory");
	vm->dev_fd = test_dev_open();
	vm->fd = must(vm->dev_fd, KVM_CREATE_VM, 0L);
	vm->memory_bytes = TEST_MEMORY_BYTES;
	vm->memory = mmap(NULL, vm->memory_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->memory == MAP_FAILED)
		test_die("mmap of %zu bytes", vm->memory_bytes);
	must(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000L);
	if (irqchip)
		must(vm->fd, KVM_CREATE_IRQCHIP, 0L);
	test_vm_add_memory(vm, 0, 0, vm->memory, vm->memory_bytes, 0);
	write_tables(vm);
	return vm;
}

struct test_vm *test_vm_create(void)
{
	return vm_create(false);
}

struct test_vm *test_vm_create_irqchip(void)
{
	return vm_create(true);
}

void test_vm_free(struct test_vm *vm)
{
	close(vm->fd);
	close(vm->dev_fd);
	munmap(vm->memory, vm->memory_bytes);
	free(vm);
}

struct test_vcpu *test_vcpu_create(struct test_vm *vm, unsigned int id)
{
	struct test_vcpu *vcpu = calloc(1, sizeof(*vcpu));

	if (!vcpu)
		test_die("out of memory");
	vcpu->vm = vm;
	vcpu->fd = must(vm->fd, KVM_CREATE_VCPU, (long)id);
	vcpu->run_bytes = must(vm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0L);
	vcpu->run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		test_die("mmap of the run page");
	return vcpu;
}

void test_vcpu_free(struct test_vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_bytes);
	close(vcpu->fd);
	free(vcpu);
}

struct kvm_cpuid2 *test_supported_cpuid(int dev_fd)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) +
					  CPUID_MAX_ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		test_die("out of memory");
	cpuid->nent = CPUID_MAX_ENTRIES;
	must(dev_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	return cpuid;
}

struct kvm_cpuid_entry2 *test_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
					 uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == function &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

void test_vcpu_set_supported_cpuid(struct test_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev_fd);

	must(vcpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

static void load_code(struct test_vcpu *vcpu, const void *code, size_t bytes)
{
	if (bytes > TEST_DATA_GPA - TEST_CODE_GPA)
		test_die("guest code of %zu bytes is too long", bytes);
	memcpy(test_vm_hva(vcpu->vm, TEST_CODE_GPA), code, bytes);
}

static void start_at(struct test_vcpu *vcpu, uint64_t rsp)
{
	struct kvm_regs regs = { .rip = TEST_CODE_GPA, .rsp = rsp, .rflags = 2 };

	test_vcpu_set_regs(vcpu, &regs);
}

static struct kvm_segment segment(uint16_t selector, uint64_t base, uint32_t limit, uint8_t type)
{
	return (struct kvm_segment) {
		.base = base,
		.limit = limit,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
	};
}

void test_vcpu_real_mode(struct test_vcpu *vcpu, const void *code, size_t bytes)
{
	struct kvm_sregs sregs;

	load_code(vcpu, code, bytes);
	test_vcpu_sregs(vcpu, &sregs);
	sregs.cs = segment(0, 0, 0xffff, 11);
	sregs.ss = segment(0, 0, 0xffff, 3);
	sregs.ds = sregs.ss;
	sregs.es = sregs.ss;
	sregs.fs = sregs.ss;
	sregs.gs = sregs.ss;
	test_vcpu_set_sregs(vcpu, &sregs);
	start_at(vcpu, TEST_STACK16_GPA);
}

static void flat_segments(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment data = segment(TEST_DS, 0, 0xffffffff, 3);

	data.g = 1;
	data.db = 1;
	sregs->cs = segment(long_mode ? TEST_CS : TEST_CS32, 0, 0xffffffff, 11);
	sregs->cs.g = 1;
	sregs->cs.l = long_mode;
	sregs->cs.db = !long_mode;
	sregs->ss = data;
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->tr = segment(TEST_TR, TEST_TSS_GPA, 0x67, 11);
	sregs->tr.s = 0;
	sregs->gdt = (struct kvm_dtable) { .base = TEST_GDT_GPA, .limit = 6 * 8 - 1 };
	sregs->idt = (struct kvm_dtable) { .base = TEST_IDT_GPA, .limit = NR_EXCEPTIONS * 16 - 1 };
}

void test_vcpu_protected_mode(struct test_vcpu *vcpu, const void *code, size_t bytes)
{
	struct kvm_sregs sregs;

	load_code(vcpu, code, bytes);
	test_vcpu_sregs(vcpu, &sregs);
	flat_segments(&sregs, false);
	/* Its gates would be 64-bit ones: better none, so that an exception ends the guest. */
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	sregs.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs.efer = 0;
	test_vcpu_set_sregs(vcpu, &sregs);
	start_at(vcpu, TEST_STACK_GPA);
}

void test_vcpu_long_mode(struct test_vcpu *vcpu, const void *code, size_t bytes)
{
	struct kvm_sregs sregs;

	load_code(vcpu, code, bytes);
	test_vcpu_sregs(vcpu, &sregs);
	flat_segments(&sregs, true);
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.cr3 = TEST_PML4_GPA;
	sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs.efer = EFER_SCE | EFER_LME | EFER_LMA;
	test_vcpu_set_sregs(vcpu, &sregs);
	start_at(vcpu, TEST_STACK_GPA);
}

uint32_t test_vcpu_run(struct test_vcpu *vcpu)
{
	must(vcpu->fd, KVM_RUN, 0L);
	return vcpu->run->exit_reason;
}

static void die_of_exit(struct test_vcpu *vcpu, uint16_t port)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	errno = 0;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port == TEST_PORT_EXCEPTION) {
			uint64_t *frame = test_vm_hva(vcpu->vm, regs.rsp);

			test_die("exception %llu, error %#llx, rip %#llx instead of port %#x",
				 (unsigned long long)frame[0], (unsigned long long)frame[1],
				 (unsigned long long)frame[2], port);
		}
		test_die("port %#x instead of %#x, rip %#llx", run->io.port, port, regs.rip);
	case KVM_EXIT_MMIO:
		test_die("MMIO at %#llx instead of port %#x, rip %#llx", run->mmio.phys_addr, port,
			 regs.rip);
	case KVM_EXIT_FAIL_ENTRY:
		test_die("entry failed: %#llx", run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		test_die("internal error %u, rip %#llx", run->internal.suberror, regs.rip);
	default:
		test_die("exit reason %u instead of port %#x, rip %#llx", run->exit_reason, port,
			 regs.rip);
	}
}

uint8_t test_vcpu_run_to(struct test_vcpu *vcpu, uint16_t port)
{
	struct kvm_run *run = vcpu->run;

	if (test_vcpu_run(vcpu) != KVM_EXIT_IO || run->io.port != port ||
	    run->io.direction != KVM_EXIT_IO_OUT)
		die_of_exit(vcpu, port);
	return *((uint8_t *)run + run->io.data_offset);
}

void test_vcpu_run_to_exception(struct test_vcpu *vcpu, struct test_exception *exception)
{
	struct kvm_regs regs;

	test_vcpu_run_to(vcpu, TEST_PORT_EXCEPTION);
	test_vcpu_regs(vcpu, &regs);
	memcpy(exception, test_vm_hva(vcpu->vm, regs.rsp), sizeof(*exception));
}

void test_vcpu_return_to(struct test_vcpu *vcpu, uint64_t rip)
{
	struct test_exception *frame;
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	frame = test_vm_hva(vcpu->vm, regs.rsp);
	frame->rip = rip;
}

void test_vcpu_regs(struct test_vcpu *vcpu, struct kvm_regs *regs)
{
	must(vcpu->fd, KVM_GET_REGS, regs);
}

void test_vcpu_set_regs(struct test_vcpu *vcpu, const struct kvm_regs *regs)
{
	must(vcpu->fd, KVM_SET_REGS, regs);
}

void test_vcpu_set_command(struct test_vcpu *vcpu, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdi = rdi;
	regs.rsi = rsi;
	regs.rdx = rdx;
	test_vcpu_set_regs(vcpu, &regs);
}

bool test_vcpu_is_at(const struct test_vcpu *vcpu, uint16_t port)
{
	return vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == port;
}

void test_vcpu_sregs(struct test_vcpu *vcpu, struct kvm_sregs *sregs)
{
	must(vcpu->fd, KVM_GET_SREGS, sregs);
}

void test_vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	must(vcpu->fd, KVM_SET_SREGS, sregs);
}

static int one_msr(struct test_vcpu *vcpu, unsigned long cmd, uint32_t msr, uint64_t *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry = { .index = msr, .data = *value } };
	int ret = ioctl(vcpu->fd, cmd, &msrs);

	*value = msrs.entry.data;
	return ret;
}

int test_vcpu_get_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 0;
	return one_msr(vcpu, KVM_GET_MSRS, msr, value);
}

int test_vcpu_set_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return one_msr(vcpu, KVM_SET_MSRS, msr, &value);
}
