"""`get-counts`: crops, voxels and objects of each class, by dataset and crop.

Read from the same remembered scan as the split, with the parts of masks counted as well.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import TYPE_CHECKING

from cellmap_tui.services.counts_model import ClassCount, CountsResult, CropCount
from cellmap_tui.services.replaceable import check_table
from cellmap_tui.services.split_model import SplitRequest
from cellmap_tui.services.split_targets import view_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.content_scan import Scanned
    from cellmap_tui.services.counts_model import CountsRequest, CountState
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.split_model import TargetState
    from cellmap_tui.services.split_sources import Candidate
    from cellmap_tui.services.split_targets import Meaning

_HEADER = ",".join(field.name for field in dataclasses.fields(CropCount))

_STATES: dict[TargetState, CountState] = {
    "present": "present",
    "annotated": "present",
    "absent": "absent",
    "part": "absent",
    "unknown": "unknown",
    "coarse": "unknown",
    "missing": "missing",
    "broken": "broken",
}


def get_counts(request: CountsRequest, report: Reporter) -> CountsResult:
    """Count classes on disk.

    Raises
    ------
    RequestError
        If a name is unknown.
    MissingDataError
        If no crop has labels on disk.
    RefusedError
        If the output is a file with something else in it.
    Stopped
        When the user asked to stop; what was counted is remembered.
    """
    from cellmap_tui.services.content_cache import ContentCache
    from cellmap_tui.services.content_scan import scan_labels
    from cellmap_tui.services.split import gather
    from cellmap_tui.services.split_targets import arrays_to_scan

    if request.output is not None:
        check_table(request.output, _HEADER)
    asked = _as_split(request)
    meaning, found = gather(asked, report)
    arrays = [array for candidate in found.candidates for array in arrays_to_scan(candidate, meaning)]
    cache = ContentCache(None if request.search_path else request.data_root, request.state_dir)
    scans = scan_labels(arrays, cache, report, with_objects=request.objects)
    rows = tuple(
        _crop_count(target, candidate, meaning, scans, asked)
        for candidate in found.candidates
        for target in meaning.targets.targets
    )
    datasets = tuple(dict.fromkeys(row.dataset for row in rows))
    names = meaning.targets.names
    if request.output is not None:
        write_counts(request.output, rows)
        report.artefact(request.output, "table")
    by_dataset = (_class_count(name, dataset, rows) for dataset in datasets for name in names)
    return CountsResult(
        classes=names,
        totals=tuple(_class_count(name, "", rows) for name in names),
        datasets=tuple(row for row in by_dataset if row.annotated or row.missing),
        crops=rows,
        not_local=found.not_local,
        output=request.output,
    )


def write_counts(path: Path, rows: Sequence[CropCount]) -> None:
    """Write a row per crop and class as CSV; the file that was there stays whole until the new one is."""
    from cellmap_tui.services.evaluate_files import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(CropCount)])
    writer.writerows(csv_cells(row) for row in rows)
    write_text(path, text.getvalue())


def csv_cells(row: CropCount) -> list[object]:
    """Return a row as the cells of its CSV; lists are joined by semicolons."""
    values = (getattr(row, field.name) for field in dataclasses.fields(CropCount))
    return [";".join(map(str, value)) if isinstance(value, tuple) else value for value in values]


def _as_split(request: CountsRequest) -> SplitRequest:
    """Return the request that finds the same crops and classes for a split."""
    from pathlib import Path

    return SplitRequest(
        csv_path=Path(),
        data_root=request.data_root,
        classes=request.classes or ("*",),
        targets=request.targets,
        datasets=request.datasets,
        crops=request.crops,
        search_path=request.search_path,
        raw_name=request.raw_name,
        crop_name=request.crop_name,
        state_dir=request.state_dir,
        manifest=request.manifest,
        train_manifest=request.train_manifest,
        test_manifest=request.test_manifest,
    )


def _crop_count(
    target: Target,
    candidate: Candidate,
    meaning: Meaning,
    scans: dict[tuple[str, str], Scanned],
    asked: SplitRequest,
) -> CropCount:
    view = view_target(target, candidate, meaning, scans, asked)
    contents = [
        scan.content
        for name in view.arrays
        if (scan := scans.get((candidate.ref, name))) is not None and scan.content
    ]
    first = contents[0] if contents else None
    alone = first if len(contents) == 1 == len(view.arrays) else None
    diameters = alone.object_diameters_nm if alone is not None else None
    return CropCount(
        ref=candidate.ref,
        dataset=candidate.dataset,
        name=target.name,
        state=_STATES[view.stand.state],
        is_complete=view.is_complete,
        voxel_size_nm=first.voxel_size_nm if first is not None else candidate.grid.voxel_size_nm,
        shape=first.shape if first is not None else candidate.grid.shape,
        voxels=view.stand.voxels,
        share=view.stand.share,
        volume_um3=math.fsum(content.foreground_um3 for content in contents) if contents else None,
        objects=_objects(alone, contents),
        touching=alone.touching_objects if alone is not None else None,
        object_nm=diameters[1] if diameters is not None else None,
    )


def _objects(alone: LabelContent | None, contents: Sequence[LabelContent]) -> int | None:
    """Return the objects of a class; parts of several arrays cannot be joined without reading them together."""
    if alone is not None:
        return alone.objects
    return 0 if contents and not any(content.is_present for content in contents) else None


def _class_count(name: str, dataset: str, rows: Iterable[CropCount]) -> ClassCount:
    mine = [row for row in rows if row.name == name and dataset in {"", row.dataset}]
    known = [row for row in mine if row.state in {"present", "absent"}]
    uncounted = any(row.objects is None for row in known)
    with_ids = [row for row in known if row.touching is not None and row.objects]
    objects = sum(row.objects or 0 for row in with_ids)
    return ClassCount(
        name=name,
        dataset=dataset,
        annotated=len(known),
        present=sum(row.state == "present" for row in known),
        missing=sum(row.state == "missing" for row in mine),
        voxels=sum(row.voxels or 0 for row in known),
        volume_um3=math.fsum(row.volume_um3 or 0.0 for row in known),
        objects=None if uncounted else sum(row.objects or 0 for row in known),
        touching_share=sum(row.touching or 0 for row in with_ids) / objects if objects else None,
    )
