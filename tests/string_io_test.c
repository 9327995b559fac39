// SPDX-License-Identifier: GPL-2.0
/*
 * INS and OUTS in every mode, with their memory side.
 *
 * KVM hands the items of REP OUTS out one by one, we hand out those of a page at once: what is
 * compared is the stream. LOW_GPA and HIGH_GPA are neighbours for the guest, at WINDOW_GVA.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/port.h"
#include "lib/vm.h"

#define PIC_IMR_PORT	0x21
#define PAGE		4096u
#define EFLAGS_DF	(1u << 10)
#define PF		14
#define GP		13
#define PF_WRITE	2u
#define PTE_RW		3u
#define WINDOW_GVA	0x40000000ull
#define LOW_GPA		(TEST_FREE_GPA + 0x10000)
#define HIGH_GPA	(TEST_FREE_GPA + 0x30000)
#define PT_GPA		TEST_FREE_GPA

GUEST_CODE(outsb64, "rep outsb\n" GUEST_DONE);
GUEST_CODE(outsw64, "rep outsw\n" GUEST_DONE);
GUEST_CODE(outsl64, "rep outsl\n" GUEST_DONE);
GUEST_CODE(insb64, "rep insb\n" GUEST_DONE);
GUEST_CODE(insw64, "rep insw\n" GUEST_DONE);
GUEST_CODE(insl64, "rep insl\n" GUEST_DONE);
GUEST_CODE(outsl_once, "outsl\n" GUEST_DONE);
GUEST_CODE(insl_once, "insl\n" GUEST_DONE);
GUEST_CODE(outsl_addr32, "rep addr32 outsl\n" GUEST_DONE);
GUEST_CODE(outsb_fs, "rep outsb %fs:(%rsi), (%dx)\n" GUEST_DONE);
GUEST_CODE32(outsw32, "rep outsw\n" GUEST_DONE);
GUEST_CODE32(insw32, "rep insw\n" GUEST_DONE);
GUEST_CODE16(outsw16, "rep outsw\n" GUEST_DONE);
GUEST_CODE16(insw16, "rep insw\n" GUEST_DONE);
GUEST_CODE16(outsb_addr32, "rep addr32 outsb\n" GUEST_DONE);

static bool on_kvm(void)
{
	return !strcmp(test_dev_path(), "/dev/kvm");
}

FIXTURE(io) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_port *device;
	uint8_t *data;
};

FIXTURE_SETUP(io)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
	self->data = test_vm_hva(self->vm, TEST_DATA_GPA);
}

FIXTURE_TEARDOWN(io)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static void start(struct test_vcpu *vcpu, uint64_t rsi, uint64_t rdi, uint64_t rcx, uint64_t rflags)
{
	struct kvm_regs regs;

	test_vcpu_regs(vcpu, &regs);
	regs.rdx = TEST_PORT_NUMBER;
	regs.rsi = rsi;
	regs.rdi = rdi;
	regs.rcx = rcx;
	regs.rflags |= rflags;
	test_vcpu_set_regs(vcpu, &regs);
}

static void fill(uint8_t *data, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		data[i] = i * 13 + 1 + i / 256;
}

enum mode { REAL, PROTECTED, LONG };

typedef void (*enter_mode)(struct test_vcpu *vcpu, const void *code, size_t bytes);

static const enter_mode enter[] = {
	[REAL] = test_vcpu_real_mode,
	[PROTECTED] = test_vcpu_protected_mode,
	[LONG] = test_vcpu_long_mode,
};

FIXTURE(strings) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct test_port *device;
	uint8_t *data;
};

FIXTURE_VARIANT(strings) {
	enum mode mode;
	unsigned int size;
	const char *outs, *outs_end, *ins, *ins_end;
	unsigned int count;
	unsigned int offset;		/* of the first item from TEST_DATA_GPA */
	bool down;
};

FIXTURE_VARIANT_ADD(strings, bytes) {
	LONG, 1, outsb64, outsb64_end, insb64, insb64_end, 40, 8, false
};

