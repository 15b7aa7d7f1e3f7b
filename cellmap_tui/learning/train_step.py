"""Learning from batches: forward, backward, one update for every few of them, in parts where memory is short."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.errors import CellmapError
from cellmap_tui.learning.network_input import network_input
from cellmap_tui.text import count, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.losses import LossValue
    from cellmap_tui.learning.train_parts import TrainParts


class OutOfMemoryError(CellmapError):
    """A single sample does not fit the device, or the host has no memory left."""

    kind = "memory"


@dataclass(slots=True, eq=False)
class Learned:
    """A batch that was learned from; nobody has waited for the device."""

    loss: Tensor
    """The undivided loss, a detached scalar."""
    by_column: Tensor
    """Loss of each column, detached; NaN where nothing was known."""
    batch: PatchBatch
    """The batch."""
    data_s: float
    """Seconds of waiting for it."""
    step_s: float
    """Seconds it took, the waiting included."""
    grad_norm: Tensor | None = None
    """Length of the gradient, of the last batch before an update."""


class Learner:
    """Learns from batches.

    Parameters
    ----------
    parts
        What to work with.
    tell
        Hears when a batch is computed in more parts than before.
    """

    def __init__(self, parts: TrainParts, tell: Callable[[str], None]) -> None:
        self.batch_parts = 1
        self._parts = parts
        self._tell = tell
        self._weights = [part for part in parts.network.parameters() if part.requires_grad]
        self._ended_s = time.perf_counter()
        self._is_untried = parts.config.compile

    def rest(self) -> None:
        """Begin to measure time anew, after something else than learning."""
        self._ended_s = time.perf_counter()

    def group(self, batches: Iterator[PatchBatch], length: int) -> list[Learned]:
        """Learn from batches and change the weights once.

        A device whose memory does not suffice computes each batch in twice as many parts, and the group is
        repeated with the same samples.

        Raises
        ------
        OutOfMemoryError
            If a single sample does not fit.
        """
        kept: list[PatchBatch] = []
        learned: list[Learned] = []
        for number in range(length):
            kept.append(next(batches))
            data_s = time.perf_counter() - self._ended_s
            one = self._tried(kept[-1], length, is_last=number == length - 1)
            if one is None:
                learned = self._again(kept, length, learned)
                one = learned.pop()
            learned.append(self._timed(one, data_s))
        learned[-1].grad_norm = self._update()
        learned[-1].step_s += self._lap()
        return learned

    def _timed(self, one: Learned, data_s: float) -> Learned:
        one.data_s, one.step_s = data_s, self._lap()
        return one

    def _lap(self) -> float:
        now_s = time.perf_counter()
        lap_s, self._ended_s = now_s - self._ended_s, now_s
        return lap_s

    def _again(self, kept: list[PatchBatch], length: int, before: list[Learned]) -> list[Learned]:
        """Learn from the batches of a group once more, in smaller parts; the times stay those measured."""
        while True:
            self._split(len(kept[0]))
            self._parts.optimizer.zero_grad(set_to_none=True)
            learned = []
            for number, batch in enumerate(kept):
                one = self._tried(batch, length, is_last=number == length - 1)
                if one is None:
                    break
                if number < len(before):
                    one.data_s, one.step_s = before[number].data_s, before[number].step_s
                learned.append(one)
            if len(learned) == len(kept):
                return learned

    def _split(self, samples: int) -> None:
        device = self._parts.machine.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if self._parts.ranks.count > 1:
            raise OutOfMemoryError(
                f"a batch of {samples} patches does not fit {device}; {_memory(device)}",
                "with several GPUs nothing is halved by itself: lower batch_size, raise gradient_accumulation_steps",
            )
        if self.batch_parts >= samples:
            raise OutOfMemoryError(
                f"a single patch does not fit {device}; {_memory(device)}",
                "choose a smaller patch (input_array_info) or a smaller network; a checkpoint of before is kept",
            )
        self.batch_parts = min(samples, 2 * self.batch_parts)
        self._tell(
            f"out of memory on {device} with {count(-(-samples * 2 // self.batch_parts))} patches at a time: "
            f"going on with {count(-(-samples // self.batch_parts))} at a time; {_memory(device)}"
        )

    def _tried(self, batch: PatchBatch, length: int, *, is_last: bool) -> Learned | None:
        """Return what was learned; None: memory did not suffice."""
        try:
            return self._learn(batch, length, is_last=is_last)
        except torch.OutOfMemoryError:
            # Outside of the handler, so that its traceback does not hold on to the tensors.
            pass
        except MemoryError:
            raise _host_memory() from None
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "bad_alloc" in str(error):
                raise _host_memory() from None
            raise
        return None

    def _learn(self, batch: PatchBatch, length: int, *, is_last: bool) -> Learned:
        pieces = list(_pieces(batch, self.batch_parts))
        losses, columns, shares = [], [], []
        for number, piece in enumerate(pieces):
            share = len(piece) / len(batch)
            together = is_last and number == len(pieces) - 1
            with contextlib.nullcontext() if together else self._alone():
                value = self._forward(piece)
                self._parts.scaler.scale(value.loss * (share / length)).backward()  # type: ignore[no-untyped-call]
            losses.append(value.loss.detach())
            columns.append(value.by_column)
            shares.append(share)
        if len(pieces) == 1:
            return Learned(losses[0], columns[0], batch, 0.0, 0.0)
        factors = torch.tensor(shares, device=losses[0].device)
        loss = (torch.stack(losses) * factors).sum()
        return Learned(loss, torch.stack(columns).nanmean(dim=0), batch, 0.0, 0.0)

    def _forward(self, batch: PatchBatch) -> LossValue:
        parts = self._parts
        values = parts.machine.laid_out(network_input(batch))
        with parts.machine.autocast:
            output = self._compiled(values) if self._is_untried else parts.called(values)
        return parts.loss(output, batch, reduce=parts.ranks.reduce)

    def _compiled(self, values: Tensor) -> Any:
        """Return the output of a network that may turn out not to compile; then it goes on as it is."""
        from torch._dynamo.exc import TorchDynamoException

        self._is_untried = False
        parts = self._parts
        try:
            return parts.called(values)
        except TorchDynamoException as error:
            told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            self._tell(f"the network does not compile and goes on without: {printable(told)[:160]}")
            parts.called = parts.ranks.wrapped(parts.network)
            return parts.called(values)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which gradients stay in this process: they travel once an update."""
        called = self._parts.called
        if isinstance(called, torch.nn.parallel.DistributedDataParallel):
            return called.no_sync()
        return contextlib.nullcontext()

    def _update(self) -> Tensor:
        parts = self._parts
        parts.scaler.unscale_(parts.optimizer)
        limit = parts.config.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self._weights, float("inf") if limit is None else limit)
        parts.scaler.step(parts.optimizer)
        parts.scaler.update()
        parts.optimizer.zero_grad(set_to_none=True)
        if parts.average is not None:
            parts.average.update()
        return norm


