/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Plaintext that needs no TLS library: HTTP on plain sockets and JSON on pipes, by one program at
 * the return of every system call. What a socket speaks is told from the first bytes, by shape
 * and not by port; of a socket that speaks TLS only the length of its records is counted.
 *
 * A pipe, and each direction of a pair of Unix sockets that carries JSON, is a channel: one
 * stream of bytes that belongs to no process, so that it is read once although both ends may be
 * in scope.
 */

#define WATCHED_CALLS                                                                            \
    (1ull << NR_READ | 1ull << NR_WRITE | 1ull << NR_MMAP | 1ull << NR_READV |                   \
     1ull << NR_WRITEV | 1ull << NR_SENDTO | 1ull << NR_RECVFROM | 1ull << NR_SENDMSG |          \
     1ull << NR_RECVMSG)

#define WRITING_CALLS                                                                            \
    (1ull << NR_WRITE | 1ull << NR_WRITEV | 1ull << NR_SENDTO | 1ull << NR_SENDMSG)

#define MSG_PEEK 2
#define PROT_EXEC 4

struct library_mapped {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u32 reserved;
    u64 address;
    u64 device; /* as the kernel encodes it */
    u64 inode;
};

/* A half that this thread sealed is joined with the socket on which its record goes out. */
static __always_inline void match_sealed(struct connection_key *key, u64 sock, u32 family, s32 fd,
                                         u64 buffer, u64 length, struct half *sealed) {
    u64 at = 0;
#pragma clang loop unroll(disable)
    for (int i = 0; i < 12; i++) {
        u8 header[5];
        if (at + 5 > length || bpf_probe_read_user(header, 5, (void *)(buffer + at)))
            return;
        u64 record = (u64)header[3] << 8 | header[4];
        if (header[0] == RECORD_DATA && header[1] == 3 &&
            (record == sealed->record + AEAD_TAG || record == sealed->record + AEAD_TAG + 8)) {
            struct connection_key half = sealed->key;
            join_half(&half, WRITE, key->handle, sock, family, fd);
            u64 id = bpf_get_current_pid_tgid();
            sealed_halves.delete(&id);
            return;
        }
        at += 5 + record;
    }
}

/* One transfer by system call, in pieces. */
struct transfer {
    struct connection_key key;
    u64 vectors;
    u64 left;
    u32 count;
    u32 next;
    u32 direction;
    u32 reserved;
};
BPF_HASH(transfers, u64, struct transfer, 4096);

/* The next vector of a scattered transfer; calls itself until all are done. */
int transfer_step(struct bpf_raw_tracepoint_args *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct transfer *transfer = transfers.lookup(&id);
    if (!transfer)
        return 0;
    struct connection_key key = transfer->key;
    struct connection *connection = connections.lookup(&key);
    if (!connection || transfer->next >= transfer->count || !transfer->left) {
        transfers.delete(&id);
        return 0;
    }
    u64 buffer = user_u64(transfer->vectors);
    u64 length = user_u64(transfer->vectors + 8);
    if (length > transfer->left)
        length = transfer->left;
    transfer->vectors += 16;
    transfer->next++;
    transfer->left -= length;
    if (transfer->next >= MOST_VECTORS && transfer->left) {
        u64 left = transfer->left; /* more vectors than are followed: a gap, and counted */
        __sync_fetch_and_add(&connection->position[transfer->direction & 1], left);
        count_of(connection->source, COUNT_LOST_BYTES_TRUNCATED, left);
        transfer->left = 0;
    }
    if (length)
        deliver(&key, connection, transfer->direction, buffer, length);
    steps.call(ctx, STEP_TRANSFER);
    transfers.delete(&id);
    return 0;
}

/* As they lie in struct pt_regs: dx, si, di, orig_ax. */
struct arguments {
    u64 third;
    u64 second;
    u64 first;
    u64 number;
};

/* By process and descriptor: sockets that need no further look. The inode says whether the
 * descriptor still names the same one. */
struct settled {
    u64 inode;
    u64 sock;
    u32 family;
    u32 state;
};
BPF_TABLE("lru_hash", u64, struct settled, settled_sockets, 16384);

