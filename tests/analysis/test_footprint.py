from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.derived import FootprintRow, ToolActionRow
from analysis.footprint import CROWD, KINDS, ROWS_OF_A_KIND, footprint
from analysis.steps import ConnectionStep, FileStep, ProcessStep, SessionStep, SessionSteps

SESSION = SessionStep("s1", "read", "agent", None, None, 10, 0)
_IDS = itertools.count()


def touch(operation: str, path: str, access: str | None = None, **fields: Any) -> FileStep:
    number = next(_IDS)
    fields.setdefault("session_id", "s1")
    session_id = fields.pop("session_id")
    return FileStep(
        *(f"f{number}", "b:10:1", 10, session_id, number, number, 1, operation, access, path),
        **fields,
    )


def read(path: str, **fields: Any) -> FileStep:
    return touch("open", path, "read", **fields)


def write(path: str, **fields: Any) -> FileStep:
    return touch("open", path, "write", **{"creates": True, **fields})


def rows(
    *files: FileStep,
    processes: tuple[ProcessStep, ...] = (),
    connections: tuple[ConnectionStep, ...] = (),
    actions: tuple[ToolActionRow, ...] = (),
) -> list[FootprintRow]:
    steps = SessionSteps(session=SESSION, files=files, processes=processes, connections=connections)
    return footprint(steps, actions)


def named(found: list[FootprintRow]) -> list[tuple[str, str, str | None]]:
    return [(row.kind, row.name, row.detail) for row in found]


def test_files_read_written_and_deleted() -> None:
    found = rows(
        read("/srv/a"),
        read("/srv/a"),
        touch("open", "/srv/b", "read_write"),
        touch("unlink", "/srv/old"),
        touch("mkdir", "/srv/new"),
        touch("chmod", "/srv/a"),
    )
    assert named(found) == [
        ("read", "/srv/a", None),
        ("read", "/srv/b", None),
        ("written", "/srv/a", "mode changed"),
        ("written", "/srv/b", None),
        ("written", "/srv/new", "directory"),
        ("deleted", "/srv/old", None),
    ]
    assert found[0].count == 2


def test_a_file_that_was_made_and_deleted_is_temporary() -> None:
    found = rows(write("/tmp/x"), touch("unlink", "/tmp/x"), touch("unlink", "/srv/kept"))
    assert named(found) == [
        ("written", "/tmp/x", "temporary: made and deleted again"),
        ("deleted", "/srv/kept", None),
        ("deleted", "/tmp/x", "temporary: made and deleted again"),
    ]


def test_a_file_that_was_there_before_is_not() -> None:
    found = rows(read("/srv/x"), write("/srv/x"), touch("unlink", "/srv/x"))
    assert ("deleted", "/srv/x", None) in named(found)


def test_a_file_that_is_written_by_renaming() -> None:
    found = rows(write("/srv/x.tmp"), touch("rename", "/srv/x.tmp", new_path="/srv/x"))
    assert ("written", "/srv/x", "renamed from /srv/x.tmp") in named(found)
    assert not [row for row in found if row.kind == "deleted"]
    found = rows(touch("rename", "/srv/a", new_path="/srv/b"))
    assert ("deleted", "/srv/a", "renamed to /srv/b") in named(found)


def test_tries_that_failed() -> None:
    found = rows(
        read("/srv/a", error="ENOENT"),
        read("/srv/b", error="ENOENT"),
        read("/srv/b"),
        read("/etc/shadow", error="EACCES", sensitive="system_passwords"),
    )
    assert [(row.name, row.count, row.failed, row.detail) for row in found] == [
        ("/etc/shadow", 0, 1, "denied: EACCES"),
        ("/srv/b", 1, 1, None),
    ]
    assert found[0].sensitive == "system_passwords"


def test_programs_hosts_and_sockets() -> None:
    node = ProcessStep("b:10:1", 10, 1, ("node",), "/usr/bin/node", 0, 5, "s1", ended_ns=9)
    forked = replace(node, process_key="b:11:1", argv=())
    above = replace(node, process_key="b:1:1", session_id=None)
    tcp = ConnectionStep("n1", "b:10:1", 10, "s1", 5, 6, 2, "tcp", "203.0.113.9", 443)
    found = rows(
        processes=(node, forked, above),
        connections=(
            replace(tcp, name="api.example"),
            replace(tcp, network_event_id="n2", transport="udp", name="api.example"),
            replace(tcp, network_event_id="n3", address="::1", error="ECONNREFUSED"),
            replace(tcp, network_event_id="n4", transport="udp", port=0),
            replace(tcp, network_event_id="n5", transport="unix", address="/run/x", port=None),
        ),
    )
    assert [(row.kind, row.name, row.count, row.failed, row.detail) for row in found] == [
        ("program", "/usr/bin/node", 1, 0, None),
        ("host", "[::1]:443", 0, 2, "tcp"),
        ("host", "api.example:443", 4, 0, "tcp, 203.0.113.9, udp"),
        ("local_socket", "/run/x", 2, 0, None),
    ]
    assert (found[0].first_ns, found[0].last_ns) == (5, 9)


