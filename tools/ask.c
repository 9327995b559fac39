// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine ask: steers a VM by rules. Each event is printed and answered, by what stands with its
 * rule on the command line or by a script that gets events and gives answers as lines of JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "ask_script.h"
#include "command.h"
#include "stop.h"
#include "vms.h"

#define MAX_RULES	256	/* of a command line */
#define MAX_LIMIT_MS	3600000

enum { OPTION_DEVICE = 256, OPTION_LIMIT, OPTION_NEXT };

static const struct option long_options[] = {
	{ "answer", required_argument, NULL, 'a' },
	{ "tell", no_argument, NULL, 't' },
	{ "script", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'n' },
	{ "limit-ms", required_argument, NULL, OPTION_LIMIT },
	{ "next", no_argument, NULL, OPTION_NEXT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "json", no_argument, NULL, 'j' },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char usage[] =
	"usage: vitrine ask VM RULE [--answer ANSWER | --tell] [RULE ...] [OPTIONS]\n\n"
	"Has a running VM's exits come here first. RULE is CLASS[:FIRST[-LAST][,SUB[-SUB]]]\n"
	"[/MASK[=MATCH]][@VCPU]; the first that fits decides.\n\n"
	"classes: cpuid rdmsr wrmsr in out cr-read cr-write exception hypercall hlt rdtsc xsetbv\n"
	"invlpg invpcid rdpmc rdrand rdseed wbinvd pause monitor vmx dr-read dr-write\n"
	"mmio-read mmio-write table-load table-store interrupt step\n\n"
	"  -a, --answer ANSWER        for the rule before: go-on (the default), skip, retry,\n"
	"                             value=N (what is read; with go-on, what is written),\n"
	"                             slow=N (rdtsc: so many times slower),\n"
	"                             REGISTER=VALUE,... or inject=VECTOR[,error=CODE][,cr2=ADDR]\n"
	"  -t, --tell                 the rule before tells afterwards, instead of asking\n"
	"  -s, --script COMMAND       all answers come from it: events and answers as lines of JSON\n"
	"  -n, --count N              end after so many events\n"
	"      --limit-ms MS          what the guest waits for an answer at most, 1 to 3600000;\n"
	"                             30000 unless given\n"
	"      --next                 in the place of VM: the next one that is created\n"
	"  -q, --quiet                do not print events\n"
	"  -j, --json                 print them as lines of JSON\n"
	"      --device PATH          hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help                 this text\n\n"
	"VM is the number that 'vitrine list' shows. Exit code: 0, also when the VM is gone;\n"
	"1 and 2 are errors here. See vitrine-ask(1).\n";

struct ask {
	uint64_t vm_id;
	uint32_t nr;
	struct vitrine_rule rules[MAX_RULES];
	struct ask_answer answers[MAX_RULES];
	bool has_answer[MAX_RULES];
	bool refused[MAX_RULES];	/* it was said that the guest cannot take it */
	const char *script;
	const char *device;
	uint64_t count;
	uint32_t limit_ms;
	bool next;
	bool quiet;
	bool json;
};

/* A word that is no option: the VM, then rules. */
static int take_word(struct ask *ask, const char *word)
{
	struct vitrine_error err;

	if (!ask->vm_id && !ask->next)
		return vms_parse_id(word, &ask->vm_id) ? 0 : -EINVAL;
	if (ask->nr == MAX_RULES) {
		complain("more than %d rules", MAX_RULES);
		return -EINVAL;
	}
	if (ask_parse_rule(word, &ask->rules[ask->nr], &err)) {
		complain("%s", err.text);
		return -EINVAL;
	}
	ask->nr++;
	return 0;
}

static int take_answer(struct ask *ask, const char *text)
{
	struct vitrine_error err;

	if (ask_parse_answer(text, &ask->answers[ask->nr - 1], &err)) {
		complain("%s", err.text);
		return -EINVAL;
	}
	ask->has_answer[ask->nr - 1] = true;
	return 0;
}

/* Once all is known that was said of a rule. */
static int check_answers(const struct ask *ask)
{
	struct vitrine_error err;

	for (uint32_t i = 0; i < ask->nr; i++) {
		if (!ask->has_answer[i])
			continue;
		if (ask->script) {
			complain("--answer and --script exclude each other");
			return -EINVAL;
		}
		if (ask_check_answer(&ask->answers[i], &ask->rules[i], &err)) {
			complain("%s", err.text);
			return -EINVAL;
		}
	}
	return 0;
}

/* 0, 1 to end with success, or -EINVAL. */
static int parse(int argc, char **argv, struct ask *ask)
{
	uint64_t value;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "-:a:ts:n:qjh", long_options, NULL)) != -1) {
		int ret = 0;

		if ((option == 'a' || option == 't') && !ask->nr) {
			complain("--answer and --tell follow a rule");
			return -EINVAL;
		}
		switch (option) {
		case 1:
			ret = take_word(ask, optarg);
			break;
		case 'a':
			ret = take_answer(ask, optarg);
			break;
		case 't':
			ask->rules[ask->nr - 1].action = VITRINE_DO_TELL;
			break;
		case 's':
			ask->script = optarg;
			break;
		case 'n':
			if (!parse_count("--count", optarg, UINT64_MAX, &ask->count))
				return -EINVAL;
			break;
		case OPTION_LIMIT:
			if (!parse_count("--limit-ms", optarg, MAX_LIMIT_MS, &value))
				return -EINVAL;
			ask->limit_ms = (uint32_t)value;
			break;
		case OPTION_NEXT:
			if (ask->vm_id) {
				complain("--next is in the place of a VM");
				return -EINVAL;
			}
			ask->next = true;
			break;
		case 'q':
			ask->quiet = true;
			break;
		case 'j':
			ask->json = true;
			break;
		case OPTION_DEVICE:
			ask->device = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			complain_option(argv, option);
			return -EINVAL;
		}
		if (ret)
			return ret;
	}
	/* Behind "--" words come as they are. */
	for (; optind < argc; optind++)
		if (take_word(ask, argv[optind]))
			return -EINVAL;
	if ((!ask->vm_id && !ask->next) || !ask->nr) {
		complain("a VM and a rule are needed; 'vitrine ask --help'");
		return -EINVAL;
	}
	return check_answers(ask);
}

