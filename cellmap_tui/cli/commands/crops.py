"""`cellmap-tui crops`: the catalog of crops and annotations, one crop in detail, and excluding crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options, catalog_for, catalog_source
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, triple, voxel

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.browse import CropDetail, CropRow

EXAMPLES = """\
  cellmap-tui crops "mito dataset:hela voxel<=4"
  cellmap-tui crops --annotations --csv split:train > annotations.csv
  cellmap-tui crops --detail 234                        one crop: classes, sizes, paths, what its arrays hold
  cellmap-tui crops --exclude 234,236 --reason "resin"  splits will leave them out
  cellmap-tui crops --include 234
Filter words are joined by AND: a class or part of a dataset's name, dataset:NAME, class:NAME, split:train|test,
crop:234, voxel<=4 (on every axis), local, remote, excluded; "not WORD" or "-WORD" turns one round, a comma means OR.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "crops", EXAMPLES)
    parser.add_argument("query", nargs="*", metavar="FILTER", help="filter (default: everything)")
    parser.add_argument("--annotations", action="store_true", help="a row per crop and class")
    parser.add_argument("--csv", action="store_true", help="answer in CSV")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--detail", metavar="CROP", help="everything about one crop")
    what.add_argument("--exclude", metavar="CROPS", help="set crops aside; needs --reason")
    what.add_argument("--include", metavar="CROPS", help="take crops back")
    parser.add_argument("--reason", help="why, with --exclude")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Answer about crops."""
    if args.reason and not args.exclude:
        raise RequestError("--reason belongs to --exclude", "name the crops: --exclude 234,236")
    if args.exclude or args.include:
        return _set_aside(args, context)
    if args.detail:
        return _detail(args, context)
    return _annotations(args, context) if args.annotations else _crops(args, context)


def _crops(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.services.crop_lists import BrowseRequest, list_crops

    result = list_crops(BrowseRequest(" ".join(args.query), catalog_source(args, context)))
    _tell(result.notes, context)
    if context.json:
        output.write_json([_fields(row) for row in result.rows])
    elif args.csv:
        output.write_csv([_fields(row) for row in result.rows])
    else:
        output.write_table([_crop_row(row) for row in result.rows], right=["crop", "classes"])
        _tell_count(len(result.rows), result.total, "crops", context)
    return diagnostics.DONE


def _annotations(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.services.annotation_lists import list_annotations
    from cellmap_tui.services.crop_lists import BrowseRequest

    result = list_annotations(BrowseRequest(" ".join(args.query), catalog_source(args, context)))
    _tell(result.notes, context)
    rows = [row.fields() for row in result.rows]
    if context.json:
        output.write_json(rows)
    elif args.csv:
        output.write_csv(rows)
    else:
        table = [{**row, "voxel_size_nm": voxel(row["voxel_size_nm"]), "shape": triple(row["shape"])} for row in rows]
        output.write_table(table, right=["crop"])
        _tell_count(len(rows), result.total, "annotations", context)
    return diagnostics.DONE


def _detail(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.services.browse import crop_detail
    from cellmap_tui.services.inspect import inspect_crop
    from cellmap_tui.services.models import to_builtins

    catalog = catalog_for(args, context)
    detail = crop_detail(catalog, args.detail, bucket=context.settings.bucket)
    crop = catalog.find(detail.row.ref)
    facts = inspect_crop(context.settings.data_root, crop, catalog) if detail.row.local else None
    if context.json:
        output.write_json({**to_builtins(detail), "facts": to_builtins(facts)})
        return diagnostics.DONE
    for name, words in _detail_lines(detail):
        output.write(f"{name:12} {words}")
    found = {fact.name: fact for fact in facts.classes} if facts is not None else {}
    output.write_table(
        [
            {
                "class": info.name,
                "id": info.id,
                "scored": info.scoring,
                "nm": voxel(info.voxel_size_nm),
                "local": info.local,
                "holds": found[info.name].words if info.name in found else None,
            }
            for info in detail.classes
        ],
        right=["id"],
    )
    _tell(facts.notes if facts is not None else (), context)
    return diagnostics.DONE


def _set_aside(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.challenge.exclusions import exclude, include

    if args.exclude and not args.reason:
        raise RequestError("--exclude needs a reason", 'for example: --reason "resin only"')
    catalog = catalog_for(args, context)
    crops = catalog.select(args.exclude or args.include)
    for crop in crops:
        if args.exclude:
            exclude(context.settings.data_root, crop, args.reason)
        else:
            include(context.settings.data_root, crop)
    done = "excluded" if args.exclude else "included"
    if context.json:
        output.write_json({done: [crop.ref for crop in crops]})
    else:
        output.write(f"{done}: {', '.join(crop.ref for crop in crops)}")
    return diagnostics.DONE


def _crop_row(row: CropRow) -> dict[str, Any]:
    place = "full" if row.local_share == 1 else f"{100 * row.local_share:.0f} %" if row.local else "remote"
    return {
        "crop": row.crop,
        "dataset": row.dataset,
        "split": row.split,
        "nm": voxel(row.voxel_size_nm),
        "shape": triple(row.shape),
        "classes": len(row.classes),
        "local": place,
        "excluded": row.excluded,
    }


def _fields(row: CropRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _detail_lines(detail: CropDetail) -> list[tuple[str, str]]:
    row = detail.row
    return [
        ("crop", f"{row.ref}  {row.split}  {row.source}"),
        ("voxel size", f"{voxel(row.voxel_size_nm)} nm{'  anisotropic' if detail.is_anisotropic else ''}"),
        ("shape", f"{triple(row.shape)} voxels, {triple(detail.extent_nm)} nm"),
        ("translation", f"{triple(row.translation_nm, ' ')} nm (centre of voxel 0)"),
        ("local", detail.local_path if row.local else "no"),
        ("bucket", detail.path),
        ("EM", detail.em_path),
        *([("excluded", row.excluded)] if row.excluded else []),
    ]


def _tell(notes: tuple[str, ...], context: Context) -> None:
    for words in () if context.quiet else notes:
        diagnostics.note(words)


def _tell_count(shown: int, total: int, what: str, context: Context) -> None:
    if not context.quiet:
        diagnostics.note(f"{count(shown)} of {count(total)} {what}")
