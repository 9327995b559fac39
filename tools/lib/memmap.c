// SPDX-License-Identifier: GPL-2.0
/*
 * The memory map that guests are told about, in the form of the PC's E820 call. Pure. Types:
 * 1 RAM, 2 reserved; PVH and multiboot use the same numbers.
 */
#include "internal.h"

#define E820_RAM	1
#define E820_RESERVED	2

unsigned int vitrine_memmap_fill(uint64_t ram_size, struct boot_e820_entry *entries,
				 unsigned int max)
{
	uint64_t low_end = ram_size < PCI_HOLE_START ? ram_size : PCI_HOLE_START;
	const struct boot_e820_entry map[] = {
		{ 0, LOW_RAM_END, E820_RAM },
		{ LOW_RAM_END, 0xa0000 - LOW_RAM_END, E820_RESERVED },
		{ ACPI_GPA, HIGH_RAM_START - ACPI_GPA, E820_RESERVED },
		{ HIGH_RAM_START, low_end - HIGH_RAM_START, E820_RAM },
		{ IDENTITY_MAP_GPA, PCI_HOLE_END - IDENTITY_MAP_GPA, E820_RESERVED },
		{ PCI_HOLE_END, ram_size - low_end, E820_RAM },
	};
	unsigned int i, count = 0;

	for (i = 0; i < ARRAY_SIZE(map) && count < max; i++)
		if (map[i].size)
			entries[count++] = map[i];
	return count;
}
