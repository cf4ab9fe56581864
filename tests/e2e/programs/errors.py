"""Calls that go wrong in every way that the stand-in knows."""

import os

import anthropic
import openai

TURNS = ("fine", "rate-limit", "server-error", "overloaded", "stream-error", "cut", "length")

for turn in TURNS:
    messages = [{"role": "user", "content": f"turn={turn}"}]
    try:
        with anthropic.Anthropic(max_retries=1).messages.stream(
            model="claude-sonnet-4-6", max_tokens=100, messages=messages
        ) as stream:
            stream.get_final_message()
    except Exception as error:
        print("anthropic", turn, type(error).__name__)
    try:
        for _ in openai.OpenAI(max_retries=1).chat.completions.create(
            model="gpt-4o-mini",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        ):
            pass
    except Exception as error:
        print("openai", turn, type(error).__name__)
os._exit(0)
