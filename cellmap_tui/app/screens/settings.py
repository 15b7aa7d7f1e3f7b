"""The settings: values, where they came from, and how to change them; the keys beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.content import Content
from textual.widgets import Static

from cellmap_tui import text
from cellmap_tui.app.keys import KEYS, Key, bind, display
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.setting_words import SettingRow, how_to_set, setting_rows
from cellmap_tui.app.signs import ascii_only
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.app.widgets.edit_setting import ChooseSetting, EditSetting
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted, RowSelected
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType


class SettingsScreen(BaseScreen):
    """All settings and all keys."""

    MODE = "settings"
    AUTO_FOCUS = "#settings VirtualTable"
    CSS_PATH = "settings.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [bind("do.doctor", "go_doctor")]

    def compose_body(self) -> ComposeResult:
        """Yield settings and keys."""
        with Pane(id="settings") as pane:
            pane.set_title("settings", "⏎ change" if not ascii_only() else "enter change")
            yield VirtualTable(_setting_columns(), row_key=lambda row: row.name, markable=False)
            yield Static(id="about", markup=False)
        with Pane(id="keys") as pane:
            pane.set_title("keys")
            yield VirtualTable(
                _key_columns(self.cellmap.settings.keys),
                row_key=lambda key: key.id,
                search_text=lambda key: f"{key.id} {key.help}",
                markable=False,
            )

    def on_mount(self) -> None:
        """Follow the settings."""
        self.query_one("#keys VirtualTable", VirtualTable).set_rows(list(KEYS.values()))
        self.watch(self.app, "settings", self._show, init=False)
        self._show()

    def action_go_doctor(self) -> None:
        """Check this machine."""
        self.cellmap.action_go("doctor")

    def _show(self) -> None:
        self.query_one("#settings VirtualTable", VirtualTable).set_rows(setting_rows(self.cellmap.settings))
        file = self.cellmap.settings.settings_file
        changed = len(self.cellmap.settings.keys)
        note = f"{changed} changed" if changed else "change them under [keys] in the settings file"
        self.query_one("#keys", Pane).set_title("keys", note)
        self.query_one("#settings", Pane).set_title(f"settings  {text.cut_middle(str(file), 60)}", "enter changes")

    @on(RowHighlighted, "#settings VirtualTable")
    def _tell(self, event: RowHighlighted) -> None:
        if isinstance(event.row, SettingRow):
            also = f"Also: {how_to_set(event.row.name)}"
            self.query_one("#about", Static).update(Content(f"{event.row.help}\n{also}"))

    @on(RowSelected, "#settings VirtualTable")
    def _change(self, event: RowSelected) -> None:
        row: SettingRow = event.row

        def keep(value: str | None) -> None:
            if value is not None and value != row.value:
                self._keep(row.name, value)

        self.app.push_screen(self._window(row), keep)

    def _window(self, row: SettingRow) -> EditSetting | ChooseSetting:
        from cellmap_tui.services.settings import IMAGE_MODES

        if row.name == "theme":
            names = sorted(self.app.available_themes, key=lambda name: (not name.startswith("cellmap"), name))
            return ChooseSetting(row, names, lambda name: setattr(self.app, "theme", name))
        if row.name == "images":
            return ChooseSetting(row, IMAGE_MODES)
        return EditSetting(row)

    def _keep(self, name: str, value: str) -> None:
        from cellmap_tui.services.settings import save_setting

        try:
            self.cellmap.settings = save_setting(self.cellmap.settings, name, value)
        except CellmapError as error:
            self.tell_error(error)
            if name == "theme":
                self.app.theme = self.cellmap.settings.theme


def _setting_columns() -> list[Column[SettingRow]]:
    return [
        Column("name", "setting", 12, lambda row: row.name),
        Column("value", "value", 24, lambda row: row.value or "-", max_width=90, look=_value_look),
        Column("origin", "from", 11, lambda row: row.origin, look=lambda row: "dim", priority=1),
    ]


def _value_look(row: SettingRow) -> str:
    return "" if row.origin == "default" else "strong"


def _key_columns(overrides: Mapping[str, str]) -> list[Column[Key]]:
    def shown(key: Key) -> str:
        names = overrides.get(key.id, key.keys).split(",")
        return " ".join(display(name.strip(), ascii_only=ascii_only()) for name in names)

    return [
        Column("keys", "keys", 10, shown, look=lambda key: "accent" if key.id in overrides else ""),
        Column("id", "name", 16, lambda key: key.id, sort_key=lambda key: key.id, look=lambda key: "dim"),
        Column("help", "what it does", 24, lambda key: key.help, max_width=90, priority=1),
    ]
