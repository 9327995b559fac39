// SPDX-License-Identifier: GPL-2.0
/*
 * A running guest is stopped wherever it is and its whole state moved into another VM, where it
 * goes on as if nothing had been: what it computes and how many interrupts it gets is the same as
 * without a move.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/host.h"
#include "lib/irq.h"
#include "lib/move.h"
#include "lib/vm.h"

#define MSR_TSC		0x10
/* A write within a second of what a counter is would mean the same counter. */
#define LONG_AGO	(1ull << 40)
#define MOVES		12
#define ROUNDS		4000
#define VECTOR_NMI	2
#define VECTOR_IPI	0x50
#define VECTOR_TIMER	0x51
#define VECTOR_PIT	0x52
#define NR_VECTORS	0x60
#define IOAPIC_MASKED	(1 << 16)
#define GP		13
#define CR4_OSFXSR	(1 << 9)
#define CR4_OSXSAVE	(1 << 18)
#define XCR0_AVX	7
#define CPUID_1_ECX_AVX	(1u << 28)

/* What the guest counts, from TEST_DATA_GPA on. */
struct counts {
	uint64_t sent, ipi, timer, pit, nmi;
	uint64_t x87, unused[2];
	uint64_t vector[4];
};

/*
 * RBP: the counts; R12: rounds left; R8: a sum over everything; R13: AVX is there. At the end it
 * waits for one more interrupt of each timer: they must still go.
 */
GUEST_CODE(guest_busy,
	   "fninit\n"
	   "fldz\n"
	   "movabs $0x5851f42d4c957f2d, %r9\n"
	   "movq %r9, %xmm2\n"
	   "pxor %xmm1, %xmm1\n"
	   "test %r13, %r13\n"
	   "jz 1f\n"
	   "vpbroadcastq %xmm2, %ymm2\n"
	   "vpxor %ymm1, %ymm1, %ymm1\n"
	   "1: imul %r9, %r8\n"
	   "add %r12, %r8\n"
	   "fld1\n"
	   "faddp\n"
	   "test %r13, %r13\n"
	   "jz 2f\n"
	   "vpaddq %ymm2, %ymm1, %ymm1\n"
	   "jmp 3f\n"
	   "2: paddq %xmm2, %xmm1\n"
	   "3: test $7, %r12\n"
	   "jnz 5f\n"
	   /* An IPI to itself, which comes a moment later. */
	   "cli\n"
	   "incq (%rbp)\n"
	   "mov $0x83f, %ecx\n"
	   "mov $0x50, %eax\n"
	   "xor %edx, %edx\n"
	   "wrmsr\n"
	   "mov $40, %eax\n"
	   "4: dec %eax\n"
	   "jnz 4b\n"
	   "sti\n"
	   "5: dec %r12\n"
	   "jnz 1b\n"
	   "fistpll 40(%rbp)\n"
	   "test %r13, %r13\n"
	   "jz 6f\n"
	   "vmovdqu %ymm1, 64(%rbp)\n"
	   "jmp 7f\n"
	   "6: movdqu %xmm1, 64(%rbp)\n"
	   "7: mov 16(%rbp), %rax\n"
	   "mov 24(%rbp), %rbx\n"
	   "8: pause\n"
	   "cmp %rax, 16(%rbp)\n"
	   "je 8b\n"
	   "cmp %rbx, 24(%rbp)\n"
	   "je 8b\n"
	   "cli\n"
	   GUEST_DONE);

/* Handlers; the APIC is in x2APIC mode. */
#define EOI	"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
#define SAVE	"push %rax\n push %rcx\n push %rdx\n"
#define BACK	"pop %rdx\n pop %rcx\n pop %rax\n iretq\n"

GUEST_CODE(on_nmi, "incq 0x10020\n iretq\n");
GUEST_CODE(on_ipi, SAVE "incq 0x10008\n" EOI BACK);
GUEST_CODE(on_pit, SAVE "incq 0x10018\n" EOI BACK);
/* The next deadline, 150000 ticks on. */
GUEST_CODE(on_timer,
	   SAVE
	   "incq 0x10010\n"
	   "rdtsc\n"
	   "shl $32, %rdx\n"
	   "or %rdx, %rax\n"
	   "add $150000, %rax\n"
	   "mov %rax, %rdx\n"
	   "shr $32, %rdx\n"
	   "mov $0x6e0, %ecx\n"
	   "wrmsr\n"
	   EOI BACK);

