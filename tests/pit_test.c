// SPDX-License-Identifier: GPL-2.0
/*
 * The interval timer in a VM: creation, channel 0's interrupt and its backlog, the speaker port,
 * state. What the counters do is tested on the host (unit/i8254_test.c). Runs the same on KVM.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/irq.h"

#define PIT_HZ		1193182
#define CHANNEL0	0x40
#define CHANNEL2	0x42
#define CONTROL		0x43
#define SPEAKER		0x61
#define PIC_MASTER	0x20
#define MS_CLOCKS	(PIT_HZ / 1000)

static uint32_t tsc_khz(struct test_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0L);
}

static void program(struct test_vcpu *vcpu, unsigned int channel, unsigned int mode, uint16_t count)
{
	test_irq_out(vcpu, CONTROL, channel << 6 | 0x30 | mode << 1);
	test_irq_out(vcpu, CHANNEL0 + channel, count & 0xff);
	test_irq_out(vcpu, CHANNEL0 + channel, count >> 8);
}

static uint16_t latched(struct test_vcpu *vcpu, unsigned int channel)
{
	uint16_t count;

	test_irq_out(vcpu, CONTROL, channel << 6);
	count = test_irq_in(vcpu, CHANNEL0 + channel);
	return count | test_irq_in(vcpu, CHANNEL0 + channel) << 8;
}

FIXTURE(pit) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(pit)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	static const uint8_t words[] = { 0x20, 0x04, 0x01 };

	self->vm = test_vm_create_irqchip();
	ASSERT_EQ(ioctl(self->vm->fd, KVM_CREATE_PIT2, &config), 0);
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_PIC);
	test_irq_out(self->vcpu, PIC_MASTER, 0x11);
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		test_irq_out(self->vcpu, PIC_MASTER + 1, words[i]);
}

FIXTURE_TEARDOWN(pit)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST(creation)
{
	struct kvm_reinject_control control = {};
	struct kvm_pit_config config = {};
	struct kvm_pit_state2 state = {};
	struct kvm_pit_state old = {};
	struct test_vm *vm = test_vm_create_irqchip();

	EXPECT_EQ(ioctl(vm->fd, KVM_GET_PIT2, &state), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_SET_PIT2, &state), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_PIT, &old), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_SET_PIT, &old), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_REINJECT_CONTROL, &control), -1);
	EXPECT_EQ(errno, ENXIO);
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &config), 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &config), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_PIT, 0L), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_PIT2, &state), 0);
	test_vm_free(vm);

	if (test_on_kvm())
		return;
	vm = test_vm_create();
	config.flags = 2;
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &config), -1);
	EXPECT_EQ(errno, EINVAL);
	test_vm_free(vm);
}

/* Without anything to interrupt it is there and counts; kvmtool creates the rest after it. */
TEST(before_the_irqchip)
{
	static const uint8_t words[] = { 0x20, 0x04, 0x01 };
	struct kvm_pit_config config = {};
	struct kvm_pit_state2 state = {};
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;

	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &config), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_GET_PIT2, &state), 0);
	state.channels[0].mode = 2;
	state.channels[0].count = MS_CLOCKS;
	ASSERT_EQ(ioctl(vm->fd, KVM_SET_PIT2, &state), 0);
	usleep(5000);
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), 0);
	usleep(5000);
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_PIC);
	test_irq_out(vcpu, PIC_MASTER, 0x11);
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		test_irq_out(vcpu, PIC_MASTER + 1, words[i]);
	program(vcpu, 0, 2, 2 * MS_CLOCKS);
	for (unsigned int i = 0; i < 5; i++)
		test_irq_halt(vcpu);
	EXPECT_GE(test_irq_count(vcpu), 5);
	EXPECT_EQ(test_irq_vector(vcpu, 4), 0x20);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_F(pit, periodic_interrupt)
{
	program(self->vcpu, 0, 2, 2 * MS_CLOCKS);
	for (unsigned int i = 0; i < 5; i++)
		test_irq_halt(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 5);
	EXPECT_EQ(test_irq_vector(self->vcpu, 4), 0x20);
	/* A control word stops the channel until it has a new count. */
	test_irq_out(self->vcpu, PIC_MASTER + 1, 0x01);
	program(self->vcpu, 0, 0, MS_CLOCKS);
	test_irq_clear(self->vcpu);
}

