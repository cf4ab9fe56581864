"""Messages as lines: Markdown, JSON, and what hostile text does to them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import pytest
from rich.cells import cell_len

from analysis.cells import printable
from analysis.message_parts import Part
from tui.conversation import Entry
from tui.json_lines import MAX_CHILDREN, json_lines, parsed
from tui.markdown_lines import markdown_lines
from tui.part_lines import CURSOR, MAX_PART_CHARS, Drawing, head_line, part_lines
from tui.text_lines import Line, line_length, wrapped

DRAWING = Drawing(60, markdown=True)


def plain(lines: Iterable[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def drawn(part: Part, drawing: Drawing = DRAWING, **options: Any) -> list[str]:
    return plain(line for line, _ in part_lines(part, drawing, **options))


def words_of(lines: Iterable[Line]) -> set[tuple[str, str]]:
    return {part for line in lines for part in line if part[1]}


def test_markdown_is_drawn() -> None:
    text = (
        "# The *plan*\n\nSome **bold**, *slanted* and `code`; see [docs](http://x.y).\n"
        "- one\n  - [x] two that is so long that it goes on in the line below it, indented\n"
        "2. three\n> quoted\n```python\n# no heading\n```\n---\n"
        "| a | bb |\n|---|---|\n| 1 | `2` |\n<b>html</b> 2 * 3 * 4 snake_case_name"
    )
    lines = list(markdown_lines(text, 60))
    assert plain(lines) == [
        "The plan",
        "",
        "Some bold, slanted and code; see docs (http://x.y).",
        "• one",
        "  ☑ two that is so long that it goes on in the line below",
        "    it, indented",
        "2. three",
        "▌ quoted",
        "│ python",
        "│ # no heading",
        "─" * 60,
        "a │ bb",
        "──┼───",
        "1 │ 2",
        "<b>html</b> 2 * 3 * 4 snake_case_name",
    ]
    assert {
        *(("bold", "bold"), ("slanted", "italic"), ("code", "code"), ("docs", "link")),
        *(("quoted", "quote"), ("# no heading", "code"), ("plan", "head"), ("a", "bold")),
    } <= words_of(lines)


def test_lines_fit_and_lose_nothing() -> None:
    for text in ("word " * 40, "x" * 200, "日本語" * 40, "a 日 " * 50, "👩‍👩‍👧 " * 30):
        lines = wrapped([(text, "")], 20, (("> ", ""),), (("  ", ""),))
        assert all(line_length(line) <= 20 for line in lines)
        said = "".join(line[2:] for line in plain(lines))
        assert said.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        *("*a ", "**a *", "[", "[a](", "> ", "`", "` `` ``` ", "- ", "_a__", "<a ", "![", "\\"),
        *("](a)", "<!--", "1. a\n", "|a|\n|-|\n", "\t", "é*", "#" * 7, "~~~\n", "* * *\n", "|"),
    ],
)  # fmt: skip
def test_hostile_markdown_is_quick_and_fits(text: str) -> None:
    part = Part("text", (text * MAX_PART_CHARS)[:MAX_PART_CHARS])
    began = time.process_time()
    lines = part_lines(part, DRAWING)
    assert time.process_time() - began < 0.5
    assert all(line_length(line) <= 60 for line, _ in lines)


def test_controls_are_visible_and_long_texts_cut() -> None:
    [line] = drawn(Part("text", "a\x1b[2J\x07[bold]b[/]"))
    assert line == printable("a\x1b[2J\x07[bold]b[/]")
    lines = drawn(Part("tool_result", "x" * 50_000, "bash", True))
    assert lines[0] == "result bash (error)"
    assert lines[-1] == "… 30,000 more characters: v shows all"
    assert drawn(Part("text", "**a**"), Drawing(60, markdown=False)) == ["**a**"]
    assert drawn(Part("text", "so far"), growing=True) == [f"so far{CURSOR}"]
    head = head_line(Entry("user", "sent", (Part("text", "a\nb\x1b"),), 12, False), unfolded=False)
    assert plain([head]) == ["▸ user  sent  12 B  a b␛"]


def test_json_folds() -> None:
    value = {
        "command": "ls -la",
        "env": {"A": 1, "B": [True, None, 2.5, {"deep": "x"}]},
        "text": "first\nsecond\x1b",
        "empty": {},
    }
    part = Part("tool_call", json.dumps(value), "bash")
    assert drawn(part) == [
        "▾ calls bash {4 keys}",
        "    command: ls -la",
        "  ▾ env: {2 keys}",
        "      A: 1",
        "    ▸ B: [4 items]",
        "    text: ",
        "      │ first",
        "      │ second␛",
        "    empty: {}",
    ]
    assert drawn(part, toggled={()}) == ["▸ calls bash {4 keys}"]
    opened = part_lines(part, DRAWING, {(1, 1)})
    assert "      ▸ 3: {1 key}" in plain(line for line, _ in opened)
    paths = [path for _, path in opened if path is not None]
    assert paths == [(), (1,), (1, 1), (1, 1, 3)]
    assert len(drawn(part, Drawing(60, markdown=True, depth=9))) == 14
    words = words_of(line for line, _ in part_lines(part, Drawing(60, markdown=True, depth=9)))
    assert {("A: ", "key"), ("ls -la", "string"), ("2.5", "number"), ("null", "word")} <= words


def test_hostile_json_is_bounded() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert parsed(deep) is None or len(drawn(Part("tool_result", deep))) < 100
    wide = {f"k{n}": n for n in range(100_000)}
    lines = list(json_lines(wide, 60, 2, set()))
    assert len(lines) == MAX_CHILDREN + 2
    long = list(json_lines({"k" * 10_000: "v" * 1_000_000}, 60, 2, set()))
    assert all(line_length(line.line) <= 60 for line in long)
    assert len(long) < 100
    assert parsed("{broken") is None
    assert parsed("plain text") is None
    assert parsed("[]") is None
    assert cell_len(plain([json_lines([1], 60, 0, set()).__next__().line])[0]) < 60
