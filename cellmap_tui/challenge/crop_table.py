"""The compact table of crops: one file with class sets, and one row per crop and geometry.

Most crops carry the same classes at the same geometry, so a class set is written once and a row
points at it. The same format serves the built-in table and a refreshed one in the state folder.

Lines are tab-separated: ``from``, words about where it came from · ``set``, index, names ·
``crop``, dataset, id, split, alignment, EM name, voxel size nm, translation nm, shape, index of a set.
A crop whose classes differ in geometry has a row for each. The first line ends with a checksum.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import CellmapError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Source

_HEAD = "# cellmap-tui crop table 1 "
_REMEDY = "`catalog refresh --builtin` returns to the built-in table"


def format_crop_table(crops: Iterable[Crop], origin: str = "") -> str:
    """Return the table of `crops`; `parse_crop_table` reads it back exactly.

    Parameters
    ----------
    crops
        The crops, those of a dataset and number once.
    origin
        Where they came from, for people; `table_origin` returns it.
    """
    rows = [(crop, grid, names) for crop in crops for grid, names in _groups(crop)]
    sets = [names for names, _ in Counter(names for _, _, names in rows).most_common()]
    index = {names: number for number, names in enumerate(sets)}
    lines = [f"set\t{number}\t{' '.join(names)}" for number, names in enumerate(sets)]
    lines += [_crop_line(crop, grid, index[names]) for crop, grid, names in rows]
    lines = [f"from\t{' '.join(origin.split())}", *lines] if origin else lines
    body = "".join(f"{line}\n" for line in lines)
    return f"{_HEAD}{zlib.crc32(body.encode()):08x}\n{body}"


def parse_crop_table(text: str, *, name: str, source: Source = "challenge") -> tuple[Crop, ...]:
    """Read a table.

    Parameters
    ----------
    text
        Content of the file.
    name
        Name of the file, for errors.
    source
        Source that the crops get.

    Raises
    ------
    DataError
        If the text is not a whole and unchanged table.
    """
    head, _, body = text.partition("\n")
    if not head.startswith(_HEAD) or head[len(_HEAD) :] != f"{zlib.crc32(body.encode()):08x}":
        raise DataError(f"{name} is damaged or of another version", _REMEDY)
    sets: list[tuple[str, ...]] = []
    crops: list[Crop] = []
    try:
        for line in body.splitlines():
            kind, _, rest = line.partition("\t")
            if kind == "set":
                sets.append(tuple(rest.partition("\t")[2].split()))
            elif kind == "crop":
                _append(crops, _parse_row(rest, sets, source))
    except (ValueError, LookupError, CellmapError) as error:
        raise DataError(f"{name} is damaged: {error}", _REMEDY) from None
    return tuple(crops)


def table_origin(text: str) -> str:
    """Return what a table says about where it came from; empty when it says nothing."""
    kind, _, words = text.partition("\n")[2].partition("\n")[0].partition("\t")
    return words if kind == "from" else ""


def main_grid(grids: dict[str, Grid]) -> Grid:
    """Return the grid that most classes have; the finest of those that tie."""
    counts = Counter(grids.values())
    return min(counts, key=lambda grid: (-counts[grid], grid.voxel_size_nm, grid.translation_nm, grid.shape))


def _groups(crop: Crop) -> list[tuple[Grid, tuple[str, ...]]]:
    groups: dict[Grid, list[str]] = {crop.grid: []}
    for annotation in crop.annotations():
        groups.setdefault(annotation.grid, []).append(annotation.class_name)
    return [(grid, tuple(names)) for grid, names in groups.items()]


def _crop_line(crop: Crop, grid: Grid, set_index: int) -> str:
    triples = (_triple(grid.voxel_size_nm), _triple(grid.translation_nm), _triple(grid.shape))
    fields = (crop.dataset, crop.id, crop.split, crop.alignment, crop.em_name, *triples, set_index)
    return "crop\t" + "\t".join(map(str, fields))


def _triple(values: Iterable[float]) -> str:
    return " ".join(repr(value).removesuffix(".0") for value in values)


def _parse_row(line: str, sets: list[tuple[str, ...]], source: Source) -> Crop:
    dataset, crop_id, split, alignment, em_name, voxel_size, translation, shape, set_index = line.split("\t")
    vz, vy, vx = map(float, voxel_size.split(" "))
    tz, ty, tx = map(float, translation.split(" "))
    nz, ny, nx = map(int, shape.split(" "))
    grid = Grid((vz, vy, vx), (tz, ty, tx), (nz, ny, nx))
    return Crop(int(crop_id), dataset, split, grid, sets[int(set_index)], alignment, em_name, source)  # type: ignore[arg-type]


def _append(crops: list[Crop], crop: Crop) -> None:
    """Append a crop, or join a further geometry of the last crop with it."""
    last = crops[-1] if crops else None
    if last is None or (last.dataset, last.id) != (crop.dataset, crop.id):
        crops.append(crop)
        return
    from dataclasses import replace

    from cellmap_tui.challenge.classes import builtin_classes

    classes = tuple(sorted((*last.classes, *crop.classes), key=builtin_classes().order))
    grids = (*last.class_grids, *((name, crop.grid) for name in crop.classes))
    crops[-1] = replace(last, classes=classes, class_grids=grids)
