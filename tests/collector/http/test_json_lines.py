from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.json_lines import JsonLinesDecoder

from .transcripts import pieces


def decode(*feeds: bytes, limit: int = 1000) -> list[bytes]:
    decoder = JsonLinesDecoder(limit)
    events = [event for data in feeds for event in decoder.feed(data)] + decoder.finish()
    assert {(event.event, event.id) for event in events} <= {("message", None)}
    assert decoder.pending_bytes == 0
    return [event.data for event in events]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'\n\r\n \n{"a":1}\n\n\n', [b'{"a":1}']),
        (b'{"a":"\\n"}\n', [b'{"a":"\\n"}']),
        ('{"a":"\u2028\x85"}\n'.encode(), ['{"a":"\u2028\x85"}'.encode()]),
        (b' {"a":\t1} \n1\n"x"\n', [b' {"a":\t1} ', b"1", b'"x"']),
        (b"", []),
        (b"\n", []),
    ],
)
def test_lines(body: bytes, lines: list[bytes]) -> None:
    assert decode(body) == lines
    assert decode(*(body[at : at + 1] for at in range(len(body)))) == lines


def test_a_line_comes_out_with_the_byte_that_ends_it() -> None:
    decoder = JsonLinesDecoder(1000)
    assert decoder.feed(b'{"a":') == []
    assert decoder.pending_bytes == 5
    assert [event.data for event in decoder.feed(b"1}\n{")] == [b'{"a":1}']
    assert decoder.pending_bytes == 1


@pytest.mark.parametrize("step", [1, 3, 10, 1000])
def test_a_line_over_the_limit_is_skipped_and_counted(step: int) -> None:
    body = b"1234567890\n12345678901\n123\n123456789012345"
    decoder = JsonLinesDecoder(10)
    feeds = [body[at : at + step] for at in range(0, len(body), step)]
    events = [event for data in feeds for event in decoder.feed(data)] + decoder.finish()
    assert [event.data for event in events] == [b"1234567890", b"123"]
    assert decoder.skipped_bytes == 11 + 15
    assert decoder.pending_bytes == 0


def test_memory_is_bounded() -> None:
    decoder = JsonLinesDecoder(1000)
    for _ in range(100):
        decoder.feed(b"x" * 300)
        assert decoder.pending_bytes <= 1000
    assert decoder.skipped_bytes == 30_000
    assert [event.data for event in decoder.feed(b"\n1\n")] == [b"1"]


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    documents=st.lists(values, max_size=6),
    ends=st.lists(st.sampled_from(("\n", "\r\n", "\n\n", "\n \r\n")), min_size=6, max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=20),
)
def test_what_was_written_is_read(
    documents: list[object], ends: list[str], cuts: list[int]
) -> None:
    lines = zip(documents, ends, strict=False)
    body = "".join(json.dumps(document) + end for document, end in lines).encode()
    assert [json.loads(line) for line in decode(*pieces(body, cuts))] == documents
    assert [json.loads(line) for line in decode(body.rstrip())] == documents


@given(
    body=st.lists(st.sampled_from((b"\n", b"\r", b" ", b"x", b"{}", b"\xff", b"long one"))),
    cuts=st.lists(st.integers(0, 100)),
    limit=st.integers(0, 12),
)
def test_any_split_of_anything_gives_the_same(
    body: list[bytes], cuts: list[int], limit: int
) -> None:
    data = b"".join(body)
    whole, split = JsonLinesDecoder(limit), JsonLinesDecoder(limit)
    expected = whole.feed(data)
    assert [event for piece in pieces(data, cuts) for event in split.feed(piece)] == expected
    assert (split.pending_bytes, split.skipped_bytes) == (whole.pending_bytes, whole.skipped_bytes)
    assert split.finish() == whole.finish()
    kept = [line for line in data.split(b"\n") if len(line) <= limit and line.strip(b"\r \n")]
    assert [line.removesuffix(b"\r") for line in kept] == decode(data, limit=limit)
    assert whole.skipped_bytes == sum(len(x) for x in data.split(b"\n") if len(x) > limit)
