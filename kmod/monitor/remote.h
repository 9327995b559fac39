/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory from another process than the VMM's: through the memory slots as guest.h does it,
 * but by the host pages behind them. Who calls waits for memory that is not there, until a fatal
 * signal, and must hold no lock and not vm->srcu.
 */
#ifndef VITRINE_MONITOR_REMOTE_H
#define VITRINE_MONITOR_REMOTE_H

#include <linux/kvm_types.h>
#include <linux/types.h>

struct page;
struct vitrine_vm;

/**
 * struct vitrine_remote - a page of the guest's, held
 * @page: pinned; NULL: none
 * @hva: where the VMM has it
 */
struct vitrine_remote {
	struct page *page;
	unsigned long hva;
};

/*
 * The page of @gpa; 0, -ENOENT where no slot is (or a read-only one, for a write), -EFAULT where
 * the VMM has no memory behind it, -EINTR, -ESRCH if its address space is gone.
 */
int vitrine_remote_get(struct vitrine_vm *vm, gpa_t gpa, bool write, struct vitrine_remote *remote);
void vitrine_remote_put(struct vitrine_remote *remote);
/* From a page that was had; -ESTALE if it is another one by now, or no monitor's any more. */
int vitrine_remote_read(struct vitrine_vm *vm, gpa_t gpa, const struct vitrine_remote *remote,
			void *data, unsigned int bytes);
/* One paging-structure entry of 4 or 8 bytes; errors as above. */
int vitrine_remote_read_entry(struct vitrine_vm *vm, gpa_t gpa, u64 *entry, unsigned int bytes);
/*
 * Writes to a page that was had for it, and logs it as dirty. -ESTALE if the slot is another one by
 * now; -EXDEV, and nothing is written, if only a thread that has a vCPU loaded could log it. Does
 * not wait for memory.
 */
int vitrine_remote_write(struct vitrine_vm *vm, gpa_t gpa, struct vitrine_remote *remote,
			 const void *data, unsigned int bytes);

#endif