static void set_gate(struct test_vm *vm, unsigned int vector, const char *code, size_t bytes)
{
	uint64_t *idt = test_vm_hva(vm, TEST_IDT_GPA);
	uint64_t gpa = TEST_FREE_GPA + vector * 256;

	memcpy(test_vm_hva(vm, gpa), code, bytes);
	/* Present 64-bit interrupt gate. */
	idt[2 * vector] = (gpa & 0xffff) | TEST_CS << 16 | 0x8eull << 40 | (gpa >> 16) << 48;
	idt[2 * vector + 1] = 0;
}

static struct counts *counts_of(struct test_machine *machine)
{
	return test_vm_hva(machine->vm, TEST_DATA_GPA);
}

/* The PIT ticks every millisecond or so, through the I/O APIC's pin 0. */
static void start_pit(struct test_machine *machine, uint64_t entry)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_pit_state2 pit;

	if (ioctl(machine->vm->fd, KVM_GET_IRQCHIP, &chip))
		test_die("KVM_GET_IRQCHIP");
	chip.chip.ioapic.redirtbl[0].bits = entry;
	if (ioctl(machine->vm->fd, KVM_SET_IRQCHIP, &chip))
		test_die("KVM_SET_IRQCHIP");
	if (ioctl(machine->vm->fd, KVM_GET_PIT2, &pit))
		test_die("KVM_GET_PIT2");
	pit.channels[0].mode = 2;
	pit.channels[0].rw_mode = 3;
	pit.channels[0].count = 1193;
	pit.channels[0].gate = 1;
	if (ioctl(machine->vm->fd, KVM_SET_PIT2, &pit))
		test_die("KVM_SET_PIT2");
}

static void start_busy(struct test_machine *machine, bool avx)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = XCR0_AVX } } };
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	test_machine_create(machine, true, false);
	test_vcpu_long_mode(machine->vcpu, GUEST_BLOB(guest_busy));
	set_gate(machine->vm, VECTOR_NMI, GUEST_BLOB(on_nmi));
	set_gate(machine->vm, VECTOR_IPI, GUEST_BLOB(on_ipi));
	set_gate(machine->vm, VECTOR_TIMER, GUEST_BLOB(on_timer));
	set_gate(machine->vm, VECTOR_PIT, GUEST_BLOB(on_pit));
	test_vcpu_sregs(machine->vcpu, &sregs);
	sregs.idt.limit = NR_VECTORS * 16 - 1;
	sregs.apic_base |= BASE_X2APIC;
	sregs.cr4 |= CR4_OSFXSR | (avx ? CR4_OSXSAVE : 0);
	test_vcpu_set_sregs(machine->vcpu, &sregs);
	if (avx && ioctl(machine->vcpu->fd, KVM_SET_XCRS, &xcrs))
		test_die("KVM_SET_XCRS");
	if (ioctl(machine->vcpu->fd, KVM_GET_LAPIC, &lapic))
		test_die("KVM_GET_LAPIC");
	*apic_state_reg(&lapic, APIC_SPIV) = SPIV_ON;
	*apic_state_reg(&lapic, APIC_LVT0) = LVT_MASKED;
	*apic_state_reg(&lapic, APIC_LVTT) = LVT_DEADLINE | VECTOR_TIMER;
	if (ioctl(machine->vcpu->fd, KVM_SET_LAPIC, &lapic))
		test_die("KVM_SET_LAPIC");
	if (test_vcpu_set_msr(machine->vcpu, MSR_TSC, LONG_AGO) != 1 ||
	    test_vcpu_set_msr(machine->vcpu, TEST_MSR_TSC_DEADLINE, LONG_AGO + 1000) != 1)
		test_die("the first deadline");
	start_pit(machine, VECTOR_PIT);
	test_vcpu_regs(machine->vcpu, &regs);
	regs.rbp = TEST_DATA_GPA;
	regs.r12 = ROUNDS;
	regs.r13 = avx;
	regs.rflags = 2 | RFLAGS_IF;
	test_vcpu_set_regs(machine->vcpu, &regs);
}

static void on_alarm(int signal __attribute__((unused)))
{
}

