"""What can be tuned: classes that are predicted and annotated, their crops in two halves."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError
from cellmap_tui.services.process_sources import find_named, predictions_place
from cellmap_tui.services.tune_score import Place, has_core, place_of

if TYPE_CHECKING:
    from cellmap_tui.services.process_recipe import ClassRecipe, Kind, Recipe
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.tune_model import TuneRequest


@dataclass(frozen=True, slots=True)
class TunableClass:
    """One class to be tuned."""

    label: str
    """The class."""
    kind: Kind
    """How it is scored."""
    start: ClassRecipe
    """Recipe that tuning starts from."""
    runs: tuple[str, ...]
    """Where its predictions are, one place a run."""
    with_core: frozenset[str]
    """Runs that predicted its core as well."""
    choose: tuple[Place, ...]
    """Crops that a recipe is chosen on."""
    test: tuple[Place, ...]
    """Crops that its score is reported on."""
    words: str
    """What there is to say about these crops; empty: nothing."""


def tunable_classes(request: TuneRequest, recipe: Recipe, report: Reporter) -> list[TunableClass]:
    """Return the classes that are predicted and annotated, each with its crops in two halves.

    Raises
    ------
    CellmapError
        If crops, classes or rules do not exist, or nothing is predicted.
    """
    from cellmap_tui.scoring.profiles import get_profile, scoring_of
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.evaluate_targets import local_targets

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
        if start.steps[0].name == "union":
            report.note(f"{label} is a union of other classes, not tuned")
            continue
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
            found.append(TunableClass(label, kind, start, known, cores, *halves))
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
    shuffled = random.Random(seed)  # noqa: S311 - a draw, no secret
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
