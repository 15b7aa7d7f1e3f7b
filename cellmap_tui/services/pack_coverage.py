"""The coverage matrix: what there is of each required volume, what a gap costs and what fills it.

Looks at names and metadata alone, so that it is quick enough for a screen; voxels are looked at when
they are packed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.evaluate_targets import Target, find_prediction
from cellmap_tui.services.pack_model import WRONG_STATES, Cell, Coverage, Fix, PackRequest
from cellmap_tui.services.pack_sources import (
    PREDICTIONS,
    Place,
    Places,
    below,
    expected_words,
    find_places,
    open_place,
    required_volumes,
)
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.scoring.sources import Source
    from cellmap_tui.services.pack_model import CellState
    from cellmap_tui.services.report import Reporter

__all__ = ["coverage", "coverage_of", "expected_words"]

NOTHING = Fix("none", "", "")


def coverage(request: PackRequest, report: Reporter | None = None) -> Coverage:
    """Return what there is of each required volume.

    Parameters
    ----------
    request
        Which predictions; a zip or folder of a submission is looked through like any other.
    report
        Told volumes as they are looked at.

    Raises
    ------
    MissingDataError
        If there is nothing at the place that was named.
    CellmapError
        If manifest, mapping or zip are wrong.
    """
    report = report or SilentReporter()
    required = required_volumes(request, report)
    try:
        places = find_places(request, required)
    except FileNotFoundError:
        if request.input is not None:
            raise
        places = Places("", {})
    return coverage_of(request, required, places, report)


def coverage_of(request: PackRequest, required: Sequence[Annotation], places: Places, report: Reporter) -> Coverage:
    """Return what there is of each required volume, given where the predictions lie."""
    weights = _Weights(required)
    cells = []
    for done, annotation in enumerate(required):
        report.checkpoint()
        report.progress(done, len(required), "volumes")
        place = places.found.get((annotation.crop.name, annotation.class_name))
        cells.append(_cell(request, annotation, place, weights))
    report.progress(len(required), len(required), "volumes")
    return Coverage(
        input=places.input,
        crops=tuple(dict.fromkeys(annotation.crop.name for annotation in required)),
        classes=tuple(dict.fromkeys(_class_order(required))),
        cells=tuple(cells),
        notes=() if places.found else (f"nothing is there yet: expected {expected_words(places.input, required)}",),
    )


class _Weights:
    """How much each volume counts."""

    def __init__(self, required: Sequence[Annotation]) -> None:
        from cellmap_tui.scoring.profiles import scoring_of

        self._voxels: Counter[str] = Counter()
        for annotation in required:
            self._voxels[annotation.class_name] += annotation.grid.voxels
        self._classes = Counter(scoring_of(label) for label in self._voxels)

    def share(self, annotation: Annotation) -> float:
        """Return the share of the voxels of the class."""
        return annotation.grid.voxels / self._voxels[annotation.class_name]

    def loss(self, annotation: Annotation) -> float:
        """Return the largest loss of the mean over the classes of its kind."""
        from cellmap_tui.scoring.profiles import scoring_of

        return self.share(annotation) / self._classes[scoring_of(annotation.class_name)]


def _class_order(required: Sequence[Annotation]) -> list[str]:
    """Return the class names in the order of the challenge's ids; those it does not know last."""
    from cellmap_tui.challenge.classes import builtin_classes

    order = {info.name: place for place, info in enumerate(builtin_classes())}
    return sorted({a.class_name for a in required}, key=lambda name: (order.get(name, len(order)), name))


def _cell(request: PackRequest, annotation: Annotation, place: Place | None, weights: _Weights) -> Cell:
    from cellmap_tui.scoring.profiles import scoring_of
    from cellmap_tui.services.validate_submission import cost_words

    state: CellState = "missing"
    words, remedy = "", ""
    if place is not None:
        state, words, remedy = _state(place, annotation)
    label, voxels, share = annotation.class_name, annotation.grid.voxels, weights.share(annotation)
    is_gap = state == "missing" or state in WRONG_STATES
    return Cell(
        crop=annotation.crop.name,
        dataset=annotation.crop.dataset,
        label=label,
        kind=scoring_of(label),
        state=state,
        voxels=voxels,
        share_of_class=share,
        words=words,
        cost=cost_words(label, voxels, share) if is_gap else _cost_of(state, voxels),
        loss=weights.loss(annotation) if is_gap or state == "empty" else 0.0,
        fix=replace(_fix(request, annotation, state), words=remedy) if remedy else _fix(request, annotation, state),
        path="" if place is None else place.name,
    )


