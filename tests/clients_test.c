// SPDX-License-Identifier: GPL-2.0
/*
 * Monitors that no distribution packages, by the order in which they call: what each asks for when
 * it starts a guest, when it saves one, and when it puts one back. Whoever wants to know whether
 * kvmtool, Firecracker or a snapshot fuzzer would get through its start-up finds it here; what the
 * calls mean in detail is tested elsewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MISC_ENABLE		0x1a0
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_KERNEL_GS_BASE	0xc0000102
#define FAST_STRING		1
#define MAX_MSRS		256

struct msrs {
	struct kvm_msrs header;
	struct kvm_msr_entry entries[MAX_MSRS];
};

static void expect_caps(struct __test_metadata *_metadata, int fd, const long *caps, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		EXPECT_GT(test_check_extension(fd, caps[i]), 0)
			TH_LOG("capability %ld", caps[i]);
	}
}

static void add_msr(struct msrs *msrs, uint32_t index, uint64_t data)
{
	msrs->entries[msrs->header.nmsrs++] =
		(struct kvm_msr_entry){ .index = index, .data = data };
}

/* What kvmtool and Firecracker have in common. */
static void add_boot_msrs(struct msrs *msrs)
{
	static const uint32_t zero[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_CSTAR,
		MSR_KERNEL_GS_BASE, MSR_SYSCALL_MASK, MSR_LSTAR, MSR_TSC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		add_msr(msrs, zero[i], 0);
	add_msr(msrs, MSR_MISC_ENABLE, FAST_STRING);
}

static struct kvm_fpu start_fpu(void)
{
	return (struct kvm_fpu){ .fcw = 0x37f, .mxcsr = 0x1f80 };
}

/*
 * kvmtool: the PIT comes before the controllers that it interrupts, and the guest starts in real
 * mode in a segment of its own, as a boot loader leaves it.
 */
#define LKVM_SELECTOR	0x1000
#define LKVM_ENTRY	0x200
#define LKVM_COM1_IRQ	4

GUEST_CODE16(lkvm_boot,
	     "mov %cs, %ax\n"
	     "mov $0x3f8, %dx\n"
	     "outb %al, %dx\n"
	     "xor %ax, %ax\n mov %ax, %ds\n"
	     /* The interrupt of COM1 at vector 0x24. */
	     "movw $(lkvm_irq - lkvm_boot + 0x200), 0x90\n"
	     "mov %cs, 0x92\n"
	     "mov $0x11, %al\n out %al, $0x20\n"
	     "mov $0x20, %al\n out %al, $0x21\n"
	     "mov $0x04, %al\n out %al, $0x21\n"
	     "mov $0x01, %al\n out %al, $0x21\n"
	     "mov $0xef, %al\n out %al, $0x21\n"
	     "mov $0x3fb, %dx\n"
	     "outb %al, %dx\n"
	     "sti\n"
	     "1: hlt\n jmp 1b\n"
	     "lkvm_irq:\n"
	     "mov $0x20, %al\n out %al, $0x20\n"
	     GUEST_SYNC
	     "iret\n");

static int pulse(struct test_vm *vm, uint32_t irq)
{
	struct kvm_irq_level line = { .irq = irq, .level = 1 };
	int ret = ioctl(vm->fd, KVM_IRQ_LINE, &line);

	line.level = 0;
	return ret ?: ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

/* Every line to both controllers but 0 and 2, as kvmtool lays them out, in one table. */
static int route_like_lkvm(struct test_vm *vm)
{
	struct {
		struct kvm_irq_routing header;
		struct kvm_irq_routing_entry entries[64];
	} table = { 0 };
	struct kvm_irq_routing_entry entry = { .type = KVM_IRQ_ROUTING_IRQCHIP };

	for (uint32_t i = 0; i < 16; i++) {
		if (i == 2)
			continue;
		entry.gsi = i;
		entry.u.irqchip.irqchip = i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		entry.u.irqchip.pin = i % 8;
		table.entries[table.header.nr++] = entry;
	}
	for (uint32_t i = 0; i < 24; i++) {
		if (i == 2)
			continue;
		entry.gsi = i;
		entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		entry.u.irqchip.pin = i ?: 2;
		table.entries[table.header.nr++] = entry;
	}
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table);
}

TEST(kvmtool)
{
	static const long caps[] = {
		KVM_CAP_SET_TSS_ADDR, KVM_CAP_PIT2, KVM_CAP_USER_MEMORY, KVM_CAP_IRQ_ROUTING,
		KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_IRQ_INJECT_STATUS, KVM_CAP_EXT_CPUID,
		KVM_CAP_SIGNAL_MSI,
	};
	struct test_vm *vm = test_vm_create();
	struct kvm_pit_config pit = { 0 };
	struct kvm_fpu fpu = start_fpu();
	struct msrs msrs = { 0 };
	struct test_vcpu *vcpu;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2, .rip = LKVM_ENTRY, .rsp = 0x8000, .rbp = 0x8000 };
	struct kvm_segment *segments[] = {
		&sregs.cs, &sregs.ss, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs,
	};

	expect_caps(_metadata, vm->dev_fd, caps, ARRAY_SIZE(caps));
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), 0);
	ASSERT_EQ(route_like_lkvm(vm), 0);
	vcpu = test_vcpu_create(vm, 0);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_sregs(vcpu, &sregs);
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		segments[i]->selector = LKVM_SELECTOR;
		segments[i]->base = LKVM_SELECTOR * 16;
	}
	test_vcpu_set_sregs(vcpu, &sregs);
	test_vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_FPU, &fpu), 0);
	add_boot_msrs(&msrs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &msrs), (int)msrs.header.nmsrs);

	memcpy(test_vm_hva(vm, LKVM_SELECTOR * 16 + LKVM_ENTRY), GUEST_BLOB(lkvm_boot));
	test_vcpu_run_to(vcpu, 0x3f8);
	/* Its halts stay in the kernel. */
	test_vcpu_run_to(vcpu, 0x3fb);
	ASSERT_EQ(pulse(vm, LKVM_COM1_IRQ), 0);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_sregs(vcpu, &sregs);
	EXPECT_EQ(sregs.cs.selector, LKVM_SELECTOR);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/*
 * Firecracker: a guest in long mode, its virtual wires set through the local APIC's registers;
 * then a snapshot in its order, and that snapshot in another VM.
 */
