"""The local catalog: imported and demo crops, kept beside their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.crops import SOURCES, SPLITS, Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import DEFAULT_ALIGNMENT, DEFAULT_EM, checked_name, sidecar_path
from cellmap_tui.challenge.sidecar import change_sidecar, read_sidecar
from cellmap_tui.errors import CellmapError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "crops.json"
_KEY = "crops"


def read_local_crops(data_root: Path) -> tuple[Crop, ...]:
    """Return the crops of the local catalog; empty where there is none.

    Raises
    ------
    DataError
        If the file is damaged; names it, the entry and the field.
    """
    rows = read_sidecar(data_root, FILE, _KEY)
    return tuple(_parsed(row, number, data_root) for number, row in enumerate(rows))


def add_local_crops(data_root: Path, crops: Iterable[Crop]) -> None:
    """Add crops to the local catalog; one with the same ``dataset/crop`` is replaced.

    Raises
    ------
    RequestError
        If a dataset or class cannot be a folder name.
    DataError
        If the file is damaged; it is left as it is.
    """
    added = [_checked(crop) for crop in crops]
    refs = {(crop.dataset, crop.id) for crop in added}
    rows = [_as_row(crop) for crop in added]
    change_sidecar(
        data_root, FILE, _KEY, lambda old: [*(r for r in old if (r["dataset"], r["id"]) not in refs), *rows]
    )


def remove_local_crops(data_root: Path, refs: Iterable[str]) -> None:
    """Take crops, given as ``dataset/crop234``, out of the local catalog; their data stay."""
    gone = set(refs)
    change_sidecar(data_root, FILE, _KEY, lambda old: [r for r in old if f"{r['dataset']}/crop{r['id']}" not in gone])


def _as_row(crop: Crop) -> dict[str, Any]:
    return {
        "dataset": crop.dataset,
        "id": crop.id,
        "split": crop.split,
        "source": crop.source,
        "alignment": crop.alignment,
        "em_name": crop.em_name,
        "grid": _grid_row(crop.grid),
        "classes": list(crop.classes),
        "class_grids": {name: _grid_row(grid) for name, grid in crop.class_grids},
    }


def _grid_row(grid: Grid) -> dict[str, Any]:
    return {
        "voxel_size_nm": [float(v) for v in grid.voxel_size_nm],
        "translation_nm": [float(t) for t in grid.translation_nm],
        "shape": [int(n) for n in grid.shape],
    }


def _parsed(row: Any, number: int, data_root: Path) -> Crop:
    try:
        return _checked(
            Crop(
                id=int(row["id"]),
                dataset=row["dataset"],
                split=row["split"],
                grid=_parsed_grid(row["grid"]),
                classes=tuple(row["classes"]),
                alignment=row.get("alignment", DEFAULT_ALIGNMENT),
                em_name=row.get("em_name", DEFAULT_EM),
                source=row["source"],
                class_grids=tuple((name, _parsed_grid(g)) for name, g in row.get("class_grids", {}).items()),
            )
        )
    except KeyError as error:
        problem = f"no {error.args[0]!r}"
    except (CellmapError, ValueError, TypeError, AttributeError, OverflowError) as error:
        problem = str(error)
    path = sidecar_path(data_root, FILE)
    raise DataError(f"{path}, entry {number}: {problem}", "correct it, or move it away and import again")


def _parsed_grid(row: Any) -> Grid:
    vz, vy, vx = map(float, row["voxel_size_nm"])
    tz, ty, tx = map(float, row["translation_nm"])
    nz, ny, nx = map(int, row["shape"])
    return Grid((vz, vy, vx), (tz, ty, tx), (nz, ny, nx))


def _checked(crop: Crop) -> Crop:
    """Return a crop whose names may become paths and whose choices are known."""
    checked_name(crop.dataset, "dataset")
    checked_name(crop.alignment, "alignment")
    checked_name(crop.em_name, "EM name")
    for name in crop.classes:
        checked_name(name, "class")
    if crop.split not in SPLITS or crop.source not in SOURCES or not 0 <= crop.id < 10**9:
        raise ValueError(f"split {crop.split!r}, source {crop.source!r} or id {crop.id} is not valid")
    return crop
