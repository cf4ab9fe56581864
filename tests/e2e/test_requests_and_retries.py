"""The real SDKs of OpenAI and Anthropic: what they retry, and what they ask beside calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Record, Watched, python
from underglass.demo.standin import StandIn

pytestmark = pytest.mark.privileged
Watch = Callable[..., Watched]
Start = Callable[..., StandIn]

SCRIPT = """
select = "named"
[[turn]]
name = "third-time"
text = "Granted on the third try."
[turn.error]
status = 429
message = "Too many requests."
retry_after_s = 0.05
times = 2

[[turn]]
name = "never"
[turn.error]
status = 500
message = "Internal server error."
retry_after_s = 0.05

[[turn]]
name = "cut"
text = "The connection closes before this answer is whole."
cut_after_events = 0

[[turn]]
name = "fine"
text = "All is well."
"""


# forty times: 522 tokens of o200k_base
SENTENCE = "Boats float because they displace water, and water pushes back. "
LONG = f"""
select = "named"
[[turn]]
name = "long"
text = "{SENTENCE * 40}"
piece_chars = 24
[turn.usage]
input_tokens = 17
output_tokens = 522
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "retries.toml"
    path.write_text(SCRIPT)
    return path


def _chains(calls: list[Record]) -> list[list[Record]]:
    """Calls that repeat each other, first to last."""
    following = {call["retry_of"]: call for call in calls if call["retry_of"]}
    assert len(following) == sum(call["retry_of"] is not None for call in calls)
    chains = []
    for call in calls:
        if call["retry_of"] is None:
            chain = [call]
            while chain[-1]["call_id"] in following:
                chain.append(following[chain[-1]["call_id"]])
            chains.append(chain)
    assert sum(map(len, chains)) == len(calls)
    return chains


@pytest.mark.parametrize("http2", [False, True], ids=["http/1.1", "http/2"])
def test_sdks_retry_what_was_refused(
    standin: Start, watched: Watch, script: Path, http2: bool
) -> None:
    server = standin(script, latency_scale=0, http2="auto" if http2 else "off")
    command = python("retries.py", "third-time", "3", "1", *(["h2"] if http2 else []))
    result = watched(server, command)
    assert result.stdout.split() == ["anthropic", "ok", "openai", "ok"], result.stderr
    assert len(result.calls) == len(server.ledger(at_least=6))
    assert {call["protocol"] for call in result.calls} == {"http/2" if http2 else "http/1.1"}
    chains = _chains(result.calls)
    assert sorted(chain[0]["provider"] for chain in chains) == ["anthropic", "openai"]
    for chain in chains:
        assert [call["status"] for call in chain] == ["error", "error", "ok"]
        assert [call["attempt"] for call in chain] == [1, 2, 3]
        assert [call["retry_after_s"] for call in chain] == [0.05, 0.05, None]
        assert [call["cost_usd"] is None for call in chain] == [True, True, False]
        assert len({call["session_id"] for call in chain}) == 1


def test_sdks_give_up(standin: Start, watched: Watch, script: Path) -> None:
    server = standin(script, latency_scale=0)
    result = watched(server, python("retries.py", "never", "2", "2"))
    assert result.stdout.split()[1::2] == ["InternalServerError"] * 4, result.stderr
    for attempts in _attempts_of_each_request(result.calls):
        assert attempts == [1, 2, 3]
    assert len(result.calls) == 12


def _attempts_of_each_request(calls: list[Record]) -> list[list[int]]:
    """Attempts in the order of time, of one provider cut where the client begins anew."""
    found: list[list[int]] = []
    for provider in ("anthropic", "openai"):
        for call in calls:
            if call["provider"] == provider:
                if call["attempt"] == 1:
                    found.append([])
                found[-1].append(call["attempt"])
    return found


def test_cut_connections_are_retried_on_another(
    standin: Start, watched: Watch, script: Path
) -> None:
    server = standin(script, latency_scale=0)
    result = watched(server, python("retries.py", "cut", "1", "1"))
    assert result.stdout.split()[1::2] == ["APIConnectionError"] * 2, result.stderr
    assert len({record.connection for record in server.ledger(at_least=4)}) == 4
    chains = _chains(result.calls)
    assert len(chains) == 2
    for chain in chains:
        assert [(call["status"], call["attempt"]) for call in chain] == [
            ("incomplete", 1),
            ("incomplete", 2),
        ]


def test_what_succeeded_and_is_asked_again_is_no_retry(
    standin: Start, watched: Watch, script: Path
) -> None:
    server = standin(script, latency_scale=0)
    result = watched(server, python("retries.py", "fine", "2", "3"))
    assert len(result.calls) == 6
    assert {call["status"] for call in result.calls} == {"ok"}
    assert {(call["retry_of"], call["attempt"]) for call in result.calls} == {(None, 1)}


def test_requests_that_are_no_calls(standin: Start, watched: Watch) -> None:
    server = standin("echo", latency_scale=0)
    result = watched(server, python("provider_requests.py"))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["3", "2", "3", "2"]
    ledger = server.ledger(at_least=14)
    (call,) = result.calls
    assert call["api"] == "openai.chat"
    found = result.rows("SELECT * FROM provider_requests ORDER BY started_at")
    assert len(found) == len(ledger) - 1
    assert [(row["provider"], row["kind"], row["item_count"]) for row in found] == [
        ("anthropic", "count_tokens", None),
        ("anthropic", "list_models", 3),
        ("anthropic", "get_model", None),
        ("anthropic", "batch_create", 3),
        ("anthropic", "batch_get", 2),
        ("anthropic", "batch_get", 2),  # for where its results are
        ("anthropic", "batch_results", 2),
        ("openai", "count_tokens", None),
        ("openai", "list_models", 3),
        ("openai", "file_upload", 5),
        ("openai", "batch_create", 2),
        ("openai", "batch_get", 2),
        ("openai", "file_content", 2),
    ]
    assert {row["status"] for row in found} == {"ok"}
    assert [row["counted_tokens"] is not None for row in found] == [
        row["kind"] == "count_tokens" for row in found
    ]
    records = [record for record in ledger if record.api != "openai.chat"]
    for row, record in zip(found, records, strict=True):
        assert (row["request_bytes"], row["response_bytes"]) == (
            record.request_bytes,
            record.response_bytes,
        )
    (session,) = result.rows("SELECT * FROM sessions")
    assert session["calls"] == 1
    assert "1 LLM calls" in result.stderr


def test_tokens_that_no_answer_reports_are_estimated(
    standin: Start, watched: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "long.toml"
    path.write_text(LONG)
    server = standin(path, latency_scale=0)
    result = watched(server, python("without_usage.py"))
    assert result.exit_code == 0, result.stderr
    whole, cut, reported = result.calls
    assert [call["usage_source"] for call in (whole, reported)] == ["estimated", "reported"]
    assert (reported["input_tokens"], reported["output_tokens"]) == (17, 522)
    assert whole["input_tokens"] == pytest.approx(17, abs=5)
    assert whole["output_tokens"] == pytest.approx(522, rel=0.1)
    assert whole["cost_usd"] == pytest.approx(reported["cost_usd"], rel=0.2)
    assert whole["cost_source"] == f"estimated:{reported['cost_source']}"
    if cut["status"] == "incomplete":  # else all of it was there before it was given up
        assert cut["usage_source"] == "estimated"
        assert 0 < cut["output_tokens"] <= whole["output_tokens"]
    assert "calls estimated" in result.stderr
    (session_tokens, *_) = result.rows("SELECT sum(estimated_calls) AS calls FROM sessions")
    assert session_tokens["calls"] == 2
