/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * connect(2) at its return, and datagrams from port 53: where a process went, and what names were
 * resolved to.
 */

#define ADDRESS_BYTES 112 /* of the longest sockaddr that is told, sockaddr_un, in eights */
#define SOCK_DGRAM 2
#define DNS_PORT 53
#define DNS_SHORT 512
#define DNS_BYTES 4096
#define MOST_MESSAGES 8
#define MESSAGE_BYTES 64 /* of struct mmsghdr */
#define MESSAGE_LENGTH 56

struct connected {
    struct frame frame;
    u64 start_ns;
    u64 inode;
    s64 result;
    u32 pid;
    u32 tid;
    s32 fd;
    u16 type;
    u16 protocol;
    u32 reserved;
    u32 address_size; /* as the call says */
    u8 address[112];
};

struct dns_answered {
    struct frame frame;
    u64 start_ns;
    u32 pid;
    u32 call_size; /* more than follows when cut */
};
struct dns_answered_short {
    struct dns_answered head;
    u8 data[DNS_SHORT];
};
struct dns_answered_long {
    struct dns_answered head;
    u8 data[DNS_BYTES];
};

int connect_step(struct bpf_raw_tracepoint_args *ctx) {
    struct registers regs;
    u16 family = 0;
    struct open_file file = {};
    if (!registers_of(ctx, &regs) ||
        bpf_probe_read_user(&family, sizeof(family), (void *)regs.si) ||
        (family != AF_UNIX && family != AF_INET && family != AF_INET6) ||
        !file_of(regs.di, &file) || file.kind != S_IFSOCK)
        return 0;
    u64 socket = kernel_u64(file.file + FILE_PRIVATE_DATA);
    struct connected *event = file_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_action(COUNT_NETWORK_LOST_EVENTS, 1);
        return 0;
    }
    u64 id = bpf_get_current_pid_tgid();
    HEAD(event, FRAME_CONNECTED);
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->inode = file.number;
    event->result = result_of(ctx);
    event->pid = id >> 32;
    event->tid = (u32)id;
    event->fd = (s32)regs.di;
    event->type = kernel_u16(socket + SOCKET_TYPE);
    event->protocol = kernel_u16(kernel_u64(socket + SOCKET_SK) + SOCK_PROTOCOL);
    event->reserved = 0;
    event->address_size = regs.dx;
    __builtin_memset(event->address, 0, sizeof(event->address));
    u64 size = (u32)regs.dx;
    asm volatile("" : "+r"(size));
    if (size > ADDRESS_BYTES)
        size = ADDRESS_BYTES;
    asm volatile("" : "+r"(size));
    if (size > ADDRESS_BYTES || bpf_probe_read_user(event->address, size, (void *)regs.si))
        event->address_size = 0;
    file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count_action(COUNT_NETWORK_EVENTS, 1);
    return 0;
}

static __always_inline void fill_answer(struct dns_answered *event, u64 size, u64 call_size) {
    event->frame.size = sizeof(*event) + size;
    event->frame.kind = FRAME_DNS_ANSWERED;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->call_size = call_size;
}

static __always_inline void tell_answer(u64 buffer, u64 call_size) {
    u64 size = call_size;
    asm volatile("" : "+r"(size));
    if (size == 0)
        return;
    if (size > DNS_BYTES)
        size = DNS_BYTES;
    asm volatile("" : "+r"(size));
    /* The barriers keep the reservations apart: each must have a constant size. */
    struct dns_answered *event;
    if (size <= DNS_SHORT) {
        event = file_ring.ringbuf_reserve(sizeof(struct dns_answered_short));
        asm volatile("");
    } else {
        event = file_ring.ringbuf_reserve(sizeof(struct dns_answered_long));
    }
    if (!event) {
        count_action(COUNT_NETWORK_LOST_EVENTS, 1);
        return;
    }
    fill_answer(event, size, call_size);
    if (size > DNS_BYTES || bpf_probe_read_user(event + 1, size, (void *)buffer)) {
        file_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        count_action(COUNT_NETWORK_LOST_READ_FAULT, 1);
        return;
    }
    file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count_action(COUNT_NETWORK_EVENTS, 1);
}

/* Port in a sockaddr of user memory, which the call has filled in; 0 when there is none. */
static __always_inline u16 port_of(u64 address) {
    struct {
        u16 family;
        u16 port;
    } head = {};
    if (!address || bpf_probe_read_user(&head, sizeof(head), (void *)address) ||
        (head.family != AF_INET && head.family != AF_INET6))
        return 0;
    return __builtin_bswap16(head.port);
}

/* A struct msghdr: tells what it received when that is an answer. */
static __always_inline void tell_message(u64 message, u64 peer_port, u64 received) {
    if (peer_port != DNS_PORT && port_of(user_u64(message)) != DNS_PORT)
        return;
    u64 vectors = user_u64(message + 16);
    u64 size = user_u64(vectors + 8);
    tell_answer(user_u64(vectors), size < received ? size : received);
}

/* A call that received from a socket of datagrams. */
int datagram_step(struct bpf_raw_tracepoint_args *ctx) {
    struct registers regs;
    struct open_file file = {};
    s64 result = ctx->args[1];
    if (result <= 0 || !registers_of(ctx, &regs) || !file_of(regs.di, &file) ||
        file.kind != S_IFSOCK)
        return 0;
    u64 socket = kernel_u64(file.file + FILE_PRIVATE_DATA);
    u64 sock = kernel_u64(socket + SOCKET_SK);
    u32 family = kernel_u16(sock + SOCK_FAMILY);
    if (kernel_u16(socket + SOCKET_TYPE) != SOCK_DGRAM ||
        (family != AF_INET && family != AF_INET6))
        return 0;
    u64 peer_port = __builtin_bswap16(kernel_u16(sock + SOCK_DPORT));
    u64 number = regs.orig_ax;
    if (number == NR_RECVMMSG) {
#pragma clang loop unroll(disable)
        for (s64 i = 0; i < MOST_MESSAGES; i++) {
            asm volatile("" : "+r"(result)); /* keeps the two bounds apart */
            if (i >= result)
                break;
            u64 message = regs.si + MESSAGE_BYTES * i;
            tell_message(message, peer_port, (u32)user_u64(message + MESSAGE_LENGTH));
        }
        return 0;
    }
    if (number == NR_RECVMSG) {
        if (!(regs.dx & MSG_PEEK))
            tell_message(regs.si, peer_port, result);
        return 0;
    }
    if (number == NR_RECVFROM) {
        if (regs.r10 & MSG_PEEK)
            return 0;
        if (peer_port != DNS_PORT)
            peer_port = port_of(regs.r8);
    }
    if (peer_port != DNS_PORT)
        return 0;
    u64 size = result; /* MSG_TRUNC returns more than the buffer holds */
    tell_answer(regs.si, size < regs.dx ? size : regs.dx);
    return 0;
}
