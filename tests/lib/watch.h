/* SPDX-License-Identifier: GPL-2.0 */
/* What tests of the watching side share: they look at VMs by netlink, and have others make some. */
#ifndef TESTS_LIB_WATCH_H
#define TESTS_LIB_WATCH_H

#include <libvitrine_watch.h>
#include <sys/types.h>

#define TEST_FOUND_MOST	2000

/* VMs as a dump has them. */
struct test_found {
	struct vitrine_vm_info vm[TEST_FOUND_MOST + 8];
	unsigned int nr;
};

struct vitrine_watch *test_watch_open(void);
/* Fills in @found; how many VMs there are for the caller, or -errno. */
int test_watch_count(struct test_found *found);
/* For vitrine_watch_vms(): adds to the struct test_found. */
void test_watch_vm(const struct vitrine_vm_info *vm, void *data);
/* For vitrine_watch_vcpus(): the last one to *data. */
void test_watch_vcpu(const struct vitrine_vcpu_info *vcpu, void *data);
/* A VM with nothing in it: its descriptor. */
int test_bare_vm(void);

/* Runs @fn in a child; its value, 0 to 255. */
int test_in_child(int (*fn)(void *data), void *data);
/* A child that runs @fn and dies with us. */
pid_t test_start(void (*fn)(void));

#endif
