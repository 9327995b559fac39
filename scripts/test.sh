#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh [--kernel SERIES] [--long | --debug] [GLOB]
#
# Runs the tests whose names match: the quick checks, those of tests/unit on
# this machine, those of tests/ in the emulated one, and those of tests/host,
# which start emulated machines of their own (to reset them, for example) by
# scripts/lab/run --kernel "$LAB_KERNEL". One line a case; the last line sums
# up. "make test" builds what this runs. With --debug only the lab's, on the
# kernel of scripts/debug-kernel.sh, which also says what leaked.
#
# A test is a program tests/NAME_test.c or a script tests/NAME_test.sh (or in
# tests/long/, for --long, which LONG=1 tells the others) that prints TAP, or else is judged by its exit
# status. Comment lines near its top are read here and by the Makefile:
#   build: FILES -lNAMES     (C only) what it is made of besides itself
#   lab: OPTIONS             of scripts/lab/run, if the usual lab will not do
#   bring: NAMES             (scripts only) KVM selftests of linux-source, in peers/ beside it
#   qemu: yes                (scripts only) Debian's QEMU and what tests/peers/qemu.sh needs
# In the lab a test finds the Debian guest in /root/guest: vmlinuz, initramfs.cpio.
# Tests with the same options share one boot. Should the machine go down under
# a test, that one has failed and the rest get another machine. LABS says how
# many machines there may be at a time.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

kernel=6.1
long=
debug=
glob='*'
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=${2:?}; shift 2 ;;
	--long) long=yes; shift ;;
	--debug) debug=yes; shift ;;
	*) glob=$1; shift ;;
	esac
done

limit_unit=120
limit_lab=45
boot_timeout=900
if [ -n "$long" ]; then
	limit_unit=900 limit_lab=900 boot_timeout=7200
fi
boot_kernel=$kernel
boot_options=
if [ -n "$debug" ]; then
	# Its checks make everything about five times slower, and its shadow takes memory.
	limit_lab=600 boot_timeout=7200
	boot_kernel=$CACHE/kernel/6.1-debug
	boot_options='--memory 1280'
fi
export LAB_KERNEL=$kernel LONG=${long:+1}
lab_usual='--cpus 2 --memory 1024'

work=$(mktemp -d)
own_jobs
trap 'rm -rf "$work"' EXIT
started=$SECONDS

matches()
{
	# shellcheck disable=SC2053 # it is meant as a pattern
	[[ $1 == $glob ]]
}

# judge RESULT-FILE: from marked output on stdin to lines for people.
judge()
{
	awk -v "RESULT=$1" -f scripts/tap.awk
}

# on_host LIMIT NAME COMMAND ARGS
on_host()
{
	local ret=0 began=$SECONDS

	echo "@begin $2"
	timeout -s KILL "$1" "${@:3}" 2>&1 </dev/null || ret=$?
	printf '\n@end %s %s %s\n' "$2" "$ret" $((SECONDS - began))
}

host_tests()
{
	local part test

	for part in headers shell size; do
		matches "check_$part" && on_host 120 "check_$part" scripts/check.sh "$part"
	done
	for test in tests/unit/*_test.c tests/unit/*_test.sh; do
		[ -e "$test" ] || continue
		local name=${test##*/}
		matches "${name%.*}" || continue
		case $test in
		*.c) on_host "$limit_unit" "${name%.*}" "build/tests/unit/${name%.c}" ;;
		*.sh) on_host "$limit_unit" "${name%.*}" "$test" ;;
		esac
	done
	return 0
}

# The lab's tests, a line each: NAME, PROGRAM and the options of its lab.
lab_tests()
{
	local test name options program

	for test in tests/*_test.c tests/*_test.sh ${long:+tests/long/*_test.c tests/long/*_test.sh}; do
		[ -e "$test" ] || continue
		name=${test##*/}
		name=${name%.*}
		matches "$name" || continue
		options=$(sed -n '1,40s/^[ \/#]*\**[ ]*lab: *\([^*]*\).*/\1/p' "$test" | head -n 1)
		options=${options% }
		program=$test
		[[ $test == *.sh ]] || program=build/${test%.c}
		if [ ! -e "$program" ]; then
			echo "FAIL  $name: $program is not built" >&2
			echo "@counts 0 1 0" >>"$work/results"
			continue
		fi
		printf '%s\t%s\t%s\n' "$name" "$program" "${options:-$lab_usual}"
	done
}

# One core each.
next_job()
{
	while [ "$(jobs -rp | wc -l)" -ge "${LABS:-2}" ]; do wait -n || true; done
}

# lab_words NUMBER: the kernel's last messages, without the emulator's chatter.
lab_words()
{
	sed -e '/bochs\.err$/,$d' -e 's/^/      | /' "$work/lab.$1" | tail -n 30
}

# header_of PROGRAM WORD: what stands behind the word at the top of a script.
header_of()
{
	[[ $1 != *.sh ]] || sed -n "1,40s/^# $2: *//p" "$1"
}

