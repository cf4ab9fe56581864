from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.loops import MAX_POLLS, LoopDetector, in_order, loops
from analysis.steps import CallStep, Finding, UserTurn
from tests.analysis.transcript import Steps, tools, transcript, turns


def found(*lines: str) -> list[tuple[str, int]]:
    return [(finding.kind, finding.count) for finding in batch(transcript(*lines))]


def batch(steps: Steps) -> list[Finding]:
    return loops(tools(steps), turns(steps))


READ, GREP, LIST = "cat a.py => one", "grep -r x . => a.py:1", "ls src => a.py"
SEARCH_FAILS = 'search {"q": "weather"} => !connection refused'
POLL = 'write_stdin {"session_id": 1, "chars": ""} => still running'
EDIT = 'Edit {"path": "a.py", "old": "1", "new": "2"} => ok'

LOOPS = {
    "three in a row": ([READ] * 3, [("repeat", 3)]),
    "one run, not one finding per window": ([READ] * 7, [("repeat", 7)]),
    "two in turn": ([READ, GREP] * 3, [("cycle", 3)]),
    "five in turn, in the middle of other work": (
        ["make => ok", *["a => 1", "b => 2", "c => 3", "d => 4", "e => 5"] * 3, "make => ok"],
        [("cycle", 3)],
    ),
    "errors whose numbers are spelled in turn as texts": (
        ['search {"q": "x", "n": 3} => !no', 'search {"n": "3", "q": "x"} => !no'] * 2,
        [("error_repeat", 4)],
    ),
    "the same error": ([SEARCH_FAILS] * 4, [("error_repeat", 4)]),
    "the same error without a flag": (["pip install x => ERROR: no x"] * 3, [("error_repeat", 3)]),
    "errors in turn": (["a => !x", "b => !y"] * 3, [("error_repeat", 3)]),
    "an edit that fails": (
        ['Edit {"path": "a.py"} => !String to replace not found'] * 3,
        [("error_repeat", 3)],
    ),
    "an edit refused without a flag": (
        ['str_replace_editor {"command": "str_replace"} => No replacement was performed'] * 3,
        [("repeat", 3)],
    ),
    "the same file written whole": (
        ['Write {"path": "a", "content": "x"} => ok', "pytest => 1 failed"] * 3,
        [("cycle", 3)],
    ),
    "times and durations apart": (
        [f"pytest => 3 failed in {n}.1s at 2026-01-0{n}" for n in (1, 2, 3)],
        [("repeat", 3)],
    ),
    "a cycle takes the runs inside it": ([READ, READ, READ, GREP] * 3, [("cycle", 3)]),
    "two runs": ([READ] * 3 + [GREP] * 4, [("repeat", 3), ("repeat", 4)]),
    "polls": ([POLL] * 3, [("polling", 3)]),
    "a poll without end": ([POLL] * (MAX_POLLS + 1), [("polling", MAX_POLLS + 1)]),
    "empty commands": (
        ['execute_bash {"command": ""} => [still running]'] * MAX_POLLS,
        [("polling", MAX_POLLS)],
    ),
    "sleep and look": (["sleep 30 => ", "kubectl get pods => Pending"] * 4, [("polling", 4)]),
    "sleep before looking": (["sleep 5 && cat status => busy"] * 5, [("polling", 5)]),
    "a wait tool": (['BashOutput {"id": "1"} => running'] * 3, [("polling", 3)]),
    "waiting does not excuse the loop before it": (
        ([READ] * 3 + ["sleep 5 => "]) * 3,
        [("repeat", 3), ("polling", 3), ("repeat", 3), ("repeat", 3)],
    ),
    "errors whose arguments differ in noise alone": (
        [
            f'search {{"q": "{q}", "id": "{n}b1b5c1e-0000-4000-8000-00000000000{n}"}} => !refused'
            for n, q in enumerate(("Weather now", "weather now", "weather  now"))
        ],
        [("error_repeat", 3)],
    ),
    "the agent's own warning": (
        [
            READ,
            "user: System: Potential loop detected. Details: repeated tool call",
            'search {"q": 1} => Error: called with the same arguments 5 times in a row',
        ],
        [("agent_detected", 1), ("agent_detected", 1)],
    ),
    "its warning is no new request": (
        [READ, READ, "user: Potential loop detected: Bash", READ],
        [("repeat", 3), ("agent_detected", 1)],
    ),
}

NO_LOOPS = {
    "nothing": [],
    "two in a row": [READ] * 2,
    "twice in turn": [READ, GREP] * 2,
    "not adjacent": [READ, GREP, READ, LIST, READ],
    "results that change": ["cat log => 1", "cat log => 2", "cat log => 3", "cat log => 4"],
    "edit, test, edit, test": [
        line for n in range(4) for line in (f'Edit {{"new": "{n}"}} => ok', "pytest -q => 1 failed")
    ],
    "the same edit each time applied": [EDIT, "pytest -q => 1 failed"] * 4,
    "an edit by command": ["sed -i 1d a.py", "pytest => 1 failed"] * 4,
    "batch edits": ["sed -i '1d' a.py => "] * 5,
    "batch appends": ["echo x >> log.txt => "] * 5,
    "edits by tool": [EDIT] * 5,
    "a user asks again": [READ, READ, "user: and again", READ, READ],
    "two polls": [POLL] * 2,
    "a status that changes": [
        line for n in range(12) for line in ("sleep 5 => ", f"cat status => {n} of 12 done")
    ],
    "calls without results": ["make", "make", "make", "make"],
    "reading a file that quotes a marker": [
        "cat loop.ts => const text = 'Potential loop detected'",
        f"cat big.ts => {'x' * 700} times consecutively with identical arguments",
    ],
    "an error said differently": ["a => !no x", "a => !no y", "a => !no z"],
}


