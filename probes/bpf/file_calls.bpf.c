/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * System calls that name a file, at their return: what was tried, on which path, with what result.
 *
 * Of a file that was opened, or that a descriptor names, the path is walked; of all else there is
 * the name as it was given and the directory that it begins from, which probes/frames.py joins.
 * Most fit a short frame; when one does not, it is begun anew as a long one.
 */

#define SHORT_PATHS 256 /* no name begins behind it */
#define SHORT_NAME 128
#define SHORT_DEPTH 24
#define LONG_PATHS 8192
#define LONG_NAME 4097 /* PATH_MAX, and one more that shows a cut */
#define LONG_DEPTH 96

#define AT_FDCWD (-100)
#define AT_REMOVEDIR 0x200
#define AT_EMPTY_PATH 0x1000
#define O_ACCMODE 3
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_PATH 010000000

/* See FileOperation in probes/events.py. */
enum file_operation {
    FILE_OPEN,
    FILE_UNLINK,
    FILE_RMDIR,
    FILE_RENAME,
    FILE_MKDIR,
    FILE_CHMOD,
    FILE_TRUNCATE,
    FILE_LINK,
    FILE_SYMLINK,
};

/* How a path is told. */
#define FORM_GIVEN 1  /* by the name as given */
#define FORM_WALKED 2 /* by names up to the root: of the file, or of where the given name begins */
#define FORM_CUT 4

struct file_touched {
    struct frame frame;
    u64 start_ns;
    s64 result;
    u64 flags;
    u64 device;
    u64 inode;
    u32 pid;
    u32 tid;
    u16 sizes[4]; /* of each path: the name as given, the names that were walked */
    u8 operation;
    u8 forms[2];
    u8 cut; /* a path did not fit */
    u8 reserved[4];
};
struct file_touched_short {
    struct file_touched head;
    u8 paths[384]; /* SHORT_PATHS + SHORT_NAME */
};
struct file_touched_long {
    struct file_touched head;
    u8 paths[12296]; /* LONG_PATHS + LONG_NAME, in eights */
};

struct named_path {
    u64 name; /* in user memory; 0: none */
    u64 from; /* struct path of where it begins, or of the file itself; 0: not known */
    bool may_be_empty;
};

struct file_action {
    u64 flags;
    u64 inode; /* struct inode of a file that is open; 0: none is */
    struct named_path paths[2];
    u32 operation;
};

/* A path by name: where it begins. */
static __always_inline struct named_path given(u64 name, s32 directory) {
    struct named_path path = {.name = name};
    u64 fs = kernel_u64(bpf_get_current_task() + TASK_FS);
    char first = 0;
    bpf_probe_read_user(&first, 1, (void *)name);
    struct open_file file = {};
    if (first == '/')
        path.from = fs + FS_ROOT;
    else if (directory == AT_FDCWD)
        path.from = fs + FS_PWD;
    else if (inode_of(directory, &file))
        path.from = file.file + FILE_F_PATH;
    return path;
}

/* A path by descriptor; false when no name leads to the file. */
static __always_inline bool of_descriptor(s32 fd, struct file_action *action) {
    struct open_file file = {};
    if (fd < 0 || !inode_of(fd, &file))
        return true; /* told without a path */
    if (is_unrooted(file.file + FILE_F_PATH))
        return false;
    action->inode = file.inode;
    action->paths[0].from = file.file + FILE_F_PATH;
    return true;
}

