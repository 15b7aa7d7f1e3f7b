"""CSV logs of any tool: a header, then a row a step; cells may be empty, rows torn, the header may come again."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cellmap_tui.monitor.run_log import MOST_STEP, Gathering
from cellmap_tui.monitor.source import Source
from cellmap_tui.monitor.spans import Lines, Spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP_NAMES = (
    "step", "global_step", "_step", "trainer/global_step", "iteration", "iter", "n_iter", "batch", "update", "steps",
)  # fmt: skip
EPOCH_NAMES = ("epoch", "epochs", "trainer/epoch")
TIME_NAMES = ("wall_time", "wall time", "walltime", "timestamp", "_timestamp", "time", "datetime", "date")
SNIFFED_BYTES = 64 * 1024
MOST_COLUMNS = 2000
_MILLISECONDS_FROM = 1e11
"""A larger time is told in milliseconds: in seconds it would be the year 5138."""

_UNIX_FROM_S = 1e8
"""Less is no time of day but seconds since a beginning."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns of a log are."""

    delimiter: str
    """What parts cells."""
    names: tuple[str, ...]
    """The columns."""
    step: int | None
    """Column of the step; None: there is none, and epochs or rows are counted."""
    epoch: int | None
    """Column of the epoch."""
    time: int | None
    """Column of the time: Unix seconds, milliseconds, or a date."""

    @property
    def has_step(self) -> bool:
        """Whether a row tells where it belongs."""
        return self.step is not None or self.epoch is not None

    @property
    def values(self) -> list[tuple[int, str]]:
        """Columns that are metrics."""
        used = {self.step, self.epoch, self.time}
        return [(index, name) for index, name in enumerate(self.names) if index not in used and name]


class CsvSource(Source):
    """A CSV log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "csv")
        self._header: Header | None = None
        self._spans: Spans | None = None
        self._restarts = 0
        self._row = 0
        self._was_seen = False

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the last poll has been read."""
        return self._spans is None or self._spans.at_end

    def _read(self) -> bool:
        if self._spans is None:
            self._header = read_header(self.path)
            if self._header is None:
                return False
            self._spans = Spans(self.path, Lines(), is_forward=not self._header.has_step)
        span = self._spans.read()
        if self._spans.restarts != self._restarts:
            # Another file, maybe with other columns, as tools do that find a new metric.
            self._spans, self._restarts, self._row = None, 0, 0
            self.series.clear()
            return True
        if span is None or self._header is None:
            return False
        gathering = Gathering()
        for cells in _rows(span.data, self._header.delimiter):
            self.skipped += not self._take(cells, gathering)
        if span.place == "older":
            self.series.add_older(gathering.batches())
        else:
            self.series.add_newer(gathering.batches())
        return True

    def _take(self, cells: list[str], gathering: Gathering) -> bool:
        header = self._header
        if header is None or len(cells) != len(header.names):
            return not cells
        if cells[0].strip() == header.names[0]:
            return True
        epoch = _number(cells[header.epoch]) if header.epoch is not None else None
        told = _number(cells[header.step]) if header.step is not None else epoch if header.has_step else self._row
        self._row += 1
        if told is None or not 0 <= told < MOST_STEP:
            return False  # no tool counts below 0; as a step that goes back such a row would take back all before it
        values: dict[str, float | None] = {}
        for index, name in header.values:
            cell = cells[index].strip()
            if cell and (number := _number(cell)) is not None:
                values[name] = number if math.isfinite(number) else None
        time_s = _time(cells[header.time]) if header.time is not None else math.nan
        if values:
            gathering.add(int(told), epoch, time_s, values)
        return True

    def _look(self) -> bool:
        before, is_there = self.problem, self.path.is_file()
        self._was_seen = self._was_seen or is_there
        self.problem = ""
        if not is_there:
            self.problem = "the log is gone"
        elif self._header is None:
            self.problem = "no header yet"
        elif self._spans is not None:
            self.problem = self._spans.problem
        return before != self.problem


def read_header(path: Path) -> Header | None:
    """Return the columns of a log; None: it has no header of names above rows of numbers, or cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(SNIFFED_BYTES)
    except OSError:
        return None
    first, _, rest = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    if b"\0" in first:  # binary; zeros further down are what a power cut leaves of a line
        return None
    line = first.decode("utf-8", "replace")
    delimiter = max((",", ";", "\t", "|"), key=line.count)
    names = next(_rows(first, delimiter), [])
    if not rest or not 2 <= len(names) <= MOST_COLUMNS or any(_number(name) is not None for name in names):
        return None
    row = next((cells for cells in _rows(rest, delimiter) if any(cells)), [])
    is_torn = b"\n" not in rest
    if not is_torn and (len(row) != len(names) or all(_number(cell) is None for cell in row)):
        return None
    found = [name.strip() for name in names]
    low = [name.lower() for name in found]
    places = [next((low.index(name) for name in known if name in low), None) for known in _KNOWN]
    return Header(delimiter, tuple(found), *places)


_KNOWN = (STEP_NAMES, EPOCH_NAMES, TIME_NAMES)


def _rows(data: bytes, delimiter: str) -> Iterator[list[str]]:
    lines = data.decode("utf-8", "replace").replace("\0", "").split("\n")
    if b'"' not in data:
        for line in lines:
            if stripped := line.rstrip("\r"):
                yield stripped.split(delimiter)
        return
    for line in lines:
        # A line at a time: a quote that is not closed spoils its own row alone.
        if stripped := line.rstrip("\r"):
            try:
                yield next(csv.reader([stripped], delimiter=delimiter))
            except (csv.Error, StopIteration):
                yield ["", ""]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return float(cell.replace(",", ".")) if cell.count(",") == 1 else None
    except ValueError:
        return None


def _time(cell: str) -> float:
    number = _number(cell)
    if number is not None and math.isfinite(number):
        time_s = number / 1000 if abs(number) > _MILLISECONDS_FROM else number
        return time_s if time_s > _UNIX_FROM_S else math.nan
    try:
        return datetime.fromisoformat(cell.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan
