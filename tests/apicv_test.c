// SPDX-License-Identifier: GPL-2.0
/*
 * The three ways in which a vCPU's local APIC can work: all in software, with the TPR shadow, and
 * with the processor's own register virtualization and interrupt delivery. The guest must not see a
 * difference but in what exits, and that is counted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vitrine.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/host.h"
#include "lib/irq.h"

#define ROUNDS		200u
#define ROUNDS_TEXT	"200"
#define LOOP_GPA	(TEST_FREE_GPA + 0x30000u)
#define VECTOR		0x50
#define LEVEL_GSI	20	/* of the I/O APIC alone */
#define MSR_PV_EOI_EN	0x4b564d04
#define PARAMETERS	"/sys/module/" HOST_MODULE "/parameters/"

enum {
	REASON_CR_ACCESS = 28,
	REASON_MSR_WRITE = 32,
	REASON_APIC_ACCESS = 44,
	REASON_EPT_VIOLATION = 48,
	REASON_APIC_WRITE = 56,
};

#define NOW	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n"
/* Ticks of the rounds are left in RSI. */
#define LOOP(name, op)								\
	GUEST_CODE(name, NOW "mov %rax, %r14\n mov $" ROUNDS_TEXT ", %r15d\n sti\n" \
		   "2:\n" op "dec %r15d\n jnz 2b\n cli\n"			\
		   NOW "sub %r14, %rax\n mov %rax, %rsi\n" GUEST_SYNC)

LOOP(loop_self_x2, "mov $0x83f, %ecx\n mov $0x50, %eax\n xor %edx, %edx\n wrmsr\n nop\n");
LOOP(loop_self_page, "mov $0xfee00300, %edi\n movl $0x40050, (%rdi)\n nop\n");
LOOP(loop_self_halt, "cli\n mov $0x83f, %ecx\n mov $0x50, %eax\n xor %edx, %edx\n wrmsr\n"
		     "sti\n hlt\n");
LOOP(loop_cr8, "mov $5, %eax\n mov %rax, %cr8\n mov %cr8, %rax\n xor %eax, %eax\n"
	       "mov %rax, %cr8\n");
/* Until RSI interrupts were taken. */
GUEST_CODE(loop_taking, "sti\n 1: pause\n cmp %gs:0, %esi\n ja 1b\n cli\n" GUEST_SYNC);

static int param_set(const char *name, int value)
{
	char path[80];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return host_write(path, value ? "1" : "0");
}

/* What a VM has it keeps from its creation on: the parameters are back before anything can fail. */
static struct test_vm *vm_with(bool tpr_shadow, bool apicv, bool irqchip, struct vitrine_caps *caps)
{
	struct test_vm *vm;
	int fd;

	if (test_on_kvm())
		return irqchip ? test_vm_create_irqchip() : test_vm_create();
	if (param_set("tpr_shadow", tpr_shadow) || param_set("apicv", apicv))
		test_die("parameters of " HOST_MODULE);
	vm = irqchip ? test_vm_create_irqchip() : test_vm_create();
	fd = test_dev_open();
	if (ioctl(fd, VITRINE_GET_CAPS, caps))
		test_die("VITRINE_GET_CAPS");
	close(fd);
	param_set("tpr_shadow", 1);
	param_set("apicv", 0);
	return vm;
}

FIXTURE(apicv) {
	struct vitrine_caps caps;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_VARIANT(apicv) {
	bool tpr_shadow;
	bool apicv;
};

FIXTURE_VARIANT_ADD(apicv, plain) { .tpr_shadow = false, .apicv = false };
FIXTURE_VARIANT_ADD(apicv, tpr_shadow) { .tpr_shadow = true, .apicv = false };
FIXTURE_VARIANT_ADD(apicv, full) { .tpr_shadow = true, .apicv = true };

FIXTURE_SETUP(apicv)
{
	memset(&self->caps, 0, sizeof(self->caps));
	self->vm = vm_with(variant->tpr_shadow, variant->apicv, true, &self->caps);
	self->vcpu = NULL;
	/* Tests see it by the vCPU that is not there. */
	if (self->caps.apicv_in_use != variant->apicv ||
	    self->caps.tpr_shadow_in_use != variant->tpr_shadow)
		return;
	self->vcpu = test_vcpu_create(self->vm, 0);
	apic_set_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_XAPIC);
}

