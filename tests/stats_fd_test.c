// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_STATS_FD: counters of a VM and a vCPU as a file that says what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/vm.h"

#define REASON_CPUID	10

struct stats {
	int fd;
	struct kvm_stats_header header;
	char id[64];
};

FIXTURE(stats) {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
};

FIXTURE_SETUP(stats)
{
	self->vm = test_vm_create();
	if (!test_check_extension(self->vm->fd, KVM_CAP_BINARY_STATS_FD))
		test_die("no KVM_CAP_BINARY_STATS_FD");
	self->vcpu = test_vcpu_create(self->vm, 3);
	test_vcpu_set_supported_cpuid(self->vcpu);
}

FIXTURE_TEARDOWN(stats)
{
	if (self->vcpu)
		test_vcpu_free(self->vcpu);
	if (self->vm)
		test_vm_free(self->vm);
}

static void stats_open(struct stats *stats, int fd)
{
	stats->fd = ioctl(fd, KVM_GET_STATS_FD, 0);
	if (stats->fd < 0)
		test_die("KVM_GET_STATS_FD");
	if (read(stats->fd, &stats->header, sizeof(stats->header)) != sizeof(stats->header))
		test_die("reading the header");
	if (stats->header.name_size > sizeof(stats->id) ||
	    pread(stats->fd, stats->id, stats->header.name_size, stats->header.id_offset) !=
	    stats->header.name_size)
		test_die("reading the id");
}

static size_t desc_bytes(const struct stats *stats)
{
	return sizeof(struct kvm_stats_desc) + stats->header.name_size;
}

static void desc_read(const struct stats *stats, unsigned int i, struct kvm_stats_desc *desc)
{
	if (pread(stats->fd, desc, desc_bytes(stats),
		  stats->header.desc_offset + i * desc_bytes(stats)) != (ssize_t)desc_bytes(stats))
		test_die("reading descriptor %u", i);
}

static bool desc_find(const struct stats *stats, const char *name, struct kvm_stats_desc *desc)
{
	for (unsigned int i = 0; i < stats->header.num_desc; i++) {
		desc_read(stats, i, desc);
		if (!strcmp(desc->name, name))
			return true;
	}
	return false;
}

/* Item @i of counter @name. */
static uint64_t value(const struct stats *stats, const char *name, unsigned int i)
{
	char bytes[sizeof(struct kvm_stats_desc) + 64];
	struct kvm_stats_desc *desc = (void *)bytes;
	uint64_t number;

	if (!desc_find(stats, name, desc) || i >= desc->size)
		test_die("no counter %s[%u]", name, i);
	if (pread(stats->fd, &number, sizeof(number),
		  stats->header.data_offset + desc->offset + i * sizeof(number)) != sizeof(number))
		test_die("reading %s", name);
	return number;
}

static void check_descriptors(struct __test_metadata *_metadata, const struct stats *stats)
{
	char bytes[sizeof(struct kvm_stats_desc) + 64];
	struct kvm_stats_desc *desc = (void *)bytes;
	uint64_t data_bytes = 0, tmp;

	EXPECT_EQ(0, stats->header.flags);
	EXPECT_EQ(0, strncmp("kvm-", stats->id, 4));
	EXPECT_LT(0, stats->header.num_desc);
	for (unsigned int i = 0; i < stats->header.num_desc; i++) {
		desc_read(stats, i, desc);
		EXPECT_LT(strlen(desc->name), stats->header.name_size);
		EXPECT_LT(0, desc->size);
		EXPECT_EQ(0, desc->offset % sizeof(uint64_t));
		if (data_bytes < desc->offset + desc->size * sizeof(uint64_t))
			data_bytes = desc->offset + desc->size * sizeof(uint64_t);
	}
	/* The last value ends the file. */
	EXPECT_EQ(8, pread(stats->fd, &tmp, 8, stats->header.data_offset + data_bytes - 8));
	EXPECT_EQ(0, pread(stats->fd, &tmp, 8, stats->header.data_offset + data_bytes));
}

GUEST_CODE(guest_three_cpuid,
	   "1: cpuid\n"
	   "xor %eax, %eax\n"
	   "cpuid\n"
	   "xor %eax, %eax\n"
	   "cpuid\n"
	   GUEST_SYNC
	   "jmp 1b\n");

