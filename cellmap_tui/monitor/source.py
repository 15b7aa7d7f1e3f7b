"""Where numbers come from: own runs, TensorBoard logs, CSV logs. One way to open, poll and ask all of them.

A source only reads. It never raises on what is in files: what cannot be read is passed over, and what has
gone is told in `Source.problem`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.jobs.liveness import Pulse
from cellmap_tui.monitor.facts import FactsReader, RunFacts
from cellmap_tui.monitor.log_lines import LogLine, LogLines
from cellmap_tui.monitor.run_log import RunRows, decode_rows
from cellmap_tui.monitor.series import RunSeries
from cellmap_tui.monitor.spans import Lines, Span, Spans
from cellmap_tui.monitor.telemetry import Telemetry
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from cellmap_tui.jobs.events import Event

__all__ = ["LogLine", "RunFacts", "RunSeries", "Source", "Telemetry", "find_sources", "open_source"]

POLL_S = 0.08
"""How long a poll goes on reading; the stretch then begun is finished, which takes another 10 ms."""
FACTS_INTERVAL_S = 0.4
"""Small files are looked at no oftener than this."""
NAME_WIDTH = 32
_GENERAL_NAMES = frozenset({"tensorboard", "metrics.csv", "log.csv", "logs", "version_0", "progress.csv", "events"})

Kind = Literal["run", "tensorboard", "csv"]


class Source:
    """One run or log, read as it grows. `poll` is for one thread; everything else may be read by others meanwhile.

    Parameters
    ----------
    path
        A directory or file.
    kind
        What it is.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        """Where it lies."""
        self.kind: Kind = kind
        """``run``, ``tensorboard`` or ``csv``."""
        self.name = short_name(path)
        """What to call it, short and safe to show."""
        self.series = RunSeries()
        """Its numbers."""
        self.facts = RunFacts()
        """What is known of it beside numbers."""
        self.telemetry = Telemetry(None)
        """What its machine did; empty for logs of other tools."""
        self.problem = ""
        """What of it cannot be read, and why; empty: nothing."""
        self.skipped = 0
        """Lines or records passed over because they were damaged or of no known kind."""
        self._lines = LogLines()

    @property
    def events(self) -> list[LogLine]:
        """The last thousand notes, warnings, checkpoints and validations, oldest first."""
        return self._lines.lines()

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the last poll has been read."""
        raise NotImplementedError

    def poll(self) -> bool:
        """Read what is new, then older rows that were not read yet, for at most about 0.1 s.

        Returns
        -------
        bool
            Whether anything changed.
        """
        until_s = time.monotonic() + POLL_S
        changed = False
        while self._read():
            changed = True
            if time.monotonic() >= until_s:
                break
        return self._look() or changed

    def _read(self) -> bool:
        """Read a stretch; whether there was one."""
        raise NotImplementedError

    def _look(self) -> bool:
        """Look at what is beside the log; whether it changed."""
        return False


class RunSource(Source):
    """An own run directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "run")
        self.telemetry = Telemetry(path)
        self._spans = Spans(path / "events.jsonl", Lines())
        self._facts = FactsReader(path, Pulse())
        self._progress: Event | None = None
        self._restarts = 0
        self._looked_s = float("-inf")

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the last poll has been read."""
        return self._spans.at_end and self.telemetry.at_end

    def _read(self) -> bool:
        span = self._spans.read()
        if self._spans.restarts != self._restarts:
            self._restarts = self._spans.restarts
            self.series.clear()
            self._lines.clear()
        if span is not None:
            self._take(decode_rows(span.data), span)
        # The log first: while it is behind, telemetry only gets every other turn.
        has_read = self.telemetry.poll()
        return span is not None or has_read

    def _take(self, rows: RunRows, span: Span) -> None:
        self.skipped += rows.skipped
        if span.place == "older":
            self.series.add_older(rows.batches)
            self._lines.add_older(rows.lines)
            self._progress = self._progress or rows.progress
        else:
            self.series.add_newer(rows.batches)
            self._lines.add_newer(rows.lines)
            self._progress = rows.progress or self._progress

    def _look(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s < FACTS_INTERVAL_S:
            return False
        before = _steady(self.facts), self.problem
        if self.path.is_dir():
            self.facts = self._facts.read(self._progress, is_log_read=self._spans.at_end)
        self.problem = self._what_is_wrong()
        # Without a state.json the whole log is read for it: then seldom, so that it stays below 5 % of the time.
        self._looked_s = time.monotonic() + 20 * (time.monotonic() - now_s)
        return before != (_steady(self.facts), self.problem)

    def _what_is_wrong(self) -> str:
        if not self.path.is_dir():
            return "the run directory is gone"
        if self._spans.problem:
            return f"events.jsonl: {self._spans.problem}"
        state = self.facts.state
        return printable(state.problem) if state is not None and state.problem else ""


def _steady(facts: RunFacts) -> RunFacts:
    """Return facts without what changes by itself: that a run has been silent a moment longer is no news."""
    state = facts.state
    return facts if state is None else replace(facts, state=replace(state, silent_s=None))


def open_source(path: Path) -> Source:
    """Return a source for a run directory, a log directory, or a log file. Nothing is read before `Source.poll`.

    Parameters
    ----------
    path
        An own run directory; a folder of the official toolbox (with ``tensorboard/`` in it); a folder with
        TensorBoard event files, at most three levels down; an event file; a CSV log, or a folder with one.

    Raises
    ------
    MissingDataError
        If there is nothing at that place.
    DataError
        If it is none of these.
    """
    from cellmap_tui.monitor.csv_log import CsvSource
    from cellmap_tui.monitor.sources_below import csv_log_in, is_run, place_of_events
    from cellmap_tui.monitor.tensorboard_log import TensorBoardSource

    path = Path(path)
    if not path.exists():
        raise MissingDataError(f"{printable(str(path))} does not exist", "give a run, a TensorBoard log or a CSV log")
    if is_run(path):
        return RunSource(path)
    if (place := place_of_events(path)) is not None:
        return TensorBoardSource(place)
    if (log := csv_log_in(path)) is not None:
        return CsvSource(log)
    raise DataError(
        f"{printable(str(path))} holds no log that can be shown",
        "give a run directory, a folder with TensorBoard event files, or a CSV log with a header",
    )


def find_sources(root: Path) -> list[Path]:
    """Return what `open_source` opens at a folder and below, the newest first; at most two seconds are spent."""
    from cellmap_tui.monitor.sources_below import sources_below

    return sources_below(root)


def short_name(path: Path) -> str:
    """Return what to call a run or log: the end of its path that tells it from others, safe to show."""
    name = path.name or str(path)
    if name in _GENERAL_NAMES or "tfevents" in name:
        name = f"{path.parent.name}/{name}" if "tfevents" not in name else path.parent.name
    return cut_middle(printable(name), NAME_WIDTH)
