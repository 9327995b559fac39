// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine top: VMs and what makes them leave the guest, live.
 */
#include <curses.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "top.h"

#define KEY_ESCAPE	27
#define MIN_INTERVAL_S	0.1
#define MAX_INTERVAL_S	60

static const char *const order_names[] = {
	[TOP_BY_ID] = "id",
	[TOP_BY_CPU] = "CPU",
	[TOP_BY_EXITS] = "exits",
	[TOP_BY_MEMORY] = "memory",
	[TOP_BY_AGE] = "age",
};

const char *top_order_name(enum top_order order)
{
	return order_names[order];
}

static int compare(double a, double b)
{
	return (a < b) - (a > b);
}

static int compare_lines(const void *left, const void *right, void *arg)
{
	const struct top_line *a = left, *b = right;
	const struct top *top = arg;
	int ret = 0;

	switch (top->order) {
	case TOP_BY_CPU:
		ret = compare(a->rates.guest + a->rates.host, b->rates.guest + b->rates.host);
		break;
	case TOP_BY_EXITS:
		ret = compare(a->rates.exits, b->rates.exits);
		break;
	case TOP_BY_MEMORY:
		ret = compare((double)a->vm->memory_bytes, (double)b->vm->memory_bytes);
		break;
	case TOP_BY_AGE:
		ret = compare((double)a->vm->age_ns, (double)b->vm->age_ns);
		break;
	default:
		break;
	}
	if (top->inverted)
		ret = -ret;
	/* What is equal keeps its place. */
	if (!ret)
		ret = (a->vm->id > b->vm->id) - (a->vm->id < b->vm->id);
	return top->order == TOP_BY_ID && top->inverted ? -ret : ret;
}

static bool passes(const struct top *top, const struct vitrine_vm_info *vm)
{
	char id[24], user[32];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)vm->id);
	return !top->filter[0] || strstr(vm->name, top->filter) ||
	       strstr(vms_user(vm->owner_uid, user, sizeof(user)), top->filter) ||
	       !strcmp(id, top->filter);
}

struct top_rates top_rates(const struct top *top, const struct stat_row *row)
{
	/* A percent of a CPU is so many ticks. */
	double ticks = top->seconds * 10 * vitrine_watch_tsc_khz(top->watch);
	int halts = vitrine_watch_counter(top->watch, "halt_ticks");
	struct top_rates rates = {
		.exits = (double)stat_exits(row) / top->seconds,
		.guest = (double)row->sum.guest_ticks / ticks,
		.halted = halts < 0 ? 0 : (double)row->sum.value[halts] / ticks,
	};

	rates.host = (double)row->sum.host_ticks / ticks - rates.halted;
	if (rates.host < 0)
		rates.host = 0;
	return rates;
}

static void fill_line(const struct top *top, struct top_line *line)
{
	const struct stat_sample *now = &top->sample[top->now], *before = &top->sample[!top->now];
	struct stat_row key = { .vm_id = line->vm->id, .vcpu_id = -1 };
	const struct stat_row *row = stat_find(now, &key);

	line->row = row ? *row : key;
	stat_subtract(&line->row, row ? stat_find(before, row) : NULL);
	line->rates = top_rates(top, &line->row);
}

void top_arrange(struct top *top)
{
	const struct vms *vms = &top->sample[top->now].vms;
	struct top_line *bigger;
	size_t i;

	top->nr_lines = 0;
	if (vms->nr_vms > top->max_lines) {
		bigger = reallocarray(top->line, vms->nr_vms, sizeof(*bigger));
		if (!bigger)
			return;
		top->line = bigger;
		top->max_lines = vms->nr_vms;
	}
	for (i = 0; i < vms->nr_vms; i++) {
		if (!passes(top, &vms->vm[i]))
			continue;
		top->line[top->nr_lines].vm = &vms->vm[i];
		fill_line(top, &top->line[top->nr_lines++]);
	}
	if (top->nr_lines)
		qsort_r(top->line, top->nr_lines, sizeof(*top->line), compare_lines, top);
}

size_t top_place(const struct top *top)
{
	size_t i;

	for (i = 0; i < top->nr_lines; i++)
		if (top->line[i].vm->id == top->selected)
			return i;
	return 0;
}

