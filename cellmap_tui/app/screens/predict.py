"""Predict: what a prediction would do, the options to change that, and how it goes once it has begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.message import Message
from textual.widgets import ContentSwitcher
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.predict_form import PredictForm
from cellmap_tui.app.predict_live import followed_run
from cellmap_tui.app.predict_pages import PredictPages
from cellmap_tui.app.predict_planning import Planned, Planner
from cellmap_tui.app.predict_start import PREDICT
from cellmap_tui.app.predict_words import refusal, start_question
from cellmap_tui.app.run_actions import may
from cellmap_tui.app.trusting import unknown_code
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.predict_live_view import PredictLiveView
from cellmap_tui.app.widgets.predict_plan_view import PredictPlanView
from cellmap_tui.errors import CellmapError, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.predict_model import PredictRequest

REST_S = 0.5
"""A plan is made when no option has changed for this long."""


class PredictScreen(PredictPages):
    """The plan of a prediction, or the job that goes on."""

    MODE = "predict"
    AUTO_FOCUS = "PredictedTable, VolumeTable"
    CSS_PATH = "predict.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"predict.start": "#plan", "predict.networks": "#plan"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "start", "start", help="Start this prediction as a job; asks first, naming size and time."),
        bind("predict.networks", "networks"),
        bind("predict.options", "options"),
        bind("do.pause", "pause", help="Pause the job, or let it go on."),
        bind("do.stop", "stop", help="Stop the job; asks first. Blocks that are on disk stay, and r goes on."),
        bind("do.reload", "resume", "go on", help="Go on with the job: finished blocks are not done again."),
        bind("predict.process", "process"),
        bind("predict.turn", "turn", "plan"),
        bind("predict.turn", "turn_back", "job"),
        bind("do.view", "view", "slice", help="View slices of the crop with what was predicted."),
        bind("do.log", "full_log"),
    ]

    class Trained(Message):
        """It is known which training to offer to one who has chosen none."""

        def __init__(self, place: str) -> None:
            self.place = place
            super().__init__()

    class Waiting(Message):
        """A plan is made this far."""

        def __init__(self, form: PredictForm, words: str) -> None:
            self.form = form
            self.words = words
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest count matters."""
            return isinstance(message, PredictScreen.Waiting)

    class PlanMade(Message):
        """It is known what a prediction would do."""

        def __init__(self, form: PredictForm, planned: Planned) -> None:
            self.form = form
            self.planned = planned
            super().__init__()

    class Started(Message):
        """The job has begun."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.form = PredictForm()
        self.planned: Planned | None = None
        self._planner = Planner()
        self._wanted_run = ""
        self._rest: Timer | None = None
        self._is_placed = False
        self._is_asked = False
        self._has_seen_runs = False
        self._asked_of: set[str] = set()
        self._ended: frozenset[str] | None = None

    def compose_body(self) -> ComposeResult:
        """Yield plan and progress, one of which is shown."""
        with ContentSwitcher(initial="before"):
            yield PredictPlanView(id="before")
            yield PredictLiveView(id="under-way")

    def on_mount(self) -> None:
        """Show the job that goes on, else a plan with the newest training."""
        self.before.show_form(self.form, keep_plan=False)
        self.watch(self.app, "runs", self._follow_runs, init=True)
        self.watch(self.app, "settings", self._plan_anew, init=False)
        self.call_after_refresh(self._place)

    def on_unmount(self) -> None:
        """End the process that plans."""
        self._planner.close()

    def opened(self, options: Mapping[str, object]) -> None:
        """Take the request of a command line (``request``), crops (``crops``) or a run to show (``run``)."""
        self._is_placed = self._is_asked = True
        if "run" in options:
            self._wanted_run = str(options["run"])
            self._show_live(True)
        elif options.get("command", PREDICT) != PREDICT:
            self.open_process(options.get("request"))
        elif "request" in options:
            self._show_live(False)
            self._take_form(PredictForm.of_request(cast("PredictRequest", options["request"])))
        elif crops := options.get("crops"):
            self._show_live(False)
            self._take_form(replace(self.form, crops=str(crops)))
            self._offer_training()

    # Which of the two is shown

    @property
    def before(self) -> PredictPlanView:
        """The plan."""
        return self.query_one(PredictPlanView)

    @property
    def under_way(self) -> PredictLiveView:
        """The progress."""
        return self.query_one(PredictLiveView)

    @property
    def is_live_shown(self) -> bool:
        """Whether the progress is shown."""
        # Another screen may hand over crops, and so ask for the key bar, before this one is composed.
        return self.is_mounted and self.query_one(ContentSwitcher).current == "under-way"

    def chosen_run(self) -> RunSummary | None:
        """Return the job that is shown."""
        return followed_run(self.cellmap.runs, self._wanted_run) if self.is_live_shown else None

    def row_in_hand(self) -> tuple[str, Path] | None:
        """Return name and folder of what is under the cursor."""
        if self.is_live_shown:
            row = self.under_way.table.highlighted
            return (row.ref, row.folder) if row is not None and row.ref else None
        crop = self.before.table.highlighted
        return (crop.crop, Path(crop.path)) if crop is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if not self.is_mounted:
            return super().check_action(action, parameters)
        if action == "start":
            return not self.is_live_shown and self.planned is not None and bool(self.planned.plan.tiles)
        if action in {"networks", "options"}:
            return not self.is_live_shown
        if action == "turn":
            return self.is_live_shown
        if action == "turn_back":
            return not self.is_live_shown and followed_run(self.cellmap.runs, self._wanted_run) is not None
        if action == "view":
            return self.row_in_hand() is not None
        return super().check_action(action, parameters)

    def action_turn(self) -> None:
        """Show the plan."""
        self._show_live(False)
        if not self.form.has_networks:
            self._offer_training()
        elif self.planned is None:
            self._plan_soon()

    def action_turn_back(self) -> None:
        """Show the progress."""
        self._show_live(True)

    def _place(self) -> None:
        if self._is_placed:
            return
        self._is_placed = True
        self._has_seen_runs = bool(self.cellmap.runs)
        if _calls_for_attention(followed_run(self.cellmap.runs)):
            self._show_live(True)
        else:
            self._offer_training()

    def _show_live(self, shown: bool) -> None:
        self.query_one(ContentSwitcher).current = "under-way" if shown else "before"
        (self.under_way.table if shown else self.before.table).focus()
        self._follow_runs()
        self.refresh_bindings()

    def _follow_runs(self) -> None:
        if self._is_placed and not self._has_seen_runs and self.cellmap.runs:
            # At the start of the app the screen comes before the first look at the runs.
            self._has_seen_runs = True
            if not self._is_asked and _calls_for_attention(followed_run(self.cellmap.runs)):
                self._show_live(True)
                return
            if not self.is_live_shown:
                self._offer_training()
        is_outdated = self._outdated()
        if self.is_live_shown:
            self.under_way.follow(self.chosen_run())
            self.planned = None if is_outdated else self.planned
        elif is_outdated:
            self._plan_anew()
        self.refresh_bindings()

    # Networks and crops

    def _offer_training(self) -> None:
        if not self.form.has_networks:
            self._find_training()

    @work(thread=True, exclusive=True, group="predict.networks", exit_on_error=False)
    def _find_training(self) -> None:
        from cellmap_tui.app.predict_networks import trained_networks

        found = next((item for item in trained_networks(self.cellmap.runs) if not item.problem), None)
        if found is not None and not get_current_worker().is_cancelled:
            self.post_message(self.Trained(found.place))

    @on(Trained)
    def _take_training(self, event: Trained) -> None:
        if not self.form.has_networks:
            self._take_form(self.form.with_networks((event.place,)))

    def action_networks(self) -> None:
        """Choose the networks."""
        from cellmap_tui.app.screens.predict_choose import ChooseNetworks

        self.app.push_screen(ChooseNetworks(self.form), self._take_chosen)

    def _take_chosen(self, form: PredictForm | None) -> None:
        if form is not None:
            self._take_form(form)

    def action_options(self) -> None:
        """Go to the options, or back to the crops."""
        is_there = self.before.options.has_focus
        (self.before.table if is_there else self.before.options).focus()

    @on(PredictPlanView.CropsAsked)
    def _choose_crops(self) -> None:
        from cellmap_tui.app.screens.predict_choose import ChooseCrops, refs_words

        marked = refs_words(self.cellmap.marked_crops)
        chosen = marked if marked and self.form.crops == PredictForm().crops else self.form.crops

        def take(crops: str | None) -> None:
            if crops is not None:
                self._take_form(replace(self.form, crops=crops, em="", box_nm=None))

        self.app.push_screen(ChooseCrops(chosen), take)

    # Plan

    @on(PredictPlanView.FormChanged)
    def _change_form(self, event: PredictPlanView.FormChanged) -> None:
        self._take_form(event.form)

    def _take_form(self, form: PredictForm) -> None:
        if self.planned is not None and form.needs_plan_of == self.form.needs_plan_of:
            self.form = form
            self.before.show_form(form, keep_plan=True)
            self._show_plan(self.planned)
            return
        same = (form.crops, form.em) == (self.form.crops, self.form.em)
        self.form, self.planned = form, None
        self.workers.cancel_group(self, "predict.plan")
        self.before.pane.clear_error()
        self.before.show_form(form, keep_plan=same)
        self._plan_soon()
        self.refresh_bindings()

    def _plan_anew(self) -> None:
        self.planned = None
        self._take_form(self.form)

    def _outdated(self) -> bool:
        """Tell whether a prediction has ended since the last look: other crops are there now than the plan says."""
        ended = frozenset(run.run_id for run in self.cellmap.runs if run.command == PREDICT and not run.is_live)
        before, self._ended = self._ended, ended
        return before is not None and ended != before and self.planned is not None

    def _plan_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._begin_plan)

    def _begin_plan(self) -> None:
        if self.form.has_networks and not self.is_live_shown:
            self._plan(self.form)

    @work(thread=True, exclusive=True, group="predict.plan", exit_on_error=False)
    def _plan(self, form: PredictForm) -> None:
        worker = get_current_worker()

        def tell(words: str) -> None:
            self.post_message(self.Waiting(form, words))

        try:
            if not form.trust:
                found = unknown_code(map(Path, form.networks), self.cellmap.settings.state_dir)
                if found is not None and found.sha256 not in self._asked_of:
                    self._asked_of.add(found.sha256)
                    self.post_message(self.CodeSeen(found, None, self._plan_anew))
            planned = self._planner.plan(form.request(self.cellmap.settings), tell, lambda: worker.is_cancelled)
        except Stopped:
            return
        if not worker.is_cancelled:
            self.post_message(self.PlanMade(form, planned))

    @on(Waiting)
    def _tell_waiting(self, event: Waiting) -> None:
        if event.form == self.form and self.planned is None:
            self.before.show_waiting(event.words)

    @on(PlanMade)
    def _take_plan(self, event: PlanMade) -> None:
        if event.form.needs_plan_of == self.form.needs_plan_of:
            self._show_plan(event.planned)

    def _show_plan(self, planned: Planned) -> None:
        self.planned = planned
        self.before.show_plan(planned)
        self.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in place of the plan why there is none, with what to do."""
        # Otherwise the base would be asked once more, and tell of it in a toast.
        event.prevent_default()
        if event.worker.group == "predict.plan" and event.state is WorkerState.ERROR and event.worker.error:
            self.before.show_waiting("")
            self.before.pane.show_error(_in_words_of_the_screen(event.worker.error))
        else:
            super().on_worker_state_changed(event)

    @on(Pane.RetryAsked, "#plan")
    def _retry(self) -> None:
        self._plan_anew()

    @on(PredictPlanView.CropOpened)
    def _open_planned(self, event: PredictPlanView.CropOpened) -> None:
        from cellmap_tui.app.predict_words import crop_words
        from cellmap_tui.app.screens.predict_page import PredictPage

        crop = event.crop
        self.app.push_screen(PredictPage(crop.crop, lambda width: crop_words(crop)))

    # Start

    def action_start(self) -> None:
        """Ask, then start the prediction as a job."""
        from cellmap_tui.app.widgets.confirm import Confirm

        form, planned = self.form, self.planned
        if planned is None:
            return
        if why := refusal(form, planned):
            self.app.notify(why, severity="error", timeout=10)
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._start(form)

        self.app.push_screen(Confirm(*start_question(form, planned), yes="start it", no="not now"), answered)

    @work(thread=True, exclusive=True, group="predict.start", exit_on_error=False)
    def _start(self, form: PredictForm) -> None:
        from cellmap_tui.app.predict_start import start_prediction

        settings = self.cellmap.settings
        self.post_message(self.Started(start_prediction(settings, form.request(settings))))

    @on(Started)
    def _watch_started(self, event: Started) -> None:
        self._wanted_run, self.planned = event.run_id, None
        self._show_live(True)


def _calls_for_attention(run: RunSummary | None) -> bool:
    """Whether a job is shown before any plan: it goes on, or it can be taken up again."""
    return run is not None and (run.is_live or may("resume", run))


def _in_words_of_the_screen(error: BaseException) -> BaseException:
    from cellmap_tui.app.predict_words import in_words_of_the_screen

    if isinstance(error, CellmapError):
        return CellmapError(in_words_of_the_screen(error.message), in_words_of_the_screen(error.remedy))
    return error
