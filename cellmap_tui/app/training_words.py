"""What the training section says: rows of trainings, figures, and the loss as a curve of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.run_words import age_words, progress_words, state_words
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import count, cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.training_feed import TrainingTally
    from cellmap_tui.jobs.summary import RunSummary

NOTHING = "no training yet: n starts one from a configuration, which P on the Train screen writes"
AXIS = 8
"""Cells of the curve's labels and axis."""
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ASCII = "  ..::||#"
_MOST_CLASSES = 48
_MOST_NAME = 20


def run_columns() -> tuple[Column[RunSummary], ...]:
    """Return the columns of the list of trainings."""
    return (
        Column("run", "training", 18, lambda run: run.run_id.partition("-")[0], max_width=18),
        Column("state", "state", 9, state_words),
        Column("progress", "progress", 22, progress_words),
        Column("age", "begun", 10, age_words),
        Column("says", "says", 20, lambda run: printable(run.message or ""), max_width=120),
    )


def figures(tally: TrainingTally) -> str:
    """Return the figures of a training: loss, Dice, speed; then Dice by class, the worst first."""
    latest = tally.latest
    if not latest:
        return "no step yet: crops are prepared, memory, disk and time are looked at"
    rows = [
        ("loss", _number(latest.get("loss"))),
        ("mean Dice", f"{latest['val/dice']:.3f}" if "val/dice" in latest else "-"),
        ("best", "-" if tally.best is None else f"{tally.best[1]:.3f} at epoch {tally.best[0]}"),
        ("step", count(tally.step) + ("" if tally.epoch is None else f", epoch {tally.epoch}")),
        ("step size", _number(latest.get("lr"))),
        ("patches/s", _number(latest.get("perf/samples_per_s"))),
        ("waits", _share(latest.get("perf/data_wait"))),
    ]
    if "val/score" in latest:
        rows.insert(3, ("score", _number(latest["val/score"])))
    lines = [f"{name:<10} {value}" for name, value in rows]
    classes = tally.classes()[:_MOST_CLASSES]
    if classes:
        width = min(_MOST_NAME, max(len(name) for name, _ in classes))
        lines += ["", "Dice by class, the worst first"]
        lines += [f"{cut_middle(printable(name), width):<{width}}  {value:.3f}" for name, value in classes]
    return "\n".join(lines)


def curve_lines(values: Sequence[float | None], height: int, *, ascii_only: bool = False) -> list[str]:
    """Return a curve of `height` lines: an axis with its ends, and a column a value.

    Parameters
    ----------
    values
        A value a column; None leaves it empty.
    height
        Lines, at least 1.
    ascii_only
        Whether only ASCII can be shown.
    """
    known = [value for value in values if value is not None]
    blocks = _ASCII if ascii_only else _EIGHTHS
    top, lowest = max(known, default=1.0), min(known, default=0.0)
    # From 0, unless that would flatten what there is to see.
    bottom = min(0.0, lowest) if lowest < top / 2 else lowest - 0.1 * (top - lowest)
    span = (top - bottom) or 1.0
    levels = [0 if v is None else max(1, round(8 * height * (v - bottom) / span)) for v in values]
    tick, plain = ("|", "|") if ascii_only else ("┤", "│")
    lines = []
    for line in range(height):
        below = 8 * (height - 1 - line)
        label = f"{top:.3g}" if line == 0 else f"{bottom:.3g}" if line == height - 1 else ""
        axis = tick if label else plain
        lines.append(f"{label:>{AXIS - 1}}{axis}" + "".join(blocks[max(0, min(8, part - below))] for part in levels))
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} % for patches"
