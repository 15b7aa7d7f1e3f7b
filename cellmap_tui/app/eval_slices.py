"""From a pair of crop and class to its slices: truth filled, prediction outlined, where the crop is on this disk."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.app.widgets.slice_state import Drawing, LegendEntry, Look, SliceSpec
from cellmap_tui.errors import CellmapError, MissingDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.services.predicted_planes import PredictedPlanes
    from cellmap_tui.services.settings import Settings

OUTLINE = (255, 235, 60)
"""Colour of predictions: brighter than every class, on dark and on light EM."""


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


class PairSlices:
    """The slices of a crop with one class as it should be and, as a bright outline, as it was predicted.

    Parameters
    ----------
    source
        The slices with the truth.
    planes
        The predictions of the evaluation; None: they cannot be had.
    pair
        ``crop557/mito``.
    """

    def __init__(self, source: CropSlices, planes: PredictedPlanes | None, pair: str) -> None:
        self.key = f"{source.key}:{pair}"
        self.classes = source.classes
        self._source = source
        self._planes = planes
        self._pair = pair

    @property
    def grid(self) -> Grid:
        """Voxel size, translation and shape of the crop."""
        return self._source.grid

    def draw(self, spec: SliceSpec, is_stale: Callable[[], bool] = lambda: False) -> Drawing:
        """Draw a slice; called in a thread."""
        drawing = self._source.draw(spec, is_stale)
        if self._planes is None or spec.overlay == "off":
            return drawing
        try:
            return self._outlined(drawing, spec, self._planes)
        except CellmapError as error:
            return replace(drawing, notes=(*drawing.notes, f"prediction: {error.message}"))

    def _outlined(self, drawing: Drawing, spec: SliceSpec, planes: PredictedPlanes) -> Drawing:
        rows, columns = drawing.rgb.shape[:2]
        axes = [axis for axis in range(3) if axis != spec.axis]
        places = [
            self._positions(axis, first, step, count)
            for axis, first, step, count in zip(
                axes, drawing.top_left, drawing.voxels_per_pixel, (rows, columns), strict=True
            )
        ]
        at_nm = self.grid.translation_nm[spec.axis] + self.grid.voxel_size_nm[spec.axis] * spec.point[spec.axis]
        predicted = planes.sample(self._pair, spec.axis, at_nm, *places)
        if predicted is None:
            return replace(drawing, notes=(*drawing.notes, "there is no prediction of this class here"))
        rgb = drawing.rgb.copy()
        rgb[edges(predicted)] = OUTLINE
        entry = LegendEntry("prediction, outlined", OUTLINE, "p")
        return replace(drawing, rgb=rgb, legend=(*drawing.legend, entry))

    def _positions(self, axis: int, first: float, step: float, count: int) -> list[float]:
        size_nm, zero_nm = self.grid.voxel_size_nm[axis], self.grid.translation_nm[axis]
        return [zero_nm + size_nm * (first + (i + 0.5) * step - 0.5) for i in range(count)]


def edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of objects ``[h, w]`` that touch something else."""
    import numpy as np

    padded = np.pad(labels, 1, mode="edge")
    inner = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.zeros(inner.shape, np.bool_)
    for neighbour in neighbours:
        differs |= neighbour != inner
    return differs & (inner > 0)


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
) -> tuple[PairSlices, Look]:
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

    item = _item(browsed, crop, asked)
    data_root = browsed.catalog.data_root
    if item is None or data_root is None:
        raise MissingDataError(f"{crop} is not on this disk", "mark the crop in 1 and press f there to fetch it")
    source = CropSlices(data_root, item.crop, browsed.catalog)
    slices = PairSlices(source, planes, f"{crop}/{label}")
    return slices, replace(Look.at_middle(item.crop.grid), only_class=label if label in source.classes else None)


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
