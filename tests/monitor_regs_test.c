// SPDX-License-Identifier: GPL-2.0
/*
 * Registers of vCPUs by a monitor: read and written while the guest runs, halts, waits for an
 * answer or for memory, and while its VMM is at work.
 *
 * build: -lpthread
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"
#include "lib/reach.h"
#include "lib/steer.h"
#include "lib/vm.h"

#define CR0_PG		0x80000000ull
#define CR4_OSXSAVE	0x40000ull
#define RFLAGS_IF	0x200
#define RFLAGS_VM	0x20000
#define RFLAGS_ALWAYS	2
#define WAITING_GPA	0x10000000u
#define NR_HAMMERED	300

GUEST_CODE(guest_sync, "1: " GUEST_SYNC "jmp 1b\n");
/* No exits, until somebody sets RBX. */
GUEST_CODE(guest_spin, GUEST_SYNC "xor %ebx, %ebx\nsti\n1: inc %rcx\ntest %rbx, %rbx\njz 1b\n"
	   "mov %rbx, %r8\ncli\n" GUEST_SYNC);
GUEST_CODE(guest_halt, GUEST_SYNC "sti\n1: hlt\njmp 1b\nnop\nnop\njmp 1b\n");
GUEST_CODE(guest_cpuid, "1: " GUEST_SYNC "mov %esi, %eax\nxor %ecx, %ecx\ncpuid\n"
	   "mov %rax, %r8\njmp 1b\n");
GUEST_CODE(guest_exits, GUEST_SYNC "sti\n1: xor %eax, %eax\ncpuid\ninc %r9\ntest %r10, %r10\n"
	   "jz 1b\ncli\n" GUEST_SYNC);
GUEST_CODE(guest_touch, GUEST_SYNC "mov $0x10000000, %edx\nmov (%rdx), %rax\n" GUEST_SYNC);

FIXTURE(regs) {
	struct test_steer t;
	int observer;
	int controller;
};

FIXTURE_SETUP(regs)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	test_steer_create(&self->t);
	self->observer = test_attach(self->t.vm->dev_fd, self->t.vm_id, 0);
	self->controller = test_attach(self->t.vm->dev_fd, self->t.vm_id, VITRINE_ATTACH_CONTROL);
	if (self->observer < 0 || self->controller < 0)
		test_die("VITRINE_ATTACH");
	test_ignore_by_handler(SIGUSR1);
}

FIXTURE_TEARDOWN(regs)
{
	close(self->observer);
	close(self->controller);
	test_steer_free(&self->t);
}

TEST_F(regs, what_the_vmm_sees_of_them)
{
	struct kvm_debugregs debug;
	struct vitrine_regs regs;
	struct kvm_sregs sregs;
	struct kvm_regs general;

	test_steer_load(&self->t, GUEST_BLOB(guest_sync));
	test_vcpu_regs(self->t.vcpu, &general);
	general.r15 = 0x1234567890abcdefull;
	test_vcpu_set_regs(self->t.vcpu, &general);
	test_vcpu_sregs(self->t.vcpu, &sregs);
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(VITRINE_REGS_ALL, regs.parts);
	EXPECT_EQ(0, regs.vcpu_id);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, regs.mp_state);
	EXPECT_EQ(0, memcmp(&general, &regs.general, sizeof(general)));
	EXPECT_EQ(0, memcmp(&sregs, &regs.system, offsetof(struct kvm_sregs, interrupt_bitmap)));
	EXPECT_EQ(0, memcmp(&debug, &regs.debug, sizeof(debug)));

	/* And the reverse. */
	regs.general.r14 = 0xfedcba0987654321ull;
	regs.system.fs.base = 0x123456789000ull;
	regs.debug.db[1] = 0x7777;
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_ALL));
	test_vcpu_regs(self->t.vcpu, &general);
	test_vcpu_sregs(self->t.vcpu, &sregs);
	ASSERT_EQ(0, ioctl(self->t.vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	EXPECT_EQ(regs.general.r14, general.r14);
	EXPECT_EQ(regs.system.fs.base, sregs.fs.base);
	EXPECT_EQ(0x7777, debug.db[1]);
	/* Only the parts that are named. */
	regs.general.r14 = 1;
	regs.debug.db[1] = 2;
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_DEBUG));
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(0xfedcba0987654321ull, regs.general.r14);
	EXPECT_EQ(2, regs.debug.db[1]);
	test_vcpu_run_to_sync(self->t.vcpu);
}

