/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Plaintext of TLS libraries: uprobes on their read and write functions.
 *
 * A call is stashed at entry and emitted at return, when its true length is known: emitting
 * writes at entry would count a retried write twice. The stash is a short stack per thread,
 * matched by stack pointer, so that a wrapper that calls another hooked function yields one
 * event, TLS inside TLS or a read inside a write yields both, and a frame whose return was never
 * seen is dropped by the next call.
 *
 * Go moves goroutines between threads and their stacks in memory: there the stash belongs to the
 * goroutine, and stack pointers are counted from the top of its stack, which moving preserves.
 */

#define STASH_DEPTH 6

struct stack_key {
    u64 owner; /* thread, or process of a goroutine */
    u64 goroutine;
};

struct call_frame {
    u64 sp;
    u64 handle;
    u64 buffer;
    u64 length_pointer; /* size_t * of the _ex functions, 0: the return value is the length */
    u64 instruction;
    u32 direction;
    u32 source;
};

struct call_stack {
    struct call_frame frames[STASH_DEPTH];
};

BPF_HASH(stacks, struct stack_key, struct call_stack, 16384);

static __always_inline int push_call(struct stack_key *key, struct call_frame *call) {
    struct call_stack *stack = stacks.lookup(key);
    if (!stack) {
        struct call_stack first = {};
        stacks.update(key, &first);
        stack = stacks.lookup(key);
        if (!stack) {
            count_of(call->source, COUNT_NESTED_CALLS, 1);
            return 0;
        }
    }
    /* Frames at or below this stack pointer have returned unseen. */
#pragma clang loop unroll(disable)
    for (int i = 0; i < STASH_DEPTH; i++) {
        struct call_frame *frame = &stack->frames[i];
        if (frame->sp == 0 || frame->sp <= call->sp) {
            *frame = *call;
            if (i + 1 < STASH_DEPTH)
                stack->frames[i + 1].sp = 0;
            return 0;
        }
    }
    count_of(call->source, COUNT_NESTED_CALLS, 1);
    return 0;
}

/* Takes the call that was entered at `entry_sp`; false when there is none, or when a wrapper
 * around it will deliver the same bytes at its own return. */
static __always_inline bool pop_call(struct stack_key *key, u64 entry_sp, struct call_frame *call) {
    struct call_stack *stack = stacks.lookup(key);
    if (!stack)
        return false;
    struct call_frame wrapper = {};
#pragma clang loop unroll(disable)
    for (int i = 0; i < STASH_DEPTH; i++) {
        struct call_frame *frame = &stack->frames[i];
        if (frame->sp == 0)
            break;
        if (frame->sp == entry_sp) {
            *call = *frame;
            frame->sp = 0; /* the next call takes the entry again */
            break;
        }
        wrapper = *frame;
    }
    if (!call->sp)
        return false;
    if (key->goroutine && !wrapper.sp)
        stacks.delete(key);
    return !(wrapper.handle == call->handle && wrapper.direction == call->direction);
}

static __always_inline int enter_with(struct pt_regs *ctx, u32 source, u32 direction, u64 buffer,
                                      u64 length_pointer) {
    u64 id = bpf_get_current_pid_tgid();
    if (!in_scope(id >> 32))
        return 0;
    struct stack_key key = {.owner = id};
    struct call_frame call = {};
    call.sp = ctx->sp;
    call.handle = ctx->di;
    call.buffer = buffer;
    call.length_pointer = length_pointer;
    call.instruction = ctx->ip;
    call.direction = direction;
    call.source = source;
    return push_call(&key, &call);
}

static __always_inline int enter(struct pt_regs *ctx, u32 source, u32 direction,
                                 u64 length_pointer) {
    return enter_with(ctx, source, direction, ctx->si, length_pointer);
}

int call_return(struct pt_regs *ctx) {
    struct stack_key stack = {.owner = bpf_get_current_pid_tgid()};
    struct call_frame call = {};
    if (!pop_call(&stack, ctx->sp - 8, &call)) /* `ret` has popped the return address */
        return 0;
    s32 result = (s32)ctx->ax;
    if (result <= 0 || !call.buffer)
        return 0;
    u64 length = result;
    if (call.length_pointer)
        length = user_u64(call.length_pointer);
    if (!length)
        return 0;
    struct connection_key key = key_of(call.handle);
    struct connection *connection =
        connection_of(&key, call.source, -1, call.instruction, 0);
    if (connection)
        deliver(&key, connection, call.direction, call.buffer, length);
    else
        count_of(call.source, COUNT_LOST_BYTES_TABLE, length);
    return 0;
}

