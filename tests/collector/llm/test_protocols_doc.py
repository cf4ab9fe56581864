from __future__ import annotations

from pathlib import Path

from collector.llm.registry import APIS, PROVIDERS

TEXT = (Path(__file__).parents[3] / "docs" / "protocols.md").read_text("utf-8")


def test_every_wire_format_is_documented() -> None:
    assert [api.name for api in APIS if f"`{api.name}`" not in TEXT] == []


def test_every_provider_and_host_is_documented() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    for provider in PROVIDERS:
        (row,) = [line for line in rows if f"| `{provider.name}` |" in line]
        assert [host for host in provider.hosts if f"`{host}`" not in row] == []
