from __future__ import annotations

import email
import email.policy
from typing import Any

import httpx
import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.http.multipart import (
    MAX_HEAD_BYTES,
    MAX_PARTS,
    MultipartReader,
    Part,
    boundary_of,
    read_form,
)

from .transcripts import pieces

B = b"b0undary"


def decode(*feeds: bytes, boundary: bytes = B, **limits: int) -> list[Part]:
    reader = MultipartReader(boundary, **limits)
    parts = [part for data in feeds for part in reader.feed(data)] + reader.finish()
    accounted = sum(part.size_bytes for part in parts) + reader.framing_bytes
    assert accounted + reader.skipped_bytes == sum(map(len, feeds))
    assert reader.pending_bytes == 0
    return parts


def form(*parts: bytes, line_end: bytes = b"\r\n") -> bytes:
    opened = b"".join(b"--" + B + line_end + part + line_end for part in parts)
    return opened + b"--" + B + b"--" + line_end


def field(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="%s"%s\r\n\r\n%s' % (name, more, value)


def text(name: str, value: str, complete: bool = True) -> Part:
    raw = value.encode()
    return Part(name, None, None, len(raw), raw, complete)


A, C = field(b"a", b"1"), field(b"c", b"2")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (form(A), [text("a", "1")]),
        (form(A, C), [text("a", "1"), text("c", "2")]),
        (form(), []),
        (b"--" + B + b"\r\n" + form(A), [text("a", "1")]),
        (b"preamble\r\n" + form(A) + b"epilogue --" + B + b"\r\n", [text("a", "1")]),
        (form(field(b"a", b"")), [text("a", "")]),
        (form(field(b"a", b"")[:-2]), [text("a", "")]),  # RFC 2046: a part may be all head
        (form(field(b"a", b"\r\n\r\n")), [text("a", "\r\n\r\n")]),
        (form(field(b"a", b"--" + B)), [text("a", "")]),  # so the blank line's end is its own
        (form(field(b"a", b"\r\n--" + B + b"x")), [text("a", "\r\n--" + B.decode() + "x")]),
        (form(field(b"a", b"\r\n--b0und")), [text("a", "\r\n--b0und")]),
        (form(field(b"a", b"\n--" + B + b"\n")), [text("a", "\n--" + B.decode() + "\n")]),
        (form(A).replace(B + b"\r\n", B + b" \t\r\n"), [text("a", "1")]),
        (form(A.replace(b"\r\n", b"\n"), line_end=b"\n"), [text("a", "1")]),
        (form(b"\r\n1"), [text("", "1")]),
        (form(b"content-disposition: form-data; name=a\r\n\r\n1"), [text("a", "1")]),
        (form(A)[:-5], [text("a", "1\r\n--b0undar", False)]),
        (form(b"no blank line", A), [text("a", "1")]),
        (
            form(field(b"f", b"\0\1\2", b'; filename="x.wav"\r\nContent-Type: audio/wav')),
            [Part("f", "x.wav", "audio/wav", 3, None)],
        ),
        (form(field(b"f", b"", b'; filename=""')), [Part("f", "", None, 0, None)]),
    ],
)
def test_bodies(body: bytes, parts: list[Part]) -> None:
    assert decode(body) == parts
    assert decode(*(body[at : at + 1] for at in range(len(body)))) == parts
    assert decode(b"", body, b"") == parts


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b'name="a"; filename="C:\\dir\\x.wav"', "C:\\dir\\x.wav"),
        (b'name="a"; filename="say \\"hi\\".txt"', 'say "hi".txt'),
        (b'name="a"; filename="say %22hi%22%0D%0A100%25"', 'say "hi"\r\n100%25'),
        (b'filename="a;b=c.txt"; name="a"', "a;b=c.txt"),
        ('name="a"; filename="é.txt"'.encode(), "é.txt"),
        (b'name="a"; filename="_.txt"; filename*=UTF-8\'\'%e2%82%ac%20.txt', "€ .txt"),
        (b'NAME="a" ; FileName = x.txt', "x.txt"),
        (b'name="a"; filename="\xff.txt"', "\ufffd.txt"),
    ],
)
def test_names_as_clients_write_them(written: bytes, name: str) -> None:
    [part] = decode(form(b"Content-Disposition: form-data; " + written + b"\r\n\r\n1"))
    assert (part.name, part.file_name) == ("a", name)


