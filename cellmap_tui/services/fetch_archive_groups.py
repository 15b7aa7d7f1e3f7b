"""Make every folder between a dataset's ``.zarr`` and its arrays a Zarr group, as `fetch-data` does.

An archive may lack them, because the bucket has no object there; without them a store cannot be walked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import groundtruth_path, store_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def add_groups(data_root: Path, datasets: Iterable[str]) -> None:
    """Write the missing ``.zgroup`` files of some datasets."""
    from cellmap_tui.volumes.publish import write_json

    for dataset in datasets:
        for folder in _groups_of(data_root, dataset):
            if folder.is_dir() and not any((folder / name).exists() for name in (".zgroup", ".zarray")):
                write_json(folder / ".zgroup", {"zarr_format": 2})


def _groups_of(data_root: Path, dataset: str) -> Iterator[Path]:
    store = data_root / store_path(dataset)
    yield store
    for alignment in sorted(store.iterdir()):
        if alignment.is_dir():
            crops = data_root / groundtruth_path(dataset, alignment.name)
            yield from (alignment, alignment / "em", crops.parent, crops)
            yield from sorted(crops.glob("crop*"))
