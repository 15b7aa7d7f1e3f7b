"""What there is to know about a class: its place among the groups, its crops, its voxel sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.classes import Scoring  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.grid import Vec3  # noqa: TC001
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.classes import ClassInfo, ClassTable
    from cellmap_tui.challenge.crops import Split

COVERED_SHARE = 0.9
"""Share of a class's crops that the suggested training scale serves without upsampling their labels.

With nine in ten, the few coarse crops of a class do not push the scale beyond what the rest resolves.
"""


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Crops with about the same voxel size."""

    nominal_nm: int
    """The power of two nearest to the edge of a cube with the voxel's volume."""
    crops: int
    """Crops in this bin."""
    voxel_sizes_nm: tuple[Vec3, ...]
    """The exact voxel sizes in it, z, y, x, the finest first."""


@dataclass(frozen=True, slots=True)
class VoxelSizes:
    """Voxel sizes of a class as a histogram, with a suggested training scale."""

    class_name: str
    """Class."""
    bins: tuple[SizeBin, ...]
    """Histogram, the finest first."""
    suggested_nm: int | None
    """Suggested voxel size to train at; None when no crop annotates the class."""
    why: str
    """The reason for the suggestion, in one sentence."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class, as a row of a table."""

    id: int
    """Label id."""
    name: str
    """Short name."""
    aliases: tuple[str, ...]
    """Other names in use for the same id."""
    long_name: str
    """Name in words."""
    members: tuple[str, ...]
    """Classes that a group stands for."""
    kind: Literal["atomic", "group"]
    """Whether it is a label of its own or stands for others."""
    scoring: Scoring | None
    """How it is scored; None: not at all."""
    not_scored_reason: str | None
    """Why it is not scored; None where it is."""
    training_crops: int
    """Training crops in which it is annotated."""
    test_volumes: int
    """Test crops in which it is scored."""
    voxel_sizes_nm: tuple[SizeBin, ...]
    """At which voxel sizes it is annotated."""
    suggested_scale_nm: int | None
    """Suggested voxel size to train at."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an id means."""

    id: int
    """The id."""
    name: str
    """Short name."""
    long_name: str
    """Name in words."""
    aliases: tuple[str, ...]
    """Other names in use."""
    parents: tuple[str, ...]
    """Groups that contain it, the smallest first."""
    members: tuple[str, ...]
    """Classes that it stands for, where it is a group."""
    scoring: Scoring | None
    """How it is scored; None: not at all."""
    not_scored_reason: str | None
    """Why it is not scored; None where it is."""
    training_crops: int
    """Training crops in which it is annotated as a class of its own."""
    test_volumes: int
    """Test crops in which it is scored."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Crops of each class in each dataset."""

    classes: tuple[str, ...]
    """Rows, in the order of their ids."""
    datasets: tuple[str, ...]
    """Columns."""
    counts: tuple[tuple[int, ...], ...]
    """Number of crops, a row per class."""


_BACKGROUND = Resolution(
    id=0,
    name="background",
    long_name="background of the array that holds all ids",
    aliases=(),
    parents=(),
    members=(),
    scoring=None,
    not_scored_reason="0 says that no annotated class is here; a voxel that nobody annotated is unknown, not 0",
    training_crops=0,
    test_volumes=0,
)


def class_rows(catalog: Catalog) -> tuple[ClassRow, ...]:
    """Return a row per class of the table, and per class of imported crops that it does not know."""
    return tuple(_class_row(catalog, info) for info in catalog.classes)


def resolve(catalog: Catalog, name_or_id: str | int) -> Resolution:
    """Tell what an id, name or alias means.

    Raises
    ------
    UnknownNameError
        If the table does not know it; the remedy names the nearest.
    """
    if str(name_or_id).strip() in {"0", "background"}:
        return _BACKGROUND
    info = catalog.classes.get(name_or_id)
    return Resolution(
        id=info.id,
        name=info.name,
        long_name=info.long_name,
        aliases=info.aliases,
        parents=tuple(group.name for group in catalog.classes.parents(info.id)),
        members=_member_names(catalog.classes, info),
        scoring=info.scoring,
        not_scored_reason=info.not_scored_reason,
        training_crops=len(catalog.of_class(info.id, "train")),
        test_volumes=len(catalog.of_class(info.id, "test")),
    )


