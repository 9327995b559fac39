// SPDX-License-Identifier: GPL-2.0
/*
 * Reading from the module by generic netlink: dumps and events, decoded into plain structures.
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"
#include "libvitrine_watch.h"
#include "vitrine_netlink.h"

#define NAMES_BYTES	2048
#define QUEUE_BYTES	(1 << 20)	/* some thousand events */

struct vitrine_watch {
	struct nl_sock *sock;		/* requests and answers */
	struct nl_sock *events;		/* NULL until joined */
	struct nl_sock *samples;	/* likewise */
	int family;
	uint32_t tsc_khz;
	unsigned int nr_counters;
	const char *counters[VITRINE_WATCH_COUNTERS];	/* into names */
	char names[NAMES_BYTES];
};

/* A message taken apart. */
struct attrs {
	struct nlattr *at[VITRINE_NL_NR_ATTRS];
};

/* What a message handler needs, and how the exchange went. */
struct reading {
	struct vitrine_watch *watch;
	void (*decode)(struct reading *reading, const struct attrs *attrs);
	union {
		void (*vm)(const struct vitrine_vm_info *vm, void *data);
		void (*vcpu)(const struct vitrine_vcpu_info *vcpu, void *data);
		void (*counters)(const struct vitrine_counters *counters, void *data);
		void (*event)(const struct vitrine_life_event *event, void *data);
	} fn;
	void *data;
	int error;	/* the module's errno */
};

static uint32_t u32_of(const struct attrs *attrs, int attr)
{
	return attrs->at[attr] && nla_len(attrs->at[attr]) >= 4 ? nla_get_u32(attrs->at[attr]) : 0;
}

static uint64_t u64_of(const struct attrs *attrs, int attr)
{
	return attrs->at[attr] && nla_len(attrs->at[attr]) >= 8 ? nla_get_u64(attrs->at[attr]) : 0;
}

static void copy_name(const struct attrs *attrs, char *name)
{
	if (attrs->at[VITRINE_NL_A_VM_NAME])
		nla_strlcpy(name, attrs->at[VITRINE_NL_A_VM_NAME], VITRINE_WATCH_NAME_BYTES);
}

static void decode_vm(struct reading *reading, const struct attrs *attrs)
{
	struct vitrine_vm_info vm = {
		.id = u64_of(attrs, VITRINE_NL_A_VM_ID),
		.state = u32_of(attrs, VITRINE_NL_A_VM_STATE),
		.owner_pid = u32_of(attrs, VITRINE_NL_A_OWNER_PID),
		.owner_uid = u32_of(attrs, VITRINE_NL_A_OWNER_UID),
		.nr_vcpus = u32_of(attrs, VITRINE_NL_A_NR_VCPUS),
		.age_ns = u64_of(attrs, VITRINE_NL_A_AGE_NS),
		.memory_bytes = u64_of(attrs, VITRINE_NL_A_MEMORY_BYTES),
		.table_bytes = u64_of(attrs, VITRINE_NL_A_TABLE_BYTES),
	};

	copy_name(attrs, vm.name);
	reading->fn.vm(&vm, reading->data);
}

static void decode_vcpu(struct reading *reading, const struct attrs *attrs)
{
	struct vitrine_vcpu_info vcpu = {
		.vm_id = u64_of(attrs, VITRINE_NL_A_VM_ID),
		.id = u32_of(attrs, VITRINE_NL_A_VCPU_ID),
		.state = u32_of(attrs, VITRINE_NL_A_VCPU_STATE),
		.cpu = attrs->at[VITRINE_NL_A_CPU] ? (int)u32_of(attrs, VITRINE_NL_A_CPU) : -1,
		.has_run = attrs->at[VITRINE_NL_A_EXIT_REASON],
		.thread = u32_of(attrs, VITRINE_NL_A_THREAD),
		.exit_reason = u32_of(attrs, VITRINE_NL_A_EXIT_REASON),
		.exit_qualification = u64_of(attrs, VITRINE_NL_A_EXIT_QUALIFICATION),
	};

	reading->fn.vcpu(&vcpu, reading->data);
}

