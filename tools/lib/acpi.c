// SPDX-License-Identifier: GPL-2.0
/*
 * The ACPI tables of a PC without a BIOS: enough for a guest to find its CPUs and its I/O
 * APIC, to switch itself off (_S5) and to reset. Pure: bytes in an array, no device behind
 * them; the ports they promise are listed in libvitrine.h.
 *
 * Interrupt routing is the KVM ABI's default: ISA interrupt n is I/O APIC pin n, the PIT's
 * included, so that the only override is the SCI's (level, as ACPI wants it).
 */
#include <string.h>

#include "internal.h"

#define SCI_IRQ			9
#define LOCAL_APIC_ENABLED	1
#define MADT_PCAT_COMPAT	1
#define MADT_LOCAL_APIC		0
#define MADT_IO_APIC		1
#define MADT_OVERRIDE		2
#define MADT_LOCAL_APIC_NMI	4
#define OVERRIDE_ACTIVE_HIGH_LEVEL 0x000d
#define FADT_WBINVD		(1U << 0)
#define FADT_PROC_C1		(1U << 2)
#define FADT_NO_POWER_BUTTON	(1U << 4)
#define FADT_NO_SLEEP_BUTTON	(1U << 5)
#define FADT_RESET_REGISTER	(1U << 10)
#define BOOT_ARCH_LEGACY_DEVICES (1U << 0)
#define BOOT_ARCH_NO_VGA	(1U << 2)
#define PM1_EVENT_LENGTH	4
#define PM1_CONTROL_LENGTH	2
#define ALL_PROCESSORS		0xff

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_address {
	uint8_t space;		/* 1: port */
	uint8_t bits;
	uint8_t offset;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_profile;
	uint16_t sci_irq;
	uint32_t smi_command;
	uint8_t enable, disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control;
	uint32_t pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	uint8_t gpe0_length, gpe1_length, gpe1_base, cstate;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
} __attribute__((packed));

struct acpi_facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));

/*
 * DefinitionBlock ("", "DSDT", 2, ...) { Name (_S5, Package () { 5, 5, 0, 0 }) }
 * as AML: NameOp "_S5_" PackageOp, length 8, 4 elements, BytePrefix 5, BytePrefix 5, Zero, Zero.
 */
static const uint8_t dsdt_aml[] = {
	0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04,
	0x0a, VITRINE_ACPI_S5_TYPE, 0x0a, VITRINE_ACPI_S5_TYPE, 0x00, 0x00,
};

/* Where the next table goes; @at stays within @size, or the build as a whole fails. */
struct builder {
	uint8_t *area;
	size_t size;
	size_t at;
	uint32_t gpa;
	bool overflow;
};

static uint8_t checksum(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	while (size--)
		sum += *byte++;
	return (uint8_t)-sum;
}

static uint32_t here(const struct builder *builder)
{
	return builder->gpa + (uint32_t)builder->at;
}

static void put(struct builder *builder, const void *bytes, size_t size)
{
	if (size > builder->size - builder->at) {
		builder->overflow = true;
		return;
	}
	memcpy(builder->area + builder->at, bytes, size);
	builder->at += size;
}

static void align(struct builder *builder, size_t alignment)
{
	static const uint8_t zeros[64];

	put(builder, zeros, -builder->at & (alignment - 1));
}

static struct acpi_header header(const char *signature, uint8_t revision)
{
	struct acpi_header header = {
		.revision = revision,
		.oem_id = "VITRIN",
		.oem_table_id = "VITRINE ",
		.oem_revision = 1,
		.creator_id = "VTRN",
		.creator_revision = 1,
	};

	memcpy(header.signature, signature, sizeof(header.signature));
	return header;
}

static void finish(struct builder *builder, size_t start)
{
	struct acpi_header *header = (struct acpi_header *)(builder->area + start);

	if (builder->overflow)
		return;
	header->length = (uint32_t)(builder->at - start);
	header->checksum = 0;
	header->checksum = checksum(header, header->length);
}

/* Starts a table with its header and returns its offset in the area. */
static size_t begin(struct builder *builder, const char *signature, uint8_t revision)
{
	struct acpi_header head = header(signature, revision);
	size_t start;

	align(builder, 16);
	start = builder->at;
	put(builder, &head, sizeof(head));
	return start;
}

static uint32_t put_facs(struct builder *builder)
{
	struct acpi_facs facs = { .signature = "FACS", .length = sizeof(facs), .version = 2 };
	uint32_t gpa;

	align(builder, 64);
	gpa = here(builder);
	put(builder, &facs, sizeof(facs));
	return gpa;
}

static uint32_t put_dsdt(struct builder *builder)
{
	size_t start = begin(builder, "DSDT", 2);

	put(builder, dsdt_aml, sizeof(dsdt_aml));
	finish(builder, start);
	return builder->gpa + (uint32_t)start;
}

static struct acpi_address port(uint16_t number, uint8_t bytes)
{
	return (struct acpi_address) {
		.space = 1,
		.bits = (uint8_t)(bytes * 8),
		.access = bytes == 4 ? 3 : bytes,
		.address = number,
	};
}

