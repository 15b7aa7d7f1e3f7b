"""`cellmap-tui verify`: what is on disk against the bucket, and repair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.fetch_data import amount, destination, expression, listed, source
from cellmap_tui.cli.work import run_work

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.verify_model import VerifyRequest, VerifyResult

EXAMPLES = """\
  cellmap-tui --batch verify                           every crop with data on disk
  cellmap-tui --batch verify --crops 234,236 --repair  fetch what is missing or corrupt
  cellmap-tui --batch verify --offline                 against what was recorded when the data were fetched
What was never asked for is "not requested" and no gap. Exit code 1 when something is missing or corrupt.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "verify", EXAMPLES)
    parser.add_argument(
        "-c", "--crops", nargs="+", default=["local"], metavar="CROPS", help="as of fetch-data (default: local)"
    )
    parser.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="labels of these classes alone")
    parser.add_argument("-d", "--dest", type=Path, metavar="DIR", help="folder of the data (default: the data root)")
    parser.add_argument("--repair", action="store_true", help="fetch what is missing or corrupt")
    parser.add_argument("--offline", action="store_true", help="check against the record of the fetch alone")
    parser.add_argument("--quick", action="store_true", help="compare lengths alone, read no file")
    parser.add_argument("-w", "--num-workers", type=int, metavar="N", help="requests in flight at most")
    parser.add_argument("--limit-rate", type=amount, metavar="BYTES", help="bytes a second at most, such as 20M")
    parser.add_argument("--profile", default="", metavar="NAME", help="AWS profile (default: anonymous)")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Check, and repair where that is asked."""
    return run_work(context, "verify", request_from(args, context), show)


def request_from(args: argparse.Namespace, context: Context) -> VerifyRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.verify_model import VerifyRequest

    settings = context.settings
    return VerifyRequest(
        data_root=destination(args, context),
        crops=expression(args.crops),
        classes=listed(args.classes),
        offline=args.offline,
        quick=args.quick,
        repair=args.repair,
        num_workers=args.num_workers,
        limit_rate=args.limit_rate,
        endpoint_url=settings.endpoint_url,
        bucket=settings.bucket,
        profile=args.profile,
        state_dir=settings.state_dir,
        manifest=source(args.manifest),
        train_manifest=source(args.train_manifest),
        test_manifest=source(args.test_manifest),
    )


def show(result: VerifyResult) -> None:
    """Write the result for people."""
    from cellmap_tui.services.verify_words import verify_lines

    for line in verify_lines(result):
        output.write(line)
