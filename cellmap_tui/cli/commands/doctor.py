"""`cellmap-tui doctor`: is this machine fit for the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.text import printable

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context

EXAMPLES = """\
  cellmap-tui doctor           Python, torch, CUDA, driver, memory, disk, bucket, terminal
  cellmap-tui doctor --json    the same for a program or a bug report
"""
SIGNS = {"ok": "✓", "note": "!", "problem": "✗"}


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "doctor", EXAMPLES)
    parser.set_defaults(handler=run)


def run(_args: argparse.Namespace, context: Context) -> int:
    """Run the checks; the exit code is 1 when one found a problem."""
    from cellmap_tui.services.doctor import DoctorRequest, doctor
    from cellmap_tui.services.models import to_builtins
    from cellmap_tui.services.report import SilentReporter

    report = doctor(DoctorRequest.of(context.settings), SilentReporter())
    if context.json:
        output.write_json(to_builtins(report))
    else:
        width = max(len(check.name) for check in report.checks)
        for check in report.checks:
            output.write(printable(f"{SIGNS[check.status]} {check.name:{width}}  {check.value}"))
            if check.remedy:
                output.write(printable(f"  {'':{width}}  {check.remedy}"))
    return diagnostics.FAILED if report.has_problems else diagnostics.DONE
