/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The loader replaces the version by the running kernel's; tracing programs do not check it. */
#ifndef UNDERGLASS_LINUX_VERSION_H
#define UNDERGLASS_LINUX_VERSION_H
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)
#endif
