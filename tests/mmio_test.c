// SPDX-License-Identifier: GPL-2.0
/*
 * MMIO: how an access to a device leaves the guest, comes back, and fails. Which instructions do
 * it right is mmio_forms_test.c's subject.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/device.h"
#include "lib/vm.h"

#define PAGE		4096u
#define SCRATCH_GPA	(TEST_DATA_GPA + 0x8000)	/* memory in any case */
#define ROM_GPA		0xd8000000ull
#define EDGE_GPA	0xd9000000ull	/* a page of memory, a device behind it */
#define WINDOW_GVA	0x40000000ull
#define PT_GPA		TEST_FREE_GPA
#define LOW_GPA		(TEST_FREE_GPA + 0x10000)
#define PTE_RW		3u
#define EFLAGS_TF	(1u << 8)
#define DB		1
#define PF		14
#define UD		6
#define PF_WRITE	2u

GUEST_CODE(store32, "mov %ebx, (%rdi)\n" GUEST_DONE "\n" GUEST_DONE);
GUEST_CODE(load32, "mov (%rdi), %eax\n" GUEST_DONE "\n" GUEST_DONE);
GUEST_CODE(load64, "mov (%rdi), %rax\n" GUEST_DONE);
GUEST_CODE(add32, "addl $1, (%rdi)\n" GUEST_DONE);
GUEST_CODE(movdqu_load, "movdqu (%rdi), %xmm5\n" GUEST_DONE);
GUEST_CODE(rep_movsb, "rep movsb\n" GUEST_DONE);
GUEST_CODE(rep_stosl, "rep stosl\n" GUEST_DONE);
GUEST_CODE(paddb, "paddb (%rdi), %xmm5\n" GUEST_DONE);
GUEST_CODE(fetch_from_device, "jmp *%rdi\n");
GUEST_CODE(software_interrupt, "mov %rdi, %rsp\n ud2\n");

/* Forgets translations, as a kernel that maps something else must, and goes on where it is told. */
GUEST_CODE(flush_and_jump, "mov %cr3, %rax\n mov %rax, %cr3\n jmp *%rsi\n");

static bool on_kvm(void)
{
	return !strcmp(test_dev_path(), "/dev/kvm");
}

static void fill(uint8_t *data, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		data[i] = i * 37 + 0x91 + i / 256;
}

FIXTURE(mmio) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_device *device;
	uint8_t *data, *scratch;
};

FIXTURE_SETUP(mmio)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
	self->data = test_vm_hva(self->vm, TEST_DATA_GPA);
	self->scratch = test_vm_hva(self->vm, SCRATCH_GPA);
}

FIXTURE_TEARDOWN(mmio)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static void start(struct test_vcpu *vcpu, uint64_t rdi)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rax = 0x0123456789abcdef;
	regs.rbx = 0x8877665544332211;
	regs.rcx = 3;
	regs.rdx = 0xfedcba9876543210;
	regs.rsi = rdi + 64;
	regs.rdi = rdi;
	regs.rbp = 0x5555;
	regs.r8 = SCRATCH_GPA;
	regs.r9 = 0xaabbccdd99;
	regs.r10 = ~0ull;
	regs.r11 = ~0ull;
	regs.r12 = 12;
	regs.r13 = 13;
	regs.r14 = 14;
	regs.r15 = 0x1020304050607080;
	test_vcpu_set_regs(vcpu, &regs);
}

TEST_F(mmio, what_an_exit_says)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(store32));
	start(self->vcpu, TEST_DEVICE_GPA + 12);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(TEST_DEVICE_GPA + 12, run->mmio.phys_addr);
	EXPECT_EQ(4, run->mmio.len);
	EXPECT_EQ(1, run->mmio.is_write);
	EXPECT_EQ(0x44332211, *(uint32_t *)run->mmio.data);
	test_vcpu_run_to_done(self->vcpu);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load32));
	start(self->vcpu, TEST_DEVICE_GPA + 16);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(TEST_DEVICE_GPA + 16, run->mmio.phys_addr);
	EXPECT_EQ(4, run->mmio.len);
	EXPECT_EQ(0, run->mmio.is_write);
	*(uint64_t *)run->mmio.data = 0xffffffff12345678;
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x12345678, regs.rax);
}

/* Does the instruction at @rip store to the device? Runs it to its end. */
static bool stores(struct test_vcpu *vcpu, uint64_t rip)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;
	bool is_store;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(flush_and_jump));
	start(vcpu, TEST_DEVICE_GPA);
	test_vcpu_regs(vcpu, &regs);
	regs.rsi = rip;
	test_vcpu_set_regs(vcpu, &regs);
	if (test_vcpu_run(vcpu) != KVM_EXIT_MMIO)
		test_die("exit reason %u instead of MMIO", run->exit_reason);
	is_store = run->mmio.is_write;
	test_vcpu_run_to_done(vcpu);
	return is_store;
}

