/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Plaintext of TLS records where a library has no other stable place: uprobes on the functions
 * that seal and open a record (EVP_AEAD_CTX_seal and EVP_AEAD_CTX_open of aws-lc under rustls).
 *
 * The key is the AEAD context: one per direction of a connection, so each direction is a half of
 * its own until the socket that carries it is known. A sealed half is joined when the same thread
 * sends a record of the very length that was sealed; an opened one with the socket that the
 * thread received from last.
 */

#define RECORD_DATA 0x17
#define TLS13_AD 5  /* the record's header */
#define TLS12_AD 13 /* sequence number and header */
#define AEAD_TAG 16
#define MOST_RECORD (CHUNK + 1)
#define MOST_PADDING 64

struct half {
    struct connection_key key;
    u64 record; /* bytes of the plaintext record that was sealed */
};
BPF_HASH(sealed_halves, u64, struct half, 4096); /* by thread; not yet seen on a socket */

struct received {
    u64 inode;
    u64 sock;
    u32 family;
    s32 fd;
};
BPF_HASH(receivers, u64, struct received, 4096); /* by thread; of processes with sealed records */
BPF_HASH(record_users, u32, u8, 4096);

struct half_joined {
    struct frame frame;
    u64 start_ns;
    u64 handle;
    u64 epoch;
    u32 tgid;
    u32 direction;
    u64 socket;
    s32 fd;
    u32 reserved;
    struct addresses addresses;
};

/* State of a socket or pipe that system calls were seen on. */
struct endpoint {
    u64 half[2]; /* handles of the halves that it carries */
    u32 state;
    u32 looks; /* how often its bytes were looked at without a result */
    u32 end[2]; /* processes that read and write a channel */
    u32 toucher; /* the last process that transferred anything */
    u32 reserved;
};
BPF_TABLE("lru_hash", struct connection_key, struct endpoint, endpoints, CONNECTIONS);

static __always_inline void join_half(struct connection_key *half_key, u32 direction, u64 inode,
                                      u64 sock, u32 family, s32 fd) {
    struct connection *half = connections.lookup(half_key);
    if (!half)
        return;
    struct connection_key socket_key = *half_key;
    socket_key.handle = inode;
    struct endpoint *endpoint = endpoints.lookup(&socket_key);
    if (!endpoint)
        return;
    direction &= 1;
    half->socket = inode;
    half->fd = fd;
    u64 former = endpoint->half[direction];
    endpoint->half[direction] = half_key->handle;
    struct half_joined *event = data_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_of(half->source, COUNT_LOST_EVENTS_RING, 1);
    } else {
        HEAD(event, FRAME_HALF_JOINED);
        event->start_ns = half_key->start_ns;
        event->handle = half_key->handle;
        event->epoch = half->epoch;
        event->tgid = half_key->tgid;
        event->direction = direction;
        event->socket = inode;
        event->fd = fd;
        event->reserved = 0;
        struct addresses addresses = {};
        addresses_of(sock, family, &addresses);
        event->addresses = addresses;
        data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    }
    if (former && former != half_key->handle) { /* a key update: the old half is complete */
        struct connection_key old = *half_key;
        old.handle = former;
        close_connection(&old);
    }
}

/* Length of the application data in a record's plaintext; 0 for anything else. */
static __always_inline u64 application_data(u64 plaintext, u64 length, u64 ad, u64 ad_length) {
    u8 header[TLS12_AD] = {};
    if (length == 0 || length > MOST_RECORD)
        return 0;
    if (ad_length == TLS13_AD) {
        u8 type = 0;
        if (bpf_probe_read_user(header, TLS13_AD, (void *)ad) || header[0] != RECORD_DATA ||
            header[1] != 3)
            return 0;
        /* Zeros may follow the content type. */
#pragma clang loop unroll(disable)
        for (int i = 0; i < MOST_PADDING && length > 0; i++) {
            length--;
            bpf_probe_read_user(&type, 1, (void *)(plaintext + length));
            if (type)
                return type == RECORD_DATA ? length : 0;
        }
        count_of(SOURCE_RUSTLS, COUNT_LOST_BYTES_TRUNCATED, length);
        return 0;
    }
    if (ad_length == TLS12_AD) {
        if (bpf_probe_read_user(header, TLS12_AD, (void *)ad) || header[8] != RECORD_DATA ||
            header[9] != 3)
            return 0;
        return length;
    }
    return 0;
}

/* `record`: length of the plaintext record, of which the first `length` bytes are data. */
static __always_inline int sealed(struct pt_regs *ctx, u64 in, u64 length, u64 record) {
    if (!length)
        return 0;
    struct connection_key key = key_of(ctx->di);
    struct connection *half = connection_of(&key, SOURCE_RUSTLS, -1, ctx->ip, 0);
    if (!half) {
        count_of(SOURCE_RUSTLS, COUNT_LOST_BYTES_TABLE, length);
        return 0;
    }
    if (!half->socket) {
        u64 id = bpf_get_current_pid_tgid();
        struct half pending = {};
        pending.key = key;
        pending.record = record;
        sealed_halves.update(&id, &pending);
    }
    deliver(&key, half, WRITE, in, length);
    return 0;
}

