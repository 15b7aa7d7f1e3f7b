"""The rules of scoring by name: which formulas, which penalties, as of which date.

A profile is a frozen description that every result carries, so that two scores are only compared when
they were made by the same rules. How the rules are computed is the business of `instances`,
`semantic` and `aggregate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cellmap_tui.errors import UnknownNameError
from cellmap_tui.text import nearest

INSTANCE_CLASSES = frozenset(
    ("nuc", "vim", "ves", "endo", "lyso", "ld", "perox", "mito", "np", "mt", "cell", "instance")
)
"""Classes that are scored object by object; every other class is scored voxel by voxel."""

Scoring = Literal["instance", "semantic"]
"""How a class is scored."""

Measure = Literal["boundary", "panoptic"]
"""What a class score is made of: F1 and boundary distances, or panoptic quality."""

NORM_BASE = 1.01
"""A distance of one voxel diagonal divides the boundary score by this."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of scoring rules."""

    name: str
    """Short name, as given on the command line."""
    title: str
    """What it is, in one line."""
    date: str
    """Day from which the rules hold, ISO 8601."""
    is_provisional: bool
    """Whether a formula had to be guessed because it is not published."""
    match_rule: str
    """When a predicted object counts as a truth object."""
    pooling: str
    """How crops and classes are put together."""
    penalties: str
    """What unmatched objects and missing volumes cost."""
    formulas: tuple[tuple[str, str], ...]
    """Name and formula of each figure, in words."""
    measure: Measure = "boundary"
    """What the class scores are made of."""
    keeps_unmatched: bool = True
    """Whether unmatched predicted objects keep their number, and so may join a truth object's distance."""
    unmatched_at_cap: bool = True
    """Whether an unmatched object scores as a distance at the cap; else it scores 0."""
    floor: float | None = None
    """Boundary score that a match at the cap distance is lifted to by a linear rescale; None: not rescaled."""


_MATCH = (
    "26-connected components of each predicted id; one-to-one matching of least total cost 1 - IoU over "
    "all pairs that share a voxel"
)
_POOLING = "counts and boundary scores pooled per class over crops; plain means over classes"
_OVERALL = ("overall", "sqrt(mean of instance classes * mean of semantic classes)")
_F1 = ("f1", "2 tp / (2 tp + fp + fn)")
_COMBINED = ("combined_score", "sqrt(f1 * mean boundary score)")
_IOU = ("iou", "tp / (tp + fp + fn) in voxels")
_CAP = ("cap", "half of the crop's shortest side in nm")
_MISSING = "missing volumes: every truth object missed with boundary score 0, every voxel a false negative"

PROFILES: tuple[Profile, ...] = (
    Profile(
        name="2026-06",
        title="official rules from the end of June 2026",
        date="2026-06-30",
        is_provisional=False,
        match_rule=_MATCH,
        pooling=_POOLING,
        penalties=(
            "unmatched objects count as a distance at the cap; unmatched predicted objects keep their component "
            f"number, which may be a truth id; {_MISSING}"
        ),
        formulas=(_F1, ("boundary score", "1.01^(-d / |voxel size|), d capped"), _CAP, _COMBINED, _IOU, _OVERALL),
    ),
    Profile(
        name="2026-07",
        title="official rules from July 2026, as announced",
        date="2026-07-10",
        is_provisional=True,
        match_rule=_MATCH,
        pooling=_POOLING,
        penalties=f"unmatched objects score 0; unmatched predicted objects become background; {_MISSING}",
        formulas=(
            _F1,
            ("boundary score", "s = 1.01^(-d / |voxel size|); 0.1 + 0.9 (s - s_cap) / (1 - s_cap)"),
            _CAP,
            _COMBINED,
            _IOU,
            _OVERALL,
        ),
        keeps_unmatched=False,
        unmatched_at_cap=False,
        floor=0.1,
    ),
    Profile(
        name="panoptic",
        title="panoptic quality; not an official rule",
        date="2026-01-01",
        is_provisional=False,
        match_rule="IoU above 0.5, which allows one partner at most; a semantic class is one object per crop",
        pooling="counts and IoU pooled per class over crops; plain means over classes",
        penalties="unmatched objects count as fp or fn; a missing volume counts as an empty one",
        formulas=(
            ("sq", "mean IoU of matched pairs"),
            ("rq", "tp / (tp + fp / 2 + fn / 2)"),
            ("pq", "sq * rq"),
            _OVERALL,
        ),
        measure="panoptic",
        keeps_unmatched=False,
    ),
)
"""All profiles, the default first."""

DEFAULT_PROFILE = PROFILES[0]


def get_profile(name: str) -> Profile:
    """Return the profile with this name.

    Raises
    ------
    UnknownNameError
        If there is none; the remedy names the nearest.
    """
    names = [profile.name for profile in PROFILES]
    if name in names:
        return PROFILES[names.index(name)]
    near = nearest(name, names)
    raise UnknownNameError(
        f"no scoring profile is called {name!r}",
        f"did you mean {near!r}?" if near else f"there are {', '.join(names)}",
    )


def scoring_of(label: str) -> Scoring:
    """Return how a class is scored."""
    return "instance" if label in INSTANCE_CLASSES else "semantic"
