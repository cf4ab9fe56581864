/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Connections and how their bytes reach the ring: shared by the programs on TLS libraries and
 * those on system calls.
 *
 * Every byte has a position in its direction of the connection. The position moves on when the
 * bytes could not be copied, so a reader can prove each gap.
 */

#define READ 0
#define WRITE 1

#define CHUNK_SMALL 512
#define CHUNK_MEDIUM 4096
#define CHUNK 16384
#define CHUNKS_PER_CALL 128 /* 2 MiB */

struct connection_key {
    u64 start_ns;
    u64 handle; /* session object, or inode of a socket or pipe */
    u32 tgid;
    u32 reserved;
};

struct connection {
    u64 epoch; /* ktime at which it was first seen */
    u64 position[2];
    u64 socket; /* inode of the socket that carries a half; 0: not known */
    s32 fd;
    u32 source;
};

struct addresses {
    u16 local_port;
    u16 remote_port;
    u32 family; /* 0: not known */
    u8 local[16];
    u8 remote[16];
};

struct plain_data {
    struct frame frame;
    u64 start_ns;
    u64 handle;
    u64 epoch;
    u64 position;
    u32 tgid;
    u32 tid;
    u32 call_size;
    u8 direction;
    u8 source;
    u8 reserved[2];
};

struct plain_data_small {
    struct plain_data head;
    u8 data[CHUNK_SMALL];
};
struct plain_data_medium {
    struct plain_data head;
    u8 data[CHUNK_MEDIUM];
};
struct plain_data_large {
    struct plain_data head;
    u8 data[CHUNK];
};

struct connection_opened {
    struct frame frame;
    u64 start_ns;
    u64 handle;
    u64 epoch;
    u32 tgid;
    u32 tid;
    u64 cgroup_id;
    s32 fd;
    u32 source;
    char comm[16];
    u64 instruction;
    struct addresses addresses;
};

struct connection_closed {
    struct frame frame;
    u64 start_ns;
    u64 handle;
    u64 epoch;
    u32 tgid;
    u32 reserved;
    u64 position[2];
};

#define HEAD(event, frame_kind)                                                                  \
    (event)->frame.size = sizeof(*(event));                                                      \
    (event)->frame.kind = frame_kind;                                                            \
    (event)->frame.version = FRAME_VERSION;                                                      \
    (event)->frame.flags = 0;                                                                    \
    (event)->frame.ktime_ns = bpf_ktime_get_ns();

BPF_HASH(connections, struct connection_key, struct connection, CONNECTIONS);
/* Connections whose bytes nobody wants, by epoch. A table of its own: user space writes it, and
 * writing a whole struct connection back would race with the positions. */
BPF_HASH(ignored, struct connection_key, u64, CONNECTIONS);

/* By process: bytes of TLS records on sockets, and of plaintext that TLS libraries handed over.
 * Records without plaintext mean a library that is not hooked, or a hook that has died. */
struct traffic {
    u64 start_ns;
    u64 records[2];
    u64 plaintext;
};
BPF_HASH(tls_traffic, u32, struct traffic, 16384);

static __always_inline struct traffic *traffic_of(struct connection_key *key) {
    u32 tgid = key->tgid;
    struct traffic *known = tls_traffic.lookup(&tgid);
    if (known)
        return known;
    struct traffic fresh = {.start_ns = key->start_ns};
    tls_traffic.insert(&tgid, &fresh);
    return tls_traffic.lookup(&tgid);
}

static __always_inline struct connection_key key_of(u64 handle) {
    struct connection_key key = {};
    key.tgid = bpf_get_current_pid_tgid() >> 32;
    key.handle = handle;
    key.start_ns = process_start_ns(bpf_get_current_task());
    return key;
}

static __always_inline struct connection *connection_of(struct connection_key *key, u32 source,
                                                        s32 fd, u64 instruction,
                                                        struct addresses *addresses) {
    struct connection *known = connections.lookup(key);
    if (known)
        return known;
    struct connection fresh = {};
    fresh.epoch = bpf_ktime_get_ns();
    fresh.fd = fd;
    fresh.source = source;
    connections.insert(key, &fresh);
    known = connections.lookup(key);
    if (!known)
        return 0;
    struct connection_opened *event = data_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_of(source, COUNT_LOST_EVENTS_RING, 1);
        return known;
    }
    HEAD(event, FRAME_CONNECTION_OPENED);
    event->start_ns = key->start_ns;
    event->handle = key->handle;
    event->epoch = fresh.epoch;
    event->tgid = key->tgid;
    event->tid = (u32)bpf_get_current_pid_tgid();
    event->cgroup_id = bpf_get_current_cgroup_id();
    event->fd = fd;
    event->source = source;
    event->instruction = instruction;
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
    if (addresses)
        event->addresses = *addresses;
    else
        __builtin_memset(&event->addresses, 0, sizeof(event->addresses));
    data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    return known;
}

