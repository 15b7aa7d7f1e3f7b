"""The look before the first step: crops and classes, memory of host, container and GPU, disk, and a timed step."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.services.train_model import ClassPatches, Preflight, PreflightFinding
from cellmap_tui.text import count, duration, printable, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.net_cost import StepCost
    from cellmap_tui.learning.patch_source import PatchSource
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import Prepared

PROGRAM_BYTES = 900 * 10**6
"""torch with its libraries and the tool, measured on Linux without a GPU."""
CUDA_BYTES = 2_500 * 10**6
"""What a CUDA context adds to a process' own memory, an estimate."""
DRAWN_PATCHES = 32
_DRAW_S = 3.0
_QUICK_S = 10.0
"""A step that takes no longer is timed a second time, without what only the first one pays."""
_ORDER = {"problem": 0, "warning": 1, "note": 2, "ok": 3}


def look(
    prepared: Prepared, bank: Bank, request: TrainRequest, report: Reporter, objects: Mapping[str, Any]
) -> Preflight:
    """Look at everything that can go wrong later, and time a step unless the run goes on from an earlier part.

    Raises
    ------
    RequestError
        If the device is not there or the network does not fit the patch.
    """
    from cellmap_tui.learning.machine import machine_of
    from cellmap_tui.learning.train_parts import patch_source

    config = prepared.config
    machine = machine_of(config)
    source = patch_source(config, bank)
    cost = _cost(prepared, objects, machine)
    found = [*_crops(prepared, bank), *_host(config, source, cost, machine.device.type)]
    found += _devices(config, cost, machine)
    checkpoint_bytes = _checkpoint_bytes(config, cost)
    disk_bytes, disk = _disk(prepared, checkpoint_bytes)
    found.append(disk)
    report.checkpoint()
    classes, data_s = _classes(prepared, bank, source)
    steps_left = _steps_left(prepared)
    step_s = None
    if not prepared.is_resumed and not any(finding.status == "problem" for finding in found):
        step_s, timed = _timed(prepared, bank, objects)
        found.append(timed)
    eta_s = None if step_s is None else step_s * steps_left
    if eta_s is not None:
        found.append(_eta(config, step_s or 0.0, eta_s))
    report.checkpoint()
    return Preflight(
        findings=tuple(sorted(found, key=lambda finding: _ORDER[finding.status])),
        classes=classes,
        device=machine.words(),
        parameters=0 if cost is None else cost.parameters,
        step_s=step_s,
        data_s=data_s,
        steps_left=steps_left,
        eta_s=eta_s,
        checkpoint_bytes=checkpoint_bytes,
        disk_bytes=disk_bytes,
    )


def tell(found: Preflight, report: Reporter) -> None:
    """Pass on what was found: problems and warnings as such, the rest in one line each."""
    for finding in found.findings:
        words = f"{finding.name}: {finding.value}" + (f"; {finding.remedy}" if finding.remedy else "")
        if finding.status in ("problem", "warning"):
            report.warning(words)
        else:
            report.note(words)


# -- crops and classes ------------------------------------------------------------------------


def _crops(prepared: Prepared, bank: Bank) -> list[PreflightFinding]:
    train, validate = bank.of_usage("train"), bank.of_usage("validate")
    found = []
    words = f"{count(len(train))} to train on, {count(len(validate))} to validate on"
    if not train:
        reasons = "; ".join(dict.fromkeys(one.reason for one in bank.left_out)) or "the split has none"
        found.append(PreflightFinding("crops", "problem", f"none to train on: {reasons}", "check the split"))
    else:
        found.append(PreflightFinding("crops", "ok", f"{words}; {size(bank.size_bytes)} prepared"))
    if bank.left_out:
        first = bank.left_out[0]
        more = f" and {len(bank.left_out) - 1} more" if len(bank.left_out) > 1 else ""
        found.append(PreflightFinding("left out", "warning", f"{first.ref}{more}: {first.reason}"))
    without = [name for number, name in enumerate(bank.columns) if not any(c.present(number) for c in train)]
    if without:
        value = f"{', '.join(without)}: no voxel in any training crop, so nothing but absence is learned"
        found.append(PreflightFinding("classes", "warning", value, "leave them out, or add crops that have them"))
    return [*found, *_small(prepared, bank)]


def _small(prepared: Prepared, bank: Bank) -> list[PreflightFinding]:
    shape = prepared.config.input_array_info[0].shape
    small = [
        crop
        for crop in bank.of_usage("train")
        if any(have < want for have, want in zip(crop.grid.shape, shape, strict=True))
    ]
    if not small:
        return []
    patch = "×".join(map(str, shape))
    value = f"{count(len(small))} of the training crops are smaller than the patch of {patch} voxels"
    return [PreflightFinding("small crops", "note", f"{value}; what reaches beyond a crop counts as unknown")]