FIXTURE_TEARDOWN(apicv)
{
	if (self->vcpu)
		test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

#define NEED_VCPU()	do { if (!self->vcpu) SKIP(return, "not on this CPU"); } while (0)

static void x2apic(struct test_vcpu *vcpu)
{
	apic_enable_x2(vcpu);
	test_irq_set_eoi(vcpu, TEST_EOI_X2APIC);
}

static uint64_t exits(struct test_vcpu *vcpu, const unsigned int *reasons)
{
	struct vitrine_vcpu_stats stats;
	uint64_t sum = 0;

	if (test_on_kvm())
		return 0;
	if (ioctl(vcpu->fd, VITRINE_GET_STATS, &stats))
		test_die("VITRINE_GET_STATS");
	for (; *reasons; reasons++)
		sum += stats.exit_count[*reasons];
	return sum;
}

/* Another program in the guest's place; loop_end() puts the test's guest back. */
static struct kvm_regs loop_begin(struct test_vcpu *vcpu, const char *code, size_t bytes,
				  uint64_t rsi)
{
	struct kvm_regs regs, old;

	memcpy(test_vm_hva(vcpu->vm, LOOP_GPA), code, bytes);
	test_vcpu_regs(vcpu, &old);
	regs = old;
	regs.rip = LOOP_GPA;
	regs.rsi = rsi;
	test_vcpu_set_regs(vcpu, &regs);
	return old;
}

static void loop_end(struct test_vcpu *vcpu, const struct kvm_regs *old)
{
	test_vcpu_set_regs(vcpu, old);
	test_vcpu_run_to_sync(vcpu);
}

/* Exits for @reasons by ROUNDS rounds. */
static uint64_t loop_exits(struct test_vcpu *vcpu, const char *what, const char *code, size_t bytes,
			   const unsigned int *reasons)
{
	struct kvm_regs regs, old;
	uint64_t before;

	test_irq_clear(vcpu);
	before = exits(vcpu, reasons);
	old = loop_begin(vcpu, code, bytes, 0);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	before = exits(vcpu, reasons) - before;
	printf("# %s: %llu ticks each, %llu exits in %u rounds\n", what,
	       (unsigned long long)regs.rsi / ROUNDS, (unsigned long long)before, ROUNDS);
	fflush(stdout);
	loop_end(vcpu, &old);
	return before;
}

TEST_F(apicv, self_ipi_by_msr)
{
	const unsigned int reasons[] = { REASON_MSR_WRITE, 0 };
	uint64_t n;

	NEED_VCPU();
	x2apic(self->vcpu);
	n = loop_exits(self->vcpu, "self-IPI and EOI, x2APIC", GUEST_BLOB(loop_self_x2), reasons);
	EXPECT_EQ(test_irq_count(self->vcpu), ROUNDS);
	if (!test_on_kvm())
		EXPECT_EQ(n, variant->apicv ? 0 : 2 * ROUNDS);
	n = loop_exits(self->vcpu, "the same with HLT", GUEST_BLOB(loop_self_halt), reasons);
	EXPECT_EQ(test_irq_count(self->vcpu), ROUNDS);
	if (!test_on_kvm())
		EXPECT_EQ(n, variant->apicv ? 0 : 2 * ROUNDS);
}

TEST_F(apicv, self_ipi_by_page)
{
	const unsigned int reasons[] = { REASON_EPT_VIOLATION, REASON_APIC_ACCESS,
					 REASON_APIC_WRITE, 0 };
	uint64_t n;

	NEED_VCPU();
	apic_set_mmio(self->vcpu, APIC_SPIV, SPIV_ON);
	/* The page and the loop's are there then. */
	loop_exits(self->vcpu, "self-IPI and EOI, xAPIC", GUEST_BLOB(loop_self_page), reasons);
	n = loop_exits(self->vcpu, "self-IPI and EOI, xAPIC", GUEST_BLOB(loop_self_page), reasons);
	EXPECT_EQ(test_irq_count(self->vcpu), ROUNDS);
	if (!test_on_kvm())
		EXPECT_EQ(n, variant->apicv ? 0 : 2 * ROUNDS);
}

TEST_F(apicv, task_priority)
{
	const unsigned int reasons[] = { REASON_CR_ACCESS, 0 };
	struct kvm_sregs sregs;
	uint64_t n;

	NEED_VCPU();
	n = loop_exits(self->vcpu, "CR8 written, read, written", GUEST_BLOB(loop_cr8), reasons);
	if (!test_on_kvm())
		EXPECT_EQ(n, variant->tpr_shadow ? 0 : 3 * ROUNDS);

	/* What is requested comes when the priority falls below it, and not before. */
	x2apic(self->vcpu);
	test_irq_clear(self->vcpu);
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.cr8 = 5;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_TPR), 0x50);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, VECTOR);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0x50);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_IRR + VECTOR / 32 * 16), 1u << VECTOR % 32);
	loop_exits(self->vcpu, "CR8, an interrupt waiting", GUEST_BLOB(loop_cr8), reasons);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(self->vcpu->run->cr8, 0);
}

