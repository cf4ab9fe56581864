"""HPACK, compared with the `hpack` library."""

from __future__ import annotations

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http import huffman
from collector.http.hpack_fields import (
    MAX_TABLE_BYTES,
    BlockItem,
    CutField,
    Field,
    HpackDecoder,
    MalformedField,
    Representation,
    TableSize,
)
from collector.http.hpack_table import STATIC_TABLE

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
Header = tuple[bytes, bytes]

names = st.sampled_from(
    (b":path", b"authorization", b"cookie", b"x-api-key", b"content-type", b"x-a", b"x-b")
)
values = st.one_of(
    st.sampled_from((b"", b"/", b"application/json", b"Bearer abcdefgh", b"a" * 300)),
    st.binary(max_size=40),
)
headers = st.lists(st.tuples(names, values, st.booleans()), max_size=8)
blocks = st.lists(
    st.tuples(headers, st.booleans(), st.none() | st.sampled_from((0, 60, 200, 4096, 65536))),
    max_size=6,
)
Blocks = list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]]


def encoded(plan: Blocks) -> list[tuple[bytes, list[Header]]]:
    """Header blocks of one direction, with what stands in each."""
    encoder = hpack.Encoder()
    result = []
    for fields, coded, size in plan:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(
            [hpack.NeverIndexedHeaderTuple(n, v) if never else (n, v) for n, v, never in fields],
            huffman=coded,
        )
        result.append((block, [(name, value) for name, value, _ in fields]))
    return result


def fields_of(items: list[BlockItem]) -> list[tuple[bytes | None, bytes | None]]:
    return [(item.name, item.value) for item in items if isinstance(item, Field)]


def test_the_static_table_and_the_code_are_those_of_the_rfc() -> None:
    assert STATIC_TABLE == HeaderTable.STATIC_TABLE
    assert list(huffman.LENGTHS) == list(REQUEST_CODES_LENGTH)
    assert list(huffman.symbol_codes()) == list(REQUEST_CODES)


