/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Changes of what a process may do: system calls at their return, programs whose file gives
 * privileges, at their exec, and namespaces that a task is born into, at its fork.
 */

#define PTRACE_TRACEME 0
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define S_ISUID 04000

#define CLONE_NEWTIME 0x80 /* of clone3(2) and unshare(2): for clone(2) a part of the signal */
#define CLONE_NEWNS 0x20000
#define CLONE_NEWCGROUP 0x2000000
#define CLONE_NEWUTS 0x4000000
#define CLONE_NEWIPC 0x8000000
#define CLONE_NEWUSER 0x10000000
#define CLONE_NEWPID 0x20000000
#define CLONE_NEWNET 0x40000000
#define CLONE_NEW_NAMESPACES                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |               \
     CLONE_NEWPID | CLONE_NEWNET)

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
    u64 credentials = kernel_u64(task + TASK_CRED);
    HEAD(event, FRAME_CREDENTIALS_CHANGED);
    event->start_ns = process_start_ns(task);
    event->result = result;
    event->capabilities = kernel_u64(credentials + CRED_CAP_EFFECTIVE);
    event->argument = argument;
    event->pid = kernel_u32(task + TASK_TGID);
    event->tid = kernel_u32(task + TASK_PID);
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
    case NR_CLONE: /* only one that failed: what it did is told of the child (tell_namespaces) */
    case NR_CLONE3:
        if ((s64)ctx->args[1] >= 0 || (s64)ctx->args[1] <= -ERESTARTSYS)
            return 0;
        if (regs.orig_ax == NR_CLONE)
            argument = regs.di & CLONE_NEW_NAMESPACES;
        else
            argument = user_u64(regs.di) & (CLONE_NEW_NAMESPACES | CLONE_NEWTIME);
        if (!argument)
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

static __always_inline bool differ(u64 one, u64 other, u64 offset) {
    return kernel_u64(one + offset) != kernel_u64(other + offset);
}

/* A task that is born: which of its namespaces are not its parent's? What the parent asked for is
 * not looked at: of clone3(2) it stands in memory that may hold something else by now. Those of
 * pids and times are compared as the parent's children have them, not as the parent itself does:
 * they differ after unshare(2), which was told of then. */
static __always_inline void tell_namespaces(u64 parent, u64 child) {
    u64 flags = 0;
    u64 old = kernel_u64(parent + TASK_NSPROXY), new = kernel_u64(child + TASK_NSPROXY);
    if (old != new) {
        flags |= differ(old, new, NSPROXY_MNT_NS) ? CLONE_NEWNS : 0;
        flags |= differ(old, new, NSPROXY_CGROUP_NS) ? CLONE_NEWCGROUP : 0;
        flags |= differ(old, new, NSPROXY_UTS_NS) ? CLONE_NEWUTS : 0;
        flags |= differ(old, new, NSPROXY_IPC_NS) ? CLONE_NEWIPC : 0;
        flags |= differ(old, new, NSPROXY_PID_NS) ? CLONE_NEWPID : 0;
        flags |= differ(old, new, NSPROXY_NET_NS) ? CLONE_NEWNET : 0;
        flags |= differ(old, new, NSPROXY_TIME_NS) ? CLONE_NEWTIME : 0;
    }
    if (differ(kernel_u64(parent + TASK_CRED), kernel_u64(child + TASK_CRED), CRED_USER_NS))
        flags |= CLONE_NEWUSER;
    if (flags)
        tell_credentials(child, CREDENTIALS_UNSHARE, 0, flags, 0);
}