static void select_place(struct top *top, long place)
{
	if (!top->nr_lines)
		return;
	if (place < 0)
		place = 0;
	if ((size_t)place >= top->nr_lines)
		place = (long)top->nr_lines - 1;
	top->selected = top->line[place].vm->id;
}

/* Reads what there is now; what was newest becomes the older one. */
static int read_samples(struct top *top, struct vitrine_error *err)
{
	unsigned int next = !top->now;
	struct history *history;
	size_t i;
	int ret;

	ret = stat_read(&top->sample[next], top->watch, 0, err);
	if (!ret && top->show_vcpus)
		ret = stat_read(&top->vcpus[next], top->watch, 0, err);
	if (ret)
		return ret;
	top->now = next;
	top->seconds = stat_seconds(&top->sample[!next], &top->sample[next]);
	if (top->seconds < 0.001)
		top->seconds = 0.001;
	top_arrange(top);
	for (i = 0; i < top->nr_lines; i++) {
		history = history_find(&top->histories, top->line[i].vm->id);
		if (history)
			history_add(history, &top->line[i].row, top->seconds);
	}
	history_sweep(&top->histories);
	return 0;
}

static void toggle_vcpus(struct top *top)
{
	top->show_vcpus = !top->show_vcpus;
	/* Both, or the first rates would be those since creation. */
	if (top->show_vcpus && (stat_read(&top->vcpus[0], top->watch, 0, NULL) ||
				stat_read(&top->vcpus[1], top->watch, 0, NULL)))
		top->show_vcpus = false;
}

static void set_order(struct top *top, enum top_order order)
{
	top->order = order;
	top_arrange(top);
}

static void set_interval(struct top *top, double interval_s)
{
	if (interval_s >= MIN_INTERVAL_S && interval_s <= MAX_INTERVAL_S)
		top->interval_s = interval_s;
}

static void on_filter_key(struct top *top, int key)
{
	size_t length = strlen(top->filter);

	if (key == '\n' || key == KEY_ENTER) {
		top->typing = false;
	} else if (key == KEY_ESCAPE) {
		top->typing = false;
		top->filter[0] = 0;
	} else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
		if (length)
			top->filter[length - 1] = 0;
	} else if (key >= ' ' && key <= '~' && length + 1 < sizeof(top->filter)) {
		top->filter[length] = (char)key;
		top->filter[length + 1] = 0;
	}
	top_arrange(top);
}

static void on_move_key(struct top *top, int key)
{
	long place = (long)top_place(top), page = LINES / 2;

	switch (key) {
	case KEY_UP:
	case 'k':
		return select_place(top, place - 1);
	case KEY_DOWN:
	case 'j':
		return select_place(top, place + 1);
	case KEY_PPAGE:
		return select_place(top, place - page);
	case KEY_NPAGE:
		return select_place(top, place + page);
	case KEY_HOME:
		return select_place(top, 0);
	case KEY_END:
		return select_place(top, (long)top->nr_lines - 1);
	}
}

static void on_order_key(struct top *top, int key)
{
	static const char keys[] = { 'N', 'P', 'E', 'M', 'T' };	/* as enum top_order */
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (key == keys[i])
			set_order(top, (enum top_order)i);
	if (key == KEY_F(6) || key == '>' || key == '.')
		set_order(top, (top->order + 1) % TOP_NR_ORDERS);
	if (key == '<' || key == ',')
		set_order(top, (top->order + TOP_NR_ORDERS - 1) % TOP_NR_ORDERS);
	if (key == 'I') {
		top->inverted = !top->inverted;
		top_arrange(top);
	}
}

/* False at the end. */
static bool on_key(struct top *top, int key)
{
	if (top->help) {
		top->help = false;
		return true;
	}
	if (top->typing) {
		on_filter_key(top, key);
		return true;
	}
	switch (key) {
	case 'q':
	case KEY_F(10):
		return false;
	case KEY_F(1):
	case 'h':
	case '?':
		top->help = true;
		break;
	case KEY_F(4):
	case '\\':
		top->typing = true;
		top->filter[0] = 0;
		break;
	case KEY_F(5):
	case 't':
		toggle_vcpus(top);
		break;
	case ' ':
	case 'Z':
		top->paused = !top->paused;
		break;
	case '+':
		set_interval(top, top->interval_s * 2);
		break;
	case '-':
		set_interval(top, top->interval_s / 2);
		break;
	default:
		on_move_key(top, key);
		on_order_key(top, key);
	}
	return true;
}

