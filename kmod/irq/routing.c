// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the routing table: from a GSI to pins of the chips here or to an MSI. A table is
 * immutable, replaced whole under irq.lock, and read under vm->srcu from any context. It must not
 * look into a chip.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <asm/apicdef.h>

#include "ioapic.h"
#include "irq_glue.h"
#include "lapic.h"
#include "pic.h"
#include "routing.h"

#define NR_CHIPS	3
#define NO_GSI		U32_MAX

struct route {
	u32 gsi;
	u32 type;		/* KVM_IRQ_ROUTING_* */
	u32 chip;		/* KVM_IRQCHIP_* */
	u32 pin;		/* of that chip */
	u32 address_lo;
	u32 address_hi;
	u32 data;
};

/* @first: [gsi] is the index of the GSI's first route, [gsi + 1] that of the next GSI's. */
struct vitrine_routing {
	struct rcu_head rcu;
	u32 nr_gsis;
	u32 gsi_of_pin[NR_CHIPS][VITRINE_IOAPIC_PINS];
	u32 *first;
	struct route route[];
};

static void routing_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct vitrine_routing, rcu));
}

int vitrine_msi_decode(struct vitrine_vm *vm, u32 address_lo, u32 address_hi, u32 data,
		       struct vitrine_apic_msg *msg)
{
	u32 dest = address_lo >> 12 & 0xff;

	if (vm->irq.x2apic_format) {
		if (address_hi & 0xff)
			return -EINVAL;
		dest |= address_hi & 0xffffff00;
	}
	*msg = (struct vitrine_apic_msg){
		.dest = dest,
		.delivery_mode = data & APIC_DM_FIXED_MASK,
		.vector = data & APIC_VECTOR_MASK,
		.logical = address_lo & BIT(2),
		.lowest = address_lo & BIT(3),
		.level_triggered = data & APIC_INT_LEVELTRIG,
		.assert = true,
	};
	return 0;
}

static int route_check(struct vitrine_vm *vm, const struct kvm_irq_routing_entry *entry,
		       struct route *route)
{
	struct vitrine_apic_msg msg;

	if (entry->gsi >= VITRINE_MAX_ROUTES) {
		pr_debug_ratelimited("KVM_SET_GSI_ROUTING: field gsi is %u, must be below %u\n",
				     entry->gsi, VITRINE_MAX_ROUTES);
		return -EINVAL;
	}
	if (entry->flags) {
		pr_debug_ratelimited("KVM_SET_GSI_ROUTING: field flags is %#x, must be 0\n",
				     entry->flags);
		return -EINVAL;
	}
	*route = (struct route){ .gsi = entry->gsi, .type = entry->type };

	switch (entry->type) {
	case KVM_IRQ_ROUTING_IRQCHIP: {
		u32 chip = entry->u.irqchip.irqchip, pin = entry->u.irqchip.pin;

		if (vitrine_irq_mode(vm) == VITRINE_IRQCHIP_SPLIT || chip >= NR_CHIPS ||
		    pin >= (chip == KVM_IRQCHIP_IOAPIC ? VITRINE_IOAPIC_PINS : 8)) {
			pr_debug_ratelimited("KVM_SET_GSI_ROUTING: no chip %u with pin %u here\n",
					     chip, pin);
			return -EINVAL;
		}
		route->chip = chip;
		route->pin = pin;
		return 0;
	}
	case KVM_IRQ_ROUTING_MSI:
		route->address_lo = entry->u.msi.address_lo;
		route->address_hi = entry->u.msi.address_hi;
		route->data = entry->u.msi.data;
		return vitrine_msi_decode(vm, route->address_lo, route->address_hi, route->data,
					  &msg);
	default:
		pr_debug_ratelimited("KVM_SET_GSI_ROUTING: field type is %u, must be 1 or 2\n",
				     entry->type);
		return -EINVAL;
	}
}

/* A GSI has one route to each chip, or one message and nothing else. */
static int route_check_shared(const struct route *route, const struct route *other)
{
	if (route->type == KVM_IRQ_ROUTING_IRQCHIP && other->type == KVM_IRQ_ROUTING_IRQCHIP &&
	    route->chip != other->chip)
		return 0;
	pr_debug_ratelimited("KVM_SET_GSI_ROUTING: GSI %u has two routes that exclude each other\n",
			     route->gsi);
	return -EINVAL;
}

/* A counting sort by GSI: within one, the VMM's order stays. */
static int routing_fill(struct vitrine_vm *vm, struct vitrine_routing *routing,
			const struct kvm_irq_routing_entry *entries, u32 nr)
{
	u32 i, at, other;
	int ret;

	for (i = 0; i < nr; i++)
		if (entries[i].gsi < routing->nr_gsis)
			routing->first[entries[i].gsi + 1]++;
	for (i = 0; i < routing->nr_gsis; i++)
		routing->first[i + 1] += routing->first[i];
	for (i = 0; i < nr; i++)
		routing->route[i].type = 0;

	for (i = 0; i < nr; i++) {
		struct route route;

		ret = route_check(vm, &entries[i], &route);
		if (ret)
			return ret;
		at = routing->first[route.gsi];
		while (routing->route[at].type)
			at++;
		for (other = routing->first[route.gsi]; other < at; other++) {
			ret = route_check_shared(&route, &routing->route[other]);
			if (ret)
				return ret;
		}
		routing->route[at] = route;
		if (route.type == KVM_IRQ_ROUTING_IRQCHIP)
			routing->gsi_of_pin[route.chip][route.pin] = route.gsi;
	}
	return 0;
}