def test_sub_agents_count_and_ancestors_do_not() -> None:
    main = ProcessStep("b:10:1", 10, 1, ("main",), "/usr/bin/main", 0, 5, "s1")
    helper = replace(main, process_key="b:11:1", exe="/usr/bin/helper", session_id="sub")
    shell = replace(main, process_key="b:1:1", exe="/usr/bin/bash", session_id="other")
    found = rows(read("/srv/a", session_id="sub"), processes=(shell, main, helper))
    assert [row.name for row in found] == ["/srv/a", "/usr/bin/helper", "/usr/bin/main"]
    assert {row.session_id for row in found} == {"s1"}


def test_what_a_tool_call_asked_for() -> None:
    asked, other = read("/srv/a"), read("/srv/b")
    action = ToolActionRow("s1", "c1", "t1", "file", asked.file_event_id, 1, "path", "certain")
    found = rows(asked, other, actions=(action,))
    assert [row.asked for row in found] == [True, False]
    assert [row.asked for row in rows(asked, other)] == [None, None]


def test_noise_stands_by_directory() -> None:
    libraries = [read(f"/usr/lib/x86_64-linux-gnu/lib{n}.so") for n in range(20)]
    modules = [read(f"/srv/.venv/lib/python3/site-packages/m{n}/a.py") for n in range(20)]
    standard = [read(f"/opt/py/lib/python3.11/m{n}/__pycache__/a.pyc") for n in range(20)]
    found = rows(*libraries, *modules, *standard, read("/srv/main.py"), read("/proc/self/maps"))
    assert named(found) == [
        ("read", "/opt/py/lib/python3.11/**", "20 files"),
        ("read", "/proc/self/maps", None),
        ("read", "/srv/.venv/lib/python3/site-packages/**", "20 files"),
        ("read", "/srv/main.py", None),
        ("read", "/usr/lib/**", "20 files"),
    ]
    assert found[0].count == 20


def test_crowds_stand_by_directory() -> None:
    found = rows(*[write(f"/srv/out/{n}.png") for n in range(CROWD + 1)], write("/srv/x"))
    assert named(found) == [
        ("written", "/srv/out/**", f"{CROWD + 1} files"),
        ("written", "/srv/x", None),
    ]


def test_what_is_sensitive_or_asked_for_is_never_taken_together() -> None:
    crowd = [read(f"/srv/out/{n}") for n in range(2 * CROWD)]
    secret = read("/srv/out/.env", sensitive="environment_file")
    action = ToolActionRow("s1", "c1", "t1", "file", crowd[7].file_event_id, 1, "path", "certain")
    found = rows(*crowd, secret, actions=(action,))
    assert {row.name for row in found} == {"/srv/out/**", "/srv/out/.env", "/srv/out/7"}


def test_however_much_was_touched_rows_are_few() -> None:
    found = rows(*[read(f"/srv/{n}/{n % 7}/file") for n in range(5000)])
    assert len(found) <= ROWS_OF_A_KIND
    assert sum(row.count for row in found) == 5000


paths = st.lists(st.sampled_from(["a", "b", "usr", "lib", ".git", ""]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "unlink", "rename", "mkdir", "link", "truncate"]),
            st.sampled_from(["read", "write", "read_write", None]),
            paths,
            st.sampled_from([None, "ENOENT", "EACCES"]),
        ),
        max_size=40,
    )
)
def test_any_events_give_rows_with_names_of_their_own(events: list[Any]) -> None:
    files = [
        touch(operation, path, access, error=error, new_path=path + "2", creates=True)
        for operation, access, path, error in events
    ]
    found = rows(*files)
    keys = [(row.kind, row.name) for row in found]
    assert len(set(keys)) == len(keys)
    assert [row.kind for row in found] == sorted((row.kind for row in found), key=KINDS.index)
