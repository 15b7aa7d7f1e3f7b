"""What lies below the data root: whether there is anything, how many crops, how large, how much is free."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    datasets: tuple[str, ...]
    """Names of the datasets that have something local."""
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
