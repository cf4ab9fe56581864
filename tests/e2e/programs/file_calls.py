"""Makes each system call that names a file, with success and failure: file_calls.py FOLDER, in
which `deep` holds 120 folders, each `e` in the other.

Prints a JSON list of what it did, in order: operation, result (or -errno), flags, the path that
the call named, the new path, inode of what was opened, truncated, thread of its own, child.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
root = sys.argv[1]
told: list[dict[str, object]] = []

NUMBERS = {
    "open": 2,
    "truncate": 76,
    "ftruncate": 77,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "fchmod": 91,
    "openat": 257,
    "mkdirat": 258,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "symlinkat": 266,
    "fchmodat": 268,
    "renameat2": 316,
    "openat2": 437,
    "fchmodat2": 452,
}
AT_FDCWD, AT_REMOVEDIR, AT_EMPTY_PATH = -100, 0x200, 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def call(name: str, *arguments: object) -> int:
    passed = [
        ctypes.c_char_p(os.fsencode(one))
        if isinstance(one, str)
        else ctypes.c_long(one)
        if isinstance(one, int)
        else one
        for one in arguments
    ]
    result = int(libc.syscall(ctypes.c_long(NUMBERS[name]), *passed))
    return result if result >= 0 else -ctypes.get_errno()


def tell(
    operation: str,
    result: int,
    path: str,
    new_path: str | None = None,
    *,
    flags: int = 0,
    inode: int = 0,
    truncated: bool = False,
) -> int:
    told.append(
        {
            "operation": operation,
            "result": result,
            "flags": flags,
            "path": path,
            "new_path": new_path,
            "inode": inode
            or (os.fstat(result).st_ino if operation == "OPEN" and result > 0 else 0),
            "truncated": truncated,
            "tid": threading.get_native_id(),
        }
    )
    return result


def at(*names: str) -> str:
    return "/".join((root, *names))


def opening() -> None:
    new = os.O_CREAT | os.O_EXCL | os.O_RDWR
    first = tell("OPEN", call("open", at("one"), new, 0o644), at("one"), flags=new)
    tell("OPEN", call("open", at("one"), new, 0o644), at("one"), flags=new)
    tell("OPEN", call("open", at("none"), os.O_RDONLY), at("none"))
    tell("OPEN", call("open", at("one", "below"), os.O_RDONLY), at("one", "below"))
    tell("OPEN", call("open", root, os.O_WRONLY), root, flags=os.O_WRONLY)
    creates = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    tell("OPEN", call("creat", at("two"), 0o600), at("two"), flags=creates)
    directory = tell(
        "OPEN",
        call("openat", AT_FDCWD, root, os.O_RDONLY | os.O_DIRECTORY),
        root,
        flags=os.O_DIRECTORY,
    )
    tell("OPEN", call("openat", directory, "one", os.O_RDONLY), at("one"))
    tell("OPEN", call("openat", directory, "./x/../none", os.O_RDONLY), at("none"))
    how = (ctypes.c_uint64 * 3)(os.O_WRONLY | os.O_APPEND, 0, 0)
    flags = os.O_WRONLY | os.O_APPEND
    tell("OPEN", call("openat2", directory, "two", how, 24), at("two"), flags=flags)
    tell("OPEN", call("openat2", directory, "none", how, 24), at("none"), flags=flags)
    tell(
        "OPEN",
        call("openat", 999, f"{os.path.basename(root)}-nowhere", 0),
        f"{os.path.basename(root)}-nowhere",
    )
    os.symlink("one", at("to-one"))
    told.append(
        {
            "operation": "SYMLINK",
            "result": 0,
            "flags": 0,
            "path": "one",
            "new_path": at("to-one"),
            "inode": 0,
            "truncated": False,
            "tid": threading.get_native_id(),
        }
    )
    tell("OPEN", call("open", at("to-one"), os.O_RDONLY), at("one"))
    no_link = os.O_RDONLY | os.O_NOFOLLOW
    tell("OPEN", call("open", at("to-one"), no_link), at("to-one"), flags=no_link)
    tell("UNLINK", call("unlink", at("one")), at("one"))
    tell("OPEN", call("open", f"/proc/self/fd/{first}", os.O_RDONLY), at("one"))
    tell(
        "OPEN",
        call("open", at("x" * 255), os.O_CREAT | os.O_RDWR),
        at("x" * 255),
        flags=os.O_CREAT | os.O_RDWR,
    )
    tell("OPEN", call("open", at("y" * 300), 0), at("y" * 300))
    os.chdir(root)
    tell("OPEN", call("open", "two", os.O_RDONLY), at("two"))
    tell("OPEN", call("open", "..//" + os.path.basename(root) + "/./gone/", 0), at("gone"))
    os.close(directory)


def changing() -> None:
    tell("MKDIR", call("mkdir", at("a"), 0o755), at("a"))
    tell("MKDIR", call("mkdir", at("a/"), 0o755), at("a"))
    folder = os.open(root, os.O_PATH)
    told.append(
        {
            "operation": "OPEN",
            "result": folder,
            "flags": os.O_PATH | os.O_CLOEXEC,
            "path": root,
            "new_path": None,
            "inode": os.stat(root).st_ino,
            "truncated": False,
            "tid": threading.get_native_id(),
        }
    )
    tell("MKDIR", call("mkdirat", folder, "b", 0o755), at("b"))
    tell("MKDIR", call("mkdirat", folder, "none/b", 0o755), at("none/b"))
    tell("RENAME", call("rename", at("two"), at("a/two")), at("two"), at("a/two"))
    tell("RENAME", call("rename", "none", "b/none"), at("none"), at("b/none"))
    tell(
        "RENAME", call("renameat", folder, "a/two", AT_FDCWD, at("b/two")), at("a/two"), at("b/two")
    )
    tell(
        "RENAME",
        call("renameat2", folder, "a", folder, "b", RENAME_EXCHANGE),
        at("a"),
        at("b"),
        flags=RENAME_EXCHANGE,
    )
    tell(
        "RENAME",
        call("renameat2", folder, "a", folder, "b", RENAME_NOREPLACE),
        at("a"),
        at("b"),
        flags=RENAME_NOREPLACE,
    )
    tell("LINK", call("link", at("a/two"), at("linked")), at("a/two"), at("linked"))
    tell("LINK", call("linkat", folder, "none", folder, "linked", 0), at("none"), at("linked"))
    fd = tell("OPEN", call("open", at("linked"), os.O_RDWR), at("linked"), flags=os.O_RDWR)
    tell("LINK", call("linkat", fd, "", folder, "again", AT_EMPTY_PATH), at("linked"), at("again"))
    tell("SYMLINK", call("symlink", "../any where", at("s")), "../any where", at("s"))
    tell("SYMLINK", call("symlinkat", at("a"), folder, "s"), at("a"), at("s"))
    tell("CHMOD", call("chmod", at("linked"), 0o640), at("linked"), flags=0o640)
    tell("CHMOD", call("chmod", at("none"), 0o640), at("none"), flags=0o640)
    inode = os.fstat(fd).st_ino
    tell("CHMOD", call("fchmod", fd, 0o4755), at("linked"), flags=0o4755, inode=inode)
    tell("CHMOD", call("fchmodat", folder, "linked", 0o600), at("linked"), flags=0o600)
    result = call("fchmodat2", fd, "", 0o644, AT_EMPTY_PATH)
    tell("CHMOD", result, at("linked"), flags=0o644)
    tell("TRUNCATE", call("truncate", at("linked"), 7), at("linked"), flags=7)
    tell("TRUNCATE", call("truncate", at("none"), 7), at("none"), flags=7)
    tell("TRUNCATE", call("ftruncate", fd, 1 << 33), at("linked"), flags=1 << 33, inode=inode)
    tell("RMDIR", call("rmdir", at("a")), at("a"))
    tell("RMDIR", call("rmdir", "b"), at("b"))
    tell("RMDIR", call("unlinkat", folder, "b", AT_REMOVEDIR), at("b"))
    tell("UNLINK", call("unlinkat", folder, "linked", 0), at("linked"))
    tell("UNLINK", call("unlink", at("linked")), at("linked"))
    tell("UNLINK", call("unlink", at("a")), at("a"))


def deep() -> None:
    """Paths that are longer than most, and longer than what is told."""
    names = ["d" * 100] * 30
    for name in names:
        tell("MKDIR", call("mkdir", name, 0o755), os.getcwd() + "/" + name)
        os.chdir(name)
    tell("OPEN", call("open", "file", os.O_CREAT), os.getcwd() + "/file", flags=os.O_CREAT)
    os.chdir(at("deep", *"e" * 120))
    name = f"{os.path.basename(root)}-deep"
    tell("OPEN", call("open", name, os.O_CREAT), "e/" * 95 + name, flags=os.O_CREAT, truncated=True)
    tell("OPEN", call("open", "../" + name, 0), "e/" * 96 + "../" + name, truncated=True)
    os.chdir(root)
    name = at("n" * 200, "n" * 5000)
    tell("OPEN", call("open", name, 0), name[:4096], truncated=True)


def by_others() -> None:
    """A thread, and a child that may not."""

    def in_thread() -> None:
        tell("OPEN", call("open", at("by-thread"), os.O_CREAT), at("by-thread"), flags=os.O_CREAT)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    secret = call("open", at("secret"), os.O_CREAT | os.O_RDWR, 0)
    tell("OPEN", secret, at("secret"), flags=os.O_CREAT | os.O_RDWR)
    os.chmod(root, 0o755)
    tell("CHMOD", 0, root, flags=0o755)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(65534)
        told.clear()
        tell("OPEN", call("open", "secret", os.O_RDWR), at("secret"), flags=os.O_RDWR)
        tell("UNLINK", call("unlink", "secret"), at("secret"))
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    told.extend(json.loads(os.read(read, 65536)))


opening()
changing()
deep()
by_others()
print(json.dumps(told))
