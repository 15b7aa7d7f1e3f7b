"""`tune`: the best recipe and the best run of each class, by the official score on validation crops.

Chosen on one half of the crops and reported on the other, so that the figure is not that of the lucky
one among many tries. What is tried: every run, method, threshold and smoothing; then sizes of the best;
then thresholds between.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RefusedError, RequestError, Stopped
from cellmap_tui.services.process_model import DEFAULT_MEMORY_BYTES
from cellmap_tui.services.process_recipe import Recipe, read_recipe, recipe_text
from cellmap_tui.services.tune_crops import TunableClass, tunable_classes
from cellmap_tui.services.tune_kept import KeptTries
from cellmap_tui.services.tune_model import TunedClass, TuneRequest, TuneResult, TuneRow
from cellmap_tui.services.tune_recipes import (
    Candidate,
    masks_to_try,
    recipe_of,
    seeds_to_try,
    sizes_to_try,
    start_of,
    thresholds_near,
)
from cellmap_tui.services.tune_score import Scorer, problem_of
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.scoring.aggregate import ClassScore
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.services.report import Reporter

__all__ = ["TuneRequest", "TuneResult", "tune"]

RECIPE_NAME = "recipe.toml"
CLASSES = "tunes "
"""Before the names of the classes, as they are told first."""
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
    found = tunable_classes(request, recipe, report)
    rows: list[TuneRow] = []
    tuned: list[TunedClass] = []
    errors: list[str] = []
    chosen: dict[str, ClassRecipe] = {}
    report.note(f"{CLASSES}{', '.join(one.label for one in found)}")
    tries = _Tries(request, found, report)
    for number, one in enumerate(found):
        try:
            told, tried, best = _Tuning(request, one, report, tries).run()
        except Stopped:
            raise
        except CellmapError as error:
            errors.append(f"{one.label}: {problem_of(error)}")
            report.warning(errors[-1])
            continue
        finally:
            tries.next_class()
        tuned.append(told)
        rows += tried
        chosen[one.label] = best
        report.note(_words(told))
        report.metric(number, {f"tune/{one.label}": told.reported_after or 0.0})
    # The recipe last: once it is there, a tuning that goes on would be refused.
    _write(table, _csv(rows), report, "table")
    _write(output, _text(request, recipe, chosen, tuned), report, "recipe")
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


class _Tries:
    """Counts recipes that were tried."""

    def __init__(self, request: TuneRequest, found: Sequence[TunableClass], report: Reporter) -> None:
        self._report = report
        self._most = [_most_tries(request, one) for one in found]
        self._total = sum(self._most)
        self._before = self._now = 0

    def advance(self) -> None:
        """Tell that one more was tried."""
        self._now += 1
        self._report.progress(min(self._now, self._before + self._most[0]), self._total, "recipes")

    def next_class(self) -> None:
        """Go on to the next class: fewer may have been tried than were foreseen."""
        self._before += self._most.pop(0)
        self._now = self._before
        self._report.progress(self._now, self._total, "recipes")


def _most_tries(request: TuneRequest, one: TunableClass) -> int:
    methods = 1 if one.kind == "semantic" else 2
    masks = len(one.runs) * len(request.smoothings_nm) * len(request.thresholds) * methods
    return 1 + masks + len(request.sizes) + 6


class _Tuning:
    """Tries the recipes of one class."""

    def __init__(self, request: TuneRequest, found: TunableClass, report: Reporter, tries: _Tries) -> None:
        from cellmap_tui.services.memory_budget import memory_budget

        self._request = request
        self._found = found
        self._memory = request.memory_bytes or min(DEFAULT_MEMORY_BYTES, memory_budget(None).bytes)
        kept = KeptTries(request.state_dir, found.start, request.profile)
        self._scorer = Scorer(found.start, request.profile, self._memory, report.checkpoint, report.warning, kept)
        self._scores: dict[Candidate, ClassScore | None] = {}
        self._tries = tries

    def run(self) -> tuple[TunedClass, list[TuneRow], ClassRecipe]:
        """Return what came of it, everything that was tried, and the recipe."""
        found, request = self._found, self._request
        start = start_of(found.start, found.runs[0], found.kind, has_core=found.runs[0] in found.with_core)
        best = self._best([start, *masks_to_try(request, found.kind, found.runs, found.with_core, start)])
        if found.kind == "instance" or any(request.sizes):
            best = self._best([best, *sizes_to_try(request, best)])
        best = self._best([best, *seeds_to_try(best)])
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
                self._tries.advance()
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
            seed_voxels=one.seed_voxels if one.method == "cores" else None,
        )


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