def test_a_part_comes_out_with_the_delimiter_that_ends_it() -> None:
    reader = MultipartReader(B)
    body = form(A, C)
    end = body.index(b"--" + B, 5) + len(B) + 4
    assert reader.feed(body[: end - 1]) == []
    assert reader.feed(body[end - 1 : end]) == [text("a", "1")]
    assert not reader.ended
    assert reader.feed(body[end:]) == [text("c", "2")]
    assert reader.ended
    assert not reader.malformed


def test_values_over_the_limit_are_counted_and_not_kept() -> None:
    big = field(b"big", b"x" * 11)
    assert decode(form(big, A), field_limit_bytes=10) == [
        Part("big", None, None, 11, None),
        text("a", "1"),
    ]
    fits = field(b"f", b"x" * 10, b'; filename="f"')
    file = field(b"g", b"x" * 11, b'; filename="g"')
    assert decode(form(fits, file), file_limit_bytes=10) == [
        Part("f", "f", None, 10, b"x" * 10),
        Part("g", "g", None, 11, None),
    ]


def test_memory_is_bounded() -> None:
    reader = MultipartReader(B, field_limit_bytes=100)
    for filling in (b"x", b"\r\n", b"\r\n--b0und", b"\n--" + B + b" "):
        for begin in (b"", b"\r\n--" + B + b"\r\n", form(A)[:-14]):
            reader.feed(begin)
            for _ in range(100):
                reader.feed(filling * 500)
                assert reader.pending_bytes <= MAX_HEAD_BYTES + 500 * len(filling) + 200
    assert reader.pending_bytes < 200


def test_a_head_that_is_too_long_costs_its_part() -> None:
    long = b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n" + A
    for step in (1000, 10**6):
        body = form(long, C)
        assert decode(*(body[at : at + step] for at in range(0, len(body), step))) == [
            text("c", "2")
        ]


def test_too_many_parts_are_skipped() -> None:
    reader = MultipartReader(B)
    assert len(reader.feed(form(*[A] * (MAX_PARTS + 5)))) == MAX_PARTS
    assert reader.malformed
    assert not reader.ended


def test_nothing_is_joined_across_a_loss() -> None:
    body = form(field(b"a", b"123456"), C)
    for begin in range(len(body)):
        for size in (1, 9, 40):
            reader = MultipartReader(B)
            parts = reader.feed(body[:begin]) + reader.lose()
            parts += reader.feed(body[begin + size :]) + reader.finish()
            for part in parts:
                assert (part.name, part.content) in {("a", b"123456"), ("c", b"2")} or (
                    not part.complete
                )
            held = sum(part.size_bytes for part in parts)
            held += reader.framing_bytes + reader.skipped_bytes
            assert held == begin + len(body[begin + size :])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; Boundary="a b"', b"a b"),
        (
            "multipart/form-data;boundary=----WebKitFormBoundary7MA4;x=y",
            b"----WebKitFormBoundary7MA4",
        ),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ('multipart/form-data; boundary=""', None),
        ('multipart/form-data; boundary=" "', None),
        ('multipart/form-data; boundary="a\nb"', None),
        ("multipart/form-data; boundary=" + "x" * 300, None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json; boundary=abc", None),
        ("", None),
        (None, None),
    ],
)
def test_boundaries(content_type: str | None, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def test_a_body_that_is_no_whole_form() -> None:
    header = f"multipart/form-data; boundary={B.decode()}"
    assert read_form(header, form(A)) == [text("a", "1")]
    assert read_form(header, form(A)[:-6]) is None
    assert read_form(header, b"") is None
    assert read_form("application/json", form(A)) is None


# Other encoders and another parser

names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='\\"%'),
    min_size=1,
    max_size=9,
)
values = st.text(st.characters(codec="utf-8"), max_size=30)
contents = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"\r", b"\n", b"--", B, b"\r\n--" + B, b"x"]), max_size=9).map(
        b"".join
    ),
)
fields = st.dictionaries(names, values, max_size=4)
files = st.lists(st.tuples(names, names, contents), min_size=1, max_size=3)


