"""Which targets are learned together: those that ask for about the same scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.services.propose_targets import Wish

SMALL = 3
"""A group of fewer targets joins its neighbour of half or double its scale."""


@dataclass(frozen=True, slots=True)
class Group:
    """Targets at one scale."""

    scale_nm: int
    """The scale."""
    wishes: tuple[Wish, ...]
    """The targets, each with the scale that it asked for."""
    is_coarse: bool
    """Whether it is there for test volumes of large voxels."""


def grouped(wishes_of: Iterable[tuple[Wish, ...]], most: int) -> tuple[Group, ...]:
    """Return at most `most` groups, the finest first.

    Parameters
    ----------
    wishes_of
        For each target its scale, and a coarse one where it asks for two.
    most
        Most groups.
    """
    fine: dict[int, list[Wish]] = {}
    coarse: dict[int, list[Wish]] = {}
    for wishes in wishes_of:
        fine.setdefault(wishes[0].scale_nm, []).append(wishes[0])
        for wish in wishes[1:]:
            coarse.setdefault(wish.scale_nm, []).append(wish)
    groups = [Group(scale, tuple(found), False) for scale, found in sorted(fine.items())]
    groups = _join_small(groups)
    groups += _join_small([Group(scale, tuple(found), True) for scale, found in sorted(coarse.items())], factor=4)
    while len(groups) > most:
        groups.sort(key=lambda group: group.scale_nm)
        at = min(range(len(groups) - 1), key=lambda i: _loss(groups[i], groups[i + 1]))
        groups[at : at + 2] = [_joined(groups[at], groups[at + 1])]
    return tuple(sorted(groups, key=lambda group: group.scale_nm))


def _join_small(groups: list[Group], factor: int = 2) -> list[Group]:
    joined = list(groups)
    while True:
        pairs = [
            i
            for i in range(len(joined) - 1)
            if joined[i + 1].scale_nm <= factor * joined[i].scale_nm
            and min(len(joined[i].wishes), len(joined[i + 1].wishes)) < SMALL
        ]
        if not pairs:
            return joined
        at = min(pairs, key=lambda i: _loss(joined[i], joined[i + 1]))
        joined[at : at + 2] = [_joined(joined[at], joined[at + 1])]


def _loss(finer: Group, coarser: Group) -> tuple[float, int]:
    """Return how bad it is to join two groups: far scales first, then how many targets move."""
    return (coarser.scale_nm / finer.scale_nm, min(len(finer.wishes), len(coarser.wishes)))


def _joined(finer: Group, coarser: Group) -> Group:
    """Return both as one at the scale that most of its targets ask for; the finer one where as many do."""
    larger = finer if len(finer.wishes) >= len(coarser.wishes) else coarser
    names = {wish.facts.target.name for wish in larger.wishes}
    other = coarser if larger is finer else finer
    added = tuple(wish for wish in other.wishes if wish.facts.target.name not in names)
    return Group(larger.scale_nm, (*larger.wishes, *added), finer.is_coarse and coarser.is_coarse)
