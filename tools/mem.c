// SPDX-License-Identifier: GPL-2.0
/* vitrine mem: memory of a running VM, shown, searched or written. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "mem.h"
#include "vms.h"

#define GIB		(1ull << 30)
#define DUMP_BYTES	256
#define CHUNK_BYTES	(1u << 20)
#define LINE_BYTES	16

enum { OPTION_DEVICE = 256, OPTION_FROM, OPTION_TO, OPTION_RAW };

static const struct option long_options[] = {
	{ "physical", no_argument, NULL, 'p' },
	{ "vcpu", required_argument, NULL, 'v' },
	{ "raw", no_argument, NULL, OPTION_RAW },
	{ "json", no_argument, NULL, 'j' },
	{ "from", required_argument, NULL, OPTION_FROM },
	{ "to", required_argument, NULL, OPTION_TO },
	{ "count", required_argument, NULL, 'n' },
	{ "file", required_argument, NULL, 'f' },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char usage[] =
	"usage: vitrine mem VM dump ADDRESS [LENGTH] [OPTIONS]\n"
	"       vitrine mem VM search BYTES [OPTIONS]\n"
	"       vitrine mem VM write ADDRESS BYTES|--file FILE [OPTIONS]\n\n"
	"Memory of a running VM, whatever program runs it. Addresses are virtual ones of a vCPU's;\n"
	"a search is in physical memory unless --vcpu is given. BYTES are text, or hex:1f8b08.\n\n"
	"  -p, --physical         addresses are guest-physical\n"
	"  -v, --vcpu INDEX       they are virtual, as this vCPU pages now; 0 unless given\n"
	"      --raw              dump: the bytes themselves\n"
	"  -j, --json             as JSON\n"
	"      --from ADDRESS     search: from here, 0 unless given\n"
	"      --to ADDRESS       up to here; unless given, all of its memory\n"
	"  -n, --count N          end after N finds\n"
	"  -f, --file FILE        write: what is in it\n"
	"      --device PATH      hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help             this text\n\n"
	"VM is the number that 'vitrine list' shows. See vitrine-mem(1).\n";

struct request {
	struct mem mem;
	enum { MEM_DUMP, MEM_SEARCH, MEM_WRITE } verb;
	uint64_t address;
	uint64_t length;
	const char *words[4];
	int nr_words;
	const char *file;
	const char *device;
	bool physical;
	bool virtual;
	bool has_end;
	bool raw;
};

static uint8_t *parse_hex(const char *text, size_t *nr)
{
	uint8_t *bytes = malloc(strlen(text) / 2 + 1);
	unsigned int value;
	int used;

	for (*nr = 0; bytes && *text; text += used) {
		used = 0;
		if (sscanf(text, "%2x%n", &value, &used) != 1 || used != 2 || *text == ' ' ||
		    *text == '+' || *text == '-') {
			free(bytes);
			return NULL;
		}
		bytes[(*nr)++] = (uint8_t)value;
	}
	return bytes;
}

static bool parse_bytes(const char *text, struct mem *mem)
{
	if (!strncmp(text, "hex:", 4)) {
		mem->bytes = parse_hex(text + 4, &mem->nr_bytes);
	} else {
		mem->bytes = (const uint8_t *)text;
		mem->nr_bytes = strlen(text);
	}
	if (mem->bytes && mem->nr_bytes)
		return true;
	complain("'%s': text, or hex: and two digits a byte", text);
	return false;
}

/* The file stays mapped. */
static bool map_file(const char *path, struct mem *mem)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st)) {
		complain("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	map = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) :
			   MAP_FAILED;
	close(fd);
	if (map == MAP_FAILED) {
		complain("%s: not a file that holds something", path);
		return false;
	}
	mem->bytes = map;
	mem->nr_bytes = (size_t)st.st_size;
	return true;
}

/* 0, 1 to end with success, or -1. */
static int parse_options(int argc, char **argv, struct request *request)
{
	struct mem *mem = &request->mem;
	uint64_t value;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":pv:jn:f:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'p':
			request->physical = true;
			break;
		case 'v':
			if (!parse_index("--vcpu", optarg, UINT32_MAX, &value))
				return -1;
			mem->vcpu = (int64_t)value;
			request->virtual = true;
			break;
		case OPTION_RAW:
			request->raw = true;
			break;
		case 'j':
			mem->json = true;
			break;
		case OPTION_FROM:
			if (!parse_index("--from", optarg, UINT64_MAX, &mem->from))
				return -1;
			break;
		case OPTION_TO:
			if (!parse_index("--to", optarg, UINT64_MAX, &mem->to))
				return -1;
			request->has_end = true;
			break;
		case 'n':
			if (!parse_count("--count", optarg, UINT64_MAX, &mem->count))
				return -1;
			break;
		case 'f':
			request->file = optarg;
			break;
		case OPTION_DEVICE:
			request->device = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			complain_option(argv, option);
			return -1;
		}
	}
	for (; optind < argc && request->nr_words < 4; optind++)
		request->words[request->nr_words++] = argv[optind];
	if (optind < argc) {
		complain("mem: '%s' is one too many", argv[optind]);
		return -1;
	}
	return 0;
}

