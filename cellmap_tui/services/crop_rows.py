"""A crop as a row of a table: the catalog's facts, what is on disk, and whether it is set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.crops import Source, Split  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.presence import Presence


@dataclass(frozen=True, slots=True)
class CropRow:
    """One crop, as a row of a table."""

    crop: int
    """Crop number."""
    dataset: str
    """Dataset."""
    split: Split
    """Training or test."""
    classes: tuple[str, ...]
    """Annotated (test: scored) classes."""
    voxel_size_nm: Vec3
    """Voxel size of the labels, z, y, x."""
    shape: Shape3
    """Voxels of the labels, z, y, x."""
    local: bool
    """Whether any data of the crop are on disk."""
    translation_nm: Vec3
    """Centre of the first voxel in the world, z, y, x."""
    local_share: float
    """Share of the crop on disk, 0 to 1."""
    source: Source
    """Where the crop is known from."""
    excluded: str | None
    """Reason why the user set it aside; None: not set aside."""
    ref: str
    """The crop, as ``dataset/crop234``."""


def crop_rows(crops: Iterable[Crop], presence: Presence) -> tuple[CropRow, ...]:
    """Return a row per crop."""
    return tuple(
        CropRow(
            crop=crop.id,
            dataset=crop.dataset,
            split=crop.split,
            classes=crop.classes,
            voxel_size_nm=crop.grid.voxel_size_nm,
            shape=crop.grid.shape,
            local=presence.is_local(crop),
            translation_nm=crop.grid.translation_nm,
            local_share=round(presence.share(crop), 4),
            source=crop.source,
            excluded=presence.reason(crop),
            ref=crop.ref,
        )
        for crop in crops
    )
