// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "apic.h"
#include "chance.h"
#include "host.h"
#include "irq.h"

#define CODE_GPA	(TEST_FREE_GPA + 0x40000u)
#define CODE_BYTES	64u
#define MAX_MSRS	512u
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* The value is in RDX; what is left in the registers is nobody's. */
#define PIECE(name, body)	GUEST_CODE(chance_##name, body "ret\n")
PIECE(cr0, "mov %cr0, %rax\n xor %rdx, %rax\n mov %rax, %cr0\n");
PIECE(cr3, "mov %cr3, %rax\n xor %rdx, %rax\n mov %rax, %cr3\n");
PIECE(cr4, "mov %cr4, %rax\n xor %rdx, %rax\n mov %rax, %cr4\n");
PIECE(cr8, "mov %rdx, %cr8\n mov %cr8, %rax\n");
PIECE(dr0, "mov %rdx, %db0\n");
PIECE(dr6, "mov %rdx, %db6\n");
PIECE(dr7, "mov %rdx, %db7\n");
PIECE(xcr, "mov %cr4, %rax\n or $0x40000, %rax\n mov %rax, %cr4\n"
	   "mov %rdx, %rbx\n xor %ecx, %ecx\n xgetbv\n xor %ebx, %eax\n shr $32, %rbx\n"
	   "xor %ebx, %edx\n xsetbv\n");
PIECE(xcr_other, "mov %cr4, %rax\n or $0x40000, %rax\n mov %rax, %cr4\n"
		 "mov %edx, %ecx\n mov $3, %eax\n xor %edx, %edx\n xsetbv\n");
PIECE(flags, "push %rdx\n popfq\n nop\n cli\n");
PIECE(hypercall, "mov %edx, %eax\n and $15, %eax\n mov %rdx, %rbx\n mov %rdx, %rcx\n vmcall\n");
PIECE(cpuid, "mov %edx, %eax\n mov %edx, %ecx\n and $15, %ecx\n cpuid\n");
PIECE(rdpmc, "mov %edx, %ecx\n rdpmc\n");
PIECE(invlpg, "invlpg (%rdx)\n");
PIECE(invpcid, "push %rdx\n push %rdx\n and $7, %edx\n invpcid (%rsp), %rdx\n"
	       "pop %rax\n pop %rax\n");
PIECE(mwait, "mov %rsp, %rax\n xor %ecx, %ecx\n mov %edx, %ebx\n xor %edx, %edx\n monitor\n"
	     "mov %ebx, %eax\n mwait\n");
PIECE(caches, "wbinvd\n invd\n");
PIECE(int1, ".byte 0xf1\n");
PIECE(interrupt, "int3\n int $0x80\n");
PIECE(nmi_window, "pushfq\n pop %rax\n mov %rsp, %rcx\n push $0x10\n push %rcx\n push %rax\n"
		  "push $0x08\n lea 1f(%rip), %rax\n push %rax\n iretq\n 1:\n");
PIECE(vmx, "mov $0xfff000, %eax\n push %rax\n vmptrld (%rsp)\n pop %rax\n");
PIECE(tables, "sub $16, %rsp\n sgdt (%rsp)\n lgdt (%rsp)\n sldt %eax\n lldt %ax\n"
	      "str %eax\n add $16, %rsp\n");
PIECE(tsc, "rdtsc\n rdtscp\n pause\n");
/* Some hundred pages of the slot. */
PIECE(fill, "mov %edx, %ecx\n shr $9, %edx\n and $0x1ff, %edx\n and $0x1ff, %ecx\n"
	    "shl $12, %edx\n add $0x10000000, %edx\n"
	    "1: mov %ecx, (%rdx)\n add $4096, %rdx\n dec %ecx\n jns 1b\n");

