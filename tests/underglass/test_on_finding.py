"""Commands and URLs that are told of findings."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from analysis.steps import Finding
from probes.errors import UnderglassError
from underglass import on_finding
from underglass.alerts import Told
from underglass.on_finding import Notifier, OnFinding, whom_to_tell


def finding(title: str = "the same call 3 times", severity: Any = "warning") -> Finding:
    return Finding("repeat", "s1", severity, 5, 6, title, (), 3)


def told(command: str, *findings: Finding, severity: str = "info") -> Notifier:
    notifier = Notifier(OnFinding((command,), severity))
    for one in findings:
        notifier(one)
    notifier.close(20)
    return notifier


def test_a_command_has_the_finding_and_no_terminal_and_no_arguments(tmp_path: Path) -> None:
    out, title = tmp_path / "out", 'it\'s $(touch x) "odd"\nand long'
    command = (
        f"token=hunter2; {{ cat; tr '\\0' ' ' < /proc/$$/cmdline; echo; printenv UNDERGLASS_TITLE;"
        f' echo "$UNDERGLASS_KIND $UNDERGLASS_SEVERITY $UNDERGLASS_SESSION";'
        f" (: < /dev/tty) 2>/dev/null && echo terminal; ps -o sid= -p $$; echo $$; }} >> {out}"
    )
    notifier = told(command, finding(title), finding("none of my business", "info"),
                    severity="warning")  # fmt: skip
    assert (notifier.told, notifier.failed, notifier.dropped) == (1, 0, 0)
    record, argv, *words = out.read_text().splitlines()
    assert json.loads(record)["title"] == title
    assert argv.split()[0] == "/bin/sh"
    assert "hunter2" not in argv
    assert words[:3] == [*title.splitlines(), "repeat warning s1"]
    session, pid = words[3:]
    assert session.strip() == pid  # in a session of its own, so of no terminal
    assert not (tmp_path / "x").exists()


def test_one_at_a_time_and_what_is_too_slow_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(on_finding, "_MOST_WAITING", 2)
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    notifier = Notifier(OnFinding((f"echo begun >> {tmp_path}/log; cat {fifo}",)))
    began = time.monotonic()
    notifier(finding())
    while not (tmp_path / "log").exists():
        assert time.monotonic() < began + 30
        time.sleep(0.01)
    before = time.monotonic()
    for _ in range(5):
        notifier(finding())
    assert time.monotonic() - before < 1  # the analyst does not wait
    assert notifier.dropped == 3
    assert (tmp_path / "log").read_text() == "begun\n"
    notifier.close(0.1)  # and neither does the end of the capture
    said = capsys.readouterr().err
    assert "5 findings were not handed to --on-finding" in said
    assert "failed 1 times" in said


def test_a_command_that_fails_or_hangs_is_told_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told("echo could not reach https://host/s3cret >&2; exit 7", finding())
    said = capsys.readouterr().err
    assert "exit code 7 could not reach https://host/…" in said
    assert "s3cret" not in said
    monkeypatch.setattr(on_finding, "COMMAND_S", 0.2)
    notifier = told("sleep 60 & sleep 60", finding())
    assert notifier.failure is not None
    assert notifier.failure.endswith("ended after 0.2 s")


@pytest.fixture
def hook() -> Iterator[Callable[..., tuple[str, list[bytes]]]]:
    servers: list[HTTPServer] = []

    def start(*statuses: int) -> tuple[str, list[bytes]]:
        bodies: list[bytes] = []
        left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(left.pop(0) if left else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/hook?key=s3cret", bodies

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_url_gets_the_finding_and_is_tried_again(
    hook: Callable[..., tuple[str, list[bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(on_finding, "_BACKOFF_S", (0.01, 0.01))
    url, bodies = hook(503, 429, 200)
    assert told(url, finding()).told == 1
    assert [json.loads(each)["kind"] for each in bodies] == ["repeat"] * 3
    assert not capsys.readouterr().err
    for status, tries, why in ((404, 1, "404"), (302, 1, "302"), (500, 3, "500")):
        url, bodies = hook(*[status] * 9)
        assert told(url, finding()).failed == 1
        assert len(bodies) == tries
        said = capsys.readouterr().err
        assert why in said
        assert "s3cret" not in said


@pytest.mark.parametrize(
    "url", ["http://example.org/x?key=s3cret", "https://", "https://[x/s3cret"]
)
def test_where_no_finding_goes(url: str) -> None:
    with pytest.raises(UnderglassError) as refused:
        whom_to_tell((url,), "info")
    assert refused.value.exit_code == 2
    assert "s3cret" not in str(refused.value)


def test_all_are_told(tmp_path: Path, hook: Callable[..., tuple[str, list[bytes]]]) -> None:
    url, bodies = hook()
    alerts = tmp_path / "alerts"
    everybody = Told(alerts, whom_to_tell((url, f"cat > {tmp_path}/cat"), "info"))
    everybody(finding())
    everybody.close()
    assert alerts.read_bytes() == bodies[0] == (tmp_path / "cat").read_bytes()
    assert whom_to_tell((), "info") is None
