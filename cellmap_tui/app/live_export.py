"""The chart in hand into a file: CSV, JSON, SVG or PNG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.widgets.edit_line import EditLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.app.live_tables import Row
    from cellmap_tui.monitor.export import ViewData

TABLE_HELP = "A row each, in a file that ends in .csv; empty cells were not measured."
HELP = "The ending says what is written: .csv and .json the numbers, .svg and .png the picture."


class TableExport(BaseScreen):
    """A screen whose table can be written."""

    def ask_table(self, title: str, name: str, rows: Iterable[Row]) -> None:
        """Ask for a file, write the table as it is now, and say where it is."""
        kept = list(rows)

        def keep(typed: str | None) -> None:
            if typed:
                self._write_table(kept, place(typed))

        usual = f"{file_name(name)}-{file_name(title)}.csv"
        self.app.push_screen(EditLine(f"export {title}", TABLE_HELP, usual, table_problem), keep)

    @work(thread=True, group="live.export", exit_on_error=False)
    def _write_table(self, rows: list[Row], path: Path) -> None:
        from cellmap_tui.app.live_tables import write_rows

        write_rows(rows, path)
        self.app.call_from_thread(self.app.notify, f"Written: {path}")


class LiveExport(BaseScreen):
    """A screen whose chart can be written."""

    def ask_export(self, view: ViewData, name: str) -> None:
        """Ask for a file, write the chart, and say where it is."""

        def keep(typed: str | None) -> None:
            if typed:
                self._write(view, place(typed))

        usual = f"{file_name(name)}-{file_name(view.title)}.svg"
        self.app.push_screen(EditLine(f"export {view.title}", HELP, usual, problem), keep)

    @work(thread=True, group="live.export", exit_on_error=False)
    def _write(self, view: ViewData, path: Path) -> None:
        from cellmap_tui.monitor.export import export_view

        export_view(view, path)
        self.app.call_from_thread(self.app.notify, f"Written: {path}")


def file_name(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "chart"


def place(typed: str) -> Path:
    """Return the file that was typed; a relative one lies in the folder that the app was started in."""
    return Path(typed.strip()).expanduser().absolute()


def table_problem(typed: str) -> str:
    """Return why no table can be written there; empty when it can."""
    return problem(typed, ("csv",))


def problem(typed: str, kinds: Sequence[str] = ()) -> str:
    """Return why nothing can be written there; empty when it can."""
    from cellmap_tui.monitor.export import KINDS

    kinds = kinds or KINDS
    if not typed.strip():
        return "type the name of a file"
    path = place(typed)
    if path.suffix.lower().lstrip(".") not in kinds:
        return f"the name must end in {', '.join(f'.{kind}' for kind in kinds)}"
    if path.exists():
        return "it exists already; type another name"
    return "" if path.parent.is_dir() else "there is no such folder"
