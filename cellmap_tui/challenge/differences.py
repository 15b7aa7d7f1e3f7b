"""What changed between two crop tables, in figures and in words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.crop_table import format_crop_table
from cellmap_tui.text import triple, voxel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Crop, Split


@dataclass(frozen=True, slots=True)
class CropChange:
    """A crop that both tables have and that differs."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    what: str
    """What differs, in words."""


@dataclass(frozen=True, slots=True)
class CatalogDiff:
    """What a new table changes."""

    crops_added: tuple[str, ...]
    """Crops that only the new table has."""
    crops_removed: tuple[str, ...]
    """Crops that only the old table has."""
    crops_changed: tuple[CropChange, ...]
    """Crops that differ."""
    annotations_before: int
    """Training crops times their classes, in the old table."""
    annotations_after: int
    """The same in the new table."""
    test_volumes_before: int
    """Test crops times their scored classes, in the old table."""
    test_volumes_after: int
    """The same in the new table."""

    @property
    def is_empty(self) -> bool:
        """Whether both tables say the same."""
        return not (self.crops_added or self.crops_removed or self.crops_changed)


def diff_crops(old: Iterable[Crop], new: Iterable[Crop]) -> CatalogDiff:
    """Compare two tables."""
    before = {crop.ref: crop for crop in old}
    after = {crop.ref: crop for crop in new}
    both = [(before[ref], after[ref]) for ref in after if ref in before]
    changed = ((a.ref, _words(a, b)) for a, b in both)
    return CatalogDiff(
        crops_added=tuple(ref for ref in after if ref not in before),
        crops_removed=tuple(ref for ref in before if ref not in after),
        crops_changed=tuple(CropChange(ref, what) for ref, what in changed if what),
        annotations_before=_volumes(before.values(), "train"),
        annotations_after=_volumes(after.values(), "train"),
        test_volumes_before=_volumes(before.values(), "test"),
        test_volumes_after=_volumes(after.values(), "test"),
    )


def crops_sha256(crops: Iterable[Crop]) -> str:
    """Return a hash of what a table says, the same whatever order and origin it has."""
    ordered = sorted(crops, key=lambda crop: (crop.dataset, crop.id))
    return hashlib.sha256(format_crop_table(ordered).encode()).hexdigest()


def _volumes(crops: Iterable[Crop], split: Split) -> int:
    return sum(len(crop.classes) for crop in crops if crop.split == split)


def _words(old: Crop, new: Crop) -> str:
    """Return what differs between two states of a crop; empty when nothing does."""
    signed = [("+", set(new.classes) - set(old.classes)), ("−", set(old.classes) - set(new.classes))]
    classes = [f"{sign}{name}" for sign, names in signed for name in sorted(names)]
    pairs = (
        ("split", old.split, new.split),
        ("alignment", old.alignment, new.alignment),
        ("EM", old.em_name, new.em_name),
        ("voxel size nm", voxel(old.grid.voxel_size_nm), voxel(new.grid.voxel_size_nm)),
        ("translation nm", triple(old.grid.translation_nm, ", "), triple(new.grid.translation_nm, ", ")),
        ("shape", triple(old.grid.shape), triple(new.grid.shape)),
    )
    parts = [f"classes {' '.join(classes)}"] if classes else []
    parts += [f"{name} {before} → {after}" for name, before, after in pairs if before != after]
    kept = set(old.classes) & set(new.classes)
    if not parts and any(old.grid_of(name) != new.grid_of(name) for name in kept):
        parts.append("geometry of single classes")
    return "; ".join(parts)