static __always_inline void settle(u32 tgid, s32 fd, u64 inode, u64 sock, u32 family, u32 state) {
    u64 slot = (u64)tgid << 32 | (u32)fd;
    struct settled settled = {.inode = inode, .sock = sock, .family = family, .state = state};
    settled_sockets.update(&slot, &settled);
}

static __always_inline void remember_received(u64 id, u64 inode, u64 sock, u32 family, s32 fd) {
    u32 tgid = id >> 32;
    if (!record_users.lookup(&tgid))
        return;
    struct received last = {};
    last.inode = inode;
    last.sock = sock;
    last.family = family;
    last.fd = fd;
    receivers.update(&id, &last);
}

/* True when a call was on a socket that is settled, and is dealt with. */
static __always_inline bool is_settled(u64 regs, u64 id, struct arguments *arguments, u64 length) {
    u32 tgid = id >> 32;
    u64 slot = (u64)tgid << 32 | (u32)arguments->first;
    struct settled *known = settled_sockets.lookup(&slot);
    if (!known)
        return false;
    struct open_file file = {};
    if (!inode_of(arguments->first, &file) || file.number != known->inode) {
        settled_sockets.delete(&slot);
        return false;
    }
    if (known->state != STATE_TLS)
        return true;
    u64 number = arguments->number;
    if ((number == NR_RECVMSG && arguments->third & MSG_PEEK) ||
        (number == NR_RECVFROM && kernel_u64(regs + REG(r10)) & MSG_PEEK))
        return true;
    u32 direction = 1ull << number & WRITING_CALLS ? WRITE : READ;
    if (direction == WRITE && sealed_halves.lookup(&id))
        return false; /* its record is to be found in what was sent */
    struct traffic *traffic = tls_traffic.lookup(&tgid);
    if (traffic)
        __sync_fetch_and_add(&traffic->records[direction & 1], length);
    if (direction == READ)
        remember_received(id, known->inode, known->sock, known->family, arguments->first);
    return true;
}

struct call {
    u64 buffer; /* of the first vector */
    u64 length; /* of the first vector */
    u64 total;
    u64 vectors;
    u32 count; /* of vectors; 0: one plain buffer */
    u32 direction;
    s32 fd;
};

/* Finds what a call transfers; false when it is none that matters. */
static __always_inline bool understand(u64 regs, struct arguments *arguments, s64 result,
                                       struct call *call) {
    u64 number = arguments->number;
    u64 second = arguments->second;
    u64 third = arguments->third;
    call->fd = (s32)arguments->first;
    call->total = result;
    call->buffer = second;
    call->length = result;
    switch (number) {
    case NR_WRITE:
    case NR_SENDTO:
        call->direction = WRITE;
        return true;
    case NR_READ:
        return true;
    case NR_RECVFROM:
        return !(kernel_u64(regs + REG(r10)) & MSG_PEEK);
    case NR_WRITEV:
        call->direction = WRITE;
    case NR_READV:
        call->vectors = second;
        call->count = third;
        break;
    case NR_SENDMSG:
        call->direction = WRITE;
    case NR_RECVMSG:
        if (number == NR_RECVMSG && third & MSG_PEEK)
            return false;
        call->vectors = user_u64(second + 16);
        call->count = user_u64(second + 24);
        break;
    default:
        return false;
    }
    call->buffer = user_u64(call->vectors);
    call->length = user_u64(call->vectors + 8);
    if (call->length > call->total)
        call->length = call->total;
    return true;
}

static __always_inline int mapped(u64 regs, u32 pid, s64 address) {
    s32 fd = (s32)kernel_u64(regs + REG(r8));
    struct open_file file = {};
    if (fd < 0 || !file_of(fd, &file))
        return 0;
    struct file_name name = name_of(file.inode);
    u32 *known = known_files.lookup(&name);
    if (known && *known == FILE_WITHOUT_TLS)
        return 0;
    freeze_if_unknown(pid, &name);
    struct library_mapped *event = lifecycle_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count(COUNT_PROCESS_LOST_EVENTS, 1);
        return 0;
    }
    HEAD(event, FRAME_LIBRARY_MAPPED);
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->pid = pid;
    event->reserved = 0;
    event->address = address;
    event->device = name.device;
    event->inode = name.number;
    lifecycle_ring.ringbuf_submit(event, 0);
    count(COUNT_PROCESS_EVENTS, 1);
    return 0;
}

