"""The phones' real acts and their moments: the truth against which call records are held."""

from __future__ import annotations

import json
import sys
import time


def tell(do: str, **details: object) -> None:
    """Print one truth line. Called at the moment the act takes effect."""
    line = {"t": round(time.time(), 3), "do": do, **details}
    # One write: phones in processes of their own share this stdout.
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()
