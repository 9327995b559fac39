// SPDX-License-Identifier: GPL-2.0
/* build: kmod/irq/i8259.c */
/*
 * The pair of interrupt controllers against the 8259A data sheet: initialization, priorities,
 * rotation, special modes, the cascade, poll, spurious interrupts; and by random operations
 * against rules that hold whatever was programmed.
 */
#include <string.h>

#include <linux/kernel.h>

#include "irq/i8259.h"
#include "tap.h"

#define MASTER		0
#define SLAVE		1
#define MASTER_BASE	0x20
#define SLAVE_BASE	0x28
#define EOI		0x20
#define ROUNDS		200000

#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			tap_diag("%s:%d: %s", __FILE__, __LINE__, #condition); \
			return false;					\
		}							\
	} while (0)

static void command(struct vitrine_i8259 *pair, unsigned int index, u8 value)
{
	vitrine_i8259_write(pair, index, 0, value);
}

static void mask(struct vitrine_i8259 *pair, unsigned int index, u8 value)
{
	vitrine_i8259_write(pair, index, 1, value);
}

static u8 in_service(struct vitrine_i8259 *pair, unsigned int index)
{
	command(pair, index, 0x0b);
	return vitrine_i8259_read(pair, index, 0);
}

static u8 requested(struct vitrine_i8259 *pair, unsigned int index)
{
	command(pair, index, 0x0a);
	return vitrine_i8259_read(pair, index, 0);
}

/* As firmware does it; @icw4 says which modes. */
static void initialize(struct vitrine_i8259 *pair, u8 icw4)
{
	static const u8 bases[] = { MASTER_BASE, SLAVE_BASE };
	static const u8 cascades[] = { 0x04, 0x02 };
	unsigned int i;

	vitrine_i8259_reset(pair);
	for (i = 0; i < 2; i++) {
		command(pair, i, 0x11);
		mask(pair, i, bases[i]);
		mask(pair, i, cascades[i]);
		mask(pair, i, icw4);
	}
}

static int pulse(struct vitrine_i8259 *pair, unsigned int pin)
{
	int ret = vitrine_i8259_set_line(pair, pin, true);

	vitrine_i8259_set_line(pair, pin, false);
	return ret;
}

static bool test_vectors(void)
{
	struct vitrine_i8259 pair;
	unsigned int pin;

	for (pin = 0; pin < VITRINE_I8259_PINS; pin++) {
		if (pin == 2)
			continue;
		initialize(&pair, 1);
		CHECK(!vitrine_i8259_output(&pair));
		CHECK(pulse(&pair, pin) == 1);
		CHECK(vitrine_i8259_output(&pair));
		CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + pin);
		CHECK(!vitrine_i8259_output(&pair));
		CHECK(in_service(&pair, pin / 8) == 1 << pin % 8);
		CHECK(in_service(&pair, MASTER) == (pin < 8 ? 1 << pin : 0x04));
		CHECK(requested(&pair, pin / 8) == 0);
	}
	return true;
}

static bool test_priority(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	pulse(&pair, 5);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 5);
	pulse(&pair, 6);
	CHECK(!vitrine_i8259_output(&pair));
	pulse(&pair, 9);
	CHECK(vitrine_i8259_output(&pair));
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 1);
	/* Above the cascade in the master, and above IR1 in the slave but behind the cascade. */
	pulse(&pair, 8);
	CHECK(!vitrine_i8259_output(&pair));
	pulse(&pair, 1);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 1);
	command(&pair, MASTER, EOI);
	CHECK(in_service(&pair, MASTER) == (0x04 | 0x20));
	command(&pair, SLAVE, EOI);
	command(&pair, MASTER, EOI);
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 0);
	return true;
}

static bool test_coalescing_and_masks(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	CHECK(pulse(&pair, 3) == 1);
	CHECK(pulse(&pair, 3) == 0);
	mask(&pair, MASTER, 0x08);
	CHECK(!vitrine_i8259_output(&pair));
	CHECK(pulse(&pair, 3) == -1);
	CHECK(vitrine_i8259_read(&pair, MASTER, 1) == 0x08);
	pair.unmasked = 0;
	mask(&pair, MASTER, 0);
	CHECK(pair.unmasked == 0x08);
	CHECK(vitrine_i8259_output(&pair));
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 3);
	CHECK(!vitrine_i8259_output(&pair));
	return true;
}

static bool test_spurious(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 7);
	CHECK(in_service(&pair, MASTER) == 0);
	return true;
}

