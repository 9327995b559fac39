// SPDX-License-Identifier: GPL-2.0
/* Rows of exits that the kernel handles: the guest loops over an instruction and counts. */
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"
#include "lib/apic.h"

#define MSR_MISC_ENABLE		0x1a0
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_APIC_BASE		0x1b
#define X2APIC_BASE		0xfee00d00
#define ENOSYS_OF_KVM		1000
#define DOORBELL_PORT		0x43
#define DOORBELL_GPA		0x40000000u
#define LEAST_EXIT		100	/* no instruction costs that much without an exit */

#define SET_MSR(msr, value) \
	"mov $" msr ", %ecx\nmov $" value ", %eax\nxor %edx, %edx\nwrmsr\n"
#define APIC_ON			SET_MSR("0x80f", "0x1ff")
#define SPLIT(reg)		"mov %" reg ", %rax\nmov %" reg ", %rdx\nshr $32, %rdx\n"

enum { CPUID, VMCALL, RDMSR, WRMSR, DEADLINE, CR0, CR4, CR8 };

BENCH_LOOP(guest_nothing, "", "", "");
BENCH_LOOP(guest_cpuid, "", "", "xor %eax, %eax\nxor %ecx, %ecx\ncpuid\n");
BENCH_LOOP(guest_vmcall, "", "", "mov $99, %eax\nvmcall\n");
BENCH_LOOP(guest_rdmsr, "", "", "mov $0x1a0, %ecx\nrdmsr\n");
/* Another value than the first time, for the host to see. */
BENCH_LOOP(guest_wrmsr, "",
	   "mov $0x1a0, %ecx\nrdmsr\nxor $1, %eax\nshl $32, %rdx\nor %rdx, %rax\nmov %rax, %r12\n",
	   "mov $0x1a0, %ecx\n" SPLIT("r12") "wrmsr\n");
/* One second ahead, which is never reached. */
BENCH_LOOP(guest_deadline, APIC_ON SET_MSR("0x832", "0x40040"),
	   BENCH_RDTSC("r12") "add $100000000, %r12\n",
	   "mov $0x6e0, %ecx\n" SPLIT("r12") "wrmsr\n");
BENCH_LOOP(guest_cr0, "", "mov %cr0, %r12\n", "xor $0x40000, %r12\nmov %r12, %cr0\n");
BENCH_LOOP(guest_cr4, "", "mov %cr4, %r12\n", "xor $0x40, %r12\nmov %r12, %cr4\n");
BENCH_LOOP(guest_cr8, APIC_ON, "mov %cr8, %r12\n", "xor $1, %r12\nmov %r12, %cr8\n");
BENCH_LOOP(guest_out, "", "", "outb %al, $0x43\n");
BENCH_LOOP(guest_mmio, "mov $0x40000000, %ebx\n", "", "movl $1, (%rbx)\n");

static void check(struct test_vcpu *vcpu, const struct bench_row *row, const struct kvm_regs *regs)
{
	struct kvm_sregs sregs;
	uint64_t value = 0;
	bool done = true;

	test_vcpu_sregs(vcpu, &sregs);
	switch (row->op) {
	case CPUID:
		done = (uint32_t)regs->r9 == 0x756e6547;	/* "Genu" */
		break;
	case VMCALL:
		done = (int64_t)regs->r8 == -ENOSYS_OF_KVM;
		break;
	case RDMSR:
		done = test_vcpu_get_msr(vcpu, MSR_MISC_ENABLE, &value) == 1 &&
		       value == (regs->r10 << 32 | (uint32_t)regs->r8);
		break;
	case WRMSR:
		done = test_vcpu_get_msr(vcpu, MSR_MISC_ENABLE, &value) == 1 && value == regs->r12;
		break;
	case DEADLINE:
		done = test_vcpu_get_msr(vcpu, MSR_TSC_DEADLINE, &value) == 1 && value == regs->r12;
		break;
	case CR0:
		done = sregs.cr0 == regs->r12;
		break;
	case CR4:
		done = sregs.cr4 == regs->r12;
		break;
	case CR8:
		done = sregs.cr8 == regs->r12;
		break;
	}
	if (!done)
		test_die("%s: the guest got rax %llx, rbx %llx, r12 %llx, the host has %llx",
			 row->name, regs->r8, regs->r9, regs->r12, (unsigned long long)value);
}