static void decode_counters(struct reading *reading, const struct attrs *attrs)
{
	struct vitrine_counters counters = {
		.vm_id = u64_of(attrs, VITRINE_NL_A_VM_ID),
		.vcpu_id = u32_of(attrs, VITRINE_NL_A_VCPU_ID),
		.time_ns = u64_of(attrs, VITRINE_NL_A_TIME_NS),
		.guest_ticks = u64_of(attrs, VITRINE_NL_A_GUEST_TICKS),
		.host_ticks = u64_of(attrs, VITRINE_NL_A_HOST_TICKS),
	};
	struct nlattr *values = attrs->at[VITRINE_NL_A_COUNTERS];
	struct nlattr *reasons = attrs->at[VITRINE_NL_A_REASONS];
	struct vitrine_nl_reason reason;
	size_t at, bytes;

	if (values) {
		bytes = (size_t)nla_len(values);
		memcpy(counters.value, nla_data(values),
		       bytes < sizeof(counters.value) ? bytes : sizeof(counters.value));
	}
	bytes = reasons ? (size_t)nla_len(reasons) : 0;
	for (at = 0; at + sizeof(reason) <= bytes; at += sizeof(reason)) {
		memcpy(&reason, (char *)nla_data(reasons) + at, sizeof(reason));
		if (reason.reason >= VITRINE_WATCH_REASONS)
			continue;
		counters.exits[reason.reason] = reason.count;
		counters.exit_ticks[reason.reason] = reason.ticks;
	}
	reading->fn.counters(&counters, reading->data);
}

static void decode_event(struct reading *reading, const struct attrs *attrs)
{
	struct vitrine_life_event event = {
		.event = u32_of(attrs, VITRINE_NL_A_EVENT),
		.vm_id = u64_of(attrs, VITRINE_NL_A_VM_ID),
		.owner_pid = u32_of(attrs, VITRINE_NL_A_OWNER_PID),
		.owner_uid = u32_of(attrs, VITRINE_NL_A_OWNER_UID),
		.vcpu_id = -1,
		.exit_reason = u32_of(attrs, VITRINE_NL_A_EXIT_REASON),
		.detail = u64_of(attrs, VITRINE_NL_A_DETAIL),
	};

	if (attrs->at[VITRINE_NL_A_VCPU_ID])
		event.vcpu_id = u32_of(attrs, VITRINE_NL_A_VCPU_ID);
	copy_name(attrs, event.name);
	reading->fn.event(&event, reading->data);
}

static void decode_caps(struct reading *reading, const struct attrs *attrs)
{
	struct vitrine_watch *watch = reading->watch;
	char *name, *rest = NULL;

	watch->tsc_khz = u32_of(attrs, VITRINE_NL_A_TSC_KHZ);
	if (!attrs->at[VITRINE_NL_A_COUNTER_NAMES])
		return;
	nla_strlcpy(watch->names, attrs->at[VITRINE_NL_A_COUNTER_NAMES], sizeof(watch->names));
	for (name = strtok_r(watch->names, ",", &rest);
	     name && watch->nr_counters < VITRINE_WATCH_COUNTERS; name = strtok_r(NULL, ",", &rest))
		watch->counters[watch->nr_counters++] = name;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct reading *reading = arg;
	struct attrs attrs;

	if (nlmsg_hdr(msg)->nlmsg_type == reading->watch->family &&
	    !genlmsg_parse(nlmsg_hdr(msg), 0, attrs.at, VITRINE_NL_NR_ATTRS - 1, NULL))
		reading->decode(reading, &attrs);
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *answer, void *arg)
{
	struct reading *reading = arg;

	(void)from;
	reading->error = -answer->error;
	return NL_STOP;
}

static int on_done(struct nl_msg *msg, void *arg)
{
	struct reading *reading = arg;
	const int *error = nlmsg_data(nlmsg_hdr(msg));

	/* The end of a dump carries what went wrong with it. */
	if (nlmsg_datalen(nlmsg_hdr(msg)) >= (int)sizeof(*error) && *error < 0)
		reading->error = -*error;
	return NL_STOP;
}

static int ignore(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

/* Reads until the answer is complete, or once where none is awaited. 0 or a negative errno. */
static int receive(struct reading *reading, struct nl_sock *sock)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, reading);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_done, reading);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, reading);
	if (sock != reading->watch->sock)
		nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, ignore, NULL);
	errno = 0;
	ret = nl_recvmsgs(sock, cb);
	nl_cb_put(cb);
	if (reading->error)
		return -reading->error;
	if (ret >= 0)
		return 0;
	/* libnl has numbers of its own; what the system said is still there. */
	return -(errno ? errno : EPROTO);
}

