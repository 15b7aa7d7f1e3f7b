"""TensorBoard logs of any tool: the scalars of event files, read from their newest end and as they grow."""

from __future__ import annotations

import math
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.monitor.event_records import EventRecords, whole_records
from cellmap_tui.monitor.run_log import MOST_STEP, Gathering
from cellmap_tui.monitor.source import Source
from cellmap_tui.monitor.spans import Span, Spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellmap_tui.monitor.series import Batch

MARK = "tfevents"
"""What the names of event files hold."""
DEPTH = 3
"""How far below a folder event files are looked for."""
MOST_FILES = 500
"""Files read of a log, the newest ones."""
LIST_INTERVAL_S = 2.0
FOLLOWED_FILES = 2
"""The newest files of a folder that are looked at again once everything is read."""
EPOCH_TAGS = ("epoch", "trainer/epoch")
"""Scalars that tell the epoch of a step, as own runs and Lightning write them."""
MOST_PARSED_BYTES = 4 * 1024 * 1024
"""A larger record holds pictures."""
TOOLBOX_NAMES = {"validation": "val/loss"}
"""What the official toolbox calls things, and what own runs call them, so that they share a chart."""
_SESSION_START = 1


class TensorBoardSource(Source):
    """The event files in a folder and below, or one of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "tensorboard")
        self._parts: list[_Folder] = []
        self._base: Path | None = None
        self._listed_s = float("-inf")
        self._has_seen = False

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the last poll has been read."""
        return all(part.at_end for part in self._parts)

    def _read(self) -> bool:
        self._list()
        has_read = False
        for part in self._parts:
            if (found := part.read()) is None:
                continue
            self._take(part, *found)
            has_read = True
        if any(part.was_replaced for part in self._parts):
            self._parts, self._listed_s = [], float("-inf")
            self.series.clear()
        return has_read

    def _take(self, part: _Folder, span: Span, is_older: bool) -> None:
        batches, skipped = decode_events(span.data, part.prefix, is_alone=len(self._parts) == 1)
        self.skipped += skipped
        if is_older:
            self.series.add_older(batches)
        else:
            self.series.add_newer(batches)

    def _list(self) -> None:
        now_s = time.monotonic()
        if now_s - self._listed_s < LIST_INTERVAL_S:
            return
        self._listed_s = now_s
        files = event_files(self.path)
        self._has_seen = self._has_seen or bool(files)
        folders = sorted({file.parent for file in files})
        if self._base is None and folders:
            self._base = _common(folders)
        known = {part.path: part for part in self._parts}
        for folder in folders:
            here = [file for file in files if file.parent == folder]
            if folder not in known:
                self._parts.append(_Folder(folder, _prefix(folder, self._base), here))
            else:
                known[folder].add(here)

    def _look(self) -> bool:
        before = self.problem
        self.problem = "the log is gone" if self._has_seen and not self.path.exists() else ""
        if not self._has_seen:
            self.problem = "no TensorBoard event files"
        return before != self.problem


class _Folder:
    """The event files of one folder, the newest first."""

    def __init__(self, path: Path, prefix: str, files: list[Path]) -> None:
        self.path, self.prefix = path, prefix
        self._known = set(files)
        self._files = [Spans(file, EventRecords()) for file in sorted(files, key=_age, reverse=True)[:MOST_FILES]]
        self._opened = 0

    @property
    def at_end(self) -> bool:
        return self._opened == len(self._files) and all(spans.at_end for spans in self._files)

    @property
    def was_replaced(self) -> bool:
        return any(spans.restarts for spans in self._files)

    def add(self, files: list[Path]) -> None:
        """Take files that were not there before: they follow on all others."""
        for file in sorted(set(files) - self._known, key=_age):
            self._known.add(file)
            self._files.insert(0, Spans(file, EventRecords(), is_forward=True))
            self._opened += 1

    def read(self) -> tuple[Span, bool] | None:
        """Return the next stretch, and whether it is older than what was read before."""
        for index, spans in enumerate(self._files[: self._opened]):
            if index >= FOLLOWED_FILES and spans.at_end:
                continue
            if (span := spans.read()) is not None:
                return span, span.place == "older"
        while self._opened < len(self._files):
            self._opened += 1
            if (span := self._files[self._opened - 1].read()) is not None:
                return span, self._opened > 1
        return None


