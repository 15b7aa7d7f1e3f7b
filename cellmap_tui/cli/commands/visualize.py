"""`cellmap-tui visualize`: slices of local crops as PNG or in the terminal, or a crop in neuroglancer."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options, catalog_for
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.slices import Kind, SliceImage, SliceLook

DEFAULT_WIDTH_PX = 800
EVERYTHING = frozenset({"", "*", "all"})
KIND_NAMES: dict[str, tuple[Kind, ...]] = {
    "gt": ("gt",),
    "truth": ("gt",),
    "groundtruth": ("gt",),
    "prediction": ("predictions",),
    "predictions": ("predictions",),
    "processed": ("processed",),
    "error": ("error",),
    "errors": ("error",),
    "em": (),
    "raw": (),
}
"""What ``--kinds`` understands."""

EXAMPLES = """\
  cellmap-tui visualize mine/1 -o slice.png           the middle slice with all its labels
  cellmap-tui visualize 234 --axis y --slice 100      in the terminal
  cellmap-tui visualize 234 -C mito,er --overlay outline --width 1200 -o slice.png
  cellmap-tui visualize 234 -C mito -k gt,predictions,error --panels --at "mito 7" -o compared.png
  cellmap-tui visualize -d jrc_cos7-1a -c '*' -k error --predictions out/ -o '{dataset}-{crop}.png'
  cellmap-tui visualize 234 -C mito,er --neuroglancer                    a link, for published crops
  cellmap-tui visualize mine/1 -k gt,predictions --neuroglancer --serve  your own data, from this disk
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    from cellmap_tui.cli.commands.visualize_link import add_link_options

    parser = add_command(subparsers, "visualize", EXAMPLES)
    parser.add_argument("crop", nargs="*", metavar="CROP", help="as 234, dataset/234, or a filter")
    parser.add_argument("-c", "--crops", help="the same as an option; '*' is every crop on this disk")
    parser.add_argument("-d", "--datasets", metavar="NAMES", help="only crops of these datasets, by commas")
    parser.add_argument(
        "-C", "--classes", metavar="NAMES", help="labels to draw, by commas (default: all that are there)"
    )
    parser.add_argument(
        "-k",
        "--kinds",
        action="append",
        metavar="KINDS",
        help="what is drawn, by commas: gt, predictions, processed, error, em (default: gt)",
    )
    parser.add_argument("--predictions", metavar="PATH", help="folder, template, zip or stack of predictions "
                        "(default: predictions below the data root)")  # fmt: skip
    parser.add_argument("--processed", metavar="PATH", help="the same of processed predictions")
    parser.add_argument("--threshold", type=float, metavar="T", help="predicted values from here on are foreground")
    _add_place_options(parser)
    _add_picture_options(parser)
    add_link_options(parser)
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--axis", choices=("z", "y", "x"), default="z", help="axis across the slice (default: z)")
    parser.add_argument("--slice", type=int, metavar="N", help="voxel index on that axis (default: the middle)")
    parser.add_argument(
        "--at", metavar="PLACE", help="a voxel '120 40 33', a position '980 640 528 nm', a class, an object 'mito 7'"
    )
    parser.add_argument("--position", metavar="Z,Y,X", help="a position in nm: --position 980 640 528")
    parser.add_argument("--zoom", type=float, metavar="N", help="voxels a pixel (default: the whole slice fits)")


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overlay", choices=("tint", "outline", "off"), default="tint", help="how labels are drawn")
    parser.add_argument(
        "--opacity", type=float, default=0.4, metavar="SHARE", help="of a tint, 0 to 1 (default: 0.4)"
    )
    parser.add_argument("--panels", action="store_true", help="a picture for each kind, side by side")
    parser.add_argument("--no-legend", action="store_true", help="the picture alone")
    parser.add_argument("--margin", metavar="VOXELS", help="EM shown around the crop")
    parser.add_argument(
        "--width", type=int, metavar="PIXELS", help="largest width and height (default: 800, or the terminal)"
    )
    parser.add_argument("-o", "--output", metavar="PNG", help="file; {dataset} and {crop} are filled in")


