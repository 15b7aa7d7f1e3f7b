"""`tune`: the best recipe and the best run of each class, by the official score on validation crops.

Chosen on one half of the crops and reported on the other, so that the figure is not that of the lucky
one among many tries. What is tried: every run, method, threshold and smoothing; then sizes of the best;
then thresholds between.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services.process_model import DEFAULT_MEMORY_BYTES
from cellmap_tui.services.process_recipe import Recipe, read_recipe, recipe_text
from cellmap_tui.services.process_sources import predictions_place
from cellmap_tui.services.tune_model import TunedClass, TuneRequest, TuneResult, TuneRow
from cellmap_tui.services.tune_recipes import (
    Candidate,
    masks_to_try,
    recipe_of,
    sizes_to_try,
    start_of,
    thresholds_near,
)
from cellmap_tui.services.tune_score import Place, Scorer, has_core, place_of, problem_of
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.scoring.aggregate import ClassScore
    from cellmap_tui.services.process_recipe import ClassRecipe, Kind
    from cellmap_tui.services.report import Reporter

__all__ = ["TuneRequest", "TuneResult", "tune"]

RECIPE_NAME = "recipe.toml"
LEAST_GAIN = 1e-9
"""A later candidate has to be better by this; of equals the first one stays, which is the start's method first."""


