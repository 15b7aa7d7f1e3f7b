"""What `process` would do: which classes of which crops, what is there already, memory, disk and time."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, MissingDataError, RequestError
from cellmap_tui.services.process_class import passes
from cellmap_tui.services.process_model import DEFAULT_MEMORY_BYTES, ProcessPlan, VolumePlan
from cellmap_tui.services.process_recipe import Recipe, in_order, read_recipe
from cellmap_tui.services.process_sources import (
    find_core,
    find_named,
    open_prediction,
    output_folder,
    predictions_of,
    predictions_place,
)
from cellmap_tui.services.process_volume import VolumeJob, job_key, key_of
from cellmap_tui.text import count, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.process_model import ProcessRequest, VolumeState
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.services.report import Reporter

MAX_WORKERS = 2
"""More blocks at once would take more memory, and the disk is the slower part by then."""
VOXELS_PER_S = 12e6
"""About what one processor goes over in a second, decoding included."""
SCRATCH_BYTES_PER_VOXEL = 13
"""Volumes in between without compression: a mask, keys and numbers."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What there is to do."""

    plan: ProcessPlan
    """For people."""
    jobs: tuple[VolumeJob, ...]
    """To be done, in order."""
    kept: tuple[VolumeJob, ...]
    """Done already."""
    refused: tuple[VolumeJob, ...]
    """Something else stands where the labels would go."""
    failed: tuple[VolumePlan, ...]
    """Cannot be done."""


def plan_process(request: ProcessRequest, report: Reporter | None = None) -> ProcessPlan:
    """Return what `process` would do; nothing is written.

    Raises
    ------
    CellmapError
        If the recipe is wrong, a crop or class does not exist, or there is no prediction at all.
    """
    return prepare(request, report).plan


