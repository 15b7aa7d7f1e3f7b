"""Validation as the training loop has it done: the weights to use in the network, random numbers left alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.learning.augment_values import GreyAugmentation
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.learning.train_listener import ValidationCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.train_listener import Validate
    from cellmap_tui.learning.train_parts import TrainParts
    from cellmap_tui.learning.validation import BlockListener


def default_validate(
    config: TrainConfig,
    bank: Bank,
    card: ModelCard,
    *,
    loss: object = None,
    listeners: Callable[[ValidationCall], Sequence[BlockListener]] | None = None,
) -> Validate | None:
    """Return the validation on whole crops of the bank; None: the bank has no crops for it.

    Parameters
    ----------
    config, bank, card
        Those of the training.
    loss
        The loss of training, for ``val/loss``; BCE + Dice if None.
    listeners
        Makes those who see the probabilities: example slices, a scorer.
    """
    from cellmap_tui.learning.validation import Limit, validate

    if not any(crop.counts[:, :2].any() for crop in bank.of_usage("validate")):
        return None
    from cellmap_tui.learning.predictor import Predictor

    limit = None
    if config.validation_batch_limit is not None or config.validation_time_limit is not None:
        limit = Limit(config.validation_batch_limit, config.validation_time_limit, config.random_seed)
    steps = tuple(step for step in config.val_raw_value_transforms if isinstance(step, ValueTransform))
    grey = GreyAugmentation(steps, config.random_seed) if steps else None
    metrics = tuple(dict.fromkeys((*config.metrics, config.best_metric)))

    def validated(call: ValidationCall) -> dict[str, float]:
        predictor = Predictor(call.network, card, call.device, config.batch_size, grey=grey, precision=call.autocast)
        found = validate(
            predictor,
            bank,
            loss=loss,
            limit=limit,
            ignore_padding=config.ignore_padding,
            listeners=() if listeners is None else listeners(call),
            told=lambda _done, _total: call.checkpoint(),
        )
        return found.values(tuple(name for name in metrics if name != "loss"))

    return validated


def measured(
    parts: TrainParts, validate: Validate, epoch: int, step: int, checkpoint: Callable[[], None]
) -> dict[str, float]:
    """Return what a validation finds with the weights to use; afterwards everything is as it was.

    Random numbers that a validation draws are not missing in training, so that a run that validated before
    it was stopped and one that did so after it go on alike.
    """
    network = parts.network
    call = ValidationCall(
        network, parts.machine.device, parts.machine.autocast, epoch, step, parts.folder, checkpoint
    )
    was_training = network.training
    states = random.getstate(), np.random.get_state()
    devices = [parts.machine.device] if parts.machine.device.type == "cuda" else []
    network.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            if parts.average is None:
                return dict(validate(call))
            with parts.average.applied():
                return dict(validate(call))
    finally:
        network.train(was_training)
        random.setstate(states[0])
        np.random.set_state(states[1])
