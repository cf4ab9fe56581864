"""HTTP/2, TLS options and connection records, held against clients that count for themselves."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.underglass.demo.h2_client import H2Client
from underglass.demo.http2 import FrameCounter
from underglass.demo.standin import StandIn

MESSAGES = "/v1/messages"


def question(content: str, *, stream: bool = True) -> bytes:
    message = {"role": "user", "content": content}
    return json.dumps(
        {"model": "claude-sonnet-4-6", "max_tokens": 9, "stream": stream, "messages": [message]}
    ).encode()


def slow_script(directory: Path, words: int = 5000) -> Path:
    path = directory / "slow.toml"
    path.write_text(f'token_ms = 2\n[[turn]]\ntext = ["word "]\nrepeat = {words}\n')
    return path


def stream_bytes(data: bytes, stream_id: int) -> int:
    """Bytes of a stream's HEADERS, CONTINUATION and DATA frames, read by hyperframe."""
    total = 0
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if type(frame).__name__ in ("HeadersFrame", "ContinuationFrame", "DataFrame"):
            total += (9 + length) * (frame.stream_id == stream_id)
        data = data[9 + length :]
    return total


@pytest.mark.parametrize("plain", [False, True])
def test_bytes_are_counted_exactly(tmp_path: Path, plain: bool) -> None:
    bodies = [question("id=a"), question("id=b", stream=False), question("x" * 3_000_000)]
    server = StandIn("echo", tmp_path, plain=plain, http2="only" if plain else "auto")
    with server:
        client = H2Client(server)
        ids = [client.post(MESSAGES, body, **{"x-padding": "p" * 90}) for body in bodies]
        client.read_until_ended(*ids)
        client.drain()
        client.socket.close()
        records = {record.stream_id: record for record in server.ledger(at_least=3)}
        (connection,) = server.connections(at_least=1)
    sent = client.sent[len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") :]
    for stream_id, body in zip(ids, bodies, strict=True):
        record, answered = records[stream_id], client.streams[stream_id]
        assert (record.http_version, record.connection, record.status) == ("2", 1, 200)
        assert answered.status == 200
        assert record.request_bytes == stream_bytes(sent, stream_id)
        assert record.response_bytes == stream_bytes(client.received, stream_id)
        assert record.request_body_bytes == len(body)
        assert record.request_body_sha256 == hashlib.sha256(body).hexdigest()
        assert record.response_body_bytes == len(answered.body)
        assert record.response_body_sha256 == hashlib.sha256(answered.body).hexdigest()
    assert connection.client_port == client.port
    assert connection.http_version == "2"
    assert connection.alpn == (None if plain else "h2")
    assert connection.tls_version == (None if plain else "TLSv1.3")
    assert (connection.received_bytes, connection.sent_bytes) == (
        len(client.sent),
        len(client.received),
    )
    assert connection.received_sha256 == hashlib.sha256(client.sent).hexdigest()
    assert connection.sent_sha256 == hashlib.sha256(client.received).hexdigest()
    assert connection.error is None
    assert connection.opened_ns < records[ids[0]].received_ns < connection.closed_ns


def test_two_hundred_streams_on_one_connection_pair_right(tmp_path: Path) -> None:
    with StandIn("echo", tmp_path, http2="auto") as server, H2Client(server) as client:
        ids = {client.post(MESSAGES, question(f"id=t{n}")): f"t{n}" for n in range(200)}
        client.read_until_ended(*ids)
        records = server.ledger(at_least=200)
    for stream_id, token in ids.items():
        assert client.streams[stream_id].body.count(f'id={token}"'.encode()) == 2
    assert {record.stream_id: record.echo_token for record in records} == ids


@pytest.mark.parametrize("option", ["--http2", "--http2-prior-knowledge", "--http1.1"])
def test_curl(tmp_path: Path, option: str) -> None:
    plain = option == "--http2-prior-knowledge"
    body = question("id=curl")
    with StandIn("echo", tmp_path, plain=plain, http2="auto") as server:
        trust = [] if plain else ["--cacert", str(server.ca_path)]
        # Debian 12's curl cannot use a connection again that it opened with prior knowledge.
        urls = [f"{server.base_url}{MESSAGES}"] * (1 if plain else 2)
        done = subprocess.run(
            ["curl", "-sS", option, *trust, "-w", "%{stderr}%{http_version}\n", "-d", body, *urls],
            capture_output=True,
            check=True,
        )
        records = server.ledger(at_least=len(urls))
        (connection,) = server.connections(at_least=1)
    version = "1.1" if option == "--http1.1" else "2"
    assert done.stderr.decode().split() == [version] * len(urls)
    assert connection.http_version == version
    assert [record.http_version for record in records] == [version] * len(urls)
    assert sum(record.response_body_bytes for record in records) == len(done.stdout)
    assert done.stdout.count(b"event: message_stop") == len(urls)
    assert {record.connection for record in records} == {connection.connection}
    first = done.stdout[: records[0].response_body_bytes]
    assert records[0].response_body_sha256 == hashlib.sha256(first).hexdigest()


def test_http1_connections_have_records_too(tmp_path: Path) -> None:
    body = question("id=one")
    request = b"POST /v1/messages HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    received = b""
    with StandIn("echo", tmp_path, plain=True) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(request)
            while part := client.recv(65536):
                received += part
        (record,) = server.ledger(at_least=1)
        (connection,) = server.connections(at_least=1)
    assert (record.http_version, record.stream_id) == ("1.1", None)
    assert connection.received_sha256 == hashlib.sha256(request).hexdigest()
    assert connection.sent_sha256 == hashlib.sha256(received).hexdigest()
    assert (connection.received_bytes, connection.sent_bytes) == (len(request), len(received))
    chunks = received.partition(b"\r\n\r\n")[2]
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        body += rest[: int(size, 16)]
        chunks = rest[int(size, 16) + 2 :]
    assert record.response_body_bytes == len(body)
    assert record.response_body_sha256 == hashlib.sha256(body).hexdigest()


def test_a_small_window_holds_the_response_back(tmp_path: Path) -> None:
    with (
        StandIn("echo", tmp_path, http2="auto") as server,
        H2Client(server, window_bytes=100) as client,
    ):
        stream_id = client.post(MESSAGES, question("id=w"))
        answered = client.streams[stream_id]
        while len(answered.body) < 100:
            assert client.read()
        other = client.post("/api/nothing", b"{}")  # whole: nothing more came before it
        client.read_until_ended(other)
        assert len(answered.body) == 100
        assert stream_id not in {record.stream_id for record in server.ledger()}
        for _ in range(10_000):
            if answered.ended:
                break
            client.grant(stream_id, 37)
            client.read()
        client.read_until_ended(stream_id)
        records = {record.stream_id: record for record in server.ledger(at_least=2)}
    assert answered.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    record = records[stream_id]
    assert record.response_body_sha256 == hashlib.sha256(answered.body).hexdigest()
    assert record.response_bytes == stream_bytes(client.received, stream_id)


def test_a_stream_reset_by_the_client_is_noted_and_others_go_on(tmp_path: Path) -> None:
    script = slow_script(tmp_path)
    with StandIn(script, tmp_path, http2="auto") as server, H2Client(server) as client:
        left = client.post(MESSAGES, question("x"))
        while not client.streams[left].body:
            assert client.read()
        client.h2.reset_stream(left, ErrorCodes.CANCEL)
        client.flush()
        whole = client.post("/v1/models", b"")
        client.read_until_ended(whole)
        records = {record.stream_id: record for record in server.ledger(at_least=2)}
    assert (records[left].error_kind, records[left].cut) == ("client_gone", True)
    assert records[left].finish_reason is None
    assert records[left].content_events < 5000
    assert records[whole].status == 404


def test_a_script_that_cuts_resets_the_stream(tmp_path: Path) -> None:
    with StandIn("errors", tmp_path, http2="auto") as server, H2Client(server) as client:
        cut = client.post(MESSAGES, question("turn=cut"))
        fine = client.post(MESSAGES, question("turn=fine"))
        while client.streams[cut].reset_code is None or not client.streams[fine].ended:
            assert client.read()
        records = {record.stream_id: record for record in server.ledger(at_least=2)}
    assert client.streams[cut].reset_code == ErrorCodes.INTERNAL_ERROR
    assert (records[cut].error_kind, records[cut].content_events) == ("cut", 2)
    assert records[cut].response_body_bytes == len(client.streams[cut].body)
    assert records[fine].error_kind is None


def test_it_says_goaway_and_lets_streams_end(tmp_path: Path) -> None:
    server = StandIn(slow_script(tmp_path, words=150), tmp_path, http2="auto")
    server.start()
    with H2Client(server) as client:
        stream_id = client.post(MESSAGES, question("x"))
        while not client.streams[stream_id].body:
            assert client.read()
        assert server._process is not None
        server._process.terminate()
        # h2 takes a GOAWAY for the end; the frames are read here as they come.
        while data := client.socket.recv(65536):
            client.received += data
    server.stop()
    (record,) = server.ledger()
    (connection,) = server.connections()
    assert (record.error_kind, record.finish_reason) == (None, "end_turn")
    kinds: list[tuple[str, int]] = []
    data = client.received
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        kinds.append((type(frame).__name__, length))
        data = data[9 + length :]
    goaway = [kind for kind, _ in kinds].index("GoAwayFrame")
    assert kinds[-1][0] == "DataFrame"
    assert 0 < goaway < len(kinds) - 1
    assert stream_bytes(client.received, stream_id) == record.response_bytes
    assert connection.sent_sha256 == hashlib.sha256(client.received).hexdigest()


def test_what_is_no_http2_ends_the_connection(tmp_path: Path) -> None:
    with StandIn("echo", tmp_path, plain=True, http2="only") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 40)
            while client.recv(65536):
                pass
        (connection,) = server.connections(at_least=1)
        assert server.ledger() == []
    assert connection.error is not None
    assert "ProtocolError" in connection.error


