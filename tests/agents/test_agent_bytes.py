"""Real agents that were never seen before, stopped until they are hooked: every byte of every
connection, in both directions, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.events import Source
from probes.private_file import FOLDER_VARIABLE
from tests.agents.runs import LONGEST_S, ROWS, Account, Row, account
from tests.e2e.raw_capture import RawConnection, RawProbe
from underglass.demo.standin import StandIn

pytestmark = [pytest.mark.privileged, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def freezing_probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawProbe]:
    """A probe process that knows no file yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("plans")))
        with RawProbe(freeze=True) as probe:
            yield probe


def speaking(connections: list[RawConnection]) -> list[RawConnection]:
    return [one for one in connections if one.read or one.written]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_byte_of_every_connection(
    row: Row,
    freezing_probe: RawProbe,
    alone: Callable[[Row], Account],
    tmp_path: Path,
) -> None:
    with StandIn("agents", tmp_path / "standin", http2=row.http2) as server:
        run = row.agent.prepare(tmp_path, server)
        result = freezing_probe.watch(
            run.command, run.environment, cwd=run.work, timeout_s=LONGEST_S
        )
        books = account(server, run, result.exit_code, result.stdout.decode())
    assert books.exit_code == 0, result.stderr.decode("utf-8", "replace")[-2000:]
    assert {record.http_version for record in books.connections} == (
        {"2"} if row.http2 == "auto" and alone(row).connections[0].http_version == "2" else {"1.1"}
    )
    captured = speaking(
        [one for one in result.connections.values() if one.source is not Source.CHANNEL]
    )
    assert sorted(one.digests for one in captured) == sorted(
        (record.received_sha256, record.sent_sha256) for record in books.connections
    )
    assert len({one.source for one in captured}) == 1
    assert all(one.gaps == 0 for one in captured)
    assert not {name: n for name, n in result.counters.items() if "lost" in name and n}
    assert books.like(alone(row))
