"""What an evaluation would do: its pairs, what is kept of them, memory and time.

Looks at metadata alone; objects are counted only where that is asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services.evaluate_model import EvaluatePlan, PairPlan
from cellmap_tui.services.evaluate_pairs import Fingerprints, key_of
from cellmap_tui.services.evaluate_pool import WORKER_BYTES
from cellmap_tui.services.evaluate_store import PairStore
from cellmap_tui.services.evaluate_work import kept_scores
from cellmap_tui.services.memory_budget import memory_budget, usable_processors
from cellmap_tui.text import size

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.scoring.profiles import Profile
    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.evaluate_model import EvaluateRequest, PairState
    from cellmap_tui.services.evaluate_pairs import PairJob
    from cellmap_tui.services.evaluate_score import Estimate
    from cellmap_tui.services.memory_budget import MemoryBudget
    from cellmap_tui.services.report import Reporter

SMALL_VOXELS = 20_000_000
"""Below this, starting worker processes takes longer than scoring."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before a voxel is read."""

    profile: Profile
    """The rules."""
    jobs: list[PairJob]
    """Every pair, by crop and class."""
    total_evals: int
    """Pairs that the manifest lists."""
    keys: dict[PairJob, str]
    """Key under which each score is kept."""
    kept: dict[PairJob, PairScore]
    """Scores of earlier evaluations."""
    estimates: dict[PairJob, Estimate]
    """Memory and time of each pair."""
    budget: MemoryBudget
    """Memory that may be used."""
    workers: int
    """Processes; 0: this one."""
    notes: tuple[str, ...]
    """What is worth knowing."""
    warnings: tuple[str, ...]
    """What may need attention."""
    manifest_sha256: str
    """Hash of the volumes that are due."""

    @property
    def todo(self) -> list[PairJob]:
        """Pairs to score now."""
        return [job for job in self.jobs if not job.problem and job not in self.kept]


def prepare(request: EvaluateRequest, report: Reporter) -> Prepared:
    """Find the pairs, and what is kept of them.

    Raises
    ------
    CellmapError
        If something that was named does not exist or cannot be read.
    RefusedError
        If the memory is too small for any pair.
    """
    from cellmap_tui.scoring.profiles import get_profile

    profile = get_profile(request.profile)
    gathered = gather(request, report)
    budget = memory_budget(request.memory_bytes)
    jobs, estimates = _limited(gathered.jobs, budget)
    fingerprints = Fingerprints()
    keys = {}
    for job in jobs:
        report.checkpoint()
        if not job.problem:
            keys[job] = key_of(job, fingerprints)
    store = pair_store(request)
    kept = {} if request.rescore else kept_scores(jobs, keys, store)
    prepared = Prepared(
        profile=profile,
        jobs=jobs,
        total_evals=gathered.total_evals,
        keys=keys,
        kept=kept,
        estimates=estimates,
        budget=budget,
        workers=0,
        notes=tuple(gathered.notes),
        warnings=tuple(gathered.warnings),
        manifest_sha256=gathered.manifest_sha256,
    )
    return replace(prepared, workers=_workers(request, prepared))


def plan_evaluate(request: EvaluateRequest, report: Reporter, *, count_objects: bool = False) -> EvaluatePlan:
    """Say what an evaluation would do.

    Parameters
    ----------
    request
        What to score.
    report
        Told pairs whose objects are counted.
    count_objects
        Whether to read the volumes of instance classes and count their objects.
    """
    from cellmap_tui.services.evaluate_score import count_of_objects

    prepared = prepare(request, report)
    rows = []
    for done, job in enumerate(prepared.jobs):
        row = _row(job, prepared)
        if count_objects and job.scoring == "instance" and not job.problem:
            report.checkpoint()
            report.progress(done, len(prepared.jobs), "pairs")
            row = replace(row, **count_of_objects(job))
        rows.append(row)
    report.progress(len(rows), len(rows), "pairs")
    return EvaluatePlan(
        profile=prepared.profile.name,
        provisional=prepared.profile.is_provisional,
        pairs=tuple(sorted(rows, key=lambda row: row.voxels, reverse=True)),
        voxels=sum(job.grid.voxels for job in prepared.todo),
        workers=prepared.workers,
        budget_bytes=prepared.budget.bytes,
        budget_origin=prepared.budget.origin,
        peak_bytes=peak_bytes(prepared),
        eta_s=round(eta_s(prepared), 2),
        total_evals=prepared.total_evals,
        notes=prepared.notes,
        warnings=prepared.warnings,
    )


def pair_store(request: EvaluateRequest) -> PairStore:
    """Return where finished pairs are kept."""
    return PairStore(store_folder(request))