FIXTURE_VARIANT_ADD(strings, words) {
	LONG, 2, outsw64, outsw64_end, insw64, insw64_end, 40, 8, false
};

FIXTURE_VARIANT_ADD(strings, dwords) {
	LONG, 4, outsl64, outsl64_end, insl64, insl64_end, 40, 8, false
};

FIXTURE_VARIANT_ADD(strings, odd_pages) {
	LONG, 4, outsl64, outsl64_end, insl64, insl64_end, 3000, 0x101, false
};

FIXTURE_VARIANT_ADD(strings, odd_words) {
	LONG, 2, outsw64, outsw64_end, insw64, insw64_end, 5000, 0xfff, false
};

FIXTURE_VARIANT_ADD(strings, many_bytes) {
	LONG, 1, outsb64, outsb64_end, insb64, insb64_end, 8192, 0, false
};

FIXTURE_VARIANT_ADD(strings, bytes_down) {
	LONG, 1, outsb64, outsb64_end, insb64, insb64_end, 5000, 0x1800, true
};

FIXTURE_VARIANT_ADD(strings, dwords_down) {
	LONG, 4, outsl64, outsl64_end, insl64, insl64_end, 1500, 0x2002, true
};

FIXTURE_VARIANT_ADD(strings, dwords_down_odd) {
	LONG, 4, outsl64, outsl64_end, insl64, insl64_end, 1500, 0x1ffd, true
};

FIXTURE_VARIANT_ADD(strings, protected_words) {
	PROTECTED, 2, outsw32, outsw32_end, insw32, insw32_end, 3000, 0xffd, false
};

FIXTURE_VARIANT_ADD(strings, real_words) {
	REAL, 2, outsw16, outsw16_end, insw16, insw16_end, 600, 0x300, false
};

FIXTURE_VARIANT_ADD(strings, real_words_down) {
	REAL, 2, outsw16, outsw16_end, insw16, insw16_end, 600, 0x600, true
};

FIXTURE_SETUP(strings)
{
	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->device = calloc(1, sizeof(*self->device));
	self->data = test_vm_hva(self->vm, TEST_DATA_GPA);
}