def _classes(prepared: Prepared, bank: Bank, source: PatchSource) -> tuple[tuple[ClassPatches, ...], float | None]:
    """Return what there is of each channel, and the seconds a batch takes to be made on one thread."""
    config = prepared.config
    occurring, drawn, data_s = _drawn(source, config)
    per_epoch = config.batch_size * config.iterations_per_epoch
    train, validate = bank.of_usage("train"), bank.of_usage("validate")
    rows = [
        ClassPatches(
            name=name,
            train_crops=sum(crop.known(number) > 0 for crop in train),
            train_voxels=sum(crop.present(number) for crop in train),
            validate_crops=sum(crop.known(number) > 0 for crop in validate),
            patches_per_epoch=occurring[number] / drawn * per_epoch if drawn else None,
        )
        for number, name in enumerate(bank.columns)
    ]
    return tuple(rows), data_s


def _drawn(source: PatchSource, config: TrainConfig) -> tuple[list[int], int, float | None]:
    """Draw some patches; return in how many each channel occurs, how many there were, seconds of a batch."""
    occurring, drawn, data_s = [0] * len(source.bank.columns), 0, None
    began_s = time.monotonic()
    while drawn < DRAWN_PATCHES and time.monotonic() - began_s < _DRAW_S:
        batch_began_s = time.perf_counter()
        batch = _batch(source, range(drawn, drawn + config.batch_size))
        data_s = time.perf_counter() - batch_began_s
        states = batch.states
        present = (states == 1).flatten(2).any(dim=2).sum(dim=0).tolist()
        occurring = [have + more for have, more in zip(occurring, present, strict=True)]
        drawn += len(batch)
    return occurring, drawn, data_s


def _batch(source: PatchSource, numbers: range) -> PatchBatch:
    return source.augment(source.read(0, list(numbers)))


# -- memory -----------------------------------------------------------------------------------


def _cost(prepared: Prepared, objects: Mapping[str, Any], machine: Any) -> StepCost | None:
    from cellmap_tui.learning.net_cost import step_cost

    value_bytes = 2 if machine.dtype.itemsize == 2 else 4
    config = prepared.config
    try:
        return step_cost(
            prepared.card,
            config.batch_size,
            value_bytes=value_bytes,
            ema=config.ema_decay is not None,
            own=objects.get("model"),
        )
    except CellmapError:
        # A network that cannot run without values is only timed; a wrong option is told when it is built.
        return None


