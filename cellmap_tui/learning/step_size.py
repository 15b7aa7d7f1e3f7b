"""How the step size goes: it rises over the warm-up, then falls along a curve or as a scheduler of torch says.

Curves are functions of the share of training that is done. Schedulers of torch go epoch by epoch; after a
stop they are made anew and walked to where they were, so that nothing of them has to be kept.
"""

from __future__ import annotations

import inspect
import math
import warnings
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.learning.optim import group_step_sizes
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.learning.config_model import TrainConfig

CURVES = {"cosine": {"min_share": 0.0}, "poly": {"power": 0.9, "min_share": 0.0}, "constant": {}}
"""Curves with their options: the exponent, and the share of the step size that is left in the end."""


class StepSize:
    """The step size of each update of the weights.

    Parameters
    ----------
    config
        A checked configuration.
    optimizer
        The optimiser, its groups at their largest step sizes.
    updates_per_epoch
        Updates of the weights in an epoch.
    own
        The object that the configuration's Python file holds as ``scheduler``, where it is one.

    Raises
    ------
    RequestError
        If an option is none of the scheduler's.
    """

    def __init__(
        self, config: TrainConfig, optimizer: torch.optim.Optimizer, updates_per_epoch: int, own: Any = None
    ) -> None:
        self._optimizer = optimizer
        self._updates_per_epoch = updates_per_epoch
        self._epochs = config.epochs
        self._warmup = config.warmup_epochs * updates_per_epoch
        self.factor = 1.0
        self._curve = config.scheduler if config.scheduler in CURVES else None
        self._options = _curve_options(self._curve, config.scheduler_kwargs) if self._curve is not None else {}
        self._scheduler = None if self._curve or config.scheduler is None else _made(config, optimizer, own)
        self._scheduled = group_step_sizes(optimizer)

    @property
    def follows_validation(self) -> bool:
        """Whether it falls by what validations find."""
        return isinstance(self._scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)

    def apply(self, epoch: int, update: int) -> float:
        """Set the step sizes of an update.

        Parameters
        ----------
        epoch
            Finished epochs.
        update
            Number of the update within the epoch, from 0.

        Returns
        -------
        float
            The step size of the first group.
        """
        done = epoch * self._updates_per_epoch + update
        share = self.factor * self._share(done)
        for group, scheduled in zip(self._optimizer.param_groups, self._scheduled, strict=True):
            _set(group, scheduled * share)
        return self._scheduled[0] * share

    def change(self, value: float, epoch: int, update: int) -> None:
        """Make `value` the step size of the first group from this update on; it goes on falling as before."""
        planned = self._scheduled[0] * self._share(epoch * self._updates_per_epoch + update)
        if planned > 0:
            self.factor = value / planned

    def epoch_ended(self) -> None:
        """Take the scheduler of torch an epoch on, unless it follows validations."""
        if self._scheduler is not None and not self.follows_validation:
            self._advance()

    def validated(self, score: float | None) -> None:
        """Tell a scheduler that follows validations what was found; lower is better."""
        if self.follows_validation and score is not None:
            self._advance(score)

    def walk_to(self, epoch: int, scores: Iterable[float | None]) -> None:
        """Bring a fresh scheduler to where it was after an epoch; `scores` are those of validations until then."""
        for _ in range(epoch):
            self.epoch_ended()
        for score in scores:
            self.validated(score)

    def _share(self, done: int) -> float:
        if done < self._warmup:
            return (done + 1) / (self._warmup + 1)
        if self._curve in (None, "constant"):
            return 1.0
        total = max(1, self._epochs * self._updates_per_epoch - self._warmup)
        left = 1.0 - min(1.0, (done - self._warmup) / total)
        least = self._options["min_share"]
        if self._curve == "poly":
            return float(least + (1 - least) * left ** self._options["power"])
        return float(least + (1 - least) * 0.5 * (1 - math.cos(math.pi * left)))

    def _advance(self, *score: float) -> None:
        # Schedulers of torch compute the next step size from the one that stands in the groups.
        for group, scheduled in zip(self._optimizer.param_groups, self._scheduled, strict=True):
            _set(group, scheduled)
        with warnings.catch_warnings():
            # Walking to where it was calls it before the first step of the optimiser.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            self._scheduler.step(*score)  # type: ignore[union-attr]
        self._scheduled = group_step_sizes(self._optimizer)


def _set(group: dict[str, Any], value: float) -> None:
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(value)
    else:
        group["lr"] = value


def _curve_options(curve: str, given: dict[str, Any]) -> dict[str, float]:
    options = dict(CURVES[curve])
    for name, value in given.items():
        if name not in options:
            near = nearest(name, options)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(options) or 'none'}"
            raise RequestError(f"scheduler_kwargs: {curve} has no option {name!r}", hint)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
            raise RequestError(f"scheduler_kwargs: {name} is {value!r}", "give a number from 0 to 10")
        options[name] = float(value)
    return options


def _made(config: TrainConfig, optimizer: torch.optim.Optimizer, own: Any) -> Any:
    given = config.scheduler if own is None or isinstance(config.scheduler, str) else own
    if isinstance(given, PythonObject):
        raise RequestError("the configuration's own scheduler is not at hand", "give its Python file")
    if hasattr(given, "step") and not isinstance(given, type):
        if getattr(given, "optimizer", None) is not optimizer:
            raise RequestError(
                "the configuration's scheduler belongs to another optimizer",
                "name it, as in scheduler = torch.optim.lr_scheduler.StepLR, with scheduler_kwargs",
            )
        return given
    kind: Any = getattr(torch.optim.lr_scheduler, given) if isinstance(given, str) else given
    options = {**_usual(given, config), **config.scheduler_kwargs}
    try:
        known = [name for name in inspect.signature(kind).parameters if name not in ("self", "optimizer")]
        return kind(optimizer, **options)
    except (TypeError, ValueError) as error:
        there = f"check scheduler_kwargs; it takes {', '.join(known)}"
        raise RequestError(f"scheduler {getattr(kind, '__name__', kind)}: {error}", there) from None


def _usual(name: object, config: TrainConfig) -> dict[str, Any]:
    """Return options that follow from the configuration, for schedulers that cannot do without."""
    epochs, largest = config.epochs, config.learning_rate
    usual: dict[object, dict[str, Any]] = {
        "CosineAnnealingLR": {"T_max": epochs},
        "CosineAnnealingWarmRestarts": {"T_0": max(1, epochs // 4)},
        "PolynomialLR": {"total_iters": epochs, "power": 0.9},
        "LinearLR": {"start_factor": 1.0, "end_factor": 0.01, "total_iters": epochs},
        "StepLR": {"step_size": max(1, epochs // 3)},
        "MultiStepLR": {"milestones": sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})},
        "ExponentialLR": {"gamma": 0.01 ** (1 / epochs)},
        # One more than there are epochs: the last walk comes after the last epoch.
        "OneCycleLR": {"max_lr": largest, "total_steps": epochs + 1},
        "CyclicLR": {"base_lr": largest / 10, "max_lr": largest, "cycle_momentum": False},
        "ReduceLROnPlateau": {"mode": "min"},
    }
    return usual.get(name, {})
