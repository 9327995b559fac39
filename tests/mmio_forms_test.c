// SPDX-License-Identifier: GPL-2.0
/*
 * MMIO, instruction by instruction. The device is this program; it behaves
 * like memory, so that whatever an instruction does to memory and registers by itself (the guest
 * runs it once on RAM) must come out the same when it is done for the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/device.h"
#include "lib/vm.h"

#define PAGE		4096u
#define SCRATCH_GPA	(TEST_DATA_GPA + 0x8000)	/* memory in any case */
#define SCRATCH_BYTES	PAGE
#define CF		0x0001u
#define PF_AF_ZF_SF_OF	0x08d4u
#define AF		0x0010u
#define ARITHMETIC	(CF | PF_AF_ZF_SF_OF)
#define LOGICAL		(ARITHMETIC & ~AF)	/* AND, OR, XOR and TEST leave AF undefined */
#define BIT_TEST	CF			/* BT and its kin leave the others undefined */

/* An instruction that is compared, and the flags that it defines. */
struct form {
	const char *name;
	const char *code, *end;
	uint64_t flags;
};

/* The forms of a table are gathered by the linker. */
#define FORM(table, bits, name, body, defined)						\
	GUEST_CODE_BITS(table##_##name, bits, body "\n" GUEST_DONE);			\
	static const struct form form_##table##_##name					\
	__attribute__((used, aligned(8), section(#table))) = {				\
		#name, table##_##name, table##_##name##_end, defined			\
	}
#define FORM64(name, body, defined)	FORM(forms64, "64", name, body, defined)
#define FORM32(name, body, defined)	FORM(forms32, "32", name, body, defined)
#define FORM16(name, body, defined)	FORM(forms16, "16", name, body, defined)

extern const struct form __start_forms64[], __stop_forms64[];
extern const struct form __start_forms32[], __stop_forms32[];
extern const struct form __start_forms16[], __stop_forms16[];

/*
 * rdi: the operand; rsi: the same, 64 bytes on; r8: memory; rcx: 3; the other registers hold
 * patterns, XMM0 and XMM1 begin as zero.
 */
FORM64(mov_store8, "mov %cl, (%rdi)", ARITHMETIC);
FORM64(mov_store8_high, "mov %ch, 1(%rdi)", ARITHMETIC);
FORM64(mov_store8_rex, "mov %sil, (%rdi)", ARITHMETIC);
FORM64(mov_store16, "mov %bx, (%rdi)", ARITHMETIC);
FORM64(mov_store32, "mov %r9d, (%rdi)", ARITHMETIC);
FORM64(mov_store64, "mov %r15, (%rdi)", ARITHMETIC);
FORM64(mov_load8, "mov (%rdi), %al", ARITHMETIC);
FORM64(mov_load8_high, "mov (%rdi), %dh", ARITHMETIC);
FORM64(mov_load16, "mov (%rdi), %r10w", ARITHMETIC);
FORM64(mov_load32, "mov (%rdi), %ebx", ARITHMETIC);
FORM64(mov_load64, "mov (%rdi), %rbp", ARITHMETIC);
FORM64(mov_load_rsp, "mov (%rdi), %rsp\n lea 0x30000, %rsp", ARITHMETIC);
FORM64(mov_imm8, "movb $0x5a, (%rdi)", ARITHMETIC);
FORM64(mov_imm16, "movw $0x1234, (%rdi)", ARITHMETIC);
FORM64(mov_imm32, "movl $0x12345678, (%rdi)", ARITHMETIC);
FORM64(mov_imm64, "movq $-2, (%rdi)", ARITHMETIC);
FORM64(mov_indexed, "mov %ebx, -8(%rdi,%rcx,4)", ARITHMETIC);
FORM64(mov_addr32, "mov %ebx, (%edi)", ARITHMETIC);
FORM64(movnti, "movnti %rbx, (%rdi)", ARITHMETIC);
FORM64(movzx8, "movzbl (%rdi), %eax", ARITHMETIC);
FORM64(movzx8_16, "movzbw (%rdi), %ax", ARITHMETIC);
FORM64(movzx16, "movzwq (%rdi), %rax", ARITHMETIC);
FORM64(movsx8, "movsbl (%rdi), %eax", ARITHMETIC);
FORM64(movsx16, "movswq 2(%rdi), %rax", ARITHMETIC);
FORM64(movsxd, "movslq (%rdi), %r11", ARITHMETIC);
FORM64(add_store, "add %ebx, (%rdi)", ARITHMETIC);
FORM64(add_load, "add (%rdi), %rbx", ARITHMETIC);
FORM64(add_imm8, "addw $-3, (%rdi)", ARITHMETIC);
FORM64(adc_store, "stc\n adc %bl, (%rdi)", ARITHMETIC);
FORM64(sbb_load, "stc\n sbb (%rdi), %rbx", ARITHMETIC);
FORM64(sub_store, "sub %rbx, (%rdi)", ARITHMETIC);
FORM64(sub_load, "sub (%rdi), %bx", ARITHMETIC);
FORM64(cmp_store, "cmp %ebx, (%rdi)", ARITHMETIC);
FORM64(cmp_load, "cmp (%rdi), %rbx", ARITHMETIC);
FORM64(cmp_imm, "cmpb $0x7f, (%rdi)", ARITHMETIC);
FORM64(and_store, "and %ebx, (%rdi)", LOGICAL);
FORM64(and_load, "and (%rdi), %rbx", LOGICAL);
FORM64(and_imm, "andl $0xff00ff, (%rdi)", LOGICAL);
FORM64(or_store, "or %bx, (%rdi)", LOGICAL);
FORM64(or_imm, "orb $0x81, (%rdi)", LOGICAL);
FORM64(xor_store, "xor %rbx, (%rdi)", LOGICAL);
FORM64(xor_load, "xor (%rdi), %bl", LOGICAL);
FORM64(test_reg, "test %ebx, (%rdi)", LOGICAL);
FORM64(test_imm, "testb $0x80, (%rdi)", LOGICAL);
FORM64(not_64, "notq (%rdi)", ARITHMETIC);
FORM64(neg_32, "negl (%rdi)", ARITHMETIC);
FORM64(inc_8, "incb (%rdi)", ARITHMETIC);
FORM64(dec_64, "decq (%rdi)", ARITHMETIC);
FORM64(xchg_32, "xchg %ebx, (%rdi)", ARITHMETIC);
FORM64(xchg_8, "xchg %bh, (%rdi)", ARITHMETIC);
FORM64(xadd_64, "lock xadd %rbx, (%rdi)", ARITHMETIC);
FORM64(lock_or, "lock orl $0, (%rdi)", LOGICAL);
FORM64(cmpxchg_fails, "cmpxchg %ebx, (%rdi)", ARITHMETIC);
FORM64(cmpxchg_works, "mov (%r8), %rax\n cmpxchg %rbx, (%rdi)", ARITHMETIC);
FORM64(cmpxchg8b, "mov (%r8), %eax\n mov 4(%r8), %edx\n lock cmpxchg8b (%rdi)", ARITHMETIC);
FORM64(cmpxchg8b_fails, "cmpxchg8b (%rdi)", ARITHMETIC);
FORM64(bt_imm, "btl $9, (%rdi)", BIT_TEST);
FORM64(bt_reg, "bt %rcx, (%rdi)", BIT_TEST);
FORM64(bts_imm, "btsw $3, (%rdi)", BIT_TEST);
FORM64(bts_far, "mov $517, %ebx\n bts %ebx, (%rdi)", BIT_TEST);
FORM64(btr_back, "mov $-1, %rbx\n btr %rbx, 8(%rdi)", BIT_TEST);
FORM64(btc_reg, "lock btc %ecx, (%rdi)", BIT_TEST);
FORM64(cmov_taken, "stc\n cmovc (%rdi), %eax", ARITHMETIC);
FORM64(cmov_not_taken, "stc\n cmovnc (%rdi), %eax", ARITHMETIC);
FORM64(setcc, "stc\n setc (%rdi)", ARITHMETIC);
FORM64(push_load, "mov (%rdi), %rax\n push %rax\n pop %rdx", ARITHMETIC);
FORM64(stosb, "rep stosb", ARITHMETIC);
FORM64(stosq, "rep stosq", ARITHMETIC);
FORM64(stosl_once, "stosl", ARITHMETIC);
FORM64(stosw_down, "std\n add $16, %rdi\n rep stosw\n cld", ARITHMETIC);
FORM64(movsb, "rep movsb", ARITHMETIC);
FORM64(movsl, "rep movsl", ARITHMETIC);
FORM64(movsq_to_memory, "mov %rdi, %rsi\n mov %r8, %rdi\n rep movsq", ARITHMETIC);
FORM64(movsq_from_memory, "mov %r8, %rsi\n rep movsq", ARITHMETIC);
FORM64(movs_none, "xor %ecx, %ecx\n rep movsb\n lodsb", LOGICAL);
FORM64(lods, "mov %rdi, %rsi\n lodsl", ARITHMETIC);
FORM64(scas, "repne scasb", ARITHMETIC);
FORM64(cmps, "repe cmpsw", ARITHMETIC);
FORM64(movdqu_load, "movdqu (%rdi), %xmm1\n movdqu %xmm1, 32(%r8)", ARITHMETIC);
FORM64(movdqu_store, "movdqu 8(%r8), %xmm9\n movdqu %xmm9, (%rdi)", ARITHMETIC);
FORM64(movups, "movups 16(%rdi), %xmm15\n movups %xmm15, (%rdi)", ARITHMETIC);
FORM64(movq_load, "movdqu (%r8), %xmm0\n movq (%rdi), %xmm0\n movdqu %xmm0, 64(%r8)", ARITHMETIC);
FORM64(movd_store, "movdqu (%r8), %xmm3\n movd %xmm3, (%rdi)", ARITHMETIC);
FORM64(movntdq, "movdqu (%r8), %xmm3\n and $-16, %rdi\n movntdq %xmm3, (%rdi)", LOGICAL);

FORM32(store8, "mov %ah, (%edi)", ARITHMETIC);
FORM32(store16, "mov %bx, (%edi)", ARITHMETIC);
FORM32(store32, "mov %ebx, (%edi)", ARITHMETIC);
FORM32(load_offset, "mov 0xd0000044, %eax", ARITHMETIC);
FORM32(inc32, "incl (%edi)", ARITHMETIC);
FORM32(stosl, "rep stosl", ARITHMETIC);
FORM32(movs, "rep movsl", ARITHMETIC);
FORM32(cmpxchg8b, "lock cmpxchg8b (%edi)", ARITHMETIC);

/* By FS, whose base leads where no 16-bit address does. */
FORM16(store8, "mov %cl, %fs:(%di)", ARITHMETIC);
FORM16(store16, "mov %bx, %fs:2(%di)", ARITHMETIC);
FORM16(store32, "mov %ebx, %fs:-1(%di)", ARITHMETIC);
FORM16(load32_addr32, "mov %fs:(%edi), %ebx", ARITHMETIC);
FORM16(load_offset, "mov %fs:0x44, %ax", ARITHMETIC);
FORM16(add16, "mov $4, %bx\n addw $0x7fff, %fs:(%bx,%di)", ARITHMETIC);
FORM16(movs, "mov $0x44, %si\n rep movsb %fs:(%si), (%di)", ARITHMETIC);

static void fill(uint8_t *data, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		data[i] = i * 37 + 0x91 + i / 256;
}

static bool on_kvm(void)
{
	return !strcmp(test_dev_path(), "/dev/kvm");
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

/* What the guest ends with. */
struct result {
	struct kvm_regs regs;
	uint8_t operand[TEST_DEVICE_BYTES];
	uint8_t scratch[SCRATCH_BYTES];
};

static void take_result(struct test_vcpu *vcpu, const uint8_t *operand, uint64_t base,
			uint64_t flags, struct result *result)
{
	struct kvm_regs *regs = &result->regs;

	test_vcpu_regs(vcpu, regs);
	regs->rflags &= flags;
	/* Where the operand was is not a difference. */
	if (regs->rdi - base < TEST_DEVICE_BYTES)
		regs->rdi -= base;
	if (regs->rsi - base < TEST_DEVICE_BYTES)
		regs->rsi -= base;
	memcpy(result->operand, operand, TEST_DEVICE_BYTES);
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
static const char *compare(struct test_vm *vm, struct test_vcpu *vcpu, struct test_device *device,
			   enter_mode enter, const struct form *form, unsigned int offset)
{
	uint8_t *data = test_vm_hva(vm, TEST_DATA_GPA);
	static struct result native, emulated;
	bool real = enter == test_vcpu_real_mode;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t base = i ? TEST_DEVICE_GPA : TEST_DATA_GPA;
		struct kvm_sregs sregs;

		fill(device->memory, TEST_DEVICE_BYTES);
		fill(data, TEST_DEVICE_BYTES);
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
			test_device_run(vcpu, device);
			if (vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
				return NULL;
		} else {
			test_device_run_to(vcpu, device, TEST_PORT_DONE);
		}
		take_result(vcpu, i ? device->memory : data, base, form->flags,
			    i ? &emulated : &native);
	}
	if (!device->reads && !device->writes)
		return "nothing reached the device: it";
	return difference(&native, &emulated);
}

/* How many forms of a table come out otherwise on the device. */
static unsigned int differing(struct test_vcpu *vcpu, struct test_device *device, enter_mode enter,
			      const struct form *first, const struct form *end, unsigned int offset)
{
	unsigned int differ = 0;

	if (first == end)
		test_die("no forms");
	for (const struct form *form = first; form < end; form++) {
		const char *what = compare(vcpu->vm, vcpu, device, enter, form, offset);

		if (what) {
			printf("# %s: %s differs\n", form->name, what);
			differ++;
		}
	}
	return differ;
}

TEST_F(mmio, every_form_in_long_mode)
{
	EXPECT_EQ(0, differing(self->vcpu, self->device, test_vcpu_long_mode, __start_forms64,
			       __stop_forms64, 0x100));
}

/* The operand lies on both sides of a page boundary. */
TEST_F(mmio, every_form_across_pages)
{
	EXPECT_EQ(0, differing(self->vcpu, self->device, test_vcpu_long_mode, __start_forms64,
			       __stop_forms64, PAGE - 1));
}

TEST_F(mmio, forms_in_protected_mode)
{
	EXPECT_EQ(0, differing(self->vcpu, self->device, test_vcpu_protected_mode, __start_forms32,
			       __stop_forms32, 0x40));
}

TEST_F(mmio, forms_in_real_mode)
{
	EXPECT_EQ(0, differing(self->vcpu, self->device, test_vcpu_real_mode, __start_forms16,
			       __stop_forms16, 0x40));
}

TEST_HARNESS_MAIN
