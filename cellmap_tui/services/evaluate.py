"""`evaluate`: a submission, or predictions of any tool, against ground truth under named rules.

Every finished pair is kept, so an evaluation that was killed goes on where it was. A volume that
cannot be read does not end the others; the official keys are then left out, because the official
scorer would give no result.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.evaluate_files import extended_path, write_csv, write_documents, write_markdown
from cellmap_tui.services.evaluate_model import EvaluatePlan, EvaluateRequest, EvaluateResult, PairResult
from cellmap_tui.services.evaluate_pairs import class_result, pair_result
from cellmap_tui.services.evaluate_plan import pair_store, plan_evaluate, prepare
from cellmap_tui.services.evaluate_work import Work
from cellmap_tui.text import count

if TYPE_CHECKING:
    from cellmap_tui.scoring.aggregate import Scores
    from cellmap_tui.services.evaluate_pairs import PairJob
    from cellmap_tui.services.report import Reporter

__all__ = ["EvaluatePlan", "EvaluateRequest", "EvaluateResult", "evaluate", "plan_evaluate"]

LIBRARIES = ("numpy", "scipy", "connected-components-3d", "fastremap", "ortools", "zarr")
"""Packages whose version may move a score."""


def evaluate(request: EvaluateRequest, report: Reporter) -> EvaluateResult:
    """Score a submission or predictions.

    Parameters
    ----------
    request
        What to score against what, and by which rules.
    report
        Told voxels, each finished pair as a metric, warnings and the files written.

    Returns
    -------
    EvaluateResult
        Overall, classes and pairs, the worst first; its exit code is 1 when a volume could not be scored.

    Raises
    ------
    RequestError
        If the request does not fit together, or names what does not exist.
    MissingDataError, DataError
        If the submission, the truth or the manifest cannot be read at all.
    RefusedError
        If a pair does not fit the memory, or a file cannot be written.
    Stopped
        When the user asked to stop; finished pairs are kept.
    """
    started_s = time.monotonic()
    prepared = prepare(request, report)
    for words in prepared.notes:
        report.note(words)
    for words in prepared.warnings:
        report.warning(words)
    store = pair_store(request)
    work = Work(prepared, store, report)
    work.do()
    store.remove_unused()
    found = _Found(work)
    found.tell(report)
    result = found.result(request, time.monotonic() - started_s)
    _write(request, found, result, report)
    _note_score(request, result, report)
    return result


def _note_score(request: EvaluateRequest, result: EvaluateResult, report: Reporter) -> None:
    """Put the score of a whole submission into the log of submissions, if it was packed here."""
    from cellmap_tui.services.submission_log_model import ScoreNote
    from cellmap_tui.services.submissions import note_local_score

    if request.submission is None or request.state_dir is None or request.classes or result.overall_score is None:
        return
    score = ScoreNote(
        "local",
        result.overall_score,
        result.overall_instance_score,
        result.overall_semantic_score,
        result.profile,
        round(time.time(), 3),
    )
    if note_local_score(request.state_dir, request.submission, score):
        report.note(f"score {result.overall_score:.4f} noted in the log of submissions")


class _Found:
    """What came of the pairs, put together."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.prepared = work.prepared
        self.official = self._aggregated([job for job in work.prepared.jobs if job.is_official])
        self.is_complete = not any(job.is_official for job in work.errors)
        self.missing = tuple(job.name for job in work.scores if job.is_official and job.is_missing)
        self.warnings = (*self.prepared.warnings, *self._pair_warnings(), *self._missing_warning())
        self.readable = self._readable()

    def tell(self, report: Reporter) -> None:
        """Warn of what moves the score."""
        for words in self.warnings[len(self.prepared.warnings) :]:
            report.warning(words)

    def result(self, request: EvaluateRequest, elapsed_s: float) -> EvaluateResult:
        """Return the typed result."""
        scores = self.official
        rows = [class_result(one) for one in scores.classes]
        overall = (scores.overall_score, scores.overall_instance_score, scores.overall_semantic_score)
        total, instance, semantic = overall if self.is_complete else (None, None, None)
        return EvaluateResult(
            profile=self.prepared.profile.name,
            provisional=self.prepared.profile.is_provisional,
            overall_score=total,
            overall_instance_score=instance,
            overall_semantic_score=semantic,
            num_evals_done=len(scores.pairs),
            total_evals=self.prepared.total_evals,
            classes=tuple(sorted(rows, key=lambda row: _worst_first(row.score))),
            pairs=self._pairs(),
            missing=self.missing,
            errors=tuple(self.work.errors.values()),
            warnings=self.warnings,
            result_file=request.result_file,
            extended_file=extended_path(request.result_file) if request.result_file else None,
            csv=request.csv,
            markdown=request.markdown,
            kept=len(self.work.kept),
            elapsed_s=round(elapsed_s, 3),
        )

    def own(self) -> dict[str, Any]:
        """Return what stands under ``cellmap_tui`` in both documents."""
        extra = self.official.extra()
        return {
            "profile": self.prepared.profile.name,
            "provisional": self.prepared.profile.is_provisional,
            "rules": extra["profile"],
            "versions": versions(),
            "manifest_sha256": self.prepared.manifest_sha256,
            "classes": extra["classes"],
            "missing": list(self.missing),
            "errors": list(self.work.errors.values()),
            "warnings": list(self.warnings),
            **({"readable": self.readable} if self.readable else {}),
        }

    def _aggregated(self, jobs: list[PairJob]) -> Scores:
        from cellmap_tui.scoring.aggregate import aggregate

        scores = [self.work.scores[job] for job in jobs if job in self.work.scores]
        return aggregate(scores, self.prepared.profile, self.prepared.total_evals)

    def _pairs(self) -> tuple[PairResult, ...]:
        rows = [
            pair_result(score, self.prepared.profile, kept=job in self.work.kept)
            for job, score in self.work.scores.items()
            if job.is_official
        ]
        rows += [
            PairResult(job.crop, job.label, job.scoring, "error", None, voxels=job.grid.voxels, message=words)
            for job, words in self.work.errors.items()
            if job.is_official
        ]
        return tuple(sorted(rows, key=lambda row: (row.status != "error", *_worst_first(row.score))))

    def _readable(self) -> dict[str, Any]:
        """Return the scores with the labels that the official scorer does not see, if there are any."""
        beside = {job.name: job for job in self.work.scores if not job.is_official}
        if not beside:
            return {}
        jobs = [beside.get(job.name, job) for job in self.prepared.jobs if job.is_official]
        return {"labels": sorted(beside), **self._aggregated(jobs).public()}

    def _pair_warnings(self) -> list[str]:
        scores = ((job, score) for job, score in self.work.scores.items() if job.is_official)
        return [f"{job.name}: {words}" for job, score in scores for words in score.warnings]

    def _missing_warning(self) -> list[str]:
        if not self.missing:
            return []
        shown = ", ".join(self.missing[:3]) + (" …" if len(self.missing) > 3 else "")
        many = f"{count(len(self.missing))} volumes are missing" if len(self.missing) > 1 else "1 volume is missing"
        return [f"{many} and scored as such, which costs more than empty ones: {shown}"]


def versions() -> dict[str, str]:
    """Return the versions of what made a score."""
    from importlib import metadata

    from cellmap_tui.version import __version__

    found = {"cellmap-tui": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # built from source under another name
            continue
    return found


def _worst_first(score: float | None) -> tuple[bool, float]:
    return (score is None, score or 0.0)


def _write(request: EvaluateRequest, found: _Found, result: EvaluateResult, report: Reporter) -> None:
    if request.result_file is not None:
        public = found.official.public() if found.is_complete else {}
        extended = found.official.extended() if found.is_complete else {}
        write_documents(request.result_file, public, extended, found.own())
        report.artefact(request.result_file, "result")
        report.artefact(extended_path(request.result_file), "result")
    if request.csv is not None:
        write_csv(request.csv, result.pairs)
        report.artefact(request.csv, "table")
    if request.markdown is not None:
        write_markdown(request.markdown, result)
        report.artefact(request.markdown, "table")
