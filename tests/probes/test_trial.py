from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.events import ConnectionKey
from probes.hooks import FileKey
from probes.trial import LOOK_BYTES, MOST_FAILURES, Trials, Verdict, looks_right

FILE, OTHER = FileKey(1, 2), FileKey(1, 3)
GOOD, BAD = b"POST /v1/messages HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
BEGUN_NS = 1000


def connection(number: int, *, pid: int = 9, epoch: int = BEGUN_NS) -> ConnectionKey:
    return ConnectionKey(pid, 1, number, epoch)


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        b"GET /" + b"x" * 300,  # cut before its version
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404 Not Found\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\4\0\0\0\0\0",
        b"PRI * HT",  # cut
        b"P",
        b"\0\0\x12\4\0\0\0\0\0",  # SETTINGS
        b"\0\x40\0\0\0\0\0\0\1" + b"x" * 55,  # DATA
    ],
)
def test_what_http_begins_with(data: bytes) -> None:
    assert looks_right(data[:LOOK_BYTES])


@pytest.mark.parametrize(
    "data",
    [
        BAD,
        b"\x17\x03\x03\x00\x40" + bytes(60),
        b"\x7fELF\2\1\1\0\0\0\0\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"get / HTTP/1.1\r\n",
        b"GET / SIP/2.0\r\n",
        b"\0\0\0\0",  # too short for a frame
        b"\0\0\x12\x0a\0\0\0\0\0",  # no such type
        b"\xff\xff\xff\0\0\0\0\0\1",  # too long
        b"\0\0\1\0\0\xff\xff\xff\xff",  # no such stream
    ],
)
def test_what_it_does_not_begin_with(data: bytes) -> None:
    assert not looks_right(data[:LOOK_BYTES])


@given(st.binary(max_size=LOOK_BYTES))
def test_any_bytes_can_be_judged(data: bytes) -> None:
    assert looks_right(data) in (True, False)


@given(st.binary(min_size=16, max_size=LOOK_BYTES).filter(lambda data: data[0] > 0x7F))
def test_random_bytes_are_no_http(data: bytes) -> None:
    assert not looks_right(data)


def trials(*stacks: tuple[FileKey, str]) -> Trials:
    begun = Trials()
    for file, stack in stacks or ((FILE, "openssl"),):
        begun.begin(file, stack, BEGUN_NS)
    return begun


def tell(subject: Trials, number: int, data: bytes, stack: str = "openssl") -> Verdict | None:
    subject.opened(connection(number), FILE, stack)
    return subject.first_bytes(connection(number), data)


def test_one_good_connection_is_enough() -> None:
    subject = trials()
    assert subject
    assert tell(subject, 1, GOOD) == Verdict(FILE, "openssl", believed=True)
    assert not subject
    assert tell(subject, 2, BAD) is None


def test_several_bad_ones_end_it() -> None:
    subject = trials()
    for number in range(1, MOST_FAILURES):
        assert tell(subject, number, BAD) is None
    assert tell(subject, MOST_FAILURES, BAD) == Verdict(FILE, "openssl", believed=False)
    assert not subject


def test_a_good_one_after_bad_ones_saves_it() -> None:
    subject = trials()
    tell(subject, 1, BAD)
    tell(subject, 2, BAD)
    assert tell(subject, 3, GOOD) == Verdict(FILE, "openssl", believed=True)


def test_only_the_first_bytes_of_a_connection_count() -> None:
    subject = trials()
    subject.opened(connection(1), FILE, "openssl")
    for _ in range(MOST_FAILURES):
        assert subject.first_bytes(connection(1), BAD) is None
    assert subject
    assert subject.first_bytes(connection(99), GOOD) is None  # nobody knows whose it is


def test_connections_that_are_older_than_the_hooks_say_nothing() -> None:
    subject = trials()
    old = connection(1, epoch=BEGUN_NS - 1)
    subject.opened(old, FILE, "openssl")
    assert subject.first_bytes(old, GOOD) is None
    assert subject


def test_stacks_and_files_are_judged_apart() -> None:
    subject = trials((FILE, "openssl"), (FILE, "rustls"), (OTHER, "openssl"))
    assert tell(subject, 1, GOOD) == Verdict(FILE, "openssl", believed=True)
    assert tell(subject, 2, GOOD, "rustls") == Verdict(FILE, "rustls", believed=True)
    assert subject
    subject.opened(connection(3), OTHER, "openssl")
    assert subject.first_bytes(connection(3), GOOD) == Verdict(OTHER, "openssl", believed=True)


def test_connections_that_wait_when_the_verdict_falls_change_nothing() -> None:
    subject = trials()
    subject.opened(connection(1), FILE, "openssl")
    subject.opened(connection(2), FILE, "openssl")
    assert subject.first_bytes(connection(1), GOOD) is not None
    assert subject.first_bytes(connection(2), BAD) is None


def test_a_process_that_ends_takes_its_connections_along() -> None:
    subject = trials()
    subject.opened(connection(1, pid=5), FILE, "openssl")
    subject.forget(5)
    assert subject.first_bytes(connection(1, pid=5), GOOD) is None
    assert subject


def test_a_file_that_is_given_up_is_judged_no_more() -> None:
    subject = trials((FILE, "openssl"), (OTHER, "openssl"))
    subject.opened(connection(1), FILE, "openssl")
    subject.abandon(FILE)
    assert subject.first_bytes(connection(1), BAD) is None
    assert subject  # the other file's trial goes on
    subject.abandon(OTHER)
    assert not subject
