"""Overwriting: what is there of the chosen crops is removed, once, before it is fetched again.

A marker beside the data says that the removal has begun. A fetch that was stopped or killed after it goes
on as one that appends, so what it had fetched anew stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_path, sidecar_path
from cellmap_tui.errors import CellmapError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.fetch_plan import Prepared

_FOLDER = "overwrites"
_WHAT = ("crops", "classes", "raw_padding", "raw_padding_nm", "levels", "fetch_all_em_resolutions", "manifest")


def is_under_way(request: FetchRequest) -> bool:
    """Return whether an earlier fetch of the same crops has removed them already."""
    return _marker(request).exists()


def check_confirmed(request: FetchRequest) -> None:
    """Refuse to overwrite what nobody confirmed.

    Raises
    ------
    RefusedError
        If there is something to overwrite and no ``--yes``.
    """
    if not request.yes and any(request.data_root.glob("*/*.zarr")):
        raise RefusedError(
            f"--access-mode overwrite removes what {request.data_root} has of these crops, then fetches it again",
            "confirm with --yes, or leave it out: append keeps what is verified",
        )


def remove_once(request: FetchRequest, prepared: Prepared) -> None:
    """Remove the labels of the planned crops, and the chunks of EM and the metadata that the plan fetches.

    Raises
    ------
    CellmapError
        If something cannot be removed.
    """
    root = request.data_root
    marker = _marker(request)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({"version": 1, "time": round(time.time())}) + "\n", encoding="utf-8")
        for crop in prepared.crops:
            folder = root / crop_path(crop)
            for path in [folder / name for name in request.classes] or [folder]:
                _remove_folder(path)
        for planned in prepared.objects:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(f"{root}/{planned.key}")  # noqa: PTH108 - once for every object
    except OSError as error:
        raise CellmapError(
            f"{error.filename or root} cannot be removed: {error.strerror}", "check the permissions"
        ) from None


def finish(request: FetchRequest) -> None:
    """Forget that an overwriting is under way: it is complete."""
    with contextlib.suppress(OSError):
        _marker(request).unlink(missing_ok=True)


def _remove_folder(path: Path) -> None:
    """Remove a folder of labels; what is linked to from it stays."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _marker(request: FetchRequest) -> Path:
    what = json.dumps([getattr(request, name) for name in _WHAT], default=str)
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    return sidecar_path(request.data_root, _FOLDER) / f"{name}.json"
