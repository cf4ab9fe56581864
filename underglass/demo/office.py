"""The bundled recording: five agents at work for half a minute.

`packaging/demo_recording.py` made it under real probes; `underglass demo --replay` shows it.
"""

from pathlib import Path

RECORDING = Path(__file__).with_name("office.rec")
SALT = b"underglass: the bundled recording"[:32]
"""With which fingerprints of the content of files were made, so that leaks are found again."""
