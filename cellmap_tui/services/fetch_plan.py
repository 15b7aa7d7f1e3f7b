"""The plan of a fetch: every object that is wanted, counted per crop and level, before anything is spent."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from cellmap_tui.challenge.layout import ALL_IDS
from cellmap_tui.errors import DataError, RefusedError
from cellmap_tui.services.empty_labels import remember_empty_labels
from cellmap_tui.services.fetch_facts import label_groups
from cellmap_tui.services.fetch_model import Amount, CropPlan, FetchFailure, FetchPlan, LevelPlan
from cellmap_tui.services.fetch_rate import read_rate
from cellmap_tui.services.fetch_spool import PlannedObject, Spool
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_bucket import PatientReader
    from cellmap_tui.services.fetch_levels import EmLevel
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.fetch_survey import CropSurvey, LevelSurvey
    from cellmap_tui.services.listing_cache import ListingCache
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.bucket import BucketAddress
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.objects import RemoteObject
    from cellmap_tui.volumes.geometry import Box

SHARE_OF_FREE = 0.95
"""Share of the free disk space that a plan may take: the rest is the margin that keeps a disk from being full."""
WARN_SHARE = 0.5
_BLOCK_BYTES = 4096
_MOST_PROBLEMS = 1000


@dataclass(slots=True)
class Prepared:
    """A plan with the objects behind it; `close` it."""

    plan: FetchPlan
    """The plan."""
    crops: tuple[Crop, ...]
    """Its crops, in the order of the plan."""
    objects: Spool
    """Objects to fetch or to check, those that are verified left out."""
    absent: Spool
    """Chunks of EM that are wanted and that the bucket does not have."""
    groups: tuple[str, ...]
    """Keys of ``.zgroup`` objects that the bucket lacks, to be made here."""
    empty_labels: dict[str, tuple[str, ...]]
    """Crop to the classes that are empty in the bucket, for crops of which everything was listed."""
    parts: list[dict[str, list[int]]]
    """For each crop, its classes and levels with the number of objects that are here and that are wanted."""
    verified_bytes: list[int]
    """For each crop, the bytes that are here and known to be right."""
    boxes: dict[str, list[tuple[int, EmLevel, Box]]]
    """Folder of a level to the crops that need chunks of it, and which."""
    requests: int
    """Requests that the plan took."""

    def close(self) -> None:
        """Free what the lists take."""
        self.objects.close()
        self.absent.close()


def plan_fetch(request: FetchRequest, report: Reporter, listings: ListingCache | None = None) -> FetchPlan:
    """Return what a fetch would do; nothing is written but which labels are empty in the bucket.

    Parameters
    ----------
    request
        What is wanted.
    report
        Told crops as they are looked at; its checkpoint is heeded.
    listings
        What the bucket has answered lately, for plans that differ by an option alone; None: it is asked.

    Raises
    ------
    RequestError
        If crops, classes or levels do not exist.
    CellmapError
        If the bucket cannot be read.
    Stopped
        When the user asked to stop.
    """
    prepared = prepare_fetch(request, report, listings=listings)
    prepared.close()
    remember_empty_labels(
        request.state_dir, prepared.empty_labels, bucket=request.bucket, endpoint_url=request.endpoint_url
    )
    return prepared.plan


def prepare_fetch(
    request: FetchRequest, report: Reporter, ledger: Ledger | None = None, listings: ListingCache | None = None
) -> Prepared:
    """Return the plan of a fetch with its objects; parameters and errors as `plan_fetch`.

    Parameters
    ----------
    ledger
        What is known of the data root; opened here where it is not given.
    listings
        As of `plan_fetch`.
    """
    from cellmap_tui.services.fetch_bucket import bucket_address, open_reader, run_asking
    from cellmap_tui.services.fetch_crops import Chosen, choose_crops
    from cellmap_tui.services.fetch_survey import Surveyor
    from cellmap_tui.storage.ledger import Ledger

    chosen: Chosen = choose_crops(request, report)
    known = ledger or Ledger.open(request.data_root)
    address = bucket_address(request)
    keeps = request.access_mode == "append"

    async def work() -> Prepared:
        asking = open_reader(address, report, known if keeps else None, request.workers)
        reader = asking if listings is None else listings.over(asking, str(address))
        crops = await chosen.resolved(reader, request.crops)
        surveyor = Surveyor(reader, request, known if keeps else None)
        with _Planner(request, known if keeps else None) as planner:
            async with contextlib.aclosing(surveyor.survey(crops)) as surveys:
                async for survey in surveys:
                    planner.take(survey)
                    report.progress(len(planner.crops), len(crops), "crops planned")
            return planner.finished(crops, address, chosen.notes, asking)

    return run_asking(work, report)


@dataclass(slots=True)
class _Planner:
    """Adds up surveys; knows which chunks earlier crops of the plan need already."""

    request: FetchRequest
    ledger: Ledger | None
    crops: list[CropPlan] = field(default_factory=list)
    objects: Spool = field(default_factory=Spool)
    absent: Spool = field(default_factory=Spool)
    groups: dict[str, None] = field(default_factory=dict)
    empty_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[FetchFailure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    parts: list[dict[str, list[int]]] = field(default_factory=list)
    verified_bytes: list[int] = field(default_factory=list)
    boxes: dict[str, list[tuple[int, EmLevel, Box]]] = field(default_factory=dict)
    disk_bytes: int = 0
    _shared: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Free the lists of a plan that was not finished."""
        if kind is not None:
            self.objects.close()
            self.absent.close()

    def take(self, survey: CropSurvey) -> None:
        """Add a crop."""
        place = len(self.crops)
        self.parts.append({})
        self.verified_bytes.append(0)
        shared = {remote.key: remote for remote in (*survey.above.objects, *survey.em.metadata)}
        fresh = [remote for key, remote in shared.items() if key not in self._shared]
        self._shared.update(shared)
        metadata = self._wanted(place, fresh, is_required=True)
        labels = self._wanted(place, survey.labels)
        groups = label_groups(survey.prefix, survey.labels)
        missing = self._missing_classes(survey, set(groups))
        self._take_groups(survey, groups.values())
        self._take_missing_levels(survey)
        empty = tuple(g.class_name for g in groups.values() if not g.has_chunks and g.class_name != ALL_IDS)
        if survey.crop.split == "train" and not self.request.classes:
            self.empty_labels[survey.crop.ref] = empty
        levels = tuple(self._level(place, survey, level) for level in survey.levels)
        if levels and not any(level.is_fetched for level in levels):
            self.warnings.append(f"{survey.crop.ref}: no level of the EM is fetched")
        self.crops.append(
            CropPlan(
                ref=survey.crop.ref,
                split=survey.crop.split,
                labels=labels[0],
                labels_here=labels[1],
                label_classes=len(groups),
                empty_classes=empty,
                missing_classes=missing,
                levels=levels,
                metadata=metadata[0],
                metadata_here=metadata[1],
            )
        )

    def finished(
        self, crops: tuple[Crop, ...], address: BucketAddress, notes: tuple[str, ...], reader: PatientReader
    ) -> Prepared:
        """Return the plan."""
        wanted = sum((crop.wanted for crop in self.crops), Amount())
        to_fetch = wanted - sum((crop.here for crop in self.crops), Amount())
        free = free_bytes(self.request.data_root)
        rate = read_rate(self.request.state_dir, str(address))
        if free and WARN_SHARE * free < self.disk_bytes:
            share = round(100 * self.disk_bytes / free)
            self.warnings.append(f"the plan takes {share} % of the free disk space")
        plan = FetchPlan(
            data_root=self.request.data_root,
            address=str(address),
            crops=tuple(self.crops),
            wanted=wanted,
            to_fetch=to_fetch,
            disk_bytes=self.disk_bytes,
            free_bytes=free,
            fits=self.disk_bytes <= SHARE_OF_FREE * free,
            estimated_s=None if rate is None else round(rate.seconds(to_fetch), 1),
            notes=notes,
            warnings=tuple(self.warnings),
            problems=tuple(self.problems[:_MOST_PROBLEMS]),
        )
        return Prepared(
            plan=plan,
            crops=crops,
            objects=self.objects,
            absent=self.absent,
            groups=tuple(self.groups),
            empty_labels=self.empty_labels,
            parts=self.parts,
            verified_bytes=self.verified_bytes,
            boxes=self.boxes,
            requests=reader.requests,
        )

    def _wanted(
        self, place: int, remotes: Iterable[RemoteObject], *, is_required: bool = False
    ) -> tuple[Amount, Amount]:
        """Note the objects; return how many there are and how many are on disk already."""
        from cellmap_tui.services.fetch_listing import is_metadata
        from cellmap_tui.storage.objects import checked_key

        objects = here = total_bytes = here_bytes = 0
        for remote in remotes:
            try:
                key = checked_key(remote.key)
            except DataError as error:
                self.problems.append(FetchFailure(remote.key, "key", error.message, tries=0))
                continue
            objects += 1
            total_bytes += remote.size_bytes
            part = self.parts[place].setdefault(part_of(key), [0, 0])
            part[1] += 1
            if self.ledger is not None and self.ledger.is_verified(key, remote.size_bytes, remote.etag):
                here += 1
                here_bytes += remote.size_bytes
                part[0] += 1
                self.verified_bytes[place] += remote.size_bytes
                continue
            needed = is_required or is_metadata(key)
            self.objects.add(PlannedObject(place, key, remote.size_bytes, remote.etag, needed))
            if self._is_unchecked_here(key, remote.size_bytes):
                here += 1
                here_bytes += remote.size_bytes
            else:
                self.disk_bytes += -(-remote.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
        return Amount(objects, total_bytes), Amount(here, here_bytes)

    def _is_unchecked_here(self, key: str, size_bytes: int) -> bool:
        """Return whether a file of the right size is there that the ledger does not know."""
        from cellmap_tui.storage.ledger import file_size

        return self.ledger is not None and file_size(f"{self.request.data_root}/{key}") == size_bytes

    def _level(self, place: int, survey: CropSurvey, level: LevelSurvey) -> LevelPlan:
        from cellmap_tui.services.fetch_levels import holds, indices

        choice = level.choice
        plan = LevelPlan(choice.place.name, choice.place.voxel_size_nm, False, choice.reason)
        if level.level is None:
            return replace(plan, reason=f"{choice.reason}; the bucket has no array of it")
        if not choice.is_wanted:
            return plan
        if level.chunks.is_empty:
            return replace(plan, reason=f"{choice.reason}; the crop lies outside of it")
        prefix = survey.em.prefix(choice.place.name)
        earlier = self.boxes.setdefault(prefix, [])
        fresh: list[RemoteObject] = []
        absent = shared = 0
        for index in indices(level.chunks):
            remote = level.remote.get(index)
            absent += remote is None
            if any(holds(box, index) for _, _, box in earlier):
                shared += remote is not None
                continue
            if remote is not None:
                fresh.append(remote)
            elif self.ledger is None or not self.ledger.is_absent(prefix + level.level.chunk_name(index)):
                self.absent.add(PlannedObject(place, prefix + level.level.chunk_name(index), None, None, False))
        earlier.append((place, level.level, level.chunks))
        wanted, here = self._wanted(place, fresh)
        return replace(
            plan,
            is_fetched=True,
            voxels=level.voxels.shape,
            chunks=level.chunks.voxels,
            absent=absent,
            shared=shared,
            wanted=wanted,
            here=here,
        )

    def _missing_classes(self, survey: CropSurvey, present: set[str]) -> tuple[str, ...]:
        crop = survey.crop
        if crop.split == "test":
            return ()
        wanted = [name for name in crop.classes if not self.request.classes or name in self.request.classes]
        missing = tuple(name for name in wanted if name not in present)
        if wanted and len(missing) == len(wanted) and not present:
            key = survey.prefix.rstrip("/")
            self.problems.append(FetchFailure(key, "missing", "the bucket has no labels of this crop", crop.ref, 1))
        elif missing:
            shown = ", ".join(missing[:5]) + (f" and {count(len(missing) - 5)} more" if len(missing) > 5 else "")
            self.warnings.append(f"{crop.ref}: the bucket has no labels of {shown}")
        return missing

    def _take_groups(self, survey: CropSurvey, groups: Iterable[object]) -> None:
        from cellmap_tui.services.fetch_facts import LabelGroup

        keys = [*survey.above.to_make]
        found = [group for group in groups if isinstance(group, LabelGroup)]
        if found and not any(remote.key == f"{survey.prefix}.zgroup" for remote in survey.labels):
            keys.append(f"{survey.prefix}.zgroup")
        keys += [f"{survey.prefix}{group.class_name}/.zgroup" for group in found if not group.has_zgroup]
        self.groups.update(dict.fromkeys(keys))

    def _take_missing_levels(self, survey: CropSurvey) -> None:
        """Tell once of levels that the group names and the bucket has no array of."""
        for name in survey.em.missing:
            key = f"{survey.em.prefix(name)}.zarray"
            if key in self._shared:
                continue
            self._shared.add(key)
            if self.request.make_levels:
                self.warnings.append(f"{survey.em.group} names level {name}, which the bucket lacks: it is made here")
            else:
                message = "the bucket lacks a level that the EM's .zattrs name; --make-levels computes it"
                self.problems.append(FetchFailure(key, "missing", message, "", 1))


def part_of(key: str) -> str:
    """Return which part of a crop an object belongs to: ``labels/<class>``, ``em/<level>`` or ``metadata``."""
    names = key.split("/")
    for above, depth in (("groundtruth", 2), ("em", 2)):
        if above in names:
            place = names.index(above) + depth
            if place < len(names) - 1:
                return f"{'em' if above == 'em' else 'labels'}/{names[place]}"
    return "metadata"


def check_room(plan: FetchPlan, request: FetchRequest) -> None:
    """Refuse a plan that takes too much.

    Raises
    ------
    RefusedError
        If it is larger than ``--max-bytes``, or does not fit the disk with a margin.
    """
    if request.max_bytes is not None and plan.to_fetch.bytes > request.max_bytes:
        raise RefusedError(
            f"the plan downloads {size(plan.to_fetch.bytes)}, more than --max-bytes {size(request.max_bytes)}",
            "choose fewer crops or levels, or raise --max-bytes",
        )
    if not plan.fits and not request.ignore_disk:
        raise RefusedError(
            f"the plan needs {size(plan.disk_bytes)} and {plan.data_root} has {size(plan.free_bytes)} free "
            f"({round(100 * (1 - SHARE_OF_FREE))} % are kept)",
            "choose fewer crops or levels, make room, or go on with --ignore-disk",
        )


def free_bytes(folder: Path) -> int:
    """Return the free space where a folder is or would be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free
