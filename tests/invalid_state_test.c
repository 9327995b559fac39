// SPDX-License-Identifier: GPL-2.0
/*
 * States that no entry accepts: RUN says KVM_EXIT_FAIL_ENTRY, the kernel log says which of the
 * SDM's checks it was and shows the VMCS once, and the vCPU goes on when the state is mended.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define INVALID_GUEST_STATE	0x80000021	/* exit reason 33 with "VM-entry failure" */

GUEST_CODE(guest_answer, "mov $42, %edi\n" GUEST_SYNC);

/* How many records since @fd was opened have the text in them. */
static unsigned int count_in_log(int fd, const char *text)
{
	char record[2048];
	unsigned int count = 0;
	ssize_t len;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)	/* overwritten meanwhile: the next one is there */
			continue;
		if (len <= 0)
			return count;
		record[len] = '\0';
		count += !!strstr(record, text);
	}
}

static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

FIXTURE(invalid_state) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct kvm_sregs good;
};

FIXTURE_SETUP(invalid_state)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_answer));
	test_vcpu_sregs(self->vcpu, &self->good);
}

FIXTURE_TEARDOWN(invalid_state)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

FIXTURE_VARIANT(invalid_state) {
	const char *check;
	void (*spoil)(struct kvm_sregs *sregs);
	unsigned int wait_s;
};

static void spoil_cs(struct kvm_sregs *sregs)
{
	sregs->cs.db = 1;
}

FIXTURE_VARIANT_ADD(invalid_state, code_segment) {
	.check = "CS: D/B must be 0 if the guest will be in IA-32e mode and L is 1",
	.spoil = spoil_cs,
	/*
	 * Ten lines in five seconds: a test that ran before may have used them up. All four here
	 * have enough of them.
	 */
	.wait_s = 6,
};

static void spoil_ss(struct kvm_sregs *sregs)
{
	sregs->ss.type = 9;
}

FIXTURE_VARIANT_ADD(invalid_state, stack_segment) {
	.check = "SS: the type must be 3 or 7 (read/write, accessed data segment)",
	.spoil = spoil_ss,
};

static void spoil_limit(struct kvm_sregs *sregs)
{
	sregs->ds.limit = 0x00ffffff;
	sregs->ds.g = 0;
}

FIXTURE_VARIANT_ADD(invalid_state, granularity) {
	.check = "DS: if any limit bit in the range 31:20 is 1, G must be 1",
	.spoil = spoil_limit,
};

static void spoil_tr(struct kvm_sregs *sregs)
{
	sregs->tr.s = 1;
}

FIXTURE_VARIANT_ADD(invalid_state, task_register) {
	.check = "TR: bit 4 of the access rights (S) must be 0",
	.spoil = spoil_tr,
};

TEST_F(invalid_state, named_dumped_and_mended)
{
	struct kvm_sregs bad = self->good;
	struct kvm_regs regs;
	int log = open_log();

	if (log < 0)
		SKIP(return, "no /dev/kmsg");
	sleep(variant->wait_s);
	variant->spoil(&bad);
	test_vcpu_set_sregs(self->vcpu, &bad);
	ASSERT_EQ(KVM_EXIT_FAIL_ENTRY, test_vcpu_run(self->vcpu));
	EXPECT_EQ(INVALID_GUEST_STATE,
		  self->vcpu->run->fail_entry.hardware_entry_failure_reason);
	ASSERT_EQ(KVM_EXIT_FAIL_ENTRY, test_vcpu_run(self->vcpu));
	if (!test_on_kvm()) {
		EXPECT_LT(0, count_in_log(log, variant->check));
		lseek(log, 0, SEEK_SET);
		EXPECT_LT(0, count_in_log(log, "vitrine: guest:"));
	}
	close(log);

	test_vcpu_set_sregs(self->vcpu, &self->good);
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(42, regs.rdi);
}

TEST_HARNESS_MAIN
