// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the I/O APIC, after the 82093AA data sheet: redirection table, level and edge pins, remote
 * IRR. It must not know who raises a pin; messages go out through vitrine_lapic_send(), which
 * takes no lock, so they may leave under ours.
 */
#include <linux/bitmap.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <asm/apicdef.h>

#include "bus.h"
#include "ioapic.h"
#include "irq_glue.h"
#include "irqfd.h"
#include "lapic.h"

#define IOAPIC_MMIO_BYTES	0x100
#define IOAPIC_VERSION		(0x11 | (VITRINE_IOAPIC_PINS - 1) << 16)
enum { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_TABLE = 0x10 };

/* A redirection entry is an ICR in its low bits, with these of its own. */
#define ENTRY_REMOTE_IRR	BIT_ULL(14)
#define ENTRY_LEVEL		BIT_ULL(15)
#define ENTRY_MASKED		BIT_ULL(16)
#define ENTRY_DEST_SHIFT	56
#define ENTRY_WRITABLE		0xff0000000001afffull

struct vitrine_ioapic {
	raw_spinlock_t lock;
	struct vitrine_vm *vm;			/* [I] */
	struct vitrine_bus_dev dev;
	u8 select;
	u8 id;
	u8 lines[VITRINE_IOAPIC_PINS];		/* who asserts the pin: a bit for each source */
	u32 irr;				/* asserted pins */
	u32 sent;				/* of these: edges that went out as a message */
	u64 entry[VITRINE_IOAPIC_PINS];
	DECLARE_BITMAP(vectors, 256);		/* [a] in the table: other EOIs need no lock */
};

/* Under the lock. Results as vitrine_irq_set_line(). */
static int send_pin(struct vitrine_ioapic *ioapic, unsigned int pin)
{
	u64 entry = ioapic->entry[pin];
	struct vitrine_apic_msg msg = {
		.dest = entry >> ENTRY_DEST_SHIFT,
		.delivery_mode = entry & APIC_DM_FIXED_MASK,
		.vector = entry & APIC_VECTOR_MASK,
		.logical = entry & APIC_DEST_LOGICAL,
		.level_triggered = entry & ENTRY_LEVEL,
		.assert = true,
	};
	int ret;

	if (entry & ENTRY_MASKED)
		return -1;
	if (entry & ENTRY_LEVEL && entry & ENTRY_REMOTE_IRR)
		return 0;
	ret = vitrine_lapic_send(ioapic->vm, NULL, &msg);
	if (!(entry & ENTRY_LEVEL))
		ioapic->sent |= BIT(pin);
	else if (ret >= 0)
		ioapic->entry[pin] |= ENTRY_REMOTE_IRR;
	return ret;
}

