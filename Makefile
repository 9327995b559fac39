# SPDX-License-Identifier: GPL-2.0
#
# Every entry point of the project. The work is in scripts/; this file knows
# what depends on what. "make help" lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
UDEVDIR ?= /usr/lib/udev/rules.d
MODDIR ?= /lib/modules
KDIR ?=
LAB_KERNEL ?= 6.1
T ?= *

.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/bash

# Under sudo only the package manager runs as root. The packages come first,
# as the user may have no other way to become root; then everything again as
# the user. "install" is the exception: it builds as the user, too, and copies
# as root.
DROP := $(if $(filter-out root,$(SUDO_USER)),$(if $(filter 0,$(shell id -u)),yes))
GOALS := $(or $(MAKECMDGOALS),all)
ifeq ($(DROP)$(filter install uninstall help setup,$(GOALS)),yes)

.PHONY: drop $(GOALS)
$(GOALS): drop
	@:
drop:
	@scripts/setup.sh build lab test check
	+@scripts/as-user.sh $(MAKE) --no-print-directory $(GOALS)

else

CACHE := $(shell scripts/as-user.sh bash -c '. scripts/common.sh && choose_cache >&2 && echo "$$CACHE"' make)
ifeq ($(CACHE),)
$(error no cache directory, see above)
endif
export VITRINE_CACHE := $(CACHE)
LAB_DIR := $(CACHE)/kernel/$(LAB_KERNEL)-cloud
HARNESS := $(CACHE)/source/6.1/tools/testing/selftests

CC := gcc
AR := ar
CFLAGS ?= -O2 -g
USER_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers \
	-Wstrict-prototypes -Wshadow -fno-strict-aliasing -MMD -MP $(CFLAGS)
NL_CFLAGS := -isystem /usr/include/libnl3
TOOL_CFLAGS := $(USER_CFLAGS) $(NL_CFLAGS) -Itools/lib -Iuapi
TEST_CFLAGS := $(USER_CFLAGS) $(NL_CFLAGS) -Itests -Itools/lib -Iuapi -isystem $(HARNESS)
UNIT_CFLAGS := $(USER_CFLAGS) -Itests/unit/shim -Ikmod -Iuapi -isystem $(HARNESS) \
	-fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=all
# Only those that a program calls: others cost the lab time to load.
TOOL_LIBS := -Wl,--as-needed -ljson-c -lnl-genl-3 -lnl-3 -lncursesw -ltinfo -lpthread
UNIT_LIBS := -lZydis -ljson-c -lpthread

