"""Lines that write a colour only where it changes.

Textual writes text colour, ground and reset with every run: 40 bytes for a cell of a curve. Here a run names what
differs from the run before it, and the line takes all back at its end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import ColorSystem
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.segment import Segment
    from rich.style import Style

RESET = "\x1b[0m"


class TerseStrip(Strip):
    """A line that stays terse when its end is cut off."""

    def render(self, console: Console) -> str:
        """Return the line as text with escape sequences, for the colours that the terminal has."""
        if self._render_cache is None:
            self._render_cache = terse(self._segments, console._color_system or ColorSystem.TRUECOLOR)
        return self._render_cache

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return a part of the line."""
        part = super().crop(start, end)
        return part if part is self else TerseStrip(part._segments, part._cell_length)


def terse(segments: Iterable[Segment], system: ColorSystem) -> str:
    """Return segments as text with escape sequences that set only what differs."""
    parts: list[str] = []
    before = ("", "", "")
    for text, style, _ in segments:
        now = _codes(style, system) if style is not None else ("", "", "")
        needs_colour = not text.isspace() or bool(now[0])
        fore = now[1] if needs_colour else before[1]
        if now[0] != before[0] or (not fore and before[1]) or (not now[2] and before[2]):
            # What is set can only be taken back together.
            codes = ";".join(code for code in ("0", now[0], now[1], now[2]) if code)
            before = now
        else:
            changed = (fore if fore != before[1] else "", now[2] if now[2] != before[2] else "")
            codes = ";".join(code for code in changed if code)
            before = (now[0], fore, now[2])
        parts.append(f"\x1b[{codes}m{text}" if codes else text)
    if any(before):
        parts.append(RESET)
    return "".join(parts)


@lru_cache(maxsize=1024)
def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """Return the parameters that set attributes, text colour, and ground."""
    attributes = style.without_color._make_ansi_codes(system) if style else ""
    fore = style.color.downgrade(system).get_ansi_codes() if style.color else ()
    back = style.bgcolor.downgrade(system).get_ansi_codes(foreground=False) if style.bgcolor else ()
    return attributes, ";".join(fore), ";".join(back)
