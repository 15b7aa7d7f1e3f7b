"""How many voxels each id of a volume of ids has, remembered from one time to the next.

A small JSON file for each volume in the state folder. It counts only while the files of the volume are the
ones that were looked at. A memory that cannot be read or written is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from cellmap_tui.challenge.sidecar import write_text
from cellmap_tui.services.content_cache import array_key

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.target_labels import Labels

FOLDER = "id-counts"
VERSION = 1


def known_id_counts(labels: Labels, state_dir: Path | None, report: Reporter) -> dict[int, int]:
    """Return the voxels of each id of a crop's volume of ids, 0 and unknown left out; empty where there is none.

    Parameters
    ----------
    labels
        What is known of the crop.
    state_dir
        Where counts are remembered; None: nowhere.
    report
        Asked between slabs whether to stop.

    Raises
    ------
    DataError
        If the volume is broken or holds no labels.
    """
    if labels.ids is None:
        return {}
    path = labels.ids.path
    if state_dir is None or not path.is_dir():
        return labels.id_counts(report.checkpoint)
    file = state_dir / FOLDER / f"{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]}.json"
    key = f"{array_key(path)} {labels.ids.unknown_value}"
    known = _read(file, key)
    counts = labels.id_counts(report.checkpoint, known)
    if known is None:
        _write(file, key, counts)
    return counts


def _read(file: Path, key: str) -> dict[int, int] | None:
    try:
        found = json.loads(file.read_bytes())
        if found["version"] != VERSION or found["key"] != key:
            return None
        return {int(number): int(voxels) for number, voxels in found["counts"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _write(file: Path, key: str, counts: dict[int, int]) -> None:
    text = json.dumps({"version": VERSION, "key": key, "counts": counts}, separators=(",", ":"))
    with contextlib.suppress(OSError):  # counted again the next time
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