def part_of(batch: PatchBatch, start: int, stop: int) -> PatchBatch:
    """Return some samples of a batch, without copying."""
    return replace(
        batch,
        em={name: values[start:stop] for name, values in batch.em.items()},
        em_valid={name: None if mask is None else mask[start:stop] for name, mask in batch.em_valid.items()},
        codes=batch.codes[start:stop],
        first_code=batch.first_code[start:stop],
        notes=batch.notes[start:stop],
        augmented={name: values[start:stop] for name, values in batch.augmented.items()},
    )


def _pieces(batch: PatchBatch, count: int) -> Iterator[PatchBatch]:
    if count == 1:
        yield batch
        return
    length = -(-len(batch) // count)
    for start in range(0, len(batch), length):
        yield part_of(batch, start, start + length)


def _memory(device: torch.device) -> str:
    if device.type != "cuda":
        return "no figures of its memory are to be had"
    free, total = torch.cuda.mem_get_info(device)
    return f"{size(torch.cuda.memory_reserved(device))} held here, {size(free)} free of {size(total)}"


def _host_memory() -> OutOfMemoryError:
    import psutil

    memory = psutil.virtual_memory()
    return OutOfMemoryError(
        f"the host has no memory left: {size(memory.available)} free of {size(memory.total)}",
        "lower batch_size, cache_gb or workers, or the patch; a checkpoint of before is kept",
    )