FIXTURE_TEARDOWN(strings)
{
	free(self->device);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

/* Real mode reaches the data by its segment registers. */
static uint64_t data_address(struct test_vcpu *vcpu, enum mode mode)
{
	struct kvm_sregs sregs;

	if (mode != REAL)
		return TEST_DATA_GPA;
	test_vcpu_sregs(vcpu, &sregs);
	sregs.ds.selector = TEST_DATA_GPA >> 4;
	sregs.ds.base = TEST_DATA_GPA;
	sregs.es = sregs.ds;
	test_vcpu_set_sregs(vcpu, &sregs);
	return 0;
}

TEST_F(strings, outs)
{
	unsigned int bytes = variant->count * variant->size;
	int64_t step = variant->down ? -(int)variant->size : (int)variant->size;
	const uint8_t *first = self->data + variant->offset;
	struct kvm_regs regs;
	uint64_t address;

	fill(self->data, 16 * PAGE);
	enter[variant->mode](self->vcpu, variant->outs, variant->outs_end - variant->outs);
	address = data_address(self->vcpu, variant->mode) + variant->offset;
	start(self->vcpu, address, 0, variant->count, variant->down ? EFLAGS_DF : 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);

	EXPECT_EQ(variant->size, self->device->item_bytes);
	ASSERT_EQ(bytes, self->device->written_bytes);
	for (unsigned int i = 0; i < variant->count; i++) {
		ASSERT_EQ(0, memcmp(first + i * step, self->device->written + i * variant->size,
				    variant->size)) {
			TH_LOG("item %u", i);
		}
	}
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(address + step * variant->count, regs.rsi);
	EXPECT_EQ(0, regs.rdi);
}

TEST_F(strings, ins)
{
	unsigned int bytes = variant->count * variant->size;
	int64_t step = variant->down ? -(int)variant->size : (int)variant->size;
	uint8_t *first = self->data + variant->offset;
	uint8_t *lowest = variant->down ? first - bytes + variant->size : first;
	struct kvm_regs regs;
	uint64_t address;

	memset(self->data, 0xee, 16 * PAGE);
	enter[variant->mode](self->vcpu, variant->ins, variant->ins_end - variant->ins);
	address = data_address(self->vcpu, variant->mode) + variant->offset;
	start(self->vcpu, 0, address, variant->count, variant->down ? EFLAGS_DF : 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);

	ASSERT_EQ(bytes, self->device->read_bytes);
	for (unsigned int i = 0; i < bytes; i++) {
		ASSERT_EQ(test_port_byte(i), first[i / variant->size * step + i % variant->size]) {
			TH_LOG("byte %u", i);
		}
	}
	/* And nothing beside them. */
	for (uint8_t *at = self->data; at < self->data + 16 * PAGE; at++)
		if (at < lowest || at >= lowest + bytes)
			ASSERT_EQ(0xee, *at);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(address + step * variant->count, regs.rdi);
	EXPECT_EQ(0, regs.rsi);
}

TEST_F(io, one_item_without_rep)
{
	struct kvm_regs regs;

	fill(self->data, 8);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl_once));
	start(self->vcpu, TEST_DATA_GPA, 0, 77, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(4, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data, self->device->written, 4));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(77, regs.rcx);
	EXPECT_EQ(TEST_DATA_GPA + 4, regs.rsi);

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(insl_once));
	start(self->vcpu, 0, TEST_DATA_GPA, 77, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(77, regs.rcx);
	EXPECT_EQ(TEST_DATA_GPA + 4, regs.rdi);
	EXPECT_EQ(test_port_byte(3), self->data[3]);
}

TEST_F(io, no_items)
{
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(insl64));
	start(self->vcpu, 1, 2, 0, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(0, self->device->exits);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(1, regs.rsi);
	EXPECT_EQ(2, regs.rdi);
}

/* A 32-bit address takes ECX and ESI and leaves their upper halves zero. */
TEST_F(io, addresses_of_32_bits)
{
	struct kvm_regs regs;

	fill(self->data, 40);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl_addr32));
	start(self->vcpu, 0xdead00000000 | TEST_DATA_GPA, 0, 0xdead00000000 | 10, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(40, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data, self->device->written, 40));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(TEST_DATA_GPA + 40, regs.rsi);
}

TEST_F(io, addresses_of_32_bits_in_real_mode)
{
	struct kvm_regs regs;

	fill(self->data, 10);
	test_vcpu_real_mode(self->vcpu, GUEST_BLOB(outsb_addr32));
	data_address(self->vcpu, REAL);
	start(self->vcpu, 0, 0, 10, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(10, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data, self->device->written, 10));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(10, regs.rsi);
}

/* SI wraps within its 16 bits; the rest of RSI and RCX is not touched. */
TEST_F(io, addresses_of_16_bits_wrap)
{
	struct kvm_regs regs;

	fill(self->data, 16 * PAGE);
	test_vcpu_real_mode(self->vcpu, GUEST_BLOB(outsw16));
	data_address(self->vcpu, REAL);
	start(self->vcpu, 0x1230fffa, 0, 0x4560006, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(12, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data + 0xfffa, self->device->written, 6));
	EXPECT_EQ(0, memcmp(self->data, self->device->written + 6, 6));
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x12300006, regs.rsi);
	EXPECT_EQ(0x4560000, regs.rcx);
}

TEST_F(io, segment_base_in_long_mode)
{
	struct kvm_sregs sregs;

	fill(self->data, PAGE);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsb_fs));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.fs.base = TEST_DATA_GPA + 0x100;
	/* Ignored, as is that of DS. */
	sregs.ds.base = 0x123456;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	start(self->vcpu, 0x10, 0, 10, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(10, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data + 0x110, self->device->written, 10));
}

