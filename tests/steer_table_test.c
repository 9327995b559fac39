// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and stores of the descriptor-table registers: events of an exit policy, and what is done
 * when nobody steps in. That must be what the processor does by itself, so each case is run twice,
 * without and with the exit, and all that the guest has afterwards is compared.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define EXIT_GDTR_IDTR	46
#define EXIT_LDTR_TR	47
#define GDT_GPA		0x18000u	/* the test's own */
#define GDT_BYTES	0x100u
#define HOLE_GPA	0x40000000u
#define MARK		0x5eed
#define RFLAGS_RF	0x10000ull

#define START		"nop\n1: " GUEST_SYNC
#define END		"mov $0x5eed, %ebp\njmp 1b\n"

/* RSI is the operand, RDI where it is in memory. */
GUEST_CODE(sgdt, START "sgdt (%rdi)\n" END);
GUEST_CODE(sidt_indexed, START "mov $2, %ecx\nsidt -16(%rdi,%rcx,8)\n" END);
GUEST_CODE(sldt_16, START "mov $-1, %r9\nsldt %r9w\n" END);
GUEST_CODE(sldt_32, START "mov $-1, %rdx\nsldt %edx\n" END);
GUEST_CODE(str_64, START "mov $-1, %r9\nstr %r9\n" END);
GUEST_CODE(str_memory, START "movq $-1, (%rdi)\nstr (%rdi)\n" END);
GUEST_CODE(lgdt, START "lgdt (%rdi)\n" END);
GUEST_CODE(lidt, START "lidt (%rdi)\n" END);
GUEST_CODE(lldt, START "lldt %si\n" END);
GUEST_CODE(lldt_memory, START "mov %si, (%rdi)\nlldt (%rdi)\n" END);
GUEST_CODE(lldt_hole, START "lldt (%rdi)\n" END);
GUEST_CODE(ltr, START "ltr %si\n" END);
GUEST_CODE(ltr_r10, START "mov %rsi, %r10\nltr %r10w\n" END);
GUEST_CODE32(sgdt32, START "sgdt (%edi)\n" END);
GUEST_CODE32(lgdt24, START "data16 lgdt (%edi)\n" END);
GUEST_CODE32(sldt_32of32, START "mov $-1, %edx\nsldt %edx\n" END);
GUEST_CODE32(str_16of32, START "mov $-1, %edx\nstr %dx\n" END);
GUEST_CODE32(lldt32, START "lldt %si\n" END);
GUEST_CODE32(ltr32, START "ltr %si\n" END);

TEST_STEER_FIXTURE(table)

/* Its selectors; LAST has no room for a descriptor of 64-bit mode. */
enum {
	CODE = 0x08,
	LDT = 0x30,
	TSS = 0x40,
	BUSY = 0x50,
	TSS_ABSENT = 0x60,
	LDT_ABSENT = 0x70,
	LDT_UPPER = 0x80,
	TSS_FAR = 0x90,
	TSS16 = 0xa0,
	BIG = 0xb0,
	LAST = 0xf8,
};

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned int type, bool present)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type << 40 |
	       (uint64_t)present << 47 | (uint64_t)(limit >> 16 & 15) << 48 |
	       (uint64_t)(base >> 24) << 56;
}

static void write_gdt(struct test_steer *steer)
{
	uint64_t *gdt = test_vm_hva(steer->vm, GDT_GPA);

	memset(gdt, 0, GDT_BYTES);
	memcpy(gdt, test_vm_hva(steer->vm, TEST_GDT_GPA), 6 * 8);
	gdt[LDT / 8] = descriptor(0x12345678, 0x1f, 2, true);
	gdt[LDT / 8 + 1] = 0x1234;
	gdt[TSS / 8] = descriptor(TEST_TSS_GPA, 0x67, 9, true);
	gdt[BUSY / 8] = descriptor(TEST_TSS_GPA, 0x67, 11, true);
	gdt[TSS_ABSENT / 8] = descriptor(TEST_TSS_GPA, 0x67, 9, false);
	gdt[LDT_ABSENT / 8] = descriptor(0x12000, 0x1f, 2, false);
	gdt[LDT_UPPER / 8] = descriptor(0x12000, 0x1f, 2, true);
	gdt[LDT_UPPER / 8 + 1] = 1ull << 40;
	gdt[TSS_FAR / 8] = descriptor(TEST_TSS_GPA, 0x67, 9, true);
	gdt[TSS_FAR / 8 + 1] = 0x800000;
	gdt[TSS16 / 8] = descriptor(TEST_TSS_GPA, 0x67, 1, true);
	/* In pages. */
	gdt[BIG / 8] = descriptor(TEST_TSS_GPA, 0x12, 9, true) | 1ull << 55;
	gdt[LAST / 8] = descriptor(0x12000, 0x1f, 2, true);
}

