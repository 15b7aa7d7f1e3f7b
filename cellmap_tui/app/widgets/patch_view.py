"""A patch on screen: grey values and what is known beside them, as half cells, drawn by a thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import on, work
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.patch_words import NOTHING
from cellmap_tui.app.widgets.columns import fitted
from cellmap_tui.app.widgets.slice_ahead import strips_of

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.events import Resize
    from textual.geometry import Size

    from cellmap_tui.services.patch_looks import LookSpec, PatchLooks

OVERLAYS = ("tint", "outline", "off")


@dataclass(frozen=True, slots=True)
class PatchLook:
    """What of the patches is looked at."""

    number: int = 0
    """Number of the patch."""
    axis: int = 0
    """Axis that is looked along."""
    plane: int | None = None
    """Plane across it; None: the one with most of what the patch was drawn for."""
    is_varied: bool = True
    """Whether as varied for training."""
    column: int | None = None
    """One class, or all."""
    overlay: str = "tint"
    """How classes are drawn."""

    def spec(self, plane: int, width: int, height: int) -> LookSpec:
        """Return the picture of this look at a size in pixels."""
        from cellmap_tui.services.patch_looks import LookSpec

        return LookSpec(self.number, self.axis, plane, self.is_varied, self.column, self.overlay, width, height)


class PatchView(Widget, can_focus=True):
    """One plane of one patch, twice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("patches.next", "go(1)"),
        bind("slice.previous", "step(-1)"),
        bind("slice.classes", "classes", "class"),
        bind("patches.varied", "varied"),
        bind("slice.axis", "axis", show=False),
        bind("slice.overlay", "overlay", show=False),
        bind("slice.previous_ten", "step(-10)", show=False),
        bind("slice.next", "step(1)", show=False),
        bind("slice.next_ten", "step(10)", show=False),
        bind("patches.previous", "go(-1)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"patch--message"}
    DEFAULT_CSS = """
    PatchView {
        height: 1fr; width: 1fr; overflow: hidden; background: $surface; color: $foreground;

        & > .patch--message { color: $text-muted; }
    }
    """

    class Looked(Message):
        """The user looks at something else."""

    class _Drawn(Message):
        def __init__(self, looks: PatchLooks, look: PatchLook, plane: int, size: Size, strips: list[Strip]) -> None:
            self.looks = looks
            self.look = look
            self.plane = plane
            self.size = size
            self.strips = strips
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.looks: PatchLooks | None = None
        self.look = PatchLook()
        self._message = NOTHING
        self._strips: list[Strip] = []

    def say(self, message: str) -> None:
        """Show words as long as there are no patches."""
        if message != self._message:
            self._message = message
            if self.looks is None:
                self.refresh()

    def show(self, looks: PatchLooks) -> None:
        """Show the first of other patches, at its best plane."""
        column = self.look.column
        is_same = self.looks is not None and self.looks.columns == looks.columns
        self.looks = looks
        flat = [axis for axis, voxels in enumerate(looks.shape) if voxels == 1]
        axis = flat[0] if flat else self.look.axis
        self._take(replace(self.look, number=0, axis=axis, plane=None, column=column if is_same else None))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense for these patches."""
        if action in {"go", "step", "classes", "varied", "axis", "overlay"}:
            if self.looks is None:
                return False
            if action == "varied":
                return self.looks.varied is not None
            if action == "axis":
                return 1 not in self.looks.shape
        return super().check_action(action, parameters)

    # Keys

    def action_go(self, patches: int) -> None:
        """Show the patch after or before this one."""
        if self.looks is not None:
            number = max(0, min(len(self.looks.notes) - 1, self.look.number + patches))
            if number != self.look.number:
                self._take(replace(self.look, number=number, plane=None))

    def action_step(self, planes: int) -> None:
        """Step through the patch."""
        if self.looks is not None and self.look.plane is not None:
            last = self.looks.shape[self.look.axis] - 1
            self._take(replace(self.look, plane=max(0, min(last, self.look.plane + planes))))

    def action_axis(self) -> None:
        """Look along the next axis."""
        self._take(replace(self.look, axis=(self.look.axis + 1) % 3, plane=None))

    def action_classes(self) -> None:
        """Show the next class alone, then all."""
        if self.looks is not None:
            at = -1 if self.look.column is None else self.look.column
            self._take(replace(self.look, column=at + 1 if at + 1 < len(self.looks.columns) else None))

    def action_varied(self) -> None:
        """Show patches as varied, or as they are."""
        self._take(replace(self.look, is_varied=not self.look.is_varied))

    def action_overlay(self) -> None:
        """Draw classes as tints, outlines, or not at all."""
        self._take(replace(self.look, overlay=OVERLAYS[(OVERLAYS.index(self.look.overlay) + 1) % len(OVERLAYS)]))

    def _take(self, look: PatchLook) -> None:
        if self.looks is not None:
            self.look = look
            self.post_message(self.Looked())
            self._draw_soon()

    # Picture

    def on_resize(self, _event: Resize) -> None:
        """Draw at the new size."""
        self._draw_soon()

    def _draw_soon(self) -> None:
        if self.looks is not None and self.size.width > 4 and self.size.height > 1:
            self._draw(self.looks, self.look, self.size)

    @work(thread=True, exclusive=True, group="patches.draw", exit_on_error=False)
    def _draw(self, looks: PatchLooks, look: PatchLook, size: Size) -> None:
        from cellmap_tui.services.patch_looks import draw_look

        if get_current_worker().is_cancelled:
            return
        plane = look.plane
        if plane is None:
            plane = looks.best_plane(look.number, look.axis, is_varied=look.is_varied)
        strips = strips_of(draw_look(looks, look.spec(plane, size.width, 2 * size.height)), coarse=False)
        self.post_message(self._Drawn(looks, look, plane, size, strips))

    @on(_Drawn)
    def _paint(self, event: _Drawn) -> None:
        """Paint, unless the user has gone on."""
        if event.looks is not self.looks or event.look != self.look or event.size != self.size:
            return
        if self.look.plane is None:
            self.look = replace(self.look, plane=event.plane)
            self.post_message(self.Looked())
        self._strips = event.strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width = self.size.width
        if self.looks is None:
            style = self.get_component_rich_style("patch--message")
            words = self._message.split("\n")
            return Strip([Segment(fitted(words[y] if y < len(words) else "", width), style)], width)
        if y < len(self._strips):
            return self._strips[y].adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)
