from __future__ import annotations

import itertools

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http import huffman
from collector.huffman_mask import HuffmanValue, filler, mask_text

MARK = b"[redacted:1a2b3c4d]"
ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
texts = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1).map(
        str.encode
    ),
)


def test_there_is_a_mask_for_every_length_that_a_text_can_have() -> None:
    lengths = sorted(set(huffman.LENGTHS[:256]))
    for count in range(1, 5):
        sums = {sum(chosen) for chosen in itertools.combinations_with_replacement(lengths, count)}
        for bits in sums:
            mask = filler(count, bits)
            assert (len(mask), huffman.coded_bits(mask)) == (count, bits)


@given(texts, st.sampled_from((b"", MARK)))
def test_a_mask_has_the_lengths_of_the_secret_and_is_masked(secret: bytes, mark: bytes) -> None:
    mask = mask_text(secret, mark)
    assert len(mask) == len(secret)
    assert huffman.coded_bits(mask) == huffman.coded_bits(secret)
    assert mask_text(mask, mark) == mask


@given(texts.flatmap(lambda text: st.tuples(st.just(text), st.permutations(text))))
def test_a_mask_does_not_tell_the_order(pair: tuple[bytes, list[int]]) -> None:
    text, shuffled = pair
    assert mask_text(text) == mask_text(bytes(shuffled))


def test_a_mask_is_not_masked_again() -> None:
    mask = mask_text(b"sk-ant-api03-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0", MARK)
    assert mask_text(mask, b"[redacted:99999999]") == mask


def test_a_token_of_common_length_carries_its_fingerprint() -> None:
    assert mask_text(b"sk-ant-api03-Zk9xQ2vLr8TnW4yB7mJ1cF6hD3sA5gE0", MARK).startswith(MARK)


def rewritten(coded: bytes, cuts: list[int], hidden_from: int) -> bytes:
    value, result, passed = HuffmanValue(), b"", 0
    for end in cuts:
        cut = end < len(coded)
        text = huffman.decode(coded[:end], cut=cut)
        hidden = len(text) > hidden_from or (cut and len(text) >= hidden_from)
        edits = [(hidden_from, len(text), b"")] if hidden else []
        result += value.overwrite(coded[:end], text, passed, edits, cut=cut)
        passed = end
    return result


@given(texts, st.sets(st.integers(1, 60), max_size=6), st.integers(0, 60))
@settings(max_examples=60)
def test_a_value_in_any_parts_keeps_its_lengths(
    text: bytes, marks: set[int], hidden_from: int
) -> None:
    coded = ENCODER.encode(text)
    cuts = sorted({cut for cut in marks if cut < len(coded)} | {len(coded)})
    result = rewritten(coded, cuts, hidden_from)
    assert len(result) == len(coded)
    decoded = decode_huffman(result)
    assert len(decoded) == len(text)
    assert decoded[:hidden_from] == text[:hidden_from]
    assert rewritten(result, cuts, hidden_from) == result


def told(text: bytes, cuts: list[int]) -> bytes:
    """What is left of a secret value that is passed on in parts."""
    coded = ENCODER.encode(text)
    return rewritten(coded, [*cuts, len(coded)], 0)


def test_where_a_read_cuts_a_character_only_its_length_is_told() -> None:
    # All have five bits; the cut falls after three bits of the second one.
    secrets = [bytes([first, second, 97]) for first in b"012ac" for second in b"0aeo"]
    assert len({told(secret, [1]) for secret in secrets}) == 1
