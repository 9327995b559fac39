// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt tests' guest: what irq.h promises. It checks nothing of the controllers.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "irq.h"

#define FIRST_VECTOR		32
#define NR_VECTORS		256
#define STUB_BYTES		16
#define HANDLER_GPA		(TEST_FREE_GPA + 0x10000u)
#define IRQ_STUBS_GPA		(TEST_FREE_GPA + 0x11000u)
#define LOG_GPA			(TEST_FREE_GPA + 0x20000u)
#define LOG_BYTES		0x2000u
#define STACK_BYTES		0x800u
#define MAX_LOGGED		(LOG_BYTES - 16)

/* What GS points to in the guest. */
struct irq_log {
	uint32_t count;
	uint32_t eoi;
	uint8_t vector[MAX_LOGGED];
	uint32_t eoi_writes;
	uint32_t eoi_word;
};

/* The command is in EDI, its operands in RSI and RDX, its answer in RAX. */
GUEST_CODE(irq_server,
	   /*
	    * No interrupt's delivery may be the first to touch these pages: an exit from a virtual
	    * interrupt's delivery is what the lab's CPU gets wrong.
	    */
	   "push %rax\n pop %rax\n"
	   "mov 0x38000, %eax\n mov 0x39000, %eax\n mov 0x3c000, %eax\n"
	   "mov 0x110000, %eax\n mov 0x111000, %eax\n"
	   "mov %gs:0, %eax\n mov %eax, %gs:0\n"
	   "1: outb %al, $0xe0\n"
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
	   "cmp $10, %edi\n je 20f\n"
	   "ud2\n"
	   "10: mov (%rsi), %eax\n jmp 1b\n"
	   "11: mov %edx, (%rsi)\n jmp 1b\n"
	   "12: mov %esi, %edx\n xor %eax, %eax\n inb %dx, %al\n jmp 1b\n"
	   "13: mov %edx, %eax\n mov %esi, %edx\n outb %al, %dx\n jmp 1b\n"
	   "14: mov %esi, %ecx\n rdmsr\n shl $32, %rdx\n or %rdx, %rax\n jmp 1b\n"
	   "15: mov %esi, %ecx\n mov %edx, %eax\n shr $32, %rdx\n wrmsr\n jmp 1b\n"
	   "16: sti\n nop\n nop\n nop\n cli\n jmp 1b\n"
	   "17: sti\n hlt\n cli\n jmp 1b\n"
	   "18: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %r8, %rax\n cmp %rsi, %rax\n jb 18b\n"
	   "jmp 1b\n"
	   "19: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n jmp 1b\n"
	   "20: call *%rsi\n jmp 1b\n");

/* On the stack: the saved registers, the vector, then the CPU's frame. */
GUEST_CODE(irq_handler,
	   "push %rax\n push %rcx\n push %rdx\n"
	   "mov 24(%rsp), %rdx\n"
	   "mov %gs:0, %ecx\n"
	   "cmp $0x1ff0, %ecx\n jae 1f\n"
	   "mov %dl, %gs:8(%rcx)\n"
	   "1: incl %gs:0\n"
	   "mov %gs:4, %eax\n"
	   "cmp $1, %eax\n jne 2f\n"
	   "mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n jmp 5f\n"
	   "2: cmp $2, %eax\n jne 3f\n"
	   "mov $0xfee000b0, %eax\n movl $0, (%rax)\n jmp 5f\n"
	   "3: cmp $4, %eax\n jne 6f\n"
	   "btrl $0, %gs:0x1ffc\n jc 5f\n"
	   "incl %gs:0x1ff8\n"
	   "mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n jmp 5f\n"
	   "6: cmp $3, %eax\n jne 5f\n"
	   "mov $0x20, %al\n"
	   "cmp $0x28, %dl\n jb 4f\n"
	   "outb %al, $0xa0\n"
	   "4: outb %al, $0x20\n"
	   "5: pop %rdx\n pop %rcx\n pop %rax\n"
	   "add $8, %rsp\n iretq\n");

static struct irq_log *log_of(struct test_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	test_vcpu_sregs(vcpu, &sregs);
	return test_vm_hva(vcpu->vm, sregs.gs.base);
}

static void write_gates(struct test_vm *vm)
{
	const size_t handler_bytes = irq_handler_end - irq_handler;
	uint64_t *idt = test_vm_hva(vm, TEST_IDT_GPA);

	memcpy(test_vm_hva(vm, HANDLER_GPA), irq_handler, handler_bytes);
	for (uint32_t vector = FIRST_VECTOR; vector < NR_VECTORS; vector++) {
		uint32_t gpa = IRQ_STUBS_GPA + vector * STUB_BYTES;
		uint32_t offset = HANDLER_GPA - (gpa + 10);
		uint8_t *stub = test_vm_hva(vm, gpa);

		stub[0] = 0x68;			/* push $vector */
		memcpy(stub + 1, &vector, sizeof(vector));
		stub[5] = 0xe9;			/* jmp handler */
		memcpy(stub + 6, &offset, sizeof(offset));
		/* Present 64-bit interrupt gate. */
		idt[2 * vector] = (gpa & 0xffff) | TEST_CS << 16 | 0x8eull << 40 |
				  (uint64_t)(gpa >> 16) << 48;
		idt[2 * vector + 1] = 0;
	}
}

