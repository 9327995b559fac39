// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "port.h"

uint8_t test_port_byte(unsigned int i)
{
	return i * 7 + i / 256;
}

void test_port_run(struct test_vcpu *vcpu, struct test_port *device)
{
	struct kvm_run *run = vcpu->run;

	while (test_vcpu_run(vcpu) == KVM_EXIT_IO && run->io.port == TEST_PORT_NUMBER) {
		uint8_t *data = (uint8_t *)run + run->io.data_offset;
		unsigned int bytes = run->io.size * run->io.count;

		/* It would come for ever. */
		if (!bytes)
			test_die("an exit for no item");
		device->exits++;
		device->item_bytes = run->io.size;
		if (run->io.direction == KVM_EXIT_IO_IN) {
			for (unsigned int i = 0; i < bytes; i++)
				data[i] = test_port_byte(device->read_bytes++);
			continue;
		}
		if (device->written_bytes + bytes > sizeof(device->written))
			test_die("the guest writes more than %zu bytes", sizeof(device->written));
		memcpy(device->written + device->written_bytes, data, bytes);
		device->written_bytes += bytes;
	}
}

void test_port_run_to(struct test_vcpu *vcpu, struct test_port *device, uint16_t port)
{
	test_port_run(vcpu, device);
	if (vcpu->run->exit_reason != KVM_EXIT_IO || vcpu->run->io.port != port)
		test_die("exit reason %u, port %#x instead of port %#x", vcpu->run->exit_reason,
			 vcpu->run->io.port, port);
}

void test_port_run_to_exception(struct test_vcpu *vcpu, struct test_port *device,
				struct test_exception *exception)
{
	struct kvm_regs regs;

	test_port_run_to(vcpu, device, TEST_PORT_EXCEPTION);
	test_vcpu_regs(vcpu, &regs);
	memcpy(exception, test_vm_hva(vcpu->vm, regs.rsp), sizeof(*exception));
}
