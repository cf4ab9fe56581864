"""Frames of what processes do: how paths are joined and addresses told."""

from __future__ import annotations

import posixpath
import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from probes import action_frames, frames
from probes.action_frames import normalized
from probes.events import (
    Connected,
    CredentialChange,
    CredentialsChanged,
    DnsAnswered,
    FileContent,
    FileOperation,
    FileTouched,
    ProbeEvent,
    UnknownFrame,
)

GIVEN, WALKED, CUT = 1, 2, 4
START, NOW = 7, 99
UNIX, IPV4, IPV6 = 1, 2, 10  # address families
STREAM, DATAGRAM, RAW = 1, 2, 3
TCP, UDP, ICMP, MPTCP = 6, 17, 1, 262


def packed(kind: int, payload: bytes) -> bytes:
    size = frames.HEADER.size + len(payload)
    return frames.HEADER.pack(size, kind, frames.VERSION, 0, NOW) + payload


def names(*outermost_first: str) -> bytes:
    return b"".join(name.encode() + b"\0" for name in reversed(outermost_first))


def touched(
    *paths: tuple[int, str, bytes], operation: int = FileOperation.OPEN, result: int = 3
) -> FileTouched:
    told = [
        (form, given.encode() + b"\0" if given else b"", walked) for form, given, walked in paths
    ]
    told += [(0, b"", b"")] * (2 - len(told))
    sizes = [len(part) for _, *parts in told for part in parts]
    forms = [form for form, *_ in told]
    payload = action_frames.TOUCHED.pack(START, result, 5, 8, 9, 11, 12, *sizes, operation, *forms)
    event = frames.decode(
        packed(
            frames.FILE_TOUCHED, payload + b"".join(part for _, *parts in told for part in parts)
        )
    )
    assert isinstance(event, FileTouched)
    return event


@pytest.mark.parametrize(
    ("form", "given", "walked", "path", "truncated"),
    [
        (WALKED, "", names("a", "b", "file"), "/a/b/file", False),
        (WALKED, "", b"", "/", False),
        (GIVEN | WALKED, "file", names("a", "b"), "/a/b/file", False),
        (GIVEN | WALKED, "/etc/x", b"", "/etc/x", False),
        (GIVEN | WALKED, "/etc/x", names("jail"), "/jail/etc/x", False),
        (GIVEN | WALKED, "../c//./file/", names("a", "b"), "/a/c/file", False),
        (GIVEN | WALKED, "../../../..", names("a"), "/", False),
        (GIVEN | WALKED, "", names("a"), "", False),
        (GIVEN, "as/../given", b"", "as/../given", False),
        (GIVEN | CUT, "begins", b"", "begins", True),
        (GIVEN | CUT, "name", names("of", "many"), "of/many/name", True),
        (CUT, "", names("inner", "most"), "inner/most", True),
        (0, "", b"", "", True),
    ],
)
def test_paths(form: int, given: str, walked: bytes, path: str, truncated: bool) -> None:
    if form & GIVEN and not given:
        event = touched((form, "\0", walked))
    else:
        event = touched((form, given, walked))
    assert (event.path, event.new_path, event.truncated) == (path, None, truncated)


def test_two_paths_of_one_call() -> None:
    event = touched(
        (GIVEN | WALKED, "old", names("a")),
        (GIVEN | WALKED, "new", names("b")),
        operation=FileOperation.RENAME,
        result=-17,
    )
    assert event == FileTouched(
        NOW, 11, START, 12, FileOperation.RENAME, -17, 5, "/a/old", "/b/new", 8, 9, False
    )
    cut = touched((GIVEN, "target", b""), (GIVEN | CUT, "x", b""), operation=FileOperation.SYMLINK)
    assert (cut.path, cut.new_path, cut.truncated) == ("target", "x", True)


