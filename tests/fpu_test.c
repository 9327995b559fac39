// SPDX-License-Identifier: GPL-2.0
/*
 * FPU, SSE and AVX state: by ioctl, in the guest, and apart from the host's.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define XSAVE_BV_OFFSET	512
#define XSAVE_MXCSR	24
#define ECX_XSAVE	(1u << 26)
#define ECX_AVX		(1u << 28)
#define CR4_OSXSAVE	(1ull << 18)
#define GP		13

FIXTURE(fpu) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct kvm_cpuid2 *cpuid;
	bool has_xsave;
	bool has_avx;
};

FIXTURE_SETUP(fpu)
{
	struct kvm_cpuid_entry2 *entry;

	self->vm = test_vm_create();
	self->vcpu = test_vcpu_create(self->vm, 0);
	self->cpuid = test_supported_cpuid(self->vm->dev_fd);
	test_vcpu_set_supported_cpuid(self->vcpu);
	entry = test_cpuid_find(self->cpuid, 1, 0);
	self->has_xsave = entry->ecx & ECX_XSAVE;
	self->has_avx = entry->ecx & ECX_AVX;
}

FIXTURE_TEARDOWN(fpu)
{
	free(self->cpuid);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

TEST_F(fpu, after_reset)
{
	struct kvm_xcrs xcrs;
	struct kvm_fpu fpu;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0x37f, fpu.fcw);
	EXPECT_EQ(0, fpu.fsw);
	/* KVM_GET_FPU of KVM has no MXCSR. */
	if (!test_on_kvm())
		EXPECT_EQ(0x1f80, fpu.mxcsr);
	if (!self->has_xsave)
		SKIP(return, "no XSAVE here");
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(1, xcrs.nr_xcrs);
	EXPECT_EQ(0, xcrs.xcrs[0].xcr);
	EXPECT_EQ(1, xcrs.xcrs[0].value);
}

TEST_F(fpu, round_trip)
{
	struct kvm_fpu fpu = { .fcw = 0x27f, .fsw = 0x3800, .ftwx = 0x81, .last_opcode = 0x123,
			       .last_ip = 0x1000, .last_dp = 0x2000, .mxcsr = 0x1fa0 };
	struct kvm_fpu back;

	if (test_on_kvm())
		SKIP(return, "KVM_SET_FPU of KVM has no MXCSR");
	/* The upper 48 bits of each x87 register do not exist. */
	for (int i = 0; i < 8; i++)
		memset(fpu.fpr[i], 0x11 * (i + 1), 10);
	memset(fpu.xmm, 0x5a, sizeof(fpu.xmm));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_FPU, &fpu));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &back));
	EXPECT_EQ(0, memcmp(&fpu, &back, sizeof(fpu)));
}

/* Loading a reserved bit of MXCSR would fault in the host. */
TEST_F(fpu, reserved_mxcsr)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0xffff0000 };

	if (test_on_kvm())
		SKIP(return, "the KVM of 6.1 does not look");
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_FPU, &fpu));
	EXPECT_EQ(EINVAL, errno);
}

GUEST_CODE(guest_sse,
	   "mov %rdi, %rax\n"
	   "paddq %xmm1, %xmm0\n"
	   "movq %xmm0, %r8\n"
	   "fld1\n"
	   "fldpi\n"
	   "movdqa %xmm15, %xmm14\n"
	   GUEST_SYNC
	   "paddq %xmm1, %xmm0\n"
	   "movq %xmm0, %r8\n"
	   "fstp %st(0)\n"
	   "fistpq 0x10000\n"
	   GUEST_SYNC);

TEST_F(fpu, guest_computes)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	struct kvm_regs regs;

	if (test_on_kvm())
		SKIP(return, "KVM_SET_FPU of KVM does not reach registers in their initial state");
	*(uint64_t *)fpu.xmm[0] = 40;
	*(uint64_t *)fpu.xmm[1] = 2;
	memset(fpu.xmm[15], 0xa5, 16);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_sse));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_FPU, &fpu));
	/* The host's own registers are in use meanwhile. */
	asm volatile("pcmpeqb %%xmm0, %%xmm0\n\tpcmpeqb %%xmm15, %%xmm15" : : : "xmm0", "xmm15");
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(42, regs.r8);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(42, *(uint64_t *)fpu.xmm[0]);
	EXPECT_EQ(0, memcmp(fpu.xmm[14], fpu.xmm[15], 16));
	EXPECT_EQ(0xa5, fpu.xmm[14][7]);
	/* Two values on the x87 stack. */
	EXPECT_EQ(6 << 11, fpu.fsw & 7 << 11);
	EXPECT_EQ(0xc0, fpu.ftwx);
	*(uint64_t *)fpu.xmm[1] = 100;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_FPU, &fpu));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(142, regs.r8);
	EXPECT_EQ(1, *(uint64_t *)test_vm_hva(self->vm, TEST_DATA_GPA));
}

