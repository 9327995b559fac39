// SPDX-License-Identifier: GPL-2.0
/*
 * The classes of an exit policy that exit for its sake, or are rare: each event by its key, an
 * answer that the guest sees, no exit while no rule names the class, and a default handling that
 * does what the instruction would have done.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define DB			1
#define BP			3
#define OF			4
#define UD			6
#define GP			13
#define PF			14
#define AC			17
#define DR6_BS			0x4000
#define RFLAGS_TF		0x100ull
#define RFLAGS_IOPL		0x3000
#define RFLAGS_AC		0x40000
#define CR0_AM			0x40000
#define STATUS			0x8d5ull	/* OF SF ZF AF PF CF */
#define CF			1ull
#define VMX_TRUE_PROCBASED	14	/* from IA32_VMX_BASIC on */
#define MONITOR_TRAP_FLAG	(1u << 27)
#define MARK			0x5eed
#define VIRTUAL			0x200000ull	/* the second large page */
#define PDE(gva)		(TEST_PML4_GPA + 0x2000 + ((gva) >> 21) * 8)

/*
 * The first instruction is no OUT: the one that the guest before stands at is not to be completed
 * in its place.
 */
#define START	"nop\n1: " GUEST_SYNC

GUEST_CODE(invlpg, START "mov $0x1234000, %esi\ninvlpg (%rsi)\njmp 1b\n");
GUEST_CODE(invpcid, START
	   "mov $0x10000, %ebx\nmov $2, %ecx\ninvpcid 8(%rbx,%rcx,8), %rcx\njmp 1b\n");
GUEST_CODE(rdpmc, START "mov $5, %ecx\nrdpmc\njmp 1b\n");
GUEST_CODE(rdrand, START "rdrand %eax\njmp 1b\n");
GUEST_CODE(rdseed, START "rdseed %r9\njmp 1b\n");
GUEST_CODE(wbinvd, START "wbinvd\njmp 1b\n");
GUEST_CODE(invd, START "invd\njmp 1b\n");
GUEST_CODE(pause_, START "pause\njmp 1b\n");
GUEST_CODE(monitor, START "mov %rsp, %rax\nxor %ecx, %ecx\nxor %edx, %edx\nmonitor\n"
	   "jmp 1b\n");
GUEST_CODE(mwait, START "xor %eax, %eax\nxor %ecx, %ecx\nmwait\njmp 1b\n");
GUEST_CODE(vmread, START "vmread %rax, %rbx\njmp 1b\n");
GUEST_CODE(invvpid, START "xor %eax, %eax\ninvvpid (%rsp), %rax\njmp 1b\n");
GUEST_CODE(dr_read, START "mov %dr6, %rax\njmp 1b\n");
GUEST_CODE(dr_write, START "mov $0x1234, %eax\nmov %rax, %dr2\njmp 1b\n");

/*
 * Every flag set before, so that those which must not be are seen. Not of 16 bits: the emulator
 * describes that as one of 32.
 */
GUEST_CODE(random_widths, START
	   "mov $-1, %r8\nmov $-1, %r10\nmov $-1, %r11\n"
	   "push $0xad7\npopf\nrdrand %r8d\npushf\npop %r9\nrdrand %r10\nrdseed %r11\njmp 1b\n");
/* The translation of RSI changes between two reads, by the entry at RDI. */
GUEST_CODE(remap, START
	   "mov (%rsi), %r8\nmov %rbx, (%rdi)\ninvlpg (%rsi)\nmov (%rsi), %r9\njmp 1b\n");
GUEST_CODE(remap_by_pcid, START
	   "mov (%rsi), %r8\nmov %rbx, (%rdi)\nmov $0, %eax\ninvpcid 0x10000, %rax\n"
	   "mov (%rsi), %r9\njmp 1b\n");
