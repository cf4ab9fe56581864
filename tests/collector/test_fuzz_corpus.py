"""The kept inputs of fuzzing (`make fuzz`), through their harnesses once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.llm.registry import APIS
from tests.fuzz import seeds
from tests.fuzz.of_llm import API_NAMES
from tests.fuzz.steps import Input, packed, parsed, pieces, with_gaps
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
MAX_CORPUS_BYTES = 2 << 20


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs(name: str) -> None:
    target = TARGETS[name]
    inputs = sorted((CORPUS / name).iterdir()) if (CORPUS / name).is_dir() else []
    for path in inputs:
        raw = path.read_bytes()
        assert len(raw) <= target.max_bytes
        try:
            target.run(raw)
        except Exception as error:
            error.add_note(f"input: {path}")
            raise
    known = seeds.of_target(name)
    assert known
    for raw in known:
        target.run(raw)


def test_every_kept_input_has_a_harness_and_all_of_them_are_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.glob("*/*")) <= MAX_CORPUS_BYTES


def test_an_input_is_choices_and_data() -> None:
    assert parsed(packed(b"data", b"ab")) == Input(b"ab", b"data")
    assert parsed(b"") == Input(b"", b"")
    assert pieces(b"abcdefg", b"\x02\x01") == [b"ab", b"c", b"de", b"f", b"g"]
    assert pieces(bytes(200), b"\x80\x00") == [bytes(64), bytes(136)]
    steps = list(with_gaps(b"abcdefghij", b"\x02\x07"))
    assert [(step.data, step.lost) for step in steps] == [(b"ab", 0), (None, 7), (b"j", 0)]


def test_the_first_byte_chooses_among_all_apis() -> None:
    assert set(API_NAMES) == {api.name for api in APIS}
    assert len(set(API_NAMES)) == len(API_NAMES)
    for name in ("llm_requests", "llm_responses"):
        first = {raw[0] for raw in seeds.of_target(name)}
        assert first == set(range(len(API_NAMES)))
