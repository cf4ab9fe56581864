"""Images, sound and files in messages: what they are and how big, in place of their bytes.

In: a block of a message, in any provider's shape. Out: `image/png, 12 KB`. Pure.
"""

from __future__ import annotations

from typing import Any

_DATA_URL = "data:"
_LEAST_CHARS = 64
# Keys whose object holds the data, or which hold a data URL themselves.
_HOLDERS = (
    *("source", "inlineData", "inline_data", "image_url", "input_audio", "file", "file_data"),
    *("image", "document", "video", "audio"),
)
_DATA = ("data", "bytes", "file_data", "url", "b64_json")
_TYPES = ("media_type", "mimeType", "mime_type", "format", "filename")
_MAX_DEPTH = 3


def media_of(block: dict[str, Any]) -> str | None:
    """What encoded data a block holds; None when it holds none."""
    found = _encoded(block, 0)
    if found is None:
        return None
    kind, data = found
    if data.startswith(_DATA_URL):
        head, _, data = data[len(_DATA_URL) :].partition(",")
        kind = head.partition(";")[0] or kind
    said = str(block.get("type", "")).removeprefix("input_").removesuffix("_url")
    kind = kind or said or next(iter(block))
    if "/" not in kind and said not in ("", kind):
        kind = f"{said} {kind}"
    return f"{kind[:80]}, {size_text(len(data) * 3 // 4)}"


def size_text(size_bytes: int) -> str:
    """`12 KB`."""
    for unit, size in (("MB", 10**6), ("KB", 10**3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.{0 if size_bytes >= 10 * size else 1}f} {unit}"
    return f"{size_bytes} bytes"


def _encoded(value: dict[str, Any], depth: int) -> tuple[str, str] | None:
    """The type, as far as it is told, and the text of the data."""
    kind = next((value[key] for key in _TYPES if isinstance(value.get(key), str)), "")
    for key in (*_DATA, *_HOLDERS):
        held = value.get(key)
        if isinstance(held, str) and _is_data(held, key):
            return kind, held
        if isinstance(held, dict) and depth < _MAX_DEPTH and key in _HOLDERS:
            found = _encoded(held, depth + 1)
            if found is not None:
                return found[0] or kind, found[1]
    return None


def _is_data(text: str, key: str) -> bool:
    if text.startswith(_DATA_URL):
        return True
    if key not in ("data", "bytes", "file_data", "b64_json") or len(text) < _LEAST_CHARS:
        return False
    sample = text[:256]
    return all(c.isascii() and (c.isalnum() or c in "+/=-_\r\n") for c in sample)
