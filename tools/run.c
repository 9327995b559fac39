// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine run: from the command line to the exit code. Images are checked before a VM exists;
 * whatever happens afterwards, the terminal is put back and the VM is gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/libvitrine_access.h"
#include "loop.h"
#include "report.h"
#include "terminal.h"

#define CMDLINE_DEFAULT "console=ttyS0"

/* Registers are worth a look where the guest did not end by its own wish. */
static bool end_needs_registers(enum machine_end end)
{
	return end == END_SHUTDOWN || end == END_ENTRY_FAILURE || end == END_INTERNAL_ERROR ||
	       end == END_UNKNOWN_EXIT || end == END_STRICT || end == END_RUN_FAILED;
}

/* A tool can attach before the first instruction. */
static int pause_before_start(struct machine *machine)
{
	struct vitrine_error err;
	uint64_t vm_id;

	if (vitrine_vm_start_paused(machine->vm, &vm_id, &err)) {
		complain("--paused: %s", err.text);
		return EXIT_HOST;
	}
	complain("VM %" PRIu64 " is paused; 'vitrine resume %" PRIu64 "' lets it start", vm_id,
		 vm_id);
	return 0;
}

/* Where --json goes, emptied: what an earlier run left there must not pass for ours. */
static FILE *open_json(const char *path)
{
	FILE *file = !strcmp(path, "-") ? stdout : fopen(path, "we");

	if (!file)
		complain("--json %s: %s", path, strerror(errno));
	return file;
}

/* The exit code, which a failure changes. */
static int finish_json(FILE *file, const char *path, int code)
{
	bool told;

	if (!file || file == stdout)
		return code;
	told = ferror(file);
	if (!fclose(file) || told)
		return code;
	complain("--json %s: %s", path, strerror(errno));
	return code ? code : EXIT_HOST;
}

/* One life of the machine, from its creation to its end; returns the exit code. */
static int run_once(struct vitrine *dev, const struct vitrine_image *image,
		    const struct run_options *options, int signal_fd, uint64_t deadline_ns,
		    const struct report_context *context, enum machine_end *end)
{
	struct machine machine;
	int code, ret;

	*end = END_NONE;
	code = machine_create(&machine, dev, image, options);
	if (!code && options->paused)
		code = pause_before_start(&machine);
	if (code)
		goto out;
	code = machine_start(&machine);
	if (!code)
		loop_run(&machine, signal_fd, deadline_ns);
	machine_join(&machine);
	terminal_restore();
	loop_drain(&machine, signal_fd, deadline_ns);

	*end = machine_ended(&machine);
	code = machine_exit_code(&machine);
	if (output_is_mid_line(&machine.output))
		fputc('\n', stderr);
	complain("%s%s%s", machine_end_text(*end), *machine.end_text ? ": " : "",
		 machine.end_text);
	if (end_needs_registers(*end))
		report_registers(&machine);
	if (options->stats)
		report_text(&machine, context);
	/* One report: of the last life. */
	if (context->json && !(*end == END_RESET && options->reboot)) {
		ret = report_json(&machine, context);
		if (ret) {
			complain("--json %s: %s", options->json, strerror(-ret));
			code = code ? code : EXIT_HOST;
		}
	}
out:
	machine_destroy(&machine);
	return code;
}

/* Linux' console is the serial port unless --append says otherwise later on the line. */
static int complete_cmdline(struct run_options *options, const struct vitrine_image *image,
			    char *buffer, size_t size)
{
	const char *append = options->append ? options->append : "";
	const char *start = !strcmp(vitrine_image_kind(image), "multiboot") ? "" : CMDLINE_DEFAULT;
	int length;

	length = snprintf(buffer, size, "%s%s%s", start, *start && *append ? " " : "", append);
	if (length < 0 || (size_t)length >= size) {
		complain("--append is too long");
		return EXIT_USAGE;
	}
	options->cmdline = buffer;
	return 0;
}

/* What libvitrine would find out only once there is a VM. */
static int check_file(const char *path, const char *what)
{
	struct stat st;

	if (!path)
		return 0;
	if (stat(path, &st) || access(path, R_OK))
		complain("%s %s: %s", what, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		complain("%s %s: is not a regular file", what, path);
	else if (!st.st_size)
		complain("%s %s: is empty", what, path);
	else
		return 0;
	return EXIT_HOST;
}

static int run(struct run_options *options)
{
	struct report_context context = {
		.start_ns = loop_now_ns(),
		.start_ticks = report_ticks(),
		.image_kind = "flat",
	};
	struct vitrine_image *image = NULL;
	struct vitrine *dev = NULL;
	char cmdline[RUN_CMDLINE_BYTES];
	struct vitrine_error err;
	enum machine_end end;
	uint64_t deadline_ns;
	int signal_fd = -1;
	int code;

	if (options->json) {
		context.json = open_json(options->json);
		if (!context.json)
			return EXIT_HOST;
	}
	code = check_file(options->initrd, "initrd");
	if (!code)
		code = check_file(options->flat, "file");
	if (code)
		goto out;
	if (options->kernel) {
		image = vitrine_image_open(options->kernel, &err);
		if (!image) {
			complain("%s", err.text);
			code = EXIT_HOST;
			goto out;
		}
		context.image_kind = vitrine_image_kind(image);
		code = complete_cmdline(options, image, cmdline, sizeof(cmdline));
		if (code)
			goto out;
	}
	dev = vitrine_open(options->device, &err);
	if (!dev) {
		complain("%s", err.text);
		code = EXIT_HOST;
		goto out;
	}
	signal_fd = loop_signals();
	if (signal_fd < 0) {
		complain("signalfd: %s", strerror(errno));
		code = EXIT_HOST;
		goto out;
	}
	deadline_ns = options->timeout_ms ? context.start_ns + options->timeout_ms * 1000000 : 0;
	do {
		code = run_once(dev, image, options, signal_fd, deadline_ns, &context, &end);
		options->paused = false;
	} while (end == END_RESET && options->reboot);
out:
	if (signal_fd >= 0)
		close(signal_fd);
	vitrine_close(dev);
	vitrine_image_close(image);
	return finish_output(finish_json(context.json, options->json, code));
}

int command_run(int argc, char **argv)
{
	struct run_options options;
	struct vitrine_error err;

	if (run_options_parse(argc, argv, &options, &err)) {
		complain("run: %s ('vitrine run --help' lists the options)", err.text);
		return EXIT_USAGE;
	}
	if (options.help) {
		run_options_usage(stdout);
		return finish_output(EXIT_OK);
	}
	return run(&options);
}