int vitrine_ioapic_set_line(struct vitrine_ioapic *ioapic, unsigned int pin, bool level,
			    unsigned int source)
{
	unsigned long flags;
	u32 bit = BIT(pin);
	int ret = 1;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if (level)
		ioapic->lines[pin] |= BIT(source);
	else
		ioapic->lines[pin] &= ~BIT(source);

	if (!ioapic->lines[pin]) {
		ioapic->irr &= ~bit;
		ioapic->sent &= ~bit;
	} else if (ioapic->irr & bit && !(ioapic->entry[pin] & ENTRY_LEVEL)) {
		ret = 0;
	} else {
		ioapic->irr |= bit;
		ioapic->sent &= ~bit;
		ret = send_pin(ioapic, pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

static void send_waiting_levels(struct vitrine_ioapic *ioapic, u32 pins)
{
	unsigned int pin;

	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		if (pins & ioapic->irr & BIT(pin) && ioapic->entry[pin] & ENTRY_LEVEL)
			send_pin(ioapic, pin);
}

void vitrine_ioapic_eoi(struct vitrine_ioapic *ioapic, u8 vector)
{
	unsigned long flags;
	unsigned int pin;
	u32 ended = 0;

	if (!test_bit(vector, ioapic->vectors))
		return;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++) {
		if ((u8)ioapic->entry[pin] != vector)
			continue;
		ended |= BIT(pin);
		ioapic->entry[pin] &= ~ENTRY_REMOTE_IRR;
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);

	/*
	 * A device that hears of the end may lower its line, or raise it again, before the pin is
	 * looked at.
	 */
	vitrine_irq_pins_ended(ioapic->vm, KVM_IRQCHIP_IOAPIC, ended);

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	send_waiting_levels(ioapic, ended);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

static void update_vectors(struct vitrine_ioapic *ioapic)
{
	DECLARE_BITMAP(vectors, 256) = {};
	unsigned int pin;

	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		__set_bit((u8)ioapic->entry[pin], vectors);
	bitmap_copy(ioapic->vectors, vectors, 256);
}

/* Under the lock. */
static void put_entry(struct vitrine_ioapic *ioapic, unsigned int pin, u64 entry)
{
	bool moved;

	/*
	 * "Remote IRR" has no meaning for edges, and guests clear it by a switch to edge and
	 * back.
	 */
	if (!(entry & ENTRY_LEVEL))
		entry &= ~ENTRY_REMOTE_IRR;
	moved = (u8)(ioapic->entry[pin] ^ entry);
	WRITE_ONCE(ioapic->entry[pin], entry);
	update_vectors(ioapic);
	if (moved)
		vitrine_lapic_eoi_exits_changed(ioapic->vm);
}

static void write_table(struct vitrine_ioapic *ioapic, unsigned int index, u32 value)
{
	unsigned int pin = index / 2;
	unsigned long flags;
	u64 old, new;
	bool stale;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	old = ioapic->entry[pin];
	if (index & 1)
		new = (old & U32_MAX) | (u64)value << 32;
	else
		new = (old & ~(u64)U32_MAX) | value;
	new = (new & ENTRY_WRITABLE) | (old & ~ENTRY_WRITABLE);
	put_entry(ioapic, pin, new);
	stale = (new & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) == ENTRY_LEVEL &&
		ioapic->lines[pin] & BIT(VITRINE_IRQ_SOURCE_RESAMPLE);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);

	/*
	 * What an eventfd raised while the pin was masked may have been dealt with since, without a
	 * word: ask again instead of sending it.
	 */
	if (stale)
		vitrine_irqfd_resample(ioapic->vm, KVM_IRQCHIP_IOAPIC, BIT(pin));

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	send_waiting_levels(ioapic, BIT(pin));
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);

	if (old & ~new & ENTRY_MASKED)
		vitrine_irq_pins_unmasked(ioapic->vm, KVM_IRQCHIP_IOAPIC, BIT(pin));
}

u8 vitrine_ioapic_vector(struct vitrine_ioapic *ioapic, unsigned int pin)
{
	return READ_ONCE(ioapic->entry[pin]);
}

static void write_data(struct vitrine_ioapic *ioapic, u32 value)
{
	unsigned int select = READ_ONCE(ioapic->select), index = select - REG_TABLE;

	if (select == REG_ID)
		ioapic->id = value >> 24 & 0xf;
	else if (select >= REG_TABLE && index < 2 * VITRINE_IOAPIC_PINS)
		write_table(ioapic, array_index_nospec(index, 2 * VITRINE_IOAPIC_PINS), value);
}

static u32 read_data(struct vitrine_ioapic *ioapic)
{
	unsigned int select = READ_ONCE(ioapic->select), index = select - REG_TABLE;
	u64 entry;

	switch (select) {
	case REG_ID:
	case REG_ARBITRATION:
		return ioapic->id << 24;
	case REG_VERSION:
		return IOAPIC_VERSION;
	}
	if (select < REG_TABLE || index >= 2 * VITRINE_IOAPIC_PINS)
		return ~0u;
	index = array_index_nospec(index, 2 * VITRINE_IOAPIC_PINS);
	entry = READ_ONCE(ioapic->entry[index / 2]);
	return index & 1 ? entry >> 32 : entry;
}

static int ioapic_read(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
		       void *data, unsigned int len_bytes)
{
	struct vitrine_ioapic *ioapic = container_of(dev, struct vitrine_ioapic, dev);
	u32 value = 0;

	if (addr - dev->base == WINDOW_SELECT)
		value = ioapic->select;
	else if (addr - dev->base == WINDOW_DATA)
		value = read_data(ioapic);
	memset(data, 0, len_bytes);
	memcpy(data, &value, min_t(unsigned int, len_bytes, sizeof(value)));
	return 0;
}

static int ioapic_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
			const void *data, unsigned int len_bytes)
{
	struct vitrine_ioapic *ioapic = container_of(dev, struct vitrine_ioapic, dev);
	u32 value = 0;

	memcpy(&value, data, min_t(unsigned int, len_bytes, sizeof(value)));
	if (addr - dev->base == WINDOW_SELECT)
		WRITE_ONCE(ioapic->select, value);
	else if (addr - dev->base == WINDOW_DATA)
		write_data(ioapic, value);
	return 0;
}

static const struct vitrine_bus_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

void vitrine_ioapic_get_state(struct vitrine_ioapic *ioapic, struct kvm_ioapic_state *state)
{
	unsigned long flags;
	unsigned int pin;

	memset(state, 0, sizeof(*state));
	state->base_address = ioapic->dev.base;
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	state->irr = ioapic->irr & ~ioapic->sent;
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->entry[pin];
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

void vitrine_ioapic_set_state(struct vitrine_ioapic *ioapic, const struct kvm_ioapic_state *state)
{
	unsigned long flags;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = state->ioregsel;
	ioapic->id = state->id & 0xf;
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		put_entry(ioapic, pin,
			  state->redirtbl[pin].bits & (ENTRY_WRITABLE | ENTRY_REMOTE_IRR));
	ioapic->irr = state->irr & GENMASK(VITRINE_IOAPIC_PINS - 1, 0);
	ioapic->sent = 0;
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		if (ioapic->irr & BIT(pin))
			send_pin(ioapic, pin);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

struct vitrine_ioapic *vitrine_ioapic_create(struct vitrine_vm *vm)
{
	struct vitrine_ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	unsigned int pin;
	int ret;

	if (!ioapic)
		return ERR_PTR(-ENOMEM);
	raw_spin_lock_init(&ioapic->lock);
	ioapic->vm = vm;
	ioapic->dev.ops = &ioapic_ops;
	ioapic->dev.base = IO_APIC_DEFAULT_PHYS_BASE;
	ioapic->dev.len_bytes = IOAPIC_MMIO_BYTES;
	for (pin = 0; pin < VITRINE_IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
	update_vectors(ioapic);
	ret = vitrine_bus_add(vm, VITRINE_BUS_MMIO, &ioapic->dev);
	if (ret) {
		kfree(ioapic);
		return ERR_PTR(ret);
	}
	return ioapic;
}

void vitrine_ioapic_unplug(struct vitrine_vm *vm, struct vitrine_ioapic *ioapic)
{
	vitrine_bus_remove(vm, VITRINE_BUS_MMIO, &ioapic->dev);
}

void vitrine_ioapic_free(struct vitrine_ioapic *ioapic)
{
	kfree(ioapic);
}
