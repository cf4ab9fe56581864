"""Recorded runs once more, under real probes: are the findings those of the plain records?

In: recorded runs (see `benchmarks.detectors`). They become a script of the stand-in; an agent
sends their messages over TLS while `underglass run` watches. Out: by run what the store holds and
what the detectors say of the record itself; `python -m benchmarks.replay_runs` (as root) prints
both and fails where they differ.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.escalations import ESCALATION_KINDS, escalations
from analysis.loops import LOOP_KINDS, loops
from analysis.progress import no_progress
from analysis.reading import open_reader
from analysis.runaways import RUNAWAY_KINDS, runaways
from analysis.steps import CallStep, Finding, SessionStep, SessionSteps
from analysis.text_chants import AssistantText, text_chants
from benchmarks.detectors import (
    BASH_BLOCK,
    DATA,
    Score,
    chat_steps,
    chat_turns,
    records,
    repetition_scores,
)
from underglass.demo.certificates import agent_environment
from underglass.demo.standin import StandIn

UNDERGLASS = Path(sys.executable).with_name("underglass")
AGENT = Path(__file__).parent / "clients" / "replayed_agent.py"
RING_KIB = 65536
"""This agent thinks and works in no time, much faster than its calls can be decoded: what one
capture sees fits into the kernel's buffer."""
KINDS = LOOP_KINDS | RUNAWAY_KINDS | ESCALATION_KINDS
Said = Counter[tuple[str, str, int]]
"""How often a run has a finding of this kind, severity and count."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A recorded run as OpenAI chat messages; ends with what the model said last."""

    run_id: str
    messages: tuple[Any, ...]

    @classmethod
    def of(cls, run_id: str, messages: Sequence[Any]) -> Conversation:
        last = max((n for n, m in enumerate(messages) if m["role"] == "assistant"), default=-1)
        return cls(run_id, tuple(messages[: last + 1]))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was found in one run: in its record, and in the store of its replay."""

    run_id: str
    direct: Said
    stored: Said


def tau(data: Path = DATA) -> Iterator[Conversation]:
    """tau-bench runs, as they are."""
    for number, record in enumerate(records(data / "tau_airline_gpt4o.jsonl.gz")):
        yield Conversation.of(f"tau-{number}", record["traj"])


def miniswe(data: Path = DATA) -> Iterator[Conversation]:
    """mini-swe-agent runs, each bash block as a call of a tool `bash`."""
    for record in records(data / "miniswe_gemini3.jsonl.gz"):
        messages: list[Any] = []
        asked = False
        for message in record["messages"]:
            content = message["content"] or ""
            block = BASH_BLOCK.search(content) if message["role"] == "assistant" else None
            if asked and message["role"] == "user":
                messages.append({"role": "tool", "tool_call_id": "call", "content": content})
            elif block is None:
                messages.append({"role": message["role"], "content": content})
            else:
                command = json.dumps({"command": block[1]})
                call = {"id": "call", "function": {"name": "bash", "arguments": command}}
                messages.append({"role": "assistant", "content": content, "tool_calls": [call]})
            asked = block is not None
        yield Conversation.of(record["id"], messages)


def action_pairs(data: Path = DATA) -> Iterator[tuple[Conversation, Any]]:
    """Labelled lists of actions, each an answer that calls one tool, with their records. What the
    tools answered is not recorded: it is the same word each time."""
    for number, record in enumerate(records(data / "action_pairs.jsonl.gz")):
        messages: list[Any] = [{"role": "user", "content": record["id"]}]
        for action in record["actions"]:
            name = action["tool"] or "unnamed"
            function = {"name": name, "arguments": json.dumps(_arguments(action))}
            call = {"id": "call", "function": function}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": "call", "content": "done"})
        yield Conversation.of(f"{record['agent']}-{number}", messages), record


def _arguments(action: Any) -> Any:
    try:
        found = json.loads(action["arguments"])
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": action["arguments"]}


def replayed_pairs(directory: Path) -> dict[str, Score]:
    """By agent: is a tool call in the store the one before again, against the human label."""
    given = list(action_pairs())
    store, sessions = capture([conversation for conversation, _ in given], directory)
    calls: dict[str, list[tuple[str, str]]] = {}
    with open_reader(store) as reader:
        for session_id, name, arguments in reader.rows(
            "SELECT session_id, name, arguments_hash FROM tools ORDER BY requested_at, call_id"
        ):
            calls.setdefault(session_id, []).append((name, arguments))
    outcomes: dict[str, list[tuple[bool, bool]]] = {}
    for (_, record), session_id in zip(given, sessions, strict=True):
        made = calls.get(session_id, [])
        if len(made) != len(record["actions"]):
            raise RuntimeError(f"{record['id']}: {len(made)} of {len(record['actions'])} stored")
        outcomes.setdefault(record["agent"], []).extend(
            (this == before, label == "Repetition")
            for before, this, label in zip(made, made[1:], record["labels"], strict=False)
        )
    return {agent: Score.of(pairs) for agent, pairs in outcomes.items()}


SETS: dict[str, Callable[[Path], Iterator[Conversation]]] = {"tau": tau, "miniswe": miniswe}


def directly(conversation: Conversation) -> Said:
    """What the detectors say of the record; a step's time is the number of its message."""
    run_id, messages = conversation.run_id, list(conversation.messages)
    steps = tuple(chat_steps(run_id, messages))
    turns = tuple(chat_turns(run_id, messages))
    answers = [(n, m) for n, m in enumerate(messages) if m["role"] == "assistant"]
    said = [AssistantText(run_id, str(n), n, m["content"] or "") for n, m in answers]
    calls = tuple(
        CallStep(
            call_id=f"{run_id}/{number}",
            session_id=run_id,
            model=None,
            started_ns=number - 1,
            input_tokens=None,
            output_tokens=None,
            ended_ns=number,
            finish_reason="tool_calls" if message.get("tool_calls") else "stop",
            tool_call_count=len(message.get("tool_calls") or []),
            tool_set="tools",
        )
        for number, message in answers
    )
    session = SessionSteps(
        SessionStep(run_id, "read", None, None, None, None, 0), calls, steps, turns
    )
    return _counted(
        [
            *loops(steps, turns),
            *text_chants(said, turns),
            *no_progress(steps, turns),
            *runaways(session),
            *escalations(steps, turns),
        ]
    )