static const struct {
	const char *code, *end;
} pieces[] = {
#define ROW(name)	{ chance_##name, chance_##name##_end }
	ROW(cr0), ROW(cr3), ROW(cr4), ROW(cr8), ROW(dr0), ROW(dr6), ROW(dr7), ROW(xcr),
	ROW(xcr_other), ROW(flags), ROW(hypercall), ROW(cpuid), ROW(rdpmc), ROW(invlpg),
	ROW(invpcid), ROW(mwait), ROW(caches), ROW(int1), ROW(interrupt), ROW(nmi_window),
	ROW(vmx), ROW(tables), ROW(tsc), ROW(fill),
#undef ROW
};

static uint32_t msrs[MAX_MSRS];
static unsigned int nr_msrs;

void chance_prepare(struct test_vm *vm)
{
	struct kvm_msr_list *list = malloc(sizeof(*list) + sizeof(msrs));

	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t bytes = pieces[i].end - pieces[i].code;

		if (bytes > CODE_BYTES)
			test_die("piece %u is too long", i);
		memcpy(test_vm_hva(vm, CODE_GPA + i * CODE_BYTES), pieces[i].code, bytes);
	}
	if (!list)
		test_die("malloc");
	list->nmsrs = MAX_MSRS;
	if (ioctl(vm->dev_fd, KVM_GET_MSR_INDEX_LIST, list))
		test_die("KVM_GET_MSR_INDEX_LIST");
	nr_msrs = list->nmsrs;
	memcpy(msrs, list->indices, nr_msrs * sizeof(msrs[0]));
	free(list);
}

/* One bit, nearly none, nearly all, or no matter which: over time every reserved bit. */
static uint64_t bits(uint64_t *seed)
{
	uint64_t r = host_random(seed);

	switch (r % 8) {
	case 0 ... 3:
		return 1ull << (r >> 8 & 63);
	case 4:
		return r >> 8 & 0xff;
	case 5:
		return ~(1ull << (r >> 8 & 63));
	case 6:
		return ~0ull << (r >> 8 & 63);
	default:
		return host_random(seed);
	}
}

/* Mostly what makes sense, now and then anything. */
static uint64_t apic_value(uint64_t *seed, uint32_t offset)
{
	uint64_t r = host_random(seed);

	if (r % 8 == 0)
		return bits(seed);
	switch (offset) {
	case APIC_ICR:
		return (r >> 8) % (CHANCE_VCPUS + 1) << 32 | (r >> 16 & 0xccfff);
	case APIC_SELF_IPI:
		return r >> 8 & 0xff;
	case APIC_SPIV:
		return SPIV_ON;
	case APIC_EOI:
		return 0;
	case APIC_LVTT:
		return (r >> 8 & 0x60000) | (r >> 32 & 0xff);
	case APIC_TMICT:
		return r >> 8 & 0xffff;
	default:
		return r >> 8 & 0xff;
	}
}

static uint32_t apic_offset(uint64_t *seed)
{
	static const uint32_t offsets[] = {
		APIC_SELF_IPI, APIC_SELF_IPI, APIC_ICR, APIC_ICR, APIC_EOI, APIC_EOI, APIC_TPR,
		APIC_SPIV, APIC_LVTT, APIC_TMICT, APIC_TDCR, APIC_LVT0, APIC_LVTERR, APIC_ESR,
		APIC_LDR, APIC_DFR, APIC_ID, APIC_ICR2,
	};
	uint64_t r = host_random(seed);

	return r % 16 ? offsets[(r >> 8) % ARRAY_SIZE(offsets)] : r >> 8 & 0xff0;
}

static uint64_t apic_base(uint64_t *seed)
{
	const uint64_t bases[] = {
		TEST_APIC_GPA | BASE_ENABLE, TEST_APIC_GPA | BASE_ENABLE | BASE_X2APIC,
		TEST_APIC_GPA | BASE_ENABLE | BASE_X2APIC, TEST_APIC_GPA,
		CHANCE_SLOT_GPA | BASE_ENABLE, TEST_APIC_GPA | BASE_X2APIC, bits(seed),
	};

	return bases[host_random(seed) % ARRAY_SIZE(bases)];
}

