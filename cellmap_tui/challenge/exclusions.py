"""Crops that the user set aside, with a reason, remembered beside the data.

A split honours them; listing and fetching do not.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.challenge.sidecar import change_sidecar, read_sidecar
from cellmap_tui.errors import DataError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop

FILE = "excluded.json"
_KEY = "excluded"
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A crop that is set aside."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    reason: str
    """Why, in the user's words."""
    time_s: float
    """When, in Unix seconds."""


def read_exclusions(data_root: Path) -> dict[str, Exclusion]:
    """Return the crops that are set aside, by ``dataset/crop``.

    Raises
    ------
    DataError
        If the file is damaged; names it.
    """
    rows = read_sidecar(data_root, FILE, _KEY)
    found = (_parsed(row, data_root) for row in rows)
    return {exclusion.ref: exclusion for exclusion in found}


def exclude(data_root: Path, crop: Crop, reason: str) -> Exclusion:
    """Set a crop aside; a crop that is already set aside gets the new reason.

    Raises
    ------
    RequestError
        If the reason is empty or longer than 500 characters.
    """
    words = " ".join(reason.split())
    if not words:
        raise RequestError(f"{crop.ref}: excluding a crop needs a reason", "say why in a few words")
    if len(words) > MAX_REASON:
        raise RequestError(f"{crop.ref}: the reason is longer than {MAX_REASON} characters", "say it in fewer words")
    exclusion = Exclusion(crop.ref, words, time.time())
    change_sidecar(data_root, FILE, _KEY, lambda rows: [*_without(rows, crop.ref), asdict(exclusion)])
    return exclusion


def include(data_root: Path, crop: Crop) -> bool:
    """Take a crop in again; return whether it was set aside."""
    if crop.ref not in read_exclusions(data_root):
        return False
    change_sidecar(data_root, FILE, _KEY, lambda rows: _without(rows, crop.ref))
    return True


def _without(rows: list[Any], ref: str) -> list[Any]:
    return [row for row in rows if not (isinstance(row, dict) and row.get("ref") == ref)]


def _parsed(row: Any, data_root: Path) -> Exclusion:
    match row:
        case {"ref": str(ref), "reason": str(reason), "time_s": int() | float() as when}:
            return Exclusion(ref, reason, float(when))
    path = sidecar_path(data_root, FILE)
    raise DataError(f"{path} is damaged: an entry has no ref, reason and time_s", "correct it or move it away")
