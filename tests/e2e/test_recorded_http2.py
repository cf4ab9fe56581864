"""What stands in a recording of real programs that speak HTTP/2 with a key."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.recording import RecordingReader
from probes import frames
from probes.events import Direction, PlainData, Source
from tests.collector.test_http2_redaction import Block, blocks_in, gives_away
from tests.e2e.conftest import UNDERGLASS, environment
from tests.e2e.test_stacks import go_client
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
KEY = "9f8e7d6c-Opaque-Q2vLr8TnW4yB7mJ1cF6hD3sA5gE0"
TIMES = 3


def curl(server: StandIn, directory: Path) -> list[str]:
    url = f"{server.base_url}/v1/chat/completions?key={KEY}"
    body = '{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    command = ["curl", "-sS", "--http2", "--cacert", str(server.ca_path), "-o", os.devnull]
    command += ["-H", f"authorization: Bearer {KEY}", "-H", "content-type: application/json"]
    return [*command, "--data", body, *[url] * TIMES]


@pytest.mark.parametrize(
    ("client", "source"),
    [(curl, Source.OPENSSL), (go_client(), Source.GO)],
    ids=["curl", "go"],
)
def test_a_recording_of_http2_holds_no_credentials(
    client: Callable[[StandIn, Path], list[str]],
    source: Source,
    standin: Callable[..., StandIn],
    tmp_path: Path,
) -> None:
    server = standin("zero_latency", http2="auto")
    command = client(server, tmp_path)
    file = tmp_path / "capture.ug"
    done = subprocess.run(
        [UNDERGLASS, "record", file, "--", *command],
        env=environment(server, API_KEY=KEY, COUNT=str(TIMES), SIZE="20000"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    reader = RecordingReader(file)
    recorded = list(reader.frames())
    reader.close()
    assert reader.damage is None
    assert not gives_away(b"".join(recorded), KEY.encode())
    sent = b""
    for frame in recorded:
        event = frames.decode(frame)
        if isinstance(event, PlainData) and event.source == source:
            assert not event.direction or event.position == len(sent)
            sent += event.data if event.direction == Direction.WRITE else b""
    blocks: list[Block] = blocks_in(sent)
    assert len(blocks) == TIMES
    values = {dict(block)[b"authorization"] for block in blocks}
    assert len(values) == 1
    assert next(iter(values)).startswith(b"Bearer [redacted:")
    assert len(next(iter(values))) == len(f"Bearer {KEY}")
    for block in blocks:
        assert dict(block)[b"content-type"] == b"application/json"
        path = dict(block)[b":path"]
        assert path.startswith(b"/v1/chat/completions")
        assert source is not Source.OPENSSL or b"?key=[redacted:" in path
