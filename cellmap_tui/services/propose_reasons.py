"""Why a group is as it is, in words."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.services.class_facts import nominal_nm
from cellmap_tui.services.propose_sizes import FLAT_RATIO, PASSES, USUAL_SHARE, edge_ratio
from cellmap_tui.services.propose_targets import TOLERANCE
from cellmap_tui.text import count, duration, number, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.propose_gpu import Gpu
    from cellmap_tui.services.propose_groups import Group
    from cellmap_tui.services.propose_sizes import Sizes
    from cellmap_tui.services.propose_targets import Wish


@dataclass(frozen=True, slots=True)
class Decision:
    """A group with everything that was decided about it."""

    name: str
    """Name of the group."""
    group: Group
    """Its targets and scale."""
    sizes: Sizes
    """Patch, batch, network and hours."""
    gpu: Gpu
    """The GPU."""
    known: Mapping[str, Grid]
    """Crops that know one of its targets, with the coarsest of the labels."""
    used: Mapping[str, Grid]
    """Those with labels fine enough; all, where none is."""
    cores: tuple[str, ...]
    """Targets whose cores are learned too."""

    @property
    def longest_nm(self) -> float:
        """Longest edge of a voxel among the crops that are used."""
        return max(max(grid.voxel_size_nm) for grid in self.used.values())

    @property
    def is_upsampled(self) -> bool:
        """Whether a crop that is used has labels a little coarser than the scale along an axis."""
        return any(
            size > scale * TOLERANCE
            for grid in self.used.values()
            for size, scale in zip(grid.voxel_size_nm, self.sizes.scale_nm, strict=True)
        )

    @property
    def incomplete_crops(self) -> int:
        """Crops that are used and do not know all targets."""
        return sum(any(ref not in wish.facts.crops for wish in self.group.wishes) for ref in self.used)


def target_reasons(decision: Decision) -> list[str]:
    """Return why the targets are at this scale, those with the same reason in one line."""
    by_reason: dict[str, list[Wish]] = {}
    for wish in decision.group.wishes:
        moved = "" if wish.scale_nm == decision.group.scale_nm else f", would rather have {wish.scale_nm} nm"
        by_reason.setdefault(wish.reason + moved, []).append(wish)
    return [f"{', '.join(w.facts.target.name for w in wishes)}: {reason}" for reason, wishes in by_reason.items()]


def core_reasons(decision: Decision) -> list[str]:
    """Return for each core what the scan found."""
    lines = []
    for wish in decision.group.wishes:
        objects = wish.facts.objects
        if wish.facts.target.name in decision.cores:
            share = None if objects is None else objects.touching
            words = (
                "asked for"
                if share is None or objects is None
                else f"{share:.0%} of {count(objects.count)} objects touch another"
            )
            lines.append(f"{wish.facts.target.name}: {words}")
    return lines


def crop_reason(decision: Decision) -> str:
    """Return how many crops serve."""
    total, used = len(decision.known), len(decision.used)
    of = f"{count(used)} of {count(total)} crops" if total > 1 else "the only crop"
    words = f"{of} {'are' if used > 1 else 'is'} labelled at {voxel(decision.sizes.scale_nm)} nm or finer"
    sizes = Counter(nominal_nm(grid.voxel_size_nm) for grid in decision.known.values())
    if total > 1:
        words += f" ({', '.join(f'{crops} at about {size}' for size, crops in sorted(sizes.items()))})"
    if used < total:
        return f"{words}; the labels of the others are coarser and would have to be invented"
    return words


def patch_reason(decision: Decision) -> str:
    """Return why the patch is as large as it is."""
    sizes = decision.sizes
    extent = f"the middle crop has {triple(sizes.extent)} voxels of {voxel(sizes.scale_nm)} nm"
    if sizes.is_flat:
        ratio = statistics.median(edge_ratio(grid) for grid in decision.used.values())
        if ratio < FLAT_RATIO:
            return f"flat patches, as asked for; {extent}"
        return f"flat patches: voxels are {number(round(ratio, 1))} times as long as wide; {extent}"
    larger = any(length > edge for length, edge in zip(sizes.extent, sizes.patch, strict=True))
    return f"{extent}" + (
        "; larger patches do not fit or add little" if larger else "; beyond it there is nothing to learn"
    )


def memory_reason(decision: Decision) -> str:
    """Return what a step is expected to hold."""
    sizes = decision.sizes
    return (
        f"a step takes about {sizes.memory_gb:.1f} of {decision.gpu.memory_gb:.0f} GB (a forecast; training measures)"
    )


def network_reason(decision: Decision) -> str:
    """Return what the network is."""
    network = decision.sizes.network
    cost = network.cost(is_flat=decision.sizes.is_flat)
    return f"{network.words}, {cost.parameters / 1e6:.0f} M parameters"


def hours_reason(decision: Decision) -> str:
    """Return how long it takes and why so many epochs."""
    sizes = decision.sizes
    patches = sizes.epochs * sizes.iterations * sizes.batch_size
    passes = patches * math.prod(sizes.patch) / max(1, sizes.labelled_voxels)
    low, high = sizes.hours_range
    seen = f"{count(patches)} patches show each of {count(sizes.labelled_voxels)} labelled voxels {passes:.0f} times"
    less = "" if passes > PASSES / 2 else " (more takes longer than it helps)"
    peak = f"at {USUAL_SHARE:.0%} of the peak of {decision.gpu.words}"
    span = f"{duration(low * 3600)} to {duration(high * 3600)}"
    return f"{seen}{less}; about {duration(sizes.hours * 3600)} {peak} ({span})"


def group_reasons(decision: Decision) -> tuple[str, ...]:
    """Return all reasons, line by line."""
    return (
        *target_reasons(decision),
        *(f"core of {line}" for line in core_reasons(decision)),
        crop_reason(decision),
        patch_reason(decision),
        memory_reason(decision),
        hours_reason(decision),
    )