def capture(conversations: Sequence[Conversation], directory: Path) -> tuple[Path, list[str]]:
    """Run them one after the other in one capture: its store, and the session of each. Raises
    `RuntimeError` when that fails."""
    script, runs, store = directory / "runs.toml", directory / "runs.jsonl", directory / "runs.db"
    script.write_text(stand_in_script(conversations), encoding="utf-8")
    with open(runs, "w", encoding="utf-8") as lines:
        for each in conversations:
            lines.write(json.dumps({"id": each.run_id, "messages": each.messages}) + "\n")
    with StandIn(script, directory / "standin", latency_scale=0) as server:
        url = f"{server.base_url}/v1/chat/completions"
        agent = [sys.executable, str(AGENT), url, str(server.ca_path), str(runs)]
        done = subprocess.run(
            [UNDERGLASS, "run", "--db", store, "--", *agent],
            env=os.environ
            | agent_environment(server.base_url, server.certificates)
            | {"UNDERGLASS_RING_KIB": str(RING_KIB)},
            cwd=directory,
            capture_output=True,
            text=True,
        )
    calls = sum(m["role"] == "assistant" for each in conversations for m in each.messages)
    if done.returncode or done.stdout.split() != [str(calls)]:
        raise RuntimeError(f"{done.returncode}, {done.stdout!r}, {done.stderr}")
    with open_reader(store) as reader:
        sessions = [
            row["session_id"]
            for row in reader.rows("SELECT session_id FROM sessions ORDER BY started_at").records()
        ]
        seen = reader.rows("SELECT count(*) AS calls FROM calls WHERE status = 'ok'").records()
    if len(sessions) != len(conversations) or seen != [{"calls": calls}]:
        raise RuntimeError(f"{len(sessions)} sessions, {seen}, {calls} made: {done.stderr}")
    return store, sessions


