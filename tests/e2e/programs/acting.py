"""Acts on files and connects: acting.py FOLDER NAME_SERVER PORT.

Prints a JSON object: `files`, every call that named a file below the folder, and `connects`, every
connect(2); each as the store should tell it, in order, with the process. PORT is that of a listener
on every address of the machine's own.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

folder, name_server, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = folder.parent / "log"  # of the child; its own name is not looked for
told: dict[str, list[dict[str, Any]]] = {"files": [], "connects": []}
ACCESS = {os.O_RDONLY: "read", os.O_WRONLY: "write", os.O_RDWR: "read_write"}


def attempt(act: Callable[[], object]) -> tuple[object, str | None]:
    try:
        return act(), None
    except OSError as error:
        return None, errno.errorcode[error.errno or 0]


def file_call(operation: str, act: Callable[[], object], path: Path, **more: object) -> object:
    result, error = attempt(act)
    told["files"].append(
        {"pid": os.getpid(), "operation": operation, "path": str(path), "error": error, **more}
    )
    return result


def opened(name: str, flags: int) -> None:
    path = folder / name
    descriptor = file_call(
        "open",
        lambda: os.open(path, flags, 0o644),
        path,
        access=ACCESS[flags & os.O_ACCMODE],
        creates=bool(flags & os.O_CREAT),
        exclusive=bool(flags & os.O_EXCL),
        truncates=bool(flags & os.O_TRUNC),
        appends=bool(flags & os.O_APPEND),
    )
    if isinstance(descriptor, int):
        os.close(descriptor)


def files(prefix: str) -> None:
    one, two = folder / f"{prefix}one", folder / f"{prefix}two"
    opened(one.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    opened(one.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)  # EEXIST
    for _ in range(5):
        opened(one.name, os.O_RDONLY)
    opened(one.name, os.O_RDWR | os.O_TRUNC)
    opened(one.name, os.O_WRONLY | os.O_APPEND)
    for _ in range(3):
        opened("missing", os.O_RDONLY)
    file_call("chmod", lambda: os.chmod(one, 0o640), one, mode=0o640)
    file_call("truncate", lambda: os.truncate(one, 4096), one, size_bytes=4096)
    file_call("link", lambda: os.link(one, two), one, new_path=str(two))
    file_call("link", lambda: os.link(one, two), one, new_path=str(two))
    file_call("rename", lambda: os.rename(two, f"{two}3"), two, new_path=f"{two}3")
    file_call("rename", lambda: os.rename(two, f"{two}3"), two, new_path=f"{two}3")
    inside = folder / f"{prefix}directory"
    file_call("mkdir", lambda: os.mkdir(inside), inside)
    file_call("mkdir", lambda: os.mkdir(inside), inside)
    opened(inside.name, os.O_WRONLY)  # EISDIR
    file_call("symlink", lambda: os.symlink(one, inside / "link"), one, new_path=f"{inside}/link")
    file_call("unlink", lambda: os.unlink(inside / "link"), inside / "link")
    file_call("rmdir", lambda: os.rmdir(inside), inside)
    file_call("rmdir", lambda: os.rmdir(inside), inside)
    file_call("unlink", lambda: os.unlink(one), one)
    file_call("unlink", lambda: os.unlink(one), one)


def connect(
    address: Any, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, **more: object
) -> socket.socket:
    client = socket.socket(family, kind)
    _, error = attempt(lambda: client.connect(address))
    if family == socket.AF_UNIX:
        where: dict[str, object] = {"transport": "unix", "address": str(address), "port": None}
    else:
        transport = "udp" if kind == socket.SOCK_DGRAM else "tcp"
        where = {"transport": transport, "address": address[0], "port": address[1]}
    told["connects"].append({"pid": os.getpid(), **where, "error": error, **more})
    return client


def resolve(name: str) -> str:
    """The address that the name server has for a name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    client = connect((name_server, 53), kind=socket.SOCK_DGRAM)
    client.send(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
    return socket.inet_ntoa(client.recv(512)[-4:])


def connections() -> None:
    address = resolve("api.acting.test")
    for _ in range(3):
        connect((address, port), name="api.acting.test", name_source="dns").close()
    connect((address, 1), name="api.acting.test", name_source="dns")  # refused
    for _ in range(4):
        connect(("127.0.0.99", 1))
    client = connect(("127.0.0.98", port), name="tls.acting.test", name_source="tls")
    try:
        ssl.create_default_context().wrap_socket(client, server_hostname="tls.acting.test")
    except (ssl.SSLError, OSError):
        pass  # the listener hangs up
    client = connect(("127.0.0.97", port), name="http.acting.test", name_source="http")
    client.send(b"GET / HTTP/1.1\r\nHost: http.acting.test\r\n\r\n")
    client.recv(64)
    connect(("::1", port, 0, 0), socket.AF_INET6)
    connect(str(folder / "no.sock"), socket.AF_UNIX)


files("")
child = os.fork()
if not child:
    told["files"].clear()
    files("child-")
    connect(("127.0.0.96", 1))
    with open(log, "w") as written:
        json.dump(told, written)
    os._exit(0)
os.waitpid(child, 0)
connections()
with open(log) as written:
    of_child = json.load(written)
print(json.dumps({kind: told[kind] + of_child[kind] for kind in told}))
