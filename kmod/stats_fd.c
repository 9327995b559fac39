// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_STATS_FD: the counters as a file that describes itself, for programs that know KVM's
 * format and not our list. A read makes the whole image, which is small, and copies what was asked
 * for out of it; who reads needs no lock, and the file keeps the VM alive.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ioctl.h"
#include "mmu.h"
#include "stats.h"
#include "vcpu.h"
#include "vm.h"

#define NAME_BYTES	48
/* It ends in a name whose length the file's header tells, and some kernels' own header, too. */
#define DESC_BYTES	(offsetof(struct kvm_stats_desc, name) + NAME_BYTES)

struct row {
	const char *name;
	u32 offset;		/* in the structure of values */
	u16 size;		/* u64s */
	bool instant;		/* may fall */
};

#define COUNTER(member)	{ #member, offsetof(struct vitrine_vcpu_counters, member), 1 },
#define BY_REASON(member)						\
	{ #member, offsetof(struct vitrine_vcpu_counters, member), VITRINE_NR_EXIT_REASONS },
static const struct row vcpu_rows[] = {
	VITRINE_VCPU_COUNTERS(COUNTER)
	COUNTER(guest_ticks)
	COUNTER(host_ticks)
	BY_REASON(exit_count)
	BY_REASON(exit_ticks)
};

#define GAUGE(member)	{ #member, offsetof(struct vitrine_vm_gauges, member), 1, true },
static const struct row vm_rows[] = {
	VITRINE_VM_GAUGES(GAUGE)
};

/* The unit is the end of the name, as everywhere here. */
static void set_unit(struct kvm_stats_desc *desc, const char *name)
{
	const char *unit = strrchr(name, '_');

	desc->flags |= KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
	if (!unit)
		return;
	if (!strcmp(unit, "_ticks")) {
		desc->flags |= KVM_STATS_UNIT_CYCLES;
	} else if (!strcmp(unit, "_bytes")) {
		desc->flags |= KVM_STATS_UNIT_BYTES;
	} else if (!strcmp(unit, "_ns")) {
		desc->flags |= KVM_STATS_UNIT_SECONDS;
		desc->exponent = -9;
	}
}

static void describe(struct kvm_stats_desc *desc, const struct row *row)
{
	if (row->size > 1) {
		/* By exit reason: a bucket a number. */
		desc->flags = KVM_STATS_TYPE_LINEAR_HIST;
		desc->bucket_size = 1;
	} else {
		desc->flags = row->instant ? KVM_STATS_TYPE_INSTANT : KVM_STATS_TYPE_CUMULATIVE;
	}
	desc->size = row->size;
	desc->offset = row->offset;
	set_unit(desc, row->name);
	strscpy(desc->name, row->name, NAME_BYTES);
}

struct image {
	struct kvm_stats_header header;
	char id[NAME_BYTES];
	u8 desc[];	/* of DESC_BYTES each */
};

/* Header, id, descriptors, values; @id is what the VM or vCPU is called. */
static ssize_t read_image(char __user *user, size_t len, loff_t *pos, const char *id,
			  const struct row *rows, unsigned int nr_rows, const void *values,
			  size_t value_bytes)
{
	size_t data_offset = sizeof(struct image) + nr_rows * DESC_BYTES;
	struct image *image;
	unsigned int i;
	ssize_t ret;

	image = kzalloc(data_offset + value_bytes, GFP_KERNEL_ACCOUNT);
	if (!image)
		return -ENOMEM;
	image->header = (struct kvm_stats_header){
		.name_size = NAME_BYTES,
		.num_desc = nr_rows,
		.id_offset = offsetof(struct image, id),
		.desc_offset = offsetof(struct image, desc),
		.data_offset = data_offset,
	};
	strscpy(image->id, id, sizeof(image->id));
	for (i = 0; i < nr_rows; i++)
		describe((void *)&image->desc[i * DESC_BYTES], &rows[i]);
	memcpy((u8 *)image + data_offset, values, value_bytes);
	ret = simple_read_from_buffer(user, len, pos, image, data_offset + value_bytes);
	kfree(image);
	return ret;
}

static ssize_t vcpu_stats_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	const struct vitrine_vcpu *vcpu = file->private_data;
	char id[NAME_BYTES];

	/* Programs look for the first three letters. */
	snprintf(id, sizeof(id), "kvm-%llu/vcpu-%u", vcpu->vm->id, vcpu->id);
	return read_image(user, len, pos, id, vcpu_rows, ARRAY_SIZE(vcpu_rows), &vcpu->stats,
			  sizeof(vcpu->stats));
}

static int vcpu_stats_release(struct inode *inode, struct file *file)
{
	const struct vitrine_vcpu *vcpu = file->private_data;

	vitrine_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_stats_fops = {
	.owner = THIS_MODULE,
	.read = vcpu_stats_read,
	.release = vcpu_stats_release,
	.llseek = noop_llseek,
};

static ssize_t vm_stats_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	struct vitrine_vm *vm = file->private_data;
	struct vitrine_vm_gauges gauges = {
		.vcpus = atomic_read(&vm->online_vcpus),
		.table_pages = atomic_long_read(&vm->mmu.nr_tables),
		.nx_lpage_splits = atomic_long_read(&vm->mmu.nr_nx_splits),
	};
	struct vitrine_mmu_pages pages;
	char id[NAME_BYTES];

	vitrine_mmu_count(vm, &pages);
	gauges.pages_4k = pages.nr[0];
	gauges.pages_2m = pages.nr[1];
	gauges.pages_1g = pages.nr[2];
	snprintf(id, sizeof(id), "kvm-%llu", vm->id);
	return read_image(user, len, pos, id, vm_rows, ARRAY_SIZE(vm_rows), &gauges,
			  sizeof(gauges));
}

static int vm_stats_release(struct inode *inode, struct file *file)
{
	vitrine_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_stats_fops = {
	.owner = THIS_MODULE,
	.read = vm_stats_read,
	.release = vm_stats_release,
	.llseek = noop_llseek,
};

/* Takes a reference to @vm, which the file gives back. */
static long open_fd(struct vitrine_vm *vm, const char *name, const struct file_operations *fops,
		    void *obj)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, obj, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vitrine_vm_get(vm);
	/* Anonymous files have no position of their own to read at, unless they say so. */
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}

static long vcpu_ioctl_get_stats_fd(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	return open_fd(vcpu->vm, "vitrine-vcpu-stats", &vcpu_stats_fops, vcpu);
}

static long vm_ioctl_get_stats_fd(void *obj, struct vitrine_ioctl_arg *arg)
{
	return open_fd(obj, "vitrine-vm-stats", &vm_stats_fops, obj);
}

const struct vitrine_ioctl vitrine_stats_fd_vcpu_ioctls[] = {
	{ KVM_GET_STATS_FD, 0, vcpu_ioctl_get_stats_fd },
	{}
};

const struct vitrine_ioctl vitrine_stats_fd_vm_ioctls[] = {
	{ KVM_GET_STATS_FD, 0, vm_ioctl_get_stats_fd },
	{}
};
