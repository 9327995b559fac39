// SPDX-License-Identifier: GPL-2.0
/*
 * "vitrine trace" beside a VMM that knows nothing of it: its lines, filters, JSON and the browser's
 * file, and how it ends.
 */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/monitor.h"

#define TEXT_BYTES	(256 * 1024)
#define TRACE_FILE	"/tmp/tool_trace.json"

/* CPUID in the kernel, OUT in the VMM. */
GUEST_CODE(guest_steps,
	   "1: mov $0x1, %eax\nxor %ecx, %ecx\ncpuid\n"
	   "mov $0x77, %al\nout %al, $0x42\njmp 1b\n");

FIXTURE(tool) {
	pid_t vmm;
	uint64_t id;
	char *text;
};

static void be_vmm(int to_parent)
{
	struct test_vm *vm = test_vm_create();
	struct test_vcpu *vcpu = test_vcpu_create(vm, 0);
	uint64_t id = test_vm_id(vm);

	test_vcpu_set_supported_cpuid(vcpu);
	test_vcpu_long_mode(vcpu, GUEST_BLOB(guest_steps));
	if (write(to_parent, &id, sizeof(id)) != sizeof(id))
		test_die("write");
	close(to_parent);
	for (;;) {
		ioctl(vcpu->fd, KVM_RUN, 0);
		/* So that the tool keeps up. */
		usleep(1000);
	}
}

FIXTURE_SETUP(tool)
{
	int up[2];

	if (test_on_kvm())
		SKIP(TEST_NOT_AT_ALL, "KVM has no monitors");
	self->text = malloc(TEXT_BYTES);
	if (!self->text || pipe(up))
		test_die("pipe");
	self->vmm = fork();
	if (self->vmm < 0)
		test_die("fork");
	if (!self->vmm) {
		close(up[0]);
		be_vmm(up[1]);
	}
	close(up[1]);
	if (read(up[0], &self->id, sizeof(self->id)) != sizeof(self->id))
		test_die("the VMM did not start");
	close(up[0]);
}

FIXTURE_TEARDOWN(tool)
{
	kill(self->vmm, SIGKILL);
	waitpid(self->vmm, NULL, 0);
	free(self->text);
}

/* "vitrine trace OPTIONS VM": its exit code; what it says is in @text. */
static int run_tool(char *text, const char *options, uint64_t id)
{
	char command[256];
	size_t have;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "timeout -s KILL 20 vitrine trace %s %llu 2>&1", options,
		 (unsigned long long)id);
	pipe = popen(command, "r");
	if (!pipe)
		test_die("popen");
	have = fread(text, 1, TEXT_BYTES - 1, pipe);
	text[have] = 0;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned int lines(const char *text)
{
	unsigned int count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

TEST_F(tool, text)
{
	EXPECT_EQ(0, run_tool(self->text, "--count 6", self->id));
	EXPECT_EQ(6, lines(self->text));
	EXPECT_NE(NULL, strstr(self->text, " CPUID "));
	EXPECT_NE(NULL, strstr(self->text, " cpuid "));
	EXPECT_NE(NULL, strstr(self->text, " leaf 0x1 subleaf 0x0"));
	EXPECT_NE(NULL, strstr(self->text, " out 0x42, al "));
	EXPECT_NE(NULL, strstr(self->text, " > out port 0x42 size 1 value 0x77\n"));
	EXPECT_NE(NULL, strstr(self->text, " vcpu0 "));
	EXPECT_EQ(0, run_tool(self->text, "--count 2 --no-insn --reason CPUID", self->id));
	EXPECT_EQ(NULL, strstr(self->text, " cpuid "));
}

TEST_F(tool, filters)
{
	char options[64];

	EXPECT_EQ(0, run_tool(self->text, "--count 6 --reason io_instruction,31", self->id));
	EXPECT_EQ(6, lines(self->text));
	EXPECT_EQ(NULL, strstr(self->text, " CPUID "));
	EXPECT_EQ(0, run_tool(self->text, "--count 6 --reason '!IO_INSTRUCTION,EPT_VIOLATION'",
			      self->id));
	EXPECT_EQ(NULL, strstr(self->text, "IO_INSTRUCTION"));
	EXPECT_NE(NULL, strstr(self->text, " CPUID "));
	snprintf(options, sizeof(options), "--count 4 --rip 0x%x-0x%x", TEST_CODE_GPA + 9,
		 TEST_CODE_GPA + 40);
	EXPECT_EQ(0, run_tool(self->text, options, self->id));
	EXPECT_EQ(4, lines(self->text));
	EXPECT_EQ(NULL, strstr(self->text, " CPUID "));
	snprintf(options, sizeof(options), "--count 4 --cr3 0x%x", TEST_PML4_GPA);
	EXPECT_EQ(0, run_tool(self->text, options, self->id));
	EXPECT_EQ(4, lines(self->text));
	EXPECT_EQ(0, run_tool(self->text, "--time 0.3 --cr3 0x1000", self->id));
	EXPECT_STREQ("", self->text);
}

/* Only what rules name, also where it would not exit at all. */
TEST_F(tool, rules)
{
	EXPECT_EQ(0, run_tool(self->text, "--count 4 --rule cpuid:1,0", self->id));
	EXPECT_EQ(4, lines(self->text));
	EXPECT_EQ(NULL, strstr(self->text, "IO_INSTRUCTION"));
	EXPECT_EQ(0, run_tool(self->text, "--count 4 --rule cpuid:2 --rule rdtsc -r 30",
			      self->id));
	EXPECT_EQ(4, lines(self->text));
	EXPECT_EQ(NULL, strstr(self->text, " CPUID "));
	EXPECT_EQ(0, run_tool(self->text, "--time 0.3 --rule cpuid:2", self->id));
	EXPECT_STREQ("", self->text);
	EXPECT_EQ(2, run_tool(self->text, "--rule cpid", self->id));
	EXPECT_NE(NULL, strstr(self->text, "no class 'cpid'"));
	EXPECT_EQ(2, run_tool(self->text, "--rule cr-write:9", self->id));
	EXPECT_NE(NULL, strstr(self->text, "cr-write goes from 0 to 8"));
}

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *found = NULL;

	json_object_object_get_ex(object, name, &found);
	return found;
}

