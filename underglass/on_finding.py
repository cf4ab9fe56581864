"""Who is told of findings at once: a command of the user's, or a URL.

In: findings of the live analyst, from its thread, which never waits here. Out: one after the other,
in a thread of its own, `sh` with the finding as JSON on its standard input, or a POST of the same.
At most `_MOST_WAITING` findings wait; what is left out and what failed is counted and said at the
end. Commands have no terminal and run in a session of their own, so that they cannot disturb the
watched one. Credentials in commands and URLs stand in no argument list and in no message.
"""

from __future__ import annotations

import json
import os
import pwd
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collector.url_secrets import without_secrets
from probes.errors import UnderglassError

if TYPE_CHECKING:
    from analysis.steps import Finding

COMMAND_S = 30.0
_MOST_WAITING = 100
_CLOSING_S = 5.0
_POST_S = 10.0
_BACKOFF_S = (1.0, 2.0, 4.0)
_KEPT_STDERR_BYTES = 2000
_SEVERITIES = ("info", "warning", "critical")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class OnFinding:
    """What the user asked for: shell commands and URLs, told of findings from `severity` on."""

    targets: tuple[str, ...]
    severity: str = "info"

    def __post_init__(self) -> None:
        """Raises UnderglassError (exit code 2) for a URL that nothing may be posted to."""
        for target in self.targets:
            if _is_url(target):
                _check_url(target)


class Notifier:
    """Tells each target of each finding, as the user that this process is by then."""

    def __init__(self, what: OnFinding) -> None:
        self._what = what
        self._least = _SEVERITIES.index(what.severity)
        self._environment = _environment()
        self._waiting: queue.Queue[Finding | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="on-finding", daemon=True)
        self._stopping = threading.Event()
        self.told = 0
        self.dropped = 0
        self.failed = 0
        self.failure: str | None = None

    def __call__(self, finding: Finding) -> None:
        """Tell of one, soon. Returns at once."""
        if _SEVERITIES.index(finding.severity) < self._least:
            return
        if self._thread.ident is None:
            self._thread.start()
        try:
            self._waiting.put_nowait(finding)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float = _CLOSING_S) -> None:
        """Tell of what still waits, for no longer than `timeout_s`, and say what was left out."""
        if self._thread.ident is None:
            return
        deadline = time.monotonic() + timeout_s
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            pass
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._stopping.set()
        self._thread.join(2.0)
        self._say()

    def _say(self) -> None:
        left = sum(1 for one in list(self._waiting.queue) if one is not None)
        dropped = self.dropped + left
        if dropped:
            print(
                f"underglass: {dropped:,} findings were not handed to --on-finding, which was"
                " too slow; `underglass findings` lists all",
                file=sys.stderr,
            )
        if self.failed:
            print(
                f"underglass: --on-finding failed {self.failed:,} times; the last time:"
                f" {self.failure}",
                file=sys.stderr,
            )

    def _work(self) -> None:
        while not self._stopping.is_set():
            finding = self._waiting.get()
            if finding is None:
                return
            for target in self._what.targets:
                try:
                    why = self._tell(target, finding)
                except Exception as error:  # what a user's command does ends no capture
                    why = without_secrets(f"{type(error).__name__}: {error}")
                self.told += why is None
                if why is not None:
                    self.failed += 1
                    self.failure = f"{without_secrets(target)[:80]}: {why}"

    def _tell(self, target: str, finding: Finding) -> str | None:
        """Tell one target; why that failed, or None."""
        from analysis.findings import finding_records

        (record,) = finding_records([finding])
        text = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if _is_url(target):
            return self._post(target, text)
        return self._run(target, text, _facts(finding))

    def _run(self, command: str, text: bytes, facts: Mapping[str, str]) -> str | None:
        source, given = _in_memory(command.encode() + b"\n"), _in_memory(text)
        stderr, theirs = os.pipe()
        try:
            with subprocess.Popen(
                ["/bin/sh", f"/dev/fd/{source}"],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=theirs,
                pass_fds=(source,),
                start_new_session=True,
                env={**self._environment, **facts},
            ) as process:
                os.close(theirs)
                theirs = -1
                _ordinary_share(process.pid)
                said, in_time = self._until_its_end(process, stderr)
        finally:
            for descriptor in (source, given, stderr, theirs):
                if descriptor >= 0:
                    os.close(descriptor)
        if not in_time:
            return f"ended after {COMMAND_S:g} s"
        if process.returncode:
            last = without_secrets(said.decode("utf-8", "replace")).split()
            return f"exit code {process.returncode} {' '.join(last)[-200:]}".strip()
        return None

    def _until_its_end(self, process: subprocess.Popen[bytes], stderr: int) -> tuple[bytes, bool]:
        """The last of its standard error, and whether it ended by itself in time."""
        deadline = time.monotonic() + COMMAND_S
        said = b""
        ended = os.pidfd_open(process.pid)
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.register(stderr, select.POLLIN)
        try:
            while True:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._stopping.is_set():
                    _end(process)
                    return said, False
                ready = {fd for fd, _ in waiting.poll(min(left_s, 0.2) * 1000)}
                if stderr in ready:
                    more = os.read(stderr, 65536)
                    said = (said + more)[-_KEPT_STDERR_BYTES:]
                    if not more:
                        waiting.unregister(stderr)
                elif ended in ready:
                    return said, True
        finally:
            os.close(ended)

    def _post(self, url: str, text: bytes) -> str | None:
        import urllib.error
        import urllib.request

        opener = urllib.request.build_opener(_no_redirects())
        why = "not tried"
        for pause_s in (*_BACKOFF_S, None):
            request = urllib.request.Request(
                url,
                text,
                {"Content-Type": "application/json", "User-Agent": "underglass"},
                method="POST",
            )
            try:
                with opener.open(request, timeout=_POST_S):
                    return None
            except urllib.error.HTTPError as error:
                why = f"HTTP status {error.code}"
                if error.code < 500 and error.code not in (408, 429):
                    return why
            except OSError as error:
                why = str(getattr(error, "reason", error))
            if pause_s is None or self._stopping.wait(pause_s):
                break
        return why


