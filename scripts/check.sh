#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh [PART...]: what a machine can say about the sources. Each part is a
# line when it is done, with what is wrong above it; the exit status is 0 if
# nothing is.
#
#   headers  each header compiles alone, the public ones as C++ too
#   shell    shellcheck on every script
#   size     no source file over 600 lines
#   style    checkpatch --strict from linux-source
#   build    W=1 -Werror and sparse for 6.1 and 6.12, cloud and generic
#   symbols  vitrine.ko uses nothing but vmlinux's exports

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

kernels=(6.1-cloud 6.1-generic 6.12-cloud 6.12-generic)
lab_headers=$CACHE/kernel/6.1-cloud/headers/build

# sources PATTERN...: our files of these names, whether committed yet or not.
sources()
{
	local file pattern

	find . \( -path ./build -o -path ./.git \) -prune -o -type f -printf '%P\n' | sort |
		while read -r file; do
			for pattern; do
				# shellcheck disable=SC2053 # it is meant as a pattern
				[[ $file != $pattern ]] || { echo "$file"; break; }
			done
		done
}

scripts()
{
	sources '*' | while read -r file; do
		if head -n 1 -- "$file" 2>/dev/null | grep -qaE '^#!.*\b(ba|da)?sh\b' || [[ $file == *.sh ]]; then
			echo "$file"
		fi
	done
}

