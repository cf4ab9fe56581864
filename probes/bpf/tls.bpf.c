/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Plaintext of OpenSSL-shaped TLS libraries: uprobes on the read and write functions.
 *
 * A call is stashed at entry and emitted at return, when its true length is known: emitting
 * writes at entry would count a retried write twice. The stash is a short stack per thread,
 * matched by stack pointer, so that a wrapper that calls another hooked function yields one
 * event, TLS inside TLS or a read inside a write yields both, and a frame whose return was never
 * seen is dropped by the next call.
 *
 * Every byte has a position in its direction of the connection. The position moves on when the
 * bytes could not be copied, so a reader can prove each gap.
 */

#define READ 0
#define WRITE 1

#define STASH_DEPTH 6
#define CHUNK_SMALL 512
#define CHUNK_MEDIUM 4096
#define CHUNK 16384
#define CHUNKS_PER_CALL 128 /* 2 MiB */

struct connection_key {
    u64 start_ns;
    u64 ssl;
    u32 tgid;
    u32 reserved;
};

struct connection {
    u64 epoch; /* ktime at which this SSL object was first seen */
    u64 position[2];
    s32 fd;
    u32 reserved;
};

struct call_frame {
    u64 sp;
    u64 ssl;
    u64 buffer;
    u64 length_pointer; /* size_t * of the _ex functions, 0: the return value is the length */
    u64 direction;
};

struct call_stack {
    struct call_frame frames[STASH_DEPTH];
};

struct tls_data {
    struct frame frame;
    u64 start_ns;
    u64 ssl;
    u64 epoch;
    u64 position;
    u32 tgid;
    u32 tid;
    u32 call_size;
    u8 direction;
    u8 reserved[3];
};

struct tls_data_small {
    struct tls_data head;
    u8 data[CHUNK_SMALL];
};
struct tls_data_medium {
    struct tls_data head;
    u8 data[CHUNK_MEDIUM];
};
struct tls_data_large {
    struct tls_data head;
    u8 data[CHUNK];
};

struct connection_opened {
    struct frame frame;
    u64 start_ns;
    u64 ssl;
    u64 epoch;
    u32 tgid;
    u32 tid;
    u64 cgroup_id;
    s32 fd;
    u32 reserved;
    char comm[16];
};

struct connection_closed {
    struct frame frame;
    u64 start_ns;
    u64 ssl;
    u64 epoch;
    u32 tgid;
    u32 reserved;
    u64 position[2];
};

BPF_HASH(connections, struct connection_key, struct connection, CONNECTIONS);
/* Connections whose bytes nobody wants, by epoch. A table of its own: user space writes it, and
 * writing a whole struct connection back would race with the positions. */
BPF_HASH(ignored, struct connection_key, u64, CONNECTIONS);
BPF_HASH(stacks, u64, struct call_stack, 16384);

static __always_inline int enter(struct pt_regs *ctx, u32 direction, u64 length_pointer) {
    u64 id = bpf_get_current_pid_tgid();
    if (!in_scope(id >> 32))
        return 0;
    struct call_stack *stack = stacks.lookup(&id);
    if (!stack) {
        struct call_stack first = {};
        stacks.update(&id, &first);
        stack = stacks.lookup(&id);
        if (!stack) {
            count(COUNT_TLS_NESTED_CALLS, 1);
            return 0;
        }
    }
    /* Frames at or below this stack pointer have returned unseen. */
#pragma clang loop unroll(disable)
    for (int i = 0; i < STASH_DEPTH; i++) {
        struct call_frame *frame = &stack->frames[i];
        if (frame->sp == 0 || frame->sp <= ctx->sp) {
            frame->sp = ctx->sp;
            frame->ssl = ctx->di;
            frame->buffer = ctx->si;
            frame->length_pointer = length_pointer;
            frame->direction = direction;
            if (i + 1 < STASH_DEPTH)
                stack->frames[i + 1].sp = 0;
            return 0;
        }
    }
    count(COUNT_TLS_NESTED_CALLS, 1);
    return 0;
}

