// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupt controllers as a VMM makes and wires them: creation, GSI routing, MSIs, split irqchip.
 * Runs the same on KVM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/irq.h"

#define MSI_ADDRESS	0xfee00000u
#define APIC_ID_OFFSET	0x20
#define EOI_OFFSET	0xb0
#define SPIV_OFFSET	0xf0
#define SPIV_ON		0x1ff
#define MAX_ROUTES	4096

static int set_routing(int vm_fd, const struct kvm_irq_routing_entry *entries, uint32_t nr,
		       uint32_t flags)
{
	struct kvm_irq_routing *routing;
	int ret;

	routing = calloc(1, sizeof(*routing) + nr * sizeof(routing->entries[0]));
	if (!routing)
		test_die("out of memory");
	routing->nr = nr;
	routing->flags = flags;
	if (entries)
		memcpy(routing->entries, entries, nr * sizeof(*entries));
	ret = ioctl(vm_fd, KVM_SET_GSI_ROUTING, routing) ? -errno : 0;
	free(routing);
	return ret;
}

static int signal_msi(int vm_fd, uint32_t address_lo, uint32_t data, uint32_t flags)
{
	struct kvm_msi msi = { .address_lo = address_lo, .data = data, .flags = flags };
	int ret = ioctl(vm_fd, KVM_SIGNAL_MSI, &msi);

	return ret < 0 ? -errno : ret;
}

static int enable_split(int vm_fd, uint64_t pins)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = pins };

	return ioctl(vm_fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static struct kvm_irq_routing_entry pin_route(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry) {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static struct kvm_irq_routing_entry msi_route(uint32_t gsi, uint32_t data)
{
	return (struct kvm_irq_routing_entry) {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = MSI_ADDRESS, .data = data },
	};
}

TEST(creation)
{
	struct kvm_irqchip state = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irq_level line = { .irq = 3, .level = 1 };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;

	/* What needs an irqchip says so. */
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_IRQCHIP, &state), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_SET_IRQCHIP, &state), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_IRQ_LINE, &line), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line), -1);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(set_routing(vm->fd, NULL, 0, 0), -EINVAL);
	EXPECT_EQ(signal_msi(vm->fd, MSI_ADDRESS, 0x40, 0), -EINVAL);

	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(enable_split(vm->fd, 24), -EEXIST);
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_IRQCHIP, &state), 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_IRQ_LINE, &line), 0);
	test_vm_free(vm);

	vm = test_vm_create();
	vcpu = test_vcpu_create(vm, 0);
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), -1);
	EXPECT_EQ(errno, EINVAL);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

FIXTURE(irqchip) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(irqchip)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_X2APIC);
	test_irq_set_msr(self->vcpu, TEST_MSR_APIC_BASE,
			 test_irq_msr(self->vcpu, TEST_MSR_APIC_BASE) | 0xc00);
	test_irq_set_msr(self->vcpu, TEST_X2APIC(SPIV_OFFSET), SPIV_ON);
}

FIXTURE_TEARDOWN(irqchip)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(irqchip, routing_is_checked)
{
	struct kvm_irq_routing_entry one, two[2];
	int fd = self->vm->fd;

	EXPECT_EQ(set_routing(fd, NULL, 0, 1), -EINVAL);
	EXPECT_EQ(set_routing(fd, NULL, MAX_ROUTES + 1, 0), -EINVAL);
	one = pin_route(MAX_ROUTES, KVM_IRQCHIP_IOAPIC, 0);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(~0u, KVM_IRQCHIP_IOAPIC, 0);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(0, KVM_IRQCHIP_IOAPIC, 24);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(0, KVM_IRQCHIP_PIC_MASTER, 8);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(0, KVM_IRQCHIP_PIC_SLAVE, 8);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(0, 3, 0);
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = pin_route(0, KVM_IRQCHIP_IOAPIC, 0);
	one.flags = 1;
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one = msi_route(0, 0x40);
	one.flags = 2;
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one.flags = 0;
	one.type = 77;
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);
	one.type = 0;
	EXPECT_EQ(set_routing(fd, &one, 1, 0), -EINVAL);

	/* Two routes of a GSI: to two chips, but not twice to one, nor beside an MSI. */
	two[0] = pin_route(9, KVM_IRQCHIP_IOAPIC, 9);
	two[1] = pin_route(9, KVM_IRQCHIP_IOAPIC, 10);
	EXPECT_EQ(set_routing(fd, two, 2, 0), -EINVAL);
	two[1] = msi_route(9, 0x40);
	EXPECT_EQ(set_routing(fd, two, 2, 0), -EINVAL);
	two[0] = msi_route(9, 0x41);
	EXPECT_EQ(set_routing(fd, two, 2, 0), -EINVAL);
	two[0] = pin_route(9, KVM_IRQCHIP_IOAPIC, 9);
	two[1] = pin_route(9, KVM_IRQCHIP_PIC_SLAVE, 1);
	EXPECT_EQ(set_routing(fd, two, 2, 0), 0);
}

