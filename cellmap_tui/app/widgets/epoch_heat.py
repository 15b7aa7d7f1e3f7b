"""Every class over the epochs: a cell prints the tenth its number lies in, on a ground from dark to light.

48 classes fit on a small screen because they stand in several blocks side by side. The line below
names the class, the epoch and the number under the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual.message import Message
from textual.reactive import reactive

from cellmap_tui.app.chart_axes import short_number
from cellmap_tui.app.chart_frame import AXIS, CURSOR, HEAT, HEATS, HERE, PLAIN, WORDS, Frame, write_text
from cellmap_tui.app.keys import bind
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.frame_view import FrameView
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from textual.binding import BindingType

NAME_CELLS = 12
"""Cells for a class's name, with the cursor's mark."""
LAST_CELLS = 5
"""Cells for its newest number."""
LEAST_STRIP = 6
"""Cells that epochs take at least."""
WIDEST_EPOCH = 4
"""Cells that one epoch takes at most."""
GAP = 2


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where classes and epochs stand."""

    across: int
    """Blocks side by side."""
    rows: int
    """Classes in a block."""
    strip: int
    """Cells of a block that epochs take."""
    epoch_cells: int
    """Cells of an epoch; 1 where a cell holds several."""
    epochs_in_cell: int
    """Epochs that a cell holds; its number is that of the newest."""

    @property
    def size(self) -> int:
        """Classes on a page."""
        return self.across * self.rows

    @property
    def pitch(self) -> int:
        """Cells from one block to the next."""
        return NAME_CELLS + self.strip + LAST_CELLS + GAP


