from __future__ import annotations

import json
import zlib
from typing import Self

import pytest

from collector import pricing, tool_calls
from collector.calls import CallTracker
from collector.exchange import HttpCounters
from collector.exchange_router import ExchangeRouter
from collector.http_connection import HttpConnection
from collector.processes import ProcessTable
from collector.redaction import Redactor
from collector.rows import Batch, CallRow, ToolCallRow
from collector.tool_calls import PREVIEW_CHARACTERS
from probes.events import ConnectionKey, Direction
from tests.collector.llm.wire import sse
from tests.frames import (
    CONNECTION,
    INFO,
    SALT,
    answer,
    ask,
    assistant,
    http_request,
    http_response,
    overloaded,
    streamed_answer,
    text,
    tool_result,
    tool_use,
    user,
)

EVENT_STREAM = "Content-Type: text/event-stream"


class Tracked:
    """Connections whose exchanges a `CallTracker` follows; takes rows when asked."""

    def __init__(self, *, content: bool = True) -> None:
        self.undecoded: list[tuple[str, int]] = []
        self.interest: list[bool] = []
        self.tracker = CallTracker(
            INFO,
            ProcessTable(INFO),
            Redactor(SALT).redact_text,
            content=content,
            undecoded=lambda reason, length: self.undecoded.append((reason, length)),
        )
        self.router = ExchangeRouter((self.tracker,), self)
        self.connections: dict[ConnectionKey, HttpConnection] = {}
        self.at = 0

    def exchange_seen(
        self, connection: ConnectionKey, *, followed: bool, is_call: bool, host: str | None
    ) -> None:
        self.interest.append(is_call)

    def _connection(self, key: ConnectionKey) -> HttpConnection:
        if key not in self.connections:
            self.connections[key] = HttpConnection(key, self.router, HttpCounters())
        return self.connections[key]

    def sends(self, data: bytes, key: ConnectionKey = CONNECTION) -> Self:
        self.at += 1000
        self._connection(key).chunk(Direction.WRITE, data, self.at)
        return self

    def receives(self, data: bytes, key: ConnectionKey = CONNECTION) -> Self:
        self.at += 1000
        self._connection(key).chunk(Direction.READ, data, self.at)
        return self

    def loses(self, direction: Direction, length: int) -> Self:
        self._connection(CONNECTION).gap(direction, length, self.at)
        return self

    def closes(self) -> Self:
        self._connection(CONNECTION).close(self.at)
        return self

    def call(self) -> CallRow:
        (row,) = self.tracker.take().calls
        return row


def test_a_call_is_written_when_asked_at_its_first_token_and_at_its_end() -> None:
    tracked = Tracked().sends(ask([user("hello")], stream=True))
    running = tracked.call()
    assert (running.status, running.stream, running.request_model) == (
        "running",
        True,
        "claude-sonnet-4-5",
    )
    assert (running.ended_ns, running.input_tokens, running.response_bytes) == (None, None, None)
    assert tracked.tracker.take().calls == []

    response = streamed_answer(["Good ", "morning"])
    cut = response.index(b"Good ") + 40
    first = tracked.receives(response[:cut]).call()
    assert (first.status, first.call_id) == ("running", running.call_id)
    assert first.first_token_ns == INFO.wall_ns(2000)
    assert tracked.tracker.take().calls == []

    done = tracked.receives(response[cut:]).call()
    assert (done.status, done.complete, done.call_id) == ("ok", True, running.call_id)
    assert (done.started_ns, done.first_byte_ns, done.first_token_ns, done.ended_ns) == tuple(
        INFO.wall_ns(at) for at in (1000, 2000, 2000, 3000)
    )
    assert done.chunk_ns == (1000, 2000)
    assert (done.input_tokens, done.output_tokens, done.finish_reason) == (120, 17, "end_turn")
    assert done.response_bytes == len(response)
    assert done.request_bytes == len(ask([user("hello")], stream=True))
    assert (done.provider, done.api, done.host) == (
        "anthropic",
        "anthropic.messages",
        "api.anthropic.com",
    )
    assert done.agent == "anthropic-python"
    assert done.agent_version == "0.75.0"
    assert tracked.interest == [True]


