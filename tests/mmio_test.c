// SPDX-License-Identifier: GPL-2.0
/*
 * MMIO: instructions that reach a device instead of memory. The device is this program; it behaves
 * like memory, so that whatever an instruction does to memory and registers by itself (the guest
 * runs it once on RAM) must come out the same when it is done for the guest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define PAGE		4096u
#define DEVICE_GPA	0xd0000000ull	/* in no slot; the guest's map reaches it */
#define DEVICE_BYTES	(2 * PAGE)
#define SCRATCH_GPA	(TEST_DATA_GPA + 0x8000)	/* memory in any case */
#define SCRATCH_BYTES	PAGE
#define ROM_GPA		0xd8000000ull
#define EDGE_GPA	0xd9000000ull	/* a page of memory, a device behind it */
#define WINDOW_GVA	0x40000000ull
#define PT_GPA		TEST_FREE_GPA
#define LOW_GPA		(TEST_FREE_GPA + 0x10000)
#define PTE_RW		3u
#define PF		14
#define UD		6
#define PF_WRITE	2u

#define CF		0x0001u
#define PF_AF_ZF_SF_OF	0x08d4u
#define AF		0x0010u
#define ARITHMETIC	(CF | PF_AF_ZF_SF_OF)
#define LOGICAL		(ARITHMETIC & ~AF)	/* AND, OR, XOR and TEST leave AF undefined */
#define BIT_TEST	CF			/* BT and its kin leave the others undefined */

/*
 * rdi: the operand; rsi: the same, 64 bytes on; r8: memory; rcx: 3; the other registers hold
 * patterns, XMM0 and XMM1 begin as zero.
 */
