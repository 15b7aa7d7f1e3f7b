"""`pack-results`: predictions, aligned and checked, as the zip to upload.

Volumes are packed side by side into parts beside the zip, the parts are put behind one another, the
zip is looked through, and only then it takes its name. The same input gives the same bytes, whether
or not it was killed on the way.
"""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.services.pack_coverage import coverage
from cellmap_tui.services.pack_log import log_packed
from cellmap_tui.services.pack_model import WRONG_STATES, PackedVolume, PackRequest, PackResult
from cellmap_tui.services.pack_parts import Part, Parts, as_refused, part_key
from cellmap_tui.services.pack_plan import (
    Prepared,
    check_found,
    check_room,
    plan_pack,
    prepare,
    warnings_of,
    with_jobs,
    zero_jobs,
)
from cellmap_tui.services.pack_provenance import provenance
from cellmap_tui.services.pack_work import Failure, Packed, pack_all
from cellmap_tui.text import count

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.pack_model import Cell
    from cellmap_tui.services.pack_volume import VolumeJob
    from cellmap_tui.services.report import Reporter

__all__ = ["PackRequest", "PackResult", "coverage", "pack_results", "plan_pack"]

SHOWN = 5


def pack_results(request: PackRequest, report: Reporter) -> PackResult:
    """Build the zip to upload.

    Parameters
    ----------
    request
        Which predictions, and where the zip goes.
    report
        Told voxels as they are packed, warnings and the zip.

    Returns
    -------
    PackResult
        The zip and every volume; no zip, and exit code 1, where a volume could not be packed.

    Raises
    ------
    MissingDataError
        If there is no prediction at all.
    DataError
        If a manifest, mapping or zip is wrong, or the finished zip does not pass.
    RefusedError
        If the zip exists already, another process packs it, or the disk is full; finished volumes are kept.
    Stopped
        When the user asked to stop; finished volumes are kept.
    """
    started = time.perf_counter()
    prepared = prepare(request, report)
    check_found(prepared)
    notes = warnings_of(request, list(prepared.coverage.cells), prepared.output)
    for words in notes:
        report.warning(words)
    check_room(prepared)
    provenance(request, ())  # a checkpoint that is not there is told before the work
    with Parts(prepared.output) as parts:
        if prepared.kept:
            report.note(f"{count(len(prepared.kept))} volumes are kept of an interrupted packing")
        packed = pack_all(
            prepared.todo,
            prepared.keys,
            parts,
            workers=prepared.workers,
            memory_bytes=prepared.memory_bytes,
            report=report,
        )
        packed.parts |= prepared.kept
        failures = _failures(prepared, packed)
        if failures and not request.skip_wrong:
            return _result(prepared, packed, failures, None, started, notes)
        if failures and request.fill_missing == "zeros":
            prepared = _fill(prepared, packed, failures, parts, report)
        zipped = _written(request, prepared, packed, parts, report)
        result = _result(prepared, packed, failures, zipped, started, notes)
        result = replace(result, log_id=log_packed(request, prepared, packed, result, report))
        parts.remove()
    return result


def _fill(
    prepared: Prepared, packed: Packed, failures: dict[str, Failure], parts: Parts, report: Reporter
) -> Prepared:
    """Pack zeros for what could not be packed."""
    zeros = [job for job in zero_jobs(prepared) if job.name in failures]
    keys = {job.name: part_key(job) for job in zeros}
    packed.parts |= pack_all(zeros, keys, parts, workers=1, memory_bytes=prepared.memory_bytes, report=report).parts
    return with_jobs(prepared, zeros)


def _failures(prepared: Prepared, packed: Packed) -> dict[str, Failure]:
    """Return what could not be packed: found by its metadata, or in its voxels."""
    unreadable = {
        f"{cell.crop}/{cell.label}": Failure(cell.words, cell.fix.words)
        for cell in prepared.coverage.cells
        if cell.state in WRONG_STATES
    }
    return unreadable | packed.failures


def _written(
    request: PackRequest, prepared: Prepared, packed: Packed, parts: Parts, report: Reporter
) -> tuple[str, int]:
    """Put the parts together, look the zip through and put it in place; return its hash and size."""
    jobs = [job for job in prepared.jobs if job.name in packed.parts]
    building = parts.folder / prepared.output.name
    header = provenance(request, jobs)
    try:
        with as_refused(building):
            with building.open("wb") as file:
                digest = _assemble(file, jobs, packed.parts, header, report)
                file.flush()
                os.fsync(file.fileno())
            size_bytes = building.stat().st_size
        _check(request, building, jobs, parts, report)
        with as_refused(prepared.output):
            parts.mark_finished(digest)
            building.replace(prepared.output)
    finally:
        with contextlib.suppress(OSError):
            building.unlink(missing_ok=True)
    report.artefact(prepared.output, "submission")
    return digest, size_bytes