def decode_events(data: bytes, prefix: str, *, is_alone: bool) -> tuple[list[Batch], int]:
    """Return the scalars of whole records, and how many records were passed over.

    Parameters
    ----------
    prefix
        Put before each tag.
    is_alone
        Whether the log has one folder of files: only then does a restart in one of them concern all.
    """
    # Its protocol buffers alone: 30 ms, and nothing of TensorFlow.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]
    from tensorboard.compat.proto import event_pb2

    records, skipped = whole_records(data)
    gathering = Gathering()
    epochs: dict[int, float | None] = {}
    epoch_names = [prefix + name for name in EPOCH_TAGS]
    parse = event_pb2.Event.FromString
    for record in records:
        if len(record) > MOST_PARSED_BYTES:
            continue
        try:
            event = parse(record)
        except DecodeError:
            skipped += 1
            continue
        if event.HasField("summary") and abs(event.step) < MOST_STEP:
            values = dict(_scalars(event.summary, prefix))
            epochs.update((event.step, values[name]) for name in epoch_names if values.get(name) is not None)
            if values:
                gathering.add(event.step, None, event.wall_time, values)
        elif is_alone and event.HasField("session_log") and event.session_log.status == _SESSION_START:
            gathering.restart(event.step)
    batches = gathering.batches()
    if epochs:
        _set_epochs(batches, epochs)
    return batches, skipped


def _set_epochs(batches: list[Batch], epochs: dict[int, float | None]) -> None:
    """Give rows the epoch that a scalar of its own tells, at their step or the next one that has it."""
    steps = np.array(sorted(epochs), np.int64)
    told = np.array([epochs[step] for step in steps.tolist()], np.float64)
    for batch in batches:
        rows = {}
        for name, points in batch.rows.items():
            # Own runs tell an epoch at its last step; behind the last one told is the end of what is known.
            index = np.minimum(np.searchsorted(steps, points.step), len(steps) - 1)
            rows[name] = replace(points, epoch=told[index])
        batch.rows = rows


def event_files(path: Path) -> list[Path]:
    """Return the event files at a path: itself, in it, and at most three folders down."""
    if path.is_file():
        return [path]
    found, folders = [], [path]
    for _ in range(DEPTH + 1):
        inside: list[Path] = []
        for folder in folders:
            try:
                entries = sorted(folder.iterdir())
            except OSError:
                continue
            found += [entry for entry in entries if MARK in entry.name and entry.is_file()]
            inside += [entry for entry in entries if entry.is_dir() and _is_looked_into(entry)]
        folders = inside
    return sorted(found, key=_age)[-MOST_FILES:]


def _scalars(summary: Any, prefix: str) -> Iterator[tuple[str, float | None]]:
    for value in summary.value:
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            told: float | None = value.simple_value
        elif kind == "tensor" and (number := _tensor_scalar(value.tensor)) is not None:
            told = number
        else:
            continue
        name = prefix + (value.tag if prefix else TOOLBOX_NAMES.get(value.tag, value.tag))
        yield name, told if told is not None and math.isfinite(told) else None


_NUMBERS = {1: ("<f", "float_val"), 2: ("<d", "double_val"), 3: ("<i", "int_val"), 9: ("<q", "int64_val")}
"""By the number of a tensor's type: how it is packed, and where a single one stands else."""


def _tensor_scalar(tensor: Any) -> float | None:
    """Return the number of a tensor without axes, as newer writers put scalars; None for anything else."""
    form, field = _NUMBERS.get(tensor.dtype, ("", ""))
    if not form or len(tensor.tensor_shape.dim):
        return None
    if tensor.tensor_content:
        is_one = len(tensor.tensor_content) == struct.calcsize(form)
        return float(struct.unpack(form, tensor.tensor_content)[0]) if is_one else None
    values = getattr(tensor, field)
    return float(values[0]) if len(values) else None


def _is_looked_into(folder: Path) -> bool:
    return not folder.name.startswith(".") and folder.suffix not in {".zarr", ".n5"} and not folder.is_symlink()


def _age(file: Path) -> tuple[str, str]:
    """Return a key by which later files come later: their names hold the time at which they were begun."""
    _, _, rest = file.name.partition(MARK)
    return rest.split(".")[1] if rest.count(".") else "", file.name


def _common(folders: list[Path]) -> Path:
    shared = folders[0]
    for folder in folders[1:]:
        while shared != folder and shared not in folder.parents:
            shared = shared.parent
    return shared


def _prefix(folder: Path, base: Path | None) -> str:
    if base is None or folder == base or base not in folder.parents:
        return ""
    return f"{folder.relative_to(base).as_posix()}/"
