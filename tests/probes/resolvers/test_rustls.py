"""rustls by its method tables: on small files built here, and on wheels."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from probes.elf import ElfFile
from probes.hooks import StackPlan
from probes.resolvers import rustls
from probes.resolvers.pointers import Pointers
from tests.probes.resolvers.wheels import extension, stripped, symbols

CODE, DATA = 0x1000, 0x4000
PUSH, RET = b"\x53", b"\x5b\xc3"
PAYLOAD_LENGTH = b"\x48\x8d\x46%c\xc3"
FRAMED_PAYLOAD_LENGTH = b"\x55\x48\x89\xe5\x48\x8d\x46%c\x5d\xc3"
READS_CHUNKS = PUSH + b"\x48\x83\x3a\x00" + RET  # cmp qword [rdx], 0
READS_SLICE = PUSH + b"\x48\x8b\x42\x08" + RET  # mov rax, [rdx+8]
DECRYPT = PUSH + b"\x48\x8b\x42\x08" + RET
METHODS = ("16MessageEncrypter7encrypt", "16MessageDecrypter7decrypt")  # mangled
PANIC_PATH = b"/registry/rustls-0.23.46/src/conn.rs\0/registry/ring-0.17.14/src/aead.rs\0"


@dataclass
class Image:
    """A file with one part for strings, one for code and one for tables, loaded where they lie."""

    text: bytes = PANIC_PATH
    relocated: bool = True
    code: bytearray = field(default_factory=bytearray)
    words: list[int] = field(default_factory=list)
    pointers: set[int] = field(default_factory=set)

    def function(self, code: bytes) -> int:
        """Append a function; its address."""
        self.code += b"\xcc" * (-len(self.code) % 16)
        self.code += code
        return CODE + len(self.code) - len(code)

    def mentions(self, *tables: int) -> int:
        """A function that loads the addresses of tables: lea rdx, [rip+d32]."""
        at = self.function(PUSH)
        for table in tables:
            end = CODE + len(self.code) + 7
            self.code += b"\x48\x8d\x15" + struct.pack("<i", table - end)
        self.code += RET
        return at

    def forwards(self, target: int, before: bytes = b"\x48\x8b\x3f") -> int:
        """A function that only jumps to another."""
        at = self.function(before)
        self.code += b"\xe9" + struct.pack("<i", target - (CODE + len(self.code) + 5))
        return at

    def table(self, size: int, *methods: int, alignment: int = 16) -> int:
        """A method table without a drop function; its address."""
        at = DATA + 8 * len(self.words)
        self.words += [0, size, alignment, *methods]
        self.pointers.update(range(at + 24, at + 24 + 8 * len(methods), 8))
        return at

    def cipher(
        self,
        growth: int,
        *,
        length: bytes = PAYLOAD_LENGTH,
        encrypt: bytes = READS_CHUNKS,
        forward: bytes | None = b"\x48\x8b\x3f",
        decrypters: int = 1,
    ) -> tuple[int, int]:
        """Both directions of a cipher with its factory; addresses of encrypt and decrypt."""
        encrypts = self.function(encrypt)
        decrypts = [self.function(DECRYPT) for _ in range(max(decrypters, 1))]
        encrypter_table = self.table(560, encrypts, self.function(length % growth))
        decrypter_tables = [self.table(560, one) for one in decrypts[:decrypters]]
        makers = [self.mentions(encrypter_table), self.mentions(*decrypter_tables)]
        if forward is not None:
            makers = [self.forwards(one, forward) for one in makers]
        self.table(8, *makers, self.function(PUSH + RET), alignment=8)
        return encrypts, decrypts[0]

    def write(self, path: Path) -> Path:
        """Lay the file out: headers and strings, code, data with its relocations."""
        entries, words = [], list(self.words)
        for address in sorted(self.pointers if self.relocated else ()):
            index = (address - DATA) // 8
            entries.append(struct.pack("<QQQ", address, 8, words[index]))
            words[index] = 0
        relocations = b"".join(entries)
        constants_at = 64 + 4 * 56
        strings_at = constants_at + len(relocations)
        dynamic = struct.pack("<6Q", 7, constants_at, 8, len(relocations), 0, 0)
        constants = relocations + self.text
        data = struct.pack(f"<{len(words)}Q", *words) + dynamic
        dynamic_at = DATA + 8 * len(words)
        assert strings_at + len(self.text) <= CODE
        assert CODE + len(self.code) <= DATA
        header = b"\x7fELF\x02\x01\x01" + bytes(9)
        header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
        for kind, flags, at, size in (
            (1, 4, 0, constants_at + len(constants)),
            (1, 5, CODE, len(self.code)),
            (1, 6, DATA, len(data)),
            (2, 6, dynamic_at, len(dynamic)),
        ):
            header += struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 8)
        image = bytearray(DATA) + data
        image[: len(header) + len(constants)] = header + constants
        image[CODE : CODE + len(self.code)] = self.code
        path.write_bytes(image)
        return path


def find(image: Image, tmp_path: Path) -> StackPlan:
    with ElfFile(str(image.write(tmp_path / "image"))) as elf:
        plan = rustls.find(elf)
    assert plan is not None
    return plan


def places(plan: StackPlan) -> set[tuple[int, str, bool]]:
    return {(one.offset, one.program, one.at_return) for one in plan.hooks}


def of_tls13(encrypt: int, decrypt: int) -> set[tuple[int, str, bool]]:
    return {
        (encrypt, "rustls_seal_enter", False),
        (decrypt, "rustls_open_enter", False),
        (decrypt, "rustls_open_return", True),
    }


def of_tls12(encrypt: int, decrypt: int) -> set[tuple[int, str, bool]]:
    return {
        (encrypt, "rustls12_seal_enter", False),
        (decrypt, "rustls_open_enter", False),
        (decrypt, "rustls12_open_return", True),
    }


@pytest.mark.parametrize("relocated", [True, False])
def test_ciphers_of_both_versions_are_told_apart(tmp_path: Path, relocated: bool) -> None:
    image = Image(relocated=relocated)
    tls13 = image.cipher(17)
    chacha = image.cipher(16, forward=None)
    gcm = image.cipher(24, forward=None)
    plan = find(image, tmp_path)
    assert places(plan) == of_tls13(*tls13) | of_tls12(*chacha) | of_tls12(*gcm)
    assert plan.method == "rustls"
    assert plan.detail == "record encryption of ring 0.17.14, rustls 0.23.46"


@pytest.mark.parametrize(
    "forward", [None, b"", b"\x48\x8b\x3f", b"\x55\x48\x89\xe5\x48\x8b\x3f\x5d"]
)
def test_factories_may_forward_to_what_makes_the_objects(
    tmp_path: Path, forward: bytes | None
) -> None:
    image = Image()
    tls13 = image.cipher(17, forward=forward)
    assert places(find(image, tmp_path)) == of_tls13(*tls13)


def test_code_with_frame_pointers(tmp_path: Path) -> None:
    image = Image()
    tls13 = image.cipher(17, length=FRAMED_PAYLOAD_LENGTH)
    assert places(find(image, tmp_path)) == of_tls13(*tls13)


def test_two_providers_in_one_file(tmp_path: Path) -> None:
    image = Image()
    ring, aws_lc = image.cipher(17), image.cipher(17)
    assert places(find(image, tmp_path)) == of_tls13(*ring) | of_tls13(*aws_lc)


@pytest.mark.parametrize("decrypters", [0, 2])
def test_an_uncertain_decrypter_is_not_hooked(tmp_path: Path, decrypters: int) -> None:
    image = Image()
    image.cipher(17, decrypters=decrypters)
    image.cipher(16)
    plan = find(image, tmp_path)
    assert places(plan) == set()
    assert "decrypters of TLS 1.3 are not certain" in plan.detail


def test_an_uncertain_cipher_beside_a_certain_one_is_said(tmp_path: Path) -> None:
    image = Image()
    certain = image.cipher(17)
    image.cipher(24, decrypters=2)
    plan = find(image, tmp_path)
    assert places(plan) == of_tls13(*certain)
    assert plan.detail.endswith("1 ciphers are not hooked")


def test_messages_of_another_layout_are_not_hooked(tmp_path: Path) -> None:
    image = Image()
    image.cipher(17, encrypt=READS_SLICE)
    plan = find(image, tmp_path)
    assert places(plan) == set()
    assert "another layout" in plan.detail


@pytest.mark.parametrize("version", [b"0.21.12", b"0.22.4", b"0.24.0"])
def test_other_releases_are_named_and_not_hooked(tmp_path: Path, version: bytes) -> None:
    image = Image(text=PANIC_PATH.replace(b"0.23.46", version))
    image.cipher(17)
    plan = find(image, tmp_path)
    assert places(plan) == set()
    assert plan.detail.startswith(f"ring 0.17.14, rustls {version.decode()}:")


def test_an_older_release_beside_a_known_one_is_said(tmp_path: Path) -> None:
    image = Image(text=PANIC_PATH + b"/registry/rustls-0.21.12/src/conn.rs\0")
    tls13 = image.cipher(17)
    plan = find(image, tmp_path)
    assert places(plan) == of_tls13(*tls13)
    assert plan.detail.endswith("; rustls 0.21.12 is not hooked")


@pytest.mark.parametrize("text", [b"OpenSSL 3.0.17\0", b"build with --features rustls\0"])
def test_a_file_without_rustls_has_no_plan(tmp_path: Path, text: bytes) -> None:
    image = Image(text=text)
    image.function(PUSH + RET)
    with ElfFile(str(image.write(tmp_path / "image"))) as elf:
        assert rustls.find(elf) is None


@pytest.mark.parametrize("relocated", [True, False])
def test_pointers_are_those_of_the_loaded_file(tmp_path: Path, relocated: bool) -> None:
    image = Image(relocated=relocated)
    function = image.function(PUSH + RET)
    table = image.table(8, function, alignment=8)
    with ElfFile(str(image.write(tmp_path / "image"))) as elf:
        pointers = Pointers(elf)
        assert [pointers.word(table + 8 * at) for at in range(4)] == [0, 8, 8, function]
        assert pointers.holders(function) == [table + 24]
        assert pointers.is_code(function)
        assert not pointers.is_code(table)
        assert pointers.nearest_code(function + 1, 16) == function
        assert pointers.nearest_code(function + 1, 16, known=function + 1) == function + 1
        assert pointers.nearest_code(function + 100, 16) is None
        assert pointers.word(0x100_0000) is None


WHEELS = [
    ("baseten_performance_client", "baseten_performance_client*.so"),  # ring
    ("hf_xet", "hf_xet*.so"),  # aws-lc, optimised for size
    ("obstore", "_obstore*.so"),  # aws-lc
]


@pytest.mark.parametrize(("package", "pattern"), WHEELS)
def test_what_a_stripped_file_yields_is_what_its_symbols_say(
    tmp_path: Path, package: str, pattern: str
) -> None:
    original = extension(package, pattern)
    expected: dict[int, str] = {}
    for name, address in symbols(original).items():
        if name.endswith(METHODS) and "Invalid" not in name:
            expected[address] = name
    with ElfFile(str(stripped(original, tmp_path))) as elf:
        plan = rustls.find(elf)
        assert plan is not None
        hooked = {elf.address_of(hook.offset): hook.program for hook in plan.hooks}
    assert hooked.keys() == expected.keys()
    for address, name in expected.items():
        program = "open" if name.endswith("decrypt") else "seal"
        version = "rustls12" if "5tls12" in name else "rustls"
        assert hooked[address].startswith(f"{version}_{program}")


def test_a_wheel_without_symbols() -> None:
    """httpr 0.7.8, rustls on ring: the offsets were compared with captured bytes."""
    with ElfFile(str(extension("httpr", "httpr*.so"))) as elf:
        plan = rustls.find(elf)
    assert plan is not None
    assert plan.detail == "record encryption of ring 0.17.14, rustls 0.23.46"
    assert places(plan) == (
        of_tls13(0x3E59F0, 0x3E5640) | of_tls12(0x3E3510, 0x3E3220) | of_tls12(0x3E4FE0, 0x3E4D70)
    )


def test_a_file_on_openssl_has_no_plan() -> None:
    with ElfFile(str(extension("cryptography", "_rust*.so"))) as elf:
        assert rustls.find(elf) is None