static bool test_level(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	/* The timer, keyboard and cascade cannot be made level-triggered. */
	vitrine_i8259_set_elcr(&pair, MASTER, 0xff);
	vitrine_i8259_set_elcr(&pair, SLAVE, 0xff);
	CHECK(pair.chip[MASTER].elcr == 0xf8 && pair.chip[SLAVE].elcr == 0xde);

	vitrine_i8259_set_line(&pair, 11, true);
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 3);
	command(&pair, SLAVE, EOI);
	command(&pair, MASTER, EOI);
	/* Still asserted: it comes again until the device lets go. */
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 3);
	vitrine_i8259_set_line(&pair, 11, false);
	command(&pair, SLAVE, EOI);
	command(&pair, MASTER, EOI);
	CHECK(!vitrine_i8259_output(&pair));
	/* Gone before it was acknowledged. */
	vitrine_i8259_set_line(&pair, 5, true);
	vitrine_i8259_set_line(&pair, 5, false);
	CHECK(!vitrine_i8259_output(&pair));
	return true;
}

/* Ended for the guest: the pin of that vector, once, and nothing that is not in service. */
static bool test_end(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	pulse(&pair, 11);
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 3);
	pair.ended = 0;
	vitrine_i8259_end(&pair, SLAVE_BASE + 3);
	CHECK(!pair.chip[0].isr && !pair.chip[1].isr);
	CHECK(pair.ended == (1u << 11 | 1u << 2));
	pair.ended = 0;
	vitrine_i8259_end(&pair, SLAVE_BASE + 3);
	vitrine_i8259_end(&pair, 0xf0);
	CHECK(!pair.ended);
	return true;
}

static bool test_rotation(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	pulse(&pair, 4);
	vitrine_i8259_ack(&pair);
	command(&pair, MASTER, 0xa0);		/* rotate on non-specific EOI: IR4 is now lowest */
	CHECK(in_service(&pair, MASTER) == 0);
	pulse(&pair, 4);
	pulse(&pair, 3);
	pulse(&pair, 5);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 5);
	command(&pair, MASTER, EOI);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 3);
	command(&pair, MASTER, 0x60 | 3);	/* specific EOI */
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 4);
	command(&pair, MASTER, EOI);
	command(&pair, MASTER, 0xc0 | 7);	/* set priority: as after reset */
	pulse(&pair, 3);
	pulse(&pair, 1);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 1);
	return true;
}

static bool test_auto_eoi(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 3);
	pulse(&pair, 0);
	pair.ended = 0;
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE);
	CHECK(in_service(&pair, MASTER) == 0);
	CHECK(pair.ended == 1);
	command(&pair, MASTER, 0x80);		/* rotate in automatic EOI mode */
	pulse(&pair, 0);
	vitrine_i8259_ack(&pair);
	pulse(&pair, 0);
	pulse(&pair, 7);
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 7);
	return true;
}

static bool test_special_mask(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	pulse(&pair, 1);
	vitrine_i8259_ack(&pair);
	pulse(&pair, 6);
	CHECK(!vitrine_i8259_output(&pair));
	mask(&pair, MASTER, 0x02);
	CHECK(!vitrine_i8259_output(&pair));
	command(&pair, MASTER, 0x68);		/* set special mask mode */
	CHECK(vitrine_i8259_ack(&pair) == MASTER_BASE + 6);
	/* A masked interrupt in service is not what a non-specific EOI ends. */
	command(&pair, MASTER, EOI);
	CHECK(in_service(&pair, MASTER) == 0x02);
	command(&pair, MASTER, 0x48);		/* reset it */
	pulse(&pair, 6);
	CHECK(!vitrine_i8259_output(&pair));
	return true;
}

static bool test_special_fully_nested(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 0x11);
	pulse(&pair, 12);
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 4);
	pulse(&pair, 9);
	CHECK(vitrine_i8259_output(&pair));
	CHECK(vitrine_i8259_ack(&pair) == SLAVE_BASE + 1);
	return true;
}

static bool test_poll(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	command(&pair, MASTER, 0x0c);
	CHECK(vitrine_i8259_read(&pair, MASTER, 0) == 0);
	pulse(&pair, 6);
	command(&pair, MASTER, 0x0c);
	CHECK(vitrine_i8259_read(&pair, MASTER, 0) == (0x80 | 6));
	CHECK(in_service(&pair, MASTER) == 0x40);
	CHECK(!vitrine_i8259_output(&pair));
	return true;
}