def test_what_is_not_known_stays_none() -> None:
    row = Tracked().sends(ask([user("a")])).receives(http_response(b'{"type": "odd"}')).call()
    unknown = (row.model, row.input_tokens, row.output_tokens, row.cost_usd, row.cost_source)
    assert unknown == (None,) * 5
    assert (row.finish_reason, row.first_token_ns, row.credential) == (None, None, None)


def test_the_key_is_named_by_its_fingerprint() -> None:
    masked = ask([user("a")]).replace(b"X-Api-Key: sk-ant-api03", b"X-Api-Key: [redacted:0a1b2c3d]")
    assert Tracked().sends(masked).call().credential == "0a1b2c3d"


def test_an_error_is_told_in_the_providers_words() -> None:
    row = Tracked().sends(ask([user("a")])).receives(overloaded()).call()
    assert (row.status, row.http_status, row.error_type, row.error_message) == (
        "error",
        529,
        "overloaded_error",
        "Overloaded",
    )
    assert (row.input_tokens, row.cost_usd) == (None, None)


def test_an_error_page_of_a_proxy_is_told_by_its_status() -> None:
    page = http_response(b"<h1>Bad gateway</h1>", "502 Bad Gateway", ["Content-Type: text/html"])
    row = Tracked().sends(ask([user("a")])).receives(page).call()
    assert (row.status, row.error_type) == ("error", "502")


def test_a_failed_call_that_is_asked_again_is_its_retry() -> None:
    tracked = Tracked().sends(ask([user("a")])).receives(overloaded())
    first = tracked.call()
    second = tracked.sends(ask([user("a")])).receives(overloaded()).call()
    third = tracked.sends(ask([user("a")])).receives(answer(text("b"))).call()
    after = tracked.sends(ask([user("a"), assistant(text("b")), user("c")])).call()
    assert [first.retry_of, second.retry_of, third.retry_of] == [
        None,
        first.call_id,
        second.call_id,
    ]
    assert after.retry_of is None
    assert len({row.session_id for row in (first, second, third, after)}) == 1


OTHER = CONNECTION._replace(epoch=7)


def test_a_cut_request_is_retried_on_another_connection() -> None:
    tracked = Tracked()
    first = ask([user("a")], headers=["x-stainless-retry-count: 0"])
    cut = tracked.sends(first).receives(streamed_answer(["Go"])[:150]).closes().call()
    again = ask([user("a")], headers=["x-stainless-retry-count: 1"])
    row = tracked.sends(again, OTHER).receives(answer(text("b")), OTHER).call()
    assert (cut.status, cut.attempt, cut.retry_of) == ("incomplete", 1, None)
    assert (row.status, row.attempt, row.retry_of) == ("ok", 2, cut.call_id)
    assert row.session_id == cut.session_id
    later = tracked.sends(first, OTHER).call()
    assert (later.attempt, later.retry_of) == (1, None)


def test_a_client_that_does_not_wait_for_the_end_retries_too() -> None:
    tracked = Tracked().sends(ask([user("a")], headers=["x-stainless-retry-count: 0"]))
    waiting = tracked.call()
    again = ask([user("a")], headers=["x-stainless-retry-count: 1"])
    assert tracked.sends(again, OTHER).call().retry_of == waiting.call_id


def test_another_model_is_not_a_retry() -> None:
    tracked = Tracked().sends(ask([user("a")])).receives(overloaded())
    tracked.call()
    assert tracked.sends(ask([user("a")], model="claude-haiku-4-5")).call().retry_of is None


def test_a_tool_call_waits_for_its_result() -> None:
    tracked = Tracked().sends(ask([user("list the files")]))
    tracked.receives(answer(text("Sure."), tool_use("toolu_1", "ls")))
    first = tracked.tracker.take()
    (tool,) = first.tool_calls
    assert (tool.name, tool.arguments, tool.result_hash) == ("Bash", '{"command":"ls"}', None)
    assert first.calls[0].tool_call_count == 1
    assert first.calls[0].finish_reason == "tool_use"

    history = [
        user("list the files"),
        assistant(text("Sure."), tool_use("toolu_1", "ls")),
        tool_result("toolu_1", "README.md\nsrc"),
    ]
    tracked.sends(ask(history))
    batch = tracked.tracker.take()
    (answered,) = batch.tool_calls
    assert (answered.call_id, answered.tool_call_id) == (tool.call_id, "toolu_1")
    assert answered.result_preview == "README.md\nsrc"
    assert answered.result_hash
    assert answered.result_call_id == batch.calls[0].call_id
    assert answered.result_ns == batch.calls[0].started_ns

    # The history is resent with every turn; the result is told once.
    tracked.receives(answer(text("Two.")))
    tracked.sends(ask([*history, assistant(text("Two.")), user("thanks")]))
    assert tracked.tracker.take().tool_calls == []