def _no_redirects() -> Any:
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """A finding goes where the user said, and nowhere else."""

    return Stay


def _facts(finding: Finding) -> dict[str, str]:
    said = {
        "UNDERGLASS_KIND": finding.kind,
        "UNDERGLASS_SEVERITY": finding.severity,
        "UNDERGLASS_SESSION": finding.session_id or "",
        "UNDERGLASS_TITLE": finding.title,
    }
    return {
        name: text.replace("\0", "").encode("utf-8", "replace").decode()[:4000]
        for name, text in said.items()
    }


def _environment() -> dict[str, str]:
    """This process's; after sudo and giving root up, with the invoking user's home and name."""
    found = dict(os.environ)
    uid = os.getuid()
    if uid and found.get("SUDO_UID") == str(uid):
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return found
        found |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return found


def _in_memory(content: bytes) -> int:
    """A descriptor to read it from, which waits for nobody."""
    descriptor = os.memfd_create("on-finding")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _ordinary_share(pid: int) -> None:
    """The collector may be at the lowest priority; the command is not to starve with it."""
    try:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        pass


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started in its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except OSError:
            pass
        try:
            process.wait(1.0)
            return
        except subprocess.TimeoutExpired:
            continue


def _is_url(target: str) -> bool:
    return target.startswith(("https://", "http://"))


def _check_url(url: str) -> None:
    shown = without_secrets(url)
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError as error:
        raise UnderglassError(
            f"--on-finding {shown}: {error}", hint="https://HOST/PATH", exit_code=2
        ) from error
    if not host:
        raise UnderglassError(
            f"--on-finding {shown}: no host", hint="https://HOST/PATH", exit_code=2
        )
    if split.scheme == "http" and host not in _LOOPBACK:
        raise UnderglassError(
            f"--on-finding {shown}: what findings say would go over the network in the clear",
            hint="use https://; http:// is for this machine only",
            exit_code=2,
        )


def whom_to_tell(targets: Sequence[str], severity: str) -> OnFinding | None:
    """What the options ask for; None: nobody is told. Raises UnderglassError."""
    return OnFinding(tuple(targets), severity) if targets else None
