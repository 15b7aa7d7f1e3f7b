"""What the training loop calls to measure a network: validation, example slices, and a score if one is passed in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.augment_values import GreyAugmentation
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.learning.em_reader import CropReader
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.learning.samples import SampleWriter, choose_slices, is_sample_epoch
from cellmap_tui.learning.tiling import OVERLAP
from cellmap_tui.learning.validation import BlockListener, Limit, Validation, validate
from cellmap_tui.learning.validation_sums import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.train_listener import ValidationCall

LIMIT_NAME = "validation.json"
"""File in a run directory that keeps how much a limit allows, so that a resumed run measures the same tiles."""


TILES, SCORE_TILES, SLICES = "validation tiles", "tiles to score", "example slices"
"""Units of progress while a network is measured."""


class CropScorer(BlockListener, Protocol):
    """A score that sees whole crops; the service passes it in."""

    def values(self) -> Mapping[str, float]:
        """Return what came of it by names of events, such as ``val/score``."""


@dataclass(frozen=True, slots=True)
class ValidatorRules:
    """How validations are made."""

    batch_size: int = 4
    """Tiles that are predicted together."""
    overlap: float = OVERLAP
    """Share of a tile that it has in common with the next one."""
    metrics: tuple[str, ...] = METRICS
    """What is told of each class."""
    ignore_padding: bool = True
    """Whether voxels beyond the EM count as unknown."""
    batch_limit: int | None = None
    """Most batches of tiles; None: no limit."""
    time_limit_s: float | None = None
    """Most seconds; None: no limit."""
    seed: int = 42
    """Decides which tiles a limit leaves."""
    axes: str | None = None
    """Axes that slices are cut across; None: as in training."""
    epochs: int = 1
    """Epochs of the training, from which those follow that leave example slices."""
    sample_count: int = 6
    """Example slices of an epoch; 0: none."""


class Validator:
    """Measures a network on the validation crops of a bank; a `train_listener.Validate`.

    Parameters
    ----------
    bank
        The crops.
    card
        The network.
    rules
        How.
    loss
        The loss of training.
    grey
        How grey values are changed before the network; None: not at all.
    scorer
        Called with the epoch; returns what scores its crops, or None.
    """

    def __init__(
        self,
        bank: Bank,
        card: ModelCard,
        rules: ValidatorRules | None = None,
        *,
        loss: Any = None,
        grey: GreyAugmentation | None = None,
        scorer: Callable[[int], CropScorer | None] | None = None,
    ) -> None:
        self._bank, self._card, self._rules = bank, card, rules or ValidatorRules()
        self._loss, self._scorer = loss, scorer
        self._grey = GreyAugmentation((), 0) if grey is None else grey
        self._limit = Limit(self._rules.batch_limit, self._rules.time_limit_s, self._rules.seed)
        readers = [CropReader(crop, card) for crop in bank.of_usage("validate")]
        self._slices = choose_slices(readers, self._rules.sample_count)
        self._readers = {reader.crop.ref: reader for reader in readers}
        self.last: Validation | None = None
        """What the last validation found."""
        self.samples: tuple[Path, ...] = ()
        """The example slices that it wrote."""

    def __call__(self, call: ValidationCall) -> dict[str, float]:
        """Measure a network; return values by their names in events, NaN where nothing could be measured."""
        predictor = Predictor(
            call.network,
            self._card,
            call.device,
            self._rules.batch_size,
            overlap=self._rules.overlap,
            axes=self._rules.axes,
            grey=self._grey,
            precision=call.autocast,
        )
        scorer = None if self._scorer is None else self._scorer(call.epoch)
        writer = self._writer(call)
        listeners: list[BlockListener] = [part for part in (scorer, writer) if part is not None]
        limit = self._known_limit(call.folder)
        found = validate(
            predictor,
            self._bank,
            loss=self._loss,
            limit=limit,
            ignore_padding=self._rules.ignore_padding,
            listeners=listeners,
            told=_told(call, TILES),
        )
        if limit is not None:
            self._keep_limit(call.folder)
            if limit.tiles is not None:
                self._show(predictor, scorer, writer, call)
        self.last, self.samples = found, () if writer is None else tuple(writer.paths)
        told = found.values(self._rules.metrics)
        told |= {"val/seconds": found.seconds, "val/tiles": float(found.tiles)}
        return told | (dict(scorer.values()) if scorer is not None else {})

    def _writer(self, call: ValidationCall) -> SampleWriter | None:
        if not self._slices or not is_sample_epoch(call.epoch, self._rules.epochs):
            return None
        return SampleWriter(call.folder, self._bank, self._slices, call.epoch, call.step)

    def _show(
        self, predictor: Predictor, scorer: CropScorer | None, writer: SampleWriter | None, call: ValidationCall
    ) -> None:
        """Predict for those who need more than the tiles that a limit leaves, and tell how far that is."""
        tell, cut = _told(call, SLICES), 0
        counted = _Counted(
            sum(predictor.tiles(reader.shape) for reader in self._readers.values()), _told(call, SCORE_TILES)
        )
        for reader in self._readers.values():
            if scorer is not None:
                for box, probabilities in predictor.stream(reader, told=counted):
                    scorer.block(reader, box, probabilities)
                scorer.crop_ended(reader)
            if writer is not None:
                for choice in self._slices:
                    if choice.ref == reader.crop.ref:
                        tell(cut, len(self._slices))
                        for box, probabilities in predictor.stream(reader, choice.box):
                            writer.block(reader, box, probabilities)
                        cut += 1
                writer.crop_ended(reader)

    # -- a limit is decided once in a run's life ------------------------------------------------

    def _known_limit(self, folder: Path) -> Limit | None:
        if self._limit.batches is None and self._limit.seconds is None:
            return None
        if not self._limit.is_decided:
            try:
                kept = json.loads((folder / LIMIT_NAME).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                kept = None
            if isinstance(kept, dict) and kept.get("asked") == self._asked():
                tiles = kept.get("tiles")
                self._limit.tiles = tiles if isinstance(tiles, int) and tiles > 0 else None
                self._limit.is_decided = True
        return self._limit

    def _keep_limit(self, folder: Path) -> None:
        temporary = folder / f".{LIMIT_NAME}.{os.getpid()}.tmp"
        told = {"asked": self._asked(), "tiles": self._limit.tiles}
        temporary.write_text(json.dumps(told) + "\n", encoding="utf-8")
        temporary.replace(folder / LIMIT_NAME)

    def _asked(self) -> dict[str, Any]:
        """Return what a decision was made for."""
        return {
            "batches": self._limit.batches,
            "seconds": self._limit.seconds,
            "seed": self._limit.seed,
            "crops": sorted(self._readers),
        }


class _Counted:
    """Adds up tiles, tells how many there are so far."""

    def __init__(self, total: int, told: Callable[[int, int], None]) -> None:
        self._done, self._total, self._told = 0, total, told

    def __call__(self, tiles: int) -> None:
        self._done += tiles
        self._told(self._done, self._total)


def _told(call: ValidationCall, unit: str) -> Callable[[int, int], None]:
    """Return what tells how far the tiles are and lets the user stop them."""

    def tell(done: int, total: int) -> None:
        call.progress(done, total, unit)
        call.checkpoint()

    return tell


def validator_of(
    config: TrainConfig,
    bank: Bank,
    card: ModelCard,
    *,
    loss: Any = None,
    scorer: Callable[[int], CropScorer | None] | None = None,
) -> Validator:
    """Return the validator of a configuration.

    Parameters
    ----------
    config
        A checked configuration.
    bank
        The crops.
    card
        The network.
    loss
        The loss of training, from `build_loss`.
    scorer
        Called with the epoch; returns what scores its crops, or None.

    Raises
    ------
    RequestError
        If a metric is not known, or a step of ``val_raw_value_transforms`` only to its Python file.
    """
    unknown = [name for name in config.metrics if name not in METRICS]
    if unknown:
        raise RequestError(f"metrics: {unknown[0]!r} is not known", f"there are {', '.join(METRICS)}")
    rules = ValidatorRules(
        batch_size=2 * config.batch_size,  # without gradients twice as many fit
        metrics=_with_best(config.metrics, config.best_metric),
        ignore_padding=config.ignore_padding,
        batch_limit=config.validation_batch_limit,
        time_limit_s=config.validation_time_limit,
        seed=config.random_seed,
        epochs=config.epochs,
    )
    grey = GreyAugmentation(_known_steps(config), config.random_seed)
    return Validator(bank, card, rules, loss=loss, grey=grey, scorer=scorer)


def _with_best(metrics: Sequence[str], best: str) -> tuple[str, ...]:
    return tuple(metrics) if best == "loss" or best in metrics else (*metrics, best)


def _known_steps(config: TrainConfig) -> list[ValueTransform]:
    steps = []
    for step in config.val_raw_value_transforms:
        if not isinstance(step, ValueTransform):
            raise RequestError(
                f"val_raw_value_transforms has the step {step.name}, which only its Python file knows",
                "use the steps that can be named, or do it in the network",
            )
        steps.append(step)
    return steps