#define FORMS(X)								\
	X(mov_store8, "mov %cl, (%rdi)", ARITHMETIC)				\
	X(mov_store8_high, "mov %ch, 1(%rdi)", ARITHMETIC)			\
	X(mov_store8_rex, "mov %sil, (%rdi)", ARITHMETIC)			\
	X(mov_store16, "mov %bx, (%rdi)", ARITHMETIC)				\
	X(mov_store32, "mov %r9d, (%rdi)", ARITHMETIC)				\
	X(mov_store64, "mov %r15, (%rdi)", ARITHMETIC)				\
	X(mov_load8, "mov (%rdi), %al", ARITHMETIC)				\
	X(mov_load8_high, "mov (%rdi), %dh", ARITHMETIC)			\
	X(mov_load16, "mov (%rdi), %r10w", ARITHMETIC)				\
	X(mov_load32, "mov (%rdi), %ebx", ARITHMETIC)				\
	X(mov_load64, "mov (%rdi), %rbp", ARITHMETIC)				\
	X(mov_load_rsp, "mov (%rdi), %rsp\n lea 0x30000, %rsp", ARITHMETIC)	\
	X(mov_imm8, "movb $0x5a, (%rdi)", ARITHMETIC)				\
	X(mov_imm16, "movw $0x1234, (%rdi)", ARITHMETIC)			\
	X(mov_imm32, "movl $0x12345678, (%rdi)", ARITHMETIC)			\
	X(mov_imm64, "movq $-2, (%rdi)", ARITHMETIC)				\
	X(mov_indexed, "mov %ebx, -8(%rdi,%rcx,4)", ARITHMETIC)			\
	X(mov_addr32, "mov %ebx, (%edi)", ARITHMETIC)				\
	X(movnti, "movnti %rbx, (%rdi)", ARITHMETIC)				\
	X(movzx8, "movzbl (%rdi), %eax", ARITHMETIC)				\
	X(movzx8_16, "movzbw (%rdi), %ax", ARITHMETIC)				\
	X(movzx16, "movzwq (%rdi), %rax", ARITHMETIC)				\
	X(movsx8, "movsbl (%rdi), %eax", ARITHMETIC)				\
	X(movsx16, "movswq 2(%rdi), %rax", ARITHMETIC)				\
	X(movsxd, "movslq (%rdi), %r11", ARITHMETIC)				\
	X(add_store, "add %ebx, (%rdi)", ARITHMETIC)				\
	X(add_load, "add (%rdi), %rbx", ARITHMETIC)				\
	X(add_imm8, "addw $-3, (%rdi)", ARITHMETIC)				\
	X(adc_store, "stc\n adc %bl, (%rdi)", ARITHMETIC)			\
	X(sbb_load, "stc\n sbb (%rdi), %rbx", ARITHMETIC)			\
	X(sub_store, "sub %rbx, (%rdi)", ARITHMETIC)				\
	X(sub_load, "sub (%rdi), %bx", ARITHMETIC)				\
	X(cmp_store, "cmp %ebx, (%rdi)", ARITHMETIC)				\
	X(cmp_load, "cmp (%rdi), %rbx", ARITHMETIC)				\
	X(cmp_imm, "cmpb $0x7f, (%rdi)", ARITHMETIC)				\
	X(and_store, "and %ebx, (%rdi)", LOGICAL)				\
	X(and_load, "and (%rdi), %rbx", LOGICAL)				\
	X(and_imm, "andl $0xff00ff, (%rdi)", LOGICAL)				\
	X(or_store, "or %bx, (%rdi)", LOGICAL)					\
	X(or_imm, "orb $0x81, (%rdi)", LOGICAL)					\
	X(xor_store, "xor %rbx, (%rdi)", LOGICAL)				\
	X(xor_load, "xor (%rdi), %bl", LOGICAL)					\
	X(test_reg, "test %ebx, (%rdi)", LOGICAL)				\
	X(test_imm, "testb $0x80, (%rdi)", LOGICAL)				\
	X(not_64, "notq (%rdi)", ARITHMETIC)					\
	X(neg_32, "negl (%rdi)", ARITHMETIC)					\
	X(inc_8, "incb (%rdi)", ARITHMETIC)					\
	X(dec_64, "decq (%rdi)", ARITHMETIC)					\
	X(xchg_32, "xchg %ebx, (%rdi)", ARITHMETIC)				\
	X(xchg_8, "xchg %bh, (%rdi)", ARITHMETIC)				\
	X(xadd_64, "lock xadd %rbx, (%rdi)", ARITHMETIC)			\
	X(lock_or, "lock orl $0, (%rdi)", LOGICAL)				\
	X(cmpxchg_fails, "cmpxchg %ebx, (%rdi)", ARITHMETIC)			\
	X(cmpxchg_works, "mov (%r8), %rax\n cmpxchg %rbx, (%rdi)", ARITHMETIC)	\
	X(cmpxchg8b, "mov (%r8), %eax\n mov 4(%r8), %edx\n lock cmpxchg8b (%rdi)", ARITHMETIC)	\
	X(cmpxchg8b_fails, "cmpxchg8b (%rdi)", ARITHMETIC)			\
	X(bt_imm, "btl $9, (%rdi)", BIT_TEST)					\
	X(bt_reg, "bt %rcx, (%rdi)", BIT_TEST)					\
	X(bts_imm, "btsw $3, (%rdi)", BIT_TEST)					\
	X(bts_far, "mov $517, %ebx\n bts %ebx, (%rdi)", BIT_TEST)		\
	X(btr_back, "mov $-1, %rbx\n btr %rbx, 8(%rdi)", BIT_TEST)		\
	X(btc_reg, "lock btc %ecx, (%rdi)", BIT_TEST)				\
	X(cmov_taken, "stc\n cmovc (%rdi), %eax", ARITHMETIC)			\
	X(cmov_not_taken, "stc\n cmovnc (%rdi), %eax", ARITHMETIC)		\
	X(setcc, "stc\n setc (%rdi)", ARITHMETIC)				\
	X(push_load, "mov (%rdi), %rax\n push %rax\n pop %rdx", ARITHMETIC)	\
	X(stosb, "rep stosb", ARITHMETIC)					\
	X(stosq, "rep stosq", ARITHMETIC)					\
	X(stosl_once, "stosl", ARITHMETIC)					\
	X(stosw_down, "std\n add $16, %rdi\n rep stosw\n cld", ARITHMETIC)	\
	X(movsb, "rep movsb", ARITHMETIC)					\
	X(movsl, "rep movsl", ARITHMETIC)					\
	X(movsq_to_memory, "mov %rdi, %rsi\n mov %r8, %rdi\n rep movsq", ARITHMETIC)	\
	X(movsq_from_memory, "mov %r8, %rsi\n rep movsq", ARITHMETIC)		\
	X(movs_none, "xor %ecx, %ecx\n rep movsb\n lodsb", LOGICAL)		\
	X(lods, "mov %rdi, %rsi\n lodsl", ARITHMETIC)				\
	X(scas, "repne scasb", ARITHMETIC)					\
	X(cmps, "repe cmpsw", ARITHMETIC)					\
	X(movdqu_load, "movdqu (%rdi), %xmm1\n movdqu %xmm1, 32(%r8)", ARITHMETIC)	\
	X(movdqu_store, "movdqu 8(%r8), %xmm9\n movdqu %xmm9, (%rdi)", ARITHMETIC)	\
	X(movups, "movups 16(%rdi), %xmm15\n movups %xmm15, (%rdi)", ARITHMETIC)	\
	X(movq_load, "movdqu (%r8), %xmm0\n movq (%rdi), %xmm0\n movdqu %xmm0, 64(%r8)", ARITHMETIC)	\
	X(movd_store, "movdqu (%r8), %xmm3\n movd %xmm3, (%rdi)", ARITHMETIC)	\
	X(movntdq, "movdqu (%r8), %xmm3\n and $-16, %rdi\n movntdq %xmm3, (%rdi)", LOGICAL)

