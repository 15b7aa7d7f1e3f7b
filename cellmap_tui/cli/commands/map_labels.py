"""`cellmap-tui map-labels`: ground-truth ids or class arrays turned into targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.fetch_data import expression, listed, source
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.map_labels_model import MapLabelsRequest, MapLabelsResult

EXAMPLES = """\
  cellmap-tui --batch map-labels --targets targets.toml
  cellmap-tui --batch map-labels -c mito,er --crops 234,236 --as instance -o mapped
  cellmap-tui --batch map-labels --targets targets.toml --combined -o 'ids/{dataset}.zarr/{crop}'
  cellmap-tui --batch map-labels --input mine.tif --label axon=1 --label glia=2 -c axon,glia -o mine.zarr
  cellmap-tui --batch map-labels --input mask.nii.gz --input-class mito --as instance --method watershed -o m.zarr
A targets.toml: [targets] then mito = ["mito_mem", "mito_lum"]; ignore = ["mito_ribo"] counts as unknown.
Foreground, background and unknown stay apart; unknown voxels have the largest value of the type.
A mapping that was stopped or killed goes on where it was. Exit code 1 when a volume could not be made.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "map-labels", EXAMPLES)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml: what is made of which classes")
    what.add_argument("-c", "--classes", nargs="+", default=[], metavar="CLASS", help="a target for each class")
    parser.add_argument(
        "--crops", nargs="+", default=[], metavar="CROPS", help="default: training crops that are on disk"
    )
    parser.add_argument("-o", "--output", default="", metavar="PATH", help="folder, or template {dataset} {crop}")
    parser.add_argument(
        "--from", choices=("auto", "classes", "all"), default="auto", dest="origin", help="arrays to read (auto)"
    )
    parser.add_argument(
        "--as", choices=("semantic", "instance"), dest="kind", help="of every target (default: its own)"
    )
    parser.add_argument(
        "--method", choices=("components", "watershed"), default="components", help="mask to objects (components)"
    )
    parser.add_argument("--seed-distance-nm", type=float, metavar="NM", help="watershed: least distance of centres")
    parser.add_argument("--combined", action="store_true", help="one volume with the ids of all targets per crop")
    parser.add_argument("--separate", action="store_true", help="with --combined: a volume for each target too")
    parser.add_argument("--memory", metavar="SIZE", help="a watershed may take, such as 8G (default: what is free)")
    parser.add_argument("--overwrite", action="store_true", help="replace volumes of an earlier mapping that differ")
    parser.add_argument("--ignore-disk", action="store_true", help="go on although the disk looks too small")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")
    _add_input(parser)
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a label volume of your own in place of crops")
    group.add_argument("--input", metavar="PATH", help="zarr, TIFF file or folder, NIfTI, NPY, file.h5:/dataset")
    group.add_argument("--input-class", metavar="NAME", help="the one class it holds, as a mask or object ids")
    group.add_argument(
        "--label", action="append", default=[], metavar="NAME=ID", help="its ids, where not the table's"
    )
    group.add_argument("--unknown", type=int, metavar="VALUE", help='its value that means "not annotated"')
    group.add_argument("--voxel-size", type=triple, metavar="Z Y X", help="in nm, where the file does not say")
    group.add_argument("--translation", type=triple, metavar="Z Y X", help="centre of voxel 0 in nm")
    group.add_argument("--axes", metavar="ORDER", help="such as xyz, where the file does not say (zyx)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Map, or say what would be mapped."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "map-labels", request, show)


def request_from(args: argparse.Namespace, context: Context) -> MapLabelsRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.map_labels_model import DEFAULT_CROPS, MapLabelsRequest
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.settings import checked_data_root

    if args.separate and not args.combined:
        raise RequestError("--separate goes with --combined", "without it each target has a volume of its own")
    return MapLabelsRequest(
        data_root=checked_data_root(context.settings),
        crops=expression(args.crops) if args.crops else DEFAULT_CROPS,
        targets=args.targets,
        classes=listed(args.classes),
        output=args.output,
        origin=args.origin,
        kind=args.kind,
        method=args.method,
        seed_distance_nm=args.seed_distance_nm,
        combined=args.combined,
        separate=args.separate or not args.combined,
        input=args.input,
        input_class=args.input_class,
        labels=_labels(args.label),
        unknown_value=args.unknown,
        voxel_size_nm=args.voxel_size,
        translation_nm=args.translation,
        axes=args.axes,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        overwrite=args.overwrite,
        ignore_disk=args.ignore_disk,
        dry_run=args.dry_run,
        state_dir=context.settings.state_dir,
        manifest=source(args.manifest),
        train_manifest=source(args.train_manifest),
        test_manifest=source(args.test_manifest),
    )


def show(result: MapLabelsResult) -> None:
    """Write the result for people."""
    from cellmap_tui.services.map_labels_words import result_lines

    for line in result_lines(result):
        output.write(line)


def _dry_run(request: MapLabelsRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.cli.work import write_result
    from cellmap_tui.services.map_labels import map_labels
    from cellmap_tui.services.report import SilentReporter

    talks = not (context.quiet or context.json)
    result = map_labels(request, LineReporter() if talks else SilentReporter())
    if context.json:
        write_result("map-labels", result)
    else:
        show(result)
    return result.exit_code


def _labels(words: list[str]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value.strip().isdecimal()):
            raise RequestError(f"--label {word}: not of the form NAME=ID", "for example --label mito=1")
        if name in labels:
            raise RequestError(f"--label {name} is given twice")
        labels[name] = int(value)
    return labels
