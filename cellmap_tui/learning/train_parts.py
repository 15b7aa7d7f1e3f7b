"""Everything a training loop works with, made from a configuration: network, loss, optimiser, batches."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning import checkpoints
from cellmap_tui.learning.augment_values import GreyAugmentation
from cellmap_tui.learning.buffers import BufferPool
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.learning.ema import AveragedWeights
from cellmap_tui.learning.loader import DEFAULT_BUDGET_BYTES, PatchLoader
from cellmap_tui.learning.loss_build import build_loss
from cellmap_tui.learning.losses import pos_weight_of
from cellmap_tui.learning.machine import machine_of
from cellmap_tui.learning.optim import build_optimizer
from cellmap_tui.learning.patch_plan import PatchRules
from cellmap_tui.learning.patch_source import PatchSource
from cellmap_tui.learning.sampler import SamplerRules
from cellmap_tui.learning.step_size import StepSize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.checkpoints import CheckpointNames
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.loss_build import MaskedLoss
    from cellmap_tui.learning.loss_criterion import CriterionLoss
    from cellmap_tui.learning.machine import Machine
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.ranks import Ranks


@dataclass(slots=True, eq=False)
class TrainParts:
    """What a loop works with."""

    config: TrainConfig
    """What is asked."""
    card: ModelCard
    """The network's card."""
    folder: Path
    """The run's folder."""
    ranks: Ranks
    """The processes that train together."""
    machine: Machine
    """Device and arithmetic."""
    network: nn.Module
    """The network itself: what is saved."""
    called: nn.Module
    """What is called in training: the network, perhaps compiled and wrapped."""
    loss: MaskedLoss | CriterionLoss
    """What is made small."""
    optimizer: torch.optim.Optimizer
    """What changes the weights."""
    scaler: torch.amp.GradScaler
    """Scales the loss of float16."""
    step_size: StepSize
    """How far it changes them."""
    average: AveragedWeights | None
    """The averaged weights, where they are asked for."""
    source: PatchSource
    """Where samples come from."""
    names: CheckpointNames
    """Where checkpoints go."""

    def loader(self, epoch: int, first_batch: int) -> PatchLoader:
        """Return the batches of an epoch from one of them on; `epoch` counts from 0."""
        config = self.config
        budget = DEFAULT_BUDGET_BYTES if isinstance(config.cache_gb, str) else int(config.cache_gb * 1e9)
        return _LaterBatches(
            self.source,
            config.batch_size,
            config.iterations_per_epoch - first_batch,
            first_batch=first_batch,
            workers=None if isinstance(config.workers, str) else config.workers,
            budget_bytes=budget,
            device=self.machine.device,
            rank=self.ranks.rank,
            ranks=self.ranks.count,
            epoch=epoch,
        )


class _LaterBatches(PatchLoader):
    """The batches of an epoch from one of them on."""

    def __init__(self, *arguments: Any, first_batch: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._first_batch = first_batch

    def sample_numbers(self, batch: int) -> list[int]:
        """Return the numbers in the epoch of the samples of a batch."""
        return super().sample_numbers(batch + self._first_batch)


def make_parts(
    config: TrainConfig,
    bank: Bank,
    card: ModelCard,
    folder: Path,
    ranks: Ranks,
    objects: Mapping[str, Any],
) -> TrainParts:
    """Make the parts; the network has its first weights, which depend on the seed alone.

    Raises
    ------
    RequestError
        If something does not fit.
    """
    names = checkpoints.names_of(config, folder)
    if bank.columns != card.columns:
        raise RequestError(
            f"the network answers {', '.join(card.columns)}, the crops have {', '.join(bank.columns)}",
            "make the card and the crops from one configuration",
        )
    machine = machine_of(config, ranks.local_rank)
    seed_all(config.random_seed)
    network = machine.placed(build_network(card, objects.get("model")))
    optimizer = build_optimizer(config, network, objects.get("optimizer"))
    weight = pos_weight_of(np.stack([crop.counts for crop in bank.of_usage("train")])) if config.weight_loss else None
    updates = -(-config.iterations_per_epoch // config.gradient_accumulation_steps)
    return TrainParts(
        config=config,
        card=card,
        folder=folder,
        ranks=ranks,
        machine=machine,
        network=network,
        called=network,
        loss=build_loss(
            config,
            pos_weight=None if weight is None else weight.to(machine.device),
            criterion=objects.get("criterion"),
        ),
        optimizer=optimizer,
        scaler=machine.scaler(),
        step_size=StepSize(config, optimizer, updates, objects.get("scheduler")),
        average=None,
        source=patch_source(config, bank),
        names=names,
    )


def patch_source(config: TrainConfig, bank: Bank) -> PatchSource:
    """Return where a configuration's samples come from.

    Raises
    ------
    RequestError
        If grey values are to be changed by objects that only the official loader runs.
    """
    steps = config.train_raw_value_transforms
    plain = tuple(step for step in steps if isinstance(step, ValueTransform))
    if len(plain) < len(steps):
        raise RequestError(
            "train_raw_value_transforms holds a transform of your own, which the loader does not run",
            "name built-in ones: `cellmap-tui config show` lists them",
        )
    rules = PatchRules(
        inputs=config.input_array_info,
        target=config.target_array_info[0],
        usage="train",
        sampler=SamplerRules(config.foreground_share, config.empty_share, balanced=config.weighted_sampler),
        spatial=config.spatial_transforms,
        seed=config.random_seed,
    )
    budget = DEFAULT_BUDGET_BYTES if isinstance(config.cache_gb, str) else int(config.cache_gb * 1e9)
    return PatchSource(bank, rules, BufferPool(budget), GreyAugmentation(plain, config.random_seed))


def seed_all(seed: int) -> None:
    """Start every generator of random numbers that a network may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def wrap(parts: TrainParts) -> None:
    """Make what is called in training, once the weights are those to start from."""
    if parts.config.ema_decay is not None and parts.average is None:
        parts.average = AveragedWeights(parts.network, parts.config.ema_decay)
    called: Any = parts.ranks.synchronous(parts.network)
    if parts.config.compile:
        called = torch.compile(called)
    parts.called = parts.ranks.wrapped(called)