def make_blocks(classes: int, epochs: int, width: int, height: int) -> Blocks:
    """Return as few blocks as show all classes in `height` lines, one of which is a heading and one the readout."""
    rows = max(1, height - 2)
    least = NAME_CELLS + LEAST_STRIP + LAST_CELLS
    most_across = max(1, (width + GAP) // (least + GAP))
    across = min(most_across, max(1, -(-classes // rows)))
    rows = max(1, min(rows, -(-classes // across)))
    room = max(1, (width + GAP) // across - GAP - NAME_CELLS - LAST_CELLS)
    epochs = max(1, epochs)
    epoch_cells = max(1, min(WIDEST_EPOCH, room // epochs))
    epochs_in_cell = -(-epochs // room)
    strip = -(-epochs // epochs_in_cell) * epoch_cells
    return Blocks(across, rows, max(strip, min(room, LEAST_STRIP)), epoch_cells, epochs_in_cell)


class EpochHeat(FrameView):
    """Classes over epochs, with a cursor on one cell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "open"),
        bind("move.left", "move(0, -1)", show=False, help="Go to the epochs before."),
        bind("move.right", "move(0, 1)", show=False, help="Go to the next epochs."),
        bind("move.up", "move(-1, 0)", show=False),
        bind("move.down", "move(1, 0)", show=False),
        bind("move.top", "move(-99999, 0)", show=False),
        bind("move.bottom", "move(99999, 0)", show=False),
        bind("move.half_up", "block(-1)", show=False, help="Go to the block of classes at the left."),
        bind("move.half_down", "block(1)", show=False, help="Go to the block of classes at the right."),
        bind("move.page_up", "page(-1)", show=False),
        bind("move.page_down", "page(1)", show=False),
    ]

    row: reactive[int] = reactive(0, repaint=False)
    """Class under the cursor."""
    column: reactive[int] = reactive(0, repaint=False)
    """Index of the epoch under the cursor."""

    class CellHighlighted(Message):
        """The cursor came to another class or epoch; the value is NaN where nothing was validated."""

        def __init__(self, heat: EpochHeat, class_name: str, epoch: int, value: float) -> None:
            self.heat = heat
            self.class_name = class_name
            self.epoch = epoch
            self.value = value
            super().__init__()

    class CellOpened(Message):
        """The user wants to see a class at an epoch."""

        def __init__(self, heat: EpochHeat, class_name: str, epoch: int) -> None:
            self.heat = heat
            self.class_name = class_name
            self.epoch = epoch
            super().__init__()

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._names: tuple[str, ...] = ()
        self._epochs: tuple[int, ...] = ()
        self._values: NDArray[np.float64] = np.empty((0, 0))
        self._limits = (0.0, 1.0)
        self._metric = "dice"

    def show(
        self,
        classes: Sequence[str],
        epochs: Sequence[int] | NDArray[np.int64],
        values: NDArray[np.float64],
        *,
        metric: str = "dice",
        limits: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Show these numbers; the cursor stays on its class, and at the newest epoch if it was there.

        Parameters
        ----------
        classes, epochs
            Names of the rows, in the order in which they are shown, and numbers of the columns.
        values
            float64 of shape (classes, epochs), NaN where nothing was validated.
        metric
            What the numbers are.
        limits
            Values that are drawn darkest and lightest.
        """
        here = self._names[self.row] if self.row < len(self._names) else None
        was_newest = self.column >= len(self._epochs) - 1
        self._names, self._epochs = tuple(classes), tuple(int(epoch) for epoch in epochs)
        self._values = np.asarray(values, np.float64).reshape(len(self._names), len(self._epochs))
        self._metric, self._limits = metric, limits
        row = self._names.index(here) if here in self._names else 0
        column = len(self._epochs) - 1 if was_newest else self.column
        self.set_reactive(EpochHeat.row, self.validate_row(row))
        self.set_reactive(EpochHeat.column, self.validate_column(column))
        self.draw()

    @property
    def cell(self) -> tuple[str, int, float] | None:
        """Class, epoch and number under the cursor, None while there is nothing."""
        if not self._values.size:
            return None
        return self._names[self.row], self._epochs[self.column], float(self._values[self.row, self.column])

    @property
    def page_words(self) -> str:
        """What part is shown, such as ``1-32 of 48``; empty when all is."""
        size = self._blocks().size
        if size >= len(self._names):
            return ""
        start = self.row // size * size
        return f"{start + 1}-{min(len(self._names), start + size)} of {len(self._names)}"

    def validate_row(self, row: int) -> int:
        """Keep the cursor on a class."""
        return max(0, min(row, len(self._names) - 1))

    def validate_column(self, column: int) -> int:
        """Keep the cursor on an epoch."""
        return max(0, min(column, len(self._epochs) - 1))

    def watch_row(self) -> None:
        """Show where the cursor is."""
        self._moved()

    def watch_column(self) -> None:
        """Show where the cursor is."""
        self._moved()

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor; a step to the side is a cell of the screen."""
        self.row += rows
        if columns:
            many = self._blocks().epochs_in_cell
            cell = self.column // many + columns
            self.column = min(cell * many + many - 1, len(self._epochs) - 1) if cell >= 0 else self.column

    def action_block(self, blocks: int) -> None:
        """Move to the block beside this one."""
        self.row += blocks * self._blocks().rows

    def action_page(self, pages: int) -> None:
        """Move by whole pages."""
        self.row += pages * self._blocks().size

    def action_open(self) -> None:
        """Say which cell is wanted."""
        if self.cell is not None:
            self.post_message(self.CellOpened(self, *self.cell[:2]))

    def on_focus(self) -> None:
        """Show the cursor."""
        self.draw()

    def on_blur(self) -> None:
        """Hide the cursor's strength."""
        self.draw()

    def make_frame(self, width: int, height: int) -> Frame:
        """Return the page with the cursor."""
        frame = Frame(np.full((height, width), ord(" "), "<u4"), np.zeros((height, width), np.int8))
        if not self._values.size:
            return frame
        blocks, only_ascii = self._blocks(), ascii_only()
        newest = self._newest_in_cells(blocks)
        start = self.row // blocks.size * blocks.size
        for index in range(start, min(len(self._names), start + blocks.size)):
            block, row = divmod(index - start, blocks.rows)
            if row == 0:
                self._draw_heading(frame, block * blocks.pitch, blocks, ascii=only_ascii)
            self._draw_class(frame, index, newest[index], row + 1, block * blocks.pitch, blocks, ascii=only_ascii)
        if height > 2:
            write_text(frame, height - 1, 0, self._readout(), WORDS, ascii=only_ascii)
        return frame

    def _moved(self) -> None:
        self.draw()
        if self.cell is not None:
            self.post_message(self.CellHighlighted(self, *self.cell))

    def _blocks(self) -> Blocks:
        return make_blocks(len(self._names), len(self._epochs), *self.content_size)

    def _newest_in_cells(self, blocks: Blocks) -> NDArray[np.float64]:
        """Return the newest number of each cell, float64 of shape (classes, cells)."""
        many = blocks.epochs_in_cell
        classes, epochs = self._values.shape
        padded = np.full((classes, -(-epochs // many) * many), np.nan)
        padded[:, :epochs] = self._values
        grouped = padded.reshape(classes, -1, many)
        last = many - 1 - np.argmax(np.isfinite(grouped[:, :, ::-1]), axis=2)
        return np.take_along_axis(grouped, last[:, :, None], axis=2)[:, :, 0]

    def _draw_heading(self, frame: Frame, left: int, blocks: Blocks, *, ascii: bool) -> None:
        first, last = str(self._epochs[0]), str(self._epochs[-1])
        cells = -(-len(self._epochs) // blocks.epochs_in_cell) * blocks.epoch_cells
        write_text(frame, 0, left, "  epoch", AXIS, ascii=ascii)
        write_text(frame, 0, left + NAME_CELLS, first, AXIS, ascii=ascii)
        if len(first) + len(last) < cells:
            write_text(frame, 0, left + NAME_CELLS + cells - len(last), last, AXIS, ascii=ascii)
        write_text(frame, 0, left + NAME_CELLS + blocks.strip, f"{'last':>{LAST_CELLS}}", AXIS, ascii=ascii)

    def _draw_class(
        self,
        frame: Frame,
        index: int,
        values: NDArray[np.float64],
        row: int,
        left: int,
        blocks: Blocks,
        *,
        ascii: bool,
    ) -> None:
        is_here = index == self.row
        name = cut_middle(printable(self._names[index]), NAME_CELLS - 3)
        style = CURSOR if is_here else PLAIN
        write_text(frame, row, left, f"{'>' if is_here else ' '} {name}", style, ascii=ascii)
        self._draw_strip(frame, values, row, left + NAME_CELLS, blocks, ascii=ascii)
        if is_here:
            at = left + NAME_CELLS + self.column // blocks.epochs_in_cell * blocks.epoch_cells
            frame.styles[row, at : at + blocks.epoch_cells] = HERE
        good = values[np.isfinite(values)]
        last = f"{good[-1]:.2f}" if good.size else "-"
        write_text(frame, row, left + NAME_CELLS + blocks.strip, f"{last:>{LAST_CELLS}}", style, ascii=ascii)

    def _draw_strip(
        self, frame: Frame, values: NDArray[np.float64], row: int, left: int, blocks: Blocks, *, ascii: bool
    ) -> None:
        """Print the tenth of the range that each number lies in, on its shade."""
        wide = blocks.epoch_cells
        here = np.s_[row, left : left + wide * len(values)]
        room = frame.codes[here].size
        codes, styles = tenths(values, *self._limits, ascii=ascii)
        printed = np.full((len(values), wide), ord(" "), np.uint32)
        printed[:, -1] = codes
        frame.codes[here] = printed.ravel()[:room]
        frame.styles[here] = np.repeat(styles, wide)[:room]

    def _readout(self) -> str:
        assert self.cell is not None
        name, epoch, value = self.cell
        words = f"{self._metric} {short_number(value)}" if np.isfinite(value) else "not validated"
        many = self._blocks().epochs_in_cell
        note = f"   a cell is {many} epochs, its newest number" if many > 1 else ""
        page = f"   {self.page_words}" if self.page_words else ""
        return f"{printable(name)}   epoch {epoch}   {words}{note}{page}"


def tenths(
    values: NDArray[np.float64], low: float, high: float, *, ascii: bool = False
) -> tuple[NDArray[np.uint32], NDArray[np.int8]]:
    """Return the digit of each number's tenth of the range, and the style of its ground; NaN is a dot on none."""
    known = np.isfinite(values)
    share = np.clip((np.where(known, values, low) - low) / (high - low), 0.0, 1.0)
    digits = np.minimum(9, (share * 10 + 1e-9).astype(np.int64)) + ord("0")
    levels = np.minimum(HEATS - 1, (share * HEATS).astype(np.int64)) + HEAT
    codes = np.where(known, digits, ord("." if ascii else "·")).astype(np.uint32)
    return codes, np.where(known, levels, AXIS).astype(np.int8)
