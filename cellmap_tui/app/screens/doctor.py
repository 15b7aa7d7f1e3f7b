"""The doctor: is this machine fit for the work, row by row, with what to do where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.services.doctor import Check, DoctorReport

SIGNS = {"ok": "ok", "note": "warning", "problem": "error"}
_LOOKS = {"ok": "good", "warning": "warn", "error": "bad"}
RANK = {"error": 0, "warning": 1, "ok": 2}


class CheckTable(VirtualTable["Check"]):
    """The checks; there is nothing to open in one."""

    opens_rows = False


class DoctorScreen(BaseScreen):
    """The checks, run when the screen opens and again on ``r``."""

    MODE = "doctor"
    AUTO_FOCUS = "CheckTable"
    CSS_PATH = "doctor.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"doctor": "Pane"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.reload", "check", "check again", help="Run all checks again."),
        bind("do.export", "export", help="Write the report as JSON beside the settings."),
        bind("do.copy", "copy", show=False, help="Copy the check under the cursor."),
        bind("do.close", "back", "back", help="Go back to the screen before."),
    ]

    class ChecksCounted(Message):
        """So many checks are done."""

        def __init__(self, done: int, total: int) -> None:
            self.done = done
            self.total = total
            super().__init__()

    class Checked(Message):
        """The checks are done."""

        def __init__(self, report: DoctorReport) -> None:
            self.report = report
            super().__init__()

    class Exported(Message):
        """The report is written."""

        def __init__(self, path: Path) -> None:
            self.path = path
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._report: DoctorReport | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the checks and a line on the one under the cursor."""
        with Pane() as pane:
            pane.set_title("doctor")
            yield CheckTable(_columns(), row_key=lambda check: check.name, markable=False, empty="checking…")
            yield Static(id="remedy", markup=False)

    def on_mount(self) -> None:
        """Begin to check."""
        self.action_check()

    def action_check(self) -> None:
        """Run all checks again."""
        self.query_one(Pane).set_title("doctor", "checking…")
        self._check()

    def action_export(self) -> None:
        """Write the report as JSON."""
        if self._report is not None:
            self._export(self._report)

    def action_copy(self) -> None:
        """Copy the check under the cursor to the clipboard of the terminal."""
        check = self.query_one(VirtualTable).highlighted
        if check is not None:
            self.app.copy_to_clipboard(f"{check.name}: {check.value}")

    def action_back(self) -> None:
        """Go back to the screen before."""
        self.cellmap.go_back()

    @on(Pane.RetryAsked)
    def _retry(self) -> None:
        self.action_check()

    @work(thread=True, exclusive=True, group="doctor", exit_on_error=False)
    def _check(self) -> None:
        from cellmap_tui.services.doctor import DoctorRequest, doctor

        worker = get_current_worker()
        report = doctor(DoctorRequest.of(self.cellmap.settings), _Counting(self))
        if not worker.is_cancelled:
            self.post_message(self.Checked(report))

    @on(ChecksCounted)
    def _show_count(self, event: ChecksCounted) -> None:
        self.query_one(Pane).set_title("doctor", f"checking… {event.done} of {event.total}")

    @on(Checked)
    def _show(self, event: Checked) -> None:
        self._report = event.report
        checks = event.report.checks
        self.query_one(VirtualTable).set_rows(checks)
        ranks = [_rank(check) for check in checks]
        bad, unsure = ranks.count("error"), ranks.count("warning")
        found = [f"{bad} to mend" if bad else "", f"{unsure} to know" if unsure else ""]
        self.query_one(Pane).set_title("doctor", ", ".join(part for part in found if part) or "all well")

    @on(RowHighlighted)
    def _tell(self, event: RowHighlighted) -> None:
        check: Check | None = event.row
        said = Content("")
        if check is not None:
            said = Content.assemble(printable(check.value), "\n", (printable(check.remedy), "$warning"))
        self.query_one("#remedy", Static).update(said)

    @work(thread=True, exclusive=True, group="doctor.export", exit_on_error=False)
    def _export(self, report: DoctorReport) -> None:
        from cellmap_tui.services.models import to_json

        folder = self.cellmap.settings.config_dir
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "doctor.json"
        path.write_bytes(to_json(report) + b"\n")
        self.post_message(self.Exported(path))

    @on(Exported)
    def _tell_exported(self, event: Exported) -> None:
        self.app.notify(f"Wrote {event.path}")


class _Counting(SilentReporter):
    """Tells the screen how many checks are done."""

    def __init__(self, screen: DoctorScreen) -> None:
        self._screen = screen

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass the count on."""
        self._screen.post_message(DoctorScreen.ChecksCounted(int(done), int(total or 0)))


def _rank(check: Check) -> str:
    return SIGNS.get(check.status, "warning")


def _columns() -> list[Column[Check]]:
    return [
        Column("sign", "", 1, lambda check: sign(_rank(check)), look=lambda check: _LOOKS[_rank(check)]),
        Column("name", "check", 16, lambda check: check.name, max_width=24, sort_key=lambda check: check.name),
        Column(
            "value", "found", 30, lambda check: check.value, max_width=110, sort_key=lambda check: RANK[_rank(check)]
        ),
    ]
