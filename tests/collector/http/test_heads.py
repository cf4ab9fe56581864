from __future__ import annotations

import pytest

from collector.http.heads import (
    REQUEST_LINE,
    STATUS_LINE,
    Framing,
    body_framing,
    header_fields,
    may_begin_request,
    may_begin_status,
)


def test_fields_keep_order_and_repetition() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-B:  two words \r\nx-b:\r\n\r\n"
    assert header_fields(head) == (("host", "a"), ("x-b", "two words"), ("x-b", ""))


def test_fields_survive_what_peers_accept() -> None:
    head = (
        b"GET / HTTP/1.1\n folded into nothing\nA : 1\nno colon here\n: no name\n"
        b"B: one\r\n\ttwo\r\n   three \r\nC: caf\xe9\x85\n\n"
    )
    assert header_fields(head) == (("a", "1"), ("b", "one two three"), ("c", "caf\xe9\x85"))


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ([], Framing.ABSENT),
        ([("content-length", "0")], 0),
        ([("content-length", "12"), ("content-length", "12, 012")], 12),
        ([("content-length", "12"), ("content-length", "13")], Framing.INVALID),
        ([("content-length", "-1")], Framing.INVALID),
        ([("content-length", "1_0")], Framing.INVALID),
        ([("content-length", "\u00b2")], Framing.INVALID),
        ([("content-length", "9" * 5000)], Framing.INVALID),
        ([("content-length", "")], Framing.INVALID),
        ([("transfer-encoding", "Chunked")], Framing.CHUNKED),
        ([("transfer-encoding", "gzip, chunked"), ("content-length", "3")], Framing.CHUNKED),
        ([("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], Framing.CHUNKED),
        ([("transfer-encoding", "gzip")], Framing.UNTIL_CLOSE),
        ([("transfer-encoding", "identity"), ("content-length", "3")], 3),
    ],
)
def test_framing(fields: list[tuple[str, str]], framing: int | Framing) -> None:
    assert body_framing(tuple(fields)) == framing


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"M-SEARCH * HTTP/1.0\n",
        b"OPTIONS http://[::1]:80/a?b#c HTTP/1.1 \r\n",
        b"POST /caf\xc3\xa9 HTTP/1.1\r\n",
        b"CONNECT api.example:443 HTTP/1.1\r\n",
    ],
)
def test_every_prefix_of_a_request_line_may_begin_one(line: bytes) -> None:
    assert REQUEST_LINE.match(line)
    assert all(may_begin_request(line[:at]) for at in range(len(line)))


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1  404 \n",
        b"HTTP/1.1 299 caf\xe9 \t reason\r\n",
    ],
)
def test_every_prefix_of_a_status_line_may_begin_one(line: bytes) -> None:
    assert STATUS_LINE.match(line)
    assert all(may_begin_status(line[:at]) for at in range(len(line)))


@pytest.mark.parametrize(
    "prefix",
    [
        b"PRI * HTTP/2.0\r",
        b"\x16\x03\x01",
        b'{"a"',
        b" GET",
        b"GET  /",
        b"GET / a",
        b"A" * 33,
        b"GET /\x01",
        b"GET / HTTP/1.1 x",
        b"HTTP/1.1 200 OK",
    ],
)
def test_other_bytes_begin_no_request(prefix: bytes) -> None:
    assert not may_begin_request(prefix)


@pytest.mark.parametrize("prefix", [b"HTTP/2", b"HTTP/1.1 0", b"HTTP/1.1 2000", b"GET", b"\0"])
def test_other_bytes_begin_no_response(prefix: bytes) -> None:
    assert not may_begin_status(prefix)
