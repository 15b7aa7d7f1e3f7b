"""Slice and details of the crop in hand, beside the table of crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from cellmap_tui.app.widgets.crop_details import CropDetails
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.slice_view import SliceView

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cellmap_tui.app.browsing import Browsed, CropItem

REMOTE = "Not on this disk. On the home screen (0) you can make demo data or see how to import your own."
GONE = "Its files are gone from the data root; import it again."


class CropPanes(Vertical):
    """Two panes that follow the cursor of a table of crops."""

    def compose(self) -> ComposeResult:
        """Yield the slice over the details."""
        with Pane(id="slice") as pane:
            pane.set_title("slice", "[ ] step  { } ×10  o overlay")
            yield SliceView(message="")
        with Pane(id="details") as pane:
            pane.set_title("details")
            yield CropDetails()

    @property
    def slice_view(self) -> SliceView:
        """The slice."""
        return self.query_one(SliceView)

    def show(self, browsed: Browsed, item: CropItem | None) -> None:
        """Show a crop."""
        self.query_one(CropDetails).show(browsed, item)
        title = f"{item.crop.ref}" if item is not None else "details"
        self.query_one("#details", Pane).set_title(title)
        view = self.slice_view
        if item is None or browsed.catalog.data_root is None:
            view.clear("")
        elif item.share <= 0:
            view.clear(REMOTE if item.crop.source == "challenge" else GONE)
        else:
            from cellmap_tui.app.crop_slices import CropSlices

            view.show(CropSlices(browsed.catalog.data_root, item.crop, browsed.catalog))
