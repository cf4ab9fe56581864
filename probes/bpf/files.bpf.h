/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * From a file descriptor of the current process to what it names: inode, kind, socket addresses.
 */

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFREG 0100000
#define S_IFSOCK 0140000
#define SOCK_STREAM 1
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

struct open_file {
    u64 file;
    u64 inode;
    u64 number; /* of the inode */
    u32 kind;   /* S_IFMT part of its mode */
};

/* Which inode an open file is; what kind of file it is, is left out. */
static __always_inline bool inode_of(u32 fd, struct open_file *found) {
    u64 table = kernel_u64(kernel_u64(bpf_get_current_task() + TASK_FILES) + FILES_FDT);
    if (fd >= kernel_u32(table + FDTABLE_MAX_FDS))
        return false;
    found->file = kernel_u64(kernel_u64(table + FDTABLE_FD) + 8 * (u64)fd);
    if (!found->file)
        return false;
    found->inode = kernel_u64(found->file + FILE_F_INODE);
    found->number = kernel_u64(found->inode + INODE_I_INO);
    return true;
}

static __always_inline bool file_of(u32 fd, struct open_file *found) {
    if (!inode_of(fd, found))
        return false;
    found->kind = kernel_u16(found->inode + INODE_I_MODE) & S_IFMT;
    return true;
}

/* The kernel's struct sock of a stream socket, and its family; 0 for others. */
static __always_inline u64 stream_socket(struct open_file *file, u32 *family) {
    u64 socket = kernel_u64(file->file + FILE_PRIVATE_DATA);
    if (kernel_u16(socket + SOCKET_TYPE) != SOCK_STREAM)
        return 0;
    u64 sock = kernel_u64(socket + SOCKET_SK);
    *family = kernel_u16(sock + SOCK_FAMILY);
    return sock;
}

/* Inode of the socket at the other end of a Unix socket; 0 when there is none. */
static __always_inline u64 unix_peer(u64 sock) {
    u64 peer = kernel_u64(sock + UNIX_SOCK_PEER);
    if (!peer)
        return 0;
    u64 socket = kernel_u64(peer + SOCK_SK_SOCKET);
    if (!socket)
        return 0;
    return kernel_u64(socket + SOCKET_ALLOC_VFS_INODE + INODE_I_INO);
}

static __always_inline void addresses_of(u64 sock, u32 family, struct addresses *found) {
    if (family != AF_INET && family != AF_INET6)
        return;
    found->family = family;
    found->local_port = kernel_u16(sock + SOCK_NUM);
    found->remote_port = __builtin_bswap16(kernel_u16(sock + SOCK_DPORT));
    if (family == AF_INET) {
        bpf_probe_read_kernel(found->local, 4, (void *)(sock + SOCK_RCV_SADDR));
        bpf_probe_read_kernel(found->remote, 4, (void *)(sock + SOCK_DADDR));
    } else {
        bpf_probe_read_kernel(found->local, 16, (void *)(sock + SOCK_V6_RCV_SADDR));
        bpf_probe_read_kernel(found->remote, 16, (void *)(sock + SOCK_V6_DADDR));
    }
}

/* Names a file: device in the kernel's own encoding, inode number, and when the inode changed
 * last, since numbers are used again and a copy on an overlay keeps the number of its origin. */
struct file_name {
    u64 device;
    u64 number;
    u64 changed; /* seconds << 32 | nanoseconds */
};

#define CTIME_QUERIED 0x80000000 /* a flag that the kernel keeps among the nanoseconds */


static __always_inline struct file_name name_of(u64 inode) {
    struct file_name name = {};
    name.device = kernel_u32(kernel_u64(inode + INODE_I_SB) + SUPER_BLOCK_S_DEV);
    name.number = kernel_u64(inode + INODE_I_INO);
    name.changed = kernel_u64(inode + INODE_CTIME_S) << 32 |
                   (kernel_u32(inode + INODE_CTIME_NS) & ~CTIME_QUERIED);
    return name;
}

/* Files that user space has looked into: 1 when nothing is to be hooked there, else 2. */
#define FILE_WITHOUT_TLS 1
BPF_TABLE("lru_hash", struct file_name, u32, known_files, 16384);

/* Unknown programs and libraries may be stopped until they are hooked; opt-in. */
BPF_ARRAY(freeze_unknown, u32, 1);
BPF_HASH(frozen, u32, u64, 1024); /* pid -> ktime */
#define SIGCONT 18
#define SIGSTOP 19

static __always_inline void freeze_if_unknown(u32 pid, struct file_name *name) {
    u32 zero = 0;
    u32 *enabled = freeze_unknown.lookup(&zero);
    if (!enabled || !*enabled || known_files.lookup(name))
        return;
    /* It stops when it leaves the kernel. In this order nobody can take it for woken before the
     * signal is sent. */
    bpf_send_signal(SIGSTOP);
    u64 now = bpf_ktime_get_ns();
    if (frozen.update(&pid, &now))
        bpf_send_signal(SIGCONT); /* nobody would wake it */
}
