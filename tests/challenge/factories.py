"""Crops and files for the tests of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellmap_tui.challenge.crops import Source, Split

T = TypeVar("T")

HEAD = "crop_name,dataset,class_label,voxel_size,translation,shape\n"
CROPS_HEAD = "crop_number,collection,alignment,crop_url,em_url\n"
ROW = "1,cell_a,mito,[8.0;8.0;8.0],[0.0;4.0;8.0],[10;20;30]\n"


def attempt(function: Callable[..., T], *args: Any, **options: Any) -> tuple[T | None, CellmapError | None]:
    """Return what a call returns, or the error of a user's making that it raises."""
    try:
        return function(*args, **options), None
    except CellmapError as error:
        return None, error


def make_grid(voxel_size_nm: float = 8.0, shape: tuple[int, int, int] = (64, 64, 64)) -> Grid:
    return Grid((voxel_size_nm,) * 3, (100.0, 200.0, 300.0), shape)


def make_crop(
    crop_id: int = 1,
    dataset: str = "cell_a",
    classes: tuple[str, ...] = ("mito", "nuc"),
    *,
    split: Split = "train",
    source: Source = "import",
    voxel_size_nm: float = 8.0,
    class_grids: tuple[tuple[str, Grid], ...] = (),
) -> Crop:
    return Crop(crop_id, dataset, split, make_grid(voxel_size_nm), classes, source=source, class_grids=class_grids)


def put_labels(data_root: Path, crop: Crop, *names: str) -> None:
    """Make the folders that say that the classes are there."""
    for name in names:
        (data_root / label_path(crop, name) / "s0").mkdir(parents=True)


def put_em(data_root: Path, crop: Crop, chunk: str, *, separator: str = "/") -> None:
    """Write EM metadata (8 nm, chunks of 64) and one chunk."""
    import json

    group = data_root / crop_em_path(crop)
    (group / "s0").mkdir(parents=True)
    transforms = [
        {"type": "scale", "scale": [8.0, 8.0, 8.0]},
        {"type": "translation", "translation": [0.0, 0.0, 0.0]},
    ]
    datasets = [{"path": "s0", "coordinateTransformations": transforms}]
    (group / ".zattrs").write_text(json.dumps({"multiscales": [{"datasets": datasets}]}))
    (group / "s0" / ".zarray").write_text(json.dumps({"chunks": [64, 64, 64], "dimension_separator": separator}))
    path = group / "s0" / chunk
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def place_row(crop_id: int, dataset: str, bucket: str = "s3://bucket") -> str:
    store = f"{bucket}/{dataset}/{dataset}.zarr/recon-1"
    return f"{crop_id},{dataset},recon-1,{store}/labels/groundtruth/crop{crop_id},{store}/em/fibsem-uint8\n"
