"""The state of a training: what going on needs, gathered for a checkpoint and laid back in bit by bit."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellmap_tui.errors import DataError
from cellmap_tui.learning import checkpoints
from cellmap_tui.learning.train_parts import seed_all
from cellmap_tui.learning.weights import load_file, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from cellmap_tui.learning.checkpoints import CheckpointNames
    from cellmap_tui.learning.train_parts import TrainParts


@dataclass(slots=True)
class Position:
    """How far training is."""

    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Batches learned from in the epoch that is going on."""
    step: int = 0
    """Batches learned from in all."""
    batch_parts: int = 1
    """In how many parts a batch is computed."""


def weights_to_use(parts: TrainParts) -> Mapping[str, Tensor]:
    """Return the weights that a checkpoint is for: averaged ones where there are any."""
    return parts.network.state_dict() if parts.average is None else parts.average.state_dict()


def gathered(parts: TrainParts, at: Position, *, within_epoch: bool) -> dict[str, Any]:
    """Return everything but the weights to use: tensors, numbers, texts, lists and tables.

    Parameters
    ----------
    parts
        What is trained.
    at
        How far it is.
    within_epoch
        Whether the weights come along too: what stops within an epoch is replaced each time, and two files
        cannot be replaced at once.
    """
    average = parts.average
    state: dict[str, Any] = {
        "epoch": at.epoch,
        "batch": at.batch,
        "step": at.step,
        "batch_parts": at.batch_parts,
        "optimizer": parts.optimizer.state_dict(),
        "scaler": parts.scaler.state_dict(),
        "lr_factor": parts.step_size.factor,
        "random": _random_state(parts.machine.device),
        "seed": parts.config.random_seed,
        "ranks": parts.ranks.count,
        "config_hash": parts.card.config_hash,
        "split_hash": parts.card.split_hash,
        "versions": dict(parts.card.versions),
        "is_averaged": average is not None,
        "average_updates": 0 if average is None else average.updates,
    }
    if within_epoch or average is not None:
        state["model"] = parts.network.state_dict()
    if within_epoch and average is not None:
        state["ema"] = dict(average.state_dict())
    return state


def latest_state(names: CheckpointNames, warn: Callable[[str], None]) -> tuple[dict[str, Any], int | str] | None:
    """Return the state that is furthest on, and its epoch or `checkpoints.NOW`; None: there is none.

    One that is cut short is told and passed over.
    """
    found: list[tuple[dict[str, Any], int | str]] = []
    if names.state(checkpoints.NOW).is_file():
        found += _readable(names, checkpoints.NOW, warn)
    for epoch in reversed(names.epochs()):
        whole = _readable(names, epoch, warn)
        if whole:
            found += whole
            break
    return max(found, key=lambda one: int(one[0]["step"])) if found else None


def restore(parts: TrainParts, state: Mapping[str, Any], epoch: int | str, warn: Callable[[str], None]) -> Position:
    """Lay a state back in.

    Parameters
    ----------
    parts
        What is trained, fresh; its averages must exist already where they are asked for.
    state
        What `gathered` gave.
    epoch
        Of which checkpoint.
    warn
        Hears what could not be taken over.

    Raises
    ------
    DataError
        If it belongs to another network.
    """
    saved = None if "model" in state and ("ema" in state or not state["is_averaged"]) else _saved(parts, epoch)
    own = state.get("model", saved)
    try:
        parts.network.load_state_dict(own, strict=True)
    except (RuntimeError, TypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(
            f"the checkpoint of {'epoch ' if epoch != checkpoints.NOW else ''}{epoch} is of another network: {told}",
            "resume with the network it was trained with, or start a new run from its weights",
        ) from None
    if parts.average is not None:
        averaged = state.get("ema", saved) if state["is_averaged"] else None
        parts.average.load(parts.network.state_dict() if averaged is None else averaged, state["average_updates"])
    try:
        parts.optimizer.load_state_dict(state["optimizer"])
    except (ValueError, KeyError, RuntimeError) as error:
        warn(f"the optimiser starts fresh: its state does not fit ({' '.join(str(error).split())[:120]})")
    if state.get("scaler"):
        parts.scaler.load_state_dict(state["scaler"])
    parts.step_size.factor = float(state.get("lr_factor", 1.0))
    if parts.ranks.is_first:
        _restore_random(state["random"], parts.machine.device)
    else:
        seed_all(parts.config.random_seed + int(state["step"]) + parts.ranks.rank)
    return Position(int(state["epoch"]), int(state["batch"]), int(state["step"]), int(state.get("batch_parts", 1)))


def _saved(parts: TrainParts, epoch: int | str) -> dict[str, Tensor]:
    return read_weights(parts.names.weights(epoch))


def _readable(
    names: CheckpointNames, epoch: int | str, warn: Callable[[str], None]
) -> list[tuple[dict[str, Any], int | str]]:
    try:
        state = checkpoints.load_state(names.state(epoch))
        if epoch != checkpoints.NOW:
            load_file(names.weights(epoch))
        for key in ("epoch", "batch", "step", "optimizer", "random", "is_averaged"):
            if key not in state:
                raise DataError(f"{names.state(epoch)} lacks {key}")
    except (DataError, FileNotFoundError) as error:
        warn(f"passed over a checkpoint: {error}")
        return []
    return [(state, epoch)]


def _random_state(device: torch.device) -> dict[str, Any]:
    numbers = np.random.get_state(legacy=False)
    words: Any = numbers["state"]
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": torch.from_numpy(words["key"].astype(np.int64)),
        "numpy_position": int(words["pos"]),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_random(state: Mapping[str, Any], device: torch.device) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    key = state["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, state["numpy_position"], 0, 0.0))
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
