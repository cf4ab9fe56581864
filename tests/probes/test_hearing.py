from __future__ import annotations

from probes.events import ProcessTraffic
from probes.hearing import SILENT_RECORD_BYTES as SILENT
from probes.hearing import Hearing

PID = 7


def seen(read: int, written: int = 0, *, pid: int = PID, start: int = 1) -> ProcessTraffic:
    return ProcessTraffic(0, pid, start, read, written)


def test_only_what_changed_is_told() -> None:
    hearing = Hearing()
    assert hearing.check([(seen(100), 50)]) == ([seen(100)], [])
    assert hearing.check([(seen(100), 50)]) == ([], [])
    assert hearing.check([(seen(100, 9), 50)]) == ([seen(100, 9)], [])
    assert hearing.check([(seen(100, 9), 58)]) == ([seen(100, 9)], [])


def test_records_without_any_plaintext_are_deafness() -> None:
    hearing = Hearing()
    assert hearing.check([(seen(SILENT - 1), 0)])[1] == []
    assert hearing.check([(seen(SILENT - 1, 1), 0)])[1] == [PID]


def test_deafness_is_said_again_only_after_as_many_records_more() -> None:
    hearing = Hearing()
    assert hearing.check([(seen(SILENT), 0)])[1] == [PID]
    assert hearing.check([(seen(SILENT), 0)])[1] == []
    assert hearing.check([(seen(2 * SILENT - 1), 0)])[1] == []
    assert hearing.check([(seen(2 * SILENT), 0)])[1] == [PID]


def test_plaintext_ends_the_suspicion() -> None:
    hearing = Hearing()
    hearing.check([(seen(SILENT - 1), 0)])
    assert hearing.check([(seen(SILENT + 5), 10)])[1] == []
    assert hearing.check([(seen(2 * SILENT), 10)])[1] == []
    assert hearing.check([(seen(2 * SILENT + 5), 10)])[1] == [PID]


def test_what_flowed_before_the_first_look_counts_only_when_nothing_was_heard() -> None:
    assert Hearing().check([(seen(5 * SILENT), 1)])[1] == []
    assert Hearing().check([(seen(5 * SILENT), 0)])[1] == [PID]


def test_processes_are_told_apart() -> None:
    hearing = Hearing()
    loud, silent = seen(SILENT, pid=1), seen(SILENT, pid=2)
    assert hearing.check([(loud, SILENT), (silent, 0)]) == ([loud, silent], [2])


def test_another_process_with_the_same_pid_begins_anew() -> None:
    hearing = Hearing()
    hearing.check([(seen(SILENT - 1), 0)])
    other = seen(5, start=2)
    assert hearing.check([(other, 0)]) == ([other], [])
    hearing.forget(PID)
    hearing.forget(PID)
    assert hearing.check([(other, 0)]) == ([other], [])
