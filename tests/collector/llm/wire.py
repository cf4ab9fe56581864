"""Builds requests, event streams and responses for the API tests, and decodes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx2
from hypothesis import strategies as st

from collector.http.events import RequestHead, ResponseHead
from collector.llm.api import Api
from collector.llm.model import LlmRequest, LlmResponse
from collector.llm.registry import match

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
REQUEST = LlmRequest(request_model="m", stream=True)


def post(target: str, host: str = "localhost:8080", method: str = "POST") -> RequestHead:
    return RequestHead(1, method, target, "HTTP/1.1", (("host", host),))


def response(content_type: str | None = SSE, status: int = 200) -> ResponseHead:
    headers = () if content_type is None else (("content-type", content_type),)
    return ResponseHead(2, status, "", "HTTP/1.1", headers)


def sse(events: Iterable[Any], named: bool = True) -> bytes:
    """An event stream; a plain string is sent as it is (`[DONE]`)."""
    lines = []
    for event in events:
        if named and isinstance(event, dict) and "type" in event:
            lines.append(f"event: {event['type']}\n")
        lines.append(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(lines).encode()


def api(target: str) -> Api:
    found = match(post(target))
    assert found is not None
    return found


def decode(
    api: Api,
    body: bytes,
    *,
    head: ResponseHead | None = None,
    complete: bool = True,
    cuts: Iterable[int] = (),
    at: Callable[[int], int] = lambda _: 1_000,
) -> LlmResponse:
    """The response in `body`, fed in the pieces between `cuts`; piece n arrives `at(n)`."""
    decoder = api.response_decoder(head or response(), REQUEST)
    ends = [*sorted({cut for cut in cuts if 0 < cut < len(body)}), len(body)]
    start = 0
    for number, end in enumerate(ends):
        decoder.feed(body[start:end], at(number))
        start = end
    return decoder.finish(complete)


def decode_events(api: Api, events: list[Any], **options: Any) -> LlmResponse:
    """Like `decode`, event n arriving at 1000 + n."""
    decoder = api.response_decoder(options.pop("head", None) or response(), REQUEST)
    for number, event in enumerate(events):
        decoder.feed(sse([event]), 1_000 + number)
    return decoder.finish(options.pop("complete", True))


def transport(body: bytes, content_type: str = SSE) -> httpx2.MockTransport:
    """Answers any request with `body`."""
    return httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=body, headers={"content-type": content_type})
    )


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=4),
                st.sampled_from(("type", "index", "delta", "id", "content", "text", "usage")),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = [path]
    if isinstance(value, dict):
        for key, child in value.items():
            inner += _places(child, (*path, key))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            inner += _places(child, (*path, position))
    return inner


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any]) -> list[Any]:
    """`documents` with values replaced, entries dropped, repeated and out of order."""
    events = list(documents)
    for _ in range(draw(st.integers(1, 5))):
        position = draw(st.integers(0, len(events) - 1))
        action = draw(st.sampled_from(("replace", "replace", "replace", "drop", "repeat", "swap")))
        if action == "replace":
            path = draw(st.sampled_from(_places(events[position])))
            events[position] = _replaced(events[position], path, draw(anything))
        elif action == "drop" and len(events) > 1:
            del events[position]
        elif action == "repeat":
            events.insert(position, events[position])
        elif action == "swap":
            other = draw(st.integers(0, len(events) - 1))
            events[position], events[other] = events[other], events[position]
    return events
