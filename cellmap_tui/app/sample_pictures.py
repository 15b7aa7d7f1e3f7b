"""Example slices as pictures beside each other: grey values, truth, prediction, error. numpy in, pixels out.

Each picture is scaled to its pixels first and drawn then, so that hatches and outlines are as wide on every screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.learning.codebook import PRESENT, UNKNOWN
from cellmap_tui.volumes.colours import class_colour
from cellmap_tui.volumes.comparison import ERROR_COLOURS, FN, FP, TP, errors
from cellmap_tui.volumes.slices import Layer, render_slice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.learning.samples import Sample

Panel = Literal["raw", "truth", "prediction", "error"]
PANELS: tuple[Panel, ...] = ("raw", "truth", "prediction", "error")
Look = Literal["tint", "outline", "probability", "off"]
LOOKS: tuple[Look, ...] = ("tint", "outline", "probability", "off")
"""How classes are drawn; ``probability`` shows the network's output itself, black to white."""
HALF = 128
"""Probability times 255 from which a voxel counts as predicted."""
ERROR_SIGNS = {TP: "=", FP: "+", FN: "-"}
"""What right, hallucinated and missed are told by where there are no colours."""
GROUND = 16
"""Grey between pictures."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How pictures are laid out in cells: a line of title above each row of pictures."""

    columns: int
    """Pictures beside each other."""
    rows: int
    """Rows of pictures."""
    width: int
    """Pixels (cells) across a picture."""
    height: int
    """Pixels (half cells) down a picture, even."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How a prediction differs from the truth in one slice; voxels of unknown truth do not count."""

    right: int
    """Voxels that are in both."""
    false: int
    """Voxels that are only predicted."""
    missed: int
    """Voxels that are only true."""
    known: int
    """Voxels of which the truth is known, over all classes that are counted."""
    total: int
    """All voxels, over all classes that are counted."""

    @property
    def dice(self) -> float | None:
        """Dice of the slice; None where there is neither truth nor prediction."""
        both = 2 * self.right + self.false + self.missed
        return 2 * self.right / both if both else None


