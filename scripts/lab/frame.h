/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lab's wire: what the loader and PID 1 write to port 0xE9 and the supervisor reads from the
 * emulator's stdout. A frame is FRAME_START, a type, a 16-bit little-endian length and that many
 * bytes; whatever stands between frames is the emulator's own chatter. The port costs the guest
 * one tick a byte, a serial port thousands.
 *
 * Only one process of the guest may write frames: two would interleave them.
 */
#ifndef VITRINE_LAB_FRAME_H
#define VITRINE_LAB_FRAME_H

#define FRAME_PORT	0xe9
#define FRAME_START	0x02
#define FRAME_HEADER	4
#define FRAME_MAX	0xffff

/* A number of this file for inline assembly. */
#define FRAME_STRING_(x) #x
#define FRAME_STRING(x)	FRAME_STRING_(x)

enum frame_type {
	FRAME_ROM	= 'R',	/* the loader was entered; u64: TSC */
	FRAME_KERNEL	= 'K',	/* the loader jumps to the kernel; u64: TSC */
	FRAME_INIT	= 'I',	/* PID 1 has started; u64: TSC */
	FRAME_COMMAND	= 'C',	/* the command is about to start; u64: TSC */
	FRAME_OUTPUT	= 'O',	/* bytes of the command's stdout and stderr */
	FRAME_LOG	= 'L',	/* bytes of the kernel log */
	FRAME_EXIT	= 'X',	/* the command ended; u64: its exit code */
	FRAME_NEXT	= 'N',	/* kexec reached what it was to start (kexec.c); empty */
	FRAME_FAIL	= 'F',	/* the lab itself failed; text says why */
};

/* Port and word that make the emulator end at once (its "unmapped" plugin). */
#define POWEROFF_PORT	0x8900
#define POWEROFF_WORD	"Shutdown"

#endif
