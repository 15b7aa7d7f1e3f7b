"""The list of trainings and logs as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.live_words import best, short_name, source_name
from cellmap_tui.app.run_words import progress_words
from cellmap_tui.app.widgets.training_table import TrainingRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.monitor.source import Source


def training_rows(runs: Sequence[RunSummary], live: LiveRun | None) -> list[TrainingRow]:
    """Return the trainings as they came, then what is drawn and lies elsewhere."""
    sources = {source.path: source for source in live.sources} if live is not None else {}
    listed = {run.path for run in runs}
    rows = [_row(run.path, short_name(run.run_id), run, sources.get(run.path), live) for run in runs]
    for path, source in sources.items():
        if path not in listed:
            rows.append(_row(path, source_name(source, 15), source.facts.state, source, live))
    return rows


def _row(path: Path, name: str, run: RunSummary | None, source: Source | None, live: LiveRun | None) -> TrainingRow:
    top = best(source) if source is not None else None
    return TrainingRow(
        path=path,
        name=name,
        run=run,
        done=_done(run, source),
        note="" if top is None else f"{top[0]:.3f}",
        is_main=live is not None and path == live.path,
        colour=live.colour_of(source) if live is not None and source is not None else None,
    )


def _done(run: RunSummary | None, source: Source | None) -> str:
    """Return how much is done: by steps where they are known, else by epochs; what else it counts is no share."""
    if source is not None and source.facts.planned_steps and source.series.last_step is not None:
        return f"{100 * source.series.last_step / source.facts.planned_steps:.0f} %"
    return "-" if run is None else progress_words(run)
