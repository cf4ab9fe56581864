"""Bytes, connections and processes: the ledger's counts against a client that counts itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from underglass.demo.ledger import read_ledger
from underglass.demo.standin import StandIn, StandInError

Running = Callable[[str], StandIn]


ROOT = Path(__file__).parents[3]


def connect(server: StandIn) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    if server.certificates is None:
        return raw
    context = ssl.create_default_context(cafile=str(server.ca_path))
    return context.wrap_socket(raw, server_hostname="localhost")


def post(path: str, body: bytes, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def question(token: str, *, stream: bool = True, padding: int = 0) -> bytes:
    return json.dumps(
        {
            "model": "claude-sonnet-4-6",
            "max_tokens": 9,
            "stream": stream,
            "messages": [{"role": "user", "content": "x" * padding + f" id={token}"}],
        }
    ).encode()


def read_all(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Everything until the end, and the size of each read (over TLS: of each record)."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts), [len(part) for part in parts]


@pytest.mark.parametrize("plain", [False, True])
def test_bytes_are_counted_exactly(tmp_path: Path, plain: bool) -> None:
    stream = post("/v1/messages", question("a"))
    body = question("b", stream=False)
    chunked = (
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        + b"%x\r\n%b\r\n" % (10, body[:10])
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 10, body[10:])
    )
    with StandIn("echo", tmp_path, plain=plain) as server, connect(server) as connection:
        connection.sendall(stream + chunked)
        received, reads = read_all(connection)
        client_port = connection.getsockname()[1]
        streamed, whole = server.ledger(at_least=2)
    assert (streamed.request_bytes, whole.request_bytes) == (len(stream), len(chunked))
    assert streamed.response_bytes + whole.response_bytes == len(received)
    assert received[streamed.response_bytes :].startswith(b"HTTP/1.1 200 OK\r\n")
    assert received[: streamed.response_bytes].endswith(b"0\r\n\r\n")
    assert whole.request_body_sha256 == hashlib.sha256(body).hexdigest()
    assert (streamed.connection, streamed.client_port) == (whole.connection, client_port)
    assert (streamed.streamed, whole.streamed) == (True, False)
    if not plain:
        assert len(reads) >= received.count(b"event: ") + 2  # a record an event, and the heads


def test_big_requests_and_100_continue(running: Running) -> None:
    server = running("echo")
    before = len(server.ledger())
    body = question("big", padding=8_000_000)
    with connect(server) as connection:
        request = post("/v1/messages", body, "expect: 100-continue\r\nconnection: close\r\n")
        head = request[: -len(body)]
        connection.sendall(head)
        interim = connection.recv(1000)
        connection.sendall(body)
        received, _ = read_all(connection)
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    record = server.ledger(at_least=before + 1)[-1]
    assert record.request_bytes == len(request)
    assert (record.interim_bytes, record.response_bytes) == (len(interim), len(received))
    assert record.echo_token == "big"


def test_two_hundred_streams_at_once_pair_right(running: Running) -> None:
    server = running("echo")
    before = len(server.ledger())
    context = ssl.create_default_context(cafile=str(server.ca_path))

    async def ask(number: int) -> tuple[int, int]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname="localhost"
        )
        request = b"".join(post("/v1/messages", question(f"t{number}-{i}")) for i in range(2))
        writer.write(request)
        replies = [await reader.readuntil(b"\r\n0\r\n\r\n") for _ in range(2)]
        for i, reply in enumerate(replies):
            assert reply.count(f'id=t{number}-{i}"'.encode()) == 2
            assert reply.count(b"id=") == 2
        writer.close()
        return len(request), sum(map(len, replies))

    async def ask_all() -> list[tuple[int, int]]:
        return await asyncio.gather(*(ask(number) for number in range(200)))

    sizes = asyncio.run(ask_all())
    records = server.ledger(at_least=before + 400)[before:]
    wanted = Counter(f"t{number}-{i}" for number in range(200) for i in range(2))
    assert Counter(record.echo_token for record in records) == wanted
    assert sum(record.request_bytes for record in records) == sum(size[0] for size in sizes)
    assert sum(record.response_bytes for record in records) == sum(size[1] for size in sizes)
    assert len({record.connection for record in records}) == 200
    assert len({record.response_id for record in records}) == 400


def test_a_client_that_leaves_is_noted(tmp_path: Path) -> None:
    script = tmp_path / "slow.toml"
    script.write_text('token_ms = 2\n[[turn]]\ntext = ["word "]\nrepeat = 5000\n')
    with StandIn(script, tmp_path) as server:
        with connect(server) as connection:
            connection.sendall(post("/v1/messages", question("x")))
            assert connection.recv(10)
        (record,) = server.ledger(at_least=1)
    assert (record.error_kind, record.cut) == ("client_gone", True)
    assert record.finish_reason is None
    assert record.content_events < 5000


def test_what_is_no_http_is_refused(running: Running) -> None:
    server = running("echo")
    before = len(server.ledger())
    with connect(server) as connection:
        connection.sendall(b"what is this?\r\n\r\n")
        received, _ = read_all(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    (record,) = server.ledger(at_least=before + 1)[before:]
    assert (record.error_kind, record.request_bytes) == ("malformed", 17)


def test_the_command_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "underglass.demo.standin", "--script", "demo", "--plain"),
            *("--directory", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert ready["base_url"] == f"http://127.0.0.1:{ready['port']}"
        assert ready["ca"] is None
        with socket.create_connection(("127.0.0.1", ready["port"]), timeout=10) as connection:
            connection.sendall(post("/v1/messages", question("x")))
            assert connection.recv(10) == b"HTTP/1.1 2"
            os.kill(process.pid, signal.SIGTERM)  # the running exchange ends first
            received, _ = read_all(connection)
            assert received.endswith(b"0\r\n\r\n")
        assert process.wait(timeout=10) == 0
        (record,) = read_ledger(Path(ready["ledger"]))
        assert record.response_bytes == len(received) + 10
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "underglass.demo.standin", "--script", "echo", "--plain"),
            *("--directory", str(tmp_path), "--until-stdin-closes"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["port"]
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_a_script_that_cannot_be_played_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StandInError, match="no script 'nonsense'"):
        StandIn("nonsense", tmp_path).start()