/* All of a guest that one of these instructions can change. */
struct outcome {
	bool faulted;
	struct test_exception exception;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint8_t data[64];
	uint8_t gdt[GDT_BYTES];
};

struct one {
	const char *name, *code, *end;
	uint64_t rsi, rdi;
	uint16_t limit;
	uint64_t base;
	bool is_32bit;
};

static void run(struct test_steer *steer, const struct one *one, struct outcome *outcome)
{
	uint8_t *data = test_vm_hva(steer->vm, TEST_DATA_GPA);
	size_t bytes = (size_t)(one->end - one->code);
	struct kvm_sregs sregs;

	memset(outcome, 0, sizeof(*outcome));
	memset(data, 0x77, sizeof(outcome->data));
	memcpy(data, &one->limit, 2);
	memcpy(data + 2, &one->base, 8);
	write_gdt(steer);
	if (one->is_32bit)
		test_vcpu_protected_mode(steer->vcpu, one->code, bytes);
	else
		test_vcpu_long_mode(steer->vcpu, one->code, bytes);
	test_vcpu_sregs(steer->vcpu, &sregs);
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = GDT_BYTES - 1;
	sregs.ldt = (struct kvm_segment){ .selector = 0xabc3, .unusable = 1 };
	test_vcpu_set_sregs(steer->vcpu, &sregs);
	test_vcpu_run_to_sync(steer->vcpu);
	test_steer_set_guest(steer, one->rsi, one->rdi, 0);

	ioctl(steer->vcpu->fd, KVM_RUN, 0);
	test_vcpu_regs(steer->vcpu, &outcome->regs);
	test_vcpu_sregs(steer->vcpu, &outcome->sregs);
	if (!test_vcpu_is_at(steer->vcpu, TEST_PORT_SYNC)) {
		outcome->faulted = true;
		/* In 32-bit mode there is no IDT: a fault is the guest's end. */
		if (!one->is_32bit)
			memcpy(&outcome->exception, test_vm_hva(steer->vm, outcome->regs.rsp),
			       sizeof(outcome->exception));
		outcome->exception.rsp = steer->vcpu->run->exit_reason;
	}
	/* Exceptions that software raises come without it. */
	outcome->exception.rflags &= ~RFLAGS_RF;
	/* Where in its operand the processor was is not told by the SDM. */
	outcome->sregs.cr2 &= ~7ull;
	memcpy(outcome->data, data, sizeof(outcome->data));
	memcpy(outcome->gdt, test_vm_hva(steer->vm, GDT_GPA), GDT_BYTES);
}

#define ONE(name_) .name = #name_, .code = name_, .end = name_##_end
#define FAR	(1ull << 63)
#define NOWHERE	0x7000000000ull

