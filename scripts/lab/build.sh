#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the lab's own programs (loader ROM, PID 1, disk writer, supervisor) and the initramfs that
# every run shares, when they are older than their sources. It takes a lock, as labs may start side
# by side, and needs no network and no root.
#
# usage: build.sh OUT_DIR
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

exec 9>"$out/.lock"
flock 9

# newer TARGET SOURCES: true if TARGET need not be built
newer() {
	local target=$1 source

	[ -e "$target" ] || return 1
	shift
	for source; do
		[ ! "$source" -nt "$target" ] || return 1
	done
}

compile() {
	"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g0 -Wall -Wextra -Wno-missing-field-initializers "$@"
}

# program NAME LINK SOURCES: headers are among them to be looked at
program() {
	local name=$1 link=$2 source sources=()

	shift 2
	! newer "$out/$name" "$@" || return 0
	for source; do
		case $source in
		*.c) sources+=("$source") ;;
		esac
	done
	compile "$link" -s -o "$out/$name.tmp" "${sources[@]}"
	mv "$out/$name.tmp" "$out/$name"
}

build_rom() {
	local work=$out/rom sectors=4 sum

	newer "$out/loader.rom" "$here"/rom* "$here"/{disk,frame,port}.h "$here/build.sh" && return
	mkdir -p "$work"
	compile -m32 -Os -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
		-fcf-protection=none -mgeneral-regs-only -c -o "$work/rom.o" "$here/rom.c"
	"${CC:-gcc}" -m32 -DROM_SECTORS="$sectors" -c -o "$work/entry.o" "$here/rom_entry.S"
	ld -m elf_i386 --build-id=none -T "$here/rom.ld" -o "$work/rom.elf" "$work/entry.o" "$work/rom.o"
	objcopy -O binary -j .rom "$work/rom.elf" "$work/rom.bin"
	# The BIOS calls only what sums up to zero over its whole length.
	truncate -s $((sectors * 512 - 1)) "$work/rom.bin"
	sum=$(od -An -v -t u1 "$work/rom.bin" | awk '{ for (i = 1; i <= NF; i++) s += $i } END { print s }')
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %o $(((256 - sum % 256) % 256)))" >>"$work/rom.bin"
	mv "$work/rom.bin" "$out/loader.rom"
}

build_initramfs() {
	local root=$out/initramfs busybox applet

	newer "$out/initramfs.cpio" "$out"/{init,lab-kexec} "$here/build.sh" && return
	busybox=$(command -v busybox) || {
		echo "lab: busybox is missing (Debian package busybox-static)" >&2
		exit 1
	}
	rm -rf "$root"
	mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,etc,root,lab,lib,dev,proc,sys,tmp,run,mnt,var}
	cp "$out/init" "$root/init"
	cp "$out/lab-kexec" "$root/sbin/lab-kexec"
	cp "$busybox" "$root/bin/busybox"
	"$busybox" --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	ln -s ../run "$root/var/run"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost vitrine-lab\n' >"$root/etc/hosts"
	printf 'vitrine-lab\n' >"$root/etc/hostname"
	printf 'PS1="lab# "\n' >"$root/etc/profile"
	(cd "$root" && find . -print0 | cpio -0 -o -H newc -R 0:0 --quiet) >"$out/initramfs.tmp"
	mv "$out/initramfs.tmp" "$out/initramfs.cpio"
	rm -rf "$root"
}

cd "$here"
program mkdisk -pie mkdisk.c disk.h
program supervise -pie {supervise,frames,keys,report}.c {supervise,frame}.h
program init -static {init,mount,session,wire}.c {init,port,frame}.h
program lab-kexec -static kexec.c frame.h
build_rom
build_initramfs