/* A request without attributes; NULL without memory. */
static struct nl_msg *new_request(struct vitrine_watch *watch, uint8_t cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, watch->family, 0, flags, cmd,
				VITRINE_NL_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

/* Sends and frees @msg, and reads the answer. */
static int exchange(struct vitrine_watch *watch, struct nl_msg *msg, struct reading *reading)
{
	int ret;

	reading->watch = watch;
	errno = 0;
	ret = nl_send_auto(watch->sock, msg);
	nlmsg_free(msg);
	if (ret < 0)
		return -(errno ? errno : EPROTO);
	return receive(reading, watch->sock);
}

static int ask(struct vitrine_watch *watch, uint8_t cmd, int flags, uint64_t vm_id,
	       struct reading *reading)
{
	struct nl_msg *msg = new_request(watch, cmd, flags);

	if (!msg || (vm_id && nla_put_u64(msg, VITRINE_NL_A_VM_ID, vm_id))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return exchange(watch, msg, reading);
}

static int dump(struct vitrine_watch *watch, uint8_t cmd, uint64_t vm_id, struct reading *reading,
		struct vitrine_error *err)
{
	int ret = ask(watch, cmd, NLM_F_DUMP, vm_id, reading);

	if (ret == -ENOENT && vm_id)
		return vitrine_fail(err, ENOENT, "there is no VM %llu, or it is not yours to see",
				    (unsigned long long)vm_id);
	if (ret)
		return vitrine_fail(err, -ret, "netlink: %s", strerror(-ret));
	return 0;
}

int vitrine_watch_vms(struct vitrine_watch *watch, uint64_t vm_id,
		      void (*fn)(const struct vitrine_vm_info *vm, void *data), void *data,
		      struct vitrine_error *err)
{
	struct reading reading = { .decode = decode_vm, .fn.vm = fn, .data = data };

	return dump(watch, VITRINE_NL_CMD_GET_VM, vm_id, &reading, err);
}

int vitrine_watch_vcpus(struct vitrine_watch *watch, uint64_t vm_id,
			void (*fn)(const struct vitrine_vcpu_info *vcpu, void *data), void *data,
			struct vitrine_error *err)
{
	struct reading reading = { .decode = decode_vcpu, .fn.vcpu = fn, .data = data };

	return dump(watch, VITRINE_NL_CMD_GET_VCPU, vm_id, &reading, err);
}

int vitrine_watch_counters(struct vitrine_watch *watch, uint64_t vm_id,
			   void (*fn)(const struct vitrine_counters *counters, void *data),
			   void *data, struct vitrine_error *err)
{
	struct reading reading = { .decode = decode_counters, .fn.counters = fn, .data = data };

	return dump(watch, VITRINE_NL_CMD_GET_STATS, vm_id, &reading, err);
}

const char *vitrine_watch_counter_name(const struct vitrine_watch *watch, unsigned int index)
{
	return index < watch->nr_counters ? watch->counters[index] : NULL;
}

int vitrine_watch_counter(const struct vitrine_watch *watch, const char *name)
{
	unsigned int i;

	for (i = 0; i < watch->nr_counters; i++)
		if (!strcmp(watch->counters[i], name))
			return (int)i;
	return -1;
}

uint32_t vitrine_watch_tsc_khz(const struct vitrine_watch *watch)
{
	return watch->tsc_khz;
}

struct vitrine_watch *vitrine_watch_open(struct vitrine_error *err)
{
	struct vitrine_watch *watch = calloc(1, sizeof(*watch));
	struct reading reading = { .decode = decode_caps };
	int ret;

	if (!watch) {
		vitrine_fail(err, ENOMEM, "no memory");
		return NULL;
	}
	watch->sock = nl_socket_alloc();
	if (!watch->sock || genl_connect(watch->sock)) {
		vitrine_fail(err, errno ? errno : ENOMEM, "no netlink socket: %s", strerror(errno));
		goto err_close;
	}
	/* The answer to a dump is its end; no acknowledgment comes besides. */
	nl_socket_disable_auto_ack(watch->sock);
	watch->family = genl_ctrl_resolve(watch->sock, VITRINE_NL_FAMILY);
	if (watch->family < 0) {
		vitrine_fail(err, ENOENT,
			     "the module is not loaded (modprobe vitrine), or too old for this");
		goto err_close;
	}
	ret = ask(watch, VITRINE_NL_CMD_GET_CAPS, 0, 0, &reading);
	if (ret) {
		vitrine_fail(err, -ret, "netlink: %s", strerror(-ret));
		goto err_close;
	}
	return watch;

err_close:
	vitrine_watch_close(watch);
	return NULL;
}

void vitrine_watch_close(struct vitrine_watch *watch)
{
	if (!watch)
		return;
	nl_socket_free(watch->samples);
	nl_socket_free(watch->events);
	nl_socket_free(watch->sock);
	free(watch);
}

/* A socket of its own to receive what goes to @group; its descriptor or a negative errno. */
static int join(struct vitrine_watch *watch, const char *name, struct nl_sock **sock,
		struct vitrine_error *err)
{
	int group, fd, ret;

	if (*sock)
		return nl_socket_get_fd(*sock);
	group = genl_ctrl_resolve_grp(watch->sock, VITRINE_NL_FAMILY, name);
	if (group < 0)
		return vitrine_fail(err, ENOENT, "the module does not send these");
	*sock = nl_socket_alloc();
	if (!*sock || genl_connect(*sock)) {
		ret = vitrine_fail(err, errno ? errno : ENOMEM, "no netlink socket: %s",
				   strerror(errno));
		goto err_free;
	}
	nl_socket_set_buffer_size(*sock, QUEUE_BYTES, 0);
	fd = nl_socket_get_fd(*sock);
	if (!setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
		return fd;
	ret = vitrine_fail(err, errno, "events and samples take CAP_SYS_ADMIN (root): %s",
			   strerror(errno));
err_free:
	nl_socket_free(*sock);
	*sock = NULL;
	return ret;
}

/* What has come to a group's socket. */
static int hear(struct reading *reading, struct nl_sock *sock, struct vitrine_error *err)
{
	int ret;

	if (!sock)
		return vitrine_fail(err, EINVAL, "nothing was joined");
	ret = receive(reading, sock);
	if (ret == -ENOBUFS)
		return vitrine_fail(err, ENOBUFS, "some were lost");
	if (ret)
		return vitrine_fail(err, -ret, "netlink: %s", strerror(-ret));
	return 0;
}

int vitrine_watch_join(struct vitrine_watch *watch, struct vitrine_error *err)
{
	return join(watch, VITRINE_NL_GROUP_LIFE, &watch->events, err);
}

int vitrine_watch_events(struct vitrine_watch *watch,
			 void (*fn)(const struct vitrine_life_event *event, void *data),
			 void *data, struct vitrine_error *err)
{
	struct reading reading = {
		.watch = watch,
		.decode = decode_event,
		.fn.event = fn,
		.data = data,
	};

	return hear(&reading, watch->events, err);
}

int vitrine_watch_sample(struct vitrine_watch *watch, uint32_t interval_ms,
			 struct vitrine_error *err)
{
	int fd = join(watch, VITRINE_NL_GROUP_STATS, &watch->samples, err), ret;
	struct reading reading = { .decode = NULL };
	struct nl_msg *msg;

	if (fd < 0)
		return fd;
	msg = new_request(watch, VITRINE_NL_CMD_SAMPLE, NLM_F_ACK);
	if (!msg || nla_put_u32(msg, VITRINE_NL_A_INTERVAL_MS, interval_ms)) {
		nlmsg_free(msg);
		return vitrine_fail(err, ENOMEM, "no memory");
	}
	ret = exchange(watch, msg, &reading);
	if (ret)
		return vitrine_fail(err, -ret, "samples every %u ms: %s", interval_ms,
				    strerror(-ret));
	return fd;
}

int vitrine_watch_samples(struct vitrine_watch *watch,
			  void (*fn)(const struct vitrine_counters *counters, void *data),
			  void *data, struct vitrine_error *err)
{
	struct reading reading = {
		.watch = watch,
		.decode = decode_counters,
		.fn.counters = fn,
		.data = data,
	};

	return hear(&reading, watch->samples, err);
}
