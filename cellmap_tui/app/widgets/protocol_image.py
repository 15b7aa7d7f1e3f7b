"""Slices as pictures of the terminal, through its Kitty or Sixel graphics: drawn by textual-image, by choice only.

The library asks the terminal what it can do as soon as it is imported, and waits. An answer that comes late is
typed into the app. So it is imported before the app starts, and while it believes that there is no terminal:
which protocol is used is the user's choice, and the size of a cell is what the kernel knows.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.app.widgets.slice_state import Letter

PACKAGE = "textual_image"
WIDGETS = "textual_image.widget"
CLASSES = {"kitty": "TGPImage", "sixel": "SixelImage"}
"""Widgets of the library that use one protocol and do not choose."""
CELL_PX = (10, 20)
"""Width and height of a cell where nobody knows: those of the VT340, from which Sixel comes."""
CELL_VARIABLES = ("TEXTUAL_CELL_WIDTH", "TEXTUAL_CELL_HEIGHT")
"""Where the library looks for the size of a cell when it cannot ask."""
MOST_CELLS = 297
"""Kitty's placeholders number rows and columns with this many diacritics."""
OUT_OF_SIGHT = 10_000
"""A column that no terminal has."""
ARM_PX = 9
"""Length of an arm of the cross at the point."""


def load_protocols() -> bool:
    """Import the library; to be called before the app starts.

    Returns
    -------
    bool
        Whether it is there.
    """
    try:
        with _unasked_terminal():
            import_module(WIDGETS)
    except ImportError:
        return False
    return True


def protocol_problem(images: str, color_system: str | None) -> str:
    """Return why slices are drawn as half cells although a protocol is wished, and the remedy; or nothing.

    Parameters
    ----------
    images
        The setting: ``half``, ``kitty`` or ``sixel``.
    color_system
        Rich's name for the colours that the terminal is believed to have.
    """
    if images not in CLASSES:
        return ""
    if find_spec(PACKAGE) is None:
        remedy = "is not installed: pip install 'cellmap-tui[images]'"
        return f"Slices are drawn as half cells: {images} graphics need textual-image, which {remedy}"
    if WIDGETS not in sys.modules:
        return f"Slices are drawn as half cells: {images} graphics begin when the app is started again."
    if images == "kitty" and color_system not in {"truecolor", None}:
        remedy = "if the terminal has it, say so before the app starts: export COLORTERM=truecolor"
        return f"Slices are drawn as half cells: kitty graphics need true colour; {remedy}"
    return _tmux_problem() if images == "kitty" and os.environ.get("TMUX") else ""


def _tmux_problem() -> str:
    from importlib.metadata import version

    from cellmap_tui.services.doctor_session import NO_TMUX, passes_tmux

    return "" if passes_tmux(version("textual-image")) else f"Slices are drawn as half cells: {NO_TMUX}"


