"""Tunings below the runs root: what one was asked and found, and its table as rows and words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.eval_rows import delta_look, delta_words, figure
from cellmap_tui.app.run_results import read_run
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.process_recipe import Recipe, read_recipe
from cellmap_tui.services.tune_model import TunedClass, TuneRequest, TuneResult, TuneRow
from cellmap_tui.text import count, number, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.summary import RunSummary

TUNE = "tune"


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """A tuning that is done."""

    run_id: str
    """Its run."""
    request: TuneRequest
    """What it was asked."""
    result: TuneResult
    """What it found."""
    recipe: Recipe | None
    """The recipe that it wrote, as the file is now; None where it is gone or no recipe any more."""
    problem: str = ""
    """Why there is no recipe."""

    def rows_of(self, label: str) -> tuple[TuneRow, ...]:
        """Return everything that was tried for a class, the best first."""
        mine = [row for row in self.result.rows if row.label == label]
        return tuple(sorted(mine, key=lambda row: (not row.is_best, 1.0 if row.score is None else -row.score)))


def read_tuning(run: RunSummary) -> Tuning:
    """Read what a job has found.

    Raises
    ------
    CellmapError
        If it is gone, damaged, or of another version.
    """
    request, result = read_run(run.path, TuneRequest, TuneResult, "tune again")
    try:
        return Tuning(run.run_id, request, result, read_recipe(Path(result.recipe)))
    except CellmapError as error:
        return Tuning(run.run_id, request, result, None, str(error))


def class_columns() -> tuple[Column[TunedClass], ...]:
    """Return the columns of the tuned classes."""
    return (
        Column("label", "class", 10, lambda row: row.label, max_width=20, sort_key=lambda row: row.label),
        Column("before", "before", 6, lambda row: figure(row.reported_before), align="right",
               sort_key=lambda row: _known(row.reported_before)),
        Column("after", "tuned", 6, lambda row: figure(row.reported_after), align="right", look=lambda _: "strong",
               sort_key=lambda row: _known(row.reported_after)),
        Column("gain", "change", 8, lambda row: delta_words(gain(row)), align="right",
               look=lambda row: delta_look(gain(row)), sort_key=lambda row: _known(gain(row))),
        Column("chosen", "where chosen", 14, lambda row: f"{figure(row.chosen_before)} → {figure(row.chosen_after)}",
               priority=3),
        Column("method", "method", 10, lambda row: row.method, priority=2),
        Column("threshold", "above", 5, lambda row: number(row.threshold), align="right", priority=1),
        Column("size", "voxels", 7, lambda row: count(row.min_voxels), align="right", priority=1),
        Column("smoothing", "smooth", 6, lambda row: _nm(row.smoothing_nm), align="right", priority=4),
        Column("tried", "tried", 5, lambda row: count(row.tried), align="right", priority=5),
        Column("run", "run", 8, lambda row: row.run, max_width=40, priority=6, look=lambda _: "dim"),
    )  # fmt: skip


def tried_columns() -> tuple[Column[TuneRow], ...]:
    """Return the columns of what was tried for a class."""
    return (
        Column("mark", "", 5, _mark, look=lambda row: "good" if row.is_best else "accent"),
        Column("score", "chosen", 6, lambda row: figure(row.score), align="right",
               look=lambda row: "strong" if row.is_best else "", sort_key=lambda row: _known(row.score)),
        Column("reported", "reported", 8, lambda row: figure(row.reported) if row.reported is not None else "",
               align="right", sort_key=lambda row: _known(row.reported)),
        Column("method", "method", 10, lambda row: row.method, sort_key=lambda row: row.method),
        Column("threshold", "above", 6, lambda row: number(row.threshold), align="right",
               sort_key=lambda row: row.threshold),
        Column("size", "voxels", 7, lambda row: count(row.min_voxels), align="right",
               sort_key=lambda row: row.min_voxels),
        Column("seeds", "seeds", 5, lambda row: "-" if row.seed_voxels is None else count(row.seed_voxels),
               align="right", priority=2),
        Column("smoothing", "smooth", 6, lambda row: _nm(row.smoothing_nm), align="right", priority=1,
               sort_key=lambda row: row.smoothing_nm),
        Column("f1", "f1/iou", 6, lambda row: figure(row.f1 if row.f1 is not None else row.iou), align="right",
               priority=3),
        Column("boundary", "bound.", 6, lambda row: figure(row.boundary), align="right", priority=4),
        Column("skipped", "skip", 4, lambda row: count(row.skipped) if row.skipped else "", align="right",
               priority=5),
        Column("run", "run", 8, lambda row: row.run, max_width=40, priority=6, look=lambda _: "dim"),
    )  # fmt: skip


def row_key(row: TuneRow) -> tuple[object, ...]:
    """Return what identifies a recipe that was tried."""
    return row.label, row.run, row.method, row.threshold, row.min_voxels, row.smoothing_nm, row.seed_voxels


def gain(row: TunedClass) -> float | None:
    """Return by how much the score grew where it is reported."""
    if row.reported_before is None or row.reported_after is None:
        return None
    return row.reported_after - row.reported_before


def why(row: TunedClass, tried: Sequence[TuneRow]) -> Content:
    """Return why a recipe was chosen, in a few lines."""
    others = [one.score for one in tried if not one.is_best and one.score is not None]
    ahead = "" if not others or row.chosen_after is None else f", {row.chosen_after - max(others):+.3f} to the next"
    apart = "" if row.reported_on == row.chosen_on else ", which had no say"
    lines = [
        f"Chosen on {_crops(row.chosen_on)}: best of {count(row.tried)}, "
        f"{figure(row.chosen_before)} → {figure(row.chosen_after)}{ahead}.",
        f"Reported on {_crops(row.reported_on)}{apart}: {figure(row.reported_before)} → "
        f"{figure(row.reported_after)} ({delta_words(gain(row)).strip()}).",
    ]
    told = Content(printable(lines[0]) + "\n" + printable(lines[1]))
    if (lost := gain(row)) is not None and lost < 0:
        worse = "It is worse there than the start: too few crops, or too many tries for them."
        told = Content.assemble(told, "\n", (f"{sign('warning')} {worse}", "$text-warning"))
    return Content.assemble(told, "\n", (f"! {printable(row.words)}", "$text-warning")) if row.words else told


def summary(result: TuneResult) -> str:
    """Return what came of a tuning in a line."""
    means = f"{figure(result.reported_before)} → {figure(result.reported_after)}"
    failed = f", {count(len(result.errors))} not scored" if result.errors else ""
    return f"mean {means} on crops that had no say, rules {result.profile}{failed}"


def _crops(refs: Sequence[str]) -> str:
    shown = ", ".join(refs[:4])
    return f"{shown} and {count(len(refs) - 4)} more" if len(refs) > 4 else shown or "no crop"


def _mark(row: TuneRow) -> str:
    if row.is_best:
        return f"{sign('marked')}best"
    return "start" if row.is_start else ""


def _nm(width: float) -> str:
    return f"{number(width)} nm" if width else "-"


def _known(value: float | None) -> float:
    return -1.0 if value is None else value
