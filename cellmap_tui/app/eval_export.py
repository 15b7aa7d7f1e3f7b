"""Scores into a file: the pairs as CSV, everything as JSON, the tables as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.errors import CellmapError, RefusedError

if TYPE_CHECKING:
    from cellmap_tui.app.evaluations import EvaluationItem
    from cellmap_tui.app.screens.base import BaseScreen
    from cellmap_tui.services.evaluate_model import EvaluateResult

ENDINGS = (".csv", ".json", ".md")
HELP = "The ending says what is written: .csv a row per crop and class, .json everything, .md tables to read."


def ask_export(screen: BaseScreen, item: EvaluationItem, result: EvaluateResult) -> None:
    """Ask for a file, write it, and say where it is."""

    def keep(typed: str | None) -> None:
        if typed is None:
            return
        path = place(typed)
        try:
            export(path, result)
        except CellmapError as error:
            screen.tell_error(error)
        else:
            screen.app.notify(f"Written: {path}")

    screen.app.push_screen(EditLine("export scores", HELP, f"{item.run.run_id}.csv", problem), keep)


def place(typed: str) -> Path:
    """Return the file that was typed; a relative one lies in the folder that the app was started in."""
    return Path(typed.strip()).expanduser().absolute()


def problem(typed: str) -> str:
    """Return why nothing can be written there; empty when it can."""
    if not typed.strip():
        return "type the name of a file"
    path = place(typed)
    if path.suffix.lower() not in ENDINGS:
        return f"the name must end in {', '.join(ENDINGS)}"
    if path.exists():
        return "it exists already; type another name"
    return "" if path.parent.is_dir() else "there is no such folder"


def export(path: Path, result: EvaluateResult) -> None:
    """Write a result; the ending of the name says how.

    Raises
    ------
    RefusedError
        If it cannot be written.
    """
    from cellmap_tui.services import evaluate_files

    ending = path.suffix.lower()
    if ending == ".csv":
        evaluate_files.write_csv(path, result.pairs)
    elif ending == ".md":
        evaluate_files.write_markdown(path, result)
    else:
        _write_json(path, result)


def _write_json(path: Path, result: EvaluateResult) -> None:
    import msgspec

    from cellmap_tui.services.models import to_json

    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(msgspec.json.format(to_json(result), indent=1) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "choose another place") from None
