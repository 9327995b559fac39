// SPDX-License-Identifier: GPL-2.0
/*
 * Owns what holds the interrupt controllers together: their creation, who hears of whom, and the
 * answer to "is there an interrupt for this vCPU". The chips' logic is in their own files.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/module.h>

#include "backend.h"
#include "ioapic.h"
#include "irq_glue.h"
#include "irqfd.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"
#include "routing.h"

static unsigned int min_timer_period_us = 200;
module_param(min_timer_period_us, uint, 0644);
MODULE_PARM_DESC(min_timer_period_us,
		 "shortest period of a guest's periodic timer, in microseconds");

u64 vitrine_min_timer_period_ns(void)
{
	/* Zero would let a guest hold the host in an endless timer interrupt. */
	return max(READ_ONCE(min_timer_period_us), 1u) * (u64)NSEC_PER_USEC;
}

void vitrine_irq_init(struct vitrine_vm *vm)
{
	mutex_init(&vm->irq.lock);
	vitrine_irqfd_init(vm);
	RCU_INIT_POINTER(vm->irq.routing, NULL);
}

/* The PIT stops here, so before the vCPUs that it interrupts are freed. */
void vitrine_irq_destroy(struct vitrine_vm *vm)
{
	if (vm->irq.pit)
		vitrine_pit_free(vm->irq.pit);
	vitrine_routing_destroy(vm);
	vitrine_ioapic_free(vm->irq.ioapic);
	vitrine_pic_free(vm->irq.pic);
}

static int may_create_chips(struct vitrine_vm *vm, int errno_with_vcpus)
{
	lockdep_assert_held(&vm->lock);
	if (vitrine_irq_mode(vm) != VITRINE_IRQCHIP_NONE)
		return -EEXIST;
	if (vm->nr_vcpus) {
		pr_debug_ratelimited("an irqchip must be created before the first vCPU\n");
		return errno_with_vcpus;
	}
	return 0;
}

int vitrine_irq_create_chips(struct vitrine_vm *vm)
{
	struct vitrine_ioapic *ioapic;
	struct vitrine_pic *pic;
	int ret = may_create_chips(vm, -EINVAL);

	if (ret)
		return ret;
	mutex_lock(&vm->slots_lock);
	pic = vitrine_pic_create(vm);
	if (IS_ERR(pic)) {
		ret = PTR_ERR(pic);
		goto err_unlock;
	}
	ioapic = vitrine_ioapic_create(vm);
	if (IS_ERR(ioapic)) {
		ret = PTR_ERR(ioapic);
		goto err_unplug_pic;
	}
	/* A PIT may be there already, and uses the routing as soon as it can see it. */
	vm->irq.pic = pic;
	vm->irq.ioapic = ioapic;
	ret = vitrine_routing_set_default(vm);
	if (ret)
		goto err_unplug_ioapic;
	/* Pairs with vitrine_irq_mode(). */
	smp_store_release(&vm->irq.mode, VITRINE_IRQCHIP_KERNEL);
	mutex_unlock(&vm->slots_lock);
	return 0;

err_unplug_ioapic:
	vm->irq.pic = NULL;
	vm->irq.ioapic = NULL;
	vitrine_ioapic_unplug(vm, ioapic);
	vitrine_ioapic_free(ioapic);
err_unplug_pic:
	vitrine_pic_unplug(vm, pic);
	vitrine_pic_free(pic);
err_unlock:
	mutex_unlock(&vm->slots_lock);
	return ret;
}

int vitrine_irq_create_pit(struct vitrine_vm *vm, u32 flags)
{
	struct vitrine_pit *pit;

	lockdep_assert_held(&vm->lock);
	if (flags & ~KVM_PIT_SPEAKER_DUMMY) {
		pr_debug_ratelimited("KVM_CREATE_PIT2: field flags is %#x, must be 0 or %#x\n",
				     flags, KVM_PIT_SPEAKER_DUMMY);
		return -EINVAL;
	}
	if (vm->irq.pit)
		return -EEXIST;
	/* Some VMMs create what it interrupts afterwards; without that nobody hears it. */
	mutex_lock(&vm->slots_lock);
	pit = vitrine_pit_create(vm, flags);
	mutex_unlock(&vm->slots_lock);
	if (IS_ERR(pit))
		return PTR_ERR(pit);
	/* Pairs with pit_of_pins(). */
	smp_store_release(&vm->irq.pit, pit);
	vitrine_lapic_eoi_exits_changed(vm);
	return 0;
}

