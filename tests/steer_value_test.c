// SPDX-License-Identifier: GPL-2.0
/*
 * Answers with a value: what an instruction reads or writes, of whatever width and into whatever
 * register; and accesses to devices in memory, which are asked about one by one.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/device.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define MSR_MISC_ENABLE	0x1a0
#define UD		6
#define DEVICE		TEST_DEVICE_GPA

/* No OUT first: the one that the guest before stands at is not to be completed in its place. */
#define START		"nop\n1: " GUEST_SYNC

GUEST_CODE(in_byte, START "mov $-1, %rax\nin $0x55, %al\nmov %rax, %r8\njmp 1b\n");
GUEST_CODE(rdmsr, START "mov $0x1a0, %ecx\nrdmsr\nmov %rax, %r8\nmov %rdx, %r9\njmp 1b\n");
GUEST_CODE(rdtscp, START "rdtscp\nmov %rax, %r8\nmov %rdx, %r9\njmp 1b\n");
GUEST_CODE(rdpmc, START "xor %ecx, %ecx\nrdpmc\nmov %rax, %r8\nmov %rdx, %r9\njmp 1b\n");
GUEST_CODE(read_cr3, START "mov %cr3, %r8\njmp 1b\n");
GUEST_CODE(read_dr1, START "mov %dr1, %r8\njmp 1b\n");
GUEST_CODE(rdrand, START "mov $-1, %r8\nclc\nrdrand %r8d\nsetc %r9b\nand $1, %r9\njmp 1b\n");

GUEST_CODE(wrmsr, START "mov $0x1a0, %ecx\nmov $1, %eax\nmov $0, %edx\nwrmsr\njmp 1b\n");
GUEST_CODE(write_dr1, START "mov $0x77, %ebx\nmov %rbx, %dr1\njmp 1b\n");
GUEST_CODE(out_word, START "mov $0x12345678, %eax\nout %ax, $0x55\njmp 1b\n");
GUEST_CODE(cpuid, START "cpuid\njmp 1b\n");
GUEST_CODE(outs, START "mov $0x55, %edx\nmov $0x10000, %esi\noutsb\njmp 1b\n");

GUEST_CODE(load, START "mov $-1, %r8\nmov (%rsi), %r8w\njmp 1b\n");
GUEST_CODE(store, START "mov $0x1234, %r8d\nmov %r8d, (%rsi)\njmp 1b\n");
GUEST_CODE(add, START "addl $1, (%rsi)\nsetz %r8b\nmovzb %r8b, %r8\njmp 1b\n");
GUEST_CODE(load16, START "movdqu (%rsi), %xmm1\nmovq %xmm1, %r8\npsrldq $8, %xmm1\n"
	   "movq %xmm1, %r9\njmp 1b\n");
GUEST_CODE(movs, START "mov $0x10000, %edi\nmov $3, %ecx\nrep movsb\njmp 1b\n");

TEST_STEER_FIXTURE(value)

static int put(int fd, const struct vitrine_exit_event *event, uint32_t verdict, uint32_t flags,
	       uint64_t value)
{
	struct vitrine_answer answer = {
		.seq = event->seq, .verdict = verdict, .flags = flags, .value = value,
	};

	return ioctl(fd, VITRINE_ANSWER, &answer) ? -errno : 0;
}

static int answer_read(int fd, const struct vitrine_exit_event *event, uint64_t value)
{
	return put(fd, event, VITRINE_DONE, VITRINE_ADVANCE | VITRINE_SET_VALUE, value);
}

static int answer_write(int fd, const struct vitrine_exit_event *event, uint64_t value)
{
	return put(fd, event, VITRINE_GO_ON, VITRINE_SET_VALUE, value);
}

static int ask_all(struct test_steer *steer, uint32_t on, uint64_t last)
{
	struct vitrine_rule rule = test_rule(on, VITRINE_DO_ASK, 0, last);

	return test_set_rules(steer->fd, &rule, 1);
}

#define READ(code_) .code = code_, .end = code_##_end

