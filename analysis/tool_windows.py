"""When each tool call was open, and when just one was.

In: tool calls and calls. Out: `ToolWindows`: a `ToolWindow` for each tool call, from the model's
request to the call that carried its result, and which single one was open at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.effects import shell_commands
from analysis.markers import markers
from analysis.steps import CallStep, ToolStep

SLACK_NS = 5_000_000
"""Wire and processes are dated by different clocks of the kernel, some of them in coarse ticks."""
_FOREVER_NS = 1 << 62


@dataclass(slots=True, eq=False)
class ToolWindow:
    """One tool call. `end_ns` is when its result was sent, else when the agent called a model
    again; `commands` are those of a shell tool."""

    index: int
    tool: ToolStep
    start_ns: int
    end_ns: int
    commands: tuple[str, ...]
    types: bool  # it types into a shell that runs already
    explained: bool = False  # some certain effect of it is known

    @property
    def first_ns(self) -> int:
        """From here on something may be its effect."""
        return self.start_ns - SLACK_NS

    @property
    def last_ns(self) -> int:
        """Until here."""
        return self.end_ns + SLACK_NS

    def holds(self, at_ns: int) -> bool:
        """Was it open at that time?"""
        return self.first_ns <= at_ns <= self.last_ns


class ToolWindows:
    """Windows in order of their start.

    `first_session`: the session that the others are sub-agents of. A tool call of its that
    encloses one of theirs hands work over: what happens meanwhile is not its own doing.
    """

    def __init__(
        self,
        tools: Iterable[ToolStep],
        calls: Iterable[CallStep] = (),
        first_session: str | None = None,
    ) -> None:
        begun: dict[str, list[int]] = {}
        for call in calls:
            begun.setdefault(call.session_id, []).append(call.started_ns)
        for times in begun.values():
            times.sort()
        ordered = sorted(tools, key=lambda tool: tool.requested_ns)
        self.all = [
            ToolWindow(
                index,
                tool,
                tool.requested_ns,
                _end(tool, begun.get(tool.session_id, [])),
                shell_commands(tool),
                markers().is_tool("stdin", tool.name),
            )
            for index, tool in enumerate(ordered)
        ]
        self._bounds, self._alone = _segments(self.all, first_session)

    def only(self, at_ns: int) -> ToolWindow | None:
        """The tool call that was open at that time, when no other was."""
        at = bisect_right(self._bounds, at_ns)
        return self._alone[at - 1] if at else None


def _end(tool: ToolStep, calls: list[int]) -> int:
    if tool.result_ns is not None:
        return max(tool.result_ns, tool.requested_ns)
    after = bisect_right(calls, tool.requested_ns)
    return calls[after] if after < len(calls) else _FOREVER_NS


def _segments(
    windows: list[ToolWindow], first_session: str | None
) -> tuple[list[int], list[ToolWindow | None]]:
    """Times at which the set of open windows changes, and the single open one from there on."""
    changes = [(window.first_ns, True, window) for window in windows]
    changes += [(window.last_ns + 1, False, window) for window in windows]
    changes.sort(key=lambda change: change[:2])
    bounds: list[int] = []
    alone: list[ToolWindow | None] = []
    above: dict[int, ToolWindow] = {}  # open, of the first session
    below: dict[int, ToolWindow] = {}  # open, of its sub-agents
    for at_ns, opens, window in changes:
        of_first = window.tool.session_id == first_session and not window.commands
        open_now = above if of_first else below
        if opens:
            open_now[window.index] = window
        else:
            open_now.pop(window.index, None)
        only = _only(above, below, first_session)
        if bounds and bounds[-1] == at_ns:
            alone[-1] = only
        else:
            bounds.append(at_ns)
            alone.append(only)
    return bounds, alone


def _only(
    above: dict[int, ToolWindow], below: dict[int, ToolWindow], first_session: str | None
) -> ToolWindow | None:
    if len(below) == 1:
        (window,) = below.values()
        if not above:
            return window
        if len(above) > 1 or window.tool.session_id == first_session:
            return None
        (handing,) = above.values()
        encloses = handing.start_ns <= window.start_ns and window.end_ns <= handing.end_ns
        return window if encloses else None
    return next(iter(above.values())) if len(above) == 1 and not below else None
