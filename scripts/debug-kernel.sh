#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# debug-kernel.sh: builds the kernel of "make test-debug" into the cache, from
# Debian's linux-source-6.1 and scripts/debug-kernel.config: KASAN, lockdep,
# DEBUG_ATOMIC_SLEEP, debug objects, kmemleak. Prints the directory that
# scripts/lab/run --kernel and scripts/build-module.sh take. What is built
# already costs nothing.
#
# KASAN's heap, its quarantine and its checks in copies are the whole kernel's,
# but of the accesses themselves it checks only the module's own and those of
# the files below, which are given pointers into what the module allocates. So
# the emulated machine boots in 1.9 billion ticks with 1 GiB of memory; with
# every file instrumented it had not come to its second CPU after 2.5 billion.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache

config=$ROOT/scripts/debug-kernel.config
dir=$CACHE/kernel/6.1-debug
stamp=$(cat "$config" "$0" | sha256sum)
if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then
	echo "$dir"
	exit 0
fi

need_space "$CACHE"
"$ROOT/scripts/setup.sh" build debug >&2
"$ROOT/scripts/kernel-get.sh" 6.1 cloud whole-source >&2
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
say "building Linux 6.1 with KASAN and lockdep: 10 to 30 minutes, 3 GB in $dir; the log is $dir/build.log" >&2
# By the names of their objects, of which some occur in more than one directory.
instrumented=(eventfd hrtimer idr interval_tree irq_work list_debug mmu_notifier mutex notifier
	rbtree refcount rwsem srcutree swait timer tree wait workqueue xarray)
instrumented=("${instrumented[@]/#/KASAN_SANITIZE_}")
# As each build of a kernel does, so that what differs is the configuration.
kernel_make()
{
	make -s -C "$CACHE/whole-source/6.1" "O=$dir/build" "$@" >>"$dir/build.log" 2>&1 ||
		die "make $* failed: $(tail -n 3 "$dir/build.log")"
}
: >"$dir/build.log"
mkdir -p "$dir/build"
kernel_make KCONFIG_ALLCONFIG="$config" allnoconfig
# An option that its dependencies turned off would go unnoticed.
while IFS='=' read -r option value; do
	case $option in CONFIG_*) ;; *) continue ;; esac
	[ "$value" = n ] || grep -q "^$option=$value" "$dir/build/.config" ||
		warn "$option=$value did not come to be"
done <"$config"
kernel_make -j "$(nproc)" KASAN_SANITIZE=n "${instrumented[@]/%/.o=y}" vmlinux modules
objcopy --strip-debug "$dir/build/vmlinux" "$dir/vmlinux"
sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$dir/build/include/generated/utsrelease.h" >"$dir/release"
release=$(<"$dir/release")
rm -rf "$dir/modules"
mkdir -p "$dir/modules/lib/modules"
kernel_make INSTALL_MOD_PATH="$dir/modules" modules_install
ln -sfn "lib/modules/$release" "$dir/modules/$release"
mkdir -p "$dir/headers"
ln -sfn ../build "$dir/headers/build"
echo "$stamp" >"$dir/stamp"
echo "$dir"
