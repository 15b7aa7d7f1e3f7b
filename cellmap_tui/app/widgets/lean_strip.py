"""Lines of cells that are mostly colour, sent with as few bytes as show them.

Textual writes the colours of every run in full and takes them back behind it: 42 bytes a cell for a picture that
has no two cells alike. Here a run names only the colours that differ from those of the run before it.
Nothing else changes: a line that is cut, because something lies over it, is written by Textual.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.filter import ANSIToTruecolor, LineFilter
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.segment import Segment
    from textual.color import Color as Ground

RESET = "\x1b[0m"


class CellStyle(Style):
    """A style of two colours and nothing else, which knows them as numbers.

    Parameters
    ----------
    upper, lower
        Colours of the upper and lower half, ``0xRRGGBB``.
    """

    __slots__ = ("lower", "upper")

    def __init__(self, upper: int, lower: int) -> None:
        # What Style.__init__ would do for two colours, in a fifth of the time.
        self._ansi = self._style_definition = self._link = self._meta = self._hash = None
        self._set_attributes = self._attributes = 0
        self._link_id = ""
        self._null = False
        self.upper = upper
        self.lower = lower

    @property
    def _color(self) -> Color:  # type: ignore[override]
        """Made when somebody asks, such as a picture of the screen; writing the cells needs none."""
        return color_of(self.upper)

    @property
    def _bgcolor(self) -> Color:  # type: ignore[override]
        return color_of(self.lower)


class LeanStrip(Strip):
    """A line that writes only the colours that change from cell to cell."""

    def render(self, console: Console) -> str:
        """Return the line as text with escape sequences, for the colours that the terminal has."""
        if self._render_cache is None:
            self._render_cache = lean(self._segments, console._color_system or ColorSystem.TRUECOLOR)
        return self._render_cache


class ForText(LineFilter):
    """A filter of the terminal's own colours, which the cells of a picture have none of."""

    def __init__(self, inner: LineFilter) -> None:
        super().__init__(enabled=inner.enabled)
        self._inner = inner

    def apply(self, segments: list[Segment], background: Ground) -> list[Segment]:
        """Return segments with those that are no cells of a picture filtered."""
        return [
            segment if type(segment.style) is CellStyle else self._inner.apply([segment], background)[0]
            for segment in segments
        ]


def lean_strips(strips: list[Strip]) -> list[Strip]:
    """Return lines such that they are written with few bytes."""
    return [LeanStrip(strip._segments, strip._cell_length) for strip in strips]


def lean_filters(filters: Sequence[LineFilter]) -> list[LineFilter]:
    """Return filters that cost nothing for the cells of a picture, where they would not change them."""
    return [ForText(inner) if isinstance(inner, ANSIToTruecolor) else inner for inner in filters]


def lean(segments: Sequence[Segment], system: ColorSystem) -> str:
    """Return segments as text with escape sequences; the colours are taken back at the end.

    Parameters
    ----------
    segments
        Runs of cells. Those that are more than two colours are written as Textual writes them.
    system
        Colours that the terminal has.
    """
    parts: list[str] = []
    add = parts.append
    fore = back = ""
    for text, style, _ in segments:
        if type(style) is not CellStyle:
            if back:
                add(RESET)
                fore = back = ""
            add(text if style is None else Strip.render_style(style, text, system))
            continue
        wanted = _codes(style.lower, system)[1]
        if text[0] != " " and (upper := _codes(style.upper, system)[0]) != fore:
            add(f"\x1b[{upper}m" if wanted == back else f"\x1b[{upper};{wanted}m")
            fore = upper
        elif wanted != back:
            add(f"\x1b[{wanted}m")
        back = wanted
        add(text)
    if back:
        add(RESET)
    return "".join(parts)


@lru_cache(maxsize=16384)
def color_of(packed: int) -> Color:
    """Return a colour ``0xRRGGBB``."""
    return Color.from_triplet(ColorTriplet(packed >> 16, packed >> 8 & 255, packed & 255))


@lru_cache(maxsize=16384)
def _codes(packed: int, system: ColorSystem) -> tuple[str, str]:
    """Return the parameters of the escape sequences that set a colour, of text and of the ground."""
    if system is ColorSystem.TRUECOLOR:
        triple = f"2;{packed >> 16};{packed >> 8 & 255};{packed & 255}"
        return f"38;{triple}", f"48;{triple}"
    color = color_of(packed).downgrade(system)
    return ";".join(color.get_ansi_codes()), ";".join(color.get_ansi_codes(foreground=False))