int vitrine_irq_enable_split(struct vitrine_vm *vm, u64 nr_pins)
{
	int ret;

	if (nr_pins > VITRINE_MAX_ROUTES) {
		pr_debug_ratelimited("KVM_CAP_SPLIT_IRQCHIP: args[0] is %llu, must be at most %u\n",
				     nr_pins, VITRINE_MAX_ROUTES);
		return -EINVAL;
	}
	ret = may_create_chips(vm, -EEXIST);
	if (ret)
		return ret;
	ret = vitrine_routing_set_empty(vm);
	if (ret)
		return ret;
	vm->irq.nr_split_pins = nr_pins;
	/* Pairs with vitrine_irq_mode(). */
	smp_store_release(&vm->irq.mode, VITRINE_IRQCHIP_SPLIT);
	return 0;
}

int vitrine_irq_enable_x2apic_api(struct vitrine_vm *vm, u64 flags)
{
	const u64 known = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

	lockdep_assert_held(&vm->lock);
	if (flags & ~known) {
		pr_debug_ratelimited("KVM_CAP_X2APIC_API: args[0] is %#llx, must be within %#llx\n",
				     flags, known);
		return -EINVAL;
	}
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->irq.x2apic_format = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->irq.x2apic_no_broadcast_quirk = true;
	return 0;
}

void vitrine_irq_raise_nmi(struct vitrine_vcpu *vcpu)
{
	/* More would be merged; no guest may make the count large while the vCPU does not run. */
	atomic_add_unless(&vcpu->nmi_queued, 1, VITRINE_NMI_PENDING_MAX);
	vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_NMI);
}

/*
 * The PIC's output is wired to LINT0 of every local APIC, and it is for their LVT to say what
 * that means.
 */
void vitrine_irq_pic_raised(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		u32 lint0 = vitrine_lapic_get(vcpu->lapic, APIC_LVT0);

		if (vitrine_lapic_takes_pic(vcpu->lapic))
			vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_EVENT);
		else if ((lint0 & (APIC_LVT_MASKED | APIC_MODE_MASK)) == APIC_DM_NMI)
			vitrine_irq_raise_nmi(vcpu);
	}
}

static struct vitrine_pit *pit_of_pins(struct vitrine_vm *vm, u32 chip, u32 pins)
{
	/* Pairs with vitrine_irq_create_pit(). */
	struct vitrine_pit *pit = smp_load_acquire(&vm->irq.pit);

	return pit && vitrine_routing_pins_have_gsi(vm, chip, pins, VITRINE_PIT_GSI) ? pit : NULL;
}

void vitrine_irq_ends_awaited(struct vitrine_vm *vm, unsigned long *vectors)
{
	bool resampled = !list_empty(&vm->irq.irqfds.resamplers);
	unsigned int pin;

	if (!vm->irq.ioapic)
		return;
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		if (resampled || pit_of_pins(vm, KVM_IRQCHIP_IOAPIC, BIT(pin)))
			__set_bit(vitrine_ioapic_vector(vm->irq.ioapic, pin), vectors);
}

void vitrine_irq_pins_ended(struct vitrine_vm *vm, u32 chip, u32 pins)
{
	struct vitrine_pit *pit = pit_of_pins(vm, chip, pins);

	if (pit)
		vitrine_pit_ended(pit);
	vitrine_irqfd_resample(vm, chip, pins);
}

void vitrine_irq_pins_unmasked(struct vitrine_vm *vm, u32 chip, u32 pins)
{
	struct vitrine_pit *pit = pit_of_pins(vm, chip, pins);

	if (pit)
		vitrine_pit_unmasked(pit);
}

