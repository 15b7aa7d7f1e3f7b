"""A few small crops to begin with, for a user who has chosen none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Crop

CROPS = 3
MIN_CLASSES = 10
"""A crop with fewer classes shows little of what the challenge is about."""


def starter_crops(crops: Iterable[Crop]) -> tuple[str, ...]:
    """Return the references of the smallest training crops in the bucket with many classes, one a dataset.

    Size is that of the labels and of the box of EM around them: what has to be downloaded.
    """
    published = [crop for crop in crops if crop.split == "train" and crop.source in {"challenge", "manifest"}]
    rich = [crop for crop in published if len(crop.classes) >= MIN_CLASSES] or published
    chosen: dict[str, str] = {}
    for crop in sorted(rich, key=lambda crop: (crop.grid.voxels, crop.ref)):
        chosen.setdefault(crop.dataset, crop.ref)
        if len(chosen) == CROPS:
            break
    return tuple(chosen.values())
