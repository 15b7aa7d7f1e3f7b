"""The steps that vary grey values: arithmetic on float batches ``[n, 1, z, y, x]`` from 0 to 1.

Each takes the values, the samples' random numbers and its options, and returns values of the same shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as fn

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

Range = float | tuple[float, float] | list[float]
"""A number, or the range that one is drawn from."""


@dataclass(frozen=True, slots=True, eq=False)
class Chance:
    """Random numbers of the samples that a step changes."""

    draws: NDArray[np.float64]
    """Numbers in [0, 1), ``[n, k]``."""
    keys: NDArray[np.uint64]
    """A key each to seed a generator of the device with, ``[n]``."""
    device: torch.device
    """Where the values are."""

    def number(self, slot: int, span: Range) -> Tensor:
        """Return a number of a range for each sample, float32 ``[n, 1, 1, 1, 1]``."""
        low, high = _span(span)
        return self._tensor(low + (high - low) * self.draws[:, slot])

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers ``[n, *shape]``, drawn on the device."""
        out = torch.empty((len(self.keys), *shape), device=self.device)
        for key, part in zip(self.keys.tolist(), out, strict=True):
            generator = torch.Generator(device=self.device)
            generator.manual_seed(key >> 1)
            part.normal_(generator=generator)
        return out

    def generator(self, row: int) -> np.random.Generator:
        """Return a generator of a sample, for choices of a varying number."""
        return np.random.default_rng(int(self.keys[row]))

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device).view(-1, 1, 1, 1, 1)


def gaussian_noise(
    values: Tensor,
    chance: Chance,
    *,
    mean: float = 0.0,
    sigma: Range | None = None,
    std: Range = 0.1,
    clip: bool = True,
) -> Tensor:
    """Add noise of the standard deviation `sigma` (or `std`)."""
    return values + chance.normal(values.shape[1:]) * chance.number(0, std if sigma is None else sigma) + mean


def gaussian_blur(
    values: Tensor,
    chance: Chance,
    *,
    sigma: Range = (0.1, 1.0),
    kernel_size: int | None = None,
    dim: int | None = None,
    channels: int = 1,
) -> Tensor:
    """Blur by a Gaussian of `sigma` voxels along every axis that has more than one."""
    widths = chance.number(0, sigma).flatten().tolist()
    reach = (kernel_size - 1) // 2 if kernel_size else max(1, math.ceil(3 * _span(sigma)[1]))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=values.device)
    out = torch.empty_like(values)
    for row, width in enumerate(widths):
        kernel = torch.exp(-0.5 * (offsets / max(width, 1e-3)) ** 2)
        out[row] = _convolved(values[row : row + 1], (kernel / kernel.sum()).tolist())[0]
    return out


def random_contrast(values: Tensor, chance: Chance, *, contrast_range: Range = (0.5, 1.5)) -> Tensor:
    """Stretch or shrink the distance of values from their mean."""
    mean = values.mean(dim=(1, 2, 3, 4), keepdim=True)
    return ((values - mean) * chance.number(0, contrast_range) + mean).clamp_(0, 1)


def random_gamma(values: Tensor, chance: Chance, *, gamma_range: Range = (0.7, 1.5)) -> Tensor:
    """Raise values to a power."""
    return values.clamp(0, 1) ** chance.number(0, gamma_range)


def gain_offset(
    values: Tensor, chance: Chance, *, gain_range: Range = (0.75, 1.25), offset_range: Range = (-0.1, 0.1)
) -> Tensor:
    """Multiply the distance from mid grey, and add."""
    return (values - 0.5) * chance.number(0, gain_range) + 0.5 + chance.number(1, offset_range)


def normalize(
    values: Tensor,
    chance: Chance,
    *,
    mean: Any = 0.0,
    std: Any = 1.0,
    scale: float | None = None,
    shift: float | None = None,
) -> Tensor:
    """Refuse: values are 0 to 1 in training and prediction alike."""
    raise RequestError(
        "Normalize with a mean or deviation would take values out of 0..1", "normalise in the model, or leave it out"
    )


