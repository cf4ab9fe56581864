"""Small inputs that mean much, through the whole pipeline: memory, time, and what is stored."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.collector.bombs import COMPLETE, INCOMPLETE, MIB, MORE, Outcome

MAX_BYTES = 240 * MIB  # of one body what is kept, twice: as it is put together, and at its end
MAX_SECONDS = 30.0  # generous: a second or two on a machine that does nothing else
TOLD = {  # by which reason health counts what was not decoded
    "gzip": "response_body",
    "deflate": "response_body",
    "br": "response_body",
    "zstd": "response_body",
    "gzip in gzip": "response_body",
    "zstd in gzip": "response_body",
    "a header without end": "head_too_long",
    "a chunk line without end": "chunk_line_too_long",
    "HPACK references": "head_too_long",
    "a WebSocket's message that inflates": "websocket_too_long",
    "a WebSocket's message without end": "websocket_too_long",
    "a WebSocket's vast frame": "websocket_too_long",
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Of all bombs, run in a process of its own, whose memory then shows."""
    names = [*INCOMPLETE, *COMPLETE, *MORE]
    command = [sys.executable, "-m", "tests.collector.bombs", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    found = {
        name: Outcome(**outcome) for name, outcome in map(json.loads, done.stdout.splitlines())
    }
    assert list(found) == names, done.stderr
    return found


@pytest.mark.parametrize("name", [*INCOMPLETE, *COMPLETE, *MORE])
def test_memory_and_time_are_bounded(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].peak_bytes < MAX_BYTES
    assert outcomes[name].seconds < MAX_SECONDS


@pytest.mark.parametrize("name", INCOMPLETE)
def test_the_call_is_incomplete_and_the_next_one_is_whole(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    found = outcomes[name]
    assert (found.statuses, found.complete) == (["incomplete", "ok"], [False, True])
    if name in TOLD:
        assert found.undecoded_bytes[TOLD[name]] > 0


@pytest.mark.parametrize("name", COMPLETE)
def test_what_parsers_take_is_stored(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].statuses == ["ok", "ok"]


def test_a_body_that_no_parser_takes_is_no_call(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["a request nested deeper"].statuses == ["ok"]


def test_each_stream_without_end_is_a_call_without_end(outcomes: dict[str, Outcome]) -> None:
    *open_calls, last = outcomes["streams without end"].statuses
    assert set(open_calls) == {"incomplete"}
    assert last == "ok"
