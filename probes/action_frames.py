"""Frames of what processes do: files, connections, names resolved, privileges. Pure.

In: whole frames as `bpf/{file_calls,network_calls,credentials,content}.bpf.c` write them. Out:
`probes.events`, with paths joined and addresses in text. `probes.frames` knows which decoder is
for which kind; what one raises makes the frame an `UnknownFrame`.
"""

from __future__ import annotations

import socket
import struct

from probes.events import (
    Connected,
    CredentialChange,
    CredentialsChanged,
    DnsAnswered,
    FileContent,
    FileOperation,
    FileTouched,
)

HEADER_BYTES = 16  # of every frame

# Payload layouts, after the header.
TOUCHED = struct.Struct("<QqQQQII4HB2B5x")
CONNECTED = struct.Struct("<QQqIIiHH4xI112s")
DNS_ANSWERED = struct.Struct("<QII")
CREDENTIALS_CHANGED = struct.Struct("<QqQQIIIIII")
FILE_CONTENT = struct.Struct("<QQQqI4x")

# How a path is told (FORM_* in bpf/file_calls.bpf.c).
_GIVEN, _WALKED, _CUT = 1, 2, 4

_OPERATIONS = tuple(FileOperation)
_CHANGES = tuple(CredentialChange)
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10  # as Linux numbers them
_ADDRESS_AT = 2  # of sun_path, behind the family
_TRANSPORTS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp", 136: "udplite", 262: "tcp"}
_RAW = 3  # SOCK_RAW


def normalized(path: str) -> str:
    """An absolute path without empty, `.` and `..` parts; symbolic links are not looked at."""
    if "//" not in path and "/." not in path:
        return path.rstrip("/") or "/"
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept)


def _told_path(given: bytes, walked: bytes, form: int) -> tuple[str, bool]:
    """(path, whether it is not whole)."""
    name = given.split(b"\0", 1)[0].decode("utf-8", "replace")
    if form & _CUT:
        names = walked.split(b"\0")[:-1]
        directory = "/".join(part.decode("utf-8", "replace") for part in reversed(names))
        return (f"{directory}/{name}" if directory and name else directory or name), True
    if not form & _WALKED:
        return name, not form & _GIVEN
    above = [part.decode("utf-8", "replace") for part in reversed(walked.split(b"\0")[:-1])]
    if not form & _GIVEN:
        return "/" + "/".join(above), False
    if not name:
        return "", False
    return normalized("/" + "/".join((*above, name))), False


def touched(frame: bytes, ktime_ns: int) -> FileTouched:
    """FILE_TOUCHED."""
    (
        start_ns,
        result,
        flags,
        device,
        inode,
        pid,
        tid,
        given,
        walked,
        new_given,
        new_walked,
        operation,
        form,
        new_form,
    ) = TOUCHED.unpack_from(frame, HEADER_BYTES)
    at = HEADER_BYTES + TOUCHED.size
    middle, end = at + given, at + given + walked
    path, cut = _told_path(frame[at:middle], frame[middle:end], form)
    new_path = None
    if new_form:
        middle = end + new_given
        new_path, new_cut = _told_path(
            frame[end:middle], frame[middle : middle + new_walked], new_form
        )
        cut |= new_cut
    return FileTouched(
        ktime_ns,
        pid,
        start_ns,
        tid,
        _OPERATIONS[operation],
        result,
        flags,
        path,
        new_path,
        device,
        inode,
        cut,
    )


def connected(frame: bytes, ktime_ns: int) -> Connected:
    """CONNECTED."""
    start_ns, inode, result, pid, tid, fd, kind, protocol, size, raw = CONNECTED.unpack_from(
        frame, HEADER_BYTES
    )
    family = int.from_bytes(raw[:2], "little")
    port = 0
    if family == _AF_UNIX:
        transport, address = "unix", _unix_address(raw[_ADDRESS_AT : min(size, len(raw))])
    else:
        transport = "raw" if kind == _RAW else _TRANSPORTS.get(protocol, str(protocol))
        port = int.from_bytes(raw[2:4], "big")
        if family == _AF_INET:
            address = socket.inet_ntop(socket.AF_INET, raw[4:8])
        elif family == _AF_INET6:
            address = socket.inet_ntop(socket.AF_INET6, raw[8:24])
        else:  # it could not be read again
            address = ""
    return Connected(ktime_ns, pid, start_ns, tid, fd, inode, result, transport, address, port)


def _unix_address(name: bytes) -> str:
    if name.startswith(b"\0"):  # abstract: all of its bytes count
        return "@" + name[1:].decode("utf-8", "replace").replace("\0", "@")
    return name.split(b"\0", 1)[0].decode("utf-8", "replace")


def dns_answered(frame: bytes, ktime_ns: int) -> DnsAnswered:
    """DNS_ANSWERED."""
    start_ns, pid, _ = DNS_ANSWERED.unpack_from(frame, HEADER_BYTES)
    return DnsAnswered(ktime_ns, pid, start_ns, frame[HEADER_BYTES + DNS_ANSWERED.size :])


def credentials_changed(frame: bytes, ktime_ns: int) -> CredentialsChanged:
    """CREDENTIALS_CHANGED."""
    start_ns, result, capabilities, argument, pid, tid, uid, euid, target_pid, change = (
        CREDENTIALS_CHANGED.unpack_from(frame, HEADER_BYTES)
    )
    return CredentialsChanged(
        ktime_ns,
        pid,
        start_ns,
        tid,
        _CHANGES[change],
        result,
        uid,
        euid,
        capabilities,
        argument,
        target_pid,
    )


def file_content(frame: bytes, ktime_ns: int) -> FileContent:
    """FILE_CONTENT."""
    start_ns, device, inode, position, pid = FILE_CONTENT.unpack_from(frame, HEADER_BYTES)
    data = frame[HEADER_BYTES + FILE_CONTENT.size :]
    return FileContent(ktime_ns, pid, start_ns, device, inode, position, data)
