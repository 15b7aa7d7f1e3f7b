"""From a pair of crop and class to its slices: where the crop lies on this disk, and which voxel an object is at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.app.widgets.slice_state import Look
from cellmap_tui.errors import CellmapError, MissingDataError

if TYPE_CHECKING:
    from cellmap_tui.app.browsing import Browsed
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.services.settings import Settings


def crops_of(settings: Settings, asked: dict[str, Any]) -> Browsed:
    """Return the catalog of the data root that an evaluation used; called in a thread.

    Raises
    ------
    CellmapError
        If it cannot be read.
    """
    from cellmap_tui.app.browsing import browse

    data_root = asked.get("data_root")
    return browse(replace(settings, data_root=Path(data_root)) if data_root else settings)


def slices_of(browsed: Browsed, crop: str, label: str) -> tuple[CropSlices, Look]:
    """Return the slices of a crop with one class drawn, looked at in its middle.

    Raises
    ------
    MissingDataError
        If the crop is not on this disk; says what to do.
    """
    from cellmap_tui.app.crop_slices import CropSlices

    missing = MissingDataError(f"{crop} is not on this disk", "3 fetches it: mark the crop in 1 and press f there")
    try:
        found = browsed.catalog.find(crop)
    except CellmapError:
        raise missing from None
    item = browsed.by_ref.get(found.ref)
    data_root = browsed.catalog.data_root
    if item is None or data_root is None or item.share <= 0:
        raise missing
    source = CropSlices(data_root, item.crop, browsed.catalog)
    look = Look.at_middle(item.crop.grid)
    return source, replace(look, only_class=label if label in source.classes else None)


def voxel_at(grid: Grid, position_nm: Vec3) -> Shape3:
    """Return the voxel of a grid at a position, kept inside it."""
    z, y, x = (
        max(0, min(n - 1, round((p - t) / s)))
        for p, t, s, n in zip(position_nm, grid.translation_nm, grid.voxel_size_nm, grid.shape, strict=True)
    )
    return (z, y, x)


def pointed(look: Look, position_nm: Vec3 | None) -> Look:
    """Return a look moved to a position and marked there."""
    if position_nm is None:
        return look
    return replace(look, point=voxel_at(look.grid, position_nm), pointed=True)