def tune(request: TuneRequest, report: Reporter) -> TuneResult:
    """Find the best post-processing of each class.

    Parameters
    ----------
    request
        Which predictions, on which crops, and what to try.
    report
        Told classes that are done, scores and the recipe.

    Returns
    -------
    TuneResult
        The recipe, and the table of everything that was tried; exit code 1 where a class could not be scored.

    Raises
    ------
    RequestError
        If a crop, class or profile does not exist.
    MissingDataError
        If nothing that is annotated is predicted.
    DataError
        If the recipe to start from is wrong.
    RefusedError
        If the recipe to be written exists already.
    Stopped
        When the user asked to stop.
    """
    started = time.perf_counter()
    output, table = _outputs(request)
    recipe = read_recipe(request.recipe) if request.recipe is not None else Recipe()
    found = _gather(request, recipe, report)
    rows: list[TuneRow] = []
    tuned: list[TunedClass] = []
    errors: list[str] = []
    chosen: dict[str, ClassRecipe] = {}
    for number, one in enumerate(found):
        report.progress(number, len(found), "classes")
        try:
            told, tried, best = _Tuning(request, one, report).run()
        except Stopped:
            raise
        except CellmapError as error:
            errors.append(f"{one.label}: {problem_of(error)}")
            report.warning(errors[-1])
            continue
        tuned.append(told)
        rows += tried
        chosen[one.label] = best
        report.note(_words(told))
        report.metric(number, {f"tune/{one.label}": told.reported_after or 0.0})
    report.progress(len(found), len(found), "classes")
    _write(output, _text(request, recipe, chosen, tuned), report, "recipe")
    _write(table, _csv(rows), report, "table")
    warnings = tuple(dict.fromkeys(f"{one.label}: {one.words}" for one in tuned if one.words))
    return TuneResult(
        output,
        table,
        request.profile,
        tuple(tuned),
        tuple(rows),
        _mean([one.reported_before for one in tuned]),
        _mean([one.reported_after for one in tuned]),
        tuple(errors),
        warnings,
        round(time.perf_counter() - started, 3),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """One class to be tuned."""

    label: str
    kind: Kind
    start: ClassRecipe
    runs: tuple[str, ...]
    with_core: frozenset[str]
    choose: tuple[Place, ...]
    test: tuple[Place, ...]
    words: str


class _Tuning:
    """Tries the recipes of one class."""

    def __init__(self, request: TuneRequest, found: _Found, report: Reporter) -> None:
        from cellmap_tui.services.memory_budget import memory_budget

        self._request = request
        self._found = found
        self._memory = request.memory_bytes or min(DEFAULT_MEMORY_BYTES, memory_budget(None).bytes)
        self._scorer = Scorer(found.start, request.profile, self._memory, report.checkpoint, report.warning)
        self._scores: dict[Candidate, ClassScore | None] = {}

    def run(self) -> tuple[TunedClass, list[TuneRow], ClassRecipe]:
        """Return what came of it, everything that was tried, and the recipe."""
        found, request = self._found, self._request
        start = start_of(found.start, found.runs[0], found.kind, has_core=found.runs[0] in found.with_core)
        best = self._best([start, *masks_to_try(request, found.kind, found.runs, found.with_core, start.min_voxels)])
        if found.kind == "instance" or any(request.sizes):
            best = self._best([best, *sizes_to_try(request, best)])
        best = self._best([best, *thresholds_near(request, best)])
        reported = {one: self._scorer.score(one, found.test) for one in {start, best}}
        self._scorer.forget()
        rows = [self._row(one, start, best, reported) for one in self._scores]
        return self._told(start, best, reported), rows, self._recipe(best)

    def _best(self, candidates: Sequence[Candidate]) -> Candidate:
        best, most = candidates[0], -1.0
        for candidate in dict.fromkeys(candidates):
            if candidate not in self._scores:
                self._scores[candidate] = self._scorer.score(candidate, self._found.choose)
            value = _value(self._scores[candidate])
            if value is not None and value > most + LEAST_GAIN:
                best, most = candidate, value
        return best

    def _recipe(self, best: Candidate) -> ClassRecipe:
        run = best.run if len(self._found.runs) > 1 or self._found.start.predictions else None
        return recipe_of(best, self._found.start, run)

    def _told(self, start: Candidate, best: Candidate, reported: dict[Candidate, ClassScore | None]) -> TunedClass:
        found = self._found
        return TunedClass(
            found.label,
            found.kind,
            best.run,
            best.method,
            best.threshold,
            best.min_voxels,
            best.smoothing_nm,
            _value(self._scores[start]),
            _value(self._scores[best]),
            _value(reported[start]),
            _value(reported[best]),
            tuple(place.target.name for place in found.choose),
            tuple(place.target.name for place in found.test),
            len(self._scores),
            found.words,
        )

    def _row(
        self, one: Candidate, start: Candidate, best: Candidate, reported: dict[Candidate, ClassScore | None]
    ) -> TuneRow:
        score = self._scores[one]
        return TuneRow(
            self._found.label,
            one.run,
            one.method,
            one.threshold,
            one.min_voxels,
            one.smoothing_nm,
            _value(score),
            iou=None if score is None else score.iou,
            f1=None if score is None or self._found.kind == "semantic" else score.f1,
            boundary=None if score is None else score.normalized_hausdorff_distance,
            skipped=len(self._found.choose) if score is None else score.n_skipped,
            is_start=one == start,
            is_best=one == best,
            reported=_value(reported.get(one)),
        )


def _gather(request: TuneRequest, recipe: Recipe, report: Reporter) -> list[_Found]:
    """Return the classes that are predicted and annotated, each with its crops in two halves."""
    from cellmap_tui.scoring.profiles import get_profile, scoring_of
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.evaluate_targets import local_targets
    from cellmap_tui.services.process_sources import find_named

    get_profile(request.profile)
    runs = tuple(request.predictions or (predictions_place(None, request.data_root),))
    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    asked = EvaluateRequest(
        predictions=runs[0],
        crops=request.crops,
        datasplit=request.datasplit,
        classes=request.classes,
        data_root=request.data_root,
    )
    targets = local_targets(asked, open_catalog(source, report))
    labels = list(dict.fromkeys(target.label for target in targets))
    found = []
    for label in labels:
        kind = scoring_of(label)
        start = recipe.of(label, kind)
        named = start.source or label
        mine = [target for target in targets if target.label == label]
        places = (start.predictions, *runs) if start.predictions else runs
        known = tuple(run for run in dict.fromkeys(places) if all(find_named(run, t.crop, named) for t in mine))
        if not known:
            # Crops that a run did not predict are left out, where every run lacks some.
            mine = [t for t in mine if all(find_named(run, t.crop, named) for run in places)]
            known = tuple(dict.fromkeys(places)) if mine else ()
        if known:
            halves = _halves([place_of(target, kind) for target in mine], request.seed)
            cores = frozenset(run for run in known if all(has_core(run, t.crop, label) for t in mine))
            found.append(_Found(label, kind, start, known, cores, *halves))
    missing = [name for name in request.classes if name not in {one.label for one in found}]
    if not found:
        raise MissingDataError(
            f"{runs[0]} has no prediction of a class that is annotated in {targets[0].crop.ref}",
            "predict the crops first, or name the folder with --input-path",
        )
    if missing:
        report.warning(f"{', '.join(missing)}: not predicted on these crops, not tuned")
    return found


def _halves(places: list[Place], seed: int) -> tuple[tuple[Place, ...], tuple[Place, ...], str]:
    """Return the crops to choose on, those to report on, and what there is to say about it."""
    if len(places) == 1:
        return tuple(places), tuple(places), "one crop only: chosen and reported on the same, expect less elsewhere"
    ordered = sorted(places, key=lambda place: place.crop.ref)
    # Of crops with and without the class each half gets its share, the larger one to choose on.
    ordered.sort(key=lambda place: _foreground(place), reverse=True)
    shuffled = random.Random(seed)
    choose: list[Place] = []
    test: list[Place] = []
    for number in range(0, len(ordered), 2):
        pair = ordered[number : number + 2]
        if len(pair) == 2 and shuffled.random() < 0.5:
            pair.reverse()
        choose.append(pair[0])
        test += pair[1:]
    words = "" if all(any(_foreground(p) for p in half) for half in (choose, test)) else _LOPSIDED
    return tuple(choose), tuple(test), words


_LOPSIDED = "only one half of the crops has voxels of the class: the reported score says little"


def _foreground(place: Place) -> int:
    """Return the voxels of a class in the truth, at a coarse level where there is one."""
    import numpy as np

    from cellmap_tui.volumes.arrays import open_level
    from cellmap_tui.volumes.ngff import open_volume

    level = next((one for one in open_volume(place.target.truth).levels if one.grid.voxels < 2_000_000), None)
    if level is None:
        return 0
    values = np.asarray(open_level(level)[...])
    known = values if place.unknown_value is None else np.where(values == place.unknown_value, 0, values)
    return int(np.count_nonzero(known))


def _value(score: ClassScore | None) -> float | None:
    return None if score is None else score.value


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _outputs(request: TuneRequest) -> tuple[Path, Path]:
    output = request.output or Path.cwd() / RECIPE_NAME
    if output.is_dir():
        raise RequestError(f"{output} is a folder", "name a file, such as recipe.toml")
    if output.exists() and not request.overwrite:
        raise RefusedError(f"{output} exists already", "--overwrite replaces it, -o writes elsewhere")
    return output, request.table or output.with_suffix(".csv")


def _text(request: TuneRequest, recipe: Recipe, chosen: dict[str, ClassRecipe], tuned: list[TunedClass]) -> str:
    """Return the tuned recipe with its reasons as comments."""
    lines = [f"# tuned by the rules {request.profile}; chosen on half of the crops, reported on the other half"]
    lines += [f"# {_words(one)}" for one in tuned]
    whole = replace(recipe, classes={**recipe.classes, **chosen})
    return "\n".join([*lines, "", recipe_text(whole)])


def _words(one: TunedClass) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    how = f"{one.method} above {one.threshold:g}, {count(one.min_voxels)} voxels or more"
    return (
        f"{one.label}: {shown(one.reported_before)} -> {shown(one.reported_after)} on {', '.join(one.reported_on)} "
        f"({shown(one.chosen_before)} -> {shown(one.chosen_after)} where chosen): {how}"
    )


def _csv(rows: list[TuneRow]) -> str:
    import io

    names = [field.name for field in dataclasses.fields(TuneRow)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {name: getattr(row, name) for name in names}
        writer.writerow({name: "" if value is None else value for name, value in values.items()})
    return text.getvalue()


def _write(path: Path, text: str, report: Reporter, kind: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "write elsewhere with -o") from None
    report.artefact(path, kind)
