// SPDX-License-Identifier: GPL-2.0
/*
 * The VM's clock: KVM_GET_CLOCK and KVM_SET_CLOCK, and kvmclock's pages in guest memory.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "kselftest_harness.h"
#include "lib/irq.h"

#define MSR_WALL_CLOCK		0x11
#define MSR_SYSTEM_TIME		0x12
#define MSR_WALL_CLOCK_NEW	0x4b564d00
#define MSR_SYSTEM_TIME_NEW	0x4b564d01
#define ENABLED			1ull
#define FLAG_STABLE		1
#define FLAG_STOPPED		2
#define PAGE_GPA		(TEST_DATA_GPA + 0x1000u)
#define SECOND_NS		1000000000ull
#define HOUR_NS			(3600 * SECOND_NS)
#define ALL_FLAGS		(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)
/* A slot of its own, to be taken away under the page. */
#define SLOT_GPA		0x40000000ull
#define SLOT_BYTES		0x2000ull

struct clock_page {
	uint32_t version;
	uint32_t pad0;
	uint64_t tsc;
	uint64_t ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad[2];
};

struct wall_page {
	uint32_t version;
	uint32_t sec;
	uint32_t nsec;
};

FIXTURE(kvmclock) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct clock_page *page;
};

FIXTURE_SETUP(kvmclock)
{
	self->vm = test_vm_create_irqchip();
	self->vcpu = test_vcpu_create(self->vm, 0);
	test_vcpu_set_supported_cpuid(self->vcpu);
	test_irq_start(self->vcpu, 0, TEST_EOI_NONE);
	self->page = test_vm_hva(self->vm, PAGE_GPA);
}

FIXTURE_TEARDOWN(kvmclock)
{
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
}

static uint64_t clock_ns(struct test_vm *vm, uint32_t *flags)
{
	struct kvm_clock_data data;

	memset(&data, 0xff, sizeof(data));
	if (ioctl(vm->fd, KVM_GET_CLOCK, &data))
		test_die("KVM_GET_CLOCK");
	if (flags)
		*flags = data.flags;
	return data.clock;
}

static void set_clock(struct test_vm *vm, uint64_t ns)
{
	struct kvm_clock_data data = { .clock = ns };

	if (ioctl(vm->fd, KVM_SET_CLOCK, &data))
		test_die("KVM_SET_CLOCK");
}

/* What a guest makes of its TSC. */
static uint64_t page_ns(const struct clock_page *page, uint64_t tsc)
{
	uint64_t ticks = tsc - page->tsc;

	ticks = page->shift < 0 ? ticks >> -page->shift : ticks << page->shift;
	/* The product's high part and low part, as 32 bits go. */
	return page->ns + (ticks >> 32) * page->mul + ((ticks & 0xffffffff) * page->mul >> 32);
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* The guest's time, between two looks at the VM's. */
#define EXPECT_RIGHT_TIME() do {						\
	uint64_t before_ = clock_ns(self->vm, NULL);				\
	uint64_t guest_ = page_ns(self->page, test_irq_rdtsc(self->vcpu));	\
										\
	EXPECT_LE(before_, guest_);						\
	EXPECT_GE(clock_ns(self->vm, NULL), guest_);				\
	EXPECT_EQ(0, self->page->version & 1);					\
	EXPECT_NE(0, self->page->version);					\
} while (0)

TEST_F(kvmclock, capabilities)
{
	int fds[] = { self->vm->dev_fd, self->vm->fd };

	for (unsigned int i = 0; i < 2; i++) {
		EXPECT_EQ(ALL_FLAGS, test_check_extension(fds[i], KVM_CAP_ADJUST_CLOCK));
		EXPECT_EQ(1, test_check_extension(fds[i], KVM_CAP_KVMCLOCK_CTRL));
	}
}

TEST_F(kvmclock, get_and_set)
{
	struct kvm_clock_data data;
	uint64_t first = clock_ns(self->vm, NULL);
	uint64_t wall_before, wall_after;

	/* From 0 at the creation of the VM. */
	EXPECT_GT(60 * SECOND_NS, first);
	EXPECT_LT(first, clock_ns(self->vm, NULL));

	set_clock(self->vm, HOUR_NS);
	EXPECT_LE(HOUR_NS, clock_ns(self->vm, NULL));
	EXPECT_GT(HOUR_NS + 60 * SECOND_NS, clock_ns(self->vm, NULL));

	wall_before = realtime_ns();
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_GET_CLOCK, &data));
	wall_after = realtime_ns();
	EXPECT_EQ(0, data.flags & ~ALL_FLAGS);
	if (data.flags & KVM_CLOCK_REALTIME) {
		EXPECT_LE(wall_before, data.realtime);
		EXPECT_GE(wall_after, data.realtime);
		EXPECT_NE(0, data.host_tsc);
	}
	/* What was read can be written. */
	EXPECT_EQ(0, ioctl(self->vm->fd, KVM_SET_CLOCK, &data));
	EXPECT_LE(HOUR_NS, clock_ns(self->vm, NULL));
}

