"""`cellmap-tui runs compare`: evaluations, or trainings, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands.runs_show import foreign_log, runs_root
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.compare_runs import Evaluation, ScoreRow

SHOWN_PAIRS = 20


def add_compare(verbs: Any) -> None:
    """Add the verb."""
    summary = "evaluations, or trainings, side by side, each against the first"
    verb = verbs.add_parser("compare", help=summary, description=summary, allow_abbrev=False)
    verb.add_argument(
        "runs",
        nargs="+",
        metavar="RUN|FILE",
        help="runs, result files, logs; the first is the base",
    )
    verb.add_argument("--pairs", type=int, default=SHOWN_PAIRS, metavar="N", help="rows per crop and class to show")
    verb.set_defaults(handler=compare_runs)


def compare_runs(args: argparse.Namespace, context: Context) -> int:
    """Compare the first evaluation or training with the others."""
    places = [_place(word, context) for word in args.runs]
    if any(is_training(path) for path in places):
        return _compare_trainings(args.runs, places, context)
    return _compare_evaluations(args, context)


def is_training(path: Path) -> bool:
    """Return whether a place holds a training: a run of this tool's, or another tool's log."""
    from cellmap_tui.errors import CellmapError
    from cellmap_tui.jobs.rundir import RunDir, read_request

    if path.is_file():
        return path.suffix.lower() != ".json"
    try:
        return read_request(RunDir(path)).command == "train"
    except CellmapError:
        return foreign_log(str(path)) is not None


def _place(word: str, context: Context) -> Path:
    from cellmap_tui.jobs.runs import find_run

    path = Path(word).expanduser()
    if path.is_file() or ("/" in word and path.is_dir()):
        return path.absolute()
    return find_run(runs_root(context), word).path


def _compare_trainings(words: Sequence[str], places: Sequence[Path], context: Context) -> int:
    from cellmap_tui.cli.commands.runs_frame import read_whole  # loads numpy
    from cellmap_tui.cli.commands.runs_trainings import show_comparison
    from cellmap_tui.monitor.compare import compare_trainings
    from cellmap_tui.monitor.source import open_source
    from cellmap_tui.services.models import to_builtins

    for word, path in zip(words, places, strict=True):
        if not is_training(path):
            raise RequestError(
                f"{word} is no training", "compare trainings with trainings, evaluations with each other"
            )
    sources = [open_source(path) for path in places]
    for source in sources:
        read_whole(source)
    comparison = compare_trainings(sources)
    for line in comparison.warnings:
        diagnostics.warning(printable(line))
    if context.json:
        output.write_json(to_builtins(comparison))
    else:
        show_comparison(comparison)
    return diagnostics.DONE


def _compare_evaluations(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.services.compare_runs import compare
    from cellmap_tui.services.models import to_builtins

    result = compare([_evaluation(word, context) for word in args.runs])
    for words in result.warnings:
        diagnostics.warning(words)
    if context.json:
        output.write_json(to_builtins(result))
        return diagnostics.DONE
    columns = [cut_middle(name, 24) for name in result.evaluations]
    for title, rows in (("overall", result.overall), ("class", result.classes), ("pair", result.pairs[: args.pairs])):
        if rows:
            table = [_cells(title, row, columns) for row in rows]
            output.write_table(table, right=[name for name in table[0] if name != title])
            output.write("")
    if len(result.pairs) > args.pairs and not context.quiet:
        diagnostics.note(f"{len(result.pairs) - args.pairs} more pairs; see them with --pairs N or --json")
    return diagnostics.DONE


def _evaluation(word: str, context: Context) -> Evaluation:
    """Find what a word names: a result file, or a run."""
    from cellmap_tui.jobs.runs import find_run
    from cellmap_tui.services.compare_runs import read_evaluation

    path = Path(word).expanduser()
    if path.is_file():
        return read_evaluation(path, word)
    run = find_run(runs_root(context), word)
    if not run.result_path.is_file():
        raise MissingDataError(f"run {run.run_id} has no result", "wait until it is done, or name another")
    return read_evaluation(run.result_path, run.run_id)


def _cells(title: str, row: ScoreRow, columns: list[str]) -> dict[str, object]:
    cells: dict[str, object] = {title: row.name.removeprefix("overall_").removesuffix("_score")}
    for number, (column, score) in enumerate(zip(columns, row.scores, strict=True)):
        cells[f"{number + 1}: {column}"] = "-" if score is None else f"{score:.4f}"
        if number:
            delta = row.deltas[number - 1]
            cells[f"change {number + 1}"] = "-" if delta is None else f"{delta:+.4f}"
    return cells