def replay(conversations: Sequence[Conversation], directory: Path) -> list[Replayed]:
    """What was found in each, in its record and by a capture of its replay."""
    store, sessions = capture(conversations, directory)
    with open_reader(store) as reader:
        found = reader.rows("SELECT session_id, kind, severity, count FROM findings").records()
    return [
        Replayed(
            each.run_id,
            directly(each),
            Counter(
                (row["kind"], row["severity"], row["count"])
                for row in found
                if row["session_id"] == session_id and row["kind"] in KINDS
            ),
        )
        for each, session_id in zip(conversations, sessions, strict=True)
    ]


def batches(conversations: Iterable[Conversation]) -> Iterator[list[Conversation]]:
    """Conversations that one capture takes: half of its buffer in requests."""
    batch: list[Conversation] = []
    room = full = RING_KIB * 1024 // 2
    for each in conversations:
        size = _request_bytes(each)
        if batch and size > room:
            yield batch
            batch, room = [], full
        batch.append(each)
        room -= size
    if batch:
        yield batch


def _request_bytes(conversation: Conversation) -> int:
    """About what its requests have together: each repeats all that was said before."""
    total = history = 0
    for message in conversation.messages:
        if message["role"] == "assistant":
            total += history
        history += len(json.dumps(message))
    return total


def stand_in_script(conversations: Sequence[Conversation]) -> str:
    """A script that says what the assistants said, one answer a request."""
    lines = ['select = "cycle"']
    for message in (m for each in conversations for m in each.messages):
        if message["role"] != "assistant":
            continue
        lines += ["[[turn]]", f"text = {_toml([message['content']] if message['content'] else [])}"]
        for call in message.get("tool_calls") or []:
            function = call["function"]
            arguments = _toml(json.loads(function["arguments"]))
            lines += ["[[turn.tool]]", f"name = {_toml(function['name'])}"]
            lines += [f"arguments = {arguments}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{_toml(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {', '.join(members)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _counted(found: Sequence[Finding]) -> Said:
    return Counter((f.kind, f.severity, f.count) for f in found if f.kind in KINDS)


def main(*names: str) -> None:
    differ = 0
    if "action_pairs" in names or not names:
        with tempfile.TemporaryDirectory() as directory:
            stored = replayed_pairs(Path(directory))
        plain = repetition_scores()
        print("action_pairs: equal to the action before, against the label Repetition")
        for agent, score in stored.items():
            same = "as in its record" if score == plain[agent] else f"record: {plain[agent]}"
            print(f"  {agent}: {score}, {same}")
            differ += score != plain[agent]
    for name in [one for one in names if one in SETS] or ([] if names else SETS):
        replayed: list[Replayed] = []
        for batch in batches(SETS[name](DATA)):
            with tempfile.TemporaryDirectory() as directory:
                replayed += replay(batch, Path(directory))
        wrong = [each for each in replayed if each.direct != each.stored]
        totals: Counter[str] = Counter()
        for each in replayed:
            for kind, severity, _ in each.stored.elements():
                totals[f"{kind} ({severity})"] += 1
        print(f"{name}: {len(replayed)} runs replayed, {len(wrong)} differ from their record")
        for kind, count in sorted(totals.items()):
            print(f"  {kind}: {count}")
        for each in wrong:
            print(f"  {each.run_id}: direct {dict(each.direct)}, stored {dict(each.stored)}")
        differ += len(wrong)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
