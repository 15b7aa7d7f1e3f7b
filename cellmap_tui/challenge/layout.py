"""Where things lie below the data root and in the bucket, and which names may become paths.

Paths are relative and the same on disk and in the bucket. Nothing here reads the content of data;
`local_share` asks the file system which parts of a crop exist.
"""

from __future__ import annotations

import os
import re
import string
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop

DEFAULT_ALIGNMENT = "recon-1"
DEFAULT_EM = "fibsem-uint8"
SIDECAR = ".cellmap-tui"
"""Folder beside the data for what the tool remembers about them."""
ALL_IDS = "all"
"""Name of the array that holds every id of a crop at once."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")


def checked_name(name: str, what: str = "name") -> str:
    """Return `name` if it can be a folder name everywhere.

    Parameters
    ----------
    name
        A dataset, class or other name that becomes part of a path.
    what
        What the name is, for the error.

    Raises
    ------
    RequestError
        If it is empty, longer than 100 characters, begins with a dot or dash, or has other characters
        than ASCII letters, digits and ``. _ + -``.
    """
    if isinstance(name, str) and _SAFE_NAME.fullmatch(name):
        return name
    shown = cut_middle(printable(str(name)), 60)
    raise RequestError(
        f"{what} {shown!r} cannot be a folder name",
        "use up to 100 letters, digits and . _ + - and begin with a letter, digit or _",
    )


def template_fields(template: str) -> list[str]:
    """Return the fields of a folder for results, such as ``out/{dataset}/{crop}``; a plain folder has none.

    Raises
    ------
    RequestError
        If it has another field than ``{dataset}`` and ``{crop}``, or a brace alone.
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        fields = ["{"]
    wrong = next((name for name in fields if name not in ("dataset", "crop")), None)
    if wrong is not None:
        raise RequestError(f"output {template!r}: {{{wrong}}} means nothing", "use {dataset} and {crop}")
    return fields


def store_path(dataset: str) -> PurePosixPath:
    """Return the zarr store of a dataset."""
    return PurePosixPath(dataset, f"{dataset}.zarr")


def em_path(dataset: str, alignment: str = DEFAULT_ALIGNMENT, em_name: str = DEFAULT_EM) -> PurePosixPath:
    """Return the multiscale group of a dataset's EM."""
    return store_path(dataset) / alignment / "em" / em_name


def crop_em_path(crop: Crop) -> PurePosixPath:
    """Return the multiscale group of the EM that a crop lies in."""
    return em_path(crop.dataset, crop.alignment, crop.em_name)


def groundtruth_path(dataset: str, alignment: str = DEFAULT_ALIGNMENT) -> PurePosixPath:
    """Return the folder of a dataset's crops."""
    return store_path(dataset) / alignment / "labels" / "groundtruth"


def crop_path(crop: Crop) -> PurePosixPath:
    """Return the folder of a crop's label groups."""
    return groundtruth_path(crop.dataset, crop.alignment) / crop.name


def label_path(crop: Crop, class_name: str) -> PurePosixPath:
    """Return the multiscale group of a class in a crop; `ALL_IDS` for all ids together."""
    return crop_path(crop) / class_name


def sidecar_path(data_root: Path, name: str) -> Path:
    """Return the path of a file that the tool keeps beside the data."""
    return data_root / SIDECAR / name


def local_classes(data_root: Path, crop: Crop) -> frozenset[str]:
    """Return the classes of a crop whose label groups exist on disk."""
    try:
        with os.scandir(data_root / crop_path(crop)) as entries:
            present = {entry.name for entry in entries if entry.is_dir()}
    except OSError:
        return frozenset()
    return frozenset(present.intersection(crop.classes))


def is_local(data_root: Path, crop: Crop) -> bool:
    """Return whether any data of the crop exist: label groups, or EM under its box."""
    from cellmap_tui.challenge.presence import has_em

    if not (data_root / crop.dataset).is_dir():
        return False
    return bool(local_classes(data_root, crop)) or has_em(data_root, crop)


def local_share(data_root: Path, crop: Crop) -> float:
    """Return which share of a crop exists on disk, 0 to 1: its class groups, and EM under its box.

    Test crops are published without labels: for them EM alone is everything, and labels that exist count with it.
    """
    from cellmap_tui.challenge.presence import has_em

    if not (data_root / crop.dataset).is_dir():
        return 0.0
    present = len(local_classes(data_root, crop))
    expected = len(crop.classes) if crop.split == "train" or present else 0
    return (present + has_em(data_root, crop)) / (expected + 1)