def run(args: argparse.Namespace, context: Context) -> int:
    """Draw the slices, or make the link."""
    catalog = catalog_for(args, context)
    crops = _chosen(args, catalog)
    if args.neuroglancer or args.serve:
        from cellmap_tui.cli.commands.visualize_link import run_link

        return run_link(args, context, catalog, crops, kinds_of(args.kinds))
    to_terminal = args.output is None
    if to_terminal and not sys.stdout.isatty():
        raise RequestError("stdout is no terminal to draw on", "name a file: -o slice.png")
    if not to_terminal and len(crops) > 1 and "{crop}" not in args.output:
        raise RequestError(
            f"{len(crops)} crops into one file", "use {crop} and {dataset} in -o, as in -o '{dataset}-{crop}.png'"
        )
    if args.width is not None and args.width < 1:
        raise RequestError(f"a width of {args.width} pixels", "give 1 or more, such as --width 800")
    if args.threshold is not None and not math.isfinite(args.threshold):
        raise RequestError(f"a threshold of {args.threshold}", "give a number such as 0.5")
    written, failed = [], 0
    for crop in crops:
        try:
            written.append(_draw(crop, args, context, catalog, to_terminal=to_terminal))
        except CellmapError as error:
            if len(crops) == 1:
                raise
            failed += 1
            diagnostics.warning(str(error))
    if context.json:
        output.write_json(written)
    return diagnostics.FAILED if failed else diagnostics.DONE


def kinds_of(words: Sequence[str] | None) -> tuple[Kind, ...]:
    """Return the kinds that ``--kinds`` names; RequestError for one that does not exist."""
    named = [word.strip().lower() for word in ",".join(words or ["gt"]).split(",") if word.strip()]
    for word in named:
        if word not in KIND_NAMES:
            near = nearest(word, KIND_NAMES)
            raise RequestError(
                f"no kind {word!r}", f"did you mean {near}?" if near else "gt, predictions, processed, error or em"
            )
    return tuple(dict.fromkeys(kind for word in named for kind in KIND_NAMES[word]))


