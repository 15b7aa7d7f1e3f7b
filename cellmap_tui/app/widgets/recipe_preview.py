"""A slice through a recipe: probability or EM, and what the steps make of it, beside or below it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import on, work
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.columns import fitted
from cellmap_tui.app.widgets.slice_ahead import strips_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.style import Style
    from textual.binding import BindingType
    from textual.events import Resize
    from textual.geometry import Size

    from cellmap_tui.services.process_model import Preview

OVERLAYS = ("tint", "outline", "labels")
"""Labels over the EM, where it is on this disk, else over the probability; or alone."""
AXES = ("z", "y", "x")
MOST_ZOOM = 16
GAP = 1


@dataclass(frozen=True, slots=True)
class PreviewLook:
    """How a preview is drawn."""

    overlay: str = "tint"
    """How the labels are drawn."""
    with_em: bool = False
    """Whether the EM is beside them, in place of the probability."""
    zoom: int = 1
    """Magnification; 1: the whole slice is seen."""
    centre: tuple[float, float] = (0.5, 0.5)
    """Middle of what is seen, as a share of the slice's rows and columns."""


class RecipePreview(Widget, can_focus=True):
    """Two pictures of one slice; drawn by a thread, painted once a change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("slice.previous", "step(-1)"),
        bind("recipe.axis", "axis"),
        bind("slice.closer", "closer(2)"),
        bind("slice.overlay", "overlay", help="Draw labels as a tint over the EM, as outlines, or alone."),
        bind("recipe.beside", "beside"),
        bind("slice.farther", "closer(0.5)", show=False),
        bind("slice.previous_ten", "step(-10)", show=False),
        bind("slice.next", "step(1)", show=False),
        bind("slice.next_ten", "step(10)", show=False),
        bind("move.left", "pan(0, -1)", show=False),
        bind("move.right", "pan(0, 1)", show=False),
        bind("move.up", "pan(-1, 0)", show=False),
        bind("move.down", "pan(1, 0)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"recipe-preview--message"}
    DEFAULT_CSS = """
    RecipePreview {
        height: 1fr; width: 1fr; overflow: hidden; background: $surface; color: $foreground;

        & > .recipe-preview--message { color: $text-muted; }
    }
    """

    class Moved(Message):
        """The user wants another slice."""

        def __init__(self, slices: int) -> None:
            self.slices = slices
            super().__init__()

    class LookChanged(Message):
        """Something else is drawn beside the labels, or behind them."""

    class AxisAsked(Message):
        """The user wants to look along the next axis."""

    class _Drawn(Message):
        def __init__(self, preview: Preview, look: PreviewLook, size: Size, strips: list[Strip]) -> None:
            self.preview = preview
            self.look = look
            self.size = size
            self.strips = strips
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.look = PreviewLook()
        self.preview: Preview | None = None
        self._voxel_nm = (1.0, 1.0, 1.0)
        self._em: NDArray[np.uint8] | None = None
        self._message = ""
        self._strips: list[Strip] = []

    @property
    def words(self) -> str:
        """What the two pictures are."""
        behind = "probability" if self._em is None else "EM"
        left = behind if self.look.with_em else "probability"
        return f"{left} | result" + ("" if self.look.overlay == "labels" else f" over {behind}")

    def show(
        self, preview: Preview, voxel_nm: tuple[float, float, float], em: NDArray[np.uint8] | None = None
    ) -> None:
        """Show a slice."""
        if self.preview is not None and preview.axis != self.preview.axis:
            self.look = replace(self.look, zoom=1, centre=(0.5, 0.5))
        self.preview, self._voxel_nm, self._em = preview, voxel_nm, em
        self._draw_soon()

    def say(self, message: str) -> None:
        """Show words in place of the pictures."""
        if message != self._message or self.preview is not None:
            self._message, self.preview = message, None
            self.refresh()

    # Keys

    def action_step(self, slices: int) -> None:
        """Step through the crop."""
        self.post_message(self.Moved(slices))

    def action_axis(self) -> None:
        """Look along the next axis."""
        self.post_message(self.AxisAsked())

    def action_overlay(self) -> None:
        """Draw labels as a tint, as outlines, or alone."""
        self._take(overlay=OVERLAYS[(OVERLAYS.index(self.look.overlay) + 1) % len(OVERLAYS)])
        self.post_message(self.LookChanged())

    def action_beside(self) -> None:
        """Show the EM in place of the probability, or the other way round."""
        if self._em is None:
            self.notify("the EM of this crop is not on this disk", severity="warning")
            return
        self._take(with_em=not self.look.with_em)
        self.post_message(self.LookChanged())

    def action_closer(self, factor: float) -> None:
        """Magnify, or see more again."""
        self._take(zoom=max(1, min(MOST_ZOOM, int(self.look.zoom * factor))))

    def action_pan(self, rows: int, columns: int) -> None:
        """Move what is seen by a quarter."""
        part = 0.25 / self.look.zoom
        row, column = self.look.centre
        self._take(centre=(min(1.0, max(0.0, row + rows * part)), min(1.0, max(0.0, column + columns * part))))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense without a picture."""
        if action in {"step", "axis", "overlay", "beside", "closer", "pan"}:
            return self.preview is not None
        return super().check_action(action, parameters)

    def _take(self, **changed: object) -> None:
        look = replace(self.look, **changed)  # type: ignore[arg-type]
        if look != self.look:
            self.look = look
            self._draw_soon()

    # Picture

    def on_resize(self, _event: Resize) -> None:
        """Draw at the new size."""
        self._draw_soon()

    def _draw_soon(self) -> None:
        if self.preview is not None and self.size.width > 8 and self.size.height > 2:
            self._draw(self.preview, self._em, self._voxel_nm, self.look, self.size, self.rich_style)

    @work(thread=True, exclusive=True, group="recipe.draw", exit_on_error=False)
    def _draw(
        self,
        preview: Preview,
        em: NDArray[np.uint8] | None,
        voxel_nm: tuple[float, float, float],
        look: PreviewLook,
        size: Size,
        style: Style,
    ) -> None:
        strips = draw(preview, voxel_nm, look, size.width, size.height, style, em)
        self.post_message(self._Drawn(preview, look, size, strips))

    @on(_Drawn)
    def _paint(self, event: _Drawn) -> None:
        """Paint, unless something newer is drawn."""
        if event.preview is self.preview and event.look == self.look and event.size == self.size:
            self._strips = event.strips
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width = self.size.width
        if self.preview is None:
            style = self.get_component_rich_style("recipe-preview--message")
            words = self._message.split("\n")
            return Strip([Segment(fitted(words[y] if y < len(words) else "", width), style)], width)
        if y < len(self._strips):
            return self._strips[y].adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)


