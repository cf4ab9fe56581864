"""Gemini's calls and their results, with ids and without, over the turns of a conversation."""

from __future__ import annotations

import json
from typing import Any

from collector.llm.gemini import Gemini
from collector.llm.model import LlmRequest
from tests.collector.llm.wire import post, response

GEMINI = Gemini()
Content = dict[str, Any]


def call(name: str, call_id: str | None = None, **args: Any) -> Content:
    given = {} if call_id is None else {"id": call_id}
    return {"functionCall": {**given, "name": name, "args": args}}


def result(name: str, said: Any, call_id: str | None = None) -> Content:
    given = {} if call_id is None else {"id": call_id}
    return {"functionResponse": {**given, "name": name, "response": said}}


def user(*parts: Content) -> Content:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Content) -> Content:
    return {"role": "model", "parts": list(parts)}


ASK = user({"text": "go"})


def parse(*contents: Content) -> LlmRequest:
    body = json.dumps({"contents": contents}).encode()
    found = GEMINI.parse_request(post("/v1beta/models/m:generateContent"), body)
    assert found is not None
    return found


def made(request: LlmRequest, answer: Content) -> list[str]:
    """What a result may refer to, of each call in the answer to a request."""
    decoder = GEMINI.response_decoder(response("application/json"), request)
    decoder.feed(json.dumps({"candidates": [{"content": answer}]}).encode(), 1)
    return [
        one.tool_call_id or one.match_id or "" for one in decoder.finish(complete=True).tool_calls
    ]


def results(*contents: Content) -> list[tuple[str, str]]:
    """The ids of calls, match ids where there are none, and what came of them."""
    return [
        (one.tool_call_id or one.match_id or "", one.text) for one in parse(*contents).tool_results
    ]


def test_ids_match() -> None:
    answer = model(call("ls", "c1", dir="/"), call("ls", "c2", dir="/"))
    assert made(parse(ASK), answer) == ["c1", "c2"]
    back = user(result("ls", {"output": "two"}, "c2"), result("ls", {"output": "one"}, "c1"))
    assert results(ASK, answer, back) == [("c2", "two"), ("c1", "one")]
    nameless = user(result("ls", {"output": "one"}), result("ls", {"output": "two"}))
    assert results(ASK, answer, nameless) == [("c1", "one"), ("c2", "two")]


def test_calls_without_ids_match_by_name_and_order() -> None:
    answer = model(call("ls", dir="/"), call("cat", file="a"), call("ls", dir="/b"))
    ids = made(parse(ASK), answer)
    assert len(set(ids)) == 3
    back = user(
        result("cat", {"output": "c"}), result("ls", {"output": "a"}), result("ls", {"output": "b"})
    )
    assert results(ASK, answer, back) == [(ids[1], "c"), (ids[0], "a"), (ids[2], "b")]


def test_ids_that_a_client_made_up_for_results_do_not_count() -> None:
    answer = model(call("ls", dir="/"))
    ids = made(parse(ASK), answer)
    assert results(ASK, answer, user(result("ls", {"output": "a"}, "ls-1712-0"))) == [(ids[0], "a")]


def test_the_same_call_again_is_another_one() -> None:
    first = model(call("ls", dir="/"))
    back = user(result("ls", {"output": "a"}))
    again = parse(ASK, first, back)
    (one,), (two,) = made(parse(ASK), first), made(again, first)
    assert one != two
    then = user(result("ls", {"output": "b"}))
    assert results(ASK, first, back, first, then) == [(one, "a"), (two, "b")]


def test_an_old_call_does_not_get_the_result_of_a_new_one() -> None:
    cancelled, asked = model(call("ls", dir="/a")), user({"text": "no, b"})
    answer = model(call("ls", dir="/b"))
    (expected,) = made(parse(ASK, cancelled, asked), answer)
    back = user(result("ls", {"output": "b"}))
    assert results(ASK, cancelled, asked, answer, back) == [(expected, "b")]


def test_a_conversation_without_its_begin_matches_all_the_same() -> None:
    answer = model(call("ls", dir="/b"))
    dropped = (model(call("ls", dir="/a")), user(result("ls", {"output": "a"})))
    (expected,) = made(parse(ASK, *dropped, ASK), answer)
    assert results(ASK, answer, user(result("ls", {"output": "b"}))) == [(expected, "b")]


def test_numbers_as_javascript_resends_them() -> None:
    (sent,) = made(parse(ASK), model(call("f", b=1.0, a={"x": [2.0, 2.5]})))
    resent = model(call("f", a={"x": [2, 2.5]}, b=1))
    assert results(ASK, resent, user(result("f", {"output": ""}))) == [(sent, "")]


def test_calls_in_pieces_are_resent_in_pieces() -> None:
    whole = model(call("ls", dir="/"))
    pieces = [
        model({"functionCall": {"name": "ls", "willContinue": True}}),
        model({"functionCall": {"partialArgs": [{"jsonPath": "$.dir", "stringValue": "/"}]}}),
    ]
    (expected,) = made(parse(ASK), whole)
    back = user(result("ls", {"output": "a"}))
    assert results(ASK, *pieces, back) == results(ASK, whole, back) == [(expected, "a")]


def test_what_a_result_says() -> None:
    said = [
        {"output": "text"},
        {"output": {"a": 1}},
        {"error": "no such file"},
        {"result": "text"},
        {"output": "text", "more": 1},
        {},
    ]
    answer = model(*(call("f", str(number)) for number in range(len(said))))
    back = user(*(result("f", one, str(number)) for number, one in enumerate(said)))
    found = parse(ASK, answer, back).tool_results
    assert [(one.text, one.is_error) for one in found] == [
        ("text", False),
        ('{"a":1}', False),
        ("no such file", True),
        ("text", False),
        ('{"output":"text","more":1}', False),
        ("{}", False),
    ]


def test_a_result_without_a_call() -> None:
    assert results(user(result("f", {"output": "a"}, "c9"))) == [("c9", "a")]
    assert results(user(result("f", {"output": "a"}))) == []


def test_snake_case() -> None:
    asked = {"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]}
    back = user({"function_response": {"name": "f", "response": {"output": "a"}}})
    assert results(ASK, asked, back) == [(made(parse(ASK), model(call("f")))[0], "a")]
