"""`cellmap-tui speedtest`: what the bucket gives from here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.fetch_data import amount
from cellmap_tui.cli.work import run_work
from cellmap_tui.text import number, size

if TYPE_CHECKING:
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.speedtest import SpeedtestResult

EXAMPLES = """\
  cellmap-tui --batch speedtest
  cellmap-tui --batch speedtest --widths 16,64,256 --seconds 5 --max-bytes 500M
  cellmap-tui --batch --json speedtest --endpoint-url http://127.0.0.1:8333
A few chunks of the bucket are fetched at several widths (requests in flight) and thrown away.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "speedtest", EXAMPLES)
    parser.add_argument("--widths", type=_widths, metavar="N,N", help="requests in flight (default: 8,32,128)")
    parser.add_argument("--seconds", type=float, metavar="S", help="for each width at most (default: 3)")
    parser.add_argument("--max-bytes", type=amount, metavar="SIZE", help="of everything at most (default: 200M)")
    parser.add_argument("--dataset", metavar="NAME", help="whose chunks to fetch (default: jrc_cos7-1a)")
    parser.add_argument("--profile", metavar="NAME", help="AWS profile to sign with (default: anonymous)")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Measure the bucket."""
    from cellmap_tui.services.speedtest import SpeedtestRequest

    given = {
        name: getattr(args, name)
        for name in ("widths", "seconds", "max_bytes", "dataset", "profile")
        if getattr(args, name) is not None
    }
    settings = context.settings
    request = SpeedtestRequest(
        endpoint_url=settings.endpoint_url, bucket=settings.bucket, state_dir=settings.state_dir, **given
    )
    return run_work(context, "speedtest", request, show)


def show(result: SpeedtestResult) -> None:
    """Write the result for people."""
    rows = [
        {
            "in flight": point.width,
            "objects/s": number(point.objects_per_s),
            "per second": f"{size(point.bytes_per_s)}",
            "p50 ms": None if point.latency_p50_s is None else f"{point.latency_p50_s * 1e3:.0f}",
            "p95 ms": None if point.latency_p95_s is None else f"{point.latency_p95_s * 1e3:.0f}",
            "failed": point.failures,
        }
        for point in result.points
    ]
    output.write(
        f"{result.address}: {result.sample_objects} objects of {size(result.mean_bytes)} on average, {result.sample}"
    )
    output.write_table(rows, right=list(rows[0]))
    output.write(f"{size(result.total_bytes)} downloaded; {result.suggestion}")


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.replace(" ", ",").split(",") if word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 8,32,128") from None