/* What a call does to which paths; false when it is not told. */
static __always_inline bool file_action_of(struct registers *regs, s64 result,
                                           struct file_action *action) {
    u64 first = regs->di, second = regs->si, third = regs->dx;
    u64 name = first, other = 0;
    s32 directory = AT_FDCWD, other_directory = AT_FDCWD;
    switch ((u32)regs->orig_ax) {
    case NR_OPEN:
        action->flags = (u32)second;
        break;
    case NR_CREAT:
        action->flags = O_CREAT | O_WRONLY | O_TRUNC;
        break;
    case NR_OPENAT:
        directory = first, name = second;
        action->flags = (u32)third;
        break;
    case NR_OPENAT2:
        directory = first, name = second;
        action->flags = user_u64(third);
        break;
    case NR_UNLINK:
        action->operation = FILE_UNLINK;
        break;
    case NR_RMDIR:
        action->operation = FILE_RMDIR;
        break;
    case NR_UNLINKAT:
        directory = first, name = second;
        action->operation = third & AT_REMOVEDIR ? FILE_RMDIR : FILE_UNLINK;
        break;
    case NR_RENAME:
        other = second;
        action->operation = FILE_RENAME;
        break;
    case NR_RENAMEAT2:
        action->flags = (u32)regs->r8;
    case NR_RENAMEAT:
        directory = first, name = second, other_directory = third, other = regs->r10;
        action->operation = FILE_RENAME;
        break;
    case NR_MKDIR:
        action->operation = FILE_MKDIR;
        break;
    case NR_MKDIRAT:
        directory = first, name = second;
        action->operation = FILE_MKDIR;
        break;
    case NR_CHMOD:
        action->flags = (u16)second;
        action->operation = FILE_CHMOD;
        break;
    case NR_FCHMODAT2:
        action->paths[0].may_be_empty = regs->r10 & AT_EMPTY_PATH;
    case NR_FCHMODAT:
        directory = first, name = second;
        action->flags = (u16)third;
        action->operation = FILE_CHMOD;
        break;
    case NR_FCHMOD:
        action->flags = (u16)second;
        action->operation = FILE_CHMOD;
        return of_descriptor(first, action);
    case NR_TRUNCATE:
        action->flags = second;
        action->operation = FILE_TRUNCATE;
        break;
    case NR_FTRUNCATE:
        action->flags = second;
        action->operation = FILE_TRUNCATE;
        return of_descriptor(first, action);
    case NR_LINK:
        other = second;
        action->operation = FILE_LINK;
        break;
    case NR_LINKAT:
        directory = first, name = second, other_directory = third, other = regs->r10;
        action->paths[0].may_be_empty = regs->r8 & AT_EMPTY_PATH;
        action->operation = FILE_LINK;
        break;
    case NR_SYMLINK:
        other = second;
        action->operation = FILE_SYMLINK;
        break;
    case NR_SYMLINKAT:
        other_directory = second, other = third;
        action->operation = FILE_SYMLINK;
        break;
    default:
        return false;
    }
    if (action->operation == FILE_OPEN && result >= 0) {
        struct open_file file = {};
        if (inode_of(result, &file)) {
            action->inode = file.inode;
            if (!is_unrooted(file.file + FILE_F_PATH)) {
                action->paths[0].from = file.file + FILE_F_PATH;
                return true;
            }
        }
    }
    bool may_be_empty = action->paths[0].may_be_empty;
    action->paths[0] = given(name, directory);
    action->paths[0].may_be_empty = may_be_empty;
    if (action->operation == FILE_SYMLINK)
        action->paths[0].from = 0; /* any text */
    if (other)
        action->paths[1] = given(other, other_directory);
    return true;
}

static __always_inline bool read_action(struct bpf_raw_tracepoint_args *ctx, s64 result,
                                        struct file_action *action) {
    struct registers regs;
    struct file_action found = {};
    if (!registers_of(ctx, &regs) || !file_action_of(&regs, result, &found))
        return false;
    /* A copy of which the verifier knows nothing: it goes on once, not once for each call. */
    return !bpf_probe_read_kernel(action, sizeof(*action), &found);
}