TEST_F(regs, rights_and_numbers)
{
	struct vitrine_monitor_info info;
	struct vitrine_regs regs;

	test_steer_load(&self->t, GUEST_BLOB(guest_sync));
	ASSERT_EQ(0, test_monitor_info(self->controller, &info));
	EXPECT_EQ(VITRINE_ATTACH_CONTROL, info.flags);
	EXPECT_EQ(3, info.nr_monitors);
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(-EPERM, test_write_regs(self->observer, &regs, VITRINE_REGS_GENERAL));
	EXPECT_EQ(0, test_write_regs(self->t.fd, &regs, VITRINE_REGS_GENERAL));
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, 0));
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_ALL + 1));
	regs.vcpu = 1;
	EXPECT_EQ(-ENOENT, test_write_regs(self->controller, &regs, VITRINE_REGS_GENERAL));
	EXPECT_EQ(-ENOENT, test_read_regs(self->observer, 1, &regs));
	EXPECT_EQ(-ENOENT, test_read_regs(self->observer, ~0u, &regs));
	regs = (struct vitrine_regs) { .parts = VITRINE_REGS_GENERAL };
	EXPECT_EQ(-1, ioctl(self->observer, VITRINE_READ_REGS, &regs));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->observer, VITRINE_READ_REGS, NULL));
	EXPECT_EQ(EFAULT, errno);
	/* Control takes neither the rules nor the events. */
	EXPECT_EQ(-EPERM, test_set_rules(self->controller, NULL, 0));
}

/* Each would be the guest's end at its next entry; none leaves a trace. */
TEST_F(regs, impossible_states)
{
#define CHANGE(member, bits)								\
	{ #member, offsetof(struct vitrine_regs, member),				\
	  sizeof(((struct vitrine_regs *)0)->member), bits }
	static const struct {
		const char *name;
		size_t offset, bytes;
		uint64_t bits;
	} changes[] = {
		CHANGE(general.rip, 1ull << 47), CHANGE(general.rflags, RFLAGS_VM),
		CHANGE(system.cr0, 1), CHANGE(system.cr0, 1ull << 40), CHANGE(system.cr3, ~0ull),
		CHANGE(system.cr4, 0x20), CHANGE(system.cr8, 16), CHANGE(system.efer, 0x400),
		CHANGE(system.cs.db, 1), CHANGE(system.cs.dpl, 3), CHANGE(system.ss.type, 3),
		CHANGE(system.tr.type, 9), CHANGE(system.gdt.base, 1ull << 60),
		CHANGE(system.fs.base, 1ull << 60), CHANGE(system.apic_base, 0x1000),
		CHANGE(system.flags, 2), CHANGE(debug.dr7, 1ull << 32), CHANGE(debug.flags, 1),
	};
	struct vitrine_regs regs, before, after;
	uint64_t value;

	test_steer_load(&self->t, GUEST_BLOB(guest_sync));
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &before));
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		regs = before;
		value = 0;
		memcpy(&value, (char *)&regs + changes[i].offset, changes[i].bytes);
		value ^= changes[i].bits;
		memcpy((char *)&regs + changes[i].offset, &value, changes[i].bytes);
		EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_ALL))
			TH_LOG("%s", changes[i].name);
		ASSERT_EQ(0, test_read_regs(self->observer, 0, &after));
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)))
			TH_LOG("%s", changes[i].name);
	}
	test_vcpu_run_to_sync(self->t.vcpu);
}

/* Nor where the guest's own state could not be set any more, as its CPUID is another one. */
TEST_F(regs, impossible_after_impossible)
{
	struct kvm_cpuid2 none = { .nent = 0 };
	struct vitrine_regs regs, before, after;
	struct test_vcpu *vcpu = test_vcpu_create(self->t.vm, 1);
	struct kvm_sregs sregs;

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_sync));
	test_vcpu_sregs(vcpu, &sregs);
	sregs.cr4 |= CR4_OSXSAVE;
	test_vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, &none));
	ASSERT_EQ(0, test_read_regs(self->observer, 1, &before));
	EXPECT_EQ(CR4_OSXSAVE, before.system.cr4 & CR4_OSXSAVE);
	regs = before;
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_SYSTEM));
	regs.system.cr4 &= ~CR4_OSXSAVE;
	regs.system.cs.db = 1;
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_SYSTEM));
	ASSERT_EQ(0, test_read_regs(self->observer, 1, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	test_vcpu_free(vcpu);
}

TEST_F(regs, pae_pointers)
{
	struct vitrine_regs regs;
	uint64_t *pointers = test_vm_hva(self->t.vm, TEST_DATA_GPA);

	test_vcpu_protected_mode(self->t.vcpu, "\xe6\xe0\xeb\xfc", 4);
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(0, regs.system.flags);
	for (unsigned int i = 0; i < 4; i++)
		pointers[i] = (TEST_PML4_GPA + (i + 2) * 4096) | 1;
	regs.system.cr3 = TEST_DATA_GPA;
	regs.system.cr4 |= 0x20;
	regs.system.cr0 |= CR0_PG;
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_SYSTEM));
	regs.system.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	memcpy(regs.system.pdptrs, pointers, sizeof(regs.system.pdptrs));
	regs.system.pdptrs[2] |= 2;
	EXPECT_EQ(-EINVAL, test_write_regs(self->controller, &regs, VITRINE_REGS_SYSTEM));
	regs.system.pdptrs[2] &= ~2ull;
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_SYSTEM));
	memset(&regs.system.pdptrs, 0, sizeof(regs.system.pdptrs));
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, regs.system.flags);
	EXPECT_EQ(0, memcmp(regs.system.pdptrs, pointers, sizeof(regs.system.pdptrs)));
	test_vcpu_run_to_sync(self->t.vcpu);
}

