"""A slice of EM with its labels, drawn as half cells and scrubbed with the keyboard.

Pictures are drawn by a thread, one at a time: while a key is held only the newest wish is drawn next. While the
user scrubs, the picture is half as large and has few colours; 150 ms after the last key the full one follows:
of half cells as well, or of the terminal's own graphics where the user has chosen them.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import work
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from cellmap_tui.app.widgets.columns import fitted
from cellmap_tui.app.widgets.half_cells import LETTER_STYLE, has_colours, with_letters
from cellmap_tui.app.widgets.lean_strip import lean_filters, lean_strips
from cellmap_tui.app.widgets.protocol_image import Picture, ProtocolImage, protocol_problem
from cellmap_tui.app.widgets.slice_ahead import Frames, direction, draw_ahead, looks_ahead, strips_of
from cellmap_tui.app.widgets.slice_keys import SliceKeys
from cellmap_tui.app.widgets.slice_state import KIND_WORDS, Drawing, Look, SliceSpec
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.filter import LineFilter
    from textual.timer import Timer

    from cellmap_tui.app.widgets.slice_state import SliceSource

SETTLE_S = 0.15
"""The full picture is drawn this long after the last key."""
"""Letters stand on the picture, whatever its colours and the theme's."""


class SliceView(SliceKeys, can_focus=True):
    """One slice, with a line that says where it is.

    Parameters
    ----------
    message
        Shown in place of a slice as long as there is none.
    images
        How the picture is drawn once the keys rest: ``half``, ``kitty`` or ``sixel``.
    draws_ahead
        Whether the next slices are drawn while the user looks at this one.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"slice--line", "slice--message", "slice--bad"}
    DEFAULT_CSS = """
    SliceView {
        height: 1fr;
        width: 1fr;
        overflow: hidden;
        background: $surface;
        color: $foreground;

        & > .slice--line { color: $text-muted; }
        & > .slice--message { color: $text-muted; }
        & > .slice--bad { color: $text-error; }
        &:focus > .slice--line { color: $text-primary; text-style: bold; }
    }
    """

    class Drawn(Message):
        """A slice is on screen."""

        def __init__(self, view: SliceView, drawing: Drawing) -> None:
            self.view = view
            self.drawing = drawing
            super().__init__()

        @property
        def control(self) -> SliceView:
            """The view."""
            return self.view

    class Moved(Message):
        """The user looks elsewhere, or at something else."""

        def __init__(self, view: SliceView, look: Look) -> None:
            self.view = view
            self.look = look
            super().__init__()

        @property
        def control(self) -> SliceView:
            """The view."""
            return self.view

        def can_replace(self, message: Message) -> bool:
            """Only the newest look matters."""
            return isinstance(message, SliceView.Moved) and message.view is self.view

    class _Ready(Message):
        def __init__(
            self,
            key: str,
            spec: SliceSpec,
            drawing: Drawing | None = None,
            strips: list[Strip] | None = None,
            picture: Picture | None = None,
            error: str = "",
        ) -> None:
            self.key = key
            self.spec = spec
            self.drawing = drawing
            self.strips = strips or []
            self.picture = picture
            self.error = error
            super().__init__()

    def __init__(
        self,
        *,
        message: str = "",
        images: str = "half",
        draws_ahead: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._message = message
        self._error = ""
        self._here = ""
        self._strips: list[Strip] = []
        self._wanted: SliceSpec | None = None
        self._is_drawing = False
        self._settle: Timer | None = None
        self._images = images
        self._draws_ahead = draws_ahead
        self._frames = Frames()
        self._direction = (0, 0, 0)
        self._protocol: ProtocolImage | None = None

    def compose(self) -> ComposeResult:
        """Yield what draws pictures, where the user wants them and they can be had."""
        problem = protocol_problem(self._images, self.app.console.color_system)
        if self._images != "half" and not problem and self._has_colours:
            self._protocol = ProtocolImage(self._images)
            yield self._protocol

    @property
    def look(self) -> Look | None:
        """What is looked at; None when there is nothing."""
        return self._look

    @property
    def source(self) -> SliceSource | None:
        """What is shown."""
        return self._source

    def show(self, source: SliceSource, look: Look | None = None) -> None:
        """Show a crop, at its middle unless told where."""
        if self._source is not None and source.key == self._source.key and look is None:
            return
        self._source = source
        overlay = self._look.overlay if self._look else "tint"
        self._look = look or replace(Look.at_middle(source.grid), overlay=overlay)
        self._frames.clear()
        self._strips, self._error, self._here, self._message = [], "", "", "…"
        self._hide_picture()
        self._ask(coarse=False)

    def clear(self, message: str) -> None:
        """Show a line in place of a slice: why there is none, and what to press."""
        self._source, self._look, self._wanted = None, None, None
        self._strips, self._error, self._message = [], "", message
        self._hide_picture()

    # Drawing

    def look_at(self, look: Look) -> None:
        """Look elsewhere, as if by keys; nobody is told."""
        self._scrub(look, is_told=False)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._hide_picture()
        self._ask(coarse=False)

    @property
    def _pixels(self) -> tuple[int, int]:
        """Width and height of the picture in half cells; a line of text stands below it."""
        return self.content_size.width, 2 * max(0, self.content_size.height - 1)

    @property
    def _full_pixels(self) -> tuple[int, int]:
        """Width and height of the full picture in its own pixels."""
        if self._protocol is None:
            return self._pixels
        return self._protocol.most_px(self.content_size.width, max(0, self.content_size.height - 1))

    @property
    def _has_colours(self) -> bool:
        return has_colours(self.app.console)

    def _scrub(self, look: Look, *, is_told: bool = True) -> None:
        if look == self._look:
            return
        self._direction = direction(self._look, look)
        self._look = look
        if is_told:
            self.post_message(self.Moved(self, look))
        self._repaint_line()
        self._ask(coarse=True)
        if self._settle is not None:
            self._settle.stop()
        self._settle = self.set_timer(SETTLE_S, lambda: self._ask(coarse=False))

    def _ask(self, *, coarse: bool) -> None:
        width, height = self._pixels if coarse else self._full_pixels
        if self._source is None or self._look is None or width < 2 or height < 2:
            return
        self._wanted = self._spec(self._look, coarse=coarse)
        frame = self._frames.get(self._source.key, self._wanted)
        if frame is not None and not self._is_drawing:
            self._paint(frame.drawing, frame.strips, self._wanted)
            if self._draws_ahead and not coarse:
                self._ask_ahead()
        elif not self._is_drawing:
            self._start()

    def _spec(self, look: Look, *, coarse: bool) -> SliceSpec:
        width, height = self._pixels if coarse else self._full_pixels
        scale = self._protocol.cell_px[0] if self._protocol else 1
        return look.spec(width, height, coarse=coarse, with_letters=not self._has_colours, coarse_scale=scale)

    def _start(self) -> None:
        assert self._source is not None
        assert self._wanted is not None
        self._is_drawing = True
        mark = self._look if self._look is not None and self._look.pointed else None
        self._draw(self._source, self._wanted, mark, self.background_colors[1].rgb)

    def _is_stale(self, source: SliceSource) -> bool:
        """Tell the thread whether its crop is still shown; a slice of the same crop is always worth finishing."""
        return self._source is not source

    @work(thread=True, group="slice.draw", exit_on_error=False)
    def _draw(self, source: SliceSource, spec: SliceSpec, mark: Look | None, ground: tuple[int, int, int]) -> None:
        try:
            drawing = source.draw(spec, lambda: self._is_stale(source))
            rgb, picture = drawing.rgb, None
            if self._protocol is not None and not spec.coarse:
                picture = Picture.of(rgb, self._protocol.cell_px, ground, drawing.mark(mark) if mark else None)
                rgb = picture.half_cells()
            strips = strips_of(rgb, coarse=spec.coarse)
        except CellmapError as error:
            self.post_message(self._Ready(source.key, spec, error=str(error)))
        except Exception as error:  # noqa: BLE001 - a file of foreign make must not end the app; it is shown
            self.post_message(self._Ready(source.key, spec, error=f"{type(error).__name__}: {error}"))
        else:
            self.post_message(self._Ready(source.key, spec, drawing, strips, picture))

    async def on_slice_view__ready(self, event: _Ready) -> None:
        """Show what was drawn, unless something else is shown by now, and draw the newest wish."""
        event.stop()
        self._is_drawing = False
        if self._source is None:
            return
        if event.key == self._source.key and event.drawing is not None:
            await self._show_picture(event.picture)
            self._paint(event.drawing, event.strips, event.spec, has_picture=event.picture is not None)
        elif event.key == self._source.key:
            self._error, self._here, self._strips = printable(event.error), "", []
            self._hide_picture()
        if self._wanted is not None and (self._source.key, self._wanted) != (event.key, event.spec):
            self._start()
        elif self._draws_ahead and not event.spec.coarse and event.drawing is not None:
            self._ask_ahead()

    def _paint(self, drawing: Drawing, strips: list[Strip], spec: SliceSpec, *, has_picture: bool = False) -> None:
        self._error, self._here = "", drawing.here
        # The terminal's own picture has the cross and needs no letters.
        self._strips = strips if has_picture else self._decorated(drawing, strips, 2 if spec.coarse else 1)
        if not has_picture:
            self._hide_picture()
        self.post_message(self.Drawn(self, drawing))

    def _ask_ahead(self) -> None:
        source, look, wanted = self._source, self._look, self._wanted
        if source is None or look is None or not self.is_attached:
            return
        specs = [
            self._spec(ahead, coarse=coarse)
            for ahead in looks_ahead(look, self._direction)
            for coarse in (True, False)
        ]
        self._draw_ahead(source, specs, lambda: self._is_drawing or self._wanted is not wanted)

    @work(thread=True, group="slice.ahead", exit_on_error=False)
    def _draw_ahead(self, source: SliceSource, specs: list[SliceSpec], is_stale: Callable[[], bool]) -> None:
        # What cannot be drawn is told once it is asked for.
        with contextlib.suppress(Exception):
            draw_ahead(source, specs, self._frames, is_stale, with_full=self._protocol is None)

    def _hide_picture(self) -> None:
        if self._protocol is not None:
            self._protocol.hide()
        self.refresh()

    async def _show_picture(self, picture: Picture | None) -> None:
        if self._protocol is None or picture is None:
            self._hide_picture()
        else:
            await self._protocol.show(picture, max(0, (self.content_size.width - picture.columns) // 2))

    def _decorated(self, drawing: Drawing, strips: list[Strip], scale: int) -> list[Strip]:
        strips = list(strips)
        letters = [] if self._has_colours else list(drawing.letters)
        if self._look is not None and self._look.pointed:
            letters.append(drawing.mark(self._look))
        for letter in letters:
            row = letter.row * scale // 2
            if 0 <= row < len(strips):
                strips[row] = with_letters(strips[row], [(letter.column * scale, letter.text[:1])], LETTER_STYLE)
        return strips

    # Painting

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return lines that are written with few bytes."""
        return lean_strips(super().render_lines(crop))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the app's filters; those that only change the terminal's own colours spare the picture."""
        return lean_filters(super().get_line_filters())

    def render_line(self, y: int) -> Strip:
        """Return a line of the picture, or the line that says where it is."""
        width, height = self.content_size
        if y == height - 1 and self._look is not None:
            return self._words(width)
        if self._error:
            return self._message_line(self._error, "slice--bad", y, width)
        if not self._strips:
            return self._message_line(self._message, "slice--message", y, width)
        if y >= len(self._strips):
            return Strip.blank(width, self.rich_style)
        strip, left = self._strips[y], (width - self._strips[y].cell_length) // 2
        if left > 0:
            strip = Strip.join([Strip.blank(left, self.rich_style), strip])
        return strip.adjust_cell_length(width, self.rich_style)

    def _words(self, width: int) -> Strip:
        assert self._look is not None
        what = f"{self._look.only_class} only  " if self._look.only_class else ""
        if self._look.kinds != ("gt",):
            what = f"{'+'.join(KIND_WORDS[kind] for kind in self._look.kinds)}  {what}"
        text = what + self._look.words(width - 1 - len(what))
        if self._here and len(text) + len(self._here) + 2 <= width:
            text += f"  {self._here}"
        return Strip([Segment(fitted(text, width), self.get_component_rich_style("slice--line"))], width)

    def _message_line(self, message: str, part: str, y: int, width: int) -> Strip:
        import textwrap

        lines = textwrap.wrap(message, max(1, width - 2))
        text = f" {lines[y]}" if y < len(lines) else ""
        return Strip([Segment(fitted(text, width), self.get_component_rich_style(part))], width)

    def _repaint_line(self) -> None:
        width, height = self.content_size
        if height:
            self.refresh(Region(0, height - 1, width, 1))
