// SPDX-License-Identifier: GPL-2.0
/* build: tools/lib/acpi.c tools/lib/memmap.c */
/*
 * The ACPI tables as a guest's kernel reads them: found from the root pointer, with sums and
 * lengths that hold, the CPUs asked for, and ports that are those of libvitrine.h. And the
 * memory map: no overlap, no gap where RAM should be.
 */
#include <string.h>

#include "../../tools/lib/internal.h"
#include "tap.h"

#define GPA 0xe0000

static uint8_t area[0x10000];

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

static uint64_t get(const uint8_t *table, size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, table + offset, size);
	return value;
}

/* The table at a guest-physical address, if its signature, length and sum are right. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *table;
	uint64_t length;

	if (gpa < GPA || gpa >= GPA + sizeof(area) - 36)
		return NULL;
	table = area + (gpa - GPA);
	length = get(table, 4, 4);
	if (memcmp(table, signature, 4) || length < 36 || length > GPA + sizeof(area) - gpa ||
	    sum(table, length)) {
		tap_diag("%s at 0x%llx is not sound", signature, (unsigned long long)gpa);
		return NULL;
	}
	return table;
}

/* Looks a table up through RSDT or XSDT. */
static const uint8_t *find(const char *signature, bool wide)
{
	size_t step = wide ? 8 : 4, at;
	const uint8_t *root;
	uint64_t gpa;

	root = table_at(get(area, wide ? 24 : 16, step), wide ? "XSDT" : "RSDT");
	if (!root)
		return NULL;
	for (at = 36; at + step <= get(root, 4, 4); at += step) {
		gpa = get(root, at, step);
		if (gpa >= GPA && gpa < GPA + sizeof(area) &&
		    !memcmp(area + (gpa - GPA), signature, 4))
			return table_at(gpa, signature);
	}
	return NULL;
}

static bool test_roots(void)
{
	size_t used = vitrine_acpi_build(area, sizeof(area), GPA, 1);

	return used && used < 4096 && !memcmp(area, "RSD PTR ", 8) && !sum(area, 20) &&
	       !sum(area, 36) && get(area, 20, 4) == 36 && area[15] == 2 &&
	       find("FACP", false) && find("FACP", false) == find("FACP", true) &&
	       find("APIC", false) && find("APIC", false) == find("APIC", true) &&
	       !find("MCFG", true);
}

static bool test_fadt(void)
{
	const uint8_t *fadt, *dsdt;

	vitrine_acpi_build(area, sizeof(area), GPA, 1);
	fadt = find("FACP", true);
	if (!fadt || get(fadt, 4, 4) != 276)
		return false;
	/* Offsets are those of "Fixed ACPI Description Table" in the ACPI specification. */
	if (get(fadt, 56, 4) != VITRINE_ACPI_PM1_EVENT ||
	    get(fadt, 64, 4) != VITRINE_ACPI_PM1_CONTROL || fadt[88] != 4 || fadt[89] != 2 ||
	    !(get(fadt, 112, 4) & 1 << 10) || get(fadt, 116, 1) != 1 ||
	    get(fadt, 120, 8) != VITRINE_ACPI_RESET || fadt[128] != VITRINE_ACPI_RESET_VALUE ||
	    get(fadt, 48, 4) != 0) {
		tap_diag("a field of the FADT is not what it should be");
		return false;
	}
	if (memcmp(area + (get(fadt, 36, 4) - GPA), "FACS", 4) || get(fadt, 36, 4) % 64)
		return false;
	dsdt = table_at(get(fadt, 40, 4), "DSDT");
	/* Name (_S5_, Package of 4) with the sleep type first */
	return dsdt && get(fadt, 140, 8) == get(fadt, 40, 4) && !memcmp(dsdt + 37, "_S5_", 4) &&
	       dsdt[41] == 0x12 && dsdt[43] == 4 && dsdt[44] == 0x0a &&
	       dsdt[45] == VITRINE_ACPI_S5_TYPE &&
	       36u + 6 + dsdt[42] == get(dsdt, 4, 4);
}

static bool test_madt(unsigned int nr_cpus)
{
	unsigned int cpus = 0, io_apics = 0, overrides = 0;
	const uint8_t *madt;
	size_t at;

	if (!vitrine_acpi_build(area, sizeof(area), GPA, nr_cpus))
		return false;
	madt = find("APIC", true);
	if (!madt || get(madt, 36, 4) != LAPIC_GPA)
		return false;
	for (at = 44; at < get(madt, 4, 4); at += madt[at + 1]) {
		if (!madt[at + 1])
			return false;
		if (madt[at] == 0)
			cpus += madt[at + 3] == cpus && madt[at + 4] == 1;
		io_apics += madt[at] == 1 && get(madt, at + 4, 4) == IOAPIC_GPA;
		overrides += madt[at] == 2;
	}
	if (cpus == nr_cpus && io_apics == 1 && overrides == 1 && at == get(madt, 4, 4))
		return true;
	tap_diag("%u CPUs: found %u, %u I/O APICs, %u overrides", nr_cpus, cpus, io_apics,
		 overrides);
	return false;
}

static bool test_cpus(void)
{
	return test_madt(1) && test_madt(2) && test_madt(VM_CPUS_MAX);
}

static bool test_too_small(void)
{
	size_t need = vitrine_acpi_build(area, sizeof(area), GPA, 4), size;
	uint8_t *small;

	for (size = 0; size < need; size += 7) {
		small = malloc(size ? size : 1);
		if (vitrine_acpi_build(small, size, GPA, 4)) {
			tap_diag("%zu bytes were enough for %zu", size, need);
			return false;
		}
		free(small);
	}
	return true;
}

static uint64_t ram_in(uint64_t ram_size)
{
	struct boot_e820_entry map[16];
	uint64_t total = 0, last = 0;
	unsigned int i, count;

	count = vitrine_memmap_fill(ram_size, map, 16);
	for (i = 0; i < count; i++) {
		if (map[i].addr < last || !map[i].size)
			return 0;
		last = map[i].addr + map[i].size;
		if (map[i].type == 1)
			total += map[i].size;
	}
	return total;
}

static bool test_memory_map(void)
{
	/* What a PC's first MiB keeps for itself. */
	uint64_t hidden = HIGH_RAM_START - LOW_RAM_END;

	return ram_in(MIB) == LOW_RAM_END && ram_in(256 * MIB) == 256 * MIB - hidden &&
	       ram_in(3 * GIB) == 3 * GIB - hidden && ram_in(5 * GIB) == 5 * GIB - hidden &&
	       ram_in(512 * GIB) == 512 * GIB - hidden;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "the roots lead to every table, and sums hold", test_roots },
		{ "the FADT promises the ports of libvitrine.h, and \\_S5", test_fadt },
		{ "the MADT lists every CPU once", test_cpus },
		{ "an area that is too small is refused, not overrun", test_too_small },
		{ "the memory map covers the RAM", test_memory_map },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
