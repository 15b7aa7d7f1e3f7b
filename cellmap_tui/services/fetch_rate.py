"""How fast a bucket answered last time, so that a plan can say how long it takes."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.fetch_model import Amount

FILE = "rates.json"
_MOST_PLACES = 20
_LEAST_S = 1.0
_LEAST_OBJECTS = 50  # less tells of the start, not of the link


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured."""

    objects_per_s: float
    """Objects a second."""
    bytes_per_s: float
    """Bytes a second."""

    def seconds(self, amount: Amount) -> float:
        """Return how long an amount takes: many small objects go by their number, large ones by their bytes."""
        return max(amount.objects / self.objects_per_s, amount.bytes / self.bytes_per_s)


def read_rate(state_dir: Path | None, address: str) -> Rate | None:
    """Return the rate measured last with a bucket; None where it is not known."""
    try:
        found = _read(state_dir)[address]
        rate = Rate(float(found["objects_per_s"]), float(found["bytes_per_s"]))
    except (KeyError, TypeError, ValueError):
        return None
    return rate if rate.objects_per_s > 0 and rate.bytes_per_s > 0 else None


def save_rate(state_dir: Path | None, address: str, fetched: Amount, seconds: float) -> None:
    """Remember what a fetch measured; too little to tell, or a folder that cannot be written, changes nothing."""
    if state_dir is None or seconds < _LEAST_S or fetched.objects < _LEAST_OBJECTS:
        return
    rates = {name: value for name, value in _read(state_dir).items() if name != address}
    rates[address] = {
        "objects_per_s": round(fetched.objects / seconds, 3),
        "bytes_per_s": round(fetched.bytes / seconds, 1),
        "time": round(time.time()),
    }
    path = state_dir / FILE
    temporary = path.with_name(f"{FILE}.{os.getpid()}.tmp")
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(dict(list(rates.items())[-_MOST_PLACES:]), indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return  # an estimate is not worth an error


def _read(state_dir: Path | None) -> dict[str, Any]:
    if state_dir is None:
        return {}
    try:
        value = json.loads((state_dir / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
