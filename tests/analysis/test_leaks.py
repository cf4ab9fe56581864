from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.leaks import leaks
from analysis.steps import (
    CallStep,
    ConnectionStep,
    FileStep,
    Finding,
    ProcessStep,
    SessionStep,
    SessionSteps,
    SightingStep,
)

SECOND = 1_000_000_000
SESSION = SessionStep("s1", "read", "agent", None, None, 10, 0)
AGENT = ProcessStep("b:10:1", 10, 1, ("node", "agent.js"), "/usr/bin/node", 1000, 0, "s1")
CAT = ProcessStep("b:20:1", 20, 10, ("cat", ".env"), "/usr/bin/cat", 1000, 5 * SECOND, "s1")
CURL = ProcessStep("b:21:1", 21, 10, ("curl", "-d", "@-"), "/usr/bin/curl", 1000, 6 * SECOND, "s1")
CALL = CallStep("c1", "s1", "m", 9 * SECOND, 1, 1, pid=10)
READ = FileStep(
    *("f1", CAT.process_key, 20, "s1", 5 * SECOND, 5 * SECOND, 1, "open", "read", "/srv/shop/.env"),
    sensitive="environment_file",
)
CONNECTION = ConnectionStep(
    *("n1", CURL.process_key, 21, "s1", 6 * SECOND, 6 * SECOND, 1, "tcp", "203.0.113.9", 8080),
    name="sink.example",
)
SENT = SightingStep(
    sighting_id="x1",
    path="/srv/shop/.env",
    sensitive="environment_file",
    read_process_key=CAT.process_key,
    read_ns=5 * SECOND + 1,
    process_key=CURL.process_key,
    pid=21,
    session_id="s1",
    sent_ns=7 * SECOND,
    call_id=None,
    host="sink.example:8080",
    url_path="/collect",
    encoding="base64",
    matched=4,
    known=5,
)
SHOWN = replace(
    SENT,
    sighting_id="x2",
    process_key=AGENT.process_key,
    pid=10,
    sent_ns=9 * SECOND,
    call_id="c1",
    host="api.anthropic.com",
    place="message",
    encoding="plain",
)


def found(*sightings: SightingStep, files: tuple[FileStep, ...] = (READ,)) -> list[Finding]:
    return leaks(
        SessionSteps(
            session=SESSION,
            calls=(CALL,),
            processes=(AGENT, CAT, CURL),
            files=files,
            connections=(CONNECTION,),
            sightings=sightings,
        )
    )


