"""Where a slice view looks: axis, slice, point, zoom, overlay and classes; knows no terminal.

Everything is counted in voxels of the crop's grid, axes z, y, x. A `SliceSpec` is one wish of the
view, a `Drawing` the answer; who draws it is the source's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from cellmap_tui.text import count, number

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3

Kind = Literal["gt", "predictions", "processed", "error"]
"""What is drawn over the EM."""
KIND_WORDS: dict[Kind, str] = {
    "gt": "truth",
    "predictions": "prediction",
    "processed": "processed",
    "error": "errors",
}
Overlay = Literal["tint", "outline", "off"]
OVERLAYS: tuple[Overlay, ...] = ("tint", "outline", "off")
AXES = "zyx"
OPACITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
FINEST_ZOOM = 1 / 16
"""Voxels a pixel at the largest magnification."""


@dataclass(frozen=True, slots=True)
class SliceSpec:
    """What a slice view wants drawn."""

    axis: int
    """Axis across the slice: 0 z, 1 y, 2 x."""
    point: Shape3
    """Voxel that is looked at; its `axis` part is the slice."""
    width: int
    """Width of the picture in pixels."""
    height: int
    """Height of the picture in pixels."""
    zoom: float | None
    """Voxels a pixel around the point; None: the whole slice."""
    overlay: Overlay
    """How labels are drawn."""
    classes: tuple[str, ...]
    """Classes that are drawn; empty: all."""
    coarse: bool
    """Half the size and few colours: the user is scrubbing."""
    with_letters: bool
    """Also wanted: where a letter for each object goes."""
    coarse_scale: int = 1
    """Pixels of the full picture that a half cell is long; more than 1 where the terminal draws it."""
    kinds: tuple[Kind, ...] = ("gt",)
    """What is drawn."""
    opacity: float = 0.4
    """Share of a label's colour in a tinted pixel."""

    @property
    def voxels_per_pixel(self) -> float | None:
        """Voxels that a pixel is long; None: as many as make the whole slice fit."""
        if self.zoom is None:
            return None
        return self.zoom * 2.0 * self.coarse_scale if self.coarse else self.zoom


@dataclass(frozen=True, slots=True)
class Letter:
    """A class letter at the centre of an object, for terminals without colours."""

    row: int
    """Pixel row."""
    column: int
    """Pixel column."""
    text: str
    """The letter."""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One class in the picture."""

    name: str
    """Name of the class."""
    colour: tuple[int, int, int] | None
    """Colour of its labels, 0 to 255; None: each object has its own."""
    letter: str
    """Its letter where there are no colours."""
    state: Literal["present", "absent", "unknown"] = "present"
    """In this slice, annotated but not in it, or not annotated in this crop."""
    value: int | None = None
    """Value at the point: 0 background; None: unknown or not in the picture."""
    kind: Kind = "gt"
    """Where it comes from."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn slice."""

    rgb: NDArray[np.uint8]
    """Picture, shape (height, width, 3); no larger than asked for."""
    legend: tuple[LegendEntry, ...] = ()
    """Classes that are drawn."""
    letters: tuple[Letter, ...] = ()
    """Centres of objects."""
    top_left: tuple[float, float] = (0.0, 0.0)
    """In-plane voxel position (row axis, column axis) of the picture's upper left corner."""
    voxels_per_pixel: tuple[float, float] = (1.0, 1.0)
    """In-plane voxels that a pixel stands for."""
    level: str = ""
    """The EM level that was read and why, in words."""
    notes: tuple[str, ...] = ()
    """Remarks, such as a class that cannot be read."""
    facts: tuple[str, ...] = ()
    """What was measured on the way."""
    unknown_share: float = 0.0
    """Share of the pixels that are hatched."""

    @property
    def here(self) -> str:
        """Classes at the point, with the object's id where it is one."""
        entries = (entry for entry in self.legend if entry.value and entry.kind in {"gt", self.legend[0].kind})
        return " ".join(entry.name if entry.value == 1 else f"{entry.name} {entry.value}" for entry in entries)

    def mark(self, look: Look) -> Letter:
        """Return the sign of the point that is looked at; it may lie outside the picture."""
        row, column = (
            int((look.point[axis] - first + 0.5) / step)
            for axis, first, step in zip(look.plane, self.top_left, self.voxels_per_pixel, strict=True)
        )
        return Letter(row, column, "+")


