"""Gemini's function calls: pieces joined to whole calls, and calls matched with their results.

In: `functionCall` and `functionResponse` parts. Out: whole calls and `ToolResult`s. Format:
https://ai.google.dev/api/caching (FunctionCall, FunctionResponse) and, for calls in pieces,
google.cloud.aiplatform.v1 `PartialArg`. Calls need have no id, for which see `call_matching`. A
result belongs to the call of the turn before it that has its id, else to the first of its name
there that has no result yet: clients make up ids of their own for results of calls without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from collector.llm.call_matching import Matched, MatchIds, OpenCalls
from collector.llm.fields import dump, mapping, objects, word
from collector.llm.model import Json, JsonObject, ToolResult

_PATH_STEP = re.compile(
    r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]"""
)
_VALUES = ("numberValue", "boolValue", "nullValue")


class PartialCall:
    """A function call whose arguments arrive in pieces (Vertex AI's streamFunctionCallArguments).

    Text of one JSON path is joined; a path that cannot be followed becomes a key as it is.
    """

    def __init__(self) -> None:
        self._call: JsonObject = {}
        self._values: dict[str, list[str] | Json] = {}
        self.is_open = True

    def add(self, call: JsonObject) -> None:
        """Take the next piece; the last one is known by having no `willContinue`."""
        self._call.update(
            (key, value)
            for key, value in call.items()
            if key not in ("partialArgs", "willContinue") and value
        )
        self.is_open = call.get("willContinue") is True
        for piece in objects(call, "partialArgs"):
            path = piece.get("jsonPath")
            if type(path) is not str:
                continue
            text = piece.get("stringValue")
            if type(text) is str:
                known = self._values.get(path)
                if type(known) is list:
                    known.append(text)
                else:
                    self._values[path] = [text]
                continue
            for key in _VALUES:
                if key in piece:
                    value = piece[key]
                    self._values[path] = (
                        value if key != "nullValue" and type(value) in (bool, int, float) else None
                    )

    def call(self) -> JsonObject:
        """The call so far, as it would have come whole."""
        given: JsonObject = {}
        for path, value in self._values.items():
            joined = "".join(value) if type(value) is list else value
            steps = _steps(path)
            if not steps or not _put(given, steps, joined):
                given[path] = joined
        return {**self._call, "args": {**mapping(self._call, "args"), **given}}


def is_piece(call: JsonObject) -> bool:
    """Is it one of several pieces of a call?"""
    return "partialArgs" in call or call.get("willContinue") is True


def match_ids_after(contents: Iterable[Json]) -> MatchIds:
    """The match ids as they stand at the end of a conversation."""
    ids = MatchIds()
    for _, call, _ in _calls_and_results(contents):
        name = word(call, "name") if call else None
        if call is not None and name is not None:
            ids.take(name, mapping(call, "args"))
    return ids


def tool_results(contents: Iterable[Json]) -> list[ToolResult]:
    """The results in a conversation, each with what it says of its call."""
    calls = OpenCalls()
    found: list[ToolResult] = []
    for begins, call, result in _calls_and_results(contents):
        if begins:
            calls.begin_turn()
        name = word(call, "name") if call else None
        if call is not None and name is not None:
            calls.add(word(call, "id"), name, mapping(call, "args"))
        if result is not None:
            of = calls.answered(word(result, "id"), word(result, "name"))
            if of.tool_call_id is not None or of.match_id is not None:
                found.append(_tool_result(of, result))
    return found


def _tool_result(of: Matched, result: JsonObject) -> ToolResult:
    """`output` and `error` are Google's keys, `result` is that of its SDKs; else all is output."""
    response = mapping(result, "response")
    key = next((key for key in ("error", "output", "result") if key in response), None)
    said = response[key] if key is not None and len(response) == 1 else response
    return ToolResult(
        tool_call_id=of.tool_call_id,
        match_id=of.match_id,
        text=said if type(said) is str else dump(said),
        is_error="error" in response,
    )


def _calls_and_results(
    contents: Iterable[Json],
) -> Iterator[tuple[bool, JsonObject | None, JsonObject | None]]:
    """Calls and results in order; the bool: with this one begins a turn of the model."""
    in_turn = False
    partial: PartialCall | None = None
    for content in contents:
        if type(content) is not dict:
            continue
        of_model = content.get("role") == "model"
        begins, in_turn = of_model and not in_turn, of_model
        for part in objects(content, "parts"):
            call = mapping(part, "functionCall") or mapping(part, "function_call")
            result = mapping(part, "functionResponse") or mapping(part, "function_response")
            if partial is not None or is_piece(call):
                if "functionCall" not in part:
                    continue
                partial = partial or PartialCall()
                partial.add(call)
                if partial.is_open:
                    continue
                call, partial = partial.call(), None
            if call or result:
                yield begins, call or None, result or None
                begins = False
        if begins:
            yield True, None, None


def _steps(path: str) -> list[str | int]:
    """The keys and indices of a JSON path (RFC 9535) of names and indices alone; else none."""
    if not path.startswith("$"):
        return []
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        step = _PATH_STEP.match(path, at)
        if step is None:
            return []
        name, index, single, double = step.groups()
        quoted = single if single is not None else double
        steps.append(
            int(index) if index else name if name else re.sub(r"\\(.)", r"\1", quoted or "")
        )
        at = step.end()
    return steps


def _put(root: JsonObject, steps: list[str | int], value: Json) -> bool:
    """Set what the steps lead to; False when they do not fit what is there."""
    node: Json = root
    for position, step in enumerate(steps):
        last = position + 1 == len(steps)
        below: Json = value if last else [] if type(steps[position + 1]) is int else {}
        if type(node) is dict and type(step) is str:
            if last or step not in node:
                node[step] = below
        elif type(node) is list and type(step) is int and step <= len(node):
            if step == len(node):
                node.append(below)
            elif last:
                node[step] = below
        else:
            return False
        node = node[step]
    return True
