"""Whether the EM under a crop is on disk, asked of the file system alone.

A dataset's EM is fetched block by block, so that its folder exists says nothing about one crop.
The chunk under the crop's centre is looked for in every level; only the few small metadata files
are read, with the standard library, because listing crops must not load zarr.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import crop_em_path

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Vec3

_MAX_METADATA_BYTES = 1_000_000

Level = tuple[str, "Vec3", "Vec3", tuple[int, ...], str]
"""Folder, voxel size nm, translation nm, chunk shape, separator of chunk names."""


def has_em(data_root: Path, crop: Crop) -> bool:
    """Return whether a chunk of EM under the crop's centre exists in any level.

    EM with metadata that cannot be read counts as present when it has a level: opening it tells what is wrong.
    """
    group = data_root / crop_em_path(crop)
    try:
        stamp = (group / ".zattrs").stat().st_mtime_ns
    except OSError:
        return _has_level(group)
    levels = _levels(str(group), stamp)
    if levels is None:
        return _has_level(group)
    grid = crop.grid
    centre = tuple(
        t + s * (n - 1) / 2 for t, s, n in zip(grid.translation_nm, grid.voxel_size_nm, grid.shape, strict=True)
    )
    return any(_has_chunk(group, level, centre) for level in levels)


def _has_level(group: Path) -> bool:
    return (group / "s0").is_dir()


def _has_chunk(group: Path, level: Level, centre_nm: tuple[float, ...]) -> bool:
    name, voxel_size_nm, translation_nm, chunks, separator = level
    indices = [
        int(max(0, round((c - t) / s)) // n)
        for c, t, s, n in zip(centre_nm, translation_nm, voxel_size_nm, chunks, strict=True)
    ]
    return os.path.exists(f"{group}/{name}/{separator.join(map(str, indices))}")  # noqa: PTH110 - hot path


@lru_cache(maxsize=256)
def _levels(group: str, _stamp: int) -> tuple[Level, ...] | None:
    try:
        datasets = _read_json(f"{group}/.zattrs")["multiscales"][0]["datasets"]
        found = (_level(group, dataset) for dataset in datasets)
        return tuple(level for level in found if level is not None) or None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _level(group: str, dataset: Any) -> Level | None:
    name = str(dataset["path"])
    transforms = {transform["type"]: transform for transform in dataset["coordinateTransformations"]}
    scale = _triple(transforms["scale"]["scale"])
    translation = _triple(transforms.get("translation", {"translation": (0, 0, 0)})["translation"])
    try:
        array = _read_json(f"{group}/{name}/.zarray")
    except FileNotFoundError:
        return None
    chunks = tuple(int(n) for n in array["chunks"])
    if len(chunks) != 3 or min(chunks) < 1 or min(scale) <= 0:
        raise ValueError(name)
    return name, scale, translation, chunks, "/" if array.get("dimension_separator") == "/" else "."


def _triple(values: Any) -> Vec3:
    z, y, x = (float(value) for value in values)
    return (z, y, x)


def _read_json(path: str) -> Any:
    with Path(path).open("rb") as file:
        return json.loads(file.read(_MAX_METADATA_BYTES))
