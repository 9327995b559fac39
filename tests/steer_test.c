// SPDX-License-Identifier: GPL-2.0
/*
 * A steering monitor, class by class: what an event says, and what an answer does to the guest. The
 * VMM is a thread that runs the guest and knows nothing; the tool is the test itself.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define MSR_MISC_ENABLE		0x1a0
#define MSR_SYSENTER_CS		0x174
#define MSR_FS_BASE		0xc0000100
#define MSR_TSC_AUX		0xc0000103
#define CR0_TS			8
#define RFLAGS_IF		0x200ull
#define GP			13
#define UD			6
#define PF			14
#define EXIT_CPUID		10
#define EXIT_RDTSC		16
#define EXIT_CR			28
#define EXIT_MSR_READ		31
#define FAKE_PORT		0x55
#define LOOPS			100

/* CPUID of leaf ESI, subleaf EDI; the answer is in R8, R9, R10, R11. */
GUEST_CODE(guest_cpuid, "1: " GUEST_SYNC
	   "mov %esi, %eax\nmov %edi, %ecx\ncpuid\n"
	   "mov %rax, %r8\nmov %rbx, %r9\nmov %rcx, %r10\nmov %rdx, %r11\njmp 1b\n");
/* RDMSR or, with RDI not 0, WRMSR of the MSR in ESI and RBX; what was read is in R8. */
GUEST_CODE(guest_msr, "1: " GUEST_SYNC
	   "mov %esi, %ecx\ntest %edi, %edi\njz 2f\n"
	   "mov %rbx, %rax\nmov %rbx, %rdx\nshr $32, %rdx\nwrmsr\njmp 1b\n"
	   "2: rdmsr\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r8\njmp 1b\n");
GUEST_CODE(guest_port, "1: " GUEST_SYNC "xor %eax, %eax\nin $0x55, %al\nmov %rax, %r8\n"
	   "mov $0x77, %al\nout %al, $0x55\njmp 1b\n");
/* What is left in RCX and RSI is in R8 and R9. */
GUEST_CODE(guest_outs, "1: " GUEST_SYNC "mov $0x10000, %esi\nmov $4, %ecx\nmov $0x55, %edx\ncld\n"
	   "rep outsb\nmov %rcx, %r8\nmov %rsi, %r9\njmp 1b\n");
GUEST_CODE(guest_tsc, "1: " GUEST_SYNC "mov $100, %ebx\n"
	   "2: rdtsc\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r8\ndec %ebx\njnz 2b\njmp 1b\n");
GUEST_CODE(guest_cr3, "1: " GUEST_SYNC "mov %cr3, %rax\nmov %rax, %cr3\nmov %cr3, %r8\njmp 1b\n");
GUEST_CODE(guest_cr4, "1: " GUEST_SYNC "mov %cr4, %rax\nxor %rsi, %rax\nmov %rax, %cr4\n"
	   "mov %cr4, %r8\njmp 1b\n");
/* TS on by MOV, off by CLTS. */
GUEST_CODE(guest_cr0, "1: " GUEST_SYNC "mov %cr0, %rax\nor $8, %rax\nmov %rax, %cr0\nclts\n"
	   "mov %cr0, %r8\njmp 1b\n");
GUEST_CODE(guest_hlt, "1: " GUEST_SYNC "hlt\ninc %r8\njmp 1b\n");
GUEST_CODE(guest_sti_hlt, "1: " GUEST_SYNC "sti\nhlt\ncli\njmp 1b\n");
GUEST_CODE(guest_rdtscp, "1: " GUEST_SYNC "rdtscp\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r8\n"
	   "mov %rcx, %r9\njmp 1b\n");
GUEST_CODE(guest_xsetbv, "mov %cr4, %rax\nbts $18, %rax\nmov %rax, %cr4\n1: " GUEST_SYNC
	   "xor %ecx, %ecx\nxor %edx, %edx\nmov $3, %eax\nxsetbv\nxgetbv\nmov %rax, %r8\njmp 1b\n");
GUEST_CODE(guest_ud, "1: " GUEST_SYNC "ud2\njmp 1b\n");
GUEST_CODE(guest_pf, "1: " GUEST_SYNC "mov $0x7000000000, %rbx\nmov %al, (%rbx)\njmp 1b\n");
GUEST_CODE(guest_vmcall, "1: " GUEST_SYNC "mov $77, %eax\nvmcall\nmov %rax, %r8\njmp 1b\n");