static uint32_t put_fadt(struct builder *builder, uint32_t facs, uint32_t dsdt)
{
	struct acpi_fadt fadt = {
		.header = header("FACP", 6),
		.facs = facs,
		.dsdt = dsdt,
		.sci_irq = SCI_IRQ,
		.pm1a_event = VITRINE_ACPI_PM1_EVENT,
		.pm1a_control = VITRINE_ACPI_PM1_CONTROL,
		.pm1_event_length = PM1_EVENT_LENGTH,
		.pm1_control_length = PM1_CONTROL_LENGTH,
		/* Beyond these latencies C2 and C3 are not supported. */
		.c2_latency = 101,
		.c3_latency = 1001,
		.century = 0x32,
		.boot_arch = BOOT_ARCH_LEGACY_DEVICES | BOOT_ARCH_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON |
			 FADT_NO_SLEEP_BUTTON | FADT_RESET_REGISTER,
		.reset_register = port(VITRINE_ACPI_RESET, 1),
		.reset_value = VITRINE_ACPI_RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_event = port(VITRINE_ACPI_PM1_EVENT, PM1_EVENT_LENGTH),
		.x_pm1a_control = port(VITRINE_ACPI_PM1_CONTROL, PM1_CONTROL_LENGTH),
	};
	/* Revision 6 adds two registers and a vendor name, all zero here. */
	static const uint8_t rest[276 - sizeof(fadt)];
	size_t start;

	align(builder, 16);
	start = builder->at;
	put(builder, &fadt, sizeof(fadt));
	put(builder, rest, sizeof(rest));
	finish(builder, start);
	return builder->gpa + (uint32_t)start;
}

static uint32_t put_madt(struct builder *builder, unsigned int nr_cpus)
{
	const uint32_t head[] = { LAPIC_GPA, MADT_PCAT_COMPAT };
	const struct {
		uint8_t type, length, id, reserved;
		uint32_t gpa, gsi_base;
	} __attribute__((packed)) io_apic = { MADT_IO_APIC, sizeof(io_apic), 0, 0, IOAPIC_GPA, 0 };
	const struct {
		uint8_t type, length, bus, source;
		uint32_t gsi;
		uint16_t flags;
	} __attribute__((packed)) sci = {
		MADT_OVERRIDE, sizeof(sci), 0, SCI_IRQ, SCI_IRQ, OVERRIDE_ACTIVE_HIGH_LEVEL
	};
	const struct {
		uint8_t type, length, processor;
		uint16_t flags;
		uint8_t lint;
	} __attribute__((packed)) nmi = { MADT_LOCAL_APIC_NMI, sizeof(nmi), ALL_PROCESSORS, 0, 1 };
	size_t start = begin(builder, "APIC", 4);
	unsigned int id;

	put(builder, head, sizeof(head));
	for (id = 0; id < nr_cpus; id++) {
		const struct {
			uint8_t type, length, processor, apic;
			uint32_t flags;
		} __attribute__((packed)) cpu = {
			MADT_LOCAL_APIC, sizeof(cpu), (uint8_t)id, (uint8_t)id, LOCAL_APIC_ENABLED
		};

		put(builder, &cpu, sizeof(cpu));
	}
	put(builder, &io_apic, sizeof(io_apic));
	put(builder, &sci, sizeof(sci));
	put(builder, &nmi, sizeof(nmi));
	finish(builder, start);
	return builder->gpa + (uint32_t)start;
}

/* The root tables point at what is already there; the RSDP's place was kept at the start. */
static void put_roots(struct builder *builder, uint32_t fadt, uint32_t madt)
{
	const uint32_t entries32[] = { fadt, madt };
	const uint64_t entries64[] = { fadt, madt };
	struct acpi_rsdp rsdp = {
		.oem_id = "VITRIN",
		.revision = 2,
		.length = sizeof(rsdp),
	};
	size_t rsdt, xsdt;

	rsdt = begin(builder, "RSDT", 1);
	put(builder, entries32, sizeof(entries32));
	finish(builder, rsdt);
	xsdt = begin(builder, "XSDT", 1);
	put(builder, entries64, sizeof(entries64));
	finish(builder, xsdt);

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	rsdp.rsdt = builder->gpa + (uint32_t)rsdt;
	rsdp.xsdt = builder->gpa + xsdt;
	/* The first sum covers the 20 bytes of ACPI 1.0, the second one everything. */
	rsdp.checksum = checksum(&rsdp, 20);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(builder->area, &rsdp, sizeof(rsdp));
}

/* Returns the bytes used, with the RSDP at offset 0, or 0 if @size is too small. */
size_t vitrine_acpi_build(uint8_t *area, size_t size, uint32_t gpa, unsigned int nr_cpus)
{
	struct builder builder = { .area = area, .size = size, .gpa = gpa };
	uint32_t facs, dsdt, fadt, madt;
	struct acpi_rsdp placeholder = { 0 };

	put(&builder, &placeholder, sizeof(placeholder));
	facs = put_facs(&builder);
	dsdt = put_dsdt(&builder);
	fadt = put_fadt(&builder, facs, dsdt);
	madt = put_madt(&builder, nr_cpus);
	if (!builder.overflow)
		put_roots(&builder, fadt, madt);
	return builder.overflow ? 0 : builder.at;
}
