"""The root of every error that a user of underglass may meet.

In: a message, what to do about it, and the exit code. Out: `underglass.cli` catches this one
type, prints both lines on stderr and exits. It lives in the lowest layer, so that each layer
can derive its own errors from it.
"""

from __future__ import annotations


class UnderglassError(Exception):
    """A failure with its remedy: `hint` holds the exact fix, `exit_code` what the CLI returns."""

    exit_code: int = 1

    def __init__(
        self, message: str, *, hint: str | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code
