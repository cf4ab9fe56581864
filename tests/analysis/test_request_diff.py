"""What one request says that another did not."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any

from analysis.reading import CallDetail, Message
from analysis.request_diff import RequestDiff, named_tools, request_diff
from analysis.request_diff_lines import diff_lines
from analysis.result import ResultSet
from analysis.text_diff import MAX_CHARS, MAX_LINES, text_diff


def detail(
    call_id: str,
    bodies: list[Any],
    *,
    system: str = "Be careful.",
    tools: tuple[Any, ...] = (),
    output: Any = None,
    **facts: Any,
) -> CallDetail:
    """A call that sent these messages."""
    said = [({"type": "text", "text": system}, "system", "input")]
    said += [(body, "message", "input") for body in bodies]
    if output is not None:
        said.append((output, "message", "output"))
    messages = tuple(
        Message(
            at,
            side,
            kind,
            body.get("role"),
            len(json.dumps(body)),
            hashlib.sha256(json.dumps(body).encode()).hexdigest(),
            body,
        )
        for at, (body, kind, side) in enumerate(said)
    )
    call = {"call_id": call_id, "request_model": "claude-opus-4-8", "api": "a", **facts}
    return CallDetail(call, messages, tools, ResultSet((), (), ()), ())


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def shown(diff: RequestDiff) -> list[str]:
    return ["".join(text for text, _ in line) for line in diff_lines(diff)]


def test_a_request_that_goes_on_shows_only_what_is_new() -> None:
    history = [user("one"), assistant("two")] * 21
    before = detail("c1", history, output=assistant("answer"))
    after = detail("c2", [*history, assistant("answer"), user("result\nof the tool")])
    diff = request_diff(before, after)
    assert [(c.kind, c.count, c.position, c.answered) for c in diff.messages] == [
        ("same", 42, 1, False),
        ("added", 1, 43, True),
        ("added", 1, 44, False),
    ]
    assert shown(diff) == [
        "c1 → c2",
        "messages",
        "  … 42 messages unchanged",
        "+ 43 assistant  the answer to the request before",
        "    answer",
        "+ 44 user",
        "    result",
        "    of the tool",
    ]
    assert shown(request_diff(before, before)) == ["c1 → c1", "the two requests are equal"]


def test_changes_in_every_part_are_told() -> None:
    bash = {"name": "bash", "description": "Runs a command", "input_schema": {"type": "object"}}
    before = detail(
        "c1",
        [user("a"), user("the old text of this message"), user("gone"), assistant("end")],
        tools=(bash, {"name": "read"}, {"name": "same"}),
        params={"temperature": 1, "max_tokens": 4096, "seed": 7},
    )
    after = detail(
        "c2",
        [user("a"), user("the new text of this message"), assistant("end")],
        system="Be very careful.",
        tools=({**bash, "description": "Runs a shell command"}, {"name": "same"}, {"name": "w"}),
        request_model="claude-haiku-4-5",
        params={"temperature": 0, "max_tokens": 4096, "top_p": 0.5},
    )
    lines = shown(request_diff(before, after))
    assert lines == [
        "c1 → c2",
        "parameters",
        '~ request_model: "claude-opus-4-8" → "claude-haiku-4-5"',
        "~ temperature: 1 → 0",
        "- seed: 7",
        "+ top_p: 0.5",
        "tools",
        "- read",
        "~ bash",
        "      {",
        '        "name": "bash",',
        '    -   "description": "Runs a command",',
        '    +   "description": "Runs a shell command",',
        '        "input_schema": {',
        '          "type": "object"',
        "    … 2 lines unchanged",
        "+ w",
        "  … 1 tool unchanged",
        "system prompt",
        "~ 0 system",
        "    - Be careful.",
        "    + Be very careful.",
        "messages",
        "  … 1 message unchanged",
        "~ 2 user",
        "    - the old text of this message",
        "    + the new text of this message",
        "- 3 user",
        "    gone",
        "  … 1 message unchanged",
    ]
    [old, new] = text_diff("the old text of this message", "the new text of this message")
    assert [span for span in old.spans if span[1]] == [("old", True)]
    assert [span for span in new.spans if span[1]] == [("new", True)]


def test_without_content_hashes_still_tell() -> None:
    def bare(whole: CallDetail) -> CallDetail:
        return replace(whole, messages=tuple(replace(m, body=None) for m in whole.messages))

    diff = request_diff(bare(detail("c1", [user("a")])), bare(detail("c2", [user("b")])))
    assert [change.kind for change in diff.messages] == ["changed"]
    assert not diff.content_stored
    assert "only their hashes are compared" in shown(diff)[1]


def test_tools_are_named_in_every_shape() -> None:
    assert list(
        named_tools(
            [
                {"name": "anthropic"},
                {"type": "function", "function": {"name": "chat"}},
                {"type": "function", "name": "responses"},
                {"toolSpec": {"name": "bedrock"}},
                {"functionDeclarations": [{"name": "gemini"}, {"name": "gemini2"}]},
                {"type": "web_search_20250305"},
                {"name": "anthropic", "other": 1},
                ["odd"],
            ]
        )
    ) == [
        *("anthropic", "chat", "responses", "bedrock", "gemini", "gemini2"),
        *("web_search_20250305", "anthropic'", '["odd"]'),
    ]


def test_work_is_bounded_whatever_the_texts_are() -> None:
    began = time.process_time()
    same = "same line\n"
    hostile = [
        ("x" * MAX_CHARS, "y" * MAX_CHARS),
        (same * MAX_LINES, same * (MAX_LINES // 2) + "z\n" + same * MAX_LINES),
        ("a b " * 90, "b a " * 90),
        ("\n".join(f"{n}" for n in range(1400)), "\n".join(f"{n * 7 % 1400}" for n in range(1400))),
        ("a\n" * MAX_CHARS, "b"),
        ("", "\x1b[2J"),
    ]
    for before, after in hostile:
        lines = text_diff(before, after)
        assert lines
        assert all(len(line.text) < 2_100 for line in lines)
    messages = [user(f"{n}") for n in range(3000)]
    diff = request_diff(detail("c1", messages), detail("c2", messages[::-1]))
    assert len(diff.messages) == 3000
    assert time.process_time() - began < 10
    assert not any("\x1b" in line for line in shown(diff))
    assert "\x1b" not in "".join(
        shown(request_diff(detail("c", [user("a")]), detail("d", [user("a"), user("\x1b[2J")])))
    )
