"""The work of a prediction: devices take part after part, writers follow behind, and every slab is noted.

A device has a thread that feeds it and one that writes what it gave, two slabs behind at most. What a part
needs is opened when it begins and closed when it ends.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, Stopped
from cellmap_tui.services.import_place import ATTRIBUTE
from cellmap_tui.services.predict_journal import Journal
from cellmap_tui.services.predict_model import LEVELS
from cellmap_tui.services.predict_plan import CHUNKS, RECORD, stored_bytes
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from cellmap_tui.learning.stream_predict import Source
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.predict_plan import Job, Prepared
    from cellmap_tui.services.predict_remote import RemoteEm
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.block_volume import BlockVolume
    from cellmap_tui.volumes.geometry import Box

BEHIND = 2
"""Slabs that wait to be written."""
_LISTEN_S = 0.1
_CORE = "/core"


@dataclass(slots=True, eq=False)
class _Open:
    """A volume that is being predicted."""

    job: Job
    """What it is."""
    journal: Journal
    """How far it is."""
    volumes: dict[str, BlockVolume]
    """Its arrays by column."""
    left: int
    """Parts that are not on disk."""
    closing: ExitStack = field(default_factory=ExitStack)
    """Closes the journal."""
    problem: str = ""
    """Why it is given up."""


class Work:
    """All volumes of a prediction.

    Parameters
    ----------
    ready
        What is predicted.
    report
        Told tiles as they go, finished volumes and problems.
    remote
        The bucket that EM is read from; None: it is on disk.
    """

    def __init__(self, ready: Prepared, report: Reporter, remote: RemoteEm | None) -> None:
        self._ready, self._report, self._remote = ready, report, remote
        self._waiting = deque(ready.jobs)
        self._parts: deque[tuple[_Open, int]] = deque()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._give_up = threading.Event()
        self._may_go = threading.Event()
        self._may_go.set()
        self._errors: list[BaseException] = []
        self._told: queue.Queue[Callable[[], None]] = queue.Queue()
        self._all_open: list[_Open] = []
        self._levels = self._levels_done = 0
        self.tiles = 0
        self.batch_size = ready.batch_size

    def run(self) -> None:
        """Predict everything.

        Raises
        ------
        Stopped
            When the user asked to stop; what is on disk is gone on from.
        RefusedError
            If the disk is full, or the device's memory does not hold a tile.
        """
        threads = [threading.Thread(target=self._device, args=(device,), name=f"cellmap-{device}")
                   for device in self._ready.devices]  # fmt: skip
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                self._listen()
                threads[0].join(_LISTEN_S) if threads[0].is_alive() else self._give_up.wait(_LISTEN_S)
        finally:
            self._give_up.set()
            for thread in threads:
                thread.join()
            for opened in self._all_open:
                opened.closing.close()
        self._listen()
        for error in self._errors:
            raise error

    # -- talking ------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Tell what happened meanwhile, and ask whether to stop; only the caller's thread talks."""
        while not self._told.empty():
            self._told.get()()
        if self.tiles >= self._ready.tiles and self._levels_done < self._levels:
            self._report.progress(self._levels_done, self._levels, LEVELS)
        else:
            self._report.progress(self.tiles, self._ready.tiles, "tiles")
        if not self._errors:
            # While the job is paused the devices wait as well.
            self._may_go.clear()
            try:
                self._report.checkpoint()
            finally:
                self._may_go.set()

    def _count(self, tiles: int) -> None:
        self._may_go.wait()
        if self._give_up.is_set():
            raise Stopped("the prediction was stopped", "start it again to go on")
        with self._lock:
            self.tiles += tiles

    # -- a device -----------------------------------------------------------------------------

    def _device(self, device: Any) -> None:
        writer = _Writer(self._write, self._failed)
        try:
            while not self._give_up.is_set():
                found = self._next()
                if found is None:
                    break
                self._one(device, *found, writer)
            writer.finish()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self._failed(error)
            writer.abandon()

    def _failed(self, error: BaseException) -> None:
        if not (isinstance(error, Stopped) and self._give_up.is_set()):
            self._errors.append(error)
        self._give_up.set()

    def _next(self) -> tuple[_Open, int] | None:
        """Return the next part of a volume; None: there is none."""
        with self._lock:
            while not self._parts and self._waiting:
                self._open(self._waiting.popleft())
            return self._parts.popleft() if self._parts else None

    def _open(self, job: Job) -> None:
        from cellmap_tui.volumes.block_volume import BlockVolume

        closing = ExitStack()
        journal = closing.enter_context(Journal(job.place.folder, job.keys, job.parts, self.batch_size))
        dtype = self._ready.request.dtype
        volumes = {name: BlockVolume(journal.path / _flat(name), job.target, dtype, CHUNKS) for name in job.columns}
        self._levels += sum(volume.finishing_steps() for volume in volumes.values())
        todo = [number for number in range(len(journal.parts)) if not journal.is_done(number)]
        opened = _Open(job, journal, volumes, len(todo), closing)
        self._all_open.append(opened)
        self._parts.extend((opened, number) for number in todo)
        if not todo:
            self._finish(opened)

    def _one(self, device: Any, opened: _Open, number: int, writer: _Writer) -> None:
        """Predict one part."""
        if opened.problem:
            return
        try:
            self._stream(device, opened, number, writer)
        except (DataError, MissingDataError) as error:
            opened.problem = str(error)
            job = opened.job
            job.volume = replace(job.volume, state="failed", reason=str(error))
            message = f"{job.place.ref}: {error}"
            self._told.put(lambda: self._report.warning(message))

    def _stream(self, device: Any, opened: _Open, number: int, writer: _Writer) -> None:
        from cellmap_tui.learning.stream_predict import Source, stream_part

        job, journal, tiling = opened.job, opened.journal, self._ready.tiling
        sources = []
        for worker in job.workers:
            predictor = worker.predictor(device, journal.batch_size, tiling)
            sources.append(Source(worker.member, predictor, worker.em, worker.grid, self._bringing(worker.em)))
        with ExitStack() as closing:
            for box, values in stream_part(
                sources,
                job.columns,
                job.target,
                journal.parts[number],
                CHUNKS[0],
                closing,
                first_row=journal.row(number),
                told=self._counter(opened, number, sources),
            ):
                writer.put((opened, number, box, stored(values, self._ready.request)))
        lowered = min(source.predictor.batch_size for source in sources)
        if lowered < journal.batch_size:
            self._tell_lowered(lowered)
            journal.batch_size = lowered

    def _counter(self, opened: _Open, number: int, sources: list[Source]) -> Callable[[int], None]:
        """Return what counts the tiles of a part, and notes how much of it they are."""
        from cellmap_tui.learning.part_plan import part_tiles

        job, journal = opened.job, opened.journal
        part, row = journal.parts[number], journal.row(number)
        predictors = [(source.predictor, source.grid) for source in sources]
        rest = replace(part, start=(row, *part.start[1:]))
        total, left = (part_tiles(predictors, job.target, [box]) for box in (part, rest))

        def count(tiles: int) -> None:
            nonlocal left
            self._count(tiles)
            left = max(0, left - tiles)
            journal.predicted(number, 1 - left / total)

        return count

    def _tell_lowered(self, batch_size: int) -> None:
        self.batch_size = min(self.batch_size, batch_size)
        message = f"the memory of the device was too small: {batch_size} tiles at a time from now on"
        self._told.put(lambda: self._report.warning(message))

    def _bringing(self, em: Any) -> Any:
        remote = self._remote
        if remote is None or not em.volume.path.is_relative_to(remote.root):
            return None
        return lambda grid: remote.bring(em.choice.level, grid)

    # -- writing ------------------------------------------------------------------------------

    def _write(self, opened: _Open, number: int, box: Box, values: Tensor) -> None:
        """Write a slab and note it; the last one makes the volume whole."""
        found = values.cpu().numpy()
        for column, block in zip(opened.job.columns, found, strict=True):
            opened.volumes[column].write(box, block)
        opened.journal.done(number, box.stop[0])
        if opened.journal.is_done(number):
            with self._lock:
                opened.left -= 1
                is_last = opened.left == 0
            if is_last:
                self._finish(opened)

    def _finish(self, opened: _Open) -> None:
        """Make coarser levels and give every column its final name, a class before its core."""
        job, folder = opened.job, opened.job.place.folder
        for column in sorted(job.columns, key=lambda name: name.endswith(_CORE)):
            attributes = {ATTRIBUTE: _described(self._ready, job, column)}
            path = folder / column
            opened.volumes[column].finish(path, attributes, self._pause, overwrite=path.exists())
            self._tell_artefact(path)
        opened.journal.remove()
        opened.closing.close()
        job.volume = replace(job.volume, state="written", stored_bytes=stored_bytes(job.place, job.columns))

    def _tell_artefact(self, path: Path) -> None:
        self._told.put(lambda: self._report.artefact(path, "prediction"))

    def _pause(self) -> None:
        with self._counting:
            self._levels_done += 1
        if self._give_up.is_set():
            raise Stopped("the prediction was stopped", "start it again to go on")