def by_requests(fields: dict[str, str], files: list[Any]) -> tuple[str, bytes]:
    made = requests.Request("POST", "http://h/", data=fields, files=files).prepare()
    assert isinstance(made.body, bytes)
    return made.headers["content-type"], made.body


def by_httpx(fields: dict[str, str], files: list[Any]) -> tuple[str, bytes]:
    made = httpx.Request("POST", "http://h/", data=fields, files=files)
    return made.headers["content-type"], made.read()


def by_urllib3(fields: dict[str, str], files: list[Any]) -> tuple[str, bytes]:
    body, content_type = urllib3.encode_multipart_formdata([*fields.items(), *files])
    return content_type, body


@settings(max_examples=60, deadline=None)
@given(
    fields=fields,
    named=files,
    encode=st.sampled_from([by_requests, by_httpx, by_urllib3]),
    cuts=st.lists(st.integers(0, 800), max_size=12),
)
def test_what_clients_encode(
    fields: dict[str, str], named: list[tuple[str, str, bytes]], encode: Any, cuts: list[int]
) -> None:
    given_files = [(name, (file_name, data)) for name, file_name, data in named]
    content_type, body = encode(fields, given_files)
    boundary = boundary_of(content_type)
    assert boundary is not None
    parts = decode(*pieces(body, cuts), boundary=boundary, file_limit_bytes=1000)
    assert {part.name: part.text for part in parts if part.file_name is None} == fields
    assert [
        (part.name, part.file_name, part.content) for part in parts if part.file_name is not None
    ] == named
    assert decode(body, boundary=boundary, file_limit_bytes=1000) == parts


@settings(max_examples=80)
@given(values=st.lists(contents, min_size=1, max_size=4))
def test_the_same_contents_as_python_reads(values: list[bytes]) -> None:
    parts = [field(b"f%d" % number, value) for number, value in enumerate(values)]
    if any(end + b"--" + B in part for part in parts for end in (b"\r", b"\n")):
        return  # not of that boundary, or of what Python takes for it: any line break will do
    body = form(*parts)
    head = b'Content-Type: multipart/form-data; boundary="%s"\r\n\r\n' % B
    theirs = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    assert len(decode(body)) == len(theirs.get_payload())
    assert [part.content for part in decode(body)] == values


words = [b"\r\n", b"\n", b"\r", b"--", B, b"--" + B, b"--" + B + b"--", b" ", b"x", A, C, b"\xff"]


@settings(max_examples=60)
@given(
    body=st.one_of(
        st.lists(
            st.sampled_from([*words, b"\r\n--" + B, b"\r\n--" + B + b"\r\n"]), max_size=30
        ).map(b"".join),
        st.binary(max_size=80),
    ),
    cuts=st.lists(st.integers(0, 300), max_size=30),
    boundary=st.sampled_from([B, b"-", b"--", b"x", b".*", b"a" * 256]),
    limit=st.integers(0, 20),
)
def test_any_split_of_any_body_gives_the_same(
    body: bytes, cuts: list[int], boundary: bytes, limit: int
) -> None:
    expected = decode(body, boundary=boundary, field_limit_bytes=limit)
    assert decode(*pieces(body, cuts), boundary=boundary, field_limit_bytes=limit) == expected
    whole, split = MultipartReader(boundary), MultipartReader(boundary)
    whole.feed(body)
    for piece in pieces(body, cuts):
        split.feed(piece)
    assert (whole.ended, whole.malformed) == (split.ended, split.malformed)
