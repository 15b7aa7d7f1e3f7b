"""`cellmap-tui runs`: list, show, follow, attach, stop, pause, resume, compare, prune."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.runs_compare import add_compare
from cellmap_tui.cli.commands.runs_show import (
    add_frame_options,
    clock_words,
    plain,
    runs_root,
    share_words,
    show,
    took_words,
)
from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.text import count, printable, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.jobs.summary import RunSummary

EXAMPLES = """\
  cellmap-tui runs list
  cellmap-tui runs follow latest      events as they come, until the run ends
  cellmap-tui runs attach latest      the app on that run
  cellmap-tui runs stop 2026          any part of an id that names one run will do
  cellmap-tui runs show 7f3a --once       a training's live screen as text, once; also logs/tensorboard, log.csv
  cellmap-tui runs compare 7f3a R.json   two evaluations: runs, or their result files
  cellmap-tui runs compare 7f3a 9c21     two trainings: configuration, metrics, best epochs, classes
  cellmap-tui runs prune --older-than 30
"""
DAY_S = 86_400


def add(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    parser = add_command(subparsers, "runs", EXAMPLES)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, summary, handler in (
        ("list", "all runs, the newest first", list_all),
        ("show", "one run", show),
        ("attach", "the app on a run", attach),
        ("follow", "events of a run as they come", follow),
        ("stop", "ask a run to finish its step, save and stop; again: end it now", stop),
        ("pause", "ask a run to wait", pause),
        ("resume", "go on with a paused, stopped, lost or failed run", resume),
        ("prune", "remove runs that have ended; shows sizes and asks", prune),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.set_defaults(handler=handler)
        if name not in {"list", "prune"}:
            verb.add_argument("run", metavar="RUN", help="id, a part of it that names one run, or latest")
        if name == "show":
            add_frame_options(verb)
        if name == "stop":
            verb.add_argument("--force", action="store_true", help="end the process without waiting for its step")
        if name == "prune":
            verb.add_argument("runs", nargs="*", metavar="RUN", help="only these")
            verb.add_argument(
                "--older-than", type=float, metavar="DAYS", default=0.0, help="ended at least so long ago"
            )
            verb.add_argument("--dry-run", action="store_true", help="show, remove nothing")
    add_compare(verbs)


def list_all(_args: argparse.Namespace, context: Context) -> int:
    """List all runs."""
    from cellmap_tui.jobs.runs import list_runs

    summaries = list_runs(runs_root(context))
    if context.json:
        output.write_json([plain(summary) for summary in summaries])
    elif summaries:
        output.write_table([_row(summary) for summary in summaries])
    else:
        diagnostics.note(f"no runs in {runs_root(context)}")
    return diagnostics.DONE


def attach(args: argparse.Namespace, context: Context) -> int:
    """Open the app on one run: a training, or a log of another tool, on the live screen."""
    from pathlib import Path

    from cellmap_tui.jobs.runs import find_run, show_run

    log = Path(args.run).expanduser()
    is_log = log.exists() and not (log / "request.json").exists() and not (log / "events.jsonl").exists()
    run = None if is_log else find_run(runs_root(context), args.run)
    if not context.has_terminal or context.batch:
        raise RequestError("runs attach needs a terminal", f"headless: cellmap-tui runs follow {args.run}")
    from cellmap_tui.app.app import run_app

    if run is None:
        return run_app(context.settings, start="train", options={"command": "train", "path": log.absolute()})
    # A run may lie outside the usual root: then the app looks at the runs beside it.
    settings = replace(context.settings, runs_root=run.path.parent)
    command = show_run(run).command
    if command == "train":
        return run_app(settings, start="train", options={"command": "train", "path": run.path})
    start = "predict" if command in ("predict", "process", "tune") else "runs"
    return run_app(settings, start=start, options={"run": run.run_id})


def follow(args: argparse.Namespace, context: Context) -> int:
    """Write the events of a run as they come; the exit code is the run's."""
    from cellmap_tui.jobs.event_words import event_words
    from cellmap_tui.jobs.runs import find_run, show_run
    from cellmap_tui.jobs.watch import follow as follow_events

    run = find_run(runs_root(context), args.run)
    for event in follow_events(run):
        if context.json:
            output.write_event(event.kind, time_s=event.time_s, **event.fields)
        else:
            stamp = time.strftime("%H:%M:%S", time.localtime(event.time_s))
            output.write(f"{stamp}  {printable('  '.join(event_words(event)))}")
            output.flush()
    summary = show_run(run)
    if summary.state in {"lost", "unreadable"}:
        diagnostics.warning(f"run {run.run_id} is {summary.state}: {summary.problem or summary.message or 'no word'}")
        return diagnostics.FAILED
    return summary.exit_code or diagnostics.DONE


