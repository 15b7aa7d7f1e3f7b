"""An EM pyramid as the bucket describes it, from the bodies of its metadata objects."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.services.fetch_levels import EmLevel, LevelPlace
from cellmap_tui.volumes.metadata import parse_json
from cellmap_tui.volumes.transforms import composed, in_nm, only_multiscale, plain_path, units_nm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.volumes.metadata import Node

MAX_LEVELS = 64
"""Doubling 64 times leads out of every volume; a file that names more is broken."""


def level_places(group: str, attributes: bytes) -> tuple[LevelPlace, ...]:
    """Read the ``.zattrs`` of a multiscale group, the finest level first.

    Parameters
    ----------
    group
        Key of the group, for errors.
    attributes
        Content of its ``.zattrs``.

    Raises
    ------
    DataError
        If they describe no pyramid of z, y, x; names object and key.
    """
    multiscale = only_multiscale(parse_json(attributes, Path(group, ".zattrs")))
    units = units_nm(multiscale.get("axes"))
    around = multiscale.find("coordinateTransformations")
    datasets = multiscale.get("datasets")
    found = datasets.items()
    if not 0 < len(found) <= MAX_LEVELS:
        raise datasets.wrong(f"names {len(found)} levels")
    places = [_place(dataset, around, units) for dataset in found]
    if len({place.name for place in places}) < len(places):
        raise datasets.wrong("names a level twice")
    return tuple(sorted(places, key=lambda place: math.prod(place.voxel_size_nm)))


def _place(dataset: Node, around: Node | None, units: Vec3) -> LevelPlace:
    scale, shift = composed([dataset.get("coordinateTransformations"), around])
    size, translation = in_nm(scale, units), in_nm(shift, units)
    if not all(math.isfinite(v) for v in (*size, *translation)) or min(size) <= 0:
        raise dataset.wrong("scale and translation leave the range of numbers")
    return LevelPlace(plain_path(dataset.get("path")), size, translation)


def em_levels(group: str, places: tuple[LevelPlace, ...], arrays: Mapping[str, bytes | None]) -> tuple[EmLevel, ...]:
    """Return the levels of a pyramid whose arrays exist, the finest first.

    Parameters
    ----------
    arrays
        Level name to the content of its ``.zarray``; None where the bucket has none.

    Raises
    ------
    DataError
        If an array is not what its format says; names object and key.
    """
    found = ((place, arrays.get(place.name)) for place in places)
    return tuple(_em_level(group, place, content) for place, content in found if content is not None)


def _em_level(group: str, place: LevelPlace, content: bytes) -> EmLevel:
    array = parse_json(content, Path(group, place.name, ".zarray"))
    version = array.get("zarr_format")
    if version.integer() != 2:
        raise version.wrong(f"is Zarr v{version.value}; challenge data are Zarr v2")
    separator = array.find("dimension_separator")
    if separator is not None and separator.value not in (".", "/"):
        raise separator.wrong(f"must be '.' or '/', not {separator.value!r}")
    shape, chunks = array.get("shape").shape3(), array.get("chunks").shape3()
    grid = Grid(place.voxel_size_nm, place.translation_nm, shape)
    return EmLevel(place.name, grid, chunks, "." if separator is None else str(separator.value))


def label_grid(group: str, attributes: bytes, array: bytes) -> Grid:
    """Return the grid of the finest level of a label group.

    Parameters
    ----------
    attributes
        Content of the ``.zattrs`` of the group.
    array
        Content of the ``.zarray`` of the level that they name first or finest.

    Raises
    ------
    DataError
        If either is not what its format says.
    """
    finest = level_places(group, attributes)[0]
    return _em_level(group, finest, array).grid


def broken(group: str, problem: str) -> DataError:
    """Return the error for an EM that the bucket does not have whole."""
    return DataError(f"{group}: {problem}", "without it the EM does not open; check --endpoint-url and --bucket")