static const struct one all[] = {
	{ ONE(sgdt), .rdi = TEST_DATA_GPA },
	{ ONE(sgdt), .rdi = NOWHERE },
	{ ONE(sgdt), .rdi = FAR },
	{ ONE(sidt_indexed), .rdi = TEST_DATA_GPA + 3 },
	{ ONE(sldt_16) },
	{ ONE(sldt_32) },
	{ ONE(str_64) },
	{ ONE(str_memory), .rdi = TEST_DATA_GPA },
	{ ONE(lgdt), .rdi = TEST_DATA_GPA, .limit = 0x1234, .base = 0xffff800012345678 },
	{ ONE(lgdt), .rdi = TEST_DATA_GPA, .limit = 0x1234, .base = FAR },
	{ ONE(lgdt), .rdi = NOWHERE },
	{ ONE(lidt), .rdi = TEST_DATA_GPA, .limit = 0xfff, .base = 0x7fff12345678 },
	{ ONE(lldt), .rsi = LDT },
	{ ONE(lldt), .rsi = LDT | 3 },
	{ ONE(lldt), .rsi = 0 },
	{ ONE(lldt), .rsi = 3 },
	{ ONE(lldt), .rsi = LDT | 4 },
	{ ONE(lldt), .rsi = LDT_ABSENT | 1 },
	{ ONE(lldt), .rsi = LDT_UPPER },
	{ ONE(lldt), .rsi = TSS },
	{ ONE(lldt), .rsi = CODE },
	{ ONE(lldt), .rsi = LAST },
	{ ONE(lldt), .rsi = 0x100 },
	{ ONE(lldt_memory), .rsi = LDT, .rdi = TEST_DATA_GPA + 1 },
	{ ONE(ltr), .rsi = TSS },
	{ ONE(ltr_r10), .rsi = TSS | 2 },
	{ ONE(ltr), .rsi = BIG },
	{ ONE(ltr), .rsi = 0 },
	{ ONE(ltr), .rsi = TSS | 4 },
	{ ONE(ltr), .rsi = BUSY },
	{ ONE(ltr), .rsi = TSS_ABSENT },
	{ ONE(ltr), .rsi = TSS_FAR },
	{ ONE(ltr), .rsi = TSS16 },
	{ ONE(ltr), .rsi = LDT },
	{ ONE(sgdt32), .rdi = TEST_DATA_GPA, .is_32bit = true },
	{ ONE(lgdt24), .rdi = TEST_DATA_GPA, .limit = 0xff, .base = 0x12345678, .is_32bit = true },
	{ ONE(sldt_32of32), .is_32bit = true },
	{ ONE(str_16of32), .is_32bit = true },
	{ ONE(lldt32), .rsi = LDT, .is_32bit = true },
	{ ONE(lldt32), .rsi = LAST, .is_32bit = true },
	{ ONE(ltr32), .rsi = TSS16, .is_32bit = true },
	{ ONE(ltr32), .rsi = TSS, .is_32bit = true },
};

static uint64_t table_exits(struct test_steer *steer)
{
	return test_steer_exits(steer, EXIT_GDTR_IDTR) + test_steer_exits(steer, EXIT_LDTR_TR);
}

TEST_F(table, as_the_processor_does_it)
{
	/* Another vCPU's: they exit, and nobody is asked. */
	struct vitrine_rule rule = test_rule(VITRINE_ON_TABLE_LOAD, VITRINE_DO_ASK, 0, 3);
	struct outcome direct, steered;
	unsigned int i, faults = 0;
	uint64_t before;

	rule.vcpu = 7;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		before = table_exits(&self->t);
		ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
		run(&self->t, &all[i], &direct);
		EXPECT_EQ(before, table_exits(&self->t));
		ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
		run(&self->t, &all[i], &steered);
		EXPECT_EQ(before + 1, table_exits(&self->t));
		if (memcmp(&direct, &steered, sizeof(direct)))
			TH_LOG("%u: %s of 0x%llx, 0x%llx: fault %d %llx %llx, and %d %llx %llx", i,
			       all[i].name, (unsigned long long)all[i].rsi,
			       (unsigned long long)all[i].rdi, direct.faulted,
			       (unsigned long long)direct.exception.vector,
			       (unsigned long long)direct.exception.error_code, steered.faulted,
			       (unsigned long long)steered.exception.vector,
			       (unsigned long long)steered.exception.error_code);
		EXPECT_EQ(direct.faulted, steered.faulted);
		EXPECT_EQ(0, memcmp(&direct.exception, &steered.exception,
				    sizeof(direct.exception)));
		EXPECT_EQ(0, memcmp(&direct.regs, &steered.regs, sizeof(direct.regs)));
		EXPECT_EQ(0, memcmp(&direct.sregs.gdt, &steered.sregs.gdt,
				    sizeof(direct.sregs.gdt)));
		EXPECT_EQ(0, memcmp(&direct.sregs.idt, &steered.sregs.idt,
				    sizeof(direct.sregs.idt)));
		EXPECT_EQ(0, memcmp(&direct.sregs.tr, &steered.sregs.tr, sizeof(direct.sregs.tr)));
		EXPECT_EQ(direct.sregs.cr2, steered.sregs.cr2);
		EXPECT_EQ(direct.sregs.ldt.selector, steered.sregs.ldt.selector);
		EXPECT_EQ(direct.sregs.ldt.unusable, steered.sregs.ldt.unusable);
		/* What an LDT is of that is none means nothing. */
		if (!direct.sregs.ldt.unusable)
			EXPECT_EQ(0, memcmp(&direct.sregs.ldt, &steered.sregs.ldt,
					    sizeof(direct.sregs.ldt)));
		EXPECT_EQ(0, memcmp(direct.data, steered.data, sizeof(direct.data)));
		EXPECT_EQ(0, memcmp(direct.gdt, steered.gdt, sizeof(direct.gdt)));
		faults += direct.faulted;
	}
	EXPECT_LT(10, faults);
}