# files_of PROGRAM: what a script brings along, as options of the lab, a word a line.
files_of()
{
	local name

	for name in $(header_of "$1" bring); do
		printf '%s\n' --file "build/peers/bin/$name:/root/tests/peers/$name"
	done
	[ -z "$(header_of "$1" qemu)" ] || scripts/peers-files.sh "$kernel" qemu.sh
}

# run_group NUMBER OPTIONS: boots until every test of the group has its result.
run_group()
{
	local number=$1 options=$2 list=$work/group.$1 name program args more ret boot

	for boot in 1 2 3 4 5; do
		args=()
		set --
		while IFS=$'\t' read -r name program; do
			args+=(--file "$program:/root/tests/$name")
			mapfile -t more < <(files_of "$program")
			args+=("${more[@]}")
			set -- "$@" "$name"
		done <"$list"
		[ $# -gt 0 ] || return 0
		ret=0
		: >"$work/result.$number"
		# shellcheck disable=SC2086 # options are words
		scripts/lab/run --kernel "$boot_kernel" --timeout "$boot_timeout" $options $boot_options "${args[@]}" \
			--file "$CACHE/kernel/$kernel-cloud/vmlinuz:/root/guest/vmlinuz" \
			--file build/guest/initramfs.cpio:/root/guest/initramfs.cpio \
			--file tests/in-lab.sh:/root/tests/in-lab.sh --file tests/lib/tap.sh:/root/tests/lib/tap.sh -- \
			${long:+env LONG=1} /root/tests/in-lab.sh "$limit_lab" "$@" </dev/null 2>"$work/lab.$number" |
			tee "$work/output.$number" | judge "$work/result.$number" || ret=$?
		cat "$work/result.$number" >>"$work/results"
		if ! grep -q -v '^@counts' "$work/result.$number"; then
			# Not one came to its end: another boot will not help.
			lab_words "$number"
			printf '%s\n' "$@" | sed 's/$/: the emulated machine did not run it/; s/^/FAIL  /'
			echo "@counts 0 $# 0" >>"$work/results"
			return 0
		fi
		# What has its result needs no second run.
		awk -F '\t' 'NR == FNR { done[$1] = 1; next } !($1 in done)' "$work/result.$number" "$list" >"$list.next"
		mv "$list.next" "$list"
		[ -s "$list" ] || return 0
		lab_words "$number"
		say "the emulated machine went down (status $ret): boot $((boot + 1)) for the rest"
	done
	while IFS=$'\t' read -r name program; do
		echo "FAIL  $name: the emulated machine went down too often"
		echo "@counts 0 1 0" >>"$work/results"
	done <"$list"
}

: >"$work/results"
[ -n "$debug" ] || host_tests | judge "$work/host.checks" &

for test in tests/host/*_test.sh; do
	[ -z "$debug" ] || break
	name=${test##*/}
	name=${name%.sh}
	if [ -e "$test" ] && matches "$name"; then
		say "$name starts emulated machines of its own (15 s each)"
		on_host "$boot_timeout" "$name" "$test" | judge "$work/host.$name" &
		next_job
	fi
done
# Many tests of one kind are dealt to two machines.
lab_tests | awk -F '\t' '
	{ line[NR] = $0; kind[NR] = $3; many[$3]++ }
	END {
		for (i = 1; i <= NR; i++)
			print line[i] "\t" (many[kind[i]] > 4 ? ++dealt[kind[i]] % 2 : 0)
	}' >"$work/tests"
number=0
while IFS=$'\t' read -r options half; do
	number=$((number + 1))
	awk -F '\t' -v "options=$options" -v "half=$half" \
		'$3 == options && $4 == half { print $1 "\t" $2 }' "$work/tests" >"$work/group.$number"
	say "$(wc -l <"$work/group.$number") tests in an emulated machine (20 s to boot): $options"
	run_group "$number" "$options" &
	next_job
done < <(cut -f 3,4 "$work/tests" | sort -u)
wait
# longest FILE...: names and seconds of the five that took most
longest()
{
	grep -hv '^@' "$@" 2>/dev/null | sort -t $'\t' -k 2,2gr | head -n 5 |
		awk -F '\t' '{ printf "%s%s %.1f s", (NR > 1 ? ", " : ""), $1, $2 }'
}
say "longest on this machine: $(longest "$work"/host.*)"
say "longest in the emulated one, by its clock: $(longest "$work/results")"
cat "$work"/host.* >>"$work/results" 2>/dev/null || true

awk -v seconds=$((SECONDS - started)) '
	$1 == "@counts" { pass += $2; fail += $3; skip += $4 }
	END {
		printf "test: %d s\n", seconds
		if (pass + fail + skip == 0)
			print "test: no test has such a name"
		printf "%d passed, %d failed, %d skipped\n", pass, fail, skip
		exit fail > 0 || pass + fail + skip == 0
	}' "$work/results"
