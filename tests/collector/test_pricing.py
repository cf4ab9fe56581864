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


def _oracle(
    usage: Usage,
    model: str,
    provider: str,
    at: float = AT,
    context: dict[str, str] | None = None,
) -> float:
    counts = {
        {"reasoning_tokens": "output_reasoning_tokens"}.get(name, name): getattr(usage, name)
        for name in Usage.__slots__
        if name != "cost_usd"
    }
    found = genai_prices.calc_price(
        genai_prices.Usage(**counts),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(at, UTC),
        price_context=context,
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


PLAIN = Usage(input_tokens=1_000, output_tokens=10)
CACHED = Usage(
    input_tokens=900_000,
    output_tokens=5_000,
    cache_read_tokens=300_000,
    cache_write_tokens=20_000,
    cache_write_1h_tokens=7_000,
    reasoning_tokens=1_000,
    web_searches=3,
)
MIXED = Usage(
    input_tokens=50_000,
    output_tokens=9_000,
    cache_read_tokens=20_000,
    input_audio_tokens=10_000,
    output_audio_tokens=4_000,
    cache_audio_read_tokens=5_000,
    input_image_tokens=6_000,
    output_image_tokens=1_500,
    cache_image_read_tokens=2_000,
)
UNSPLIT = Usage(
    input_tokens=50_000, output_tokens=9_000, cache_read_tokens=20_000, input_audio_tokens=10_000
)
TIMES = (AT, AT + 8 * 3600, datetime(2025, 3, 3, 17, 0, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("usages", "times", "least"),
    [((PLAIN, CACHED), TIMES, 5_000), ((MIXED, UNSPLIT), TIMES[:1], 1_500)],
)
def test_arithmetic_equals_that_of_the_tables(
    usages: tuple[Usage, ...], times: tuple[float, ...], least: int
) -> None:
    """Models of all providers, at several times: tiers, cache, reasoning, media, requests."""
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            for at in times:
                for usage in usages:
                    compared += _agrees(usage, model.id, provider.id, at)
    assert compared > least


def _agrees(usage: Usage, model: str, provider: str, at: float) -> bool:
    """Compare one price; False when we have none. Then the tables have none either, or price
    the model by something that its usage does not tell."""
    found = price(usage, model, provider, None, at)
    try:
        expected = _oracle(usage, model, provider, at)
    except LookupError:
        return False
    except ValueError:  # contradicting counts
        assert found.cost_usd is None, (provider, model)
        return False
    if found.cost_usd is None:
        assert found.source == "unpriced"
        return False
    assert found.cost_usd == pytest.approx(expected, rel=1e-9, abs=1e-15), (provider, model)
    return True


def test_tiers_have_prices_of_their_own_at_the_provider() -> None:
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            for variant in model.price_variants or ():
                tier = variant.when.get("service_tier")
                if "processing" in variant.when:
                    tier = "batch"
                if tier is None and "speed" not in variant.when:
                    continue
                speed = variant.when.get("speed")
                found = price(PLAIN, model.id, provider.id, None, AT, tier=tier, speed=speed)
                if found.cost_usd is not None:
                    expected = _oracle(PLAIN, model.id, provider.id, AT, variant.when)
                    assert found.cost_usd == pytest.approx(expected, rel=1e-9), model.id
                    compared += 1
    assert compared > 200


def test_tiers() -> None:
    standard = price(PLAIN, "o4-mini", "openai", None, AT).cost_usd
    flex = price(PLAIN, "o4-mini", "openai", None, AT, tier="flex").cost_usd
    priority = price(PLAIN, "o4-mini", "openai", None, AT, tier="priority").cost_usd
    assert standard is not None
    assert flex == pytest.approx(standard / 2)
    assert priority is not None
    assert priority > standard
    assert price(PLAIN, "o4-mini", "openai", None, AT, tier="default").cost_usd == standard
    # Azure resells it: the tables' tiers are OpenAI's own.
    resold = price(PLAIN, "o4-mini", "azure.ai.openai", None, AT)
    assert price(PLAIN, "o4-mini", "azure.ai.openai", None, AT, tier="flex") == resold


def test_prices_of_estimated_tokens_are_marked() -> None:
    found = price(PLAIN, "gpt-5", "openai", None, AT, estimated=True)
    assert found.source == f"estimated:{TABLES}"
    assert found.cost_usd == price(PLAIN, "gpt-5", "openai", None, AT).cost_usd
    own = (Override("mine", input=1, output=1),)
    assert price(PLAIN, "mine", "openai", None, AT, own, estimated=True).source == (
        "estimated:override"
    )
    assert price(PLAIN, "mine", "openai", None, AT, estimated=True).source == "unpriced"


@pytest.mark.parametrize(
    ("model", "provider", "host"),
    [
        ("acme/unheard-of-70b", "together_ai", "api.together.xyz"),
        ("claude-unheard-of", "github_copilot", "api.githubcopilot.com"),
        ("gpt-5", "cerebras", "api.cerebras.ai"),
        ("claude-sonnet-4-5", "groq", "api.groq.com"),
    ],
)
def test_what_a_reseller_does_not_list_is_unpriced(model: str, provider: str, host: str) -> None:
    assert price(PLAIN, model, provider, host, AT) == Price(None, "unpriced")


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
