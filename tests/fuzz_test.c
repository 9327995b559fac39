// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that are random bytes, and ioctls with random arguments, from a seed that is printed:
 * whatever they do, RUN comes back when it is told to and the host says nothing.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"

#define RUN_USEC	4000	/* how long one random guest may go on */
#define PAGE		4096u
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

static const unsigned int vcpu_commands[] = {
	KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_SREGS2, KVM_SET_FPU, KVM_SET_XSAVE, KVM_SET_XCRS,
	KVM_SET_DEBUGREGS, KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE, KVM_SET_GUEST_DEBUG,
	KVM_SET_LAPIC, KVM_SET_VAPIC_ADDR, KVM_TPR_ACCESS_REPORTING, KVM_SET_TSC_KHZ,
	KVM_SET_DEVICE_ATTR, KVM_KVMCLOCK_CTRL, KVM_X86_SETUP_MCE, KVM_X86_SET_MCE, KVM_ENABLE_CAP,
	KVM_NMI, KVM_INTERRUPT, KVM_TRANSLATE, KVM_SET_CPUID2, KVM_SET_MSRS,
	KVM_GET_NESTED_STATE, KVM_SET_NESTED_STATE,
}, vm_commands[] = {
	KVM_SET_USER_MEMORY_REGION, KVM_SET_NR_MMU_PAGES, KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG,
	KVM_RESET_DIRTY_RINGS, KVM_CREATE_IRQCHIP, KVM_SET_IRQCHIP, KVM_IRQ_LINE,
	KVM_IRQ_LINE_STATUS, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI, KVM_IRQFD, KVM_IOEVENTFD,
	KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO, KVM_CREATE_PIT2, KVM_SET_PIT,
	KVM_SET_PIT2, KVM_REINJECT_CONTROL, KVM_SET_CLOCK, KVM_SET_TSC_KHZ, KVM_X86_SET_MSR_FILTER,
	KVM_ENABLE_CAP, KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_BOOT_CPU_ID,
};

/* What random bytes would never hit: @event is an eventfd, @page one of anything. */
static void make_deep(unsigned int cmd, void *room, int event, void *page)
{
	struct kvm_userspace_memory_region *region = room;
	struct kvm_clear_dirty_log *clear = room;
	struct kvm_msr_filter *filter = room;
	struct kvm_enable_cap *cap = room;
	struct kvm_x86_mce *mce = room;

	/* The first word is a number or a count, as a rule. */
	*(uint32_t *)room %= 32;
	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION:
		region->flags &= KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;
		region->guest_phys_addr &= 0x7ffff000;
		region->memory_size = PAGE;
		region->userspace_addr = (uintptr_t)page;
		break;
	case KVM_GET_DIRTY_LOG:
		*(struct kvm_dirty_log *)room = (struct kvm_dirty_log) { .dirty_bitmap = page };
		break;
	case KVM_CLEAR_DIRTY_LOG:
		clear->slot = 0;
		clear->dirty_bitmap = page;
		break;
	case KVM_X86_SET_MSR_FILTER:
		filter->flags &= KVM_MSR_FILTER_DEFAULT_DENY;
		filter->ranges[0].flags = KVM_MSR_FILTER_READ;
		filter->ranges[0].nmsrs %= PAGE;
		filter->ranges[0].bitmap = page;
		break;
	case KVM_IRQFD:
		((struct kvm_irqfd *)room)->gsi = ((struct kvm_irqfd *)room)->fd;
		((struct kvm_irqfd *)room)->fd = event;
		break;
	case KVM_IOEVENTFD:
		((struct kvm_ioeventfd *)room)->fd = event;
		break;
	case KVM_SET_DEVICE_ATTR:
		*(struct kvm_device_attr *)room = (struct kvm_device_attr) {
			.addr = (uintptr_t)page };
		break;
	case KVM_X86_SET_MCE:
		mce->status |= 1ull << 63;
		mce->bank %= 32;
		break;
	case KVM_ENABLE_CAP:
		cap->cap = cap->args[1] & 0xff;
		cap->flags = 0;
		break;
	}
}

/* Numbers of every length, for the commands whose argument is one. */
static unsigned long random_number(uint64_t *seed)
{
	return (unsigned long)host_random(seed) >> host_random(seed) % 64;
}

static void random_call(int fd, const unsigned int *commands, unsigned int nr, char *room,
			int event, uint64_t *seed)
{
	unsigned int cmd = commands[host_random(seed) % nr];

	fill(room, 8192, seed);
	/* Small numbers reach deeper than large ones. */
	if (host_random(seed) % 2)
		memset(room + 4, 0, 8188);
	room[1 + host_random(seed) % 3] = 0;
	if (host_random(seed) % 2)
		make_deep(cmd, room, event, room + 8192);
	if (_IOC_DIR(cmd) == _IOC_NONE && host_random(seed) % 2)
		ioctl(fd, cmd, random_number(seed));
	else
		ioctl(fd, cmd, room);
}

/* Every other one has a PIT and logs what its guest writes, by a bitmap or by a ring. */
static struct test_vm *create_for_ioctls(unsigned int i)
{
	struct test_vm *vm = i & 1 ? test_vm_create() : test_vm_create_irqchip();
	struct kvm_enable_cap ring = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 16384 } };
	struct kvm_pit_config pit = {};

	if (i & 2) {
		if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) ||
		    (i & 4 && ioctl(vm->fd, KVM_ENABLE_CAP, &ring)))
			test_die("a PIT or a dirty ring");
		test_vm_add_memory(vm, 0, 0, vm->memory, vm->memory_bytes, KVM_MEM_LOG_DIRTY_PAGES);
	}
	return vm;
}

/* The same by the commands that exist, which random sizes never hit. */
TEST_F_TIMEOUT(fuzz, known_ioctls_with_random_arguments, LONG_S)
{
	uint64_t seed = host_seed() + 3;
	char *room = aligned_alloc(PAGE, 65536);
	int event = eventfd(0, EFD_NONBLOCK);
	unsigned int i;

	ASSERT_NE(NULL, room);
	ASSERT_LE(0, event);
	memset(room, 0x5a, 65536);
	for (i = 0; i < 100 * factor(); i++) {
		struct test_vm *vm = create_for_ioctls(i);
		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
		int n;

		/* KVM_KVMCLOCK_CTRL wants a clock. */
		test_vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, TEST_DATA_GPA | 1);
		for (n = 0; n < 20; n++) {
			if (host_random(&seed) % 2)
				random_call(vcpu->fd, vcpu_commands, ARRAY_SIZE(vcpu_commands),
					    room, event, &seed);
			else
				random_call(vm->fd, vm_commands, ARRAY_SIZE(vm_commands), room,
					    event, &seed);
		}
		run_random(vcpu);
		test_vcpu_free(vcpu);
		test_vm_free(vm);
	}
	close(event);
	free(room);
}

TEST_HARNESS_MAIN
