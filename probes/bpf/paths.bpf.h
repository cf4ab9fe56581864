/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * From a `struct path` to the names that lead to it, up to the root of its mount namespace:
 * a chroot does not hide what is above it.
 */

#define PATH_NAME 256
#define PATHS_MASK 0x3fff /* above all offsets of names */

/* From the parent of a dentry to its name, which follows it: read at once. */
#define DENTRY_FIELDS ((DENTRY_NAME - DENTRY_D_PARENT) / 8 + 1)

#define PATH_CUT 0
#define PATH_WHOLE 1
#define PATH_UNROOTED 2 /* a pipe, a socket, a file in memory: no name leads to it */

/* Writes names from `used` on, innermost first, each NUL-terminated; returns where they end. None
 * begins behind `most`; one of `name_bytes` and more ends the walk, unless it must be whole. */
static __always_inline u64 walk_names(u64 path, u8 *names, u64 used, u64 most, u32 name_bytes,
                                      int depth, u32 *end) {
    u64 dentry = kernel_u64(path + PATH_DENTRY);
    u64 mount = kernel_u64(path + PATH_MNT) - MOUNT_MNT;
    u64 root = kernel_u64(mount + MOUNT_MNT + VFSMOUNT_MNT_ROOT);
    *end = PATH_CUT;
#pragma clang loop unroll(disable)
    for (int i = 0; i < depth; i++) {
        asm volatile("" : "+r"(used)); /* forgetting how far it got lets the verifier join paths */
        used &= PATHS_MASK;
        if (dentry == root) {
            u64 above = kernel_u64(mount + MOUNT_MNT_PARENT);
            if (above == mount || above == 0) {
                *end = PATH_WHOLE;
                break;
            }
            dentry = kernel_u64(mount + MOUNT_MNT_MOUNTPOINT);
            mount = above;
            root = kernel_u64(mount + MOUNT_MNT + VFSMOUNT_MNT_ROOT);
            continue;
        }
        u64 fields[DENTRY_FIELDS] = {};
        bpf_probe_read_kernel(fields, sizeof(fields), (void *)(dentry + DENTRY_D_PARENT));
        u64 parent = fields[0];
        if (dentry == parent) {
            *end = PATH_UNROOTED;
            break;
        }
        if (used > most)
            break;
        long copied = bpf_probe_read_kernel_str(names + used, name_bytes,
                                                (void *)fields[DENTRY_FIELDS - 1]);
        if (copied <= 0)
            break;
        if (copied > name_bytes)
            break;
        if (name_bytes < PATH_NAME && copied == name_bytes)
            break;
        used += copied;
        dentry = parent;
    }
    return used;
}

/* No name leads to it from anywhere. */
static __always_inline bool is_unrooted(u64 path) {
    u64 dentry = kernel_u64(path + PATH_DENTRY);
    return dentry == kernel_u64(dentry + DENTRY_D_PARENT) &&
           dentry != kernel_u64(kernel_u64(path + PATH_MNT) + VFSMOUNT_MNT_ROOT);
}