GUEST_CODE(invpcid_type, START "invpcid (%rdi), %rsi\njmp 1b\n");
GUEST_CODE(int3, START "int3\nmov $0x5eed, %r8d\njmp 1b\n");
GUEST_CODE(int1, START ".byte 0xf1\nmov $0x5eed, %r8d\njmp 1b\n");
GUEST_CODE(trap_flag, START
	   "pushf\norl $0x100, (%rsp)\npopf\nnop\nmov $0x5eed, %r8d\n2: jmp 2b\n");
/* To a code segment that there is not. */
GUEST_CODE(iret_bad, START "push $0\npush $0x8000\npushf\npush $0x1230\npush $0\niretq\n");
/* Of an MSR that there is not. */
GUEST_CODE(wrmsr_bad, START "mov $0x12345, %ecx\nwrmsr\n2: jmp 2b\n");
GUEST_CODE(stepped_cpuid, START
	   "xor %eax, %eax\npushf\norl $0x100, (%rsp)\npopf\ncpuid\n2: jmp 2b\n");
GUEST_CODE(stepped_sti, START
	   "cli\npushf\norl $0x100, (%rsp)\npopf\nsti\nmov $0x5eed, %r8d\njmp 1b\n");
GUEST_CODE(nops, START "nop\nnop\nnop\njmp 1b\n");
GUEST_CODE(misaligned, START "mov 0x10001, %eax\njmp 1b\n");
GUEST_CODE32(into, START "mov $0x7f, %al\nadd $1, %al\ninto\nmov $0x5eed, %ebx\n"
	     "jmp 1b\n");

TEST_STEER_FIXTURE(steer_class)

/* What a class's event is, and whether its instruction can run, and exits, without a rule. */
struct one {
	const char *name;
	const char *code;
	const char *end;
	uint32_t on;
	uint64_t key;
	uint64_t value;
	unsigned int reason;
	bool faults;
	bool exits;
};

#define ONE(name_) .name = #name_, .code = name_, .end = name_##_end

static const struct one all[] = {
	{ ONE(invlpg), VITRINE_ON_INVLPG, 0x1234000, 0, 14 },
	{ ONE(invpcid), VITRINE_ON_INVPCID, 2, 0x10018, 58 },
	{ ONE(rdpmc), VITRINE_ON_RDPMC, 5, 0, 15, .faults = true },
	{ ONE(rdrand), VITRINE_ON_RDRAND, 4, 0, 57 },
	{ ONE(rdseed), VITRINE_ON_RDSEED, 8, 0, 61 },
	{ ONE(wbinvd), VITRINE_ON_WBINVD, 0, 0, 54, .exits = true },
	{ ONE(invd), VITRINE_ON_WBINVD, 1, 0, 13, .exits = true },
	{ ONE(pause_), VITRINE_ON_PAUSE, 0, 0, 40 },
	{ ONE(monitor), VITRINE_ON_MONITOR, 0, 0, 39, .exits = true },
	{ ONE(mwait), VITRINE_ON_MONITOR, 1, 0, 36, .exits = true },
	{ ONE(vmread), VITRINE_ON_VMX, 23, 0, 23, .faults = true },
	{ ONE(invvpid), VITRINE_ON_VMX, 53, 0, 53, .faults = true },
	{ ONE(dr_read), VITRINE_ON_DR_READ, 6, 0, 29, .exits = true },
	{ ONE(dr_write), VITRINE_ON_DR_WRITE, 2, 0x1234, 29, .exits = true },
};

/* Runs without a rule: how many exits of the reason that takes. */
static uint64_t exits_without_a_rule(struct test_steer *steer, const struct one *one)
{
	uint64_t before = test_steer_exits(steer, one->reason);

	test_set_rules(steer->fd, NULL, 0);
	test_vcpu_run_to_sync(steer->vcpu);
	return test_steer_exits(steer, one->reason) - before;
}

