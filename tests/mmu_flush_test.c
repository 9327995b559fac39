// SPDX-License-Identifier: GPL-2.0
/*
 * What a CPU still knows of a root page may be of a VM that had that page before, or of the same VM
 * at another time: no vCPU enters on it for the first time without a flush.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "lib/stay.h"
#include "lib/vm.h"

GUEST_CODE(guest_sync, "1: " GUEST_SYNC "jmp 1b\n");

/* Moves flush, too, and would hide what is missing. */
static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		test_die("sched_setaffinity");
}

/* The second VM is likely to get the pages of the first. */
TEST(before_the_first_entry)
{
	if (test_on_kvm())
		SKIP(return, "KVM's counters have other names");
	stay_on_this_cpu();
	for (int round = 0; round < 2; round++) {
		struct test_vm *vm = test_vm_create();
		struct test_vcpu *vcpu[2];

		for (int i = 0; i < 2; i++) {
			vcpu[i] = test_vcpu_create(vm, i);
			test_vcpu_long_mode(vcpu[i], GUEST_BLOB(guest_sync));
			test_vcpu_run_to_sync(vcpu[i]);
			EXPECT_LE(1, test_counter(vcpu[i], "tlb_flushes", 0))
				TH_LOG("VM %d, vCPU %d", round, i);
		}
		/* Between vCPUs that are here already, there is nothing to flush. */
		for (int i = 0; i < 4; i++)
			test_vcpu_run_to_sync(vcpu[i % 2]);
		for (int i = 0; i < 2; i++) {
			EXPECT_GE(2, test_counter(vcpu[i], "tlb_flushes", 0));
			test_vcpu_free(vcpu[i]);
		}
		test_vm_free(vm);
	}
}

TEST_HARNESS_MAIN
