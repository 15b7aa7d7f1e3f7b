"""What a volume on disk says about itself: OME-NGFF 0.4 groups and plain arrays, Zarr v2.

Owns the reading of ``.zgroup``, ``.zattrs`` and ``.zarray``; no voxel is touched and zarr is not
asked. Whatever the metadata of a foreign file hold, the answer is a `Multiscale` that can be trusted
or a `DataError` that names file and key. A level path never leads out of its group.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.text import printable
from cellmap_tui.volumes.metadata import Node, is_there, read_json
from cellmap_tui.volumes.transforms import composed, in_nm, only_multiscale, plain_path, units_nm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VOXEL_SIZE_KEYS = ("voxel_size", "resolution", "scale")
"""Attributes of a plain array that hold its voxel size in nm; the first one present counts."""
TRANSLATION_KEYS = ("translation", "offset")
"""Attributes of a plain array that hold the centre of voxel (0, 0, 0) in nm."""
CHUNK_LIMIT_BYTES = 2**31
"""Codecs cannot hold more, and no real chunk comes near: a file that says more is broken."""


@dataclass(frozen=True, slots=True)
class Level:
    """One array of a pyramid."""

    name: str
    """Path below the group, such as ``s0``; empty for a plain array."""
    path: Path
    """Folder of the array."""
    grid: Grid
    """Where its voxels lie."""
    dtype: np.dtype[np.generic]
    """Type of its voxels: integers, floats or booleans."""
    chunks: Shape3
    """Shape of its chunks."""
    separator: str = "."
    """Between the numbers of a chunk's name: ``/`` or ``.``."""
    fill_value: float = 0
    """Value of every voxel of a chunk that is not there."""

    @property
    def shape(self) -> Shape3:
        """Number of voxels on each axis."""
        return self.grid.shape


@dataclass(frozen=True, slots=True)
class Multiscale:
    """A volume at one or more voxel sizes, finest first; a plain array is a volume with one level."""

    path: Path
    """Folder of the group, or of the plain array."""
    levels: tuple[Level, ...]
    """At least one; ordered from the finest to the coarsest."""

    @property
    def finest(self) -> Level:
        """The level with the smallest voxels."""
        return self.levels[0]

    def level(self, name: str) -> Level:
        """Return the level called `name`; MissingDataError if there is none."""
        for level in self.levels:
            if level.name == name:
                return level
        names = ", ".join(level.name for level in self.levels)
        raise MissingDataError(f"{self.path} has no level {name!r}", f"it has {names}")


def open_volume(path: Path) -> Multiscale:
    """Read the metadata of a multiscale group or of a plain array with voxel size attributes.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is neither, or its metadata are wrong; names file and key.
    """
    if is_there(path / ".zarray"):
        return open_array(path)
    return open_multiscale(path)


def open_multiscale(path: Path) -> Multiscale:
    """Read the metadata of an OME-NGFF 0.4 multiscale group.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is not such a group, or its metadata are wrong; names file and key.
    """
    _refuse_foreign(path)
    if is_there(path / ".zarray") and not is_there(path / ".zgroup"):
        raise DataError(f"{path} is a plain array, not a multiscale group")
    if is_there(path / ".zgroup"):
        _check_format(read_json(path / ".zgroup"))
    multiscale = only_multiscale(read_json(path / ".zattrs"))
    units = units_nm(multiscale.get("axes"))
    around = multiscale.find("coordinateTransformations")
    levels = [_level(path, dataset, around, units) for dataset in multiscale.get("datasets").items()]
    if not levels:
        raise multiscale.get("datasets").wrong("names no level")
    levels.sort(key=lambda level: math.prod(level.grid.voxel_size_nm))
    return Multiscale(path, tuple(levels))


def open_array(path: Path) -> Multiscale:
    """Read the metadata of a plain array that has its voxel size and translation as attributes.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is not such an array, or its metadata are wrong; names file and key.
    """
    _refuse_foreign(path)
    array = read_json(path / ".zarray")
    attributes = read_json(path / ".zattrs")
    size = _first_of(attributes, VOXEL_SIZE_KEYS)
    if size is None:
        raise attributes.wrong(f"has none of {', '.join(VOXEL_SIZE_KEYS)}: the voxel size is not known")
    translation = _first_of(attributes, TRANSLATION_KEYS)
    origin = translation.vec3() if translation is not None else (0.0, 0.0, 0.0)
    level = _array_level("", path, array, size.positive3(), origin)
    return Multiscale(path, (level,))