class _Writer:
    """Writes slabs behind a device, in order."""

    def __init__(self, write: Callable[..., None], failed: Callable[[BaseException], None]) -> None:
        self._write, self._failed = write, failed
        self._slabs: queue.Queue[tuple[Any, ...] | None] = queue.Queue(BEHIND)
        self._broken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cellmap-writer")
        self._thread.start()

    def put(self, slab: tuple[Any, ...]) -> None:
        """Hand over a slab; waits while too many are behind."""
        if self._broken.is_set():
            raise Stopped("the prediction was stopped", "start it again to go on")
        self._slabs.put(slab)

    def finish(self) -> None:
        """Wait until everything is written."""
        self._slabs.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """Write nothing any more."""
        self._broken.set()
        self.finish()

    def _run(self) -> None:
        while (slab := self._slabs.get()) is not None:
            if self._broken.is_set():
                continue
            try:
                self._write(*slab)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                self._broken.set()
                self._failed(error)


def stored(values: Tensor, request: PredictRequest) -> Tensor:
    """Return probabilities as they are stored, on their device."""
    import torch

    if request.dtype == "uint8":
        return values.mul(255).round_().to(torch.uint8)
    if request.unit == "logits":
        from cellmap_tui.learning.stream_predict import logits

        values = logits(values)
    return values.to(torch.float16) if request.dtype == "float16" else values


def _described(ready: Prepared, job: Job, column: str) -> dict[str, Any]:
    """Return what a volume says about itself."""
    request, tiling = ready.request, ready.tiling
    is_byte = request.dtype == "uint8"
    taken = [
        {
            "checkpoint": str(worker.network.files.weights),
            "epoch": worker.network.files.epoch,
            "architecture": worker.network.card.architecture,
            "voxel_size_nm": list(worker.network.card.voxel_size_nm),
            "weight": weight,
        }
        for worker in job.workers
        for name, weight in worker.member.weights
        if name == column
    ]
    return {
        "version": __version__,
        "kind": request.unit,
        "unit": "probability * 255" if is_byte else request.unit,
        "scale": 255 if is_byte else 1,
        "class": column,
        RECORD: {
            "key": job.keys[column],
            "networks": taken,
            "em": job.volume.em,
            "overlap": tiling.overlap,
            "blending": tiling.blending,
            "flips": tiling.flips,
            "axes": tiling.axes,
            "precision": tiling.precision,
        },
    }


def _flat(column: str) -> str:
    """Return a column's folder while it is made: a core is not within its class yet."""
    return column.replace("/", "%")
