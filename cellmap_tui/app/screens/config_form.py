"""A form over a draft of a training configuration: filter, change, undo; reading it is a thread's work.

What is typed is kept on disk at every key, so that a lost connection loses nothing. What the draft is for,
saving and training, is the business of `screens.config`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from cellmap_tui.app.config_draft import ConfigDraft, DraftKeeper, read_draft
from cellmap_tui.app.config_reading import ConfigReader, Reading
from cellmap_tui.app.config_rows import HERE, OTHER_GROUP, FormRow
from cellmap_tui.app.config_words import form_columns, row_words, state_words, trouble_words
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.filtering import Filtering
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.app.widgets.value_line import ValueLine
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.services.train_model import TrainRequest

MOST_CHANGES = 100
"""Changes that can be taken back."""
SAVED_WORDS = "what you type is kept, w writes a file"


class ConfigTable(VirtualTable[FormRow]):
    """The keys; ``enter`` changes one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "select", "change", help="Change this key."),
    ]

    def __init__(self) -> None:
        super().__init__(
            form_columns(), row_key=lambda row: row.name, search_text=lambda row: row.search_text, markable=False
        )


class ConfigForm(SubScreen, Filtering):
    """The keys of a configuration with their values, where these come from, and what is wrong.

    Parameters
    ----------
    request
        What is filled in already; None: what was typed last.
    """

    MODE = "train"
    AUTO_FOCUS = "ConfigTable"
    CSS_PATH = "config.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"config.read": "#keys"}

    class Read(Message):
        """It is known what a draft comes to."""

        def __init__(self, reading: Reading) -> None:
            self.reading = reading
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, ConfigForm.Read)

    class Opened(Message):
        """It is known what was typed earlier."""

        def __init__(self, draft: ConfigDraft | None) -> None:
            self.draft = draft
            super().__init__()

    def __init__(self, request: TrainRequest | None = None) -> None:
        super().__init__()
        self.draft = ConfigDraft() if request is None else ConfigDraft.of_request(request)
        self.reading: Reading | None = None
        self._request = request
        self._past: list[ConfigDraft] = []
        self._only_set = False
        self._is_open = False
        self._line: tuple[str, str] | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the keys, and what there is to know about one."""
        with Pane(id="keys") as pane:
            pane.set_title("configuration", "…")
            yield FilterBar("key, part or word")
            yield ConfigTable()
        with Pane(id="about") as pane:
            pane.set_title("about")
            yield ValueLine()
            with VerticalScroll(id="words"):
                yield Static(markup=False, id="one")
        with Pane(id="troubles") as pane:
            pane.set_title("to put right")
            with VerticalScroll():
                yield Static(markup=False, id="all")

    def on_mount(self) -> None:
        """Find what was typed earlier, then show the form."""
        self._reader = ConfigReader(self.cellmap.settings)
        self._keeper = DraftKeeper(self.cellmap.settings.state_dir)
        self.query_one(ValueLine).display = False
        self.watch(self.filter_bar, "text", self._narrow, init=False)
        self._open()

    def on_unmount(self) -> None:
        """Keep the last keys."""
        if self._is_open and self._keeper.offer(self.draft):
            with suppress(CellmapError):  # it was told when the key was pressed
                self._keeper.write()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say once that what is typed cannot be kept."""
        error = event.worker.error
        if event.worker.group == "config.keep" and event.state is WorkerState.ERROR and error is not None:
            self.cellmap.notify_once(str(error), severity="warning", timeout=10)
        else:
            super().on_worker_state_changed(event)

    @property
    def table(self) -> ConfigTable:
        """The keys."""
        return self.query_one(ConfigTable)

    @property
    def line(self) -> ValueLine:
        """The line in which a value is typed."""
        return self.query_one(ValueLine)

    @property
    def is_typing(self) -> bool:
        """Whether a value is being typed."""
        return self._line is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "undo":
            return bool(self._past)
        if action == "problem":
            return self.reading is not None and bool(self.reading.wrong)
        if action in {"start", "save", "filter", "reload", "reset", "changed", "take_back"}:
            return self._line is None
        return super().check_action(action, parameters)

    # What was typed earlier

    @work(thread=True, exclusive=True, group="config.open", exit_on_error=False)
    def _open(self) -> None:
        self.post_message(self.Opened(read_draft(self.cellmap.settings.state_dir, self._request)))

    @on(Opened)
    def _begin(self, event: Opened) -> None:
        self._is_open = True
        if event.draft is not None:
            self.draft = event.draft
            if event.draft.edits or event.draft.typing:
                self.app.notify("what was typed here before is back; R takes all of it back", timeout=4)
        elif self._request is None and self.cellmap.split_path is not None:
            self.draft = self.draft.edited("datasplit_path", str(self.cellmap.split_path))
        self.look()

    # What it comes to

    def change(self, draft: ConfigDraft, *, can_undo: bool = True) -> None:
        """Take another draft: keep it on disk, and read what it comes to."""
        if draft == self.draft:
            return
        if can_undo:
            self._remember(replace(self.draft, typing=None))
        self.draft = draft
        if self._keeper.offer(draft):
            self._keep()
        self.look()
        self.refresh_bindings()

    def _remember(self, draft: ConfigDraft) -> None:
        if not self._past or self._past[-1] != draft:
            self._past = [*self._past[-MOST_CHANGES + 1 :], draft]
            self.refresh_bindings()

    @work(thread=True, group="config.keep", exit_on_error=False)
    def _keep(self) -> None:
        self._keeper.write()

    def look(self) -> None:
        """Read what the draft comes to."""
        self.query_one("#keys", Pane).clear_error()
        self._read(self.draft)

    @work(thread=True, exclusive=True, group="config.read", exit_on_error=False)
    def _read(self, draft: ConfigDraft) -> None:
        self.post_message(self.Read(self._reader.read(draft)))

    @on(Read)
    def _show(self, event: Read) -> None:
        reading = event.reading
        if reading.draft != self.draft:
            return
        is_first = self.reading is None
        self.reading = reading
        self._show_rows()
        name = "the defaults" if self.draft.config is None else str(self.draft.config)
        self.query_one("#keys", Pane).set_title(f"configuration: {name}", SAVED_WORDS)
        self.query_one("#all", Static).update(trouble_words(reading))
        self._show_row()
        self.refresh_bindings()
        if is_first and self.draft.typing is not None:
            self.table.go_to(self.draft.typing[0])
            name, typed = self.draft.typing
            self._open_line(name, dict(self.draft.edits).get(name, ""), typed)
        self.shown(reading)

    def shown(self, reading: Reading) -> None:
        """Know that another reading is on screen."""

    def _show_rows(self) -> None:
        if self.reading is None:
            return
        rows = self.reading.rows
        shown = tuple(row for row in rows if row.is_set or row.problem) if self._only_set else rows
        if self.filter_bar.text and self._line is None:
            self.table.set_rows(shown)  # what is found may have changed as well
        else:
            self.table.update_rows(shown)
        self._count()

    @on(RowHighlighted, "ConfigTable")
    def _show_row(self) -> None:
        row, is_open = self._row_in_hand(), self.is_typing
        about = self.query_one("#about", Pane)
        about.set_title(
            "about" if row is None else f"{row.name}  ({row.group})", "enter keeps  esc as it was" if is_open else ""
        )
        self.query_one("#one", Static).update(row_words(row, self.reading, is_typed=is_open))

    def _row_in_hand(self) -> FormRow | None:
        if self._line is None or self.reading is None:
            return self.table.highlighted
        return next((row for row in self.reading.rows if row.name == self._line[0]), None)

    # Filter

    def _narrow(self, text: str) -> None:
        self.table.search(text)
        self._count()

    def _count(self) -> None:
        shown, rows = len(self.table.index), self.table.index.rows
        keys = f"{shown} of {len(rows)} keys" if shown != len(rows) else f"{shown} keys"
        state = "" if self.reading is None else state_words(self.reading)
        self.filter_bar.show_count(f"{state}   {keys}" if state else keys)

    def action_changed(self) -> None:
        """List only what somebody has set, or all keys."""
        self._only_set = not self._only_set
        self._show_rows()

    def action_problem(self) -> None:
        """Go to the next key that is wrong."""
        wrong = [] if self.reading is None else [row.name for row in self.reading.wrong]
        if not wrong:
            return
        if self.filter_bar.text:
            self.filter_bar.text = ""
        here = self.table.highlighted
        at = wrong.index(here.name) + 1 if here is not None and here.name in wrong else 0
        self.table.go_to(wrong[at % len(wrong)])
        self.table.focus()

    # Change a key

    @on(RowSelected, "ConfigTable")
    def _begin_change(self, event: RowSelected) -> None:
        row: FormRow = event.row
        if row.group == OTHER_GROUP:
            self.app.notify(f"{row.problem}; it stands in the file itself", severity="warning")
        elif row.choices:
            self._choose(row)
        else:
            self._open_line(row.name, row.value if row.can_type else "")

    def _choose(self, row: FormRow) -> None:
        from cellmap_tui.app.widgets.pick import Pick

        def take(answer: str | None) -> None:
            if answer is not None and answer != row.value:
                self.change(self.draft.edited(row.name, answer))

        self.app.push_screen(Pick(row.name, row.choices, row.value), take)

    def _open_line(self, name: str, start: str, text: str | None = None) -> None:
        """Open the line of a key; `start` is its value, `text` what was typed already."""
        self._line = (name, start)
        line, typed = self.line, start if text is None else text
        line.display = True
        with line.prevent(Input.Changed):
            line.value = typed
        line.cursor_position = len(typed)
        line.focus()
        self._show_row()
        self.refresh_bindings()

    @on(Input.Changed, "ValueLine")
    def _follow(self, event: Input.Changed) -> None:
        if self._line is not None:
            name, start = self._line
            typing = None if event.value == start else (name, event.value)
            self.change(replace(self.draft, typing=typing), can_undo=False)

    @on(ValueLine.Kept)
    def _keep_line(self, event: ValueLine.Kept) -> None:
        if self._line is not None:
            name, start = self._close_line()
            settled = replace(self.draft, typing=None)
            self.change(settled if event.value == start else settled.edited(name, event.value))

    @on(ValueLine.Left)
    def _drop_line(self) -> None:
        if self._line is not None:
            self._close_line()
            typing, settled = self.draft.typing, replace(self.draft, typing=None)
            self.change(settled, can_undo=False)
            if typing is not None:
                # Escape may be what a slow line made of another key: undo brings back what was typed.
                self._remember(settled.edited(*typing))

    def _close_line(self) -> tuple[str, str]:
        line, self._line = self._line, None
        assert line is not None
        self.line.display = False
        self.table.focus()
        return line

    def action_take_back(self) -> None:
        """Take the change of the key under the cursor back."""
        row = self.table.highlighted
        if row is not None and row.origin == HERE:
            self.change(self.draft.edited(row.name, ""))

    def action_undo(self) -> None:
        """Take the last change back."""
        if self._past:
            self.change(self._past.pop(), can_undo=False)

    def action_reset(self) -> None:
        """Take every change back."""
        if self.draft.edits:
            self.change(replace(self.draft, edits=()))
            self.app.notify("every change is taken back; u brings them back", timeout=3)

    def action_reload(self) -> None:
        """Read the file again."""
        self._reader = ConfigReader(self.cellmap.settings)
        self.look()

    @on(Pane.RetryAsked, "#keys")
    def _retry(self) -> None:
        self.action_reload()