def is_volume(path: Path) -> bool:
    """Return whether a folder looks like a group or array, without reading any file."""
    return any(is_there(path / name) for name in (".zgroup", ".zarray", ".zattrs"))


def _refuse_foreign(path: Path) -> None:
    if not is_there(path):
        raise MissingDataError(printable(f"{path} does not exist"))
    if not os.access(path, os.R_OK):
        raise DataError(printable(f"{path} cannot be read: permission denied"), "change its permissions")
    if not path.is_dir():
        raise DataError(printable(f"{path} is a file, not a Zarr group or array"))
    if is_volume(path):
        return
    if is_there(path / "zarr.json"):
        raise DataError(printable(f"{path / 'zarr.json'}: zarr_format: is Zarr v3; challenge data are Zarr v2"))
    if is_there(path / "attributes.json"):
        raise DataError(printable(f"{path / 'attributes.json'}: is N5; challenge data are Zarr v2"))
    raise DataError(printable(f"{path} is not a Zarr group or array: .zgroup, .zattrs and .zarray are missing"))


def _check_format(node: Node) -> None:
    version = node.get("zarr_format")
    if version.integer() != 2:
        raise version.wrong(f"is Zarr v{version.value}; challenge data are Zarr v2")


def _level(path: Path, dataset: Node, around: Node | None, units: Vec3) -> Level:
    name = _inner_path(path, dataset.get("path"))
    scale, shift = composed([dataset.get("coordinateTransformations"), around])
    size = in_nm(scale, units)
    array_path = path / name
    if not is_there(array_path / ".zarray"):
        reason = " (Zarr v3)" if is_there(array_path / "zarr.json") else ""
        raise dataset.get("path").wrong(f"level {name!r} has no .zarray{reason}")
    return _array_level(name, array_path, read_json(array_path / ".zarray"), size, in_nm(shift, units))


def _inner_path(group: Path, node: Node) -> str:
    """Return a level's path after making sure that it stays inside its group, links included."""
    name = plain_path(node)
    if not (group / name).resolve().is_relative_to(group.resolve()):
        raise node.wrong(f"{name!r} leads out of the group")
    return name


def _array_level(name: str, path: Path, array: Node, size_nm: Vec3, translation_nm: Vec3) -> Level:
    _check_format(array)
    shape = array.get("shape").shape3()
    chunks = array.get("chunks").shape3()
    dtype = _dtype(array.get("dtype"))
    if math.prod(chunks) * dtype.itemsize >= CHUNK_LIMIT_BYTES:
        raise array.get("chunks").wrong("one chunk is larger than 2 GiB")
    separator = array.find("dimension_separator")
    if separator is not None and separator.value not in (".", "/"):
        raise separator.wrong(f"must be '.' or '/', not {separator.value!r}")
    if not all(math.isfinite(v) for v in (*size_nm, *translation_nm)) or min(size_nm) <= 0:
        raise array.wrong("scale and translation of this level leave the range of numbers")
    return Level(
        name=name,
        path=path,
        grid=Grid(size_nm, translation_nm, shape),
        dtype=dtype,
        chunks=chunks,
        separator=str(separator.value) if separator is not None else ".",
        fill_value=_fill_value(array),
    )


def _dtype(node: Node) -> np.dtype[np.generic]:
    name = node.text()
    try:
        dtype: np.dtype[np.generic] = np.dtype(name)
    except (TypeError, ValueError):
        raise node.wrong(f"unknown dtype {node.value!r}") from None
    if dtype.kind not in "uifb":
        raise node.wrong(f"dtype {node.value!r} is not numeric")
    return dtype


def _fill_value(array: Node) -> float:
    node = array.find("fill_value")
    if node is None or node.value is None:
        return 0
    if isinstance(node.value, bool | int | float):
        return node.value
    if node.value in ("NaN", "Infinity", "-Infinity"):
        return float(str(node.value).replace("Infinity", "inf"))
    raise node.wrong(f"must be a number, not {node.value!r}")


def _first_of(attributes: Node, names: Sequence[str]) -> Node | None:
    for name in names:
        found = attributes.find(name)
        if found is not None:
            return found
    return None
