// SPDX-License-Identifier: GPL-2.0
/* The script of "vitrine ask": its process, its two pipes, and JSON. */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask_script.h"
#include "command.h"
#include "json.h"
#include "stop.h"

#define END_MS		1000	/* for a script, once its input is closed */
#define LOOK_MS		10

__attribute__((format(printf, 3, 4)))
static int fail(struct vitrine_error *err, int code, const char *format, ...)
{
	va_list args;

	err->code = code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -code;
}

static void child(const char *command, const int in[2], const int out[2])
{
	dup2(in[0], STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	/* What we ignore it need not. */
	signal(SIGPIPE, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

int ask_script_start(struct ask_script *script, const char *command, struct vitrine_error *err)
{
	int in[2], out[2];

	if (pipe(in))
		return fail(err, errno, "--script: %s", strerror(errno));
	if (pipe(out)) {
		close(in[0]);
		close(in[1]);
		return fail(err, errno, "--script: %s", strerror(errno));
	}
	script->pid = fork();
	if (!script->pid)
		child(command, in, out);
	close(in[0]);
	close(out[1]);
	script->to = fdopen(in[1], "w");
	script->from = out[0];
	if (script->pid < 0 || !script->to)
		return fail(err, errno, "--script: %s", strerror(errno));
	return 0;
}

static void add(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

void ask_script_print(FILE *to, const struct vitrine_exit_event *event, const char *verdict)
{
	struct json_object *object = json_object_new_object(), *regs = json_object_new_object();
	const __u64 *value = (const __u64 *)&event->regs;
	unsigned int i;

	add(object, "seq", event->seq);
	add(object, "vcpu", event->vcpu);
	json_object_object_add(object, "on", json_object_new_string(ask_class_name(event->on)));
	json_object_object_add(object, "after",
			       json_object_new_boolean(event->flags & VITRINE_EVENT_AFTER));
	add(object, "rule", event->rule);
	json_add_hex(object, "key", event->key);
	json_add_hex(object, "sub", event->sub);
	json_add_hex(object, "value", event->value);
	add(object, "reason", event->reason);
	json_add_hex(object, "qualification", event->qualification);
	add(object, "insn_len", event->insn_len);
	json_add_hex(object, "tsc", event->tsc);
	json_add_hex(object, "cr0", event->cr0);
	json_add_hex(object, "cr3", event->cr3);
	json_add_hex(object, "cr4", event->cr4);
	json_add_hex(object, "efer", event->efer);
	for (i = 0; ask_register_name(i); i++)
		json_add_hex(regs, ask_register_name(i), value[i]);
	json_object_object_add(object, "regs", regs);
	if (verdict)
		json_object_object_add(object, "verdict", json_object_new_string(verdict));
	fprintf(to, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

/* A number, or text that is one. */
static bool is_number(struct json_object *object, uint64_t wanted)
{
	const char *at = json_object_get_string(object);
	uint64_t number;

	if (!json_object_is_type(object, json_type_string))
		return json_object_get_uint64(object) == wanted;
	return take_number(&at, &number) && !*at && number == wanted;
}

/* {"seq": N, "answer": "..."}; without "seq" it is of the event that was asked about. */
static int parse_line(const char *line, const struct vitrine_exit_event *event,
		      struct ask_answer *answer, struct vitrine_error *err)
{
	struct json_object *object = json_tokener_parse(line), *member;
	int ret = 0;

	if (!object || !json_object_is_type(object, json_type_object))
		ret = fail(err, EPROTO, "--script: no JSON object: %.200s", line);
	else if (json_object_object_get_ex(object, "seq", &member) &&
		 !is_number(member, event->seq))
		ret = fail(err, EPROTO, "--script: an answer to event %.40s, not to %llu",
			   json_object_to_json_string(member), (unsigned long long)event->seq);
	else if (!json_object_object_get_ex(object, "answer", &member) ||
		 !json_object_is_type(member, json_type_string))
		ret = fail(err, EPROTO, "--script: no string \"answer\": %.200s", line);
	else
		ret = ask_parse_answer(json_object_get_string(member), answer, err);
	json_object_put(object);
	return ret;
}

/* The end of the first line in script->line, for which it is waited; NULL with *err set. */
static char *wait_line(struct ask_script *script, int vm_fd, struct vitrine_error *err)
{
	struct pollfd fds[2] = {
		{ .fd = script->from, .events = POLLIN },
		{ .fd = vm_fd, .events = POLLHUP },
	};
	char *end;

	while (!(end = memchr(script->line, '\n', script->have))) {
		size_t room = sizeof(script->line) - script->have;
		ssize_t got = 0;

		if (stop_poll(fds, 2, -1) < 0) {
			fail(err, errno, "--script: %s", strerror(errno));
			return NULL;
		}
		if (fds[1].revents & (POLLHUP | POLLERR)) {
			fail(err, ESRCH, "the VM is gone");
			return NULL;
		}
		if (!fds[0].revents)
			continue;
		if (room)
			got = read(script->from, script->line + script->have, room);
		if (got <= 0) {
			fail(err, ENODATA, room ? "--script: it gave no answer" :
						  "--script: a line without end");
			return NULL;
		}
		script->have += (size_t)got;
	}
	return end;
}

int ask_script_answer(struct ask_script *script, int vm_fd, const struct vitrine_exit_event *event,
		      struct ask_answer *answer, struct vitrine_error *err)
{
	char *end;
	int ret;

	ask_script_print(script->to, event, NULL);
	if (fflush(script->to))
		return fail(err, ENODATA, "--script: it gave no answer");
	end = wait_line(script, vm_fd, err);
	if (!end)
		return -err->code;
	*end++ = 0;
	ret = parse_line(script->line, event, answer, err);
	script->have -= (size_t)(end - script->line);
	memmove(script->line, end, script->have);
	return ret;
}

void ask_script_end(struct ask_script *script)
{
	unsigned int left;

	if (script->to)
		fclose(script->to);
	close(script->from);
	for (left = END_MS / LOOK_MS; left; left--) {
		if (waitpid(script->pid, NULL, WNOHANG))
			return;
		usleep(LOOK_MS * 1000);
	}
	kill(script->pid, SIGKILL);
	waitpid(script->pid, NULL, 0);
}
