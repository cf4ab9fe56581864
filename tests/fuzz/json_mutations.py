"""Changes of JSON that keep it JSON: a parser takes few of the texts that changes of bytes make.

In: an input whose data is JSON, or lines of it (events, JSON lines, arrays an element a line). Out:
the same with one to three values of it changed, dropped, repeated or put in another's place.
"""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzz.steps import packed, parsed

_BEGINNINGS = (b"", b"data: ", b"data:", b"\x1e", b"[", b",", b"  ")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63), 0.5, -0.0, 1e300),
    *("", " ", "x", "0", "[DONE]", "text", "tool", "function", "\u0000", "\U0001f600", "é" * 40),
    *([], {}, [None], [[]], [{}], {"": None}, {"type": "text"}, ["a", 1, {"text": "b"}]),
)


def mutated(raw: bytes, random: Random) -> bytes | None:
    """The input changed; None when there is no JSON in it."""
    source = parsed(raw)
    whole = _loaded(source.data)
    if whole is not None:
        data = _dumped(_changed(whole[0], random))
        return packed(data, source.choices)
    lines = source.data.split(b"\n")
    places = [place for place in range(len(lines)) if len(lines[place]) > 1]
    random.shuffle(places)
    for place in places[:8]:
        line = lines[place].removesuffix(b"\r")
        begin = next((one for one in reversed(_BEGINNINGS) if line.startswith(one)), b"")
        loaded = _loaded(line[len(begin) :].removesuffix(b","))
        if loaded is not None:
            action = random.randrange(6)
            if action == 0:
                lines.insert(random.randrange(len(lines)), lines[place])
            elif action == 1:
                del lines[place]
            else:
                comma = b"," if line.endswith(b",") else b""
                lines[place] = begin + _dumped(_changed(loaded[0], random)) + comma
            return packed(b"\n".join(lines), source.choices)
    return None


def _loaded(text: bytes) -> tuple[Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (value,) if isinstance(value, dict | list) and value else None


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _changed(document: Any, random: Random) -> Any:
    for _ in range(random.randint(1, 3)):
        places: list[tuple[Any, Any]] = []
        _collect(document, places)
        if not places:
            break
        holder, key = random.choice(places)
        action = random.randrange(10)
        if action < 5:
            holder[key] = deepcopy(random.choice(_VALUES))
        elif action < 7:
            other, other_key = random.choice(places)
            holder[key] = deepcopy(other[other_key])
        elif action == 7:
            del holder[key]
        elif action == 8:
            holder[key] = [holder[key]] if random.random() < 0.5 else {"a": holder[key]}
        elif isinstance(holder, list):
            holder.insert(key, deepcopy(holder[key]))
        else:
            other, other_key = random.choice(places)
            holder[other_key if isinstance(other_key, str) else key] = deepcopy(holder[key])
    return document


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    """All places of a value: (object or array, key or index)."""
    for key in value if isinstance(value, dict) else range(len(value)):
        places.append((value, key))
        if isinstance(value[key], dict | list):
            _collect(value[key], places)
