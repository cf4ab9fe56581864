from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from collector.llm.gemini import Gemini
from collector.llm.model import LlmError, LlmRequest, LlmResponse, Usage
from tests.collector.llm.wire import (
    REQUEST,
    api,
    decode,
    decode_events,
    mutated,
    post,
    response,
    sse,
)

GEMINI = Gemini()
MODELS = "/v1beta/models/gemini-2.5-flash"
STREAM = f"{MODELS}:streamGenerateContent?alt=sse"
JSON = response("application/json; charset=UTF-8")


def parse(body: Any, target: str = f"{MODELS}:generateContent") -> LlmRequest:
    found = GEMINI.parse_request(post(target), json.dumps(body).encode())
    assert found is not None
    return found


def event(*parts: Any, finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "m-001", "responseId": "r1", **fields}


def array(events: list[Any]) -> bytes:
    return ("[" + ",\r\n".join(json.dumps(one, indent=1) for one in events) + "\n]\n").encode()


@pytest.mark.parametrize(
    ("target", "model", "stream"),
    [
        (f"{MODELS}:generateContent", "gemini-2.5-flash", False),
        (STREAM, "gemini-2.5-flash", True),
        ("/v1alpha/models/m:streamGenerateContent", "m", True),
        ("/v1/tunedModels/my-own-1:generateContent", "tunedModels/my-own-1", False),
        (
            "/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent",
            "gemini-3-pro",
            False,
        ),
        ("/v1beta1/publishers/google/models/g:streamGenerateContent?key=k", "g", True),
        ("/v1/projects/p/locations/l/endpoints/12:generateContent", "endpoints/12", False),
        ("/proxy/v1beta/models%2Fm%3AgenerateContent", "m", False),
        ("https://x.example/v1beta/models/m:generateContent", "m", False),
    ],
)
def test_the_path_names_the_model(target: str, model: str, stream: bool) -> None:
    assert api(target).name == "gemini"
    request = parse({"contents": []}, target)
    assert (request.request_model, request.stream) == (model, stream)


@pytest.mark.parametrize(
    "target",
    [
        f"{MODELS}:countTokens",
        f"{MODELS}",
        "/v1internal:loadCodeAssist",
        "/v1beta/models/m:generateContent/x",
        "/generateContent",
    ],
)
def test_other_paths_do_not_match(target: str) -> None:
    assert not GEMINI.matches(post(target))
    assert not GEMINI.matches(post(f"{MODELS}:generateContent", method="GET"))


def test_request() -> None:
    declared = {"name": "ls", "parameters": {"type": "OBJECT"}}
    contents = [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "hello"}]},
    ]
    for system, declarations, config in (
        ("systemInstruction", "functionDeclarations", "generationConfig"),
        ("system_instruction", "function_declarations", "generation_config"),
    ):
        request = parse(
            {
                "contents": contents,
                system: {"parts": [{"text": "be brief"}]},
                "tools": [{declarations: [declared, {"name": "cat"}]}, {"googleSearch": {}}],
                config: {"temperature": 0},
            }
        )
        assert request.system == ({"parts": [{"text": "be brief"}]},)
        assert list(request.messages) == contents
        assert request.tools == (declared, {"name": "cat"}, {"googleSearch": {}})
        assert request.params == {config: {"temperature": 0}}
    assert parse({"contents": contents[0]}).messages == (contents[0],)


def test_code_assist_wraps_the_request() -> None:
    target = "/v1internal:streamGenerateContent?alt=sse"
    assert api(target).name == "gemini"
    request = parse(
        {
            "model": "gemini-2.5-pro",
            "project": "p",
            "user_prompt_id": "u",
            "request": {
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                "systemInstruction": {"role": "user", "parts": [{"text": "be brief"}]},
                "session_id": "s",
            },
        },
        target,
    )
    assert (request.request_model, request.stream) == ("gemini-2.5-pro", True)
    assert len(request.messages) == len(request.system) == 1
    assert request.params == {"session_id": "s", "project": "p", "user_prompt_id": "u"}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"contents": "x"}', b'{"request": {}}', b"{"])
def test_other_bodies_are_no_request(body: bytes) -> None:
    assert GEMINI.parse_request(post(STREAM), body) is None


EVENTS = [
    event({"text": "I should ", "thought": True}, usageMetadata={"promptTokenCount": 9}),
    event({"text": "look.", "thought": True}),
    event({"text": "Let me "}),
    event({"text": "see."}, {"functionCall": {"id": "c1", "name": "ls", "args": {"dir": "/"}},
                             "thoughtSignature": "c2ln"}),
    event({"functionCall": {"name": "pwd", "args": {}}}),
    event(
        {"text": ""},
        finish="STOP",
        usageMetadata={
            "promptTokenCount": 9,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 20,
            "thoughtsTokenCount": 5,
            "toolUsePromptTokenCount": 2,
            "totalTokenCount": 36,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 6},
                {"modality": "AUDIO", "tokenCount": 3},
            ],
            "trafficType": "ON_DEMAND_PRIORITY",
        },
    ),
]  # fmt: skip
PARTS = [
    {"text": "I should look.", "thought": True},
    {"text": "Let me see."},
    {"functionCall": {"id": "c1", "name": "ls", "args": {"dir": "/"}}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "pwd", "args": {}}},
]


