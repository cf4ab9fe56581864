/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Frames: what every program here writes to a ring, and what travels unchanged over the socket
 * into recordings. The layouts are mirrored in probes/frames.py; a test compares the sizes.
 *
 * Offsets of kernel fields arrive as -D defines read from the running kernel's BTF
 * (probes/btf.py); no kernel struct is ever read through a header.
 */
#include <uapi/linux/ptrace.h>

#define FRAME_VERSION 2

enum frame_kind {
    FRAME_PLAIN_DATA = 1,
    FRAME_CONNECTION_OPENED = 2,
    FRAME_CONNECTION_CLOSED = 3,
    FRAME_PROCESS_FORKED = 4,
    FRAME_PROCESS_EXECUTED = 5,
    FRAME_PROCESS_PATH = 6,
    FRAME_PROCESS_EXITED = 7,
    FRAME_LIBRARY_MAPPED = 8,
    FRAME_HALF_JOINED = 9,
    FRAME_CHANNEL_END = 10,
    FRAME_TLS_HELLO = 11,
    FRAME_FILE_TOUCHED = 12,
    FRAME_CONNECTED = 13,
    FRAME_DNS_ANSWERED = 14,
    FRAME_CREDENTIALS_CHANGED = 15,
    FRAME_FILE_CONTENT = 16,
};

struct frame {
    u32 size; /* bytes of the whole frame; a reservation may be longer */
    u8 kind;
    u8 version;
    u16 flags;
    u64 ktime_ns;
};

/* What delivered bytes; see Source in probes/events.py. */
enum source {
    SOURCE_OPENSSL,
    SOURCE_BORINGSSL,
    SOURCE_GNUTLS,
    SOURCE_NSS,
    SOURCE_GO,
    SOURCE_RUSTLS,
    SOURCE_MBEDTLS,
    SOURCE_WOLFSSL,
    SOURCE_SOCKET,
    SOURCE_CHANNEL,
    SOURCES,
};

/* Counters, one slot a cause, for each source, then for processes, then for what processes do; see
 * probes/frames.py. */
enum source_counter {
    COUNT_EVENTS,
    COUNT_BYTES,
    COUNT_LOST_EVENTS_RING,
    COUNT_LOST_BYTES_RING,
    COUNT_LOST_EVENTS_FAULT,
    COUNT_LOST_BYTES_FAULT,
    COUNT_LOST_BYTES_TRUNCATED,
    COUNT_LOST_BYTES_TABLE,
    COUNT_IGNORED_BYTES,
    COUNT_NESTED_CALLS,
    SOURCE_COUNTERS,
};
enum process_counter {
    COUNT_PROCESS_EVENTS,
    COUNT_PROCESS_LOST_EVENTS,
    COUNT_PROCESS_TRUNCATED_BYTES,
    COUNT_TARGETS_LOST,
    PROCESS_COUNTERS,
};
enum action_counter {
    COUNT_FILE_EVENTS,
    COUNT_FILE_LOST_EVENTS,
    COUNT_FILE_TRUNCATED_PATHS,
    COUNT_FILE_CONTENT_BYTES,
    COUNT_FILE_LOST_CONTENT_RING,
    COUNT_FILE_LOST_CONTENT_FAULT,
    COUNT_FILE_UNSEEN_CONTENT,
    COUNT_NETWORK_EVENTS,
    COUNT_NETWORK_LOST_EVENTS,
    COUNT_NETWORK_LOST_READ_FAULT,
    COUNT_PRIVILEGE_EVENTS,
    COUNT_PRIVILEGE_LOST_EVENTS,
    ACTION_COUNTERS,
};
BPF_PERCPU_ARRAY(counters, u64, SOURCES *SOURCE_COUNTERS + PROCESS_COUNTERS + ACTION_COUNTERS);

static __always_inline void add_to_slot(u32 slot, u64 amount) {
    u64 *value = counters.lookup(&slot);
    if (value)
        __sync_fetch_and_add(value, amount); /* uprobe programs can be preempted */
}

static __always_inline void count_of(u32 source, u32 which, u64 amount) {
    add_to_slot(source * SOURCE_COUNTERS + which, amount);
}

static __always_inline void count(u32 which, u64 amount) {
    add_to_slot(SOURCES * SOURCE_COUNTERS + which, amount);
}

static __always_inline void count_action(u32 which, u64 amount) {
    add_to_slot(SOURCES * SOURCE_COUNTERS + PROCESS_COUNTERS + which, amount);
}

/* Rings for bulk data, for lifecycle, so that bursts of data never evict an exit, and for what
 * processes do to files, to privileges and on the network, so that a storm of opens evicts
 * neither. */
BPF_RINGBUF_OUTPUT(data_ring, DATA_RING_PAGES);
BPF_RINGBUF_OUTPUT(lifecycle_ring, LIFECYCLE_RING_PAGES);
BPF_RINGBUF_OUTPUT(file_ring, FILE_RING_PAGES);

#define RING_NO_WAKEUP 1 /* BPF_RB_NO_WAKEUP: the drain polls */

static __always_inline u64 kernel_u64(u64 address) {
    u64 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

static __always_inline u32 kernel_u32(u64 address) {
    u32 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

static __always_inline u16 kernel_u16(u64 address) {
    u16 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

static __always_inline u64 user_u64(u64 address) {
    u64 value = 0;
    bpf_probe_read_user(&value, sizeof(value), (void *)address);
    return value;
}

/* Start of a process (not of the calling thread), CLOCK_BOOTTIME: with the pid a unique key. */
static __always_inline u64 process_start_ns(u64 task) {
    return kernel_u64(kernel_u64(task + TASK_GROUP_LEADER) + TASK_START_BOOTTIME);
}

/* Targets: processes in scope. Flag bit 0: children are in scope too. */
#define TARGET_FOLLOW 1
BPF_HASH(targets, u32, u32, 65536);
/* Never in scope of names and of the whole host: the observer itself, and what other captures
 * watch. The value is the pid of the collector that watches it, which children inherit; 0 is for
 * one process alone. The end of a process is told when that bit is set. */
#define EXCLUDED_END_TOLD (1U << 31)
BPF_HASH(excluded, u32, u32, 16384);
struct process_name {
    char text[16];
};
BPF_HASH(target_names, struct process_name, u32, 256);
BPF_ARRAY(scope_all, u32, 1);

static __always_inline bool in_scope(u32 tgid) {
    if (targets.lookup(&tgid))
        return true;
    u32 zero = 0;
    u32 *all = scope_all.lookup(&zero);
    return all && *all && !excluded.lookup(&tgid);
}
