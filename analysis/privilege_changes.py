"""What one change of credentials means: root gained, another namespace, a try that failed.

In: a `PrivilegeStep` of the kernel, the process that made it and what it might do before. Out: an
`Act`, or None where nothing was gained: privileges dropped or set to what they were, a program
that confines itself or its child. Used by `analysis.privileges`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from analysis.steps import PrivilegeStep, Severity

CONFINERS = frozenset(
    {"bwrap", "codex-linux-sandbox", "srt", "firejail", "minijail0", "chrome-sandbox", "runc",
     "crun", "slirp4netns", "rootlesskit"}
)  # fmt: skip
"""Programs that enter namespaces to take privileges away from what they start."""
HARMLESS_CAPABILITIES = frozenset({"cap_net_raw", "cap_net_bind_service"})
"""What `ping` and small servers have; a program with no more than these is only information."""
ALL_CAPABILITIES = "all"
NAMESPACES = frozenset({"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"})
"""Not `files`, `fs` and `sysvsem`, which unshare(2) parts from the other threads; Go's runtime
does."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process may do, as far as is known. `capabilities`: None is not known."""

    euid: int | None
    capabilities: frozenset[str] | None = None

    @classmethod
    def of_user(cls, uid: int | None) -> Held:
        """What a program begins with that this user runs, if it is neither set-uid nor confined."""
        if uid is None:
            return cls(None)
        return cls(uid, frozenset({ALL_CAPABILITIES}) if uid == 0 else frozenset())

    @classmethod
    def after(cls, step: PrivilegeStep) -> Held:
        """What the process may do after the call."""
        return cls(step.euid, _names(step.capabilities))

    def has(self, capabilities: Collection[str]) -> bool:
        """Are all of these held already? What is not known is."""
        if self.capabilities is None or ALL_CAPABILITIES in self.capabilities:
            return True
        return self.capabilities.issuperset(capabilities)


@dataclass(frozen=True, slots=True)
class Act:
    """One step up, or a try. `did` completes "The agent's process 7 ..."."""

    did: str
    severity: Severity
    root: bool = False  # it is root now, and was not


def act(
    step: PrivilegeStep, held: Held, programs: Collection[str], kin: Collection[int]
) -> Act | None:
    """What the step is. `programs`: names of the process; `kin`: pids that descend from it."""
    if step.change == "ptrace":
        return _trace(step, kin)
    if CONFINERS.intersection(programs):
        return None
    if step.change == "unshare" and NAMESPACES.isdisjoint((step.detail or "").split()):
        return None
    if step.error is not None:
        return Act(f"tried {_call(step)} ({step.error})", "info")
    if step.change in ("unshare", "setns"):
        did = f"entered another namespace by {_call(step)}"
        if held.euid == 0:
            return Act(f"{did}, as root already", "info")
        return Act(did, "warning")
    name = min(programs, default="a program")
    if step.change == "exec":
        if step.euid == 0 and held.euid != 0:
            return Act(f"ran {name}, which is set-uid root", "critical", root=True)
        return _of_capabilities(step, held, f"ran {name}, whose file gives it")
    if step.change == "setuid" and held.euid is not None and step.euid != held.euid:
        if step.euid == 0:
            return Act("became root by setuid", "critical", root=True)
        if held.euid != 0:
            return Act(f"became user {step.euid} by setuid", "warning")
        return None  # root that gives itself up
    if step.change == "capset":
        return _of_capabilities(step, held, "took")
    return None


def _of_capabilities(step: PrivilegeStep, held: Held, did: str) -> Act | None:
    after = _names(step.capabilities)
    if not after or held.has(after):
        return None
    gained = sorted(after - (held.capabilities or frozenset()))
    harmless = HARMLESS_CAPABILITIES.issuperset(gained)
    return Act(f"{did} {_listed(gained)}", "info" if harmless else "warning")


def _trace(step: PrivilegeStep, kin: Collection[int]) -> Act | None:
    """A debugger of its own children gains nothing that it had not."""
    if not step.target_pid or step.target_pid == step.pid:
        return None
    severity: Severity = "info" if step.error or step.target_pid in kin else "warning"
    tried = f"tried to trace ({step.error})" if step.error else "traced"
    return Act(f"{tried} process {step.target_pid}", severity)


def _call(step: PrivilegeStep) -> str:
    return f"{step.change} {step.detail}" if step.detail else step.change


def _listed(names: list[str]) -> str:
    if ALL_CAPABILITIES in names:
        return "all capabilities"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _names(capabilities: Collection[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in capabilities)
