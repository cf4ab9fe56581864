"""Sessions written as the requests that an agent sends, for tests of contexts.

`Conversation().ask([...messages])` stores a request's list as the collector does, each message once
by what came before it, and gives its call.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from analysis.steps import CallStep, ContextNode, SessionStep, SessionSteps, ToolStep, tool_step

SESSION = SessionStep("s", "read", None, None, None, None, 0)
S = 10**9


@dataclass
class Conversation:
    """`nodes` and `calls` grow with each request; a second passes between two."""

    content: bool = True
    nodes: dict[str, ContextNode] = field(default_factory=dict)
    calls: list[CallStep] = field(default_factory=list)
    tools: list[ToolStep] = field(default_factory=list)

    def ask(
        self,
        messages: list[Any],
        *,
        system: list[Any] | None = None,
        tool_set: str | None = None,
        tokens: int | None = None,
        **about: Any,
    ) -> CallStep:
        leaf: str | None = None
        entries = [("system", one) for one in system or ()]
        entries += [("message", one) for one in messages]
        for position, (kind, message) in enumerate(entries):
            leaf = self._node(leaf, position, kind, message)
        number = len(self.calls)
        call = CallStep(
            call_id=f"c{number}",
            session_id="s",
            model="m",
            started_ns=number * S,
            input_tokens=tokens,
            output_tokens=10,
            ended_ns=number * S + S // 2,
            input_node=leaf,
            tool_set=tool_set,
            **about,
        )
        self.calls.append(call)
        return call

    def tool(
        self, name: str, arguments: Any, result: str | None, call: int, result_call: int | None
    ) -> None:
        """A tool call that call number `call` asked for and number `result_call` brought back."""
        self.tools.append(
            tool_step(
                f"t{len(self.tools)}",
                name,
                json.dumps(arguments),
                result,
                session_id="s",
                call_id=f"c{call}",
                requested_ns=call * S + S // 2,
                result_ns=None if result_call is None else result_call * S,
                result_call_id=None if result_call is None else f"c{result_call}",
            )
        )

    @property
    def steps(self) -> SessionSteps:
        return SessionSteps(SESSION, calls=tuple(self.calls), tools=tuple(self.tools))

    def _node(self, parent: str | None, position: int, kind: str, message: Any) -> str:
        body = json.dumps(message, separators=(",", ":"))
        name = f"{hash((parent, kind, body)):x}"
        role = None
        if kind == "system":
            role = "system"
        elif isinstance(message, dict):
            role = message.get("role") or message.get("type")
        self.nodes[name] = ContextNode(
            name, parent, position, kind, role, len(body), f"{kind}{body}",
            body if self.content else None,
        )  # fmt: skip
        return name


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def calls_tool(tool_id: str, name: str, arguments: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": tool_id, "name": name, "input": arguments}
    return {"role": "assistant", "content": [block]}


def result(tool_id: str, text: str) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": tool_id, "content": text}
    return {"role": "user", "content": [block]}


def history(turns: int, chars: int = 200) -> list[dict[str, Any]]:
    """A question, then so many rounds of reading a file."""
    messages = [user("fix the build")]
    for number in range(turns):
        messages.append(calls_tool(f"r{number}", "Read", {"file_path": f"/src/{number}.py"}))
        messages.append(result(f"r{number}", f"{number}" * chars))
    return messages
