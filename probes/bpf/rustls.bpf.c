/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Plaintext of rustls (0.23) with any crypto provider: uprobes on the methods behind
 * `dyn MessageEncrypter` and `dyn MessageDecrypter`, which see every TLS record as a whole.
 *
 * The key is the boxed encrypter or decrypter: one per direction of a connection and set of
 * traffic keys, so each direction is a half, joined with its socket as the halves of
 * aead.bpf.c are. A record's sequence number starts at 0 with every new object, which ends what
 * an earlier object at the same address carried.
 *
 * Arguments (Rust ABI, results of this size in memory): di result, si self, dx message, cx
 * sequence number. Messages lie as rustc orders their fields, by alignment; the resolver has seen
 * code that reads them so.
 */

#define RUSTLS_DATA 3 /* ContentType::ApplicationData */
#define RUSTLS_SLICES 32
#define RUSTLS_FEW_SLICES 8
#define RUSTLS_LAST_ERROR 0x11 /* decrypt fails with Error 6, 9 or 17; greater marks success */

/* OutboundPlainMessage; `chunks` is 0 for one slice {start, length} at `count`. */
struct rustls_outbound {
    u64 chunks; /* array of {start, length} */
    u64 count;  /* one slice: its start */
    u64 begin;  /* first byte of the chunks that belongs to the record; one slice: its length */
    u64 end;
    u8 type;
    u8 rest[7];
};

/* Result<InboundPlainMessage, Error> */
struct rustls_opened {
    u8 tag;
    u8 rest[7];
    u64 start;
    u64 length;
    u8 type;
    u8 rest_of_message[7];
};

struct rustls_opening {
    u64 sp;
    u64 self;
    u64 result;
    u64 buffer;
    u64 length;
    u64 instruction;
};
BPF_HASH(rustls_openings, u64, struct rustls_opening, 4096);

/* Events for data in slices. The verifier sees a slice start below `CHUNK` and be at most as
 * long, so there is room for both. */
struct plain_data_gathered_medium {
    struct plain_data head;
    u8 data[2 * CHUNK_MEDIUM];
};
struct plain_data_gathered_large {
    struct plain_data head;
    u8 data[2 * CHUNK];
};

/* Copies the slices of a record behind `event`; `most` is half of the room. */
static __always_inline void gather(struct plain_data *event, struct connection_key *key,
                                   struct connection *half, u64 position,
                                   struct rustls_outbound *message, u64 length, u64 most,
                                   u32 slices) {
    if (!event) {
        lost_to_ring(SOURCE_RUSTLS, length);
        return;
    }
    u64 before = 0; /* bytes of the slices so far */
    u64 filled = 0;
    bool failed = false;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < slices; i++) {
        if (i >= message->count || filled >= length)
            break;
        u64 slice[2];
        if (bpf_probe_read_user(slice, sizeof(slice), (void *)(message->chunks + 16 * (u64)i))) {
            failed = true;
            break;
        }
        u64 skip = message->begin > before ? message->begin - before : 0;
        before += slice[1];
        if (skip >= slice[1])
            continue;
        u64 part = slice[1] - skip;
        if (part > length - filled)
            part = length - filled;
        u64 at = filled;
        asm volatile("" : "+r"(at), "+r"(part));
        if (at >= most || part > most)
            break;
        if (bpf_probe_read_user((u8 *)(event + 1) + at, part, (void *)(slice[0] + skip))) {
            failed = true;
            break;
        }
        filled += part;
    }
    if (failed) {
        data_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        lost_to_fault(SOURCE_RUSTLS, length);
        return;
    }
    fill(event, key, half, WRITE, position, length, filled);
    data_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    captured(SOURCE_RUSTLS, filled);
    if (filled < length) /* more slices than are followed: a gap, and counted */
        count_of(SOURCE_RUSTLS, COUNT_LOST_BYTES_TRUNCATED, length - filled);
}

