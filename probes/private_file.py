"""Files that only their owner may read and write, and that count only as long as that is so.

In: paths. Out: contents. What a privileged process believes must not be written by anybody else.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER_VARIABLE = "UNDERGLASS_CACHE_DIR"
DEFAULT_FOLDER = Path("/var/cache/underglass")
LARGEST_BYTES = 64 << 20


def cache_folder() -> Path:
    """Where what was found out is kept."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def refused(status: os.stat_result, what: str) -> str:
    """Why a folder or file is not to be believed; empty when it is."""
    if status.st_uid != os.geteuid():
        return f"the cache's {what} belongs to another user"
    if status.st_mode & 0o077:
        return f"the cache's {what} is open to other users"
    return ""


class Unbelievable(Exception):
    """A file is not there, or not ours alone; the text says why."""


def read_private(path: Path) -> bytes:
    """The content of a file. Raises Unbelievable."""
    try:
        if reason := refused(os.stat(path.parent, follow_symlinks=False), "folder"):
            raise Unbelievable(reason)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Unbelievable("no cache yet") from error
    except OSError as error:
        raise Unbelievable(f"{path}: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if reason := refused(status, "file"):
            raise Unbelievable(reason)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
            raise Unbelievable(f"{path} is no file of this cache")
        return file.read()


def write_private(path: Path, content: bytes) -> str:
    """Replace a file at once or not at all; says why not, empty when done."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if reason := refused(os.stat(folder, follow_symlinks=False), "folder"):
            return reason
        descriptor, written = tempfile.mkstemp(prefix=path.name, dir=folder)  # mode 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(written, path)
        except OSError:
            with suppress(OSError):
                os.unlink(written)
            raise
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
