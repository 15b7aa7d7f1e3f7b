"""The plan of an import: every stack opened, checked and looked through before anything is written."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.layout import ALL_IDS, crop_path, em_path
from cellmap_tui.errors import RefusedError
from cellmap_tui.services.import_model import ArrayKind, ImportedArray, ImportPlan, ImportRequest
from cellmap_tui.services.import_place import (
    check_dataset,
    crop_grid,
    existing_grid,
    free_bytes,
    label_classes,
    label_grid,
    raw_grid,
    recorded_import,
)
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import PurePosixPath

    from cellmap_tui.challenge.classes import ClassInfo
    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.stack_greys import Greys
    from cellmap_tui.volumes.stack_labels import LabelCoding
    from cellmap_tui.volumes.stacks import Stack

SLAB_BYTES = 48_000_000
"""What is read of a stack at once; a slab is never less than one slice."""

_LABEL_SHARE = 10  # masks and ids compress at least this well


@dataclass(slots=True)
class Part:
    """One multiscale group of the import, with all that is needed to write it."""

    name: str
    """``em``, the class name, or ``all``."""
    path: PurePosixPath
    """Group below the data root."""
    grid: Grid
    """Grid of the finest level."""
    kind: ArrayKind
    """What its values are."""
    dtype: str
    """Type of its values."""
    record: dict[str, Any]
    """What the group will say of its origin."""
    stack: Stack | None = None
    """Where the voxels come from; None for ``all``, which comes from the other labels."""
    start: Shape3 = (0, 0, 0)
    """Voxel of the stack at which the group begins."""
    greys: Greys | None = None
    """How EM values are converted."""
    coding: LabelCoding | None = None
    """How label values are converted."""
    info: ClassInfo | None = None
    """The class."""
    is_kept: bool = False
    """Whether the group is there already, from the same source."""
    unknown_value: int | None = None
    """Stored value of voxels that are not annotated."""

    def slabs(self, depth: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of slices whose rows fit into `SLAB_BYTES`, at most `depth` slices each."""
        row_length = self.stack.shape[2] if self.stack else self.grid.shape[2]
        voxel_bytes = self.stack.dtype.itemsize if self.stack else 8
        slices = max(1, min(depth, SLAB_BYTES // (self.grid.shape[1] * row_length * voxel_bytes)))
        for z in range(0, self.grid.shape[0], slices):
            yield z, min(z + slices, self.grid.shape[0])

    def read(self, z_start: int, z_stop: int) -> Any:
        """Return slices of the group's box as the stack stores them, ``[z, y, x]``."""
        assert self.stack is not None
        z, y, x = self.start
        _, height, width = self.grid.shape
        return self.stack.read(z + z_start, z + z_stop, y, y + height)[:, :, x : x + width]


@dataclass(slots=True)
class Prepared:
    """An import that was checked: what to write, and what to say."""

    request: ImportRequest
    em: Grid
    """Grid of the EM."""
    crop: Crop
    """The crop as it will be registered."""
    parts: list[Part]
    """EM first, where it is imported; then classes; then ``all``."""
    free_bytes: int
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def plan(self) -> ImportPlan:
        """Return it as a plan that can be shown."""
        arrays = tuple(described(part) for part in self.parts)
        needed = sum(a.voxels_bytes // (1 if a.kind == "em" else _LABEL_SHARE) for a in arrays if a.state != "kept")
        return ImportPlan(
            data_root=self.request.data_root,
            dataset=self.crop.dataset,
            crop=self.crop.id,
            ref=self.crop.ref,
            voxel_size_nm=self.crop.grid.voxel_size_nm,
            translation_nm=self.crop.grid.translation_nm,
            shape=self.crop.grid.shape,
            arrays=arrays,
            needed_bytes=needed,
            free_bytes=self.free_bytes,
            notes=tuple(self.notes),
            warnings=tuple(self.warnings),
        )


class Tally:
    """Counts voxels and tells the reporter."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._done = 0
        self._total = 0

    def plan_looking(self, voxels: int) -> None:
        """Say how many voxels will be looked through."""
        self._total = voxels

    def plan_writing(self, voxels: int) -> None:
        """Say how many voxels will be written, now that all were looked through."""
        self._total = self._done + voxels

    def add(self, voxels: int) -> None:
        """Count voxels as done, and give the user a say."""
        self._done += voxels
        self._report.progress(self._done, max(self._total, self._done), "voxels")
        self._report.checkpoint()


def plan_import(request: ImportRequest, report: Reporter | None = None) -> ImportPlan:
    """Say what an import would write; the labels are looked through, nothing is written.

    Raises
    ------
    RequestError, DataError, MissingDataError, RefusedError
        As `import_data`, except for the disk.
    """
    with prepared(request, Tally(report or SilentReporter())) as ready:
        return ready.plan()


@contextmanager
def prepared(request: ImportRequest, tally: Tally) -> Iterator[Prepared]:
    """Open and check every stack of an import; they are closed when the block is left."""
    from contextlib import ExitStack

    classes = label_classes(request)
    existing = check_dataset(request)
    free = free_bytes(request.data_root)
    with ExitStack() as open_files:
        yield _prepare(request, classes, existing, free, tally, open_files)


def described(part: Part) -> ImportedArray:
    """Return what is told of a part."""
    # volumes imports numpy and zarr, about 0.2 s
    import numpy as np

    from cellmap_tui.volumes.geometry import level_grid
    from cellmap_tui.volumes.write import level_count

    levels = level_count(part.grid.shape)
    voxels = sum(level_grid(part.grid, k).voxels for k in range(levels))
    return ImportedArray(
        name=part.name,
        path=str(part.path),
        kind=part.kind,
        dtype=part.dtype,
        shape=part.grid.shape,
        voxel_size_nm=part.grid.voxel_size_nm,
        levels=levels,
        voxels_bytes=voxels * np.dtype(part.dtype).itemsize,
        state="kept" if part.is_kept else "planned",
        unknown_value=part.unknown_value,
    )


def _prepare(
    request: ImportRequest,
    classes: dict[str, ClassInfo],
    existing: Crop | None,
    free: int,
    tally: Tally,
    open_files: ExitStack,
) -> Prepared:
    from cellmap_tui.volumes.stacks import open_stack

    notes: list[str] = []
    raw = open_files.enter_context(open_stack(request.raw, request.axes)) if request.raw else None
    stacks = {name: open_files.enter_context(open_stack(spec, request.axes)) for name, spec in request.labels.items()}
    notes += [note for stack in (raw, *stacks.values()) if stack for note in stack.notes]
    if raw is None:
        em = existing_grid(request)
    else:
        em, found = raw_grid(request, raw)
        notes += found
    box, start = crop_grid(request, em)
    places = {name: label_grid(request, stack, em, box, start) for name, stack in stacks.items()}
    looked_through = sum(grid.voxels for grid, _ in places.values())
    tally.plan_looking(looked_through * 2 + (em.voxels if raw else 0))
    crop = _crop(request, [classes[name] for name in stacks], next((grid for grid, _ in places.values()), box))
    ready = Prepared(request, em, crop, [], free, notes)
    if raw is not None:
        ready.parts.append(_em_part(request, raw, em, tally, ready))
    for name, stack in stacks.items():
        ready.parts.append(_label_part(request, name, classes[name], stack, places[name], tally, ready))
    _add_all_ids(ready)
    for part in ready.parts:
        # A crop that was registered without labels may be given some.
        is_bare = part.kind != "em" and existing is not None and not existing.classes
        _check_place(part, ready, is_replaced=request.overwrite or is_bare)
    return ready


def _crop(request: ImportRequest, classes: list[ClassInfo], grid: Grid) -> Crop:
    names = tuple(info.name for info in sorted(classes, key=lambda info: info.id))
    return Crop(request.crop, request.dataset, "train", grid, names, source="import")


def _em_part(request: ImportRequest, stack: Stack, grid: Grid, tally: Tally, ready: Prepared) -> Part:
    from cellmap_tui.volumes.stack_greys import choose_greys

    greys = choose_greys(
        stack,
        scaling=request.scaling,
        value_range=request.value_range,
        invert=request.invert,
        checkpoint=lambda: tally.add(0),
    )
    if greys.how != "unchanged" or greys.invert:
        ready.notes.append(f"EM of {stack.dtype}: {greys.describe()}")
    record = _record(stack, grid, greys=dataclasses.asdict(greys))
    return Part("em", em_path(request.dataset), grid, "em", "uint8", record, stack=stack, greys=greys)


def _label_part(
    request: ImportRequest,
    given_name: str,
    info: ClassInfo,
    stack: Stack,
    place: tuple[Grid, Shape3],
    tally: Tally,
    ready: Prepared,
) -> Part:
    from cellmap_tui.volumes.stack_labels import LabelFacts, choose_coding

    grid, start = place
    facts = LabelFacts(stack.spec, request.unknown_of(given_name))
    part = Part(info.name, crop_path(ready.crop) / info.name, grid, "binary", "uint8", {}, stack, start, info=info)
    for z_start, z_stop in part.slabs(grid.shape[0]):
        facts.add(part.read(z_start, z_stop))
        tally.add((z_stop - z_start) * grid.shape[1] * grid.shape[2])
    coding, note = choose_coding(
        facts,
        given_name,
        has_instances=info.scoring == "instance",
        declared=request.kinds.get(given_name),
        foreground=request.foreground.get(given_name),
    )
    ready.notes += [note] if note else []
    if facts.unknown is not None and not facts.has_unknown:
        ready.notes.append(f"{given_name}: no voxel has the value {facts.unknown}, declared as unknown")
    part.kind, part.dtype, part.coding = coding.kind, coding.dtype, coding
    part.unknown_value = coding.stored_unknown
    part.record = _record(stack, grid, start=start, coding=dataclasses.asdict(coding))
    return part


def _add_all_ids(ready: Prepared) -> None:
    """Add the array of all class ids when several atomic classes share a grid."""
    atomic = [part for part in ready.parts if part.info is not None and not part.info.is_group]
    if len(atomic) < 2:
        return
    dtype = "uint8" if all(part.info is not None and part.info.id < 255 for part in atomic) else "uint16"
    has_unknown = any(part.unknown_value is not None for part in atomic)
    ready.parts.append(
        Part(
            ALL_IDS,
            crop_path(ready.crop) / ALL_IDS,
            ready.crop.grid,
            "ids",
            dtype,
            {"labels": {part.name: part.record for part in atomic}},
            unknown_value=(255 if dtype == "uint8" else 65535) if has_unknown else None,
        )
    )


def _record(stack: Stack, grid: Grid, **more: Any) -> dict[str, Any]:
    """Return what tells this array from one of another source, as JSON would give it back."""
    record = {"source": stack.identity(), "grid": dataclasses.asdict(grid), **more}
    result: dict[str, Any] = json.loads(json.dumps(record))
    return result


def _check_place(part: Part, ready: Prepared, *, is_replaced: bool) -> None:
    path = ready.request.data_root / part.path
    if not path.exists():
        return
    recorded = recorded_import(path)
    if recorded == part.record:
        part.is_kept = True
        return
    if not is_replaced:
        raise RefusedError(
            f"{path} exists and was made from something else",
            "choose another name or number, or replace it with --overwrite",
        )
    if part.kind == "em" and recorded.get("grid") != part.record["grid"]:
        ready.warnings.append(f"the EM of {ready.crop.dataset} changes its place: earlier crops may no longer fit it")


def slab_voxels(part: Part, z_start: int, z_stop: int) -> int:
    """Return the number of voxels in a range of slices of a part."""
    return (z_stop - z_start) * math.prod(part.grid.shape[1:])