#define FORM_CODE(name, body, flags)	GUEST_CODE(form_##name, body "\n" GUEST_DONE);
FORMS(FORM_CODE)

struct form {
	const char *name;
	const char *code, *end;
	uint64_t flags;		/* those that are defined */
};

#define FORM_ROW(name, body, flags)	{ #name, form_##name, form_##name##_end, flags },
static const struct form forms[] = { FORMS(FORM_ROW) };

/* By FS, whose base leads where no 16-bit address does. */
#define FORMS16(X)								\
	X(store8, "mov %cl, %fs:(%di)", ARITHMETIC)				\
	X(store16, "mov %bx, %fs:2(%di)", ARITHMETIC)				\
	X(store32, "mov %ebx, %fs:-1(%di)", ARITHMETIC)				\
	X(load32_addr32, "mov %fs:(%edi), %ebx", ARITHMETIC)			\
	X(load_offset, "mov %fs:0x44, %ax", ARITHMETIC)				\
	X(add16, "mov $4, %bx\n addw $0x7fff, %fs:(%bx,%di)", ARITHMETIC)			\
	X(movs, "mov $0x44, %si\n rep movsb %fs:(%si), (%di)", ARITHMETIC)
#define FORM16_CODE(name, body, flags)	GUEST_CODE16(form16_##name, body "\n" GUEST_DONE);
FORMS16(FORM16_CODE)
#define FORM16_ROW(name, body, flags)	{ #name, form16_##name, form16_##name##_end, flags },
static const struct form forms16[] = { FORMS16(FORM16_ROW) };

#define FORMS32(X)								\
	X(store8, "mov %ah, (%edi)", ARITHMETIC)				\
	X(store16, "mov %bx, (%edi)", ARITHMETIC)				\
	X(store32, "mov %ebx, (%edi)", ARITHMETIC)				\
	X(load_offset, "mov 0xd0000044, %eax", ARITHMETIC)			\
	X(inc32, "incl (%edi)", ARITHMETIC)					\
	X(stosl, "rep stosl", ARITHMETIC)					\
	X(movs, "rep movsl", ARITHMETIC)					\
	X(cmpxchg8b, "lock cmpxchg8b (%edi)", ARITHMETIC)
