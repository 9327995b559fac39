#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# peers.sh [--kernel SERIES] [--side kvm|vitrine|both] [--json] [GLOB]
#
# Runs the KVM selftests of Linux 6.1, QEMU and gdb, programs that know nothing of us, in
# the emulated machine on KVM and on Vitrine, and compares what comes out with
# tests/peers.txt, which says how to read a row. GLOB is of a program's name.
# A result that differs from the table is a failure; on KVM, where the
# emulator makes some tests unsteady, only if it differs in two of three runs.
#
# A program that hangs or takes the machine down costs its own result; the rest
# get another machine. What each said is in build/peers/log/.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

kernel=6.1
sides='kvm vitrine'
json=
glob='*'
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=${2:?}; shift 2 ;;
	--side)
		case ${2:-} in
		kvm | vitrine) sides=$2 ;;
		both) ;;
		*) die "--side (PEERS=) ${2:-}: kvm, vitrine or both" ;;
		esac
		shift 2
		;;
	--json) json=yes; shift ;;
	*) glob=$1; shift ;;
	esac
done

bin=build/peers/bin
log=build/peers/log
quiet=240	# seconds without a sign of life, on a machine as busy as may be
work=$(mktemp -d)
own_jobs
trap 'rm -rf "$work"' EXIT
started=$SECONDS
exec 4>&1
[ -z "$json" ] || exec >&2

# To lines of: NAME, LIMIT, TIER, KVM, VITRINE, COMMAND, REASON.
awk -f scripts/peers-rows.awk tests/peers.txt >"$work/all" || exit 1
while IFS=$'\t' read -r name rest; do
	# shellcheck disable=SC2053 # it is meant as a pattern
	[[ $name == $glob || ${name%%_-*} == $glob ]] && printf '%s\t%s\n' "$name" "$rest"
done <"$work/all" >"$work/rows" || true
[ -s "$work/rows" ] || die "tests/peers.txt has no program '$glob'"

cut -f 6 "$work/rows" | cut -d ' ' -f 1 | sort -u >"$work/programs"
say "builds $(wc -l <"$work/programs") programs of linux-source-6.1, if they are not built yet (1 s each)"
sed '/\.sh$/d' "$work/programs" | xargs -r scripts/peers-build.sh "$bin" ||
	die "the KVM selftests cannot be built"
mkdir -p "$log/kvm" "$log/vitrine"

# record SIDE NAME WORD SECONDS
record()
{
	printf '%s\t%s\t%s\t%s\n' "$@" >>"$work/results.$job"
	printf '%-8s %6s s  %-5s %s\n' "$1" "$4" "$3" "$2"
}

# listen SIDE: the machine's output from descriptor 3. Ends with the output,
# or when the machine is of no more use; name is what was running then.
listen()
{
	local side=$1 line status seconds word

	name=
	stuck=
	while line= && IFS= read -r -t "$quiet" -u 3 line || { [ $? -le 128 ] || stuck=yes; [ -n "$line" ]; }; do
		case $line in
		'@alive') ;;
		'@begin '*)
			name=${line#* }
			begun=yes
			: >"$log/$side/$name"
			;;
		'@end '*)
			read -r _ _ status seconds <<<"$line"
			case $status in
			0) word=pass ;;
			4) word=skip ;;
			137) word=hang ;;
			*) word=fail ;;
			esac
			record "$side" "$name" "$word" "$seconds"
			name=
			;;
		'@stuck '*)
			stuck=yes
			return
			;;
		*) [ -z "$name" ] || printf '%s\n' "$line" >>"$log/$side/$name" ;;
		esac
	done
}

