from __future__ import annotations

from typing import Any

import pytest

from analysis.reading import coverage as coverage_view
from analysis.reading import open_reader
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.rows import Batch, CoverageRow
from collector.store import Store
from probes import frames
from probes.events import ConnectionKey, LibrarySeen, ProcessSeen, ProcessTraffic, Source
from tests.collector.test_client_hello import client_hello
from tests.frames import (
    AGENT,
    CONNECTION,
    INFO,
    SALT,
    STARTED_NS,
    closed,
    executed,
    exited,
    final_rows,
    forked,
    hello,
    opened,
    path,
    plain_data,
)

LIBSSL = "/usr/lib/libssl.so.3"
OTHER = CONNECTION._replace(handle=0x7F00_2000)


def library(
    *pids: int,
    at: str = LIBSSL,
    stack: str = "openssl",
    status: str = "hooked",
    method: str = "symbols",
    detail: str = "",
) -> bytes:
    return frames.encode(LibrarySeen(1, at, "b1", stack, status, method, detail, pids))


def traffic(read: int, written: int, pid: int = AGENT) -> bytes:
    return frames.encode(ProcessTraffic(2, pid, STARTED_NS, read, written))


def rows(*captured: bytes, takes: bool = False) -> list[CoverageRow]:
    pipeline = Pipeline(INFO, Redactor(SALT).redact_text)
    batches: list[Batch] = []
    for one in captured:
        pipeline.feed(one)
        if takes:
            batches.append(pipeline.take())
    batches.append(pipeline.finish())
    found: Any = final_rows(batches)["coverage"].values()
    return list(found)


RUNS = executed(AGENT, 1, [b"agent"])


def test_a_row_for_each_process_that_holds_a_stack() -> None:
    captured = [
        RUNS,
        path(AGENT, [b"usr", b"bin", b"agent"]),
        executed(5000, AGENT, [b"curl"]),
        library(),
        library(AGENT),
        library(5000, 7),
    ]
    found = rows(*captured)
    assert [(row.pid, row.program, row.path, row.status, row.method) for row in found] == [
        (AGENT, "/usr/bin/agent", LIBSSL, "hooked", "symbols"),
        (5000, "curl", LIBSSL, "hooked", "symbols"),
    ]
    assert found[0].process_key == f"{INFO.boot_id[:8]}:{AGENT}:{STARTED_NS // 10_000_000}"
    assert rows(*captured, takes=True) == found


def test_what_becomes_of_a_trial() -> None:
    def trial(status: str) -> bytes:
        return library(AGENT, status=status, method="boringssl", stack="boringssl")

    (row,) = rows(RUNS, trial("on_trial"), trial("rejected"), takes=True)
    assert (row.status, row.method) == ("rejected", "boringssl")


def test_plaintext_counts_for_the_stack_that_it_came_through() -> None:
    go = CONNECTION._replace(handle=0xC000)
    captured = [
        RUNS,
        library(AGENT),
        library(AGENT, at="/opt/tool", stack="go"),
        opened(),
        plain_data(b"x" * 10),
        plain_data(b"y" * 7, 0, position=3),
        closed(10, 12),
        plain_data(b"z" * 5, key=go, source=Source.GO),
        plain_data(b"plain", key=OTHER, source=Source.SOCKET),
    ]
    found = {row.stack: (row.read_bytes, row.written_bytes) for row in rows(*captured)}
    assert found == {"openssl": (10, 12), "go": (0, 5)}
    again = {row.stack: (row.read_bytes, row.written_bytes) for row in rows(*captured, takes=True)}
    assert again == found


def test_of_several_files_of_a_stack_it_is_not_known_which() -> None:
    found = rows(RUNS, library(AGENT), library(AGENT, at="/opt/libssl.so"), plain_data(b"abc"))
    assert [(row.path, row.written_bytes, row.detail) for row in found] == [
        (LIBSSL, 0, ""),
        ("/opt/libssl.so", 0, ""),
        (None, 3, "which of 2 files is not known"),
    ]


def test_a_fork_uses_its_parents_files() -> None:
    child = ConnectionKey(5000, STARTED_NS, 1, 1)
    found = rows(RUNS, library(AGENT), forked(5000, AGENT), plain_data(b"abc", key=child))
    assert [(row.pid, row.path, row.written_bytes) for row in found] == [
        (AGENT, LIBSSL, 0),
        (5000, LIBSSL, 3),
    ]


