/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Changes of what a process may do: system calls at their return, and programs whose file gives
 * privileges, at their exec.
 */

#define PTRACE_TRACEME 0
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define S_ISUID 04000
#define CLONE_NEW_NAMESPACES 0x7e020000

/* See CredentialChange in probes/events.py. */
enum credential_change {
    CREDENTIALS_EXEC,
    CREDENTIALS_SETUID,
    CREDENTIALS_SETGID,
    CREDENTIALS_CAPSET,
    CREDENTIALS_UNSHARE,
    CREDENTIALS_SETNS,
    CREDENTIALS_PTRACE,
};

struct credentials_changed {
    struct frame frame;
    u64 start_ns;
    s64 result;
    u64 capabilities;
    u64 argument;
    u32 pid;
    u32 tid;
    u32 uid;
    u32 euid;
    u32 target_pid;
    u32 change;
};

static __always_inline void tell_credentials(u64 task, u32 change, s64 result, u64 argument,
                                             u32 target_pid) {
    struct credentials_changed *event = file_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_action(COUNT_PRIVILEGE_LOST_EVENTS, 1);
        return;
    }
    u64 id = bpf_get_current_pid_tgid();
    u64 credentials = kernel_u64(task + TASK_CRED);
    HEAD(event, FRAME_CREDENTIALS_CHANGED);
    event->start_ns = process_start_ns(task);
    event->result = result;
    event->capabilities = kernel_u64(credentials + CRED_CAP_EFFECTIVE);
    event->argument = argument;
    event->pid = id >> 32;
    event->tid = (u32)id;
    event->uid = kernel_u32(credentials + CRED_UID);
    event->euid = kernel_u32(credentials + CRED_EUID);
    event->target_pid = target_pid;
    event->change = change;
    file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count_action(COUNT_PRIVILEGE_EVENTS, 1);
}

int credentials_step(struct bpf_raw_tracepoint_args *ctx) {
    struct registers regs;
    if (!registers_of(ctx, &regs))
        return 0;
    u32 change = 0, target_pid = 0;
    u64 argument = 0;
    switch ((u32)regs.orig_ax) {
    case NR_SETUID:
    case NR_SETREUID:
    case NR_SETRESUID:
        change = CREDENTIALS_SETUID;
        break;
    case NR_SETGID:
    case NR_SETREGID:
    case NR_SETRESGID:
        change = CREDENTIALS_SETGID;
        break;
    case NR_CAPSET:
        change = CREDENTIALS_CAPSET;
        break;
    case NR_UNSHARE:
        change = CREDENTIALS_UNSHARE;
        argument = regs.di;
        break;
    case NR_CLONE3:
        argument = user_u64(regs.di);
    case NR_CLONE: /* told of the child, where it begins, or of who could not have it */
        if (regs.orig_ax == NR_CLONE)
            argument = regs.di;
        if (!(argument & CLONE_NEW_NAMESPACES) || (s64)ctx->args[1] > 0)
            return 0;
        change = CREDENTIALS_UNSHARE;
        break;
    case NR_SETNS:
        change = CREDENTIALS_SETNS;
        argument = (u32)regs.si;
        break;
    case NR_PTRACE:
        if (regs.di != PTRACE_TRACEME && regs.di != PTRACE_ATTACH && regs.di != PTRACE_SEIZE)
            return 0; /* what a tracer does with whom it traces */
        change = CREDENTIALS_PTRACE;
        argument = regs.di;
        if (argument != PTRACE_TRACEME)
            target_pid = regs.si;
        break;
    default:
        return 0;
    }
    tell_credentials(bpf_get_current_task(), change, result_of(ctx), argument, target_pid);
    return 0;
}

/* A program that begins: has its file given privileges that the process did not have? Without
 * such a file, who is not root keeps its ambient capabilities only (capabilities(7)). */
static __always_inline void tell_gained(u64 task, u64 program_inode) {
    u64 credentials = kernel_u64(task + TASK_CRED);
    u32 uid = kernel_u32(credentials + CRED_UID);
    u32 euid = kernel_u32(credentials + CRED_EUID);
    bool gained;
    if (uid != euid)
        gained = kernel_u16(program_inode + INODE_I_MODE) & S_ISUID &&
                 kernel_u32(program_inode + INODE_I_UID) == euid;
    else
        gained = uid && kernel_u64(credentials + CRED_CAP_EFFECTIVE) &
                            ~kernel_u64(credentials + CRED_CAP_AMBIENT);
    if (gained)
        tell_credentials(task, CREDENTIALS_EXEC, 0, 0, 0);
}
