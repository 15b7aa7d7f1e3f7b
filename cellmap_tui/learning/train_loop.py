"""The training loop: batches in, checkpoints out, the same weights however often it is interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.train_listener import TrainListener, TrainOutcome, Validate


def train(
    config: TrainConfig,
    bank: Bank,
    card: ModelCard,
    folder: Path,
    listener: TrainListener | None = None,
    *,
    validate: Validate | None = None,
    objects: Mapping[str, Any] | None = None,
    init_from: Path | None = None,
    resume: bool = False,
) -> TrainOutcome:
    """Train a network on the crops of a bank.

    Parameters
    ----------
    config
        A checked configuration.
    bank
        Crops at the voxel size of the patch; those for training are drawn from.
    card
        The network; written to ``model.json`` in `folder`.
    folder
        The run's folder; checkpoints go where the configuration says, below it unless that is elsewhere.
    listener
        Hears of steps, validations and files; says what is asked.
    validate
        Measures the network on the crops for validation; None: the one of `validation`, where there are any.
    objects
        Objects of a Python configuration by key: ``model``, ``criterion``, ``optimizer``, ``scheduler``.
    init_from
        A checkpoint whose weights to start from; of a resumed run without meaning.
    resume
        Whether to go on from the last checkpoint in `folder`, if there is one.

    Returns
    -------
    TrainOutcome
        Why it ended, and its checkpoints.

    Raises
    ------
    Stopped
        If the user asked to stop; a checkpoint was written first.
    RequestError
        If the configuration does not fit the machine, the network or the crops.
    CellmapError
        If the loss is no number, the device fails or memory ends; says which checkpoint is the last good one.
    """
    raise NotImplementedError