def test_another_program_of_the_process_begins_anew() -> None:
    found = rows(
        RUNS,
        library(AGENT),
        plain_data(b"abc"),
        traffic(100, 200),
        executed(AGENT, 1, [b"native"]),
        library(AGENT, at="/opt/native", stack="rustls", status="not_hooked"),
        traffic(150, 260),
    )
    assert [
        (row.program, row.stack, row.tls_read_bytes, row.tls_written_bytes) for row in found
    ] == [
        ("agent", "openssl", 100, 200),
        ("native", "rustls", 50, 60),
    ]
    assert len({row.process_key for row in found}) == 2


def test_bytes_of_connections_that_are_closed_after_the_exit() -> None:
    captured = [RUNS, library(AGENT), opened(), exited(AGENT, 0), closed(30, 40)]
    (row,) = rows(*captured, takes=True)
    assert (row.read_bytes, row.written_bytes) == (30, 40)
    assert rows(*captured) == [row]


# What is not seen


def test_tls_to_a_models_host_without_a_stack_is_told() -> None:
    found = rows(RUNS, hello(client_hello("api.openai.com")), traffic(9000, 1000))
    (row,) = found
    assert (row.status, row.stack, row.path) == ("unseen", "unknown", None)
    assert row.detail == "talks TLS to api.openai.com; no known TLS stack found in its files"
    assert (row.hosts, row.tls_read_bytes) == (("api.openai.com",), 9000)


@pytest.mark.parametrize(
    "host", ["example.org", "s3.amazonaws.com", "openai.com.example.org", None]
)
def test_tls_to_others_is_nobodys_business(host: str | None) -> None:
    assert rows(RUNS, hello(client_hello(host)), traffic(9000, 1000)) == []


def test_a_process_of_which_nothing_else_is_known_is_told_too() -> None:
    (row,) = rows(hello(client_hello("bedrock-runtime.eu-west-1.amazonaws.com")))
    assert (row.pid, row.program, row.status) == (AGENT, None, "unseen")


def test_records_without_plaintext_are_told_of_a_hooked_stack() -> None:
    (row,) = rows(RUNS, library(AGENT), traffic(60_000, 10_000))
    assert row.detail == "70,000 bytes of TLS records and no plaintext"
    (row,) = rows(RUNS, library(AGENT, detail="6 functions"), traffic(60_000, 10_000))
    assert row.detail == "70,000 bytes of TLS records and no plaintext; 6 functions"
    (row,) = rows(RUNS, library(AGENT), traffic(60_000, 10_000), plain_data(b"x"))
    assert row.detail == ""
    (row,) = rows(RUNS, library(AGENT), traffic(6000, 1000))
    assert row.detail == "", "no more than handshakes"


def test_the_view_shows_the_worst_first_and_nothing_that_was_found_later(tmp_path: Any) -> None:
    """Rows are told as soon as they are known; what replaces them comes later."""
    ran = ProcessSeen(1, 99, 5, 1, "old", "/bin/old", ("old",), "/", 0)
    captured = [
        RUNS,
        hello(client_hello("api.openai.com")),
        plain_data(b"x"),
        library(AGENT),
        frames.encode(ran),
        hello(client_hello("api.anthropic.com"), ConnectionKey(99, 5, 1, 1)),
        executed(5000, 1, [b"bun"]),
        library(5000, at="/opt/bun", stack="boringssl", status="not_hooked", method=""),
        executed(5001, 1, [b"silent"]),
        library(5001),
        traffic(60_000, 0, pid=5001),
    ]
    with Store.open(tmp_path / "s.db") as store:
        pipeline = Pipeline(INFO, Redactor(SALT).redact_text)
        for one in captured:
            pipeline.feed(one)
            store.write(pipeline.take())
        store.write(pipeline.finish())
    with open_reader(tmp_path / "s.db") as reader:
        found = coverage_view(reader).records()
    assert [(row["pid"], row["status"], row["path"], row["rank"]) for row in found] == [
        (99, "unseen", None, 1),
        (5000, "not_hooked", "/opt/bun", 2),
        (5001, "hooked", LIBSSL, 3),
        (AGENT, "hooked", LIBSSL, 5),
    ]
