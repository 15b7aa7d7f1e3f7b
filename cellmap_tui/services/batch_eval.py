"""`batch-eval`: many submissions, one after the other, and one table of their scores.

Each is an evaluation of its own with its own result file; pairs that were scored before are kept, so
a batch that was stopped goes on. Jobs for clusters are not written here.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError, Stopped
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from cellmap_tui.services.evaluate_model import EvaluateRequest, EvaluateResult
    from cellmap_tui.services.report import Reporter

PATH_COLUMNS = ("path", "submission_path", "submission")
TRUTH_COLUMNS = ("truth", "truth_path")
RESULT_COLUMNS = ("result_file", "result")
COLUMNS = (*PATH_COLUMNS, "name", *TRUTH_COLUMNS, *RESULT_COLUMNS, "profile")


@dataclass(frozen=True, slots=True)
class BatchEvalRequest:
    """Which submissions to score."""

    csv_path: Path
    """CSV with a column ``path``, and if wanted ``name``, ``truth``, ``result_file`` and ``profile``."""
    results_dir: Path
    """Folder of the result files, ``<name>.json``, and of the table, ``batch.csv``."""
    truth: Path | None = None
    """Ground truth of the rows that name none."""
    profile: str = "2026-06"
    """Rules of the rows that name none."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty: all."""
    workers: int | None = None
    """As in `EvaluateRequest`."""
    memory_bytes: int | None = None
    """As in `EvaluateRequest`."""
    store: Path | None = None
    """As in `EvaluateRequest`."""
    state_dir: Path | None = None
    """Folder of what the tool remembers."""
    test_manifest: str | None = None
    """Test volumes in place of the published ones."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One submission of a batch."""

    name: str
    """Its name."""
    path: str
    """The submission."""
    overall_score: float | None
    """Overall score; None when it could not be scored."""
    overall_instance_score: float | None
    """Mean over instance classes."""
    overall_semantic_score: float | None
    """Mean over semantic classes."""
    missing: int | None
    """Volumes that are not there."""
    result_file: str
    """Its result."""
    problem: str
    """Why it has no score; empty where it has one."""


@dataclass(frozen=True, slots=True)
class BatchEvalResult:
    """Many submissions, the best first."""

    rows: tuple[BatchRow, ...]
    """A row per submission."""
    table: Path
    """The rows as CSV."""

    @property
    def exit_code(self) -> int:
        """1 when one could not be scored."""
        return 1 if any(row.problem for row in self.rows) else 0


def batch_eval(request: BatchEvalRequest, report: Reporter) -> BatchEvalResult:
    """Score every submission of a list.

    Raises
    ------
    MissingDataError
        If the list cannot be read.
    DataError
        If it has no column of paths.
    RequestError
        If two rows have the same name.
    Stopped
        When the user asked to stop; what is finished is kept.
    """
    jobs = read_batch(request)
    rows: list[BatchRow] = []
    for number, (name, job) in enumerate(jobs, 1):
        report.note(f"{number} of {len(jobs)}: {name}")
        rows.append(_row(name, job, report))
        _write_table(request.results_dir / "batch.csv", rows)
    ordered = sorted(rows, key=lambda row: -1.0 if row.overall_score is None else row.overall_score, reverse=True)
    table = request.results_dir / "batch.csv"
    _write_table(table, ordered)
    report.artefact(table, "table")
    return BatchEvalResult(tuple(ordered), table)


def read_batch(request: BatchEvalRequest) -> list[tuple[str, EvaluateRequest]]:
    """Return name and request of every row; paths in the list are relative to it."""
    try:
        text = request.csv_path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingDataError(f"{request.csv_path} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"{request.csv_path} is not text in UTF-8") from None
    reader = csv.DictReader(text.splitlines())
    columns = [name.strip() for name in reader.fieldnames or ()]
    if not set(columns) & set(PATH_COLUMNS):
        near = next((name for name in columns if nearest(name, PATH_COLUMNS)), "")
        hint = f"is {printable(near)!r} meant?" if near else "its first line names the columns: path,name"
        raise DataError(f"{request.csv_path} has no column 'path'", hint)
    jobs: dict[str, EvaluateRequest] = {}
    for line, values in enumerate(reader, 2):
        row = {key.strip(): (value or "").strip() for key, value in values.items() if key and isinstance(value, str)}
        name, job = _job(row, line, request)
        if name in jobs:
            raise RequestError(
                f"{request.csv_path}, line {line}: {name!r} stands twice", "give each row its own name"
            )
        jobs[name] = job
    return list(jobs.items())


def _job(row: dict[str, str], line: int, request: BatchEvalRequest) -> tuple[str, EvaluateRequest]:
    from cellmap_tui.challenge.layout import checked_name
    from cellmap_tui.services.evaluate_model import EvaluateRequest

    path = _first(row, PATH_COLUMNS)
    if not path:
        raise DataError(f"{request.csv_path}, line {line}: no path")
    folder = request.csv_path.parent
    submission = folder / Path(path).expanduser()
    name = checked_name(row.get("name") or submission.stem, f"{request.csv_path}, line {line}: name")
    truth, result = _first(row, TRUTH_COLUMNS), _first(row, RESULT_COLUMNS)
    job = EvaluateRequest(
        submission=submission,
        truth=folder / Path(truth).expanduser() if truth else request.truth,
        profile=row.get("profile") or request.profile,
        classes=request.classes,
        result_file=folder / Path(result).expanduser() if result else request.results_dir / f"{name}.json",
        workers=request.workers,
        memory_bytes=request.memory_bytes,
        store=request.store,
        state_dir=request.state_dir,
        test_manifest=request.test_manifest,
    )
    return name, job


def _first(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _row(name: str, job: EvaluateRequest, report: Reporter) -> BatchRow:
    from cellmap_tui.services.evaluate import evaluate

    result: EvaluateResult | None = None
    problem = ""
    try:
        result = evaluate(job, report)
        problem = "; ".join(result.errors[:3])
    except Stopped:
        raise
    except CellmapError as error:
        problem = str(error)
        report.warning(f"{name}: {problem}")
    return BatchRow(
        name=name,
        path=str(job.submission),
        overall_score=result.overall_score if result else None,
        overall_instance_score=result.overall_instance_score if result else None,
        overall_semantic_score=result.overall_semantic_score if result else None,
        missing=len(result.missing) if result else None,
        result_file=str(job.result_file),
        problem=problem,
    )


def _write_table(path: Path, rows: list[BatchRow]) -> None:
    import dataclasses
    import io

    from cellmap_tui.services.evaluate_files import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(BatchRow)]
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    write_text(path, text.getvalue())
