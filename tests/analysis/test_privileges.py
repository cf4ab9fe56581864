from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analysis.privileges import privilege_escalations
from analysis.steps import ProcessStep


def process(
    pid: int,
    ppid: int | None,
    argv: str,
    *,
    uid: int | None = 1000,
    at: int | None = None,
    session: str | None = None,
    exe: str | None = None,
) -> ProcessStep:
    started_ns = pid if at is None else at
    key = f"{pid}-{started_ns}"
    return ProcessStep(key, pid, ppid, tuple(argv.split()), exe, uid, started_ns, session)


AGENT = process(10, 1, "claude", session="s")


def test_ordinary_commands_are_none() -> None:
    tree = [
        AGENT,
        process(11, 10, "bash -c ls"),
        process(12, 11, "grep sudo /etc/passwd"),
        process(13, 11, "bwrap --unshare-all ls"),
        process(14, 11, "git commit -m su"),
    ]
    assert privilege_escalations(tree) == []


def test_sudo_and_what_it_starts_as_root_are_one_finding() -> None:
    tree = [
        AGENT,
        process(11, 10, "bash -c x"),
        process(12, 11, "sudo apt install nmap", exe="/usr/bin/sudo"),
        process(13, 12, "apt install nmap", uid=0),
        process(14, 13, "dpkg -i nmap.deb", uid=0),
    ]
    (finding,) = privilege_escalations(tree)
    assert finding.kind == "privilege_escalation"
    assert finding.session_id == "s"
    assert finding.severity == "critical"
    assert (finding.first_at_ns, finding.last_at_ns) == (12, 13)
    assert [(e.kind, e.id, e.note) for e in finding.evidence] == [
        ("process", "12-12", "pid 12, uid 1000: sudo apt install nmap"),
        ("process", "13-13", "pid 13, uid 0: apt install nmap"),
    ]


def test_sudo_that_starts_nothing_is_a_warning() -> None:
    (finding,) = privilege_escalations([AGENT, process(12, 10, "sudo -n true")])
    assert finding.severity == "warning"


def test_sudo_by_root_gains_nothing() -> None:
    tree = [process(10, 1, "agent", uid=0), process(12, 10, "sudo ls", uid=0)]
    (finding,) = privilege_escalations(tree)
    assert finding.severity == "info"
    assert finding.title.endswith("as root already")


def test_set_uid_and_namespace_programs() -> None:
    tree = [AGENT, *(process(20 + n, 10, a) for n, a in enumerate(("passwd", "unshare -r sh")))]
    titles = [finding.title for finding in privilege_escalations(tree)]
    assert titles == [
        "The agent's process 20 ran passwd, usually a set-uid program",
        "The agent's process 21 ran unshare to enter another namespace",
    ]


def test_a_renamed_set_uid_program_shows_by_its_user() -> None:
    (finding,) = privilege_escalations([AGENT, process(12, 10, "./helper", uid=0)])
    assert finding.severity == "critical"
    assert privilege_escalations([AGENT, process(12, 10, "./helper", uid=1001)]) == []
    unknown = process(10, 1, "agent", uid=None)
    assert privilege_escalations([unknown, process(12, 10, "./helper", uid=0)]) == []


def test_the_executable_counts_when_the_first_argument_lies() -> None:
    (finding,) = privilege_escalations([AGENT, process(12, 10, "ls", exe="/usr/bin/sudo")])
    assert "ran sudo" in finding.title


def test_a_reused_pid_is_another_parent() -> None:
    tree = [
        process(10, 1, "daemon", uid=0, at=1),
        process(10, 1, "agent", uid=1000, at=50, session="s"),
        process(12, 10, "./x", uid=0, at=60),
    ]
    (finding,) = privilege_escalations(tree)
    assert finding.session_id == "s"
    before = [tree[0], tree[1], process(12, 10, "./x", uid=0, at=40)]
    assert privilege_escalations(before) == []


def test_long_arguments_are_cut() -> None:
    (finding,) = privilege_escalations([AGENT, process(12, 10, "sudo " + "x" * 1000)])
    assert finding.evidence[0].note == "pid 12, uid 1000: sudo " + "x" * 195


PROCESS = st.builds(
    process,
    st.integers(1, 5),
    st.none() | st.integers(1, 5),
    st.sampled_from(["", "sudo x", "ls", "su", "/", "unshare"]),
    uid=st.sampled_from([None, 0, 1000]),
    at=st.none() | st.integers(0, 5),
)


@given(st.lists(PROCESS, max_size=12, unique_by=lambda p: p.process_key))
def test_each_process_is_evidence_at_most_once(tree: list[ProcessStep]) -> None:
    evidence = [e.id for finding in privilege_escalations(tree) for e in finding.evidence]
    assert len(evidence) == len(set(evidence))
    named = {p.process_key for p in tree if p.argv and p.argv[0] in ("sudo", "su", "unshare")}
    assert named <= set(evidence)
