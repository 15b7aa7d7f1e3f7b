"""`cellmap-tui runs show`: one run in words, or one frame of a training, also of another tool's log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, printable, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.jobs.summary import RunSummary


def add_frame_options(verb: Any) -> None:
    """Add the options of `show`."""
    verb.add_argument("--once", action="store_true", help="a training: curves, classes, machine and diagnosis, once")
    verb.add_argument("--metrics", metavar="F", default="", help="with --once: metrics to draw: 'val/dice*'")
    verb.add_argument("--log-y", action="store_true", help="with --once: logarithmic y")


def show(args: argparse.Namespace, context: Context) -> int:
    """Show one run, or a log of another tool."""
    from cellmap_tui.jobs.runs import find_run, show_run

    if (log := foreign_log(args.run)) is not None:
        return _show_frame(log, args, context)
    summary = show_run(find_run(runs_root(context), args.run))
    if args.once and summary.command in {"train", "unknown"}:
        return _show_frame(summary.path, args, context)
    if args.metrics or args.log_y:
        raise RequestError("--metrics and --log-y need --once, and a training", "see: cellmap-tui runs show --help")
    if context.json:
        output.write_json(plain(summary))
        return diagnostics.DONE
    for name, value in _details(summary):
        output.write(f"{name:10} {printable(value)}")
    return diagnostics.DONE


def foreign_log(word: str) -> Path | None:
    """Return the place of a log that is no run of this tool; None: the word means a run."""
    path = Path(word).expanduser()
    if "/" not in word and not path.is_file():
        return None
    is_run = (path / "request.json").is_file() or (path / "events.jsonl").is_file() or (path / "state.json").is_file()
    return path.absolute() if path.exists() and not is_run else None


def _show_frame(path: Path, args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.cli.commands.runs_frame import document, frame, read_whole  # loads numpy
    from cellmap_tui.monitor.source import open_source

    source = open_source(path)
    read_whole(source)
    if context.json:
        output.write_json(document(source))
        return diagnostics.DONE
    for line in frame(source, args.metrics, log_y=args.log_y):
        output.write(line)
    return diagnostics.DONE


def runs_root(context: Context) -> Path:
    """Return the folder of the runs."""
    from cellmap_tui.services.settings import checked_runs_root

    return checked_runs_root(context.settings)


def plain(summary: RunSummary) -> object:
    """Return a summary as plain values."""
    from cellmap_tui.services.models import to_builtins

    return to_builtins(summary)


def _details(summary: RunSummary) -> list[tuple[str, str]]:
    rows: list[tuple[str, str | None]] = [
        ("run", summary.run_id),
        ("folder", str(summary.path)),
        ("command", " ".join(summary.arguments) or summary.command),
        ("state", summary.state + (f" (asked by {summary.by})" if summary.by else "")),
        ("progress", share_words(summary)),
        ("eta", duration(summary.eta_s) if summary.eta_s is not None else None),
        ("started", clock_words(summary.started_s)),
        ("took", took_words(summary)),
        ("host", f"{summary.host} process {summary.pid}" if summary.host else None),
        ("exit", None if summary.exit_code is None else str(summary.exit_code)),
        ("says", summary.message),
        ("remedy", summary.remedy),
        ("problem", summary.problem),
        ("size", None if summary.size_bytes is None else size(summary.size_bytes)),
        ("version", f"{summary.version}{' (newer than this one)' if summary.is_newer else ''}"),
    ]
    return [(name, value) for name, value in rows if value]


def share_words(summary: RunSummary) -> str | None:
    """Return how much is done, in words."""
    if summary.done is None:
        return None
    if not summary.total:
        return f"{count(round(summary.done))} {summary.unit or ''}".strip()
    return f"{100 * summary.done / summary.total:.0f} %"


def clock_words(time_s: float | None) -> str | None:
    """Return a moment, in words."""
    return None if time_s is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def took_words(summary: RunSummary) -> str | None:
    """Return how long a run worked, in words."""
    if summary.started_s is None:
        return None
    end_s = time.time() if summary.ended_s is None else summary.ended_s
    return duration(end_s - summary.started_s)