/* What a guest writes to the page and does not get, whoever takes the write. */
TEST_F(apicv, reserved_bits_of_the_page)
{
	static const struct {
		uint32_t offset, value, expect;
	} rows[] = {
		{ APIC_ID, 0xffffffff, 0 },
		{ APIC_LVR, 0, 0x50014 },
		{ APIC_TPR, 0xffffff23, 0x23 },
		{ APIC_PPR, 0xff, 0x23 },
		{ APIC_LDR, 0xffffffff, 0xff000000 },
		{ APIC_DFR, 0, 0x0fffffff },
		{ APIC_LVTTHMR, 0xffffffff, 0x107ff },
		{ APIC_LVTPC, 0xffffffff, 0x107ff },
		{ APIC_LVT1, 0xffffffff, 0x1a7ff },
		{ APIC_LVTERR, 0xffffffff, 0x100ff },
		{ APIC_LVTT, 0xffffffff, LVT_PERIODIC | 0x100ff },
		{ APIC_LVTT, LVT_DEADLINE | LVT_MASKED | 0x60, LVT_DEADLINE | LVT_MASKED | 0x60 },
		{ APIC_TMICT, 0x12345678, 0 },
		{ APIC_TDCR, 0xffffffff, 0xb },
		{ APIC_ICR2, 0x12345678, 0x12000000 },
		{ APIC_ISR, 0xffffffff, 0 },
		{ APIC_IRR, 0xffffffff, 0 },
		{ APIC_TMR, 0xffffffff, 0 },
	};

	NEED_VCPU();
	if (test_on_kvm())
		SKIP(return, "KVM keeps some of them");
	apic_set_mmio(self->vcpu, APIC_SPIV, SPIV_ON);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		apic_set_mmio(self->vcpu, rows[i].offset, rows[i].value);
		EXPECT_EQ(apic_mmio(self->vcpu, rows[i].offset), rows[i].expect)
			TH_LOG("offset %#x", rows[i].offset);
	}
	/* Turned off, it masks all entries, and keeps them masked. */
	apic_set_mmio(self->vcpu, APIC_SPIV, 0xff);
	apic_set_mmio(self->vcpu, APIC_LVTPC, 0x44);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVTPC), LVT_MASKED | 0x44);
	/* A vector that cannot be sent. */
	apic_set_mmio(self->vcpu, APIC_ICR, ICR_SELF | 5);
	apic_set_mmio(self->vcpu, APIC_ESR, 0);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_ESR) & 0x20, 0x20);
}

/* Requests and what is in service, as a VMM sees and restores them. */
TEST_F(apicv, state)
{
	struct kvm_lapic_state state, again;

	NEED_VCPU();
	x2apic(self->vcpu);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x61);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x45);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, 0x72);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	EXPECT_EQ(*apic_state_reg(&state, APIC_ISR + 3 * 16), 1 << 1);
	EXPECT_EQ(*apic_state_reg(&state, APIC_IRR + 3 * 16), 1 << 18);
	EXPECT_EQ(*apic_state_reg(&state, APIC_IRR + 2 * 16), 1 << 5);
	EXPECT_EQ(*apic_state_reg(&state, APIC_PPR), 0x60);

	memset(&again, 0, sizeof(again));
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &again), 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), 0);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &again), 0);
	if (!test_on_kvm())
		EXPECT_EQ(memcmp(&state, &again, sizeof(state)), 0);

	/* 0x72 interrupts 0x61; 0x45 waits for the end of both. */
	test_irq_window(self->vcpu);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x72);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 2);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x45);
	/* One too many ends nothing. */
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	apic_set_x2(self->vcpu, APIC_EOI, 0);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0);
}

