"""An agent on a plain SDK that puts no id of its own on the wire: it starts a sub-agent inside
itself, puts a summary in the place of its history, and goes on in a new process.

Arguments: anthropic or openai, `begin` or `resume`, and the file that holds its messages between.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROMPT = {"type": "object", "properties": {"prompt": {"type": "string"}}}
SUMMARY = "Summary of what went before: "


def anthropic_turn(messages: list[Any], system: str, tools: bool) -> tuple[str, Any]:
    import anthropic

    offered = [{"name": "delegate", "description": "Ask a helper.", "input_schema": PROMPT}]
    answer = anthropic.Anthropic().messages.create(
        model="claude-sonnet-4-6",
        max_tokens=1000,
        system=system,
        messages=messages,
        tools=offered if tools else anthropic.NOT_GIVEN,
    )
    messages.append({"role": "assistant", "content": answer.model_dump()["content"]})
    text = "".join(block.text for block in answer.content if block.type == "text")
    call = next((block for block in answer.content if block.type == "tool_use"), None)
    if call is None:
        return text, None
    return call.input["prompt"], lambda result: {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": result}],
    }


def openai_turn(messages: list[Any], system: str, tools: bool) -> tuple[str, Any]:
    import openai

    function = {"name": "delegate", "description": "Ask a helper.", "parameters": PROMPT}
    answer = openai.OpenAI().chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": system}, *messages],
        tools=[{"type": "function", "function": function}] if tools else openai.NOT_GIVEN,
    )
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    if not message.tool_calls:
        return message.content or "", None
    (call,) = message.tool_calls
    return json.loads(call.function.arguments)["prompt"], lambda result: {
        "role": "tool",
        "tool_call_id": call.id,
        "content": result,
    }


def main(sdk: str, part: str, place: Path) -> None:
    turn = {"anthropic": anthropic_turn, "openai": openai_turn}[sdk]

    def asked(messages: list[Any], text: str) -> tuple[str, Any]:
        messages.append({"role": "user", "content": text})
        return turn(messages, "You repair parsers.", True)

    if part == "resume":
        messages = json.loads(place.read_text())
        asked(messages, "Go on, please.")
        return
    messages = []
    prompt, answered = asked(messages, "Repair the parser, please.")
    helper: list[Any] = [{"role": "user", "content": prompt}]
    result, _ = turn(helper, "You help.", False)
    messages.append(answered(result))
    turn(messages, "You repair parsers.", True)
    summary, _ = asked(messages, "Summarise all of it.")
    messages = []
    asked(messages, SUMMARY + summary)
    place.write_text(json.dumps(messages))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
