"""The table of providers and of the wire formats that they speak.

In: the modules of `collector.llm.providers`, each of which holds a `PROVIDER`; a new one is found
by being there. Out: which API a request is a call of, and who serves it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules

from collector.http.events import RequestHead
from collector.llm import providers
from collector.llm.api import Api, SocketApi
from collector.llm.endpoint import host_of, path_of
from collector.llm.model import JsonObject
from collector.llm.provider import Provider
from collector.llm.request_kinds import RequestKind


def _found() -> tuple[Provider, ...]:
    names = sorted(module.name for module in iter_modules(providers.__path__))
    modules = (import_module(f"{providers.__name__}.{name}") for name in names)
    return tuple(module.PROVIDER for module in modules)


PROVIDERS = _found()
APIS: tuple[Api, ...] = tuple(api for provider in PROVIDERS for api in provider.apis)
SOCKETS: tuple[SocketApi, ...] = tuple(one for provider in PROVIDERS for one in provider.sockets)
_GATEWAYS = tuple(provider for provider in PROVIDERS if provider.forwards_to is not None)
_CLAIMING = tuple(provider for provider in PROVIDERS if provider.claims is not None)
_SUFFIXES = sorted(
    ((suffix, provider.name) for provider in PROVIDERS for suffix in provider.hosts),
    key=lambda known: -len(known[0]),
)
_PRICED_AS_REQUESTED = frozenset(one.name for one in PROVIDERS if one.priced_as_requested)
_PRICE_IDS = {provider.name: provider.price_id for provider in PROVIDERS if provider.price_id}


_REQUESTS = tuple((provider.name, one) for provider in PROVIDERS for one in provider.requests)


def match(head: RequestHead) -> Api | None:
    """The API that a request may be a call of, or None."""
    return next((api for api in APIS if api.matches(head)), None)


def match_request(head: RequestHead) -> tuple[tuple[str, RequestKind], ...]:
    """The kinds of requests without inference that a request may be, each with whose it is; those
    of the provider behind its host come first."""
    found = _kinds_at(head.method, path_of(head))
    if len(found) > 1:
        provider = known_provider(head)
        return tuple(sorted(found, key=lambda one: one[0] != provider))
    return found


def match_socket(head: RequestHead) -> SocketApi | None:
    """The API whose calls the WebSocket that a request opens may carry, or None."""
    return next((socket for socket in SOCKETS if socket.matches(head)), None)


def match_body(body: JsonObject) -> Api | None:
    """The API of a request whose path is not known; None when none or more than one fits."""
    fitting = [api for api in APIS if api.has_shape(body)]
    return fitting[0] if len(fitting) == 1 else None


def provider_of(head: RequestHead, api: Api) -> str:
    """The provider behind a request's host; the API's own for hosts not listed."""
    return known_provider(head) or api.native_provider


def known_provider(head: RequestHead) -> str | None:
    """The provider behind a request's host; None for hosts not listed."""
    for provider in _CLAIMING:
        if provider.claims is not None and provider.claims(head):
            return provider.name
    for gateway in _GATEWAYS:
        if gateway.forwards_to is not None and (behind := gateway.forwards_to(head)):
            return behind
    return _listed(host_of(head) or "")


def model_provider(host: str) -> str | None:
    """The provider whose models a lower-case host serves; None when it is not known to."""
    provider = _listed(host)
    other_cloud_service = provider == "aws.bedrock" and "bedrock" not in host
    return None if other_cloud_service else provider


def price_id(provider: str) -> str:
    """The id of a provider in `genai-prices`."""
    return _PRICE_IDS.get(provider) or provider


@lru_cache(maxsize=4096)
def _kinds_at(method: str, path: str) -> tuple[tuple[str, RequestKind], ...]:
    return tuple(
        (provider, one)
        for provider, one in _REQUESTS
        if one.method == method and one.path.search(path)
    )


def priced_as_requested(provider: str) -> bool:
    """Do the ids that a provider is asked for tell its prices better than the names it answers?"""
    return provider in _PRICED_AS_REQUESTED


@cache
def _listed(host: str) -> str | None:
    for suffix, provider in _SUFFIXES:
        if host.endswith(suffix) and host[-len(suffix) - 1 : -len(suffix)] in ("", ".", "-"):
            return provider
    return None
