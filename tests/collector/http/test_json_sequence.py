from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.http.json_sequence import JsonSequenceDecoder
from tests.collector.http.transcripts import pieces


def texts(data: bytes, cuts: tuple[int, ...] = (), limit: int = 100) -> tuple[list[bytes], int]:
    decoder = JsonSequenceDecoder(limit)
    events = [event for piece in pieces(data, cuts) for event in decoder.feed(piece)]
    events += decoder.finish()
    assert decoder.pending_bytes == 0
    return [event.data for event in events], decoder.skipped_bytes


def test_texts_between_separators() -> None:
    assert texts(b'\x1e{"a":1}\n\x1e[2]\n\x1e{\n "b": 3\n}\n') == (
        [b'{"a":1}\n', b"[2]\n", b'{\n "b": 3\n}\n'],
        0,
    )


def test_a_text_between_two_separators_is_told_at_once() -> None:
    decoder = JsonSequenceDecoder(100)
    assert [event.data for event in decoder.feed(b'\x1e{"a":1}\n\x1e')] == [b'{"a":1}\n']
    assert [event.data for event in decoder.feed(b'\x1e{"a":2}\n\x1e')] == [b'{"a":2}\n']
    assert decoder.finish() == []


def test_what_is_before_the_first_separator_is_no_text() -> None:
    assert texts(b'{"cut": 1}\n\x1e{}\n') == ([b"{}\n"], 11)


def test_a_text_over_the_limit_is_skipped() -> None:
    data = b"\x1e" + b"x" * 200 + b"\x1e{}\x1e" + b"y" * 101 + b"\x1e[]"
    for cuts in ((), (50, 150), tuple(range(len(data)))):
        assert texts(data, cuts) == ([b"{}", b"[]"], 301)


@given(st.lists(st.binary(max_size=8), max_size=12), st.lists(st.integers(0, 100)))
def test_any_split_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"\x1e".join(parts)
    assert texts(data, tuple(cuts), 6) == texts(data, (), 6)