/* What was learned of an instruction counts for nothing when another is in its place. */
TEST_F(mmio, other_code_at_the_same_address)
{
	uint64_t *pd = test_vm_hva(self->vm, TEST_PML4_GPA + 0x3000);
	uint64_t *pt = test_vm_hva(self->vm, PT_GPA);
	uint8_t *low = test_vm_hva(self->vm, LOW_GPA);

	memcpy(low, store32, store32_end - store32);
	memcpy(low + PAGE, load32, load32_end - load32);
	pt[0] = LOW_GPA | PTE_RW;
	pd[0] = PT_GPA | PTE_RW;
	EXPECT_TRUE(stores(self->vcpu, WINDOW_GVA));
	EXPECT_TRUE(stores(self->vcpu, WINDOW_GVA));

	/* By another mapping, then by other bytes. */
	pt[0] = (LOW_GPA + PAGE) | PTE_RW;
	EXPECT_FALSE(stores(self->vcpu, WINDOW_GVA));
	EXPECT_FALSE(stores(self->vcpu, WINDOW_GVA));
	memcpy(low + PAGE, store32, store32_end - store32);
	EXPECT_TRUE(stores(self->vcpu, WINDOW_GVA));
}

TEST_F(mmio, other_memory_at_the_same_address)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, pages);
	memcpy(pages, store32, store32_end - store32);
	memcpy(pages + PAGE, load32, load32_end - load32);
	test_vm_add_memory(self->vm, 1, EDGE_GPA, pages, PAGE, 0);
	EXPECT_TRUE(stores(self->vcpu, EDGE_GPA));
	EXPECT_TRUE(stores(self->vcpu, EDGE_GPA));
	test_vm_add_memory(self->vm, 1, EDGE_GPA, pages, 0, 0);
	test_vm_add_memory(self->vm, 1, EDGE_GPA, pages + PAGE, PAGE, 0);
	EXPECT_FALSE(stores(self->vcpu, EDGE_GPA));
	munmap(pages, 2 * PAGE);
}

TEST_F(mmio, sixteen_bytes_are_two_exits)
{
	struct kvm_fpu fpu;

	fill(self->device->memory, PAGE);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(movdqu_load));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(2, self->device->reads);
	EXPECT_EQ(8, self->device->last_len);
	EXPECT_EQ(TEST_DEVICE_GPA + 8, self->device->last_gpa);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0, memcmp(fpu.xmm[5], self->device->memory, 16));
}

TEST_F(mmio, read_modify_write_is_two_exits)
{
	*(uint32_t *)self->device->memory = 0xff;
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(add32));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(1, self->device->reads);
	EXPECT_EQ(1, self->device->writes);
	EXPECT_EQ(0x100, *(uint32_t *)self->device->memory);
}

/* The next RUN finishes the instruction even if it does not enter the guest. */
TEST_F(mmio, immediate_exit_completes)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load64));
	start(self->vcpu, TEST_DEVICE_GPA);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	*(uint64_t *)run->mmio.data = 0x1122334455667788;
	run->immediate_exit = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_RUN, 0));
	EXPECT_EQ(EINTR, errno);
	run->immediate_exit = 0;
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x1122334455667788, regs.rax);
	EXPECT_EQ(TEST_CODE_GPA + 3, regs.rip);
}

/* Registers that the VMM sets while a read is out stay; the one that is read takes the data. */
TEST_F(mmio, registers_set_meanwhile)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load64));
	start(self->vcpu, TEST_DEVICE_GPA);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	*(uint64_t *)run->mmio.data = 0x55;
	test_vcpu_regs(self->vcpu, &regs);
	regs.rbx = 0x77;
	regs.rax = 0x88;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x77, regs.rbx);
	/* KVM has them win over the data. */
	if (!on_kvm())
		EXPECT_EQ(0x55, regs.rax);
}

TEST_F(mmio, moved_rip_gives_the_access_up)
{
	struct kvm_regs regs;

	/* Two bytes of store, then two OUT of two bytes each. */
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(store32));
	start(self->vcpu, TEST_DEVICE_GPA);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	test_vcpu_regs(self->vcpu, &regs);
	regs.rip = TEST_CODE_GPA + 4;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_LE(TEST_CODE_GPA + 4, regs.rip);

	if (on_kvm())
		SKIP(return, "KVM goes on after the instruction that was reading");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load32));
	start(self->vcpu, TEST_DEVICE_GPA);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	test_vcpu_regs(self->vcpu, &regs);
	regs.rip = TEST_CODE_GPA + 4;
	regs.rax = 0x99;
	test_vcpu_set_regs(self->vcpu, &regs);
	EXPECT_EQ(0x99, test_vcpu_run_to_done(self->vcpu));
}

