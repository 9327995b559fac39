// SPDX-License-Identifier: GPL-2.0
/*
 * The table of vitrine top: VMs, and their vCPUs below them. It reads struct top, and changes only
 * where the table is scrolled to.
 */
#include <curses.h>
#include <stdarg.h>
#include <stdio.h>

#include "top.h"

enum { ID, USER, PID, NAME, STATE, VCPUS, EXITS, GUEST, EXIT, HALT, MEMORY, AGE, NR_COLUMNS };

static const struct {
	const char *title;
	int width;
	bool left;
} columns[NR_COLUMNS] = {
	[ID] = { "ID", 6, false },
	[USER] = { "USER", 9, true },
	[PID] = { "PID", 7, false },
	[NAME] = { "NAME", 15, true },
	[STATE] = { "STATE", 7, true },
	[VCPUS] = { "VCPUS", 5, false },
	[EXITS] = { "EXITS/s", 9, false },
	[GUEST] = { "GUEST%", 6, false },
	[EXIT] = { "EXIT%", 5, false },
	[HALT] = { "HALT%", 5, false },
	[MEMORY] = { "MEMORY", 7, false },
	[AGE] = { "AGE", 7, false },
};

#define TABLE_WIDTH	99
#define MIN_NAME	8

/* What a line of the table says; an empty cell lends its room to the one on its left. */
struct cells {
	char text[NR_COLUMNS][24];
};

/* Names give way where the screen is narrow. */
static int column_width(int column)
{
	int spare = COLS - (TABLE_WIDTH - columns[NAME].width);

	if (column != NAME || spare > columns[NAME].width)
		return columns[column].width;
	return spare < MIN_NAME ? MIN_NAME : spare;
}

static int column_x(int column)
{
	return column ? column_x(column - 1) + column_width(column - 1) + 1 : 0;
}

/* Whole columns only: half a number looks like another one. */
static void draw_cells(int y, const struct cells *cells)
{
	int column, width, x;

	for (column = 0; column < NR_COLUMNS; column++) {
		width = column_width(column);
		x = column_x(column);
		if (x + width > COLS)
			break;
		if (columns[column].left && column + 1 < NR_COLUMNS && !*cells->text[column + 1])
			screen_put(y, x, "%.*s", width + 1 + column_width(column + 1),
				   cells->text[column]);
		else if (columns[column].left)
			screen_put(y, x, "%.*s", width, cells->text[column]);
		else if (*cells->text[column])
			screen_put(y, x, "%*s", width, cells->text[column]);
	}
}

static void __attribute__((format(printf, 3, 4)))
set_cell(struct cells *cells, int column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cells->text[column], sizeof(cells->text[column]), format, args);
	va_end(args);
}

static void set_rates(struct cells *cells, const struct top_rates *rates)
{
	set_cell(cells, EXITS, "%.0f", rates->exits);
	set_cell(cells, GUEST, "%.1f", rates->guest);
	set_cell(cells, EXIT, "%.1f", rates->host);
	set_cell(cells, HALT, "%.1f", rates->halted);
}

static void draw_line(int y, const struct top_line *line, bool selected)
{
	const struct vitrine_vm_info *vm = line->vm;
	struct cells cells = { 0 };

	set_cell(&cells, ID, "%llu", (unsigned long long)vm->id);
	vms_user(vm->owner_uid, cells.text[USER], sizeof(cells.text[USER]));
	set_cell(&cells, PID, "%u", vm->owner_pid);
	set_cell(&cells, NAME, "%s", vm->name);
	set_cell(&cells, STATE, "%s", vitrine_vm_state_name(vm->state));
	set_cell(&cells, VCPUS, "%u", vm->nr_vcpus);
	set_rates(&cells, &line->rates);
	vms_bytes(vm->memory_bytes, cells.text[MEMORY], sizeof(cells.text[MEMORY]));
	vms_age(vm->age_ns, cells.text[AGE], sizeof(cells.text[AGE]));
	draw_cells(y, &cells);
	if (selected)
		screen_bar(y, A_REVERSE);
}

static const struct vitrine_vcpu_info *find_vcpu(const struct vms *vms, const struct stat_row *row)
{
	size_t i;

	for (i = 0; i < vms->nr_vcpus; i++)
		if (vms->vcpu[i].vm_id == row->vm_id &&
		    vms->vcpu[i].id == (uint32_t)row->vcpu_id)
			return &vms->vcpu[i];
	return NULL;
}

static void draw_vcpu(int y, const struct top *top, const struct stat_row *now)
{
	const struct stat_sample *before = &top->vcpus[!top->now];
	const struct vitrine_vcpu_info *vcpu = find_vcpu(&top->vcpus[top->now].vms, now);
	struct cells cells = { 0 };
	struct stat_row row = *now;
	struct top_rates rates;
	char reason[24];

	stat_subtract(&row, stat_find(before, &row));
	rates = top_rates(top, &row);
	set_cell(&cells, USER, "`- vCPU %lld", (long long)row.vcpu_id);
	if (vcpu && vcpu->cpu >= 0)
		set_cell(&cells, NAME, "on CPU %d", vcpu->cpu);
	if (vcpu)
		set_cell(&cells, STATE, "%s", vitrine_vcpu_state_name(vcpu->state));
	set_rates(&cells, &rates);
	draw_cells(y, &cells);
	/* Why it left the guest last, where a VM has its memory and age. */
	if (vcpu && vcpu->has_run && column_x(NR_COLUMNS) <= COLS + 1)
		screen_put(y, column_x(MEMORY) + 1, "%s",
			   vms_reason(vcpu->exit_reason, reason, sizeof(reason)));
}

/* Lines for the vCPUs of a VM; how many were drawn. */
static int draw_vcpus(int y, int end, const struct top *top, uint64_t vm_id)
{
	const struct stat_sample *now = &top->vcpus[top->now];
	int drawn = 0;
	size_t i;

	for (i = 0; i < now->nr_rows && y + drawn < end; i++)
		if (now->row[i].vm_id == vm_id)
			draw_vcpu(y + drawn++, top, &now->row[i]);
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

void table_draw(struct top *top, int y, int end)
{
	size_t place = top_place(top), i;
	size_t room = end > y + 1 ? (size_t)(end - y - 1) : 1;
	struct cells title;
	int column;

	for (column = 0; column < NR_COLUMNS; column++)
		set_cell(&title, column, "%s", columns[column].title);
	draw_cells(y, &title);
	screen_bar(y++, screen_style(HEADER));
	if (place < top->scroll)
		top->scroll = place;
	while (top->scroll < place && lines_between(top, top->scroll, place) > room)
		top->scroll++;
	for (i = top->scroll; i < top->nr_lines && y < end; i++) {
		draw_line(y++, &top->line[i], i == place);
		if (top->show_vcpus)
			y += draw_vcpus(y, end, top, top->line[i].vm->id);
	}
	if (!top->nr_lines)
		screen_put(y, 0, "%s", top->filter[0] ? "no VM has such a name" :
			   "no VM that you may see");
}

size_t table_lines(const struct top *top)
{
	return 1 + (top->nr_lines ? lines_between(top, 0, top->nr_lines - 1) : 1);
}
