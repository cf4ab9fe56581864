"""An A2A client made with the official SDK. Arguments: URL, binding.

It prints what the SDK returned: a list of [what was asked, task, state, error].
"""

import asyncio
import json
import sys

from a2a.client import ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import new_text_message
from a2a.types import CancelTaskRequest, GetTaskRequest, Role, SendMessageRequest, TaskState

outcomes = []


def note(asked, task=None, state=None, error=None):
    outcomes.append([asked, task, state and TaskState.Name(state), error])


async def send(client, words):
    message = new_text_message(words, role=Role.ROLE_USER)
    task = state = None
    async for event in client.send_message(SendMessageRequest(message=message)):
        if event.HasField("task"):
            task, state = event.task.id, event.task.status.state
        elif event.HasField("status_update"):
            state = event.status_update.status.state
        if words == "wait" and state == TaskState.TASK_STATE_WORKING:
            return task, state
    return task, state


async def main(url, binding):
    config = ClientConfig(streaming=False, supported_protocol_bindings=[binding])
    async with await ClientFactory(config).create_from_url(url) as client:
        for words in ("trip", "break"):
            task, state = await send(client, words)
            note("send", task, state)
        got = await client.get_task(GetTaskRequest(id=task))
        note("get", got.id, got.status.state)
        try:
            await client.get_task(GetTaskRequest(id="missing"))
        except Exception as error:
            note("get", error=type(error).__name__)
    config = ClientConfig(streaming=True, supported_protocol_bindings=[binding])
    async with await ClientFactory(config).create_from_url(url) as client:
        task, state = await send(client, "trip")
        note("stream", task, state)
        task, state = await send(client, "wait")
        note("stream", task, state)
        cancelled = await client.cancel_task(CancelTaskRequest(id=task))
        note("cancel", cancelled.id, cancelled.status.state)
    print(json.dumps(outcomes))


asyncio.run(main(*sys.argv[1:]))
