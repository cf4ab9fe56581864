from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.privileges import privilege_escalations
from analysis.steps import Finding, PrivilegeStep, ProcessStep


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


def change(
    key: str, at: int, what: str, *, uid: int = 1000, euid: int | None = None, **more: Any
) -> PrivilegeStep:
    """A change of the process with that key; all capabilities for root, none for others."""
    known = {"capabilities": ("all",) if (uid if euid is None else euid) == 0 else ()} | more
    return PrivilegeStep(
        f"{key}@{at}",
        key,
        int(key.partition("-")[0]),
        "s",
        at,
        what,
        error=known.pop("error", None),
        uid=uid,
        euid=uid if euid is None else euid,
        **known,
    )


def found(*changes: PrivilegeStep, tree: list[ProcessStep] | None = None) -> list[Finding]:
    known = [AGENT, process(12, 10, "./tool")] if tree is None else tree
    return privilege_escalations(known, changes)


def test_sudo_by_name_and_by_the_kernel_is_one_finding() -> None:
    tree = [
        AGENT,
        process(12, 10, "sudo apt install nmap", exe="/usr/bin/sudo"),
        process(13, 12, "apt install nmap", uid=0),
        process(14, 13, "mount /x", uid=0),
    ]
    changes = [
        change("12-12", 12, "exec", euid=0),
        change("12-12", 13, "setuid", uid=0),
        change("14-14", 14, "unshare", uid=0, detail="mount"),
    ]
    (finding,) = found(*changes, tree=tree)
    assert finding.severity == "critical"
    assert finding.title == "The agent's process 12 ran sudo to act as another user"
    assert [e.id for e in finding.evidence] == [
        "12-12",
        "12-12@12",
        "13-13",
        "14-14",
        "14-14@14",
    ]


def test_sudo_that_asks_for_a_password_in_vain_stays_a_warning() -> None:
    tree = [AGENT, process(12, 10, "sudo ls")]
    (finding,) = found(change("12-12", 12, "exec", euid=0), tree=tree)
    assert finding.severity == "warning"
    assert len(finding.evidence) == 2


def test_what_a_process_executes_after_sudo_belongs_to_it() -> None:
    first = ProcessStep("k", 12, 10, ("sudo", "id"), None, 1000, 12, None, ended_ns=20)
    then = ProcessStep("k:1", 12, 10, ("id",), None, 0, 20, None)
    (finding,) = found(tree=[AGENT, first, then])
    assert [e.id for e in finding.evidence] == ["k", "k:1"]
    assert finding.severity == "critical"


def test_a_set_uid_program_of_any_name() -> None:
    (finding,) = found(change("12-12", 13, "exec", euid=0))
    assert finding.severity == "critical"
    assert finding.title == "The agent's process 12 ran tool, which is set-uid root"
    assert [(e.kind, e.id, e.pid) for e in finding.evidence] == [
        ("process", "12-12", 12),
        ("privilege", "12-12@13", 12),
    ]


@pytest.mark.parametrize(
    ("capabilities", "severity"), [(("CAP_NET_RAW",), "info"), (("CAP_SYS_ADMIN",), "warning")]
)
def test_a_program_whose_file_has_capabilities(
    capabilities: tuple[str, ...], severity: str
) -> None:
    (finding,) = found(change("12-12", 13, "exec", capabilities=capabilities))
    assert finding.severity == severity
    assert capabilities[0].lower() in finding.title


def test_root_that_gives_itself_up_gains_nothing() -> None:
    tree = [process(10, 1, "agent", uid=0), process(12, 10, "./tool", uid=0)]
    dropped = change("12-12", 13, "setuid", uid=1000)
    fewer = change("12-12", 14, "capset", capabilities=())
    assert found(dropped, fewer, tree=tree) == []
    (finding,) = found(dropped, change("12-12", 15, "setuid", error="EPERM"), tree=tree)
    assert (finding.severity, "EPERM" in finding.title) == ("info", True)
    (again,) = found(dropped, change("12-12", 15, "setuid", uid=1000, euid=0), tree=tree)
    assert again.severity == "critical"
    assert "became root" in again.title


def test_an_agent_that_becomes_root_is_told_once_and_its_children_are_not() -> None:
    tree = [AGENT, process(12, 10, "ls", uid=0), process(13, 10, "sudo ls", uid=0)]
    became, by_name = found(change("10-10", 11, "setuid", uid=0), tree=tree)
    assert became.severity == "critical"
    assert [e.id for e in became.evidence] == ["10-10", "10-10@11"]
    assert by_name.severity == "info"


def test_namespaces() -> None:
    (finding,) = found(change("12-12", 13, "unshare", detail="mount user"))
    assert finding.severity == "warning"
    assert "unshare mount user" in finding.title
    assert found(change("12-12", 13, "unshare", detail="fs")) == []  # threads do that
    assert found(change("12-12", 13, "unshare", detail=None)) == []
    (both,) = found(change("12-12", 13, "unshare", detail="fs mount"))
    assert both.severity == "warning"
    sandbox = [AGENT, process(12, 10, "bwrap --unshare-all ls")]
    assert found(change("12-12", 13, "unshare", detail="user"), tree=sandbox) == []
    (tried,) = found(change("12-12", 13, "setns", error="EPERM"))
    assert tried.severity == "info"


def test_tracing_another_process() -> None:
    tree = [AGENT, process(12, 10, "gdb"), process(13, 12, "./mine")]
    assert found(change("12-12", 14, "ptrace", detail="PTRACE_TRACEME"), tree=tree) == []
    (own,) = found(change("12-12", 14, "ptrace", target_pid=13), tree=tree)
    assert own.severity == "info"
    (other,) = found(change("12-12", 14, "ptrace", target_pid=10), tree=tree)
    assert other.severity == "warning"
    assert other.title == "The agent's process 12 traced process 10"
    (tried,) = found(change("12-12", 14, "ptrace", target_pid=1, error="EPERM"), tree=tree)
    assert tried.severity == "info"


def test_capabilities_taken() -> None:
    assert found(change("12-12", 13, "capset", capabilities=())) == []
    (finding,) = found(change("12-12", 13, "capset", capabilities=("CAP_SYS_ADMIN",)))
    assert finding.title.endswith("took cap_sys_admin")


def test_a_process_that_is_not_known_is_named_by_its_pid() -> None:
    (finding,) = found(change("99-1", 13, "exec", euid=0), tree=[AGENT])
    assert (finding.session_id, finding.severity) == ("s", "critical")
    assert finding.evidence[0].pid == 99


CHANGE = st.builds(
    change,
    st.sampled_from(["1-1", "2-2", "3-0", "9-9"]),
    st.integers(0, 9),
    st.sampled_from(["exec", "setuid", "setgid", "capset", "unshare", "setns", "ptrace", "x"]),
    uid=st.sampled_from([0, 1000]),
    error=st.sampled_from([None, "EPERM"]),
    target_pid=st.sampled_from([None, 0, 1, 3, 77]),
)


@given(st.lists(PROCESS, max_size=8, unique_by=lambda p: p.process_key), st.lists(CHANGE))
def test_no_change_is_evidence_twice(tree: list[ProcessStep], made: list[PrivilegeStep]) -> None:
    distinct = list({one.privilege_change_id: one for one in made}.values())
    ids = [e.id for finding in found(*distinct, tree=tree) for e in finding.evidence]
    assert len(ids) == len(set(ids))