/* Memory that the guest may only read: reads are not ours to see, writes are. */
TEST_F(mmio, read_only_memory)
{
	uint32_t *rom = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_run *run = self->vcpu->run;

	ASSERT_NE(MAP_FAILED, rom);
	rom[1] = 41;
	test_vm_add_memory(self->vm, 1, ROM_GPA, rom, PAGE, KVM_MEM_READONLY);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(add32));
	start(self->vcpu, ROM_GPA + 4);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(1, run->mmio.is_write);
	EXPECT_EQ(ROM_GPA + 4, run->mmio.phys_addr);
	EXPECT_EQ(42, *(uint32_t *)run->mmio.data);
	test_vcpu_run_to_done(self->vcpu);
	EXPECT_EQ(41, rom[1]);
	munmap(rom, PAGE);
}

/* The part of an access that lies in memory is done there. */
TEST_F(mmio, half_memory_half_device)
{
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_regs regs;

	ASSERT_NE(MAP_FAILED, page);
	test_vm_add_memory(self->vm, 1, EDGE_GPA, page, PAGE, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(store32));
	start(self->vcpu, EDGE_GPA + PAGE - 1);
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(0x11, page[PAGE - 1]);
	EXPECT_EQ(1, self->device->writes);
	EXPECT_EQ(3, self->device->last_len);
	EXPECT_EQ(EDGE_GPA + PAGE, self->device->last_gpa);
	EXPECT_EQ(0x22, self->device->memory[PAGE]);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load32));
	start(self->vcpu, EDGE_GPA + PAGE - 1);
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x44332211, regs.rax);
	munmap(page, PAGE);
}

/* REP MOVS from the device runs into a page that is not there: what came before stays done. */
TEST_F(mmio, string_into_a_page_fault)
{
	uint64_t *pd = test_vm_hva(self->vm, TEST_PML4_GPA + 0x3000);
	uint64_t *pt = test_vm_hva(self->vm, PT_GPA);
	uint8_t *low = test_vm_hva(self->vm, LOW_GPA);
	struct test_exception exception;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	pt[0] = LOW_GPA | PTE_RW;
	pt[1] = 0;
	pd[0] = PT_GPA | PTE_RW;
	fill(self->device->memory, PAGE);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(rep_movsb));
	start(self->vcpu, 0);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rsi = TEST_DEVICE_GPA;
	regs.rdi = WINDOW_GVA + PAGE - 5;
	regs.rcx = 8;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_device_run_to_exception(self->vcpu, self->device, &exception);
	test_vcpu_sregs(self->vcpu, &sregs);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(PF, exception.vector);
	EXPECT_EQ(PF_WRITE, exception.error_code);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(WINDOW_GVA + PAGE, sregs.cr2);
	EXPECT_EQ(3, regs.rcx);
	EXPECT_EQ(TEST_DEVICE_GPA + 5, regs.rsi);
	EXPECT_EQ(WINDOW_GVA + PAGE, regs.rdi);
	EXPECT_EQ(0, memcmp(low + PAGE - 5, self->device->memory, 5));

	/* The handler repairs it. */
	pt[1] = (LOW_GPA + PAGE) | PTE_RW;
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(0, memcmp(low + PAGE - 5, self->device->memory, 8));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
}

/* Each iteration is finished before the next is begun, and a signal finds a state to go on from. */
TEST_F(mmio, string_interrupted)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(rep_stosl));
	start(self->vcpu, TEST_DEVICE_GPA);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(TEST_DEVICE_GPA + 4 * i, run->mmio.phys_addr);
		run->immediate_exit = 1;
		if (ioctl(self->vcpu->fd, KVM_RUN, 0)) {
			EXPECT_EQ(EINTR, errno);
			test_vcpu_regs(self->vcpu, &regs);
			EXPECT_EQ(2 - i, regs.rcx);
			EXPECT_EQ(TEST_DEVICE_GPA + 4 * (i + 1), regs.rdi);
		} else {
			/* The next iteration is out already; its RUN is the next. */
			ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
			ASSERT_LT(i, 2);
			EXPECT_EQ(TEST_DEVICE_GPA + 4 * (i + 1), run->mmio.phys_addr);
			i++;
			run->immediate_exit = 0;
			ASSERT_EQ(i < 2 ? KVM_EXIT_MMIO : KVM_EXIT_IO, test_vcpu_run(self->vcpu));
			break;
		}
		run->immediate_exit = 0;
	}
	test_device_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(TEST_DEVICE_GPA + 12, regs.rdi);
}

