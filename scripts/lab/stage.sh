# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Functions that put things into the stage (a directory that is added to the lab's root); sourced by
# run. They only read outside of that directory.

is_elf() {
	[ -f "$1" ] && [ "$(head -c 4 "$1" | od -An -v -t x1 | tr -d ' ')" = 7f454c46 ]
}

# stage_libraries STAGE ELF: what the dynamic loader would take here, at the same paths
stage_libraries() {
	local stage=$1 library

	while read -r library; do
		[ -e "$stage$library" ] && continue
		mkdir -p "$stage${library%/*}"
		cp -L "$library" "$stage$library"
	done < <(ldd "$2" 2>/dev/null | grep -o '/[^ ]*' || true)
}

# stage_file STAGE SRC[:DST]
stage_file() {
	local stage=$1 source=$2 target='' elf

	if [ ! -e "$source" ] && [ "${source%:*}" != "$source" ]; then
		target=${source##*:}
		source=${source%:*}
	fi
	[ -e "$source" ] || {
		echo "lab: --file $source: there is no such file" >&2
		return 1
	}
	source=${source%/}
	[ -n "$target" ] || target=/root/${source##*/}
	case $target in
	*/) target=$target${source##*/} ;;
	esac
	case $target in
	/*) ;;
	*) target=/root/$target ;;
	esac
	mkdir -p "$stage${target%/*}"
	if [ -d "$source" ]; then
		mkdir -p "$stage$target"
		cp -RL "$source/." "$stage$target"
	else
		cp -L "$source" "$stage$target"
	fi
	while IFS= read -r -d '' elf; do
		if is_elf "$elf"; then
			stage_libraries "$stage" "$elf"
		fi
	done < <(find "$stage$target" -type f -print0)
}

# strip_module FROM TO: debug information and BTF cost more ticks to insert than a kernel to boot
strip_module() {
	case $1 in
	*.xz) xz -dc "$1" >"$2.full" ;;
	*) cp "$1" "$2.full" ;;
	esac
	objcopy --strip-debug --remove-section .BTF "$2.full" "$2"
	rm -f "$2.full"
}

# stage_modules STAGE MODULES RELEASE CACHE NAME...: of that kernel, for modprobe
stage_modules() {
	local stage=$1 modules=$2 release=$3 cache=$4 tree name from

	shift 4
	tree=$stage/lib/modules/$release
	mkdir -p "$cache" "$tree/kernel"
	for name; do
		from=$(find "$modules" -name "$name.ko" -o -name "$name.ko.xz" | head -n 1)
		[ -n "$from" ] || {
			echo "lab: no $name.ko under $modules" >&2
			return 1
		}
		if [ ! "$cache/$name.ko" -nt "$from" ]; then
			strip_module "$from" "$cache/$name.ko.$$"
			mv "$cache/$name.ko.$$" "$cache/$name.ko"
		fi
		cp "$cache/$name.ko" "$tree/kernel/"
		case $name in
		kvm) echo 'kernel/kvm.ko: kernel/irqbypass.ko' ;;
		kvm-intel) echo 'kernel/kvm-intel.ko: kernel/kvm.ko kernel/irqbypass.ko' ;;
		*) echo "kernel/$name.ko:" ;;
		esac >>"$tree/modules.dep"
	done
}

# lock_vmx_off BIOS TO: a copy of the emulator's BIOS that writes 1 (locked) instead of 5 (locked, VMX
# allowed) to IA32_FEATURE_CONTROL: once for the boot CPU (32-bit code), once for the others (16-bit).
lock_vmx_off() {
	local msr='\x3a\x00\x00\x00\x0f\x32'

	LC_ALL=C sed -e "s/\($msr\x66\?\x83\xc8\)\x05\x0f\x30/\1\x01\x0f\x30/g" "$1" >"$2"
	[ "$(LC_ALL=C grep -obUaP "$msr\x66?\x83\xc8\x01\x0f\x30" "$2" | wc -l)" -eq 2 ]
}
