/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Life of the processes in scope: fork, exec (argv, executable, working directory), exit.
 *
 * A child is in scope before it runs its first instruction: the fork tracepoint precedes its
 * wake-up. Paths are walked in the kernel, since /proc is gone when a short process is.
 */

#define ARGV_SMALL 512
#define ARGV_MEDIUM 4096
#define ARGV_LARGE 65536
#define PATH_BYTES 4096
#define PATH_DEPTH 40

struct process_forked {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u32 ppid;
    u32 uid;
    u32 reserved;
    u64 cgroup_id;
    char comm[16];
};

struct process_executed {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u32 ppid;
    u32 uid;
    u32 argv_size; /* as the process has it; more than follows when cut */
    u64 cgroup_id;
    char comm[16];
};
struct process_executed_small {
    struct process_executed head;
    u8 argv[ARGV_SMALL];
};
struct process_executed_medium {
    struct process_executed head;
    u8 argv[ARGV_MEDIUM];
};
struct process_executed_large {
    struct process_executed head;
    u8 argv[ARGV_LARGE];
};

#define PATH_EXECUTABLE 0
#define PATH_WORKING_DIRECTORY 1

struct process_path {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u8 which;
    u8 truncated;
    u16 names_size;
};
struct process_path_full {
    struct process_path head;
    u8 names[PATH_BYTES + PATH_NAME]; /* innermost first, each NUL-terminated */
};

struct process_exited {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u32 exit_code; /* as wait() encodes it */
};

int on_sched_process_fork(struct bpf_raw_tracepoint_args *ctx) {
    u64 child = ctx->args[1];
    u32 pid = kernel_u32(child + TASK_PID);
    u32 ppid = bpf_get_current_pid_tgid() >> 32;
    u32 *watcher = excluded.lookup(&ppid);
    if (watcher && *watcher && pid == kernel_u32(child + TASK_TGID)) {
        u32 same = *watcher & ~EXCLUDED_END_TOLD;
        if (excluded.update(&pid, &same))
            count(COUNT_TARGETS_LOST, 1);
    }
    if (!in_scope(ppid))
        return 0;
    if (pid != kernel_u32(child + TASK_TGID)) { /* a thread */
        tell_namespaces(ctx->args[0], child);
        return 0;
    }
    u32 *target = targets.lookup(&ppid);
    if (target) {
        if (!(*target & TARGET_FOLLOW))
            return 0;
        u32 flags = *target;
        if (targets.update(&pid, &flags))
            count(COUNT_TARGETS_LOST, 1);
    }
    tell_namespaces(ctx->args[0], child);
    struct process_forked *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return 0;
    }
    HEAD(event, FRAME_PROCESS_FORKED);
    event->start_ns = kernel_u64(child + TASK_START_BOOTTIME);
    event->pid = pid;
    event->ppid = ppid;
    event->uid = (u32)bpf_get_current_uid_gid();
    event->reserved = 0;
    event->cgroup_id = bpf_get_current_cgroup_id();
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
    lifecycle_ring.ringbuf_submit(event, 0);
    count(COUNT_PROCESS_EVENTS, 1);
    return 0;
}

static __always_inline void walk_path(u64 path, u32 which, u32 pid, u64 start_ns) {
    struct process_path_full *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return;
    }
    HEAD(&event->head, FRAME_PROCESS_PATH);
    event->head.start_ns = start_ns;
    event->head.pid = pid;
    event->head.which = which;
    u32 end;
    u64 used = walk_names(path, event->names, 0, PATH_BYTES, PATH_NAME, PATH_DEPTH, &end);
    event->head.truncated = end == PATH_CUT;
    event->head.names_size = used;
    event->head.frame.size = sizeof(struct process_path) + used;
    lifecycle_ring.ringbuf_submit(event, 0);
    count(COUNT_PROCESS_EVENTS, 1);
}

static __always_inline void fill_executed(struct process_executed *event, u64 task, u32 pid,
                                          u64 start_ns, u64 argv_size, u64 kept) {
    event->frame.size = sizeof(*event) + kept;
    event->frame.kind = FRAME_PROCESS_EXECUTED;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = start_ns;
    event->pid = pid;
    event->ppid = kernel_u32(kernel_u64(task + TASK_REAL_PARENT) + TASK_TGID);
    event->uid = (u32)bpf_get_current_uid_gid();
    event->argv_size = argv_size;
    event->cgroup_id = bpf_get_current_cgroup_id();
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
}