/* Whether the other end of a Unix socket is a collector: readers ask it over HTTP/2, which is no
 * agent's traffic. The peer is the process that made the listening socket. */
static __always_inline bool asks_collector(u64 sock) {
    u64 peer = kernel_u64(sock + SOCK_PEER_PID);
    if (!peer)
        return false;
    u32 pid = kernel_u32(peer + PID_NUMBERS + UPID_NR);
    u32 *watcher = excluded.lookup(&pid);
    return watcher && (*watcher & ~EXCLUDED_END_TOLD) == pid;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx) {
    s64 result = ctx->args[1];
    u64 regs = ctx->args[0];
    struct arguments arguments = {};
    bpf_probe_read_kernel(&arguments, sizeof(arguments), (void *)(regs + REG(dx)));
    u64 number = arguments.number;
    u32 step = 0;
    if (number <= NR_RECVMSG && 1ull << number & WATCHED_CALLS) {
        if (result <= 0 && result > -4096)
            return 0;
        if (number == NR_MMAP && !(arguments.third & PROT_EXEC))
            step = STEP_CONTENT;
    } else {
        step = step_of(number);
        if (!step)
            return 0;
    }
    u64 id = bpf_get_current_pid_tgid();
    u32 tgid = id >> 32;
    if (!in_scope(tgid))
        return 0;
    if (step) {
        steps.call(ctx, step);
        return 0;
    }
    if (number == NR_MMAP)
        return mapped(regs, tgid, result);
    if (is_settled(regs, id, &arguments, result))
        return 0;
    struct call call = {};
    struct open_file file = {};
    if (!understand(regs, &arguments, result, &call) || !file_of(call.fd, &file))
        return 0;
    u32 family = 0;
    u64 sock = 0;
    if (file.kind == S_IFSOCK) {
        sock = stream_socket(&file, &family);
        if (!sock && call.direction == READ)
            steps.call(ctx, STEP_DATAGRAM);
        if (!sock || (family != AF_UNIX && family != AF_INET && family != AF_INET6))
            return 0;
    } else if (file.kind != S_IFIFO) {
        if (file.kind == S_IFREG && call.direction == READ)
            steps.call(ctx, STEP_CONTENT);
        return 0;
    }
    struct connection_key key = {};
    struct endpoint *endpoint = 0;
    if (family != AF_INET && family != AF_INET6) {
        /* Perhaps a channel: named after the pipe, or after the socket that sends. */
        key.handle = file.number;
        if (family == AF_UNIX && call.direction == READ)
            key.handle = unix_peer(sock);
        endpoint = endpoints.lookup(&key);
    }
    if (!endpoint || endpoint->state != STATE_WRITTEN_CHANNEL) {
        u32 shape = SHAPE_NONE;
        if (!endpoint) {
            if (file.kind == S_IFSOCK) {
                struct connection_key own = key_of(file.number);
                endpoint = endpoint_of(&own);
                if (endpoint && endpoint->state == STATE_UNKNOWN) {
                    shape = shape_of(call.buffer, call.length);
                    if (shape != SHAPE_JSON || family != AF_UNIX)
                        key = own;
                    else
                        endpoint = endpoint_of(&key);
                } else {
                    key = own;
                }
            } else {
                endpoint = endpoint_of(&key);
                shape = shape_of(call.buffer, call.length);
            }
        } else if (endpoint->state == STATE_UNKNOWN) {
            shape = shape_of(call.buffer, call.length);
        }
        if (!endpoint)
            return 0;
        if (endpoint->state == STATE_UNKNOWN) {
            endpoint->state = classify(endpoint, shape, file.kind, family, call.direction);
            if (endpoint->state == STATE_PLAIN && family == AF_UNIX && asks_collector(sock))
                endpoint->state = STATE_DISMISSED;
            if (endpoint->state == STATE_TLS || endpoint->state == STATE_DISMISSED)
                settle(tgid, call.fd, file.number, sock, family, endpoint->state);
            if (endpoint->state == STATE_TLS && call.direction == WRITE)
                say_hello(&key, sock, family, call.buffer, call.length);
        }
    }
    endpoint->toucher = tgid;
    u32 state = endpoint->state;
    if (state == STATE_TLS) {
        struct traffic *traffic = traffic_of(&key);
        if (traffic)
            __sync_fetch_and_add(&traffic->records[call.direction & 1], call.total);
        if (call.direction == READ) {
            remember_received(id, file.number, sock, family, call.fd);
            return 0;
        }
        struct half *pending = sealed_halves.lookup(&id);
        if (!pending)
            return 0;
        struct half sealed = *pending;
#pragma clang loop unroll(disable)
        for (u32 i = 0; i < 8; i++) {
            match_sealed(&key, sock, family, call.fd, call.buffer, call.length, &sealed);
            if (i + 1 >= call.count)
                break;
            call.buffer = user_u64(call.vectors + 16 * (i + 1));
            call.length = user_u64(call.vectors + 16 * (i + 1) + 8);
        }
        return 0;
    }
    bool channel = state == STATE_WRITTEN_CHANNEL || state == STATE_READ_CHANNEL;
    if (state != STATE_PLAIN && !channel)
        return 0;
    struct addresses addresses = {};
    addresses_of(sock, family, &addresses);
    u32 source = channel ? SOURCE_CHANNEL : SOURCE_SOCKET;
    /* A channel's two ends may classify it at the same time: the side that makes the entry is the
     * one that is followed, and stands in the place of the descriptor. */
    s32 fd = channel ? call.direction & 1 : call.fd;
    struct connection *connection = connection_of(&key, source, fd, 0, &addresses);
    if (!connection) {
        count_of(source, COUNT_LOST_BYTES_TABLE, call.total);
        return 0;
    }
    u32 direction = call.direction;
    if (channel) {
        u32 role = direction & 1;
        if (endpoint->end[role] != tgid) {
            endpoint->end[role] = tgid;
            announce_end(&key, connection->epoch, role, call.fd, family ? 2 : 1);
        }
        endpoint->state = connection->fd == WRITE ? STATE_WRITTEN_CHANNEL : STATE_READ_CHANNEL;
        if (direction != connection->fd)
            return 0;
        direction = WRITE;
    }
    if (call.count < 2) {
        deliver(&key, connection, direction, call.buffer, call.length);
        return 0;
    }
    struct transfer transfer = {};
    transfer.key = key;
    transfer.vectors = call.vectors;
    transfer.left = call.total;
    transfer.count = call.count;
    transfer.direction = direction;
    transfers.update(&id, &transfer);
    steps.call(ctx, STEP_TRANSFER);
    transfers.delete(&id); /* the step could not be called */
    return 0;
}

