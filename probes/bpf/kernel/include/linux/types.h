/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The fixed-width names that BCC's own headers use; the ABI of every 64-bit Linux. */
#ifndef UNDERGLASS_LINUX_TYPES_H
#define UNDERGLASS_LINUX_TYPES_H

typedef signed char __s8, s8, int8_t;
typedef unsigned char __u8, u8, uint8_t;
typedef short __s16, s16, int16_t;
typedef unsigned short __u16, u16, uint16_t;
typedef int __s32, s32, int32_t;
typedef unsigned int __u32, u32, uint32_t;
typedef long long __s64, s64;
typedef unsigned long long __u64, u64;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef unsigned long size_t, uintptr_t;
typedef long ssize_t, intptr_t;
typedef int pid_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __user
#define __kernel
#define __force
#define __bitwise
#define __always_inline inline __attribute__((always_inline))
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
