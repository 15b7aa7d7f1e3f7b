"""`cellmap-tui export`: labelled regions in the formats of other tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.fetch_data import expression, listed, source
from cellmap_tui.cli.values import absolute
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.services.export_model import FORMATS
from cellmap_tui.text import count, counted, size, voxel
from cellmap_tui.text import triple as triple_words

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.export_model import ExportRequest, ExportResult

EXAMPLES = """\
  cellmap-tui --batch export --format ome-zarr -o out                      every crop on disk, its classes
  cellmap-tui --batch export --format tiff --crops 234,236 -c mito,er --margin-nm 200 -o stacks
  cellmap-tui --batch export --format hdf5 --targets targets.toml -s 8 --combined -o out
  cellmap-tui --batch export --format nifti --crops test -o test_em        EM of the test crops
  cellmap-tui --batch export --format nnunet --datasplit split.csv -c mito,er -o nnunet
A region is a crop and its margin, EM and labels on the same voxels. What is not annotated has a value of
its own, the largest of the type. manifest.csv and .json say where each volume lies in the world and what
its values mean. An export that was stopped goes on where it was. Axes are z, y, x; lengths nanometres.
"""
SHOWN = 12


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "export", EXAMPLES)
    parser.add_argument("-f", "--format", choices=FORMATS, default="ome-zarr", help="default: ome-zarr")
    parser.add_argument(
        "-o", "--output", "--out", type=Path, required=True, metavar="DIR", help="folder to write into"
    )
    parser.add_argument("--crops", nargs="+", metavar="CROPS", help="ids, ranges, a filter (default: on disk)")
    parser.add_argument(
        "-c", "--classes", nargs="+", default=[], metavar="CLASS", help="a target each (default: all of the crop)"
    )
    parser.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml, in place of --classes")
    parser.add_argument(
        "--from",
        choices=("auto", "classes", "all"),
        default="auto",
        dest="source",
        help="arrays to read targets from",
    )
    parser.add_argument("-s", "--scale", type=triple, metavar="Z Y X", help="voxel size in nm (default: the labels')")
    parser.add_argument("--margin", type=triple, metavar="Z Y X", help="voxels of EM around the crop")
    parser.add_argument("--margin-nm", type=triple, metavar="Z Y X", help="the same in nm")
    parser.add_argument(
        "--raw",
        choices=("match", "native", "none"),
        default="match",
        help="EM on the labels' voxels, its own, or none",
    )
    parser.add_argument("--combined", action="store_true", help="one label volume with a value for each target")
    parser.add_argument("--datasplit", type=Path, metavar="CSV", help="its crops, with their usage")
    _add_nnunet(parser)
    parser.add_argument("--no-compression", action="store_true", help="where the format leaves the choice")
    parser.add_argument("--overwrite", action="store_true", help="replace files made from something else")
    parser.add_argument("--ignore-disk", action="store_true", help="go on although the disk looks too small")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_nnunet(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("nnU-Net")
    group.add_argument(
        "--dataset-id", type=int, default=501, metavar="N", help="number of the dataset (default: 501)"
    )
    group.add_argument("--dataset-name", default="CellMap", metavar="NAME", help="default: CellMap")
    group.add_argument("--file-ending", choices=(".nii.gz", ".tif"), default=".nii.gz", help="default: .nii.gz")
    group.add_argument(
        "--incomplete",
        choices=("skip", "ignore", "absent"),
        default="skip",
        help="crops without some target: leave out, ignore its voxels, or take it as absent (default: skip)",
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Export, or say what would be exported."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "export", request, show)


def request_from(args: argparse.Namespace, context: Context) -> ExportRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.export_model import ExportRequest
    from cellmap_tui.services.settings import checked_data_root

    return ExportRequest(
        data_root=checked_data_root(context.settings),
        output=args.output.expanduser().absolute(),
        format=args.format,
        crops=expression(args.crops) if args.crops else "",
        classes=listed(args.classes),
        targets=absolute(args.targets),
        scale=args.scale,
        margin=_voxels(args.margin),
        margin_nm=args.margin_nm,
        raw=args.raw,
        combined=args.combined,
        source=args.source,
        datasplit=absolute(args.datasplit),
        dataset_id=args.dataset_id,
        dataset_name=args.dataset_name,
        file_ending=args.file_ending,
        incomplete=args.incomplete,
        compress=not args.no_compression,
        overwrite=args.overwrite,
        ignore_disk=args.ignore_disk,
        state_dir=context.settings.state_dir,
        manifest=source(args.manifest),
        train_manifest=source(args.train_manifest),
        test_manifest=source(args.test_manifest),
    )


def show(result: ExportResult) -> None:
    """Write the result for people."""
    for file in result.files[:SHOWN]:
        first = file.volumes[0]
        names = ", ".join(volume.name for volume in file.volumes[:6])
        more = f" and {len(file.volumes) - 6} more" if len(file.volumes) > 6 else ""
        where = f"{triple_words(first.shape)} at {voxel(first.voxel_size_nm)} nm"
        output.write(f"{file.state:7}  {file.path}  {where}: {names}{more}")
    if len(result.files) > SHOWN:
        output.write(f"… and {count(len(result.files) - SHOWN)} more files")
    crops = counted(result.crops, "crop")
    if result.dry_run:
        output.write(f"{crops}: nothing was written (--dry-run)")
        return
    output.write(f"{crops}, {counted(len(result.files), 'file')}, {size(result.size_bytes)}: {result.output}")
    output.write(f"what is in them: {result.manifest}")
    if result.format == "nnunet":
        output.write(f"export nnUNet_raw={result.output}/nnUNet_raw")
        output.write(f"export nnUNet_preprocessed={result.output}/nnUNet_preprocessed")


def _dry_run(request: ExportRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.export import export
    from cellmap_tui.services.report import SilentReporter

    talks = not (context.quiet or context.json)
    result = export(replace(request, dry_run=True), LineReporter() if talks else SilentReporter())
    if context.json:
        write_result("export", result)
    else:
        show(result)
    return result.exit_code or diagnostics.DONE


def _voxels(values: tuple[float, float, float] | None) -> Shape3:
    if values is None:
        return (0, 0, 0)
    if any(value != int(value) for value in values):
        raise RequestError("--margin counts whole voxels", "use --margin-nm for lengths")
    z, y, x = (int(value) for value in values)
    return (z, y, x)
