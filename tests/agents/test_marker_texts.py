"""Marker texts against the programs of real agents: what `seen` says is there."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.agents.agents import AGENTS_DIR
from tests.conftest import ROOT

CLIENTS = {
    "claude-code": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini-cli": "@google/gemini-cli",
    "opencode": "opencode-ai",
    "cline": "cline",
    "qwen-code": "@qwen-code/qwen-code",
    "grok-cli": "@vibe-kit/grok-cli",
}
PROGRAM_BYTES = 3_000_000  # a native program; below that only scripts are looked into
MIN_PART = 6  # characters of a text between wildcards
SCRIPTS = (".js", ".mjs", ".cjs")


def seen() -> list[tuple[str, str, str]]:
    """(client, version, text) of every marker that says where it was seen."""
    import tomllib

    document: dict[str, Any] = tomllib.loads((ROOT / "analysis" / "markers.toml").read_text())
    return [
        (entry["client"], entry["seen"], text)
        for entry in document["marker"]
        for text in entry["text"]
        if "seen" in entry
    ]


@cache
def installed() -> dict[tuple[str, str], Path]:
    """node_modules of each installed release of a client."""
    found = {}
    for client, package in CLIENTS.items():
        for manifest in AGENTS_DIR.glob(f"*/node_modules/{package}/package.json"):
            modules = manifest.parents[package.count("/") + 1]
            found[client, json.loads(manifest.read_text())["version"]] = modules
    return found


def programs(modules: Path) -> Iterator[Path]:
    """Files that may hold a client's texts, native programs first, without node itself."""
    files = [
        (path, path.stat().st_size)
        for path in modules.rglob("*")
        if path.is_file() and not path.is_symlink() and "/node/" not in str(path)
    ]
    for path, size in sorted(files, key=lambda file: -file[1]):
        if size and (size > PROGRAM_BYTES or path.suffix in SCRIPTS):
            yield path


def missing(modules: Path, parts: set[bytes]) -> set[bytes]:
    """Those that no program holds; in scripts a quote may be escaped."""
    left = set(parts)
    for path in programs(modules):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            left = {
                part
                for part in left
                if data.find(part) < 0 and data.find(re.sub(rb"(['\"`])", rb"\\\1", part)) < 0
            }
        if not left:
            break
    return left


@pytest.mark.parametrize(("client", "version"), sorted({(c, v) for c, v, _ in seen()}))
def test_texts_are_in_the_release_that_says_them(client: str, version: str) -> None:
    modules = installed().get((client, version))
    if modules is None:
        pytest.skip(f"{client} {version} is not in {AGENTS_DIR}")
    parts = {
        part.strip().encode()
        for one, other, text in seen()
        if (one, other) == (client, version)
        for part in text.split("*")
        if len(part.strip()) >= MIN_PART
    }
    assert parts
    assert missing(modules, parts) == set()


def test_the_check_finds_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "cli.js").write_text("say('The user doesn\\'t want this')")
    parts = {b"The user doesn't want this", b"never said"}
    assert missing(tmp_path, parts) == {b"never said"}


def test_every_client_with_a_version_can_be_looked_into() -> None:
    assert {client for client, _, _ in seen()} <= set(CLIENTS)
