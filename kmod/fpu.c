// SPDX-License-Identifier: GPL-2.0
/*
 * FPU and extended state of a vCPU. The image is the kernel's guest fpstate, which the kernel swaps
 * and converts; this file decides which components a guest may have and checks what VMM and guest
 * put in. XCR0 itself is switched by the entry path.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>

#include "cpuid.h"
#include "cpuid_leaf.h"
#include "fpu.h"
#include "ioctl.h"
#include "vcpu.h"

/* MPX is gone from new CPUs, PKRU and AMX need state beyond the image, all others need IA32_XSS. */
#define SUPPORTED_XCR0	(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512)
#define FCW_INIT	0x37f
#define MXCSR_INIT	0x1f80
#define MXCSR_MASK	0xffffU	/* with DAZ, which every CPU with VMX has */

u64 vitrine_fpu_supported_xcr0(void)
{
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return 0;
	return xgetbv(XCR_XFEATURE_ENABLED_MASK) & SUPPORTED_XCR0;
}

unsigned int vitrine_fpu_image_bytes(void)
{
	return max_t(unsigned int, sizeof(struct kvm_xsave),
		     cpuid_xsave_bytes(vitrine_fpu_supported_xcr0(), false));
}

int vitrine_fpu_create(struct vitrine_vcpu *vcpu)
{
	if (!fpu_alloc_guest_fpstate(&vcpu->fpu))
		return -ENOMEM;
	vitrine_fpu_reset(vcpu, false);
	return 0;
}

void vitrine_fpu_free(struct vitrine_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->fpu);
}

/*
 * INIT leaves FPU, SSE and XCR0 alone ("Processor States Following Power-up, Reset, or INIT").
 * After power-up FCW is 0x40 there; VMMs that start a guest in the middle of things rely on KVM's
 * choice, the value after FNINIT.
 */
void vitrine_fpu_reset(struct vitrine_vcpu *vcpu, bool init)
{
	union fpregs_state *regs = &vcpu->fpu.fpstate->regs;
	bool in_run = vcpu->in_run;

	if (init)
		return;
	if (in_run)
		vitrine_fpu_put(vcpu);
	memset(&regs->fxsave, 0, sizeof(regs->fxsave));
	regs->fxsave.cwd = FCW_INIT;
	regs->fxsave.mxcsr = MXCSR_INIT;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		regs->xsave.header.xfeatures = 0;
	vcpu->xcr0 = XFEATURE_MASK_FP;
	if (in_run)
		vitrine_fpu_load(vcpu);
}

void vitrine_fpu_load(struct vitrine_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	vcpu->in_run = true;
}

void vitrine_fpu_put(struct vitrine_vcpu *vcpu)
{
	vcpu->in_run = false;
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
}

/* "XSETBV": what must come together. */
static bool xcr0_is_consistent(u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (!(xcr0 & XFEATURE_MASK_FP))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 && (xcr0 & XFEATURE_MASK_YMM));
}

int vitrine_fpu_set_xcr(struct vitrine_vcpu *vcpu, u32 index, u64 xcr0)
{
	u64 allowed = XFEATURE_MASK_FP | (vcpu->cpuid ? vcpu->cpuid->xcr0 : 0);

	if (index != XCR_XFEATURE_ENABLED_MASK || (xcr0 & ~allowed) || !xcr0_is_consistent(xcr0))
		return -EINVAL;
	if (vcpu->xcr0 == xcr0)
		return 0;
	vcpu->xcr0 = xcr0;
	vitrine_cpuid_update_runtime(vcpu);
	return 0;
}

/*
 * While XSAVE's header says that a component is in its initial configuration, the image may hold
 * anything there: the legacy calls have no such header and must see and set real values.
 */
static void materialize_legacy(struct vitrine_vcpu *vcpu)
{
	union fpregs_state *regs = &vcpu->fpu.fpstate->regs;
	u64 present;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	present = regs->xsave.header.xfeatures;
	if (!(present & XFEATURE_MASK_FP)) {
		memset(&regs->fxsave, 0, offsetof(struct fxregs_state, mxcsr));
		memset(regs->fxsave.st_space, 0, sizeof(regs->fxsave.st_space));
		regs->fxsave.cwd = FCW_INIT;
	}
	if (!(present & XFEATURE_MASK_SSE))
		memset(regs->fxsave.xmm_space, 0, sizeof(regs->fxsave.xmm_space));
	/* MXCSR goes with SSE and AVX together. */
	if (!(present & (XFEATURE_MASK_SSE | XFEATURE_MASK_YMM)))
		regs->fxsave.mxcsr = MXCSR_INIT;
	regs->xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
}

