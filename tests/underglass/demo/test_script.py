from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from underglass.demo.reply import opening_of
from underglass.demo.script import SCRIPTS, ScriptError, load_script, parse_script


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scripts_load(path: Path) -> None:
    script = load_script(path.stem)
    assert script.name == path.stem
    assert script.turns


def test_text_is_cut_into_pieces_that_join_again() -> None:
    text = "  One two   three four five\nsix seven eight nine ten.  "
    script = parse_script(f"[[turn]]\npiece_chars = 8\ntext = {text!r}".replace("'", '"'))
    pieces = script.turns[0].text
    assert "".join(pieces) == text
    assert len(pieces) > 4


def test_a_list_of_pieces_is_sent_as_it_is_and_repeated() -> None:
    script = parse_script('[[turn]]\ntext = ["a", "bc"]\nrepeat = 3')
    assert script.turns[0].text == ("a", "bc") * 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"at least one \[\[turn\]\]"),
        ("[[turn]\n", "script: "),
        ("[[turn]]\ncolour = 1", "unknown key 'colour'"),
        ("[[turn]]\n[turn.error]\nstatsu = 1", r"turn\[0\].error: unknown key 'statsu'"),
        ('[[turn]]\nfinish = "done"', "finish is one of"),
        ('[[turn]]\ncompress = "lzma"', "compress is one of"),
        ('select = "random"\n[[turn]]', "select is one of"),
        ("[[turn]]\n[[turn.tool]]", "either name"),
        ("[[turn]]\nusage = { input_tokens = 5, cache_read_tokens = 6 }", "includes cache"),
    ],
)
def test_a_wrong_script_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ScriptError, match=complaint):
        parse_script(text)


def test_a_missing_script_names_the_shipped_ones() -> None:
    with pytest.raises(ScriptError, match="demo, echo, errors"):
        load_script("no-such-script")


def test_turns_are_chosen_by_the_select_rule() -> None:
    turns = '[[turn]]\nname = "a"\n[[turn]]\nname = "b"\n[[turn]]\nname = "c"'
    sequential = parse_script(turns)
    assert [sequential.turn_index(n, 7, "") for n in range(5)] == [0, 1, 2, 2, 2]
    cycle = parse_script('select = "cycle"\n' + turns)
    assert [cycle.turn_index(0, n, "") for n in range(5)] == [0, 1, 2, 0, 1]
    named = parse_script('select = "named"\n' + turns)
    asked = ("please turn=c", "turn=x", "none")
    assert [named.turn_index(1, 1, text) for text in asked] == [2, 0, 0]


def test_turns_for_a_conversation_that_opens_with_a_text() -> None:
    script = parse_script(
        '[[turn]]\n[[turn]]\nto = "Count"\n[[turn]]\nto = "Count"\n[[turn]]\nname = "x"'
    )
    assert [script.turn_index(n, 7, "") for n in range(3)] == [0, 3, 3]
    assert [script.turn_index(n, 7, "", "Count them") for n in range(3)] == [1, 2, 2]
    meant = parse_script('[[turn]]\nto = "Count"')
    assert meant.turn_index(5, 0, "", "List them") == 0, "there is none for it"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "Count them"}, {"role": "assistant"}, {}]},
        {"input": [{"role": "user", "content": [{"text": "Count them"}]}, {"type": "reasoning"}]},
        {"request": {"contents": [{"role": "user", "parts": [{"text": "Count them"}]}]}},
    ],
)
def test_what_a_request_says_first(body: dict[str, Any]) -> None:
    assert "Count them" in opening_of(orjson.dumps(body))
    later = orjson.loads(orjson.dumps(body).replace(b'"user"', b'"assistant"'))
    assert opening_of(orjson.dumps(later)) == ""


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": 3}', b'{"request": []}'])
def test_requests_that_say_nothing(body: bytes) -> None:
    assert opening_of(body) == ""


def test_latency_scale_multiplies_delays() -> None:
    script = parse_script("token_ms = 10\n[[turn]]\n[[turn]]\ntoken_ms = 4", latency_scale=0.5)
    assert [turn.token_ms for turn in script.turns] == [5, 2]


def test_echo_token_takes_its_place_in_text_and_tools() -> None:
    script = parse_script('[[turn]]\ntext = "<{echo}>"\n[[turn.tool]]\nshell = "echo {echo}"')
    assert script.turns[0].echoes
    turn = script.turns[0].with_echo("t-1")
    assert "".join(turn.text) == "<t-1>"
    assert turn.tools[0].shell == "echo t-1"
    assert script.echo_token("say id=t-1 please") == "t-1"
    assert script.echo_token("nothing") is None