TEST_F(regs, of_a_guest_that_runs)
{
	struct test_runner runner;
	struct vitrine_regs regs;
	struct kvm_regs general;
	uint64_t last = 0;
	unsigned int i;

	test_steer_load(&self->t, GUEST_BLOB(guest_spin));
	test_runner_start(&runner, self->t.vcpu);
	for (i = 0; i < 5 || last < 1000; i++) {
		ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
		EXPECT_LE(last, regs.general.rcx);
		EXPECT_LE(TEST_CODE_GPA, regs.general.rip);
		EXPECT_GT(TEST_CODE_GPA + 64, regs.general.rip);
		last = regs.general.rcx;
		usleep(1000);
	}
	EXPECT_TRUE(regs.general.rflags & RFLAGS_IF);
	EXPECT_FALSE(runner.done);
	regs.general.rbx = 0x5a5a;
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_GENERAL));
	EXPECT_EQ(0, test_runner_join(&runner));
	EXPECT_TRUE(test_vcpu_is_at(self->t.vcpu, TEST_PORT_SYNC));
	test_vcpu_regs(self->t.vcpu, &general);
	EXPECT_EQ(0x5a5a, general.r8);
}

TEST(of_a_guest_that_halts)
{
	struct test_runner runner;
	struct vitrine_regs regs;
	struct test_vcpu *vcpu;
	struct test_vm *vm;
	unsigned int i;
	int fd;

	if (test_on_kvm())
		SKIP(return, "KVM has no monitors");
	vm = test_vm_create_irqchip();
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_halt));
	test_vcpu_run_to_sync(vcpu);
	fd = test_attach(vm->dev_fd, test_vm_id(vm), VITRINE_ATTACH_CONTROL);
	ASSERT_LE(0, fd);
	test_ignore_by_handler(SIGUSR1);
	test_runner_start(&runner, vcpu);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, test_read_regs(fd, 0, &regs));
		if (regs.mp_state == KVM_MP_STATE_HALTED)
			break;
		usleep(1000);
	}
	EXPECT_EQ(KVM_MP_STATE_HALTED, regs.mp_state);
	/* It goes on to halt, wherever it stands now. */
	regs.general.rip += 2;
	ASSERT_EQ(0, test_write_regs(fd, &regs, VITRINE_REGS_GENERAL));
	ASSERT_EQ(0, test_read_regs(fd, 0, &regs));
	EXPECT_EQ(KVM_MP_STATE_HALTED, regs.mp_state);
	EXPECT_FALSE(runner.done);
	EXPECT_EQ(EINTR, test_runner_interrupt(&runner));
	close(fd);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

static const struct vitrine_rule every_cpuid = {
	.on = VITRINE_ON_CPUID, .action = VITRINE_DO_ASK, .vcpu = VITRINE_ALL_VCPUS,
	.last = 0xffffffff, .sub_last = ~0ull,
};

TEST_F(regs, of_a_guest_whose_event_waits)
{
	struct vitrine_exit_event event, again;
	struct vitrine_regs regs;
	struct kvm_regs general;

	ASSERT_EQ(0, test_set_rules(self->t.fd, &every_cpuid, 1));
	test_steer_load(&self->t, GUEST_BLOB(guest_cpuid));
	test_steer_set_guest(&self->t, 1, 0, 0);
	test_steer_start(&self->t);
	ASSERT_EQ(0, test_next_event(self->t.fd, &event, TEST_LONG_MS));
	/* To look changes nothing. */
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
		EXPECT_EQ(event.regs.rip, regs.general.rip);
		EXPECT_EQ(1, regs.general.rax);
	}
	EXPECT_EQ(-ETIMEDOUT, test_next_event(self->t.fd, &again, 0));

	/* To write makes the guest do it anew: with leaf 0 now. */
	regs.general.rax = 0;
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_GENERAL));
	ASSERT_EQ(0, test_next_event(self->t.fd, &again, TEST_LONG_MS));
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	EXPECT_LT(event.seq, again.seq);
	EXPECT_EQ(0, again.key);
	/* Whatever is written, be it what was there. */
	event = again;
	regs = (struct vitrine_regs) { .vcpu = 0 };
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_DEBUG));
	ASSERT_EQ(0, test_next_event(self->t.fd, &again, TEST_LONG_MS));
	EXPECT_EQ(-ENOENT, test_answer(self->t.fd, event.seq, VITRINE_GO_ON));
	EXPECT_EQ(0, test_answer(self->t.fd, again.seq, VITRINE_GO_ON));
	ASSERT_TRUE(test_steer_ended_well(&self->t));
	test_vcpu_regs(self->t.vcpu, &general);
	EXPECT_LT(0, general.r8);
	EXPECT_GT(0x100, general.r8);
}

