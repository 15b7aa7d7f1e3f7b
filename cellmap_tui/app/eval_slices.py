"""From a pair of crop and class to its slices: truth filled, prediction outlined, where the EM is on this disk."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.app.widgets.slice_state import Look
from cellmap_tui.challenge.layout import local_classes
from cellmap_tui.errors import CellmapError, MissingDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.services.predicted_planes import PredictedPlanes
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.volumes.planes import Predicted


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


def planes_of(run_path: Path) -> PredictedPlanes | None:
    """Return the predictions of an evaluation, None where its request cannot be read."""
    from cellmap_tui.app.evaluations import request_of
    from cellmap_tui.services.predicted_planes import PredictedPlanes

    try:
        return PredictedPlanes(request_of(run_path))
    except CellmapError:
        return None


def slices_of(
    browsed: Browsed, crop: str, label: str, asked: Mapping[str, Any], planes: PredictedPlanes | None = None
) -> tuple[CropSlices, Look]:
    """Return the slices of a crop with one class drawn, looked at in its middle.

    Parameters
    ----------
    browsed
        The catalog and what is on disk.
    crop, label
        The pair, as results name it.
    asked
        The evaluation's request: results leave the dataset out where the number is clear within them.
    planes
        Its predictions.

    Raises
    ------
    MissingDataError
        If the crop is not on this disk; says what to do.
    """
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.services.predicted_planes import EvaluatedCrop

    item = _item(browsed, crop, asked)
    data_root = browsed.catalog.data_root
    if item is None or data_root is None:
        raise MissingDataError(f"{crop} is not on this disk", "mark the crop in 1 and press f there to fetch it")
    predicted: dict[str, Predicted] | None = None
    if planes is not None:
        evaluated = EvaluatedCrop(planes, crop)
        is_local = label in local_classes(data_root, item.crop)
        predicted = {"predictions": evaluated, **({} if is_local else {"gt": evaluated})}
    source = CropSlices(data_root, item.crop, browsed.catalog, predicted, f"{crop}/{label}")
    look = Look.at_middle(item.crop.grid)
    if predicted is None and label not in source.classes:
        return source, look
    return source, replace(look, only_class=label, kinds=("gt", "predictions") if predicted else look.kinds)


def _item(browsed: Browsed, crop: str, asked: Mapping[str, Any]) -> CropItem | None:
    named = [item for item in browsed.items if crop in {item.crop.name, item.crop.ref} and item.share > 0]
    if asked.get("crops"):
        with contextlib.suppress(CellmapError):
            chosen = {one.ref for one in browsed.catalog.select(str(asked["crops"]))}
            named = [item for item in named if item.crop.ref in chosen]
    elif asked.get("submission"):
        named = [item for item in named if item.crop.split == "test"]
    return named[0] if named else None


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
