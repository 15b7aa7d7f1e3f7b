"""Which of several crops to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList

from cellmap_tui.app.screens.base import BaseModal
from cellmap_tui.app.widgets.choices import Choices
from cellmap_tui.challenge.crops import Crop  # noqa: TC001 - Textual reads the annotation
from cellmap_tui.text import printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class ChooseCrop(BaseModal["Crop"]):
    """Choose a crop.

    Parameters
    ----------
    crops
        What there is to choose from.
    """

    AUTO_FOCUS = "Choices"
    DEFAULT_CSS = """
    ChooseCrop Choices { height: auto; max-height: 18; margin: 1 0; }
    """

    def __init__(self, crops: Sequence[Crop]) -> None:
        super().__init__()
        self._crops = tuple(crops)

    def compose(self) -> ComposeResult:
        """Yield the crops."""
        with Vertical(classes="window") as window:
            window.border_title = "slices of which crop?"
            window.border_subtitle = "enter chooses   esc leaves as it was"
            yield Choices(*(Content(_line(crop)) for crop in self._crops))

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._crops[event.option_index])


def _line(crop: Crop) -> str:
    return printable(
        f"{crop.ref:<32} {crop.split:<5} {voxel(crop.grid.voxel_size_nm):>9} nm  {triple(crop.grid.shape)}"
    )