/* The I/O APIC hears of the end of a level, of whatever the vector is made later. */
TEST_F(apicv, end_of_a_level)
{
	const uint32_t vectors[] = { 0x52, 0xa3 };

	NEED_VCPU();
	x2apic(self->vcpu);
	test_irq_set_eoi(self->vcpu, TEST_EOI_NONE);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		test_irq_clear(self->vcpu);
		test_irq_write(self->vcpu, TEST_IOAPIC_GPA, 0x10 + 2 * LEVEL_GSI);
		test_irq_write(self->vcpu, TEST_IOAPIC_GPA + 0x10, 0x8000 | vectors[i]);
		EXPECT_EQ(test_irq_line(self->vm, LEVEL_GSI, 1), 1);
		test_irq_window(self->vcpu);
		ASSERT_EQ(test_irq_count(self->vcpu), 1);
		test_irq_window(self->vcpu);
		EXPECT_EQ(test_irq_count(self->vcpu), 1);
		/* Still asserted: it comes again. */
		apic_set_x2(self->vcpu, APIC_EOI, 0);
		test_irq_window(self->vcpu);
		ASSERT_EQ(test_irq_count(self->vcpu), 2);
		EXPECT_EQ(test_irq_vector(self->vcpu, 1), vectors[i]);
		test_irq_line(self->vm, LEVEL_GSI, 0);
		apic_set_x2(self->vcpu, APIC_EOI, 0);
		test_irq_window(self->vcpu);
		EXPECT_EQ(test_irq_count(self->vcpu), 2);
	}
}

TEST_F(apicv, end_for_an_ioapic_in_userspace)
{
	struct {
		struct kvm_irq_routing header;
		struct kvm_irq_routing_entry entry;
	} table = { .header.nr = 1 };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };
	struct test_vcpu *vcpu;
	struct test_vm *vm;

	NEED_VCPU();
	vm = vm_with(variant->tpr_shadow, variant->apicv, false, &self->caps);
	ASSERT_EQ(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), 0);
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_NONE);
	apic_enable_x2(vcpu);
	table.entry = (struct kvm_irq_routing_entry){
		.gsi = 3, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = TEST_APIC_GPA, .data = 0x8000 | 0x51 },
	};
	ASSERT_EQ(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table), 0);
	EXPECT_EQ(test_irq_line(vm, 3, 1), 1);
	test_irq_window(vcpu);
	ASSERT_EQ(test_irq_count(vcpu), 1);
	test_irq_begin_wrmsr(vcpu, TEST_X2APIC(APIC_EOI), 0);
	ASSERT_EQ(test_vcpu_run(vcpu), KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x51);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* A word that spares the guest an exit, where there would be one. */
TEST_F(apicv, ends_by_a_word)
{
	NEED_VCPU();
	x2apic(self->vcpu);
	test_irq_write(self->vcpu, test_irq_eoi_gpa(self->vcpu), 0);
	test_irq_set_eoi(self->vcpu, TEST_EOI_PV);
	test_irq_set_msr(self->vcpu, MSR_PV_EOI_EN, test_irq_eoi_gpa(self->vcpu) | 1);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, VECTOR);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_eoi_writes(self->vcpu), variant->apicv);
	EXPECT_EQ(apic_x2(self->vcpu, APIC_PPR), 0);
}

static void *run_thread(void *arg)
{
	test_vcpu_run_to_sync(arg);
	return NULL;
}

/* From another thread while the guest runs: each is taken. */
TEST_F(apicv, messages_to_a_running_guest)
{
	struct kvm_msi msi = { .address_lo = TEST_APIC_GPA };
	pthread_t thread;

	NEED_VCPU();
	x2apic(self->vcpu);
	test_irq_clear(self->vcpu);
	loop_begin(self->vcpu, GUEST_BLOB(loop_taking), ROUNDS);
	ASSERT_EQ(pthread_create(&thread, NULL, run_thread, self->vcpu), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		volatile uint32_t *count = test_vm_hva(self->vm, TEST_FREE_GPA + 0x20000u);
		unsigned int waited = 0;

		msi.data = 0x40 + i % 0x80;
		ASSERT_EQ(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
		while (*count <= i && waited++ < 20000)
			usleep(100);
		ASSERT_EQ(*count, i + 1);
	}
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < ROUNDS; i++)
		EXPECT_EQ(test_irq_vector(self->vcpu, i), 0x40 + i % 0x80);
}