/* A record whose data lie in several slices becomes one event. */
static __always_inline void deliver_slices(struct connection_key *key, struct connection *half,
                                           struct rustls_outbound *message, u64 length) {
    u64 position = __sync_fetch_and_add(&half->position[WRITE], length);
    struct traffic *traffic = traffic_of(key);
    if (traffic)
        __sync_fetch_and_add(&traffic->plaintext, length);
    u64 *unwanted = ignored.lookup(key);
    if (unwanted && *unwanted == half->epoch)
        count_of(SOURCE_RUSTLS, COUNT_IGNORED_BYTES, length);
    else if (length <= CHUNK_MEDIUM && message->count <= RUSTLS_FEW_SLICES)
        gather(data_ring.ringbuf_reserve(sizeof(struct plain_data_gathered_medium)), key, half,
               position, message, length, CHUNK_MEDIUM, RUSTLS_FEW_SLICES);
    else
        gather(data_ring.ringbuf_reserve(sizeof(struct plain_data_gathered_large)), key, half,
               position, message, length, CHUNK, RUSTLS_SLICES);
}

/* `type_size`: bytes that the record's plaintext has after the data (the content type). */
static __always_inline int rustls_seal(struct pt_regs *ctx, u64 type_size) {
    u64 id = bpf_get_current_pid_tgid();
    if (!in_scope(id >> 32))
        return 0;
    struct connection_key key = key_of(ctx->si);
    if (ctx->cx == 0)
        close_connection(&key);
    struct rustls_outbound message = {};
    if (bpf_probe_read_user(&message, sizeof(message), (void *)ctx->dx))
        return 0;
    if (message.type != RUSTLS_DATA)
        return 0;
    u64 length = message.chunks ? message.end - message.begin : message.begin;
    asm volatile("" : "+r"(length));
    if (length == 0 || length > CHUNK)
        return 0;
    struct connection *half = connection_of(&key, SOURCE_RUSTLS, -1, ctx->ip, 0);
    if (!half) {
        count_of(SOURCE_RUSTLS, COUNT_LOST_BYTES_TABLE, length);
        return 0;
    }
    if (!half->socket) {
        struct half pending = {};
        pending.key = key;
        pending.record = length + type_size;
        sealed_halves.update(&id, &pending);
    }
    if (message.chunks)
        deliver_slices(&key, half, &message, length);
    else
        deliver(&key, half, WRITE, message.count, length);
    return 0;
}

/* MessageEncrypter::encrypt of TLS 1.3 and of TLS 1.2 */
int rustls_seal_enter(struct pt_regs *ctx) { return rustls_seal(ctx, 1); }
int rustls12_seal_enter(struct pt_regs *ctx) { return rustls_seal(ctx, 0); }

/* MessageDecrypter::decrypt; the message starts with the buffer, which is decrypted in place. */
int rustls_open_enter(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    u32 tgid = id >> 32;
    if (!in_scope(tgid))
        return 0;
    u8 yes = 1;
    record_users.update(&tgid, &yes);
    if (ctx->cx == 0) {
        struct connection_key key = key_of(ctx->si);
        close_connection(&key);
    }
    struct rustls_opening call = {};
    call.sp = ctx->sp;
    call.self = ctx->si;
    call.result = ctx->di;
    call.buffer = user_u64(ctx->dx);
    call.length = user_u64(ctx->dx + 8);
    call.instruction = ctx->ip;
    rustls_openings.update(&id, &call);
    return 0;
}

static __always_inline int rustls_open(struct pt_regs *ctx, bool typed) {
    u64 id = bpf_get_current_pid_tgid();
    struct rustls_opening *entered = rustls_openings.lookup(&id);
    if (!entered || entered->sp != ctx->sp - 8)
        return 0;
    struct rustls_opening call = *entered;
    rustls_openings.delete(&id);
    struct rustls_opened opened = {};
    if (bpf_probe_read_user(&opened, sizeof(opened), (void *)call.result))
        return 0;
    u64 length = opened.length;
    asm volatile("" : "+r"(length)); /* one register, of which the verifier knows the bounds */
    if (opened.tag <= RUSTLS_LAST_ERROR || opened.type != RUSTLS_DATA || !length || length > CHUNK)
        return 0;
    if (opened.start < call.buffer || length > call.length ||
        opened.start + length > call.buffer + call.length)
        return 0;
    if (typed) { /* TLS 1.3: the content type follows the data */
        u8 type = 0;
        bpf_probe_read_user(&type, 1, (void *)(opened.start + length));
        if (type != RECORD_DATA)
            return 0;
    }
    return deliver_opened(call.self, call.instruction, opened.start, length);
}

int rustls_open_return(struct pt_regs *ctx) { return rustls_open(ctx, true); }
int rustls12_open_return(struct pt_regs *ctx) { return rustls_open(ctx, false); }