#define FORM32_CODE(name, body, flags)	GUEST_CODE32(form32_##name, body "\n" GUEST_DONE);
FORMS32(FORM32_CODE)
#define FORM32_ROW(name, body, flags)	{ #name, form32_##name, form32_##name##_end, flags },
static const struct form forms32[] = { FORMS32(FORM32_ROW) };

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

struct device {
	unsigned int reads, writes;
	uint64_t last_gpa;
	uint32_t last_len;
	uint8_t memory[DEVICE_BYTES];
};

/* Answers one exit; the device's memory repeats over the whole range. */
static void serve(struct test_vcpu *vcpu, struct device *device)
{
	struct kvm_run *run = vcpu->run;

	device->last_gpa = run->mmio.phys_addr;
	device->last_len = run->mmio.len;
	if (run->mmio.len > 8)
		test_die("an MMIO exit of %u bytes", run->mmio.len);
	for (unsigned int i = 0; i < run->mmio.len; i++) {
		uint8_t *at = &device->memory[(run->mmio.phys_addr + i) % DEVICE_BYTES];

		if (run->mmio.is_write)
			*at = run->mmio.data[i];
		else
			run->mmio.data[i] = *at;
	}
	if (run->mmio.is_write)
		device->writes++;
	else
		device->reads++;
}

/* Until something else happens, which is left in vcpu->run. */
static void run_device(struct test_vcpu *vcpu, struct device *device)
{
	while (test_vcpu_run(vcpu) == KVM_EXIT_MMIO)
		serve(vcpu, device);
}

static void run_device_to(struct test_vcpu *vcpu, struct device *device, uint16_t port)
{
	struct kvm_regs regs;

	run_device(vcpu, device);
	if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == port)
		return;
	test_vcpu_regs(vcpu, &regs);
	test_die("exit reason %u, port %#x instead of port %#x, rip %#llx",
		 vcpu->run->exit_reason, vcpu->run->io.port, port, regs.rip);
}

static void run_device_to_exception(struct test_vcpu *vcpu, struct device *device,
				    struct test_exception *exception)
{
	struct kvm_regs regs;

	run_device_to(vcpu, device, TEST_PORT_EXCEPTION);
	test_vcpu_regs(vcpu, &regs);
	memcpy(exception, test_vm_hva(vcpu->vm, regs.rsp), sizeof(*exception));
}

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
	struct device *device;
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

/* What the guest ends with. */
struct result {
	struct kvm_regs regs;
	uint8_t operand[DEVICE_BYTES];
	uint8_t scratch[SCRATCH_BYTES];
};

static void take_result(struct test_vcpu *vcpu, const uint8_t *operand, uint64_t base,
			uint64_t flags, struct result *result)
{
	struct kvm_regs *regs = &result->regs;

	test_vcpu_regs(vcpu, regs);
	regs->rflags &= flags;
	/* Where the operand was is not a difference. */
	if (regs->rdi - base < DEVICE_BYTES)
		regs->rdi -= base;
	if (regs->rsi - base < DEVICE_BYTES)
		regs->rsi -= base;
	memcpy(result->operand, operand, DEVICE_BYTES);
	memcpy(result->scratch, test_vm_hva(vcpu->vm, SCRATCH_GPA), SCRATCH_BYTES);
}

static const char *difference(const struct result *a, const struct result *b)
{
	const uint64_t *x = (const uint64_t *)&a->regs, *y = (const uint64_t *)&b->regs;
	static const char *const names[] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11",
		"r12", "r13", "r14", "r15", "rip", "rflags",
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (x[i] != y[i])
			return names[i];
	if (memcmp(a->operand, b->operand, sizeof(a->operand)))
		return "the operand";
	return memcmp(a->scratch, b->scratch, sizeof(a->scratch)) ? "the memory" : NULL;
}

typedef void (*enter_mode)(struct test_vcpu *vcpu, const void *code, size_t bytes);