TEST_F(pit, one_shot_interrupt)
{
	program(self->vcpu, 0, 0, MS_CLOCKS);
	test_irq_halt(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
	test_irq_spin(self->vcpu, 3ull * tsc_khz(self->vcpu));
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 1);
}

/* Twenty ticks pass with interrupts off: they come later, one behind the other. */
TEST_F(pit, backlog)
{
	struct kvm_reinject_control control = {};

	program(self->vcpu, 0, 2, MS_CLOCKS);
	test_irq_spin(self->vcpu, 20ull * tsc_khz(self->vcpu));
	test_irq_out(self->vcpu, CONTROL, 0x00);
	for (unsigned int i = 0; i < 8; i++)
		test_irq_window(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 8);

	/* Without reinjection they are lost. */
	ASSERT_EQ(ioctl(self->vm->fd, KVM_REINJECT_CONTROL, &control), 0);
	program(self->vcpu, 0, 2, 20 * MS_CLOCKS);
	test_irq_window(self->vcpu);
	test_irq_window(self->vcpu);
	test_irq_clear(self->vcpu);
	test_irq_spin(self->vcpu, 70ull * tsc_khz(self->vcpu));
	test_irq_window(self->vcpu);
	test_irq_window(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 1);
	EXPECT_LE(test_irq_count(self->vcpu), 2);
}

TEST_F(pit, storm_is_bounded)
{
	struct kvm_reinject_control control = {};

	ASSERT_EQ(ioctl(self->vm->fd, KVM_REINJECT_CONTROL, &control), 0);
	program(self->vcpu, 0, 2, 1);
	for (unsigned int i = 0; i < 20; i++) {
		test_irq_spin(self->vcpu, tsc_khz(self->vcpu));
		test_irq_window(self->vcpu);
	}
	EXPECT_GE(test_irq_count(self->vcpu), 20);
	EXPECT_LE(test_irq_count(self->vcpu), 60);
}

TEST_F(pit, speaker_channel)
{
	uint16_t first;

	test_irq_out(self->vcpu, SPEAKER, 0);
	EXPECT_EQ(test_irq_in(self->vcpu, SPEAKER) & 0x03, 0);
	test_irq_out(self->vcpu, SPEAKER, 0x03);
	EXPECT_EQ(test_irq_in(self->vcpu, SPEAKER) & 0x03, 0x03);
	test_irq_out(self->vcpu, SPEAKER, 0x01);

	/* How kernels measure their TSC: count once, watch the output. */
	program(self->vcpu, 2, 0, 30000);
	EXPECT_EQ(test_irq_in(self->vcpu, SPEAKER) & 0x20, 0);
	first = latched(self->vcpu, 2);
	EXPECT_LE(first, 30000);
	EXPECT_GT(first, 0);
	test_irq_spin(self->vcpu, 5ull * tsc_khz(self->vcpu));
	EXPECT_LT(latched(self->vcpu, 2), first);
	test_irq_spin(self->vcpu, 30ull * tsc_khz(self->vcpu));
	EXPECT_EQ(test_irq_in(self->vcpu, SPEAKER) & 0x20, 0x20);
	/* It interrupts nobody. */
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);
}

