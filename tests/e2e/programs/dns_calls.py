"""Receives datagrams from port 53 with every call that can: dns_calls.py ADDRESS.

A server of its own on ADDRESS answers with bytes that the question asks for. Prints a JSON list of
the answers in hex, as they were received.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
RECVMMSG = 299


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Vector)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    _fields_ = (("header", Header), ("received", ctypes.c_uint32))


def serve(server: socket.socket) -> None:
    while True:
        question, peer = server.recvfrom(64)
        server.sendto(os.urandom(int(question)), peer)


def asked(size: int, *, connected: bool = True, port: int = 53) -> socket.socket:
    client = socket.socket(family, socket.SOCK_DGRAM)
    if connected:
        client.connect((address, port))
        client.send(b"%d" % size)
    else:
        client.sendto(b"%d" % size, (address, port))
    return client


def many(client: socket.socket) -> list[bytes]:
    """Two answers with one call."""
    client.send(b"70")
    buffers = [ctypes.create_string_buffer(512) for _ in range(2)]
    vectors = [Vector(ctypes.cast(one, ctypes.c_char_p), 512) for one in buffers]
    messages = (Message * 2)(
        *(Message(Header(vectors=ctypes.pointer(one), count=1)) for one in vectors)
    )
    got = libc.syscall(RECVMMSG, client.fileno(), messages, 2, 0, None)
    assert got == 2, ctypes.get_errno()
    return [buffers[n].raw[: messages[n].received] for n in range(2)]


server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((address, 53))
other = socket.socket(family, socket.SOCK_DGRAM)
other.bind((address, 0))
for one in (server, other):
    threading.Thread(target=serve, args=(one,), daemon=True).start()

told = [
    asked(30).recv(512),
    asked(31, connected=False).recvfrom(512)[0],
    os.read(asked(32).detach(), 512),
    asked(33, connected=False).recvmsg(512)[0],
    asked(34).recvmsg(512)[0],
    asked(600).recv(4096),
    asked(5000).recv(8192),
    *many(asked(71)),
]
peeked = asked(35)
peeked.recv(512, socket.MSG_PEEK)
told.append(peeked.recv(512))
asked(36, port=other.getsockname()[1]).recv(512)  # no answer of a name server
print(json.dumps([one.hex() for one in told]))
