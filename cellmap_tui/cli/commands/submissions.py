"""`cellmap-tui submissions`: what was packed and handed in, and how it scored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.text import count, printable, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.submission_log_model import ScoreNote, Submission

EXAMPLES = """\
  cellmap-tui submissions                              everything that was packed, the latest first
  cellmap-tui submissions show latest
  cellmap-tui submissions upload submission.zip        note that it was handed in
  cellmap-tui submissions score 3f2a91bc --returned 0.412
  cellmap-tui submissions score latest --result-file R.json        a local score, from evaluate
  cellmap-tui submissions diff                         what changed since the last one
A submission is named by the start of its hash, by its zip, or as latest.
"""
SHOWN_CHANGES = 40


def add(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    parser = add_command(subparsers, "submissions", EXAMPLES)
    parser.set_defaults(handler=list_all)
    verbs = parser.add_subparsers(metavar="VERB")
    _verb(verbs, "list", "everything in the log, the latest first", list_all)
    _verb(verbs, "show", "one submission", show, named=True)
    upload = _verb(verbs, "upload", "note that a submission was handed in", note_upload, named=True)
    upload.add_argument("--date", metavar="DATE", help="when, such as 2026-07-01T14:30 (default: now)")
    upload.add_argument("--note", default="", metavar="TEXT", help="what to remember about it")
    score = _verb(verbs, "score", "note the score of a submission", note_score, named=True)
    which = score.add_mutually_exclusive_group(required=True)
    which.add_argument("--returned", type=float, metavar="SCORE", help="the challenge's overall score")
    which.add_argument("--local", type=float, metavar="SCORE", help="a score of your own")
    which.add_argument("--result-file", type=Path, metavar="R.json", help="a result file of evaluate: a local score")
    which.add_argument("--returned-file", type=Path, metavar="R.json", help="the challenge's result file")
    score.add_argument("--profile", default="", help="name of the rules, where the file does not say it")
    diff = _verb(verbs, "diff", "what changed between two submissions", diff_two)
    diff.add_argument("after", nargs="?", default="latest", metavar="SUBMISSION", help="(default: latest)")
    diff.add_argument("before", nargs="?", metavar="BEFORE", help="(default: the last one handed in before it)")


def _verb(
    verbs: Subparsers, name: str, summary: str, handler: object, *, named: bool = False
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    verb.set_defaults(handler=handler)
    if named:
        verb.add_argument("submission", metavar="SUBMISSION", help="start of its hash, its zip, or latest")
    return verb


def list_all(_args: argparse.Namespace, context: Context) -> int:
    """List all submissions."""
    from cellmap_tui.services.submissions import limits_words, list_submissions, uploads_per_day

    found = list_submissions(context.settings.state_dir)
    if context.json:
        output.write_json([_plain(submission) for submission in found])
        return diagnostics.DONE
    if not found:
        diagnostics.note("nothing was packed yet: cellmap-tui pack-results")
    output.write_table([_row(submission) for submission in found], right=["size"])
    days = uploads_per_day(found)
    if days:
        output.write("handed in: " + ", ".join(f"{number} on {day}" for day, number in list(days.items())[:7]))
    if not context.quiet:
        diagnostics.note(limits_words())
    return diagnostics.DONE


def show(args: argparse.Namespace, context: Context) -> int:
    """Show one submission."""
    from cellmap_tui.services.submission_log import SubmissionLog

    return _answer(SubmissionLog(context.settings.state_dir).find(args.submission), context)


def note_upload(args: argparse.Namespace, context: Context) -> int:
    """Note an upload."""
    from cellmap_tui.services.submissions import note_upload as note
    from cellmap_tui.services.submissions import parse_time

    when = parse_time(args.date) if args.date else None
    return _answer(note(context.settings.state_dir, args.submission, note=args.note, time_s=when), context)


def note_score(args: argparse.Namespace, context: Context) -> int:
    """Note a score."""
    from cellmap_tui.services.submissions import score_submission

    is_returned = args.returned is not None or args.returned_file is not None
    found = score_submission(
        context.settings.state_dir,
        args.submission,
        origin="returned" if is_returned else "local",
        overall=args.returned if args.returned is not None else args.local,
        file=args.result_file or args.returned_file,
        profile=args.profile,
    )
    return _answer(found, context)


def diff_two(args: argparse.Namespace, context: Context) -> int:
    """Show what changed."""
    from cellmap_tui.services.models import to_builtins
    from cellmap_tui.services.submissions import compare_submissions

    found = compare_submissions(context.settings.state_dir, args.after, args.before)
    if context.json:
        output.write_json(to_builtins(found))
        return diagnostics.DONE
    output.write(
        f"{found.before} → {found.after}: {count(len(found.volumes))} volumes differ, {count(found.same)} alike"
    )
    for change in found.volumes[:SHOWN_CHANGES]:
        output.write(printable(f"  {change.change:8} {change.volume}"))
    if len(found.volumes) > SHOWN_CHANGES:
        output.write(f"  {len(found.volumes) - SHOWN_CHANGES} more; --json names them")
    for line in found.provenance:
        output.write(f"  {line}")
    for origin, (before, after) in found.scores.items():
        if before is not None or after is not None:
            output.write(f"  {origin} score: {_figure(before)} → {_figure(after)}")
    return diagnostics.DONE


def _answer(submission: Submission, context: Context) -> int:
    if context.json:
        output.write_json(_plain(submission))
        return diagnostics.DONE
    output.write(f"{submission.id}  {submission.path}")
    output.write(f"sha256   {submission.sha256}")
    output.write(f"packed   {_moment(submission.packed_s)}  {size(submission.size_bytes)}")
    output.write(
        f"volumes  {count(submission.present)} predicted, {count(submission.empty)} empty, "
        f"{count(submission.missing)} left out"
    )
    for upload in submission.uploads:
        output.write(printable(f"uploaded {_moment(upload.time_s)}  {upload.note}").rstrip())
    for score in submission.scores:
        parts = f" (instance {_figure(score.instance)}, semantic {_figure(score.semantic)})"
        shown = parts if score.instance is not None or score.semantic is not None else ""
        output.write(f"{score.origin:8} {_figure(score.overall)}{shown} {score.profile}".rstrip())
    for kind in ("checkpoints", "configs"):
        for item in submission.provenance.get(kind, ()):
            output.write(printable(f"{kind[:-1]} {item.get('name')} {str(item.get('sha256'))[:16]}"))
    return diagnostics.DONE


def _row(submission: Submission) -> dict[str, object]:
    local, returned = submission.score("local"), submission.score("returned")
    last = submission.uploads[-1].time_s if submission.uploads else None
    total = submission.required or submission.present
    return {
        "id": submission.id,
        "packed": _moment(submission.packed_s),
        "volumes": f"{total - submission.missing}/{total}",
        "empty": submission.empty,
        "size": size(submission.size_bytes),
        "local": _score(local),
        "uploaded": _moment(last),
        "returned": _score(returned),
        "zip": submission.path.name,
    }


def _plain(submission: Submission) -> object:
    from cellmap_tui.services.models import to_builtins

    return to_builtins(submission)


def _score(score: ScoreNote | None) -> str:
    return "-" if score is None else f"{score.overall:.4f}{f' {score.profile}' if score.profile else ''}"


def _moment(time_s: float | None) -> str:
    return "-" if time_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
