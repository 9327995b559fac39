// SPDX-License-Identifier: GPL-2.0
/*
 * What a VM did in the last intervals: rates by exit reason, for sparklines.
 */
#include <stdlib.h>
#include <string.h>

#include "top.h"

struct history *history_find(struct histories *all, uint64_t vm_id)
{
	struct history *bigger;
	size_t i;

	for (i = 0; i < all->nr; i++)
		if (all->item[i].vm_id == vm_id)
			return &all->item[i];
	bigger = reallocarray(all->item, all->nr + 1, sizeof(*bigger));
	if (!bigger)
		return NULL;
	all->item = bigger;
	all->item[all->nr] = (struct history){ .vm_id = vm_id };
	return &all->item[all->nr++];
}

/* Everything a place to the left, and what is new at the end. */
static void shift_in(float *rates, double rate)
{
	memmove(rates, rates + 1, (HISTORY - 1) * sizeof(*rates));
	rates[HISTORY - 1] = (float)rate;
}

void history_add(struct history *history, const struct stat_row *row, double seconds)
{
	unsigned int i;

	for (i = 0; i < VITRINE_WATCH_REASONS; i++) {
		if (!history->reason[i] && row->sum.exits[i])
			history->reason[i] = calloc(HISTORY, sizeof(float));
		if (history->reason[i])
			shift_in(history->reason[i], (double)row->sum.exits[i] / seconds);
	}
	shift_in(history->all, (double)stat_exits(row) / seconds);
	history->seen = true;
}

static void forget(struct history *history)
{
	unsigned int i;

	for (i = 0; i < VITRINE_WATCH_REASONS; i++)
		free(history->reason[i]);
}

void history_sweep(struct histories *all)
{
	size_t i, kept = 0;

	for (i = 0; i < all->nr; i++) {
		if (!all->item[i].seen) {
			forget(&all->item[i]);
			continue;
		}
		all->item[kept] = all->item[i];
		all->item[kept++].seen = false;
	}
	all->nr = kept;
}

void history_free(struct histories *all)
{
	size_t i;

	for (i = 0; i < all->nr; i++)
		forget(&all->item[i]);
	free(all->item);
}
