"""Every attribute name is one that OpenTelemetry ships, a listed newer one, or plainly ours."""

from __future__ import annotations

import importlib

import pytest

from collector.exporters import semconv

_MODULES = (
    "_incubating.attributes.gen_ai_attributes",
    "_incubating.attributes.error_attributes",
    "_incubating.attributes.host_attributes",
    "_incubating.attributes.http_attributes",
    "_incubating.attributes.network_attributes",
    "_incubating.attributes.server_attributes",
    "_incubating.attributes.service_attributes",
    "_incubating.attributes.telemetry_attributes",
)
_VALUES = {"SCHEMA_URL", "SCOPE_NAME", "INVOKE_AGENT", "CHAT", "EXECUTE_TOOL"}
NAMES = {
    constant: value
    for constant, value in vars(semconv).items()
    if constant.isupper() and isinstance(value, str) and constant not in _VALUES
}


def _shipped() -> set[str]:
    modules = [importlib.import_module(f"opentelemetry.semconv.{name}") for name in _MODULES]
    return {value for module in modules for value in vars(module).values() if type(value) is str}


@pytest.mark.parametrize("constant", sorted(NAMES))
def test_name_is_shipped_newer_or_ours(constant: str) -> None:
    name = NAMES[constant]
    if constant.startswith("OWN_"):
        assert name.startswith("underglass.")
    elif name in semconv.NEWER_NAMES:
        assert name not in _shipped()
    else:
        assert name in _shipped()


def test_names_are_distinct_and_none_is_the_retired_one() -> None:
    assert len(set(NAMES.values())) == len(NAMES)
    assert "gen_ai.system" not in NAMES.values()


def test_operations_are_the_conventions_own() -> None:
    from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import (
        GenAiOperationNameValues,
    )

    known = {each.value for each in GenAiOperationNameValues}
    assert {semconv.INVOKE_AGENT, semconv.CHAT, semconv.EXECUTE_TOOL} <= known


def test_schema_url_is_shipped() -> None:
    from opentelemetry.semconv.schemas import Schemas

    assert semconv.SCHEMA_URL in {each.value for each in Schemas}