int vitrine_routing_set(struct vitrine_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct vitrine_routing *old, *new;
	u32 nr_gsis = 0, i;
	size_t bytes;
	int ret;

	for (i = 0; i < nr; i++)
		nr_gsis = max(nr_gsis, min_t(u32, entries[i].gsi, VITRINE_MAX_ROUTES - 1) + 1);
	bytes = struct_size(new, route, nr) + array_size(nr_gsis + 1, sizeof(u32));
	new = kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->nr_gsis = nr_gsis;
	new->first = (u32 *)&new->route[nr];
	memset(new->gsi_of_pin, 0xff, sizeof(new->gsi_of_pin));
	ret = routing_fill(vm, new, entries, nr);
	if (ret) {
		kvfree(new);
		return ret;
	}

	mutex_lock(&vm->irq.lock);
	old = rcu_replace_pointer(vm->irq.routing, new, lockdep_is_held(&vm->irq.lock));
	mutex_unlock(&vm->irq.lock);
	vitrine_lapic_eoi_exits_changed(vm);
	if (old) {
		call_srcu(&vm->srcu, &old->rcu, routing_free_rcu);
		vitrine_vm_count_retired(vm);
	}
	return 0;
}

int vitrine_routing_set_empty(struct vitrine_vm *vm)
{
	return vitrine_routing_set(vm, NULL, 0);
}

static struct kvm_irq_routing_entry pin_entry(u32 gsi, u32 chip, u32 pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* The ISA interrupts reach both the PICs and the I/O APIC's first pins. */
int vitrine_routing_set_default(struct vitrine_vm *vm)
{
	struct kvm_irq_routing_entry *entries;
	u32 nr = 0, gsi;
	int ret;

	entries = kcalloc(16 + VITRINE_IOAPIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0; gsi < VITRINE_IOAPIC_PINS; gsi++) {
		entries[nr++] = pin_entry(gsi, KVM_IRQCHIP_IOAPIC, gsi);
		if (gsi < 8)
			entries[nr++] = pin_entry(gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
		else if (gsi < 16)
			entries[nr++] = pin_entry(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8);
	}
	ret = vitrine_routing_set(vm, entries, nr);
	kfree(entries);
	return ret;
}

/* Nobody can reach the VM any more. */
void vitrine_routing_destroy(struct vitrine_vm *vm)
{
	srcu_barrier(&vm->srcu);
	kvfree(rcu_dereference_protected(vm->irq.routing, true));
	RCU_INIT_POINTER(vm->irq.routing, NULL);
}

static int route_set(struct vitrine_vm *vm, const struct route *route, int level,
		     unsigned int source)
{
	struct vitrine_apic_msg msg;

	if (route->type == KVM_IRQ_ROUTING_MSI) {
		if (!level ||
		    vitrine_msi_decode(vm, route->address_lo, route->address_hi, route->data, &msg))
			return -1;
		return vitrine_lapic_send(vm, NULL, &msg);
	}
	if (route->chip == KVM_IRQCHIP_IOAPIC)
		return vitrine_ioapic_set_line(vm->irq.ioapic, route->pin, level, source);
	return vitrine_pic_set_line(vm->irq.pic,
				    (route->chip == KVM_IRQCHIP_PIC_SLAVE ? 8 : 0) + route->pin,
				    level, source);
}

int vitrine_irq_set_line(struct vitrine_vm *vm, u32 gsi, int level, unsigned int source)
{
	struct vitrine_routing *routing;
	int idx, ret = -1;
	u32 i;

	idx = srcu_read_lock(&vm->srcu);
	routing = srcu_dereference(vm->irq.routing, &vm->srcu);
	if (routing && gsi < routing->nr_gsis) {
		gsi = array_index_nospec(gsi, routing->nr_gsis);
		for (i = routing->first[gsi]; i < routing->first[gsi + 1]; i++) {
			int one = route_set(vm, &routing->route[i], level, source);

			if (one >= 0)
				ret = max(ret, 0) + one;
		}
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

bool vitrine_routing_pins_have_gsi(struct vitrine_vm *vm, u32 chip, u32 pins, u32 gsi)
{
	struct vitrine_routing *routing;
	bool found = false;
	u32 pin;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	routing = srcu_dereference(vm->irq.routing, &vm->srcu);
	for (pin = 0; routing && pin < VITRINE_IOAPIC_PINS && pins >> pin; pin++)
		found |= pins & BIT(pin) && routing->gsi_of_pin[chip][pin] == gsi;
	srcu_read_unlock(&vm->srcu, idx);
	return found;
}

bool vitrine_routing_wants_eoi(struct vitrine_vcpu *vcpu, u8 vector)
{
	struct vitrine_vm *vm = vcpu->vm;
	struct vitrine_routing *routing;
	struct vitrine_apic_msg msg;
	bool wanted = false;
	u32 i, end;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	routing = srcu_dereference(vm->irq.routing, &vm->srcu);
	end = routing ? routing->first[min(vm->irq.nr_split_pins, routing->nr_gsis)] : 0;
	for (i = 0; i < end && !wanted; i++) {
		const struct route *route = &routing->route[i];

		if (route->type != KVM_IRQ_ROUTING_MSI ||
		    (route->data & APIC_VECTOR_MASK) != vector ||
		    !(route->data & APIC_INT_LEVELTRIG))
			continue;
		wanted = !vitrine_msi_decode(vm, route->address_lo, route->address_hi, route->data,
					     &msg) &&
			 vitrine_lapic_matches(vcpu->lapic, NULL, &msg);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return wanted;
}
