"""How far a prediction, or the making of labels, is: from what the job tells and from what lies on disk.

A prediction keeps a journal beside the volume that grows; so its blocks look the same whoever started the job,
and whenever the viewer came.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.app.predict_start import PREDICT, PROCESS, TUNE
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.predict import KEPT
from cellmap_tui.services.tune import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.summary import RunSummary

COMMANDS = (PREDICT, PROCESS, TUNE)
"""Jobs that the screen follows."""
SPEED_WINDOW_S = 60.0
"""Rates are taken over this last time: slabs of a large crop take a while."""
_KINDS = {"prediction", "labels"}

Work = Literal[
    "queued", "working", "written", "tuned", "there already", "EM missing", "failed", "nothing to do", "stopped"
]  # fmt: skip
_OF_RESULT: dict[str, Work] = {
    "written": "written",
    "kept": "there already",
    "missing": "EM missing",
    "failed": "failed",
    "nothing": "nothing to do",
}
_OF_PLAN: dict[str, Work] = {"missing": "failed", "broken": "failed", "kept": "there already"}


@dataclass(frozen=True, slots=True)
class BlockProgress:
    """A block of a volume."""

    number: int
    """Counted from 0."""
    first: int
    """First row along z."""
    rows: int
    """Rows along z."""
    done: int
    """Rows that are on disk."""
    area: int
    """Voxels of a row."""
    predicted: float = 0.0
    """Share of its tiles that went through the networks, 0 to 1; 0 where nothing tells."""

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1: on disk or on the way there."""
        return max(self.done / self.rows, self.predicted) if self.rows else 1.0


@dataclass(frozen=True, slots=True)
class VolumeProgress:
    """A crop of a prediction, a class of a crop that becomes labels, or a class that is tuned."""

    ref: str
    """Dataset and crop."""
    folder: Path
    """Where it goes."""
    label: str = ""
    """The class; empty: all classes of the crop together."""
    classes: tuple[str, ...] = ()
    """Columns that are predicted."""
    state: Work = "queued"
    """Where it stands."""
    blocks: tuple[BlockProgress, ...] = ()
    """What it is divided into, while it is worked on."""
    rate: float | None = None
    """Voxels a second just now, all columns together counted once."""
    problem: str = ""
    """Why there is none."""
    words: str = ""
    """What came of it."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.ref, self.label

    @property
    def is_done(self) -> bool:
        """Whether it is on disk."""
        return self.state in ("written", "tuned", "there already")

    @property
    def blocks_done(self) -> int:
        """Blocks that are on disk."""
        return sum(block.done >= block.rows for block in self.blocks)

    @property
    def voxels(self) -> tuple[int, int]:
        """Voxels that are done, tiles that are not on disk yet included, and all."""
        done = sum(round(block.share * block.rows * block.area) for block in self.blocks)
        return done, sum(block.rows * block.area for block in self.blocks)

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None while that is not known."""
        if self.is_done:
            return 1.0
        done, total = self.voxels
        return done / total if total else None

    @property
    def eta_s(self) -> float | None:
        """Seconds left at its rate."""
        done, total = self.voxels
        return (total - done) / self.rate if self.rate and self.state == "working" else None


def followed_run(runs: Sequence[RunSummary], wanted: str = "") -> RunSummary | None:
    """Return the job to show: the one that is wanted, else the newest that goes on, else the newest."""
    jobs = [run for run in runs if run.command in COMMANDS]
    named = [run for run in jobs if wanted and run.run_id == wanted]
    live = [run for run in jobs if run.is_live]
    return next(iter([*named, *live, *jobs]), None)


