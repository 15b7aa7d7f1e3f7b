"""Which crops a proposal looks at, which test volumes count, and what a scan of their labels finds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.targets import class_source, read_targets, targets_of
from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.text import count

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.services.content_scan import LabelArray
    from cellmap_tui.services.propose_model import ProposeRequest
    from cellmap_tui.services.report import Reporter

FEW_TARGETS = 8
"""Up to so many targets, all of them are scanned; beyond, only those whose objects count."""


@dataclass(frozen=True, slots=True)
class ChosenCrops:
    """The crops of a proposal."""

    crops: tuple[Crop, ...]
    """Crops to learn from."""
    tests: tuple[Crop, ...]
    """Test crops that are scored."""
    words: str
    """Which crops those are."""


def choose_crops(request: ProposeRequest, catalog: Catalog) -> ChosenCrops:
    """Return the crops to look at.

    Raises
    ------
    CellmapError
        If none is left, or the filter or the split is wrong.
    """
    excluded = _excluded(catalog)
    if request.datasplit is not None:
        crops, words = _of_split(request.datasplit, catalog)
    elif request.crops:
        crops, words = catalog.select(request.crops), f"crops of '{request.crops}'"
    else:
        every = tuple(crop for crop in catalog.crops if crop.split == "train")
        crops = tuple(crop for crop in every if catalog.is_local(crop))
        words = "crops on disk" if crops else "training crops, none of them on disk"
        crops = crops or every
    crops = tuple(crop for crop in crops if crop.split == "train" and crop.ref not in excluded)
    if not crops:
        raise RequestError("no training crop is chosen", "widen --crops; test crops have no labels")
    words = words if len(crops) > 1 else words.replace("crops", "crop", 1)
    kept = f"{count(len(crops))} {words}" + (f", {len(excluded)} set aside" if excluded else "")
    return ChosenCrops(crops, _tests(catalog, crops), kept)


def choose_targets(request: ProposeRequest, catalog: Catalog, crops: tuple[Crop, ...]) -> Targets:
    """Return what is to be learned; by default every scored class that one of the crops knows something of.

    Raises
    ------
    CellmapError
        If the file of targets is wrong, a class is not known, or the crops annotate nothing that is scored.
    """
    labels = catalog.vocabulary.other_classes
    if request.targets is not None:
        return read_targets(request.targets, catalog.classes, labels=labels)
    names = request.classes
    if not names:
        names = _learnable(catalog, crops)
    if not names:
        raise RequestError("the crops annotate no class that is scored", "name classes with -c")
    return targets_of(names, catalog.classes, labels=labels)


def _learnable(catalog: Catalog, crops: tuple[Crop, ...]) -> tuple[str, ...]:
    """Return the scored classes that a crop knows in every voxel, and the crops' own labels."""
    labels = catalog.vocabulary.other_classes
    sets = {crop.classes for crop in crops}
    scored = (
        info.name
        for info in catalog.classes.scored
        if any(class_source(info.name, annotated, catalog.classes, labels=labels).complete for annotated in sets)
    )
    return (*scored, *sorted(labels & frozenset().union(*sets)))


def scan_objects(
    request: ProposeRequest, catalog: Catalog, chosen: ChosenCrops, targets: Targets, report: Reporter
) -> dict[tuple[str, str], LabelContent]:
    """Look through the labels on disk for objects; what is known already is not read again.

    Returns
    -------
    dict
        By crop and class; empty where nothing is on disk or the request says not to look.
    """
    from cellmap_tui.services.content_cache import ContentCache
    from cellmap_tui.services.content_scan import label_arrays, scan_labels

    if not request.scan or request.data_root is None:
        return {}
    labels = catalog.vocabulary.other_classes
    wanted = [t for t in targets.targets if t.kind == "instance" or len(targets.targets) <= FEW_TARGETS]
    arrays: list[LabelArray] = []
    for crop in chosen.crops:
        sources = (class_source(n, crop.classes, catalog.classes, labels=labels) for t in wanted for n in t.classes)
        names = {name for source in sources for name in source.arrays}
        if names and catalog.is_local(crop):
            arrays += label_arrays(request.data_root, crop, names)
    if not arrays:
        return {}
    cache = ContentCache(request.data_root, request.state_dir)
    found = scan_labels(arrays, cache, report, with_objects=True)
    return {key: scanned.content for key, scanned in found.items() if scanned.content is not None}


def _excluded(catalog: Catalog) -> frozenset[str]:
    if catalog.data_root is None:
        return frozenset()
    from cellmap_tui.challenge.exclusions import read_exclusions

    return frozenset(read_exclusions(catalog.data_root))


def _of_split(path: Path, catalog: Catalog) -> tuple[tuple[Crop, ...], str]:
    from cellmap_tui.challenge.datasplit import read_split

    crops, unknown = [], []
    for row in read_split(path).train:
        try:
            crop = catalog.find(row.ref)
            classes = tuple(name for name in crop.classes if name in row.classes) if row.classes else crop.classes
            crops.append(dataclasses.replace(crop, classes=classes))
        except CellmapError:
            unknown.append(row.ref)
    if not crops:
        raise RequestError(
            f"no training crop of {path} is in the catalog", f"such as {unknown[0]}" if unknown else ""
        )
    words = f"training crops of {path.name}"
    return tuple(crops), words + (f" ({len(unknown)} more are in no catalog)" if unknown else "")


def _tests(catalog: Catalog, crops: tuple[Crop, ...]) -> tuple[Crop, ...]:
    """Return the test crops of the same source: a demo is not scored on the challenge's volumes."""
    sources = {crop.source for crop in crops}
    tests = tuple(crop for crop in catalog.crops if crop.split == "test" and crop.source in sources)
    return tests if tests or sources != {"manifest"} else tuple(c for c in catalog.crops if c.split == "test")
