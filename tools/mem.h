/* SPDX-License-Identifier: GPL-2.0 */
/* vitrine mem: what its parts share. */
#ifndef VITRINE_MEM_H
#define VITRINE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/libvitrine_access.h"

/* struct mem - the command line, and what it leads to */
struct mem {
	struct vitrine_monitor *monitor;
	uint64_t vm_id;
	int64_t vcpu;		/* whose page tables; -1: guest-physical addresses */
	uint64_t from, to;	/* of a search; the end is not in it */
	uint64_t all;		/* a search ends when it has seen so many bytes; 0: at @to */
	uint64_t count;		/* of finds; 0: no end */
	const uint8_t *bytes;	/* to look for or to write */
	size_t nr_bytes;
	bool json;
};

/* 0 or a negative errno, with the line in *err. */
int mem_search(const struct mem *mem, struct vitrine_error *err);

#endif
