"""Crops found by the templates of the official toolbox: ``--search-path``, ``--raw-name``, ``--crop-name``.

A search path has ``{dataset}`` and ``{name}``; a name is the path of the EM, or of a label with ``{crop}`` and
``{label}``. Everything is read from disk: which classes there are, and their grids.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.datasplit import split_path
from cellmap_tui.challenge.layout import ALL_IDS
from cellmap_tui.errors import CellmapError, MissingDataError, RequestError
from cellmap_tui.services.split_sources import Candidate, Found, check_datasets, matches
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.split_model import SplitRequest

SEARCH_PATH = "{dataset}/{dataset}.zarr/recon-1/{name}"
"""Default below the data root, as the official toolbox has it."""
RAW_NAME = "em/fibsem-uint8"
CROP_NAME = "labels/groundtruth/{crop}/{label}"
_FIELD = re.compile(r"\{(\w*)\}")


def find_searched(request: SplitRequest) -> Found:
    """Return the crops that the templates of a request find on disk.

    Raises
    ------
    MissingDataError
        If they find none.
    RequestError
        If a template lacks a field or has an unknown one, or a dataset does not exist.
    """
    search = request.search_path or str((request.data_root or Path()) / SEARCH_PATH)
    search = os.path.abspath(os.path.expanduser(search))  # noqa: PTH100, PTH111 - braces are no path yet
    _check(search, {"dataset", "name"}, "--search-path")
    crop_name = request.crop_name or CROP_NAME
    _check(crop_name, {"crop", "label"}, "--crop-name")
    if not crop_name.rstrip("/").endswith("/{label}"):
        raise RequestError(f"--crop-name {printable(crop_name)} does not end with /{{label}}", f"as in {CROP_NAME}")
    labels = search.replace("{name}", crop_name.strip("/"))
    folders = _label_folders(labels)
    if not folders:
        raise MissingDataError(f"nothing on disk matches {printable(labels)}", "check --search-path and --crop-name")
    wanted = [name for name in request.datasets if name != "*"]
    check_datasets(wanted, sorted({dataset for dataset, _ in folders.values()}))
    crops = [name for name in re.split(r"[\s,]+", request.crops) if name not in {"", "all", "*"}]
    candidates, notes = [], []
    for folder, (dataset, crop) in sorted(folders.items()):
        if (wanted and not matches(dataset, wanted)) or (crops and not _is_named(dataset, crop, crops)):
            continue
        try:
            candidates.append(_candidate(folder, dataset, crop, search, request.raw_name or RAW_NAME))
        except CellmapError as error:
            notes.append(f"{dataset}/{crop} is passed over: {error.message}")
    if not candidates:
        raise MissingDataError("none of the crops found on disk is meant", "change --datasets or --crops")
    return Found(tuple(candidates), notes=tuple(notes))


def _check(template: str, fields: set[str], flag: str) -> None:
    found = set(_FIELD.findall(template))
    if missing := sorted(fields - found):
        lacking = " and ".join(f"{{{name}}}" for name in missing)
        raise RequestError(f"{flag} {cut_middle(printable(template), 60)} lacks {lacking}")
    if unknown := sorted(found - fields - {"name"}):
        raise RequestError(
            f"{flag}: {{{unknown[0]}}} is no field", "fields are {dataset}, {name}, {crop} and {label}"
        )


def _label_folders(template: str) -> dict[str, tuple[str, str]]:
    """Return the folders of crops with dataset and crop, found by a template that ends with ``/{label}``."""
    crops = template.rstrip("/").removesuffix("/{label}")
    pattern = re.compile(_regex(crops))
    found = {}
    for folder in glob.glob(_FIELD.sub("*", glob.escape(crops))):  # noqa: PTH207 - the whole path is a pattern
        match = pattern.fullmatch(folder)
        if match is not None and os.path.isdir(folder):  # noqa: PTH112
            found[folder] = (match["dataset"], match["crop"])
    return found


def _regex(template: str) -> str:
    """Return a pattern in which a field that stands twice means the same text twice."""
    parts, seen, position = [], set(), 0
    for match in _FIELD.finditer(template):
        parts.append(re.escape(template[position : match.start()]))
        name = match[1]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
        seen.add(name)
        position = match.end()
    return "".join([*parts, re.escape(template[position:])])


def _is_named(dataset: str, crop: str, names: list[str]) -> bool:
    plain = crop.removeprefix("crop")
    return matches(crop, names) or plain in names or f"{dataset}/{crop}" in names or f"{dataset}/{plain}" in names


def _candidate(folder: str, dataset: str, crop: str, search: str, raw_name: str) -> Candidate:
    from cellmap_tui.volumes.ngff import is_volume, open_volume

    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and e.name != ALL_IDS and is_volume(Path(e.path)))
    if not names:
        raise MissingDataError(f"{folder} has no label groups")
    grids: dict[str, Grid] = {name: open_volume(Path(folder) / name).finest.grid for name in names}
    grid = grids[names[0]]
    em = search.replace("{name}", raw_name.strip("/")).replace("{dataset}", dataset)
    if not os.path.isdir(em) and os.path.isdir(em.replace(".zarr", ".n5")):  # noqa: PTH112
        em = em.replace(".zarr", ".n5")
    em_file, em_path = split_path(em)
    label_file, label_path = split_path(folder)
    return Candidate(
        ref=f"{dataset}/{crop}",
        dataset=dataset,
        space=em,
        grid=grid,
        annotated=tuple(names),
        available=tuple(names),
        em_file=em_file,
        em_path=em_path,
        label_file=label_file,
        label_path=label_path,
        class_grids=tuple((name, other) for name, other in grids.items() if other != grid),
        em_problem="" if os.path.isdir(em) else f"no EM at {em}",  # noqa: PTH112
    )
