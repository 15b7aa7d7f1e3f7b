"""Ids that occur in the crops of a mapping and belong to no target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.id_counts import known_id_counts
from cellmap_tui.services.map_labels_model import UnmappedId
from cellmap_tui.services.map_labels_words import unmapped_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.services.map_labels_sources import Place
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.target_labels import Labels


class UnmappedIds:
    """Ids that occur in the crops and belong to no target."""

    def __init__(self, targets: Targets, state_dir: Path | None) -> None:
        self._state_dir = state_dir
        self._names = (*targets.classes, *targets.ignored)
        self._voxels: dict[int, int | None] = {}
        self._names_of: dict[int, str | None] = {}
        self._crops: dict[int, list[str]] = {}

    def add(self, place: Place, labels: Labels, report: Reporter) -> None:
        """Take a crop into account: the ids of its volume, or else its classes."""
        meaning = place.meaning
        parts: set[int] = set()
        for name in self._names:
            parts |= meaning.parts(name) if meaning.knows(name) else set()
        counts: dict[int, int | None] = dict(known_id_counts(labels, self._state_dir, report))
        if labels.ids is None:
            infos = [meaning.table.named(name) for name in place.annotated or ()]
            counts = {info.id: None for info in infos if info is not None and not info.is_group}
        for number, voxels in counts.items():
            if meaning.parts_of(number) <= parts:
                continue
            before = self._voxels.get(number, 0)
            self._voxels[number] = None if voxels is None or before is None else before + voxels
            self._names_of[number] = meaning.name_of(number)
            self._crops.setdefault(number, []).append(place.ref)

    def result(self) -> tuple[UnmappedId, ...]:
        """Return the ids, those with most voxels first."""
        rows = [UnmappedId(i, self._names_of[i], n, tuple(self._crops[i])) for i, n in self._voxels.items()]
        return tuple(sorted(rows, key=lambda row: (row.name is not None, -(row.voxels or 0), row.id)))

    def words(self, rows: tuple[UnmappedId, ...]) -> list[str]:
        """Return warnings about them."""
        return unmapped_warnings(rows)