class SliceSource(Protocol):
    """Something whose slices can be drawn: a crop on disk."""

    @property
    def key(self) -> str:
        """What identifies it; a drawing of another key is thrown away."""

    @property
    def grid(self) -> Grid:
        """Voxel size, translation and shape."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that can be drawn alone."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What there is to draw, the ground truth first."""

    def draw(self, spec: SliceSpec, is_stale: Callable[[], bool]) -> Drawing:
        """Draw a slice; called in a thread, may take long.

        Raises
        ------
        Stopped
            If `is_stale`, asked now and then, says that nobody wants it any more.
        """


@dataclass(frozen=True, slots=True)
class Look:
    """What a slice view looks at."""

    grid: Grid
    """Grid of the crop."""
    point: Shape3
    """Voxel that is looked at."""
    axis: int = 0
    """Axis across the slice."""
    zoom: float | None = None
    """Voxels a pixel, of the smallest voxel edge in the plane; None: the whole slice."""
    overlay: Overlay = "tint"
    """How labels are drawn."""
    only_class: str | None = None
    """The one class drawn."""
    pointed: bool = False
    """The user has moved the point: it is marked."""
    classes: tuple[str, ...] = ()
    """Classes that were chosen; empty: all."""
    kinds: tuple[Kind, ...] = ("gt",)
    """What is drawn."""
    opacity: float = 0.4
    """Share of a label's colour in a tinted pixel."""

    @classmethod
    def at_middle(cls, grid: Grid) -> Look:
        """Look at the middle of a crop."""
        z, y, x = (size // 2 for size in grid.shape)
        return cls(grid, (z, y, x))

    @property
    def index(self) -> int:
        """The slice on the axis."""
        return self.point[self.axis]

    @property
    def zoomed(self) -> bool:
        """Whether only a part of the slice is shown."""
        return self.zoom is not None

    @property
    def plane(self) -> tuple[int, int]:
        """The axes down and across the picture."""
        return ((1, 2), (0, 2), (0, 1))[self.axis]

    def moved(self, axis: int, voxels: int) -> Look:
        """Return the look moved on an axis, kept inside the crop."""
        point = list(self.point)
        point[axis] = max(0, min(point[axis] + voxels, self.grid.shape[axis] - 1))
        z, y, x = point
        return replace(self, point=(z, y, x))

    def with_next_axis(self) -> Look:
        """Return the look along the next axis at the same point."""
        return replace(self, axis=(self.axis + 1) % 3)

    def with_next_overlay(self) -> Look:
        """Return the look with the next way to draw labels."""
        return replace(self, overlay=OVERLAYS[(OVERLAYS.index(self.overlay) + 1) % len(OVERLAYS)])

    def with_next_class(self, classes: tuple[str, ...]) -> Look:
        """Return the look with the next class alone; after the last, with all."""
        cycle = (None, *classes)
        at = cycle.index(self.only_class) if self.only_class in cycle else 0
        return replace(self, only_class=cycle[(at + 1) % len(cycle)])

    def with_next_kinds(self, there: tuple[Kind, ...]) -> Look:
        """Return the look with the next of what there is to draw: truth, predictions over it, alone, errors."""
        cycle = kind_cycle(there)
        at = cycle.index(self.kinds) if self.kinds in cycle else -1
        return replace(self, kinds=cycle[(at + 1) % len(cycle)]) if cycle else self

    def with_opacity(self, steps: int) -> Look:
        """Return the look with labels more or less opaque."""
        nearest = min(range(len(OPACITIES)), key=lambda i: abs(OPACITIES[i] - self.opacity))
        return replace(self, opacity=OPACITIES[max(0, min(nearest + steps, len(OPACITIES) - 1))])

    def fit(self, width: int, height: int) -> float:
        """Return the voxels a pixel with which the whole slice fits into a picture."""
        edges = [self.grid.voxel_size_nm[axis] for axis in self.plane]
        extents = [self.grid.extent_nm[axis] for axis in self.plane]
        return max(extents[0] / max(1, height), extents[1] / max(1, width)) / min(edges)

    def magnified(self, steps: int, width: int, height: int) -> Look:
        """Return the look at twice the magnification, or half of it; below the whole slice there is nothing."""
        fit = self.fit(width, height)
        zoom = fit if self.zoom is None else self.zoom
        if steps > 0:
            zoom = 2.0 ** (math.ceil(math.log2(zoom) - 1e-9) - 1)
            return replace(self, zoom=max(FINEST_ZOOM, zoom))
        zoom = 2.0 ** (math.floor(math.log2(zoom) + 1e-9) + 1)
        return replace(self, zoom=None if zoom >= fit else zoom)

    def shown(self, axis: int, pixels: int) -> int:
        """Return how many voxels of an axis a picture of some pixels shows."""
        if self.zoom is None:
            return self.grid.shape[axis]
        edges = [self.grid.voxel_size_nm[a] for a in self.plane]
        return min(math.ceil(pixels * self.zoom * min(edges) / self.grid.voxel_size_nm[axis]), self.grid.shape[axis])

    def spec(
        self, width: int, height: int, *, coarse: bool, with_letters: bool = False, coarse_scale: int = 1
    ) -> SliceSpec:
        """Return the wish for a picture of some pixels; a coarse one has half of them."""
        if coarse:
            width, height = -(-width // 2), -(-height // 2)
        overlay: Overlay = "outline" if with_letters and self.overlay == "tint" else self.overlay
        return SliceSpec(
            axis=self.axis,
            point=self.point,
            width=width,
            height=height,
            zoom=self.zoom,
            overlay=overlay,
            classes=(self.only_class,) if self.only_class else self.classes,
            coarse=coarse,
            with_letters=with_letters and overlay != "off",
            coarse_scale=coarse_scale,
            kinds=self.kinds,
            opacity=self.opacity,
        )

    @property
    def position_nm(self) -> tuple[float, float, float]:
        """World position of the centre of the voxel that is looked at."""
        grid = self.grid
        z, y, x = (t + s * i for t, s, i in zip(grid.translation_nm, grid.voxel_size_nm, self.point, strict=True))
        return (z, y, x)

    def words(self, width: int) -> str:
        """Return the position in voxels and nm; shorter words where there is less room."""
        place = f"{AXES[self.axis]} {count(self.index)}/{count(self.grid.shape[self.axis])}"
        voxels = " ".join(str(i) for i in self.point)
        nm = " ".join(number(round(position, 2)) for position in self.position_nm)
        long = f"{place}  voxel {voxels}  nm {nm}"
        if self.zoom is not None:
            long += f"  {zoom_words(self.zoom)}"
        middle = f"{place}  {voxels} vx  {nm} nm"
        short = f"{place}  {number(round(self.position_nm[self.axis], 2))} nm"
        return next((words for words in (long, middle) if len(words) <= width), short)


def zoom_words(zoom: float) -> str:
    """Return a magnification in words."""
    if zoom < 1:
        return f"{number(1 / zoom)} pixels a voxel"
    return f"{number(zoom)} voxel{'' if zoom == 1 else 's'} a pixel"


def kind_cycle(there: tuple[Kind, ...]) -> tuple[tuple[Kind, ...], ...]:
    """Return what can be drawn, one after the other."""
    cycle: list[tuple[Kind, ...]] = [("gt",)] if "gt" in there else []
    for kind in ("predictions", "processed"):
        if kind in there:
            cycle += [("gt", kind), (kind,)] if "gt" in there else [(kind,)]
    if "error" in there:
        cycle.append(("error",))
    return tuple(cycle)


def kinds_words(kinds: tuple[Kind, ...]) -> str:
    """Return what is drawn, in words."""
    if len(kinds) > 1 and kinds[0] == "gt":
        return f"truth filled, {' and '.join(KIND_WORDS[kind] for kind in kinds[1:])} outlined"
    return " and ".join(KIND_WORDS[kind] for kind in kinds)
