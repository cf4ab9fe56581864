from __future__ import annotations

from collector.exchange import HttpCounters
from collector.health import _KERNEL, health_rows
from collector.streams import StreamAssembler
from probes.events import Direction, TlsData
from probes.frames import COUNTERS
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
    assert set(_KERNEL) == set(COUNTERS)
    assert len(set(_KERNEL.values())) == len(COUNTERS)
    found = rows({name: number + 1 for number, name in enumerate(COUNTERS)})
    for number, name in enumerate(COUNTERS):
        assert found[_KERNEL[name]] == number + 1


def test_zero_is_shown_where_it_is_an_answer() -> None:
    found = rows(dict.fromkeys(COUNTERS, 0))
    assert found["openssl", "lost_bytes", "ring_full"] == 0
    assert found["stream", "lost_bytes", "gap"] == 0
    assert ("openssl", "ignored_bytes", "not_llm") not in found
    assert ("http", "orphan_responses", "") not in found


def test_what_the_kernel_did_not_say_is_not_zero() -> None:
    assert not any(source == "openssl" for source, _, _ in rows({}))


def test_counters_of_a_newer_probe_do_no_harm() -> None:
    assert rows({"quantum_bytes": 7}) == rows({})


def test_stages_add_their_own() -> None:
    streams = StreamAssembler()
    list(streams.data(TlsData(1, CONNECTION, Direction.READ, 10, b"abc")))
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