/* (session, buffer, size): the return value is the length. */
int read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_OPENSSL, READ, 0); }
int write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_OPENSSL, WRITE, 0); }
int boringssl_read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_BORINGSSL, READ, 0); }
int boringssl_write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_BORINGSSL, WRITE, 0); }
int gnutls_read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_GNUTLS, READ, 0); }
int gnutls_write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_GNUTLS, WRITE, 0); }
int nss_read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_NSS, READ, 0); }
int nss_write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_NSS, WRITE, 0); }
int mbedtls_read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_MBEDTLS, READ, 0); }
int mbedtls_write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_MBEDTLS, WRITE, 0); }
int wolfssl_read_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_WOLFSSL, READ, 0); }
int wolfssl_write_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_WOLFSSL, WRITE, 0); }
/* (ssl, buf, num, size_t *length): the _ex functions and the internals behind both. */
int read_ex_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_OPENSSL, READ, ctx->cx); }
int write_ex_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_OPENSSL, WRITE, ctx->cx); }
/* (ssl, buf, num, flags, size_t *length): SSL_write_ex2. */
int write_ex2_enter(struct pt_regs *ctx) { return enter(ctx, SOURCE_OPENSSL, WRITE, ctx->r8); }

/* gnutls_record_uncork(session, wait) sends again what was delivered when it was accepted: as a
 * wrapper without a buffer it keeps the calls within from being delivered twice. */
int gnutls_uncork_enter(struct pt_regs *ctx) {
    return enter_with(ctx, SOURCE_GNUTLS, WRITE, 0, 0);
}

/* NSS's recv(fd, buf, amount, flags, timeout): peeked bytes will be read again. */
#define PR_MSG_PEEK 2
int nss_recv_enter(struct pt_regs *ctx) {
    return ctx->cx & PR_MSG_PEEK ? 0 : enter(ctx, SOURCE_NSS, READ, 0);
}

/* SSL_set_fd(ssl, fd): the one proof of which socket carries the connection. */
int set_fd_enter(struct pt_regs *ctx) {
    if (!in_scope(bpf_get_current_pid_tgid() >> 32))
        return 0;
    struct connection_key key = key_of(ctx->di);
    struct connection *connection =
        connection_of(&key, SOURCE_OPENSSL, (s32)ctx->si, ctx->ip, 0);
    if (connection)
        connection->fd = (s32)ctx->si;
    return 0;
}

int free_enter(struct pt_regs *ctx) {
    struct connection_key key = key_of(ctx->di);
    close_connection(&key);
    return 0;
}

/* A new session object: what had its address before is gone. */
int boringssl_new_return(struct pt_regs *ctx) {
    struct connection_key key = key_of(ctx->ax);
    close_connection(&key);
    return 0;
}

/* Go: func (c *Conn) Read/Write(b []byte) (n int, err error), register ABI. */

#define G_STACK_HI 8 /* runtime.g begins with its stack's bounds, lo and hi */

static __always_inline u64 goroutine_sp(struct pt_regs *ctx) {
    return ctx->sp - user_u64(ctx->r14 + G_STACK_HI);
}

static __always_inline int go_enter(struct pt_regs *ctx, u32 direction) {
    u32 tgid = bpf_get_current_pid_tgid() >> 32;
    if (!in_scope(tgid))
        return 0;
    struct stack_key key = {.owner = tgid, .goroutine = ctx->r14};
    struct call_frame call = {};
    call.sp = goroutine_sp(ctx);
    call.handle = ctx->ax;
    call.buffer = ctx->bx;
    call.instruction = ctx->ip;
    call.direction = direction;
    call.source = SOURCE_GO;
    return push_call(&key, &call);
}

int go_read_enter(struct pt_regs *ctx) { return go_enter(ctx, READ); }
int go_write_enter(struct pt_regs *ctx) { return go_enter(ctx, WRITE); }

/* At each RET of the two; a return probe would break Go's stack moves. */
int go_return(struct pt_regs *ctx) {
    struct stack_key stack = {.owner = bpf_get_current_pid_tgid() >> 32, .goroutine = ctx->r14};
    struct call_frame call = {};
    if (!pop_call(&stack, goroutine_sp(ctx), &call) || (s64)ctx->ax <= 0)
        return 0;
    struct connection_key key = key_of(call.handle);
    struct connection *connection = connection_of(&key, SOURCE_GO, -1, call.instruction, 0);
    if (connection)
        deliver(&key, connection, call.direction, call.buffer, ctx->ax);
    else
        count_of(SOURCE_GO, COUNT_LOST_BYTES_TABLE, ctx->ax);
    return 0;
}

int go_close_enter(struct pt_regs *ctx) {
    struct connection_key key = key_of(ctx->ax);
    close_connection(&key);
    return 0;
}