LIB_OBJS := $(patsubst tools/%.c,build/tools/%.o,$(wildcard tools/lib/*.c))
TOOL_OBJS := $(patsubst tools/%.c,build/tools/%.o,$(wildcard tools/*.c))
TOOL := $(if $(TOOL_OBJS),build/tools/vitrine)
LIB := $(if $(LIB_OBJS),build/tools/libvitrine.a)
EXAMPLES := $(patsubst tools/examples/%.c,build/tools/examples/%,$(wildcard tools/examples/*.c))
# watch.o wants libnl, which only tests of it shall load.
TEST_OBJS := $(patsubst tests/lib/%.c,build/tests/lib/%.o,$(filter-out %/watch.c,$(wildcard tests/lib/*.c)))
TESTS := $(patsubst tests/%.c,build/tests/%,$(wildcard tests/*_test.c tests/long/*_test.c))
BENCH_OBJS := $(patsubst tests/%.c,build/tests/%.o,$(filter-out %/ops.c,$(wildcard tests/bench/*.c)))
UNITS := $(patsubst tests/%.c,build/tests/%,$(wildcard tests/unit/*_test.c))
MANS := $(wildcard tools/man/*.1)
COMPLETION := $(wildcard tools/completion/vitrine.bash)

# A comment line "build: FILES -lNAMES" in a test adds to what it is made of.
extra = $$(sed -n 's/^[ \/]*\*\{1,2\} *build: *\([^*]*\).*/\1/p' $<)

.PHONY: all module tool tests run test test-long test-debug test-peers bench lab check setup install uninstall clean help
.PHONY: setup-build setup-lab setup-test setup-check source lab-kernel lab-module guest peers

all: module tool

help:
	@sed -n 's/^#: //p' Makefile

#: make              vitrine.ko (for the running kernel if its headers are installed,
#:                   else for the lab's), the tool vitrine, libvitrine.a
#: make run          boot a Debian kernel as a guest of Vitrine in the emulated machine
#: make lab          a shell in the emulated machine, with the module loaded
#: make test         unit tests, quick checks, and the tests in the emulated machine
#: make test-long    the same, and the tests that take longer
#: make test-debug   the emulated machine's tests on a kernel with KASAN, lockdep and kmemleak,
#:                   which is built first (up to 30 minutes, 5 GB in the cache)
#: make test-peers   the KVM selftests of Linux 6.1 on KVM and on Vitrine, against tests/peers.txt
#:                   (PEERS=vitrine or kvm: one side only; T='GLOB' as below; JSON=1)
#: make bench        what operations cost on KVM and on Vitrine (6 minutes)
#: make check        static checks, and builds for every kernel we know
#: make install      module, tool, library, man pages, completion, udev rule (as root)
#: make uninstall    takes them away
#: make setup        only install the Debian packages that the above need
#: make clean        removes build/ (the cache stays: see VITRINE_CACHE)
#:
#: KDIR=DIR          build for the kernel whose headers are in DIR
#: T='GLOB'          the tests to run, by name: make test T='memslot*'
#: LABS=1            as many emulated machines at a time when testing (2)
#: BENCH='GLOB'      the rows of make bench, by name: make bench BENCH='*exit*'
#: MITIGATIONS=auto  make bench with the kernel's mitigations (off)
#: JSON=FILE         make bench writes its figures to FILE, too
#: LAB=native        make run on this machine, with the module loaded in it
#: LAB_KERNEL=6.12   the lab's kernel (6.1)
#: PREFIX, DESTDIR   where to install (/usr/local, empty)
#: VITRINE_CACHE     kernels and sources (~/.cache/vitrine, 0.5 to 2 GB)

setup:
	@scripts/setup.sh build lab test check

setup-build setup-lab setup-test setup-check: setup-%:
	@scripts/setup.sh $*

source: | setup-build
	@scripts/kernel-get.sh 6.1 cloud source

lab-kernel: | setup-build
	@scripts/kernel-get.sh $(LAB_KERNEL) cloud image headers

# The module

module: | setup-build
	@scripts/build-module.sh "$(KDIR)"

lab-module: | lab-kernel
	@scripts/build-module.sh $(LAB_DIR)/headers/build

# The tool and its library

tool: $(LIB) $(TOOL) $(EXAMPLES)

build/tools/%.o: tools/%.c | setup-build
	@mkdir -p $(@D)
	@$(CC) $(TOOL_CFLAGS) -c -o $@ $<

build/tools/libvitrine.a: $(LIB_OBJS)
	@rm -f $@
	@$(AR) rcs $@ $^
	@echo "tool: $@"

build/tools/vitrine: $(TOOL_OBJS) $(LIB)
	@$(CC) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) -lZydis
	@echo "tool: $@"

build/tools/examples/%: tools/examples/%.c $(LIB) | setup-build
	@mkdir -p $(@D)
	@$(CC) $(TOOL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(TOOL_LIBS)
	@echo "tool: $@"

# The tests

# Make takes what only a pattern names for its own to delete.
.SECONDARY: $(TEST_OBJS) build/tests/lib/watch.o $(BENCH_OBJS) build/tests/bench/ops.o

tests: $(TESTS) $(UNITS) peers

# KVM selftests that our own tests run: 5 s.
peers: | setup-build source
	@scripts/peers-build.sh build/peers/bin $$(sed -n 's/^# bring: *//p' tests/*_test.sh)

build/tests/lib/%.o: tests/lib/%.c | setup-build source
	@mkdir -p $(@D)
	@$(CC) $(TEST_CFLAGS) -c -o $@ $<

build/tests/unit/%: tests/unit/%.c $(wildcard kmod/*.c kmod/*/*.c tests/unit/*.h) | setup-build setup-test source
	@mkdir -p $(@D)
	@$(CC) $(UNIT_CFLAGS) $(LDFLAGS) -o $@ $< $(extra) $(UNIT_LIBS)
	@echo "tests: $@"

build/tests/%_test: tests/%_test.c $(TEST_OBJS) $(LIB) | setup-build source
	@mkdir -p $(@D)
	@$(CC) $(TEST_CFLAGS) $(LDFLAGS) -o $@ $< $(extra) $(TEST_OBJS) $(LIB) $(TOOL_LIBS)
	@echo "tests: $@"

guest: | setup-lab setup-build
	@scripts/guest-initramfs.sh

# What runs in the emulated machine

run: $(if $(filter native,$(LAB)),lab-kernel,lab-module) tool guest | setup-lab
	@LAB=$(LAB) scripts/run-guest.sh $(LAB_KERNEL)

bench: lab-module tool guest build/tests/bench/ops | setup-lab
	@scripts/bench.sh --kernel $(LAB_KERNEL) --mitigations $(or $(MITIGATIONS),off) \
		$(if $(JSON),--json '$(JSON)') '$(or $(BENCH),*)'

build/tests/bench/%.o: tests/bench/%.c | setup-build source
	@mkdir -p $(@D)
	@$(CC) $(TEST_CFLAGS) -c -o $@ $<

build/tests/bench/ops: build/tests/bench/ops.o $(BENCH_OBJS) $(TEST_OBJS)
	@$(CC) $(LDFLAGS) -static -o $@ $^ -lpthread
	@echo "tests: $@"

build/tests/bench_test: $(BENCH_OBJS)
build/tests/netlink_test build/tests/netlink_event_test: build/tests/lib/watch.o

lab: lab-module tool | setup-lab
	@scripts/lab/run --kernel $(LAB_KERNEL) --interactive

test: lab-module tool tests guest | setup-lab setup-check
	@scripts/test.sh --kernel $(LAB_KERNEL) '$(T)'

test-long: lab-module tool tests guest | setup-lab setup-check
	@scripts/test.sh --kernel $(LAB_KERNEL) --long '$(T)'

test-debug: tool tests guest | setup-lab
	@kernel=$$(scripts/debug-kernel.sh) && scripts/build-module.sh $$kernel/headers/build
	@scripts/test.sh --debug '$(T)'

test-peers: lab-module tool guest source | setup-lab
	@scripts/peers.sh --kernel $(LAB_KERNEL) --side $(or $(PEERS),both) $(if $(JSON),--json) '$(T)'

check: source | setup-check
	@scripts/check.sh

# What ends up outside the checkout

install: $(if $(DROP),,all)
	+$(if $(DROP),@scripts/setup.sh build && scripts/as-user.sh $(MAKE) --no-print-directory all KDIR="$(KDIR)")
	@scripts/install.sh install "$(DESTDIR)" "$(PREFIX)" "$(UDEVDIR)" "$(MODDIR)" "$(KDIR)"

uninstall:
	@scripts/install.sh uninstall "$(DESTDIR)" "$(PREFIX)" "$(UDEVDIR)" "$(MODDIR)" "$(KDIR)"

clean:
	@rm -rf build
	@echo "clean: build/ is gone; kernels and sources stay in $(CACHE)"

-include $(LIB_OBJS:.o=.d) $(TOOL_OBJS:.o=.d) $(TEST_OBJS:.o=.d) build/tests/lib/watch.d $(BENCH_OBJS:.o=.d)
-include $(addsuffix .d,$(TESTS) $(UNITS) $(EXAMPLES))

endif
