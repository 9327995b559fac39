// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's trace events of the system "vitrine", as any tool finds them in tracefs: what they
 * say of each thing that a guest does, in an instance of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/apic.h"
#include "lib/doorbell.h"
#include "lib/host.h"
#include "lib/irq.h"
#include "lib/vm.h"

#define INSTANCE	"/sys/kernel/tracing/instances/vitrine_test"
#define EVENTS		INSTANCE "/events/vitrine"
#define VECTOR		0x61
#define HOLE_GPA	0xd0000000u
#define TEXT_BYTES	(256 * 1024)

static const char *const names[] = {
	"vitrine_entry", "vitrine_exit", "vitrine_inject", "vitrine_io", "vitrine_mmio",
	"vitrine_msr", "vitrine_cr", "vitrine_fault", "vitrine_table_change", "vitrine_halt",
	"vitrine_ipi",
};

FIXTURE(trace) {
	char *text;
};

FIXTURE_SETUP(trace)
{
	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has events of its own");
	self->text = malloc(TEXT_BYTES);
	rmdir(INSTANCE);
	if (mkdir(INSTANCE, 0700))
		test_die(INSTANCE);
	if (host_write(EVENTS "/enable", "1"))
		test_die("enabling the events");
}

FIXTURE_TEARDOWN(trace)
{
	free(self->text);
	if (!access(INSTANCE, F_OK) && rmdir(INSTANCE))
		test_die("removing the instance");
}

static char *read_text(const char *path, char *text)
{
	size_t have = 0;
	ssize_t more;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		test_die("%s", path);
	while (have < TEXT_BYTES - 1 && (more = read(fd, text + have, TEXT_BYTES - 1 - have)) > 0)
		have += more;
	text[have] = 0;
	close(fd);
	return text;
}

/* Everything traced since the last time. */
static char *trace_take(char *text)
{
	read_text(INSTANCE "/trace", text);
	if (host_write(INSTANCE "/trace", ""))
		test_die("emptying the trace");
	/* Opening it to be written empties it only if it is truncated. */
	close(open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	return text;
}

GUEST_CODE(guest_registers,
	   "xor %eax, %eax\ncpuid\n"
	   "mov $0x1234, %eax\nmov $0x10, %edx\nmov $0xc0000081, %ecx\n"	/* STAR: no exit */
	   "mov $0x277, %ecx\nrdmsr\nwrmsr\n"					/* PAT */
	   "mov $0xdead, %ecx\nrdmsr\n");

/* Each event is there and has a format that names its fields. */
TEST_F(trace, formats)
{
	char path[256];

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), EVENTS "/%s/format", names[i]);
		EXPECT_NE(NULL, strstr(read_text(path, self->text), "field:u64 vm;"));
	}
	/* Tools print what the format says: numbers, with the SDM's names. */
	EXPECT_NE(NULL, strstr(read_text(EVENTS "/vitrine_exit/format", self->text),
			       "{ 10, \"CPUID\" }"));
	EXPECT_NE(NULL, strstr(read_text(EVENTS "/vitrine_table_change/format", self->text),
			       "{ 1, \"write-protect\" }"));
}

TEST_F(trace, registers)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 5);
	struct test_exception exception;
	char *text = self->text, line[160];

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_registers));
	test_vcpu_run_to_exception(vcpu, &exception);
	EXPECT_EQ(13, exception.vector);
	trace_take(text);
	snprintf(line, sizeof(line), "vcpu=5 reason=CPUID rip=0x%x qualification=0x0",
		 TEST_CODE_GPA + 2);
	EXPECT_NE(NULL, strstr(text, line));
	snprintf(line, sizeof(line), "vcpu=5 rip=0x%x\n", TEST_CODE_GPA + 4);
	EXPECT_NE(NULL, strstr(text, line));
	EXPECT_NE(NULL, strstr(text, "reason=MSR_READ"));
	EXPECT_NE(NULL, strstr(text, "vcpu=5 read msr=0xdead data=0x0 error=-2"));
	EXPECT_NE(NULL, strstr(text, "vcpu=5 exception vector=0xd error_code=0x0\n"));
	EXPECT_NE(NULL, strstr(text, "reason=EPT_VIOLATION"));
	EXPECT_NE(NULL, strstr(text, " result=mapped"));
	EXPECT_NE(NULL, strstr(text, "map gfn=0x"));

	test_vcpu_free(vcpu);
	test_vm_free(vm);
	EXPECT_NE(NULL, strstr(trace_take(text), "zap gfn=0x0"));

	/* What is not enabled says nothing. */
	ASSERT_EQ(0, host_write(EVENTS "/enable", "0"));
	vm = test_vm_create();
	vcpu = test_vcpu_create(vm, 5);
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_registers));
	test_vcpu_run_to_exception(vcpu, &exception);
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	EXPECT_EQ(NULL, strstr(trace_take(text), "vitrine_"));
}

