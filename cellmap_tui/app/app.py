"""The app: modes, keys, themes, and the runs that go on. Screens do the rest."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App
from textual.message import Message
from textual.reactive import var
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import KEYS, bind, checked_overrides, display, plain
from cellmap_tui.app.modes import SCREENS
from cellmap_tui.app.run_words import CALM_ENDS, end_words
from cellmap_tui.app.runs_watch import RunsWatch
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.themes import DARK, load_themes, shipped_folder, variable_defaults
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.binding import Binding, BindingType
    from textual.notifications import Notify
    from textual.screen import Screen

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.app.process_form import TuneForm
    from cellmap_tui.app.screens.base import BaseScreen
    from cellmap_tui.jobs.watch import RunSummary
    from cellmap_tui.services.settings import Settings

POLL_S = 0.5
"""How often the runs are looked at; inotify does not work on network disks."""
SELDOM = 10
"""Of so many looks one is taken while the screen is left alone."""


class CellmapApp(App[None]):
    """The app over one set of settings.

    Parameters
    ----------
    settings
        Where things lie; screens watch `CellmapApp.settings`, which changes as the user changes it.
    start
        Mode to open with: ``home``, ``data``, ``classes``, ``runs``, ``settings``; ``home`` shows the
        data in its place when there are any.
    options
        What a command line fills in on that screen, such as ``{"run": "…"}`` for ``runs``.
    """

    TITLE = "cellmap-tui"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = dict(SCREENS)
    BINDINGS: ClassVar[list[BindingType]] = [
        *(bind(key_id, f"go('{key_id[3:]}')", show=False) for key_id in KEYS if key_id.startswith("go.")),
        bind("app.commands", "commands"),
        bind("app.help", "help"),
        bind("app.jump", "jump", show=False),
        bind("app.quit", "quit"),
    ]

    settings: var[Settings] = var(None, init=False)  # type: ignore[arg-type]
    """Where things lie in this session."""
    runs: var[tuple[RunSummary, ...]] = var((), init=False)
    """All runs below the runs root, the newest first."""
    marked_crops: var[frozenset[str]] = var(frozenset(), init=False)
    """References of the crops that the user has marked; later screens take them over."""
    split_path: var[Path | None] = var(None, init=False)
    """The split that was written or chosen last in this session."""

    class RunsSeen(Message):
        """The runs were looked at and something has changed."""

        def __init__(self, watch: RunsWatch, runs: tuple[RunSummary, ...]) -> None:
            self.watch = watch
            self.runs = runs
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the latest counts."""
            return isinstance(message, CellmapApp.RunsSeen)

    def __init__(
        self, settings: Settings, *, start: str = "home", options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__()
        self.set_reactive(CellmapApp.settings, settings)
        self.host = printable(socket.gethostname())
        self.start_mode = start
        self.options: Mapping[str, object] = options or {}
        self.watched: dict[Path, LiveRun] = {}
        """Trainings that were looked at in this session."""
        self.tuning_forms: tuple[TuneForm, TuneForm] | None = None
        """The form of a tuning that was filled in last in this session: as the recipe editor gave it, and as it was
        filled in."""
        self._watch = RunsWatch(settings.runs_root)
        self._looks = 0
        self._told_of_runs = False
        self._told: set[str] = set()
        self.toasts_end_s = 0.0
        self._last_mode = "home"
        self._theme_problems = self._take_themes(settings)
        self.animation_level = "none" if os.environ.get("SSH_CONNECTION") else "basic"
        self.set_class(ascii_only(), "-ascii")

    @property
    def live_runs(self) -> tuple[RunSummary, ...]:
        """Runs that go on, the newest first."""
        return tuple(run for run in self.runs if run.is_live)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme our variables, so that Textual's own themes work as well."""
        return variable_defaults(self._registered_themes, self.theme)

    def get_key_display(self, binding: Binding) -> str:
        """Write keys as the footer and the help do."""
        if binding.key_display and ascii_only():
            return " ".join(plain(key) for key in binding.key_display.split())
        return binding.key_display or display(binding.key, ascii_only=ascii_only())

    def notify(self, message: str, **options: Any) -> None:
        """Show a toast; what it says may come from data and is never read as markup."""
        options["markup"] = False
        super().notify(printable_lines(message), **options)

    def on_notify(self, event: Notify) -> None:
        """Tell the screen of a toast over it."""
        from cellmap_tui.app.screens.base import BaseScreen

        self.toasts_end_s = max(self.toasts_end_s, time.monotonic() + event.notification.timeout)
        if self.screen_stack and isinstance(self.screen, BaseScreen):
            self.screen.toasted()

    def notify_once(self, message: str, **options: Any) -> None:
        """Show a toast, unless this session has shown it before."""
        if message not in self._told:
            self._told.add(message)
            self.notify(message, **options)

    def on_mount(self) -> None:
        """Open the first screen and begin to look at the runs."""
        self.open_mode(self._first_mode(), self.options)
        for problem in self._theme_problems:
            self.notify(problem, severity="warning", timeout=10)
        usable, problems = checked_overrides(self.settings.keys)
        self.set_keymap(usable)
        for problem in problems:
            self.notify(problem, severity="warning", timeout=10)
        self._look_at_runs()
        self.set_interval(POLL_S, self._look_at_runs)

    def watch_settings(self, settings: Settings) -> None:
        """Look at the runs of another root when it is changed."""
        if settings.runs_root != self._watch.runs_root:
            self._watch = RunsWatch(settings.runs_root)
            self.runs = ()

    def watch_runs(self, before: tuple[RunSummary, ...], runs: tuple[RunSummary, ...]) -> None:
        """Tell of runs that have ended since the last look, on whatever screen the user is."""
        went_on = {run.run_id for run in before if run.is_live}
        for run in runs:
            if run.run_id in went_on and not run.is_live:
                self.notify(end_words(run), severity="information" if run.state in CALM_ENDS else "error")

    def open_mode(self, mode: str, options: Mapping[str, object] | None = None) -> None:
        """Show a screen, with what is to be filled in there."""
        if mode != self.current_mode:
            self._last_mode = self.current_mode
        self.switch_mode(mode)
        if options:
            self._base_screen(mode).call_after_refresh(self._base_screen(mode).opened, options)

    def action_go(self, mode: str) -> None:
        """Go to a screen."""
        self.open_mode(mode)

    def go_back(self) -> None:
        """Go to the screen that was shown before."""
        last = self._last_mode
        self.open_mode(last if last in self.MODES and last != self.current_mode else "home")

    def action_help(self) -> None:
        """Show the keys of this screen."""
        from cellmap_tui.app.screens.help import HelpScreen, help_rows

        self.push_screen(HelpScreen(help_rows(self.screen)))

    def action_commands(self) -> None:
        """Open the command palette."""
        from cellmap_tui.app.palette import Palette

        self.push_screen(Palette(self.screen))

    def action_jump(self) -> None:
        """Put a letter on each pane."""
        from cellmap_tui.app.jump import JumpScreen

        self.push_screen(JumpScreen(self.screen))

    def keep_theme(self, name: str) -> None:
        """Use a theme and keep it in the settings."""
        from cellmap_tui.errors import CellmapError
        from cellmap_tui.services.settings import save_setting

        self.theme = name
        try:
            self.settings = save_setting(self.settings, "theme", name)
        except CellmapError as error:
            self.notify(str(error), severity="error", timeout=10)

    def on_cellmap_app_runs_seen(self, event: RunsSeen) -> None:
        """Take what the watch has seen, unless the root was changed meanwhile."""
        if event.watch is self._watch:
            self.runs = event.runs

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say once that the runs cannot be read; a runs root may well come back."""
        if event.state is WorkerState.ERROR and event.worker.error is not None and not self._told_of_runs:
            self._told_of_runs = True
            self.notify(str(event.worker.error), severity="error", timeout=10)

    def _look_at_runs(self) -> None:
        self._looks += 1
        if not self.screen_stack:  # about to end
            return
        if self._looks % SELDOM and getattr(self.screen, "is_left_alone", False):
            return
        if not any(worker.group == "runs" and worker.is_running for worker in self.workers):
            self._poll_runs(self._watch, self.runs)

    @work(thread=True, group="runs", exit_on_error=False)
    def _poll_runs(self, watch: RunsWatch, known: tuple[RunSummary, ...]) -> None:
        runs = watch.poll()
        if runs != known and not get_current_worker().is_cancelled:
            self.post_message(self.RunsSeen(watch, runs))

    def _first_mode(self) -> str:
        from cellmap_tui.app.local_data import anything_local

        if self.start_mode == "home" and not self.options and anything_local(self.settings.data_root):
            return "data"
        return self.start_mode if self.start_mode in self.MODES else "home"

    def _base_screen(self, mode: str) -> BaseScreen:
        return self._screen_stacks[mode][0]  # type: ignore[return-value]

    def _take_themes(self, settings: Settings) -> list[str]:
        found = load_themes([shipped_folder(), settings.config_dir / "themes"])
        for theme in found.themes:
            self.register_theme(theme)
        problems = list(found.problems)
        wanted = settings.theme
        if wanted not in self._registered_themes:
            problems.append(f"theme {printable(wanted)!r} is not known; using {DARK}")
            wanted = DARK if DARK in self._registered_themes else "textual-dark"
        self.theme = wanted
        return problems


def printable_lines(message: str) -> str:
    """Return a message of several lines made safe to show."""
    return "\n".join(printable(line) for line in message.split("\n"))


def last_lines(app: CellmapApp) -> list[str]:
    """Return what the shell is told when the user leaves: how trainings came out, and which runs go on."""
    lines = []
    if app.watched:
        from cellmap_tui.app.live_words import outcomes  # numpy: a training was looked at, so it is there

        lines += outcomes(app.watched.values(), app.runs)
    live = len(app.live_runs)
    if live:
        lines.append(f"{live} run{'s go' if live > 1 else ' goes'} on: cellmap-tui runs list")
    return lines


def run_app(settings: Settings, *, start: str = "home", options: Mapping[str, object] | None = None) -> int:
    """Run the app until the user leaves; say in a last line which runs go on.

    Returns
    -------
    int
        Exit code.
    """
    # If it was ignored on entry (nohup, some containers), the app would outlive its terminal.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if settings.images != "half":
        from cellmap_tui.app.widgets.protocol_image import load_protocols

        load_protocols()  # what stands in its way is told where slices are shown
    app = CellmapApp(settings, start=start, options=options)
    app.run()
    sys.stderr.write("".join(f"{line}\n" for line in last_lines(app)))
    return app.return_code or 0