struct vcpu_state {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct msrs msrs;
	int tsc_khz;
};

struct vm_state {
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_irqchip chips[3];
};

static struct test_vm *firecracker_vm(struct __test_metadata *_metadata)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct test_vm *vm = test_vm_create_irqchip();

	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), 0);
	return vm;
}

static void set_wires(struct __test_metadata *_metadata, struct test_vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic), 0);
	*apic_state_reg(&lapic, APIC_LVT0) = 0x700;
	*apic_state_reg(&lapic, APIC_LVT1) = ICR_NMI;
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic), 0);
}

/* In pieces, as MSRs may be more than one call takes; one that cannot be read ends it. */
static void save_msrs(struct __test_metadata *_metadata, struct test_vcpu *vcpu, struct msrs *msrs)
{
	struct {
		struct kvm_msr_list header;
		uint32_t indices[MAX_MSRS];
	} list = { .header.nmsrs = MAX_MSRS };

	ASSERT_EQ(ioctl(vcpu->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, &list), 0);
	for (uint32_t i = 0; i < list.header.nmsrs; i++) {
		uint64_t value;

		EXPECT_EQ(test_vcpu_get_msr(vcpu, list.indices[i], &value), 1)
			TH_LOG("MSR %#x", list.indices[i]);
		add_msr(msrs, list.indices[i], value);
	}
}

static void save(struct __test_metadata *_metadata, struct test_vcpu *vcpu,
		 struct vcpu_state *state, struct vm_state *vm_state)
{
	int vm_fd = vcpu->vm->fd;

	memset(state, 0, sizeof(*state));
	memset(vm_state, 0, sizeof(*vm_state));
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_MP_STATE, &state->mp_state), 0);
	test_vcpu_regs(vcpu, &state->regs);
	test_vcpu_sregs(vcpu, &state->sregs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_XSAVE, &state->xsave), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_XCRS, &state->xcrs), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &state->debugregs), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_LAPIC, &state->lapic), 0);
	state->tsc_khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0L);
	ASSERT_GT(state->tsc_khz, 0);
	save_msrs(_metadata, vcpu, &state->msrs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &state->events), 0);

	ASSERT_EQ(ioctl(vm_fd, KVM_GET_PIT2, &vm_state->pit), 0);
	if (test_check_extension(vm_fd, KVM_CAP_ADJUST_CLOCK))
		ASSERT_EQ(ioctl(vm_fd, KVM_GET_CLOCK, &vm_state->clock), 0);
	vm_state->clock.flags &= ~KVM_CLOCK_TSC_STABLE;
	for (uint32_t i = 0; i < ARRAY_SIZE(vm_state->chips); i++) {
		vm_state->chips[i].chip_id = i;
		ASSERT_EQ(ioctl(vm_fd, KVM_GET_IRQCHIP, &vm_state->chips[i]), 0);
	}
}