def prepare(request: ProcessRequest, report: Reporter | None = None, recipe: Recipe | None = None) -> Prepared:
    """Return what there is to do; see `plan_process`.

    Parameters
    ----------
    request
        What was asked.
    report
        Asked while a manifest is downloaded whether to stop.
    recipe
        In place of the request's recipe file.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    found = recipe or (read_recipe(request.recipe) if request.recipe is not None else Recipe())
    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    catalog = open_catalog(source, report)
    crops = catalog.select(request.crops)
    rows = _Rows()
    for crop in crops:
        if report is not None:
            report.checkpoint()
        _add_crop(request, catalog, crop, found, rows)
    _check_found(request, crops, rows)
    rows.notes += _without_effect(catalog, found, rows)
    return _prepared(request, rows)


@dataclass
class _Rows:
    jobs: list[VolumeJob] = field(default_factory=list)
    kept: list[VolumeJob] = field(default_factory=list)
    refused: list[VolumeJob] = field(default_factory=list)
    plans: list[VolumePlan] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _add_crop(request: ProcessRequest, catalog: Catalog, crop: Crop, recipe: Recipe, rows: _Rows) -> None:
    from cellmap_tui.scoring.profiles import scoring_of

    place = predictions_place(request.predictions, request.data_root)
    predicted = predictions_of(place, crop)
    wanted = [_class_name(catalog, recipe, predicted, name) for name in request.classes]
    labels = wanted or [*predicted, *(name for name in recipe.classes if name not in predicted)]
    recipes = {label: recipe.of(label, scoring_of(label)) for label in labels}
    for label in labels:
        # What another class is cut by is made as well, unless it is there.
        for other in _others(catalog, label, recipes[label]):
            if other not in recipes and not (output_folder(request.output, request.data_root, crop) / other).is_dir():
                recipes[other] = recipe.of(other, scoring_of(other))
    started = len(rows.plans)
    keys: dict[str, str] = {}
    for label in in_order(list(recipes), recipes):
        own = recipes[label]
        path = _source_of(request, place, crop, label, own, predicted)
        # A class that is named for many crops may be one that some of them do not have.
        is_asked = label in predicted or (label in wanted and label in crop.classes)
        _add_class(request, catalog, crop, label, own, path, rows, keys, is_asked=is_asked)
    if len(rows.plans) == started:
        rows.without.append(crop.ref)


def _add_class(
    request: ProcessRequest,
    catalog: Catalog,
    crop: Crop,
    label: str,
    recipe: ClassRecipe,
    path: Path | None,
    rows: _Rows,
    keys: dict[str, str],
    *,
    is_asked: bool,
) -> None:
    output = output_folder(request.output, request.data_root, crop) / label
    try:
        job = _job(request, catalog, crop, label, recipe, path, output, keys)
    except CellmapError as error:
        rows.plans.append(VolumePlan(crop.ref, label, "broken", 0, recipe.words, output, str(error)))
        return
    if job is None:
        # A recipe may name classes that some crops do not have.
        if is_asked:
            words = f"no prediction of {label}"
            rows.plans.append(VolumePlan(crop.ref, label, "missing", 0, recipe.words, output, words))
        return
    keys[label] = job.key
    state = _state(job, output, overwrite=request.overwrite)
    {"kept": rows.kept, "other": rows.refused}.get(state, rows.jobs).append(job)
    rows.plans.append(VolumePlan(crop.ref, label, state, job.grid.voxels, recipe.words, output))


def _job(
    request: ProcessRequest,
    catalog: Catalog,
    crop: Crop,
    label: str,
    recipe: ClassRecipe,
    path: Path | None,
    output: Path,
    keys: Mapping[str, str],
) -> VolumeJob | None:
    from cellmap_tui.services.evaluate_store import fingerprint

    starts_from_others = recipe.steps[0].name == "union"
    if path is None and not starts_from_others:
        return None
    place = recipe.predictions or predictions_place(request.predictions, request.data_root)
    others = _others(catalog, label, recipe)
    prediction = None if path is None or starts_from_others else open_prediction(path, label)
    if prediction is not None:
        grid = prediction.level.grid
    else:
        known = next((name for name in others if name in keys or (output.with_name(name)).is_dir()), None)
        if known is None:
            return None
        grid = _grid_of(crop, known, output, place)
    _check_needed(
        crop, label, recipe, place, [n for n in others if n not in keys and not output.with_name(n).is_dir()]
    )
    read = [find_core(place, crop, label), *(find_named(place, crop, name) for name in read_names(recipe))]
    prints = [fingerprint(one) for one in (path, *read) if one is not None]
    labels = [f"{name} {keys.get(name) or key_of(output.with_name(name)) or ''}" for name in others]
    key = job_key(recipe, *prints, *labels, "union" if starts_from_others else "")
    return VolumeJob(crop, label, recipe, place, prediction, grid, output, key, _members(catalog, label))


def _check_needed(crop: Crop, label: str, recipe: ClassRecipe, place: str, unmade: list[str]) -> None:
    """Refuse a recipe that reads what is neither there nor made before it."""
    unpredicted = [name for name in read_names(recipe) if find_named(place, crop, name) is None]
    what, names = ("labels", unmade) if unmade else ("a prediction", unpredicted)
    if names:
        raise MissingDataError(
            f"{label} needs {what} of {', '.join(map(printable, names))}: not there, not made",
            "predict it first, or correct the recipe",
        )


def _grid_of(crop: Crop, name: str, output: Path, place: str) -> Grid:
    """Return where the voxels of another class lie: those of its prediction, or of its labels."""
    found = find_named(place, crop, name)
    path = found if found is not None else output.with_name(name)
    return open_prediction(path, name).level.grid


def read_names(recipe: ClassRecipe) -> list[str]:
    """Return the other predictions that steps read."""
    names = [
        name for step in recipe.steps if step.name == "exclude" and not step.reads_labels for name in step.classes
    ]
    options = [step.options.get(name) for step in recipe.steps for name in ("core", "boundary")]
    return names + [name for name in options if isinstance(name, str)]


def _others(catalog: Catalog, label: str, recipe: ClassRecipe) -> tuple[str, ...]:
    if any(step.name == "union" and not step.classes for step in recipe.steps):
        return (*recipe.others, *_members(catalog, label))
    return recipe.others


def _members(catalog: Catalog, label: str) -> tuple[str, ...]:
    try:
        return tuple(one.name for one in catalog.classes.members(label) if one.name != label)
    except CellmapError:
        # A target of the user's own is no group of the challenge.
        return ()


def _state(job: VolumeJob, output: Path, *, overwrite: bool) -> VolumeState:
    if output.exists():
        if key_of(output) == job.key:
            return "kept"
        return "process" if overwrite else "other"
    return "go-on" if job.work_folder.is_dir() else "process"


def _source_of(
    request: ProcessRequest, place: str, crop: Crop, label: str, recipe: ClassRecipe, predicted: Mapping[str, Path]
) -> Path | None:
    name = recipe.source or label
    if recipe.predictions is None and name in predicted:
        return predicted[name]
    return find_named(recipe.predictions or place, crop, name)


def _without_effect(catalog: Catalog, recipe: Recipe, rows: _Rows) -> list[str]:
    """Return what to tell of classes of the recipe that nobody knows: most likely they are misspelt."""
    made = {plan.label for plan in rows.plans}
    words = []
    for name in recipe.classes:
        try:
            known = name in made or bool(catalog.class_name(name))
        except CellmapError:
            known = False
        if not known:
            near = nearest(name, made)
            meant = f"; did you mean {near}?" if near else ""
            words.append(f"the recipe's {printable(name)} changes nothing: no crop has such a prediction{meant}")
    return words


def _class_name(catalog: Catalog, recipe: Recipe, predicted: Mapping[str, Path], name: str) -> str:
    """Return the class that is meant: a prediction's or recipe's own name first, then as the catalog knows it."""
    return name if name in predicted or name in recipe.classes else catalog.class_name(name)


def _check_found(request: ProcessRequest, crops: tuple[Crop, ...], rows: _Rows) -> None:
    if not crops:
        raise RequestError(f"no crop matches {printable(request.crops)}", "see: cellmap-tui crops")
    jobs = (*rows.jobs, *rows.kept, *rows.refused)
    if all(job.prediction is None for job in jobs) and all(plan.state != "broken" for plan in rows.plans):
        place = predictions_place(request.predictions, request.data_root)
        what = ", ".join(request.classes) or "anything"
        raise MissingDataError(
            f"{place} has no prediction of {what} for {crops[0].ref}{' and others' if len(crops) > 1 else ''}",
            "predict first, or name the folder with --input-path",
        )


def _prepared(request: ProcessRequest, rows: _Rows) -> Prepared:
    from cellmap_tui.services.memory_budget import memory_budget, usable_processors
    from cellmap_tui.volumes.blocks import block_for

    workers = request.workers or min(MAX_WORKERS, usable_processors())
    memory = request.memory_bytes or min(DEFAULT_MEMORY_BYTES, memory_budget(None).bytes)
    voxels = sum(job.grid.voxels for job in rows.jobs)
    without = f"{count(len(rows.without))} crops have no prediction: {', '.join(rows.without[:5])}"
    plan = ProcessPlan(
        volumes=tuple(rows.plans),
        voxels=voxels,
        scratch_bytes=max((job.grid.voxels for job in rows.jobs), default=0) * SCRATCH_BYTES_PER_VOXEL,
        output_bytes=voxels // 8,
        free_bytes=_free_bytes(rows),
        memory_bytes=memory,
        workers=workers,
        block=block_for(memory, workers),
        eta_s=sum(job.grid.voxels * passes(job.recipe) for job in rows.jobs) / VOXELS_PER_S,
        notes=(*((without,) if rows.without else ()), *rows.notes),
    )
    failed = tuple(one for one in rows.plans if one.state in ("missing", "broken"))
    return Prepared(plan, tuple(rows.jobs), tuple(rows.kept), tuple(rows.refused), failed)


def _free_bytes(rows: _Rows) -> int:
    if not rows.plans:
        return 0
    folder = rows.plans[0].output
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
