// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts in an exit policy: of the local APIC, of the PICs in the kernel and of the VMM's own.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/irq.h"
#include "lib/monitor.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define VECTOR		0x41
#define OTHER		0x52
#define PIC_BASE	0x20
#define PIC_PIN		4
#define MASTER_DATA	0x21
#define MASTER		0x20
#define MARK		0x5eed
#define UD		6

FIXTURE(steer_irq) {
	struct test_steer t;
};

FIXTURE_VARIANT(steer_irq) {
	bool apicv;		/* the processor delivers, where no rule asks */
};

FIXTURE_VARIANT_ADD(steer_irq, plain) { };
FIXTURE_VARIANT_ADD(steer_irq, apicv) { .apicv = true };

static void set_apicv(bool on)
{
	FILE *file = fopen("/sys/module/vitrine/parameters/apicv", "w");

	if (!file || fputs(on ? "1" : "0", file) < 0 || fclose(file))
		test_die("parameter apicv");
}

FIXTURE_SETUP(steer_irq)
{
	struct test_steer *t = &self->t;

	memset(t, 0, sizeof(*t));
	set_apicv(variant->apicv);
	t->vm = test_vm_create_irqchip();
	set_apicv(false);
	t->vcpu = test_vcpu_create(t->vm, 0);
	apic_set_cpuid(t->vcpu);
	ASSERT_EQ(0, ioctl(t->vm->fd, VITRINE_GET_VM_ID, &t->vm_id));
	t->fd = test_attach(t->vm->dev_fd, t->vm_id, VITRINE_ATTACH_STEER);
	ASSERT_LE(0, t->fd);
	test_irq_start(t->vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(t->vcpu);
	apic_set_x2(t->vcpu, APIC_SPIV, SPIV_ON);
}

FIXTURE_TEARDOWN(steer_irq)
{
	test_steer_free(&self->t);
}

static void do_nothing(int signal)
{
	(void)signal;
}

static int ask_about(struct test_steer *t, uint32_t action, uint8_t vector)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_INTERRUPT, action, vector, vector);

	return test_set_rules(t->fd, &rule, 1);
}

/* It waits in the APIC; interrupts go on for a moment with the next RUN. */
static void send_to_self(struct test_steer *t, uint8_t vector)
{
	apic_set_x2(t->vcpu, APIC_SELF_IPI, vector);
}

static void begin_window(struct test_steer *t)
{
	test_vcpu_set_command(t->vcpu, TEST_IRQ_WINDOW, 0, 0);
	test_steer_start(t);
}

TEST_F(steer_irq, is_asked_about_and_goes_on)
{
	struct test_steer *t = &self->t;
	struct vitrine_exit_event event;

	ASSERT_EQ(0, ask_about(t, VITRINE_DO_ASK, VECTOR));
	send_to_self(t, VECTOR);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_ON_INTERRUPT, event.on);
	EXPECT_EQ(VECTOR, event.key);
	EXPECT_EQ(0, event.reason);
	EXPECT_EQ(0, event.insn_len);
	EXPECT_TRUE(event.regs.rflags & RFLAGS_IF);
	EXPECT_EQ(0, test_answer(t->fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(t));
	ASSERT_EQ(1, test_irq_count(t->vcpu));
	EXPECT_EQ(VECTOR, test_irq_vector(t->vcpu, 0));

	/* Another vector is nobody's business, and neither is this one without the rule. */
	send_to_self(t, OTHER);
	test_irq_window(t->vcpu);
	ASSERT_EQ(0, test_set_rules(t->fd, NULL, 0));
	send_to_self(t, VECTOR);
	test_irq_window(t->vcpu);
	EXPECT_EQ(3, test_irq_count(t->vcpu));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(t->fd, &event, 0));
}

