"""A stand-in for a model's output: the truth of the demo's test crops, damaged in ways that models know.

Everything lies a voxel off, some objects are lost, ids are as wide as a long run makes them, one volume in
four has half the resolution, and some volumes were never predicted. So packing has something to align, to
keep and to fill, and scores have something to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.report import Reporter

LOST_EVERY = 7
"""One object in so many is lost."""
ID_STEP = 4099
"""Ids are multiples of this, so that they do not fit 8 or 16 bits."""
COARSE_EVERY = 4
"""One volume in so many has voxels of twice the size."""
MISSING_EVERY = 11
"""One volume in so many was never predicted."""


def write_stand_in(folder: Path, truth: Path, crops: tuple[Crop, ...], report: Reporter) -> int:
    """Write damaged labels to ``<folder>/<dataset>.zarr/<crop>/<class>`` and return their number.

    Parameters
    ----------
    folder
        Where prediction folders go; volumes that are there already are kept.
    truth
        Ground truth of the crops, in the layout of a submission.
    crops
        Test crops; every class of theirs.
    """
    names = [(crop, name) for crop in crops for name in crop.classes]
    made = 0
    for position, (crop, name) in enumerate(names, 1):
        report.checkpoint()
        if position % MISSING_EVERY == 0:
            continue
        path = folder / f"{crop.dataset}.zarr" / crop.name / name
        if not path.exists():
            _write_damaged(path, truth / crop.name / name, is_coarse=position % COARSE_EVERY == 0)
        made += 1
    return made


def _write_damaged(path: Path, source: Path, *, is_coarse: bool) -> None:
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.ngff import open_volume
    from cellmap_tui.volumes.read import read_region
    from cellmap_tui.volumes.write import write_array

    volume = open_volume(source)
    grid = volume.finest.grid
    labels = _damaged(read_region(volume, grid, "label").array)
    if is_coarse and min(labels.shape) > 1:
        labels = labels[::2, ::2, ::2]  # the centre of voxel 0 stays where it is
        z, y, x = grid.voxel_size_nm
        grid = Grid((2 * z, 2 * y, 2 * x), grid.translation_nm, (labels.shape[0], labels.shape[1], labels.shape[2]))
    write_array(path, labels, grid, overwrite=True)


def _damaged(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return labels a voxel off along x; of instances some are lost and the rest have wide ids."""
    import numpy as np

    moved = np.zeros_like(labels)
    moved[:, :, 1:] = labels[:, :, :-1]
    if int(moved.max(initial=0)) <= 1:
        return moved.astype(np.uint8)
    kept = np.where(moved % LOST_EVERY == LOST_EVERY - 1, 0, moved)
    return (kept.astype(np.uint32) * ID_STEP).astype(np.uint32)