def _state(place: Place, annotation: Annotation) -> tuple[CellState, str, str]:
    """Return what a prediction is, what there is to say about it, and what to do where it cannot be read."""
    try:
        source = open_place(place, annotation)
        try:
            state, words = state_of(source, annotation, has_voxels=_has_voxels(place, source))
            return state, words, _placing(annotation) if state == "outside" else ""
        finally:
            close = getattr(source.volume, "close", None)
            if close is not None:
                close()
    except CellmapError as error:
        return "unreadable", printable(error.message), error.remedy


def _placing(annotation: Annotation) -> str:
    """Return what to do about a prediction that shares no voxel with its crop."""
    place = triple(annotation.grid.translation_nm, " ")
    return f"the centre of voxel 0 of {annotation.crop.name} is at {place} nm, z y x: write that as its translation"


def state_of(source: Source, annotation: Annotation, *, has_voxels: bool) -> tuple[CellState, str]:
    """Return what an opened prediction is to its volume, and what there is to say about it.

    Raises
    ------
    DataError
        If it has too many voxels for this crop.
    """
    import numpy as np

    from cellmap_tui.scoring.alignment import aligned
    from cellmap_tui.scoring.profiles import scoring_of

    target = annotation.grid
    placed = aligned(source, target, scoring_of(annotation.class_name))
    if not placed.is_inside:
        return "outside", f"lies outside the crop, at {triple(source.translation_nm or (0, 0, 0), ' ')} nm"
    if not has_voxels:
        return "empty", "holds nothing"
    size = source.voxel_size_nm
    if size is not None and not np.allclose(size, target.voxel_size_nm):
        words = f"{voxel(size)} nm, resampled to {voxel(target.voxel_size_nm)} nm"
        if any(placed.shift):
            words += f" and moved by {triple(placed.shift, ' ')} voxels, as the scorer takes its translation"
        if _covers(placed.window, placed.shift, target.shape):
            return "resampled", words
        return "wrong-shape", f"{words}: cut off or filled with zeros"
    if placed.shift == (0, 0, 0) and source.volume.shape == target.shape:
        return "present", "" if size else "no voxel size: taken for the crop's"
    words = f"{triple(source.volume.shape)} voxels, the crop has {triple(target.shape)}"
    if any(placed.shift):
        words += f"; moved by {triple(placed.shift, ' ')} voxels"
    return "wrong-shape", f"{words}: cut off or filled with zeros"


def _covers(window: tuple[Sequence[int], Sequence[int]], shift: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether what is used of a prediction fills the crop, but for a voxel of rounding."""
    low, high = window
    return all(a + s <= 1 and b + s >= n - 1 for a, b, s, n in zip(low, high, shift, shape, strict=True))


def _has_voxels(place: Place, source: Source) -> bool:
    """Return whether an array has any chunk on disk; stacks always have."""
    store, key = getattr(source.volume, "store", None), getattr(source.volume, "key", None)
    if store is None or key is None or place.stack is not None:
        return True
    if any(not name.startswith(".") for name in store.files(key)):
        return True
    return bool(store.folders(key))


def _cost_of(state: CellState, voxels: int) -> str:
    costs: Mapping[str, str] = {
        "wrong-shape": "what is cut off is lost, what is filled in counts as background",
        "empty": "nothing of the class is found here; right only where there is none",
    }
    return costs.get(state, "")


def _fix(request: PackRequest, annotation: Annotation, state: CellState) -> Fix:
    """Return the next step towards a volume: of the journey, the first that was not made."""
    crop = annotation.crop
    if state in ("present", "resampled"):
        return NOTHING
    if request.input is not None or request.data_root is None:
        if state == "missing":
            return Fix("pack-results", "pack-results --fill-missing zeros", "an empty volume costs less than none")
        words = "write it again at the crop's voxel size, shape and translation"
        if state == "empty":
            words = "if something should be there, make it again"
        return Fix("process", f"process --crops {crop.id}", words)
    return journey_step(request.data_root, annotation)


def journey_step(data_root: Path, annotation: Annotation) -> Fix:
    """Return the step of the journey that comes next for a volume that is not in the processed folder."""
    from cellmap_tui.challenge.layout import crop_em_path

    crop = annotation.crop
    target = Target(crop, crop.name, annotation.class_name, Path())
    if find_prediction(below(data_root, PREDICTIONS), target, is_only=False) is not None:
        return Fix("process", f"process --crops {crop.id}", "it is predicted and not processed")
    if (data_root / crop_em_path(crop)).is_dir():
        return Fix("predict", f"predict --crops {crop.id}", f"{annotation.class_name} is not predicted here")
    return Fix("fetch-data", f"fetch-data --crops {crop.id}", "the EM of the crop is not on disk")
