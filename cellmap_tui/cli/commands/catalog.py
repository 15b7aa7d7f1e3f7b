"""`cellmap-tui catalog`: where the crop table comes from, and reading it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.text import count

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.catalog_refresh import RefreshResult

EXAMPLES = """\
  cellmap-tui catalog refresh --dry-run         what the published manifests would change
  cellmap-tui catalog refresh                   use them from now on
  cellmap-tui catalog refresh --manifest m.csv --train-manifest t.csv
  cellmap-tui catalog refresh --builtin         back to the table of this version
"""
SHOWN = 10


def add(subparsers: Subparsers) -> None:
    """Add the command with its verb."""
    parser = add_command(subparsers, "catalog", EXAMPLES)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("refresh", help="re-read the published manifests", allow_abbrev=False)
    add_manifest_options(verb)
    verb.add_argument("--builtin", action="store_true", help="return to the table of this version")
    verb.add_argument("--dry-run", action="store_true", help="show the difference, keep the old table")
    verb.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait for an address")
    verb.set_defaults(handler=refresh)


def refresh(args: argparse.Namespace, context: Context) -> int:
    """Read the manifests again and show the difference."""
    from cellmap_tui.cli.work import write_result
    from cellmap_tui.services.catalog_refresh import RefreshRequest, refresh_catalog
    from cellmap_tui.services.report import SilentReporter

    request = RefreshRequest(
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
        builtin=args.builtin,
        dry_run=args.dry_run,
        timeout_s=args.timeout,
    )
    result = refresh_catalog(request, SilentReporter())
    if context.json:
        write_result("catalog refresh", result)
    else:
        show(result)
    return diagnostics.DONE


def show(result: RefreshResult) -> None:
    """Write the difference for people."""
    for words in result.notes:
        diagnostics.note(words)
    diff = result.diff
    _list("+", diff.crops_added)
    _list("-", diff.crops_removed)
    _list("~", [f"{change.ref}: {change.what}" for change in diff.crops_changed])
    before, after = count(diff.annotations_before), count(diff.annotations_after)
    output.write(
        f"annotations {before} → {after}, test volumes {diff.test_volumes_before} → {diff.test_volumes_after}"
    )
    what = (
        "the same as before"
        if diff.is_empty
        else "in use from now on"
        if result.written
        else "not written (--dry-run)"
    )
    output.write(f"{count(result.crops)} crops, sha256 {result.sha256[:16]}: {what}")


def _list(sign: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        output.write(f"{sign} {line}")
    if len(lines) > SHOWN:
        output.write(f"{sign} … and {count(len(lines) - SHOWN)} more (all with --json)")
