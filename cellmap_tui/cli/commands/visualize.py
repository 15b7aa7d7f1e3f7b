"""`cellmap-tui visualize`: slices of a local crop as PNG or in the terminal."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options, catalog_for
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.cli.context import Context

DEFAULT_WIDTH_PX = 800

EXAMPLES = """\
  cellmap-tui visualize mine/1 -o slice.png           the middle slice with all its labels
  cellmap-tui visualize 234 --axis y --slice 100      in the terminal
  cellmap-tui visualize 234 -C mito,er --overlay outline --width 1200 -o slice.png
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "visualize", EXAMPLES)
    parser.add_argument("crop", nargs="*", metavar="CROP", help="as 234, dataset/234, or a filter")
    parser.add_argument("-c", "--crops", help="the same as an option")
    parser.add_argument(
        "-C", "--classes", metavar="NAMES", help="labels to draw, by commas (default: all that are there)"
    )
    parser.add_argument("--axis", choices=("z", "y", "x"), default="z", help="axis across the slice (default: z)")
    parser.add_argument("--slice", type=int, metavar="N", help="voxel index on that axis (default: the middle)")
    parser.add_argument("--overlay", choices=("tint", "outline", "off"), default="tint", help="how labels are drawn")
    parser.add_argument("--margin", type=int, default=0, metavar="VOXELS", help="EM shown around the crop")
    parser.add_argument(
        "--width", type=int, metavar="PIXELS", help="largest width and height (default: 800, or the terminal)"
    )
    parser.add_argument("-o", "--output", metavar="PNG", help="file; {dataset} and {crop} are filled in")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Draw the slices."""
    crops = _chosen(args, context)
    to_terminal = args.output is None
    if to_terminal and not sys.stdout.isatty():
        raise RequestError("stdout is no terminal to draw on", "name a file: -o slice.png")
    if not to_terminal and len(crops) > 1 and "{crop}" not in args.output:
        raise RequestError(
            f"{len(crops)} crops into one file", "use {crop} and {dataset} in -o, as in -o '{dataset}-{crop}.png'"
        )
    written = [_draw(crop, args, context, to_terminal=to_terminal) for crop in crops]
    if context.json:
        output.write_json(written)
    return diagnostics.DONE


def _chosen(args: argparse.Namespace, context: Context) -> tuple[Crop, ...]:
    expression = " ".join([*args.crop, *([args.crops] if args.crops else [])])
    if not expression:
        raise RequestError("no crop is named", "for example: cellmap-tui visualize 234 -o slice.png")
    return catalog_for(args, context).select(expression)


def _draw(crop: Crop, args: argparse.Namespace, context: Context, *, to_terminal: bool) -> dict[str, object]:
    from cellmap_tui.services.slices import SliceLook, SliceSource

    columns, lines = shutil.get_terminal_size()
    width_px = args.width or (columns if to_terminal else DEFAULT_WIDTH_PX)
    source = SliceSource(context.settings.data_root, crop)
    look = SliceLook(
        axis=args.axis,
        voxel=_voxel(crop, args.axis, args.slice),
        width_px=width_px,
        height_px=2 * (lines - 2) if to_terminal and not args.width else width_px,
        margin_voxels=args.margin,
        classes=tuple(filter(None, (args.classes or "").split(","))),
        overlay=args.overlay,
    )
    image = source.draw(look)
    shown = [entry.name for entry in image.legend if entry.state == "present"]
    where = f"{image.axis} {image.index} of {image.count}"
    words = f"{crop.ref}  {where}  {image.nm_per_pixel:.3g} nm a pixel  {' '.join(shown)}"
    path = None if to_terminal else _path(args.output, crop)
    if path is None:
        output.write_picture(image.rgb)
    else:
        from cellmap_tui.volumes.slices import save_png

        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, image.rgb)
        words = f"{path}: {words}"
    for remark in () if context.quiet else (words, *image.notes):
        diagnostics.note(remark)
    return {
        "crop": crop.id,
        "dataset": crop.dataset,
        "axis": image.axis,
        "index": image.index,
        "path": None if path is None else str(path),
        "nm_per_pixel": image.nm_per_pixel,
        "classes": shown,
    }


def _voxel(crop: Crop, axis: str, index: int | None) -> Shape3 | None:
    if index is None:
        return None
    z, y, x = (index if name == axis else n // 2 for name, n in zip("zyx", crop.grid.shape, strict=True))
    return (z, y, x)


def _path(template: str, crop: Crop) -> Path:
    return Path(template.replace("{dataset}", crop.dataset).replace("{crop}", crop.name)).expanduser()
