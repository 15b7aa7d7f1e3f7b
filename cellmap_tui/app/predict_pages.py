"""What opens from the predict screen: blocks of a volume, slices, the recipe editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from cellmap_tui.app.predict_start import PROCESS
from cellmap_tui.app.trusting import AskTrust
from cellmap_tui.app.widgets.predict_live_view import PredictLiveView

if TYPE_CHECKING:
    from pathlib import Path

    from textual.content import Content

    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.app.widgets.slice_state import Kind


class PredictPages(AskTrust):
    """A screen with crops that are predicted; a subclass says which one is meant."""

    class SlicesFound(Message):
        """Slices can be looked at."""

        def __init__(self, source: CropSlices, kind: Kind) -> None:
            self.source = source
            self.kind = kind
            super().__init__()

    def row_in_hand(self) -> tuple[str, Path] | None:
        """Return name and folder of what is under the cursor."""
        raise NotImplementedError

    @on(PredictLiveView.VolumeOpened)
    def _open_volume(self, event: PredictLiveView.VolumeOpened) -> None:
        from cellmap_tui.app.predict_words import volume_page
        from cellmap_tui.app.screens.predict_page import PredictPage

        key, view = event.row.key, self.query_one(PredictLiveView)

        def words(width: int) -> Content:
            return volume_page(next((row for row in view.rows if row.key == key), event.row), width)

        self.app.push_screen(PredictPage(f"{event.row.ref} {event.row.label}".rstrip(), words))

    def action_process(self) -> None:
        """Open the page that turns predictions into labels."""
        self.open_process(None)

    def open_process(self, request: object) -> None:
        """Open the recipe editor, perhaps with what a command line asked."""
        from cellmap_tui.app.screens.process import ProcessScreen

        self.app.push_screen(ProcessScreen(request))

    def action_view(self) -> None:
        """View slices of the crop under the cursor."""
        if (row := self.row_in_hand()) is not None:
            run = self.chosen_run()
            is_labels = run is not None and run.command == PROCESS
            self._find_slices(*row, "processed" if is_labels else "predictions")

    @work(thread=True, exclusive=True, group="predict.slices", exit_on_error=False)
    def _find_slices(self, ref: str, folder: Path, kind: Kind) -> None:
        from cellmap_tui.app.predict_slices import slices_of

        source = slices_of(self.cellmap.settings, ref, {kind: str(folder)})
        if not get_current_worker().is_cancelled:
            self.post_message(self.SlicesFound(source, kind))

    @on(SlicesFound)
    def _show_slices(self, event: SlicesFound) -> None:
        from cellmap_tui.app.screens.slice import open_slices

        open_slices(self, event.source, kind=event.kind)
