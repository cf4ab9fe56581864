"""The table of providers and of the wire formats that they speak.

In: the modules of `collector.llm.providers`, each of which holds a `PROVIDER`; a new one is found
by being there. Out: which API a request is a call of, and who serves it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from collector.http.events import RequestHead
from collector.llm import providers
from collector.llm.api import Api, SocketApi
from collector.llm.endpoint import host_of
from collector.llm.model import JsonObject
from collector.llm.provider import Provider


def _found() -> tuple[Provider, ...]:
    names = sorted(module.name for module in iter_modules(providers.__path__))
    modules = (import_module(f"{providers.__name__}.{name}") for name in names)
    return tuple(module.PROVIDER for module in modules)


PROVIDERS = _found()
APIS: tuple[Api, ...] = tuple(api for provider in PROVIDERS for api in provider.apis)
SOCKETS: tuple[SocketApi, ...] = tuple(one for provider in PROVIDERS for one in provider.sockets)
_CLAIMING = tuple(provider for provider in PROVIDERS if provider.claims is not None)
_SUFFIXES = sorted(
    ((suffix, provider.name) for provider in PROVIDERS for suffix in provider.hosts),
    key=lambda known: -len(known[0]),
)
_PRICE_IDS = {provider.name: provider.price_id for provider in PROVIDERS if provider.price_id}


def match(head: RequestHead) -> Api | None:
    """The API that a request may be a call of, or None."""
    return next((api for api in APIS if api.matches(head)), None)


def match_socket(head: RequestHead) -> SocketApi | None:
    """The API whose calls the WebSocket that a request opens may carry, or None."""
    return next((socket for socket in SOCKETS if socket.matches(head)), None)


def match_body(body: JsonObject) -> Api | None:
    """The API of a request whose path is not known; None when none or more than one fits."""
    fitting = [api for api in APIS if api.has_shape(body)]
    return fitting[0] if len(fitting) == 1 else None


def provider_of(head: RequestHead, api: Api) -> str:
    """The provider behind a request's host; the API's own for hosts not listed."""
    for provider in _CLAIMING:
        if provider.claims is not None and provider.claims(head):
            return provider.name
    return _listed(host_of(head) or "") or api.native_provider


def model_provider(host: str) -> str | None:
    """The provider whose models a lower-case host serves; None when it is not known to."""
    provider = _listed(host)
    other_cloud_service = provider == "aws.bedrock" and "bedrock" not in host
    return None if other_cloud_service else provider


def price_id(provider: str) -> str:
    """The id of a provider in `genai-prices`."""
    return _PRICE_IDS.get(provider) or provider


@cache
def _listed(host: str) -> str | None:
    for suffix, provider in _SUFFIXES:
        if host.endswith(suffix) and host[-len(suffix) - 1 : -len(suffix)] in ("", ".", "-"):
            return provider
    return None
