from __future__ import annotations

import json

from collector.llm.model import LlmError
from tests.collector.llm.providers.served import (
    COUNTED,
    answered,
    chunks,
    completion,
    requested,
    served,
)
from tests.collector.llm.wire import REQUEST, response

HOST = "https://us-south.ml.cloud.ibm.com"
WHOLE = f"{HOST}/ml/v1/text/chat?version=2024-05-31"
STREAM = f"{HOST}/ml/v1/text/chat_stream?version=2024-05-31"
MODEL = "ibm/granite-3-3-8b-instruct"


def test_request() -> None:
    api = served("ibm.watsonx.ai", STREAM, "watsonx.chat")
    body = {"model_id": MODEL, "project_id": "p", "messages": [{"role": "user", "content": "Hi"}]}
    found = requested(api, STREAM, body)
    assert (found.request_model, found.stream) == (MODEL, True)
    assert found.params == {"project_id": "p"}
    assert not requested(api, WHOLE, body).stream


def test_a_deployment() -> None:
    url = f"{HOST}/ml/v1/deployments/d1/text/chat?version=2024-05-31"
    api = served("ibm.watsonx.ai", url, "watsonx.chat")
    assert requested(api, url, {"messages": []}).request_model is None


def test_json() -> None:
    body = completion(MODEL, model_id=MODEL, model_version="1.1.0")
    del body["model"]
    found = answered(served("ibm.watsonx.ai", WHOLE, "watsonx.chat"), body)
    assert (found.model, found.usage, found.complete) == (MODEL, COUNTED, True)


def test_stream_of_named_events() -> None:
    events = chunks(MODEL, [{"role": "assistant", "content": "Hel"}, {"content": "lo!"}])[:-1]
    decoder = served("ibm.watsonx.ai", STREAM, "watsonx.chat").response_decoder(response(), REQUEST)
    for number, event in enumerate(events, 1):
        data = json.dumps({**event, "model_id": MODEL})
        decoder.feed(f"id: {number}\nevent: message\ndata: {data}\n\n".encode(), number)
    found = decoder.finish(True)
    assert found.output[0]["content"] == "Hello!"
    assert (found.model, found.usage, found.complete) == (MODEL, COUNTED, True)


def test_errors_come_in_a_list() -> None:
    body = {"errors": [{"code": "model_not_supported", "message": "Model 'x' was not found"}],
            "trace": "t", "status_code": 404}  # fmt: skip
    found = answered(served("ibm.watsonx.ai", WHOLE, "watsonx.chat"), body, 404)
    assert found.error == LlmError("model_not_supported", "Model 'x' was not found")
