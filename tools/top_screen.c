// SPDX-License-Identifier: GPL-2.0
/*
 * How vitrine top looks. It reads struct top, and changes only where the table is scrolled to.
 */
#include <langinfo.h>
#include <locale.h>
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "top.h"

enum { PLAIN, HEADER, KEY, NR_STYLES };

#define PANEL_LINES	9	/* exits by reason, with their title */

static bool utf8;

bool screen_begin(void)
{
	setlocale(LC_ALL, "");
	utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!newterm(NULL, stdout, stdin))
		return false;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25);
	if (has_colors() && !(getenv("NO_COLOR") && *getenv("NO_COLOR"))) {
		start_color();
		use_default_colors();
		init_pair(HEADER, COLOR_BLACK, COLOR_GREEN);
		init_pair(KEY, COLOR_BLACK, COLOR_CYAN);
	}
	return true;
}

void screen_end(void)
{
	endwin();
}

static int style(int pair)
{
	if (has_colors() && NR_STYLES <= COLOR_PAIRS)
		return (int)COLOR_PAIR(pair);
	return pair == HEADER || pair == KEY ? (int)A_REVERSE : 0;
}

/* A whole line in one style. */
static void bar(int y, int attributes)
{
	short pair = (short)PAIR_NUMBER(attributes);

	mvchgat(y, 0, -1, (attr_t)attributes & ~A_COLOR, pair, NULL);
}

/* The newest @width rates, by height; the highest of them is the full one. */
static void sparkline(int y, int x, const float *rates, int width)
{
	static const char *const high[] = {
		" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█",
	};
	static const char low[] = " ..--==##";
	float most = 0;
	int i, step;

	if (width > HISTORY)
		width = HISTORY;
	for (i = HISTORY - width; i < HISTORY; i++)
		if (rates[i] > most)
			most = rates[i];
	move(y, x);
	for (i = HISTORY - width; i < HISTORY; i++) {
		step = most > 0 ? (int)(rates[i] / most * 8 + 0.999f) : 0;
		if (step > 8)
			step = 8;
		if (utf8)
			addstr(high[step]);
		else
			addch((chtype)low[step]);
	}
}