@pytest.mark.parametrize(
    ("tls", "cipher", "alpn", "version"),
    [
        ("1.2", None, "auto", "TLSv1.2"),
        ("1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", "auto", "TLSv1.2"),
        ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "off", "TLSv1.2"),
        ("1.3", "TLS_CHACHA20_POLY1305_SHA256", "auto", "TLSv1.3"),
        ("1.3", "TLS_AES_128_GCM_SHA256", "off", "TLSv1.3"),
    ],
)
def test_tls_version_and_cipher_are_forced(
    tmp_path: Path, tls: str, cipher: str | None, alpn: str, version: str
) -> None:
    with StandIn("echo", tmp_path, tls=tls, cipher=cipher, http2=alpn) as server:
        context = ssl.create_default_context(cafile=str(server.ca_path))
        context.set_alpn_protocols(["h2", "http/1.1"])
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            chosen = client.cipher()
            assert client.version() == version
            assert client.selected_alpn_protocol() == ("h2" if alpn == "auto" else "http/1.1")
        (connection,) = server.connections(at_least=1)
    assert chosen is not None
    assert connection.cipher == chosen[0]
    assert cipher is None or chosen[0] == cipher
    assert (connection.tls_version, connection.received_bytes) == (version, 0)


def test_one_version_alone_refuses_the_other(tmp_path: Path) -> None:
    with StandIn("echo", tmp_path, tls="1.3") as server:
        context = ssl.create_default_context(cafile=str(server.ca_path))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with raw, pytest.raises(ssl.SSLError):
            context.wrap_socket(raw, server_hostname="localhost")


@given(st.lists(st.integers(0, 400), max_size=12))
def test_frames_are_counted_however_they_are_split(cuts: list[int]) -> None:
    frames: list[Frame] = [HeadersFrame(1, b"h" * 20), DataFrame(1, b"d" * 100), SettingsFrame(0)]
    frames += [HeadersFrame(3, b"h" * 30), ContinuationFrame(3, b"c" * 40), WindowUpdateFrame(1, 9)]
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(frame.serialize() for frame in frames)
    counter = FrameCounter()
    for start, end in pairwise([0, *sorted(cuts), 400]):
        counter.feed(data[start:end])
    assert [counter.pop(1), counter.pop(3), counter.pop(0)] == [
        9 + 20 + 9 + 100,
        9 + 30 + 9 + 40,
        0,
    ]
    assert counter.pop(1) == 0