def draw(
    preview: Preview,
    voxel_nm: tuple[float, float, float],
    look: PreviewLook,
    width: int,
    height: int,
    style: Style | None = None,
    em: NDArray[np.uint8] | None = None,
) -> list[Strip]:
    """Return both pictures as lines of cells.

    Parameters
    ----------
    preview
        The slice.
    voxel_nm
        Voxel size of the prediction.
    look
        How it is drawn.
    width, height
        Cells for both.
    style
        Of what is between them.
    em
        The EM of the slice.
    """
    half = (width - GAP) // 2
    beside = pictures(preview, voxel_nm, look, half, 2 * height, em)
    above = pictures(preview, voxel_nm, look, width, 2 * ((height - 1) // 2), em)
    if above[0].size > beside[0].size:
        first, second = (strips_of(rgb, coarse=False) for rgb in above)
        return [*first, Strip([Segment(" " * width, style)], width), *second]
    left, right = beside
    gap = Strip([Segment(" " * GAP, style)], GAP)
    pad = Strip([Segment(" " * (half - left.shape[1]), style)], half - left.shape[1])
    lines = zip(strips_of(left, coarse=False), strips_of(right, coarse=False), strict=True)
    return [Strip.join([one, pad, gap, other]) for one, other in lines]


def pictures(
    preview: Preview,
    voxel_nm: tuple[float, float, float],
    look: PreviewLook,
    width: int,
    height: int,
    em: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return probability or EM, and labels, as RGB pictures of at most `width` x `height` pixels."""
    import numpy as np

    from cellmap_tui.volumes.slices import Layer, render_slice

    axis = AXES.index(preview.axis)
    row_nm, column_nm = (size for at, size in enumerate(voxel_nm) if at != axis)
    rows, columns = preview.labels.shape
    nm = max(rows * row_nm / height, columns * column_nm / width) / look.zoom
    at_rows = _pixels(rows, row_nm, nm, height, look.centre[0])
    at_columns = _pixels(columns, column_nm, nm, width, look.centre[1])
    probability = preview.probability[at_rows][:, at_columns]
    grey = probability if em is None else em[at_rows][:, at_columns]
    labels = preview.labels[at_rows][:, at_columns]
    left = np.repeat((grey if look.with_em else probability)[:, :, None], 3, axis=2)
    below = np.zeros_like(grey) if look.overlay == "labels" else grey
    overlay = "outline" if look.overlay == "outline" else "tint"
    opacity = 1.0 if look.overlay == "labels" else 0.5
    layer = Layer(labels, None if labels.max(initial=0) > 1 else (86, 180, 233))
    right = render_slice(below, [layer], overlay=overlay, window=(0, 255), opacity=opacity)  # type: ignore[arg-type]
    return left, right


def _pixels(voxels: int, voxel_nm: float, pixel_nm: float, most: int, centre: float) -> NDArray[np.intp]:
    """Return the voxel under each pixel."""
    import numpy as np

    seen = min(voxels * voxel_nm, most * pixel_nm)
    pixels = max(1, min(most, round(seen / pixel_nm)))
    first = min(max(0.0, centre * voxels * voxel_nm - seen / 2), voxels * voxel_nm - seen)
    places = first + (np.arange(pixels) + 0.5) * pixel_nm
    return np.minimum((places / voxel_nm).astype(np.intp), voxels - 1)