/* CR3 is the guest's own; CR0 exits where a bit of the host's changes, CR8 without an APIC. */
GUEST_CODE(guest_crs,
	   "mov $5, %eax\nmov %rax, %cr8\nmov %cr8, %rbx\n"
	   "mov %cr0, %rax\nor $0x40000000, %eax\nmov %rax, %cr0\n" GUEST_SYNC);

TEST_F(trace, control_registers)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	char *text = self->text;

	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_crs));
	test_vcpu_run_to_sync(vcpu);
	trace_take(text);
	EXPECT_NE(NULL, strstr(text, "reason=CR_ACCESS"));
	EXPECT_NE(NULL, strstr(text, "write cr8 value=0x5\n"));
	EXPECT_NE(NULL, strstr(text, "read cr8 value=0x5\n"));
	EXPECT_NE(NULL, strstr(text, "write cr0 value=0xc"));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_F(trace, devices)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	char *text = self->text;

	test_doorbell_start(vcpu);
	trace_take(text);
	EXPECT_FALSE(test_doorbell_out(vcpu, 0x510, 2, 0xabcd1234));
	EXPECT_FALSE(test_doorbell_in(vcpu, 0x511, 0x77));
	EXPECT_FALSE(test_doorbell_store(vcpu, HOLE_GPA, 4, 0x11223344));
	EXPECT_FALSE(test_doorbell_load(vcpu, HOLE_GPA + 4, 0x55667788));
	trace_take(text);
	EXPECT_NE(NULL, strstr(text, "out port=0x510 size=2 count=1 value=0x1234\n"));
	EXPECT_NE(NULL, strstr(text, "in port=0x511 size=1 count=1 value=0x77\n"));
	EXPECT_NE(NULL, strstr(text, "write gpa=0xd0000000 len=4 value=0x11223344\n"));
	EXPECT_NE(NULL, strstr(text, "read gpa=0xd0000004 len=4 value=0x55667788\n"));
	EXPECT_NE(NULL, strstr(text, " result=no memory"));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

TEST_F(trace, interrupts)
{
	struct test_vm *vm = test_vm_create_irqchip();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	char *text = self->text;

	apic_set_cpuid(vcpu);
	test_irq_start(vcpu, 0, TEST_EOI_X2APIC);
	apic_enable_x2(vcpu);
	apic_set_x2(vcpu, APIC_TDCR, DIVIDE_BY_1);
	apic_set_x2(vcpu, APIC_LVTT, VECTOR);
	apic_set_x2(vcpu, APIC_ICR, ICR_SELF | ICR_ASSERT | (VECTOR + 1));
	apic_set_x2(vcpu, APIC_TMICT, 3000000);
	test_irq_halt(vcpu);
	test_irq_halt(vcpu);
	EXPECT_EQ(2, test_irq_count(vcpu));
	trace_take(text);
	EXPECT_NE(NULL, strstr(text, "source=0 dest=0x0 (self) fixed vector=0x62\n"));
	EXPECT_NE(NULL, strstr(text, "vcpu=0 interrupt vector=0x61 error_code=0x0 (none)\n"));
	EXPECT_NE(NULL, strstr(text, "vcpu=0 write msr=0x830 data=0x44062 error=0\n"));
	EXPECT_NE(NULL, strstr(text, "reason=HLT"));
	EXPECT_NE(NULL, strstr(text, "ended by work\n"));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
}

/* What ftrace makes of the fields: filters and histograms. */
TEST_F(trace, filter_and_histogram)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	struct test_exception exception;
	char *text = self->text;

	EXPECT_EQ(-EINVAL, host_write(EVENTS "/vitrine_exit/filter", "nonsense == 1"));
	ASSERT_EQ(0, host_write(EVENTS "/vitrine_exit/filter", "reason == 31 && vcpu == 0"));
	ASSERT_EQ(0, host_write(EVENTS "/vitrine_exit/trigger", "hist:keys=reason"));
	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_registers));
	test_vcpu_run_to_exception(vcpu, &exception);
	trace_take(text);
	EXPECT_NE(NULL, strstr(text, "reason=MSR_READ"));
	EXPECT_EQ(NULL, strstr(text, "reason=CPUID"));
	EXPECT_NE(NULL, strstr(read_text(EVENTS "/vitrine_exit/hist", text), "reason:         31"));
	test_vcpu_free(vcpu);
	test_vm_free(vm);
	ASSERT_EQ(0, host_write(EVENTS "/vitrine_exit/trigger", "!hist:keys=reason"));
}

/* Gone, and back, while somebody watches. */
TEST_F(trace, module_goes)
{
	struct test_vm *vm = test_vm_create();

	EXPECT_EQ(-EAGAIN, host_module_unload());
	test_vm_free(vm);
	EXPECT_EQ(0, host_module_unload());
	EXPECT_NE(0, access(EVENTS, F_OK));
	EXPECT_EQ(0, system("insmod /lab/module.ko preemption_timer_us=1000"));
	EXPECT_EQ(0, access(EVENTS "/vitrine_exit/format", F_OK));
}

TEST_HARNESS_MAIN
