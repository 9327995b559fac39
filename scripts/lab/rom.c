// SPDX-License-Identifier: GPL-2.0
/*
 * The lab's boot loader, second half (32-bit, flat, no libc): copies from the disk what its table
 * says, adds the BIOS's memory map to the boot parameters and builds identity page tables. It has
 * no writable data of its own: it runs from ROM.
 */
#include "disk.h"
#include "frame.h"
#include "port.h"

#define BOOT_E820_COUNT	0x1e8	/* in struct boot_params: "The Linux/x86 Boot Protocol" */
#define BOOT_E820_TABLE	0x2d0
#define E820_BYTES	20
#define E820_MAX	128

#define ATA_DATA	0x1f0
#define ATA_COUNT	0x1f2
#define ATA_LBA		0x1f3
#define ATA_DEVICE	0x1f6
#define ATA_COMMAND	0x1f7
#define ATA_STATUS	0x1f7
#define ATA_READ_EXT	0x24
#define ATA_BUSY	0x80
#define ATA_DRQ		0x08
#define ATA_ERR		0x01
#define ATA_MAX_SECTORS	0x8000U

static void frame(unsigned char type, const void *data, unsigned int bytes)
{
	out8(FRAME_PORT, FRAME_START);
	out8(FRAME_PORT, type);
	out8(FRAME_PORT, bytes);
	out8(FRAME_PORT, bytes >> 8);
	out_bytes(FRAME_PORT, data, bytes);
}

static void frame_tsc(unsigned char type)
{
	unsigned long long tsc = read_tsc();

	frame(type, &tsc, sizeof(tsc));
}

static void __attribute__((noreturn)) fail(const char *why)
{
	static const char word[] = POWEROFF_WORD;
	unsigned int i;

	for (i = 0; why[i]; i++)
		;
	frame(FRAME_FAIL, why, i);
	for (i = 0; i < sizeof(word) - 1; i++)
		out8(POWEROFF_PORT, word[i]);
	for (;;)
		asm volatile("cli; hlt");
}

static int ata_wait(void)
{
	unsigned char status;

	do
		status = in8(ATA_STATUS);
	while (status & ATA_BUSY);
	return (status & (ATA_DRQ | ATA_ERR)) == ATA_DRQ ? 0 : -1;
}

static int ata_read(void *to, unsigned int lba, unsigned int sectors)
{
	int i;

	while (sectors) {
		unsigned int count = sectors < ATA_MAX_SECTORS ? sectors : ATA_MAX_SECTORS;
		unsigned int n;

		out8(ATA_DEVICE, 0x40);
		out8(ATA_COUNT, count >> 8);
		for (i = 0; i < 3; i++)
			out8(ATA_LBA + i, i ? 0 : lba >> 24);
		out8(ATA_COUNT, count);
		for (i = 0; i < 3; i++)
			out8(ATA_LBA + i, lba >> (8 * i));
		out8(ATA_COMMAND, ATA_READ_EXT);
		for (n = 0; n < count; n++) {
			unsigned long dwords = SECTOR_BYTES / 4;

			if (ata_wait())
				return -1;
			asm volatile("rep insl" : "+D"(to), "+c"(dwords) : "d"(ATA_DATA)
				     : "memory");
		}
		lba += count;
		sectors -= count;
	}
	return 0;
}

/* The boot protocol wants the kernel, boot_params and command line mapped: the first 4 GiB are. */
static void map_identity(void)
{
	unsigned long long *pml4 = (void *)ADDR_PAGE_TABLES;
	unsigned long long *pdpt = pml4 + 512, *pd = pdpt + 512;
	unsigned int i;

	for (i = 0; i < 512; i++) {
		pml4[i] = 0;
		pdpt[i] = 0;
	}
	pml4[0] = (unsigned int)pdpt | 3;
	for (i = 0; i < 4; i++)
		pdpt[i] = (unsigned int)(pd + 512 * i) | 3;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = ((unsigned long long)i << 21) | 0x83;
}

unsigned int rom_load(void)
{
	const struct disk_table *table = (void *)ADDR_TABLE;
	unsigned char *params = (void *)ADDR_BOOT_PARAMS;
	const unsigned int *e820 = (void *)ADDR_E820;
	const unsigned char *ranges = (void *)(e820 + 1);
	unsigned int i, count;

	frame_tsc(FRAME_ROM);
	if (ata_read((void *)ADDR_TABLE, 0, 1) || table->magic != DISK_MAGIC)
		fail("loader: the disk is not the lab's");
	for (i = 0; i < table->parts; i++) {
		const struct disk_part *part = &table->part[i];

		if (ata_read((void *)part->addr, part->lba, part->sectors))
			fail("loader: disk read error");
	}
	count = *e820 < E820_MAX ? *e820 : E820_MAX;
	if (!count)
		fail("loader: the BIOS gave no memory map");
	params[BOOT_E820_COUNT] = count;
	for (i = 0; i < count * E820_BYTES; i++)
		params[BOOT_E820_TABLE + i] = ranges[i];
	map_identity();
	frame_tsc(FRAME_KERNEL);
	return table->entry;
}