/* syscalls/sys_enter_close, as its format file in tracefs has it for every system call. */
struct close_call {
    u64 common;
    u64 number;
    u64 fd;
};

/* The end of a socket or channel, as far as this process goes. */
int on_sys_enter_close(struct close_call *args) {
    u32 tgid = bpf_get_current_pid_tgid() >> 32;
    if (!in_scope(tgid))
        return 0;
    struct open_file file = {};
    if (!file_of(args->fd, &file) || (file.kind != S_IFSOCK && file.kind != S_IFIFO))
        return 0;
    struct connection_key channel = {.handle = file.number};
    struct endpoint *endpoint = endpoints.lookup(&channel);
    if (endpoint) {
        u32 owner = endpoint->state == STATE_READ_CHANNEL ? READ : WRITE;
        if (endpoint->state == STATE_UNKNOWN) {
            endpoints.delete(&channel);
        } else if (endpoint->end[owner] == tgid) {
            close_connection(&channel);
            endpoint->state = STATE_DISMISSED; /* what is in it still will be read */
        }
    }
    if (file.kind != S_IFSOCK)
        return 0;
    u64 slot = (u64)tgid << 32 | (u32)args->fd;
    settled_sockets.delete(&slot);
    struct connection_key key = key_of(file.number);
    endpoint = endpoints.lookup(&key);
    if (!endpoint)
        return 0;
    struct connection_key half = key;
#pragma clang loop unroll(disable)
    for (u32 direction = 0; direction < 2; direction++) {
        half.handle = endpoint->half[direction & 1];
        if (half.handle)
            close_connection(&half);
    }
    close_connection(&key);
    endpoints.delete(&key);
    return 0;
}
