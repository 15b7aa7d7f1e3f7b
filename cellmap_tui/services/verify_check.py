"""Crops compared with what should be there of them, part by part."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.services.fetch_model import FetchRequest
from cellmap_tui.services.fetch_plan import part_of
from cellmap_tui.services.fetch_record import Asked, read_requests
from cellmap_tui.services.fetch_survey import Surveyor
from cellmap_tui.services.verify_model import CropCheck, PartCheck, PartState, Problem, VerifyRequest
from cellmap_tui.services.verify_scan import Checked, asked_by_disk, check_objects
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.services.fetch_survey import CropSurvey
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.objects import RemoteObject

EVERY_LOCAL = "local"
"""The crops that are checked where none are named."""
_MOST_WARNINGS = 20


class CropChecker:
    """Checks crops and keeps what it finds.

    Parameters
    ----------
    request
        What to check.
    ledger
        What is known of the data root; told what turns out right or wrong.
    report
        Told crops and what is wrong with them.
    """

    def __init__(self, request: VerifyRequest, ledger: Ledger, report: Reporter) -> None:
        self._request = request
        self._ledger = ledger
        self._report = report
        self._findings: dict[str, Checked] = {}
        self._noted: set[str] = set()
        self._told = 0
        self.crops: list[CropCheck] = []
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.wrong: list[RemoteObject] = []
        self.groups: dict[str, None] = {}
        self.present = 0
        self.missing = 0
        self.corrupt = 0

    async def check(self, crops: Sequence[Crop], reader: BucketReader) -> None:
        """Check crops against what a reader says of them."""
        remembered = read_requests(self._request.data_root)
        groups: dict[tuple[Asked, ...], list[Crop]] = {}
        for crop in crops:
            asked = remembered.get(crop.ref) or (await asked_by_disk(self._request.data_root, crop),)
            if self._request.crops != EVERY_LOCAL or _is_meant(asked, has_memory=bool(remembered)):
                groups.setdefault(tuple(replace(one, ref="") for one in asked), []).append(crop)
        total = sum(map(len, groups.values()))
        for asked, members in groups.items():
            await self._check_group(asked, members, reader, total)
        order = {crop.ref: place for place, crop in enumerate(crops)}
        self.crops.sort(key=lambda checked: order[checked.ref])

    async def _check_group(
        self, asked: tuple[Asked, ...], crops: Sequence[Crop], reader: BucketReader, total: int
    ) -> None:
        """Check crops of which the same was asked."""
        async with contextlib.AsyncExitStack() as stack:
            surveys = [
                await stack.enter_async_context(contextlib.aclosing(self._surveyor(one, reader).survey(crops)))
                for one in asked
            ]
            for crop in crops:
                seen = [await anext(survey) for survey in surveys]
                checked = await asyncio.to_thread(self._checked, crop, asked, seen)
                self.crops.append(checked)
                self._tell(checked)
                self._report.progress(len(self.crops), total, "crops")

    def _surveyor(self, asked: Asked, reader: BucketReader) -> Surveyor:
        request = FetchRequest(
            data_root=self._request.data_root,
            raw_padding=asked.raw_padding,
            raw_padding_nm=asked.raw_padding_nm,
            levels=asked.levels,
            fetch_all_em_resolutions=asked.everything,
        )
        return Surveyor(reader, request, None)

    def _checked(self, crop: Crop, asked: Sequence[Asked], surveys: Sequence[CropSurvey]) -> CropCheck:
        parts: dict[str, Counter[str]] = {}
        wanted: dict[str, RemoteObject] = {}
        classes = _classes(asked)
        for one, survey in zip(asked, surveys, strict=True):
            for remote in _em_objects(survey, with_chunks=one.em):
                wanted[remote.key] = remote
            for level in survey.levels:
                counts = parts.setdefault(f"em/{level.choice.place.name}", Counter())
                counts["asked"] += one.em and level.choice.is_wanted
                counts["absent"] = max(counts["absent"], level.chunks.voxels - len(level.remote) if one.em else 0)
        for remote in surveys[0].labels:
            part = part_of(remote.key)
            if self._is_asked(part, classes):
                wanted[remote.key] = remote
            else:
                parts.setdefault(part, Counter())["not_requested"] += 1
        for checked in self._look(wanted.values()):
            parts.setdefault(part_of(checked.remote.key), Counter())[checked.finding] += 1
            self._note(checked, crop)
        self._note_groups(surveys[0])
        found = tuple(_part(name, counts) for name, counts in sorted(parts.items()))
        is_whole = all(part.state in {"present", "not requested"} for part in found)
        return CropCheck(crop.ref, "complete" if is_whole else "incomplete", found)

    def _is_asked(self, part: str, classes: frozenset[str] | None) -> bool:
        kind, _, name = part.partition("/")
        if classes is None:
            return False
        if kind != "labels":
            return True
        chosen = not self._request.classes or name in self._request.classes
        return chosen and (not classes or name in classes)

    def _look(self, remotes: Iterable[RemoteObject]) -> list[Checked]:
        """Return what is on disk of each object; what crops may share is looked at once."""
        listed = list(remotes)
        fresh = [remote for remote in listed if remote.key not in self._findings]
        found = {c.remote.key: c for c in check_objects(self._ledger, fresh, quick=self._request.quick)}
        for checked in found.values():
            self.present += checked.finding == "present"
            self._learn(checked)
        self._findings.update((key, checked) for key, checked in found.items() if "/groundtruth/crop" not in key)
        return [found.get(remote.key) or self._findings[remote.key] for remote in listed]

    def _learn(self, checked: Checked) -> None:
        """Let the ledger know what a file turned out to be."""
        remote = checked.remote
        if checked.finding == "corrupt":
            self._ledger.forget(remote.key)
            return
        has_read = checked.finding == "present" and not self._request.quick and not self._request.offline
        if has_read and not self._ledger.is_verified(remote.key, remote.size_bytes, remote.etag):
            self._ledger.record_verified(remote.key, remote.size_bytes, remote.etag)

    def _note(self, checked: Checked, crop: Crop) -> None:
        """Count what is wrong, once for all crops that need it."""
        key = checked.remote.key
        if checked.finding == "present" or key in self._noted:
            return
        self._noted.add(key)
        self.missing += checked.finding == "missing"
        self.corrupt += checked.finding == "corrupt"
        self.wrong.append(checked.remote)
        self.problems.append(Problem(key, checked.finding, checked.message, crop.ref))

    def _note_groups(self, survey: CropSurvey) -> None:
        """Note the groups that the bucket lacks and that should have been made here."""
        for key in survey.above.to_make:
            if not (self._request.data_root / key).exists():
                self.groups[key] = None

    def _tell(self, checked: CropCheck) -> None:
        missing, corrupt = checked.total("missing"), checked.total("corrupt")
        if not missing + corrupt:
            return
        self._told += 1
        if self._told <= _MOST_WARNINGS:
            self._report.warning(f"{checked.ref}: {count(missing)} missing, {count(corrupt)} corrupt")


def _is_meant(asked: Iterable[Asked], *, has_memory: bool) -> bool:
    """Return whether a crop that nobody named is checked: of a neighbour's crop some EM is on disk as well."""
    return any(one.labels or (one.em and not has_memory) for one in asked)


