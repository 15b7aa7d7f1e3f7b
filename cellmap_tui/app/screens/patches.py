"""Patches: what a network would be fed from a split, drawn by a job, looked at here.

Building the bank and drawing need torch and take their time, so a job does both and keeps what it has drawn in its
folder; this page follows the job, then reads and shows. Without a job the newest one's patches are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.patch_form import PatchForm
from cellmap_tui.app.patch_runs import newest_patches, read_patches, start_patches
from cellmap_tui.app.patch_words import HINT, NOTHING, place_words, statistics, title_words
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.run_words import amount_words, progress_words, state_words
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.patch_view import PatchView
from cellmap_tui.app.widgets.words import show_words
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.patch_runs import DrawnPatches
    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.patches_model import PatchesRequest

TITLE = "patches"


class PatchesScreen(SubScreen, RunScreen):
    """Patches of a split.

    Parameters
    ----------
    form
        Which to draw, to begin with.
    """

    MODE = "train"
    AUTO_FOCUS = "PatchView"
    CSS_PATH = "patches.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"patches.read": "#picture", "patches.start": "#picture"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "do.new", "new", "draw", help="Choose split, classes, scale and size, build the bank and draw, as a job."
        ),
        bind("patches.draw", "more"),
        bind("do.stop", "stop"),
        bind("do.log", "full_log", show=False),
    ]

    class Read(Message):
        """What a job has drawn is read."""

        def __init__(self, drawn: DrawnPatches) -> None:
            self.drawn = drawn
            super().__init__()

    class Started(Message):
        """A job draws."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self, form: PatchForm) -> None:
        super().__init__()
        self.form = form
        self.drawn: DrawnPatches | None = None
        self._run_id = ""
        self._has_looked = False

    def compose_body(self) -> ComposeResult:
        """Yield picture and statistics."""
        with Pane(id="picture") as pane:
            pane.set_title(TITLE)
            yield PatchView()
        with Pane(id="statistics") as pane:
            pane.set_title("what they hold")
            with VerticalScroll():
                yield Static(markup=False, id="figures")
                yield Static(HINT, markup=False, id="hint")

    def on_mount(self) -> None:
        """Show the newest patches, and follow the job that draws others."""
        self.watch(self.app, "runs", self._see_runs, init=True)

    @property
    def view(self) -> PatchView:
        """The picture."""
        return self.query_one(PatchView)

    def chosen_run(self) -> RunSummary | None:
        """Return the job that is followed."""
        return next((run for run in self.cellmap.runs if run.run_id == self._run_id), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        run = self.chosen_run() if self.is_mounted else None
        is_busy = run is not None and run.is_live
        if action == "new":
            return not is_busy
        if action == "more":
            return not is_busy and self.drawn is not None
        return super().check_action(action, parameters)

    # Jobs

    def _see_runs(self) -> None:
        run = self.chosen_run()
        if run is None:
            if not self._has_looked and not self._run_id and self.cellmap.runs:
                self._has_looked = True
                self._find()
            return
        if run.is_live:
            self._tell_progress(run)
        elif run.state == "done":
            if self.drawn is None or self.drawn.run_id != run.run_id:
                self._read(run)
            self._run_id = ""
        else:
            self._run_id = ""
            self._tell_end(run)
        self.refresh_bindings()

    def _tell_progress(self, run: RunSummary) -> None:
        words = f"{state_words(run)}  {amount_words(run)}  {progress_words(run)}"
        self.query_one("#picture", Pane).set_title(self._title(), words if self.drawn is not None else "")
        self.view.say(f"{words}\n{printable(run.message or '')}")

    def _tell_end(self, run: RunSummary) -> None:
        self._show_place()
        self.view.say(NOTHING)
        if run.state != "stopped":
            words = run.message or "the job ended without a word"
            self.query_one("#picture", Pane).show_error(CellmapError(words, run.remedy or "L shows its log"))

    @work(thread=True, exclusive=True, group="patches.read", exit_on_error=False)
    def _find(self) -> None:
        run = newest_patches(self.cellmap.runs)
        if run is not None and not get_current_worker().is_cancelled:
            self.post_message(self.Read(read_patches(run)))

    @work(thread=True, exclusive=True, group="patches.read", exit_on_error=False)
    def _read(self, run: RunSummary) -> None:
        drawn = read_patches(run)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Read(drawn))

    @on(Read)
    def _show(self, event: Read) -> None:
        self.drawn = event.drawn
        if not self.form.source:
            self.form = PatchForm.of_request(event.drawn.request)
        self.query_one("#picture", Pane).clear_error()
        self.view.show(event.drawn.looks)
        self.refresh_bindings()

    # What is shown

    def _title(self) -> str:
        drawn = self.drawn
        return TITLE if drawn is None else title_words(drawn.looks, self.view.look.number)

    @on(PatchView.Looked)
    def _show_place(self) -> None:
        pane, drawn = self.query_one("#picture", Pane), self.drawn
        if drawn is None:
            pane.set_title(TITLE)
            return
        run = self.chosen_run()
        busy = f"{state_words(run)} {progress_words(run)}  " if run is not None and run.is_live else ""
        pane.set_title(self._title(), f"{busy}{place_words(drawn.looks, self.view.look)}")
        title = printable(f"what {drawn.request.split.name} holds, {drawn.request.usage}")
        self.query_one("#statistics", Pane).set_title(title)
        words = statistics(drawn.result, drawn.looks, self.view.look.column)
        show_words(self.query_one("#figures", Static), words)

    # Keys

    def action_new(self) -> None:
        """Choose what is drawn, then start the job."""

        def take(form: TypedForm | None) -> None:
            if isinstance(form, PatchForm):
                self.form = form
                self._begin(form)

        self.app.push_screen(FillIn("patches to look at", self.form, "builds the bank and draws"), take)

    def action_more(self) -> None:
        """Draw others of the same bank."""
        from dataclasses import replace

        if self.drawn is not None:
            request = self.drawn.request
            self._start(replace(request, epoch=request.epoch + 1))

    def _begin(self, form: PatchForm) -> None:
        self.query_one("#picture", Pane).clear_error()
        self._start(form.request(self.cellmap.settings))

    @on(Pane.RetryAsked, "#picture")
    def _retry(self) -> None:
        self.action_new()

    @work(thread=True, exclusive=True, group="patches.start", exit_on_error=False)
    def _start(self, request: PatchesRequest) -> None:
        self.post_message(self.Started(start_patches(self.cellmap.settings, request)))

    @on(Started)
    def _follow(self, event: Started) -> None:
        self._run_id, self._has_looked = event.run_id, True
        self.view.say("starting…")
        self._see_runs()
        self.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show failures in place of the picture; those of drawing as well."""
        mine = event.worker.group in {"patches.read", "patches.start", "patches.draw"}
        if mine and event.state is WorkerState.ERROR and event.worker.error is not None:
            self.query_one("#picture", Pane).show_error(event.worker.error)
        else:
            super().on_worker_state_changed(event)
