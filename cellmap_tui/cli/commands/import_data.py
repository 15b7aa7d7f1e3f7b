"""`cellmap-tui import`: somebody's own stacks into the challenge layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import RequestError
from cellmap_tui.text import size, voxel
from cellmap_tui.text import triple as triple_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.import_data import ImportRequest, ImportResult

EXAMPLES = """\
  cellmap-tui --batch import --dataset mine --raw em.tif --label pm=membrane.tif --voxel-size 50 4 4 --crop 1
  cellmap-tui --batch import --dataset mine --raw stack/ --voxel-size 8 --dry-run
  cellmap-tui --batch import --dataset mine --label mito=ids.npy --as mito=instance --crop 2 --box 0 20 0 256 0 256
  cellmap-tui --batch import --dataset mine --raw em.h5:/volumes/raw --label nuc=nuc.zarr/s0 --unknown 255
Stacks are TIFF files or folders, NPY, zarr (v2, v3, OME-NGFF) or HDF5 (file.h5:/dataset), read slab by slab.
Axes are z, y, x; sizes and positions are nanometres; a translation is the centre of voxel 0.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "import", EXAMPLES)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="dataset to make or to add to")
    parser.add_argument("--raw", metavar="STACK", help="EM stack; leave out to add labels to an existing dataset")
    parser.add_argument(
        "--label", action="append", default=[], metavar="CLASS=STACK", help="label stack; repeat for more"
    )
    parser.add_argument("--voxel-size", type=triple, metavar="Z Y X", help="in nm; 8, 8,8,8 or 8 8 8")
    parser.add_argument(
        "--translation", type=triple, metavar="Z Y X", help="centre of voxel 0 in nm (default: 0 0 0)"
    )
    parser.add_argument("--crop", type=int, default=1, metavar="N", help="number of the crop (default: 1)")
    parser.add_argument(
        "--box", metavar="Z0 Z1 Y0 Y1 X0 X1", help="voxels of the EM that the crop covers (default: all)"
    )
    parser.add_argument("--label-voxel-size", type=triple, metavar="Z Y X", help="of the labels, where it differs")
    parser.add_argument(
        "--as", action="append", default=[], dest="kinds", metavar="CLASS=KIND", help="binary or instance, if unclear"
    )
    parser.add_argument(
        "--foreground", action="append", default=[], metavar="CLASS=VALUE", help="the one value that is the class"
    )
    parser.add_argument(
        "--unknown", action="append", default=[], metavar="[CLASS=]VALUE", help='value that means "not annotated"'
    )
    parser.add_argument("--axes", metavar="ORDER", help="order of the file's axes, such as xyz (default: zyx)")
    parser.add_argument(
        "--scaling", choices=("percentile", "full"), default="percentile", help="EM wider than 8 bits"
    )
    parser.add_argument("--value-range", metavar="LOW,HIGH", help="EM values that become 0 and 255")
    parser.add_argument("--invert", action="store_true", help="swap dark and bright in the EM")
    parser.add_argument("--overwrite", action="store_true", help="replace what differs")
    parser.add_argument("--ignore-disk", action="store_true", help="go on although the disk looks too small")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Import, or say what would be imported."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "import", request, show)


def request_from(args: argparse.Namespace, context: Context) -> ImportRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.import_data import ImportRequest
    from cellmap_tui.services.settings import checked_data_root

    unknown = [word for word in args.unknown if "=" not in word]
    per_class = _pairs("--unknown", [word for word in args.unknown if "=" in word])
    if len(unknown) > 1:
        raise RequestError("--unknown VALUE is given twice", "use --unknown CLASS=VALUE where classes differ")
    return ImportRequest(
        data_root=checked_data_root(context.settings),
        dataset=args.dataset,
        raw=args.raw,
        labels=_pairs("--label", args.label),
        voxel_size_nm=args.voxel_size,
        translation_nm=args.translation,
        crop=args.crop,
        box=_box(args.box) if args.box else None,
        label_voxel_size_nm=args.label_voxel_size,
        kinds={name: _kind(name, kind) for name, kind in _pairs("--as", args.kinds).items()},  # type: ignore[misc]
        foreground=_integers("--foreground", _pairs("--foreground", args.foreground)),
        unknown_value=_integers("--unknown", {"": unknown[0]})[""] if unknown else None,
        unknown_values=_integers("--unknown", per_class),
        axes=args.axes,
        scaling=args.scaling,
        value_range=_range(args.value_range) if args.value_range else None,
        invert=args.invert,
        overwrite=args.overwrite,
        ignore_disk=args.ignore_disk,
    )


def show(result: ImportResult) -> None:
    """Write the result for people."""
    for array in result.arrays:
        where = f"{array.path}  {triple_words(array.shape)} at {voxel(array.voxel_size_nm)} nm, {array.kind}"
        output.write(f"{array.state:7}  {where}, {array.levels} levels")
    if result.dry_run:
        output.write(f"{result.ref}: nothing was written (--dry-run)")
        return
    output.write(f"{result.ref}: {size(result.size_bytes)} under {result.data_root}")
    output.write(f"look at it: cellmap-tui visualize {result.ref} -o slice.png, or cellmap-tui and v on the crop")


def _dry_run(request: ImportRequest, context: Context) -> int:
    from dataclasses import replace

    from cellmap_tui.cli import diagnostics
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.cli.work import write_result
    from cellmap_tui.services.import_data import import_data
    from cellmap_tui.services.report import SilentReporter

    talks = not (context.quiet or context.json)
    result = import_data(replace(request, dry_run=True), LineReporter() if talks else SilentReporter())
    if context.json:
        write_result("import", result)
    else:
        show(result)
    return diagnostics.DONE


def _pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise RequestError(f"{flag} {word}: not of the form NAME=VALUE", f"for example {flag} mito=…")
        if name in pairs:
            raise RequestError(f"{flag} {name} is given twice")
        pairs[name] = value
    return pairs


def _integers(flag: str, pairs: dict[str, str]) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in pairs.items()}
    except ValueError as error:
        raise RequestError(f"{flag}: {error}", "give a whole number") from None


def _kind(name: str, kind: str) -> str:
    if kind not in {"binary", "instance"}:
        raise RequestError(f"--as {name}={kind}: not a kind of label", "use binary or instance")
    return kind


def _numbers(flag: str, text: str, count: int) -> list[float]:
    words = text.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise RequestError(f"{flag} {text!r}: {count} numbers are needed")
    return numbers


def _box(text: str) -> tuple[int, int, int, int, int, int]:
    numbers = _numbers("--box", text, 6)
    if any(value != int(value) for value in numbers):
        raise RequestError(f"--box {text!r}: voxels are whole numbers")
    z0, z1, y0, y1, x0, x1 = (int(value) for value in numbers)
    return (z0, z1, y0, y1, x0, x1)


def _range(text: str) -> tuple[float, float]:
    low, high = _numbers("--value-range", text, 2)
    return (low, high)