/* The VMM writes the vCPU's state while it waits, as one does that moves a guest. */
TEST_F(steer_irq, is_taken_away_from_a_vcpu_that_was_set)
{
	struct test_steer *t = &self->t;
	struct vitrine_exit_event event;
	struct kvm_vcpu_events events;

	signal(SIGUSR1, do_nothing);
	ASSERT_EQ(0, ask_about(t, VITRINE_DO_ASK, VECTOR));
	send_to_self(t, VECTOR);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	pthread_kill(t->runner, SIGUSR1);
	pthread_join(t->runner, NULL);
	ASSERT_EQ(EINTR, t->error);
	ASSERT_EQ(0, ioctl(t->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.interrupt.injected);
	EXPECT_EQ(VECTOR, events.interrupt.nr);
	ASSERT_EQ(0, ioctl(t->vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	test_steer_start(t);
	EXPECT_EQ(0, test_answer(t->fd, event.seq, VITRINE_DONE));
	ASSERT_TRUE(test_steer_ended_well(t));
	EXPECT_EQ(0, test_irq_count(t->vcpu));
	ASSERT_EQ(0, test_set_rules(t->fd, NULL, 0));
	EXPECT_EQ(0, apic_x2(t->vcpu, APIC_ISR + 0x10 * (VECTOR / 32)));
	/* A lower one gets through. */
	send_to_self(t, VECTOR - 0x10);
	test_irq_window(t->vcpu);
	EXPECT_EQ(1, test_irq_count(t->vcpu));
}

TEST_F(steer_irq, is_taken_away)
{
	struct vitrine_answer fault = { .verdict = VITRINE_INJECT, .vector = UD };
	struct test_steer *t = &self->t;
	struct vitrine_exit_event event;
	struct vitrine_answer reply;

	ASSERT_EQ(0, ask_about(t, VITRINE_DO_ASK, VECTOR));
	send_to_self(t, VECTOR);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	/* No instruction is there to be done, and no exception stands for an interrupt. */
	fault.seq = event.seq;
	EXPECT_EQ(-1, ioctl(t->fd, VITRINE_ANSWER, &fault));
	EXPECT_EQ(EINVAL, errno);
	reply = test_done(&event);
	EXPECT_EQ(-1, ioctl(t->fd, VITRINE_ANSWER, &reply));
	EXPECT_EQ(0, test_answer(t->fd, event.seq, VITRINE_DONE));
	ASSERT_TRUE(test_steer_ended_well(t));
	EXPECT_EQ(0, test_irq_count(t->vcpu));
	/* It is not in service, and not requested. */
	ASSERT_EQ(0, test_set_rules(t->fd, NULL, 0));
	EXPECT_EQ(0, apic_x2(t->vcpu, APIC_PPR));
	EXPECT_EQ(0, apic_x2(t->vcpu, APIC_ISR + 0x10 * (VECTOR / 32)));
	test_irq_window(t->vcpu);
	EXPECT_EQ(0, test_irq_count(t->vcpu));
	/* A lower one gets through. */
	send_to_self(t, VECTOR - 0x10);
	test_irq_window(t->vcpu);
	EXPECT_EQ(1, test_irq_count(t->vcpu));
}

TEST_F(steer_irq, is_told_of)
{
	struct test_steer *t = &self->t;
	struct vitrine_exit_event event;

	EXPECT_EQ(-EINVAL, ask_about(t, VITRINE_DO_OBSERVE, VECTOR));
	ASSERT_EQ(0, ask_about(t, VITRINE_DO_TELL, VECTOR));
	send_to_self(t, VECTOR);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VITRINE_EVENT_AFTER, event.flags);
	EXPECT_EQ(VECTOR, event.key);
	EXPECT_EQ(-EINVAL, test_answer(t->fd, event.seq, VITRINE_DONE));
	EXPECT_EQ(0, test_answer(t->fd, event.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(t));
	EXPECT_EQ(1, test_irq_count(t->vcpu));
	EXPECT_EQ(-ETIMEDOUT, test_next_event(t->fd, &event, 0));
}

/* Signals, a VMM that looks, a tool that dies: it is delivered once. */
TEST_F(steer_irq, waits_and_is_not_lost)
{
	struct test_steer *t = &self->t;
	struct kvm_vcpu_events events;
	struct vitrine_exit_event event;
	struct kvm_regs regs;

	ASSERT_EQ(0, ask_about(t, VITRINE_DO_ASK, VECTOR));
	send_to_self(t, VECTOR);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	test_steer_interrupt(t);
	EXPECT_EQ(EINTR, t->error);
	ASSERT_EQ(0, ioctl(t->vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	EXPECT_EQ(1, events.interrupt.injected);
	EXPECT_EQ(VECTOR, events.interrupt.nr);

	/* The VMM changes a register: it is asked about again. */
	test_vcpu_regs(t->vcpu, &regs);
	regs.r15 ^= 1;
	test_vcpu_set_regs(t->vcpu, &regs);
	test_steer_start(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VECTOR, event.key);
	close(t->fd);
	t->fd = -1;
	ASSERT_TRUE(test_steer_ended_well(t));
	EXPECT_EQ(1, test_irq_count(t->vcpu));
	test_irq_window(t->vcpu);
	EXPECT_EQ(1, test_irq_count(t->vcpu));
}

TEST_F(steer_irq, of_the_pic)
{
	struct test_steer *t = &self->t;
	struct vitrine_exit_event event;

	test_irq_set_eoi(t->vcpu, TEST_EOI_PIC);
	apic_set_x2(t->vcpu, APIC_LVT0, 0x700);
	test_irq_out(t->vcpu, MASTER, 0x11);
	test_irq_out(t->vcpu, MASTER_DATA, PIC_BASE);
	test_irq_out(t->vcpu, MASTER_DATA, 4);
	test_irq_out(t->vcpu, MASTER_DATA, 1);
	test_irq_out(t->vcpu, MASTER_DATA, (uint8_t)~(1u << PIC_PIN));
	ASSERT_EQ(0, ask_about(t, VITRINE_DO_ASK, PIC_BASE + PIC_PIN));
	test_irq_line(t->vm, PIC_PIN, 1);
	test_irq_line(t->vm, PIC_PIN, 0);
	begin_window(t);
	ASSERT_EQ(0, test_next_event(t->fd, &event, TEST_LONG_MS));
	EXPECT_EQ(PIC_BASE + PIC_PIN, event.key);
	EXPECT_EQ(0, test_answer(t->fd, event.seq, VITRINE_DONE));
	ASSERT_TRUE(test_steer_ended_well(t));
	EXPECT_EQ(0, test_irq_count(t->vcpu));
	/* Ended: the next comes. */
	ASSERT_EQ(0, test_set_rules(t->fd, NULL, 0));
	test_irq_line(t->vm, PIC_PIN, 1);
	test_irq_line(t->vm, PIC_PIN, 0);
	test_irq_window(t->vcpu);
	EXPECT_EQ(1, test_irq_count(t->vcpu));
}

GUEST_CODE(guest_window, "nop\n1: " GUEST_SYNC "sti\nnop\ncli\nmov $0x5eed, %r8d\njmp 1b\n");

TEST(of_the_vmms_own_pic)
{
	struct kvm_interrupt interrupt = { .irq = VECTOR };
	struct vitrine_exit_event event;
	struct test_steer t = { 0 };
	struct kvm_regs regs;

	test_steer_create(&t);
	test_steer_load(&t, GUEST_BLOB(guest_window));
	ASSERT_EQ(0, ask_about(&t, VITRINE_DO_ASK, VECTOR));
	ASSERT_EQ(0, ioctl(t.vcpu->fd, KVM_INTERRUPT, &interrupt));
	test_steer_start(&t);
	ASSERT_EQ(0, test_next_event(t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(VECTOR, event.key);
	EXPECT_EQ(0, test_answer(t.fd, event.seq, VITRINE_DONE));
	ASSERT_TRUE(test_steer_ended_well(&t));
	test_vcpu_regs(t.vcpu, &regs);
	EXPECT_EQ(MARK, regs.r8);
	/* The next one, too. */
	ASSERT_EQ(0, ioctl(t.vcpu->fd, KVM_INTERRUPT, &interrupt));
	test_steer_start(&t);
	ASSERT_EQ(0, test_next_event(t.fd, &event, TEST_LONG_MS));
	EXPECT_EQ(0, test_answer(t.fd, event.seq, VITRINE_DONE));
	ASSERT_TRUE(test_steer_ended_well(&t));
	test_steer_free(&t);
}

TEST_HARNESS_MAIN
