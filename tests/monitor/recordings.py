"""Runs as sources: recorded and made logs of ``runs/`` in a run directory of their own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.monitor.diagnosis import diagnose
from cellmap_tui.monitor.series import Batch, RunSeries
from cellmap_tui.monitor.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cellmap_tui.monitor.finding import Finding
    from cellmap_tui.monitor.source import Source

RUNS = Path(__file__).parent / "runs"


def recording(folder: Path, events: str, machine: str | None = None, config: str = "") -> Source:
    """Return a source, read to its end, of a log in ``runs/``, with the telemetry of another."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(RUNS / f"{events}.jsonl", folder / "events.jsonl")
    if machine is not None:
        shutil.copyfile(RUNS / f"{machine}.jsonl", folder / "telemetry.jsonl")
    if config:
        (folder / "config.toml").write_text(config)
    source = open_source(folder)
    while source.poll() or not source.at_end:
        pass
    return source


def findings(source: Source, **facts: Any) -> dict[str, Finding]:
    """Return what the rules find of a run that is taken to be live, by rule."""
    told = replace(source.facts, **{"state": None, **facts})
    return {finding.rule: finding for finding in diagnose(source.series, source.telemetry, told)}


def moments(source: Source) -> Iterator[tuple[int, RunSeries]]:
    """Return what a viewer had known of a run at each of its validations: the step, and the metrics until then."""
    points = {name: source.series.points(name) for name in source.series.names()}
    for step in points["val/dice"].step:
        series = RunSeries()
        there = {name: known.taken(known.step <= step) for name, known in points.items()}
        series.add_newer([Batch({name: known for name, known in there.items() if len(known)}, first_step=0)])
        yield int(step), series


def findings_at(source: Source, config: Mapping[str, Any]) -> dict[int, dict[str, Finding]]:
    """Return what the rules would have found at each validation of a run that was live, by rule."""
    facts = replace(source.facts, state=None, config=dict(config))
    return {step: {found.rule: found for found in diagnose(series, None, facts)} for step, series in moments(source)}
