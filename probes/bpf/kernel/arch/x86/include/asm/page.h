/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef UNDERGLASS_ASM_PAGE_H
#define UNDERGLASS_ASM_PAGE_H
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#endif