def _ollama(*messages: object) -> bytes:
    body = {"model": "m", "stream": False, "messages": [{"role": "user"}, *messages]}
    return http_request("/api/chat", json.dumps(body).encode())


@pytest.mark.parametrize("given", [{}, {"id": "call_1"}], ids=["without-id", "with-id"])
@pytest.mark.parametrize("resent", [{}, {"id": "call_1"}, {"id": "call_2"}], ids=["no", "1", "2"])
def test_a_result_finds_its_call_by_what_both_sides_know(
    given: dict[str, str], resent: dict[str, str]
) -> None:
    function = {"name": "ls", "arguments": {"dir": "/"}}
    message = {"role": "assistant", "tool_calls": [{**given, "function": function}]}
    tracked = Tracked().sends(_ollama())
    tracked.receives(http_response(json.dumps({"message": message, "done": True}).encode()))
    (tool,) = tracked.tracker.take().tool_calls
    assert tool.tool_call_id == given.get("id", f"{tool.call_id}#0")
    said = {"role": "tool", "tool_name": "ls", "content": "bin"}
    history = [{"role": "assistant", "tool_calls": [{**resent, "function": function}]}, said]
    tracked.sends(_ollama(*history))
    (row,) = tracked.tracker.take().tool_calls
    assert (row.call_id, row.result_preview) == (tool.call_id, "bin")
    tracked.receives(http_response(b'{"message": {"content": "ok"}, "done": true}'))
    tracked.sends(_ollama(*history, {"role": "user", "content": "thanks"}))
    assert tracked.tracker.take().tool_calls == []


def test_a_long_result_is_previewed() -> None:
    tracked = Tracked().sends(ask([user("a")])).receives(answer(tool_use("toolu_1", "cat x")))
    tracked.tracker.take()
    history = [
        user("a"),
        assistant(tool_use("toolu_1", "cat x")),
        tool_result("toolu_1", "x" * 9000),
    ]
    tracked.sends(ask(history))
    (row,) = tracked.tracker.take().tool_calls
    assert row.result_preview == "x" * PREVIEW_CHARACTERS


def test_tool_calls_of_two_sessions_with_one_id_are_not_joined() -> None:
    tracked = Tracked()
    other = CONNECTION._replace(handle=99)
    tracked.sends(ask([user("one")])).sends(ask([user("two")]), other)
    tracked.receives(answer(tool_use("call_0", "ls"))).receives(
        answer(tool_use("call_0", "pwd")), other
    )
    tracked.tracker.take()
    history = [user("two"), assistant(tool_use("call_0", "pwd")), tool_result("call_0", "/src")]
    tracked.sends(ask(history), other)
    (row,) = tracked.tracker.take().tool_calls
    assert row.arguments == '{"command":"pwd"}'


def test_a_cut_response_is_incomplete_and_counts_what_is_missing() -> None:
    response = streamed_answer(["Good ", "morning"])
    at = response.index(b"morning")
    tracked = Tracked().sends(ask([user("a")], stream=True))
    tracked.receives(response[:at]).loses(Direction.READ, 7).receives(response[at + 7 :])
    row = tracked.closes().call()
    assert (row.status, row.complete, row.lost_bytes) == ("incomplete", False, 7)
    assert row.first_token_ns is not None


def test_a_call_without_an_answer_is_incomplete() -> None:
    row = Tracked().sends(ask([user("a")])).closes().call()
    assert (row.status, row.http_status, row.response_bytes) == ("incomplete", None, None)