/* Items up to the limit go through; there is no handler, so the fault ends the guest. */
TEST_F(io, segment_limit)
{
	struct kvm_sregs sregs;

	fill(self->data, PAGE);
	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(outsw32));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.ds.base = TEST_DATA_GPA;
	sregs.ds.limit = 0x108;
	sregs.ds.g = 0;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	start(self->vcpu, 0x100, 0, 100, 0);
	test_port_run(self->vcpu, self->device);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, self->vcpu->run->exit_reason);
	ASSERT_EQ(8, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(self->data + 0x100, self->device->written, 8));
}

TEST_F(io, segment_not_writable)
{
	struct kvm_sregs sregs;

	test_vcpu_protected_mode(self->vcpu, GUEST_BLOB(insw32));
	test_vcpu_sregs(self->vcpu, &sregs);
	sregs.es.type = 1;
	test_vcpu_set_sregs(self->vcpu, &sregs);
	start(self->vcpu, 0, TEST_DATA_GPA, 1, 0);
	memset(self->data, 0xee, 4);
	test_port_run(self->vcpu, self->device);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, self->vcpu->run->exit_reason);
	EXPECT_EQ(0xee, self->data[0]);
	/* KVM reads the port before it looks at the segment. */
	if (!on_kvm())
		EXPECT_EQ(0, self->device->exits);
}

TEST_F(io, address_not_canonical)
{
	struct test_exception exception;
	struct kvm_regs regs;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl64));
	start(self->vcpu, 0x800000000000, 0, 5, 0);
	test_port_run_to_exception(self->vcpu, self->device, &exception);
	EXPECT_EQ(GP, exception.vector);
	EXPECT_EQ(0, exception.error_code);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(0, self->device->exits);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(5, regs.rcx);
}

/* Two small pages of a window of their own; a zero entry is not present. */
static void map_window(struct test_vm *vm, uint64_t low, uint64_t high)
{
	uint64_t *pd = test_vm_hva(vm, TEST_PML4_GPA + 0x3000);	/* of the second GiB */
	uint64_t *pt = test_vm_hva(vm, PT_GPA);

	pt[0] = low;
	pt[1] = high;
	pd[0] = PT_GPA | PTE_RW;
}

TEST_F(io, items_cross_into_a_page_elsewhere)
{
	uint8_t *low = test_vm_hva(self->vm, LOW_GPA), *high = test_vm_hva(self->vm, HIGH_GPA);
	struct kvm_regs regs;

	fill(low, PAGE);
	memset(low + PAGE, 0xcc, PAGE);
	memset(high, 0x5c, PAGE);
	map_window(self->vm, LOW_GPA | PTE_RW, HIGH_GPA | PTE_RW);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl64));
	start(self->vcpu, WINDOW_GVA + PAGE - 10, 0, 4, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(16, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(low + PAGE - 10, self->device->written, 10));
	EXPECT_EQ(0, memcmp(high, self->device->written + 10, 6));

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(insl64));
	start(self->vcpu, 0, WINDOW_GVA + PAGE - 10, 4, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	for (unsigned int i = 0; i < 16; i++)
		EXPECT_EQ(test_port_byte(i), i < 10 ? low[PAGE - 10 + i] : high[i - 10]);
	EXPECT_EQ(0xcc, low[PAGE]);
	EXPECT_EQ(0x5c, high[6]);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(WINDOW_GVA + PAGE + 6, regs.rdi);
}

