from __future__ import annotations

import pytest

from collector.exchange import HttpCounters
from collector.health import health_rows, kernel_key
from collector.streams import StreamAssembler
from probes.events import Direction, PlainData, Source
from probes.frames import COUNTERS, SOURCE_COUNTERS
from tests.frames import CONNECTION

Rows = dict[tuple[str, str, str], int]


def rows(
    kernel: dict[str, int],
    streams: StreamAssembler | None = None,
    http: HttpCounters | None = None,
    own: Rows | None = None,
) -> Rows:
    found = health_rows(
        "cap", kernel, streams or StreamAssembler(), http or HttpCounters(), own or {}
    )
    assert {row.capture_id for row in found} == {"cap"}
    result = {(row.source, row.counter, row.cause): row.value for row in found}
    assert len(result) == len(found)
    return result


def test_every_kernel_counter_is_shown_under_a_name_of_its_own() -> None:
    keys = [kernel_key(name) for name in COUNTERS]
    assert None not in keys
    assert len(set(keys)) == len(COUNTERS)
    found = rows({name: number + 1 for number, name in enumerate(COUNTERS)})
    for number, key in enumerate(keys):
        assert key is not None
        assert found[key] == number + 1


@pytest.mark.parametrize("source", Source)
def test_a_source_that_was_used_shows_that_it_lost_nothing(source: Source) -> None:
    name = source.name.lower()
    found = rows({**dict.fromkeys(COUNTERS, 0), f"{name}.events": 3, f"{name}.bytes": 70})
    assert found[name, "captured_bytes", ""] == 70
    assert found[name, "lost_bytes", "ring_full"] == 0
    assert found[name, "lost_events", "ring_full"] == 0
    assert (name, "ignored_bytes", "not_llm") not in found
    assert {source for source, _, _ in found} == {name, "process", "stream"}


@pytest.mark.parametrize("counter", SOURCE_COUNTERS)
def test_a_source_that_only_lost_or_ignored_is_shown(counter: str) -> None:
    found = rows({**dict.fromkeys(COUNTERS, 0), f"gnutls.{counter}": 5})
    assert found["gnutls", "captured_bytes", ""] == (5 if counter == "bytes" else 0)
    assert 5 in found.values()


def test_zero_lost_is_an_answer_also_when_nothing_was_captured() -> None:
    found = rows(dict.fromkeys(COUNTERS, 0))
    assert {source for source, _, _ in found} == {"process", "stream"}
    assert found["process", "lost_events", "ring_full"] == 0
    assert found["stream", "lost_bytes", "gap"] == 0
    assert ("http", "orphan_responses", "") not in found


def test_what_the_kernel_did_not_say_is_not_zero() -> None:
    assert {source for source, _, _ in rows({})} == {"stream"}


def test_counters_of_a_newer_probe_do_no_harm() -> None:
    assert rows({"quantum_bytes": 7, "openssl.quanta": 0, "quic.bytes": 0}) == rows({})


def test_connections_joined_late_are_counted() -> None:
    found = rows({}, http=HttpCounters(joined_late_connections=3, joined_late_calls=2))
    assert found["http", "joined_late_connections", ""] == 3
    assert found["http", "joined_late_calls", ""] == 2


def test_stages_add_their_own() -> None:
    streams = StreamAssembler()
    list(streams.data(PlainData(1, CONNECTION, Direction.READ, 10, b"abc")))
    http = HttpCounters(exchanges=4, orphan_responses=1)
    http.undecoded("http2", 12)
    http.undecoded("http2", 3)
    http.undecoded("gap", 0)
    found = rows({}, streams, http, {("probe", "unknown_frames", "77"): 2})
    assert found["stream", "delivered_bytes", ""] == 3
    assert found["stream", "lost_bytes", "gap"] == 10
    assert found["http", "captured_exchanges", ""] == 4
    assert found["http", "orphan_responses", ""] == 1
    assert found["http", "undecoded_bytes", "http2"] == 15
    assert ("http", "undecoded_bytes", "gap") not in found
    assert found["probe", "unknown_frames", "77"] == 2
