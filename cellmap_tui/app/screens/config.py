"""The form of a training configuration: fill it in, allow its Python, save it as TOML, look, and train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.message import Message

from cellmap_tui.app.config_reading import Reading, save_draft
from cellmap_tui.app.config_words import save_question
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.config_form import ConfigForm
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from textual.binding import BindingType

    from cellmap_tui.app.config_draft import ConfigDraft
    from cellmap_tui.app.screens.preflight import Outcome
    from cellmap_tui.learning.config_python import PythonFacts
    from cellmap_tui.services.train_model import TrainRequest

FILE = "config.toml"


class ConfigScreen(ConfigForm):
    """A configuration to fill in; answers with the id of the run that was started, or None.

    Parameters
    ----------
    request
        What is filled in already; None: what was typed last.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "start", "check and train", help="Look at memory, disk and time; then train, as a job."),
        bind("do.filter", "filter"),
        bind("do.undo", "undo"),
        bind("do.save", "save", help="Write the configuration as TOML; asks where."),
        bind("config.problem", "problem"),
        bind("do.stop", "take_back", "take back", show=False, help="Take the change of this key back."),
        bind("config.changed", "changed", show=False),
        bind("do.reload", "reload", show=False, help="Read the file again."),
        bind("config.reset", "reset", show=False),
    ]

    class Saved(Message):
        """The configuration is on disk."""

        def __init__(self, draft: ConfigDraft, path: Path) -> None:
            self.draft = draft
            self.path = path
            super().__init__()

    class Allowed(Message):
        """A Python file may run."""

    def __init__(self, request: TrainRequest | None = None) -> None:
        super().__init__(request)
        self._asked_of: set[str] = set()

    # Leave to run Python

    def shown(self, reading: Reading) -> None:
        """Ask whether Python may run that the draft needs; once for each content, and not while a path is typed."""
        if reading.asks is not None and not self.is_typing and reading.asks.sha256 not in self._asked_of:
            self._asked_of.add(reading.asks.sha256)
            self._ask_trust(reading.asks)

    def action_reload(self) -> None:
        """Read the file again, and ask again whether it may run."""
        self._asked_of.clear()
        super().action_reload()

    def _ask_trust(self, facts: PythonFacts) -> None:
        from cellmap_tui.app.screens.trust import TrustQuestion

        def take(answer: bool | None) -> None:
            if answer:
                self._allow(facts)

        self.app.push_screen(TrustQuestion(facts), take)

    @work(thread=True, exclusive=True, group="config.trust", exit_on_error=False)
    def _allow(self, facts: PythonFacts) -> None:
        from cellmap_tui.services.trust import remember_trust

        remember_trust(self.cellmap.settings.state_dir, facts)
        self.post_message(self.Allowed())

    @on(Allowed)
    def _read_allowed(self) -> None:
        self.look()

    # Save

    def action_save(self) -> None:
        """Ask where, then write the configuration."""
        from cellmap_tui.app.widgets.ask_text import AskText

        if not self._is_right("cannot be written"):
            return
        config = self.draft.config
        path = config if config is not None and config.suffix == ".toml" else Path(FILE).absolute()
        question = "Written as TOML: what differs from the defaults. Train with: cellmap-tui train FILE"
        self.app.push_screen(AskText("Save the configuration to", question, FILE, value=str(path)), self._save_to)

    def _save_to(self, answer: str | None) -> None:
        from cellmap_tui.app.widgets.confirm import Confirm

        if not answer:
            return
        path = Path(answer).expanduser().absolute()

        def answered(yes: bool | None) -> None:
            if yes:
                self._write(path)

        if path.suffix != ".toml":
            self.app.notify(f"{path.name} does not end in .toml: name a file such as {FILE}", severity="error")
        elif path.exists():
            words = save_question(path, is_own=path == self.draft.config)
            question = Confirm(*words, yes="replace it", no="leave it")
            self.app.push_screen(question, answered)
        else:
            self._write(path)

    @work(thread=True, exclusive=True, group="config.write", exit_on_error=False)
    def _write(self, path: Path) -> None:
        draft = self.draft
        save_draft(self._reader.read(draft), path)
        self.post_message(self.Saved(draft, path))

    @on(Saved)
    def _tell_saved(self, event: Saved) -> None:
        self.app.notify(f"{event.path} written", title="configuration")
        if event.draft == self.draft:
            self.change(event.draft.saved_as(event.path))

    # Train

    def action_start(self) -> None:
        """Look at what the training takes, then start it."""
        from cellmap_tui.app.screens.preflight import PreflightScreen

        if not self._is_right("cannot be trained"):
            return
        try:
            request = self.draft.request(self.cellmap.settings)
        except CellmapError as error:
            self.tell_error(error)
            return
        self.app.push_screen(PreflightScreen(request), self._return)

    def _return(self, outcome: Outcome | None) -> None:
        """Go to the key that the look names, or leave with the run that was started."""
        if outcome is None:
            return
        if outcome.run_id:
            self.leave(outcome.run_id)
            return
        self.query_one(FilterBar).text = ""
        if self._only_set:
            self.action_changed()
        self.table.go_to(outcome.key)
        self.table.focus()

    def _is_right(self, cannot: str) -> bool:
        reading = self.reading
        if reading is None or reading.draft != self.draft:
            return False
        if not reading.wrong:
            return True
        self.action_problem()
        more = f" and {len(reading.wrong) - 1} more" if len(reading.wrong) > 1 else ""
        self.app.notify(f"It {cannot} yet: {reading.wrong[0].problem}{more}", severity="error")
        return False
