// SPDX-License-Identifier: GPL-2.0
/*
 * How vitrine top looks but for its table. It reads struct top.
 */
#include <langinfo.h>
#include <locale.h>
#include <curses.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "top.h"

#define TABLE_TOP	3
#define PANEL_LINES	9	/* exits by reason, with their title, at least */
static bool utf8;
static volatile sig_atomic_t signalled;
static sigset_t while_waiting;

static void on_signal(int signo)
{
	signalled = signo;
}

/*
 * Those that would leave the terminal as it is now: curses knows two of them, and then ends the
 * process without a word. They come in while we wait for keys.
 */
static void catch_signals(void)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP };
	const struct sigaction action = { .sa_handler = on_signal };
	struct sigaction found;
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(caught); i++) {
		/* What nohup told us to ignore stays ignored. */
		if (sigaction(caught[i], NULL, &found) || found.sa_handler == SIG_IGN)
			continue;
		sigaction(caught[i], &action, NULL);
		sigaddset(&set, caught[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &while_waiting);
}

int screen_signal(void)
{
	return signalled;
}

int screen_key(double seconds)
{
	struct pollfd readable = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec left = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};
	int key = getch();
	sigset_t set;

	/* Curses may have read on already. */
	if (key != ERR)
		return key;
	ppoll(&readable, 1, &left, &while_waiting);
	/* Where there is something to read as well, it lets no signal in. */
	sigprocmask(SIG_SETMASK, &while_waiting, &set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalled ? ERR : getch();
}

bool screen_begin(void)
{
	setlocale(LC_ALL, "");
	utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	/* Curses leaves alone what has a handler. */
	catch_signals();
	if (!newterm(NULL, stdout, stdin))
		return false;
	timeout(0);
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
		init_pair(GRAPH, COLOR_CYAN, -1);
	}
	return true;
}

void screen_end(void)
{
	endwin();
}

int screen_style(int pair)
{
	if (has_colors() && NR_STYLES <= COLOR_PAIRS)
		return (int)COLOR_PAIR(pair);
	return pair == HEADER || pair == KEY ? (int)A_REVERSE : 0;
}

void screen_put(int y, int x, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (x < COLS)
		mvaddnstr(y, x, text, COLS - x);
}

void screen_bar(int y, int attributes)
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
	attrset(screen_style(GRAPH));
	move(y, x);
	for (i = HISTORY - width; i < HISTORY; i++) {
		step = most > 0 ? (int)(rates[i] / most * 8 + 0.999f) : 0;
		if (step > 8)
			step = 8;
		if (utf8)
			addstr(high[step]);
		else
			addch((chtype)low[step] | (chtype)screen_style(GRAPH));
	}
	attrset(0);
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
		exits += top->line[i].rates.exits;
		guest += top->line[i].rates.guest;
		host += top->line[i].rates.host;
		vcpus += top->line[i].row.nr_vcpus;
	}
	localtime_r(&now, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	screen_put(0, 0, "vitrine top  %s  every %.1f s%s", clock, top->interval_s,
		   top->paused ? "  PAUSED" : "");
	screen_put(1, 0, "VMs %zu  vCPUs %u  exits/s %.0f  CPUs in guests %.2f, in exits %.2f",
		   top->nr_lines, vcpus, exits, guest / 100, host / 100);
	if (top->typing || top->filter[0])
		screen_put(2, 0, "filter: %s%s", top->filter, top->typing ? "_" : "");
	else if (top->message[0])
		screen_put(2, 0, "%s", top->message);
}

static void draw_reasons(struct top *top, int y, int end)
{
	const struct top_line *line = top->nr_lines ? &top->line[top_place(top)] : NULL;
	const struct history *history;
	bool done[VITRINE_WATCH_REASONS] = { false };
	unsigned int i, most;
	uint64_t count;
	char name[40] = "EXITS BY REASON";

	if (line)
		snprintf(name, sizeof(name), "EXITS OF VM %llu",
			 (unsigned long long)line->vm->id);
	screen_put(y, 0, "%-26s %9s %6s %10s  %s", name, "/s", "%", "TICKS EACH", "LATELY");
	screen_bar(y++, screen_style(HEADER));
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
		screen_put(y, 0, "%-26s %9.0f %6.1f %10.0f  ", vms_reason(most, name, sizeof(name)),
			   (double)count / top->seconds,
			   100 * (double)count / (double)stat_exits(&line->row),
			   (double)line->row.sum.exit_ticks[most] / (double)count);
		if (history && history->reason[most])
			sparkline(y, 56, history->reason[most], COLS - 57);
	}
}

static void draw_keys(const struct top *top, int y)
{
	screen_put(y, 0, "F1Help  F4Filter  F5vCPUs  F6Sort: %s%s  SpacePause  F10Quit",
		   top_order_name(top->order), top->inverted ? " (up)" : "");
	screen_bar(y, screen_style(KEY));
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
		"GUEST%, EXIT% and HALT% are of one CPU: a VM of four can have 400.",
		"EXIT% goes until the next entry, also while the thread waits for a CPU.", "",
		"Any key goes back.",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		screen_put((int)i, 0, "%s", lines[i]);
}

/* Room for the exits by reason: what the table leaves, up to a half. */
static int panel_lines(const struct top *top)
{
	size_t table = TABLE_TOP + table_lines(top);
	int spare = table < (size_t)LINES ? LINES - 1 - (int)table : 0;

	if (LINES < 16)
		return 0;
	if (spare > LINES / 2)
		spare = LINES / 2;
	return spare > PANEL_LINES ? spare : PANEL_LINES;
}

void screen_draw(struct top *top)
{
	int panel = panel_lines(top);

	erase();
	if (top->help) {
		draw_help();
	} else {
		draw_header(top);
		table_draw(top, TABLE_TOP, LINES - 1 - panel);
		if (panel)
			draw_reasons(top, LINES - 1 - panel, LINES - 1);
		draw_keys(top, LINES - 1);
	}
	refresh();
}
