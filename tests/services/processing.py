"""Crops with truth and predictions for the tests of processing and tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.learning.cores import core_ids
from cellmap_tui.volumes.write import write_multiscale

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Shape = tuple[int, int, int]
EDGE_NM = 8.0


def touching_balls(seed: int, shape: Shape, radius: float = 7.0) -> NDArray[np.uint16]:
    """Return ids of balls in pairs that touch, at places that a seed decides."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.uint16)
    z, y, x = np.indices(shape)
    number = 0
    pitch = int(4 * radius)
    for cz in range(int(radius) + 3, shape[0] - int(radius), pitch):
        for cy in range(int(radius) + 3, shape[1] - int(radius), pitch):
            for cx in range(int(radius) + 3, shape[2] - int(3 * radius), pitch):
                shift = rng.uniform(-2, 2, 3)
                for step in (0.0, 1.9 * radius):
                    number += 1
                    distance = np.sqrt(
                        (z - cz - shift[0]) ** 2 + (y - cy - shift[1]) ** 2 + (x - cx - step - shift[2]) ** 2
                    )
                    ids[(distance < radius) & (ids == 0)] = number
    return ids


def as_probability(
    mask: NDArray[np.bool_], seed: int = 0, noise: float = 0.0, gain: float = 1.0
) -> NDArray[np.uint8]:
    """Return a mask as a network would predict it: blurred, with smooth noise."""
    rng = np.random.default_rng(seed)
    values = gain * ndi.gaussian_filter(mask.astype(np.float32), 0.7)
    values = values + noise * ndi.gaussian_filter(rng.standard_normal(mask.shape), 1.0)
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def make_crop(root: Path, number: int, classes: tuple[str, ...], shape: Shape, dataset: str = "mine") -> Crop:
    """Add a crop to the local catalog."""
    grid = Grid((EDGE_NM,) * 3, (4.0, 12.0, 20.0), shape)
    crop = Crop(number, dataset, "train", grid, classes, source="import")
    add_local_crops(root, [crop])
    return crop


def write_truth(root: Path, crop: Crop, label: str, ids: NDArray[np.generic]) -> None:
    """Write the truth of a class."""
    write_multiscale(root / label_path(crop, label), ids, crop.grid, kind="label")


def write_prediction(
    root: Path, crop: Crop, label: str, values: NDArray[np.generic], unit: str = "", folder: str = "predictions"
) -> Path:
    """Write a prediction of a class or its core."""
    path = root / folder / f"{crop.dataset}.zarr" / crop.name / label
    attributes = {"cellmap_tui": {"unit": unit}} if unit else {}
    write_multiscale(path, values, crop.grid, kind="em", attributes=attributes, overwrite=True)
    return path


def write_em(root: Path, crop: Crop) -> NDArray[np.uint8]:
    """Write EM under a crop: each voxel tells its place."""
    z, y, x = np.indices(crop.grid.shape)
    values = ((3 * z + 5 * y + 7 * x) % 251 + 1).astype(np.uint8)
    write_multiscale(root / crop_em_path(crop), values, crop.grid, kind="em")
    return values


def predicted_crop(
    root: Path, number: int, shape: Shape = (60, 60, 90), noise: float = 0.0, gain: float = 1.0
) -> tuple[Crop, NDArray[np.uint16]]:
    """Make a crop of touching vesicles, with its truth, prediction and predicted cores."""
    crop = make_crop(root, number, ("ves",), shape)
    ids = touching_balls(number, shape)
    write_truth(root, crop, "ves", ids)
    write_prediction(root, crop, "ves", as_probability(ids > 0, number, noise, gain))
    write_prediction(root, crop, "ves/core", as_probability(core_ids(ids) > 0, number, noise, gain))
    return crop, ids
