"""Leaks: content of sensitive files that went out; and sensitive files that were read at all.

In: `SessionSteps` with what `collector.content_sightings` saw of the session. Out: findings:

- `leak`, one a call or sending process: critical when content went to a host that is no model
  provider's; a warning when it went to the provider, to a server next to the agent over JSON-RPC,
  or as a credential in a header.
- `sensitive_read`, one a file: a warning, or only told (`info`) where the program is one that reads
  such files (`sensitive.toml`), or the agent itself does. Left out are an agent's own credentials
  read by the agent, a process's own environment, those that a list of processes opens without
  showing them, and the account list, which nearly every program looks names up in, unless the
  program's arguments name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from analysis.steps import (
    ConnectionStep,
    Evidence,
    FileStep,
    Finding,
    ProcessStep,
    SessionSteps,
    Severity,
    SightingStep,
)
from collector.llm.registry import model_provider
from collector.sensitive import is_own, is_usual_reader

MOST_EVIDENCE = 12
_DENIED = ("EACCES", "EPERM")
_LOOKED_UP = "system_accounts"
_ENVIRONMENT = "process_environment"


def leaks(steps: SessionSteps) -> list[Finding]:
    """Findings of both kinds, by time."""
    found = [*_leaks(steps), *_reads(steps)]
    return sorted(found, key=lambda one: (one.first_at_ns or 0, one.title))


# Leaks


def _leaks(steps: SessionSteps) -> Iterable[Finding]:
    groups: dict[tuple[str, str], list[SightingStep]] = {}
    calls = {call.call_id for call in steps.calls}
    for sighting in steps.sightings:
        if sighting.call_id is not None:
            if sighting.call_id in calls:
                groups.setdefault(("call", sighting.call_id), []).append(sighting)
        else:
            groups.setdefault(("process", sighting.process_key), []).append(sighting)
    for sightings in groups.values():
        yield _leak(steps, sightings)


def _leak(steps: SessionSteps, sightings: list[SightingStep]) -> Finding:
    programs = {process.process_key: process for process in steps.processes}
    severity: Severity = "critical" if any(map(_is_critical, sightings)) else "warning"
    worst = [one for one in sightings if _is_critical(one)] or sightings
    files = _listed(_file_of(one) for one in worst)
    return Finding(
        kind="leak",
        session_id=steps.session.session_id,
        severity=severity,
        first_at_ns=min(one.read_ns for one in sightings),
        last_at_ns=max(one.sent_ns for one in sightings),
        title=f"content of {files} went {_listed(map(_destination, worst))}",
        evidence=tuple(_leak_evidence(steps, sightings, programs))[:MOST_EVIDENCE],
        count=len(sightings),
    )


def _is_critical(sighting: SightingStep) -> bool:
    if sighting.call_id is not None or sighting.place in ("credential", "rpc"):
        return False
    return model_provider(_name_of(sighting.host)) is None


def _name_of(host: str | None) -> str:
    """Without the port, in lower case."""
    name = (host or "").lower()
    return name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name


def _file_of(sighting: SightingStep) -> str:
    return f"{sighting.path or 'a file'} ({sighting.sensitive})"


def _destination(sighting: SightingStep) -> str:
    if sighting.place == "rpc":
        return "to another process over JSON-RPC"
    to = sighting.host or "an unknown host"
    if sighting.call_id is not None:
        return f"to the model at {to}"
    return f"as a credential to {to}" if sighting.place == "credential" else f"to {to}"


def _leak_evidence(
    steps: SessionSteps, sightings: list[SightingStep], programs: Mapping[str, ProcessStep]
) -> Iterable[Evidence]:
    told: set[tuple[str, str]] = set()
    for sighting in sightings:
        share = f"{sighting.matched} of {sighting.known} fingerprints"
        how = f"{share}, {sighting.encoding}, in the {_PLACES.get(sighting.place, sighting.place)}"
        entries = [
            Evidence(
                "process",
                sighting.process_key,
                f"{_program(programs.get(sighting.process_key), sighting.pid)} sent it: {how}",
                sighting.sent_ns,
                sighting.pid,
            )
        ]
        if sighting.call_id is not None:
            entries.insert(
                0, Evidence("call", sighting.call_id, how, sighting.sent_ns, sighting.pid)
            )
        reader = programs.get(sighting.read_process_key)
        read = _read_of(steps.files, sighting)
        if read is not None:
            note = f"{_program(reader, read.pid)} read {read.path}"
            at_ns = min(read.last_ns, max(read.first_ns, sighting.read_ns))
            entries.append(Evidence("file", read.file_event_id, note, at_ns, read.pid))
        entries.append(
            Evidence(
                "process",
                sighting.read_process_key,
                f"{_program(reader, None)} read {_file_of(sighting)}",
                sighting.read_ns,
                reader.pid if reader else None,
            )
        )
        connection = _connection_of(steps.connections, sighting)
        if connection is not None:
            to = f"{connection.name or connection.address}:{connection.port}"
            entries.append(
                Evidence(
                    "connection",
                    connection.network_event_id,
                    f"connected to {to}",
                    connection.last_ns,
                    connection.pid,
                )
            )
        for entry in entries:
            if (entry.kind, entry.id) not in told:
                told.add((entry.kind, entry.id))
                yield entry


_PLACES = {"credential": "credential header", "rpc": "JSON-RPC message"}


def _read_of(files: Iterable[FileStep], sighting: SightingStep) -> FileStep | None:
    """The last opening of the file by its reader that began before the read."""
    found = None
    for file in files:
        if (
            file.process_key == sighting.read_process_key
            and file.path == sighting.path
            and file.operation == "open"
            and file.error is None
            and file.first_ns <= sighting.read_ns
        ):
            found = file
    return found


def _connection_of(
    connections: Iterable[ConnectionStep], sighting: SightingStep
) -> ConnectionStep | None:
    """The last connection that the sender made to the host, or at all, before it sent."""
    before = [
        one
        for one in connections
        if one.process_key == sighting.process_key
        and one.transport == "tcp"
        and one.first_ns <= sighting.sent_ns
    ]
    host = _name_of(sighting.host)
    named = [one for one in before if host and host in (one.name, one.address)]
    found = named or before
    return found[-1] if found else None


# Reads


def _reads(steps: SessionSteps) -> Iterable[Finding]:
    programs = {process.process_key: process for process in steps.processes}
    agents = _agents(steps)
    by_path: dict[str, list[FileStep]] = {}
    for file in steps.files:
        if (
            file.sensitive is not None
            and file.operation == "open"
            and file.access in ("read", "read_write")
            and (file.error is None or file.error in _DENIED)
            and not _is_usual(file, programs.get(file.process_key), agents)
        ):
            by_path.setdefault(file.path, []).append(file)
    for path, files in by_path.items():
        yield _sensitive_read(steps.session.session_id, path, files, programs, agents)


def _agents(steps: SessionSteps) -> frozenset[str]:
    """Processes that call models."""
    pids = {call.pid for call in steps.calls}
    return frozenset(process.process_key for process in steps.processes if process.pid in pids)


def _is_usual(file: FileStep, process: ProcessStep | None, agents: frozenset[str]) -> bool:
    """Is it a read that says nothing?"""
    assert file.sensitive is not None
    if is_own(file.sensitive):
        return file.process_key in agents
    if file.sensitive == _ENVIRONMENT:
        return file.path == f"/proc/{file.pid}/environ" or _only_lists(process)
    if file.sensitive == _LOOKED_UP:
        name = file.path.rpartition("/")[2]
        said = process.argv[1:] if process is not None else ()
        return not any(name in argument for argument in said)
    return False


def _only_lists(process: ProcessStep | None) -> bool:
    """Does a program that lists processes leave out what it reads of their environments?

    ps opens them all whatever it is asked for, and shows them when a word of its options without
    a dash has an `e`.
    """
    if not is_usual_reader(_ENVIRONMENT, _name(process)) or process is None:
        return False
    return not any(word.isalpha() and "e" in word for word in process.argv[1:])


def _sensitive_read(
    session_id: str,
    path: str,
    files: list[FileStep],
    programs: Mapping[str, ProcessStep],
    agents: frozenset[str],
) -> Finding:
    reason = files[0].sensitive or ""
    usual = all(
        file.error is not None
        or file.process_key in agents
        or is_usual_reader(reason, _name(programs.get(file.process_key)))
        for file in files
    )
    read = [file for file in files if file.error is None]
    who = _listed(_program(programs.get(file.process_key), file.pid) for file in files)
    return Finding(
        kind="sensitive_read",
        session_id=session_id,
        severity="info" if usual else "warning",
        first_at_ns=min(file.first_ns for file in files),
        last_at_ns=max(file.last_ns for file in files),
        title=f"{who} {'read' if read else 'tried to read'} {path} ({reason})",
        evidence=tuple(_read_evidence(files, programs))[:MOST_EVIDENCE],
        count=sum(file.count for file in read or files),
    )


def _read_evidence(
    files: list[FileStep], programs: Mapping[str, ProcessStep]
) -> Iterable[Evidence]:
    told: set[str] = set()
    for file in files:
        note = f"opened for {(file.access or '').replace('_', ' and ')}"
        if file.error is not None:
            note += f": {file.error}"
        yield Evidence("file", file.file_event_id, note, file.first_ns, file.pid)
        if file.process_key not in told:
            told.add(file.process_key)
            process = programs.get(file.process_key)
            note = " ".join(process.argv)[:200] if process and process.argv else "the reader"
            yield Evidence("process", file.process_key, note, file.first_ns, file.pid)


def _name(process: ProcessStep | None) -> str:
    """A program's name, without its directory."""
    if process is None:
        return ""
    path = process.exe or (process.argv[0] if process.argv else process.comm) or ""
    return path.rpartition("/")[2]


def _program(process: ProcessStep | None, pid: int | None) -> str:
    return _name(process) or ("an unknown process" if pid is None else f"pid {pid}")


def _listed(names: Iterable[str]) -> str:
    """Up to three of them, in order, without repeats."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more
