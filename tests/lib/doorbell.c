// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "doorbell.h"

enum { OUT8, OUT16, OUT32, STORE8, STORE16, STORE32, STORE64, IN8, LOAD32, XADD32 };

/* The command is in EDI, the address in RSI, the data in RDX. */
GUEST_CODE(doorbell_server,
	   "1: outb %al, $0xe0\n"
	   "mov %rdx, %rbx\n mov %edx, %eax\n mov %esi, %edx\n"
	   "cmp $0, %edi\n je 10f\n"
	   "cmp $1, %edi\n je 11f\n"
	   "cmp $2, %edi\n je 12f\n"
	   "cmp $3, %edi\n je 13f\n"
	   "cmp $4, %edi\n je 14f\n"
	   "cmp $5, %edi\n je 15f\n"
	   "cmp $6, %edi\n je 16f\n"
	   "cmp $7, %edi\n je 17f\n"
	   "cmp $8, %edi\n je 18f\n"
	   "cmp $9, %edi\n je 19f\n"
	   "ud2\n"
	   "10: outb %al, %dx\n jmp 1b\n"
	   "11: outw %ax, %dx\n jmp 1b\n"
	   "12: outl %eax, %dx\n jmp 1b\n"
	   "13: mov %bl, (%rsi)\n jmp 1b\n"
	   "14: mov %bx, (%rsi)\n jmp 1b\n"
	   "15: mov %ebx, (%rsi)\n jmp 1b\n"
	   "16: mov %rbx, (%rsi)\n jmp 1b\n"
	   "17: inb %dx, %al\n jmp 1b\n"
	   "18: mov (%rsi), %eax\n jmp 1b\n"
	   "19: lock xadd %ebx, (%rsi)\n jmp 1b\n");

void test_doorbell_start(struct test_vcpu *vcpu)
{
	test_vcpu_long_mode(vcpu, GUEST_BLOB(doorbell_server));
	test_vcpu_run_to_sync(vcpu);
}

/* Up to the next exit: is it the end of the command? */
static bool is_done(struct test_vcpu *vcpu)
{
	test_vcpu_run(vcpu);
	return test_vcpu_is_at(vcpu, TEST_PORT_SYNC);
}

static void want_io(struct test_vcpu *vcpu, bool in, uint16_t port, unsigned int size)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_IO || run->io.port != port || run->io.size != size ||
	    run->io.direction != (in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT))
		test_die("exit reason %u instead of %u bytes at port %#x", run->exit_reason, size,
			 port);
}

static void want_mmio(struct test_vcpu *vcpu, bool write, uint64_t gpa, unsigned int size)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != gpa ||
	    run->mmio.len != size || run->mmio.is_write != write)
		test_die("exit reason %u instead of %u bytes at %#llx", run->exit_reason, size,
			 (unsigned long long)gpa);
}

bool test_doorbell_out(struct test_vcpu *vcpu, uint16_t port, unsigned int size, uint32_t data)
{
	test_vcpu_set_command(vcpu, size == 1 ? OUT8 : size == 2 ? OUT16 : OUT32, port, data);
	if (is_done(vcpu))
		return true;
	want_io(vcpu, false, port, size);
	if (memcmp((char *)vcpu->run + vcpu->run->io.data_offset, &data, size))
		test_die("other data than %#x at port %#x", data, port);
	test_vcpu_run_to_sync(vcpu);
	return false;
}

bool test_doorbell_store(struct test_vcpu *vcpu, uint64_t gpa, unsigned int size, uint64_t data)
{
	unsigned int command = size == 1 ? STORE8 : size == 2 ? STORE16 :
			       size == 4 ? STORE32 : STORE64;

	test_vcpu_set_command(vcpu, command, gpa, data);
	if (is_done(vcpu))
		return true;
	want_mmio(vcpu, true, gpa, size);
	if (memcmp(vcpu->run->mmio.data, &data, size))
		test_die("other data than %#llx at %#llx", (unsigned long long)data,
			 (unsigned long long)gpa);
	test_vcpu_run_to_sync(vcpu);
	return false;
}

bool test_doorbell_in(struct test_vcpu *vcpu, uint16_t port, uint8_t data)
{
	test_vcpu_set_command(vcpu, IN8, port, 0);
	if (is_done(vcpu))
		return true;
	want_io(vcpu, true, port, 1);
	*((uint8_t *)vcpu->run + vcpu->run->io.data_offset) = data;
	test_vcpu_run_to_sync(vcpu);
	return false;
}

bool test_doorbell_load(struct test_vcpu *vcpu, uint64_t gpa, uint32_t data)
{
	test_vcpu_set_command(vcpu, LOAD32, gpa, 0);
	if (is_done(vcpu))
		return true;
	want_mmio(vcpu, false, gpa, 4);
	memcpy(vcpu->run->mmio.data, &data, sizeof(data));
	test_vcpu_run_to_sync(vcpu);
	return false;
}

bool test_doorbell_xadd(struct test_vcpu *vcpu, uint64_t gpa, uint32_t data)
{
	test_vcpu_set_command(vcpu, XADD32, gpa, data);
	if (is_done(vcpu))
		test_die("nobody was asked for what stands at %#llx", (unsigned long long)gpa);
	want_mmio(vcpu, false, gpa, 4);
	memset(vcpu->run->mmio.data, 0, sizeof(vcpu->run->mmio.data));
	if (is_done(vcpu))
		return true;
	want_mmio(vcpu, true, gpa, 4);
	test_vcpu_run_to_sync(vcpu);
	return false;
}
