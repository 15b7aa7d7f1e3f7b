"""At which scale a target is best learned: what its labels, its scored volumes and its objects ask for."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.targets import class_source
from cellmap_tui.services.class_facts import nominal_nm
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Target

VOXELS_ACROSS = 2.5
"""Voxels across the finest detail of a target, so that it does not vanish between them."""
DETAILS_PER_OBJECT = 8
"""Details along the diameter of an object: its outline has to be told, not only its place."""
COARSER_THAN_SCORED = 2
"""How much coarser than its scored volumes a target may be learned: upsampled masks lose their outline."""
SERVED_SHARE = 0.5
"""Least share of the crops with a target whose labels are fine enough for its scale."""
COARSE_SHARE = 0.15
"""From this share of coarse volumes among the scored ones on, a target is learned at a coarse scale as well."""
COARSE_NM = 16
SCALES_NM = (2, 4, 8, 16, 32, 64)
MANY_TOUCH = 0.1
"""From this share of touching objects on, a core is worth a channel."""
TOLERANCE = 1.01  # sizes such as 5.24 nm are rounded differently from place to place

_DETAIL_NM = {
    "mt_out": 8, "mt_in": 12, "mt": 25, "mito_ribo": 20, "np": 60, "np_out": 20, "np_in": 20, "pm": 10, "ecs": 20,
    "golgi": 30, "golgi_lum": 20, "ves": 30, "ves_lum": 30, "er": 30, "er_lum": 30, "eres": 30, "eres_lum": 30,
    "ne": 40, "ne_lum": 25, "mito": 60, "endo": 60, "lyso": 60, "ld": 60, "perox": 60, "chrom": 50, "hchrom": 50,
    "echrom": 50, "nucpl": 50, "cyto": 50, "nuc": 200, "cell": 200, "er_mem_all": 10, "ne_mem_all": 10,
}  # fmt: skip
_MEMBRANE_NM = 10
_OTHER_NM = 30
"""Finest detail in nm: the thickness of a membrane, the bore of a tubule, an eighth of an organelle."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What a scan found of a target's objects."""

    count: int
    """How many, over all crops."""
    diameter_nm: float
    """Their median diameter, crops weighed by their objects."""
    touching: float | None
    """Share that touches another; None where it is not known."""


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known of a target before anything is decided."""

    target: Target
    """The target."""
    crops: Mapping[str, Grid]
    """Crops that know something of it, with the coarsest of its labels' grids there."""
    scored_nm: tuple[int, ...]
    """Nominal voxel size of each volume in which it is scored."""
    objects: Objects | None
    """Its objects; None where nobody looked."""

    @property
    def sizes_nm(self) -> Counter[int]:
        """Crops by nominal voxel size."""
        return Counter(nominal_nm(grid.voxel_size_nm) for grid in self.crops.values())


@dataclass(frozen=True, slots=True)
class Wish:
    """A target at a scale."""

    facts: TargetFacts
    """The target."""
    scale_nm: int
    """The scale."""
    reason: str
    """Why."""


def facts_of(
    target: Target,
    crops: Sequence[Crop],
    tests: Iterable[Crop],
    table: ClassTable,
    labels: Collection[str],
    contents: Mapping[tuple[str, str], LabelContent],
) -> TargetFacts:
    """Gather what is known of a target.

    Parameters
    ----------
    target
        The target.
    crops, tests
        Training crops to learn from; test crops in which it may be scored.
    table, labels
        Class table, and names of imported labels beside it.
    contents
        What a scan found, by crop and class.
    """
    known: dict[str, Grid] = {}
    found: list[LabelContent] = []
    for crop in crops:
        sources = [class_source(one, crop.classes, table, labels=labels) for one in target.classes]
        arrays = [name for source in sources for name in source.arrays]
        if arrays:
            known[crop.ref] = max((crop.grid_of(name) for name in arrays), key=lambda grid: max(grid.voxel_size_nm))
        if len(arrays) == 1 and arrays == list(target.classes) and (crop.ref, arrays[0]) in contents:
            found.append(contents[crop.ref, arrays[0]])  # the objects of a union are not those of its parts
    names = {target.name, *target.classes} if len(target.classes) == 1 else {target.name}
    scored = [
        nominal_nm(crop.grid_of(name).voxel_size_nm) for crop in tests for name in crop.classes if name in names
    ]
    return TargetFacts(target, known, tuple(sorted(scored)), _objects(target, found))


