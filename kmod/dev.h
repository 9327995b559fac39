/* SPDX-License-Identifier: GPL-2.0 */
/* /dev/vitrine. */
#ifndef VITRINE_DEV_H
#define VITRINE_DEV_H

struct vitrine_vm;

int vitrine_dev_init(void);
void vitrine_dev_exit(void);
/* KVM_CHECK_EXTENSION's answer; @vm is NULL on the device fd. */
long vitrine_dev_extension(struct vitrine_vm *vm, unsigned long cap);

#endif
