"""How grey values are varied: steps on a batch of floats, on the device where it is.

Every step is decided by the sample's own random numbers, so a sample looks the same in any batch (noise is
drawn on the device and differs between kinds of device). Values are 0 to 1 before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.learning.draws import sample_keys, uniforms
from cellmap_tui.learning.grey_steps import STEPS, Chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_STREAM = 1000
_DRAWS = 64
_SCALING = frozenset({"ToDtype", "NaNtoNum", "Binarize"})
"""Steps of the official toolbox that only bring values to floats from 0 to 1, which they are already."""
_OFFICIAL = frozenset({"GaussianNoise", "GaussianBlur", "RandomContrast", "RandomGamma"})
"""Steps of the official toolbox, which it always applies; ours have a probability of their own."""
_PROBABILITY = 0.2

DEFAULT_VALUES = (
    ValueTransform("GainOffset", (("probability", 0.5),)),
    ValueTransform("RandomGamma", (("probability", 0.3),)),
    ValueTransform("GaussianBlur", (("sigma", [0.3, 1.0]), ("probability", 0.15))),
    ValueTransform("LowResolution", (("probability", 0.1),)),
    ValueTransform("GaussianNoise", (("sigma", [0.0, 0.06]), ("probability", 0.3))),
    ValueTransform("SectionJitter", (("probability", 0.2),)),
    ValueTransform("MissingSections", (("probability", 0.05),)),
    ValueTransform("ShiftedSections", (("probability", 0.05),)),
)
"""What is done to grey values where nothing is configured."""


class GreyAugmentation:
    """Steps that vary grey values, each with its options.

    Parameters
    ----------
    transforms
        Steps in order.
    seed
        Same seed, same variation.

    Raises
    ------
    RequestError
        If a step is not known here, or an option does not fit.
    """

    def __init__(self, transforms: Sequence[ValueTransform], seed: int) -> None:
        self._steps = [_Step(number, transform) for number, transform in enumerate(transforms) if _acts(transform)]
        self._seed = seed

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, values: Tensor, epoch: int, indices: NDArray[np.int64]) -> Tensor:
        """Return varied grey values.

        Parameters
        ----------
        values
            float32 ``[n, 1, z, y, x]``, 0 to 1; may be changed in place.
        epoch, indices
            Which samples they are; `indices` is ``[n]``.
        """
        for step in self._steps:
            values = step.apply(values, self._seed, epoch, indices)
        return values.clamp_(0, 1) if self._steps else values


class _Step:
    """One step with its options."""

    def __init__(self, number: int, transform: ValueTransform) -> None:
        if transform.name not in STEPS:
            raise RequestError(
                f"the value transform {transform.name!r} is not known", f"there are {', '.join(sorted(STEPS))}"
            )
        self._stream = _STREAM + 2 * number
        self._function = STEPS[transform.name]
        options: dict[str, Any] = dict(transform.options)
        self._probability = float(options.pop("probability", 1.0 if transform.name in _OFFICIAL else _PROBABILITY))
        self._options = options

    def apply(self, values: Tensor, seed: int, epoch: int, indices: NDArray[np.int64]) -> Tensor:
        """Vary those samples that chance picks; the others are not even looked at."""
        draws = uniforms(seed, epoch, indices, self._stream, _DRAWS)
        hit = np.flatnonzero(draws[:, 0] < self._probability)
        if not len(hit):
            return values
        keys = sample_keys(seed, epoch, indices[hit], self._stream + 1)
        chance = Chance(draws[hit, 1:], keys, values.device)
        if len(hit) == len(values):
            return self._function(values, chance, **self._options)
        rows = torch.from_numpy(hit).to(values.device)
        values[rows] = self._function(values[rows], chance, **self._options)
        return values


def _acts(transform: ValueTransform) -> bool:
    if transform.name == "Normalize":
        return any(name in ("mean", "std") for name, _ in transform.options)
    return transform.name not in _SCALING
