from __future__ import annotations

import inspect
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rs_bpe import openai

from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from collector.llm.token_estimate import (
    SAMPLED_BYTES,
    completed,
    input_tokens,
    output_tokens,
    text_tokens,
)
from tests.collector.llm.wire import anything

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "description": "The shell command to run."},
        "timeout_ms": {"type": "integer", "minimum": 0, "maximum": 600_000},
        "paths": {"type": "array", "items": {"type": "string"}, "default": ["src", "tests"]},
    },
    "required": ["command"],
}
GERMAN = (
    "Die Rechnung wurde gestern geprüft und anschließend an die Buchhaltung weitergeleitet. "
    "Sollten Sie innerhalb von vierzehn Tagen keine Rückmeldung erhalten, wenden Sie sich bitte "
    "an die Geschäftsstelle in der Bahnhofstraße. Für Verzögerungen, die durch unvollständige "
    "Unterlagen entstehen, übernehmen wir keine Haftung. Eine Übersicht der Zuständigkeiten "
    "finden Sie im Anhang dieses Schreibens."
)
CHINESE = (
    "这个程序读取配置文件，然后连接到服务器。如果连接失败，它会等待几秒钟再重试。"
    "所有的错误都会写入日志，用户可以在设置页面中查看。请注意，删除的数据无法恢复，"
    "因此在继续之前应该先做好备份。我们建议每天至少备份一次重要的文件。"
)
TEXTS = {
    "english": (DOCS / "limits.md").read_text("utf-8"),
    "code": inspect.getsource(json.decoder) + inspect.getsource(json.encoder),
    "json": json.dumps([SCHEMA] * 5) + json.dumps(SCHEMA, indent=2),
    "german": GERMAN,
    "chinese": CHINESE,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_estimated_within_a_tenth(kind: str) -> None:
    real = openai.o200k_base().count(TEXTS[kind])
    off = 0.2 if kind == "chinese" else 0.12
    assert text_tokens(TEXTS[kind]) == pytest.approx(real, rel=off)


def test_short_and_empty_texts() -> None:
    assert text_tokens("") == 0
    assert text_tokens("done") == 1
    assert text_tokens("\ud800") >= 1
    for text in ("hello world", "Yes.", "42", "The answer is 4."):
        assert abs(text_tokens(text) - openai.o200k_base().count(text)) <= 2


def test_long_texts_are_sampled() -> None:
    text = TEXTS["english"] * 40
    assert len(text) > 10 * SAMPLED_BYTES
    real = openai.o200k_base().count(text)
    assert text_tokens(text) == pytest.approx(real, rel=0.1)
    best_s = min(_seconds(text) for _ in range(5))
    assert best_s < 5e-6 * len(text) / 1024 + 1e-3


def _seconds(text: str) -> float:
    started = time.perf_counter()
    text_tokens(text)
    return time.perf_counter() - started


def _request(**parts: object) -> LlmRequest:
    return LlmRequest("m", True, **parts)  # type: ignore[arg-type]


def test_input_counts_system_messages_and_tools() -> None:
    system = ({"type": "text", "text": TEXTS["english"]},)
    messages = (
        {"role": "user", "content": GERMAN},
        {"role": "assistant", "tool_calls": [{"id": "x" * 999, "function": {"arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "y" * 999, "content": [{"type": "text", "text": CHINESE}]},
    )
    tools = ({"name": "Bash", "input_schema": SCHEMA},)
    whole = input_tokens(_request(system=system, messages=messages, tools=tools))
    text = "".join((TEXTS["english"], GERMAN, CHINESE, json.dumps(tools)))
    assert whole == pytest.approx(openai.o200k_base().count(text), rel=0.12)
    without = input_tokens(_request(system=system, messages=messages))
    assert whole is not None
    assert without is not None
    assert without < whole


def test_encoded_data_is_no_text() -> None:
    image = "iVBORw0KGgo" * 1000
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{image}"},
        {"inlineData": {"mimeType": "image/png", "data": image}},
        {"type": "input_audio", "input_audio": {"data": image, "format": "wav"}},
        {"type": "thinking", "thinking": "hm", "signature": image},
    ]
    found = input_tokens(_request(messages=({"role": "user", "content": parts},)))
    assert found is not None
    assert found < 20


def test_what_the_provider_remembers_is_not_known() -> None:
    request = _request(
        messages=({"role": "user", "content": "and?"},), params={"previous_response_id": "resp_1"}
    )
    assert input_tokens(request) is None
    assert input_tokens(_request()) is None


ASKED = _request(messages=({"role": "user", "content": "Say something about boats."},))
SAID = ({"role": "assistant", "content": "Boats float because they displace water."},)


def test_only_what_was_not_reported_is_estimated() -> None:
    reported = Usage(input_tokens=10, output_tokens=5)
    assert completed(ASKED, LlmResponse(usage=reported, output=SAID)) == (reported, "reported")
    usage, source = completed(ASKED, LlmResponse(output=SAID))
    assert (usage, source) == (Usage(input_tokens(ASKED), text_tokens(SAID[0]["content"])), source)
    assert source == "estimated"
    cut = Usage(input_tokens=2000, cache_read_tokens=1500)
    usage, source = completed(ASKED, LlmResponse(usage=cut, output=SAID))
    assert usage == Usage(2000, output_tokens(LlmResponse(output=SAID)), cache_read_tokens=1500)
    assert source == "output_estimated"
    usage, source = completed(_request(), LlmResponse(output=SAID))
    assert (usage and usage.input_tokens, source) == (None, "output_estimated")


@pytest.mark.parametrize(
    "response",
    [
        LlmResponse(),
        LlmResponse(output=({"role": "assistant", "content": ""},)),
        LlmResponse(output=SAID, error=LlmError("overloaded_error", "Overloaded")),
    ],
)
def test_errors_and_empty_answers_are_not_estimated(response: LlmResponse) -> None:
    assert completed(ASKED, response) == (None, None)


def test_tool_calls_are_output() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls -la"}}
    found = output_tokens(LlmResponse(output=({"role": "assistant", "content": [call]},)))
    assert found is not None
    assert 5 <= found <= 15


@given(anything, anything)
def test_nothing_that_is_sent_is_too_much(sent: object, made: object) -> None:
    request = _request(system=(sent,), messages=(made,), tools=(sent,))
    usage, _ = completed(request, LlmResponse(output=(made,)))
    assert usage is None or (usage.output_tokens or 0) >= 0


@given(st.text(max_size=200))
def test_no_text_is_nothing(text: str) -> None:
    assert (text_tokens(text) > 0) == bool(text)


def test_estimates_grow_with_the_text() -> None:
    assert text_tokens(GERMAN * 2) == pytest.approx(2 * text_tokens(GERMAN), rel=0.02)
