"""`cellmap-tui demo`: a small synthetic challenge, and the journey on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work
from cellmap_tui.text import duration, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.demo import DemoResult

EXAMPLES = """\
  cellmap-tui demo                       the app, ready to make the demo
  cellmap-tui --batch demo               make it and walk the journey here
  cellmap-tui --batch demo --make-only   stop after the data
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "demo", EXAMPLES)
    parser.add_argument("-d", "--dest", type=Path, metavar="DIR", help="where (default: a folder of its own)")
    parser.add_argument("--make-only", action="store_true", help="stop after the data")
    parser.add_argument("--size", choices=("small", "tiny"), default="small", help="tiny: for trying things out")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same data (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace a demo of another size or seed")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Make the demo."""
    from cellmap_tui.services.demo import DemoRequest

    root = (args.dest or context.settings.state_dir / "demo").expanduser().absolute()
    request = DemoRequest(
        root=root,
        size=args.size,
        seed=args.seed,
        make_only=args.make_only,
        overwrite=args.overwrite,
        user_data_root=context.settings.data_root,
    )
    return run_work(context, "demo", request, show)


def show(result: DemoResult) -> None:
    """Write the result for people."""
    for step in result.steps:
        output.write(f"✓ {step.name}: {step.outcome}")
    if result.not_available:
        output.write(f"· not in this version: {', '.join(result.not_available)}")
    output.write(f"{size(result.size_bytes)} in {duration(result.elapsed_s)}; data root: {result.data_root}")
    output.write(f"look at it: cellmap-tui --data-root {result.data_root}")
