/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * System calls that are watched, by their x86-64 numbers, and which program takes them: what
 * transfers bytes is looked at where every call returns (sockets.bpf.c), all else in programs that
 * are reached from there by tail call, one for each kind of action.
 */

#define NR_READ 0
#define NR_WRITE 1
#define NR_OPEN 2
#define NR_MMAP 9
#define NR_PREAD64 17
#define NR_READV 19
#define NR_WRITEV 20
#define NR_SENDFILE 40
#define NR_CONNECT 42
#define NR_SENDTO 44
#define NR_RECVFROM 45
#define NR_SENDMSG 46
#define NR_RECVMSG 47
#define NR_CLONE 56
#define NR_TRUNCATE 76
#define NR_FTRUNCATE 77
#define NR_RENAME 82
#define NR_MKDIR 83
#define NR_RMDIR 84
#define NR_CREAT 85
#define NR_LINK 86
#define NR_UNLINK 87
#define NR_SYMLINK 88
#define NR_CHMOD 90
#define NR_FCHMOD 91
#define NR_PTRACE 101
#define NR_SETUID 105
#define NR_SETGID 106
#define NR_SETREUID 113
#define NR_SETREGID 114
#define NR_SETRESUID 117
#define NR_SETRESGID 119
#define NR_CAPSET 126
#define NR_OPENAT 257
#define NR_MKDIRAT 258
#define NR_UNLINKAT 263
#define NR_RENAMEAT 264
#define NR_LINKAT 265
#define NR_SYMLINKAT 266
#define NR_FCHMODAT 268
#define NR_UNSHARE 272
#define NR_SPLICE 275
#define NR_PREADV 295
#define NR_RECVMMSG 299
#define NR_SETNS 308
#define NR_RENAMEAT2 316
#define NR_COPY_FILE_RANGE 326
#define NR_PREADV2 327
#define NR_CLONE3 435
#define NR_OPENAT2 437
#define NR_FCHMODAT2 452

/* Slots of `steps`: programs that are reached by tail call. */
#define STEP_TRANSFER 0
#define STEP_FILE 1
#define STEP_FILE_LONG 2
#define STEP_SENSITIVE 3
#define STEP_CONTENT 4
#define STEP_CONNECT 5
#define STEP_DATAGRAM 6
#define STEP_CREDENTIALS 7
BPF_PROG_ARRAY(steps, 8);

#define CALL(number) (1ull << ((number)&63))

/* Sets of calls, 64 numbers a word. */
#define FILE_CALLS_0 CALL(NR_OPEN)
#define FILE_CALLS_1                                                                             \
    (CALL(NR_TRUNCATE) | CALL(NR_FTRUNCATE) | CALL(NR_RENAME) | CALL(NR_MKDIR) |                 \
     CALL(NR_RMDIR) | CALL(NR_CREAT) | CALL(NR_LINK) | CALL(NR_UNLINK) | CALL(NR_SYMLINK) |      \
     CALL(NR_CHMOD) | CALL(NR_FCHMOD))
#define FILE_CALLS_4                                                                             \
    (CALL(NR_OPENAT) | CALL(NR_MKDIRAT) | CALL(NR_UNLINKAT) | CALL(NR_RENAMEAT) |                \
     CALL(NR_LINKAT) | CALL(NR_SYMLINKAT) | CALL(NR_FCHMODAT) | CALL(NR_RENAMEAT2))
#define FILE_CALLS_6 CALL(NR_OPENAT2)
#define FILE_CALLS_7 CALL(NR_FCHMODAT2)
#define CREDENTIAL_CALLS_0 CALL(NR_CLONE)
#define CREDENTIAL_CALLS_1                                                                       \
    (CALL(NR_PTRACE) | CALL(NR_SETUID) | CALL(NR_SETGID) | CALL(NR_SETREUID) |                   \
     CALL(NR_SETREGID) | CALL(NR_SETRESUID) | CALL(NR_SETRESGID) | CALL(NR_CAPSET))
#define CREDENTIAL_CALLS_4 (CALL(NR_UNSHARE) | CALL(NR_SETNS))
#define CREDENTIAL_CALLS_6 CALL(NR_CLONE3)
#define CONTENT_CALLS_0 (CALL(NR_PREAD64) | CALL(NR_SENDFILE))
#define CONTENT_CALLS_4 (CALL(NR_PREADV) | CALL(NR_SPLICE))
#define CONTENT_CALLS_5 (CALL(NR_COPY_FILE_RANGE) | CALL(NR_PREADV2))

/* The step that takes a call; 0 when none does. */
static __always_inline u32 step_of(u64 number) {
    u64 call = CALL(number);
    switch (number >> 6) {
    case 0:
        if (call & FILE_CALLS_0)
            return STEP_FILE;
        if (call & CONTENT_CALLS_0)
            return STEP_CONTENT;
        if (call & CREDENTIAL_CALLS_0)
            return STEP_CREDENTIALS;
        return call & CALL(NR_CONNECT) ? STEP_CONNECT : 0;
    case 1:
        if (call & FILE_CALLS_1)
            return STEP_FILE;
        return call & CREDENTIAL_CALLS_1 ? STEP_CREDENTIALS : 0;
    case 4:
        if (call & FILE_CALLS_4)
            return STEP_FILE;
        if (call & CREDENTIAL_CALLS_4)
            return STEP_CREDENTIALS;
        if (call & CONTENT_CALLS_4)
            return STEP_CONTENT;
        return call & CALL(NR_RECVMMSG) ? STEP_DATAGRAM : 0;
    case 5:
        return call & CONTENT_CALLS_5 ? STEP_CONTENT : 0;
    case 6:
        if (call & FILE_CALLS_6)
            return STEP_FILE;
        return call & CREDENTIAL_CALLS_6 ? STEP_CREDENTIALS : 0;
    case 7:
        return call & FILE_CALLS_7 ? STEP_FILE : 0;
    }
    return 0;
}

/* As they lie in struct pt_regs. */
struct registers {
    u64 r10;
    u64 r9;
    u64 r8;
    u64 ax;
    u64 cx;
    u64 dx;
    u64 si;
    u64 di;
    u64 orig_ax;
    u64 ip;
    u64 cs;
};
#define REG(name) __builtin_offsetof(struct pt_regs, name)
#define COMPAT_CODE 0x23 /* segment of 32-bit code, whose system calls have other numbers */

/* The registers of the call that returns; false for a 32-bit program. */
static __always_inline bool registers_of(struct bpf_raw_tracepoint_args *ctx,
                                         struct registers *found) {
    bpf_probe_read_kernel(found, sizeof(*found), (void *)(ctx->args[0] + REG(r10)));
    return found->cs != COMPAT_CODE;
}

/* What a call is told to have returned. The kernel's own codes of a call that a signal broke off
 * (ERESTARTSYS and its kin) are EINTR to everybody else. */
#define EINTR 4
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516
static __always_inline s64 result_of(struct bpf_raw_tracepoint_args *ctx) {
    s64 result = ctx->args[1];
    return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK ? -EINTR : result;
}