static __always_inline void fill(struct tls_data *event, struct connection_key *key,
                                 struct connection *connection, u64 id, u32 direction,
                                 u64 position, u32 call_size, u32 data_size) {
    event->frame.size = sizeof(struct tls_data) + data_size;
    event->frame.kind = FRAME_TLS_DATA;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = key->start_ns;
    event->ssl = key->ssl;
    event->epoch = connection->epoch;
    event->position = position;
    event->tgid = id >> 32;
    event->tid = (u32)id;
    event->call_size = call_size;
    event->direction = direction;
    event->reserved[0] = event->reserved[1] = event->reserved[2] = 0;
}

static __always_inline void captured(u64 size) {
    count(COUNT_TLS_EVENTS, 1);
    count(COUNT_TLS_BYTES, size);
}

static __always_inline void lost_to_ring(u64 size) {
    count(COUNT_TLS_LOST_EVENTS_RING, 1);
    count(COUNT_TLS_LOST_BYTES_RING, size);
}

static __always_inline void lost_to_fault(u64 size) {
    count(COUNT_TLS_LOST_EVENTS_FAULT, 1);
    count(COUNT_TLS_LOST_BYTES_FAULT, size);
}

static __always_inline struct connection *connection_of(struct connection_key *key, s32 fd) {
    struct connection *known = connections.lookup(key);
    if (known)
        return known;
    struct connection fresh = {};
    fresh.epoch = bpf_ktime_get_ns();
    fresh.fd = fd;
    connections.insert(key, &fresh);
    known = connections.lookup(key);
    if (!known)
        return 0;
    u64 id = bpf_get_current_pid_tgid();
    struct connection_opened *event = data_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_TLS_LOST_EVENTS_RING, 1);
        return known;
    }
    event->frame.size = sizeof(*event);
    event->frame.kind = FRAME_CONNECTION_OPENED;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = fresh.epoch;
    event->start_ns = key->start_ns;
    event->ssl = key->ssl;
    event->epoch = fresh.epoch;
    event->tgid = key->tgid;
    event->tid = (u32)id;
    event->cgroup_id = bpf_get_current_cgroup_id();
    event->fd = fd;
    event->reserved = 0;
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
    data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    return known;
}

static __always_inline void emit(u64 id, struct call_frame *call, u64 length) {
    u32 direction = call->direction & 1;
    struct connection_key key = {};
    key.tgid = id >> 32;
    key.ssl = call->ssl;
    key.start_ns = process_start_ns(bpf_get_current_task());
    struct connection *connection = connection_of(&key, -1);
    if (!connection) {
        count(COUNT_TLS_LOST_BYTES_TABLE, length);
        return;
    }
    u64 position = __sync_fetch_and_add(&connection->position[direction], length);
    u64 *unwanted = ignored.lookup(&key);
    if (unwanted && *unwanted == connection->epoch) {
        count(COUNT_TLS_IGNORED_BYTES, length);
        return;
    }
    u64 buffer = call->buffer;
    u64 left = length;
    u32 call_size = length > 0xffffffff ? 0xffffffff : (u32)length;
    for (int i = 0; i < CHUNKS_PER_CALL; i++) {
        if (left < CHUNK)
            break;
        struct tls_data_large *event = data_ring.ringbuf_reserve(sizeof(*event));
        if (!event) {
            lost_to_ring(CHUNK);
        } else {
            fill(&event->head, &key, connection, id, direction, position, call_size, CHUNK);
            if (bpf_probe_read_user(event->data, CHUNK, (void *)buffer)) {
                data_ring.ringbuf_discard(event, RING_NO_WAKEUP);
                lost_to_fault(CHUNK);
            } else {
                data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
                captured(CHUNK);
            }
        }
        buffer += CHUNK;
        position += CHUNK;
        left -= CHUNK;
    }
    u64 size = left;
    asm volatile("" : "+r"(size));
    if (size == 0)
        return;
    if (size >= CHUNK) {
        count(COUNT_TLS_LOST_BYTES_TRUNCATED, size);
        return;
    }
    /* The barriers keep the reservations apart: each must have a constant size. */
    struct tls_data *event;
    if (size <= CHUNK_SMALL) {
        event = data_ring.ringbuf_reserve(sizeof(struct tls_data_small));
        asm volatile("");
    } else if (size <= CHUNK_MEDIUM) {
        event = data_ring.ringbuf_reserve(sizeof(struct tls_data_medium));
        asm volatile("" ::: "memory");
    } else {
        event = data_ring.ringbuf_reserve(sizeof(struct tls_data_large));
    }
    if (!event) {
        lost_to_ring(size);
        return;
    }
    fill(event, &key, connection, id, direction, position, call_size, size);
    if (bpf_probe_read_user(event + 1, size, (void *)buffer)) {
        data_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        lost_to_fault(size);
        return;
    }
    data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    captured(size);
}

