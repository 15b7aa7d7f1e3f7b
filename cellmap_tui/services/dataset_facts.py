"""What there is to know about a dataset: its crops and where they lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.crops import Split  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.errors import UnknownNameError
from cellmap_tui.services.presence import Presence
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop


@dataclass(frozen=True, slots=True)
class CropBox:
    """Where a crop lies in its dataset."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    split: Split
    """Training or test."""
    lower_nm: Vec3
    """Lower corner in the world, z, y, x."""
    upper_nm: Vec3
    """Upper corner in the world, z, y, x."""
    extent_nm: Vec3
    """Edge lengths, z, y, x."""
    voxel_size_nm: Vec3
    """Voxel size of the labels, z, y, x."""
    shape: Shape3
    """Voxels of the labels, z, y, x."""
    class_count: int
    """Annotated (test: scored) classes."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The crops of one dataset."""

    name: str
    """Dataset."""
    crops: tuple[CropBox, ...]
    """Its crops."""
    training_crops: int
    """How many are for training."""
    test_crops: int
    """How many are for testing."""
    annotations: int
    """Training crops times their classes."""
    class_count: int
    """Different classes in its crops."""
    local_crops: int
    """Crops of which anything is on disk."""
    lower_nm: Vec3
    """Lower corner of the box around all crops, z, y, x; the EM reaches further."""
    upper_nm: Vec3
    """Upper corner of that box, z, y, x."""


def dataset_summary(catalog: Catalog, name: str, presence: Presence | None = None) -> DatasetSummary:
    """Return the crops of a dataset with their boxes in the world.

    Raises
    ------
    UnknownNameError
        If there is no such dataset; the remedy names the nearest.
    """
    crops = [crop for crop in catalog.crops if crop.dataset.lower() == name.lower()]
    if not crops:
        near = nearest(name, catalog.datasets)
        raise UnknownNameError(f"no dataset is called {name!r}", f"did you mean {near!r}?" if near else "")
    presence = presence or Presence(catalog.data_root)
    training = [crop for crop in crops if crop.split == "train"]
    return DatasetSummary(
        name=crops[0].dataset,
        crops=tuple(_box(crop) for crop in crops),
        training_crops=len(training),
        test_crops=len(crops) - len(training),
        annotations=sum(len(crop.classes) for crop in training),
        class_count=len({class_name for crop in crops for class_name in crop.classes}),
        local_crops=sum(presence.is_local(crop) for crop in crops),
        lower_nm=_per_axis(min, [crop.grid.lower_nm for crop in crops]),
        upper_nm=_per_axis(max, [crop.grid.upper_nm for crop in crops]),
    )


def _box(crop: Crop) -> CropBox:
    grid = crop.grid
    return CropBox(
        crop.ref,
        crop.split,
        grid.lower_nm,
        grid.upper_nm,
        grid.extent_nm,
        grid.voxel_size_nm,
        grid.shape,
        len(crop.classes),
    )


def _per_axis(choose: Callable[[Iterable[float]], float], corners: list[Vec3]) -> Vec3:
    z, y, x = (choose(values) for values in zip(*corners, strict=True))
    return (z, y, x)