def classes_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the classes that were named; ``*`` names none."""
    return tuple(name.strip() for name in (args.classes or "").split(",") if name.strip() not in EVERYTHING)


def _chosen(args: argparse.Namespace, catalog: Catalog) -> tuple[Crop, ...]:
    expression = " ".join([*args.crop, *([args.crops] if args.crops else [])])
    datasets = {name.strip() for name in (args.datasets or "").split(",")} - EVERYTHING
    if not expression and not args.datasets:
        raise RequestError("no crop is named", "for example: cellmap-tui visualize 234 -o slice.png")
    unknown = sorted(datasets - set(catalog.datasets))
    if unknown:
        near = nearest(unknown[0], catalog.datasets)
        raise RequestError(f"no dataset {unknown[0]!r}", f"did you mean {near!r}?" if near else "see: crops")
    if expression in EVERYTHING:
        crops = tuple(crop for crop in catalog.crops if catalog.is_local(crop))
    else:
        crops = catalog.select(expression)
    found = tuple(crop for crop in crops if not datasets or crop.dataset in datasets)
    if not found:
        raise RequestError("no crop on this disk is of these datasets", "see: cellmap-tui crops local")
    return found


def _look(
    crop: Crop, args: argparse.Namespace, context: Context, catalog: Catalog, size: tuple[int, int]
) -> SliceLook:
    from cellmap_tui.cli.half_blocks import colours_of
    from cellmap_tui.services.slices import SliceLook

    classes = classes_of(args)
    is_grey = args.output is None and colours_of() == "none"
    return SliceLook(
        axis=args.axis,
        voxel=voxel_of(crop, args, context, catalog),
        width_px=size[0],
        height_px=size[1],
        voxels_per_pixel=args.zoom,
        margin_voxels=_margin(args.margin),
        classes=classes,
        overlay="outline" if is_grey and args.overlay == "tint" else args.overlay,
        kinds=kinds_of(args.kinds),
        opacity=args.opacity,
        threshold=args.threshold,
        with_marks=is_grey,
    )


def _draw(
    crop: Crop, args: argparse.Namespace, context: Context, catalog: Catalog, *, to_terminal: bool
) -> dict[str, object]:
    from dataclasses import replace

    from cellmap_tui.services.slice_picture import save_slices
    from cellmap_tui.services.slices import SliceSource, find_predicted

    columns, lines = shutil.get_terminal_size()
    width_px = args.width or (columns if to_terminal else DEFAULT_WIDTH_PX)
    height_px = 2 * (lines - 3) if to_terminal and not args.width else width_px
    kinds = kinds_of(args.kinds)
    panels = [(kind,) for kind in kinds] if args.panels and len(kinds) > 1 else [kinds]
    look = _look(crop, args, context, catalog, (width_px // len(panels), height_px))
    named = {"predictions": args.predictions, "processed": args.processed}
    data_root = context.settings.data_root
    source = SliceSource(data_root, crop, catalog.classes, find_predicted(data_root, crop, look, named))
    classes = look.classes
    if len(panels) > 1 and not classes and source.predicted:
        # The pictures show the same classes, else they cannot be compared.
        classes = tuple(next(iter(source.predicted.values())).classes)
    images = [source.draw(replace(look, kinds=panel, classes=classes)) for panel in panels]
    path = None if to_terminal else _path(args.output, crop)
    if path is None:
        _to_terminal(images, with_legend=not args.no_legend)
    else:
        save_slices(path, images, with_legend=not args.no_legend)
    return _told(crop, images, path, context)


def _told(crop: Crop, images: Sequence[SliceImage], path: Path | None, context: Context) -> dict[str, object]:
    image = images[0]
    shown = list(dict.fromkeys(entry.name for one in images for entry in one.legend if entry.state == "present"))
    where = f"{image.axis} {image.index} of {image.count}"
    words = f"{crop.ref}  {where}  {image.nm_per_pixel:.3g} nm a pixel  {' '.join(shown)}"
    remarks = dict.fromkeys(remark for one in images for remark in (*one.facts, *one.notes))
    for remark in () if context.quiet else (words if path is None else f"{path}: {words}", *remarks):
        diagnostics.note(remark)
    return {
        "crop": crop.id,
        "dataset": crop.dataset,
        "axis": image.axis,
        "index": image.index,
        "voxel": list(image.voxel),
        "position_nm": list(image.position_nm),
        "path": None if path is None else str(path),
        "nm_per_pixel": image.nm_per_pixel,
        "classes": shown,
    }


def _to_terminal(images: Sequence[SliceImage], *, with_legend: bool) -> None:
    from cellmap_tui.cli.half_blocks import colours_of, picture_lines, swatch
    from cellmap_tui.services.slice_picture import legend_entries
    from cellmap_tui.volumes.legend_picture import side_by_side

    colours = colours_of()
    letters, left = [], 0
    for image in images:
        letters += [(mark.row, left + mark.column, mark.name) for mark in image.marks]
        left += image.rgb.shape[1] + 1
    rgb = side_by_side([image.rgb for image in images], gap_px=1)
    for line in picture_lines(rgb, colours, letters):
        output.write(line)
    if with_legend:
        entries = legend_entries(images)
        output.write("  ".join(f"{swatch(colour, colours)}{name}" for name, colour in entries))


def voxel_of(crop: Crop, args: argparse.Namespace, context: Context, catalog: Catalog) -> Shape3 | None:
    """Return the voxel that is looked at; None: the middle."""
    z, y, x = (n // 2 for n in crop.grid.shape)
    at: Shape3 | None = None
    if args.position:
        from cellmap_tui.cli.arguments import triple
        from cellmap_tui.services.find_object import voxel_at

        at = voxel_at(crop.grid, triple(args.position))
    if args.at:
        from cellmap_tui.services.find_object import find_place

        classes = classes_of(args)
        only = classes[0] if len(classes) == 1 else None
        root, axis = context.settings.data_root, "zyx".index(args.axis)
        place = find_place(args.at, crop, root, catalog, at=(z, y, x), class_name=only, axis=axis)
        at = place.voxel
        if place.words and not context.quiet:
            diagnostics.note(f"{place.words}, at voxel {' '.join(map(str, place.voxel))}")
    if args.slice is not None:
        voxel = list(at or (z, y, x))
        voxel["zyx".index(args.axis)] = args.slice
        at = cast("Shape3", tuple(voxel))
    return at


def _margin(word: str | None) -> int:
    if word is None:
        return 0
    if not word.isdigit():
        raise RequestError(f"a margin of {word!r}: must be a whole number of voxels")
    return int(word)


def _path(template: str, crop: Crop) -> Path:
    return Path(template.replace("{dataset}", crop.dataset).replace("{crop}", crop.name)).expanduser()
