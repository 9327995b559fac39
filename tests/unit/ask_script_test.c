// SPDX-License-Identifier: GPL-2.0
/* build: tools/ask_script.c tools/ask_answer.c tools/ask_rule.c tools/json.c tools/stop.c */
/* build: tools/command.c -ljson-c */
/* The script of "vitrine ask": what it is told, and which of its lines are answers. */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/ask_script.h"
#include "../../tools/command.h"
#include "../../tools/stop.h"
#include "tap.h"

static const struct vitrine_exit_event event = {
	.seq = 7, .on = VITRINE_ON_IN, .key = 0x3f8, .sub = 1, .tsc = 0x123456789abcdef1,
	.regs = { .rip = 0xffffffff81a17a0b },
};

/* What one line of a script is worth; 0, or -errno. */
static int answer(const char *line, struct ask_answer *answer)
{
	struct ask_script script = {};
	struct vitrine_error err;
	char command[256];
	int gone[2], ret;

	if (pipe(gone))
		return -errno;
	snprintf(command, sizeof(command), "read -r event; echo '%s'; cat", line);
	ret = ask_script_start(&script, command, &err);
	if (!ret)
		ret = ask_script_answer(&script, gone[0], &event, answer, &err);
	ask_script_end(&script);
	close(gone[0]);
	close(gone[1]);
	return ret;
}

static bool test_answers(void)
{
	static const char *const good[] = {
		"{\"answer\": \"skip\"}", "{\"answer\": \"skip\", \"seq\": 7}",
		"{\"answer\": \"skip\", \"seq\": \"0x7\"}",
		"{\"answer\": \"skip\", \"seq\": \"7\"}",
	};
	static const char *const bad[] = {
		"{\"answer\": \"skip\", \"seq\": 8}", "{\"answer\": \"skip\", \"seq\": \"0x8\"}",
		"{\"answer\": \"skip\", \"seq\": \"x\"}", "{\"answer\": \"\"}", "{\"answer\": 1}",
		"{}", "skip",
	};
	struct ask_answer got;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (answer(good[i], &got) || got.verdict != VITRINE_DONE) {
			tap_diag("%s is none", good[i]);
			return false;
		}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!answer(bad[i], &got)) {
			tap_diag("%s is one", bad[i]);
			return false;
		}
	return !answer("{\"answer\": \"rax=0xffffffff81a17a0b\"}", &got) &&
	       got.value[0] == 0xffffffff81a17a0b;
}

static bool text_is(struct json_object *object, const char *name, const char *text)
{
	struct json_object *found = NULL;

	return json_object_object_get_ex(object, name, &found) &&
	       json_object_is_type(found, json_type_string) &&
	       !strcmp(json_object_get_string(found), text);
}

/* No bit is lost to who reads numbers as doubles. */
static bool test_event(void)
{
	struct json_object *object, *regs = NULL, *seq = NULL;
	char *text = NULL;
	size_t size;
	FILE *to;
	bool ok;

	to = open_memstream(&text, &size);
	ask_script_print(to, &event, "too late");
	fclose(to);
	object = json_tokener_parse(text);
	json_object_object_get_ex(object, "regs", &regs);
	json_object_object_get_ex(object, "seq", &seq);
	ok = text_is(object, "key", "0x3f8") && text_is(object, "tsc", "0x123456789abcdef1") &&
	     text_is(regs, "rip", "0xffffffff81a17a0b") && text_is(object, "verdict", "too late") &&
	     json_object_is_type(seq, json_type_int) && json_object_get_int(seq) == 7;
	if (!ok)
		tap_diag("%s", text);
	json_object_put(object);
	free(text);
	return ok;
}

/* From before the wait on; and it says nothing, or it would be asked again. */
static bool test_signal(void)
{
	struct ask_answer got;

	stop_on_signals();
	raise(SIGTERM);
	return answer("", &got) == -EINTR;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "which lines are answers", test_answers },
		{ "what it is told", test_event },
		{ "a signal while it thinks", test_signal },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
