"""The SDKs of OpenAI and Anthropic retry by themselves; `turn` names what goes wrong."""

import sys

import anthropic
import httpx2 as httpx
import openai

TURN, RETRIES, TIMES, HTTP2 = (
    sys.argv[1],
    int(sys.argv[2]),
    int(sys.argv[3]),
    sys.argv[4:] == ["h2"],
)
messages = [{"role": "user", "content": f"turn={TURN}"}]
options = {"max_retries": RETRIES}
if "h2" in sys.argv:
    options["http_client"] = httpx.Client(http2=True)
first = anthropic.Anthropic(**options)
second = openai.OpenAI(**options)
for _ in range(TIMES):
    for name, ask in (
        (
            "anthropic",
            lambda: first.messages.create(
                model="claude-sonnet-4-6", max_tokens=100, messages=messages
            ),
        ),
        ("openai", lambda: second.chat.completions.create(model="gpt-4o-mini", messages=messages)),
    ):
        try:
            ask()
            print(name, "ok")
        except Exception as error:
            print(name, type(error).__name__)