def section_jitter(values: Tensor, chance: Chance, *, gain: float = 0.05, offset: float = 0.05) -> Tensor:
    """Vary the gain and the offset of each section (plane across z) by these standard deviations."""
    sections = chance.normal((2, values.shape[2]))
    scale = 1 + gain * sections[:, 0].view(len(values), 1, -1, 1, 1)
    return values * scale + offset * sections[:, 1].view(len(values), 1, -1, 1, 1)


def missing_sections(values: Tensor, chance: Chance, *, sections: int = 2) -> Tensor:
    """Blacken one section or up to `sections`; not in a patch of a single one."""
    depth = values.shape[2]
    if depth == 1:
        return values
    values = values.clone()
    for row in range(len(values)):
        generator = chance.generator(row)
        count = min(int(generator.integers(1, sections + 1)), depth - 1)
        values[row, :, generator.choice(depth, count, replace=False).tolist()] = 0
    return values


def shifted_sections(values: Tensor, chance: Chance, *, shift: int = 4) -> Tensor:
    """Shift one section in its plane by up to `shift` voxels, as a bad alignment does; the labels stay."""
    depth = values.shape[2]
    if depth == 1:
        return values
    values = values.clone()
    for row in range(len(values)):
        generator = chance.generator(row)
        section = int(generator.integers(depth))
        down, right = (int(step) for step in generator.integers(-shift, shift + 1, 2))
        values[row, :, section] = _shifted(values[row, :, section], down, right)
    return values


def low_resolution(values: Tensor, chance: Chance, *, factor: Range = (1.5, 2.5)) -> Tensor:
    """Average to voxels `factor` times as large and interpolate back, along axes of more than one voxel."""
    out = torch.empty_like(values)
    for row, by in enumerate(chance.number(0, factor).flatten().tolist()):
        small = [max(1, round(count / by)) for count in values.shape[2:]]
        part = fn.interpolate(values[row : row + 1], small, mode="area")
        out[row] = fn.interpolate(part, values.shape[2:], mode="trilinear", align_corners=False)[0]
    return out


STEPS: dict[str, Callable[..., Tensor]] = {
    "GaussianNoise": gaussian_noise,
    "GaussianBlur": gaussian_blur,
    "RandomContrast": random_contrast,
    "RandomGamma": random_gamma,
    "Normalize": normalize,
    "GainOffset": gain_offset,
    "SectionJitter": section_jitter,
    "MissingSections": missing_sections,
    "ShiftedSections": shifted_sections,
    "LowResolution": low_resolution,
}
"""Steps by the name that configurations give them."""


def _span(span: Range) -> tuple[float, float]:
    if isinstance(span, int | float):
        return float(span), float(span)
    if len(span) != 2 or span[0] > span[1]:
        raise RequestError(f"the range {span!r}", "two numbers, the smaller first")
    return float(span[0]), float(span[1])


def _convolved(values: Tensor, kernel: list[float]) -> Tensor:
    """Return ``[1, 1, z, y, x]`` convolved along each axis, the edge voxels repeated beyond the edge.

    Summed tap by tap: a convolution of the library adds in an order that depends on the number of threads.
    """
    reach = len(kernel) // 2
    for axis in range(2, 5):
        count = values.shape[axis]
        if count == 1:
            continue
        padding = [0] * 6
        padding[2 * (4 - axis)] = padding[2 * (4 - axis) + 1] = reach
        wide = fn.pad(values, padding, mode="replicate")
        values = wide.narrow(axis, 0, count) * kernel[0]
        for tap, weight in enumerate(kernel[1:], 1):
            values.add_(wide.narrow(axis, tap, count), alpha=weight)
    return values


def _shifted(plane: Tensor, down: int, right: int) -> Tensor:
    """Return a plane ``[1, y, x]`` shifted, its edge voxels repeated where nothing comes in."""
    _, height, width = plane.shape
    rows = (torch.arange(height, device=plane.device) - down).clamp_(0, height - 1)
    columns = (torch.arange(width, device=plane.device) - right).clamp_(0, width - 1)
    return plane[:, rows][:, :, columns]