def _assemble(
    file: IO[bytes], jobs: list[VolumeJob], parts: dict[str, Part], header: dict[str, object], report: Reporter
) -> str:
    import json

    from cellmap_tui.services.pack_zip import ZipAssembler
    from cellmap_tui.volumes.packed_array import GROUP

    zipped = ZipAssembler(file)
    zipped.add(".zgroup", GROUP)
    zipped.add(".zattrs", json.dumps({"cellmap_tui": header}, sort_keys=True, indent=1).encode())
    crop = ""
    for job in jobs:
        report.checkpoint()
        if job.annotation.crop.name != crop:
            crop = job.annotation.crop.name
            zipped.add(f"{crop}/.zgroup", GROUP)
        zipped.add_part(parts[job.name].path, parts[job.name].members)
    return zipped.finish()


def _check(request: PackRequest, building: Path, jobs: list[VolumeJob], parts: Parts, report: Reporter) -> None:
    """Read the zip back: every member by its checksum, and the layout as the challenge sees it.

    Raises
    ------
    DataError
        If it does not pass.
    """
    from cellmap_tui.services.validate_submission import ValidateRequest, validate_submission

    report.note("reading the zip back")
    broken = _broken_members(building, report)
    if broken:
        for job in jobs:
            if any(name.startswith(f"{job.name}/") for name in broken):
                parts.discard(job)
        raise DataError(
            f"{count(len(broken))} members of the zip do not read back as they were written, such as {broken[0]}",
            "run it again: these volumes are packed anew; if it happens again, check the disk",
        )
    found = validate_submission(
        ValidateRequest(building, quick=True, state_dir=request.state_dir, test_manifest=request.test_manifest),
        _Quiet(report),
    )
    errors = [finding for finding in found.findings if finding.severity == "error"]
    if errors:
        first = errors[0]
        raise DataError(
            f"the zip does not pass, {count(len(errors))} errors: {first.where}: {first.problem}", first.fix
        )


def _broken_members(path: Path, report: Reporter) -> list[str]:
    broken = []
    with zipfile.ZipFile(path) as archive:
        for number, member in enumerate(archive.infolist()):
            if number % 256 == 0:
                report.checkpoint()
            try:
                archive.read(member)
            except (zipfile.BadZipFile, OSError, EOFError):
                broken.append(member.filename)
    return broken


class _Quiet:
    """Passes on the wish to stop and nothing else: its figures would follow the end of the bar."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def progress(self, done: float, total: float | None, unit: str) -> None: ...
    def metric(self, step: int, values: object, epoch: int | None = None) -> None: ...
    def note(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def artefact(self, path: Path, kind: str) -> None: ...

    def checkpoint(self) -> None:
        self._report.checkpoint()


def _result(
    prepared: Prepared,
    packed: Packed,
    failures: dict[str, Failure],
    zipped: tuple[str, int] | None,
    started: float,
    notes: list[str],
) -> PackResult:
    volumes = tuple(_row(cell, packed, failures) for cell in prepared.coverage.cells)
    inside = [v for v in volumes if v.dtype]
    return PackResult(
        zip=prepared.output if zipped else None,
        sha256=zipped[0] if zipped else "",
        size_bytes=zipped[1] if zipped else 0,
        unpacked_bytes=sum(v.stored_bytes for v in inside),
        required=len(volumes),
        present=sum(v.max_value > 0 for v in inside),
        empty=sum(v.max_value == 0 for v in inside),
        filled=sum(v.state == "missing" or v.state in WRONG_STATES for v in inside),
        missing=len(volumes) - len(inside),
        failed=len(failures),
        volumes=volumes,
        kept=len(prepared.kept),
        elapsed_s=round(time.perf_counter() - started, 3),
        warnings=(*notes, *_content_words(volumes)),
    )


def _row(cell: Cell, packed: Packed, failures: dict[str, Failure]) -> PackedVolume:
    name = f"{cell.crop}/{cell.label}"
    part, failure = packed.parts.get(name), failures.get(name)
    words = failure or Failure("", "")
    state = cell.state if failure is None or cell.state in WRONG_STATES else "unreadable"
    if part is None:
        return PackedVolume(cell.crop, cell.label, state, "", 0, 0, (), words.problem, words.fix)
    facts = part.facts
    return PackedVolume(
        cell.crop,
        cell.label,
        facts.state if failure is None else state,
        facts.dtype,
        facts.max_value,
        part.stored_bytes,
        facts.warnings,
        words.problem,
        words.fix,
    )


def _content_words(volumes: tuple[PackedVolume, ...]) -> list[str]:
    """Return what the voxels turned out to be, the same words once."""
    names: dict[str, list[str]] = {}
    for volume in volumes:
        for words in volume.warnings:
            names.setdefault(words, []).append(f"{volume.crop}/{volume.label}")
    return [
        f"{', '.join(found[:SHOWN])}{f' and {len(found) - SHOWN} more' if len(found) > SHOWN else ''}: {words}"
        for words, found in names.items()
    ]
