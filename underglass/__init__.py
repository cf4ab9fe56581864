"""underglass: see what AI agents really do, without touching them.

An installed wheel keeps the sibling packages under `underglass/_app`, so that site-packages
gains a single name; this puts them on the import path. In a source tree they are top-level
already.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

_app = Path(__file__).with_name("_app")
if _app.is_dir() and str(_app) not in sys.path:
    sys.path.insert(0, str(_app))