TEST_F(steer_class, each_by_its_key)
{
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct vitrine_rule rule;
	struct kvm_regs regs;
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct one *one = &all[i];

		TH_LOG("%s", one->name);
		test_steer_load(&self->t, one->code, (size_t)(one->end - one->code));
		if (!one->faults)
			EXPECT_EQ(one->exits, exits_without_a_rule(&self->t, one));
		rule = test_rule(one->on, VITRINE_DO_ASK, one->key, one->key);
		if (one->value) {
			rule.mask = ~0ull;
			rule.match = one->value;
		}
		ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
		test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(one->on, event.on);
		EXPECT_EQ(one->key, event.key);
		EXPECT_EQ(one->value, event.value);
		EXPECT_EQ(one->reason, event.reason);
		reply = test_done(&event);
		reply.regs.r8 = MARK;
		EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
		ASSERT_TRUE(test_steer_ended_well(&self->t));
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(MARK, regs.r8);
		if (one->faults)
			continue;
		/* As usual, with the rule and, by hardware, without one. */
		test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
		ASSERT_TRUE(test_steer_ended_well(&self->t));
		EXPECT_EQ(one->exits, exits_without_a_rule(&self->t, one));
	}
}

/* What a guest cannot have it has not, asked about or not. */
TEST_F(steer_class, undefined_is_undefined)
{
	struct vitrine_rule rules[] = {
		test_rule(VITRINE_ON_VMX, VITRINE_DO_ASK, 0, 0xffff),
		test_rule(VITRINE_ON_RDPMC, VITRINE_DO_ASK, 0, 0xffffffff),
	};
	struct vitrine_exit_event event;
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct one *one = &all[i];

		if (!one->faults)
			continue;
		ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
		test_steer_load(&self->t, one->code, (size_t)(one->end - one->code));
		test_steer_start_to_exception(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
		pthread_join(self->t.runner, NULL);
		EXPECT_EQ(one->on == VITRINE_ON_VMX ? UD : GP, self->t.exception.vector);
	}
}

TEST_F(steer_class, random_numbers_are_the_processors)
{
	/* They exit, and nobody is asked. */
	struct vitrine_rule rules[] = {
		test_rule(VITRINE_ON_RDRAND, VITRINE_DO_ASK, 3, 3),
		test_rule(VITRINE_ON_RDSEED, VITRINE_DO_ASK, 3, 3),
	};
	struct kvm_regs regs;
	uint64_t last = 0;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	test_steer_load(&self->t, GUEST_BLOB(random_widths));
	for (i = 0; i < 4; i++) {
		test_vcpu_run_to_sync(self->t.vcpu);
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(0, regs.r8 >> 32);
		EXPECT_NE(0xffffffff, regs.r8);
		EXPECT_EQ(CF, regs.r9 & STATUS);
		EXPECT_NE(~0ull, regs.r10);
		EXPECT_NE(0, regs.r10 >> 32);
		EXPECT_NE(~0ull, regs.r11);
		EXPECT_NE(last, regs.r11);
		last = regs.r11;
	}
	EXPECT_EQ(8, test_steer_exits(&self->t, 57));
	EXPECT_EQ(4, test_steer_exits(&self->t, 61));
}

/* A rule about another address has it exit. */
static const struct vitrine_rule some_invlpg = {
	.on = VITRINE_ON_INVLPG, .action = VITRINE_DO_ASK, .vcpu = VITRINE_ALL_VCPUS,
	.first = 1, .last = 1, .sub_last = ~0ull,
};

