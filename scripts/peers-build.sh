#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# peers-build.sh OUT NAME...: builds KVM selftests out of Debian's linux-source,
# as it is, into the directory OUT. NAME is a program's without its directory.
# What is built already costs nothing.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache

out=${1:?usage: $0 OUT NAME...}
shift
tools=$CACHE/source/6.1/tools
kvm=$tools/testing/selftests/kvm
[ -d "$kvm" ] || die "there is no $kvm: run 'scripts/kernel-get.sh 6.1 cloud source'"
mkdir -p "$out/lib"
me=$ROOT/scripts/peers-build.sh
out=$(cd -- "$out" && pwd)
cd -- "$kvm"

# Their Makefile wants installed kernel headers; the C library's are of the same release. Two
# programs use a macro that only a later header has, and a name that only an earlier one had.
flags=(-w -O2 -std=gnu99 -U_FORTIFY_SOURCE -fno-stack-protector -fno-PIE -I../../../include
	-I../../../arch/x86/include -Iinclude -Ilib -Iinclude/x86_64 -I../rseq -I..)
late=(-include linux/stddef.h -DTEST_ASSERT_EQ=ASSERT_EQ)

build_lib()
{
	local source objects=()

	[ ! "$out/lib/kvm.o" -nt "$me" ] || return 0
	for source in lib/*.c lib/x86_64/*.[cS]; do
		local object=$out/lib/${source//\//-}.o extra=()

		# The compiler would make the guest's memcpy() out of memcpy().
		[ "$source" != lib/string_override.c ] || extra=(-ffreestanding)
		gcc "${flags[@]}" "${extra[@]}" -c -o "$object" "$source"
		objects+=("$object")
	done
	# One object, no archive: its memcpy() must win over the C library's.
	ld -r -o "$out/lib/kvm.tmp" "${objects[@]}"
	mv "$out/lib/kvm.tmp" "$out/lib/kvm.o"
}

build()
{
	local name=$1 source extra=()

	[ ! "$out/$name" -nt "$me" ] || return 0
	for source in "$name.c" "x86_64/$name.c"; do
		[ ! -e "$source" ] || break
	done
	[ -e "$source" ] || die "linux-source-6.1 has no KVM selftest '$name'"
	case $name in dirty_log_test | steal_time) extra=("${late[@]}") ;; esac
	gcc "${flags[@]}" "${extra[@]}" -static -no-pie -s -pthread -o "$out/$name.tmp" "$source" \
		"$out/lib/kvm.o"
	mv "$out/$name.tmp" "$out/$name"
}

build_lib
failed=0
running=0
for name; do
	build "$name" &
	running=$((running + 1))
	if [ "$running" -ge 2 ]; then
		wait -n || failed=1
		running=$((running - 1))
	fi
done
while [ "$running" -gt 0 ]; do
	wait -n || failed=1
	running=$((running - 1))
done
exit $failed