def test_stream() -> None:
    found = decode_events(GEMINI, EVENTS)
    assert found.output == ({"role": "model", "parts": PARTS},)
    assert (found.response_id, found.model, found.finish_reason) == ("r1", "m-001", "STOP")
    assert found.usage == Usage(
        input_tokens=11,
        output_tokens=25,
        cache_read_tokens=4,
        reasoning_tokens=5,
        input_audio_tokens=3,
    )
    assert found.service_tier == "ON_DEMAND_PRIORITY"
    assert [(call.tool_call_id, call.name, call.arguments) for call in found.tool_calls] == [
        ("c1", "ls", '{"dir":"/"}'),
        (None, "pwd", "{}"),
    ]
    assert [call.requested_ns for call in found.tool_calls] == [1_003, 1_004]
    assert found.chunk_ns == (1_000, 1_001, 1_002, 1_003, 1_004)
    assert found.complete
    assert found.error is None


@given(cuts=st.lists(st.integers(0, 1800), max_size=20))
def test_a_stream_of_events_and_an_array_give_the_same_however_they_are_cut(
    cuts: list[int],
) -> None:
    expected = decode(GEMINI, sse(EVENTS))
    assert decode(GEMINI, sse(EVENTS), cuts=cuts) == expected
    assert decode(GEMINI, array(EVENTS), head=JSON, cuts=cuts) == expected
    lines = sse(EVENTS).replace(b"\n\n", b"\r\n\r\n")
    assert decode(GEMINI, lines, cuts=cuts) == expected


def test_a_whole_body_says_the_same_as_the_stream() -> None:
    whole = event(*PARTS, finish="STOP", usageMetadata=EVENTS[-1]["usageMetadata"])
    found = decode(GEMINI, json.dumps(whole).encode(), head=JSON)
    streamed = decode_events(GEMINI, EVENTS)
    assert (found.output, found.usage) == (streamed.output, streamed.usage)
    assert (found.first_token_ns, found.chunk_ns, found.complete) == (None, (), True)


def test_code_assist_wraps_the_response() -> None:
    wrapped = [{"response": one, "traceId": "t1"} for one in EVENTS]
    assert decode_events(GEMINI, wrapped) == decode_events(GEMINI, EVENTS)
    bare = {key: value for key, value in EVENTS[-1].items() if key != "responseId"}
    assert decode_events(GEMINI, [{"response": bare, "traceId": "t1"}]).response_id == "t1"


def test_a_text_with_a_signature_stays_alone() -> None:
    signed = {"text": "b", "thoughtSignature": "eA=="}
    found = decode_events(
        GEMINI,
        [event({"text": "a"}), event(signed), event({"text": "c"}), event({"text": "d"}),
         event({"text": "", "thoughtSignature": "eQ=="}, finish="STOP")],
    )  # fmt: skip
    assert found.output[0]["parts"] == [
        {"text": "a"},
        signed,
        {"text": "cd"},
        {"text": "", "thoughtSignature": "eQ=="},
    ]
    assert len(found.chunk_ns) == 4


def test_candidates_are_messages_of_their_own() -> None:
    found = decode_events(
        GEMINI,
        [event({"text": "b"}, index=1), event({"text": "a"}), event({"text": "B"}, index=1),
         event(finish="MAX_TOKENS", index=1), event(finish="STOP")],
    )  # fmt: skip
    assert [one["parts"] for one in found.output] == [[{"text": "a"}], [{"text": "bB"}]]
    assert found.finish_reason == "STOP"


def test_other_parts_are_kept() -> None:
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    ]
    found = decode_events(GEMINI, [event(*parts, finish="STOP")])
    assert found.output[0]["parts"] == parts


def test_a_blocked_prompt() -> None:
    found = decode_events(
        GEMINI,
        [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
          "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}],
    )  # fmt: skip
    assert (found.finish_reason, found.complete, found.output) == ("PROHIBITED_CONTENT", True, ())
    assert found.usage == Usage(input_tokens=7)


def test_enums_as_numbers() -> None:
    found = decode(GEMINI, array([event({"text": "a"}, finish=2)]), head=JSON)  # type: ignore[arg-type]
    assert (found.finish_reason, found.complete) == ("2", True)


ERROR = {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (json.dumps(ERROR, indent=2).encode(), response("application/json", 429)),
        (json.dumps([ERROR]).encode(), response("application/json", 429)),
        (sse([EVENTS[0], ERROR]), response()),
        (array([EVENTS[0], ERROR]), JSON),
        (json.dumps(ERROR).encode(), JSON),
        (json.dumps(ERROR).encode(), response()),
    ],
)
def test_errors(body: bytes, head: Any) -> None:
    assert decode(GEMINI, body, head=head).error == LlmError("RESOURCE_EXHAUSTED", "Quota.")


