/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Endpoints: what a socket or pipe speaks, told from its first bytes by shape, and what is said of
 * it: the ClientHello of a TLS socket, the processes at the ends of a channel.
 */

#define STATE_UNKNOWN 0
#define STATE_PLAIN 1
#define STATE_TLS 2
#define STATE_WRITTEN_CHANNEL 3 /* followed where it is written */
#define STATE_READ_CHANNEL 4    /* followed where it is read: nobody in scope writes it */
#define STATE_DISMISSED 5
#define MOST_LOOKS 64

#define HELLO_BYTES 2048
#define MOST_VECTORS 16

struct channel_end {
    struct frame frame;
    u64 handle;
    u64 epoch;
    u64 start_ns;
    u32 pid;
    u32 role;
    s32 fd;
    u32 transport; /* 1: pipe, 2: Unix socket */
    char comm[16];
};

struct tls_hello {
    struct frame frame;
    u64 start_ns;
    u64 handle;
    u64 epoch;
    u32 tgid;
    u32 reserved;
    struct addresses addresses;
};
struct tls_hello_full {
    struct tls_hello head;
    u8 data[HELLO_BYTES];
};

#define SHAPE_NONE 0
#define SHAPE_HTTP 1
#define SHAPE_TLS 2
#define SHAPE_JSON 3

static __always_inline u32 shape_of(u64 buffer, u64 length) {
    union {
        u8 bytes[8];
        u32 word;
        u64 all;
    } head = {};
    if (bpf_probe_read_user(head.bytes, sizeof(head.bytes), (void *)buffer)) {
        if (bpf_probe_read_user(head.bytes, 4, (void *)buffer))
            return SHAPE_NONE;
    }
    u8 *b = head.bytes;
    if (length >= 3 && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4)
        return SHAPE_TLS;
    if (length >= 2 && b[0] == '{' && (b[1] == '"' || b[1] == ' ' || b[1] == '\n'))
        return SHAPE_JSON;
    if (length < 4)
        return SHAPE_NONE;
    switch (head.word) {
    case 0x54534f50: /* "POST" */
    case 0x44414548: /* "HEAD", which git prints too */
        return length > 4 && b[4] == ' ' ? SHAPE_HTTP : SHAPE_NONE;
    case 0x20544547: /* "GET " */
    case 0x20545550: /* "PUT " */
    case 0x43544150: /* "PATC" */
    case 0x454c4544: /* "DELE" */
    case 0x4954504f: /* "OPTI" */
    case 0x4e4e4f43: /* "CONN" */
    case 0x20495250: /* "PRI " */
    case 0x50545448: /* "HTTP" */
        return SHAPE_HTTP;
    case 0x746e6f43: /* "Content-" of a framed message */
    case 0x746e6f63:
        return length >= 8 && b[6] == 't' && b[7] == '-' ? SHAPE_JSON : SHAPE_NONE;
    }
    return SHAPE_NONE;
}

static __always_inline struct endpoint *endpoint_of(struct connection_key *key) {
    struct endpoint *known = endpoints.lookup(key);
    if (known)
        return known;
    struct endpoint fresh = {};
    endpoints.insert(key, &fresh);
    return endpoints.lookup(key);
}

static __always_inline void say_hello(struct connection_key *key, u64 sock, u32 family, u64 buffer,
                                      u64 length) {
    struct tls_hello_full *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return;
    }
    HEAD(&event->head, FRAME_TLS_HELLO);
    event->head.start_ns = key->start_ns;
    event->head.handle = key->handle;
    event->head.epoch = bpf_ktime_get_ns();
    event->head.tgid = key->tgid;
    event->head.reserved = 0;
    struct addresses addresses = {};
    addresses_of(sock, family, &addresses);
    event->head.addresses = addresses;
    asm volatile("" : "+r"(length));
    if (length > HELLO_BYTES)
        length = HELLO_BYTES;
    asm volatile("" : "+r"(length));
    if (length > HELLO_BYTES || bpf_probe_read_user(event->data, length, (void *)buffer))
        length = 0;
    event->head.frame.size = sizeof(struct tls_hello) + length;
    lifecycle_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count(COUNT_PROCESS_EVENTS, 1);
}

static __always_inline void announce_end(struct connection_key *key, u64 epoch, u32 role, s32 fd,
                                         u32 transport) {
    struct channel_end *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return;
    }
    HEAD(event, FRAME_CHANNEL_END);
    event->handle = key->handle;
    event->epoch = epoch;
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->role = role;
    event->fd = fd;
    event->transport = transport;
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
    lifecycle_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count(COUNT_PROCESS_EVENTS, 1);
}

/* What a transfer of a socket or pipe says of it; the new state. */
static __always_inline u32 classify(struct endpoint *endpoint, u32 shape, u32 kind, u32 family,
                                    u32 direction) {
    if (shape == SHAPE_HTTP && kind == S_IFSOCK)
        return STATE_PLAIN;
    if (shape == SHAPE_TLS && kind == S_IFSOCK)
        return STATE_TLS;
    if (shape == SHAPE_JSON && (kind == S_IFIFO || family == AF_UNIX))
        return direction == WRITE ? STATE_WRITTEN_CHANNEL : STATE_READ_CHANNEL;
    if (++endpoint->looks >= MOST_LOOKS)
        return STATE_DISMISSED;
    return STATE_UNKNOWN;
}
