/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* struct pt_regs as the x86-64 entry code lays it out (a stable layout: uprobes pass it). */
#ifndef UNDERGLASS_UAPI_LINUX_PTRACE_H
#define UNDERGLASS_UAPI_LINUX_PTRACE_H
#include <linux/types.h>
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx;
    unsigned long r11, r10, r9, r8;
    unsigned long ax, cx, dx, si, di;
    unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#endif