def test_a_cut_stream_says_what_came() -> None:
    whole = array(EVENTS)
    found = decode(GEMINI, whole[: whole.index(b"see.")], head=JSON, complete=False)
    assert found.output[0]["parts"] == [PARTS[0], {"text": "Let me "}]
    assert (found.complete, found.finish_reason) == (False, None)
    assert found.usage == Usage(input_tokens=9)
    assert not decode_events(GEMINI, EVENTS[:-1]).complete


# Calls in pieces


def piece(call: dict[str, Any], **part: Any) -> dict[str, Any]:
    return event({"functionCall": call, **part})


def arg(path: str, go_on: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if go_on else {})}


PIECES = [
    piece({"name": "book", "id": "b1", "willContinue": True}, thoughtSignature="c2ln"),
    piece({"partialArgs": [arg("$.to", True, stringValue="Zür")], "willContinue": True}),
    piece({"partialArgs": [arg("$.to", True, stringValue="ich")], "willContinue": True}),
    piece({"partialArgs": [arg("$.to"), arg("$.days", numberValue=3)], "willContinue": True}),
    piece({"partialArgs": [arg("$.rooms[0].name", stringValue="a"),
                           arg("$.rooms[1]['the beds']", numberValue=1.5),
                           arg("$.rooms[0].view", boolValue=True)], "willContinue": True}),
    piece({"partialArgs": [arg("$.note", nullValue="NULL_VALUE")], "willContinue": True}),
    piece({}),
    piece({"name": "now", "args": {}}),
    event(finish="STOP"),
]  # fmt: skip
BOOKED = {
    "to": "Zürich",
    "days": 3,
    "rooms": [{"name": "a", "view": True}, {"the beds": 1.5}],
    "note": None,
}


def test_calls_in_pieces_are_joined() -> None:
    found = decode_events(GEMINI, PIECES)
    book, now = found.tool_calls
    assert (book.tool_call_id, book.name, json.loads(book.arguments)) == ("b1", "book", BOOKED)
    assert now.name == "now"
    assert found.output[0]["parts"] == [
        {
            "functionCall": {"name": "book", "id": "b1", "args": BOOKED},
            "thoughtSignature": "c2ln",
        },
        {"functionCall": {"name": "now", "args": {}}},
    ]


def test_a_call_in_pieces_is_told_when_it_is_whole() -> None:
    decoder = GEMINI.response_decoder(response(), REQUEST)
    for number, one in enumerate(PIECES):
        decoder.feed(sse([one]), number)
        seen = [call.name for call in decoder.snapshot().tool_calls]
        assert seen == [] if number < 6 else ["book"] if number == 6 else ["book", "now"]
    cut = decode_events(GEMINI, PIECES[:3], complete=False)
    assert [json.loads(call.arguments) for call in cut.tool_calls] == [{"to": "Zürich"}]


def test_paths_that_lead_nowhere_lose_nothing() -> None:
    odd = ["x", "$", "$..a", "$.a[9]", "$[0]", "$.b.c"]
    found = decode_events(
        GEMINI,
        [piece({"name": "f", "partialArgs": [arg("$.b", numberValue=1)], "willContinue": True}),
         piece({"partialArgs": [arg(path, stringValue=path) for path in odd]})],
    )  # fmt: skip
    arguments = json.loads(found.tool_calls[0].arguments)
    assert set(odd) <= set(str(arguments).replace("'", " ").split()) | set(arguments)
    assert all(arguments[path] == path for path in odd if path in arguments)
    assert arguments["b"] == 1


# What the SDK reads


def test_the_sdk_reads_the_output_as_content() -> None:
    for events in (EVENTS, PIECES):
        found = decode_events(GEMINI, events)
        content = types.Content.model_validate(found.output[0])
        assert content.parts is not None
        calls = [part.function_call for part in content.parts if part.function_call]
        assert [(call.name, call.args) for call in calls] == [
            (call.name, json.loads(call.arguments)) for call in found.tool_calls
        ]


@given(events=mutated(EVENTS + PIECES), cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_mutations_never_raise_and_never_change_with_the_split(
    events: list[Any], cuts: list[int]
) -> None:
    found: LlmResponse = decode(GEMINI, sse(events, named=False))
    assert decode(GEMINI, sse(events, named=False), cuts=cuts) == found
    as_array = decode(GEMINI, array(events), head=JSON, cuts=cuts)
    assert as_array.output == found.output
    for one in events:
        decode(GEMINI, json.dumps(one).encode(), head=JSON)


REQUESTS = [
    {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "ls", "args": {"a": 1}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "ls", "response": {"output": "x"}}}],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "ls"}]}],
        "request": {"contents": []},
    }
]


@given(bodies=mutated(REQUESTS))
def test_mutated_requests_never_raise(bodies: list[Any]) -> None:
    for body in bodies:
        found = GEMINI.parse_request(post(STREAM), json.dumps(body).encode())
        if found is not None:
            GEMINI.response_decoder(response(), found).feed(sse(EVENTS), 1)
        if isinstance(body, dict):
            GEMINI.has_shape(body)
