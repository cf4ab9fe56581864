from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from collector.fingerprints import (
    BLOCK_BYTES,
    FINGERPRINTS_LIMIT,
    OPEN_READS,
    READ_LIMIT_BYTES,
    ContentReads,
    Fingerprinter,
)
from collector.redaction import Redactor
from probes import frames
from probes.events import ContentFingerprints, FileContent
from tests.frames import SALT, STARTED_NS, exited

KEY = b"""-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz
c2gtZWQyNTUxOQAAACD6mq4C1Kx9JwQzv0n5r1oS8c9PvBk3uYc2Zt7WfGm1bQAA
-----END OPENSSH PRIVATE KEY-----
"""
ENVIRONMENT = b"""NODE_ENV=production
TOKEN=kX93mPq27LwZt81vB
OPENAI_API_KEY=sk-proj-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0
DATABASE_URL=postgres://shop:Xk4mQ9zP@db:5432/shop"""


def content(data: bytes, position: int = 0, *, pid: int = 77, inode: int = 5) -> FileContent:
    return FileContent(1, pid, STARTED_NS, 3, inode, position, data)


def read(pieces: Iterable[bytes], salt: bytes = SALT) -> list[ContentFingerprints]:
    """What is told of a file that is read piece by piece."""
    reads = ContentReads(Fingerprinter(salt))
    told, position = [], 0
    for piece in pieces:
        told.append(reads.fingerprints(content(piece, position)))
        position += len(piece)
    return told


def known(told: Iterable[ContentFingerprints]) -> set[int]:
    """All that is known in the end."""
    found: set[int] = set()
    last: tuple[int, ...] = ()
    for event in told:
        found.update(event.fingerprints)
        last = event.open + event.joined
    return found | set(last)


lines = st.lists(
    st.one_of(
        st.sampled_from(
            [*ENVIRONMENT.split(b"\n"), KEY, b"", b"\r", b"root:x:0:0:root:/root:/bin/sh"]
        ),
        st.binary(max_size=80),
    ),
    max_size=12,
)


@given(lines, st.lists(st.integers(0, 1500), max_size=12))
@example([ENVIRONMENT, KEY], list(range(0, 700, 7)))
@example([b"x" * (BLOCK_BYTES + 10), b"TOKEN=kX93mPq27LwZt81vB"], [5, BLOCK_BYTES - 1])
def test_however_a_file_is_read_the_fingerprints_are_the_same(
    parts: list[bytes], cuts: list[int]
) -> None:
    text = b"\n".join(parts)
    ends = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)] or [text]
    assert known(read(pieces)) == known(read([text]))


def test_each_is_told_once() -> None:
    told = read([ENVIRONMENT[:50], ENVIRONMENT[50:] + b"\n", ENVIRONMENT])
    everything = [one for event in told for one in event.fingerprints]
    assert len(everything) == len(set(everything))
    assert [event.begins for event in told] == [True, False, False]


def test_the_salt_decides() -> None:
    assert not known(read([ENVIRONMENT])) & known(read([ENVIRONMENT], b"another salt"))


def test_the_upper_half_is_the_fingerprint_in_masks() -> None:
    secret = b"sk-proj-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0"
    mark = int(Redactor(SALT).fingerprint(secret), 16)
    assert mark in {one >> 32 for one in known(read([ENVIRONMENT]))}


def test_a_masked_line_has_the_fingerprint_of_the_line() -> None:
    redactor = Redactor(SALT)
    line = "export OPENAI_API_KEY=sk-proj-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0"
    masked = redactor.redact_text(line)
    assert masked != line
    of_unit = redactor.fingerprinter.of_unit
    assert of_unit(line.encode()) == of_unit(masked.encode())


def test_reading_again_begins_anew() -> None:
    reads = ContentReads(Fingerprinter(SALT))
    first = reads.fingerprints(content(ENVIRONMENT))
    again = reads.fingerprints(content(ENVIRONMENT))
    assert again.begins
    assert again.fingerprints == first.fingerprints


def test_a_line_is_not_joined_across_what_was_not_read() -> None:
    reads = ContentReads(Fingerprinter(SALT))
    reads.fingerprints(content(b"TOKEN=kX93mPq2"))
    after = reads.fingerprints(content(b"7LwZt81vB\n", 1000))
    assert not known([after]) & known(read([b"TOKEN=kX93mPq27LwZt81vB\n"]))


def test_what_is_kept_of_a_file_is_bounded() -> None:
    many = b"".join(
        b"SETTING_%d=%032x\n" % (n, n * 0x9E3779B97F4A7C15F39CC0605) for n in range(50_000)
    )
    pieces = [many[at : at + 65536] for at in range(0, len(many), 65536)]
    told = read(pieces)
    assert len(known(told)) <= FINGERPRINTS_LIMIT
    assert told[-1].skipped > 10_000
    assert told[-1].skipped_bytes == len(many) - READ_LIMIT_BYTES
    for event in told:
        assert len(frames.encode_fingerprints(event)) < frames.MAX_FRAME_BYTES


def test_how_many_files_are_remembered_is_bounded() -> None:
    reads = ContentReads(Fingerprinter(SALT))
    for inode in range(1000):
        reads.fingerprints(content(b"x" * 1000, inode=inode))
    assert reads.held_bytes == OPEN_READS * 2 * 1000  # the open line, and the text without breaks
    for pid in (77, 78):
        reads.ended(pid)
    assert reads.held_bytes == 0


def test_frames_of_fingerprints_are_read_back() -> None:
    for event in read([ENVIRONMENT[:50], ENVIRONMENT[50:]]):
        assert frames.decode(frames.encode_fingerprints(event)) == event


def content_frame(data: bytes, position: int = 0, pid: int = 77) -> bytes:
    from probes.action_frames import FILE_CONTENT

    payload = FILE_CONTENT.pack(STARTED_NS, 3, 5, position, pid) + data
    head = frames.HEADER.pack(
        frames.HEADER.size + len(payload), frames.FILE_CONTENT, frames.VERSION, 0, 9
    )
    return head + payload


def test_redaction_lets_no_content_through() -> None:
    redactor = Redactor(SALT)
    frame = content_frame(ENVIRONMENT)
    assert isinstance(frames.decode(frame), FileContent)
    redacted = redactor.frame(frame)
    event = frames.decode(redacted)
    assert isinstance(event, ContentFingerprints)
    assert (event.pid, event.start_ns, event.inode, event.ktime_ns) == (77, STARTED_NS, 5, 9)
    assert known([event]) == known(read([ENVIRONMENT]))
    for line in ENVIRONMENT.split(b"\n"):
        assert line not in redacted
    redactor.frame(exited(77, 0))
    assert redactor._reads.held_bytes == 0


@given(st.binary(max_size=300), st.integers(0, 3))
def test_redaction_of_damaged_content_lets_none_through(data: bytes, version: int) -> None:
    secret = b"TOKEN=kX93mPq27LwZt81vB"
    payload = data + secret
    for cut in (payload, data[:10]):
        head = frames.HEADER.pack(frames.HEADER.size + len(cut), frames.FILE_CONTENT, version, 0, 9)
        assert secret not in Redactor(SALT).frame(head + cut)
