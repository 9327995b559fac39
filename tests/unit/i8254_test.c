// SPDX-License-Identifier: GPL-2.0
/* build: kmod/irq/i8254.c */
/*
 * The counters of the interval timer against the 8254 data sheet: the count and the output of each
 * mode over time, byte order, latches, read back, BCD, the gate.
 */
#include <string.h>

#include <linux/kernel.h>

#include "irq/i8254.h"
#include "tap.h"

#define CONTROL		3
#define ROUNDS		100000
#define CENTURY_NS	(100ll * 365 * 86400 * 1000000000)
#define START_NS	CENTURY_NS

#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			tap_diag("%s:%d: %s", __FILE__, __LINE__, #condition); \
			return false;					\
		}							\
	} while (0)

static struct kvm_pit_channel_state channels[3];
static unsigned int affected;

/* The first nanosecond at which @clocks input clocks have passed. */
static s64 after(u64 clocks)
{
	return START_NS + (s64)((clocks * 1000000000ull + VITRINE_I8254_HZ - 1) / VITRINE_I8254_HZ);
}

static enum vitrine_i8254_effect write_at(unsigned int port, u8 value, s64 now_ns)
{
	return vitrine_i8254_write(channels, port, value, now_ns, &affected);
}

static void program(unsigned int channel, unsigned int mode, u16 count, bool bcd)
{
	vitrine_i8254_reset(channels, START_NS);
	write_at(CONTROL, channel << 6 | 0x30 | mode << 1 | bcd, START_NS);
	write_at(channel, count & 0xff, START_NS);
	write_at(channel, count >> 8, START_NS);
}

static u16 latched(unsigned int channel, s64 now_ns)
{
	u16 count;

	write_at(CONTROL, channel << 6, now_ns);
	count = vitrine_i8254_read(channels, channel, now_ns);
	return count | vitrine_i8254_read(channels, channel, now_ns) << 8;
}

static bool test_mode0(void)
{
	program(2, 0, 1000, false);
	CHECK(latched(2, after(0)) == 1000);
	CHECK(latched(2, after(1)) == 999);
	CHECK(!vitrine_i8254_output(&channels[2], after(999)));
	CHECK(vitrine_i8254_output(&channels[2], after(1000)));
	/* The output stays, the counter goes on from the top. */
	CHECK(latched(2, after(1001)) == 0xffff);
	CHECK(latched(2, after(1000 + 0x10000)) == 0);
	CHECK(vitrine_i8254_output(&channels[2], after(10000000)));
	CHECK(!vitrine_i8254_periodic(&channels[2]));
	return true;
}

static bool test_mode2(void)
{
	program(0, 2, 100, false);
	CHECK(vitrine_i8254_periodic(&channels[0]));
	CHECK(latched(0, after(0)) == 100);
	CHECK(latched(0, after(99)) == 1);
	CHECK(latched(0, after(100)) == 100);
	CHECK(vitrine_i8254_output(&channels[0], after(98)));
	CHECK(!vitrine_i8254_output(&channels[0], after(99)));
	CHECK(vitrine_i8254_output(&channels[0], after(100)));
	CHECK(!vitrine_i8254_output(&channels[0], after(100 * 12345 + 99)));
	return true;
}

static bool test_mode3(void)
{
	program(0, 3, 100, false);
	CHECK(latched(0, after(0)) == 100);
	CHECK(latched(0, after(10)) == 80);
	CHECK(latched(0, after(50)) == 100);
	CHECK(vitrine_i8254_output(&channels[0], after(49)));
	CHECK(!vitrine_i8254_output(&channels[0], after(50)));
	CHECK(vitrine_i8254_output(&channels[0], after(100)));
	/* An odd count is high for one clock longer. */
	program(0, 3, 5, false);
	CHECK(vitrine_i8254_output(&channels[0], after(2)));
	CHECK(!vitrine_i8254_output(&channels[0], after(3)));
	CHECK(vitrine_i8254_output(&channels[0], after(5)));
	return true;
}

static bool test_strobes(void)
{
	program(2, 4, 50, false);
	CHECK(vitrine_i8254_output(&channels[2], after(49)));
	CHECK(!vitrine_i8254_output(&channels[2], after(50)));
	CHECK(vitrine_i8254_output(&channels[2], after(51)));
	program(2, 1, 50, false);
	CHECK(!vitrine_i8254_output(&channels[2], after(49)));
	CHECK(vitrine_i8254_output(&channels[2], after(50)));
	return true;
}

static bool test_counts(void)
{
	program(0, 2, 0, false);
	CHECK(vitrine_i8254_clocks(&channels[0]) == 0x10000);
	CHECK(latched(0, after(0)) == 0);
	CHECK(latched(0, after(1)) == 0xffff);
	program(0, 2, 0, true);
	CHECK(vitrine_i8254_clocks(&channels[0]) == 10000);
	CHECK(latched(0, after(1)) == 0x9999);
	program(0, 2, 0x1234, true);
	CHECK(vitrine_i8254_clocks(&channels[0]) == 1234);
	CHECK(latched(0, after(34)) == 0x1200);
	/* Whole seconds of a clock that this count divides: products must not wrap. */
	program(0, 2, 1000, false);
	CHECK(latched(0, START_NS + CENTURY_NS) == 1000);
	CHECK(vitrine_i8254_clocks_to_ns(VITRINE_I8254_HZ) == 1000000000);
	CHECK(vitrine_i8254_clocks_to_ns(1) == 838);
	return true;
}

