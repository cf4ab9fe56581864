"""Chat, Responses, embeddings and completions by OpenAI's SDK; JSON lines tell what it made."""

import json

import openai

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in NAMES
]
TOOLS = [
    {"type": "function", "name": name, "parameters": PARAMETERS, "strict": False} for name in NAMES
]
TURNS = ("plain", "cached", "tools", "silent", "long")
client = openai.OpenAI(max_retries=0)


def tell(api, headers, **facts):
    print(json.dumps({"api": api, "request_id": headers["x-request-id"], **facts}), flush=True)


def tell_chat(headers, completion, **facts):
    (choice,) = completion.choices
    usage = completion.usage
    tell(
        "openai.chat",
        headers,
        request_model="gpt-4o-mini",
        model=completion.model,
        response_id=completion.id,
        text=choice.message.content or "",
        tool_calls=[
            [call.id, call.function.name, json.loads(call.function.arguments)]
            for call in choice.message.tool_calls or []
        ],
        finish_reason=choice.finish_reason,
        usage={
            "input": usage.prompt_tokens,
            "output": usage.completion_tokens,
            "cache_read": usage.prompt_tokens_details.cached_tokens,
            "reasoning": usage.completion_tokens_details.reasoning_tokens,
        },
        **facts,
    )


def tell_response(headers, response, **facts):
    calls = [item for item in response.output if item.type == "function_call"]
    reason = response.incomplete_details and response.incomplete_details.reason
    tell(
        "openai.responses",
        headers,
        model=response.model,
        response_id=response.id,
        text=response.output_text,
        tool_calls=[[call.call_id, call.name, json.loads(call.arguments)] for call in calls],
        finish_reason=reason or response.status,
        usage={
            "input": response.usage.input_tokens,
            "output": response.usage.output_tokens,
            "cache_read": response.usage.input_tokens_details.cached_tokens,
            "reasoning": response.usage.output_tokens_details.reasoning_tokens,
        },
        **facts,
    )


def chat(turn):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"turn={turn}"},
    ]
    return {"model": "gpt-4o-mini", "messages": messages, "tools": CHAT_TOOLS}


for turn in TURNS:
    answer = client.chat.completions.with_raw_response.create(**chat(turn))
    tell_chat(answer.headers, answer.parse(), stream=False)
    try:
        with client.chat.completions.stream(
            **chat(turn), stream_options={"include_usage": True}
        ) as stream:
            tell_chat(stream._response.headers, stream.get_final_completion(), stream=True)
    except openai.LengthFinishReasonError as error:
        tell_chat(stream._response.headers, error.completion, stream=True)
    asked = {"model": "gpt-5-mini", "input": f"turn={turn}", "tools": TOOLS}
    answer = client.responses.with_raw_response.create(**asked)
    tell_response(answer.headers, answer.parse(), stream=False)
    last = None
    answer = client.responses.with_raw_response.create(**asked, stream=True)
    for event in answer.parse():
        last = event
    tell_response(answer.headers, last.response, stream=True)

answer = client.embeddings.with_raw_response.create(
    model="text-embedding-3-small", input=["one text", "turn=plain"]
)
made = answer.parse()
tell(
    "openai.embeddings",
    answer.headers,
    request_model="text-embedding-3-small",
    model=made.model,
    usage={"input": made.usage.prompt_tokens, "output": 0},
)
for turn in ("plain", "long"):
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": f"turn={turn}"}
    answer = client.completions.with_raw_response.create(**asked)
    made = answer.parse()
    tell(
        "openai.completions",
        answer.headers,
        stream=False,
        request_model=asked["model"],
        model=made.model,
        response_id=made.id,
        text=made.choices[0].text,
        finish_reason=made.choices[0].finish_reason,
        usage={"input": made.usage.prompt_tokens, "output": made.usage.completion_tokens},
    )
    answer = client.completions.with_raw_response.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    parts = list(answer.parse())
    choices = [choice for part in parts for choice in part.choices]
    tell(
        "openai.completions",
        answer.headers,
        stream=True,
        response_id=parts[0].id,
        text="".join(choice.text for choice in choices),
        finish_reason=choices[-1].finish_reason,
        usage={"input": parts[-1].usage.prompt_tokens, "output": parts[-1].usage.completion_tokens},
    )

for api, create, asked in (
    ("openai.chat", client.chat.completions.create, chat("limited")),
    ("openai.responses", client.responses.create, {"model": "m", "input": "turn=limited"}),
    ("openai.completions", client.completions.create, {"model": "m", "prompt": "turn=limited"}),
    ("openai.embeddings", client.embeddings.create, {"model": "m", "input": "turn=limited"}),
):
    try:
        create(**asked)
    except openai.RateLimitError as error:
        tell(api, error.response.headers, error=[error.type, error.body["message"]])
answer = client.chat.completions.with_raw_response.create(**chat("broken"), stream=True)
try:
    for _ in answer.parse():
        pass
except openai.APIError as error:
    tell("openai.chat", answer.headers, error=[error.type, error.message])
