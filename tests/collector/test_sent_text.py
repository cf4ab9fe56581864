from __future__ import annotations

import base64
import gzip
import json
import random
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sent_text import LIMIT_BYTES, readings, strings_of

SECRETS = b"API_KEY=kX93mPq27LwZt81v\nDB_PASSWORD=p@ss!word98\nNAME=caf\xc3\xa9 au lait\n" * 3
TEXT = SECRETS.decode()


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (SECRETS, "plain"),
        (json.dumps({"messages": [{"content": TEXT}]}).encode(), "plain"),
        (json.dumps({"arguments": json.dumps({"content": TEXT})}).encode(), "plain"),
        (b'prefix {"content": ' + json.dumps(TEXT).encode() + b" cut", "plain"),
        (base64.b64encode(SECRETS), "base64"),
        (base64.encodebytes(SECRETS), "base64"),
        (base64.encodebytes(SECRETS).replace(b"\n", b"\r\n"), "base64"),
        (base64.encodebytes(SECRETS).replace(b"\n", b""), "base64"),
        (base64.urlsafe_b64encode(SECRETS).rstrip(b"="), "base64"),
        (b"/collect/" + base64.urlsafe_b64encode(SECRETS), "base64"),
        (b"x/y" + base64.b64encode(SECRETS), "base64"),
        (json.dumps({"data": base64.b64encode(SECRETS).decode()}).encode(), "base64"),
        (b"a=1&data=" + quote(base64.b64encode(SECRETS)).encode(), "base64"),
        (SECRETS.hex().encode(), "hex"),
        (SECRETS.hex().upper().encode(), "hex"),
        (b"\n".join(SECRETS.hex().encode()[at : at + 60] for at in range(0, 500, 60)), "hex"),
        (b"data=" + quote_plus(SECRETS).encode() + b"&x=1", "percent"),
        (quote(SECRETS).encode(), "percent"),
        (gzip.compress(SECRETS, mtime=0), "gzip"),
        (base64.b64encode(gzip.compress(SECRETS, mtime=0)), "base64+gzip"),
        (base64.b64encode(base64.b64encode(SECRETS)), "base64+base64"),
    ],
)
def test_what_was_sent_is_read_in_its_encoding(sent: bytes, encoding: str) -> None:
    found = {how for how, text in readings(sent) if b"DB_PASSWORD=p@ss!word98\n" in text}
    assert found == {encoding}


def test_ordinary_text_is_read_once() -> None:
    text = b"The quick brown fox jumps over the lazy dog.\n" * 20
    assert list(readings(text)) == [("plain", text)]


def test_random_bytes_in_base64_are_no_text() -> None:
    image = base64.b64encode(b"\x89PNG" + random.Random(7).randbytes(60_000))
    assert [how for how, _ in readings(image)] == ["plain"]


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(data: bytes) -> None:
    first, *rest = readings(data)
    assert first == ("plain", data)
    assert sum(len(text) for _, text in rest) <= LIMIT_BYTES


def test_a_bomb_is_bounded() -> None:
    bomb = gzip.compress(gzip.compress(bytes(64 << 20)) + bytes(1000))
    assert sum(len(text) for _, text in readings(bomb)) <= LIMIT_BYTES


@pytest.mark.parametrize(
    "hostile",
    [b"\\" * (1 << 20), b"[" * (1 << 20), b"%25" * 350_000, b"&=" * (1 << 19), b"QUJD" * (1 << 18)],
    ids=["backslashes", "brackets", "percents", "fields", "base64"],
)
def test_hostile_text_takes_bounded_time(hostile: bytes) -> None:
    began = time.process_time()
    for _ in readings(hostile):
        pass
    assert time.process_time() - began < 10


def test_strings_of_json_in_order() -> None:
    value = {"b": ["one", {"c": "two"}, 3, None], "a": "three"}
    assert strings_of(value) == ["one", "two", "three"]