int on_sched_process_exec(struct bpf_raw_tracepoint_args *ctx) {
    u64 task = ctx->args[0];
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (!in_scope(pid)) {
        if (excluded.lookup(&pid))
            return 0;
        struct process_name name = {};
        bpf_get_current_comm(&name.text, sizeof(name.text));
        u32 *flags = target_names.lookup(&name);
        if (!flags)
            return 0;
        u32 wanted = *flags;
        if (targets.update(&pid, &wanted))
            count(COUNT_TARGETS_LOST, 1);
    }
    u64 start_ns = process_start_ns(task);
    u64 mm = kernel_u64(task + TASK_MM);
    u64 program_inode = kernel_u64(kernel_u64(mm + MM_EXE_FILE) + FILE_F_INODE);
    struct file_name program = name_of(program_inode);
    freeze_if_unknown(pid, &program);
    u64 from = kernel_u64(mm + MM_ARG_START);
    u64 argv_size = kernel_u64(mm + MM_ARG_END) - from;
    u64 kept = argv_size;
    asm volatile("" : "+r"(kept));
    if (kept > ARGV_LARGE) {
        count(COUNT_PROCESS_TRUNCATED_BYTES, kept - ARGV_LARGE);
        kept = ARGV_LARGE;
    }
    asm volatile("" : "+r"(kept));
    /* The barriers keep the reservations apart: each must have a constant size. */
    struct process_executed *event;
    if (kept <= ARGV_SMALL) {
        event = lifecycle_ring.ringbuf_reserve(sizeof(struct process_executed_small));
        asm volatile("");
    } else if (kept <= ARGV_MEDIUM) {
        event = lifecycle_ring.ringbuf_reserve(sizeof(struct process_executed_medium));
        asm volatile("" ::: "memory");
    } else {
        event = lifecycle_ring.ringbuf_reserve(sizeof(struct process_executed_large));
    }
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return 0;
    }
    if (kept > ARGV_LARGE || bpf_probe_read_user(event + 1, kept, (void *)from))
        kept = 0;
    fill_executed(event, task, pid, start_ns, argv_size, kept);
    lifecycle_ring.ringbuf_submit(event, 0);
    count(COUNT_PROCESS_EVENTS, 1);
    u64 paths[2];
    paths[PATH_EXECUTABLE] = kernel_u64(mm + MM_EXE_FILE) + FILE_F_PATH;
    paths[PATH_WORKING_DIRECTORY] = kernel_u64(task + TASK_FS) + FS_PWD;
#pragma clang loop unroll(disable)
    for (u32 which = 0; which < 2; which++)
        walk_path(paths[which & 1], which, pid, start_ns);
    tell_gained(task, program_inode);
    return 0;
}

struct ended_process {
    u64 start_ns;
    u32 pid;
    u32 reserved;
};
BPF_TABLE("lru_hash", struct ended_process, u8, ended, 4096);

int on_sched_process_exit(struct bpf_raw_tracepoint_args *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    u32 pid = id >> 32;
    struct stack_key stack = {.owner = id};
    stacks.delete(&stack); /* of each thread, also of one that outlives the first */
    openings.delete(&id);
    rustls_openings.delete(&id);
    sealed_halves.delete(&id);
    receivers.delete(&id);
    transfers.delete(&id);
    /* A process ends with its last thread. The first may be gone long before, also because another
     * one executed a program and took its place. */
    u64 task = ctx->args[0];
    if (kernel_u32(kernel_u64(task + TASK_SIGNAL) + SIGNAL_LIVE))
        return 0;
    u32 *watcher = excluded.lookup(&pid);
    bool told = watcher && *watcher & EXCLUDED_END_TOLD;
    bool seen = in_scope(pid);
    if (watcher)
        excluded.delete(&pid);
    if (!seen && !told)
        return 0;
    struct ended_process process = {.start_ns = process_start_ns(task), .pid = pid};
    u8 yes = 1;
    if (ended.insert(&process, &yes))
        return 0; /* several threads went at the same time */
    targets.delete(&pid);
    record_users.delete(&pid);
    frozen.delete(&pid);
    struct process_exited *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return 0;
    }
    HEAD(event, FRAME_PROCESS_EXITED);
    event->start_ns = process.start_ns;
    event->pid = pid;
    event->exit_code = kernel_u32(task + TASK_EXIT_CODE);
    lifecycle_ring.ringbuf_submit(event, 0);
    count(COUNT_PROCESS_EVENTS, 1);
    return 0;
}
