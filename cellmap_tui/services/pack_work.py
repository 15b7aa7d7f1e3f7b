"""Packing volumes side by side: threads that share processors and a memory budget.

Reading, resampling and compressing let go of the interpreter's lock, so threads do; processes would
each hold the libraries once more.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.pack_parts import DiskFullError, Part, PartFile, Parts
from cellmap_tui.services.pack_volume import VolumeJob, needed_bytes, pack_volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cellmap_tui.services.report import Reporter

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a volume could not be packed."""

    problem: str
    """What is wrong."""
    fix: str
    """What to do about it."""


@dataclass(slots=True)
class Packed:
    """What came of the volumes."""

    parts: dict[str, Part]
    """Packed volumes by name."""
    failures: dict[str, Failure]
    """The others."""


class MemoryGate:
    """Lets work begin while the memory it needs is free; what needs more than there is works alone.

    Parameters
    ----------
    total_bytes
        What may be taken together.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, wanted_bytes: int, stop: threading.Event) -> int:
        """Wait for room and return what was taken."""
        wanted = min(wanted_bytes, self._total)
        with self._changed:
            while self._taken + wanted > self._total and not stop.is_set():
                self._changed.wait(POLL_S)
            self._taken += wanted
        return wanted

    def give_back(self, taken_bytes: int) -> None:
        """Return what was taken."""
        with self._changed:
            self._taken -= taken_bytes
            self._changed.notify_all()


def pack_all(
    jobs: Sequence[VolumeJob],
    keys: Mapping[str, str],
    parts: Parts,
    *,
    workers: int,
    memory_bytes: int,
    report: Reporter,
) -> Packed:
    """Pack volumes, the largest first.

    Parameters
    ----------
    jobs
        Volumes that are not packed yet.
    keys
        Key of each part by the volume's name.
    parts
        Where they go.
    workers
        Volumes at once.
    memory_bytes
        Memory for voxels.
    report
        Told voxels as they are done.

    Raises
    ------
    RefusedError
        If the disk is full.
    Stopped
        When the user asked to stop; finished volumes are kept.
    """
    encoders = ThreadPoolExecutor(workers, "encode")
    work = _Work(parts, keys, MemoryGate(memory_bytes), encoders)
    total = sum(job.grid.voxels for job in jobs)
    ordered = sorted(jobs, key=lambda job: (-job.grid.voxels, job.name))
    packed = Packed({}, {})
    with encoders, ThreadPoolExecutor(workers, "pack") as pool:
        futures = {pool.submit(work.pack, job): job for job in ordered}
        try:
            for future in _as_completed(futures, lambda: _tell(report, work, total)):
                outcome = future.result()
                name = futures[future].name
                if isinstance(outcome, Failure):
                    packed.failures[name] = outcome
                else:
                    packed.parts[name] = outcome
        except BaseException:
            work.stop.set()
            for future in futures:
                future.cancel()
            raise
    report.progress(total, total, "voxels")
    return packed


class _Work:
    """What the threads share."""

    def __init__(self, parts: Parts, keys: Mapping[str, str], gate: MemoryGate, encoders: ThreadPoolExecutor) -> None:
        self.stop = threading.Event()
        self.done_voxels = 0
        self._parts = parts
        self._keys = keys
        self._gate = gate
        self._encoders = encoders
        self._counting = threading.Lock()

    def pack(self, job: VolumeJob) -> Part | Failure:
        """Pack one volume."""
        file = self._parts.begin(job)
        try:
            return self._packed(job, file)
        except (DiskFullError, Stopped):
            raise
        except CellmapError as error:
            return Failure(error.message, error.remedy)
        except MemoryError:
            return Failure("does not fit into memory", "give the job more memory, or write smaller chunks")
        finally:
            file.abandon()

    def _packed(self, job: VolumeJob, file: PartFile) -> Part:
        taken = self._gate.take(needed_bytes(job), self.stop)
        try:
            facts = pack_volume(job, file.restart, self.tick, self._encoders)
            return file.finish(self._keys[job.name], facts)
        finally:
            self._gate.give_back(taken)

    def tick(self, voxels: int) -> None:
        """Count voxels; stop where that was asked for."""
        if self.stop.is_set():
            raise Stopped("packing was stopped")
        if voxels:
            with self._counting:
                self.done_voxels += voxels


def _tell(report: Reporter, work: _Work, total: int) -> None:
    report.checkpoint()
    report.progress(min(work.done_voxels, total), total, "voxels")


def _as_completed(
    futures: Mapping[Future[Part | Failure], VolumeJob], meanwhile: object
) -> Iterator[Future[Part | Failure]]:
    """Yield futures as they end; calls `meanwhile` between."""
    assert callable(meanwhile)
    waiting = set(futures)
    while waiting:
        meanwhile()
        done, waiting = wait(waiting, POLL_S, FIRST_COMPLETED)
        yield from done