def test_a_request_that_was_not_seen_whole_is_still_a_call() -> None:
    request = ask([user("a" * 500)])
    tracked = Tracked().sends(request[:400]).loses(Direction.WRITE, 100).sends(request[500:])
    row = tracked.receives(answer(text("b"))).call()
    assert (row.status, row.request_model, row.input_node) == ("incomplete", None, None)
    assert (row.lost_bytes, row.output_tokens, row.model) == (100, 17, "claude-sonnet-4-5-20250929")


@pytest.mark.parametrize(
    "request_bytes",
    [
        http_request("/v1/messages", b'{"something": "else"}'),
        http_request("/v1/messages", b"not json"),
        http_request("/v1/files", b'{"model": "m", "messages": []}'),
        http_request("/v1/messages", method="GET"),
    ],
)
def test_other_requests_are_no_calls(request_bytes: bytes) -> None:
    tracked = Tracked().sends(request_bytes).receives(http_response(b"{}"))
    assert not tracked.tracker.take()
    assert tracked.interest == [False]


def test_compressed_bodies() -> None:
    body = ask([user("compress me")]).partition(b"\r\n\r\n")[2]
    reply = answer(text("done")).partition(b"\r\n\r\n")[2]
    packed = zlib.compress(body, wbits=31)
    tracked = Tracked()
    tracked.sends(http_request(body=packed, headers=["Content-Encoding: gzip"]))
    tracked.receives(
        http_response(zlib.compress(reply, wbits=31), headers=["Content-Encoding: gzip"])
    )
    row = tracked.call()
    assert (row.status, row.request_model, row.output_tokens) == ("ok", "claude-sonnet-4-5", 17)
    assert all(length == 0 for _, length in tracked.undecoded)


def test_events_that_are_no_json_are_counted() -> None:
    tracked = Tracked().sends(ask([user("a")], stream=True))
    strange = b"17\r\ndata: not JSON at all\n\n\r\n"
    tracked.receives(streamed_answer(["done"]).replace(b"0\r\n\r\n", strange + b"0\r\n\r\n"))
    assert tracked.call().status == "ok"
    assert ("response_events", 15) in tracked.undecoded


def test_a_coding_that_is_not_known_is_counted_and_does_not_stop_the_call() -> None:
    tracked = Tracked().sends(ask([user("a")]))
    tracked.receives(http_response(b"?" * 50, headers=["Content-Encoding: x-none"]))
    row = tracked.call()
    assert (row.status, row.complete) == ("incomplete", False)
    assert ("response_body", 50) in tracked.undecoded


def test_rate_limits_and_request_ids_of_responses() -> None:
    headers = ["Anthropic-RateLimit-Tokens-Remaining: 39000", "Retry-After: 7", "Request-Id: req_7"]
    row = Tracked().sends(ask([user("a")])).receives(http_response(b"{}", headers=headers)).call()
    assert row.provider_request_id == "req_7"
    assert json.loads(row.rate_limits or "") == {
        "anthropic-ratelimit-tokens-remaining": "39000",
        "retry-after": "7",
        "limits": [{"name": "tokens", "remaining": 39000}],
    }
    assert row.retry_after_s == 7


def test_the_wait_that_an_error_asks_for() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    body = json.dumps({"error": {"code": 429, "message": "slow", "details": details}}).encode()
    row = Tracked().sends(ask([user("a")])).receives(http_response(body, "429 Slow")).call()
    assert (row.status, row.retry_after_s) == ("error", 34)


def _texts(batch: Batch) -> str:
    return repr((batch.calls, batch.tool_calls, batch.contents))


def test_without_content_no_words_are_kept() -> None:
    tracked = Tracked(content=False)
    tracked.sends(ask([user("WORDS question")], metadata={"note": "WORDS note"}))
    tracked.receives(answer(text("WORDS answer"), tool_use("toolu_1", "echo WORDS")))
    kept = _texts(tracked.tracker.take())
    history = [
        user("WORDS question"),
        assistant(text("WORDS answer"), tool_use("toolu_1", "echo WORDS")),
        tool_result("toolu_1", "WORDS out"),
    ]
    tracked.sends(ask(history))
    error = {"type": "error", "error": {"type": "api_error", "message": "WORDS failed"}}
    tracked.receives(http_response(json.dumps(error).encode(), "500 Oops"))
    batch = tracked.tracker.take()
    assert "WORDS" not in kept + _texts(batch)
    (tool,) = batch.tool_calls
    assert tool.result_hash
    assert tool.arguments_hash
    assert all(row.size_bytes > 0 for row in batch.contents)


