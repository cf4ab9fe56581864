from __future__ import annotations

import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.client_hello import server_name


def client_hello(host: str | None) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = host is not None
    context.verify_mode = ssl.CERT_REQUIRED
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


HELLO = client_hello("api.anthropic.com")


def vector(content: bytes, length_size: int) -> bytes:
    return len(content).to_bytes(length_size, "big") + content


def hello(extensions: bytes, *, version: bytes = b"\x03\x03", kind: int = 1) -> bytes:
    """A ClientHello by hand, in one record."""
    body = version + bytes(32) + vector(b"", 1) + vector(b"\x13\x01", 2) + vector(b"\0", 1)
    message = bytes([kind]) + vector(body + vector(extensions, 2), 3)
    return b"\x16\x03\x01" + vector(message, 2)


def name_extension(name: bytes, kind: int = 0) -> bytes:
    return b"\0\0" + vector(vector(bytes([kind]) + vector(name, 2), 2), 2)


def test_the_host_that_openssl_asks_for() -> None:
    assert server_name(HELLO) == "api.anthropic.com"
    assert server_name(client_hello(None)) is None


def test_a_cut_hello_names_its_host_or_none() -> None:
    found = {server_name(HELLO[:size]) for size in range(len(HELLO))}
    assert found == {None, "api.anthropic.com"}


def test_a_hello_over_several_records() -> None:
    message = HELLO[5:]
    for cut in (1, 4, 50, 100, len(message) - 1):
        records = b"".join(
            b"\x16\x03\x01" + vector(part, 2) for part in (message[:cut], message[cut:])
        )
        assert server_name(records) == "api.anthropic.com"


def test_names_are_lower_case_hosts() -> None:
    assert server_name(hello(name_extension(b"API.OpenAI.com"))) == "api.openai.com"
    for name in (b"", b"a b", b"host\0", b"-x", b"x.", b"\xc3\xa9.fr", b"a" * 254, b"x\n"):
        assert server_name(hello(name_extension(name))) is None, name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16",
        hello(b""),
        hello(name_extension(b"host", kind=1)),
        hello(name_extension(b"host"), version=b"\x04\x00"),
        hello(name_extension(b"host"), kind=2),
        hello(b"\0\0" + vector(b"\0\5\0\0\4hos", 2)),  # a name longer than its list
        b"\x17" + hello(name_extension(b"host"))[1:],
        b"\x16\x03\x01\x00\x00",
        b"POST /v1/messages HTTP/1.1\r\n",
    ],
)
def test_what_is_no_hello_names_nobody(data: bytes) -> None:
    assert server_name(data) is None


@given(st.binary(max_size=300))
@example(b"\x16\x03\x01\xff\xff\x01")
def test_hostile_bytes_do_no_harm(data: bytes) -> None:
    server_name(data)
    server_name(b"\x16\x03\x01" + vector(b"\x01" + data, 2))


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_damaged_hello_names_a_host_or_nobody(at: int, value: int) -> None:
    found = server_name(HELLO[:at] + bytes([value]) + HELLO[at + 1 :])
    assert found is None or found.isascii()