static void alarm_after_us(unsigned int us)
{
	struct itimerval timer = { .it_value = { .tv_usec = us } };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* One RUN, ended by the guest or by the alarm: true for the guest. */
static bool run_for(struct test_machine *machine, unsigned int us)
{
	bool ended;

	alarm_after_us(us);
	ended = !ioctl(machine->vcpu->fd, KVM_RUN, 0);
	if (!ended && errno != EINTR)
		test_die("KVM_RUN");
	alarm_after_us(0);
	return ended;
}

static bool host_has_avx(void)
{
	struct test_machine machine;
	bool avx;

	test_machine_create(&machine, false, false);
	avx = test_cpuid_find(machine.cpuid, 1, 0)->ecx & CPUID_1_ECX_AVX;
	test_machine_free(&machine);
	return avx;
}

/* Runs to the end, with @moves on the way, and an NMI before each of them. */
static uint64_t run_busy(struct __test_metadata *_metadata, unsigned int moves, uint64_t *vectors)
{
	uint64_t seed = host_seed(), nmis = 0;
	struct test_machine machine;
	struct counts *counts;
	struct kvm_regs regs;
	bool avx = host_has_avx();

	start_busy(&machine, avx);
	while (machine.moves < moves) {
		if (run_for(&machine, 100 + host_random(&seed) % 1500))
			break;
		if (ioctl(machine.vcpu->fd, KVM_NMI, 0))
			test_die("KVM_NMI");
		nmis++;
		test_machine_move(&machine);
	}
	EXPECT_EQ(moves, machine.moves);
	for (int i = 0; i < 3 && !run_for(&machine, 900000); i++)
		;
	EXPECT_EQ(KVM_EXIT_IO, machine.vcpu->run->exit_reason);
	EXPECT_EQ(TEST_PORT_DONE, machine.vcpu->run->io.port);
	counts = counts_of(&machine);
	EXPECT_EQ(ROUNDS / 8, counts->sent);
	EXPECT_EQ(counts->sent, counts->ipi);
	EXPECT_EQ(nmis, counts->nmi);
	EXPECT_EQ(ROUNDS, counts->x87);
	EXPECT_LT(1, counts->timer);
	EXPECT_LT(1, counts->pit);
	memcpy(vectors, counts->vector, sizeof(counts->vector));
	test_vcpu_regs(machine.vcpu, &regs);
	test_machine_free(&machine);
	return regs.r8;
}

TEST(busy_guest)
{
	uint64_t unmoved[4], moved[4], sum;

	sum = run_busy(_metadata, 0, unmoved);
	EXPECT_NE(0, unmoved[0]);
	EXPECT_EQ(sum, run_busy(_metadata, MOVES, moved));
	EXPECT_EQ(0, memcmp(unmoved, moved, sizeof(moved)));
}

GUEST_CODE(guest_sleeper,
	   "mov $5, %r12d\n"
	   "1: sti\n"
	   "hlt\n"
	   "cli\n"
	   "dec %r12\n"
	   "jnz 1b\n"
	   GUEST_DONE);

/* Halted, with a timer that wakes it. */
TEST(halted_guest)
{
	struct test_machine machine;
	struct kvm_mp_state state;
	struct kvm_regs regs;
	unsigned int halted = 0;

	start_busy(&machine, false);
	test_vcpu_regs(machine.vcpu, &regs);
	memcpy(test_vm_hva(machine.vm, TEST_CODE_GPA), GUEST_BLOB(guest_sleeper));
	/* Only its own timer; a new VM has to be warmed up before the guest gets anywhere. */
	start_pit(&machine, IOAPIC_MASKED);
	while (!run_for(&machine, 1000)) {
		ASSERT_EQ(0, ioctl(machine.vcpu->fd, KVM_GET_MP_STATE, &state));
		halted += state.mp_state == KVM_MP_STATE_HALTED;
		ASSERT_GT(100, machine.moves);
		test_machine_move(&machine);
	}
	EXPECT_EQ(KVM_EXIT_IO, machine.vcpu->run->exit_reason);
	EXPECT_LT(0, halted);
	/* A deadline that passes while it is saved may come twice. */
	EXPECT_LE(5, counts_of(&machine)->timer);
	EXPECT_EQ(0, counts_of(&machine)->pit);
	test_machine_free(&machine);
}

/* Counts at 0x10000 what IRQ 0 brings through the PIC, and its own rounds in a sum in EBX. */
GUEST_CODE16(guest_real,
	     "mov $0x11, %al\n outb %al, $0x20\n"
	     "mov $0x08, %al\n outb %al, $0x21\n"
	     "mov $0x04, %al\n outb %al, $0x21\n"
	     "mov $0x01, %al\n outb %al, $0x21\n"
	     "mov $0xfe, %al\n outb %al, $0x21\n"
	     "mov $0x1000, %ax\n mov %ax, %ds\n"
	     "mov $150000, %ecx\n"
	     "xor %ebx, %ebx\n"
	     "sti\n"
	     "1: imul $1664525, %ebx\n"
	     "add %ecx, %ebx\n"
	     "dec %ecx\n"
	     "jnz 1b\n"
	     "cli\n"
	     "outb %al, $0xe1\n"
	     "handler: push %ax\n"
	     "incl 0\n"
	     "mov $0x20, %al\n outb %al, $0x20\n"
	     "pop %ax\n"
	     "iret\n"
	     "guest_real_handler_offset: .word handler - guest_real\n");
extern const char guest_real_handler_offset[];

static uint32_t run_real(struct __test_metadata *_metadata, unsigned int moves)
{
	uint64_t seed = host_seed();
	struct test_machine machine;
	struct kvm_lapic_state lapic;
	struct kvm_regs regs;
	uint16_t *ivt, handler;

	test_machine_create(&machine, true, false);
	test_vcpu_real_mode(machine.vcpu, GUEST_BLOB(guest_real));
	memcpy(&handler, guest_real_handler_offset, sizeof(handler));
	ivt = test_vm_hva(machine.vm, 0);
	ivt[2 * 8] = TEST_CODE_GPA + handler;
	ivt[2 * 8 + 1] = 0;
	ASSERT_EQ(0, ioctl(machine.vcpu->fd, KVM_GET_LAPIC, &lapic));
	EXPECT_EQ(0x700, *apic_state_reg(&lapic, APIC_LVT0));
	start_pit(&machine, IOAPIC_MASKED);
	while (machine.moves < moves) {
		if (run_for(&machine, 100 + host_random(&seed) % 800))
			break;
		test_machine_move(&machine);
	}
	EXPECT_LE(moves ? 2 : 0, machine.moves);
	EXPECT_TRUE(machine.moves < moves || run_for(&machine, 900000));
	EXPECT_EQ(KVM_EXIT_IO, machine.vcpu->run->exit_reason);
	EXPECT_EQ(TEST_PORT_DONE, machine.vcpu->run->io.port);
	EXPECT_LT(0, *(uint32_t *)counts_of(&machine));
	test_vcpu_regs(machine.vcpu, &regs);
	test_machine_free(&machine);
	return regs.rbx;
}

TEST(real_mode_guest)
{
	uint32_t sum = run_real(_metadata, 0);

	EXPECT_NE(0, sum);
	EXPECT_EQ(sum, run_real(_metadata, 4));
}

/* An interrupt waits, and STI holds it back for the instruction that reads from a device. */
GUEST_CODE(guest_shadow,
	   "mov $0x83f, %ecx\n"
	   "mov $0x50, %eax\n"
	   "xor %edx, %edx\n"
	   "wrmsr\n"
	   "mov $0xd0000000, %edi\n"
	   "xor %ebx, %ebx\n"
	   "sti\n"
	   "mov (%rdi), %ebx\n"
	   "nop\n"
	   "cli\n"
	   GUEST_DONE);

/* Was the load done when the interrupt came? */
GUEST_CODE(on_ipi_shadow, SAVE "mov %rbx, 0x10000\n incq 0x10008\n" EOI BACK);

TEST(interrupt_shadow)
{
	struct test_machine machine;
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	start_busy(&machine, false);
	memcpy(test_vm_hva(machine.vm, TEST_CODE_GPA), GUEST_BLOB(guest_shadow));
	set_gate(machine.vm, VECTOR_IPI, GUEST_BLOB(on_ipi_shadow));
	test_vcpu_regs(machine.vcpu, &regs);
	regs.rflags = 2;
	test_vcpu_set_regs(machine.vcpu, &regs);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(KVM_EXIT_MMIO, test_vcpu_run(machine.vcpu));
		EXPECT_EQ(0xd0000000, machine.vcpu->run->mmio.phys_addr);
		ASSERT_EQ(0, ioctl(machine.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
		EXPECT_EQ(KVM_X86_SHADOW_INT_STI, events.interrupt.shadow);
		EXPECT_EQ(0, counts_of(&machine)->ipi);
		if (i < 2)
			test_machine_move(&machine);
	}
	*(uint32_t *)machine.vcpu->run->mmio.data = 0x12345678;
	test_vcpu_run_to_done(machine.vcpu);
	EXPECT_EQ(1, counts_of(&machine)->ipi);
	EXPECT_EQ(0x12345678, counts_of(&machine)->sent);
	test_machine_free(&machine);
}

GUEST_CODE(guest_faults,
	   "mov $0x12345, %ecx\n"
	   "1: rdmsr\n"
	   GUEST_DONE);

/* A fault that is decided on and not delivered yet, with and without KVM_CAP_EXCEPTION_PAYLOAD. */
TEST(pending_exception)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				      .args = { KVM_MSR_EXIT_REASON_UNKNOWN } };

	for (int payloads = 0; payloads < 2; payloads++) {
		struct kvm_vcpu_events events;
		struct test_exception exception;
		struct test_machine machine;

		test_machine_create(&machine, false, payloads);
		test_vcpu_long_mode(machine.vcpu, GUEST_BLOB(guest_faults));
		ASSERT_EQ(0, ioctl(machine.vm->fd, KVM_ENABLE_CAP, &cap));
		ASSERT_EQ(KVM_EXIT_X86_RDMSR, test_vcpu_run(machine.vcpu));
		machine.vcpu->run->msr.error = 1;
		machine.vcpu->run->immediate_exit = 1;
		ASSERT_EQ(-1, ioctl(machine.vcpu->fd, KVM_RUN, 0));
		ASSERT_EQ(EINTR, errno);
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(0, ioctl(machine.vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
			EXPECT_EQ(payloads, events.exception.pending);
			EXPECT_EQ(!payloads, events.exception.injected);
			EXPECT_EQ(GP, events.exception.nr);
			test_machine_move(&machine);
		}
		test_vcpu_run_to_exception(machine.vcpu, &exception);
		EXPECT_EQ(GP, exception.vector);
		EXPECT_EQ(0, exception.error_code);
		EXPECT_EQ(TEST_CODE_GPA + 5, exception.rip);
		test_machine_free(&machine);
	}
}

GUEST_CODE(guest_takes_interrupt,
	   GUEST_SYNC
	   "sti\n"
	   "nop\n"
	   "cli\n"
	   GUEST_DONE);
GUEST_CODE(on_interrupt, "incq 0x10008\n iretq\n");

/* An interrupt of a controller in userspace, accepted and not delivered: the guest has IF clear. */
TEST(queued_interrupt)
{
	struct kvm_interrupt interrupt = { .irq = VECTOR_IPI };
	struct test_machine machine;
	struct kvm_sregs sregs;

	test_machine_create(&machine, false, false);
	test_vcpu_long_mode(machine.vcpu, GUEST_BLOB(guest_takes_interrupt));
	set_gate(machine.vm, VECTOR_IPI, GUEST_BLOB(on_interrupt));
	test_vcpu_sregs(machine.vcpu, &sregs);
	sregs.idt.limit = NR_VECTORS * 16 - 1;
	test_vcpu_set_sregs(machine.vcpu, &sregs);
	test_vcpu_run_to_sync(machine.vcpu);
	ASSERT_EQ(0, ioctl(machine.vcpu->fd, KVM_INTERRUPT, &interrupt));
	/* The OUT is completed on the way. */
	machine.vcpu->run->immediate_exit = 1;
	ASSERT_EQ(-1, ioctl(machine.vcpu->fd, KVM_RUN, 0));
	test_machine_move(&machine);
	test_machine_move(&machine);
	EXPECT_EQ(0, counts_of(&machine)->ipi);
	test_vcpu_run_to_done(machine.vcpu);
	EXPECT_EQ(1, counts_of(&machine)->ipi);
	test_machine_free(&machine);
}

TEST_HARNESS_MAIN