def of_kind(kind: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def test_content_that_goes_elsewhere_is_critical_and_explained() -> None:
    (leak,) = of_kind("leak", found(SENT))
    assert (leak.severity, leak.session_id, leak.count) == ("critical", "s1", 1)
    assert (leak.first_at_ns, leak.last_at_ns) == (SENT.read_ns, SENT.sent_ns)
    assert leak.title == ("content of /srv/shop/.env (environment_file) went to sink.example:8080")
    assert [(entry.kind, entry.id, entry.pid) for entry in leak.evidence] == [
        ("process", CURL.process_key, 21),
        ("file", "f1", 20),
        ("process", CAT.process_key, 20),
        ("connection", "n1", 21),
    ]
    assert "4 of 5 fingerprints, base64" in leak.evidence[0].note


def test_content_that_the_model_is_shown_is_a_warning() -> None:
    (leak,) = of_kind("leak", found(SHOWN))
    assert leak.severity == "warning"
    assert leak.title.endswith("went to the model at api.anthropic.com")
    assert leak.evidence[0].kind == "call"
    assert leak.evidence[0].id == "c1"


@pytest.mark.parametrize(
    ("changed", "severity"),
    [
        ({"place": "credential"}, "warning"),
        ({"place": "rpc", "host": None}, "warning"),
        ({"host": "api.openai.com"}, "warning"),
        ({"host": "api.openai.com:443"}, "warning"),
        ({"host": "api.openai.com.sink.example"}, "critical"),
        ({"host": "127.0.0.1:9"}, "critical"),
        ({"host": "[::1]:9"}, "critical"),
        ({"host": None}, "critical"),
    ],
)
def test_severity(changed: dict[str, str | None], severity: str) -> None:
    (leak,) = of_kind("leak", found(replace(SENT, **changed)))  # type: ignore[arg-type]
    assert leak.severity == severity


def test_one_finding_for_a_process_and_one_for_a_call() -> None:
    again = replace(SENT, sighting_id="x3", sent_ns=8 * SECOND, host="other.example")
    elsewhere, shown = of_kind("leak", found(SENT, again, SHOWN))
    assert elsewhere.count == 2
    assert "sink.example:8080, to other.example" in elsewhere.title
    assert shown.severity == "warning"


def test_calls_of_other_sessions_are_theirs() -> None:
    assert of_kind("leak", found(replace(SHOWN, call_id="c9"))) == []


def test_what_sub_agents_send_counts() -> None:
    (leak,) = of_kind("leak", found(replace(SENT, session_id="sub")))
    assert leak.session_id == "s1"


def test_a_leak_without_processes_or_files_is_one_all_the_same() -> None:
    steps = SessionSteps(session=SESSION, sightings=(replace(SENT, path=None),))
    (leak,) = leaks(steps)
    assert leak.title.startswith("content of a file (environment_file)")
    assert [entry.kind for entry in leak.evidence] == ["process", "process"]


def reads(**changes: object) -> list[Finding]:
    files = (replace(READ, **changes),)  # type: ignore[arg-type]
    return of_kind("sensitive_read", found(files=files))


def test_a_read_of_a_sensitive_file() -> None:
    (finding,) = reads()
    assert (finding.severity, finding.title) == (
        "warning",
        "cat read /srv/shop/.env (environment_file)",
    )
    assert [(entry.kind, entry.id) for entry in finding.evidence] == [
        ("file", "f1"),
        ("process", CAT.process_key),
    ]


def test_one_finding_a_file() -> None:
    more = replace(READ, file_event_id="f2", first_ns=8 * SECOND, last_ns=8 * SECOND, count=3)
    (finding,) = of_kind("sensitive_read", found(files=(READ, more)))
    assert (finding.count, finding.last_at_ns) == (4, 8 * SECOND)


def test_what_is_not_told() -> None:
    assert reads(sensitive=None) == []
    assert reads(access="write") == []
    assert reads(operation="unlink", access=None) == []
    assert reads(error="ENOENT") == []


def test_a_denied_read_is_told_gently() -> None:
    (finding,) = reads(error="EACCES", path="/etc/shadow", sensitive="system_passwords")
    assert (finding.severity, finding.title) == (
        "info",
        "cat tried to read /etc/shadow (system_passwords)",
    )


def test_an_agents_own_credentials() -> None:
    own = {"path": "/root/.claude/.credentials.json", "sensitive": "agent_credentials"}
    assert reads(**own, process_key=AGENT.process_key, pid=10) == []
    (finding,) = reads(**own)
    assert finding.severity == "warning"


def test_the_agent_itself_and_tools_that_files_are_for_read_them_gently() -> None:
    (finding,) = reads(process_key=AGENT.process_key, pid=10)
    assert finding.severity == "info"
    (finding,) = reads(
        process_key=CURL.process_key, pid=21, path="/root/.netrc", sensitive="login_credentials"
    )
    assert finding.severity == "info"


def test_a_processs_own_environment() -> None:
    assert reads(path="/proc/20/environ", sensitive="process_environment") == []
    assert len(reads(path="/proc/10/environ", sensitive="process_environment")) == 1


@pytest.mark.parametrize(("options", "told"), [("aux", 0), ("-ef", 0), ("auxe", 1), ("e", 1)])
def test_lists_of_processes_open_every_environment_and_show_some(options: str, told: int) -> None:
    environment = replace(READ, path="/proc/1/environ", sensitive="process_environment")
    listing = replace(CAT, argv=("ps", options), exe="/usr/bin/ps")
    findings = leaks(
        SessionSteps(
            session=SESSION,
            calls=(CALL,),
            processes=(AGENT, listing),
            files=(environment,),
        )
    )
    assert [finding.severity for finding in findings] == ["info"] * told


def test_looking_up_names_of_accounts_is_not_told() -> None:
    passwd = replace(READ, path="/etc/passwd", sensitive="system_accounts")
    assert of_kind("sensitive_read", found(files=(passwd,))) == []
    said = replace(CAT, argv=("sh", "-c", "cat /etc/passwd | base64"))
    steps = SessionSteps(session=SESSION, processes=(said,), files=(passwd,))
    (finding,) = leaks(steps)
    assert finding.kind == "sensitive_read"


def test_nothing_is_said_of_nothing() -> None:
    assert leaks(SessionSteps(session=SESSION)) == []
