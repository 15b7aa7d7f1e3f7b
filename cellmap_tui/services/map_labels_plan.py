"""The plan of a mapping: every volume with what it is made from, what is there already, and what it costs.

Reads metadata, and for ids that belong to no target the volumes of ids; nothing is written.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.targets import read_targets, targets_of
from cellmap_tui.errors import CellmapError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services.map_labels_model import COMBINED, MapLabelsPlan, MapLabelsRequest, MappedVolume, UnmappedId
from cellmap_tui.services.map_labels_record import recorded, volume_key, with_record
from cellmap_tui.services.map_labels_sources import Place, crop_places, input_place, own_names
from cellmap_tui.services.map_labels_unmapped import UnmappedIds
from cellmap_tui.text import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.targets import Target, Targets
    from cellmap_tui.services.map_labels_model import VolumeState
    from cellmap_tui.services.memory_budget import MemoryBudget
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.target_labels import Labels, TargetReader

_SHARE = 10  # masks and ids compress at least this well


@dataclass(slots=True)
class Job:
    """One volume to be written."""

    volume: MappedVolume
    """What it is."""
    readers: tuple[tuple[Target, TargetReader | None], ...]
    """The targets in it, each with its reader; None: nothing is known of it here."""
    key: str
    """What decides its content, as a hash."""

    @property
    def voxels(self) -> int:
        """Voxels to look through, all passes together."""
        passes = sum(1 + reader.passes for _, reader in self.readers if reader is not None)
        return passes * self.volume.shape[0] * self.volume.shape[1] * self.volume.shape[2]


@dataclass(slots=True)
class Prepared:
    """Everything that is known before a voxel is mapped."""

    request: MapLabelsRequest
    """What was asked."""
    targets: Targets
    """The targets."""
    jobs: list[Job] = field(default_factory=list)
    """Volumes that can be written or are there."""
    others: list[MappedVolume] = field(default_factory=list)
    """Volumes that cannot."""
    unmapped: tuple[UnmappedId, ...] = ()
    """Ids that belong to no target."""
    errors: list[CellmapError] = field(default_factory=list)
    """Why they cannot."""
    conflicts: list[str] = field(default_factory=list)
    """Paths at which something else stands."""
    needed_bytes: int = 0
    """Disk space that may be needed."""
    free_bytes: int = 0
    """Free disk space."""
    warnings: list[str] = field(default_factory=list)
    """What may need attention."""

    @property
    def todo(self) -> list[Job]:
        """Volumes to be written."""
        return [job for job in self.jobs if job.volume.state == "planned"]

    def plan(self) -> MapLabelsPlan:
        """Return the plan for people and programs."""
        volumes = [job.volume for job in self.jobs] + self.others
        return MapLabelsPlan(
            output=self.request.template if self.request.input is None else self.request.output,
            targets=self.targets.names,
            volumes=tuple(volumes),
            unmapped=self.unmapped,
            voxels=sum(job.voxels for job in self.todo),
            memory_bytes=max((job.volume.memory_bytes or 0 for job in self.todo), default=0),
            needed_bytes=self.needed_bytes,
            free_bytes=self.free_bytes,
            warnings=(*self.warnings, *self.conflicts),
        )


@contextmanager
def prepared(request: MapLabelsRequest, report: Reporter) -> Iterator[Prepared]:
    """Find every volume, what it is made from, and what is there already; an input stays open inside.

    Raises
    ------
    RequestError
        If targets or crops are wrong, or targets overlap that are to be combined.
    MissingDataError
        If nothing can be made, for want of labels on disk.
    RefusedError
        If a watershed needs more memory than there is.
    """
    with ExitStack() as closing:
        is_own = request.input is not None
        yield _prepare(request, [input_place(request, closing)] if is_own else crop_places(request, report), report)


def _prepare(request: MapLabelsRequest, places: list[Place], report: Reporter) -> Prepared:
    from cellmap_tui.services.memory_budget import memory_budget

    targets = chosen_targets(request, own_names(request, places))
    if request.combined:
        _refuse_overlap(targets, places[0].meaning)
    _refuse_ground_truth(request, places)
    ready = Prepared(request, targets)
    budget = memory_budget(request.memory_bytes)
    tally = UnmappedIds(targets, request.state_dir)
    for done, place in enumerate(places):
        report.checkpoint()
        report.progress(done, len(places), "crops planned")
        _add_place(ready, place, budget, tally, report)
    report.progress(len(places), len(places), "crops planned")
    _check_paths(ready)
    if not ready.jobs:
        raise _nothing_to_do(ready)
    ready.unmapped = tally.result()
    ready.warnings += tally.words(ready.unmapped)
    _measure_disk(ready)
    return ready


def chosen_targets(request: MapLabelsRequest, labels: tuple[str, ...]) -> Targets:
    """Return the targets that are asked for, of the kind that is asked for.

    Raises
    ------
    RequestError
        If the file is wrong, or a target has the name of the combined volume.
    """
    if request.targets is not None:
        targets = read_targets(request.targets, labels=labels)
    else:
        targets = targets_of(request.classes or (str(request.input_class),), labels=labels)
    if request.combined and COMBINED in targets.names:
        raise RequestError(f"a target cannot be called {COMBINED!r} with --combined", "give it another name")
    if request.kind is None:
        return targets
    kind = request.kind
    return replace(targets, targets=tuple(replace(target, kind=kind) for target in targets.targets))


def _refuse_overlap(targets: Targets, meaning: Any) -> None:
    from cellmap_tui.challenge.target_ids import overlap

    for first, second in combinations(targets.targets, 2):
        shared = overlap(first.classes, second.classes, meaning)
        if shared is not None:
            raise RequestError(
                f"targets {first.name!r} and {second.name!r} overlap: {shared[0]} and {shared[1]} share ids",
                "leave out --combined, or make the targets of classes that exclude each other",
            )


def _refuse_ground_truth(request: MapLabelsRequest, places: list[Place]) -> None:
    root = request.data_root.resolve()
    for place in places:
        folder = place.folder.resolve()
        below = folder.parts[len(root.parts) :] if folder.is_relative_to(root) else ()
        if "groundtruth" in below:
            raise RefusedError(f"{place.folder} is the folder of the ground truth", "write elsewhere with -o")
        if len(below) > 1 and below[1] == f"{below[0]}.zarr":
            raise RefusedError(f"{place.folder} is inside a store of the challenge data", "write elsewhere with -o")


def _add_place(prepared: Prepared, place: Place, budget: MemoryBudget, tally: UnmappedIds, report: Reporter) -> None:
    request = prepared.request
    try:
        labels = place.open()
        tally.add(place, labels, report)
    except Stopped:
        raise
    except CellmapError as error:
        prepared.errors.append(_of_place(place, error))
        prepared.others += [_absent(place, target.name, target.kind, error) for target in prepared.targets.targets]
        return
    if request.separate:
        for target in prepared.targets.targets:
            _add_job(prepared, place, labels, (target,), target.name, budget)
    if request.combined:
        masks = tuple(replace(target, kind="semantic", core=False) for target in prepared.targets.targets)
        _add_job(prepared, place, labels, masks, COMBINED, budget)


def _add_job(
    prepared: Prepared, place: Place, labels: Labels, targets: tuple[Target, ...], name: str, budget: MemoryBudget
) -> None:
    from cellmap_tui.volumes.target_labels import Instancing, open_target

    request, ignored = prepared.request, prepared.targets.ignored
    kind = "combined" if name == COMBINED else targets[0].kind
    how = Instancing(request.method, request.seed_distance_nm)
    try:
        readers = tuple((target, open_target(labels, target, ignored, instancing=how)) for target in targets)
    except CellmapError as error:
        prepared.errors.append(_of_place(place, error))
        prepared.others.append(_absent(place, name, kind, error))
        return
    known = [reader for _, reader in readers if reader is not None]
    volume = _volume(place, name, kind)
    if not known:
        prepared.others.append(replace(volume, state="unannotated", reason="no class of it is annotated here"))
        return
    memory = sum(reader.memory_bytes for reader in known) if request.method == "watershed" else 0
    if memory > budget.bytes:
        raise RefusedError(
            f"{place.ref}: a watershed of {name} needs {size(memory)} of memory, {size(budget.bytes)} are free",
            "allow it with --memory SIZE, use --method components, or choose smaller crops",
        )
    source = "; ".join(dict.fromkeys(reader.words for reader in known))
    volume = replace(volume, source=source, memory_bytes=memory or None)
    job = Job(volume, readers, volume_key(place, readers, ignored, request, kind))
    prepared.jobs.append(job)
    _compare(prepared, job)


def _volume(place: Place, name: str, kind: Any) -> MappedVolume:
    return MappedVolume(
        crop=place.ref,
        target=name,
        kind=kind,
        path=str(place.folder / name),
        source="",
        shape=place.grid.shape,
        voxel_size_nm=place.grid.voxel_size_nm,
        state="planned",
    )


def _absent(place: Place, name: str, kind: Any, error: CellmapError) -> MappedVolume:
    state: VolumeState = "missing" if isinstance(error, MissingDataError) else "failed"
    return replace(_volume(place, name, kind), state=state, reason=str(error))


def _of_place(place: Place, error: CellmapError) -> CellmapError:
    """Return an error that names the crop."""
    is_named = place.ref in error.message or str(place.folder) in error.message
    return error if is_named else type(error)(f"{place.ref}: {error.message}", error.remedy)


def _compare(prepared: Prepared, job: Job) -> None:
    """Find out what stands where a volume is to go."""
    path = Path(job.volume.path)
    if not path.exists():
        return
    record = recorded(path)
    if record.get("key") == job.key:
        job.volume = with_record(replace(job.volume, state="kept"), path, record)
    elif not record:
        prepared.conflicts.append(f"{path} exists and was not written by map-labels: write elsewhere with -o")
    elif not prepared.request.overwrite:
        prepared.conflicts.append(f"{path} was mapped from other labels or otherwise: --overwrite replaces it")


def _check_paths(prepared: Prepared) -> None:
    seen: dict[str, str] = {}
    for volume in [job.volume for job in prepared.jobs] + prepared.others:
        if volume.path in seen:
            raise RequestError(
                f"{seen[volume.path]} and {volume.crop} would both be written to {printable(volume.path)}",
                "use {dataset} and {crop} in the output",
            )
        seen[volume.path] = volume.crop


def _nothing_to_do(prepared: Prepared) -> CellmapError:
    if prepared.errors:
        return prepared.errors[0]
    names = ", ".join(prepared.targets.classes[:5])
    return MissingDataError(f"no chosen crop has annotations of {names}", "`crops class:NAME` lists those that have")


def _measure_disk(prepared: Prepared) -> None:
    from cellmap_tui.services.import_place import free_bytes

    sizes = {"semantic": 1, "combined": 2, "instance": 4}
    for job in prepared.todo:
        depth, height, width = job.volume.shape
        prepared.needed_bytes += depth * height * width * sizes[job.volume.kind] * 8 // 7 // _SHARE
    first = next(iter(prepared.jobs)).volume.path
    prepared.free_bytes = free_bytes(Path(first).parent)