TEST_STEER_FIXTURE(steer)

TEST_F(steer, cpuid_is_answered)
{
	struct vitrine_rule of_leaf_7 = test_rule(VITRINE_ON_CPUID, VITRINE_DO_ASK, 7, 7);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	of_leaf_7.sub_last = 0;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &of_leaf_7, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_cpuid));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_NEXT_EVENT, &event));
	EXPECT_EQ(EAGAIN, errno);

	test_steer_set_guest(&self->t, 7, 0, 0);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, event.vcpu);
	EXPECT_EQ(VITRINE_ON_CPUID, event.on);
	EXPECT_EQ(7, event.key);
	EXPECT_EQ(0, event.sub);
	EXPECT_EQ(0, event.flags);
	EXPECT_EQ(2, event.insn_len);
	EXPECT_EQ(EXIT_CPUID, event.reason);
	EXPECT_EQ(7, event.regs.rax);
	EXPECT_EQ(7, event.regs.rsi);
	EXPECT_LE(TEST_CODE_GPA, event.regs.rip);
	EXPECT_EQ(TEST_PML4_GPA, event.cr3);
	reply = test_done(&event);
	reply.regs.rax = 0x11;
	reply.regs.rbx = 0x123456789abcull;
	reply.regs.rdx = 0x44;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0x11, regs.r8);
	EXPECT_EQ(0x123456789abcull, regs.r9);
	EXPECT_EQ(0x44, regs.r11);

	/* Another subleaf is nobody's business. */
	test_steer_set_guest(&self->t, 7, 1, 0);
	test_steer_start(&self->t);
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
}

TEST_F(steer, going_on_is_the_usual_handling)
{
	struct vitrine_rule all = test_rule(VITRINE_ON_CPUID, VITRINE_DO_ASK, 0, 0xffffffff);
	struct vitrine_exit_event event;
	struct kvm_regs regs;
	uint64_t vendor;

	test_steer_load(&self->t, GUEST_BLOB(guest_cpuid));
	test_steer_set_guest(&self->t, 0, 0, 0);
	test_vcpu_run_to_sync(self->t.vcpu);
	test_vcpu_regs(self->t.vcpu, &regs);
	vendor = regs.r9;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &all, 1));
	test_steer_set_guest(&self->t, 0, 0, 0);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(vendor, regs.r9);
	/* Once answered it is over. */
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
}

TEST_F(steer, told_after_it)
{
	struct vitrine_rule writes = test_rule(VITRINE_ON_WRMSR, VITRINE_DO_TELL, MSR_MISC_ENABLE,
					  MSR_MISC_ENABLE);
	struct vitrine_exit_event event;
	uint64_t value = 0;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &writes, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_msr));
	ASSERT_EQ(1, test_vcpu_get_msr(self->t.vcpu, MSR_MISC_ENABLE, &value));
	value ^= 1;
	test_steer_set_guest(&self->t, MSR_MISC_ENABLE, 1, value);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_EVENT_AFTER, event.flags);
	EXPECT_EQ(VITRINE_ON_WRMSR, event.on);
	EXPECT_EQ(MSR_MISC_ENABLE, event.key);
	EXPECT_EQ(value, event.value);
	EXPECT_EQ(-EINVAL, test_answer(self->t.fd, event.seq, VITRINE_DONE));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	value = 0;
	EXPECT_EQ(1, test_vcpu_get_msr(self->t.vcpu, MSR_MISC_ENABLE, &value));
	EXPECT_EQ(event.value, value);
}

TEST_F(steer, msrs_that_do_without_exits_exit_if_a_rule_names_them)
{
	struct vitrine_rule fs = test_rule(VITRINE_ON_RDMSR, VITRINE_DO_ASK, MSR_FS_BASE,
					   MSR_FS_BASE);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;
	uint64_t before;

	test_steer_load(&self->t, GUEST_BLOB(guest_msr));
	before = test_steer_exits(&self->t, EXIT_MSR_READ);
	test_steer_set_guest(&self->t, MSR_FS_BASE, 0, 0);
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(before, test_steer_exits(&self->t, EXIT_MSR_READ));

	ASSERT_EQ(0, test_set_rules(self->t.fd, &fs, 1));
	test_steer_set_guest(&self->t, MSR_SYSENTER_CS, 0, 0);
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(before, test_steer_exits(&self->t, EXIT_MSR_READ));
	test_steer_set_guest(&self->t, MSR_FS_BASE, 0, 0);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	reply = test_done(&event);
	reply.regs.rax = 0x5678;
	reply.regs.rdx = 0x1234;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0x123400005678ull, regs.r8);

	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	before = test_steer_exits(&self->t, EXIT_MSR_READ);
	test_steer_set_guest(&self->t, MSR_FS_BASE, 0, 0);
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(before, test_steer_exits(&self->t, EXIT_MSR_READ));
}