/* Nothing is loaded, nothing is stored, and the VMM is told. */
TEST_F(table, what_is_no_memory)
{
	struct vitrine_rule rules[2] = {
		test_rule(VITRINE_ON_TABLE_LOAD, VITRINE_DO_OBSERVE, 0, 3),
		test_rule(VITRINE_ON_TABLE_STORE, VITRINE_DO_OBSERVE, 0, 3),
	};
	struct { const char *code; size_t bytes; } cases[] = {
		{ GUEST_BLOB(lgdt) }, { GUEST_BLOB(sgdt) }, { GUEST_BLOB(lldt_hole) },
		{ GUEST_BLOB(lldt) }, { GUEST_BLOB(ltr) },
	};
	struct kvm_sregs before, after;
	struct kvm_regs regs;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_steer_load(&self->t, cases[i].code, cases[i].bytes);
		test_steer_set_guest(&self->t, i == 4 ? TSS : LDT, HOLE_GPA, 0);
		test_vcpu_sregs(self->t.vcpu, &before);
		/* The table itself, for those whose operand is a register. */
		if (i >= 3) {
			before.gdt.base = HOLE_GPA;
			before.gdt.limit = GDT_BYTES - 1;
			test_vcpu_set_sregs(self->t.vcpu, &before);
		}
		ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, test_vcpu_run(self->t.vcpu)) {
			TH_LOG("case %u, port %#x", i, self->t.vcpu->run->io.port);
		}
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->t.vcpu->run->internal.suberror);
		test_vcpu_sregs(self->t.vcpu, &after);
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(0, memcmp(&before.gdt, &after.gdt, sizeof(after.gdt)));
		EXPECT_EQ(before.ldt.base, after.ldt.base);
		EXPECT_EQ(before.tr.selector, after.tr.selector);
		EXPECT_NE(MARK, regs.rbp);
	}
}

TEST_F(table, each_is_asked_about)
{
	struct vitrine_rule rules[] = {
		test_rule(VITRINE_ON_TABLE_LOAD, VITRINE_DO_ASK, 0, 3),
		test_rule(VITRINE_ON_TABLE_STORE, VITRINE_DO_ASK, 0, 3),
	};
	static const struct {
		const char *code, *end;
		uint64_t on, key;
	} cases[] = {
		{ sgdt, sgdt_end, VITRINE_ON_TABLE_STORE, 0 },
		{ sidt_indexed, sidt_indexed_end, VITRINE_ON_TABLE_STORE, 1 },
		{ sldt_32, sldt_32_end, VITRINE_ON_TABLE_STORE, 2 },
		{ str_64, str_64_end, VITRINE_ON_TABLE_STORE, 3 },
		{ lgdt, lgdt_end, VITRINE_ON_TABLE_LOAD, 0 },
		{ lidt, lidt_end, VITRINE_ON_TABLE_LOAD, 1 },
		{ lldt, lldt_end, VITRINE_ON_TABLE_LOAD, 2 },
		{ ltr, ltr_end, VITRINE_ON_TABLE_LOAD, 3 },
	};
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_steer_load(&self->t, cases[i].code, cases[i].end - cases[i].code);
		test_steer_set_guest(&self->t, 0, TEST_DATA_GPA, 0);
		test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(cases[i].on, event.on);
		EXPECT_EQ(cases[i].key, event.key);
		reply = test_done(&event);
		reply.regs.r8 = MARK;
		EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
		ASSERT_TRUE(test_steer_ended_well(&self->t));
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(MARK, regs.r8);
	}
}

TEST_HARNESS_MAIN