def test_call_ids_are_the_same_for_the_same_capture_and_differ_within_it() -> None:
    def ids() -> list[str]:
        tracked = Tracked()
        for number in range(3):
            tracked.sends(ask([user(f"{number}")])).receives(answer(text("b")))
        tracked.sends(ask([user("x")]), CONNECTION._replace(epoch=2))
        return [row.call_id for row in tracked.tracker.take().calls]

    assert ids() == ids()
    assert len(set(ids())) == 4


def test_memory_of_unanswered_tool_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_calls, "UNANSWERED_TOOL_CALLS", 2)
    tracked = Tracked().sends(ask([user("a")]))
    uses = [tool_use(f"toolu_{number}", "ls") for number in range(3)]
    tracked.receives(answer(*uses))
    tracked.tracker.take()
    results = [tool_result(f"toolu_{number}", "out") for number in range(3)]
    tracked.sends(ask([user("a"), assistant(*uses), *results]))
    rows: list[ToolCallRow] = tracked.tracker.take().tool_calls
    assert [row.tool_call_id for row in rows] == ["toolu_1", "toolu_2"]


CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Tell me about boats."}]}


def _chat(events: list[object], **fields: object) -> Tracked:
    """A streamed chat completion of OpenAI's."""
    tracked = Tracked()
    body = json.dumps({**CHAT, "stream": True, **fields}).encode()
    tracked.sends(http_request("/v1/chat/completions", body, host="api.openai.com"))
    return tracked.receives(http_response(sse(events, named=False), headers=[EVENT_STREAM]))


def _said(content: str, **fields: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"id": "c1", "model": "gpt-4o-mini", "choices": [choice], **fields}


def test_tokens_that_nobody_reports_are_estimated_and_marked() -> None:
    row = _chat([_said("Boats float because they displace water."), "[DONE]"]).call()
    assert (row.status, row.usage_source) == ("ok", "estimated")
    assert row.input_tokens in range(6, 14)
    assert row.output_tokens in range(6, 12)
    assert (row.cost_source or "").startswith("estimated:genai-prices/")
    assert row.cost_usd


def test_reported_tokens_stay_as_they_are() -> None:
    usage = {"prompt_tokens": 500, "completion_tokens": 1}
    row = _chat([_said("Boats float."), {"choices": [], "usage": usage}, "[DONE]"]).call()
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (500, 1, "reported")
    assert (row.cost_source or "").startswith("genai-prices/")


def test_a_cut_answer_keeps_its_reported_input() -> None:
    response = streamed_answer(["Boats float because ", "they displace water, and so"])
    cut = response[: response.index(b"and so") + 12]
    row = Tracked().sends(ask([user("boats?")], stream=True)).receives(cut).closes().call()
    assert (row.status, row.usage_source, row.input_tokens) == (
        "incomplete",
        "output_estimated",
        120,
    )
    assert row.output_tokens in range(8, 16)


def test_what_capture_lost_is_not_estimated() -> None:
    tracked = Tracked().sends(ask([user("boats?")], stream=True))
    response = streamed_answer(["Boats float because ", "they displace water"])
    tracked.receives(response[:900]).loses(Direction.READ, 200).closes()
    row = tracked.call()
    assert row.lost_bytes
    assert (row.usage_source, row.output_tokens) == ("reported", None)


@pytest.mark.parametrize(
    ("answered", "asked", "tier"),
    [("flex", "auto", "flex"), ("default", "flex", "default"), (None, "flex", "flex")],
)
def test_the_tier_that_served_is_told_and_priced(
    answered: str | None, asked: str, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced: list[str | None] = []

    def price(*_: object, tier: str | None, **__: object) -> pricing.Price:
        priced.append(tier)
        return pricing.Price(0.5, "test")

    monkeypatch.setattr(pricing, "price", price)
    said = _said("b", **({"service_tier": answered} if answered else {}))
    row = _chat([said, "[DONE]"], service_tier=asked).call()
    assert (row.service_tier, row.cost_usd, priced) == (tier, 0.5, [tier])