@given(st.lists(st.sampled_from(["a", "..", ".", "", ".hidden", "..."]), max_size=12))
@example(["", ""])
def test_normalized_is_what_the_standard_library_says(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert normalized(path) == "/" + posixpath.normpath(path).lstrip("/")


def connected(address: bytes, kind: int, protocol: int) -> Connected:
    payload = action_frames.CONNECTED.pack(
        START, 5, -115, 11, 12, 3, kind, protocol, len(address), address
    )
    event = frames.decode(packed(frames.CONNECTED, payload))
    assert isinstance(event, Connected)
    assert (event.inode, event.result, event.pid, event.tid, event.fd) == (5, -115, 11, 12, 3)
    return event


def ip(family: int, port: int, address: str) -> bytes:
    if family == IPV4:
        return struct.pack("<H", family) + struct.pack(">H", port) + socket.inet_aton(address)
    packed_address = socket.inet_pton(socket.AF_INET6, address)
    return struct.pack("<H", family) + struct.pack(">HI", port, 0) + packed_address + b"\0" * 4


@pytest.mark.parametrize(
    ("address", "kind", "protocol", "expected"),
    [
        (ip(IPV4, 443, "192.0.2.1"), STREAM, TCP, ("tcp", "192.0.2.1", 443)),
        (ip(IPV4, 443, "192.0.2.1"), STREAM, MPTCP, ("tcp", "192.0.2.1", 443)),
        (ip(IPV6, 53, "2001:db8::1"), DATAGRAM, UDP, ("udp", "2001:db8::1", 53)),
        (ip(IPV4, 0, "192.0.2.1"), DATAGRAM, ICMP, ("icmp", "192.0.2.1", 0)),
        (ip(IPV4, 0, "192.0.2.1"), RAW, TCP, ("raw", "192.0.2.1", 0)),
        (b"\1\0/run/socket\0rest", STREAM, 0, ("unix", "/run/socket", 0)),
        (b"\1\0\0abstract\0name", STREAM, 0, ("unix", "@abstract@name", 0)),
        (b"\1\0", DATAGRAM, 0, ("unix", "", 0)),
        (b"", STREAM, TCP, ("tcp", "", 0)),
    ],
)
def test_addresses(
    address: bytes, kind: int, protocol: int, expected: tuple[str, str, int]
) -> None:
    event = connected(address, kind, protocol)
    assert (event.transport, event.address, event.port) == expected


def test_the_other_kinds() -> None:
    answer = action_frames.DNS_ANSWERED.pack(START, 11, 5) + b"bytes"
    assert decoded(frames.DNS_ANSWERED, answer) == DnsAnswered(NOW, 11, START, b"bytes")
    change = action_frames.CREDENTIALS_CHANGED.pack(START, -1, 1 << 40, 16, 11, 12, 1000, 0, 77, 6)
    assert decoded(frames.CREDENTIALS_CHANGED, change) == CredentialsChanged(
        NOW, 11, START, 12, CredentialChange.PTRACE, -1, 1000, 0, 1 << 40, 16, 77
    )
    content = action_frames.FILE_CONTENT.pack(START, 8, 9, -1, 11) + b"SECRET=1"
    assert decoded(frames.FILE_CONTENT, content) == FileContent(
        NOW, 11, START, 8, 9, -1, b"SECRET=1"
    )


def decoded(kind: int, payload: bytes) -> ProbeEvent:
    return frames.decode(packed(kind, payload))


@given(
    st.sampled_from(
        [
            frames.FILE_TOUCHED,
            frames.CONNECTED,
            frames.DNS_ANSWERED,
            frames.CREDENTIALS_CHANGED,
            frames.FILE_CONTENT,
        ]
    ),
    st.binary(max_size=300),
)
def test_hostile_payloads_give_an_event(kind: int, payload: bytes) -> None:
    event = decoded(kind, payload)
    assert isinstance(event, UnknownFrame) or event.ktime_ns == NOW


def test_an_operation_that_is_not_known() -> None:
    payload = action_frames.TOUCHED.pack(START, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 200, 0, 0)
    assert isinstance(decoded(frames.FILE_TOUCHED, payload), UnknownFrame)
