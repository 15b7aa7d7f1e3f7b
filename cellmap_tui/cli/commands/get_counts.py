"""`cellmap-tui get-counts`: crops, voxels and objects of each class, by dataset and crop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, names
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, number

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.counts_model import ClassCount, CountsRequest, CountsResult, CropCount

EXAMPLES = """\
  cellmap-tui --batch get-counts -c nuc,mito
  cellmap-tui --batch get-counts -c all --per-crop          every annotated class, a row per crop
  cellmap-tui --batch get-counts -c mito --csv > mito.csv
  cellmap-tui --batch get-counts --targets targets.toml -o counts.csv
crops: with voxels of the class, of those that annotate it. touching: share of the objects with ids that have a
voxel next to another object's. What was counted is remembered beside the data.
"""
DEFAULT_CLASSES = "nuc,er"


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "get-counts", EXAMPLES)
    parser.add_argument("-c", "--classes", metavar="CLASS,…", help=f"classes, or all (default: {DEFAULT_CLASSES})")
    parser.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml in place of --classes")
    parser.add_argument("-ds", "--datasets", metavar="NAME,…", help="datasets, patterns such as jrc_mus* allowed")
    parser.add_argument("-cr", "--crops", default="all", metavar="CROPS", help="ids, ranges, dataset/crop, a filter")
    parser.add_argument("--no-objects", action="store_true", help="do not count the parts of masks: faster")
    parser.add_argument("--per-crop", action="store_true", help="a row per crop and class")
    parser.add_argument("--csv", action="store_true", help="a row per crop and class as CSV")
    parser.add_argument("-o", "--output", type=Path, metavar="CSV", help="write these rows into a file")
    group = parser.add_argument_group("places other than the data root")
    group.add_argument("-sp", "--search-path", default="", metavar="PATH", help="with {dataset} and {name}")
    group.add_argument("-rn", "--raw-name", default="", metavar="NAME", help="{name} of the EM: em/fibsem-uint8")
    group.add_argument(
        "-cn", "--crop-name", default="", metavar="NAME", help="{name} of labels: labels/groundtruth/{crop}/{label}"
    )
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Count, and show it as a table or CSV."""

    def show(result: CountsResult) -> None:
        if args.csv:
            output.write_csv([_csv_row(row) for row in result.crops])
        elif args.per_crop:
            show_crops(result.crops)
        else:
            show_classes(result)

    return run_work(context, "get-counts", request_from(args, context), show)


def request_from(args: argparse.Namespace, context: Context) -> CountsRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.counts_model import CountsRequest
    from cellmap_tui.services.settings import checked_data_root

    if args.classes is not None and args.targets is not None:
        raise RequestError("--classes and --targets contradict each other", "give one of them")
    classes = names(args.classes or DEFAULT_CLASSES)
    return CountsRequest(
        data_root=checked_data_root(context.settings),
        classes=() if classes == ("all",) else classes,
        targets=absolute(args.targets),
        datasets=names(args.datasets),
        crops=args.crops,
        objects=not args.no_objects,
        search_path=str(Path(args.search_path).expanduser().absolute()) if args.search_path else "",
        raw_name=args.raw_name,
        crop_name=args.crop_name,
        output=absolute(args.output),
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def show_classes(result: CountsResult) -> None:
    """Write a row per class and dataset, and the sums, for people."""
    several = len({row.dataset for row in result.datasets}) > 1
    rows = [*result.datasets, *(result.totals if several else ())] or [*result.totals]
    output.write_table(
        [_class_row(row) for row in rows], right=["crops", "of", "missing", "voxels", "µm³", "objects", "touching"]
    )
    if result.not_local:
        output.write(f"\n{count(result.not_local)} training crops of the catalog are not on disk")
    if result.output is not None:
        output.write(str(result.output))


def show_crops(rows: Sequence[CropCount]) -> None:
    """Write a row per crop and class for people."""
    output.write_table(
        [
            {
                "crop": row.ref,
                "class": row.name,
                "state": row.state
                if row.is_complete or row.state in {"unknown", "missing"}
                else f"{row.state}, in part",
                "voxels": None if row.voxels is None else count(row.voxels),
                "share": _percent(row.share),
                "objects": None if row.objects is None else count(row.objects),
                "touching": row.touching,
                "object nm": None if row.object_nm is None else f"{row.object_nm:.0f}",
            }
            for row in rows
        ],
        right=["voxels", "share", "objects", "touching", "object nm"],
    )


def _class_row(row: ClassCount) -> dict[str, Any]:
    return {
        "dataset": row.dataset or "all",
        "class": row.name,
        "crops": row.present,
        "of": row.annotated,
        "missing": row.missing or None,
        "voxels": count(row.voxels),
        "µm³": number(float(f"{row.volume_um3:.3g}")),
        "objects": None if row.objects is None else count(row.objects),
        "touching": _percent(row.touching_share),
    }


def _csv_row(row: CropCount) -> dict[str, Any]:
    import dataclasses

    values = dataclasses.asdict(row)
    return {name: "" if value is None else value for name, value in values.items()}


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{number(float(f'{100 * share:.2g}'))} %"
