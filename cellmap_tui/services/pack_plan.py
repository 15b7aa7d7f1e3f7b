"""What packing would do: which volumes, how much of them is packed already, memory and room on the disk."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError, RefusedError, RequestError, UnknownNameError
from cellmap_tui.services.pack_coverage import coverage_of, expected_words
from cellmap_tui.services.pack_model import Coverage, PackPlan, PackRequest
from cellmap_tui.services.pack_parts import Part, Parts, is_unfinished, part_key
from cellmap_tui.services.pack_sources import find_places, required_volumes
from cellmap_tui.services.pack_volume import VolumeJob
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import count, nearest, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.services.pack_model import Cell
    from cellmap_tui.services.report import Reporter

MEMORY_BYTES = 900_000_000
"""Memory for voxels: with the libraries beside it less than 1.5 GB at any size."""
MOST_WORKERS = 16
EMPTY_BYTES = 1000
"""What a volume without chunks takes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before a voxel is read."""

    output: Path
    """The zip."""
    coverage: Coverage
    """What is there."""
    jobs: tuple[VolumeJob, ...]
    """Volumes that go into the zip, in its order."""
    keys: dict[str, str]
    """Key of each part by the volume's name."""
    kept: dict[str, Part]
    """Parts of an interrupted packing."""
    workers: int
    """Volumes at once."""
    memory_bytes: int
    """Memory for voxels."""
    required: tuple[Annotation, ...]
    """Every volume that is scored."""

    @property
    def todo(self) -> list[VolumeJob]:
        """Volumes to pack now."""
        return [job for job in self.jobs if job.name not in self.kept]


def plan_pack(request: PackRequest, report: Reporter | None = None) -> PackPlan:
    """Say what packing would do.

    Raises
    ------
    CellmapError
        If there is nothing to pack, or something that was named is wrong.
    RefusedError
        If the zip exists already, or there is no room.
    """
    from cellmap_tui.scoring.limits import Limits

    prepared = prepare(request, report or SilentReporter())
    cells = prepared.coverage.cells
    by_pair = prepared.coverage.by_pair()
    filled = sum(job.place is None for job in prepared.jobs)
    return PackPlan(
        output=prepared.output,
        coverage=prepared.coverage,
        to_pack=len(prepared.todo),
        kept=len(prepared.kept),
        filled=filled,
        left_out=len(cells) - len(prepared.jobs),
        voxels=sum(job.grid.voxels for job in prepared.todo),
        unpacked_bytes=estimated_bytes(prepared),
        limit_bytes=Limits.from_environment().max_uncompressed_bytes,
        free_bytes=free_bytes(prepared.output),
        workers=prepared.workers,
        memory_bytes=prepared.memory_bytes,
        warnings=tuple(warnings_of(request, list(by_pair.values()), prepared.output)),
    )


def check_found(prepared: Prepared) -> None:
    """Refuse to pack nothing.

    Raises
    ------
    MissingDataError
        If there is no prediction at all; says where one would be found.
    """
    found = prepared.coverage
    if found.count("missing") == found.required:
        raise MissingDataError(
            f"{found.input} holds none of the {count(found.required)} volumes that are scored",
            f"expected for example {expected_words(found.input, prepared.required)}; other test crops are named with "
            "--test-manifest",
        )


def prepare(request: PackRequest, report: Reporter) -> Prepared:
    """Find the predictions, and what is packed of them already.

    Raises
    ------
    MissingDataError
        If there is nothing at the place that was named.
    UnknownNameError
        If a class that was named is not one that is scored.
    RefusedError
        If the zip exists already and may not be replaced, or its place cannot be written.
    """
    output = output_of(request)
    check_output(output, overwrite=request.overwrite)
    required = required_volumes(request, report)
    _check_classes(request, required)
    places = find_places(request, required)
    found = coverage_of(request, required, places, report)
    packed = {(cell.crop, cell.label) for cell in found.cells if cell.is_packed}
    jobs = []
    for annotation in required:
        pair = (annotation.crop.name, annotation.class_name)
        is_missing = pair not in places.found
        if pair in packed or (is_missing and request.fill_missing == "zeros"):
            jobs.append(VolumeJob(annotation, None if is_missing else places.found[pair], request.threshold))
    keys, kept, parts = {}, {}, Parts(output)
    for job in jobs:
        report.checkpoint()
        keys[job.name] = part_key(job)
        part = parts.get(job, keys[job.name])
        if part is not None:
            kept[job.name] = part
    memory_bytes = _memory(request)
    return Prepared(output, found, tuple(jobs), keys, kept, _workers(request), memory_bytes, tuple(required))