def class_dataset_counts(catalog: Catalog, split: Split | None = "train") -> ClassCounts:
    """Count the crops of each class in each dataset."""
    counted = catalog.counts(split)
    datasets = tuple(name for name in catalog.datasets if any(name in counts for counts in counted.values()))
    rows = tuple(tuple(counts.get(dataset, 0) for dataset in datasets) for counts in counted.values())
    return ClassCounts(tuple(counted), datasets, rows)


def class_voxel_sizes(catalog: Catalog, name: str | int, split: Split | None = "train") -> VoxelSizes:
    """Return at which voxel sizes a class is annotated, with a suggested training scale.

    The suggestion is the finest nominal voxel size at which at least nine in ten crops need no
    upsampling of their labels: finer labels are averaged down, coarser ones would have to be invented.

    Raises
    ------
    UnknownNameError
        If there is no such class.
    """
    sizes = catalog.voxel_sizes(name, split)
    class_name = catalog.class_name(name)
    bins: dict[int, dict[Vec3, int]] = {}
    for voxel_size_nm, crops in sizes.items():
        bins.setdefault(nominal_nm(voxel_size_nm), {})[voxel_size_nm] = crops
    histogram = tuple(SizeBin(nominal, sum(exact.values()), tuple(exact)) for nominal, exact in sorted(bins.items()))
    return VoxelSizes(class_name, histogram, *_suggestion(class_name, histogram))


def nominal_nm(voxel_size_nm: Vec3) -> int:
    """Return the power of two nearest, in ratio, to the edge of a cube with the voxel's volume; at least 1."""
    exponent = round(math.log2(math.prod(voxel_size_nm)) / 3)
    return 1 << max(0, exponent)


def _suggestion(class_name: str, bins: tuple[SizeBin, ...]) -> tuple[int | None, str]:
    total = sum(part.crops for part in bins)
    served = 0
    for part in bins:
        served += part.crops
        if served >= COVERED_SHARE * total:
            coarser = total - served
            rest = f"; the other {coarser} are coarser and would be upsampled" if coarser else ""
            return part.nominal_nm, (
                f"at {part.nominal_nm} nm, {served} of {total} crops with {class_name} (at least nine in ten) need "
                f"no upsampling of their labels, and no finer scale serves as many{rest}"
            )
    return None, f"no training crop has {class_name} annotated"


def _class_row(catalog: Catalog, info: ClassInfo) -> ClassRow:
    sizes = class_voxel_sizes(catalog, info.name)
    return ClassRow(
        id=info.id,
        name=info.name,
        aliases=info.aliases,
        long_name=info.long_name,
        members=_member_names(catalog.classes, info),
        kind="group" if info.is_group else "atomic",
        scoring=info.scoring,
        not_scored_reason=info.not_scored_reason,
        training_crops=sum(part.crops for part in sizes.bins),
        test_volumes=len(catalog.of_class(info.name, "test")),
        voxel_sizes_nm=sizes.bins,
        suggested_scale_nm=sizes.suggested_nm,
    )


def _member_names(classes: ClassTable, info: ClassInfo) -> tuple[str, ...]:
    return tuple(member.name for member in classes.members(info.id))


def size_label(part: SizeBin) -> str:
    """Return a bin's name for people: ``4 nm``, or ``2 nm (1.74×2×2, 2)`` where sizes differ from it."""
    exact = [voxel(size) for size in part.voxel_sizes_nm]
    return f"{part.nominal_nm} nm" + (f" ({', '.join(exact)})" if exact != [str(part.nominal_nm)] else "")
