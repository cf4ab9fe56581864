"""Small programs, compiled for a test."""

from __future__ import annotations

import subprocess
from pathlib import Path


def library(folder: Path, source: str, *options: str) -> Path:
    """A shared object of this C source."""
    return compiled(folder, source, "-shared", "-fPIC", *options)


def compiled(folder: Path, source: str, *options: str) -> Path:
    """What GCC makes of this C source with these options, at -O2 unless told otherwise."""
    text, out = folder / "source.c", folder / "compiled"
    text.write_text(source)
    subprocess.run(["gcc", "-O2", "-o", out, text, *options], check=True)
    return out
