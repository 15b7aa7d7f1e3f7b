"""Home: where the data lie and what is there, the latest runs, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, get_current_worker

from cellmap_tui.app.demo_job import demo_run
from cellmap_tui.app.home_words import here_lines, run_line, step_line
from cellmap_tui.app.keys import bind
from cellmap_tui.app.next_steps import IMPORT_COMMAND, NextStep, next_steps
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.local_data import LocalData
    from cellmap_tui.jobs.summary import RunSummary

SHOWN_RUNS = 5


class HomeScreen(RunScreen):
    """The first thing seen when nothing is local; later on ``0``."""

    MODE = "home"
    AUTO_FOCUS = "#steps"
    CSS_PATH = "home.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"home.survey": "#here"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "step('demo')", "make demo", help="Make the demo data, as a job of its own."),
        bind("home.demo_data", "step('demo_data')"),
        bind("do.stop", "stop", help="Stop the run under the cursor, or the demo; asks first."),
        bind("do.pause", "pause", help="Pause the run under the cursor, or the demo; or let it go on."),
        bind("do.reload", "resume", "resume", help="Go on with the run under the cursor, or with the demo."),
        bind(
            "do.save", "keep_data_root", "keep data root", help="Keep the data root of this session in the settings."
        ),
        bind("do.doctor", "go_doctor"),
        bind("do.log", "full_log", show=False),
        bind("do.copy", "copy_import", "copy import line", show=False, help="Copy the import line to the clipboard."),
    ]

    class Surveyed(Message):
        """What the data root holds is known."""

        def __init__(self, local: LocalData) -> None:
            self.local = local
            super().__init__()

    class DemoFound(Message):
        """A finished demo's data root is known."""

        def __init__(self, run_id: str, data_root: Path | None) -> None:
            self.run_id = run_id
            self.data_root = data_root
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._local: LocalData | None = None
        self._demo_root: tuple[str, Path | None] = ("", None)
        self._steps: list[NextStep] = []
        self._lines: list[Content] = []
        self._starting: Worker[str] | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the panes."""
        with Container(id="left"):
            with Pane(id="here") as pane:
                pane.set_title("data")
                yield Static(markup=False)
            with Pane(id="next") as pane:
                pane.set_title("what next")
                yield Choices(id="steps")
                yield Static(Content(IMPORT_COMMAND), id="import", markup=False)
        with Pane(id="runs") as pane:
            pane.set_title("latest runs")
            yield Choices(id="latest")

    def on_mount(self) -> None:
        """Follow the runs and the settings."""
        self.watch(self.app, "runs", self._show_runs, init=True)
        self.watch(self.app, "settings", self._look_elsewhere, init=False)
        self._look()

    def on_screen_resume(self) -> None:
        """Look again when the user comes back: data may have come meanwhile."""
        if self._local is not None:
            self._look()

    # What is under the cursor

    def chosen_run(self) -> RunSummary | None:
        """Return the run under the cursor of the list of runs, elsewhere the newest demo."""
        runs = self.cellmap.runs
        latest = self.focused
        if isinstance(latest, Choices) and latest.id == "latest" and latest.highlighted is not None:
            return runs[latest.highlighted] if latest.highlighted < len(runs[:SHOWN_RUNS]) else None
        return demo_run(runs)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "step":
            return any(step.id == parameters[0] for step in self._steps)
        if action == "keep_data_root":
            return self.cellmap.settings.origins.get("data_root") == "session"
        return super().check_action(action, parameters)

    # Data

    def _look(self) -> None:
        self.query_one("#here", Pane).clear_error()
        self._show_here()
        self._survey()
        self.refresh_bindings()

    def _look_elsewhere(self) -> None:
        if self._local is None or self._local.data_root != self.cellmap.settings.data_root:
            self._local = None
            self._look()
        self._show_here()
        self.refresh_bindings()

    @work(thread=True, exclusive=True, group="home.survey", exit_on_error=False)
    def _survey(self) -> None:
        from cellmap_tui.app.local_data import survey

        worker = get_current_worker()
        local = survey(self.cellmap.settings, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.post_message(self.Surveyed(local))

    @on(Surveyed)
    def _take_survey(self, event: Surveyed) -> None:
        self._local = event.local
        self._show_here()
        self._show_steps()

    @on(Pane.RetryAsked, "#here")
    def _retry(self) -> None:
        self._look()

    def _show_here(self) -> None:
        lines = here_lines(self._local, self.cellmap.settings.data_root, self.cellmap.settings.origins)
        self.query_one("#here Static", Static).update(lines)

    # Runs

    def _show_runs(self) -> None:
        runs = self.cellmap.runs
        demo = demo_run(runs)
        if demo is not None and demo.state == "done" and self._demo_root[0] != demo.run_id:
            self._demo_root = (demo.run_id, None)
            self._find_demo(demo)
        latest = self.query_one("#latest", Choices)
        _show_options(latest, self._lines, [run_line(run) for run in runs[:SHOWN_RUNS]])
        self.query_one("#runs", Pane).set_title("latest runs", "" if runs else "none yet")
        self._show_steps()
        self.refresh_bindings()

    @work(thread=True, exclusive=True, group="home.demo", exit_on_error=False)
    def _find_demo(self, demo: RunSummary) -> None:
        from cellmap_tui.app.demo_job import demo_data_root

        self.post_message(self.DemoFound(demo.run_id, demo_data_root(demo)))

    @on(DemoFound)
    def _take_demo(self, event: DemoFound) -> None:
        self._demo_root = (event.run_id, event.data_root)
        self._show_steps()

    # Steps

    def _show_steps(self) -> None:
        _run_id, data_root = self._demo_root
        in_use = data_root == self.cellmap.settings.data_root
        steps = next_steps(self._local, demo_run(self.cellmap.runs), data_root, demo_in_use=in_use)
        if steps != self._steps:
            before = [step_line(step) for step in self._steps]
            self._steps = steps
            _show_options(self.query_one("#steps", Choices), before, [step_line(step) for step in steps])
            self.refresh_bindings()

    @on(OptionList.OptionSelected, "#steps")
    def _take_step(self, event: OptionList.OptionSelected) -> None:
        self.action_step(self._steps[event.option_index].id)

    @on(OptionList.OptionSelected, "#latest")
    def _open_run(self, event: OptionList.OptionSelected) -> None:
        self.cellmap.open_mode("runs", {"run": self.cellmap.runs[event.option_index].run_id})

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        """Another pane has other keys."""
        self.refresh_bindings()

    def action_step(self, step: str) -> None:
        """Do one of the steps."""
        demo = demo_run(self.cellmap.runs)
        if step == "demo":
            if not self._is_starting():
                self._starting = self._start_demo()
                self.app.notify("Making the demo, as a job of its own: it goes on without this app.")
        elif step == "watch" and demo is not None:
            self.cellmap.open_mode("runs", {"run": demo.run_id})
        elif step == "resume_demo" and demo is not None:
            self._control(demo, "resume")
        elif step == "demo_data":
            self._browse_demo()
        elif step == "import":
            self.action_copy_import()
        else:
            self.cellmap.action_go({"browse": "data"}.get(step, step))

    def action_go_doctor(self) -> None:
        """Check this machine."""
        self.cellmap.action_go("doctor")

    def action_copy_import(self) -> None:
        """Copy the import line to the clipboard of the terminal."""
        self.app.copy_to_clipboard(IMPORT_COMMAND)
        self.app.notify("Copied the import line; the terminal must allow OSC 52.")

    def action_keep_data_root(self) -> None:
        """Keep the data root of this session in the settings."""
        from cellmap_tui.services.settings import save_setting

        settings = self.cellmap.settings
        try:
            self.cellmap.settings = save_setting(settings, "data_root", str(settings.data_root))
        except CellmapError as error:
            self.tell_error(error)
        else:
            self.app.notify(f"Kept as data root: {settings.data_root}")

    def _browse_demo(self) -> None:
        data_root = self._demo_root[1]
        if data_root is not None:
            settings = self.cellmap.settings
            origins = {**settings.origins, "data_root": "session"}
            self.cellmap.settings = replace(settings, data_root=data_root, origins=origins)
            self.app.notify("Showing the demo data for this session; on the home screen, w keeps it.")
            self.cellmap.open_mode("data")

    @work(thread=True, exclusive=True, group="home.start", exit_on_error=False)
    def _start_demo(self) -> str:
        from cellmap_tui.app.demo_job import start_demo

        return start_demo(self.cellmap.settings)

    def _is_starting(self) -> bool:
        """Tell whether a demo was started that is not yet among the runs: a second one would be refused."""
        worker = self._starting
        if worker is None or (worker.is_finished and worker.result is None):
            return False
        return worker.result not in {run.run_id for run in self.cellmap.runs}


def _show_options(choices: Choices, before: list[Content], lines: list[Content]) -> None:
    """Show the lines; where their number is the same, only those that have changed are drawn."""
    if len(before) == len(lines) == choices.option_count:
        for index, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                choices.replace_option_prompt_at_index(index, new)
    else:
        highlighted = choices.highlighted
        choices.clear_options()
        choices.add_options([Option(line) for line in lines])
        if lines:
            choices.highlighted = min(highlighted or 0, len(lines) - 1)
    before[:] = lines
