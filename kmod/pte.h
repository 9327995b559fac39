/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The format of a second-level entry, by the one vendor of this build. Inline, because every fault
 * and every invalidation goes through it; so this file is the one place where neutral code meets a
 * vendor's header.
 *
 * The vendor's header defines VITRINE_PTE_LEVELS and vitrine_pte_*(): see there. Levels count from
 * 1 (4 KiB leaves) up.
 */
#ifndef VITRINE_PTE_H
#define VITRINE_PTE_H

#include "vmx/ept.h"

#endif