TEST_F(irqchip, refused_table_changes_nothing)
{
	struct kvm_irq_routing_entry two[2] = { msi_route(5, 0x50), pin_route(6, 3, 0) };
	struct kvm_irq_routing *unreadable = (void *)8;

	ASSERT_EQ(set_routing(self->vm->fd, two, 1, 0), 0);
	two[0] = msi_route(5, 0x51);
	ASSERT_EQ(set_routing(self->vm->fd, two, 2, 0), -EINVAL);
	EXPECT_EQ(ioctl(self->vm->fd, KVM_SET_GSI_ROUTING, unreadable), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(test_irq_line(self->vm, 5, 1), 1);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 1);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x50);
}

TEST_F(irqchip, msi_routes)
{
	struct kvm_irq_routing_entry routes[3] = {
		msi_route(4095, 0x61), msi_route(40, 0x62), msi_route(0, 0x63),
	};

	ASSERT_EQ(set_routing(self->vm->fd, routes, 3, 0), 0);
	EXPECT_EQ(test_irq_line(self->vm, 4095, 1), 1);
	EXPECT_EQ(test_irq_line(self->vm, 40, 1), 1);
	EXPECT_EQ(test_irq_line(self->vm, 0, 1), 1);
	/* A message has no level; a GSI without a route goes nowhere. */
	EXPECT_EQ(test_irq_line(self->vm, 40, 0), -1);
	EXPECT_EQ(test_irq_line(self->vm, 41, 1), -1);
	EXPECT_EQ(test_irq_line(self->vm, 4096, 1), -1);
	EXPECT_EQ(test_irq_line(self->vm, ~0u, 1), -1);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x63);
	EXPECT_EQ(test_irq_vector(self->vcpu, 1), 0x62);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x61);

	/* The table is replaced, not added to. */
	ASSERT_EQ(set_routing(self->vm->fd, routes, 1, 0), 0);
	EXPECT_EQ(test_irq_line(self->vm, 40, 1), -1);
	ASSERT_EQ(set_routing(self->vm->fd, NULL, 0, 0), 0);
	EXPECT_EQ(test_irq_line(self->vm, 4095, 1), -1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_count(self->vcpu), 3);
}

TEST_F(irqchip, largest_table)
{
	struct kvm_irq_routing_entry *routes = calloc(MAX_ROUTES, sizeof(*routes));

	ASSERT_NE(routes, NULL);
	for (uint32_t i = 0; i < MAX_ROUTES; i++)
		routes[i] = msi_route(MAX_ROUTES - 1 - i, 0x40 + i % 64);
	for (unsigned int i = 0; i < 50; i++)
		ASSERT_EQ(set_routing(self->vm->fd, routes, MAX_ROUTES, 0), 0);
	EXPECT_EQ(test_irq_line(self->vm, MAX_ROUTES - 1, 1), 1);
	test_irq_window(self->vcpu);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x40);
	free(routes);
}

TEST_F(irqchip, signal_msi)
{
	int fd = self->vm->fd;

	EXPECT_EQ(signal_msi(fd, MSI_ADDRESS, 0x45, 2), -EINVAL);
	EXPECT_EQ(signal_msi(fd, MSI_ADDRESS, 0x45, 0), 1);
	/* Logical, to the first CPU; broadcast; to nobody. */
	EXPECT_EQ(signal_msi(fd, MSI_ADDRESS | 1 << 12 | 4, 0x46, 0), 1);
	EXPECT_EQ(signal_msi(fd, MSI_ADDRESS | 0xff << 12, 0x47, 0), 1);
	EXPECT_LE(signal_msi(fd, MSI_ADDRESS | 9 << 12, 0x48, 0), 0);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 3);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x47);
	EXPECT_EQ(test_irq_vector(self->vcpu, 2), 0x45);
}