static bool text_is(struct json_object *object, const char *name, const char *text)
{
	struct json_object *found = member(object, name);

	return found && !strcmp(json_object_get_string(found), text);
}

TEST_F(tool, json)
{
	struct json_object *line;
	unsigned int seen = 0;
	char *next, *end;

	EXPECT_EQ(0, run_tool(self->text, "--count 5 --json --reason IO_INSTRUCTION", self->id));
	for (char *at = self->text; *at; at = next) {
		end = strchr(at, '\n');
		ASSERT_NE(NULL, end);
		*end = 0;
		next = end + 1;
		line = json_tokener_parse(at);
		ASSERT_NE(NULL, line);
		EXPECT_TRUE(text_is(line, "reason", "IO_INSTRUCTION"));
		EXPECT_TRUE(text_is(line, "insn", "out 0x42, al"));
		EXPECT_TRUE(text_is(line, "result", "0"));
		EXPECT_NE(NULL, member(member(line, "regs"), "r15"));
		EXPECT_LT(0, json_object_get_int64(member(line, "guest_ticks")));
		EXPECT_LE(0, json_object_get_double(member(line, "us")));
		json_object_put(line);
		seen++;
	}
	EXPECT_EQ(5, seen);
}

static int64_t ns(struct json_object *event, const char *name)
{
	return (int64_t)(json_object_get_double(member(event, name)) * 1000 + 0.5);
}

struct slices {
	unsigned int names, guest, exits, handlers, vmm;
	unsigned int to_vmm;		/* exits whose record says so */
	unsigned int gaps, astray;	/* between slices; nested ones out of their exit */
};

static void count_slices(struct slices *count, uint64_t id)
{
	struct json_object *root = json_object_from_file(TRACE_FILE), *events, *event;
	int64_t begin, end, last = -1, exit_begin = -1;

	*count = (struct slices) {};
	if (!root)
		test_die(TRACE_FILE);
	events = member(root, "traceEvents");
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		event = json_object_array_get_idx(events, i);
		if ((uint64_t)json_object_get_int64(member(event, "pid")) != id)
			test_die("pid");
		count->names += text_is(event, "ph", "M");
		if (!text_is(event, "ph", "X"))
			continue;
		begin = ns(event, "ts");
		end = begin + ns(event, "dur");
		if (begin < 0 || end < begin)
			test_die("a slice without a length");
		count->handlers += text_is(event, "name", "handler");
		count->vmm += text_is(event, "name", "VMM");
		if (text_is(event, "cat", "host")) {
			count->astray += begin < exit_begin || end > last;
			continue;
		}
		count->guest += text_is(event, "cat", "guest");
		if (text_is(event, "cat", "exit")) {
			count->exits++;
			count->to_vmm += text_is(member(event, "args"), "result", "0");
			exit_begin = begin;
		}
		count->gaps += last >= 0 && begin != last;
		last = end;
	}
	json_object_put(root);
	unlink(TRACE_FILE);
}