static void restore(struct __test_metadata *_metadata, struct test_vcpu *vcpu,
		    struct vcpu_state *state, struct vm_state *vm_state)
{
	int vm_fd = vcpu->vm->fd;

	test_vcpu_set_supported_cpuid(vcpu);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_MP_STATE, &state->mp_state), 0);
	test_vcpu_set_regs(vcpu, &state->regs);
	test_vcpu_set_sregs(vcpu, &state->sregs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_XSAVE, &state->xsave), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_XCRS, &state->xcrs), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &state->debugregs), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_LAPIC, &state->lapic), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (long)state->tsc_khz), 0);
	for (uint32_t i = 0; i < state->msrs.header.nmsrs; i++) {
		struct kvm_msr_entry *entry = &state->msrs.entries[i];

		EXPECT_EQ(test_vcpu_set_msr(vcpu, entry->index, entry->data), 1)
			TH_LOG("MSR %#x does not take back %#llx", entry->index, entry->data);
	}
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &state->events), 0);

	ASSERT_EQ(ioctl(vm_fd, KVM_SET_PIT2, &vm_state->pit), 0);
	if (test_check_extension(vm_fd, KVM_CAP_ADJUST_CLOCK))
		ASSERT_EQ(ioctl(vm_fd, KVM_SET_CLOCK, &vm_state->clock), 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(vm_state->chips); i++)
		ASSERT_EQ(ioctl(vm_fd, KVM_SET_IRQCHIP, &vm_state->chips[i]), 0);
}

GUEST_CODE(firecracker_guest,
	   "mov $0x3f8, %edx\n"
	   "mov $0x46, %al\n outb %al, %dx\n"
	   "mov $0x123456789, %rcx\n"
	   "movq %rcx, %xmm5\n"
	   "mov %rcx, %dr1\n"
	   "movq $0x77, 0x10000\n"
	   GUEST_SYNC
	   "movq %xmm5, %rsi\n"
	   "mov %dr1, %rdi\n"
	   "mov 0x10000, %rbx\n"
	   GUEST_SYNC);

TEST(firecracker)
{
	static const long caps[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR, KVM_CAP_PIT2,
		KVM_CAP_PIT_STATE2, KVM_CAP_DEBUGREGS, KVM_CAP_MP_STATE, KVM_CAP_VCPU_EVENTS,
		KVM_CAP_XCRS, KVM_CAP_XSAVE, KVM_CAP_EXT_CPUID, KVM_CAP_GET_TSC_KHZ,
	};
	static struct vcpu_state state;
	static struct vm_state vm_state;
	struct test_vm *vm = firecracker_vm(_metadata), *copy;
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_fpu fpu = start_fpu();
	struct msrs msrs = { 0 };
	struct kvm_regs regs;

	expect_caps(_metadata, vm->dev_fd, caps, ARRAY_SIZE(caps));
	test_vcpu_set_supported_cpuid(vcpu);
	add_boot_msrs(&msrs);
	/* MTRRs on, write-back by default. */
	add_msr(&msrs, MSR_MTRR_DEF_TYPE, 1 << 11 | 6);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &msrs), (int)msrs.header.nmsrs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_FPU, &fpu), 0);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(firecracker_guest));
	set_wires(_metadata, vcpu);
	EXPECT_EQ(test_vcpu_run_to(vcpu, 0x3f8), 0x46);
	test_vcpu_run_to_sync(vcpu);
	/* The OUT is done for the guest by the next RUN only. */
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(ioctl(vcpu->fd, KVM_RUN, 0L), -1);
	EXPECT_EQ(errno, EINTR);
	save(_metadata, vcpu, &state, &vm_state);
	EXPECT_EQ(*apic_state_reg(&state.lapic, APIC_LVT1), ICR_NMI);

	copy = firecracker_vm(_metadata);
	memcpy(copy->memory, vm->memory, vm->memory_bytes);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	vcpu = test_vcpu_create(copy, 0);
	restore(_metadata, vcpu, &state, &vm_state);
	test_vcpu_run_to_sync(vcpu);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(regs.rsi, 0x123456789);
	EXPECT_EQ(regs.rdi, 0x123456789);
	EXPECT_EQ(regs.rbx, 0x77);
	test_vcpu_free(vcpu);
	test_vm_free(copy);
}