TEST(split_irqchip)
{
	struct kvm_irq_routing_entry route = msi_route(3, 0x8000 | 0x51);
	struct kvm_irqchip state = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu;
	struct kvm_interrupt interrupt = { .irq = 0x33 };

	if (!test_check_extension(vm->fd, KVM_CAP_SPLIT_IRQCHIP)) {
		test_vm_free(vm);
		SKIP(return, "no split irqchip");
	}
	EXPECT_EQ(enable_split(vm->fd, MAX_ROUTES + 1), -EINVAL);
	ASSERT_EQ(enable_split(vm->fd, 24), 0);
	EXPECT_EQ(enable_split(vm->fd, 24), -EEXIST);
	EXPECT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(ioctl(vm->fd, KVM_GET_IRQCHIP, &state), -1);
	EXPECT_EQ(errno, ENXIO);

	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_NONE);
	test_irq_set_msr(vcpu, TEST_MSR_APIC_BASE, test_irq_msr(vcpu, TEST_MSR_APIC_BASE) | 0xc00);
	test_irq_set_msr(vcpu, TEST_X2APIC(SPIV_OFFSET), SPIV_ON);

	/* Pins of chips that are not here cannot be routed to; messages can. */
	EXPECT_EQ(set_routing(vm->fd, &(struct kvm_irq_routing_entry) { .type = 1 }, 1, 0),
		  -EINVAL);
	ASSERT_EQ(set_routing(vm->fd, &route, 1, 0), 0);
	EXPECT_EQ(test_irq_line(vm, 3, 1), 1);
	test_irq_window(vcpu);
	ASSERT_EQ(test_irq_count(vcpu), 1);
	EXPECT_EQ(test_irq_vector(vcpu, 0), 0x51);

	/* Its end is userspace's I/O APIC's business: the guest's next command only comes after. */
	test_irq_begin_wrmsr(vcpu, TEST_X2APIC(EOI_OFFSET), 0);
	ASSERT_EQ(test_vcpu_run(vcpu), KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x51);
	test_vcpu_run_to_sync(vcpu);

	/* The window opens when the guest could take an interrupt of the PIC. */
	vcpu->run->request_interrupt_window = 1;
	test_irq_begin_halt(vcpu);
	ASSERT_EQ(test_vcpu_run(vcpu), KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	vcpu->run->request_interrupt_window = 0;
	ASSERT_EQ(ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), 0);
	test_vcpu_run_to_sync(vcpu);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 0);
	ASSERT_EQ(test_irq_count(vcpu), 2);
	EXPECT_EQ(test_irq_vector(vcpu, 1), 0x33);

	/* The PIC's interrupt comes by KVM_INTERRUPT, one at a time, through LINT0. */
	ASSERT_EQ(ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), 0);
	EXPECT_EQ(ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), -1);
	EXPECT_EQ(errno, EEXIST);
	test_irq_window(vcpu);
	ASSERT_EQ(test_irq_count(vcpu), 3);
	EXPECT_EQ(test_irq_vector(vcpu, 2), 0x33);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* APIC ids of 32 bits, in MSIs and in the local APIC's state. */
TEST_F(irqchip, x2apic_format)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args[0] = 1ull << 8 };
	struct kvm_msi msi = { .address_lo = MSI_ADDRESS, .address_hi = 0x100, .data = 0x47 };
	struct kvm_lapic_state state;

	EXPECT_EQ(ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap), -1);
	EXPECT_EQ(errno, EINVAL);
	/* Before that, the upper half of the address is nobody's. */
	EXPECT_EQ(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	cap.args[0] = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	ASSERT_EQ(ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap), 0);
	EXPECT_LE(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 0);
	msi.address_hi = 1;
	EXPECT_EQ(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), -1);
	EXPECT_EQ(errno, EINVAL);
	/* 255 is an id like any other now. */
	msi.address_hi = 0;
	msi.address_lo |= 0xff << 12;
	EXPECT_LE(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 0);
	msi.address_hi = 0xffffff00;
	msi.data = 0x48;
	EXPECT_EQ(ioctl(self->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	test_irq_window(self->vcpu);
	ASSERT_EQ(test_irq_count(self->vcpu), 2);
	EXPECT_EQ(test_irq_vector(self->vcpu, 0), 0x48);

	ASSERT_EQ(ioctl(self->vcpu->fd, KVM_GET_LAPIC, &state), 0);
	*(uint32_t *)(state.regs + APIC_ID_OFFSET) = 1;
	EXPECT_EQ(ioctl(self->vcpu->fd, KVM_SET_LAPIC, &state), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST_HARNESS_MAIN
