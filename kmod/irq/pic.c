// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the PICs' place in a VM: ports, lock, lines with several drivers, and telling the vCPUs.
 * What the chips do is i8259.c's; it must not be known here.
 */
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "bus.h"
#include "i8259.h"
#include "irq_glue.h"
#include "pic.h"

enum { PORTS_MASTER, PORTS_SLAVE, PORTS_ELCR, NR_PORT_RANGES };

static const u16 port_bases[NR_PORT_RANGES] = { 0x20, 0xa0, 0x4d0 };

struct vitrine_pic {
	raw_spinlock_t lock;
	struct vitrine_vm *vm;			/* [I] */
	struct vitrine_bus_dev dev[NR_PORT_RANGES];	/* [I] two ports each */
	struct vitrine_i8259 pair;
	u8 lines[VITRINE_I8259_PINS];		/* who asserts the pin: a bit for each source */
	bool output;				/* [a] */
};

static void pic_lock(struct vitrine_pic *pic, unsigned long *flags)
	__acquires(&pic->lock)
{
	raw_spin_lock_irqsave(&pic->lock, *flags);
}

/* Unlocks, and tells what the chips did while they were locked to whom it concerns. */
static void pic_unlock(struct vitrine_pic *pic, unsigned long flags)
	__releases(&pic->lock)
{
	bool was = pic->output, output = vitrine_i8259_output(&pic->pair);
	u16 ended = pic->pair.ended, unmasked = pic->pair.unmasked;

	pic->pair.ended = 0;
	pic->pair.unmasked = 0;
	WRITE_ONCE(pic->output, output);
	raw_spin_unlock_irqrestore(&pic->lock, flags);

	if (output && !was)
		vitrine_irq_pic_raised(pic->vm);
	if (unmasked) {
		vitrine_irq_pins_unmasked(pic->vm, KVM_IRQCHIP_PIC_MASTER, unmasked & 0xff);
		vitrine_irq_pins_unmasked(pic->vm, KVM_IRQCHIP_PIC_SLAVE, unmasked >> 8);
	}
	if (ended) {
		vitrine_irq_pins_ended(pic->vm, KVM_IRQCHIP_PIC_MASTER, ended & 0xff);
		vitrine_irq_pins_ended(pic->vm, KVM_IRQCHIP_PIC_SLAVE, ended >> 8);
	}
}

int vitrine_pic_set_line(struct vitrine_pic *pic, unsigned int pin, bool level, unsigned int source)
{
	unsigned long flags;
	int ret;

	pic_lock(pic, &flags);
	if (level)
		pic->lines[pin] |= BIT(source);
	else
		pic->lines[pin] &= ~BIT(source);
	ret = vitrine_i8259_set_line(&pic->pair, pin, pic->lines[pin]);
	pic_unlock(pic, flags);
	return ret;
}

bool vitrine_pic_output(const struct vitrine_pic *pic)
{
	return READ_ONCE(pic->output);
}

u8 vitrine_pic_ack(struct vitrine_pic *pic)
{
	unsigned long flags;
	u8 vector;

	pic_lock(pic, &flags);
	vector = vitrine_i8259_ack(&pic->pair);
	pic_unlock(pic, flags);
	return vector;
}

void vitrine_pic_end(struct vitrine_pic *pic, u8 vector)
{
	unsigned long flags;

	pic_lock(pic, &flags);
	vitrine_i8259_end(&pic->pair, vector);
	pic_unlock(pic, flags);
}

static int pic_read(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr, void *data,
		    unsigned int len_bytes)
{
	struct vitrine_pic *pic = vcpu->vm->irq.pic;
	unsigned int range = dev - pic->dev, offset = addr - dev->base, i;
	unsigned long flags;
	u8 *bytes = data;

	pic_lock(pic, &flags);
	for (i = 0; i < len_bytes; i++, offset++)
		bytes[i] = range == PORTS_ELCR ? pic->pair.chip[offset & 1].elcr :
			   vitrine_i8259_read(&pic->pair, range, offset & 1);
	pic_unlock(pic, flags);
	return 0;
}

static int pic_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
		     const void *data, unsigned int len_bytes)
{
	struct vitrine_pic *pic = vcpu->vm->irq.pic;
	unsigned int range = dev - pic->dev, offset = addr - dev->base, i;
	const u8 *bytes = data;
	unsigned long flags;

	pic_lock(pic, &flags);
	for (i = 0; i < len_bytes; i++, offset++) {
		if (range == PORTS_ELCR)
			vitrine_i8259_set_elcr(&pic->pair, offset & 1, bytes[i]);
		else
			vitrine_i8259_write(&pic->pair, range, offset & 1, bytes[i]);
	}
	pic_unlock(pic, flags);
	return 0;
}

static const struct vitrine_bus_ops pic_ops = {
	.read = pic_read,
	.write = pic_write,
};

void vitrine_pic_get_state(struct vitrine_pic *pic, unsigned int index, struct kvm_pic_state *state)
{
	unsigned long flags;

	pic_lock(pic, &flags);
	*state = pic->pair.chip[index];
	pic_unlock(pic, flags);
}

void vitrine_pic_set_state(struct vitrine_pic *pic, unsigned int index,
			   const struct kvm_pic_state *state)
{
	unsigned long flags;

	pic_lock(pic, &flags);
	vitrine_i8259_set_state(&pic->pair, index, state);
	pic_unlock(pic, flags);
}

void vitrine_pic_unplug(struct vitrine_vm *vm, struct vitrine_pic *pic)
{
	unsigned int i;

	/* A range that is not there is none to take away. */
	for (i = 0; i < NR_PORT_RANGES; i++)
		vitrine_bus_remove(vm, VITRINE_BUS_PIO, &pic->dev[i]);
}

struct vitrine_pic *vitrine_pic_create(struct vitrine_vm *vm)
{
	struct vitrine_pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int ret;

	if (!pic)
		return ERR_PTR(-ENOMEM);
	raw_spin_lock_init(&pic->lock);
	pic->vm = vm;
	vitrine_i8259_reset(&pic->pair);
	for (i = 0; i < NR_PORT_RANGES; i++) {
		pic->dev[i] = (struct vitrine_bus_dev){ &pic_ops, port_bases[i], 2 };
		ret = vitrine_bus_add(vm, VITRINE_BUS_PIO, &pic->dev[i]);
		if (ret)
			goto err_unplug;
	}
	return pic;

err_unplug:
	vitrine_pic_unplug(vm, pic);
	kfree(pic);
	return ERR_PTR(ret);
}

void vitrine_pic_free(struct vitrine_pic *pic)
{
	kfree(pic);
}
