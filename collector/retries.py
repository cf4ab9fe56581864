"""Which call repeats which: failed calls and what their clients did next.

In: calls as they begin and end. Out: for a call that begins, the call that it is a retry of. Two
calls are the same request when their session, messages, model and tools are the same, or when
their clients gave them one idempotency key; the connection does not matter. A request that is
sent again after it succeeded is no retry, unless its client counts it as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

REMEMBERED = 10_000
_OPEN_PER_REQUEST = 16


@dataclass(slots=True)
class _Try:
    """A call that has not succeeded, and that no other call repeats yet."""

    call_id: str
    attempt: int | None
    names: tuple[Hashable, ...]
    failed: bool = False
    followed_by_success: bool = False


@dataclass(slots=True)
class Retries:
    """Remembers the calls that may yet be repeated; of too many the oldest are forgotten."""

    _open: OrderedDict[Hashable, list[_Try]] = field(default_factory=OrderedDict)
    _names: OrderedDict[str, tuple[Hashable, ...]] = field(default_factory=OrderedDict)

    def begun(
        self, call_id: str, request: Hashable | None, key: str | None, attempt: int | None
    ) -> str | None:
        """The call that this one repeats. `request`: equal for equal requests; None: not known.
        `key`: the idempotency key. `attempt`: 1 for the first, as the client counts."""
        names: tuple[Hashable, ...] = tuple(
            name for name in (key and ("idempotency-key", key), request) if name
        )
        repeated = next((one for name in names if (one := self._taken(name, attempt))), None)
        this = _Try(call_id, attempt, names)
        for name in names:
            tries = self._open.setdefault(name, [])
            tries.append(this)
            del tries[:-_OPEN_PER_REQUEST]
            self._open.move_to_end(name)
        if names:
            self._names[call_id] = names
        while len(self._open) > REMEMBERED:
            self._open.popitem(last=False)
        while len(self._names) > REMEMBERED:
            self._names.popitem(last=False)
        return repeated

    def ended(self, call_id: str, *, ok: bool) -> None:
        """A call succeeded, or will not."""
        for name in self._names.pop(call_id, ()):
            tries = self._open.get(name, [])
            for one in list(tries):
                if one.call_id != call_id:
                    one.followed_by_success |= ok and one.failed
                elif ok:
                    self._close(one)
                else:
                    one.failed = True

    def _taken(self, name: Hashable, attempt: int | None) -> str | None:
        """The try that a new one repeats, which is then no longer open."""
        tries = self._open.get(name, [])
        if attempt is None or attempt == 1:
            fitting = [one for one in tries if one.failed and not one.followed_by_success]
        else:  # its client may have given up on one that still runs
            fitting = [one for one in tries if one.attempt is not None and one.attempt < attempt]
            fitting = fitting or [one for one in tries if one.failed]
            fitting.sort(key=lambda one: (one.attempt or 0, one.failed))
        if not fitting:
            return None
        self._close(fitting[-1])
        return fitting[-1].call_id

    def _close(self, one: _Try) -> None:
        for name in one.names:
            tries = self._open.get(name, [])
            if one in tries:
                tries.remove(one)
            if not tries:
                self._open.pop(name, None)