def _host(config: TrainConfig, source: PatchSource, cost: StepCost | None, device: str) -> list[PreflightFinding]:
    from cellmap_tui.learning.loader import DEFAULT_BUDGET_BYTES
    from cellmap_tui.services.memory_budget import memory_budget, usable_processors

    processors = usable_processors()
    workers = min(8, max(1, processors - 1)) if isinstance(config.workers, str) else config.workers
    budget = DEFAULT_BUDGET_BYTES if isinstance(config.cache_gb, str) else int(config.cache_gb * 1e9)
    batch_bytes = source.sample_bytes * config.batch_size
    ahead = max(1, min(2 * max(1, workers), budget // max(1, batch_bytes)))
    network = 0 if cost is None else (cost.total_bytes if device != "cuda" else 0)
    program = PROGRAM_BYTES + (CUDA_BYTES if device == "cuda" else 0)
    needed = (program + min(budget, ahead * batch_bytes) + network) * config.devices
    allowed = memory_budget(None)
    words = f"about {size(needed)} of {size(allowed.bytes)} ({allowed.origin})"
    status, remedy = "ok", ""
    if needed > allowed.bytes / 0.8:
        status, remedy = "problem", "a smaller batch, patch or network; or more memory for the job or container"
    elif needed > allowed.bytes:
        status, remedy = "warning", "little room is left; a smaller batch or fewer workers need less"
    cache = f"{workers} threads, {ahead} batches of {size(batch_bytes)} read ahead, {size(budget)} at most"
    found = [PreflightFinding("host memory", status, words, remedy), PreflightFinding("loader", "ok", cache)]  # type: ignore[arg-type]
    if batch_bytes > budget:
        value = f"a batch takes {size(batch_bytes)}, cache_gb allows {size(budget)}"
        found.append(PreflightFinding("cache", "problem", value, "a larger cache_gb, or a smaller batch"))
    return found


def _devices(config: TrainConfig, cost: StepCost | None, machine: Any) -> list[PreflightFinding]:
    import torch

    if machine.device.type != "cuda":
        words = f"{machine.words()}, {torch.get_num_threads()} threads"
        found = [PreflightFinding("device", "ok", words)]
        if config.devices > 1:
            value = f"{config.devices} asked for, and no GPU is there: as many processes share the processors"
            found.append(PreflightFinding("devices", "warning", value, "--devices 1"))
        return found
    found = []
    there = torch.cuda.device_count()
    if config.devices > there:
        value = f"{config.devices} asked for, torch sees {there}"
        found.append(PreflightFinding("devices", "problem", value, f"--devices {there}"))
    free, total = torch.cuda.mem_get_info(machine.device)
    words = f"{machine.words()}, {size(free)} of {size(total)} free"
    if cost is None:
        return [*found, PreflightFinding("GPU memory", "note", f"{words}; what the network takes cannot be counted")]
    words = f"{words}; a step takes about {size(cost.total_bytes)}"
    if cost.weight_bytes + cost.total_bytes / config.batch_size > free:
        remedy = "a smaller patch or network; not even one patch fits"
        found.append(PreflightFinding("GPU memory", "problem", words, remedy))
    elif cost.total_bytes > free:
        remedy = "the batch will be learned in parts, with the same result; a smaller one goes at once"
        found.append(PreflightFinding("GPU memory", "warning", words, remedy))
    else:
        found.append(PreflightFinding("GPU memory", "ok", words))
    return found


# -- disk and time ----------------------------------------------------------------------------


def _checkpoint_bytes(config: TrainConfig, cost: StepCost | None) -> int:
    """Return the size of a checkpoint: weights to use, weights that learn, two averages of the optimiser."""
    parameters = 0 if cost is None else cost.parameters
    copies = 1 + 1 + 2 + (1 if config.ema_decay is not None else 0)
    return parameters * 4 * copies


def _disk(prepared: Prepared, checkpoint_bytes: int) -> tuple[int, PreflightFinding]:
    from cellmap_tui.learning.checkpoints import names_of

    config = prepared.config
    keep = config.keep_checkpoints
    every = config.epochs // keep.every if keep.every else 0
    # One more while it is written, one within an epoch.
    number = keep.last + keep.best + every + 2
    wanted = checkpoint_bytes * number
    folder = names_of(config, prepared.folder).folder
    free = shutil.disk_usage(_existing(folder)).free
    words = f"{count(number)} checkpoints of {size(checkpoint_bytes)}: {size(wanted)} of {size(free)} free"
    # Of a resumed run most is written already.
    missing = checkpoint_bytes * 2 if prepared.is_resumed else wanted
    if missing > free:
        remedy = "free space, keep fewer (keep_checkpoints), or another --runs-root"
        return wanted, PreflightFinding("disk", "problem", words, remedy)
    if wanted > free * 0.9:
        return wanted, PreflightFinding("disk", "warning", words, "little is left for anything else")
    return wanted, PreflightFinding("disk", "ok", words)


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _steps_left(prepared: Prepared) -> int:
    from cellmap_tui.learning.checkpoints import names_of

    config = prepared.config
    done = max(names_of(config, prepared.folder).epochs(), default=0) if prepared.is_resumed else 0
    return max(0, config.epochs - done) * config.iterations_per_epoch


def _eta(config: TrainConfig, step_s: float, eta_s: float) -> PreflightFinding:
    epoch_s = step_s * config.iterations_per_epoch
    words = f"{_seconds(epoch_s)} an epoch, {_seconds(eta_s)} in all, without validations"
    if config.max_hours is not None and eta_s > config.max_hours * 3600:
        epochs = int(config.max_hours * 3600 / max(1e-9, epoch_s))
        value = f"{words}; max_hours allows about {count(epochs)} of {count(config.epochs)} epochs"
        return PreflightFinding("time", "warning", value, "cosine and poly fall over all epochs: set epochs to that")
    return PreflightFinding("time", "ok", words)


def _timed(prepared: Prepared, bank: Bank, objects: Mapping[str, Any]) -> tuple[float | None, PreflightFinding]:
    """Learn from a batch or two exactly as the loop does, with parts that are thrown away afterwards."""
    import copy

    import torch

    from cellmap_tui.learning.ranks import Ranks
    from cellmap_tui.learning.train_parts import make_parts, wrap
    from cellmap_tui.learning.train_step import Learner

    # Compiling takes minutes, and is paid once.
    config = dataclasses.replace(prepared.config, compile=False)
    said: list[str] = []
    parts = make_parts(config, bank, prepared.card, prepared.folder, Ranks(), copy.deepcopy(dict(objects)))
    wrap(parts)
    parts.network.train()
    parts.step_size.apply(0, 0)
    learner = Learner(parts, said.append)
    step_s = 0.0
    for number in range(2):
        step_began_s = time.perf_counter()
        first = number * config.batch_size
        batch = _batch(parts.source, range(first, first + config.batch_size)).to(parts.machine.device)
        try:
            loss = float(learner.group(iter([batch]), 1)[0].loss)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise _not_learnable(prepared, error) from error
        step_s = time.perf_counter() - step_began_s
        if step_s > _QUICK_S:
            break
    took = f"{_seconds(step_s)} for {count(config.batch_size)} patches, loss {loss:.3g}"
    del parts, learner, batch
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if said:
        return step_s, PreflightFinding("a step", "warning", f"{took}; {said[-1]}")
    if not math.isfinite(loss):
        value = "its loss is no number"
        return step_s, PreflightFinding("a step", "problem", value, "look at the data and the learning rate")
    return step_s, PreflightFinding("a step", "ok", took)


def _not_learnable(prepared: Prepared, error: Exception) -> CellmapError:
    """Return what a network or a loss that somebody else wrote says to a batch, as an error of the configuration."""
    if isinstance(error, CellmapError):
        return error
    card = prepared.card
    patch = "×".join(map(str, card.patch))
    told = " ".join(str(error).split())[:200]
    return RequestError(
        f"{card.model_name} cannot learn from a batch of {patch} voxels: {type(error).__name__}: {printable(told)}",
        "choose another patch (input_array_info) or network; --debug shows where it happened",
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)
