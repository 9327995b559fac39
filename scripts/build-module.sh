#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# build-module.sh [KDIR] [MAKE-ARGUMENTS]
#
# Builds vitrine.ko for one kernel into build/module/<release>/. Without KDIR:
# for the running kernel if its headers are installed, else for the lab's.
# Kbuild works in a directory of links to the sources, one for each kernel,
# and in the cache where the checkout's path has blanks, which Kbuild refuses.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

kdir=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$kdir" ]; then
	kdir=/lib/modules/$(uname -r)/build
	if [ -r "$kdir/Module.symvers" ]; then
		say "for the running kernel, $(uname -r)"
	else
		say "the running kernel $(uname -r) has no headers installed: for the lab's kernel"
		scripts/kernel-get.sh 6.1 cloud image headers
		kdir=$CACHE/kernel/6.1-cloud/headers/build
	fi
fi
# As modprobe will compare it; kernel.release is another number with Debian's 6.1.
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$kdir/include/generated/utsrelease.h" 2>/dev/null) || true
[ -n "$release" ] || die "$kdir: no kernel headers there (include/generated/utsrelease.h is missing)"

out=${VITRINE_MODULE_OUT:-build/module}/$release
farm=$ROOT/$out
if [[ $farm == *[[:space:]]* ]]; then
	farm=$CACHE/build/$(printf '%s' "$ROOT" | sha256sum | cut -c 1-12)/$out
fi
mkdir -p "$farm" "$out"
# Two at once in one directory would build half of each.
exec 9>"$farm/.lock"
flock 9
# Links to what is no more would hide that it is gone.
find "$farm" -xtype l -delete
for name in Kbuild kmod uapi scripts/compat-probe.sh; do
	[ ! -e "$name" ] || (cd "$farm" && mkdir -p "$(dirname "$name")" &&
		cp -rsf -T "$ROOT/$name" "$name")
done

# BTF of the module would need pahole and makes insmod take longer than the boot.
make_args=(-s -C "$kdir" "M=$farm" CONFIG_DEBUG_INFO_BTF_MODULES=)
say "vitrine.ko for $release"
make "${make_args[@]}" "$@" modules
if [ "$farm" != "$ROOT/$out" ]; then
	cp "$farm/vitrine.ko" "$out/vitrine.ko"
fi
say "$out/vitrine.ko"