int call_return(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct call_stack *stack = stacks.lookup(&id);
    if (!stack)
        return 0;
    u64 entry_sp = ctx->sp - 8; /* `ret` has popped the return address */
    struct call_frame call = {};
    struct call_frame wrapper = {};
#pragma clang loop unroll(disable)
    for (int i = 0; i < STASH_DEPTH; i++) {
        struct call_frame *frame = &stack->frames[i];
        if (frame->sp == 0)
            break;
        if (frame->sp == entry_sp) {
            call = *frame;
            frame->sp = 0; /* the thread's next call takes the entry again */
            break;
        }
        wrapper = *frame;
    }
    if (!call.sp)
        return 0;
    if (wrapper.ssl == call.ssl && wrapper.direction == call.direction)
        return 0; /* the wrapper's own return emits it */
    s32 result = (s32)ctx->ax;
    if (result <= 0)
        return 0;
    u64 length = result;
    if (call.length_pointer) {
        length = 0;
        bpf_probe_read_user(&length, sizeof(length), (void *)call.length_pointer);
    }
    if (length)
        emit(id, &call, length);
    return 0;
}

/* SSL_read(ssl, buf, num), SSL_write(ssl, buf, num): the return value is the length. */
int read_enter(struct pt_regs *ctx) { return enter(ctx, READ, 0); }
int write_enter(struct pt_regs *ctx) { return enter(ctx, WRITE, 0); }
/* (ssl, buf, num, size_t *length): the _ex functions and the internals behind both. */
int read_ex_enter(struct pt_regs *ctx) { return enter(ctx, READ, ctx->cx); }
int write_ex_enter(struct pt_regs *ctx) { return enter(ctx, WRITE, ctx->cx); }
/* (ssl, buf, num, flags, size_t *length): SSL_write_ex2. */
int write_ex2_enter(struct pt_regs *ctx) { return enter(ctx, WRITE, ctx->r8); }

/* SSL_set_fd(ssl, fd): the one proof of which socket carries the connection. */
int set_fd_enter(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    if (!in_scope(id >> 32))
        return 0;
    struct connection_key key = {};
    key.tgid = id >> 32;
    key.ssl = ctx->di;
    key.start_ns = process_start_ns(bpf_get_current_task());
    struct connection *connection = connection_of(&key, (s32)ctx->si);
    if (connection)
        connection->fd = (s32)ctx->si;
    return 0;
}

int free_enter(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct connection_key key = {};
    key.tgid = id >> 32;
    key.ssl = ctx->di;
    key.start_ns = process_start_ns(bpf_get_current_task());
    struct connection *connection = connections.lookup(&key);
    if (!connection)
        return 0;
    struct connection_closed *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (event) {
        event->frame.size = sizeof(*event);
        event->frame.kind = FRAME_CONNECTION_CLOSED;
        event->frame.version = FRAME_VERSION;
        event->frame.flags = 0;
        event->frame.ktime_ns = bpf_ktime_get_ns();
        event->start_ns = key.start_ns;
        event->ssl = key.ssl;
        event->epoch = connection->epoch;
        event->tgid = key.tgid;
        event->reserved = 0;
        event->position[READ] = connection->position[READ];
        event->position[WRITE] = connection->position[WRITE];
        lifecycle_ring.ringbuf_submit(event, RING_NO_WAKEUP);
        count(COUNT_PROCESS_EVENTS, 1);
    } else {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
    }
    connections.delete(&key);
    ignored.delete(&key);
    return 0;
}