@pytest.mark.parametrize("name", LOOPS)
def test_finds(name: str) -> None:
    lines, expected = LOOPS[name]
    assert found(*lines) == expected


@pytest.mark.parametrize("name", NO_LOOPS)
def test_does_not_find(name: str) -> None:
    assert found(*NO_LOOPS[name]) == []


def test_alerts_before_the_fourth_call() -> None:
    detector = LoopDetector("s")
    answers = [detector.feed(step) for step in transcript(*[SEARCH_FAILS] * 3)]
    assert [answer.kind if answer else None for answer in answers] == [None, None, "error_repeat"]


def test_a_finding_names_its_calls_and_tools() -> None:
    (finding,) = batch(transcript("ls => a", READ, READ, READ, READ))
    assert [(e.kind, e.id) for e in finding.evidence] == [
        pair for n in (2, 3, 4, 5) for pair in (("call", f"call{n}"), ("tool", f"tool{n}"))
    ]
    assert (finding.first_at_ns, finding.last_at_ns) == (2_000_000, 5_000_000)
    assert finding.session_id == "s"
    assert finding.severity == "warning"
    assert finding.title == "Bash was called 4 times in a row with the same result"


def test_a_long_run_is_critical_and_its_evidence_bounded() -> None:
    (finding,) = batch(transcript(*[READ] * 500))
    assert finding.severity == "critical"
    assert finding.count == 500
    assert len(finding.evidence) == 60


def test_tokens_after_the_first_round_are_wasted() -> None:
    steps = tools(transcript(*[READ, GREP] * 3))
    calls = [CallStep(s.call_id, "s", "m", s.requested_ns, 100, 10) for s in steps]
    assert loops(steps, (), calls)[0].wasted_tokens == 4 * 110
    assert loops(steps, (), calls[:-1])[0].wasted_tokens is None
    unknown = dataclasses.replace(calls[0], output_tokens=None)
    assert loops(steps, (), [unknown, *calls[1:]])[0].wasted_tokens == 4 * 110


def test_one_response_asking_thrice_is_one_round() -> None:
    steps = tools(transcript(*[READ] * 3))
    together = [dataclasses.replace(step, call_id="call1") for step in steps]
    assert loops(together) == []
    rounds = [
        dataclasses.replace(step, call_id=f"call{n}", requested_ns=n)
        for n in range(3)
        for step in steps[:2]
    ]
    assert [(f.kind, f.count) for f in loops(rounds)] == [("repeat", 3)]


def test_sessions_are_apart() -> None:
    one, other = (transcript(*[READ] * 2, session_id=name) for name in "ab")
    assert batch([*one, *other]) == []
    interleaved = [s for name in "ab" for s in transcript(*[READ] * 3, session_id=name)]
    assert [(f.session_id, f.count) for f in batch(interleaved)] == [("a", 3), ("b", 3)]


def test_without_content_a_shell_may_be_waiting() -> None:
    def bare(line: str, times: int) -> Steps:
        steps = tools(transcript(*[line] * times))
        return [dataclasses.replace(step, arguments=None, result=None) for step in steps]

    assert batch(bare(READ, MAX_POLLS)) == []
    assert [f.count for f in batch(bare(READ, MAX_POLLS + 1))] == [MAX_POLLS + 1]
    assert [f.count for f in batch(bare('search {"q": 1} => x', 3))] == [3]


STEP = st.sampled_from(
    [
        *(READ, GREP, LIST, EDIT, POLL, SEARCH_FAILS, "make"),
        "user: go on",
        "user: Potential loop detected",
    ]
)  # fmt: skip
REPETITIVE = st.lists(
    st.tuples(st.lists(STEP, min_size=1, max_size=5), st.integers(1, 13)), max_size=5
).map(lambda parts: [line for lines, times in parts for line in lines * times])


@settings(deadline=None)
@given(REPETITIVE)
def test_step_by_step_finds_what_the_batch_finds(lines: list[str]) -> None:
    steps = transcript(*lines)
    detector = LoopDetector("s")
    for number, step in enumerate(in_order(tools(steps), turns(steps)), start=1):
        said = detector.feed(step)
        assert said is None or said in detector.findings
        if number % 29 == 0 or number == len(steps):
            assert list(detector.findings) == batch(steps[:number])


@given(REPETITIVE)
def test_findings_agree_with_a_plain_count(lines: list[str]) -> None:
    """A `repeat` of n is n equal lines on end; found exactly when three or more are there."""
    plain = [line for line in lines if line in (READ, GREP, LIST)]
    longest = run = 0
    for before, line in zip([None, *plain], plain, strict=False):
        run = run + 1 if line == before else 1
        longest = max(longest, run)
    counts = [f.count for f in batch(transcript(*plain)) if f.kind == "repeat"]
    assert all(3 <= count <= longest for count in counts)
    if longest < 3:
        assert counts == []
    elif not any(f.kind == "cycle" for f in batch(transcript(*plain))):
        assert max(counts) == longest


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(max_size=30), st.text(max_size=30)), max_size=8
    )
)
def test_never_raises(parts: list[tuple[str, str, str]]) -> None:
    steps = transcript(*[f"{name} {{{arguments} => {result}" for name, arguments, result in parts])
    user = [UserTurn("s", "c", text, 3) for _, text, _ in parts]
    assert len(loops(tools(steps), user)) <= len(parts) * 2
