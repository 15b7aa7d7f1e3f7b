"""Columns of a table: what they show, how wide they are, and which leave first when space is short."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rich.cells import cell_len, set_cell_size

from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")

GAP = 2
"""Empty cells between two columns."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a `VirtualTable`."""

    key: str
    """Name of the column for sorting and tests."""
    title: str
    """Heading."""
    width: int
    """Width in cells; a flexible column never gets less."""
    cell: Callable[[Row], str]
    """Text of a row's cell. It is data: never markup, control characters are replaced."""
    align: Literal["left", "right"] = "left"
    """Figures stand at the right."""
    priority: int = 0
    """0 stays; of the others the highest leaves first when the table is narrow."""
    max_width: int = 0
    """Above `width`: the column may take this many cells of the space that is left."""
    sort_key: Callable[[Row], Any] | None = None
    """Order of rows by this column; None: cannot be sorted by it."""
    look: Callable[[Row], str] | None = None
    """Name of a component style for the cell without its ``virtual-table--`` prefix, or an empty string."""


def fit(columns: Sequence[Column[Row]], width: int) -> list[tuple[Column[Row], int]]:
    """Choose the columns that fit into `width` cells, and their widths.

    Columns leave by priority, among equals from the right; what is left over goes to the flexible
    ones, left to right.
    """
    kept = list(columns)
    while len(kept) > 1 and _needed(kept) > width and (droppable := [c for c in kept if c.priority]):
        worst = max(column.priority for column in droppable)
        kept.remove(next(column for column in reversed(droppable) if column.priority == worst))
    spare = max(0, width - _needed(kept))
    widths = []
    for column in kept:
        grown = min(spare, max(0, column.max_width - column.width))
        spare -= grown
        widths.append((column, column.width + grown))
    return widths


def fitted(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """Return data as exactly `width` cells: made printable, cut in the middle, padded."""
    if text.isascii() and text.isprintable():
        if len(text) > width:
            text = cut_middle(text, width)
        return text.rjust(width) if align == "right" else text.ljust(width)
    return _fitted_wide(text, width, align)


@lru_cache(maxsize=4096)
def _fitted_wide(text: str, width: int, align: str) -> str:
    text = printable(text)
    cells = cell_len(text)
    if cells > width:
        text = cut_middle(text, width)
        while cell_len(text) > width:
            text = cut_middle(text, len(text) - 1)
        cells = cell_len(text)
    if align == "right":
        return " " * (width - cells) + text
    return set_cell_size(text, width)


def _needed(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)
