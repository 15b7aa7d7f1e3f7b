"""`cellmap-tui validate-submission`: is it all there, and will it be seen as it is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work
from cellmap_tui.text import count, printable, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.validate_model import Finding, ValidateResult

EXAMPLES = """\
  cellmap-tui --batch validate-submission submission.zip
  cellmap-tui --batch --json validate-submission submission.zarr --quick
The zip stays zipped. Exit code 1 when something was found. In the matrix: # there, o empty, ! wrong, . missing.
"""
SIGNS = {"present": "#", "empty": "o", "wrong": "!", "missing": "."}
SHOWN_MISSING = 5


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "validate-submission", EXAMPLES)
    parser.add_argument("submission", type=Path, metavar="ZIP|FOLDER", help="what will be uploaded")
    parser.add_argument("--quick", action="store_true", help="names and metadata alone, no voxels")
    parser.add_argument("--test-manifest", metavar="CSV|URL", help="test volumes in place of the published ones")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Look through a submission."""
    from cellmap_tui.services.validate_submission import ValidateRequest

    request = ValidateRequest(
        submission=args.submission.expanduser().absolute(),
        quick=args.quick,
        state_dir=context.settings.state_dir,
        test_manifest=args.test_manifest,
    )
    return run_work(context, "validate-submission", request, show)


def show(result: ValidateResult) -> None:
    """Write the result for people."""
    _matrix(result)
    missing = [finding for finding in result.findings if finding.kind == "missing"]
    for finding in (finding for finding in result.findings if finding.kind != "missing"):
        _tell(finding)
    for number, finding in enumerate(missing[:SHOWN_MISSING], 1):
        _tell(finding, with_fix=number == min(SHOWN_MISSING, len(missing)))
    if len(missing) > SHOWN_MISSING:
        output.write(f"{len(missing) - SHOWN_MISSING} more volumes are missing; --json names them and their cost")
    empty = f", {count(result.empty)} of them empty" if result.empty else ""
    output.write(
        f"{count(result.present)} of {count(result.required)} volumes{empty}; "
        f"{size(result.size_bytes)} unpacked of {size(result.limit_bytes)} allowed"
    )


def _matrix(result: ValidateResult) -> None:
    crops = list(dict.fromkeys(row.crop for row in result.coverage))
    labels = list(dict.fromkeys(row.label for row in result.coverage))
    states = {(row.crop, row.label): row.state for row in result.coverage}
    numbers = [crop.removeprefix("crop") for crop in crops]
    width = max((len(label) for label in labels), default=0)
    output.write(" ".join([" " * width, *numbers]))
    for label in labels:
        signs = [SIGNS[states[crop, label]] if (crop, label) in states else " " for crop in crops]
        cells = [sign.rjust(len(number)) for sign, number in zip(signs, numbers, strict=True)]
        output.write(" ".join([label.ljust(width), *cells]).rstrip())
    output.write("")


def _tell(finding: Finding, *, with_fix: bool = True) -> None:
    output.write(printable(f"{finding.severity}: {finding.where}: {finding.problem}"))
    if with_fix:
        output.write(printable(f"    {finding.fix}"))