def test_the_example_of_rfc_7541_c_4_3() -> None:
    decoder = HpackDecoder()
    decoder.read(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    decoder.read(bytes.fromhex("828684be5886a8eb10649cbf"))
    items = decoder.read(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    assert fields_of(items) == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ]
    last = items[-1]
    assert isinstance(last, Field)
    assert last.representation is Representation.INCREMENTAL
    assert last.name_literal is not None
    assert last.value_literal is not None
    assert (last.name_literal.start, last.name_literal.end) == (6, 14)
    assert (last.value_literal.start, last.value_literal.end) == (15, 24)
    assert last.value_literal.bits == (120, 120 + huffman.coded_bits(b"custom-value"))
    assert decoder.table_bytes == 164


@given(blocks)
@settings(max_examples=60)
def test_blocks_read_as_hpack_reads_them(plan: Blocks) -> None:
    decoder, oracle = HpackDecoder(), hpack.Decoder()
    oracle.max_allowed_table_size = 65536
    for block, sent in encoded(plan):
        items = decoder.read(block)
        assert fields_of(items) == sent == list(oracle.decode(block, raw=True))
        assert decoder.table_bytes == oracle.header_table._current_size
        at = 0
        for item in items:
            assert isinstance(item, Field | TableSize)
            assert item.start == at
            at = item.end
            if isinstance(item, Field) and item.value_literal is not None:
                literal = item.value_literal
                raw = block[literal.start : literal.end]
                assert (decode_huffman(raw) if literal.huffman else raw) == item.value
        assert at == len(block)


@given(blocks, st.data())
@settings(max_examples=80)
def test_blocks_cut_anywhere_give_the_same_fields(plan: Blocks, data: st.DataObject) -> None:
    decoder = HpackDecoder()
    for block, sent in encoded(plan):
        cuts = data.draw(st.sets(st.integers(1, len(block)), max_size=6)) if block else set()
        found: list[tuple[bytes | None, bytes | None]] = []
        rest, at = b"", 0
        for cut in sorted({*cuts, len(block)}):
            rest += block[at:cut]
            at = cut
            items = decoder.read(rest, cut=cut < len(block))
            found += fields_of(items)
            last = items[-1] if items else None
            rest = rest[last.start :] if isinstance(last, CutField) else b""
        assert found == sent


@given(blocks, st.integers(0, 5))
@settings(max_examples=80)
def test_what_a_latecomer_knows_is_right(plan: Blocks, missed: int) -> None:
    decoder = HpackDecoder(complete=False)
    for block, sent in encoded(plan)[missed:]:
        found = fields_of(decoder.read(block))
        assert len(found) == len(sent)
        for (name, value), expected in zip(found, sent, strict=True):
            assert name in (None, expected[0])
            assert value in (None, expected[1])


@given(blocks, st.integers(0, 5))
def test_what_is_known_after_a_hole_is_right(plan: Blocks, hole: int) -> None:
    decoder = HpackDecoder()
    for number, (block, sent) in enumerate(encoded(plan)):
        if number == hole:
            decoder.forget()
            continue
        for (name, value), expected in zip(fields_of(decoder.read(block)), sent, strict=True):
            assert name in (None, expected[0])
            assert value in (None, expected[1])


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x80", "index 0"),
        (b"\xbe", "an index behind the table's end"),
        (b"\xff\xff\xff\xff\xff\xff\x01", "an integer of too many bytes"),
        (b"\x40\x01a", "the block ends inside a field"),
        (b"\x40\x01a\x05abc", "the block ends inside a field"),
        (b"\x40\x01a\x84\xff\xff\xff\xff", "end of string inside a string"),
        (b"\x40\x01a\x81\x00", "padding that is not the beginning of EOS"),
        (b"\x40\x01a\x82\x07\xff", "padding that is not the beginning of EOS"),
    ],
)
def test_what_is_no_field(block: bytes, reason: str) -> None:
    items = HpackDecoder().read(b"\x82" + block)
    assert fields_of(items) == [(b":method", b"GET")]
    assert items[-1] == MalformedField(1, reason)


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
@settings(max_examples=60)
def test_any_bytes_never_raise(reads: list[bytes], cut: bool) -> None:
    decoder = HpackDecoder()
    for data in reads:
        items = decoder.read(data, cut=cut)
        assert all(not isinstance(item, MalformedField) for item in items[:-1])
        assert decoder.table_bytes <= MAX_TABLE_BYTES


def test_a_table_larger_than_can_be_kept_leaves_old_entries_unknown() -> None:
    decoder = HpackDecoder()
    huge = b"\x3f" + b"\xe1\xff\xff\x7f"
    assert isinstance(decoder.read(huge)[0], TableSize)
    for _ in range(3):
        size = 600_000
        length = b"\x7f" + bytes(
            [(size - 127 & 0x7F) | 0x80, (size - 127 >> 7 & 0x7F) | 0x80, size - 127 >> 14]
        )
        decoder.read(b"\x40\x01a" + length + b"v" * size)
    assert decoder.table_bytes <= MAX_TABLE_BYTES
    newest, older = fields_of(decoder.read(b"\xbe\xbf"))
    assert newest[0] == b"a"
    assert older == (None, None)


@given(st.binary(max_size=100))
def test_the_code_goes_both_ways(text: bytes) -> None:
    coded = ENCODER.encode(text)
    assert huffman.decode(coded) == text
    bits = huffman.coded_bits(text)
    assert huffman.encode(text) == int.from_bytes(coded, "big") >> 8 * len(coded) - bits


@given(st.binary(max_size=100))
def test_coded_bytes_read_as_hpack_reads_them_or_not_at_all(coded: bytes) -> None:
    try:
        expected: bytes | None = decode_huffman(coded)
    except hpack.HPACKError:
        expected = None
    try:
        found: bytes | None = huffman.decode(coded)
    except huffman.HuffmanError:
        found = None
    assert found == expected