def layout(count: int, sample: Sample, width: int, height: int) -> Layout:
    """Return the layout that makes pictures of a slice largest.

    Parameters
    ----------
    count
        Number of pictures.
    sample
        The slice; its voxels may be longer one way.
    width, height
        Cells there are.
    """
    tall_nm, wide_nm = _extent_nm(sample)
    best: tuple[float, Layout] | None = None
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        room_w = max(1, (width - (columns - 1)) // columns)
        room_h = max(2, 2 * (height // rows - 1))
        scale = min(room_w / wide_nm, room_h / tall_nm)
        tall = max(2, min(room_h, round(scale * tall_nm / 2) * 2))
        found = Layout(columns, rows, max(1, min(room_w, round(scale * wide_nm))), tall)
        if best is None or scale > best[0] * 1.001:
            best = (scale, found)
    assert best is not None
    return best[1]


def draw_panel(sample: Sample, panel: Panel, column: int | None, look: Look, shape: tuple[int, int]) -> NDArray[Any]:
    """Return one picture.

    Parameters
    ----------
    sample
        The slice.
    panel
        Which picture.
    column
        Number of the class; None: all classes, each in its colour.
    look
        How classes are drawn.
    shape
        Pixels down and across.

    Returns
    -------
    NDArray[np.uint8]
        RGB ``[h, w, 3]``.
    """
    grey = _shrunk(sample.raw, shape)
    if panel == "raw":
        return render_slice(grey)
    chosen = range(len(sample.names)) if column is None else (column,)
    truth = _nearest(sample.truth[list(chosen)], shape)
    probability = _nearest(sample.probability[list(chosen)], shape)
    unknown = (truth == UNKNOWN).all(axis=0)
    if panel == "error":
        return _errors(grey, truth, probability, unknown, look)
    if panel == "prediction" and look == "probability":
        return render_slice(probability.max(axis=0))
    found = truth == PRESENT if panel == "truth" else probability >= HALF
    names = [sample.names[number] for number in chosen]
    layers = [
        Layer(values.astype(np.uint8), colour_of(name, number))
        for name, number, values in zip(names, chosen, found, strict=True)
    ]
    overlay = "tint" if look == "probability" else look
    return render_slice(grey, layers, overlay=overlay, unknown=unknown if panel == "truth" else None)


def letter_places(
    sample: Sample, panel: Panel, column: int | None, shape: tuple[int, int], letters: Mapping[str, str]
) -> list[tuple[int, int, str]]:
    """Return the letters of the classes at the centres of what a picture shows, for terminals without colours.

    Parameters
    ----------
    shape
        Pixels down and across.
    letters
        A letter for each class.

    Returns
    -------
    list[tuple[int, int, str]]
        Pixel down, pixel across, letter.
    """
    from cellmap_tui.volumes.crop_labels import marks_of

    chosen = range(len(sample.names)) if column is None else (column,)
    found: list[tuple[int, int, str]] = []
    if panel == "error":
        codes = _error_codes(
            *(_nearest(planes[list(chosen)], shape) for planes in (sample.truth, sample.probability))
        )
        for code, sign in ERROR_SIGNS.items():
            found += [(mark.row, mark.column, sign) for mark in marks_of(codes == code, sign)]
    for number in chosen if panel in {"truth", "prediction"} else ():
        name = sample.names[number]
        planes = sample.truth if panel == "truth" else sample.probability
        values = _nearest(planes[number], shape)
        there = values == PRESENT if panel == "truth" else values >= HALF
        found += [(mark.row, mark.column, letters[name]) for mark in marks_of(there.astype(np.uint8), name)]
    return found


def figures(sample: Sample, column: int | None) -> Figures:
    """Return how prediction and truth of a slice differ, in one class or over all of them."""
    chosen = slice(None) if column is None else slice(column, column + 1)
    truth, predicted = sample.truth[chosen], sample.probability[chosen] >= HALF
    present, known = truth == PRESENT, truth != UNKNOWN
    return Figures(
        right=int((present & predicted).sum()),
        false=int((known & ~present & predicted).sum()),
        missed=int((present & ~predicted).sum()),
        known=int(known.sum()),
        total=truth.size,
    )


def shown_first(sample: Sample) -> tuple[int, ...]:
    """Return the classes of a slice, those that it shows most of first."""
    voxels = ((sample.truth == PRESENT) | (sample.probability >= HALF)).sum(axis=(1, 2))
    return tuple(np.argsort(-voxels, kind="stable").tolist())


def colour_of(name: str, number: int) -> tuple[int, int, int]:
    """Return the colour of a channel, the same as that of its class everywhere else."""
    stem = name.removesuffix("/core")
    info = builtin_classes().named(stem)
    return class_colour(stem, info.id if info is not None else number + 1)


def _errors(
    grey: NDArray[Any], truth: NDArray[Any], probability: NDArray[Any], unknown: NDArray[Any], look: Look
) -> NDArray[Any]:
    codes = _error_codes(truth, probability)
    overlay = look if look in {"outline", "off"} else "tint"
    return render_slice(grey, [Layer(codes, ERROR_COLOURS)], overlay=overlay, unknown=unknown, opacity=0.6)


def _error_codes(truth: NDArray[Any], probability: NDArray[Any]) -> NDArray[np.uint8]:
    codes = np.zeros(truth.shape[1:], np.uint8)
    for true, predicted in zip(truth, probability >= HALF, strict=True):
        # Of several classes the worst counts: missed before hallucinated before right.
        codes = np.maximum(codes, errors(true == PRESENT, predicted, true != UNKNOWN))
    return codes


def _extent_nm(sample: Sample) -> tuple[float, float]:
    """Return the height and width of a slice in nm."""
    down, across = [size for axis, size in zip("zyx", sample.voxel_size_nm, strict=True) if axis != sample.axis][:2]
    is_size = all(np.isfinite(size) and size > 0 for size in (down, across))
    height, width = sample.raw.shape
    return (height * down, width * across) if is_size else (float(height), float(width))


def _nearest(planes: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    rows, columns = (_places(have, want) for have, want in zip(planes.shape[-2:], shape, strict=True))
    found: NDArray[Any] = planes[..., rows[:, None], columns]
    return found


def _places(have: int, want: int) -> NDArray[np.int64]:
    return np.minimum(((np.arange(want) + 0.5) * have / want).astype(np.int64), have - 1)


def _shrunk(grey: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return grey values on other pixels: the mean of those that fall into one, or the nearest."""
    values: NDArray[Any] = grey
    for axis, want in enumerate(shape):
        have = grey.shape[axis]
        if want >= have:
            values = np.take(values, _places(have, want), axis=axis)
        else:
            edges = (np.arange(want) * have) // want
            counts = np.diff(np.append(edges, have))
            sums = np.add.reduceat(values.astype(np.float32), edges, axis=axis)
            values = sums / (counts[:, None] if axis == 0 else counts)
    shrunk: NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return shrunk


def legend() -> Sequence[tuple[str, tuple[int, int, int]]]:
    """Return the kinds of error with their colours."""
    return (("right", ERROR_COLOURS[TP]), ("hallucinated", ERROR_COLOURS[FP]), ("missed", ERROR_COLOURS[FN]))
