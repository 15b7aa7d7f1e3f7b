"""From a configuration to its loss: kind, options, weights of rare classes, or a criterion of one's own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.learning.losses import KINDS, LossSpec, LossValue, masked_loss
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.loss_criterion import CriterionLoss
    from cellmap_tui.learning.loss_labels import Labels

_OPTIONS = {
    "bce": (),
    "dice": ("smooth",),
    "dice_bce": ("bce_weight", "dice_weight", "smooth"),
    "focal": ("gamma",),
    "tversky": ("alpha", "beta", "smooth"),
}
_MONAI_NAMES = {"lambda_dice": "dice_weight", "lambda_ce": "bce_weight", "smooth_nr": "smooth", "smooth_dr": "smooth"}
_MONAI_SETTLED = frozenset(
    {"sigmoid", "softmax", "to_onehot_y", "include_background", "reduction", "batch", "squared_pred", "jaccard"}
)
"""Options of MONAI's classes that say what is settled here: a sigmoid for each class, summed over a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskedLoss:
    """A loss with its options; call it with a network's output and a batch."""

    spec: LossSpec
    """Kind and options."""
    pos_weight: Tensor | None = None
    """Weight of present voxels, float32 ``[columns]``."""
    ignore_padding: bool = True
    """Whether voxels beyond the EM count as unknown."""

    def __call__(
        self,
        output: Tensor | Sequence[Tensor],
        labels: PatchBatch | Labels | Tensor,
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> LossValue:
        """Return the loss; see `masked_loss`."""
        return masked_loss(
            output,
            labels,
            self.spec,
            pos_weight=self.pos_weight,
            reduce=reduce,
            ignore_padding=self.ignore_padding,
        )


def build_loss(
    config: TrainConfig, *, pos_weight: Tensor | None = None, criterion: Any = None
) -> MaskedLoss | CriterionLoss:
    """Return the loss of a configuration.

    Parameters
    ----------
    config
        A checked configuration.
    pos_weight
        Weight of present voxels by column, from `pos_weight_of`; taken where ``weight_loss`` asks for it.
    criterion
        The object that the configuration's Python file holds as ``criterion``, where it is one.

    Raises
    ------
    RequestError
        If an option is none of the loss's; names the nearest.
    """
    weight = pos_weight if config.weight_loss else None
    if config.loss == "custom":
        from cellmap_tui.learning.loss_criterion import CriterionLoss, made_criterion

        given = config.criterion if criterion is None else criterion
        if given is None or isinstance(given, PythonObject):
            raise RequestError("the configuration's own criterion is not at hand", "give its Python file")
        made = made_criterion(given, config.criterion_kwargs, weight)
        return CriterionLoss(made, ignore_padding=config.ignore_padding)
    return MaskedLoss(loss_spec(config.loss, config.criterion_kwargs), weight, config.ignore_padding)


def loss_spec(kind: str, options: Mapping[str, Any]) -> LossSpec:
    """Return a loss with the options of a configuration, those of MONAI's classes by their names there.

    Raises
    ------
    RequestError
        If an option is none of the loss's or no number.
    """
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        raise RequestError(f"no loss is called {kind!r}", f"did you mean {near!r}?" if near else ", ".join(KINDS))
    read = {_MONAI_NAMES.get(name, name): value for name, value in options.items() if name not in _MONAI_SETTLED}
    for name, value in read.items():
        if name not in _OPTIONS[kind]:
            near = nearest(name, _OPTIONS[kind])
            there = ", ".join(_OPTIONS[kind]) or "none"
            hint = f"did you mean {near!r}?" if near else f"there are {there}"
            raise RequestError(f"criterion_kwargs: {kind} has no option {name!r}", hint)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
            raise RequestError(f"criterion_kwargs: {name} is {value!r}", "give a number from 0 on")
    changes: dict[str, Any] = {name: float(value) for name, value in read.items()}
    return dataclasses.replace(LossSpec(kind), **changes)
