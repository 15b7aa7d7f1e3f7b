"""`cellmap-tui plan`: class groups with scale, patch, batch and network; a configuration each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, triple, voxel

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.propose_model import Dimensions, GroupProposal, ProposeRequest, ProposeResult

EXAMPLES = """\
  cellmap-tui plan --dry-run                            what would be proposed for the crops on disk
  cellmap-tui --batch plan -c mito,er --gpu-memory 24 -o plans
  cellmap-tui --batch plan --crops all --gpu-memory 80 --hours 24
  cellmap-tui --batch plan --targets targets.toml --datasplit split.csv
Labels on disk are looked through once for the size of objects and how many touch. Each configuration tells its
reasons in comments; look at one with: cellmap-tui config check train_8nm.toml
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "plan", EXAMPLES)
    parser.add_argument("-c", "--classes", metavar="CLASS,…", help="default: all scored classes of the crops")
    parser.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml in place of --classes")
    parser.add_argument(
        "-cr", "--crops", default="", metavar="CROPS", help="ids, ranges, a filter, all (default: those on disk)"
    )
    parser.add_argument("--datasplit", type=Path, metavar="CSV", help="a split in place of --crops; used as it is")
    parser.add_argument("--gpu-memory", type=float, metavar="GB", help="of one GPU (default: this machine's)")
    parser.add_argument("--hours", type=float, metavar="H", help="most hours of one training")
    parser.add_argument("--groups", type=int, default=3, metavar="N", help="most configurations (default: 3)")
    parser.add_argument("--dimensions", choices=("auto", "2d", "3d"), default="auto", help="of patches")
    parser.add_argument("--no-scan", action="store_true", help="do not look at what labels hold")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    parser.add_argument("-O", "--overwrite", action="store_true", help="replace configurations that are there")
    parser.add_argument("--dry-run", action="store_true", help="show the proposal, write nothing")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Propose, and write the configurations unless it is a dry run."""
    request = request_from(args, context)
    if not args.dry_run:
        return run_work(context, "plan", request, show)
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.propose import plan_propose
    from cellmap_tui.services.report import SilentReporter

    line = None if context.quiet or context.json else LineReporter()
    try:
        result = plan_propose(request, line or SilentReporter())
    finally:
        if line is not None:
            line.close()
    if context.json:
        write_result("plan", result)
    else:
        show(result)
    return diagnostics.DONE


def request_from(args: argparse.Namespace, context: Context) -> ProposeRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.propose_model import ProposeRequest
    from cellmap_tui.services.settings import checked_data_root

    if args.classes is not None and args.targets is not None:
        raise RequestError("--classes and --targets contradict each other", "give one of them")
    dimensions: Dimensions = args.dimensions
    return ProposeRequest(
        output=args.output.expanduser().absolute(),
        data_root=checked_data_root(context.settings),
        state_dir=context.settings.state_dir,
        classes=tuple((args.classes or "").replace(",", " ").split()),
        targets=absolute(args.targets),
        crops=args.crops,
        datasplit=absolute(args.datasplit),
        gpu_memory_gb=args.gpu_memory,
        hours=args.hours,
        max_groups=args.groups,
        dimensions=dimensions,
        scan=not args.no_scan,
        overwrite=args.overwrite,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def show(result: ProposeResult) -> None:
    """Write the proposal for people."""
    output.write(f"{result.crops_from}; {result.gpu}")
    output.write_table([_row(group) for group in result.groups], right=["targets", "batch", "GB", "crops", "epochs"])
    for group in result.groups:
        output.write(f"\n{group.name}: {', '.join(target.name for target in group.targets)}")
        for reason in group.reasons:
            output.write(f"  {reason}")
    for out in result.left_out:
        output.write(f"\nleft out: {out.name} {out.reason}")
    for words in result.notes:
        output.write(f"\nnote: {words}")
    if result.written:
        output.write("")
    for path in result.written:
        output.write(str(path))


def _row(group: GroupProposal) -> dict[str, object]:
    return {
        "group": group.name,
        "targets": len(group.targets),
        "nm": voxel(group.scale_nm),
        "patch": triple(group.patch),
        "batch": group.batch_size,
        "network": group.network,
        "GB": group.memory_gb,
        "crops": count(group.crops),
        "epochs": group.epochs,
        "hours": duration(group.hours * 3600),
    }
