"""The legend of a slice in words and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.signs import sign
from cellmap_tui.text import number, printable

if TYPE_CHECKING:
    from cellmap_tui.app.widgets.slice_state import Drawing, LegendEntry

_STATES = {"absent": "not in this slice", "unknown": "not annotated in this crop"}


def legend(drawing: Drawing, *, column: bool) -> Content:
    """Return the classes of a slice with their colours; in a column also what is not in it, and remarks."""
    present = [entry for entry in drawing.legend if entry.state == "present"]
    if not column:
        shown = [_entry(entry) for entry in present] or [Content("no label in this slice")]
        return Content("  ").join([*shown, *(Content(printable(fact)) for fact in drawing.facts)])
    lines = [_entry(entry, with_value=True) for entry in present]
    for state, words in _STATES.items():
        names = " ".join(entry.name for entry in drawing.legend if entry.state == state)
        if names:
            lines += [
                Content(""),
                Content.styled(words, "bold $foreground-muted"),
                Content.styled(names, "$foreground-muted"),
            ]
    lines += [Content(""), *(Content(printable(fact)) for fact in drawing.facts)] if drawing.facts else []
    if drawing.unknown_share:
        share = number(float(f"{100 * drawing.unknown_share:.3g}"))
        lines += [Content(""), Content(f"hatched: {share} % of the picture is unknown")]
    lines += [Content.styled(f"{sign('warning')} {printable(note)}", "$text-warning") for note in drawing.notes]
    return Content("\n").join(lines)


def _entry(entry: LegendEntry, *, with_value: bool = False) -> Content:
    colour = "" if entry.colour is None else "#{:02x}{:02x}{:02x}".format(*entry.colour)
    swatch = ("▒▒" if entry.colour is None else "██", colour)
    words = f" {entry.letter} {entry.name}"
    if with_value and entry.value:
        words += "  here" if entry.value == 1 else f"  {entry.value} here"
    return Content.assemble(swatch, printable(words))
