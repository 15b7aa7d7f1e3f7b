"""The scoring of all pairs of an evaluation: kept ones first, the others on workers, each kept as it is finished."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellmap_tui.errors import Stopped
from cellmap_tui.services.evaluate_pairs import from_kept, metric_values, pair_result, to_kept
from cellmap_tui.services.evaluate_pool import Outcome, Task, WorkerPool
from cellmap_tui.text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.evaluate_pairs import PairJob
    from cellmap_tui.services.evaluate_plan import Prepared
    from cellmap_tui.services.evaluate_store import PairStore
    from cellmap_tui.services.report import Reporter

TARGET = "cellmap_tui.services.evaluate_score:score_job"


@dataclass(slots=True)
class Work:
    """What has come of the pairs so far.

    Parameters
    ----------
    prepared
        What is to be done.
    store
        Where finished pairs are kept.
    report
        Told each finished pair, and voxels.
    """

    prepared: Prepared
    store: PairStore
    report: Reporter
    scores: dict[PairJob, PairScore] = field(default_factory=dict)
    """Finished pairs."""
    errors: dict[PairJob, str] = field(default_factory=dict)
    """Pairs that could not be scored, and why."""
    kept: set[PairJob] = field(default_factory=set)
    """Pairs that had been scored before."""
    _done_voxels: int = 0

    def do(self) -> None:
        """Score every pair.

        Raises
        ------
        Stopped
            When the user asked to stop; pairs at hand get a moment to finish and are kept.
        """
        todo = []
        for job in self.prepared.jobs:
            if job.problem:
                self._fail(job, job.problem)
            elif (score := self.prepared.kept.get(job)) is not None:
                self.kept.add(job)
                self._finish(job, score)
            else:
                todo.append(job)
        self._tell_progress({})
        run = self._in_this_process if self.prepared.workers == 0 else self._on_workers
        run(todo)
        self._tell_progress({})

    @property
    def total_voxels(self) -> int:
        """Voxels of all pairs."""
        return sum(job.grid.voxels for job in self.prepared.jobs)

    def _on_workers(self, todo: list[PairJob]) -> None:
        if not todo:
            return
        tasks = {self._task(job): job for job in todo}
        with WorkerPool(TARGET, self.prepared.workers, self.prepared.budget.bytes) as pool:

            def between() -> None:
                self.report.checkpoint()
                self._tell_progress(pool.progress)

            try:
                self._take(pool.run(list(tasks), between), tasks)
            except Stopped:
                self._take(pool.drain(), tasks)
                raise

    def _take(self, outcomes: Iterator[Outcome], tasks: dict[Task, PairJob]) -> None:
        for outcome in outcomes:
            job = tasks[outcome.task]
            if outcome.how == "done":
                self._keep(job, outcome.value)
            else:
                self._fail(job, problem_words(outcome))

    def _in_this_process(self, todo: list[PairJob]) -> None:
        from cellmap_tui.errors import CellmapError
        from cellmap_tui.services.evaluate_score import score_job

        for job in sorted(todo, key=lambda job: job.grid.voxels, reverse=True):
            self.report.checkpoint()
            try:
                self._keep(job, score_job(job, self._teller(job)))
            except Stopped:
                raise
            except CellmapError as error:
                self._fail(job, str(error))

    def _teller(self, job: PairJob) -> Callable[[float], None]:
        def tell(done: float) -> None:
            self.report.checkpoint()
            self._tell_progress({job.name: done})

        return tell

    def _task(self, job: PairJob) -> Task:
        estimate = self.prepared.estimates[job]
        key = job.name if job.is_official else f"{job.name} (readable)"
        return Task(key, job, estimate.memory_bytes, estimate.elapsed_s)

    def _keep(self, job: PairJob, score: PairScore) -> None:
        self.store.put(self.prepared.keys[job], to_kept(score))
        self._finish(job, score)

    def _finish(self, job: PairJob, score: PairScore) -> None:
        self.scores[job] = score
        self._done_voxels += job.grid.voxels
        if job.is_official:
            row = pair_result(score, self.prepared.profile, kept=job in self.kept)
            self.report.metric(len(self.scores), metric_values(row))

    def _fail(self, job: PairJob, problem: str) -> None:
        self._done_voxels += job.grid.voxels
        self.errors[job] = f"{job.name}: {problem}"
        self.report.warning(f"{job.name} is not scored: {problem}")

    def _tell_progress(self, running: dict[str, float]) -> None:
        done = self._done_voxels + sum(running.values())
        self.report.progress(min(done, self.total_voxels), self.total_voxels, "voxels")


def kept_scores(jobs: list[PairJob], keys: dict[PairJob, str], store: PairStore) -> dict[PairJob, PairScore]:
    """Return the scores that are kept of earlier evaluations."""
    found = {}
    for job in jobs:
        values = store.get(keys[job]) if job in keys else None
        score = from_kept(values) if values is not None else None
        if score is not None:
            found[job] = score
    return found


def problem_words(outcome: Outcome) -> str:
    """Return in words why a task has no value."""
    if outcome.how == "error":
        _, message, remedy = outcome.value
        return f"{message}; {remedy}" if remedy else str(message)
    if outcome.how == "bug":
        return f"a bug: {outcome.value[0]}; please report it"
    needed = size(outcome.task.memory_bytes)
    reason = outcome.value or "memory ran out"
    return f"{reason}; it needs about {needed}: free some memory or score it with --workers 1"