static void print_event(const struct vitrine_exit_event *event, const char *verdict)
{
	printf("vcpu %u: %s 0x%llx", event->vcpu, ask_class_name(event->on),
	       (unsigned long long)event->key);
	if (event->on == VITRINE_ON_CPUID || event->on == VITRINE_ON_IN ||
	    event->on == VITRINE_ON_OUT || event->on == VITRINE_ON_MMIO_READ ||
	    event->on == VITRINE_ON_MMIO_WRITE)
		printf(",0x%llx", (unsigned long long)event->sub);
	if (event->value)
		printf(" value 0x%llx", (unsigned long long)event->value);
	printf(" rip 0x%llx cr3 0x%llx: %s\n", (unsigned long long)event->regs.rip,
	       (unsigned long long)event->cr3, verdict);
}

/* Gives the answer, or in place of one that the guest cannot take none; what became of it. */
static const char *give(struct vitrine_monitor *monitor, struct ask *ask,
			const struct vitrine_exit_event *event, struct vitrine_answer *reply)
{
	static const char *const verdicts[] = { "go-on", "done", "inject" };
	struct vitrine_error err;
	int ret = vitrine_event_answer(monitor, reply, &err);

	if (ret && ret != -ENOENT) {
		/* What the command line says it says each time; a script may know better. */
		if (ask->script || !ask->refused[event->rule])
			complain("%s", err.text);
		ask->refused[event->rule] = true;
		/* The guest must not wait for a better one. */
		*reply = (struct vitrine_answer) { .seq = event->seq };
		ret = vitrine_event_answer(monitor, reply, NULL);
	}
	if (ret == -ENOENT)
		return "too late";
	return event->flags & VITRINE_EVENT_AFTER ? "told" : verdicts[reply->verdict];
}

/* Answers one event. 0, or -errno: the script is gone, or standard output is. */
static int answer(struct vitrine_monitor *monitor, struct ask *ask,
		  struct ask_script *script, const struct vitrine_exit_event *event)
{
	struct ask_answer *from = ask->has_answer[event->rule] ?
					&ask->answers[event->rule] : NULL;
	struct ask_answer scripted;
	struct vitrine_answer reply;
	struct vitrine_error err;
	const char *verdict;
	int ret;

	if (script) {
		ret = ask_script_answer(script, vitrine_monitor_fd(monitor), event, &scripted,
					&err);
		/* A signal ends both, which is no failure; nor is the VM's end, told once. */
		if (ret && ret != -ESRCH && !stop_signal())
			complain("%s", err.text);
		if (ret)
			return ret;
		from = &scripted;
	}
	ask_fill_answer(from, event, &reply);
	verdict = give(monitor, ask, event, &reply);
	if (ask->quiet)
		return 0;
	if (ask->json)
		ask_script_print(stdout, event, verdict);
	else
		print_event(event, verdict);
	return fflush(stdout) || ferror(stdout) ? -EPIPE : 0;
}

static int steer(struct vitrine_monitor *monitor, struct ask *ask, struct ask_script *script)
{
	struct pollfd vm = { .fd = vitrine_monitor_fd(monitor), .events = POLLIN };
	struct vitrine_exit_event event;
	uint64_t left = ask->count;

	while (!stop_signal() && (!ask->count || left)) {
		if (stop_poll(&vm, 1, -1) < 0)
			continue;
		if (vm.revents & POLLIN && vitrine_event_next(monitor, &event, NULL) > 0) {
			int ret = answer(monitor, ask, script, &event);

			if (ret == -ESRCH)
				continue;
			if (ret && !stop_signal())
				return ret == -EPIPE ? finish_output(EXIT_HOST) : EXIT_HOST;
			left--;
		} else if (vm.revents & (POLLHUP | POLLERR)) {
			complain("VM %" PRIu64 " is gone", ask->vm_id);
			break;
		}
	}
	return stop_finish_output(EXIT_OK);
}

static int run(struct ask *ask)
{
	struct vitrine_monitor *monitor;
	struct ask_script script = { 0 };
	struct vitrine_error err;
	int ret = EXIT_HOST;

	if (ask->next && vms_wait_next(&ask->vm_id))
		return EXIT_HOST;
	monitor = vms_attach(ask->device, ask->vm_id, VITRINE_ATTACH_STEER);
	if (!monitor)
		return EXIT_HOST;
	stop_on_signals();
	if ((ask->script && ask_script_start(&script, ask->script, &err)) ||
	    (ask->limit_ms && vitrine_event_limit(monitor, ask->limit_ms, &err)) ||
	    vitrine_policy_set(monitor, ask->rules, ask->nr, &err))
		complain("%s", err.text);
	else
		ret = steer(monitor, ask, ask->script ? &script : NULL);
	/* First, as what still waits goes on by it. */
	vitrine_monitor_detach(monitor);
	if (script.pid > 0)
		ask_script_end(&script);
	return ret;
}

int command_ask(int argc, char **argv)
{
	static struct ask ask;
	int ret = parse(argc, argv, &ask);

	if (ret)
		return ret < 0 ? EXIT_USAGE : finish_output(EXIT_OK);
	return run(&ask);
}
