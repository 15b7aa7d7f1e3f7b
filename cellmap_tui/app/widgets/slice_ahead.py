"""Frames drawn before they are asked for: where the user scrubs, the next slices are ready when the key comes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.half_cells import FULL_STEP, enlarge, full_cells, half_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from textual.strip import Strip

    from cellmap_tui.app.widgets.slice_state import Drawing, Look, SliceSource, SliceSpec

STEPS = 3
"""Slices that are drawn ahead in the direction of the last step; one behind."""
KEPT_FRAMES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A drawing, ready to be painted."""

    drawing: Drawing
    """What was drawn."""
    strips: list[Strip]
    """Its lines of cells."""


class Frames:
    """Frames by what was wished, the oldest dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, SliceSpec], Frame] = OrderedDict()

    def get(self, key: str, spec: SliceSpec) -> Frame | None:
        """Return the frame of a source for a wish; None: not drawn yet."""
        return self._kept.get((key, spec))

    def keep(self, key: str, spec: SliceSpec, frame: Frame) -> None:
        """Keep a frame."""
        self._kept[key, spec] = frame
        while len(self._kept) > KEPT_FRAMES:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def strips_of(rgb: NDArray[np.uint8], *, coarse: bool) -> list[Strip]:
    """Return a picture as lines of cells; a coarse one is enlarged to twice its size."""
    if coarse:
        rgb = enlarge(rgb, 2 * rgb.shape[1], 2 * rgb.shape[0])
    return full_cells(rgb) if ascii_only() else half_cells(rgb, coarse=coarse, step=FULL_STEP)


def direction(before: Look | None, after: Look) -> tuple[int, int, int]:
    """Return by how many voxels the user has moved; (0, 0, 0) where the look has changed in another way."""
    if before is None or replace(before, point=after.point, pointed=after.pointed) != after:
        return (0, 0, 0)
    z, y, x = (b - a for a, b in zip(before.point, after.point, strict=True))
    return (z, y, x)


def looks_ahead(look: Look, moved: tuple[int, int, int]) -> Iterator[Look]:
    """Yield where the user will probably look next."""
    if not any(moved):
        step = [0, 0, 0]
        step[look.axis] = 1
        moved = (step[0], step[1], step[2])
    seen = {look.point}
    for times in (*range(1, STEPS + 1), -1):
        ahead = look
        for axis in range(3):
            ahead = ahead.moved(axis, times * moved[axis])
        if ahead.point not in seen:
            seen.add(ahead.point)
            yield ahead


def draw_ahead(
    source: SliceSource, specs: list[SliceSpec], frames: Frames, is_stale: Callable[[], bool], *, with_full: bool
) -> None:
    """Draw frames until one is not wanted any more; called in a thread.

    Parameters
    ----------
    with_full
        Whether full frames are made of cells; else they are drawn for the source to keep.
    """
    for spec in specs:
        if is_stale():
            return
        if frames.get(source.key, spec) is not None:
            continue
        drawing = source.draw(spec, is_stale)
        if spec.coarse or with_full:
            frames.keep(source.key, spec, Frame(drawing, strips_of(drawing.rgb, coarse=spec.coarse)))
