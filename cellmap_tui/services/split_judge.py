"""What becomes of each crop: used, bound to one side, or left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RequestError, UnknownNameError
from cellmap_tui.services.split_em import EmLevels
from cellmap_tui.services.split_model import DROP_WORDS
from cellmap_tui.services.split_targets import USABLE, has_enough, view_target
from cellmap_tui.text import nearest, number, printable, voxel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from cellmap_tui.challenge.datasplit import Usage
    from cellmap_tui.services.content_scan import Scanned
    from cellmap_tui.services.split_model import DropKind, SplitRequest, TargetState
    from cellmap_tui.services.split_sources import Candidate
    from cellmap_tui.services.split_targets import Meaning, TargetView


@dataclass(frozen=True, slots=True)
class Judged:
    """A crop with what is known and decided about it."""

    candidate: Candidate
    """The crop."""
    views: tuple[TargetView, ...]
    """Every target in it."""
    side: Usage | None = None
    """The side that it is bound to; None: free."""
    dropped: DropKind | None = None
    """Why it is left out; None where it is used."""
    reason: str = ""
    """The reason in words."""
    is_resin: bool = False
    """Whether every annotated class is absent."""

    def shows(self, name: str) -> bool:
        """Return whether a target is there, or annotated where content was not looked at."""
        return any(view.stand.name == name and view.stand.state in {"present", "annotated"} for view in self.views)


class Judge:
    """Decides about crops.

    Parameters
    ----------
    request
        What was asked.
    meaning
        The targets.
    scans
        What label arrays hold.
    candidates
        Every crop, so that crops named in the request are found.
    """

    def __init__(
        self,
        request: SplitRequest,
        meaning: Meaning,
        scans: Mapping[tuple[str, str], Scanned],
        candidates: Sequence[Candidate],
    ) -> None:
        self._request = request
        self._meaning = meaning
        self._scans = scans
        self._minimums = dict(request.min_foreground)
        self._em = EmLevels()
        self._excluded = _exclusions(request)
        self._excluded |= dict.fromkeys(named_crops(request.leave_out, candidates), "left out of this split")
        self._sides: dict[str, Usage] = dict.fromkeys(named_crops(request.train_crops, candidates), "train")
        for ref in named_crops(request.validate_crops, candidates):
            if self._sides.get(ref) == "train":
                raise RequestError(f"{ref} is named for training and for validation", "name it for one of them")
            self._sides[ref] = "validate"

    def judge(self, candidate: Candidate) -> Judged:
        """Return what becomes of a crop."""
        views = tuple(
            view_target(target, candidate, self._meaning, self._scans, self._request)
            for target in self._meaning.targets.targets
        )
        is_resin = self._is_resin(candidate, views)
        kind, reason = self._drop(candidate, views, is_resin)
        if kind is not None:
            return Judged(candidate, views, None, kind, reason or DROP_WORDS[kind], is_resin)
        return Judged(candidate, views, self._side(candidate, views), is_resin=is_resin)

    def _drop(self, crop: Candidate, views: Sequence[TargetView], is_resin: bool) -> tuple[DropKind | None, str]:
        if crop.ref in self._excluded:
            return "excluded", self._excluded[crop.ref]
        states = {view.stand.state for view in views}
        if not states & USABLE:
            return self._unusable(crop, states)
        if crop.em_problem:
            return "em", crop.em_problem
        if self._request.scale_nm is not None and not self._request.use_s3:
            problem = self._em.problem(crop, self._request.scale_nm)
            if problem:
                return "em", problem
        if self._minimums and not any(has_enough(view.stand, self._minimums) for view in views):
            return ("resin", "") if is_resin else ("empty", self._too_little(views))
        lacking = _lacking(views)
        if self._request.force_all_classes == "all" and lacking:
            return "incomplete", f"not annotated: {', '.join(lacking)}"
        return None, ""

    def _unusable(self, crop: Candidate, states: Set[TargetState]) -> tuple[DropKind, str]:
        if "broken" in states:
            return "broken", ""
        if "coarse" in states and self._request.scale_nm is not None:
            sizes = {crop.voxel_size_of(name) for name in self._meaning.arrays_of(crop.available)}
            finest = voxel(min(sizes))
            return "coarse", f"labels are {finest} nm, coarser than {voxel(self._request.scale_nm)} nm"
        if "missing" in states:
            return "missing", f"labels are not on disk: cellmap-tui fetch-data --crops {crop.ref}"
        if "part" in states:
            return "unknown", "only members of the classes are annotated, and they are absent"
        return "unknown", ""

    def _too_little(self, views: Sequence[TargetView]) -> str:
        words = [
            f"{view.stand.name} {number(float(f'{100 * view.stand.share:.2g}'))} %"
            for view in views
            if view.stand.share is not None
        ]
        return f"too little foreground: {', '.join(words)}" if words else ""

    def _side(self, crop: Candidate, views: Sequence[TargetView]) -> Usage | None:
        if crop.ref in self._sides:
            return self._sides[crop.ref]
        if _lacking(views):
            # Forced to have all classes on one side, an incomplete crop goes to the other, as the toolbox does it.
            return {"train": "validate", "validate": "train"}.get(self._request.force_all_classes)  # type: ignore[return-value]
        return None

    def _is_resin(self, crop: Candidate, views: Sequence[TargetView]) -> bool:
        states = {view.stand.state for view in views}
        if not self._request.scan or "absent" not in states or states & {"present", "annotated"}:
            return False
        if self._request.use_s3:
            return set(crop.available) <= crop.empty
        from cellmap_tui.volumes.content import has_foreground

        looked_at = {name for ref, name in self._scans if ref == crop.ref}
        try:
            return not any(has_foreground(crop.label_folder / n) for n in crop.available if n not in looked_at)
        except CellmapError:
            return False  # a broken array may hold anything


def _lacking(views: Iterable[TargetView]) -> list[str]:
    return [view.stand.name for view in views if not view.is_complete]


def _exclusions(request: SplitRequest) -> dict[str, str]:
    from cellmap_tui.challenge.exclusions import read_exclusions

    if request.data_root is None or request.search_path:
        return {}
    found = read_exclusions(request.data_root)
    return {ref: f"set aside by hand: {printable(exclusion.reason)}" for ref, exclusion in found.items()}


def named_crops(names: Iterable[str], candidates: Sequence[Candidate]) -> list[str]:
    """Return the crops that are called ``234``, ``crop234`` or ``dataset/crop234``.

    Raises
    ------
    UnknownNameError
        If one is not among the candidates.
    RequestError
        If a number stands for crops of several datasets.
    """
    refs = [candidate.ref for candidate in candidates]
    return [_named(name.strip(), refs) for name in names if name.strip()]


def _named(name: str, refs: Sequence[str]) -> str:
    dataset, _, crop = name.rpartition("/")
    crop = f"crop{crop}" if crop.isdigit() else crop
    found = [ref for ref in refs if ref.rpartition("/")[2] == crop and dataset in {"", ref.rpartition("/")[0]}]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(f"{printable(name)} is in {len(found)} datasets", f"say {' or '.join(found)}")
    near = nearest(name, refs)
    raise UnknownNameError(
        f"{printable(name)!r} is none of the crops of this split", f"did you mean {near!r}?" if near else ""
    )
