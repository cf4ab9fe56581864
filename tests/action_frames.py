"""Events of what processes do, and their frames as the kernel writes them."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from typing import Any

from probes import frames
from probes.action_frames import CONNECTED, CREDENTIALS_CHANGED, DNS_ANSWERED, TOUCHED
from probes.events import (
    Connected,
    CredentialChange,
    CredentialsChanged,
    DnsAnswered,
    FileOperation,
    FileTouched,
)
from tests.frames import AGENT, STARTED_NS, frame

GIVEN = 1  # FORM_* of bpf/file_calls.bpf.c
READ, WRITE, READ_WRITE = 0, 1, 2
CREATE, EXCLUSIVE, TRUNCATE, APPEND = 0o100, 0o200, 0o1000, 0o2000
PROTOCOLS = {"tcp": (1, 6), "udp": (2, 17), "unix": (1, 0)}


def touch(
    path: str,
    at: int = 0,
    *,
    operation: FileOperation = FileOperation.OPEN,
    result: int = 3,
    flags: int = READ,
    **more: Any,
) -> FileTouched:
    event = FileTouched(at, AGENT, STARTED_NS, AGENT, operation, result, flags, path)
    return replace(event, **more)


def connect(
    address: str, port: int = 443, at: int = 0, *, transport: str = "tcp", **more: Any
) -> Connected:
    event = Connected(at, AGENT, STARTED_NS, AGENT, 5, 0, 0, transport, address, port)
    return replace(event, **more)


def privilege(change: CredentialChange, at: int = 0, **more: Any) -> CredentialsChanged:
    event = CredentialsChanged(at, AGENT, STARTED_NS, AGENT, change, 0, 1000, 1000, 0)
    return replace(event, **more)


def touched_frame(event: FileTouched) -> bytes:
    """With the names as the process gave them, which are absolute."""
    path = event.path.encode() + b"\0"
    new_path = b"" if event.new_path is None else event.new_path.encode() + b"\0"
    head = TOUCHED.pack(
        *(event.start_ns, event.result, event.flags, event.device, event.inode),
        *(event.pid, event.tid, len(path), 0, len(new_path), 0),
        *(event.operation, GIVEN, GIVEN if new_path else 0),
    )
    return frame(frames.FILE_TOUCHED, head + path + new_path, event.ktime_ns)


def connected_frame(event: Connected) -> bytes:
    kind, protocol = PROTOCOLS[event.transport]
    if event.transport == "unix":
        raw = struct.pack("<H", socket.AF_UNIX) + event.address.encode() + b"\0"
    elif ":" in event.address:
        raw = struct.pack("<H", 10) + struct.pack("!HI", event.port, 0)
        raw += socket.inet_pton(socket.AF_INET6, event.address)
    else:
        raw = struct.pack("<H", 2) + struct.pack("!H", event.port)
        raw += socket.inet_pton(socket.AF_INET, event.address)
    packed = CONNECTED.pack(
        *(event.start_ns, event.inode, event.result, event.pid, event.tid, event.fd),
        *(kind, protocol, len(raw), raw),
    )
    return frame(frames.CONNECTED, packed, event.ktime_ns)


def dns_frame(event: DnsAnswered) -> bytes:
    head = DNS_ANSWERED.pack(event.start_ns, event.pid, 0)
    return frame(frames.DNS_ANSWERED, head + event.data, event.ktime_ns)


def privilege_frame(event: CredentialsChanged) -> bytes:
    packed = CREDENTIALS_CHANGED.pack(
        *(event.start_ns, event.result, event.capabilities, event.argument, event.pid, event.tid),
        *(event.uid, event.euid, event.target_pid, event.change),
    )
    return frame(frames.CREDENTIALS_CHANGED, packed, event.ktime_ns)


# DNS messages

A, CNAME, AAAA = 1, 5, 28


def name_bytes(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def dns_message(
    question: str,
    *records: bytes,
    kind: int = A,
    flags: int = 0x8180,
    questions: int = 1,
    count: int | None = None,
) -> bytes:
    answers = len(records) if count is None else count
    head = struct.pack("!6H", 7, flags, questions, answers, 0, 0)
    return head + name_bytes(question) + struct.pack("!HH", kind, 1) + b"".join(records)


ASKED = b"\xc0\x0c"  # a pointer to the question's name


def address_record(address: str, owner: bytes = ASKED) -> bytes:
    if ":" in address:
        return record(owner, AAAA, socket.inet_pton(socket.AF_INET6, address))
    return record(owner, A, socket.inet_pton(socket.AF_INET, address))


def answer_to(name: str, *addresses: str, at: int = 0, **more: Any) -> DnsAnswered:
    message = dns_message(name, *(address_record(address) for address in addresses))
    return replace(DnsAnswered(at, AGENT, STARTED_NS, message), **more)
