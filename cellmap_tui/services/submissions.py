"""What was packed and handed in: the log as screens and commands ask for it, and what is added by hand."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError, UnknownNameError
from cellmap_tui.services.submission_log import LIMITS, LIMITS_CHECKED, UPLOAD_URL, SubmissionLog
from cellmap_tui.services.submission_log_model import ScoreNote, Submission, SubmissionDiff, VolumeChange
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.submission_log_model import ScoreOrigin

__all__ = [
    "compare_submissions",
    "limits_words",
    "list_submissions",
    "note_upload",
    "parse_time",
    "read_score_file",
    "score_submission",
    "uploads_per_day",
]


def list_submissions(state_dir: Path) -> tuple[Submission, ...]:
    """Return every submission of the log, the latest first."""
    return SubmissionLog(state_dir).all()


def limits_words() -> str:
    """Return where to hand in and what is known of limits, with the date of that knowledge."""
    return f"hand in at {UPLOAD_URL}; as of {LIMITS_CHECKED} {LIMITS}"


def uploads_per_day(submissions: tuple[Submission, ...]) -> dict[str, int]:
    """Return how many submissions were handed in on each day (local time), the latest day first."""
    days = Counter(day_of(upload.time_s) for s in submissions for upload in s.uploads)
    return dict(sorted(days.items(), reverse=True))


def day_of(time_s: float) -> str:
    """Return the day of a time, as ``2026-07-01`` in local time."""
    return time.strftime("%Y-%m-%d", time.localtime(time_s))


def note_upload(state_dir: Path, word: str, *, note: str = "", time_s: float | None = None) -> Submission:
    """Note that a submission was handed in.

    Parameters
    ----------
    word
        Id or zip; a zip that was not packed here is taken into the log.

    Raises
    ------
    UnknownNameError
        If there is no such submission and no such file.
    RequestError
        If the day of `time_s` is later than tomorrow.
    DataError
        If the file is no submission.
    """
    if time_s is not None:
        _check_past(time_s)
    log = SubmissionLog(state_dir)
    submission = _found_or_met(log, word)
    log.add_upload(submission, note, time_s)
    return log.find(submission.sha256)


def score_submission(
    state_dir: Path,
    word: str,
    *,
    origin: ScoreOrigin,
    overall: float | None = None,
    file: Path | None = None,
    profile: str = "",
) -> Submission:
    """Note the score of a submission, typed in or read from a result file.

    Raises
    ------
    RequestError
        If it is no score, or neither or both of `overall` and `file` are given.
    MissingDataError
        If the file cannot be read.
    DataError
        If it is no result file.
    """
    if (overall is None) == (file is None):
        raise RequestError("the score is not clear", "give the score itself or a result file")
    now = round(time.time(), 3)
    if file is not None:
        score = read_score_file(file, origin, now, profile)
    else:
        assert overall is not None  # one of both is given
        if not (math.isfinite(overall) and 0 <= overall <= 1):
            raise RequestError(f"{overall:g} is no score", "scores lie between 0 and 1")
        score = ScoreNote(origin, overall, None, None, profile, now)
    log = SubmissionLog(state_dir)
    submission = _found_or_met(log, word)
    log.add_score(submission, score)
    return log.find(submission.sha256)


def note_local_score(state_dir: Path, submission: Path, score: ScoreNote) -> bool:
    """Note what an evaluation of a whole zip gave, if the zip is in the log and as it was when it was packed.

    Returns
    -------
    bool
        Whether a score was noted; a score that the log has already is not noted again.
    """
    log = SubmissionLog(state_dir)
    path = submission.absolute()
    try:
        known = log.find(str(path))
        is_same = path.is_file() and path.stat().st_size == known.size_bytes
    except (UnknownNameError, OSError):
        return False
    last = known.score("local")
    if not is_same or (last is not None and (last.overall, last.profile) == (score.overall, score.profile)):
        return False
    log.add_score(known, score)
    return True


def read_score_file(file: Path, origin: ScoreOrigin, time_s: float, profile: str = "") -> ScoreNote:
    """Read a score from a result file of `evaluate` or of the official toolbox.

    Raises
    ------
    MissingDataError
        If it cannot be read.
    DataError
        If it holds no overall score.
    """
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise MissingDataError(f"{file} cannot be read: {error.strerror}", "name the result file") from None
    except (ValueError, RecursionError):
        raise DataError(f"{file} is not JSON", "name a result file of evaluate, or type the score in") from None
    overall = _number(found, "overall_score")
    if overall is None:
        raise DataError(f"{file} has no overall_score", "name a result file of evaluate, or type the score in")
    own = found.get("cellmap_tui")
    named = own.get("profile") if isinstance(own, dict) else None
    instance, semantic = _number(found, "overall_instance_score"), _number(found, "overall_semantic_score")
    return ScoreNote(origin, overall, instance, semantic, profile or str(named or ""), time_s)


def compare_submissions(state_dir: Path, after: str = "latest", before: str | None = None) -> SubmissionDiff:
    """Return what changed from one submission to another.

    Parameters
    ----------
    after
        The later one.
    before
        The earlier one; None: the last before it that was handed in, else the last before it.

    Raises
    ------
    UnknownNameError
        If one of them is not in the log, or there is only one.
    """
    log = SubmissionLog(state_dir)
    later = log.find(after)
    earlier = log.find(before) if before else _before(log, later)
    old, new = log.volumes(earlier), log.volumes(later)
    changes = [VolumeChange(name, "added") for name in new.keys() - old.keys()]
    changes += [VolumeChange(name, "removed") for name in old.keys() - new.keys()]
    changes += [VolumeChange(name, "changed") for name in old.keys() & new.keys() if old[name] != new[name]]
    scores = {
        origin: tuple(s.overall if s else None for s in (earlier.score(origin), later.score(origin)))
        for origin in ("local", "returned")
    }
    return SubmissionDiff(
        before=earlier.id,
        after=later.id,
        volumes=tuple(sorted(changes, key=lambda change: change.volume)),
        same=sum(old.get(name) == digest for name, digest in new.items()),
        provenance=tuple(_differences(earlier.provenance, later.provenance)),
        scores=scores,  # type: ignore[arg-type]
    )


def parse_time(text: str) -> float:
    """Read a date such as ``2026-07-01`` or ``2026-07-01 14:30`` in local time, as seconds since 1970.

    Raises
    ------
    RequestError
        If it is none.
    """
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise RequestError(f"{text!r} is not a date", "write 2026-07-01 or 2026-07-01T14:30") from None


def _check_past(time_s: float) -> None:
    from datetime import date, timedelta

    # Tomorrow is let through: it may be that already where the clock of the upload stands.
    if date.fromtimestamp(time_s) > date.today() + timedelta(days=1):
        raise RequestError(f"{day_of(time_s)} is still to come", "give the day on which it was handed in")


def _found_or_met(log: SubmissionLog, word: str) -> Submission:
    """Return the submission that a word names; a zip that is not in the log is taken into it."""
    from pathlib import Path

    path = Path(word).expanduser().absolute()
    if not path.is_file():
        return log.find(word)
    from cellmap_tui.services.pack_provenance import file_hash

    digest = file_hash(path)
    try:
        return log.find(digest)
    except UnknownNameError:
        _meet(log, path, digest)
        return log.find(digest)


def _meet(log: SubmissionLog, path: Path, digest: str) -> None:
    """Take a zip that was not packed here into the log."""
    from cellmap_tui.scoring.submission import open_submission
    from cellmap_tui.services.evaluate_store import ZipPrints

    submission = open_submission(path)
    refs = submission.volumes()
    if not refs:
        raise DataError(f"{printable(str(path))} holds no crop<N>/<class>", "name the zip of a submission")
    prints = ZipPrints(path)
    volumes = {f"{crop}/{label}": prints.of(volume.ref.key) for (crop, label), volume in refs.items()}
    facts = {
        "size_bytes": path.stat().st_size,
        "required": 0,
        "present": len(volumes),
        "empty": 0,
        "missing": 0,
        "provenance": zip_provenance(submission.store),
        "is_packed": False,
    }
    log.add_packed(path, digest, facts, volumes)


def zip_provenance(store: Any) -> dict[str, Any]:
    """Return what a submission says about where it comes from; empty where it says nothing."""
    from cellmap_tui.scoring.stored import read_node

    try:
        node = read_node(store, ".zattrs")
    except DataError:
        return {}
    value = node.value if node is not None else None
    own = value.get("cellmap_tui") if isinstance(value, dict) else None
    return own if isinstance(own, dict) else {}


def _before(log: SubmissionLog, later: Submission) -> Submission:
    others = [s for s in log.all() if s.sha256 != later.sha256]
    earlier = [s for s in others if _time(s) <= _time(later)]
    if not earlier:
        raise UnknownNameError(f"no submission before {later.id} in the log", "name the other one")
    return next((s for s in earlier if s.uploads), earlier[0])


def _time(submission: Submission) -> float:
    return submission.packed_s or (submission.uploads[0].time_s if submission.uploads else 0.0)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name in ("manifest_sha256", "predictions") and old.get(name) != new.get(name):
            lines.append(f"{name} differs")
        elif old.get(name) != new.get(name):
            lines.append(f"{name}: {_short(old.get(name))} → {_short(new.get(name))}")
    return lines


def _short(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, dict) and "sha256" in item for item in value):
        return ", ".join(f"{item['name']} {item['sha256'][:8]}" for item in value) or "none"
    if isinstance(value, list):
        return f"{len(value)} volumes"
    return "none" if value is None else printable(str(value))[:60]


def _number(values: object, name: str) -> float | None:
    value = values.get(name) if isinstance(values, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]
