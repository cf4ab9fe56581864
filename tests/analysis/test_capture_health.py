"""Health as a page: sums by source, losses with their remedy, what was not understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.capture_health import advice, health_page, losses, sources, undecoded
from analysis.reading import open_reader
from tests.tui.stage import demo_batch, make_store


def row(source: str, counter: str, value: int, cause: str = "") -> dict[str, Any]:
    return {"source": source, "counter": counter, "cause": cause, "value": value}


COUNTERS = [
    row("process", "captured_events", 90),
    row("process", "lost_events", 2, "targets_table_full"),
    row("openssl", "captured_events", 10),
    row("openssl", "captured_bytes", 1000),
    row("openssl", "lost_bytes", 300, "ring_full"),
    row("openssl", "lost_bytes", 50, "read_fault"),
    row("openssl", "truncated_bytes", 20, "call_too_long"),
    row("openssl", "ignored_bytes", 7, "not_llm"),
    row("socket", "captured_events", 1),
    row("socket", "captured_bytes", 5),
    row("file", "captured_events", 8),
    row("file", "lost_events", 4, "ring_full"),
    row("stream", "lost_bytes", 350, "gap"),
    row("stream", "delivered_bytes", 1000),
    row("http", "undecoded_bytes", 99, "not_http"),
    row("http", "undecoded_bytes", 11, "bad_chunk"),
    row("probe", "attached_probes", 6),
]


def test_what_became_of_all_bytes() -> None:
    found = sources(COUNTERS)
    assert [one.source for one in found] == ["openssl", "socket", "process", "file"]
    openssl = found[0]
    assert (openssl.captured_bytes, openssl.lost_bytes) == (1000, 350)
    assert openssl.sent_bytes == 1000 + 350 + 20 + 7
    assert found[2].sent_bytes is None, "it counts events alone"
    assert found[2].lost_events == 2


def test_losses_name_their_remedy_and_count_once() -> None:
    found = {(one.source, one.cause): one for one in losses(COUNTERS)}
    assert list(found) == [
        ("openssl", "ring_full"), ("openssl", "read_fault"), ("openssl", "call_too_long"),
        ("file", "ring_full"), ("process", "targets_table_full"),
    ]  # fmt: skip
    assert "UNDERGLASS_RING_KIB" in (found["openssl", "ring_full"].fix or "")
    assert "--pid" in (found["file", "ring_full"].fix or ""), "that ring has one size"
    assert found["openssl", "read_fault"].fix is None
    holes = losses([row("stream", "lost_bytes", 3, "gap")])
    assert [one.meaning for one in holes] == ["holes in streams"], "nothing else tells of them"
    assert losses([row("openssl", "lost_bytes", 0, "ring_full")]) == ()


def test_what_matters_comes_first_of_what_was_not_understood() -> None:
    assert [one.cause for one in undecoded(COUNTERS)] == ["bad_chunk", "not_http"]
    assert undecoded(COUNTERS)[0].meaning == "bad chunk"


def test_advice_says_why_a_program_is_not_seen() -> None:
    def told(rank: int, status: str, detail: str) -> str:
        return advice({"rank": rank, "status": status, "detail": detail})

    assert "not seen" in told(1, "unseen", "")
    assert told(2, "rejected", "3 connections").startswith("unhooked, as what came was no HTTP; 3")
    assert "coverage --now" in told(2, "not_hooked", "stripped")
    assert "look like HTTP" in told(4, "on_trial", "found by shape")
    assert told(5, "hooked", "6 functions") == "6 functions"


def test_the_page_of_a_store(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store.db", demo_batch(lost_bytes=64, lost_events=2))
    with open_reader(path) as reader:
        page = health_page(reader, 5)
        assert page == health_page(reader, 6), "when it was read makes no other page"
    assert not page.live
    assert (page.capture_total, page.captures[0].attached) == (1, 6)
    assert page.events == 1200
    assert page.running_calls == 1
    assert [one.value for one in page.losses] == [64, 2]
    assert (page.program_total, page.ranks) == (1, {5: 1})
    assert page.programs[0]["program"] == "/usr/bin/node"
