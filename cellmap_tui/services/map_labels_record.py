"""What a mapped group says of its origin, by which a later mapping knows whether to make it again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.import_place import ATTRIBUTE

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.map_labels_model import MapLabelsRequest, MappedVolume, VolumeKind
    from cellmap_tui.services.map_labels_sources import Place
    from cellmap_tui.volumes.target_labels import TargetReader

    Readers = tuple[tuple[Target, TargetReader | None], ...]

RECORD = "map_labels"
"""Key of what a mapped group says of its origin, in the tool's own attributes."""
FORMAT = 1
FIGURES = ("dtype", "unknown_value", "present_voxels", "unknown_voxels", "objects")
"""What the record says of the voxels."""


def volume_key(
    place: Place, readers: Readers, ignored: tuple[str, ...], request: MapLabelsRequest, kind: VolumeKind
) -> str:
    """Return what decides the content of a volume, as a hash."""
    volumes = {volume.name: volume.path for _, r in readers if r is not None for volume in r.volumes}
    words = [None if reader is None else reader.words for _, reader in readers]
    parts = {
        "format": FORMAT,
        "kind": kind,
        "targets": [(t.name, t.classes, t.id if kind == "combined" else None) for t, _ in readers],
        "words": words,
        "ignored": ignored,
        "origin": request.origin,
        "seeds_nm": request.seed_distance_nm if str(words[0]).startswith("watershed") else None,
        "grid": [place.grid.voxel_size_nm, place.grid.translation_nm, place.grid.shape],
        "annotated": sorted(place.annotated) if place.annotated is not None else None,
        "input": [request.input, request.axes, request.unknown_value, request.input_class, dict(request.labels)],
        "prints": {name: place.print_of(path) for name, path in volumes.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def recorded(path: Path) -> dict[str, Any]:
    """Return what a group says of the mapping that wrote it; empty where it says nothing."""
    try:
        attributes = json.loads((path / ".zattrs").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    own = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    record = own.get(RECORD) if isinstance(own, dict) else None
    return record if isinstance(record, dict) else {}


def with_record(volume: MappedVolume, path: Path, record: dict[str, Any]) -> MappedVolume:
    """Return a volume with the figures that its group holds."""
    from cellmap_tui.services.import_write import size_on_disk

    figures = {name: record.get(name) for name in FIGURES}
    return replace(volume, size_bytes=size_on_disk(path), **figures)  # type: ignore[arg-type]