/* A VM that was saved an hour ago is an hour older now; a host whose clock is behind is not. */
TEST_F(kvmclock, set_with_realtime)
{
	struct kvm_clock_data data = { .clock = 5 * SECOND_NS, .flags = KVM_CLOCK_REALTIME };

	data.realtime = realtime_ns() - HOUR_NS;
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_SET_CLOCK, &data));
	EXPECT_LE(HOUR_NS + 5 * SECOND_NS, clock_ns(self->vm, NULL));
	EXPECT_GT(HOUR_NS + 65 * SECOND_NS, clock_ns(self->vm, NULL));

	data.realtime = realtime_ns() + HOUR_NS;
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_SET_CLOCK, &data));
	EXPECT_LE(5 * SECOND_NS, clock_ns(self->vm, NULL));
	EXPECT_GT(65 * SECOND_NS, clock_ns(self->vm, NULL));
}

TEST_F(kvmclock, bad_arguments)
{
	struct kvm_clock_data data = { .clock = HOUR_NS, .flags = 1 };

	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_SET_CLOCK, &data));
	EXPECT_EQ(EINVAL, errno);
	data.flags = 16;
	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_SET_CLOCK, &data));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_GT(HOUR_NS, clock_ns(self->vm, NULL));
	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_SET_CLOCK, (void *)1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vm->fd, KVM_GET_CLOCK, (void *)1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->vcpu->fd, KVM_KVMCLOCK_CTRL, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(kvmclock, guest_reads_the_time)
{
	uint64_t value;
	uint32_t flags;

	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, PAGE_GPA | ENABLED);
	EXPECT_EQ(PAGE_GPA | ENABLED, test_irq_msr(self->vcpu, MSR_SYSTEM_TIME_NEW));
	ASSERT_EQ(1, test_vcpu_get_msr(self->vcpu, MSR_SYSTEM_TIME, &value));
	EXPECT_EQ(PAGE_GPA | ENABLED, value);
	EXPECT_RIGHT_TIME();

	clock_ns(self->vm, &flags);
	EXPECT_EQ(!!(flags & KVM_CLOCK_TSC_STABLE), self->page->flags & FLAG_STABLE);

	set_clock(self->vm, HOUR_NS);
	EXPECT_RIGHT_TIME();
	EXPECT_LE(HOUR_NS, self->page->ns);

	/* Time goes on as before when the TSC jumps, which KVM lets happen to its guest's clock. */
	if (!test_on_kvm()) {
		test_irq_set_msr(self->vcpu, 0x10, 1ull << 40);
		EXPECT_RIGHT_TIME();
		EXPECT_LE(1ull << 39, self->page->tsc);
	}

	/* Off: the page is the guest's again. */
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, 0);
	memset(self->page, 0, sizeof(*self->page));
	set_clock(self->vm, 0);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, self->page->version);
}

/* Guests from before the stable bit expect nothing of the kind. */
TEST_F(kvmclock, old_msr)
{
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME, PAGE_GPA | ENABLED);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, self->page->flags & FLAG_STABLE);
	EXPECT_RIGHT_TIME();
}

/* One page cannot stand for both vCPUs when their TSCs differ. */
TEST_F(kvmclock, stable_only_if_tscs_agree)
{
	struct test_vcpu *second = test_vcpu_create(self->vm, 1);
	uint64_t offset = 0x123456789;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };
	uint32_t flags;

	clock_ns(self->vm, &flags);
	if (!(flags & KVM_CLOCK_TSC_STABLE)) {
		test_vcpu_free(second);
		SKIP(return, "the host does not count by the TSC");
	}
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, PAGE_GPA | ENABLED);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(FLAG_STABLE, self->page->flags & FLAG_STABLE);

	ASSERT_EQ(0, ioctl(second->fd, KVM_SET_DEVICE_ATTR, &attr));
	/* KVM looks at it again with the next clock that somebody sets up. */
	set_clock(self->vm, HOUR_NS);
	clock_ns(self->vm, &flags);
	EXPECT_EQ(0, flags & KVM_CLOCK_TSC_STABLE);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, self->page->flags & FLAG_STABLE);
	EXPECT_LE(HOUR_NS, self->page->ns);

	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	test_irq_rdtsc(self->vcpu);
	clock_ns(self->vm, &flags);
	EXPECT_EQ(KVM_CLOCK_TSC_STABLE, flags & KVM_CLOCK_TSC_STABLE);
	test_vcpu_free(second);
}

