"""Token counts, batches and files of the stand-in, asked by the SDKs that know them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from underglass.demo.standin import StandIn


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    directory: Path = tmp_path_factory.mktemp("standin")
    with StandIn("echo", directory, plain=True) as server:
        yield server


def test_batches_of_anthropic(server: StandIn) -> None:
    client = anthropic.Anthropic(base_url=server.base_url, api_key="k")
    message = {"role": "user", "content": "a"}
    request = {
        "custom_id": "r",
        "params": {"model": "m", "max_tokens": 9, "messages": [message]},
    }
    batch = client.messages.batches.create(requests=[request] * 3)  # type: ignore[list-item]
    assert (batch.processing_status, batch.request_counts.canceled) == ("ended", 3)
    assert client.messages.batches.retrieve(batch.id).id == batch.id
    results = list(client.messages.batches.results(batch.id))
    assert [result.custom_id for result in results] == ["r0", "r1"]
    assert len(list(client.messages.batches.list())) == 1
    assert client.messages.batches.cancel(batch.id).id == batch.id


def test_batches_and_files_of_openai(server: StandIn) -> None:
    client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="k")
    file = client.files.create(file=("b.jsonl", b'{"custom_id":"r"}\n'), purpose="batch")
    assert (file.object, file.purpose) == ("file", "batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert (batch.status, client.batches.retrieve(batch.id).id) == ("completed", batch.id)
    assert batch.output_file_id is not None
    assert len(client.files.content(batch.output_file_id).text.splitlines()) == 2
    assert len(list(client.batches.list())) == len(list(client.files.list())) == 1


def test_token_counts_of_openai(server: StandIn) -> None:
    client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="k")
    counted = client.responses.input_tokens.count(model="m", input="How many tokens is this?")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 6)


def test_a_bad_body_is_refused(server: StandIn) -> None:
    client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="k")
    with pytest.raises(openai.BadRequestError):
        client.post("/batches", body={}, cast_to=object)
