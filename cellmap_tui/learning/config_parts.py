"""Loss, optimiser and scheduler of a configuration: a name of torch, or an object of a Python file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.learning.config_kinds import Kind, UnfitError, shown
from cellmap_tui.learning.config_objects import PythonObject, object_of
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

LOSSES = {
    "BCEWithLogitsLoss": "bce",
    "CrossEntropyLoss": "",
    "MSELoss": "",
    "L1Loss": "",
    "SmoothL1Loss": "",
    "HuberLoss": "",
    "BCELoss": "",
    "DiceLoss": "dice",
    "DiceCELoss": "dice_bce",
    "DiceFocalLoss": "focal",
    "FocalLoss": "focal",
    "TverskyLoss": "tversky",
}
"""Loss classes of torch and MONAI, and the loss of this tool that masks unknown voxels in its place."""
OPTIMIZERS = (
    "AdamW", "Adam", "RAdam", "NAdam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "ASGD", "Rprop",
)  # fmt: skip
SCHEDULERS = (
    "cosine", "poly", "constant", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR",
    "PolynomialLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR", "ReduceLROnPlateau",
)  # fmt: skip


def criterion_kind() -> Kind:
    """Return the kind of ``criterion``."""
    return _kind("the name of a loss of torch, or none", tuple(LOSSES), "torch.nn", may_be_none=True)


def optimizer_kind() -> Kind:
    """Return the kind of ``optimizer``."""
    return _kind("the name of an optimiser of torch", OPTIMIZERS, "torch.optim", may_be_none=False)


def scheduler_kind() -> Kind:
    """Return the kind of ``scheduler``."""
    return _kind(
        "cosine, poly, the name of a scheduler of torch, or none", SCHEDULERS, "torch.optim", may_be_none=True
    )


def _kind(words: str, known: Sequence[str], package: str, *, may_be_none: bool) -> Kind:
    by_lower = {name.lower(): name for name in known}

    def read(value: object) -> str | PythonObject | None:
        if may_be_none and (value is None or value == "none"):
            return None
        if isinstance(value, dict) and "$object" in value:
            return object_of("", value)
        if isinstance(value, str) and value.removeprefix(f"{package}.").lower() in by_lower:
            return by_lower[value.removeprefix(f"{package}.").lower()]
        near = nearest(value, by_lower) if isinstance(value, str) else ""
        hint = f"; did you mean {by_lower[near]!r}?" if near else f"; there are {', '.join(known)}"
        raise UnfitError(f"{shown(value)}, not {words}{hint}")

    return Kind(words, read, choices=tuple(known))