TEST_F(steer, a_class_nobody_names_is_not_intercepted)
{
	struct vitrine_rule tsc = test_rule(VITRINE_ON_RDTSC, VITRINE_DO_NOTHING, 0, 1);
	struct vitrine_exit_event event;

	test_steer_load(&self->t, GUEST_BLOB(guest_tsc));
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(0, test_steer_exits(&self->t, EXIT_RDTSC));
	/* A rule that does nothing wants nothing. */
	ASSERT_EQ(0, test_set_rules(self->t.fd, &tsc, 1));
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(0, test_steer_exits(&self->t, EXIT_RDTSC));
	/* Of another vCPU: exits, but nobody is asked. */
	tsc.action = VITRINE_DO_ASK;
	tsc.vcpu = 7;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &tsc, 1));
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(LOOPS, test_steer_exits(&self->t, EXIT_RDTSC));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(LOOPS, test_steer_exits(&self->t, EXIT_RDTSC));
}

TEST_F(steer, the_clock_is_the_tools)
{
	struct vitrine_rule tsc = test_rule(VITRINE_ON_RDTSC, VITRINE_DO_ASK, 0, 0);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;
	unsigned int i;

	test_steer_load(&self->t, GUEST_BLOB(guest_tsc));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &tsc, 1));
	test_steer_start(&self->t);
	for (i = 1; i <= LOOPS; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(VITRINE_ON_RDTSC, event.on);
		reply = test_done(&event);
		reply.regs.rax = i;
		reply.regs.rdx = 9;
		ASSERT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	}
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(9ull << 32 | LOOPS, regs.r8);
}

TEST_F(steer, a_port_answers_that_the_vmm_does_not_have)
{
	struct vitrine_rule rules[2] = {
		test_rule(VITRINE_ON_IN, VITRINE_DO_ASK, FAKE_PORT, FAKE_PORT),
		test_rule(VITRINE_ON_OUT, VITRINE_DO_ASK, FAKE_PORT, FAKE_PORT),
	};
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	test_steer_load(&self->t, GUEST_BLOB(guest_port));
	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_IN, event.on);
	EXPECT_EQ(1, event.sub);
	reply = test_done(&event);
	reply.regs.rax = 0xab;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_OUT, event.on);
	EXPECT_EQ(0x77, event.value);
	reply = test_done(&event);
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	/* The VMM has seen neither. */
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0xab, regs.r8);
}

TEST_F(steer, told_of_a_port_after_the_vmm_answered)
{
	struct vitrine_rule in = test_rule(VITRINE_ON_IN, VITRINE_DO_TELL, FAKE_PORT, FAKE_PORT);
	struct kvm_run *vmm = self->t.vcpu->run;
	struct vitrine_exit_event event;

	test_steer_load(&self->t, GUEST_BLOB(guest_port));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &in, 1));
	ASSERT_EQ(KVM_EXIT_IO, test_vcpu_run(self->t.vcpu));
	ASSERT_EQ(FAKE_PORT, vmm->io.port);
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
	*((uint8_t *)vmm + vmm->io.data_offset) = 0x3c;
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_EVENT_AFTER, event.flags);
	EXPECT_EQ(0x3c, event.regs.rax);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	/* That is the OUT. */
	EXPECT_EQ(0, self->t.error);
	EXPECT_EQ(KVM_EXIT_IO_OUT, vmm->io.direction);
}

