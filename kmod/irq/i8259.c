// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the logic of the 8259A pair, after the 8259A data sheet: initialization and operation
 * command words, priorities, the cascade. Pure, it also builds on the host; it must not lock, log
 * or reach a vCPU.
 *
 * The cascade is not a latch: the master's IR2 request is at any time what the slave's output is.
 */
#include <linux/string.h>
#include <linux/types.h>

#include "i8259.h"

#define CASCADE_PIN	2
#define CASCADE_BIT	0x04
#define NO_PIN		(-1)

/*
 * Pins that the chip set allows to be level-triggered: not the timer, keyboard, cascade, clock
 * and coprocessor.
 */
static const u8 elcr_masks[2] = { 0xf8, 0xde };

enum { MASTER, SLAVE };
enum { READY, WAIT_ICW2, WAIT_ICW3, WAIT_ICW4 };

static u8 rotate_right(u8 value, unsigned int count)
{
	return (u8)((value | value << 8) >> (count & 7));
}

/* 0 is the highest priority, 8 that of an empty mask. */
static unsigned int highest_priority(const struct kvm_pic_state *chip, u8 mask)
{
	u8 rotated = rotate_right(mask, chip->priority_add);
	unsigned int priority = 0;

	if (!rotated)
		return 8;
	while (!(rotated & 1)) {
		rotated >>= 1;
		priority++;
	}
	return priority;
}

static unsigned int pin_of(const struct kvm_pic_state *chip, unsigned int priority)
{
	return (priority + chip->priority_add) & 7;
}

/* The pin that the chip asks its CPU to serve. */
static int requested_pin(const struct vitrine_i8259 *pair, unsigned int index)
{
	const struct kvm_pic_state *chip = &pair->chip[index];
	unsigned int priority = highest_priority(chip, chip->irr & ~chip->imr);
	u8 in_service = chip->isr;

	if (priority == 8)
		return NO_PIN;
	if (chip->special_mask)
		in_service &= ~chip->imr;
	/* So that a slave can ask again while one of its interrupts is in service. */
	if (chip->special_fully_nested_mode && index == MASTER)
		in_service &= ~CASCADE_BIT;
	return priority < highest_priority(chip, in_service) ? (int)pin_of(chip, priority) : NO_PIN;
}

static void update_cascade(struct vitrine_i8259 *pair)
{
	if (requested_pin(pair, SLAVE) != NO_PIN)
		pair->chip[MASTER].irr |= CASCADE_BIT;
	else
		pair->chip[MASTER].irr &= ~CASCADE_BIT;
}

void vitrine_i8259_reset(struct vitrine_i8259 *pair)
{
	unsigned int i;

	memset(pair, 0, sizeof(*pair));
	for (i = 0; i < 2; i++)
		pair->chip[i].elcr_mask = elcr_masks[i];
}

int vitrine_i8259_set_line(struct vitrine_i8259 *pair, unsigned int pin, bool level)
{
	struct kvm_pic_state *chip = &pair->chip[pin >> 3 & 1];
	u8 bit = 1u << (pin & 7);
	int ret = 1;

	if (chip->elcr & bit) {
		if (level) {
			ret = !(chip->irr & bit);
			chip->irr |= bit;
			chip->last_irr |= bit;
		} else {
			chip->irr &= ~bit;
			chip->last_irr &= ~bit;
		}
	} else if (level) {
		if (!(chip->last_irr & bit)) {
			ret = !(chip->irr & bit);
			chip->irr |= bit;
		}
		chip->last_irr |= bit;
	} else {
		chip->last_irr &= ~bit;
	}
	update_cascade(pair);
	return chip->imr & bit ? -1 : ret;
}

bool vitrine_i8259_output(const struct vitrine_i8259 *pair)
{
	return requested_pin(pair, MASTER) != NO_PIN;
}

static void end_pin(struct vitrine_i8259 *pair, unsigned int index, unsigned int pin)
{
	pair->chip[index].isr &= ~(1u << pin);
	pair->ended |= 1u << (index * 8 + pin);
}

static void acknowledge(struct vitrine_i8259 *pair, unsigned int index, unsigned int pin)
{
	struct kvm_pic_state *chip = &pair->chip[index];
	u8 bit = 1u << pin;

	if (!(chip->elcr & bit))
		chip->irr &= ~bit;
	chip->isr |= bit;
	if (chip->auto_eoi) {
		end_pin(pair, index, pin);
		if (chip->rotate_on_auto_eoi)
			chip->priority_add = (pin + 1) & 7;
	}
}

u8 vitrine_i8259_ack(struct vitrine_i8259 *pair)
{
	const unsigned int spurious = 7;
	int pin = requested_pin(pair, MASTER);
	u8 vector;

	if (pin == NO_PIN)
		return pair->chip[MASTER].irq_base + spurious;

	if (pin == CASCADE_PIN) {
		int slave_pin = requested_pin(pair, SLAVE);

		if (slave_pin != NO_PIN)
			acknowledge(pair, SLAVE, slave_pin);
		else
			slave_pin = spurious;
		vector = pair->chip[SLAVE].irq_base + slave_pin;
	} else {
		vector = pair->chip[MASTER].irq_base + pin;
	}
	acknowledge(pair, MASTER, pin);
	update_cascade(pair);
	return vector;
}

