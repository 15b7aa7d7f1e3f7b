"""`cellmap-tui classes`: the class table, and what an id means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options, catalog_for
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.cli.context import Context

BAR_CELLS = 40
MANY = 12
"""A group with so many members is shown as their number; JSON and CSV name them."""

EXAMPLES = """\
  cellmap-tui classes                    all 77 classes
  cellmap-tui classes --scored --csv     the 48 that count
  cellmap-tui classes --resolve 2        what id 2 is and what it is part of
  cellmap-tui classes --voxel-sizes mito at which voxel sizes mito is annotated
  cellmap-tui classes --datasets         crops of each class in each dataset
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "classes", EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="CLASS", help="only these (names, aliases or ids)")
    parser.add_argument("--scored", action="store_true", help="only classes that the challenge scores")
    parser.add_argument("--csv", action="store_true", help="answer in CSV")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resolve", metavar="ID|NAME", help="one class: name, members, groups it is in, scoring")
    what.add_argument("--voxel-sizes", metavar="CLASS", help="voxel sizes of a class and a suggested training scale")
    what.add_argument("--datasets", action="store_true", help="number of crops per class and dataset")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Answer about classes."""
    catalog = catalog_for(args, context)
    if args.resolve:
        return _resolve(args, context, catalog)
    if args.voxel_sizes:
        return _voxel_sizes(args, context, catalog)
    if args.datasets:
        return _datasets(args, context, catalog)
    return _list(args, context, catalog)


def _list(args: argparse.Namespace, context: Context, catalog: Catalog) -> int:
    from cellmap_tui.services.class_facts import class_rows, size_label
    from cellmap_tui.services.models import to_builtins

    wanted = {catalog.classes.get(name).id for name in args.names}
    rows = [row for row in class_rows(catalog) if not wanted or row.id in wanted]
    rows = [row for row in rows if row.scoring or not args.scored]
    if context.json:
        output.write_json([to_builtins(row) for row in rows])
        return diagnostics.DONE
    plain = [
        {
            "id": row.id,
            "name": row.name,
            "scored": row.scoring,
            "crops": row.training_crops,
            "test": row.test_volumes,
            "nm": [size_label(part) for part in row.voxel_sizes_nm],
            "scale": row.suggested_scale_nm,
            "long name": row.long_name,
            "members": row.members if len(row.members) < MANY or args.csv else f"{len(row.members)} classes",
        }
        for row in rows
    ]
    if args.csv:
        output.write_csv(plain)
    else:
        output.write_table(plain, right=["id", "crops", "test", "scale"])
    return diagnostics.DONE


def _resolve(args: argparse.Namespace, context: Context, catalog: Catalog) -> int:
    from cellmap_tui.services.class_facts import resolve
    from cellmap_tui.services.models import to_builtins

    found = resolve(catalog, args.resolve)
    if context.json:
        output.write_json(to_builtins(found))
        return diagnostics.DONE
    output.write(f"{found.id}  {found.name}  {found.long_name}")
    output.write(f"scored   {found.scoring or found.not_scored_reason}")
    output.write(f"part of  {' '.join(found.parents) or '-'}")
    output.write(f"members  {' '.join(found.members) or '-'}")
    output.write(f"crops    {found.training_crops} training, {found.test_volumes} test")
    return diagnostics.DONE


def _voxel_sizes(args: argparse.Namespace, context: Context, catalog: Catalog) -> int:
    from cellmap_tui.services.class_facts import class_voxel_sizes
    from cellmap_tui.services.models import to_builtins

    sizes = class_voxel_sizes(catalog, args.voxel_sizes)
    if context.json:
        output.write_json(to_builtins(sizes))
        return diagnostics.DONE
    most = max((part.crops for part in sizes.bins), default=1)
    for part in sizes.bins:
        bar = "█" * max(1, round(BAR_CELLS * part.crops / most))
        output.write(f"{part.nominal_nm:3} nm  {part.crops:4}  {bar}  ({', '.join(map(voxel, part.voxel_sizes_nm))})")
    scale = "none" if sizes.suggested_nm is None else f"{sizes.suggested_nm} nm"
    output.write(f"suggested training scale: {scale}; {sizes.why}")
    return diagnostics.DONE


def _datasets(args: argparse.Namespace, context: Context, catalog: Catalog) -> int:
    from cellmap_tui.services.class_facts import class_dataset_counts

    counts = class_dataset_counts(catalog)
    lines = zip(counts.classes, counts.counts, strict=True)
    rows = [{"class": name, **dict(zip(counts.datasets, line, strict=True))} for name, line in lines]
    if context.json:
        output.write_json(rows)
    elif args.csv:
        output.write_csv(rows)
    else:
        output.write_table(rows, right=counts.datasets)
    return diagnostics.DONE
