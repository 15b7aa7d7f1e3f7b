"""`cellmap-tui pack-results`: predictions into the zip to upload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, printable, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.pack_model import Coverage, PackedVolume, PackPlan, PackRequest, PackResult

EXAMPLES = """\
  cellmap-tui --batch pack-results --fill-missing zeros -o submission.zip
  cellmap-tui --batch pack-results -i 'processed/{dataset}.zarr/{crop}' -o submission.zip -O -w 8
  cellmap-tui --batch pack-results -i nnunet_out --label mito=1 --label er=2 -o submission.zip
  cellmap-tui --batch pack-results -i 'out/{crop}/{label}.tif' --voxel-size 8 -o submission.zip
  cellmap-tui pack-results --dry-run        what is there, what is missing, what that costs
Killed or stopped, it goes on where it was. The same input gives the same bytes. Exit code 1, and no zip,
where a volume cannot be packed; --skip-wrong leaves such volumes out. In the matrix: # there, ~ resampled,
x cut or filled, o empty, ! cannot be packed, . missing.
"""
SIGNS = {
    "present": "#",
    "resampled": "~",
    "wrong-shape": "x",
    "outside": "!",
    "empty": "o",
    "unreadable": "!",
    "missing": ".",
}
SHOWN = 8


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "pack-results", EXAMPLES)
    parser.add_argument(
        "-i",
        "--input-search-path",
        metavar="PATH",
        help="folder, template with {dataset} {crop} {label}, zip, stack or folder of stacks "
        "(default: DATA_ROOT/processed/{dataset}.zarr/{crop})",
    )
    parser.add_argument("-o", "--output-path", type=Path, metavar="ZIP", help="(default: DATA_ROOT/submission.zip)")
    parser.add_argument("-O", "--overwrite", action="store_true", help="replace a zip that is there already")
    parser.add_argument(
        "-w", "--max-workers", "--workers", type=int, metavar="N", help="volumes at once (default: processors)"
    )
    parser.add_argument("--memory", metavar="SIZE", help="for voxels, such as 2G (default: 900M)")
    parser.add_argument(
        "--fill-missing", choices=("zeros", "none"), default="none", help="an empty volume costs less than none"
    )
    parser.add_argument("--skip-wrong", action="store_true", help="leave out volumes that cannot be packed")
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="semantic predictions are foreground above it (default: 0)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what is there and what would be done")
    _add_stacks(parser)
    origin = parser.add_argument_group("where it comes from: hashes that go into the zip")
    origin.add_argument("--checkpoint", action="append", default=[], type=Path, metavar="FILE")
    origin.add_argument("--config", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--test-manifest", metavar="CSV|URL", help="test volumes in place of the published ones")
    parser.set_defaults(handler=run)


def _add_stacks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stacks: TIFF, NIfTI, HDF5, NPY")
    group.add_argument("--label", action="append", default=[], metavar="CLASS=VALUE", help="in label maps")
    group.add_argument("--classes", metavar="CLASS,…", help="the class of stacks that hold one")
    group.add_argument(
        "--mapping", type=Path, metavar="JSON", help='{"labels": {class: value}, "cases": {file: crop}}'
    )
    group.add_argument("--voxel-size", type=triple, metavar="Z Y X", help="in nm, where the file does not say it")
    group.add_argument("--translation", type=triple, metavar="Z Y X", help="centre of voxel 0, in nm")
    group.add_argument("--axes", metavar="ORDER", help="such as xyz (default: zyx)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Pack, or show what there is."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "pack-results", request, show)


def request_from(args: argparse.Namespace, context: Context) -> PackRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.pack_model import PackRequest
    from cellmap_tui.services.settings import checked_data_root

    given = args.input_search_path
    return PackRequest(
        input=None if given is None else str(Path(given).expanduser().absolute()),
        output=absolute(args.output_path),
        overwrite=args.overwrite,
        workers=args.max_workers,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        fill_missing=args.fill_missing,
        skip_wrong=args.skip_wrong,
        threshold=args.threshold,
        classes=tuple(name for name in (args.classes or "").replace(",", " ").split() if name),
        labels=_labels(args.label),
        mapping=absolute(args.mapping),
        voxel_size_nm=args.voxel_size,
        translation_nm=args.translation,
        axes=args.axes,
        checkpoints=tuple(path.expanduser().absolute() for path in args.checkpoint),
        configs=tuple(path.expanduser().absolute() for path in args.config),
        data_root=checked_data_root(context.settings),
        state_dir=context.settings.state_dir,
        test_manifest=args.test_manifest,
    )


def show(result: PackResult) -> None:
    """Write the result for people."""
    _matrix({(row.crop, row.label): _sign(row) for row in result.volumes})
    wrong = [row for row in result.volumes if row.problem]
    for row in wrong[:SHOWN]:
        output.write(printable(f"error: {row.crop}/{row.label}: {row.problem}"))
        output.write(printable(f"    {row.fix}"))
    if len(wrong) > SHOWN:
        output.write(f"{len(wrong) - SHOWN} more volumes cannot be packed; --json names them")
    for words in result.warnings[:SHOWN]:
        output.write(printable(f"warning: {words}"))
    if result.zip is None:
        output.write(
            f"no zip: {count(result.failed)} of {count(result.required)} volumes cannot be packed; the others are "
            "kept. Mend them and run it again, or leave them out with --skip-wrong"
        )
        return
    output.write(
        f"{count(result.required - result.missing)} of {count(result.required)} volumes: {count(result.present)} "
        f"predicted, {count(result.empty)} empty ({count(result.filled)} filled in), {count(result.missing)} left out"
    )
    kept = f", {count(result.kept)} volumes of it before" if result.kept else ""
    output.write(f"{result.zip}  {size(result.size_bytes)}, {duration(result.elapsed_s)}{kept}")
    output.write(f"sha256 {result.sha256}")
    if result.log_id:
        output.write(
            f"in the log as {result.log_id}; after the upload: cellmap-tui submissions upload {result.log_id}"
        )


def show_plan(plan: PackPlan) -> None:
    """Write a plan for people."""
    show_coverage(plan.coverage)
    for words in plan.warnings:
        output.write(f"warning: {words}")
    output.write(
        f"{count(plan.to_pack)} volumes to pack, {count(plan.kept)} packed before, {count(plan.filled)} of them "
        f"zeros, {count(plan.left_out)} left out"
    )
    output.write(
        f"{count(plan.voxels)} voxels, {count(plan.workers)} at once with {size(plan.memory_bytes)}: {plan.output}, "
        f"at most about {size(plan.unpacked_bytes)} of {size(plan.free_bytes)} free"
    )


def show_coverage(coverage: Coverage) -> None:
    """Write the matrix, what is wrong, and the gaps that cost most."""
    _matrix({(cell.crop, cell.label): SIGNS[cell.state] for cell in coverage.cells})
    for cell in [cell for cell in coverage.cells if cell.words and cell.state != "present"][:SHOWN]:
        output.write(printable(f"{cell.crop}/{cell.label}: {cell.state}: {cell.words}"))
    gaps = sorted((cell for cell in coverage.cells if cell.state == "missing"), key=lambda cell: -cell.loss)
    for cell in gaps[:SHOWN]:
        step = f"  ({cell.fix.command})" if cell.fix.command else ""
        output.write(printable(f"{cell.crop}/{cell.label} is missing: {cell.cost}{step}"))
    if len(gaps) > SHOWN:
        output.write(f"{len(gaps) - SHOWN} more volumes are missing; --json names them and their cost")


def _sign(row: PackedVolume) -> str:
    return SIGNS["empty"] if row.state == "missing" and row.dtype else SIGNS[row.state]


def _matrix(signs: Mapping[tuple[str, str], str]) -> None:
    crops = list(dict.fromkeys(crop for crop, _ in signs))
    labels = list(dict.fromkeys(label for _, label in signs))
    numbers = [crop.removeprefix("crop") for crop in crops]
    width = max((len(label) for label in labels), default=0)
    output.write(" ".join([" " * width, *numbers]))
    for label in labels:
        cells = [
            signs.get((crop, label), " ").rjust(len(number)) for crop, number in zip(crops, numbers, strict=True)
        ]
        output.write(" ".join([label.ljust(width), *cells]).rstrip())
    output.write("")


def _dry_run(request: PackRequest, context: Context) -> int:
    from dataclasses import replace

    from cellmap_tui.services.pack_plan import output_of, plan_pack

    # A zip that is there is no reason not to say what is predicted: nothing is written.
    plan = plan_pack(replace(request, overwrite=True))
    if not request.overwrite and output_of(request).is_file():
        diagnostics.warning(f"{output_of(request)} exists already: packing replaces it only with --overwrite")
    if context.json:
        write_result("pack-results", plan)
    else:
        show_plan(plan)
    return diagnostics.DONE


def _labels(words: Sequence[str]) -> dict[str, int]:
    labels = {}
    for word in words:
        name, _, value = word.partition("=")
        if not (name and value.isdecimal()):
            raise RequestError(f"--label {word}: not of the form CLASS=VALUE", "for example --label mito=1")
        labels[name] = int(value)
    return labels
