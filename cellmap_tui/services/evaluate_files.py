"""The result of an evaluation on disk: the official JSON documents, CSV and Markdown."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.evaluate_model import PairResult
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.services.evaluate_model import ClassResult, EvaluateResult

OWN_KEY = "cellmap_tui"
"""The one key beside the official ones."""
_CLASS_COLUMNS = ("label", "kind", "score", "iou", "f1", "normalized_hausdorff_distance", "mean_matched_iou", "pq")
_PAIR_COLUMNS = ("crop", "label", "status", "score", "tp", "fp", "fn", "mean_matched_iou", "pq")
_SHOWN_PAIRS = 40


def extended_path(result_file: Path) -> Path:
    """Return where the extended result goes: ``R_extended.json`` beside ``R.json``."""
    return result_file.with_name(f"{result_file.stem}_extended{result_file.suffix or '.json'}")


def write_documents(
    result_file: Path, public: Mapping[str, Any], extended: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Write the two JSON documents; what the tool adds stands in both under one key.

    Parameters
    ----------
    public, extended
        The official keys; empty where the official scorer gives no result.
    own
        What stands under ``cellmap_tui``.

    Raises
    ------
    RefusedError
        If they cannot be written.
    """
    _write_json(extended_path(result_file), {**extended, OWN_KEY: own})
    _write_json(result_file, {**public, OWN_KEY: own})


def write_csv(path: Path, pairs: Sequence[PairResult]) -> None:
    """Write a row per crop and class; RefusedError if it cannot be written."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(PairResult)]
    writer.writerow(names)
    writer.writerows([_csv_cell(getattr(pair, name)) for name in names] for pair in pairs)
    write_text(path, text.getvalue())


def write_markdown(path: Path, result: EvaluateResult) -> None:
    """Write the overall scores and the tables; RefusedError if it cannot be written."""
    write_text(path, markdown(result))


def markdown(result: EvaluateResult) -> str:
    """Return the result as Markdown: overall, classes, the worst pairs."""
    rules = f"{result.profile}{' (provisional)' if result.provisional else ''}"
    lines = [
        f"# Score {_figure(result.overall_score)} under {rules}",
        "",
        f"Instance classes {_figure(result.overall_instance_score)}, semantic classes "
        f"{_figure(result.overall_semantic_score)}; {result.num_evals_done} of {result.total_evals} volumes, "
        f"{len(result.missing)} missing.",
        "",
        *_table(_CLASS_COLUMNS, result.classes),
        "",
        *_table(_PAIR_COLUMNS, result.pairs[:_SHOWN_PAIRS]),
    ]
    if len(result.pairs) > _SHOWN_PAIRS:
        lines.append(f"\n{len(result.pairs) - _SHOWN_PAIRS} better pairs are left out.")
    notes = [*result.errors, *result.warnings]
    return "\n".join([*lines, "", *(f"- {printable(words)}" for words in notes), ""])


def _table(names: Sequence[str], rows: Sequence[PairResult] | Sequence[ClassResult]) -> list[str]:
    head = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return head + [f"| {' | '.join(_figure(getattr(row, name)) for name in names)} |" for row in rows]


def _figure(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else printable(str(value)).replace("|", "\\|")


def _csv_cell(value: object) -> object:
    return ";".join(map(str, value)) if isinstance(value, tuple) else value


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    import msgspec

    _write(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file; RefusedError if it cannot be written."""
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "choose another place") from None