/* The form on memory, then on the device, its operand @offset into either. */
static const char *compare(struct test_vm *vm, struct test_vcpu *vcpu, struct device *device,
			   enter_mode enter, const struct form *form, unsigned int offset)
{
	uint8_t *data = test_vm_hva(vm, TEST_DATA_GPA);
	static struct result native, emulated;
	bool real = enter == test_vcpu_real_mode;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t base = i ? DEVICE_GPA : TEST_DATA_GPA;
		struct kvm_sregs sregs;

		fill(device->memory, DEVICE_BYTES);
		fill(data, DEVICE_BYTES);
		fill(test_vm_hva(vm, SCRATCH_GPA), SCRATCH_BYTES);
		memcpy(test_vm_hva(vm, SCRATCH_GPA), data + offset, 16);
		device->reads = 0;
		device->writes = 0;
		enter(vcpu, form->code, form->end - form->code);
		start(vcpu, real ? offset : base + offset);
		if (real) {
			test_vcpu_sregs(vcpu, &sregs);
			sregs.fs.base = base;
			test_vcpu_set_sregs(vcpu, &sregs);
		}
		/* KVM's emulator does without some of the SSE forms. */
		if (i && on_kvm()) {
			run_device(vcpu, device);
			if (vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
				return NULL;
		} else {
			run_device_to(vcpu, device, TEST_PORT_DONE);
		}
		take_result(vcpu, i ? device->memory : data, base, form->flags,
			    i ? &emulated : &native);
	}
	if (!device->reads && !device->writes)
		return "nothing reached the device: it";
	return difference(&native, &emulated);
}

#define EXPECT_ALIKE(enter, forms, offset)						\
	for (unsigned int n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {		\
		const char *what = compare(self->vm, self->vcpu, self->device, enter,	\
					   &forms[n], offset);				\
		EXPECT_EQ(NULL, what) {							\
			TH_LOG("%s: %s differs", forms[n].name, what);			\
		}									\
	}

TEST_F(mmio, every_form_in_long_mode)
{
	EXPECT_ALIKE(test_vcpu_long_mode, forms, 0x100);
}

/* The operand lies on both sides of a page boundary. */
TEST_F(mmio, every_form_across_pages)
{
	EXPECT_ALIKE(test_vcpu_long_mode, forms, PAGE - 1);
}

TEST_F(mmio, forms_in_protected_mode)
{
	EXPECT_ALIKE(test_vcpu_protected_mode, forms32, 0x40);
}

TEST_F(mmio, forms_in_real_mode)
{
	EXPECT_ALIKE(test_vcpu_real_mode, forms16, 0x40);
}

TEST_F(mmio, what_an_exit_says)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(store32));
	start(self->vcpu, DEVICE_GPA + 12);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(DEVICE_GPA + 12, run->mmio.phys_addr);
	EXPECT_EQ(4, run->mmio.len);
	EXPECT_EQ(1, run->mmio.is_write);
	EXPECT_EQ(0x44332211, *(uint32_t *)run->mmio.data);
	test_vcpu_run_to_done(self->vcpu);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load32));
	start(self->vcpu, DEVICE_GPA + 16);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
	EXPECT_EQ(DEVICE_GPA + 16, run->mmio.phys_addr);
	EXPECT_EQ(4, run->mmio.len);
	EXPECT_EQ(0, run->mmio.is_write);
	*(uint64_t *)run->mmio.data = 0xffffffff12345678;
	test_vcpu_run_to_done(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x12345678, regs.rax);
}

TEST_F(mmio, sixteen_bytes_are_two_exits)
{
	struct kvm_fpu fpu;

	fill(self->device->memory, PAGE);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(movdqu_load));
	start(self->vcpu, DEVICE_GPA);
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(2, self->device->reads);
	EXPECT_EQ(8, self->device->last_len);
	EXPECT_EQ(DEVICE_GPA + 8, self->device->last_gpa);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0, memcmp(fpu.xmm[5], self->device->memory, 16));
}

