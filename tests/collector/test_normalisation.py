from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.normalisation import (
    SAMPLE_CHARS,
    arguments_hash,
    canonical_arguments,
    normalise_result,
    result_hash,
)

SAME = [
    ("Ran 3 tests in 0.123s\n", "Ran 3 tests in 14.2s"),
    ("done in 12 ms", "done in 7 ms"),
    ("real\t0m0.123s", "real\t1m3.9s"),
    ("built 2026-01-02T03:04:05.678Z", "built 2026-11-30T23:59:59Z"),
    ("Mon Jan  2 15:04:05 2024", "Tue Mar 12 01:00:00 2025"),
    ("Fri, 21 Nov 2025 01:22:33 GMT", "Mon, 1 Dec 2025 11:22:33 GMT"),
    ("-rw-r--r-- 1 root root 5 Nov 21 01:15 x", "-rw-r--r-- 1 root root 5 Dec  1 11:15 x"),
    ("started, pid 4711", "started, pid 9"),
    ("[pid  123] exit", "[pid 99123] exit"),
    ("<Foo at 0x7f0011223344>", "<Foo at 0x55d0aabbccdd>"),
    ("cannot open /tmp/tmpab12/x.py", "cannot open /tmp/tmpzz99/x.py"),
    ("id 550e8400-e29b-41d4-a716-446655440000", "id 00000000-0000-4000-8000-000000000000"),
    ("\x1b[31mred\x1b[0m  \nline \t\n", "red\nline"),
    ("at 1763510516", "at 1763510999.25"),
]
DIFFERENT = [
    ("3 passed", "4 passed"),
    ("line 12: error", "line 13: error"),
    ("/tmp/t1/a.py failed", "/tmp/t1/b.py failed"),
    ("exit code 1", "exit code 2"),
    ("total 833", "total 1203"),
    ("process 12 of 20", "process 13 of 20"),
    ("", "0"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_noise_makes_no_difference(one: str, other: str) -> None:
    assert normalise_result(one) == normalise_result(other)
    assert result_hash(one) == result_hash(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_substance_makes_a_difference(one: str, other: str) -> None:
    assert result_hash(one) != result_hash(other)


def test_a_long_result_is_compared_by_head_tail_and_length() -> None:
    text = "a" * (3 * SAMPLE_CHARS)
    middle = len(text) // 2
    assert result_hash(text) == result_hash(text[:middle] + "b" + text[middle + 1 :])
    assert result_hash(text) != result_hash(text + "a")
    assert result_hash(text) != result_hash("b" + text[1:])
    assert result_hash(text) != result_hash(text[:-1] + "b")


@pytest.mark.parametrize(
    "hostile",
    ["x" + " " * 130_000 + "y", "1" * 130_000, "12 " * 43_000, "Jan" + " " * 130_000,
     "\x1b]" * 65_000, "1:11" * 32_000, "Mon " * 32_000, "abcdef01-abcd-" * 9_000],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_hostile_texts_take_no_longer_than_their_length_warrants(hostile: str) -> None:
    started = time.perf_counter()
    result_hash(hostile)
    assert time.perf_counter() - started < 2


def test_canonical_arguments_sort_keys_and_drop_padding() -> None:
    assert canonical_arguments('{"b": [1, 2], "a": "é"}') == '{"a":"é","b":[1,2]}'
    assert canonical_arguments('{"n": 123456789012345678901234567890}') == (
        '{"n":123456789012345678901234567890}'
    )
    assert canonical_arguments("  *** Begin Patch\n") == "*** Begin Patch"


def test_lone_surrogates_can_be_stored() -> None:
    assert canonical_arguments('{"a":"\\ud800"}').encode() == b'{"a":"\\ud800"}'
    assert canonical_arguments("not json \ud800").encode() == b"not json ?"
    assert len(result_hash("\ud800")) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"command":"ls   -l  src "}', '{"command":"ls -l src"}'),
        ('{"cmd":["bash","-lc","ls  -l"]}', '{"cmd":["bash","-lc","ls -l"]}'),
        ('{"b":1,"a":2}', '{ "a": 2, "b": 1 }'),
        ("search( x )  ", "search( x )"),
        ('{"n":1,"all":true}', '{"n":"1","all":"true"}'),
        ('{"a":1}', '{"a":1,"command":null}'),
        (
            '{"changes":[{"file":"a","insert":["x"]}]}',
            '{"changes":[{"file":"a","insert":["x"],"delete":[],"note":""}]}',
        ),
    ],
)
def test_arguments_that_count_as_the_same(one: str, other: str) -> None:
    assert arguments_hash(one) == arguments_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            '{"command":"python -c \\"if x:\\n  y\\""}',
            '{"command":"python -c \\"if x:\\n    y\\""}',
        ),
        ('{"text":"a  b"}', '{"text":"a b"}'),
        ('{"n":1}', '{"n":"01"}'),
        ('{"n":1}', '{"n":true}'),
        ('{"all":false}', "{}"),
        ('{"list":["a",""]}', '{"list":["a"]}'),
    ],
)
def test_arguments_that_count_as_different(one: str, other: str) -> None:
    assert arguments_hash(one) != arguments_hash(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_key_order_never_matters(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_arguments(json.dumps(value)) == canonical_arguments(json.dumps(turned))
    assert arguments_hash(json.dumps(value)) == arguments_hash(json.dumps(turned, indent=2))
    assert json.loads(canonical_arguments(json.dumps(value))) == value


@given(st.text(alphabet=st.characters(), max_size=300))
def test_never_raises_on_text(text: str) -> None:
    assert len(result_hash(text)) == len(arguments_hash(text)) == 16
    canonical_arguments(text).encode()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, "NaN", "\x00"])
def test_never_raises_on_hostile_json(text: str) -> None:
    canonical_arguments(text).encode()
    assert len(arguments_hash(text)) == 16