def _em_objects(survey: CropSurvey, *, with_chunks: bool) -> list[RemoteObject]:
    """Return the metadata and chunks of the EM that a crop needs."""
    chunks = [remote for level in survey.levels for remote in level.remote.values()] if with_chunks else []
    return [*survey.above.objects, *survey.em.metadata, *chunks]


def _classes(asked: Iterable[Asked]) -> frozenset[str] | None:
    """Return the classes that were asked for; empty for all, None for no labels."""
    each = [one.classes for one in asked if one.labels]
    if not each:
        return None
    return frozenset() if not all(each) else frozenset(name for names in each for name in names)


def _part(name: str, counts: Counter[str]) -> PartCheck:
    # Metadata of every level come with every fetch: a level that was not asked for has no chunk.
    is_asked = bool(counts["asked"]) if name.startswith("em/") else not counts["not_requested"]
    state: PartState = "present" if is_asked else "not requested"
    if counts["missing"]:
        state = "missing"
    if counts["corrupt"]:
        state = "corrupt"
    return PartCheck(
        name,
        state,
        present=counts["present"],
        not_requested=None if name.startswith("em/") and not is_asked else counts["not_requested"],
        missing=counts["missing"],
        corrupt=counts["corrupt"],
        absent=counts["absent"],
    )
