"""What lies below the data root: whether there is anything, how many crops, how large, how much is free."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellmap_tui.services.settings import Settings

WALK_S = 2.0
"""Sizes are summed for this long and then given as a lower bound; a data root may hold millions of chunks."""


@dataclass(frozen=True, slots=True)
class LocalData:
    """What a data root holds."""

    data_root: Path
    """The folder."""
    full_crops: int
    """Crops of which everything is there."""
    partial_crops: int
    """Crops of which a part is there."""
    datasets: int
    """Number of datasets that have something local."""
    known_crops: int
    """Crops of the catalog, local or not."""
    notes: tuple[str, ...]
    """What of the catalog or the data root is damaged."""
    size_bytes: int
    """Size of the files that were counted."""
    counted_all: bool
    """Whether all files were counted within the time."""
    free_bytes: int | None
    """Free space on its disk; None when it is not known."""


def anything_local(data_root: Path) -> bool:
    """Tell at once, by the names of folders alone, whether a data root holds any dataset."""
    try:
        return any((entry / f"{entry.name}.zarr").is_dir() for entry in data_root.iterdir())
    except OSError:
        return False


def survey(settings: Settings, stop: Callable[[], bool] = lambda: False) -> LocalData:
    """Look at the data root: which crops are there, how large, how much room is left; takes seconds at most.

    Raises
    ------
    RequestError
        If the data root is a file or cannot be read.
    """
    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.challenge.layout import local_share
    from cellmap_tui.services.settings import checked_data_root

    data_root = checked_data_root(settings)
    catalog = load_catalog(data_root=data_root, state_dir=settings.state_dir)
    shares = {crop.ref: local_share(data_root, crop) for crop in catalog.crops if not stop()}
    held = [crop for crop in catalog.crops if shares.get(crop.ref)]
    size_bytes, counted_all = folder_size(data_root, stop)
    return LocalData(
        data_root=data_root,
        full_crops=sum(shares[crop.ref] == 1 for crop in held),
        partial_crops=sum(shares[crop.ref] < 1 for crop in held),
        datasets=len({crop.dataset for crop in held}),
        known_crops=len(catalog.crops),
        notes=tuple(catalog.notes),
        size_bytes=size_bytes,
        counted_all=counted_all,
        free_bytes=free_bytes(data_root),
    )


def free_bytes(path: Path) -> int | None:
    """Return the free space of the disk that holds, or would hold, a folder."""
    import shutil

    for place in (path, *path.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def folder_size(folder: Path, stop: Callable[[], bool], budget_s: float = WALK_S) -> tuple[int, bool]:
    """Sum the sizes of the files below a folder until the time is up.

    Returns
    -------
    tuple[int, bool]
        Bytes, and whether everything was counted.
    """
    total = 0
    end = time.monotonic() + budget_s
    for parent, _folders, names in os.walk(folder):
        if stop() or time.monotonic() > end:
            return total, False
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - twice as fast here
            except OSError:
                continue
    return total, True
