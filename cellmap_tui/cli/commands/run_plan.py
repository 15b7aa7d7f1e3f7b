"""`cellmap-tui run`: a plan file, step by step, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work
from cellmap_tui.text import duration, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.journey_model import JourneyRequest, JourneyResult, StepResult

EXAMPLES = """\
  cellmap-tui run plan.toml --dry-run               which steps would run, which are done, and why
  cellmap-tui --batch run plan.toml
  cellmap-tui --batch run plan.toml --redo evaluate
  cellmap-tui --detach run plan.toml                goes on when the terminal is gone

A plan is TOML: [options] for all steps, then [[step]] with command = "…" and its options, named as in Python:
  [[step]]
  command = "pack-results"
  fill_missing = "zeros"
Paths are relative to the file; "${step.field}" stands for a field of an earlier step's result.
A step is skipped when its options, inputs and outputs are unchanged. Progress is kept in plan.state.json.
"""
SIGNS = {"skipped": "=", "done": "✓", "failed": "✗", "stopped": "■", "waiting": "·"}


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "run", EXAMPLES)
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help="the plan")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--until", default="", metavar="STEP", help="stop after this step")
    parser.add_argument(
        "--redo", action="append", default=[], metavar="STEP", help="carry a step out again; repeatable"
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Carry out a plan."""
    from cellmap_tui.services.journey_model import JourneyRequest

    settings = context.settings
    request = JourneyRequest(
        plan=args.plan.expanduser().absolute(),
        until=args.until,
        redo=tuple(name for words in args.redo for name in words.split(",")),
        data_root=settings.data_root,
        state_dir=settings.state_dir,
        endpoint_url=settings.endpoint_url,
        bucket=settings.bucket,
    )
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "run", request, show)


def show(result: JourneyResult) -> None:
    """Write the result for people."""
    _rows(result.steps)
    output.write(f"{printable(str(result.plan))}: {duration(result.elapsed_s)}")


def _dry_run(request: JourneyRequest, context: Context) -> int:
    from dataclasses import replace

    from cellmap_tui.services.journey import run_journey
    from cellmap_tui.services.models import to_builtins
    from cellmap_tui.services.report import SilentReporter

    result = run_journey(replace(request, dry_run=True), SilentReporter())
    if context.json:
        output.write_event("result", command="run", value=to_builtins(result))
    else:
        _rows(result.steps)
    return diagnostics.DONE


def _rows(steps: Iterable[StepResult]) -> None:
    rows = tuple(steps)
    width = max(len(row.name) for row in rows)
    for row in rows:
        took = f" ({duration(row.elapsed_s)})" if row.state == "done" else ""
        output.write(printable(f"{SIGNS[row.state]} {row.name.ljust(width)}  {row.words}{took}"))
