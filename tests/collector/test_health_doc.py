"""docs/tables.md describes every counter of `health`, and no other."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from collector.health import kernel_key
from collector.http.states import SkipReason
from collector.protocol import NOT_HTTP, SERVER_SIDE
from probes import frames
from probes.events import Source
from tests.conftest import ROOT

STACKS = {source.name.lower() for source in Source} - {"socket", "channel"}
MODULES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "collector").glob("*.py"))}
WEBSOCKETS = tuple(
    ast.parse((ROOT / "collector" / "http" / f"websocket_{name}.py").read_text())
    for name in ("frames", "messages")
)
NO_REASONS = frozenset({"little", "big"})  # byte orders
_REASON = re.compile(r"[a-z]+(_[a-z]+)*")
Counted = tuple[str, str]


def _section() -> str:
    text = (ROOT / "docs" / "tables.md").read_text()
    found = re.search(r"^## health\n(.*?)(?=^## )", text, re.M | re.S)
    assert found
    return found[1]


def _words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def documented() -> dict[Counted, set[str]]:
    """Causes by source and counter."""
    counters: dict[Counted, set[str]] = {}
    rows = re.findall(r"^\| ([^|]+) \| (`\w+`) \| ([^|]*) ?\| [^|]+ \|$", _section(), re.M)
    for sources, counter, causes in rows:
        named = _words(sources) | (STACKS if "*stack*" in sources else set())
        for pair in itertools.product(named, _words(counter)):
            counters.setdefault(pair, set()).update(_words(causes))
    return counters


def documented_reasons() -> set[str]:
    listed = _section().partition("Causes of `undecoded_bytes`")[2]
    return _words(" ".join(re.findall(r"^\| (`[^|]+) \| [^|]+ \|$", listed, re.M)))


def _texts(node: ast.AST, known: dict[str, str]) -> list[str]:
    """Texts that an expression may be, as far as they stand there."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Name) and node.id in known:
        return [known[node.id]]
    if isinstance(node, ast.IfExp):
        return _texts(node.body, known) + _texts(node.orelse, known)
    return []


def _constants(module: ast.Module) -> dict[str, str]:
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            (target,) = node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                found[target.id] = node.value.value
    return found


def _tuples(module: ast.Module) -> Iterator[list[ast.expr]]:
    """What stands where counters are named: keys of three parts, and what is told of one."""
    for node in ast.walk(module):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            if isinstance(node.ctx, ast.Store) and len(node.slice.elts) == 3:
                yield node.slice.elts
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Tuple) and len(key.elts) == 3:
                    yield key.elts
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "HealthRow":
                yield node.args[1:4]
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "_count":
                yield node.args[:3]


def counted() -> dict[Counted, set[str]]:
    """Causes by source and counter, as far as they stand in the code."""
    found: dict[Counted, set[str]] = {}
    for name in frames.COUNTERS:
        key = kernel_key(name)
        assert key is not None, name
        found.setdefault(key[:2], set()).add(key[2])
    for path, module in MODULES.items():
        known = _constants(module)
        for source, counter, cause in _tuples(module):
            for pair in itertools.product(_texts(source, known), _texts(counter, known)):
                found.setdefault(pair, set()).update(_texts(cause, known))
        if path.stem in ("content_sightings", "read_content"):
            for node in ast.walk(module):
                if (
                    isinstance(node, ast.Subscript)
                    and isinstance(node.value, ast.Attribute)
                    and node.value.attr in ("_looks", "counts")
                ):
                    for counter_name in _texts(node.slice, known):
                        found["content", counter_name] = set()
    assert len([pair for pair in found if pair[0] == "content"]) == 7
    return {pair: causes - {""} for pair, causes in found.items()}


def reasons() -> set[str]:
    """Why bytes are counted as undecoded."""
    found = {value for name, value in vars(SkipReason).items() if name.isupper()}
    found |= {NOT_HTTP, SERVER_SIDE}
    for module in MODULES.values():
        known = _constants(module)
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("undecoded", "_undecoded") and node.args:
                    found.update(_texts(node.args[0], known))
            elif isinstance(node, ast.Assign) and "reason" in map(ast.unparse, node.targets):
                found.update(_texts(node.value, known))
    return found | {f"websocket_{reason}" for reason in _of_websockets()}


def _of_websockets() -> set[str]:
    found = set()
    for module in WEBSOCKETS:
        slots = {
            id(inner)
            for node in ast.walk(module)
            if isinstance(node, ast.Assign) and "__slots__" in map(ast.unparse, node.targets)
            for inner in ast.walk(node)
        }
        for node in ast.walk(module):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in slots and _REASON.fullmatch(text):
                found.add(text)
    return found - NO_REASONS


def test_every_counter_is_documented_with_its_causes() -> None:
    told, made = documented(), counted()
    assert set(told) == set(made)
    for pair, causes in made.items():
        assert causes <= told[pair], pair


def test_every_reason_of_undecoded_bytes_is_documented() -> None:
    assert documented_reasons() == reasons()
