"""Streams of OpenAI's SDK that ask for no usage, and one that is given up in the middle."""

import openai

client = openai.OpenAI()
messages = [{"role": "user", "content": "turn=long Tell me about boats, please."}]
for _ in client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True):
    pass
stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
for number, _ in enumerate(stream):
    if number == 20:
        stream.close()
        break
client.chat.completions.create(model="gpt-4o-mini", messages=messages)