class PredictFeed:
    """Follows one job; used from one thread at a time.

    Parameters
    ----------
    path
        Its run directory.
    """

    def __init__(self, path: Path) -> None:
        from cellmap_tui.jobs.rundir import RunDir
        from cellmap_tui.jobs.watch import RunReader

        self.path = path
        """Its run directory."""
        self._reader = RunReader(RunDir(path))
        self._restarts = 0
        self._command = ""
        self._rows: dict[tuple[str, str], VolumeProgress] = {}
        self._written: set[tuple[str, str]] = set()
        self._is_planned = False
        self._traces: dict[tuple[str, str], deque[tuple[float, int]]] = {}
        self._result_stamp = (0, 0)

    @property
    def at_end(self) -> bool:
        """Whether the last look reached the end of the events."""
        return self._reader.at_end

    def poll(self, *, is_live: bool) -> tuple[VolumeProgress, ...]:
        """Read what is new, at most a chunk, and return every volume as it stands.

        Parameters
        ----------
        is_live
            Whether the job goes on; otherwise what is unfinished has stopped.
        """
        events = self._reader.poll()
        if not self._is_planned or self._reader.restarts != self._restarts:
            self._is_planned, self._restarts = True, self._reader.restarts
            self._written.clear()
            self._plan()
        self._take(events)
        if self._reader.at_end:
            self._take_result()
            for row in list(self._rows.values()):
                self._look_at(row, is_live=is_live)
        return tuple(self._rows.values())

    # What there is to do

    def _plan(self) -> None:
        from cellmap_tui.jobs.rundir import RunDir, read_request

        with contextlib.suppress(CellmapError, OSError):
            asked = read_request(RunDir(self.path))
            self._command = asked.command
            base = Path(asked.working_dir or "")
            found = _predicted(asked.values, base) if asked.command == PREDICT else ()
            found = _processed(asked.values, base) if asked.command == PROCESS else found
            self._rows = {row.key: row for row in found}

    # What it tells

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.kind == "artefact" and event.fields.get("kind") in _KINDS:
                self._take_volume(Path(str(event.fields.get("path"))))
            elif event.kind == "warning":
                self._take_warning(str(event.fields.get("message", "")))
            elif event.kind == "note" and self._command == TUNE:
                self._take_tuned(str(event.fields.get("message", "")))
            elif event.kind == "note" and self._command == PREDICT:
                self._take_note(str(event.fields.get("message", "")))

    def _take_volume(self, path: Path) -> None:
        """Know that a class is written; the last class of a crop makes the crop whole."""
        folder = path.parent.parent if path.name == "core" and self._command == PREDICT else path.parent
        label = path.name if self._command == PROCESS else ""
        ref = f"{folder.parent.name.removesuffix('.zarr')}/{folder.name}"
        known = next((row for row in self._rows.values() if row.folder == folder and row.label == label), None)
        row = known or VolumeProgress(ref, folder, label)
        column = str(path.relative_to(folder))
        columns = tuple(dict.fromkeys((*row.classes, column))) if not label else ()
        self._written.add(row.key)
        self._rows[row.key] = replace(row, state="written", classes=columns, problem="")

    def _take_note(self, message: str) -> None:
        """Know of crops that are there, or that the networks know no class of."""
        ref, _, words = message.partition(": ")
        row = self._rows.get((ref, ""))
        if row is not None and words:
            kept = words == KEPT
            state: Work = "there already" if kept else "nothing to do"
            self._rows[row.key] = replace(row, state=state, problem="" if kept else words)

    def _take_tuned(self, message: str) -> None:
        """Know the classes of a tuning, and what came of each."""
        if message.startswith(CLASSES):
            names = message.removeprefix(CLASSES).split(", ")
            self._rows = {row.key: row for row in (VolumeProgress("", self.path, name) for name in names)}
            return
        label, _, words = message.partition(": ")
        if (row := self._rows.get(("", label))) is not None and words:
            self._rows[row.key] = replace(row, state="tuned", words=words, problem="")

    def _take_warning(self, message: str) -> None:
        for key, row in self._rows.items():
            name = f"{row.ref}/{row.label}" if row.ref and row.label else row.ref or row.label
            if not row.is_done and re.search(rf"(^|\s){re.escape(name)}(:|\s|$)", message):
                words = message.removeprefix(f"{name}: ")
                state: Work = "EM missing" if self._command == PREDICT and "EM is not on disk" in words else "failed"
                self._rows[key] = replace(row, state=state, problem=words)

    def _take_result(self) -> None:
        from cellmap_tui.jobs.files import read_json_object

        path = self.path / "result.json"
        with contextlib.suppress(OSError, CellmapError, TypeError, KeyError, AttributeError):
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._result_stamp:
                return
            self._result_stamp = stamp
            value: Any = (read_json_object(path) or {}).get("value")
            for told in value["crops"] if self._command == PREDICT else ():
                row = _row_of_result(told)
                self._rows[row.key] = row
            for told in value["volumes"] if self._command == PROCESS else ():
                state: Work = "failed" if told["problem"] else "there already" if told["kept"] else "written"
                folder = Path(told["path"] or ".").parent
                row = VolumeProgress(told["crop"], folder, told["label"], state=state, problem=told["problem"])
                self._rows[row.key] = row

    # What lies on disk

    def _look_at(self, row: VolumeProgress, *, is_live: bool) -> None:
        if row.state not in ("queued", "working", "stopped", "written"):
            return
        if self._command == PROCESS:
            seen = self._labels_seen(row, is_live=is_live)
        elif self._command == TUNE:
            seen = self._tuning_seen(row, is_live=is_live)
        else:
            seen = self._journal_seen(row, is_live=is_live)
        self._rows[row.key] = seen

    def _labels_seen(self, row: VolumeProgress, *, is_live: bool) -> VolumeProgress:
        if row.state == "written":
            return row
        begun = (row.folder / f".{row.label}.process").is_dir()
        return replace(row, state="queued" if not begun else "working" if is_live else "stopped")

    def _tuning_seen(self, row: VolumeProgress, *, is_live: bool) -> VolumeProgress:
        """Return the row with its state: classes are tuned one after the other."""
        first = next((one for one in self._rows.values() if one.state in ("queued", "working", "stopped")), None)
        state: Work = "queued" if first is None or first.key != row.key else "working" if is_live else "stopped"
        return replace(row, state=state)

    def _journal_seen(self, row: VolumeProgress, *, is_live: bool) -> VolumeProgress:
        from cellmap_tui.services.predict_journal import read_header

        header = read_header(row.folder)
        if not header:
            self._traces.pop(row.key, None)
            state: Work = "written" if row.key in self._written else "queued"
            return replace(row, state=state, blocks=(), rate=None)
        blocks, columns = _blocks(row.folder, header, is_live=is_live), tuple(map(str, header.get("columns", ())))
        seen = replace(row, blocks=blocks, classes=columns, state="working" if is_live else "stopped")
        return replace(seen, rate=self._rate(seen) if is_live else None)

    def _rate(self, row: VolumeProgress) -> float | None:
        trace = self._traces.setdefault(row.key, deque())
        now_s, done = time.monotonic(), row.voxels[0]
        trace.append((now_s, done))
        while now_s - trace[0][0] > SPEED_WINDOW_S:
            trace.popleft()
        first_s, first = trace[0]
        return (done - first) / (now_s - first_s) if done > first and now_s > first_s else None


