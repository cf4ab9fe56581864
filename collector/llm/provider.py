"""What a provider of models is: one module of `collector.llm.providers` says it.

In: nothing; this module only names things. Out: to `collector.llm.registry`, the one table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.http.events import RequestHead
from collector.llm.api import Api, SocketApi
from collector.llm.request_kinds import RequestKind


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    `name` is OpenTelemetry's `gen_ai.provider.name`; one that it does not list follows its style.
    `hosts` are suffixes of host names: `api.groq.com` is also `eu.api.groq.com` and
    `eu-api.groq.com`. `price_id` is its id in `genai-prices` where that is not `name`. `apis` and
    `sockets` are the wire formats that are its own; who speaks another's lists none. `claims`
    tells its requests by more than the host. `forwards_to`: of a gateway, the name of the provider
    that a request is for; None: its own, or no request of its. `requests` are those that infer
    nothing. `priced_as_requested`: the ids of models that it is asked for tell prices better than
    the names that it answers.
    """

    name: str
    hosts: tuple[str, ...] = ()
    price_id: str | None = None
    apis: tuple[Api, ...] = ()
    sockets: tuple[SocketApi, ...] = ()
    claims: Callable[[RequestHead], bool] | None = None
    forwards_to: Callable[[RequestHead], str | None] | None = None
    requests: tuple[RequestKind, ...] = ()
    priced_as_requested: bool = False
