"""The chart in hand into a file: CSV, JSON, SVG or PNG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.widgets.edit_line import EditLine

if TYPE_CHECKING:
    from cellmap_tui.monitor.export import ViewData

HELP = "The ending says what is written: .csv and .json the numbers, .svg and .png the picture."


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


def problem(typed: str) -> str:
    """Return why nothing can be written there; empty when it can."""
    from cellmap_tui.monitor.export import KINDS

    if not typed.strip():
        return "type the name of a file"
    path = place(typed)
    if path.suffix.lower().lstrip(".") not in KINDS:
        return f"the name must end in {', '.join(f'.{kind}' for kind in KINDS)}"
    if path.exists():
        return "it exists already; type another name"
    return "" if path.parent.is_dir() else "there is no such folder"
