"""What is told of an answer while it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.message_parts import message_parts
from collector.calls import CallTracker
from collector.database import run
from collector.processes import ProcessTable
from collector.redaction import Redactor
from collector.rows import Batch, RunningAnswerRow
from collector.running_answers import (
    KEPT_CHARS,
    LEFT_OUT,
    SEARCHED_CHARS,
    Heard,
    RunningAnswers,
    bounded,
)
from collector.store import Store
from tests.collector import agent_traffic
from tests.collector.store_rows import START_NS, call, capture
from tests.collector.test_calls import Tracked
from tests.frames import (
    API_KEY,
    INFO,
    SALT,
    ask,
    chunked_response,
    http_request,
    streamed_answer,
    user,
)

REDACT = Redactor(SALT).redact_growing
KEYS = (
    API_KEY.decode(),
    "ghp_" + "a1B2" * 9,
    "AKIA" + "ABCD1234" * 2,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFU",
    "Bearer abcdefghijklmnop.qrstuv",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow IBAAKCAQEA7bq\nxyz+/=\n-----END RSA PRIVATE KEY-----",
)


class Watched(Tracked):
    """As a live capture follows calls."""

    def __init__(self, *, content: bool = True) -> None:
        super().__init__()
        self.tracker = CallTracker(
            INFO,
            ProcessTable(INFO),
            Redactor(SALT).redact_text,
            content=content,
            undecoded=lambda reason, length: None,
            running_answers=RunningAnswers(REDACT),
        )
        self.router._followers = (self.tracker,)

    def told(self) -> list[RunningAnswerRow]:
        return self.tracker.take().running_answers


def said(row: RunningAnswerRow) -> str:
    assert row.body is not None
    return "".join(part.text for body in json.loads(row.body) for part in message_parts(body))


def pieces_of(response: bytes, words: Sequence[str]) -> list[bytes]:
    """The response in as many parts as it has words, each ending behind one."""
    ends = [response.index(word.encode()) + len(word) + 8 for word in words]
    return [response[a:b] for a, b in zip([0, *ends], [*ends, len(response)], strict=True)]


STREAMED = tuple(
    api
    for api in agent_traffic.APIS
    if len(api(1).parts) > 1 and api is not agent_traffic.streamed_messages_in_gzip
)


@pytest.mark.parametrize("api", STREAMED, ids=lambda api: api.__name__)
def test_the_text_grows_with_the_answer_and_goes_with_the_call(api: agent_traffic.Api) -> None:
    exchange = api(3)
    watched = Watched().sends(http_request(exchange.target, exchange.request, host=exchange.host))
    seen, ids = [], set()
    response = chunked_response(exchange.parts, [f"Content-Type: {exchange.content_type}"])
    begin = 0
    for part in exchange.parts[:-1]:
        end = response.index(part, begin) + len(part) + 2
        watched.receives(response[begin:end])
        begin = end
        for row in watched.told():
            seen.append(said(row))
            ids.add(row.call_id)
            assert row.updated_ns == INFO.wall_ns(watched.at)
            assert row.output_tokens
    whole = "".join(["word-3 "] * agent_traffic.WORDS)
    assert [text for text in seen if not whole.startswith(text)] == []
    grown = list(dict.fromkeys(seen))
    assert grown == sorted(grown, key=len)
    assert len(grown) >= agent_traffic.WORDS - 1  # one of them is at the end
    watched.receives(response[begin:])
    batch = watched.tracker.take()
    assert [(row.call_id, row.body) for row in batch.running_answers] == [(ids.pop(), None)]
    assert batch.calls[0].status == "ok"
    assert watched.told() == []


def test_tool_arguments_and_thinking_come_as_far_as_they_are() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "claude-sonnet-4-5"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {"type": "content_block_delta", "index": 0,
         "delta": {"type": "thinking_delta", "thinking": "I must look"}},
        {"type": "content_block_start", "index": 1,
         "content_block": {"type": "tool_use", "id": "t", "name": "bash", "input": {}}},
        {"type": "content_block_delta", "index": 1,
         "delta": {"type": "input_json_delta", "partial_json": '{"command": "ls /sr'}},
    ]  # fmt: skip
    parts = [f"data: {json.dumps(one)}\n\n".encode() for one in events]
    response = chunked_response(parts, ["Content-Type: text/event-stream"])[:-5]
    [row] = Watched().sends(ask([user("a")], stream=True)).receives(response).told()
    assert row.body is not None
    [message] = json.loads(row.body)
    kinds = [(part.kind, part.title, part.text) for part in message_parts(message)]
    assert kinds == [
        ("thinking", "", "I must look"),
        ("tool_call", "bash", '{"command": "ls /sr'),
    ]


def test_without_content_nothing_is_told() -> None:
    watched = Watched(content=False).sends(ask([user("a")], stream=True))
    watched.receives(streamed_answer(["some ", "words"])[:-120])
    assert watched.told() == []
    replayed = Tracked().sends(ask([user("a")], stream=True))
    replayed.receives(streamed_answer(["some ", "words"])[:-120])
    assert replayed.tracker.take().running_answers == []


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:8])
def test_no_part_of_a_key_slips_through_while_it_comes(key: str) -> None:
    secret = key.partition("-----\n")[2] if "PRIVATE" in key else key.rpartition(" ")[2]
    secret = secret.partition("\n---")[0]
    prefixes = {"sk-", "sk-ant", "eyJ", "AKIA", "ghp_", "Bearer "}
    for text in (f"The key is {key} and more", json.dumps({"a": key, "b": 1}), key):
        seen = set()
        for end in range(len(text) + 1):
            body = bounded([{"role": "assistant", "content": text[:end]}], REDACT)
            assert body is not None
            shown = json.loads(body)[0]["content"]
            assert len(shown) == end
            seen |= {shown[at : at + 6] for at in range(len(shown) - 5)}
        for at in range(len(secret) - 5):
            part = secret[at : at + 6]
            if not any(part.startswith(prefix) for prefix in prefixes) and "\n" not in part:
                assert part not in seen


def test_a_key_that_begins_before_what_is_kept_is_masked() -> None:
    block = "A1b2" * 2000
    text = (
        "x " * SEARCHED_CHARS
        + f"-----BEGIN PRIVATE KEY-----\n{block}"
        + " ." * 3
        + "y " * (KEPT_CHARS // 2 - 1000)
    )
    body = bounded([text], REDACT)
    assert body is not None
    assert "A1b2" not in body
    assert len(body) <= KEPT_CHARS + 100


def test_a_row_is_bounded_whatever_the_answer_holds() -> None:
    deep: Any = "leaf"
    for _ in range(500):
        deep = [deep]
    hostile: list[list[Any]] = [
        [{"type": "text", "text": "a" * 10_000_000}],
        [{"content": [{"type": "text", "text": f"block {n}"} for n in range(50_000)]}],
        [{f"key {n}" * 20: n for n in range(50_000)}],
        [deep],
        [{"content": "\ud800 lone"}],
        [{"content": [{"x": ["y" * 5000] * 50_000}]}],
    ]
    for output in hostile:
        body = bounded(output, REDACT)
        assert body is not None
        assert len(body) < 6 * KEPT_CHARS
        assert json.loads(body)
    assert bounded([], REDACT) is None
    last = bounded([{"content": [{"text": f"block {n}"} for n in range(50_000)]}], REDACT)
    assert last is not None
    blocks = json.loads(last)[0]["content"]
    assert (blocks[0], blocks[-1]) == (LEFT_OUT, {"text": "block 49999"})


class _Decoder:
    """Says ever more."""

    def __init__(self) -> None:
        self.text = ""

    def said(self) -> tuple[Any, ...]:
        return ({"role": "assistant", "content": self.text},) if self.text else ()


def test_it_is_told_at_most_twice_a_second_and_long_texts_less_often() -> None:
    answers = RunningAnswers(REDACT)
    decoder: Any = _Decoder()

    def take(at: int, *, urgent: bool = False) -> int:
        heard = Heard("c1", at, decoder)
        return len(answers.take([heard], lambda ns: ns, urgent=urgent))

    assert take(1) == 0  # nothing was said
    decoder.text = "word "
    assert take(1) == 1
    assert [take(at, urgent=True) for at in range(2, 14)] == [0] * 9 + [1] + [0] * 2
    assert take(15) == 1
    assert take(15) == 0  # nothing new
    decoder.text = "word " * 12_800
    assert [take(at) for at in range(16, 26)] == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    answers.ended("c1", 30)
    answers.ended("c2", 30)  # of which nothing was told
    rows = answers.take([], lambda ns: ns, urgent=False)
    assert [(row.call_id, row.body) for row in rows] == [("c1", None)]


def test_the_store_holds_it_while_the_call_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    running = call(status="running", ended_ns=None, capture_id="k1")
    select = "SELECT call_id, output_tokens, body FROM running_text"
    with Store.open(path) as store:
        cursor = store.cursor()
        store.write(Batch(captures=[capture(ended_ns=None)], calls=[running]))
        for text in ("a", "a b"):
            row = RunningAnswerRow("c1", json.dumps([text]), len(text), START_NS)
            store.write(Batch(running_answers=[row, RunningAnswerRow("c9", None, None, 1)]))
            assert run(cursor, select) == [("c1", len(text), json.dumps([text]))]
        store.write(Batch(running_answers=[RunningAnswerRow("c1", None, None, START_NS)]))
        assert run(cursor, "FROM running_answer") == []
        store.write(Batch(running_answers=[RunningAnswerRow("c1", '["left"]', 1, START_NS)]))
        store.write(Batch(captures=[capture(ended_ns=START_NS)]))
        assert run(cursor, select) == []  # of a capture that ended
        cursor.close()
    with Store.open(path) as store:  # left by a crash
        cursor = store.cursor()
        assert run(cursor, "FROM running_answer") == []
        cursor.close()
    with Store.open(tmp_path / "bare.db", content=False) as store:
        cursor = store.cursor()
        store.write(Batch(running_answers=[RunningAnswerRow("c1", '["x"]', 1, START_NS)]))
        assert run(cursor, "FROM running_answer") == []
        cursor.close()
