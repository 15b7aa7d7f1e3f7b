"""Example slices in words: which one, how good its prediction is, what the colours mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.crop_slices import class_letters
from cellmap_tui.app.sample_pictures import ERROR_SIGNS, colour_of, legend
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.columns import Column

if TYPE_CHECKING:
    from cellmap_tui.app.sample_pictures import Figures
    from cellmap_tui.app.sample_slices import SampleIndex
    from cellmap_tui.app.widgets.sample_view import Shown

NOTHING_YET = "no slices yet: the first validation leaves some"
NONE_KEPT = "this run has left no example slices"
FOREIGN = "a log of another tool has no slices in a form that can be shown"


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class in one slice."""

    name: str
    """The class."""
    figures: Figures
    """How prediction and truth differ."""


def class_figures(shown: Shown) -> tuple[ClassFigures, ...]:
    """Return the classes of a slice, the worst first; those without truth and prediction last."""
    rows = [ClassFigures(name, told) for name, told in zip(shown.sample.names, shown.classes, strict=True)]
    return tuple(sorted(rows, key=lambda row: (row.figures.dice is None, row.figures.dice or 0.0)))


def class_columns() -> tuple[Column[ClassFigures], ...]:
    """Return the columns of the table of classes in a slice."""
    return (
        Column("name", "class", 10, lambda row: row.name, max_width=24),
        Column("dice", "Dice", 5, lambda row: _figure(row.figures.dice), align="right"),
        Column("missed", "missed", 6, lambda row: _share(row.figures.missed, row), align="right", priority=1),
        Column("false", "false", 6, lambda row: _share(row.figures.false, row), align="right", priority=1),
        Column("unknown", "unkn.", 6, _unknown, align="right", priority=2),
    )


def title_words(shown: Shown) -> str:
    """Return which slice is shown: crop, axis, class."""
    sample = shown.sample
    which = "all classes" if shown.column is None else sample.names[shown.column]
    plane = sample.position["zyx".index(sample.axis)] if sample.axis in {"z", "y", "x"} else "?"
    return f"{sample.ref}  {sample.axis} {plane}  {which}"


def note_words(shown: Shown, index: SampleIndex) -> str:
    """Return when it is from."""
    newest = " (newest)" if index.epochs and shown.epoch == index.epochs[-1] else ""
    return f"epoch {shown.epoch}{newest}, step {text.count(shown.sample.step)}"


def scrub_words(shown: Shown, index: SampleIndex, width: int) -> str:
    """Return where this epoch stands among those with slices: ``1 ···●·· 24``."""
    having = [epoch for epoch in index.epochs if (epoch, shown.look.name) in index.paths]
    point, here = (".", "#") if ascii_only() else ("·", "●")
    room = max(1, min(len(having), width))
    place = having.index(shown.epoch) * room // len(having) if shown.epoch in having else 0
    line = point * place + here + point * (room - place - 1)
    first, last = (having[0], having[-1]) if having else ("-", "-")
    return f"{note_words(shown, index)}   {first} {line} {last}"


def figures_words(shown: Shown) -> Content:
    """Return how prediction and truth differ in what is shown, with the colours of the error picture."""
    told = shown.overall
    dice = "nothing here" if told.dice is None else f"Dice {told.dice:.2f}"
    counts = {"right": told.right, "hallucinated": told.false, "missed": told.missed}
    parts: list[str | tuple[str, str]] = [f"{dice}  "]
    signs = dict(zip(counts, ERROR_SIGNS.values(), strict=True)) if shown.has_letters else {}
    for name, colour in legend():
        parts += [signs.get(name) or _square(colour), f" {name} {_percent(counts[name], told.total)}  "]
    parts.append(f"{'/' if ascii_only() else '╱'} unknown {_percent(told.total - told.known, told.total)}")
    return Content.assemble(*parts)


def classes_words(shown: Shown, most: int = 5) -> Content:
    """Return the worst classes of the slice in one line, each with its colour."""
    rows = [row for row in class_figures(shown) if row.figures.dice is not None]
    if not rows:
        return Content("no class in this slice")
    parts: list[str | tuple[str, str]] = ["worst "]
    letters = class_letters(shown.sample.names) if shown.has_letters else {}
    for row in rows[:most]:
        colour = colour_of(row.name, shown.sample.names.index(row.name))
        name = text.cut_middle(text.printable(row.name), 12)
        parts += [" ", letters.get(row.name) or _square(colour), f" {name} {row.figures.dice:.2f}"]
    return Content.assemble(*parts)


def _square(colour: tuple[int, int, int]) -> tuple[str, str]:
    red, green, blue = colour
    return ("#" if ascii_only() else "■", f"rgb({red},{green},{blue})")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(voxels: int, row: ClassFigures) -> str:
    return _percent(voxels, row.figures.total)


def _unknown(row: ClassFigures) -> str:
    return _percent(row.figures.total - row.figures.known, row.figures.total)


def _percent(voxels: int, total: int) -> str:
    share = 100 * voxels / total if total else 0.0
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"
