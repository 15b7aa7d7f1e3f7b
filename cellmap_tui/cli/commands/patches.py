"""`cellmap-tui patches`: the bank of a split, what a network would be fed, and a look at it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import RequestError
from cellmap_tui.text import size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.patches_model import PatchesRequest, PatchesResult

EXAMPLES = """\
  cellmap-tui --batch patches split.csv -c mito,er -s 8 8 8             build the bank, count 64 patches
  cellmap-tui --batch patches split.csv -c nuc --show 6 -o patches.png  look at six of them
  cellmap-tui --batch patches split.csv --targets targets.toml --show   in the terminal
  cellmap-tui --batch patches plan/mito.toml --show 4 -o mito.png       as a configuration says
  cellmap-tui --batch patches split.csv -c er --shape 1,256,256 --slicing-axes zyx
A panel for each class: tinted where it is, plain where it is not, hatched where nobody knows. The bank is kept
in the cache folder, EM and one byte of label code a voxel; nothing is written into the data.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "patches", EXAMPLES)
    parser.add_argument("source", type=Path, metavar="CSV|TOML", help="a datasplit, or a configuration")
    parser.add_argument("-c", "--classes", metavar="CLASS,…", help="classes, a channel each (default: the split's)")
    parser.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml in place of --classes")
    parser.add_argument("-s", "--scale", type=triple, metavar="Z Y X", help="voxel size in nm (default: 8)")
    parser.add_argument("--shape", type=triple, metavar="Z,Y,X", help="voxels of a patch (default: 128)")
    parser.add_argument("--usage", choices=("train", "validate"), default="train", help="crops to draw from")
    parser.add_argument("--no-augment", action="store_true", help="patches as they are")
    parser.add_argument("--slicing-axes", metavar="AXES", help="axes that flat patches are cut across, as zyx")
    parser.add_argument("--cores", metavar="CLASS,…", help="classes with a channel for their objects' cores")
    parser.add_argument("--mutual-exclusion", action="store_true", help="infer what the class table implies")
    parser.add_argument("--coarse-labels", choices=("drop", "upsample"), help="labels coarser than the voxel size")
    parser.add_argument("--foreground", type=float, metavar="SHARE", help="patches centred on a class (default: 0.5)")
    parser.add_argument("--empty", type=float, metavar="SHARE", help="patches without any target (default: 0.1)")
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same patches (default: 42)")
    parser.add_argument("-n", "--count", type=int, default=64, metavar="N", help="patches to count (default: 64)")
    parser.add_argument("--show", type=int, nargs="?", const=4, default=0, metavar="N", help="draw N patches (4)")
    parser.add_argument("-o", "--output", type=Path, metavar="PNG", help="file for the picture")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where banks are kept")
    parser.add_argument("--workers", type=int, metavar="N", help="threads that read (default: as there are cores)")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Open the bank and draw patches."""
    request = _request(args, context)
    to_terminal = request.show > 0 and request.output is None
    if to_terminal and not sys.stdout.isatty():
        raise RequestError("stdout is no terminal to draw on", "name a file: --show -o patches.png")
    code = run_work(context, "patches", request, show)
    if to_terminal and context.batch and code == diagnostics.DONE:
        _draw_here(request)
    return code


def show(result: PatchesResult) -> None:
    """Write the result for people."""
    crops = "1 crop" if result.crops == 1 else f"{result.crops} crops"
    rate = f"{result.patches_per_s:.3g} patches/s"
    output.write(f"{crops}, {size(result.bank_bytes)}, {result.codes} combinations of states; {rate}")
    rows = [
        {
            "target": column.name,
            "crops": column.crops_with,
            "drawn for": column.drawn_for,
            "patches with": f"{column.patches_with} of {result.patches}",
            "present": f"{column.present:.2%}",
            "absent": f"{column.absent:.2%}",
            "unknown": f"{column.unknown:.2%}",
        }
        for column in result.columns
    ]
    output.write_table(rows, right=("crops", "drawn for", "patches with", "present", "absent", "unknown"))
    drawn = ", ".join(f"{number} {name}" for name, number in result.draws.items())
    output.write(
        f"drawn: {drawn}; grey {result.raw_mean:.3f} ± {result.raw_deviation:.3f}, "
        f"{result.raw_invalid:.2%} beyond the EM"
    )
    for crop in result.left_out:
        output.write(f"left out {crop.ref}: {crop.reason}")
    if result.picture is not None:
        output.write(f"picture: {result.picture}")


def _request(args: argparse.Namespace, context: Context) -> PatchesRequest:
    from cellmap_tui.services.patches_config import request_of_config
    from cellmap_tui.services.patches_model import PatchesRequest

    options = _options(args)
    if args.source.suffix in (".toml", ".py") or args.source.is_dir():
        return request_of_config(args.source, context.settings, trust=context.trust_config, **options)
    split = args.source.expanduser().absolute()
    return PatchesRequest(split=split, state_dir=context.settings.state_dir, **options)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for; what was not said is left to the defaults."""
    z, y, x = (int(value) for value in args.shape or (0, 0, 0))
    given: dict[str, Any] = {
        "classes": _names(args.classes),
        "targets": args.targets.expanduser().absolute() if args.targets else None,
        "voxel_size_nm": args.scale,
        "shape": (z, y, x) if args.shape else None,
        "augment": False if args.no_augment else None,
        "slicing_axes": tuple(args.slicing_axes.replace(",", "")) if args.slicing_axes else None,
        "cores": _names(args.cores),
        "use_mutual_exclusion": True if args.mutual_exclusion else None,
        "coarse_labels": args.coarse_labels,
        "foreground_share": args.foreground,
        "empty_share": args.empty,
        "seed": args.seed,
        "output": args.output.expanduser().absolute() if args.output else None,
        "cache_dir": args.cache_dir.expanduser().absolute() if args.cache_dir else None,
        "workers": args.workers,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    shown = args.show or (4 if args.output else 0)
    return chosen | {"usage": args.usage, "count": args.count, "show": shown}


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(filter(None, (name.strip() for name in text.split(",")))) if text else None


def _draw_here(request: PatchesRequest) -> None:
    import numpy as np
    from PIL import Image

    from cellmap_tui.services.patches import first_patches
    from cellmap_tui.services.report import SilentReporter

    picture = first_patches(request, SilentReporter())
    if picture is None:
        return
    width = min(picture.shape[1], shutil.get_terminal_size().columns)
    height = round(picture.shape[0] * width / picture.shape[1])
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    output.write_picture(np.asarray(small))
