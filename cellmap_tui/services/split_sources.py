"""Crops that a split may take: those of the catalog on disk, those below a search path, those of a bucket.

Owns where EM and labels of a crop lie and which of its labels are there; what they hold and which
crops are used is decided elsewhere.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_em_path, crop_path, local_classes, store_path
from cellmap_tui.errors import MissingDataError, RequestError, UnknownNameError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.split_model import SplitRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A crop that may be used."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    dataset: str
    """Its dataset."""
    space: str
    """What its coordinates are shared with: dataset and alignment."""
    grid: Grid
    """Voxel size, translation and shape of its labels."""
    annotated: tuple[str, ...]
    """Classes that are annotated in it."""
    available: tuple[str, ...]
    """Those of them whose label groups are there."""
    em_file: str
    """Store of the EM."""
    em_path: str
    """Multiscale group of the EM in it."""
    label_file: str
    """Store of the labels."""
    label_path: str
    """Folder of its label groups in it."""
    class_grids: tuple[tuple[str, Grid], ...] = ()
    """Grids of classes whose labels differ from `grid`."""
    empty: frozenset[str] = frozenset()
    """Classes known to be absent without reading: a bucket has no chunk of them."""
    em_problem: str = ""
    """Why its EM cannot be used, with what helps; empty where it can."""

    @property
    def label_folder(self) -> Path:
        """Folder of its label groups, where they are on disk."""
        return Path(self.label_file) / self.label_path

    @property
    def em_folder(self) -> Path:
        """Group of its EM, where it is on disk."""
        return Path(self.em_file) / self.em_path

    def voxel_size_of(self, name: str) -> Vec3:
        """Return the voxel size of a class's labels."""
        grids = dict(self.class_grids)
        return grids.get(name, self.grid).voxel_size_nm


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    candidates: tuple[Candidate, ...]
    """Crops, by name."""
    not_local: int = 0
    """Crops of the catalog of which no label is on disk, where all were asked for."""
    notes: tuple[str, ...] = ()
    """What is worth knowing."""


def chosen_crops(request: SplitRequest, catalog: Catalog) -> tuple[Crop, ...]:
    """Return the training crops of the catalog that a request names.

    Raises
    ------
    RequestError
        If a dataset or crop does not exist, or only test crops are named.
    """
    named = request.crops.strip()
    crops = catalog.select("all" if named in {"", "*"} else named)
    train = tuple(crop for crop in crops if crop.split == "train")
    if not train:
        raise RequestError(f"--crops {printable(named)} names test crops alone", "their labels are not published")
    wanted = [name for name in request.datasets if name != "*"]
    if not wanted:
        return train
    check_datasets(wanted, catalog.datasets)
    kept = tuple(crop for crop in train if matches(crop.dataset, wanted))
    if not kept:
        raise RequestError(f"none of the crops is of {', '.join(wanted)}", "change --datasets or --crops")
    return kept


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name is one of the patterns; upper and lower case differ."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def check_datasets(patterns: Iterable[str], known: Sequence[str]) -> None:
    """Raise for a pattern that no dataset matches; names the nearest."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            near = nearest(pattern, known)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known[:5])}"
            raise UnknownNameError(f"no dataset is called {printable(pattern)!r}", hint)


def find_local(request: SplitRequest, catalog: Catalog) -> Found:
    """Return the crops of the catalog that have labels below the data root.

    Raises
    ------
    MissingDataError
        If none has.
    RequestError
        If a dataset or crop does not exist.
    """
    root = request.data_root
    assert root is not None  # the request was checked
    crops = chosen_crops(request, catalog)
    local = [(crop, local_classes(root, crop)) for crop in crops]
    is_all = request.crops.strip() in {"all", "", "*"}
    listed = [(crop, names) for crop, names in local if names or not is_all]
    if not any(names for _, names in local):
        what = "no crop" if is_all else f"none of the {len(crops)} crops named"
        raise MissingDataError(
            f"{what} has labels below {root}", f"cellmap-tui fetch-data --crops {_few(crops)} --dest {root}"
        )
    candidates = tuple(_local(root, crop, names) for crop, names in listed)
    return Found(candidates, len(local) - len(listed))


def _few(crops: Sequence[Crop]) -> str:
    return ",".join(str(crop.id) for crop in crops[:5])


def _local(root: Path, crop: Crop, names: frozenset[str]) -> Candidate:
    from cellmap_tui.challenge.presence import has_em

    root = root.absolute()
    store = root / store_path(crop.dataset)
    fetch = f"cellmap-tui fetch-data --crops {crop.ref}"
    return Candidate(
        ref=crop.ref,
        dataset=crop.dataset,
        space=f"{crop.dataset}/{crop.alignment}",
        grid=crop.grid,
        annotated=crop.classes,
        available=tuple(name for name in crop.classes if name in names),
        em_file=str(store),
        em_path=str((root / crop_em_path(crop)).relative_to(store)),
        label_file=str(store),
        label_path=str((root / crop_path(crop)).relative_to(store)),
        class_grids=crop.class_grids,
        em_problem="" if not names or has_em(root, crop) else f"no EM under it on disk: {fetch}",
    )