static bool test_initialization(void)
{
	struct vitrine_i8259 pair;

	initialize(&pair, 1);
	mask(&pair, MASTER, 0xff);
	pulse(&pair, 1);
	command(&pair, MASTER, 0x68);
	/* ICW1 without ICW4: two more words and the chip is ready, unmasked, without requests. */
	command(&pair, MASTER, 0x10);
	mask(&pair, MASTER, 0x7f);
	mask(&pair, MASTER, 0x04);
	CHECK(vitrine_i8259_read(&pair, MASTER, 1) == 0);
	CHECK(requested(&pair, MASTER) == 0);
	pulse(&pair, 1);
	/* The three low bits of the base are the pin's. */
	CHECK(vitrine_i8259_ack(&pair) == 0x78 + 1);
	mask(&pair, MASTER, 0x5a);
	CHECK(vitrine_i8259_read(&pair, MASTER, 1) == 0x5a);
	return true;
}

static bool test_state(void)
{
	struct kvm_pic_state wild;
	struct vitrine_i8259 pair;

	memset(&wild, 0xff, sizeof(wild));
	initialize(&pair, 1);
	vitrine_i8259_set_state(&pair, SLAVE, &wild);
	CHECK(pair.chip[SLAVE].priority_add == 7);
	CHECK(pair.chip[SLAVE].irq_base == 0xf8);
	CHECK(pair.chip[SLAVE].elcr == 0xde && pair.chip[SLAVE].elcr_mask == 0xde);
	CHECK(pair.chip[SLAVE].init_state == 3);
	CHECK(pair.chip[SLAVE].auto_eoi == 1 && pair.chip[SLAVE].special_mask == 1);
	return true;
}

/*
 * Whatever is programmed: an acknowledged pin was requested and not masked; nothing is in service
 * twice over; an output that is high stays explained by a request.
 */
static bool test_random(void)
{
	struct vitrine_i8259 pair;
	unsigned int round;

	initialize(&pair, 1);
	for (round = 0; round < ROUNDS; round++) {
		u64 random = tap_random();
		unsigned int index = random & 1, pin = random >> 8 & 15;
		u8 value = random >> 16;

		switch (random >> 4 & 7) {
		case 0:
		case 1:
		case 2:
			if (pin != 2)
				vitrine_i8259_set_line(&pair, pin, random >> 32 & 1);
			break;
		case 3:
			/* Not ICW1: half-initialized chips are test_initialization()'s. */
			command(&pair, index, value & ~0x10);
			break;
		case 4:
			mask(&pair, index, value & (value >> 4));
			break;
		case 5:
			vitrine_i8259_set_elcr(&pair, index, value);
			break;
		case 6:
			vitrine_i8259_read(&pair, index, pin & 1);
			break;
		case 7: {
			u8 irr[2] = { pair.chip[0].irr, pair.chip[1].irr };
			u8 imr[2] = { pair.chip[0].imr, pair.chip[1].imr };
			bool output = vitrine_i8259_output(&pair);
			u8 vector = vitrine_i8259_ack(&pair);
			unsigned int chip = vector >= SLAVE_BASE;
			u8 bit = 1 << (vector & 7);

			CHECK(vector >= MASTER_BASE && vector < SLAVE_BASE + 8);
			if (!output) {
				CHECK(vector == MASTER_BASE + 7);
				break;
			}
			CHECK(irr[chip] & bit && !(imr[chip] & bit));
			CHECK(!chip || !(imr[MASTER] & 0x04));
			CHECK(pair.chip[chip].isr & bit);
			CHECK(pair.chip[chip].elcr & bit || !(pair.chip[chip].irr & bit));
			break;
		}
		}
		if (vitrine_i8259_output(&pair))
			CHECK(pair.chip[MASTER].irr & ~pair.chip[MASTER].imr);
	}
	return true;
}

static const struct tap_test tests[] = {
	{ "each pin has its vector", test_vectors },
	{ "priorities nest", test_priority },
	{ "requests coalesce, masks hold them", test_coalescing_and_masks },
	{ "spurious interrupt", test_spurious },
	{ "level-triggered pins", test_level },
	{ "ended for the guest", test_end },
	{ "rotation and specific EOI", test_rotation },
	{ "automatic EOI", test_auto_eoi },
	{ "special mask mode", test_special_mask },
	{ "special fully nested mode", test_special_fully_nested },
	{ "poll", test_poll },
	{ "initialization words", test_initialization },
	{ "impossible state is reduced", test_state },
	{ "random operations", test_random },
};

int main(void)
{
	return tap_main(tests, ARRAY_SIZE(tests));
}