TEST_F(pit, state)
{
	struct kvm_pit_state2 state, again;
	struct kvm_pit_state old;

	program(self->vcpu, 0, 2, 0x8000);
	program(self->vcpu, 2, 3, 0x1234);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &state), 0);
	EXPECT_EQ(state.channels[0].mode, 2);
	EXPECT_EQ(state.channels[0].count, 0x8000);
	EXPECT_EQ(state.channels[2].mode, 3);
	EXPECT_EQ(state.channels[2].count, 0x1234);
	EXPECT_EQ(state.flags & KVM_PIT_FLAGS_HPET_LEGACY, 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT, &old), 0);
	EXPECT_EQ(old.channels[2].count, 0x1234);

	/* A restored channel counts, and interrupts. */
	state.channels[0].mode = 2;
	state.channels[0].count = MS_CLOCKS;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT2, &state), 0);
	test_irq_halt(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 1);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &again), 0);
	EXPECT_EQ(again.channels[0].count, MS_CLOCKS);

	/* Not while the HPET has taken its interrupt. */
	state.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT2, &state), 0);
	for (unsigned int i = 0; i < 40; i++)
		test_irq_window(self->vcpu);
	test_irq_clear(self->vcpu);
	test_irq_spin(self->vcpu, 5ull * tsc_khz(self->vcpu));
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 0);

	if (test_on_kvm())
		return;
	/* What no counter can be in is reduced, and harms nobody. */
	memset(&state, 0xff, sizeof(state));
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT2, &state), 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &again), 0);
	EXPECT_LE(again.channels[0].mode, 5);
	EXPECT_LE(again.channels[0].count, 0x10000);
	for (unsigned int i = 0; i < 8; i++)
		test_irq_in(self->vcpu, CHANNEL0);
}

/* KVM_GET_PIT and KVM_SET_PIT: the same channels, and nothing beside them. */
TEST_F(pit, old_state)
{
	struct kvm_pit_state2 state;
	struct kvm_pit_state old, again;

	program(self->vcpu, 0, 0, 0x8000);
	program(self->vcpu, 1, 2, 0x4321);
	program(self->vcpu, 2, 3, 0x1234);
	test_irq_out(self->vcpu, SPEAKER, 0x03);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &state), 0);
	memset(&old, 0xff, sizeof(old));
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT, &old), 0);
	EXPECT_EQ(memcmp(&old, state.channels, sizeof(old)), 0);

	/* What the older form does not have stays. */
	state.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT2, &state), 0);
	old.channels[1].count = 0x2222;
	old.channels[2].mode = 2;
	old.channels[2].count = 0x5678;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT, &old), 0);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &state), 0);
	EXPECT_EQ(state.channels[0].count, 0x8000);
	EXPECT_EQ(state.channels[1].count, 0x2222);
	EXPECT_EQ(state.channels[2].mode, 2);
	EXPECT_EQ(state.channels[2].count, 0x5678);
	EXPECT_EQ(state.flags & KVM_PIT_FLAGS_HPET_LEGACY, KVM_PIT_FLAGS_HPET_LEGACY);
	EXPECT_EQ(test_irq_in(self->vcpu, SPEAKER) & 0x03, 0x03);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT, &again), 0);
	EXPECT_EQ(memcmp(&again, state.channels, sizeof(again)), 0);
}

/* A channel restored by the older form counts, and interrupts. */
TEST_F(pit, old_state_interrupts)
{
	struct kvm_pit_state old;

	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT, &old), 0);
	old.channels[0].mode = 2;
	old.channels[0].count = MS_CLOCKS;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_SET_PIT, &old), 0);
	test_irq_halt(self->vcpu);
	EXPECT_GE(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x20);
}

/* Half a state changes nothing. */
TEST_F(pit, state_that_cannot_be_read)
{
	static const unsigned int set[] = { KVM_SET_PIT, KVM_SET_PIT2 };
	static const size_t bytes[] = { sizeof(struct kvm_pit_state),
					sizeof(struct kvm_pit_state2) };
	uint8_t *room = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	struct kvm_pit_state2 before, after;

	ASSERT_NE(room, MAP_FAILED);
	ASSERT_EQ(mprotect(room + 4096, 4096, PROT_NONE), 0);
	program(self->vcpu, 2, 3, 0x1234);
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &before), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(set); i++) {
		EXPECT_EQ(ioctl(self->vm->fd, set[i], room + 4096 - bytes[i] + 1), -1);
		EXPECT_EQ(errno, EFAULT);
	}
	ASSERT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, &after), 0);
	EXPECT_EQ(memcmp(&before, &after, sizeof(before)), 0);
	EXPECT_EQ(ioctl(self->vm->fd, KVM_GET_PIT, room + 4096), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(ioctl(self->vm->fd, KVM_GET_PIT2, room + 4096), -1);
	EXPECT_EQ(errno, EFAULT);
	munmap(room, 2 * 4096);
}

TEST_HARNESS_MAIN
