"""What processes do, from frames to the views of a store: live, replayed, decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.reading import connections, files, open_reader
from collector.database import run
from collector.pipeline import Pipeline
from collector.redaction import Redactor
from collector.redecode import redecode
from collector.store import Store
from probes import frames
from tests.action_frames import (
    connect,
    connected_frame,
    touch,
    touched_frame,
)
from tests.collector.captures import MS, actions, in_order, record, replayed, tables_of
from tests.collector.test_client_hello import client_hello
from tests.collector.test_pipeline import agents_day
from tests.frames import (
    AGENT,
    API_KEY,
    CONNECTION,
    INFO,
    SALT,
    SECOND,
    executed,
    exited,
    forked,
    hello,
)
from underglass.cli import underglass

TOOL = 5000
ACTIONS = ("file_event", "network_event", "privilege_change")


def day() -> list[bytes]:
    """An agent's calls, what it and a tool of it did, some of it told after the tool's end."""
    at = 2 * SECOND
    secret = f"/tmp/{API_KEY.decode()}"
    return in_order(
        [
            *agents_day(),
            forked(TOOL, AGENT, at=at),
            executed(TOOL, AGENT, [b"cp", b"a", b"b"], at=at + 1),
            touched_frame(touch("/src/c", at + 2, pid=TOOL, tid=TOOL)),
            *actions(at + 10 * MS),
            exited(TOOL, 0, at=at + 30 * MS),
            touched_frame(touch(secret, at + 31 * MS, pid=TOOL, tid=TOOL, result=-2)),
            connected_frame(connect("192.0.2.9", at=at + 32 * MS, inode=4, result=-115)),
            hello(client_hello("late.example"), CONNECTION._replace(handle=4), at=at + 33 * MS),
        ]
    )


def live(store: Path, captured: Sequence[bytes], every: int, *, content: bool = True) -> Path:
    """A store as a capture writes it, with a batch after so many frames."""
    redactor = Redactor(SALT, bodies=False)
    pipeline = Pipeline(INFO, redactor.redact_text, content=content)
    with Store.open(store, content=content) as opened_store:
        for number, one in enumerate(captured):
            pipeline.feed(redactor.frame(one))
            if number % every == 0:
                opened_store.write(pipeline.take())
        opened_store.write(pipeline.finish())
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live(tmp_path_factory.mktemp("live") / "s.db", day(), 3)


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_batches_and_replay_give_the_same_rows(store: Path, tmp_path: Path, every: int) -> None:
    expected = tables_of(store)
    assert all(expected[name] for name in ACTIONS)
    assert tables_of(live(tmp_path / "again.db", day(), every)) == expected
    kept = record(tmp_path / "day.uglass", day())
    found = tables_of(replayed(tmp_path / "replayed.db", kept, kept))  # the second changes nothing
    assert {name: found[name] for name in ACTIONS} == {name: expected[name] for name in ACTIONS}


def test_redecoding_exchanges_them(store: Path, tmp_path: Path) -> None:
    kept = record(tmp_path / "day.uglass", day())
    expected = tables_of(store)
    again = replayed(tmp_path / "s.db", kept)
    with Store.open(again) as opened_store:
        for change in (
            "UPDATE file_event SET file_event_id = file_event_id || 'x', count = 99",
            "DELETE FROM network_event WHERE name IS NULL",
            "UPDATE network_event SET name = 'other.example'",
            "UPDATE privilege_change SET detail = 'other'",
        ):
            opened_store.transact(partial(run, sql=change))
        redecode(opened_store, kept, Redactor(SALT), version="0.2.0")
    found = tables_of(again)
    assert {name: found[name] for name in ACTIONS} == {name: expected[name] for name in ACTIONS}


def test_raw_data_that_ends_early_takes_nothing_away(store: Path, tmp_path: Path) -> None:
    short = record(tmp_path / "short.uglass", [one for one in day() if _time(one) < 2 * SECOND])
    again = live(tmp_path / "s.db", day(), 5)
    with Store.open(again) as opened_store:
        done = redecode(opened_store, short, Redactor(SALT), version="0.2.0")
    assert not done.change.covers_all
    found, expected = tables_of(again), tables_of(store)
    assert {name: found[name] for name in ACTIONS} == {name: expected[name] for name in ACTIONS}


def _time(captured: bytes) -> int:
    return int(frames.HEADER.unpack_from(captured)[4])


def test_files_in_the_view(store: Path) -> None:
    with open_reader(store) as reader:
        rows = files(reader).records()
        (session,) = {row["session_id"] for row in rows}
        assert session is not None
        assert files(reader, None, session).records() == rows
        assert files(reader, None, "no such").records() == []
        since = files(reader, INFO.wall_ns(2 * SECOND + 31 * MS)).records()
    told = [(row["comm"], row["operation"], row["access"], row["count"]) for row in rows]
    assert told == [
        ("cp", "open", "read", 1),
        ("agent", "open", "read", 3),
        ("agent", "open", "write", 1),
        ("agent", "rename", None, 1),
        ("cp", "open", "read", 1),
    ]
    assert since == rows[-1:]
    assert since[0]["error"] == "ENOENT"
    assert since[0]["path"].startswith("/tmp/[redacted:")
    assert (rows[3]["path"], rows[3]["new_path"]) == ("/src/a", "/src/b")


def test_connections_in_the_view(store: Path) -> None:
    with open_reader(store) as reader:
        rows = connections(reader).records()
    assert [(row["address"], row["name"], row["name_source"], row["error"]) for row in rows] == [
        ("192.0.2.7", "api.anthropic.com", "dns", None),
        ("192.0.2.8", None, None, "ECONNREFUSED"),
        ("/run/agent.sock", None, None, None),
        ("192.0.2.9", "late.example", "tls", None),
    ]


def test_privilege_changes_in_the_view(store: Path) -> None:
    with open_reader(store) as reader:
        (row,) = reader.rows("SELECT * FROM privilege_changes").records()
    assert (row["change"], row["detail"], row["capabilities"]) == ("unshare", "user", [])
    assert row["comm"] == "agent"


def test_every_event_is_counted(store: Path) -> None:
    with open_reader(store) as reader:
        counted = dict(
            reader.rows("SELECT source, value FROM health WHERE counter = 'received_events'").rows
        )
        sums = reader.rows(
            "SELECT (SELECT sum(count) FROM file_events), (SELECT sum(count) FROM network_events)"
        ).rows[0]
    assert counted == {"file": 7, "network": 4, "privilege": 1, "dns": 1}
    assert tuple(map(int, sums)) == (7, 4)


def test_without_content_paths_and_names_are_kept(store: Path, tmp_path: Path) -> None:
    bare = tables_of(live(tmp_path / "bare.db", day(), 3, content=False))
    expected = tables_of(store)
    assert {name: bare[name] for name in ACTIONS} == {name: expected[name] for name in ACTIONS}


@pytest.mark.parametrize(
    ("command", "shown"),
    [("files", ["/src/a -> /src/b", "ENOENT", "cp"]), ("connections", ["late.example", "tcp"])],
)
def test_commands_list_them(store: Path, command: str, shown: list[str]) -> None:
    result = CliRunner().invoke(underglass, [command, "--db", str(store)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for text in shown:
        assert text in result.output