GUEST_CODE(guest_clobber,
	   "1: pcmpeqb %xmm0, %xmm0\n"
	   "pcmpeqb %xmm7, %xmm7\n"
	   "pcmpeqb %xmm15, %xmm15\n"
	   "fldpi\n"
	   "fincstp\n"
	   "push $0x1fc0\n"
	   "ldmxcsr (%rsp)\n"
	   "pop %rax\n"
	   GUEST_SYNC
	   "jmp 1b\n");

/* The guest's registers stay the guest's, the host's the host's, over many exits. */
TEST_F(fpu, host_keeps_its_own)
{
	uint64_t in[2] = { 0x0123456789abcdef, 0xfedcba9876543210 }, out[2][2];
	uint32_t mxcsr;

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_clobber));
	for (int i = 0; i < 50; i++) {
		int ret;

		/* KVM_RUN by SYSCALL alone: no function call may touch the registers in between. */
		asm volatile("movdqu %[in], %%xmm0\n\t"
			     "movdqu %[in], %%xmm15\n\t"
			     "syscall\n\t"
			     "movdqu %%xmm0, %[first]\n\t"
			     "movdqu %%xmm15, %[last]\n\t"
			     "stmxcsr %[mxcsr]\n\t"
			     : "=a" (ret), [first] "=m" (out[0]), [last] "=m" (out[1]),
			       [mxcsr] "=m" (mxcsr)
			     : "0" (16), "D" (self->vcpu->fd), "S" (KVM_RUN), "d" (0), [in] "m" (in)
			     : "rcx", "r11", "memory", "xmm0", "xmm15");
		ASSERT_EQ(0, ret);
		ASSERT_EQ(KVM_EXIT_IO, self->vcpu->run->exit_reason);
		ASSERT_EQ(0, memcmp(in, out[0], 16));
		ASSERT_EQ(0, memcmp(in, out[1], 16));
		ASSERT_EQ(0x1f80, mxcsr & 0xffc0);
	}
}

TEST_F(fpu, xsave_round_trip)
{
	struct kvm_xsave xsave, back;
	struct kvm_fpu fpu;
	uint64_t xstate_bv;

	memset(&xsave, 0xee, sizeof(xsave));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE, &xsave));
	memset((uint8_t *)xsave.region + 160, 0x77, 256);		/* XMM0 to XMM15 */
	memcpy(&xstate_bv, (uint8_t *)xsave.region + XSAVE_BV_OFFSET, 8);
	xstate_bv |= 3;
	memcpy((uint8_t *)xsave.region + XSAVE_BV_OFFSET, &xstate_bv, 8);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_XSAVE, &xsave));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0x77, fpu.xmm[9][3]);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE, &back));
	EXPECT_EQ(0, memcmp((uint8_t *)xsave.region + 32, (uint8_t *)back.region + 32, 384));
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_GET_XSAVE, (void *)1));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(fpu, xsave_refusals)
{
	struct kvm_xsave good, bad;
	uint64_t all_ones = ~0ull;
	uint32_t mxcsr = 0xffff0000;

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE, &good));
	bad = good;
	memcpy((uint8_t *)bad.region + XSAVE_BV_OFFSET, &all_ones, 8);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XSAVE, &bad));
	EXPECT_EQ(EINVAL, errno);
	bad = good;
	memcpy((uint8_t *)bad.region + XSAVE_BV_OFFSET, &(uint64_t){ 3 }, 8);
	memcpy((uint8_t *)bad.region + XSAVE_MXCSR, &mxcsr, 4);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XSAVE, &bad));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_XSAVE, &good));
}

TEST_F(fpu, xsave2_size)
{
	int bytes = test_check_extension(self->vm->fd, KVM_CAP_XSAVE2);
	struct kvm_xsave xsave;
	uint8_t *image;

	if (!bytes)
		SKIP(return, "no KVM_CAP_XSAVE2");
	ASSERT_LE(sizeof(xsave), (size_t)bytes);
	image = calloc(1, bytes + 16);
	memset(image + bytes, 0xdd, 16);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE2, image));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE, &xsave));
	EXPECT_EQ(0, memcmp(image, &xsave, sizeof(xsave)));
	EXPECT_EQ(0xdd, image[bytes]);
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_XSAVE, image));
	free(image);
}

