// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "device.h"

void test_device_serve(struct test_vcpu *vcpu, struct test_device *device)
{
	struct kvm_run *run = vcpu->run;

	device->last_gpa = run->mmio.phys_addr;
	device->last_len = run->mmio.len;
	if (run->mmio.len > 8)
		test_die("an MMIO exit of %u bytes", run->mmio.len);
	for (unsigned int i = 0; i < run->mmio.len; i++) {
		uint8_t *at = &device->memory[(run->mmio.phys_addr + i) % TEST_DEVICE_BYTES];

		if (run->mmio.is_write)
			*at = run->mmio.data[i];
		else
			run->mmio.data[i] = *at;
	}
	if (run->mmio.is_write)
		device->writes++;
	else
		device->reads++;
}

void test_device_run(struct test_vcpu *vcpu, struct test_device *device)
{
	while (test_vcpu_run(vcpu) == KVM_EXIT_MMIO)
		test_device_serve(vcpu, device);
}

void test_device_run_to(struct test_vcpu *vcpu, struct test_device *device, uint16_t port)
{
	struct kvm_regs regs;

	test_device_run(vcpu, device);
	if (test_vcpu_is_at(vcpu, port))
		return;
	test_vcpu_regs(vcpu, &regs);
	test_die("exit reason %u, port %#x instead of port %#x, rip %#llx",
		 vcpu->run->exit_reason, vcpu->run->io.port, port, regs.rip);
}

void test_device_run_to_exception(struct test_vcpu *vcpu, struct test_device *device,
				  struct test_exception *exception)
{
	struct kvm_regs regs;

	test_device_run_to(vcpu, device, TEST_PORT_EXCEPTION);
	test_vcpu_regs(vcpu, &regs);
	memcpy(exception, test_vm_hva(vcpu->vm, regs.rsp), sizeof(*exception));
}
