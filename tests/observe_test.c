// SPDX-License-Identifier: GPL-2.0
/* VITRINE_DO_OBSERVE: exits that a rule names are recorded, nobody is asked, and nobody waits. */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define NR_RECORDS	16
#define FAKE_PORT	0x55
#define EXIT_CPUID	10
#define BP		3
#define PF		14
/* IDT-vectoring information */
#define VECTORING_VALID	(1u << 31)
#define SOFT_EXCEPTION	(6u << 8)

/* CPUID of leaves 0 to 9, and two OUTs. */
GUEST_CODE(guest_mixed, "1: " GUEST_SYNC "xor %edi, %edi\n"
	   "2: mov %edi, %eax\nxor %ecx, %ecx\ncpuid\ninc %edi\ncmp $10, %edi\njb 2b\n"
	   "mov $0x77, %al\nout %al, $0x55\njmp 1b\n");

/* Its interrupt table is not there: INT3 is on its way when the page fault comes. */
GUEST_CODE(guest_tableless, GUEST_SYNC
	   "mov $0x8000000000, %rax\npush %rax\npushw $0xfff\nlidt (%rsp)\nint3\n");

FIXTURE(observe) {
	struct test_steer t;
};

FIXTURE_SETUP(observe)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	test_steer_create(&self->t);
	test_steer_load(&self->t, GUEST_BLOB(guest_mixed));
}

FIXTURE_TEARDOWN(observe)
{
	if (self->t.vm)
		test_steer_free(&self->t);
}

/* To the OUT, and past it to the sync point. */
static void run_round(struct test_steer *steer)
{
	if (test_vcpu_run(steer->vcpu) != KVM_EXIT_IO || steer->vcpu->run->io.port != FAKE_PORT)
		test_die("no OUT");
	test_vcpu_run_to_sync(steer->vcpu);
}

TEST_F(observe, what_the_rules_name_and_nothing_else)
{
	struct vitrine_rule rules[2] = {
		test_rule(VITRINE_ON_CPUID, VITRINE_DO_NOTHING, 4, 4),
		test_rule(VITRINE_ON_CPUID, VITRINE_DO_OBSERVE, 3, 5),
	};
	struct vitrine_exit_event event;
	struct test_ring ring;

	test_ring_open(&ring, self->t.fd, 0, NR_RECORDS, 0);
	ASSERT_EQ(0, test_ring_filter(self->t.fd, 0, 0, 0));
	ASSERT_EQ(0, test_set_rules(self->t.fd, rules, 2));
	run_round(&self->t);
	ASSERT_EQ(2, ring.header->head);
	EXPECT_EQ(EXIT_CPUID, test_ring_record(&ring, 0)->reason);
	/* As the guest was before it. */
	EXPECT_EQ(3, test_ring_record(&ring, 0)->regs[0]);
	EXPECT_EQ(5, test_ring_record(&ring, 1)->regs[0]);
	EXPECT_EQ(1, test_ring_record(&ring, 1)->result);
	EXPECT_LT(0, test_ring_record(&ring, 1)->handler_ticks);
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &event, 0));

	ASSERT_EQ(0, test_set_rules(self->t.fd, NULL, 0));
	run_round(&self->t);
	EXPECT_EQ(2, ring.header->head);
	test_ring_close(&ring);
}

TEST_F(observe, once_where_the_ring_has_it_anyway)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_OBSERVE, 3, 3);
	struct test_ring ring;
	uint64_t i, before;

	test_ring_open(&ring, self->t.fd, 0, NR_RECORDS, 0);
	ASSERT_EQ(0, test_ring_filter(self->t.fd, 0, 1ull << EXIT_CPUID, 0));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	run_round(&self->t);
	EXPECT_EQ(10, ring.header->head);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(i, test_ring_record(&ring, i)->regs[0]);

	/* And beside a reason that the ring has. */
	ASSERT_EQ(0, test_ring_filter(self->t.fd, 0, 1ull << TEST_REASON_IO, 0));
	before = ring.header->head;
	run_round(&self->t);
	/* CPUID 3, OUT, and the OUT of the sync point */
	EXPECT_EQ(before + 3, ring.header->head);
	EXPECT_EQ(EXIT_CPUID, test_ring_record(&ring, before)->reason);
	EXPECT_EQ(TEST_REASON_IO, test_ring_record(&ring, before + 1)->reason);
	EXPECT_EQ(0, test_ring_record(&ring, before + 1)->result);
	test_ring_close(&ring);
}

TEST_F(observe, what_the_exit_interrupted)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_EXCEPTION, VITRINE_DO_OBSERVE, PF, PF);
	struct test_ring ring;
	struct test_steer t;

	test_steer_create(&t);
	test_steer_load(&t, GUEST_BLOB(guest_tableless));
	test_ring_open(&ring, t.fd, 0, NR_RECORDS, 0);
	ASSERT_EQ(0, test_ring_filter(t.fd, 0, 0, 0));
	ASSERT_EQ(0, test_set_rules(t.fd, &rule, 1));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, test_vcpu_run(t.vcpu));
	ASSERT_LE(1, ring.header->head);
	EXPECT_EQ(VECTORING_VALID | SOFT_EXCEPTION | BP,
		  test_ring_record(&ring, 0)->vectoring_info);
	test_ring_close(&ring);
	test_steer_free(&t);
}

TEST_F(observe, not_for_who_does_not_steer)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_OBSERVE, 0, 9);
	int fd = test_attach(self->t.vm->dev_fd, self->t.vm_id, 0);
	struct test_ring ring;

	ASSERT_LE(0, fd);
	test_ring_open(&ring, fd, 0, NR_RECORDS, 0);
	ASSERT_EQ(0, test_ring_filter(fd, 0, 0, 0));
	/* Of the one who steers, who has no ring. */
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	EXPECT_EQ(-EPERM, test_set_rules(fd, &rule, 1));
	run_round(&self->t);
	EXPECT_EQ(0, ring.header->head);
	test_ring_close(&ring);
	close(fd);
}

TEST_F(observe, the_ring_may_be_full)
{
	struct vitrine_rule rule = test_rule(VITRINE_ON_CPUID, VITRINE_DO_OBSERVE, 0, 9);
	struct vitrine_ring_state state;
	struct test_ring ring;

	test_ring_open(&ring, self->t.fd, 0, NR_RECORDS, VITRINE_RING_STOP);
	ASSERT_EQ(0, test_ring_filter(self->t.fd, 0, 0, 0));
	ASSERT_EQ(0, test_set_rules(self->t.fd, &rule, 1));
	run_round(&self->t);
	run_round(&self->t);
	test_ring_state(self->t.fd, 0, &state);
	EXPECT_EQ(NR_RECORDS, state.head);
	EXPECT_EQ(4, state.lost);
	test_ring_close(&ring);
}

TEST_HARNESS_MAIN