void test_irq_start(struct test_vcpu *vcpu, unsigned int id, enum test_irq_eoi eoi)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(irq_server));
	write_gates(vcpu->vm);
	test_vcpu_sregs(vcpu, &sregs);
	sregs.idt.limit = NR_VECTORS * 16 - 1;
	sregs.gs.base = LOG_GPA + id * LOG_BYTES;
	test_vcpu_set_sregs(vcpu, &sregs);
	test_vcpu_regs(vcpu, &regs);
	regs.rsp -= id * STACK_BYTES;
	test_vcpu_set_regs(vcpu, &regs);
	test_irq_set_eoi(vcpu, eoi);
	test_irq_clear(vcpu);
	test_vcpu_run_to_sync(vcpu);
}

void test_irq_set_eoi(struct test_vcpu *vcpu, enum test_irq_eoi eoi)
{
	log_of(vcpu)->eoi = eoi;
}

uint64_t test_irq_eoi_gpa(struct test_vcpu *vcpu)
{
	return (uint8_t *)&log_of(vcpu)->eoi_word - vcpu->vm->memory;
}

unsigned int test_irq_eoi_writes(struct test_vcpu *vcpu)
{
	return log_of(vcpu)->eoi_writes;
}

static uint64_t command(struct test_vcpu *vcpu, unsigned int command, uint64_t rsi, uint64_t rdx)
{
	struct kvm_regs regs;

	test_vcpu_set_command(vcpu, command, rsi, rdx);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	return regs.rax;
}

uint32_t test_irq_read(struct test_vcpu *vcpu, uint64_t gpa)
{
	return command(vcpu, TEST_IRQ_READ, gpa, 0);
}

void test_irq_write(struct test_vcpu *vcpu, uint64_t gpa, uint32_t value)
{
	command(vcpu, TEST_IRQ_WRITE, gpa, value);
}

uint8_t test_irq_in(struct test_vcpu *vcpu, uint16_t port)
{
	return command(vcpu, TEST_IRQ_IN, port, 0);
}

void test_irq_out(struct test_vcpu *vcpu, uint16_t port, uint8_t value)
{
	command(vcpu, TEST_IRQ_OUT, port, value);
}

/* RDMSR and WRMSR are two bytes long; on #GP the guest goes on behind them. */
static bool msr_command(struct test_vcpu *vcpu, unsigned int command, uint32_t msr, uint64_t value)
{
	struct test_exception exception;
	struct kvm_run *run = vcpu->run;

	test_vcpu_set_command(vcpu, command, msr, value);
	if (test_vcpu_run(vcpu) != KVM_EXIT_IO)
		test_die("exit reason %u at MSR %#x", run->exit_reason, msr);
	if (run->io.port == TEST_PORT_SYNC)
		return true;
	if (run->io.port != TEST_PORT_EXCEPTION)
		test_die("port %#x at MSR %#x", run->io.port, msr);

	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	memcpy(&exception, test_vm_hva(vcpu->vm, regs.rsp), sizeof(exception));
	if (exception.vector != 13)
		test_die("exception %llu at MSR %#x", (unsigned long long)exception.vector, msr);
	test_vcpu_return_to(vcpu, exception.rip + 2);
	test_vcpu_run_to_sync(vcpu);
	return false;
}

bool test_irq_rdmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct kvm_regs regs;

	if (!msr_command(vcpu, TEST_IRQ_RDMSR, msr, 0))
		return false;
	test_vcpu_regs(vcpu, &regs);
	*value = regs.rax;
	return true;
}

bool test_irq_wrmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return msr_command(vcpu, TEST_IRQ_WRMSR, msr, value);
}

uint64_t test_irq_msr(struct test_vcpu *vcpu, uint32_t msr)
{
	uint64_t value;

	if (!test_irq_rdmsr(vcpu, msr, &value))
		test_die("#GP at RDMSR %#x", msr);
	return value;
}

void test_irq_set_msr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	if (!test_irq_wrmsr(vcpu, msr, value))
		test_die("#GP at WRMSR %#x = %#llx", msr, (unsigned long long)value);
}

uint64_t test_irq_rdtsc(struct test_vcpu *vcpu)
{
	return command(vcpu, TEST_IRQ_RDTSC, 0, 0);
}

void test_irq_window(struct test_vcpu *vcpu)
{
	command(vcpu, TEST_IRQ_WINDOW, 0, 0);
}

void test_irq_halt(struct test_vcpu *vcpu)
{
	command(vcpu, TEST_IRQ_HALT, 0, 0);
}

void test_irq_begin_halt(struct test_vcpu *vcpu)
{
	test_vcpu_set_command(vcpu, TEST_IRQ_HALT, 0, 0);
}

void test_irq_begin_wrmsr(struct test_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	test_vcpu_set_command(vcpu, TEST_IRQ_WRMSR, msr, value);
}

void test_irq_spin(struct test_vcpu *vcpu, uint64_t ticks)
{
	uint64_t now = test_irq_rdtsc(vcpu);
	struct kvm_regs regs;

	test_vcpu_set_command(vcpu, TEST_IRQ_SPIN, ticks, 0);
	test_vcpu_regs(vcpu, &regs);
	regs.r8 = now;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_sync(vcpu);
}

unsigned int test_irq_count(struct test_vcpu *vcpu)
{
	return log_of(vcpu)->count;
}

uint8_t test_irq_vector(struct test_vcpu *vcpu, unsigned int index)
{
	struct irq_log *log = log_of(vcpu);

	return index < log->count && index < MAX_LOGGED ? log->vector[index] : 0;
}

void test_irq_clear(struct test_vcpu *vcpu)
{
	struct irq_log *log = log_of(vcpu);

	log->count = 0;
	log->eoi_writes = 0;
	memset(log->vector, 0, sizeof(log->vector));
}

int test_irq_line(struct test_vm *vm, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line))
		test_die("KVM_IRQ_LINE_STATUS");
	return (int32_t)line.status;
}
