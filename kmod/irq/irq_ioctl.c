// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the VM ioctls of the interrupt controllers: checks and copies, nothing of a chip's logic.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ioapic.h"
#include "ioctl.h"
#include "irq_glue.h"
#include "irqfd.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"
#include "routing.h"

static long irq_ioctl_create_irqchip(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_irq_create_chips(obj);
}

static long irq_ioctl_create_pit(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_irq_create_pit(obj, KVM_PIT_SPEAKER_DUMMY);
}

static long irq_ioctl_create_pit2(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_pit_config *config = arg->data;

	return vitrine_irq_create_pit(obj, config->flags);
}

static long irq_ioctl_line(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_irq_level *line = arg->data;

	if (vitrine_irq_mode(obj) == VITRINE_IRQCHIP_NONE)
		return -ENXIO;
	vitrine_irq_set_line(obj, line->irq, line->level, VITRINE_IRQ_SOURCE_USER);
	return 0;
}

static long irq_ioctl_line_status(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_irq_level *line = arg->data;

	if (vitrine_irq_mode(obj) == VITRINE_IRQCHIP_NONE)
		return -ENXIO;
	line->status = vitrine_irq_set_line(obj, line->irq, line->level, VITRINE_IRQ_SOURCE_USER);
	return 0;
}

