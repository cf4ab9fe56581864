"""Everything that the SDKs of OpenAI and Anthropic ask without calling a model."""

import anthropic
import openai

MESSAGES = [{"role": "user", "content": "How many tokens is this?"}]
ask = anthropic.Anthropic()
ask.messages.count_tokens(model="claude-sonnet-4-6", messages=MESSAGES)
print(len(list(ask.models.list())))
ask.models.retrieve("claude-sonnet-4-6")
requests = [
    {
        "custom_id": f"r{n}",
        "params": {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": MESSAGES},
    }
    for n in range(3)
]
batch = ask.messages.batches.create(requests=requests)
ask.messages.batches.retrieve(batch.id)
print(len(list(ask.messages.batches.results(batch.id))))

other = openai.OpenAI()
other.responses.input_tokens.count(model="gpt-4o-mini", input="How many tokens is this?")
print(len(list(other.models.list())))
line = b'{"custom_id":"r","method":"POST","url":"/v1/chat/completions","body":{}}\n'
file = other.files.create(file=("batch.jsonl", line * 5), purpose="batch")
batch = other.batches.create(
    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
)
other.batches.retrieve(batch.id)
print(len(other.files.content(batch.output_file_id).text.splitlines()))
other.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
