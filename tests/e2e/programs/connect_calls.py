"""Connects sockets of every family, with success and failure: connect_calls.py FOLDER.

Prints a JSON list of what each call was given and returned.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading

told: list[dict[str, object]] = []
folder = sys.argv[1]


def connect(
    kind: int, transport: str, to: object, address: str, port: int = 0, **how: bool
) -> None:
    family = socket.AF_UNIX if transport == "unix" else socket.AF_INET6 if ":" in address else 0
    with socket.socket(family or socket.AF_INET, kind) as made:
        if how.get("later"):
            made.setblocking(False)
        result = -made.connect_ex(to)
        told.append(
            {
                "transport": transport,
                "address": address,
                "port": port,
                "result": result,
                "fd": made.fileno(),
                "inode": os.fstat(made.fileno()).st_ino,
                "tid": threading.get_native_id(),
            }
        )


def server(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.bind(address)
    made.listen(8)
    return made


STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
with server(socket.AF_INET, ("127.0.0.1", 0)) as four, server(socket.AF_INET6, ("::1", 0)) as six:
    port = four.getsockname()[1]
    connect(STREAM, "tcp", ("127.0.0.1", port), "127.0.0.1", port)
    connect(STREAM, "tcp", ("127.0.0.1", port), "127.0.0.1", port, later=True)
    thread = threading.Thread(
        target=connect, args=(STREAM, "tcp", ("127.0.0.1", port), "127.0.0.1", port)
    )
    thread.start()
    thread.join()
    port = six.getsockname()[1]
    connect(STREAM, "tcp", ("::1", port, 0, 0), "::1", port)
    mapped = four.getsockname()[1]
    connect(STREAM, "tcp", ("::ffff:127.0.0.1", mapped), "::ffff:127.0.0.1", mapped)
connect(STREAM, "tcp", ("127.0.0.1", port), "127.0.0.1", port)  # nobody listens any more
connect(DATAGRAM, "udp", ("127.0.0.1", 9), "127.0.0.1", 9)
connect(DATAGRAM, "udp", ("::1", 9), "::1", 9)
with server(socket.AF_UNIX, f"{folder}/socket"), server(socket.AF_UNIX, b"\0name of its own"):
    connect(STREAM, "unix", f"{folder}/socket", f"{folder}/socket")
    connect(STREAM, "unix", b"\0name of its own", "@name of its own")
    connect(DATAGRAM, "unix", f"{folder}/socket", f"{folder}/socket")
connect(STREAM, "unix", f"{folder}/none", f"{folder}/none")
long_name = "x" * 107
connect(STREAM, "unix", long_name, long_name)
print(json.dumps(told))