/*
 * Snapshot fuzzers (snapchange, wtf): registers go in and out through the run page, breakpoints are
 * INT3 in guest memory, and after each run the pages that it dirtied are put back.
 */
GUEST_CODE(fuzz_target,
	   "incq (%rdi)\n"
	   "incq 0x1000(%rdi)\n"
	   "mov (%rdi), %rax\n"
	   "int3\n"
	   "hlt\n");
#define FUZZ_BREAKPOINT	13
#define FUZZ_PAGES	(TEST_MEMORY_BYTES / 4096)

static void dirty_pages(struct __test_metadata *_metadata, struct test_vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = 0, .num_pages = FUZZ_PAGES, .dirty_bitmap = bitmap,
	};

	ASSERT_EQ(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear), 0);
}

TEST(snapshot_fuzzers)
{
	static const long caps[] = {
		KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_VCPU_EVENTS, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_IRQCHIP, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_ENABLE_CAP_VM,
	};
	struct kvm_enable_cap manual = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_translation translation = { .linear_address = TEST_FREE_GPA + 0x123 };
	struct test_vm *vm = test_vm_create();
	uint64_t bitmap[FUZZ_PAGES / 64];
	struct kvm_pit_config pit = { 0 };
	struct kvm_lapic_state lapic;
	struct test_vcpu *vcpu;
	struct kvm_sregs sregs;
	struct kvm_run *run;

	expect_caps(_metadata, vm->dev_fd, caps, ARRAY_SIZE(caps));
	ASSERT_EQ(test_check_extension(vm->dev_fd, KVM_CAP_SYNC_REGS),
		  KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
	ASSERT_EQ(ioctl(vm->fd, KVM_ENABLE_CAP, &manual), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), 0);
	ASSERT_EQ(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0L), 0);
	vcpu = test_vcpu_create(vm, 0);
	run = vcpu->run;
	/* The counters' interrupt as an NMI, although there are no counters. */
	ASSERT_EQ(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic), 0);
	*apic_state_reg(&lapic, APIC_SPIV) = SPIV_ON;
	*apic_state_reg(&lapic, APIC_LVTPC) = ICR_NMI;
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic), 0);
	test_vcpu_set_supported_cpuid(vcpu);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs), 0);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug), 0);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(fuzz_target));
	test_vm_add_memory(vm, 0, 0, vm->memory, vm->memory_bytes, KVM_MEM_LOG_DIRTY_PAGES);
	test_vcpu_sregs(vcpu, &sregs);
	ASSERT_EQ(ioctl(vcpu->fd, KVM_TRANSLATE, &translation), 0);
	EXPECT_EQ(translation.physical_address, TEST_FREE_GPA + 0x123);
	EXPECT_EQ(translation.valid, 1);

	for (unsigned int round = 0; round < 3; round++) {
		run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
		run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
		run->s.regs.sregs = sregs;
		run->s.regs.regs = (struct kvm_regs){
			.rip = TEST_CODE_GPA, .rflags = 2, .rsp = TEST_STACK_GPA,
			.rdi = TEST_FREE_GPA,
		};
		ASSERT_EQ(test_vcpu_run(vcpu), KVM_EXIT_DEBUG);
		EXPECT_EQ(run->debug.arch.exception, 3);
		EXPECT_EQ(run->debug.arch.pc, TEST_CODE_GPA + FUZZ_BREAKPOINT);
		EXPECT_EQ(run->s.regs.regs.rip, TEST_CODE_GPA + FUZZ_BREAKPOINT);
		/* Each round finds memory as the first did. */
		EXPECT_EQ(run->s.regs.regs.rax, 1);
		EXPECT_EQ(run->s.regs.sregs.cr3, sregs.cr3);

		memset(bitmap, 0, sizeof(bitmap));
		dirty_pages(_metadata, vm, bitmap);
		EXPECT_EQ(bitmap[TEST_FREE_GPA / 4096 / 64] >> TEST_FREE_GPA / 4096 % 64 & 0xf, 3);
		for (size_t i = 0; i < FUZZ_PAGES; i++)
			if (i >= TEST_FREE_GPA / 4096 && bitmap[i / 64] >> i % 64 & 1)
				memset(test_vm_hva(vm, i * 4096), 0, 4096);
	}
	/* A time-out is a signal that finds no RUN, and so sets this. */
	run->immediate_exit = 1;
	EXPECT_EQ(ioctl(vcpu->fd, KVM_RUN, 0L), -1);
	EXPECT_EQ(errno, EINTR);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