def store_folder(request: EvaluateRequest) -> Path:
    """Return the folder of finished pairs: as asked, else below the state folder."""
    if request.store is not None:
        return request.store
    if request.state_dir is not None:
        return request.state_dir / "scores"
    from cellmap_tui.services.settings import load_settings

    return load_settings().state_dir / "scores"


def peak_bytes(prepared: Prepared) -> int:
    """Return the memory that is used at most: the largest pairs that run together, within the budget."""
    todo = sorted((prepared.estimates[job].memory_bytes for job in prepared.todo), reverse=True)
    workers = max(1, prepared.workers)
    together = sum(todo[:workers]) + WORKER_BYTES * min(workers, len(todo))
    return min(together, max(prepared.budget.bytes, (todo[0] if todo else 0) + WORKER_BYTES))


def eta_s(prepared: Prepared) -> float:
    """Return about how long scoring takes: the work shared by the workers, but the longest pair at least."""
    times = [prepared.estimates[job].elapsed_s for job in prepared.todo]
    return max(sum(times) / max(1, prepared.workers), max(times, default=0.0))


@dataclass(slots=True)
class Gathered:
    """The pairs that were found."""

    jobs: list[PairJob]
    total_evals: int
    notes: list[str]
    warnings: list[str]
    manifest_sha256: str


def gather(request: EvaluateRequest, report: Reporter) -> Gathered:
    """Find the pairs of an evaluation."""
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    source = CatalogSource(
        data_root=request.data_root,
        state_dir=request.state_dir,
        manifest=request.manifest,
        train_manifest=request.train_manifest,
        test_manifest=request.test_manifest,
    )
    catalog = open_catalog(source, report)
    if request.submission is not None:
        from cellmap_tui.services.evaluate_submission import submission_jobs

        return submission_jobs(request, catalog)
    from cellmap_tui.services.evaluate_predictions import prediction_jobs

    return prediction_jobs(request, catalog, report)


def _row(job: PairJob, prepared: Prepared) -> PairPlan:
    state: PairState = "score"
    if job.problem:
        state = "error"
    elif job in prepared.kept:
        state = "kept"
    elif job.is_missing:
        state = "missing"
    estimate = prepared.estimates[job]
    words = job.problem or (
        "" if job.is_official else "beside the official score: the official scorer does not see it"
    )
    return PairPlan(
        crop=job.crop,
        label=job.label,
        kind=job.scoring,
        state=state,
        voxels=job.grid.voxels,
        memory_bytes=estimate.memory_bytes,
        eta_s=round(estimate.elapsed_s, 2),
        words=words,
    )


def _workers(request: EvaluateRequest, prepared: Prepared) -> int:
    """Return how many processes are worth starting."""
    todo = prepared.todo
    if request.workers == 0 or not todo:
        return 0
    is_small = sum(job.grid.voxels for job in todo) < SMALL_VOXELS
    if request.workers is None and is_small:
        return 0
    asked = request.workers or max_workers()
    return max(1, min(asked, len(todo), max(1, prepared.budget.bytes // (2 * WORKER_BYTES))))


def max_workers() -> int:
    """Return how many workers the user's environment or the machine allows.

    Raises
    ------
    RequestError
        If ``MAX_WORKERS`` is no number above 0.
    """
    text = os.environ.get("MAX_WORKERS", "").strip()
    if not text:
        return usable_processors()
    if not text.isdecimal() or int(text) == 0:
        raise RequestError(f"the environment variable MAX_WORKERS is {text!r}", "set it to a number above 0")
    return int(text)


def _limited(jobs: list[PairJob], budget: MemoryBudget) -> tuple[list[PairJob], dict[PairJob, Estimate]]:
    """Return the jobs with their estimates; one that does not fit the budget alone gets a limit to keep to.

    Raises
    ------
    RefusedError
        If the budget is too small for any pair.
    """
    from cellmap_tui.services.evaluate_score import LEAST_BYTES, Estimate, estimate

    room = budget.bytes - WORKER_BYTES
    if room < LEAST_BYTES:
        needed = size(WORKER_BYTES + LEAST_BYTES)
        raise RefusedError(
            f"scoring needs {needed} of memory at least, and {size(budget.bytes)} may be used ({budget.origin})",
            f"allow more with --memory {needed.replace(' ', '')}",
        )
    limited, estimates = [], {}
    for job in jobs:
        found = estimate(job)
        if found.memory_bytes > room:
            job = replace(job, memory_limit_bytes=budget.bytes)
            found = Estimate(room, found.elapsed_s)
        limited.append(job)
        estimates[job] = found
    return limited, estimates
