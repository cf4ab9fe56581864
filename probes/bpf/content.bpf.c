/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Content of files with a listed name, as it is read. A file that was opened for reading is
 * remembered for its process by device and inode; what read calls return of it is copied, and what
 * a process gets of it in other ways is counted.
 */

#define SENSITIVE_NAME 64
#define SENSITIVE_FILE 1
#define SENSITIVE_DIRECTORY 2
#define CONTENT_SMALL 512
#define CONTENT_MEDIUM 4096
#define CONTENT_LARGE 16384
#define CONTENT_CHUNKS 4 /* 64 KiB a call */

struct sensitive_name {
    char text[64];
};
BPF_HASH(sensitive_names, struct sensitive_name, u32, 4096);

struct content_key {
    u64 inode;
    u64 device;
    u32 tgid;
    u32 reserved;
};
BPF_TABLE("lru_hash", struct content_key, u8, sensitive_files, 16384);

struct file_content {
    struct frame frame;
    u64 start_ns;
    u64 device;
    u64 inode;
    s64 position; /* -1: not known */
    u32 pid;
    u32 reserved;
};
struct file_content_small {
    struct file_content head;
    u8 data[CONTENT_SMALL];
};
struct file_content_medium {
    struct file_content head;
    u8 data[CONTENT_MEDIUM];
};
struct file_content_large {
    struct file_content head;
    u8 data[CONTENT_LARGE];
};

static __always_inline struct content_key content_key_of(u64 inode) {
    struct content_key key = {};
    key.inode = kernel_u64(inode + INODE_I_INO);
    key.device = kernel_u32(kernel_u64(inode + INODE_I_SB) + SUPER_BLOCK_S_DEV);
    key.tgid = bpf_get_current_pid_tgid() >> 32;
    return key;
}

static __always_inline bool is_listed(u64 dentry, u32 as) {
    struct sensitive_name name = {};
    bpf_probe_read_kernel_str(name.text, sizeof(name.text),
                              (void *)kernel_u64(dentry + DENTRY_NAME));
    u32 *listed = sensitive_names.lookup(&name);
    return listed && *listed & as;
}

/* A regular file was opened for reading. */
int sensitive_step(struct bpf_raw_tracepoint_args *ctx) {
    s64 fd = ctx->args[1];
    struct open_file file = {};
    if (!inode_of(fd, &file))
        return 0;
    u64 dentry = kernel_u64(file.file + FILE_F_PATH + PATH_DENTRY);
    if (!is_listed(dentry, SENSITIVE_FILE) &&
        !is_listed(kernel_u64(dentry + DENTRY_D_PARENT), SENSITIVE_DIRECTORY))
        return 0;
    struct content_key key = content_key_of(file.inode);
    u8 yes = 1;
    sensitive_files.update(&key, &yes);
    return 0;
}

static __always_inline void fill_content(struct file_content *event, struct content_key *key,
                                         s64 position, u64 size) {
    event->frame.size = sizeof(*event) + size;
    event->frame.kind = FRAME_FILE_CONTENT;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->device = key->device;
    event->inode = key->inode;
    event->position = position;
    event->pid = key->tgid;
    event->reserved = 0;
}

/* Copies what a call read into one buffer. */
static __always_inline void tell_content(struct content_key *key, u64 buffer, s64 position,
                                         u64 length) {
    u64 left = length;
#pragma clang loop unroll(disable)
    for (int i = 0; i < CONTENT_CHUNKS; i++) {
        if (left < CONTENT_LARGE)
            break;
        struct file_content_large *event = file_ring.ringbuf_reserve(sizeof(*event));
        if (!event) {
            count_action(COUNT_FILE_LOST_CONTENT_RING, CONTENT_LARGE);
        } else {
            fill_content(&event->head, key, position, CONTENT_LARGE);
            if (bpf_probe_read_user(event->data, CONTENT_LARGE, (void *)buffer)) {
                file_ring.ringbuf_discard(event, RING_NO_WAKEUP);
                count_action(COUNT_FILE_LOST_CONTENT_FAULT, CONTENT_LARGE);
            } else {
                file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
                count_action(COUNT_FILE_CONTENT_BYTES, CONTENT_LARGE);
            }
        }
        buffer += CONTENT_LARGE;
        if (position >= 0)
            position += CONTENT_LARGE;
        left -= CONTENT_LARGE;
    }
    u64 size = left;
    asm volatile("" : "+r"(size));
    if (size == 0)
        return;
    if (size >= CONTENT_LARGE) {
        count_action(COUNT_FILE_UNSEEN_CONTENT, size);
        return;
    }
    /* The barriers keep the reservations apart: each must have a constant size. */
    struct file_content *event;
    if (size <= CONTENT_SMALL) {
        event = file_ring.ringbuf_reserve(sizeof(struct file_content_small));
        asm volatile("");
    } else if (size <= CONTENT_MEDIUM) {
        event = file_ring.ringbuf_reserve(sizeof(struct file_content_medium));
        asm volatile("" ::: "memory");
    } else {
        event = file_ring.ringbuf_reserve(sizeof(struct file_content_large));
    }
    if (!event) {
        count_action(COUNT_FILE_LOST_CONTENT_RING, size);
        return;
    }
    fill_content(event, key, position, size);
    if (bpf_probe_read_user(event + 1, size, (void *)buffer)) {
        file_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        count_action(COUNT_FILE_LOST_CONTENT_FAULT, size);
        return;
    }
    file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
    count_action(COUNT_FILE_CONTENT_BYTES, size);
}

/* A call that took `result` bytes from a file. */
int content_step(struct bpf_raw_tracepoint_args *ctx) {
    struct registers regs;
    s64 result = ctx->args[1];
    if (!registers_of(ctx, &regs))
        return 0;
    u64 number = regs.orig_ax;
    s32 fd = regs.di;
    if (number == NR_SENDFILE)
        fd = regs.si;
    if (number == NR_MMAP) {
        fd = regs.r8;
        if (result > -4096 && result < 0)
            return 0;
        result = regs.si;
    }
    struct open_file file = {};
    if (result <= 0 || fd < 0 || !inode_of(fd, &file))
        return 0;
    struct content_key key = content_key_of(file.inode);
    if (!sensitive_files.lookup(&key))
        return 0;
    u64 size = result;
    if (number == NR_MMAP) {
        u64 whole = kernel_u64(file.inode + INODE_I_SIZE);
        count_action(COUNT_FILE_UNSEEN_CONTENT, size < whole ? size : whole);
        return 0;
    }
    s64 position = kernel_u64(file.file + FILE_F_POS) - size;
    u64 buffer = regs.si, length = size;
    switch (number) {
    case NR_PREAD64:
        position = regs.r10;
        break;
    case NR_PREADV:
        position = regs.r10;
    case NR_PREADV2:
        if ((s64)regs.r10 >= 0)
            position = regs.r10;
    case NR_READV:
        buffer = user_u64(regs.si);
        length = user_u64(regs.si + 8);
        if (length > size)
            length = size;
        if (length < size)
            count_action(COUNT_FILE_UNSEEN_CONTENT, size - length);
        break;
    case NR_READ:
        break;
    default: /* sendfile, splice, copy_file_range: no memory of the process holds it */
        count_action(COUNT_FILE_UNSEEN_CONTENT, size);
        return 0;
    }
    if (position < 0)
        position = -1;
    tell_content(&key, buffer, position, length);
    return 0;
}