def wishes(facts: TargetFacts) -> tuple[Wish, ...]:
    """Return the scales at which a target should be learned: one, or a coarse one as well."""
    main = _main_scale(facts)
    coarse = [size for size in facts.scored_nm if size >= max(COARSE_NM, 2 * main.scale_nm)]
    if len(coarse) < COARSE_SHARE * len(facts.scored_nm) or not coarse:
        return (main,)
    share = f"{len(coarse)} of its {len(facts.scored_nm)} scored volumes have {_sizes(coarse)} nm"
    work = (coarse[0] // main.scale_nm) ** 3
    reason = f"{share}; at {main.scale_nm} nm they would be {count(work)} times the work or more"
    return (main, Wish(facts, min(coarse[0], SCALES_NM[-1]), reason))


def served(facts: TargetFacts, scale_nm: float) -> int:
    """Return how many of a target's crops are labelled at least as finely as a scale."""
    return sum(nominal_nm(grid.voxel_size_nm) <= scale_nm * TOLERANCE for grid in facts.crops.values())


def wants_core(facts: TargetFacts) -> bool:
    """Whether its core should be learned too: an instance target whose objects touch."""
    touching = facts.objects.touching if facts.objects is not None else None
    return facts.target.kind == "instance" and touching is not None and touching >= MANY_TOUCH


def _main_scale(facts: TargetFacts) -> Wish:
    detail_nm, why = _detail(facts)
    scale = max((s for s in SCALES_NM if s <= detail_nm / VOXELS_ACROSS), default=SCALES_NM[0])
    fine = [size for size in facts.scored_nm if size < COARSE_NM] or list(facts.scored_nm)
    if fine:
        middle = fine[len(fine) // 2]
        if scale > COARSER_THAN_SCORED * middle:
            scale = COARSER_THAN_SCORED * middle
            why = f"its objects would do with coarser, but it is scored at {_sizes(fine)} nm"
    least = next(s for s in SCALES_NM if served(facts, s) >= SERVED_SHARE * len(facts.crops) or s == SCALES_NM[-1])
    if least > scale:
        fit = served(facts, scale)
        few = f"only {fit} of its {len(facts.crops)} crops" if fit else "none of its crops"
        why = f"{why}; but {few} {'are' if fit > 1 else 'is'} labelled at {scale} nm or finer"
        scale = least
    return Wish(facts, scale, why)


def _detail(facts: TargetFacts) -> tuple[float, str]:
    """Return the size in nm of the finest detail to be told apart, and where that is known from."""
    objects = facts.objects
    if objects is not None and facts.target.kind == "instance":
        words = f"objects of {objects.diameter_nm:.0f} nm (median of {count(objects.count)})"
        return max(1.0, objects.diameter_nm / DETAILS_PER_OBJECT), words
    detail = min((_usual_detail(name) for name in facts.target.classes), default=_OTHER_NM)
    return float(detail), f"details of about {detail} nm"


def _usual_detail(name: str) -> int:
    return _MEMBRANE_NM if name.endswith("_mem") else _DETAIL_NM.get(name, _OTHER_NM)


def _objects(target: Target, found: Iterable[LabelContent]) -> Objects | None:
    sized = [c for c in found if c.object_diameters_nm is not None and c.objects]
    if target.kind != "instance" or not sized:
        return None
    total = sum(c.objects or 0 for c in sized)
    # The geometric mean of the crops' medians: their sizes differ by factors, not by amounts.
    logs = sum((c.objects or 0) * math.log(c.object_diameters_nm[1]) for c in sized if c.object_diameters_nm)
    told = [c for c in sized if c.touching_objects is not None]
    all_told = sum(c.objects or 0 for c in told)
    touching = sum(c.touching_objects or 0 for c in told) / all_told if all_told else None
    return Objects(total, math.exp(logs / total), touching)


def _sizes(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return str(low) if low == high else f"{low} to {high}"