/* A poll is an acknowledge cycle whose answer is read instead of put on the bus. */
static u8 poll_read(struct vitrine_i8259 *pair, unsigned int index)
{
	int pin = requested_pin(pair, index);

	pair->chip[index].poll = 0;
	if (pin == NO_PIN)
		return 0;
	acknowledge(pair, index, pin);
	update_cascade(pair);
	return 0x80 | pin;
}

u8 vitrine_i8259_read(struct vitrine_i8259 *pair, unsigned int index, unsigned int offset)
{
	struct kvm_pic_state *chip = &pair->chip[index];

	if (chip->poll)
		return poll_read(pair, index);
	if (offset)
		return chip->imr;
	return chip->read_reg_select ? chip->isr : chip->irr;
}

static void write_icw1(struct kvm_pic_state *chip, u8 value)
{
	chip->init_state = WAIT_ICW2;
	chip->init4 = value & 1;
	chip->last_irr = 0;
	chip->irr &= chip->elcr;
	chip->imr = 0;
	chip->isr = 0;
	chip->priority_add = 0;
	chip->special_mask = 0;
	chip->read_reg_select = 0;
	chip->poll = 0;
	if (!chip->init4) {
		chip->special_fully_nested_mode = 0;
		chip->auto_eoi = 0;
	}
}

static void write_ocw2(struct vitrine_i8259 *pair, unsigned int index, u8 value)
{
	struct kvm_pic_state *chip = &pair->chip[index];
	bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
	unsigned int pin = value & 7;

	if (!eoi) {
		if (!specific)
			chip->rotate_on_auto_eoi = rotate;
		else if (rotate)
			chip->priority_add = (pin + 1) & 7;
		return;
	}
	if (!specific) {
		u8 candidates = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
		unsigned int priority = highest_priority(chip, candidates);

		if (priority == 8)
			return;
		pin = pin_of(chip, priority);
	}
	end_pin(pair, index, pin);
	if (rotate)
		chip->priority_add = (pin + 1) & 7;
}

/* Not what the acknowledge cycle ended (AEOI), nor what never was in service (spurious). */
static void end_serviced(struct vitrine_i8259 *pair, unsigned int index, unsigned int pin)
{
	if (pair->chip[index].isr & 1u << pin)
		end_pin(pair, index, pin);
}

void vitrine_i8259_end(struct vitrine_i8259 *pair, u8 vector)
{
	u8 pin = vector & 7;

	if ((vector & 0xf8) == pair->chip[MASTER].irq_base) {
		end_serviced(pair, MASTER, pin);
	} else if ((vector & 0xf8) == pair->chip[SLAVE].irq_base) {
		end_serviced(pair, SLAVE, pin);
		end_serviced(pair, MASTER, CASCADE_PIN);
	}
	update_cascade(pair);
}

static void write_ocw3(struct kvm_pic_state *chip, u8 value)
{
	if (value & 0x04)
		chip->poll = 1;
	if (value & 0x02)
		chip->read_reg_select = value & 1;
	if (value & 0x40)
		chip->special_mask = value >> 5 & 1;
}

static void write_data(struct vitrine_i8259 *pair, unsigned int index, u8 value)
{
	struct kvm_pic_state *chip = &pair->chip[index];

	switch (chip->init_state) {
	case READY:
		pair->unmasked |= (chip->imr & ~value & 0xff) << (index * 8);
		chip->imr = value;
		break;
	case WAIT_ICW2:
		chip->irq_base = value & 0xf8;
		chip->init_state = WAIT_ICW3;
		break;
	case WAIT_ICW3:
		/* Which pins have slaves is wired here. */
		chip->init_state = chip->init4 ? WAIT_ICW4 : READY;
		break;
	case WAIT_ICW4:
		chip->special_fully_nested_mode = value >> 4 & 1;
		chip->auto_eoi = value >> 1 & 1;
		chip->init_state = READY;
		break;
	}
}

void vitrine_i8259_write(struct vitrine_i8259 *pair, unsigned int index, unsigned int offset,
			 u8 value)
{
	struct kvm_pic_state *chip = &pair->chip[index];

	if (offset) {
		write_data(pair, index, value);
	} else if (value & 0x10) {
		pair->unmasked |= chip->imr << (index * 8);
		write_icw1(chip, value);
	} else if (value & 0x08) {
		write_ocw3(chip, value);
	} else {
		write_ocw2(pair, index, value);
	}
	update_cascade(pair);
}

void vitrine_i8259_set_elcr(struct vitrine_i8259 *pair, unsigned int index, u8 value)
{
	pair->chip[index].elcr = value & elcr_masks[index];
	update_cascade(pair);
}

void vitrine_i8259_set_state(struct vitrine_i8259 *pair, unsigned int index,
			     const struct kvm_pic_state *state)
{
	pair->chip[index] = (struct kvm_pic_state){
		.last_irr = state->last_irr,
		.irr = state->irr,
		.imr = state->imr,
		.isr = state->isr,
		.priority_add = state->priority_add & 7,
		.irq_base = state->irq_base & 0xf8,
		.read_reg_select = !!state->read_reg_select,
		.poll = !!state->poll,
		.special_mask = !!state->special_mask,
		.init_state = state->init_state & 3,
		.auto_eoi = !!state->auto_eoi,
		.rotate_on_auto_eoi = !!state->rotate_on_auto_eoi,
		.special_fully_nested_mode = !!state->special_fully_nested_mode,
		.init4 = !!state->init4,
		.elcr = state->elcr & elcr_masks[index],
		.elcr_mask = elcr_masks[index],
	};
	update_cascade(pair);
}