TEST_F(value, is_what_is_read)
{
	static const struct {
		const char *code, *end;
		uint32_t on;
		uint64_t last, value, r8, r9;
	} cases[] = {
		{ READ(in_byte), VITRINE_ON_IN, 0xffff, 0x1ab, 0xffffffffffffffab, 0 },
		{ READ(rdmsr), VITRINE_ON_RDMSR, 0xffffffff, 0x1122334455667788, 0x55667788,
		  0x11223344 },
		{ READ(rdtscp), VITRINE_ON_RDTSC, 1, 0x100000002, 2, 1 },
		{ READ(rdpmc), VITRINE_ON_RDPMC, 0xffffffff, 0x700000008, 8, 7 },
		{ READ(read_cr3), VITRINE_ON_CR_READ, 8, 0x1234567812345678, 0x1234567812345678,
		  0 },
		{ READ(read_dr1), VITRINE_ON_DR_READ, 7, 0x8765432187654321, 0x8765432187654321,
		  0 },
		{ READ(rdrand), VITRINE_ON_RDRAND, 8, 0x1100000022, 0x22, 1 },
	};
	struct vitrine_exit_event event;
	struct kvm_regs regs;
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
		test_steer_load(&self->t, cases[i].code, cases[i].end - cases[i].code);
		test_vcpu_regs(self->t.vcpu, &regs);
		regs.r9 = 0;
		test_vcpu_set_regs(self->t.vcpu, &regs);
		ASSERT_EQ(0, ask_all(&self->t, cases[i].on, cases[i].last));
		test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(VITRINE_EVENT_VALUE, event.flags);
		/* It cannot be told to go on and read that. */
		EXPECT_EQ(-EINVAL, answer_write(self->t.fd, &event, 1));
		EXPECT_EQ(-EINVAL, put(self->t.fd, &event, VITRINE_DONE, VITRINE_SET_VALUE, 1));
		EXPECT_EQ(0, answer_read(self->t.fd, &event, cases[i].value));
		ASSERT_TRUE(test_steer_ended_well(&self->t));
		test_vcpu_regs(self->t.vcpu, &regs);
		EXPECT_EQ(cases[i].r8, regs.r8);
		EXPECT_EQ(cases[i].r9, regs.r9);
	}
}

/* The event of the guest's next instruction of the class. */
static void stand(struct __test_metadata *_metadata, struct test_steer *steer, const char *code,
		  size_t bytes, uint32_t on, struct vitrine_exit_event *event)
{
	uint64_t last = on == VITRINE_ON_DR_WRITE ? 7 : on == VITRINE_ON_OUT ? 0xffff : 0xffffffff;

	ASSERT_EQ(0, test_set_rules(steer->fd, NULL, 0));
	test_steer_load(steer, code, bytes);
	ASSERT_EQ(0, ask_all(steer, on, last));
	if (on == VITRINE_ON_OUT) {
		struct vitrine_rule rule = test_rule(on, VITRINE_DO_ASK, 0x55, 0x55);

		ASSERT_EQ(0, test_set_rules(steer->fd, &rule, 1));
	}
	test_steer_start(steer);
	ASSERT_EQ(0, test_next_event(steer->fd, event, TEST_LONG_MS));
}

TEST_F(value, is_what_is_written)
{
	struct kvm_run *run = self->t.vcpu->run;
	struct vitrine_exit_event event;
	struct kvm_debugregs debug;
	struct kvm_regs regs;
	uint64_t value = 0;

	ASSERT_EQ(1, test_vcpu_get_msr(self->t.vcpu, MSR_MISC_ENABLE, &value));
	stand(_metadata, &self->t, GUEST_BLOB(wrmsr), VITRINE_ON_WRMSR, &event);
	EXPECT_EQ(1, event.value);
	EXPECT_EQ(-EINVAL, answer_read(self->t.fd, &event, value));
	EXPECT_EQ(0, answer_write(self->t.fd, &event, value ^ 1));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(1, test_vcpu_get_msr(self->t.vcpu, MSR_MISC_ENABLE, &value));
	EXPECT_NE(1, value);
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(1, regs.rax);
	EXPECT_EQ(0, regs.rdx);

	stand(_metadata, &self->t, GUEST_BLOB(write_dr1), VITRINE_ON_DR_WRITE, &event);
	EXPECT_EQ(0, answer_write(self->t.fd, &event, 0x88));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	EXPECT_EQ(0x88, debug.db[1]);
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0x77, regs.rbx);

	stand(_metadata, &self->t, GUEST_BLOB(out_word), VITRINE_ON_OUT, &event);
	EXPECT_EQ(0x5678, event.value);
	EXPECT_EQ(0, answer_write(self->t.fd, &event, 0x9abc));
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_IO, run->exit_reason);
	EXPECT_EQ(0x55, run->io.port);
	EXPECT_EQ(0x9abc, *(uint16_t *)((uint8_t *)run + run->io.data_offset));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0x12345678, regs.rax);
}