TEST_F(kvmclock, tells_that_the_guest_was_stopped)
{
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, PAGE_GPA | ENABLED);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, self->page->flags & FLAG_STOPPED);
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_KVMCLOCK_CTRL, 0));
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(FLAG_STOPPED, self->page->flags & FLAG_STOPPED);
	/* It is the guest's to take away, and stays away. */
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(FLAG_STOPPED, self->page->flags & FLAG_STOPPED);
	self->page->flags &= ~FLAG_STOPPED;
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, self->page->flags & FLAG_STOPPED);
}

TEST_F(kvmclock, wall_clock)
{
	struct wall_page *wall = test_vm_hva(self->vm, PAGE_GPA);
	uint64_t before, after, start;

	set_clock(self->vm, HOUR_NS);
	before = realtime_ns() - clock_ns(self->vm, NULL);
	wall->version = 5;
	test_irq_set_msr(self->vcpu, MSR_WALL_CLOCK_NEW, PAGE_GPA);
	after = realtime_ns() - clock_ns(self->vm, NULL);
	start = wall->sec * SECOND_NS + wall->nsec;
	/* They stand at nearly the same moment, in whichever order they are read. */
	EXPECT_LE(before, start + SECOND_NS);
	EXPECT_GE(after + SECOND_NS, start);
	EXPECT_GT(SECOND_NS, wall->nsec);
	EXPECT_EQ(8, wall->version);
	EXPECT_EQ(PAGE_GPA, test_irq_msr(self->vcpu, MSR_WALL_CLOCK));

	/* Nowhere, and in no memory. */
	test_irq_set_msr(self->vcpu, MSR_WALL_CLOCK, 0);
	test_irq_set_msr(self->vcpu, MSR_WALL_CLOCK, SLOT_GPA);
	test_irq_set_msr(self->vcpu, MSR_WALL_CLOCK, ~0ull);
	EXPECT_EQ(8, wall->version);
}

TEST_F(kvmclock, pages_that_cannot_be)
{
	uint8_t *end = test_vm_hva(self->vm, PAGE_GPA + 0x1000);
	static const uint64_t gpas[] = { SLOT_GPA, 0xfffffffffffff000ull, TEST_MEMORY_BYTES };

	for (unsigned int i = 0; i < 3; i++) {
		test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, gpas[i] | ENABLED);
		test_irq_rdtsc(self->vcpu);
		EXPECT_EQ(gpas[i] | ENABLED, test_irq_msr(self->vcpu, MSR_SYSTEM_TIME_NEW));
	}
	/* From one page into the next. */
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, (PAGE_GPA + 0xff0) | ENABLED);
	test_irq_rdtsc(self->vcpu);
	for (int i = -16; i < 16; i++)
		EXPECT_EQ(0, end[i]);
}

TEST_F(kvmclock, slots_that_come_and_go)
{
	uint8_t *memory = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct clock_page *page = (void *)memory;
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = 5, .dirty_bitmap = &bitmap };

	ASSERT_NE(MAP_FAILED, memory);
	test_vm_add_memory(self->vm, 5, SLOT_GPA, memory, SLOT_BYTES, KVM_MEM_LOG_DIRTY_PAGES);
	test_irq_set_msr(self->vcpu, MSR_SYSTEM_TIME_NEW, SLOT_GPA | ENABLED);
	test_irq_rdtsc(self->vcpu);
	EXPECT_NE(0, page->version);
	ASSERT_EQ(0, ioctl(self->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1, bitmap);

	test_vm_add_memory(self->vm, 5, SLOT_GPA, memory, 0, 0);
	memset(page, 0, sizeof(*page));
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, page->version);

	test_vm_add_memory(self->vm, 5, SLOT_GPA, memory, SLOT_BYTES, KVM_MEM_READONLY);
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
	EXPECT_EQ(0, page->version);

	test_vm_add_memory(self->vm, 5, SLOT_GPA, memory, 0, 0);
	test_vm_add_memory(self->vm, 5, SLOT_GPA, memory, SLOT_BYTES, 0);
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
	EXPECT_NE(0, page->version);
	EXPECT_LE(HOUR_NS, page->ns);

	/* The host's side of it is gone. */
	munmap(memory, SLOT_BYTES);
	set_clock(self->vm, HOUR_NS);
	test_irq_rdtsc(self->vcpu);
}

TEST_HARNESS_MAIN
