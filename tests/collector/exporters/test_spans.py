"""Sessions as spans: the tree, ids, times, and what is left out."""

from __future__ import annotations

import pytest

from collector.exporters import semconv, spans
from collector.exporters.call_attributes import finish_reasons, request_parameters, server
from collector.exporters.messages import Conversation
from collector.exporters.spans import ExportedSession, Kind, SpanPlan, session_spans
from collector.tool_calls import PREVIEW_CHARACTERS
from tests.collector.store_rows import MS, START_NS, call, session, tool_call


def _one_call(**changes: object) -> SpanPlan:
    return list(session_spans(ExportedSession(session(), (call(**changes),), ())))[1]  # type: ignore[arg-type]


def _one_tool(*, content: bool = False, **changes: object) -> SpanPlan:
    conversation = Conversation({}) if content else None
    tool = tool_call(**changes)  # type: ignore[arg-type]
    return list(session_spans(ExportedSession(session(), (), (tool,), conversation)))[1]


def test_tree_of_a_session() -> None:
    exported = ExportedSession(
        session(),
        (call("c1"), call("c2", started_ns=START_NS + 1900 * MS, ended_ns=START_NS + 2500 * MS)),
        (tool_call(),),
    )
    root, first, tool, second = session_spans(exported)
    assert [span.name for span in (root, first, tool, second)] == [
        "invoke_agent claude-code",
        "chat claude-sonnet-4-5",
        "execute_tool Bash",
        "chat claude-sonnet-4-5",
    ]
    assert [span.kind for span in (root, first, tool)] == [
        Kind.INTERNAL,
        Kind.CLIENT,
        Kind.INTERNAL,
    ]
    assert root.parent_span_id is None
    assert {span.parent_span_id for span in (first, tool, second)} == {root.span_id}
    assert len({span.trace_id for span in (root, first, tool, second)}) == 1
    assert len({span.span_id for span in (root, first, tool, second)}) == 4
    assert (root.start_ns, root.end_ns) == (START_NS, START_NS + 2500 * MS)
    assert (tool.start_ns, tool.end_ns) == (START_NS + 1400 * MS, START_NS + 1900 * MS)
    assert [(link.span_id, link.relation) for link in tool.links] == [
        (first.span_id, "requested_by")
    ]


def test_ids_are_fixed_and_fit_their_width() -> None:
    assert spans.trace_id("s1") == 0xD465A6DC1CC8BCF1CC98C9765048FD15
    assert spans.call_span_id("c1") == 0x42B6D6130FD120DC
    for one, other in (("ab", "c"), ("a", "bc")):
        assert 0 < spans.tool_span_id(one, other) < 2**64
    assert spans.tool_span_id("ab", "c") != spans.tool_span_id("a", "bc")
    assert 0 < spans.trace_id("s1") < 2**128
    assert spans.trace_id("s1") != spans.trace_id("s2")


def test_attributes_of_a_call() -> None:
    span = _one_call(cache_write_tokens=100, reasoning_tokens=7, lost_bytes=3)
    assert span.attributes == {
        "gen_ai.conversation.id": "s1",
        "underglass.session.id": "s1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": "claude-code",
        "gen_ai.agent.version": "2.0.1",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "claude-sonnet-4-5",
        "gen_ai.response.finish_reasons": ("tool_use",),
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 80,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.cache_creation.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 100,
        "gen_ai.usage.reasoning.output_tokens": 7,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "underglass.call.id": "c1",
        "underglass.call.status": "ok",
        "underglass.call.complete": True,
        "underglass.api": "anthropic.messages",
        "underglass.pid": 4242,
        "underglass.comm": "node",
        "underglass.cost.usd": 0.0125,
        "underglass.cost.source": "genai-prices/0.2",
        "underglass.lost_bytes": 3,
        "underglass.request_bytes": 5000,
        "underglass.response_bytes": 2500,
        "underglass.provider_request_id": "req_1",
    }
    assert span.error is None


