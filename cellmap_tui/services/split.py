"""`make-datasplit`: divides crops into training and validation, and writes the official five-column CSV.

The order of things: find the crops, look at what their labels hold (remembered), leave out what cannot or
shall not be used, draw the sides, write. `plan_split` does all but the writing, for a preview.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.datasplit import Split, SplitRow, parse_split, write_split
from cellmap_tui.errors import CellmapError, RefusedError, RequestError
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.split_assign import assign, assign_folds
from cellmap_tui.services.split_check import check_annotated, check_shown, none_usable
from cellmap_tui.services.split_counts import count_targets, split_notes, split_warnings
from cellmap_tui.services.split_judge import Judge
from cellmap_tui.services.split_model import ALL_TARGETS, EVERY_CLASS, FoldCounts, SplitCrop, SplitPlan, SplitResult
from cellmap_tui.services.split_targets import Meaning, arrays_to_scan
from cellmap_tui.services.split_units import make_units, overlaps
from cellmap_tui.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.datasplit import Usage
    from cellmap_tui.services.content_scan import Scanned
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.split_judge import Judged
    from cellmap_tui.services.split_model import SplitRequest
    from cellmap_tui.services.split_sources import Found


def make_datasplit(request: SplitRequest, report: Reporter) -> SplitResult:
    """Divide the crops and write the split, or one per fold.

    Raises
    ------
    RequestError
        If a name is unknown or nothing can be learned of a target; says which crops were searched and why.
    MissingDataError
        If no crop is there.
    RefusedError
        If the file to be written exists and is no datasplit.
    Stopped
        When the user asked to stop; what was looked at is remembered.
    """
    paths = csv_paths(request)
    for path in paths:
        _check_target(path)
    plan = plan_split(request, report)
    for words in plan.notes:
        report.note(words)
    for words in plan.warnings:
        report.warning(words)
    splits = splits_of(plan)
    if request.dry_run:
        return SplitResult((), tuple(split.digest for split in splits), request.seed, plan)
    if not (request.force or all(split.train for split in splits)):
        raise RequestError(
            f"all {counted(len(splits[0].rows), 'crop')} would validate, none is left to learn from", _remedy(request)
        )
    for path, split in zip(paths, splits, strict=True):
        write_split(path, split)
        report.artefact(path, "datasplit")
    return SplitResult(paths, tuple(split.digest for split in splits), request.seed, plan)


def _remedy(request: SplitRequest) -> str:
    if request.force_all_classes in {"train", "validate"}:
        instead = "crops that overlap stay together: -fa leaves out those that lack a class"
    else:
        instead = "bind fewer crops with --validate-crops, or take more crops"
    return f"{instead}; --force writes it all the same"


def csv_paths(request: SplitRequest) -> tuple[Path, ...]:
    """Return the files that a request writes."""
    path = request.csv_path
    if request.k_folds is None:
        return (path,)
    return tuple(path.with_name(f"{path.stem}_fold{fold}{path.suffix}") for fold in range(1, request.k_folds + 1))


def plan_split(request: SplitRequest, report: Reporter | None = None) -> SplitPlan:
    """Return what a split would be; raises as `make_datasplit` does."""
    report = report or SilentReporter()
    meaning, found = gather(request, report)
    _check_minimums(request, meaning)
    if not request.force:
        check_annotated(found.candidates, meaning, report)
    scans = _scan(request, meaning, found, report)
    judge = Judge(request, meaning, scans, found.candidates)
    judged = [judge.judge(candidate) for candidate in found.candidates]
    if not request.force:
        check_shown(judged, meaning, report)
    used = [crop for crop in judged if crop.dropped is None]
    if not used:
        raise none_usable(judged)
    return _plan(request, meaning, found, judged, used)


def splits_of(plan: SplitPlan) -> tuple[Split, ...]:
    """Return the split of a plan, or one per fold."""
    rows = [crop.row for crop in plan.crops if crop.row is not None]
    if not plan.folds:
        return (Split(tuple(rows)),)
    return tuple(
        Split(
            tuple(
                replace(crop.row, usage="validate" if crop.fold == fold.fold else "train")
                for crop in plan.crops
                if crop.row is not None
            )
        )
        for fold in plan.folds
    )


def gather(request: SplitRequest, report: Reporter) -> tuple[Meaning, Found]:
    """Return what the targets of a request mean, and the crops that it may use; raises as `make_datasplit`."""
    if request.search_path or request.raw_name or request.crop_name:
        from cellmap_tui.services.split_search import find_searched

        found = find_searched(request)
        table = builtin_classes()
        annotated = {name for candidate in found.candidates for name in candidate.annotated}
        return _meaning(request, table, frozenset(n for n in annotated if n not in table), lambda: annotated), found
    catalog = _catalog(request, report)
    others = catalog.vocabulary.other_classes
    meaning = _meaning(request, catalog.classes, others, lambda: _annotated(request, catalog))
    if request.use_s3:
        from cellmap_tui.services.split_remote import find_remote

        return meaning, find_remote(request, catalog, meaning.arrays_of if request.scan else lambda _: (), report)
    from cellmap_tui.services.split_sources import find_local

    return meaning, find_local(request, catalog)


def _catalog(request: SplitRequest, report: Reporter) -> Catalog:
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    return open_catalog(source, report)


def _meaning(
    request: SplitRequest, table: ClassTable, labels: frozenset[str], annotated: Callable[[], Iterable[str]]
) -> Meaning:
    from cellmap_tui.challenge.targets import read_targets, targets_of

    if request.targets is not None:
        return Meaning(read_targets(request.targets, table, labels=labels), table, labels)
    names = request.classes
    if names == EVERY_CLASS:
        names = tuple(sorted(annotated(), key=table.order))
    return Meaning(targets_of(names, table, labels=labels), table, labels)


def _annotated(request: SplitRequest, catalog: Catalog) -> set[str]:
    """Return the classes that the crops on disk annotate, or where addresses are written those of the catalog."""
    from cellmap_tui.services.split_sources import chosen_crops, find_local

    if request.use_s3:
        return {name for crop in chosen_crops(request, catalog) for name in crop.classes}
    return {name for candidate in find_local(request, catalog).candidates for name in candidate.annotated}


def _check_minimums(request: SplitRequest, meaning: Meaning) -> None:
    for name, _ in request.min_foreground:
        if name != ALL_TARGETS:
            meaning.targets.get(name)


def _scan(request: SplitRequest, meaning: Meaning, found: Found, report: Reporter) -> dict[tuple[str, str], Scanned]:
    if request.use_s3 or not request.scan:
        return {}
    from cellmap_tui.services.content_cache import ContentCache
    from cellmap_tui.services.content_scan import scan_labels

    arrays = [array for candidate in found.candidates for array in arrays_to_scan(candidate, meaning)]
    is_elsewhere = bool(request.search_path)
    cache = ContentCache(None if is_elsewhere else request.data_root, request.state_dir)
    return scan_labels(arrays, cache, report)


def _plan(
    request: SplitRequest, meaning: Meaning, found: Found, judged: Sequence[Judged], used: Sequence[Judged]
) -> SplitPlan:
    sides, folds = _draw(request, used)
    near = overlaps([crop.candidate for crop in used])
    crops = []
    for crop in used:
        ref = crop.candidate.ref
        row = _row(crop, sides[ref], meaning)
        crops.append(
            replace(_split_crop(crop), usage=sides[ref], row=row, fold=folds.get(ref), together=near.get(ref, ()))
        )
    dropped = tuple(_split_crop(crop) for crop in judged if crop.dropped is not None)
    names = meaning.targets.names
    counts = count_targets(names, crops, dropped, [sides[crop.ref] for crop in crops])
    fold_counts = tuple(_fold(fold, names, crops, dropped) for fold in range(1, (request.k_folds or 0) + 1))
    warnings = list(split_warnings(request, crops, counts)) if not fold_counts else []
    for one in fold_counts:
        warnings += split_warnings(request, crops, one.targets, one.fold)
    return SplitPlan(
        targets=names,
        crops=tuple(crops),
        dropped=dropped,
        counts=counts,
        folds=fold_counts,
        not_local=found.not_local,
        is_scanned=request.scan and not request.use_s3,
        notes=(*found.notes, *split_notes(request, crops, found.not_local)),
        warnings=tuple(warnings),
    )


def _draw(request: SplitRequest, used: Sequence[Judged]) -> tuple[dict[str, Usage], dict[str, int | None]]:
    """Return the side of each crop, and with folds the fold in which it validates, from 1."""
    units, unit_of = make_units(used, request.group_by)
    if request.k_folds is None:
        sides = assign(units, request.validate_ratio, request.seed)
        return {ref: sides[unit] for ref, unit in unit_of.items()}, {}
    free = sum(unit.side is None for unit in units)
    if request.k_folds > free:
        what = "datasets" if request.group_by == "dataset" else "crops that do not overlap"
        raise RequestError(f"{request.k_folds} folds need as many {what}, there are {free}", "take fewer folds")
    fold_of = assign_folds(units, request.k_folds, request.seed)
    folds = {ref: None if (fold := fold_of[unit]) is None else fold + 1 for ref, unit in unit_of.items()}
    return {ref: "validate" if fold == 1 else "train" for ref, fold in folds.items()}, folds


def _fold(fold: int, names: Sequence[str], crops: Sequence[SplitCrop], dropped: Sequence[SplitCrop]) -> FoldCounts:
    usages: list[Usage] = ["validate" if crop.fold == fold else "train" for crop in crops]
    validate = usages.count("validate")
    return FoldCounts(fold, len(crops) - validate, validate, count_targets(names, crops, dropped, usages))


def _split_crop(crop: Judged) -> SplitCrop:
    return SplitCrop(
        ref=crop.candidate.ref,
        dataset=crop.candidate.dataset,
        usage=None,
        voxel_size_nm=crop.candidate.grid.voxel_size_nm,
        shape=crop.candidate.grid.shape,
        targets=tuple(view.stand for view in crop.views),
        is_resin=crop.is_resin,
        dropped=crop.dropped,
        reason=crop.reason,
    )


def _row(crop: Judged, usage: Usage, meaning: Meaning) -> SplitRow:
    arrays = [name for view in crop.views for name in view.arrays]
    arrays += meaning.ignored_arrays(crop.candidate.available)
    candidate = crop.candidate
    return SplitRow(
        usage,
        candidate.em_file,
        candidate.em_path,
        candidate.label_file,
        candidate.label_path,
        tuple(dict.fromkeys(arrays)),
    )


def _check_target(path: Path) -> None:
    """Refuse to replace a file that is something else."""
    if path.is_dir():
        raise RequestError(f"{path} is a folder", "name a file with -cp")
    if not path.exists():
        return
    try:
        parse_split(path.read_text(encoding="utf-8-sig"))
    except (CellmapError, OSError, UnicodeDecodeError):
        if path.stat().st_size:
            raise RefusedError(
                f"{path} exists and is no datasplit", "name another file with -cp, or move it away"
            ) from None
