from __future__ import annotations

from collector import retries
from collector.retries import Retries

REQUEST = ("s1", "leaf", "model", "tools")


def test_a_failed_request_that_is_sent_again_is_its_retry() -> None:
    known = Retries()
    assert known.begun("a", REQUEST, None, None) is None
    known.ended("a", ok=False)
    assert known.begun("b", REQUEST, None, None) == "a"
    known.ended("b", ok=False)
    assert known.begun("c", REQUEST, None, None) == "b"
    known.ended("c", ok=True)
    assert known.begun("d", REQUEST, None, None) is None


def test_another_request_is_none() -> None:
    known = Retries()
    known.begun("a", REQUEST, None, None)
    known.ended("a", ok=False)
    assert known.begun("b", ("s1", "other leaf", "model", "tools"), None, None) is None
    assert known.begun("c", None, None, 2) is None


def test_what_succeeded_is_not_repeated() -> None:
    known = Retries()
    known.begun("a", REQUEST, None, 1)
    known.ended("a", ok=True)
    assert known.begun("b", REQUEST, None, 1) is None
    known.ended("b", ok=True)
    assert known.begun("c", REQUEST, None, 2) is None


def test_a_client_may_give_up_on_a_call_that_still_runs() -> None:
    known = Retries()
    known.begun("a", REQUEST, None, 1)
    assert known.begun("b", REQUEST, None, 1) is None  # another of its kind, at the same time
    assert known.begun("c", REQUEST, None, 2) in ("a", "b")


def test_of_two_equal_requests_each_failure_is_retried_once() -> None:
    known = Retries()
    for call in ("a", "b"):
        known.begun(call, REQUEST, None, 1)
    known.ended("a", ok=False)
    known.ended("b", ok=True)
    assert known.begun("c", REQUEST, None, 2) == "a"
    assert known.begun("d", REQUEST, None, 1) is None


def test_a_success_in_between_ends_what_went_wrong_before() -> None:
    known = Retries()
    known.begun("a", REQUEST, None, None)
    known.begun("b", REQUEST, None, None)
    known.ended("a", ok=False)
    known.ended("b", ok=True)
    assert known.begun("c", REQUEST, None, None) is None


def test_the_attempt_before_is_what_is_retried() -> None:
    known = Retries()
    known.begun("a1", REQUEST, None, 1)
    known.begun("b1", REQUEST, None, 1)
    known.ended("a1", ok=False)
    assert known.begun("a2", REQUEST, None, 2) == "a1"
    known.ended("a2", ok=False)
    known.ended("b1", ok=False)
    assert known.begun("a3", REQUEST, None, 3) == "a2"
    assert known.begun("b2", REQUEST, None, 2) == "b1"


def test_an_idempotency_key_says_that_two_requests_are_one() -> None:
    known = Retries()
    known.begun("a", REQUEST, "key 1", None)
    known.ended("a", ok=False)
    assert known.begun("b", ("s2", "leaf with a date", "model", "tools"), "key 1", None) == "a"
    assert known.begun("c", REQUEST, "key 2", None) is None  # "a" has its retry


def test_memory_is_bounded() -> None:
    known = Retries()
    for number in range(retries.REMEMBERED + 50):
        known.begun(f"c{number}", ("s", number), f"k{number}", 1)
    assert len(known._open) == retries.REMEMBERED
    assert len(known._names) == retries.REMEMBERED
    for _ in range(100):
        known.begun("same", ("s", 0), None, 1)
    assert len(known._open["s", 0]) < 20