def test_the_unknown_is_left_out() -> None:
    span = _one_call(
        input_tokens=None,
        output_tokens=None,
        cache_read_tokens=None,
        cost_usd=None,
        model=None,
        request_model=None,
        host=None,
        params=None,
        finish_reason=None,
        stream=False,
        first_token_ns=None,
        http_status=None,
        response_bytes=None,
    )
    assert span.name == "chat"
    assert not [name for name in span.attributes if name.startswith("gen_ai.usage.")]
    for name in (
        semconv.OWN_COST_USD,
        semconv.RESPONSE_MODEL,
        semconv.REQUEST_MODEL,
        semconv.REQUEST_STREAM,
        semconv.REQUEST_MAX_TOKENS,
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK,
        semconv.RESPONSE_FINISH_REASONS,
        semconv.SERVER_ADDRESS,
        semconv.SERVER_PORT,
        semconv.HTTP_RESPONSE_STATUS_CODE,
    ):
        assert name not in span.attributes


def test_an_inferred_session_id_is_no_conversation_id() -> None:
    exported = ExportedSession(session(confidence="inferred"), (call(),), (tool_call(),))
    for span in session_spans(exported):
        assert semconv.CONVERSATION_ID not in span.attributes
        assert span.attributes[semconv.OWN_SESSION_ID] == "s1"


def test_a_failed_call() -> None:
    span = _one_call(
        status="error",
        http_status=429,
        error_type="rate_limit_error",
        error_message="slow down, said the prompt",
        finish_reason=None,
        retry_of="c0",
    )
    assert span.error == ""
    assert span.attributes[semconv.ERROR_TYPE] == "rate_limit_error"
    assert semconv.RESPONSE_FINISH_REASONS not in span.attributes
    assert [(link.span_id, link.relation) for link in span.links] == [
        (spans.call_span_id("c0"), "retry_of")
    ]


def test_an_error_message_is_content() -> None:
    failed = call(status="error", error_type="x", error_message="about your prompt")
    exported = ExportedSession(session(), (failed,), (), Conversation({}))
    assert list(session_spans(exported))[1].error == "about your prompt"


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ("error",)),
        ({"status": "error", "error_type": "overloaded_error"}, ("error",)),
        ({"finish_reason": "end_turn"}, ("end_turn",)),
        ({"lost_bytes": 1}, None),  # cut by our loss, for all that is known
        ({"first_byte_ns": None, "first_token_ns": None}, None),  # nothing came
        ({"status": "running"}, None),
        ({"status": "error", "http_status": 500}, None),
    ],
)
def test_finish_reasons_of_a_truncated_stream(
    changes: dict[str, object], reasons: tuple[str, ...] | None
) -> None:
    cut: dict[str, object] = {"status": "incomplete", "complete": False, "finish_reason": None}
    assert finish_reasons(call(**{**cut, **changes})) == reasons  # type: ignore[arg-type]


def test_a_call_that_never_ended_ends_with_the_last_that_was_seen() -> None:
    span = _one_call(status="running", ended_ns=None, complete=False, finish_reason=None)
    assert span.end_ns == START_NS + 250 * MS
    assert span.attributes[semconv.OWN_CALL_STATUS] == "running"
    assert semconv.OWN_CALL_COMPLETE not in span.attributes
    assert _one_call(ended_ns=None, first_byte_ns=None, first_token_ns=None).end_ns == START_NS


def test_attributes_of_a_tool_call() -> None:
    span = _one_tool()
    assert span.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "Bash",
        "gen_ai.tool.call.id": "toolu_1",
        "gen_ai.tool.type": "function",
        "underglass.call.id": "c1",
        "underglass.tool.answered": True,
        "gen_ai.conversation.id": "s1",
        "underglass.session.id": "s1",
    }
    assert span.error is None


