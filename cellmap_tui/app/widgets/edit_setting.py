"""Windows that change one setting: a line that is checked while it is typed, or a list to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.setting_words import check_value, how_to_set
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.errors import CellmapError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

    from cellmap_tui.app.setting_words import SettingRow


class EditSetting(BaseModal[str]):
    """A line with the value; what is wrong with it is said under it, and ``enter`` keeps only what is right."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    EditSetting Input { background: $panel; margin: 1 0 0 0; }
    EditSetting .help, EditSetting .verdict { height: auto; color: $text-muted; }
    EditSetting .verdict { min-height: 2; }
    EditSetting.-bad .verdict { color: $text-error; }
    """

    def __init__(self, row: SettingRow) -> None:
        super().__init__()
        self._row = row

    def compose(self) -> ComposeResult:
        """Yield help, line and verdict."""
        with Vertical(classes="window") as window:
            window.border_title = Content(self._row.name)
            window.border_subtitle = "enter keeps   esc leaves as it was"
            yield Static(Content(self._row.help), classes="help", markup=False)
            line = Input(self._row.value, select_on_focus=False, compact=True)
            line.cursor_blink = False
            yield line
            yield Static(markup=False, classes="verdict")

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        problem = self._problem(event.value)
        self.set_class(bool(problem), "-bad")
        self.query_one(".verdict", Static).update(Content(problem or _right(self._row)))

    @on(Input.Submitted)
    def _keep(self, event: Input.Submitted) -> None:
        if not self._problem(event.value):
            self.dismiss(event.value.strip())

    def _problem(self, value: str) -> str:
        try:
            check_value(self.cellmap.settings, self._row.name, value.strip())
        except CellmapError as error:
            message, remedy = describe(error)
            return f"{sign('error')} {message}; {remedy}" if remedy else f"{sign('error')} {message}"
        return ""


def _right(row: SettingRow) -> str:
    if row.origin in {"environment", "flag"}:
        return f"Set by {row.origin} now ({how_to_set(row.name)}), which goes before the file at the next start."
    return f"{sign('ok')} can be kept"


class ChooseSetting(BaseModal[str]):
    """A list of values; moving shows the effect, ``esc`` takes it back.

    Parameters
    ----------
    row
        The setting.
    values
        What can be chosen.
    preview
        Shows a value without keeping it.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    ChooseSetting .window { width: 50; }
    ChooseSetting Choices { height: auto; max-height: 16; }
    """

    def __init__(self, row: SettingRow, values: Sequence[str], preview: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._row = row
        self._values = tuple(values)
        self._preview = preview

    def compose(self) -> ComposeResult:
        """Yield the values."""
        with Vertical(classes="window") as window:
            window.border_title = Content(self._row.name)
            window.border_subtitle = "enter keeps   esc leaves as it was"
            yield Choices(*(Option(Content(printable(value))) for value in self._values))

    def on_mount(self) -> None:
        """Begin at the value that is in use."""
        if self._row.value in self._values:
            self.query_one(Choices).highlighted = self._values.index(self._row.value)

    def action_close(self) -> None:
        """Take the preview back."""
        if self._preview is not None:
            self._preview(self._row.value)
        self.dismiss(None)

    @on(OptionList.OptionHighlighted)
    def _show(self, event: OptionList.OptionHighlighted) -> None:
        if self._preview is not None:
            self._preview(self._values[event.option_index])

    @on(OptionList.OptionSelected)
    def _keep(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._values[event.option_index])