static void see_new_translation(struct __test_metadata *_metadata, struct test_steer *steer,
				const char *code, size_t bytes)
{
	uint64_t *entry = test_vm_hva(steer->vm, PDE(VIRTUAL)), old = *entry;
	uint64_t *descriptor = test_vm_hva(steer->vm, TEST_DATA_GPA);
	uint64_t *low = test_vm_hva(steer->vm, 0x200), *high = test_vm_hva(steer->vm, 0x200200);
	struct kvm_regs regs;

	descriptor[1] = VIRTUAL + 0x200;
	*low = 1;
	*high = 2;
	test_steer_load(steer, code, bytes);
	test_steer_set_guest(steer, VIRTUAL + 0x200, PDE(VIRTUAL), old & ~VIRTUAL);
	test_vcpu_run_to_sync(steer->vcpu);
	test_vcpu_regs(steer->vcpu, &regs);
	EXPECT_EQ(2, regs.r8);
	EXPECT_EQ(1, regs.r9);
	*entry = old;
}

TEST_F(steer_class, a_translation_is_gone)
{
	ASSERT_EQ(0, test_set_rules(self->t.fd, &some_invlpg, 1));
	see_new_translation(_metadata, &self->t, GUEST_BLOB(remap));
	EXPECT_EQ(1, test_steer_exits(&self->t, 14));
	see_new_translation(_metadata, &self->t, GUEST_BLOB(remap_by_pcid));
	EXPECT_EQ(1, test_steer_exits(&self->t, 58));
}

TEST_F(steer_class, what_invpcid_cannot_be)
{
	static const struct {
		uint64_t type, first, second, at;
		unsigned int vector;
	} cases[] = {
		{ 0, 0, 0x1000, TEST_DATA_GPA, 0 },
		{ 1, 0, 1ull << 63, TEST_DATA_GPA, 0 },
		{ 3, 0, 0, TEST_DATA_GPA, 0 },
		/* Types from 4 on, a linear address that is none, no PCIDs, reserved bits. */
		{ 4, 0, 0, TEST_DATA_GPA, GP },
		{ 1ull << 32, 0, 0, TEST_DATA_GPA, GP },
		{ 0, 0, 1ull << 63, TEST_DATA_GPA, GP },
		{ 0, 1, 0, TEST_DATA_GPA, GP },
		{ 1, 1, 0, TEST_DATA_GPA, GP },
		{ 2, 1ull << 12, 0, TEST_DATA_GPA, GP },
		/* And its memory. */
		{ 2, 0, 0, 0x7000000000, PF },
		{ 2, 0, 0, 1ull << 63, GP },
	};
	uint64_t *descriptor = test_vm_hva(self->t.vm, TEST_DATA_GPA);
	struct test_exception exception;
	struct kvm_sregs sregs;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &some_invlpg, 1));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		descriptor[0] = cases[i].first;
		descriptor[1] = cases[i].second;
		test_steer_load(&self->t, GUEST_BLOB(invpcid_type));
		test_steer_set_guest(&self->t, cases[i].type, cases[i].at, 0);
		if (!cases[i].vector) {
			test_vcpu_run_to_sync(self->t.vcpu);
			continue;
		}
		test_vcpu_run_to_exception(self->t.vcpu, &exception);
		EXPECT_EQ(cases[i].vector, exception.vector);
		EXPECT_EQ(0, exception.error_code);
		test_vcpu_sregs(self->t.vcpu, &sregs);
		if (cases[i].vector == PF)
			EXPECT_EQ(cases[i].at, sregs.cr2);
	}
	EXPECT_EQ(sizeof(cases) / sizeof(cases[0]), test_steer_exits(&self->t, 58));
}