/* seal(ctx, out, out_len, max_out_len, nonce, nonce_len, in, in_len, ad, ad_len): in place, so
 * the plaintext is there only at entry. */
int aead_seal_enter(struct pt_regs *ctx) {
    if (!in_scope(bpf_get_current_pid_tgid() >> 32))
        return 0;
    u64 in = user_u64(ctx->sp + 8);
    u64 record = user_u64(ctx->sp + 16);
    u64 length = application_data(in, record, user_u64(ctx->sp + 24), user_u64(ctx->sp + 32));
    return sealed(ctx, in, length, record);
}

/* seal_scatter(ctx, out, out_tag, out_tag_len, max_out_tag_len, nonce, nonce_len, in, in_len,
 * extra_in, extra_in_len, ad, ad_len): the content type may come as the extra input. */
int aead_seal_scatter_enter(struct pt_regs *ctx) {
    if (!in_scope(bpf_get_current_pid_tgid() >> 32))
        return 0;
    u64 in = user_u64(ctx->sp + 16);
    u64 length = user_u64(ctx->sp + 24);
    u64 ad = user_u64(ctx->sp + 48);
    u64 ad_length = user_u64(ctx->sp + 56);
    u64 extra = user_u64(ctx->sp + 40);
    if (extra == 0)
        return sealed(ctx, in, application_data(in, length, ad, ad_length), length);
    u8 type = 0;
    bpf_probe_read_user(&type, 1, (void *)user_u64(ctx->sp + 32));
    if (extra != 1 || ad_length != TLS13_AD || type != RECORD_DATA || length > MOST_RECORD)
        return 0;
    return sealed(ctx, in, length, length + 1);
}

/* The data of an opened record; its half is joined with the socket that was read last. */
static __always_inline int deliver_opened(u64 handle, u64 instruction, u64 buffer, u64 length) {
    struct connection_key key = key_of(handle);
    struct connection *half = connection_of(&key, SOURCE_RUSTLS, -1, instruction, 0);
    if (!half) {
        count_of(SOURCE_RUSTLS, COUNT_LOST_BYTES_TABLE, length);
        return 0;
    }
    if (!half->socket) {
        u64 id = bpf_get_current_pid_tgid();
        struct received *last = receivers.lookup(&id);
        if (last)
            join_half(&key, READ, last->inode, last->sock, last->family, last->fd);
    }
    deliver(&key, half, READ, buffer, length);
    return 0;
}

struct opening {
    u64 sp;
    u64 handle;
    u64 out;
    u64 out_length; /* bytes, or where they will be written */
    u64 ad;
    u64 ad_length;
    u64 instruction;
    bool length_at_return;
};
BPF_HASH(openings, u64, struct opening, 4096);

static __always_inline int opening(struct pt_regs *ctx, u64 out_length, bool length_at_return,
                                   u64 ad, u64 ad_length) {
    u64 id = bpf_get_current_pid_tgid();
    u32 tgid = id >> 32;
    if (!in_scope(tgid) || (ad_length != TLS13_AD && ad_length != TLS12_AD))
        return 0;
    u8 yes = 1;
    record_users.update(&tgid, &yes);
    struct opening call = {};
    call.sp = ctx->sp;
    call.handle = ctx->di;
    call.out = ctx->si;
    call.out_length = out_length;
    call.length_at_return = length_at_return;
    call.ad = ad;
    call.ad_length = ad_length;
    call.instruction = ctx->ip;
    openings.update(&id, &call);
    return 0;
}

/* open(ctx, out, out_len, max_out_len, nonce, nonce_len, in, in_len, ad, ad_len) */
int aead_open_enter(struct pt_regs *ctx) {
    return opening(ctx, ctx->dx, true, user_u64(ctx->sp + 24), user_u64(ctx->sp + 32));
}

/* open_gather(ctx, out, nonce, nonce_len, in, in_len, in_tag, in_tag_len, ad, ad_len) */
int aead_open_gather_enter(struct pt_regs *ctx) {
    return opening(ctx, ctx->r9, false, user_u64(ctx->sp + 24), user_u64(ctx->sp + 32));
}

int aead_open_return(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct opening *entered = openings.lookup(&id);
    if (!entered || entered->sp != ctx->sp - 8)
        return 0;
    struct opening call = *entered;
    openings.delete(&id);
    if ((u32)ctx->ax != 1)
        return 0;
    u64 opened = call.length_at_return ? user_u64(call.out_length) : call.out_length;
    u64 length = application_data(call.out, opened, call.ad, call.ad_length);
    if (!length)
        return 0;
    return deliver_opened(call.handle, call.instruction, call.out, length);
}
