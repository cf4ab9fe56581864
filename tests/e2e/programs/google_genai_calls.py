"""Calls with Google's SDK, and a JSON line of what it made of each: google_genai_calls.py HOW.

HOW: api (Gemini API), express (Vertex AI with a key), vertex (with a project), errors.
"""

import asyncio
import json
import os
import sys
from typing import Any

from google import genai
from google.auth.credentials import Credentials
from google.genai import errors, types

HOW = sys.argv[1]
TURNS = ("plain", "one", "parallel", "silent", "handoff")
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, parameters_json_schema={"type": "object"})
            for name in ("get_weather", "get_time", "transfer_to_human")
        ]
    )
]
CONFIG = types.GenerateContentConfig(
    tools=TOOLS,
    system_instruction="Be brief.",
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


class Token(Credentials):
    """A token that lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "dummy"

    def refresh(self, request: Any) -> None:
        pass


def client() -> genai.Client:
    url = os.environ["GOOGLE_GEMINI_BASE_URL"]
    if HOW == "express":
        return genai.Client(vertexai=True, api_key="dummy", http_options={"base_url": url})
    if HOW == "vertex":
        return genai.Client(
            vertexai=True,
            project="p",
            location="us-central1",
            credentials=Token(),
            http_options={"base_url": url},
        )
    return genai.Client(api_key="dummy")


def tell(responses: list[Any], asked: str) -> None:
    parts = [
        part
        for response in responses
        for candidate in response.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ()
    ]
    last = responses[-1]
    usage = last.usage_metadata
    calls = [part.function_call for part in parts if part.function_call]
    finish = last.candidates[0].finish_reason if last.candidates else None
    print(
        json.dumps(
            {
                "model": asked,
                "text": "".join(part.text or "" for part in parts if not part.thought),
                "thoughts": "".join(part.text or "" for part in parts if part.thought),
                "calls": [[call.id, call.name, call.args] for call in calls],
                "signatures": sum(part.thought_signature is not None for part in parts),
                "finish": finish and finish.value,
                "response_model": last.model_version,
                "response_id": last.response_id,
                "input": usage.prompt_token_count,
                "said": usage.candidates_token_count,
                "thought": usage.thoughts_token_count,
                "cached": usage.cached_content_token_count,
                "streamed": len(responses) > 1,
            }
        ),
        flush=True,
    )


def fail(error: errors.APIError) -> None:
    print(json.dumps({"error": error.status, "message": error.message, "code": error.code}))


async def asynchronous(models: Any) -> None:
    asked = {"model": "gemini-2.5-flash", "contents": "turn=one", "config": CONFIG}
    tell([await models.generate_content(**asked)], "gemini-2.5-flash")
    chunks = [chunk async for chunk in await models.generate_content_stream(**asked)]
    tell(chunks, "gemini-2.5-flash")


def conversation(model: str) -> None:
    """Two tool calls and their results, with whatever ids the model gave."""
    chat = one.chats.create(model=model, config=CONFIG)
    answer = chat.send_message("turn=parallel")
    tell([answer], model)
    results = [
        types.Part.from_function_response(name=call.name, response={"output": f"{call.args}"})
        for call in answer.function_calls
    ]
    tell(list(chat.send_message_stream(results)), model)


one = client()
if HOW == "errors":
    for turn in ("rate-limit-always", "server-error", "stream-error", "length", "refusal"):
        asked = {"model": "gemini-2.5-flash", "contents": f"turn={turn}"}
        try:
            tell(list(one.models.generate_content_stream(**asked)), "gemini-2.5-flash")
        except errors.APIError as error:
            fail(error)
else:
    for turn in TURNS:
        asked = {"model": "gemini-2.5-flash", "contents": f"turn={turn}", "config": CONFIG}
        tell([one.models.generate_content(**asked)], "gemini-2.5-flash")
        tell(list(one.models.generate_content_stream(**asked)), "gemini-2.5-flash")
    asyncio.run(asynchronous(one.aio.models))
    conversation("gemini-3-pro-preview")
    conversation("gemini-2.0-flash")
    one.models.count_tokens(model="gemini-2.5-flash", contents="how many?")
    for model in ("gemini-embedding-001", "text-embedding-005"):
        found = one.models.embed_content(model=model, contents=["embed this text"])
        statistics = found.embeddings[0].statistics
        print(
            json.dumps({"model": model, "tokens": statistics.token_count if statistics else None}),
            flush=True,
        )
os._exit(0)