/* Writes all that is told of a call; false when a path did not fit. */
static __always_inline bool fill_touched(struct file_touched *event, struct file_action *action,
                                         s64 result, u64 most, u32 given_bytes, u32 name_bytes,
                                         int depth) {
    u64 id = bpf_get_current_pid_tgid();
    u8 *paths = (u8 *)(event + 1);
    event->frame.kind = FRAME_FILE_TOUCHED;
    event->frame.version = FRAME_VERSION;
    event->frame.flags = 0;
    event->frame.ktime_ns = bpf_ktime_get_ns();
    event->start_ns = process_start_ns(bpf_get_current_task());
    event->result = result;
    event->flags = action->flags;
    event->device = 0;
    event->inode = 0;
    if (action->inode) {
        event->device = kernel_u32(kernel_u64(action->inode + INODE_I_SB) + SUPER_BLOCK_S_DEV);
        event->inode = kernel_u64(action->inode + INODE_I_INO);
    }
    event->pid = id >> 32;
    event->tid = (u32)id;
    event->operation = action->operation;
    __builtin_memset(event->reserved, 0, sizeof(event->reserved));
    /* What is learned on the way is kept in the event and read back: the verifier forgets it there,
     * and follows what comes next once, not once for each way to it. */
    event->cut = 0;
    u64 used = 0;
#pragma clang loop unroll(disable)
    for (u32 which = 0; which < 2; which++) {
        struct named_path *path = &action->paths[which & 1];
        u64 from = path->from;
        u32 form = 0;
        asm volatile("" : "+r"(used));
        used &= PATHS_MASK;
        event->frame.size = used;
        if (path->name && used <= most) {
            long copied = bpf_probe_read_user_str(paths + used, given_bytes, (void *)path->name);
            if (copied > 0 && copied <= given_bytes) {
                if (copied > 1 || !path->may_be_empty)
                    form = FORM_GIVEN;
                if (copied == given_bytes)
                    form |= FORM_CUT;
                used += copied;
            } else {
                form = FORM_CUT;
            }
        } else if (path->name || (!which && !from)) {
            form = FORM_CUT;
        }
        event->forms[which & 1] = form;
        event->sizes[2 * (which & 1)] = used - event->frame.size;
        event->frame.size = used;
        if (from && !(event->forms[which & 1] & FORM_CUT)) {
            u32 end;
            used = walk_names(from, paths, used, most, name_bytes, depth, &end);
            event->forms[which & 1] |= end == PATH_WHOLE ? FORM_WALKED : FORM_CUT;
        }
        event->cut |= event->forms[which & 1] & FORM_CUT;
        event->sizes[2 * (which & 1) + 1] = used - event->frame.size;
    }
    event->frame.size = sizeof(*event) + used;
    return !event->cut;
}

/* Has a listed name to be looked for? Content is read from what was opened for reading. */
static __always_inline bool may_be_sensitive(struct file_action *action) {
    return action->operation == FILE_OPEN && action->inode &&
           (action->flags & O_ACCMODE) != O_WRONLY && !(action->flags & O_PATH) &&
           (kernel_u16(action->inode + INODE_I_MODE) & S_IFMT) == S_IFREG;
}

int file_step(struct bpf_raw_tracepoint_args *ctx) {
    struct file_action action = {};
    s64 result = result_of(ctx);
    if (!read_action(ctx, result, &action))
        return 0;
    struct file_touched_short *event = file_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_action(COUNT_FILE_LOST_EVENTS, 1);
    } else if (fill_touched(&event->head, &action, result, SHORT_PATHS, SHORT_NAME, SHORT_NAME,
                            SHORT_DEPTH)) {
        file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
        count_action(COUNT_FILE_EVENTS, 1);
    } else {
        file_ring.ringbuf_discard(event, RING_NO_WAKEUP);
        steps.call(ctx, STEP_FILE_LONG);
        count_action(COUNT_FILE_LOST_EVENTS, 1);
    }
    if (may_be_sensitive(&action))
        steps.call(ctx, STEP_SENSITIVE);
    return 0;
}

int file_long_step(struct bpf_raw_tracepoint_args *ctx) {
    struct file_action action = {};
    s64 result = result_of(ctx);
    if (!read_action(ctx, result, &action))
        return 0;
    struct file_touched_long *event = file_ring.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_action(COUNT_FILE_LOST_EVENTS, 1);
    } else {
        if (!fill_touched(&event->head, &action, result, LONG_PATHS, LONG_NAME, PATH_NAME,
                          LONG_DEPTH))
            count_action(COUNT_FILE_TRUNCATED_PATHS, 1);
        file_ring.ringbuf_submit(event, RING_NO_WAKEUP);
        count_action(COUNT_FILE_EVENTS, 1);
    }
    if (may_be_sensitive(&action))
        steps.call(ctx, STEP_SENSITIVE);
    return 0;
}