TEST_F(stats, describe_themselves)
{
	struct stats vm, vcpu;

	stats_open(&vm, self->vm->fd);
	stats_open(&vcpu, self->vcpu->fd);
	check_descriptors(_metadata, &vm);
	check_descriptors(_metadata, &vcpu);
	EXPECT_NE(NULL, strstr(vcpu.id, "/vcpu-3"));
	EXPECT_EQ(NULL, strstr(vm.id, "/"));
	close(vm.fd);
	close(vcpu.fd);
}

TEST_F(stats, count)
{
	char bytes[sizeof(struct kvm_stats_desc) + 64];
	struct kvm_stats_desc *desc = (void *)bytes;
	struct stats vm, vcpu;
	uint64_t exits, runs;

	if (test_on_kvm())
		SKIP(return, "KVM's counters have other names");
	stats_open(&vm, self->vm->fd);
	stats_open(&vcpu, self->vcpu->fd);
	EXPECT_EQ(1, value(&vm, "vcpus", 0));
	EXPECT_EQ(0, value(&vcpu, "runs", 0));
	EXPECT_EQ(0, value(&vcpu, "exit_count", REASON_CPUID));

	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_three_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_LT(0, value(&vm, "table_pages", 0));
	exits = value(&vcpu, "exit_count", REASON_CPUID);
	EXPECT_EQ(3, exits);
	runs = value(&vcpu, "runs", 0);
	EXPECT_EQ(1, runs);
	EXPECT_LT(0, value(&vcpu, "guest_ticks", 0));
	test_vcpu_run_to_sync(self->vcpu);
	EXPECT_EQ(6, value(&vcpu, "exit_count", REASON_CPUID));
	EXPECT_EQ(2, value(&vcpu, "runs", 0));
	EXPECT_EQ(2, value(&vcpu, "user_exits", 0));

	/* Units and kinds. */
	ASSERT_TRUE(desc_find(&vcpu, "guest_ticks", desc));
	EXPECT_EQ(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_CYCLES | KVM_STATS_BASE_POW10,
		  desc->flags);
	ASSERT_TRUE(desc_find(&vcpu, "runs", desc));
	EXPECT_EQ(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10,
		  desc->flags);
	ASSERT_TRUE(desc_find(&vcpu, "exit_ticks", desc));
	EXPECT_EQ(KVM_STATS_TYPE_LINEAR_HIST | KVM_STATS_UNIT_CYCLES, desc->flags);
	EXPECT_EQ(1, desc->bucket_size);
	ASSERT_TRUE(desc_find(&vm, "vcpus", desc));
	EXPECT_EQ(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE, desc->flags);
	close(vm.fd);
	close(vcpu.fd);
}

TEST_F(stats, refusals)
{
	void *volatile nowhere = (void *)1;
	struct stats stats;
	char byte = 0;

	stats_open(&stats, self->vcpu->fd);
	EXPECT_EQ(-1, write(stats.fd, &byte, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, pread(stats.fd, nowhere, 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(stats.fd, KVM_RUN, 0));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(0, pread(stats.fd, &byte, 1, 1ll << 40));
	EXPECT_EQ(FD_CLOEXEC, fcntl(stats.fd, F_GETFD));
	close(stats.fd);
	/* The device has none. */
	EXPECT_EQ(-1, ioctl(self->vm->dev_fd, KVM_GET_STATS_FD, 0));
	EXPECT_EQ(test_on_kvm() ? EINVAL : ENOTTY, errno);
}

/* The file is the last that is left of a VM, and as good as before. */
TEST_F(stats, outlive_the_vm)
{
	struct stats vm, vcpu;
	int users;

	if (test_on_kvm())
		SKIP(return, "counts the users of our module");
	stats_open(&vm, self->vm->fd);
	stats_open(&vcpu, self->vcpu->fd);
	test_vcpu_long_mode(self->vcpu, GUEST_BLOB(guest_three_cpuid));
	test_vcpu_run_to_sync(self->vcpu);
	test_vcpu_free(self->vcpu);
	test_vm_free(self->vm);
	self->vcpu = NULL;
	self->vm = NULL;
	EXPECT_EQ(1, value(&vm, "vcpus", 0));
	EXPECT_EQ(3, value(&vcpu, "exit_count", REASON_CPUID));
	users = host_module_users();
	EXPECT_LE(2, users);
	close(vm.fd);
	EXPECT_EQ(3, value(&vcpu, "exit_count", REASON_CPUID));
	close(vcpu.fd);
	EXPECT_EQ(users - 2, host_module_users());
}

TEST_HARNESS_MAIN
