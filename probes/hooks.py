"""Hook plans: where to put probes in a file. The nouns between resolvers and the probe session.

In: `probes.resolvers` builds them from an ELF file. Out: to `probes.session`, which attaches, and
to the plan cache. Program names are those of `bpf/*.bpf.c`.
"""

from __future__ import annotations

from dataclasses import dataclass

# Programs that see a session object freed, or a new one made.
_ENDING = frozenset(
    (
        "free_enter",
        "boringssl_new_return",
        "go_close_enter",
        "rustls_seal_enter",
        "rustls_open_enter",
    )
)


@dataclass(frozen=True, slots=True)
class FileKey:
    """Identity of a file for the kernel: uprobes are per inode.

    On an overlay, a file that is copied up keeps its number but is another inode beneath: there
    the time of its last change (ns) tells them apart; 0 elsewhere.
    """

    device: int
    inode: int
    copied_ns: int = 0


@dataclass(frozen=True, slots=True)
class Hook:
    """One probe: a BPF program at a file offset."""

    offset: int
    program: str
    at_return: bool


@dataclass(frozen=True, slots=True)
class StackPlan:
    """How to hook one TLS stack of a file, or why not (`hooks` empty, `detail` says).

    `stack`: openssl, boringssl, gnutls, nss, go, rustls, mbedtls, wolfssl. `method`: how the
    places were found: symbols (exported or debug names), else the name of the resolver; empty
    when they were not. A stack that was not found by symbols is believed only after the first
    captured bytes look right. `fallback`: another way to the same bytes, for when they do not.
    """

    stack: str
    method: str
    hooks: tuple[Hook, ...]
    detail: str
    fallback: StackPlan | None = None

    @property
    def sees_ends(self) -> bool:
        """Do the hooks tell when a session object's address may begin to name another one?"""
        return any(hook.program in _ENDING for hook in self.hooks)


@dataclass(frozen=True, slots=True)
class FilePlan:
    """All that is known of one file. `stacks` is empty when it holds no TLS library."""

    path: str
    build_id: str | None
    stacks: tuple[StackPlan, ...]
