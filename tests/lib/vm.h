/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small virtual machine for tests, over the raw KVM ABI of the device that VITRINE_DEV names
 * (/dev/vitrine by default). Every function here ends the test case with a message when the set-up
 * itself fails; what a test wants to see fail it does with ioctl() on the descriptors below.
 *
 * The guest's code stands beside the check, as assembly:
 *
 *	GUEST_CODE(guest_add, "add %rsi, %rdi\n" GUEST_SYNC);
 *
 *	TEST(add) {
 *		struct test_vm *vm = test_vm_create();
 *		struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
 *
 *		test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_add));
 *		... test_vcpu_run_to_sync(vcpu); test_vcpu_regs(vcpu, &regs); ...
 *		test_vm_free(vm);
 *	}
 */
#ifndef TESTS_LIB_VM_H
#define TESTS_LIB_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Where things are in guest-physical memory; mapped one to one in every mode, up to 4 GiB. */
#define TEST_MEMORY_BYTES	(4u << 20)	/* slot 0, from 0 */
#define TEST_STACK16_GPA	0x7ff0u		/* real-mode stack, downwards */
#define TEST_CODE_GPA		0x8000u		/* first instruction, at most 32 KiB of code */
#define TEST_DATA_GPA		0x10000u	/* 64 KiB of zeroes for the test */
#define TEST_STACK_GPA		0x30000u	/* stack of the other modes, downwards */
#define TEST_PML4_GPA		0x30000u	/* then the PDPT and four page directories */
#define TEST_GDT_GPA		0x38000u
#define TEST_IDT_GPA		0x39000u
#define TEST_STUBS_GPA		0x3a000u	/* exception entry points of long mode */
#define TEST_TSS_GPA		0x3c000u
#define TEST_FREE_GPA		0x100000u	/* nothing is above, up to the end of memory */

#define TEST_CS			0x08
#define TEST_DS			0x10
#define TEST_CS32		0x18
#define TEST_TR			0x20

/* What a guest writes to, one byte, to stop: the values it wants to show are in its registers. */
#define TEST_PORT_SYNC		0xe0
#define TEST_PORT_DONE		0xe1
#define TEST_PORT_EXCEPTION	0xe2	/* only by the stubs of long mode */
#define GUEST_SYNC		"outb %al, $0xe0\n"
#define GUEST_DONE		"outb %al, $0xe1\n"

#define GUEST_CODE_BITS(name, bits, body)				\
	asm(".pushsection .rodata\n.code" bits "\n"			\
	    #name ":\n" body "\n" #name "_end:\n"			\
	    ".code64\n.popsection\n");					\
	extern const char name[], name##_end[]
#define GUEST_CODE(name, body)		GUEST_CODE_BITS(name, "64", body)
#define GUEST_CODE32(name, body)	GUEST_CODE_BITS(name, "32", body)
#define GUEST_CODE16(name, body)	GUEST_CODE_BITS(name, "16", body)
#define GUEST_BLOB(name)		(name), (size_t)((name##_end) - (name))

struct test_vm {
	int dev_fd;
	int fd;
	uint8_t *memory;		/* host's view of slot 0 */
	size_t memory_bytes;
};

struct test_vcpu {
	struct test_vm *vm;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
};

/* What a stub of long mode left on the guest's stack. */
struct test_exception {
	uint64_t vector;
	uint64_t error_code;		/* 0 where the vector has none */
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

const char *test_dev_path(void);
/* The device is KVM's own: for the few lines where ours is meant to differ. */
bool test_on_kvm(void);
int test_dev_open(void);
/* 0, or what KVM_CHECK_EXTENSION says, on the device or on a VM. */
int test_check_extension(int fd, long cap);

/* A VM with slot 0; _irqchip also has the interrupt controllers in the kernel. */
struct test_vm *test_vm_create(void);
struct test_vm *test_vm_create_irqchip(void);
void test_vm_free(struct test_vm *vm);
void test_vm_add_memory(struct test_vm *vm, uint32_t slot, uint64_t gpa, void *hva, uint64_t bytes,
			uint32_t flags);
static inline void *test_vm_hva(struct test_vm *vm, uint64_t gpa)
{
	return vm->memory + gpa;
}

/* A vCPU as KVM_CREATE_VCPU makes it; test_vm_free() does not free it. */
struct test_vcpu *test_vcpu_create(struct test_vm *vm, unsigned int id);
void test_vcpu_free(struct test_vcpu *vcpu);
/* KVM_SET_CPUID2 with all that KVM_GET_SUPPORTED_CPUID offers. */
void test_vcpu_set_supported_cpuid(struct test_vcpu *vcpu);
/* The table itself, from malloc(). */
struct kvm_cpuid2 *test_supported_cpuid(int dev_fd);
struct kvm_cpuid_entry2 *test_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
					 uint32_t index);

/* Copy @code to TEST_CODE_GPA and make it the next instruction, in the mode the name says. */
void test_vcpu_real_mode(struct test_vcpu *vcpu, const void *code, size_t bytes);
void test_vcpu_protected_mode(struct test_vcpu *vcpu, const void *code, size_t bytes);
void test_vcpu_long_mode(struct test_vcpu *vcpu, const void *code, size_t bytes);

/* One KVM_RUN that must succeed; returns the exit reason. */
uint32_t test_vcpu_run(struct test_vcpu *vcpu);
/* KVM_RUN up to the next byte on the port; any other exit ends the test. Returns that byte. */
uint8_t test_vcpu_run_to(struct test_vcpu *vcpu, uint16_t port);
#define test_vcpu_run_to_sync(vcpu)	test_vcpu_run_to(vcpu, TEST_PORT_SYNC)
#define test_vcpu_run_to_done(vcpu)	test_vcpu_run_to(vcpu, TEST_PORT_DONE)
/* The same up to an exception in long mode. */
void test_vcpu_run_to_exception(struct test_vcpu *vcpu, struct test_exception *exception);
/* Go on after the exception just reported, at @rip (the faulting instruction's end, as a rule). */
void test_vcpu_return_to(struct test_vcpu *vcpu, uint64_t rip);

void test_vcpu_regs(struct test_vcpu *vcpu, struct kvm_regs *regs);
void test_vcpu_set_regs(struct test_vcpu *vcpu, const struct kvm_regs *regs);
void test_vcpu_sregs(struct test_vcpu *vcpu, struct kvm_sregs *sregs);
void test_vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs);
/* For a guest that waits at a port for what it is to do next: RDI, RSI and RDX. */
void test_vcpu_set_command(struct test_vcpu *vcpu, uint64_t rdi, uint64_t rsi, uint64_t rdx);
/* After a RUN: did it end at the port, TEST_PORT_SYNC for one? */
bool test_vcpu_is_at(const struct test_vcpu *vcpu, uint16_t port);
/* KVM_GET_MSRS and KVM_SET_MSRS of one MSR: 1 if done, 0 if refused, or -1 with errno. */
int test_vcpu_get_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t *value);
int test_vcpu_set_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value);

/*
 * For SKIP() in a FIXTURE_SETUP(): after one that only returns, the harness runs the test all the
 * same. The code is the harness's for a skip.
 */
#define TEST_NOT_AT_ALL		_exit(255)

/* Print and end the test case as failed. */
void test_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
