"""The limits of the official scorer, and the environment variables that move them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

COST_SCALE = 1_000_000
"""Matching costs are whole numbers: 1 - IoU times this, cut off."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused or skipped, as in the official scorer."""

    final_instance_ratio_cutoff: float = 10.0
    """Predicted objects per truth object that are always allowed."""
    initial_instance_ratio_cutoff: float = 50.0
    """What is allowed on top for few truth objects."""
    instance_ratio_factor: float = 5.0
    """Number of truth objects over which that falls to 1/e."""
    max_overlap_edges: int = 5_000_000
    """Pairs of objects that share a voxel; with more the crop is skipped."""
    max_volume_size_ratio: float = 4096.0
    """Voxels of a predicted volume per voxel of the crop."""
    max_uncompressed_bytes: int = 50 * 2**30
    """Unpacked size of a submission."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Limits:
        """Return the limits with what the environment sets.

        Raises
        ------
        RequestError
            If a variable is not a number above 0.
        """
        values = os.environ if environment is None else environment
        default = cls()
        return cls(
            _number(values, "FINAL_INSTANCE_RATIO_CUTOFF", default.final_instance_ratio_cutoff),
            _number(values, "INITIAL_INSTANCE_RATIO_CUTOFF", default.initial_instance_ratio_cutoff),
            _number(values, "INSTANCE_RATIO_FACTOR", default.instance_ratio_factor),
            int(_number(values, "MAX_OVERLAP_EDGES", default.max_overlap_edges)),
            _number(values, "MAX_VOLUME_SIZE_RATIO", default.max_volume_size_ratio),
            int(_number(values, "MAX_UNCOMPRESSED_SIZE", default.max_uncompressed_bytes)),
        )

    def ratio_cutoff(self, largest_truth_id: int) -> float:
        """Return how many predicted objects per truth object are allowed.

        The *largest* id enters, not the number of ids: so does the official scorer.
        """
        extra = self.initial_instance_ratio_cutoff * math.exp(-largest_truth_id / self.instance_ratio_factor)
        return self.final_instance_ratio_cutoff + extra


def _number(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise RequestError(f"the environment variable {name} is {text!r}", "set it to a number above 0 or unset it")
    return number