/* In x2APIC mode there is no page; others, still in xAPIC mode, have theirs. */
TEST_F(apicv, page_of_another_mode)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	const unsigned int none[] = { 0 };
	struct test_vcpu *other;

	NEED_VCPU();
	apic_set_mmio(self->vcpu, APIC_SPIV, SPIV_ON);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR), 0x50014);
	other = test_vcpu_create(self->vm, 1);
	test_vcpu_set_supported_cpuid(other);
	ASSERT_EQ(ioctl(other->fd, KVM_SET_MP_STATE, &runnable), 0);
	test_irq_start(other, 1, TEST_EOI_X2APIC);
	EXPECT_EQ(apic_mmio(other, APIC_ID), 1 << 24);
	apic_enable_x2(other);
	/* A hole, as KVM has it (KVM_X86_QUIRK_LAPIC_MMIO_HOLE). */
	EXPECT_EQ(apic_mmio(other, APIC_LVR), 0xffffffff);

	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR), 0x50014);
	loop_exits(self->vcpu, "self-IPI and EOI, xAPIC beside x2APIC", GUEST_BLOB(loop_self_page),
		   none);
	EXPECT_EQ(test_irq_count(self->vcpu), ROUNDS);
	test_vcpu_free(other);
}

TEST_F(apicv, moved_page_and_none)
{
	const uint64_t moved = 0xfee10000;
	struct kvm_regs regs;
	uint64_t base;

	NEED_VCPU();
	base = test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR) & 0xff, 0x14);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE, moved | (base & 0xfff));
	EXPECT_EQ(test_irq_read(self->vcpu, moved + APIC_LVR) & 0xff, 0x14);
	test_vcpu_regs(self->vcpu, &regs);
	regs.rdi = 0;
	regs.rsi = TEST_APIC_GPA + APIC_LVR;
	test_vcpu_set_regs(self->vcpu, &regs);
	if (!test_on_kvm()) {
		ASSERT_EQ(test_vcpu_run(self->vcpu), KVM_EXIT_MMIO);
		test_vcpu_run_to_sync(self->vcpu);
	}
	/* Off and on again: as after power-up. */
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE, base & ~(uint64_t)BASE_ENABLE);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE, base);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_SPIV), 0xff);
	x2apic(self->vcpu);
	test_irq_clear(self->vcpu);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, VECTOR);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_MSR_APIC_BASE, base | 1));
	if (!test_on_kvm())
		EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_EOI), 1));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_TPR), 0x100));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_SELF_IPI), 0x150));
	EXPECT_FALSE(test_irq_wrmsr(self->vcpu, TEST_X2APIC(APIC_ISR), 0));
}

/* Memory that a VMM puts where the page is. */
TEST_F(apicv, slot_over_the_page)
{
	uint32_t *memory;

	NEED_VCPU();
	if (test_on_kvm())
		SKIP(return, "KVM has a slot of its own there");
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(memory, MAP_FAILED);
	memory[APIC_LVR / 4] = 0xabcd;
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR), 0x50014);
	test_vm_add_memory(self->vm, 1, TEST_APIC_GPA, memory, 4096, 0);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR), 0xabcd);
	test_vm_add_memory(self->vm, 1, TEST_APIC_GPA, memory, 0, 0);
	EXPECT_EQ(apic_mmio(self->vcpu, APIC_LVR), 0x50014);
	munmap(memory, 4096);
}

TEST_F(apicv, held_back_by_the_debugger)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ };

	NEED_VCPU();
	if (!test_check_extension(self->vm->fd, KVM_CAP_SET_GUEST_DEBUG2))
		SKIP(return, "no KVM_GUESTDBG_BLOCKIRQ");
	x2apic(self->vcpu);
	test_irq_clear(self->vcpu);
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_GUEST_DEBUG, &debug), 0);
	apic_set_x2(self->vcpu, APIC_SELF_IPI, VECTOR);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
	debug.control = 0;
	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_SET_GUEST_DEBUG, &debug), 0);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
}

TEST_HARNESS_MAIN