/* Some hold the address of what the host writes for the guest: that must not be its code. */
static bool holds_address(uint32_t msr)
{
	return msr >> 8 == 0x4b564d || msr == 0x11 || msr == 0x12;
}

static void write_msr(uint64_t *seed, struct kvm_regs *regs)
{
	regs->rdi = TEST_IRQ_WRMSR;
	regs->rsi = msrs[host_random(seed) % nr_msrs];
	regs->rdx = bits(seed);
	if (holds_address(regs->rsi))
		regs->rdx = CHANCE_SLOT_GPA + regs->rdx % CHANCE_SLOT_BYTES;
	else if (regs->rsi == TEST_MSR_APIC_BASE)
		regs->rdx = apic_base(seed);
}

static void ring_bell(uint64_t r, struct kvm_regs *regs)
{
	unsigned int bell = r >> 8 & (CHANCE_BELLS - 1);

	regs->rdi = r >> 16 & 1 ? TEST_IRQ_OUT : TEST_IRQ_WRITE;
	regs->rsi = (r >> 16 & 1 ? CHANCE_BELL_PORT : CHANCE_BELL_GPA) + 16 * bell;
	regs->rdx = r >> 24 & 3;
}

void chance_choose(uint64_t *seed, struct kvm_regs *regs)
{
	uint32_t offset = apic_offset(seed);
	uint64_t r = host_random(seed);

	switch (r % 32) {
	case 0 ... 6:
		regs->rdi = TEST_IRQ_WRMSR;
		regs->rsi = TEST_X2APIC(offset);
		regs->rdx = apic_value(seed, offset);
		break;
	case 7 ... 11:
		regs->rdi = TEST_IRQ_WRITE;
		regs->rsi = TEST_APIC_GPA + offset;
		regs->rdx = apic_value(seed, offset);
		break;
	case 12 ... 13:
		regs->rdi = r >> 8 & 1 ? TEST_IRQ_WRITE : TEST_IRQ_READ;
		regs->rsi = CHANCE_SLOT_GPA + (r >> 16) % CHANCE_SLOT_BYTES;
		break;
	case 14:
		regs->rdi = r >> 8 & 1 ? TEST_IRQ_WRITE : TEST_IRQ_READ;
		regs->rsi = TEST_IOAPIC_GPA + (r >> 9 & 0x1f);
		regs->rdx = r >> 16 & 1 ? r >> 24 & 0x3f : bits(seed);
		break;
	case 15:
		regs->rdi = TEST_IRQ_READ;
		regs->rsi = TEST_APIC_GPA + offset;
		break;
	case 16 ... 17:
		regs->rdi = TEST_IRQ_WRMSR;
		regs->rsi = r >> 8 & 1 ? TEST_MSR_TSC_DEADLINE : TEST_MSR_APIC_BASE;
		regs->rdx = r >> 8 & 1 ? r >> 16 & 0xffffffff : apic_base(seed);
		break;
	case 18 ... 19:
		write_msr(seed, regs);
		break;
	case 20 ... 22:
		regs->rdi = TEST_IRQ_CALL;
		regs->rsi = CODE_GPA + (r >> 8) % ARRAY_SIZE(pieces) * CODE_BYTES;
		regs->rdx = r >> 40 & 1 ? bits(seed) : host_random(seed);
		break;
	case 23 ... 25:
		ring_bell(r, regs);
		break;
	case 26:
		/* The last piece, which takes long. */
		regs->rdi = r >> 8 & 1 ? TEST_IRQ_WINDOW : TEST_IRQ_CALL;
		regs->rsi = CODE_GPA + (ARRAY_SIZE(pieces) - 1) * CODE_BYTES;
		regs->rdx = r >> 16;
		break;
	case 27:
		regs->rdi = TEST_IRQ_HALT;
		break;
	case 28:
		regs->rdi = TEST_IRQ_SPIN;
		regs->rsi = r >> 8 & 0x3fff;
		break;
	default:
		regs->rdi = TEST_IRQ_WINDOW;
		break;
	}
}
