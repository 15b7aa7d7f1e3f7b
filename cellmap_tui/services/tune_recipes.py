"""The recipes that `tune` tries for a class, and the one that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.challenge.targets import CORE_SEED_VOXELS
from cellmap_tui.services.process_recipe import ClassRecipe
from cellmap_tui.services.process_steps import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.process_recipe import Kind
    from cellmap_tui.services.tune_model import TuneRequest

SEED_VOXELS = (1, CORE_SEED_VOXELS, 5, 20, 50)
_TUNED = ("smooth", "threshold", "components", "cores", "watershed", "remove_small")
"""Steps that a candidate brings itself; the others of the start stay."""
Method = Literal["components", "cores", "watershed", "mask"]


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """One recipe to try."""

    run: str
    """Folder or template of the predictions."""
    method: Method
    """How objects are told apart."""
    threshold: float
    """Probability above which a voxel is of the class."""
    min_voxels: int
    """Smaller objects or pieces are removed."""
    smoothing_nm: float
    """Width of smoothing; 0: none."""
    seed_voxels: int = CORE_SEED_VOXELS
    """Smaller pieces of core are no seeds."""

    @property
    def mask(self) -> tuple[str, float, float]:
        """What decides the mask."""
        return self.run, self.threshold, self.smoothing_nm


def recipe_of(candidate: Candidate, start: ClassRecipe, run: str | None) -> ClassRecipe:
    """Return the recipe of a candidate: the start's, with what was tuned put in its place.

    Parameters
    ----------
    candidate
        What was chosen.
    start
        The recipe that tuning started from; its other steps stay.
    run
        Predictions to name in it; None: those of the request.
    """
    steps = [step for step in start.steps if step.name not in _TUNED]
    before = [step for step in steps if step.name == "sigmoid"]
    between = [step for step in steps if step.name in ("open", "close", "fill_holes")]
    after = [step for step in steps if step not in (*before, *between)]
    if candidate.smoothing_nm:
        before.append(Step("smooth", {"sigma_nm": candidate.smoothing_nm}))
    before.append(Step("threshold", {"above": candidate.threshold}))
    apart = () if candidate.method == "mask" else (_apart(candidate, start),)
    small = (Step("remove_small", {"min_voxels": candidate.min_voxels}),) if candidate.min_voxels else ()
    return ClassRecipe((*before, *between, *apart, *small, *after), run, start.source)


def start_of(recipe: ClassRecipe, run: str, kind: Kind, *, has_core: bool) -> Candidate:
    """Return the candidate that a recipe is."""

    def value(name: str, option: str, default: Any) -> Any:
        found = next((step for step in recipe.steps if step.name == name), None)
        return default if found is None or found[option] is None else found[option]

    method: Method = "mask" if kind == "semantic" else "components"
    if method != "mask" and any(step.name == "watershed" for step in recipe.steps):
        method = "watershed"
    elif method != "mask" and has_core and any(step.name == "cores" for step in recipe.steps):
        method = "cores"
    return Candidate(
        run,
        method,
        float(value("threshold", "above", 0.5)),
        int(value("remove_small", "min_voxels", 0)),
        float(value("smooth", "sigma_nm", 0.0)),
        int(value("cores", "min_seed_voxels", CORE_SEED_VOXELS)),
    )


def masks_to_try(
    request: TuneRequest, kind: Kind, runs: Sequence[str], with_core: frozenset[str], start: Candidate
) -> list[Candidate]:
    """Return every run, method, threshold and smoothing at the size of the start."""
    return [
        Candidate(run, method, threshold, start.min_voxels, smoothing, start.seed_voxels)
        for run in runs
        for smoothing in request.smoothings_nm
        for threshold in request.thresholds
        for method in _methods(kind, start, has_core=run in with_core)
    ]


def sizes_to_try(request: TuneRequest, best: Candidate) -> list[Candidate]:
    """Return every size for one mask."""
    return [_with(best, min_voxels=size) for size in request.sizes]


def seeds_to_try(best: Candidate) -> list[Candidate]:
    """Return every size of seeds where objects are grown from cores: small objects have small cores."""
    return [_with(best, seed_voxels=voxels) for voxels in SEED_VOXELS] if best.method == "cores" else []


def thresholds_near(request: TuneRequest, best: Candidate) -> list[Candidate]:
    """Return thresholds halfway to the next ones on both sides."""
    below = [value for value in request.thresholds if value < best.threshold]
    above = [value for value in request.thresholds if value > best.threshold]
    near = [*(below and [max(below)]), *(above and [min(above)])]
    return [_with(best, threshold=round((best.threshold + value) / 2, 4)) for value in near]


def _with(candidate: Candidate, **changed: Any) -> Candidate:
    from dataclasses import replace

    return replace(candidate, **changed)


def _methods(kind: Kind, start: Candidate, *, has_core: bool) -> tuple[Method, ...]:
    if kind == "semantic":
        return ("mask",)
    also: tuple[Method, ...] = ("watershed",) if start.method == "watershed" else ()
    return ("components", "cores", *also) if has_core else ("components", *also)


def _apart(candidate: Candidate, start: ClassRecipe) -> Step:
    method = candidate.method
    options: dict[str, Any] = {}
    if method != "components":
        found = next((step for step in start.steps if step.name == method), None)
        options = {} if found is None else {key: v for key, v in found.options.items() if key != "missing"}
    return Step(method, {**options, "min_seed_voxels": candidate.seed_voxels} if method == "cores" else options)
