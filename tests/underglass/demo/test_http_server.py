from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from underglass.demo.http_server import BadRequest, ContinueExpected, Request, RequestReader

GET = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    b"3;ext=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx-trailer: 1\r\n\r\n"
)


def test_pipelined_requests_come_out_one_by_one() -> None:
    get, post, chunked = list(RequestReader().feed(GET + POST + CHUNKED))
    assert get == Request("GET", "/v1/models", {"host": "x"}, b"", len(GET), True)
    assert isinstance(post, Request)
    assert (post.body, post.wire_bytes) == (b"hello", len(POST))
    assert isinstance(chunked, Request)
    assert chunked.body == b"abc0123456789abcdef"
    assert chunked.wire_bytes == len(CHUNKED)
    assert not chunked.keep_alive


@given(st.lists(st.integers(0, len(GET + POST + CHUNKED)), max_size=12))
def test_splitting_the_bytes_anywhere_changes_nothing(cuts: list[int]) -> None:
    data = GET + CHUNKED + POST
    bounds = [0, *sorted(cuts), len(data)]
    reader = RequestReader()
    parts = [data[a:b] for a, b in pairwise(bounds)]
    split = [request for part in parts for request in reader.feed(part)]
    assert split == list(RequestReader().feed(data))
    assert len(split) == 3


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_hostile_bytes_never_raise(parts: list[bytes]) -> None:
    reader = RequestReader()
    for part in parts:
        for incoming in reader.feed(part):
            assert isinstance(incoming, Request | BadRequest)


def test_what_is_no_request_is_refused() -> None:
    cases = {
        b"NONSENSE\r\n\r\n": 400,
        b"GET / HTTP/2\r\n\r\n": 505,
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n": 413,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n": 400,
        b"x" * 300_000: 431,
    }
    for data, status in cases.items():
        (bad,) = RequestReader().feed(data)
        assert isinstance(bad, BadRequest)
        assert bad.status == status


def test_a_client_that_waits_for_100_continue_is_told() -> None:
    reader = RequestReader()
    head = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    assert list(reader.feed(head)) == [ContinueExpected()]
    (request,) = reader.feed(b"ok")
    assert isinstance(request, Request)
    assert request.wire_bytes == len(head) + 2
