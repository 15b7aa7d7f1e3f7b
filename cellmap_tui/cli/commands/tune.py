"""`cellmap-tui tune`: the best post-processing per class, by the official score on validation crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, absolute_word, names
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.tune_model import TuneRequest, TuneResult, TuneRow

EXAMPLES = """\
  cellmap-tui --batch tune --datasplit split.csv -o recipe.toml
  cellmap-tui --batch tune --crops 234,236,237,239 --classes mito,ves --thresholds 0.3,0.4,0.5,0.6
  cellmap-tui --batch tune --crops 234,236 -i runs/a/predictions -i runs/b/predictions     the best run per class
  cellmap-tui --batch process recipe.toml --crops test
Chosen on one half of the crops, reported on the other: the reported score is the one to expect elsewhere. The
table of everything that was tried goes beside the recipe.
"""
SHOWN = 6


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "tune", EXAMPLES)
    parser.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE", help="to start from (default: built-in)")
    parser.add_argument("-c", "--crops", metavar="CROPS", help="crops with ground truth: ids, ranges or a filter")
    parser.add_argument("--datasplit", type=Path, metavar="CSV", help="its validation crops, in place of --crops")
    parser.add_argument("--classes", metavar="CLASS,…", help="only these (default: predicted and annotated ones)")
    parser.add_argument(
        "-i",
        "--input-path",
        action="append",
        default=[],
        metavar="PATH",
        help="predictions of a run, repeatable (default: DATA_ROOT/predictions/…)",
    )
    parser.add_argument("--thresholds", metavar="P,…", help="probabilities to try (default: 0.2 to 0.8)")
    parser.add_argument("--sizes", metavar="N,…", help="smallest objects to try, in voxels (default: 0,50,…,5000)")
    parser.add_argument("--smoothings", metavar="NM,…", help="widths of smoothing to try, in nm (default: 0)")
    parser.add_argument("-o", "--output", type=Path, metavar="TOML", help="(default: recipe.toml)")
    parser.add_argument("-O", "--overwrite", action="store_true", help="replace a recipe that is there already")
    parser.add_argument("--table", type=Path, metavar="CSV", help="everything tried (default: beside the recipe)")
    parser.add_argument("--profile", default="2026-06", metavar="NAME", help="scoring rules (default: 2026-06)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which crops are in which half (default: 0)")
    parser.add_argument("--memory", metavar="SIZE", help="for voxels, such as 2G (default: 1.2G)")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Tune, and show the table."""
    return run_work(context, "tune", request_from(args, context), show)


def request_from(args: argparse.Namespace, context: Context) -> TuneRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.settings import checked_data_root
    from cellmap_tui.services.tune_model import SIZES, THRESHOLDS, TuneRequest

    return TuneRequest(
        predictions=tuple(str(absolute_word(path)) for path in args.input_path),
        crops=args.crops,
        datasplit=absolute(args.datasplit),
        classes=names(args.classes),
        recipe=absolute(args.recipe),
        thresholds=tuple(_numbers("--thresholds", args.thresholds)) or THRESHOLDS,
        sizes=tuple(_whole("--sizes", args.sizes)) or SIZES,
        smoothings_nm=tuple(_numbers("--smoothings", args.smoothings)) or (0.0,),
        output=(args.output or Path("recipe.toml")).expanduser().absolute(),
        table=absolute(args.table),
        overwrite=args.overwrite,
        profile=args.profile,
        seed=args.seed,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        data_root=checked_data_root(context.settings),
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def show(result: TuneResult) -> None:
    """Write the result for people: a row per class, then what justifies it."""
    output.write_table(
        [
            {
                "class": one.label,
                "scored": one.kind,
                "method": one.method,
                "above": f"{one.threshold:g}",
                "voxels": count(one.min_voxels),
                "chosen on": f"{_score(one.chosen_before)} -> {_score(one.chosen_after)}",
                "reported on": f"{_score(one.reported_before)} -> {_score(one.reported_after)}",
                "crops": f"{len(one.chosen_on)}+{len(one.reported_on)}",
                "tried": count(one.tried),
            }
            for one in result.classes
        ],
        right=["above", "voxels", "tried"],
    )
    for one in result.classes:
        mine = [row for row in result.rows if row.label == one.label]
        output.write(f"\n{one.label}: the best {min(SHOWN, len(mine))} of {count(len(mine))}, where chosen")
        output.write_table(
            [_row(row) for row in _best(mine)], right=["above", "voxels", "seeds", "smooth nm", "score"]
        )
    for words in (*result.errors, *result.warnings):
        output.write(printable(f"warning: {words}"))
    output.write(
        f"\nmean over classes where reported: {_score(result.reported_before)} -> {_score(result.reported_after)} "
        f"({result.profile}), {duration(result.elapsed_s)}"
    )
    output.write(f"{result.recipe}\n{result.table}")


def _best(rows: Sequence[TuneRow]) -> list[TuneRow]:
    """Return the best rows, and the start wherever it stands."""
    ordered = sorted(rows, key=lambda row: -1.0 if row.score is None else row.score, reverse=True)
    ordered.sort(key=lambda row: not row.is_best)
    return [*ordered[:SHOWN], *(row for row in ordered[SHOWN:] if row.is_start)]


def _row(row: TuneRow) -> dict[str, object]:
    return {
        "": "best" if row.is_best else "start" if row.is_start else None,
        "run": printable(row.run[-40:]),
        "method": row.method,
        "above": f"{row.threshold:g}",
        "voxels": count(row.min_voxels),
        "seeds": None if row.seed_voxels is None else count(row.seed_voxels),
        "smooth nm": f"{row.smoothing_nm:g}" if row.smoothing_nm else None,
        "score": _score(row.score),
        "f1": None if row.f1 is None else _score(row.f1),
        "boundary": None if row.boundary is None else _score(row.boundary),
        "reported": None if row.reported is None else _score(row.reported),
    }


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _numbers(flag: str, text: str | None) -> list[float]:
    try:
        return [float(word) for word in names(text)]
    except ValueError:
        raise RequestError(f"{flag} {text}: not numbers", "separate them by commas") from None


def _whole(flag: str, text: str | None) -> list[int]:
    values = _numbers(flag, text)
    if any(value != int(value) for value in values):
        raise RequestError(f"{flag} {text}: not whole numbers")
    return [int(value) for value in values]
