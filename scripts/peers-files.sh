#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# peers-files.sh SERIES PROGRAM...: what a peer that is no KVM selftest needs in the emulated
# machine, as options of scripts/lab/run, one word a line. PROGRAM is a script of tests/peers:
# qemu.sh, gdb.sh or nx_huge_pages.sh. The packages are Debian's; those that are missing are
# installed.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

series=${1:?usage: $0 SERIES PROGRAM...}
shift
file()
{
	printf '%s\n' --file "$1:$2"
}

# Few, as each byte costs: what the machines of qemu.sh load.
qemu_files()
{
	local rom

	scripts/setup.sh peers >&2
	scripts/guest-initramfs.sh >&2
	file /usr/bin/qemu-system-x86_64 /usr/bin/
	for rom in bios-256k vgabios-stdvga bios-microvm; do
		file "/usr/share/seabios/$rom.bin" /usr/share/qemu/
	done
	for rom in linuxboot_dma kvmvapic; do
		file "/usr/share/qemu/$rom.bin" /usr/share/qemu/
	done
	file "$CACHE/kernel/$series-cloud/vmlinuz" /root/guest/
	file build/guest/initramfs.cpio /root/guest/
	file tests/peers/qemu-common.sh /root/peers/bin/
}

# With the modules that its Python has loaded once it is up: it does not start without.
gdb_files()
{
	local module

	file /usr/bin/gdb /usr/bin/
	gdb -nx -batch -ex 'python
import sys
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and path.startswith("/"): print(path)' | while read -r module; do
		file "$module" "$module"
	done
}

for program; do
	case $program in
	qemu.sh) qemu_files ;;
	gdb.sh)
		qemu_files
		gdb_files
		;;
	nx_huge_pages.sh)
		scripts/peers-build.sh build/peers/bin nx_huge_pages_test >&2
		file build/peers/bin/nx_huge_pages_test /root/peers/bin/
		;;
	*) die "tests/peers has no '$program'" ;;
	esac
	file "tests/peers/$program" /root/peers/bin/
done
