"""Fetch: what a download would bring, the options to change that, and how it goes once it has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.message import Message
from textual.widgets import ContentSwitcher
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.fetch_feed import fetch_run, is_incomplete
from cellmap_tui.app.fetch_form import FetchForm
from cellmap_tui.app.keys import bind
from cellmap_tui.app.plan_words import refusal, start_question
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.fetch_live_view import FetchLiveView, may_go_on
from cellmap_tui.app.widgets.fetch_plan_view import FetchPlanView
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.errors import Stopped
from cellmap_tui.services.listing_cache import ListingCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.fetch_model import FetchPlan, FetchRequest

REST_S = 0.3
"""A plan is made when no option has changed for this long."""


class FetchScreen(RunScreen):
    """The plan of a fetch, or the fetch that goes on."""

    MODE = "fetch"
    AUTO_FOCUS = "PlanTable, CropList"
    CSS_PATH = "fetch.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"fetch.starter": "#plan", "fetch.start": "#plan"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "start", "start", help="Start this fetch as a job; asks first, naming size and disk."),
        bind("do.pause", "pause", help="Pause the fetch, or let it go on."),
        bind("do.stop", "stop", help="Stop the fetch; asks first. What is here stays, and r goes on."),
        bind("do.reload", "resume", "retry", help="Go on with the fetch: only what is missing is downloaded."),
        bind("fetch.turn", "turn", "plan"),
        bind("fetch.turn", "turn_back", "progress"),
        bind("do.log", "full_log"),
        bind("do.undo", "starter", "starter set", show=False, help="Drop the choice of crops; plan the starter set."),
    ]

    class StarterFound(Message):
        """It is known which crops to offer to one who has chosen none."""

        def __init__(self, crops: tuple[str, ...]) -> None:
            self.crops = crops
            super().__init__()

    class Listed(Message):
        """The bucket is listed this far."""

        def __init__(self, form: FetchForm, words: str) -> None:
            self.form = form
            self.words = words
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest count matters."""
            return isinstance(message, FetchScreen.Listed)

    class Planned(Message):
        """It is known what a fetch would do."""

        def __init__(self, form: FetchForm, plan: FetchPlan) -> None:
            self.form = form
            self.plan = plan
            super().__init__()

    class Started(Message):
        """The job has begun."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.form = FetchForm()
        self.plan: FetchPlan | None = None
        self._options: Mapping[str, object] = {}
        self._wanted_run = ""
        self._rest: Timer | None = None
        self._listings = ListingCache()
        self._is_placed = False
        self._has_seen_runs = False

    def compose_body(self) -> ComposeResult:
        """Yield plan and progress, one of which is shown."""
        with ContentSwitcher(initial="before"):
            yield FetchPlanView(id="before")
            yield FetchLiveView(id="under-way")

    def on_mount(self) -> None:
        """Show the fetch that goes on, else a plan of what is marked, else the starter set."""
        self.watch(self.app, "runs", self._follow_runs, init=True)
        self.watch(self.app, "settings", self._plan_anew, init=False)
        self.call_after_refresh(self._place)

    def on_screen_resume(self) -> None:
        """Take over what was marked meanwhile."""
        if self._is_placed and not self.is_live_shown:
            self._take_marks()

    def opened(self, options: Mapping[str, object]) -> None:
        """Take crops to plan (``crops``), the request of a command line (``request``), or a run to show (``run``)."""
        self._is_placed, self._options = True, options
        if "run" in options:
            self._wanted_run = str(options["run"])
            self._show_live(True)
        elif "request" in options:
            self._show_live(False)
            self._take_form(FetchForm.of_request(cast("FetchRequest", options["request"])))
        elif crops := options.get("crops"):
            self._show_live(False)
            self._take_form(replace(self.form, crops=tuple(cast("Iterable[str]", crops)), is_starter=False))

    # Which of the two is shown

    @property
    def before(self) -> FetchPlanView:
        """The plan."""
        return self.query_one(FetchPlanView)

    @property
    def under_way(self) -> FetchLiveView:
        """The progress."""
        return self.query_one(FetchLiveView)

    @property
    def is_live_shown(self) -> bool:
        """Whether the progress is shown."""
        # Another screen may hand over crops, and so ask for the key bar, before this one is composed.
        return self.is_mounted and self.query_one(ContentSwitcher).current == "under-way"

    def chosen_run(self) -> RunSummary | None:
        """Return the fetch that is shown."""
        return fetch_run(self.cellmap.runs, self._wanted_run) if self.is_live_shown else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "start":
            return not self.is_live_shown and self.plan is not None and bool(self.plan.to_fetch.objects)
        if action == "turn":
            return self.is_live_shown
        if action == "turn_back":
            return not self.is_live_shown and fetch_run(self.cellmap.runs, self._wanted_run) is not None
        if action == "starter":
            return not self.is_live_shown and not self.form.is_starter
        if action == "resume":
            return may_go_on(self.chosen_run())
        return super().check_action(action, parameters)

    def action_resume(self) -> None:
        """Take the fetch up again; one that has ended with something missing is asked for once more."""
        run = self.chosen_run()
        if run is not None and is_incomplete(run):
            self._fetch_again(run)
        else:
            super().action_resume()

    def action_turn(self) -> None:
        """Show the plan."""
        self._show_live(False)
        self._take_marks()

    def action_turn_back(self) -> None:
        """Show the progress."""
        self._show_live(True)

    def action_starter(self) -> None:
        """Plan the starter set in place of what was chosen."""
        self._take_form(replace(self.form, crops=(), is_starter=True))

    def _place(self) -> None:
        if self._is_placed:
            return
        self._is_placed = True
        self._has_seen_runs = bool(self.cellmap.runs)
        if self._calls_for_attention(fetch_run(self.cellmap.runs)):
            self._show_live(True)
        else:
            self._take_marks()

    def _calls_for_attention(self, run: RunSummary | None) -> bool:
        """Whether a fetch is shown before any plan: it goes on, or it ended short and nothing else is marked."""
        return run is not None and (run.is_live or (may_go_on(run) and not self.cellmap.marked_crops))

    def _show_live(self, shown: bool) -> None:
        self.query_one(ContentSwitcher).current = "under-way" if shown else "before"
        (self.under_way.table if shown else self.before.table).focus()
        self._follow_runs()
        self.refresh_bindings()

    def _take_marks(self) -> None:
        marked = tuple(sorted(self.cellmap.marked_crops))
        if marked and marked != self.form.crops:
            self._take_form(replace(self.form, crops=marked, is_starter=False))
        elif not self.form.crops:
            self._take_form(replace(self.form, is_starter=True))

    # Plan

    def _take_form(self, form: FetchForm) -> None:
        if self.plan is not None and form.needs_plan_of == self.form.needs_plan_of:
            self.form = form
            self.before.show_form(form, keep_plan=True)
            self._show_plan(self.plan)
            return
        same_crops = form.crops == self.form.crops
        self.form, self.plan = form, None
        self.workers.cancel_group(self, "fetch.plan")
        self.before.pane.clear_error()
        self.before.show_form(form, keep_plan=same_crops)
        self._plan_soon()
        self.refresh_bindings()

    def _plan_anew(self) -> None:
        self.plan = None
        self._take_form(self.form)

    def _plan_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._begin_plan)

    def _begin_plan(self) -> None:
        if self.form.crops:
            self._plan(self.form)
        elif self.form.is_starter:
            self._find_starter()

    @work(thread=True, exclusive=True, group="fetch.starter", exit_on_error=False)
    def _find_starter(self) -> None:
        from cellmap_tui.app.planning import find_starter

        self.post_message(self.StarterFound(find_starter(self.cellmap.settings)))

    @on(StarterFound)
    def _take_starter(self, event: StarterFound) -> None:
        if self.form.is_starter and event.crops:
            self._take_form(replace(self.form, crops=event.crops))

    @work(thread=True, exclusive=True, group="fetch.plan", exit_on_error=False)
    def _plan(self, form: FetchForm) -> None:
        from cellmap_tui.app.planning import PlanReporter, make_plan

        worker = get_current_worker()

        def tell(words: str) -> None:
            self.post_message(self.Listed(form, words))

        try:
            report = PlanReporter(tell, lambda: worker.is_cancelled)
            plan = make_plan(form, self.cellmap.settings, report, self._listings)
        except Stopped:
            return
        if not worker.is_cancelled:
            self.post_message(self.Planned(form, plan))

    @on(Listed)
    def _tell_listed(self, event: Listed) -> None:
        if event.form == self.form:
            self.before.show_listing(event.words)

    @on(Planned)
    def _take_plan(self, event: Planned) -> None:
        if event.form.needs_plan_of == self.form.needs_plan_of:
            self._show_plan(event.plan)

    def _show_plan(self, plan: FetchPlan) -> None:
        self.plan = plan
        self.before.show_plan(plan)
        self.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in place of the plan why there is none, with what to do."""
        if event.worker.group == "fetch.plan" and event.state is WorkerState.ERROR and event.worker.error:
            self.before.show_listing("")
            self.before.pane.show_error(event.worker.error)
        else:
            super().on_worker_state_changed(event)

    @on(Pane.RetryAsked, "#plan")
    def _retry(self) -> None:
        self._plan_anew()

    @on(FetchPlanView.FormChanged)
    def _change_form(self, event: FetchPlanView.FormChanged) -> None:
        self._take_form(event.form)

    @on(FetchPlanView.CropOpened)
    def _open_plan(self, event: FetchPlanView.CropOpened) -> None:
        from cellmap_tui.app.screens.fetch_crop import PlannedCrop

        self.app.push_screen(PlannedCrop(event.crop))

    # Start

    def action_start(self) -> None:
        """Ask, then start the fetch as a job."""
        from cellmap_tui.app.widgets.confirm import Confirm

        form, plan = self.form, self.plan
        if plan is None:
            return
        if why := refusal(form, plan):
            self.app.notify(why, severity="error", timeout=10)
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._start(form)

        self.app.push_screen(Confirm(*start_question(form, plan), yes="start it", no="not now"), answered)

    @work(thread=True, exclusive=True, group="fetch.start", exit_on_error=False)
    def _start(self, form: FetchForm) -> None:
        from cellmap_tui.app.fetch_start import start_fetch

        settings = self.cellmap.settings
        self.post_message(self.Started(start_fetch(settings, form.request(settings, confirmed=True))))

    @work(thread=True, exclusive=True, group="fetch.again", exit_on_error=False)
    def _fetch_again(self, run: RunSummary) -> None:
        from cellmap_tui.app.fetch_start import start_again

        self.post_message(self.Started(start_again(self.cellmap.settings, run)))

    @on(Started)
    def _watch_started(self, event: Started) -> None:
        self._wanted_run = event.run_id
        self.plan = None
        self._show_live(True)

    # Progress

    def _follow_runs(self) -> None:
        if self._is_placed and not self._has_seen_runs and self.cellmap.runs:
            # At the start of the app the screen comes before the first look at the runs.
            self._has_seen_runs = True
            if not self._options and self._calls_for_attention(fetch_run(self.cellmap.runs)):
                self.workers.cancel_group(self, "fetch.plan")
                self._show_live(True)
        run = self.chosen_run()
        if self.is_live_shown:
            self.under_way.follow(run)
        self.refresh_bindings()

    @on(FetchLiveView.CropOpened)
    def _open_progress(self, event: FetchLiveView.CropOpened) -> None:
        from cellmap_tui.app.screens.fetch_crop import FetchedCrop

        self.app.push_screen(FetchedCrop(event.crop))