def _check_classes(request: PackRequest, required: Sequence[Annotation]) -> None:
    scored = {annotation.class_name for annotation in required}
    for name in request.classes:
        if name not in scored:
            near = nearest(name, sorted(scored))
            raise UnknownNameError(
                f"no class {name!r} is scored", f"did you mean {near!r}?" if near else "see: cellmap-tui classes"
            )


def zero_jobs(prepared: Prepared) -> list[VolumeJob]:
    """Return a volume of zeros for everything that is scored."""
    return [VolumeJob(annotation, None, None) for annotation in prepared.required]


def with_jobs(prepared: Prepared, jobs: list[VolumeJob]) -> Prepared:
    """Return a preparation in which these volumes stand in place of their namesakes, in the same order."""
    by_name = {job.name: job for job in (*prepared.jobs, *jobs)}
    ordered = tuple(by_name[job.name] for job in zero_jobs(prepared) if job.name in by_name)
    return replace(prepared, jobs=ordered)


def output_of(request: PackRequest) -> Path:
    """Return where the zip goes: into a folder that is there; for ``name.zarr``, as the official toolbox writes it.

    Raises
    ------
    RequestError
        If neither an output nor a data root is known.
    """
    if request.output is None and request.data_root is None:
        raise RequestError("where the zip goes is not said", "give --output-path")
    output = request.output or request.data_root / "submission.zip"  # type: ignore[operator]
    if output.is_dir() and output.suffix != ".zarr":
        return output / "submission.zip"
    if output.suffix == ".zarr":
        return output.with_suffix(".zip")
    return output if output.suffix.lower() == ".zip" else output.with_name(f"{output.name}.zip")


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse a zip that is there already, and a place that cannot be written.

    Raises
    ------
    RefusedError
        With the flag that allows it.
    """
    if output.is_dir():
        raise RefusedError(f"{output} is a folder", "name a zip with --output-path")
    if output.exists() and not overwrite and not is_unfinished(output):
        raise RefusedError(f"{output} exists already", "replace it with --overwrite, or write elsewhere")
    folder = _existing(output.parent)
    if not folder.is_dir():
        raise RefusedError(f"{folder} is no folder", "write elsewhere with --output-path")
    if not os.access(folder, os.W_OK):
        raise RefusedError(f"{folder} cannot be written", "write elsewhere with --output-path")


def free_bytes(output: Path) -> int:
    """Return the room on the disk of the zip."""
    return shutil.disk_usage(_existing(output.parent)).free


def estimated_bytes(prepared: Prepared) -> int:
    """Return about how large the submission will be: labels compress well, so this is rather too much."""
    total = sum(part.stored_bytes for part in prepared.kept.values())
    for job in prepared.todo:
        total += EMPTY_BYTES if job.place is None else job.grid.voxels // 20
    return total


def check_room(prepared: Prepared) -> None:
    """Refuse to begin where the zip will not fit.

    Raises
    ------
    RefusedError
        With what is needed and what is free.
    """
    # Half of the estimate: a guess must not stop what would have fitted, and a full disk is met later in good order.
    needed, free = estimated_bytes(prepared) // 2, free_bytes(prepared.output)
    if free < min(needed, 2**30):
        raise RefusedError(
            f"the zip needs about {size(needed)}, and {size(free)} are free on the disk of {prepared.output}",
            "make room, or write elsewhere with --output-path",
        )


def warnings_of(request: PackRequest, cells: list[Cell], output: Path) -> list[str]:
    """Return what may need attention before anything is packed."""
    words = []
    missing = [cell for cell in cells if cell.state == "missing"]
    if missing and request.fill_missing == "none":
        words.append(
            f"{count(len(missing))} of {count(len(cells))} volumes are not predicted and will be left out; an empty "
            "volume costs less than none: --fill-missing zeros"
        )
    folder = output.with_suffix(".zarr")
    if folder.is_dir():
        words.append(f"the official scorer would score the folder {folder} in place of {output.name}: remove it")
    return words


def _existing(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.exists()), folder)


def _memory(request: PackRequest) -> int:
    from cellmap_tui.services.memory_budget import memory_budget

    if request.memory_bytes is not None:
        return request.memory_bytes
    return min(MEMORY_BYTES, memory_budget(None).bytes)


def _workers(request: PackRequest) -> int:
    from cellmap_tui.services.evaluate_plan import max_workers

    return request.workers or max(1, min(MOST_WORKERS, math.floor(max_workers())))