static int read_registers(void *data)
{
	struct vitrine_regs regs;

	return test_read_regs(*(int *)data, 0, &regs);
}

/* Its thread waits for memory inside KVM_RUN: so does who asks, and nobody else. */
TEST_F(regs, of_a_guest_that_waits_for_memory)
{
	static uint8_t memory[4096] __attribute__((aligned(4096)));
	struct test_runner runner;
	struct test_pager pager;
	struct vitrine_regs regs;
	struct vitrine_monitor_info info;

	if (!test_pager_create(&pager, memory, sizeof(memory)))
		SKIP(return, "no userfaultfd in this kernel");
	test_vm_add_memory(self->t.vm, 1, WAITING_GPA, memory, sizeof(memory), 0);
	test_steer_load(&self->t, GUEST_BLOB(guest_touch));
	test_runner_start(&runner, self->t.vcpu);
	ASSERT_TRUE(test_pager_wait(&pager, TEST_LONG_MS));
	EXPECT_TRUE(test_dies_waiting(read_registers, &self->observer, 100));
	EXPECT_EQ(0, test_monitor_info(self->controller, &info));
	EXPECT_EQ(0, test_set_rules(self->t.fd, &every_cpuid, 1));
	test_pager_end(&pager);
	ASSERT_EQ(0, test_read_regs(self->observer, 0, &regs));
	EXPECT_EQ(0, test_runner_join(&runner));
}

TEST_F(regs, after_the_vm)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	int fd = test_attach(vm->dev_fd, test_vm_id(vm), VITRINE_ATTACH_CONTROL);
	struct vitrine_regs regs;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, test_read_regs(fd, 0, &regs));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	EXPECT_EQ(-ESRCH, test_write_regs(fd, &regs, VITRINE_REGS_GENERAL));
	EXPECT_EQ(-ESRCH, test_read_regs(fd, 0, &regs));
	EXPECT_EQ(-EINVAL, test_write_regs(fd, &regs, 8));
	close(fd);
}

struct hammer {
	int fd;
	uint32_t vcpu;
	int error;
};

static void *hammer(void *arg)
{
	struct hammer *hammer = arg;
	struct vitrine_regs regs;

	for (unsigned int i = 0; i < NR_HAMMERED && !hammer->error; i++)
		hammer->error = test_read_regs(hammer->fd, hammer->vcpu, &regs);
	return NULL;
}

/* Two vCPUs that run, come out and go in again; three who want their registers all the time. */
TEST_F(regs, hammered)
{
	struct test_vcpu *second = test_vcpu_create(self->t.vm, 1);
	struct test_vcpu *vcpus[2] = { self->t.vcpu, second };
	struct hammer hammers[3] = {
		{ self->observer, 0 }, { self->observer, 1 }, { self->controller, 0 },
	};
	struct test_runner runners[2];
	struct vitrine_regs regs;
	pthread_t threads[3];
	unsigned int i;

	test_steer_load(&self->t, GUEST_BLOB(guest_exits));
	test_vcpu_set_supported_cpuid(second);
	test_vcpu_long_mode(second, GUEST_BLOB(guest_exits));
	test_vcpu_run_to_sync(second);
	for (i = 0; i < 2; i++)
		test_runner_start(&runners[i], vcpus[i]);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hammer, &hammers[i]));
	/* Meanwhile KVM_RUN ends and begins. */
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(EINTR, test_runner_interrupt(&runners[0]));
		test_runner_start(&runners[0], vcpus[0]);
	}
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, hammers[i].error);
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, test_read_regs(self->controller, i, &regs));
		EXPECT_LT(0, regs.general.r9);
		regs.general.r10 = 1;
		ASSERT_EQ(0, test_write_regs(self->controller, &regs, VITRINE_REGS_GENERAL));
		EXPECT_EQ(0, test_runner_join(&runners[i]));
		EXPECT_TRUE(test_vcpu_is_at(vcpus[i], TEST_PORT_SYNC));
	}
	test_vcpu_free(second);
}

TEST_HARNESS_MAIN
