"""One crop on a page of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on

from cellmap_tui.app.crop_actions import VerifyStarted, ask_verify, copy_place, toggle_excluded
from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.slice import view_crop
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.widgets.crop_details import CropDetails
from cellmap_tui.app.widgets.pane import Pane

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.browsing import Browsed, CropItem


class CropScreen(SubScreen):
    """Where a crop lies, its EM levels, and what the array of each class holds.

    Parameters
    ----------
    browsed
        The catalog with what is on disk.
    item
        The crop.
    class_name
        Class that the cursor begins on.
    """

    MODE = "data"
    AUTO_FOCUS = "VirtualTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.view", "view", help="View slices with the labels of the class under the cursor."),
        bind(
            "do.copy",
            "copy('path')",
            "copy path",
            help="Copy the crop's folder, or its S3 address while it is remote.",
        ),
        bind("data.fetch", "fetch", help="Plan a fetch of this crop."),
        bind("crop.verify", "verify(False)"),
        bind("crop.repair", "verify(True)"),
        bind("data.copy_address", "copy('address')", show=False),
        bind("data.exclude", "exclude", "exclude"),
    ]

    def __init__(self, browsed: Browsed, item: CropItem, class_name: str | None = None) -> None:
        super().__init__()
        self._class_name = class_name
        self._browsed = browsed
        self._item = item

    def compose_body(self) -> ComposeResult:
        """Yield the page."""
        with Pane() as pane:
            pane.set_title(self._item.crop.ref, "esc back")
            yield CropDetails()

    def on_mount(self) -> None:
        """Look the crop up."""
        self.query_one(CropDetails).show(self._browsed, self._item, self._class_name)

    def on_virtual_table_row_selected(self) -> None:
        """Look at the class under the cursor."""
        self.action_view()

    def action_view(self) -> None:
        """View slices with the labels of the class under the cursor."""
        row = self.query_one(CropDetails).table.highlighted
        view_crop(self, self._browsed, self._item, only_class=row.name if row is not None else None)

    def action_copy(self, what: str) -> None:
        """Copy where the crop lies."""
        copy_place(self, self._browsed, self._item, what)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done with this crop."""
        published = self._item.crop.source in {"challenge", "manifest"}
        if action == "fetch":
            return published
        if action == "verify":
            return published and self._item.share > 0
        return super().check_action(action, parameters)

    def action_fetch(self) -> None:
        """Plan a fetch of this crop."""
        self.leave(None)
        self.cellmap.open_mode("fetch", {"crops": (self._item.crop.ref,)})

    def action_verify(self, repair: bool) -> None:
        """Ask, then check the crop against the bucket as a job, and repair it where that is wanted."""
        ask_verify(self, self._item.crop.ref, repair=repair)

    @on(VerifyStarted)
    def _watch_check(self, event: VerifyStarted) -> None:
        self.leave(None)
        self.cellmap.open_mode("runs", {"run": event.run_id})

    def action_exclude(self) -> None:
        """Leave the crop out, with a reason, or take it back; the list shows it."""
        toggle_excluded(self, self._item, self.action_close)
