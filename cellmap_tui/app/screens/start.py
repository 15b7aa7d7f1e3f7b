"""A command with its options filled in, ready to be started as a job."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerState

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class StartWork(BaseModal[str]):
    """Show what a command was asked and would do; ``y`` starts it as a job and answers with the run's name.

    Parameters
    ----------
    command
        Name of the command in the registry.
    request
        Its request model.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    StartWork .window { padding: 1 2 0 2; max-height: 100%; }
    StartWork VerticalScroll { height: auto; max-height: 60vh; margin: 1 0; }
    StartWork Static { height: auto; }
    StartWork #plan { margin: 1 0 0 0; }
    StartWork Choices { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("answer.yes", "answer(True)"),
        bind("answer.no", "answer(False)"),
        bind("move.half_down", "turn(1)", help="Read on in what would be done.", show=False),
        bind("move.half_up", "turn(-1)", help="Read back in what would be done.", show=False),
    ]

    class Planned(Message):
        """It is known what the command would do."""

        def __init__(self, lines: list[str]) -> None:
            self.lines = lines
            super().__init__()

    class Started(Message):
        """The job has begun."""

        def __init__(self, run_id: str) -> None:
            self.run_id = run_id
            super().__init__()

    def __init__(self, command: str, request: object) -> None:
        super().__init__()
        self._command = command
        self._request = request

    def compose(self) -> ComposeResult:
        """Yield the options, the plan and the two answers."""
        with Vertical(classes="window"):
            yield Static(Content.styled(f"Start {printable(self._command)}?", "bold"), markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(_options(self._request), id="options", markup=False)
                yield Static("checking…", id="plan", markup=False)
            yield Choices(
                Option(Content.assemble(("n  ", "bold $accent"), "no, leave it")),
                Option(Content.assemble(("y  ", "bold $accent"), "start it as a job")),
            )

    def on_mount(self) -> None:
        """Find out what the command would do."""
        self._plan()

    def action_answer(self, answer: bool) -> None:
        """Start the job, or close."""
        if answer:
            self._start()
        else:
            self.dismiss(None)

    def action_turn(self, direction: int) -> None:
        """Scroll what would be done by half of what is seen."""
        words = self.query_one(VerticalScroll)
        words.scroll_relative(y=direction * max(1, words.size.height // 2), animate=False)

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.action_answer(event.option_index == 1)

    @on(Planned)
    def _show_plan(self, event: Planned) -> None:
        self.query_one("#plan", Static).update(Content("\n".join(printable(line) for line in event.lines)))

    @on(Started)
    def _close(self, event: Started) -> None:
        self.dismiss(event.run_id)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say in place why it cannot be done."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            message, remedy = describe(event.worker.error)
            words = Content.assemble((f"{sign('error')} ", "bold $error"), message, f"\n{remedy}" if remedy else "")
            self.query_one("#plan", Static).update(words)

    @work(thread=True, exclusive=True, group="start.plan", exit_on_error=False)
    def _plan(self) -> None:
        from cellmap_tui.services.plan_words import plan_lines

        self.post_message(self.Planned(plan_lines(self._command, self._request)))

    @work(thread=True, exclusive=True, group="start.launch", exit_on_error=False)
    def _start(self) -> None:
        from cellmap_tui.jobs.launch import launch
        from cellmap_tui.jobs.rundir import create_run

        run = create_run(
            self.cellmap.settings.runs_root, self._command, self._request, ("cellmap-tui", self._command)
        )
        launch(run)
        self.post_message(self.Started(run.run_id))


def _options(request: object) -> Content:
    """Return the options that differ from their defaults, a line each."""
    fields = dataclasses.fields(request)  # type: ignore[arg-type]
    given = {field.name: getattr(request, field.name) for field in fields}
    plain = {field.name: _default(field) for field in fields}
    shown = {name: value for name, value in given.items() if value != plain[name]}
    width = max(map(len, shown), default=0)
    return Content("\n".join(f"{name:{width}}  {_words(value)}" for name, value in shown.items()))


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _words(value: object) -> str:
    if isinstance(value, dict):
        return printable("  ".join(f"{name}={part}" for name, part in value.items()))
    if isinstance(value, tuple):
        return printable(" ".join(map(str, value)))
    return printable(str(value))