/* Asked about: delivered as it would be, and then taken away. */
static void ask_about(struct __test_metadata *_metadata, struct test_steer *steer,
		      const char *code, size_t bytes, unsigned int vector, uint64_t value,
		      unsigned int insn_len, int rip_moves)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, vector, vector);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	ASSERT_EQ(0, test_set_rules(steer->fd, &rule, 1));
	test_steer_load(steer, code, bytes);
	test_steer_start_to_exception(steer);
	ASSERT_EQ(0, test_next_event(steer->fd, &event, TEST_LONG_MS));
	EXPECT_EQ(vector, event.key);
	EXPECT_EQ(value, event.value & value);
	EXPECT_EQ(insn_len, event.insn_len);
	EXPECT_EQ(0, test_answer(steer->fd, event.seq, VITRINE_GO_ON));
	pthread_join(steer->runner, NULL);
	EXPECT_EQ(vector, steer->exception.vector);
	EXPECT_EQ(event.regs.rip + rip_moves, steer->exception.rip);

	if (!insn_len)
		return;
	test_steer_load(steer, code, bytes);
	test_steer_start(steer);
	ASSERT_EQ(0, test_next_event(steer->fd, &event, TEST_LONG_MS));
	reply = test_done(&event);
	EXPECT_EQ(0, ioctl(steer->fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(steer));
	test_vcpu_regs(steer->vcpu, &regs);
	EXPECT_EQ(MARK, regs.r8);
	ASSERT_EQ(0, test_set_rules(steer->fd, NULL, 0));
}

TEST_F(steer_class, traps)
{
	ask_about(_metadata, &self->t, GUEST_BLOB(int3), BP, 0, 1, 1);
	ask_about(_metadata, &self->t, GUEST_BLOB(int1), DB, 0, 1, 1);
	ask_about(_metadata, &self->t, GUEST_BLOB(trap_flag), DB, DR6_BS, 0, 0);
}

TEST_F(steer_class, overflow)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, OF, OF);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	test_vcpu_protected_mode(self->t.vcpu, GUEST_BLOB(into));
	test_vcpu_run_to_sync(self->t.vcpu);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(OF, event.key);
	EXPECT_EQ(1, event.insn_len);
	reply = test_done(&event);
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(MARK, regs.rbx);
}

TEST_F(steer_class, alignment_checks_of_a_program)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, AC, AC);
	uint64_t *tss_rsp0 = test_vm_hva(self->t.vm, TEST_TSS_GPA + 4);
	struct vitrine_exit_event event;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	*tss_rsp0 = TEST_STACK_GPA;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	test_steer_load(&self->t, GUEST_BLOB(misaligned));
	test_vcpu_sregs(self->t.vcpu, &sregs);
	sregs.cr0 |= CR0_AM;
	sregs.cs.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ss.selector |= 3;
	sregs.ss.dpl = 3;
	test_vcpu_set_sregs(self->t.vcpu, &sregs);
	test_vcpu_regs(self->t.vcpu, &regs);
	regs.rflags |= RFLAGS_AC | RFLAGS_IOPL;
	test_vcpu_set_regs(self->t.vcpu, &regs);
	test_steer_start_to_exception(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(AC, event.key);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(AC, self->t.exception.vector);
	EXPECT_EQ(3, self->t.exception.cs & 3);
}

/* Told of an instruction that faults, or is stepped over: what it raised comes, whatever is set. */
TEST_F(steer_class, what_an_instruction_raised)
{
	struct vitrine_rule rules[] = {
		test_rule(VITRINE_ON_WRMSR, VITRINE_DO_TELL, 0, 0xffffffff),
		test_rule(VITRINE_ON_CPUID, VITRINE_DO_TELL, 0, 0xffffffff),
	};
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	for (i = 0; i < 2; i++) {
		if (i)
			test_steer_load(&self->t, GUEST_BLOB(stepped_cpuid));
		else
			test_steer_load(&self->t, GUEST_BLOB(wrmsr_bad));
		test_steer_start_to_exception(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(VITRINE_EVENT_AFTER, event.flags);
		reply = (struct vitrine_answer){ .seq = event.seq, .flags = VITRINE_SET_REGS,
						 .regs = event.regs };
		EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
		pthread_join(self->t.runner, NULL);
		EXPECT_EQ(i ? DB : GP, self->t.exception.vector);
		EXPECT_EQ(event.regs.rip, self->t.exception.rip);
	}
}

/* In the shadow of STI, where an entry with TF has a rule of its own. */
TEST_F(steer_class, a_step_in_a_shadow)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, DB, DB);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;
	unsigned int i;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	for (i = 0; i < 2; i++) {
		test_steer_load(&self->t, GUEST_BLOB(stepped_sti));
		test_vcpu_regs(self->t.vcpu, &regs);
		regs.r8 = 0;
		test_vcpu_set_regs(self->t.vcpu, &regs);
		if (i)
			test_steer_start_to_exception(&self->t);
		else
			test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		reply = (struct vitrine_answer){ .seq = event.seq, .verdict = VITRINE_DONE };
		if (i) {
			reply.verdict = VITRINE_INJECT;
			reply.vector = UD;
			EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
			pthread_join(self->t.runner, NULL);
			EXPECT_EQ(UD, self->t.exception.vector);
			EXPECT_EQ(event.regs.rip, self->t.exception.rip);
			continue;
		}
		/* One is swallowed; then that of the instruction behind is answered without TF. */
		EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		reply = (struct vitrine_answer){ .seq = event.seq, .verdict = VITRINE_DONE,
						 .flags = VITRINE_SET_REGS, .regs = event.regs };
		reply.regs.rflags &= ~RFLAGS_TF;
		EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
		ASSERT_TRUE(test_steer_ended_well(&self->t));
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(MARK, regs.r8);
	}
}

