// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that are random bytes, and ioctls with random arguments, from a seed that is printed:
 * whatever they do, RUN comes back when it is told to and the host says nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"

#define RUN_USEC	4000	/* how long one random guest may go on */
#define LONG_S		300	/* for a test; LONG makes them ten times as long */

static void on_alarm(int signal)
{
	(void)signal;
}

static void arm_alarm(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval timer = { .it_value.tv_usec = RUN_USEC, .it_interval.tv_usec = RUN_USEC };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void disarm_alarm(void)
{
	struct itimerval timer = {};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static unsigned int factor(void)
{
	return getenv("LONG") ? 10 : 1;
}

/*
 * Until a signal, an error or an exit that ends a guest; answers to IN and MMIO are what lies in
 * the page.
 */
static void run_random(struct test_vcpu *vcpu)
{
	int exits;

	arm_alarm();
	for (exits = 0; exits < 200; exits++) {
		if (ioctl(vcpu->fd, KVM_RUN, 0))
			break;
		if (vcpu->run->exit_reason != KVM_EXIT_IO &&
		    vcpu->run->exit_reason != KVM_EXIT_MMIO)
			break;
	}
	disarm_alarm();
}

static void fill(void *data, size_t bytes, uint64_t *seed)
{
	uint8_t *byte = data;

	while (bytes--)
		*byte++ = host_random(seed) >> 32;
}

/* Only for the time that a test may take. */
FIXTURE(fuzz) {
	int nothing;
};

FIXTURE_SETUP(fuzz)
{
}

FIXTURE_TEARDOWN(fuzz)
{
}

TEST_F_TIMEOUT(fuzz, random_code, LONG_S)
{
	uint64_t seed = host_seed();
	unsigned int i;

	for (i = 0; i < 60 * factor(); i++) {
		struct test_vm *vm = i & 1 ? test_vm_create() : test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		char code[4096];

		fill(code, sizeof(code), &seed);
		test_vcpu_set_supported_cpuid(vcpu);
		switch (i % 3) {
		case 0:
			test_vcpu_real_mode(vcpu, code, sizeof(code));
			break;
		case 1:
			test_vcpu_protected_mode(vcpu, code, sizeof(code));
			break;
		default:
			test_vcpu_long_mode(vcpu, code, sizeof(code));
			break;
		}
		run_random(vcpu);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
}

/* Valid state with some of its bytes changed: most of it is refused by an ioctl or by the entry. */
TEST_F_TIMEOUT(fuzz, random_state, LONG_S)
{
	uint64_t seed = host_seed() + 1;
	unsigned int i, accepted = 0;

	for (i = 0; i < 150 * factor(); i++) {
		struct test_vm *vm = test_vm_create();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		struct kvm_vcpu_events events;
		struct kvm_sregs sregs;
		struct kvm_regs regs;
		char code[256];
		int changes = 1 + host_random(&seed) % 4;

		fill(code, sizeof(code), &seed);
		test_vcpu_long_mode(vcpu, code, sizeof(code));
		test_vcpu_sregs(vcpu, &sregs);
		while (changes--)
			((uint8_t *)&sregs)[host_random(&seed) % sizeof(sregs)] =
				host_random(&seed);
		if (!ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
			accepted++;
		test_vcpu_regs(vcpu, &regs);
		((uint8_t *)&regs)[host_random(&seed) % sizeof(regs)] = host_random(&seed);
		ioctl(vcpu->fd, KVM_SET_REGS, &regs);
		ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
		((uint8_t *)&events)[host_random(&seed) % 40] = host_random(&seed);
		ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
		run_random(vcpu);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
	/* Were all refused, nothing was tried. */
	EXPECT_LT(0, accepted);
}

/* Every number on every descriptor, with arguments that point somewhere or nowhere. */
TEST_F_TIMEOUT(fuzz, random_ioctls, LONG_S)
{
	uint64_t seed = host_seed() + 2;
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	char *room = malloc(65536);
	unsigned int i;

	ASSERT_NE(NULL, room);
	for (i = 0; i < 6000 * factor(); i++) {
		const int fds[] = { vm->dev_fd, vm->fd, vcpu->fd };
		unsigned int nr = host_random(&seed) % 256, size = host_random(&seed) % 600;
		unsigned int dir = host_random(&seed) % 4;
		int fd = fds[host_random(&seed) % 3], ret;

		/* RUN, and what makes new descriptors, have tests of their own. */
		if (nr == 0x80 || nr == 0x41 || nr == 0x01)
			continue;
		fill(room, 1024, &seed);
		if (host_random(&seed) % 2)
			memset(room + 8, 0, 1016);
		ret = ioctl(fd, _IOC(dir, KVMIO, nr, size),
			    host_random(&seed) % 8 ? room : (char *)seed);
		if (ret > 2 && nr != 0x03 && nr != 0x04)
			close(ret);
	}
	free(room);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* The same by the commands that exist, which random sizes never hit. */
TEST_F_TIMEOUT(fuzz, known_ioctls_with_random_arguments, LONG_S)
{
	static const unsigned int commands[] = {
		KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_FPU, KVM_SET_XSAVE, KVM_SET_XCRS,
		KVM_SET_DEBUGREGS,
		KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE, KVM_SET_GUEST_DEBUG, KVM_SET_LAPIC,
		KVM_SET_TSC_KHZ,
		KVM_NMI, KVM_INTERRUPT, KVM_TRANSLATE, KVM_SET_CPUID2, KVM_SET_MSRS,
	}, vm_commands[] = {
		KVM_SET_USER_MEMORY_REGION, KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS, KVM_SET_IRQCHIP,
		KVM_SET_GSI_ROUTING,
		KVM_CREATE_PIT2, KVM_SET_PIT2, KVM_GET_DIRTY_LOG, KVM_SIGNAL_MSI, KVM_ENABLE_CAP,
		KVM_SET_TSS_ADDR,
		KVM_CREATE_IRQCHIP, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_BOOT_CPU_ID,
		KVM_REINJECT_CONTROL,
	};
	uint64_t seed = host_seed() + 3;
	char *room = malloc(65536);
	unsigned int i;

	ASSERT_NE(NULL, room);
	for (i = 0; i < 100 * factor(); i++) {
		struct test_vm *vm = i & 1 ? test_vm_create() : test_vm_create_irqchip();
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		int n;

		for (n = 0; n < 20; n++) {
			fill(room, 8192, &seed);
			/* Small numbers reach deeper than large ones. */
			if (host_random(&seed) % 2)
				memset(room + 4, 0, 8188);
			room[1 + host_random(&seed) % 3] = 0;
			if (host_random(&seed) % 3)
				ioctl(vcpu->fd, commands[host_random(&seed) % ARRAY_SIZE(commands)],
				      room);
			else
				ioctl(vm->fd,
				      vm_commands[host_random(&seed) % ARRAY_SIZE(vm_commands)],
				      room);
		}
		run_random(vcpu);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
	free(room);
}

TEST_HARNESS_MAIN