/*
 * The lab's processor traps where an exit for a page (of code, of page tables, of the device) took
 * the place of the instruction, which was not executed: so many times, with KVM as well.
 */
#define EARLY_TRAPS	8

/* A step ends after the instruction, not where its access goes out. */
TEST_F(mmio, single_step)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	if (on_kvm())
		SKIP(return, "KVM forgets the step over an access of userspace's");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(rep_stosl));
	start(self->vcpu, TEST_DEVICE_GPA);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	for (unsigned int left = 3; left; left--) {
		for (unsigned int early = 0; early < EARLY_TRAPS; early++) {
			if (test_vcpu_run(self->vcpu) == KVM_EXIT_MMIO)
				break;
			ASSERT_EQ(KVM_EXIT_DEBUG, run->exit_reason);
			test_vcpu_regs(self->vcpu, &regs);
			ASSERT_EQ(left, regs.rcx);
		}
		ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
		test_device_serve(self->vcpu, self->device);
		/* Each iteration of a REP is a step. */
		ASSERT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->vcpu));
		EXPECT_EQ(TEST_CODE_GPA + (left == 1 ? 2 : 0), run->debug.arch.pc);
		test_vcpu_regs(self->vcpu, &regs);
		EXPECT_EQ(left - 1, regs.rcx);
	}
	EXPECT_EQ(3, self->device->writes);
}

TEST_F(mmio, trap_flag_of_the_guest)
{
	struct test_exception exception;
	struct kvm_regs regs;

	if (on_kvm())
		SKIP(return, "KVM forgets the trap over an access of userspace's");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(add32));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rflags |= EFLAGS_TF;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_device_run_to_exception(self->vcpu, self->device, &exception);
	for (unsigned int early = 0; exception.rip == TEST_CODE_GPA && early < EARLY_TRAPS; early++)
		test_device_run_to_exception(self->vcpu, self->device, &exception);
	EXPECT_EQ(DB, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA + 3, exception.rip);
	EXPECT_EQ(1, self->device->writes);
}

TEST_F(mmio, unknown_instruction)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(paddb));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_device_run(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, run->exit_reason);
	ASSERT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
	ASSERT_LE(3, run->emulation_failure.ndata);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
		  run->emulation_failure.flags);
	EXPECT_LE(4, run->emulation_failure.insn_size);
	EXPECT_EQ(0, memcmp(paddb, run->emulation_failure.insn_bytes, 4));
	EXPECT_EQ(0, self->device->reads);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(TEST_CODE_GPA, regs.rip);

	/* The VMM may do it in the guest's place and go on. */
	if (on_kvm())
		return;
	regs.rip += 4;
	test_vcpu_set_regs(self->vcpu, &regs);
	test_vcpu_run_to_done(self->vcpu);
}

/* A guest's program cannot end its machine that way. */
TEST_F(mmio, unknown_instruction_of_a_program)
{
	uint64_t *tss_rsp0 = test_vm_hva(self->vm, TEST_TSS_GPA + 4);
	struct test_exception exception;
	struct kvm_sregs sregs;

	*tss_rsp0 = TEST_STACK_GPA;
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(paddb));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cs.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ss.selector |= 3;
	sregs.ss.dpl = 3;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	test_device_run_to_exception(self->vcpu, self->device, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(3, exception.cs & 3);
}

TEST_F(mmio, instruction_from_the_device)
{
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(fetch_from_device));
	start(self->vcpu, TEST_DEVICE_GPA);
	test_device_run(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, self->vcpu->run->exit_reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->vcpu->run->internal.suberror);
	EXPECT_EQ(0, self->device->reads);
}

/* The exception frame cannot be written to a device. */
TEST_F(mmio, stack_on_the_device)
{
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(software_interrupt));
	start(self->vcpu, TEST_DEVICE_GPA + 0x100);
	test_device_run(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, self->vcpu->run->exit_reason);
	/* KVM looks for an instruction first when it does not know the device's page yet. */
	if (!on_kvm())
		EXPECT_EQ(KVM_INTERNAL_ERROR_DELIVERY_EV, self->vcpu->run->internal.suberror);
	EXPECT_EQ(0, self->device->writes);
}

TEST(device_in_the_kernel)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_regs regs;

	/* The local APIC's version register, then its timer's initial count. */
	test_vcpu_long_mode(vcpu, GUEST_BLOB(load32));
	start(vcpu, 0xfee00030);
	test_vcpu_run_to_done(vcpu);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_LE(0x10, regs.rax & 0xff);

	test_vcpu_long_mode(vcpu, GUEST_BLOB(store32));
	start(vcpu, 0xfee00380);
	test_vcpu_run_to_done(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(load32));
	start(vcpu, 0xfee00380);
	test_vcpu_run_to_done(vcpu);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(0x44332211, regs.rax);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
