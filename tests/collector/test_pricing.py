from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from collector.llm.model import Usage
from collector.pricing import Override, Price, load_overrides, price

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC).timestamp()
TABLES = f"genai-prices/{genai_prices.__version__}"
USAGE = Usage(
    input_tokens=10_000, output_tokens=400, cache_read_tokens=3_000, cache_write_tokens=500
)


def _oracle(usage: Usage, model: str, provider: str, at: float = AT) -> float:
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
    }
    found = genai_prices.calc_price(
        genai_prices.Usage(**counts),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(at, UTC),
    )
    return float(found.total_price)


@pytest.mark.parametrize(
    ("usage", "model", "provider", "id_of_tables"),
    [
        (USAGE, "claude-sonnet-4-5-20250929", "anthropic", "anthropic"),
        (
            Usage(
                input_tokens=10_000,
                output_tokens=400,
                cache_write_tokens=5_000,
                cache_write_1h_tokens=4_000,
            ),
            "claude-sonnet-4-5",
            "anthropic",
            "anthropic",
        ),
        (
            Usage(input_tokens=250_000, output_tokens=10),
            "claude-sonnet-4-5",
            "anthropic",
            "anthropic",
        ),
        (Usage(input_tokens=0, output_tokens=0), "gpt-5", "openai", "openai"),
        (USAGE, "gpt-5", "openai", "openai"),
        (USAGE, "gpt-4o", "azure.ai.openai", "azure"),
        (USAGE, "deepseek-chat", "deepseek", "deepseek"),
        (USAGE, "grok-4", "x_ai", "x-ai"),
        (USAGE, "mistral-large-latest", "mistral_ai", "mistral"),
        (USAGE, "gemini-2.5-pro", "gcp.gemini", "google"),
    ],
)
def test_table_prices(usage: Usage, model: str, provider: str, id_of_tables: str) -> None:
    found = price(usage, model, provider, None, AT)
    assert found.source == TABLES
    assert found.cost_usd == pytest.approx(_oracle(usage, model, id_of_tables), rel=1e-12, abs=0)


def test_arithmetic_equals_that_of_the_tables_for_every_model() -> None:
    """All models of all providers, at two times of the day: tiers, cache, reasoning, requests."""
    usages = (
        Usage(
            input_tokens=900_000,
            output_tokens=5_000,
            cache_read_tokens=300_000,
            cache_write_tokens=20_000,
            cache_write_1h_tokens=7_000,
            reasoning_tokens=1_000,
        ),
        Usage(input_tokens=1_000, output_tokens=10),
    )
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models[:40]:
            for at, usage in ((AT, usages[0]), (AT + 8 * 3600, usages[1])):
                try:
                    expected = _oracle(usage, model.id, provider.id, at)
                except LookupError:
                    continue
                found = price(usage, model.id, provider.id, None, at)
                if found.cost_usd is None:  # priced by something that usage does not tell
                    assert found.source == "unpriced"
                    continue
                assert found.cost_usd == pytest.approx(expected, rel=1e-9, abs=1e-15), model.id
                compared += 1
    assert compared > 1_000


def test_provider_reported_cost_comes_first() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cost_usd=0.25)
    forced = (Override("*", input=1, output=1, force=True),)
    assert price(usage, "gpt-5", "openrouter", None, AT, forced) == Price(0.25, "provider")
    assert price(Usage(cost_usd=0.0), None, "openrouter", None, AT) == Price(0.0, "provider")


@pytest.mark.parametrize(
    ("model", "provider"),
    [("no-such-model", "openai"), ("gpt-5", "no such provider"), (None, "openai")],
)
def test_unknown_models_are_unpriced(model: str | None, provider: str) -> None:
    assert price(USAGE, model, provider, None, AT) == Price(None, "unpriced")
    assert price(USAGE, model, provider, "localhost", AT) == Price(None, "unpriced")


def test_host_finds_the_provider() -> None:
    model = next(p for p in get_snapshot().providers if p.id == "novita").models[0]
    found = price(USAGE, model.id, "openai", "api.novita.ai", AT)
    assert found.source == TABLES
    assert found.cost_usd == pytest.approx(_oracle(USAGE, model.id, "novita"))


@pytest.mark.parametrize(
    "usage",
    [None, Usage(), Usage(input_tokens=10), Usage(output_tokens=10), Usage(cache_read_tokens=5)],
)
def test_without_usage_the_cost_is_not_known(usage: Usage | None) -> None:
    assert price(usage, "gpt-5", "openai", None, AT) == Price(None, None)


def test_contradicting_counts_are_unpriced() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=11)
    assert price(usage, "gpt-5", "openai", None, AT) == Price(None, "unpriced")


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        """
        [[model]]
        match = "llama*"
        input = 2
        output = 4.0
        cache_read = 0.5

        [[model]]
        match = "gpt-5"
        provider = "openai"
        input = 0
        output = 0
        force = true

        [[model]]
        match = "claude-*"
        input = 1
        output = 1
        """
    )
    overrides = load_overrides(path)
    assert overrides[1] == Override("gpt-5", 0, 0, provider="openai", force=True)
    local = price(USAGE, "llama3:70b", "openai", "localhost", AT, overrides)
    assert local.source == "override"
    assert local.cost_usd == pytest.approx((7_000 * 2 + 3_000 * 0.5 + 400 * 4) / 1e6)
    assert price(USAGE, "gpt-5", "openai", None, AT, overrides) == Price(0.0, "override")
    assert price(USAGE, "gpt-5", "azure.ai.openai", None, AT, overrides).source == TABLES
    assert price(USAGE, "claude-sonnet-4-5", "anthropic", None, AT, overrides).source == TABLES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]]\nmatch='a'\ninput=1", "'output' is missing"),
        ("[[model]]\nmatch='a'\ninput='1'\noutput=1", "'input' must be float"),
        ("[[model]]\nmatch='a'\ninput=-1\noutput=1", "0 or more"),
        ("[[model]]\nmatch='a'\ninput=nan\noutput=1", "0 or more"),
        ("[[model]]\nmatch='a'\ninput=true\noutput=1", "'input' must be float"),
        ("[[model]]\nname='a'", "unknown key 'name'"),
        ("model = 3", "expected only"),
        ("model = [3]", "expected a table"),
        ("[[prices]]\n", "expected only"),
        ("[[model", "prices.toml"),
    ],
)
def test_bad_override_files_name_the_fault(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_overrides(path)


def test_import_is_light() -> None:
    code = "import sys, collector.pricing; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_price_takes_microseconds() -> None:
    price(USAGE, "claude-sonnet-4-5", "anthropic", None, AT)
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(200):
            price(USAGE, "claude-sonnet-4-5", "anthropic", None, AT)
        rounds.append((time.perf_counter() - started) / 200)
    assert min(rounds) < 100e-6