static void draw_header(const struct top *top)
{
	double exits = 0, guest = 0, host = 0;
	unsigned int vcpus = 0;
	char clock[16];
	struct tm local;
	time_t now = time(NULL);
	size_t i;

	for (i = 0; i < top->nr_lines; i++) {
		exits += top->line[i].exits;
		guest += top->line[i].guest;
		host += top->line[i].host;
		vcpus += top->line[i].row.nr_vcpus;
	}
	localtime_r(&now, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	mvprintw(0, 0, "vitrine top  %s  every %.1f s%s", clock, top->interval_s,
		 top->paused ? "  PAUSED" : "");
	mvprintw(1, 0, "VMs %zu  vCPUs %u  exits/s %.0f  CPUs in guests %.2f, in exits %.2f",
		 top->nr_lines, vcpus, exits, guest / 100, host / 100);
	if (top->typing || top->filter[0])
		mvprintw(2, 0, "filter: %s%s", top->filter, top->typing ? "_" : "");
	else if (top->message[0])
		mvprintw(2, 0, "%s", top->message);
}

static void draw_line(int y, const struct top *top, const struct top_line *line, bool selected)
{
	char user[16], memory[16], age[16];

	(void)top;
	mvprintw(y, 0, "%6llu %-9.9s %7u %-15s %-7s %5u %9.0f %6.1f %5.1f %5.1f %7s %7s",
		 (unsigned long long)line->vm->id,
		 vms_user(line->vm->owner_uid, user, sizeof(user)), line->vm->owner_pid,
		 line->vm->name, vitrine_vm_state_name(line->vm->state), line->vm->nr_vcpus,
		 line->exits, line->guest, line->host, line->halted,
		 vms_bytes(line->vm->memory_bytes, memory, sizeof(memory)),
		 vms_age(line->vm->age_ns, age, sizeof(age)));
	if (selected)
		bar(y, A_REVERSE);
}

/* Lines for the vCPUs of a VM; how many were drawn. */
static int draw_vcpus(int y, int end, const struct top *top, uint64_t vm_id)
{
	const struct stat_sample *now = &top->vcpus[top->now], *before = &top->vcpus[!top->now];
	const struct vitrine_vcpu_info *vcpu;
	struct stat_row row;
	char reason[24], cpu[16];
	size_t i, at;
	int drawn = 0;

	for (i = 0; i < now->nr_rows && y + drawn < end; i++) {
		if (now->row[i].vm_id != vm_id)
			continue;
		row = now->row[i];
		stat_subtract(&row, stat_find(before, &row));
		vcpu = NULL;
		for (at = 0; at < now->vms.nr_vcpus && !vcpu; at++)
			if (now->vms.vcpu[at].vm_id == vm_id &&
			    now->vms.vcpu[at].id == (uint32_t)row.vcpu_id)
				vcpu = &now->vms.vcpu[at];
		cpu[0] = 0;
		if (vcpu && vcpu->cpu >= 0)
			snprintf(cpu, sizeof(cpu), "CPU %d", vcpu->cpu);
		mvprintw(y + drawn, 0, "         `- vCPU %-4lld %-11s %-8s %17s %9.0f  %s",
			 (long long)row.vcpu_id,
			 vcpu ? vitrine_vcpu_state_name(vcpu->state) : "", cpu, "",
			 (double)stat_exits(&row) / top->seconds,
			 vcpu && vcpu->has_run ?
				vms_reason(vcpu->exit_reason, reason, sizeof(reason)) : "");
		drawn++;
	}
	return drawn;
}

/* What VMs @first to @last take. */
static size_t lines_between(const struct top *top, size_t first, size_t last)
{
	size_t lines = 0, i;

	for (i = first; i <= last; i++)
		lines += 1 + (top->show_vcpus ? top->line[i].vm->nr_vcpus : 0);
	return lines;
}

static void draw_table(struct top *top, int y, int end)
{
	size_t place = top_place(top), i;
	size_t room = end > y + 1 ? (size_t)(end - y - 1) : 1;

	mvprintw(y, 0, "%6s %-9s %7s %-15s %-7s %5s %9s %6s %5s %5s %7s %7s", "ID", "USER", "PID",
		 "NAME", "STATE", "VCPUS", "EXITS/s", "GUEST%", "EXIT%", "HALT%", "MEMORY", "AGE");
	bar(y++, style(HEADER));
	if (place < top->scroll)
		top->scroll = place;
	while (top->scroll < place && lines_between(top, top->scroll, place) > room)
		top->scroll++;
	for (i = top->scroll; i < top->nr_lines && y < end; i++) {
		draw_line(y++, top, &top->line[i], i == place);
		if (top->show_vcpus)
			y += draw_vcpus(y, end, top, top->line[i].vm->id);
	}
	if (!top->nr_lines)
		mvaddstr(y, 0, top->filter[0] ? "no VM has such a name" :
			 "no VM that you may see");
}

static void draw_reasons(struct top *top, int y, int end)
{
	const struct top_line *line = top->nr_lines ? &top->line[top_place(top)] : NULL;
	const struct history *history;
	bool done[VITRINE_WATCH_REASONS] = { false };
	unsigned int i, most;
	uint64_t count;
	char name[24];

	mvprintw(y, 0, "%-26s %9s %6s %10s  %s", "EXITS BY REASON", "/s", "%", "TICKS EACH",
		 "LATELY");
	if (line)
		mvprintw(y, 18, "of %llu", (unsigned long long)line->vm->id);
	bar(y++, style(HEADER));
	if (!line)
		return;
	history = history_find(&top->histories, line->vm->id);
	for (; y < end; y++) {
		for (most = VITRINE_WATCH_REASONS, i = 0; i < VITRINE_WATCH_REASONS; i++)
			if (!done[i] && line->row.sum.exits[i] &&
			    (most == VITRINE_WATCH_REASONS ||
			     line->row.sum.exits[i] > line->row.sum.exits[most]))
				most = i;
		if (most == VITRINE_WATCH_REASONS)
			break;
		done[most] = true;
		count = line->row.sum.exits[most];
		mvprintw(y, 0, "%-26s %9.0f %6.1f %10.0f  ", vms_reason(most, name, sizeof(name)),
			 (double)count / top->seconds,
			 100 * (double)count / (double)stat_exits(&line->row),
			 (double)line->row.sum.exit_ticks[most] / (double)count);
		if (history && history->reason[most])
			sparkline(y, 56, history->reason[most], COLS - 57);
	}
}

static void draw_keys(const struct top *top, int y)
{
	move(y, 0);
	printw("F1Help  F4Filter  F5vCPUs  F6Sort: %s%s  SpacePause  F10Quit",
	       top_order_name(top->order), top->inverted ? " (up)" : "");
	bar(y, style(KEY));
}

static void draw_help(void)
{
	static const char *const lines[] = {
		"Keys, as in htop:", "",
		"  Up Down PgUp PgDn Home End   choose a VM; its exits are below",
		"  F4 \\      show only VMs with this in their name, user or id",
		"  F5 t      vCPUs below their VM",
		"  F6 > .    next column to sort by; < , the one before",
		"  P M T N   sort by CPU time, memory, age, id; E by exits",
		"  I         the other way round",
		"  + -       longer, shorter interval",
		"  Space Z   pause",
		"  F1 h ?    this text",
		"  F10 q     quit", "",
		"GUEST%, EXIT% and HALT% are of one CPU: a VM of four can have 400.", "",
		"Any key goes back.",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		mvaddstr((int)i, 0, lines[i]);
}

void screen_draw(struct top *top)
{
	int panel = LINES >= 16 ? PANEL_LINES : 0;

	erase();
	if (top->help) {
		draw_help();
	} else {
		draw_header(top);
		draw_table(top, 3, LINES - 1 - panel);
		if (panel)
			draw_reasons(top, LINES - 1 - panel, LINES - 1);
		draw_keys(top, LINES - 1);
	}
	refresh();
}