/* A whole string is one event, whose value nobody looks up. */
TEST_F(steer, a_string_is_one_event)
{
	struct vitrine_rule out = test_rule(VITRINE_ON_OUT, VITRINE_DO_ASK, FAKE_PORT, FAKE_PORT);
	struct kvm_run *vmm = self->t.vcpu->run;
	struct vitrine_exit_event event;
	struct vitrine_answer reply;
	struct kvm_regs regs;

	memcpy(test_vm_hva(self->t.vm, TEST_DATA_GPA), "abcd", 4);
	test_steer_load(&self->t, GUEST_BLOB(guest_outs));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &out, 1));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_OUT, event.on);
	EXPECT_EQ(1, event.sub);
	EXPECT_EQ(0, event.value);
	EXPECT_EQ(4, event.regs.rcx);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_IO, vmm->exit_reason);
	EXPECT_EQ(FAKE_PORT, vmm->io.port);
	EXPECT_EQ(4, vmm->io.count);
	EXPECT_EQ(0, memcmp((char *)vmm + vmm->io.data_offset, "abcd", 4));
	test_vcpu_run_to_sync(self->t.vcpu);
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0, regs.r8);
	EXPECT_EQ(TEST_DATA_GPA + 4, regs.r9);

	/* Done by the tool: the VMM sees nothing of it, and the guest what the tool made of it. */
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	reply = test_done(&event);
	reply.regs.rcx = 1;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(1, regs.r8);
	EXPECT_EQ(TEST_DATA_GPA, regs.r9);
}

TEST_F(steer, control_registers)
{
	struct vitrine_rule rules[3] = {
		test_rule(VITRINE_ON_CR_WRITE, VITRINE_DO_ASK, 3, 3),
		test_rule(VITRINE_ON_CR_READ, VITRINE_DO_ASK, 3, 3),
		test_rule(VITRINE_ON_CR_WRITE, VITRINE_DO_ASK, 4, 4),
	};
	struct vitrine_exit_event event;
	struct kvm_regs regs;
	unsigned int i;
	uint64_t before;

	test_steer_load(&self->t, GUEST_BLOB(guest_cr3));
	before = test_steer_exits(&self->t, EXIT_CR);
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(before, test_steer_exits(&self->t, EXIT_CR));
	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	test_steer_start(&self->t);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(i == 1 ? VITRINE_ON_CR_WRITE : VITRINE_ON_CR_READ, event.on);
		EXPECT_EQ(3, event.key);
		EXPECT_EQ(0, event.value);
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	}
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(TEST_PML4_GPA, regs.r8);

	/* A bit that the guest owns otherwise (TSD), and only if it changes. */
	rules[2].mask = 4;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rules[2], 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_cr4));
	test_steer_set_guest(&self->t, 0x80, 0, 0);
	test_vcpu_run_to_sync(self->t.vcpu);
	test_steer_set_guest(&self->t, 4, 0, 0);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(4, event.value);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(4, regs.r8 & 4);
}

TEST_F(steer, task_switched_flag)
{
	struct vitrine_rule ts = test_rule(VITRINE_ON_CR_WRITE, VITRINE_DO_ASK, 0, 0);
	struct vitrine_exit_event event;
	struct kvm_regs regs;
	unsigned int i;

	ts.mask = CR0_TS;
	test_steer_load(&self->t, GUEST_BLOB(guest_cr0));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &ts, 1));
	test_steer_start(&self->t);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(VITRINE_ON_CR_WRITE, event.on);
		EXPECT_EQ(0, event.key);
		EXPECT_EQ(CR0_TS, event.value);
		EXPECT_EQ(i ? CR0_TS : 0, event.cr0 & CR0_TS);
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	}
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0, regs.r8 & CR0_TS);
}

TEST_F(steer, a_halt_that_is_none)
{
	struct vitrine_rule hlt = test_rule(VITRINE_ON_HLT, VITRINE_DO_ASK, 0, 0);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;

	test_steer_load(&self->t, GUEST_BLOB(guest_hlt));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &hlt, 1));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_HLT, event.on);
	EXPECT_EQ(1, event.insn_len);
	reply = test_done(&event);
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	/* The next one is the VMM's, as ever. */
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(KVM_EXIT_HLT, self->t.vcpu->run->exit_reason);
}

/* STI holds interrupts back for an instruction, which no entry may say where IF is clear. */
TEST_F(steer, an_answer_without_interrupts)
{
	struct vitrine_rule hlt = test_rule(VITRINE_ON_HLT, VITRINE_DO_ASK, 0, 0);
	struct vitrine_exit_event event;
	struct vitrine_answer reply;

	test_steer_load(&self->t, GUEST_BLOB(guest_sti_hlt));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &hlt, 1));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	reply = test_done(&event);
	reply.flags = VITRINE_SET_REGS;
	reply.regs.rflags &= ~RFLAGS_IF;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	/* The same once more. */
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, event.regs.rflags & RFLAGS_IF);
	reply = test_done(&event);
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

