"""The trainings, and the logs of other tools beside them: which is in hand, which are drawn over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message

from cellmap_tui.app.keys import bind
from cellmap_tui.app.run_words import age_words, state_words
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from textual.binding import BindingType

    from cellmap_tui.jobs.summary import RunSummary

NOTHING = "no training yet: n starts one from a configuration, which P on the Train screen writes"
NONE_HERE = "no training here: n starts one"


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training or log."""

    path: Path
    """Its folder."""
    name: str
    """What it is called, short."""
    run: RunSummary | None = None
    """Where it stands; None: a log of another tool."""
    done: str = "-"
    """How much of it is done."""
    note: str = ""
    """Its best Dice, or what is wrong."""
    is_main: bool = False
    """Whether it is in hand."""
    colour: int | None = None
    """Its colour among those drawn; None: it is not."""


class TrainingTable(VirtualTable[TrainingRow]):
    """The trainings, the newest first; ``enter`` takes one in hand, ``space`` draws it over that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "look at", help="Look at this training."),
        bind("do.mark", "overlay", "overlay", help="Draw this training over the one in hand, or no longer."),
    ]

    class OverlayAsked(Message):
        """The user wants a training drawn over the one in hand, or no longer."""

        def __init__(self, row: TrainingRow) -> None:
            self.row = row
            super().__init__()

    def __init__(self) -> None:
        super().__init__(columns(), row_key=lambda row: row.path, markable=False, empty=NONE_HERE,
                         search_text=lambda row: f"{row.name} {row.path.name}")  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave ``space`` to the overlay."""
        return action not in {"mark", "mark_all"} and super().check_action(action, parameters)

    def action_overlay(self) -> None:
        """Let the screen draw the row under the cursor, or no longer."""
        if (row := self.highlighted) is not None:
            self.post_message(self.OverlayAsked(row))


def columns() -> tuple[Column[TrainingRow], ...]:
    """Return the columns."""
    return (
        Column("drawn", "", 1, _drawn, look=lambda row: "accent" if row.colour is not None else "dim"),
        Column("name", "training", 12, lambda row: printable(row.name), max_width=24),
        Column("state", "state", 9, _state),
        Column("progress", "done", 5, lambda row: row.done, align="right"),
        Column("note", "Dice", 5, lambda row: row.note, align="right", priority=1),
        Column("age", "took", 10, lambda row: age_words(row.run) if row.run else "-", align="right", priority=2),
        Column("says", "says", 20, _says, max_width=100, priority=3),
    )


def _drawn(row: TrainingRow) -> str:
    return sign("cursor") if row.is_main else "" if row.colour is None else "+"


def _state(row: TrainingRow) -> str:
    return state_words(row.run) if row.run is not None else "log"


def _says(row: TrainingRow) -> str:
    return printable(row.run.message or "") if row.run is not None else printable(str(row.path))