TEST_F(tool, browser)
{
	struct slices count;

	EXPECT_EQ(0, run_tool(self->text, "--count 8 --output " TRACE_FILE, self->id));
	EXPECT_STREQ("", self->text);
	count_slices(&count, self->id);
	EXPECT_EQ(2, count.names);
	EXPECT_EQ(8, count.guest);
	EXPECT_EQ(8, count.exits);
	/* All but the last exit end with an entry, and the VMM has what it was given. */
	EXPECT_EQ(0, count.gaps);
	EXPECT_EQ(0, count.astray);
	EXPECT_EQ(7, count.handlers);
	EXPECT_LE(2, count.vmm);
	EXPECT_GE(count.to_vmm, count.vmm);
	EXPECT_LE(count.to_vmm, count.vmm + 1);
	/* What comes after one of these is not known. */
	EXPECT_EQ(0, run_tool(self->text, "--count 4 -r IO_INSTRUCTION --output " TRACE_FILE,
			      self->id));
	count_slices(&count, self->id);
	EXPECT_EQ(4, count.exits);
	EXPECT_EQ(4, count.to_vmm);
	EXPECT_EQ(0, count.handlers + count.vmm);
	EXPECT_EQ(1, run_tool(self->text, "--count 8 --output /nonexistent/file", self->id));
	EXPECT_NE(NULL, strstr(self->text, "/nonexistent/file"));
}

/* Records wait to be read until there are many, or for longer than this; the end is no loss. */
TEST_F(tool, short_time)
{
	EXPECT_EQ(0, run_tool(self->text, "--time 0.03", self->id));
	EXPECT_LE(4, lines(self->text));
}

TEST_F(tool, summary)
{
	EXPECT_EQ(0, run_tool(self->text, "--count 20 --summary", self->id));
	EXPECT_EQ(self->text, strstr(self->text, "20 exits recorded in "));
	EXPECT_NE(NULL, strstr(self->text, "\nCPUID  "));
	EXPECT_NE(NULL, strstr(self->text, "\nIO_INSTRUCTION  "));
	EXPECT_LE(4, lines(self->text));
}

TEST_F(tool, refusals)
{
	EXPECT_EQ(1, run_tool(self->text, "", 999999));
	EXPECT_NE(NULL, strstr(self->text, "no VM of this number"));
	EXPECT_EQ(1, run_tool(self->text, "--time 0.2 --vcpu 3", self->id));
	EXPECT_NE(NULL, strstr(self->text, "there was no vCPU 3"));
	EXPECT_EQ(2, run_tool(self->text, "--reason NOTHING", self->id));
	EXPECT_EQ(2, run_tool(self->text, "--records 24", self->id));
	EXPECT_EQ(2, run_tool(self->text, "--rip 5-4", self->id));
	EXPECT_EQ(2, run_tool(self->text, "--time never", self->id));
	EXPECT_EQ(2, run_tool(self->text, "--json --summary", self->id));
	EXPECT_EQ(2, run_tool(self->text, "1", self->id));
	EXPECT_EQ(0, run_tool(self->text, "--help", self->id));
	EXPECT_NE(NULL, strstr(self->text, "usage: vitrine trace"));
}

/* It ends with the VM, and the VM does not end with it. */
TEST_F(tool, ends)
{
	pid_t killer;

	EXPECT_EQ(0, run_tool(self->text, "--time 0.3 --summary", self->id));
	EXPECT_EQ(0, kill(self->vmm, 0));
	EXPECT_EQ(0, run_tool(self->text, "--count 2", self->id));
	killer = fork();
	ASSERT_LE(0, killer);
	if (!killer) {
		usleep(500000);
		_exit(kill(self->vmm, SIGKILL));
	}
	EXPECT_EQ(0, run_tool(self->text, "--summary", self->id));
	EXPECT_NE(NULL, strstr(self->text, "\nCPUID  "));
	waitpid(killer, NULL, 0);
}

TEST_HARNESS_MAIN