TEST_F(steer, a_clock_that_exits_shows_the_time)
{
	struct vitrine_rule rdtscp = test_rule(VITRINE_ON_RDTSC, VITRINE_DO_ASK, 1, 1);
	struct vitrine_exit_event event;
	struct kvm_regs before, after;

	ASSERT_EQ(1, test_vcpu_set_msr(self->t.vcpu, MSR_TSC_AUX, 0x1234));
	test_steer_load(&self->t, GUEST_BLOB(guest_rdtscp));
	test_vcpu_run_to_sync(self->t.vcpu);
	test_vcpu_regs(self->t.vcpu, &before);
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rdtscp, 1));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(1, event.key);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &after);
	EXPECT_EQ(0x1234, before.r9);
	EXPECT_EQ(0x1234, after.r9);
	EXPECT_LT(before.r8, after.r8);
	/* And again without an exit: it is the same clock. */
	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	test_vcpu_run_to_sync(self->t.vcpu);
	test_vcpu_regs(self->t.vcpu, &before);
	EXPECT_LT(after.r8, before.r8);
}

TEST_F(steer, extended_states)
{
	struct vitrine_rule xsetbv = test_rule(VITRINE_ON_XSETBV, VITRINE_DO_ASK, 0, 0);
	struct vitrine_exit_event event;
	struct kvm_regs regs;

	test_steer_load(&self->t, GUEST_BLOB(guest_xsetbv));
	xsetbv.mask = ~0ull;
	xsetbv.match = 3;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &xsetbv, 1));
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_XSETBV, event.on);
	EXPECT_EQ(3, event.value);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(3, regs.r8);
}

TEST_F(steer, exceptions_go_where_they_would)
{
	struct vitrine_rule all = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, 0, 31);
	struct vitrine_exit_event event;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &all, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_ud));
	test_steer_start_to_exception(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_EXCEPTION, event.on);
	EXPECT_EQ(UD, event.key);
	EXPECT_EQ(0, event.insn_len);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(UD, self->t.exception.vector);
}

TEST_F(steer, a_page_fault_keeps_its_address)
{
	struct vitrine_rule writes = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_ASK, PF, PF);
	struct vitrine_exit_event event;
	struct kvm_sregs sregs;

	writes.mask = 2;
	writes.match = 2;
	ASSERT_EQ(0, test_set_rules(self->t.fd, &writes, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_pf));
	test_steer_start_to_exception(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(PF, event.key);
	EXPECT_EQ(2, event.value);
	EXPECT_EQ(0x7000000000ull, event.qualification);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(PF, self->t.exception.vector);
	EXPECT_EQ(2, self->t.exception.error_code);
	test_vcpu_sregs(self->t.vcpu, &sregs);
	EXPECT_EQ(0x7000000000ull, sregs.cr2);
}

TEST_F(steer, an_exception_in_place_of_it)
{
	struct vitrine_rule calls = test_rule(VITRINE_ON_HYPERCALL, VITRINE_DO_ASK, 77, 77);
	struct vitrine_exit_event event;
	struct vitrine_answer reply = { .verdict = VITRINE_INJECT, .vector = GP };

	ASSERT_EQ(0, test_set_rules(self->t.fd, &calls, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_vmcall));
	test_steer_start_to_exception(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	reply.seq = event.seq;
	/* #GP has an error code, #UD none, 32 is no exception, 2 is the NMI. */
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	EXPECT_EQ(EINVAL, errno);
	reply.flags = VITRINE_HAS_ERROR;
	reply.vector = UD;
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	reply.vector = 32;
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	reply.vector = 2;
	reply.flags = 0;
	EXPECT_EQ(-1, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	reply.vector = GP;
	reply.flags = VITRINE_HAS_ERROR;
	reply.error_code = 0x1234;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &reply));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(GP, self->t.exception.vector);
	EXPECT_EQ(0x1234, self->t.exception.error_code);
	EXPECT_EQ(event.regs.rip, self->t.exception.rip);
}

TEST_HARNESS_MAIN
