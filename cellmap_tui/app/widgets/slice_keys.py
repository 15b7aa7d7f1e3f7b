"""The keys of a slice view: each makes the look that is wished for next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from cellmap_tui.app.keys import bind
from cellmap_tui.app.widgets.slice_state import kind_cycle

if TYPE_CHECKING:
    from textual.binding import BindingType

    from cellmap_tui.app.widgets.slice_state import Look, SliceSource

PAN_SHARE = 8
"""A pan moves by one part in this many of what is shown."""


class SliceKeys(Widget):
    """What keys do to a look; who shows it says what a new one means."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("slice.previous", "step(-1)"),
        bind("slice.previous_ten", "step(-10)"),
        bind("slice.axis", "axis"),
        bind("slice.overlay", "overlay"),
        bind("slice.classes", "classes"),
        bind("slice.kinds", "kinds"),
        bind("do.open", "zoom", "zoom", help="Zoom to one voxel a pixel around the point, and back."),
        bind("slice.closer", "magnify(1)"),
        bind("slice.farther", "magnify(-1)", show=False),
        bind("slice.opaque", "opacity(1)", show=False),
        bind("slice.clear", "opacity(-1)", show=False),
        bind("slice.next", "step(1)", show=False),
        bind("slice.next_ten", "step(10)", show=False),
        bind("move.left", "pan(0, -1)", show=False, help="Move the point left."),
        bind("move.right", "pan(0, 1)", show=False, help="Move the point right."),
        bind("move.up", "pan(-1, 0)", show=False, help="Move the point up."),
        bind("move.down", "pan(1, 0)", show=False, help="Move the point down."),
        bind("do.close", "unzoom", show=False, help="Show the whole slice again."),
    ]

    _look: Look | None = None
    _source: SliceSource | None = None

    @property
    def _full_pixels(self) -> tuple[int, int]:
        """Width and height of the full picture in its own pixels."""
        raise NotImplementedError

    def _scrub(self, look: Look, *, is_told: bool = True) -> None:
        """Look elsewhere."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that can do nothing here."""
        if action in {"step", "axis", "overlay", "zoom", "pan", "magnify", "opacity"}:
            return self._look is not None
        if action == "kinds":
            return self._source is not None and len(kind_cycle(self._source.kinds)) > 1
        if action == "classes":
            return self._source is not None and len(self._source.classes) > 1
        if action == "unzoom":
            return self._look is not None and self._look.zoomed
        return True

    def action_step(self, slices: int) -> None:
        """Go some slices on."""
        if self._look:
            self._scrub(self._look.moved(self._look.axis, slices))

    def action_pan(self, rows: int, columns: int) -> None:
        """Move the point in the plane; when zoomed, the picture moves under it."""
        look = self._look
        if not look:
            return
        for sign, axis, pixels in zip((rows, columns), look.plane, reversed(self._full_pixels), strict=True):
            look = look.moved(axis, sign * max(1, look.shown(axis, pixels) // PAN_SHARE))
        self._scrub(replace(look, pointed=True))

    def action_axis(self) -> None:
        """Look along the next axis."""
        if self._look:
            self._scrub(self._look.with_next_axis())

    def action_overlay(self) -> None:
        """Draw labels as a tint, as outlines, or not at all."""
        if self._look:
            self._scrub(self._look.with_next_overlay())

    def action_classes(self) -> None:
        """Draw the next class alone."""
        if self._look and self._source:
            self._scrub(self._look.with_next_class(self._source.classes))

    def action_kinds(self) -> None:
        """Draw the next of what there is: truth, predictions, errors."""
        if self._look and self._source:
            self._scrub(self._look.with_next_kinds(self._source.kinds))

    def action_opacity(self, steps: int) -> None:
        """Make labels more or less opaque."""
        if self._look:
            self._scrub(self._look.with_opacity(steps))

    def action_magnify(self, steps: int) -> None:
        """Show half as much twice as large, or the other way round."""
        if self._look:
            self._scrub(self._look.magnified(steps, *self._full_pixels))
            self.refresh_bindings()

    def action_zoom(self) -> None:
        """Zoom to one voxel a pixel, or back."""
        if self._look:
            self._scrub(replace(self._look, zoom=None if self._look.zoomed else 1.0))
            self.refresh_bindings()

    def action_unzoom(self) -> None:
        """Show the whole slice."""
        if self._look and self._look.zoomed:
            self.action_zoom()
