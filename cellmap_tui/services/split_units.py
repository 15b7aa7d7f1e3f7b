"""What must not be torn apart: crops that overlap in the world, and datasets where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.services.split_assign import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.datasplit import Usage
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.split_judge import Judged
    from cellmap_tui.services.split_model import GroupBy
    from cellmap_tui.services.split_sources import Candidate

TOUCH_NM = 1e-3
"""Boxes that share less than this only touch; positions are sums of rounded numbers."""


def overlaps(crops: Sequence[Candidate]) -> dict[str, tuple[str, ...]]:
    """Return for each crop the others that overlap it in the world; crops that overlap none are left out."""
    found: dict[str, list[str]] = {}
    by_space: dict[str, list[Candidate]] = {}
    for crop in crops:
        by_space.setdefault(crop.space, []).append(crop)
    for members in by_space.values():
        for position, first in enumerate(members):
            for second in members[position + 1 :]:
                if do_overlap(first.grid, second.grid):
                    found.setdefault(first.ref, []).append(second.ref)
                    found.setdefault(second.ref, []).append(first.ref)
    return {ref: tuple(others) for ref, others in found.items()}


def do_overlap(first: Grid, second: Grid) -> bool:
    """Return whether the boxes of two grids share some of the world."""
    return all(
        min(high, other_high) - max(low, other_low) > TOUCH_NM
        for low, high, other_low, other_high in zip(
            first.lower_nm, first.upper_nm, second.lower_nm, second.upper_nm, strict=True
        )
    )


def make_units(crops: Sequence[Judged], group_by: GroupBy) -> tuple[list[Unit], dict[str, str]]:
    """Return the units of a draw, and the unit of each crop.

    Raises
    ------
    RequestError
        If crops that belong together are bound to different sides.
    """
    unit_of = _components(crops, group_by)
    members: dict[str, list[Judged]] = {}
    for crop in crops:
        members.setdefault(unit_of[crop.candidate.ref], []).append(crop)
    return [_unit(name, those, group_by) for name, those in members.items()], unit_of


def _components(crops: Sequence[Judged], group_by: GroupBy) -> dict[str, str]:
    """Return the name of the unit of each crop: its first crop's, or its dataset's."""
    if group_by == "dataset":
        return {crop.candidate.ref: crop.candidate.dataset for crop in crops}
    near = overlaps([crop.candidate for crop in crops])
    unit_of: dict[str, str] = {}
    for crop in crops:
        name = crop.candidate.ref
        waiting = [name]
        while waiting:
            ref = waiting.pop()
            if ref not in unit_of:
                unit_of[ref] = name
                waiting += near.get(ref, ())
    return unit_of


def _unit(name: str, members: Sequence[Judged], group_by: GroupBy) -> Unit:
    names = {view.stand.name: None for crop in members for view in crop.views}
    classes = {target: sum(crop.shows(target) for crop in members) for target in names}
    datasets: dict[str, int] = {}
    for crop in members:
        datasets[crop.candidate.dataset] = datasets.get(crop.candidate.dataset, 0) + 1
    return Unit(name, len(members), classes, datasets, _common_side(members, group_by))


def _common_side(members: Sequence[Judged], group_by: GroupBy) -> Usage | None:
    bound = {crop.side: crop.candidate.ref for crop in members if crop.side is not None}
    if len(bound) > 1:
        why = "are of one dataset" if group_by == "dataset" else "overlap"
        first, second = bound["train"], bound["validate"]
        raise RequestError(
            f"{first} is bound to training and {second} to validation, but they {why}", "bind them to one side"
        )
    return next(iter(bound), None)
