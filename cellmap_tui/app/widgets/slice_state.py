"""Where a slice view looks: axis, slice, point, zoom, overlay and classes; knows no terminal.

Everything is counted in voxels of the crop's grid, axes z, y, x. A `SliceSpec` is one wish of the
view, a `Drawing` the answer; who draws it is the source's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from cellmap_tui.text import count, number

if TYPE_CHECKING:
    from collections.abc import Callable

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
    with_letters: bool
    """Also wanted: where a letter for each object goes."""
    coarse_scale: int = 1
    """Pixels of the full picture that a half cell is long; more than 1 where the terminal draws it."""

    @property
    def voxels_per_pixel(self) -> float | None:
        """Voxels that a pixel is long; None: as many as make the whole slice fit."""
        if not self.zoomed:
            return None
        return 2.0 * self.coarse_scale if self.coarse else 1.0


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
    unknown_share: float = 0.0
    """Share of the pixels that are hatched."""

    @property
    def here(self) -> str:
        """Classes at the point, with the object's id where it is one."""
        entries = (entry for entry in self.legend if entry.value)
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
            zoomed=self.zoomed,
            overlay=overlay,
            only_class=self.only_class,
            coarse=coarse,
            with_letters=with_letters and overlay != "off",
            coarse_scale=coarse_scale,
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
        if self.zoomed:
            long += "  1 voxel a pixel"
        middle = f"{place}  {voxels} vx  {nm} nm"
        short = f"{place}  {number(round(self.position_nm[self.axis], 2))} nm"
        return next((words for words in (long, middle) if len(words) <= width), short)
