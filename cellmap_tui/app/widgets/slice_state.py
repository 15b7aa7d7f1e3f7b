"""Where a slice view looks: axis, slice, point, zoom, overlay and classes; knows no terminal.

Everything is counted in voxels of the crop's grid, axes z, y, x. A `SliceSpec` is one wish of the
view, a `Drawing` the answer; who draws it is the source's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from cellmap_tui.text import count, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid, Shape3

Overlay = Literal["tint", "outline", "off"]
OVERLAYS: tuple[Overlay, ...] = ("tint", "outline", "off")
AXES = "zyx"


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
    zoomed: bool
    """One voxel a pixel around the point, in place of the whole slice."""
    overlay: Overlay
    """How labels are drawn."""
    only_class: str | None
    """The one class whose labels are drawn; None: all."""
    coarse: bool
    """Half the size and few colours: the user is scrubbing."""


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
    colour: tuple[int, int, int]
    """Colour of its labels, 0 to 255."""
    letter: str
    """Its letter where there are no colours."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn slice."""

    rgb: NDArray[np.uint8]
    """Picture, shape (height, width, 3)."""
    legend: tuple[LegendEntry, ...] = ()
    """Classes that are drawn."""
    letters: tuple[Letter, ...] = ()
    """Centres of objects."""
    top_left: tuple[float, float] = (0.0, 0.0)
    """In-plane voxel position (row axis, column axis) of the picture's first pixel."""
    voxels_per_pixel: tuple[float, float] = (1.0, 1.0)
    """In-plane voxels that a pixel stands for."""
    note: str = ""
    """A remark, such as the level that was read."""

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

    def draw(self, spec: SliceSpec) -> Drawing:
        """Draw a slice; called in a thread, may take long."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a slice view looks at."""

    grid: Grid
    """Grid of the crop."""
    point: Shape3
    """Voxel that is looked at."""
    axis: int = 0
    """Axis across the slice."""
    zoomed: bool = False
    """One voxel a pixel."""
    overlay: Overlay = "tint"
    """How labels are drawn."""
    only_class: str | None = None
    """The one class drawn."""
    pointed: bool = False
    """The user has moved the point: it is marked."""

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

    def spec(self, width: int, height: int, *, coarse: bool) -> SliceSpec:
        """Return the wish for a picture of some pixels."""
        if coarse:
            width, height = -(-width // 2), -(-height // 2)
        return SliceSpec(self.axis, self.point, width, height, self.zoomed, self.overlay, self.only_class, coarse)

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
        if self.zoomed:
            long += "  1 voxel a pixel"
        middle = f"{place}  {voxels} vx  {nm} nm"
        short = f"{place}  {number(round(self.position_nm[self.axis], 2))} nm"
        return next((words for words in (long, middle) if len(words) <= width), short)
