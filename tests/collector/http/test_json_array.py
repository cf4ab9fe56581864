from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.json_array import JsonArrayDecoder

from .transcripts import pieces


def decode(*feeds: bytes, limit: int = 10_000) -> list[bytes]:
    decoder = JsonArrayDecoder(limit)
    events = [event for data in feeds for event in decoder.feed(data)] + decoder.finish()
    assert {(event.event, event.id) for event in events} <= {("message", None)}
    return [event.data for event in events]


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b'[{"a":1},{"b":2}]', [b'{"a":1}', b'{"b":2}']),
        (b'[{"a":1}\n,\r\n{"b":2}\n]\n', [b'{"a":1}', b'{"b":2}']),
        (b' \r\n[ {\n  "a": [ {} , {"b": []} ]\n} ]', [b'{\n  "a": [ {} , {"b": []} ]\n}']),
        (b'[{"a":"]}\\"}]"}]', [b'{"a":"]}\\"}]"}']),
        (b'[{"a":"\\\\"},{"b":"\\\\\\""}]', [b'{"a":"\\\\"}', b'{"b":"\\\\\\""}']),
        (b'[1, -2.5e3 ,true,null,"x,]\\"y",[3,[4]],""]',
         [b"1", b"-2.5e3", b"true", b"null", b'"x,]\\"y"', b"[3,[4]]", b'""']),
        ('["\u00e9\U0001f600"]'.encode(), ['"\u00e9\U0001f600"'.encode()]),
        (b"[]", []),
        (b"[", []),
        (b"", []),
        (b'[{"a":1},{"b":', [b'{"a":1}']),
        (b"[12", []),
        (b"[,,{},}1]", [b"{}", b"1"]),
        (b'{"a":[1]}', []),
        (b"[{]}]", [b"{]"]),
    ],
)  # fmt: skip
def test_elements(body: bytes, elements: list[bytes]) -> None:
    assert decode(body) == elements
    assert decode(*(body[at : at + 1] for at in range(len(body)))) == elements


def test_an_element_comes_out_with_the_byte_that_ends_it() -> None:
    decoder = JsonArrayDecoder(1000)
    assert decoder.feed(b'[{"a":"}') == []
    assert decoder.pending_bytes == 7
    assert [event.data for event in decoder.feed(b'"}')] == [b'{"a":"}"}']
    assert decoder.pending_bytes == 0
    assert decoder.feed(b",1") == []
    assert [event.data for event in decoder.feed(b"]")] == [b"1"]
    assert decoder.skipped_bytes == 0


@pytest.mark.parametrize(
    ("body", "skipped"),
    [(b"[1] [2]\n", 3), (b"data: x", 6), (b"[}1]", 1), (b"\xef\xbb\xbf[1]", 6)],
)
def test_what_is_no_part_of_the_array_is_counted(body: bytes, skipped: int) -> None:
    for step in (1, 100):
        decoder = JsonArrayDecoder(1000)
        for at in range(0, len(body), step):
            decoder.feed(body[at : at + step])
        assert decoder.skipped_bytes == skipped


@pytest.mark.parametrize("step", [1, 3, 10, 1000])
def test_an_element_over_the_limit_is_skipped_and_counted(step: int) -> None:
    body = b'["345678","3456789",{"a":[[1]]}, 1 ,12345678901,{"a":"' + b"]" * 30
    decoder = JsonArrayDecoder(8)
    feeds = [body[at : at + step] for at in range(0, len(body), step)]
    events = [event for data in feeds for event in decoder.feed(data)]
    assert [event.data for event in events] == [b'"345678"', b"1"]
    assert decoder.skipped_bytes == 9 + 11 + 11 + 36
    assert decoder.pending_bytes == 0
    assert [event.data for event in decoder.feed(b'"},2]')] == [b"2"]
    assert decoder.skipped_bytes == 9 + 11 + 11 + 38


def test_memory_is_bounded() -> None:
    decoder = JsonArrayDecoder(1000)
    decoder.feed(b"[")
    for filling in (b"[", b'{"a":', b'"' + b"x" * 300, b"\\", b" " * 300):
        for _ in range(100):
            decoder.feed(filling)
            assert decoder.pending_bytes <= 1000


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
        st.text(alphabet='"\\[]{},: \n', max_size=12),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(alphabet='ab"\\]}', max_size=4), inner, max_size=4),
    ),
    max_leaves=12,
)
cuts_of = st.lists(st.integers(0, 400), max_size=30)


@settings(max_examples=60)
@given(
    documents=st.lists(values, max_size=6),
    cuts=cuts_of,
    indent=st.sampled_from((None, 2)),
    escaped=st.booleans(),
)
def test_the_elements_are_those_that_json_reads(
    documents: list[object], cuts: list[int], indent: int | None, escaped: bool
) -> None:
    body = json.dumps(documents, indent=indent, ensure_ascii=escaped).encode()
    assert [json.loads(element) for element in decode(*pieces(body, cuts))] == json.loads(body)


grains = st.sampled_from(
    (b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b" ", b"\n", b"1", b'{"a":1}', b"\xff", b"\0")
)


@settings(max_examples=60)
@given(
    body=st.one_of(st.lists(grains, max_size=60).map(b"".join), st.binary(max_size=60)),
    array=st.booleans(),
    cuts=cuts_of,
    limit=st.integers(0, 20),
)
def test_any_split_of_anything_gives_the_same_and_loses_nothing(
    body: bytes, array: bool, cuts: list[int], limit: int
) -> None:
    body = b"[" + body if array else body
    whole, split = JsonArrayDecoder(limit), JsonArrayDecoder(limit)
    expected = whole.feed(body)
    assert [event for piece in pieces(body, cuts) for event in split.feed(piece)] == expected
    assert split.skipped_bytes == whole.skipped_bytes
    assert split.pending_bytes == whole.pending_bytes <= limit
    assert all(0 < len(event.data) <= limit for event in expected)
    known = sum(len(event.data) for event in expected) + whole.pending_bytes + whole.skipped_bytes
    between = len(body) - known  # the array's brackets, commas and blanks
    assert 0 <= between <= sum(body.count(byte) for byte in b"[], \t\r\n")
