"""Train: how the crops are divided, as a preview that follows every change, until it is written.

The section is a widget of its own; this screen plans, writes, and takes changes back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.message import Message
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.split_form import SplitForm
from cellmap_tui.app.split_words import write_question
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.split_view import SplitView
from cellmap_tui.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

    from cellmap_tui.services.split_model import SplitPlan, SplitRequest
    from cellmap_tui.services.train_model import TrainRequest

REST_S = 0.2
"""A split is planned when nothing has changed for this long."""
MOST_CHANGES = 100
"""Changes that can be taken back."""


class TrainScreen(BaseScreen):
    """The split of the crops into training and validation."""

    MODE = "train"
    AUTO_FOCUS = "SplitCropTable"
    CSS_PATH = "train.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"split.plan": "#matrix"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.save", "write", "write", help="Write the split as a CSV; asks first."),
        bind("split.turn", "turn", "options", help="Change between the crops and the options."),
        bind("train.plan", "plan"),
        bind("train.patches", "patches"),
        bind("train.runs", "trainings"),
        bind("do.undo", "undo"),
        bind("do.reload", "reload", show=False, help="Look at the labels again."),
    ]

    class Told(Message):
        """The labels are looked at this far."""

        def __init__(self, words: str) -> None:
            self.words = words
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest count matters."""
            return isinstance(message, TrainScreen.Told)

    class Planned(Message):
        """It is known what the split would be."""

        def __init__(self, form: SplitForm, plan: SplitPlan) -> None:
            self.form = form
            self.plan = plan
            super().__init__()

    class Written(Message):
        """The split is on disk."""

        def __init__(self, paths: tuple[str, ...]) -> None:
            self.paths = paths
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.form = SplitForm()
        self._changes: list[SplitForm] = []
        self._rest: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the section."""
        yield SplitView(id="split")

    def on_mount(self) -> None:
        """Plan with the options as they are."""
        self.watch(self.app, "settings", self._plan_soon, init=False)
        self._take(self.form)

    def opened(self, options: Mapping[str, object]) -> None:
        """Take the request of a command line (``request``), or a training to look at (``path``)."""
        if options.get("command") == "train":
            self._open_trainings(
                cast("TrainRequest | None", options.get("request")), cast("Path | None", options.get("path"))
            )
        elif "request" in options:
            self._take(SplitForm.of_request(cast("SplitRequest", options["request"])))

    @property
    def split(self) -> SplitView:
        """The section."""
        return self.query_one(SplitView)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "write":
            return self.is_mounted and self.split.plan is not None
        if action == "undo":
            return bool(self._changes)
        if action == "turn":
            return not self.has_class("-wide")
        return super().check_action(action, parameters)

    def action_turn(self) -> None:
        """Show the options in place of the crops, or the crops again."""
        self.toggle_class("-options")
        (self.split.options if self.has_class("-options") else self.split.crops).focus()

    def action_plan(self) -> None:
        """Open the plan page for the classes and the split."""
        from cellmap_tui.app.plan_form import PlanForm
        from cellmap_tui.app.screens.plan import PlanScreen

        self.app.push_screen(PlanScreen(PlanForm.of_split(self.form)))

    def action_patches(self) -> None:
        """Open the patches page for the split."""
        from cellmap_tui.app.patch_form import PatchForm
        from cellmap_tui.app.screens.patches import PatchesScreen

        self.app.push_screen(PatchesScreen(PatchForm.of_split(self.form)))

    def action_trainings(self) -> None:
        """Open the page of the trainings."""
        self._open_trainings(None)

    def _open_trainings(self, request: TrainRequest | None, path: Path | None = None) -> None:
        from cellmap_tui.app.screens.training import TrainingScreen

        shown = self.app.screen
        if path is not None and isinstance(shown, TrainingScreen):
            shown.take_in_hand(path)
        else:
            self.app.push_screen(TrainingScreen(request, path))

    def action_undo(self) -> None:
        """Take the last change back."""
        if self._changes:
            self._take(self._changes.pop())

    def action_reload(self) -> None:
        """Plan again."""
        self._take(self.form)

    @on(Pane.RetryAsked, "#matrix")
    def _retry(self) -> None:
        self._take(self.form)

    @on(SplitView.FormChanged)
    def _change(self, event: SplitView.FormChanged) -> None:
        if event.form != self.form:
            self._changes = [*self._changes[-MOST_CHANGES + 1 :], self.form]
            self._take(event.form)

    # Plan

    def _take(self, form: SplitForm) -> None:
        self.form = form
        self.workers.cancel_group(self, "split.plan")
        self.split.pane.clear_error()
        self.split.show_form(form)
        self._plan_soon()
        self.refresh_bindings()

    def _plan_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._begin_plan)

    def _begin_plan(self) -> None:
        self._rest = None
        self._plan(self.form)

    @work(thread=True, exclusive=True, group="split.plan", exit_on_error=False)
    def _plan(self, form: SplitForm) -> None:
        from cellmap_tui.app.split_planning import plan_form

        worker = get_current_worker()

        def tell(words: str) -> None:
            self.post_message(self.Told(words))

        try:
            plan = plan_form(form, self.cellmap.settings, tell, lambda: worker.is_cancelled)
        except Stopped:
            return
        if not worker.is_cancelled:
            self.post_message(self.Planned(form, plan))

    @on(Told)
    def _tell(self, event: Told) -> None:
        self.split.show_progress(event.words)

    @on(Planned)
    def _show_plan(self, event: Planned) -> None:
        if event.form == self.form:
            self.split.show_plan(event.plan)
            self.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in place of the matrix why there is none, with what to do."""
        if event.worker.group == "split.plan" and event.state is WorkerState.ERROR and event.worker.error:
            self.split.show_failure(event.worker.error)
            self.refresh_bindings()
        else:
            super().on_worker_state_changed(event)

    # Write

    def action_write(self) -> None:
        """Ask, then write the split."""
        from cellmap_tui.app.widgets.confirm import Confirm
        from cellmap_tui.services.split import csv_paths

        form, plan = self.form, self.split.plan
        if plan is None:
            return
        paths = [str(path) for path in csv_paths(form.request(self.cellmap.settings))]

        def answered(answer: bool | None) -> None:
            if answer:
                self._write(form)

        self.app.push_screen(Confirm(*write_question(plan, paths), yes="write it", no="not now"), answered)

    @work(thread=True, exclusive=True, group="split.write", exit_on_error=False)
    def _write(self, form: SplitForm) -> None:
        from cellmap_tui.services.report import SilentReporter
        from cellmap_tui.services.split import make_datasplit

        result = make_datasplit(form.request(self.cellmap.settings), SilentReporter())
        self.post_message(self.Written(tuple(map(str, result.csv_paths))))

    @on(Written)
    def _tell_written(self, event: Written) -> None:
        first, *others = event.paths
        self.cellmap.split_path = Path(first).absolute()
        more = f" and {len(others)} more" if others else ""
        self.app.notify(f"{first}{more} written", title="split")

    # Crop pages

    @on(SplitView.CropOpened)
    def _open_crop(self, event: SplitView.CropOpened) -> None:
        self._find_crop(event.ref)

    @work(thread=True, exclusive=True, group="split.crop", exit_on_error=False)
    def _find_crop(self, ref: str) -> None:
        from cellmap_tui.app.browsing import browse

        browsed = browse(self.cellmap.settings)
        item = next((item for item in browsed.items if item.crop.ref == ref), None)
        if item is not None and not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show_crop_page, browsed, item)

    def _show_crop_page(self, browsed: object, item: object) -> None:
        from cellmap_tui.app.screens.crop import CropScreen

        self.app.push_screen(CropScreen(browsed, item, self.split.target or None))  # type: ignore[arg-type]
