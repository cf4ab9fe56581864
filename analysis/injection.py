"""Instructions that came in with a tool's result and made the agent send away what is sensitive.

In: the steps of a session (or family) and what its tool calls caused. Out: findings of kind
`injection`. Each names a whole chain, every link of which must hold:

1. the result of a tool call carries a host and, word for word, what a later tool call says; no
   user ever said either;
2. a model's answer asks for that tool call;
3. a program runs for it;
4. a sensitive file is opened, by this tool call or an earlier one that follows the same result;
5. a connection to that host follows.

The file must be named (by the command, or by the result), or be opened by another program than the
one that connects: programs that log in open their own credentials (npm its `.npmrc`, git `.netrc`),
and every shell looks its user up in /etc/passwd, which counts only when it is named.

Only the first 2,000 characters of a result are kept. Where no kept text carries the host, and one
of the results was cut, the first link is unseen: the finding is then a warning. So it is when a
user named the file, or when only time joins the tool call to what it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.derived import ToolActionRow
from analysis.named_hosts import names_host
from analysis.process_owners import SHELLS
from analysis.process_tree import ProcessTree, program_name
from analysis.repeated_words import repeated_words
from analysis.steps import (
    ConnectionStep,
    Evidence,
    FileStep,
    Finding,
    ProcessStep,
    SessionSteps,
    ToolStep,
    UserTurn,
)
from analysis.tool_targets import argument_text
from collector.sensitive import is_own, is_usual_reader
from collector.tool_calls import PREVIEW_CHARACTERS

KEPT_CHARS = PREVIEW_CHARACTERS
"""Characters of a result that the collector keeps: one as long may have been longer."""
MOST_RESULTS = 200
"""Earlier results that are searched, latest first."""
SLACK_NS = 50_000_000
"""In a pipeline, who connects may begin before who reads."""
MOST_FINDINGS = 20
_NOTE_CHARS = 200
_LOOKED_UP = "system_accounts"  # every shell reads these to look a user up


@dataclass(frozen=True, slots=True)
class _Did:
    """What one tool call caused. `certain` holds ids of what more than time joins to it."""

    tool: ToolStep
    processes: tuple[ProcessStep, ...]
    files: tuple[FileStep, ...]  # sensitive ones, opened to read
    connections: tuple[ConnectionStep, ...]
    certain: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Source:
    """The result that carries the instructions, and the words that were repeated."""

    tool: ToolStep
    words: str


def injections(steps: SessionSteps, actions: Sequence[ToolActionRow]) -> list[Finding]:
    """Findings in order of time, one for each tool call that sends. `actions` are those of
    `analysis.actions.tool_actions`."""
    did = _deeds(steps, actions)
    if not any(one.files for one in did):
        return []
    tree = ProcessTree(steps.processes, steps.calls)
    found: list[Finding] = []
    for position, sending in enumerate(did):
        if len(found) == MOST_FINDINGS:
            break
        finding = _chain(steps, did[: position + 1], sending, tree)
        if finding is not None:
            found.append(finding)
    return found


def _deeds(steps: SessionSteps, actions: Sequence[ToolActionRow]) -> list[_Did]:
    by_tool: dict[tuple[str, str], list[ToolActionRow]] = {}
    for action in actions:
        by_tool.setdefault((action.call_id, action.tool_call_id), []).append(action)
    processes = {one.process_key: one for one in steps.processes}
    files = {one.file_event_id: one for one in steps.files if _is_secret_read(one)}
    connections = {one.network_event_id: one for one in steps.connections}
    did = []
    for tool in sorted(steps.tools, key=lambda tool: tool.requested_ns):
        acts = by_tool.get((tool.call_id, tool.tool_call_id), ())
        ids = [act.action_id for act in acts]
        did.append(
            _Did(
                tool,
                tuple(processes[one] for one in ids if one in processes),
                tuple(files[one] for one in ids if one in files),
                tuple(connections[one] for one in ids if one in connections),
                frozenset(act.action_id for act in acts if act.how != "window"),
            )
        )
    return did


def _is_secret_read(one: FileStep) -> bool:
    return (
        one.sensitive is not None
        and not is_own(one.sensitive)
        and one.error is None
        and one.operation == "open"
        and one.access in ("read", "read_write")
    )


def _chain(
    steps: SessionSteps, so_far: Sequence[_Did], sending: _Did, tree: ProcessTree
) -> Finding | None:
    tried: set[tuple[str, int | None]] = set()
    for connection in sending.connections:
        place = (connection.name or connection.address, connection.port)
        if place in tried or connection.transport == "unix":
            continue
        tried.add(place)
        if any(names_host(turn.text, connection) for turn in steps.turns):
            continue
        source = _source(so_far, sending.tool, connection, steps.turns)
        cut = None if source else _cut_result(so_far, sending.tool)
        if source is None and (cut is None or not _says(sending.tool, connection)):
            continue
        since = source.tool if source else cut
        opened = _opened(so_far, sending, connection, since, source, tree)
        if opened is not None:
            return _finding(steps, sending, connection, opened, source, cut, tree)
    return None


def _source(
    so_far: Sequence[_Did],
    tool: ToolStep,
    connection: ConnectionStep,
    turns: Sequence[UserTurn],
) -> _Source | None:
    """The latest earlier result that carries the host, and words that the tool call repeats."""
    said = argument_text(tool)
    users = "\n".join(turn.text for turn in turns)
    for one in [one.tool for one in reversed(so_far)][:MOST_RESULTS]:
        if not _is_earlier(one, tool) or not names_host(one.result or "", connection):
            continue
        words = repeated_words(said, one.result or "", users)
        if words:
            return _Source(one, words)
    return None


def _is_earlier(one: ToolStep, tool: ToolStep) -> bool:
    return one is not tool and one.result_ns is not None and one.result_ns <= tool.requested_ns


def _cut_result(so_far: Sequence[_Did], tool: ToolStep) -> ToolStep | None:
    """The latest earlier result of which not all is known."""
    for one in reversed(so_far):
        if _is_earlier(one.tool, tool) and len(one.tool.result or "") >= KEPT_CHARS:
            return one.tool
    return None


def _says(tool: ToolStep, connection: ConnectionStep) -> bool:
    return names_host(argument_text(tool), connection)


def _opened(
    so_far: Sequence[_Did],
    sending: _Did,
    connection: ConnectionStep,
    since: ToolStep | None,
    source: _Source | None,
    tree: ProcessTree,
) -> tuple[_Did, FileStep] | None:
    """The sensitive file that was opened before the connection, and the tool call it was for."""
    named = argument_text(sending.tool)
    before = [file for file in sending.files if file.first_ns <= connection.last_ns + SLACK_NS]
    for file in before:
        if _names_file(named, file):
            return sending, file
    for file in before:
        if file.sensitive != _LOOKED_UP and _is_handed_over(file, connection, tree):
            return sending, file
    carried = source.tool.result or "" if source else ""
    for one in reversed(so_far[:-1]):
        if since is not None and not _is_earlier(since, one.tool):
            break
        for file in one.files:
            if file.first_ns <= connection.last_ns and _names_file(carried, file):
                return one, file
    return None


def _is_handed_over(file: FileStep, connection: ConnectionStep, tree: ProcessTree) -> bool:
    """Did one program read what another one sent? A program and its own helpers are as one (`git`
    starts what reads its credentials); a shell reads only what it is told to."""
    reader, sender = tree.node(file.process_key), tree.node(connection.process_key)
    if reader is None or sender is None or reader is sender:
        return False
    if is_usual_reader(file.sensitive or "", program_name(reader)):
        return False
    if program_name(reader) in SHELLS:
        return True
    return reader not in sender.lineage() and sender not in reader.lineage()


def _names_file(text: str, file: FileStep) -> bool:
    name = file.path.rpartition("/")[2]
    return bool(name) and name in text


def _finding(
    steps: SessionSteps,
    sending: _Did,
    connection: ConnectionStep,
    opened: tuple[_Did, FileStep],
    source: _Source | None,
    cut: ToolStep | None,
    tree: ProcessTree,
) -> Finding:
    reading, file = opened
    host = f"{connection.name or connection.address}:{connection.port}"
    by_user = any(_names_file(turn.text, file) for turn in steps.turns)
    joined = (
        connection.network_event_id in sending.certain and file.file_event_id in reading.certain
    )
    seen = source is not None and joined and not by_user
    first = source.tool if source else cut
    carries = "may have carried it: only its beginning is kept"
    if source is not None:
        carries = f'carries "{source.words[:_NOTE_CHARS]}"'
    evidence = []
    if first is not None:
        evidence.append(
            Evidence(
                "tool", first.tool_call_id, f"result of {first.name} {carries}", first.result_ns
            )
        )
    for one in dict.fromkeys((reading.tool.tool_call_id, sending.tool.tool_call_id)):
        tool = reading.tool if one == reading.tool.tool_call_id else sending.tool
        evidence += _asked(tool)
    evidence += _ran(reading, sending, file, connection, tree)
    return Finding(
        kind="injection",
        session_id=sending.tool.session_id,
        severity="critical" if seen else "warning",
        first_at_ns=evidence[0].at_ns,
        last_at_ns=connection.last_ns,
        title=f"A tool's result made the agent read {file.path} and connect to {host}"
        if source is not None
        else f"The agent read {file.path} and connected to {host}, which no user named",
        evidence=(
            *evidence,
            Evidence(
                "file",
                file.file_event_id,
                f"opened to {file.access} {file.path} ({file.sensitive})",
                file.first_ns,
                file.pid,
            ),
            Evidence(
                "connection",
                connection.network_event_id,
                f"connected to {host}, which no user named",
                connection.first_ns,
                connection.pid,
            ),
        ),
    )


def _asked(tool: ToolStep) -> list[Evidence]:
    note = f"asked for {tool.name} {argument_text(tool)}"[:_NOTE_CHARS]
    return [
        Evidence("call", tool.call_id, "the model's answer asks for it", tool.requested_ns),
        Evidence("tool", tool.tool_call_id, note, tool.requested_ns),
    ]


def _ran(
    reading: _Did,
    sending: _Did,
    file: FileStep,
    connection: ConnectionStep,
    tree: ProcessTree,
) -> list[Evidence]:
    """The programs of the chain, once each: those of the commands, the reader, the sender."""
    reader, sender = tree.node(file.process_key), tree.node(connection.process_key)
    programs: dict[str, ProcessStep] = {}
    for did in (reading, sending):
        for process in did.processes[:1]:
            programs[process.process_key] = process
    if reader is not None:
        program = reader.program_at(file.first_ns)
        programs[program.process_key] = program
    if sender is not None:
        program = sender.program_at(connection.first_ns)
        programs[program.process_key] = program
    return [
        Evidence("process", key, " ".join(one.argv)[:_NOTE_CHARS] or "", one.started_ns, one.pid)
        for key, one in programs.items()
    ]