static uint64_t in_guest(const struct bench_row *row)
{
	struct test_vcpu *vcpu = bench_vcpu_create(true);
	struct kvm_regs regs;
	uint64_t empty, ticks;

	apic_set_cpuid(vcpu);
	if (test_vcpu_set_msr(vcpu, MSR_APIC_BASE, X2APIC_BASE) != 1)
		test_die("x2APIC mode");
	empty = bench_loop(vcpu, BENCH_CODE(guest_nothing), &regs);
	ticks = bench_loop(vcpu, row->arg, &regs) - empty;
	check(vcpu, row, &regs);
	/* A write to the task priority need not exit. */
	if (row->op != CR8 && ticks < LEAST_EXIT)
		test_die("%s: %llu ticks are no exit", row->name, (unsigned long long)ticks);
	bench_vcpu_free(vcpu);
	return ticks;
}

/* A write that only rings: no exit to userspace, and the eventfd counts each. */
static uint64_t doorbell(const struct bench_row *row)
{
	struct kvm_ioeventfd bell = {
		.addr = row->op == KVM_IOEVENTFD_FLAG_PIO ? DOORBELL_PORT : DOORBELL_GPA,
		.len = row->op == KVM_IOEVENTFD_FLAG_PIO ? 1 : 4,
		.flags = row->op,
	};
	struct test_vcpu *vcpu = bench_vcpu_create(true);
	struct kvm_regs regs;
	uint64_t ticks, rung = 0;

	if (!test_check_extension(vcpu->vm->fd, KVM_CAP_IOEVENTFD)) {
		bench_vcpu_free(vcpu);
		return BENCH_NOT_OFFERED;
	}
	bell.fd = eventfd(0, EFD_NONBLOCK);
	if (bell.fd < 0 || ioctl(vcpu->vm->fd, KVM_IOEVENTFD, &bell))
		test_die("KVM_IOEVENTFD");
	ticks = bench_loop(vcpu, BENCH_CODE(guest_nothing), &regs);
	ticks = bench_loop(vcpu, row->arg, &regs) - ticks;
	if (read(bell.fd, &rung, sizeof(rung)) != sizeof(rung) || rung != 2 * bench_rounds)
		test_die("%s: rang %llu times", row->name, (unsigned long long)rung);
	close(bell.fd);
	bench_vcpu_free(vcpu);
	return ticks;
}

const struct bench_row bench_exit_rows[] = {
	{ "CPUID exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_cpuid), CPUID },
	{ "VMCALL exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_vmcall), VMCALL },
	{ "RDMSR exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_rdmsr), RDMSR },
	{ "WRMSR exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_wrmsr), WRMSR },
	{ "WRMSR TSC_DEADLINE", BENCH_KERNEL, in_guest, BENCH_CODE(guest_deadline), DEADLINE },
	{ "MOV to CR0 exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_cr0), CR0 },
	{ "MOV to CR4 exit", BENCH_KERNEL, in_guest, BENCH_CODE(guest_cr4), CR4 },
	{ "MOV to CR8 (task priority)", BENCH_IRQ, in_guest, BENCH_CODE(guest_cr8), CR8 },
	{ "ioeventfd by OUT", BENCH_IOEVENTFD, doorbell, BENCH_CODE(guest_out),
	  KVM_IOEVENTFD_FLAG_PIO },
	{ "ioeventfd by 4-byte MMIO", BENCH_IOEVENTFD, doorbell, BENCH_CODE(guest_mmio) },
	{}
};
