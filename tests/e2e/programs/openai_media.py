"""Two transcriptions and two changes of a picture with OpenAI's client, whole and streamed."""

from __future__ import annotations

from openai import OpenAI

client = OpenAI(max_retries=0)
sound = ("talk.wav", bytes(range(256)) * 4096, "audio/wav")  # 1 MiB
print(client.audio.transcriptions.create(file=sound, model="gpt-4o-transcribe").text)
for event in client.audio.transcriptions.create(
    file=sound, model="gpt-4o-transcribe", prompt="Names: Zoë", language="en", stream=True
):
    print(event.type)
picture = ("cat.png", b"\x89PNG\r\n" * 10_000, "image/png")
made = client.images.edit(image=picture, prompt="Make it blue", model="gpt-image-1")
print(len(made.data[0].b64_json))
for event in client.images.edit(
    image=[picture, picture], prompt="Again", model="gpt-image-1", stream=True, partial_images=2
):
    print(event.type)
