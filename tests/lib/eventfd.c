// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "eventfd.h"

#define MSI_ADDRESS	0xfee00000u
#define REG_TABLE	0x10

int test_irqfd(int vm_fd, int fd, uint32_t gsi, uint32_t flags, int resamplefd)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resamplefd };

	return ioctl(vm_fd, KVM_IRQFD, &args) ? -errno : 0;
}

int test_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		test_die("eventfd");
	return fd;
}

void test_eventfd_signal(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		test_die("writing an eventfd");
}

uint64_t test_eventfd_count(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) == sizeof(value))
		return value;
	if (errno != EAGAIN)
		test_die("reading an eventfd");
	return 0;
}

int test_irqfd_route(int vm_fd, uint32_t data)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[2];
	} routing = { .head.nr = 2 };

	routing.entry[0].gsi = TEST_GSI;
	routing.entry[0].type = data ? KVM_IRQ_ROUTING_MSI : KVM_IRQ_ROUTING_IRQCHIP;
	if (data) {
		routing.entry[0].u.msi.address_lo = MSI_ADDRESS;
		routing.entry[0].u.msi.data = data;
	} else {
		routing.entry[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		routing.entry[0].u.irqchip.pin = TEST_GSI;
	}
	routing.entry[1].gsi = TEST_MSI_GSI;
	routing.entry[1].type = KVM_IRQ_ROUTING_MSI;
	routing.entry[1].u.msi.address_lo = MSI_ADDRESS;
	routing.entry[1].u.msi.data = TEST_MSI_VECTOR;
	return ioctl(vm_fd, KVM_SET_GSI_ROUTING, &routing) ? -errno : 0;
}

void test_irqfd_set_entry(struct test_vcpu *vcpu, unsigned int pin, uint32_t low)
{
	test_irq_write(vcpu, TEST_IOAPIC_GPA, REG_TABLE + 2 * pin);
	test_irq_write(vcpu, TEST_IOAPIC_GPA + 0x10, low);
}

bool test_irqfd_pin(struct test_vm *vm, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
		test_die("KVM_GET_IRQCHIP");
	return chip.chip.ioapic.irr & 1u << pin;
}

bool test_irqfd_pin_becomes(struct test_vm *vm, unsigned int pin, bool up)
{
	int i;

	for (i = 0; i < 100 && test_irqfd_pin(vm, pin) != up; i++)
		usleep(1000);
	return test_irqfd_pin(vm, pin) == up;
}

void test_irqfd_enable_apic(struct test_vcpu *vcpu)
{
	test_irq_set_msr(vcpu, TEST_MSR_APIC_BASE, test_irq_msr(vcpu, TEST_MSR_APIC_BASE) | 0xc00);
	test_irq_set_msr(vcpu, TEST_X2APIC(0xf0), 0x1ff);
}

unsigned int test_irqfd_taken(struct test_vcpu *vcpu, unsigned int want)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		test_irq_window(vcpu);
		if (test_irq_count(vcpu) >= want && (want || i > 3))
			break;
		usleep(want ? 2000 : 500);
	}
	return test_irq_count(vcpu);
}
