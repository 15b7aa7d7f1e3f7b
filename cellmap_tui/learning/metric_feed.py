"""From the tensors of a step to numbers in the run, without the loop ever waiting for the device.

Values of a step stay on the device, as one row of a small table. Twice a second the table is copied to the
host beside the work; when the copy has arrived, its numbers go out. Owns names and windows; where numbers
go is the caller's.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from cellmap_tui.learning.sample_pictures import sample_pictures
from cellmap_tui.learning.samples import read_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cellmap_tui.learning.train_listener import StepRecord

INTERVAL_S = 0.5
"""Time between two copies to the host: what is written of metrics is as new as that."""
CAPACITY = 64
"""Steps that a table holds; more in an interval cost another copy."""
_LOSS, _NORM, _COLUMNS = 0, 1, 2


class Send(Protocol):
    """Takes numbers: a service's ``report.metric`` is one."""

    def __call__(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Take the values of a step."""


class ScalarWriter(Protocol):
    """Writes numbers elsewhere as well: `tensorboard_writer.TensorBoardWriter`."""

    def scalars(self, step: int, values: Mapping[str, float], time_s: float | None = None) -> None:
        """Write the values of a step; must not take long."""

    def image(self, tag: str, step: int, rgb: NDArray[np.uint8]) -> None:
        """Write a picture, uint8 ``[h, w, 3]``."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the host knows of a step."""

    step: int
    epoch: int
    lr: float
    samples: int
    data_s: float
    step_s: float
    has_norm: bool
    time_s: float


@dataclass(slots=True)
class _Table:
    """Rows of steps on the device, and their copy."""

    rows: Tensor
    host: Tensor
    facts: list[_Facts]
    event: Any = None
    """Tells when the copy is complete; None: there is nothing to wait for."""


class MetricFeed:
    """Takes steps, sends numbers.

    Parameters
    ----------
    columns
        Names of the network's columns.
    send
        Takes the numbers: loss, step size, gradient and speed of each step; losses by class as means of the
        steps since the last time.
    device
        Where the values of steps are; found out from the first one that is elsewhere.
    writer
        Takes them as well, and the official tags.
    interval_s
        Time between two copies to the host.
    clock
        Seconds that never go back; tests bring their own.
    """

    def __init__(
        self,
        columns: Sequence[str],
        send: Send,
        device: torch.device | str = "cpu",
        *,
        writer: ScalarWriter | None = None,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = [f"loss/{name}" for name in columns]
        self._send, self._writer = send, writer
        self._device = torch.device(device)
        self._interval_s, self._clock = interval_s, clock
        self._free: list[_Table] = []
        self._waiting: deque[_Table] = deque()
        self._table = self._made()
        self._sent_s = clock()
        self._lr: float | None = None

    def step(self, record: StepRecord) -> None:
        """Take a step; does not wait for the device."""
        if record.loss.device.type != self._device.type:
            self._move(record.loss.device)
        table = self._table
        norm = record.grad_norm
        table.facts.append(
            _Facts(
                record.step, record.epoch, record.lr, record.samples, record.data_s, record.step_s,
                norm is not None, time.time(),
            )
        )  # fmt: skip
        row = table.rows[len(table.facts) - 1]
        row[_LOSS].copy_(record.loss, non_blocking=True)
        row[_COLUMNS:].copy_(record.by_column, non_blocking=True)
        if norm is not None:
            row[_NORM].copy_(norm, non_blocking=True)
        self._lr = record.lr
        if len(table.facts) == CAPACITY or self._clock() - self._sent_s >= self._interval_s:
            self._ship()
            self._arrived(wait=len(self._waiting) > 2)

    def validated(self, epoch: int, step: int, values: Mapping[str, float], samples: Sequence[Path] = ()) -> None:
        """Take what a validation found, by names of events, and the example slices that it wrote."""
        self.flush()
        self._send(step, values, epoch)
        if self._writer is None:
            return
        official = {"validation": values["val/loss"]} if "val/loss" in values else {}
        # TensorBoard draws a warning sign for each value that is no number; a class that is not there is none.
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._writer.scalars(step, {**official, **finite})
        for path in samples:
            for name, picture in sample_pictures(read_sample(path)).items():
                self._writer.image(f"{name}/{path.stem}", step, picture)

    def epoch_ended(self, epoch: int, step: int) -> None:
        """Take the end of an epoch."""
        self.flush()
        if self._writer is not None and self._lr is not None:
            self._writer.scalars(step, {"lr": self._lr, "epoch": float(epoch)})

    def flush(self) -> None:
        """Send everything that is held back; waits for the device."""
        self._ship()
        self._arrived(wait=True)

    def _move(self, device: torch.device) -> None:
        self.flush()
        self._device, self._free = device, []
        self._table = self._made()

    def _ship(self) -> None:
        """Begin copying the table to the host, and go on with another one."""
        self._sent_s = self._clock()
        if not self._table.facts:
            return
        table = self._table
        count = len(table.facts)
        if self._device.type == "cuda":
            table.host[:count].copy_(table.rows[:count], non_blocking=True)
            table.event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            table.event.record()
        elif table.host is not table.rows:
            table.host[:count].copy_(table.rows[:count])
        self._waiting.append(table)
        self._table = self._free.pop() if self._free else self._made()

    def _arrived(self, *, wait: bool) -> None:
        """Send the tables whose copies are complete."""
        while self._waiting:
            table = self._waiting[0]
            if table.event is not None:
                if not wait and not table.event.query():
                    return
                table.event.synchronize()
            self._waiting.popleft()
            self._tell(table.host[: len(table.facts)].numpy(), table.facts)
            table.facts, table.event = [], None
            self._free.append(table)

    def _tell(self, rows: NDArray[np.float32], facts: list[_Facts]) -> None:
        for row, known in zip(rows[:, :_COLUMNS].tolist(), facts, strict=True):
            values = _values(row, known)
            self._send(known.step, values, known.epoch)
            if self._writer is not None:
                self._writer.scalars(known.step, {"loss": values["loss"]}, known.time_s)
        by_class = _means(rows[:, _COLUMNS:], self._names)
        last = facts[-1]
        if by_class:
            self._send(last.step, by_class, last.epoch)
        if self._writer is not None:
            self._writer.scalars(last.step, {**_speeds(facts), **_norms(rows, facts), **by_class}, last.time_s)

    def _made(self) -> _Table:
        shape = (CAPACITY, _COLUMNS + len(self._names))
        rows = torch.zeros(shape, device=self._device)
        if self._device.type == "cpu":
            return _Table(rows, rows, [])
        return _Table(rows, torch.zeros(shape, pin_memory=self._device.type == "cuda"), [])


def _values(row: list[float], known: _Facts) -> dict[str, float]:
    values = {"loss": row[_LOSS], "lr": known.lr}
    if known.has_norm:
        values["grad_norm"] = row[_NORM]
    return values | _speeds([known])


def _speeds(facts: Sequence[_Facts]) -> dict[str, float]:
    """Return how fast steps were, and what they waited for."""
    total_s, data_s = sum(known.step_s for known in facts), sum(known.data_s for known in facts)
    if total_s <= 0:
        return {}
    count = len(facts)
    return {
        "perf/samples_per_s": sum(known.samples for known in facts) / total_s,
        "perf/data_wait": data_s / total_s,
        "perf/step_ms": 1000 * total_s / count,
        "perf/data_ms": 1000 * data_s / count,
        "perf/compute_ms": 1000 * (total_s - data_s) / count,
    }


def _norms(rows: NDArray[np.float32], facts: Sequence[_Facts]) -> dict[str, float]:
    norms = [float(row[_NORM]) for row, known in zip(rows, facts, strict=True) if known.has_norm]
    return {"grad_norm": math.fsum(norms) / len(norms)} if norms and all(map(math.isfinite, norms)) else {}


def _means(columns: NDArray[np.float32], names: Sequence[str]) -> dict[str, float]:
    """Return the mean of each class over the steps in which something was known of it."""
    known = ~np.isnan(columns)
    counts = known.sum(axis=0)
    totals = np.where(known, columns, 0).sum(axis=0, dtype=np.float64)
    return {
        name: total / count
        for name, total, count in zip(names, totals.tolist(), counts.tolist(), strict=True)
        if count
    }
