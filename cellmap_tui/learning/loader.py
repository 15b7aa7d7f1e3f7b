"""Feeds a training loop: threads read ahead into memory that is used again, within one budget.

Threads and not processes, since reading lets go of the interpreter: nothing is forked or pickled, all
workers share the bank's pages and one budget, and the first batch is there in milliseconds. Which samples
come, and in which order, depends on neither the number of workers nor the batches read ahead.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.patch_source import PatchSource

DEFAULT_BUDGET_BYTES = 2**30
_AHEAD = 2
"""Batches read ahead for each worker."""


class PatchLoader:
    """Batches of an epoch after the other.

    Parameters
    ----------
    source
        Where samples come from.
    batch_size
        Samples in a batch.
    batches
        Batches in an epoch, on each rank.
    workers
        Threads; 0: read when asked. None: one less than there are cores, at most 8.
    budget_bytes
        Bytes of all batches that are read ahead, over all workers.
    device
        Where batches go; None: they stay in the memory of the host.
    rank, ranks
        This process among those that train together; each draws its own samples.
    epoch
        Number of the first epoch.

    Raises
    ------
    RequestError
        If a number is below its least, or the budget has no room for a single batch.
    """

    def __init__(
        self,
        source: PatchSource,
        batch_size: int,
        batches: int,
        *,
        workers: int | None = None,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        device: str | torch.device | None = None,
        rank: int = 0,
        ranks: int = 1,
        epoch: int = 0,
    ) -> None:
        if batch_size < 1 or batches < 1:
            raise RequestError(f"{batches} batches of {batch_size} samples", "at least one of one")
        self.source = source
        self.batch_size = batch_size
        self.batches = batches
        self.epoch = epoch
        self.device = None if device is None else torch.device(device)
        self.workers = min(8, max(1, (os.cpu_count() or 1) - 1)) if workers is None else workers
        self._rank, self._ranks = rank, ranks
        batch_bytes = source.sample_bytes * batch_size
        if batch_bytes > budget_bytes:
            raise RequestError(
                f"a batch takes {size(batch_bytes)}, the budget for batches is {size(budget_bytes)}",
                "choose a larger budget, a smaller batch or a smaller patch",
            )
        self.ahead = max(1, min(_AHEAD * max(1, self.workers), budget_bytes // batch_bytes))
        self.ahead_bytes = self.ahead * batch_bytes

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[PatchBatch]:
        """Yield the batches of the current epoch; the next iteration is the next epoch."""
        epoch = self.epoch
        self.epoch += 1
        if self.source.device_bank is not None:
            return self._by_device(epoch)
        batches = self._inline(epoch) if self.workers == 0 else self._threaded(epoch)
        return batches if self.device is None or self.device.type != "cuda" else self._on_device(batches)

    def sample_numbers(self, batch: int) -> list[int]:
        """Return the numbers in the epoch of the samples of a batch of this rank."""
        first = (batch * self._ranks + self._rank) * self.batch_size
        return list(range(first, first + self.batch_size))

    def _read(self, epoch: int, batch: int) -> PatchBatch:
        read = self.source.read(epoch, self.sample_numbers(batch))
        if self.device is not None and self.device.type == "cuda":
            return _pinned(read)
        return self.source.augment(read if self.device is None else read.to(self.device))

    def _inline(self, epoch: int) -> Iterator[PatchBatch]:
        for batch in range(self.batches):
            yield self._read(epoch, batch)

    def _threaded(self, epoch: int) -> Iterator[PatchBatch]:
        pending: deque[Future[PatchBatch]] = deque()
        following = iter(range(self.batches))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="patches") as threads:
            try:
                _spare_cores(threads, self.workers)
                for batch in itertools.islice(following, self.ahead):
                    pending.append(threads.submit(self._read, epoch, batch))
                while pending:
                    ready = pending.popleft().result()
                    if (batch_after := next(following, None)) is not None:
                        pending.append(threads.submit(self._read, epoch, batch_after))
                    yield ready
                    del ready
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def _by_device(self, epoch: int) -> Iterator[PatchBatch]:
        """Have the device read from its own copy of the bank; it is told what to do ahead of time by itself."""
        for batch in range(self.batches):
            yield self.source.augment(self.source.read_on_device(epoch, self.sample_numbers(batch)))

    def _on_device(self, batches: Iterator[PatchBatch]) -> Iterator[PatchBatch]:
        """Copy each batch on a stream of its own while the one before it is used."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        coming: PatchBatch | None = None
        for host in batches:
            with torch.cuda.stream(stream):
                copied = self.source.augment(host.to(self.device, non_blocking=True))
            if coming is not None:
                yield coming
            torch.cuda.current_stream(self.device).wait_stream(stream)
            _record(copied, torch.cuda.current_stream(self.device))
            coming = copied
        if coming is not None:
            yield coming


def _spare_cores(threads: ThreadPoolExecutor, workers: int) -> None:
    """Let each worker compute on one core: teams of threads in each of them would fight for the cores.

    torch keeps the number per thread, but gives it to every thread that starts later too, unless it is
    set again here.
    """
    own = torch.get_num_threads()
    all_here = threading.Barrier(workers)

    def settle() -> None:
        all_here.wait()
        torch.set_num_threads(1)

    for settled in [threads.submit(settle) for _ in range(workers)]:
        settled.result()
    torch.set_num_threads(own)


def _pinned(batch: PatchBatch) -> PatchBatch:
    """Return a batch in pages that the device can read by itself; torch keeps and reuses these."""
    return replace(
        batch,
        em={name: part.pin_memory() for name, part in batch.em.items()},
        em_valid={name: None if part is None else part.pin_memory() for name, part in batch.em_valid.items()},
        codes=batch.codes.pin_memory(),
        first_code=batch.first_code.pin_memory(),
    )


def _record(batch: PatchBatch, stream: torch.cuda.Stream) -> None:
    """Tell the allocator that the batch is used on this stream too."""
    for tensor in (batch.codes, batch.first_code, batch.book, *batch.em.values(), *batch.augmented.values()):
        tensor.record_stream(stream)
    for mask in batch.em_valid.values():
        if mask is not None:
            mask.record_stream(stream)