TEST_F(mmio, read_modify_write_is_two_exits)
{
	*(uint32_t *)self->device->memory = 0xff;
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(add32));
	start(self->vcpu, DEVICE_GPA);
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
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
	start(self->vcpu, DEVICE_GPA);
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
	start(self->vcpu, DEVICE_GPA);
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
	start(self->vcpu, DEVICE_GPA);
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
	start(self->vcpu, DEVICE_GPA);
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
	uint32_t *rom = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_regs regs;

	ASSERT_NE(MAP_FAILED, page);
	test_vm_add_memory(self->vm, 1, EDGE_GPA, page, PAGE, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(store32));
	start(self->vcpu, EDGE_GPA + PAGE - 1);
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(0x11, page[PAGE - 1]);
	EXPECT_EQ(1, self->device->writes);
	EXPECT_EQ(3, self->device->last_len);
	EXPECT_EQ(EDGE_GPA + PAGE, self->device->last_gpa);
	EXPECT_EQ(0x22, self->device->memory[PAGE]);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(load32));
	start(self->vcpu, EDGE_GPA + PAGE - 1);
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
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
	regs.rsi = DEVICE_GPA;
	regs.rdi = WINDOW_GVA + PAGE - 5;
	regs.rcx = 8;
	test_vcpu_set_regs(self->vcpu, &regs);
	run_device_to_exception(self->vcpu, self->device, &exception);
	test_vcpu_sregs(self->vcpu, &sregs);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(PF, exception.vector);
	EXPECT_EQ(PF_WRITE, exception.error_code);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(WINDOW_GVA + PAGE, sregs.cr2);
	EXPECT_EQ(3, regs.rcx);
	EXPECT_EQ(DEVICE_GPA + 5, regs.rsi);
	EXPECT_EQ(WINDOW_GVA + PAGE, regs.rdi);
	EXPECT_EQ(0, memcmp(low + PAGE - 5, self->device->memory, 5));

	/* The handler repairs it. */
	pt[1] = (LOW_GPA + PAGE) | PTE_RW;
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
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
	start(self->vcpu, DEVICE_GPA);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->vcpu));
		EXPECT_EQ(DEVICE_GPA + 4 * i, run->mmio.phys_addr);
		run->immediate_exit = 1;
		if (ioctl(self->vcpu->fd, KVM_RUN, 0)) {
			EXPECT_EQ(EINTR, errno);
			test_vcpu_regs(self->vcpu, &regs);
			EXPECT_EQ(2 - i, regs.rcx);
			EXPECT_EQ(DEVICE_GPA + 4 * (i + 1), regs.rdi);
		} else {
			/* The next iteration is out already; its RUN is the next. */
			ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
			ASSERT_LT(i, 2);
			EXPECT_EQ(DEVICE_GPA + 4 * (i + 1), run->mmio.phys_addr);
			i++;
			run->immediate_exit = 0;
			ASSERT_EQ(i < 2 ? KVM_EXIT_MMIO : KVM_EXIT_IO, test_vcpu_run(self->vcpu));
			break;
		}
		run->immediate_exit = 0;
	}
	run_device_to(self->vcpu, self->device, TEST_PORT_DONE);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(DEVICE_GPA + 12, regs.rdi);
}

TEST_F(mmio, unknown_instruction)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(paddb));
	start(self->vcpu, DEVICE_GPA);
	run_device(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, run->exit_reason);
	ASSERT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
	ASSERT_LE(3, run->emulation_failure.ndata);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, run->emulation_failure.flags);
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
	start(self->vcpu, DEVICE_GPA);
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cs.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ss.selector |= 3;
	sregs.ss.dpl = 3;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	run_device_to_exception(self->vcpu, self->device, &exception);
	EXPECT_EQ(UD, exception.vector);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(3, exception.cs & 3);
}

TEST_F(mmio, instruction_from_the_device)
{
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(fetch_from_device));
	start(self->vcpu, DEVICE_GPA);
	run_device(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, self->vcpu->run->exit_reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->vcpu->run->internal.suberror);
	EXPECT_EQ(0, self->device->reads);
}

/* The exception frame cannot be written to a device. */
TEST_F(mmio, stack_on_the_device)
{
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(software_interrupt));
	start(self->vcpu, DEVICE_GPA + 0x100);
	run_device(self->vcpu, self->device);
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
