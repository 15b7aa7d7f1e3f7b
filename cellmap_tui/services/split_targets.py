"""How each target stands in a crop: from which label arrays it is known, and how much of it there is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.targets import class_source
from cellmap_tui.services.content_scan import LabelArray
from cellmap_tui.services.split_model import ALL_TARGETS, TargetStand

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.challenge.targets import Target, Targets
    from cellmap_tui.services.content_scan import Scanned
    from cellmap_tui.services.split_model import SplitRequest, TargetState
    from cellmap_tui.services.split_sources import Candidate

SCALE_TOLERANCE = 1.01
"""Sizes such as 5.24 nm are rounded differently from place to place."""
USABLE: frozenset[TargetState] = frozenset({"present", "absent", "annotated"})
"""States in which a crop teaches something about a target."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target in a crop."""

    stand: TargetStand
    """How it stands with it."""
    arrays: tuple[str, ...]
    """Label arrays that it is known from."""
    is_complete: bool
    """Whether it is known in every voxel, and not in parts alone."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the targets of a request mean: the file, and the names that stand for themselves."""

    targets: Targets
    """The targets."""
    table: ClassTable
    """The class table."""
    labels: frozenset[str]
    """Class names of crops that the table does not know."""

    def arrays_of(self, annotated: Collection[str]) -> tuple[str, ...]:
        """Return the label arrays that matter among those of a crop, those of ignored classes included."""
        classes = (*self.targets.classes, *self.targets.ignored)
        return tuple(dict.fromkeys(name for one in classes for name in self.source(one, annotated).arrays))

    def source(self, name: str, annotated: Collection[str]) -> _Source:
        """Return from which of a crop's arrays a class is known."""
        source = class_source(name, annotated, self.table, labels=self.labels)
        return _Source(self._outermost(source.arrays), source.complete)

    def _outermost(self, arrays: Sequence[str]) -> tuple[str, ...]:
        """Leave out arrays whose voxels are those of another one, as ``ne_mem`` beside ``ne``."""
        ids = {name: self._ids(name) for name in arrays}
        return tuple(name for name in arrays if not any(ids[name] < ids[other] for other in arrays))

    def _ids(self, name: str) -> frozenset[int]:
        info = self.table.named(name)
        return frozenset() if info is None else frozenset(info.member_ids or {info.id})

    def ignored_arrays(self, annotated: Collection[str]) -> tuple[str, ...]:
        """Return the arrays whose voxels count as unknown."""
        return tuple(dict.fromkeys(n for one in self.targets.ignored for n in self.source(one, annotated).arrays))


@dataclass(frozen=True, slots=True)
class _Source:
    arrays: tuple[str, ...]
    complete: bool


def arrays_to_scan(candidate: Candidate, meaning: Meaning) -> tuple[LabelArray, ...]:
    """Return the label arrays of a crop on disk that its targets are known from."""
    names = meaning.arrays_of(candidate.available)
    return tuple(LabelArray(candidate.ref, name, candidate.label_folder / name) for name in names)


def view_target(
    target: Target,
    candidate: Candidate,
    meaning: Meaning,
    scans: Mapping[tuple[str, str], Scanned],
    request: SplitRequest,
) -> TargetView:
    """Return how a target stands in a crop.

    Parameters
    ----------
    scans
        What label arrays hold, by crop and class; an array that is not in it was not looked at.
    request
        Its scale and policy for coarse labels.
    """
    sources = [meaning.source(name, candidate.available) for name in target.classes]
    arrays = tuple(dict.fromkeys(name for source in sources for name in source.arrays))
    is_complete = all(source.complete for source in sources)
    if not arrays:
        published = any(meaning.source(name, candidate.annotated).arrays for name in target.classes)
        return TargetView(TargetStand(target.name, "missing" if published else "unknown"), (), False)
    fine = _fine_enough(arrays, candidate, request)
    if not fine:
        return TargetView(TargetStand(target.name, "coarse"), (), False)
    readable = tuple(name for name in fine if _state(scans, candidate, name) not in {"broken", "not on disk"})
    if not readable:
        return TargetView(TargetStand(target.name, "broken"), (), False)
    is_complete = is_complete and readable == arrays
    return TargetView(_stand(target.name, readable, candidate, scans, is_complete), readable, is_complete)


def _fine_enough(arrays: Iterable[str], candidate: Candidate, request: SplitRequest) -> tuple[str, ...]:
    if request.scale_nm is None or request.coarse_labels == "upsample":
        return tuple(arrays)
    return tuple(name for name in arrays if is_fine(candidate.voxel_size_of(name), request.scale_nm))


def is_fine(voxel_size_nm: Vec3, scale_nm: Vec3) -> bool:
    """Return whether a voxel size is not coarser than a scale on any axis."""
    return all(have <= asked * SCALE_TOLERANCE for have, asked in zip(voxel_size_nm, scale_nm, strict=True))


def _state(scans: Mapping[tuple[str, str], Scanned], candidate: Candidate, name: str) -> str:
    scanned = scans.get((candidate.ref, name))
    if scanned is not None:
        return scanned.state
    return "absent" if name in candidate.empty else "annotated"


def _stand(
    name: str,
    arrays: Sequence[str],
    candidate: Candidate,
    scans: Mapping[tuple[str, str], Scanned],
    is_complete: bool,
) -> TargetStand:
    states = [_state(scans, candidate, array) for array in arrays]
    contents = [scan.content for array in arrays if (scan := scans.get((candidate.ref, array))) and scan.content]
    state: TargetState
    if "present" in states:
        state = "present"
    elif "annotated" in states:
        state = "annotated"
    else:
        state = "absent" if is_complete else "part"
    if len(contents) < len(arrays):
        return TargetStand(name, state, 0.0 if state == "absent" else None, 0 if state == "absent" else None)
    return TargetStand(name, state, _share(contents), sum(content.foreground_voxels for content in contents))


def _share(contents: Sequence[LabelContent]) -> float:
    """Return the share of the known volume; members hardly overlap, so their volumes add up to the group's."""
    known = max(content.known_voxels * content.voxel_volume_nm3 for content in contents)
    volume = math.fsum(content.foreground_voxels * content.voxel_volume_nm3 for content in contents)
    return min(1.0, volume / known) if known else 0.0


def has_enough(stand: TargetStand, minimums: Mapping[str, float]) -> bool:
    """Return whether there is enough of a target to keep a crop for; what was not looked at counts as enough."""
    if stand.state not in USABLE or stand.state == "absent":
        return False
    least = minimums.get(stand.name, minimums.get(ALL_TARGETS))
    if least is None:
        return not minimums  # with minimums for some targets, the others do not keep a crop
    return stand.share is None or (stand.share > 0 and stand.share >= least)