TEST_F(fpu, xcrs)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 3 } } };

	if (!self->has_xsave)
		SKIP(return, "no XSAVE here");
	EXPECT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(3, xcrs.xcrs[0].value);
	xcrs.xcrs[0].value = 2;					/* x87 cannot be off */
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_EQ(EINVAL, errno);
	xcrs.xcrs[0].value = 5;					/* AVX without SSE */
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_EQ(EINVAL, errno);
	xcrs.xcrs[0].value = 1ull << 62 | 3;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_EQ(EINVAL, errno);
	xcrs.xcrs[0].value = 3;
	xcrs.nr_xcrs = 17;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_EQ(EINVAL, errno);
	xcrs.nr_xcrs = 1;
	xcrs.flags = 1;
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs));
	EXPECT_EQ(EINVAL, errno);
}

GUEST_CODE(guest_avx,
	   "mov %cr4, %rax\n"
	   "or $0x40000, %rax\n"
	   "mov %rax, %cr4\n"
	   "xor %ecx, %ecx\n"
	   "xor %edx, %edx\n"
	   "mov $7, %eax\n"
	   "xsetbv\n"
	   "vpcmpeqb %ymm3, %ymm3, %ymm3\n"
	   "xgetbv\n"
	   "mov %eax, %r8d\n"
	   GUEST_SYNC
	   /* What comes back after an exit is the whole register. */
	   "vextractf128 $1, %ymm3, %xmm4\n"
	   "movq %xmm4, %r9\n"
	   GUEST_SYNC);

TEST_F(fpu, guest_avx)
{
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_regs regs;
	unsigned int eax, offset, ecx, edx;
	uint64_t xstate_bv;

	if (!self->has_avx)
		SKIP(return, "no AVX here");
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_avx));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(7, regs.r8);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(7, xcrs.xcrs[0].value);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_GET_XSAVE, &xsave));
	__cpuid_count(0xd, 2, eax, offset, ecx, edx);
	memcpy(&xstate_bv, (uint8_t *)xsave.region + XSAVE_BV_OFFSET, 8);
	EXPECT_EQ(4, xstate_bv & 4);
	EXPECT_EQ(0xff, *((uint8_t *)xsave.region + offset + 3 * 16));
	/* The upper half of YMM3 by the VMM. */
	memset((uint8_t *)xsave.region + offset + 3 * 16, 0x3c, 16);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_XSAVE, &xsave));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_regs(self->vcpu, &regs);
	EXPECT_EQ(0x3c3c3c3c3c3c3c3c, regs.r9);
}

GUEST_CODE(guest_xsetbv,
	   "mov %cr4, %rax\n"
	   "or $0x40000, %rax\n"
	   "mov %rax, %cr4\n"
	   "mov %edi, %ecx\n"
	   "mov %rsi, %rax\n"
	   "mov %rsi, %rdx\n"
	   "shr $32, %rdx\n"
	   "xsetbv\n"
	   GUEST_SYNC);

static bool xsetbv_faults(struct test_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct test_exception *frame;
	struct kvm_regs regs;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_xsetbv));
	test_vcpu_regs(vcpu, &regs);
	regs.rdi = index;
	regs.rsi = value;
	test_vcpu_set_regs(vcpu, &regs);
	if (test_vcpu_run(vcpu) != KVM_EXIT_IO)
		test_die("exit reason %u", vcpu->run->exit_reason);
	if (vcpu->run->io.port == TEST_PORT_SYNC)
		return false;
	test_vcpu_regs(vcpu, &regs);
	frame = test_vm_hva(vcpu->vm, regs.rsp);
	if (frame->vector != GP)
		test_die("vector %llu", (unsigned long long)frame->vector);
	return true;
}

TEST_F(fpu, guest_xsetbv_faults)
{
	if (!self->has_xsave)
		SKIP(return, "no XSAVE here");
	EXPECT_FALSE(xsetbv_faults(self->vcpu, 0, 3));
	EXPECT_FALSE(xsetbv_faults(self->vcpu, 0, 1));
	EXPECT_TRUE(xsetbv_faults(self->vcpu, 0, 0));
	EXPECT_TRUE(xsetbv_faults(self->vcpu, 0, 2));
	EXPECT_TRUE(xsetbv_faults(self->vcpu, 0, 5));
	EXPECT_TRUE(xsetbv_faults(self->vcpu, 0, 1ull << 63 | 3));
	EXPECT_TRUE(xsetbv_faults(self->vcpu, 1, 3));
}

TEST_HARNESS_MAIN
