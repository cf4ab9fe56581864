from __future__ import annotations

import pytest

from probes.resolvers.entries import cheap


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("55", 0),
        ("4157", 0),
        ("90", 0),
        ("f30f1efa 55", 4),  # endbr64; push
        ("4885ff 7443", 3),  # test rdi, rdi; je
        ("4885ff 0f84d4050000", 3),
        ("4885f6 4154", 3),  # test rsi, rsi; push
        ("f687b002000002 7537", 7),  # test byte [rdi+d32], 2; jne
        ("837f1000 7410 55", 4),  # cmp dword [rdi+16], 0; je
        ("31c0 55", 2),  # xor eax, eax
        ("31f6 55", None),  # xor esi, esi: an argument is lost
        ("31ff 55", None),
        ("4883ec08 7443", None),  # sub rsp, 8: the stack pointer has moved
        ("488b07 55", None),  # mov rax, [rdi]
        ("8307 01 55", None),  # add dword [rdi], 1
        ("f6d8 55", None),  # neg al
        ("e800000000", None),
        ("eb10", None),
        ("4885ff" * 5 + "55", None),
        ("41", None),
        ("", None),
    ],
)
def test_the_place_to_hook(code: str, place: int | None) -> None:
    assert cheap(bytes.fromhex(code)) == place