static bool test_bytes(void)
{
	vitrine_i8254_reset(channels, START_NS);
	CHECK(write_at(CONTROL, 0x34, START_NS) == VITRINE_I8254_STOPPED && affected == 0);
	CHECK(write_at(0, 0x34, START_NS) == VITRINE_I8254_NOTHING);
	CHECK(write_at(0, 0x12, START_NS) == VITRINE_I8254_LOADED && affected == 0);
	CHECK(channels[0].count == 0x1234);
	CHECK(vitrine_i8254_read(channels, 0, START_NS) == 0x34);
	CHECK(vitrine_i8254_read(channels, 0, START_NS) == 0x12);

	write_at(CONTROL, 0x94, START_NS);	/* channel 2, low byte only */
	CHECK(write_at(2, 0x56, START_NS) == VITRINE_I8254_LOADED && affected == 2);
	CHECK(channels[2].count == 0x56);
	CHECK(vitrine_i8254_read(channels, 2, START_NS) == 0x56);
	CHECK(vitrine_i8254_read(channels, 2, START_NS) == 0x56);

	write_at(CONTROL, 0xa4, START_NS);	/* high byte only */
	write_at(2, 0x56, START_NS);
	CHECK(channels[2].count == 0x5600);
	CHECK(vitrine_i8254_read(channels, 2, START_NS) == 0x56);
	return true;
}

static bool test_latches(void)
{
	program(0, 2, 1000, false);
	/* The first latch holds until it was read. */
	write_at(CONTROL, 0x00, after(10));
	write_at(CONTROL, 0x00, after(20));
	CHECK(vitrine_i8254_read(channels, 0, after(30)) == (990 & 0xff));
	CHECK(vitrine_i8254_read(channels, 0, after(40)) == 990 >> 8);
	CHECK(latched(0, after(50)) == 950);

	/* Read back of count and status: status comes first, then both bytes. */
	write_at(CONTROL, 0xc2, after(60));
	CHECK(vitrine_i8254_read(channels, 0, after(70)) == (0x80 | 0x30 | 2 << 1));
	CHECK(vitrine_i8254_read(channels, 0, after(70)) == (940 & 0xff));
	CHECK(vitrine_i8254_read(channels, 0, after(70)) == 940 >> 8);

	/* Status alone, of two channels, one of which is low. */
	write_at(CONTROL, 0xb0, START_NS);	/* channel 2, mode 0 */
	write_at(2, 0xff, START_NS);
	write_at(2, 0xff, START_NS);
	write_at(CONTROL, 0xea, after(80));
	CHECK(vitrine_i8254_read(channels, 2, after(80)) == 0x30);
	CHECK(vitrine_i8254_read(channels, 0, after(80)) == (0x80 | 0x30 | 2 << 1));
	/* Nothing is latched any more. */
	CHECK(vitrine_i8254_read(channels, 0, after(100)) == (900 & 0xff));
	return true;
}

static bool test_gate(void)
{
	program(2, 3, 1000, false);
	CHECK(!channels[2].gate);
	CHECK(vitrine_i8254_set_gate(&channels[2], true, after(300)));
	CHECK(latched(2, after(300)) == 1000);
	CHECK(!vitrine_i8254_set_gate(&channels[2], true, after(400)));
	CHECK(!vitrine_i8254_set_gate(&channels[2], false, after(400)));
	CHECK(latched(2, after(400)) == 800);
	program(2, 0, 1000, false);
	CHECK(!vitrine_i8254_set_gate(&channels[2], true, after(300)));
	CHECK(latched(2, after(300)) == 700);
	return true;
}

static bool test_state(void)
{
	struct kvm_pit_channel_state wild[3];
	unsigned int i, port;

	memset(wild, 0xff, sizeof(wild));
	vitrine_i8254_set_state(channels, wild, START_NS);
	for (i = 0; i < 3; i++) {
		CHECK(channels[i].mode == 3 && channels[i].bcd == 1 && channels[i].gate == 1);
		CHECK(vitrine_i8254_clocks(&channels[i]) >= 1);
		CHECK(vitrine_i8254_clocks(&channels[i]) <= 0x10000);
	}
	for (port = 0; port < 3; port++)
		for (i = 0; i < 8; i++)
			vitrine_i8254_read(channels, port, after(i));
	/* A load time in the future, as another host's clock may have it. */
	channels[0].count_load_time = INT64_MAX;
	CHECK(vitrine_i8254_output(&channels[0], START_NS));
	return true;
}

/* Whatever is written, a count is within its length and one clock is one step. */
static bool test_random(void)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		u64 random = tap_random();
		unsigned int mode = random & 7;
		u16 count = random >> 8;
		u32 clocks, elapsed;
		u16 first, second;

		program(2, mode, count, false);
		clocks = vitrine_i8254_clocks(&channels[2]);
		elapsed = (random >> 32) % (3 * clocks);
		first = latched(2, after(elapsed));
		second = latched(2, after(elapsed + 1));
		CHECK(clocks == (count ? count : 0x10000));
		if (channels[2].mode == 3) {
			CHECK(clocks == 0x10000 || (first >= 1 && first <= clocks));
		} else if (channels[2].mode == 2) {
			CHECK(clocks == 0x10000 || (first >= 1 && first <= clocks));
			CHECK(second == (u16)(first == 1 ? clocks : first - 1u));
		} else {
			CHECK(second == (u16)(first - 1));
		}
	}
	return true;
}

static const struct tap_test tests[] = {
	{ "mode 0 counts down once", test_mode0 },
	{ "mode 2 pulses", test_mode2 },
	{ "mode 3 is a square wave", test_mode3 },
	{ "modes 1 and 4", test_strobes },
	{ "longest counts and BCD", test_counts },
	{ "bytes of a count", test_bytes },
	{ "latches and read back", test_latches },
	{ "the gate", test_gate },
	{ "impossible state is reduced", test_state },
	{ "random counts", test_random },
};

int main(void)
{
	return tap_main(tests, ARRAY_SIZE(tests));
}
