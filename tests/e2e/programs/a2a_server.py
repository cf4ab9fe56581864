"""An A2A agent made with the official SDK. Arguments: binding, protocol version, ledger.

It completes tasks at once; one that says "wait" works until it is cancelled, "break" fails.
"""

import asyncio
import sys

from a2a.helpers.proto_helpers import get_message_text, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import (
    create_agent_card_routes,
    create_jsonrpc_routes,
    create_rest_routes,
)
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from http_ledger import listen, serve
from starlette.applications import Starlette


class Planner(AgentExecutor):
    async def execute(self, context, event_queue):
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        words = get_message_text(context.message)
        if words == "wait":
            await asyncio.sleep(60)
        if words == "break":
            await updater.failed()
            return
        await updater.add_artifact([new_text_part(f"plan of {words}")])
        await updater.complete()

    async def cancel(self, context, event_queue):
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.cancel()


def skill(name):
    return AgentSkill(id=name, name=name, description=name, tags=[name])


binding, version, ledger = sys.argv[1:]
listening, port = listen()
path = "/rpc" if binding == "JSONRPC" else "/rest"
card = AgentCard(
    name="Planner",
    description="Plans",
    version="2.4",
    capabilities=AgentCapabilities(streaming=True),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    skills=[skill("plan"), skill("book")],
    supported_interfaces=[
        AgentInterface(
            url=f"http://127.0.0.1:{port}{path}",
            protocol_binding=binding,
            protocol_version=version,
        )
    ],
)
handler = DefaultRequestHandler(Planner(), InMemoryTaskStore(), agent_card=card)
old = version.startswith("0.")
routes = create_agent_card_routes(card)
routes += create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=old)
routes += create_rest_routes(handler, enable_v0_3_compat=old, path_prefix="/rest")
serve(Starlette(routes=routes), ledger, listening)