def _predicted(asked: dict[str, Any], base: Path) -> tuple[VolumeProgress, ...]:
    from cellmap_tui.services.models import from_mapping
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.predict_places import find_places
    from cellmap_tui.services.report import SilentReporter

    paths = ("data_root", "state_dir")
    values = {name: str(base / value) if value and name in paths else value for name, value in asked.items()}
    request = replace(from_mapping(values, PredictRequest, source="request.json"), remote=False)
    return tuple(VolumeProgress(place.ref, place.folder) for place in find_places(request, SilentReporter(), None))


def _processed(asked: dict[str, Any], base: Path) -> tuple[VolumeProgress, ...]:
    from cellmap_tui.services.models import from_mapping
    from cellmap_tui.services.process import plan_process
    from cellmap_tui.services.process_model import ProcessRequest

    paths = ("data_root", "state_dir", "recipe", "predictions", "output")
    values = {name: str(base / value) if value and name in paths else value for name, value in asked.items()}
    plan = plan_process(from_mapping(values, ProcessRequest, source="request.json"))
    return tuple(
        VolumeProgress(
            volume.crop,
            volume.output.parent,
            volume.label,
            state=_OF_PLAN.get(volume.state, "queued"),
            problem=volume.words if volume.state in ("missing", "broken") else "",
        )
        for volume in plan.volumes
    )


def _row_of_result(told: dict[str, Any]) -> VolumeProgress:
    state = _OF_RESULT.get(told["state"], "queued")
    return VolumeProgress(
        told["crop"], Path(told["path"]), classes=tuple(told["classes"]), state=state, problem=told["reason"]
    )


def _blocks(folder: Path, header: dict[str, Any], *, is_live: bool) -> tuple[BlockProgress, ...]:
    from cellmap_tui.services.predict_journal import rows_done, shares_predicted

    # A job that has stopped begins again where the disk is.
    rows, shares = rows_done(folder), shares_predicted(folder) if is_live else {}
    blocks = []
    with contextlib.suppress(TypeError, ValueError, KeyError, IndexError):
        for number, (start, stop) in enumerate(header["parts"]):
            first, count = start[0], stop[0] - start[0]
            done = min(count, max(0, rows.get(number, 0) - first))
            area = math.prod(b - a for a, b in zip(start[1:], stop[1:], strict=True))
            blocks.append(BlockProgress(number, first, count, done, area, shares.get(number, 0.0)))
    return tuple(blocks)
