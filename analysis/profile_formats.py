"""Least-privilege profiles in the words of tools that enforce them.

In: a `Profile`. Out: text. Formats: a policy candidate (JSON), permissions of Claude Code
(`settings.json`), the settings of sandbox-runtime (`srt --settings`), and a bubblewrap command
line. Each is a candidate, for a person to read: a session shows what it needed, not what the next
one will. Allowed is what was used; denied are places of secrets that were not.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable

from analysis.footprint import EVERYTHING_BELOW
from analysis.least_privilege import Profile

# Where secrets usually are, with the reason that `collector.sensitive` gives for them.
SECRET_PLACES = (
    ("~/.ssh/**", "ssh_key"),
    ("~/.gnupg/**", "gpg_key"),
    ("~/.aws/**", "cloud_credentials"),
    ("~/.azure/**", "cloud_credentials"),
    ("~/.config/gcloud/**", "cloud_credentials"),
    ("~/.kube/**", "cloud_credentials"),
    ("~/.docker/config.json", "registry_credentials"),
    ("~/.npmrc", "registry_credentials"),
    ("~/.pypirc", "registry_credentials"),
    ("~/.netrc", "login_credentials"),
    ("~/.git-credentials", "login_credentials"),
    ("~/.pgpass", "login_credentials"),
    ("~/.password-store/**", "password_store"),
    ("~/.bash_history", "shell_history"),
    ("~/.zsh_history", "shell_history"),
    ("/etc/shadow", "system_passwords"),
    ("/etc/sudoers", "sudo_rules"),
)
_ANYWHERE = (("**/.env", "environment_file"), ("**/.env.*", "environment_file"))
_BOUND_ANYWAY = ("/proc", "/dev", "/sys")  # bubblewrap mounts its own, or none


def unused_secrets(profile: Profile, places: Iterable[tuple[str, str]]) -> list[str]:
    """Places of kinds of secrets that the session did not touch."""
    touched = {reason for _, reason in profile.sensitive}
    return [place for place, reason in places if reason not in touched]


def as_policy(profile: Profile) -> str:
    """A policy of rules: what is not allowed is told of (`audit`)."""
    rules = [
        ("read", "file.read", "paths", profile.read),
        ("write", "file.write", "paths", profile.write),
        ("programs", "proc.exec", "paths", profile.programs),
        ("hosts", "net.connect", "hosts", profile.hosts),
    ]
    document = {
        "version": 1,
        "mode": "audit",
        "rules": [
            {"id": name, "on": event, "allow": {what: list(allowed)}, "action": "alert"}
            for name, event, what, allowed in rules
        ],
    }
    return _json(document)


def as_claude_settings(profile: Profile) -> str:
    """Permission rules of Claude Code: absolute paths begin with `//`, programs are prefixes."""
    programs = sorted({program.rpartition("/")[2] for program in profile.programs})
    allow = [
        *(f"Read(/{path})" for path in profile.read if not path.startswith(_SYSTEM)),
        *(f"Edit(/{path})" for path in profile.write if not path.startswith(_BOUND_ANYWAY)),
        *(f"Bash({program}:*)" for program in programs if program not in _SHELLS),
        *(f"WebFetch(domain:{domain})" for domain in domains(profile)),
    ]
    secrets = unused_secrets(profile, (*SECRET_PLACES, *_ANYWHERE))
    deny = [f"Read({f'/{place}' if place.startswith('/') else place})" for place in secrets]
    return _json({"permissions": {"allow": allow, "deny": deny}})


def as_srt_settings(profile: Profile) -> str:
    """Settings of sandbox-runtime; a directory stands for all below it."""
    return _json(
        {
            "network": {"allowedDomains": domains(profile), "deniedDomains": []},
            "filesystem": {
                "denyRead": [_place(one) for one in unused_secrets(profile, SECRET_PLACES)],
                "allowWrite": [_place(path) for path in profile.write],
                "denyWrite": [],
            },
        }
    )


def as_bwrap(profile: Profile) -> str:
    """A bubblewrap command line, to be ended by the command. It bounds files, and the network
    as a whole: which hosts may be reached it cannot tell."""
    words = ["bwrap", "--die-with-parent", "--proc /proc", "--dev /dev"]
    writable = sorted({_existing(path) for path in profile.write} - {""})
    readable = sorted({_place(path) for path in (*profile.read, *profile.programs)} - {""})
    for path in readable:
        if path not in writable and not path.startswith(_BOUND_ANYWAY):
            words.append(f"--ro-bind-try {shlex.quote(path)} {shlex.quote(path)}")
    for path in writable:
        if not path.startswith(_BOUND_ANYWAY):
            words.append(f"--bind-try {shlex.quote(path)} {shlex.quote(path)}")
    if not profile.hosts:
        words.append("--unshare-net")
    return " \\\n  ".join(words) + " \\\n  --"


FORMATS: dict[str, Callable[[Profile], str]] = {
    "json": as_policy,
    "claude": as_claude_settings,
    "srt": as_srt_settings,
    "bwrap": as_bwrap,
}

_SYSTEM = ("/usr", "/lib", "/bin", "/sbin", "/proc", "/sys", "/dev")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "env"})


def domains(profile: Profile) -> list[str]:
    """Hosts without their ports."""
    return sorted({host.rpartition(":")[0].strip("[]") for host in profile.hosts})


def _place(path: str) -> str:
    return path.removesuffix(EVERYTHING_BELOW)


def _existing(path: str) -> str:
    """What can be mounted: of a file that is written its directory."""
    return _place(path) if path.endswith(EVERYTHING_BELOW) else path.rpartition("/")[0]


def _json(document: object) -> str:
    return json.dumps(document, indent=2)