TEST_F(value, that_cannot_be)
{
	struct vitrine_exit_event event;

	stand(_metadata, &self->t, GUEST_BLOB(cpuid), VITRINE_ON_CPUID, &event);
	EXPECT_EQ(0, event.flags);
	EXPECT_EQ(-EINVAL, answer_read(self->t.fd, &event, 1));
	EXPECT_EQ(-EINVAL, answer_write(self->t.fd, &event, 1));
	/* And a value that nothing says is one. */
	EXPECT_EQ(-EINVAL, put(self->t.fd, &event, VITRINE_GO_ON, 0, 1));
	EXPECT_EQ(-EINVAL, put(self->t.fd, &event, VITRINE_INJECT, VITRINE_SET_VALUE, 1));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));

	/* What a string writes is in memory. */
	stand(_metadata, &self->t, GUEST_BLOB(outs), VITRINE_ON_OUT, &event);
	EXPECT_EQ(0, event.flags);
	EXPECT_EQ(-EINVAL, answer_write(self->t.fd, &event, 1));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
}

/* A guest at its sync point, with RSI at the device, and rules about all of the device. */
static void at_device(struct __test_metadata *_metadata, struct test_steer *steer,
		      const char *code, size_t bytes, uint32_t action)
{
	struct vitrine_rule rules[] = {
		test_rule(VITRINE_ON_MMIO_READ, action, DEVICE, DEVICE + 0xfff),
		test_rule(VITRINE_ON_MMIO_WRITE, action, DEVICE, DEVICE + 0xfff),
	};

	test_steer_load(steer, code, bytes);
	test_steer_set_guest(steer, DEVICE + 0x10, 0, 0);
	ASSERT_EQ(0, test_set_rules(steer->fd, rules, 2));
}

static uint64_t r8_of(struct test_steer *steer)
{
	struct kvm_regs regs;

	test_vcpu_regs(steer->vcpu, &regs);
	return regs.r8;
}

TEST_F(value, a_device_that_nobody_has)
{
	struct vitrine_exit_event event;

	at_device(_metadata, &self->t, GUEST_BLOB(load), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_MMIO_READ, event.on);
	EXPECT_EQ(DEVICE + 0x10, event.key);
	EXPECT_EQ(2, event.sub);
	EXPECT_EQ(4, event.insn_len);
	EXPECT_EQ(VITRINE_EVENT_VALUE, event.flags);
	EXPECT_EQ(0, answer_read(self->t.fd, &event, 0x5abcd));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(0xffffffffffffabcd, r8_of(&self->t));
	/* Without a value the instruction is over, and again, and then without the rule. */
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_DONE));
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, put(self->t.fd, &event, VITRINE_DONE, VITRINE_ADVANCE, 0));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(~0ull, r8_of(&self->t));
	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	EXPECT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->t.vcpu));

	at_device(_metadata, &self->t, GUEST_BLOB(store), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_MMIO_WRITE, event.on);
	EXPECT_EQ(4, event.sub);
	EXPECT_EQ(0x1234, event.value);
	EXPECT_EQ(-EINVAL, answer_read(self->t.fd, &event, 1));
	EXPECT_EQ(0, put(self->t.fd, &event, VITRINE_DONE, VITRINE_ADVANCE, 0));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
}

TEST_F(value, a_device_of_the_vmms)
{
	struct vitrine_answer fault = { .verdict = VITRINE_INJECT, .vector = UD };
	struct kvm_run *run = self->t.vcpu->run;
	struct vitrine_exit_event event;

	at_device(_metadata, &self->t, GUEST_BLOB(store), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, answer_write(self->t.fd, &event, 0x99887766));
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
	EXPECT_EQ(DEVICE + 0x10, run->mmio.phys_addr);
	EXPECT_EQ(4, run->mmio.len);
	EXPECT_EQ(0, memcmp(run->mmio.data, "\x66\x77\x88\x99", 4));
	EXPECT_EQ(0x1234, r8_of(&self->t));
	test_vcpu_run_to_sync(self->t.vcpu);

	test_steer_start_to_exception(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	fault.seq = event.seq;
	EXPECT_EQ(0, ioctl(self->t.fd, VITRINE_ANSWER, &fault));
	pthread_join(self->t.runner, NULL);
	EXPECT_EQ(UD, self->t.exception.vector);
	EXPECT_EQ(event.regs.rip, self->t.exception.rip);

	/* As usual: the VMM reads and is written to, with nothing asked twice. */
	at_device(_metadata, &self->t, GUEST_BLOB(add), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_MMIO_READ, event.on);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
	EXPECT_EQ(0, run->mmio.is_write);
	memset(run->mmio.data, 0xff, 4);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_MMIO_WRITE, event.on);
	EXPECT_EQ(0, event.value);
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_MMIO, run->exit_reason);
	EXPECT_EQ(1, run->mmio.is_write);
	test_vcpu_run_to_sync(self->t.vcpu);
	EXPECT_EQ(1, r8_of(&self->t));
}

