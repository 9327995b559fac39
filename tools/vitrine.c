// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine: the command. A table of subcommands from which the usage is made; each has a file
 * of its own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static int command_help(int argc, char **argv);

static const struct command commands[] = {
	{ "run", command_run, "run a guest: a kernel with its initrd, or raw code" },
	{ "list", command_list, "the VMs of this machine, whatever runs them" },
	{ "stat", command_stat, "what they do: exits and time by VM, vCPU and reason" },
	{ "top", command_top, "the same live on a screen" },
	{ "events", command_events, "VMs that come, go and fail, as it happens" },
	{ "trace", command_trace, "every exit of a VM, live: reason, instruction, time" },
	{ "ask", command_ask, "have exits of a VM come here first, and say what the guest sees" },
	{ "regs", command_regs, "registers of a running VM, to see and to set" },
	{ "mem", command_mem, "its memory, to see, to search and to write" },
	{ "pause", command_pause, "stop a running VM" },
	{ "resume", command_resume, "let it go on" },
	{ "nmi", command_nmi, "send it an NMI" },
	{ "info", command_info, "what this machine offers, and what stands in the way" },
	{ "help", command_help, "this text, or a subcommand's options" },
};

#define NR_COMMANDS ARRAY_SIZE(commands)

static void print_usage(FILE *to)
{
	unsigned int i;

	fputs("usage: vitrine COMMAND [OPTIONS]\n\ncommands:\n", to);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n'vitrine COMMAND --help' lists a command's options; see vitrine(1).\n", to);
}

static const struct command *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int command_help(int argc, char **argv)
{
	const struct command *command;
	char option[] = "--help";

	if (argc < 2 || argv[1][0] == '-') {
		print_usage(stdout);
		return finish_output(EXIT_OK);
	}
	command = find(argv[1]);
	if (!command) {
		complain("no command '%s'", argv[1]);
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (command->fn == command_help) {
		print_usage(stdout);
		return finish_output(EXIT_OK);
	}
	return command->fn(2, (char *[]) { argv[1], option, NULL });
}

/*
 * A file that is opened gets the number of one that was closed: a guest's kernel would be its
 * input, and what we say would go into a pipe. To read there is nothing then, and writing fails.
 */
static void fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;

	fill_standard();
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_usage(stdout);
		return finish_output(EXIT_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("vitrine " VITRINE_VERSION);
		return finish_output(EXIT_OK);
	}
	command = find(argv[1]);
	if (!command) {
		complain("no command '%s'; 'vitrine help' lists them", argv[1]);
		return EXIT_USAGE;
	}
	return command->fn(argc - 1, argv + 1);
}
