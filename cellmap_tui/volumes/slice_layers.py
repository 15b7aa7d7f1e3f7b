"""What is drawn over the EM of a slice: ground truth, predictions, and where the two differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.text import count
from cellmap_tui.volumes.comparison import (
    ERROR_COLOURS,
    ERROR_NAMES,
    FN,
    FP,
    PREDICTED_OUTLINE,
    PROCESSED_OUTLINE,
    TP,
    errors,
    foreground,
)
from cellmap_tui.volumes.crop_labels import LabelSlice, LegendEntry, Mark, marks_of
from cellmap_tui.volumes.pixels import PLANES
from cellmap_tui.volumes.planes import PixelPlane
from cellmap_tui.volumes.slices import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.volumes.colours import RGB
    from cellmap_tui.volumes.crop_labels import Kind, LabelChoice, Labels
    from cellmap_tui.volumes.pixels import Pixels
    from cellmap_tui.volumes.planes import Predicted, Sampled

MOST_CLASSES = 8
"""Predicted classes that are drawn when none is named."""
_OUTLINES = {"predictions": PREDICTED_OUTLINE, "processed": PROCESSED_OUTLINE}
_ERRORS_OF = ("processed", "predictions")
"""Errors are those of the last step that there is."""


def read_layers(
    kinds: Sequence[Kind],
    labels: Labels,
    wanted: LabelChoice,
    predicted: Mapping[str, Predicted],
    pixels: Pixels,
    voxel: Shape3,
    is_stale: Callable[[], bool],
    *,
    threshold: float | None = None,
) -> LabelSlice:
    """Read everything that is drawn over the EM, lowest first.

    Where `predicted` has ``gt``, the truth is that source's, in place of the labels in the data root.

    Raises
    ------
    CellmapError
        As `Labels.read`, and if predictions cannot be read.
    Stopped
        If `is_stale` says so.
    """
    if not kinds:
        return LabelSlice((), np.zeros(pixels.shape, np.bool_), (), (), ())
    if tuple(kinds) == ("gt",) and "gt" not in predicted:
        return labels.read(wanted, pixels, voxel, is_stale)
    plane = _Plane(labels, wanted, pixels, voxel, threshold)
    has_truth = "gt" in kinds
    if has_truth and "gt" in predicted:
        plane.add_truth(predicted["gt"], is_stale)
    elif has_truth:
        plane.take(labels.read(_as_predicted(wanted, kinds, predicted, labels), pixels, voxel, is_stale))
    for kind in kinds:
        if kind in {"predictions", "processed"}:
            plane.add_predicted(kind, predicted.get(kind), is_stale, over_truth=has_truth)
    if "error" in kinds:
        kind_of_errors = next((kind for kind in _ERRORS_OF if kind in predicted), "predictions")
        plane.add_errors(kind_of_errors, predicted.get(kind_of_errors), is_stale)
    return plane.drawn


def _as_predicted(
    wanted: LabelChoice, kinds: Sequence[Kind], predicted: Mapping[str, Predicted], labels: Labels
) -> LabelChoice:
    """Return the truth that goes with predictions: the same classes, as far as they are annotated here."""
    if wanted.classes:
        return wanted
    names = {name for kind in kinds if kind in predicted for name in predicted[kind].classes}
    return replace(wanted, classes=tuple(name for name in labels.local if name in names))


@dataclass
class _Plane:
    """What is gathered for one picture."""

    labels: Labels
    wanted: LabelChoice
    pixels: Pixels
    voxel: Shape3
    threshold: float | None
    layers: list[Layer] = field(default_factory=list)
    legend: list[LegendEntry] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    unknown: NDArray[np.bool_] | None = None

    @property
    def drawn(self) -> LabelSlice:
        """Everything together."""
        unknown = np.zeros(self.pixels.shape, np.bool_) if self.unknown is None else self.unknown
        legend, marks = tuple(self.legend), tuple(self.marks)
        return LabelSlice(tuple(self.layers), unknown, legend, marks, tuple(self.notes), tuple(self.facts))

    def take(self, truth: LabelSlice) -> None:
        """Begin with the ground truth."""
        self.layers += truth.layers
        self.legend += truth.legend
        self.marks += truth.marks
        self.notes += truth.notes
        self.unknown = truth.unknown

    def add_truth(self, source: Predicted, is_stale: Callable[[], bool]) -> None:
        """Begin with a truth that lies elsewhere."""
        known = np.zeros(self.pixels.shape, np.bool_)
        names = self._names("gt", source)
        for name in names:
            _check(is_stale)
            found = self._truth(source, name)
            if found is None:
                continue
            known |= found.known
            self._add(name, found.values, "gt", is_alone=len(names) == 1)
        self.unknown = ~known

    def _add(
        self, name: str, values: NDArray[Any], kind: Kind, *, is_alone: bool, outline: RGB | None = None
    ) -> None:
        """Add one class: a class alone has a colour for each object, unless it is outlined in one of its own."""
        is_present = bool((values != 0).any())
        by_object = is_alone and outline is None and bool((values > 1).any())
        colour = None if by_object else outline or self.labels.colour(name, self.wanted)
        self.layers.append(Layer(values, colour, None if outline is None else "outline"))
        at_voxel = self._at_voxel(values)
        class_id = self.labels.id_of(name)
        self.legend.append(LegendEntry(name, class_id, colour, "present" if is_present else "absent", at_voxel, kind))
        if self.wanted.with_marks and is_present and outline is None:
            self.marks += marks_of(values, name)

    def add_predicted(
        self, kind: Kind, source: Predicted | None, is_stale: Callable[[], bool], *, over_truth: bool
    ) -> None:
        """Add the predictions of one kind: as the labels are drawn, or over the truth as outlines."""
        names = self._names(kind, source)
        over_others = over_truth or any(entry.kind != "gt" for entry in self.legend)
        for name in names:
            _check(is_stale)
            values = self._predicted(kind, source, name)
            if values is None:
                continue
            colour = self.labels.colour(name, self.wanted) if len(names) > 1 else _OUTLINES[kind]
            self._add(name, values, kind, is_alone=len(names) == 1, outline=colour if over_others else None)

    def add_errors(self, kind: str, source: Predicted | None, is_stale: Callable[[], bool]) -> None:
        """Add where predictions and truth differ, over all classes that have both."""
        codes = np.zeros(self.pixels.shape, np.uint8)
        known = np.zeros(self.pixels.shape, np.bool_)
        compared = []
        for name in self._names("error", source):
            _check(is_stale)
            found = self._errors_of(kind, source, name)
            if found is None:
                continue
            compared.append(name)
            known |= found[1]
            # Of several classes the worst counts: missed before hallucinated before right.
            codes = np.maximum(codes, found[0])
        self._add_codes(codes, compared)
        self.unknown = ~known if self.unknown is None else self.unknown & ~known

    def _add_codes(self, codes: NDArray[np.uint8], compared: list[str]) -> None:
        self.layers.append(Layer(codes, ERROR_COLOURS))
        shares = {code: float((codes == code).mean()) for code in (TP, FP, FN)}
        for code in (TP, FP, FN):
            name = ERROR_NAMES[code]
            state = "present" if shares[code] else "absent"
            entry = LegendEntry(name, None, ERROR_COLOURS[code], "present", None, "error")
            self.legend.append(replace(entry, state=state))  # type: ignore[arg-type]
            if self.wanted.with_marks and shares[code]:
                self.marks += marks_of(np.where(codes == code, 1, 0), name)
        if compared:
            both = shares[TP] * 2 + shares[FP] + shares[FN]
            dice = f"{2 * shares[TP] / both:.2f}" if both else "-"
            self.facts.append(f"{' '.join(compared[:4])}: Dice {dice} in this picture")

    def _errors_of(
        self, kind: str, source: Predicted | None, name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
        predicted = self._predicted(kind, source, name)
        if predicted is None or source is None:
            return None
        truth = self._truth(source, name)
        return None if truth is None else (errors(truth.values, predicted, truth.known), truth.known)

    def _truth(self, source: Predicted, name: str) -> Sampled | None:
        try:
            found = source.truth(name, self._at)
        except CellmapError as error:
            self.notes.append(f"{name}, truth: {error.message}")
            return None
        if found is None:
            self.notes.append(f"{name}: no ground truth here")
        return found

    def _predicted(self, kind: str, source: Predicted | None, name: str) -> NDArray[Any] | None:
        try:
            found = None if source is None else source.prediction(name, self._at)
        except CellmapError as error:
            if isinstance(error, Stopped):
                raise
            self.notes.append(f"{name}, {kind}: {error.message}")
            return None
        if found is None:
            self.notes.append(f"{name}: nothing in {kind} here")
            return None
        return foreground(found.values, self.threshold)

    def _names(self, kind: str, source: Predicted | None) -> list[str]:
        """Return the classes that are drawn: those asked for, else those predicted, groups first."""
        if self.wanted.classes:
            return [name for name in self.wanted.classes if name != "all"]
        predicted = () if source is None else source.classes
        if not predicted:
            self.notes.append(f"nothing is in {kind} here")
        names = sorted(predicted, key=self.labels.members, reverse=True)
        if len(names) > MOST_CLASSES:
            self.notes.append(f"{kind}: the first {MOST_CLASSES} of {count(len(names))} classes; choose classes")
        return names[:MOST_CLASSES]

    def _at_voxel(self, values: NDArray[Any]) -> int | None:
        place = self.pixels.pixel_of(self.voxel)
        return None if place is None else int(values[place])

    @property
    def _at(self) -> PixelPlane:
        """The pixels in the world."""
        grid, axis = self.pixels.grid, self.pixels.axis
        down, across = (
            grid.translation_nm[on] + grid.voxel_size_nm[on] * np.arange(grid.shape[on]) for on in PLANES[axis]
        )
        return PixelPlane(axis, grid.translation_nm[axis], down, across)  # type: ignore[arg-type]


def _check(is_stale: Callable[[], bool]) -> None:
    if is_stale():
        raise Stopped("a newer slice was asked for")