def stop(args: argparse.Namespace, context: Context) -> int:
    """Ask a run to stop."""
    from cellmap_tui.jobs.runs import find_run, stop_run

    run = find_run(runs_root(context), args.run)
    how = stop_run(run, force=args.force)
    words = "asked to stop after the step at hand" if how == "asked" else "its process was told to end"
    return _say(context, run.run_id, how, words)


def pause(args: argparse.Namespace, context: Context) -> int:
    """Ask a run to wait."""
    from cellmap_tui.jobs.rundir import resume_command
    from cellmap_tui.jobs.runs import find_run, pause_run

    run = find_run(runs_root(context), args.run)
    pause_run(run)
    return _say(context, run.run_id, "asked", f"asked to pause; go on with: {resume_command(run)}")


def resume(args: argparse.Namespace, context: Context) -> int:
    """Let a run go on: here with ``--batch`` when it must be started again, else as a job."""
    from cellmap_tui.cli.work import run_here
    from cellmap_tui.jobs.rundir import read_request
    from cellmap_tui.jobs.runs import find_run, requeue, resume_run, show_run

    run = find_run(runs_root(context), args.run)
    if context.batch and not context.detach and not show_run(run).is_live:
        requeue(run)
        return run_here(context, run, read_request(run).command, lambda _: output.write(f"{run.run_id} is done"))
    pid = resume_run(run)
    words = "goes on" if pid is None else f"started again as process {pid}"
    return _say(context, run.run_id, "resumed", words)


def prune(args: argparse.Namespace, context: Context) -> int:
    """Remove runs that have ended."""
    from cellmap_tui.jobs.runs import find_run, prune_plan
    from cellmap_tui.jobs.runs import prune as remove

    root = runs_root(context)
    ids = {find_run(root, ref).run_id for ref in args.runs} if args.runs else None
    plan = prune_plan(root, run_ids=ids, older_than_s=args.older_than * DAY_S)
    if not context.json:
        output.write_table(
            [{"run": run.run_id, "state": run.state, "size": size(run.size_bytes)} for run in plan.runs],
            right=["size"],
        )
    words = f"{count(len(plan.runs))} runs, {size(plan.size_bytes)}; {count(plan.kept)} stay"
    if args.dry_run or not plan.runs:
        return _prune_answer(context, [], 0, words if plan.runs else f"nothing to remove; {count(plan.kept)} stay")
    if not context.yes and not _confirmed(context, f"remove {words}?"):
        raise RefusedError(f"{words}: not removed without a yes", "add --yes")
    result = remove(plan)
    for run_id, reason in result.failed:
        diagnostics.warning(f"{run_id} stays: {reason}")
    removed = f"removed {count(len(result.removed))} runs, {size(result.freed_bytes)}"
    _prune_answer(context, list(result.removed), result.freed_bytes, removed)
    return diagnostics.FAILED if result.failed else diagnostics.DONE


def _row(summary: RunSummary) -> dict[str, object]:
    return {
        "run": summary.run_id,
        "command": summary.command,
        "state": summary.state,
        "progress": share_words(summary),
        "started": clock_words(summary.started_s or summary.created_s),
        "took": took_words(summary),
        "says": summary.problem or summary.message,
    }


def _say(context: Context, run_id: str, action: str, words: str) -> int:
    if context.json:
        output.write_json({"run_id": run_id, "action": action})
    else:
        output.write(f"{run_id}: {words}")
    return diagnostics.DONE


def _confirmed(context: Context, question: str) -> bool:
    if not context.has_terminal or context.json:
        return False
    diagnostics.ask(question)
    return input().strip().lower() in {"y", "yes"}


def _prune_answer(context: Context, removed: list[str], freed_bytes: int, words: str) -> int:
    if context.json:
        output.write_json({"removed": removed, "freed_bytes": freed_bytes})
    else:
        diagnostics.note(words)
    return diagnostics.DONE
