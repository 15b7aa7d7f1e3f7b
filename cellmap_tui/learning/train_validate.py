"""Validation as the training loop has it done: the weights to use in the network, random numbers left alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from cellmap_tui.learning.train_listener import ValidationCall
from cellmap_tui.learning.validator import validator_of

if TYPE_CHECKING:
    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.listener import Listener
    from cellmap_tui.learning.train_listener import Validate
    from cellmap_tui.learning.train_parts import TrainParts


def default_validate(parts: TrainParts, bank: Bank) -> Validate | None:
    """Return the validation on whole crops of the bank; None: nothing is known in any crop for it."""
    if not any(crop.counts[:, :2].any() for crop in bank.of_usage("validate")):
        return None
    return validator_of(parts.config, bank, parts.card, loss=parts.loss)


def measured(parts: TrainParts, validate: Validate, epoch: int, step: int, listener: Listener) -> dict[str, float]:
    """Return what a validation finds with the weights to use; afterwards everything is as it was.

    The listener hears how far it is, and may stop it.

    Random numbers that a validation draws are not missing in training, so that a run that validated before
    it was stopped and one that did so after it go on alike.
    """
    network = parts.network
    call = ValidationCall(
        network,
        parts.machine.device,
        parts.machine.autocast,
        epoch,
        step,
        parts.folder,
        listener.checkpoint,
        listener.progress,
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