static bool refuse_words(void)
{
	complain("mem: a VM, then dump, search or write and what that takes; 'vitrine mem --help'");
	return false;
}

static bool parse_dump(struct request *request)
{
	struct vitrine_error err;

	request->verb = MEM_DUMP;
	request->length = DUMP_BYTES;
	if (request->nr_words < 3)
		return refuse_words();
	if (request->nr_words == 4 &&
	    (vitrine_parse_size(request->words[3], &request->length, &err) || !request->length)) {
		complain("'%s' is not a length", request->words[3]);
		return false;
	}
	if (!parse_index("address", request->words[2], UINT64_MAX, &request->address))
		return false;
	if (request->address + request->length - 1 >= request->address)
		return true;
	complain("address '%s': the length goes beyond the last one", request->words[2]);
	return false;
}

static bool parse_search(struct request *request)
{
	struct mem *mem = &request->mem;

	request->verb = MEM_SEARCH;
	request->physical = !request->virtual;
	if (request->nr_words != 3)
		return refuse_words();
	if (request->virtual && !request->has_end) {
		complain("mem: a search by virtual address wants --to");
		return false;
	}
	if (request->has_end && mem->to <= mem->from) {
		complain("mem: --to is not above --from");
		return false;
	}
	return parse_bytes(request->words[2], mem);
}

static bool parse_write(struct request *request)
{
	request->verb = MEM_WRITE;
	if (request->nr_words != 4 - !!request->file)
		return refuse_words();
	return parse_index("address", request->words[2], UINT64_MAX, &request->address) &&
	       (request->file ? map_file(request->file, &request->mem) :
				parse_bytes(request->words[3], &request->mem));
}

static bool parse_words(struct request *request)
{
	const char *verb = request->words[1];

	if (request->physical && request->virtual) {
		complain("--physical and --vcpu exclude each other");
		return false;
	}
	if (request->nr_words < 2)
		return refuse_words();
	if (!vms_parse_id(request->words[0], &request->mem.vm_id))
		return false;
	if (!strcmp(verb, "dump"))
		return parse_dump(request);
	if (!strcmp(verb, "search"))
		return parse_search(request);
	if (!strcmp(verb, "write"))
		return parse_write(request);
	return refuse_words();
}