/* KVM_SET_GUEST_DEBUG comes first, and nothing of it is an event. */
TEST_F(steer_class, the_vmm_debugs)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, 0, 31);
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP,
	};
	struct vitrine_exit_event event;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	test_steer_load(&self->t, GUEST_BLOB(int3));
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	EXPECT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->t.vcpu));
	EXPECT_EQ(BP, self->t.vcpu->run->debug.arch.exception);

	test_steer_load(&self->t, GUEST_BLOB(pause_));
	debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	EXPECT_EQ(KVM_EXIT_DEBUG, test_vcpu_run(self->t.vcpu));
	EXPECT_EQ(DB, self->t.vcpu->run->debug.arch.exception);
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));

	/* What it does not want is the guest's again. */
	debug.control = 0;
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	ask_about(_metadata, &self->t, GUEST_BLOB(int3), BP, 0, 1, 1);
}

/* An IRET that faults leaves NMIs blocked, also where a monitor has it executed once more. */
TEST_F(steer_class, nmis_stay_blocked)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, GP, GP);
	struct vitrine_exit_event event;
	struct kvm_vcpu_events events;
	unsigned int i;

	test_steer_load(&self->t, GUEST_BLOB(iret_bad));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	events.nmi.masked = 1;
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	test_steer_start_to_exception(&self->t);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(GP, event.key);
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq,
					 i ? VITRINE_GO_ON : VITRINE_DONE));
	}
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(GP, self->t.exception.vector);
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.nmi.masked);
}

/* Each instruction, or a refusal by name where the processor has no monitor trap flag. */
TEST_F(steer_class, steps)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_STEP, VITRINE_DO_ASK, 0, ~0ull);
	struct vitrine_exit_event event;
	struct vitrine_caps caps;
	unsigned int i;

	ASSERT_EQ(0, ioctl(self->t.vm->dev_fd, VITRINE_GET_CAPS, &caps));
	if (!(caps.vmx_msr[VMX_TRUE_PROCBASED] >> 32 & MONITOR_TRAP_FLAG)) {
		EXPECT_EQ(-EOPNOTSUPP, test_set_rules(self->t.fd, &rule, 1));
		/* And none of the others is in force. */
		test_steer_load(&self->t, GUEST_BLOB(nops));
		test_vcpu_run_to_sync(self->t.vcpu);
		return;
	}
	test_steer_load(&self->t, GUEST_BLOB(nops));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	test_steer_start(&self->t);
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(TEST_CODE_GPA + 3 + i, event.key);
		EXPECT_EQ(event.key, event.regs.rip);
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	}
	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	close(self->t.fd);
	self->t.fd = -1;
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

TEST_HARNESS_MAIN
