/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of vitrine top: what was seen, and how it is drawn. */
#ifndef VITRINE_TOP_H
#define VITRINE_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stat.h"

#define HISTORY	60	/* intervals that are remembered */

/* One VM's rates by exit reason, the newest last; NULL for those that never occurred. */
struct history {
	uint64_t vm_id;
	bool seen;
	float all[HISTORY];
	float *reason[VITRINE_WATCH_REASONS];
};

struct histories {
	struct history *item;
	size_t nr;
};

/* That of a VM, a new one if need be; NULL without memory. Moves the others. */
struct history *history_find(struct histories *all, uint64_t vm_id);
void history_add(struct history *history, const struct stat_row *row, double seconds);
/* Forgets those to which nothing was added since the last call. */
void history_sweep(struct histories *all);
void history_free(struct histories *all);

enum top_order { TOP_BY_ID, TOP_BY_CPU, TOP_BY_EXITS, TOP_BY_MEMORY, TOP_BY_AGE, TOP_NR_ORDERS };

/* What a VM or vCPU did in the last interval. */
struct top_rates {
	double exits;		/* a second */
	double guest, host, halted;	/* percent of one CPU */
};

/* A line of the table. */
struct top_line {
	const struct vitrine_vm_info *vm;
	struct stat_row row;	/* differences; all zero for a VM without vCPUs */
	struct top_rates rates;
};

struct top {
	struct vitrine_watch *watch;
	struct stat_sample sample[2], vcpus[2];
	unsigned int now;	/* index of the newer one */
	double seconds;		/* between the two */
	struct histories histories;
	struct top_line *line;	/* sorted and filtered */
	size_t nr_lines, max_lines;
	enum top_order order;
	bool inverted;
	bool show_vcpus;
	bool paused;
	bool help;
	char filter[32];
	bool typing;		/* keys go to the filter */
	uint64_t selected;	/* VM id; 0: the first */
	size_t scroll;		/* first line that is shown */
	double interval_s;
	char message[128];
};

/* Makes top->line from the samples. */
void top_arrange(struct top *top);
/* @row holds differences. */
struct top_rates top_rates(const struct top *top, const struct stat_row *row);
/* The place of the selected VM among the lines; 0 if it is not there. */
size_t top_place(const struct top *top);
const char *top_order_name(enum top_order order);

/* The screen, from curses' start to its end. */
bool screen_begin(void);
void screen_end(void);
void screen_draw(struct top *top);
/* The next key within so long; curses' ERR for none. */
int screen_key(double seconds);
/* The signal that wants us to end; 0 for none. */
int screen_signal(void);

enum { PLAIN, HEADER, KEY, GRAPH, NR_STYLES };

/* As curses' attributes. */
int screen_style(int pair);
/* Text that ends where the line does; curses would go on in the next. */
void screen_put(int y, int x, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A whole line in one style. */
void screen_bar(int y, int attributes);

/* From line @y to before @end. */
void table_draw(struct top *top, int y, int end);
/* What all of it would take. */
size_t table_lines(const struct top *top);

#endif
