"""A conversation of N turns that resends its whole history with every request."""

import random
import string
import sys

from anthropic import Anthropic

turns, size = int(sys.argv[1]), int(sys.argv[2])
client = Anthropic()
words = random.Random(7)
messages = []
for turn in range(turns):
    text = "".join(words.choices(string.ascii_letters + " ", k=size))
    messages.append({"role": "user", "content": f"id=turn{turn} {text}"})
    answer = client.messages.create(
        model="claude-sonnet-4-6", max_tokens=100, system="Be brief.", messages=messages
    )
    messages.append({"role": "assistant", "content": answer.content[0].text})