def test_an_unanswered_tool_call() -> None:
    span = _one_tool(result_ns=None, is_error=None, result_preview=None)
    assert span.end_ns == span.start_ns == START_NS + 1400 * MS
    assert span.attributes[semconv.OWN_TOOL_ANSWERED] is False
    assert semconv.TOOL_TYPE not in span.attributes


def test_a_failed_tool_call() -> None:
    span = _one_tool(is_error=True)
    assert span.error == ""
    assert span.attributes[semconv.ERROR_TYPE] == "tool_error"


def test_an_id_that_no_provider_gave_is_left_out() -> None:
    assert semconv.TOOL_CALL_ID not in _one_tool(tool_call_id="c1#0").attributes


def test_content_of_a_tool_call_only_when_asked_for() -> None:
    span = _one_tool(content=True)
    assert span.attributes[semconv.TOOL_CALL_ARGUMENTS] == '{"command":"ls"}'
    assert span.attributes[semconv.TOOL_CALL_RESULT] == "a.py"
    assert semconv.OWN_TOOL_RESULT_IS_PREVIEW not in span.attributes
    assert spans.PREVIEW_CHARACTERS == PREVIEW_CHARACTERS
    long = _one_tool(content=True, result_preview="x" * PREVIEW_CHARACTERS)
    assert long.attributes[semconv.OWN_TOOL_RESULT_IS_PREVIEW] is True


def test_since_leaves_out_earlier_children_but_not_the_root() -> None:
    later = call("c2", started_ns=START_NS + 2000 * MS, ended_ns=START_NS + 2500 * MS)
    exported = ExportedSession(session(), (call(), later), (tool_call(),))
    everything = list(session_spans(exported))
    assert list(session_spans(exported, START_NS + 2000 * MS)) == [everything[0], everything[-1]]


def test_a_sub_agents_session_links_to_its_parents() -> None:
    (root,) = session_spans(ExportedSession(session("s2", parent_session_id="s1"), (), ()))
    (link,) = root.links
    assert (link.trace_id, link.span_id) == (spans.trace_id("s1"), spans.root_span_id("s1"))
    assert root.attributes[semconv.OWN_SESSION_PARENT_ID] == "s1"
    assert (root.start_ns, root.end_ns) == (START_NS, START_NS)


def test_the_root_names_provider_and_model_only_when_there_is_one() -> None:
    other = call("c2", provider="openai", request_model="gpt-5")
    (root, *_) = session_spans(ExportedSession(session(agent=None), (call(), other), ()))
    assert semconv.PROVIDER_NAME not in root.attributes
    assert semconv.REQUEST_MODEL not in root.attributes
    assert root.attributes[semconv.AGENT_NAME] == "claude-code"  # as its calls say


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.openai.com", ("api.openai.com", 443)),
        ("localhost:8443", ("localhost", 8443)),
        ("[::1]:8443", ("::1", 8443)),
        ("[::1]", ("::1", 443)),
        ("host:https", ("host", None)),
        ("host:99999", ("host", None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_server(host: str | None, expected: tuple[str | None, int | None]) -> None:
    assert server(host) == expected


def test_request_parameters() -> None:
    given = (
        '{"max_output_tokens":5,"temperature":1,"top_p":0.5,"top_k":40,"seed":7,"n":2,'
        '"stop":"END","frequency_penalty":0.1,"presence_penalty":0,'
        '"text":{"format":{"type":"json_schema"}}}'
    )
    found = {name: value for name, value in request_parameters(given).items() if value is not None}
    assert found == {
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.0,
        "gen_ai.output.type": "json",
    }


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        "",
        "[]",
        "no json",
        '{"n":1,"seed":true,"max_tokens":"9","temperature":null,"stop":[1],"text":"plain"}',
        '{"seed":99999999999999999999,"response_format":[],"stop_sequences":[]}',
    ],
)
def test_parameters_of_the_wrong_type_are_left_out(hostile: str | None) -> None:
    assert not [value for value in request_parameters(hostile).values() if value is not None]