TEST_F(io, outs_into_a_page_fault)
{
	uint8_t *low = test_vm_hva(self->vm, LOW_GPA), *high = test_vm_hva(self->vm, HIGH_GPA);
	struct test_exception exception;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	fill(low, PAGE);
	fill(high, PAGE);
	map_window(self->vm, LOW_GPA | PTE_RW, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl64));
	start(self->vcpu, WINDOW_GVA + PAGE - 10, 0, 4, 0);
	test_port_run_to_exception(self->vcpu, self->device, &exception);
	test_vcpu_sregs(self->vcpu, &sregs);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(PF, exception.vector);
	EXPECT_EQ(0, exception.error_code);
	EXPECT_EQ(TEST_CODE_GPA, exception.rip);
	EXPECT_EQ(WINDOW_GVA + PAGE, sregs.cr2);
	EXPECT_EQ(8, self->device->written_bytes);
	EXPECT_EQ(2, regs.rcx);
	EXPECT_EQ(WINDOW_GVA + PAGE - 2, regs.rsi);

	/* The guest's handler repairs it and goes on where it was. */
	map_window(self->vm, LOW_GPA | PTE_RW, HIGH_GPA | PTE_RW);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	ASSERT_EQ(16, self->device->written_bytes);
	EXPECT_EQ(0, memcmp(low + PAGE - 10, self->device->written, 10));
	EXPECT_EQ(0, memcmp(high, self->device->written + 10, 6));
}

TEST_F(io, ins_into_a_page_fault)
{
	uint8_t *low = test_vm_hva(self->vm, LOW_GPA);
	struct test_exception exception;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	memset(low, 0xee, PAGE);
	map_window(self->vm, LOW_GPA | 1, 0);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(insl64));
	start(self->vcpu, 0, WINDOW_GVA + 8, 4, 0);
	test_port_run_to_exception(self->vcpu, self->device, &exception);
	test_vcpu_sregs(self->vcpu, &sregs);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(PF, exception.vector);
	EXPECT_EQ(PF_WRITE | 1, exception.error_code);
	EXPECT_EQ(WINDOW_GVA + 8, sregs.cr2);
	EXPECT_EQ(4, regs.rcx);
	EXPECT_EQ(0xee, low[8]);
	/* KVM has read the port by then, and what it read is lost. */
	if (on_kvm())
		return;
	EXPECT_EQ(0, self->device->exits);
	map_window(self->vm, LOW_GPA | PTE_RW, 0);
	test_port_run_to(self->vcpu, self->device, TEST_PORT_DONE);
	EXPECT_EQ(test_port_byte(0), low[8]);
	EXPECT_EQ(test_port_byte(15), low[23]);
}

/* No page table entry but the guest-physical address leads nowhere: not done, and said so. */
TEST_F(io, outs_from_no_memory)
{
	if (on_kvm())
		SKIP(return, "KVM asks for the data by KVM_EXIT_MMIO");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(outsl64));
	start(self->vcpu, 0xd0000000, 0, 1, 0);
	test_port_run(self->vcpu, self->device);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, self->vcpu->run->exit_reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->vcpu->run->emulation_failure.suberror);
	EXPECT_EQ(0, self->device->exits);
}

TEST(strings_to_a_device_in_the_kernel)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };
	uint8_t *data = test_vm_hva(vm, TEST_DATA_GPA);
	struct kvm_regs regs;

	fill(data, 100);
	data[99] = 0xa5;
	test_vcpu_long_mode(vcpu, GUEST_BLOB(outsb64));
	start(vcpu, TEST_DATA_GPA, 0, 100, 0);
	test_vcpu_regs(vcpu, &regs);
	regs.rdx = PIC_IMR_PORT;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_done(vcpu);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	EXPECT_EQ(0xa5, chip.chip.pic.imr);
	test_vcpu_regs(vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	EXPECT_EQ(TEST_DATA_GPA + 100, regs.rsi);

	test_vcpu_long_mode(vcpu, GUEST_BLOB(insb64));
	start(vcpu, 0, TEST_DATA_GPA + 1, 50, 0);
	test_vcpu_regs(vcpu, &regs);
	regs.rdx = PIC_IMR_PORT;
	test_vcpu_set_regs(vcpu, &regs);
	test_vcpu_run_to_done(vcpu);
	EXPECT_EQ(1, data[0]);
	EXPECT_EQ(0xa5, data[1]);
	EXPECT_EQ(0xa5, data[50]);
	EXPECT_NE(0xa5, data[51]);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_HARNESS_MAIN
