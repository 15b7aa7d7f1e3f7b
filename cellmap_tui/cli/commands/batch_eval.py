"""`cellmap-tui batch-eval`: many submissions into one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, names
from cellmap_tui.cli.work import run_work

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.batch_eval import BatchEvalResult

EXAMPLES = """\
  cellmap-tui --batch batch-eval submissions.csv -t ground_truth.zarr
  cellmap-tui --batch batch-eval -c submissions.csv -t ground_truth.zarr --results-dir scores --profile panoptic
The CSV has a column path and, if wanted, name, truth, result_file and profile; paths are relative to it.
Each result goes to <results-dir>/<name>.json, the table to <results-dir>/batch.csv.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "batch-eval", EXAMPLES)
    parser.add_argument("csv", nargs="?", type=Path, metavar="CSV", help="list of submissions")
    parser.add_argument("-c", "--csv-path", type=Path, metavar="CSV", help="the same, as the official toolbox has it")
    parser.add_argument("-t", "--truth-path", type=Path, metavar="ZARR", help="ground truth of rows that name none")
    parser.add_argument("--results-dir", type=Path, metavar="DIR", help="default: beside the list")
    parser.add_argument("--profile", default="2026-06", help="name of the rules (default: 2026-06)")
    parser.add_argument("--classes", metavar="CLASS,…", help="only these classes")
    parser.add_argument(
        "-n", "-w", "--num-cpus", "--workers", type=int, dest="workers", metavar="N", help="processes"
    )
    parser.add_argument("--memory", metavar="SIZE", help="of all processes, such as 8G (default: what is free)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="folder of finished pairs")
    parser.add_argument("--test-manifest", metavar="CSV|URL", help="test volumes in place of the published ones")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Score every submission of a list."""
    from cellmap_tui.errors import RequestError
    from cellmap_tui.services.batch_eval import BatchEvalRequest
    from cellmap_tui.services.memory_budget import parse_size

    listed = args.csv or args.csv_path
    if listed is None or (args.csv and args.csv_path):
        raise RequestError("one list of submissions is needed", "cellmap-tui --batch batch-eval LIST.csv")
    path = listed.expanduser().absolute()
    request = BatchEvalRequest(
        csv_path=path,
        results_dir=absolute(args.results_dir) or path.parent,
        truth=absolute(args.truth_path),
        profile=args.profile,
        classes=names(args.classes),
        workers=args.workers,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        store=absolute(args.store),
        state_dir=context.settings.state_dir,
        test_manifest=args.test_manifest,
    )
    return run_work(context, "batch-eval", request, show)


def show(result: BatchEvalResult) -> None:
    """Write the table for people."""
    output.write_table(
        [
            {
                "name": row.name,
                "overall": _figure(row.overall_score),
                "instance": _figure(row.overall_instance_score),
                "semantic": _figure(row.overall_semantic_score),
                "missing": row.missing,
                "problem": row.problem or None,
            }
            for row in result.rows
        ],
        right=["overall", "instance", "semantic", "missing"],
    )
    output.write(str(result.table))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