static __always_inline void close_connection(struct connection_key *key) {
    struct connection *connection = connections.lookup(key);
    if (!connection)
        return;
    struct connection_closed *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (event) {
        HEAD(event, FRAME_CONNECTION_CLOSED);
        event->start_ns = key->start_ns;
        event->handle = key->handle;
        event->epoch = connection->epoch;
        event->tgid = key->tgid;
        event->reserved = 0;
        event->position[READ] = connection->position[READ];
        event->position[WRITE] = connection->position[WRITE];
        lifecycle_ring.ringbuf_submit(event, RING_NO_WAKEUP);
        count(COUNT_PROCESS_EVENTS, 1);
    } else {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
    }
    connections.delete(key);
    ignored.delete(key);
}

static __always_inline void fill(struct plain_data *event, struct connection_key *key,
                                 struct connection *connection, u32 direction, u64 position,
                                 u32 call_size, u32 data_size) {
    event->frame.size = sizeof(struct plain_data) + data_size;
    event->frame.kind = FRAME_PLAIN_DATA;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = key->start_ns;
    event->handle = key->handle;
    event->epoch = connection->epoch;
    event->position = position;
    event->tgid = key->tgid;
    event->tid = (u32)bpf_get_current_pid_tgid();
    event->call_size = call_size;
    event->direction = direction;
    event->source = connection->source;
    event->reserved[0] = event->reserved[1] = 0;
}

static __always_inline void captured(u32 source, u64 size) {
    count_of(source, COUNT_EVENTS, 1);
    count_of(source, COUNT_BYTES, size);
}

static __always_inline void lost_to_ring(u32 source, u64 size) {
    count_of(source, COUNT_LOST_EVENTS_RING, 1);
    count_of(source, COUNT_LOST_BYTES_RING, size);
}

static __always_inline void lost_to_fault(u32 source, u64 size) {
    count_of(source, COUNT_LOST_EVENTS_FAULT, 1);
    count_of(source, COUNT_LOST_BYTES_FAULT, size);
}

/* Copies `length` bytes at `buffer` to the ring, as the next ones of a direction. */
static __always_inline void deliver(struct connection_key *key, struct connection *connection,
                                    u32 direction, u64 buffer, u64 length) {
    direction &= 1;
    u32 source = connection->source;
    if (source >= SOURCES)
        return;
    u64 position = __sync_fetch_and_add(&connection->position[direction], length);
    if (source < SOURCE_SOCKET) {
        struct traffic *traffic = traffic_of(key);
        if (traffic)
            __sync_fetch_and_add(&traffic->plaintext, length);
    }
    u64 *unwanted = ignored.lookup(key);
    if (unwanted && *unwanted == connection->epoch) {
        count_of(source, COUNT_IGNORED_BYTES, length);
        return;
    }
    u64 left = length;
    u32 call_size = length > 0xffffffff ? 0xffffffff : (u32)length;
    for (int i = 0; i < CHUNKS_PER_CALL; i++) {
        if (left < CHUNK)
            break;
        struct plain_data_large *event = data_ring.ringbuf_reserve(sizeof(*event));
        if (!event) {
            lost_to_ring(source, CHUNK);
        } else {
            fill(&event->head, key, connection, direction, position, call_size, CHUNK);
            if (bpf_probe_read_user(event->data, CHUNK, (void *)buffer)) {
                data_ring.ringbuf_discard(event, RING_NO_WAKEUP);
                lost_to_fault(source, CHUNK);
            } else {
                data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
                captured(source, CHUNK);
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
        count_of(source, COUNT_LOST_BYTES_TRUNCATED, size);
        return;
    }
    /* The barriers keep the reservations apart: each must have a constant size. */
    struct plain_data *event;
    if (size <= CHUNK_SMALL) {
        event = data_ring.ringbuf_reserve(sizeof(struct plain_data_small));
        asm volatile("");
    } else if (size <= CHUNK_MEDIUM) {
        event = data_ring.ringbuf_reserve(sizeof(struct plain_data_medium));
        asm volatile("" ::: "memory");
    } else {
        event = data_ring.ringbuf_reserve(sizeof(struct plain_data_large));
    }
    if (!event) {
        lost_to_ring(source, size);
        return;
    }
    fill(event, key, connection, direction, position, call_size, size);
    if (bpf_probe_read_user(event + 1, size, (void *)buffer)) {
        data_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        lost_to_fault(source, size);
        return;
    }
    data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    captured(source, size);
}
