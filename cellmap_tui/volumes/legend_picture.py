"""A picture with its legend below: swatches and names, on dark ground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellmap_tui.volumes.colours import RGB

GROUND: RGB = (16, 18, 24)
INK: RGB = (235, 235, 235)
LINE_PX = 20
TEXT_PX = 13
_SWATCH_PX = 14
_GAP_PX = 14


def with_legend(
    rgb: NDArray[np.uint8], entries: Sequence[tuple[str, RGB | None]], lines: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Return a picture ``[h, w, 3]`` with rows of names below it, as wide as before.

    Parameters
    ----------
    rgb
        The picture.
    entries
        Names and their colours; None: each object has its own, shown as a striped swatch.
    lines
        Lines of text below the names.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TEXT_PX)
    width = rgb.shape[1]
    rows = _rows(entries, width, font)
    below = Image.new("RGB", (width, LINE_PX * (len(rows) + len(lines)) + 6), GROUND)
    draw = ImageDraw.Draw(below)
    top = 4
    for row in rows:
        for left, name, colour in row:
            _swatch(draw, left, top, colour)
            draw.text((left + _SWATCH_PX + 5, top), name, INK, font)
        top += LINE_PX
    for line in lines:
        draw.text((4, top), line, INK, font)
        top += LINE_PX
    return np.concatenate([rgb, np.asarray(below)])


def side_by_side(pictures: Sequence[NDArray[np.uint8]], gap_px: int = 4) -> NDArray[np.uint8]:
    """Return pictures of one height beside each other."""
    height = max(len(picture) for picture in pictures)
    parts: list[NDArray[Any]] = []
    for picture in pictures:
        padded = np.full((height, picture.shape[1] + gap_px, 3), GROUND, np.uint8)
        padded[: len(picture), : picture.shape[1]] = picture
        parts.append(padded)
    joined: NDArray[np.uint8] = np.concatenate(parts, axis=1)[:, :-gap_px]
    return joined


def _rows(
    entries: Sequence[tuple[str, RGB | None]], width: int, font: Any
) -> list[list[tuple[int, str, RGB | None]]]:
    rows: list[list[tuple[int, str, RGB | None]]] = []
    left = width
    for name, colour in entries:
        long = _SWATCH_PX + 5 + int(font.getlength(name)) + _GAP_PX
        if left + long > width:
            rows.append([])
            left = 4
        rows[-1].append((left, name, colour))
        left += long
    return rows


def _swatch(draw: Any, left: int, top: int, colour: RGB | None) -> None:
    box = (left, top + 2, left + _SWATCH_PX, top + 2 + _SWATCH_PX - 2)
    if colour is not None:
        draw.rectangle(box, fill=colour)
        return
    from cellmap_tui.volumes.colours import OKABE_ITO

    for i, stripe in enumerate(OKABE_ITO):
        draw.rectangle((left + 2 * i, box[1], left + 2 * i + 1, box[3]), fill=stripe)