# run_rows SIDE ROWS: boots until each row of the file has a result.
run_rows()
{
	local side=$1 rows=$2 args program scripts lab name stuck begun options=()

	[ "$side" != kvm ] || options=(--with-kvm)
	while [ -s "$rows" ]; do
		# Those that may take long come last.
		sort -s -t "$(printf '\t')" -k 2,2n "$rows" | cut -f 1,2,6 >"$work/list.$job"
		args=()
		while read -r program; do
			[[ $program != *.sh ]] || continue
			args+=(--file "$bin/$program:/root/peers/bin/$program")
		done < <(cut -f 6 "$rows" | cut -d ' ' -f 1 | sort -u)
		mapfile -t scripts < <(cut -f 6 "$rows" | cut -d ' ' -f 1 | grep '\.sh$' | sort -u)
		if [ ${#scripts[@]} -gt 0 ]; then
			scripts/peers-files.sh "$kernel" "${scripts[@]}" >"$work/files.$job" ||
				die "what ${scripts[*]} needs is not there"
			mapfile -t -O "${#args[@]}" args <"$work/files.$job"
		fi
		rm -f "$work/fifo.$job"
		mkfifo "$work/fifo.$job"
		begun=
		scripts/lab/run --kernel "$kernel" --cpus 2 --memory 2048 --timeout 7200 "${options[@]}" \
			"${args[@]}" --file tests/peers/in-lab.sh:/root/peers/run \
			--file "$work/list.$job:/root/peers/list" -- /root/peers/run "$side" \
			</dev/null >"$work/fifo.$job" 2>"$work/lab.$job" &
		lab=$!
		exec 3<"$work/fifo.$job"
		listen "$side"
		kill -TERM "$lab" 2>/dev/null || true
		exec 3<&-
		wait "$lab" || true
		if [ -n "$name" ]; then
			cat "$work/lab.$job" >>"$log/$side/$name"
			record "$side" "$name" "$([ -n "$stuck" ] && echo hang || echo down)" -
		elif [ -z "$begun" ]; then
			tail -n 30 "$work/lab.$job" >&2
			warn "$side: the emulated machine ran nothing"
			return
		fi
		awk -F '\t' 'NR == FNR { done[$2] = 1; next } !($1 in done)' "$work/results.$job" "$rows" \
			>"$rows.next"
		mv "$rows.next" "$rows"
	done
}

# undecided JOB ROWS: those that differ from the table once, and may be right yet.
undecided()
{
	awk -F '\t' '
		NR == FNR { words[$2] = words[$2] " " $3; next }
		{
			n = split(words[$1], word, " ")
			good = bad = 0
			for (i = 1; i <= n; i++)
				word[i] == $4 ? good++ : bad++
		}
		$4 != "any" && bad == 1 && good < 2' "$work/seen.$1" "$2"
}

# run_job JOB SIDE ROWS: every row once; on KVM, where a result is not the
# table's, again, as two of three count.
run_job()
{
	local job=$1 side=$2 rows=$3 attempt

	for attempt in 1 2 3; do
		if [ "$attempt" = 1 ]; then
			cp "$rows" "$rows.left"
		else
			undecided "$job" "$rows" >"$rows.left"
			[ -s "$rows.left" ] || break
			say "$side: run $attempt of $(wc -l <"$rows.left") that differ from the table"
		fi
		: >"$work/results.$job"
		run_rows "$side" "$rows.left"
		cat "$work/results.$job" >>"$work/seen.$job"
		[ "$side" = kvm ] || break
	done
}

# Two machines, one core each.
read -r -a side <<<"$sides"
jobs=()
for name in "${side[@]}"; do
	if [ ${#side[@]} = 2 ] || [ "$(wc -l <"$work/rows")" -lt 5 ]; then
		cp "$work/rows" "$work/rows.$name.0"
		jobs+=("$name.0")
	else
		awk -v "out=$work/rows.$name." '{ print >(out NR % 2) }' "$work/rows"
		jobs+=("$name.0" "$name.1")
	fi
done
rows=$(wc -l <"$work/rows")
say "$rows runs on ${sides// / and }, two emulated machines at a time: about" \
	"$((1 + rows * ${#side[@]} / 8)) minutes on two idle cores"
for job in "${jobs[@]}"; do
	: >"$work/seen.$job"
	while [ "$(jobs -rp | wc -l)" -ge "${LABS:-2}" ]; do wait -n || true; done
	run_job "$job" "${job%.*}" "$work/rows.$job" &
done
wait

status=0
awk -v "json=$json" -v "WRONG=$work/wrong" -v "LAST=$work/last" -f scripts/peers-table.awk \
	"$work/rows" "$work"/seen.* >&4 || status=1
while IFS=$'\t' read -r side name want result; do
	printf '\nFAIL  %s on %s: %s, the table says %s\n' "$name" "$side" "$result" "$want"
	tail -n 12 "$log/$side/$name" 2>/dev/null | sed 's/^/      | /'
done <"$work/wrong"
say "$((SECONDS - started)) s; what each said is in $log"
cat "$work/last"
[ "$status" = 0 ]
