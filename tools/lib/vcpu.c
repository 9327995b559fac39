// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU and its run loop: RUN, look at the exit, call back, RUN. Between two exits there is
 * no other system call. What devices answer is the caller's business.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

struct vitrine_vcpu *vitrine_vcpu_create(struct vitrine_vm *vm, unsigned int id,
					 struct vitrine_error *err)
{
	struct vitrine_vcpu *vcpu;
	int size;

	if (id >= VM_CPUS_MAX) {
		vitrine_fail(err, EINVAL, "vCPU %u: ids go from 0 to %d", id, VM_CPUS_MAX - 1);
		return NULL;
	}
	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu) {
		vitrine_fail(err, ENOMEM, "out of memory");
		return NULL;
	}
	size = ioctl(vm->dev->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*vcpu->run)) {
		vitrine_fail(err, size < 0 ? errno : EPROTO, "GET_VCPU_MMAP_SIZE: %s",
			     size < 0 ? strerror(errno) : "smaller than struct kvm_run");
		goto err_free;
	}
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0) {
		vitrine_fail(err, errno, "vCPU %u: CREATE_VCPU: %s%s", id, strerror(errno),
			     errno == EINVAL && id ? " (more vCPUs than the device allows?)" : "");
		goto err_free;
	}
	vcpu->run_size = (size_t)size;
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vitrine_fail(err, errno, "vCPU %u: mapping the run page: %s", id,
			     strerror(errno));
		goto err_close;
	}
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->next = vm->vcpus;
	vm->vcpus = vcpu;
	return vcpu;

err_close:
	close(vcpu->fd);
err_free:
	free(vcpu);
	return NULL;
}

int vitrine_vcpu_fd(const struct vitrine_vcpu *vcpu)
{
	return vcpu->fd;
}

unsigned int vitrine_vcpu_id(const struct vitrine_vcpu *vcpu)
{
	return vcpu->id;
}

uint64_t vitrine_vcpu_exits(const struct vitrine_vcpu *vcpu, unsigned int reason)
{
	return reason < VCPU_EXIT_COUNTERS ? vcpu->exits[reason] : 0;
}

void vitrine_vcpu_kick(struct vitrine_vcpu *vcpu, pthread_t thread, int signo)
{
	/*
	 * The flag catches a vCPU that is about to enter RUN, the signal one that is inside.
	 * The vCPU clears the flag before it calls back, so that none is lost.
	 */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(thread, signo);
}

static int handle_io(struct vitrine_vcpu *vcpu, const struct vitrine_handlers *handlers,
		     void *data)
{
	struct kvm_run *run = vcpu->run;
	struct vitrine_io io = {
		.port = run->io.port,
		.size = run->io.size,
		.out = run->io.direction == KVM_EXIT_IO_OUT,
		.count = run->io.count,
		.data = (uint8_t *)run + run->io.data_offset,
	};

	if (handlers->io)
		return handlers->io(vcpu, &io, data);
	if (!io.out)
		memset(io.data, 0xff, (size_t)io.size * io.count);
	return VITRINE_RESUME;
}

static int handle_mmio(struct vitrine_vcpu *vcpu, const struct vitrine_handlers *handlers,
		       void *data)
{
	struct kvm_run *run = vcpu->run;
	struct vitrine_mmio mmio = {
		.gpa = run->mmio.phys_addr,
		.size = run->mmio.len,
		.write = run->mmio.is_write,
		.data = run->mmio.data,
	};

	if (handlers->mmio)
		return handlers->mmio(vcpu, &mmio, data);
	if (!mmio.write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return VITRINE_RESUME;
}

static int default_end(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_HLT:
		return VITRINE_END_HALTED;
	case KVM_EXIT_SHUTDOWN:
		return VITRINE_END_SHUTDOWN;
	case KVM_EXIT_FAIL_ENTRY:
		return VITRINE_END_ENTRY_FAILURE;
	case KVM_EXIT_INTERNAL_ERROR:
		return VITRINE_END_INTERNAL_ERROR;
	default:
		return VITRINE_END_OTHER;
	}
}

static int handle_exit(struct vitrine_vcpu *vcpu, const struct vitrine_handlers *handlers,
		       void *data)
{
	uint32_t reason = vcpu->run->exit_reason;

	switch (reason) {
	case KVM_EXIT_IO:
		return handle_io(vcpu, handlers, data);
	case KVM_EXIT_MMIO:
		return handle_mmio(vcpu, handlers, data);
	case KVM_EXIT_HLT:
		if (handlers->hlt)
			return handlers->hlt(vcpu, data);
		break;
	case KVM_EXIT_SHUTDOWN:
		if (handlers->shutdown)
			return handlers->shutdown(vcpu, data);
		break;
	default:
		if (handlers->other)
			return handlers->other(vcpu, vcpu->run, data);
	}
	return default_end(reason);
}

int vitrine_vcpu_run(struct vitrine_vcpu *vcpu, const struct vitrine_handlers *handlers,
		     void *data, struct vitrine_error *err)
{
	struct kvm_run *run = vcpu->run;
	uint32_t reason;
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
		if (ret < 0) {
			/* EAGAIN: a CPU that waits to be started, woken without being started. */
			if (errno != EINTR && errno != EAGAIN)
				return vitrine_fail(err, errno, "vCPU %u: RUN: %s (exit reason %u)",
						    vcpu->id, strerror(errno), run->exit_reason);
			__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			vcpu->exits[KVM_EXIT_INTR]++;
			ret = handlers->interrupted ? handlers->interrupted(vcpu, data) :
						      VITRINE_END_INTERRUPTED;
			continue;
		}
		reason = run->exit_reason;
		vcpu->exits[reason < VCPU_EXIT_COUNTERS ? reason : VCPU_EXIT_COUNTERS - 1]++;
		ret = handle_exit(vcpu, handlers, data);
	} while (ret == VITRINE_RESUME);
	return ret;
}
