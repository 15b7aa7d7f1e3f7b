"""Where a submission comes from, as it stands in the zip: hashes, no times and no paths.

The same input has to give the same bytes, on any day and in any folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, MissingDataError
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.services.pack_model import PackRequest
    from cellmap_tui.services.pack_volume import VolumeJob

PROVENANCE_KEYS = ("cellmap_tui", "provenance")
"""Attributes of a prediction that say what made it; copied as they are."""
_MOST_BYTES = 64 * 2**10


def provenance(request: PackRequest, jobs: Sequence[VolumeJob]) -> dict[str, Any]:
    """Return what stands in the ``.zattrs`` at the top of the zip, under ``cellmap_tui``.

    Raises
    ------
    MissingDataError
        If a checkpoint or configuration cannot be read.
    """
    found: dict[str, Any] = {
        "version": __version__,
        "manifest_sha256": manifest_hash(jobs),
        "checkpoints": [_hashed(path) for path in request.checkpoints],
        "configs": [_hashed(path) for path in request.configs],
        "filled": sorted(job.name for job in jobs if job.place is None),
    }
    if request.threshold is not None:
        found["threshold"] = request.threshold
    made_by = _made_by(jobs)
    if made_by:
        found["predictions"] = made_by
    return found


def manifest_hash(jobs: Iterable[VolumeJob]) -> str:
    """Return the hash of the volumes that are in the zip, with their grids."""
    rows = [(job.annotation.crop.ref, job.annotation.class_name, *astuple(job.grid)) for job in jobs]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    MissingDataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingDataError(f"{path} cannot be read: {error.strerror}", "name an existing file") from None


def _hashed(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": file_hash(path)}


def _made_by(jobs: Sequence[VolumeJob]) -> list[dict[str, Any]]:
    """Return what predictions say of themselves, each once, with the volumes that say it."""
    volumes: dict[str, list[str]] = {}
    for job in jobs:
        said = _said(job)
        if said:
            volumes.setdefault(json.dumps(said, sort_keys=True), []).append(job.name)
    return [{"volumes": sorted(names), **json.loads(text)} for text, names in sorted(volumes.items())]


def _said(job: VolumeJob) -> dict[str, Any]:
    from cellmap_tui.scoring.stored import read_node
    from cellmap_tui.scoring.stores import join, open_store

    if job.place is None or job.place.stack is not None:
        return {}
    try:
        node = read_node(open_store(job.place.store), join(job.place.key, ".zattrs"))
    except CellmapError:
        return {}
    values = node.value if node is not None else None
    if not isinstance(values, dict):
        return {}
    said = {name: values[name] for name in PROVENANCE_KEYS if name in values}
    return said if len(json.dumps(said)) <= _MOST_BYTES else {}
