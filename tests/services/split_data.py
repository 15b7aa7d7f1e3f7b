"""A small data root for splits: crops beside each other, each class a given share of its crop, EM below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.volumes.write import write_multiscale

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EDGE = 16
"""Voxels of a crop on each axis."""
VOXEL_NM = 8.0


def crop_grid(place: int, voxel_nm: float = VOXEL_NM, offset_nm: float = 0.0) -> Grid:
    """Return the grid of the crop at a place in the row; they touch and do not overlap unless `offset_nm` says so."""
    x = place * EDGE * VOXEL_NM + voxel_nm / 2 + offset_nm
    edge = round(EDGE * VOXEL_NM / voxel_nm)
    return Grid((voxel_nm,) * 3, (voxel_nm / 2, voxel_nm / 2, x), (edge, edge, edge))


def make_dataset(
    data_root: Path,
    dataset: str,
    crops: Mapping[int, Mapping[str, float]],
    *,
    voxel_nm: Mapping[int, float] | None = None,
    offset_nm: Mapping[int, float] | None = None,
    em: bool = True,
    missing: frozenset[tuple[int, str]] = frozenset(),
) -> list[Crop]:
    """Write a dataset.

    Parameters
    ----------
    crops
        Number of a crop to its classes with the share of its planes that each fills.
    voxel_nm, offset_nm
        Other voxel sizes, and how far a crop is moved along x.
    em
        Whether there is EM.
    missing
        Crops and classes that are annotated but not on disk.
    """
    made = []
    for place, (number, classes) in enumerate(crops.items()):
        grid = crop_grid(place, (voxel_nm or {}).get(number, VOXEL_NM), (offset_nm or {}).get(number, 0.0))
        crop = Crop(number, dataset, "train", grid, tuple(classes), source="import")
        for name, share in classes.items():
            if (number, name) in missing:
                continue
            labels = np.zeros(grid.shape, np.uint8)
            labels[: round(share * grid.shape[0])] = 1
            write_multiscale(data_root / label_path(crop, name), labels, grid, kind="label", chunks=(8, 8, 8))
        made.append(crop)
    if em:
        shape = (EDGE, EDGE, EDGE * len(crops))
        volume = np.full(shape, 100, np.uint8)
        grid = Grid((VOXEL_NM,) * 3, (VOXEL_NM / 2,) * 3, shape)
        write_multiscale(data_root / crop_em_path(made[0]), volume, grid, levels=2, chunks=(8, 8, 8))
    add_local_crops(data_root, made)
    return made
