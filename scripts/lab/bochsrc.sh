#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Prints the emulator's configuration; every file it names is in the directory it is started in, so
# that no path needs quoting. Bochs 2.7's speaker must go: with it the emulator aborts at start where
# there is no sound card. The CPUs are cores of one socket: after a sleep (S3) their TSCs start from
# zero, and the kernel mends that, other than on the boot CPU, only by comparing within a socket.
#
# usage: bochsrc.sh MODEL CPUS MEMORY_MIB INTERACTIVE
set -eu

cat <<RC
plugin_ctrl: speaker=0, parallel=0, gameport=0, iodebug=0
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest=$3, host=$3
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=loader.rom
boot: disk
cpu: model=$1, count=1:$2:1, ips=100000000, reset_on_triple_fault=1, ignore_bad_msrs=1
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, mode=flat, path=disk.img
pci: enabled=1, chipset=i440fx
com1: enabled=1, mode=file, dev=console.log
port_e9_hack: enabled=1
clock: sync=none, time0=utc
mouse: enabled=0
log: bochs.log
debug: action=ignore
info: action=ignore
error: action=report
panic: action=fatal
RC
[ "$4" -eq 0 ] || echo 'com2: enabled=1, mode=term, dev=keys'