class ProtocolImage(Widget):
    """A picture above the half cells of its parent; it takes no room while it is hidden.

    Parameters
    ----------
    images
        ``kitty`` or ``sixel``; the library must be loaded.
    """

    DEFAULT_CSS = """
    ProtocolImage {
        display: none;
        overflow: hidden;

        &.-shown { display: block; }
        & > * { width: 100%; height: 100%; }
    }
    """

    def __init__(self, images: str) -> None:
        super().__init__()
        self._library: Any = sys.modules[WIDGETS]
        self._make_image: Any = getattr(self._library, CLASSES[images])
        self._image: Any = None

    @property
    def cell_px(self) -> tuple[int, int]:
        """Width and height of a cell in pixels."""
        size = getattr(self._library, "get_cell_size", None)
        width, height = size() if size else CELL_PX
        return width, height

    def most_px(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the width and height in pixels of the largest picture that fits into some cells."""
        width, height = self.cell_px
        return min(columns, MOST_CELLS) * width, min(rows, MOST_CELLS) * height

    async def show(self, picture: Picture, left: int) -> None:
        """Show a picture, `left` cells from the parent's left edge."""
        self.hide()
        self.forget()
        # A widget for each picture: one that is given another picture first paints the last one once more.
        await self.remove_children()
        self.styles.width, self.styles.height = picture.columns, picture.rows
        # What is new on the screen is painted twice, so it is new where nobody looks.
        self.styles.offset = (OUT_OF_SIGHT, 0)
        self._image = self._make_image(picture.image)
        await self.mount(self._image)
        self.add_class("-shown")
        self.call_after_refresh(self.call_after_refresh, self._move_into_sight, left)

    def _move_into_sight(self, left: int) -> None:
        self.styles.offset = (left, 0)
        if isinstance(self.parent, Widget):  # its half cells are painted around the picture only
            self.parent.refresh()

    def hide(self) -> None:
        """Leave the place to the half cells below, which wipe the picture out."""
        self.remove_class("-shown")

    def forget(self) -> None:
        """Have the terminal forget the picture; Kitty keeps those that nobody takes back."""
        if self._image is not None:
            self._image.image = None
            self._image = None

    def on_unmount(self) -> None:
        """Leave nothing behind."""
        self.forget()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of whole cells."""

    image: Any
    """A Pillow image of `columns` × `rows` cells."""
    columns: int
    """Width in cells."""
    rows: int
    """Height in cells."""

    @classmethod
    def of(
        cls,
        rgb: NDArray[np.uint8],
        cell_px: tuple[int, int],
        ground: tuple[int, int, int],
        mark: Letter | None = None,
    ) -> Picture:
        """Return a picture, filled up to whole cells so that the library need not scale it.

        Parameters
        ----------
        rgb
            uint8 of shape (height, width, 3).
        cell_px
            Width and height of a cell.
        ground
            Colour of what is filled up.
        mark
            Pixel where a cross is drawn.
        """
        from PIL import Image

        height, width, _ = rgb.shape
        columns, rows = -(-width // cell_px[0]), -(-height // cell_px[1])
        image = Image.new("RGB", (columns * cell_px[0], rows * cell_px[1]), ground)
        image.paste(Image.fromarray(with_cross(rgb, mark) if mark else rgb), (0, 0))
        return cls(image, columns, rows)

    def half_cells(self) -> NDArray[np.uint8]:
        """Return the same picture with two pixels a cell, shape (2 * rows, columns, 3): it stands below dialogs."""
        import numpy as np
        from PIL import Image

        return np.asarray(self.image.resize((self.columns, 2 * self.rows), Image.Resampling.BOX))


def with_cross(rgb: NDArray[np.uint8], mark: Letter) -> NDArray[np.uint8]:
    """Return the picture with a cross at a pixel, white on black; the pixel may lie outside."""
    marked = rgb.copy()
    for wide, value in ((1, 0), (0, 255)):
        marked[_span(mark.row, ARM_PX + wide), _span(mark.column, wide)] = value
        marked[_span(mark.row, wide), _span(mark.column, ARM_PX + wide)] = value
    return marked


def _span(middle: int, reach: int) -> slice:
    return slice(max(0, middle - reach), max(0, middle + reach + 1))


@contextmanager
def _unasked_terminal() -> Iterator[None]:
    """Hide the terminal from the library, and tell it the size of a cell in place of an answer."""
    told = dict(zip(CELL_VARIABLES, map(str, _kernel_cell_px()), strict=False))
    told = {name: value for name, value in told.items() if name not in os.environ}
    stdout = sys.__stdout__
    os.environ.update(told)
    sys.__stdout__ = io.StringIO()  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
        for name in told:
            del os.environ[name]


def _kernel_cell_px() -> tuple[int, int]:
    try:
        answer = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (OSError, ValueError):  # no terminal
        return CELL_PX
    rows, columns, width, height = struct.unpack("HHHH", answer)
    return (width // columns, height // rows) if rows and columns and width >= columns and height >= rows else CELL_PX