static long irq_ioctl_set_routing(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_irq_routing *header = arg->data;
	struct kvm_irq_routing_entry *entries = NULL;
	long ret;

	if (vitrine_irq_mode(obj) == VITRINE_IRQCHIP_NONE) {
		pr_debug_ratelimited("KVM_SET_GSI_ROUTING: there is no irqchip in the kernel\n");
		return -EINVAL;
	}
	if (header->nr > VITRINE_MAX_ROUTES || header->flags) {
		pr_debug_ratelimited("KVM_SET_GSI_ROUTING: field nr is %u, must be at most %u; flags is %#x, must be 0\n",
				     header->nr, VITRINE_MAX_ROUTES, header->flags);
		return -EINVAL;
	}
	if (header->nr) {
		entries = vmemdup_user(arg->user + sizeof(*header),
				       array_size(header->nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	ret = vitrine_routing_set(obj, entries, header->nr);
	kvfree(entries);
	return ret;
}

static long irq_ioctl_signal_msi(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_msi *msi = arg->data;
	struct vitrine_apic_msg msg;
	int ret;

	/* A device id is of use on other architectures only, and harmless. */
	if (vitrine_irq_mode(obj) == VITRINE_IRQCHIP_NONE || msi->flags & ~KVM_MSI_VALID_DEVID) {
		pr_debug_ratelimited("KVM_SIGNAL_MSI: field flags is %#x, must be 0 or %#x; there must be an irqchip\n",
				     msi->flags, KVM_MSI_VALID_DEVID);
		return -EINVAL;
	}
	ret = vitrine_msi_decode(obj, msi->address_lo, msi->address_hi, msi->data, &msg);
	if (ret)
		return ret;
	/* Nobody at that address: KVM's answer, which is not an errno that anybody chose. */
	ret = vitrine_lapic_send(obj, NULL, &msg);
	return ret < 0 ? -EPERM : ret;
}

static long irq_ioctl_irqfd(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_irqfd_set(obj, arg->data);
}

static long irq_ioctl_get_irqchip(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_irqchip *state = arg->data;
	struct vitrine_vm *vm = obj;

	if (vitrine_irq_mode(vm) != VITRINE_IRQCHIP_KERNEL)
		return -ENXIO;
	memset(&state->chip, 0, sizeof(state->chip));
	switch (state->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vitrine_pic_get_state(vm->irq.pic, state->chip_id == KVM_IRQCHIP_PIC_SLAVE,
				      &state->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vitrine_ioapic_get_state(vm->irq.ioapic, &state->chip.ioapic);
		return 0;
	default:
		pr_debug_ratelimited("KVM_GET_IRQCHIP: field chip_id is %u, must be 0 to 2\n",
				     state->chip_id);
		return -EINVAL;
	}
}

/* The numbers of this and two more below say nothing, or the wrong thing, of their argument. */
static long irq_ioctl_set_irqchip(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct kvm_irqchip state;

	if (copy_from_user(&state, arg->user, sizeof(state)))
		return -EFAULT;
	if (vitrine_irq_mode(vm) != VITRINE_IRQCHIP_KERNEL)
		return -ENXIO;
	switch (state.chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vitrine_pic_set_state(vm->irq.pic, state.chip_id == KVM_IRQCHIP_PIC_SLAVE,
				      &state.chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vitrine_ioapic_set_state(vm->irq.ioapic, &state.chip.ioapic);
		return 0;
	default:
		pr_debug_ratelimited("KVM_SET_IRQCHIP: field chip_id is %u, must be 0 to 2\n",
				     state.chip_id);
		return -EINVAL;
	}
}

static long irq_ioctl_get_pit2(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (!vm->irq.pit)
		return -ENXIO;
	vitrine_pit_get_state(vm->irq.pit, arg->data);
	return 0;
}

static long irq_ioctl_set_pit2(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (!vm->irq.pit)
		return -ENXIO;
	vitrine_pit_set_state(vm->irq.pit, arg->data);
	return 0;
}

/* The older form has the channels only. */
static long irq_ioctl_get_pit(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct kvm_pit_state2 state;

	if (!vm->irq.pit)
		return -ENXIO;
	vitrine_pit_get_state(vm->irq.pit, &state);
	memcpy(arg->data, &state, sizeof(struct kvm_pit_state));
	return 0;
}

static long irq_ioctl_set_pit(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct kvm_pit_state2 state;

	if (!vm->irq.pit)
		return -ENXIO;
	vitrine_pit_get_state(vm->irq.pit, &state);
	if (copy_from_user(&state, arg->user, sizeof(struct kvm_pit_state)))
		return -EFAULT;
	vitrine_pit_set_state(vm->irq.pit, &state);
	return 0;
}

static long irq_ioctl_reinject_control(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_reinject_control control;
	struct vitrine_vm *vm = obj;

	if (copy_from_user(&control, arg->user, sizeof(control)))
		return -EFAULT;
	if (!vm->irq.pit)
		return -ENXIO;
	vitrine_pit_set_reinject(vm->irq.pit, control.pit_reinject);
	return 0;
}

const struct vitrine_ioctl vitrine_irq_vm_ioctls[] = {
	{ KVM_CREATE_IRQCHIP, VITRINE_IOCTL_LOCK, irq_ioctl_create_irqchip },
	{ KVM_CREATE_PIT, VITRINE_IOCTL_LOCK, irq_ioctl_create_pit },
	{ KVM_CREATE_PIT2, VITRINE_IOCTL_LOCK, irq_ioctl_create_pit2 },
	{ KVM_IRQ_LINE, 0, irq_ioctl_line },
	{ KVM_IRQ_LINE_STATUS, 0, irq_ioctl_line_status },
	{ KVM_SET_GSI_ROUTING, 0, irq_ioctl_set_routing },
	{ KVM_SIGNAL_MSI, 0, irq_ioctl_signal_msi },
	{ KVM_IRQFD, 0, irq_ioctl_irqfd },
	{ KVM_GET_IRQCHIP, VITRINE_IOCTL_LOCK, irq_ioctl_get_irqchip },
	{ KVM_SET_IRQCHIP, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_RAW, irq_ioctl_set_irqchip },
	{ KVM_GET_PIT, VITRINE_IOCTL_LOCK, irq_ioctl_get_pit },
	{ KVM_SET_PIT, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_RAW, irq_ioctl_set_pit },
	{ KVM_GET_PIT2, VITRINE_IOCTL_LOCK, irq_ioctl_get_pit2 },
	{ KVM_SET_PIT2, VITRINE_IOCTL_LOCK, irq_ioctl_set_pit2 },
	{ KVM_REINJECT_CONTROL, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_RAW,
	  irq_ioctl_reinject_control },
	{}
};