/* As hexdump -C has it. */
static void print_line(uint64_t address, const uint8_t *bytes, size_t nr)
{
	size_t i;

	printf("%08" PRIx64, address);
	for (i = 0; i < LINE_BYTES; i++) {
		if (i < nr)
			printf("%s%02x", i % 8 ? " " : "  ", bytes[i]);
		else
			fputs(i % 8 ? "   " : "    ", stdout);
	}
	fputs("  |", stdout);
	for (i = 0; i < nr; i++)
		putchar(bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
	puts("|");
}

/* Lines that are like the one before are a star, as there, across calls. */
static void print_lines(uint64_t address, const uint8_t *bytes, size_t nr, bool first)
{
	static uint8_t last[LINE_BYTES];
	static bool has_last, starred;
	size_t i, here;

	has_last = has_last && !first;
	for (i = 0; i < nr; i += LINE_BYTES) {
		here = nr - i < LINE_BYTES ? nr - i : LINE_BYTES;
		if (has_last && here == LINE_BYTES && !memcmp(last, bytes + i, LINE_BYTES)) {
			if (!starred)
				puts("*");
			starred = true;
			continue;
		}
		starred = false;
		print_line(address + i, bytes + i, here);
		memcpy(last, bytes + i, here);
		has_last = here == LINE_BYTES;
	}
}

static void print_json(uint64_t address, const uint8_t *bytes, size_t nr, bool first)
{
	size_t i;

	if (first)
		printf("{\"address\":\"0x%" PRIx64 "\",\"bytes\":\"", address);
	for (i = 0; i < nr; i++)
		printf("%02x", bytes[i]);
}

static int dump(const struct request *request, struct vitrine_error *err)
{
	const struct mem *mem = &request->mem;
	uint8_t *buffer = malloc(CHUNK_BYTES);
	uint64_t done = 0;
	int64_t got = 0;

	if (!buffer) {
		*err = (struct vitrine_error) { ENOMEM, "out of memory" };
		return -ENOMEM;
	}
	while (done < request->length && !ferror(stdout)) {
		uint64_t left = request->length - done;

		got = vitrine_monitor_read_memory(mem->monitor, mem->vcpu, request->address + done,
						  buffer, left < CHUNK_BYTES ? left : CHUNK_BYTES,
						  err);
		if (got <= 0)
			break;
		if (request->raw)
			fwrite(buffer, 1, (size_t)got, stdout);
		else if (mem->json)
			print_json(request->address + done, buffer, (size_t)got, !done);
		else
			print_lines(request->address + done, buffer, (size_t)got, !done);
		done += (uint64_t)got;
	}
	if (done && mem->json && !request->raw)
		puts("\"}");
	else if (done && !request->raw)
		printf("%08" PRIx64 "\n", request->address + done);
	free(buffer);
	return got < 0 ? (int)got : 0;
}

static int write_bytes(const struct request *request, struct vitrine_error *err)
{
	const struct mem *mem = &request->mem;
	int64_t got = vitrine_monitor_write_memory(mem->monitor, mem->vcpu, request->address,
						   mem->bytes, mem->nr_bytes, err);

	if (got >= 0 && (uint64_t)got < mem->nr_bytes) {
		complain("%lld of %zu bytes were written: there is no more memory",
			 (long long)got, mem->nr_bytes);
		*err = (struct vitrine_error) { EFAULT, "the write is incomplete" };
		return -EFAULT;
	}
	return got < 0 ? (int)got : 0;
}

static void add_memory(const struct vitrine_vm_info *vm, void *data)
{
	*(uint64_t *)data = vm->memory_bytes;
}

/*
 * A search goes on until it has seen as much as there is. A PC has a hole for devices that ends at
 * 4 GiB, and where that begins is the VMM's choice: at the most all of the memory is above it.
 */
static int choose_end(struct mem *mem, struct vitrine_error *err)
{
	struct vitrine_error why = { ENODATA, "none" };
	struct vitrine_watch *watch = vitrine_watch_open(&why);

	if (watch)
		vitrine_watch_vms(watch, mem->vm_id, add_memory, &mem->all, &why);
	vitrine_watch_close(watch);
	mem->to = 4 * GIB + mem->all;
	return mem->all ? 0 : refuse(err, "without --to: how much memory is there? %s", why.text);
}

static int search(struct request *request, struct vitrine_error *err)
{
	int ret = request->has_end ? 0 : choose_end(&request->mem, err);

	return ret ? ret : mem_search(&request->mem, err);
}

static int run(struct request *request)
{
	uint32_t flags = request->verb == MEM_WRITE ? VITRINE_ATTACH_CONTROL : 0;
	struct mem *mem = &request->mem;
	struct vitrine_error err;
	int ret;

	if (request->physical)
		mem->vcpu = -1;
	mem->monitor = vms_attach(request->device, mem->vm_id, flags);
	if (!mem->monitor)
		return EXIT_HOST;
	if (request->verb == MEM_DUMP)
		ret = dump(request, &err);
	else if (request->verb == MEM_SEARCH)
		ret = search(request, &err);
	else
		ret = write_bytes(request, &err);
	if (ret)
		complain("%s", err.text);
	vitrine_monitor_detach(mem->monitor);
	return finish_output(ret ? EXIT_HOST : EXIT_OK);
}

int command_mem(int argc, char **argv)
{
	struct request request = { 0 };
	int ret = parse_options(argc, argv, &request);

	if (ret)
		return ret < 0 ? EXIT_USAGE : finish_output(EXIT_OK);
	return parse_words(&request) ? run(&request) : EXIT_USAGE;
}
