"""Where to look: a word such as ``120 40 33``, ``980 640 528 nm``, ``z 12``, ``mito`` or ``mito 7`` as a voxel.

Objects are found in the labels of a crop chunk by chunk; nothing larger than a chunk is held.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.layout import label_path
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import count, printable, triple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid

GOTO_HELP = "z y x (voxels) · z y x nm · z 120 (slice) · mito (its largest slice) · mito 7 (an object)"
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_THREE = re.compile(rf"({_NUMBER})[\s,;]+({_NUMBER})[\s,;]+({_NUMBER})\s*(nm)?")
_SLICE = re.compile(r"([zyx])\s*[= ]?\s*(\d+)")
_OBJECT = re.compile(r"(?:([^\d\s]\S*)\s+)?#?(\d+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look."""

    voxel: Shape3
    """Voxel of the crop."""
    class_name: str | None = None
    """The class that was asked for."""
    words: str = ""
    """What was found there."""


def find_place(
    wish: str,
    crop: Crop,
    data_root: Path,
    catalog: Catalog,
    *,
    at: Shape3,
    class_name: str | None = None,
    axis: int = 0,
    is_stale: Callable[[], bool] = lambda: False,
) -> Place:
    """Return where a wish leads.

    Parameters
    ----------
    wish
        Three voxel indices, a position in nm, a slice, a class, or an object of a class.
    crop, data_root, catalog
        Where it is looked up.
    at
        Voxel that is looked at now: what the wish leaves open stays.
    class_name
        Class whose object a bare number is.
    axis
        Axis across the slice: a class leads to its largest section on it.
    is_stale
        True ends the search.

    Raises
    ------
    RequestError
        If the wish is none, or lies outside the crop.
    UnknownNameError
        If there is no such class.
    MissingDataError
        If the labels are not on disk, or have no such object.
    """
    words = wish.strip()
    if match := _THREE.fullmatch(words):
        return Place(_voxel(match, crop))
    if match := _SLICE.fullmatch(words):
        return Place(_on_slice("zyx".index(match[1]), int(match[2]), crop, at))
    if match := _OBJECT.fullmatch(words):
        name = match[1] or class_name
        if name is None:
            raise RequestError(
                f"{words} is an object of which class?", "as in: mito 7; a slice is written as in: z 7"
            )
        return _object(_known(name, crop, catalog), int(match[2]), crop, data_root, axis, is_stale)
    if not re.fullmatch(r"[\w.+-]+", words):
        raise RequestError(f"{printable(words)[:60]!r} is no place", GOTO_HELP)
    return _object(_known(words, crop, catalog), None, crop, data_root, axis, is_stale)


def voxel_at(grid: Grid, position_nm: Vec3) -> Shape3:
    """Return the voxel of a grid at a position.

    Raises
    ------
    RequestError
        If the position lies outside.
    """
    voxel = [round((p - t) / s) for p, t, s in zip(position_nm, grid.translation_nm, grid.voxel_size_nm, strict=True)]
    if not all(0 <= i < n for i, n in zip(voxel, grid.shape, strict=True)):
        raise RequestError(
            f"{triple(position_nm)} nm lies outside the crop",
            f"it reaches from {triple(grid.lower_nm)} to {triple(grid.upper_nm)} nm",
        )
    return (voxel[0], voxel[1], voxel[2])


def _voxel(match: re.Match[str], crop: Crop) -> Shape3:
    z, y, x = (float(match[i]) for i in (1, 2, 3))
    if match[4]:
        return voxel_at(crop.grid, (z, y, x))
    voxel = (int(z), int(y), int(x))
    is_whole = all(part.is_integer() for part in (z, y, x))
    if not is_whole or not all(0 <= i < n for i, n in zip(voxel, crop.grid.shape, strict=True)):
        raise RequestError(
            f"voxel {triple((z, y, x))} is outside {crop.ref}",
            f"its shape is {triple(crop.grid.shape)} voxels; positions in nm end with nm",
        )
    return voxel


def _on_slice(axis: int, index: int, crop: Crop, at: Shape3) -> Shape3:
    if index >= crop.grid.shape[axis]:
        raise RequestError(
            f"{crop.ref} has no slice {'zyx'[axis]} {index}", f"it has 0 to {crop.grid.shape[axis] - 1}"
        )
    voxel = list(at)
    voxel[axis] = index
    return (voxel[0], voxel[1], voxel[2])


def _known(name: str, crop: Crop, catalog: Catalog) -> str:
    return name if name in crop.classes else catalog.class_name(name)


def _object(
    name: str, number: int | None, crop: Crop, data_root: Path, axis: int, is_stale: Callable[[], bool]
) -> Place:
    from cellmap_tui.volumes.annotation import read_annotation
    from cellmap_tui.volumes.find_voxels import Wanted
    from cellmap_tui.volumes.metadata import is_there
    from cellmap_tui.volumes.ngff import open_volume

    path = data_root / label_path(crop, name)
    if not is_there(path):
        raise MissingDataError(f"{crop.ref} has no labels of {name} on disk", "choose a class that the legend names")
    volume = open_volume(path)
    wanted = Wanted(volume.finest, number, read_annotation(volume).unknown_value, is_stale)
    areas = wanted.areas(axis)
    what = name if number is None else f"{name} {number}"
    if not areas.any():
        raise MissingDataError(f"{what} is not in {crop.ref}", "annotated, and absent; try another object or crop")
    voxel = _crop_voxel(wanted.middle(axis, int(areas.argmax())), volume.finest.grid, crop.grid)
    return Place(voxel, name, f"{what}: {count(int(areas.sum()))} voxels")


def _crop_voxel(voxel: Shape3, labels: Grid, crop: Grid) -> Shape3:
    position = [t + s * i for t, s, i in zip(labels.translation_nm, labels.voxel_size_nm, voxel, strict=True)]
    z, y, x = (
        max(0, min(n - 1, round((p - t) / s)))
        for p, t, s, n in zip(position, crop.translation_nm, crop.voxel_size_nm, crop.shape, strict=True)
    )
    return (z, y, x)