void vitrine_irq_eoi(struct vitrine_vcpu *vcpu, u8 vector, bool level_triggered)
{
	struct vitrine_vm *vm = vcpu->vm;

	if (vm->irq.ioapic) {
		vitrine_ioapic_eoi(vm->irq.ioapic, vector);
	} else if (level_triggered && vitrine_routing_wants_eoi(vcpu, vector)) {
		vcpu->eoi_vector = vector;
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EOI_EXIT);
	}
}

void vitrine_irq_load_words(struct vitrine_vcpu *vcpu)
{
	if (vcpu->apic_words & VITRINE_WORD_EOI_OFFERED)
		vitrine_pv_eoi_take_back(vcpu);
	if (vcpu->apic_words & VITRINE_WORD_VAPIC)
		vitrine_vapic_load(vcpu);
}

void vitrine_irq_store_words(struct vitrine_vcpu *vcpu)
{
	if (vcpu->apic_words & VITRINE_WORD_EOI)
		vitrine_pv_eoi_offer(vcpu);
	if (vcpu->apic_words & VITRINE_WORD_VAPIC)
		vitrine_vapic_store(vcpu);
}

/* An interrupt of a PIC: ours through LINT0, or userspace's that KVM_INTERRUPT brought. */
static bool extint_pending(struct vitrine_lapic *lapic)
{
	struct vitrine_pic *pic = lapic->vcpu->vm->irq.pic;

	if (pic ? !vitrine_pic_output(pic) : lapic->extint < 0)
		return false;
	return vitrine_lapic_takes_pic(lapic);
}

bool vitrine_irq_takes_queued(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (vcpu->vm->irq.pic)
		return false;
	return !lapic || (lapic->extint < 0 && vitrine_lapic_takes_pic(lapic));
}

bool vitrine_irq_pending(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (!lapic)
		return false;
	return vitrine_lapic_pending_vector(lapic) >= 0 || extint_pending(lapic);
}

bool vitrine_irq_to_inject(struct vitrine_vcpu *vcpu)
{
	return vitrine_lapic_is_virtual(vcpu->lapic) ? extint_pending(vcpu->lapic) :
						       vitrine_irq_pending(vcpu);
}

int vitrine_irq_ack(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	int vector;

	if (!lapic)
		return -1;
	if (extint_pending(lapic)) {
		vcpu->irq_from = vcpu->vm->irq.pic ? VITRINE_IRQ_FROM_PIC : VITRINE_IRQ_FROM_USER;
		if (vcpu->vm->irq.pic)
			return vitrine_pic_ack(vcpu->vm->irq.pic);
		vector = lapic->extint;
		lapic->extint = -1;
		return vector;
	}
	if (vitrine_lapic_is_virtual(lapic))
		return -1;
	if (lapic->apicv)
		vitrine_lapic_take_posted(lapic);
	vcpu->irq_from = VITRINE_IRQ_FROM_LAPIC;
	vector = vitrine_lapic_pending_vector(lapic);
	if (vector >= 0)
		vitrine_lapic_begin_service(lapic, vector);
	return vector;
}

static bool is_serviced(const struct vitrine_vcpu *vcpu, u8 vector)
{
	return vcpu->lapic && vitrine_lapic_serviced_vector(vcpu->lapic) == vector;
}

void vitrine_irq_end(struct vitrine_vcpu *vcpu, u8 vector)
{
	u8 from = vcpu->irq_from & ~VITRINE_IRQ_ASKED;

	if (from == VITRINE_IRQ_FROM_USER)
		return;
	/* The VMM may have set the controllers meanwhile. */
	if (from != VITRINE_IRQ_FROM_PIC && is_serviced(vcpu, vector))
		vitrine_lapic_end_service(vcpu->lapic);
	else if (from != VITRINE_IRQ_FROM_LAPIC && vcpu->vm->irq.pic)
		vitrine_pic_end(vcpu->vm->irq.pic, vector);
}

void vitrine_irq_delivery_changed(struct vitrine_vcpu *vcpu)
{
	if (!vcpu->lapic || !vcpu->lapic->apicv)
		return;
	vitrine_backend->update_apicv(vcpu);
	vitrine_lapic_refresh(vcpu->lapic);
}