/* Keys until it is time for the next sample; false at the end. */
static bool wait_for_keys(struct top *top)
{
	struct timespec now, *last = &top->sample[top->now].at;
	double left = top->interval_s;
	int key;

	do {
		screen_draw(top);
		key = screen_key(left);
		if (screen_signal())
			return false;
		if (key == ERR && !isatty(STDIN_FILENO))
			return false;	/* the terminal is gone */
		if (key != ERR && key != KEY_RESIZE && !on_key(top, key))
			return false;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = top->interval_s - (double)(now.tv_sec - last->tv_sec) -
		       (double)(now.tv_nsec - last->tv_nsec) / 1e9;
		if (top->paused && left <= 0)
			left = top->interval_s;
	} while (left > 0);
	return true;
}

static int watch_live(struct top *top, uint64_t rounds)
{
	struct vitrine_error err;
	uint64_t done = 0;
	int ret;

	ret = stat_read(&top->sample[!top->now], top->watch, 0, &err);
	if (!ret)
		ret = read_samples(top, &err);
	if (ret) {
		complain("%s", err.text);
		return EXIT_HOST;
	}
	if (!screen_begin()) {
		complain("top: the terminal '%s' is not known here", getenv("TERM") ?: "");
		return EXIT_HOST;
	}
	while (!ret && wait_for_keys(top) && (!rounds || ++done < rounds))
		ret = read_samples(top, &err);
	screen_end();
	if (ret)
		complain("%s", err.text);
	if (screen_signal())
		return EXIT_SIGNAL + screen_signal();
	return ret ? EXIT_HOST : EXIT_OK;
}

static void print_usage(FILE *to)
{
	fputs("usage: vitrine top [OPTIONS]\n\n"
	      "Shows VMs and what makes them leave the guest, live. Keys are those of htop; F1 lists them.\n\n"
	      "  -i, --interval S   seconds between two looks (1)\n"
	      "  -n, --count N      end after N looks\n"
	      "  -v, --vcpus        begin with the vCPUs below their VMs\n"
	      "  -h, --help         this text\n", to);
}

static int run(struct top *top, bool vcpus, uint64_t rounds)
{
	int code;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		complain("top: needs a terminal; 'vitrine stat' does not");
		return EXIT_HOST;
	}
	top->watch = vms_open();
	if (!top->watch)
		return EXIT_HOST;
	if (vcpus)
		toggle_vcpus(top);
	code = watch_live(top, rounds);
	stat_free(&top->sample[0]);
	stat_free(&top->sample[1]);
	stat_free(&top->vcpus[0]);
	stat_free(&top->vcpus[1]);
	history_free(&top->histories);
	free(top->line);
	vitrine_watch_close(top->watch);
	return code;
}

int command_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "vcpus", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	static struct top top = {
		.vcpus = { { .by_vcpu = true }, { .by_vcpu = true } },
		.order = TOP_BY_CPU,
		.interval_s = 1,
	};
	uint64_t rounds = 0;
	bool vcpus = false;
	int value;

	optind = 0;
	while ((value = getopt_long(argc, argv, ":i:n:vh", options, NULL)) != -1) {
		switch (value) {
		case 'i':
			if (!parse_seconds("--interval", optarg, MIN_INTERVAL_S, MAX_INTERVAL_S,
					   &top.interval_s))
				return EXIT_USAGE;
			break;
		case 'n':
			if (!parse_count("--count", optarg, UINT64_MAX, &rounds))
				return EXIT_USAGE;
			break;
		case 'v':
			vcpus = true;
			break;
		case 'h':
			print_usage(stdout);
			return finish_output(EXIT_OK);
		default:
			return complain_option(argv, value);
		}
	}
	if (optind < argc) {
		complain("top: '%s' is not an option", argv[optind]);
		return EXIT_USAGE;
	}
	return run(&top, vcpus, rounds);
}