static long fpu_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct fxregs_state *fx = &vcpu->fpu.fpstate->regs.fxsave;
	struct kvm_fpu *fpu = arg->data;

	materialize_legacy(vcpu);
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
	return 0;
}

static long fpu_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct fxregs_state *fx = &vcpu->fpu.fpstate->regs.fxsave;
	const struct kvm_fpu *fpu = arg->data;

	/* A reserved bit would fault in the host, when the guest's state is loaded. */
	if (fpu->mxcsr & ~MXCSR_MASK) {
		pr_debug_ratelimited("KVM_SET_FPU: field mxcsr is %#x, must be within %#x\n",
				     fpu->mxcsr, MXCSR_MASK);
		return -EINVAL;
	}
	materialize_legacy(vcpu);
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->mxcsr = fpu->mxcsr;
	return 0;
}

static long get_xsave(struct vitrine_vcpu *vcpu, void __user *user, unsigned int bytes)
{
	u64 xfeatures = vitrine_fpu_supported_xcr0() | XFEATURE_MASK_FPSSE;
	void *image;
	long ret;

	image = kvzalloc(max_t(unsigned int, bytes, vcpu->fpu.uabi_size), GFP_KERNEL_ACCOUNT);
	if (!image)
		return -ENOMEM;
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu, image, bytes, xfeatures, 0);
	ret = copy_to_user(user, image, bytes) ? -EFAULT : 0;
	kvfree(image);
	return ret;
}

static long fpu_ioctl_get_xsave(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	if (vcpu->fpu.uabi_size > sizeof(struct kvm_xsave)) {
		pr_debug_ratelimited("KVM_GET_XSAVE: the state has %u bytes, must be read by KVM_GET_XSAVE2\n",
				     vcpu->fpu.uabi_size);
		return -EINVAL;
	}
	return get_xsave(vcpu, arg->user, sizeof(struct kvm_xsave));
}

static long fpu_ioctl_get_xsave2(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	return get_xsave(vcpu, arg->user, vcpu->fpu.uabi_size);
}

static long fpu_ioctl_set_xsave(void *obj, struct vitrine_ioctl_arg *arg)
{
	u64 xfeatures = vitrine_fpu_supported_xcr0() | XFEATURE_MASK_FPSSE;
	struct vitrine_vcpu *vcpu = obj;
	u32 pkru;
	void *image;
	long ret;

	image = vmemdup_user(arg->user, vcpu->fpu.uabi_size);
	if (IS_ERR(image))
		return PTR_ERR(image);
	ret = fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu, image, xfeatures, &pkru);
	if (ret)
		pr_debug_ratelimited("KVM_SET_XSAVE: field region is no valid XSAVE image of this host\n");
	kvfree(image);
	return ret;
}

static long fpu_ioctl_get_xcrs(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct kvm_xcrs *xcrs = arg->data;

	memset(xcrs, 0, sizeof(*xcrs));
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
	return 0;
}

static long fpu_ioctl_set_xcrs(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_xcrs *xcrs = arg->data;
	u32 i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE)) {
		pr_debug_ratelimited("KVM_SET_XCRS: this host has no XSAVE\n");
		return -EINVAL;
	}
	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags) {
		pr_debug_ratelimited("KVM_SET_XCRS: field nr_xcrs is %u and flags %#x, must be at most %u and 0\n",
				     xcrs->nr_xcrs, xcrs->flags, KVM_MAX_XCRS);
		return -EINVAL;
	}
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		if (vitrine_fpu_set_xcr(obj, XCR_XFEATURE_ENABLED_MASK, xcrs->xcrs[i].value)) {
			pr_debug_ratelimited("KVM_SET_XCRS: field value of XCR0 is %#llx, must be what the guest's CPUID has\n",
					     xcrs->xcrs[i].value);
			return -EINVAL;
		}
		return 0;
	}
	return 0;
}

#define LOCK_ONLY	(VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD)

const struct vitrine_ioctl vitrine_fpu_ioctls[] = {
	{ KVM_GET_FPU, LOCK_ONLY, fpu_ioctl_get },
	{ KVM_SET_FPU, LOCK_ONLY, fpu_ioctl_set },
	{ KVM_GET_XSAVE, LOCK_ONLY | VITRINE_IOCTL_RAW, fpu_ioctl_get_xsave },
	{ KVM_GET_XSAVE2, LOCK_ONLY | VITRINE_IOCTL_RAW, fpu_ioctl_get_xsave2 },
	{ KVM_SET_XSAVE, LOCK_ONLY | VITRINE_IOCTL_RAW, fpu_ioctl_set_xsave },
	{ KVM_GET_XCRS, LOCK_ONLY, fpu_ioctl_get_xcrs },
	{ KVM_SET_XCRS, VITRINE_IOCTL_LOCK, fpu_ioctl_set_xcrs },
	{}
};