TEST_F(value, several_accesses_of_one_instruction)
{
	struct vitrine_exit_event event;
	struct kvm_regs regs;
	unsigned int i;

	at_device(_metadata, &self->t, GUEST_BLOB(add), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, answer_read(self->t.fd, &event, 5));
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_MMIO_WRITE, event.on);
	EXPECT_EQ(6, event.value);
	EXPECT_EQ(0, put(self->t.fd, &event, VITRINE_DONE, VITRINE_ADVANCE, 0));
	ASSERT_TRUE(test_steer_ended_well(&self->t));

	at_device(_metadata, &self->t, GUEST_BLOB(load16), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(DEVICE + 0x10 + 8 * i, event.key);
		EXPECT_EQ(8, event.sub);
		EXPECT_EQ(0, answer_read(self->t.fd, &event, 0x1111111111111111 * (i + 1)));
	}
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(0x1111111111111111, regs.r8);
	EXPECT_EQ(0x2222222222222222, regs.r9);

	at_device(_metadata, &self->t, GUEST_BLOB(movs), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(DEVICE + 0x10 + i, event.key);
		EXPECT_EQ(1, event.sub);
		EXPECT_EQ(3 - i, event.regs.rcx);
		EXPECT_EQ(0, answer_read(self->t.fd, &event, 'a' + i));
	}
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(0, memcmp(test_vm_hva(self->t.vm, TEST_DATA_GPA), "abc", 4));
}

TEST_F(value, told_of_accesses)
{
	struct kvm_run *run = self->t.vcpu->run;
	struct vitrine_exit_event event;
	unsigned int i;

	at_device(_metadata, &self->t, GUEST_BLOB(load), VITRINE_DO_TELL);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->t.vcpu));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));
	memset(run->mmio.data, 0x3c, 2);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_EVENT_AFTER, event.flags);
	EXPECT_EQ(0xffffffffffff3c3c, event.regs.r8);
	EXPECT_EQ(-EINVAL, answer_read(self->t.fd, &event, 1));
	EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));

	/* The first before the second is made. */
	at_device(_metadata, &self->t, GUEST_BLOB(load16), VITRINE_DO_TELL);
	ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(self->t.vcpu));
	for (i = 0; i < 2; i++) {
		memset(run->mmio.data, i + 1, 8);
		test_steer_start(&self->t);
		ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
		EXPECT_EQ(DEVICE + 0x10 + 8 * i, event.key);
		EXPECT_EQ(0, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
		pthread_join(self->t.runner, NULL);
		EXPECT_EQ(i ? KVM_EXIT_IO : KVM_EXIT_MMIO, run->exit_reason);
	}
	EXPECT_EQ(0x0101010101010101, r8_of(&self->t));
}

/* The VMM's mind changes while an access waits: it is made anew, or given up. */
TEST_F(value, registers_change_while_an_access_waits)
{
	struct vitrine_exit_event event, again;
	struct kvm_regs regs;

	at_device(_metadata, &self->t, GUEST_BLOB(load), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	test_steer_interrupt(&self->t);
	EXPECT_EQ(EINTR, self->t.error);
	test_vcpu_regs(self->t.vcpu, &regs);
	EXPECT_EQ(event.regs.rip, regs.rip);
	regs.rsi += 0x20;
	test_vcpu_set_regs(self->t.vcpu, &regs);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &again, TEST_LONG_MS));
	EXPECT_EQ(DEVICE + 0x30, again.key);
	EXPECT_EQ(-ENOENT, answer_read(self->t.fd, &event, 1));
	EXPECT_EQ(0, answer_read(self->t.fd, &again, 2));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	EXPECT_EQ(0xffffffffffff0002, r8_of(&self->t));
}

/* Then the access goes where it would have gone. */
TEST_F(value, the_tool_dies_while_an_access_waits)
{
	struct vitrine_exit_event event;

	at_device(_metadata, &self->t, GUEST_BLOB(store), VITRINE_DO_ASK);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	close(self->t.fd);
	self->t.fd = -1;
	pthread_join(self->t.runner, NULL);
	ASSERT_EQ(KVM_EXIT_MMIO, self->t.vcpu->run->exit_reason);
	EXPECT_EQ(0, memcmp(self->t.vcpu->run->mmio.data, "\x34\x12\0\0", 4));
	test_vcpu_run_to_sync(self->t.vcpu);
}

TEST_HARNESS_MAIN