check_headers()
{
	local header bad=0 dir=$CACHE/tmp-headers.$$ log

	scripts/kernel-get.sh 6.1 cloud image headers
	rm -rf "$dir"
	mkdir -p "$dir"
	log=$dir/log
	# Kernel headers want Kbuild's flags: a module of one file for each,
	# which also includes it twice. What only a tracepoint's own rules can
	# compile is compiled with the module.
	{
		echo "obj-m := headers.o"
		printf 'headers-y :='
		sources 'kmod/*.h' | while read -r header; do
			[ "${header##*/}" != trace.h ] || continue
			local name=${header//[\/.]/_}
			printf '#include "%s"\n#include "%s"\n' "$ROOT/$header" "$ROOT/$header" >"$dir/$name.c"
			printf ' %s.o' "$name"
		done
		printf '\nccflags-y := -I%s -I%s -I%s -Werror\n' "$dir/kmod" "$dir/uapi" "$dir"
	} >"$dir/Kbuild"
	ln -s "$ROOT/kmod" "$dir/kmod"
	ln -s "$ROOT/uapi" "$dir/uapi"
	sh scripts/compat-probe.sh "$lab_headers" >"$dir/compat_probe.h"
	if [ "$(sources 'kmod/*.h' | wc -l)" -gt 0 ] &&
		! make -s -k -C "$lab_headers" "M=$dir" CONFIG_DEBUG_INFO_BTF_MODULES= \
			KBUILD_MODPOST_WARN=1 headers.o >"$log" 2>&1; then
		grep -E 'error|warning' "$log"
		bad=1
	fi
	while read -r header; do
		gcc -std=c11 -Wall -Wextra -Wpedantic -Wno-gnu -Werror -fsyntax-only -Iuapi -Itools/lib \
			-x c "$header" || bad=1
		if [[ $header != */internal.h ]]; then
			gcc -x c++ -std=c++17 -Wall -Werror -fsyntax-only -Iuapi -Itools/lib "$header" || bad=1
		fi
	done < <(sources 'uapi/*.h' 'tools/lib/libvitrine*.h')
	while read -r header; do
		gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-missing-field-initializers -fsyntax-only \
			-Iuapi -Itools/lib -Itools -isystem /usr/include/libnl3 -x c "$header" || bad=1
	done < <(sources 'tools/*.h')
	rm -rf "$dir"
	return "$bad"
}

check_shell()
{
	local list

	mapfile -t list < <(scripts)
	shellcheck -f gcc "${list[@]}"
}

check_size()
{
	local file lines bad=0

	while read -r file; do
		lines=$(wc -l <"$file")
		if [ "$lines" -gt 600 ]; then
			echo "$file: $lines lines, 600 is the ceiling"
			bad=1
		fi
	done < <(sources '*.c' '*.h' '*.S' '*.sh' '*.awk')
	return "$bad"
}

# style IGNORE: the files on stdin. One call each, as checkpatch judges the
# type of all by the first; two at a time.
style()
{
	tr '\n' '\0' | xargs -0 -r -n 1 -P 2 perl "$CACHE/source/6.1/scripts/checkpatch.pl" \
		--no-tree --strict --terse --quiet --show-types --max-line-length=100 --no-summary \
		--ignore "FILE_PATH_CHANGES,PREFER_DEFINED_ATTRIBUTE_MACRO$1" -f
}

# What is no kernel code has neither BIT(), u64 nor READ_ONCE(), and calls libraries that
# spell their names as they like.
check_style()
{
	# Lists that expand to declarations (X(name)) are no expressions, and the kernel's own
	# names of MTRRs are as they are.
	local lists=COMPLEX_MACRO,MACRO_ARG_REUSE,MACRO_ARG_PRECEDENCE,TRAILING_SEMICOLON
	local bad=0 user=BIT_MACRO,CAMELCASE,PREFER_KERNEL_TYPES,AVOID_EXTERNS,VOLATILE

	lists=$lists,MULTISTATEMENT_MACRO_USE_DO_WHILE,CAMELCASE,UNCOMMENTED_DEFINITION
	user=$user,ARRAY_SIZE,MACRO_WITH_FLOW_CONTROL,STRING_FRAGMENTS,SPACING,$lists
	scripts/kernel-get.sh 6.1 cloud source
	# It takes the % before a label of "asm goto" for an operator.
	sources 'kmod/*.[chS]' | grep -v '^kmod/\(vmx/insn.h\|vmx/cpu.c\|trace.h\)$' | style ",$lists" || bad=1
	# The kernel's own events are laid out like this.
	sources kmod/trace.h | style ",PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE,SPACING,$lists" || bad=1
	sources kmod/vmx/insn.h kmod/vmx/cpu.c | style ,SPACING || bad=1
	sources 'uapi/*.h' 'tools/*.[ch]' 'tests/*.[chS]' 'scripts/*.[chS]' |
		style ",$user" || bad=1
	return "$bad"
}

# build_module KERNEL [MAKE-ARGUMENTS]: in a directory besides that of "make", as
# other flags would rebuild everything each time.
build_module()
{
	local kdir=$CACHE/kernel/$1/headers/build

	scripts/kernel-get.sh "${1%-*}" "${1#*-}" image headers >&2
	VITRINE_MODULE_OUT=build/check scripts/build-module.sh "$kdir" W=1 KCFLAGS=-Werror "${@:2}" 2>&1
}

check_build()
{
	local kernel bad=0 log

	log=$(mktemp)
	for kernel in "${kernels[@]}"; do
		if ! build_module "$kernel" >"$log"; then
			cat "$log"
			bad=1
			continue
		fi
		# C=2 looks at every file, built or not. The kernel's own headers
		# are full of warnings.
		build_module "$kernel" C=2 >"$log" || true
		if grep -E '^[^ ]*/(kmod|uapi)/[^ ]*:[0-9]+:[0-9]+: (warning|error)' "$log"; then
			bad=1
		fi
		say "$kernel: built, sparse is done"
	done
	rm -f "$log"
	return "$bad"
}

check_symbols()
{
	local kernel release ko bad=0

	for kernel in "${kernels[@]}"; do
		build_module "$kernel" >/dev/null || { echo "$kernel: does not build"; bad=1; continue; }
		release=$(<"$CACHE/kernel/$kernel/release")
		ko=build/check/$release/vitrine.ko
		nm -u "$ko" | awk -v "kernel=$kernel" '
			NR == FNR { split($0, field, "\t"); owner[field[2]] = field[3]; next }
			!($2 in owner) { print kernel ": " $2 " is exported by nobody"; bad = 1; next }
			owner[$2] != "vmlinux" { print kernel ": " $2 " is of " owner[$2] ", not vmlinux"; bad = 1 }
			END { exit bad }' "$CACHE/kernel/$kernel/headers/build/Module.symvers" - || bad=1
		[ -z "$(modinfo -F depends "$ko")" ] || { echo "$kernel: depends on $(modinfo -F depends "$ko")"; bad=1; }
	done
	return "$bad"
}

parts=(headers shell size style build symbols)
[ $# -gt 0 ] || set -- "${parts[@]}"
failed=0
for part; do
	begin=$SECONDS
	ret=0
	case $part in
	headers) check_headers || ret=$? ;;
	shell) check_shell || ret=$? ;;
	size) check_size || ret=$? ;;
	style) check_style || ret=$? ;;
	build) check_build || ret=$? ;;
	symbols) check_symbols || ret=$? ;;
	*) die "no such part '$part': ${parts[*]}" ;;
	esac
	if [ "$ret" = 0 ]; then
		say "$part: ok ($((SECONDS - begin)) s)"
	else
		say "$part: FAILED ($((SECONDS - begin)) s)"
		failed=1
	fi
done
exit "$failed"
